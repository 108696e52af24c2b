/*
 * launcher.c
 *		Starts workers where there is work: on a wake, at a due time, and now
 *		and then for every database.
 *
 * Connects to no database, so that none is ever held.  See README.md for its
 * states.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "agentcrm.h"
#include "compat.h"
#include "engine/shmem.h"
#include "engine/worker.h"

/* A database whose worker ended at once, or could not be started, is not tried again before this time. */
#define RESTART_DELAY_MS 1000
/* When nothing is due. */
#define LONGEST_WAIT_MS 60000

/* What the launcher knows of a database. */
typedef struct Database
{
	Oid			oid;
	bool		seen;			/* in the last scan of pg_database */
	bool		looked;			/* a worker has looked for the extension */
	bool		refused;		/* the last start failed, and the log says so */
	BackgroundWorkerHandle *handle; /* of the worker started last */
	TimestampTz started_at;		/* or tried to */
} Database;

static Database *databases = NULL;
static int	n_databases = 0;

/* Register the launcher, for it to be started with the server. */
void
launcher_register(void)
{
	BackgroundWorker worker = {0};

	if (IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "agentcrm");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "agentcrm_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "agentcrm launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "agentcrm launcher");
	RegisterBackgroundWorker(&worker);
}

static Database *
find_database(Oid oid)
{
	MemoryContext old;

	for (int i = 0; i < n_databases; i++)
		if (databases[i].oid == oid)
			return &databases[i];
	old = MemoryContextSwitchTo(TopMemoryContext);
	databases = databases ? repalloc(databases, sizeof(Database) * (n_databases + 1)) : palloc(sizeof(Database));
	memset(&databases[n_databases], 0, sizeof(Database));
	databases[n_databases].oid = oid;
	MemoryContextSwitchTo(old);
	return &databases[n_databases++];
}

/* Bring the list up to date with pg_database; slots of dropped databases are freed. */
static void
scan_databases(void)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	for (int i = 0; i < n_databases; i++)
		databases[i].seen = false;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (form->datallowconn)
			find_database(form->oid)->seen = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();

	for (int i = 0; i < n_databases;)
	{
		EngineSlot *slot;

		if (databases[i].seen)
		{
			i++;
			continue;
		}
		slot = shmem_find_slot(databases[i].oid, false);
		if (slot && slot->worker_pid == 0)
			slot->database = InvalidOid;
		note_forget(databases[i].oid);
		databases[i] = databases[--n_databases];
	}
}

static bool
is_running(Database *database)
{
	pid_t		pid;

	if (database->handle == NULL)
		return false;
	switch (GetBackgroundWorkerPid(database->handle, &pid))
	{
		case BGWH_STARTED:
		case BGWH_NOT_YET_STARTED:
			return true;
		default:
			pfree(database->handle);
			database->handle = NULL;
			return false;
	}
}

/* Whether a database should have a worker now. */
static bool
is_wanted(Database *database, EngineSlot *slot, bool poll, TimestampTz now)
{
	if (slot == NULL)
		return !database->looked;	/* once, to see whether the extension is there */
	if (slot->worker_pid != 0 || slot->paused || slot->down)
		return false;
	return poll || pg_atomic_read_u32(&slot->wake) != 0 || slot->due <= engine_now() ||
		(slot->missed.set && agentcrm_capture_enabled);
}

/* Whether nobody is dropping a database or has done so: a worker would come too late, and say so in the server's log. */
static bool
may_connect(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	return LockAcquire(&tag, AccessShareLock, false, true) != LOCKACQUIRE_NOT_AVAIL &&
		SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
}

static void
start(Database *database, EngineSlot *slot, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		reachable;
	bool		started;

	StartTransactionCommand();	/* to look up the database and the role */
	MemoryContextSwitchTo(TopMemoryContext);
	reachable = may_connect(database->oid);
	started = reachable &&
		worker_start(database->oid, MyProcPid, &database->handle, database->refused ? DEBUG1 : LOG);
	CommitTransactionCommand();
	MemoryContextSwitchTo(old);
	if (slot)
		slot->no_worker_slot = reachable && !started;
	database->looked |= started;
	database->refused = reachable && !started;
	database->started_at = now;
}

/* Milliseconds before a worker may be started. */
static long
rest_before_start(Database *database, EngineSlot *slot, TimestampTz now)
{
	TimestampTz from = slot ? slot->failed_until : 0;

	if (database->started_at != 0)
		from = Max(from, TimestampTzPlusMilliseconds(database->started_at, RESTART_DELAY_MS));
	return TimestampDifferenceMilliseconds(now, from);
}

/* Start what is wanted; milliseconds until there may be more to do. */
static long
start_workers(bool poll)
{
	TimestampTz now = GetCurrentTimestamp();
	long		wait = LONGEST_WAIT_MS;

	for (int i = 0; i < n_databases; i++)
	{
		Database   *database = &databases[i];
		EngineSlot *slot = shmem_find_slot(database->oid, false);

		if (is_running(database))
			continue;
		if (is_wanted(database, slot, poll, now))
		{
			long		rest = rest_before_start(database, slot, now);

			if (rest <= 0)
			{
				start(database, slot, now);
				/* nobody says when a worker slot, or the database, becomes free */
				rest = is_running(database) ? LONGEST_WAIT_MS : RESTART_DELAY_MS;
			}
			wait = Min(wait, rest);
		}
		else if (slot && slot->due != DT_NOEND)
			wait = Min(wait, Max(TimestampDifferenceMilliseconds(engine_now(), slot->due), 1));
	}
	return wait;
}

/* Whether a worker made way for somebody since a time: its database may be gone. */
static bool
ended_early_since(TimestampTz time)
{
	for (int i = 0; i < ENGINE_SLOTS; i++)
		if (engine_shared->slots[i].database != InvalidOid && engine_shared->slots[i].failed_until > time)
			return true;
	return false;
}

static void
leave(int code, Datum arg)
{
	SpinLockAcquire(&engine_shared->mutex);
	engine_shared->launcher_latch = NULL;
	engine_shared->launcher_pid = 0;
	SpinLockRelease(&engine_shared->mutex);
}

static void
enter(void)
{
	shmem_attach();
	SpinLockAcquire(&engine_shared->mutex);
	engine_shared->launcher_latch = MyLatch;
	engine_shared->launcher_pid = MyProcPid;
	SpinLockRelease(&engine_shared->mutex);
	before_shmem_exit(leave, (Datum) 0);
}

/* Entry point of the launcher. */
void
agentcrm_launcher_main(Datum arg)
{
	TimestampTz last_poll = 0;
	TimestampTz last_scan = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("agentcrm launcher");
	enter();
	for (;;)
	{
		bool		poll = TimestampDifferenceExceeds(last_poll, GetCurrentTimestamp(), agentcrm_idle_poll * 1000);
		long		wait;

		if (poll || ended_early_since(last_scan))
		{
			last_scan = GetCurrentTimestamp();
			scan_databases();
		}
		if (poll)
			last_poll = last_scan;
		wait = start_workers(poll);
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
				  Min(wait, agentcrm_idle_poll * 1000L), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* a database made since the last scan may be the one that woke us */
		for (int i = 0; i < ENGINE_SLOTS; i++)
			if (engine_shared->slots[i].database != InvalidOid)
				find_database(engine_shared->slots[i].database);
	}
}
