/*
 * inclusion.c
 *		Whether a client's next order holds a product bought before: one pair of
 *		client and product under BG/BB.
 *
 * Fader, Hardie, Shang 2010 (Marketing Science 29, 1086-1108), with the client's
 * orders as the discrete clock.  Their alpha, beta, gamma, delta are a, b, c, d.
 */
#include <math.h>

#include "model.h"

/* Silences are summed term by term up to here, in geometric blocks beyond. */
#define EXACT_TERMS 256
#define BLOCKS 64

#define LOWEST_MEAN 1e-6

bool
inclusion_model_valid(const InclusionModel *model)
{
	return model->a > 0.0 && isfinite(model->a) && model->b > 0.0 && isfinite(model->b)
		&& model->c > 0.0 && isfinite(model->c) && model->d > 0.0 && isfinite(model->d);
}

/* Whether there can be such a pair: 0 <= x <= last <= n, last = 0 just where x = 0. */
bool
pair_valid(const PairStats *pair)
{
	return pair->x >= 0 && pair->last >= pair->x && pair->n >= pair->last
		&& (pair->x == 0) == (pair->last == 0);
}

/* ln of the likelihood of a pair that was alive at all n orders (eq 5, first term). */
static double
log_alive(const InclusionModel *m, const PairStats *p)
{
	return model_log_gamma_ratio(m->a, p->x) + model_log_gamma_ratio(m->b, p->n - p->x)
		- model_log_gamma_ratio(m->a + m->b, p->n)
		+ model_log_gamma_ratio(m->d, p->n) - model_log_gamma_ratio(m->c + m->d, p->n);
}

/* The same of one that died right after its last order (eq 5, sum, i = 0). */
static double
log_died_at_last(const InclusionModel *m, const PairStats *p)
{
	return model_log_gamma_ratio(m->a, p->x) + model_log_gamma_ratio(m->b, p->last - p->x)
		- model_log_gamma_ratio(m->a + m->b, p->last)
		+ log(m->c) + model_log_gamma_ratio(m->d, p->last)
		- model_log_gamma_ratio(m->c + m->d, p->last + 1);
}

/* ln of the i-th term of the sum against its first one. */
static double
log_term(const InclusionModel *m, const PairStats *p, int i)
{
	return model_log_gamma_ratio(m->b + (p->last - p->x), i)
		- model_log_gamma_ratio(m->a + m->b + p->last, i)
		+ model_log_gamma_ratio(m->d + p->last, i)
		- model_log_gamma_ratio(m->c + m->d + p->last + 1, i);
}

/*
 * The sum of eq 5 over the orders at which the pair may have died, its first
 * term as 1.  Each term follows from the one before by a ratio that nears 1;
 * beyond 256 it is taken to be constant over blocks of a sixty-fourth of the
 * way, which keeps the sum within 1e-4 and its cost to the logarithm of n.
 */
static double
died_since(const InclusionModel *m, const PairStats *p)
{
	int			silent = p->n - p->last;
	double		none = m->b + (p->last - p->x);
	double		all = m->a + m->b + p->last;
	double		lived = m->d + p->last;
	double		died = m->c + m->d + p->last + 1;
	double		term = 1.0;
	double		sum = 0.0;
	int			i;

	for (i = 0; i < silent && i < EXACT_TERMS; i++)
	{
		sum += term;
		term *= (none + i) / (all + i) * ((lived + i) / (died + i));
	}
	while (i < silent && term * (silent - i) > 1e-17 * sum)
	{
		int			width = i / BLOCKS < silent - i ? i / BLOCKS : silent - i;
		double		next = exp(log_term(m, p, i + width));
		double		slope = (log(next) - log(term)) / width;

		sum += slope < -1e-12 ? (term - next) / -expm1(slope) : term * width;
		term = next;
		i += width;
	}
	return sum;
}

/*
 * ln P(which of the n orders after the first held the product), eq 5.  NaN for
 * an invalid model or pair.
 */
double
inclusion_log_likelihood(const InclusionModel *model, const PairStats *pair)
{
	double		alive,
				died;

	if (!inclusion_model_valid(model) || !pair_valid(pair))
		return NAN;
	alive = log_alive(model, pair);
	if (pair->n == pair->last)
		return alive;
	died = log_died_at_last(model, pair);
	return died + log(died_since(model, pair) + exp(alive - died));
}

/*
 * P(the pair was alive at the client's last order | its history): the first
 * term of eq 5 over the whole (eq 11 without the order to come).
 */
double
inclusion_alive(const InclusionModel *model, const PairStats *pair)
{
	if (!inclusion_model_valid(model) || !pair_valid(pair))
		return NAN;
	if (pair->n == pair->last)
		return 1.0;
	return 1.0 / (1.0 + died_since(model, pair) * exp(log_died_at_last(model, pair) - log_alive(model, pair)));
}

/*
 * P(the client's next order holds the product | the pair's history): alive,
 * times the posterior mean (a + x)/(a + b + n) of P, times the probability (d +
 * n)/(c + d + n) not to die before that order (eq 9 for one order ahead).
 *
 * Added to the paper: a dead pair is bought again with the probability
 * otherwise, 0 for BG/BB as it is published.  Pairs do come back, and without
 * it a long silence would be certain to last for ever.
 */
double
inclusion_next(const InclusionModel *model, const PairStats *pair, double otherwise)
{
	double		alive = inclusion_alive(model, pair);

	return alive * (model->a + pair->x) / (model->a + model->b + pair->n)
		* (model->d + pair->n) / (model->c + model->d + pair->n)
		+ (1.0 - alive) * fmax(0.0, fmin(1.0, otherwise));
}

static double
log_odds(double p)
{
	double		q = fmax(LOWEST_MEAN, fmin(1.0 - LOWEST_MEAN, p));

	return log(q / (1.0 - q));
}

/*
 * The model with its a and b for one product: rate is the population's share of
 * orders that hold a product the client bought before, repeats and orders what
 * it is made of for this product.  The product's own rate (repeats + 20 rate) /
 * (orders + 20) moves the prior mean a/(a + b) as far as it is from the
 * population's, in log odds: the rate is an average over dead pairs too and
 * must not stand for the mean of living ones.  a + b stays.
 */
InclusionModel
inclusion_tilt(const InclusionModel *model, double rate, double repeats, double orders)
{
	InclusionModel tilted = *model;
	double		own = (repeats + INCLUSION_PRODUCT_WEIGHT * rate) / (orders + INCLUSION_PRODUCT_WEIGHT);
	double		mean;

	if (!(rate > 0.0 && rate < 1.0 && repeats >= 0.0 && orders >= repeats && isfinite(orders)))
		return tilted;
	mean = 1.0 / (1.0 + model->b / model->a * exp(log_odds(rate) - log_odds(own)));
	mean = fmax(LOWEST_MEAN, fmin(1.0 - LOWEST_MEAN, mean));
	tilted.a = mean * (model->a + model->b);
	tilted.b = (1.0 - mean) * (model->a + model->b);
	return tilted;
}

/*
 * P(at least one order with the product within a horizon in which so many orders
 * of the client are expected), orders at random: 1 - exp(-E inc).
 */
double
inclusion_within(double orders_expected, double inclusion)
{
	if (isnan(orders_expected) || isnan(inclusion))
		return NAN;
	return -expm1(-fmax(0.0, orders_expected) * fmax(0.0, fmin(1.0, inclusion)));
}
