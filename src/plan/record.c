/*
 * record.c
 *		Rounds and bids as rows.
 *
 * Bids are written once, with their fate.  Refusals and looks are counted by
 * the round, and the last ones of each client kept with its assessment.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "json.h"
#include "plan/award.h"
#include "store.h"

enum
{
	BID_CLIENT_ID = 1, BID_ID, BID_AGENT, BID_ACTION, BID_CHANNEL, BID_PRODUCT_ID, BID_BASKET, BID_QUANTITY,
	BID_PROGRAMME_ID, BID_CATEGORY, BID_FROM, BID_TO, BID_P_CLAIM, BID_P_BASELINE, BID_P_USED, BID_MARGIN, BID_VALUE, BID_COST,
	BID_NET, BID_USES, BID_VALID_UNTIL, BID_STATUS, BID_STATUS_REASON, BID_REASON_CODE, BID_REASON, BID_EVIDENCE
};

/* Answers kept of a client: a foreign agent may give many. */
#define MAX_ANSWERS 16

static const Oid bid_types[] = {
	INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, JSONBOID, NUMERICOID,
	INT8OID, TEXTOID, DATEOID, DATEOID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	FLOAT8OID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID
};

/* Bids as rows. */
#define BID_ROWS \
"SELECT b.client_id, $28, b.bid_id, $27, b.agent, b.action, b.channel, b.product_id, b.basket, b.quantity, " \
"b.programme_id, b.category, b.demand_from, b.demand_to, b.p_claim, b.p_baseline, b.p_used, " \
"pg_catalog.round(b.margin::numeric, 4), b.value, pg_catalog.round(b.cost::numeric, 4), b.net, b.uses, 'assumed', " \
"b.valid_until, b.status, b.status_reason, b.reason_code, b.reason, b.evidence, $29 " \
"FROM " COLUMNS " AS b(client_id, bid_id, agent, action, channel, product_id, basket, quantity, " \
"programme_id, category, demand_from, demand_to, p_claim, p_baseline, p_used, margin, value, cost, net, uses, valid_until, " \
"status, status_reason, reason_code, reason, evidence)"

static const char bid_insert[] =
"INSERT INTO agentcrm.bid (client_id, as_of, bid_id, round_id, agent, action, channel, product_id, basket, quantity, "
"programme_id, demand_category, demand_from, demand_to, p_claim, p_baseline, p_used, margin, value, cost, net_value, uses, effect, "
"valid_until, status, status_reason, reason_code, reason, evidence, models) " BID_ROWS;

/* The next round's number. */
int64
record_next_round(void)
{
	return nextval_internal(store_relid("round_round_id_seq"), false);
}

static Datum
models_of(const Population *population)
{
	JsonbParseState *state = NULL;

	json_begin(&state);
	json_numeric(&state, "gap", int64_to_numeric(population->gap_model_id));
	json_numeric(&state, "class", int64_to_numeric(population->class_model_id));
	json_numeric(&state, "popularity", int64_to_numeric(population->popularity_model_id));
	json_numeric(&state, "season", int64_to_numeric(population->season_model_id));
	json_numeric(&state, "spend", int64_to_numeric(population->spend_model_id));
	json_numeric(&state, "inclusion", int64_to_numeric(population->inclusion_model_id));
	/* that of all clients; those of segments were fitted with it */
	if (population->n_repurchase > 0)
		json_numeric(&state, "repurchase", int64_to_numeric(population->repurchase[0].model_id));
	return JsonbPGetDatum(json_end(&state));
}

