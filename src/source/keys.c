/*
 * keys.c
 *		Keys of a part: listed in order, counted, looked up, and those of orders
 *		that other rows touch.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "source/part.h"
#include "source/restricted.h"
#include "source/result.h"
#include "source/spelling.h"

typedef struct KeyWork
{
	SourcePart *part;
	const char **keys;
	int			n_keys;
	const char *after;
	const char *upto;
	TimestampTz since;
	int			limit;
	bool		exactly;
	bool	   *exists;
	const char **found;
	int			n_found;
	int64		count;
} KeyWork;

/* The rows of SPI_tuptable as canonical keys of as many columns. */
static void
collect_keys(KeyWork *work, MemoryContext result_cxt)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	KeyColumn  *columns = palloc(sizeof(KeyColumn) * desc->natts);
	ResultRow	row = result_new_row();

	for (int c = 0; c < desc->natts; c++)
		key_column_init(&columns[c], TupleDescAttr(desc, c)->atttypid);
	key_fix_settings();
	MemoryContextSwitchTo(result_cxt);
	work->found = palloc(sizeof(char *) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		StringInfoData text;
		bool		complete = true;

		result_row(&row, i);
		initStringInfo(&text);
		for (int c = 0; c < desc->natts && complete; c++)
		{
			complete = !row.isnull[c];
			if (!complete)
				break;
			if (c > 0)
				appendStringInfoChar(&text, ',');
			key_render(&text, &columns[c], row.values[c], desc->natts > 1);
		}
		if (complete)
			work->found[work->n_found++] = text.data;
	}
}

static void
read_touched(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;

	part_execute(source, work->part, work->keys, work->n_keys);
	collect_keys(work, result_cxt);
}

/* The keys that rows of another table touch. */
ErrorData *
source_read_touched(Source *source, SourcePart *part, const char **keys, int n_keys,
					const char ***order_keys, int *n_orders)
{
	KeyWork		work = {.part = part, .keys = keys, .n_keys = n_keys};
	ErrorData  *error = restricted_run(source, read_touched, &work);

	*order_keys = work.found;
	*n_orders = work.n_found;
	return error;
}

/* A comma list of the part's quoted key columns. */
static char *
column_list(SourcePart *part)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int c = 0; c < part->n_columns; c++)
		appendStringInfo(&list, "%s%s", c ? ", " : "", quote_identifier(part->key_columns[c]));
	return list.data;
}

/* A bound on the key columns, as a condition with parameters. */
static void
add_bound(SourcePart *part, StringInfo sql, const char *compare, const char *key, Oid *types, Datum *values, int *n)
{
	KeyReader	reader;

	if (key == NULL)
		return;
	part_reader_init(&reader, part);
	part_read_key(&reader, key, &values[*n]);
	appendStringInfo(sql, "(%s) %s (", column_list(part), compare);
	for (int c = 0; c < part->n_columns; c++)
	{
		types[*n] = part->column_types[c];
		appendStringInfo(sql, "%s$%d", c ? ", " : "", ++*n);
	}
	appendStringInfoString(sql, ") AND ");
}

static void
list_keys(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	SourcePart *part = work->part;
	StringInfoData sql;
	Datum		values[2 * KEY_MAX_COLUMNS];
	Oid			types[2 * KEY_MAX_COLUMNS];
	int			n = 0;
	char	   *columns = column_list(part);

	part_resolve(source, part);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT DISTINCT %s FROM %s WHERE ", columns,
					 quote_qualified_identifier(part->key_schema, part->key_table));
	add_bound(part, &sql, ">", work->after, types, values, &n);
	add_bound(part, &sql, "<=", work->upto, types, values, &n);
	appendStringInfo(&sql, "(%s) IS NOT NULL ORDER BY %s LIMIT %d",
					 part->n_columns == 1 ? columns : psprintf("ROW(%s)", columns), columns, work->limit);
	SPI_execute_with_args(sql.data, n, types, values, NULL, true, 0);
	collect_keys(work, result_cxt);
}

/* Keys of a part in key order. */
ErrorData *
source_list_keys(Source *source, SourcePart *part, const char *after, const char *upto, int limit,
				 const char ***keys, int *n_keys)
{
	KeyWork		work = {.part = part, .after = after, .upto = upto, .limit = limit};
	ErrorData  *error = restricted_run(source, list_keys, &work);

	*keys = work.found;
	*n_keys = work.n_found;
	return error;
}

