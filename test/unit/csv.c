/*
 * csv.c
 *		Reads CSV of one line a record, compressed or not.
 *
 * Linked into every test; only those on reference vectors use it.
 */
#include "csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Cuts a line into its fields in place, quotes taken off. */
static int
split(char *line, char **field)
{
	bool		quoted = false;
	char	   *to = line;
	int			n = 1;

	line[strcspn(line, "\r\n")] = '\0';
	field[0] = line;
	for (const char *at = line; *at; at++)
		if (*at == '"')
			quoted = !quoted;
		else if (*at == ',' && !quoted && n < CSV_FIELDS)
		{
			*to++ = '\0';
			field[n++] = to;
		}
		else
			*to++ = *at;
	*to = '\0';
	return n;
}

bool
csv_open(Csv *csv, const char *name)
{
	const char *folder = getenv("BTYD_VECTORS");
	char		path[600];
	char		command[700];
	size_t		length = strlen(name);

	memset(csv, 0, sizeof(*csv));
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "../shared/data/btyd", name);
	csv->file = fopen(path, "r");
	if (csv->file && length > 3 && strcmp(name + length - 3, ".gz") == 0)
	{
		fclose(csv->file);
		snprintf(command, sizeof(command), "gzip -dc '%s'", path);
		csv->file = popen(command, "r");
		csv->piped = true;
	}
	if (csv->file && fgets(csv->header, sizeof(csv->header), csv->file))
		csv->n_names = split(csv->header, csv->name);
	return csv->n_names > 0;
}

bool
csv_next(Csv *csv)
{
	if (!fgets(csv->line, sizeof(csv->line), csv->file))
		return false;
	csv->n_fields = split(csv->line, csv->field);
	return true;
}

void
csv_close(Csv *csv)
{
	if (csv->piped)
		pclose(csv->file);
	else if (csv->file)
		fclose(csv->file);
}

const char *
csv_text(const Csv *csv, const char *column)
{
	for (int i = 0; i < csv->n_fields; i++)
		if (strcmp(csv->name[i], column) == 0)
			return csv->field[i];
	return "";
}

double
csv_number(const Csv *csv, const char *column)
{
	const char *text = csv_text(csv, column);

	return *text ? strtod(text, NULL) : NAN;
}
