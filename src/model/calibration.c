/*
 * calibration.c
 *		Forecast probabilities against what happened: their scores, and the two
 *		numbers that put them right.
 *
 * Owns no forecast: probabilities and outcomes come in as arrays.
 */
#include <math.h>
#include <stddef.h>

#include "model.h"
#include "score.h"

#define SURE 1e-12				/* what is closer to 0 or 1 is taken as this close */
#define MAX_NEWTON 50
#define LEAST_SLOPE 0.05
#define INTERCEPT_PRECISION 1.0 /* prior: intercept ~ N(0, 1), slope ~ N(1, .5^2) */
#define SLOPE_PRECISION 4.0

static double
inside(double p)
{
	return fmax(SURE, fmin(1.0 - SURE, p));
}

static double
logit(double p)
{
	p = inside(p);
	return log(p) - log1p(-p);
}

static double
logistic(double z)
{
	return 1.0 / (1.0 + exp(-z));
}

/* The recalibrated probability: logit p' = intercept + slope logit p; 0 and 1 stay. */
double
calibration_apply(const Calibration *c, double p)
{
	if (!(p > 0.0 && p < 1.0) || (c->intercept == 0.0 && c->slope == 1.0))
		return p;
	return logistic(c->intercept + c->slope * logit(p));
}

/* The p that is recalibrated to the given one. */
double
calibration_invert(const Calibration *c, double p)
{
	if (!(p > 0.0 && p < 1.0) || (c->intercept == 0.0 && c->slope == 1.0))
		return p;
	return logistic((logit(p) - c->intercept) / c->slope);
}

/* What is minimised: -ln likelihood - ln prior. */
static double
loss(const double *p, const bool *happened, size_t n, double intercept, double slope)
{
	double		sum = 0.5 * (INTERCEPT_PRECISION * intercept * intercept
							 + SLOPE_PRECISION * (slope - 1.0) * (slope - 1.0));

	for (size_t i = 0; i < n; i++)
	{
		double		z = intercept + slope * logit(p[i]);

		if (!happened[i])
			z = -z;
		/* ln(1 + e^-z) */
		sum += z > 0.0 ? log1p(exp(-z)) : log1p(exp(z)) - z;
	}
	return sum;
}

/* One Newton step from (*intercept, *slope), halved until it helps; false when none does. */
static bool
improve(const double *p, const bool *happened, size_t n, double *intercept, double *slope, double *best)
{
	double		ga = INTERCEPT_PRECISION * *intercept;
	double		gb = SLOPE_PRECISION * (*slope - 1.0);
	double		haa = INTERCEPT_PRECISION;
	double		hab = 0.0;
	double		hbb = SLOPE_PRECISION;
	double		det;

	for (size_t i = 0; i < n; i++)
	{
		double		x = logit(p[i]);
		double		q = logistic(*intercept + *slope * x);
		double		error = q - (happened[i] ? 1.0 : 0.0);
		double		weight = q * (1.0 - q);

		ga += error;
		gb += error * x;
		haa += weight;
		hab += weight * x;
		hbb += weight * x * x;
	}
	det = haa * hbb - hab * hab;
	for (double step = 1.0; step > 1e-6; step *= 0.5)
	{
		double		a = *intercept - step * (hbb * ga - hab * gb) / det;
		double		b = *slope - step * (haa * gb - hab * ga) / det;
		double		now = loss(p, happened, n, a, b);

		if (now < *best)
		{
			bool		settled = *best - now < 1e-9 * n;

			*intercept = a;
			*slope = b;
			*best = now;
			return !settled;
		}
	}
	return false;
}

/*
 * Platt's two numbers (2000, in Advances in Large Margin Classifiers, 61-74) by
 * Newton's method, on the logit of the forecasts and with a weak prior at "they
 * are right": logit p' = intercept + slope logit p.
 *
 * False, and the identity, below CALIBRATION_MIN_CASES forecasts that came true
 * or did not, and where higher forecasts did not come true more often.
 */
bool
calibration_fit(const double *p, const bool *happened, size_t n, Calibration *c)
{
	size_t		events = 0;
	double		intercept = 0.0;
	double		slope = 1.0;
	double		best;

	*c = (Calibration) {0.0, 1.0};
	for (size_t i = 0; i < n; i++)
		events += happened[i];
	if (events < CALIBRATION_MIN_CASES || n - events < CALIBRATION_MIN_CASES)
		return false;
	best = loss(p, happened, n, intercept, slope);
	for (int i = 0; i < MAX_NEWTON; i++)
		if (!improve(p, happened, n, &intercept, &slope, &best))
			break;
	if (!(slope >= LEAST_SLOPE) || !isfinite(intercept))
		return false;
	*c = (Calibration) {intercept, slope};
	return true;
}

/* Scores of forecasts, as score.c has them.  NaN without forecasts. */
void
forecast_score(const double *p, const bool *happened, size_t n, ForecastScore *score)
{
	Scores		sums = {0};
	double		events = 0.0;

	for (size_t i = 0; i < n; i++)
	{
		scores_add(&sums, p[i], happened[i]);
		events += happened[i];
	}
	*score = (ForecastScore) {
		.n = n, .events = events, .log_loss = scores_log_loss(&sums), .brier = scores_brier(&sums), .ece = scores_ece(&sums)
	};
}
