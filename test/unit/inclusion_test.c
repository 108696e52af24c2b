/*
 * inclusion_test.c
 *		BG/BB: the published fit, the laws of probability on all short
 *		histories, the gradient against differences, and inputs that must not hurt.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/model/model.h"
#include "tap.h"
#include "unit.h"

static int	n_heard;			/* calls of the hook of a fit */

static void
heard(void)
{
	n_heard++;
}

/* fmax that does not lose a NaN. */
static double
worse(double so_far, double error)
{
	return error <= so_far ? so_far : error;
}

static double
relative(double got, double want)
{
	return got == want ? 0.0 : fabs(got - want) / fabs(want);
}

static const InclusionModel models[] = {
	{1.204, 0.750, 0.657, 2.783}, {0.589, 3.637, 0.237, 4.585}, {0.01, 2.0, 1e-5, 1e5}, {40.0, 3.0, 5.0, 0.2}, {1e-4, 1e-4, 1e-4, 1e-4}
};
#define N_MODELS (int) (sizeof(models) / sizeof(models[0]))

/*
 * Donors of a public radio station, 1995 and the six years after: Fader, Hardie,
 * Shang 2010, table 1 (11,104 people by frequency and recency), and table 2.
 */
static const PairGroup donors[] = {
	{{6, 6, 6}, 1203}, {{5, 6, 6}, 728}, {{4, 6, 6}, 512}, {{3, 6, 6}, 357}, {{2, 6, 6}, 234}, {{1, 6, 6}, 129},
	{{5, 5, 6}, 335}, {{4, 5, 6}, 284}, {{3, 5, 6}, 225}, {{2, 5, 6}, 173}, {{1, 5, 6}, 119},
	{{4, 4, 6}, 240}, {{3, 4, 6}, 181}, {{2, 4, 6}, 155}, {{1, 4, 6}, 78},
	{{3, 3, 6}, 322}, {{2, 3, 6}, 255}, {{1, 3, 6}, 129}, {{2, 2, 6}, 613}, {{1, 2, 6}, 277}, {{1, 1, 6}, 1091}, {{0, 0, 6}, 3464}
};
#define N_DONORS (int) (sizeof(donors) / sizeof(donors[0]))

static void
test_published(InclusionWorkspace *work)
{
	InclusionFit fit,
				again;
	bool		fitted = inclusion_fit(donors, N_DONORS, NULL, work, NULL, &fit);
	const PairStats faithful = {6, 6, 6};

	tap_ok(fitted && fit.converged && fit.n == 11104, "donors: fitted (%d evaluations)", fit.evaluations);
	tap_ok(fabs(fit.log_likelihood + 33225.6) <= 0.05, "donors: log-likelihood -33,225.6 as published (%.2f)", fit.log_likelihood);
	tap_ok(fabs(fit.model.a - 1.204) <= 6e-4 && fabs(fit.model.b - 0.750) <= 6e-4 && fabs(fit.model.c - 0.657) <= 6e-4 &&
		   fabs(fit.model.d - 2.783) <= 6e-4, "donors: parameters as published (%.4f %.4f %.4f %.4f)", fit.model.a, fit.model.b, fit.model.c, fit.model.d);
	fitted = inclusion_fit(donors, N_DONORS, &fit.model, work, NULL, &again);
	tap_ok(fitted && again.evaluations <= 4, "donors: a warm start stays where it is (%d evaluations)", again.evaluations);
	tap_near(inclusion_next(&fit.model, &faithful, 0), 7.204 / 7.954 * 8.783 / 9.440, 1e-3, "donors: the faithful give again");
}

/* How many histories have these statistics: choose which of the last - 1 orders before the last one. */
static double
histories(int x, int last)
{
	return x == 0 ? 1.0 : round(exp(lgamma(last) - lgamma(x) - lgamma(last - x + 1)));
}

