/*
 * special.c
 *		Derivatives of the log gamma function, which libm does not have.
 *
 * Owns digamma and trigamma for positive arguments; the incomplete beta
 * function lives in beta.c.
 */
#include <math.h>

#include "model.h"

/* Above this the asymptotic series below are exact to the last digits. */
#define SERIES_START 12.0

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
