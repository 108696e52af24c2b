/*
 * special.c
 *		What libm does not have around the log gamma function.
 *
 * Owns digamma, trigamma, the rest of Stirling's series and differences of log
 * gamma for positive arguments; the incomplete beta function lives in beta.c.
 */
#include <math.h>

#include "model.h"

/* Above this the asymptotic series below are exact to the last digits. */
#define SERIES_START 12.0
#define STIRLING_START 10.0

/*
 * psi(x) = d ln Gamma(x) / dx for x > 0: recurrence psi(x) = psi(x + 1) - 1/x
 * up to 12, then the asymptotic series (Abramowitz and Stegun 6.3.5, 6.3.18).
 */
double
model_digamma(double x)
{
	double		shift = 0.0;
	double		y;

	if (!(x > 0.0))
		return NAN;
	for (; x < SERIES_START; x += 1.0)
		shift -= 1.0 / x;
	y = 1.0 / (x * x);
	return shift + log(x) - 0.5 / x
		- y * (1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252
		- y * (1.0 / 240 - y * (1.0 / 132 - y * (691.0 / 32760 - y / 12))))));
}

/*
 * psi'(x) for x > 0: recurrence psi'(x) = psi'(x + 1) + 1/x^2 up to 12, then
 * the asymptotic series (Abramowitz and Stegun 6.4.6, 6.4.12).
 */
double
model_trigamma(double x)
{
	double		shift = 0.0;
	double		y;

	if (!(x > 0.0))
		return NAN;
	for (; x < SERIES_START; x += 1.0)
		shift += 1.0 / (x * x);
	y = 1.0 / (x * x);
	return shift + 1.0 / x + 0.5 * y
		+ y / x * (1.0 / 6 - y * (1.0 / 30 - y * (1.0 / 42
		- y * (1.0 / 30 - y * (5.0 / 66 - y * (691.0 / 2730 - y * 7.0 / 6))))));
}

/*
 * ln Gamma(x) - [(x - 1/2) ln x - x + ln(2 pi)/2] for x >= 10 (Abramowitz and
 * Stegun 6.1.42).
 */
double
model_stirling_rest(double x)
{
	double		y = 1.0 / (x * x);

	return (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y * (1.0 / 1680
			- y * (1.0 / 1188 - y * (691.0 / 360360 - y / 156)))))) / x;
}

/*
 * ln Gamma(x + d) - ln Gamma(x) for x > 0 and x + d > 0, else NaN: exact where
 * d is small against x and the difference of two lgamma() would lose its digits.
 * Both arguments are raised to 10, then Stirling's series are subtracted by hand.
 */
double
model_log_gamma_ratio(double x, double d)
{
	double		raised = 1.0;

	if (!(x > 0.0 && x + d > 0.0 && isfinite(x) && isfinite(d)))
		return NAN;
	for (; x < STIRLING_START || x + d < STIRLING_START; x += 1.0)
		raised *= x / (x + d);
	return (raised == 1.0 ? 0.0 : log(raised))
		+ (x - 0.5) * log1p(d / x) + d * (log(x + d) - 1.0)
		+ model_stirling_rest(x + d) - model_stirling_rest(x);
}
