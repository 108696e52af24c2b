/*
 * step.c
 *		One step of work: events, a piece of a load, clients that are due, upkeep.
 *
 * Calls each room's face in turn; worker and run() do nothing else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/rel.h"

#include "agentcrm.h"
#include "distinct.h"
#include "engine/reconcile.h"
#include "engine/engine.h"
#include "engine/mapping.h"
#include "engine/note.h"
#include "engine/shmem.h"
#include "engine/step.h"
#include "engine/way.h"
#include "execute/execute.h"
#include "plan/plan.h"
#include "profile/profile.h"
#include "store.h"

/* Clients taken at a time when they are due; fewer beside events, which must not wait for them. */
#define DUE_AT_ONCE 200
#define DUE_BESIDE_EVENTS 20

/* After an error fewer events are taken at a time, until one of them is to blame. */
static int	events_at_once = 0;
static bool blame_next = false;

/*
 * What the step was at when it failed.  A load that failed is left out of the
 * next step, what was due out of more and more of them, so that events go on.
 */
static enum
{
	AT_EVENTS, AT_LOAD, AT_DUE, AT_OTHER
}			step_at = AT_OTHER;
static bool skip_load = false;
static int	due_failures = 0;
static int	skip_due = 0;

#define MAX_SKIP_DUE 256

static ErrorData blamed_error;

/* ---- permission to work ---- */

/*
 * Take the locks of a step without waiting.  Whoever drops, renames or copies
 * the database, or drops the extension, holds or awaits one of the first two;
 * the third keeps worker and run() apart.
 */
static StepResult
take_locks(void)
{
	Oid			extension = get_extension_oid("agentcrm", true);

	if (!OidIsValid(extension) || !way_lock_database() || !way_lock_extension(extension))
		return STEP_LEAVE;
	/* dropped between the look-up and the lock? */
	if (!OidIsValid(get_extension_oid("agentcrm", true)))
		return STEP_LEAVE;
	if (!ConditionalLockRelationOid(store_relid("batch"), ShareUpdateExclusiveLock))
		return STEP_BUSY;
	way_watch();
	return STEP_WORKED;
}

/* For a worker that does not work now: whether it may stay. */
StepResult
step_look(void)
{
	return take_locks() == STEP_LEAVE ? STEP_LEAVE : STEP_IDLE;
}

/* ---- errors ---- */

/* Append a row to agentcrm.error_log. */
void
error_record(const char *place, int32 source_id, const ErrorData *error, TimestampTz now)
{
	Store	   *store = store_open("error_log", RowExclusiveLock);
	Datum		values[6] = {TimestampTzGetDatum(now), CStringGetTextDatum(place), Int32GetDatum(source_id),
		CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)),
		CStringGetTextDatum(error->message ? error->message : "unknown error"),
	error->context ? CStringGetTextDatum(error->context) : (Datum) 0};
	bool		isnull[6] = {false, false, source_id == 0, false, false, error->context == NULL};

	store_insert(store, values, isnull);
	store_close(store);
}

/* The last step ended in an ERROR: take fewer events, and blame the one that is left. */
void
step_failed(ErrorData *error)
{
	/* ended from outside: nobody's fault */
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return;
	if (step_at == AT_LOAD)
	{
		load_failed(error);
		skip_load = true;
	}
	if (step_at == AT_DUE)
		skip_due = Min(1 << Min(due_failures++, 30), MAX_SKIP_DUE);
	if (step_at != AT_EVENTS)
		return;
	if (events_at_once > 1)
	{
		events_at_once = 1;
		return;
	}
	if (blamed_error.message)
		pfree(blamed_error.message);
	if (blamed_error.context)
		pfree(blamed_error.context);
	blamed_error.sqlerrcode = error->sqlerrcode;
	blamed_error.message = MemoryContextStrdup(TopMemoryContext, error->message ? error->message : "unknown error");
	blamed_error.context = error->context ? MemoryContextStrdup(TopMemoryContext, error->context) : NULL;
	blame_next = true;
}

