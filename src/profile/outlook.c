/*
 * outlook.c
 *		What is to come of a client: alive or gone, an order within some days,
 *		how many, and by when.
 *
 * The one place that chooses between the repurchase model of the client's
 * segment and, until one is fitted, the gap model with its fixed defection
 * (alive.c); and where calendar days become those of the firm's clock and back.
 * Must not ask what day it is.
 */
#include "postgres.h"

#include <math.h>

#include "profile/assess.h"
#include "profile/rows.h"

/* A client's statistics as the repurchase model wants them, after so many days of silence, all on one clock. */
BuyerStats
outlook_buyer(const GapStats *gaps, double waited)
{
	double		last = gaps->n > 0 ? gaps->sum : 0;

	return (BuyerStats)
	{
		.x = gaps->n, .tx = last, .T = last + fmax(waited, 0), .sum_log = gaps->n > 0 ? gaps->sum_log : 0
	};
}

/* The outlook of a client with orders on a day. */
Outlook
outlook_of(const ClientProfile *profile, const Population *population, const Repurchase *repurchase, DateADT today)
{
	return (Outlook)
	{
		.prior = &population->gap, .repurchase = repurchase, .season = &population->season,
		.gaps = profile_gaps(profile, &population->season), .last = profile->last_order_on,
		.elapsed = Max(today - profile->last_order_on, 0)
	};
}

/* So many calendar days from a day on, as days of the clock; season may be NULL. */
double
outlook_clock(const Season *season, DateADT from, double days)
{
	double		whole = floor(days);
	double		rest = days - whole;

	if (season == NULL || !season->fitted || !(fabs(days) < MAX_CALENDAR_DAYS))
		return days;
	return season_days(season, from, from + (int) whole) +
		rest * season_days(season, from + (int) whole, from + (int) whole + 1);
}

/* The present silence as days of the clock. */
double
outlook_waited(const Outlook *o)
{
	return outlook_clock(o->season, o->last, o->elapsed);
}

/* The horizon of so many calendar days from now on. */
static double
horizon(const Outlook *o, double days)
{
	return outlook_clock(o->season, o->last + (int) o->elapsed, days);
}

/* The calendar days after a day when so many of the clock have passed; infinite for ever. */
static double
calendar_days(const Outlook *o, DateADT from, double days)
{
	return o->season == NULL ? days : season_calendar(o->season, from, days);
}

/* The same after the last order, at most MAX_CALENDAR_DAYS. */
double
outlook_calendar(const Outlook *o, double days)
{
	return days < MAX_CALENDAR_DAYS ? Min(calendar_days(o, o->last, days), MAX_CALENDAR_DAYS) : MAX_CALENDAR_DAYS;
}

/* P(not gone). */
double
outlook_alive(const Outlook *o)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, outlook_waited(o));

		return repurchase_alive(&o->repurchase->model, &buyer);
	}
	return alive_given_silence(gap_survival(o->prior, &o->gaps, outlook_waited(o)), ALIVE_DROPOUT);
}

/* P(at least one order within so many days), defection allowed for; recalibrated on the last closed window. */
double
outlook_order_within(const Outlook *o, double days)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, outlook_waited(o));

		return calibration_apply(&o->repurchase->calibration,
								 repurchase_active(&o->repurchase->model, &buyer, fmax(horizon(o, days), 0)));
	}
	return alive_order_within(o->prior, &o->gaps, outlook_waited(o), horizon(o, days));
}

/* Orders expected within so many days, none of those who have gone. */
double
outlook_orders(const Outlook *o, double days)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, outlook_waited(o));

		return repurchase_expected(&o->repurchase->model, &buyer, fmax(horizon(o, days), 0));
	}
	return outlook_alive(o) * gap_orders_expected(o->prior, &o->gaps, outlook_waited(o), horizon(o, days));
}

/* Days of the clock from now within which an order comes with probability p. */
static double
clock_days_until(const Outlook *o, double p)
{
	double		waited = outlook_waited(o);

	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, waited);

		return repurchase_active_quantile(&o->repurchase->model, &buyer, calibration_invert(&o->repurchase->calibration, p));
	}
	return fmax(0, gap_quantile(o->prior, &o->gaps, 1 - gap_survival(o->prior, &o->gaps, waited) * (1 - p)) - waited);
}

/*
 * Days from now within which an order comes with probability p; infinite where
 * it never gets so probable.  The gap model's answer is that of a living client.
 */
double
outlook_days_until(const Outlook *o, double p)
{
	return calendar_days(o, o->last + (int) o->elapsed, clock_days_until(o, p));
}

/* The 80 % interval of the next order, in days from now on the clock, before it is scaled. */
DateInterval
outlook_interval_raw(const Outlook *o)
{
	return (DateInterval)
	{
		.early = clock_days_until(o, INTERVAL_EARLY), .median = clock_days_until(o, 0.5), .late = clock_days_until(o, INTERVAL_LATE)
	};
}

/* The same in calendar days, scaled as the last closed window wants it. */
DateInterval
outlook_interval(const Outlook *o)
{
	DateInterval raw = outlook_interval_raw(o);
	DateInterval scaled = conformal_scaled(&raw, o->repurchase ? o->repurchase->interval : 1);
	DateADT		today = o->last + (int) o->elapsed;

	return (DateInterval)
	{
		.early = calendar_days(o, today, scaled.early), .median = calendar_days(o, today, scaled.median),
		.late = calendar_days(o, today, scaled.late)
	};
}

/* The gap after an order, in days, that a living client does not exceed with probability p. */
double
outlook_gap_quantile(const Outlook *o, double p)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, 0);

		return outlook_calendar(o, repurchase_gap_quantile(&o->repurchase->model, &buyer, p));
	}
	return outlook_calendar(o, gap_quantile(o->prior, &o->gaps, p));
}

static Outlook
client_outlook(const ClientSnapshot *client, const Population *population)
{
	return (Outlook)
	{
		.prior = &population->gap, .repurchase = client->repurchase, .season = &population->season,
		.gaps = client->gaps, .last = client->profile.last_order_on, .elapsed = client->state.elapsed
	};
}

/* See profile.h. */
double
profile_order_within(const ClientSnapshot *client, const Population *population, double days)
{
	return profile_order_within_after(client, population, client->state.elapsed, days);
}

/* See profile.h. */
double
profile_order_within_after(const ClientSnapshot *client, const Population *population, double elapsed, double days)
{
	Outlook		o = client_outlook(client, population);

	o.elapsed = elapsed;
	return outlook_order_within(&o, days);
}

/* See profile.h. */
double
profile_orders_expected(const ClientSnapshot *client, const Population *population, double days)
{
	Outlook		o = client_outlook(client, population);

	return outlook_orders(&o, days);
}

/* See profile.h. */
double
profile_days_until(const ClientSnapshot *client, const Population *population, double p)
{
	Outlook		o = client_outlook(client, population);

	return outlook_days_until(&o, p);
}

/* See profile.h. */
double
profile_gap_quantile(const ClientSnapshot *client, const Population *population, double p)
{
	Outlook		o = client_outlook(client, population);

	return outlook_gap_quantile(&o, p);
}

/*
 * See profile.h.  What is expected are days with an order; of the orders that
 * share a day each holds the product with that probability.  How many do is the
 * client's own mean, one day with one order added.
 */
double
profile_item_within(const ClientSnapshot *client, const Population *population, double inclusion, double days)
{
	double		orders_a_day = (client->profile.n_orders + 1.0) / (client->profile.n_gaps + 2.0);

	return inclusion_within(profile_orders_expected(client, population, days), 1 - pow(1 - inclusion, orders_a_day));
}
