/*
 * spelling.c
 *		Keys that are equal though their texts differ: "ab" and "AB" of a
 *		case-insensitive type or collation, 12 in one table and '012' in another.
 *
 * What a watched column holds is first written as the part's key type writes
 * it.  Where that does not make equal keys alike, the type's own equality
 * decides which of them are one.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"

#include "source/spelling.h"

typedef struct KeyEntry
{
	const char *key;
	int			number;
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

/* By the equality of the key columns' types. */
static uint32
hash_values(const SourcePart *part, const Datum *values)
{
	uint32		hash = 0;

	for (int c = 0; c < part->n_columns; c++)
	{
		TypeCacheEntry *type = lookup_type_cache(part->columns[c].type, TYPECACHE_HASH_PROC_FINFO);

		if (OidIsValid(type->hash_proc))
			hash = hash_combine(hash, DatumGetUInt32(FunctionCall1Coll(&type->hash_proc_finfo, part->collations[c], values[c])));
	}
	return hash;
}

static bool
equal_values(const SourcePart *part, const Datum *a, const Datum *b)
{
	for (int c = 0; c < part->n_columns; c++)
	{
		TypeCacheEntry *type = lookup_type_cache(part->columns[c].type, TYPECACHE_EQ_OPR_FINFO);

		if (!OidIsValid(type->eq_opr) ||
			!DatumGetBool(FunctionCall2Coll(&type->eq_opr_finfo, part->collations[c], a[c], b[c])))
			return false;
	}
	return true;
}

typedef struct SameEntry
{
	const Datum *values;
	int			first;
	uint32		hash;
	uint32		status;
} SameEntry;

#define SH_PREFIX same
#define SH_ELEMENT_TYPE SameEntry
#define SH_KEY_TYPE const Datum *
#define SH_KEY values
#define SH_HASH_KEY(tb, key) hash_values((tb)->private_data, key)
#define SH_EQUAL(tb, a, b) equal_values((tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

/* The core key types write equal values alike, unless their collation says otherwise. */
bool
spelling_is_loose(const KeyColumn *column, Oid collation)
{
	return !column->direct || (OidIsValid(collation) && !get_collation_isdeterministic(collation));
}

/* Keys as their columns' types write them, each once. */
const char **
spelling_own(SourcePart *part, const char **keys, int *n)
{
	const char **own = palloc(sizeof(char *) * Max(*n, 1));
	keymap_hash *map = keymap_create(CurrentMemoryContext, Max(*n, 1), NULL);
	KeyReader	reader;
	StringInfoData text;
	int			kept = 0;
	int			level = key_fix_settings();

	part_reader_init(&reader, part);
	initStringInfo(&text);
	for (int i = 0; i < *n; i++)
	{
		Datum		values[KEY_MAX_COLUMNS];
		bool		found;

		part_read_key(&reader, keys[i], values);
		resetStringInfo(&text);
		for (int c = 0; c < part->n_columns; c++)
		{
			if (c > 0)
				appendStringInfoChar(&text, ',');
			key_render(&text, &part->columns[c], values[c], part->n_columns > 1);
		}
		own[kept] = strcmp(text.data, keys[i]) == 0 ? keys[i] : pstrdup(text.data);
		keymap_insert(map, own[kept], &found);
		kept += !found;
	}
	keymap_destroy(map);
	AtEOXact_GUC(true, level);
	*n = kept;
	return own;
}

static Datum *
key_values(Spellings *s, const char *key)
{
	Datum	   *values = palloc(sizeof(Datum) * s->part->n_columns);

	part_read_key(&s->reader, key, values);
	return values;
}

static void
add_key(Spellings *s, const char *key)
{
	bool		found;

	if (s->n == s->max)
	{
		s->max *= 2;
		s->keys = repalloc(s->keys, sizeof(char *) * s->max);
		if (s->same)
			s->same = repalloc(s->same, sizeof(int) * s->max);
	}
	s->keys[s->n] = key;
	keymap_insert(s->numbers, key, &found)->number = s->n;
	if (s->same)
	{
		SameEntry  *entry = same_insert(s->values, key_values(s, key), &found);

		if (!found)
			entry->first = s->n;
		s->same[s->n] = entry->first;
	}
	s->n++;
}

/* Distinct keys; by value where equal ones may have several texts, or where asked to. */
Spellings *
spellings_make(SourcePart *part, const char **keys, int n, bool by_value)
{
	Spellings  *s = palloc0(sizeof(Spellings));

	s->part = part;
	s->max = Max(n, 1);
	s->keys = palloc(sizeof(char *) * s->max);
	s->numbers = keymap_create(CurrentMemoryContext, s->max, NULL);
	if (part->loose || by_value)
	{
		part_reader_init(&s->reader, part);
		s->same = palloc(sizeof(int) * s->max);
		s->values = same_create(CurrentMemoryContext, s->max, part);
	}
	for (int i = 0; i < n; i++)
		if (keymap_lookup(s->numbers, keys[i]) == NULL)
			add_key(s, keys[i]);
	return s;
}

/* The number of a key; one that only equals a key that is there joins them.  -1 when it is none of them. */
int
spellings_find(Spellings *s, const char *key)
{
	KeyEntry   *entry = keymap_lookup(s->numbers, key);

	if (entry)
		return entry->number;
	if (s->same == NULL || same_lookup(s->values, key_values(s, key)) == NULL)
		return -1;
	add_key(s, key);
	return s->n - 1;
}

/* One key of those that are equal. */
const char **
spellings_firsts(Spellings *s, int *n)
{
	const char **firsts = palloc(sizeof(char *) * Max(s->n, 1));

	*n = 0;
	for (int i = 0; i < s->n; i++)
		if (s->same == NULL || s->same[i] == i)
			firsts[(*n)++] = s->keys[i];
	return firsts;
}

/* Whether a key is among them just so. */
bool
spellings_has(Spellings *s, const char *key)
{
	return keymap_lookup(s->numbers, key) != NULL;
}
