/*
 * call.c
 *		Agents called for a moment of the past, by the live code.
 *
 * What agents and guard write (an error, a pause) is undone: a replay leaves
 * nothing behind but its own results.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "replay/replay.h"

PG_FUNCTION_INFO_V1(agentcrm_replay_bids);

static const char *const mode_names[] = {"as_known", "as_corrected"};

/* A mode by its name; an error for any other. */
ReplayMode
replay_mode(const char *name)
{
	for (int i = 0; i < (int) lengthof(mode_names); i++)
		if (strcmp(mode_names[i], name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown mode of replay: \"%s\"", name),
			 errhint("Modes are as_known and as_corrected.")));
}

/* Its name. */
const char *
replay_mode_name(ReplayMode mode)
{
	return mode_names[mode];
}

/* What of the ledger is seen at a moment. */
LedgerView
replay_view(ReplayMode mode, TimestampTz as_of)
{
	return (LedgerView)
	{
		as_of, mode == REPLAY_AS_KNOWN ? as_of : DT_NOEND
	};
}

static void
pin(const char *name, const char *value)
{
	set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Words of bids depend on these; and parallel workers would know nothing of a past. */
int
replay_pin(void)
{
	int			level = NewGUCNestLevel();

	pin("search_path", "pg_catalog, pg_temp");
	pin("datestyle", "ISO, YMD");
	pin("timezone", "UTC");
	pin("jit", "off");
	pin("max_parallel_workers_per_gather", "0");
	return level;
}

/* Call the agents and price their bids; a past is on.  Bids live in the current memory context, as does the sink. */
Candidate *
replay_bids(const ClientSnapshot *clients, int n_clients, const AgentCall *call, BidSink *sink, int *n)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const Population *population = profile_population();
	ErrorData  *volatile error = NULL;

	bid_sink_init(sink);
	BeginInternalSubTransaction("agentcrm replay");
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		agent_call_all(clients, n_clients, population, call, sink);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	if (error)
		ReThrowError(error);
	return plan_price(sink, clients, population, call->round_id, n);
}

/* ---- agentcrm.replay_bids() ---- */

static int64 *
client_ids(ArrayType *array, int *n)
{
	Datum	   *elements;
	int64	   *ids;

	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("client_ids must not contain nulls")));
	deconstruct_array(array, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, NULL, n);
	ids = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(elements[i]);
	return ids;
}

/* The generations that the bids of a round were made with. */
static PastPopulation *
population_of_round(int64 round_id)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(round_id)};
	Jsonb	   *models = NULL;
	bool		isnull;

	SPI_connect();
	if (SPI_execute_with_args("SELECT b.models FROM agentcrm.bid b WHERE b.round_id OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.bid");
	if (SPI_processed > 0)
	{
		Datum		row = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		MemoryContextSwitchTo(cxt);
		models = DatumGetJsonbPCopy(row);
	}
	SPI_finish();
	if (models == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no bids of round %lld are stored", (long long) round_id),
				 errhint("Leave round_id out: the generations in use at as_of serve then.")));
	return profile_population_of(models);
}

static void
put_bids(ReturnSetInfo *result, const Candidate *bids, int n, const AgentCall *call)
{
	if (n == 0)
		return;
	SPI_connect();
	plan_show_bids(bids, n, call->round_id, call->as_of, profile_population());
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	SPI_finish();
}

/* agentcrm.replay_bids(client_ids, as_of, mode, round_id): what the agents would have bid then, as rows of agentcrm.bid. */
Datum
agentcrm_replay_bids(PG_FUNCTION_ARGS)
{
	static const char *const arguments[] = {"client_ids", "as_of", "mode"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ReplayMode	mode;
	AgentCall	call;
	LedgerView	view;
	PastPopulation *past;
	int64	   *ids;
	int			n;
	int			level;

	for (int i = 0; i < (int) lengthof(arguments); i++)
		agentcrm_check_argument(fcinfo, i, arguments[i]);
	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(1)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("as_of must be finite")));
	ids = client_ids(PG_GETARG_ARRAYTYPE_P(0), &n);
	mode = replay_mode(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	call = plan_call(PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3), PG_GETARG_TIMESTAMPTZ(1));
	view = replay_view(mode, call.as_of);
	InitMaterializedSRF(fcinfo, 0);
	level = replay_pin();
	past = !PG_ARGISNULL(3) ? population_of_round(call.round_id) :
		mode == REPLAY_AS_KNOWN ? profile_population_at(call.as_of) : profile_population_fit(&view);
	profile_enter_past(past, &view);
	PG_TRY();
	{
		ClientSnapshot *clients = profile_read(ids, n, call.as_of, &n);
		BidSink		sink;
		int			n_bids;
		Candidate  *bids = replay_bids(clients, n, &call, &sink, &n_bids);

		put_bids(result, bids, n_bids, &call);
	}
	PG_FINALLY();
	{
		profile_leave_past();
	}
	PG_END_TRY();
	AtEOXact_GUC(false, level);
	return (Datum) 0;
}
