/*
 * auction.c
 *		The market of a round: who meets whom there, and what it says.
 *
 * Obligations are awarded first, by deadline.  Then all other bids compete, with
 * the recommendations that nobody has seen yet; a plan is not thrown over for a
 * little: these stand with a tenth on top.  What was rejected learns why.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "engine/engine.h"
#include "plan/award.h"

/* No client is sought more often than this in one round, whatever the policies allow. */
#define MOST_AWARDS 8

/* Same demand, or the same action for the same category. */
static bool
same_demand(const Candidate *a, const Candidate *b)
{
	bool		same = strcmp(a->category, b->category) == 0;
	bool		any = strcmp(a->category, "*") == 0 || strcmp(b->category, "*") == 0;
	bool		overlap = a->demand_from < b->demand_to && b->demand_from < a->demand_to;

	return ((same || any) && overlap) || (same && strcmp(a->action, b->action) == 0);
}

/* Can only one of the two be done? */
static bool
clash(const Round *round, const Candidate *a, const Candidate *b)
{
	bool		demand = !round_spares(round, a, OBSTACLE_DEMAND) && !round_spares(round, b, OBSTACLE_DEMAND);
	bool		policy = !round_spares(round, a, OBSTACLE_POLICY) && !round_spares(round, b, OBSTACLE_POLICY);

	return (demand && same_demand(a, b)) || (policy && limits_too_close(round->policies, a, b));
}

static int
compare_texts(const char *a, const char *b)
{
	return a == b ? 0 : strcmp(a, b);
}

/* By client; within it the order does not depend on the round's number. */
static int
compare_candidates(const void *a, const void *b, void *arg)
{
	const Candidate *x = &((const Candidate *) arg)[*(const int *) a];
	const Candidate *y = &((const Candidate *) arg)[*(const int *) b];
	int			order;

	if (x->client_id != y->client_id)
		return x->client_id < y->client_id ? -1 : 1;
	if (x->incumbent != y->incumbent)
		return x->incumbent ? -1 : 1;
	if (x->iteration != y->iteration)
		return x->iteration - y->iteration;
	if ((order = compare_texts(x->agent, y->agent)) != 0 || (order = compare_texts(x->action, y->action)) != 0 ||
		(order = compare_texts(x->category, y->category)) != 0)
		return order;
	return *(const int *) a - *(const int *) b;
}

/* A run of candidates of one client. */
typedef struct Run
{
	Round	   *round;
	const int  *order;
	int			n;
} Run;

static Candidate *
run_candidate(const Run *run, int i)
{
	return &run->round->candidates[run->order[i]];
}

static double
way_price(const Round *round, const Way *way)
{
	double		price = 0;

	for (int u = 0; u < way->n_uses; u++)
		price += round->prices[round->uses[way->first_use + u].resource] * round->uses[way->first_use + u].amount;
	return price;
}

/* ---- obligations ---- */

static int
compare_deadlines(const void *a, const void *b, void *arg)
{
	const Candidate *x = &((const Candidate *) arg)[*(const int *) a];
	const Candidate *y = &((const Candidate *) arg)[*(const int *) b];

	if (x->valid_until != y->valid_until)
		return x->valid_until < y->valid_until ? -1 : 1;
	return compare_candidates(a, b, arg);
}

static const char *
short_of(const Round *round, const Way *way, const double *left)
{
	for (int u = 0; u < way->n_uses; u++)
	{
		const MarketUse *use = &round->uses[way->first_use + u];

		if (!means_is_floor(round->means, use->resource) && use->amount > left[use->resource] + 1e-9)
			return means_reason(round->means, use->resource);
	}
	return NULL;
}

static void
accept_way(Round *round, Candidate *c, const Way *way)
{
	c->accepted = true;
	c->reason = NULL;
	c->way = (int) (way - round->ways);
	c->has_rep = way->has_rep;
	c->rep_id = way->rep_id;
	c->due_on = way->day;
}

static void
award_obligation(Round *round, Candidate *c, double *left)
{
	for (int w = 0; w < c->n_ways; w++)
	{
		const Way  *way = &round->ways[c->first_way + w];

		c->reason = short_of(round, way, left);
		if (c->reason != NULL)
			continue;
		accept_way(round, c, way);
		for (int u = 0; u < way->n_uses; u++)
			left[round->uses[way->first_use + u].resource] -= round->uses[way->first_use + u].amount;
		return;
	}
}

static void
award_obligations(Round *round, double *left)
{
	int		   *order = palloc_extended(sizeof(int) * Max(round->n, 1), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int i = 0; i < round->n; i++)
		if (round->candidates[i].obligation && round->candidates[i].n_ways > 0)
		{
			round->candidates[i].accepted = false;
			order[n++] = i;
		}
	qsort_arg(order, n, sizeof(int), compare_deadlines, round->candidates);
	for (int i = 0; i < n; i++)
		award_obligation(round, &round->candidates[order[i]], left);
	pfree(order);
}

