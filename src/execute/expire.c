/*
 * expire.c
 *		Recommendations whose time passes.
 *
 * What was agreed and never reported done has failed; the rest has expired.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "columns.h"
#include "execute/life.h"

static const char expire_update[] =
"WITH due AS (SELECT t.client_id, t.recommendation_id FROM agentcrm.recommendation t "
"WHERE t.status OPERATOR(pg_catalog.=) ANY ('{open,shown,agreed,snoozed}'::text[]) "
"AND t.expires_at OPERATOR(pg_catalog.<=) $1 ORDER BY t.expires_at, t.recommendation_id LIMIT $3), "
"r AS (UPDATE agentcrm.recommendation t SET "
"status = CASE WHEN t.status OPERATOR(pg_catalog.=) 'agreed' THEN 'failed' ELSE 'expired' END, "
"status_reason = CASE WHEN t.status OPERATOR(pg_catalog.=) 'agreed' THEN 'agreed, but not reported done in time' "
"WHEN t.status OPERATOR(pg_catalog.=) 'open' THEN 'its time passed before it was shown' "
"ELSE 'its time passed' END, updated_at = $1 "
"FROM due WHERE t.client_id OPERATOR(pg_catalog.=) due.client_id "
"AND t.recommendation_id OPERATOR(pg_catalog.=) due.recommendation_id "
"AND t.status OPERATOR(pg_catalog.=) ANY ('{open,shown,agreed,snoozed}'::text[]) "
"RETURNING t.client_id, t.recommendation_id, t.status, t.due_on), "
"u AS (" RELEASE_MEANS("r", "$1", "$2") ") SELECT pg_catalog.count(*) FROM r";

static int64
one_int8(void)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Expire at most limit recommendations whose time has passed; returns how many. */
int
execute_expire(TimestampTz as_of, int limit)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TIMESTAMPTZOID, DATEOID, INT4OID};
	Datum		values[3];
	int			n;

	values[0] = TimestampTzGetDatum(as_of);
	values[1] = DateADTGetDatum(period_day(as_of));
	values[2] = Int32GetDatum(limit);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (plan_execute(&plan, expire_update, 3, types, values) != SPI_OK_SELECT)
		elog(ERROR, "could not expire recommendations");
	n = (int) one_int8();
	SPI_finish();
	return n;
}

/* The earliest expires_at of a standing recommendation, or DT_NOEND. */
TimestampTz
execute_next_due(void)
{
	static SPIPlanPtr plan = NULL;
	TimestampTz result = DT_NOEND;
	bool		isnull;
	Datum		v;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (plan_execute(&plan, "SELECT pg_catalog.min(expires_at) FROM agentcrm.recommendation "
					 "WHERE status OPERATOR(pg_catalog.=) ANY ('{open,shown,agreed,snoozed}'::text[])", 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.recommendation");
	v = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		result = DatumGetTimestampTz(v);
	SPI_finish();
	return result;
}
