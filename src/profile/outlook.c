/*
 * outlook.c
 *		What is to come of a client: alive or gone, an order within some days,
 *		how many, and by when.
 *
 * The one place that chooses between the repurchase model of the client's
 * segment and, until one is fitted, the gap model with its fixed defection
 * (alive.c).  Must not ask what day it is.
 */
#include "postgres.h"

#include <math.h>

#include "profile/outlook.h"
#include "profile/rows.h"

/* A client's statistics as the repurchase model wants them, after so many days of silence. */
BuyerStats
outlook_buyer(const GapStats *gaps, double elapsed)
{
	double		last = gaps->n > 0 ? gaps->sum : 0;

	return (BuyerStats)
	{
		.x = gaps->n, .tx = last, .T = last + fmax(elapsed, 0), .sum_log = gaps->n > 0 ? gaps->sum_log : 0
	};
}

/* The outlook of a client with orders on a day. */
Outlook
outlook_of(const ClientProfile *profile, const Population *population, const Repurchase *repurchase, DateADT today)
{
	return (Outlook)
	{
		.prior = &population->gap, .repurchase = repurchase, .gaps = profile_gaps(profile),
		.elapsed = Max(today - profile->last_order_on, 0)
	};
}

/* P(not gone). */
double
outlook_alive(const Outlook *o)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, o->elapsed);

		return repurchase_alive(&o->repurchase->model, &buyer);
	}
	return alive_given_silence(gap_survival(o->prior, &o->gaps, o->elapsed), ALIVE_DROPOUT);
}

/* P(at least one order within so many days), defection allowed for; recalibrated on the last closed window. */
double
outlook_order_within(const Outlook *o, double days)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, o->elapsed);

		return calibration_apply(&o->repurchase->calibration,
								 repurchase_active(&o->repurchase->model, &buyer, fmax(days, 0)));
	}
	return alive_order_within(o->prior, &o->gaps, o->elapsed, days);
}

/* Orders expected within so many days, none of those who have gone. */
double
outlook_orders(const Outlook *o, double days)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, o->elapsed);

		return repurchase_expected(&o->repurchase->model, &buyer, fmax(days, 0));
	}
	return outlook_alive(o) * gap_orders_expected(o->prior, &o->gaps, o->elapsed, days);
}

/*
 * Days from now within which an order comes with probability p; infinite where
 * it never gets so probable.  The gap model's answer is that of a living client.
 */
double
outlook_days_until(const Outlook *o, double p)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, o->elapsed);

		return repurchase_active_quantile(&o->repurchase->model, &buyer,
										  calibration_invert(&o->repurchase->calibration, p));
	}
	return fmax(0, gap_quantile(o->prior, &o->gaps, 1 - gap_survival(o->prior, &o->gaps, o->elapsed) * (1 - p)) - o->elapsed);
}

/* The gap after an order, in days, that a living client does not exceed with probability p. */
double
outlook_gap_quantile(const Outlook *o, double p)
{
	if (o->repurchase)
	{
		BuyerStats	buyer = outlook_buyer(&o->gaps, 0);

		return repurchase_gap_quantile(&o->repurchase->model, &buyer, p);
	}
	return gap_quantile(o->prior, &o->gaps, p);
}

static Outlook
client_outlook(const ClientSnapshot *client, const Population *population)
{
	return outlook_of(&client->profile, population, client->repurchase, client->today);
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
