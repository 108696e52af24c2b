/*
 * read.c
 *		Re-reading orders, feeds and touched orders by their keys.
 *
 * The query gets one typed array per key column, decoded from the canonical
 * texts; what it returns is checked, normalised (numeric money, one time zone)
 * and given its ids.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "source/restricted.h"

/* ---- the part's key: its types and its arrays ---- */

/* Find the types of the key columns; as the source's role, which must see the relation. */
static void
resolve_part(Source *source, SourcePart *part)
{
	Oid			nspid = get_namespace_oid(part->key_schema, false);
	Oid			relid = get_relname_relid(part->key_table, nspid);

	if (part->resolved)
		return;
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", part->key_schema, part->key_table)));
	for (int i = 0; i < part->n_columns; i++)
	{
		AttrNumber	attno = get_attnum(relid, part->key_columns[i]);

		if (attno == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s.%s\" does not exist",
							part->key_columns[i], part->key_schema, part->key_table)));
		part->column_types[i] = get_atttype(relid, attno);
		key_column_init(&part->columns[i], part->column_types[i]);
	}
	part->resolved = true;
}

/* One typed array per key column. */
static void
key_arrays(SourcePart *part, const char **keys, int n_keys, Datum *arrays)
{
	Datum	   *elems[KEY_MAX_COLUMNS];

	for (int c = 0; c < part->n_columns; c++)
		elems[c] = palloc(sizeof(Datum) * Max(n_keys, 1));
	for (int c = 0; c < part->n_columns; c++)
	{
		Oid			input;
		Oid			ioparam;
		FmgrInfo	flinfo;
		int16		typlen;
		bool		typbyval;
		char		typalign;

		getTypeInputInfo(part->column_types[c], &input, &ioparam);
		fmgr_info(input, &flinfo);
		get_typlenbyvalalign(part->column_types[c], &typlen, &typbyval, &typalign);
		for (int i = 0; i < n_keys; i++)
		{
			char	   *texts[KEY_MAX_COLUMNS];

			if (!key_split(keys[i], part->n_columns, texts))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						 errmsg("key \"%s\" of part \"%s\" does not have %d columns",
								keys[i], part->name, part->n_columns)));
			elems[c][i] = InputFunctionCall(&flinfo, texts[c], ioparam, -1);
		}
		arrays[c] = PointerGetDatum(construct_array(elems[c], n_keys, part->column_types[c],
													typlen, typbyval, typalign));
	}
}

/* Execute the part's query for keys; the result is in SPI_tuptable. */
static void
execute_for_keys(Source *source, SourcePart *part, const char **keys, int n_keys)
{
	Datum		arrays[KEY_MAX_COLUMNS];

	resolve_part(source, part);
	if (part->plan == NULL)
	{
		Oid			types[KEY_MAX_COLUMNS];

		for (int c = 0; c < part->n_columns; c++)
		{
			types[c] = get_array_type(part->column_types[c]);
			if (!OidIsValid(types[c]))
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("type %s of key column \"%s\" has no array type",
								format_type_be(part->column_types[c]), part->key_columns[c])));
		}
		part->plan = SPI_prepare(part->query, part->n_columns, types);
		if (part->plan == NULL)
			elog(ERROR, "could not prepare the query of part \"%s\": %s", part->name,
				 SPI_result_code_string(SPI_result));
		SPI_keepplan(part->plan);
	}
	key_arrays(part, keys, n_keys, arrays);
	if (SPI_execute_plan(part->plan, arrays, NULL, true, 0) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of part \"%s\" is not a SELECT", part->name)));
}

/* Whether the ids of the part's keys are the keys themselves. */
static bool
part_key_is_integer(SourcePart *part)
{
	Oid			type = part->columns[0].type;

	return part->n_columns == 1 &&
		(type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID);
}

/* ---- the columns of a result ---- */

/* A result column, found by its name. */
typedef struct Column
{
	int			number;			/* 0: absent */
	Oid			type;
	KeyColumn	key;
} Column;

static Column
find_column(const char *name, bool required)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Column		column = {0};

	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
		{
			column.number = i + 1;
			column.type = getBaseType(TupleDescAttr(desc, i)->atttypid);
			key_column_init(&column.key, column.type);
			return column;
		}
	if (required)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the mapping's query gives no column \"%s\"", name)));
	return column;
}

typedef struct Row
{
	Datum	   *values;
	bool	   *isnull;
} Row;

static bool
is_null(const Row *row, const Column *column)
{
	return column->number == 0 || row->isnull[column->number - 1];
}

