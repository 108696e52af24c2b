/*
 * reorder.c
 *		The reorder agent: when the next order is due, and what is in it.
 *
 * Due is the day from which an order within the demand window is more likely
 * than the threshold, defection allowed for, or the median day of the client's
 * rhythm, whichever comes first; never before half a median gap has passed,
 * else clients with a weekly rhythm would be due on the day of their order.
 */
#include "postgres.h"

#include <math.h>

#include "agent/speak.h"

#define BASKET_LINES 8

typedef struct Due
{
	double		median;			/* days between the client's orders, predictive median */
	double		due;			/* days since the last order when it is due */
} Due;

/* First day at or after which P(order within the window) passes the threshold: bisection between the limits. */
static double
first_day_above(const ClientSnapshot *client, const Population *population, double threshold, double low, double high)
{
	if (profile_order_within_after(client, population, low, DEMAND_DAYS) >= threshold)
		return low;
	if (profile_order_within_after(client, population, high, DEMAND_DAYS) < threshold)
		return high;
	while (high - low > 1)
	{
		double		middle = floor((low + high) / 2);

		if (profile_order_within_after(client, population, middle, DEMAND_DAYS) >= threshold)
			high = middle;
		else
			low = middle;
	}
	return high;
}

static Due
find_due(const ClientSnapshot *client, const Population *population, double threshold)
{
	Due			d;

	d.median = profile_gap_quantile(client, population, 0.5);
	d.due = first_day_above(client, population, threshold, ceil(d.median / 2), ceil(d.median));
	return d;
}

static bool
is_gone(const ClientSnapshot *client)
{
	return client->state.stage == STAGE_DORMANT || client->state.stage == STAGE_LOST;
}

static int
min_orders(const AgentCall *call)
{
	return agent_count(call, "min_orders", 2);
}

/* What the next order is likely to hold of a client who has orders enough and is not gone. */
int
reorder_basket(const ClientSnapshot *client, const AgentCall *call, BasketLine **lines)
{
	*lines = palloc(sizeof(BasketLine) * BASKET_LINES);
	if (is_gone(client) || client->profile.n_orders < min_orders(call))
		return 0;
	return basket_usual(client, BASKET_LINES, agent_param(call, "basket_floor", 0.10), *lines);
}

static const char *
describe(const ClientSnapshot *client, Due d, double p, const BasketLine *lines, int n_lines)
{
	const char *usual = n_lines > 0 ? psprintf("; usually %s", basket_words(lines, n_lines)) : "";
	const char *by = DATE_NOT_FINITE(client->state.due_late) ? "" :
		psprintf(", 80 %% by %s", say_date(client->state.due_late));

	return psprintf("Order %s: half of this client's orders come within %s, the last was on %s, %s ago; "
					"%s chance of an order within %d days%s%s.",
					client->state.elapsed > d.median ? "overdue" : "due", say_days(d.median),
					say_date(client->profile.last_order_on), say_days(client->state.elapsed),
					say_percent(p), DEMAND_DAYS, by, usual);
}

static void
bid_order(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
		  BidSink *sink, Due d)
{
	double		p = agent_order_within(client, population, DEMAND_DAYS);
	double		margin = agent_order_margin(client, population, call);
	double		gain = agent_gain(p, margin);
	Offer		phone = offer_call(call);
	Offer		app = offer_suggestion(call);
	bool		by_phone = gain >= phone.cost * agent_param(call, "call_factor", 2) && !agent_was_rejected(call, client_index, phone.action);
	BasketLine *lines;
	int			n_lines;
	Bid		   *bid;
	Evidence	e;

	if (gain <= app.cost)
	{
		agent_refuse(sink, client, client_index, "no_gain",
					 psprintf("expected gain %s does not cover the cost of any action", say_amount(gain)));
		return;
	}
	n_lines = reorder_basket(client, call, &lines);
	bid = agent_bid(sink, client, client_index, call, by_phone ? phone : app);
	if (n_lines > 0)
		bid->basket = basket_json(lines, n_lines);
	bid->margin = margin;
	bid->reason_code = client->state.elapsed > d.median ? "order_overdue" : "order_due";
	bid->reason = describe(client, d, p, lines, n_lines);
	evidence_begin(&e, client, "n_orders, last_order_on, n_gaps, mean_gap, elapsed, p_alive, p_order, due_early, due_on, "
				   "due_late, order_value, products", "");
	evidence_parameter(&e, "threshold", agent_param(call, "threshold", 0.5));
	evidence_parameter(&e, "window_days", DEMAND_DAYS);
	evidence_values(&e);
	evidence_number(&e, "n_orders", client->profile.n_orders);
	evidence_text(&e, "last_order_on", say_date(client->profile.last_order_on));
	evidence_number(&e, "elapsed", client->state.elapsed);
	evidence_number(&e, "median_gap", d.median);
	evidence_number(&e, "p_order", p);
	evidence_number(&e, "p_alive", client->state.p_alive);
	evidence_text(&e, "due_early", say_date(client->state.due_early));
	evidence_text(&e, "due_on", say_date(client->state.due_on));
	evidence_text(&e, "due_late", say_date(client->state.due_late));
	evidence_number(&e, "order_value", client->state.order_value);
	bid->evidence = evidence_end(&e);
}

static void
look_at_client(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
			   BidSink *sink)
{
	int			least = min_orders(call);
	Due			d;

	if (client->profile.n_orders >= least && client->state.elapsed >= 1 &&
		client->state.silence < client->state.alarm_p)
		agent_refuse(sink, client, client_index, "silence", "unusually silent: the retention agent's case");
	else if (client->profile.n_orders >= least && client->state.elapsed >= 1 &&
			 client->state.slow_chance < client->state.slow_p)
		agent_refuse(sink, client, client_index, "slow_down", "slowing down: the retention agent's case");
	else if (client->profile.n_orders < least)
		agent_refuse(sink, client, client_index, "insufficient",
					 psprintf("insufficient: needs %d orders, has %d", least, client->profile.n_orders));
	else if (client->repurchase == NULL && !population->gap_fitted && client->gaps.n < GAP_MIN_GAPS)
		agent_refuse(sink, client, client_index, "insufficient",
					 psprintf("insufficient: needs %d gaps between orders or a fitted population, has %d gaps",
							  GAP_MIN_GAPS, client->gaps.n));
	else
	{
		d = find_due(client, population, agent_param(call, "threshold", 0.5));
		if (client->state.elapsed < d.due)
			agent_look(sink, client, client_index, agent_days_later(client, d.due - client->state.elapsed));
		else
			bid_order(client, client_index, population, call, sink, d);
	}
}

/* Bids for the next order of each client once it is due; else says when it will be. */
void
reorder_bid(const ClientSnapshot *clients, int n_clients, const Population *population, const AgentCall *call,
			BidSink *sink)
{
	for (int i = 0; i < n_clients; i++)
	{
		if (!agent_contactable(sink, &clients[i], i))
			continue;
		if (is_gone(&clients[i]))
			agent_refuse(sink, &clients[i], i, "stage", "silent for too long: the portfolio agent's case");
		else
			look_at_client(&clients[i], i, population, call, sink);
	}
}
