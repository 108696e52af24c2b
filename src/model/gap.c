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

#define MAX_DAYS 1e9
#define MAX_NEWTON 100
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
 * The prior speaks of clients with regularity k0.  For one with another k the
 * prior of the mean gap k / lambda is kept and that of lambda rescaled: alpha
 * k0 / k in place of alpha.
 */
static Predictive
predict(const GapPrior *prior, const GapStats *client, double k)
{
	Predictive	p = {k, prior->r, prior->alpha * prior->k / k};

	if (has_gaps(client))
	{
		p.shape += k * client->n;
		p.scale += client->sum;
	}
	return p;
}

/* The predictive distributions for what k may be, and their weights. */
typedef struct Mixture
{
	int			n;
	double		weight[GAP_SHAPES];
	Predictive	part[GAP_SHAPES];
} Mixture;

static void
mix(Mixture *m, const GapPrior *prior, const GapStats *client)
{
	double		k[GAP_SHAPES];

	m->n = gap_shapes(prior, client, k, m->weight);
	for (int i = 0; i < m->n; i++)
		m->part[i] = predict(prior, client, k[i]);
}

static double
log_survival(const Predictive *p, double u)
{
	return beta_inc_upper_log_odds(p->k, p->shape, clamp(u, 0.0, MAX_DAYS) / p->scale);
}

static double
log_cdf(const Predictive *p, double u)
{
	return beta_inc_log_odds(p->k, p->shape, clamp(u, 0.0, MAX_DAYS) / p->scale);
}

/* ln of the mixture of what ln_tail gives for its parts. */
static double
log_mixed(const Mixture *m, double (*ln_tail) (const Predictive *p, double u), double u)
{
	double		ln[GAP_SHAPES];
	double		most = -INFINITY;
	double		sum = 0.0;

	for (int i = 0; i < m->n; i++)
	{
		ln[i] = ln_tail(&m->part[i], u);
		most = fmax(most, ln[i]);
	}
	if (m->n == 1 || isinf(most))
		return most;
	for (int i = 0; i < m->n; i++)
		sum += m->weight[i] * exp(ln[i] - most);
	return most + log(sum);
}

/*
 * P(next gap <= u days | n gaps of sum S) = I_{u/(u + alpha + S)}(k, r + k n):
 * the gamma-gamma (beta prime) predictive distribution, mixed over k.
 */
double
gap_cdf(const GapPrior *prior, const GapStats *client, double u)
{
	Mixture		m;

	mix(&m, prior, client);
	return isnan(u) ? NAN : exp(log_mixed(&m, log_cdf, u));
}

/* P(next gap > u days), to full relative precision however small. */
double
gap_survival(const GapPrior *prior, const GapStats *client, double u)
{
	Mixture		m;

	mix(&m, prior, client);
	return isnan(u) ? NAN : exp(log_mixed(&m, log_survival, u));
}

/* d F / d ln u of a part at u > 0: x^k (1 - x)^R / B(k, R), x = u / (u + scale). */
static double
density(const Predictive *p, double u)
{
	double		odds = u / p->scale;

	return exp(p->k * (log(odds) - log1p(odds)) - p->shape * log1p(odds)
			   + lgamma(p->k + p->shape) - lgamma(p->k) - lgamma(p->shape));
}

/*
 * The u at which the mixture's lower tail is p, or its upper tail 1 - p,
 * whichever is smaller: Newton's iteration on the tail's logarithm in ln u from
 * the quantile of the heaviest part.  A part's ln tail is concave in ln u
 * (beta.c), a mixture's nearly so; a step of more than e^2 is cut.
 */
static double
mixed_quantile(const Mixture *m, double p)
{
	bool		upper = p > 0.5;
	double		want = log(upper ? 1.0 - p : p);
	int			heaviest = 0;
	double		t;

	for (int i = 1; i < m->n; i++)
		if (m->weight[i] > m->weight[heaviest])
			heaviest = i;
	t = log(m->part[heaviest].scale
			* beta_inc_inverse_odds(m->part[heaviest].k, m->part[heaviest].shape, p));
	for (int i = 0; i < MAX_NEWTON; i++)
	{
		double		u = exp(t);
		double		tail = log_mixed(m, upper ? log_survival : log_cdf, u);
		double		slope = 0.0;
		double		step;

		for (int j = 0; j < m->n; j++)
			slope += m->weight[j] * density(&m->part[j], u);
		slope = slope / exp(tail);
		step = clamp((upper ? tail - want : want - tail) / slope, -2.0, 2.0);
		if (!isfinite(step))
			break;
		t += step;
		/* its error is the square of the last step's */
		if (fabs(step) < 1e-5)
			break;
	}
	return exp(t);
}

/* The gap in days that is not exceeded with probability p; infinite at p >= 1. */
double
gap_quantile(const GapPrior *prior, const GapStats *client, double p)
{
	Mixture		m;

	mix(&m, prior, client);
	if (m.n == 1 || !(p > 0.0) || p >= 1.0)
		return m.part[0].scale * beta_inc_inverse_odds(m.part[0].k, m.part[0].shape, p);
	return mixed_quantile(&m, p);
}

/*
 * P(an order within the next horizon days | none for elapsed days, alive) =
 * [F(e + h) - F(e)] / [1 - F(e)]: the interim baseline p0.
 */
double
gap_order_within(const GapPrior *prior, const GapStats *client,
				 double elapsed, double horizon)
{
	double		e = clamp(elapsed, 0.0, MAX_DAYS);
	Mixture		m;

	if (isnan(elapsed) || isnan(horizon))
		return NAN;
	mix(&m, prior, client);
	return -expm1(log_mixed(&m, log_survival, e + clamp(horizon, 0.0, MAX_DAYS))
				  - log_mixed(&m, log_survival, e));
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
 * days and alive, at the client's one k of gap_shape.
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
	Predictive	p = predict(prior, client, gap_shape(prior, client));
	double		e = clamp(elapsed, 0.0, MAX_DAYS);
	double		h = clamp(horizon, 0.0, MAX_DAYS);
	double		first,
				shape,
				rest,
				mean;

	if (isnan(elapsed) || isnan(horizon))
		return NAN;
	first = -expm1(log_survival(&p, e + h) - log_survival(&p, e));
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

/* The client's cycles a year, 365.25 E[lambda] / k. */
double
gap_cycles_per_year(const GapPrior *prior, const GapStats *client)
{
	Mixture		m;
	double		cycles = 0.0;

	mix(&m, prior, client);
	for (int i = 0; i < m.n; i++)
		cycles += m.weight[i] * m.part[i].shape / (m.part[i].scale * m.part[i].k);
	return DAYS_PER_YEAR * cycles;
}

/*
 * The per-cycle alarm probability that spends a yearly budget of false alarms:
 * budget over the client's own cycles a year, taken into
 * [0.0001, 0.2].  The lower end lies below what a buyer of every day needs at
 * the default of 1/13 a year.
 */
double
gap_alarm_probability(const GapPrior *prior, const GapStats *client,
					  double false_alarms_per_year)
{
	return clamp(false_alarms_per_year / gap_cycles_per_year(prior, client), ALARM_MIN, ALARM_MAX);
}
