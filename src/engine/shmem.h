/*
 * shmem.h
 *		What launcher, workers and backends share, inside the engine.
 */
#ifndef AGENTCRM_SHMEM_H
#define AGENTCRM_SHMEM_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "engine/note.h"

#define ENGINE_SLOTS 64
#define ENGINE_MAX_LOST 32

/* A transaction lost keys of a source, or of all (0). */
typedef struct LostMark
{
	int32		source_id;
	FullTransactionId xid;
} LostMark;

/* Some transactions, these two and any between them, did so with any source. */
typedef struct UnlistedMark
{
	bool		set;
	FullTransactionId oldest;
	FullTransactionId newest;
} UnlistedMark;

/* One database with the extension. */
typedef struct EngineSlot
{
	Oid			database;		/* invalid: free */
	pg_atomic_uint32 wake;		/* something was committed since the worker last looked */
	Latch	   *worker_latch;	/* NULL: no worker */
	pid_t		worker_pid;
	bool		paused;
	bool		no_worker_slot; /* the last start failed: max_worker_processes */
	TimestampTz due;			/* when the worker wants to run next */
	TimestampTz failed_until;	/* not started again before, after an early end */
	int			n_lost;
	LostMark	lost[ENGINE_MAX_LOST];
	UnlistedMark lost_more;		/* those that found no place */
	UnlistedMark missed;		/* changes were made while agentcrm.capture was off */
	bool		crash_looked;	/* somebody has looked what a crash left */
	bool		crash_unserved; /* and nothing was done about it yet */
	bool		down;			/* too many crashes: no step until agentcrm.resume() */
	int			crashes;		/* in the present work */
	int			careful;		/* units still to be taken one at a time */
	StepNote	crashed;		/* what the last crash cut */
	bool		lost_taken;		/* marks are being served by a transaction that is still open */
} EngineSlot;

typedef struct EngineShared
{
	LWLock		lock;			/* protects the assignment of slots */
	slock_t		mutex;			/* protects the fields of all slots but wake */
	bool		preloaded;		/* a launcher was registered, or ought to have been */
	pid_t		launcher_pid;
	Latch	   *launcher_latch;
	TimestampTz life;			/* when this run of the server began, or the first one of those parted by clean stops */
	EngineSlot	slots[ENGINE_SLOTS];
} EngineShared;

extern EngineShared *engine_shared;	/* NULL before engine_attach_shared */
extern EngineSlot *engine_slot; /* this database's */

extern void shmem_init(void);	/* from _PG_init */
extern void shmem_attach(void);
extern EngineSlot *shmem_find_slot(Oid database, bool create);
extern void shmem_quiet_slot(Oid database);

/* Whether some transaction lost keys that no step has seen to. */
extern bool shmem_has_lost(const EngineSlot *slot);

/* Sources (at most SHMEM_MAX_TAKEN; 0: all) of which transactions that are over lost keys; how many. */
#define SHMEM_MAX_TAKEN (ENGINE_MAX_LOST + 1)
extern int	shmem_take_lost(int32 *source_ids);

/* Whether changes of transactions that are over were not captured. */
extern bool shmem_take_missed(void);

#endif
