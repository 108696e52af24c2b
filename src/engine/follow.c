/*
 * follow.c
 *		Clients that are merged, unmerged, renamed or begun anew: ledger, profiles,
 *		history and recommendations follow.
 *
 * Finds out nothing about them: who moves where was decided in ledger/, and a
 * rename was seen by the trigger.
 */
#include "postgres.h"

#include "distinct.h"
#include "engine/step.h"
#include "execute/execute.h"
#include "profile/profile.h"
#include "store.h"

/* ---- merges ---- */

static SourcePart *
order_part(Source *source)
{
	for (int p = 0; p < source->n_parts; p++)
		if (source->parts[p].kind == PART_ORDER)
			return &source->parts[p];
	return NULL;
}

static bool
names_two_clients(const LedgerChange *change)
{
	for (int i = 1; i < change->n_after; i++)
		if (change->after[i].named_id != change->after[0].named_id)
			return true;
	return false;
}

/*
 * The lines of a client in a document have one time.  Where clients share a
 * document, their lines had a common time while they were merged, and have their
 * own afterwards: these are known to the application alone.
 */
static int
read_shared(Source *source, const LedgerChange *changes, int n, TimestampTz now, int64 **clients)
{
	SourcePart *part = order_part(source);
	QueueEvent *events = palloc(sizeof(QueueEvent) * n);
	int			n_events = 0;
	int			n_clients = 0;
	LedgerChange *found;

	for (int i = 0; i < n; i++)
		if (names_two_clients(&changes[i]))
			events[n_events++] = (QueueEvent)
		{
			.source_id = source->source_id, .part = part->part,
				.key = ledger_order_key(source->source_id, changes[i].order_id)
		};
	if (n_events == 0 || source->state == SOURCE_DETACHING)
		return 0;
	if (source->state != SOURCE_PAUSED && source->state != SOURCE_BROKEN)
	{
		n = step_read_keys(source, part, events, n_events, now, &found);
		n_clients = step_apply(source, found, n, now, clients);
	}
	if (source->state == SOURCE_PAUSED || source->state == SOURCE_BROKEN)
		step_park(source, events, n_events, now);
	return n_clients;
}

/* The lines of some clients go where they count now. */
static void
move_lines(int64 *clients, int n, TimestampTz now, ClientList *touched)
{
	LedgerChange *changes;
	int			n_changes;

	n = distinct_ids(clients, n);
	n_changes = ledger_move(clients, n, now, &changes);
	for (int from = 0, to; from < n_changes; from = to)
	{
		Source	   *source = source_get(changes[from].source_id);
		LedgerChange *own;
		int64	   *ids;
		int			n_ids;

		for (to = from + 1; to < n_changes && changes[to].source_id == changes[from].source_id; to++)
			;
		if (source == NULL)
			elog(ERROR, "lines of source %d are left, which is gone", changes[from].source_id);
		/* step_apply leaves out what a load defers: keep the list whole */
		own = palloc(sizeof(LedgerChange) * (to - from));
		memcpy(own, &changes[from], sizeof(LedgerChange) * (to - from));
		n_ids = step_apply(source, own, to - from, now, &ids);
		client_list_add(touched, ids, n_ids);
		n_ids = read_shared(source, &changes[from], to - from, now, &ids);
		client_list_add(touched, ids, n_ids);
	}
}

/* A client in a circle is a failed key, until the circle is broken: by whom ever. */
static void
tell_circles(Source *source, SourcePart *part, const ClientMoves *moves, TimestampTz now)
{
	/* those that were in one, and are not any more; or were merged, and are in one now */
	store_sync();
	for (int i = 0; i < moves->n; i++)
	{
		QueueEvent	event = {.source_id = source->source_id, .part = part->part, .key = moves->moves[i].key};

		queue_count_attempts(&event, 1);
		queue_forgive(&event, 1, NULL);
		store_sync();
	}
	for (int i = 0; i < moves->n_circles; i++)
	{
		ErrorData	error = {.sqlerrcode = ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION,
		.message = unconstify(char *, moves->circles[i].message)};
		QueueEvent	event = {.source_id = source->source_id, .part = part->part, .key = moves->circles[i].key};

		queue_count_attempts(&event, 1);
		queue_fail(&event, 1, &error, now);
	}
}

