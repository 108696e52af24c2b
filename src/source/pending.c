/*
 * pending.c
 *		Keys that the current transaction has changed: a backend-local set,
 *		written to the queue just before commit or PREPARE.
 *
 * Nothing here may make the application's transaction fail or wait: what
 * cannot be remembered or written becomes a mark that its source has to be
 * read again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/memutils.h"

#include "agentcrm.h"
#include "engine/engine.h"
#include "fault.h"
#include "queue/queue.h"
#include "source/pending.h"
#include "source/source.h"

/* A remembered key. */
typedef struct CapturedKey
{
	uint32		hash;
	int32		source_id;
	int16		part;
	uint16		length;
	char	   *text;			/* NULL: free place */
} CapturedKey;

/* The set of the current transaction, in a context that is made once and emptied at the transaction's end. */
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

uint64		pending_epoch = 1;

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

/* Make the context of the set, where a failure can still be caught. */
void
pending_init(void)
{
	if (set_cxt == NULL)
		set_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm capture",
										ALLOCSET_DEFAULT_SIZES);
}

/* Forget everything about the transaction. */
static void
reset_set(void)
{
	pending_epoch++;
	if (set_keys)
		MemoryContextReset(set_cxt);
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

	if (set_cxt == NULL || fault_here("allocate"))
		return false;
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
void
pending_remember(int32 source_id, int16 part, const char *text, int length)
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
		char	   *copy = fault_here("allocate") ? NULL :
			MemoryContextAllocExtended(set_cxt, length + 1, MCXT_ALLOC_NO_OOM);

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

/* A key of a source could not be remembered. */
void
pending_lose(int32 source_id)
{
	marks_add(&lost, source_id);
}

/* Whether a source is to be read again as a whole because of this transaction. */
bool
pending_is_lost(int32 source_id)
{
	for (int i = 0; i < lost.n; i++)
		if (lost.ids[i] == source_id)
			return true;
	return lost.overflow;
}

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
	pending_epoch++;
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
	if (capture_guarded(write_set, NULL, "write its queue"))
	{
		wrote_events = true;
		lost.n = 0;
		lost.overflow = false;
	}
	else
		sources_of_set(&lost);
	empty_set();
}

static void
attach_engine(void *arg)
{
	engine_attach();
}

/* Nothing could be written: leave marks in shared memory. */
static void
mark_lost(void)
{
	if (!engine_is_attached())
		capture_guarded(attach_engine, NULL, "reach its worker");
	sources_of_set(&lost);
	for (int i = 0; i < lost.n; i++)
		engine_mark_lost(lost.ids[i]);
	if (lost.overflow)
		engine_mark_lost(0);
}

/* The transaction is about to commit or to be prepared: write what it changed. */
static void
flush_last(void)
{
	if (set_used == 0 && lost.n == 0 && !lost.overflow)
		return;
	if (!capture_guarded(write_set, NULL, "write its queue"))
		mark_lost();
	wrote_events = true;		/* or marked: the worker has work */
	fault_signal("guarded");
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
			fault_signal("commit");
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

/* Write the set early when it has grown too large. */
void
pending_bound(void)
{
	if (set_used > agentcrm_capture_max_keys)
		flush_early();
}
