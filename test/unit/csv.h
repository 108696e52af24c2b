/*
 * csv.h
 *		The reference vectors of the repurchase models, read where they lie.
 *
 * They are not part of this repository: BTYD_VECTORS names their folder, by
 * default ../shared/data/btyd.  Where it is missing the tests skip and say so.
 */
#ifndef AGENTCRM_TEST_CSV_H
#define AGENTCRM_TEST_CSV_H

#include <stdbool.h>
#include <stdio.h>

#define CSV_FIELDS 24

typedef struct Csv
{
	FILE	   *file;
	bool		piped;
	char		header[1000];
	char		line[1000];
	char	   *name[CSV_FIELDS];
	char	   *field[CSV_FIELDS];
	int			n_names;
	int			n_fields;
} Csv;

/* False where there is no such file; names ending in .gz go through gzip. */
extern bool csv_open(Csv *csv, const char *name);
extern bool csv_next(Csv *csv);
extern void csv_close(Csv *csv);

/* The field under a column's name: "" and NaN where it is empty or missing. */
extern const char *csv_text(const Csv *csv, const char *column);
extern double csv_number(const Csv *csv, const char *column);

#endif							/* AGENTCRM_TEST_CSV_H */
