/*
 * repeat.c
 *		How likely a product is in the client's next order, from decayed counts.
 *
 * Owns level 0 of the repeat list: counting, no fitted weights.  The clock is
 * the client's number of orders; days do not enter here.
 */
#include <math.h>

#include "model.h"

/* b^n: what is left of a decayed count after n further orders; n < 0 counts as 0. */
double
decay_pow(double b, double n)
{
	return n > 0.0 ? pow(b, n) : 1.0;
}

/*
 * Probability that an order of the client holds the product.
 *
 * Level 0: s = (f1 + a q) / (N1 + a), a = 1/2, where f1 is the product's count
 * decayed by .9 per order of the client and read at order n, N1 = (1 - .9^n) /
 * (1 - .9) the value f1 would have had the product been in each of the n
 * orders, and q the product's share of all clients' recent orders.  This is the
 * mean of a beta posterior with prior weight a at q, hence q itself at n = 0.
 */
double
repeat_rate(double f1, double q, double n)
{
	double		full = (1.0 - decay_pow(REPEAT_DECAY_SLOW, n)) / (1.0 - REPEAT_DECAY_SLOW);
	double		share = fmax(0.0, fmin(1.0, q));
	double		count = fmax(0.0, fmin(full, f1));

	return (count + REPEAT_PRIOR_WEIGHT * share) / (full + REPEAT_PRIOR_WEIGHT);
}
