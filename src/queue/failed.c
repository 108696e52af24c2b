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

/* A time of retry that grows with the attempts. */
#define BY_ATTEMPTS DT_NOBEGIN

static TimestampTz
retry_time(int attempts, TimestampTz now)
{
	int64		seconds = FIRST_RETRY_SECONDS;

	for (int i = 1; i < attempts && seconds < LONGEST_RETRY_SECONDS; i++)
		seconds *= 2;
	return now + Min(seconds, LONGEST_RETRY_SECONDS) * USECS_PER_SEC;
}

static StoreScan *
scan_key(Store *store, const QueueEvent *event)
{
	Datum		keys[3] = {Int32GetDatum(event->source_id), Int16GetDatum(event->part), CStringGetTextDatum(event->key)};

	return store_scan(store, "event_failed_pkey", 3, keys);
}

/* The foreign key to source, which the row store does not check; steps keep sources from being detached. */
static bool
source_exists(int32 source_id)
{
	Store	   *store = store_open("source", AccessShareLock);
	Datum		key = Int32GetDatum(source_id);
	StoreScan  *scan = store_scan(store, "source_pkey", 1, &key);
	bool		exists = store_next(scan) != NULL;

	store_scan_end(scan);
	store_close(store);
	return exists;
}

/* Write the row of a key, over the one it may have. */
static void
put_row(Store *store, const QueueEvent *event, bool may_exist, Datum *values, bool *isnull)
{
	StoreScan  *scan = may_exist ? scan_key(store, event) : NULL;
	HeapTuple	tuple = scan ? store_next(scan) : NULL;
	bool		no_value;

	if (tuple)
	{
		values[F_FIRST_AT] = heap_getattr(tuple, F_FIRST_AT + 1, store_desc(store), &no_value);
		store_update(store, &tuple->t_self, values, isnull);
	}
	else
		store_insert(store, values, isnull);
	if (scan)
		store_scan_end(scan);
}

/* Keep keys of one source that failed alike. */
static void
record(const QueueEvent *events, int n, const ErrorData *error, TimestampTz now, TimestampTz retry_at)
{
	Store	   *store;
	Datum		values[F_COLUMNS];
	bool		isnull[F_COLUMNS] = {false};

	if (!source_exists(events[0].source_id))
		return;
	store = store_open("event_failed", RowExclusiveLock);
	values[F_SQLSTATE] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[F_MESSAGE] = CStringGetTextDatum(error->message ? error->message : "unknown error");
	values[F_CONTEXT] = error->context ? CStringGetTextDatum(error->context) : (Datum) 0;
	isnull[F_CONTEXT] = error->context == NULL;
	values[F_LAST_AT] = TimestampTzGetDatum(now);
	for (int i = 0; i < n; i++)
	{
		int			attempts = events[i].attempts + 1;

		values[F_SOURCE_ID] = Int32GetDatum(events[i].source_id);
		values[F_PART] = Int16GetDatum(events[i].part);
		values[F_KEY] = CStringGetTextDatum(events[i].key);
		values[F_ATTEMPTS] = Int32GetDatum(attempts);
		values[F_FIRST_AT] = TimestampTzGetDatum(now);
		values[F_RETRY_AT] = TimestampTzGetDatum(retry_at == BY_ATTEMPTS ? retry_time(attempts, now) : retry_at);
		/* orders read because another row touches them come without their attempts */
		put_row(store, &events[i], retry_at == BY_ATTEMPTS || attempts > 1, values, isnull);
	}
	store_close(store);
}

/* Record that keys failed; they are tried again by themselves. */
void
queue_fail(const QueueEvent *events, int n, const ErrorData *error, TimestampTz now)
{
	record(events, n, error, now, BY_ATTEMPTS);
}

/* Record that a key did harm: agentcrm.resume, resync or a new change of the key tries it again. */
void
queue_fail_for_good(const QueueEvent *event, const ErrorData *error, TimestampTz now)
{
	record(event, 1, error, now, DT_NOEND);
}

