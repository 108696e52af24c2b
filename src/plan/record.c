/*
 * record.c
 *		Rounds and bids as rows.
 *
 * Bids are written once, with their fate; until it is known they wait in a
 * tuplestore, so that a round over all clients needs little memory.  Refusals
 * and looks are counted by the round, and the last ones of each client kept
 * with its assessment.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
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
	BID_NET, BID_USES, BID_VALID_UNTIL, BID_REASON_CODE, BID_REASON, BID_EVIDENCE, BID_ITERATION, BID_OBLIGATION, BID_EXPLORE,
	BID_THETA, BID_EFFECT_N, BID_TRUST_CLAIM, BID_TRUST_LIFT, BID_RESIDUAL,
	BID_STATUS, BID_STATUS_REASON, BID_DUE_ON, BID_REP_ID, BID_PRICE
};

/* What is known before the round is settled; the rest is a bid's fate. */
#define N_OFFER BID_RESIDUAL

/* Bids written at once. */
#define BIDS_AT_ONCE 1000

/* Answers kept of a client: a foreign agent may give many. */
#define MAX_ANSWERS 16

static const Oid bid_types[] = {
	INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, JSONBOID, NUMERICOID,
	INT8OID, TEXTOID, DATEOID, DATEOID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	FLOAT8OID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, JSONBOID, INT4OID, BOOLOID, BOOLOID,
	FLOAT8OID, INT4OID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	TEXTOID, TEXTOID, DATEOID, INT8OID, FLOAT8OID
};

/* Bids as rows. */
#define BID_ROWS \
"SELECT b.client_id, $39, b.bid_id, $38, b.iteration, b.agent, b.action, b.channel, b.product_id, b.basket, b.quantity, " \
"b.programme_id, b.category, b.demand_from, b.demand_to, b.obligation, b.explore, b.p_claim, b.p_baseline, b.p_used, " \
"pg_catalog.round(b.margin::numeric, 4), b.value, b.residual, pg_catalog.round(b.cost::numeric, 4), b.net, b.uses, CASE WHEN b.effect_n OPERATOR(pg_catalog.>) 0 THEN 'measured' ELSE 'assumed' END, " \
"b.effect_n, b.theta, b.trust_claim, b.trust_lift, " \
"b.valid_until, b.status, b.status_reason, b.due_on, b.rep_id, b.price, b.reason_code, b.reason, b.evidence, $40 " \
"FROM " COLUMNS " AS b(client_id, bid_id, agent, action, channel, product_id, basket, quantity, " \
"programme_id, category, demand_from, demand_to, p_claim, p_baseline, p_used, margin, value, cost, net, uses, valid_until, " \
"reason_code, reason, evidence, iteration, obligation, explore, theta, effect_n, trust_claim, trust_lift, residual, " \
"status, status_reason, due_on, rep_id, price)"

static const char bid_insert[] =
"INSERT INTO agentcrm.bid (client_id, as_of, bid_id, round_id, iteration, agent, action, channel, product_id, basket, quantity, "
"programme_id, demand_category, demand_from, demand_to, obligation, explore, p_claim, p_baseline, p_used, margin, value, residual, cost, net_value, "
"uses, effect, effect_n, theta, trust_claim, trust_lift, valid_until, status, status_reason, due_on, rep_id, price, reason_code, reason, evidence, models) " BID_ROWS;

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
	if (population->effect_model_id != 0)
		json_numeric(&state, "effect", int64_to_numeric(population->effect_model_id));
	if (population->trust_model_id != 0)
		json_numeric(&state, "trust", int64_to_numeric(population->trust_model_id));
	/* that of all clients; those of segments were fitted with it */
	if (population->n_repurchase > 0)
		json_numeric(&state, "repurchase", int64_to_numeric(population->repurchase[0].model_id));
	return JsonbPGetDatum(json_end(&state));
}

/* A row before its fate is known. */
typedef struct Offer
{
	Datum		values[N_OFFER];
	bool		nulls[N_OFFER];
} Offer;

static void
put(Offer *o, int column, Datum value)
{
	o->values[column - 1] = value;
	o->nulls[column - 1] = false;
}

static void
put_text(Offer *o, int column, const char *text)
{
	if (text != NULL)
		put(o, column, CStringGetTextDatum(text));
}

