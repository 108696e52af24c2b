/*
 * result.h
 *		Values out of the result of a mapping's query, inside the room.
 */
#ifndef AGENTCRM_RESULT_H
#define AGENTCRM_RESULT_H

#include "source/source.h"

/* A result column, found by its name. */
typedef struct ResultColumn
{
	int			number;			/* 0: absent */
	Oid			type;
	bool		composite;
	KeyColumn	key;
} ResultColumn;

/* A row of the result, deformed. */
typedef struct ResultRow
{
	Datum	   *values;
	bool	   *isnull;
} ResultRow;

/* What a column must hold; another type is an error whatever the rows are. */
typedef enum ResultWanted
{
	WANTED_ANY,
	WANTED_NUMBER,
	WANTED_TIME,
	WANTED_BOOLEAN,
	WANTED_ARRAY
} ResultWanted;

extern ResultColumn result_column(const char *name, bool required, ResultWanted wanted);
extern ResultRow result_new_row(void);
extern void result_row(ResultRow *row, uint64 n);
extern bool result_is_null(const ResultRow *row, const ResultColumn *column);
extern Datum result_value(const ResultRow *row, const ResultColumn *column);
extern bool result_key(const ResultRow *row, const ResultColumn *column, KeyText *key);
extern char *result_text(const ResultRow *row, const ResultColumn *column);
extern Numeric result_numeric(const ResultRow *row, const ResultColumn *column, const char *name);
extern TimestampTz result_time(Source *source, const ResultRow *row, const ResultColumn *column, const char *name);
extern DateADT result_day(Source *source, TimestampTz at, const char *name);
extern bool result_bool(const ResultRow *row, const ResultColumn *column, bool absent);

#endif
