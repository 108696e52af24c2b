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

#include <math.h>

#include "utils/memutils.h"

#include "plan/market.h"

#define EXACT_BIDS 16

/* Prices follow excess demand for so many passes at most, until so many in a row brought little. */
#define PASSES 60
#define IDLE_PASSES 6
#define LITTLE 1e-6

/* Then each price is moved by itself, by so many halvings, and demand is followed for so many passes more; so often, while that helps. */
#define SWEEPS 6
#define HALVINGS 14
#define PASSES_MORE 8

/* Means that stand in for each other are moved together so often, while that helps. */
#define GROUP_SWEEPS 3

/* A plan is packed and filled so often. */
#define ROUNDS 2

/* A resource that more than this share of the clients could use has a demand so smooth that its price follows well. */
#define SHARED .05

#define EPSILON 1e-9
#define TRIFLE 1e-3

typedef struct Resource
{
	double		capacity;		/* of a floor: what is needed */
	double		worth;			/* of a floor: what a missing unit costs; 0: no floor */
	double		price;
	double		used;
	double		elasticity;		/* of demand by price, as seen */
	double		last_price;
	double		last_used;
	double		mean;			/* what a unit brings, of what wants it */
	int			rank;			/* among means that stand in for each other */
} Resource;

typedef struct Option
{
	double		value;
	int			first_use;
	int			n_uses;
} Option;

typedef struct MarketBid
{
	int64		id;
	int			client;
	int			first_option;
	int			n_options;
	int			chosen;			/* option, from 0 on within the bid, or -1 */
	uint32		conflicts;		/* of the client's first 32 bids */
} MarketBid;

typedef struct Cap
{
	uint32		members;		/* of the client's first 32 bids */
	int			most;
} Cap;

typedef struct Client
{
	int			first_bid;
	int			n_bids;
	int			first_cap;
	int			n_caps;
	int			most;
} Client;

#define ARRAY(type, name) type *name; int n_##name; int max_##name

struct Market
{
	ARRAY(Resource, resources);
	ARRAY(Client, clients);
	ARRAY(MarketBid, bids);
	ARRAY(Option, options);
	ARRAY(MarketUse, uses);
	ARRAY(Cap, caps);
	MemoryContext cxt;
};

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

/* The bid's place among its client's, as a bit; beyond the first 32 bids none. */
static uint32
bid_bit(const Market *m, int bid)
{
	int			place = bid - m->clients[m->bids[bid].client].first_bid;

	return place < 32 ? (uint32) 1 << place : 0;
}

/* See market.h. */
void
market_conflict(Market *m, int a, int b)
{
	m->bids[a].conflicts |= bid_bit(m, b);
	m->bids[b].conflicts |= bid_bit(m, a);
}

/* See market.h. */
void
market_cap(Market *m, const int *bids, int n, int most)
{
	Cap		   *cap = APPEND(m, caps);

	cap->members = 0;
	cap->most = most;
	for (int i = 0; i < n; i++)
		cap->members |= bid_bit(m, bids[i]);
	m->clients[m->n_clients - 1].n_caps++;
}

/* ---- what a client would choose at prices ---- */

/* What the means of an option cost; a floor pays for being used. */
static double
option_price(const Market *m, const Option *option)
{
	double		price = 0;

	for (int i = 0; i < option->n_uses; i++)
	{
		const MarketUse *use = &m->uses[option->first_use + i];
		const Resource *r = &m->resources[use->resource];

		price += (r->worth > 0 ? -r->price : r->price) * use->amount;
	}
	return price;
}

/* The bid's best option at the prices, and what it leaves over. */
static int
best_option(const Market *m, const MarketBid *bid, double *surplus)
{
	int			best = -1;

	*surplus = 0;
	for (int o = 0; o < bid->n_options; o++)
	{
		const Option *option = &m->options[bid->first_option + o];
		double		left = option->value - option_price(m, option);

		if (left > *surplus)
		{
			*surplus = left;
			best = o;
		}
	}
	return best;
}

typedef struct Pick
{
	int			bid;
	int			option;
	double		surplus;
} Pick;

