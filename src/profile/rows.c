/*
 * rows.c
 *		Stored rows of client_profile and client_product as structs and back.
 *
 * Decides nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "profile/rows.h"

/* Columns of agentcrm.client_product, from 0. */
enum
{
	C_CLIENT_ID, C_PRODUCT_ID, C_N, C_FIRST_ORDER_NO, C_LAST_ORDER_NO, C_FIRST_ORDER_ON, C_LAST_ORDER_ON,
	C_RATE_SLOW, C_RATE_FAST, C_HELD, C_LAST_PRICE, C_QUANTITIES, C_COLUMNS
};

StaticAssertDecl(C_COLUMNS == CLIENT_PRODUCT_COLUMNS, "columns of client_product");

/* The elements point into a copy: the row goes away with its scan. */
static int
numeric_array_elements(Datum array, Datum **values, bool **isnull)
{
	int			n;

	deconstruct_array(DatumGetArrayTypePCopy(array), NUMERICOID, -1, false, TYPALIGN_INT, values, isnull, &n);
	return n;
}

static int
int_array_elements(Datum array, Oid type, Datum **values)
{
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), type, 4, true, TYPALIGN_INT, values, NULL, &n);
	return n;
}

static Datum
make_array(Datum *values, bool *isnull, int n, Oid type)
{
	int			lower = 1;
	bool		fixed = type != NUMERICOID;

	if (n == 0)
		return PointerGetDatum(construct_empty_array(type));
	return PointerGetDatum(construct_md_array(values, isnull, 1, &n, &lower, type,
											  fixed ? 4 : -1, fixed, TYPALIGN_INT));
}

static void
months_from_row(const Datum *values, ClientProfile *profile)
{
	Datum	   *month,
			   *orders,
			   *amount,
			   *margin,
			   *returned;
	bool	   *isnull,
			   *no_margin;
	int			n = int_array_elements(values[P_MONTH], DATEOID, &month);

	if (int_array_elements(values[P_MONTH_ORDERS], INT4OID, &orders) != n ||
		numeric_array_elements(values[P_MONTH_AMOUNT], &amount, &isnull) != n ||
		numeric_array_elements(values[P_MONTH_MARGIN], &margin, &no_margin) != n ||
		numeric_array_elements(values[P_MONTH_RETURNED], &returned, &isnull) != n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("month arrays of client " INT64_FORMAT " differ in length", profile->client_id)));
	profile->n_months = n;
	profile->months = palloc(Max(n, 1) * sizeof(ClientMonth));
	for (int i = 0; i < n; i++)
		profile->months[i] = (ClientMonth)
	{
		.month = DatumGetDateADT(month[i]),
		.orders = DatumGetInt32(orders[i]),
		.amount = DatumGetNumeric(amount[i]),
		.margin = no_margin[i] ? NULL : DatumGetNumeric(margin[i]),
		.returned = DatumGetNumeric(returned[i])
	};
}

static void
recent_from_row(Datum array, ClientProfile *profile)
{
	Datum	   *gaps;

	profile->n_recent = int_array_elements(array, INT4OID, &gaps);
	if (profile->n_recent > CHART_GAPS)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("too many recent gaps of client " INT64_FORMAT, profile->client_id)));
	for (int i = 0; i < profile->n_recent; i++)
		profile->recent[i] = DatumGetInt32(gaps[i]);
	pfree(gaps);
}

/* A row of client_profile as a struct; its values live in the current memory context. */
void
profile_from_row(HeapTuple row, TupleDesc desc, ClientProfile *profile)
{
	Datum		values[P_COLUMNS];
	bool		isnull[P_COLUMNS];

	heap_deform_tuple(row, desc, values, isnull);
	memset(profile, 0, sizeof(ClientProfile));
	profile->client_id = DatumGetInt64(values[P_CLIENT_ID]);
	profile->n_orders = DatumGetInt32(values[P_N_ORDERS]);
	profile->n_returns = DatumGetInt32(values[P_N_RETURNS]);
	if (profile->n_orders > 0)
	{
		profile->first_order_at = DatumGetTimestampTz(values[P_FIRST_ORDER_AT]);
		profile->last_order_at = DatumGetTimestampTz(values[P_LAST_ORDER_AT]);
		profile->first_order_on = DatumGetDateADT(values[P_FIRST_ORDER_ON]);
		profile->last_order_on = DatumGetDateADT(values[P_LAST_ORDER_ON]);
	}
	profile->n_gaps = DatumGetInt32(values[P_N_GAPS]);
	profile->gap_sum = DatumGetInt32(values[P_GAP_SUM]);
	profile->gap_last = isnull[P_GAP_LAST] ? 0 : DatumGetInt32(values[P_GAP_LAST]);
	profile->gap_before = isnull[P_GAP_BEFORE] ? 0 : DatumGetInt32(values[P_GAP_BEFORE]);
	profile->gap_sum_log = DatumGetFloat8(values[P_GAP_SUM_LOG]);
	recent_from_row(values[P_GAP_RECENT], profile);
	profile->has_rep = !isnull[P_REP_ID];
	profile->rep_id = profile->has_rep ? DatumGetInt64(values[P_REP_ID]) : 0;
	profile->fold_at = DatumGetTimestampTz(values[P_FOLD_AT]);
	profile->fold_source_id = DatumGetInt32(values[P_FOLD_SOURCE_ID]);
	profile->fold_order_id = DatumGetInt64(values[P_FOLD_ORDER_ID]);
	profile->amount = DatumGetNumericCopy(values[P_AMOUNT]);
	profile->margin = isnull[P_MARGIN] ? NULL : DatumGetNumericCopy(values[P_MARGIN]);
	profile->returned = DatumGetNumericCopy(values[P_RETURNED]);
	months_from_row(values, profile);
}