static void
put_bid(Offer *o, const Bid *bid)
{
	put_text(o, BID_AGENT, bid->agent);
	put_text(o, BID_ACTION, bid->action);
	put_text(o, BID_CHANNEL, bid->channel);
	if (bid->has_product)
		put(o, BID_PRODUCT_ID, Int64GetDatum(bid->product_id));
	if (bid->basket != NULL)
		put(o, BID_BASKET, JsonbPGetDatum(bid->basket));
	if (bid->quantity != NULL)
		put(o, BID_QUANTITY, NumericGetDatum(bid->quantity));
	if (bid->has_programme)
		put(o, BID_PROGRAMME_ID, Int64GetDatum(bid->programme_id));
	put_text(o, BID_CATEGORY, bid->demand_category);
	put(o, BID_FROM, DateADTGetDatum(bid->demand_from));
	put(o, BID_TO, DateADTGetDatum(bid->demand_to));
	if (bid->p_claim >= 0)
		put(o, BID_P_CLAIM, Float8GetDatum(bid->p_claim));
	put(o, BID_MARGIN, Float8GetDatum(bid->margin));
	put(o, BID_COST, Float8GetDatum(bid->cost));
	put(o, BID_USES, JsonbPGetDatum(bid_uses(bid)));
	put(o, BID_VALID_UNTIL, TimestampTzGetDatum(bid->valid_until));
	put_text(o, BID_REASON_CODE, bid->reason_code);
	put_text(o, BID_REASON, bid->reason);
	put(o, BID_EVIDENCE, JsonbPGetDatum(bid->evidence));
}

static void
make_offer(Offer *o, const Candidate *c)
{
	memset(o->nulls, true, sizeof(o->nulls));
	put_bid(o, c->bid);
	put(o, BID_CLIENT_ID, Int64GetDatum(c->client_id));
	put(o, BID_ID, Int64GetDatum(c->bid_id));
	put(o, BID_P_BASELINE, Float8GetDatum(c->p_baseline));
	put(o, BID_P_USED, Float8GetDatum(c->p_used));
	put(o, BID_VALUE, Float8GetDatum(c->value));
	put(o, BID_NET, Float8GetDatum(c->net));
	put(o, BID_ITERATION, Int32GetDatum(c->iteration));
	put(o, BID_OBLIGATION, BoolGetDatum(c->obligation));
	put(o, BID_EXPLORE, BoolGetDatum(c->explore));
	put(o, BID_THETA, Float8GetDatum(c->theta));
	put(o, BID_EFFECT_N, Int32GetDatum(c->effect_n));
	put(o, BID_TRUST_CLAIM, Float8GetDatum(c->trust_claim));
	put(o, BID_TRUST_LIFT, Float8GetDatum(c->trust_lift));
	put(o, BID_RESIDUAL, Float8GetDatum(c->residual));
}

static void
add_row(Columns *c, const Offer *offer, const Candidate *candidate)
{
	columns_row(c);
	for (int i = 0; i < N_OFFER; i++)
		if (!offer->nulls[i])
			columns_set(c, i + 1, offer->values[i]);
	columns_set_text(c, BID_STATUS, candidate->accepted ? "accepted" : candidate->reason ? "rejected" : "proposed");
	columns_set_text(c, BID_STATUS_REASON, candidate->reason);
	if (candidate->accepted)
		columns_set(c, BID_DUE_ON, DateADTGetDatum(candidate->due_on));
	if (candidate->accepted && candidate->has_rep)
		columns_set(c, BID_REP_ID, Int64GetDatum(candidate->rep_id));
	columns_set(c, BID_PRICE, Float8GetDatum(candidate->price));
}

static int
execute_bids(Columns *c, SPIPlanPtr *plan, const char *sql, int64 round_id, TimestampTz as_of, const Population *population)
{
	Oid			types[3] = {INT8OID, TIMESTAMPTZOID, JSONBOID};
	Datum		values[3] = {Int64GetDatum(round_id), TimestampTzGetDatum(as_of), models_of(population)};

	return columns_execute(c, plan, sql, 3, types, values);
}

/* See plan.h. */
void
plan_show_bids(const Candidate *candidates, int n, int64 round_id, TimestampTz as_of, const Population *population)
{
	static SPIPlanPtr plan = NULL;
	Columns    *c = columns_new(lengthof(bid_types), bid_types, n);

	for (int i = 0; i < n; i++)
	{
		Offer		offer;

		make_offer(&offer, &candidates[i]);
		add_row(c, &offer, &candidates[i]);
	}
	if (execute_bids(c, &plan, BID_ROWS, round_id, as_of, population) != SPI_OK_SELECT)
		elog(ERROR, "could not show bids");
}

static TupleDesc
offer_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(N_OFFER);

	for (int i = 0; i < N_OFFER; i++)
		TupleDescInitEntry(desc, i + 1, NULL, bid_types[i], -1, 0);
	return desc;
}

/* Where the bids of a round wait for their fate; beyond work_mem on disk.  In the round's memory context. */
void
record_begin(Round *round)
{
	round->rows = tuplestore_begin_heap(false, false, work_mem);
	round->row_desc = offer_desc();
}

/* The candidate's bid will be a row; the bid itself is not needed any more. */
void
record_keep(Round *round, const Candidate *c)
{
	Offer		offer;

	make_offer(&offer, c);
	tuplestore_putvalues(round->rows, round->row_desc, offer.values, offer.nulls);
}

