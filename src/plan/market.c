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

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "plan/market.h"

#define EXACT_BIDS 16

/* Prices follow excess demand for so many passes. */
#define PASSES 40

/* Sweeps of moving each price by itself, each by so many halvings. */
#define SWEEPS 2
#define HALVINGS 24

#define EPSILON 1e-9

typedef struct Resource
{
	double		capacity;		/* of a floor: what is needed */
	double		worth;			/* of a floor: what a missing unit costs; 0: no floor */
	double		price;
	double		used;
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
		.capacity = Max(capacity, 0), .price = Max(price, 0)
	};
	return m->n_resources - 1;
}

/* See market.h. */
int
market_floor(Market *m, double need, double worth)
{
	*APPEND(m, resources) = (Resource)
	{
		.capacity = Max(need, 0), .worth = Max(worth, 1e-12)
	};
	return m->n_resources - 1;
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

	if (bit == 0 || (m->bids[bid].conflicts & set) != 0 || pg_popcount32(set) >= client->most)
		return false;
	for (int c = client->first_cap; c < client->first_cap + client->n_caps; c++)
		if ((m->caps[c].members & bit) != 0 && pg_popcount32(m->caps[c].members & set) >= m->caps[c].most)
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

static int
compare_picks(const void *a, const void *b)
{
	const Pick *x = a;
	const Pick *y = b;

	if (x->surplus != y->surplus)
		return x->surplus > y->surplus ? -1 : 1;
	return x->bid - y->bid;
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
	if (s.n == 0 || (s.n == 1 && allows(m, client, 0, picks[0].bid)))
		return s.n;
	qsort(picks, s.n, sizeof(Pick), compare_picks);
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

/* A price to begin with where none is known: what a unit brings on average, of what wants it. */
static double
first_price(const Market *m, int resource)
{
	double		value = 0;
	double		amount = 0;

	for (int o = 0; o < m->n_options; o++)
		for (int u = 0; u < m->options[o].n_uses; u++)
		{
			const MarketUse *use = &m->uses[m->options[o].first_use + u];

			if (use->resource == resource && m->options[o].value > 0)
			{
				value += m->options[o].value;
				amount += use->amount;
			}
		}
	return amount > 0 ? value / amount : 0;
}

static void
first_prices(Market *m)
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
		if (m->resources[r].price <= 0 && m->resources[r].worth <= 0 && amount[r] > m->resources[r].capacity)
			m->resources[r].price = value[r] / amount[r];
	pfree(value);
	pfree(amount);
}

/* The price follows excess demand; from nothing it rises to a hundredth of what the means bring. */
static void
follow_demand(Market *m, int resource, double damping)
{
	Resource   *r = &m->resources[resource];
	double		excess = log((r->used + EPSILON) / (r->capacity + EPSILON));
	double		step = Min(1, Max(-1, damping * excess));

	if (r->worth > 0)
		step = -step;
	if (step > 0 && r->price <= 0)
		r->price = r->worth > 0 ? r->worth / 100 : first_price(m, resource) / 100;
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

static void
keep_best(const Market *m, Best *best, double bound)
{
	if (bound >= best->bound)
		return;
	best->bound = bound;
	for (int r = 0; r < m->n_resources; r++)
		best->prices[r] = m->resources[r].price;
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

/* L is convex in one price: it is lowest where the demand for the resource passes its capacity. */
static void
move_price(Market *m, const Users *users, int resource, Pick *picks, void (*tick) (void))
{
	Resource   *r = &m->resources[resource];
	double		low = 0;
	double		high = r->worth > 0 ? r->worth : Max(r->price * 2, 1e-6);

	if (users->first[resource] == users->first[resource + 1])
	{
		r->price = 0;
		return;
	}
	for (int i = 0; r->worth <= 0 && i < 40; i++)
	{
		r->price = high;
		if (demand_of(m, users, resource, picks) <= r->capacity)
			break;
		low = high;
		high *= 4;
		tick();
	}
	for (int i = 0; i < HALVINGS && high - low > 1e-7 * high; i++)
	{
		double		used;

		r->price = (low + high) / 2;
		used = demand_of(m, users, resource, picks);
		if ((used > r->capacity) == (r->worth <= 0))
			low = r->price;
		else
			high = r->price;
		tick();
	}
	r->price = high;
}

static int
make_prices(Market *m, Pick *picks, double *bound, void (*tick) (void))
{
	Best		best = {INFINITY, palloc(sizeof(double) * (m->n_resources + 1))};
	Users		users = find_users(m);
	int			passes;

	first_prices(m);
	for (passes = 1; passes <= PASSES; passes++)
	{
		keep_best(m, &best, demand(m, picks, tick));
		for (int r = 0; r < m->n_resources; r++)
			follow_demand(m, r, 1 / (1 + passes / 10.0));
	}
	take_best(m, &best);
	for (int sweep = 0; sweep < SWEEPS; sweep++)
	{
		for (int r = 0; r < m->n_resources; r++)
			move_price(m, &users, r, picks, tick);
		keep_best(m, &best, demand(m, picks, tick));
		passes++;
	}
	take_best(m, &best);
	*bound = best.bound;
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

/* For an offer that does not fit: the cheapest chosen one on the resource it lacks goes, if that pays. */
static bool
exchange_on_resource(Market *m, const Offer *offer, const Offer *chosen, int n)
{
	const Option *option = &m->options[m->bids[offer->bid].first_option + offer->option];

	for (int i = n - 1; i >= 0; i--)
	{
		int			bid = chosen[i].bid;
		int			other = m->bids[bid].chosen;

		if (other < 0)
			continue;
		drop(m, bid);
		if (gain_of(m, option) > gain_of(m, &m->options[m->bids[bid].first_option + other]) + EPSILON && may_choose(m, offer))
		{
			choose(m, offer->bid, offer->option);
			return true;
		}
		choose(m, bid, other);
	}
	return false;
}

/* Chosen bids, and offers left over, that use the resource: those nearest to break-even. */
#define NEAR 24

static int
options_of(const Market *m, const Users *users, int resource, bool chosen, Offer *offers)
{
	int			n = 0;

	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
	{
		const Client *client = &m->clients[users->clients[i]];

		for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
			for (int o = 0; o < m->bids[b].n_options; o++)
			{
				const Option *option = &m->options[m->bids[b].first_option + o];

				if (chosen ? m->bids[b].chosen != o : m->bids[b].chosen >= 0 || option->value <= 0)
					continue;
				for (int u = 0; u < option->n_uses; u++)
					if (m->uses[option->first_use + u].resource == resource)
					{
						offers[n++] = make_offer(m, b, o);
						break;
					}
			}
	}
	qsort_arg(offers, n, sizeof(Offer), compare_offers, unconstify(Market *, m));
	return n;
}

static void
exchange(Market *m, const Users *users, Offer *chosen, Offer *others, void (*tick) (void))
{
	for (int r = 0; r < m->n_resources; r++)
	{
		int			n_chosen;
		int			n_others;

		if (m->resources[r].price <= 0 || m->resources[r].worth > 0)
			continue;
		n_chosen = options_of(m, users, r, true, chosen);
		n_others = options_of(m, users, r, false, others);
		for (int i = 0; i < Min(n_others, NEAR); i++)
			(void) exchange_on_resource(m, &others[i], chosen + Max(0, n_chosen - NEAR), Min(n_chosen, NEAR));
		for (int i = 0; i < n_others; i++)
			if (may_choose(m, &others[i]))
				choose(m, others[i].bid, others[i].option);
		tick();
	}
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

/* What pays at the prices while it fits, then whatever else fits, then exchanges. */
static void
make_plan(Market *m, Pick *picks, void (*tick) (void))
{
	Offer	   *offers = palloc_extended(sizeof(Offer) * Max(m->n_options, 1), MCXT_ALLOC_HUGE);
	Offer	   *others = palloc_extended(sizeof(Offer) * Max(m->n_options, 1), MCXT_ALLOC_HUGE);
	Users		users = find_users(m);
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
	n = 0;
	for (int b = 0; b < m->n_bids; b++)
		for (int o = 0; o < m->bids[b].n_options && m->bids[b].chosen < 0; o++)
			offers[n++] = make_offer(m, b, o);
	take_offers(m, offers, n, tick);
	for (int i = 0; i < n; i++)
		(void) exchange_within_client(m, &offers[i]);
	exchange(m, &users, offers, others, tick);
	pfree(offers);
	pfree(others);
}

/* See market.h. */
MarketAnswer
market_solve(Market *m, void (*tick) (void))
{
	Pick	   *picks = pick_space(m);
	MarketAnswer answer;

	answer.passes = make_prices(m, picks, &answer.bound, tick);
	make_plan(m, picks, tick);
	answer.value = plan_value(m);
	answer.bound = Max(answer.bound, answer.value);
	return answer;
}

/* See market.h. */
MarketAnswer
market_repair(Market *m, void (*tick) (void))
{
	Pick	   *picks = pick_space(m);
	MarketAnswer answer;

	answer.bound = demand(m, picks, tick);
	answer.passes = 1;
	make_plan(m, picks, tick);
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