/* The search for a client's best set. */
typedef struct Search
{
	const Market *m;
	const Client *client;
	const Pick *picks;
	int			n;
	double	   *rest;			/* of the picks from i on */
	uint32		best_set;
	double		best;
} Search;

static bool
allows(const Market *m, const Client *client, uint32 set, int bid)
{
	uint32		bit = bid_bit(m, bid);

	if (bit == 0 || (m->bids[bid].conflicts & set) != 0 || __builtin_popcount(set) >= client->most)
		return false;
	for (int c = client->first_cap; c < client->first_cap + client->n_caps; c++)
		if ((m->caps[c].members & bit) != 0 && __builtin_popcount(m->caps[c].members & set) >= m->caps[c].most)
			return false;
	return true;
}

static void
search_from(Search *s, int i, uint32 set, double sum)
{
	if (sum > s->best)
	{
		s->best = sum;
		s->best_set = set;
	}
	if (i == s->n || sum + s->rest[i] <= s->best)
		return;
	if (allows(s->m, s->client, set, s->picks[i].bid))
		search_from(s, i + 1, set | bid_bit(s->m, s->picks[i].bid), sum + s->picks[i].surplus);
	search_from(s, i + 1, set, sum);
}

static uint32
greedy_set(const Market *m, const Client *client, const Pick *picks, int n)
{
	uint32		set = 0;

	for (int i = 0; i < n; i++)
		if (allows(m, client, set, picks[i].bid))
			set |= bid_bit(m, picks[i].bid);
	return set;
}

/* By what they leave over, the better first; they are few. */
static void
sort_picks(Pick *picks, int n)
{
	for (int i = 1; i < n; i++)
	{
		Pick		pick = picks[i];
		int			j = i;

		for (; j > 0 && picks[j - 1].surplus < pick.surplus; j--)
			picks[j] = picks[j - 1];
		picks[j] = pick;
	}
}

/* Where only one can be had: the best one, to the front. */
static int
best_pick(Pick *picks, int n, double *bound)
{
	for (int i = 1; i < n; i++)
		if (picks[i].surplus > picks[0].surplus)
			picks[0] = picks[i];
	*bound = picks[0].surplus;
	return 1;
}

static int
keep_picks(const Market *m, Pick *picks, int n, uint32 set)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if ((bid_bit(m, picks[i].bid) & set) != 0)
			picks[kept++] = picks[i];
	return kept;
}

/* The client's best picks at the prices; *bound: no set leaves more over. */
static int
client_picks(const Market *m, const Client *client, Pick *picks, double *bound)
{
	double		rest[EXACT_BIDS + 1];
	Search		s = {m, client, picks, 0, rest, 0, 0};

	*bound = 0;
	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
	{
		Pick	   *pick = &picks[s.n];

		pick->bid = b;
		pick->option = best_option(m, &m->bids[b], &pick->surplus);
		*bound += pick->surplus;
		s.n += pick->option >= 0;
	}
	if (s.n == 0)
		return 0;
	if (client->n_caps == 0 && (s.n == 1 || client->most == 1))
		return best_pick(picks, s.n, bound);
	sort_picks(picks, s.n);
	if (s.n > EXACT_BIDS)
		return keep_picks(m, picks, s.n, greedy_set(m, client, picks, s.n));
	rest[s.n] = 0;
	for (int i = s.n - 1; i >= 0; i--)
		rest[i] = rest[i + 1] + picks[i].surplus;
	search_from(&s, 0, 0, 0);
	*bound = s.best;
	return keep_picks(m, picks, s.n, s.best_set);
}

static Pick *
pick_space(const Market *m)
{
	int			most = 1;

	for (int c = 0; c < m->n_clients; c++)
		most = Max(most, m->clients[c].n_bids);
	return palloc_extended(sizeof(Pick) * most, MCXT_ALLOC_HUGE);
}

/* What the means bring in at the prices, were they all used. */
static double
means_worth_at_prices(const Market *m)
{
	double		sum = 0;

	for (int r = 0; r < m->n_resources; r++)
		sum += (m->resources[r].worth > 0 ? -1 : 1) * m->resources[r].price * m->resources[r].capacity;
	return sum;
}

