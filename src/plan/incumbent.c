/*
 * incumbent.c
 *		Recommendations that nobody has seen yet: they go when their agent no
 *		longer stands behind them, else they compete anew.
 *
 * What was communicated is a commitment and never comes here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "columns.h"
#include "plan/award.h"

static bool
answered(const BidSink *sink, const char *agent)
{
	ListCell   *lc;

	foreach(lc, sink->answered)
		if (strcmp(lfirst(lc), agent) == 0)
			return true;
	return false;
}

/* The candidate by which the standing recommendation's agent asks for the same again, or NULL. */
static const Candidate *
support(const Standing *s, const Candidate *of_client, int n)
{
	for (int i = 0; i < n; i++)
	{
		const Bid  *bid = of_client[i].bid;

		if (strcmp(bid->agent, s->agent) == 0 && strcmp(bid->action, s->action) == 0 &&
			strcmp(bid->demand_category, s->category) == 0)
			return &of_client[i];
	}
	return NULL;
}

/* It competes with what its agent reckons it is worth now. */
static void
enter(Round *round, const ClientSnapshot *client, Standing *s, const Candidate *supporter, int room)
{
	Candidate	c = {
		.client_id = s->client_id, .bid_id = s->recommendation_id, .agent = s->agent, .action = s->action, .channel = s->channel,
		.category = s->category, .demand_from = s->from, .demand_to = s->to, .valid_until = s->expires_at, .incumbent = true,
		.iteration = 1, .net = supporter ? supporter->net : s->value, .has_rep = s->has_rep, .rep_id = s->rep_id, .due_on = s->due_on,
		.room = room, .market = -1
	};

	s->contested = true;
	/* one of a client merged into this one competes with this one's bids */
	c.client_id = client->client_id;
	c.holder_id = s->client_id;
	round_add_candidate(round, &c);
}

/* What the incumbents among the round's candidates from first on have set aside: it is theirs to compete with. */
static void
read_uses(Round *round, int first)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {INT8OID, INT8OID, INT4OID};
	Columns    *columns = columns_new(lengthof(types), types, Max(round->n - first, 1));
	MeansOption option;
	SPITupleTable *table;
	int			current = -1;

	for (int i = first; i < round->n; i++)
	{
		columns_row(columns);
		columns_set(columns, 1, Int64GetDatum(round->candidates[i].holder_id));
		columns_set(columns, 2, Int64GetDatum(round->candidates[i].bid_id));
		columns_set(columns, 3, Int32GetDatum(i));
	}
	if (columns_execute(columns, &plan, "SELECT i.number, u.resource, u.owner_id, u.day, pg_catalog.sum(u.amount)::float8 "
						"FROM " COLUMNS " AS i(client_id, id, number) JOIN agentcrm.resource_use u "
						"ON u.client_id OPERATOR(pg_catalog.=) i.client_id AND u.recommendation_id OPERATOR(pg_catalog.=) i.id "
						"GROUP BY 1, 2, 3, 4 HAVING pg_catalog.sum(u.amount) OPERATOR(pg_catalog.>) 0 ORDER BY 1, 2, 3, 4",
						0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.resource_use");
	table = SPI_tuptable;
	for (uint64 t = 0; t < table->numvals; t++)
	{
		bool		isnull;
		int			i = DatumGetInt32(SPI_getbinval(table->vals[t], table->tupdesc, 1, &isnull));
		int			resource = means_find(round->means, SPI_getvalue(table->vals[t], table->tupdesc, 2),
										  DatumGetInt64(SPI_getbinval(table->vals[t], table->tupdesc, 3, &isnull)),
										  DatumGetDateADT(SPI_getbinval(table->vals[t], table->tupdesc, 4, &isnull)));
		double		amount = DatumGetFloat8(SPI_getbinval(table->vals[t], table->tupdesc, 5, &isnull));

		if (current >= 0 && i != current)
			round_add_way(round, &round->candidates[current], &option);
		if (i != current)
			memset(&option, 0, sizeof(option));
		current = i;
		option.day = round->candidates[i].due_on;
		option.has_rep = round->candidates[i].has_rep;
		option.rep_id = round->candidates[i].rep_id;
		if (resource < 0 || option.n_uses == (int) lengthof(option.uses))
			continue;			/* of a day that is over, or not limited any more */
		option.uses[option.n_uses++] = (MarketUse)
		{
			resource, amount
		};
		means_return(round->means, resource, amount);
	}
	if (current >= 0)
		round_add_way(round, &round->candidates[current], &option);
	SPI_freetuptable(table);
	memset(&option, 0, sizeof(option));
	for (int i = first; i < round->n; i++)
	{
		Candidate  *c = &round->candidates[i];

		option.day = c->due_on;
		option.has_rep = c->has_rep;
		option.rep_id = c->rep_id;
		if (c->n_ways == 0)
			round_add_way(round, c, &option);
	}
}

/*
 * Withdraw or let compete what stands unseen.  Candidates are those of the
 * chunk, by client.  Needs SPI.
 */
void
incumbents_enter(Round *round, const ClientSnapshot *clients, int n_clients, const Candidate *candidates, int n, const BidSink *sink)
{
	const Standing **gone = NULL;
	int			n_gone = 0;
	int			max_gone = 0;
	int			first = round->n;
	int			at = 0;

	for (int client = 0; client < n_clients; client++)
	{
		int			room = round->n_rooms + client * round->n_policies;
		int			last;
		ListCell   *lc;

		for (last = at; last < n && candidates[last].client_index == client;)
			last++;
		foreach(lc, limits_standings(round->policies, client))
		{
			Standing   *s = lfirst(lc);
			const Candidate *supporter = support(s, candidates + at, last - at);

			if (!s->standing || s->communicated || (s->obligation && supporter != NULL))
				continue;
			if (supporter != NULL || !answered(sink, s->agent))
			{
				enter(round, &clients[client], s, supporter, room);
				continue;
			}
			limits_withdraw(s);
			if (n_gone == max_gone)
			{
				max_gone = Max(16, max_gone * 2);
				gone = gone ? repalloc(gone, sizeof(Standing *) * max_gone) : palloc(sizeof(Standing *) * max_gone);
			}
			gone[n_gone++] = s;
		}
		at = last;
	}
	if (n_gone > 0 && !round->dry)
		execute_withdraw(gone, n_gone, "no longer supported", round->call.as_of);
	if (round->n > first)
		read_uses(round, first);
}

/* In a second call what competes anew is known already.  Needs SPI. */
void
incumbents_again(Round *round, int n_clients)
{
	for (int client = 0; client < n_clients; client++)
	{
		ListCell   *lc;

		foreach(lc, limits_standings(round->policies, client))
		{
			Standing   *s = lfirst(lc);

			s->contested = s->standing && !s->communicated && !s->obligation;
		}
	}
}

/* Incumbents that did not win again give way.  Needs SPI. */
void
incumbents_leave(const Round *round)
{
	Displaced  *displaced = palloc_extended(sizeof(Displaced) * Max(round->n, 1), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int i = 0; i < round->n; i++)
	{
		const Candidate *c = &round->candidates[i];

		if (c->incumbent && !c->accepted)
			displaced[n++] = (Displaced)
		{
			c->holder_id, c->bid_id, c->reason
		};
	}
	execute_displace(displaced, n, round->call.as_of);
	pfree(displaced);
}
