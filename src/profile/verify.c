/*
 * verify.c
 *		Stored profiles against a refold of the ledger.
 *
 * Exact for integers, numerics, dates and times, relative 1e-9 for floats.
 * Reads under the active snapshot and repairs nothing.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "profile/fold.h"
#include "profile/rows.h"
#include "store.h"

#define CLIENTS_AT_ONCE 1000
#define FLOAT_TOLERANCE 1e-9

typedef struct Verify
{
	DifferenceSink *sink;
	Store	   *profiles;
	Store	   *products;
} Verify;

static char *
value_text(Datum value, bool isnull, Form_pg_attribute att)
{
	Oid			output;
	bool		varlena;

	if (isnull)
		return "NULL";
	getTypeOutputInfo(att->atttypid, &output, &varlena);
	return OidOutputFunctionCall(output, value);
}

static bool
floats_agree(double a, double b)
{
	return a == b || fabs(a - b) <= FLOAT_TOLERANCE * fmax(fabs(a), fabs(b));
}

/* Columns of a stored row that differ from what the ledger gives. */
static void
compare_row(Verify *verify, const char *table, const char *key, TupleDesc desc,
			HeapTuple row, const Datum *values, const bool *isnull)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		stored_null;
		Datum		stored = heap_getattr(row, i + 1, desc, &stored_null);
		char	   *expected,
				   *found;

		if (stored_null && isnull[i])
			continue;
		if (!stored_null && !isnull[i] &&
			(datum_image_eq(stored, values[i], att->attbyval, att->attlen) ||
			 (att->atttypid == FLOAT8OID && floats_agree(DatumGetFloat8(stored), DatumGetFloat8(values[i])))))
			continue;
		expected = value_text(values[i], isnull[i], att);
		found = value_text(stored, stored_null, att);
		if (strcmp(expected, found) != 0)
			difference_add(verify->sink, table, key, NameStr(att->attname), expected, found);
	}
}

static void
missing_row(Verify *verify, const char *table, const char *key)
{
	difference_add(verify->sink, table, key, "*", "a row", "no row");
}

static void
surplus_row(Verify *verify, const char *table, const char *key)
{
	difference_add(verify->sink, table, key, "*", "no row", "a row");
}

static void
compare_profile(Verify *verify, const Fold *fold, bool has_lines)
{
	Datum		client = Int64GetDatum(fold->profile.client_id);
	char	   *key = psprintf(INT64_FORMAT, fold->profile.client_id);
	StoreScan  *scan = store_scan(verify->profiles, "client_profile_pkey", 1, &client);
	HeapTuple	row = store_next(scan);
	Datum		values[CLIENT_PROFILE_COLUMNS];
	bool		isnull[CLIENT_PROFILE_COLUMNS];

	if (row && has_lines)
	{
		profile_to_row(&fold->profile, values, isnull);
		compare_row(verify, "client_profile", key, store_desc(verify->profiles),
					row, values, isnull);
	}
	else if (has_lines)
		missing_row(verify, "client_profile", key);
	else if (row)
		surplus_row(verify, "client_profile", key);
	store_scan_end(scan);
}

static char *
product_key(const Fold *fold, int64 product_id)
{
	return psprintf(INT64_FORMAT "," INT64_FORMAT, fold->profile.client_id, product_id);
}

/* Stored and folded products of a client, both in order of product. */
static void
compare_products(Verify *verify, const Fold *fold)
{
	int64		client_id = fold->profile.client_id;
	Datum		client = Int64GetDatum(client_id);
	TupleDesc	desc = store_desc(verify->products);
	StoreScan  *scan = store_scan(verify->products, "client_product_pkey", 1, &client);
	HeapTuple	row;
	int			next = 0;

	while ((row = store_next(scan)) != NULL)
	{
		Datum		values[CLIENT_PRODUCT_COLUMNS];
		bool		isnull[CLIENT_PRODUCT_COLUMNS];
		bool		no_value;
		int64		product_id = DatumGetInt64(heap_getattr(row, 2, desc, &no_value));

		for (; next < fold->n_products && fold->products[next]->product.product_id < product_id; next++)
			missing_row(verify, "client_product", product_key(fold, fold->products[next]->product.product_id));
		if (next < fold->n_products && fold->products[next]->product.product_id == product_id)
		{
			product_to_row(client_id, &fold->products[next++]->product, values, isnull);
			compare_row(verify, "client_product", product_key(fold, product_id), desc, row, values, isnull);
		}
		else
			surplus_row(verify, "client_product", product_key(fold, product_id));
	}
	for (; next < fold->n_products; next++)
		missing_row(verify, "client_product", product_key(fold, fold->products[next]->product.product_id));
	store_scan_end(scan);
}

