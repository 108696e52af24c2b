/*
 * score_test.c
 *		Scores of forecasts, against cases done by hand.
 */
#include "../../src/model/score.h"
#include "unit.h"

static void
test_scores(void)
{
	Scores		s = {0};

	ok(isnan(scores_log_loss(&s)) && isnan(scores_brier(&s)) && isnan(scores_ece(&s)), "no case, no score");
	scores_add(&s, 0.8, true);
	scores_add(&s, 0.8, false);
	scores_add(&s, 0.25, false);
	scores_add(&s, 1.0, true);
	ok_close(scores_log_loss(&s), -(log(0.8) + log(0.2) + log(0.75) + log(0.999)) / 4, 1e-14, "log loss, certainty clipped");
	ok_close(scores_brier(&s), (0.04 + 0.64 + 0.0625 + 0) / 4, 1e-14, "Brier score");
	/* bins: [.2,.3): .25 against 0; [.8,.9): 1.6 against 1; [.9,1]: 1 against 1 */
	ok_close(scores_ece(&s), (0.25 + 0.6 + 0) / 4, 1e-14, "calibration error");
	ok_close(s.bin[8].n, 2, 0, "both .8 in one bin");
	ok_close(s.bin[9].n, 1, 0, "1 in the last");
	scores_add(&s, NAN, true);
	scores_add(&s, -3, true);
	ok_close(s.bin[5].n + s.bin[0].n, 2, 0, "NaN counts as one half, what lies outside is taken in");
	ok_close(scores_brier(&s), (0.7425 + 0.25 + 1) / 6, 1e-14, "and the score is a number");
}

static void
test_ranks(void)
{
	static Ranks r;

	ok(isnan(ranks_auc(&r)), "no case, no area");
	ranks_add(&r, rank_of_probability(0.9), true);
	ok(isnan(ranks_auc(&r)), "nor without a case of the other kind");
	/* happened: .9 .4 .2; not: .5 .4 .1  ->  of 9 pairs 3 + 1.5 + 1 in order */
	ranks_add(&r, rank_of_probability(0.4), true);
	ranks_add(&r, rank_of_probability(0.2), true);
	ranks_add(&r, rank_of_probability(0.5), false);
	ranks_add(&r, rank_of_probability(0.4), false);
	ranks_add(&r, rank_of_probability(0.1), false);
	ok_close(ranks_auc(&r), 5.5 / 9, 1e-15, "pairs in order, a tie counts half");
	ok(rank_of_probability(0.001) < rank_of_probability(0.00101), "small ones are told apart");
	ok(rank_of_probability(0.5) < rank_of_probability(0.51), "and large ones");
	ok(rank_of_probability(0) == 0 && rank_of_probability(1) == RANKS - 1, "the ends of the scale");
	ok(rank_of_probability(NAN) == RANKS / 2, "NaN is in the middle");
	ok(rank_of_days(0) > rank_of_days(1) && rank_of_days(1e9) == 0 && rank_of_days(-5) == RANKS - 1, "fewer days rank higher");
}

static void
test_crps(void)
{
	const double cdf[4] = {0.1, 0.4, 0.7, 0.8};
	const double sure[4] = {0, 0, 1, 1};

	ok_close(score_crps(cdf, 4, 1, 2), 0.01 + 0.36 + 0.09 + 0.04, 1e-14, "on day 2");
	ok_close(score_crps(cdf, 4, 1, INFINITY), 0.01 + 0.16 + 0.49 + 0.64, 1e-14, "not within four days");
	ok_close(score_crps(cdf, 4, 1, 5), 0.01 + 0.16 + 0.49 + 0.64, 1e-14, "on a day beyond");
	ok_close(score_crps(sure, 4, 1, 3), 0, 0, "sure and right");
	ok_close(score_crps(sure, 4, 1, 1), 2, 0, "sure and two days late: the absolute error");
	ok_close(score_crps(cdf, 4, 2.5, 5), 2.5 * (0.01 + 0.36 + 0.09 + 0.04), 1e-14, "steps of two and a half days");
	ok_close(score_crps(cdf, 0, 1, 1), 0, 0, "no horizon, nothing to say");
}

static void
test_count_median(void)
{
	/* Poisson of mean 2.52: P(at most 2) = .539, P(at most 1) = .283 */
	ok_close(score_count_median(-expm1(-2.52), 2.52), 2, 0, "of a Poisson count");
	ok_close(score_count_median(-expm1(-2.68), 2.68), 3, 0, "of a larger one: P(at most 2) = .498");
	ok_close(score_count_median(0.5, 3), 0, 0, "none is as likely as any");
	ok_close(score_count_median(0.6, 3), 3, 0, "more zeros than a Poisson count of that mean");
	ok_close(score_count_median(0.9, 0.8), 1, 0, "less than one expected of those that come");
	ok_close(score_count_median(1, 5000), 5000, 0, "a large one is its mean");
	ok(isnan(score_count_median(NAN, 1)) && isnan(score_count_median(1, NAN)), "no number, no median");
	ok_close(score_count_median(0, INFINITY), 0, 0, "it cannot happen");
}

int
main(void)
{
	test_count_median();
	test_scores();
	test_ranks();
	test_crps();
	return done();
}
