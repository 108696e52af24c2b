/*
 * effect_test.c
 *		Effects learnt from treated minus withheld, and how far claims are believed.
 */
#include "../../src/model/model.h"
#include "unit.h"

static void
test_update(void)
{
	Effect		prior = effect_prior(0);
	Effect		none = effect_update(prior, 0, 0, 100, 30);
	Effect		some = effect_update(prior, 900, 360, 100, 30);
	Effect		much = effect_update(prior, 9e7, 3.6e7, 1e7, 3e6);
	/* by hand: ratio ln(360.5/540.5) - ln(30.5/70.5) = .432928, variance 1/360.5 + 1/540.5 + 1/30.5 + 1/70.5 */
	double		ratio = log(360.5 / 540.5) - log(30.5 / 70.5);
	double		variance = 1 / 360.5 + 1 / 540.5 + 1 / 30.5 + 1 / 70.5;

	ok(none.mean == prior.mean && none.sd == prior.sd, "without cases on both sides the prior stands");
	ok_close(some.mean, (prior.mean / .09 + ratio / variance) / (1 / .09 + 1 / variance), 1e-12, "the mean weighs by precision");
	ok_close(some.sd, sqrt(1 / (1 / .09 + 1 / variance)), 1e-12, "as the sd does");
	ok_close(much.mean, log(.4 / .6) - log(.3 / .7), 1e-4, "with many cases it is what was measured");
	ok(effect_update(effect_prior(1), 10, 10, 10, 0).mean < 1, "ten of ten against none moves a discount's effect, but not far");
	ok_close(effect_inherit((Effect) {.1, .3}, .4).sd, .5, 1e-12, "a part is less sure than the whole");
	ok(effect_prior(1).mean == 0 && effect_prior(1).sd < effect_prior(0).sd, "discounts are met with doubt");
}

static void
test_trust(void)
{
	double		before = 2;

	ok(trust_factor(0, 0, 1) == 1, "without evidence an agent is believed");
	ok_close(trust_factor(24, 48, 1), 36.0 / 60, 1e-12, "half of what was claimed, after 48 claimed");
	for (int n = 1; n <= 1000; n *= 10)
	{
		double		factor = trust_factor(n / 3.0, n, 1);

		ok(factor < before, "a liar is believed less and less");
		before = factor;
	}
	ok_close(trust_factor(1e9 / 3, 1e9, 1), 1.0 / 3, 1e-6, "down to what it earns");
	ok_close(trust_factor(5e5, 5e5, .7), 1, 1e-4, "an honest one is believed at last, whatever the pool");
	ok(trust_factor(-500, 10, 1) == 0 && trust_factor(1e6, 1, 1) == TRUST_MOST, "bounds");
}

int
main(void)
{
	test_update();
	test_trust();
	return done();
}
