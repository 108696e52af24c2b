/*
 * feed_check.c
 *		Stored attributes against what a feed gives: for verify, writes nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "agentcrm.h"
#include "source/source.h"
#include "store.h"

#define MAX_COLUMNS 16

static char *
id_text(bool has, int64 id)
{
	return has ? psprintf("%lld", (long long) id) : NULL;
}

static char *
numeric_text(Numeric number)
{
	return number ? DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))) : NULL;
}

static const char *
bool_text(bool value)
{
	return value ? "true" : "false";
}

/* What the feed gives for a column of the stored table; false when the feed says nothing of it. */
static bool
expected_value(const char *column, const FeedRow *row, const char **value)
{
	if (strcmp(column, "name") == 0)
		*value = row->name;
	else if (strcmp(column, "active") == 0)
		*value = bool_text(row->active);
	else if (strcmp(column, "parent_client_id") == 0)
		*value = id_text(row->has_parent && row->parent_id != row->id, row->parent_id);
	else if (strcmp(column, "replaced_by_client_id") == 0)
		*value = id_text(row->has_replaced_by && row->replaced_by_id != row->id, row->replaced_by_id);
	else if (strcmp(column, "rep_id") == 0)
		*value = id_text(row->has_rep, row->rep_id);
	else if (strcmp(column, "channel") == 0)
		*value = row->channel;
	else if (strcmp(column, "territory") == 0)
		*value = row->territory;
	else if (strcmp(column, "category") == 0)
		*value = row->category;
	else if (strcmp(column, "successor_product_id") == 0)
		*value = id_text(row->has_successor, row->successor_id);
	else if (strcmp(column, "pack_qty") == 0)
		*value = numeric_text(row->pack_qty);
	else if (strcmp(column, "min_order_qty") == 0)
		*value = numeric_text(row->min_order_qty);
	else
		return false;
	return true;
}

static char *
stored_value(Datum value, bool isnull, Oid type)
{
	Oid			output;
	bool		varlena;

	if (isnull)
		return NULL;
	if (type == BOOLOID)
		return pstrdup(bool_text(DatumGetBool(value)));
	getTypeOutputInfo(type, &output, &varlena);
	return OidOutputFunctionCall(output, value);
}

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL || b == NULL) ? a == b : strcmp(a, b) == 0;
}

/* Whether the row, whose last column says so, belongs to another source's feed. */
static bool
is_of_other_feed(HeapTuple tuple, TupleDesc desc, int32 source_id)
{
	bool		isnull;
	Datum		owner = heap_getattr(tuple, desc->natts, desc, &isnull);

	return !isnull && DatumGetInt32(owner) != source_id;
}

/* Report where the stored row of a client, product or rep is not what its feed gives. */
void
ledger_check_feed(const Source *source, const char *feed, const FeedRow *row, DifferenceSink *sink)
{
	Store	   *store = store_open(feed, AccessShareLock);
	TupleDesc	desc = store_desc(store);
	Datum		key = Int64GetDatum(row->id);
	StoreScan  *scan = store_scan(store, psprintf("%s_pkey", feed), 1, &key);
	HeapTuple	tuple = store_next(scan);

	if (tuple == NULL)
		difference_add(sink, feed, row->key, NULL, "a row", NULL);
	else if (!is_of_other_feed(tuple, desc, source->source_id))
	{
		Datum		values[MAX_COLUMNS];
		bool		isnull[MAX_COLUMNS];

		Assert(desc->natts <= MAX_COLUMNS);
		heap_deform_tuple(tuple, desc, values, isnull);
		for (int i = 1; i < desc->natts; i++)	/* the id itself is the key */
		{
			Form_pg_attribute attribute = TupleDescAttr(desc, i);
			const char *expected;
			char	   *found;

			if (!expected_value(NameStr(attribute->attname), row, &expected))
				continue;
			found = stored_value(values[i], isnull[i], attribute->atttypid);
			if (!same_text(expected, found))
				difference_add(sink, feed, row->key, NameStr(attribute->attname), expected, found);
		}
	}
	store_scan_end(scan);
	store_close(store);
}
