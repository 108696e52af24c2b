/*
 * snapshot_sql.c
 *		agentcrm.profile(client_ids, as_of): snapshots as rows.
 *
 * The same reading that agents written in C get; computes nothing of its own.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "profile/assess.h"
#include "profile/fold.h"
#include "profile/rows.h"

#define SNAPSHOT_COLUMNS 54

/* A row being filled from left to right. */
typedef struct RowMaker
{
	int			n;
	Datum		values[SNAPSHOT_COLUMNS];
	bool		isnull[SNAPSHOT_COLUMNS];
} RowMaker;

static void
put(RowMaker *row, Datum value, bool known)
{
	Assert(row->n < SNAPSHOT_COLUMNS);
	row->values[row->n] = known ? value : (Datum) 0;
	row->isnull[row->n++] = !known;
}

static Datum
letter_text(char letter)
{
	return PointerGetDatum(cstring_to_text_with_len(&letter, 1));
}

/* The client's products as an array of client_product rows. */
static Datum
products_datum(const ClientSnapshot *client, Oid type, TupleDesc desc)
{
	Datum	   *elements = palloc(Max(client->n_products, 1) * sizeof(Datum));

	for (int i = 0; i < client->n_products; i++)
	{
		Datum		values[CLIENT_PRODUCT_COLUMNS];
		bool		isnull[CLIENT_PRODUCT_COLUMNS];

		product_to_row(client->client_id, &client->products[i], values, isnull);
		elements[i] = heap_copy_tuple_as_datum(heap_form_tuple(desc, values, isnull), desc);
	}
	if (client->n_products == 0)
		return PointerGetDatum(construct_empty_array(type));
	return PointerGetDatum(construct_array(elements, client->n_products, type, -1, false, TYPALIGN_DOUBLE));
}

static void
put_attributes(RowMaker *row, const ClientSnapshot *client)
{
	put(row, Int64GetDatum(client->client_id), true);
	put(row, TimestampTzGetDatum(client->as_of), true);
	put(row, client->name ? CStringGetTextDatum(client->name) : (Datum) 0, client->name != NULL);
	put(row, BoolGetDatum(client->active), true);
	put(row, BoolGetDatum(client->do_not_contact), true);
	put(row, BoolGetDatum(client->deliver), true);
	put(row, Int64GetDatum(client->rep_id), client->has_rep);
}

static void
put_counts(RowMaker *row, const ClientSnapshot *client)
{
	const ClientProfile *profile = &client->profile;
	bool		ordered = profile->n_orders > 0;
	double		mean_gap = profile->n_gaps > 0 ? (double) profile->gap_sum / profile->n_gaps : 0;

	put(row, Int32GetDatum(profile->n_orders), true);
	put(row, Int32GetDatum(profile->n_returns), true);
	put(row, TimestampTzGetDatum(profile->first_order_at), ordered);
	put(row, TimestampTzGetDatum(profile->last_order_at), ordered);
	put(row, DateADTGetDatum(profile->first_order_on), ordered);
	put(row, DateADTGetDatum(profile->last_order_on), ordered);
	put(row, Int32GetDatum(profile->n_gaps), true);
	put(row, Float8GetDatum(mean_gap), profile->n_gaps > 0);
	put(row, Int32GetDatum(profile->gap_last), profile->n_gaps > 0);
}

static void
put_amounts(RowMaker *row, const ClientSnapshot *client)
{
	const ClientProfile *profile = &client->profile;
	DateADT		from = period_year_start(client->today);
	DateADT		until = period_month(fold_month(client->today), 1);
	Numeric		year = period_amount(profile, from, until);

	put(row, NumericGetDatum(profile->amount), true);
	put(row, NumericGetDatum(profile->margin), profile->margin != NULL);
	put(row, NumericGetDatum(profile->returned), true);
	put(row, Int32GetDatum(period_orders(profile, from, until)), true);
	put(row, NumericGetDatum(year ? year : int64_to_numeric(0)), true);
}

