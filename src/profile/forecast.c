/*
 * forecast.c
 *		What is to be expected of a client within so many days, if nothing is done.
 *
 * The one place that says which model of repurchase serves: the rhythm of gaps
 * with a fixed chance of having gone.  Asks no table and knows no clock but the
 * snapshot's.
 */
#include "postgres.h"

#include <math.h>

#include "profile/profile.h"

/* P(at least one order within so many days of as_of); 0 for a client without orders. */
double
profile_order_within(const ClientSnapshot *client, const Population *population, double days)
{
	if (client->profile.n_orders == 0)
		return 0;
	return alive_order_within(&population->gap, &client->gaps, client->state.elapsed, days);
}

/* Days with an order, expected within so many days of as_of; 0 for a client without orders. */
double
profile_orders_expected(const ClientSnapshot *client, const Population *population, double days)
{
	const GapPrior *prior = &population->gap;
	double		elapsed = client->state.elapsed;
	double		alive;

	if (client->profile.n_orders == 0)
		return 0;
	alive = alive_given_silence(gap_survival(prior, &client->gaps, elapsed), ALIVE_DROPOUT);
	return alive * gap_orders_expected(prior, &client->gaps, elapsed, days)
		+ (1 - alive) * (1 - pow(1 - ALIVE_RETURN, days / ALIVE_RETURN_DAYS));
}

/* The same in orders, of which a day may see several. */
static double
documents_expected(const ClientSnapshot *client, const Population *population, double days)
{
	return profile_orders_expected(client, population, days) * client->profile.n_orders / (client->profile.n_gaps + 1);
}

/* P(at least one order with a product bought before within so many days of as_of). */
double
profile_item_within(const ClientSnapshot *client, const Population *population, double inclusion, double days)
{
	return inclusion_within(documents_expected(client, population, days), inclusion);
}