/* ---- reading ---- */

/* Events whose keys were read are done with; a key that failed is set aside as the order writes it. */
static void
settle_events(const QueueEvent *events, int n, const char **keys, int n_keys, ErrorData **errors, TimestampTz now)
{
	ErrorData **of_events = palloc0(sizeof(ErrorData *) * n);

	for (int i = 0; i < Min(n, n_keys); i++)
		if (strcmp(events[i].key, keys[i]) == 0)
			of_events[i] = errors[i];
	queue_forgive(events, n, of_events);
	for (int k = 0; k < n_keys; k++)
		if (errors[k])
		{
			QueueEvent	event = {.source_id = events[0].source_id, .part = events[0].part, .key = keys[k]};

			for (int i = 0; i < n; i++)
				if (strcmp(events[i].key, keys[k]) == 0)
					event.attempts = events[i].attempts;
			queue_fail(&event, 1, errors[k], now);
		}
}

/*
 * Read the orders of some keys into the ledger.  When the read fails it is
 * halved until the key to blame is alone; that one goes to event_failed.
 */
static int
read_orders(Source *source, SourcePart *part, const QueueEvent *events, int n, bool whole, TimestampTz now,
			LedgerChange **changes)
{
	const char **keys = palloc(sizeof(char *) * n);
	int			n_keys = n;
	ErrorData **errors;
	MappedLine *lines;
	int			n_lines;
	int			n_changes;
	ErrorData  *error;

	for (int i = 0; i < n; i++)
		keys[i] = events[i].key;
	error = source_read_orders(source, part, &keys, &n_keys, &lines, &n_lines);
	*changes = palloc(sizeof(LedgerChange));
	/* only before anything is written: it breaks the source off */
	if (error && whole && mapping_failed(source, now))
		return 0;
	if (error && n > 1)
	{
		LedgerChange *left;
		LedgerChange *right;
		int			n_left = read_orders(source, part, events, n / 2, false, now, &left);
		int			n_right = read_orders(source, part, events + n / 2, n - n / 2, false, now, &right);

		*changes = palloc(sizeof(LedgerChange) * Max(n_left + n_right, 1));
		memcpy(*changes, left, sizeof(LedgerChange) * n_left);
		memcpy(*changes + n_left, right, sizeof(LedgerChange) * n_right);
		return n_left + n_right;
	}
	if (error)
	{
		queue_fail(events, 1, error, now);
		return 0;
	}
	store_sync();				/* another half may have made clients and products of this one */
	errors = palloc0(sizeof(ErrorData *) * Max(n_keys, 1));
	n_changes = ledger_apply(source, part, keys, n_keys, lines, n_lines, now, changes, errors);
	settle_events(events, n, keys, n_keys, errors, now);
	return n_changes;
}

/* Read orders by their keys. */
int
step_read_keys(Source *source, SourcePart *part, const QueueEvent *events, int n, TimestampTz now,
			   LedgerChange **changes)
{
	return read_orders(source, part, events, n, true, now, changes);
}

