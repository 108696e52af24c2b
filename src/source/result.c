/*
 * result.c
 *		Values out of the result of a mapping's query: found by column name,
 *		checked, and normalised.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "source/result.h"

#define LARGEST_NUMBER "1e100"

static bool
type_serves(Oid type, ResultWanted wanted)
{
	switch (wanted)
	{
		case WANTED_NUMBER:
			return type == NUMERICOID || type == INT2OID || type == INT4OID || type == INT8OID ||
				type == FLOAT4OID || type == FLOAT8OID || type == MONEYOID;
		case WANTED_TIME:
			return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
		case WANTED_BOOLEAN:
			return type == BOOLOID;
		case WANTED_ARRAY:
			return OidIsValid(get_element_type(type));
		default:
			return true;
	}
}

/* Find a column by its name; number 0 when it is absent and not required. */
ResultColumn
result_column(const char *name, bool required, ResultWanted wanted)
{
	static const char *const expected[] = {"", "a number", "a date or timestamp", "boolean", "an array"};
	TupleDesc	desc = SPI_tuptable->tupdesc;
	ResultColumn		column = {0};

	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
		{
			column.number = i + 1;
			column.type = getBaseType(TupleDescAttr(desc, i)->atttypid);
			column.composite = column.type == RECORDOID || get_typtype(column.type) == TYPTYPE_COMPOSITE;
			key_column_init(&column.key, column.type);
			if (!type_serves(column.type, wanted))
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("column \"%s\" of the mapping is of type %s, %s is expected",
								name, format_type_be(column.type), expected[wanted])));
			return column;
		}
	if (required)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the mapping's query gives no column \"%s\"", name)));
	return column;
}

/* Whether the row has no value in the column, or the result no such column. */
bool
result_is_null(const ResultRow *row, const ResultColumn *column)
{
	return column->number == 0 || row->isnull[column->number - 1];
}

/* The value; not NULL. */
Datum
result_value(const ResultRow *row, const ResultColumn *column)
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

/* A key value of a result; false when it is NULL.  Texts are made in the current context. */
bool
result_key(const ResultRow *row, const ResultColumn *column, KeyText *key)
{
	StringInfoData text;
	Datum		value;

	memset(key, 0, sizeof(*key));
	if (result_is_null(row, column))
		return false;
	value = result_value(row, column);
	switch (column->type)
	{
		case INT2OID:
			key->is_integer = true;
			key->integer = DatumGetInt16(value);
			return true;
		case INT4OID:
			key->is_integer = true;
			key->integer = DatumGetInt32(value);
			return true;
		case INT8OID:
			key->is_integer = true;
			key->integer = DatumGetInt64(value);
			return true;
		default:
			break;
	}
	initStringInfo(&text);
	if (column->composite)
	{
		if (!render_record(&text, value))
			return false;
	}
	else
		key_render(&text, &column->key, value, false);
	key->text = text.data;
	/* a numeric without a fraction and within bigint is an integer */
	if (column->type == NUMERICOID && text.len < 19 && strspn(text.data, "-0123456789") == (size_t) text.len)
	{
		key->is_integer = true;
		key->integer = DatumGetInt64(DirectFunctionCall1(numeric_int8, value));
	}
	return true;
}

/* A value as canonical text, NULL when NULL. */
char *
result_text(const ResultRow *row, const ResultColumn *column)
{
	StringInfoData text;

	if (result_is_null(row, column))
		return NULL;
	initStringInfo(&text);
	key_render(&text, &column->key, result_value(row, column), false);
	return text.data;
}

/*
 * Whether a finite number is too large to count with: profiles hold sums of
 * squares and products of amounts in double precision, which ends at 1e308.
 */
static bool
is_too_large(Numeric number)
{
	static Numeric limit = NULL;
	Datum		absolute = DirectFunctionCall1(numeric_abs, NumericGetDatum(number));

	if (limit == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		limit = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(LARGEST_NUMBER),
													ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		MemoryContextSwitchTo(old);
	}
	return DatumGetBool(DirectFunctionCall2(numeric_gt, absolute, NumericGetDatum(limit)));
}

/* A number of any core numeric type as a finite numeric that can be counted with; NULL when NULL. */
Numeric
result_numeric(const ResultRow *row, const ResultColumn *column, const char *name)
{
	Datum		value;
	Numeric		number;

	if (result_is_null(row, column))
		return NULL;
	value = result_value(row, column);
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
		case MONEYOID:
			number = DatumGetNumeric(DirectFunctionCall1(cash_numeric, value));
			break;
		default:
			elog(ERROR, "column \"%s\" is no number", name);
	}
	if (numeric_is_nan(number) || numeric_is_inf(number))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s is not a finite number", name)));
	if (is_too_large(number))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s is beyond " LARGEST_NUMBER, name)));
	return number;
}

/* A boolean; absent stands for NULL and for a missing column. */
bool
result_bool(const ResultRow *row, const ResultColumn *column, bool absent)
{
	if (result_is_null(row, column))
		return absent;
	return DatumGetBool(result_value(row, column));
}

/* A time as timestamptz; zone-less values are the source's local time.  Not NULL. */
TimestampTz
result_time(Source *source, const ResultRow *row, const ResultColumn *column, const char *name)
{
	Datum		value = result_value(row, column);
	TimestampTz at;

	switch (column->type)
	{
		case TIMESTAMPTZOID:
			at = DatumGetTimestampTz(value);
			break;
		case DATEOID:
			value = DirectFunctionCall1(date_timestamp, value);
			/* FALLTHROUGH */
		case TIMESTAMPOID:
			at = DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, source->zone, value));
			break;
		default:
			elog(ERROR, "column \"%s\" is no time", name);
	}
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s is not a finite time", name)));
	return at;
}

/* The day of a time in the source's zone. */
DateADT
result_day(Source *source, TimestampTz at, const char *name)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (timestamp2tm(at, &tz, &tm, &fsec, NULL, source->tz) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s is out of range", name)));
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

/* Deform the n-th row of SPI_tuptable. */
void
result_row(ResultRow *row, uint64 n)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;

	heap_deform_tuple(SPI_tuptable->vals[n], desc, row->values, row->isnull);
}

/* Room for a row of SPI_tuptable. */
ResultRow
result_new_row(void)
{
	ResultRow	row = {palloc(sizeof(Datum) * SPI_tuptable->tupdesc->natts),
	palloc(sizeof(bool) * SPI_tuptable->tupdesc->natts)};

	return row;
}

