/*
 * chart_part.c
 *		Whether a client leaves a category while going on to order: the chart of
 *		chart.c on the clock of the client's orders.
 *
 * Owns the evidence in which orders held something of the category; days do not
 * enter here.
 */
#include <math.h>

#include "model.h"

/* The share of orders is Beta(1/2, 1/2) before anything is known. */
#define SHARE_PRIOR 0.5

static int
bits(uint64_t held)
{
	int			n = 0;

	for (; held != 0; held &= held - 1)
		n++;
	return n;
}

/*
 * The likelihood ratio of "share x rho in the last m orders" to "no change", the
 * share integrated: of held orders in all and missed ones, `slow` and `gone` of
 * them among the last m.  (1 - rho q)^gone = sum_j C(gone, j) (1 - rho)^(gone - j)
 * rho^j (1 - q)^j, a sum of positive terms, each of which is a beta function over
 * that of no change: B(a, b + missed - gone + j) / B(a, b + missed).
 */
static double
ratio(int held, int missed, int slow, int gone, double rho)
{
	double		a = SHARE_PRIOR + held;
	double		b = SHARE_PRIOR + missed - gone;
	double		beta = 1.0;
	double		term = pow(rho, gone);
	double		sum = 0.0;

	if (slow > 0 && rho <= 0.0)
		return 0.0;
	for (int j = gone; j >= 0; j--)
	{
		sum += rho > 0.0 ? term * beta : j == 0 ? beta : 0.0;
		if (j > 0)
		{
			beta *= (a + b + j - 1.0) / (b + j - 1.0);
			if (rho > 0.0)
				term *= j * (1.0 - rho) / ((gone - j + 1.0) * rho);
		}
	}
	return pow(rho, slow) * sum;
}

/*
 * ln of the evidence that a category's share of a client's orders has fallen to
 * half, or to nothing (one chance in two each), since one of the last `since`
 * orders.  Bit i of held says whether the order i before the last held the category; n
 * orders are known, at most 64.  Summed over the moments of change as in chart.c; an
 * order of a steady client passes h with probability of about e^-h.
 */
double
chart_part(uint64_t held, int n, int since)
{
	double		evidence = 0.0;
	int			slow = 0;
	int			all;

	n = n < 0 ? 0 : n > CHART_ORDERS ? CHART_ORDERS : n;
	held &= n < CHART_ORDERS ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
	all = bits(held);
	since = since < n ? since : n;
	for (int m = 1; m <= since; m++)
	{
		slow += (int) (held >> (m - 1) & 1);
		evidence += 0.5 * ratio(all, n - all, slow, m - slow, CHART_SLOW_RATE)
			+ 0.5 * ratio(all, n - all, slow, m - slow, 0.0);
	}
	return log(evidence);
}

/* The share of a client's n known orders that held the category, the last `without` left out. */
double
chart_part_share(uint64_t held, int n, int without)
{
	n = n < 0 ? 0 : n > CHART_ORDERS ? CHART_ORDERS : n;
	if (n <= without)
		return 0.0;
	held &= n < CHART_ORDERS ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
	return (double) bits(held >> without) / (n - without);
}
