/*
 * failed.c
 *		Keys whose re-read failed: kept, tried again at growing intervals, and
 *		forgotten when they succeed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "queue/event_table.h"
#include "store.h"

#define FIRST_RETRY_SECONDS 30
#define LONGEST_RETRY_SECONDS 3600

static TimestampTz
retry_time(int attempts, TimestampTz now)
{
	int64		seconds = FIRST_RETRY_SECONDS;

	for (int i = 1; i < attempts && seconds < LONGEST_RETRY_SECONDS; i++)
		seconds *= 2;
	return now + Min(seconds, LONGEST_RETRY_SECONDS) * USECS_PER_SEC;
}

static void
record(const QueueEvent *event, const ErrorData *error, TimestampTz now, TimestampTz retry_at)
{
	Oid			types[9] = {INT4OID, INT2OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[9] = {Int32GetDatum(event->source_id), Int16GetDatum(event->part),
		CStringGetTextDatum(event->key), Int32GetDatum(event->attempts + 1),
		CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)),
		CStringGetTextDatum(error->message ? error->message : "unknown error"),
		error->context ? CStringGetTextDatum(error->context) : (Datum) 0,
	TimestampTzGetDatum(now), TimestampTzGetDatum(retry_at)};
	char		nulls[10] = "         ";

	if (error->context == NULL)
		nulls[6] = 'n';
	SPI_connect();
	SPI_execute_with_args("INSERT INTO agentcrm.event_failed AS f"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)"
						  " ON CONFLICT (source_id, part, key) DO UPDATE SET attempts = $4,"
						  " sqlstate = $5, message = $6, context = $7, last_at = $8, retry_at = $9",
						  9, types, values, nulls, false, 0);
	SPI_finish();
}

/* Record that a key failed; it is tried again by itself. */
void
queue_fail(const QueueEvent *event, const ErrorData *error, TimestampTz now)
{
	record(event, error, now, retry_time(event->attempts + 1, now));
}

/* Record that a key did harm: agentcrm.resume, resync or a new change of the key tries it again. */
void
queue_fail_for_good(const QueueEvent *event, const ErrorData *error, TimestampTz now)
{
	record(event, error, now, DT_NOEND);
}

/* Keep a key of a source that must not be read now; agentcrm.resume or resync tries it again. */
void
queue_park(const QueueEvent *event, const char *reason, TimestampTz now)
{
	ErrorData	error = {.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, .message = unconstify(char *, reason)};

	record(event, &error, now, DT_NOEND);
}

/* Fill in how often the keys of events have failed before. */
void
queue_count_attempts(QueueEvent *events, int n)
{
	Store	   *store = store_open("event_failed", AccessShareLock);
	StoreScan  *scan = store_scan(store, "event_failed_pkey", 0, NULL);
	bool		any = store_next(scan) != NULL;

	store_scan_end(scan);
	for (int i = 0; i < n && any; i++)
	{
		Datum		keys[3] = {Int32GetDatum(events[i].source_id), Int16GetDatum(events[i].part),
		CStringGetTextDatum(events[i].key)};
		HeapTuple	tuple;
		bool		isnull;

		scan = store_scan(store, "event_failed_pkey", 3, keys);
		tuple = store_next(scan);
		if (tuple)
			events[i].attempts = DatumGetInt32(heap_getattr(tuple, 4, RelationGetDescr(store_relation(store)), &isnull));
		store_scan_end(scan);
	}
	store_close(store);
}

/* Forget a failed key that now succeeded. */
void
queue_forgive(const QueueEvent *event)
{
	Store	   *store = store_open("event_failed", RowExclusiveLock);
	Datum		keys[3] = {Int32GetDatum(event->source_id), Int16GetDatum(event->part),
	CStringGetTextDatum(event->key)};
	StoreScan  *scan = store_scan(store, "event_failed_pkey", 3, keys);
	HeapTuple	tuple = store_next(scan);

	if (tuple)
		store_delete(store, &tuple->t_self);
	store_scan_end(scan);
	store_close(store);
}

/* Failed keys to try again by now; DT_NOEND gives all. */
QueueEvent *
queue_failed_due(TimestampTz now, int limit, int *n)
{
	Store	   *store = store_open("event_failed", AccessShareLock);
	StoreScan  *scan = store_scan(store, "event_failed_retry_at_idx", 0, NULL);
	TupleDesc	desc = RelationGetDescr(store_relation(store));
	QueueEvent *events = palloc(sizeof(QueueEvent));
	HeapTuple	tuple;

	*n = 0;
	while (*n < limit && (tuple = store_next(scan)) != NULL)
	{
		Datum		values[10];
		bool		isnull[10];

		store_deform(tuple, desc, values, isnull, lengthof(values));
		if (DatumGetTimestampTz(values[9]) > now)
			break;
		events = repalloc(events, sizeof(QueueEvent) * (*n + 1));
		events[(*n)++] = (QueueEvent)
		{
			.source_id = DatumGetInt32(values[0]), .part = DatumGetInt16(values[1]),
				.key = TextDatumGetCString(values[2]), .attempts = DatumGetInt32(values[3])
		};
	}
	store_scan_end(scan);
	store_close(store);
	return events;
}

/* When the next failed key is to be tried again; DT_NOEND when there is none. */
TimestampTz
queue_next_retry(void)
{
	Store	   *store = store_open("event_failed", AccessShareLock);
	StoreScan  *scan = store_scan(store, "event_failed_retry_at_idx", 0, NULL);
	HeapTuple	tuple = store_next(scan);
	bool		isnull;
	TimestampTz at = DT_NOEND;

	if (tuple)
		at = DatumGetTimestampTz(heap_getattr(tuple, 10, RelationGetDescr(store_relation(store)), &isnull));
	store_scan_end(scan);
	store_close(store);
	return at;
}
