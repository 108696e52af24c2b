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
#include "pareto.h"
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
	if (active > 0.0)
		tap_ok(e->active <= active, "%s: P(order) within %g (%.2g)", file, active, e->active);
}

static void
compare_pareto(Errors *e, const Csv *csv, const ParetoModel *model)
{
	BuyerStats	buyer = read_buyer(csv);
	double		t = csv_number(csv, "t");

	e->n++;
	e->alive = worse(e->alive, fabs(pareto_alive(model, &buyer) - csv_number(csv, "palive")));
	e->expected = worse(e->expected, relative(pareto_expected(model, &buyer, t), csv_number(csv, "cet")));
	if (*csv_text(csv, "pactive"))
		e->active = worse(e->active, fabs(pareto_active(model, &buyer, t) - csv_number(csv, "pactive")));
	if (*csv_text(csv, "LL"))
	{
		double		want = csv_number(csv, "LL");

		e->log_likelihood = worse(e->log_likelihood, fabs(pareto_log_likelihood(model, &buyer) - want) / fmax(1.0, fabs(want)));
	}
}

/* The parameters behind customer_vectors.csv are those of fit_vectors.csv. */
typedef struct Fit
{
	char		key[100];
	RepurchaseModel model;
	ParetoModel pareto;			/* instead, where it has a name that begins so */
} Fit;

static bool
is_pareto(const Csv *csv)
{
	return strncmp(csv_text(csv, "model"), "Pareto", 6) == 0;
}

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

		if (!*csv_text(&csv, "k") && !is_pareto(&csv))
			continue;
		fit_key(&csv, fits[n].key, sizeof(fits[n].key));
		fits[n].pareto = (ParetoModel) {
			csv_number(&csv, "p1"), csv_number(&csv, "p2"), csv_number(&csv, "p3"), csv_number(&csv, "p4")
		};
		if (is_pareto(&csv))
			n++;
		else
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
	Errors		pareto = {0};
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
			{
				if (is_pareto(&csv))
					compare_pareto(&pareto, &csv, &fits[i].pareto);
				else
					compare(&e, &csv, &fits[i].model);
			}
	}
	csv_close(&csv);
	report(&e, "customer_vectors.csv", 780, 5e-10, 5e-9, 2e-10);
	report(&pareto, "customer_vectors.csv, Pareto/NBD", 150, 5e-10, 5e-9, 2e-10);
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
	Errors		pareto = {0};
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
		else
		{
			ParetoModel model = {
				csv_number(&csv, "r"), csv_number(&csv, "alpha"), csv_number(&csv, "a"), csv_number(&csv, "b")
			};

			compare_pareto(&pareto, &csv, &model);
		}
	csv_close(&csv);
	report(&pareto, "hard_cases.csv, Pareto/NBD", 44, 1e-12, 1e-9, 0.0);
	tap_ok(pareto.log_likelihood <= 1e-12, "hard_cases.csv, Pareto/NBD: log-likelihood within 1e-12 of the value (%.2g)",
		   pareto.log_likelihood);
	report(&e, "hard_cases.csv", 77, 1e-12, 1e-9, 1e-12);
	tap_ok(e.log_likelihood <= 1e-12, "hard_cases.csv: log-likelihood within 1e-12 of the value (%.2g)", e.log_likelihood);
}

/* ---- identities and limits ---- */

static const RepurchaseModel mixture = {
	1, 1.24, 5.13, 0.43, 0.82, REPURCHASE_CLASSES, {1, 2, 3, 4, 6, 8, 12}, {0.2, 0.25, 0.1, 0.2, 0.05, 0.02, 0.18}
};

static const BuyerStats clients[] = {
	{0, 0.0, 0.0, 0.0}, {0, 0.0, 30.0, 0.0}, {1, 4.0, 4.0, 1.4}, {1, 4.0, 60.0, 1.4}, {6, 40.0, 45.0, 11.0},
	{6, 40.0, 140.0, 11.0}, {45, 100.0, 101.0, 35.0}, {300, 100.0, 100.5, -350.0}
};

