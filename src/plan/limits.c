/*
 * limits.c
 *		The limits of a round: contact policy, standing recommendations, rep
 *		minutes.
 *
 * Read once per round for all its clients, then kept up in memory while awards
 * are made.  Decides nothing about value.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "columns.h"
#include "plan/award.h"

#define REP_MINUTES "rep_minutes"

/* Days after which a bid that the contact policy forbids may ask again at the latest. */
#define LONGEST_WAIT 365

typedef struct ContactPolicy
{
	char	   *channel;
	int			max_contacts;
	int			per_days;
	int			cooldown_days;
	int			quiet_weekdays;	/* bits 1 Monday to 7 Sunday */
	int			suppress_after; /* 0: never */
	int			suppress_days;
} ContactPolicy;

/* A day without contacts. */
typedef struct QuietDay
{
	DateADT		day;
	char	   *channel;
} QuietDay;

typedef struct Capacity
{
	int64		owner_id;
	double		minutes;
} Capacity;

struct Limits
{
	int			n_policies;
	ContactPolicy *policies;
	int			n_quiet_days;
	QuietDay   *quiet_days;
	double		default_capacity;
	HTAB	   *capacities;		/* owner -> Capacity */
	List	  **standings;		/* per client */
};

static int64
owner_of(const ClientSnapshot *client)
{
	return client->has_rep ? client->rep_id : 0;
}

static double
numeric_value(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		v = SPI_getbinval(row, desc, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, v));
}

