/*
 * trust.c
 *		How far an agent's claims are believed.
 *
 * A ratio of what came to what was claimed, held near the pool's by a few cases'
 * weight.  What is counted, buyers or gained buyers, is the caller's to say.
 */
#include <math.h>

#include "model.h"

/*
 * kappa = (m pool + got) / (m + claimed), m = TRUST_PRIOR, in probability units:
 * 1 without evidence where the pool is 1, what it earns with much.  got may be
 * negative; the factor lies in [0, TRUST_MOST].
 */
double
trust_factor(double got, double claimed, double pool)
{
	double		factor = (TRUST_PRIOR * pool + got) / (TRUST_PRIOR + fmax(claimed, 0.0));

	return fmin(fmax(factor, 0.0), TRUST_MOST);
}
