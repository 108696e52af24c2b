/*
 * award.c
 *		Who gets what: bids by net value over the whole round, each under the
 *		limits that stand when its turn comes.
 *
 * Best first over all clients, so that scarce minutes go to the best; among a
 * client's own bids that is also best first.  Ties by client, agent, action
 * and demand, which are the same in every round with the same input.
 */
#include "postgres.h"

#include "plan/award.h"

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = *(Candidate *const *) a;
	const Candidate *y = *(Candidate *const *) b;
	int			order;

	if (x->net != y->net)
		return x->net > y->net ? -1 : 1;
	if (x->bid->client_id != y->bid->client_id)
		return x->bid->client_id < y->bid->client_id ? -1 : 1;
	if ((order = strcmp(x->bid->agent, y->bid->agent)) != 0)
		return order;
	if ((order = strcmp(x->bid->action, y->bid->action)) != 0)
		return order;
	if ((order = strcmp(x->bid->demand_category, y->bid->demand_category)) != 0)
		return order;
	return x->bid_id < y->bid_id ? -1 : x->bid_id > y->bid_id;
}

/* Reasons that no limit is needed for. */
static const char *
inadmissible(const Candidate *c)
{
	if (!(c->net > 0))
		return "below_reserve";
	if (c->client->do_not_contact)
		return "do_not_contact";
	if (!c->client->active)
		return "suppressed";
	if (c->bid->shadow || !c->client->deliver)
		return "shadow";
	if (c->bid->valid_until <= c->client->as_of)
		return "late";
	return NULL;
}

/* The first day with minutes free, today or later while the bid is valid; false when there is none. */
static bool
find_day(Limits *limits, Candidate *c)
{
	DateADT		today = c->client->today;
	int64		days = (c->bid->valid_until - c->client->as_of) / USECS_PER_DAY;
	DateADT		last = today + (DateADT) Max(0, Min(days, 366) - 1);

	for (c->due_on = today; c->due_on <= last; c->due_on++)
		if (limits_minutes_free(limits, c, c->due_on))
			return true;
	return false;
}

static const char *
refused_by_limits(Limits *limits, Candidate *c)
{
	DateADT		today = c->client->today;
	DateADT		free_on = today + 1;
	int64		conflict = limits_conflict(limits, c);
	const char *reason;

	if (conflict != 0)
		return psprintf("excluded_by:" INT64_FORMAT, conflict);
	reason = limits_contact(limits, c, today, &free_on);
	if (reason == NULL && !find_day(limits, c))
		reason = "capacity:rep_minutes";
	if (reason == NULL && c->due_on != today)
		reason = limits_contact(limits, c, c->due_on, &free_on);
	if (reason != NULL)
		c->retry_at = c->client->as_of + (free_on - today) * USECS_PER_DAY;
	return reason;
}

/* Accept or reject every candidate; the limits are kept up with the awards. */
void
award_candidates(Candidate *candidates, int n, Limits *limits)
{
	Candidate **order = palloc(sizeof(Candidate *) * Max(n, 1));

	for (int i = 0; i < n; i++)
		order[i] = &candidates[i];
	qsort(order, n, sizeof(Candidate *), compare_candidates);
	for (int i = 0; i < n; i++)
	{
		Candidate  *c = order[i];

		c->reason = inadmissible(c);
		if (c->reason == NULL)
			c->reason = refused_by_limits(limits, c);
		c->accepted = c->reason == NULL;
		if (c->accepted)
			limits_book(limits, c);
	}
	pfree(order);
}
