/*
 * market_pack.c
 *		What the clients of one resource do, chosen anew as a knapsack of its own
 *		(at most one item a client), at the prices of all other means.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "plan/market_parts.h"

/* A resource is divided into so many parts at most. */
#define MOST_PARTS 2048

/* What a client may do: one bid or two, of which some use the resource. */
typedef struct Item
{
	int			n;
	int			bids[2];
	int			options[2];
	int			parts;			/* of the resource, rounded up */
	double		gain;			/* value less what it costs of the other means */
	bool		taken;
} Item;

typedef struct Knapsack
{
	int			resource;
	int			parts;
	double		part;
	int			n_items;
	Item	   *items;
	int			n_groups;
	int		   *groups;			/* first item of each, and one more */
} Knapsack;

/* Singles of a client looked at for its items. */
#define MOST_SINGLES 24

/* The bids of a client that come near to paying, each done one way. */
static int
find_singles(const Market *m, const Knapsack *k, const Client *client, Item *singles)
{
	const Resource *r = &m->resources[k->resource];
	int			n = 0;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		for (int o = 0; o < m->bids[b].n_options && n < MOST_SINGLES; o++)
		{
			const Option *option = &m->options[m->bids[b].first_option + o];
			double		amount = market_amount(m, option, k->resource);
			double		gain = option->value - market_option_price(m, option) + r->price * amount;
			int			parts = (int) ceil(amount / k->part - 1e-9);

			if (gain > 0.7 * r->price * amount && parts <= k->parts && market_allows(m, client, 0, b) && market_fits(m, option))
				singles[n++] = (Item)
			{
				1, {b}, {o}, parts, gain, false
			};
		}
	return n;
}

/* An item goes among the group's, by parts, unless another one has at least its gain for no more parts. */
static void
add_item(Knapsack *k, int first, const Item *item)
{
	int			i = k->n_items;

	for (int j = first; j < k->n_items; j++)
		if (k->items[j].parts <= item->parts && k->items[j].gain >= item->gain)
			return;
	for (int j = i = first; j < k->n_items; j++)
		if (k->items[j].parts < item->parts || k->items[j].gain > item->gain)
			k->items[i++] = k->items[j];
	k->items[i] = *item;
	k->n_items = i + 1;
}

/* What the client may do, elsewhere too: it does nothing yet. */
static void
add_group(const Market *m, Knapsack *k, const Client *client)
{
	Item		singles[MOST_SINGLES];
	int			n = find_singles(m, k, client, singles);
	int			first = k->n_items;

	for (int i = 0; i < n; i++)
	{
		add_item(k, first, &singles[i]);
		for (int j = 0; j < i && client->most > 1; j++)
		{
			Item		pair = {2, {singles[j].bids[0], singles[i].bids[0]}, {singles[j].options[0], singles[i].options[0]},
			singles[i].parts + singles[j].parts, singles[i].gain + singles[j].gain, false};

			if (pair.parts <= k->parts && pair.bids[0] != pair.bids[1] && market_allows(m, client, market_bit(m, pair.bids[0]), pair.bids[1]))
				add_item(k, first, &pair);
		}
	}
	if (k->n_items > first)
		k->groups[k->n_groups++] = first;
}

/* The best choice of at most one item a group, by dynamic programming over the parts. */
static void
solve_knapsack(Knapsack *k)
{
	double	   *best = palloc0(sizeof(double) * (k->parts + 1));
	int16	   *choice = palloc_extended(sizeof(int16) * ((Size) k->n_groups * (k->parts + 1) + 1), MCXT_ALLOC_HUGE);

	for (int g = 0; g < k->n_groups; g++)
	{
		int16	   *c = &choice[(Size) g * (k->parts + 1)];

		for (int w = k->parts; w >= 0; w--)
		{
			double		top = best[w];

			c[w] = -1;
			for (int i = k->groups[g]; i < k->groups[g + 1]; i++)
				if (k->items[i].parts <= w && best[w - k->items[i].parts] + k->items[i].gain > top)
				{
					top = best[w - k->items[i].parts] + k->items[i].gain;
					c[w] = (int16) (i - k->groups[g]);
				}
			best[w] = top;
		}
	}
	for (int g = k->n_groups - 1, w = k->parts; g >= 0; g--)
	{
		int			c = choice[(Size) g * (k->parts + 1) + w];

		if (c < 0)
			continue;
		k->items[k->groups[g] + c].taken = true;
		w -= k->items[k->groups[g] + c].parts;
	}
	pfree(best);
	pfree(choice);
}

/* Amounts are whole minutes as a rule: then the parts are exact. */
static double
part_of(const Market *m, const Users *users, int resource)
{
	const Resource *r = &m->resources[resource];

	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
	{
		const Client *client = &m->clients[users->clients[i]];

		for (int o = m->bids[client->first_bid].first_option;
			 o < m->bids[client->first_bid + client->n_bids - 1].first_option + m->bids[client->first_bid + client->n_bids - 1].n_options; o++)
		{
			double		amount = market_amount(m, &m->options[o], resource);

			if (amount != floor(amount))
				return r->capacity / MOST_PARTS;
		}
	}
	return r->capacity <= MOST_PARTS ? 1 : r->capacity / MOST_PARTS;
}

