/*
 * alarms.c
 *		Alarms raised: in vain where the client went on, late or not at all where
 *		it had stopped.
 *
 * Walks through each cycle that has a part in a window, and asks the agent on
 * the days on which the worker would: the day after an order, and the day for
 * which the charts say that the silence becomes an alarm.  An alarm counts as answered
 * on the day it is raised, so that the same evidence raises no other.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "replay/replay.h"

#define DAYS_PER_YEAR 365.25

/* The rule to beat: silent for longer than so many mean gaps. */
#define NAIVE_GAPS 2.0

/* What shows that an alarm was in vain, as in false_alarm_report: so many order days within so many usual gaps; the part bought within so many days. */
#define SLOW_ORDERS 3
#define SLOW_GAPS 4
#define PART_DAYS 90

/* A client in a window. */
typedef struct Walk
{
	Alarms	   *rules;
	const Window *w;
	const Population *population;
	const History *history;
	bool		stopped;
	ClientSnapshot client;		/* as it was at the last order, or at the origin */
	int			next;			/* the first order after that */
	MemoryContext held;			/* what client points to */
	MemoryContext spare;		/* what the client of the next cycle will */
	MemoryContext asked;		/* what the agent needs for one answer */
} Walk;

static DateADT
origin_day(const Walk *walk)
{
	return period_day(walk->w->origin);
}

static DateADT
next_day(const Walk *walk)
{
	return walk->next < walk->history->n_orders ? walk->history->orders[walk->next].day : DATEVAL_NOEND;
}

/* The naive rule's alarm of the cycle under way. */
static DateADT
naive_alarm(const ClientProfile *p)
{
	if (p->n_gaps == 0)
		return DATEVAL_NOEND;
	return p->last_order_on + (DateADT) floor(NAIVE_GAPS * p->gap_sum / p->n_gaps) + 1;
}

/* The charts' first alarm of time in the cycle under way, if no order comes. */
static DateADT
chart_alarm(const ClientSnapshot *client)
{
	return Max(Min(client->state.alarm_on, client->state.slow_on), client->profile.last_order_on + 1);
}

/* Count an alarm, unless it lies outside of window or cycle; delay: it is of time. */
static void
count_alarm(const Walk *walk, int rule, DateADT alarm, bool in_vain, bool of_time)
{
	Alarms	   *a = &walk->rules[rule];

	if (alarm <= origin_day(walk) || alarm > period_day(walk->w->end) || alarm > next_day(walk))
		return;
	a->raised++;
	if (in_vain)
		a->in_vain++;
	else if (of_time && walk->stopped && next_day(walk) == DATEVAL_NOEND)
	{
		a->delay.n++;
		a->delay.sum += alarm - walk->client.profile.last_order_on;
	}
}

/* Whether an order after a day and within so many more holds what an alarm about a part misses. */
static bool
part_bought(const Walk *walk, const SettledAlarm *alarm)
{
	const History *h = walk->history;

	for (int i = walk->next; i < h->n_orders && h->orders[i].day <= alarm->on + PART_DAYS; i++)
	{
		if (alarm->product_id != 0 && history_holds(h, i, alarm->product_id))
			return true;
		for (int j = 0; alarm->product_id == 0 && j < h->orders[i].n_products; j++)
		{
			const ProductInfo *info = profile_product(h->products[h->orders[i].first_product + j]);

			if (info && info->category && strcmp(info->category, alarm->category) == 0)
				return true;
		}
	}
	return false;
}

/* Whether order days after an alarm come as often as ever. */
static bool
goes_on(const Walk *walk, DateADT alarm)
{
	const History *h = walk->history;
	double		usual = DAYS_PER_YEAR / gap_cycles_per_year(&walk->population->gap, &walk->client.gaps);
	int			end = walk->next;

	while (end < h->n_orders && h->orders[end].day <= alarm + SLOW_GAPS * usual)
		end++;
	return history_days(h, walk->next, end) >= SLOW_ORDERS;
}

static bool
is_in_vain(const Walk *walk, const SettledAlarm *alarm)
{
	if (strcmp(alarm->code, "silence") == 0)
		return next_day(walk) != DATEVAL_NOEND;
	if (strcmp(alarm->code, "slow_down") == 0)
		return goes_on(walk, alarm->on);
	return part_bought(walk, alarm);
}

/* Count an alarm of the agent, and take it for answered. */
static void
take_alarm(Walk *walk, const Bid *bid, const char *code, DateADT day)
{
	SettledAlarm alarm = {
		.code = code, .on = day, .n_orders = walk->client.profile.n_orders, .product_id = bid->has_product ? bid->product_id : 0,
		.category = bid->demand_category ? pstrdup(bid->demand_category) : NULL
	};

	count_alarm(walk, ALARM_MODEL, day, is_in_vain(walk, &alarm), strcmp(code, "silence") == 0 || strcmp(code, "slow_down") == 0);
	profile_wait(&walk->client, walk->population, day * USECS_PER_DAY, &alarm);
}

