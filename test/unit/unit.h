/*
 * unit.h
 *		TAP for the plain C programs in this folder: ok, near, plan.
 *
 * Each file ending in _test.c is one program, built with the sources of src/model and -lm alone.  The
 * random numbers are a pure function of (seed, index), so that a run repeats.
 */
#ifndef AGENTCRM_UNIT_H
#define AGENTCRM_UNIT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static int	unit_count = 0;
static int	unit_failed = 0;

/* One test point. */
static inline void
ok(bool passed, const char *name)
{
	unit_count++;
	if (!passed)
		unit_failed++;
	printf("%s %d - %s\n", passed ? "ok" : "not ok", unit_count, name);
}

/* |got - want| <= tolerance * |want|, or both exactly equal. */
static inline bool
close_to(double got, double want, double tolerance)
{
	return got == want || fabs(got - want) <= tolerance * fabs(want);
}

/* One test point on a number, shown when it fails. */
static inline void
ok_close(double got, double want, double tolerance, const char *name)
{
	bool		passed = close_to(got, want, tolerance);

	ok(passed, name);
	if (!passed)
		printf("# got %.17g, want %.17g within %g\n", got, want, tolerance);
}

/* The end of a program: the plan line, and its exit status. */
static inline int
done(void)
{
	printf("1..%d\n", unit_count);
	return unit_failed != 0;
}

/* A counter-based generator: SplitMix64 (Steele, Lea, Flood 2014) of seed and index. */
typedef struct UnitRandom
{
	uint64_t	seed;
	uint64_t	index;
} UnitRandom;

/* Uniform on (0, 1). */
static inline double
unit_uniform(UnitRandom *random)
{
	uint64_t	z = random->seed * UINT64_C(0xD1342543DE82EF95)
		+ ++random->index * UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	z ^= z >> 31;
	return ((double) (z >> 11) + 0.5) / 9007199254740992.0;
}

/* Standard normal, by Box and Muller. */
static inline double
unit_normal(UnitRandom *random)
{
	double		radius = sqrt(-2.0 * log(unit_uniform(random)));

	return radius * cos(6.283185307179586 * unit_uniform(random));
}

/* Gamma of shape > 0 and rate 1, by Marsaglia and Tsang 2000. */
static inline double
unit_gamma(UnitRandom *random, double shape)
{
	double		d,
				c;

	if (shape < 1.0)
		return unit_gamma(random, shape + 1.0) * pow(unit_uniform(random), 1.0 / shape);
	d = shape - 1.0 / 3.0;
	c = 1.0 / sqrt(9.0 * d);
	for (;;)
	{
		double		x = unit_normal(random);
		double		v = 1.0 + c * x;

		if (v <= 0.0)
			continue;
		v = v * v * v;
		if (log(unit_uniform(random)) < 0.5 * x * x + d - d * v + d * log(v))
			return d * v;
	}
}

#endif							/* AGENTCRM_UNIT_H */
