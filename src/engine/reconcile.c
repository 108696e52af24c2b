/*
 * reconcile.c
 *		When sources are reconciled: on a schedule, at a start of the server
 *		that follows no clean stop, and when changes are known to have been
 *		missed; and which keys are left out because an event explains them.
 *
 * The reading itself is a load (load.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "agentcrm.h"
#include "distinct.h"
#include "engine/engine.h"
#include "engine/load.h"
#include "engine/reconcile.h"
#include "engine/shmem.h"
#include "engine/step.h"
#include "queue/queue.h"

/* The schedule is looked up this often. */
#define LOOK_SECONDS 60

/* ---- on a schedule ---- */

/* The last reading of the orders of each source that is due for another; DT_NOBEGIN: none known. */
static int
read_schedule(int32 **sources, TimestampTz **last)
{
	MemoryContext cxt = CurrentMemoryContext;
	int			n;

	SPI_connect();
	SPI_execute("SELECT s.source_id, max(f.at) FROM agentcrm.source s JOIN agentcrm.source_part p USING (source_id)"
				" LEFT JOIN agentcrm.reconcile_log f USING (source_id, part)"
				" WHERE p.kind = 'order' AND s.state IN ('shadow', 'live') AND NOT EXISTS ("
				"  SELECT FROM (SELECT DISTINCT ON (l.part) l.phase FROM agentcrm.source_load l WHERE l.source_id = s.source_id"
				"  ORDER BY l.part, l.load_no DESC) AS l WHERE l.phase <> 'done')"
				" GROUP BY s.source_id", true, 0);
	n = SPI_processed;
	*sources = MemoryContextAlloc(cxt, sizeof(int32) * Max(n, 1));
	*last = MemoryContextAlloc(cxt, sizeof(TimestampTz) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;

		(*sources)[i] = DatumGetInt32(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		(*last)[i] = DatumGetTimestampTz(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
		if (isnull)
			(*last)[i] = DT_NOBEGIN;
	}
	SPI_finish();
	return n;
}

static TimestampTz
due_after(TimestampTz last)
{
	return last == DT_NOBEGIN ? DT_NOBEGIN : last + agentcrm_reconcile_interval * USECS_PER_SEC;
}

/* When the schedule asks for the next reconcile. */
TimestampTz
reconcile_next_due(void)
{
	int32	   *sources;
	TimestampTz *last;
	TimestampTz first = DT_NOEND;
	int			n;

	if (agentcrm_reconcile_interval == 0)
		return DT_NOEND;
	n = read_schedule(&sources, &last);
	for (int i = 0; i < n; i++)
		first = Min(first, due_after(last[i]));
	return first;
}

/* Ask for what the schedule wants by now; looked up once a minute, or when the clock was set. */
bool
reconcile_on_schedule(TimestampTz now)
{
	static TimestampTz looked_at = DT_NOBEGIN;
	int32	   *sources;
	TimestampTz *last;
	int			n;
	bool		asked = false;

	if (agentcrm_reconcile_interval == 0 ||
		(looked_at != DT_NOBEGIN && now >= looked_at && now - looked_at < LOOK_SECONDS * USECS_PER_SEC))
		return false;
	n = read_schedule(&sources, &last);
	for (int i = 0; i < n; i++)
		if (due_after(last[i]) <= now)
		{
			load_request(sources[i], 0, "schedule", true);
			asked = true;
		}
	/* what was asked for may yet be rolled back */
	looked_at = asked ? DT_NOBEGIN : now;
	return asked;
}

/* ---- at a start of the server ---- */

/* Note for which run of the server the sources are reconciled; false when they were already. */
static bool
note_life(TimestampTz life)
{
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(life)};
	bool		noted;

	SPI_connect();
	SPI_execute_with_args("SELECT FROM agentcrm.server_start WHERE life = $1", 1, types, values, NULL, true, 0);
	noted = SPI_processed == 0;
	if (noted)
	{
		SPI_execute("DELETE FROM agentcrm.server_start", false, 0);
		SPI_execute_with_args("INSERT INTO agentcrm.server_start (life) VALUES ($1)", 1, types, values, NULL, false, 0);
	}
	SPI_finish();
	return noted;
}

/*
 * Marks of lost keys do not survive a crash, and without preload nobody keeps
 * them: after a start that follows no clean stop all is looked at once.  What
 * is being loaded for the first time is left to the schedule.
 */
bool
reconcile_at_start(TimestampTz now)
{
	static TimestampTz known = DT_NOBEGIN;
	TimestampTz life = engine_shared ? engine_shared->life : DT_NOBEGIN;
	bool		asked = false;

	if (life == known)
		return false;
	if (!note_life(life))
	{
		known = life;			/* committed by an earlier step */
		return false;
	}
	for (int i = 0; i < source_count(); i++)
		if (source_nth(i)->state != SOURCE_LOADING)
		{
			load_request(source_nth(i)->source_id, 0, "server start", true);
			asked = true;
		}
	return asked;
}

/* ---- when changes were missed ---- */

/* Changes were made while agentcrm.capture was off, and it is on again. */
bool
reconcile_missed(TimestampTz now)
{
	if (!agentcrm_capture_enabled || !shmem_take_missed())
		return false;
	load_request(0, 0, "capture off", true);
	return true;
}

/* Flushes that could not write have left marks. */
bool
reconcile_lost(TimestampTz now)
{
	int32		sources[SHMEM_MAX_TAKEN];
	int			n = shmem_take_lost(sources);

	for (int i = 0; i < n; i++)
		load_request(sources[i], 0, "lost keys", true);
	return n > 0;
}

/* ---- keys that wait in the queue ---- */

/* Add the keys that waiting rows of a touching table concern. */
static int
add_touched(Source *source, SourcePart *touch, const QueueEvent *events, int n, const char ***waiting, int n_waiting)
{
	const char **keys = palloc(sizeof(char *) * Max(n, 1));
	const char **orders;
	int			n_keys = 0;
	int			n_orders;

	for (int i = 0; i < n; i++)
		if (events[i].source_id == source->source_id && events[i].part == touch->part)
			keys[n_keys++] = events[i].key;
	if (n_keys == 0 || source_read_touched(source, touch, keys, n_keys, &orders, &n_orders) != NULL)
		return n_waiting;
	*waiting = repalloc_huge(*waiting, sizeof(char *) * Max(n_waiting + n_orders, 1));
	memcpy(*waiting + n_waiting, orders, sizeof(char *) * n_orders);
	return n_waiting + n_orders;
}

/* See load.h. */
bool
reconcile_leave_out_waiting(Source *source, SourcePart *part, const char **keys, int *n)
{
	int			n_events;
	QueueEvent *events = queue_pending(&n_events);
	const char **waiting = palloc_extended(sizeof(char *) * Max(n_events, 1), MCXT_ALLOC_HUGE);
	int			n_waiting = 0;
	int			kept = 0;

	for (int i = 0; i < n_events; i++)
	{
		if (events[i].part == QUEUE_PART_RESYNC &&
			(events[i].source_id == 0 || events[i].source_id == source->source_id) &&
			(*events[i].key == '\0' || atoi(events[i].key) == part->part))
			return false;
		if (events[i].source_id == source->source_id && events[i].part == part->part)
			waiting[n_waiting++] = events[i].key;
	}
	for (int p = 0; p < source->n_parts; p++)
		if (source_part_touches(&source->parts[p], part))
			n_waiting = add_touched(source, &source->parts[p], events, n_events, &waiting, n_waiting);
	if (n_waiting == 0)
		return true;
	source_add_spellings(source, part, &waiting, &n_waiting);
	n_waiting = distinct_keys(waiting, n_waiting);
	for (int i = 0; i < *n; i++)
		if (!distinct_has_key(waiting, n_waiting, keys[i]))
			keys[kept++] = keys[i];
	*n = kept;
	return true;
}
