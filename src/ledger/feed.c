/*
 * feed.c
 *		Writing what feeds give: attributes of clients, products and reps, and
 *		facts about them.
 *
 * Written set-wise; only rows that change are touched, and clients whose
 * attributes changed are reported, for they have to be looked at again.  An
 * entity belongs to the first source whose feed gives it: that of another
 * source of the namespace does not touch it, or the two would overwrite each
 * other.  Facts belong to their source, and may name clients and products that
 * are not known yet: their ids will be the same.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "distinct.h"
#include "ledger/entity.h"
#include "ledger/family.h"
#include "ledger/feed_sql.h"

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

/* Reps that rows name are known by that alone. */
static void
make_reps_known(Source *source, const FeedRows *rows, TimestampTz now)
{
	for (int c = 0; c < rows->kind->n_columns; c++)
		if (rows->kind->columns[c].type == FEED_REP)
			for (int i = 0; i < rows->n; i++)
				if (rows->rows[i].values[c])
					entity_ensure(ENTITY_REP, source->namespace, pg_strtoint64(rows->rows[i].values[c]), rows->rows[i].keys[c], now);
	entity_flush();
}

/* So are clients by which others are replaced; how many of them there are, and who is replaced. */
static int
make_survivors_known(Source *source, const FeedRows *rows, TimestampTz now, int64 *replaced)
{
	int			c = feed_column(rows->kind, "replaced_by_client_id");
	int			n = 0;

	for (int i = 0; i < rows->n; i++)
		if (rows->rows[i].values[c])
		{
			entity_ensure(ENTITY_CLIENT, source->namespace, pg_strtoint64(rows->rows[i].values[c]), rows->rows[i].keys[c], now);
			replaced[n++] = rows->rows[i].id;
		}
	entity_flush();
	return n;
}

/* ---- clients, products and reps ---- */

/*
 * A key that was gone and has no orders is given again: nothing says that it is
 * the same client, so it begins anew.
 */
static void
restart_clients(FeedArguments *arguments, int at, ClientMoves *moves)
{
	int64	   *restarted;
	int			n_new;
	int			n = execute(psprintf("UPDATE agentcrm.client c SET first_seen = $%d, gone_at = NULL"
									 " WHERE c.client_id = ANY ($3) AND c.gone_at IS NOT NULL AND coalesce(c.feed_source_id, $1) = $1"
									 " AND NOT EXISTS (SELECT FROM agentcrm.ledger l WHERE l.client_id = c.client_id)"
									 " AND NOT EXISTS (SELECT FROM agentcrm.ledger l WHERE l.client_id = c.survivor_client_id AND l.named_client_id = c.client_id)"
									 " RETURNING c.client_id, false", at),
							arguments->n, arguments->types, arguments->values, &restarted, &n_new);

	moves->restarted = moves->restarted ? repalloc(moves->restarted, sizeof(int64) * (moves->n_restarted + n + 1)) :
		palloc(sizeof(int64) * (n + 1));
	memcpy(moves->restarted + moves->n_restarted, restarted, sizeof(int64) * n);
	moves->n_restarted += n;
}

/* Survivors and roots of clients that changed, and of those replaced: who is in a circle is told of each time he is read. */
static void
update_families(const int64 *changed, int n_changed, const int64 *replaced, int n_replaced, ClientMoves *moves)
{
	int			n = n_changed + n_replaced;
	int64	   *families = palloc(sizeof(int64) * (n + 1));

	memcpy(families, changed, sizeof(int64) * n_changed);
	memcpy(families + n_changed, replaced, sizeof(int64) * n_replaced);
	family_update_survivors(families, n, moves);
	families = repalloc(families, sizeof(int64) * (n + moves->n + 1));
	for (int i = 0; i < moves->n; i++)
		families[n++] = moves->moves[i].client_id;
	ledger_update_roots(families, n);
}

