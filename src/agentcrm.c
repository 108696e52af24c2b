/*
 * agentcrm.c
 *		Entry point of the library: the magic block, the settings, and _PG_init.
 *
 * _PG_init calls the rooms' own initialisation and does nothing else.  What the
 * rooms' calls share in refusing arguments is here, too.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "agentcrm.h"
#include "compat.h"
#include "engine/clock.h"
#include "engine/shmem.h"
#include "engine/worker.h"
#include "fault.h"
#include "source/source.h"

PG_MODULE_MAGIC;

/*
 * agentcrm.capture: turns off the triggers' work at once, for all sessions
 * after a reload.  Changes made meanwhile are looked for by a reconcile once it
 * is on again.
 */
bool		agentcrm_capture_enabled = true;

/*
 * agentcrm.capture_max_keys: a transaction that changes more keys than this
 * writes them to the queue before its end, to bound its memory.
 */
int			agentcrm_capture_max_keys = 100000;

/*
 * agentcrm.batch_size: events the worker takes in one transaction.  Larger
 * batches cost less per order, smaller ones are visible sooner.
 */
int			agentcrm_batch_size = 2000;

/* agentcrm.idle_poll: how often every database is looked at for work that nobody announced (COMMIT PREPARED). */
int			agentcrm_idle_poll = 60;

/* agentcrm.idle_exit: a worker without work ends after this time; the launcher starts it again when there is some. */
int			agentcrm_idle_exit = 10;

/* agentcrm.reconcile_interval: time after which a source is read through for changes that no trigger saw; 0: never. */
int			agentcrm_reconcile_interval = 86400;

/*
 * agentcrm.poll_interval: how often sources are looked at that have a
 * watermark, or a relation on which no trigger can be; 0: never.  Reading
 * takes a twentieth of the time at most: slow sources are looked at less often.
 */
int			agentcrm_poll_interval = 60;

/*
 * agentcrm.watermark_margin: so much before the last watermark seen is read
 * again each time; no shorter than a transaction of the application lasts, for
 * it may commit marks older than those seen.
 */
int			agentcrm_watermark_margin = 600;

/* agentcrm.worker_role: role the worker connects as; empty: the bootstrap superuser, acting as the extension's owner. */
char	   *agentcrm_worker_role = NULL;

/* agentcrm.false_alarm_rate: false alarms accepted per living client and year, over all alarms. */
double		agentcrm_false_alarm_rate = 1.0 / 13;

/* agentcrm.value_horizon: days over which the value of an action is counted. */
int			agentcrm_value_horizon = 90;
double		agentcrm_displacement_penalty = 0.1;
int			agentcrm_agent_timeout = 5000;
int			agentcrm_plan_hour = 3;
double		agentcrm_reprice_share = 0.01;

/* agentcrm.margin_rate: margin as a share of net amount where a source gives no margin. */
double		agentcrm_margin_rate = 0.25;

/*
 * agentcrm.attach_lock_timeout: how long attach, alter_source and detach wait
 * for each table's lock.  Writers queue behind a waiting lock: keep it short.
 * Read by the calls by its name.
 */
static int	attach_lock_timeout = 2000;

static void
define_settings(void)
{
	DefineCustomBoolVariable("agentcrm.capture",
							 "Whether triggers on attached tables capture changes.", NULL,
							 &agentcrm_capture_enabled, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.capture_max_keys",
							"Changed keys a transaction keeps in memory before it writes them to the queue.", NULL,
							&agentcrm_capture_max_keys, 100000, 100, 10000000, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.batch_size",
							"Events the worker takes in one transaction.", NULL,
							&agentcrm_batch_size, 2000, 1, 100000, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.idle_poll",
							"Interval at which databases are looked at for unannounced work.", NULL,
							&agentcrm_idle_poll, 60, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.idle_exit",
							"Time after which a worker without work ends.", NULL,
							&agentcrm_idle_exit, 10, 0, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.reconcile_interval",
							"Time after which a source is read through for changes that no trigger saw.",
							"Zero turns the schedule off.",
							&agentcrm_reconcile_interval, 86400, 0, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.poll_interval",
							"How often sources with a watermark, or with relations that cannot have triggers, are looked at.",
							"Zero turns it off.",
							&agentcrm_poll_interval, 60, 0, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.watermark_margin",
							"Time before the last watermark seen from which rows are read again.", NULL,
							&agentcrm_watermark_margin, 600, 0, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("agentcrm.worker_role",
							   "Role the worker connects as; empty for the extension's owner.", NULL,
							   &agentcrm_worker_role, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomRealVariable("agentcrm.false_alarm_rate",
							 "False alarms accepted per living client and year.", NULL,
							 &agentcrm_false_alarm_rate, 1.0 / 13, 0.001, 10, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("agentcrm.displacement_penalty", "By how much more than a recommendation that nobody has seen yet another one must be worth to take its place, as a share of its value.",
							 NULL, &agentcrm_displacement_penalty, 0.1, 0, 10, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.agent_timeout", "Time after which a call of an agent that is not built in is cut, where the agent's parameter time_limit_ms does not say otherwise.",
							NULL, &agentcrm_agent_timeout, 5000, 1, INT_MAX / 2, PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.plan_hour", "Hour of the UTC day from which on the day is planned over all clients, with prices made anew; -1: never.",
							"Orders and clients whose time has come are answered at any time, at the standing prices.",
							&agentcrm_plan_hour, 3, -1, 23, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("agentcrm.reprice_share", "Share of the clients that rounds must have touched since the prices were made for the day to be planned anew, an hour later at the earliest; 1: never before the next day.",
							 NULL, &agentcrm_reprice_share, 0.01, 0, 1, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.value_horizon",
							"Days over which the value of an action is counted.", NULL,
							&agentcrm_value_horizon, 90, 1, 3650, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("agentcrm.margin_rate",
							 "Margin as a share of net amount, where a source gives no margin.", NULL,
							 &agentcrm_margin_rate, 0.25, 0, 1, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("agentcrm.attach_lock_timeout",
							"Time that attach, alter_source and detach wait for a table's lock.", NULL,
							&attach_lock_timeout, 2000, 1, INT_MAX, PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomStringVariable("agentcrm.debug_now",
							   "Stands in for the current time, in tests and demonstrations.", NULL,
							   &engine_debug_now, "", PGC_SUSET, GUC_SUPERUSER_ONLY,
							   engine_check_debug_now, engine_assign_debug_now, NULL);
	DefineCustomStringVariable("agentcrm.debug_fault",
							   "Faults planted on purpose, for tests: place[:action], separated by commas.",
							   "Places: attach, watch, render, allocate, turn, open, insert, inserted, report, guarded, commit."
							   " Actions: error, oom, disk, lock, cancel, terminate.",
							   &agentcrm_debug_fault, "", PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	MarkGUCPrefixReserved("agentcrm");
}

/* Called once when the server or a session loads the library. */
PGDLLEXPORT void _PG_init(void);

/* See agentcrm.h. */
void
agentcrm_check_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", name)));
}

void
_PG_init(void)
{
	define_settings();
	source_capture_init();
	if (process_shared_preload_libraries_in_progress)
	{
		shmem_init();
		launcher_register();
	}
}
