/*
 * catalog.c
 *		The sources as this backend knows them.
 *
 * Reloaded when a source's version has grown; state and delivery are read
 * anew at each refresh.  The application's tables are not looked at here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "source/source.h"
#include "store.h"

static MemoryContext cache_cxt = NULL;
static Source **sources = NULL;
static int	n_sources = 0;

static SourceState
parse_state(const char *state)
{
	static const char *const names[] = {"shadow", "loading", "live", "paused", "broken", "detaching"};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (strcmp(state, names[i]) == 0)
			return (SourceState) i;
	elog(ERROR, "unknown state of a source: %s", state);
}

static char **
read_texts(Datum array, int *n)
{
	Datum	   *elems;
	char	  **texts;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, n);
	texts = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		texts[i] = TextDatumGetCString(elems[i]);
	return texts;
}

static void
read_part(SourcePart *part, HeapTuple tuple, TupleDesc desc)
{
	Datum		values[11];
	bool		isnull[11];
	char	   *kind;
	int			n_classes;

	heap_deform_tuple(tuple, desc, values, isnull);
	memset(part, 0, sizeof(*part));
	part->part = DatumGetInt16(values[1]);
	part->name = TextDatumGetCString(values[2]);
	kind = TextDatumGetCString(values[3]);
	part->kind = strcmp(kind, "order") == 0 ? PART_ORDER : strcmp(kind, "feed") == 0 ? PART_FEED : PART_TOUCH;
	part->query = TextDatumGetCString(values[4]);
	part->key_schema = TextDatumGetCString(values[5]);
	part->key_table = TextDatumGetCString(values[6]);
	part->key_columns = read_texts(values[7], &part->n_columns);
	part->key_classes = read_texts(values[8], &n_classes);
	part->touches = isnull[9] ? NULL : TextDatumGetCString(values[9]);
	part->watermark = isnull[10] ? NULL : TextDatumGetCString(values[10]);
	if (part->n_columns < 1 || part->n_columns > KEY_MAX_COLUMNS || n_classes != part->n_columns)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("part \"%s\" has %d key columns, from 1 to %d are possible",
						part->name, part->n_columns, KEY_MAX_COLUMNS)));
}

static void
read_parts(Source *source)
{
	Store	   *store = store_open("source_part", AccessShareLock);
	Datum		key = Int32GetDatum(source->source_id);
	StoreScan  *scan = store_scan(store, "source_part_pkey", 1, &key);
	HeapTuple	tuple;

	source->parts = palloc(sizeof(SourcePart));
	while ((tuple = store_next(scan)) != NULL)
	{
		source->parts = repalloc(source->parts, sizeof(SourcePart) * (source->n_parts + 1));
		read_part(&source->parts[source->n_parts++], tuple, store_desc(store));
	}
	store_scan_end(scan);
	store_close(store);
}

static Source *
make_source(Datum *values, bool *isnull)
{
	MemoryContext cxt = AllocSetContextCreate(cache_cxt, "agentcrm source", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Source	   *source = palloc0(sizeof(Source));

	source->cxt = cxt;
	source->source_id = DatumGetInt32(values[0]);
	source->name = TextDatumGetCString(values[1]);
	source->namespace = DatumGetInt32(values[2]);
	source->run_as = TextDatumGetCString(values[3]);
	source->search_path = TextDatumGetCString(values[4]);
	source->time_zone = TextDatumGetCString(values[5]);
	source->keep_deleted = strcmp(TextDatumGetCString(values[6]), "keep") == 0;
	if (!isnull[7])
	{
		source->archive_before = palloc(sizeof(Interval));
		*source->archive_before = *DatumGetIntervalP(values[7]);
	}
	source->version = DatumGetInt64(values[11]);
	source->tz = pg_tzset(source->time_zone);
	source->zone = CStringGetTextDatum(source->time_zone);
	if (source->tz == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" of source \"%s\" is not known", source->time_zone, source->name)));
	read_parts(source);
	MemoryContextSwitchTo(old);
	return source;
}

static void
drop_source(Source *source)
{
	for (int i = 0; i < source->n_parts; i++)
		if (source->parts[i].plan)
			SPI_freeplan(source->parts[i].plan);
	MemoryContextDelete(source->cxt);
}

/* A key relation has changed: its key columns may have other types. */
static void
forget_keys(Datum arg, Oid relid)
{
	for (int i = 0; i < n_sources; i++)
		for (int p = 0; p < sources[i]->n_parts; p++)
			if (relid == InvalidOid || sources[i]->parts[p].relid == relid)
				sources[i]->parts[p].resolved = false;
}

