/*
 * score.c
 *		How good a forecast was: log loss, Brier score, calibration error, area
 *		under the curve, continuous ranked probability score.
 *
 * Knows neither clients nor models.
 */
#include <math.h>

#include "score.h"

static double
probability(double p)
{
	return fmax(0.0, fmin(1.0, p));
}

/* -ln P(what happened) of one forecast, nats. */
double
score_loss(double p, bool happened)
{
	double		clipped = fmax(SCORE_CLIP, fmin(1.0 - SCORE_CLIP, p));

	return -log(happened ? clipped : 1.0 - clipped);
}

/* Add a case: it was put at p, and happened or not.  A forecast that is no number counts as one half. */
void
scores_add(Scores *s, double p, bool happened)
{
	double		q = isnan(p) ? 0.5 : probability(p);
	int			bin = q >= 1.0 ? SCORE_BINS - 1 : (int) (q * SCORE_BINS);

	s->n++;
	s->log_loss += score_loss(q, happened);
	s->brier += (q - happened) * (q - happened);
	s->bin[bin].n++;
	s->bin[bin].p += q;
	s->bin[bin].happened += happened;
}

/* Mean of -ln P(what happened) (Good 1952, J. R. Stat. Soc. B 14, 107-114), nats a case. */
double
scores_log_loss(const Scores *s)
{
	return s->n > 0 ? s->log_loss / s->n : NAN;
}

/* Mean squared difference (Brier 1950, Mon. Weather Rev. 78, 1-3). */
double
scores_brier(const Scores *s)
{
	return s->n > 0 ? s->brier / s->n : NAN;
}

/* Expected calibration error: mean |forecast - share that happened| over the bins, each by its cases (Naeini et al. 2015, AAAI). */
double
scores_ece(const Scores *s)
{
	double		sum = 0.0;

	for (int i = 0; i < SCORE_BINS; i++)
		sum += fabs(s->bin[i].p - s->bin[i].happened);
	return s->n > 0 ? sum / s->n : NAN;
}

/* Place of a probability on a scale of log odds from -16 to 16, 1/128 apart: as fine among the rare as among the likely. */
int
rank_of_probability(double p)
{
	double		odds = isnan(p) ? 0.0 : log(probability(p)) - log1p(-probability(p));

	return (int) fmax(0.0, fmin(RANKS - 1, floor((odds + 16.0) * (RANKS / 32.0))));
}

/* Place of an age in whole days; all beyond eleven years share the last. */
int
rank_of_days(double days)
{
	return RANKS - 1 - (int) fmax(0.0, fmin(RANKS - 1, isnan(days) ? RANKS : days));
}

/* Add a case of that rank. */
void
ranks_add(Ranks *r, int rank, bool happened)
{
	r->n[happened]++;
	r->at[happened][rank]++;
}

/*
 * P(a case that happened ranks above one that did not), ties counting half: the
 * area under the receiver operating characteristic (Hanley & McNeil 1982,
 * Radiology 143, 29-36).
 */
double
ranks_auc(const Ranks *r)
{
	double		below = 0.0;
	double		above = 0.0;

	if (!(r->n[0] > 0 && r->n[1] > 0))
		return NAN;
	for (int i = 0; i < RANKS; i++)
	{
		above += r->at[1][i] * (below + 0.5 * r->at[0][i]);
		below += r->at[0][i];
	}
	return above / (r->n[0] * r->n[1]);
}

/* The rate of a Poisson count whose mean, given that it is not 0, is mean > 1. */
static double
rate_above_zero(double mean)
{
	double		low = mean - 1.0;
	double		high = mean;

	while (high - low > 1e-9 * mean)
	{
		double		rate = 0.5 * (low + high);

		if (rate < -expm1(-rate) * mean)
			low = rate;
		else
			high = rate;
	}
	return high;
}

/*
 * The count that an absolute error asks for (Gneiting 2011, J. Am. Stat. Assoc.
 * 106, 746-762): the median of a count that is above 0 with probability p, and of
 * that mean, if it is Poisson but for its zeros (Lambert 1992, Technometrics 34,
 * 1-14).  NaN for what is no number.
 */
double
score_count_median(double p, double mean)
{
	double		rate,
				term,
				above;
	double		count = 1.0;

	if (isnan(p) || isnan(mean) || p <= 0.5)
		return isnan(p) || isnan(mean) ? NAN : 0.0;
	p = probability(p);
	if (mean <= p)
		return 1.0;
	if (mean > 1000.0)
		return mean;
	rate = rate_above_zero(mean / p);
	term = p * rate * exp(-rate) / -expm1(-rate);
	for (above = p - term; above > 0.5; above -= term)
		term *= rate / ++count;
	return count;
}

/*
 * Continuous ranked probability score of a date up to a horizon of n steps of
 * width days: sum of (F(t) - [day <= t])^2 width at t = width, 2 width, ...
 * (Matheson & Winkler 1976, Manage. Sci. 22, 1087-1096; cut at the horizon it
 * stays proper, Gneiting & Ranjan 2011).  cdf[i] = F((i + 1) width); a day
 * beyond the horizon, or infinite, means that it did not happen within.
 */
double
score_crps(const double *cdf, int n, double width, double day)
{
	double		sum = 0.0;

	for (int i = 0; i < n; i++)
	{
		double		d = probability(cdf[i]) - (day <= (i + 1) * width + 1e-9);

		sum += d * d * width;
	}
	return sum;
}
