/*
 * gap.c
 *		When one client orders next, given the population's prior and the
 *		client's own closed gaps.
 *
 * Owns the predictive distribution of a gap and what is read off it; all of it
 * is "given that the client is alive".  It estimates no prior (gap_prior.c) and
 * draws no conclusion from a silence.
 */
#include <math.h>

#include "model.h"

#define SHRINK_WEIGHT 1.0
#define SHRINK_MIN_GAPS 4
#define SHAPE_MIN 0.25
#define SHAPE_MAX 30.0
#define OWN_SHAPE_MIN 0.05
#define OWN_SHAPE_MAX 1e4
#define MAX_NEWTON 30
#define MAX_DAYS 1e9
#define DAYS_PER_YEAR 365.25
#define EXACT_ORDERS 32.0
#define MAX_TERMS 256
#define ALARM_MIN 1e-4
#define ALARM_MAX 0.2

/*
 * gap ~ Gamma(k, lambda), lambda ~ Gamma(r, a): with lambda integrated over its
 * posterior after n gaps of sum S, u / (u + scale) of the next gap u (days) is
 * Beta(k, shape), where shape = r + k n and scale = a + S.
 */
typedef struct Predictive
{
	double		k;
	double		shape;
	double		scale;			/* days */
} Predictive;

static double
clamp(double v, double low, double high)
{
	return fmax(low, fmin(high, v));
}

/* A client whose sums cannot be gaps is treated as one without gaps. */
static bool
has_gaps(const GapStats *client)
{
	return client->n > 0 && client->sum > 0.0 && isfinite(client->sum)
		&& isfinite(client->sum_log);
}

/*
 * The k that maximises the conditional likelihood of n >= 2 gaps given their
 * sum: psi(nk) - ln n - psi(k) = ln(S/n) - mean ln g (see gap_prior.c), by
 * Newton's method in ln k from Thom's closed form (1958, Mon. Weather Rev. 86,
 * 117-122).
 */
static double
own_shape(const GapStats *client)
{
	double		n = client->n;
	double		dispersion = fmax(log(client->sum / n) - client->sum_log / n, 0.0);
	double		s = fmax(dispersion * n / (n - 1.0), 1e-300);
	double		k = clamp((3.0 - s + sqrt((s - 3.0) * (s - 3.0) + 24.0 * s)) / (12.0 * s),
						  OWN_SHAPE_MIN, OWN_SHAPE_MAX);

	for (int i = 0; i < MAX_NEWTON; i++)
	{
		double		value = model_digamma(n * k) - log(n) - model_digamma(k) - dispersion;
		double		slope = k * (n * model_trigamma(n * k) - model_trigamma(k));
		double		next = clamp(k * exp(clamp(-value / slope, -1.0, 1.0)),
								 OWN_SHAPE_MIN, OWN_SHAPE_MAX);
		bool		settled = fabs(next - k) <= 1e-9 * k;

		k = next;
		if (settled)
			break;
	}
	return k;
}

/*
 * The client's regularity k: (m k0 + n k_i) / (m + n), k0 the population's.
 *
 * k_i is the client's own estimate less its bias: 1/k behaves like chi-squared
 * with n - 1 degrees of freedom, which makes the conditional likelihood's k
 * (Yanagimoto 1988, Metrika 35, 161-175) too large by (n - 1) / (n - 3); the
 * 2 / (3n) is the first-order bias left at small k.  It exists from 4 gaps on;
 * below that the population's k stands.  m = 1 instead of the more usual 8, by
 * bench/false_alarms: on a population of mixed shapes m = 8 lends the random
 * buyers a rhythm they do not have (8 % false alarms at 5 %), while on a
 * population of one shape the unbiased k_i needs no more support than 1.
 */
double
gap_shape(const GapPrior *prior, const GapStats *client)
{
	double		n = client->n;
	double		k;

	if (!has_gaps(client) || client->n < SHRINK_MIN_GAPS)
		return prior->k;
	k = clamp(own_shape(client) * (n - 3.0) / (n - 1.0) + 2.0 / (3.0 * n), SHAPE_MIN, SHAPE_MAX);
	return (SHRINK_WEIGHT * prior->k + n * k) / (SHRINK_WEIGHT + n);
}

/*
 * The prior speaks of clients with regularity k0.  For one with another k the
 * prior of the mean gap k / lambda is kept and that of lambda rescaled: alpha
 * k0 / k in place of alpha.
 */
static Predictive
predict(const GapPrior *prior, const GapStats *client)
{
	double		k = gap_shape(prior, client);
	Predictive	p = {k, prior->r, prior->alpha * prior->k / k};

	if (has_gaps(client))
	{
		p.shape += k * client->n;
		p.scale += client->sum;
	}
	return p;
}

static double
log_survival(const Predictive *p, double u)
{
	return beta_inc_upper_log_odds(p->k, p->shape, clamp(u, 0.0, MAX_DAYS) / p->scale);
}

