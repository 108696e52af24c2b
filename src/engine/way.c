/*
 * way.c
 *		Makes way for whoever wants the database or the extension: the locks by
 *		which a step notices, and the end of a step that somebody waits for.
 *
 * A step that may last for seconds would make DROP DATABASE and its like wait
 * as long, or fail after five.  So a timer looks at the two locks that the step
 * holds; the work that is cut is undone and taken again later.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "engine/shmem.h"
#include "engine/way.h"

/* How often a step is asked whether somebody waits. */
#define LOOK_MS 50

typedef enum Watched
{
	DATABASE,
	EXTENSION,
	N_WATCHED
} Watched;

/* Locks held by this transaction: while they are held, they stay where they are in shared memory. */
static const LOCK *volatile watched[N_WATCHED];

static TimeoutId look = MAX_TIMEOUTS;
static volatile sig_atomic_t made = false;

static bool
lock_if_free(Watched which, Oid dbid, Oid classid, Oid objid, LOCKMODE mode)
{
	LOCKTAG		tag;
	LOCALLOCK  *local;

	SET_LOCKTAG_OBJECT(tag, dbid, classid, objid, 0);
	if (compat_lock_if_free(&tag, mode, &local) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	watched[which] = local->lock;
	return true;
}

/* Against DROP, ALTER and CREATE DATABASE ... TEMPLATE. */
bool
way_lock_database(void)
{
	return lock_if_free(DATABASE, InvalidOid, DatabaseRelationId, MyDatabaseId, RowExclusiveLock);
}

/* Against DROP EXTENSION. */
bool
way_lock_extension(Oid extension)
{
	return lock_if_free(EXTENSION, MyDatabaseId, ExtensionRelationId, extension, AccessShareLock);
}

/* Runs in a signal handler: one word of each lock is read, nothing is taken. */
static void
handle_look(void)
{
	for (int i = 0; i < N_WATCHED; i++)
		if (watched[i] && watched[i]->waitMask != 0)
		{
			made = true;
			InterruptPending = true;
			QueryCancelPending = true;
			SetLatch(MyLatch);
		}
}

/* Before the locks are released, by commit or abort. */
static void
stop_watching(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_ABORT)
		return;
	disable_timeout(look, false);
	memset((void *) watched, 0, sizeof(watched));
	if (made)
		QueryCancelPending = false;
}

/* See way.h.  A session that calls run() is in the way itself, and left to its user. */
void
way_watch(void)
{
	if (engine_slot == NULL || engine_slot->worker_pid != MyProcPid)
		return;
	if (look == MAX_TIMEOUTS)
	{
		look = RegisterTimeout(USER_TIMEOUT, handle_look);
		RegisterXactCallback(stop_watching, NULL);
	}
	made = false;
	enable_timeout_every(look, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_MS), LOOK_MS);
}

/* See way.h. */
bool
way_was_made(void)
{
	return made;
}
