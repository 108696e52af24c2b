/*
 * chart.c
 *		Whether a living client has slowed down: the evidence that its orders
 *		come at half their rate since one of its last orders.
 *
 * Owns the chart on the clock of days; a full stop is seen by the survival of
 * the open gap (gap.c), categories by chart_part.c.  All of it follows from the
 * prior, the sums of all gaps and the last few of them, so that nothing has to be
 * remembered from one look to the next.
 */
#include <math.h>

#include "model.h"

static double
log_add(double a, double b)
{
	double		most = fmax(a, b);

	return isinf(most) ? most : most + log1p(exp(-fabs(a - b)));
}

/*
 * The closed part for one k.  lambda ~ Gamma(r, alpha) integrated over all n gaps
 * of sum S, the likelihood ratio "rate x rho in the last m gaps, of sum S2" to "no
 * change" is rho^(k m) [A / (A - (1 - rho) S2)]^R, R = r + k n, A = alpha + S:
 * the sum over gaps of k ln rho + (1 - rho) k lambda gap with lambda known.  It is
 * summed over m, as the chart of Shiryaev and Roberts does (Roberts 1966,
 * Technometrics 8, 411-430), which finds a halving sooner than the largest of them
 * does (Page 1954): 70 against 67 % in the bench.
 */
static void
close_gaps(SlowChart *chart, int i, const double *recent, int n_recent)
{
	SlowPart   *part = &chart->part[i];
	double		slow = 0.0;
	double		most = 0.0;

	part->closed = -INFINITY;
	part->slow_scale = part->scale;
	for (int m = 1; m <= n_recent; m++)
	{
		double		scale,
					ratio,
					before = part->closed;

		slow += recent[n_recent - m];
		scale = part->scale - (1.0 - CHART_SLOW_RATE) * slow;
		if (!(scale > 0.0))
			break;
		ratio = part->k * m * log(CHART_SLOW_RATE) + part->shape * log(part->scale / scale);
		part->closed = log_add(before, ratio);
		if (ratio > most)
		{
			most = ratio;
			part->gaps = m;
		}
		/* one scale stands for all m: their mean by weight of evidence */
		part->slow_scale = exp(log(part->slow_scale)
							   + exp(ratio - part->closed) * log(scale / part->slow_scale));
	}
}

/*
 * The chart of a client with these closed gaps in all (days), of which the last
 * n_recent, oldest first, may lie after the change; armed says whether the open gap
 * may.  n_recent is taken into [0, CHART_GAPS].
 */
void
chart_slow_start(SlowChart *chart, const GapPrior *prior, const GapStats *client,
				 const double *recent, int n_recent, bool armed)
{
	double		k[GAP_SHAPES];
	double		weight[GAP_SHAPES];
	bool		gaps = client->n > 0 && client->sum > 0.0 && isfinite(client->sum);

	n_recent = n_recent < 0 || !gaps ? 0 : n_recent > CHART_GAPS ? CHART_GAPS : n_recent;
	chart->armed = armed;
	chart->n = gap_shapes(prior, client, k, weight);
	for (int i = 0; i < chart->n; i++)
	{
		chart->part[i] = (SlowPart)
		{
			.k = k[i], .log_weight = log(weight[i]),
			.shape = prior->r + (gaps ? k[i] * client->n : 0.0),
			.scale = prior->alpha * prior->k / k[i] + (gaps ? client->sum : 0.0)
		};
		close_gaps(chart, i, recent, n_recent);
	}
}

/*
 * ln of the evidence after elapsed days without an order: each change counts with
 * the survival of the open gap at rho lambda, relative to that at lambda, and one
 * right after the last order is added.  -inf while nothing may have changed.  It
 * grows with the silence, for the slower rate has the smaller hazard.
 */
double
chart_slow(const SlowChart *chart, double elapsed)
{
	double		changed = -INFINITY;
	double		same = -INFINITY;
	double		e = fmax(0.0, fmin(elapsed, 1e9));

	if (isnan(elapsed))
		return NAN;
	for (int i = 0; i < chart->n; i++)
	{
		const SlowPart *p = &chart->part[i];
		double		slow = -INFINITY;

		if (chart->armed)
			slow = beta_inc_upper_log_odds(p->k, p->shape, CHART_SLOW_RATE * e / p->scale);
		if (!isinf(p->closed))
			slow = log_add(slow, p->closed + beta_inc_upper_log_odds(p->k, p->shape,
																	 CHART_SLOW_RATE * e / p->slow_scale));
		changed = log_add(changed, p->log_weight + slow);
		same = log_add(same, p->log_weight + beta_inc_upper_log_odds(p->k, p->shape, e / p->scale));
	}
	return isinf(changed) ? -INFINITY : changed - same;
}

/* The likeliest number of closed gaps since the change, of the heaviest k; 0: it came after the last order. */
int
chart_slow_gaps(const SlowChart *chart)
{
	int			heaviest = 0;

	for (int i = 1; i < chart->n; i++)
		if (chart->part[i].log_weight > chart->part[heaviest].log_weight)
			heaviest = i;
	return chart->part[heaviest].gaps;
}

/*
 * The threshold that a steady client passes with probability p in a cycle: -ln p.
 * lambda and k are integrated over what they may be, so that the evidence is a
 * likelihood ratio, a cycle adds 1 to its mean and it passes h in e^-h of the
 * cycles; simulated, .9 to 1.15 times that for k from 1 to 16 at the thresholds
 * that a yearly budget asks for, with no trend in k (bench/charts), and so there
 * is no table of thresholds.
 */
double
chart_threshold(double p)
{
	return -log(fmax(1e-300, fmin(p, 1.0)));
}

/*
 * Days until a halving is likely to be seen, by Wald's identity: a gap at half
 * the rate adds k (ln rho + (1 - rho) / rho) to the evidence on average, 0.31 k.
 * At k = 1 and gaps of a month that is years: such a client's slowing down cannot
 * be seen yet, and saying so is all there is to say.
 */
double
chart_slow_delay(double k, double mean_gap, double threshold)
{
	double		information = k * (log(CHART_SLOW_RATE) + (1.0 - CHART_SLOW_RATE) / CHART_SLOW_RATE);

	return threshold / information * mean_gap / CHART_SLOW_RATE;
}

/*
 * How many of a list of alarms stand (Benjamini and Hochberg 1995, J. Royal
 * Statistical Society B 57, 289-300): p ascends, n are listed of `watched` that
 * might have been; the most i with p_i <= level i / watched.
 */
int
chart_discoveries(const double *p, int n, int watched, double level)
{
	int			stand = 0;

	for (int i = 0; i < n; i++)
		if (p[i] <= level * (i + 1) / watched)
			stand = i + 1;
	return stand;
}