/* The rows of another part that rows of a table touch, as events of that part; none when they cannot be told now. */
static QueueEvent *
touched_events(Source *source, SourcePart *part, const QueueEvent *events, int *n, TimestampTz now, SourcePart **touched)
{
	const char **touching = palloc(sizeof(char *) * *n);
	const char **keys;
	int			n_keys;
	QueueEvent *result;
	ErrorData  *error;

	*touched = source_part_named(source, part->touches);
	for (int i = 0; i < *n; i++)
		touching[i] = events[i].key;
	error = source_read_touched(source, part, touching, *n, &keys, &n_keys);
	if (error)
	{
		if (!mapping_failed(source, now))
			queue_fail(events, *n, error, now);
		*n = 0;
		return NULL;
	}
	queue_forgive(events, *n, NULL);
	*n = distinct_keys(keys, n_keys);
	result = palloc0(sizeof(QueueEvent) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		result[i] = (QueueEvent)
	{
		.source_id = source->source_id, .part = (*touched)->part, .key = keys[i]
	};
	return result;
}

/* Halved on failure like orders. */
static int
read_feed(Source *source, SourcePart *part, const QueueEvent *events, int n, bool whole, TimestampTz now,
		  FeedFound *found, int64 **clients)
{
	const char **keys = palloc(sizeof(char *) * n);
	FeedRows	rows;
	int			n_keys = n;
	ErrorData  *error;

	for (int i = 0; i < n; i++)
		keys[i] = events[i].key;
	error = source_read_feed(source, part, &keys, &n_keys, &rows);
	*clients = palloc(sizeof(int64));
	if (error && whole && mapping_failed(source, now))
		return 0;
	store_sync();				/* another half may have made reps of this one */
	if (error == NULL)
		error = ledger_feed_clash(source, &rows);
	if (error && n > 1)
	{
		int64	   *left;
		int64	   *right;
		int			n_left = read_feed(source, part, events, n / 2, false, now, found, &left);
		int			n_right = read_feed(source, part, events + n / 2, n - n / 2, false, now, found, &right);

		*clients = palloc(sizeof(int64) * Max(n_left + n_right, 1));
		memcpy(*clients, left, sizeof(int64) * n_left);
		memcpy(*clients + n_left, right, sizeof(int64) * n_right);
		return n_left + n_right;
	}
	if (error)
	{
		queue_fail(events, 1, error, now);
		return 0;
	}
	queue_forgive(events, n, NULL);
	return ledger_store_feed(source, part, keys, n_keys, &rows, now, found, clients);
}

/* Add to a list of clients, which may come to hold some of them twice. */
void
client_list_add(ClientList *list, const int64 *ids, int n)
{
	if (n == 0)
		return;
	if (list->n + n > list->max)
	{
		list->max = Max(list->max * 2, list->n + n);
		list->ids = list->ids ? repalloc(list->ids, sizeof(int64) * list->max) : palloc(sizeof(int64) * list->max);
	}
	memcpy(list->ids + list->n, ids, sizeof(int64) * n);
	list->n += n;
}

/* Read attributes of some keys, adding up what they changed. */
int
step_read_feed(Source *source, SourcePart *part, const QueueEvent *events, int n, TimestampTz now,
			   FeedFound *found, int64 **clients)
{
	ClientList	touched = {0};
	int64	   *changed;
	int			n_changed = read_feed(source, part, events, n, true, now, found, &changed);

	client_list_add(&touched, changed, n_changed);
	step_follow(source, part, &found->moves, now, &touched);
	*clients = touched.ids;
	return distinct_ids(touched.ids, touched.n);
}

/* ---- from the ledger to recommendations ---- */

/* Lines of clients whose profile is built now; the others' profiles are the load's business. */
static int
lines_not_deferred(Source *source, LedgerLine *lines, int n)
{
	int			kept = 0;

	for (int i = 0; i < n; i++)
		if (!load_defers(source, lines[i].client_id))
			lines[kept++] = lines[i];
	return kept;
}

/* Bring profiles up to date with changes of the ledger; the clients touched. */
int
step_apply(Source *source, LedgerChange *changes, int n, TimestampTz now, int64 **clients)
{
	int			kept = 0;

	store_sync();
	for (int i = 0; i < n; i++)
	{
		changes[kept] = changes[i];
		if (source->state == SOURCE_LOADING)
		{
			changes[kept].n_before = lines_not_deferred(source, changes[i].before, changes[i].n_before);
			changes[kept].n_after = lines_not_deferred(source, changes[i].after, changes[i].n_after);
		}
		if (changes[kept].n_before + changes[kept].n_after > 0)
			kept++;
	}
	*clients = NULL;
	if (kept == 0)
		return 0;
	execute_answer(changes, kept, now);
	return profile_apply(changes, kept, load_any(), clients);
}

/* Who cannot be assessed, because he is merged or unknown, must have no state: it would be due for ever. */
static void
end_states(const int64 *clients, int n, const ClientSnapshot *snapshots, int n_snapshots)
{
	int64	   *without = palloc(sizeof(int64) * n);
	int			n_without = 0;

	for (int i = 0, s = 0; i < n; i++)
		if (s < n_snapshots && snapshots[s].client_id == clients[i])
			s++;
		else
			without[n_without++] = clients[i];
	profile_end_state(without, n_without);
}

/* Call the agents for some clients, award, and store the assessments. */
void
step_assess(const int64 *clients, int n, bool event, const char *cause, TimestampTz now)
{
	ClientSnapshot *snapshots;
	int			n_snapshots;

	if (n == 0)
		return;
	store_sync();
	snapshots = profile_read(clients, n, now, &n_snapshots);
	end_states(clients, n, snapshots, n_snapshots);
	if (!engine_adopted(now))
		for (int i = 0; i < n_snapshots; i++)
			snapshots[i].deliver = false;
	plan_round(event ? ROUND_EVENT : ROUND_DUE, snapshots, n_snapshots, now);
	profile_store_state(snapshots, n_snapshots, cause);
}

/* ---- events ---- */

/* Milliseconds since a moment. */
static double
ms_since(instr_time from)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, from);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* Keep what cannot be read now: until the next step where the mapping was just followed, else until the source goes on. */
void
step_park(Source *source, const QueueEvent *events, int n, TimestampTz now)
{
	queue_park(events, n, source->state == SOURCE_PAUSED ? "the source is paused" : "the source is broken", now,
			   source->followed ? now : DT_NOEND);
}

