/*
 * delta.c
 *		Changes of the products' counters, gathered and written once.
 *
 * They are appended to product_delta, and when many wait there, added to
 * product_count, one write per row.  Sums are integers, so that the order of
 * adding does not matter.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "utils/memutils.h"

#include "profile/delta.h"
#include "profile/fold.h"
#include "store.h"

/* A month of a product, or with month DATEVAL_NOBEGIN its buyers. */
typedef struct DeltaKey
{
	int64		product_id;
	DateADT		month;
	int32		unused;			/* keeps the key free of padding */
} DeltaKey;

typedef struct DeltaEntry
{
	DeltaKey	key;
	int64		delta;
	char		status;
} DeltaEntry;

#define SH_PREFIX delta
#define SH_ELEMENT_TYPE DeltaEntry
#define SH_KEY_TYPE DeltaKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(DeltaKey))
#define SH_EQUAL(tb, a, b) ((a).product_id == (b).product_id && (a).month == (b).month)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct ProductDeltas
{
	delta_hash *hash;
};

/* An empty gathering. */
ProductDeltas *
deltas_create(void)
{
	ProductDeltas *deltas = palloc0(sizeof(ProductDeltas));

	deltas->hash = delta_create(CurrentMemoryContext, 64, NULL);
	return deltas;
}

static void
add_delta(ProductDeltas *deltas, int64 product_id, DateADT month, int by)
{
	DeltaKey	key = {.product_id = product_id, .month = month};
	bool		found;
	DeltaEntry *entry = delta_insert(deltas->hash, key, &found);

	if (!found)
		entry->delta = 0;
	entry->delta += by;
}

/* So many more client orders of that day hold the product. */
void
deltas_add_order(ProductDeltas *deltas, int64 product_id, DateADT day, int orders)
{
	add_delta(deltas, product_id, fold_month(day), orders);
}

/* So many more clients have bought the product. */
void
deltas_add_buyer(ProductDeltas *deltas, int64 product_id, int buyers)
{
	add_delta(deltas, product_id, DATEVAL_NOBEGIN, buyers);
}

static int
compare_holding(const void *a, const void *b)
{
	const LedgerLine *l = *(const LedgerLine *const *) a;
	const LedgerLine *r = *(const LedgerLine *const *) b;

	if (l->product_id != r->product_id)
		return l->product_id < r->product_id ? -1 : 1;
	return l->client_id < r->client_id ? -1 : l->client_id > r->client_id;
}

/* Count (or, with sign -1, take back) the lines of one document: once per client and product sold. */
void
deltas_add_lines(ProductDeltas *deltas, const LedgerLine *lines, int n, int sign)
{
	const LedgerLine **held = palloc(Max(n, 1) * sizeof(LedgerLine *));
	int			n_held = 0;

	for (int i = 0; i < n; i++)
		if (lines[i].has_product && !lines[i].is_return)
			held[n_held++] = &lines[i];
	qsort(held, n_held, sizeof(LedgerLine *), compare_holding);
	for (int i = 0; i < n_held; i++)
		if (i == 0 || compare_holding(&held[i - 1], &held[i]) != 0)
			deltas_add_order(deltas, held[i]->product_id, held[i]->ordered_on, sign);
	pfree(held);
}

static int
compare_counters(const void *a, const void *b)
{
	const Counter *l = a;
	const Counter *r = b;

	if (l->product_id != r->product_id)
		return l->product_id < r->product_id ? -1 : 1;
	return l->month < r->month ? -1 : l->month > r->month;
}

/* What was gathered, in order of product and month, without what has cancelled out. */
Counter *
deltas_gathered(ProductDeltas *deltas, int *n)
{
	Counter    *counters = palloc(Max(deltas->hash->members, 1) * sizeof(Counter));
	delta_iterator iterator;
	DeltaEntry *entry;

	*n = 0;
	delta_start_iterate(deltas->hash, &iterator);
	while ((entry = delta_iterate(deltas->hash, &iterator)) != NULL)
		if (entry->delta != 0)
			counters[(*n)++] = (Counter)
		{
			entry->key.product_id, entry->key.month, entry->delta
		};
	qsort(counters, *n, sizeof(Counter), compare_counters);
	return counters;
}

/*
 * Add to a row of product_count; one that reaches zero is removed.  A sum below
 * zero can only mean that somebody has changed the counters: it is stored, and
 * verify() shows it, for the changes added up here are not one event's to blame.
 */
static void
add_to_row(Store *store, const Counter *counter)
{
	Datum		values[3] = {Int64GetDatum(counter->product_id), DateADTGetDatum(counter->month), 0};
	bool		isnull[3] = {false, false, false};
	StoreScan  *scan = store_scan(store, "product_count_pkey", 2, values);
	HeapTuple	row = store_prev(scan);
	int32		n = counter->n;
	bool		no_value;

	if (row)
		n += DatumGetInt32(heap_getattr(row, 3, store_desc(store), &no_value));
	values[2] = Int32GetDatum(n);
	if (row && n == 0)
		store_delete(store, &row->t_self);
	else if (row)
		store_update(store, &row->t_self, values, isnull);
	else
		store_insert(store, values, isnull);
	store_scan_end(scan);
}

static void
take_pending(const Counter *counter, void *arg)
{
	add_delta(arg, counter->product_id, counter->month, counter->n);
}

/* Add what was gathered, and what waits from earlier calls, to product_count. */
static void
add_up(ProductDeltas *deltas)
{
	Store	   *store;
	Counter    *counters;
	int			n;

	pending_take(take_pending, deltas);
	counters = deltas_gathered(deltas, &n);
	store = store_open("product_count", RowExclusiveLock);
	for (int i = 0; i < n; i++)
		add_to_row(store, &counters[i]);
	store_close(store);
	pfree(counters);
}

/* Write what was gathered and forget it. */
void
deltas_write(ProductDeltas *deltas)
{
	int			n;
	Counter    *counters = deltas_gathered(deltas, &n);

	if (n > 0 && !pending_append(counters, n))
		add_up(deltas);
	delta_reset(deltas->hash);
	pfree(counters);
}