static Datum
value_of(const Row *row, const Column *column)
{
	return row->values[column->number - 1];
}

/* Append the columns of a ROW(...) key. */
static bool
render_record(StringInfo text, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header),
											  HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	bool		complete = true;

	for (int i = 0; i < desc->natts && complete; i++)
	{
		bool		isnull;
		Datum		part = heap_getattr(&tuple, i + 1, desc, &isnull);
		KeyColumn	column;

		complete = !isnull;
		if (isnull)
			break;
		if (i > 0)
			appendStringInfoChar(text, ',');
		key_column_init(&column, TupleDescAttr(desc, i)->atttypid);
		key_render(text, &column, part, desc->natts > 1);
	}
	ReleaseTupleDesc(desc);
	return complete;
}

/* A key value of a result; false when it is NULL.  The text is made in the current context. */
static bool
get_key(const Row *row, const Column *column, KeyText *key)
{
	StringInfoData text;
	Datum		value;

	memset(key, 0, sizeof(*key));
	if (is_null(row, column))
		return false;
	value = value_of(row, column);
	initStringInfo(&text);
	if (column->type == RECORDOID || get_typtype(column->type) == TYPTYPE_COMPOSITE)
	{
		if (!render_record(&text, value))
			return false;
	}
	else
		key_render(&text, &column->key, value, false);
	key->text = text.data;
	switch (column->type)
	{
		case INT2OID:
			key->is_integer = true;
			key->integer = DatumGetInt16(value);
			break;
		case INT4OID:
			key->is_integer = true;
			key->integer = DatumGetInt32(value);
			break;
		case INT8OID:
			key->is_integer = true;
			key->integer = DatumGetInt64(value);
			break;
		case NUMERICOID:
			/* without a fraction and within bigint: itself */
			if (strspn(text.data, "-0123456789") == (size_t) text.len && text.len < 19)
			{
				key->is_integer = true;
				key->integer = DatumGetInt64(DirectFunctionCall1(numeric_int8, value));
			}
			break;
		default:
			break;
	}
	return true;
}

static char *
get_text(const Row *row, const Column *column)
{
	StringInfoData text;

	if (is_null(row, column))
		return NULL;
	initStringInfo(&text);
	key_render(&text, &column->key, value_of(row, column), false);
	return text.data;
}

/* A number of any core numeric type as a finite numeric; NULL when NULL. */
static Numeric
get_numeric(const Row *row, const Column *column, const char *name)
{
	Datum		value;
	Numeric		number;

	if (is_null(row, column))
		return NULL;
	value = value_of(row, column);
	switch (column->type)
	{
		case NUMERICOID:
			number = DatumGetNumericCopy(value);
			break;
		case INT2OID:
			number = int64_to_numeric(DatumGetInt16(value));
			break;
		case INT4OID:
			number = int64_to_numeric(DatumGetInt32(value));
			break;
		case INT8OID:
			number = int64_to_numeric(DatumGetInt64(value));
			break;
		case FLOAT4OID:
			number = DatumGetNumeric(DirectFunctionCall1(float4_numeric, value));
			break;
		case FLOAT8OID:
			number = DatumGetNumeric(DirectFunctionCall1(float8_numeric, value));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the mapping is of type %s, a number is expected",
							name, format_type_be(column->type))));
	}
	if (numeric_is_nan(number) || numeric_is_inf(number))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s is not a finite number", name)));
	return number;
}

static bool
get_bool(const Row *row, const Column *column, bool absent)
{
	if (is_null(row, column))
		return absent;
	if (column->type != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a column of the feed is of type %s, boolean is expected",
						format_type_be(column->type))));
	return DatumGetBool(value_of(row, column));
}

/* Deform the n-th row of SPI_tuptable. */
static void
get_row(Row *row, uint64 n)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;

	heap_deform_tuple(SPI_tuptable->vals[n], desc, row->values, row->isnull);
}

static Row
make_row(void)
{
	Row			row = {palloc(sizeof(Datum) * SPI_tuptable->tupdesc->natts),
	palloc(sizeof(bool) * SPI_tuptable->tupdesc->natts)};

	return row;
}

/* ---- which key a row belongs to ---- */

typedef struct KeyEntry
{
	const char *key;
	int			key_no;
	uint32		status;
} KeyEntry;

#define SH_PREFIX keymap
#define SH_ELEMENT_TYPE KeyEntry
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp((a), (b)) == 0)
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

