/*
 * run.c
 *		The engine by hand: run(), backfill(), start_worker(), pause and resume;
 *		adoption, and what status asks of shared memory and queue.
 *
 * run() is the worker's step in the caller's session, for servers where no
 * background worker may run.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "agentcrm.h"
#include "engine/engine.h"
#include "engine/mapping.h"
#include "engine/shmem.h"
#include "engine/step.h"
#include "engine/worker.h"
#include "leftovers.h"
#include "profile/profile.h"
#include "source/source.h"
#include "store.h"

PG_FUNCTION_INFO_V1(agentcrm_run);
PG_FUNCTION_INFO_V1(agentcrm_backfill);
PG_FUNCTION_INFO_V1(agentcrm_start_worker);
PG_FUNCTION_INFO_V1(agentcrm_wake);
PG_FUNCTION_INFO_V1(agentcrm_pause);
PG_FUNCTION_INFO_V1(agentcrm_worker_state);
PG_FUNCTION_INFO_V1(agentcrm_queue_waiting);
PG_FUNCTION_INFO_V1(agentcrm_adopted);
PG_FUNCTION_INFO_V1(agentcrm_copy_of);

/* Steps that may fail one after the other before run() gives up. */
#define MAX_FAILURES 5

/* See engine.h. */
void
engine_check_call(FunctionCallInfo fcinfo, const char *name)
{
	CallContext *context = (CallContext *) fcinfo->context;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("agentcrm.%s cannot run on a standby", name)));
	if (IsBinaryUpgrade)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("agentcrm.%s cannot run in binary upgrade mode", name)));
	if (context == NULL || !IsA(context, CallContext) || context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("agentcrm.%s commits after every step and cannot be called inside a transaction block", name),
				 errhint("CALL it by itself, outside BEGIN and outside functions.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("agentcrm.%s needs transaction isolation level READ COMMITTED", name)));
}

static void
check_crashes(void)
{
	if (!note_look())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("agentcrm stays down: %s", note_reason()),
				 errhint("Mend the cause, then SELECT agentcrm.resume().")));
}

static void
pin(const char *name, const char *value)
{
	set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* What the calls themselves ask runs under the pinned path, not the caller's; the level is for unpin_path(). */
static int
pin_path(void)
{
	int			level = NewGUCNestLevel();

	pin("search_path", "pg_catalog, pg_temp");
	return level;
}

static void
unpin_path(int level)
{
	AtEOXact_GUC(false, level);
}

/* An ERROR when a step in this session could not read a source though the worker could; a role that is gone breaks its source. */
static void
check_rights(void)
{
	leftovers_check();
	PushActiveSnapshot(GetTransactionSnapshot());
	source_refresh();
	for (int i = 0; i < source_count(); i++)
		if (source_nth(i)->state != SOURCE_DETACHING && OidIsValid(get_role_oid(source_nth(i)->run_as, true)))
			source_check_reader(source_nth(i));
	PopActiveSnapshot();
}

/* One step in a subtransaction, so that its error is told and does not end the call. */
static StepResult
try_step(int *failures)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile StepResult result = STEP_WORKED;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		pin("search_path", "pg_catalog, pg_temp");
		pin("datestyle", "ISO, YMD");
		pin("timezone", "UTC");
		pin("jit", "off");
		PushActiveSnapshot(GetTransactionSnapshot());
		result = step_run();
		PopActiveSnapshot();
		ReleaseCurrentSubTransaction();
		*failures = 0;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN ||
			++*failures >= MAX_FAILURES)
			ReThrowError(error);
		step_failed(error);
		PushActiveSnapshot(GetTransactionSnapshot());
		error_record("run", 0, error, engine_now());
		PopActiveSnapshot();
		ereport(WARNING, (errmsg("a step failed: %s", error->message)));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	return result;
}

static void
wait_a_little(void)
{
	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* agentcrm.run(max_steps): take steps until there is nothing to do. */
Datum
agentcrm_run(PG_FUNCTION_ARGS)
{
	int64		max_steps = PG_ARGISNULL(0) ? PG_INT64_MAX : PG_GETARG_INT32(0);
	int			failures = 0;

	engine_check_call(fcinfo, "run");
	engine_attach();
	check_crashes();
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	check_rights();
	mapping_look_again();
	for (int64 i = 0; i < max_steps; i++)
	{
		StepResult	result;

		CHECK_FOR_INTERRUPTS();
		result = try_step(&failures);
		SPI_commit();
		if (result == STEP_BUSY)
			wait_a_little();
		else if (result != STEP_WORKED)
			break;
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- backfill ---- */

typedef struct Progress
{
	bool		pending;
	char	   *line;
} Progress;

/* Where the loads of a source stand, as a line to print. */
static Progress
read_progress(const char *source)
{
	Progress	progress = {0};
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(source)};
	int			level = pin_path();

	SPI_execute_with_args("SELECT pg_catalog.format('%s %s: %s of %s (%s %%), %s', part, phase, done, total, percent,"
						  " coalesce('about ' || pg_catalog.date_trunc('second', remaining)::text || ' to go', 'just begun'))"
						  " FROM agentcrm.progress WHERE source = $1 AND phase <> 'done'"
						  " ORDER BY part = 'order', part LIMIT 1", 1, types, values, NULL, true, 1);
	progress.pending = SPI_processed > 0;
	if (progress.pending)
		progress.line = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	unpin_path(level);
	return progress;
}

static bool
source_exists(const char *source)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(source)};
	int			level = pin_path();

	SPI_execute_with_args("SELECT FROM agentcrm.source WHERE name = $1", 1, types, values, NULL, true, 1);
	unpin_path(level);
	return SPI_processed > 0;
}