/* How many of the client's bids are chosen. */
static int
n_chosen(const Market *m, const Client *client)
{
	int			n = 0;

	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
		n += m->bids[b].chosen >= 0;
	return n;
}

/* What an offer leaves over after the other means are paid. */
static double
gain_on(const Market *m, int resource, const Offer *offer)
{
	const Option *option = &m->options[m->bids[offer->bid].first_option + offer->option];

	return option->value - market_option_price(m, option) + m->resources[resource].price * market_amount(m, option, resource);
}

/* The resource's clients do nothing; what they did. */
static int
clear(Market *m, const Users *users, int resource, Offer *before, double *worth)
{
	int			n = 0;

	*worth = 0;
	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
	{
		const Client *client = &m->clients[users->clients[i]];

		for (int b = client->first_bid; b < client->first_bid + client->n_bids && n_chosen(m, client) <= 2; b++)
			if (m->bids[b].chosen >= 0)
			{
				before[n++] = (Offer)
				{
					b, m->bids[b].chosen, 0
				};
				*worth += gain_on(m, resource, &before[n - 1]);
				market_drop(m, b);
			}
	}
	return n;
}

/* Do what was taken, the best first as far as the other means go; the number of bids done, first among offers. */
static int
unpack(Market *m, const Knapsack *k, Offer *offers, double *worth)
{
	int			n = 0;
	int			done = 0;

	for (int i = 0; i < k->n_items; i++)
		for (int p = 0; k->items[i].taken && p < k->items[i].n; p++)
			offers[n++] = market_offer(m, k->items[i].bids[p], k->items[i].options[p]);
	qsort_arg(offers, n, sizeof(Offer), market_compare_offers, m);
	*worth = 0;
	for (int i = 0; i < n; i++)
	{
		if (!market_may_choose(m, &offers[i]))
			continue;
		market_choose(m, offers[i].bid, offers[i].option);
		*worth += gain_on(m, k->resource, &offers[i]);
		offers[done++] = offers[i];
	}
	return done;
}

/* What the resource's clients do is chosen anew, exactly for it alone; kept if it is worth more. */
static void
repack(Market *m, const Users *users, int resource, Offer *before, Item *items, int *groups)
{
	const Resource *r = &m->resources[resource];
	Knapsack	k = {.resource = resource, .part = part_of(m, users, resource), .items = items, .groups = groups};
	double		worth_before;
	double		worth_after;
	int			n_before = clear(m, users, resource, before, &worth_before);
	Offer	   *done;
	int			n_done;

	k.parts = (int) floor((r->capacity - r->used) / k.part + 1e-9);
	for (int i = users->first[resource]; i < users->first[resource + 1]; i++)
		if (n_chosen(m, &m->clients[users->clients[i]]) == 0)
			add_group(m, &k, &m->clients[users->clients[i]]);
	k.groups[k.n_groups] = k.n_items;
	if (k.parts > 0 && k.n_groups > 0)
		solve_knapsack(&k);
	done = palloc(sizeof(Offer) * (2 * k.n_groups + 1));
	n_done = unpack(m, &k, done, &worth_after);
	if (worth_after <= worth_before)
	{
		for (int i = 0; i < n_done; i++)
			market_drop(m, done[i].bid);
		for (int i = 0; i < n_before; i++)
			market_choose(m, before[i].bid, before[i].option);
	}
	pfree(done);
}

/* Room for the items of any one resource. */
static Size
most_items(const Market *m, const Users *users)
{
	Size		most = 1;

	for (int r = 0; r < m->n_resources; r++)
	{
		Size		n = 0;

		for (int i = users->first[r]; i < users->first[r + 1] && market_few_users(m, users, r); i++)
		{
			const Client *client = &m->clients[users->clients[i]];
			const MarketBid *last = &m->bids[client->first_bid + client->n_bids - 1];
			Size		singles = Min(last->first_option + last->n_options - m->bids[client->first_bid].first_option, MOST_SINGLES);

			n += singles * (singles + 1) / 2;
		}
		most = Max(most, n);
	}
	return most;
}

/* Pack each scarce resource with few users anew. */
void
market_repack(Market *m, const Users *users, Offer *before, void (*tick) (void))
{
	Item	   *items = palloc_extended(sizeof(Item) * most_items(m, users), MCXT_ALLOC_HUGE);
	int		   *groups = palloc_extended(sizeof(int) * (m->n_clients + 1), MCXT_ALLOC_HUGE);

	for (int r = 0; r < m->n_resources; r++)
	{
		if (m->resources[r].price > 0 && m->resources[r].worth <= 0 && market_few_users(m, users, r))
			repack(m, users, r, before, items, groups);
		tick();
	}
	pfree(items);
	pfree(groups);
}
