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

#define MAX_LIMIT_DAYS 36500
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

/* The first whole day on which silence is below p. */
static int
first_day_below(const GapPrior *prior, const GapStats *gaps, double p)
{
	double		days = gap_quantile(prior, gaps, 1 - p);

	return days < MAX_LIMIT_DAYS ? (int) floor(days) + 1 : MAX_LIMIT_DAYS;
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
	limits->dormant = Max(earliest, Min(first_day_below(outlook->prior, &outlook->gaps, alarm_p * DORMANT_SHARE), DORMANT_LATEST));
	limits->lost = Max(limits->dormant + LOST_AFTER_DORMANT,
					   Min(first_day_below(outlook->prior, &outlook->gaps, alarm_p * LOST_SHARE), LOST_LATEST));
}

/*
 * The lengths of silence at which a client is at risk, dormant and lost.  The
 * later limits are worked out only once the silence has passed the first.
 */
SilenceLimits
stage_limits(const Outlook *outlook)
{
	double		p = gap_alarm_probability(outlook->prior, &outlook->gaps, agentcrm_false_alarm_rate);
	SilenceLimits limits = {.dormant = MAX_LIMIT_DAYS, .lost = MAX_LIMIT_DAYS};

	limits.alarm = first_day_below(outlook->prior, &outlook->gaps, p);
	if (outlook->elapsed >= limits.alarm)
		gone_limits(outlook, p, &limits);
	return limits;
}

/* Whether a gap had passed the dormant limit of the gaps before it. */
static bool
was_dormant(const Outlook *before)
{
	double		p = gap_alarm_probability(before->prior, &before->gaps, agentcrm_false_alarm_rate);

	if (gap_survival(before->prior, &before->gaps, before->elapsed) >= p)
		return false;
	return before->elapsed >= stage_limits(before).dormant;
}

static bool
was_won_back(const ClientProfile *profile, const Outlook *outlook)
{
	Outlook		before = *outlook;
	int			last[2] = {profile->gap_last, profile->gap_before};

	for (int i = 0; i < 2 && before.gaps.n > 0; i++)
	{
		before.gaps.n--;
		before.gaps.sum -= last[i];
		before.gaps.sum_log = before.gaps.n == 0 ? 0 : before.gaps.sum_log - log(last[i]);
		before.elapsed = last[i];
		if (was_dormant(&before))
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
stage_of_living(const ClientProfile *profile, const Outlook *outlook, DateADT today)
{
	const GapPrior *prior = outlook->prior;
	int			trend;

	if (was_won_back(profile, outlook))
		return STAGE_WON_BACK;
	if (stage_is_new(profile) && today - profile->first_order_on < stage_new_days(prior))
		return STAGE_NEW;
	trend = stage_trend(profile, prior, fold_month(today));
	return trend > 0 ? STAGE_GROWING : trend < 0 ? STAGE_DECLINING : STAGE_REGULAR;
}

/* The stage of a client on a day. */
Stage
stage_of(const ClientProfile *profile, const Outlook *outlook, const SilenceLimits *limits, DateADT today)
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
	return stage_of_living(profile, outlook, today);
}