/* Whether a part's keys are those of orders, or of rows that touch them. */
static bool
is_about_orders(Source *source, SourcePart *part)
{
	if (part->kind == PART_TOUCH)
		part = source_part_named(source, part->touches);
	return part->kind == PART_ORDER;
}

/* The events of one part of one source; adds the time until the ledger is up to date to ledger_ms. */
static void
work_on_part(const QueueEvent *events, int n, TimestampTz now, ClientList *clients, double *ledger_ms)
{
	Source	   *source = source_get(events[0].source_id);
	SourcePart *part;
	const QueueEvent *own = events;
	int			n_own = n;
	FeedFound	found = {0};
	ClientList	list = {0};
	bool		renamed;
	int64	   *touched;
	int			n_touched;
	instr_time	begun;

	if (events[0].part == QUEUE_PART_RESYNC)
	{
		for (int i = 0; i < n; i++)
			load_request(events[i].source_id, atoi(events[i].key), *events[i].key ? "TRUNCATE" : "lost keys", false);
		return;
	}
	part = source ? source_part(source, events[0].part) : NULL;
	renamed = source && events[0].part == QUEUE_PART_RENAME && source->state != SOURCE_DETACHING;
	if (part == NULL && !renamed)
		return;					/* detached meanwhile */
	if (part && is_about_orders(source, part) && load_empties(source))
		return;					/* detached, or read anew from the first key */
	if (source->state == SOURCE_PAUSED || source->state == SOURCE_BROKEN)
	{
		step_park(source, events, n, now);
		return;
	}
	INSTR_TIME_SET_CURRENT(begun);
	if (part && part->kind == PART_TOUCH)
		events = touched_events(source, part, events, &n, now, &part);
	if (renamed)
	{
		step_rename(source, events, n, now, &list);
		*ledger_ms += ms_since(begun);
		touched = list.ids;
		n_touched = list.n;
	}
	else if (n == 0)
		n_touched = 0;
	else if (part->kind == PART_FEED)
	{
		n_touched = step_read_feed(source, part, events, n, now, &found, &touched);
		*ledger_ms += ms_since(begun);
	}
	else
	{
		LedgerChange *changes;
		int			n_changes = step_read_keys(source, part, events, n, now, &changes);

		*ledger_ms += ms_since(begun);
		n_touched = step_apply(source, changes, n_changes, now, &touched);
	}
	if (source->state == SOURCE_BROKEN)
		step_park(source, own, n_own, now);
	/* a source being loaded is assessed when it is loaded */
	if (source->state != SOURCE_LOADING && n_touched > 0)
		client_list_add(clients, touched, n_touched);
}

