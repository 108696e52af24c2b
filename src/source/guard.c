/*
 * guard.c
 *		The guard around what capture does inside the application's transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "source/pending.h"

/*
 * Run a piece of work in a subtransaction; an ERROR in it becomes false and a
 * WARNING.  Cancel and shutdown are passed on: they are not ours to swallow.
 */
bool
capture_guarded(void (*work) (void *arg), void *arg, const char *what)
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
