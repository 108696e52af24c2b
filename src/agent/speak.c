/*
 * speak.c
 *		What the built-in agents share: money, words and evidence.
 *
 * Decides nothing: it puts an agent's figures into a bid, a sentence and a
 * jsonb that names the query from which the figures can be derived again.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "agent/speak.h"
#include "json.h"

/* A phone call by the client's rep. */
Offer
offer_call(const AgentCall *call)
{
	return (Offer) {"call", "phone", agent_param(call, "call_cost", 1.50), agent_param(call, "call_minutes", 6)};
}

/* A visit by the client's rep. */
Offer
offer_visit(const AgentCall *call)
{
	return (Offer) {"visit", "visit", agent_param(call, "visit_cost", 10), agent_param(call, "visit_minutes", 30)};
}

/* An e-mail. */
Offer
offer_message(const AgentCall *call)
{
	return (Offer) {"message", "email", agent_param(call, "message_cost", 0.05), 0};
}

/* A ready order put before the client in the ordering application. */
Offer
offer_suggestion(const AgentCall *call)
{
	return (Offer) {"order_suggestion", "app", agent_param(call, "suggestion_cost", 0.02), 0};
}

/* Margin as a share of net amount: the client's own where the ledger has margins, else the configured rate. */
double
agent_margin_share(const ClientSnapshot *client, const AgentCall *call)
{
	return profile_margin_share(&client->profile, call->margin_rate);
}

/* Margin of one usual order, source currency. */
double
agent_order_margin(const ClientSnapshot *client, const Population *population, const AgentCall *call)
{
	double		value = client->state.order_value;

	if (!(value > 0))
		value = client->profile.n_orders > 0 ? 0 : population->mean_order_value;
	return value * agent_margin_share(client, call);
}

/* Expected incremental margin of an action with the assumed effect, before its cost. */
double
agent_gain(double p0, double margin)
{
	return (effect_apply(p0, EFFECT_ASSUMED) - p0) * margin;
}

/* Probability of an order within so many days of today if nothing is done, as the shared baseline reckons it. */
double
agent_order_within(const ClientSnapshot *client, const Population *population, int days)
{
	return profile_order_within(client, population, days);
}

/* as_of plus whole days, at least one. */
TimestampTz
agent_days_later(const ClientSnapshot *client, double days)
{
	double		whole = fmin(fmax(1.0, ceil(days)), 3650.0);

	return client->as_of + (TimestampTz) whole * USECS_PER_DAY;
}

/* A bid for the client's whole demand of the coming two weeks, costed as offered; the caller fills in the rest. */
Bid *
agent_bid(BidSink *sink, const ClientSnapshot *client, int client_index, const AgentCall *call, Offer offer)
{
	Bid		   *bid = bid_new(sink);

	bid->client_id = client->client_id;
	bid->client_index = client_index;
	bid->kind = BID_BID;
	bid->action = offer.action;
	bid->channel = offer.channel;
	bid->cost = offer.cost;
	bid->minutes = offer.minutes;
	bid->demand_category = "*";
	bid->demand_from = client->today;
	bid->demand_to = client->today + DEMAND_DAYS;
	bid->p_claim = -1;
	bid->valid_until = agent_days_later(client, agent_param(call, "valid_days", 7));
	bid->next_look_at = bid->valid_until;
	return bid;
}

/* A refusal: the agent has nothing to offer, and why. */
void
agent_refuse(BidSink *sink, const ClientSnapshot *client, int client_index, const char *code, const char *reason)
{
	Bid		   *bid = bid_new(sink);

	bid->client_id = client->client_id;
	bid->client_index = client_index;
	bid->kind = BID_REFUSE;
	bid->reason_code = code;
	bid->reason = reason;
}

/* Was the agent's own action for the client rejected for want of means, so that something cheaper is asked for? */
bool
agent_was_rejected(const AgentCall *call, int client_index, const char *action)
{
	for (int i = 0; i < call->n_rejected; i++)
	{
		const AgentRejected *r = &call->rejected[i];

		if (r->client_index == client_index && call->agent != NULL && strcmp(r->agent, call->agent) == 0 && strcmp(r->action, action) == 0)
			return true;
	}
	return false;
}

/* Nothing to offer now; look again then. */
void
agent_look(BidSink *sink, const ClientSnapshot *client, int client_index, TimestampTz at)
{
	Bid		   *bid = bid_new(sink);

	bid->client_id = client->client_id;
	bid->client_index = client_index;
	bid->kind = BID_LOOK;
	bid->next_look_at = at;
}

/* False, with a refusal, for clients nobody may contact. */
bool
agent_contactable(BidSink *sink, const ClientSnapshot *client, int client_index)
{
	if (!client->active)
		agent_refuse(sink, client, client_index, "closed", "the application has closed the client");
	else if (client->do_not_contact)
		agent_refuse(sink, client, client_index, "do_not_contact", "the client wants no contact");
	else
		return true;
	return false;
}

/* 2026-10-02 */
const char *
say_date(DateADT day)
{
	int			year,
				month,
				mday;

	if (DATE_NOT_FINITE(day))
		return "never";
	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return psprintf("%04d-%02d-%02d", year, month, mday);
}

/* Money without more digits than anyone reads. */
const char *
say_amount(double amount)
{
	return psprintf("%.2f", amount);
}

/* 55 %; small ones keep a digit that tells. */
const char *
say_percent(double p)
{
	double		percent = p * 100;

	if (percent < 0.01)
		return "less than 0.01 %";
	if (percent < 1)
		return psprintf("%.2f %%", percent);
	if (percent > 99 && percent < 100)
		return "more than 99 %";
	return psprintf("%.0f %%", percent);
}

/* 1 day, 12 days */
const char *
say_days(double days)
{
	double		whole = rint(days);

	return psprintf("%.0f %s", whole, whole == 1 ? "day" : "days");
}

/* Opens the evidence: columns of agentcrm.profile() that show the figures, for this client at its as_of, and what is joined to it. */
void
evidence_begin(Evidence *e, const ClientSnapshot *client, const char *columns, const char *more)
{
	e->state = NULL;
	(void) pushJsonbValue(&e->state, WJB_BEGIN_OBJECT, NULL);
	json_text(&e->state, "query",
			  psprintf("SELECT %s FROM agentcrm.profile(ARRAY[" INT64_FORMAT "]::bigint[], '%s') s%s",
					   columns, client->client_id, timestamptz_to_str(client->as_of), more));
	json_key(&e->state, "parameters");
	(void) pushJsonbValue(&e->state, WJB_BEGIN_OBJECT, NULL);
	json_text(&e->state, "effect", "assumed");
	json_number(&e->state, "theta", EFFECT_ASSUMED);
}

/* A parameter that entered the decision. */
void
evidence_parameter(Evidence *e, const char *name, double value)
{
	json_number(&e->state, name, value);
}

/* From here on: the values themselves. */
void
evidence_values(Evidence *e)
{
	(void) pushJsonbValue(&e->state, WJB_END_OBJECT, NULL);
	json_key(&e->state, "values");
	(void) pushJsonbValue(&e->state, WJB_BEGIN_OBJECT, NULL);
}

void
evidence_number(Evidence *e, const char *name, double value)
{
	json_number(&e->state, name, value);
}

void
evidence_text(Evidence *e, const char *name, const char *value)
{
	json_text(&e->state, name, value);
}

Jsonb *
evidence_end(Evidence *e)
{
	JsonbValue *result;

	(void) pushJsonbValue(&e->state, WJB_END_OBJECT, NULL);
	result = pushJsonbValue(&e->state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(result);
}
