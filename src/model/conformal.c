/*
 * conformal.c
 *		The interval of a date, scaled so that it holds what it promises.
 *
 * Owns the scale, learnt from intervals that were given and the dates that came;
 * makes no interval of its own.
 */
#include <math.h>
#include <stdlib.h>

#include "model.h"

/*
 * How much wider an interval would have had to be about its median, on the
 * logarithm of days, to hold a date of so many whole days: 1 is its own edge.
 * Within a horizon: a date beyond it counts as the horizon, and so does an edge.
 *
 * The conformity score of a split-conformal interval, scaled client by client
 * (Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, J. Am. Stat. Assoc. 113,
 * 1094-1111, section 5.2) by the distances of its quantiles from the median
 * (Kivaranovic, Johnson, Leeb 2020, AISTATS, PMLR 108, eq. 7).  An edge at day t
 * holds the whole day t falls in.
 */
double
conformal_score(const DateInterval *interval, double day, double horizon)
{
	double		m = interval->median;

	if (!(m > 0.0) || !(day > 0.0))
		return 0.0;
	if (day >= horizon && m >= horizon)
		return 0.0;
	if (isinf(m))
		return day >= interval->early ? 0.0 : INFINITY;
	day = fmin(day, horizon);
	if (day < m)
		return log(m / day) / log(m / interval->early);
	if (day - 1.0 <= m || isinf(interval->late))
		return 0.0;
	return log((day - 1.0) / m) / log(interval->late / m);
}

static int
compare_scores(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/*
 * The scale with which intervals hold a share of dates to come, whatever the
 * model's faults, as long as these are like those of the scores: the score of
 * rank ceil((n + 1) share) (Papadopoulos, Proedrou, Vovk, Gammerman 2002, ECML,
 * 345-356).  Sorts the scores.  1 below INTERVAL_MIN_CASES.
 */
double
conformal_scale(double *scores, size_t n, double share)
{
	size_t		rank = (size_t) ceil((n + 1.0) * share);

	if (n < INTERVAL_MIN_CASES)
		return 1.0;
	qsort(scores, n, sizeof(double), compare_scores);
	return fmax(INTERVAL_LEAST, fmin(INTERVAL_MOST, scores[(rank < n ? rank : n) - 1]));
}

/* The interval so scaled; what is infinite stays so. */
DateInterval
conformal_scaled(const DateInterval *interval, double scale)
{
	double		m = interval->median;

	if (scale == 1.0 || !(m > 0.0) || isinf(m))
		return *interval;
	return (DateInterval)
	{
		.early = m * pow(interval->early / m, scale), .median = m,
		.late = isinf(interval->late) ? INFINITY : m * pow(interval->late / m, scale)
	};
}
