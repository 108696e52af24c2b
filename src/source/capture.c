/*
 * capture.c
 *		The trigger on the application's tables: finds the key columns of the
 *		row that changed and remembers their values.
 *
 * Columns come from agentcrm.source_watch, cached per backend and firing
 * relation.  What cannot be resolved marks the source; nothing is raised.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "agentcrm.h"
#include "engine/engine.h"
#include "fault.h"
#include "queue/queue.h"
#include "source/key.h"
#include "source/pending.h"
#include "source/source.h"
#include "store.h"

PG_FUNCTION_INFO_V1(agentcrm_capture);

/* What a trigger on one relation has to do; resolved once per backend. */
typedef struct WatchKey
{
	int32		source_id;
	int32		watch;
	Oid			relid;			/* the relation that fires: column numbers differ among partitions */
} WatchKey;

typedef struct Watch
{
	WatchKey	key;			/* hash key: must be first */
	bool		valid;
	bool		absent;			/* no such watch: a trigger left over */
	bool		broken;			/* columns not found: every change marks the source */
	int16		part;
	bool		is_client;		/* the table of the client feed, by its key: an UPDATE of that is a rename */
	int			n_columns;
	AttrNumber	attnos[KEY_MAX_COLUMNS];
	KeyColumn	columns[KEY_MAX_COLUMNS];
	uint64		last_epoch;		/* pending_epoch when last_value was remembered */
	Datum		last_value;		/* of a single integer column */
} Watch;

static HTAB *watches = NULL;

static void
forget_watches(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	Watch	   *watch;

	if (watches == NULL)
		return;
	hash_seq_init(&status, watches);
	while ((watch = hash_seq_search(&status)) != NULL)
		if (relid == InvalidOid || watch->key.relid == relid)
			watch->valid = false;
}

/* Find the columns of a watch in the relation that fires. */
static void
resolve_columns(Watch *watch, ArrayType *names)
{
	Datum	   *elems;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, &n);
	if (n > KEY_MAX_COLUMNS)
		n = 0;
	watch->n_columns = n;
	watch->broken = (n == 0);
	for (int i = 0; i < n; i++)
	{
		AttrNumber	attno = get_attnum(watch->key.relid, TextDatumGetCString(elems[i]));

		if (attno == InvalidAttrNumber)
		{
			watch->broken = true;
			return;
		}
		watch->attnos[i] = attno;
		key_column_init(&watch->columns[i], get_atttype(watch->key.relid, attno));
	}
}

static bool
same_value(HeapTuple a, int a_number, TupleDesc a_desc, HeapTuple b, int b_number, TupleDesc b_desc)
{
	Form_pg_attribute type = TupleDescAttr(a_desc, a_number - 1);
	bool		a_null;
	bool		b_null;
	Datum		x = heap_getattr(a, a_number, a_desc, &a_null);
	Datum		y = heap_getattr(b, b_number, b_desc, &b_null);

	return !a_null && !b_null && datum_image_eq(x, y, type->attbyval, type->attlen);
}

/* Whether a row of source_watch is the table that lists the keys of the client feed. */
static bool
watches_clients(HeapTuple watch, TupleDesc desc)
{
	Store	   *store;
	StoreScan  *scan;
	HeapTuple	part;
	Datum		keys[2];
	bool		isnull;
	bool		result = false;

	if (!ConditionalLockRelationOid(store_relid("source_part"), AccessShareLock) ||
		!ConditionalLockRelationOid(store_relid("source_part_pkey"), AccessShareLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table \"agentcrm.source_part\" is locked")));
	keys[0] = heap_getattr(watch, 1, desc, &isnull);
	keys[1] = heap_getattr(watch, 3, desc, &isnull);
	store = store_open("source_part", AccessShareLock);
	scan = store_scan(store, "source_part_pkey", 2, keys);
	part = store_next(scan);
	if (part)
	{
		TupleDesc	part_desc = store_desc(store);

		result = strcmp(TextDatumGetCString(heap_getattr(part, 3, part_desc, &isnull)), "client") == 0 &&
			same_value(part, 6, part_desc, watch, 4, desc) &&
			same_value(part, 7, part_desc, watch, 5, desc) &&
			same_value(part, 8, part_desc, watch, 6, desc);
	}
	store_scan_end(scan);
	store_close(store);
	return result;
}

