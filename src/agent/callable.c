/*
 * callable.c
 *		Agents by SQL: the built-in ones for anyone to call, and registration.
 *
 * The functions by hand run the same C as the worker's rounds, with the
 * parameters of agentcrm.agent unless the call names others.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "agent/registry.h"
#include "agent/speak.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(agentcrm_portfolio_agent);
PG_FUNCTION_INFO_V1(agentcrm_reorder_agent);
PG_FUNCTION_INFO_V1(agentcrm_retention_agent);
PG_FUNCTION_INFO_V1(agentcrm_usual_basket);
PG_FUNCTION_INFO_V1(agentcrm_missed_items);
PG_FUNCTION_INFO_V1(agentcrm_create_agent);

#define N_PROPOSAL 22

static int64 *
client_ids(ArrayType *array, int *n)
{
	Datum	   *values;
	bool	   *nulls;
	int64	   *ids;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("client_ids must be a one-dimensional array")));
	deconstruct_array(array, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, n);
	ids = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("client_ids must not contain nulls")));
		ids[i] = DatumGetInt64(values[i]);
	}
	return ids;
}

static double
call_number(Jsonb *call, const char *name, double otherwise)
{
	JsonbValue	buffer;
	JsonbValue *v = getKeyJsonValueFromContainer(&call->root, name, strlen(name), &buffer);

	if (v == NULL || v->type == jbvNull)
		return otherwise;
	if (v->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"%s\" of the call must be a number", name)));
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
}

/* The parameters of the agent's row, after those that the call names itself. */
static void
call_params(Jsonb *json, const char *function, AgentCall *call)
{
	JsonbValue	buffer;
	JsonbValue *named = getKeyJsonValueFromContainer(&json->root, "params", strlen("params"), &buffer);
	AgentParam *own = NULL;
	AgentParam *all;
	int			n_own = 0;
	int			n;
	const Agent *list;

	if (named != NULL && named->type == jbvBinary)
	{
		Jsonb	   *params = JsonbValueToJsonb(named);

		builtin_check_params(function, params);
		n_own = params_numbers(params, &own);
	}
	list = registry_agents(&n);
	for (int i = 0; i < n; i++)
	{
		if (strcmp(list[i].schema, AGENTCRM_SCHEMA) != 0 || strcmp(list[i].function, function) != 0)
			continue;
		all = palloc(sizeof(AgentParam) * (n_own + list[i].n_numbers + 1));
		memcpy(all, own, sizeof(AgentParam) * n_own);
		memcpy(all + n_own, list[i].numbers, sizeof(AgentParam) * list[i].n_numbers);
		own = all;
		n_own += list[i].n_numbers;
		break;
	}
	call->params = own;
	call->n_params = n_own;
}

static void
parse_call(Jsonb *json, const char *function, TimestampTz as_of, AgentCall *call)
{
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the call must be a jsonb object")));
	memset(call, 0, sizeof(AgentCall));
	call->as_of = as_of;
	call->round_id = (int64) call_number(json, "round", 0);
	call->seed = (int64) call_number(json, "seed", 0);
	call->horizon_days = call_number(json, "horizon_days", agentcrm_value_horizon);
	call->margin_rate = call_number(json, "margin_rate", agentcrm_margin_rate);
	call->false_alarm_rate = call_number(json, "false_alarm_rate", agentcrm_false_alarm_rate);
	call_params(json, function, call);
}

static Datum
text_or_null(const char *s, bool *isnull)
{
	*isnull = s == NULL;
	return s == NULL ? (Datum) 0 : CStringGetTextDatum(s);
}

/* A double as numeric without the digits that carry nothing. */
static Datum
money(double value)
{
	return DirectFunctionCall2(numeric_round, DirectFunctionCall1(float8_numeric, Float8GetDatum(value)),
							   Int32GetDatum(4));
}

