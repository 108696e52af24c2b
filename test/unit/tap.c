/*
 * tap.c
 *		Test Anything Protocol for the plain C tests.
 *
 * Linked into every test/unit/NAME_test.c; knows nothing of what is tested.
 */
#include "tap.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static int	n_run = 0;
static int	n_failed = 0;

/* Prints the result line of the next test. */
static int
report(int passed, const char *name, va_list args)
{
	n_run++;
	if (!passed)
		n_failed++;
	printf("%s %d - ", passed ? "ok" : "not ok", n_run);
	vprintf(name, args);
	printf("\n");
	/* a sanitizer may end the program before the buffer is written */
	fflush(stdout);
	return passed;
}

int
tap_ok(int condition, const char *name,...)
{
	va_list		args;

	va_start(args, name);
	report(condition != 0, name, args);
	va_end(args);
	return condition != 0;
}

int
tap_near(double got, double want, double tolerance, const char *name,...)
{
	va_list		args;
	double		scale = fmax(1.0, fabs(want));
	int			passed = got == want || fabs(got - want) <= tolerance * scale;

	va_start(args, name);
	report(passed, name, args);
	va_end(args);
	if (!passed)
		printf("# got %.17g, want %.17g, off by %.3g, allowed %.3g\n",
			   got, want, fabs(got - want), tolerance * scale);
	return passed;
}

void
tap_skip(const char *reason,...)
{
	va_list		args;

	n_run++;
	printf("ok %d # SKIP ", n_run);
	va_start(args, reason);
	vprintf(reason, args);
	va_end(args);
	printf("\n");
}

int
tap_done(void)
{
	printf("1..%d\n", n_run);
	return n_failed > 0;
}
