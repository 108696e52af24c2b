/*
 * retention.c
 *		The retention agent: unusual silence, and items that dropped out.
 *
 * Silence is unusual beyond a quantile of the client's own predictive gap,
 * never beyond a multiple of the mean; the quantile spends the budget
 * agentcrm.false_alarm_rate.  Lost items are judged on the clock of the
 * client's orders by the same budget, divided by the items watched.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "agent/speak.h"

static void
bid_silence(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
			BidSink *sink)
{
	double		p = agent_order_within(client, population, DEMAND_DAYS);
	double		margin = agent_order_margin(client, population, call);
	double		gain = agent_gain(p, margin);
	Offer		phone = offer_call(call);
	Offer		mail = offer_message(call);
	bool		valuable = client->state.abc == 'A' || client->state.abc == 'B';
	Bid		   *bid;
	Evidence	e;

	if (gain <= mail.cost)
	{
		agent_refuse(sink, client, client_index, "no_gain",
					 psprintf("expected gain %s does not cover the cost of any action", say_amount(gain)));
		return;
	}
	bid = agent_bid(sink, client, client_index, call, valuable && gain > phone.cost ? phone : mail);
	bid->margin = margin;
	bid->reason_code = "silence";
	bid->reason = psprintf("Silent for %s since %s: %s of this client's gaps last so long (alarm below %s); "
						   "orders average %s.",
						   say_days(client->state.elapsed), say_date(client->profile.last_order_on),
						   say_percent(client->state.silence), say_percent(client->state.alarm_p),
						   say_amount(client->state.order_value));
	evidence_begin(&e, client, "stage, last_order_on, elapsed, silence, alarm_p, order_value", "");
	evidence_parameter(&e, "false_alarm_rate", call->false_alarm_rate);
	evidence_parameter(&e, "window_days", DEMAND_DAYS);
	evidence_values(&e);
	evidence_text(&e, "stage", profile_stage_name(client->state.stage));
	evidence_text(&e, "last_order_on", say_date(client->profile.last_order_on));
	evidence_number(&e, "elapsed", client->state.elapsed);
	evidence_number(&e, "silence", client->state.silence);
	evidence_number(&e, "alarm_p", client->state.alarm_p);
	evidence_number(&e, "order_value", client->state.order_value);
	bid->evidence = evidence_end(&e);
}

/*
 * P(an item bought in a share of orders misses the next m): beta-binomial with
 * the decayed counts before the last purchase, which is left out because an
 * item is only looked at from a purchase on.  Level 0's prior q, a.
 */
static double
chance_of_missing(const ClientProduct *product, double q, int missed)
{
	double		before = product->last_order_no - 1;
	double		bought = (product->rate_slow - 1) / REPEAT_DECAY_SLOW + REPEAT_PRIOR_WEIGHT * q;
	double		orders = (1 - decay_pow(REPEAT_DECAY_SLOW, before)) / (1 - REPEAT_DECAY_SLOW);
	double		without = fmax(0, orders - (product->rate_slow - 1) / REPEAT_DECAY_SLOW) +
		REPEAT_PRIOR_WEIGHT * (1 - q);
	double		p = 1;

	for (int j = 0; j < missed && p > 1e-9; j++)
		p *= (without + j) / (bought + without + j);
	return p;
}

/* Whether the client used to buy the product regularly; fills in how far it is missing. */
static bool
watch_item(const ClientSnapshot *client, const ClientProduct *product, const AgentCall *call, LostItem *item)
{
	if (product->n < agent_param(call, "item_min_orders", 4))
		return false;
	item->product = product;
	item->missed = client->profile.n_orders - product->last_order_no;
	item->usual = repeat_rate(product->rate_slow, 0, product->last_order_no);
	if (item->usual < agent_param(call, "item_min_rate", 0.5))
		return false;
	item->info = profile_product(product->product_id);
	if (item->info == NULL || !item->info->active)
		return false;
	item->p = item->missed > 0 ? chance_of_missing(product, item->info->share, item->missed) : 1;
	return true;
}

static int
compare_items(const void *a, const void *b)
{
	const LostItem *x = a;
	const LostItem *y = b;

	if (x->p != y->p)
		return x->p < y->p ? -1 : 1;
	return x->product->product_id < y->product->product_id ? -1 : 1;
}

static bool
is_gone(const ClientSnapshot *client)
{
	return client->state.stage == STAGE_DORMANT || client->state.stage == STAGE_LOST;
}

static bool
is_silent(const ClientSnapshot *client)
{
	return client->state.elapsed >= 1 && client->state.silence < client->state.alarm_p;
}

static int
min_orders(const AgentCall *call)
{
	return agent_count(call, "min_orders", 3);
}