static void
add_uses(Market *m, int bid, int o, double sign)
{
	const Option *option = &m->options[m->bids[bid].first_option + o];

	for (int i = 0; i < option->n_uses; i++)
		m->resources[m->uses[option->first_use + i].resource].used += sign * m->uses[option->first_use + i].amount;
}

/* L at the prices; demand goes to the resources' used. */
static double
demand(Market *m, Pick *picks, void (*tick) (void))
{
	double		sum = means_worth_at_prices(m);

	for (int r = 0; r < m->n_resources; r++)
		m->resources[r].used = 0;
	for (int c = 0; c < m->n_clients; c++)
	{
		double		bound;
		int			n = client_picks(m, &m->clients[c], picks, &bound);

		sum += bound;
		for (int i = 0; i < n; i++)
			add_uses(m, picks[i].bid, picks[i].option, 1);
		if ((c & 255) == 0)
			tick();
	}
	return sum;
}

/* ---- prices ---- */

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

/* The clients who could use each resource, resource by resource. */
typedef struct Users
{
	int		   *first;
	int		   *clients;
} Users;

static Users
find_users(const Market *m)
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

static bool
has_few_users(const Market *m, const Users *users, int resource)
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
		int			n = client_picks(m, &m->clients[users->clients[i]], picks, &bound);

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
		else if (has_few_users(m, users, r))
			move_price(m, users, r, picks);
		tick();
	}
}

/* ---- means that stand in for each other: the days of a rep ---- */

/* Resources among which bids may choose: each leads to its group's first. */
static int
group_root(int *roots, int r)
{
	while (roots[r] != r)
		r = roots[r] = roots[roots[r]];
	return r;
}

static int *
find_groups(const Market *m)
{
	int		   *roots = palloc(sizeof(int) * (m->n_resources + 1));

	for (int r = 0; r < m->n_resources; r++)
		roots[r] = r;
	for (int b = 0; b < m->n_bids; b++)
		for (int o = 1; o < m->bids[b].n_options; o++)
		{
			const Option *x = &m->options[m->bids[b].first_option + o - 1];
			const Option *y = &m->options[m->bids[b].first_option + o];

			/* ways of a bid name their means in the same order */
			for (int u = 0; x->n_uses == y->n_uses && u < x->n_uses; u++)
			{
				int			i = m->uses[x->first_use + u].resource;
				int			j = m->uses[y->first_use + u].resource;

				if (m->resources[i].worth <= 0 && m->resources[j].worth <= 0)
					roots[Max(group_root(roots, i), group_root(roots, j))] = Min(group_root(roots, i), group_root(roots, j));
			}
		}
	for (int r = 0; r < m->n_resources; r++)
		roots[r] = group_root(roots, r);
	return roots;
}

typedef struct Group
{
	int			n;
	int		   *members;		/* resources, those needed first in front */
	int			n_clients;
	int		   *clients;
} Group;

static int
compare_ranks(const void *a, const void *b, void *arg)
{
	const Resource *x = &((const Market *) arg)->resources[*(const int *) a];
	const Resource *y = &((const Market *) arg)->resources[*(const int *) b];

	return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : *(const int *) a - *(const int *) b;
}

/* Fill in the group of a root, with the clients that could use any of it. */
static void
fill_group(const Market *m, const Users *users, const int *roots, int root, int *seen, Group *group)
{
	group->n = group->n_clients = 0;
	for (int r = root; r < m->n_resources; r++)
	{
		if (roots[r] != root)
			continue;
		group->members[group->n++] = r;
		for (int i = users->first[r]; i < users->first[r + 1]; i++)
			if (seen[users->clients[i]] != root + 1)
			{
				seen[users->clients[i]] = root + 1;
				group->clients[group->n_clients++] = users->clients[i];
			}
	}
	qsort_arg(group->members, group->n, sizeof(int), compare_ranks, unconstify(Market *, m));
}

