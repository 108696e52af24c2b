/*
 * measure.c
 *		Forecasts and bids of one origin against what happened after it, beside
 *		naive rules on the same cases.
 *
 * Asks the services that live agents and rounds ask; holds sums of fixed size,
 * however many clients there are.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "replay/replay.h"

#define MAX_SEGMENTS 4
#define MAX_CHANNELS 50			/* more have no segment of their own */
#define MAX_STEPS 32			/* of the distribution of the next order's day */
#define LIST_ITEMS 10
#define DEFAULT_CALL_MINUTES 6

const char *const rule_names[RULES] = {"own rate", "last window", "recency", "model"};

/* Not to be taken for agents. */
const char *const rule_lists[RULES] = {"=own rate", "=last window", "=recency", "=model"};

/* ---- groups of clients ---- */

static Forecasts *
forecasts_of(Measure *m, const char *segment)
{
	bool		found;
	Forecasts  *f = hash_search(m->forecasts, segment, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) f + NAMEDATALEN, 0, sizeof(Forecasts) - NAMEDATALEN);
		for (int r = 0; r < RULES; r++)
			f->ranks[r] = MemoryContextAllocZero(m->cxt, sizeof(Ranks));
	}
	return f;
}

static void
name_segment(char *name, const char *kind, const char *value)
{
	char	   *whole = psprintf("%s %s", kind, value);

	memset(name, 0, NAMEDATALEN);
	memcpy(name, whole, pg_mbcliplen(whole, strlen(whole), NAMEDATALEN - 1));
	pfree(whole);
}

/* The groups that a client belongs to; all belong to the first. */
static int
segments_of(Measure *m, const ClientSnapshot *client, char names[MAX_SEGMENTS][NAMEDATALEN])
{
	char		abc[2] = {client->state.abc, '\0'};
	int			n = 0;

	memset(names[n], 0, NAMEDATALEN);
	names[n++][0] = '*';
	name_segment(names[n++], "stage", profile_stage_name(client->state.stage));
	if (client->state.abc)
		name_segment(names[n++], "class", abc);
	if (client->channel)
	{
		bool		known;

		name_segment(names[n], "channel", client->channel);
		hash_search(m->forecasts, names[n], HASH_FIND, &known);
		if (!known && m->n_channels == MAX_CHANNELS)
			return n;
		m->n_channels += !known;
		forecasts_of(m, names[n++]);
	}
	return n;
}

static void
mean_add(Mean *mean, double value)
{
	mean->n++;
	mean->sum += value;
}

/* ---- one client at one origin ---- */

/* What is forecast of a client, and what happened. */
typedef struct Case
{
	double		chance[RULES];
	double		orders[RULES];
	double		date[RULES];	/* CRPS */
	int			rank[RULES];
	double		due[2];			/* recall; NaN: cannot be told */
	bool		happened;
	int			days;			/* order days in the window */
	double		day;			/* of the next order; infinite: none in the window */
	bool		living;
} Case;

/* Orders a day since the first one. */
static double
own_rate(const ClientSnapshot *client)
{
	const ClientProfile *p = &client->profile;

	return (double) p->n_gaps / Max(client->today - p->first_order_on, 1);
}

static void
forecast_date(Case *c, const Window *w, const ClientSnapshot *client, const Population *population)
{
	double		model[MAX_STEPS];
	double		rate[MAX_STEPS];
	int			width = (w->days + MAX_STEPS - 1) / MAX_STEPS;
	int			n = w->days / width;

	for (int i = 0; i < n; i++)
	{
		model[i] = plan_baseline(client, population, (i + 1) * width);
		rate[i] = -expm1(-own_rate(client) * (i + 1) * width);
	}
	c->date[RULE_MODEL] = score_crps(model, n, width, c->day);
	c->date[NAIVE_RATE] = score_crps(rate, n, width, c->day);
}

static int
compare_bought(const void *a, const void *b)
{
	const ClientProduct *x = *(const ClientProduct *const *) a;
	const ClientProduct *y = *(const ClientProduct *const *) b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->product_id < y->product_id ? -1 : x->product_id > y->product_id;
}

/* The products of the client's last order, those bought most often first. */
static int
last_basket(const ClientSnapshot *client, int64 *product_ids)
{
	const ClientProduct **last = palloc(sizeof(ClientProduct *) * Max(client->n_products, 1));
	int			n = 0;

	for (int i = 0; i < client->n_products; i++)
		if (client->products[i].last_order_no == client->profile.n_orders)
			last[n++] = &client->products[i];
	qsort(last, n, sizeof(ClientProduct *), compare_bought);
	n = Min(n, LIST_ITEMS);
	for (int i = 0; i < n; i++)
		product_ids[i] = last[i]->product_id;
	pfree(last);
	return n;
}

