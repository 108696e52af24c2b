/*
 * feed.c
 *		Attributes of clients, products and reps as the feeds give them.
 *
 * Written set-wise; only rows that change are touched, and clients whose
 * attributes changed are reported, for they have to be looked at again.  A row
 * belongs to the first source whose feed gives it: that of another source of
 * the namespace does not touch it, or the two would overwrite each other.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "distinct.h"
#include "ledger/entity.h"
#include "ledger/family.h"
#include "source/source.h"

/* A column of feed rows on its way into an array parameter. */
typedef struct ArrayBuilder
{
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
} ArrayBuilder;

static ArrayBuilder
new_array(Oid type, int n)
{
	ArrayBuilder array = {type, palloc0(sizeof(Datum) * Max(n, 1)), palloc0(sizeof(bool) * Max(n, 1))};

	return array;
}

static Datum
finish_array(const ArrayBuilder *array, int n)
{
	int			dims[1] = {n};
	int			lbs[1] = {1};
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(array->type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(array->values, array->nulls, 1, dims, lbs,
											  array->type, typlen, typbyval, typalign));
}

static void
set_text(ArrayBuilder *array, int i, const char *text)
{
	array->nulls[i] = text == NULL;
	if (text)
		array->values[i] = CStringGetTextDatum(text);
}

static void
set_id(ArrayBuilder *array, int i, bool has, int64 id)
{
	array->nulls[i] = !has;
	array->values[i] = Int64GetDatum(id);
}

static void
set_numeric(ArrayBuilder *array, int i, Numeric number)
{
	array->nulls[i] = number == NULL;
	if (number)
		array->values[i] = NumericGetDatum(number);
}

/* Execute a writing statement over arrays; the ids it returns, and how many of the rows are new. */
static int
execute(const char *sql, int nargs, Oid *types, Datum *values, int64 **ids, int *inserted)
{
	MemoryContext cxt = CurrentMemoryContext;
	int			n;

	SPI_connect();
	SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);
	n = SPI_tuptable ? SPI_processed : 0;
	*ids = MemoryContextAlloc(cxt, sizeof(int64) * Max(n, 1));
	*inserted = 0;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		*inserted += DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2, &isnull));
		(*ids)[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_finish();
	return n;
}

static const char upsert_clients[] =
"INSERT INTO agentcrm.client AS c (client_id, namespace, client_key, name, parent_client_id, root_client_id,"
" channel, territory, rep_id, active, do_not_contact, first_seen, replaced_by_client_id, feed_source_id)"
" SELECT DISTINCT ON (id) id, $1, key, name, parent, id, channel, territory, rep, active, coalesce(quiet, false), $2, replaced_by, $12"
" FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $13) AS f(id, key, name, parent, channel, territory, rep, active, quiet, replaced_by)"
" ON CONFLICT (client_id) DO UPDATE SET name = excluded.name, parent_client_id = excluded.parent_client_id,"
"  channel = excluded.channel, territory = excluded.territory, rep_id = excluded.rep_id, active = excluded.active,"
"  feed_source_id = excluded.feed_source_id, replaced_by_client_id = excluded.replaced_by_client_id, gone_at = NULL,"
"  do_not_contact = CASE WHEN (SELECT bool_and(q IS NULL) FROM unnest($11) q) THEN c.do_not_contact ELSE excluded.do_not_contact END"
" WHERE c.client_key = excluded.client_key AND coalesce(c.feed_source_id, $12) = $12"
"  AND (c.name, c.parent_client_id, c.channel, c.territory, c.rep_id, c.active, c.feed_source_id IS NULL,"
"   c.replaced_by_client_id, c.gone_at IS NOT NULL, CASE WHEN (SELECT bool_and(q IS NULL) FROM unnest($11) q) THEN false ELSE c.do_not_contact END) IS DISTINCT FROM"
"  (excluded.name, excluded.parent_client_id, excluded.channel, excluded.territory, excluded.rep_id, excluded.active, false,"
"   excluded.replaced_by_client_id, false, excluded.do_not_contact)"
" RETURNING client_id, c.xmax = 0";

