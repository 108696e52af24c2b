/*
 * state.c
 *		Assessments as rows: client_state, and the history of stages.
 *
 * Writes those two tables only; what is written was judged in assess.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "profile/profile.h"
#include "store.h"

/* Columns of agentcrm.client_state, from 0. */
enum
{
	S_CLIENT_ID, S_AS_OF, S_STAGE, S_STAGE_SINCE, S_RECENCY_CLASS, S_FREQUENCY_CLASS, S_MONETARY_CLASS,
	S_ABC, S_XYZ, S_SILENCE, S_ALARM_P, S_DUE_ON, S_ALARM_ON, S_EXPECTED_ORDERS, S_EXPECTED_VALUE,
	S_P_ALIVE, S_P_ORDER, S_DUE_EARLY, S_DUE_LATE, S_LIFETIME_VALUE, S_VALUE_CLASS,
	S_MODEL_ID, S_REPURCHASE_MODEL_ID, S_NEXT_LOOK_AT, S_ANSWERS, S_COLUMNS
};

StaticAssertDecl(S_NEXT_LOOK_AT + 1 == STATE_NEXT_LOOK_AT, "client_state.next_look_at");

static Datum
letter_datum(char letter)
{
	return PointerGetDatum(cstring_to_text_with_len(&letter, 1));
}

static void
state_to_row(const ClientSnapshot *client, TimestampTz stage_since, int64 model_id, Datum *values, bool *isnull)
{
	const Assessment *state = &client->state;
	bool		no_order = client->profile.n_orders == 0;

	memset(isnull, false, S_COLUMNS);
	values[S_CLIENT_ID] = Int64GetDatum(client->client_id);
	values[S_AS_OF] = TimestampTzGetDatum(client->as_of);
	values[S_STAGE] = CStringGetTextDatum(profile_stage_name(state->stage));
	values[S_STAGE_SINCE] = TimestampTzGetDatum(stage_since);
	values[S_RECENCY_CLASS] = Int16GetDatum(state->recency_class);
	values[S_FREQUENCY_CLASS] = Int16GetDatum(state->frequency_class);
	values[S_MONETARY_CLASS] = Int16GetDatum(state->monetary_class);
	isnull[S_RECENCY_CLASS] = state->recency_class == 0;
	isnull[S_FREQUENCY_CLASS] = state->frequency_class == 0;
	isnull[S_MONETARY_CLASS] = state->monetary_class == 0;
	values[S_ABC] = letter_datum(state->abc);
	isnull[S_ABC] = state->abc == 0;
	values[S_XYZ] = letter_datum(state->xyz);
	isnull[S_XYZ] = state->xyz == 0;
	values[S_SILENCE] = Float8GetDatum(state->silence);
	values[S_ALARM_P] = Float8GetDatum(state->alarm_p);
	values[S_DUE_ON] = DateADTGetDatum(state->due_on);
	values[S_ALARM_ON] = DateADTGetDatum(state->alarm_on);
	values[S_EXPECTED_ORDERS] = Float8GetDatum(state->expected_orders);
	values[S_EXPECTED_VALUE] = Float8GetDatum(state->expected_value);
	values[S_P_ALIVE] = Float8GetDatum(state->p_alive);
	values[S_P_ORDER] = Float8GetDatum(state->p_order);
	values[S_DUE_EARLY] = DateADTGetDatum(state->due_early);
	values[S_DUE_LATE] = DateADTGetDatum(state->due_late);
	values[S_LIFETIME_VALUE] = Float8GetDatum(state->lifetime_value);
	values[S_VALUE_CLASS] = letter_datum(state->value_class);
	isnull[S_SILENCE] = isnull[S_ALARM_P] = isnull[S_ALARM_ON] = no_order;
	isnull[S_EXPECTED_ORDERS] = isnull[S_EXPECTED_VALUE] = isnull[S_LIFETIME_VALUE] = no_order;
	isnull[S_P_ALIVE] = isnull[S_P_ORDER] = no_order;
	isnull[S_DUE_EARLY] = DATE_NOT_FINITE(state->due_early);
	isnull[S_DUE_ON] = DATE_NOT_FINITE(state->due_on);
	isnull[S_DUE_LATE] = DATE_NOT_FINITE(state->due_late);
	isnull[S_VALUE_CLASS] = state->value_class == 0;
	values[S_MODEL_ID] = Int64GetDatum(model_id);
	isnull[S_MODEL_ID] = model_id == 0;
	isnull[S_REPURCHASE_MODEL_ID] = client->repurchase == NULL || no_order;
	values[S_REPURCHASE_MODEL_ID] = Int64GetDatum(client->repurchase ? client->repurchase->model_id : 0);
	values[S_NEXT_LOOK_AT] = TimestampTzGetDatum(state->next_look_at);
	values[S_ANSWERS] = PointerGetDatum(state->answers);
	isnull[S_ANSWERS] = state->answers == NULL;
}

