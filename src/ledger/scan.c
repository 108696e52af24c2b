/*
 * scan.c
 *		Reading the ledger by client, in the order in which profiles are folded;
 *		the documents of a source in order of their ids; and whose they are.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger/row.h"
#include "store.h"

static int
compare_fold_order(const void *a, const void *b)
{
	const LedgerLine *x = a;
	const LedgerLine *y = b;

	if (x->ordered_at != y->ordered_at)
		return x->ordered_at < y->ordered_at ? -1 : 1;
	if (x->source_id != y->source_id)
		return x->source_id < y->source_id ? -1 : 1;
	if (x->order_id != y->order_id)
		return x->order_id < y->order_id ? -1 : 1;
	return x->line_no - y->line_no;
}

const LedgerView ledger_whole = {DT_NOEND, DT_NOEND};

/* Lines of one client being gathered. */
typedef struct Lines
{
	const LedgerView *view;
	int			n;
	int			max;
	LedgerLine *lines;
} Lines;

/* Take the lines of a scan that the view shows; a row's fourth column says since when it was held. */
static void
take_lines(Lines *lines, Store *store, StoreScan *scan)
{
	HeapTuple	tuple;
	bool		isnull;

	while ((tuple = store_next(scan)) != NULL)
	{
		if (DatumGetTimestampTz(heap_getattr(tuple, LEDGER_RECORDED, store_desc(store), &isnull)) > lines->view->known_at)
			continue;
		if (lines->n == lines->max)
		{
			lines->max *= 2;
			lines->lines = repalloc_huge(lines->lines, sizeof(LedgerLine) * lines->max);
		}
		ledger_row_read(tuple, store_desc(store), &lines->lines[lines->n]);
		if (lines->lines[lines->n].ordered_at <= lines->view->as_of)
			lines->n++;
	}
	store_scan_end(scan);
}

/*
 * Lines of some clients that a view shows: client by client in the order given,
 * each in the order (ordered_at, source, order, line_no).  What was superseded
 * after known_at comes from the history.  A line is valid during the call only.
 */
void
ledger_scan_clients(const int64 *client_ids, int n_clients, const LedgerView *view,
					LedgerLineCallback callback, void *arg)
{
	Store	   *store = store_open("ledger", AccessShareLock);
	Store	   *history = view->known_at == DT_NOEND ? NULL : store_open("ledger_history", AccessShareLock);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm client's lines",
											  ALLOCSET_DEFAULT_SIZES);
	Lines		lines = {.view = view, .max = 256};

	lines.lines = palloc(sizeof(LedgerLine) * lines.max);
	for (int c = 0; c < n_clients; c++)
	{
		Datum		keys[2] = {Int64GetDatum(client_ids[c]), TimestampTzGetDatum(view->known_at)};
		MemoryContext old = MemoryContextSwitchTo(cxt);

		lines.n = 0;
		take_lines(&lines, store, store_scan(store, "ledger_pkey", 1, keys));
		if (history)
			take_lines(&lines, history, store_scan_after(history, "ledger_history_client_id_idx", 2, keys));
		MemoryContextSwitchTo(old);
		qsort(lines.lines, lines.n, sizeof(LedgerLine), compare_fold_order);
		for (int i = 0; i < lines.n; i++)
			callback(&lines.lines[i], arg);
		MemoryContextReset(cxt);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(lines.lines);
	MemoryContextDelete(cxt);
	if (history)
		store_close(history);
	store_close(store);
}

/* See ledger.h. */
int
ledger_clients_after(int64 after, int limit, int64 *client_ids)
{
	Store	   *store = store_open("client", AccessShareLock);
	Datum		bound = Int64GetDatum(after);
	StoreScan  *scan = store_scan_after(store, "client_pkey", 1, &bound);
	HeapTuple	tuple;
	bool		isnull;
	int			n = 0;

	while (n < limit && (tuple = store_next(scan)) != NULL)
		client_ids[n++] = DatumGetInt64(heap_getattr(tuple, 1, store_desc(store), &isnull));
	store_scan_end(scan);
	store_close(store);
	return n;
}

/* The key of a document: in order_ref where its id is a hash. */
static const char *
order_key(Store *references, int32 source_id, int64 order_id)
{
	Datum		keys[2] = {Int32GetDatum(source_id), Int64GetDatum(order_id)};
	StoreScan  *scan = store_scan(references, "order_ref_pkey", 2, keys);
	HeapTuple	tuple = store_next(scan);
	char	   *key;
	bool		isnull;

	if (tuple)
		key = TextDatumGetCString(heap_getattr(tuple, 3, store_desc(references), &isnull));
	else
		key = psprintf("%lld", (long long) order_id);
	store_scan_end(scan);
	return key;
}

/* See ledger.h. */
const char *
ledger_order_key(int32 source_id, int64 order_id)
{
	Store	   *references = store_open("order_ref", AccessShareLock);
	const char *key = order_key(references, source_id, order_id);

	store_close(references);
	return key;
}

/* The next stored documents of a source after an id. */
int
ledger_list_orders(int32 source_id, int64 after, int limit, const char **keys, int64 *last)
{
	Store	   *store = store_open("ledger", AccessShareLock);
	Store	   *references = store_open("order_ref", AccessShareLock);
	Datum		bounds[2] = {Int32GetDatum(source_id), Int64GetDatum(after)};
	StoreScan  *scan = store_scan_after(store, "ledger_source_id_order_id_idx", 2, bounds);
	HeapTuple	tuple;
	int			n = 0;

	while (n < limit && (tuple = store_next(scan)) != NULL)
	{
		bool		isnull;
		int64		order_id = DatumGetInt64(heap_getattr(tuple, 2, store_desc(store), &isnull));

		if (n > 0 && order_id == *last)
			continue;
		*last = order_id;
		keys[n++] = order_key(references, source_id, order_id);
	}
	store_scan_end(scan);
	store_close(references);
	store_close(store);
	return n;
}

/* See ledger.h. */
void
ledger_order_keys(int32 source_id, const int64 *order_ids, int n, const char **keys)
{
	Store	   *references = store_open("order_ref", AccessShareLock);

	for (int i = 0; i < n; i++)
		keys[i] = order_key(references, source_id, order_ids[i]);
	store_close(references);
}

/* See ledger.h. */
void
ledger_find_orders(int32 source_id, const int64 *order_ids, int n, bool *stored)
{
	Store	   *store = store_open("ledger", AccessShareLock);

	for (int i = 0; i < n; i++)
	{
		Datum		keys[2] = {Int32GetDatum(source_id), Int64GetDatum(order_ids[i])};
		StoreScan  *scan = store_scan(store, "ledger_source_id_order_id_idx", 2, keys);

		stored[i] = store_next(scan) != NULL;
		store_scan_end(scan);
	}
	store_close(store);
}

/* See ledger.h. */
int
ledger_list_clients(int32 source_id, int limit, int64 *client_ids)
{
	Store	   *store = store_open("ledger", AccessShareLock);
	Datum		key = Int32GetDatum(source_id);
	StoreScan  *scan = store_scan(store, "ledger_source_id_order_id_idx", 1, &key);
	HeapTuple	tuple;
	bool		isnull;
	int			n = 0;

	while (n < limit && (tuple = store_next(scan)) != NULL)
		client_ids[n++] = DatumGetInt64(heap_getattr(tuple, 1, store_desc(store), &isnull));
	store_scan_end(scan);
	store_close(store);
	return n;
}
