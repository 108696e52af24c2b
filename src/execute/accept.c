/*
 * accept.c
 *		Accepted bids become recommendations: rows and NOTIFY.
 *
 * Delivers what was awarded; ranks nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"

#include "columns.h"
#include "execute/execute.h"

#define CHANNEL "agentcrm_recommendation"

/* Above this share of a full queue a notification could fail somebody else's commit. */
#define NOTIFY_QUEUE_LIMIT 0.5

static const char rec_insert[] =
"INSERT INTO agentcrm.recommendation (client_id, recommendation_id, rep_id, agent, action, channel, "
"product_id, basket, quantity, demand_category, demand_from, demand_to, due_on, expires_at, value, cost, minutes, "
"obligation, status, reason_code, reason, effect, as_of, round_id, bid_id, updated_at) "
"SELECT b.client_id, b.bid_id, b.rep_id, b.agent, b.action, b.channel, b.product_id, b.basket, b.quantity, b.demand_category, "
"b.demand_from, b.demand_to, b.due_on, b.valid_until, b.net_value, b.cost, "
"pg_catalog.round(coalesce((b.uses OPERATOR(pg_catalog.->>) 'rep_minutes')::numeric, 0), 2), "
"b.obligation, 'open', b.reason_code, b.reason, CASE WHEN b.effect_n OPERATOR(pg_catalog.>) 0 THEN pg_catalog.concat('measured, n = ', b.effect_n) ELSE 'assumed' END, b.as_of, b.round_id, b.bid_id, b.as_of "
"FROM " COLUMNS " AS a(client_id, id) JOIN agentcrm.bid b ON b.client_id OPERATOR(pg_catalog.=) a.client_id "
"AND b.as_of OPERATOR(pg_catalog.=) $3 AND b.bid_id OPERATOR(pg_catalog.=) a.id "
"RETURNING client_id, recommendation_id, rep_id, action";

static void
notify(HeapTuple row, TupleDesc desc)
{
	char	   *rep = SPI_getvalue(row, desc, 3);
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"recommendation_id\": %s, \"client_id\": %s, \"rep_id\": %s, \"action\": ",
					 SPI_getvalue(row, desc, 2), SPI_getvalue(row, desc, 1), rep ? rep : "null");
	escape_json(&payload, SPI_getvalue(row, desc, 4));
	appendStringInfoChar(&payload, '}');
	Async_Notify(CHANNEL, payload.data);
	pfree(payload.data);
}

static void
notify_all(const SPITupleTable *table)
{
	if (DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE)) > NOTIFY_QUEUE_LIMIT)
	{
		ereport(DEBUG1,
				(errmsg("%llu notifications skipped: the notification queue is more than half full",
						(unsigned long long) table->numvals)));
		return;
	}
	for (uint64 i = 0; i < table->numvals; i++)
		notify(table->vals[i], table->tupdesc);
}

/* Write recommendations for the awards and notify listeners at commit. */
void
execute_accept(const Award *awards, int n, TimestampTz as_of)
{
	static SPIPlanPtr plan = NULL;
	static const Oid types[2] = {INT8OID, INT8OID};
	Oid			as_of_type[1] = {TIMESTAMPTZOID};
	Datum		as_of_value[1] = {TimestampTzGetDatum(as_of)};
	MemoryContext cxt = CurrentMemoryContext;
	Columns    *c;

	if (n == 0)
		return;
	c = columns_new(lengthof(types), types, n);
	for (int i = 0; i < n; i++)
	{
		columns_row(c);
		columns_set(c, 1, Int64GetDatum(awards[i].client_id));
		columns_set(c, 2, Int64GetDatum(awards[i].bid_id));
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (columns_execute(c, &plan, rec_insert, 1, as_of_type, as_of_value) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write recommendations");
	if (SPI_processed != (uint64) n)
		elog(ERROR, "%llu of %d awards became recommendations", (unsigned long long) SPI_processed, n);
	notify_all(SPI_tuptable);
	SPI_finish();
	MemoryContextSwitchTo(cxt);
}
