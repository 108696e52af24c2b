/*
 * key.h
 *		Canonical text of keys, and the ids made from it.
 *
 * A key of one column is its bare text; the columns of a composite key are
 * joined by commas, with commas and backslashes inside escaped.
 */
#ifndef AGENTCRM_KEY_H
#define AGENTCRM_KEY_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define KEY_MAX_COLUMNS 8

/* One column of a key: how its values become text. */
typedef struct KeyColumn
{
	Oid			type;			/* base type, domains resolved */
	Oid			output;			/* output function, when not direct */
	bool		varlena;
	bool		direct;			/* a core type rendered without a function that may fail */
} KeyColumn;

/* A canonical key: integers keep their value, and get their text when it is asked for. */
typedef struct KeyText
{
	bool		is_integer;
	int64		integer;
	const char *text;			/* use key_text() */
} KeyText;

extern const char *key_text(KeyText *key);

/* Keys of one class keep their ids when their column's type changes within it. */
extern const char *key_class(Oid type);
extern void key_column_init(KeyColumn *column, Oid type);

/* Append one value of a direct type; false when it does not fit into size bytes or is toasted. */
extern bool key_render_direct(const KeyColumn *column, Datum value, bool escape,
							  char *buffer, int size, int *used);

/* Append one value of any type; the caller has fixed DateStyle and the like. */
extern void key_render(StringInfo buffer, const KeyColumn *column, Datum value, bool escape);

/* Fix the settings that key texts depend on; returns the GUC nest level to roll back to. */
extern int	key_fix_settings(void);

/* Split a canonical key into its column texts; false when it has another number of columns. */
extern bool key_split(const char *key, int n_columns, char **texts);

/* The id of a key: itself for integers in namespace 0, else 63 bits of SHA-256. */
extern int64 key_identity(int32 namespace, KeyText *key);

#endif