/* Keep keys of a source that must not be read now; what lets the source go on tries them again, should retry_at be infinite. */
void
queue_park(const QueueEvent *events, int n, const char *reason, TimestampTz now, TimestampTz retry_at)
{
	ErrorData	error = {.sqlerrcode = QUEUE_PARKED, .message = unconstify(char *, reason)};

	record(events, n, &error, now, retry_at);
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
		HeapTuple	tuple;
		bool		isnull;

		scan = scan_key(store, &events[i]);
		tuple = store_next(scan);
		if (tuple)
			events[i].attempts = DatumGetInt32(heap_getattr(tuple, F_ATTEMPTS + 1, store_desc(store), &isnull));
		store_scan_end(scan);
	}
	store_close(store);
}

/* Forget those of the keys that failed before and have no error now. */
void
queue_forgive(const QueueEvent *events, int n, ErrorData *const *errors)
{
	Store	   *store = NULL;

	for (int i = 0; i < n; i++)
	{
		StoreScan  *scan;
		HeapTuple	tuple;

		if (events[i].attempts == 0 || (errors && errors[i]))
			continue;
		if (store == NULL)
			store = store_open("event_failed", RowExclusiveLock);
		scan = scan_key(store, &events[i]);
		tuple = store_next(scan);
		if (tuple)
			store_delete(store, &tuple->t_self);
		store_scan_end(scan);
	}
	if (store)
		store_close(store);
}

/* Add a failed key to a list; returns when it is tried again. */
static TimestampTz
read_failed(Store *store, HeapTuple tuple, QueueEvent **events, int n)
{
	Datum		values[F_COLUMNS];
	bool		isnull[F_COLUMNS];

	heap_deform_tuple(tuple, store_desc(store), values, isnull);
	*events = repalloc(*events, sizeof(QueueEvent) * (n + 1));
	(*events)[n] = (QueueEvent)
	{
		.source_id = DatumGetInt32(values[F_SOURCE_ID]), .part = DatumGetInt16(values[F_PART]),
			.key = TextDatumGetCString(values[F_KEY]), .attempts = DatumGetInt32(values[F_ATTEMPTS])
	};
	return DatumGetTimestampTz(values[F_RETRY_AT]);
}

/* Failed keys to try again by now; DT_NOEND gives all. */
QueueEvent *
queue_failed_due(TimestampTz now, int limit, int *n)
{
	Store	   *store = store_open("event_failed", AccessShareLock);
	StoreScan  *scan = store_scan(store, "event_failed_retry_at_idx", 0, NULL);
	QueueEvent *events = palloc(sizeof(QueueEvent));
	HeapTuple	tuple;

	*n = 0;
	while (*n < limit && (tuple = store_next(scan)) != NULL && read_failed(store, tuple, &events, *n) <= now)
		(*n)++;
	store_scan_end(scan);
	store_close(store);
	return events;
}

/* Failed keys of a part that are tried again by themselves, be it later. */
QueueEvent *
failed_of_part(int32 source_id, int16 part, int *n)
{
	Store	   *store = store_open("event_failed", AccessShareLock);
	Datum		keys[2] = {Int32GetDatum(source_id), Int16GetDatum(part)};
	StoreScan  *scan = store_scan(store, "event_failed_pkey", 2, keys);
	QueueEvent *events = palloc(sizeof(QueueEvent));
	HeapTuple	tuple;

	*n = 0;
	while ((tuple = store_next(scan)) != NULL)
		if (read_failed(store, tuple, &events, *n) != DT_NOEND)
			(*n)++;
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
		at = DatumGetTimestampTz(heap_getattr(tuple, F_RETRY_AT + 1, store_desc(store), &isnull));
	store_scan_end(scan);
	store_close(store);
	return at;
}
