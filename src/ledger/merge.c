/*
 * merge.c
 *		Clients that were merged into others: whose lines count where.
 *
 * The application says by whom a client is replaced; the end of that chain is
 * the survivor, kept in client.survivor_client_id.  A ledger line keeps the
 * client that its order names, so that merges are taken back as they are made.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger/family.h"
#include "store.h"

#define CLIENT_SURVIVOR 14
#define CLIENT_REPLACED_INDEX "client_replaced_by_client_id_idx"
#define CLIENT_SURVIVOR_INDEX "client_survivor_client_id_idx"

/* A merged client and its survivor. */
typedef struct Merged
{
	int64		client_id;
	int64		survivor_id;
} Merged;

static Merged *merged = NULL;	/* in order of client_id */
static int	n_merged = 0;
static bool known = false;
static Oid	client_relid = InvalidOid;

/* ---- who is merged ---- */

static int
compare_merged(const void *a, const void *b)
{
	int64		x = ((const Merged *) a)->client_id;
	int64		y = ((const Merged *) b)->client_id;

	return (x > y) - (x < y);
}

static void
forget_on_invalidation(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == client_relid)
		known = false;
}

/* See ledger.h. */
void
ledger_forget_merges(void)
{
	known = false;
}

/* Read all merged clients by the index that holds no others. */
static void
read_merged(void)
{
	static bool registered = false;
	Store	   *store = store_open("client", AccessShareLock);
	StoreScan  *scan = store_scan(store, CLIENT_SURVIVOR_INDEX, 0, NULL);
	HeapTuple	tuple;
	int			max = n_merged;

	if (!registered)
		CacheRegisterRelcacheCallback(forget_on_invalidation, (Datum) 0);
	registered = true;
	client_relid = RelationGetRelid(store_relation(store));
	n_merged = 0;
	while ((tuple = store_next(scan)) != NULL)
	{
		TupleDesc	desc = store_desc(store);
		bool		isnull;

		if (n_merged == max)
		{
			max = Max(64, max * 2);
			merged = merged ? repalloc_huge(merged, sizeof(Merged) * max) :
				MemoryContextAllocHuge(TopMemoryContext, sizeof(Merged) * max);
		}
		merged[n_merged].client_id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
		merged[n_merged++].survivor_id = DatumGetInt64(heap_getattr(tuple, CLIENT_SURVIVOR, desc, &isnull));
	}
	store_scan_end(scan);
	store_close(store);
	if (n_merged > 1)
		qsort(merged, n_merged, sizeof(Merged), compare_merged);
	known = true;
}

/* The client that this one is merged into, at last; itself where it is not. */
int64
ledger_survivor(int64 client_id)
{
	Merged		key = {.client_id = client_id};
	Merged	   *found;

	if (!known)
		read_merged();
	found = n_merged == 0 ? NULL : bsearch(&key, merged, n_merged, sizeof(Merged), compare_merged);
	return found ? found->survivor_id : client_id;
}

/* The clients that are merged into this one. */
int
ledger_merged_into(int64 client_id, int64 **clients)
{
	Store	   *store;
	StoreScan  *scan;
	HeapTuple	tuple;
	Datum		key = Int64GetDatum(client_id);
	int			n = 0;
	int			max = 4;

	if (!known)
		read_merged();
	if (n_merged == 0)
		return 0;
	*clients = palloc(sizeof(int64) * max);
	store = store_open("client", AccessShareLock);
	scan = store_scan(store, CLIENT_SURVIVOR_INDEX, 1, &key);
	while ((tuple = store_next(scan)) != NULL)
	{
		bool		isnull;

		if (n == max)
			*clients = repalloc(*clients, sizeof(int64) * (max *= 2));
		(*clients)[n++] = DatumGetInt64(heap_getattr(tuple, 1, store_desc(store), &isnull));
	}
	store_scan_end(scan);
	store_close(store);
	return n;
}

/* Lines count for the survivors of the clients that their orders name. */
void
ledger_resolve(LedgerLine *lines, int n)
{
	for (int i = 0; i < n; i++)
		lines[i].client_id = ledger_survivor(lines[i].named_id);
}

/* ---- replacements change ---- */

static const char update_survivors[] =
"WITH RECURSIVE " FAMILY_SURVIVORS("SELECT unnest($1)")
", moved AS (UPDATE agentcrm.client c SET survivor_client_id = e.survivor FROM ends e JOIN agentcrm.client o USING (client_id)"
"   WHERE c.client_id = e.client_id AND c.survivor_client_id IS DISTINCT FROM e.survivor"
"   RETURNING c.client_id, coalesce(o.survivor_client_id, c.client_id), coalesce(c.survivor_client_id, c.client_id), c.client_key)"
" SELECT *, NULL::text FROM moved"
" UNION ALL SELECT e.client_id, NULL, NULL, c.client_key, 'clients ' || (SELECT string_agg(quote_ident(k.client_key), ', ' ORDER BY p.i)"
"    FROM unnest(e.path[2:]) WITH ORDINALITY AS p(id, i) JOIN agentcrm.client k ON k.client_id = p.id)"
"   || ' replace each other in a circle: none of them is merged'"
"  FROM ends e JOIN agentcrm.client c USING (client_id) WHERE e.circular AND e.client_id = ANY ($1)"
" ORDER BY 1";