static void
put_proposal(ReturnSetInfo *rsinfo, const Bid *bid)
{
	Datum		v[N_PROPOSAL] = {0};
	bool		nulls[N_PROPOSAL];
	bool		is_bid = bid->kind == BID_BID;

	memset(nulls, true, sizeof(nulls));
	v[0] = Int64GetDatum(bid->client_id);
	nulls[0] = false;
	v[1] = text_or_null(is_bid ? "bid" : bid->kind == BID_REFUSE ? "refuse" : "look", &nulls[1]);
	v[16] = text_or_null(bid->reason_code, &nulls[16]);
	v[17] = text_or_null(bid->reason, &nulls[17]);
	nulls[19] = bid->next_look_at == 0;
	v[19] = TimestampTzGetDatum(bid->next_look_at);
	if (is_bid)
	{
		v[2] = text_or_null(bid->action, &nulls[2]);
		v[3] = text_or_null(bid->channel, &nulls[3]);
		v[4] = Int64GetDatum(bid->product_id);
		nulls[4] = !bid->has_product;
		v[5] = PointerGetDatum(bid->basket);
		nulls[5] = bid->basket == NULL;
		v[6] = NumericGetDatum(bid->quantity);
		nulls[6] = bid->quantity == NULL;
		v[8] = text_or_null(bid->demand_category, &nulls[8]);
		v[9] = DateADTGetDatum(bid->demand_from);
		v[10] = DateADTGetDatum(bid->demand_to);
		v[11] = Float8GetDatum(bid->p_claim);
		v[12] = money(bid->margin);
		v[13] = money(bid->cost);
		v[14] = JsonbPGetDatum(bid_uses(bid));
		v[15] = TimestampTzGetDatum(bid->valid_until);
		v[18] = PointerGetDatum(bid->evidence);
		v[20] = BoolGetDatum(bid->obligation);
		v[21] = BoolGetDatum(bid->explore);
		nulls[20] = nulls[21] = false;
		nulls[9] = nulls[10] = nulls[12] = nulls[13] = nulls[14] = nulls[15] = false;
		nulls[11] = bid->p_claim < 0;
		nulls[18] = bid->evidence == NULL;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, v, nulls);
}

/* What the second argument says, and the agent's parameters, after those of the call's json. */
static AgentCall
begin_call(FunctionCallInfo fcinfo, Jsonb *json, const char *function)
{
	MemoryContext cxt = CurrentMemoryContext;
	TimestampTz as_of;
	AgentCall	call;

	agentcrm_check_argument(fcinfo, 1, "as_of");
	as_of = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("as_of must be finite")));
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	parse_call(json, function, as_of, &call);
	SPI_finish();
	MemoryContextSwitchTo(cxt);
	return call;
}

static Datum
call_by_hand(FunctionCallInfo fcinfo, const char *function)
{
	AgentCall	call;
	BidSink		sink;
	int64	   *ids;
	int			n_ids;
	int			n;
	ClientSnapshot *clients;

	agentcrm_check_argument(fcinfo, 0, "client_ids");
	agentcrm_check_argument(fcinfo, 2, "call");
	ids = client_ids(PG_GETARG_ARRAYTYPE_P(0), &n_ids);
	call = begin_call(fcinfo, PG_GETARG_JSONB_P(2), function);
	clients = profile_read(ids, n_ids, call.as_of, &n);
	bid_sink_init(&sink);
	agent_builtin(function) (clients, n, profile_population(), &call, &sink);
	for (int i = 0; i < sink.n; i++)
		put_proposal((ReturnSetInfo *) fcinfo->resultinfo, &sink.bids[i]);
	return (Datum) 0;
}

/* agentcrm.portfolio_agent(client_ids, as_of, call) */
Datum
agentcrm_portfolio_agent(PG_FUNCTION_ARGS)
{
	return call_by_hand(fcinfo, "portfolio_agent");
}

/* agentcrm.reorder_agent(client_ids, as_of, call) */
Datum
agentcrm_reorder_agent(PG_FUNCTION_ARGS)
{
	return call_by_hand(fcinfo, "reorder_agent");
}

/* agentcrm.retention_agent(client_ids, as_of, call) */
Datum
agentcrm_retention_agent(PG_FUNCTION_ARGS)
{
	return call_by_hand(fcinfo, "retention_agent");
}

/* The snapshot of the one client that the first argument names; NULL when there is none. */
static ClientSnapshot *
read_client(FunctionCallInfo fcinfo, const char *function, AgentCall *call)
{
	int64		id;
	int			n;
	ClientSnapshot *clients;

	agentcrm_check_argument(fcinfo, 0, "client_id");
	id = PG_GETARG_INT64(0);
	*call = begin_call(fcinfo, DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))), function);
	clients = profile_read(&id, 1, call->as_of, &n);
	return n > 0 ? clients : NULL;
}

/* agentcrm.usual_basket(client_id, as_of): what the reorder agent would suggest. */
Datum
agentcrm_usual_basket(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	AgentCall	call;
	ClientSnapshot *client = read_client(fcinfo, "reorder_agent", &call);
	BasketLine *lines;
	int			n = client ? reorder_basket(client, &call, &lines) : 0;

	for (int i = 0; i < n; i++)
	{
		Datum		values[4] = {
			Int64GetDatum(lines[i].product->product_id), Float8GetDatum(lines[i].p), NumericGetDatum(lines[i].quantity),
			Float8GetDatum(profile_item_within(client, profile_population(), lines[i].p, DEMAND_DAYS))
		};
		bool		isnull[4] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
	}
	return (Datum) 0;
}

