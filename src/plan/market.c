/*
 * market.c
 *		Allocation by prices, with its certificate.
 *
 * maximise  sum of v_o x_o
 * where     each bid is done in at most one of its ways, a client's bids obey
 *           its conflicts and caps, and for each resource sum u_ro x_o <= cap_r.
 *
 * For any prices lambda >= 0 the Lagrangian
 *   L(lambda) = sum_r lambda_r cap_r + sum_clients max over feasible sets of sum (v - lambda u)
 * is an upper bound (Everett 1963; Fisher 1981).  Prices follow excess demand, keep
 * the lowest L, and are then moved one by one to where the demand meets the
 * capacity.  The plan takes what pays at the prices while it fits, fills up by
 * value over price, and exchanges near break-even.  A client's best set is exact
 * up to EXACT_BIDS bids; beyond, the bound drops its exclusions.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "plan/market_parts.h"
/* Room for one more element; its address. */
#define APPEND(m, name) \
	(((m)->n_##name == (m)->max_##name ? grow((m)->cxt, (void **) &(m)->name, &(m)->max_##name, sizeof(*(m)->name)) : (void) 0), \
	 &(m)->name[(m)->n_##name++])

static void
grow(MemoryContext cxt, void **array, int *max, Size size)
{
	*max = Max(64, *max * 2);
	*array = *array ? repalloc_huge(*array, size * *max) : MemoryContextAllocHuge(cxt, size * *max);
}

/* See market.h. */
Market *
market_new(void)
{
	Market	   *m = palloc0(sizeof(Market));

	m->cxt = CurrentMemoryContext;
	return m;
}

/* See market.h. */
int
market_resource(Market *m, double capacity, double price)
{
	*APPEND(m, resources) = (Resource)
	{
		.capacity = Max(capacity, 0), .price = Max(price, 0), .elasticity = 1
	};
	return m->n_resources - 1;
}

/* See market.h. */
int
market_floor(Market *m, double need, double worth)
{
	*APPEND(m, resources) = (Resource)
	{
		.capacity = Max(need, 0), .worth = Max(worth, 1e-12), .elasticity = 1
	};
	return m->n_resources - 1;
}

/* See market.h. */
void
market_rank(Market *m, int resource, int rank)
{
	m->resources[resource].rank = rank;
}

/* See market.h. */
void
market_client(Market *m, int most)
{
	*APPEND(m, clients) = (Client)
	{
		.first_bid = m->n_bids, .first_cap = m->n_caps, .most = most
	};
}

/* See market.h. */
int
market_bid(Market *m, int64 id, bool incumbent)
{
	m->clients[m->n_clients - 1].n_bids++;
	*APPEND(m, bids) = (MarketBid)
	{
		.id = id, .client = m->n_clients - 1, .first_option = m->n_options, .chosen = -1
	};
	return m->n_bids - 1;
}

/* See market.h. */
int
market_option(Market *m, double value, int n_uses, const MarketUse *uses)
{
	*APPEND(m, options) = (Option)
	{
		value, m->n_uses, n_uses
	};
	for (int i = 0; i < n_uses; i++)
		*APPEND(m, uses) = uses[i];
	return m->bids[m->n_bids - 1].n_options++;
}
/* See market.h. */
void
market_conflict(Market *m, int a, int b)
{
	m->bids[a].conflicts |= market_bit(m, b);
	m->bids[b].conflicts |= market_bit(m, a);
}

/* See market.h. */
void
market_cap(Market *m, const int *bids, int n, int most)
{
	Cap		   *cap = APPEND(m, caps);

	cap->members = 0;
	cap->most = most;
	for (int i = 0; i < n; i++)
		cap->members |= market_bit(m, bids[i]);
	m->clients[m->n_clients - 1].n_caps++;
}
/* ---- the answer ---- */

/* See market.h. */
MarketAnswer
market_solve(Market *m, void (*tick) (void))
{
	Pick	   *picks = market_pick_space(m);
	Users		users = market_users(m);
	MarketAnswer answer;

	answer.passes = market_make_prices(m, &users, picks, &answer.bound, tick);
	market_plan(m, &users, picks, tick);
	answer.value = market_value(m);
	answer.bound = Max(answer.bound, answer.value);
	return answer;
}

/* See market.h. */
MarketAnswer
market_repair(Market *m, void (*tick) (void))
{
	Pick	   *picks = market_pick_space(m);
	Users		users = market_users(m);
	MarketAnswer answer;

	answer.bound = market_demand(m, picks, tick);
	answer.passes = 1;
	market_plan(m, &users, picks, tick);
	answer.value = market_value(m);
	answer.bound = Max(answer.bound, answer.value);
	return answer;
}

/* See market.h. */
int
market_chosen(const Market *m, int bid)
{
	return m->bids[bid].chosen;
}

/* See market.h. */
double
market_price(const Market *m, int resource)
{
	return m->resources[resource].price;
}

/* See market.h. */
double
market_used(const Market *m, int resource)
{
	return m->resources[resource].used;
}
