/*
 * round.c
 *		One round of negotiation, from the call for proposals to the awards.
 *
 * Calls the rooms' and this room's parts in turn; decides nothing itself
 * except what an agent's silence about its own earlier proposal means.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "plan/award.h"

/* When neither stages nor agents name a time: look again after this. */
#define LOOK_AT_LAST_DAYS 30

/* No client is looked at again sooner than this, whatever an agent asks for: else the worker would never rest. */
#define LOOK_AT_FIRST (60 * USECS_PER_SEC)

/* Hash of client, round, agent, action, product and demand, made positive. */
static int64
bid_id(const Bid *bid, int64 round_id)
{
	char		fixed[5 * sizeof(int64)];
	int64		parts[5] = {bid->client_id, round_id, bid->demand_from, bid->demand_to,
	bid->has_product ? bid->product_id : 0};
	uint64		h;

	memcpy(fixed, parts, sizeof(fixed));
	h = hash_bytes_extended((const unsigned char *) fixed, sizeof(fixed), 0);
	h = hash_bytes_extended((const unsigned char *) bid->agent, strlen(bid->agent), h);
	h = hash_bytes_extended((const unsigned char *) bid->action, strlen(bid->action), h);
	h = hash_bytes_extended((const unsigned char *) bid->demand_category, strlen(bid->demand_category), h);
	return (int64) (h & PG_INT64_MAX);
}

static void
price(Candidate *c, const Bid *bid, const ClientSnapshot *client, const Population *population, int64 round_id)
{
	memset(c, 0, sizeof(Candidate));
	c->bid = bid;
	c->client = client;
	c->bid_id = bid_id(bid, round_id);
	c->p_baseline = baseline_p0(client, population, bid);
	c->p_used = bid->p_claim >= 0 ? bid->p_claim : effect_apply(c->p_baseline, baseline_theta(bid->action));
	c->value = (c->p_used - c->p_baseline) * bid->margin;
	c->net = c->value - bid->cost;
}

/* Bids become candidates with a baseline and a value; a bid repeated by its agent, wherever in its answer, counts once. */
Candidate *
plan_price(const BidSink *sink, const ClientSnapshot *clients, const Population *population, int64 round_id, int *n)
{
	Candidate  *candidates = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Candidate) * Max(sink->n, 1));
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(int64), .hcxt = CurrentMemoryContext};
	HTAB	   *seen = hash_create("agentcrm bids", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	*n = 0;
	for (int i = 0; i < sink->n; i++)
	{
		const Bid  *bid = &sink->bids[i];
		bool		repeated;

		if (bid->kind != BID_BID)
			continue;
		price(&candidates[*n], bid, &clients[bid->client_index], population, round_id);
		(void) hash_search(seen, &candidates[*n].bid_id, HASH_ENTER, &repeated);
		if (!repeated)
			(*n)++;
	}
	hash_destroy(seen);
	return candidates;
}

static bool
answered(const BidSink *sink, const char *agent)
{
	ListCell   *lc;

	foreach(lc, sink->answered)
		if (strcmp(lfirst(lc), agent) == 0)
			return true;
	return false;
}

/* Does some candidate of the standing recommendation's agent ask for the same again? */
static bool
supported(const Standing *s, Candidate *const *of_client, int n)
{
	for (int i = 0; i < n; i++)
	{
		const Bid  *bid = of_client[i]->bid;

		if (strcmp(bid->agent, s->agent) == 0 && strcmp(bid->action, s->action) == 0 &&
			strcmp(bid->demand_category, s->category) == 0)
			return true;
	}
	return false;
}

static int
compare_client_index(const void *a, const void *b)
{
	const Candidate *x = *(Candidate *const *) a;
	const Candidate *y = *(Candidate *const *) b;

	return x->bid->client_index - y->bid->client_index;
}

/* Recommendations that nobody has seen yet, and whose agent no longer stands behind them, go. */
static void
withdraw_unsupported(Candidate *candidates, int n, int n_clients, const BidSink *sink, Limits *limits,
					 TimestampTz as_of)
{
	Candidate **by_client = palloc(sizeof(Candidate *) * Max(n, 1));
	List	   *gone = NIL;
	int			first = 0;

	for (int i = 0; i < n; i++)
		by_client[i] = &candidates[i];
	qsort(by_client, n, sizeof(Candidate *), compare_client_index);
	for (int client = 0; client < n_clients; client++)
	{
		ListCell   *lc;
		int			last;

		while (first < n && by_client[first]->bid->client_index < client)
			first++;
		for (last = first; last < n && by_client[last]->bid->client_index == client;)
			last++;
		foreach(lc, limits_standings(limits, client))
		{
			Standing   *s = lfirst(lc);

			if (!s->standing || s->communicated || !answered(sink, s->agent) ||
				supported(s, by_client + first, last - first))
				continue;
			limits_withdraw(s);
			gone = lappend(gone, s);
		}
	}
	if (gone != NIL)
	{
		const Standing **array = palloc(sizeof(Standing *) * list_length(gone));

		for (int i = 0; i < list_length(gone); i++)
			array[i] = list_nth(gone, i);
		execute_withdraw(array, list_length(gone), "no longer supported", as_of);
	}
	pfree(by_client);
}

