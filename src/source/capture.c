/*
 * capture.c
 *		The trigger on the application's tables, and the flush before commit.
 *
 * The trigger remembers keys in a backend-local set; just before commit (or
 * PREPARE) the set is written to the queue in a guarded subtransaction.  The
 * application's transaction must neither fail nor wait because of anything
 * here: what cannot be resolved, remembered or written becomes a mark that
 * the source has to be read again.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "agentcrm.h"
#include "engine/engine.h"
#include "queue/queue.h"
#include "source/key.h"
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
	int			n_columns;
	AttrNumber	attnos[KEY_MAX_COLUMNS];
	KeyColumn	columns[KEY_MAX_COLUMNS];
} Watch;

static HTAB *watches = NULL;

/* A remembered key. */
typedef struct CapturedKey
{
	uint32		hash;
	int32		source_id;
	int16		part;
	uint16		length;
	char	   *text;			/* NULL: free place */
} CapturedKey;

/* The set of the current transaction; lives in its own context under TopTransactionContext. */
static MemoryContext set_cxt = NULL;
static CapturedKey *set_keys = NULL;
static int	set_size = 0;		/* a power of two */
static int	set_used = 0;
static CapturedKey *set_last = NULL;

/* Sources that have lost keys in this transaction, and those written before its end. */
#define MAX_MARKS 16
typedef struct SourceMarks
{
	int			n;
	bool		overflow;		/* more sources than places: all */
	int32		ids[MAX_MARKS];
} SourceMarks;

static SourceMarks lost;
static SourceMarks early;
static SubTransactionId early_subid = InvalidSubTransactionId;
static bool wrote_events = false;

static void
marks_add(SourceMarks *marks, int32 source_id)
{
	for (int i = 0; i < marks->n; i++)
		if (marks->ids[i] == source_id)
			return;
	if (marks->n < MAX_MARKS)
		marks->ids[marks->n++] = source_id;
	else
		marks->overflow = true;
}

static void
marks_add_all(SourceMarks *marks, const SourceMarks *more)
{
	for (int i = 0; i < more->n; i++)
		marks_add(marks, more->ids[i]);
	marks->overflow |= more->overflow;
}

/* Forget everything about the transaction; its memory goes with it. */
static void
reset_set(void)
{
	set_cxt = NULL;
	set_keys = NULL;
	set_size = set_used = 0;
	set_last = NULL;
	lost.n = early.n = 0;
	lost.overflow = early.overflow = false;
	early_subid = InvalidSubTransactionId;
	wrote_events = false;
}

static bool
same_key(const CapturedKey *key, int32 source_id, int16 part, const char *text, int length)
{
	return key->source_id == source_id && key->part == part && key->length == length &&
		memcmp(key->text, text, length) == 0;
}

static CapturedKey *
find_place(CapturedKey *keys, int size, uint32 hash, int32 source_id, int16 part,
		   const char *text, int length)
{
	for (int i = hash & (size - 1);; i = (i + 1) & (size - 1))
		if (keys[i].text == NULL ||
			(keys[i].hash == hash && same_key(&keys[i], source_id, part, text, length)))
			return &keys[i];
}

