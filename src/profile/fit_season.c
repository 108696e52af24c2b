/*
 * fit_season.c
 *		The firm's own calendar from the order days of the ledger.
 *
 * Reads at most a sample of the ledger's blocks and writes nothing: what it finds
 * is for fit.c.  The first line of an order stands for the order.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"

#include "profile/population.h"
#include "store.h"

#define MOST_DAYS 1461			/* older days say nothing of the calendar of today */
#define MOST_BLOCKS 20000.0		/* of the ledger: 160 MB */
#define DIGITS "%.4f"

/* Orders of each day before today; returns the days from the first with an order, the last MOST_DAYS of them. */
static int
read_days(double *orders, DateADT today)
{
	Store	   *ledger = store_open("ledger", AccessShareLock);
	double		blocks = RelationGetNumberOfBlocks(store_relation(ledger));
	Oid			types[3] = {DATEOID, DATEOID, FLOAT4OID};
	Datum		values[3] = {DateADTGetDatum(today - MOST_DAYS), DateADTGetDatum(today),
	Float4GetDatum((float4) Min(100.0, 100.0 * MOST_BLOCKS / Max(blocks, 1.0)))};
	int			first = MOST_DAYS;

	store_close(ledger);
	memset(orders, 0, MOST_DAYS * sizeof(double));
	if (SPI_execute_with_args("SELECT ordered_on, pg_catalog.count(*) FROM agentcrm.ledger TABLESAMPLE SYSTEM ($3) REPEATABLE (1) "
							  "WHERE line_no OPERATOR(pg_catalog.=) 1 AND kind OPERATOR(pg_catalog.=) 'sale' "
							  "AND ordered_on OPERATOR(pg_catalog.>=) $1 AND ordered_on OPERATOR(pg_catalog.<) $2 GROUP BY 1",
							  3, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not count the orders of each day");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int			day = DatumGetDateADT(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)) -
			(today - MOST_DAYS);

		orders[day] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
		first = Min(first, day);
	}
	SPI_freetuptable(SPI_tuptable);
	memmove(orders, orders + first, (MOST_DAYS - first) * sizeof(double));
	return MOST_DAYS - first;
}

/* The calendar up to today, as the parameters of a generation; *n becomes the orders it rests on.  Needs SPI. */
char *
fit_season(DateADT today, Season *season, int64 *n)
{
	double	   *orders = palloc(MOST_DAYS * sizeof(double));
	double	   *room = palloc(MOST_DAYS * sizeof(double));
	int			days = read_days(orders, today);
	StringInfoData json;

	*n = 0;
	for (int i = 0; i < days; i++)
		*n += (int64) orders[i];
	initStringInfo(&json);
	if (season_fit(season, orders, today - days, days, room))
	{
		double		weight[SEASON_DAYS];

		/* what is stored is what is used, to the digit */
		appendStringInfo(&json, "{\"fitted\": 1, \"days\": %d, \"weight\": [", days);
		for (int i = 0; i < SEASON_DAYS; i++)
		{
			char	   *digits = psprintf(DIGITS, season_weight(season, i));

			appendStringInfo(&json, "%s%s", i == 0 ? "" : ", ", digits);
			weight[i] = strtod(digits, NULL);
			pfree(digits);
		}
		appendStringInfoString(&json, "]}");
		season_set(season, weight);
	}
	else
		appendStringInfo(&json, "{\"fitted\": 0, \"days\": %d}", days);
	pfree(orders);
	pfree(room);
	return json.data;
}
