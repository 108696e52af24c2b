/*
 * backtest.c
 *		agentcrm.backtest(): origins in turn, clients in chunks, a commit after
 *		each, and how far it is.
 *
 * Writes its own rows alone.  Between chunks nothing is held but sums.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "engine/engine.h"
#include "replay/replay.h"

PG_FUNCTION_INFO_V1(agentcrm_backtest);

#define CLIENTS_AT_ONCE 200
#define MAX_ORIGINS 1000
#define TELL_EVERY 1000			/* ms */

typedef struct Run
{
	MemoryContext cxt;			/* for the run; survives the commits */
	int64		run_id;
	ReplayMode	mode;
	int			refit_every;
	double		sample;			/* share of clients judged */
	int			n_origins;
	Window	   *windows;
	PastPopulation *past;
	Measure    *measure;
	int64		n_clients;
	int64		done;			/* clients x origins */
	TimestampTz begun;
	TimestampTz told;
} Run;

/* ---- a piece of work, in a transaction ---- */

/* Begin one: snapshot and settings; the level is for end_piece. */
static int
begin_piece(void)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	return replay_pin();
}

static void
end_piece(int level)
{
	AtEOXact_GUC(false, level);
	PopActiveSnapshot();
	SPI_commit();
}

static void
execute(const char *sql, int n, Oid *types, Datum *values, int expected)
{
	if (SPI_execute_with_args(sql, n, types, values, NULL, false, 0) != expected)
		elog(ERROR, "could not execute \"%s\"", sql);
}

/* ---- clients of one origin ---- */

/* The same clients at each origin, and in each run. */
static int
sample_clients(const Run *run, int64 *ids, int n)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if (run->sample >= 1 ||
			hash_bytes((const unsigned char *) &ids[i], sizeof(int64)) < run->sample * ((double) PG_UINT32_MAX + 1))
			ids[kept++] = ids[i];
	return kept;
}

/* Clients with orders whom the application has not closed. */
static int
keep_clients(ClientSnapshot *clients, int n, int64 *ids)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if (clients[i].profile.n_orders > 0 && clients[i].active)
		{
			clients[kept] = clients[i];
			ids[kept++] = clients[i].client_id;
		}
	return kept;
}

/* In a past: forecasts, bids, and what came of both. */
static void
judge_clients(Run *run, const Window *w, int64 *ids, int n)
{
	LedgerView	hindsight = replay_view(run->mode, w->hindsight);
	LedgerView	view = replay_view(run->mode, w->origin);
	AgentCall	call = plan_call(0, w->origin);
	ClientSnapshot *clients = profile_read(ids, n, w->origin, &n);
	History    *histories;
	BidSink		sink;
	Candidate  *bids;
	int			n_bids;

	n = keep_clients(clients, n, ids);
	histories = history_read(ids, n, &hindsight);
	bids = replay_bids(clients, n, &call, &sink, &n_bids);
	for (int i = 0; i < n_bids; i++)
		measure_bid(run->measure, w, &bids[i], &histories[bids[i].bid->client_index]);
	for (int i = 0; i < n; i++)
	{
		Alarms		alarms[ALARM_RULES];

		alarms_walk(alarms, w, &clients[i], &histories[i], &hindsight);
		profile_move_past(&view);
		measure_client(run->measure, w, &clients[i], &histories[i], alarms);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
work_on_clients(Run *run, const Window *w, int64 *ids, int n)
{
	MemoryContext cxt = AllocSetContextCreate(run->cxt, "agentcrm backtest clients", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LedgerView	view = replay_view(run->mode, w->origin);
	int			level = begin_piece();

	profile_enter_past(run->past, &view);
	PG_TRY();
	{
		judge_clients(run, w, ids, n);
	}
	PG_FINALLY();
	{
		profile_leave_past();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	end_piece(level);
}

/* ---- how far it is ---- */

static void
store_progress(Run *run, const char *phase)
{
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	Datum		values[4] = {Int64GetDatum(run->run_id), CStringGetTextDatum(phase), Int64GetDatum(run->done),
	TimestampTzGetDatum(run->told)};
	int			level = begin_piece();

	execute("UPDATE agentcrm.backtest SET phase = $2, done = $3, updated_at = $4 WHERE run_id OPERATOR(pg_catalog.=) $1",
			4, types, values, SPI_OK_UPDATE);
	end_piece(level);
}

static const char *
time_to_go(const Run *run)
{
	double		left = run->n_origins * (double) run->n_clients - run->done;
	int			seconds;

	if (run->done == 0)
		return "just begun";
	seconds = (int) Min(Max(left, 0) / run->done * (run->told - run->begun) / USECS_PER_SEC, INT_MAX);
	return psprintf("about %02d:%02d:%02d to go", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/* A line a second, and one at each new phase. */
static void
tell(Run *run, int origin, const char *phase, bool always)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!always && !TimestampDifferenceExceeds(run->told, now, TELL_EVERY))
		return;
	run->told = now;
	ereport(NOTICE,
			(errmsg_internal("backtest %lld %s: origin %d of %d (%s), %lld of %lld clients, %s",
							 (long long) run->run_id, phase, origin + 1, run->n_origins,
							 timestamptz_to_str(run->windows[origin].origin),
							 (long long) (run->done - origin * run->n_clients), (long long) run->n_clients,
							 time_to_go(run))));
	store_progress(run, phase);
}

/* ---- origins ---- */

/* The generations for an origin, those of the one before going. */
static void
take_population(Run *run, int origin)
{
	LedgerView	view = replay_view(run->mode, run->windows[origin].origin);
	bool		fit = run->mode == REPLAY_AS_CORRECTED;
	MemoryContext old;
	int			level;

	if (fit && origin % run->refit_every != 0)
		return;
	tell(run, origin, fit ? "fit" : "generations", origin == 0);
	if (run->past)
		profile_free_past(run->past);
	run->past = NULL;
	level = begin_piece();
	old = MemoryContextSwitchTo(run->cxt);
	run->past = fit ? profile_population_fit(&view) : profile_population_at(view.as_of);
	MemoryContextSwitchTo(old);
	end_piece(level);
}

static int
next_clients(int64 after, int64 *ids)
{
	int			level = begin_piece();
	int			n = ledger_clients_after(after, CLIENTS_AT_ONCE, ids);

	end_piece(level);
	return n;
}

static void
work_on_origin(Run *run, int origin)
{
	int64		ids[CLIENTS_AT_ONCE];
	int64		after = PG_INT64_MIN;
	int			n;

	take_population(run, origin);
	run->done = origin * run->n_clients;
	tell(run, origin, "replay", origin == 0);
	while ((n = next_clients(after, ids)) > 0)
	{
		after = ids[n - 1];
		work_on_clients(run, &run->windows[origin], ids, sample_clients(run, ids, n));
		run->done += n;
		tell(run, origin, "replay", false);
	}
	calls_end_window(run->measure);
}

/* ---- arguments ---- */

static TimestampTz
plus(TimestampTz at, Interval *span, int times)
{
	Datum		many = DirectFunctionCall2(interval_mul, IntervalPGetDatum(span), Float8GetDatum(times));

	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at), many));
}

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message), hint ? errhint("%s", hint) : 0));
}