static int
store_entities(Source *source, const FeedRows *rows, FeedArguments *arguments, int at, TimestampTz now, FeedFound *found, int64 **changed)
{
	const char *feed = rows->kind->name;
	bool		clients = strcmp(feed, "client") == 0;
	int			namespace = feed_add_argument(arguments, INT4OID, Int32GetDatum(source->namespace));
	FeedRows	all = *rows;
	StringInfoData sql;
	StringInfoData set;
	int64	   *replaced = palloc(sizeof(int64) * (rows->n + 1));
	int			n_replaced = 0;
	int			n_new;
	int			n;

	if (clients)
	{
		n_replaced = make_survivors_known(source, rows, now, replaced);
		restart_clients(arguments, at, &found->moves);
	}
	all.given = palloc(sizeof(bool) * rows->kind->n_columns);
	memset(all.given, true, sizeof(bool) * rows->kind->n_columns);
	initStringInfo(&set);
	for (int c = 0; c < rows->kind->n_columns; c++)
		if (rows->kind->columns[c].need != FEED_KEPT || rows->given[c])
			appendStringInfo(&set, "%s = excluded.%s, ", rows->kind->columns[c].column, rows->kind->columns[c].column);
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO agentcrm.%s AS t (%s_id, namespace, %s_key, feed_source_id%s%s)"
					 " SELECT DISTINCT ON (f.%s_id) f.%s_id, $%d, f.%s_key, $1%s",
					 feed, feed, feed, feed_column_list(&all, ""), clients ? ", root_client_id, first_seen" : "",
					 feed, feed, namespace, feed, feed_column_list(&all, "f."));
	if (clients)
		appendStringInfo(&sql, ", f.client_id, $%d", at);
	appendStringInfo(&sql, " FROM %s AS f ON CONFLICT (%s_id) DO UPDATE SET %s%sfeed_source_id = excluded.feed_source_id"
					 " WHERE t.%s_key = excluded.%s_key AND coalesce(t.feed_source_id, $1) = $1"
					 " AND (t.feed_source_id IS NULL%s%s) IS DISTINCT FROM (false%s%s) RETURNING %s_id, t.xmax = 0",
					 feed_relation(rows->kind), feed, set.data, clients ? "gone_at = NULL, " : "", feed, feed,
					 clients ? ", t.gone_at IS NOT NULL" : "", feed_column_list(rows, "t."),
					 clients ? ", false" : "", feed_column_list(rows, "excluded."), feed);
	n = execute(sql.data, arguments->n, arguments->types, arguments->values, changed, &n_new);
	found->added += n_new;
	found->changed += n - n_new;
	if (!clients)
		return 0;
	update_families(*changed, n, replaced, n_replaced, &found->moves);
	return n;
}

/* Entities whose keys the feed no longer gives are no longer active. */
static int
deactivate(const FeedKind *kind, FeedArguments *arguments, int at, FeedFound *found, int64 **changed)
{
	bool		clients = strcmp(kind->name, "client") == 0;
	int			n_new;
	int			n = execute(psprintf("UPDATE agentcrm.%s SET active = false%s WHERE %s_id = ANY ($2) AND %s_id <> ALL ($3) AND %s"
									 " AND coalesce(feed_source_id, $1) = $1 RETURNING %s_id, false",
									 kind->name, clients ? psprintf(", gone_at = $%d", at) : "", kind->name, kind->name,
									 clients ? "gone_at IS NULL" : "active", kind->name),
							arguments->n, arguments->types, arguments->values, changed, &n_new);

	found->gone += n;
	return clients ? n : 0;
}

/* ---- facts ---- */

/* What is stored and not given goes first, so that what is left to insert collides only with its like. */
static void
store_facts(const FeedRows *rows, FeedArguments *arguments, int at, FeedFound *found)
{
	const char *feed = rows->kind->name;
	char	   *given = feed_relation(rows->kind);
	char	   *columns = feed_column_list(rows, "");
	int64	   *gone;
	int64	   *added;
	int			n_gone;
	int			n_added;
	int			n_new;

	n_gone = execute(psprintf("DELETE FROM agentcrm.%s t WHERE t.source_id = $1 AND t.%s_id = ANY ($2) AND NOT EXISTS ("
							  "SELECT FROM %s AS f WHERE f.%s_id = t.%s_id AND (f.%s_key%s) IS NOT DISTINCT FROM (t.%s_key%s))"
							  " RETURNING t.%s_id, false",
							  feed, feed, given, feed, feed, feed, feed_column_list(rows, "f."), feed, feed_column_list(rows, "t."), feed),
					 arguments->n, arguments->types, arguments->values, &gone, &n_new);
	n_added = execute(psprintf("INSERT INTO agentcrm.%s AS t (source_id, recorded_at, %s_id, %s_key%s)"
							   " SELECT $1, $%d, f.%s_id, f.%s_key%s FROM %s AS f ON CONFLICT DO NOTHING RETURNING t.%s_id, true",
							   feed, feed, feed, columns, at, feed, feed, feed_column_list(rows, "f."), given, feed),
					  arguments->n, arguments->types, arguments->values, &added, &n_new);
	n_gone = distinct_ids(gone, n_gone);
	n_added = distinct_ids(added, n_added);
	for (int i = 0; i < n_added; i++)
		if (distinct_has_id(gone, n_gone, added[i]))
			found->changed++;
		else
			found->added++;
	for (int i = 0; i < n_gone; i++)
		found->gone += !distinct_has_id(added, n_added, gone[i]);
}

