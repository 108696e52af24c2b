/*
 * registry.c
 *		Which agents there are, and the call for proposals to all of them.
 *
 * The rows of agentcrm.agent are cached per backend; a statement trigger on
 * that table sends the invalidation that drops the cache.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "agent/registry.h"
#include "agent/speak.h"
#include "json.h"

PG_FUNCTION_INFO_V1(agentcrm_agent_changed);
PG_FUNCTION_INFO_V1(agentcrm_check_params);

#define MAX_PARAMS 16

/* The built-in agents, and all parameters they read. */
static const struct
{
	const char *name;
	AgentFunction function;
	const char *params[MAX_PARAMS];
}			builtins[] =
{
	{"portfolio_agent", portfolio_bid, {"call_cost", "call_factor", "call_minutes", "message_cost", "suggestion_cost",
	"valid_days", "visit_cost", "visit_minutes", "welcome_days", "win_back_days", "win_back_every", "win_back_until"}},
	{"reorder_agent", reorder_bid, {"basket_floor", "call_cost", "call_factor", "call_minutes", "min_orders", "suggestion_cost",
	"threshold", "valid_days"}},
	{"retention_agent", retention_bid, {"call_cost", "call_minutes", "category_min_rate", "item_min_orders", "item_min_rate", "message_cost",
	"min_orders", "valid_days"}},
};

/* What backtest_metric and backtest_report call the models' own figures. */
static const char *const reserved[] = {"model", "items", "alarms"};

static MemoryContext registry_cxt = NULL;
static bool registry_valid = false;
static Oid	registry_relid = InvalidOid;
static Agent *agents;
static int	n_agents;

/* The C function behind a function of schema agentcrm, or NULL. */
AgentFunction
agent_builtin(const char *name)
{
	for (int i = 0; i < (int) lengthof(builtins); i++)
		if (strcmp(builtins[i].name, name) == 0)
			return builtins[i].function;
	return NULL;
}

static void
forget_registry(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == registry_relid)
		registry_valid = false;
}

/* Statement trigger on agentcrm.agent: every backend reads the registry anew. */
Datum
agentcrm_agent_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("agentcrm.agent_changed must be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

static bool
is_param(const char *const *known, const char *name)
{
	for (int i = 0; i < MAX_PARAMS && known[i]; i++)
		if (strcmp(known[i], name) == 0)
			return true;
	return false;
}

static const char *
param_list(const char *const *known)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < MAX_PARAMS && known[i]; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", known[i]);
	return list.data;
}

/* An error when a built-in agent does not read a parameter, or could not: it would be ignored without a word. */
void
builtin_check_params(const char *function, Jsonb *params)
{
	const char *const *known = NULL;
	JsonbIterator *it = JsonbIteratorInit(&params->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	char	   *name = NULL;

	for (int i = 0; i < (int) lengthof(builtins); i++)
		if (strcmp(builtins[i].name, function) == 0)
			known = builtins[i].params;
	if (known == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(params))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("params must be a jsonb object")));
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(v.val.string.val, v.val.string.len);
		if (token == WJB_KEY && !is_param(known, name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s has no parameter \"%s\"", function, name),
					 errhint("Its parameters are %s.", param_list(known))));
		if (token == WJB_VALUE && v.type != jbvNumeric)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("parameter \"%s\" of %s must be a number", name, function)));
	}
}

static void
check_name(const char *name)
{
	for (int i = 0; name && i < (int) lengthof(reserved); i++)
		if (strcmp(name, reserved[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME), errmsg("an agent cannot be called \"%s\"", name),
					 errdetail("Backtests report the models' own figures under that name.")));
}

/* Row trigger on agentcrm.agent: the name is free, parameters of built-in agents are those that they read. */
Datum
agentcrm_check_params(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row;
	bool		isnull;
	char	   *schema;
	Datum		params;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("agentcrm.check_params must be called as a trigger")));
	desc = data->tg_relation->rd_att;
	row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
	check_name(SPI_getvalue(row, desc, SPI_fnumber(desc, "agent")));
	schema = SPI_getvalue(row, desc, SPI_fnumber(desc, "function_schema"));
	params = SPI_getbinval(row, desc, SPI_fnumber(desc, "params"), &isnull);
	/* NULLs are the constraints' matter */
	if (!isnull && schema && strcmp(schema, AGENTCRM_SCHEMA) == 0)
		builtin_check_params(SPI_getvalue(row, desc, SPI_fnumber(desc, "function_name")), DatumGetJsonbP(params));
	return PointerGetDatum(row);
}

/* The numeric members of a jsonb object, in the current memory context. */
int
params_numbers(Jsonb *params, AgentParam **numbers)
{
	JsonbIterator *it = JsonbIteratorInit(&params->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	int			n = 0;

	*numbers = palloc0(sizeof(AgentParam) * (JB_ROOT_COUNT(params) + 1));
	if (!JB_ROOT_IS_OBJECT(params))
		return 0;
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			(*numbers)[n].name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE && v.type == jbvNumeric)
			(*numbers)[n++].value = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
																	   NumericGetDatum(v.val.numeric)));
	}
	return n;
}

/* A parameter of the agent being called, else its default. */
double
agent_param(const AgentCall *call, const char *name, double otherwise)
{
	for (int i = 0; i < call->n_params; i++)
		if (strcmp(call->params[i].name, name) == 0)
			return call->params[i].value;
	return otherwise;
}

