/*
 * spend_test.c
 *		Gamma-Gamma: expected values and fits against reference vectors (see
 *		csv.h), the gradient against differences, and inputs that must not hurt.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/model/model.h"
#include "csv.h"
#include "tap.h"
#include "unit.h"

#define MAX_ORDERS 450000
#define MAX_FITS 8

/* A day's orders of a client are one. */
typedef struct Order
{
	long		client;
	int			day;
	double		value;
} Order;

static int	n_heard;			/* calls of the hook of a fit */

static void
heard(void)
{
	n_heard++;
}

static double
relative(double got, double want)
{
	return got == want ? 0.0 : fabs(got - want) / fabs(want);
}

/* fmax that does not lose a NaN. */
static double
worse(double so_far, double error)
{
	return error <= so_far ? so_far : error;
}

/* ---- reference vectors ---- */

typedef struct Fit
{
	char		dataset[40];
	int			n;
	SpendModel	model;
	double		log_likelihood;
} Fit;

static int
read_fits(Fit *fits)
{
	Csv			csv;
	int			n = 0;

	if (!csv_open(&csv, "fit_vectors.csv"))
		return 0;
	while (n < MAX_FITS && csv_next(&csv))
	{
		if (strcmp(csv_text(&csv, "model"), "Gamma-Gamma") != 0)
			continue;
		snprintf(fits[n].dataset, sizeof(fits[n].dataset), "%s", csv_text(&csv, "dataset"));
		fits[n].n = (int) csv_number(&csv, "n");
		fits[n].model = (SpendModel) {csv_number(&csv, "p1"), csv_number(&csv, "p2"), csv_number(&csv, "p3")};
		fits[n++].log_likelihood = csv_number(&csv, "LL");
	}
	csv_close(&csv);
	return n;
}

static void
test_customers(const Fit *fits, int n_fits)
{
	Csv			csv;
	double		error = 0.0;
	int			n = 0;

	if (!csv_open(&csv, "customer_vectors.csv"))
	{
		tap_skip("customer_vectors.csv is not here");
		return;
	}
	while (csv_next(&csv))
		for (int i = 0; i < n_fits; i++)
			if (strcmp(csv_text(&csv, "model"), "Gamma-Gamma") == 0 && strcmp(csv_text(&csv, "dataset"), fits[i].dataset) == 0)
			{
				double		got = spend_expected(&fits[i].model, csv_number(&csv, "x"), csv_number(&csv, "m"));

				error = worse(error, relative(got, csv_number(&csv, "em")));
				n++;
			}
	csv_close(&csv);
	tap_ok(n == 84, "customer_vectors.csv: 84 rows (%d)", n);
	tap_ok(error <= 1e-9, "customer_vectors.csv: expected value within 1e-9 (%.2g)", error);
}

/* Days since 0000-03-01 of "1997-01-31...". */
static int
day_of(const char *date)
{
	int			y = 0,
				m = 0,
				d = 0;

	if (sscanf(date, "%d-%d-%d", &y, &m, &d) != 3)
		return 0;
	y -= m < 3;
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * (m + (m < 3 ? 9 : -3)) + 2) / 5 + d;
}

/* A line of one of the histories as an order; false where it does not count. */
static bool
read_order(const Csv *csv, Order *order)
{
	int			last = csv->n_fields - 1;

	if (csv->n_names == 8)		/* the wholesaler's invoices; descriptions may hold commas */
	{
		double		quantity = strtod(csv->field[last - 4], NULL);
		double		price = strtod(csv->field[last - 2], NULL);

		*order = (Order) {atol(csv->field[last - 1]), day_of(csv->field[last - 3]), quantity * price};
		return order->client > 0 && csv->field[0][0] != 'C' && quantity > 0 && price > 0;
	}
	*order = (Order) {atol(csv->field[0] + (csv->field[0][0] == '"')), day_of(csv->field[1]), strtod(csv->field[last], NULL)};
	return true;
}

static int
by_client_and_day(const void *a, const void *b)
{
	const Order *u = a;
	const Order *v = b;

	if (u->client != v->client)
		return u->client < v->client ? -1 : 1;
	return (u->day > v->day) - (u->day < v->day);
}