#define N_CLIENTS ((int) (sizeof(clients) / sizeof(clients[0])))

/* What the sum over hidden events must equal: RPS's own sum over orders and stages. */
static double
sum_of_tails(const RepurchaseModel *model, const BuyerStats *buyer, double t)
{
	int			k = model->k[0];
	double		shape = model->r + (double) k * buyer->x;
	double		now = model->alpha / k + buyer->T;
	double		stay = model->b + buyer->x + model->m;
	double		share[REPURCHASE_K_MAX] = {1.0};
	double		all = 1.0;
	double		next = 1.0;
	double		total = 0.0;

	for (int j = 1; j < k; j++)
		all += share[j] = share[j - 1] * (shape + j - 1) / j * (buyer->T - buyer->tx) / now;
	for (int n = 1; n < 100000; n++)
	{
		double		tail = 0.0;

		for (int j = 0; j < k; j++)
			if (share[j] > 0.0)
				tail += share[j] / all * beta_inc(n * k - j, shape + j, t / (now + t));
		total += next * tail;
		if (next * tail < 1e-13 * total)
			break;
		next *= (stay + n - 1.0) / (model->a + stay + n - 1.0);
	}
	return total * repurchase_alive(model, buyer);
}

static void
test_expected(void)
{
	static const BuyerStats fresh = {0, 0.0, 0.0, 0.0};
	RepurchaseModel far = single(1, 12, 1.2, 0.02, 0.4, 0.9);
	double		error = 0.0;

	for (int k = 0; k < REPURCHASE_CLASSES; k++)
		for (int i = 0; i < N_CLIENTS; i++)
			for (double t = 0.5; t < 200; t *= 5)
			{
				RepurchaseModel model = single(i % 2, all_k[k], 1.24, 5.13 / all_k[k], 0.43, 0.82);

				error = worse(error, relative(repurchase_expected(&model, &clients[i], t), sum_of_tails(&model, &clients[i], t)));
			}
	tap_ok(error <= 1e-9, "orders expected equal the sum over orders and stages (%.2g)", error);
	error = relative(repurchase_expected(&far, &fresh, 100.0), sum_of_tails(&far, &fresh, 100.0));
	tap_ok(error <= 1e-6, "also where the horizon is 5,000 times the age and an integral takes over (%.2g)", error);
	/* an a of 2: (a + b' - 1)/(a - 1) = 3.9 orders in all, a living client's, as FHL eq. 10 has it */
	far = single(1, 4, 1.2, 1.0, 2.0, 1.9);
	tap_near(repurchase_expected(&far, &fresh, 1e15), 3.9 * repurchase_alive(&far, &fresh), 1e-6, "for ever: a lifetime's orders");
}

