/*
 * forecast.c
 *		What is to be expected of a client within so many days, if nothing is done.
 *
 * The one place that says which model of repurchase serves.  Asks no table and
 * knows no clock but the snapshot's.
 */
#include "postgres.h"

#include "profile/profile.h"

/* P(at least one order within so many days of as_of). */
double
profile_order_within(const ClientSnapshot *client, const Population *population, double days)
{
	return alive_order_within(&population->gap, &client->gaps, client->state.elapsed, days);
}

/* Days with an order, expected within so many days of as_of: Assessment.expected_orders is the same within the value horizon. */
double
profile_orders_expected(const ClientSnapshot *client, const Population *population, double days)
{
	return gap_orders_expected(&population->gap, &client->gaps, client->state.elapsed, days);
}
