/*
 * step.h
 *		The steps that worker and run() share, inside the engine.
 */
#ifndef AGENTCRM_STEP_H
#define AGENTCRM_STEP_H

#include "ledger/ledger.h"
#include "queue/queue.h"
#include "source/source.h"

/* A step is one transaction; the caller starts and commits it and has pushed a snapshot. */
typedef enum StepResult
{
	STEP_IDLE,					/* nothing to do now */
	STEP_WORKED,
	STEP_BUSY,					/* another worker or run() is at work */
	STEP_LEAVE					/* somebody wants the database or the extension */
} StepResult;

extern StepResult step_run(void);
extern StepResult step_look(void);	/* STEP_LEAVE, or STEP_IDLE */
extern void step_failed(ErrorData *error);	/* the last step failed: recorded; the next one takes less at a time */
extern TimestampTz step_next_due(void); /* when time alone makes work */

/* Clients gathered while a step goes on; distinct_ids() before use. */
typedef struct ClientList
{
	int			n;
	int			max;
	int64	   *ids;
} ClientList;

extern void client_list_add(ClientList *list, const int64 *ids, int n);

/* What steps are made of. */
extern int	step_read_keys(Source *source, SourcePart *part, const QueueEvent *events, int n,
						   TimestampTz now, LedgerChange **changes);
extern int	step_read_feed(Source *source, SourcePart *part, const QueueEvent *events, int n,
						   TimestampTz now, FeedFound *found, int64 **clients);
extern int	step_apply(Source *source, LedgerChange *changes, int n, TimestampTz now, int64 **clients);
/* Keep what cannot be read now, until the source goes on. */
extern void step_park(Source *source, const QueueEvent *events, int n, TimestampTz now);
/* Clients that were merged, unmerged or begun anew: everything follows.  part: of the feed that says so, or NULL. */
extern void step_follow(Source *source, SourcePart *part, const ClientMoves *moves, TimestampTz now, ClientList *touched);
/* Rows of clients whose keys were changed. */
extern void step_rename(Source *source, const QueueEvent *events, int n, TimestampTz now, ClientList *touched);
/* Renames that wait behind a batch, of those whom it touched: else they would be assessed as two clients until it is their turn. */
extern void step_rename_touched(const QueueEvent *events, int n, TimestampTz now, ClientList *touched);
extern void step_assess(const int64 *clients, int n, bool event, const char *cause, TimestampTz now);

/* After a crash. */
extern bool recover_step(TimestampTz now);
extern bool recover_blames(const QueueEvent *event, TimestampTz now);

/* Loads: reading all keys of a part. */
extern bool load_step(TimestampTz now, bool drained);	/* drained: no older event is left in the queue */
/* Ask for a part (0: all parts) of a source (0: all) to be read; cause in words, see agentcrm.source_load. */
extern void load_failed(const ErrorData *error);
extern void load_request(int32 source_id, int16 part, const char *cause, bool reconcile);
extern bool load_defers(Source *source, int64 client_id);	/* the client's profile is built by the load */
extern bool load_any(void);		/* some clients' profiles are built by a load, or will be */
extern bool load_empties(Source *source);	/* its orders are being taken out of the ledger */
extern void load_refresh(void);

/* Whether this database is the one agentcrm was installed into (copies do not act). */

/* Whether the stored profiles of distinct clients, ascending, are those of the ledger under the active snapshot. */
extern bool verify_profiles(const int64 *clients, int n);

extern void error_record(const char *place, int32 source_id, const ErrorData *error, TimestampTz now);

#endif
