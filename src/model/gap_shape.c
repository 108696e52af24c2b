/*
 * gap_shape.c
 *		How regularly clients order: the shares of regularities in the
 *		population, and what one client's gaps say of its own.
 *
 * Owns the shape k of the gaps, whatever the rate: given their sum, the shares
 * of a client's n gaps are Dirichlet(k, .., k), and that likelihood knows no
 * rate (see gap_prior.c).  When the next order comes is gap.c's.
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
#define MAX_EM 300
#define WEIGHT_OF_DOUBT 0.1		/* clients added to each class */
#define LEAST_WEIGHT 1e-4
#define MOST_DOUBT 0.7
#define DOUBT_TILT 0.25
#define CLASS_VARIANCE 0.05		/* of ln k that classes give to clients who are all alike */

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

/* The regularity of a class, 0 .. GAP_SHAPES - 1. */
double
gap_shape_class(int c)
{
	return 0.5 * exp2(0.5 * c);
}

/*
 * ln of the Dirichlet(k, .., k) density of n shares of mean logarithm -ln n -
 * dispersion, less what does not depend on k.
 */
static double
log_likelihood(double k, double n, double dispersion)
{
	return lgamma(n * k) - n * lgamma(k) - (k - 1.0) * n * (dispersion + log(n));
}

/* Posterior weights of the classes from prior weights and log-likelihoods, in place of the latter. */
static void
posterior(const double prior[GAP_SHAPES], double l[GAP_SHAPES])
{
	double		most = -INFINITY;
	double		sum = 0.0;

	for (int c = 0; c < GAP_SHAPES; c++)
		if (prior[c] > 0.0)
			most = fmax(most, l[c]);
	for (int c = 0; c < GAP_SHAPES; c++)
	{
		l[c] = prior[c] > 0.0 ? prior[c] * exp(l[c] - most) : 0.0;
		sum += l[c];
	}
	for (int c = 0; c < GAP_SHAPES; c++)
		l[c] /= sum;
}

/*
 * Where the population holds many regularities its shares lend random buyers a
 * rhythm they do not have: right on average, too many alarms for each of them.
 * So 1.5 times the variance of ln k, at most 0.7, of the shares is spread over all
 * classes with density k^-1/4 in ln k, under which each regularity by itself has
 * about the false alarms it should (bench/false_alarms, mixed population: 6.8 %
 * of the cycles of random buyers at 5 %, without it 7.6 %).
 */
static void
spread_doubt(double weight[GAP_SHAPES])
{
	double		flat[GAP_SHAPES];
	double		sum = 0.0;
	double		mean = 0.0;
	double		variance = 0.0;
	double		doubt;

	for (int c = 0; c < GAP_SHAPES; c++)
	{
		flat[c] = pow(gap_shape_class(c), -DOUBT_TILT);
		sum += flat[c];
		mean += weight[c] * log(gap_shape_class(c));
	}
	for (int c = 0; c < GAP_SHAPES; c++)
		variance += weight[c] * pow(log(gap_shape_class(c)) - mean, 2.0);
	doubt = fmax(0.0, fmin(1.5 * (variance - CLASS_VARIANCE), MOST_DOUBT));
	for (int c = 0; c < GAP_SHAPES; c++)
		weight[c] = (1.0 - doubt) * weight[c] + doubt * flat[c] / sum;
}

/*
 * The shares of the regularities in the population: the mixture of greatest
 * likelihood over fixed classes (Laird 1978, JASA 73, 805-811), by EM over cells
 * of clients with alike gaps; a tenth of a client is added to each class, so that few
 * clients do not exclude any.
 */
