/*
 * answer.c
 *		Recommendations that orders answer, or that their agent gave up.
 *
 * An answer is a document in which the client buys for the first time: an
 * edited one answers nothing twice, one moved to another client answers there.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"

#include "columns.h"
#include "distinct.h"
#include "execute/life.h"

static const char answer_update[] =
"WITH r AS (UPDATE agentcrm.recommendation t SET "
"status = CASE WHEN t.status OPERATOR(pg_catalog.=) ANY ('{shown,agreed}'::text[]) THEN 'done' ELSE 'withdrawn' END, "
"status_reason = 'answered by order ' OPERATOR(pg_catalog.||) coalesce((SELECT o.order_key FROM agentcrm.order_ref o "
"WHERE o.source_id OPERATOR(pg_catalog.=) m.source_id AND o.order_id OPERATOR(pg_catalog.=) m.order_id), "
"m.order_id::text), updated_at = $5 "
"FROM " COLUMNS " AS m(client_id, id, source_id, order_id) "
"WHERE t.client_id OPERATOR(pg_catalog.=) m.client_id AND t.recommendation_id OPERATOR(pg_catalog.=) m.id "
"AND t.status OPERATOR(pg_catalog.=) ANY ('{open,shown,agreed,snoozed}'::text[]) "
"RETURNING t.client_id, t.recommendation_id, t.status, t.due_on) "
RELEASE_MEANS("r", "$5", "$6");

static const char withdraw_update[] =
"WITH r AS (UPDATE agentcrm.recommendation t SET status = 'withdrawn', status_reason = $5, updated_at = $3 "
"FROM " COLUMNS " AS m(client_id, id) "
"WHERE t.client_id OPERATOR(pg_catalog.=) m.client_id AND t.recommendation_id OPERATOR(pg_catalog.=) m.id "
"AND t.status OPERATOR(pg_catalog.=) 'open' "
"RETURNING t.client_id, t.recommendation_id, t.status, t.due_on) "
RELEASE_MEANS("r", "$3", "$4");

static const char displace_update[] =
"WITH r AS (UPDATE agentcrm.recommendation t SET status = 'displaced', status_reason = m.reason, updated_at = $4 "
"FROM " COLUMNS " AS m(client_id, id, reason) "
"WHERE t.client_id OPERATOR(pg_catalog.=) m.client_id AND t.recommendation_id OPERATOR(pg_catalog.=) m.id "
"AND t.status OPERATOR(pg_catalog.=) 'open' "
"RETURNING t.client_id, t.recommendation_id, t.status, t.due_on) "
RELEASE_MEANS("r", "$4", "$5");

/* Whether the document held a sale to the client before. */
static bool
bought_before(const LedgerChange *change, int64 client_id)
{
	for (int i = 0; i < change->n_before; i++)
		if (change->before[i].client_id == client_id && !change->before[i].is_return)
			return true;
	return false;
}

/* The distinct clients of new sales. */
static int
buying_clients(const LedgerChange *changes, int n_changes, int64 **clients)
{
	Size		lines = 0;
	int			n = 0;

	for (int i = 0; i < n_changes; i++)
		lines += changes[i].n_after;
	*clients = palloc_extended(sizeof(int64) * Max(lines, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < n_changes; i++)
		for (int j = 0; j < changes[i].n_after; j++)
		{
			const LedgerLine *line = &changes[i].after[j];

			if (!line->is_return && (n == 0 || (*clients)[n - 1] != line->client_id) &&
				!bought_before(&changes[i], line->client_id))
				(*clients)[n++] = line->client_id;
		}
	return distinct_ids(*clients, n);
}

/* Does a line of the new document meet the demand that the recommendation was after? */
static bool
line_answers(const LedgerLine *line, const Standing *s, TimestampTz recorded_at)
{
	const ProductInfo *info;

	if (line->client_id != s->holder_id || line->is_return)
		return false;
	/* the source's own zone may still be on the day before the window's first */
	if ((line->ordered_on < s->from && line->ordered_at <= s->as_of) || line->ordered_on >= s->to)
		return false;
	if (line->ordered_on <= period_day(s->as_of) && recorded_at <= s->as_of)
		return false;
	if (strcmp(s->category, "*") == 0)
		return true;
	info = line->has_product ? profile_product(line->product_id) : NULL;
	return info != NULL && info->category != NULL && strcmp(info->category, s->category) == 0;
}

static bool
change_answers(const LedgerChange *change, const Standing *s, TimestampTz recorded_at)
{
	for (int i = 0; i < change->n_after; i++)
		if (line_answers(&change->after[i], s, recorded_at))
			return true;
	return false;
}

static void
add_match(Columns *c, const Standing *s, const LedgerChange *change)
{
	columns_row(c);
	columns_set(c, 1, Int64GetDatum(s->client_id));
	columns_set(c, 2, Int64GetDatum(s->recommendation_id));
	columns_set(c, 3, Int32GetDatum(change->source_id));
	columns_set(c, 4, Int64GetDatum(change->order_id));
}

static void
run_update(Columns *c, SPIPlanPtr *plan, const char *sql, TimestampTz as_of, const char *reason)
{
	Oid			types[3] = {TIMESTAMPTZOID, DATEOID, TEXTOID};
	Datum		values[3] = {TimestampTzGetDatum(as_of), DateADTGetDatum(period_day(as_of)), (Datum) 0};
	MemoryContext cxt = CurrentMemoryContext;

	if (reason != NULL)
		values[2] = CStringGetTextDatum(reason);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	if (columns_execute(c, plan, sql, reason != NULL ? 3 : 2, types, values) != SPI_OK_INSERT)
		elog(ERROR, "could not end recommendations");
	SPI_finish();
	MemoryContextSwitchTo(cxt);
}

/* An entry per client with standing recommendations: where they begin. */
typedef struct StandingRange
{
	int64		client_id;
	int			first;
	int			n;
} StandingRange;

static HTAB *
standing_ranges(const Standing *standings, int n)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(StandingRange), .hcxt = CurrentMemoryContext};
	HTAB	   *ranges = hash_create("agentcrm standing", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	for (int i = 0; i < n; i++)
	{
		bool		found;
		StandingRange *range = hash_search(ranges, &standings[i].holder_id, HASH_ENTER, &found);

		if (!found)
		{
			range->first = i;
			range->n = 0;
		}
		range->n++;
	}
	return ranges;
}

