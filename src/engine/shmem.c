/*
 * shmem.c
 *		What launcher, workers and backends share: a slot per database.
 *
 * With shared_preload_libraries the memory is requested at start; without, the
 * few kilobytes come out of the server's reserve at first use.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"

#include "engine/engine.h"
#include "engine/shmem.h"
#include "fault.h"
#include "engine/stop.h"

EngineShared *engine_shared = NULL;
EngineSlot *engine_slot = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(EngineShared)));
}

/* Map the shared structure, and make it when it is not there yet. */
void
shmem_attach(void)
{
	bool		found;

	if (engine_shared)
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	engine_shared = ShmemInitStruct("agentcrm", sizeof(EngineShared), &found);
	if (!found)
	{
		memset(engine_shared, 0, sizeof(EngineShared));
		LWLockInitialize(&engine_shared->lock, LWLockNewTrancheId());
		SpinLockInit(&engine_shared->mutex);
		for (int i = 0; i < ENGINE_SLOTS; i++)
			pg_atomic_init_u32(&engine_shared->slots[i].wake, 0);
		stop_begin_life();
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(engine_shared->lock.tranche, "agentcrm");
}

static void
startup_shmem(void)
{
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	/* after a crash the postmaster makes its memory anew */
	engine_shared = NULL;
	engine_slot = NULL;
	shmem_attach();
	engine_shared->preloaded = true;
}

/* Install the hooks; called from _PG_init while libraries are preloaded. */
void
shmem_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

static void
reset_slot(EngineSlot *slot)
{
	pg_atomic_write_u32(&slot->wake, 0);
	slot->paused = false;
	slot->no_worker_slot = false;
	slot->due = DT_NOEND;
	slot->failed_until = 0;
	slot->n_lost = 0;
	slot->lost_all = slot->missed = false;
	slot->lost_taken = false;
	slot->crash_looked = slot->crash_unserved = slot->down = false;
	slot->crashes = slot->careful = 0;
}

/* The database has no extension any more: nothing is to be done for it. */
void
shmem_quiet_slot(Oid database)
{
	EngineSlot *slot;

	shmem_attach();
	slot = shmem_find_slot(database, false);
	if (slot && slot->worker_pid == 0)
		reset_slot(slot);
}

/* The slot of a database; NULL when it has none and is not to get one, or all are taken. */
EngineSlot *
shmem_find_slot(Oid database, bool create)
{
	EngineSlot *found = NULL;
	EngineSlot *free_slot = NULL;

	LWLockAcquire(&engine_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_SLOTS && found == NULL; i++)
	{
		EngineSlot *slot = &engine_shared->slots[i];

		if (slot->database == database)
			found = slot;
		else if (slot->database == InvalidOid && free_slot == NULL)
			free_slot = slot;
	}
	if (found == NULL && create && free_slot)
	{
		found = free_slot;
		reset_slot(found);
		found->database = database;
	}
	LWLockRelease(&engine_shared->lock);
	return found;
}

/* Find this database's slot. */
void
engine_attach(void)
{
	if (engine_slot)
		return;
	fault_point("attach");
	shmem_attach();
	engine_slot = shmem_find_slot(MyDatabaseId, true);
}

/* Whether waking and marking will reach the worker. */
bool
engine_is_attached(void)
{
	return engine_slot != NULL;
}

static void
set_latch(void)
{
	Latch	   *latch = engine_slot->worker_latch;

	if (latch == NULL)
		latch = engine_shared->launcher_latch;
	if (latch)
		SetLatch(latch);
}

/*
 * Tell the worker that there is work, or the launcher that a worker is wanted.
 * A flag that is set already has set its latch: the worker clears it before it
 * looks, and the launcher starts a worker wherever it is set.
 */
void
engine_wake(void)
{
	if (engine_slot && pg_atomic_exchange_u32(&engine_slot->wake, 1) == 0)
		set_latch();
}

/* The same when the flag may have stood unheard: the worker was paused. */
void
engine_rouse(void)
{
	if (engine_slot == NULL)
		return;
	pg_atomic_write_u32(&engine_slot->wake, 1);
	set_latch();
}

/* Marks taken by the current transaction: given back should it not commit. */
typedef struct TakenMarks
{
	SubTransactionId subid;		/* in which they were taken; invalid: none are */
	int			n;
	bool		all;
	int32		ids[ENGINE_MAX_LOST];
	FullTransactionId xid;
	bool		missed;
	FullTransactionId missed_xid;
} TakenMarks;

static TakenMarks taken = {InvalidSubTransactionId};

/* Add a mark; the caller holds the mutex. */
static void
add_mark(EngineSlot *slot, int32 source_id, FullTransactionId xid)
{
	bool		known = false;

	for (int i = 0; i < slot->n_lost; i++)
		known |= slot->lost[i] == source_id;
	if (source_id == 0 || (!known && slot->n_lost == ENGINE_MAX_LOST))
		slot->lost_all = true;
	else if (!known)
		slot->lost[slot->n_lost++] = source_id;
	if (FullTransactionIdPrecedes(slot->lost_xid, xid))
		slot->lost_xid = xid;
}

/* Note that the current transaction lost keys of a source; engine_wake after its commit tells the worker. */
void
engine_mark_lost(int32 source_id)
{
	EngineSlot *slot = engine_slot;
	FullTransactionId xid = GetTopFullTransactionIdIfAny();

	if (slot == NULL)
		return;
	SpinLockAcquire(&engine_shared->mutex);
	add_mark(slot, source_id, xid);
	SpinLockRelease(&engine_shared->mutex);
}

/* Note that the current transaction changed rows while agentcrm.capture was off. */
void
engine_mark_missed(void)
{
	EngineSlot *slot = engine_slot;
	FullTransactionId xid = GetTopFullTransactionIdIfAny();

	if (slot == NULL)
		return;
	SpinLockAcquire(&engine_shared->mutex);
	slot->missed = true;
	if (FullTransactionIdPrecedes(slot->missed_xid, xid))
		slot->missed_xid = xid;
	SpinLockRelease(&engine_shared->mutex);
}

static void
give_back(void)
{
	SpinLockAcquire(&engine_shared->mutex);
	if (taken.missed)
	{
		engine_slot->missed = true;
		if (FullTransactionIdPrecedes(engine_slot->missed_xid, taken.missed_xid))
			engine_slot->missed_xid = taken.missed_xid;
	}
	for (int i = 0; i < taken.n; i++)
		add_mark(engine_slot, taken.ids[i], taken.xid);
	if (taken.all)
		add_mark(engine_slot, 0, taken.xid);
	engine_slot->lost_taken = false;
	SpinLockRelease(&engine_shared->mutex);
	memset(&taken, 0, sizeof(taken));
}

static void
taken_xact_callback(XactEvent event, void *arg)
{
	if (taken.subid == InvalidSubTransactionId)
		return;
	if (event == XACT_EVENT_ABORT)
		give_back();
	else if (event == XACT_EVENT_COMMIT)
	{
		engine_slot->lost_taken = false;
		memset(&taken, 0, sizeof(taken));
	}
}

/* Subtransaction numbers grow: a smaller one that aborts is an ancestor. */
static void
taken_subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && taken.subid != InvalidSubTransactionId && subid <= taken.subid)
		give_back();
}

