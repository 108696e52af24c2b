/*
 * worker.c
 *		The worker of one database: takes steps until there is nothing to do,
 *		and ends when that lasts.
 *
 * An idle worker holds no snapshot, writes nothing and burns no transaction
 * number.  It leaves the time it wants to run next in its slot.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "agentcrm.h"
#include "compat.h"
#include "engine/engine.h"
#include "engine/mapping.h"
#include "engine/shmem.h"
#include "engine/step.h"
#include "engine/way.h"
#include "engine/worker.h"

/* An idle worker looks this often whether somebody wants the database, and for events nobody announced. */
#define IDLE_LOOK_MS 250
/* It looks for the next due time once it has been idle for so long. */
#define DUE_LOOK_MS 1000
/* A worker that ended before its work was done is followed by another after this time. */
#define EARLY_END_DELAY_MS 1000
/* After an error the next step waits, longer each time. */
#define FIRST_BACKOFF_MS 100
#define LONGEST_BACKOFF_MS 60000

extern char *agentcrm_worker_role;

/* Ended because there was nothing to do, and not in the midst of it. */
static bool rested = false;

/*
 * Leave the slot to another worker.  One that was ended, or made way for
 * somebody, may leave work behind that nobody will announce again: after a
 * while the launcher starts another.
 */
static void
leave_slot(int code, Datum arg)
{
	Latch	   *launcher;

	SpinLockAcquire(&engine_shared->mutex);
	engine_slot->worker_latch = NULL;
	engine_slot->worker_pid = 0;
	if (!rested)
		engine_slot->failed_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), EARLY_END_DELAY_MS);
	launcher = engine_shared->launcher_latch;
	SpinLockRelease(&engine_shared->mutex);
	if (!rested)
		pg_atomic_write_u32(&engine_slot->wake, 1);
	if (launcher)
		SetLatch(launcher);
}

/* Take the database's slot; false when another worker has it. */
static bool
enter_slot(void)
{
	bool		mine;

	engine_attach();
	if (engine_slot == NULL)
	{
		ereport(LOG, (errmsg("agentcrm: no room for another database, %d are served", ENGINE_SLOTS)));
		return false;
	}
	SpinLockAcquire(&engine_shared->mutex);
	mine = engine_slot->worker_pid == 0;
	if (mine)
	{
		engine_slot->worker_pid = MyProcPid;
		engine_slot->worker_latch = MyLatch;
		engine_slot->due = DT_NOEND;
		engine_slot->no_worker_slot = false;
	}
	SpinLockRelease(&engine_shared->mutex);
	if (mine)
		before_shmem_exit(leave_slot, (Datum) 0);
	return mine;
}

static void
pin(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

static void
pin_settings(void)
{
	pin("search_path", "pg_catalog, pg_temp");
	pin("default_transaction_isolation", "read committed");
	pin("default_transaction_read_only", "off");
	pin("default_transaction_deferrable", "off");
	pin("statement_timeout", "0");
	pin("lock_timeout", "0");
	pin("idle_in_transaction_session_timeout", "0");
	pin("datestyle", "ISO, YMD");
	pin("timezone", "UTC");
	pin("jit", "off");
	pin("application_name", "agentcrm worker");
}

/* The version of the extension that this library met; an update needs a process that loads the new one. */
static char met_version[64];

/* Read the extension's version; false where there is no extension. */
static bool
read_version(char *version, Size size)
{
	bool		exists;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	SPI_execute("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'agentcrm'", true, 1);
	exists = SPI_processed == 1;
	if (exists)
		strlcpy(version, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), size);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return exists;
}

static bool
was_updated(void)
{
	char		version[sizeof(met_version)];

	return read_version(version, sizeof(version)) && strcmp(version, met_version) != 0;
}

/* Whether somebody wants the database or the extension, asked in a transaction of its own. */
static StepResult
look(void)
{
	StepResult	result;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	result = step_look();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return result;
}

/* Run one step in a transaction of its own. */
static StepResult
run_step(void)
{
	StepResult	result;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "agentcrm step");
	result = step_run();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return result;
}

/* Write the error of a failed step where the DBA sees it. */
static void
record_error(ErrorData *error)
{
	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		error_record("worker", 0, error, engine_now());
		PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
	}
	PG_END_TRY();
}