static double
recall(const History *history, int order, const int64 *product_ids, int n)
{
	int			hits = 0;

	for (int i = 0; i < n; i++)
		hits += history_holds(history, order, product_ids[i]);
	return (double) hits / history->orders[order].n_products;
}

/* The next order's products, for clients who have bought twice. */
static void
compare_due(Case *c, const ClientSnapshot *client, const History *history, int next)
{
	int64		ids[LIST_ITEMS];

	c->due[0] = c->due[1] = NAN;
	if (!c->happened || client->profile.n_orders < 2 || history->orders[next].n_products == 0)
		return;
	c->due[0] = recall(history, next, ids, last_basket(client, ids));
	c->due[1] = recall(history, next, ids, agent_due_items(client, LIST_ITEMS, ids));
}

static void
make_case(Case *c, const Window *w, const ClientSnapshot *client, const History *history)
{
	const Population *population = profile_population();
	int			next = history_after(history, w->origin);
	int			end = history_after(history, w->end);
	int			before = history_after(history, w->origin - w->days * USECS_PER_DAY);
	double		elapsed = client->state.elapsed;

	c->happened = end > next;
	c->days = history_days(history, next, end);
	c->day = c->happened ? ceil((double) (history->orders[next].at - w->origin) / USECS_PER_DAY) : INFINITY;
	c->living = client->state.stage != STAGE_DORMANT && client->state.stage != STAGE_LOST;

	c->chance[RULE_MODEL] = plan_baseline(client, population, w->days);
	c->chance[NAIVE_RATE] = -expm1(-own_rate(client) * w->days);
	c->chance[NAIVE_WINDOW] = elapsed <= w->days;
	c->chance[NAIVE_RECENCY] = NAN;
	for (int r = 0; r < RULES; r++)
		c->rank[r] = r == NAIVE_RECENCY ? rank_of_days(elapsed) : rank_of_probability(c->chance[r]);
	c->orders[RULE_MODEL] = profile_orders_expected(client, population, w->days);
	c->orders[NAIVE_RATE] = own_rate(client) * w->days;
	c->orders[NAIVE_WINDOW] = history_days(history, before, next);
	forecast_date(c, w, client, population);
	compare_due(c, client, history, next);
}

static void
add_case(Forecasts *f, const Case *c, const Alarms *alarms, const bool *stopped)
{
	for (int r = 0; r < RULES; r++)
	{
		ranks_add(f->ranks[r], c->rank[r], c->happened);
		if (r == NAIVE_RECENCY)
			continue;
		scores_add(&f->chance[r], c->chance[r], c->happened);
		mean_add(&f->orders[r], fabs((r == NAIVE_WINDOW ? c->orders[r] : score_count_median(c->chance[r], c->orders[r])) - c->days));
		mean_add(&f->squares[r], (c->orders[r] - c->days) * (c->orders[r] - c->days));
	}
	mean_add(&f->date[RULE_MODEL], c->date[RULE_MODEL]);
	mean_add(&f->date[NAIVE_RATE], c->date[NAIVE_RATE]);
	for (int i = 0; i < 2 && !isnan(c->due[0]); i++)
		mean_add(&f->due[i], c->due[i]);
	for (int r = 0; r < ALARM_RULES; r++)
		alarms_add(&f->alarms[r], &alarms[r]);
	if (c->living)
	{
		f->living++;
		if (c->happened)
			f->by_day[(int) c->day]++;
		if (stopped)
			mean_add(&f->stopped, *stopped);
	}
}

/* Whether a client had stopped, where hindsight tells; order: the first after the origin. */
static const bool *
known_fate(const Window *w, const History *history)
{
	static const bool yes = true;
	static const bool no = false;

	if (history_after(history, w->origin) < history->n_orders)
		return &no;
	return history->n_orders > 0 && history_stopped(history, period_day(w->hindsight)) ? &yes : NULL;
}

/* Take a client with orders into account: what was forecast at the origin, and what came. */
void
measure_client(Measure *m, const Window *w, const ClientSnapshot *client, const History *history, const Alarms *alarms)
{
	char		names[MAX_SEGMENTS][NAMEDATALEN];
	int			n = segments_of(m, client, names);
	Case		c;

	make_case(&c, w, client, history);
	for (int i = 0; i < n; i++)
		add_case(forecasts_of(m, names[i]), &c, alarms, known_fate(w, history));
	calls_offer(m, rule_lists[RULE_MODEL], client, c.chance[RULE_MODEL], m->call_minutes, c.happened);
	calls_offer(m, rule_lists[NAIVE_RATE], client, c.chance[NAIVE_RATE], m->call_minutes, c.happened);
	calls_offer(m, rule_lists[NAIVE_RECENCY], client, -client->state.elapsed, m->call_minutes, c.happened);
	m->cases++;
}

