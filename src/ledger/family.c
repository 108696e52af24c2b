/*
 * family.c
 *		Roots of clients: up by parents, and by survivors where clients were merged.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "agentcrm.h"
#include "ledger/family.h"
#include "store.h"

/*
 * "roots" has client_id and root: from the clients that "start" selects down to
 * all below them, and from each of these up.  In a circle the least id is the
 * root of all.
 */
#define FAMILY_ROOTS(start) \
"below(client_id) AS (" start \
"  UNION SELECT c.client_id FROM below b CROSS JOIN LATERAL (" \
"   SELECT p.client_id FROM agentcrm.client p WHERE p.parent_client_id = b.client_id" \
"   UNION ALL SELECT m.client_id FROM agentcrm.client m WHERE m.survivor_client_id = b.client_id) AS c)," \
" above(client_id, top, path, circle) AS (" \
"  SELECT client_id, client_id, ARRAY[client_id], false FROM below" \
"  UNION ALL SELECT a.client_id, p.client_id, a.path || p.client_id, p.client_id = ANY (a.path)" \
"   FROM above a JOIN agentcrm.client c ON c.client_id = a.top" \
"   JOIN agentcrm.client p ON p.client_id = coalesce(c.survivor_client_id, c.parent_client_id) WHERE NOT a.circle)," \
" roots AS (SELECT DISTINCT ON (client_id) client_id, CASE WHEN circle" \
"   THEN (SELECT min(i) FROM unnest(path[array_position(path, top):]) i) ELSE top END AS root" \
"  FROM above ORDER BY client_id, cardinality(path) DESC)"

static const char update_roots[] =
"WITH RECURSIVE " FAMILY_ROOTS("SELECT unnest($1)")
" UPDATE agentcrm.client c SET root_client_id = r.root FROM roots r WHERE c.client_id = r.client_id AND c.root_client_id <> r.root";

static const char *const verify_queries[] = {
	"WITH RECURSIVE " FAMILY_SURVIVORS("SELECT client_id FROM agentcrm.client WHERE replaced_by_client_id IS NOT NULL OR survivor_client_id IS NOT NULL")
	" SELECT c.client_key, 'survivor_client_id', e.survivor::text, c.survivor_client_id::text FROM ends e JOIN agentcrm.client c USING (client_id)"
	" WHERE e.survivor IS DISTINCT FROM c.survivor_client_id ORDER BY c.client_id",
	"WITH RECURSIVE " FAMILY_ROOTS("SELECT client_id FROM agentcrm.client WHERE parent_client_id IS NOT NULL OR survivor_client_id IS NOT NULL"
								   " OR root_client_id <> client_id")
	" SELECT c.client_key, 'root_client_id', r.root::text, c.root_client_id::text FROM roots r JOIN agentcrm.client c USING (client_id)"
	" WHERE r.root <> c.root_client_id ORDER BY c.client_id"
};

/* Whether any client has a parent: the index has those without one last. */
static bool
any_parent(void)
{
	Store	   *store = store_open("client", AccessShareLock);
	StoreScan  *scan = store_scan(store, "client_parent_client_id_idx", 0, NULL);
	HeapTuple	tuple = store_next(scan);
	bool		isnull = true;

	if (tuple)
		(void) heap_getattr(tuple, 5, store_desc(store), &isnull);
	store_scan_end(scan);
	store_close(store);
	return !isnull;
}

/* Find the roots of clients whose parents changed, and of all below them. */
void
ledger_update_roots(const int64 *clients, int n)
{
	Oid			types[1] = {INT8ARRAYOID};
	Datum	   *ids = palloc(sizeof(Datum) * Max(n, 1));
	Datum		values[1];

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(clients[i]);
	values[0] = PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	SPI_connect();
	SPI_execute_with_args(update_roots, 1, types, values, NULL, false, 0);
	SPI_finish();
}

/* The same for clients that orders have made known: they may be parents. */
void
family_welcome(const int64 *clients, int n)
{
	if (n == 0)
		return;
	store_sync();
	if (any_parent())
		ledger_update_roots(clients, n);
}

/* See ledger.h. */
void
ledger_verify_families(DifferenceSink *sink)
{
	SPI_connect();
	for (int q = 0; q < (int) lengthof(verify_queries); q++)
	{
		SPI_execute(verify_queries[q], true, 0);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;

			difference_add(sink, "client", SPI_getvalue(row, desc, 1), SPI_getvalue(row, desc, 2),
						   SPI_getvalue(row, desc, 3), SPI_getvalue(row, desc, 4));
		}
	}
	SPI_finish();
}