/* Make room for one more key; false when memory is out. */
static bool
grow_set(void)
{
	int			new_size = set_size ? set_size * 2 : 64;
	CapturedKey *new_keys;

	if (set_cxt == NULL)
		set_cxt = AllocSetContextCreate(TopTransactionContext, "agentcrm capture",
										ALLOCSET_DEFAULT_SIZES);
	new_keys = MemoryContextAllocExtended(set_cxt, sizeof(CapturedKey) * new_size,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (new_keys == NULL)
		return false;
	for (int i = 0; i < set_size; i++)
		if (set_keys[i].text)
			*find_place(new_keys, new_size, set_keys[i].hash, set_keys[i].source_id, set_keys[i].part,
						set_keys[i].text, set_keys[i].length) = set_keys[i];
	if (set_keys)
		pfree(set_keys);
	set_keys = new_keys;
	set_size = new_size;
	set_last = NULL;
	return true;
}

/* Remember a key; where memory is out, that its source has lost one. */
static void
remember(int32 source_id, int16 part, const char *text, int length)
{
	uint32		hash;
	CapturedKey *place;

	/* the lines of one order come together */
	if (set_last && same_key(set_last, source_id, part, text, length))
		return;
	if (set_used * 2 >= set_size && !grow_set())
	{
		marks_add(&lost, source_id);
		return;
	}
	hash = hash_bytes((const unsigned char *) text, length) ^ (source_id * 31 + part);
	place = find_place(set_keys, set_size, hash, source_id, part, text, length);
	if (place->text == NULL)
	{
		char	   *copy = MemoryContextAllocExtended(set_cxt, length + 1, MCXT_ALLOC_NO_OOM);

		if (copy == NULL)
		{
			marks_add(&lost, source_id);
			return;
		}
		memcpy(copy, text, length);
		copy[length] = '\0';
		place->hash = hash;
		place->source_id = source_id;
		place->part = part;
		place->length = length;
		place->text = copy;
		set_used++;
	}
	set_last = place;
}

/*
 * Run a piece of work in a subtransaction; an ERROR in it becomes false and a
 * WARNING.  Cancel and shutdown are passed on: they are not ours to swallow.
 */
static bool
guarded(void (*work) (void *arg), void *arg, const char *what)
{
	MemoryContext old_cxt = CurrentMemoryContext;
	ResourceOwner old_owner = CurrentResourceOwner;
	volatile bool ok = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old_cxt);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old_cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
			error->sqlerrcode == ERRCODE_CRASH_SHUTDOWN)
			ReThrowError(error);
		ok = false;
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("agentcrm could not %s: %s", what, error->message),
				 errdetail("The application's transaction is not affected; the source will be read again.")));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old_cxt);
	CurrentResourceOwner = old_owner;
	return ok;
}

/* ---- resolving what to watch ---- */

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

/* Read a watch from its table, under the newest snapshot and without waiting for a lock. */
static void
resolve_watch(void *arg)
{
	Watch	   *watch = arg;
	Oid			relid = store_relid("source_watch");
	Store	   *store;
	StoreScan  *scan;
	HeapTuple	tuple;
	Datum		keys[2] = {Int32GetDatum(watch->key.source_id), Int16GetDatum(watch->key.watch)};

	engine_attach();			/* so that waking and marking cannot fail later */
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
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
		TupleDesc	desc = RelationGetDescr(store_relation(store));
		bool		isnull;

		watch->part = DatumGetInt16(heap_getattr(tuple, 3, desc, &isnull));
		resolve_columns(watch, DatumGetArrayTypeP(heap_getattr(tuple, 6, desc, &isnull)));
	}
	store_scan_end(scan);
	store_close(store);
	PopActiveSnapshot();
	watch->valid = true;
}

static void
make_watches(void *arg)
{
	HASHCTL		ctl = {.keysize = sizeof(WatchKey), .entrysize = sizeof(Watch), .hcxt = CacheMemoryContext};

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
	bool		found;

	if (last && last->valid && last->key.relid == relid &&
		last->key.watch == number && last->key.source_id == source_id)
		return last;

	if (watches == NULL && !guarded(make_watches, NULL, "remember its watches"))
		return NULL;
	memset(&key, 0, sizeof(key));
	key.source_id = source_id;
	key.watch = number;
	key.relid = relid;
	watch = hash_search(watches, &key, HASH_FIND, NULL);
	if (watch == NULL || !watch->valid)
	{
		Watch		fresh = {.key = key};

		if (!guarded(resolve_watch, &fresh, "find out what to capture"))
			return NULL;
		watch = hash_search(watches, &key, HASH_ENTER_NULL, &found);
		if (watch == NULL)
			return NULL;
		*watch = fresh;
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

		if (!guarded(render_any, &work, "render a key"))
			return -2;
		used = work.used;
	}
	return used;
}

static void
remember_row(Watch *watch, TupleTableSlot *slot)
{
	char		buffer[QUEUE_MAX_KEY];
	int			length = render_key(watch, slot, buffer, sizeof(buffer));

	if (length >= 0)
		remember(watch->key.source_id, watch->part, buffer, length);
	else if (length == -2)
		marks_add(&lost, watch->key.source_id);
}