static void
test_laws(void)
{
	double		sum_error = 0.0;
	double		next_error = 0.0;
	bool		ordered = true;

	for (int i = 0; i < N_MODELS; i++)
		for (int n = 0; n <= 12; n++)
		{
			double		sum = 0.0;

			for (int x = 0; x <= n; x++)
				for (int last = x; last <= (x == 0 ? 0 : n); last++)
				{
					PairStats	now = {x, last, n};
					PairStats	with = {x + 1, n + 1, n + 1};
					double		ll = inclusion_log_likelihood(&models[i], &now);
					double		alive = inclusion_alive(&models[i], &now);
					double		next = inclusion_next(&models[i], &now, 0);

					sum += histories(x, last) * exp(ll);
					next_error = worse(next_error, relative(next, exp(inclusion_log_likelihood(&models[i], &with) - ll)));
					ordered = ordered && next >= 0 && next <= alive && alive <= 1;
				}
			sum_error = worse(sum_error, fabs(sum - 1));
		}
	tap_ok(sum_error <= 1e-12, "probabilities of all histories add up to 1 (%.2g)", sum_error);
	tap_ok(next_error <= 1e-11, "the next order's probability is the ratio of likelihoods (%.2g)", next_error);
	tap_ok(ordered, "0 <= P(next) <= P(alive) <= 1");
}

static double
log_likelihood(const double *logs, const PairGroup *groups, int n)
{
	InclusionModel m = {exp(logs[0]), exp(logs[1]), exp(logs[2]), exp(logs[3])};
	double		sum = 0.0;

	for (int i = 0; i < n; i++)
		sum += groups[i].n_pairs * inclusion_log_likelihood(&m, &groups[i].pair);
	return sum;
}

/* Random groups, some of long and some of silent histories. */
static void
draw_groups(PairGroup *groups, int n, UnitRandom *random)
{
	for (int i = 0; i < n; i++)
	{
		int			orders = 1 + (int) (250 * pow(unit_uniform(random), 3));
		int			last = (int) ((orders + 1) * unit_uniform(random));
		int			x = last == 0 ? 0 : 1 + (int) (last * unit_uniform(random));

		groups[i] = (PairGroup) {{x, last, orders}, 1 + floor(9 * unit_uniform(random))};
	}
}

static void
test_gradient(InclusionWorkspace *work)
{
	UnitRandom	random = {5, 0};
	PairGroup	groups[20];
	double		value_error = 0.0;
	double		error = 0.0;
	double		h = 1e-3;

	for (int i = 0; i < 100; i++)
	{
		double		logs[4];
		double		gradient[4];
		InclusionModel m;

		for (int j = 0; j < 4; j++)
			logs[j] = 6 * unit_uniform(&random) - 3;
		m = (InclusionModel) {exp(logs[0]), exp(logs[1]), exp(logs[2]), exp(logs[3])};
		draw_groups(groups, 20, &random);
		value_error = worse(value_error, relative(inclusion_evaluate(groups, 20, &m, work, gradient), log_likelihood(logs, groups, 20)));
		for (int j = 0; j < 4; j++)
		{
			double		shifted[4];
			double		value[4];
			double		slope;

			for (int s = 0; s < 4; s++)
			{
				memcpy(shifted, logs, sizeof(logs));
				shifted[j] += h * (s < 2 ? s - 2 : s - 1);
				value[s] = log_likelihood(shifted, groups, 20);
			}
			slope = (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * h);
			error = worse(error, fabs(gradient[j] - slope) / (1 + fabs(slope)));
		}
	}
	tap_ok(value_error <= 1e-11, "tables give the likelihood of single pairs (%.2g)", value_error);
	tap_ok(error <= 1e-7, "gradient against differences within 1e-7 (%.2g)", error);
}

/* P(alive) with every term of the sum, by lgamma. */
static double
alive_by_hand(const InclusionModel *m, const PairStats *p)
{
	double		first = lgamma(m->b + p->n - p->x) - lgamma(m->a + m->b + p->n) + lgamma(m->d + p->n) - lgamma(m->c + m->d + p->n);
	double		sum = 0.0;

	for (int i = p->last; i < p->n; i++)
		sum += exp(lgamma(m->b + i - p->x) - lgamma(m->a + m->b + i) + lgamma(m->d + i) - lgamma(m->c + m->d + i + 1) + log(m->c) - first);
	return 1.0 / (1.0 + sum);
}

