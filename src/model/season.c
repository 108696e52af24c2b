/*
 * season.c
 *		The firm's own calendar: how much ordering a day of the year sees, and time
 *		measured by it.
 *
 * A gap of 20 days over a closed Christmas is not a gap of 20 days in May: rhythms
 * run on days of equal intensity, of which an average year has as many as it has
 * days.  Days are numbers, 0 being 2000-01-01.  A Season of zero bytes is flat,
 * and gives calendar days back as they are.
 */
#include <math.h>
#include <string.h>

#include "model.h"

#define FEB_29 59				/* its slot in a year of 366 slots */
#define YEAR 365.2425
#define SMOOTH 17				/* days to each side */
#define LEAST_WEIGHT 0.02		/* a closed day: never nothing, so that time goes on */
#define CLOSED_SHARE 0.25
#define CLOSED_DOUBT 11.5		/* -ln of the chance that an open run sees so little */
#define USUAL_VARIANCE 0.04

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 2000-01-01 to the first day of a year. */
static int
year_start(int year)
{
	int			y = year - 1;
	int			before = y / 4 - y / 100 + y / 400;

	return 365 * (year - 2000) + before - (1999 / 4 - 1999 / 100 + 1999 / 400);
}

/* The year of a day, and its slot: 0 is the first of January, 59 the 29th of February. */
static int
slot_of(int day, int *slot)
{
	int			year = 2000 + (int) floor(day / YEAR);

	if (year < 1)
		year = 1;
	while (year_start(year + 1) <= day)
		year++;
	while (year > 1 && year_start(year) > day)
		year--;
	*slot = day - year_start(year);
	if (*slot < 0)
		*slot = 0;
	if (!is_leap(year) && *slot >= FEB_29)
		(*slot)++;
	return year;
}

static double
leap_day(const Season *s)
{
	return s->before[FEB_29 + 1] - s->before[FEB_29];
}

/* Equivalent days of a year before a slot, and of all of it (slot 366). */
static double
within_year(const Season *s, int year, int slot)
{
	return s->before[slot] - (slot > FEB_29 && !is_leap(year) ? leap_day(s) : 0.0);
}

/*
 * Equivalent average days from one day to another, the first included and the
 * second not: the sum of the intensities of the days between.
 */
double
season_days(const Season *season, int from, int to)
{
	int			slot_from,
				slot_to,
				year_from,
				year_to;
	double		days;

	if (!season->fitted)
		return to - from;
	if (to < from)
		return -season_days(season, to, from);
	year_from = slot_of(from, &slot_from);
	year_to = slot_of(to, &slot_to);
	days = within_year(season, year_to, slot_to) - within_year(season, year_from, slot_from);
	for (int y = year_from; y < year_to; y++)
		days += within_year(season, y, SEASON_DAYS);
	return days;
}

/*
 * The calendar days after `from` when so many equivalent days have passed, the
 * inverse of season_days: whole days by their sums, the rest as a share of the
 * day it falls on.  Times beyond a century are left as they are.
 */
double
season_calendar(const Season *season, int from, double days)
{
	int			slot,
				year,
				low,
				high = SEASON_DAYS;
	double		target;

	if (!season->fitted || !(days > 0.0) || !(days < 36525.0))
		return days;
	year = slot_of(from, &slot);
	target = within_year(season, year, slot) + days;
	while (target >= within_year(season, year, SEASON_DAYS))
		target -= within_year(season, year++, SEASON_DAYS);
	low = 0;
	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if (within_year(season, year, middle) <= target)
			low = middle;
		else
			high = middle;
	}
	if (low == FEB_29 && !is_leap(year))
		low++;
	return year_start(year) + (low > FEB_29 && !is_leap(year) ? low - 1 : low) - from
		+ fmin(1.0, (target - within_year(season, year, low)) / (season->before[low + 1] - season->before[low]));
}