/* A parameter that counts something: whole, at least 1, no more than an int holds. */
int
agent_count(const AgentCall *call, const char *name, int otherwise)
{
	double		value = agent_param(call, name, otherwise);

	return value >= 1 ? (int) Min(value, PG_INT32_MAX) : 1;
}

static char *
column_text(HeapTuple row, TupleDesc desc, int column)
{
	return SPI_getvalue(row, desc, column);
}

static void
load_agent(Agent *agent, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Datum		params;

	agent->name = column_text(row, desc, 1);
	agent->schema = column_text(row, desc, 2);
	agent->function = column_text(row, desc, 3);
	agent->registrar = column_text(row, desc, 4);
	agent->shadow = strcmp(column_text(row, desc, 5), "shadow") == 0;
	agent->troubled = column_text(row, desc, 6) != NULL;
	agent->objective = column_text(row, desc, 8);
	agent->each_client = strcmp(column_text(row, desc, 9), "client") == 0;
	params = SPI_getbinval(row, desc, 7, &isnull);
	agent->params = DatumGetJsonbPCopy(params);
	agent->n_numbers = params_numbers(agent->params, &agent->numbers);
	agent->native = strcmp(agent->schema, AGENTCRM_SCHEMA) == 0 ? agent_builtin(agent->function) : NULL;
}

static void
load_registry(void)
{
	MemoryContext old;

	if (registry_cxt == NULL)
	{
		registry_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm agents", ALLOCSET_SMALL_SIZES);
		CacheRegisterRelcacheCallback(forget_registry, (Datum) 0);
	}
	registry_relid = get_relname_relid("agent", get_namespace_oid(AGENTCRM_SCHEMA, false));
	registry_valid = true;		/* before reading: a change from now on drops it again */
	n_agents = 0;
	MemoryContextReset(registry_cxt);
	if (SPI_execute("SELECT agent, function_schema, function_name, registrar, mode, problem, params, objective, called_for "
					"FROM agentcrm.agent WHERE mode OPERATOR(pg_catalog.<>) 'paused' ORDER BY agent",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.agent");
	old = MemoryContextSwitchTo(registry_cxt);
	agents = palloc0(sizeof(Agent) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
		load_agent(&agents[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	n_agents = (int) SPI_processed;
	MemoryContextSwitchTo(old);
	SPI_freetuptable(SPI_tuptable);
}

/* The agents that are not paused, by name.  Needs SPI; valid until the next call. */
const Agent *
registry_agents(int *n)
{
	MemoryContext cxt = CurrentMemoryContext;

	if (!registry_valid)
	{
		PG_TRY();
		{
			load_registry();
		}
		PG_CATCH();
		{
			registry_valid = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
		MemoryContextSwitchTo(cxt); /* SPI leaves its own */
	}
	*n = n_agents;
	return agents;
}

/* An empty sink for bids in the current memory context. */
void
bid_sink_init(BidSink *sink)
{
	memset(sink, 0, sizeof(BidSink));
	sink->cxt = CurrentMemoryContext;
}

/* Room for one more bid, all zero. */
Bid *
bid_new(BidSink *sink)
{
	if (sink->n == sink->max)
	{
		int			max = Max(64, sink->max * 2);
		Bid		   *bids = MemoryContextAllocHuge(sink->cxt, sizeof(Bid) * max);

		if (sink->n > 0)
			memcpy(bids, sink->bids, sizeof(Bid) * sink->n);
		sink->bids = bids;
		sink->max = max;
	}
	memset(&sink->bids[sink->n], 0, sizeof(Bid));
	return &sink->bids[sink->n++];
}

/* The means that a bid uses: resource -> amount. */
Jsonb *
bid_uses(const Bid *bid)
{
	JsonbParseState *state = NULL;

	json_begin(&state);
	if (bid->minutes > 0)
		json_number(&state, "rep_minutes", bid->minutes);
	if (bid->budget > 0)
		json_number(&state, "budget", bid->budget);
	return json_end(&state);
}

/* Call every agent that is not paused; a failing one leaves the bids of the others alone. */
void
agent_call_all(const ClientSnapshot *clients, int n_clients, const Population *population, const AgentCall *call,
			   BidSink *sink)
{
	int			n;
	const Agent *list;
	Agent	   *copies;

	if (n_clients == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	list = registry_agents(&n);

	/* an invalidation on the way may drop the list: what is called is the list of the start */
	copies = palloc(sizeof(Agent) * Max(n, 1));
	memcpy(copies, list, sizeof(Agent) * n);
	for (int i = 0; i < n; i++)
		agent_call_guarded(&copies[i], clients, n_clients, population, call, sink);
	SPI_finish();
}

/* See agent.h. */
void
agent_alarms(const ClientSnapshot *client, const Population *population, const AgentCall *call, BidSink *sink)
{
	int			n;
	const Agent *found = registry_agents(&n);

	for (int i = 0; i < n; i++)
		if (found[i].native == retention_bid)
		{
			AgentCall	own = *call;

			own.n_params = found[i].n_numbers;
			own.params = found[i].numbers;
			retention_bid(client, 1, population, &own, sink);
			return;
		}
}
