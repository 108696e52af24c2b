/*
 * guard.c
 *		The guard around each call of an agent.
 *
 * An agent runs in an internal subtransaction that is read-only; its error is
 * recorded, its bids of this call are dropped, and the round goes on.  After
 * three failures in a row it is paused.  A timer cuts the call of a function
 * that is not built in when it takes too long, or when the process has grown
 * too much; one that goes on after that ends the process, as a crash would.  A
 * C function that never looks for interrupts cannot be cut.  What cancels or
 * ends the whole session is no failure of the agent and goes on upwards.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include <fcntl.h>
#include <unistd.h>

#include "agent/registry.h"
#include "compat.h"
#include "engine/engine.h"
#include "leftovers.h"

#define FAILURES_UNTIL_PAUSE 3

/* A call that goes on for so long after it was cut is ended with the process. */
#define STUCK_MS 5000

/* How often the memory of the process is looked at during a call. */
#define MEMORY_LOOK_MS 20

/* Why a call was cut. */
typedef enum Cut
{
	CUT_NOT,
	CUT_TIME,
	CUT_MEMORY
} Cut;

static const char *const cut_message[] = {
	NULL,
	"time limit passed (agentcrm.agent_timeout, or parameter time_limit_ms)",
	"memory limit passed (parameter memory_limit_mb)"
};

static TimeoutId time_limit = MAX_TIMEOUTS;
static TimeoutId memory_look = MAX_TIMEOUTS;
static volatile sig_atomic_t cut = CUT_NOT;
static volatile sig_atomic_t time_passed = false;
static volatile long pages_allowed;

/*
 * Pages of memory that are the process's own, without shared memory and
 * files; 0 where the system does not tell.  Called by a signal handler.
 */
static long
own_pages(void)
{
	char		text[128];
	long		numbers[3] = {0};	/* total, resident, shared */
	int			file = open("/proc/self/statm", O_RDONLY);
	ssize_t		length = file < 0 ? 0 : read(file, text, sizeof(text));

	if (file >= 0)
		close(file);
	for (int i = 0, n = 0; i < length && n < 3; i++)
		if (text[i] >= '0' && text[i] <= '9')
			numbers[n] = numbers[n] * 10 + (text[i] - '0');
		else
			n++;
	return numbers[1] - numbers[2];
}

static void
cut_call(Cut why)
{
	cut = why;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* A function that catches the first cut does not survive the second: nothing catches a shutdown. */
static void
handle_time_limit(void)
{
	if (time_passed)
	{
		engine_note_stuck();
		ProcDiePending = true;
	}
	time_passed = true;
	cut_call(CUT_TIME);
}

static void
handle_memory_look(void)
{
	if (own_pages() > pages_allowed)
		cut_call(CUT_MEMORY);
}

static int
memory_limit_mb(const AgentCall *call)
{
	return Min(agent_count(call, "memory_limit_mb", 256), 1000000);
}

/*
 * The server's own clock, not the engine's: timers run by it, and the limits are
 * there for real time to end a call.  No agent gets to see it.
 */
static void
start_limits(const AgentCall *call)
{
	if (time_limit == MAX_TIMEOUTS)
	{
		time_limit = RegisterTimeout(USER_TIMEOUT, handle_time_limit);
		memory_look = RegisterTimeout(USER_TIMEOUT, handle_memory_look);
	}
	cut = CUT_NOT;
	time_passed = false;
	pages_allowed = own_pages() + memory_limit_mb(call) * (1024 * 1024 / sysconf(_SC_PAGESIZE));
	enable_timeout_every(time_limit, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), agent_count(call, "time_limit_ms", agentcrm_agent_timeout)),
						 STUCK_MS);
	enable_timeout_every(memory_look, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MEMORY_LOOK_MS), MEMORY_LOOK_MS);
}

static void
stop_limits(void)
{
	disable_timeout(time_limit, false);
	disable_timeout(memory_look, false);
	if (cut != CUT_NOT)
		QueryCancelPending = false;
}

/* The agent's error, kept until the subtransaction is gone. */
static void
record_failure(const Agent *agent, const ErrorData *error)
{
	Oid			types[5] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};

	values[0] = CStringGetTextDatum(agent->name);
	values[1] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[2] = CStringGetTextDatum(cut != CUT_NOT ? cut_message[cut] : error->message);
	values[3] = error->context ? CStringGetTextDatum(error->context) : (Datum) 0;
	nulls[3] = error->context ? ' ' : 'n';
	values[4] = TimestampTzGetDatum(engine_now());
	SPI_execute_with_args("INSERT INTO agentcrm.error_log (at, place, sqlstate, message, context) "
						  "VALUES ($5, 'agent ' OPERATOR(pg_catalog.||) $1, $2, $3, $4)",
						  5, types, values, nulls, false, 0);
	types[1] = INT4OID;
	values[1] = Int32GetDatum(FAILURES_UNTIL_PAUSE);
	SPI_execute_with_args("WITH f AS (SELECT a.agent, 1 OPERATOR(pg_catalog.+) coalesce("
						  "pg_catalog.substring(a.problem, '^failed (\\d+) times? in a row')::int4, 0) AS n "
						  "FROM agentcrm.agent a WHERE a.agent OPERATOR(pg_catalog.=) $1 FOR UPDATE) "
						  "UPDATE agentcrm.agent a SET "
						  "problem = pg_catalog.format('failed %s time%s in a row: %s', f.n, "
						  "CASE WHEN f.n OPERATOR(pg_catalog.=) 1 THEN '' ELSE 's' END, $3), "
						  "mode = CASE WHEN f.n OPERATOR(pg_catalog.>=) $2 THEN 'paused' ELSE a.mode END "
						  "FROM f WHERE a.agent OPERATOR(pg_catalog.=) f.agent",
						  3, types, values, nulls, false, 0);
	ereport(WARNING,
			(errmsg("agent \"%s\" failed: %s", agent->name, cut != CUT_NOT ? cut_message[cut] : error->message)));
}