/* What is asked for of the group's first members beyond what there is, their prices being shifted. */
static double
excess_of(Market *m, const Group *group, int first, const double *prices, double shift, Pick *picks)
{
	double		excess = 0;

	for (int i = 0; i < first; i++)
	{
		Resource   *r = &m->resources[group->members[i]];

		r->price = Max(prices[i] + shift, 0);
		r->used = 0;
		excess -= r->capacity;
	}
	for (int i = 0; i < group->n_clients; i++)
	{
		double		bound;
		int			n = client_picks(m, &m->clients[group->clients[i]], picks, &bound);

		for (int p = 0; p < n; p++)
			add_uses(m, picks[p].bid, picks[p].option, 1);
	}
	for (int i = 0; i < first; i++)
		excess += m->resources[group->members[i]].used;
	return excess;
}

/* Move the prices of the group's first members by the same amount to where what is asked for of them meets what there is. */
static void
shift_prices(Market *m, const Group *group, int first, double *prices, Pick *picks)
{
	double		most = 1e-6;
	double		least = INFINITY;
	double		low = 0;
	double		high = 0;

	for (int i = 0; i < first; i++)
	{
		most = Max(most, prices[i]);
		least = Min(least, prices[i]);
	}
	if (excess_of(m, group, first, prices, 0, picks) > 0)
		for (high = most; excess_of(m, group, first, prices, high, picks) > 0 && high < 1e12; high *= 4)
			low = high;
	else if (excess_of(m, group, first, prices, -least, picks) > 0)
		low = -least;
	else
		low = high = -least;
	for (int i = 0; i < 2 * HALVINGS && high - low > 1e-6 * most; i++)
	{
		double		middle = (low + high) / 2;

		if (excess_of(m, group, first, prices, middle, picks) > 0)
			low = middle;
		else
			high = middle;
	}
	for (int i = 0; i < first; i++)
		prices[i] = m->resources[group->members[i]].price = Max(prices[i] + high, 0);
}

/*
 * Prices of means that stand in for each other: one by one they would only
 * chase the demand from day to day.  So the days up to each are moved together:
 * what may wait is not dearer than what may not.
 */
static void
move_groups(Market *m, const Users *users, const int *roots, Pick *picks, void (*tick) (void))
{
	Group		group = {.members = palloc(sizeof(int) * (m->n_resources + 1)), .clients = palloc_extended(sizeof(int) * (m->n_clients + 1), MCXT_ALLOC_HUGE)};
	int		   *seen = palloc_extended(sizeof(int) * (m->n_clients + 1), MCXT_ALLOC_HUGE);
	int		   *size = palloc0(sizeof(int) * (m->n_resources + 1));
	double	   *prices = palloc(sizeof(double) * (m->n_resources + 1));

	memset(seen, 0, sizeof(int) * (m->n_clients + 1));
	for (int r = 0; r < m->n_resources; r++)
		size[roots[r]]++;
	for (int r = 0; r < m->n_resources; r++)
	{
		if (size[r] < 2)
			continue;
		fill_group(m, users, roots, r, seen, &group);
		for (int i = 0; i < group.n; i++)
			prices[i] = m->resources[group.members[i]].price;
		for (int first = group.n; first > 0; first--)
		{
			shift_prices(m, &group, first, prices, picks);
			tick();
		}
	}
	pfree(group.members);
	pfree(group.clients);
	pfree(seen);
	pfree(size);
	pfree(prices);
}

