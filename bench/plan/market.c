/*
 * market.c
 *		The market on an instance of the referee alloc.c: value, bound, time.
 *
 *		market INSTANCE.tsv
 *
 * Reads the instance and its capacities (INSTANCE.tsv.cap), and prints a figure
 * a line.  Judges nothing: market.sh does.
 */
#define _GNU_SOURCE
#include "postgres.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#undef printf
#include "../../test/unit/unit.h"
#include "plan/market.h"

typedef struct Row
{
	int			client;
	int			most;
	int			kind;
	double		value;
	int			n_uses;
	MarketUse	uses[2];
	int			bid;			/* in the market */
} Row;

static Row *rows;
static int	n_rows;
static double *capacity;
static int	n_resources;

static void
no_tick(void)
{
}

static double
cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
read_instance(const char *path)
{
	FILE	   *in = fopen(path, "r");
	char	   *cap_path;
	int			max = 0;
	int			client, most, place, agent, kind, r1, r2;
	double		value, c1, c2;

	if (asprintf(&cap_path, "%s.cap", path) < 0 || in == NULL)
		exit(2);
	while (fscanf(in, "%d %d %d %d %d %lf %d %lf %d %lf", &client, &most, &place, &agent, &kind, &value, &r1, &c1, &r2, &c2) == 10)
	{
		if (n_rows == max)
			rows = realloc(rows, sizeof(Row) * (max = max ? max * 2 : 1024));
		rows[n_rows++] = (Row)
		{
			client, most, kind, value, r2 >= 0 ? 2 : 1, {{r1, c1}, {r2, c2}}, 0
		};
	}
	fclose(in);
	in = fopen(cap_path, "r");
	capacity = malloc(sizeof(double) * 10000);
	while (in != NULL && fscanf(in, "%d %lf", &r1, &c1) == 2)
		capacity[n_resources++] = c1;
}

static bool
is_changed(const char *changed, int client)
{
	return changed == NULL || changed[client];
}

/* The instance as a market; with changed only those clients. */
static Market *
make_market(const double *left, const double *prices, const char *changed)
{
	Market	   *m = market_new();

	for (int r = 0; r < n_resources; r++)
		(void) market_resource(m, left[r], prices ? prices[r] : 0);
	for (int first = 0, last; first < n_rows; first = last)
	{
		for (last = first; last < n_rows && rows[last].client == rows[first].client;)
			last++;
		if (!is_changed(changed, rows[first].client))
			continue;
		market_client(m, rows[first].most);
		for (int i = first; i < last; i++)
		{
			rows[i].bid = market_bid(m, i, false);
			(void) market_option(m, rows[i].value, rows[i].n_uses, rows[i].uses);
			for (int j = first; j < i; j++)
				if (rows[j].kind == rows[i].kind)
					market_conflict(m, rows[j].bid, rows[i].bid);
		}
	}
	return m;
}

static int
compare_values(const void *a, const void *b)
{
	const Row  *x = &rows[*(const int *) a];
	const Row  *y = &rows[*(const int *) b];

	return x->value != y->value ? (x->value > y->value ? -1 : 1) : *(const int *) a - *(const int *) b;
}

/* By claimed value while it fits. */
static double
greedy(void)
{
	int		   *order = malloc(sizeof(int) * n_rows);
	int		   *taken = calloc(rows[n_rows - 1].client + 1, sizeof(int));
	int		   *kinds = calloc(rows[n_rows - 1].client + 1, sizeof(int));
	double	   *left = malloc(sizeof(double) * n_resources);
	double		value = 0;

	memcpy(left, capacity, sizeof(double) * n_resources);
	for (int i = 0; i < n_rows; i++)
		order[i] = i;
	qsort(order, n_rows, sizeof(int), compare_values);
	for (int i = 0; i < n_rows; i++)
	{
		const Row  *row = &rows[order[i]];
		bool		fits = taken[row->client] < row->most && !(kinds[row->client] >> row->kind & 1);

		for (int u = 0; u < row->n_uses; u++)
			fits &= row->uses[u].amount <= left[row->uses[u].resource];
		if (!fits)
			continue;
		for (int u = 0; u < row->n_uses; u++)
			left[row->uses[u].resource] -= row->uses[u].amount;
		taken[row->client]++;
		kinds[row->client] |= 1 << row->kind;
		value += row->value;
	}
	return value;
}

/* The value of the plan, checked against all limits. */
static double
check_plan(const Market *m, int *violated)
{
	double	   *used = calloc(n_resources, sizeof(double));
	double		value = 0;
	int			n = 0;
	int			kinds = 0;

	*violated = 0;
	for (int i = 0; i < n_rows; i++)
	{
		if (i == 0 || rows[i].client != rows[i - 1].client)
			n = kinds = 0;
		if (market_chosen(m, rows[i].bid) < 0)
			continue;
		*violated += ++n > rows[i].most || (kinds >> rows[i].kind & 1);
		kinds |= 1 << rows[i].kind;
		value += rows[i].value;
		for (int u = 0; u < rows[i].n_uses; u++)
			used[rows[i].uses[u].resource] += rows[i].uses[u].amount;
	}
	for (int r = 0; r < n_resources; r++)
		*violated += used[r] > capacity[r] + 1e-6;
	return value;
}