/*
 * P(next gap <= u days | n gaps of sum S) = I_{u/(u + alpha + S)}(k, r + k n):
 * the gamma-gamma (beta prime) predictive distribution.
 */
double
gap_cdf(const GapPrior *prior, const GapStats *client, double u)
{
	Predictive	p = predict(prior, client);

	if (isnan(u))
		return NAN;
	return exp(beta_inc_log_odds(p.k, p.shape, clamp(u, 0.0, MAX_DAYS) / p.scale));
}

/* P(next gap > u days), to full relative precision however small. */
double
gap_survival(const GapPrior *prior, const GapStats *client, double u)
{
	Predictive	p = predict(prior, client);

	return isnan(u) ? NAN : exp(log_survival(&p, u));
}

/* The gap in days that is not exceeded with probability p; infinite at p >= 1. */
double
gap_quantile(const GapPrior *prior, const GapStats *client, double p)
{
	Predictive	d = predict(prior, client);

	return d.scale * beta_inc_inverse_odds(d.k, d.shape, p);
}

static double
order_within(const Predictive *p, double elapsed, double horizon)
{
	return -expm1(log_survival(p, elapsed + horizon) - log_survival(p, elapsed));
}

/*
 * P(an order within the next horizon days | none for elapsed days, alive) =
 * [F(e + h) - F(e)] / [1 - F(e)]: the interim baseline p0.
 */
double
gap_order_within(const GapPrior *prior, const GapStats *client,
				 double elapsed, double horizon)
{
	Predictive	p = predict(prior, client);

	if (isnan(elapsed) || isnan(horizon))
		return NAN;
	return order_within(&p, clamp(elapsed, 0.0, MAX_DAYS), clamp(horizon, 0.0, MAX_DAYS));
}

/*
 * Orders after the first one within a horizon of odds h / (scale + e): the
 * (i+1)-th order completes rest + i k stages of rate lambda ~ Gamma(shape, ..).
 */
static double
later_orders(double k, double rest, double shape, double odds)
{
	double		sum = 0.0;
	double		before = 0.0;
	double		term = 1.0;

	for (int i = 1; i <= MAX_TERMS && (i < 3 || term > 1e-7); i++)
	{
		before = term;
		term = exp(beta_inc_log_odds(rest + i * k, shape, odds));
		sum += term;
	}
	/* the terms fall geometrically from here on */
	if (term > 0.0 && term < before)
		sum += term * term / (before - term);
	return sum;
}

/*
 * Expected number of orders in the next horizon days, given none for elapsed
 * days and alive.
 *
 * The first order is exact.  For the later ones a gap is k stages of rate
 * lambda (Erlang's reading, kept for any real k); the open gap has `rest` of
 * them to go, on average, which by k I(k+1,R) + R I(k,R+1) = (k+R) I(k,R) is
 * k + R - R' with R' = (scale + e) E[lambda | no order yet].  The i-th further
 * order then takes rest + i k stages.  From 32 expected orders on the renewal
 * theorem's limit h/mu + (sigma^2 + mu^2)/(2 mu^2) - (mean rest)/mu takes over
 * (Cox 1962, Renewal Theory, sections 2.2 and 4.2).  Exact at e = 0 up to that
 * limit and for k = 1, else an approximation within a few per cent.
 */
double
gap_orders_expected(const GapPrior *prior, const GapStats *client,
					double elapsed, double horizon)
{
	Predictive	p = predict(prior, client);
	double		e = clamp(elapsed, 0.0, MAX_DAYS);
	double		h = clamp(horizon, 0.0, MAX_DAYS);
	double		first,
				shape,
				rest,
				mean;

	if (isnan(elapsed) || isnan(horizon))
		return NAN;
	first = order_within(&p, e, h);
	if (first <= 0.0)
		return 0.0;
	shape = p.shape * (1.0 + e / p.scale)
		* exp(beta_inc_upper_log_odds(p.k, p.shape + 1.0, e / p.scale) - log_survival(&p, e));
	rest = clamp(p.k + p.shape - shape, fmin(1.0, p.k), fmax(1.0, p.k));
	mean = shape / (p.scale + e) * h / p.k;
	if (mean > EXACT_ORDERS)
		return fmax(first, mean + (1.0 + p.k) / (2.0 * p.k) - rest / p.k);
	return first + later_orders(p.k, rest, shape, h / (p.scale + e));
}

/*
 * The per-cycle alarm probability that spends a yearly budget of false alarms:
 * budget / (365.25 E[lambda] / k), the client's own cycles a year, taken into
 * [0.0001, 0.2].  The lower end lies below what a buyer of every day needs at
 * the default of 1/13 a year.
 */
double
gap_alarm_probability(const GapPrior *prior, const GapStats *client,
					  double false_alarms_per_year)
{
	Predictive	p = predict(prior, client);
	double		cycles = DAYS_PER_YEAR * p.shape / (p.scale * p.k);

	return clamp(false_alarms_per_year / cycles, ALARM_MIN, ALARM_MAX);
}
