/*
 * market_plan.c
 *		A plan within the means, at prices: what pays while it fits, then whatever
 *		else fits; packed and filled again.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "plan/market_parts.h"

/* A plan is packed and filled so often. */
#define ROUNDS 2

/* The best value over price first, ties by id. */
int
market_compare_offers(const void *a, const void *b, void *arg)
{
	const Offer *x = a;
	const Offer *y = b;
	const Market *m = arg;

	if (x->ratio != y->ratio)
		return x->ratio > y->ratio ? -1 : 1;
	if (m->bids[x->bid].id != m->bids[y->bid].id)
		return m->bids[x->bid].id < m->bids[y->bid].id ? -1 : 1;
	return x->bid != y->bid ? x->bid - y->bid : x->option - y->option;
}

/* The option as an offer, with its value over price; what costs nothing comes before all. */
Offer
market_offer(const Market *m, int bid, int option)
{
	const Option *o = &m->options[m->bids[bid].first_option + option];
	double		price = market_option_price(m, o);

	return (Offer)
	{
		bid, option, price > EPSILON ? o->value / price : 1e9 * Max(o->value - price, 0)
	};
}

/* What of the client is chosen, as bits. */
uint32
market_set(const Market *m, const Client *client)
{
	uint32		set = 0;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		if (m->bids[b].chosen >= 0)
			set |= market_bit(m, b);
	return set;
}

/* Whether there is enough left for the option. */
bool
market_fits(const Market *m, const Option *option)
{
	for (int u = 0; u < option->n_uses; u++)
	{
		const MarketUse *use = &m->uses[option->first_use + u];
		const Resource *r = &m->resources[use->resource];

		if (r->worth <= 0 && r->used + use->amount > r->capacity + EPSILON)
			return false;
	}
	return true;
}

/* The bid is done this way. */
void
market_choose(Market *m, int bid, int option)
{
	m->bids[bid].chosen = option;
	market_add_uses(m, bid, option, 1);
}

/* The bid is not done any more. */
void
market_drop(Market *m, int bid)
{
	market_add_uses(m, bid, m->bids[bid].chosen, -1);
	m->bids[bid].chosen = -1;
}

/* What an option adds to the plan: its value, and what it saves of missed floors. */
static double
gain_of(const Market *m, const Option *option)
{
	double		gain = option->value;

	for (int u = 0; u < option->n_uses; u++)
	{
		const MarketUse *use = &m->uses[option->first_use + u];
		const Resource *r = &m->resources[use->resource];

		if (r->worth > 0)
			gain += r->worth * Min(use->amount, Max(0, r->capacity - r->used));
	}
	return gain;
}

/* Whether the offer is open, gains something and breaks no limit. */
bool
market_may_choose(const Market *m, const Offer *offer)
{
	const MarketBid *bid = &m->bids[offer->bid];
	const Option *option = &m->options[bid->first_option + offer->option];
	const Client *client = &m->clients[bid->client];

	return bid->chosen < 0 && gain_of(m, option) > 0 && market_fits(m, option) && market_allows(m, client, market_set(m, client), offer->bid);
}

static void
take_offers(Market *m, Offer *offers, int n, void (*tick) (void))
{
	qsort_arg(offers, n, sizeof(Offer), market_compare_offers, m);
	for (int i = 0; i < n; i++)
	{
		if (market_may_choose(m, &offers[i]))
			market_choose(m, offers[i].bid, offers[i].option);
		if ((i & 1023) == 0)
			tick();
	}
}

/* What an offer would push out: the client's bids that it excludes, if they are worth less. */
static bool
exchange_within_client(Market *m, const Offer *offer)
{
	const MarketBid *bid = &m->bids[offer->bid];
	const Client *client = &m->clients[bid->client];
	const Option *option = &m->options[bid->first_option + offer->option];
	int			other = -1;
	int			other_option;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		if (m->bids[b].chosen >= 0 && (b == offer->bid || !market_allows(m, client, market_bit(m, b), offer->bid)))
		{
			if (other >= 0)
				return false;
			other = b;
		}
	if (other < 0)
		return false;
	other_option = m->bids[other].chosen;
	market_drop(m, other);
	if (gain_of(m, option) > gain_of(m, &m->options[m->bids[other].first_option + other_option]) + EPSILON && market_may_choose(m, offer))
	{
		market_choose(m, offer->bid, offer->option);
		return true;
	}
	market_choose(m, other, other_option);
	return false;
}
/* What the plan is worth: its values less what missed floors cost. */
double
market_value(const Market *m)
{
	double		value = 0;

	for (int b = 0; b < m->n_bids; b++)
		if (m->bids[b].chosen >= 0)
			value += m->options[m->bids[b].first_option + m->bids[b].chosen].value;
	for (int r = 0; r < m->n_resources; r++)
		if (m->resources[r].worth > 0)
			value -= m->resources[r].worth * Max(0, m->resources[r].capacity - m->resources[r].used);
	return value;
}

/* What is not chosen, as offers that would pay something. */
static int
rest_offers(const Market *m, Offer *offers)
{
	int			n = 0;

	for (int b = 0; b < m->n_bids; b++)
		for (int o = 0; o < m->bids[b].n_options && m->bids[b].chosen < 0; o++)
			if (m->options[m->bids[b].first_option + o].value > 0 && market_fits(m, &m->options[m->bids[b].first_option + o]))
				offers[n++] = market_offer(m, b, o);
	return n;
}

/* What pays at the prices while it fits, then whatever else fits; each resource packed anew, and filled once more. */
void
market_plan(Market *m, const Users *users, Pick *picks, void (*tick) (void))
{
	Offer	   *offers = palloc_extended(sizeof(Offer) * Max(m->n_options, 1), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int r = 0; r < m->n_resources; r++)
		m->resources[r].used = 0;
	for (int c = 0; c < m->n_clients; c++)
	{
		double		bound;
		int			picked = market_picks(m, &m->clients[c], picks, &bound);

		for (int i = 0; i < picked; i++)
			offers[n++] = market_offer(m, picks[i].bid, picks[i].option);
	}
	take_offers(m, offers, n, tick);
	take_offers(m, offers, rest_offers(m, offers), tick);
	for (int round = 0; round < ROUNDS; round++)
	{
		market_repack(m, users, offers, tick);
		n = rest_offers(m, offers);
		take_offers(m, offers, n, tick);
		for (int i = 0; i < n; i++)
			(void) exchange_within_client(m, &offers[i]);
	}
	pfree(offers);
}
