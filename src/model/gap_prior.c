/*
 * gap_prior.c
 *		What a population's gaps between orders look like: regularity k and the
 *		spread (r, alpha) of the clients' rates, from sums of fixed size.
 *
 * Owns the accumulation and the estimate; how regularity differs between clients
 * is gap_shape.c's, what the prior says about one client gap.c's.
 */
#include <math.h>

#include "model.h"

#define K_MIN 0.25
#define K_MAX 30.0
#define R_MIN 0.3
#define R_MAX 100.0
#define BISECTIONS 50

/* The prior while there is too little data: random buyers, median gap 30 days. */
static const GapPrior weak_prior = {.k = 1.0, .r = 1.0, .alpha = 30.0};

/* Cells of equal width in the logarithm of the dispersion ln(S/n) - mean ln g, from 1/400 up. */
static int
cell_of(double dispersion)
{
	double		c = dispersion > 0.0 ? floor((log(dispersion) + 6.0) / 0.3) : 0.0;

	return (int) fmax(0.0, fmin(c, GAP_CELLS - 1));
}

static int
bucket_of(int n)
{
	int			b = GAP_EXACT_BUCKETS;

	if (n <= GAP_EXACT_BUCKETS)
		return n - 1;
	while ((n >>= 1) > GAP_EXACT_BUCKETS)
		b++;
	return b < GAP_BUCKETS ? b : GAP_BUCKETS - 1;
}

/* Whether the sums can come from n gaps of at least zero days at all. */
static bool
usable(const GapStats *client)
{
	return client->n >= 1 && client->sum > 0.0 && isfinite(client->sum)
		&& isfinite(client->sum_log);
}

/*
 * Adds one client's closed gaps (days) to the population's sums.  A client
 * without a gap adds nothing.  Sums only, so that the order of clients does not
 * matter beyond rounding and two accumulations may be added together.
 */
void
gap_moments_add(GapMoments *m, const GapStats *client)
{
	GapBucket  *b;
	GapCell    *cell;
	double		z,
				dispersion;

	if (!usable(client))
		return;
	b = &m->bucket[bucket_of(client->n)];
	z = log(client->sum / client->n);
	b->clients += 1.0;
	b->gaps += client->n;
	b->log_mean += z;
	b->log_mean_sq += z * z;
	/* at least zero by the inequality of means; rounding may say otherwise */
	dispersion = fmax(0.0, client->n * z - client->sum_log);
	b->dispersion += dispersion;
	cell = &m->cell[bucket_of(client->n)][cell_of(dispersion / client->n)];
	cell->clients += 1.0;
	cell->gaps += client->n;
	cell->dispersion += dispersion / client->n;
}

/* E[ln mean - mean ln] of n gamma gaps of shape k; falls as k rises. */
static double
expected_dispersion(double n, double k)
{
	return model_digamma(n * k) - log(n) - model_digamma(k);
}

/*
 * The k of the pooled conditional likelihood.
 *
 * Given their sum, the shares g_j / S of a client's n gaps are Dirichlet(k, ..,
 * k) whatever the client's rate, and the score of that likelihood is n [psi(nk)
 * - ln n - psi(k) - D], D = ln(S/n) - mean ln g.  For n = 2 this is the
 * distribution Wheat and Morrison 1990 (J. Marketing Research 27, 87-93) built
 * their M statistic on; with (n, sum, sum of logs) kept per client it uses all
 * gaps instead of one pair.  E[D] is exact at every n, so that the pooled
 * equation needs no correction for clients with few gaps.
 */
static double
pooled_shape(const GapMoments *m)
{
	double		low = log(K_MIN);
	double		high = log(K_MAX);

	for (int i = 0; i < BISECTIONS; i++)
	{
		double		middle = 0.5 * (low + high);
		double		excess = 0.0;

		for (int j = GAP_MIN_GAPS - 1; j < GAP_BUCKETS; j++)
		{
			const GapBucket *b = &m->bucket[j];

			if (b->clients > 0.0)
				excess += b->gaps * expected_dispersion(b->gaps / b->clients, exp(middle))
					- b->dispersion;
		}
		if (excess > 0.0)
			low = middle;
		else
			high = middle;
	}
	return exp(0.5 * (low + high));
}

