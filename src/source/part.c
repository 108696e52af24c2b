/*
 * part.c
 *		Executing a part's query for keys.
 *
 * The query gets one typed array per key column, decoded from the canonical
 * texts.  Everything here runs as the source's role (restricted.c).
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "source/part.h"

/* Find the types of the key columns; as the source's role, which must see the relation. */
void
part_resolve(Source *source, SourcePart *part)
{
	Oid			relid;

	if (part->resolved)
		return;
	if (part->plan)
	{
		/* prepared for the types of before */
		SPI_freeplan(part->plan);
		part->plan = NULL;
	}
	relid = get_relname_relid(part->key_table, get_namespace_oid(part->key_schema, false));
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
	part->relid = relid;
	part->resolved = true;
}

/* One typed array per key column. */
void
part_key_arrays(SourcePart *part, const char **keys, int n_keys, Datum *arrays)
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
void
part_execute(Source *source, SourcePart *part, const char **keys, int n_keys)
{
	Datum		arrays[KEY_MAX_COLUMNS];

	part_resolve(source, part);
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
	part_key_arrays(part, keys, n_keys, arrays);
	if (SPI_execute_plan(part->plan, arrays, NULL, true, 0) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of part \"%s\" is not a SELECT", part->name)));
}

/* Whether the ids of the part's keys are the keys themselves. */
bool
part_key_is_integer(SourcePart *part)
{
	Oid			type = part->columns[0].type;

	return part->n_columns == 1 &&
		(type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID);
}


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

/* Numbers of keys by their texts. */
keymap_hash *
keymap_make(const char **keys, int n_keys)
{
	keymap_hash *map = keymap_create(CurrentMemoryContext, n_keys, NULL);

	for (int i = 0; i < n_keys; i++)
	{
		bool		found;

		keymap_insert(map, keys[i], &found)->key_no = i;
	}
	return map;
}

/* The number of a key that was asked for. */
int
keymap_number(keymap_hash *map, const char *key)
{
	KeyEntry   *entry = keymap_lookup(map, key);

	if (entry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the mapping's query returned key \"%s\", which was not asked for", key),
				 errhint("The query must filter on its key parameters.")));
	return entry->key_no;
}