/* What the agent raises on a day. */
static void
ask_agent(Walk *walk, DateADT day)
{
	TimestampTz as_of = day * USECS_PER_DAY;
	AgentCall	call = plan_call(0, as_of);
	MemoryContext old;
	BidSink		sink;

	profile_wait(&walk->client, walk->population, as_of, NULL);
	old = MemoryContextSwitchTo(walk->asked);
	bid_sink_init(&sink);
	agent_alarms(&walk->client, walk->population, &call, &sink);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < sink.n; i++)
	{
		const Bid  *bid = &sink.bids[i];
		const char *code = bid->kind == BID_BID ? profile_alarm_code(bid->reason_code) : NULL;

		if (code)
			take_alarm(walk, bid, code, day);
	}
	MemoryContextReset(walk->asked);
}

static void
ask_on(Walk *walk, DateADT day, DateADT until)
{
	if (day > walk->client.today && day <= until)
		ask_agent(walk, day);
}

/* The alarms of the cycle under way: a stop may follow a slowing down. */
static void
walk_cycle(Walk *walk)
{
	DateADT		last = walk->client.profile.last_order_on;
	DateADT		until = Min(next_day(walk), period_day(walk->w->end));
	DateADT		naive = naive_alarm(&walk->client.profile);

	count_alarm(walk, ALARM_NAIVE, naive, next_day(walk) != DATEVAL_NOEND, true);
	ask_on(walk, last + 1, until);
	if (walk->client.settled_on < last)
		ask_on(walk, chart_alarm(&walk->client), until);
	if (walk->client.silence_settled_on < last)
		ask_on(walk, Max(walk->client.state.alarm_on, last + 1), until);
}

/* Add one record to another. */
void
alarms_add(Alarms *sum, const Alarms *more)
{
	sum->years += more->years;
	sum->raised += more->raised;
	sum->in_vain += more->in_vain;
	sum->delay.n += more->delay.n;
	sum->delay.sum += more->delay.sum;
	sum->seen.n += more->seen.n;
	sum->seen.sum += more->seen.sum;
}

/* Go on to the next order that is the last of its day, in the ledger of hindsight; false when none is left in the window. */
static bool
next_cycle(Walk *walk, const LedgerView *view)
{
	const History *h = walk->history;
	ClientSnapshot *again;
	MemoryContext old;
	MemoryContext swapped;
	LedgerView	then;
	int			n;

	while (walk->next + 1 < h->n_orders && h->orders[walk->next + 1].day == h->orders[walk->next].day)
		walk->next++;
	if (walk->next >= h->n_orders || h->orders[walk->next].at > walk->w->end)
		return false;
	then = (LedgerView) {h->orders[walk->next].at, view->known_at};
	profile_move_past(&then);
	swapped = walk->spare;
	walk->spare = walk->held;
	walk->held = swapped;
	MemoryContextReset(walk->held);
	old = MemoryContextSwitchTo(walk->held);
	again = profile_read(&walk->client.client_id, 1, then.as_of, &n);
	MemoryContextSwitchTo(old);
	if (n == 0)
		return false;
	again->n_settled = walk->client.n_settled;
	again->settled = walk->client.settled;
	again->settled_on = walk->client.settled_on;
	again->silence_settled_on = walk->client.silence_settled_on;
	walk->client = *again;
	profile_wait(&walk->client, walk->population, then.as_of, NULL);
	walk->next++;
	return true;
}

/* What was an alarm before the window is none of it. */
static void
begin_walk(Walk *walk)
{
	ask_agent(walk, origin_day(walk));
	walk->client.as_of = walk->w->origin;
}

/* The record of one client in one window; view: the ledger in hindsight.  A past is on, and is left with another view. */
void
alarms_walk(Alarms *rules, const Window *w, const ClientSnapshot *client, const History *history, const LedgerView *view)
{
	DateADT		last = history->n_orders > 0 ? history->orders[history->n_orders - 1].day : client->today;
	DateADT		end = period_day(w->end);
	Walk		walk = {
		.rules = rules, .w = w, .population = profile_population(), .history = history, .client = *client,
		.next = history_after(history, w->origin),
		.stopped = history->n_orders > 0 && history_stopped(history, period_day(w->hindsight)),
		.held = AllocSetContextCreate(CurrentMemoryContext, "agentcrm alarms", ALLOCSET_DEFAULT_SIZES),
		.spare = AllocSetContextCreate(CurrentMemoryContext, "agentcrm alarms", ALLOCSET_DEFAULT_SIZES),
		.asked = AllocSetContextCreate(CurrentMemoryContext, "agentcrm alarms asked", ALLOCSET_DEFAULT_SIZES)
	};

	/* a list of its own, for it grows: the caller's client keeps its */
	if (client->n_settled > 0)
		walk.client.settled = memcpy(palloc(client->n_settled * sizeof(SettledAlarm)), client->settled, client->n_settled * sizeof(SettledAlarm));
	memset(rules, 0, sizeof(Alarms) * ALARM_RULES);
	for (int r = 0; r < ALARM_RULES; r++)
		rules[r].years = Max(0, Min(end, last) - client->today) / DAYS_PER_YEAR;
	begin_walk(&walk);
	do
		walk_cycle(&walk);
	while (next_cycle(&walk, view));
	if (w->last && walk.stopped && last > w->first)
	{
		rules[ALARM_MODEL].seen = (Mean) {1, chart_alarm(&walk.client) <= end || walk.client.settled_on >= walk.client.profile.last_order_on};
		rules[ALARM_NAIVE].seen = (Mean) {1, naive_alarm(&walk.client.profile) <= end};
	}
	MemoryContextDelete(walk.held);
	MemoryContextDelete(walk.spare);
	MemoryContextDelete(walk.asked);
}
