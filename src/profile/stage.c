/*
 * stage.c
 *		Lifecycle stages: the rules, and nothing but the rules.
 *
 *	prospect	no order
 *	new			one order day, silence not yet alarming; or up to three order
 *				days, the first less than two median gaps of the population ago
 *	one_off		one order day, silence alarming, not yet lost
 *	at_risk		silence < alarm_p
 *	dormant		P(alive) < 1/10, at the latest after a year, but never within 30
 *				days of the alarm
 *	lost		P(alive) < 1/100, at the latest after two years, but never
 *				within 90 days of the dormant limit
 *	won_back	one of the last two gaps had passed the dormant limit as it
 *				stood then: fewer than three order days since
 *	growing, declining
 *				order rate of the last three whole months against up to nine
 *				before them: at least six orders, |z| >= 2.58, and the amount
 *				rate moved the same way
 *	regular		the rest
 *
 * Silence means P(gap >= elapsed | alive), by the gap model.  P(alive) is the
 * repurchase model's; until one is fitted, silence < alarm_p / 10 stands for
 * "dormant" and alarm_p / 100 for "lost".
 *
 * Nothing flaps: without an order silence and P(alive) only fall, so that a
 * client only goes on from alarm to dormant to lost, with the distances above
 * between them (a new generation may move a limit by some days); trends are
 * judged by whole months.
 */
#include "postgres.h"

#include <math.h>

#include "profile/assess.h"
#include "profile/fold.h"

#define DORMANT_ALIVE 0.1
#define LOST_ALIVE 0.01
#define DORMANT_SHARE 0.1		/* of alarm_p, until a repurchase model is fitted */
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

/* The first whole day on which silence is below p. */
static int
first_day_below(const Outlook *outlook, double p)
{
	double		days = outlook_calendar(outlook, gap_quantile(outlook->prior, &outlook->gaps, 1 - p));

	return days < MAX_CALENDAR_DAYS ? (int) floor(days) + 1 : MAX_CALENDAR_DAYS;
}

/* The first whole day from `from` to `latest` on which P(alive) is below p; latest when it is not until then. */
static int
first_day_gone(const Outlook *outlook, double p, int from, int latest)
{
	Outlook		then = *outlook;
	int			low = from - 1;
	int			high = latest;

	/* P(alive) falls with every day of silence */
	while (high - low > 1)
	{
		int			middle = low + (high - low) / 2;

		then.elapsed = middle;
		if (outlook_alive(&then) < p)
			high = middle;
		else
			low = middle;
	}
	return high;
}

/* Dormant and lost by P(alive), or by silence where no repurchase model is fitted. */
static void
gone_limits(const Outlook *outlook, double alarm_p, SilenceLimits *limits)
{
	int			earliest = limits->alarm + DORMANT_AFTER_ALARM;

	if (outlook->repurchase)
	{
		limits->dormant = first_day_gone(outlook, DORMANT_ALIVE, earliest, Max(earliest, DORMANT_LATEST));
		earliest = limits->dormant + LOST_AFTER_DORMANT;
		limits->lost = first_day_gone(outlook, LOST_ALIVE, earliest, Max(earliest, LOST_LATEST));
		return;
	}
	limits->dormant = Max(earliest, Min(first_day_below(outlook, alarm_p * DORMANT_SHARE), DORMANT_LATEST));
	limits->lost = Max(limits->dormant + LOST_AFTER_DORMANT,
					   Min(first_day_below(outlook, alarm_p * LOST_SHARE), LOST_LATEST));
}

/*
 * The lengths of silence at which a client is at risk, dormant and lost.  The
 * later limits are worked out only once the silence has passed the first.
 */
SilenceLimits
stage_limits(const Population *population, const Outlook *outlook)
{
	double		p = stage_alarm_p(population, &outlook->gaps);
	SilenceLimits limits = {.dormant = MAX_CALENDAR_DAYS, .lost = MAX_CALENDAR_DAYS};

	limits.alarm = first_day_below(outlook, p);
	if (outlook->elapsed >= limits.alarm)
		gone_limits(outlook, p, &limits);
	return limits;
}

/* Whether a gap had passed the dormant limit of the gaps before it. */
static bool
was_dormant(const Population *population, const Outlook *before)
{
	if (gap_survival(before->prior, &before->gaps, outlook_waited(before)) >= stage_alarm_p(population, &before->gaps))
		return false;
	return before->elapsed >= stage_limits(population, before).dormant;
}

/* Whether one of the last two gaps had. */
static bool
was_won_back(const ClientProfile *profile, const Population *population, const Outlook *outlook)
{
	Outlook		before = *outlook;
	double		recent[CHART_GAPS];
	int			n = profile_recent_gaps(profile, &population->season, recent);

	for (int i = n - 1; i >= 0 && i >= n - 2; i--)
	{
		before.gaps.n--;
		before.gaps.sum -= recent[i];
		before.gaps.sum_log = before.gaps.n == 0 ? 0 : before.gaps.sum_log - log(recent[i]);
		before.last -= profile->recent[i];
		before.elapsed = profile->recent[i];
		if (was_dormant(population, &before))
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
stage_of_living(const ClientProfile *profile, const Population *population, const Outlook *outlook, DateADT today)
{
	int			trend;

	if (was_won_back(profile, population, outlook))
		return STAGE_WON_BACK;
	if (stage_is_new(profile) && today - profile->first_order_on < stage_new_days(profile, population))
		return STAGE_NEW;
	trend = stage_trend(profile, population, fold_month(today));
	return trend > 0 ? STAGE_GROWING : trend < 0 ? STAGE_DECLINING : STAGE_REGULAR;
}

/* The stage of a client on a day. */
Stage
stage_of(const ClientProfile *profile, const Population *population, const Outlook *outlook, const SilenceLimits *limits,
		 DateADT today)
{
	int			elapsed = (int) outlook->elapsed;

	if (profile->n_orders == 0)
		return STAGE_PROSPECT;
	if (elapsed >= limits->lost)
		return STAGE_LOST;
	if (profile->n_gaps == 0)
		return elapsed >= limits->alarm ? STAGE_ONE_OFF : STAGE_NEW;
	if (elapsed >= limits->dormant)
		return STAGE_DORMANT;
	if (elapsed >= limits->alarm)
		return STAGE_AT_RISK;
	return stage_of_living(profile, population, outlook, today);
}
