/*
 * poll.c
 *		Looking at sources that no trigger watches, or that have a watermark:
 *		when, and the reading of rows by their watermark.
 *
 * Without a watermark a look is a reconcile; what it finds was not missed, and
 * is not told as if it were.  A watermark shows no deletion: that is left to
 * the reconciles of the schedule.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "agentcrm.h"
#include "distinct.h"
#include "engine/load.h"
#include "engine/note.h"
#include "engine/reconcile.h"
#include "engine/step.h"

/* Where more rows are marked, sums on both sides find sooner what differs: rows of one mark are sorted for each chunk. */
#define MOST_MARKED 10000

/* At most this share of the time is spent on looking. */
#define RESTS 20

/* A part that is looked at, and when it is due. */
typedef struct Poll
{
	int32		source_id;
	int16		part;
	TimestampTz due;
} Poll;

static int
read_polls(Poll **polls)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid			types[2] = {INT4OID, INT4OID};
	Datum		values[2] = {Int32GetDatum(agentcrm_poll_interval), Int32GetDatum(RESTS)};
	int			n;

	SPI_connect();
	SPI_execute_with_args("SELECT q.source_id, q.part, q.at + greatest(make_interval(secs => $1), q.took * $2)"
						  " FROM agentcrm.source_poll q JOIN agentcrm.source s USING (source_id)"
						  " WHERE s.state IN ('shadow', 'live') AND NOT EXISTS (SELECT FROM agentcrm.source_load l"
						  "  WHERE l.source_id = q.source_id AND l.part = q.part AND l.phase <> 'done' AND NOT EXISTS (SELECT FROM agentcrm.source_load d"
						  "   WHERE d.source_id = l.source_id AND d.part = l.part AND d.load_no > l.load_no))",
						  2, types, values, NULL, true, 0);
	n = SPI_processed;
	*polls = MemoryContextAlloc(cxt, sizeof(Poll) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		(*polls)[i].source_id = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		(*polls)[i].part = DatumGetInt16(SPI_getbinval(tuple, desc, 2, &isnull));
		(*polls)[i].due = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 3, &isnull));
	}
	SPI_finish();
	return n;
}

/* See reconcile.h. */
TimestampTz
poll_next_due(void)
{
	TimestampTz first = DT_NOEND;
	Poll	   *polls;
	int			n = agentcrm_poll_interval > 0 ? read_polls(&polls) : 0;

	for (int i = 0; i < n; i++)
		first = Min(first, polls[i].due);
	return first;
}

/* See reconcile.h. */
bool
poll_on_schedule(TimestampTz now)
{
	static TimestampTz looked_at = DT_NOBEGIN;
	Poll	   *polls;
	int			n;
	bool		asked = false;

	if (agentcrm_poll_interval == 0 || (looked_at != DT_NOBEGIN && now >= looked_at && now - looked_at < USECS_PER_SEC))
		return false;
	n = read_polls(&polls);
	for (int i = 0; i < n; i++)
		if (polls[i].due <= now)
		{
			load_request(polls[i].source_id, polls[i].part, LOAD_POLL, true);
			asked = true;
		}
	/* what was asked for may yet be rolled back */
	looked_at = asked ? DT_NOBEGIN : now;
	return asked;
}

/* See load.h. */
void
poll_end(Load *load, TimestampTz now)
{
	Oid			types[4] = {INT4OID, INT2OID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[4] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part), TimestampTzGetDatum(now),
	TimestampTzGetDatum(load->begun_at)};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.source_poll SET at = $3, took = greatest(clock_timestamp() - $4, '0'), since = next_since"
						  " WHERE source_id = $1 AND part = $2", 4, types, values, NULL, false, 0);
	SPI_finish();
}

/* ---- by watermark ---- */

/* From when rows are read: what was seen by the look before this one, less the margin. */
static TimestampTz
read_since(Load *load)
{
	Oid			types[3] = {INT4OID, INT2OID, INT4OID};
	Datum		values[3] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part), Int32GetDatum(agentcrm_watermark_margin)};
	TimestampTz since = DT_NOBEGIN;
	bool		isnull = true;

	SPI_connect();
	SPI_execute_with_args("SELECT since - make_interval(secs => $3) FROM agentcrm.source_poll WHERE source_id = $1 AND part = $2",
						  3, types, values, NULL, true, 0);
	if (SPI_processed > 0)
		since = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return isnull ? DT_NOBEGIN : since;
}

static void
keep_mark(Load *load, TimestampTz mark)
{
	Oid			types[3] = {INT4OID, INT2OID, TIMESTAMPTZOID};
	Datum		values[3] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part), TimestampTzGetDatum(mark)};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.source_poll SET next_since = greatest(since, $3) WHERE source_id = $1 AND part = $2",
						  3, types, values, NULL, false, 0);
	SPI_finish();
}

/* Whether so many rows are marked that a look is a reconcile by sums. */
static ErrorData *
find_too_many(Source *source, SourcePart *part, Load *load, bool *too_many)
{
	const char **keys;
	const char *last;
	int			n;
	ErrorData  *error = source_list_marked(source, part, read_since(load), NULL, MOST_MARKED + 1, &keys, &n, &last);

	*too_many = error == NULL && n > MOST_MARKED && !part->loose;
	return error;
}

/* See load.h. */
void
phase_watermark(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int			limit = note_limit(NOTE_LOAD, KEYS_PER_RECONCILE);
	const char **keys = NULL;
	const char *last;
	TimestampTz mark = DT_NOBEGIN;
	int			n = 0;
	int			n_read;
	bool		too_many = false;
	ErrorData  *error = NULL;

	/* what is marked while this look goes on is the next one's */
	if (load->position == NULL)
		error = source_last_mark(source, part, &mark);
	if (load->position == NULL && error == NULL)
		error = find_too_many(source, part, load, &too_many);
	if (error == NULL && !too_many)
		error = source_list_marked(source, part, read_since(load), load->position, limit, &keys, &n, &last);
	if (error)
	{
		load_break_source(source, error, now);
		return;
	}
	if (!TIMESTAMP_IS_NOBEGIN(mark))
		keep_mark(load, mark);
	if (too_many)
	{
		months_begin(source, part, load);
		return;
	}
	n_read = distinct_keys(keys, n);
	if (n_read > 0 && !reconcile_leave_out_waiting(source, part, keys, &n_read))
		return;
	note_work(NOTE_LOAD, load->load_no, n);
	load_read_keys(source, part, load, keys, n_read, now);
	if (source->state == SOURCE_BROKEN)
		return;
	load->done += n;
	load->looked += n_read;
	if (n == limit)
		load->position = pstrdup(last);
	else
		load_end(source, part, load, now);
}
