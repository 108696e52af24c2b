/*
 * pending.c
 *		Changes of product counters that wait in product_delta until enough have
 *		gathered.
 *
 * A row for each batch is appended and none is updated; the last one says where
 * those begin that were not added to product_count.  So nothing is looked up
 * among row versions that a held snapshot keeps.  Knows no counter's meaning.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"

#include "profile/delta.h"
#include "store.h"

/*
 * Counters that may wait.  Readers add them up each time, a few milliseconds;
 * adding them to product_count writes a version of each row they change.
 */
#define PENDING_COUNTERS 20000

/* Columns of agentcrm.product_delta, from 0. */
enum
{
	D_DELTA_NO, D_FIRST_NO, D_COUNTERS, D_PRODUCT_ID, D_MONTH, D_N, D_COLUMNS
};

/* What the last row says. */
typedef struct Pending
{
	int64		last_no;
	int64		first_no;
	int			counters;
} Pending;

static Pending
read_last(Store *store)
{
	StoreScan  *scan = store_scan(store, "product_delta_pkey", 0, NULL);
	HeapTuple	row = store_prev(scan);
	Pending		pending = {.first_no = 1};

	if (row)
	{
		Datum		values[D_COLUMNS];
		bool		isnull[D_COLUMNS];

		heap_deform_tuple(row, store_desc(store), values, isnull);
		pending.last_no = DatumGetInt64(values[D_DELTA_NO]);
		pending.first_no = DatumGetInt64(values[D_FIRST_NO]);
		pending.counters = DatumGetInt32(values[D_COUNTERS]);
	}
	store_scan_end(scan);
	return pending;
}

static void
append_row(Store *store, const Pending *pending, const Counter *counters, int n)
{
	Datum	   *products = palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *months = palloc(Max(n, 1) * sizeof(Datum));
	Datum	   *numbers = palloc(Max(n, 1) * sizeof(Datum));
	Datum		values[D_COLUMNS];
	bool		isnull[D_COLUMNS] = {false};

	for (int i = 0; i < n; i++)
	{
		products[i] = Int64GetDatum(counters[i].product_id);
		months[i] = DateADTGetDatum(counters[i].month);
		numbers[i] = Int32GetDatum(counters[i].n);
	}
	values[D_DELTA_NO] = Int64GetDatum(pending->last_no);
	values[D_FIRST_NO] = Int64GetDatum(pending->first_no);
	values[D_COUNTERS] = Int32GetDatum(pending->counters);
	values[D_PRODUCT_ID] = PointerGetDatum(construct_array(products, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[D_MONTH] = PointerGetDatum(construct_array(months, n, DATEOID, 4, true, TYPALIGN_INT));
	values[D_N] = PointerGetDatum(construct_array(numbers, n, INT4OID, 4, true, TYPALIGN_INT));
	store_insert(store, values, isnull);
}

/* Append changes; false, with nothing done, when too many wait already. */
bool
pending_append(const Counter *counters, int n)
{
	Store	   *store = store_open("product_delta", RowExclusiveLock);
	Pending		pending = read_last(store);
	bool		room = n <= PENDING_COUNTERS - pending.counters;

	if (room)
	{
		pending.last_no++;
		pending.counters += n;
		append_row(store, &pending, counters, n);
	}
	store_close(store);
	return room;
}

static int
elements(Datum array, Oid type, int length, bool by_value, char align, Datum **values)
{
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), type, length, by_value, align, values, NULL, &n);
	return n;
}

static void
take_row(HeapTuple row, TupleDesc desc, PendingTake take, void *arg)
{
	Datum		values[D_COLUMNS];
	bool		isnull[D_COLUMNS];
	Datum	   *products,
			   *months,
			   *numbers;
	int			n;

	heap_deform_tuple(row, desc, values, isnull);
	n = elements(values[D_PRODUCT_ID], INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &products);
	if (elements(values[D_MONTH], DATEOID, 4, true, TYPALIGN_INT, &months) != n ||
		elements(values[D_N], INT4OID, 4, true, TYPALIGN_INT, &numbers) != n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("arrays of row " INT64_FORMAT " of agentcrm.product_delta differ in length",
						DatumGetInt64(values[D_DELTA_NO]))));
	for (int i = 0; i < n; i++)
		take(&(Counter) {DatumGetInt64(products[i]), DatumGetDateADT(months[i]), DatumGetInt32(numbers[i])}, arg);
}

/* Take all changes out; an empty row stays, for the numbers go on. */
void
pending_take(PendingTake take, void *arg)
{
	Store	   *store = store_open("product_delta", RowExclusiveLock);
	Pending		pending = read_last(store);
	Datum		before = Int64GetDatum(pending.first_no - 1);
	StoreScan  *scan = store_scan_after(store, "product_delta_pkey", 1, &before);
	HeapTuple	row;

	while ((row = store_next(scan)) != NULL)
	{
		take_row(row, store_desc(store), take, arg);
		store_delete(store, &row->t_self);
	}
	store_scan_end(scan);
	pending.first_no = ++pending.last_no;
	pending.counters = 0;
	append_row(store, &pending, NULL, 0);
	store_close(store);
}