static void
next_offer(Round *round, TupleTableSlot *slot, Offer *offer)
{
	if (!tuplestore_gettupleslot(round->rows, true, false, slot))
		elog(ERROR, "a bid of the round was lost");
	slot_getallattrs(slot);
	for (int i = 0; i < N_OFFER; i++)
	{
		Form_pg_attribute att = TupleDescAttr(round->row_desc, i);

		offer->nulls[i] = slot->tts_isnull[i];
		offer->values[i] = offer->nulls[i] ? (Datum) 0 : datumCopy(slot->tts_values[i], att->attbyval, att->attlen);
	}
}

/* Write some of the round's bids with their fate; the number of the candidate after them. */
static int
record_some(Round *round, TupleTableSlot *slot, int from)
{
	static SPIPlanPtr plan = NULL;
	Columns    *c = columns_new(lengthof(bid_types), bid_types, BIDS_AT_ONCE);
	int			n = 0;
	int			i;

	for (i = from; i < round->n && n < BIDS_AT_ONCE; i++)
	{
		Offer		offer;

		if (round->candidates[i].incumbent)
			continue;
		next_offer(round, slot, &offer);
		add_row(c, &offer, &round->candidates[i]);
		n++;
	}
	if (n > 0 && execute_bids(c, &plan, bid_insert, round->call.round_id, round->call.as_of, round->population) != SPI_OK_INSERT)
		elog(ERROR, "could not write bids");
	return i;
}

/* Write the round's bids with their fate.  Needs SPI. */
void
record_bids(Round *round)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(round->row_desc, &TTSOpsMinimalTuple);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm bids", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < round->n;)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);

		i = record_some(round, slot, i);
		MemoryContextSwitchTo(old);
		MemoryContextReset(cxt);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(cxt);
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
push_names(JsonbParseState **state, const char *key, const List *names)
{
	JsonbValue	v = {.type = jbvString};
	ListCell   *lc;

	json_key(state, key);
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	foreach(lc, names)
	{
		v.val.string.val = lfirst(lc);
		v.val.string.len = strlen(lfirst(lc));
		(void) pushJsonbValue(state, WJB_ELEM, &v);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* Settings in force, and what the agents answered apart from bids. */
static Datum
limits_of(const Round *round)
{
	JsonbParseState *state = NULL;

	json_begin(&state);
	json_number(&state, "value_horizon", round->call.horizon_days);
	json_number(&state, "margin_rate", round->call.margin_rate);
	json_number(&state, "false_alarm_rate", round->call.false_alarm_rate);
	json_numeric(&state, "refusals", int64_to_numeric(round->n_refusals));
	json_numeric(&state, "looks", int64_to_numeric(round->n_looks));
	push_names(&state, "agents", round->answered);
	push_names(&state, "failed", round->failed);
	return JsonbPGetDatum(json_end(&state));
}

/* Write the round itself.  Needs SPI. */
void
record_round(const Round *round, double seconds)
{
	static SPIPlanPtr plan = NULL;
	static const char *const kinds[] = {"event", "due", "daily"};
	Oid			types[15] = {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID, FLOAT8OID, JSONBOID,
	FLOAT8OID, INT4OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, INT4OID};
	Datum		values[15];
	int			bids = 0;
	int			awards = 0;
	double		value = 0;

	for (int i = 0; i < round->n; i++)
	{
		bids += !round->candidates[i].incumbent;
		if (round->candidates[i].accepted && !round->candidates[i].incumbent)
		{
			awards++;
			value += round->candidates[i].net;
		}
	}
	values[0] = Int64GetDatum(round->call.round_id);
	values[1] = CStringGetTextDatum(kinds[round->kind]);
	values[2] = TimestampTzGetDatum(round->call.as_of);
	values[3] = Int64GetDatum(round->call.seed);
	values[4] = Int32GetDatum(round->n_clients);
	values[5] = Int32GetDatum(bids);
	values[6] = Int32GetDatum(awards);
	values[7] = Float8GetDatum(value);
	values[8] = limits_of(round);
	values[9] = Float8GetDatum(seconds);
	values[10] = Int32GetDatum(round->iterations);
	values[11] = Float8GetDatum(round->first.value);
	values[12] = Float8GetDatum(round->answer.value);
	values[13] = Float8GetDatum(round->answer.bound);
	values[14] = Int32GetDatum(round->answer.passes);
	if (plan_execute(&plan, "INSERT INTO agentcrm.round (round_id, kind, as_of, seed, clients, bids, awards, value, limits, "
					 "duration, iterations, first_value, plan_value, bound, passes) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
					 "pg_catalog.make_interval(secs => $10), $11, $12, $13, $14, $15)", 15, types, values) != SPI_OK_INSERT)
		elog(ERROR, "could not write the round");
}