static void
insert_change(Store *changes, const ClientSnapshot *client, const char *from, const char *cause)
{
	Datum		values[5] = {
		Int64GetDatum(client->client_id), TimestampTzGetDatum(client->as_of),
		from ? CStringGetTextDatum(from) : (Datum) 0,
		CStringGetTextDatum(profile_stage_name(client->state.stage)), CStringGetTextDatum(cause)
	};
	bool		isnull[5] = {false, false, from == NULL, false, false};

	store_insert(changes, values, isnull);
}

/* Take back the change recorded at this very moment, if any; *from becomes the stage before it. */
static bool
retract_change(Store *changes, const ClientSnapshot *client, const char **from)
{
	Datum		key[2] = {Int64GetDatum(client->client_id), TimestampTzGetDatum(client->as_of)};
	TupleDesc	desc = store_desc(changes);
	StoreScan  *scan = store_scan(changes, "stage_change_pkey", 2, key);
	HeapTuple	row = store_next(scan);

	if (row)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, 3, desc, &isnull);

		*from = isnull ? NULL : TextDatumGetCString(value);
		store_delete(changes, &row->t_self);
	}
	store_scan_end(scan);
	return row != NULL;
}

/*
 * Record that the stage changed; several changes at one moment become one, or
 * none when the last undoes the first.
 */
static void
record_change(Store *changes, const ClientSnapshot *client, const char *from, TimestampTz since, const char *cause)
{
	/* a clock that was set back may meet a change's moment again */
	if (since >= client->as_of && retract_change(changes, client, &from) &&
		from && strcmp(from, profile_stage_name(client->state.stage)) == 0)
		return;
	insert_change(changes, client, from, cause);
}

/* The stage that a client without a state had when it was last assessed, since it was first seen; NULL: never. */
static const char *
last_stage(Store *changes, const ClientSnapshot *client, TimestampTz *since)
{
	Datum		key = Int64GetDatum(client->client_id);
	TupleDesc	desc = store_desc(changes);
	StoreScan  *scan = store_scan(changes, "stage_change_pkey", 1, &key);
	HeapTuple	row = store_prev(scan);
	const char *stage = NULL;
	bool		isnull;

	*since = DT_NOBEGIN;
	if (row && DatumGetTimestampTz(heap_getattr(row, 2, desc, &isnull)) >= client->first_seen)
	{
		*since = DatumGetTimestampTz(heap_getattr(row, 2, desc, &isnull));
		stage = TextDatumGetCString(heap_getattr(row, 4, desc, &isnull));
	}
	store_scan_end(scan);
	return stage;
}

