/*
 * admit.c
 *		Who enters the market: bids that their own client, the policies and the
 *		calendar allow, each with the ways in which it could be done.
 *
 * Knows no other bid of the round, and no price.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "plan/award.h"

/* A bid enters with at most so many days to be done on. */
#define MAX_WAYS 10

/* Reasons that no limit is needed for. */
static const char *
inadmissible(const Round *round, const Candidate *c)
{
	if (!c->obligation && !(c->net > 0) && !round_spares(round, c, OBSTACLE_RESERVE))
		return "below_reserve";
	if (c->client->do_not_contact && !round_spares(round, c, OBSTACLE_CLIENT))
		return "do_not_contact";
	if (!c->client->active && !round_spares(round, c, OBSTACLE_CLIENT))
		return "suppressed";
	if ((c->bid->shadow || !c->client->deliver) && !round_spares(round, c, OBSTACLE_SHADOW))
		return "shadow";
	if (c->valid_until <= c->client->as_of)
		return "late";
	return NULL;
}

static void
add_uses(Round *round, const MeansOption *option)
{
	while (round->n_uses + option->n_uses > round->max_uses)
	{
		round->max_uses *= 2;
		round->uses = repalloc_huge(round->uses, sizeof(MarketUse) * round->max_uses);
	}
	memcpy(&round->uses[round->n_uses], option->uses, sizeof(MarketUse) * option->n_uses);
	round->n_uses += option->n_uses;
}

/* One more way of the last candidate. */
void
round_add_way(Round *round, Candidate *c, const MeansOption *option)
{
	if (round->n_ways == round->max_ways)
	{
		round->max_ways *= 2;
		round->ways = repalloc_huge(round->ways, sizeof(Way) * round->max_ways);
	}
	if (c->n_ways++ == 0)
		c->first_way = round->n_ways;
	round->ways[round->n_ways++] = (Way)
	{
		.day = option->day, .has_rep = option->has_rep, .rep_id = option->rep_id, .first_use = round->n_uses, .n_uses = option->n_uses
	};
	add_uses(round, option);
}

/* The days that means and policies leave; the reason where there is none. */
static const char *
find_ways(Round *round, Candidate *c, Limits *limits, DateADT *free_on)
{
	MeansOption options[MAX_WAYS];
	const char *reason = NULL;
	int			n = means_options(round->means, c->client, c->bid, options, MAX_WAYS, &reason, &c->missing);

	if (round_spares(round, c, OBSTACLE_MEANS))
	{
		memset(options, 0, sizeof(MeansOption));
		options[0].day = c->client->today;
		n = 1;
	}
	for (int i = 0; i < n; i++)
	{
		const char *policy = round_spares(round, c, OBSTACLE_POLICY) ? NULL : limits_contact(limits, c, options[i].day, free_on);

		if (policy == NULL)
			round_add_way(round, c, &options[i]);
		else if (reason == NULL)
		{
			reason = policy;
			c->missing = strcmp(policy, "contact_cap") == 0 ? 1 : 0;
		}
	}
	return c->n_ways > 0 ? NULL : reason;
}

/* Reject the candidate, or find the ways in which it may compete. */
void
admit(Round *round, Candidate *c, Limits *limits)
{
	DateADT		today = c->client->today;
	DateADT		free_on = today + 1;
	int64		conflict;

	c->reason = inadmissible(round, c);
	if (c->reason != NULL)
	{
		c->missing = strcmp(c->reason, "below_reserve") == 0 ? -c->net : 0;
		return;
	}
	conflict = round_spares(round, c, OBSTACLE_DEMAND) ? 0 : limits_conflict(limits, c);
	c->reason = conflict != 0 ? psprintf("excluded_by:" INT64_FORMAT, conflict) : find_ways(round, c, limits, &free_on);
	if (c->reason != NULL && conflict == 0)
		c->retry_at = c->client->as_of + (free_on - today) * USECS_PER_DAY;
}