static keymap_hash *
make_keymap(const char **keys, int n_keys)
{
	keymap_hash *map = keymap_create(CurrentMemoryContext, n_keys, NULL);

	for (int i = 0; i < n_keys; i++)
	{
		bool		found;

		keymap_insert(map, keys[i], &found)->key_no = i;
	}
	return map;
}

static int
key_number(keymap_hash *map, const char *key)
{
	KeyEntry   *entry = keymap_lookup(map, key);

	if (entry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the mapping's query returned key \"%s\", which was not asked for", key),
				 errhint("The query must filter on its key parameters.")));
	return entry->key_no;
}

/* ---- orders ---- */

typedef struct OrderColumns
{
	Column		client,
				order,
				line,
				product,
				rep,
				at,
				quantity,
				amount,
				margin,
				kind;
} OrderColumns;

typedef struct OrderWork
{
	SourcePart *part;
	const char **keys;
	int			n_keys;
	MappedLine *lines;
	int			n_lines;
} OrderWork;

static OrderColumns
find_order_columns(void)
{
	OrderColumns c = {
		.client = find_column("client_key", true),
		.order = find_column("order_key", true),
		.line = find_column("line_key", false),
		.product = find_column("product_key", false),
		.rep = find_column("rep_key", false),
		.at = find_column("ordered_at", true),
		.quantity = find_column("quantity", true),
		.amount = find_column("amount", true),
		.margin = find_column("margin", false),
		.kind = find_column("kind", false)
	};

	return c;
}

/* The time of an order as timestamptz; zone-less values are the source's local time. */
static TimestampTz
get_time(Source *source, const Row *row, const Column *column)
{
	static Datum zone = 0;
	static char *zone_name = NULL;
	Datum		value = value_of(row, column);
	TimestampTz at;

	if (zone_name != source->time_zone)
	{
		MemoryContext old = MemoryContextSwitchTo(source->cxt);

		zone = CStringGetTextDatum(source->time_zone);
		zone_name = source->time_zone;
		MemoryContextSwitchTo(old);
	}
	switch (column->type)
	{
		case TIMESTAMPTZOID:
			at = DatumGetTimestampTz(value);
			break;
		case DATEOID:
			value = DirectFunctionCall1(date_timestamp, value);
			/* FALLTHROUGH */
		case TIMESTAMPOID:
			at = DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, zone, value));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"ordered_at\" of the mapping is of type %s, a date or timestamp is expected",
							format_type_be(column->type))));
	}
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("ordered_at is not a finite time")));
	return at;
}

/* The day of a time in the source's zone. */
static DateADT
local_day(Source *source, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (timestamp2tm(at, &tz, &tm, &fsec, NULL, source->tz) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("ordered_at is out of range")));
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

static bool
is_return(const Row *row, const Column *column, Numeric quantity)
{
	char	   *kind;

	if (is_null(row, column))
		return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(quantity),
												NumericGetDatum(int64_to_numeric(0))));
	kind = get_text(row, column);
	if (strcmp(kind, "sale") == 0)
		return false;
	if (strcmp(kind, "return") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("kind is \"%s\", \"sale\" or \"return\" is expected", kind)));
}

/* The id of a key, and its text where the id does not tell it. */
static int64
identify(Source *source, const KeyText *key, const char **text)
{
	if (source->namespace == 0 && key->is_integer)
	{
		*text = NULL;
		return key->integer;
	}
	*text = key->text;
	return key_identity(source->namespace, key);
}

/* Map one row; false when it is no counted line (no client, no time yet). */
static bool
map_line(Source *source, const OrderColumns *c, const Row *row, MappedLine *mapped)
{
	LedgerLine *line = &mapped->line;
	KeyText		key;

	memset(mapped, 0, sizeof(*mapped));
	if (is_null(row, &c->at) || !get_key(row, &c->client, &key))
		return false;
	line->client_id = identify(source, &key, &mapped->client_text);
	line->source_id = source->source_id;
	line->has_product = get_key(row, &c->product, &key);
	if (line->has_product)
		line->product_id = identify(source, &key, &mapped->product_text);
	line->has_rep = get_key(row, &c->rep, &key);
	if (line->has_rep)
		line->rep_id = identify(source, &key, &mapped->rep_text);
	line->ordered_at = get_time(source, row, &c->at);
	line->quantity = get_numeric(row, &c->quantity, "quantity");
	line->amount = get_numeric(row, &c->amount, "amount");
	line->margin = get_numeric(row, &c->margin, "margin");
	if (line->quantity == NULL || line->amount == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s is NULL", line->quantity ? "amount" : "quantity"),
				 errhint("Leave such lines out of the mapping, or use coalesce.")));
	line->is_return = is_return(row, &c->kind, line->quantity);
	line->line_key = get_text(row, &c->line);
	return true;
}

