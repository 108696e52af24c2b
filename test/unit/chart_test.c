/*
 * chart_test.c
 *		The charts: evidence against integrals done by quadrature, day of
 *		crossing, edges, and false alarms on simulated steady clients.
 */
#include "../../src/model/model.h"
#include "unit.h"

static const GapPrior prior = {.k = 2.0, .r = 3.0, .alpha = 40.0, .n_clients = 500.0};
static UnitRandom random_state = {20240311, 0};

static GapStats
stats_of(const double *gaps, int n)
{
	GapStats	s = {n, 0.0, 0.0};

	for (int i = 0; i < n; i++)
	{
		s.sum += gaps[i];
		s.sum_log += log(gaps[i]);
	}
	return s;
}

/* The evidence by Simpson's rule over ln lambda of the products of Erlang-2 densities and survivals. */
static double
evidence_by_quadrature(const double *gaps, int n, int since, bool armed, double elapsed)
{
	double		changed = 0.0;
	double		same = 0.0;
	int			steps = 4000;

	for (int i = 0; i <= steps; i++)
	{
		double		t = -12.0 + 14.0 * i / steps;
		double		lambda = exp(t);
		double		slow = 0.5 * lambda;
		double		simpson = i == 0 || i == steps ? 1.0 : i % 2 ? 4.0 : 2.0;
		double		density = simpson * exp(3.0 * t - 40.0 * lambda);
		double		steady = 1.0;
		double		tail = 1.0;

		for (int j = 0; j < n; j++)
			steady *= lambda * lambda * gaps[j] * exp(-lambda * gaps[j]);
		same += density * steady * exp(-lambda * elapsed) * (1 + lambda * elapsed);
		if (armed)
			changed += density * steady * exp(-slow * elapsed) * (1 + slow * elapsed);
		for (int m = 1; m <= since; m++)
		{
			tail *= 0.25 * exp((lambda - slow) * gaps[n - m]);
			changed += density * steady * tail * exp(-slow * elapsed) * (1 + slow * elapsed);
		}
	}
	return log(changed / same);
}

static void
test_evidence(void)
{
	static const double gaps[] = {9, 11, 10, 25, 22};
	GapStats	client = stats_of(gaps, 5);
	GapPrior	known = prior;
	SlowChart	chart;
	double		before = -INFINITY;
	bool		rises = true;

	known.shape_weight[4] = 1.0;	/* k = 2 */
	chart_slow_start(&chart, &known, &client, gaps, 5, true);
	ok_close(chart_slow(&chart, 0), evidence_by_quadrature(gaps, 5, 5, true, 0), 1e-6, "right after an order: the integral over lambda");
	ok(fabs(chart_slow(&chart, 30) - evidence_by_quadrature(gaps, 5, 5, true, 30)) < 0.02,
	   "in the open gap: within .02, one scale standing for all changes");
	chart_slow_start(&chart, &known, &client, gaps + 4, 1, true);
	ok(fabs(chart_slow(&chart, 40) - evidence_by_quadrature(gaps, 5, 1, true, 40)) < 1e-6, "one gap since it was armed: exact");
	chart_slow_start(&chart, &known, &client, gaps, 0, true);
	ok_close(chart_slow(&chart, 40), evidence_by_quadrature(gaps, 5, 0, true, 40), 1e-6, "the open gap alone");
	chart_slow_start(&chart, &known, &client, gaps, 0, false);
	ok(isinf(chart_slow(&chart, 40)) && chart_slow(&chart, 40) < 0, "not armed: no evidence, whatever the silence");

	chart_slow_start(&chart, &known, &client, gaps, 5, true);
	for (int e = 0; e < 3000; e = e * 2 + 1)
	{
		rises &= chart_slow(&chart, e) > before;
		before = chart_slow(&chart, e);
	}
	ok(rises, "grows with the silence");
	ok(chart_slow_gaps(&chart) == 2, "the likeliest change: two gaps ago");
	chart_slow_start(&chart, &known, &client, gaps, 3, true);
	ok(chart_slow_gaps(&chart) == 0, "no gap speaks of a change: after the last order");
}