/* A step that survives its own errors; the wait before the next one is in *backoff. */
static StepResult
guarded_step(int *backoff)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile StepResult result = STEP_IDLE;

	PG_TRY();
	{
		result = run_step();
		*backoff = 0;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		if (!way_was_made())
			EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
		if (way_was_made())
			result = STEP_LEAVE;
		else
		{
			step_failed(error);
			record_error(error);
			*backoff = *backoff ? Min(*backoff * 2, LONGEST_BACKOFF_MS) : FIRST_BACKOFF_MS;
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	return result;
}

static void
wait_for(long timeout)
{
	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* When the next step is due; in a transaction of its own. */
static TimestampTz
next_due(void)
{
	TimestampTz due;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	due = step_next_due();
	PopActiveSnapshot();
	CommitTransactionCommand();
	return due;
}

/* Take steps until the worker has been idle for long enough. */
static void
work(void)
{
	int			backoff = 0;
	TimestampTz rest_until = 0;
	TimestampTz idle_since = 0;
	bool		due_known = false;

	for (;;)
	{
		StepResult	result;

		CHECK_FOR_INTERRUPTS();
		if (pg_atomic_exchange_u32(&engine_slot->wake, 0) != 0)
			rest_until = 0;
		if (engine_slot->paused || GetCurrentTimestamp() < rest_until)
			result = look();
		else
		{
			result = guarded_step(&backoff);
			rest_until = backoff ? TimestampTzPlusMilliseconds(GetCurrentTimestamp(), backoff) : 0;
		}
		if (result == STEP_LEAVE || (backoff > 0 && was_updated()))
			return;
		if (result == STEP_WORKED)
		{
			idle_since = 0;
			continue;
		}
		if (idle_since == 0)
		{
			idle_since = GetCurrentTimestamp();
			due_known = false;
		}
		/* not after every batch: under a held snapshot the search passes over dead versions without end */
		if (!due_known && TimestampDifferenceExceeds(idle_since, GetCurrentTimestamp(), DUE_LOOK_MS))
		{
			engine_slot->due = engine_slot->paused ? DT_NOEND : next_due();
			due_known = true;
		}
		if (due_known && backoff == 0 && engine_shared->launcher_pid != 0 &&
			(engine_slot->paused || !mapping_look_is_due()) &&
			TimestampDifferenceExceeds(idle_since, GetCurrentTimestamp(), agentcrm_idle_exit * 1000) &&
			pg_atomic_read_u32(&engine_slot->wake) == 0)
		{
			rested = true;
			return;
		}
		wait_for(backoff ? Min(backoff, IDLE_LOOK_MS) : IDLE_LOOK_MS);
	}
}

/* Entry point of a worker. */
void
agentcrm_worker_main(Datum arg)
{
	const char *role = agentcrm_worker_role && *agentcrm_worker_role ? agentcrm_worker_role : NULL;
	Oid			role_oid = InvalidOid;

	memcpy(&role_oid, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), role ? role_oid : InvalidOid, 0);
	pin_settings();
	if (!read_version(met_version, sizeof(met_version)))
	{
		shmem_quiet_slot(MyDatabaseId);
		note_forget(MyDatabaseId);
		proc_exit(0);
	}
	if (!enter_slot() || !note_look())
		proc_exit(0);
	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext, "agentcrm worker", ALLOCSET_DEFAULT_SIZES);
	work();
	proc_exit(0);
}

/* Why nobody can connect to a database as agentcrm.worker_role; NULL when the worker can. */
char *
worker_role_problem(Oid database)
{
	const char *name = agentcrm_worker_role;
	HeapTuple	tuple;
	bool		may_log_in;
	Oid			role;

	if (name == NULL || *name == '\0')
		return NULL;
	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(name));
	if (!HeapTupleIsValid(tuple))
		return psprintf("role \"%s\" of agentcrm.worker_role does not exist", name);
	may_log_in = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	role = ((Form_pg_authid) GETSTRUCT(tuple))->oid;
	ReleaseSysCache(tuple);
	if (!may_log_in)
		return psprintf("role \"%s\" of agentcrm.worker_role may not log in: ALTER ROLE %s LOGIN", name, quote_identifier(name));
	if (compat_database_aclcheck(database, role) != ACLCHECK_OK)
		return psprintf("role \"%s\" of agentcrm.worker_role may not connect: GRANT CONNECT ON DATABASE %s TO %s",
						name, quote_identifier(get_database_name(database)), quote_identifier(name));
	return NULL;
}

/* Register a worker for a database; false when nobody can connect as its role or max_worker_processes is exhausted, as a message says. */
bool
worker_start(Oid database, pid_t notify, BackgroundWorkerHandle **handle, int elevel)
{
	BackgroundWorker worker = {0};
	Oid			role = InvalidOid;
	char	   *problem = worker_role_problem(database);

	if (problem)
	{
		ereport(elevel, (errmsg("agentcrm: %s", problem)));
		return false;
	}
	if (agentcrm_worker_role && *agentcrm_worker_role)
		role = get_role_oid(agentcrm_worker_role, false);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "agentcrm");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "agentcrm_worker_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "agentcrm worker of database %u", database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "agentcrm worker");
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	worker.bgw_notify_pid = notify;
	memcpy(worker.bgw_extra, &role, sizeof(Oid));
	if (RegisterDynamicBackgroundWorker(&worker, handle))
		return true;
	ereport(elevel,
			(errmsg("agentcrm: no free worker slot for database %u", database),
			 errhint("Raise max_worker_processes.")));
	return false;
}
