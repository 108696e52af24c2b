/*
 * leftovers.c
 *		What code of others can leave behind in this session though its
 *		subtransaction is rolled back: session-level advisory locks.
 *
 * They belong to no transaction, and they can be taken and released in any
 * function.  A user's own ones cannot be told from those that such code took
 * again, nor be kept from pg_advisory_unlock_all(); so there must be none.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"

#include "leftovers.h"

/* Before code of others runs: an ERROR when this session holds advisory locks. */
void
leftovers_check(void)
{
	LockData   *locks;

	if (MyBackendType == B_BG_WORKER)
		return;					/* the worker takes none */
	locks = GetLockStatusData();
	for (int i = 0; i < locks->nelements; i++)
		if (locks->locks[i].pid == MyProcPid && locks->locks[i].holdMask != 0 &&
			locks->locks[i].locktag.locktag_type == LOCKTAG_ADVISORY)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("agentcrm does not run functions of others in a session that holds advisory locks"),
					 errdetail("They could release the session's locks, or leave some of their own."),
					 errhint("Release them first, or use another session.")));
	pfree(locks->locks);
	pfree(locks);
}

/* After the subtransaction of such code is gone: release what it left. */
void
leftovers_drop(void)
{
	LockReleaseSession(USER_LOCKMETHOD);
}
