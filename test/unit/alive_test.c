/*
 * alive_test.c
 *		The interim baseline of clients who may have gone.
 *
 * The references share no formula with the code: the survival of a gap is the
 * integral over lambda ~ Gamma(r + 2n, alpha + S) of the Erlang survival
 * exp(-lambda u) (1 + lambda u), by Simpson's rule with 200,000 steps in ln
 * lambda (Python), and then P(order within h) is one quotient of joint
 * probabilities: ((1-d) (S(e) - S(e+h)) + d (1 - .98^(h/14))) / ((1-d) S(e) + d)
 * with d = .05.  Prior k = 2, r = 3, alpha = 40; three gaps of 14 days keep k = 2.
 */
#include "../../src/model/model.h"
#include "unit.h"

static const GapPrior prior = {.k = 2.0, .r = 3.0, .alpha = 40.0, .n_clients = 500.0};

/* n equal gaps. */
static GapStats
steady(int n, double gap)
{
	return (GapStats) {n, n * gap, n > 0 ? n * log(gap) : 0.0};
}

typedef struct Reference
{
	int			gaps;			/* of 14 days */
	double		elapsed,
				horizon,
				p;
} Reference;

static const Reference references[] = {
	{0, 0, 14, 0.264564440831626},
	{0, 7, 14, 0.338536813826251},
	{0, 30, 14, 0.312822131735066},
	{0, 90, 14, 0.160354296423364},
	{0, 365, 14, 0.0247309358610749},
	{0, 30, 1, 0.0282318527925703},
	{0, 30, 90, 0.797540308214797},
	{3, 0, 14, 0.41927274613728},
	{3, 7, 14, 0.521942911285576},
	{3, 30, 14, 0.46546897836398},
	{3, 90, 14, 0.0754891319369153},
	{3, 365, 14, 0.0200081286556318},
	{3, 30, 1, 0.0489686204616466},
	{3, 30, 90, 0.81405574214001},
};

static void
test_references(void)
{
	for (int i = 0; i < (int) (sizeof(references) / sizeof(references[0])); i++)
	{
		const Reference *c = &references[i];
		GapStats	client = steady(c->gaps, 14.0);
		char		name[100];

		snprintf(name, sizeof(name), "P(order within %g days) after %g days, %d gaps", c->horizon, c->elapsed, c->gaps);
		ok_close(alive_order_within(&prior, &client, c->elapsed, c->horizon), c->p, 1e-10, name);
	}
	/* fractions: .95 s / (.95 s + .05), and .15 / .65 */
	ok_close(alive_given_silence(1.0, 0.05), 0.95, 1e-15, "no silence yet: gone with the share of dropout");
	ok_close(alive_given_silence(0.5, 0.05), 19.0 / 21.0, 1e-15, "a silence that half of the living outlast");
	ok_close(alive_given_silence(0.05, 0.05), 19.0 / 39.0, 1e-15, "one that a twentieth outlasts");
	ok_close(alive_given_silence(1e-9, 0.05), 1.8999999639000005e-08, 1e-14, "one that hardly any outlasts");
	ok_close(alive_given_silence(0.3, 0.5), 3.0 / 13.0, 1e-15, "another dropout");
}

static void
test_domain(void)
{
	GapStats	client = steady(3, 14.0);
	double		back = 1.0 - pow(1.0 - ALIVE_RETURN, 30.0 / ALIVE_RETURN_DAYS);

	ok(alive_given_silence(0.0, 0.05) == 0.0, "a silence that nobody outlasts: gone");
	ok(alive_given_silence(0.0, 0.0) == 1.0, "where nobody goes, alive however silent");
	ok(alive_given_silence(0.7, 1.0) == 0.0, "where all go, gone");
	ok(alive_given_silence(1.5, 0.05) == alive_given_silence(1.0, 0.05)
	   && alive_given_silence(-0.5, 0.05) == 0.0, "a survival outside [0, 1] counts as its end");
	ok(alive_order_within(&prior, &client, 20, 0) == 0.0, "no time, no order");
	ok(alive_order_within(&prior, &client, 20, -5) == 0.0, "nor in negative time");
	ok(alive_order_within(&prior, &client, -5, 14) == alive_order_within(&prior, &client, 0, 14),
	   "an order in the future is one of now");
	ok_close(alive_order_within(&prior, &client, 1e6, 30), back, 1e-6, "after ages only the rate of return is left");
	ok(isnan(alive_order_within(&prior, &client, NAN, 14)), "no number in, none out");
}

static void
test_monotone(void)
{
	static const int counts[] = {0, 1, 3, 10, 40};
	bool		probability = true;
	bool		in_horizon = true;
	bool		in_silence = true;
	bool		in_survival = true;

	for (int i = 0; i < 5; i++)
	{
		GapStats	client = steady(counts[i], 14.0);

		for (double elapsed = 0; elapsed <= 400; elapsed += 5)
		{
			double		before = 0;

			for (double horizon = 0; horizon <= 200; horizon += 4)
			{
				double		p = alive_order_within(&prior, &client, elapsed, horizon);

				probability &= p >= 0 && p <= 1;
				in_horizon &= horizon == 0 || p > before;
				before = p;
			}
			in_silence &= alive_given_silence(gap_survival(&prior, &client, elapsed + 5), ALIVE_DROPOUT)
				< alive_given_silence(gap_survival(&prior, &client, elapsed), ALIVE_DROPOUT);
		}
	}
	for (double s = 0; s < 1; s += 0.001)
		in_survival &= alive_given_silence(s + 0.001, 0.05) > alive_given_silence(s, 0.05)
			&& alive_given_silence(s + 0.001, 0.2) < alive_given_silence(s + 0.001, 0.05);
	ok(probability, "a probability, for 5 clients, 81 silences, 51 horizons");
	ok(in_horizon, "more time, more chance");
	ok(in_silence, "more silence, less life");
	ok(in_survival, "rises with survival, falls with dropout");
}

/* What the room is for: by the gaps of the living alone a late steady client is a sure sale. */
static void
test_late(void)
{
	GapStats	client = steady(40, 14.0);

	ok(gap_order_within(&prior, &client, 60, 14) > 0.95 && alive_order_within(&prior, &client, 60, 14) < 0.05,
	   "a steady client who is six weeks late is no sure sale");
	ok(fabs(alive_order_within(&prior, &client, 10, 14) - gap_order_within(&prior, &client, 10, 14)) < 0.06,
	   "one who is not late yet is");
}

int
main(void)
{
	test_references();
	test_domain();
	test_monotone();
	test_late();
	return done();
}