/* Read a watch from its table, under the newest snapshot and without waiting for a lock. */
static void
resolve_watch(void *arg)
{
	Watch	   *watch = arg;
	Oid			relid = store_relid("source_watch");
	Oid			index = store_relid("source_watch_pkey");
	Store	   *store;
	StoreScan  *scan;
	HeapTuple	tuple;
	Datum		keys[2] = {Int32GetDatum(watch->key.source_id), Int16GetDatum(watch->key.watch)};

	engine_attach();			/* so that waking and marking cannot fail later */
	fault_point("watch");
	if (!ConditionalLockRelationOid(relid, AccessShareLock) ||
		!ConditionalLockRelationOid(index, AccessShareLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table \"agentcrm.source_watch\" is locked")));
	PushActiveSnapshot(GetLatestSnapshot());
	store = store_open("source_watch", AccessShareLock);
	scan = store_scan(store, "source_watch_pkey", 2, keys);
	tuple = store_next(scan);
	watch->absent = !HeapTupleIsValid(tuple);
	if (tuple)
	{
		TupleDesc	desc = store_desc(store);
		bool		isnull;

		watch->part = DatumGetInt16(heap_getattr(tuple, 3, desc, &isnull));
		resolve_columns(watch, DatumGetArrayTypeP(heap_getattr(tuple, 6, desc, &isnull)));
		watch->is_client = !watch->broken && watches_clients(tuple, desc);
	}
	store_scan_end(scan);
	store_close(store);
	PopActiveSnapshot();
	/* what was not found may be there in the next transaction, under another name */
	watch->valid = !watch->broken;
	*(Watch *) hash_search(watches, &watch->key, HASH_ENTER, NULL) = *watch;
}

