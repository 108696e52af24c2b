/*
 * drop_agent.c
 *		An agent leaves: what of it nobody has seen yet goes with it.
 *
 * Bids, outcomes and what was communicated stay as they are.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "agentcrm.h"
#include "execute/life.h"

PG_FUNCTION_INFO_V1(agentcrm_drop_agent);

/* agentcrm.drop_agent(name) */
Datum
agentcrm_drop_agent(PG_FUNCTION_ARGS)
{
	TimestampTz now = engine_now();
	Oid			types[3] = {TEXTOID, TIMESTAMPTZOID, DATEOID};
	Datum		values[3];

	agentcrm_check_argument(fcinfo, 0, "name");
	values[0] = PG_GETARG_DATUM(0);
	values[1] = TimestampTzGetDatum(now);
	values[2] = DateADTGetDatum(period_day(now));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	SPI_execute_with_args("DELETE FROM agentcrm.agent WHERE agent OPERATOR(pg_catalog.=) $1", 1, types, values, NULL, false, 0);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("agent \"%s\" does not exist", TextDatumGetCString(values[0])),
				 errhint("SELECT agent, mode FROM agentcrm.agent shows those there are.")));
	SPI_execute_with_args("WITH r AS (UPDATE agentcrm.recommendation t SET status = 'withdrawn', status_reason = 'agent dropped', updated_at = $2 "
						  "WHERE t.agent OPERATOR(pg_catalog.=) $1 AND t.status OPERATOR(pg_catalog.=) 'open' "
						  "RETURNING t.client_id, t.recommendation_id, t.status, t.due_on) "
						  RELEASE_MEANS("r", "$2", "$3"), 3, types, values, NULL, false, 0);
	SPI_finish();
	PG_RETURN_VOID();
}