static void
add_window(Run *run, TimestampTz origin, Interval *horizon)
{
	Window	   *w = &run->windows[run->n_origins++];

	w->origin = origin;
	w->days = (int) Min((plus(origin, horizon, 1) - origin) / USECS_PER_DAY, MAX_HORIZON + 1);
	if (w->days < 1 || w->days > MAX_HORIZON)
		refuse(psprintf("horizon must be between 1 and %d days", MAX_HORIZON), NULL);
	w->end = origin + w->days * USECS_PER_DAY;
}

static void
make_windows(Run *run, TimestampTz from, TimestampTz to, Interval *step, Interval *horizon)
{
	TimestampTz hindsight;

	if (TIMESTAMP_NOT_FINITE(from) || TIMESTAMP_NOT_FINITE(to) || from > to)
		refuse("from must not be after to, and both must be finite", NULL);
	run->windows = palloc0(sizeof(Window) * (MAX_ORIGINS + 1));
	for (TimestampTz at = from; at <= to; at = plus(from, step, run->n_origins))
	{
		if (run->n_origins > 0 && at <= run->windows[run->n_origins - 1].origin)
			refuse("step must lead forward", NULL);
		if (run->n_origins == MAX_ORIGINS)
			refuse(psprintf("there are more than %d origins", MAX_ORIGINS), "Take a longer step.");
		add_window(run, at, horizon);
	}
	hindsight = run->windows[run->n_origins - 1].end;
	if (hindsight > engine_now())
		refuse(psprintf("the last window ends on %s, which is still to come", timestamptz_to_str(hindsight)),
			   "Choose an earlier to, or a shorter horizon.");
	for (int i = 0; i < run->n_origins; i++)
	{
		run->windows[i].hindsight = hindsight;
		run->windows[i].first = period_day(from);
		run->windows[i].last = i == run->n_origins - 1;
	}
}

/* Silence after the last order known is no stop: say so. */
static void
check_end(const Run *run)
{
	bool		isnull;
	Datum		last;

	if (SPI_execute("SELECT pg_catalog.max(fold_at), (SELECT pg_catalog.count(*) FROM agentcrm.client) FROM agentcrm.client_profile",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.client_profile");
	last = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && DatumGetTimestampTz(last) < run->windows[0].hindsight - USECS_PER_DAY)
		ereport(NOTICE,
				(errmsg("the last order known is of %s: what windows hold after it counts as silence",
						timestamptz_to_str(DatumGetTimestampTz(last)))));
}

static int64
count_clients(void)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
}