static void
test_long_histories(void)
{
	const PairStats pairs[] = {{0, 0, 20000}, {5, 5000, 20000}, {3, 300, 1000}, {500, 5000, 9000}, {1, 1, 400}, {2000, 2000, 2100}};
	double		error = 0.0;
	bool		fine = true;

	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 6; j++)
			error = worse(error, relative(inclusion_alive(&models[i], &pairs[j]), alive_by_hand(&models[i], &pairs[j])));
	tap_ok(error <= 1e-4, "long silences: P(alive) within 1e-4 of the full sum (%.2g)", error);
	for (int i = 0; i < N_MODELS; i++)
		for (int digits = 0; digits < 10; digits++)
		{
			const int	n = (int) pow(10, digits);
			const PairStats extremes[] = {{0, 0, n}, {n, n, n}, {1, 1, n}, {1, n, n}, {n / 2 + 1, n / 2 + 1, n}};

			for (int j = 0; j < 5; j++)
			{
				double		next = inclusion_next(&models[i], &extremes[j], 0);

				fine = fine && next >= 0 && next <= 1 && !isnan(inclusion_log_likelihood(&models[i], &extremes[j]));
			}
		}
	tap_ok(fine, "a billion orders are no NaN");
}

static void
test_domain(void)
{
	const InclusionModel *m = &models[0];
	const PairStats bad[] = {{-1, 0, 3}, {2, 1, 3}, {1, 4, 3}, {0, 2, 3}, {1, 0, 3}};
	const PairStats fine = {1, 2, 3};
	InclusionModel broken = {1, 1, 0, 1};
	int			n = 0;

	for (int i = 0; i < 5; i++)
		n += isnan(inclusion_log_likelihood(m, &bad[i])) && isnan(inclusion_alive(m, &bad[i])) && isnan(inclusion_next(m, &bad[i], 0));
	tap_ok(n == 5, "impossible pairs are NaN");
	tap_ok(isnan(inclusion_next(&broken, &fine, 0)) && isnan(inclusion_log_likelihood(&broken, &fine)), "so is an invalid model");
	tap_near(inclusion_next(m, &fine, 0.02), inclusion_next(m, &fine, 0) + 0.02 * (1 - inclusion_alive(m, &fine)), 1e-15, "a dead pair comes back as told");
	tap_near(inclusion_within(2, 0.3), 1 - exp(-0.6), 1e-15, "two orders expected, inclusion .3");
	tap_ok(inclusion_within(-1, 0.5) == 0 && inclusion_within(INFINITY, 0.5) == 1 && isnan(inclusion_within(NAN, 0.5)), "stays a probability");
}

static void
test_tilt(void)
{
	const InclusionModel *m = &models[1];
	InclusionModel same = inclusion_tilt(m, 0.08, 0, 0);
	InclusionModel often = inclusion_tilt(m, 0.08, 500, 1000);
	InclusionModel little = inclusion_tilt(m, 0.08, 1, 2);
	InclusionModel never = inclusion_tilt(m, 0.08, 0, 1e9);

	tap_ok(relative(same.a, m->a) < 1e-14 && relative(same.b, m->b) < 1e-14, "no orders with the product: the population's prior");
	tap_near(often.a + often.b, m->a + m->b, 1e-14, "the weight of the prior stays");
	tap_near(log(often.a / often.b), log(m->a / m->b) + log(504.8 / 555.2) - log(0.08 / 0.92), 1e-12, "moved by the product's rate in log odds");
	tap_ok(m->a < little.a && little.a < often.a && never.a > 0 && never.a < 1e-3, "little moves little, and a prior never ends at zero");
	tap_ok(inclusion_tilt(m, NAN, 1, 2).a == m->a && inclusion_tilt(m, 0.1, 3, 2).a == m->a, "what cannot be moves nothing");
}

