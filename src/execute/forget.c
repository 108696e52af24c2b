/*
 * forget.c
 *		Erasing a client from everything that agentcrm keeps.
 *
 * The list of client-scoped tables is here and nowhere else; a new such table
 * is added to it.  Touches nothing of the application's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "execute/life.h"
#include "store.h"

PG_FUNCTION_INFO_V1(agentcrm_forget);

/*
 * What is erased, in this order.  Product totals are corrected between the
 * ledger and the rest; event_failed goes first, while the keys are known.
 */
typedef struct Erasure
{
	const char *table;
	const char *condition;		/* NULL: client_id = ANY ($1) */
} Erasure;

#define ORDERS_OF_CLIENT \
	"SELECT l.source_id, l.order_id FROM agentcrm.ledger l WHERE l.client_id OPERATOR(pg_catalog.=) ANY ($1) " \
	"UNION SELECT h.source_id, h.order_id FROM agentcrm.ledger_history h WHERE h.client_id OPERATOR(pg_catalog.=) ANY ($1)"

/* Keys of feed rows that name the client, as (source_id, part, key). */
#define KEYS_OF_FEED(feed) \
	"UNION ALL SELECT f.source_id, p.part, f." feed "_key FROM agentcrm." feed " f " \
	"JOIN agentcrm.source_part p ON p.source_id OPERATOR(pg_catalog.=) f.source_id AND p.name OPERATOR(pg_catalog.=) '" feed "' " \
	"WHERE f.client_id OPERATOR(pg_catalog.=) ANY ($1) "

static const Erasure before_ledger[] = {
	{"event_failed", "(t.source_id, t.part, t.key) IN (SELECT o.source_id, 1, coalesce(r.order_key, o.order_id::text) "
	"FROM (" ORDERS_OF_CLIENT ") o LEFT JOIN agentcrm.order_ref r ON r.source_id OPERATOR(pg_catalog.=) o.source_id "
	"AND r.order_id OPERATOR(pg_catalog.=) o.order_id "
	"UNION ALL SELECT p.source_id, p.part, c.client_key FROM agentcrm.client c "
	"JOIN agentcrm.source s ON s.namespace OPERATOR(pg_catalog.=) c.namespace "
	"JOIN agentcrm.source_part p ON p.source_id OPERATOR(pg_catalog.=) s.source_id AND p.name OPERATOR(pg_catalog.=) 'client' "
	"AND p.kind OPERATOR(pg_catalog.=) 'feed' WHERE c.client_id OPERATOR(pg_catalog.=) ANY ($1) "
	KEYS_OF_FEED("interaction") KEYS_OF_FEED("receivable") KEYS_OF_FEED("payment")
	KEYS_OF_FEED("price") KEYS_OF_FEED("lead") KEYS_OF_FEED("ticket") ") "
	"OR t.part OPERATOR(pg_catalog.=) 32767 AND EXISTS (SELECT FROM agentcrm.client c WHERE c.client_id OPERATOR(pg_catalog.=) ANY ($1) "
	"AND c.client_key IN (pg_catalog.split_part(t.key, E'\\001', 1), pg_catalog.split_part(t.key, E'\\001', 2)))"},
	{"order_ref", "(t.source_id, t.order_id) IN (" ORDERS_OF_CLIENT ") AND NOT EXISTS (SELECT FROM agentcrm.ledger l "
	"WHERE l.source_id OPERATOR(pg_catalog.=) t.source_id AND l.order_id OPERATOR(pg_catalog.=) t.order_id "
	"AND l.client_id OPERATOR(pg_catalog.<>) ALL ($1))"},
	{"ledger_history", NULL},
	{"ledger", NULL},
};

static const Erasure after_ledger[] = {
	{"feedback", NULL},
	{"recommendation", NULL},
	{"resource_use", NULL},
	{"bid", NULL},
	{"interaction", NULL},
	{"receivable", NULL},
	{"payment", NULL},
	{"price", NULL},
	{"lead", NULL},
	{"ticket", NULL},
	{"stage_change", NULL},
	{"client_state", NULL},
	{"client_product", NULL},
	{"client_profile", NULL},
	{"client", NULL},
};

/* The client's ledger as documents that went away. */
typedef struct Documents
{
	int			n;
	int			max;
	LedgerChange *changes;
	int			max_lines;		/* of the last document */
} Documents;

static void
collect_line(const LedgerLine *line, void *arg)
{
	Documents  *d = arg;
	LedgerChange *change = d->n > 0 ? &d->changes[d->n - 1] : NULL;

	if (change == NULL || change->source_id != line->source_id || change->order_id != line->order_id)
	{
		if (d->n == d->max)
		{
			d->max = Max(64, d->max * 2);
			d->changes = d->changes == NULL ? palloc(sizeof(LedgerChange) * d->max) :
				repalloc_huge(d->changes, sizeof(LedgerChange) * d->max);
		}
		change = &d->changes[d->n++];
		memset(change, 0, sizeof(LedgerChange));
		change->source_id = line->source_id;
		change->order_id = line->order_id;
		d->max_lines = 8;
		change->before = palloc(sizeof(LedgerLine) * d->max_lines);
	}
	if (change->n_before == d->max_lines)
	{
		d->max_lines *= 2;
		change->before = repalloc_huge(change->before, sizeof(LedgerLine) * d->max_lines);
	}
	change->before[change->n_before] = *line;
	if (line->quantity != NULL)
		change->before[change->n_before].quantity = DatumGetNumericCopy(NumericGetDatum(line->quantity));
	if (line->amount != NULL)
		change->before[change->n_before].amount = DatumGetNumericCopy(NumericGetDatum(line->amount));
	if (line->margin != NULL)
		change->before[change->n_before].margin = DatumGetNumericCopy(NumericGetDatum(line->margin));
	change->before[change->n_before].line_key = line->line_key ? pstrdup(line->line_key) : NULL;
	change->n_before++;
}