/*
 * A key that was gone and has no orders is given again: nothing says that it is
 * the same client, so it begins anew.
 */
static const char restart_clients[] =
"UPDATE agentcrm.client c SET first_seen = $2, gone_at = NULL"
" WHERE c.client_id = ANY ($1) AND c.gone_at IS NOT NULL AND coalesce(c.feed_source_id, $3) = $3"
" AND NOT EXISTS (SELECT FROM agentcrm.ledger l WHERE l.client_id = c.client_id)"
" AND NOT EXISTS (SELECT FROM agentcrm.ledger l WHERE l.client_id = c.survivor_client_id AND l.named_client_id = c.client_id)"
" RETURNING c.client_id, false";

/* The client that replaces the one of the row becomes known; false when there is none. */
static bool
ensure_replacing(Source *source, FeedRow *row, TimestampTz now)
{
	char	   *message;

	if (!row->has_replaced_by || row->replaced_by_id == row->id)
		return false;
	message = entity_ensure(ENTITY_CLIENT, source->namespace, row->replaced_by_id, row->replaced_by_key, now);
	if (message)
		ereport(ERROR, (errcode(ERRCODE_UNIQUE_VIOLATION), errmsg("%s", message)));
	return true;
}

static int
store_clients(Source *source, FeedRow *rows, int n, TimestampTz now, FeedFound *found, int64 **changed)
{
	int32		namespace = source->namespace;
	Oid			types[13] = {INT4OID, TIMESTAMPTZOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, BOOLARRAYOID, BOOLARRAYOID, INT4OID, INT8ARRAYOID};
	Datum		values[13] = {Int32GetDatum(namespace), TimestampTzGetDatum(now)};
	ArrayBuilder columns[10];
	static const Oid element[10] = {INT8OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT8OID, BOOLOID, BOOLOID, INT8OID};
	int			n_changed;
	int			n_new;
	int64	   *families;
	int			n_families;

	for (int c = 0; c < 10; c++)
		columns[c] = new_array(element[c], n);
	for (int i = 0; i < n; i++)
	{
		FeedRow    *row = &rows[i];

		if (row->has_rep)
			entity_ensure(ENTITY_REP, namespace, row->rep_id, row->rep_key, now);
		row->has_replaced_by = ensure_replacing(source, row, now);
		set_id(&columns[0], i, true, row->id);
		set_text(&columns[1], i, row->key);
		set_text(&columns[2], i, row->name);
		set_id(&columns[3], i, row->has_parent && row->parent_id != row->id, row->parent_id);
		set_text(&columns[4], i, row->channel);
		set_text(&columns[5], i, row->territory);
		set_id(&columns[6], i, row->has_rep, row->rep_id);
		columns[7].values[i] = BoolGetDatum(row->active);
		columns[8].values[i] = BoolGetDatum(row->do_not_contact);
		columns[8].nulls[i] = !row->has_do_not_contact;
		set_id(&columns[9], i, row->has_replaced_by, row->replaced_by_id);
	}
	entity_flush();
	for (int c = 0; c < 9; c++)
		values[c + 2] = finish_array(&columns[c], n);
	values[11] = Int32GetDatum(source->source_id);
	values[12] = finish_array(&columns[9], n);
	{
		Oid			restart_types[3] = {INT8ARRAYOID, TIMESTAMPTZOID, INT4OID};
		Datum		restart_values[3] = {values[2], values[1], values[11]};

		int64	   *restarted;
		int			n_restarted = execute(restart_clients, 3, restart_types, restart_values, &restarted, &n_new);

		found->moves.restarted = found->moves.restarted ?
			repalloc(found->moves.restarted, sizeof(int64) * (found->moves.n_restarted + n_restarted + 1)) :
			palloc(sizeof(int64) * (n_restarted + 1));
		memcpy(found->moves.restarted + found->moves.n_restarted, restarted, sizeof(int64) * n_restarted);
		found->moves.n_restarted += n_restarted;
	}
	n_changed = execute(upsert_clients, 13, types, values, changed, &n_new);
	found->added += n_new;
	found->changed += n_changed - n_new;

	/* those in a circle are told of each time they are read */
	families = palloc(sizeof(int64) * (n + n_changed + 1));
	memcpy(families, *changed, sizeof(int64) * n_changed);
	n_families = n_changed;
	for (int i = 0; i < n; i++)
		if (rows[i].has_replaced_by)
			families[n_families++] = rows[i].id;
	family_update_survivors(families, n_families, &found->moves);
	for (int i = 0; i < found->moves.n; i++)
	{
		families = repalloc(families, sizeof(int64) * (n_families + 1));
		families[n_families++] = found->moves.moves[i].client_id;
	}
	ledger_update_roots(families, n_families);
	return n_changed;
}

