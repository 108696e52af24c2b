/*
 * conformal_test.c
 *		Scores of intervals by hand; the scale on intervals that are too narrow or
 *		too wide in a known way, and what it then holds of dates to come.
 */
#include "../../src/model/model.h"
#include "unit.h"

#define N 4000
#define HORIZON 40.0

/* Dates e^(2 + z), whole days begun; the interval believes in a spread of z that is not so. */
static DateInterval
believed(double spread)
{
	const double z90 = 1.2815515655446004;

	return (DateInterval) {exp(2.0 - spread * z90), exp(2.0), exp(2.0 + spread * z90)};
}

static double
date(UnitRandom *random)
{
	return ceil(exp(2.0 + unit_normal(random)));
}

static bool
holds(const DateInterval *interval, double day)
{
	return fmin(ceil(interval->early), HORIZON) <= fmin(day, HORIZON) && fmin(day, HORIZON) <= fmin(ceil(interval->late), HORIZON);
}

/* The scale learnt from dates, and the share of others that the scaled interval holds. */
static double
learn(double spread, uint64_t seed, double *share)
{
	static double scores[N];
	UnitRandom	random = {seed, 0};
	DateInterval raw = believed(spread);
	DateInterval scaled;
	double		scale;
	int			held = 0;

	for (int i = 0; i < N; i++)
		scores[i] = conformal_score(&raw, date(&random), HORIZON);
	scale = conformal_scale(scores, N, INTERVAL_SHARE);
	scaled = conformal_scaled(&raw, scale);
	for (int i = 0; i < N; i++)
		held += holds(&scaled, date(&random));
	*share = (double) held / N;
	return scale;
}

int
main(void)
{
	const DateInterval by_hand = {5, 10, 40};
	const DateInterval never = {5, 10, INFINITY};
	const DateInterval gone = {20, INFINITY, INFINITY};
	double		few[INTERVAL_MIN_CASES];
	DateInterval scaled = conformal_scaled(&by_hand, 0.5);
	bool		agree = true;
	double		share;
	double		narrow;
	double		wide;

	ok_close(conformal_score(&by_hand, 5, 100), 1, 1e-14, "on the early edge");
	ok_close(conformal_score(&by_hand, 2.5, 100), 2, 1e-14, "twice as far from the median");
	ok_close(conformal_score(&by_hand, 41, 100), 1, 1e-14, "the day in which the late edge falls");
	ok_close(conformal_score(&by_hand, 161, 100000), 2, 1e-14, "twice as far, late");
	ok(conformal_score(&by_hand, 11, 100) == 0, "the day in which the median falls");
	ok_close(conformal_score(&by_hand, INFINITY, 41), 1, 1e-14, "beyond the horizon: as on it");
	ok(conformal_score(&by_hand, 500, 10) == 0, "no median within the horizon, no date either");
	ok(conformal_score(&never, 1e9, INFINITY) == 0, "an interval without an end holds all that is late");
	ok(isinf(conformal_score(&gone, 19, 100)) && conformal_score(&gone, 20, 100) == 0, "without a median nothing can be scaled");
	ok_close(scaled.early, 10 / sqrt(2), 1e-14, "half as wide, early");
	ok_close(scaled.late, 20, 1e-14, "and late");
	ok(isinf(conformal_scaled(&never, 0.5).late) && conformal_scaled(&gone, 0.5).early == 20, "what is infinite stays so");

	for (double day = 1; day < 60; day++)
	{
		double		score = conformal_score(&by_hand, day, HORIZON);
		DateInterval just = conformal_scaled(&by_hand, score * (1 + 1e-9) + 1e-9);
		DateInterval less = conformal_scaled(&by_hand, score * (1 - 1e-6));

		agree &= holds(&just, day) && (score == 0 || !holds(&less, day));
	}
	ok(agree, "the score is the scale from which the interval holds the date");

	for (int i = 0; i < INTERVAL_MIN_CASES; i++)
		few[i] = 0.5 + 0.01 * i;
	ok(conformal_scale(few, INTERVAL_MIN_CASES - 1, 0.8) == 1, "too few: as it is");
	ok_close(conformal_scale(few, INTERVAL_MIN_CASES, 0.8), 0.5 + 0.01 * 80, 1e-14, "the 81st of a hundred");

	narrow = learn(0.5, 3, &share);
	ok(narrow > 1.5 && fabs(share - 0.8) < 0.03, "half as wide as it should be: widened, and holds four of five");
	printf("# scale %.3f, share %.3f\n", narrow, share);
	wide = learn(2.0, 4, &share);
	ok(wide < 0.7 && fabs(share - 0.8) < 0.03, "twice as wide: narrowed, and holds four of five");
	printf("# scale %.3f, share %.3f\n", wide, share);
	return done();
}
