/*
 * columns.h
 *		Rows as parallel arrays: the arguments of one set-based statement.
 *
 * For tables that are written through the executor, many rows at a time:
 * INSERT ... SELECT FROM COLUMNS AS t(a, b, ...).
 */
#ifndef AGENTCRM_COLUMNS_H
#define AGENTCRM_COLUMNS_H

#include "postgres.h"

#include "executor/spi.h"

/* In a statement: the columns as a table of rows. */
#define COLUMNS "$columns"

typedef struct Columns Columns;

extern Columns *columns_new(int n_columns, const Oid *types, int max_rows); /* element types; in the current context */
extern void columns_row(Columns *c);	/* begin a row: all null */
extern void columns_set(Columns *c, int column, Datum value);	/* of the current row; columns count from 1 */
extern void columns_set_text(Columns *c, int column, const char *text); /* NULL stays null */

/*
 * Execute under SPI with the columns as $1 to $n and scalars after them; the
 * plan is prepared once and kept in *plan.  Returns the SPI result code.
 */
extern int	columns_execute(Columns *c, SPIPlanPtr *plan, const char *sql, int n_scalars, const Oid *types,
							const Datum *scalars);

/* The same without columns. */
extern int	plan_execute(SPIPlanPtr *plan, const char *sql, int n_scalars, const Oid *types, const Datum *scalars);

#endif