static bool
any_replaced(void)
{
	Store	   *store = store_open("client", AccessShareLock);
	StoreScan  *scan = store_scan(store, CLIENT_REPLACED_INDEX, 0, NULL);
	bool		any = store_next(scan) != NULL;

	store_scan_end(scan);
	store_close(store);
	return any;
}

static int64
id_value(uint64 row, int column)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull));
}

/* See family.h. */
void
family_update_survivors(const int64 *clients, int n, ClientMoves *moves)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid			types[1] = {INT8ARRAYOID};
	Datum		values[1];
	Datum	   *ids = palloc(sizeof(Datum) * Max(n, 1));
	int			n_rows;

	store_sync();
	if (!known)
		read_merged();
	if (n == 0 || (n_merged == 0 && !any_replaced()))
		return;
	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(clients[i]);
	values[0] = PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	SPI_connect();
	SPI_execute_with_args(update_survivors, 1, types, values, NULL, false, 0);
	n_rows = SPI_processed;
	if (moves->moves == NULL)
	{
		moves->moves = MemoryContextAlloc(cxt, sizeof(ClientMove));
		moves->circles = MemoryContextAlloc(cxt, sizeof(ClientCircle));
	}
	moves->moves = repalloc_huge(moves->moves, sizeof(ClientMove) * (moves->n + n_rows + 1));
	moves->circles = repalloc_huge(moves->circles, sizeof(ClientCircle) * (moves->n_circles + n_rows + 1));
	for (int i = 0; i < n_rows; i++)
	{
		char	   *key = MemoryContextStrdup(cxt, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 4));
		char	   *circle = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 5);

		if (circle)
			moves->circles[moves->n_circles++] = (ClientCircle)
		{
			.key = key, .message = MemoryContextStrdup(cxt, circle)
		};
		else
			moves->moves[moves->n++] = (ClientMove)
		{
			.client_id = id_value(i, 1), .key = key, .from = id_value(i, 2), .to = id_value(i, 3)
		};
	}
	SPI_finish();
	if (moves->n == 0)
		return;
	/* other backends remember who is merged, too */
	CacheInvalidateRelcacheByRelid(client_relid);
	known = false;
}

/* Whether a statement about an old and a new id, and a time, touches a row. */
static bool
touches(const char *sql, int64 old_id, int64 new_id, TimestampTz now)
{
	Oid			types[3] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[3] = {Int64GetDatum(old_id), Int64GetDatum(new_id), TimestampTzGetDatum(now)};
	bool		any;

	SPI_connect();
	SPI_execute_with_args(sql, 3, types, values, NULL, false, 0);
	any = SPI_processed > 0;
	SPI_finish();
	return any;
}

/* See ledger.h. */
bool
ledger_rename(int64 old_id, int64 new_id, bool taken, TimestampTz now, ClientMoves *moves)
{
	int64	   *moved;
	int			from;

	if (taken && !touches("SELECT FROM agentcrm.client WHERE client_id = $2 AND first_seen >= $3 AND $1 <> $2", old_id, new_id, now))
		return false;
	if (!touches("UPDATE agentcrm.client n SET first_seen = least(n.first_seen, o.first_seen) FROM agentcrm.client o"
				 " WHERE n.client_id = $2 AND o.client_id = $1 AND $3 IS NOT NULL", old_id, new_id, now))
		return false;
	touches("UPDATE agentcrm.ledger_history SET client_id = $2 WHERE client_id = $1 AND $3 IS NOT NULL", old_id, new_id, now);
	if (taken)
		return touches("UPDATE agentcrm.client SET first_seen = $3 WHERE client_id = $1 AND $2 <> $1", old_id, new_id, now);
	touches("UPDATE agentcrm.client SET replaced_by_client_id = $2 WHERE client_id = $1 AND $3 IS NOT NULL", old_id, new_id, now);
	from = moves->n;
	family_update_survivors(&old_id, 1, moves);
	moved = palloc(sizeof(int64) * (moves->n - from + 1));
	for (int i = from; i < moves->n; i++)
		moved[i - from] = moves->moves[i].client_id;
	ledger_update_roots(moved, moves->n - from);
	return true;
}

/* See ledger.h. */
void
ledger_rename_rows(const char *const *sql, int n, int64 old_id, int64 new_id)
{
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2] = {Int64GetDatum(old_id), Int64GetDatum(new_id)};

	SPI_connect();
	for (int i = 0; i < n; i++)
		SPI_execute_with_args(sql[i], 2, types, values, NULL, false, 0);
	SPI_finish();
}