/* An event that makes the whole step fail goes to event_failed. */
static void
blame(QueueBatch *batch, TimestampTz now)
{
	int			n;
	QueueEvent *events = queue_batch_events(batch, &n);

	for (int i = 0; i < n; i++)
		if (events[i].part != QUEUE_PART_RESYNC)
			queue_fail(&events[i], 1, &blamed_error, now);
	blame_next = false;
}

/* Work on a batch; drained tells whether an older event is left. */
static bool
step_events(TimestampTz now, bool *drained)
{
	TimestampTz started = GetCurrentTimestamp();
	QueueBatch *batch;
	QueueEvent *events;
	ClientList	clients = {0};
	int			n;
	double		ledger_ms;
	instr_time	begun;

	INSTR_TIME_SET_CURRENT(begun);
	if (events_at_once == 0)
		events_at_once = agentcrm_batch_size;
	batch = queue_read(note_limit(NOTE_EVENTS, events_at_once), now);
	if (batch == NULL)
	{
		blame_next = false;
		*drained = true;
		return false;
	}
	*drained = queue_batch_is_last(batch) && !blame_next;
	ledger_ms = ms_since(begun);
	events = queue_batch_events(batch, &n);
	note_work(NOTE_EVENTS, queue_batch_number(batch), queue_batch_size(batch));
	if (n == 1)
		note_key(events[0].source_id, events[0].part, events[0].key);
	if (queue_batch_discarded(batch))
		load_request(0, 0, "other server", true);
	if (blame_next)
		blame(batch, now);
	else if (n != 1 || !recover_blames(&events[0], now))
	{
		for (int from = 0, to; from < n; from = to)
		{
			for (to = from + 1; to < n && events[to].source_id == events[from].source_id &&
				 events[to].part == events[from].part; to++)
				;
			store_sync();
			work_on_part(&events[from], to - from, now, &clients, &ledger_ms);
		}
		step_rename_touched(events, n, now, &clients);
		clients.n = distinct_ids(clients.ids, clients.n);
		step_assess(clients.ids, clients.n, true, "order", now);
	}
	queue_finish(batch, clients.n, started, GetCurrentTimestamp(), ledger_ms);
	events_at_once = Min(events_at_once * 2, agentcrm_batch_size);
	return true;
}

/* ---- time ---- */

static int
due_clients(TimestampTz now, int limit, int64 *ids)
{
	Store	   *store = store_open("client_state", AccessShareLock);
	StoreScan  *scan = store_scan_until(store, "client_state_next_look_at_idx", TimestampTzGetDatum(now));
	HeapTuple	tuple;
	bool		isnull;
	int			n = 0;

	while (n < limit && (tuple = store_next(scan)) != NULL)
		ids[n++] = DatumGetInt64(heap_getattr(tuple, 1, store_desc(store), &isnull));
	store_scan_end(scan);
	store_close(store);
	return n;
}

/* When the next client is due; passes over all dead versions of earlier times. */
static TimestampTz
next_due_client(void)
{
	Store	   *store = store_open("client_state", AccessShareLock);
	StoreScan  *scan = store_scan(store, "client_state_next_look_at_idx", 0, NULL);
	TupleDesc	desc = store_desc(store);
	HeapTuple	tuple = store_next(scan);
	TimestampTz at = DT_NOEND;
	bool		isnull;

	if (tuple)
		at = DatumGetTimestampTz(heap_getattr(tuple, STATE_NEXT_LOOK_AT, desc, &isnull));
	store_scan_end(scan);
	store_close(store);
	return at;
}