/* k and R by the incomplete beta function, which the code does not use. */
static void
test_gaps(void)
{
	double		survival = 0.0;
	double		after_order = 0.0;
	double		inverse = 0.0;
	double		date = 0.0;

	for (int k = 0; k < REPURCHASE_CLASSES; k++)
		for (int i = 0; i < N_CLIENTS; i++)
			for (double u = 0.2; u < 300; u *= 3)
			{
				BuyerStats	now = clients[i];
				RepurchaseModel model = single(1, all_k[k], 1.24, 5.13 / all_k[k], 0.43, 0.82);
				double		odds = u / (model.alpha / all_k[k] + now.tx);
				double		shape = model.r + (double) all_k[k] * now.x;
				double		within = exp(beta_inc_log_odds(all_k[k], shape, odds));
				double		stay = model.b + now.x;

				survival = worse(survival, fabs(repurchase_gap_survival(&model, &now, u) - (1.0 - within)));
				now.T = now.tx;
				after_order = worse(after_order, fabs(repurchase_active(&model, &now, u) - within * stay / (model.a + stay)));
			}
	for (int i = 0; i < N_CLIENTS; i++)
		for (double p = 0.001; p < 1.0; p += 0.037)
		{
			double		alive = repurchase_alive(&mixture, &clients[i]);
			double		t = repurchase_active_quantile(&mixture, &clients[i], p * alive);

			date = worse(date, fabs(repurchase_active(&mixture, &clients[i], t) - p * alive) / alive);
			t = repurchase_gap_quantile(&mixture, &clients[i], p);
			inverse = worse(inverse, fabs(1.0 - p - repurchase_gap_survival(&mixture, &clients[i], t)));
		}
	tap_ok(survival <= 1e-12, "a living client's gap: beta prime (%.2g)", survival);
	tap_ok(after_order <= 1e-12, "just after an order: the gap's distribution times the chance of having stayed (%.2g)", after_order);
	tap_ok(inverse <= 1e-12, "the gap's quantile inverts its survival (%.2g)", inverse);
	tap_ok(date <= 1e-11, "the next order's date inverts P(order) (%.2g)", date);
	tap_ok(repurchase_active_quantile(&mixture, &clients[3], repurchase_alive(&mixture, &clients[3])) == INFINITY
		   && repurchase_active_quantile(&mixture, &clients[3], 0.99) == INFINITY, "more certain than alive: never");
	tap_ok(repurchase_active_quantile(&mixture, &clients[3], 0.0) == 0.0
		   && repurchase_gap_quantile(&mixture, &clients[3], -1.0) == 0.0, "no chance at all: at once");
	tap_ok(repurchase_gap_quantile(&mixture, &clients[3], 1.0) == INFINITY, "for certain: never");
}

static void
test_same(void)
{
	RepurchaseTable table;
	RepurchaseModel days = mixture;
	double		by_table = 0.0;
	double		by_unit = 0.0;
	double		classes = 0.0;
	double		posterior[REPURCHASE_CLASSES];

	days.alpha *= 7.0;
	repurchase_table(&mixture, &table);
	for (int i = 0; i < 5000; i++)
	{
		BuyerStats	once = {0, 0.0, i % 2500 * 0.7, 0.0};
		RepurchaseScore score;

		repurchase_score_by_table(&table, &once, i % 3 * 4.0, &score);
		by_table = worse(by_table, relative(score.expected, repurchase_expected(&mixture, &once, i % 3 * 4.0)));
	}
	for (int i = 0; i < N_CLIENTS; i++)
	{
		BuyerStats	b = clients[i];
		RepurchaseScore score,
					other;
		double		mean_k = 0.0;

		repurchase_score(&mixture, &b, 13.0, &score);
		repurchase_score_by_table(&table, &b, 13.0, &other);
		by_table = worse(by_table, relative(other.expected, score.expected) + relative(other.log_likelihood, score.log_likelihood)
						 + fabs(other.alive - score.alive) + fabs(other.active - score.active));
		repurchase_classes(&mixture, &b, posterior);
		for (int k = 0; k < REPURCHASE_CLASSES; k++)
			mean_k += all_k[k] * posterior[k];
		classes = worse(classes, fabs(mean_k - score.mean_k) + fabs(repurchase_log_likelihood(&mixture, &b) - score.log_likelihood)
						+ fabs(repurchase_alive(&mixture, &b) - score.alive) + fabs(repurchase_active(&mixture, &b, 13.0) - score.active));
		b = (BuyerStats) {b.x, b.tx * 7.0, b.T * 7.0, b.sum_log + b.x * log(7.0)};
		repurchase_score(&days, &b, 91.0, &other);
		by_unit = worse(by_unit, relative(other.expected, score.expected) + fabs(other.active - score.active)
						+ fabs(other.log_likelihood + b.x * log(7.0) - score.log_likelihood) / fmax(1.0, fabs(score.log_likelihood)));
	}
	tap_ok(by_table <= 1e-11, "by table the same (%.2g)", by_table);
	tap_ok(classes <= 1e-11, "one by one the same (%.2g)", classes);
	tap_ok(by_unit <= 1e-11, "in days the same as in weeks (%.2g)", by_unit);
}

