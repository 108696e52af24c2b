/*
 * feed_sql.c
 *		Rows of a feed as arguments of statements, by the description of their
 *		kind.
 *
 * A column is one array of texts; the statement casts them.  Texts were
 * rendered so that every DateStyle and TimeZone reads them alike.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "ledger/feed_sql.h"

static Datum
ids_array(const int64 *ids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Column c of the rows; -1: their keys. */
static Datum
texts_array(const FeedRows *rows, int c)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(rows->n, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(rows->n, 1));
	int			dims[1] = {rows->n};
	int			lbs[1] = {1};

	for (int i = 0; i < rows->n; i++)
	{
		const char *text = c < 0 ? rows->rows[i].key : rows->rows[i].values[c];

		isnull[i] = text == NULL;
		values[i] = text ? CStringGetTextDatum(text) : (Datum) 0;
	}
	return PointerGetDatum(construct_md_array(values, isnull, 1, dims, lbs, TEXTOID, -1, false, TYPALIGN_INT));
}

int
feed_add_argument(FeedArguments *arguments, Oid type, Datum value)
{
	arguments->types[arguments->n] = type;
	arguments->values[arguments->n] = value;
	return ++arguments->n;
}

FeedArguments
feed_arguments(Source *source, SourcePart *part, const char **keys, int n_keys, const FeedRows *rows)
{
	int			room = rows->kind->n_columns + 8;
	FeedArguments arguments = {0, palloc(sizeof(Oid) * room), palloc(sizeof(Datum) * room)};
	int64	   *asked = palloc(sizeof(int64) * Max(n_keys, 1));
	int64	   *given = palloc(sizeof(int64) * Max(rows->n, 1));

	for (int i = 0; i < n_keys; i++)
		asked[i] = source_key_identity(source, part, keys[i]);
	for (int i = 0; i < rows->n; i++)
		given[i] = rows->rows[i].id;
	feed_add_argument(&arguments, INT4OID, Int32GetDatum(source->source_id));
	feed_add_argument(&arguments, INT8ARRAYOID, ids_array(asked, n_keys));
	feed_add_argument(&arguments, INT8ARRAYOID, ids_array(given, rows->n));
	for (int c = -1; c < rows->kind->n_columns; c++)
		feed_add_argument(&arguments, TEXTARRAYOID, texts_array(rows, c));
	return arguments;
}

char *
feed_relation(const FeedKind *kind)
{
	StringInfoData columns;
	StringInfoData arrays;
	StringInfoData names;

	initStringInfo(&columns);
	initStringInfo(&arrays);
	initStringInfo(&names);
	for (int c = 0; c < kind->n_columns; c++)
	{
		appendStringInfo(&columns, ", u.v%d::%s AS %s", c, feed_sql_type(kind->columns[c].type), kind->columns[c].column);
		appendStringInfo(&arrays, ", $%d", c + 5);
		appendStringInfo(&names, ", v%d", c);
	}
	return psprintf("(SELECT u.id AS %s_id, u.key AS %s_key%s FROM unnest($3, $4%s) AS u(id, key%s))",
					kind->name, kind->name, columns.data, arrays.data, names.data);
}

char *
feed_column_list(const FeedRows *rows, const char *prefix)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int c = 0; c < rows->kind->n_columns; c++)
		if (rows->kind->columns[c].need != FEED_KEPT || rows->given[c])
			appendStringInfo(&list, ", %s%s", prefix, rows->kind->columns[c].column);
	return list.data;
}