static int
follow(Market *m, Best *best, Pick *picks, int passes, void (*tick) (void))
{
	int			idle = 0;
	int			pass;

	for (pass = 0; pass < passes && idle < IDLE_PASSES; pass++)
	{
		idle = keep_best(m, best, demand(m, picks, tick)) ? 0 : idle + 1;
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

static int
make_prices(Market *m, const Users *users, Pick *picks, double *bound, void (*tick) (void))
{
	Best		best = {INFINITY, palloc(sizeof(double) * (m->n_resources + 1))};
	int		   *roots = find_groups(m);
	int			passes;

	first_prices(m);
	passes = follow(m, &best, picks, PASSES, tick);
	for (int sweep = 0; sweep < GROUP_SWEEPS; sweep++)
	{
		move_groups(m, users, roots, picks, tick);
		if (!keep_best(m, &best, demand(m, picks, tick)))
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

/* ---- a plan within the means ---- */

/* An option that may be done. */
typedef struct Offer
{
	int			bid;
	int			option;
	double		ratio;			/* value over price */
} Offer;

static int
compare_offers(const void *a, const void *b, void *arg)
{
	const Offer *x = a;
	const Offer *y = b;
	const Market *m = arg;

	if (x->ratio != y->ratio)
		return x->ratio > y->ratio ? -1 : 1;
	if (m->bids[x->bid].id != m->bids[y->bid].id)
		return m->bids[x->bid].id < m->bids[y->bid].id ? -1 : 1;
	return x->bid != y->bid ? x->bid - y->bid : x->option - y->option;
}

static Offer
make_offer(const Market *m, int bid, int option)
{
	const Option *o = &m->options[m->bids[bid].first_option + option];
	double		price = option_price(m, o);

	return (Offer)
	{
		bid, option, price > EPSILON ? o->value / price : 1e9 * Max(o->value - price, 0)
	};
}

static uint32
client_set(const Market *m, const Client *client)
{
	uint32		set = 0;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		if (m->bids[b].chosen >= 0)
			set |= bid_bit(m, b);
	return set;
}

static bool
fits(const Market *m, const Option *option)
{
	for (int u = 0; u < option->n_uses; u++)
	{
		const MarketUse *use = &m->uses[option->first_use + u];
		const Resource *r = &m->resources[use->resource];

		if (r->worth <= 0 && r->used + use->amount > r->capacity + EPSILON)
			return false;
	}
	return true;
}

static void
choose(Market *m, int bid, int option)
{
	m->bids[bid].chosen = option;
	add_uses(m, bid, option, 1);
}

static void
drop(Market *m, int bid)
{
	add_uses(m, bid, m->bids[bid].chosen, -1);
	m->bids[bid].chosen = -1;
}

/* What an option adds to the plan: its value, and what it saves of missed floors. */
static double
gain_of(const Market *m, const Option *option)
{
	double		gain = option->value;

	for (int u = 0; u < option->n_uses; u++)
	{
		const MarketUse *use = &m->uses[option->first_use + u];
		const Resource *r = &m->resources[use->resource];

		if (r->worth > 0)
			gain += r->worth * Min(use->amount, Max(0, r->capacity - r->used));
	}
	return gain;
}

static bool
may_choose(const Market *m, const Offer *offer)
{
	const MarketBid *bid = &m->bids[offer->bid];
	const Option *option = &m->options[bid->first_option + offer->option];
	const Client *client = &m->clients[bid->client];

	return bid->chosen < 0 && gain_of(m, option) > 0 && fits(m, option) && allows(m, client, client_set(m, client), offer->bid);
}

static void
take_offers(Market *m, Offer *offers, int n, void (*tick) (void))
{
	qsort_arg(offers, n, sizeof(Offer), compare_offers, m);
	for (int i = 0; i < n; i++)
	{
		if (may_choose(m, &offers[i]))
			choose(m, offers[i].bid, offers[i].option);
		if ((i & 1023) == 0)
			tick();
	}
}

/* What an offer would push out: the client's bids that it excludes, if they are worth less. */
static bool
exchange_within_client(Market *m, const Offer *offer)
{
	const MarketBid *bid = &m->bids[offer->bid];
	const Client *client = &m->clients[bid->client];
	const Option *option = &m->options[bid->first_option + offer->option];
	int			other = -1;
	int			other_option;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		if (m->bids[b].chosen >= 0 && (b == offer->bid || !allows(m, client, bid_bit(m, b), offer->bid)))
		{
			if (other >= 0)
				return false;
			other = b;
		}
	if (other < 0)
		return false;
	other_option = m->bids[other].chosen;
	drop(m, other);
	if (gain_of(m, option) > gain_of(m, &m->options[m->bids[other].first_option + other_option]) + EPSILON && may_choose(m, offer))
	{
		choose(m, offer->bid, offer->option);
		return true;
	}
	choose(m, other, other_option);
	return false;
}

/* ---- a resource's own knapsack ---- */

/* A resource is divided into so many parts at most. */
#define MOST_PARTS 2048

/* What a client may do: one bid or two, of which some use the resource. */
typedef struct Item
{
	int			n;
	int			bids[2];
	int			options[2];
	int			parts;			/* of the resource, rounded up */
	double		gain;			/* value less what it costs of the other means */
	bool		taken;
} Item;

typedef struct Knapsack
{
	int			resource;
	int			parts;
	double		part;
	int			n_items;
	Item	   *items;
	int			n_groups;
	int		   *groups;			/* first item of each, and one more */
} Knapsack;

static double
amount_of(const Market *m, const Option *option, int resource)
{
	double		amount = 0;

	for (int u = 0; u < option->n_uses; u++)
		if (m->uses[option->first_use + u].resource == resource)
			amount += m->uses[option->first_use + u].amount;
	return amount;
}

/* Singles of a client looked at for its items. */
#define MOST_SINGLES 24

/* The bids of a client that come near to paying, each done one way. */
static int
find_singles(const Market *m, const Knapsack *k, const Client *client, Item *singles)
{
	const Resource *r = &m->resources[k->resource];
	int			n = 0;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		for (int o = 0; o < m->bids[b].n_options && n < MOST_SINGLES; o++)
		{
			const Option *option = &m->options[m->bids[b].first_option + o];
			double		amount = amount_of(m, option, k->resource);
			double		gain = option->value - option_price(m, option) + r->price * amount;
			int			parts = (int) ceil(amount / k->part - 1e-9);

			if (gain > 0.7 * r->price * amount && parts <= k->parts && allows(m, client, 0, b) && fits(m, option))
				singles[n++] = (Item)
			{
				1, {b}, {o}, parts, gain, false
			};
		}
	return n;
}

/* An item goes among the group's, by parts, unless another one has at least its gain for no more parts. */
static void
add_item(Knapsack *k, int first, const Item *item)
{
	int			i = k->n_items;

	for (int j = first; j < k->n_items; j++)
		if (k->items[j].parts <= item->parts && k->items[j].gain >= item->gain)
			return;
	for (int j = i = first; j < k->n_items; j++)
		if (k->items[j].parts < item->parts || k->items[j].gain > item->gain)
			k->items[i++] = k->items[j];
	k->items[i] = *item;
	k->n_items = i + 1;
}

/* What the client may do, elsewhere too: it does nothing yet. */
static void
add_group(const Market *m, Knapsack *k, const Client *client)
{
	Item		singles[MOST_SINGLES];
	int			n = find_singles(m, k, client, singles);
	int			first = k->n_items;

	for (int i = 0; i < n; i++)
	{
		add_item(k, first, &singles[i]);
		for (int j = 0; j < i && client->most > 1; j++)
		{
			Item		pair = {2, {singles[j].bids[0], singles[i].bids[0]}, {singles[j].options[0], singles[i].options[0]},
			singles[i].parts + singles[j].parts, singles[i].gain + singles[j].gain, false};

			if (pair.parts <= k->parts && pair.bids[0] != pair.bids[1] && allows(m, client, bid_bit(m, pair.bids[0]), pair.bids[1]))
				add_item(k, first, &pair);
		}
	}
	if (k->n_items > first)
		k->groups[k->n_groups++] = first;
}

/* The best choice of at most one item a group, by dynamic programming over the parts. */
static void
solve_knapsack(Knapsack *k)
{
	double	   *best = palloc0(sizeof(double) * (k->parts + 1));
	int16	   *choice = palloc_extended(sizeof(int16) * ((Size) k->n_groups * (k->parts + 1) + 1), MCXT_ALLOC_HUGE);

	for (int g = 0; g < k->n_groups; g++)
	{
		int16	   *c = &choice[(Size) g * (k->parts + 1)];

		for (int w = k->parts; w >= 0; w--)
		{
			double		top = best[w];

			c[w] = -1;
			for (int i = k->groups[g]; i < k->groups[g + 1]; i++)
				if (k->items[i].parts <= w && best[w - k->items[i].parts] + k->items[i].gain > top)
				{
					top = best[w - k->items[i].parts] + k->items[i].gain;
					c[w] = (int16) (i - k->groups[g]);
				}
			best[w] = top;
		}
	}
	for (int g = k->n_groups - 1, w = k->parts; g >= 0; g--)
	{
		int			c = choice[(Size) g * (k->parts + 1) + w];

		if (c < 0)
			continue;
		k->items[k->groups[g] + c].taken = true;
		w -= k->items[k->groups[g] + c].parts;
	}
	pfree(best);
	pfree(choice);
}

/* Amounts are whole minutes as a rule: then the parts are exact. */
static double
part_of(const Market *m, const Users *users, int resource)
{
	const Resource *r = &m->resources[resource];

	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
	{
		const Client *client = &m->clients[users->clients[i]];

		for (int o = m->bids[client->first_bid].first_option;
			 o < m->bids[client->first_bid + client->n_bids - 1].first_option + m->bids[client->first_bid + client->n_bids - 1].n_options; o++)
		{
			double		amount = amount_of(m, &m->options[o], resource);

			if (amount != floor(amount))
				return r->capacity / MOST_PARTS;
		}
	}
	return r->capacity <= MOST_PARTS ? 1 : r->capacity / MOST_PARTS;
}

/* How many of the client's bids are chosen. */
static int
n_chosen(const Market *m, const Client *client)
{
	int			n = 0;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		n += m->bids[b].chosen >= 0;
	return n;
}

/* What an offer leaves over after the other means are paid. */
static double
gain_on(const Market *m, int resource, const Offer *offer)
{
	const Option *option = &m->options[m->bids[offer->bid].first_option + offer->option];

	return option->value - option_price(m, option) + m->resources[resource].price * amount_of(m, option, resource);
}

/* The resource's clients do nothing; what they did. */
static int
clear(Market *m, const Users *users, int resource, Offer *before, double *worth)
{
	int			n = 0;

	*worth = 0;
	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
	{
		const Client *client = &m->clients[users->clients[i]];

		for (int b = client->first_bid; b < client->first_bid + client->n_bids && n_chosen(m, client) <= 2; b++)
			if (m->bids[b].chosen >= 0)
			{
				before[n++] = (Offer)
				{
					b, m->bids[b].chosen, 0
				};
				*worth += gain_on(m, resource, &before[n - 1]);
				drop(m, b);
			}
	}
	return n;
}

/* Do what was taken, the best first as far as the other means go; the number of bids done, first among offers. */
static int
unpack(Market *m, const Knapsack *k, Offer *offers, double *worth)
{
	int			n = 0;
	int			done = 0;

	for (int i = 0; i < k->n_items; i++)
		for (int p = 0; k->items[i].taken && p < k->items[i].n; p++)
			offers[n++] = make_offer(m, k->items[i].bids[p], k->items[i].options[p]);
	qsort_arg(offers, n, sizeof(Offer), compare_offers, m);
	*worth = 0;
	for (int i = 0; i < n; i++)
	{
		if (!may_choose(m, &offers[i]))
			continue;
		choose(m, offers[i].bid, offers[i].option);
		*worth += gain_on(m, k->resource, &offers[i]);
		offers[done++] = offers[i];
	}
	return done;
}

/* What the resource's clients do is chosen anew, exactly for it alone; kept if it is worth more. */
static void
repack(Market *m, const Users *users, int resource, Offer *before, Item *items, int *groups)
{
	const Resource *r = &m->resources[resource];
	Knapsack	k = {.resource = resource, .part = part_of(m, users, resource), .items = items, .groups = groups};
	double		worth_before;
	double		worth_after;
	int			n_before = clear(m, users, resource, before, &worth_before);
	Offer	   *done;
	int			n_done;

	k.parts = (int) floor((r->capacity - r->used) / k.part + 1e-9);
	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
		if (n_chosen(m, &m->clients[users->clients[i]]) == 0)
			add_group(m, &k, &m->clients[users->clients[i]]);
	k.groups[k.n_groups] = k.n_items;
	if (k.parts > 0 && k.n_groups > 0)
		solve_knapsack(&k);
	done = palloc(sizeof(Offer) * (2 * k.n_groups + 1));
	n_done = unpack(m, &k, done, &worth_after);
	if (worth_after <= worth_before)
	{
		for (int i = 0; i < n_done; i++)
			drop(m, done[i].bid);
		for (int i = 0; i < n_before; i++)
			choose(m, before[i].bid, before[i].option);
	}
	pfree(done);
}

/* Room for the items of any one resource. */
static Size
most_items(const Market *m, const Users *users)
{
	Size		most = 1;

	for (int r = 0; r < m->n_resources; r++)
	{
		Size		n = 0;

		for (int i = users->first[r]; i < users->first[r + 1] && has_few_users(m, users, r); i++)
		{
			const Client *client = &m->clients[users->clients[i]];
			const MarketBid *last = &m->bids[client->first_bid + client->n_bids - 1];
			Size		singles = Min(last->first_option + last->n_options - m->bids[client->first_bid].first_option, MOST_SINGLES);

			n += singles * (singles + 1) / 2;
		}
		most = Max(most, n);
	}
	return most;
}

static void
repack_all(Market *m, const Users *users, Offer *before, void (*tick) (void))
{
	Item	   *items = palloc_extended(sizeof(Item) * most_items(m, users), MCXT_ALLOC_HUGE);
	int		   *groups = palloc_extended(sizeof(int) * (m->n_clients + 1), MCXT_ALLOC_HUGE);

	for (int r = 0; r < m->n_resources; r++)
	{
		if (m->resources[r].price > 0 && m->resources[r].worth <= 0 && has_few_users(m, users, r))
			repack(m, users, r, before, items, groups);
		tick();
	}
	pfree(items);
	pfree(groups);
}

static double
plan_value(const Market *m)
{
	double		value = 0;

	for (int b = 0; b < m->n_bids; b++)
		if (m->bids[b].chosen >= 0)
			value += m->options[m->bids[b].first_option + m->bids[b].chosen].value;
	for (int r = 0; r < m->n_resources; r++)
		if (m->resources[r].worth > 0)
			value -= m->resources[r].worth * Max(0, m->resources[r].capacity - m->resources[r].used);
	return value;
}

/* What is not chosen, as offers that would pay something. */
static int
rest_offers(const Market *m, Offer *offers)
{
	int			n = 0;

	for (int b = 0; b < m->n_bids; b++)
		for (int o = 0; o < m->bids[b].n_options && m->bids[b].chosen < 0; o++)
			if (m->options[m->bids[b].first_option + o].value > 0 && fits(m, &m->options[m->bids[b].first_option + o]))
				offers[n++] = make_offer(m, b, o);
	return n;
}

/* What pays at the prices while it fits, then whatever else fits; each resource packed anew, and filled once more. */
static void
make_plan(Market *m, const Users *users, Pick *picks, void (*tick) (void))
{
	Offer	   *offers = palloc_extended(sizeof(Offer) * Max(m->n_options, 1), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int r = 0; r < m->n_resources; r++)
		m->resources[r].used = 0;
	for (int c = 0; c < m->n_clients; c++)
	{
		double		bound;
		int			picked = client_picks(m, &m->clients[c], picks, &bound);

		for (int i = 0; i < picked; i++)
			offers[n++] = make_offer(m, picks[i].bid, picks[i].option);
	}
	take_offers(m, offers, n, tick);
	take_offers(m, offers, rest_offers(m, offers), tick);
	for (int round = 0; round < ROUNDS; round++)
	{
		repack_all(m, users, offers, tick);
		n = rest_offers(m, offers);
		take_offers(m, offers, n, tick);
		for (int i = 0; i < n; i++)
			(void) exchange_within_client(m, &offers[i]);
	}
	pfree(offers);
}

/* See market.h. */
MarketAnswer
market_solve(Market *m, void (*tick) (void))
{
	Pick	   *picks = pick_space(m);
	Users		users = find_users(m);
	MarketAnswer answer;

	answer.passes = make_prices(m, &users, picks, &answer.bound, tick);
	make_plan(m, &users, picks, tick);
	answer.value = plan_value(m);
	answer.bound = Max(answer.bound, answer.value);
	return answer;
}

/* See market.h. */
MarketAnswer
market_repair(Market *m, void (*tick) (void))
{
	Pick	   *picks = pick_space(m);
	Users		users = find_users(m);
	MarketAnswer answer;

	answer.bound = demand(m, picks, tick);
	answer.passes = 1;
	make_plan(m, &users, picks, tick);
	answer.value = plan_value(m);
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
