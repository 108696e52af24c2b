/*
 * market_test.c
 *		The market against exhaustive search on small instances, and its properties.
 */
#include "postgres.h"

#include "plan/market.h"
#undef printf
#include "unit.h"

#define MAX_BIDS 10
#define RESOURCES 4

typedef struct TestOption
{
	double		value;
	int			n_uses;
	MarketUse	uses[2];
} TestOption;

typedef struct TestBid
{
	int			client;
	int			n_options;
	TestOption	options[2];
} TestBid;

typedef struct Instance
{
	int			n_clients;
	int			most;
	int			cap_of_two;		/* of a client's first two bids at most so many; -1: no such cap */
	int			n_bids;
	TestBid		bids[MAX_BIDS];
	bool		conflict[MAX_BIDS][MAX_BIDS];
	double		capacity[RESOURCES];
	double		worth[RESOURCES];	/* above 0: a floor */
} Instance;

/* In the server a memory context gives all of it back. */
extern int	__lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return 1;
}

static void
no_tick(void)
{
}

static Instance
draw(uint64_t seed, bool floors)
{
	UnitRandom	random = {seed, 0};
	Instance	in = {0};

	in.n_clients = 1 + (int) (unit_uniform(&random) * 4);
	in.most = 1 + (int) (unit_uniform(&random) * 3);
	in.cap_of_two = unit_uniform(&random) < .3 ? 1 : -1;
	for (int r = 0; r < RESOURCES; r++)
	{
		in.capacity[r] = floor(unit_uniform(&random) * 30);
		in.worth[r] = floors && r == 0 ? unit_uniform(&random) * 3 : 0;
	}
	in.n_bids = 1 + (int) (unit_uniform(&random) * MAX_BIDS);
	for (int b = 0; b < in.n_bids; b++)
	{
		TestBid    *bid = &in.bids[b];

		bid->client = b * in.n_clients / in.n_bids;
		bid->n_options = 1 + (unit_uniform(&random) < .5);
		for (int o = 0; o < bid->n_options; o++)
		{
			bid->options[o].value = floor(unit_uniform(&random) * 50) - 5;
			bid->options[o].n_uses = (int) (unit_uniform(&random) * 3);
			for (int u = 0; u < bid->options[o].n_uses; u++)
				bid->options[o].uses[u] = (MarketUse)
			{
				u * 2 + (int) (unit_uniform(&random) * 2), 1 + floor(unit_uniform(&random) * 20)
			};
		}
		for (int a = 0; a < b; a++)
			in.conflict[a][b] = in.conflict[b][a] = in.bids[a].client == bid->client && unit_uniform(&random) < .3;
	}
	return in;
}

static Market *
make(const Instance *in)
{
	Market	   *m = market_new();
	int			first = 0;

	for (int r = 0; r < RESOURCES; r++)
		if (in->worth[r] > 0)
			(void) market_floor(m, in->capacity[r], in->worth[r]);
		else
			(void) market_resource(m, in->capacity[r], 0);
	for (int b = 0; b < in->n_bids; b++)
	{
		if (b == 0 || in->bids[b].client != in->bids[b - 1].client)
		{
			market_client(m, in->most);
			first = b;
		}
		(void) market_bid(m, 100 + b, false);
		for (int o = 0; o < in->bids[b].n_options; o++)
			(void) market_option(m, in->bids[b].options[o].value, in->bids[b].options[o].n_uses, in->bids[b].options[o].uses);
		for (int a = first; a < b; a++)
			if (in->conflict[a][b])
				market_conflict(m, a, b);
		if (b == first + 1 && in->cap_of_two >= 0)
			market_cap(m, (int[]) {first, b}, 2, in->cap_of_two);
	}
	return m;
}

/* The plan's worth, or -1e9 where it breaks a limit. */
static double
worth_of(const Instance *in, const int *chosen)
{
	double		used[RESOURCES] = {0};
	double		value = 0;

	for (int b = 0, first = 0, n = 0; b < in->n_bids; b++)
	{
		if (b == 0 || in->bids[b].client != in->bids[b - 1].client)
		{
			n = 0;
			first = b;
		}
		if (chosen[b] < 0)
			continue;
		if (++n > in->most)
			return -1e9;
		if (b == first + 1 && in->cap_of_two == 1 && chosen[first] >= 0)
			return -1e9;
		for (int a = first; a < b; a++)
			if (chosen[a] >= 0 && in->conflict[a][b])
				return -1e9;
		value += in->bids[b].options[chosen[b]].value;
		for (int u = 0; u < in->bids[b].options[chosen[b]].n_uses; u++)
			used[in->bids[b].options[chosen[b]].uses[u].resource] += in->bids[b].options[chosen[b]].uses[u].amount;
	}
	for (int r = 0; r < RESOURCES; r++)
	{
		if (in->worth[r] <= 0 && used[r] > in->capacity[r] + 1e-9)
			return -1e9;
		if (in->worth[r] > 0)
			value -= in->worth[r] * Max(0, in->capacity[r] - used[r]);
	}
	return value;
}