void
gap_shape_weights(const GapMoments *m, double weight[GAP_SHAPES])
{
	double		likelihood[GAP_BUCKETS * GAP_CELLS][GAP_SHAPES];
	double		clients[GAP_BUCKETS * GAP_CELLS];
	double		total = 0.0;
	int			n_cells = 0;

	for (int i = GAP_MIN_GAPS - 1; i < GAP_BUCKETS; i++)
		for (int j = 0; j < GAP_CELLS; j++)
		{
			const GapCell *cell = &m->cell[i][j];

			if (cell->clients <= 0.0)
				continue;
			for (int c = 0; c < GAP_SHAPES; c++)
				likelihood[n_cells][c] = log_likelihood(gap_shape_class(c), cell->gaps / cell->clients,
														cell->dispersion / cell->clients);
			clients[n_cells++] = cell->clients;
			total += cell->clients;
		}
	for (int c = 0; c < GAP_SHAPES; c++)
		weight[c] = 1.0 / GAP_SHAPES;
	for (int step = 0; step < MAX_EM; step++)
	{
		double		next[GAP_SHAPES];
		double		change = 0.0;

		for (int c = 0; c < GAP_SHAPES; c++)
			next[c] = WEIGHT_OF_DOUBT;
		for (int i = 0; i < n_cells; i++)
		{
			double		w[GAP_SHAPES];

			for (int c = 0; c < GAP_SHAPES; c++)
				w[c] = likelihood[i][c];
			posterior(weight, w);
			for (int c = 0; c < GAP_SHAPES; c++)
				next[c] += clients[i] * w[c];
		}
		for (int c = 0; c < GAP_SHAPES; c++)
		{
			next[c] /= total + GAP_SHAPES * WEIGHT_OF_DOUBT;
			change = fmax(change, fabs(next[c] - weight[c]));
			weight[c] = next[c];
		}
		if (change < 1e-6)
			break;
	}
	spread_doubt(weight);
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
 * One k for the client where the population's shares are not known: (m k0 + n
 * k_i) / (m + n), k0 the population's.
 *
 * k_i is the client's own estimate less its bias: 1/k behaves like chi-squared
 * with n - 1 degrees of freedom, which makes the conditional likelihood's k
 * (Yanagimoto 1988, Metrika 35, 161-175) too large by (n - 1) / (n - 3); the
 * 2 / (3n) is the first-order bias left at small k.  It exists from 4 gaps on;
 * below that the population's k stands.
 */
static double
estimate(const GapPrior *prior, const GapStats *client)
{
	double		n = client->n;
	double		k;

	if (!has_gaps(client) || client->n < SHRINK_MIN_GAPS)
		return prior->k;
	k = clamp(own_shape(client) * (n - 3.0) / (n - 1.0) + 2.0 / (3.0 * n), SHAPE_MIN, SHAPE_MAX);
	return (SHRINK_WEIGHT * prior->k + n * k) / (SHRINK_WEIGHT + n);
}

static bool
shares_known(const GapPrior *prior)
{
	double		sum = 0.0;

	for (int c = 0; c < GAP_SHAPES; c++)
		sum += prior->shape_weight[c];
	return sum > 0.0;
}

/*
 * Three k and weights that stand for many: the nodes of Gauss' quadrature for the
 * distribution of ln k (Golub and Welsch 1969, Math. Comp. 23, 221-230), so that
 * what is a polynomial in ln k up to the fifth degree has the same mean.  The nodes
 * are the roots of the third orthogonal polynomial, whose coefficients Stieltjes'
 * procedure gives and which by symmetry of their matrix are real.
 */
