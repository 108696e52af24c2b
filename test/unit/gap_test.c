/*
 * gap_test.c
 *		The predictive distribution of a gap, and the population estimate on
 *		simulated clients with known k, r, alpha.
 */
#include "../../src/model/model.h"
#include "unit.h"

static const GapPrior prior = {.k = 2.0, .r = 3.0, .alpha = 40.0, .n_clients = 500.0};
static const GapStats nobody = {0, 0.0, 0.0};
static UnitRandom random_state = {20240107, 0};

/* n gaps of shape k and rate lambda. */
static GapStats
draw_gaps(int n, double k, double lambda)
{
	GapStats	s = {n, 0.0, 0.0};

	for (int i = 0; i < n; i++)
	{
		double		gap = unit_gamma(&random_state, k) / lambda;

		s.sum += gap;
		s.sum_log += log(gap);
	}
	return s;
}

/* A client of n equal gaps, for cases where only the sum matters. */
static GapStats
steady(int n, double gap)
{
	return (GapStats) {n, n * gap, n * log(gap)};
}

static void
test_no_gaps(void)
{
	GapStats	broken = {3, 0.0, 0.0};
	GapStats	worse = {3, NAN, NAN};

	ok(gap_shape(&prior, &nobody) == 2.0, "no gap: the population's shape");
	ok_close(gap_cdf(&prior, &nobody, 25), beta_inc(2, 3, 25.0 / 65), 1e-13, "no gap: the population's distribution");
	ok_close(gap_alarm_probability(&prior, &nobody, 1.0 / 13), 1.0 / 13 / (365.25 * 3 / 80), 1e-13,
			 "no gap: the population's cycles a year");
	ok(gap_cdf(&prior, &broken, 25) == gap_cdf(&prior, &nobody, 25)
	   && gap_cdf(&prior, &worse, 25) == gap_cdf(&prior, &nobody, 25), "impossible sums count as no gap");
}

static void
test_formula(void)
{
	GapStats	three = steady(3, 14.0);
	GapStats	ten = steady(10, 14.0);
	double		k = gap_shape(&prior, &ten);

	ok(gap_shape(&prior, &three) == 2.0, "three gaps: still the population's shape");
	ok_close(gap_cdf(&prior, &three, 20), beta_inc(2, 9, 20 / (20.0 + 40 + 42)), 1e-13,
			 "P(gap <= u) = I_{u/(u+alpha+S)}(k, r + k n)");
	ok_close(gap_cdf(&prior, &ten, 12), beta_inc(k, 3 + 10 * k, 12 / (12 + 40 * 2 / k + 140)), 1e-11,
			 "a client of another shape keeps the prior of the mean gap: alpha k0 / k");
	ok_close(gap_order_within(&prior, &three, 10, 7),
			 (gap_cdf(&prior, &three, 17) - gap_cdf(&prior, &three, 10)) / (1 - gap_cdf(&prior, &three, 10)), 1e-12,
			 "p0 = [F(e+h) - F(e)] / [1 - F(e)]");
	ok_close(gap_order_within(&prior, &three, 0, 7), gap_cdf(&prior, &three, 7), 1e-14, "at e = 0 it is the cdf");
}

static void
test_consistency(void)
{
	static const int ns[] = {0, 1, 3, 4, 12, 300, 100000};
	static const double ps[] = {1e-6, 0.05, 0.5, 0.95, 0.999, 0.9999};
	bool		sums = true,
				inverts = true,
				rises = true,
				bounded = true;

	for (int i = 0; i < 7; i++)
	{
		GapStats	client = draw_gaps(ns[i], 2.0, 0.1);
		double		before = 0.0;

		for (int j = 0; j < 6; j++)
		{
			double		u = gap_quantile(&prior, &client, ps[j]);

			sums &= fabs(gap_cdf(&prior, &client, u) + gap_survival(&prior, &client, u) - 1) < 1e-12;
			inverts &= close_to(gap_cdf(&prior, &client, u), ps[j], 1e-8)
				&& close_to(gap_survival(&prior, &client, u), 1 - ps[j], 1e-8);
			rises &= u > before;
			before = u;
		}
		for (double e = 0; e <= 1e6; e = 3 * e + 1)
			for (double h = 0.01; h < 1e5; h *= 7)
			{
				double		p = gap_order_within(&prior, &client, e, h);
				double		orders = gap_orders_expected(&prior, &client, e, h);

				bounded &= p >= 0 && p <= 1 && p <= gap_order_within(&prior, &client, e, h * 1.1) + 1e-12
					&& isfinite(orders) && orders >= p - 1e-9;
				if (!bounded)
				{
					printf("# n=%d e=%g h=%g p=%g orders=%g\n", ns[i], e, h, p, orders);
					break;
				}
			}
	}
	ok(sums, "cdf and survival sum to 1, n = 0 .. 100,000");
	ok(inverts, "quantile inverts cdf and survival");
	ok(rises, "quantile rises with p");
	ok(bounded, "0 <= p0 <= 1, rises with the horizon, orders >= p0, elapsed 0 .. 1e6");
}