/* A calendar from the intensities of the 366 slots, any scale; not positive or not finite: flat. */
void
season_set(Season *season, const double weight[SEASON_DAYS])
{
	double		sum = 0.0;

	memset(season, 0, sizeof(*season));
	for (int i = 0; i < SEASON_DAYS; i++)
		sum += fmax(0.0, weight[i]) * (i == FEB_29 ? YEAR - 365.0 : 1.0);
	if (!(sum > 0.0) || !isfinite(sum))
		return;
	for (int i = 0; i < SEASON_DAYS; i++)
		season->before[i + 1] = season->before[i] + fmax(LEAST_WEIGHT, weight[i] * YEAR / sum);
	/* closed days were lifted a little: to an average year again */
	sum = season->before[SEASON_DAYS] - (1.0 - (YEAR - 365.0)) * leap_day(season);
	for (int i = 1; i <= SEASON_DAYS; i++)
		season->before[i] *= YEAR / sum;
	season->fitted = true;
}

/* ---- the estimate ---- */

/* What is known of a slot: orders seen, and expected of a flat year with the clients and weekdays of those days. */
typedef struct Slots
{
	double		orders[SEASON_DAYS];
	double		expected[SEASON_DAYS];
	bool		closed[SEASON_DAYS];
	double		weight[SEASON_DAYS];
} Slots;

static int
weekday(int day)
{
	return (day % 7 + 7) % 7;
}

/* Orders by slot against what the clients of each day would order in a flat year, by weekday. */
static void
fill_slots(Slots *s, const double *orders, const double *expected, int first_day, int n)
{
	double		seen[7] = {0.0};
	double		usual[7] = {0.0};

	memset(s, 0, sizeof(*s));
	for (int t = 0; t < n; t++)
	{
		seen[weekday(first_day + t)] += fmax(0.0, orders[t]);
		usual[weekday(first_day + t)] += fmax(0.0, expected[t]);
	}
	for (int t = 0; t < n; t++)
	{
		int			d = weekday(first_day + t);
		int			slot;

		slot_of(first_day + t, &slot);
		s->orders[slot] += fmax(0.0, orders[t]);
		if (usual[d] > 0.0)
			s->expected[slot] += fmax(0.0, expected[t]) * seen[d] / usual[d];
	}
}

/* The intensity around a slot, closed days left out: a triangle of weights, in the circle of the year. */
static double
around(const Slots *s, int slot, double *effective)
{
	double		orders = 0.0;
	double		expected = 0.0;
	double		square = 0.0;

	for (int d = -SMOOTH; d <= SMOOTH; d++)
	{
		int			i = (slot + d + SEASON_DAYS) % SEASON_DAYS;
		double		w = 1.0 - fabs((double) d) / (SMOOTH + 1);

		if (s->closed[i])
			continue;
		orders += w * s->orders[i];
		expected += w * s->expected[i];
		square += w * w * s->expected[i];
	}
	*effective = square > 0.0 ? expected * expected / square : 0.0;
	return expected > 0.0 ? orders / expected : 1.0;
}

/*
 * Runs of days, a quarter or less of what their neighbourhood lets expect on
 * each, that chance does not explain: P(o or less | e) <= exp(-(e - o + o ln(o/e)))
 * (Chernoff).  Days of which nothing was expected (Sundays) join their
 * neighbours, and end no run.
 */
static void
find_closed(Slots *s)
{
	bool		closed[SEASON_DAYS] = {false};
	double		usual[SEASON_DAYS];
	double		effective;
	int			start = 0;

	for (int i = 0; i < SEASON_DAYS; i++)
		usual[i] = s->expected[i] * around(s, i, &effective);
	/* begin behind an open day, so that no run is cut by the turn of the year */
	while (start < SEASON_DAYS && s->orders[start] <= CLOSED_SHARE * usual[start])
		start++;
	for (int i = 0; i < SEASON_DAYS;)
	{
		double		o = 0.0;
		double		e = 0.0;
		int			n = 0;

		while (i + n < SEASON_DAYS && s->orders[(start + i + n) % SEASON_DAYS]
			   <= CLOSED_SHARE * usual[(start + i + n) % SEASON_DAYS])
		{
			o += s->orders[(start + i + n) % SEASON_DAYS];
			e += usual[(start + i + n) % SEASON_DAYS];
			n++;
		}
		if (n > 0 && e - o + (o > 0.0 ? o * log(o / e) : 0.0) > CLOSED_DOUBT)
			for (int j = 0; j < n; j++)
				closed[(start + i + j) % SEASON_DAYS] = true;
		i += n + 1;
	}
	memcpy(s->closed, closed, sizeof(closed));
}

