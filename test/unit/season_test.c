/*
 * season_test.c
 *		The firm's calendar: days against a count day by day, its inverse, a flat
 *		season, and what the estimate finds and leaves alone.
 */
#include <string.h>

#include "../../src/model/model.h"
#include "unit.h"

static UnitRandom random_state = {20240517, 0};

/* 2022-01-01, a Saturday, counted from 2000-01-01. */
#define DAY_0 8036

static Season
planted(void)
{
	double		weight[SEASON_DAYS];
	Season		s;

	for (int i = 0; i < SEASON_DAYS; i++)
		weight[i] = i >= 200 && i < 214 ? 0.0 : 1.0 + 0.5 * sin(i / 20.0);
	season_set(&s, weight);
	return s;
}

static void
test_days(void)
{
	Season		flat = {0};
	Season		s = planted();
	bool		adds = true,
				inverts = true,
				rises = true,
				same = true;

	for (int from = -40000; from < 40000; from += 997)
		for (int to = from; to < from + 3000; to += 211)
		{
			double		days = season_days(&s, from, to);

			adds &= fabs(days + season_days(&s, to, to + 1) - season_days(&s, from, to + 1)) < 1e-8
				&& season_days(&s, to, from) == -days;
			rises &= season_days(&s, to, to + 1) > 0.019;
			if (to > from)
				inverts &= fabs(season_calendar(&s, from, days) - (to - from)) < 1e-6
					&& fabs(season_calendar(&s, from, days + 0.3 * season_days(&s, to, to + 1)) - (to - from) - 0.3) < 1e-6;
			same &= season_days(&flat, from, to) == to - from && season_calendar(&flat, from, to + 0.123) == to + 0.123;
		}
	ok(adds, "days add up over two centuries, and backwards");
	ok(rises, "a closed day is never nothing");
	ok(inverts, "the calendar day is the inverse, with its fraction");
	ok(same, "a flat season gives calendar days bit for bit");
	ok_close(season_days(&s, 0, 146097), 146097, 1e-12, "four hundred years are as long as they are");
	ok(season_days(&s, DAY_0 + 199, DAY_0 + 213) < 0.5, "a closed fortnight is less than half a day");
	/* slot 59 is the 29th of February: 2024-02-28 to 2024-03-01 holds it, 2023 does not */
	ok_close(season_days(&s, 8824, 8826) - season_days(&s, 8824, 8825), season_weight(&s, 59), 1e-9, "a leap year's day counts its own");
	ok_close(season_days(&s, 8459, 8461) - season_days(&s, 8459, 8460), season_weight(&s, 60), 1e-9, "and no day in other years");
	ok(season_calendar(&s, DAY_0, 1e7) == 1e7 && isinf(season_calendar(&s, DAY_0, INFINITY)), "far times are left as they are");
}

/* Poisson by sums of exponentials; large means by the normal. */
static double
poisson(double mean)
{
	double		sum = 0.0;
	int			n = -1;

	if (mean > 50.0)
		return fmax(0.0, rint(mean + sqrt(mean) * unit_normal(&random_state)));
	do
	{
		sum -= log(unit_uniform(&random_state));
		n++;
	} while (sum < mean);
	return n;
}

/* Daily orders: so many on average, growing by half a year, Sundays free, with or without the planted season. */
static bool
fit(Season *s, double a_day, int n, bool season)
{
	static double orders[3000];
	static double expected[3000];

	for (int t = 0; t < n; t++)
	{
		int			doy = t % 365;
		double		w = !season ? 1.0 : doy >= 200 && doy < 214 ? 0.0 : doy == 120 ? 0.0 : 1.0 + 0.5 * sin(doy / 58.1);

		expected[t] = a_day * exp(0.4 * t / 365.0);
		orders[t] = (t + 6) % 7 == 0 ? 0.0 : poisson(w * expected[t]);
	}
	return season_fit(s, orders, expected, DAY_0, n);
}

static double
most_off_flat(const Season *s)
{
	double		most = 0.0;

	for (int i = 0; i < SEASON_DAYS; i++)
		most = fmax(most, fabs(season_weight(s, i) - 1.0));
	return most;
}

static void
test_fit(void)
{
	Season		s;
	double		error = 0.0;

	ok(fit(&s, 40, 2 * 365 + 90, true), "two years of forty orders a day, growing");
	for (int i = 0; i < 365; i += 7)
		if (i < 190 || i > 220)
			error = fmax(error, fabs(season_weight(&s, i + (i >= 59)) / (1.0 + 0.5 * sin(i / 58.1)) * 0.85 - 1.0));
	ok(error < 0.25, "the wave is found");
	ok(season_weight(&s, 205 + 1) < 0.05 && season_weight(&s, 213 + 1) < 0.05 && season_weight(&s, 199) > 0.4
	   && season_weight(&s, 216) > 0.4, "a closed fortnight, to the day");
	ok(season_weight(&s, 121) < 0.1 && season_weight(&s, 120) > 0.5 && season_weight(&s, 122) > 0.5, "a holiday of one day");

	ok(fit(&s, 40, 3 * 365, false) && most_off_flat(&s) < 0.06, "no season: flat, however it grows");
	ok(fit(&s, 1, 2 * 365, false) && most_off_flat(&s) < 0.2, "few orders and no season: nearly flat");
	ok(fit(&s, 40, 400, true) && season_weight(&s, 206) < 0.05, "thirteen months: the closed fortnight is seen");
	ok(!fit(&s, 40, 365, true) && !s.fitted, "less than a year: flat");
	ok(!fit(&s, 0.2, 730, true) && !s.fitted, "too few orders: flat");
}

static void
test_edges(void)
{
	double		weight[SEASON_DAYS] = {0};
	static double orders[800];
	static double expected[800];
	Season		s;

	season_set(&s, weight);
	ok(!s.fitted, "no intensity at all: flat");
	weight[7] = 1.0;
	season_set(&s, weight);
	ok(s.fitted && fabs(season_days(&s, 0, 146097) - 146097) < 1e-6 && season_weight(&s, 100) > 0.0, "all orders on one day of the year");
	weight[7] = NAN;
	season_set(&s, weight);
	ok(!s.fitted || isfinite(s.before[SEASON_DAYS]), "NaN is not spread");
	for (int t = 0; t < 800; t++)
		expected[t] = 4.0;
	orders[400] = 1e6;
	ok(season_fit(&s, orders, expected, DAY_0, 800) && isfinite(season_days(&s, 0, 1000)), "one day of a million orders in two years: finite");
	for (int t = 0; t < 800; t++)
		orders[t] = t % 7 == 2 ? 30 : 0;
	ok(season_fit(&s, orders, expected, DAY_0, 800) && most_off_flat(&s) < 0.1, "orders on one weekday only: no closed days");
}

int
main(void)
{
	test_days();
	test_fit();
	test_edges();
	return done();
}
