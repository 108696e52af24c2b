/*
 * key.c
 *		Canonical text of keys, and the ids made from it.
 *
 * Capture renders keys inside the application's transaction, so the core key
 * types are rendered here by code that can neither fail nor wait; other types
 * go through their output function, which the caller guards.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "source/key.h"

PG_FUNCTION_INFO_V1(agentcrm_key_class);

/* Look up how values of a type are rendered; domains count as their base type. */
void
key_column_init(KeyColumn *column, Oid type)
{
	column->type = getBaseType(type);
	getTypeOutputInfo(column->type, &column->output, &column->varlena);
	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NUMERICOID:
		case UUIDOID:
		case DATEOID:
			column->direct = true;
			break;
		default:
			column->direct = false;
	}
}

/* number, text, or the type's qualified name. */
const char *
key_class(Oid type)
{
	char		category;
	bool		preferred;

	type = getBaseType(type);
	if (type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID)
		return "number";
	get_type_category_preferred(type, &category, &preferred);
	return category == TYPCATEGORY_STRING ? "text" : format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);
}

/* agentcrm.key_class(type): the same for the checks of attach. */
Datum
agentcrm_key_class(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(key_class(PG_GETARG_OID(0))));
}

static bool
append_bytes(const char *bytes, int length, bool escape, char *buffer, int size, int *used)
{
	for (int i = 0; i < length; i++)
	{
		bool		special = escape && (bytes[i] == ',' || bytes[i] == '\\');

		if (*used + 1 + special > size)
			return false;
		if (special)
			buffer[(*used)++] = '\\';
		buffer[(*used)++] = bytes[i];
	}
	return true;
}

static bool
append_text(const char *text, bool escape, char *buffer, int size, int *used)
{
	return append_bytes(text, strlen(text), escape, buffer, size, used);
}

static bool
append_varlena(Datum value, bool trim, bool escape, char *buffer, int size, int *used)
{
	struct varlena *text = (struct varlena *) DatumGetPointer(value);
	int			length;

	if (VARATT_IS_EXTERNAL(text) || VARATT_IS_COMPRESSED(text))
		return false;
	length = VARSIZE_ANY_EXHDR(text);
	while (trim && length > 0 && VARDATA_ANY(text)[length - 1] == ' ')
		length--;
	return append_bytes(VARDATA_ANY(text), length, escape, buffer, size, used);
}

static int
uuid_text(const pg_uuid_t *uuid, char *out)
{
	static const char hex[] = "0123456789abcdef";
	char	   *p = out;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[uuid->data[i] >> 4];
		*p++ = hex[uuid->data[i] & 15];
	}
	return p - out;
}

static int
date_text(DateADT date, char *out)
{
	struct pg_tm tm;

	if (DATE_IS_NOBEGIN(date))
		return strlcpy(out, "-infinity", MAXDATELEN);
	if (DATE_IS_NOEND(date))
		return strlcpy(out, "infinity", MAXDATELEN);
	j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, out);
	return strlen(out);
}

/* Append the canonical text of a value of a direct type; no catalog access. */
bool
key_render_direct(const KeyColumn *column, Datum value, bool escape,
				  char *buffer, int size, int *used)
{
	char		text[MAXDATELEN + 64];
	int			length;

	switch (column->type)
	{
		case INT2OID:
			length = pg_lltoa(DatumGetInt16(value), text);
			break;
		case INT4OID:
			length = pg_lltoa(DatumGetInt32(value), text);
			break;
		case INT8OID:
			length = pg_lltoa(DatumGetInt64(value), text);
			break;
		case NUMERICOID:
			/* equal numerics of different scale are one key */
			return append_text(numeric_normalize(DatumGetNumeric(value)), escape, buffer, size, used);
		case UUIDOID:
			length = uuid_text(DatumGetUUIDP(value), text);
			break;
		case DATEOID:
			length = date_text(DatumGetDateADT(value), text);
			break;
		default:
			return append_varlena(value, column->type == BPCHAROID, escape, buffer, size, used);
	}
	return append_bytes(text, length, escape, buffer, size, used);
}

/* Append the canonical text of a value of any type. */
void
key_render(StringInfo buffer, const KeyColumn *column, Datum value, bool escape)
{
	char	   *text;

	if (column->varlena)
		value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
	if (column->direct)
	{
		int			size = 128;

		/* a numeric has at most four decimal digits to two bytes; escaping doubles */
		if (column->varlena)
			size += 2 * VARSIZE_ANY_EXHDR(DatumGetPointer(value)) +
				(column->type == NUMERICOID ? 2 * NUMERIC_MAX_RESULT_SCALE : 0);
		enlargeStringInfo(buffer, size);
		if (!key_render_direct(column, value, escape, buffer->data,
							   buffer->maxlen - 1, &buffer->len))
			elog(ERROR, "key does not fit its buffer");
		buffer->data[buffer->len] = '\0';
		return;
	}

	text = OidOutputFunctionCall(column->output, value);
	for (char *p = text; *p; p++)
	{
		if (escape && (*p == ',' || *p == '\\'))
			appendStringInfoChar(buffer, '\\');
		appendStringInfoChar(buffer, *p);
	}
}

/* Fix the settings that key texts depend on. */
int
key_fix_settings(void)
{
	int			level = NewGUCNestLevel();

	set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("timezone", "UTC", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("bytea_output", "hex", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/* Split a canonical key into the texts of its columns, palloc'd. */
bool
key_split(const char *key, int n_columns, char **texts)
{
	StringInfoData part;
	int			n = 0;

	if (n_columns == 1)
	{
		texts[0] = pstrdup(key);
		return true;
	}
	initStringInfo(&part);
	for (const char *p = key;; p++)
	{
		if (*p == ',' || *p == '\0')
		{
			if (n == n_columns)
				return false;
			texts[n++] = pstrdup(part.data);
			resetStringInfo(&part);
			if (*p == '\0')
				break;
		}
		else
		{
			if (*p == '\\' && p[1] != '\0')
				p++;
			appendStringInfoChar(&part, *p);
		}
	}
	return n == n_columns;
}

/* The canonical text of a key. */
const char *
key_text(KeyText *key)
{
	if (key->text == NULL)
	{
		char		digits[32];

		pg_lltoa(key->integer, digits);
		key->text = pstrdup(digits);
	}
	return key->text;
}

/* The id of a key within a namespace. */
int64
key_identity(int32 namespace, KeyText *key)
{
	pg_cryptohash_ctx *context;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	uint32		prefix = pg_hton32((uint32) namespace);
	uint64		head;

	if (namespace == 0 && key->is_integer)
		return key->integer;

	context = pg_cryptohash_create(PG_SHA256);
	if (context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) &prefix, sizeof(prefix)) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) key_text(key), strlen(key_text(key))) < 0 ||
		pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not hash a key");
	pg_cryptohash_free(context);
	memcpy(&head, digest, sizeof(head));
	return (int64) (pg_ntoh64(head) & PG_INT64_MAX);
}