static void
test_degenerate(void)
{
	GapStats	equal = steady(10, 7.0);
	GapStats	daily = steady(100000, 1.0);
	GapStats	rounded = {10, 70.0, 10 * log(7.0) + 1e-9};

	ok(gap_shape(&prior, &equal) <= 30.0 && gap_shape(&prior, &equal) > 20.0, "equal gaps: shape at its bound");
	ok_close(gap_shape(&prior, &rounded), gap_shape(&prior, &equal), 1e-9, "dispersion below zero by rounding");
	ok_close(gap_quantile(&prior, &daily, 0.5), 1.0, 0.02, "a hundred thousand daily orders: median gap 1 day");
	ok(gap_survival(&prior, &daily, 1e6) == 0.0 && gap_order_within(&prior, &daily, 1e6, 30) > 0.9,
	   "a survival that underflows still has a ratio");
	ok(gap_quantile(&prior, &equal, 0) == 0.0 && isinf(gap_quantile(&prior, &equal, 1)), "quantile at 0 and 1");
	ok(gap_cdf(&prior, &equal, -5) == 0.0 && gap_survival(&prior, &equal, -5) == 1.0, "a negative gap");
	ok(gap_order_within(&prior, &equal, -5, 7) == gap_order_within(&prior, &equal, 0, 7), "negative elapsed counts as 0");
	ok(gap_order_within(&prior, &equal, 5, 0) == 0.0 && gap_orders_expected(&prior, &equal, 5, -1) == 0.0, "no horizon, no order");
	ok(gap_order_within(&prior, &equal, 1e6, INFINITY) <= 1.0 && isfinite(gap_orders_expected(&prior, &equal, INFINITY, INFINITY)),
	   "infinite times are finite");
	ok(isnan(gap_cdf(&prior, &equal, NAN)) && isnan(gap_order_within(&prior, &equal, NAN, 1)), "NaN is not hidden");
	ok(gap_alarm_probability(&prior, &daily, 1e-9) == 1e-4 && gap_alarm_probability(&prior, &nobody, 100) == 0.2
	   && gap_alarm_probability(&prior, &nobody, NAN) >= 1e-4, "alarm probability stays in [.0001, .2]");
	ok_close(gap_alarm_probability(&prior, &daily, 1.0 / 13), 1.0 / 13 / 365.25, 1e-3, "a daily buyer gets a 365th of the yearly budget");
}

/* Mean number of orders in (e, e + h] by simulation from the posterior. */
static double
simulated_orders(double k, double shape, double scale, double e, double h, int runs)
{
	double		total = 0.0;
	int			kept = 0;

	while (kept < runs)
	{
		double		lambda = unit_gamma(&random_state, shape) / scale;
		double		t = unit_gamma(&random_state, k) / lambda;

		if (t <= e)
			continue;
		kept++;
		for (; t <= e + h; t += unit_gamma(&random_state, k) / lambda)
			total += 1.0;
	}
	return total / runs;
}

static void
test_orders_expected(void)
{
	static const double cases[][5] = {
		/* k, n, mean gap, elapsed, horizon */
		{1, 3, 14, 0, 90}, {1, 3, 14, 30, 90}, {2, 3, 14, 0, 28}, {2, 3, 14, 20, 28}, {2, 0, 0, 25, 90},
		{4, 3, 30, 25, 90}, {9, 3, 30, 30, 90}, {9, 3, 30, 5, 40}, {0.5, 3, 14, 10, 60}, {9, 3, 7, 0, 365},
		{2, 3, 3, 1, 365}, {2.7, 2, 20, 12, 90},
	};

	for (int i = 0; i < 12; i++)
	{
		const double *c = cases[i];
		GapPrior	population = {.k = c[0], .r = 3.0, .alpha = 60.0 / c[0], .n_clients = 500.0};
		GapStats	client = c[1] > 0 ? steady((int) c[1], c[2]) : nobody;
		double		want = simulated_orders(c[0], 3 + c[0] * c[1], population.alpha + client.sum, c[3], c[4], 40000);
		double		got = gap_orders_expected(&population, &client, c[3], c[4]);
		char		name[120];

		snprintf(name, sizeof(name), "orders expected: k=%g n=%g gap=%g e=%g h=%g: %.3f, simulated %.3f",
				 c[0], c[1], c[2], c[3], c[4], got, want);
		ok(fabs(got - want) <= 0.03 * want, name);
	}
}