/* See step.h. */
void
step_follow(Source *source, SourcePart *part, const ClientMoves *moves, TimestampTz now, ClientList *touched)
{
	int64	   *ids = palloc(sizeof(int64) * Max(moves->n + moves->n_restarted, 1));
	int			n = 0;

	if (part && moves->n + moves->n_circles > 0)
		tell_circles(source, part, moves, now);
	if (moves->n + moves->n_restarted == 0)
		return;
	store_sync();
	for (int i = 0; i < moves->n; i++)
	{
		int64		both[2] = {moves->moves[i].from, moves->moves[i].to};

		ids[i] = moves->moves[i].from;
		client_list_add(touched, both, 2);
	}
	move_lines(ids, moves->n, now, touched);
	store_sync();
	for (int i = 0; i < moves->n; i++)
		if (moves->moves[i].to != moves->moves[i].client_id)
		{
			ids[n++] = moves->moves[i].client_id;
			execute_merge(moves->moves[i].client_id, moves->moves[i].to, now);
		}
	memcpy(ids + n, moves->restarted, sizeof(int64) * moves->n_restarted);
	n = distinct_ids(ids, n + moves->n_restarted);
	profile_end_state(ids, n);
	client_list_add(touched, moves->restarted, moves->n_restarted);
}

/* ---- renames ---- */

typedef struct Rename
{
	const char *old_key;
	const char *new_key;
	bool		joined;			/* worked on with this batch */
	int			search;			/* the last one that came by, from 1 */
} Rename;

/* Keys, and those of them that the feed gives. */
typedef struct RenamedKeys
{
	int			n;
	const char **keys;
	int			n_present;
	const char **present;
} RenamedKeys;

/* Both keys of the event; false when it is none of ours. */
static bool
read_rename(const QueueEvent *event, Rename *rename)
{
	char	   *separator = strchr(event->key, QUEUE_RENAME_SEPARATOR);

	if (separator == NULL)
		return false;
	*rename = (Rename)
	{
		.old_key = pnstrdup(event->key, separator - event->key), .new_key = separator + 1
	};
	return true;
}

static void
join_rename(Rename *rename, RenamedKeys *keys)
{
	rename->joined = true;
	keys->keys[keys->n++] = rename->old_key;
	keys->keys[keys->n++] = rename->new_key;
}

/* What renames are looked for: those of a batch; or, given clients, others that are about them. */
typedef struct Wanted
{
	const QueueEvent *events;
	int			n_events;
	const int64 *clients;		/* distinct */
	int			n_clients;
} Wanted;

static bool
is_wanted(const Wanted *wanted, Source *source, SourcePart *part, const QueueEvent *event, const Rename *rename)
{
	bool		in_batch = bsearch(event, wanted->events, wanted->n_events, sizeof(QueueEvent), queue_compare_events) != NULL;

	if (wanted->clients == NULL)
		return in_batch;
	/* one that failed must not make others fail */
	return !in_batch && event->attempts == 0 &&
		(distinct_has_id(wanted->clients, wanted->n_clients, source_key_identity(source, part, rename->old_key)) ||
		 distinct_has_id(wanted->clients, wanted->n_clients, source_key_identity(source, part, rename->new_key)));
}

/* All renames that wait in the queue, the wanted ones joined. */
static Rename *
read_renames(Source *source, SourcePart *part, const Wanted *wanted, int *n, RenamedKeys *keys)
{
	int			n_pending;
	bool		of_batch = wanted->clients == NULL;
	QueueEvent *pending = queue_renames(source->source_id, wanted->events, of_batch ? wanted->n_events : 0, &n_pending);
	Rename	   *renames = palloc(sizeof(Rename) * Max(n_pending, 1));

	*n = 0;
	keys->keys = palloc(sizeof(char *) * Max(2 * n_pending, 1));
	for (int i = 0; i < n_pending; i++)
		if (read_rename(&pending[i], &renames[*n]))
		{
			if (is_wanted(wanted, source, part, &pending[i], &renames[*n]))
				join_rename(&renames[*n], keys);
			(*n)++;
		}
	return renames;
}

/* Read the rows of the keys, and see who is there. */
static ErrorData *
read_renamed(Source *source, SourcePart *part, RenamedKeys *keys, const char ***read, int *n_read, FeedRows *rows)
{
	ErrorData  *error;

	*n_read = keys->n = distinct_keys(keys->keys, keys->n);
	*read = palloc(sizeof(char *) * Max(keys->n, 1));
	memcpy(*read, keys->keys, sizeof(char *) * keys->n);
	error = source_read_feed(source, part, read, n_read, rows);
	if (error)
		return error;
	keys->present = palloc(sizeof(char *) * Max(rows->n, 1));
	for (int i = 0; i < rows->n; i++)
		keys->present[i] = rows->rows[i].key;
	keys->n_present = distinct_keys(keys->present, rows->n);
	return NULL;
}

