/*
 * feeds.c
 *		Re-reading the rows of feeds by their keys, as their kinds describe them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "source/part.h"
#include "source/restricted.h"
#include "source/result.h"
#include "source/spelling.h"

typedef struct FeedWork
{
	SourcePart *part;
	const char **keys;			/* as asked for, then as found */
	int			n_keys;
	FeedRows   *rows;
} FeedWork;

static ResultWanted
wanted(FeedType type)
{
	switch (type)
	{
		case FEED_NUMBER:
			return WANTED_NUMBER;
		case FEED_TIME:
		case FEED_DAY:
			return WANTED_TIME;
		case FEED_FLAG:
			return WANTED_BOOLEAN;
		case FEED_IDS:
		case FEED_TEXTS:
			return WANTED_ARRAY;
		default:
			return WANTED_ANY;
	}
}

static const char *
id_text(int64 id)
{
	return psprintf("%lld", (long long) id);
}

/* The id of a key, as text; sets *text to the key. */
static const char *
read_id(Source *source, const ResultRow *row, const ResultColumn *column, const char **text)
{
	KeyText		key;

	if (!result_key(row, column, &key))
		return NULL;
	*text = key_text(&key);
	return id_text(key_identity(source->namespace, &key));
}

static const char *
read_day(Source *source, const ResultRow *row, const ResultColumn *column, const char *name)
{
	DateADT		day;

	if (column->type == DATEOID)
		day = DatumGetDateADT(result_value(row, column));
	else
		day = result_day(source, result_time(source, row, column, name), name);
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s is not a finite date", name)));
	return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)));
}

/* The elements of an array, NULLs left out, as the text of an array of ids or texts. */
static const char *
read_array(Source *source, const ResultRow *row, const ResultColumn *column, bool ids)
{
	ArrayType  *array = DatumGetArrayTypeP(result_value(row, column));
	ResultColumn element = {.number = 1, .type = getBaseType(ARR_ELEMTYPE(array))};
	int16		length;
	bool		byval;
	char		align;
	Datum	   *values;
	bool	   *isnull;
	int			n;
	int			kept = 0;

	key_column_init(&element.key, element.type);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &byval, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, byval, align, &values, &isnull, &n);
	for (int i = 0; i < n; i++)
	{
		ResultRow	one = {&values[i], &isnull[i]};
		const char *text;
		const char *id = ids ? read_id(source, &one, &element, &text) : NULL;

		if (!isnull[i])
			values[kept++] = ids ? Int64GetDatum(pg_strtoint64(id)) : CStringGetTextDatum(result_text(&one, &element));
	}
	array = ids ? construct_array(values, kept, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE) :
		construct_array(values, kept, TEXTOID, -1, false, TYPALIGN_INT);
	return OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array));
}

static const char *
read_value(Source *source, const FeedColumn *c, const ResultRow *row, const ResultColumn *column, const char **key)
{
	if (result_is_null(row, column))
		return NULL;
	switch (c->type)
	{
		case FEED_ID:
		case FEED_SELF:
		case FEED_REP:
			return read_id(source, row, column, key);
		case FEED_KEY:
			{
				const char *text = NULL;

				(void) read_id(source, row, column, &text);
				return text;
			}
		case FEED_TEXT:
			return result_text(row, column);
		case FEED_NUMBER:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(result_numeric(row, column, c->name))));
		case FEED_TIME:
			return DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(result_time(source, row, column, c->name))));
		case FEED_DAY:
			return read_day(source, row, column, c->name);
		case FEED_FLAG:
			return result_bool(row, column, false) ? "true" : "false";
		case FEED_IDS:
		case FEED_TEXTS:
			return read_array(source, row, column, c->type == FEED_IDS);
	}
	return NULL;
}

static bool
is_word(const char *words, const char *text)
{
	size_t		length = strlen(text);

	for (const char *at = words; at; at = strchr(at, ' '))
	{
		at += *at == ' ';
		if (strncmp(at, text, length) == 0 && (at[length] == ' ' || at[length] == '\0'))
			return length > 0;
	}
	return false;
}

static void
check_value(const FeedColumn *c, const char *feed, const char *value)
{
	if (value == NULL && c->need == FEED_REQUIRED)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" of feed \"%s\" is NULL", c->name, feed),
				 errhint("Leave such rows out of the query, or use coalesce.")));
	if (value && c->words && !is_word(c->words, value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" of feed \"%s\" is \"%s\", one of these is expected: %s", c->name, feed, value, c->words)));
}

