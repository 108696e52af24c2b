/*
 * assess.c
 *		The assessment of a client at a moment.
 *
 * A pure function of fold, population and as_of.  Must not ask what the client
 * was judged before, nor what time it is.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "utils/fmgrprotos.h"

#include "profile/assess.h"
#include "profile/fold.h"
#include "profile/rows.h"

#define XYZ_MIN_GAPS 4
#define X_LEAST_SHAPE 4			/* coefficient of variation of gaps at most 1/2 */
#define Y_LEAST_SHAPE 1			/* at most 1 */
#define LOOK_AT_LEAST_EVERY 90	/* days */
#define LOOK_AT_LOST_EVERY 365
#define LOOK_SPREAD 3600		/* s */
#define TREND_LOOK_AHEAD 3		/* months */

/* 5 for values up to limits[0] (or from it on, where more is better), down to 1. */
static int
class_of(double value, const double *limits, bool more_is_better)
{
	for (int i = 0; i < 4; i++)
		if (more_is_better ? value >= limits[i] : value <= limits[i])
			return 5 - i;
	return 1;
}

static void
assess_classes(const ClientProfile *profile, const Population *population, const PeriodSums *year,
			   Assessment *a)
{
	GapStats	gaps = profile_gaps(profile, &population->season);

	if (gaps.n >= XYZ_MIN_GAPS)
	{
		double		shape = gap_shape(&population->gap, &gaps);

		a->xyz = shape >= X_LEAST_SHAPE ? 'X' : shape >= Y_LEAST_SHAPE ? 'Y' : 'Z';
	}
	if (population->class_model_id == 0)
		return;
	a->recency_class = class_of(a->elapsed, population->recency, false);
	a->frequency_class = class_of(year->orders, population->frequency, true);
	a->monetary_class = class_of(year->amount, population->monetary, true);
	a->abc = year->amount <= 0 ? 'C' :
		year->amount >= population->abc_a ? 'A' :
		year->amount >= population->abc_b ? 'B' : 'C';
}

/* The orders by which a client's spend is judged, of the last 12 months, else all; *mean is their mean net amount. */
double
order_values(const ClientProfile *profile, const PeriodSums *year, double *mean)
{
	PeriodSums	sums = year->orders > 0 ? *year : period_sums(profile, DATEVAL_NOBEGIN, DATEVAL_NOEND);
	double		orders = year->orders > 0 ? year->orders : profile->n_orders;

	*mean = sums.amount / orders;
	return orders;
}

/* Expected net amount of an order, never negative: between the client's mean and the population's, by the number of its orders. */
double
assess_order_value(const ClientProfile *profile, const Population *population, DateADT today)
{
	PeriodSums	year = period_year(profile, today);
	double		mean;
	double		orders = order_values(profile, &year, &mean);

	if (mean <= 0 || !population->spend_fitted)
		return Max(mean, 0);
	return spend_expected(&population->spend, orders, mean);
}

/* The day so many days after today; DATEVAL_NOEND when it is too far off to matter. */
static DateADT
day_after(DateADT today, double days)
{
	return days < MAX_CALENDAR_DAYS ? today + (int) ceil(days) : DATEVAL_NOEND;
}

static void
assess_rhythm(const ClientProfile *profile, const Outlook *outlook, const SilenceLimits *limits,
			  DateADT today, Assessment *a)
{
	a->waited = outlook_waited(outlook);
	a->silence = gap_survival(outlook->prior, &outlook->gaps, a->waited);
	a->alarm_on = profile->last_order_on + limits->alarm;
	a->p_alive = outlook_alive(outlook);
	a->p_order = outlook_order_within(outlook, P_ORDER_DAYS);
	a->due_early = day_after(today, outlook_days_until(outlook, 0.2));
	a->due_on = day_after(today, outlook_days_until(outlook, 0.5));
	a->due_late = day_after(today, outlook_days_until(outlook, 0.8));
	a->expected_orders = outlook_orders(outlook, agentcrm_value_horizon);
}