/* ---- writing the set ---- */

static void
write_set(void *arg)
{
	QueueEvent *events = palloc(sizeof(QueueEvent) * (set_used + MAX_MARKS + 1));
	int			n = 0;

	for (int i = 0; i < set_size; i++)
		if (set_keys[i].text)
			events[n++] = (QueueEvent)
		{
			.source_id = set_keys[i].source_id, .part = set_keys[i].part, .key = set_keys[i].text
		};
	for (int i = 0; i < lost.n; i++)
		events[n++] = (QueueEvent)
	{
		.source_id = lost.ids[i], .part = QUEUE_PART_RESYNC, .key = ""
	};
	if (lost.overflow)
		events[n++] = (QueueEvent)
	{
		.source_id = 0, .part = QUEUE_PART_RESYNC, .key = ""
	};
	queue_write(events, n);
	pfree(events);
}

/* The sources the set holds keys of. */
static void
sources_of_set(SourceMarks *marks)
{
	for (int i = 0; i < set_size; i++)
		if (set_keys[i].text)
			marks_add(marks, set_keys[i].source_id);
}

static void
empty_set(void)
{
	if (set_cxt)
		MemoryContextReset(set_cxt);
	set_keys = NULL;
	set_size = set_used = 0;
	set_last = NULL;
}

/*
 * The set has grown too large: write it now.  Rows written inside a savepoint
 * vanish with it, while earlier keys of the set, and earlier marks, may not:
 * then their sources are marked (see subxact_callback).
 */
static void
flush_early(void)
{
	if (GetCurrentTransactionNestLevel() > 1)
	{
		early_subid = GetCurrentSubTransactionId();
		sources_of_set(&early);
		marks_add_all(&early, &lost);
	}
	if (guarded(write_set, NULL, "write its queue"))
	{
		wrote_events = true;
		lost.n = 0;
		lost.overflow = false;
	}
	else
		sources_of_set(&lost);
	empty_set();
}

/* The transaction is about to commit or to be prepared: write what it changed. */
static void
flush_last(void)
{
	if (set_used == 0 && lost.n == 0 && !lost.overflow)
		return;
	if (guarded(write_set, NULL, "write its queue"))
		wrote_events = true;
	else
	{
		sources_of_set(&lost);
		for (int i = 0; i < lost.n; i++)
			engine_mark_lost(lost.ids[i]);
		if (lost.overflow)
			engine_mark_lost(0);
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			flush_last();
			break;
		case XACT_EVENT_COMMIT:
			if (wrote_events)
				engine_wake();
			reset_set();
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			reset_set();
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	/*
	 * Subtransaction numbers grow: the one that aborts is that of the early
	 * write, or an ancestor of it, exactly when its number is not larger.
	 */
	if (event == SUBXACT_EVENT_ABORT_SUB && early_subid != InvalidSubTransactionId &&
		subid <= early_subid)
	{
		marks_add_all(&lost, &early);
		early.n = 0;
		early.overflow = false;
		early_subid = InvalidSubTransactionId;
	}
}

/* Wake the worker when the current transaction commits. */
void
source_wake_at_commit(void)
{
	wrote_events = true;
}

/* Register the transaction callbacks; called once per backend when the library is loaded. */
void
source_capture_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
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
	if (!agentcrm_capture_enabled || trigdata->tg_trigger->tgnargs != 2)
		return PointerGetDatum(NULL);

	source_id = atoi(trigdata->tg_trigger->tgargs[0]);
	watch = find_watch(source_id, atoi(trigdata->tg_trigger->tgargs[1]),
					   RelationGetRelid(trigdata->tg_relation));
	if (watch == NULL || watch->broken)
		marks_add(&lost, source_id);
	else if (watch->absent)
		;
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		char		part[12];

		pg_ltoa(watch->part, part);
		remember(source_id, QUEUE_PART_RESYNC, part, strlen(part));
	}
	else
	{
		remember_row(watch, trigdata->tg_trigslot);
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			remember_row(watch, trigdata->tg_newslot);
	}
	if (set_used > agentcrm_capture_max_keys)
		flush_early();
	return PointerGetDatum(NULL);
}