static void
compare_client(Fold *fold, bool has_lines, void *arg)
{
	compare_profile(arg, fold, has_lines);
	compare_products(arg, fold);
}

/* All clients with ledger lines or stored profiles, in chunks. */
static void
compare_clients(Verify *verify, bool (*skip) (int64 client_id, void *arg), void *arg)
{
	Fold	   *fold = fold_create(NULL, NULL, NULL);
	int64		ids[CLIENTS_AT_ONCE];
	Portal		portal;

	portal = SPI_cursor_open_with_args(NULL,
									   "SELECT client_id FROM agentcrm.ledger "
									   "UNION SELECT client_id FROM agentcrm.client_profile "
									   "UNION SELECT client_id FROM agentcrm.client_product ORDER BY 1",
									   0, NULL, NULL, NULL, true, 0);
	for (;;)
	{
		int			n = 0;

		SPI_cursor_fetch(portal, true, CLIENTS_AT_ONCE);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			bool		isnull;
			int64		client_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i],
																SPI_tuptable->tupdesc, 1, &isnull));

			if (skip == NULL || !skip(client_id, arg))
				ids[n++] = client_id;
		}
		SPI_freetuptable(SPI_tuptable);
		fold_clients(fold, ids, n, &ledger_whole, compare_client, verify);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(fold->cxt);
}

/* See profile.h. */
void
profile_verify_clients(DifferenceSink *sink, const int64 *client_ids, int n_clients)
{
	Verify		verify = {.sink = sink};
	Fold	   *fold = fold_create(NULL, NULL, NULL);

	verify.profiles = store_open("client_profile", AccessShareLock);
	verify.products = store_open("client_product", AccessShareLock);
	fold_clients(fold, client_ids, n_clients, &ledger_whole, compare_client, &verify);
	store_close(verify.products);
	store_close(verify.profiles);
	MemoryContextDelete(fold->cxt);
}

/*
 * Each row of the query is a key, a column, and what is expected and found;
 * the query does its own counting, apart from the C code that keeps the tables.
 */
static void
compare_by_query(Verify *verify, const char *table, const char *query)
{
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not compare \"%s\" with the ledger", table);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *text[4];

		for (int column = 0; column < 4; column++)
		{
			text[column] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, column + 1);
			if (text[column] == NULL)
				text[column] = "NULL";
		}
		difference_add(verify->sink, table, text[0], text[1], text[2], text[3]);
	}
}

static const char *const product_profile_query =
"WITH sold AS ("
"	SELECT product_id, count(DISTINCT client_id)::int AS buyers,"
"		count(DISTINCT (client_id, source_id, order_id)) AS orders"
"	FROM agentcrm.ledger WHERE kind = 'sale' AND product_id IS NOT NULL GROUP BY 1)"
" SELECT product_id::text, c.name, c.expected::text, c.found::text"
" FROM sold FULL JOIN agentcrm.product_profile p USING (product_id),"
" LATERAL (VALUES ('buyers', sold.buyers::bigint, p.buyers::bigint), ('orders', sold.orders, p.orders))"
" AS c(name, expected, found)"
" WHERE c.expected IS DISTINCT FROM c.found ORDER BY product_id, c.name";

static const char *const product_month_query =
"WITH sold AS ("
"	SELECT product_id, date_trunc('month', ordered_on::timestamp)::date AS month,"
"		count(DISTINCT (client_id, source_id, order_id))::int AS orders"
"	FROM agentcrm.ledger WHERE kind = 'sale' AND product_id IS NOT NULL GROUP BY 1, 2)"
" SELECT product_id || ',' || month, 'orders', sold.orders::text, p.orders::text"
" FROM sold FULL JOIN agentcrm.product_month p USING (product_id, month)"
" WHERE sold.orders IS DISTINCT FROM p.orders ORDER BY product_id, month";

/* See profile.h. */
void
profile_verify(DifferenceSink *sink, bool (*skip) (int64 client_id, void *arg), void *arg)
{
	Verify		verify = {.sink = sink};

	SPI_connect();
	verify.profiles = store_open("client_profile", AccessShareLock);
	verify.products = store_open("client_product", AccessShareLock);
	compare_clients(&verify, skip, arg);
	store_close(verify.products);
	store_close(verify.profiles);
	if (skip == NULL)
	{
		compare_by_query(&verify, "product_profile", product_profile_query);
		compare_by_query(&verify, "product_month", product_month_query);
	}
	SPI_finish();
}