static void
assess_value(const ClientProfile *profile, const Repurchase *repurchase, Assessment *a)
{
	a->expected_value = a->expected_orders * a->order_value;
	a->lifetime_value = a->expected_value * profile_margin_share(profile, agentcrm_margin_rate);
	if (repurchase)
		a->value_class = a->lifetime_value <= 0 ? 'C' :
			a->lifetime_value >= repurchase->value_a ? 'A' :
			a->lifetime_value >= repurchase->value_b ? 'B' : 'C';
}

/* The evidence after so many calendar days of silence. */
static double
slow_evidence(const SlowChart *chart, const Population *population, DateADT last, int silent)
{
	return chart_slow(chart, season_days(&population->season, last, last + silent));
}

/* The first day after `today` on which the evidence passes the threshold while the silence is no alarm yet. */
static DateADT
slow_day(const SlowChart *chart, const Population *population, DateADT last, DateADT today, DateADT alarm_on, double threshold)
{
	DateADT		low = today;
	DateADT		high = alarm_on - 1;

	if (high <= low || !(slow_evidence(chart, population, last, high - last) > threshold))
		return DATEVAL_NOEND;
	while (high - low > 1)
	{
		DateADT		middle = low + (high - low) / 2;

		if (slow_evidence(chart, population, last, middle - last) > threshold)
			high = middle;
		else
			low = middle;
	}
	return high;
}

/*
 * The chart of slowing down.  Changes are looked for at order days after the last
 * alarm that was settled.
 */
static void
assess_pace(const ClientProfile *profile, const Population *population, const GapStats *gaps, DateADT settled_on,
			DateADT today, Assessment *a)
{
	SlowChart	chart;
	double		recent[CHART_GAPS];
	int			n = profile_recent_gaps(profile, &population->season, recent);
	int			armed = profile_order_days_after(profile, settled_on);
	int			counted = Max(Min(armed - 1, n), 0);
	double		threshold;

	a->slow_p = gap_alarm_probability(&population->gap, gaps, agentcrm_false_alarm_rate * CHART_SHARE_SLOW);
	threshold = chart_threshold(a->slow_p);
	chart_slow_start(&chart, &population->gap, gaps, recent + n - counted, counted, armed > 0);
	a->slow_chance = exp(-Max(chart_slow(&chart, a->waited), 0));
	a->slow_on = a->slow_chance < a->slow_p ? today :
		slow_day(&chart, population, profile->last_order_on, today, a->alarm_on, threshold);
	a->slow_since = profile->last_order_on;
	for (int i = 0; i < chart_slow_gaps(&chart); i++)
		a->slow_since -= profile->recent[n - 1 - i];
	a->slow_delay = chart_slow_delay(gap_shape(&population->gap, gaps), 365.25 / gap_cycles_per_year(&population->gap, gaps),
									 threshold);
}

/* The earlier of two days, of which the second counts only when it is still to come. */
static DateADT
sooner(DateADT next, DateADT day, DateADT today)
{
	return day > today && day < next ? day : next;
}

/* The first day after today on which the assessment changes without an order. */
static DateADT
next_look_day(const ClientProfile *profile, const Population *population, const Outlook *outlook,
			  const SilenceLimits *limits, DateADT today, Stage stage)
{
	DateADT		next = today + (stage == STAGE_LOST ? LOOK_AT_LOST_EVERY : LOOK_AT_LEAST_EVERY);
	DateADT		last = profile->last_order_on;
	DateADT		month = fold_month(today);
	int			trend;

	if (stage == STAGE_PROSPECT || stage == STAGE_LOST)
		return next;
	next = sooner(next, last + limits->alarm, today);
	if (profile->n_gaps > 0)
		next = sooner(next, last + limits->dormant, today);
	next = sooner(next, last + limits->lost, today);
	next = sooner(next, last + (int) ceil(outlook_gap_quantile(outlook, 0.5)), today);
	if (stage_is_new(profile))
		next = sooner(next, profile->first_order_on + stage_new_days(profile, population), today);
	trend = stage_trend(profile, population, month);
	for (int i = 1; i <= TREND_LOOK_AHEAD; i++)
		if (stage_trend(profile, population, period_month(month, i)) != trend)
			return sooner(next, period_month(month, i), today);
	return next;
}