static void
put_assessment(RowMaker *row, const ClientSnapshot *client)
{
	const Assessment *state = &client->state;
	bool		ordered = client->profile.n_orders > 0;

	put(row, CStringGetTextDatum(profile_stage_name(state->stage)), true);
	put(row, Int16GetDatum(state->recency_class), state->recency_class != 0);
	put(row, Int16GetDatum(state->frequency_class), state->frequency_class != 0);
	put(row, Int16GetDatum(state->monetary_class), state->monetary_class != 0);
	put(row, letter_text(state->abc), state->abc != 0);
	put(row, letter_text(state->xyz), state->xyz != 0);
	put(row, Float8GetDatum(state->elapsed), ordered);
	put(row, Float8GetDatum(state->silence), ordered);
	put(row, Float8GetDatum(state->alarm_p), ordered);
	put(row, DateADTGetDatum(state->due_on), !DATE_NOT_FINITE(state->due_on));
	put(row, DateADTGetDatum(state->alarm_on), ordered);
	put(row, Float8GetDatum(state->slow_chance), ordered);
	put(row, Float8GetDatum(state->slow_p), ordered);
	put(row, DateADTGetDatum(state->slow_on), ordered && !DATE_NOT_FINITE(state->slow_on));
	put(row, DateADTGetDatum(state->slow_since), ordered && state->slow_chance < state->slow_p);
	put(row, Float8GetDatum(state->expected_orders), ordered);
	put(row, Float8GetDatum(state->expected_value), ordered);
	put(row, Float8GetDatum(state->p_alive), ordered);
	put(row, Float8GetDatum(state->p_order), ordered);
	put(row, DateADTGetDatum(state->due_early), !DATE_NOT_FINITE(state->due_early));
	put(row, DateADTGetDatum(state->due_late), !DATE_NOT_FINITE(state->due_late));
	put(row, Float8GetDatum(state->lifetime_value), ordered);
	put(row, letter_text(state->value_class), state->value_class != 0);
	put(row, Float8GetDatum(state->order_value), true);
	put(row, TimestampTzGetDatum(state->next_look_at), true);
	put(row, Int64GetDatum(profile_population()->gap_model_id), profile_population()->gap_model_id != 0);
	put(row, Int64GetDatum(client->repurchase ? client->repurchase->model_id : 0), client->repurchase && ordered);
}

/* The month arrays are those of client_profile. */
static void
put_months(RowMaker *row, const ClientSnapshot *client)
{
	Datum		values[CLIENT_PROFILE_COLUMNS];
	bool		isnull[CLIENT_PROFILE_COLUMNS];

	profile_to_row(&client->profile, values, isnull);
	for (int i = CLIENT_PROFILE_COLUMNS - 5; i < CLIENT_PROFILE_COLUMNS; i++)
		put(row, values[i], true);
}

static int64 *
id_array(ArrayType *array, int *n)
{
	Datum	   *elements;
	int64	   *ids;

	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("client_ids must not contain nulls")));
	deconstruct_array(array, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, NULL, n);
	ids = palloc(Max(*n, 1) * sizeof(int64));
	for (int i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(elements[i]);
	return ids;
}

/* See assess.h. */
ClientSnapshot *
snapshot_arguments(FunctionCallInfo fcinfo, int *n)
{
	TimestampTz as_of;
	int64	   *ids;

	agentcrm_check_argument(fcinfo, 0, "client_ids");
	agentcrm_check_argument(fcinfo, 1, "as_of");
	as_of = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of must be finite")));
	ids = id_array(PG_GETARG_ARRAYTYPE_P(0), n);
	return profile_read(ids, *n, as_of, n);
}

PG_FUNCTION_INFO_V1(agentcrm_profile_read);

/* agentcrm.profile(client_ids bigint[], as_of timestamptz) RETURNS SETOF client_snapshot. */
Datum
agentcrm_profile_read(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			type = get_rel_type_id(store_relid("client_product"));
	TupleDesc	desc = lookup_rowtype_tupdesc(type, -1);
	ClientSnapshot *clients;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (result->setDesc->natts != SNAPSHOT_COLUMNS)
		elog(ERROR, "agentcrm.client_snapshot has %d columns instead of %d", result->setDesc->natts, SNAPSHOT_COLUMNS);
	clients = snapshot_arguments(fcinfo, &n);
	for (int i = 0; i < n; i++)
	{
		RowMaker	row = {0};

		put_attributes(&row, &clients[i]);
		put_assessment(&row, &clients[i]);
		put_counts(&row, &clients[i]);
		put_amounts(&row, &clients[i]);
		put_months(&row, &clients[i]);
		put(&row, products_datum(&clients[i], type, desc), true);
		Assert(row.n == SNAPSHOT_COLUMNS);
		tuplestore_putvalues(result->setResult, result->setDesc, row.values, row.isnull);
	}
	ReleaseTupleDesc(desc);
	return (Datum) 0;
}
