/*
 * market_price.c
 *		Prices: they follow demand by its elasticity, then each is moved to where
 *		its demand meets the capacity; those with the lowest bound stay.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "plan/market_parts.h"

/* Prices follow excess demand for so many passes at most, until so many in a row brought little. */
#define PASSES 60
#define IDLE_PASSES 6
#define LITTLE 1e-6

/* Then each price is moved by itself, and demand is followed for so many passes more; so often, while that helps. */
#define SWEEPS 6
#define PASSES_MORE 8

/* Means that stand in for each other are moved together so often, while that helps. */
#define GROUP_SWEEPS 3

/* A resource that more than this share of the clients could use has a demand so smooth that its price follows well. */
#define SHARED .05

/* What a unit of each resource brings on average, of what wants it. */
static double *
mean_values(const Market *m)
{
	double	   *value = palloc0(sizeof(double) * (m->n_resources + 1));
	double	   *amount = palloc0(sizeof(double) * (m->n_resources + 1));

	for (int o = 0; o < m->n_options; o++)
		for (int u = 0; u < m->options[o].n_uses; u++)
		{
			const MarketUse *use = &m->uses[m->options[o].first_use + u];

			value[use->resource] += Max(m->options[o].value, 0);
			amount[use->resource] += use->amount;
		}
	for (int r = 0; r < m->n_resources; r++)
		value[r] = amount[r] > 0 ? value[r] / amount[r] : 0;
	pfree(amount);
	return value;
}

/* Prices to begin with where none are known. */
static void
first_prices(Market *m)
{
	double	   *mean = mean_values(m);

	for (int r = 0; r < m->n_resources; r++)
	{
		m->resources[r].mean = mean[r];
		if (m->resources[r].price <= 0 && m->resources[r].worth <= 0)
			m->resources[r].price = mean[r];
	}
	pfree(mean);
}

/* How demand answered the last move of the price. */
static void
see_elasticity(Resource *r)
{
	double		moved = r->last_price > 0 && r->price > 0 ? log(r->price / r->last_price) : 0;

	if (fabs(moved) > 1e-4 && r->used > 0 && r->last_used > 0)
	{
		double		seen = -log(r->used / r->last_used) / moved;

		if (seen > 0.3)
			r->elasticity = Min(20, (r->elasticity + Min(seen, 20)) / 2);
	}
	r->last_price = r->price;
	r->last_used = r->used;
}

/* The price follows excess demand; from nothing it rises to a hundredth of what the means bring. */
static void
follow_demand(Market *m, int resource, double damping)
{
	Resource   *r = &m->resources[resource];
	double		slack = 1e-3 * r->capacity + EPSILON;
	double		excess = log((r->used + slack) / (r->capacity + slack));
	double		step;

	see_elasticity(r);
	step = Min(1, Max(-1, damping * excess / Max(r->elasticity, 0.4)));
	if (r->worth > 0)
		step = -step;
	if (step > 0 && r->price <= 0)
		r->price = (r->worth > 0 ? r->worth : r->mean) / 100;
	r->price *= exp(step);
	if (r->worth > 0)
		r->price = Min(r->price, r->worth);
	if (r->used <= r->capacity && r->price < 1e-12)
		r->price = 0;
}

typedef struct Best
{
	double		bound;
	double	   *prices;
} Best;

/* Whether the bound fell by more than a little. */
static bool
keep_best(const Market *m, Best *best, double bound)
{
	bool		fell = !(bound >= best->bound - LITTLE * fabs(bound));

	if (bound >= best->bound)
		return false;
	best->bound = bound;
	for (int r = 0; r < m->n_resources; r++)
		best->prices[r] = m->resources[r].price;
	return fell;
}

static void
take_best(Market *m, const Best *best)
{
	for (int r = 0; r < m->n_resources; r++)
		m->resources[r].price = best->prices[r];
}

/* Who could use what. */
Users
market_users(const Market *m)
{
	Users		users = {palloc0(sizeof(int) * (m->n_resources + 2)), NULL};
	int		   *seen = palloc(sizeof(int) * (m->n_resources + 1));

	for (int pass = 0; pass < 2; pass++)
	{
		memset(seen, -1, sizeof(int) * (m->n_resources + 1));
		for (int b = 0; b < m->n_bids; b++)
			for (int o = 0; o < m->bids[b].n_options; o++)
			{
				const Option *option = &m->options[m->bids[b].first_option + o];

				for (int u = 0; u < option->n_uses; u++)
				{
					int			r = m->uses[option->first_use + u].resource;

					if (seen[r] == m->bids[b].client)
						continue;
					seen[r] = m->bids[b].client;
					if (pass == 0)
						users.first[r + 2]++;
					else
						users.clients[users.first[r + 1]++] = m->bids[b].client;
				}
			}
		if (pass == 0)
		{
			for (int r = 0; r < m->n_resources; r++)
				users.first[r + 2] += users.first[r + 1];
			users.clients = palloc_extended(sizeof(int) * Max(users.first[m->n_resources + 1], 1), MCXT_ALLOC_HUGE);
		}
	}
	pfree(seen);
	return users;
}

