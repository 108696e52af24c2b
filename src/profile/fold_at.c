/*
 * fold_at.c
 *		The fold of a client at a moment.
 *
 * Reads stored rows when they hold nothing after as_of, else refolds the
 * ledger up to it; in a past by what that shows.  Writes nothing.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "profile/fold_at.h"
#include "profile/population.h"
#include "profile/rows.h"

/* Begin to read folds; each call of fold_at is made between this and fold_at_end. */
void
fold_at_begin(FoldReader *reader)
{
	reader->profiles = store_open("client_profile", AccessShareLock);
	reader->products = NULL;
	reader->cxt = CurrentMemoryContext;
	reader->fold = NULL;
}

void
fold_at_end(FoldReader *reader)
{
	if (reader->products)
		store_close(reader->products);
	store_close(reader->profiles);
	if (reader->fold)
		MemoryContextDelete(reader->fold->cxt);
}

static int
read_products(FoldReader *reader, int64 client_id, ClientProduct **products)
{
	Datum		key = Int64GetDatum(client_id);
	TupleDesc	desc;
	StoreScan  *scan;
	HeapTuple	row;
	int			n = 0;
	int			max = 32;

	if (reader->products == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->cxt);

		reader->products = store_open("client_product", AccessShareLock);
		MemoryContextSwitchTo(old);
	}
	desc = store_desc(reader->products);
	scan = store_scan(reader->products, "client_product_pkey", 1, &key);
	*products = palloc(max * sizeof(ClientProduct));
	while ((row = store_next(scan)) != NULL)
	{
		if (n == max)
			*products = repalloc_huge(*products, (Size) (max *= 2) * sizeof(ClientProduct));
		product_from_row(row, desc, &(*products)[n++]);
	}
	store_scan_end(scan);
	return n;
}

static void
add_line(const LedgerLine *line, void *arg)
{
	fold_add((Fold *) arg, line);
}

static Numeric
copy_numeric(Numeric value)
{
	return value ? DatumGetNumericCopy(NumericGetDatum(value)) : NULL;
}

/* Copy a finished fold into the caller's memory. */
static int
copy_fold(const Fold *fold, ClientProfile *profile, ClientProduct **products)
{
	*profile = fold->profile;
	profile->amount = copy_numeric(profile->amount);
	profile->margin = copy_numeric(profile->margin);
	profile->returned = copy_numeric(profile->returned);
	profile->months = palloc(Max(profile->n_months, 1) * sizeof(ClientMonth));
	for (int i = 0; i < profile->n_months; i++)
	{
		profile->months[i] = fold->profile.months[i];
		profile->months[i].amount = copy_numeric(profile->months[i].amount);
		profile->months[i].margin = copy_numeric(profile->months[i].margin);
		profile->months[i].returned = copy_numeric(profile->months[i].returned);
	}
	if (products == NULL)
		return 0;
	*products = palloc(Max(fold->n_products, 1) * sizeof(ClientProduct));
	for (int i = 0; i < fold->n_products; i++)
	{
		ClientProduct *product = &(*products)[i];

		*product = fold->products[i]->product;
		product->last_price = copy_numeric(product->last_price);
		for (int q = 0; q < product->n_quantities; q++)
			product->quantities[q] = copy_numeric(product->quantities[q]);
	}
	return fold->n_products;
}

/* The fold by what a view shows, from the ledger. */
static int
refold(FoldReader *reader, int64 client_id, const LedgerView *view, ClientProfile *profile, ClientProduct **products)
{
	if (reader->fold == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->cxt);

		reader->fold = fold_create(NULL, NULL, NULL);
		MemoryContextSwitchTo(old);
	}
	fold_begin(reader->fold, client_id);
	ledger_scan_clients(&client_id, 1, view, add_line, reader->fold);
	fold_finish(reader->fold);
	fold_sort_products(reader->fold);
	return copy_fold(reader->fold, profile, products);
}

/* Profile and, unless NULL, products of a client up to as_of, empty where it has no lines; returns the number of products. */
int
fold_at(FoldReader *reader, int64 client_id, TimestampTz as_of, ClientProfile *profile, ClientProduct **products)
{
	LedgerView	view = population_view(as_of);

	if (products)
		*products = NULL;
	if (view.known_at != DT_NOEND)
		return refold(reader, client_id, &view, profile, products);
	if (!profile_find(reader->profiles, client_id, profile, NULL))
	{
		memset(profile, 0, sizeof(ClientProfile));
		profile->client_id = client_id;
		profile->fold_at = DT_NOBEGIN;
		profile->amount = int64_to_numeric(0);
		profile->returned = int64_to_numeric(0);
		return 0;
	}
	if (profile->fold_at <= view.as_of)
		return products == NULL ? 0 : read_products(reader, client_id, products);
	return refold(reader, client_id, &view, profile, products);
}