/* Repeat orders up to a day and their mean value, of the clients that have any. */
static int
group_orders(Order *orders, int n, SpendGroup *groups)
{
	int			n_groups = 0;

	qsort(orders, n, sizeof(Order), by_client_and_day);
	for (int i = 0; i < n;)
	{
		SpendGroup	g = {0.0, 0.0, 1.0};
		int			first = i;
		int			day = orders[i].day;

		for (; i < n && orders[i].client == orders[first].client; i++)
		{
			if (orders[i].day == orders[first].day)
				continue;
			g.x += orders[i].day != day;
			day = orders[i].day;
			g.mean += orders[i].value;
		}
		if (g.mean > 0.0)
		{
			g.mean /= g.x;
			groups[n_groups++] = g;
		}
	}
	return n_groups;
}

static void
test_fit(const Fit *want, const char *file, const char *until, Order *orders, SpendGroup *groups)
{
	Csv			csv;
	SpendFit	fit,
				again;
	bool		fitted;
	int			n = 0;

	if (!csv_open(&csv, file))
	{
		tap_skip("%s is not here", file);
		return;
	}
	while (csv_next(&csv) && n < MAX_ORDERS)
		if (read_order(&csv, &orders[n]) && orders[n].day <= day_of(until))
			n++;
	csv_close(&csv);
	n = group_orders(orders, n, groups);
	fitted = spend_fit(groups, n, NULL, NULL, &fit);
	tap_ok(fitted && fit.converged, "%s: fitted (%d evaluations)", want->dataset, fit.evaluations);
	tap_ok(n == want->n, "%s: %d clients (%d)", want->dataset, want->n, n);
	tap_near(fit.log_likelihood, want->log_likelihood, 1e-6 / fabs(want->log_likelihood), "%s: log-likelihood", want->dataset);
	tap_ok(relative(fit.model.p, want->model.p) <= 1e-5 && relative(fit.model.q, want->model.q) <= 1e-5 &&
		   relative(fit.model.gamma, want->model.gamma) <= 1e-5, "%s: parameters within 1e-5 (%.2g, %.2g, %.2g)", want->dataset,
		   relative(fit.model.p, want->model.p), relative(fit.model.q, want->model.q), relative(fit.model.gamma, want->model.gamma));
	fitted = spend_fit(groups, n, &fit.model, NULL, &again);
	tap_ok(fitted && again.evaluations <= 6 && relative(again.model.q, fit.model.q) < 1e-6,
		   "%s: a warm start stays where it is (%d evaluations)", want->dataset, again.evaluations);
}

static void
test_fits(const Fit *fits, int n)
{
	Order	   *orders = malloc(MAX_ORDERS * sizeof(Order));
	SpendGroup *groups = malloc(MAX_ORDERS * sizeof(SpendGroup));

	for (int i = 0; i < n; i++)
	{
		bool		cdnow = strncmp(fits[i].dataset, "cdnow", 5) == 0;
		bool		retail = strcmp(fits[i].dataset, "online_retail") == 0;
		char		file[80];

		snprintf(file, sizeof(file), retail ? "../%s/%s.csv.gz" : "%s_orders.csv.gz", fits[i].dataset, fits[i].dataset);
		test_fit(&fits[i], file, cdnow ? "1997-09-30" : retail ? "2011-08-31" : "2007-12-27", orders, groups);
	}
	free(orders);
	free(groups);
}

/* ---- what must hold anywhere ---- */

static double
at(const double *logs, double x, double mean)
{
	SpendModel	m = {exp(logs[0]), exp(logs[1]), exp(logs[2])};

	return spend_log_likelihood(&m, x, mean);
}

static void
test_gradient(void)
{
	UnitRandom	random = {7, 0};
	double		error = 0.0;

	for (int i = 0; i < 500; i++)
	{
		double		logs[3] = {4 * unit_uniform(&random) - 1, 0.1 + 3 * unit_uniform(&random), 10 * unit_uniform(&random) - 3};
		double		x = floor(1 + 200 * pow(unit_uniform(&random), 4));
		double		mean = exp(12 * unit_uniform(&random) - 4);
		SpendModel	m = {exp(logs[0]), exp(logs[1]), exp(logs[2])};
		double		gradient[3];

		spend_gradient(&m, x, mean, gradient);
		for (int j = 0; j < 3; j++)
		{
			double		up[3] = {logs[0], logs[1], logs[2]};
			double		down[3] = {logs[0], logs[1], logs[2]};
			double		up2[3] = {logs[0], logs[1], logs[2]};
			double		down2[3] = {logs[0], logs[1], logs[2]};
			double		h = 1e-3;
			double		slope;

			up[j] += h;
			down[j] -= h;
			up2[j] += 2 * h;
			down2[j] -= 2 * h;
			slope = (8 * (at(up, x, mean) - at(down, x, mean)) - (at(up2, x, mean) - at(down2, x, mean))) / (12 * h);
			error = worse(error, fabs(gradient[j] - slope) / (1 + fabs(slope)));
		}
	}
	tap_ok(error <= 1e-7, "gradient against differences within 1e-7 (%.2g)", error);
}