static void
clear_problem(const Agent *agent)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(agent->name)};

	SPI_execute_with_args("UPDATE agentcrm.agent SET problem = NULL WHERE agent OPERATOR(pg_catalog.=) $1",
						  1, types, values, NULL, false, 0);
}

/* Runs as the registrar, restricted and read-only; the subtransaction's end restores all of it. */
static void
call_foreign(const Agent *agent, const ClientSnapshot *clients, int n_clients, const AgentCall *call, BidSink *sink)
{
	Oid			save_user;
	int			save_context;
	int			save_nestlevel = NewGUCNestLevel();
	bool		save_read_only = XactReadOnly;
	Oid			role = get_role_oid(agent->registrar, false);

	GetUserIdAndSecContext(&save_user, &save_context);
	if (!compat_may_become(save_user, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not run agent \"%s\" as role \"%s\"",
						GetUserNameFromId(save_user, false), agent->name, agent->registrar)));
	SetUserIdAndSecContext(role,
						   save_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	XactReadOnly = true;
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	/* what does not fit in memory goes to files: the same limit */
	(void) set_config_option("temp_file_limit", psprintf("%dMB", memory_limit_mb(call)), PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	start_limits(call);
	foreign_bid(agent, clients, n_clients, call, sink);
	stop_limits();
	AtEOXact_GUC(false, save_nestlevel);
	XactReadOnly = save_read_only;
	SetUserIdAndSecContext(save_user, save_context);
}

static bool
is_agents_failure(const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return cut != CUT_NOT;
	return error->sqlerrcode != ERRCODE_ADMIN_SHUTDOWN && error->sqlerrcode != ERRCODE_CRASH_SHUTDOWN;
}

/* Name the new bids after their agent. */
static void
sign_bids(const Agent *agent, BidSink *sink, int first)
{
	char	   *name = MemoryContextStrdup(sink->cxt, agent->name);
	char	   *objective = MemoryContextStrdup(sink->cxt, agent->objective);

	for (int i = first; i < sink->n; i++)
	{
		sink->bids[i].agent = name;
		sink->bids[i].objective = objective;
		sink->bids[i].shadow = agent->shadow;
	}
	sink->answered = lappend(sink->answered, name);
}

/* Call one agent; bids go to the sink, an error into agentcrm.error_log.  Needs SPI. */
void
agent_call_guarded(const Agent *agent, const ClientSnapshot *clients, int n_clients, const Population *population,
				   const AgentCall *general, BidSink *sink)
{
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			first = sink->n;
	ErrorData  *volatile error = NULL;
	AgentCall	call = *general;

	call.agent = agent->name;
	call.params = agent->numbers;
	call.n_params = agent->n_numbers;
	cut = CUT_NOT;
	if (agent->native == NULL)
		leftovers_check();
	engine_note_agent(agent->name);
	BeginInternalSubTransaction("agentcrm agent");
	MemoryContextSwitchTo(sink->cxt);
	PG_TRY();
	{
		if (agent->native != NULL)
			agent->native(clients, n_clients, population, &call, sink);
		else
			call_foreign(agent, clients, n_clients, &call, sink);
		for (int i = first; i < sink->n; i++)
			bid_check(&sink->bids[i]);
		if (agent->native != NULL)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(old);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(old);
		CurrentResourceOwner = owner;
		if (time_limit != MAX_TIMEOUTS)
			stop_limits();
	}
	PG_END_TRY();
	if (agent->native == NULL)
		leftovers_drop();
	engine_note_agent(NULL);
	if (error != NULL)
	{
		if (!is_agents_failure(error))
			ReThrowError(error);
		sink->n = first;
		record_failure(agent, error);
		MemoryContextSwitchTo(sink->cxt);
		sink->failed = lappend(sink->failed, psprintf("%s: %s", agent->name, cut != CUT_NOT ? cut_message[cut] : error->message));
		MemoryContextSwitchTo(old);
		return;
	}
	MemoryContextSwitchTo(sink->cxt);
	sign_bids(agent, sink, first);
	MemoryContextSwitchTo(old);
	if (agent->troubled)
		clear_problem(agent);
}