/* The start of a day (UTC), spread over an hour by client, so that not all wake at once. */
static TimestampTz
look_time(DateADT day, int64 client_id)
{
	return day * USECS_PER_DAY + (int64) (hash_bytes((const unsigned char *) &client_id, sizeof(client_id)) % LOOK_SPREAD) * USECS_PER_SEC;
}

/* Judge a client at as_of, whose alarms up to a day are settled, by the repurchase model given, if any. */
void
assess(const ClientProfile *profile, const Population *population, const Repurchase *repurchase, TimestampTz as_of,
	   DateADT settled_on, Assessment *a)
{
	DateADT		today = period_day(as_of);
	Outlook		outlook = outlook_of(profile, population, repurchase, today);
	SilenceLimits limits = {0};

	memset(a, 0, sizeof(Assessment));
	a->due_early = a->due_on = a->due_late = a->alarm_on = a->slow_on = DATEVAL_NOEND;
	a->slow_chance = 1;
	a->order_value = population->mean_order_value;
	a->alarm_p = stage_alarm_p(population, &outlook.gaps);
	if (profile->n_orders > 0)
	{
		PeriodSums	year = period_year(profile, today);

		a->elapsed = outlook.elapsed;
		limits = stage_limits(population, &outlook);
		a->order_value = assess_order_value(profile, population, today);
		assess_rhythm(profile, &outlook, &limits, today, a);
		assess_pace(profile, population, &outlook.gaps, settled_on, today, a);
		assess_classes(profile, population, &year, a);
		assess_value(profile, repurchase, a);
	}
	a->stage = stage_of(profile, population, &outlook, &limits, today);
	a->next_look_at = look_time(next_look_day(profile, population, &outlook, &limits, today, a->stage), profile->client_id);
}

/* Margin as a share of net amount, returns deducted from both: the client's own where the ledger has margins. */
double
profile_margin_share(const ClientProfile *profile, double otherwise)
{
	if (profile->n_orders > 0 && profile->margin != NULL && profile->amount != NULL)
	{
		double		amount = profile_money(profile->amount) + profile_money(profile->returned);

		if (amount > 0)
			return fmin(1.0, fmax(0.0, profile_money(profile->margin) / amount));
	}
	return otherwise;
}

/* A product of a client on the clock of the orders since the first with it. */
PairStats
profile_pair(const ClientProfile *profile, const ClientProduct *product)
{
	return (PairStats) {
		.x = product->n - 1,
		.last = product->last_order_no - product->first_order_no,
		.n = profile->n_orders - product->first_order_no
	};
}

/*
 * Probability that the client's next order holds a product bought before: BG/BB,
 * a pair that is dead being as likely as the product is in anybody's order; and
 * level 0 where BG/BB is not fitted.
 */
double
profile_inclusion(const ClientSnapshot *client, const ClientProduct *product)
{
	const Population *population = profile_population();
	const ProductInfo *info = profile_product(product->product_id);
	double		share = info != NULL ? info->share : 0;
	double		missed = client->profile.n_orders - product->last_order_no;

	if (population->inclusion_fitted)
	{
		PairStats	pair = profile_pair(&client->profile, product);

		return inclusion_next(info != NULL ? &info->inclusion : &population->inclusion, &pair, share);
	}
	return repeat_rate(product->rate_slow * decay_pow(REPEAT_DECAY_SLOW, missed), share, client->profile.n_orders);
}