/* ---- the market ---- */

static bool
competes(const Candidate *c)
{
	return c->n_ways > 0 && !c->obligation;
}

/* The obligation of the run that a candidate would repeat, or 0. */
static int64
obligation_met(const Run *run, const Candidate *c)
{
	for (int i = 0; i < run->n; i++)
	{
		const Candidate *other = run_candidate(run, i);

		if (other->obligation && other->accepted && same_demand(other, c))
			return other->bid_id;
	}
	return 0;
}

static int
room_left(const Run *run, const Candidate *c, Limits *limits, int policy)
{
	int			room = run->round->rooms[c->room + policy];

	for (int i = 0; i < run->n; i++)
	{
		const Candidate *other = run_candidate(run, i);

		if (other->obligation && other->accepted && limits_counts(limits, policy, other->channel))
			room--;
	}
	return Max(room, 0);
}

static void
add_caps(Market *market, const Run *run)
{
	Limits	   *limits = run->round->policies;
	int		   *members = palloc(sizeof(int) * run->n);

	for (int policy = 0; policy < run->round->n_policies; policy++)
	{
		int			n = 0;
		int			most = 0;

		for (int i = 0; i < run->n; i++)
		{
			const Candidate *c = run_candidate(run, i);

			if (c->market < 0 || !limits_counts(limits, policy, c->channel) || round_spares(run->round, c, OBSTACLE_POLICY))
				continue;
			members[n++] = c->market;
			most = room_left(run, c, limits, policy);
		}
		if (n > most)
			market_cap(market, members, n, most);
	}
	pfree(members);
}

static void
add_candidate(Market *market, const Run *run, Candidate *c)
{
	Round	   *round = run->round;
	double		worth = c->incumbent ? c->net * (1 + agentcrm_displacement_penalty) : c->net;

	if (round_spares(round, c, OBSTACLE_RESERVE))
		worth = Max(worth, 1e-6);

	c->market = market_bid(market, c->bid_id, c->incumbent);
	for (int w = 0; w < c->n_ways; w++)
	{
		const Way  *way = &round->ways[c->first_way + w];

		(void) market_option(market, worth, way->n_uses, &round->uses[way->first_use]);
	}
}

static void
add_client(Market *market, const Run *run)
{
	market_client(market, MOST_AWARDS);
	for (int i = 0; i < run->n; i++)
	{
		Candidate  *c = run_candidate(run, i);
		int64		met = competes(c) ? obligation_met(run, c) : 0;

		c->market = -1;
		if (met != 0)
			c->reason = psprintf("excluded_by:" INT64_FORMAT, met);
		else if (competes(c))
			add_candidate(market, run, c);
	}
	for (int i = 0; i < run->n; i++)
		for (int j = 0; j < i; j++)
		{
			const Candidate *a = run_candidate(run, j);
			const Candidate *b = run_candidate(run, i);

			if (a->market >= 0 && b->market >= 0 && clash(run->round, a, b))
				market_conflict(market, a->market, b->market);
		}
	add_caps(market, run);
}

static void
add_resources(Market *market, Round *round, const double *left)
{
	for (int r = 0; r < means_count(round->means); r++)
	{
		const char *name;
		int64		owner_id;
		DateADT		day;

		if (means_is_floor(round->means, r))
			(void) market_floor(market, Max(left[r], 0), means_worth(round->means, r));
		else
			(void) market_resource(market, Max(left[r], 0), round->prices[r]);
		means_label(round->means, r, &name, &owner_id, &day);
		market_rank(market, r, day);
	}
}

/* ---- what came of it ---- */

static const Candidate *
winner_against(const Run *run, const Candidate *c, bool (*against) (const Round *, const Candidate *, const Candidate *))
{
	for (int i = 0; i < run->n; i++)
	{
		const Candidate *other = run_candidate(run, i);

		if (other != c && other->accepted && against(run->round, other, c))
			return other;
	}
	return NULL;
}

static bool
takes_demand(const Round *round, const Candidate *winner, const Candidate *c)
{
	return same_demand(winner, c);
}

static bool
takes_day(const Round *round, const Candidate *winner, const Candidate *c)
{
	return limits_too_close(round->policies, winner, c);
}

