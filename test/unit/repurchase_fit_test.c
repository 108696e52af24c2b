/*
 * repurchase_fit_test.c
 *		Fits against reference vectors (see csv.h) from the orders themselves, the
 *		gradient against differences, and what a fit owes on data of any kind.
 */
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/model/model.h"
#include "csv.h"
#include "tap.h"
#include "unit.h"

#define DAYS_PER_WEEK 7.0

static const RepurchaseFitOptions all_classes = {.m = 1, .n_classes = REPURCHASE_CLASSES, .k = {1, 2, 3, 4, 6, 8, 12}};

/* ---- orders -> clients ---- */

typedef struct Order
{
	long		client;
	long		day;
} Order;

typedef struct DataSet
{
	const char *name;
	const char *file;
	const char *until;			/* end of calibration, that day included */
} DataSet;

static const DataSet data_sets[] = {
	{"cdnow_sample", "cdnow_sample_orders.csv.gz", "1997-09-30"},
	{"grocery", "grocery_orders.csv.gz", "2006-12-31"},
	{"apparel", "apparel_orders.csv.gz", "2007-12-27"},
	{"online_retail", "../online_retail/online_retail.csv.gz", "2011-08-31"},
	{"cdnow_full", "cdnow_full_orders.csv.gz", "1997-09-30"},
};

typedef struct Clients
{
	int			n;
	BuyerGroup *groups;
} Clients;