/* Execute a writing statement and add up what it did. */
static void
execute_counted(const char *sql, int nargs, Oid *types, Datum *values, FeedFound *found)
{
	int64	   *ids;
	int			n_new;
	int			n = execute(sql, nargs, types, values, &ids, &n_new);

	found->added += n_new;
	found->changed += n - n_new;
}

static void
store_products(Source *source, FeedRow *rows, int n, FeedFound *found)
{
	Oid			types[10] = {INT4OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID,
	INT8ARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, INT4OID};
	static const Oid element[8] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, INT8OID, NUMERICOID, NUMERICOID};
	Datum		values[10] = {Int32GetDatum(source->namespace)};
	ArrayBuilder columns[8];

	for (int c = 0; c < 8; c++)
		columns[c] = new_array(element[c], n);
	for (int i = 0; i < n; i++)
	{
		FeedRow    *row = &rows[i];

		set_id(&columns[0], i, true, row->id);
		set_text(&columns[1], i, row->key);
		set_text(&columns[2], i, row->name);
		set_text(&columns[3], i, row->category);
		columns[4].values[i] = BoolGetDatum(row->active);
		set_id(&columns[5], i, row->has_successor, row->successor_id);
		set_numeric(&columns[6], i, row->pack_qty);
		set_numeric(&columns[7], i, row->min_order_qty);
	}
	for (int c = 0; c < 8; c++)
		values[c + 1] = finish_array(&columns[c], n);
	values[9] = Int32GetDatum(source->source_id);
	execute_counted("INSERT INTO agentcrm.product AS p (product_id, namespace, product_key, name, category, active,"
					" successor_product_id, pack_qty, min_order_qty, feed_source_id)"
					" SELECT DISTINCT ON (id) id, $1, key, name, category, active, successor, pack, least, $10"
					" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) AS f(id, key, name, category, active, successor, pack, least)"
					" ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, category = excluded.category,"
					"  active = excluded.active, successor_product_id = excluded.successor_product_id,"
					"  pack_qty = excluded.pack_qty, min_order_qty = excluded.min_order_qty,"
					"  feed_source_id = excluded.feed_source_id"
					" WHERE p.product_key = excluded.product_key AND coalesce(p.feed_source_id, $10) = $10"
					"  AND (p.name, p.category, p.active, p.successor_product_id, p.pack_qty, p.min_order_qty,"
					"   p.feed_source_id IS NULL) IS DISTINCT FROM"
					"  (excluded.name, excluded.category, excluded.active, excluded.successor_product_id, excluded.pack_qty,"
					"   excluded.min_order_qty, false) RETURNING product_id, p.xmax = 0",
					10, types, values, found);
}