static void
accept_awards(const Candidate *candidates, int n, int64 round_id, TimestampTz as_of)
{
	Award	   *awards = palloc(sizeof(Award) * Max(n, 1));
	int			n_awards = 0;

	for (int i = 0; i < n; i++)
	{
		const Candidate *c = &candidates[i];

		if (c->accepted)
			awards[n_awards++] = (Award)
			{
				.bid = c->bid, .bid_id = c->bid_id, .round_id = round_id, .has_rep = c->client->has_rep,
				.rep_id = c->client->rep_id, .due_on = c->due_on, .net_value = c->net
			};
	}
	execute_accept(awards, n_awards, as_of);
	pfree(awards);
}

static void
wish(ClientSnapshot *client, TimestampTz at)
{
	if (at > client->as_of && (client->state.next_look_at <= client->as_of || at < client->state.next_look_at))
		client->state.next_look_at = Max(at, client->as_of + LOOK_AT_FIRST);
}

/* Each client is looked at again at the earliest time that its stage, an agent or a limit names. */
static void
fold_wishes(ClientSnapshot *clients, int n_clients, const BidSink *sink, const Candidate *candidates, int n)
{
	for (int i = 0; i < sink->n; i++)
		wish(&clients[sink->bids[i].client_index], sink->bids[i].next_look_at);
	for (int i = 0; i < n; i++)
		wish(&clients[candidates[i].bid->client_index], candidates[i].retry_at);
	for (int i = 0; i < n_clients; i++)
		wish(&clients[i], clients[i].state.next_look_at > clients[i].as_of ? clients[i].state.next_look_at :
			 clients[i].as_of + LOOK_AT_LAST_DAYS * USECS_PER_DAY);
}

/* See plan.h. */
AgentCall
plan_call(int64 round_id, TimestampTz as_of)
{
	return (AgentCall)
	{
		.round_id = round_id, .seed = round_id, .as_of = as_of, .horizon_days = agentcrm_value_horizon,
		.margin_rate = agentcrm_margin_rate, .false_alarm_rate = agentcrm_false_alarm_rate
	};
}

static void
negotiate(RoundKind kind, ClientSnapshot *clients, int n_clients, TimestampTz as_of, MemoryContext caller)
{
	const Population *population = profile_population();
	MemoryContext cxt = CurrentMemoryContext;
	AgentCall	call;
	BidSink		sink;
	Candidate  *candidates;
	Limits	   *limits;
	instr_time	start;
	instr_time	end;
	int			n;

	INSTR_TIME_SET_CURRENT(start);
	call = plan_call(record_next_round(), as_of);
	bid_sink_init(&sink);
	agent_call_all(clients, n_clients, population, &call, &sink);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	candidates = plan_price(&sink, clients, population, call.round_id, &n);
	limits = limits_read(clients, n_clients, clients[0].today);
	withdraw_unsupported(candidates, n, n_clients, &sink, limits, as_of);
	if (n > 0)
		limits_read_minutes(limits, clients, n_clients, clients[0].today);
	award_candidates(candidates, n, limits);
	record_bids(candidates, n, call.round_id, as_of, population);
	accept_awards(candidates, n, call.round_id, as_of);
	fold_wishes(clients, n_clients, &sink, candidates, n);
	record_answers(clients, n_clients, &sink, caller);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	record_round(call.round_id, kind, &call, n_clients, candidates, n, &sink, INSTR_TIME_GET_DOUBLE(end));
	PopActiveSnapshot();
	SPI_finish();
}

/* One round for the given clients; sets each snapshot's state.next_look_at and state.answers. */
void
plan_round(RoundKind kind, ClientSnapshot *clients, int n_clients, TimestampTz as_of)
{
	MemoryContext cxt;
	MemoryContext old;

	if (n_clients == 0)
		return;
	cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm round", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	negotiate(kind, clients, n_clients, as_of, old);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}
