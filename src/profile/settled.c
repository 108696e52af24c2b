/*
 * settled.c
 *		Alarms of a client that have been answered, as far as a moment knows.
 *
 * Agents have no memory: what was recommended because of an alarm and was done,
 * declined, seen until its time passed, or answered by an order is not to be raised again for
 * the same evidence.  An end is final, so that what was settled at a past as_of
 * can be told from the rows of today.  What is counted by orders begins anew with
 * the orders after that day.  Reads only.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"

#include "profile/assess.h"
#include "profile/population.h"

/* Columns of agentcrm.recommendation. */
enum
{
	R_PRODUCT_ID = 7, R_CATEGORY = 10, R_STATUS = 18, R_STATUS_REASON = 19, R_CODE = 20, R_AS_OF = 23, R_UPDATED_AT = 26
};

static const char *const alarm_codes[] = {"silence", "slow_down", "lost_category", "lost_item"};

/* See profile.h. */
const char *
profile_alarm_code(const char *code)
{
	for (int i = 0; i < (int) lengthof(alarm_codes); i++)
		if (strcmp(alarm_codes[i], code) == 0)
			return alarm_codes[i];
	return NULL;
}

/* Whether it ended by somebody's verdict, unanswered though shown, or by an order. */
static bool
is_settled(const char *status, const char *reason)
{
	if (strcmp(status, "expired") == 0)
		return reason == NULL || strcmp(reason, "its time passed before it was shown") != 0;
	if (strcmp(status, "withdrawn") == 0)
		return reason != NULL && strncmp(reason, "answered by order", strlen("answered by order")) == 0;
	return strcmp(status, "done") == 0 || strcmp(status, "declined") == 0 || strcmp(status, "failed") == 0;
}

/* Take an answered alarm into account. */
void
settled_add(ClientSnapshot *client, const SettledAlarm *alarm)
{
	client->settled = client->n_settled == 0 ? palloc(sizeof(SettledAlarm)) :
		repalloc(client->settled, (client->n_settled + 1) * sizeof(SettledAlarm));
	client->settled[client->n_settled++] = *alarm;
	if (strcmp(alarm->code, "silence") == 0 || strcmp(alarm->code, "slow_down") == 0)
		client->settled_on = Max(client->settled_on, alarm->on);
	if (strcmp(alarm->code, "silence") == 0)
		client->silence_settled_on = Max(client->silence_settled_on, alarm->on);
}

/* Orders up to a day, being counted: lines come order by order. */
typedef struct Count
{
	DateADT		until;
	int32		source_id;
	int64		order_id;
	int			n;
} Count;

static void
count_order(const LedgerLine *line, void *arg)
{
	Count	   *count = arg;

	if (line->is_return || line->ordered_on > count->until ||
		(count->n > 0 && line->source_id == count->source_id && line->order_id == count->order_id))
		return;
	count->source_id = line->source_id;
	count->order_id = line->order_id;
	count->n++;
}

/* Orders of a client up to a day: from the gaps kept where each day has one order, else from the ledger. */
static int
orders_until(const ClientSnapshot *client, DateADT day)
{
	const ClientProfile *profile = &client->profile;
	int			days = profile_order_days_after(profile, day);
	LedgerView	view = population_view(client->as_of);
	Count		count = {.until = day};

	if (days == 0 || (profile->n_orders == profile->n_gaps + 1 && days <= profile->n_recent))
		return profile->n_orders - days;
	ledger_scan_clients(&client->client_id, 1, &view, count_order, &count);
	return count.n;
}

static void
add_row(ClientSnapshot *client, const char *code, HeapTuple row, TupleDesc desc)
{
	SettledAlarm alarm = {.code = code};
	bool		isnull;
	Datum		product;

	alarm.on = period_day(DatumGetTimestampTz(heap_getattr(row, R_AS_OF, desc, &isnull)));
	alarm.category = TextDatumGetCString(heap_getattr(row, R_CATEGORY, desc, &isnull));
	product = heap_getattr(row, R_PRODUCT_ID, desc, &isnull);
	alarm.product_id = isnull ? 0 : DatumGetInt64(product);
	if (strcmp(code, "lost_category") == 0)
		alarm.n_orders = orders_until(client, alarm.on);
	settled_add(client, &alarm);
}

static void
read_settled(Store *recommendations, ClientSnapshot *client, int64 client_id)
{
	Datum		key = Int64GetDatum(client_id);
	TupleDesc	desc = store_desc(recommendations);
	StoreScan  *scan = store_scan(recommendations, "recommendation_pkey", 1, &key);
	HeapTuple	row;

	while ((row = store_next(scan)) != NULL)
	{
		bool		isnull;
		bool		no_reason;
		const char *code = profile_alarm_code(TextDatumGetCString(heap_getattr(row, R_CODE, desc, &isnull)));
		Datum		reason = heap_getattr(row, R_STATUS_REASON, desc, &no_reason);

		if (code && DatumGetTimestampTz(heap_getattr(row, R_UPDATED_AT, desc, &isnull)) <= client->as_of &&
			is_settled(TextDatumGetCString(heap_getattr(row, R_STATUS, desc, &isnull)),
					   no_reason ? NULL : TextDatumGetCString(reason)))
			add_row(client, code, row, desc);
	}
	store_scan_end(scan);
}

/* The settled alarms of a client and of those merged into it. */
void
settled_read(Store *recommendations, ClientSnapshot *client)
{
	int64	   *merged;
	int			n = ledger_merged_into(client->client_id, &merged);

	client->settled_on = client->silence_settled_on = DATEVAL_NOBEGIN;
	read_settled(recommendations, client, client->client_id);
	for (int i = 0; i < n; i++)
		read_settled(recommendations, client, merged[i]);
}
