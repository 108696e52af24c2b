/*
 * retention.c
 *		The retention agent: unusual silence, slowing down, categories and items
 *		that dropped out.
 *
 * One budget of false alarms, agentcrm.false_alarm_rate, is split over these
 * charts.  Silence is unusual beyond a quantile of the client's own predictive gap,
 * never beyond a multiple of the mean; categories and items are judged on the clock
 * of the client's orders.  What was settled is not raised again for the same evidence.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "agent/speak.h"

/* A halving that takes longer to show is as good as unseen. */
#define UNSEEN_DAYS 730

/* Orders that a client of this rhythm would place within the horizon, if nothing had changed. */
static double
usual_orders(const ClientSnapshot *client, const Population *population, const AgentCall *call)
{
	return gap_cycles_per_year(&population->gap, &client->gaps) * call->horizon_days / 365.25;
}

/* The dearest action that pays, for an order of so much margin; false, with a refusal, when none does. */
static bool
choose_offer(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
			 BidSink *sink, double margin, Offer *offer)
{
	double		gain = agent_gain(agent_order_within(client, population, DEMAND_DAYS), margin);
	bool		valuable = client->state.abc == 'A' || client->state.abc == 'B';
	Offer		phone = offer_call(call);
	Offer		mail = offer_message(call);

	*offer = valuable && gain > phone.cost && !agent_was_rejected(call, client_index, phone.action) ? phone : mail;
	if (gain > mail.cost)
		return true;
	agent_refuse(sink, client, client_index, "no_gain",
				 psprintf("expected gain %s does not cover the cost of any action", say_amount(gain)));
	return false;
}

static void
bid_silence(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
			BidSink *sink)
{
	double		margin = agent_order_margin(client, population, call);
	double		gone = 1 - client->state.p_alive;
	Offer		offer;
	Bid		   *bid;
	Evidence	e;

	if (!choose_offer(client, client_index, population, call, sink, margin, &offer))
		return;
	bid = agent_bid(sink, client, client_index, call, offer);
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
	evidence_text(&e, "alarm_since", say_date(client->profile.last_order_on));
	evidence_number(&e, "expected_loss", gone * usual_orders(client, population, call) * margin);
	bid->evidence = evidence_end(&e);
}

/* How often orders came before and come now, in words. */
static const char *
say_pace(const ClientSnapshot *client)
{
	const ClientProfile *p = &client->profile;
	int			days = p->last_order_on - client->state.slow_since;
	int			gaps = 0;

	for (int sum = 0; gaps < p->n_recent && sum < days; gaps++)
		sum += p->recent[p->n_recent - 1 - gaps];
	if (gaps == 0 || gaps == p->n_gaps)
		return psprintf("no order for %s, one in %s before", say_days(client->state.elapsed),
						say_days((double) p->gap_sum / Max(p->n_gaps, 1)));
	return psprintf("one in %s, before that one in %s, and none for %s now", say_days((double) days / gaps),
					say_days((double) (p->gap_sum - days) / (p->n_gaps - gaps)), say_days(client->state.elapsed));
}

