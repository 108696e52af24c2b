/*
 * batch.c
 *		Reading a batch of events exactly once in effect.
 *
 * A transaction's number says when it began, not when it committed, so
 * "everything above the last number" loses events.  What is new is what the
 * present snapshot sees and the snapshot of the last batch did not.  See
 * doc/queue.md.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "storage/bufmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "queue/event_table.h"
#include "store.h"

struct QueueBatch
{
	Cursor		cursor;
	Datum		now_seen;		/* snapshot under which the batch was read */
	bool		complete;		/* the target is consumed with this batch */
	int			last_table;		/* else: how far it was read */
	ItemPointerData last_tid;
	int			n_read;
	int			size;			/* read, and failed keys that are due */
	int			n;				/* distinct ones */
	QueueEvent *events;
};

/* The oid of event table 1..QUEUE_TABLES. */
Oid
event_table_relid(int number)
{
	char		name[16];

	snprintf(name, sizeof(name), "event_%d", number);
	return store_relid(name);
}

/* Whether an event's transaction had committed by a snapshot. */
bool
event_visible_in(Datum xid, Datum snapshot)
{
	return DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, xid, snapshot));
}

/* Whether an event visible now has been consumed. */
bool
cursor_consumed(const Cursor *cursor, Datum xid, int table, ItemPointer tid)
{
	if (cursor->seen && event_visible_in(xid, cursor->seen))
		return true;
	if (cursor->target == 0 || !event_visible_in(xid, cursor->target))
		return false;
	return table < cursor->table ||
		(table == cursor->table && ItemPointerCompare(tid, &((Cursor *) cursor)->tid) <= 0);
}

/* The cursor is another server's, or of a future this server never had. */
static bool
cursor_is_foreign(int64 system_identifier, Datum seen)
{
	FullTransactionId xmax = DatumGetFullTransactionId(DirectFunctionCall1(pg_snapshot_xmax, seen));

	return system_identifier != (int64) GetSystemIdentifier() ||
		FullTransactionIdPrecedes(ReadNextFullTransactionId(), xmax);
}

static void
cursor_from_tuple(Cursor *cursor, HeapTuple tuple, TupleDesc desc)
{
	Datum		values[13];
	bool		isnull[13];

	heap_deform_tuple(tuple, desc, values, isnull);
	cursor->batch_no = DatumGetInt64(values[0]);
	if (cursor_is_foreign(DatumGetInt64(values[6]), values[1]))
	{
		cursor->discarded = true;
		return;
	}
	cursor->seen = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[1]));
	if (isnull[2])
		return;
	cursor->target = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[2]));
	cursor->table = DatumGetInt16(values[3]);
	ItemPointerSet(&cursor->tid, DatumGetInt64(values[4]), DatumGetInt32(values[5]));
}

/* Read the cursor: the newest row of agentcrm.batch. */
void
cursor_read(Cursor *cursor)
{
	Store	   *store = store_open("batch", AccessShareLock);
	StoreScan  *scan = store_scan(store, "batch_pkey", 0, NULL);
	HeapTuple	tuple = store_prev(scan);

	memset(cursor, 0, sizeof(*cursor));
	if (tuple)
		cursor_from_tuple(cursor, tuple, store_desc(store));
	else
		cursor->discarded = true;	/* a new installation, or one restored from a dump */
	store_scan_end(scan);
	store_close(store);
}

typedef struct ReadState
{
	QueueBatch *batch;
	int			limit;
	int			max;
} ReadState;

static void
add_event(ReadState *state, int32 source_id, int16 part, const char *key, int attempts)
{
	QueueBatch *batch = state->batch;

	if (batch->n == state->max)
	{
		state->max *= 2;
		batch->events = repalloc(batch->events, sizeof(QueueEvent) * state->max);
	}
	batch->events[batch->n++] = (QueueEvent)
	{
		.source_id = source_id, .part = part, .key = key, .attempts = attempts
	};
}

