/*
 * flush.c
 *		Writing events: straight to the heap of one of the event tables.
 *
 * Runs inside the application's transaction, just before it commits.  Any of
 * the event tables will do, since the reader reads them all; the table of the
 * current turn is tried first so that the others can drain and be emptied.
 * No lock is waited for.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "fault.h"
#include "queue/event_table.h"
#include "queue/queue.h"
#include "store.h"

#define EVENTS_AT_ONCE 256

/* The table of the current turn, as last read; 0 when it has to be read again. */
static int	turn_table = 0;
static Oid	turn_relid = InvalidOid;

/* Oids of the event tables, for as long as event_turn stands: the extension makes and drops them together. */
static Oid	table_relids[QUEUE_TABLES + 1];

static void
forget_turn(Datum arg, Oid relid)
{
	if (relid != InvalidOid && relid != turn_relid)
		return;
	turn_table = 0;
	memset(table_relids, 0, sizeof(table_relids));
}

static Oid
table_relid(int number)
{
	if (table_relids[number] == InvalidOid)
		table_relids[number] = event_table_relid(number);
	return table_relids[number];
}

/* The event table to write to; the first one when the turn cannot be read now. */
static int
current_table(void)
{
	Store	   *store;
	StoreScan  *scan;
	HeapTuple	tuple;
	int			table = 1;

	if (turn_table != 0)
		return turn_table;
	if (turn_relid == InvalidOid)
		CacheRegisterRelcacheCallback(forget_turn, (Datum) 0);
	turn_relid = store_relid("event_turn");
	fault_point("turn");
	if (!ConditionalLockRelationOid(turn_relid, AccessShareLock) ||
		!ConditionalLockRelationOid(store_relid("event_turn_pkey"), AccessShareLock))
		return table;
	turn_table = table;			/* an invalidation from here on resets it */
	PushActiveSnapshot(GetLatestSnapshot());
	store = store_open("event_turn", AccessShareLock);
	scan = store_scan(store, "event_turn_pkey", 0, NULL);
	tuple = store_prev(scan);
	if (tuple)
	{
		bool		isnull;

		table = DatumGetInt16(heap_getattr(tuple, 2, store_desc(store), &isnull));
	}
	store_scan_end(scan);
	store_close(store);
	PopActiveSnapshot();
	if (turn_table != 0)
		turn_table = table;
	return table;
}

/* Open the first event table whose lock is free, beginning with that of the turn. */
static Relation
open_any(void)
{
	int			first = current_table();

	for (int i = 0; i < QUEUE_TABLES; i++)
	{
		Oid			relid = table_relid((first - 1 + i) % QUEUE_TABLES + 1);

		if (ConditionalLockRelationOid(relid, RowExclusiveLock))
		{
			fault_point("open");
			return table_open(relid, NoLock);
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("all event tables are locked")));
}

/* An event as a row. */
HeapTuple
event_form(TupleDesc desc, Datum xid, TimestampTz at, const QueueEvent *event)
{
	Datum		values[EVENT_COLUMNS] = {xid, TimestampTzGetDatum(at), Int32GetDatum(event->source_id),
	Int16GetDatum(event->part), CStringGetTextDatum(event->key)};
	bool		isnull[EVENT_COLUMNS] = {false};

	return heap_form_tuple(desc, values, isnull);
}

static void
insert_many(Relation rel, TupleDesc desc, Datum xid, TimestampTz at, const QueueEvent *events, int n)
{
	TupleTableSlot *slots[EVENTS_AT_ONCE];
	int			n_slots = Min(n, EVENTS_AT_ONCE);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm queue_write",
											  ALLOCSET_SMALL_SIZES);

	for (int i = 0; i < n_slots; i++)
		slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);
	for (int done = 0; done < n;)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);
		int			k = 0;

		for (; k < n_slots && done < n; k++, done++)
			ExecStoreHeapTuple(event_form(desc, xid, at, &events[done]), slots[k], false);
		MemoryContextSwitchTo(old);
		heap_multi_insert(rel, slots, k, GetCurrentCommandId(true), 0, NULL);
		for (int i = 0; i < k; i++)
			ExecClearTuple(slots[i]);
		MemoryContextReset(cxt);
	}
	for (int i = 0; i < n_slots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	MemoryContextDelete(cxt);
}

/* Write events for the current transaction. */
void
queue_write(const QueueEvent *events, int n)
{
	Relation	rel = open_any();
	/* columns that somebody added are refused by the reader, not here */
	TupleDesc	desc = store_known_desc(rel, EVENT_COLUMNS);
	Datum		xid = FullTransactionIdGetDatum(GetTopFullTransactionId());
	TimestampTz at = GetCurrentTimestamp();

	fault_point("insert");
	/* most transactions of an order system change one order */
	if (n == 1)
	{
		HeapTuple	tuple = event_form(desc, xid, at, events);

		heap_insert(rel, tuple, GetCurrentCommandId(true), 0, NULL);
		heap_freetuple(tuple);
	}
	else
		insert_many(rel, desc, xid, at, events, n);
	renames_write(xid, at, events, n);
	fault_point("inserted");
	table_close(rel, NoLock);
}