static void
check_source_exists(const char *source)
{
	if (!source_exists(source))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no source \"%s\"", source),
				 errhint("SELECT name FROM agentcrm.source lists the attached sources.")));
}

/*
 * agentcrm.backfill(source): take steps until the source is loaded, and tell
 * how far it is.  Where a worker is at it already, only tell.
 */
Datum
agentcrm_backfill(PG_FUNCTION_ARGS)
{
	char	   *source;
	char	   *last = "";
	int			failures = 0;
	TimestampTz told = 0;

	agentcrm_check_argument(fcinfo, 0, "source");
	engine_check_call(fcinfo, "backfill");
	engine_attach();
	check_crashes();
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	source = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	check_rights();
	check_source_exists(source);
	for (;;)
	{
		Progress	progress = read_progress(source);
		StepResult	result;

		if (!progress.pending)
			break;
		/* a line a second, and one at each new phase */
		if (strncmp(last, progress.line, strcspn(progress.line, ":")) != 0 ||
			TimestampDifferenceExceeds(told, GetCurrentTimestamp(), 1000))
		{
			ereport(NOTICE, (errmsg_internal("%s", progress.line)));
			told = GetCurrentTimestamp();
			last = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, progress.line);
		}
		CHECK_FOR_INTERRUPTS();
		result = try_step(&failures);
		SPI_commit();
		if (result == STEP_BUSY)
			wait_a_little();
		else if (result != STEP_WORKED)
			break;
	}
	ereport(NOTICE, (errmsg("source \"%s\" is %s", source, source_exists(source) ? "loaded" : "detached")));
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- the worker by hand ---- */

/* agentcrm.start_worker(): start this database's worker, for servers without preload. */
Datum
agentcrm_start_worker(PG_FUNCTION_ARGS)
{
	BackgroundWorkerHandle *handle;
	pid_t		pid;
	char	   *problem;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("no worker runs on a standby")));
	if (IsBinaryUpgrade)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no worker runs in binary upgrade mode")));
	engine_attach();
	check_crashes();
	if (engine_slot && engine_slot->worker_pid != 0)
		PG_RETURN_INT32(engine_slot->worker_pid);
	problem = worker_role_problem(MyDatabaseId);
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("could not start a worker: %s", problem)));
	if (!worker_start(MyDatabaseId, MyProcPid, &handle, LOG))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a worker"),
				 errhint("Raise max_worker_processes, or look into the server's log.")));
	if (WaitForBackgroundWorkerStartup(handle, &pid) != BGWH_STARTED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("the worker did not start"),
				 errhint("Look into the server's log.")));
	PG_RETURN_INT32(pid);
}

/* agentcrm.wake(): tell the worker that there is work, once this transaction commits. */
Datum
agentcrm_wake(PG_FUNCTION_ARGS)
{
	engine_attach();
	source_wake_at_commit();
	PG_RETURN_VOID();
}

/* agentcrm.worker_paused(paused): stop or let go the steps of this database's worker. */
Datum
agentcrm_pause(PG_FUNCTION_ARGS)
{
	bool		paused = PG_GETARG_BOOL(0);

	engine_attach();
	note_look();
	if (engine_slot)
	{
		engine_slot->paused = paused;
		if (!paused)
		{
			note_resume();
			engine_rouse();
		}
	}
	PG_RETURN_VOID();
}

/* agentcrm.worker_state(): what shared memory says of launcher and worker. */
Datum
agentcrm_worker_state(PG_FUNCTION_ARGS)
{
	Datum		values[9];
	bool		isnull[9] = {false};
	char	   *down;
	char	   *problem;
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	engine_attach();
	values[0] = Int32GetDatum(engine_shared->launcher_pid);
	isnull[0] = engine_shared->launcher_pid == 0;
	values[1] = Int32GetDatum(engine_slot ? engine_slot->worker_pid : 0);
	isnull[1] = engine_slot == NULL || engine_slot->worker_pid == 0;
	values[2] = BoolGetDatum(engine_slot && engine_slot->paused);
	values[3] = BoolGetDatum(engine_slot && engine_slot->no_worker_slot);
	values[4] = TimestampTzGetDatum(engine_slot ? engine_slot->due : DT_NOEND);
	isnull[4] = engine_slot == NULL || engine_slot->due == DT_NOEND;
	values[5] = BoolGetDatum(engine_slot && shmem_has_lost(engine_slot));
	note_look();
	down = note_reason();
	values[6] = down ? CStringGetTextDatum(down) : (Datum) 0;
	isnull[6] = down == NULL;
	values[7] = BoolGetDatum(engine_shared->preloaded);
	problem = worker_role_problem(MyDatabaseId);
	values[8] = problem ? CStringGetTextDatum(problem) : (Datum) 0;
	isnull[8] = problem == NULL;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, isnull)));
}

