/*
 * repurchase_test.c
 *		Clients under given parameters: P(alive), P(an order within t), orders
 *		expected and likelihood against reference vectors (see csv.h), made by an
 *		independent implementation, the hard cases with 60 digits; and what must
 *		hold for any client.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/model/model.h"
#include "csv.h"
#include "tap.h"
#include "unit.h"

#define MAX_FITS 60

static const int all_k[REPURCHASE_CLASSES] = {1, 2, 3, 4, 6, 8, 12};

/* A model of one class; alpha is the hidden process's own, as in the vectors. */
static RepurchaseModel
single(int m, int k, double r, double alpha, double a, double b)
{
	return (RepurchaseModel) {m, r, alpha * k, a, b, 1, {k}, {1.0}};
}

static BuyerStats
read_buyer(const Csv *csv)
{
	double		gaps = csv_number(csv, "litt");

	return (BuyerStats) {
		(int) csv_number(csv, "x"), csv_number(csv, "tx"), csv_number(csv, "T"), isnan(gaps) ? 0.0 : gaps
	};
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

/* The largest errors over a file. */
typedef struct Errors
{
	int			n;
	double		log_likelihood, /* relative, below 1 absolute */
				alive,			/* absolute */
				active,			/* absolute */
				expected,		/* relative */
				mean_k;			/* absolute */
} Errors;

static void
compare(Errors *e, const Csv *csv, const RepurchaseModel *model)
{
	BuyerStats	buyer = read_buyer(csv);
	RepurchaseScore score;

	repurchase_score(model, &buyer, csv_number(csv, "t"), &score);
	e->n++;
	e->alive = worse(e->alive, fabs(score.alive - csv_number(csv, "palive")));
	e->active = worse(e->active, fabs(score.active - csv_number(csv, "pactive")));
	e->expected = worse(e->expected, relative(score.expected, csv_number(csv, "cet")));
	if (*csv_text(csv, "LL"))
	{
		double		want = csv_number(csv, "LL");

		e->log_likelihood = worse(e->log_likelihood, fabs(score.log_likelihood - want) / fmax(1.0, fabs(want)));
	}
	if (*csv_text(csv, "post_mean_k"))
		e->mean_k = worse(e->mean_k, fabs(score.mean_k - csv_number(csv, "post_mean_k")));
}

static void
report(const Errors *e, const char *file, int rows, double alive, double expected, double active)
{
	tap_ok(e->n == rows, "%s: %d rows", file, e->n);
	tap_ok(e->alive <= alive, "%s: P(alive) within %g (%.2g)", file, alive, e->alive);
	tap_ok(e->expected <= expected, "%s: orders expected within %g of the value (%.2g)", file, expected, e->expected);
	tap_ok(e->active <= active, "%s: P(order) within %g (%.2g)", file, active, e->active);
}

/* The parameters behind customer_vectors.csv are those of fit_vectors.csv. */
typedef struct Fit
{
	char		key[100];
	RepurchaseModel model;
} Fit;

static void
fit_key(const Csv *csv, char *key, size_t size)
{
	snprintf(key, size, "%s %s %s", csv_text(csv, "dataset"), csv_text(csv, "model"), csv_text(csv, "k"));
}

static int
read_fits(Fit *fits)
{
	Csv			csv;
	int			n = 0;

	if (!csv_open(&csv, "fit_vectors.csv"))
		return 0;
	while (n < MAX_FITS && csv_next(&csv))
	{
		const char *name = csv_text(&csv, "model");

		if (!*csv_text(&csv, "k"))
			continue;
		fit_key(&csv, fits[n].key, sizeof(fits[n].key));
		fits[n++].model = single(name[0] == 'M', (int) csv_number(&csv, "k"), csv_number(&csv, "p1"),
								 csv_number(&csv, "p2"), csv_number(&csv, "p3"), csv_number(&csv, "p4"));
	}
	csv_close(&csv);
	return n;
}

static void
test_customers(void)
{
	Fit			fits[MAX_FITS];
	int			n = read_fits(fits);
	Errors		e = {0};
	Csv			csv;

	if (!csv_open(&csv, "customer_vectors.csv"))
	{
		tap_skip("customer_vectors.csv is not here");
		return;
	}
	while (csv_next(&csv))
	{
		char		key[100];

		fit_key(&csv, key, sizeof(key));
		for (int i = 0; i < n; i++)
			if (strcmp(fits[i].key, key) == 0)
				compare(&e, &csv, &fits[i].model);
	}
	csv_close(&csv);
	report(&e, "customer_vectors.csv", 780, 5e-10, 5e-9, 2e-10);
}

static void
test_mixtures(void)
{
	RepurchaseModel models[10];
	char		names[10][40];
	int			n = 0;
	Errors		e = {0};
	Csv			csv;

	if (!csv_open(&csv, "mix_fit_vectors.csv"))
	{
		tap_skip("mix_fit_vectors.csv is not here");
		return;
	}
	while (n < 10 && csv_next(&csv))
	{
		RepurchaseModel *model = &models[n];

		snprintf(names[n++], sizeof(names[0]), "%s", csv_text(&csv, "dataset"));
		*model = single(1, 1, csv_number(&csv, "r"), csv_number(&csv, "alpha"), csv_number(&csv, "a"), csv_number(&csv, "b"));
		model->n_classes = REPURCHASE_CLASSES;
		for (int i = 0; i < REPURCHASE_CLASSES; i++)
		{
			char		column[10];

			snprintf(column, sizeof(column), "pi_%d", all_k[i]);
			model->k[i] = all_k[i];
			model->weight[i] = csv_number(&csv, column);
		}
	}
	csv_close(&csv);
	if (!csv_open(&csv, "mix_customer_vectors.csv"))
	{
		tap_skip("mix_customer_vectors.csv is not here");
		return;
	}
	while (csv_next(&csv))
		for (int i = 0; i < n; i++)
			if (strcmp(names[i], csv_text(&csv, "dataset")) == 0)
				compare(&e, &csv, &models[i]);
	csv_close(&csv);
	report(&e, "mix_customer_vectors.csv", 90, 5e-10, 5e-9, 2e-10);
	tap_ok(e.mean_k <= 2e-9, "mix_customer_vectors.csv: mean k within 2e-9 (%.2g)", e.mean_k);
}

static void
test_hard_cases(void)
{
	Errors		e = {0};
	Csv			csv;

	if (!csv_open(&csv, "hard_cases.csv"))
	{
		tap_skip("hard_cases.csv is not here");
		return;
	}
	while (csv_next(&csv))
		if (*csv_text(&csv, "k"))
		{
			RepurchaseModel model = single((int) csv_number(&csv, "m"), (int) csv_number(&csv, "k"), csv_number(&csv, "r"),
										   csv_number(&csv, "alpha"), csv_number(&csv, "a"), csv_number(&csv, "b"));

			compare(&e, &csv, &model);
		}
	csv_close(&csv);
	report(&e, "hard_cases.csv", 77, 1e-12, 1e-9, 1e-12);
	tap_ok(e.log_likelihood <= 1e-12, "hard_cases.csv: log-likelihood within 1e-12 of the value (%.2g)", e.log_likelihood);
}

int
main(void)
{
	test_customers();
	test_mixtures();
	test_hard_cases();
	return tap_done();
}