/* ---- one bid ---- */

static bool
of_category(int64 product_id, const char *category)
{
	const ProductInfo *info = profile_product(product_id);

	return info != NULL && info->category != NULL && strcmp(info->category, category) == 0;
}

/* Whether an order holds what a bid is after. */
static bool
meets_demand(const History *history, int order, const Bid *bid)
{
	const Purchase *p = &history->orders[order];

	if (bid->has_product)
		return history_holds(history, order, bid->product_id);
	if (strcmp(bid->demand_category, "*") == 0)
		return true;
	for (int i = 0; i < p->n_products; i++)
		if (of_category(history->products[p->first_product + i], bid->demand_category))
			return true;
	return false;
}

static bool
demand_bought(const Window *w, const History *history, const Bid *bid, int from, int to)
{
	int			i = history_after(history, w->origin + from * USECS_PER_DAY);
	int			end = history_after(history, w->origin + to * USECS_PER_DAY);

	for (; i < end; i++)
		if (meets_demand(history, i, bid))
			return true;
	return false;
}

static Bids *
bids_of(Measure *m, const char *agent, const char *segment)
{
	BidsKey		key;
	bool		found;
	Bids	   *b;

	memset(&key, 0, sizeof(key));
	memcpy(key.agent, agent, pg_mbcliplen(agent, strlen(agent), NAMEDATALEN - 1));
	memcpy(key.segment, segment, NAMEDATALEN);
	b = hash_search(m->bids, &key, HASH_ENTER, &found);
	if (!found)
		memset((char *) b + sizeof(BidsKey), 0, sizeof(Bids) - sizeof(BidsKey));
	return b;
}

/* Take a bid into account: was its demand bought, though nobody acted on it? */
void
measure_bid(Measure *m, const Window *w, const Candidate *candidate, const History *history)
{
	const Bid  *bid = candidate->bid;
	const bool *stopped = known_fate(w, history);
	char		names[MAX_SEGMENTS][NAMEDATALEN];
	int			n = segments_of(m, candidate->client, names);
	int			from = Max(0, bid->demand_from - candidate->client->today);
	int			to = Max(0, bid->demand_to - candidate->client->today);
	bool		any = !bid->has_product && strcmp(bid->demand_category, "*") == 0;
	bool		within = to <= w->days;
	bool		bought = within && demand_bought(w, history, bid, from, to);

	for (int i = 0; i < n; i++)
	{
		Bids	   *b = bids_of(m, bid->agent, names[i]);

		b->n++;
		b->beyond += !within;
		if (stopped && any)
			mean_add(&b->stopped, *stopped);
		if (!within)
			continue;
		scores_add(&b->chance, candidate->p_baseline, bought);
		mean_add(any ? &b->any : &b->item, bought);
		b->windows[to] += any;
	}
	if (within && bid->minutes > 0)
		calls_offer(m, bid->agent, candidate->client, candidate->net, bid->minutes, bought);
	m->n_bids++;
}

/* ---- the whole ---- */

static HTAB *
new_hash(const char *name, Size keysize, Size entrysize, int flags)
{
	HASHCTL		ctl = {.keysize = keysize, .entrysize = entrysize, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_CONTEXT | flags);
}

static double
least_call_minutes(void)
{
	bool		isnull = true;
	Datum		minutes = 0;

	if (SPI_execute("SELECT pg_catalog.min((params OPERATOR(pg_catalog.->>) 'call_minutes')::float8) FROM agentcrm.agent "
					"WHERE mode OPERATOR(pg_catalog.<>) 'paused'", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.agent");
	minutes = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	return isnull || !(DatumGetFloat8(minutes) > 0) ? DEFAULT_CALL_MINUTES : DatumGetFloat8(minutes);
}

/* See replay.h. */
Measure *
measure_create(double sample)
{
	Measure    *m = palloc0(sizeof(Measure));

	m->cxt = CurrentMemoryContext;
	m->forecasts = new_hash("agentcrm forecasts", NAMEDATALEN, sizeof(Forecasts), HASH_STRINGS);
	m->bids = new_hash("agentcrm bids", sizeof(BidsKey), sizeof(Bids), HASH_BLOBS);
	m->calls = new_hash("agentcrm calls", NAMEDATALEN, sizeof(Calls), HASH_STRINGS);
	m->capacities = plan_capacities();
	m->call_minutes = least_call_minutes();
	m->sample = sample;
	calls_create(m);
	forecasts_of(m, "*");
	return m;
}
