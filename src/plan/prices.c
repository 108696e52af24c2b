/*
 * prices.c
 *		Prices between rounds: what the last daily round made, and rows of what a
 *		round paid and used.
 *
 * A price is the worth of one more minute or rouble; it is made in auction.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "columns.h"
#include "plan/award.h"

typedef struct Price
{
	const char *resource;
	int64		owner_id;
	DateADT		day;
	double		price;
} Price;

static int
compare_prices(const void *a, const void *b)
{
	const Price *x = a;
	const Price *y = b;
	int			order = strcmp(x->resource, y->resource);

	if (order != 0)
		return order;
	if (x->owner_id != y->owner_id)
		return x->owner_id < y->owner_id ? -1 : 1;
	return x->day < y->day ? -1 : x->day > y->day;
}

static Price *
read_prices(int *n)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext cxt = CurrentMemoryContext;
	SPITupleTable *table;
	Price	   *prices;

	if (plan_execute(&plan, "SELECT p.resource, p.owner_id, p.day, p.price FROM agentcrm.round_price p "
					 "WHERE p.round_id OPERATOR(pg_catalog.=) (SELECT pg_catalog.max(r.round_id) FROM agentcrm.round r "
					 "WHERE r.kind OPERATOR(pg_catalog.=) 'daily')", 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.round_price");
	table = SPI_tuptable;
	MemoryContextSwitchTo(cxt);
	*n = (int) table->numvals;
	prices = palloc(sizeof(Price) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		prices[i].resource = SPI_getvalue(table->vals[i], table->tupdesc, 1);
		prices[i].owner_id = DatumGetInt64(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull));
		prices[i].day = DatumGetDateADT(SPI_getbinval(table->vals[i], table->tupdesc, 3, &isnull));
		prices[i].price = DatumGetFloat8(SPI_getbinval(table->vals[i], table->tupdesc, 4, &isnull));
	}
	SPI_freetuptable(table);
	qsort(prices, *n, sizeof(Price), compare_prices);
	return prices;
}

/* That of the day, else of the last day before it, else of the first one after it: days to come are priced as the nearest known. */
static double
price_of(const Price *prices, int n, const Price *key)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_prices(&prices[middle], key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (int i = low - 1; i <= low; i++)
		if (i >= 0 && i < n && prices[i].owner_id == key->owner_id && strcmp(prices[i].resource, key->resource) == 0)
			return prices[i].price;
	return 0;
}

/* The standing prices of the round's means, in the current memory context.  Needs SPI. */
double *
prices_standing(const Round *round)
{
	int			n_means = means_count(round->means);
	double	   *result = palloc0(sizeof(double) * (n_means + 1));
	int			n;
	Price	   *prices = read_prices(&n);

	for (int r = 0; r < n_means; r++)
	{
		Price		key;

		means_label(round->means, r, &key.resource, &key.owner_id, &key.day);
		result[r] = price_of(prices, n, &key);
	}
	return result;
}

/* Prices and uses of the round as rows.  Needs SPI. */
void
prices_record(const Round *round)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {TEXTOID, INT8OID, DATEOID, FLOAT8OID, FLOAT8OID, FLOAT8OID};
	Oid			round_type[1] = {INT8OID};
	Datum		round_id[1] = {Int64GetDatum(round->call.round_id)};
	int			n = means_count(round->means);
	Columns    *c;

	if (n == 0)
		return;
	c = columns_new(lengthof(types), types, n);
	for (int r = 0; r < n; r++)
	{
		const char *resource;
		int64		owner_id;
		DateADT		day;

		means_label(round->means, r, &resource, &owner_id, &day);
		columns_row(c);
		columns_set_text(c, 1, resource);
		columns_set(c, 2, Int64GetDatum(owner_id));
		columns_set(c, 3, DateADTGetDatum(day));
		columns_set(c, 4, Float8GetDatum(round->prices[r]));
		columns_set(c, 5, Float8GetDatum(means_left(round->means, r)));
		columns_set(c, 6, Float8GetDatum(round->used[r]));
	}
	if (columns_execute(c, &plan, "INSERT INTO agentcrm.round_price (round_id, resource, owner_id, day, price, available, used) "
						"SELECT $7, p.resource, p.owner_id, p.day, p.price, p.available, p.used "
						"FROM " COLUMNS " AS p(resource, owner_id, day, price, available, used)", 1, round_type, round_id) != SPI_OK_INSERT)
		elog(ERROR, "could not write prices");
}

/* What the awards use of the means, as rows.  Needs SPI. */
void
uses_record(const Round *round)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[] = {INT8OID, INT8OID, TEXTOID, INT8OID, DATEOID, FLOAT8OID};
	Oid			at_type[1] = {TIMESTAMPTZOID};
	Datum		at[1] = {TimestampTzGetDatum(round->call.as_of)};
	Columns    *c = columns_new(lengthof(types), types, Max(round->n_uses, 1));
	int			n = 0;

	for (int i = 0; i < round->n; i++)
	{
		const Candidate *candidate = &round->candidates[i];
		const Way  *way = &round->ways[candidate->way];

		if (!candidate->accepted || candidate->incumbent)
			continue;
		for (int u = 0; u < way->n_uses; u++)
		{
			const MarketUse *use = &round->uses[way->first_use + u];
			const char *resource;
			int64		owner_id;
			DateADT		day;

			means_label(round->means, use->resource, &resource, &owner_id, &day);
			columns_row(c);
			n++;
			columns_set(c, 1, Int64GetDatum(candidate->client_id));
			columns_set(c, 2, Int64GetDatum(candidate->bid_id));
			columns_set_text(c, 3, resource);
			columns_set(c, 4, Int64GetDatum(owner_id));
			columns_set(c, 5, DateADTGetDatum(day));
			columns_set(c, 6, Float8GetDatum(use->amount));
		}
	}
	if (n > 0 && columns_execute(c, &plan, "INSERT INTO agentcrm.resource_use (client_id, recommendation_id, resource, owner_id, day, amount, at) "
								 "SELECT u.client_id, u.id, u.resource, u.owner_id, u.day, pg_catalog.round(u.amount::numeric, 4), $7 "
								 "FROM " COLUMNS " AS u(client_id, id, resource, owner_id, day, amount)", 1, at_type, at) != SPI_OK_INSERT)
		elog(ERROR, "could not write the use of means");
}
