/*
 * day.c
 *		The round over all clients, and when it is due.
 *
 * It makes the prices at which other rounds then award.  Clients are read in
 * chunks; assessments are looked at, not stored.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "columns.h"
#include "plan/award.h"

/* The prices of a day stand so long at least. */
#define REPRICE_AT_LEAST USECS_PER_HOUR

/* The last day's round, and what happened since. */
typedef struct Last
{
	bool		found;
	TimestampTz as_of;
	int64		clients;		/* it called for */
	int64		touched;		/* by rounds since */
} Last;

static Last
read_last(void)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext cxt = CurrentMemoryContext;
	Last		last = {0};
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (plan_execute(&plan, "SELECT d.as_of, d.clients::int8, coalesce((SELECT pg_catalog.sum(r.clients) FROM agentcrm.round r "
					 "WHERE r.round_id OPERATOR(pg_catalog.>) d.round_id), 0)::int8 FROM agentcrm.round d "
					 "WHERE d.kind OPERATOR(pg_catalog.=) 'daily' ORDER BY d.round_id DESC LIMIT 1", 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.round");
	last.found = SPI_processed > 0;
	if (last.found)
	{
		last.as_of = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		last.clients = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
		last.touched = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull));
	}
	SPI_finish();
	MemoryContextSwitchTo(cxt);
	return last;
}

/* The first moment after at that is the hour of planning. */
static TimestampTz
next_hour(TimestampTz at)
{
	TimestampTz of_day = at - at % USECS_PER_DAY + agentcrm_plan_hour * USECS_PER_HOUR;

	if (at % USECS_PER_DAY < 0)
		of_day -= USECS_PER_DAY;
	return of_day > at ? of_day : of_day + USECS_PER_DAY;
}

/* See plan.h. */
TimestampTz
plan_next_day(TimestampTz as_of)
{
	Last		last;
	TimestampTz next;

	if (agentcrm_plan_hour < 0)
		return DT_NOEND;
	last = read_last();
	if (!last.found)
		return as_of;
	/* a clock that was set back does not stop planning */
	next = last.as_of > as_of ? as_of : next_hour(last.as_of);
	if (agentcrm_reprice_share < 1 && last.touched > agentcrm_reprice_share * last.clients)
		next = Min(next, last.as_of + REPRICE_AT_LEAST);
	return next;
}

/* See plan.h. */
bool
plan_day_due(TimestampTz as_of)
{
	return plan_next_day(as_of) <= as_of;
}

/* The next clients after one, by id; needs SPI. */
int
day_clients(int64 after, int64 *ids, int max)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2] = {Int64GetDatum(after), Int64GetDatum(max)};
	MemoryContext cxt = CurrentMemoryContext;
	int			n;

	if (plan_execute(&plan, "SELECT s.client_id FROM agentcrm.client_state s WHERE s.client_id OPERATOR(pg_catalog.>) $1 "
					 "ORDER BY s.client_id LIMIT $2", 2, types, values) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.client_state");
	n = (int) SPI_processed;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		ids[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(cxt);
	return n;
}