/* Whether so few clients could use the resource that it is worth its own search. */
bool
market_few_users(const Market *m, const Users *users, int resource)
{
	return m->n_clients < 1000 || users->first[resource + 1] - users->first[resource] <= SHARED * m->n_clients;
}

/* What the resource's users would use of it, at the prices. */
static double
demand_of(const Market *m, const Users *users, int resource, Pick *picks)
{
	double		used = 0;

	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
	{
		double		bound;
		int			n = market_picks(m, &m->clients[users->clients[i]], picks, &bound);

		for (int p = 0; p < n; p++)
		{
			const Option *option = &m->options[m->bids[picks[p].bid].first_option + picks[p].option];

			for (int u = 0; u < option->n_uses; u++)
				if (m->uses[option->first_use + u].resource == resource)
					used += m->uses[option->first_use + u].amount;
		}
	}
	return used;
}

/* A price at which no more is asked for than there is, at least as high as it was. */
static double
price_above(Market *m, const Users *users, int resource, Pick *picks)
{
	Resource   *r = &m->resources[resource];

	if (r->worth > 0)
		return r->worth;
	r->price = Max(r->price * 1.5, 1e-6);
	for (int i = 0; i < 40 && demand_of(m, users, resource, picks) > r->capacity; i++)
		r->price *= 4;
	return r->price;
}

/* L is convex in one price: it is lowest where the demand for the resource passes its capacity. */
static void
move_price(Market *m, const Users *users, int resource, Pick *picks)
{
	Resource   *r = &m->resources[resource];
	double		before = r->price;
	double		high = price_above(m, users, resource, picks);
	double		low = r->worth > 0 || high > before * 1.5 ? 0 : before / 2;

	r->price = low;
	if (low > 0 && demand_of(m, users, resource, picks) <= r->capacity)
	{
		high = low;
		low = 0;
	}
	for (int i = 0; i < HALVINGS && high - low > 1e-7 * high; i++)
	{
		r->price = (low + high) / 2;
		if ((demand_of(m, users, resource, picks) > r->capacity) == (r->worth <= 0))
			low = r->price;
		else
			high = r->price;
	}
	r->price = high;
}

static void
move_prices(Market *m, const Users *users, Pick *picks, void (*tick) (void))
{
	for (int r = 0; r < m->n_resources; r++)
	{
		if (users->first[r + 1] == users->first[r])
			m->resources[r].price = 0;
		else if (market_few_users(m, users, r))
			move_price(m, users, r, picks);
		tick();
	}
}
static int
follow(Market *m, Best *best, Pick *picks, int passes, void (*tick) (void))
{
	int			idle = 0;
	int			pass;

	for (pass = 0; pass < passes && idle < IDLE_PASSES; pass++)
	{
		idle = keep_best(m, best, market_demand(m, picks, tick)) ? 0 : idle + 1;
		for (int r = 0; r < m->n_resources; r++)
			follow_demand(m, r, 0.9 * (pass < 10 ? 1 : sqrt(10.0 / pass)));
	}
	take_best(m, best);
	return pass;
}

/* A price that is nothing beside what a unit brings only breaks ties, and those are for the earlier day. */
static void
forget_trifles(Market *m)
{
	for (int r = 0; r < m->n_resources; r++)
		if (m->resources[r].worth <= 0 && m->resources[r].price < TRIFLE * m->resources[r].mean)
			m->resources[r].price = 0;
}

/* Prices with the lowest bound that was found; how many passes it took. */
int
market_make_prices(Market *m, const Users *users, Pick *picks, double *bound, void (*tick) (void))
{
	Best		best = {INFINITY, palloc(sizeof(double) * (m->n_resources + 1))};
	int		   *roots = market_groups(m);
	int			passes;

	first_prices(m);
	passes = follow(m, &best, picks, PASSES, tick);
	for (int sweep = 0; sweep < GROUP_SWEEPS; sweep++)
	{
		market_move_groups(m, users, roots, picks, tick);
		if (!keep_best(m, &best, market_demand(m, picks, tick)))
			break;
	}
	take_best(m, &best);
	for (int sweep = 0; sweep < SWEEPS; sweep++)
	{
		double		before = best.bound;

		move_prices(m, users, picks, tick);
		passes += follow(m, &best, picks, PASSES_MORE, tick);
		if (sweep > 0 && best.bound > before - 10 * LITTLE * fabs(before))
			break;
	}
	*bound = best.bound;
	forget_trifles(m);
	return passes;
}
