/*
 * apply.c
 *		Stored profiles follow the ledger: incremental where the new documents
 *		sort last, else refolded.
 *
 * Writes client_profile, client_product and, through delta.c, the product
 * profiles.  Reads no application table and judges nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "distinct.h"
#include "profile/delta.h"
#include "profile/fold.h"
#include "profile/population.h"
#include "profile/profile.h"
#include "profile/rows.h"
#include "store.h"

typedef struct Apply
{
	Store	   *profiles;
	Store	   *products;
	ProductDeltas *deltas;
	Fold	   *fold;
	int32		loading_source; /* its documents are counted while folding; 0: none */
} Apply;

/* One line of one client in a change. */
typedef struct TouchedLine
{
	const LedgerLine *line;
	bool		before;
} TouchedLine;

/* The stored state of a product of the client being folded incrementally. */
static bool
load_product(Fold *fold, int64 product_id, FoldProduct *product)
{
	Apply	   *apply = fold->arg;
	Datum		key[2] = {Int64GetDatum(fold->profile.client_id), Int64GetDatum(product_id)};
	StoreScan  *scan = store_scan(apply->products, "client_product_pkey", 2, key);
	HeapTuple	row = store_prev(scan);

	if (row)
	{
		product_from_row(row, store_desc(apply->products), &product->product);
		product->tid = row->t_self;
	}
	store_scan_end(scan);
	return row != NULL;
}

/* Documents of the source being loaded were never seen by profile_apply: count them now. */
static void
count_loaded_order(Fold *fold)
{
	Apply	   *apply = fold->arg;

	population_orders_seen(1);
	if (fold->source_id != apply->loading_source)
		return;
	for (int i = 0; i < fold->n_pending; i++)
		deltas_add_order(apply->deltas, fold->pending[i]->product.product_id, fold->ordered_on, 1);
}

static void
apply_begin(Apply *apply, FoldLoad load, FoldOrder order)
{
	apply->profiles = store_open("client_profile", RowExclusiveLock);
	apply->products = store_open("client_product", RowExclusiveLock);
	if (apply->deltas == NULL)
		apply->deltas = deltas_create();
	apply->fold = fold_create(load, order, apply);
}

static void
apply_end(Apply *apply)
{
	store_close(apply->products);
	store_close(apply->profiles);
	MemoryContextDelete(apply->fold->cxt);
}

static void
write_profile(Apply *apply, HeapTuple stored, ItemPointer tid)
{
	Datum		values[CLIENT_PROFILE_COLUMNS];
	bool		isnull[CLIENT_PROFILE_COLUMNS];

	profile_to_row(&apply->fold->profile, values, isnull);
	if (stored && row_equals(stored, store_desc(apply->profiles), values, isnull))
		return;
	if (tid)
		store_update(apply->profiles, tid, values, isnull);
	else
		store_insert(apply->profiles, values, isnull);
}

static void
write_product(Apply *apply, const ClientProduct *product, HeapTuple stored, ItemPointer tid)
{
	Datum		values[CLIENT_PRODUCT_COLUMNS];
	bool		isnull[CLIENT_PRODUCT_COLUMNS];

	product_to_row(apply->fold->profile.client_id, product, values, isnull);
	if (stored && row_equals(stored, store_desc(apply->products), values, isnull))
		return;
	if (tid)
		store_update(apply->products, tid, values, isnull);
	else
	{
		store_insert(apply->products, values, isnull);
		deltas_add_buyer(apply->deltas, product->product_id, 1);
	}
}

/* Bring the stored product rows of a client in line with the refolded ones, both in order of product. */
static void
merge_products(Apply *apply)
{
	Fold	   *fold = apply->fold;
	Datum		key = Int64GetDatum(fold->profile.client_id);
	TupleDesc	desc = store_desc(apply->products);
	StoreScan  *scan = store_scan(apply->products, "client_product_pkey", 1, &key);
	HeapTuple	row;
	int			next = 0;

	while ((row = store_next(scan)) != NULL)
	{
		bool		isnull;
		int64		product_id = DatumGetInt64(heap_getattr(row, 2, desc, &isnull));

		while (next < fold->n_products && fold->products[next]->product.product_id < product_id)
			write_product(apply, &fold->products[next++]->product, NULL, NULL);
		if (next < fold->n_products && fold->products[next]->product.product_id == product_id)
			write_product(apply, &fold->products[next++]->product, row, &row->t_self);
		else
		{
			store_delete(apply->products, &row->t_self);
			deltas_add_buyer(apply->deltas, product_id, -1);
		}
	}
	store_scan_end(scan);
	while (next < fold->n_products)
		write_product(apply, &fold->products[next++]->product, NULL, NULL);
}

/* Store a client folded from scratch; one without lines has no rows. */
static void
store_refolded(Fold *fold, bool has_lines, void *arg)
{
	Apply	   *apply = arg;
	Datum		key = Int64GetDatum(fold->profile.client_id);
	StoreScan  *scan = store_scan(apply->profiles, "client_profile_pkey", 1, &key);
	HeapTuple	row = store_next(scan);

	if (has_lines)
		write_profile(apply, row, row ? &row->t_self : NULL);
	else if (row)
		store_delete(apply->profiles, &row->t_self);

	/* no profile row: no product rows to look up */
	if (row)
		merge_products(apply);
	else
		for (int i = 0; i < fold->n_products; i++)
			write_product(apply, &fold->products[i]->product, NULL, NULL);
	store_scan_end(scan);
}

/* Fold clients, ascending, from the ledger. */
static void
refold_clients(Apply *apply, const int64 *client_ids, int n_clients)
{
	if (n_clients == 0)
		return;
	apply_begin(apply, NULL, count_loaded_order);
	fold_clients(apply->fold, client_ids, n_clients, &ledger_whole, store_refolded, apply);
	apply_end(apply);
}

