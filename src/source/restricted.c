/*
 * restricted.c
 *		Running reads of the application's tables under the source's role.
 *
 * The read runs in a security-restricted, read-only subtransaction with pinned
 * settings; it is rolled back whether it failed or not, so that nothing a
 * function in the mapping did (settings, temporary objects) stays behind.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "leftovers.h"
#include "source/restricted.h"

static void
pin(const char *name, const char *value)
{
	set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * An ERROR when the current role may not act as the source's role: whoever may
 * write agentcrm.source would else decide whose rights this session has.
 */
void
source_check_reader(Source *source)
{
	const char *role = GetUserNameFromId(GetUserId(), false);

	if (!compat_may_become(GetUserId(), get_role_oid(source->run_as, false)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not read source \"%s\" as role \"%s\"", role, source->name, source->run_as),
				 errhint("GRANT %s TO %s", quote_identifier(source->run_as), quote_identifier(role))));
}

static void
run_as_role(Source *source, RestrictedWork work, void *arg, MemoryContext result_cxt)
{
	Oid			role = get_role_oid(source->run_as, false);
	Oid			save_user;
	int			save_context;

	GetUserIdAndSecContext(&save_user, &save_context);
	source_check_reader(source);
	SetUserIdAndSecContext(role, save_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	XactReadOnly = true;
	key_fix_settings();
	/* temporary objects of this session come last, or they would stand in for the application's */
	pin("search_path", psprintf("%s%spg_temp", source->search_path, *source->search_path ? ", " : ""));
	pin("timezone", source->time_zone);
	pin("row_security", "off");
	pin("jit", "off");
	SPI_connect();
	work(source, arg, result_cxt);
	SPI_finish();
	SetUserIdAndSecContext(save_user, save_context);
}

static bool
must_be_passed_on(ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
		error->sqlerrcode == ERRCODE_CRASH_SHUTDOWN ||
		error->sqlerrcode == ERRCODE_OUT_OF_MEMORY;
}

/* Run work as the source's role and roll it back; its error, or NULL. */
ErrorData *
restricted_run(Source *source, RestrictedWork work, void *arg)
{
	MemoryContext result_cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	leftovers_check();
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		run_as_role(source, work, arg, result_cxt);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(result_cxt);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	/* the abort restores user, settings, read-only state and snapshots */
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(result_cxt);
	CurrentResourceOwner = owner;
	leftovers_drop();
	if (error && must_be_passed_on(error))
		ReThrowError(error);
	return error;
}
