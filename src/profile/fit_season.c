/*
 * fit_season.c
 *		The firm's own calendar from the order days of the ledger.
 *
 * Reads at most a sample of the ledger's blocks and writes nothing: what it finds
 * is for fit.c.  The first line of an order stands for the order.  For a past
 * as_of clients are taken from the ledger up to it, in a replay all of it: what
 * came later decides nothing.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"

#include "profile/fit.h"
#include "profile/population.h"
#include "store.h"

#define MOST_DAYS 1461			/* older days say nothing of the calendar of today */
#define MOST_BLOCKS 20000.0		/* of the ledger: 160 MB */
#define DIGITS "%.4f"

/* Adds the second column of a query about clients to days of the last MOST_DAYS before as_of; returns the first day met. */
static int
add_days(const char *query, const char *clients, TimestampTz as_of, double sample, double *days)
{
	DateADT		today = period_day(as_of);
	Oid			types[4] = {DATEOID, DATEOID, FLOAT4OID, TIMESTAMPTZOID};
	Datum		values[4] = {DateADTGetDatum(today - MOST_DAYS), DateADTGetDatum(today), Float4GetDatum((float4) sample),
	TimestampTzGetDatum(as_of)};
	int			first = MOST_DAYS;

	if (SPI_execute_with_args(psprintf(query, clients), 4, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not count the orders of each day");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int			day = DatumGetDateADT(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)) -
			(today - MOST_DAYS);

		days[day] += DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
		first = Min(first, day);
	}
	SPI_freetuptable(SPI_tuptable);
	return first;
}

/* Orders, without the clients' first ones, from a sample of the ledger. */
static const char orders_query[] =
"SELECT l.ordered_on, pg_catalog.count(*)::float8 FROM agentcrm.ledger l TABLESAMPLE SYSTEM ($3) REPEATABLE (1) "
"JOIN %s p USING (client_id) "
"WHERE l.line_no OPERATOR(pg_catalog.=) 1 AND l.kind OPERATOR(pg_catalog.=) 'sale' AND l.ordered_on OPERATOR(pg_catalog.>) p.first_order_on "
"AND l.ordered_on OPERATOR(pg_catalog.>=) $1 AND l.ordered_on OPERATOR(pg_catalog.<) $2 "
"AND l.ordered_at OPERATOR(pg_catalog.<=) $4 GROUP BY 1";

/* Clients as profiles hold them now, and as they were at as_of. */
static const char now_clients[] = "agentcrm.client_profile";
static const char past_clients[] =
"(SELECT client_id, pg_catalog.min(ordered_on) AS first_order_on, pg_catalog.max(ordered_on) AS last_order_on, "
"pg_catalog.count(DISTINCT ordered_on) OPERATOR(pg_catalog.-) 1 AS n_gaps, "
"pg_catalog.max(ordered_on) OPERATOR(pg_catalog.-) pg_catalog.min(ordered_on) AS gap_sum FROM agentcrm.ledger "
"WHERE kind OPERATOR(pg_catalog.=) 'sale' AND ordered_at OPERATOR(pg_catalog.<=) $4 GROUP BY client_id)";

/* By how much the sum of the mean rates of clients between their first and last order changes on a day; changes before count on the first. */
static const char rates_query[] =
"SELECT greatest(c.day, $1), pg_catalog.sum(c.rate) FROM %s p, "
"LATERAL (VALUES (p.first_order_on OPERATOR(pg_catalog.+) 1, p.n_gaps::float8 OPERATOR(pg_catalog./) p.gap_sum), "
"(p.last_order_on OPERATOR(pg_catalog.+) 1, OPERATOR(pg_catalog.-) (p.n_gaps::float8 OPERATOR(pg_catalog./) p.gap_sum))) AS c(day, rate) "
"WHERE p.n_gaps OPERATOR(pg_catalog.>) 0 AND c.day OPERATOR(pg_catalog.<) $2 AND $3 OPERATOR(pg_catalog.>) 0 GROUP BY 1";

static double
sample_percent(void)
{
	Store	   *ledger = store_open("ledger", AccessShareLock);
	double		blocks = RelationGetNumberOfBlocks(store_relation(ledger));

	store_close(ledger);
	return population_gathering() ? 100.0 : Min(100.0, 100.0 * MOST_BLOCKS / Max(blocks, 1.0));
}

/* Orders and expected orders of each day before today, the last MOST_DAYS at most; returns the days from the first with either. */
static int
read_days(double *orders, double *expected, TimestampTz as_of, bool past)
{
	const char *clients = past ? past_clients : now_clients;
	int			first;

	first = add_days(orders_query, clients, as_of, sample_percent(), orders);
	first = Min(first, add_days(rates_query, clients, as_of, 1, expected));
	for (int i = 1; i < MOST_DAYS; i++)
		expected[i] += expected[i - 1];
	memmove(orders, orders + first, (MOST_DAYS - first) * sizeof(double));
	memmove(expected, expected + first, (MOST_DAYS - first) * sizeof(double));
	return MOST_DAYS - first;
}

/* The calendar up to as_of, in the past or now, as the parameters of a generation; *n becomes the orders it rests on.  Needs SPI. */
char *
fit_season(TimestampTz as_of, bool past, Season *season, int64 *n)
{
	DateADT		today = period_day(as_of);
	double	   *orders = palloc0(MOST_DAYS * sizeof(double));
	double	   *expected = palloc0(MOST_DAYS * sizeof(double));
	int			days = read_days(orders, expected, as_of, past);
	StringInfoData json;

	*n = 0;
	for (int i = 0; i < days; i++)
		*n += (int64) orders[i];
	initStringInfo(&json);
	if (season_fit(season, orders, expected, today - days, days))
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
	pfree(expected);
	return json.data;
}
