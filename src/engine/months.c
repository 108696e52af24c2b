/*
 * months.c
 *		A reconcile of orders by sums: both sides are summed by month, and only
 *		keys of months that differ are read again.
 *
 *		months:		the application's orders are summed, in order of keys
 *		ledger:		the stored ones, in order of ids; equal months are done with
 *		compare:	stored orders of the other months are read again
 *		gaps:		keys of these months that are not stored are read
 *
 * Each chunk leaves its sums in agentcrm.reconcile_month, with the keys it went
 * over.  The sides are summed under many snapshots: a change between them makes
 * a month differ that need not, and is read again in vain.  An order that
 * differs all the while makes its month differ: no other can make up for it.
 *
 * Where keys are the ids, both sides come in one order, and a range of keys is
 * summed on both sides, and compared, under one snapshot: phase keys is all
 * there is.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "agentcrm.h"
#include "distinct.h"
#include "engine/load.h"
#include "engine/mapping.h"
#include "engine/note.h"
#include "engine/step.h"

/* Sums are quick: a chunk of them takes no longer than one of keys that are compared. */
#define ORDERS_PER_SUM 5000
#define RANGES_PER_CHUNK (ORDERS_PER_SUM / KEYS_PER_RECONCILE)

/* ---- sums that are kept ---- */

static int
run_for_part(const char *sql, Load *load, bool read_only)
{
	Oid			types[2] = {INT4OID, INT2OID};
	Datum		values[2] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part)};

	SPI_execute_with_args(sql, 2, types, values, NULL, read_only, 0);
	return SPI_processed;
}

static void
forget_sums(Load *load)
{
	SPI_connect();
	run_for_part("DELETE FROM agentcrm.reconcile_month WHERE source_id = $1 AND part = $2", load, false);
	SPI_finish();
}

/* Keep what a chunk between two keys adds up to. */
static void
keep_sums(Load *load, const char *side, const MonthSums *sums, const char *after, const char *upto)
{
	Oid			types[9] = {INT4OID, INT2OID, TEXTOID, INT8OID, DATEOID, INT8OID, INT8OID, TEXTOID, TEXTOID};
	char		nulls[10] = "         ";
	SPIPlanPtr	plan;

	SPI_connect();
	plan = SPI_prepare("INSERT INTO agentcrm.reconcile_month (source_id, part, side, chunk, month, lines, digest, after_key, upto_key)"
					   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", 9, types);
	if (after == NULL)
		nulls[7] = 'n';
	for (int i = 0; i < sums->n; i++)
	{
		Datum		values[9] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part), CStringGetTextDatum(side),
			Int64GetDatum(load->load_no), DateADTGetDatum(sums->sums[i].month), Int64GetDatum(sums->sums[i].lines),
		Int64GetDatum((int64) sums->sums[i].digest), after ? CStringGetTextDatum(after) : (Datum) 0, CStringGetTextDatum(upto)};

		SPI_execute_plan(plan, values, nulls, false, 0);
	}
	SPI_finish();
}

/*
 * Forget chunks of months in which both sides agree; whether any is left.  As
 * an array, for a table without statistics would be joined row by row.
 */
static bool
drop_equal_months(Load *load)
{
	int			left;

	SPI_connect();
	run_for_part("DELETE FROM agentcrm.reconcile_month WHERE source_id = $1 AND part = $2 AND month = ANY (ARRAY"
				 " (SELECT month FROM agentcrm.reconcile_month WHERE source_id = $1 AND part = $2 GROUP BY month"
				 "  HAVING sum(CASE side WHEN 'ledger' THEN lines ELSE -lines END) = 0"
				 "  AND sum(CASE side WHEN 'ledger' THEN digest::numeric ELSE -digest::numeric END) % 18446744073709551616 = 0))",
				 load, false);
	left = run_for_part("SELECT FROM agentcrm.reconcile_month WHERE source_id = $1 AND part = $2 LIMIT 1", load, false);
	SPI_finish();
	return left > 0;
}

static int64
count_chunks(Load *load, const char *side)
{
	bool		isnull;
	int64		n;

	SPI_connect();
	run_for_part(psprintf("SELECT count(DISTINCT chunk) FROM agentcrm.reconcile_month WHERE source_id = $1 AND part = $2 AND side = '%s'", side),
				 load, true);
	n = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return n;
}

/* A chunk that is left of a side. */
typedef struct Chunk
{
	int64		number;
	char	   *after;
	char	   *upto;
} Chunk;

