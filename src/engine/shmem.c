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
	slot->lost_more.set = slot->missed.set = slot->lost_taken = false;
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

/* Whether some transaction lost keys that no step has seen to. */
bool
shmem_has_lost(const EngineSlot *slot)
{
	return slot->n_lost > 0 || slot->lost_more.set || slot->lost_taken;
}

/* Marks taken by the current transaction: given back should it not commit. */
typedef struct TakenMarks
{
	SubTransactionId subid;		/* in which they were taken; invalid: none are */
	int			n;
	LostMark	lost[ENGINE_MAX_LOST];
	UnlistedMark lost_more;
	UnlistedMark missed;
} TakenMarks;

static TakenMarks taken = {InvalidSubTransactionId};

/* The following are called with the mutex held. */

static void
add_unlisted(UnlistedMark *mark, FullTransactionId xid)
{
	if (!mark->set || FullTransactionIdPrecedes(xid, mark->oldest))
		mark->oldest = xid;
	if (!mark->set || FullTransactionIdPrecedes(mark->newest, xid))
		mark->newest = xid;
	mark->set = true;
}

static bool
may_concern(const UnlistedMark *mark, FullTransactionId xid)
{
	return FullTransactionIdPrecedesOrEquals(mark->oldest, xid) && FullTransactionIdPrecedesOrEquals(xid, mark->newest);
}

static void
add_mark(EngineSlot *slot, LostMark mark)
{
	for (int i = 0; i < slot->n_lost; i++)
		if (slot->lost[i].source_id == mark.source_id && FullTransactionIdEquals(slot->lost[i].xid, mark.xid))
			return;
	if (slot->n_lost < ENGINE_MAX_LOST)
		slot->lost[slot->n_lost++] = mark;
	else
		add_unlisted(&slot->lost_more, mark.xid);
}

/* Move the marks of transactions that are over. */
static void
take_marks(EngineSlot *slot, const FullTransactionId *running, int n_running)
{
	int			n = slot->n_lost;

	slot->n_lost = 0;
	for (int i = 0; i < n; i++)
	{
		LostMark	mark = slot->lost[i];
		bool		open = !FullTransactionIdPrecedes(mark.xid, running[n_running]);

		for (int r = 0; r < n_running && !open; r++)
			open = FullTransactionIdEquals(mark.xid, running[r]);
		if (open || taken.n == ENGINE_MAX_LOST)
			slot->lost[slot->n_lost++] = mark;
		else
			taken.lost[taken.n++] = mark;
	}
}

/*
 * Nobody knows which transactions an unlisted mark stands for.  Those that are
 * over are served now; of those still running each may be one of them, and gets
 * a mark of its own.  Where these are too many the mark waits for them to end.
 */
static bool
take_unlisted(EngineSlot *slot, UnlistedMark *mark, UnlistedMark *into, const FullTransactionId *running, int n_running)
{
	int			n = 0;

	if (!mark->set || !FullTransactionIdPrecedes(mark->newest, running[n_running]))
		return false;
	for (int r = 0; r < n_running; r++)
		n += may_concern(mark, running[r]);
	if (slot->n_lost + n > ENGINE_MAX_LOST)
		return false;
	for (int r = 0; r < n_running; r++)
		if (may_concern(mark, running[r]))
			add_mark(slot, (LostMark) {0, running[r]});
	*into = *mark;
	mark->set = false;
	return true;
}

/* Note that the current transaction lost keys of a source; engine_wake after its commit tells the worker. */
void
engine_mark_lost(int32 source_id)
{
	LostMark	mark = {source_id, GetTopFullTransactionIdIfAny()};

	if (engine_slot == NULL)
		return;
	SpinLockAcquire(&engine_shared->mutex);
	add_mark(engine_slot, mark);
	SpinLockRelease(&engine_shared->mutex);
}