/* How far the year differs from flat beyond chance: the variance of its slots, precise ones counting more. */
static double
true_variance(const double *smooth, const double *noise)
{
	double		sum = 0.0;
	double		weights = 0.0;

	for (int i = 0; i < SEASON_DAYS; i++)
	{
		double		w = 1.0 / (noise[i] + USUAL_VARIANCE);

		sum += w * ((smooth[i] - 1.0) * (smooth[i] - 1.0) - noise[i]);
		weights += w;
	}
	return fmax(0.0, sum / weights);
}

/* Orders come in clumps: the variance of a week's orders over what Poisson's would be. */
static double
clumping(const Slots *s, const double *smooth)
{
	double		sum = 0.0;
	int			n = 0;

	for (int week = 0; week < 52; week++)
	{
		double		o = 0.0;
		double		e = 0.0;

		for (int i = 7 * week; i < 7 * week + 7; i++)
			if (!s->closed[i])
			{
				o += s->orders[i];
				e += s->expected[i] * smooth[i];
			}
		if (e > 0.0)
		{
			sum += (o - e) * (o - e) / e;
			n++;
		}
	}
	return n > 0 ? fmax(1.0, sum / n) : 1.0;
}

static void
shape_year(Slots *s)
{
	double		smooth[SEASON_DAYS];
	double		noise[SEASON_DAYS];
	double		phi,
				variance;

	find_closed(s);
	find_closed(s);				/* again: closed days no longer lower their neighbourhood */
	for (int i = 0; i < SEASON_DAYS; i++)
	{
		smooth[i] = around(s, i, &noise[i]);
		noise[i] = 1.0 / fmax(noise[i], 0.01);
	}
	phi = clumping(s, smooth);
	for (int i = 0; i < SEASON_DAYS; i++)
		noise[i] *= phi;
	variance = true_variance(smooth, noise);
	for (int i = 0; i < SEASON_DAYS; i++)
	{
		s->weight[i] = 1.0 + variance / (variance + noise[i]) * (smooth[i] - 1.0);
		if (s->closed[i])
			s->weight[i] = s->expected[i] > 0.0 ? fmin(1.0, s->orders[i] / s->expected[i]) : LEAST_WEIGHT;
	}
}

/*
 * The calendar from n successive days, the first being first_day: orders of
 * each, the clients' first ones left out, and expected, the sum of the mean rates of
 * the clients who were between their first and last order, so that clients who
 * come and go are no season.  Per day of the year: orders over what is expected by weekday, smoothed
 * by a triangle of five weeks, drawn towards flat as far as chance explains it
 * (empirical Bayes: variance / (variance + noise)), closed days as they are.  False, and flat, with less
 * than a year of days or fewer than 200 orders.
 */
bool
season_fit(Season *season, const double *orders, const double *expected, int first_day, int n)
{
	Slots		slots;
	double		all = 0.0;
	double		usual = 0.0;

	memset(season, 0, sizeof(*season));
	for (int t = 0; t < n; t++)
	{
		all += fmax(0.0, orders[t]);
		usual += fmax(0.0, expected[t]);
	}
	if (n < SEASON_LEAST_DAYS || !(all >= SEASON_LEAST_ORDERS) || !isfinite(all) || !(usual > 0.0) || !isfinite(usual))
		return false;
	fill_slots(&slots, orders, expected, first_day, n);
	shape_year(&slots);
	season_set(season, slots.weight);
	return season->fitted;
}

/* The intensity of a slot, 1 being an average day's. */
double
season_weight(const Season *season, int slot)
{
	return season->fitted ? season->before[slot + 1] - season->before[slot] : 1.0;
}
