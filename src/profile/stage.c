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

#define MAX_LIMIT_DAYS 36500
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

/* The first whole day on which silence is below p. */
static int
first_day_below(const GapPrior *prior, const GapStats *gaps, double p)
{
	double		days = gap_quantile(prior, gaps, 1 - p);

	return days < MAX_LIMIT_DAYS ? (int) floor(days) + 1 : MAX_LIMIT_DAYS;
}

/*
 * The lengths of silence at which a client with these gaps is at risk, dormant
 * and lost.  The later limits cost as much as the first and are worked out only
 * once the silence has passed it.
 */
SilenceLimits
stage_limits(const GapPrior *prior, const GapStats *gaps, int elapsed)
{
	double		p = gap_alarm_probability(prior, gaps, agentcrm_false_alarm_rate);
	SilenceLimits limits = {.dormant = MAX_LIMIT_DAYS, .lost = MAX_LIMIT_DAYS};

	limits.alarm = first_day_below(prior, gaps, p);
	if (elapsed < limits.alarm)
		return limits;
	limits.dormant = Max(limits.alarm + DORMANT_AFTER_ALARM,
						 Min(first_day_below(prior, gaps, p * DORMANT_SHARE), DORMANT_LATEST));
	limits.lost = Max(limits.dormant + LOST_AFTER_DORMANT,
					  Min(first_day_below(prior, gaps, p * LOST_SHARE), LOST_LATEST));
	return limits;
}

/* Whether a gap had passed the dormant limit of the gaps before it. */
static bool
was_dormant(const GapPrior *prior, const GapStats *before, int gap)
{
	double		p = gap_alarm_probability(prior, before, agentcrm_false_alarm_rate);

	if (gap_survival(prior, before, gap) >= p)
		return false;
	return gap >= stage_limits(prior, before, gap).dormant;
}

static bool
was_won_back(const ClientProfile *profile, const GapPrior *prior)
{
	GapStats	gaps = {profile->n_gaps, profile->gap_sum, profile->gap_sum_log};
	int			last[2] = {profile->gap_last, profile->gap_before};

	for (int i = 0; i < 2 && gaps.n > 0; i++)
	{
		gaps.n--;
		gaps.sum -= last[i];
		gaps.sum_log = gaps.n == 0 ? 0 : gaps.sum_log - log(last[i]);
		if (was_dormant(prior, &gaps, last[i]))
			return true;
	}
	return false;
}

/* How long after its first order a client can count as new, in days. */
int
stage_new_days(const GapPrior *prior)
{
	GapStats	none = {0};

	return (int) Min(ceil(NEW_MEDIAN_GAPS * gap_quantile(prior, &none, 0.5)), MAX_LIMIT_DAYS);
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
 * regularity k.  z is compared with 2.58 (1 % of steady clients a month), the
 * windows move with the calendar only, so that noise does not flap.
 */
int
stage_trend(const ClientProfile *profile, const GapPrior *prior, DateADT month)
{
	GapStats	gaps = {profile->n_gaps, profile->gap_sum, profile->gap_sum_log};
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
	q = (double) (month - split) / (month - from);
	k = Max(0.25, Min(gap_shape(prior, &gaps), 4));
	z = (recent - n * q) / sqrt(n * q * (1 - q) / k);
	if (fabs(z) < TREND_Z)
		return 0;
	change = period_sums(profile, split, month).amount / (month - split)
		- period_sums(profile, from, split).amount / (split - from);
	if (z > 0)
		return change > 0 ? 1 : 0;
	return change < 0 ? -1 : 0;
}

static Stage
stage_of_living(const ClientProfile *profile, const GapPrior *prior, DateADT today)
{
	int			trend;

	if (was_won_back(profile, prior))
		return STAGE_WON_BACK;
	if (stage_is_new(profile) && today - profile->first_order_on < stage_new_days(prior))
		return STAGE_NEW;
	trend = stage_trend(profile, prior, fold_month(today));
	return trend > 0 ? STAGE_GROWING : trend < 0 ? STAGE_DECLINING : STAGE_REGULAR;
}

/* The stage of a client on a day. */
Stage
stage_of(const ClientProfile *profile, const GapPrior *prior, const SilenceLimits *limits, DateADT today)
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
	return stage_of_living(profile, prior, today);
}
