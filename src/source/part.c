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
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "source/part.h"
#include "source/spelling.h"

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
	part->loose = false;
	for (int i = 0; i < part->n_columns; i++)
	{
		AttrNumber	attno = get_attnum(relid, part->key_columns[i]);
		int32		typmod;

		if (attno == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s.%s\" does not exist",
							part->key_columns[i], part->key_schema, part->key_table)));
		get_atttypetypmodcoll(relid, attno, &part->column_types[i], &typmod, &part->collations[i]);
		key_column_init(&part->columns[i], part->column_types[i]);
		if (strcmp(key_class(part->column_types[i]), part->key_classes[i]) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("key column \"%s\" of \"%s.%s\" is of type %s, under which keys have other ids than under %s",
							part->key_columns[i], part->key_schema, part->key_table,
							format_type_be(part->column_types[i]), part->key_classes[i])));
		part->loose |= spelling_is_loose(&part->columns[i], part->collations[i]);
	}
	part->relid = relid;
	part->resolved = true;
}

/* Ready to read texts as values of the key columns. */
void
part_reader_init(KeyReader *reader, SourcePart *part)
{
	reader->part = part;
	for (int c = 0; c < part->n_columns; c++)
	{
		Oid			input;

		getTypeInputInfo(part->column_types[c], &input, &reader->ioparam[c]);
		fmgr_info(input, &reader->input[c]);
	}
}

/* The values of a key. */
void
part_read_key(KeyReader *reader, const char *key, Datum *values)
{
	SourcePart *part = reader->part;
	char	   *texts[KEY_MAX_COLUMNS];

	if (!key_split(key, part->n_columns, texts))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("key \"%s\" of part \"%s\" does not have %d columns",
						key, part->name, part->n_columns)));
	for (int c = 0; c < part->n_columns; c++)
		values[c] = InputFunctionCall(&reader->input[c], texts[c], reader->ioparam[c], -1);
}

/* One typed array per key column. */
void
part_key_arrays(SourcePart *part, const char **keys, int n_keys, Datum *arrays)
{
	Datum	   *elems[KEY_MAX_COLUMNS];
	KeyReader	reader;

	part_reader_init(&reader, part);
	for (int c = 0; c < part->n_columns; c++)
		elems[c] = palloc(sizeof(Datum) * Max(n_keys, 1));
	for (int i = 0; i < n_keys; i++)
	{
		Datum		values[KEY_MAX_COLUMNS];

		part_read_key(&reader, keys[i], values);
		for (int c = 0; c < part->n_columns; c++)
			elems[c][i] = values[c];
	}
	for (int c = 0; c < part->n_columns; c++)
	{
		int16		typlen;
		bool		typbyval;
		char		typalign;

		get_typlenbyvalalign(part->column_types[c], &typlen, &typbyval, &typalign);
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