/* Join the renames that lead to or from keys that are read and not there; whether there are any. */
static bool
join_chains(Rename *renames, int n, RenamedKeys *keys)
{
	int			n_absent = 0;
	const char **absent = palloc(sizeof(char *) * Max(keys->n, 1));
	int			n_before = keys->n;

	for (int i = 0; i < keys->n; i++)
		if (!distinct_has_key(keys->present, keys->n_present, keys->keys[i]))
			absent[n_absent++] = keys->keys[i];
	for (int i = 0; i < n; i++)
		if (!renames[i].joined && (distinct_has_key(absent, n_absent, renames[i].old_key) ||
								   distinct_has_key(absent, n_absent, renames[i].new_key)))
			join_rename(&renames[i], keys);
	return keys->n > n_before;
}

/* The key under which the client is there now, by way of others that are gone; NULL: none. */
static const char *
present_key(Rename *renames, int n, const char *key, const RenamedKeys *keys, int search)
{
	for (int i = 0; i < n; i++)
	{
		const char *found = renames[i].new_key;

		if (!renames[i].joined || renames[i].search == search || strcmp(renames[i].old_key, key) != 0)
			continue;
		renames[i].search = search;
		if (!distinct_has_key(keys->present, keys->n_present, found))
			found = present_key(renames, n, found, keys, search);
		if (found)
			return found;
	}
	return NULL;
}

/*
 * A row whose key was changed: where the old key is gone and the new one is
 * there, it is one client; also where the old key is somebody else's by now, and
 * the new one was never met before.  Else keys were exchanged, or the change was
 * rolled back to a savepoint: nothing is known, and each key keeps what it has.
 *
 * A key that is gone may be one of a chain that later batches would read the
 * rest of: all of it is followed at once, and changes nothing any more when it
 * is read again.
 */
static ErrorData *
follow_renames(Source *source, SourcePart *part, const Wanted *wanted, TimestampTz now, ClientList *touched)
{
	RenamedKeys keys = {0};
	int			n;
	Rename	   *renames = read_renames(source, part, wanted, &n, &keys);
	const char **read;
	int			n_read;
	FeedRows	rows;
	ClientMoves moves = {0};
	FeedFound	found = {0};
	int64	   *changed;
	int			n_changed;
	ErrorData  *error;

	if (keys.n == 0)
		return NULL;
	do
		error = read_renamed(source, part, &keys, &read, &n_read, &rows);
	while (error == NULL && join_chains(renames, n, &keys));
	if (error == NULL)
		error = ledger_feed_clash(source, &rows);
	if (error)
		return error;
	n_changed = ledger_store_feed(source, part, read, n_read, &rows, now, &found, &changed);
	client_list_add(touched, changed, n_changed);
	step_follow(source, part, &found.moves, now, touched);
	for (int i = 0; i < n; i++)
	{
		const char *key = renames[i].joined ? present_key(renames, n, renames[i].old_key, &keys, i + 1) : NULL;
		bool		taken = distinct_has_key(keys.present, keys.n_present, renames[i].old_key);
		int64		old_id;
		int64		new_id;

		if (key == NULL)
			continue;
		old_id = source_key_identity(source, part, renames[i].old_key);
		new_id = source_key_identity(source, part, key);
		if (old_id == new_id || !ledger_rename(old_id, new_id, taken, now, &moves))
			continue;
		if (taken)
			client_list_add(touched, &old_id, 1);
		client_list_add(touched, &new_id, 1);
		profile_rename(old_id, new_id);
		execute_rename(old_id, new_id);
	}
	step_follow(source, NULL, &moves, now, touched);
	return NULL;
}

/* See step.h. */
void
step_rename(Source *source, const QueueEvent *events, int n, TimestampTz now, ClientList *touched)
{
	SourcePart *part = source_part_named(source, "client");
	Wanted		wanted = {.events = events, .n_events = n};
	ErrorData  *error = part ? follow_renames(source, part, &wanted, now, touched) : NULL;

	if (error)
		queue_fail(events, n, error, now);
	else
		queue_forgive(events, n, NULL);
}

/* See step.h.  What cannot be read now has its turn yet. */
void
step_rename_touched(const QueueEvent *events, int n, TimestampTz now, ClientList *touched)
{
	Wanted		wanted = {.events = events, .n_events = n};

	touched->n = wanted.n_clients = distinct_ids(touched->ids, touched->n);
	if (touched->n == 0)
		return;
	wanted.clients = memcpy(palloc(sizeof(int64) * touched->n), touched->ids, sizeof(int64) * touched->n);
	for (int i = 0; i < source_count(); i++)
	{
		Source	   *source = source_nth(i);
		SourcePart *part = source_part_named(source, "client");

		if (part == NULL || (source->state != SOURCE_SHADOW && source->state != SOURCE_LIVE))
			continue;
		store_sync();
		follow_renames(source, part, &wanted, now, touched);
	}
}