static void
set_offer(Columns *c, const Bid *bid)
{
	columns_set_text(c, BID_AGENT, bid->agent);
	columns_set_text(c, BID_ACTION, bid->action);
	columns_set_text(c, BID_CHANNEL, bid->channel);
	if (bid->has_product)
		columns_set(c, BID_PRODUCT_ID, Int64GetDatum(bid->product_id));
	if (bid->basket != NULL)
		columns_set(c, BID_BASKET, JsonbPGetDatum(bid->basket));
	if (bid->quantity != NULL)
		columns_set(c, BID_QUANTITY, NumericGetDatum(bid->quantity));
	if (bid->has_programme)
		columns_set(c, BID_PROGRAMME_ID, Int64GetDatum(bid->programme_id));
	columns_set_text(c, BID_CATEGORY, bid->demand_category);
	columns_set(c, BID_FROM, DateADTGetDatum(bid->demand_from));
	columns_set(c, BID_TO, DateADTGetDatum(bid->demand_to));
	columns_set(c, BID_COST, Float8GetDatum(bid->cost));
	columns_set(c, BID_USES, JsonbPGetDatum(bid_uses(bid)));
	columns_set(c, BID_VALID_UNTIL, TimestampTzGetDatum(bid->valid_until));
	columns_set_text(c, BID_REASON_CODE, bid->reason_code);
	columns_set_text(c, BID_REASON, bid->reason);
	columns_set(c, BID_EVIDENCE, JsonbPGetDatum(bid->evidence));
}

static void
set_fate(Columns *c, const Candidate *candidate)
{
	columns_set(c, BID_CLIENT_ID, Int64GetDatum(candidate->bid->client_id));
	columns_set(c, BID_ID, Int64GetDatum(candidate->bid_id));
	if (candidate->bid->p_claim >= 0)
		columns_set(c, BID_P_CLAIM, Float8GetDatum(candidate->bid->p_claim));
	columns_set(c, BID_P_BASELINE, Float8GetDatum(candidate->p_baseline));
	columns_set(c, BID_P_USED, Float8GetDatum(candidate->p_used));
	columns_set(c, BID_MARGIN, Float8GetDatum(candidate->bid->margin));
	columns_set(c, BID_VALUE, Float8GetDatum(candidate->value));
	columns_set(c, BID_NET, Float8GetDatum(candidate->net));
	columns_set_text(c, BID_STATUS, candidate->accepted ? "accepted" : candidate->reason ? "rejected" : "proposed");
	columns_set_text(c, BID_STATUS_REASON, candidate->reason);
}

static int
execute_bids(SPIPlanPtr *plan, const char *sql, const Candidate *candidates, int n, int64 round_id, TimestampTz as_of,
			 const Population *population)
{
	Oid			types[3] = {INT8OID, TIMESTAMPTZOID, JSONBOID};
	Datum		values[3] = {Int64GetDatum(round_id), TimestampTzGetDatum(as_of), models_of(population)};
	Columns    *c = columns_new(lengthof(bid_types), bid_types, n);

	for (int i = 0; i < n; i++)
	{
		columns_row(c);
		set_offer(c, candidates[i].bid);
		set_fate(c, &candidates[i]);
	}
	return columns_execute(c, plan, sql, 3, types, values);
}

/* Write the round's bids with their fate.  Needs SPI. */
void
record_bids(const Candidate *candidates, int n, int64 round_id, TimestampTz as_of, const Population *population)
{
	static SPIPlanPtr plan = NULL;

	if (n > 0 && execute_bids(&plan, bid_insert, candidates, n, round_id, as_of, population) != SPI_OK_INSERT)
		elog(ERROR, "could not write bids");
}

/* See plan.h. */
void
plan_show_bids(const Candidate *candidates, int n, int64 round_id, TimestampTz as_of, const Population *population)
{
	static SPIPlanPtr plan = NULL;

	if (execute_bids(&plan, BID_ROWS, candidates, n, round_id, as_of, population) != SPI_OK_SELECT)
		elog(ERROR, "could not show bids");
}

