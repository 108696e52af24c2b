/*
 * event_table.h
 *		The rotated event tables and the cursor, inside the queue.
 */
#ifndef AGENTCRM_EVENT_TABLE_H
#define AGENTCRM_EVENT_TABLE_H

#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "queue/queue.h"

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
extern void cursor_read(Cursor *cursor);
extern bool cursor_consumed(const Cursor *cursor, Datum xid, int table, ItemPointer tid);
extern void queue_count_rows(int rows); /* rows read since the last turn */

#endif