static int
same_or_new(PairGroup *groups, int n, PairStats pair)
{
	for (int i = 0; i < n; i++)
		if (groups[i].pair.x == pair.x && groups[i].pair.last == pair.last && groups[i].pair.n == pair.n)
		{
			groups[i].n_pairs++;
			return n;
		}
	groups[n] = (PairGroup) {pair, 1};
	return n + 1;
}

/* Pairs of a known model: the fit must be at least as likely as the truth, and near it. */
static void
test_planted(InclusionWorkspace *work)
{
	const InclusionModel truth = {0.8, 2.4, 0.4, 5.0};
	UnitRandom	random = {3, 0};
	static PairGroup groups[5000];
	InclusionFit fit;
	double		gradient[4];
	int			n_groups = 0;
	bool		fitted;

	for (int i = 0; i < 20000; i++)
	{
		double		u = unit_gamma(&random, truth.a);
		double		p = u / (u + unit_gamma(&random, truth.b));
		double		v = unit_gamma(&random, truth.c);
		double		theta = v / (v + unit_gamma(&random, truth.d));
		PairStats	pair = {0, 0, 1 + i % 20};

		for (int k = 1; k <= pair.n && unit_uniform(&random) >= theta; k++)
			if (unit_uniform(&random) < p)
			{
				pair.x++;
				pair.last = k;
			}
		n_groups = same_or_new(groups, n_groups, pair);
	}
	fitted = inclusion_fit(groups, n_groups, NULL, work, NULL, &fit);
	tap_ok(fitted && fit.converged && fit.n == 20000, "planted: fitted (%d groups, %d evaluations)", n_groups, fit.evaluations);
	tap_ok(fit.log_likelihood >= inclusion_evaluate(groups, n_groups, &truth, work, gradient), "planted: as likely as the truth");
	tap_ok(relative(fit.model.a, truth.a) < 0.1 && relative(fit.model.b, truth.b) < 0.1 && relative(fit.model.c, truth.c) < 0.25 &&
		   relative(fit.model.d, truth.d) < 0.25, "planted: parameters found again (%.3f %.3f %.3f %.3f)", fit.model.a, fit.model.b, fit.model.c, fit.model.d);
}

static bool
survives(const PairGroup *groups, int n, InclusionWorkspace *work)
{
	InclusionFit fit;
	bool		fine = inclusion_fit(groups, n, NULL, work, NULL, &fit) && fit.evaluations <= 200;

	for (int i = 0; fine && i < n; i++)
		fine = !pair_valid(&groups[i].pair) || isfinite(inclusion_next(&fit.model, &groups[i].pair, 0));
	return fine;
}

static void
test_hard_fits(InclusionWorkspace *work)
{
	PairGroup	always[] = {{{5, 5, 5}, 500}, {{1000, 1000, 1000}, 500}};
	PairGroup	never[] = {{{0, 0, 5}, 500}, {{0, 0, 1000}, 500}};
	PairGroup	once[] = {{{1, 1, 1}, 90}, {{0, 0, 1}, 910}};
	PairGroup	odd[] = {{{1, 1, 2}, 150}, {{0, 0, 2}, 150}, {{0, 0, 0}, 7}, {{5, 3, 9}, 11}, {{1, 1, 5000}, 13}, {{1, 1, 2}, NAN}, {{1, 2, 3}, -4}};
	InclusionFit fit;

	tap_ok(survives(always, 2, work), "always bought");
	tap_ok(survives(never, 2, work), "never bought again");
	tap_ok(survives(once, 2, work), "one later order each");
	tap_ok(inclusion_fit(odd, 7, NULL, work, heard, &fit) && n_heard >= fit.evaluations && fit.n == 300 && fit.n_invalid == 31, "what cannot be, and too long a history, is left out and counted");
	tap_ok(!inclusion_fit(once, 1, NULL, work, NULL, &fit) && fit.n == 90, "90 pairs are too few");
}

int
main(void)
{
	InclusionWorkspace *work = malloc(sizeof(InclusionWorkspace));

	test_published(work);
	test_laws();
	test_gradient(work);
	test_long_histories();
	test_domain();
	test_tilt();
	test_planted(work);
	test_hard_fits(work);
	free(work);
	return tap_done();
}
