/*
 * stage.c
 *		Lifecycle stages: the rules, and nothing but the rules.
 *
 *	prospect	no order
 *	new			one order day, silence not yet alarming; or up to three order
 *				days, the first less than two median gaps of the population ago
 *	one_off		one order day, silence alarming, not yet lost
 *	at_risk		silence < alarm_p
 *	dormant		silence < alarm_p / 10, at the latest after a year, but never
 *				within 30 days of the alarm
 *	lost		silence < alarm_p / 100, at the latest after two years, but
 *				never within 90 days of the dormant limit
 *	won_back	one of the last two gaps had passed the dormant limit as it
 *				stood then: fewer than three order days since
 *	growing, declining
 *				order rate of the last three whole months against up to nine
 *				before them: at least six orders, |z| >= 2.58, and the amount
 *				rate moved the same way
 *	regular		the rest
 *
 * Silence means P(gap >= elapsed | alive).
 */
#include "postgres.h"

#include <math.h>

#include "profile/assess.h"
#include "profile/fold.h"

#define DORMANT_SHARE 0.1
#define LOST_SHARE 0.01
#define DORMANT_LATEST 365
#define DORMANT_AFTER_ALARM 30
#define LOST_LATEST 730
#define LOST_AFTER_DORMANT 90
#define NEW_MAX_GAPS 2
#define NEW_MEDIAN_GAPS 2
#define TREND_RECENT_MONTHS 3
#define TREND_MONTHS 12
#define TREND_LEAST_BEFORE 3
#define TREND_LEAST_ORDERS 6
#define TREND_Z 2.58

static const char *const stage_names[] = {
	"prospect", "new", "one_off", "regular", "growing", "declining", "at_risk", "dormant", "lost", "won_back"
};

/* The name of a stage as stored. */
const char *
profile_stage_name(Stage stage)
{
	return stage_names[stage];
}

/* The per-cycle probability below which silence is an alarm: its share of the budget. */
double
stage_alarm_p(const Population *population, const GapStats *gaps)
{
	return gap_alarm_probability(&population->gap, gaps, agentcrm_false_alarm_rate * CHART_SHARE_STOP);
}

/* The first whole day after `last` on which silence is below p. */
static int
first_day_below(const Population *population, const GapStats *gaps, DateADT last, double p)
{
	double		days = profile_calendar(population, last, gap_quantile(&population->gap, gaps, 1 - p));

	return days < MAX_CALENDAR_DAYS ? (int) floor(days) + 1 : MAX_CALENDAR_DAYS;
}

/*
 * The lengths of silence at which a client with these gaps, last here on a day,
 * is at risk, dormant and lost.  The later limits cost as much as the first and are
 * worked out only once the silence has passed it.
 */
SilenceLimits
stage_limits(const Population *population, const GapStats *gaps, DateADT last, int elapsed)
{
	double		p = stage_alarm_p(population, gaps);
	SilenceLimits limits = {.dormant = MAX_CALENDAR_DAYS, .lost = MAX_CALENDAR_DAYS};

	limits.alarm = first_day_below(population, gaps, last, p);
	if (elapsed < limits.alarm)
		return limits;
	limits.dormant = Max(limits.alarm + DORMANT_AFTER_ALARM,
						 Min(first_day_below(population, gaps, last, p * DORMANT_SHARE), DORMANT_LATEST));
	limits.lost = Max(limits.dormant + LOST_AFTER_DORMANT,
					  Min(first_day_below(population, gaps, last, p * LOST_SHARE), LOST_LATEST));
	return limits;
}

