/*
 * repurchase_interval.c
 *		Orders whose next one is known, or known not to have come, by which the
 *		interval of the next order is scaled.
 *
 * From the gaps that the sample keeps of each client; reads no table.  An order
 * is taken or left by what was known on its day, never by what came after, else
 * long gaps or short ones would be preferred.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "profile/repurchase_sample.h"

#define LEAST_GAPS 4			/* before an order: the client has a rhythm of its own */
#define MOST_CASES 2000			/* about so many: the share held is good to 1 % then */
#define LEAST_GAP 0.5			/* as in rhythm.c */

typedef struct Cases
{
	int			n;
	int			max;
	IntervalCase *of;
} Cases;

static void
add_case(Cases *cases, const IntervalCase *c)
{
	if (cases->n == cases->max)
	{
		cases->max *= 2;
		cases->of = repalloc_huge(cases->of, cases->max * sizeof(IntervalCase));
	}
	cases->of[cases->n++] = *c;
}

/* The orders of one client in the window's length before it, the last one first. */
static void
add_client(Cases *cases, const BuyerSample *sample, const BuyerWindow *window, const Drawn *drawn)
{
	const Season *season = &profile_population()->season;
	DateADT		to = sample->today - window->days;
	DateADT		day = drawn->last_on;
	IntervalCase c = {.then = drawn->buyer, .gap = drawn->buyer.T - drawn->buyer.tx};

	c.then.T = c.then.tx;
	for (int i = drawn->n_recent - 1;; i--)
	{
		if (day <= to - window->days || c.then.x < LEAST_GAPS || !buyer_valid(&c.then))
			return;
		if (day <= to)
			add_case(cases, &c);
		if (i < 0)
			return;
		c.gap = Max(season_days(season, day - drawn->recent[i], day), LEAST_GAP);
		c.then.x--;
		c.then.tx -= c.gap;
		c.then.T = c.then.tx;
		c.then.sum_log -= log(c.gap);
		day -= drawn->recent[i];
	}
}

/* See repurchase_sample.h. */
int
interval_cases(const BuyerSample *sample, const BuyerWindow *window, int segment, IntervalCase **found)
{
	Cases		cases = {.max = 64, .of = palloc(64 * sizeof(IntervalCase))};
	int			step;
	int			kept = 0;

	for (int i = 0; i < sample->n; i++)
		if (drawn_belongs(&sample->drawn[i], segment))
			add_client(&cases, sample, window, &sample->drawn[i]);
	step = cases.n / MOST_CASES + 1;
	for (int i = 0; i < cases.n; i += step)
		cases.of[kept++] = cases.of[i];
	*found = cases.of;
	return kept;
}