/* ---- keys by their watermark ---- */

static void
last_mark(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	bool		isnull;
	Datum		mark;

	SPI_execute(psprintf("SELECT least(max(m.mark)::timestamptz, now()) FROM (%s) AS m (mark)", work->part->watermark), true, 0);
	mark = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		work->since = DatumGetTimestampTz(mark);
}

/* See source.h. */
ErrorData *
source_last_mark(Source *source, SourcePart *part, TimestampTz *mark)
{
	KeyWork		work = {.part = part, .since = *mark};
	ErrorData  *error = restricted_run(source, last_mark, &work);

	*mark = work.since;
	return error;
}

/* Literals take the type of the mark, whatever it is: times are read in the source's zone. */
static void
list_marked(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	SourcePart *part = work->part;
	StringInfoData columns;
	StringInfoData sql;
	char	   *texts[KEY_MAX_COLUMNS + 1];

	part_resolve(source, part);
	initStringInfo(&columns);
	for (int c = 1; c <= part->n_columns; c++)
		appendStringInfo(&columns, ", k%d", c);
	/* a NULL mark is never reached, a NULL key is no key */
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT DISTINCT m.* FROM (%s) AS m (mark%s) WHERE ROW(mark%s) IS NOT NULL AND mark >= %s",
					 part->watermark, columns.data, columns.data,
					 quote_literal_cstr(DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(work->since)))));
	if (work->after)
	{
		key_split(work->after, part->n_columns + 1, texts);
		appendStringInfo(&sql, " AND (mark%s) > (", columns.data);
		for (int c = 0; c <= part->n_columns; c++)
			appendStringInfo(&sql, "%s%s", c ? ", " : "", quote_literal_cstr(texts[c]));
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfo(&sql, " ORDER BY mark%s LIMIT %d", columns.data, work->limit);
	SPI_execute(sql.data, true, 0);
	collect_keys(work, result_cxt);
}

/* See source.h. */
ErrorData *
source_list_marked(Source *source, SourcePart *part, TimestampTz since, const char *after, int limit,
				   const char ***keys, int *n_keys, const char **last)
{
	KeyWork		work = {.part = part, .since = since, .after = after, .limit = limit};
	ErrorData  *error = restricted_run(source, list_marked, &work);

	*last = work.n_found > 0 ? pstrdup(work.found[work.n_found - 1]) : NULL;
	/* without the mark, in which there is no comma */
	for (int i = 0; i < work.n_found; i++)
	{
		char	   *texts[2];

		if (part->n_columns == 1 && key_split(work.found[i], 2, texts))
			work.found[i] = texts[1];
		else
			work.found[i] = strchr(work.found[i], ',') + 1;
	}
	*keys = work.found;
	*n_keys = work.n_found;
	return error;
}