/* Days since 1970-01-01 (Hinnant, chrono-compatible date algorithms). */
static long
day_of(const char *date)
{
	long		y = strtol(date, NULL, 10);
	long		m = strtol(date + 5, NULL, 10);
	long		d = strtol(date + 8, NULL, 10);
	long		era,
				year_of_era;

	y -= m <= 2;
	era = y / 400;
	year_of_era = y - era * 400;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
		+ (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1 - 719468;
}

static int
compare_orders(const void *u, const void *v)
{
	const Order *a = u;
	const Order *b = v;

	if (a->client != b->client)
		return a->client < b->client ? -1 : 1;
	return (a->day > b->day) - (a->day < b->day);
}

/* False for a line that is no order: the rules of the vectors' README. */
static bool
read_order(const Csv *csv, Order *order)
{
	const char *date = csv_text(csv, "date");
	const char *client = csv->field[0];

	if (!*date)
		date = csv_text(csv, "Date");
	if (!*date)
	{
		date = csv_text(csv, "invoicedate");
		client = csv_text(csv, "customerid");
		if (!*client || csv_text(csv, "invoiceno")[0] == 'C'
			|| !(csv_number(csv, "quantity") > 0 && csv_number(csv, "unitprice") > 0))
			return false;
	}
	order->client = strtol(client, NULL, 10);
	order->day = day_of(date);
	return true;
}

static int
read_orders(const DataSet *set, Order **orders)
{
	int			n = 0;
	int			room = 1 << 12;
	Csv			csv;

	if (!csv_open(&csv, set->file))
		return 0;
	*orders = malloc(sizeof(Order) * room);
	while (csv_next(&csv))
	{
		if (n == room)
			*orders = realloc(*orders, sizeof(Order) * (room *= 2));
		n += read_order(&csv, &(*orders)[n]);
	}
	csv_close(&csv);
	qsort(*orders, n, sizeof(Order), compare_orders);
	return n;
}

static Clients
read_clients(const DataSet *set)
{
	Order	   *orders = NULL;
	int			n = read_orders(set, &orders);
	long		until = day_of(set->until);
	Clients		clients = {0, malloc(sizeof(BuyerGroup) * (n > 0 ? n : 1))};
	long		first = 0;

	for (int i = 0; i < n; i++)
	{
		BuyerStats *b = &clients.groups[clients.n - 1].buyer;
		bool		same = i > 0 && orders[i].client == orders[i - 1].client;

		if (orders[i].day > until || (same && orders[i].day == orders[i - 1].day))
			continue;
		if (!same)
		{
			first = orders[i].day;
			clients.groups[clients.n++] = (BuyerGroup) {{0, 0.0, (until - first) / DAYS_PER_WEEK, 0.0}, 1.0};
			continue;
		}
		b->x++;
		b->tx = (orders[i].day - first) / DAYS_PER_WEEK;
		b->sum_log += log((orders[i].day - orders[i - 1].day) / DAYS_PER_WEEK);
	}
	free(orders);
	return clients;
}

/* ---- calls with memory ---- */

static int
group(BuyerGroup *groups, int n, bool by_gaps)
{
	void	   *workspace = malloc(buyers_group_workspace(n));
	int			kept = buyers_group(groups, n, by_gaps, workspace);

	free(workspace);
	return kept;
}

static bool
fit(const BuyerGroup *groups, int n, const RepurchaseFitOptions *options, RepurchaseFit *result)
{
	void	   *workspace = malloc(repurchase_fit_workspace(n));
	bool		done = repurchase_fit(groups, n, options, workspace, result);

	free(workspace);
	return done;
}

static Clients
copy_grouped(const Clients *all, bool by_gaps)
{
	Clients		copy = {0, malloc(sizeof(BuyerGroup) * all->n)};

	memcpy(copy.groups, all->groups, sizeof(BuyerGroup) * all->n);
	copy.n = group(copy.groups, all->n, by_gaps);
	return copy;
}

/* ---- vectors ---- */

static double
relative(double got, double want)
{
	return fabs(got - want) / fabs(want);
}

static void
compare_fit(const Csv *csv, const Clients *all)
{
	const char *name = csv_text(csv, "model");
	int			k = (int) csv_number(csv, "k");
	RepurchaseFitOptions options = {.m = name[0] == 'M', .n_classes = 1, .k = {k}, .no_weak_prior = true};
	Clients		clients = copy_grouped(all, false);
	RepurchaseFit result;
	double		want = csv_number(csv, "LL");
	bool		boundary = strcmp(csv_text(csv, "dataset"), "online_retail") == 0 && k == 1;
	double		off;
	char		label[100];

	snprintf(label, sizeof(label), "%s %s k=%d", csv_text(csv, "dataset"), name, k);
	fit(clients.groups, clients.n, &options, &result);
	free(clients.groups);
	printf("# %s: %d groups, %d evaluations and %d on a sample%s\n", label, clients.n, result.evaluations, result.evaluations_sample,
		   result.converged ? "" : ", not converged");
	tap_ok(result.n == csv_number(csv, "n"), "%s: %.0f clients", label, result.n);
	tap_ok(fabs(result.log_likelihood - want) <= (boundary ? 1e-3 : 1e-6), "%s: log-likelihood %.6f (off by %.1e)", label,
		   result.log_likelihood, result.log_likelihood - want);
	if (boundary)
	{
		tap_ok(result.no_defection, "%s: no defection visible", label);
		return;
	}
	off = fmax(fmax(relative(result.model.r, csv_number(csv, "p1")), relative(result.model.alpha / k, csv_number(csv, "p2"))),
			   fmax(relative(result.model.a, csv_number(csv, "p3")), relative(result.model.b, csv_number(csv, "p4"))));
	tap_ok(off <= 1e-5 && result.converged && !result.no_defection, "%s: parameters within 1e-5 (%.1e)", label, off);
}

static void
compare_mixture(const Csv *csv, const Clients *all)
{
	Clients		clients = copy_grouped(all, true);
	RepurchaseFitOptions options = all_classes;
	const char *label = csv_text(csv, "dataset");
	RepurchaseFit result;
	double		want = csv_number(csv, "LL");

	options.no_weak_prior = true;
	fit(clients.groups, clients.n, &options, &result);
	free(clients.groups);
	printf("# %s mixture: %d groups, %d evaluations and %d on a sample%s\n", label, clients.n, result.evaluations,
		   result.evaluations_sample, result.converged ? "" : ", not converged");
	tap_ok(fabs(result.log_likelihood - want) <= 1e-3, "%s mixture: log-likelihood %.6f (off by %.1e)", label,
		   result.log_likelihood, result.log_likelihood - want);
}

static void
test_vectors(const DataSet *set)
{
	Clients		clients = read_clients(set);
	Csv			csv;

	if (clients.n == 0)
		tap_skip("the orders of %s are not here", set->name);
	if (clients.n > 0 && csv_open(&csv, "fit_vectors.csv"))
	{
		while (csv_next(&csv))
			if (strcmp(csv_text(&csv, "dataset"), set->name) == 0 && *csv_text(&csv, "k"))
				compare_fit(&csv, &clients);
		csv_close(&csv);
	}
	if (clients.n > 0 && csv_open(&csv, "mix_fit_vectors.csv"))
	{
		while (csv_next(&csv))
			if (strcmp(csv_text(&csv, "dataset"), set->name) == 0)
				compare_mixture(&csv, &clients);
		csv_close(&csv);
	}
	free(clients.groups);
}

int
main(void)
{
	for (int i = 0; i < (int) (sizeof(data_sets) / sizeof(data_sets[0])); i++)
		test_vectors(&data_sets[i]);
	return tap_done();
}