/* Note that the current transaction changed rows while agentcrm.capture was off. */
void
engine_mark_missed(void)
{
	FullTransactionId xid = GetTopFullTransactionIdIfAny();

	if (engine_slot == NULL)
		return;
	SpinLockAcquire(&engine_shared->mutex);
	add_unlisted(&engine_slot->missed, xid);
	SpinLockRelease(&engine_shared->mutex);
}

static void
forget_taken(void)
{
	engine_slot->lost_taken = false;
	memset(&taken, 0, sizeof(taken));
}

static void
give_back_unlisted(UnlistedMark *mark, const UnlistedMark *from)
{
	if (!from->set)
		return;
	add_unlisted(mark, from->oldest);
	add_unlisted(mark, from->newest);
}

static void
give_back(void)
{
	SpinLockAcquire(&engine_shared->mutex);
	for (int i = 0; i < taken.n; i++)
		add_mark(engine_slot, taken.lost[i]);
	give_back_unlisted(&engine_slot->lost_more, &taken.lost_more);
	give_back_unlisted(&engine_slot->missed, &taken.missed);
	forget_taken();
	SpinLockRelease(&engine_shared->mutex);
}

static void
taken_xact_callback(XactEvent event, void *arg)
{
	if (taken.subid == InvalidSubTransactionId)
		return;
	if (event == XACT_EVENT_ABORT)
		give_back();
	else if (event == XACT_EVENT_COMMIT)
		forget_taken();
}

/* Subtransaction numbers grow: a smaller one that aborts is an ancestor. */
static void
taken_subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && taken.subid != InvalidSubTransactionId && subid <= taken.subid)
		give_back();
}

/*
 * Transactions that the active snapshot saw running, prepared ones among them,
 * and behind them the first one that is too new for it.
 */
static FullTransactionId *
running_transactions(int *n)
{
	Snapshot	snapshot = GetActiveSnapshot();
	FullTransactionId next = ReadNextFullTransactionId();
	FullTransactionId *running = palloc(sizeof(FullTransactionId) * (snapshot->xcnt + 1));

	for (uint32 i = 0; i <= snapshot->xcnt; i++)
	{
		TransactionId xid = i < snapshot->xcnt ? snapshot->xip[i] : snapshot->xmax;
		uint32		epoch = EpochFromFullTransactionId(next);

		if (xid > XidFromFullTransactionId(next))
			epoch--;
		running[i] = FullTransactionIdFromEpochAndXid(epoch, xid);
	}
	*n = snapshot->xcnt;
	return running;
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

/* Take the marks of transactions that are over; they come back if this one aborts. */
int
shmem_take_lost(int32 *source_ids)
{
	FullTransactionId *running;
	int			n_running;
	int			n;

	if (engine_slot == NULL || !(engine_slot->n_lost > 0 || engine_slot->lost_more.set))
		return 0;
	begin_taking();
	running = running_transactions(&n_running);
	SpinLockAcquire(&engine_shared->mutex);
	take_marks(engine_slot, running, n_running);
	take_unlisted(engine_slot, &engine_slot->lost_more, &taken.lost_more, running, n_running);
	engine_slot->lost_taken = taken.n > 0 || taken.lost_more.set;
	SpinLockRelease(&engine_shared->mutex);
	pfree(running);

	n = 0;
	if (taken.lost_more.set)
		source_ids[n++] = 0;
	for (int i = 0; i < taken.n; i++)
		source_ids[n++] = taken.lost[i].source_id;
	return n;
}

/* Take the mark of changes that were not captured, as far as their transactions are over; likewise. */
bool
shmem_take_missed(void)
{
	FullTransactionId *running;
	int			n_running;
	bool		took;

	if (engine_slot == NULL || !engine_slot->missed.set)
		return false;
	begin_taking();
	running = running_transactions(&n_running);
	SpinLockAcquire(&engine_shared->mutex);
	took = take_unlisted(engine_slot, &engine_slot->missed, &taken.missed, running, n_running);
	SpinLockRelease(&engine_shared->mutex);
	pfree(running);
	return took;
}
