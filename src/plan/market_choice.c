/*
 * market_choice.c
 *		What a client would choose at the prices, and what all of them ask for.
 *
 * Exact up to EXACT_BIDS bids that pay; beyond, the bound drops exclusions.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "plan/market_parts.h"

/* More bids than this are chosen greedily. */
#define EXACT_BIDS 16

/* The bid's place among its client's, as a bit; beyond the first 32 bids none. */
uint32
market_bit(const Market *m, int bid)
{
	int			place = bid - m->clients[m->bids[bid].client].first_bid;

	return place < 32 ? (uint32) 1 << place : 0;
}
/* What the means of an option cost; a floor pays for being used. */
double
market_option_price(const Market *m, const Option *option)
{
	double		price = 0;

	for (int i = 0; i < option->n_uses; i++)
	{
		const MarketUse *use = &m->uses[option->first_use + i];
		const Resource *r = &m->resources[use->resource];

		price += (r->worth > 0 ? -r->price : r->price) * use->amount;
	}
	return price;
}

/* The bid's best option at the prices, and what it leaves over. */
static int
best_option(const Market *m, const MarketBid *bid, double *surplus)
{
	int			best = -1;

	*surplus = 0;
	for (int o = 0; o < bid->n_options; o++)
	{
		const Option *option = &m->options[bid->first_option + o];
		double		left = option->value - market_option_price(m, option);

		if (left > *surplus)
		{
			*surplus = left;
			best = o;
		}
	}
	return best;
}

/* The search for a client's best set. */
typedef struct Search
{
	const Market *m;
	const Client *client;
	const Pick *picks;
	int			n;
	double	   *rest;			/* of the picks from i on */
	uint32		best_set;
	double		best;
} Search;

/* Whether the client may do the bid beside the set: conflicts, caps, and how many it may be awarded. */
bool
market_allows(const Market *m, const Client *client, uint32 set, int bid)
{
	uint32		bit = market_bit(m, bid);

	if (bit == 0 || (m->bids[bid].conflicts & set) != 0 || __builtin_popcount(set) >= client->most)
		return false;
	for (int c = client->first_cap; c < client->first_cap + client->n_caps; c++)
		if ((m->caps[c].members & bit) != 0 && __builtin_popcount(m->caps[c].members & set) >= m->caps[c].most)
			return false;
	return true;
}

static void
search_from(Search *s, int i, uint32 set, double sum)
{
	if (sum > s->best)
	{
		s->best = sum;
		s->best_set = set;
	}
	if (i == s->n || sum + s->rest[i] <= s->best)
		return;
	if (market_allows(s->m, s->client, set, s->picks[i].bid))
		search_from(s, i + 1, set | market_bit(s->m, s->picks[i].bid), sum + s->picks[i].surplus);
	search_from(s, i + 1, set, sum);
}

static uint32
greedy_set(const Market *m, const Client *client, const Pick *picks, int n)
{
	uint32		set = 0;

	for (int i = 0; i < n; i++)
		if (market_allows(m, client, set, picks[i].bid))
			set |= market_bit(m, picks[i].bid);
	return set;
}

/* By what they leave over, the better first; they are few. */
static void
sort_picks(Pick *picks, int n)
{
	for (int i = 1; i < n; i++)
	{
		Pick		pick = picks[i];
		int			j = i;

		for (; j > 0 && picks[j - 1].surplus < pick.surplus; j--)
			picks[j] = picks[j - 1];
		picks[j] = pick;
	}
}

/* Where only one can be had: the best one, to the front. */
static int
best_pick(Pick *picks, int n, double *bound)
{
	for (int i = 1; i < n; i++)
		if (picks[i].surplus > picks[0].surplus)
			picks[0] = picks[i];
	*bound = picks[0].surplus;
	return 1;
}

static int
keep_picks(const Market *m, Pick *picks, int n, uint32 set)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if ((market_bit(m, picks[i].bid) & set) != 0)
			picks[kept++] = picks[i];
	return kept;
}

/* The client's best picks at the prices; *bound: no set leaves more over. */
int
market_picks(const Market *m, const Client *client, Pick *picks, double *bound)
{
	double		rest[EXACT_BIDS + 1];
	Search		s = {m, client, picks, 0, rest, 0, 0};

	*bound = 0;
	for (int b = client->first_bid; b < client->first_bid + client->n_bids; b++)
	{
		Pick	   *pick = &picks[s.n];

		pick->bid = b;
		pick->option = best_option(m, &m->bids[b], &pick->surplus);
		*bound += pick->surplus;
		s.n += pick->option >= 0;
	}
	if (s.n == 0)
		return 0;
	if (client->n_caps == 0 && (s.n == 1 || client->most == 1))
		return best_pick(picks, s.n, bound);
	sort_picks(picks, s.n);
	if (s.n > EXACT_BIDS)
		return keep_picks(m, picks, s.n, greedy_set(m, client, picks, s.n));
	rest[s.n] = 0;
	for (int i = s.n - 1; i >= 0; i--)
		rest[i] = rest[i + 1] + picks[i].surplus;
	search_from(&s, 0, 0, 0);
	*bound = s.best;
	return keep_picks(m, picks, s.n, s.best_set);
}

/* Room for the picks of any client. */
Pick *
market_pick_space(const Market *m)
{
	int			most = 1;

	for (int c = 0; c < m->n_clients; c++)
		most = Max(most, m->clients[c].n_bids);
	return palloc_extended(sizeof(Pick) * most, MCXT_ALLOC_HUGE);
}

/* What the means bring in at the prices, were they all used. */
static double
means_worth_at_prices(const Market *m)
{
	double		sum = 0;

	for (int r = 0; r < m->n_resources; r++)
		sum += (m->resources[r].worth > 0 ? -1 : 1) * m->resources[r].price * m->resources[r].capacity;
	return sum;
}

/* The option is done (sign 1) or not done any more (-1). */
void
market_add_uses(Market *m, int bid, int o, double sign)
{
	const Option *option = &m->options[m->bids[bid].first_option + o];

	for (int i = 0; i < option->n_uses; i++)
		m->resources[m->uses[option->first_use + i].resource].used += sign * m->uses[option->first_use + i].amount;
}

/* L at the prices; demand goes to the resources' used. */
double
market_demand(Market *m, Pick *picks, void (*tick) (void))
{
	double		sum = means_worth_at_prices(m);

	for (int r = 0; r < m->n_resources; r++)
		m->resources[r].used = 0;
	for (int c = 0; c < m->n_clients; c++)
	{
		double		bound;
		int			n = market_picks(m, &m->clients[c], picks, &bound);

		sum += bound;
		for (int i = 0; i < n; i++)
			market_add_uses(m, picks[i].bid, picks[i].option, 1);
		if ((c & 255) == 0)
			tick();
	}
	return sum;
}

/* How much of the resource the option uses. */
double
market_amount(const Market *m, const Option *option, int resource)
{
	double		amount = 0;

	for (int u = 0; u < option->n_uses; u++)
		if (m->uses[option->first_use + u].resource == resource)
			amount += m->uses[option->first_use + u].amount;
	return amount;
}
