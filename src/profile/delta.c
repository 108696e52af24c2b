/*
 * delta.c
 *		Changes of product_profile and product_month, gathered and written once.
 *
 * One write per row and call, however many orders were counted.  Sums are
 * integers, so that the order of adding does not matter.
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
	Store	   *profiles;
	Store	   *months;
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

/* Replace, add or remove a row with a counter that reaches zero. */
static void
write_row(Store *store, HeapTuple row, Datum *values, int n_values, bool empty)
{
	bool		isnull[3] = {false, false, false};

	Assert(n_values <= 3);
	if (row && empty)
		store_delete(store, &row->t_self);
	else if (row)
		store_update(store, &row->t_self, values, isnull, n_values);
	else if (!empty)
		store_insert(store, values, isnull, n_values);
}

static int64
counter(HeapTuple row, Store *store, int column)
{
	bool		isnull;
	TupleDesc	desc = RelationGetDescr(store_relation(store));
	Datum		value;

	if (row == NULL)
		return 0;
	value = heap_getattr(row, column, desc, &isnull);
	return TupleDescAttr(desc, column - 1)->attlen == 8 ? DatumGetInt64(value) : DatumGetInt32(value);
}

static void
check_counter(int64 value, int64 product_id)
{
	if (value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("counters of product " INT64_FORMAT " would become negative", product_id),
				 errhint("The stored profiles do not agree with the ledger; agentcrm.verify() shows where.")));
}

static void
write_month(ProductDeltas *deltas, const DeltaEntry *entry)
{
	Datum		key[2] = {Int64GetDatum(entry->key.product_id), DateADTGetDatum(entry->key.month)};
	StoreScan  *scan = store_scan(deltas->months, "product_month_pkey", 2, key);
	HeapTuple	row = store_next(scan);
	int64		orders = counter(row, deltas->months, 3) + entry->delta;
	Datum		values[3] = {key[0], key[1], Int32GetDatum(orders)};

	check_counter(orders, entry->key.product_id);
	write_row(deltas->months, row, values, 3, orders == 0);
	store_scan_end(scan);
}

static void
write_product(ProductDeltas *deltas, int64 product_id, int64 more_buyers, int64 more_orders)
{
	Datum		key = Int64GetDatum(product_id);
	StoreScan  *scan;
	HeapTuple	row;
	int64		buyers,
				orders;
	Datum		values[3];

	if (more_buyers == 0 && more_orders == 0)
		return;
	scan = store_scan(deltas->profiles, "product_profile_pkey", 1, &key);
	row = store_next(scan);
	buyers = counter(row, deltas->profiles, 2) + more_buyers;
	orders = counter(row, deltas->profiles, 3) + more_orders;
	check_counter(Min(buyers, orders), product_id);
	values[0] = key;
	values[1] = Int32GetDatum(buyers);
	values[2] = Int64GetDatum(orders);
	write_row(deltas->profiles, row, values, 3, buyers == 0 && orders == 0);
	store_scan_end(scan);
}

static int
compare_entries(const void *a, const void *b)
{
	const DeltaKey *l = &(*(DeltaEntry *const *) a)->key;
	const DeltaKey *r = &(*(DeltaEntry *const *) b)->key;

	if (l->product_id != r->product_id)
		return l->product_id < r->product_id ? -1 : 1;
	return l->month < r->month ? -1 : l->month > r->month;
}

/* All entries in order of product and month. */
static DeltaEntry **
sort_entries(ProductDeltas *deltas, int *n)
{
	DeltaEntry **entries = palloc(Max(deltas->hash->members, 1) * sizeof(DeltaEntry *));
	delta_iterator iterator;
	DeltaEntry *entry;

	*n = 0;
	delta_start_iterate(deltas->hash, &iterator);
	while ((entry = delta_iterate(deltas->hash, &iterator)) != NULL)
		entries[(*n)++] = entry;
	qsort(entries, *n, sizeof(DeltaEntry *), compare_entries);
	return entries;
}

/* Write what was gathered and forget it. */
void
deltas_write(ProductDeltas *deltas)
{
	int			n;
	DeltaEntry **entries = sort_entries(deltas, &n);
	int			next;

	if (n == 0)
		return;
	deltas->profiles = store_open("product_profile", RowExclusiveLock);
	deltas->months = store_open("product_month", RowExclusiveLock);
	for (int i = 0; i < n; i = next)
	{
		int64		product_id = entries[i]->key.product_id;
		int64		buyers = 0,
					orders = 0;

		for (next = i; next < n && entries[next]->key.product_id == product_id; next++)
		{
			if (entries[next]->key.month == DATEVAL_NOBEGIN)
				buyers += entries[next]->delta;
			else if (entries[next]->delta != 0)
			{
				orders += entries[next]->delta;
				write_month(deltas, entries[next]);
			}
		}
		write_product(deltas, product_id, buyers, orders);
	}
	store_close(deltas->months);
	store_close(deltas->profiles);
	delta_reset(deltas->hash);
	pfree(entries);
}