static void
test_values(void)
{
	SpendModel	m = {6.25, 3.74, 15.44};
	double		sum = 0.0;

	/* the density of mean integrates to 1, and to the population's mean */
	for (int i = -40000; i < 40000; i++)
		sum += exp(spend_log_likelihood(&m, 3, exp(i / 1000.0)) + i / 1000.0) / 1000.0;
	tap_near(sum, 1.0, 1e-9, "a density");
	sum = 0.0;
	for (int i = -40000; i < 40000; i++)
		sum += exp(spend_log_likelihood(&m, 3, exp(i / 1000.0)) + 2 * i / 1000.0) / 1000.0;
	tap_near(sum, spend_population_mean(&m), 1e-8, "its mean is the population's");
	tap_near(spend_expected(&m, 1e9, 50), 50, 1e-6, "many orders: the client's own mean");
	tap_near(spend_expected(&m, 0, 0), spend_population_mean(&m), 1e-15, "no repeat order: the population's mean");
	tap_near(spend_expected(&m, 5, NAN), spend_population_mean(&m), 1e-15, "no usable value: the population's mean");
	tap_ok(isnan(spend_log_likelihood(&m, 0, 5)) && isnan(spend_log_likelihood(&m, 2, 0)) &&
		   isnan(spend_log_likelihood(&m, 2, -3)), "no likelihood without orders of positive value");
	m.q = 1.0;
	tap_ok(isnan(spend_log_likelihood(&m, 2, 5)) && isnan(spend_expected(&m, 2, 5)), "q must exceed 1");
	m = (SpendModel) {1e5, 1e5, 1e-5};
	tap_ok(isfinite(spend_log_likelihood(&m, 2000, 1e12)) && isfinite(spend_log_likelihood(&m, 1, 1e-300)), "extremes are finite");
}

/* Whether a fit of such groups ends within its bounds in a model that says something of everyone. */
static bool
survives(const SpendGroup *groups, int n)
{
	SpendFit	fit;

	if (!spend_fit(groups, n, NULL, NULL, &fit))
		return false;
	for (int i = 0; i < n; i++)
		if (!isfinite(spend_expected(&fit.model, groups[i].x, groups[i].mean)))
			return false;
	return fit.evaluations <= 200;
}

static void
test_hard_fits(void)
{
	SpendGroup	g[1000];
	SpendFit	fit;
	UnitRandom	random = {11, 0};

	for (int i = 0; i < 1000; i++)
		g[i] = (SpendGroup) {1 + i % 7, 100, 1};
	tap_ok(survives(g, 1000), "all values equal");
	tap_ok(!spend_fit(g, 19, NULL, NULL, &fit) && fit.n == 19, "19 clients are too few");
	for (int i = 0; i < 1000; i++)
		g[i].mean = exp(6 * unit_normal(&random));
	tap_ok(survives(g, 1000), "log-normal of sigma 6");
	for (int i = 0; i < 1000; i++)
		g[i].mean = i == 0 ? 1e15 : 1;
	tap_ok(survives(g, 1000), "one absurd value among equal ones");
	for (int i = 0; i < 1000; i++)
		g[i] = (SpendGroup) {1, unit_gamma(&random, 2), 1};
	tap_ok(survives(g, 1000), "one repeat order each");
	for (int i = 0; i < 100; i++)
		g[i] = (SpendGroup) {i % 3 ? 2 : NAN, i % 5 ? 10 + i : -1, i % 7 ? 1 : 0};
	tap_ok(spend_fit(g, 100, NULL, heard, &fit) && n_heard >= fit.evaluations && isfinite(fit.log_likelihood) && fit.n + fit.n_invalid == 85, "what cannot be is left out, and counted");
}

int
main(void)
{
	Fit			fits[MAX_FITS];
	int			n = read_fits(fits);

	test_customers(fits, n);
	test_fits(fits, n);
	test_gradient();
	test_values();
	test_hard_fits();
	return tap_done();
}