/* The first chunk of a side from a number on. */
static bool
next_chunk(Load *load, const char *side, int64 number, Chunk *chunk)
{
	MemoryContext cxt = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	found = run_for_part(psprintf("SELECT chunk, after_key, upto_key FROM agentcrm.reconcile_month"
								  " WHERE source_id = $1 AND part = $2 AND side = '%s' AND chunk >= %lld ORDER BY chunk LIMIT 1",
								  side, (long long) number), load, true) > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *after = SPI_getvalue(tuple, desc, 2);
		bool		isnull;

		chunk->number = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		chunk->after = after ? MemoryContextStrdup(cxt, after) : NULL;
		chunk->upto = MemoryContextStrdup(cxt, SPI_getvalue(tuple, desc, 3));
	}
	SPI_finish();
	return found;
}

static MonthSums
differing_months(Load *load)
{
	MemoryContext cxt = CurrentMemoryContext;
	MonthSums	months = {.n = 0};

	SPI_connect();
	months.n = run_for_part("SELECT DISTINCT month FROM agentcrm.reconcile_month WHERE source_id = $1 AND part = $2", load, true);
	months.sums = MemoryContextAllocZero(cxt, sizeof(MonthSum) * Max(months.n, 1));
	for (int i = 0; i < months.n; i++)
	{
		bool		isnull;

		months.sums[i].month = DatumGetDateADT(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_finish();
	return months;
}

/* Where the work on chunks stands: a chunk, and the key reached in it. */
static int64
position_chunk(Load *load, char **key)
{
	char	   *blank = load->position ? strchr(load->position, ' ') : NULL;

	*key = blank ? blank + 1 : NULL;
	return load->position ? strtoll(load->position, NULL, 10) : 0;
}

static void
set_position(Load *load, const Chunk *chunk, const char *key)
{
	load->position = key ? psprintf("%lld %s", (long long) chunk->number, key) : psprintf("%lld", (long long) chunk->number + 1);
	if (key == NULL)
		load->done++;
}

/* ---- summing ---- */

/* Archived orders are left out on both sides, as of one moment. */
static TimestampTz
archive_limit(Source *source, Load *load)
{
	if (source->archive_before == NULL)
		return DT_NOBEGIN;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(load->begun_at),
												   IntervalPGetDatum(source->archive_before)));
}

static int
compare_key_no(const void *a, const void *b)
{
	return ((const MappedLine *) a)->key_no - ((const MappedLine *) b)->key_no;
}

static void
add_orders(MonthSums *sums, MappedLine *mapped, int n)
{
	LedgerLine *lines = palloc(sizeof(LedgerLine) * Max(n, 1));
	int			next;

	qsort(mapped, n, sizeof(MappedLine), compare_key_no);
	for (int i = 0; i < n; i++)
		lines[i] = mapped[i].line;
	for (int first = 0; first < n; first = next)
	{
		for (next = first + 1; next < n && mapped[next].key_no == mapped[first].key_no; next++)
			;
		ledger_resolve(lines + first, next - first);
		ledger_settle_times(lines + first, next - first);
		months_add(sums, lines + first, next - first);
	}
	pfree(lines);
}

