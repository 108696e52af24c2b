/*
 * round.c
 *		One round of negotiation, from the call for proposals to the awards.
 *
 * Calls the rooms' and this room's parts in turn.  Clients pass chunk by chunk:
 * of a bid that was heard only what the market needs stays in memory.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "columns.h"
#include "engine/engine.h"
#include "plan/award.h"
#include "store.h"

/* When neither stages nor agents name a time: look again after this. */
#define LOOK_AT_LAST_DAYS 30

/* No client is looked at again sooner than this, whatever an agent asks for: else the worker would never rest. */
#define LOOK_AT_FIRST (60 * USECS_PER_SEC)

/* Clients whose snapshots and bids are in memory together in a round over all. */
#define CHUNK 500

/* Means are planned so many days ahead. */
#define PLAN_DAYS 14

/* ---- bids become candidates ---- */

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
	c->client_index = bid->client_index;
	c->client_id = c->holder_id = bid->client_id;
	c->bid_id = bid_id(bid, round_id);
	c->agent = bid->agent;
	c->action = bid->action;
	c->channel = bid->channel;
	c->category = bid->demand_category;
	c->demand_from = bid->demand_from;
	c->demand_to = bid->demand_to;
	c->valid_until = bid->valid_until;
	c->iteration = 1;
	c->obligation = bid->obligation;
	c->explore = bid->explore;
	c->market = -1;
	worth_price(client, population, c);
}

