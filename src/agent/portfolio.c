/*
 * portfolio.c
 *		The portfolio agent: bids by stage of the relation and value.
 *
 * Welcomes new clients, visits or calls rising ones, wins back dormant and
 * lost ones.  The stages themselves belong to the assessment, as do lifetime
 * value and value class.
 */
#include "postgres.h"

#include <math.h>

#include "agent/speak.h"

/* The case for one client: what to offer and why. */
typedef struct Case
{
	const char *code;
	const char *reason;
	Offer		offers[3];		/* dearest first; the dearest that pays is bid */
	int			n_offers;
	double		days;			/* the bid stands so long */
} Case;

static void
add_offer(Case *c, Offer offer)
{
	c->offers[c->n_offers++] = offer;
}

/* The class by what the client is to bring; by what it brought in 12 months until that can be told. */
static char
value_class(const ClientSnapshot *client)
{
	if (client->state.value_class != 0)
		return client->state.value_class;
	return client->state.abc != 0 ? client->state.abc : 'C';
}

/* Bids the dearest offer whose expected gain covers its cost twice, else the cheapest if it pays at all. */
static void
bid_case(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
		 BidSink *sink, const Case *c)
{
	double		p = agent_order_within(client, population, DEMAND_DAYS);
	double		margin = agent_order_margin(client, population, call);
	double		gain = agent_gain(p, margin);
	int			pick = 0;
	Bid		   *bid;
	Evidence	e;

	while (pick < c->n_offers - 1 && (gain < c->offers[pick].cost * agent_param(call, "call_factor", 2) ||
									  agent_was_rejected(call, client_index, c->offers[pick].action)))
		pick++;
	if (gain <= c->offers[pick].cost)
	{
		agent_refuse(sink, client, client_index, "no_gain",
					 psprintf("expected gain %s does not cover the cost of any action", say_amount(gain)));
		return;
	}
	bid = agent_bid(sink, client, client_index, call, c->offers[pick]);
	bid->margin = margin;
	bid->valid_until = agent_days_later(client, c->days);
	bid->next_look_at = bid->valid_until;
	bid->reason_code = c->code;
	bid->reason = c->reason;
	evidence_begin(&e, client, "stage, n_orders, first_order_on, last_order_on, elapsed, abc, p_alive, order_value, "
				   "expected_orders, expected_value, lifetime_value, value_class", "");
	evidence_parameter(&e, "window_days", DEMAND_DAYS);
	evidence_values(&e);
	evidence_text(&e, "stage", profile_stage_name(client->state.stage));
	evidence_number(&e, "n_orders", client->profile.n_orders);
	evidence_text(&e, "last_order_on", say_date(client->profile.last_order_on));
	evidence_number(&e, "elapsed", client->state.elapsed);
	evidence_number(&e, "p_order", p);
	evidence_number(&e, "p_alive", client->state.p_alive);
	evidence_number(&e, "order_value", client->state.order_value);
	evidence_number(&e, "expected_value", client->state.expected_value);
	evidence_number(&e, "lifetime_value", client->state.lifetime_value);
	evidence_text(&e, "value_class", psprintf("%c", value_class(client)));
	bid->evidence = evidence_end(&e);
}

/* First days after the first order: a word of welcome, once. */
static void
welcome(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
		BidSink *sink)
{
	double		days = agent_param(call, "welcome_days", 4);
	Case		c = {.code = "welcome", .days = days};

	if (client->profile.n_orders > 1 || client->state.elapsed >= days)
	{
		agent_refuse(sink, client, client_index, "welcomed", "the time of welcome is over");
		return;
	}
	c.reason = psprintf("New client: first order on %s, %s ago, worth %s; %s chance of a second within %d days.",
						say_date(client->profile.first_order_on), say_days(client->state.elapsed),
						say_amount(client->state.order_value),
						say_percent(agent_order_within(client, population, DEMAND_DAYS)), DEMAND_DAYS);
	add_offer(&c, offer_call(call));
	add_offer(&c, offer_message(call));
	bid_case(client, client_index, population, call, sink, &c);
}

/* Rising clients are seen in the middle of their rhythm, when an order can be moved. */
static void
grow(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
	 BidSink *sink)
{
	double		half = fmax(1, ceil(profile_gap_quantile(client, population, 0.5) / 2));
	Case		c = {.code = "growing", .days = agent_param(call, "valid_days", 7)};

	if (client->state.elapsed < half)
	{
		agent_look(sink, client, client_index, agent_days_later(client, half - client->state.elapsed));
		return;
	}
	c.reason = psprintf("Growing client of class %c: %d orders since %s, %s an order, %s expected in the next %.0f days.",
						value_class(client), client->profile.n_orders,
						say_date(client->profile.first_order_on), say_amount(client->state.order_value),
						say_amount(client->state.expected_value), call->horizon_days);
	if (value_class(client) == 'A' && client->has_rep)
		add_offer(&c, offer_visit(call));
	add_offer(&c, offer_call(call));
	add_offer(&c, offer_suggestion(call));
	bid_case(client, client_index, population, call, sink, &c);
}

/*
 * Winning back is tried in the first days of every quarter of silence, and
 * given up after some years: an agent has no memory of its own, so that the
 * calendar keeps it from writing every week.
 */
static void
win_back(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
		 BidSink *sink)
{
	double		every = fmax(1, agent_param(call, "win_back_every", 90));
	double		open = agent_param(call, "win_back_days", 7);
	double		until = agent_param(call, "win_back_until", 730);
	double		elapsed = client->state.elapsed;
	double		phase = elapsed - floor(elapsed / every) * every;
	bool		lost = client->state.stage == STAGE_LOST;
	Case		c = {.code = lost ? "win_back_lost" : "win_back_dormant", .days = open - phase};

	if (elapsed > until)
	{
		agent_refuse(sink, client, client_index, "given_up",
					 psprintf("silent for %s, tries end after %s", say_days(elapsed), say_days(until)));
		return;
	}
	if (phase >= open)
	{
		agent_look(sink, client, client_index, agent_days_later(client, every - phase));
		return;
	}
	c.reason = psprintf("%s client: %d orders, the last on %s, %s ago; %s chance that it is a client still; orders averaged %s.",
						lost ? "Lost" : "Dormant", client->profile.n_orders,
						say_date(client->profile.last_order_on), say_days(elapsed), say_percent(client->state.p_alive),
						say_amount(client->state.order_value));
	add_offer(&c, offer_call(call));
	add_offer(&c, offer_message(call));
	bid_case(client, client_index, population, call, sink, &c);
}

/* Bids for clients at the turning points of the relation. */
void
portfolio_bid(const ClientSnapshot *clients, int n_clients, const Population *population, const AgentCall *call,
			  BidSink *sink)
{
	for (int i = 0; i < n_clients; i++)
	{
		if (!agent_contactable(sink, &clients[i], i))
			continue;
		if (clients[i].profile.n_orders < 1)
		{
			agent_refuse(sink, &clients[i], i, "insufficient", "insufficient: needs 1 order, has 0");
			continue;
		}
		switch (clients[i].state.stage)
		{
			case STAGE_NEW:
				welcome(&clients[i], i, population, call, sink);
				break;
			case STAGE_GROWING:
				grow(&clients[i], i, population, call, sink);
				break;
			case STAGE_DORMANT:
			case STAGE_LOST:
				win_back(&clients[i], i, population, call, sink);
				break;
			default:
				agent_refuse(sink, &clients[i], i, "stage", "no turning point of the relation");
		}
	}
}