static void
count_keys(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	SourcePart *part = work->part;
	char	   *columns = column_list(part);
	bool		isnull;

	SPI_execute(psprintf("SELECT count(*) FROM (SELECT DISTINCT %s FROM %s) AS k", columns,
						 quote_qualified_identifier(part->key_schema, part->key_table)), true, 0);
	work->count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* How many keys a part has. */
ErrorData *
source_count_keys(Source *source, SourcePart *part, int64 *count)
{
	KeyWork		work = {.part = part};
	ErrorData  *error = restricted_run(source, count_keys, &work);

	*count = work.count;
	return error;
}

/* The keys of the key relation that equal some keys, as they are written there. */
static void
look_up_keys(Source *source, KeyWork *work, MemoryContext result_cxt)
{
	SourcePart *part = work->part;
	Datum		arrays[KEY_MAX_COLUMNS];
	Oid			types[KEY_MAX_COLUMNS];
	StringInfoData sql;
	char	   *columns = column_list(part);

	part_resolve(source, part);
	part_key_arrays(part, work->keys, work->n_keys, arrays);
	initStringInfo(&sql);
	/* what is written in several ways would be one for a DISTINCT */
	appendStringInfo(&sql, "SELECT %s%s FROM %s WHERE (%s) IN (SELECT * FROM unnest(", part->loose ? "" : "DISTINCT ", columns,
					 quote_qualified_identifier(part->key_schema, part->key_table), columns);
	for (int c = 0; c < part->n_columns; c++)
	{
		types[c] = get_array_type(part->column_types[c]);
		appendStringInfo(&sql, "%s$%d", c ? ", " : "", c + 1);
	}
	appendStringInfoString(&sql, "))");
	SPI_execute_with_args(sql.data, part->n_columns, types, arrays, NULL, true, 0);
	collect_keys(work, result_cxt);
}

static void
find_existing(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	Spellings  *found;

	look_up_keys(source, work, result_cxt);
	found = spellings_make(work->part, work->found, work->n_found, !work->exactly);
	for (int i = 0; i < work->n_keys; i++)
		work->exists[i] = work->exactly ? spellings_has(found, work->keys[i]) : spellings_find(found, work->keys[i]) >= 0;
}

/* Which of the keys exist in the part's key relation. */
ErrorData *
source_existing_keys(Source *source, SourcePart *part, const char **keys, int n_keys, bool exactly, bool *exists)
{
	KeyWork		work = {.part = part, .keys = keys, .n_keys = n_keys, .exactly = exactly, .exists = exists};

	memset(exists, 0, sizeof(bool) * n_keys);
	return restricted_run(source, find_existing, &work);
}

static void
add_spellings(Source *source, void *arg, MemoryContext result_cxt)
{
	look_up_keys(source, arg, result_cxt);
}

/* Add the keys of the key relation that equal some keys; a key that cannot be read has no others. */
void
source_add_spellings(Source *source, SourcePart *part, const char ***keys, int *n_keys)
{
	KeyWork		work = {.part = part, .keys = *keys, .n_keys = *n_keys};
	int			n = *n_keys;

	if (n == 0)
		return;
	if (restricted_run(source, add_spellings, &work) == NULL)
	{
		const char **all = palloc_extended(sizeof(char *) * (n + work.n_found), MCXT_ALLOC_HUGE);

		memcpy(all, *keys, sizeof(char *) * n);
		memcpy(all + n, work.found, sizeof(char *) * work.n_found);
		*keys = all;
		*n_keys = n + work.n_found;
	}
	else if (n > 1)
	{
		const char **left = *keys;
		const char **right = *keys + n / 2;
		int			n_left = n / 2;
		int			n_right = n - n / 2;

		source_add_spellings(source, part, &left, &n_left);
		source_add_spellings(source, part, &right, &n_right);
		*keys = palloc_extended(sizeof(char *) * (n_left + n_right), MCXT_ALLOC_HUGE);
		memcpy(*keys, left, sizeof(char *) * n_left);
		memcpy(*keys + n_left, right, sizeof(char *) * n_right);
		*n_keys = n_left + n_right;
	}
}

/* See source.h. */
ErrorData *
source_try(Source *source)
{
	const char *none[1] = {""};

	for (int i = 0; i < source->n_parts; i++)
	{
		SourcePart *part = &source->parts[i];
		const char **keys = none;
		FeedRows	feed;
		const char *last;
		void	   *rows;
		int			n_keys = 0;
		int			n_rows;
		ErrorData  *error = NULL;

		switch (part->kind)
		{
			case PART_ORDER:
				error = source_read_orders(source, part, &keys, &n_keys, (MappedLine **) &rows, &n_rows);
				if (error == NULL && part->watermark)
					error = source_list_marked(source, part, DT_NOEND, NULL, 0, &keys, &n_keys, &last);
				break;
			case PART_FEED:
				error = source_read_feed(source, part, &keys, &n_keys, &feed);
				break;
			case PART_TOUCH:
				error = source_read_touched(source, part, keys, 0, (const char ***) &rows, &n_rows);
				break;
		}
		if (error)
			return error;
	}
	return NULL;
}

/* Whether the part's ids are the keys themselves; the part has been read before. */
bool
source_keys_are_ids(Source *source, SourcePart *part)
{
	return source->namespace == 0 && part_key_is_integer(part);
}

/* The id of a key given in canonical text; the part has been read before. */
int64
source_key_identity(Source *source, SourcePart *part, const char *key)
{
	KeyText		text = {.text = key};

	if (part_key_is_integer(part) && strspn(key, "-0123456789") == strlen(key) && strlen(key) < 20)
	{
		char	   *end;

		errno = 0;
		text.integer = strtoll(key, &end, 10);
		text.is_integer = errno == 0 && *end == '\0';
		if (part->columns[0].type == NUMERICOID && strlen(key) >= 19)
			text.is_integer = false;
	}
	return key_identity(source->namespace, &text);
}
