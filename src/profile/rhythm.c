/*
 * rhythm.c
 *		A client's order days on the firm's own calendar.
 *
 * Gaps, silence and horizons that the gap model sees are days of equal
 * intensity (season.c in the models); days that people see are calendar days.  A
 * flat season gives the stored sums, bit for bit.
 */
#include "postgres.h"

#include <math.h>

#include "profile/assess.h"
#include "profile/rows.h"

#define LEAST_GAP 0.5			/* days; both orders may lie in a closed week */

/* A gap between two order days. */
static double
gap_between(const Season *season, DateADT from, DateADT to)
{
	return season->fitted ? Max(season_days(season, from, to), LEAST_GAP) : to - from;
}

/* The last gaps, oldest first; returns how many. */
int
profile_recent_gaps(const ClientProfile *profile, const Season *season, double gaps[CHART_GAPS])
{
	DateADT		day = profile->last_order_on;

	for (int i = profile->n_recent - 1; i >= 0; i--)
	{
		gaps[i] = gap_between(season, day - profile->recent[i], day);
		day -= profile->recent[i];
	}
	return profile->n_recent;
}

/* What the gap model needs of a profile; logarithms of gaps older than those kept are of calendar days. */
GapStats
profile_gaps(const ClientProfile *profile, const Season *season)
{
	GapStats	gaps = {.n = profile->n_gaps, .sum = profile->gap_sum, .sum_log = profile->gap_sum_log};
	double		recent[CHART_GAPS];
	int			kept = 0;

	if (!season->fitted || gaps.n == 0)
		return gaps;
	profile_recent_gaps(profile, season, recent);
	gaps.sum = 0;
	for (int i = 0; i < profile->n_recent; i++)
	{
		gaps.sum += recent[i];
		gaps.sum_log += log(recent[i]) - log(profile->recent[i]);
		kept += profile->recent[i];
	}
	if (profile->n_gaps > profile->n_recent)
		gaps.sum += gap_between(season, profile->last_order_on - profile->gap_sum, profile->last_order_on - kept);
	return gaps;
}

/* The calendar days after a day when so many days of the clock have passed; at most MAX_CALENDAR_DAYS. */
double
profile_calendar(const Population *population, DateADT from, double days)
{
	return days < MAX_CALENDAR_DAYS ? Min(season_calendar(&population->season, from, days), MAX_CALENDAR_DAYS) :
		MAX_CALENDAR_DAYS;
}

/* Order days after a day, as far back as gaps are kept. */
int
profile_order_days_after(const ClientProfile *profile, DateADT after)
{
	DateADT		day = profile->last_order_on;
	int			n = 0;

	if (profile->n_orders == 0 || day <= after)
		return 0;
	for (n = 1; n <= profile->n_recent; n++)
	{
		day -= profile->recent[profile->n_recent - n];
		if (day <= after)
			break;
	}
	return n;
}