/* Bids become candidates with a baseline and a value; a bid repeated by its agent, wherever in its answer, counts once. */
Candidate *
plan_price(const BidSink *sink, const ClientSnapshot *clients, const Population *population, int64 round_id, int *n)
{
	Candidate  *candidates = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Candidate) * Max(sink->n, 1));
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(int64), .hcxt = CurrentMemoryContext};
	HTAB	   *seen = hash_create("agentcrm bids", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	worth_read(population);
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

typedef struct Word
{
	uint64		hash;
	char	   *text;
} Word;

/* The text, kept once for the whole round. */
static const char *
keep_word(Round *round, const char *text)
{
	uint64		hash;
	bool		found;
	Word	   *word;

	if (text == NULL)
		return NULL;
	hash = hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
	word = hash_search(round->words, &hash, HASH_ENTER, &found);
	if (!found)
		word->text = MemoryContextStrdup(round->cxt, text);
	return strcmp(word->text, text) == 0 ? word->text : MemoryContextStrdup(round->cxt, text);
}

/* The candidate becomes one of the round. */
Candidate *
round_add_candidate(Round *round, const Candidate *c)
{
	Candidate  *kept;

	if (round->n == round->max)
	{
		round->max *= 2;
		round->candidates = repalloc_huge(round->candidates, sizeof(Candidate) * round->max);
	}
	kept = &round->candidates[round->n++];
	*kept = *c;
	kept->agent = keep_word(round, c->agent);
	kept->action = keep_word(round, c->action);
	kept->channel = keep_word(round, c->channel);
	kept->category = keep_word(round, c->category);
	kept->reason = keep_word(round, c->reason);
	return kept;
}

/* ---- the call ---- */

static void
wish(ClientSnapshot *client, TimestampTz at)
{
	if (at > client->as_of && (client->state.next_look_at <= client->as_of || at < client->state.next_look_at))
		client->state.next_look_at = Max(at, client->as_of + LOOK_AT_FIRST);
}

static int
compare_priced(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;
	int			order;

	if (x->client_index != y->client_index)
		return x->client_index - y->client_index;
	if ((order = strcmp(x->agent, y->agent)) != 0 || (order = strcmp(x->action, y->action)) != 0 ||
		(order = strcmp(x->category, y->category)) != 0)
		return order;
	return x->bid_id < y->bid_id ? -1 : x->bid_id > y->bid_id;
}

static void
count_answers(Round *round, const BidSink *sink)
{
	ListCell   *lc;

	for (int i = 0; i < sink->n; i++)
	{
		round->n_refusals += sink->bids[i].kind == BID_REFUSE;
		round->n_looks += sink->bids[i].kind == BID_LOOK;
	}
	foreach(lc, sink->failed)
	{
		MemoryContext old = MemoryContextSwitchTo(round->cxt);

		round->failed = list_append_unique_ptr(round->failed, unconstify(char *, keep_word(round, lfirst(lc))));
		MemoryContextSwitchTo(old);
	}
	round->answered = NIL;
	foreach(lc, sink->answered)
	{
		MemoryContext old = MemoryContextSwitchTo(round->cxt);

		round->answered = lappend(round->answered, unconstify(char *, keep_word(round, lfirst(lc))));
		MemoryContextSwitchTo(old);
	}
}

/* Is it the bid asked about, and is it spared this? */
bool
round_spares(const Round *round, const Candidate *c, Obstacle obstacle)
{
	const Target *target = round->target;

	return target != NULL && target->found >= 0 && c == &round->candidates[target->found] && (target->spared >> obstacle & 1) != 0;
}

static void
make_rooms(Round *round, const ClientSnapshot *clients, int n_clients)
{
	int			n = n_clients * round->n_policies;

	while (round->n_rooms + n > round->max_rooms)
	{
		round->max_rooms *= 2;
		round->rooms = repalloc_huge(round->rooms, sizeof(int) * round->max_rooms);
	}
	for (int client = 0; client < n_clients; client++)
		for (int policy = 0; policy < round->n_policies; policy++)
			round->rooms[round->n_rooms + client * round->n_policies + policy] =
				limits_room(round->policies, client, policy, clients[client].today);
}

static void
hear(Round *round, Candidate *candidates, int n)
{
	for (int i = 0; i < n; i++)
	{
		Candidate  *c;
		bool		again;

		/* who is called twice may say the same twice */
		(void) hash_search(round->heard, &candidates[i].bid_id, HASH_ENTER, &again);
		if (again)
			continue;
		c = round_add_candidate(round, &candidates[i]);
		c->iteration = round->iterations;
		c->room = round->n_rooms + c->client_index * round->n_policies;
		if (round->target != NULL && round->target->found < 0 && strcmp(c->action, round->target->action) == 0 &&
			(round->target->agent == NULL || strcmp(c->agent, round->target->agent) == 0))
			round->target->found = round->n - 1;
		admit(round, c, round->policies);
		c->reason = keep_word(round, c->reason);
		record_keep(round, c);
		c->bid = NULL;
		c->client = NULL;
	}
}

/*
 * Call the agents for a chunk of clients and hear their bids.  In the first
 * iteration what stands unseen competes anew, and what agents without a bid say
 * goes into the snapshots.
 */
static void
call_chunk(Round *round, ClientSnapshot *clients, int n_clients, MemoryContext caller)
{
	MemoryContext cxt = CurrentMemoryContext;
	BidSink		sink;
	Candidate  *candidates;
	int			n;

	bid_sink_init(&sink);
	agent_call_all(clients, n_clients, round->population, &round->call, &sink);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	candidates = plan_price(&sink, clients, round->population, round->call.round_id, &n);
	qsort(candidates, n, sizeof(Candidate), compare_priced);
	limits_read(round->policies, clients, n_clients, clients[0].today);
	if (round->iterations == 1)
	{
		count_answers(round, &sink);
		round->n_clients += n_clients;
		incumbents_enter(round, clients, n_clients, candidates, n, &sink);
		record_answers(clients, n_clients, &sink, caller);
		for (int i = 0; i < sink.n; i++)
			wish(&clients[sink.bids[i].client_index], sink.bids[i].next_look_at);
	}
	else
		incumbents_again(round, n_clients);
	make_rooms(round, clients, n_clients);
	hear(round, candidates, n);
	round->n_rooms += n_clients * round->n_policies;
	PopActiveSnapshot();
	SPI_finish();
	MemoryContextSwitchTo(cxt);
}

/* ---- the round ---- */

/* See plan.h. */
AgentCall
plan_call(int64 round_id, TimestampTz as_of)
{
	return (AgentCall)
	{
		.round_id = round_id, .iteration = 1, .seed = round_id, .as_of = as_of, .horizon_days = agentcrm_value_horizon,
		.margin_rate = agentcrm_margin_rate, .false_alarm_rate = agentcrm_false_alarm_rate
	};
}

static HTAB *
new_hash(const char *name, Size entrysize)
{
	HASHCTL		ctl = {.keysize = sizeof(uint64), .entrysize = entrysize, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * A round begins when the one before it has ended: what that awarded is
 * committed, or not there.  Readers, feedback and orders do not wait.
 */
Round *
round_begin(RoundKind kind, TimestampTz as_of, bool dry)
{
	Round	   *round = palloc0(sizeof(Round));
	MemoryContext cxt = CurrentMemoryContext;

	if (!dry)
		LockRelationOid(store_relid("round"), ShareRowExclusiveLock);
	round->kind = kind;
	round->dry = dry;
	round->cxt = cxt;
	round->population = profile_population();
	round->call = plan_call(dry ? 0 : record_next_round(), as_of);
	round->iterations = 1;
	round->words = new_hash("agentcrm words", sizeof(Word));
	round->heard = new_hash("agentcrm bids", sizeof(int64));
	round->max = round->max_ways = round->max_uses = round->max_rooms = 64;
	round->candidates = palloc(sizeof(Candidate) * round->max);
	round->ways = palloc(sizeof(Way) * round->max_ways);
	round->uses = palloc(sizeof(MarketUse) * round->max_uses);
	round->rooms = palloc(sizeof(int) * round->max_rooms);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	round->policies = limits_begin();
	round->n_policies = limits_policies(round->policies);
	round->means = means_read(period_day(as_of), PLAN_DAYS);
	SPI_finish();
	MemoryContextSwitchTo(cxt);
	record_begin(round);
	return round;
}

static void
round_write(const Round *round)
{
	Award	   *awards = palloc_extended(sizeof(Award) * Max(round->n, 1), MCXT_ALLOC_HUGE);
	int			n = 0;

	/* the unique index holds one open row per client, action and demand: room is made first */
	incumbents_leave(round);
	record_bids(unconstify(Round *, round));
	for (int i = 0; i < round->n; i++)
		if (round->candidates[i].accepted && !round->candidates[i].incumbent)
			awards[n++] = (Award)
		{
			round->candidates[i].client_id, round->candidates[i].bid_id
		};
	execute_accept(awards, n, round->call.as_of);
	uses_record(round);
	if (round->kind == ROUND_DAILY)
		prices_record(round);
	pfree(awards);
}

/* Does a second call make sense: was the bid rejected for want of means? */
static bool
wants_means(const Candidate *c)
{
	return !c->accepted && !c->incumbent && c->n_ways > 0 && c->reason != NULL &&
		(strncmp(c->reason, "capacity:", 9) == 0 || strncmp(c->reason, "budget:", 7) == 0);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* The distinct clients with a bid that was rejected for want of means. */
static int64 *
short_clients(const Round *round, int *n)
{
	int64	   *ids = palloc_extended(sizeof(int64) * Max(round->n, 1), MCXT_ALLOC_HUGE);
	int			all = 0;

	for (int i = 0; i < round->n; i++)
		if (wants_means(&round->candidates[i]))
			ids[all++] = round->candidates[i].client_id;
	qsort(ids, all, sizeof(int64), compare_ids);
	*n = 0;
	for (int i = 0; i < all; i++)
		if (*n == 0 || ids[*n - 1] != ids[i])
			ids[(*n)++] = ids[i];
	return ids;
}

static void
name_rejected(Round *round, const ClientSnapshot *clients, int n_clients)
{
	AgentRejected *rejected = palloc(sizeof(AgentRejected) * Max(round->n, 1));
	int			n = 0;

	for (int i = 0; i < round->n; i++)
	{
		const Candidate *c = &round->candidates[i];
		int			low = 0;
		int			high = n_clients;

		if (!wants_means(c))
			continue;
		while (low < high)
		{
			int			middle = (low + high) / 2;

			if (clients[middle].client_id < c->client_id)
				low = middle + 1;
			else
				high = middle;
		}
		if (low < n_clients && clients[low].client_id == c->client_id)
			rejected[n++] = (AgentRejected)
		{
			.client_index = low, .agent = c->agent, .action = c->action, .demand_category = c->category, .reason = c->reason, .price = c->price
		};
	}
	round->call.n_rejected = n;
	round->call.rejected = rejected;
}

/* Call the agents for some clients, ascending ids; their snapshots are read here. */
void
round_call_ids(Round *round, const int64 *ids, int n)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm chunk", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	int			n_clients;
	ClientSnapshot *clients = profile_read(ids, n, round->call.as_of, &n_clients);

	for (int i = 0; i < n_clients; i++)
		clients[i].deliver = clients[i].deliver && round->deliver;
	if (round->call.iteration == 2)
		name_rejected(round, clients, n_clients);
	if (n_clients > 0)
		call_chunk(round, clients, n_clients, cxt);
	round->call.n_rejected = 0;
	round->call.rejected = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* What one iteration came to, to go back to. */
typedef struct Fates
{
	int			n;
	Candidate  *candidates;
	MarketAnswer answer;
	double	   *prices;
	double	   *used;
} Fates;

static Fates
keep_fates(const Round *round)
{
	Fates		fates = {round->n, palloc_extended(sizeof(Candidate) * Max(round->n, 1), MCXT_ALLOC_HUGE), round->answer, round->prices, round->used};

	memcpy(fates.candidates, round->candidates, sizeof(Candidate) * round->n);
	return fates;
}

/* The plan of before was better: the new bids lost. */
static void
restore_fates(Round *round, const Fates *fates)
{
	memcpy(round->candidates, fates->candidates, sizeof(Candidate) * fates->n);
	for (int i = fates->n; i < round->n; i++)
	{
		round->candidates[i].accepted = false;
		if (round->candidates[i].reason == NULL)
			round->candidates[i].reason = "outbid";
	}
	round->answer = fates->answer;
	round->prices = fates->prices;
	round->used = fates->used;
}

/*
 * Who lost for want of means is called once more, told the prices: for
 * something cheaper.  The value never falls.
 */
static void
second_iteration(Round *round)
{
	int			n;
	int64	   *ids = short_clients(round, &n);
	Fates		before = keep_fates(round);

	round->iterations = round->call.iteration = 2;
	for (int i = 0; i < n; i += CHUNK)
	{
		round_call_ids(round, ids + i, Min(CHUNK, n - i));
		CHECK_FOR_INTERRUPTS();
	}
	if (round->n > before.n)
	{
		int			n_means = means_count(round->means);

		before.prices = repalloc(before.prices, sizeof(double) * (n_means + 1));
		before.used = repalloc(before.used, sizeof(double) * (n_means + 1));
		auction_settle(round);
		if (round->answer.value < before.answer.value)
			restore_fates(round, &before);
	}
	pfree(ids);
	pfree(before.candidates);
}

/* Let what was heard compete, in two iterations if means are short. */
void
round_settle(Round *round)
{
	MemoryContext cxt = CurrentMemoryContext;
	int			n;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	auction_settle(round);
	round->first = round->answer;
	pfree(short_clients(round, &n));
	if (n > 0 && round->target == NULL)
		second_iteration(round);
	SPI_finish();
	MemoryContextSwitchTo(cxt);
}

static void
round_end(Round *round, instr_time start)
{
	MemoryContext cxt = CurrentMemoryContext;
	instr_time	end;

	round_settle(round);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	round_write(round);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	record_round(round, INSTR_TIME_GET_DOUBLE(end));
	SPI_finish();
	MemoryContextSwitchTo(cxt);
}

/* Each client is looked at again at the earliest time that its stage, an agent or a limit names. */
static void
fold_wishes(ClientSnapshot *clients, int n_clients, const Round *round)
{
	for (int i = 0; i < round->n; i++)
		if (round->candidates[i].iteration == 1 && !round->candidates[i].incumbent)
			wish(&clients[round->candidates[i].client_index], round->candidates[i].retry_at);
	for (int i = 0; i < n_clients; i++)
		wish(&clients[i], clients[i].state.next_look_at > clients[i].as_of ? clients[i].state.next_look_at :
			 clients[i].as_of + LOOK_AT_LAST_DAYS * USECS_PER_DAY);
}

/* See plan.h. */
void
plan_round(RoundKind kind, ClientSnapshot *clients, int n_clients, TimestampTz as_of)
{
	MemoryContext cxt;
	MemoryContext old;
	Round	   *round;
	instr_time	start;

	if (n_clients == 0)
		return;
	INSTR_TIME_SET_CURRENT(start);
	cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm round", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	round = round_begin(kind, as_of, false);
	for (int i = 0; i < n_clients; i++)
		round->deliver |= clients[i].deliver;
	call_chunk(round, clients, n_clients, old);
	round_end(round, start);
	fold_wishes(clients, n_clients, round);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* Call the agents for all clients, chunk by chunk.  Needs SPI. */
void
round_call_all(Round *round)
{
	int64		ids[CHUNK];
	int64		after = PG_INT64_MIN;
	int			n;

	while ((n = day_clients(after, ids, CHUNK)) > 0)
	{
		round_call_ids(round, ids, n);
		after = ids[n - 1];
		/* seen in pg_stat_activity */
		pgstat_report_activity(STATE_RUNNING, psprintf("agentcrm: planning the day, %d clients called, %d bids", round->n_clients, round->n));
		CHECK_FOR_INTERRUPTS();
	}
}

/* One round over all clients, in the current memory context; unless dry, it is written. */
Round *
plan_whole(TimestampTz as_of, bool dry, bool deliver)
{
	MemoryContext cxt = CurrentMemoryContext;
	Round	   *round;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	round = round_begin(ROUND_DAILY, as_of, dry);
	round->deliver = deliver;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	round_call_all(round);
	SPI_finish();
	MemoryContextSwitchTo(cxt);
	if (dry)
		round_settle(round);
	else
		round_end(round, start);
	return round;
}

/* See plan.h. */
void
plan_day(TimestampTz as_of, bool deliver)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm round", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);

	(void) plan_whole(as_of, false, deliver);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}