static void
report(ReturnSetInfo *rsinfo, const char *table, int64 rows)
{
	Datum		values[2] = {CStringGetTextDatum(table), Int64GetDatum(rows)};
	bool		nulls[2] = {false, false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
erase(ReturnSetInfo *rsinfo, const Erasure *list, int n, Datum client_ids, const int64 *counts)
{
	Oid			types[1] = {INT8ARRAYOID};
	Datum		values[1] = {client_ids};

	for (int i = 0; i < n; i++)
	{
		char	   *sql = psprintf("DELETE FROM agentcrm.%s t WHERE %s", list[i].table,
								   list[i].condition ? list[i].condition : "t.client_id OPERATOR(pg_catalog.=) ANY ($1)");

		if (SPI_execute_with_args(sql, 1, types, values, NULL, false, 0) != SPI_OK_DELETE)
			elog(ERROR, "could not erase from agentcrm.%s", list[i].table);
		report(rsinfo, list[i].table, counts != NULL ? counts[i] : (int64) SPI_processed);
	}
}

/* Rows of the tables whose rows go when the ledger's are gone, before they do. */
static void
count_rows(const Erasure *list, int n, Datum client_ids, int64 *counts)
{
	Oid			types[1] = {INT8ARRAYOID};
	Datum		values[1] = {client_ids};
	bool		isnull;

	for (int i = 0; i < n; i++)
	{
		char	   *sql = psprintf("SELECT pg_catalog.count(*) FROM agentcrm.%s t WHERE t.client_id OPERATOR(pg_catalog.=) ANY ($1)",
								   list[i].table);

		if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not count agentcrm.%s", list[i].table);
		counts[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
}

/* The client's branches have no parent any more; they and all below them get other roots. */
static void
orphan_branches(Datum client_ids)
{
	Oid			types[1] = {INT8ARRAYOID};
	Datum		values[1] = {client_ids};
	int64	   *branches;
	int			n;

	if (SPI_execute_with_args("UPDATE agentcrm.client t SET parent_client_id = NULL "
							  "WHERE t.parent_client_id OPERATOR(pg_catalog.=) ANY ($1) RETURNING t.client_id",
							  1, types, values, NULL, false, 0) != SPI_OK_UPDATE_RETURNING)
		elog(ERROR, "could not update agentcrm.client");
	n = (int) SPI_processed;
	branches = palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		branches[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	ledger_update_roots(branches, n);
}

/* The client, the one it was merged into, and all who were: to agentcrm they are one. */
static int
read_group(int64 client_id, int64 **clients)
{
	int64	   *merged;
	int			n;

	ledger_forget_merges();
	client_id = ledger_survivor(client_id);
	n = ledger_merged_into(client_id, &merged);
	*clients = palloc(sizeof(int64) * (n + 1));
	(*clients)[0] = client_id;
	if (n > 0)
		memcpy(*clients + 1, merged, sizeof(int64) * n);
	return n + 1;
}

static Datum
id_array(const int64 *clients, int n)
{
	Datum	   *ids = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		ids[i] = Int64GetDatum(clients[i]);
	return PointerGetDatum(construct_array(ids, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* agentcrm.forget(client_id): rows erased per table */
Datum
agentcrm_forget(PG_FUNCTION_ARGS)
{
	int64		client_id = PG_GETARG_INT64(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Documents	documents = {0};
	int64	   *touched;
	int64		counts[lengthof(after_ledger)];
	MemoryContext cxt = CurrentMemoryContext;
	int64	   *clients;
	int			n;
	Datum		ids;

	PreventCommandDuringRecovery("agentcrm.forget()");
	agentcrm_check_argument(fcinfo, 0, "client_id");
	InitMaterializedSRF(fcinfo, 0);

	/* no step of the worker may write the client meanwhile */
	LockRelationOid(store_relid("batch"), ExclusiveLock);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	n = read_group(client_id, &clients);
	ledger_scan_clients(clients, n, &ledger_whole, collect_line, &documents);
	PopActiveSnapshot();
	ids = id_array(clients, n);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	orphan_branches(ids);
	count_rows(after_ledger, lengthof(after_ledger), ids, counts);
	erase(rsinfo, before_ledger, lengthof(before_ledger), ids, NULL);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (documents.n > 0)
		(void) profile_apply(documents.changes, documents.n, false, &touched);
	PopActiveSnapshot();
	CommandCounterIncrement();
	erase(rsinfo, after_ledger, lengthof(after_ledger), ids, counts);
	SPI_finish();

	/* backends that remember having met the client must look again */
	CacheInvalidateRelcacheByRelid(store_relid("client"));
	return (Datum) 0;
}