static double
log_uniform(UnitRandom *random, double low, double high)
{
	return low * pow(high / low, unit_uniform(random));
}

static BuyerStats
any_client(UnitRandom *random)
{
	BuyerStats	b = {0, 0.0, unit_uniform(random) < 0.1 ? 0.0 : log_uniform(random, 1e-6, 1e6), 0.0};

	if (b.T == 0.0 || unit_uniform(random) < 0.3)
		return b;
	b.x = (int) log_uniform(random, 1, 1e5);
	b.tx = unit_uniform(random) < 0.3 ? b.T : b.T * log_uniform(random, 1e-6, 1);
	b.sum_log = b.x * log(b.tx / b.x) - b.x * unit_uniform(random);
	return b;
}

/* Whatever comes: numbers, in their range and order. */
static void
test_any(void)
{
	UnitRandom	random = {20, 0};
	int			wrong = 0;
	int			n = 4000;

	for (int i = 0; i < n; i++)
	{
		RepurchaseModel model = mixture;
		BuyerStats	b = any_client(&random);
		double		t = unit_uniform(&random) < 0.1 ? 0.0 : log_uniform(&random, 1e-6, 1e9);
		RepurchaseScore s;
		double		date;

		if (i % 2)
			model = single(0, all_k[i / 2 % REPURCHASE_CLASSES], 1, 1, 1, 1);
		model.r = log_uniform(&random, 6e-6, 1.6e5);
		model.alpha = log_uniform(&random, 6e-6, 1.6e5);
		model.a = log_uniform(&random, 6e-6, 1.6e5);
		model.b = log_uniform(&random, 6e-6, 1.6e5);
		model.m = i / 14 % 2;
		repurchase_score(&model, &b, t, &s);
		date = repurchase_active_quantile(&model, &b, 0.5 * s.alive);
		if (isfinite(s.log_likelihood) && s.alive >= 0 && s.alive <= 1 && s.active >= 0 && s.active <= s.alive * (1 + 1e-12)
			&& isfinite(s.expected) && s.expected >= s.active * (1 - 1e-6) - 1e-15 && s.mean_k >= 1 && s.mean_k <= 12.0000001
			&& (t > 0 || (s.active == 0 && s.expected == 0)) && date >= 0)
			continue;
		if (wrong++ < 5)
			printf("# m %d k %d r %g alpha %g a %g b %g; x %d tx %.17g T %.17g log %g t %g: LL %g alive %g active %g expected %g k %g date %g\n",
				   model.m, model.k[0], model.r, model.alpha, model.a, model.b, b.x, b.tx, b.T, b.sum_log, t, s.log_likelihood,
				   s.alive, s.active, s.expected, s.mean_k, date);
	}
	tap_ok(wrong == 0, "%d models, clients and horizons at random: finite, in range, P(order) <= P(alive), P(order) <= orders", n);
}

/* The model kept for comparison, under the same. */
static void
test_any_pareto(void)
{
	UnitRandom	random = {21, 0};
	int			wrong = 0;

	for (int i = 0; i < 4000; i++)
	{
		ParetoModel model = {
			log_uniform(&random, 6e-6, 1.6e5), log_uniform(&random, 6e-6, 1.6e5), log_uniform(&random, 6e-6, 1.6e5), log_uniform(&random, 6e-6, 1.6e5)
		};
		BuyerStats	b = any_client(&random);
		double		t = log_uniform(&random, 1e-6, 1e9);
		double		alive = pareto_alive(&model, &b);
		double		active = pareto_active(&model, &b, t);
		double		expected = pareto_expected(&model, &b, t);

		if (isfinite(pareto_log_likelihood(&model, &b)) && alive >= 0 && alive <= 1 && active >= 0 && active <= alive * (1 + 1e-9)
			&& isfinite(expected) && expected >= active * (1 - 1e-9))
			continue;
		if (wrong++ < 5)
			printf("# r %g alpha %g s %g beta %g; x %d tx %.17g T %.17g t %g: alive %g active %g expected %g\n", model.r, model.alpha,
				   model.s, model.beta, b.x, b.tx, b.T, t, alive, active, expected);
	}
	tap_ok(wrong == 0, "Pareto/NBD at random: finite, in range");
	tap_ok(isnan(pareto_alive(&(ParetoModel) {1, 1, 0, 1}, &clients[1])) && isnan(pareto_expected(&(ParetoModel) {1, 1, 1, 1}, &clients[1], NAN)),
		   "and NaN for what is none");
}

