/*
 * beta.c
 *		The regularised incomplete beta function I_x(a, b), its upper tail, its
 *		logarithm and its inverse.
 *
 * The argument is kept as the odds x / (1 - x), so that neither tail loses
 * digits however close x comes to 0 or 1.  Domain a, b > 0; anything else
 * gives NaN.
 */
#include <math.h>

#include "model.h"

#define TWO_PI 6.283185307179586
#define MAX_FRACTION_STEPS 50000
#define MAX_INVERSE_STEPS 200
#define MAX_LOG_ODDS 700.0

/* A point of (0, 1) with both sides and their logarithms to full precision. */
typedef struct Point
{
	double		x;
	double		y;				/* 1 - x */
	double		log_x;
	double		log_y;
} Point;

static Point
swap_sides(Point p)
{
	return (Point) {p.y, p.x, p.log_y, p.log_x};
}

static Point
point_at_x(double x)
{
	return (Point) {x, 1.0 - x, log(x), log1p(-x)};
}

static Point
point_at_odds(double odds)
{
	if (odds > 1.0)
		return swap_sides(point_at_odds(1.0 / odds));
	return (Point) {odds / (1.0 + odds), 1.0 / (1.0 + odds), log(odds) - log1p(odds), -log1p(odds)};
}

/* ln(1 + t) - t without cancellation for small t. */
static double
log1p_less_t(double t)
{
	double		w,
				w2,
				power,
				sum = 0.0;

	if (fabs(t) > 0.3)
		return log1p(t) - t;
	/* ln(1+t) = 2 atanh(w) with w = t/(2+t), and t = 2w + t w */
	w = t / (2.0 + t);
	w2 = w * w;
	power = w * w2;
	for (int i = 3; i < 40; i += 2)
	{
		double		term = power / i;

		sum += term;
		if (fabs(term) < 1e-18 * fabs(sum))
			break;
		power *= w2;
	}
	return 2.0 * sum - t * w;
}

/*
 * ln[x^a y^b / B(a, b)].  Written so that the large terms of big a and b cancel
 * before rounding, after Didonato and Morris 1992 (TOMS 708), section 4.
 */
static double
log_power_terms(double a, double b, Point p)
{
	double		small = fmin(a, b);
	double		big = fmax(a, b);

	if (small >= 10.0)
	{
		double		off = a * p.y - b * p.x;

		return 0.5 * (log(small) - log1p(small / big) - log(TWO_PI))
			+ a * log1p_less_t(-off / a) + b * log1p_less_t(off / b)
			- (model_stirling_rest(a) + model_stirling_rest(b) - model_stirling_rest(a + b));
	}
	if (big >= 10.0)
	{
		double		rise = (big - 0.5) * log1p(small / big) + small * (log(a + b) - 1.0)
			+ model_stirling_rest(a + b) - model_stirling_rest(big);

		return a * p.log_x + b * p.log_y + rise - lgamma(small);
	}
	return a * p.log_x + b * p.log_y - (lgamma(a) + lgamma(b) - lgamma(a + b));
}

/* Keeps a factor of the Lentz iteration away from zero. */
static double
off_zero(double v)
{
	return fabs(v) < 1e-300 ? 1e-300 : v;
}

/* The continued fraction of DLMF 8.17.22, by the modified Lentz method. */
static double
tail_fraction(double a, double b, double x)
{
	double		c = 1.0;
	double		d = 1.0 / off_zero(1.0 - (a + b) * x / (a + 1.0));
	double		h = d;

	for (int i = 1; i < MAX_FRACTION_STEPS; i++)
	{
		double		even = i * (b - i) * x / ((a + 2.0 * i - 1.0) * (a + 2.0 * i));
		double		odd = -(a + i) * (a + b + i) * x / ((a + 2.0 * i) * (a + 2.0 * i + 1.0));
		double		step;

		d = 1.0 / off_zero(1.0 + even * d);
		c = off_zero(1.0 + even / c);
		h *= d * c;
		d = 1.0 / off_zero(1.0 + odd * d);
		c = off_zero(1.0 + odd / c);
		step = d * c;
		h *= step;
		if (fabs(step - 1.0) < 3e-16)
			break;
	}
	return h;
}

/* ln I_x(a, b) summed on its own side: quick and exact below the mean of x. */
static double
log_near_tail(double a, double b, Point p)
{
	return log_power_terms(a, b, p) + log(tail_fraction(a, b, p.x) / a);
}