/* How far prices are from what one more unit brings: the median over a sample of the resources. */
static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static void
marginal(const double *prices)
{
	double		errors[64];
	int			n = 0;

	for (int r = 0; r < n_resources && n < 40; r += Max(1, n_resources / 40))
	{
		double		step = Max(capacity[r] * 0.01, 1);
		double		bounds[2];

		if (prices[r] <= 0)
			continue;
		for (int side = 0; side < 2; side++)
		{
			double	   *other = malloc(sizeof(double) * n_resources);

			memcpy(other, capacity, sizeof(double) * n_resources);
			other[r] += side ? step : -step;
			bounds[side] = market_solve(make_market(other, prices, NULL), no_tick).bound;
			free(other);
		}
		errors[n++] = fabs((bounds[1] - bounds[0]) / (2 * step) - prices[r]) / prices[r];
	}
	qsort(errors, n, sizeof(double), compare_doubles);
	printf("marginal %g\n", n ? errors[n / 2] : 0);
}

/* One client in a hundred bids anew: repaired at the standing prices, then priced anew. */
static void
change(const Market *m, const double *prices)
{
	int			n_clients = rows[n_rows - 1].client + 1;
	char	   *changed = calloc(n_clients, 1);
	double	   *left = malloc(sizeof(double) * n_resources);
	double		kept = 0;
	UnitRandom	random = {31, 0};
	double		start;
	MarketAnswer repaired;
	MarketAnswer again;

	for (int i = 0; i < Max(1, n_clients / 100); i++)
		changed[(int) (unit_uniform(&random) * n_clients)] = 1;
	memcpy(left, capacity, sizeof(double) * n_resources);
	for (int i = 0; i < n_rows; i++)
		if (changed[rows[i].client])
			rows[i].value *= exp(0.7 * unit_normal(&random));
		else if (market_chosen(m, rows[i].bid) >= 0)
		{
			kept += rows[i].value;
			for (int u = 0; u < rows[i].n_uses; u++)
				left[rows[i].uses[u].resource] -= rows[i].uses[u].amount;
		}
	start = cpu();
	repaired = market_repair(make_market(left, prices, changed), no_tick);
	printf("repair_us_per_client %g\n", (cpu() - start) * 1e6 / Max(1, n_clients / 100));
	again = market_solve(make_market(capacity, prices, NULL), no_tick);
	printf("repair_gap %g\n", 100 * (again.bound - kept - repaired.value) / again.bound);
	printf("reprice_gap %g\n", 100 * (again.bound - again.value) / again.bound);
}

int
main(int argc, char **argv)
{
	double		start;
	MarketAnswer answer;
	Market	   *m;
	double	   *prices;
	double		value;
	int			violated;
	struct rusage usage;

	if (argc != 2)
		return 2;
	read_instance(argv[1]);
	start = cpu();
	m = make_market(capacity, NULL, NULL);
	printf("build %g\n", cpu() - start);
	start = cpu();
	answer = market_solve(m, no_tick);
	printf("cpu %g\n", cpu() - start);
	value = check_plan(m, &violated);
	getrusage(RUSAGE_SELF, &usage);
	printf("rss_mb %g\nrows %d\n", usage.ru_maxrss / 1024.0, n_rows);
	printf("value %.10g\nbound %.10g\npasses %d\nviolated %d\n", value, answer.bound, answer.passes, violated + (fabs(value - answer.value) > 1e-6 * value));
	printf("gap %g\n", 100 * (answer.bound - value) / answer.bound);
	printf("greedy %.10g\n", greedy());
	prices = malloc(sizeof(double) * n_resources);
	for (int r = 0; r < n_resources; r++)
		prices[r] = market_price(m, r);
	if (getenv("SLACK"))
	{
		double		slack[3] = {0};
		int			quota = 0;

		for (int i = 0; i < n_rows; i++)
			if (rows[i].kind == 2)
				quota = rows[i].uses[0].resource;
		for (int r = 0; r < n_resources; r++)
			slack[r < quota ? 0 : r == quota ? 1 : 2] += prices[r] * (capacity[r] - market_used(m, r));
		printf("slack reps %g quota %g budgets %g %% of bound\n", 100 * slack[0] / answer.bound, 100 * slack[1] / answer.bound, 100 * slack[2] / answer.bound);
	}
	if (n_rows < 20000)
		marginal(prices);
	change(m, prices);
	return 0;
}