static int64
int8_value(HeapTuple row, TupleDesc desc, int column, int64 otherwise)
{
	bool		isnull;
	Datum		v = SPI_getbinval(row, desc, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(v);
}

static void
read_policies(Limits *limits, MemoryContext cxt)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table;
	MemoryContext old;

	if (plan_execute(&plan, "SELECT channel, max_contacts::int8, per_days::int8, cooldown_days::int8, "
					 "(SELECT coalesce(pg_catalog.sum(1 OPERATOR(pg_catalog.<<) d), 0) FROM (SELECT DISTINCT w FROM pg_catalog.unnest(quiet_weekdays) w) x(d)), "
					 "coalesce(suppress_after, 0)::int8, suppress_days::int8 FROM agentcrm.contact_policy ORDER BY channel", 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.contact_policy");
	table = SPI_tuptable;
	old = MemoryContextSwitchTo(cxt);
	limits->n_policies = (int) table->numvals;
	limits->policies = palloc(sizeof(ContactPolicy) * Max(table->numvals, 1));
	for (uint64 i = 0; i < table->numvals; i++)
	{
		ContactPolicy *p = &limits->policies[i];

		p->channel = SPI_getvalue(table->vals[i], table->tupdesc, 1);
		p->max_contacts = (int) int8_value(table->vals[i], table->tupdesc, 2, 0);
		p->per_days = (int) int8_value(table->vals[i], table->tupdesc, 3, 1);
		p->cooldown_days = (int) int8_value(table->vals[i], table->tupdesc, 4, 0);
		p->quiet_weekdays = (int) int8_value(table->vals[i], table->tupdesc, 5, 0);
		p->suppress_after = (int) int8_value(table->vals[i], table->tupdesc, 6, 0);
		p->suppress_days = (int) int8_value(table->vals[i], table->tupdesc, 7, 1);
	}
	MemoryContextSwitchTo(old);
	SPI_freetuptable(table);
}

static void
read_capacities(Limits *limits)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table;

	if (plan_execute(&plan, "SELECT owner_id, capacity FROM agentcrm.resource "
					 "WHERE resource OPERATOR(pg_catalog.=) '" REP_MINUTES "'", 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.resource");
	table = SPI_tuptable;
	for (uint64 i = 0; i < table->numvals; i++)
	{
		bool		isnull;
		Datum		owner = SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull);
		double		minutes = numeric_value(table->vals[i], table->tupdesc, 2);
		int64		id = DatumGetInt64(owner);

		if (isnull)
			limits->default_capacity = minutes;
		else
			((Capacity *) hash_search(limits->capacities, &id, HASH_ENTER, NULL))->minutes = minutes;
	}
	SPI_freetuptable(table);
}

static void
read_standings(Limits *limits, const ClientSnapshot *clients, int n_clients, DateADT today)
{
	int64	   *ids = palloc(sizeof(int64) * n_clients);
	Standing   *standings;
	int			longest = 1;
	int			n;

	for (int i = 0; i < limits->n_policies; i++)
		longest = Max(longest, Max(Max(limits->policies[i].per_days, limits->policies[i].cooldown_days),
								   limits->policies[i].suppress_after > 0 ? limits->policies[i].suppress_days : 0));
	for (int i = 0; i < n_clients; i++)
		ids[i] = clients[i].client_id;
	n = execute_standing(ids, n_clients, today - longest, &standings);
	limits->standings = palloc0(sizeof(List *) * n_clients);
	for (int i = 0; i < n; i++)
		limits->standings[standings[i].client_index] =
			lappend(limits->standings[standings[i].client_index], &standings[i]);
}

static HTAB *
new_hash(const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl = {.keysize = keysize, .entrysize = entrysize, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
read_quiet_days(Limits *limits, MemoryContext cxt)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table;

	if (plan_execute(&plan, "SELECT q.day, q.channel FROM agentcrm.quiet_day q", 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.quiet_day");
	table = SPI_tuptable;
	MemoryContextSwitchTo(cxt);
	limits->n_quiet_days = (int) table->numvals;
	limits->quiet_days = palloc(sizeof(QuietDay) * Max(table->numvals, 1));
	for (uint64 i = 0; i < table->numvals; i++)
	{
		bool		isnull;

		limits->quiet_days[i].day = DatumGetDateADT(SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull));
		limits->quiet_days[i].channel = SPI_getvalue(table->vals[i], table->tupdesc, 2);
	}
	SPI_freetuptable(table);
}

/* The contact policies, in the current memory context.  Needs SPI. */
Limits *
limits_begin(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	Limits	   *limits = palloc0(sizeof(Limits));

	read_policies(limits, cxt);
	read_quiet_days(limits, cxt);
	return limits;
}

/* The recommendations of the chunk's clients, in the current memory context.  Needs SPI. */
void
limits_read(Limits *limits, const ClientSnapshot *clients, int n_clients, DateADT today)
{
	read_standings(limits, clients, n_clients, today);
}

/* See plan.h. */
Limits *
plan_capacities(void)
{
	Limits	   *limits = palloc0(sizeof(Limits));

	limits->capacities = new_hash("agentcrm capacities", sizeof(int64), sizeof(Capacity));
	read_capacities(limits);
	return limits;
}

/* A withdrawn recommendation stands in nobody's way and was no contact. */
void
limits_withdraw(Standing *standing)
{
	standing->standing = false;
	standing->channel = NULL;
}

/* The client's recommendations, standing or recent. */
List *
limits_standings(Limits *limits, int client_index)
{
	return limits->standings[client_index];
}

/*
 * The recommendation that a bid would compete with for the same demand, or 0:
 * equal categories or one of them '*', and overlapping windows.  The same
 * action for the same category conflicts whatever the window; once declined it
 * conflicts until its window is over, for whoever proposes it.
 */
int64
limits_conflict(Limits *limits, const Candidate *c)
{
	const Bid  *bid = c->bid;
	ListCell   *lc;

	foreach(lc, limits->standings[bid->client_index])
	{
		const Standing *s = lfirst(lc);
		bool		same = strcmp(s->category, bid->demand_category) == 0;
		bool		any = strcmp(s->category, "*") == 0 || strcmp(bid->demand_category, "*") == 0;
		bool		overlap = s->from < bid->demand_to && bid->demand_from < s->to;
		bool		repeated = same && strcmp(s->action, bid->action) == 0;

		/* what competes anew meets the bid in the market, unless both are the same */
		if (s->standing ? repeated || ((same || any) && overlap && !s->contested) : s->declined && repeated && overlap)
			return s->recommendation_id;
	}
	return 0;
}

static bool
counts_for(const ContactPolicy *policy, const char *channel)
{
	return strcmp(policy->channel, "*") == 0 || strcmp(policy->channel, channel) == 0;
}

/* Contacts in [from, from + per_days) under the policy. */
static int
contacts_from(const List *standings, const ContactPolicy *policy, DateADT from)
{
	ListCell   *lc;
	int			n = 0;

	foreach(lc, standings)
	{
		const Standing *s = lfirst(lc);

		if (s->channel != NULL && !s->contested && counts_for(policy, s->channel) && s->due_on >= from &&
			s->due_on - from < policy->per_days)
			n++;
	}
	return n;
}

/* Would a contact on day fill some window of the policy beyond its cap?  Windows begin at a contact. */
static bool
cap_reached(const List *standings, const ContactPolicy *policy, DateADT day)
{
	ListCell   *lc;

	if (contacts_from(standings, policy, day) >= policy->max_contacts)
		return true;
	foreach(lc, standings)
	{
		const Standing *s = lfirst(lc);

		if (!s->contested && s->due_on <= day && day - s->due_on < policy->per_days &&
			contacts_from(standings, policy, s->due_on) >= policy->max_contacts)
			return true;
	}
	return false;
}

/* Is a repetition too close?  Under '*' any contact repeats any other, else the same action does. */
static bool
too_close(const List *standings, const ContactPolicy *policy, const Bid *bid, DateADT day)
{
	bool		any = strcmp(policy->channel, "*") == 0;
	ListCell   *lc;

	foreach(lc, standings)
	{
		const Standing *s = lfirst(lc);

		if (s->channel != NULL && !s->contested && counts_for(policy, s->channel) && abs(s->due_on - day) < policy->cooldown_days &&
			(any || strcmp(s->action, bid->action) == 0))
			return true;
	}
	return false;
}

/* Is the day one without contacts by the channel? */
static bool
is_quiet(const Limits *limits, const char *channel, DateADT day)
{
	int			weekday = (j2day(day + POSTGRES_EPOCH_JDATE) + 6) % 7 + 1;

	for (int i = 0; i < limits->n_quiet_days; i++)
		if (limits->quiet_days[i].day == day &&
			(strcmp(limits->quiet_days[i].channel, "*") == 0 || strcmp(limits->quiet_days[i].channel, channel) == 0))
			return true;
	for (int i = 0; i < limits->n_policies; i++)
		if (counts_for(&limits->policies[i], channel) && (limits->policies[i].quiet_weekdays >> weekday & 1) != 0)
			return true;
	return false;
}

static int
compare_due(const ListCell *a, const ListCell *b)
{
	const Standing *x = lfirst(a);
	const Standing *y = lfirst(b);

	return x->due_on != y->due_on ? (x->due_on > y->due_on ? -1 : 1) : x->recommendation_id > y->recommendation_id ? -1 : 1;
}

/* The day from which on contacts are no longer suppressed after so many in a row that were ignored; 0: they are not. */
static DateADT
suppressed_until(const List *standings, const ContactPolicy *policy)
{
	List	   *ended = NIL;
	ListCell   *lc;
	int			ignored = 0;
	DateADT		last = 0;

	foreach(lc, standings)
	{
		Standing   *s = lfirst(lc);

		if (s->channel != NULL && !s->standing && counts_for(policy, s->channel))
			ended = lappend(ended, s);
	}
	list_sort(ended, compare_due);
	foreach(lc, ended)
	{
		const Standing *s = lfirst(lc);

		if (!s->ignored)
			break;
		if (ignored++ == 0)
			last = s->due_on;
	}
	list_free(ended);
	return ignored >= policy->suppress_after ? last + policy->suppress_days : 0;
}

/* NULL, or the policy that forbids a contact on that day; free_on: when to ask again. */
const char *
limits_contact(Limits *limits, const Candidate *c, DateADT day, DateADT *free_on)
{
	const Bid  *bid = c->bid;
	const List *standings = limits->standings[bid->client_index];

	if (bid->channel == NULL)
		return NULL;
	if (is_quiet(limits, bid->channel, day))
	{
		*free_on = day + 1;
		return "quiet_day";
	}
	for (int i = 0; i < limits->n_policies; i++)
	{
		const ContactPolicy *policy = &limits->policies[i];

		if (!counts_for(policy, bid->channel))
			continue;
		if (policy->suppress_after > 0 && suppressed_until(standings, policy) > day)
		{
			*free_on = suppressed_until(standings, policy);
			return "suppressed";
		}
		if (cap_reached(standings, policy, day))
		{
			*free_on = day + Min(Max(1, policy->per_days / 4), LONGEST_WAIT);
			return "contact_cap";
		}
		if (too_close(standings, policy, bid, day))
		{
			*free_on = day + Min(Max(1, policy->cooldown_days), LONGEST_WAIT);
			return "cooldown";
		}
	}
	return NULL;
}

/* The minutes a day of a rep; owner 0: of all clients without one. */
double
plan_owner_minutes(Limits *limits, int64 owner_id)
{
	Capacity   *own = hash_search(limits->capacities, &owner_id, HASH_FIND, NULL);

	return own != NULL ? own->minutes : limits->default_capacity;
}

/* See plan.h. */
double
plan_minutes(Limits *limits, const ClientSnapshot *client, int64 *owner_id)
{
	*owner_id = owner_of(client);
	return plan_owner_minutes(limits, *owner_id);
}

/* How many contact policies there are. */
int
limits_policies(const Limits *limits)
{
	return limits->n_policies;
}

/* Whether a contact by the channel counts under the policy; one without a channel is none. */
bool
limits_counts(const Limits *limits, int policy, const char *channel)
{
	return channel != NULL && counts_for(&limits->policies[policy], channel);
}

/*
 * How many more contacts of a client the policy allows beside those that stand
 * firm: at least one, for whether that one may be is asked day by day.
 */
int
limits_room(const Limits *limits, int client_index, int policy, DateADT today)
{
	const ContactPolicy *p = &limits->policies[policy];
	ListCell   *lc;
	int			n = 0;

	foreach(lc, limits->standings[client_index])
	{
		const Standing *s = lfirst(lc);

		n += s->channel != NULL && !s->contested && counts_for(p, s->channel) && abs(s->due_on - today) < p->per_days;
	}
	return Max(Min(p->max_contacts, 1), p->max_contacts - n);
}

/* Would both contacts come too close, done in the same days? */
bool
limits_too_close(const Limits *limits, const Candidate *a, const Candidate *b)
{
	if (a->channel == NULL || b->channel == NULL)
		return false;
	for (int i = 0; i < limits->n_policies; i++)
	{
		const ContactPolicy *policy = &limits->policies[i];
		bool		any = strcmp(policy->channel, "*") == 0;

		if (policy->cooldown_days > 0 && counts_for(policy, a->channel) && counts_for(policy, b->channel) &&
			(any || strcmp(a->action, b->action) == 0))
			return true;
	}
	return false;
}