/* Whether one of the last two gaps had passed the dormant limit of the gaps before it. */
static bool
was_won_back(const ClientProfile *profile, const Population *population)
{
	GapStats	gaps = profile_gaps(profile, &population->season);
	double		recent[CHART_GAPS];
	int			n = profile_recent_gaps(profile, &population->season, recent);
	DateADT		day = profile->last_order_on;

	for (int i = n - 1; i >= 0 && i >= n - 2; i--)
	{
		int			gap = profile->recent[i];

		gaps.n--;
		gaps.sum -= recent[i];
		gaps.sum_log = gaps.n == 0 ? 0 : gaps.sum_log - log(recent[i]);
		day -= gap;
		if (gap_survival(&population->gap, &gaps, recent[i]) < stage_alarm_p(population, &gaps) &&
			gap >= stage_limits(population, &gaps, day, gap).dormant)
			return true;
	}
	return false;
}

/* How long after its first order a client can count as new, in days. */
int
stage_new_days(const ClientProfile *profile, const Population *population)
{
	GapStats	none = {0};

	return (int) ceil(profile_calendar(population, profile->first_order_on,
									   NEW_MEDIAN_GAPS * gap_quantile(&population->gap, &none, 0.5)));
}

/* Few enough orders to be new. */
bool
stage_is_new(const ClientProfile *profile)
{
	return profile->n_gaps <= NEW_MAX_GAPS;
}

/*
 * -1, 0 or 1: orders of the three months before `month` (a first day) against
 * up to nine months before those, the first order's own month left out.
 *
 * Given n orders in all, the recent ones are binomial with the recent share q
 * of the days for a random buyer, and have 1/k of that variance for a buyer of
 * regularity k; days are those of the firm's calendar.  z is compared with 2.58 (1 % of steady clients a month), the
 * windows move with the calendar only, so that noise does not flap.
 */
int
stage_trend(const ClientProfile *profile, const Population *population, DateADT month)
{
	const Season *season = &population->season;
	GapStats	gaps = profile_gaps(profile, season);
	DateADT		split = period_month(month, -TREND_RECENT_MONTHS);
	DateADT		from = period_month(month, -TREND_MONTHS);
	DateADT		second = period_month(fold_month(profile->first_order_on), 1);
	int			n,
				recent,
				before;
	double		q,
				k,
				z,
				change;

	from = Max(from, second);
	if (from > period_month(split, -TREND_LEAST_BEFORE))
		return 0;
	recent = period_orders(profile, split, month);
	before = period_orders(profile, from, split);
	n = recent + before;
	if (n < TREND_LEAST_ORDERS)
		return 0;
	q = season_days(season, split, month) / season_days(season, from, month);
	k = Max(0.25, Min(gap_shape(&population->gap, &gaps), 4));
	z = (recent - n * q) / sqrt(n * q * (1 - q) / k);
	if (fabs(z) < TREND_Z)
		return 0;
	change = period_sums(profile, split, month).amount / season_days(season, split, month)
		- period_sums(profile, from, split).amount / season_days(season, from, split);
	if (z > 0)
		return change > 0 ? 1 : 0;
	return change < 0 ? -1 : 0;
}

static Stage
stage_of_living(const ClientProfile *profile, const Population *population, DateADT today)
{
	int			trend;

	if (was_won_back(profile, population))
		return STAGE_WON_BACK;
	if (stage_is_new(profile) && today - profile->first_order_on < stage_new_days(profile, population))
		return STAGE_NEW;
	trend = stage_trend(profile, population, fold_month(today));
	return trend > 0 ? STAGE_GROWING : trend < 0 ? STAGE_DECLINING : STAGE_REGULAR;
}

/* The stage of a client on a day. */
Stage
stage_of(const ClientProfile *profile, const Population *population, const SilenceLimits *limits, DateADT today)
{
	int			elapsed;

	if (profile->n_orders == 0)
		return STAGE_PROSPECT;
	elapsed = Max(today - profile->last_order_on, 0);
	if (elapsed >= limits->lost)
		return STAGE_LOST;
	if (profile->n_gaps == 0)
		return elapsed >= limits->alarm ? STAGE_ONE_OFF : STAGE_NEW;
	if (elapsed >= limits->dormant)
		return STAGE_DORMANT;
	if (elapsed >= limits->alarm)
		return STAGE_AT_RISK;
	return stage_of_living(profile, population, today);
}