static void
condense(double k[GAP_SHAPES], double weight[GAP_SHAPES], int n)
{
	double		x[GAP_SHAPES];
	double		before[GAP_SHAPES] = {0.0};
	double		poly[GAP_SHAPES];
	double		a[3],
				b[3],
				norm = 1.0;
	double		mean,
				p,
				q,
				angle;

	for (int c = 0; c < n; c++)
	{
		x[c] = log(k[c]);
		poly[c] = 1.0;
	}
	for (int degree = 0; degree < 3; degree++)
	{
		double		square = 0.0;
		double		moment = 0.0;

		for (int c = 0; c < n; c++)
		{
			square += weight[c] * poly[c] * poly[c];
			moment += weight[c] * poly[c] * poly[c] * x[c];
		}
		a[degree] = moment / square;
		b[degree] = degree == 0 ? 0.0 : square / norm;
		norm = square;
		for (int c = 0; c < n; c++)
		{
			double		next = (x[c] - a[degree]) * poly[c] - b[degree] * before[c];

			before[c] = poly[c];
			poly[c] = next;
		}
	}
	/* the cubic (x-a0)(x-a1)(x-a2) - b1 (x-a2) - b2 (x-a0), in t = x - mean: t^3 + p t + q */
	mean = (a[0] + a[1] + a[2]) / 3.0;
	p = (a[0] - mean) * (a[1] - mean) + (a[0] - mean) * (a[2] - mean) + (a[1] - mean) * (a[2] - mean) - b[1] - b[2];
	q = -(a[0] - mean) * (a[1] - mean) * (a[2] - mean) + b[1] * (a[2] - mean) + b[2] * (a[0] - mean);
	angle = acos(clamp(1.5 * q / p * sqrt(-3.0 / p), -1.0, 1.0)) / 3.0;
	for (int i = 0; i < 3; i++)
		a[i] = mean + 2.0 * sqrt(-p / 3.0) * cos(angle - 2.0943951023931953 * i);
	for (int i = 0; i < 3; i++)
	{
		b[i] = 0.0;
		for (int c = 0; c < n; c++)
			b[i] += weight[c] * (x[c] - a[(i + 1) % 3]) * (x[c] - a[(i + 2) % 3]);
		b[i] /= (a[i] - a[(i + 1) % 3]) * (a[i] - a[(i + 2) % 3]);
	}
	for (int i = 0; i < 3; i++)
	{
		k[i] = exp(a[i]);
		weight[i] = b[i];
	}
}

/*
 * What a client's k may be, and with which probability: the population's shares
 * times the likelihood of the client's gaps given their sum; from two gaps on
 * they say something.  Returns how many k, three at most, which stand for all
 * classes; those below a ten-thousandth are left out.  A plug-in k instead costs a third to a half more false alarms at the
 * rates that a yearly budget asks for (bench/false_alarms).
 */
int
gap_shapes(const GapPrior *prior, const GapStats *client, double k[GAP_SHAPES], double weight[GAP_SHAPES])
{
	double		w[GAP_SHAPES] = {0.0};
	double		kept = 0.0;
	int			n = 0;

	if (!shares_known(prior))
	{
		k[0] = estimate(prior, client);
		weight[0] = 1.0;
		return 1;
	}
	if (has_gaps(client) && client->n > 1)
	{
		double		dispersion = fmax(0.0, log(client->sum / client->n) - client->sum_log / client->n);

		for (int c = 0; c < GAP_SHAPES; c++)
			w[c] = log_likelihood(gap_shape_class(c), client->n, dispersion);
	}
	posterior(prior->shape_weight, w);
	for (int c = 0; c < GAP_SHAPES; c++)
		if (w[c] >= LEAST_WEIGHT)
		{
			k[n] = gap_shape_class(c);
			weight[n++] = w[c];
			kept += w[c];
		}
	for (int i = 0; i < n; i++)
		weight[i] /= kept;
	if (n <= 3)
		return n;
	condense(k, weight, n);
	return 3;
}

/* The client's regularity in one figure: the geometric mean of what it may be. */
double
gap_shape(const GapPrior *prior, const GapStats *client)
{
	double		k[GAP_SHAPES],
				weight[GAP_SHAPES],
				sum = 0.0;
	int			n = gap_shapes(prior, client, k, weight);

	if (n == 1)
		return k[0];
	for (int i = 0; i < n; i++)
		sum += weight[i] * log(k[i]);
	return exp(sum);
}