static double
search(const Instance *in, int *chosen, int b)
{
	double		best = -1e9;

	if (b == in->n_bids)
		return worth_of(in, chosen);
	for (chosen[b] = -1; chosen[b] < in->bids[b].n_options; chosen[b]++)
	{
		int			rest[MAX_BIDS];

		memcpy(rest, chosen, sizeof(rest));
		best = Max(best, search(in, rest, b + 1));
	}
	return best;
}

static void
read_plan(const Market *m, const Instance *in, int *chosen)
{
	for (int b = 0; b < in->n_bids; b++)
		chosen[b] = market_chosen(m, b);
}

static void
test_small(bool floors)
{
	int			infeasible = 0;
	int			below = 0;
	int			misstated = 0;
	double		lowered = 0;
	double		bounds = 0;
	int			differs = 0;
	double		value = 0;
	double		best = 0;

	for (int seed = 1; seed <= 400; seed++)
	{
		Instance	in = draw(seed, floors);
		Market	   *m = make(&in);
		MarketAnswer answer = market_solve(m, no_tick);
		MarketAnswer fewer;
		int			chosen[MAX_BIDS];
		int			again[MAX_BIDS];
		double		exact;
		double		worth;

		read_plan(m, &in, chosen);
		worth = worth_of(&in, chosen);
		infeasible += worth < -1e8;
		misstated += fabs(worth - answer.value) > 1e-6;
		m = make(&in);
		(void) market_solve(m, no_tick);
		read_plan(m, &in, again);
		differs += memcmp(chosen, again, sizeof(int) * in.n_bids) != 0;
		exact = search(&in, again, 0);
		below += answer.bound < exact - 1e-6;
		value += worth;
		best += exact;
		in.n_bids--;
		fewer = in.n_bids > 0 ? market_solve(make(&in), no_tick) : (MarketAnswer) {0};
		/* bounds are lowest to within the steps of prices: with so few bids a few percent */
		if (in.n_bids > 0 && fewer.bound > answer.bound + 1e-6)
			lowered += fewer.bound - answer.bound;
		bounds += answer.bound;
	}
	ok(infeasible == 0, floors ? "floors: every plan is feasible" : "every plan is feasible");
	ok(misstated == 0, "and worth what is said");
	ok(below == 0, "no bound is below the optimum");
	ok(differs == 0, "the same input gives the same plan");
	ok(lowered < 0.002 * bounds, "one more bid lowers no bound, but for the steps of prices");
	printf("# %.5f of the bounds\n", lowered / bounds);
	ok(value > 0.95 * best, "plans are near the optimum");
	printf("# %.4f of the optimum\n", value / best);
}

/* One resource, many bids: the price is what one more unit brings. */
static void
test_price(void)
{
	double		bounds[3];
	double		price = 0;

	for (int side = -1; side <= 1; side++)
	{
		UnitRandom	random = {7, 0};
		Market	   *m = market_new();

		(void) market_resource(m, 500 + 5 * side, 0);
		for (int c = 0; c < 400; c++)
		{
			MarketUse	use = {0, 1 + floor(unit_uniform(&random) * 9)};

			market_client(m, 1);
			(void) market_bid(m, c, false);
			(void) market_option(m, 100 * unit_uniform(&random), 1, &use);
		}
		bounds[side + 1] = market_solve(m, no_tick).bound;
		if (side == 0)
			price = market_price(m, 0);
	}
	ok_close((bounds[2] - bounds[0]) / 10, price, 0.05, "a price is what one more unit brings");
}

static void
test_odd(void)
{
	Market	   *m = market_new();
	MarketUse	use;

	ok(market_solve(m, no_tick).value == 0, "nothing at all");
	m = market_new();
	use = (MarketUse)
	{
		market_resource(m, -3, 0), 1
	};
	market_client(m, 1);
	(void) market_bid(m, 1, false);
	(void) market_option(m, 5, 1, &use);
	ok(market_solve(m, no_tick).value == 0 && market_chosen(m, 0) == -1, "of what is overdrawn nothing is given");
	m = market_new();
	use = (MarketUse)
	{
		market_resource(m, 10, 0), 5
	};
	for (int c = 0; c < 5; c++)
	{
		market_client(m, 1);
		(void) market_bid(m, 10 - c, false);
		(void) market_option(m, 7, 1, &use);
	}
	(void) market_solve(m, no_tick);
	ok(market_chosen(m, 3) == 0 && market_chosen(m, 4) == 0, "equal bids: the lower ids win");
	m = market_new();
	use = (MarketUse)
	{
		market_floor(m, 10, 3), 5
	};
	market_client(m, 2);
	(void) market_bid(m, 1, false);
	(void) market_option(m, -9, 1, &use);
	(void) market_bid(m, 2, false);
	(void) market_option(m, -20, 1, &use);
	ok(market_solve(m, no_tick).value == -24, "a floor is filled while that costs less than it is worth");
	ok(market_chosen(m, 0) == 0 && market_chosen(m, 1) == -1, "and no further");
}

int
main(void)
{
	test_small(false);
	test_small(true);
	test_price();
	test_odd();
	return done();
}
