/*
 * baseline.c
 *		The shared baseline: the probability that a demand is bought if nothing
 *		is done.
 *
 * One service for all agents: nobody claims a baseline.  Must not look at who
 * bids.
 */
#include "postgres.h"

#include <math.h>

#include "plan/award.h"

/* P(the client's next order holds the product): level 0, bought before or not. */
static double
product_inclusion(const ClientSnapshot *client, int64 product_id)
{
	const ProductInfo *info;
	int			low = 0;
	int			high = client->n_products;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (client->products[middle].product_id < product_id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < client->n_products && client->products[low].product_id == product_id)
		return profile_inclusion(client, &client->products[low]);
	info = profile_product(product_id);
	return repeat_rate(0, info != NULL ? info->share : 0, client->profile.n_orders);
}

/* P(the next order holds anything of the category), items taken as independent. */
static double
category_inclusion(const ClientSnapshot *client, const char *category)
{
	double		none = 1;

	for (int i = 0; i < client->n_products; i++)
	{
		const ProductInfo *info = profile_product(client->products[i].product_id);

		if (info != NULL && info->category != NULL && strcmp(info->category, category) == 0)
			none *= 1 - profile_inclusion(client, &client->products[i]);
	}
	return 1 - none;
}

/* P(an order within the demand's window), given the silence up to today. */
static double
order_within(const ClientSnapshot *client, const Population *population, const Bid *bid)
{
	double		from = Max(0, bid->demand_from - client->today);
	double		to = Min(bid->demand_to - client->today, agentcrm_value_horizon);
	double		p;

	if (to <= from)
		return 0;
	p = profile_order_within(client, population, to);
	if (from > 0)
		p -= profile_order_within(client, population, from);
	return fmin(1, fmax(0, p));
}

/*
 * p0 of a bid's demand: P(order within the window), times the inclusion of the
 * product it is about, else of its category (the repurchase
 * model, defection included, and level 0 of the repeat list).
 */
double
baseline_p0(const ClientSnapshot *client, const Population *population, const Bid *bid)
{
	double		p = order_within(client, population, bid);

	if (bid->has_product)
		return p * product_inclusion(client, bid->product_id);
	if (strcmp(bid->demand_category, "*") != 0)
		return p * category_inclusion(client, bid->demand_category);
	return p;
}

/* See plan.h. */
double
plan_baseline(const ClientSnapshot *client, const Population *population, int days)
{
	Bid			bid = {.demand_category = "*", .demand_from = client->today, .demand_to = client->today + days};

	return baseline_p0(client, population, &bid);
}