static bool
below_mean(double a, double b, Point p)
{
	return p.x * (b + 1.0) <= p.y * (a + 1.0);
}

static double
log_lower(double a, double b, Point p)
{
	if (below_mean(a, b, p))
		return fmin(0.0, log_near_tail(a, b, p));
	return log1p(-fmin(1.0, exp(log_near_tail(b, a, swap_sides(p)))));
}

static double
lower(double a, double b, Point p)
{
	if (below_mean(a, b, p))
		return fmin(1.0, exp(log_near_tail(a, b, p)));
	return fmax(0.0, -expm1(log_near_tail(b, a, swap_sides(p))));
}

static bool
bad_shapes(double a, double b)
{
	return !(a > 0.0 && b > 0.0 && isfinite(a) && isfinite(b));
}

/*
 * The regularised incomplete beta function I_x(a, b) (DLMF 8.17.2), a and b > 0;
 * x is taken into [0, 1].
 */
double
beta_inc(double a, double b, double x)
{
	if (bad_shapes(a, b) || isnan(x))
		return NAN;
	if (x <= 0.0)
		return 0.0;
	if (x >= 1.0)
		return 1.0;
	return lower(a, b, point_at_x(x));
}

/* 1 - I_x(a, b) = I_{1-x}(b, a) (DLMF 8.17.4), without cancellation. */
double
beta_inc_upper(double a, double b, double x)
{
	if (bad_shapes(a, b) || isnan(x))
		return NAN;
	if (x <= 0.0)
		return 1.0;
	if (x >= 1.0)
		return 0.0;
	return lower(b, a, swap_sides(point_at_x(x)));
}

/* ln I_x(a, b) at x = odds / (1 + odds), odds >= 0; exact where I underflows. */
double
beta_inc_log_odds(double a, double b, double odds)
{
	if (bad_shapes(a, b) || isnan(odds))
		return NAN;
	if (odds <= 0.0)
		return -INFINITY;
	if (isinf(odds))
		return 0.0;
	return log_lower(a, b, point_at_odds(odds));
}

/* ln[1 - I_x(a, b)] at x = odds / (1 + odds), odds >= 0. */
double
beta_inc_upper_log_odds(double a, double b, double odds)
{
	if (bad_shapes(a, b) || isnan(odds))
		return NAN;
	if (odds <= 0.0)
		return 0.0;
	if (isinf(odds))
		return -INFINITY;
	return log_lower(b, a, swap_sides(point_at_odds(odds)));
}

/*
 * ln of the odds x / (1 - x) at which I_x(a, b) = p, for 0 < p <= 1/2.
 *
 * With t = ln(x/(1-x)) the density in t is log-concave, hence ln I is concave
 * and increasing in t: Newton's iteration on ln I - ln p converges from any
 * start, and from the left of the root it never overshoots.
 */
static double
solve_log_odds(double a, double b, double p)
{
	double		t = log(a / b);
	double		log_p = log(p);

	for (int i = 0; i < MAX_INVERSE_STEPS; i++)
	{
		Point		at = point_at_odds(exp(t));
		double		log_i = log_lower(a, b, at);
		double		step = (log_p - log_i) / exp(log_power_terms(a, b, at) - log_i);

		t = fmax(-MAX_LOG_ODDS, fmin(MAX_LOG_ODDS, t + step));
		if (!(fabs(step) > 1e-14 * fmax(1.0, fabs(t))))
			break;
	}
	return t;
}

/* The odds x / (1 - x) at which I_x(a, b) = p; 0 at p <= 0, infinite at p >= 1. */
double
beta_inc_inverse_odds(double a, double b, double p)
{
	if (bad_shapes(a, b) || isnan(p))
		return NAN;
	if (p <= 0.0)
		return 0.0;
	if (p >= 1.0)
		return INFINITY;
	if (p <= 0.5)
		return exp(solve_log_odds(a, b, p));
	return exp(-solve_log_odds(b, a, 1.0 - p));
}

/* The x at which I_x(a, b) = p; p is taken into [0, 1]. */
double
beta_inc_inverse(double a, double b, double p)
{
	double		odds = beta_inc_inverse_odds(a, b, p);

	return isinf(odds) ? 1.0 : odds / (1.0 + odds);
}
