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
#define ENGINE_MAX_LOST 16

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
	bool		lost_all;
	int32		lost[ENGINE_MAX_LOST];
	FullTransactionId lost_xid; /* the newest transaction that lost keys */
	bool		crash_looked;	/* somebody has looked what a crash left */
	bool		crash_unserved; /* and nothing was done about it yet */
	bool		down;			/* too many crashes: no step until agentcrm.resume() */
	int			crashes;		/* in the present work */
	int			careful;		/* units still to be taken one at a time */
	StepNote	crashed;		/* what the last crash cut */
	bool		lost_taken;		/* marks are being served by a transaction that is still open */
	bool		missed;			/* changes were made while agentcrm.capture was off */
	FullTransactionId missed_xid;	/* the newest transaction that made some */
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

/* Marks of lost keys whose transactions are all over; false when there are none, or one is still open. */
extern bool shmem_take_lost(int32 *source_ids, int *n, bool *all);

/* The mark of changes that were not captured, likewise. */
extern bool shmem_take_missed(void);

#endif