/* Read one row; false when it is left out: it has no key, or is about nobody yet. */
static bool
read_row(Source *source, const FeedKind *kind, const ResultRow *row, const ResultColumn *own,
		 const ResultColumn *columns, FeedRow *out)
{
	KeyText		key;

	if (!result_key(row, own, &key))
		return false;
	out->id = key_identity(source->namespace, &key);
	out->owner = 0;
	out->key = key_text(&key);
	out->values = palloc0(sizeof(char *) * kind->n_columns);
	out->keys = palloc0(sizeof(char *) * kind->n_columns);
	for (int i = 0; i < kind->n_columns; i++)
	{
		const FeedColumn *c = &kind->columns[i];
		const char *value = read_value(source, c, row, &columns[i], &out->keys[i]);

		if (c->need == FEED_OWNER)
		{
			if (value == NULL)
				return false;
			out->owner = pg_strtoint64(value);
		}
		if (c->type == FEED_SELF && value && pg_strtoint64(value) == out->id)
			value = NULL;
		if (value == NULL && (c->need == FEED_TRUE || c->need == FEED_KEPT))
			value = c->need == FEED_TRUE ? "true" : "false";
		check_value(c, kind->name, value);
		out->values[i] = value;
	}
	return true;
}

static int
compare_rows(const void *a, const void *b)
{
	const FeedRow *x = a;
	const FeedRow *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

/* A fact is given once for a key and its owner. */
static void
refuse_twice(FeedRows *rows)
{
	qsort(rows->rows, rows->n, sizeof(FeedRow), compare_rows);
	for (int i = 1; i < rows->n; i++)
		if (compare_rows(&rows->rows[i - 1], &rows->rows[i]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("the query of feed \"%s\" gives key \"%s\" twice", rows->kind->name, rows->rows[i].key),
					 errhint("Aggregate, or let the key name more columns.")));
}

static void
read_feed(Source *source, void *arg, MemoryContext result_cxt)
{
	FeedWork   *work = arg;
	FeedRows   *rows = work->rows;
	const FeedKind *kind = rows->kind;
	const char **asked = work->keys;
	int			n_asked = work->n_keys;
	Spellings  *spellings = NULL;
	ResultColumn own;
	ResultColumn *columns = palloc(sizeof(ResultColumn) * kind->n_columns);
	ResultRow	row;

	part_resolve(source, work->part);
	if (!kind->entity)
	{
		MemoryContext spi_cxt = MemoryContextSwitchTo(result_cxt);

		work->keys = spelling_own(work->part, work->keys, &work->n_keys);
		spellings = spellings_make(work->part, work->keys, work->n_keys, false);
		MemoryContextSwitchTo(spi_cxt);
		asked = spellings_firsts(spellings, &n_asked);
	}
	part_execute(source, work->part, asked, n_asked);
	own = result_column(psprintf("%s_key", kind->name), true, WANTED_ANY);
	MemoryContextSwitchTo(result_cxt);
	rows->given = palloc(sizeof(bool) * kind->n_columns);
	for (int i = 0; i < kind->n_columns; i++)
	{
		const FeedColumn *c = &kind->columns[i];

		columns[i] = result_column(c->name, c->need == FEED_REQUIRED || c->need == FEED_OWNER, wanted(c->type));
		rows->given[i] = columns[i].number != 0;
	}
	row = result_new_row();
	key_fix_settings();
	rows->rows = MemoryContextAllocHuge(result_cxt, sizeof(FeedRow) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		result_row(&row, i);
		if (!read_row(source, kind, &row, &own, columns, &rows->rows[rows->n]))
			continue;
		if (spellings && spellings_find(spellings, rows->rows[rows->n].key) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("the query of feed \"%s\" returned key \"%s\", which was not asked for", kind->name, rows->rows[rows->n].key),
					 errhint("The query must filter on its key parameters.")));
		rows->n++;
	}
	if (spellings)
	{
		refuse_twice(rows);
		work->keys = spellings->keys;
		work->n_keys = spellings->n;
	}
}

/* What a feed gives for some keys. */
ErrorData *
source_read_feed(Source *source, SourcePart *part, const char ***keys, int *n_keys, FeedRows *rows)
{
	FeedWork	work = {.part = part, .keys = *keys, .n_keys = *n_keys, .rows = rows};
	ErrorData  *error;

	*rows = (FeedRows) {.kind = feed_kind(part->name)};
	error = restricted_run(source, read_feed, &work);
	if (error == NULL)
	{
		*keys = work.keys;
		*n_keys = work.n_keys;
	}
	return error;
}
