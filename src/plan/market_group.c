/*
 * market_group.c
 *		Means that stand in for each other, the days of a rep: their prices move
 *		together.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "plan/market_parts.h"

/* Resources among which bids may choose: each leads to its group's first. */
static int
group_root(int *roots, int r)
{
	while (roots[r] != r)
		r = roots[r] = roots[roots[r]];
	return r;
}

/* For each resource the first one that stands in for it. */
int *
market_groups(const Market *m)
{
	int		   *roots = palloc(sizeof(int) * (m->n_resources + 1));

	for (int r = 0; r < m->n_resources; r++)
		roots[r] = r;
	for (int b = 0; b < m->n_bids; b++)
		for (int o = 1; o < m->bids[b].n_options; o++)
		{
			const Option *x = &m->options[m->bids[b].first_option + o - 1];
			const Option *y = &m->options[m->bids[b].first_option + o];

			/* ways of a bid name their means in the same order */
			for (int u = 0; x->n_uses == y->n_uses && u < x->n_uses; u++)
			{
				int			i = m->uses[x->first_use + u].resource;
				int			j = m->uses[y->first_use + u].resource;

				if (m->resources[i].worth <= 0 && m->resources[j].worth <= 0)
					roots[Max(group_root(roots, i), group_root(roots, j))] = Min(group_root(roots, i), group_root(roots, j));
			}
		}
	for (int r = 0; r < m->n_resources; r++)
		roots[r] = group_root(roots, r);
	return roots;
}

typedef struct Group
{
	int			n;
	int		   *members;		/* resources, those needed first in front */
	int			n_clients;
	int		   *clients;
} Group;

static int
compare_ranks(const void *a, const void *b, void *arg)
{
	const Resource *x = &((const Market *) arg)->resources[*(const int *) a];
	const Resource *y = &((const Market *) arg)->resources[*(const int *) b];

	return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : *(const int *) a - *(const int *) b;
}

/* Fill in the group of a root, with the clients that could use any of it. */
static void
fill_group(const Market *m, const Users *users, const int *roots, int root, int *seen, Group *group)
{
	group->n = group->n_clients = 0;
	for (int r = root; r < m->n_resources; r++)
	{
		if (roots[r] != root)
			continue;
		group->members[group->n++] = r;
		for (int i = users->first[r]; i < users->first[r + 1]; i++)
			if (seen[users->clients[i]] != root + 1)
			{
				seen[users->clients[i]] = root + 1;
				group->clients[group->n_clients++] = users->clients[i];
			}
	}
	qsort_arg(group->members, group->n, sizeof(int), compare_ranks, unconstify(Market *, m));
}

/* What is asked for of the group's first members beyond what there is, their prices being shifted. */
static double
excess_of(Market *m, const Group *group, int first, const double *prices, double shift, Pick *picks)
{
	double		excess = 0;

	for (int i = 0; i < first; i++)
	{
		Resource   *r = &m->resources[group->members[i]];

		r->price = Max(prices[i] + shift, 0);
		r->used = 0;
		excess -= r->capacity;
	}
	for (int i = 0; i < group->n_clients; i++)
	{
		double		bound;
		int			n = market_picks(m, &m->clients[group->clients[i]], picks, &bound);

		for (int p = 0; p < n; p++)
			market_add_uses(m, picks[p].bid, picks[p].option, 1);
	}
	for (int i = 0; i < first; i++)
		excess += m->resources[group->members[i]].used;
	return excess;
}

/* Move the prices of the group's first members by the same amount to where what is asked for of them meets what there is. */
static void
shift_prices(Market *m, const Group *group, int first, double *prices, Pick *picks)
{
	double		most = 1e-6;
	double		least = INFINITY;
	double		low = 0;
	double		high = 0;

	for (int i = 0; i < first; i++)
	{
		most = Max(most, prices[i]);
		least = Min(least, prices[i]);
	}
	if (excess_of(m, group, first, prices, 0, picks) > 0)
		for (high = most; excess_of(m, group, first, prices, high, picks) > 0 && high < 1e12; high *= 4)
			low = high;
	else if (excess_of(m, group, first, prices, -least, picks) > 0)
		low = -least;
	else
		low = high = -least;
	for (int i = 0; i < 2 * HALVINGS && high - low > 1e-6 * most; i++)
	{
		double		middle = (low + high) / 2;

		if (excess_of(m, group, first, prices, middle, picks) > 0)
			low = middle;
		else
			high = middle;
	}
	for (int i = 0; i < first; i++)
		prices[i] = m->resources[group->members[i]].price = Max(prices[i] + high, 0);
}

/*
 * Prices of means that stand in for each other: one by one they would only
 * chase the demand from day to day.  So the days up to each are moved together:
 * what may wait is not dearer than what may not.
 */
void
market_move_groups(Market *m, const Users *users, const int *roots, Pick *picks, void (*tick) (void))
{
	Group		group = {.members = palloc(sizeof(int) * (m->n_resources + 1)), .clients = palloc_extended(sizeof(int) * (m->n_clients + 1), MCXT_ALLOC_HUGE)};
	int		   *seen = palloc_extended(sizeof(int) * (m->n_clients + 1), MCXT_ALLOC_HUGE);
	int		   *size = palloc0(sizeof(int) * (m->n_resources + 1));
	double	   *prices = palloc(sizeof(double) * (m->n_resources + 1));

	memset(seen, 0, sizeof(int) * (m->n_clients + 1));
	for (int r = 0; r < m->n_resources; r++)
		size[roots[r]]++;
	for (int r = 0; r < m->n_resources; r++)
	{
		if (size[r] < 2)
			continue;
		fill_group(m, users, roots, r, seen, &group);
		for (int i = 0; i < group.n; i++)
			prices[i] = m->resources[group.members[i]].price;
		for (int first = group.n; first > 0; first--)
		{
			shift_prices(m, &group, first, prices, picks);
			tick();
		}
	}
	pfree(group.members);
	pfree(group.clients);
	pfree(seen);
	pfree(size);
	pfree(prices);
}
