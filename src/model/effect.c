/*
 * effect.c
 *		How an action's effect moves the baseline probability.
 *
 * Owns the link between p0 and p1, and how an effect is learnt from treated
 * minus withheld.  Which cases these are is the caller's to say.
 */
#include <math.h>

#include "model.h"

/*
 * p1 = logit^-1(logit p0 + theta): the probability that the demand is bought
 * given the action, theta the effect in log odds.  A certain baseline (0 or 1)
 * stays what it is, since odds of 0 or infinity are moved by no finite effect.
 */
double
effect_apply(double p0, double theta)
{
	double		factor;

	if (p0 <= 0.0)
		return 0.0;
	if (p0 >= 1.0)
		return 1.0;
	factor = exp(-fabs(theta));
	if (theta >= 0.0)
		return p0 / (p0 + (1.0 - p0) * factor);
	return p0 * factor / (p0 * factor + (1.0 - p0));
}

/* What is assumed of an action before anything is measured: N(.2, .3^2), of a discount N(0, .2^2): discounts are met with doubt. */
Effect
effect_prior(int discount)
{
	return discount ? (Effect) {0.0, 0.2} : (Effect) {EFFECT_ASSUMED, 0.3};
}

/* The prior of a part, from what is believed of the whole and how far parts differ (sd in log odds). */
Effect
effect_inherit(Effect parent, double spread)
{
	return (Effect) {parent.mean, sqrt(parent.sd * parent.sd + spread * spread)};
}

static double
log_odds(double bought, double n)
{
	return log((bought + 0.5) / (n - bought + 0.5));
}

static double
log_odds_variance(double bought, double n)
{
	return 1.0 / (bought + 0.5) + 1.0 / (n - bought + 0.5);
}

/*
 * The posterior: normal prior, normal likelihood of the log odds ratio of
 * treated against withheld with Woolf's variance, half a case added to each
 * cell (Haldane 1956).  Counts are numbers of cases, bought at most all of
 * them; without cases on either side the prior stands.
 */
Effect
effect_update(Effect prior, double treated, double treated_bought, double withheld, double withheld_bought)
{
	double		ratio,
				variance,
				weight;

	if (!(treated > 0.0 && withheld > 0.0))
		return prior;
	ratio = log_odds(treated_bought, treated) - log_odds(withheld_bought, withheld);
	variance = log_odds_variance(treated_bought, treated) + log_odds_variance(withheld_bought, withheld);
	weight = prior.sd * prior.sd / (prior.sd * prior.sd + variance);
	return (Effect) {prior.mean + weight * (ratio - prior.mean), prior.sd * sqrt(1.0 - weight)};
}