/* agentcrm.missed_items(client_id, as_of): what the retention agent takes for lost. */
Datum
agentcrm_missed_items(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	AgentCall	call;
	ClientSnapshot *client = read_client(fcinfo, "retention_agent", &call);
	LostItem   *lost;
	int			n = client ? retention_lost_items(client, &call, &lost) : 0;

	for (int i = 0; i < n; i++)
	{
		Datum		values[4] = {Int64GetDatum(lost[i].product->product_id), Float8GetDatum(lost[i].usual),
		Int32GetDatum(lost[i].missed), Float8GetDatum(lost[i].p)};
		bool		isnull[4] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
	}
	return (Datum) 0;
}

#define AGENT_SIGNATURE "An agent is declared (client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal, " \
	"or for one client (client_id bigint, as_of timestamptz, call jsonb) RETURNS agentcrm.bid_proposal."

/* The function of a name, with the arguments of an agent where none are named; as the caller's search_path finds it. */
static Oid
find_function(const char *given)
{
	Oid			arguments[3] = {INT8ARRAYOID, TIMESTAMPTZOID, JSONBOID};
	Oid			function;

	if (strchr(given, '('))
		return DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(given)));
	function = LookupFuncName(compat_qualified_name(given), lengthof(arguments), arguments, true);
	if (OidIsValid(function))
		return function;
	arguments[0] = INT8OID;
	function = LookupFuncName(compat_qualified_name(given), lengthof(arguments), arguments, true);
	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s(bigint[], timestamptz, jsonb) does not exist, nor one for a single client", given),
				 errhint(AGENT_SIGNATURE)));
	return function;
}

/* A function of a signature that agents have, else an error that says so. */
static void
check_function(Oid function, char **schema, char **name, const char **called_for)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	Oid			result;
	Oid			namespace = get_namespace_oid(AGENTCRM_SCHEMA, false);

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("function with OID %u does not exist", function)));
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	result = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("bid_proposal"),
							 ObjectIdGetDatum(namespace));
	if (proc->prokind != PROKIND_FUNCTION || proc->prorettype != result || proc->pronargs != 3 ||
		!(proc->proargtypes.values[0] == INT8OID || (proc->proargtypes.values[0] == INT8ARRAYOID && proc->proretset)) ||
		proc->proargtypes.values[1] != TIMESTAMPTZOID || proc->proargtypes.values[2] != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s is not an agent", format_procedure(function)),
				 errhint(AGENT_SIGNATURE)));
	*called_for = proc->proargtypes.values[0] == INT8OID ? "client" : "batch";
	*schema = get_namespace_name(proc->pronamespace);
	*name = pstrdup(NameStr(proc->proname));
	ReleaseSysCache(tuple);
	if (compat_function_aclcheck(function, GetUserId()) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, *name);
}

/* agentcrm.create_agent(name, objective, function, params, mode): the caller becomes its registrar. */
Datum
agentcrm_create_agent(PG_FUNCTION_ARGS)
{
	static const char *const arguments[] = {"name", "objective", "function", "params", "mode"};
	Oid			types[8] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID};
	Datum		values[8];
	char	   *schema;
	char	   *name;
	const char *called_for;
	Jsonb	   *params;

	for (int i = 0; i < (int) lengthof(arguments); i++)
		agentcrm_check_argument(fcinfo, i, arguments[i]);
	params = PG_GETARG_JSONB_P(3);
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an agent needs a name")));
	check_function(find_function(text_to_cstring(PG_GETARG_TEXT_PP(2))), &schema, &name, &called_for);
	if (!JB_ROOT_IS_OBJECT(params))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("params must be a jsonb object")));
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = CStringGetTextDatum(schema);
	values[3] = CStringGetTextDatum(name);
	values[4] = CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
	values[5] = JsonbPGetDatum(params);
	values[6] = PG_GETARG_DATUM(4);
	values[7] = CStringGetTextDatum(called_for);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	SPI_execute_with_args("INSERT INTO agentcrm.agent (agent, objective, function_schema, function_name, registrar, params, mode, called_for) "
						  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (agent) DO UPDATE SET "
						  "objective = EXCLUDED.objective, function_schema = EXCLUDED.function_schema, "
						  "function_name = EXCLUDED.function_name, registrar = EXCLUDED.registrar, "
						  "params = EXCLUDED.params, mode = EXCLUDED.mode, called_for = EXCLUDED.called_for, problem = NULL",
						  8, types, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}