static void
read_orders(Source *source, void *arg, MemoryContext result_cxt)
{
	OrderWork  *work = arg;
	OrderColumns columns;
	keymap_hash *map = make_keymap(work->keys, work->n_keys);
	Row			row;
	TimestampTz last_at = DT_NOBEGIN;
	DateADT		last_day = 0;

	execute_for_keys(source, work->part, work->keys, work->n_keys);
	columns = find_order_columns();
	row = make_row();
	key_fix_settings();			/* the query is over: keys are rendered alike everywhere */
	MemoryContextSwitchTo(result_cxt);
	work->lines = MemoryContextAllocHuge(result_cxt, sizeof(MappedLine) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MappedLine *mapped = &work->lines[work->n_lines];
		KeyText		order;

		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		get_row(&row, i);
		if (!get_key(&row, &columns.order, &order) || !map_line(source, &columns, &row, mapped))
			continue;
		mapped->key_no = key_number(map, order.text);
		mapped->line.order_id = key_identity(source->namespace, &order);
		if (mapped->line.ordered_at != last_at)
		{
			last_at = mapped->line.ordered_at;
			last_day = local_day(source, last_at);
		}
		mapped->line.ordered_on = last_day;
		work->n_lines++;
	}
}

/* The lines of the orders of some keys. */
ErrorData *
source_read_orders(Source *source, SourcePart *part, const char **keys, int n_keys,
				   MappedLine **lines, int *n_lines)
{
	OrderWork	work = {.part = part, .keys = keys, .n_keys = n_keys};
	ErrorData  *error = restricted_run(source, read_orders, &work);

	*lines = work.lines;
	*n_lines = work.n_lines;
	return error;
}

/* ---- feeds ---- */

typedef struct FeedWork
{
	SourcePart *part;
	const char **keys;
	int			n_keys;
	FeedRow    *rows;
	int			n_rows;
} FeedWork;

static int64
key_id(Source *source, const Row *row, const Column *column, bool *has)
{
	KeyText		key;

	*has = get_key(row, column, &key);
	return *has ? key_identity(source->namespace, &key) : 0;
}

static void
read_feed(Source *source, void *arg, MemoryContext result_cxt)
{
	FeedWork   *work = arg;
	char		key_name[NAMEDATALEN];
	Column		key,
				parent,
				rep,
				successor,
				name,
				channel,
				territory,
				category,
				active,
				do_not_contact,
				pack_qty,
				min_order_qty;
	Row			row;

	execute_for_keys(source, work->part, work->keys, work->n_keys);
	snprintf(key_name, sizeof(key_name), "%s_key", work->part->name);
	key = find_column(key_name, true);
	parent = find_column("parent_key", false);
	rep = find_column("rep_key", false);
	successor = find_column("successor_key", false);
	name = find_column("name", false);
	channel = find_column("channel", false);
	territory = find_column("territory", false);
	category = find_column("category", false);
	active = find_column("active", false);
	do_not_contact = find_column("do_not_contact", false);
	pack_qty = find_column("pack_qty", false);
	min_order_qty = find_column("min_order_qty", false);
	row = make_row();
	key_fix_settings();
	MemoryContextSwitchTo(result_cxt);
	work->rows = palloc0(sizeof(FeedRow) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		FeedRow    *out = &work->rows[work->n_rows];
		KeyText		text;

		get_row(&row, i);
		if (!get_key(&row, &key, &text))
			continue;
		out->id = key_identity(source->namespace, &text);
		out->key = text.text;
		out->name = get_text(&row, &name);
		out->active = get_bool(&row, &active, true);
		out->parent_id = key_id(source, &row, &parent, &out->has_parent);
		/* a feed named rep has its own key in that column */
		if (strcmp(work->part->name, "rep") != 0)
		{
			out->rep_id = key_id(source, &row, &rep, &out->has_rep);
			out->rep_key = out->has_rep ? get_text(&row, &rep) : NULL;
		}
		out->channel = get_text(&row, &channel);
		out->territory = get_text(&row, &territory);
		out->has_do_not_contact = !is_null(&row, &do_not_contact);
		out->do_not_contact = get_bool(&row, &do_not_contact, false);
		out->category = get_text(&row, &category);
		out->successor_id = key_id(source, &row, &successor, &out->has_successor);
		out->pack_qty = get_numeric(&row, &pack_qty, "pack_qty");
		out->min_order_qty = get_numeric(&row, &min_order_qty, "min_order_qty");
		work->n_rows++;
	}
}