/* Read what is new in one event table, up to the limit; false when the limit was met. */
static bool
read_table(ReadState *state, int number)
{
	QueueBatch *batch = state->batch;
	Relation	rel = table_open(event_table_relid(number), AccessShareLock);
	/* from the first block, never from where another scan of a large table has got to: the place reached is kept */
	TableScanDesc scan = table_beginscan_strat(rel, GetActiveSnapshot(), 0, NULL, true, false);
	TupleDesc	desc = store_known_desc(rel, EVENT_COLUMNS);
	HeapTuple	tuple;
	bool		whole = true;

	/* what lies before the place reached is consumed */
	if (batch->cursor.target && number == batch->cursor.table)
	{
		BlockNumber block = ItemPointerGetBlockNumber(&batch->cursor.tid);

		heap_setscanlimits(scan, block, RelationGetNumberOfBlocks(rel) - block);
	}
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Datum		values[EVENT_COLUMNS];
		bool		isnull[EVENT_COLUMNS];

		heap_deform_tuple(tuple, desc, values, isnull);
		if (cursor_consumed(&batch->cursor, values[EVENT_XID], number, &tuple->t_self))
			continue;
		if (batch->cursor.target && !event_visible_in(values[EVENT_XID], batch->cursor.target))
			continue;			/* of the next target */
		if (batch->n_read == state->limit)
		{
			whole = false;
			break;
		}
		batch->n_read++;
		batch->last_table = number;
		batch->last_tid = tuple->t_self;
		add_event(state, DatumGetInt32(values[EVENT_SOURCE_ID]), DatumGetInt16(values[EVENT_PART]),
				  TextDatumGetCString(values[EVENT_KEY]), 0);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	return whole;
}

/* The order of events: source, part, key. */
int
queue_compare_events(const void *a, const void *b)
{
	const QueueEvent *x = a;
	const QueueEvent *y = b;

	if (x->source_id != y->source_id)
		return x->source_id < y->source_id ? -1 : 1;
	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	return strcmp(x->key, y->key);
}

/* Sort events and drop repetitions; a failed key's count of attempts survives. */
int
events_make_distinct(QueueEvent *events, int n)
{
	int			kept = 0;

	if (n == 0)
		return 0;
	qsort(events, n, sizeof(QueueEvent), queue_compare_events);
	for (int i = 1; i < n; i++)
		if (queue_compare_events(&events[kept], &events[i]) == 0)
			events[kept].attempts = Max(events[kept].attempts, events[i].attempts);
		else
			events[++kept] = events[i];
	return kept + 1;
}

/* Read the next batch of at most limit events, and failed keys that are due; NULL when there is none. */
QueueBatch *
queue_read(int limit, TimestampTz now)
{
	QueueBatch *batch = palloc0(sizeof(QueueBatch));
	ReadState	state = {.batch = batch, .limit = limit, .max = 64};
	int			n_failed;
	QueueEvent *failed;

	cursor_read(&batch->cursor);
	batch->now_seen = DirectFunctionCall1(pg_current_snapshot, (Datum) 0);
	batch->events = palloc(sizeof(QueueEvent) * state.max);
	batch->complete = true;
	for (int number = batch->cursor.target ? batch->cursor.table : 1;
		 number <= QUEUE_TABLES && batch->complete; number++)
		batch->complete = read_table(&state, number);
	queue_count_attempts(batch->events, batch->n);

	/* a batch of one has one, so that who fails alone is known */
	failed = queue_failed_due(now, limit == 1 ? 1 - batch->n_read : limit, &n_failed);
	for (int i = 0; i < n_failed; i++)
		add_event(&state, failed[i].source_id, failed[i].part, failed[i].key, failed[i].attempts);
	if (batch->n == 0 && !batch->cursor.discarded && batch->cursor.target == 0)
		return NULL;
	batch->size = batch->n;
	queue_count_rows(batch->n_read);
	batch->n = events_make_distinct(batch->events, batch->n);
	return batch;
}

/* The events of a batch, distinct, ordered by source, part and key. */
QueueEvent *
queue_batch_events(QueueBatch *batch, int *n)
{
	*n = batch->n;
	return batch->events;
}

/* Whether there is no cursor at all: nothing was ever read here. */
bool
queue_unread(void)
{
	Cursor		cursor;

	cursor_read(&cursor);
	return cursor.batch_no == 0;
}