/* Match the recommendations of the change's clients; a matched one no longer stands. */
static int
match_change(Columns *c, const LedgerChange *change, Standing *standings, HTAB *ranges, TimestampTz as_of)
{
	int			matched = 0;

	for (int i = 0; i < change->n_after; i++)
	{
		StandingRange *range;

		if (i > 0 && change->after[i].client_id == change->after[i - 1].client_id)
			continue;
		range = hash_search(ranges, &change->after[i].client_id, HASH_FIND, NULL);
		if (range == NULL || bought_before(change, range->client_id))
			continue;
		for (int j = 0; j < range->n; j++)
		{
			Standing   *s = &standings[range->first + j];

			if (!s->standing || !change_answers(change, s, as_of))
				continue;
			s->standing = false;
			add_match(c, s, change);
			matched++;
		}
	}
	return matched;
}

/* End the standing recommendations that new sales answer; minutes still ahead are given back. */
void
execute_answer(const LedgerChange *changes, int n_changes, TimestampTz as_of)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, INT8OID};
	int64	   *clients;
	int			n_clients = buying_clients(changes, n_changes, &clients);
	Standing   *standings;
	HTAB	   *ranges;
	Columns    *c;
	int			n;
	int			matched = 0;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	n = standing_only(clients, n_clients, &standings);
	if (n > 0)
	{
		ranges = standing_ranges(standings, n);
		c = columns_new(lengthof(types), types, n);
		for (int i = 0; i < n_changes; i++)
			matched += match_change(c, &changes[i], standings, ranges, as_of);
		if (matched > 0)
			run_update(c, &plan, answer_update, as_of, NULL);
		hash_destroy(ranges);
	}
	PopActiveSnapshot();
}

/* Withdraw recommendations that are still open, with the reason; minutes still ahead are given back. */
void
execute_withdraw(const Standing *const *standings, int n, const char *reason, TimestampTz as_of)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {INT8OID, INT8OID};
	Columns    *c;

	if (n == 0)
		return;
	c = columns_new(lengthof(types), types, n);
	for (int i = 0; i < n; i++)
	{
		columns_row(c);
		columns_set(c, 1, Int64GetDatum(standings[i]->client_id));
		columns_set(c, 2, Int64GetDatum(standings[i]->recommendation_id));
	}
	run_update(c, &plan, withdraw_update, as_of, reason);
}

/* Recommendations that are still open give way to better ones; one that was communicated meanwhile stays. */
void
execute_displace(const Displaced *displaced, int n, TimestampTz as_of)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[3] = {INT8OID, INT8OID, TEXTOID};
	Columns    *c;

	if (n == 0)
		return;
	c = columns_new(lengthof(types), types, n);
	for (int i = 0; i < n; i++)
	{
		columns_row(c);
		columns_set(c, 1, Int64GetDatum(displaced[i].client_id));
		columns_set(c, 2, Int64GetDatum(displaced[i].recommendation_id));
		columns_set_text(c, 3, displaced[i].reason);
	}
	run_update(c, &plan, displace_update, as_of, NULL);
}