/* ---- the run ---- */

static void
begin_run(Run *run, FunctionCallInfo fcinfo)
{
	Oid			types[10] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INTERVALOID, INTERVALOID, INT4OID, INT4OID, INT8OID,
	TIMESTAMPTZOID, FLOAT8OID};
	Datum		values[10] = {CStringGetTextDatum(replay_mode_name(run->mode)), PG_GETARG_DATUM(0), PG_GETARG_DATUM(1),
		PG_GETARG_DATUM(2), PG_GETARG_DATUM(3), Int32GetDatum(run->refit_every), Int32GetDatum(run->n_origins), 0,
	TimestampTzGetDatum(run->begun), Float8GetDatum(run->sample)};
	MemoryContext old;
	bool		isnull;
	int			level = begin_piece();

	check_end(run);
	run->n_clients = count_clients();
	values[7] = Int64GetDatum(run->n_clients * run->n_origins);
	execute("INSERT INTO agentcrm.backtest (mode, first_origin, last_origin, step, horizon, refit_every, origins, phase, done, total, "
			"started_at, updated_at, sample, pid, settings) VALUES ($1, $2, $3, $4, $5, $6, $7, 'fit', 0, $8, $9, $9, $10, pg_catalog.pg_backend_pid(), "
			"(SELECT pg_catalog.jsonb_object_agg(name, setting) FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) ANY "
			"(ARRAY['agentcrm.false_alarm_rate', 'agentcrm.value_horizon', 'agentcrm.margin_rate']))) RETURNING run_id",
			10, types, values, SPI_OK_INSERT_RETURNING);
	run->run_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	old = MemoryContextSwitchTo(run->cxt);
	run->measure = measure_create(run->sample);
	MemoryContextSwitchTo(old);
	end_piece(level);
}

static void
finish_run(Run *run)
{
	Oid			types[4] = {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[4] = {Int64GetDatum(run->run_id), Int64GetDatum(run->measure->cases), Int64GetDatum(run->measure->n_bids),
	TimestampTzGetDatum(GetCurrentTimestamp())};
	int			level = begin_piece();

	report_write(run->measure, run->run_id);
	execute("UPDATE agentcrm.backtest SET phase = 'done', done = total, cases = $2, bids = $3, updated_at = $4, finished_at = $4, pid = NULL "
			"WHERE run_id OPERATOR(pg_catalog.=) $1", 4, types, values, SPI_OK_UPDATE);
	end_piece(level);
	if (run->measure->cases == 0)
		ereport(NOTICE,
				(errmsg("no client had an order at any origin"),
				 run->mode == REPLAY_AS_KNOWN ? errhint("Before the attach nothing was known; as_corrected goes further back.") : 0));
	ereport(NOTICE,
			(errmsg("backtest %lld is done: SELECT * FROM agentcrm.backtest_report WHERE run_id = %lld",
					(long long) run->run_id, (long long) run->run_id)));
}

/* agentcrm.backtest("from", "to", step, horizon, mode, refit_every, sample) */
Datum
agentcrm_backtest(PG_FUNCTION_ARGS)
{
	static const char *const arguments[] = {"from", "to", "step", "horizon", "mode", "refit_every", "sample"};
	Run			run = {0};
	MemoryContext old;

	for (int i = 0; i < (int) lengthof(arguments); i++)
		agentcrm_check_argument(fcinfo, i, arguments[i]);
	engine_check_call(fcinfo, "backtest");
	run.cxt = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "agentcrm backtest", ALLOCSET_DEFAULT_SIZES);
	run.begun = run.told = GetCurrentTimestamp();
	run.mode = replay_mode(text_to_cstring(PG_GETARG_TEXT_PP(4)));
	run.refit_every = PG_GETARG_INT32(5);
	if (run.refit_every < 1)
		refuse("refit_every must be at least 1", NULL);
	run.sample = PG_GETARG_FLOAT8(6);
	if (!(run.sample > 0 && run.sample <= 1))
		refuse("sample must be above 0 and at most 1", NULL);
	old = MemoryContextSwitchTo(run.cxt);
	make_windows(&run, PG_GETARG_TIMESTAMPTZ(0), PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_INTERVAL_P(2), PG_GETARG_INTERVAL_P(3));
	MemoryContextSwitchTo(old);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	begin_run(&run, fcinfo);
	for (int i = 0; i < run.n_origins; i++)
		work_on_origin(&run, i);
	finish_run(&run);
	SPI_finish();
	MemoryContextDelete(run.cxt);
	PG_RETURN_VOID();
}