static void
store_reps(Source *source, FeedRow *rows, int n, FeedFound *found)
{
	Oid			types[6] = {INT4OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, BOOLARRAYOID, INT4OID};
	static const Oid element[4] = {INT8OID, TEXTOID, TEXTOID, BOOLOID};
	Datum		values[6] = {Int32GetDatum(source->namespace)};
	ArrayBuilder columns[4];

	for (int c = 0; c < 4; c++)
		columns[c] = new_array(element[c], n);
	for (int i = 0; i < n; i++)
	{
		set_id(&columns[0], i, true, rows[i].id);
		set_text(&columns[1], i, rows[i].key);
		set_text(&columns[2], i, rows[i].name);
		columns[3].values[i] = BoolGetDatum(rows[i].active);
	}
	for (int c = 0; c < 4; c++)
		values[c + 1] = finish_array(&columns[c], n);
	values[5] = Int32GetDatum(source->source_id);
	execute_counted("INSERT INTO agentcrm.rep AS r (rep_id, namespace, rep_key, name, active, feed_source_id)"
					" SELECT DISTINCT ON (id) id, $1, key, name, active, $6 FROM unnest($2, $3, $4, $5) AS f(id, key, name, active)"
					" ON CONFLICT (rep_id) DO UPDATE SET name = excluded.name, active = excluded.active,"
					"  feed_source_id = excluded.feed_source_id"
					" WHERE r.rep_key = excluded.rep_key AND coalesce(r.feed_source_id, $6) = $6"
					"  AND (r.name, r.active, r.feed_source_id IS NULL)"
					"  IS DISTINCT FROM (excluded.name, excluded.active, false) RETURNING rep_id, r.xmax = 0",
					6, types, values, found);
}

/* Entities whose keys the feed no longer gives are no longer active. */
static int
deactivate(const char *feed, Source *source, SourcePart *part, const char **keys, int n_keys,
		   const FeedRow *rows, int n_rows, TimestampTz now, int64 **changed)
{
	bool		is_client = strcmp(feed, "client") == 0;
	Oid			types[3] = {INT8ARRAYOID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3];
	int64	   *given = palloc(sizeof(int64) * Max(n_rows, 1));
	ArrayBuilder gone = new_array(INT8OID, n_keys);
	int			n_given;
	int			n_gone = 0;
	int			n_new;

	for (int i = 0; i < n_rows; i++)
		given[i] = rows[i].id;
	n_given = distinct_ids(given, n_rows);
	for (int i = 0; i < n_keys; i++)
	{
		int64		id = source_key_identity(source, part, keys[i]);

		if (!distinct_has_id(given, n_given, id))
			gone.values[n_gone++] = Int64GetDatum(id);
	}
	if (n_gone == 0)
		return 0;
	values[0] = finish_array(&gone, n_gone);
	values[1] = Int32GetDatum(source->source_id);
	values[2] = TimestampTzGetDatum(now);
	return execute(psprintf("UPDATE agentcrm.%s SET active = false%s WHERE %s_id = ANY ($1) AND %s"
							" AND coalesce(feed_source_id, $2) = $2 RETURNING %s_id, false", feed,
							is_client ? ", gone_at = $3" : "", feed, is_client ? "gone_at IS NULL" : "active", feed),
				   is_client ? 3 : 2, types, values, changed, &n_new);
}

/* Store what a feed gives for some keys; the clients whose attributes changed. */
int
ledger_store_feed(Source *source, const char *feed, const char **keys, int n_keys, SourcePart *part,
				  FeedRow *rows, int n_rows, TimestampTz now, FeedFound *found, int64 **clients)
{
	int64	   *stored = NULL;
	int64	   *gone = NULL;
	int			n_stored = 0;
	int			n_gone = deactivate(feed, source, part, keys, n_keys, rows, n_rows, now, &gone);

	found->gone += n_gone;
	if (strcmp(feed, "client") == 0)
		n_stored = store_clients(source, rows, n_rows, now, found, &stored);
	else
	{
		n_gone = 0;				/* only clients are reported */
		if (strcmp(feed, "product") == 0)
			store_products(source, rows, n_rows, found);
		else
			store_reps(source, rows, n_rows, found);
	}
	*clients = palloc(sizeof(int64) * Max(n_stored + n_gone, 1));
	memcpy(*clients, stored, sizeof(int64) * n_stored);
	memcpy(*clients + n_stored, gone, sizeof(int64) * n_gone);
	return n_stored + n_gone;
}