static void
test_edges(void)
{
	double		gaps[CHART_GAPS + 8];
	double		one = 1.0;
	GapStats	none = {0, 0.0, 0.0};
	GapStats	client;
	SlowChart	chart;

	chart_slow_start(&chart, &prior, &none, &one, 5, true);
	ok(chart_slow(&chart, 0) == 0.0 && isfinite(chart_slow(&chart, 1e12)), "no gap: the open one alone, finite");
	ok(isnan(chart_slow(&chart, NAN)), "NaN is not hidden");
	for (int i = 0; i < CHART_GAPS + 8; i++)
		gaps[i] = i < 8 ? 1.0 : 3650.0;
	client = stats_of(gaps, CHART_GAPS + 8);
	chart_slow_start(&chart, &prior, &client, gaps + 8, 1000, true);
	ok(isfinite(chart_slow(&chart, 0)) && isfinite(chart_slow(&chart, 36500)), "gaps of ten years, more asked for than kept: finite");
	client = (GapStats) {300, 300.0, 0.0};
	for (int i = 0; i < CHART_GAPS; i++)
		gaps[i] = 1.0;
	chart_slow_start(&chart, &prior, &client, gaps, CHART_GAPS, true);
	ok(isfinite(chart_slow(&chart, 400)) && chart_slow(&chart, 400) > 100, "a daily buyer gone for a year: large and finite");
	ok_close(chart_threshold(exp(-5)), 5.0, 1e-12, "threshold of a probability");
	ok(isfinite(chart_threshold(0)) && chart_threshold(2) == 0.0, "probabilities out of range");
	ok(chart_slow_delay(1, 30, 5.5) > 730 && chart_slow_delay(8, 7, 5.5) < 60,
	   "a monthly random buyer's halving shows after years, a weekly regular one's within two months");
}

/* The evidence of a category by Simpson's rule over its share. */
static double
part_by_quadrature(uint64_t held, int n, int since)
{
	double		changed = 0.0;
	double		same = 0.0;
	int			steps = 20000;

	for (int i = 1; i < steps; i++)
	{
		/* q = sin^2: the prior's density becomes flat */
		double		q = pow(sin(1.5707963267948966 * i / steps), 2);
		double		steady = 1.0;
		double		tail[2] = {1.0, 1.0};
		double		sum = 0.0;

		for (int j = 0; j < n; j++)
			steady *= held >> j & 1 ? q : 1 - q;
		for (int m = 1; m <= since; m++)
		{
			bool		has = held >> (m - 1) & 1;

			tail[0] *= has ? 0.5 : (1 - 0.5 * q) / (1 - q);
			tail[1] *= has ? 0.0 : 1 / (1 - q);
			sum += 0.5 * tail[0] + 0.5 * tail[1];
		}
		same += steady;
		changed += steady * sum;
	}
	return log(changed / same);
}

static void
test_part(void)
{
	uint64_t	left = UINT64_C(0x3DEF0);	/* 4 orders without it, before that nearly all of 14 with it */

	ok(fabs(chart_part(left, 18, 18) - part_by_quadrature(left, 18, 18)) < 1e-4, "a category: the integral over its share");
	ok(fabs(chart_part(UINT64_C(0x5A), 8, 3) - part_by_quadrature(UINT64_C(0x5A), 8, 3)) < 1e-4, "three orders since it was armed");
	ok(chart_part(0, 0, 64) < 0 && chart_part(left, 18, 0) < 0, "no order, or none since it was armed: nothing");
	ok(isfinite(chart_part(UINT64_MAX << 40, 64, 64)) && chart_part(UINT64_MAX << 40, 64, 64) > 20, "forty orders without it: large and finite");
	ok(chart_part(UINT64_MAX, 64, 64) < 3 && chart_part(UINT64_MAX, 1000, 64) == chart_part(UINT64_MAX, 64, 64),
	   "always there: no evidence; 64 orders are known at most");
	ok(chart_part_share(left, 18, 4) == 12.0 / 14 && chart_part_share(left, 3, 4) == 0.0, "its share before it was left");
}

/* Steady shares: how often an order passes h, times e^h. */
static void
test_part_alarms(void)
{
	static const double shares[] = {0.3, 0.6, 0.9};

	for (int s = 0; s < 3; s++)
	{
		double		orders = 0;
		double		alarms = 0;
		char		name[100];

		for (int i = 0; i < 600; i++)
		{
			uint64_t	held = 0;
			int			since = 64;

			for (int n = 1; n <= 64 + 20; n++)
			{
				held = held << 1 | (unit_uniform(&random_state) < shares[s]);
				since++;
				if (n <= 20)
					continue;
				orders++;
				if (chart_part(held, n, since) > 4.0)
				{
					alarms++;
					since = 0;
				}
			}
		}
		snprintf(name, sizeof(name), "share %g: an order passes h = 4 in %.2f x e^-4", shares[s], alarms / orders * exp(4));
		ok(alarms / orders * exp(4) < 1.3, name);
	}
}

static void
test_discoveries(void)
{
	static const double p[] = {0.001, 0.012, 0.014, 0.3};

	ok(chart_discoveries(p, 4, 5, 0.05) == 3, "Benjamini and Hochberg: the third carries the second");
	ok(chart_discoveries(p, 4, 5, 0.0001) == 0 && chart_discoveries(p, 0, 5, 1) == 0, "none");
}

int
main(void)
{
	test_evidence();
	test_edges();
	test_part();
	test_part_alarms();
	test_discoveries();
	return done();
}