/* See ledger.h.  No agent looks at facts yet, so that they have no client looked at again. */
int
ledger_store_feed(Source *source, SourcePart *part, const char **keys, int n_keys,
				  const FeedRows *rows, TimestampTz now, FeedFound *found, int64 **clients)
{
	FeedArguments arguments = feed_arguments(source, part, keys, n_keys, rows);
	int			at = feed_add_argument(&arguments, TIMESTAMPTZOID, TimestampTzGetDatum(now));
	int64	   *stored;
	int64	   *gone;
	int			n_stored;
	int			n_gone;

	make_reps_known(source, rows, now);
	*clients = NULL;
	if (!rows->kind->entity)
	{
		store_facts(rows, &arguments, at, found);
		return 0;
	}
	n_gone = deactivate(rows->kind, &arguments, at, found, &gone);
	n_stored = store_entities(source, rows, &arguments, at, now, found, &stored);
	*clients = palloc(sizeof(int64) * Max(n_stored + n_gone, 1));
	memcpy(*clients, stored, sizeof(int64) * n_stored);
	memcpy(*clients + n_stored, gone, sizeof(int64) * n_gone);
	return n_stored + n_gone;
}

/* What kind of entity the table of this name holds; false when it holds none. */
static bool
is_entity(const char *name, EntityKind *kind)
{
	*kind = strcmp(name, "client") == 0 ? ENTITY_CLIENT : strcmp(name, "product") == 0 ? ENTITY_PRODUCT : ENTITY_REP;
	return *kind != ENTITY_REP || strcmp(name, "rep") == 0;
}

/* What kind of entity a column names that must not be another's; parents and successors may yet come. */
static bool
names_entity(const FeedColumn *column, EntityKind *kind)
{
	if (column->type == FEED_REP)
		return is_entity("rep", kind);
	if (strcmp(column->column, "client_id") == 0 || strcmp(column->column, "replaced_by_client_id") == 0)
		return is_entity("client", kind);
	return strcmp(column->column, "product_id") == 0 && is_entity("product", kind);
}

/* See ledger.h. */
ErrorData *
ledger_feed_clash(Source *source, const FeedRows *rows)
{
	char	   *message = NULL;
	EntityKind	kind;

	if (is_entity(rows->kind->name, &kind))
		for (int i = 0; i < rows->n && message == NULL; i++)
			message = entity_clash(kind, source->namespace, rows->rows[i].id, rows->rows[i].key);
	for (int c = 0; c < rows->kind->n_columns; c++)
		if (names_entity(&rows->kind->columns[c], &kind))
			for (int i = 0; i < rows->n && message == NULL; i++)
				if (rows->rows[i].values[c])
					message = entity_clash(kind, source->namespace, pg_strtoint64(rows->rows[i].values[c]), rows->rows[i].keys[c]);
	entity_flush();
	return message ? entity_error(message) : NULL;
}

/* See ledger.h. */
int
ledger_list_feed(int32 source_id, const char *feed, int64 after, int limit, const char **keys, int64 *last)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid			types[3] = {INT4OID, INT8OID, INT4OID};
	Datum		values[3] = {Int32GetDatum(source_id), Int64GetDatum(after), Int32GetDatum(limit)};
	int			n;

	SPI_connect();
	SPI_execute_with_args(psprintf("SELECT %s %s_id, %s_key FROM agentcrm.%s WHERE %s = $1 AND %s_id > $2 ORDER BY 1 LIMIT $3",
								   feed_kind(feed)->entity ? "" : "DISTINCT", feed, feed, feed,
								   !feed_kind(feed)->entity ? "source_id" :
								   strcmp(feed, "client") == 0 ? "gone_at IS NULL AND feed_source_id" : "active AND feed_source_id", feed),
						  3, types, values, NULL, true, 0);
	n = SPI_processed;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		*last = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		keys[i] = MemoryContextStrdup(cxt, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2));
	}
	SPI_finish();
	return n;
}

/* See ledger.h. */
int64
ledger_delete_feeds(int32 source_id, int limit)
{
	Oid			types[2] = {INT4OID, INT4OID};
	Datum		values[2] = {Int32GetDatum(source_id), Int32GetDatum(limit)};
	int64		n = 0;

	SPI_connect();
	for (int k = 0; k < feed_kind_count() && n < limit; k++)
	{
		const char *feed = feed_kind_nth(k)->name;

		if (feed_kind_nth(k)->entity)
			continue;
		values[1] = Int32GetDatum(limit - (int32) n);
		SPI_execute_with_args(psprintf("DELETE FROM agentcrm.%s WHERE ctid = ANY (ARRAY("
									   "SELECT ctid FROM agentcrm.%s WHERE source_id = $1 LIMIT $2))", feed, feed),
							  2, types, values, NULL, false, 0);
		n += SPI_processed;
	}
	SPI_finish();
	return n;
}