/* The attributes of some clients, products or reps. */
ErrorData *
source_read_feed(Source *source, SourcePart *part, const char **keys, int n_keys,
				 FeedRow **rows, int *n_rows)
{
	FeedWork	work = {.part = part, .keys = keys, .n_keys = n_keys};
	ErrorData  *error = restricted_run(source, read_feed, &work);

	*rows = work.rows;
	*n_rows = work.n_rows;
	return error;
}

/* ---- keys ---- */

typedef struct KeyWork
{
	SourcePart *part;
	const char **keys;
	int			n_keys;
	const char *after;
	int			limit;
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
	Row			row = make_row();

	for (int c = 0; c < desc->natts; c++)
		key_column_init(&columns[c], TupleDescAttr(desc, c)->atttypid);
	key_fix_settings();
	MemoryContextSwitchTo(result_cxt);
	work->found = palloc(sizeof(char *) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		StringInfoData text;
		bool		complete = true;

		get_row(&row, i);
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

	execute_for_keys(source, work->part, work->keys, work->n_keys);
	collect_keys(work, result_cxt);
}

/* The order keys that rows of another table touch. */
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

static void
list_keys(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	SourcePart *part = work->part;
	StringInfoData sql;
	Datum		values[KEY_MAX_COLUMNS];
	Oid			types[KEY_MAX_COLUMNS];
	char	   *columns = column_list(part);

	resolve_part(source, part);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT DISTINCT %s FROM %s WHERE ", columns,
					 quote_qualified_identifier(part->key_schema, part->key_table));
	if (work->after)
	{
		char	   *texts[KEY_MAX_COLUMNS];

		key_split(work->after, part->n_columns, texts);
		appendStringInfo(&sql, "(%s) > (", columns);
		for (int c = 0; c < part->n_columns; c++)
		{
			Oid			input;
			Oid			ioparam;

			getTypeInputInfo(part->column_types[c], &input, &ioparam);
			types[c] = part->column_types[c];
			values[c] = OidInputFunctionCall(input, texts[c], ioparam, -1);
			appendStringInfo(&sql, "%s$%d", c ? ", " : "", c + 1);
		}
		appendStringInfoString(&sql, ") AND ");
	}
	appendStringInfo(&sql, "(%s) IS NOT NULL ORDER BY %s LIMIT %d",
					 part->n_columns == 1 ? columns : psprintf("ROW(%s)", columns), columns, work->limit);
	SPI_execute_with_args(sql.data, work->after ? part->n_columns : 0, types, values, NULL, true, 0);
	collect_keys(work, result_cxt);
}

/* Keys of a part in key order. */
ErrorData *
source_list_keys(Source *source, SourcePart *part, const char *after, int limit,
				 const char ***keys, int *n_keys)
{
	KeyWork		work = {.part = part, .after = after, .limit = limit};
	ErrorData  *error = restricted_run(source, list_keys, &work);

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

static void
find_existing(Source *source, void *arg, MemoryContext result_cxt)
{
	KeyWork    *work = arg;
	SourcePart *part = work->part;
	keymap_hash *map = make_keymap(work->keys, work->n_keys);
	Datum		arrays[KEY_MAX_COLUMNS];
	Oid			types[KEY_MAX_COLUMNS];
	StringInfoData sql;
	char	   *columns = column_list(part);

	resolve_part(source, part);
	key_arrays(part, work->keys, work->n_keys, arrays);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT DISTINCT %s FROM %s WHERE (%s) IN (SELECT * FROM unnest(", columns,
					 quote_qualified_identifier(part->key_schema, part->key_table), columns);
	for (int c = 0; c < part->n_columns; c++)
	{
		types[c] = get_array_type(part->column_types[c]);
		appendStringInfo(&sql, "%s$%d", c ? ", " : "", c + 1);
	}
	appendStringInfoString(&sql, "))");
	SPI_execute_with_args(sql.data, part->n_columns, types, arrays, NULL, true, 0);
	collect_keys(work, result_cxt);
	for (int i = 0; i < work->n_found; i++)
		work->exists[key_number(map, work->found[i])] = true;
}

/* Which of the keys exist in the part's key relation. */
ErrorData *
source_existing_keys(Source *source, SourcePart *part, const char **keys, int n_keys, bool *exists)
{
	KeyWork		work = {.part = part, .keys = keys, .n_keys = n_keys, .exists = exists};

	memset(exists, 0, sizeof(bool) * n_keys);
	return restricted_run(source, find_existing, &work);
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