static bool
cap_is_full(const Run *run, const Candidate *c)
{
	const Round *round = run->round;

	for (int policy = 0; policy < round->n_policies; policy++)
	{
		int			n = 0;

		if (!limits_counts(round->policies, policy, c->channel))
			continue;
		for (int i = 0; i < run->n; i++)
			n += run_candidate(run, i)->accepted && limits_counts(round->policies, policy, run_candidate(run, i)->channel);
		if (n >= round->rooms[c->room + policy])
			return true;
	}
	return false;
}

/* The way that comes dearest least, at the prices. */
static const Way *
cheapest_way(const Round *round, const Candidate *c)
{
	const Way  *best = &round->ways[c->first_way];

	for (int w = 1; w < c->n_ways; w++)
		if (way_price(round, &round->ways[c->first_way + w]) < way_price(round, best))
			best = &round->ways[c->first_way + w];
	return best;
}

/* The resource of the way that is used up, else that which costs most. */
static const char *
scarce_resource(const Round *round, const Way *way, const double *left, double *missing)
{
	int			dearest = -1;
	double		most = 0;

	for (int u = 0; u < way->n_uses; u++)
	{
		const MarketUse *use = &round->uses[way->first_use + u];
		double		price = round->prices[use->resource] * use->amount;

		if (means_is_floor(round->means, use->resource))
			continue;
		if (round->used[use->resource] + use->amount > left[use->resource] + 1e-9)
			price += 1e9;
		if (price > most)
		{
			most = price;
			dearest = use->resource;
			*missing = Max(0, round->used[use->resource] + use->amount - left[use->resource]);
		}
	}
	return dearest < 0 ? "outbid" : means_reason(round->means, dearest);
}

static const char *
why_rejected(const Run *run, Candidate *c, const double *left)
{
	const Candidate *winner = winner_against(run, c, takes_demand);

	c->missing = 0;
	if (winner != NULL)
	{
		c->missing = Max(0, winner->net * (winner->incumbent ? 1 + agentcrm_displacement_penalty : 1) - c->net);
		return psprintf("excluded_by:" INT64_FORMAT, winner->bid_id);
	}
	if (winner_against(run, c, takes_day) != NULL)
		return "cooldown";
	if (cap_is_full(run, c))
	{
		c->missing = 1;
		return "contact_cap";
	}
	return scarce_resource(run->round, cheapest_way(run->round, c), left, &c->missing);
}

static void
read_fates(const Market *market, const Run *run, const double *left)
{
	Round	   *round = run->round;

	for (int i = 0; i < run->n; i++)
	{
		Candidate  *c = run_candidate(run, i);
		int			way = c->market >= 0 ? market_chosen(market, c->market) : -1;

		if (c->market < 0)
			continue;
		c->accepted = false;
		if (way >= 0)
			accept_way(round, c, &round->ways[c->first_way + way]);
		c->price = way_price(round, way >= 0 ? &round->ways[c->first_way + way] : cheapest_way(round, c));
	}
	for (int i = 0; i < run->n; i++)
	{
		Candidate  *c = run_candidate(run, i);

		if (c->market >= 0 && !c->accepted)
			c->reason = why_rejected(run, c, left);
	}
}

static void
each_client(Round *round, const int *order, int n, Market *market, const double *left, bool fates)
{
	Run			run = {.round = round};

	for (int first = 0; first < n; first += run.n)
	{
		run.order = order + first;
		for (run.n = 1; first + run.n < n; run.n++)
			if (round->candidates[order[first + run.n]].client_id != round->candidates[order[first]].client_id)
				break;
		if (fates)
			read_fates(market, &run, left);
		else
			add_client(market, &run);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/* Let the round's candidates compete; sets what becomes of each, prices, uses and the certificate. */
void
auction_settle(Round *round)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm market", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	int			n_means = means_count(round->means);
	double	   *left = palloc(sizeof(double) * (n_means + 1));
	int		   *order = palloc_extended(sizeof(int) * Max(round->n, 1), MCXT_ALLOC_HUGE);
	Market	   *market = market_new();

	for (int r = 0; r < n_means; r++)
		left[r] = means_left(round->means, r);
	MemoryContextSwitchTo(round->cxt);
	round->prices = prices_standing(round);
	round->used = palloc0(sizeof(double) * (n_means + 1));
	award_obligations(round, left);
	add_resources(market, round, left);
	for (int i = 0; i < round->n; i++)
		order[i] = i;
	qsort_arg(order, round->n, sizeof(int), compare_candidates, round->candidates);
	each_client(round, order, round->n, market, left, false);
	round->answer = round->kind == ROUND_DAILY ? market_solve(market, check_interrupts) : market_repair(market, check_interrupts);
	for (int r = 0; r < n_means; r++)
	{
		round->prices[r] = market_price(market, r);
		round->used[r] = market_used(market, r);
	}
	each_client(round, order, round->n, market, left, true);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}