static void
months_to_row(const ClientProfile *profile, Datum *values)
{
	int			n = profile->n_months;
	Datum	   *element = palloc(Max(n, 1) * sizeof(Datum));
	bool	   *isnull = palloc(Max(n, 1) * sizeof(bool));

#define MONTH_COLUMN(column, type, value) \
	do { \
		for (int i = 0; i < n; i++) \
			element[i] = value; \
		values[column] = make_array(element, NULL, n, type); \
	} while (0)

	MONTH_COLUMN(P_MONTH, DATEOID, DateADTGetDatum(profile->months[i].month));
	MONTH_COLUMN(P_MONTH_ORDERS, INT4OID, Int32GetDatum(profile->months[i].orders));
	MONTH_COLUMN(P_MONTH_AMOUNT, NUMERICOID, NumericGetDatum(profile->months[i].amount));
	MONTH_COLUMN(P_MONTH_RETURNED, NUMERICOID, NumericGetDatum(profile->months[i].returned));
#undef MONTH_COLUMN

	for (int i = 0; i < n; i++)
	{
		isnull[i] = profile->months[i].margin == NULL;
		element[i] = NumericGetDatum(profile->months[i].margin);
	}
	values[P_MONTH_MARGIN] = make_array(element, isnull, n, NUMERICOID);
}

static Datum
recent_to_row(const ClientProfile *profile)
{
	Datum		gaps[CHART_GAPS];

	for (int i = 0; i < profile->n_recent; i++)
		gaps[i] = Int32GetDatum(profile->recent[i]);
	return make_array(gaps, NULL, profile->n_recent, INT4OID);
}

/* A profile as a row of client_profile. */
void
profile_to_row(const ClientProfile *profile, Datum *values, bool *isnull)
{
	memset(isnull, false, P_COLUMNS);
	values[P_CLIENT_ID] = Int64GetDatum(profile->client_id);
	values[P_N_ORDERS] = Int32GetDatum(profile->n_orders);
	values[P_N_RETURNS] = Int32GetDatum(profile->n_returns);
	values[P_FIRST_ORDER_AT] = TimestampTzGetDatum(profile->first_order_at);
	values[P_LAST_ORDER_AT] = TimestampTzGetDatum(profile->last_order_at);
	values[P_FIRST_ORDER_ON] = DateADTGetDatum(profile->first_order_on);
	values[P_LAST_ORDER_ON] = DateADTGetDatum(profile->last_order_on);
	isnull[P_FIRST_ORDER_AT] = isnull[P_LAST_ORDER_AT] = profile->n_orders == 0;
	isnull[P_FIRST_ORDER_ON] = isnull[P_LAST_ORDER_ON] = profile->n_orders == 0;
	values[P_N_GAPS] = Int32GetDatum(profile->n_gaps);
	values[P_GAP_SUM] = Int32GetDatum(profile->gap_sum);
	values[P_GAP_LAST] = Int32GetDatum(profile->gap_last);
	isnull[P_GAP_LAST] = profile->n_gaps < 1;
	values[P_GAP_BEFORE] = Int32GetDatum(profile->gap_before);
	isnull[P_GAP_BEFORE] = profile->n_gaps < 2;
	values[P_GAP_SUM_LOG] = Float8GetDatum(profile->gap_sum_log);
	values[P_GAP_RECENT] = recent_to_row(profile);
	values[P_REP_ID] = Int64GetDatum(profile->rep_id);
	isnull[P_REP_ID] = !profile->has_rep;
	values[P_FOLD_AT] = TimestampTzGetDatum(profile->fold_at);
	values[P_FOLD_SOURCE_ID] = Int32GetDatum(profile->fold_source_id);
	values[P_FOLD_ORDER_ID] = Int64GetDatum(profile->fold_order_id);
	values[P_AMOUNT] = NumericGetDatum(profile->amount);
	values[P_MARGIN] = NumericGetDatum(profile->margin);
	isnull[P_MARGIN] = profile->margin == NULL;
	values[P_RETURNED] = NumericGetDatum(profile->returned);
	months_to_row(profile, values);
}

