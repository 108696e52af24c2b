/*
 * accept.c
 *		Accepted bids become recommendations: rows, minutes booked, NOTIFY.
 *
 * Delivers what was awarded in the order it was awarded in; ranks nothing.
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

enum
{
	REC_CLIENT_ID = 1, REC_ID, REC_REP_ID, REC_AGENT, REC_ACTION, REC_CHANNEL, REC_PRODUCT_ID, REC_BASKET,
	REC_QUANTITY, REC_CATEGORY, REC_FROM, REC_TO, REC_DUE_ON, REC_EXPIRES_AT, REC_VALUE, REC_COST, REC_MINUTES,
	REC_REASON_CODE, REC_REASON, REC_ROUND_ID
};

static const Oid rec_types[] = {
	INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, JSONBOID,
	NUMERICOID, TEXTOID, DATEOID, DATEOID, DATEOID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID, FLOAT8OID,
	TEXTOID, TEXTOID, INT8OID
};

static const char rec_insert[] =
"WITH r AS (INSERT INTO agentcrm.recommendation (client_id, recommendation_id, rep_id, agent, action, channel, "
"product_id, basket, quantity, demand_category, demand_from, demand_to, due_on, expires_at, value, cost, minutes, "
"status, reason_code, reason, effect, as_of, round_id, bid_id, updated_at) "
"SELECT b.client_id, b.id, b.rep_id, b.agent, b.action, b.channel, b.product_id, b.basket, b.quantity, b.category, "
"b.demand_from, b.demand_to, b.due_on, b.expires_at, b.value, pg_catalog.round(b.cost::numeric, 4), "
"pg_catalog.round(b.minutes::numeric, 2), 'open', b.reason_code, b.reason, 'assumed', $21, b.round_id, b.id, $21 "
"FROM " COLUMNS " AS b(client_id, id, rep_id, agent, action, channel, product_id, basket, quantity, category, demand_from, demand_to, "
"due_on, expires_at, value, cost, minutes, reason_code, reason, round_id) "
"RETURNING client_id, recommendation_id, rep_id, due_on, minutes) "
"INSERT INTO agentcrm.resource_use (client_id, recommendation_id, resource, owner_id, day, amount, at) "
"SELECT r.client_id, r.recommendation_id, 'rep_minutes', coalesce(r.rep_id, 0), r.due_on, r.minutes, $21 "
"FROM r WHERE r.minutes OPERATOR(pg_catalog.>) 0";

static void
set_award(Columns *c, const Award *award)
{
	const Bid  *bid = award->bid;

	columns_row(c);
	columns_set(c, REC_CLIENT_ID, Int64GetDatum(bid->client_id));
	columns_set(c, REC_ID, Int64GetDatum(award->bid_id));
	if (award->has_rep)
		columns_set(c, REC_REP_ID, Int64GetDatum(award->rep_id));
	columns_set_text(c, REC_AGENT, bid->agent);
	columns_set_text(c, REC_ACTION, bid->action);
	columns_set_text(c, REC_CHANNEL, bid->channel);
	if (bid->has_product)
		columns_set(c, REC_PRODUCT_ID, Int64GetDatum(bid->product_id));
	if (bid->basket != NULL)
		columns_set(c, REC_BASKET, JsonbPGetDatum(bid->basket));
	if (bid->quantity != NULL)
		columns_set(c, REC_QUANTITY, NumericGetDatum(bid->quantity));
	columns_set_text(c, REC_CATEGORY, bid->demand_category);
	columns_set(c, REC_FROM, DateADTGetDatum(bid->demand_from));
	columns_set(c, REC_TO, DateADTGetDatum(bid->demand_to));
	columns_set(c, REC_DUE_ON, DateADTGetDatum(award->due_on));
	columns_set(c, REC_EXPIRES_AT, TimestampTzGetDatum(bid->valid_until));
	columns_set(c, REC_VALUE, Float8GetDatum(award->net_value));
	columns_set(c, REC_COST, Float8GetDatum(bid->cost));
	columns_set(c, REC_MINUTES, Float8GetDatum(bid->minutes));
	columns_set_text(c, REC_REASON_CODE, bid->reason_code);
	columns_set_text(c, REC_REASON, bid->reason);
	columns_set(c, REC_ROUND_ID, Int64GetDatum(award->round_id));
}

static void
notify(const Award *award)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"recommendation_id\": " INT64_FORMAT ", \"client_id\": " INT64_FORMAT ", \"rep_id\": ",
					 award->bid_id, award->bid->client_id);
	if (award->has_rep)
		appendStringInfo(&payload, INT64_FORMAT, award->rep_id);
	else
		appendStringInfoString(&payload, "null");
	appendStringInfoString(&payload, ", \"action\": ");
	escape_json(&payload, award->bid->action);
	appendStringInfoChar(&payload, '}');
	Async_Notify(CHANNEL, payload.data);
	pfree(payload.data);
}

static void
notify_all(const Award *awards, int n)
{
	if (DatumGetFloat8(OidFunctionCall0(F_PG_NOTIFICATION_QUEUE_USAGE)) > NOTIFY_QUEUE_LIMIT)
	{
		ereport(DEBUG1,
				(errmsg("%d notifications skipped: the notification queue is more than half full", n)));
		return;
	}
	for (int i = 0; i < n; i++)
		notify(&awards[i]);
}

/* Write recommendations for the awards, book their minutes and notify listeners at commit. */
void
execute_accept(const Award *awards, int n, TimestampTz as_of)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(as_of)};
	MemoryContext cxt = CurrentMemoryContext;
	Columns    *c;

	if (n == 0)
		return;
	c = columns_new(lengthof(rec_types), rec_types, n);
	for (int i = 0; i < n; i++)
		set_award(c, &awards[i]);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (columns_execute(c, &plan, rec_insert, 1, types, values) != SPI_OK_INSERT)
		elog(ERROR, "could not write recommendations");
	SPI_finish();
	MemoryContextSwitchTo(cxt);
	notify_all(awards, n);
}