/* A population of known k, r, alpha with low .. high gaps a client, shuffled or not. */
static GapMoments
draw_population(double k, double r, double alpha, int clients, int low, int high)
{
	GapMoments	m = {0};

	for (int i = 0; i < clients; i++)
	{
		int			n = low + (int) (unit_uniform(&random_state) * (high - low + 1));
		GapStats	s = draw_gaps(n, k, unit_gamma(&random_state, r) / alpha);

		gap_moments_add(&m, &s);
	}
	return m;
}

static void
test_estimate(void)
{
	static const double planted[][3] = {{1, 1.5, 30}, {2, 3, 40}, {4, 2, 60}, {9, 8, 500}, {0.6, 2, 10}};

	for (int i = 0; i < 5; i++)
	{
		const double *c = planted[i];
		GapMoments	m = draw_population(c[0], c[1], c[2], 20000, 1, 12);
		GapPrior	p;
		char		name[120];

		ok(gap_prior_estimate(&m, &p) && p.n_clients == 20000, "estimate from 20,000 clients");
		snprintf(name, sizeof(name), "k=%g within 3 %%, r=%g within 6 %%, alpha=%g within 8 %%: %.3f %.3f %.1f",
				 c[0], c[1], c[2], p.k, p.r, p.alpha);
		ok(close_to(p.k, c[0], 0.03) && close_to(p.r, c[1], 0.06) && close_to(p.alpha, c[2], 0.08), name);
	}
}

/* With three gaps a client a plain likelihood would find k 3 times too large. */
static void
test_no_bias(void)
{
	GapMoments	m = draw_population(4, 3, 80, 40000, 3, 3);
	GapPrior	p;
	double		own = 0.0;

	gap_prior_estimate(&m, &p);
	ok_close(p.k, 4.0, 0.03, "population k has no bias at three gaps a client");

	p = prior;
	for (int i = 0; i < 20000; i++)
	{
		GapStats	s = draw_gaps(10, 2, 0.1);

		own += (gap_shape(&p, &s) * 11 - p.k) / 10 / 20000;
	}
	ok_close(own, 2.0, 0.03, "a client's own k has no bias at ten gaps");
}

static void
test_estimate_edges(void)
{
	GapMoments	m = {0};
	GapMoments	forward = {0};
	GapMoments	backward = {0};
	GapStats	clients[200];
	GapStats	nan_client = {4, NAN, NAN};
	GapStats	same = steady(5, 14.0);
	GapPrior	p,
				q;

	ok(!gap_prior_estimate(&m, &p) && p.k == 1 && p.r == 1 && p.alpha == 30, "nothing known: the weak default");
	gap_moments_add(&m, &nobody);
	gap_moments_add(&m, &nan_client);
	for (int i = 0; i < 9; i++)
		gap_moments_add(&m, &same);
	ok(!gap_prior_estimate(&m, &p) && p.n_clients == 9, "nine clients are too few, bad ones do not count");
	gap_moments_add(&m, &same);
	ok(gap_prior_estimate(&m, &p) && p.k <= 30 && p.r <= 100 && isfinite(p.alpha), "ten equal clients: bounded, not degenerate");
	ok_close(gap_quantile(&p, &nobody, 0.5), 14.0, 0.08, "and their gap is about the population's median");

	for (int i = 0; i < 200; i++)
		clients[i] = draw_gaps(1 + i * i, 2, unit_gamma(&random_state, 3) / 40);
	for (int i = 0; i < 200; i++)
	{
		gap_moments_add(&forward, &clients[i]);
		gap_moments_add(&backward, &clients[199 - i]);
	}
	gap_prior_estimate(&forward, &p);
	gap_prior_estimate(&backward, &q);
	ok(close_to(p.k, q.k, 1e-9) && close_to(p.r, q.r, 1e-9) && close_to(p.alpha, q.alpha, 1e-9),
	   "the order of clients does not matter");
	ok_close(p.k, 2.0, 0.03, "k from clients with up to 40,000 gaps");
}

