/*
 * event_table.h
 *		The rotated event tables and the cursor, inside the queue.
 */
#ifndef AGENTCRM_EVENT_TABLE_H
#define AGENTCRM_EVENT_TABLE_H

#include "postgres.h"

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "queue/queue.h"

/* Columns of the event tables, from 0. */
enum
{
	EVENT_XID, EVENT_AT, EVENT_SOURCE_ID, EVENT_PART, EVENT_KEY, EVENT_COLUMNS
};

/* Columns of agentcrm.event_failed, from 0. */
enum
{
	F_SOURCE_ID, F_PART, F_KEY, F_ATTEMPTS, F_SQLSTATE, F_MESSAGE, F_CONTEXT, F_FIRST_AT, F_LAST_AT, F_RETRY_AT, F_COLUMNS
};

/* The state of a key that is kept because its source must not be read. */
#define QUEUE_PARKED ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE

/* Where reading stands: all of "seen" is consumed, and "target" up to a place. */
typedef struct Cursor
{
	int64		batch_no;		/* 0: nothing was ever read */
	Datum		seen;			/* pg_snapshot; 0: nothing seen */
	Datum		target;			/* pg_snapshot being consumed; 0: none */
	int			table;			/* reached within target */
	ItemPointerData tid;
	bool		discarded;		/* there is none, or the stored one was not of this server */
} Cursor;

extern Oid	event_table_relid(int number);
extern HeapTuple event_form(TupleDesc desc, Datum xid, TimestampTz at, const QueueEvent *event);
extern bool event_visible_in(Datum xid, Datum snapshot);
extern void renames_write(Datum xid, TimestampTz at, const QueueEvent *events, int n);
extern void renames_prune(Datum seen);
extern void cursor_read(Cursor *cursor);
extern bool cursor_consumed(const Cursor *cursor, Datum xid, int table, ItemPointer tid);
extern int	events_make_distinct(QueueEvent *events, int n);
extern QueueEvent *failed_of_part(int32 source_id, int16 part, int *n);
extern void queue_count_rows(int rows); /* rows read since the last turn */

#endif