static void
store_client(Store *states, Store *changes, const ClientSnapshot *client, int64 model_id, const char *cause)
{
	Datum		key = Int64GetDatum(client->client_id);
	TupleDesc	desc = store_desc(states);
	StoreScan  *scan = store_scan(states, "client_state_pkey", 1, &key);
	HeapTuple	row = store_prev(scan);
	TimestampTz since = client->as_of;
	Datum		values[S_COLUMNS];
	bool		isnull[S_COLUMNS];

	if (row)
	{
		bool		no_value;
		char	   *stage = TextDatumGetCString(heap_getattr(row, S_STAGE + 1, desc, &no_value));
		TimestampTz stored_since = DatumGetTimestampTz(heap_getattr(row, S_STAGE_SINCE + 1, desc, &no_value));

		if (strcmp(stage, profile_stage_name(client->state.stage)) == 0)
			since = stored_since;
		else
			record_change(changes, client, stage, stored_since, cause);
		state_to_row(client, since, model_id, values, isnull);
		store_update(states, &row->t_self, values, isnull);
	}
	else
	{
		const char *stage = last_stage(changes, client, &since);

		if (stage == NULL || strcmp(stage, profile_stage_name(client->state.stage)) != 0)
		{
			record_change(changes, client, stage, since, cause);
			since = client->as_of;
		}
		state_to_row(client, since, model_id, values, isnull);
		store_insert(states, values, isnull);
	}
	store_scan_end(scan);
}

/* See profile.h. */
void
profile_store_state(const ClientSnapshot *clients, int n_clients, const char *cause)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "agentcrm state", ALLOCSET_DEFAULT_SIZES);
	MemoryContext row_cxt = AllocSetContextCreate(work, "agentcrm state row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	int64		model_id = profile_population()->gap_model_id;
	Store	   *states = store_open("client_state", RowExclusiveLock);
	Store	   *changes = store_open("stage_change", RowExclusiveLock);

	MemoryContextSwitchTo(row_cxt);
	for (int i = 0; i < n_clients; i++)
	{
		store_client(states, changes, &clients[i], model_id, cause);
		MemoryContextReset(row_cxt);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(work);
	store_close(changes);
	store_close(states);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/* See profile.h. */
void
profile_end_state(const int64 *client_ids, int n_clients)
{
	Store	   *states;

	if (n_clients == 0)
		return;
	states = store_open("client_state", RowExclusiveLock);
	for (int i = 0; i < n_clients; i++)
	{
		Datum		key = Int64GetDatum(client_ids[i]);
		StoreScan  *scan = store_scan(states, "client_state_pkey", 1, &key);
		HeapTuple	row = store_prev(scan);

		if (row)
			store_delete(states, &row->t_self);
		store_scan_end(scan);
	}
	store_close(states);
	store_sync();
}

/* See profile.h. */
void
profile_rename(int64 old_id, int64 new_id)
{
	static const char *const sql[] = {
		/* the new id may have been judged before it was known to be a new name only: state and history of the old one hold, both */
		"DELETE FROM agentcrm.client_state WHERE client_id = $2 AND EXISTS (SELECT FROM agentcrm.client_state WHERE client_id = $1"
		" UNION ALL SELECT FROM agentcrm.stage_change WHERE client_id = $1)",
		"UPDATE agentcrm.client_state SET client_id = $2 WHERE client_id = $1"
		" AND NOT EXISTS (SELECT FROM agentcrm.client WHERE client_id = $2 AND survivor_client_id IS NOT NULL)",
		"DELETE FROM agentcrm.client_state WHERE client_id = $1",
		"DELETE FROM agentcrm.stage_change n WHERE n.client_id = $2"
		" AND EXISTS (SELECT FROM agentcrm.stage_change o WHERE o.client_id = $1 AND o.at <= n.at)",
		"UPDATE agentcrm.stage_change SET client_id = $2 WHERE client_id = $1",
		/* a key that was somebody's before has a history already, which goes on */
		"UPDATE agentcrm.stage_change s SET from_stage = b.before FROM (SELECT at, lag(to_stage) OVER (ORDER BY at) AS before"
		"  FROM agentcrm.stage_change JOIN agentcrm.client USING (client_id) WHERE client_id = $2 AND at >= first_seen) b"
		" WHERE s.client_id = $2 AND s.at = b.at AND s.from_stage IS DISTINCT FROM b.before AND $1 IS NOT NULL",
		"DELETE FROM agentcrm.stage_change WHERE client_id = $2 AND from_stage = to_stage AND $1 IS NOT NULL"
	};
	ledger_rename_rows(sql, lengthof(sql), old_id, new_id);
}
