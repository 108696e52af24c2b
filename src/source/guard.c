/*
 * guard.c
 *		The guard around what capture does inside the application's transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "fault.h"
#include "source/pending.h"

/* Errors that are not ours to swallow. */
static bool
must_be_passed_on(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_QUERY_CANCELED ||
		sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
		sqlerrcode == ERRCODE_CRASH_SHUTDOWN;
}

/* A copy of the error being handled; NULL where memory is out for that, too. */
static ErrorData *
copy_error(MemoryContext cxt)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		MemoryContextSwitchTo(cxt);
		fault_point("report");
		error = CopyErrorData();
	}
	PG_CATCH();
	{
		error = NULL;			/* the caller drops the whole stack of errors */
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	return error;
}

static void
pass_on(ErrorData *error, int sqlerrcode)
{
	if (error)
		ReThrowError(error);
	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("agentcrm was interrupted")));
}

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
		int			sqlerrcode = geterrcode();
		ErrorData  *error = copy_error(old_cxt);

		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (must_be_passed_on(sqlerrcode))
			pass_on(error, sqlerrcode);
		ok = false;
		ereport(WARNING,
				(errcode(sqlerrcode),
				 errmsg("agentcrm could not %s: %s", what, error && error->message ? error->message : "unknown error"),
				 errdetail("The application's transaction is not affected; the source will be read again.")));
		if (error)
			FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old_cxt);
	CurrentResourceOwner = old_owner;
	return ok;
}
