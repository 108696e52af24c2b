/*
 * queue.h
 *		The face of the queue: durable events "key K of part P of source S
 *		changed", read exactly once in effect.
 *
 * Does not know what an event means.
 */
#ifndef AGENTCRM_QUEUE_H
#define AGENTCRM_QUEUE_H

#include "postgres.h"

#include "utils/timestamp.h"

#define QUEUE_TABLES 8
#define QUEUE_MAX_KEY 1024		/* bytes; longer keys become a resync of their part */

/* Part 0 is no part: its key is the number of a part to read again, or empty for the whole source. */
#define QUEUE_PART_RESYNC 0

/* The last part is no part either: its key is the old and the new key of a client's row, with this between them. */
#define QUEUE_PART_RENAME PG_INT16_MAX
#define QUEUE_RENAME_SEPARATOR '\001'

typedef struct QueueEvent
{
	int32		source_id;
	int16		part;
	const char *key;
	int			attempts;		/* of a failed key that is tried again; else 0 */
} QueueEvent;

/* A batch being worked on: its distinct events and where the cursor stands after it. */
typedef struct QueueBatch QueueBatch;

/*
 * Write events for the current transaction.  Takes the event table's lock
 * conditionally and tries the other tables; fails only on real errors.
 */
extern void queue_write(const QueueEvent *events, int n);

/* Read the next batch of at most limit events; NULL when there is none. */
extern QueueBatch *queue_read(int limit, TimestampTz now);
extern QueueEvent *queue_batch_events(QueueBatch *batch, int *n);	/* distinct, ordered by source, part, key */
extern bool queue_unread(void); /* nothing was ever read: a new installation, or a restored one */
extern int	queue_batch_size(const QueueBatch *batch);	/* events and failed keys read, repetitions included */
extern int64 queue_batch_number(const QueueBatch *batch);
extern bool queue_batch_discarded(const QueueBatch *batch); /* no cursor, or another server's: sources must be read again */
extern bool queue_batch_is_last(const QueueBatch *batch);	/* no event that was visible when it was read is left after it */
extern void queue_finish(QueueBatch *batch, int clients, TimestampTz started, TimestampTz now, double ledger_ms);

/* Rotate the event tables and empty those that are consumed; true when it wrote. */
extern bool queue_rotate(TimestampTz now);

/* Keys that failed: recorded, read when due, forgotten on success. */
extern void queue_fail(const QueueEvent *events, int n, const ErrorData *error, TimestampTz now);
extern void queue_park(const QueueEvent *events, int n, const char *reason, TimestampTz now, TimestampTz retry_at);
extern void queue_fail_for_good(const QueueEvent *event, const ErrorData *error, TimestampTz now);
extern void queue_count_attempts(QueueEvent *events, int n);	/* of keys that failed before, so that success is noticed */
extern void queue_forgive(const QueueEvent *events, int n, ErrorData *const *errors);	/* those without an error; NULL: all */
extern QueueEvent *queue_failed_due(TimestampTz now, int limit, int *n);
extern TimestampTz queue_next_retry(void);

/* By source, part and key: for qsort and bsearch. */
extern int	queue_compare_events(const void *a, const void *b);
/* Distinct events not consumed under the active snapshot, failed keys included; in that order. */
extern QueueEvent *queue_pending(int *n);
/* Renames of a source that wait or are tried again, and those given; distinct. */
extern QueueEvent *queue_renames(int32 source_id, const QueueEvent *given, int n_given, int *n);

/* What waits for the worker, and what failed, of one source. */
typedef struct QueueWaiting
{
	int32		source_id;
	int64		waiting;		/* distinct keys, or events when there are many */
	TimestampTz since;			/* the oldest event's time; DT_NOEND: none */
	int64		failed;			/* keys, parked ones included */
	TimestampTz parked_since;	/* DT_NOEND: none */
	text	   *last_error;		/* NULL: none */
	TimestampTz last_error_at;
} QueueWaiting;

extern QueueWaiting *queue_waiting(int *n, bool *whole);	/* whole: false when counting was given up */

#endif