/* Events and failed keys read, repetitions included. */
int
queue_batch_size(const QueueBatch *batch)
{
	return batch->size;
}

/* The number the batch has when it is finished. */
int64
queue_batch_number(const QueueBatch *batch)
{
	return batch->cursor.batch_no + 1;
}

/* Whether the cursor is missing or had to be discarded: what was read before it is unknown. */
bool
queue_batch_discarded(const QueueBatch *batch)
{
	return batch->cursor.discarded;
}

/* Whether no event that was visible when the batch was read is left after it. */
bool
queue_batch_is_last(const QueueBatch *batch)
{
	return batch->complete && batch->cursor.target == 0;
}

/* Delete old rows of the cursor table, now and then. */
static void
prune_batches(Store *store, int64 batch_no)
{
	StoreScan  *scan;
	HeapTuple	tuple;

	if (batch_no % 1000 != 0)
		return;
	scan = store_scan(store, "batch_pkey", 0, NULL);
	while ((tuple = store_next(scan)) != NULL)
	{
		bool		isnull;

		if (DatumGetInt64(heap_getattr(tuple, 1, store_desc(store), &isnull)) > batch_no - 5000)
			break;
		store_delete(store, &tuple->t_self);
	}
	store_scan_end(scan);
}

/* Move the cursor past the batch, in the transaction that did its work. */
void
queue_finish(QueueBatch *batch, int clients, TimestampTz started, TimestampTz now, double ledger_ms)
{
	Store	   *store = store_open("batch", RowExclusiveLock);
	Datum		target = batch->cursor.target ? batch->cursor.target : batch->now_seen;
	Datum		values[13];
	bool		isnull[13] = {false};

	values[0] = Int64GetDatum(batch->cursor.batch_no + 1);
	if (batch->complete)
	{
		values[1] = target;
		isnull[2] = isnull[3] = isnull[4] = isnull[5] = true;
		renames_prune(target);
	}
	else
	{
		/* a first batch that is not complete has seen nothing yet */
		values[1] = batch->cursor.seen ? batch->cursor.seen :
			DirectFunctionCall1(pg_snapshot_in, CStringGetDatum("1:1:"));
		values[2] = target;
		values[3] = Int16GetDatum(batch->last_table);
		values[4] = Int64GetDatum(ItemPointerGetBlockNumber(&batch->last_tid));
		values[5] = Int32GetDatum(ItemPointerGetOffsetNumber(&batch->last_tid));
	}
	values[6] = Int64GetDatum((int64) GetSystemIdentifier());
	values[7] = Int32GetDatum(batch->n_read);
	values[8] = Int32GetDatum(batch->n);
	values[9] = Int32GetDatum(clients);
	values[10] = TimestampTzGetDatum(started);
	values[11] = TimestampTzGetDatum(now);
	values[12] = Float8GetDatum(ledger_ms);
	store_insert(store, values, isnull);
	prune_batches(store, batch->cursor.batch_no + 1);
	store_close(store);
}

/* Distinct events not consumed under the active snapshot, failed keys included. */
QueueEvent *
queue_pending(int *n)
{
	QueueBatch *batch = palloc0(sizeof(QueueBatch));
	ReadState	state = {.batch = batch, .limit = INT_MAX, .max = 64};
	QueueEvent *failed;
	int			n_failed;

	cursor_read(&batch->cursor);
	batch->events = palloc(sizeof(QueueEvent) * state.max);
	for (int number = batch->cursor.target ? batch->cursor.table : 1; number <= QUEUE_TABLES; number++)
		read_table(&state, number);
	if (batch->cursor.target)
	{
		/* and what came after the target */
		batch->cursor.seen = batch->cursor.target;
		batch->cursor.target = 0;
		for (int number = 1; number <= QUEUE_TABLES; number++)
			read_table(&state, number);
	}
	failed = queue_failed_due(DT_NOEND, INT_MAX, &n_failed);
	for (int i = 0; i < n_failed; i++)
		add_event(&state, failed[i].source_id, failed[i].part, failed[i].key, failed[i].attempts);
	*n = events_make_distinct(batch->events, batch->n);
	return batch->events;
}