static void
put_waiting(ReturnSetInfo *result, const QueueWaiting *source)
{
	Datum		values[7] = {Int32GetDatum(source->source_id), Int64GetDatum(source->waiting),
		TimestampTzGetDatum(source->since), Int64GetDatum(source->failed), TimestampTzGetDatum(source->parked_since),
	PointerGetDatum(source->last_error), TimestampTzGetDatum(source->last_error_at)};
	bool		isnull[7] = {false, false, source->since == DT_NOEND, false, source->parked_since == DT_NOEND,
	source->last_error == NULL, source->last_error == NULL};

	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* agentcrm.queue_waiting(): what waits and what failed, by source; an empty row when not all that waits was counted. */
Datum
agentcrm_queue_waiting(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		nothing[7] = {0};
	bool		null[7] = {true, true, true, true, true, true, true};
	QueueWaiting *sources;
	bool		whole;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	sources = queue_waiting(&n, &whole);
	for (int i = 0; i < n; i++)
		put_waiting(result, &sources[i]);
	if (!whole)
		tuplestore_putvalues(result->setResult, result->setDesc, nothing, null);
	return (Datum) 0;
}

/* ---- copies ---- */

/*
 * The database named by the installation row, NULL when there is no such row
 * yet; *here says whether it is this one.  A rename keeps a database's oid.  That
 * it does not outlive a dump, or that pg_upgrade may change it, is what it is
 * stored for: another oid means no more than "a copy".
 */
static char *
installed_into(bool *here)
{
	Store	   *store = store_open("installation", AccessShareLock);
	StoreScan  *scan = store_scan(store, "installation_pkey", 0, NULL);
	HeapTuple	tuple = store_next(scan);
	char	   *database = NULL;

	if (tuple)
	{
		TupleDesc	desc = store_desc(store);
		bool		isnull;

		database = TextDatumGetCString(heap_getattr(tuple, 3, desc, &isnull));
		*here = DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull)) == (int64) GetSystemIdentifier() &&
			DatumGetObjectId(heap_getattr(tuple, 4, desc, &isnull)) == MyDatabaseId;
	}
	store_scan_end(scan);
	store_close(store);
	return database;
}

/* The first use of agentcrm: recorded, with the rows that come with it. */
static void
record_installation(TimestampTz now)
{
	Oid			types[4] = {INT8OID, TEXTOID, TIMESTAMPTZOID, OIDOID};
	Datum		values[4] = {Int64GetDatum((int64) GetSystemIdentifier()),
		CStringGetTextDatum(get_database_name(MyDatabaseId)), TimestampTzGetDatum(now),
	ObjectIdGetDatum(MyDatabaseId)};

	SPI_connect();
	SPI_execute_with_args("INSERT INTO agentcrm.installation (system_identifier, database, database_oid, version, installed_at)"
						  " SELECT $1, $2, $4, extversion, $3 FROM pg_catalog.pg_extension WHERE extname = 'agentcrm'"
						  " ON CONFLICT DO NOTHING", 4, types, values, NULL, false, 0);
	if (SPI_processed > 0)
		SPI_execute("SELECT agentcrm.install_defaults()", false, 0);
	SPI_finish();
}

/* The database has another name now, by which its copies are to know it. */
static void
record_name(const char *name)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(name)};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.installation SET database = $1", 1, types, values, NULL, false, 0);
	SPI_finish();
}

/*
 * Whether this is the database agentcrm was installed into.  The first look
 * after installation, or after a rename, records it.
 */
bool
engine_adopted(TimestampTz now)
{
	bool		here = true;
	char	   *name = get_database_name(MyDatabaseId);
	char	   *database = installed_into(&here);

	if (database == NULL)
		record_installation(now);
	else if (here && strcmp(database, name) != 0 && !XactReadOnly)
		record_name(name);
	return here;
}

/* agentcrm.adopted(): whether recommendations are delivered here. */
Datum
agentcrm_adopted(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(engine_adopted(engine_now()));
}

/* agentcrm.copy_of(): the database this one is a copy of; writes nothing, so that a standby can ask. */
Datum
agentcrm_copy_of(PG_FUNCTION_ARGS)
{
	bool		here = true;
	char	   *database = installed_into(&here);

	if (here)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(database));
}