/* Bring the cache up to date with agentcrm.source. */
void
source_refresh(void)
{
	Store	   *store = store_open("source", AccessShareLock);
	StoreScan  *scan = store_scan(store, "source_pkey", 0, NULL);
	Source	  **fresh;
	int			n = 0;
	HeapTuple	tuple;

	if (cache_cxt == NULL)
	{
		cache_cxt = AllocSetContextCreate(CacheMemoryContext, "agentcrm sources", ALLOCSET_DEFAULT_SIZES);
		CacheRegisterRelcacheCallback(forget_keys, (Datum) 0);
	}
	fresh = MemoryContextAlloc(cache_cxt, sizeof(Source *));
	while ((tuple = store_next(scan)) != NULL)
	{
		Datum		values[16];
		bool		isnull[16];
		Source	   *source;

		heap_deform_tuple(tuple, store_desc(store), values, isnull);
		source = source_get(DatumGetInt32(values[0]));
		if (source == NULL || source->version != DatumGetInt64(values[11]))
			source = make_source(values, isnull);
		source->state = parse_state(TextDatumGetCString(values[8]));
		source->deliver = DatumGetBool(values[9]);
		source->unfit = DatumGetBool(values[15]);
		source->live_at = isnull[14] ? DT_NOBEGIN : DatumGetTimestampTz(values[14]);
		fresh = repalloc(fresh, sizeof(Source *) * (n + 1));
		fresh[n++] = source;
	}
	store_scan_end(scan);
	store_close(store);

	for (int i = 0; i < n_sources; i++)
	{
		bool		kept = false;

		for (int j = 0; j < n; j++)
			kept |= (fresh[j] == sources[i]);
		if (!kept)
			drop_source(sources[i]);
	}
	if (sources)
		pfree(sources);
	sources = fresh;
	n_sources = n;
}

/* How many sources there are, as of the last refresh. */
int
source_count(void)
{
	return n_sources;
}

/* One of them, in order of their numbers. */
Source *
source_nth(int i)
{
	return sources[i];
}

/* The source of a number; NULL when there is none. */
Source *
source_get(int32 source_id)
{
	for (int i = 0; i < n_sources; i++)
		if (sources[i]->source_id == source_id)
			return sources[i];
	return NULL;
}

/* A part by its number; NULL when there is none. */
SourcePart *
source_part(Source *source, int16 part)
{
	for (int i = 0; i < source->n_parts; i++)
		if (source->parts[i].part == part)
			return &source->parts[i];
	return NULL;
}

/* A part by its name; NULL when there is none. */
SourcePart *
source_part_named(Source *source, const char *name)
{
	for (int i = 0; i < source->n_parts; i++)
		if (strcmp(source->parts[i].name, name) == 0)
			return &source->parts[i];
	return NULL;
}

/* The part whose keys are the orders'. */
SourcePart *
source_order_part(Source *source)
{
	for (int i = 0; i < source->n_parts; i++)
		if (source->parts[i].kind == PART_ORDER)
			return &source->parts[i];
	elog(ERROR, "source \"%s\" has no orders", source->name);
}

/* See source.h. */
bool
source_part_touches(const SourcePart *part, const SourcePart *other)
{
	return part->touches && strcmp(part->touches, other->name) == 0;
}