static void
push_answer(JsonbParseState **state, const Bid *bid)
{
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	json_text(state, "agent", bid->agent);
	json_text(state, "code", bid->reason_code);
	json_text(state, "reason", bid->reason);
	if (!TIMESTAMP_NOT_FINITE(bid->next_look_at) && bid->next_look_at > 0)
	{
		char		day[MAXDATELEN + 1];

		json_text(state, "look_on", JsonEncodeDateTime(day, DateADTGetDatum(bid->next_look_at / USECS_PER_DAY), DATEOID, NULL));
	}
	(void) pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* What agents without a bid said, into each snapshot's state; lives in cxt. */
void
record_answers(ClientSnapshot *clients, int n_clients, const BidSink *sink, MemoryContext cxt)
{
	JsonbParseState **states = palloc0(sizeof(JsonbParseState *) * n_clients);
	int		   *answers = palloc0(sizeof(int) * n_clients);

	for (int i = 0; i < sink->n; i++)
	{
		const Bid  *bid = &sink->bids[i];
		int			client = bid->client_index;

		if (bid->kind == BID_BID || answers[client] == MAX_ANSWERS)
			continue;
		if (answers[client]++ == 0)
			(void) pushJsonbValue(&states[client], WJB_BEGIN_ARRAY, NULL);
		push_answer(&states[client], bid);
	}
	for (int i = 0; i < n_clients; i++)
	{
		JsonbValue *all = states[i] ? pushJsonbValue(&states[i], WJB_END_ARRAY, NULL) : NULL;
		MemoryContext old = MemoryContextSwitchTo(cxt);

		clients[i].state.answers = all ? JsonbValueToJsonb(all) : NULL;
		MemoryContextSwitchTo(old);
	}
}

static void
count_kinds(const BidSink *sink, int *refusals, int *looks)
{
	*refusals = *looks = 0;
	for (int i = 0; i < sink->n; i++)
	{
		if (sink->bids[i].kind == BID_REFUSE)
			(*refusals)++;
		else if (sink->bids[i].kind == BID_LOOK)
			(*looks)++;
	}
}

/* Settings in force, and what the agents answered apart from bids. */
static Datum
limits_of(const AgentCall *call, const BidSink *sink)
{
	JsonbParseState *state = NULL;
	JsonbValue	v = {.type = jbvString};
	ListCell   *lc;
	int			refusals;
	int			looks;

	count_kinds(sink, &refusals, &looks);
	json_begin(&state);
	json_number(&state, "value_horizon", call->horizon_days);
	json_number(&state, "margin_rate", call->margin_rate);
	json_number(&state, "false_alarm_rate", call->false_alarm_rate);
	json_numeric(&state, "refusals", int64_to_numeric(refusals));
	json_numeric(&state, "looks", int64_to_numeric(looks));
	json_key(&state, "agents");
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, sink->answered)
	{
		v.val.string.val = lfirst(lc);
		v.val.string.len = strlen(lfirst(lc));
		(void) pushJsonbValue(&state, WJB_ELEM, &v);
	}
	(void) pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbPGetDatum(json_end(&state));
}

/* Write the round itself.  Needs SPI. */
void
record_round(int64 round_id, RoundKind kind, const AgentCall *call, int n_clients, const Candidate *candidates, int n,
			 const BidSink *sink, double seconds)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[10] = {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID, FLOAT8OID, JSONBOID,
	FLOAT8OID};
	Datum		values[10];
	int			awards = 0;
	double		value = 0;

	for (int i = 0; i < n; i++)
		if (candidates[i].accepted)
		{
			awards++;
			value += candidates[i].net;
		}
	values[0] = Int64GetDatum(round_id);
	values[1] = CStringGetTextDatum(kind == ROUND_EVENT ? "event" : "daily");
	values[2] = TimestampTzGetDatum(call->as_of);
	values[3] = Int64GetDatum(call->seed);
	values[4] = Int32GetDatum(n_clients);
	values[5] = Int32GetDatum(n);
	values[6] = Int32GetDatum(awards);
	values[7] = Float8GetDatum(value);
	values[8] = limits_of(call, sink);
	values[9] = Float8GetDatum(seconds);
	if (plan_execute(&plan, "INSERT INTO agentcrm.round (round_id, kind, as_of, seed, clients, bids, awards, value, limits, "
					 "duration) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
					 "pg_catalog.make_interval(secs => $10))", 10, types, values) != SPI_OK_INSERT)
		elog(ERROR, "could not write the round");
}
