/*
 * feed_check.c
 *		Stored rows against what a feed gives: for verify, writes nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "agentcrm.h"
#include "ledger/feed_sql.h"

/* The columns of one side, f or t, as an array of texts: NULL where the sides agree, empty where this one has no value. */
static char *
over_columns(const FeedRows *rows, const char *side)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int c = 0; c < rows->kind->n_columns; c++)
	{
		const char *column = rows->kind->columns[c].column;

		appendStringInfo(&list, "%s", c ? ", " : "");
		if (rows->kind->columns[c].need == FEED_KEPT && !rows->given[c])
			appendStringInfoString(&list, "NULL");
		else
			appendStringInfo(&list, "CASE WHEN f.%s IS DISTINCT FROM t.%s THEN coalesce(%s.%s::text, '') END", column, column, side, column);
	}
	return psprintf("ARRAY[%s]::text[]", list.data);
}

/* What is given (f) joined with what is stored (t), where they differ. */
static char *
differences(const FeedRows *rows)
{
	const FeedKind *kind = rows->kind;
	const char *feed = kind->name;
	int			owner = feed_owner(kind);
	char	   *and_owner = owner < 0 ? "" : psprintf(" AND f.%s = t.%s", kind->columns[owner].column, kind->columns[owner].column);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT coalesce(f.%s_key, t.%s_key), f.%s_id IS NOT NULL, t.%s_id IS NOT NULL, %s, %s FROM %s AS f ",
					 feed, feed, feed, feed, over_columns(rows, "f"), over_columns(rows, "t"), feed_relation(kind));
	if (kind->entity)
		appendStringInfo(&sql, "LEFT JOIN agentcrm.%s t ON t.%s_id = f.%s_id WHERE coalesce(t.feed_source_id, $1) = $1 AND ",
						 feed, feed, feed);
	else
		appendStringInfo(&sql, "FULL JOIN (SELECT * FROM agentcrm.%s s WHERE s.source_id = $1 AND s.%s_id = ANY ($2)) AS t"
						 " ON f.%s_id = t.%s_id%s WHERE ", feed, feed, feed, feed, and_owner);
	appendStringInfo(&sql, "(f.%s_key%s) IS DISTINCT FROM (t.%s_key%s) ORDER BY 1",
					 feed, feed_column_list(rows, "f."), feed, feed_column_list(rows, "t."));
	return sql.data;
}

static bool
is_true(HeapTuple tuple, int column)
{
	bool		isnull;

	return DatumGetBool(SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull));
}

/* Report the columns that differ. */
static void
report_columns(const FeedKind *kind, HeapTuple tuple, const char *key, DifferenceSink *sink)
{
	Datum	   *sides[2];
	bool	   *isnull[2];
	int			n;

	for (int i = 0; i < 2; i++)
	{
		bool		absent;

		deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 4 + i, &absent)),
						  TEXTOID, -1, false, TYPALIGN_INT, &sides[i], &isnull[i], &n);
	}
	for (int c = 0; c < n; c++)
		if (!isnull[0][c])
			difference_add(sink, kind->name, key, kind->columns[c].column,
						   TextDatumGetCString(sides[0][c]), TextDatumGetCString(sides[1][c]));
}

/* See ledger.h. */
void
ledger_check_feed(Source *source, SourcePart *part, const char **keys, int n_keys, const FeedRows *rows, DifferenceSink *sink)
{
	FeedArguments arguments = feed_arguments(source, part, keys, n_keys, rows);

	SPI_connect();
	SPI_execute_with_args(differences(rows), arguments.n, arguments.types, arguments.values, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		char	   *key = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1);

		if (!is_true(tuple, 3))
			difference_add(sink, rows->kind->name, key, NULL, "a row", NULL);
		else if (!is_true(tuple, 2))
			difference_add(sink, rows->kind->name, key, NULL, NULL, "stored, but not given by the query");
		else
			report_columns(rows->kind, tuple, key, sink);
	}
	SPI_finish();
}