/* What k may be: the classes and their weights, and the predictive mixture over them. */
static void
test_shapes(void)
{
	static const int ns[] = {0, 1, 3, 12, 300, 100000};
	static const double ps[] = {1e-6, 0.05, 0.5, 0.95, 0.999, 0.9999};
	GapMoments	one = draw_population(4, 3, 80, 20000, 3, 12);
	GapMoments	mixed = one;
	GapPrior	p,
				single;
	double		k[GAP_SHAPES],
				w[GAP_SHAPES],
				near = 0.0,
				total = 0.0;
	bool		inverts = true,
				moments = true,
				sums = true;

	gap_prior_estimate(&one, &p);
	for (int c = 0; c < GAP_SHAPES; c++)
	{
		total += p.shape_weight[c];
		near += fabs(log(gap_shape_class(c) / 4.0)) < 0.4 ? p.shape_weight[c] : 0.0;
	}
	ok(fabs(total - 1.0) < 1e-12 && near > 0.95, "a population of k = 4: nineteen twentieths of the weight within a class of it");
	ok_close(gap_shape(&p, &nobody), 4.0, 0.05, "and its mean is 4");

	for (int i = 0; i < 20000; i++)
	{
		GapStats	s = draw_gaps(3 + i % 10, 1, unit_gamma(&random_state, 3) / 20);

		gap_moments_add(&mixed, &s);
	}
	gap_prior_estimate(&mixed, &p);
	ok(gap_shapes(&p, &nobody, k, w) == 3 && fabs(w[0] + w[1] + w[2] - 1) < 1e-12 && w[0] > 0 && w[1] > 0 && w[2] > 0,
	   "a population of k = 1 and 4: three k stand for what nobody knows");
	for (int power = 1; power <= 5; power++)
	{
		double		want = 0.0;
		double		got = 0.0;

		for (int c = 0; c < GAP_SHAPES; c++)
			want += p.shape_weight[c] * pow(log(gap_shape_class(c)), power);
		for (int i = 0; i < 3; i++)
			got += w[i] * pow(log(k[i]), power);
		moments &= fabs(got - want) < 1e-9;
	}
	ok(moments, "with the first five moments of ln k");
	for (int i = 0; i < 6; i++)
	{
		GapStats	client = draw_gaps(ns[i], 4.0, 0.3);

		for (int j = 0; j < 6; j++)
		{
			double		u = gap_quantile(&p, &client, ps[j]);

			sums &= fabs(gap_cdf(&p, &client, u) + gap_survival(&p, &client, u) - 1) < 1e-12;
			inverts &= close_to(gap_cdf(&p, &client, u), ps[j], 1e-8)
				&& close_to(gap_survival(&p, &client, u), 1 - ps[j], 1e-8);
		}
	}
	ok(sums && inverts, "the mixture's quantile inverts its cdf and survival, n = 0 .. 100,000");

	single = prior;
	single.shape_weight[4] = 1.0;
	ok_close(gap_survival(&single, &nobody, 60), gap_survival(&prior, &nobody, 60), 1e-14,
			 "all weight on k = 2 is the distribution of k = 2");
}

/* A population of two speeds so far apart that r is at its bound. */
static void
test_wide_population(void)
{
	GapMoments	m = {0};
	GapPrior	p;
	bool		sane = true;

	for (int i = 0; i < 1000; i++)
	{
		GapStats	s = draw_gaps(4, 3, i % 2 ? 3.0 : 1e-5);

		gap_moments_add(&m, &s);
	}
	ok(gap_prior_estimate(&m, &p) && p.r >= 0.299 && p.alpha > 0 && isfinite(p.alpha), "two speeds: r stays at its lower bound");
	for (double e = 0; e < 1e6; e = 2 * e + 1)
		sane &= gap_order_within(&p, &nobody, e, 30) >= 0 && isfinite(gap_orders_expected(&p, &nobody, e, 3650));
	ok(sane, "and its predictions are finite");
}

int
main(void)
{
	test_no_gaps();
	test_formula();
	test_consistency();
	test_degenerate();
	test_orders_expected();
	test_estimate();
	test_no_bias();
	test_estimate_edges();
	test_shapes();
	test_wide_population();
	return done();
}