/* Where a line stands against the last document folded in. */
static bool
sorts_last(const LedgerLine *line, const ClientProfile *profile)
{
	if (line->ordered_at != profile->fold_at)
		return line->ordered_at > profile->fold_at;
	if (line->source_id != profile->fold_source_id)
		return line->source_id > profile->fold_source_id;
	return line->order_id > profile->fold_order_id;
}

/* Lines by client; within a client those before first, then in fold order. */
static int
compare_touched(const void *a, const void *b)
{
	const TouchedLine *l = a;
	const TouchedLine *r = b;

#define BY(x, y) if ((x) != (y)) return (x) < (y) ? -1 : 1
	BY(l->line->client_id, r->line->client_id);
	BY(!l->before, !r->before);
	BY(l->line->ordered_at, r->line->ordered_at);
	BY(l->line->source_id, r->line->source_id);
	BY(l->line->order_id, r->line->order_id);
	BY(l->line->line_no, r->line->line_no);
#undef BY
	return 0;
}

static TouchedLine *
touched_lines(const LedgerChange *changes, int n_changes, int *n)
{
	TouchedLine *touched;
	int			total = 0;

	for (int i = 0; i < n_changes; i++)
		total += changes[i].n_before + changes[i].n_after;
	touched = palloc(Max(total, 1) * sizeof(TouchedLine));
	*n = 0;
	for (int i = 0; i < n_changes; i++)
	{
		for (int j = 0; j < changes[i].n_before; j++)
			touched[(*n)++] = (TouchedLine) {&changes[i].before[j], true};
		for (int j = 0; j < changes[i].n_after; j++)
			touched[(*n)++] = (TouchedLine) {&changes[i].after[j], false};
	}
	qsort(touched, *n, sizeof(TouchedLine), compare_touched);
	return touched;
}

/* Add a client's new documents to its stored fold; false when they do not sort last. */
static bool
add_documents(Apply *apply, const TouchedLine *touched, int n)
{
	Fold	   *fold = apply->fold;
	int64		client_id = touched[0].line->client_id;
	ItemPointerData tid;
	bool		stored;
	MemoryContext old;

	fold_begin(fold, client_id);
	old = MemoryContextSwitchTo(fold->cxt);
	stored = profile_find(apply->profiles, client_id, &fold->profile, &tid);
	if (stored && !sorts_last(touched[0].line, &fold->profile))
	{
		MemoryContextSwitchTo(old);
		return false;
	}
	fold->max_months = fold->profile.n_months;
	for (int i = 0; i < n; i++)
		fold_add(fold, touched[i].line);
	fold_finish(fold);

	write_profile(apply, NULL, stored ? &tid : NULL);
	for (int i = 0; i < fold->n_products; i++)
		write_product(apply, &fold->products[i]->product, NULL,
					  fold->products[i]->stored ? &fold->products[i]->tid : NULL);
	MemoryContextSwitchTo(old);
	return true;
}

static void
count_order(Fold *fold)
{
	population_orders_seen(1);
}

/* Clients whose documents are all new and last are done here; the others are returned for a refold. */
static int
apply_incremental(Apply *apply, const TouchedLine *touched, int n, bool refold_all,
				  int64 *clients, int *n_clients, int64 *refold)
{
	int			n_refold = 0;
	int			next;

	apply_begin(apply, load_product, count_order);
	*n_clients = 0;
	for (int i = 0; i < n; i = next)
	{
		int64		client_id = touched[i].line->client_id;

		for (next = i; next < n && touched[next].line->client_id == client_id; next++)
			;
		clients[(*n_clients)++] = client_id;
		if (refold_all || touched[i].before || !add_documents(apply, touched + i, next - i))
			refold[n_refold++] = client_id;
		CHECK_FOR_INTERRUPTS();
	}
	apply_end(apply);
	return n_refold;
}

/* See profile.h. */
int
profile_apply(const LedgerChange *changes, int n_changes, bool refold_all, int64 **clients)
{
	Apply		apply = {0};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "agentcrm profile", ALLOCSET_DEFAULT_SIZES);
	TouchedLine *touched;
	int64	   *refold;
	int			n,
				n_clients,
				n_refold;

	MemoryContextSwitchTo(work);
	touched = touched_lines(changes, n_changes, &n);
	*clients = MemoryContextAlloc(caller, Max(n, 1) * sizeof(int64));
	refold = palloc(Max(n, 1) * sizeof(int64));
	apply.deltas = deltas_create();
	for (int i = 0; i < n_changes; i++)
	{
		deltas_add_lines(apply.deltas, changes[i].before, changes[i].n_before, -1);
		deltas_add_lines(apply.deltas, changes[i].after, changes[i].n_after, 1);
	}
	n_refold = apply_incremental(&apply, touched, n, refold_all, *clients, &n_clients, refold);
	refold_clients(&apply, refold, n_refold);
	deltas_write(apply.deltas);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	return n_clients;
}

/* See profile.h. */
void
profile_refold(const int64 *client_ids, int n_clients, int32 loading_source)
{
	Apply		apply = {.loading_source = loading_source};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(caller, "agentcrm profile", ALLOCSET_DEFAULT_SIZES);
	int64	   *ids;
	int			n;

	MemoryContextSwitchTo(work);
	ids = palloc(Max(n_clients, 1) * sizeof(int64));
	memcpy(ids, client_ids, n_clients * sizeof(int64));
	n = distinct_ids(ids, n_clients);
	apply.deltas = deltas_create();
	refold_clients(&apply, ids, n);
	deltas_write(apply.deltas);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
}
