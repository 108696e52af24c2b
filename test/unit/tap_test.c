/*
 * tap_test.c
 *		The measure that the other unit tests compare numbers with.
 *
 * Checks only tap_near's judgement where it must pass; that it can fail is seen by
 * putting a wrong number here.
 */
#include <math.h>

#include "tap.h"

int
main(void)
{
	tap_near(1.0 + 1e-12, 1.0, 1e-9, "within a relative tolerance");
	tap_near(1e6 + 1e-4, 1e6, 1e-9, "relative to a large value");
	tap_near(1e-12, 0.0, 1e-9, "absolute near zero");
	tap_near(INFINITY, INFINITY, 0.0, "equal infinities");
	tap_ok(!(fabs(NAN - 1.0) <= 1e-9), "not a number is near nothing");
	return tap_done();
}