/* A row of client_product as a struct; its values live in the current memory context. */
void
product_from_row(HeapTuple row, TupleDesc desc, ClientProduct *product)
{
	Datum		values[C_COLUMNS];
	bool		isnull[C_COLUMNS];
	Datum	   *quantities;
	bool	   *no_quantity;

	heap_deform_tuple(row, desc, values, isnull);
	product->product_id = DatumGetInt64(values[C_PRODUCT_ID]);
	product->n = DatumGetInt32(values[C_N]);
	product->first_order_no = DatumGetInt32(values[C_FIRST_ORDER_NO]);
	product->last_order_no = DatumGetInt32(values[C_LAST_ORDER_NO]);
	product->first_order_on = DatumGetDateADT(values[C_FIRST_ORDER_ON]);
	product->last_order_on = DatumGetDateADT(values[C_LAST_ORDER_ON]);
	product->rate_slow = DatumGetFloat8(values[C_RATE_SLOW]);
	product->rate_fast = DatumGetFloat8(values[C_RATE_FAST]);
	product->held = (uint64) DatumGetInt64(values[C_HELD]);
	product->last_price = isnull[C_LAST_PRICE] ? NULL : DatumGetNumericCopy(values[C_LAST_PRICE]);
	product->n_quantities = numeric_array_elements(values[C_QUANTITIES], &quantities, &no_quantity);
	if (product->n_quantities > PROFILE_QUANTITIES)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("too many quantities of product " INT64_FORMAT, product->product_id)));
	for (int i = 0; i < product->n_quantities; i++)
		product->quantities[i] = DatumGetNumeric(quantities[i]);
	pfree(quantities);
	pfree(no_quantity);
}

/* A product of a client as a row of client_product. */
void
product_to_row(int64 client_id, const ClientProduct *product, Datum *values, bool *isnull)
{
	Datum		quantities[PROFILE_QUANTITIES];

	for (int i = 0; i < product->n_quantities; i++)
		quantities[i] = NumericGetDatum(product->quantities[i]);
	memset(isnull, false, C_COLUMNS);
	values[C_CLIENT_ID] = Int64GetDatum(client_id);
	values[C_PRODUCT_ID] = Int64GetDatum(product->product_id);
	values[C_N] = Int32GetDatum(product->n);
	values[C_FIRST_ORDER_NO] = Int32GetDatum(product->first_order_no);
	values[C_LAST_ORDER_NO] = Int32GetDatum(product->last_order_no);
	values[C_FIRST_ORDER_ON] = DateADTGetDatum(product->first_order_on);
	values[C_LAST_ORDER_ON] = DateADTGetDatum(product->last_order_on);
	values[C_RATE_SLOW] = Float8GetDatum(product->rate_slow);
	values[C_RATE_FAST] = Float8GetDatum(product->rate_fast);
	values[C_HELD] = Int64GetDatum((int64) product->held);
	values[C_LAST_PRICE] = NumericGetDatum(product->last_price);
	isnull[C_LAST_PRICE] = product->last_price == NULL;
	values[C_QUANTITIES] = make_array(quantities, NULL, product->n_quantities, NUMERICOID);
}

/* Whether a stored row already holds these values, bit for bit. */
bool
row_equals(HeapTuple row, TupleDesc desc, const Datum *values, const bool *isnull)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		stored_null;
		Datum		stored = heap_getattr(row, i + 1, desc, &stored_null);

		if (stored_null != isnull[i])
			return false;
		if (!stored_null && !datum_image_eq(stored, values[i], att->attbyval, att->attlen))
			return false;
	}
	return true;
}

/* The stored profile of a client; false when there is none. */
bool
profile_find(Store *profiles, int64 client_id, ClientProfile *profile, ItemPointer tid)
{
	Datum		key = Int64GetDatum(client_id);
	StoreScan  *scan = store_scan(profiles, "client_profile_pkey", 1, &key);
	HeapTuple	row = store_prev(scan);

	if (row)
	{
		profile_from_row(row, store_desc(profiles), profile);
		if (tid)
			*tid = row->t_self;
	}
	store_scan_end(scan);
	return row != NULL;
}
