/*
 * foreign.c
 *		Calling an agent that is an SQL-callable function of someone's own.
 *
 * Turns the call into arguments and the rows of agentcrm.bid_proposal into
 * bids.  The guard has already put the rights, the limits and the
 * subtransaction in place, and checks the bids afterwards.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "agent/registry.h"
#include "agent/speak.h"
#include "json.h"

#define PROPOSAL_COLUMNS "p.kind, p.action, p.channel, p.product_id, p.basket, p.quantity, p.programme_id, p.demand_category, " \
	"p.demand_from, p.demand_to, p.p_claim, p.margin, p.cost, p.uses, p.valid_until, p.reason_code, p.reason, p.evidence, p.next_look_at, " \
	"coalesce(p.obligation, false), coalesce(p.explore, false)"

enum
{
	COL_CLIENT_ID = 1, COL_KIND, COL_ACTION, COL_CHANNEL, COL_PRODUCT_ID, COL_BASKET, COL_QUANTITY,
	COL_PROGRAMME_ID, COL_DEMAND_CATEGORY, COL_DEMAND_FROM, COL_DEMAND_TO, COL_P_CLAIM, COL_MARGIN, COL_COST, COL_USES,
	COL_VALID_UNTIL, COL_REASON_CODE, COL_REASON, COL_EVIDENCE, COL_NEXT_LOOK_AT,
	COL_OBLIGATION, COL_EXPLORE
};

typedef struct Row
{
	HeapTuple	tuple;
	TupleDesc	desc;
} Row;

static Datum
row_value(Row row, int column, bool *isnull)
{
	return SPI_getbinval(row.tuple, row.desc, column, isnull);
}

static const char *
row_text(Row row, int column)
{
	return SPI_getvalue(row.tuple, row.desc, column);
}

static double
row_numeric(Row row, int column, double otherwise)
{
	bool		isnull;
	Datum		v = row_value(row, column, &isnull);

	return isnull ? otherwise : DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, v));
}

static TimestampTz
row_time(Row row, int column, TimestampTz otherwise)
{
	bool		isnull;
	Datum		v = row_value(row, column, &isnull);

	return isnull ? otherwise : DatumGetTimestampTz(v);
}

static DateADT
row_date(Row row, int column, DateADT otherwise)
{
	bool		isnull;
	Datum		v = row_value(row, column, &isnull);

	return isnull ? otherwise : DatumGetDateADT(v);
}

static Jsonb *
row_jsonb(Row row, int column)
{
	bool		isnull;
	Datum		v = row_value(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(v);
}

static bool
row_bool(Row row, int column)
{
	bool		isnull;

	return DatumGetBool(row_value(row, column, &isnull));
}

static Jsonb *
empty_object(void)
{
	JsonbParseState *state = NULL;

	json_begin(&state);
	return json_end(&state);
}

static int
find_client(const ClientSnapshot *clients, int n_clients, int64 client_id)
{
	for (int i = 0; i < n_clients; i++)
		if (clients[i].client_id == client_id)
			return i;
	return -1;
}

static double
amount_used(Jsonb *uses, const char *resource)
{
	AgentParam *numbers;
	int			n = uses != NULL ? params_numbers(uses, &numbers) : 0;

	for (int i = 0; i < n; i++)
		if (strcmp(numbers[i].name, resource) == 0)
			return numbers[i].value;
	return 0;
}

static void
read_demand(Row row, const ClientSnapshot *client, Bid *bid)
{
	bool		isnull;
	Datum		v;

	bid->demand_category = row_text(row, COL_DEMAND_CATEGORY);
	if (bid->demand_category == NULL)
		bid->demand_category = "*";
	bid->demand_from = row_date(row, COL_DEMAND_FROM, client->today);
	bid->demand_to = row_date(row, COL_DEMAND_TO, client->today + DEMAND_DAYS);
	v = row_value(row, COL_P_CLAIM, &isnull);
	bid->p_claim = isnull ? -1 : DatumGetFloat8(v);
	bid_require(isnull || bid->p_claim >= 0, client->client_id, "p_claim must lie between 0 and 1");
}

static void
read_offer(Row row, const ClientSnapshot *client, const AgentCall *call, Bid *bid)
{
	bool		isnull;
	Datum		v;

	bid->action = row_text(row, COL_ACTION);
	bid->channel = row_text(row, COL_CHANNEL);
	v = row_value(row, COL_PRODUCT_ID, &isnull);
	bid->has_product = !isnull;
	bid->product_id = isnull ? 0 : DatumGetInt64(v);
	bid->basket = row_jsonb(row, COL_BASKET);
	v = row_value(row, COL_QUANTITY, &isnull);
	bid->quantity = isnull ? NULL : DatumGetNumericCopy(v);
	v = row_value(row, COL_PROGRAMME_ID, &isnull);
	bid->has_programme = !isnull;
	bid->programme_id = isnull ? 0 : DatumGetInt64(v);
	bid->margin = row_numeric(row, COL_MARGIN, NAN);
	bid->cost = row_numeric(row, COL_COST, 0);
	bid->minutes = amount_used(row_jsonb(row, COL_USES), "rep_minutes");
	bid->budget = amount_used(row_jsonb(row, COL_USES), "budget");
	bid->valid_until = row_time(row, COL_VALID_UNTIL, agent_days_later(client, agent_param(call, "valid_days", 7)));
	bid->evidence = row_jsonb(row, COL_EVIDENCE);
	if (bid->evidence == NULL)
		bid->evidence = empty_object();
	bid->obligation = row_bool(row, COL_OBLIGATION);
	bid->explore = row_bool(row, COL_EXPLORE);
}

static void
read_proposal(Row row, const ClientSnapshot *clients, int n_clients, const AgentCall *call, BidSink *sink)
{
	bool		isnull;
	int64		client_id = DatumGetInt64(row_value(row, COL_CLIENT_ID, &isnull));
	int			index = isnull ? -1 : find_client(clients, n_clients, client_id);
	const char *kind = row_text(row, COL_KIND) ? row_text(row, COL_KIND) : row_text(row, COL_ACTION) ? "bid" : "look";
	Bid		   *bid;

	bid_require(index >= 0, isnull ? 0 : client_id, "the client was not in the call");
	bid_require((strcmp(kind, "bid") == 0 || strcmp(kind, "refuse") == 0 || strcmp(kind, "look") == 0),
				client_id, "kind must be bid, refuse or look");
	bid = bid_new(sink);
	bid->client_id = client_id;
	bid->client_index = index;
	bid->kind = kind[0] == 'b' ? BID_BID : kind[0] == 'r' ? BID_REFUSE : BID_LOOK;
	bid->reason_code = row_text(row, COL_REASON_CODE);
	bid->reason = row_text(row, COL_REASON);
	bid->next_look_at = row_time(row, COL_NEXT_LOOK_AT, 0);
	if (bid->reason_code == NULL)
		bid->reason_code = call->agent;
	if (bid->reason == NULL)
		bid->reason = bid->reason_code;
	if (bid->kind != BID_BID)
		return;
	read_demand(row, &clients[index], bid);
	read_offer(row, &clients[index], call, bid);
}

/* What was rejected of the agent for want of means, each with the reason and the price of the means. */
static void
push_rejected(JsonbParseState **state, const ClientSnapshot *clients, const AgentCall *call)
{
	if (call->iteration != 2)
		return;
	json_key(state, "rejected");
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < call->n_rejected; i++)
	{
		const AgentRejected *r = &call->rejected[i];

		if (strcmp(r->agent, call->agent) != 0)
			continue;
		(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		json_numeric(state, "client_id", int64_to_numeric(clients[r->client_index].client_id));
		json_text(state, "action", r->action);
		json_text(state, "demand_category", r->demand_category);
		json_text(state, "reason", r->reason);
		json_number(state, "price", r->price);
		(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* The call as jsonb: round, iteration, seed, settings and the agent's parameters. */
static Jsonb *
call_jsonb(const Agent *agent, const ClientSnapshot *clients, const AgentCall *call)
{
	JsonbParseState *state = NULL;
	JsonbValue	v;

	json_begin(&state);
	json_numeric(&state, "round", int64_to_numeric(call->round_id));
	json_number(&state, "iteration", call->iteration == 2 ? 2 : 1);
	json_numeric(&state, "seed", int64_to_numeric(call->seed));
	json_number(&state, "horizon_days", call->horizon_days);
	json_number(&state, "margin_rate", call->margin_rate);
	json_number(&state, "false_alarm_rate", call->false_alarm_rate);
	push_rejected(&state, clients, call);
	json_key(&state, "params");
	v.type = jbvBinary;
	v.val.binary.data = &agent->params->root;
	v.val.binary.len = VARSIZE(agent->params) - VARHDRSZ;
	(void) pushJsonbValue(&state, WJB_VALUE, &v);
	return json_end(&state);
}

static Datum
id_array(const ClientSnapshot *clients, int n_clients)
{
	Datum	   *ids = palloc(sizeof(Datum) * n_clients);

	for (int i = 0; i < n_clients; i++)
		ids[i] = Int64GetDatum(clients[i].client_id);
	return PointerGetDatum(construct_array(ids, n_clients, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Call the agent's function by name and take its proposals into the sink.  Needs SPI. */
void
foreign_bid(const Agent *agent, const ClientSnapshot *clients, int n_clients, const AgentCall *call, BidSink *sink)
{
	Oid			types[3] = {INT8ARRAYOID, TIMESTAMPTZOID, JSONBOID};
	Datum		values[3];
	const char *function = quote_qualified_identifier(agent->schema, agent->function);
	char	   *sql = agent->each_client ?
		psprintf("SELECT coalesce(p.client_id, i.id), %s FROM pg_catalog.unnest($1) i(id), LATERAL %s(i.id, $2, $3) p "
				 "WHERE p.kind IS NOT NULL OR p.action IS NOT NULL OR p.next_look_at IS NOT NULL", PROPOSAL_COLUMNS, function) :
		psprintf("SELECT p.client_id, %s FROM %s($1, $2, $3) p", PROPOSAL_COLUMNS, function);
	SPITupleTable *table;
	MemoryContext old;

	values[0] = id_array(clients, n_clients);
	values[1] = TimestampTzGetDatum(call->as_of);
	values[2] = JsonbPGetDatum(call_jsonb(agent, clients, call));
	if (SPI_execute_with_args(sql, 3, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not call agent \"%s\"", agent->name);
	table = SPI_tuptable;
	old = MemoryContextSwitchTo(sink->cxt);
	for (uint64 i = 0; i < table->numvals; i++)
	{
		Row			row = {table->vals[i], table->tupdesc};

		read_proposal(row, clients, n_clients, call, sink);
	}
	MemoryContextSwitchTo(old);
	SPI_freetuptable(table);
}
