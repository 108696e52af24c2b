/*
 * effect.c
 *		How an action's effect moves the baseline probability.
 *
 * Owns the link between p0 and p1.  Where the effect comes from, assumed or
 * measured, is the caller's to say.
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