/* Every transaction below this one is over: the oldest that the active snapshot saw running. */
static FullTransactionId
oldest_running(void)
{
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId xmin = GetActiveSnapshot()->xmin;
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xmin > XidFromFullTransactionId(next))
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xmin);
}

/* Marks are taken in this subtransaction; an enclosing one that took some already includes it. */
static void
begin_taking(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(taken_xact_callback, NULL);
		RegisterSubXactCallback(taken_subxact_callback, NULL);
		registered = true;
	}
	if (taken.subid == InvalidSubTransactionId)
		taken.subid = GetCurrentSubTransactionId();
}

/* Take the marks of lost keys, once every transaction that made one is over; they come back if this one aborts. */
bool
shmem_take_lost(int32 *source_ids, int *n, bool *all)
{
	EngineSlot *slot = engine_slot;
	FullTransactionId oldest;
	bool		took;

	if (slot == NULL || (slot->n_lost == 0 && !slot->lost_all))
		return false;
	begin_taking();
	oldest = oldest_running();
	SpinLockAcquire(&engine_shared->mutex);
	took = FullTransactionIdPrecedes(slot->lost_xid, oldest);
	if (took)
	{
		taken.n = slot->n_lost;
		memcpy(taken.ids, slot->lost, sizeof(int32) * slot->n_lost);
		taken.all = slot->lost_all;
		taken.xid = slot->lost_xid;
		slot->n_lost = 0;
		slot->lost_all = false;
		slot->lost_taken = true;
	}
	SpinLockRelease(&engine_shared->mutex);
	*n = taken.n;
	memcpy(source_ids, taken.ids, sizeof(int32) * taken.n);
	*all = taken.all;
	return took;
}

/* Take the mark of changes that were not captured, once every transaction that made some is over. */
bool
shmem_take_missed(void)
{
	EngineSlot *slot = engine_slot;
	FullTransactionId oldest;
	bool		took;

	if (slot == NULL || !slot->missed)
		return false;
	begin_taking();
	oldest = oldest_running();
	SpinLockAcquire(&engine_shared->mutex);
	took = FullTransactionIdPrecedes(slot->missed_xid, oldest);
	if (took)
	{
		taken.missed = true;
		taken.missed_xid = slot->missed_xid;
		slot->missed = false;
	}
	SpinLockRelease(&engine_shared->mutex);
	return took;
}