static void
bid_slow(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call, BidSink *sink)
{
	double		margin = agent_order_margin(client, population, call);
	Offer		offer;
	Bid		   *bid;
	Evidence	e;

	if (!choose_offer(client, client_index, population, call, sink, margin, &offer))
		return;
	bid = agent_bid(sink, client, client_index, call, offer);
	bid->margin = margin;
	bid->reason_code = "slow_down";
	bid->reason = psprintf("Orders come half as often since %s: %s; a steady client looks like that with a chance of %s (alarm below %s).",
						   say_date(client->state.slow_since), say_pace(client),
						   say_percent(client->state.slow_chance), say_percent(client->state.slow_p));
	evidence_begin(&e, client, "last_order_on, elapsed, n_gaps, mean_gap, gap_last, slow_chance, slow_p, slow_since, order_value", "");
	evidence_parameter(&e, "false_alarm_rate", call->false_alarm_rate);
	evidence_parameter(&e, "slow_rate", CHART_SLOW_RATE);
	evidence_values(&e);
	evidence_text(&e, "last_order_on", say_date(client->profile.last_order_on));
	evidence_number(&e, "elapsed", client->state.elapsed);
	evidence_number(&e, "n_gaps", client->profile.n_gaps);
	evidence_text(&e, "slow_since", say_date(client->state.slow_since));
	evidence_number(&e, "usual_gap", 365.25 / gap_cycles_per_year(&population->gap, &client->gaps));
	evidence_number(&e, "slow_chance", client->state.slow_chance);
	evidence_number(&e, "slow_p", client->state.slow_p);
	evidence_number(&e, "order_value", client->state.order_value);
	evidence_text(&e, "alarm_since", DATE_NOT_FINITE(client->settled_on) ? "first" : say_date(client->settled_on));
	evidence_number(&e, "expected_loss", (1 - client->state.slow_chance) * (1 - CHART_SLOW_RATE) *
					usual_orders(client, population, call) * margin);
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

/* Whether an alarm about the product was settled since it was bought last. */
static bool
is_settled(const ClientSnapshot *client, const ClientProduct *product)
{
	for (int i = 0; i < client->n_settled; i++)
		if (strcmp(client->settled[i].code, "lost_item") == 0 && client->settled[i].product_id == product->product_id &&
			client->settled[i].on >= product->last_order_on)
			return true;
	return false;
}

/* Whether the client used to buy the product regularly; fills in how far it is missing. */
static bool
watch_item(const ClientSnapshot *client, const ClientProduct *product, const AgentCall *call, LostItem *item)
{
	if (product->n < agent_count(call, "item_min_orders", 4))
		return false;
	item->product = product;
	item->missed = client->profile.n_orders - product->last_order_no;
	item->usual = repeat_rate(product->rate_slow, 0, product->last_order_no);
	if (item->usual < agent_param(call, "item_min_rate", 0.5))
		return false;
	item->info = profile_product(product->product_id);
	if (item->info == NULL || !item->info->active)
		return false;
	item->p = item->missed > 0 && !is_settled(client, product) ? chance_of_missing(product, item->info->share, item->missed) : 1;
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

/* Whether the client goes on ordering, and often enough to be judged by what its orders hold. */
static bool
is_ordering(const ClientSnapshot *client, const AgentCall *call)
{
	return !is_gone(client) && !is_silent(client) && client->profile.n_orders >= min_orders(call);
}

/* What an order may spend of the budget on categories, and as much on items. */
static double
order_budget(const ClientSnapshot *client, const AgentCall *call)
{
	return gap_alarm_probability(&profile_population()->gap, &client->gaps, call->false_alarm_rate * CHART_SHARE_PART / 2);
}

/* The items that dropped out while the client goes on ordering, least likely by chance first. */
int
retention_lost_items(const ClientSnapshot *client, const AgentCall *call, LostItem **found)
{
	LostItem   *lost = palloc(sizeof(LostItem) * Max(client->n_products, 1));
	double	   *p;
	int			n = 0;

	*found = lost;
	if (!is_ordering(client, call))
		return 0;
	for (int i = 0; i < client->n_products; i++)
		if (watch_item(client, &client->products[i], call, &lost[n]))
			n++;
	qsort(lost, n, sizeof(LostItem), compare_items);
	p = palloc(sizeof(double) * Max(n, 1));
	for (int i = 0; i < n; i++)
		p[i] = lost[i].p;
	return chart_discoveries(p, n, n, order_budget(client, call));
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
	evidence_text(&e, "alarm_since", say_date(item->product->last_order_on));
	evidence_number(&e, "expected_loss", item->usual * margin * usual_orders(client, profile_population(), call));
	bid->evidence = evidence_end(&e);
}

/* The day of the first order without the category, as far as gaps are kept. */
static DateADT
left_on(const ClientSnapshot *client, int missed)
{
	const ClientProfile *p = &client->profile;
	DateADT		day = p->last_order_on;

	for (int i = 1; i < missed && i <= p->n_recent; i++)
		day -= p->recent[p->n_recent - i];
	return day;
}

static void
bid_category(const ClientSnapshot *client, int client_index, const AgentCall *call, BidSink *sink, const LostCategory *c,
			 double level)
{
	double		margin = c->value * agent_margin_share(client, call);
	Bid		   *bid = agent_bid(sink, client, client_index, call, offer_message(call));
	Evidence	e;

	bid->demand_category = c->category;
	bid->margin = margin;
	bid->reason_code = "lost_category";
	bid->reason = psprintf("Nothing of %s in the last %d orders, since %s: it was in %s of this client's orders before, "
						   "and a steady client looks like that with a chance of %s.",
						   c->category, c->missed, say_date(left_on(client, c->missed)), say_percent(c->usual), say_percent(c->p));
	evidence_begin(&e, client, "s.n_orders, g.category, p.product_id, p.last_order_no, p.held",
				   psprintf(", unnest(s.products) p JOIN agentcrm.product g USING (product_id) WHERE g.category = %s",
							quote_literal_cstr(c->category)));
	evidence_parameter(&e, "false_alarm_rate", call->false_alarm_rate);
	evidence_parameter(&e, "level", level);
	evidence_values(&e);
	evidence_number(&e, "n_orders", client->profile.n_orders);
	evidence_number(&e, "category_share", c->usual);
	evidence_number(&e, "category_missed", c->missed);
	evidence_number(&e, "p_chance", c->p);
	/* the last order that held it: it stays while orders without it go on */
	evidence_text(&e, "alarm_since", psprintf("order %d", client->profile.n_orders - c->missed));
	evidence_number(&e, "expected_loss", (1 - c->p) * c->usual * margin * usual_orders(client, profile_population(), call));
	bid->evidence = evidence_end(&e);
}

static bool
is_left(const LostCategory *left, int n, const char *category)
{
	for (int i = 0; i < n; i++)
		if (strcmp(left[i].category, category) == 0)
			return true;
	return false;
}

/* A bid for each category that was left, and one for each other category with a lost item, for the least explicable. */
static void
bid_parts(const ClientSnapshot *client, int client_index, const AgentCall *call, BidSink *sink)
{
	LostItem   *lost;
	LostCategory *left;
	double		level = order_budget(client, call);
	int			n_left = is_ordering(client, call) ? retention_lost_categories(client, call, level, &left) : 0;
	int			n = retention_lost_items(client, call, &lost);

	if (n + n_left > 0 && client->state.elapsed < 1)
	{
		/* the order just made may still be added to; and nobody calls the same day */
		agent_look(sink, client, client_index, agent_days_later(client, 1));
		return;
	}
	for (int i = 0; i < n_left; i++)
		bid_category(client, client_index, call, sink, &left[i], level);
	for (int i = 0; i < n; i++)
	{
		bool		first = !is_left(left, n_left, item_category(&lost[i]));

		for (int j = 0; j < i && first; j++)
			first = strcmp(item_category(&lost[j]), item_category(&lost[i])) != 0;
		if (first)
			bid_item(client, client_index, call, sink, &lost[i]);
	}
}

/* What may be said of a client whose order days raise no alarm: when to look again, and what cannot be seen. */
static void
look_again(const ClientSnapshot *client, int client_index, BidSink *sink)
{
	DateADT		next = Min(client->state.alarm_on, client->state.slow_on);

	if (client->state.slow_delay > UNSEEN_DAYS)
		agent_refuse(sink, client, client_index, "unseen",
					 psprintf("cannot be seen yet: with gaps this irregular a halving of the orders would show after about %s",
							  say_days(client->state.slow_delay)));
	if (next > client->today)
		agent_look(sink, client, client_index, agent_days_later(client, next - client->today));
}

static void
look_at_client(const ClientSnapshot *client, int client_index, const Population *population, const AgentCall *call,
			   BidSink *sink)
{
	int			least = min_orders(call);

	if (client->profile.n_orders < least)
		agent_refuse(sink, client, client_index, "insufficient",
					 psprintf("insufficient: needs %d orders, has %d", least, client->profile.n_orders));
	else if (is_silent(client) && client->silence_settled_on >= client->profile.last_order_on)
		agent_refuse(sink, client, client_index, "settled",
					 psprintf("the alarm of %s was answered; the next order arms it again", say_date(client->silence_settled_on)));
	else if (is_silent(client))
		bid_silence(client, client_index, population, call, sink);
	else
	{
		if (client->state.elapsed >= 1 && client->state.slow_chance < client->state.slow_p)
			bid_slow(client, client_index, population, call, sink);
		else
			look_again(client, client_index, sink);
		bid_parts(client, client_index, call, sink);
	}
}

/* Bids to end an unusual silence, to hear why a client slows down, or to bring back what dropped out of its orders. */
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