static void
make_watches(void *arg)
{
	HASHCTL		ctl = {.keysize = sizeof(WatchKey), .entrysize = sizeof(Watch), .hcxt = CacheMemoryContext};

	pending_init();
	watches = hash_create("agentcrm watches", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(forget_watches, (Datum) 0);
}

/* The watch of a trigger; NULL when it cannot be resolved now. */
static Watch *
find_watch(int32 source_id, int32 number, Oid relid)
{
	static Watch *last = NULL;
	WatchKey	key;
	Watch	   *watch;

	if (last && last->valid && last->key.relid == relid &&
		last->key.watch == number && last->key.source_id == source_id)
		return last;

	if (watches == NULL && !capture_guarded(make_watches, NULL, "remember its watches"))
		return NULL;
	memset(&key, 0, sizeof(key));
	key.source_id = source_id;
	key.watch = number;
	key.relid = relid;
	watch = hash_search(watches, &key, HASH_FIND, NULL);
	if (watch == NULL || !watch->valid)
	{
		Watch		fresh = {.key = key};

		if (!capture_guarded(resolve_watch, &fresh, "find out what to capture"))
			return NULL;
		watch = hash_search(watches, &key, HASH_FIND, NULL);
	}
	last = watch;
	return watch;
}

/* ---- keys of rows ---- */

typedef struct RenderWork
{
	Watch	   *watch;
	TupleTableSlot *slot;
	char	   *buffer;
	int			size;
	int			used;
} RenderWork;

/* Render a key with columns of any type; runs guarded. */
static void
render_any(void *arg)
{
	RenderWork *work = arg;
	StringInfoData text;
	int			level = key_fix_settings();

	fault_point("render");
	initStringInfo(&text);
	for (int i = 0; i < work->watch->n_columns; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(work->slot, work->watch->attnos[i], &isnull);

		if (i > 0)
			appendStringInfoChar(&text, ',');
		key_render(&text, &work->watch->columns[i], value, work->watch->n_columns > 1);
	}
	AtEOXact_GUC(true, level);
	if (text.len > work->size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key of %d bytes is longer than %d bytes", text.len, work->size)));
	memcpy(work->buffer, text.data, text.len);
	work->used = text.len;
	pfree(text.data);
}

/* The key text of a row; -1 when a column is NULL (no key), -2 when it cannot be had. */
static int
render_key(Watch *watch, TupleTableSlot *slot, char *buffer, int size)
{
	int			used = 0;
	bool		direct = true;

	for (int i = 0; i < watch->n_columns; i++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, watch->attnos[i], &isnull);

		if (isnull)
			return -1;
		if (i > 0 && direct)
		{
			if (used == size)
				return -2;
			buffer[used++] = ',';
		}
		if (direct)
			direct = watch->columns[i].direct &&
				key_render_direct(&watch->columns[i], value, watch->n_columns > 1, buffer, size, &used);
	}
	if (!direct)
	{
		RenderWork	work = {.watch = watch, .slot = slot, .buffer = buffer, .size = size};

		if (!capture_guarded(render_any, &work, "render a key"))
			return -2;
		used = work.used;
	}
	return used;
}

static bool
is_integer_key(const Watch *watch)
{
	Oid			type = watch->columns[0].type;

	return watch->n_columns == 1 && (type == INT2OID || type == INT4OID || (type == INT8OID && FLOAT8PASSBYVAL));
}

/* The lines of one order come together: an integer key just remembered needs no rendering. */
static bool
is_last_key(Watch *watch, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value;

	if (!is_integer_key(watch))
		return false;
	value = slot_getattr(slot, watch->attnos[0], &isnull);
	if (isnull)
		return false;
	if (watch->last_epoch == pending_epoch && watch->last_value == value)
		return true;
	watch->last_epoch = pending_epoch;
	watch->last_value = value;
	return false;
}

static void
remember_row(Watch *watch, TupleTableSlot *slot)
{
	char		buffer[QUEUE_MAX_KEY];
	int			length;

	if (is_last_key(watch, slot))
		return;
	length = render_key(watch, slot, buffer, sizeof(buffer));
	if (length >= 0)
		pending_remember(watch->key.source_id, watch->part, buffer, length);
	else if (length == -2)
		pending_lose(watch->key.source_id);
}

/* The key of a client's row was changed: remember which became which. */
static void
remember_rename(Watch *watch, TupleTableSlot *before, TupleTableSlot *after)
{
	char		buffer[QUEUE_MAX_KEY];
	char		new_key[QUEUE_MAX_KEY];
	int			length = render_key(watch, before, buffer, sizeof(buffer));
	int			new_length = render_key(watch, after, new_key, sizeof(new_key));

	if (length < 0 || new_length < 0 || (length == new_length && memcmp(buffer, new_key, length) == 0))
		return;
	/* what would not fit, or not be told apart again, is two clients */
	if (length + 1 + new_length > QUEUE_MAX_KEY ||
		memchr(buffer, QUEUE_RENAME_SEPARATOR, length) || memchr(new_key, QUEUE_RENAME_SEPARATOR, new_length))
		return;
	buffer[length] = QUEUE_RENAME_SEPARATOR;
	memcpy(buffer + length + 1, new_key, new_length);
	pending_remember(watch->key.source_id, QUEUE_PART_RENAME, buffer, length + 1 + new_length);
}

static void
attach_engine(void *arg)
{
	engine_attach();
}

/* Capture is off: all that is done is to mark, once a transaction, that there is something to look for later. */
static void
note_missed(void)
{
	static FullTransactionId noted = {0};
	static bool attached = false;
	FullTransactionId xid = GetTopFullTransactionIdIfAny();

	if (FullTransactionIdEquals(noted, xid))
		return;
	noted = xid;
	if (!attached)
		attached = capture_guarded(attach_engine, NULL, "mark that changes were missed");
	engine_mark_missed();
}

/*
 * agentcrm.capture(): trigger on the application's tables; arguments are the
 * source and the number of the watch.
 */
Datum
agentcrm_capture(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	int32		source_id;
	Watch	   *watch;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("agentcrm.capture can only be called as a trigger")));
	if (trigdata->tg_trigger->tgnargs != 2)
		return PointerGetDatum(NULL);
	if (!agentcrm_capture_enabled)
	{
		note_missed();
		return PointerGetDatum(NULL);
	}

	source_id = atoi(trigdata->tg_trigger->tgargs[0]);
	/* all of it is read again anyhow: no second warning, no work */
	if (pending_is_lost(source_id))
		return PointerGetDatum(NULL);
	watch = find_watch(source_id, atoi(trigdata->tg_trigger->tgargs[1]),
					   RelationGetRelid(trigdata->tg_relation));
	if (watch == NULL || watch->broken)
		pending_lose(source_id);
	else if (watch->absent)
		;
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		char		part[12];

		pg_ltoa(watch->part, part);
		pending_remember(source_id, QUEUE_PART_RESYNC, part, strlen(part));
	}
	else
	{
		remember_row(watch, trigdata->tg_trigslot);
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) && !pending_is_lost(source_id))
		{
			remember_row(watch, trigdata->tg_newslot);
			if (watch->is_client)
				remember_rename(watch, trigdata->tg_trigslot, trigdata->tg_newslot);
		}
	}
	pending_bound();
	return PointerGetDatum(NULL);
}