/* What ln(S/n) is on average above -ln lambda, for n gaps of shape k. */
static double
log_mean_offset(const GapBucket *b, double k)
{
	double		n = b->gaps / b->clients;

	return model_digamma(n * k) - log(n);
}

/*
 * Weighted mean of -ln lambda over clients and, in *excess, the weighted sum of
 * squares less its expectation if the true variance is psi'(r).
 */
static double
log_rate_balance(const GapMoments *m, double k, double r, double *excess)
{
	double		between = model_trigamma(r);
	double		weight_sum = 0.0;
	double		mean = 0.0;
	double		clients = 0.0;

	for (int j = 0; j < GAP_BUCKETS; j++)
	{
		const GapBucket *b = &m->bucket[j];
		double		weight;

		if (b->clients <= 0.0)
			continue;
		weight = 1.0 / (between + model_trigamma(b->gaps / b->clients * k));
		weight_sum += weight * b->clients;
		mean += weight * (b->log_mean - b->clients * log_mean_offset(b, k));
		clients += b->clients;
	}
	mean /= weight_sum;

	*excess = 1.0 - clients;
	for (int j = 0; j < GAP_BUCKETS; j++)
	{
		const GapBucket *b = &m->bucket[j];
		double		centre;

		if (b->clients <= 0.0)
			continue;
		centre = mean + log_mean_offset(b, k);
		*excess += (b->log_mean_sq - 2.0 * centre * b->log_mean + centre * centre * b->clients)
			/ (between + model_trigamma(b->gaps / b->clients * k));
	}
	return mean;
}

/*
 * r and alpha from the first two moments of ln(S/n), in which a long silence
 * weighs as a logarithm and not as a square: E = ln alpha - psi(r) + psi(nk) -
 * ln n, Var = psi'(r) + psi'(nk).  r solves "weighted sum of squares = clients -
 * 1" (Paule and Mandel 1982, J. Res. NBS 87, 377-385), which bisection keeps
 * within [0.3, 100], so that no variance can come out negative.
 */
static void
spread_of_rates(const GapMoments *m, GapPrior *prior)
{
	double		low = log(R_MIN);
	double		high = log(R_MAX);
	double		excess;
	double		mean;

	for (int i = 0; i < BISECTIONS; i++)
	{
		double		middle = 0.5 * (low + high);

		log_rate_balance(m, prior->k, exp(middle), &excess);
		/* a larger r claims less spread and leaves more unexplained */
		if (excess > 0.0)
			high = middle;
		else
			low = middle;
	}
	prior->r = exp(0.5 * (low + high));
	mean = log_rate_balance(m, prior->k, prior->r, &excess);
	prior->alpha = exp(mean + model_digamma(prior->r));
}

/*
 * The population's prior from its sums: k and the shares of the regularities from
 * the clients with at least three gaps, r and alpha (days) from all with a gap.
 *
 * Returns false below 10 clients with three gaps each; the prior is then k = 1,
 * r = 1, alpha = 30: purchases at random, median gap 30 days, the 5 % quantile
 * at 570 days, so that what is not known raises no alarm.
 */
bool
gap_prior_estimate(const GapMoments *m, GapPrior *prior)
{
	double		clients = 0.0;
	double		with_rhythm = 0.0;

	for (int j = 0; j < GAP_BUCKETS; j++)
	{
		clients += m->bucket[j].clients;
		if (j >= GAP_MIN_GAPS - 1)
			with_rhythm += m->bucket[j].clients;
	}
	*prior = weak_prior;
	prior->n_clients = clients;
	if (with_rhythm < GAP_MIN_CLIENTS)
		return false;
	prior->k = pooled_shape(m);
	gap_shape_weights(m, prior->shape_weight);
	spread_of_rates(m, prior);
	return true;
}
