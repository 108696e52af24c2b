/*
 * repeat_test.c
 *		The repeat rate and the effect of an action, on cases done by hand.
 */
#include "../../src/model/model.h"
#include "unit.h"

int
main(void)
{
	double		f1 = 0.0;

	ok_close(decay_pow(0.9, 0), 1.0, 0.0, "nothing decays over no orders");
	ok_close(decay_pow(0.9, 2), 0.81, 1e-15, "two orders");
	ok_close(decay_pow(0.9, -3), 1.0, 0.0, "a negative distance counts as none");
	ok(decay_pow(0.6, 1e6) == 0.0, "all is gone after a million orders");

	ok_close(repeat_rate(0, 0.03, 0), 0.03, 1e-15, "no order yet: the product's share");
	ok_close(repeat_rate(1, 0.02, 1), (1 + 0.01) / 1.5, 1e-15, "bought in the only order");
	/* bought in the first and third of three orders: f1 = .81 + 1, N1 = 2.71 */
	ok_close(repeat_rate(1.81, 0.1, 3), 1.86 / 3.21, 1e-14, "two orders of three");
	for (int i = 0; i < 500; i++)
		f1 = f1 * REPEAT_DECAY_SLOW + 1.0;
	ok_close(repeat_rate(f1, 0, 500), 10.0 / 10.5, 1e-12, "in every order: 10 / 10.5");
	ok(repeat_rate(1e9, 1, 5) <= 1.0 && repeat_rate(-1, -1, 5) == 0.0, "stays a probability on bad input");

	ok(fabs(effect_apply(0.55, 0.20) - 0.599) < 5e-4, "p0 .55, effect .20: p1 .599");
	ok_close(effect_apply(0.55, 0.20), 1 / (1 + 0.45 / 0.55 * exp(-0.2)), 1e-15, "the same from odds");
	ok_close(effect_apply(0.3, 0), 0.3, 1e-15, "no effect");
	ok_close(effect_apply(effect_apply(0.3, 1.7), -1.7), 0.3, 1e-14, "there and back");
	ok(effect_apply(0, 5) == 0.0 && effect_apply(1, -5) == 1.0, "certainty stays");
	ok(effect_apply(-0.1, 1) == 0.0 && effect_apply(1.1, 1) == 1.0, "taken into [0, 1]");
	ok(effect_apply(0.5, 1e6) == 1.0 && effect_apply(0.5, -1e6) == 0.0, "no overflow");
	ok_close(effect_apply(1e-300, 1), 1e-300 * exp(1), 1e-12, "smallest baselines keep their digits");
	ok(isnan(effect_apply(0.5, NAN)) && isnan(effect_apply(NAN, 1)), "NaN is not hidden");
	return done();
}