static bool
step_due(TimestampTz now, int at_once)
{
	int64		ids[DUE_AT_ONCE];
	int			n = due_clients(now, note_limit(NOTE_DUE, at_once), ids);
	int			expired = execute_expire(now, at_once);

	if (n > 0)
	{
		note_work(NOTE_DUE, 0, n);
		n = distinct_ids(ids, n);
		step_assess(ids, n, false, "time", now);
	}
	return n > 0 || expired > 0;
}

/* When time alone makes work next; nobody who drops the extension meanwhile is met halfway. */
TimestampTz
step_next_due(void)
{
	TimestampTz recommendation;
	TimestampTz others;

	if (take_locks() != STEP_WORKED)
		return DT_NOEND;
	recommendation = execute_next_due();
	others = Min(queue_next_retry(), Min(reconcile_next_due(), poll_next_due()));
	return Min(Min(next_due_client(), plan_next_day(engine_now())), Min(recommendation, others));
}

/* ---- the step ---- */

/* Whatever asks for a source to be read through. */
static bool
step_reconcile(TimestampTz now)
{
	bool		asked = reconcile_at_start(now);

	asked |= reconcile_lost(now);
	asked |= reconcile_missed(now);
	asked |= reconcile_on_schedule(now);
	asked |= poll_on_schedule(now);
	return asked;
}

/*
 * Whether a database where nothing was ever read may be worked on.  While a
 * dump is restored it may not: rows written here would collide with rows to
 * come, and a source read now would be read half.  Its triggers come last;
 * where no source has any left, adopt() says that it is done.
 */
static bool
is_whole(void)
{
	bool		whole;

	if (!queue_unread())
		return true;
	SPI_connect();
	SPI_execute("SELECT FROM agentcrm.source JOIN agentcrm.source_watch USING (source_id)"
				" WHERE state <> 'detaching' AND polled IS NULL AND NOT EXISTS (SELECT FROM agentcrm.untriggered())"
				" UNION ALL SELECT FROM agentcrm.server_start", true, 1);
	whole = SPI_processed > 0;
	SPI_finish();
	return whole;
}

/* One transaction of work. */
StepResult
step_run(void)
{
	TimestampTz now = engine_now();
	StepResult	result = take_locks();
	bool		drained;
	bool		worked;

	if (result != STEP_WORKED)
		return result;
	step_at = AT_OTHER;
	/* the snapshot must not be older than the locks */
	store_sync();
	store_check_tables();
	if (!is_whole())
		return STEP_IDLE;
	source_refresh();
	load_refresh();
	if (recover_step(now))
		return STEP_WORKED;
	worked = mapping_step(now);
	if (worked)
		return STEP_WORKED;
	worked = step_reconcile(now);

	step_at = AT_EVENTS;
	worked |= step_events(now, &drained);
	step_at = AT_LOAD;
	if (!skip_load)
		worked |= load_step(now, drained);
	else
		worked = true;			/* its turn comes with the next step */
	skip_load = false;
	/* what time makes due waits for a backlog, not for events to cease: under steady load there is no idle step */
	step_at = AT_DUE;
	if (skip_due > 0)
		skip_due--;
	else if (drained && !load_any())
	{
		store_sync();
		worked |= step_due(now, worked ? DUE_BESIDE_EVENTS : DUE_AT_ONCE);
		if (plan_day_due(now))
		{
			store_sync();
			plan_day(now, engine_adopted(now));
			worked = true;
		}
		if (profile_fit_due(now))
		{
			note_work(NOTE_FIT, 0, 1);
			worked |= profile_fit(now);
		}
		due_failures = 0;
	}
	step_at = AT_OTHER;
	if (worked)
		store_sync();
	worked |= queue_rotate(now);
	if (!worked)
		note_idle();
	return worked ? STEP_WORKED : STEP_IDLE;
}
