/*
 * columns.c
 *		Rows as parallel arrays: the arguments of one set-based statement.
 *
 * Knows no table; plans are kept per backend and replanned by PostgreSQL when
 * what they read changes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "columns.h"

#define MAX_ARGUMENTS 48

struct Columns
{
	int			n_columns;
	int			n_rows;
	int			max_rows;
	const Oid  *types;
	Datum	   *values;			/* column by column */
	bool	   *nulls;
};

/* Room for max_rows rows of the given element types. */
Columns *
columns_new(int n_columns, const Oid *types, int max_rows)
{
	Columns    *c = palloc(sizeof(Columns));
	Size		cells = (Size) n_columns * Max(max_rows, 1);

	c->n_columns = n_columns;
	c->n_rows = 0;
	c->max_rows = Max(max_rows, 1);
	c->types = types;
	c->values = palloc_extended(sizeof(Datum) * cells, MCXT_ALLOC_HUGE);
	c->nulls = palloc_extended(sizeof(bool) * cells, MCXT_ALLOC_HUGE);
	return c;
}

/* Begin the next row, all null. */
void
columns_row(Columns *c)
{
	Assert(c->n_rows < c->max_rows);
	for (int i = 0; i < c->n_columns; i++)
		c->nulls[(Size) i * c->max_rows + c->n_rows] = true;
	c->n_rows++;
}

/* Set a column of the current row. */
void
columns_set(Columns *c, int column, Datum value)
{
	Size		cell = (Size) (column - 1) * c->max_rows + c->n_rows - 1;

	c->values[cell] = value;
	c->nulls[cell] = false;
}

/* Set a text column of the current row. */
void
columns_set_text(Columns *c, int column, const char *text)
{
	if (text != NULL)
		columns_set(c, column, CStringGetTextDatum(text));
}

static Datum
column_array(Columns *c, int i)
{
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			lower = 1;

	if (c->n_rows == 0)
		return PointerGetDatum(construct_empty_array(c->types[i]));
	get_typlenbyvalalign(c->types[i], &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(c->values + (Size) i * c->max_rows, c->nulls + (Size) i * c->max_rows,
											  1, &c->n_rows, &lower, c->types[i], typlen, typbyval, typalign));
}

/* unnest of several arrays has no qualified form: COLUMNS stands for the list of unnests. */
static const char *
expand_columns(const char *sql, int n_columns)
{
	const char *at = strstr(sql, COLUMNS);
	StringInfoData out;

	if (at == NULL)
		return sql;
	initStringInfo(&out);
	appendBinaryStringInfo(&out, sql, at - sql);
	appendStringInfoString(&out, "ROWS FROM (");
	for (int i = 1; i <= n_columns; i++)
		appendStringInfo(&out, "%spg_catalog.unnest($%d)", i > 1 ? ", " : "", i);
	appendStringInfo(&out, ")%s", at + strlen(COLUMNS));
	return out.data;
}

static void
prepare(SPIPlanPtr *plan, const char *sql, int n, Oid *types)
{
	SPIPlanPtr	new_plan = SPI_prepare(sql, n, types);

	if (new_plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(new_plan) != 0)
		elog(ERROR, "could not keep a plan");
	*plan = new_plan;
}

/* Execute with the columns as $1 to $n and the scalars after them. */
int
columns_execute(Columns *c, SPIPlanPtr *plan, const char *sql, int n_scalars, const Oid *types, const Datum *scalars)
{
	Oid			all_types[MAX_ARGUMENTS];
	Datum		values[MAX_ARGUMENTS];
	int			n_columns = c != NULL ? c->n_columns : 0;

	Assert(n_columns + n_scalars <= MAX_ARGUMENTS);
	if (*plan == NULL)
	{
		for (int i = 0; i < n_columns; i++)
			all_types[i] = get_array_type(c->types[i]);
		for (int i = 0; i < n_scalars; i++)
			all_types[n_columns + i] = types[i];
		prepare(plan, expand_columns(sql, n_columns), n_columns + n_scalars, all_types);
	}
	for (int i = 0; i < n_columns; i++)
		values[i] = column_array(c, i);
	for (int i = 0; i < n_scalars; i++)
		values[n_columns + i] = scalars[i];
	return SPI_execute_plan(*plan, values, NULL, false, 0);
}

/* Execute a kept plan with scalars only. */
int
plan_execute(SPIPlanPtr *plan, const char *sql, int n_scalars, const Oid *types, const Datum *scalars)
{
	return columns_execute(NULL, plan, sql, n_scalars, types, scalars);
}