static void
test_domain(void)
{
	static const BuyerStats bad[] = {
		{1, 5.0, 4.0, 0.0}, {0, 1.0, 4.0, 0.0}, {2, 0.0, 4.0, 0.0}, {-1, 0.0, 4.0, 0.0}, {1, NAN, 4.0, 0.0}, {1, 1.0, NAN, 0.0},
		{1, 1.0, 4.0, NAN}, {1, 1.0, INFINITY, 0.0}, {1, -1.0, 4.0, 0.0}, {1, 1.0, 4.0, -INFINITY}, {0, 0.0, -1.0, 0.0},
		{2000000000, 1.0, 4.0, 0.0}
	};
	bool		refused = true;
	RepurchaseModel wrong[6];
	RepurchaseScore score;
	RepurchaseTable table;
	double		posterior[REPURCHASE_CLASSES];

	for (int i = 0; i < (int) (sizeof(bad) / sizeof(bad[0])); i++)
		refused &= !buyer_valid(&bad[i]) && !repurchase_score(&mixture, &bad[i], 1.0, &score) && isnan(score.expected)
			&& isnan(repurchase_alive(&mixture, &bad[i])) && isnan(repurchase_active_quantile(&mixture, &bad[i], 0.5))
			&& isnan(repurchase_gap_survival(&mixture, &bad[i], 1.0)) && isnan(repurchase_log_likelihood(&mixture, &bad[i]))
			&& !repurchase_classes(&mixture, &bad[i], posterior) && isnan(posterior[0]);
	tap_ok(refused, "what no client can be: false, and NaN");
	for (int i = 0; i < 6; i++)
		wrong[i] = mixture;
	wrong[0].a = 0.0;
	wrong[1].alpha = NAN;
	wrong[2].m = 2;
	wrong[3].k[2] = 13;
	wrong[4].weight[0] = 0.9;
	wrong[5].n_classes = 0;
	refused = true;
	for (int i = 0; i < 6; i++)
		refused &= !repurchase_model_valid(&wrong[i]) && isnan(repurchase_expected(&wrong[i], &clients[1], 1.0))
			&& !repurchase_table(&wrong[i], &table);
	tap_ok(refused, "nor a model");
	tap_ok(isnan(repurchase_expected(&mixture, &clients[4], NAN)) && isnan(repurchase_active(&mixture, &clients[4], NAN))
		   && isnan(repurchase_gap_quantile(&mixture, &clients[4], NAN)), "NaN in, NaN out");
	tap_ok(repurchase_expected(&mixture, &clients[4], -3.0) == 0.0 && repurchase_active(&mixture, &clients[4], -3.0) == 0.0
		   && repurchase_gap_survival(&mixture, &clients[4], -3.0) == 1.0, "negative time is none");
	wrong[0] = single(0, 1, 0.25, 4.4, 0.8, 2.4);
	tap_ok(repurchase_alive(&wrong[0], &clients[1]) == 1.0, "BG/NBD takes every client of one order for alive");
}

int
main(void)
{
	test_customers();
	test_mixtures();
	test_hard_cases();
	test_expected();
	test_gaps();
	test_same();
	test_any();
	test_any_pareto();
	test_domain();
	return tap_done();
}
