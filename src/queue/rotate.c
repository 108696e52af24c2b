/*
 * rotate.c
 *		Taking turns among the event tables, and emptying those that are read.
 *
 * Event rows are never deleted one by one: writers move on to another table,
 * and a table whose rows are all consumed and that nobody holds is truncated.
 * TRUNCATE is not MVCC-safe, so whoever wants to see all events under one
 * snapshot (verify) locks the tables first.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "queue/event_table.h"
#include "store.h"

/* A turn lasts for about as many rows as are scanned without being noticed. */
#define ROWS_PER_TURN 4000

static int	rows_since_turn = ROWS_PER_TURN;

/* Note how many rows a batch has read. */
void
queue_count_rows(int rows)
{
	if (rows_since_turn < ROWS_PER_TURN)
		rows_since_turn += rows;
}

static bool
is_empty(int number)
{
	Relation	rel = table_open(event_table_relid(number), AccessShareLock);
	bool		empty = RelationGetNumberOfBlocks(rel) == 0;

	table_close(rel, AccessShareLock);
	return empty;
}

/* Whether every row that is visible under a snapshot taken now is consumed; the table is locked. */
static bool
all_consumed(Relation rel, int number, const Cursor *cursor)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	HeapTuple	tuple;
	bool		consumed = true;

	while (consumed && (tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		consumed = cursor_consumed(cursor, heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull),
								   number, &tuple->t_self);
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return consumed;
}

/* Empty a table if nobody holds it and all its rows are consumed. */
static bool
empty_table(int number, const Cursor *cursor)
{
	Oid			relid = event_table_relid(number);
	Relation	rel;
	bool		empty;

	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	rel = table_open(relid, NoLock);
	empty = all_consumed(rel, number, cursor);
	if (empty)
		RelationSetNewRelfilenumber(rel, rel->rd_rel->relpersistence);
	table_close(rel, NoLock);
	return empty;
}

/* The current turn: its number and its table. */
static int64
read_turn(Store *store, int *table)
{
	StoreScan  *scan = store_scan(store, "event_turn_pkey", 0, NULL);
	HeapTuple	tuple = store_prev(scan);
	int64		turn_no = 0;

	*table = 1;
	if (tuple)
	{
		TupleDesc	desc = RelationGetDescr(store_relation(store));
		bool		isnull;

		turn_no = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
		*table = DatumGetInt16(heap_getattr(tuple, 2, desc, &isnull));
	}
	store_scan_end(scan);
	return turn_no;
}

/* Begin a turn with an empty table; the rows of older turns go. */
static bool
begin_turn(Store *store, int64 turn_no, int table, TimestampTz now)
{
	for (int i = 1; i < QUEUE_TABLES; i++)
	{
		int			next = (table - 1 + i) % QUEUE_TABLES + 1;
		Datum		values[3] = {Int64GetDatum(turn_no + 1), Int16GetDatum(next), TimestampTzGetDatum(now)};
		bool		isnull[3] = {false, false, false};
		StoreScan  *scan;
		HeapTuple	tuple;

		if (!is_empty(next))
			continue;
		scan = store_scan(store, "event_turn_pkey", 0, NULL);
		while ((tuple = store_next(scan)) != NULL)
			store_delete(store, &tuple->t_self);
		store_scan_end(scan);
		store_insert(store, values, isnull, lengthof(values));
		CacheInvalidateRelcache(store_relation(store));
		return true;
	}
	return false;
}

/*
 * Rotate when a turn has lasted long enough, and empty what is consumed.
 * Does nothing when all other tables are still held or unread: writers then
 * stay where they are.  True when it wrote.
 */
bool
queue_rotate(TimestampTz now)
{
	Store	   *store;
	Cursor		cursor;
	int			table;
	int64		turn_no;
	bool		wrote = false;

	if (rows_since_turn < ROWS_PER_TURN)
		return false;
	cursor_read(&cursor);
	if (cursor.batch_no == 0 || cursor.discarded || cursor.target)
		return false;
	store = store_open("event_turn", RowExclusiveLock);
	turn_no = read_turn(store, &table);
	for (int number = 1; number <= QUEUE_TABLES; number++)
		if (number != table && !is_empty(number))
			wrote |= empty_table(number, &cursor);
	if (!is_empty(table) && begin_turn(store, turn_no, table, now))
		wrote = true;
	if (wrote || is_empty(table))
		rows_since_turn = 0;
	store_close(store);
	return wrote;
}