/* The items that dropped out while the client goes on ordering, least likely by chance first. */
int
retention_lost_items(const ClientSnapshot *client, const AgentCall *call, LostItem **found)
{
	LostItem   *lost = palloc(sizeof(LostItem) * Max(client->n_products, 1));
	int			n = 0;
	int			n_lost = 0;

	*found = lost;
	if (is_gone(client) || is_silent(client) || client->profile.n_orders < min_orders(call))
		return 0;
	for (int i = 0; i < client->n_products; i++)
		if (watch_item(client, &client->products[i], call, &lost[n]))
			n++;
	for (int i = 0; i < n; i++)
		if (lost[i].p < client->state.alarm_p / n)
			lost[n_lost++] = lost[i];
	qsort(lost, n_lost, sizeof(LostItem), compare_items);
	return n_lost;
}

static const char *
item_category(const LostItem *item)
{
	return item->info->category != NULL ? item->info->category : "*";
}

static void
bid_item(const ClientSnapshot *client, int client_index, const AgentCall *call, BidSink *sink, const LostItem *item)
{
	Numeric		quantity = basket_quantity(item->product, item->info);
	Datum		price;
	double		margin;
	Bid		   *bid;
	Evidence	e;

	if (quantity == NULL || item->product->last_price == NULL)
		return;
	price = DirectFunctionCall2(numeric_mul, NumericGetDatum(item->product->last_price), NumericGetDatum(quantity));
	margin = profile_money(DatumGetNumeric(price)) * agent_margin_share(client, call);
	bid = agent_bid(sink, client, client_index, call, offer_message(call));
	bid->demand_category = item_category(item);
	bid->has_product = true;
	bid->product_id = item->product->product_id;
	bid->quantity = quantity;
	bid->margin = margin;
	bid->reason_code = "lost_item";
	bid->reason = psprintf("%s is missing from the last %d orders: it was in %s of this client's orders until %s, "
						   "and chance alone gives %s.",
						   item->info->name != NULL ? item->info->name :
						   psprintf("product " INT64_FORMAT, item->product->product_id),
						   item->missed, say_percent(item->usual), say_date(item->product->last_order_on),
						   say_percent(item->p));
	evidence_begin(&e, client, "s.n_orders, s.alarm_p, p.n, p.last_order_no, p.last_order_on, p.rate_slow, p.last_price",
				   psprintf(", unnest(s.products) p WHERE p.product_id = " INT64_FORMAT, item->product->product_id));
	evidence_parameter(&e, "false_alarm_rate", call->false_alarm_rate);
	evidence_parameter(&e, "decay", REPEAT_DECAY_SLOW);
	evidence_values(&e);
	evidence_number(&e, "n_orders", client->profile.n_orders);
	evidence_number(&e, "alarm_p", client->state.alarm_p);
	evidence_number(&e, "item_orders", item->product->n);
	evidence_number(&e, "item_last_order_no", item->product->last_order_no);
	evidence_number(&e, "item_share", item->usual);
	evidence_number(&e, "item_missed", item->missed);
	evidence_number(&e, "p_chance", item->p);
	bid->evidence = evidence_end(&e);
}

/* One bid per category for its least explicable item. */
static void
bid_lost_items(const ClientSnapshot *client, int client_index, const AgentCall *call, BidSink *sink)
{
	LostItem   *lost;
	int			n = retention_lost_items(client, call, &lost);

	if (n > 0 && client->state.elapsed < 1)
	{
		/* the order just made may still be added to; and nobody calls the same day */
		agent_look(sink, client, client_index, agent_days_later(client, 1));
		n = 0;
	}
	for (int i = 0; i < n; i++)
	{
		bool		first = true;

		for (int j = 0; j < i && first; j++)
			first = strcmp(item_category(&lost[j]), item_category(&lost[i])) != 0;
		if (first)
			bid_item(client, client_index, call, sink, &lost[i]);
	}
	pfree(lost);
}

static void
look_at_client(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
			   BidSink *sink)
{
	int			least = min_orders(call);

	if (client->profile.n_orders < least)
		agent_refuse(sink, client, client_index, "insufficient",
					 psprintf("insufficient: needs %d orders, has %d", least, client->profile.n_orders));
	else if (is_silent(client))
		bid_silence(client, client_index, population, call, sink);
	else
	{
		if (client->state.alarm_on > client->today)
			agent_look(sink, client, client_index, agent_days_later(client, client->state.alarm_on - client->today));
		bid_lost_items(client, client_index, call, sink);
	}
}

/* Bids to end an unusual silence, or to bring back items that dropped out. */
void
retention_bid(const ClientSnapshot *clients, int n_clients, const Population *population, const AgentCall *call,
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