/* Leave out keys that crashed the server: who reads them must mean it. */
static int
leave_out_crashed(Load *load, const char **keys, int n)
{
	MemoryContext cxt = CurrentMemoryContext;
	const char **crashed;
	int			n_crashed;
	int			kept = 0;

	SPI_connect();
	n_crashed = run_for_part("SELECT key FROM agentcrm.event_failed WHERE source_id = $1 AND part = $2 AND sqlstate = '57P02'", load, true);
	crashed = MemoryContextAlloc(cxt, sizeof(char *) * Max(n_crashed, 1));
	for (int i = 0; i < n_crashed; i++)
		crashed[i] = MemoryContextStrdup(cxt, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	SPI_finish();
	if (n_crashed == 0)
		return n;
	n_crashed = distinct_keys(crashed, n_crashed);
	for (int i = 0; i < n; i++)
		if (!distinct_has_key(crashed, n_crashed, keys[i]))
			keys[kept++] = keys[i];
	return kept;
}

/* Read keys again that no waiting event explains; false when the chunk has to wait, or the source broke. */
static bool
read_again(Source *source, SourcePart *part, Load *load, const char **keys, int n, TimestampTz now)
{
	n = leave_out_crashed(load, keys, n);
	if (n > 0 && !reconcile_leave_out_waiting(source, part, keys, &n))
		return false;
	load_read_keys(source, part, load, keys, n, now);
	return source->state != SOURCE_BROKEN;
}

/* Sum orders; a key that cannot be read goes the way of all keys, and to event_failed. */
static void
sum_keys(Source *source, SourcePart *part, Load *load, const char **keys, int n, bool whole, MonthSums *sums, TimestampTz now)
{
	const char **found = keys;
	int			n_found = n;
	MappedLine *lines;
	int			n_lines;
	ErrorData  *error;

	if (n == 0 || (n == 1 && load_key_is_blamed(source, part, keys[0], now)))
		return;
	error = source_read_orders(source, part, &found, &n_found, &lines, &n_lines);
	if (error == NULL)
		add_orders(sums, lines, n_lines);
	else if (whole && mapping_failed(source, now))
		return;
	else if (n == 1)
		load_read_keys(source, part, load, keys, 1, now);
	else
	{
		sum_keys(source, part, load, keys, n / 2, false, sums, now);
		sum_keys(source, part, load, keys + n / 2, n - n / 2, false, sums, now);
	}
}

/* Sum the orders of a chunk. */
static void
sum_chunk(Source *source, SourcePart *part, Load *load, const char **keys, int n, MonthSums *sums, TimestampTz now)
{
	const char **read = palloc(sizeof(char *) * Max(n, 1));

	memcpy(read, keys, sizeof(char *) * n);
	note_work(NOTE_LOAD, load->load_no, n);
	sum_keys(source, part, load, read, leave_out_crashed(load, read, n), true, sums, now);
}

/* ---- ranges of keys that are ids ---- */

/* Whether keys come in the order of their ids. */
static bool
keys_are_ids(Source *source, SourcePart *part)
{
	Oid			type = part->columns[0].type;

	return source_keys_are_ids(source, part) && (type == INT2OID || type == INT4OID || type == INT8OID);
}

/* See load.h. */
void
months_begin(Source *source, SourcePart *part, Load *load)
{
	forget_sums(load);
	load_begin_phase(load, keys_are_ids(source, part) ? 'k' : 'm', load->total);
}

/* Read all keys of a range again, and what is stored in it and has no key; *upto comes down where much is stored. */
static bool
reread_range(Source *source, SourcePart *part, Load *load, const char **keys, int n, int64 after, int64 *upto, TimestampTz now)
{
	const char **all = palloc(sizeof(char *) * (n + KEYS_PER_RECONCILE));
	int			n_all;

	n_all = ledger_list_months(source->source_id, NULL, after, *upto, KEYS_PER_RECONCILE, all, upto);
	while (n > 0 && pg_strtoint64(keys[n - 1]) > *upto)
		n--;
	memcpy(all + n_all, keys, sizeof(char *) * n);
	n_all = distinct_keys(all, n_all + n);
	if (!read_again(source, part, load, all, n_all, now))
		return false;
	load->looked += n;
	return true;
}

/* Compare the next range of keys; whether to go on with another in this step. */
static bool
compare_range(Source *source, SourcePart *part, Load *load, int limit, TimestampTz now)
{
	MonthSums	given = {.from = archive_limit(source, load)};
	MonthSums	stored = {.from = given.from};
	int64		after = load->position ? pg_strtoint64(load->position) : PG_INT64_MIN;
	int64		upto = PG_INT64_MAX;
	int64		last;
	const char **keys;
	int			n;
	bool		equal;
	LinesRead	before = source_lines_read;
	ErrorData  *error = source_list_keys(source, part, load->position, NULL, limit, &keys, &n);

	if (error)
	{
		load_break_source(source, error, now);
		return false;
	}
	sum_chunk(source, part, load, keys, n, &given, now);
	if (source->state == SOURCE_BROKEN)
		return false;
	if (n == limit)
		upto = pg_strtoint64(keys[n - 1]);
	equal = ledger_sum_months(source->source_id, after, upto, n + 1, &stored, &last) <= n && months_equal(&given, &stored);
	if (equal)
		load->looked += n;
	else
	{
		before = source_lines_read; /* a range that is read again counts once, as far as it goes now */
		if (!reread_range(source, part, load, keys, n, after, &upto, now))
			return false;
	}
	findings_add_lines(load, &before);
	load->done = load->looked;
	if (upto == PG_INT64_MAX)
		load_end(source, part, load, now);
	else
		load->position = MemoryContextStrdup(load_context(), psprintf("%lld", (long long) upto));
	return equal && upto < PG_INT64_MAX;
}

/* See load.h. */
void
phase_keys(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int			limit = note_limit(NOTE_LOAD, KEYS_PER_RECONCILE);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm range", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	bool		more = true;

	for (int i = 0; more && i < (limit < KEYS_PER_RECONCILE ? 1 : RANGES_PER_CHUNK); i++)
	{
		more = compare_range(source, part, load, limit, now);
		if (more)
			MemoryContextReset(cxt);
	}
	MemoryContextSwitchTo(old);
}

/* ---- months ---- */

/* See load.h. */
void
phase_months(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int			limit = note_limit(NOTE_LOAD, ORDERS_PER_SUM);
	MonthSums	sums = {.from = archive_limit(source, load)};
	LinesRead	before = source_lines_read;
	const char **keys;
	int			n;
	ErrorData  *error = source_list_keys(source, part, load->position, NULL, limit, &keys, &n);

	if (error)
	{
		load_break_source(source, error, now);
		return;
	}
	sum_chunk(source, part, load, keys, n, &sums, now);
	if (source->state == SOURCE_BROKEN)
		return;
	keep_sums(load, "application", &sums, load->position, n > 0 ? keys[n - 1] : "");
	load->done += n;
	load->looked += n;
	findings_add_lines(load, &before);
	if (n == limit)
		load->position = pstrdup(keys[n - 1]);
	else
		load_begin_phase(load, 'l', load->looked);
}

/* See load.h. */
void
phase_ledger(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int			limit = note_limit(NOTE_LOAD, ORDERS_PER_SUM);
	int64		after = load->position ? pg_strtoint64(load->position) : PG_INT64_MIN;
	MonthSums	sums = {.from = archive_limit(source, load)};
	int64		last;
	int			n = ledger_sum_months(source->source_id, after, PG_INT64_MAX, limit, &sums, &last);

	note_work(NOTE_LOAD, load->load_no, n);
	keep_sums(load, "ledger", &sums, psprintf("%lld", (long long) after), psprintf("%lld", (long long) last));
	load->done += n;
	if (n == limit)
		load->position = psprintf("%lld", (long long) last);
	else if (drop_equal_months(load))
		load_begin_phase(load, 'c', count_chunks(load, "ledger"));
	else
		load_end(source, part, load, now);
}

/* ---- months that differ ---- */

/* See load.h. */
void
phase_compare(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int			limit = note_limit(NOTE_LOAD, KEYS_PER_RECONCILE);
	const char **keys = palloc(sizeof(char *) * limit);
	MonthSums	months;
	Chunk		chunk;
	char	   *reached;
	int64		last;
	int			n;

	if (!next_chunk(load, "ledger", position_chunk(load, &reached), &chunk))
	{
		load_begin_phase(load, 'g', count_chunks(load, "application"));
		return;
	}
	months = differing_months(load);
	n = ledger_list_months(source->source_id, &months, pg_strtoint64(reached ? reached : chunk.after),
						   pg_strtoint64(chunk.upto), limit, keys, &last);
	note_work(NOTE_LOAD, load->load_no, n);
	if (read_again(source, part, load, keys, n, now))
		set_position(load, &chunk, n == limit ? psprintf("%lld", (long long) last) : NULL);
}

/* Keep only keys that are not stored. */
static int
leave_out_stored(Source *source, SourcePart *part, const char **keys, int n)
{
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	bool	   *stored = palloc(sizeof(bool) * Max(n, 1));
	int			kept = 0;

	for (int i = 0; i < n; i++)
		ids[i] = source_key_identity(source, part, keys[i]);
	ledger_find_orders(source->source_id, ids, n, stored);
	for (int i = 0; i < n; i++)
		if (!stored[i])
			keys[kept++] = keys[i];
	return kept;
}

/* See load.h. */
void
phase_gaps(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int			limit = note_limit(NOTE_LOAD, KEYS_PER_RECONCILE);
	const char **keys;
	const char *last;
	Chunk		chunk;
	char	   *reached;
	int			n;
	ErrorData  *error;

	if (!next_chunk(load, "application", position_chunk(load, &reached), &chunk))
	{
		forget_sums(load);
		load_end(source, part, load, now);
		return;
	}
	error = source_list_keys(source, part, reached ? reached : chunk.after, chunk.upto, limit, &keys, &n);
	if (error)
	{
		load_break_source(source, error, now);
		return;
	}
	last = n > 0 ? keys[n - 1] : NULL;
	note_work(NOTE_LOAD, load->load_no, n);
	if (read_again(source, part, load, keys, leave_out_stored(source, part, keys, n), now))
		set_position(load, &chunk, n == limit ? last : NULL);
}
