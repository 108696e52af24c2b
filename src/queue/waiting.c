/*
 * waiting.c
 *		How much waits in the queue and since when, by source.
 *
 * For whoever watches, in any transaction and with any backlog: memory and
 * time are bounded.  Reads the event tables under no MVCC snapshot: a
 * serializable reader's would take predicate locks there, and the commits of
 * serializable writers fail for them.  Rows are only added, so that what is
 * committed now is what a snapshot taken now would see.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "queue/event_table.h"
#include "store.h"

/* Up to so many events their keys are told apart, and so many are counted at all. */
#define DISTINCT_EVENTS 100000
#define COUNTED_EVENTS 1000000

typedef struct Count
{
	Cursor		cursor;
	int64		n_counted;
	QueueEvent *events;			/* while there are few enough */
	int			n_sources;
	QueueWaiting *sources;
} Count;

static QueueWaiting *
of_source(Count *count, int32 source_id)
{
	for (int i = 0; i < count->n_sources; i++)
		if (count->sources[i].source_id == source_id)
			return &count->sources[i];
	count->sources = repalloc(count->sources, sizeof(QueueWaiting) * (count->n_sources + 1));
	count->sources[count->n_sources] = (QueueWaiting)
	{
		.source_id = source_id, .since = DT_NOEND, .parked_since = DT_NOEND, .last_error_at = DT_NOBEGIN
	};
	return &count->sources[count->n_sources++];
}

static void
count_event(Count *count, const Datum *values)
{
	int32		source_id = DatumGetInt32(values[EVENT_SOURCE_ID]);
	QueueWaiting *source = of_source(count, source_id);

	source->waiting++;
	source->since = Min(source->since, DatumGetTimestampTz(values[EVENT_AT]));
	if (count->n_counted < DISTINCT_EVENTS)
		count->events[count->n_counted] = (QueueEvent)
	{
		.source_id = source_id, .part = DatumGetInt16(values[EVENT_PART]), .key = TextDatumGetCString(values[EVENT_KEY])
	};
	count->n_counted++;
}

/* Count what waits in some blocks of an event table. */
static void
count_blocks(Count *count, Relation rel, int number, BlockNumber from, BlockNumber to)
{
	TableScanDesc scan = table_beginscan_strat(rel, SnapshotSelf, 0, NULL, true, false);
	TupleDesc	desc = store_known_desc(rel, EVENT_COLUMNS);
	HeapTuple	tuple;

	heap_setscanlimits(scan, from, to - from);
	while (count->n_counted < COUNTED_EVENTS && (tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Datum		values[EVENT_COLUMNS];
		bool		isnull[EVENT_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, desc, values, isnull);
		if (!cursor_consumed(&count->cursor, values[EVENT_XID], number, &tuple->t_self))
			count_event(count, values);
	}
	table_endscan(scan);
}

/* In a backlog begin at the place reached: what lies before it is consumed, but for a row here and there. */
static void
count_table(Count *count, int number)
{
	Relation	rel = table_open(event_table_relid(number), AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	BlockNumber place = 0;

	if (count->cursor.target && number == count->cursor.table)
		place = Min(ItemPointerGetBlockNumber(&count->cursor.tid), blocks);
	if (place < blocks)
		count_blocks(count, rel, number, place, blocks);
	if (place > 0)
		count_blocks(count, rel, number, 0, place);
	table_close(rel, AccessShareLock);
}

static void
count_distinct(Count *count)
{
	int			n = events_make_distinct(count->events, (int) count->n_counted);

	for (int i = 0; i < count->n_sources; i++)
		count->sources[i].waiting = 0;
	for (int i = 0; i < n; i++)
		of_source(count, count->events[i].source_id)->waiting++;
}

/* Set aside by queue_park, not for what it did. */
static bool
is_parked(Datum sqlstate)
{
	const char *parked = unpack_sql_state(QUEUE_PARKED);
	text	   *value = DatumGetTextPP(sqlstate);

	return VARSIZE_ANY_EXHDR(value) == strlen(parked) && memcmp(VARDATA_ANY(value), parked, strlen(parked)) == 0;
}

static void
count_failed_key(Count *count, const Datum *values)
{
	QueueWaiting *source = of_source(count, DatumGetInt32(values[F_SOURCE_ID]));

	source->failed++;
	if (DatumGetTimestampTz(values[F_RETRY_AT]) == DT_NOEND && is_parked(values[F_SQLSTATE]))
		source->parked_since = Min(source->parked_since, DatumGetTimestampTz(values[F_FIRST_AT]));
	if (DatumGetTimestampTz(values[F_LAST_AT]) < source->last_error_at)
		return;
	source->last_error_at = DatumGetTimestampTz(values[F_LAST_AT]);
	if (source->last_error)
		pfree(source->last_error);
	source->last_error = DatumGetTextPCopy(values[F_MESSAGE]);
}

static void
count_failed(Count *count)
{
	Store	   *store = store_open("event_failed", AccessShareLock);
	TableScanDesc scan = table_beginscan(store_relation(store), GetActiveSnapshot(), 0, NULL);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Datum		values[F_COLUMNS];
		bool		isnull[F_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, store_desc(store), values, isnull);
		count_failed_key(count, values);
	}
	table_endscan(scan);
	store_close(store);
}

/* What waits and what failed, of each source that has any. */
QueueWaiting *
queue_waiting(int *n, bool *whole)
{
	Count		count = {.events = palloc(sizeof(QueueEvent) * DISTINCT_EVENTS), .sources = palloc(sizeof(QueueWaiting))};
	int			first;

	PushActiveSnapshot(GetLatestSnapshot());
	cursor_read(&count.cursor);
	PopActiveSnapshot();
	first = count.cursor.target ? count.cursor.table : 1;
	for (int i = 0; i < QUEUE_TABLES && count.n_counted < COUNTED_EVENTS; i++)
		count_table(&count, (first - 1 + i) % QUEUE_TABLES + 1);
	*whole = count.n_counted < COUNTED_EVENTS;
	if (count.n_counted <= DISTINCT_EVENTS)
		count_distinct(&count);
	count_failed(&count);
	*n = count.n_sources;
	return count.sources;
}
