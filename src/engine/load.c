/*
 * load.c
 *		Reading all keys of a part: the first load, resync and reconcile.
 *
 * A load is the live path over every key, in chunks: each chunk is part of one
 * step and leaves a row that says where to go on.  While a source is loaded
 * for the first time its clients' profiles are built at the end, in one pass
 * (phase fold), instead of after every chunk.
 *
 *		first load:		read -> fold -> assess -> done	(feed: read -> done)
 *		resync:			read -> sweep -> done
 *		reconcile:		keys -> done, or months -> ledger -> compare -> gaps ->
 *						done, see months.c; feeds as a resync; only while no event waits, and without
 *						the keys of events that have come meanwhile
 *		watermark:		watermark -> done, see poll.c
 *		go_live:		assess -> done
 *		changed key:	empty -> as a first load
 *		detach:			empty -> the source is deleted
 *
 * What it found is counted (findings.c); when sources are reconciled is decided
 * in reconcile.c.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "agentcrm.h"
#include "distinct.h"
#include "engine/load.h"
#include "engine/mapping.h"
#include "engine/note.h"
#include "engine/step.h"
#include "execute/execute.h"
#include "profile/profile.h"
#include "store.h"

#define KEYS_PER_CHUNK 5000
/* Rows of finished steps are removed after so many. */
#define STEPS_KEPT 500
#define CLIENTS_PER_FOLD 10000
#define CLIENTS_PER_ASSESSMENT 500
/* Clients are emptied until so many lines are gone. */
#define LINES_PER_EMPTYING 5000
#define FACTS_PER_EMPTYING 50000

/* Pending loads, feeds first; read at the start of each step. */
static Load *loads = NULL;
static int	n_loads = 0;
static MemoryContext loads_cxt = NULL;

static const char *
phase_name(char phase)
{
	static const char *const names[] = {"read", "sweep", "fold", "assess", "empty", "months", "ledger", "compare", "gaps",
	"watermark", "keys"};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (names[i][0] == phase)
			return names[i];
	return "done";
}

/* A row of source_load; position lives with the loads. */
static void
read_load(Load *load, HeapTuple tuple, TupleDesc desc)
{
	Datum		values[19];
	bool		isnull[19];

	heap_deform_tuple(tuple, desc, values, isnull);
	load->source_id = DatumGetInt32(values[0]);
	load->part = DatumGetInt16(values[1]);
	load->load_no = DatumGetInt64(values[2]);
	load->phase = *TextDatumGetCString(values[3]);
	load->position = isnull[4] ? NULL : MemoryContextStrdup(loads_cxt, TextDatumGetCString(values[4]));
	load->done = DatumGetInt64(values[5]);
	load->total = DatumGetInt64(values[6]);
	load->again = DatumGetBool(values[7]);
	load->started_at = DatumGetTimestampTz(values[9]);
	load->reconcile = DatumGetBool(values[10]);
	load->cause = MemoryContextStrdup(loads_cxt, TextDatumGetCString(values[11]));
	load->begun_at = DatumGetTimestampTz(values[12]);
	load->looked = DatumGetInt64(values[13]);
	load->missing = DatumGetInt64(values[14]);
	load->changed = DatumGetInt64(values[15]);
	load->surplus = DatumGetInt64(values[16]);
	load->read.all = DatumGetInt64(values[17]);
	load->read.clientless = DatumGetInt64(values[18]);
}

/* Feeds come first, so that clients have names and parents when their orders are assessed. */
static int
compare_loads(const void *a, const void *b)
{
	const Load *x = a;
	const Load *y = b;

	if (x->source_id != y->source_id)
		return x->source_id < y->source_id ? -1 : 1;
	if ((x->part == 1) != (y->part == 1))
		return x->part == 1 ? 1 : -1;
	return x->part - y->part;
}

/* Read the pending loads: the newest row of each part, unless it says done. */
void
load_refresh(void)
{
	Store	   *store = store_open("source_load", AccessShareLock);
	StoreScan  *scan = store_scan(store, "source_load_pkey", 0, NULL);
	HeapTuple	tuple;
	int			n = 0;
	int			max = 8;

	if (loads_cxt == NULL)
		loads_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm loads", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(loads_cxt);
	loads = MemoryContextAlloc(loads_cxt, sizeof(Load) * max);
	while ((tuple = store_next(scan)) != NULL)
	{
		Load		load = {.first = true};

		read_load(&load, tuple, store_desc(store));
		if (n > 0 && loads[n - 1].source_id == load.source_id && loads[n - 1].part == load.part)
		{
			n--;
			load.first = loads[n].first;
		}
		load.first = load.first && load.phase != 'd';
		if (n == max)
			loads = repalloc(loads, sizeof(Load) * (max *= 2));
		loads[n++] = load;
	}
	store_scan_end(scan);
	store_close(store);

	n_loads = 0;
	for (int i = 0; i < n; i++)
		if (loads[i].phase != 'd' || loads[i].again)
			loads[n_loads++] = loads[i];
	qsort(loads, n_loads, sizeof(Load), compare_loads);
}

/* Append where a load stands now. */
static void
save(Load *load, TimestampTz now)
{
	Oid			types[18] = {INT4OID, INT2OID, INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, BOOLOID, TIMESTAMPTZOID,
	BOOLOID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum		values[18] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part),
		Int64GetDatum(load->load_no + 1), CStringGetTextDatum(phase_name(load->phase)),
		load->position ? CStringGetTextDatum(load->position) : (Datum) 0,
		Int64GetDatum(load->done), Int64GetDatum(Max(load->total, load->done)), BoolGetDatum(load->again),
		TimestampTzGetDatum(load->started_at), BoolGetDatum(load->reconcile), CStringGetTextDatum(load->cause),
		TimestampTzGetDatum(load->begun_at), Int64GetDatum(load->looked), Int64GetDatum(load->missing),
		Int64GetDatum(load->changed), Int64GetDatum(load->surplus), Int64GetDatum(load->read.all),
	Int64GetDatum(load->read.clientless)};
	char		nulls[19] = "                  ";

	if (load->position == NULL)
		nulls[4] = 'n';
	load->load_no++;
	SPI_connect();
	SPI_execute_with_args("INSERT INTO agentcrm.source_load"
						  " (source_id, part, load_no, phase, position, done, total, again, at, started_at,"
						  " reconcile, cause, begun_at, looked, missing, changed, surplus, lines, clientless)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
						  18, types, values, nulls, false, 0);
	/* the last row that says done tells that this is no first load */
	if (load->phase == 'd' || load->load_no % STEPS_KEPT == 0)
		SPI_execute_with_args("DELETE FROM agentcrm.source_load WHERE source_id = $1 AND part = $2 AND load_no < $3"
							  " AND ($4 = 'done' OR phase <> 'done')", 4, types, values, NULL, false, 0);
	SPI_finish();
}

/* Where positions of loads live until the next step. */
MemoryContext
load_context(void)
{
	return loads_cxt;
}

/* Go on to another phase. */
void
load_begin_phase(Load *load, char phase, int64 total)
{
	load->phase = phase;
	load->position = NULL;
	load->done = 0;
	load->total = total;
	load->started_at = GetCurrentTimestamp();
}

/* See step.h. */
void
load_request(int32 source_id, int16 part, const char *cause, bool reconcile)
{
	Oid			types[4] = {INT4OID, INT2OID, TEXTOID, BOOLOID};
	Datum		values[4] = {Int32GetDatum(source_id), Int16GetDatum(part), CStringGetTextDatum(cause), BoolGetDatum(reconcile)};

	SPI_connect();
	SPI_execute_with_args("SELECT agentcrm.start_load(s, p.name, NULL, $3, $4)"
						  " FROM agentcrm.source s JOIN agentcrm.source_part p USING (source_id)"
						  " WHERE $1 IN (0, source_id) AND ($2 IN (0, p.part) OR p.name = (SELECT t.touches"
						  "  FROM agentcrm.source_part t WHERE t.source_id = p.source_id AND t.part = $2))",
						  4, types, values, NULL, false, 0);
	SPI_finish();
}

static Load *
order_load(Source *source)
{
	for (int i = 0; i < n_loads; i++)
	{
		SourcePart *part = source_part(source, loads[i].part);

		if (loads[i].source_id == source->source_id && part && part->kind == PART_ORDER)
			return &loads[i];
	}
	return NULL;
}

/* Whether the source's orders are counted into no profile until a load gets there: whatever became of its state. */
static bool
is_first_load(const Load *load)
{
	return load && load->first && load->phase != 'a' && load->phase != 'd';
}

/*
 * Whether a client's profile does not hold the source's orders, because its
 * first load was to build it.  Folding goes up by client; emptying goes down,
 * and then takes what a first load that was given up never folded.
 */
bool
load_defers(Source *source, int64 client_id)
{
	Load	   *load = order_load(source);

	if (!is_first_load(load))
		return false;
	if (load->phase == 'e')
		return load->position && client_id >= pg_strtoint64(load->position);
	return load->phase != 'f' || load->position == NULL || client_id > pg_strtoint64(load->position);
}

/* Whether there is a source for which that may be so. */
bool
load_any(void)
{
	for (int i = 0; i < source_count(); i++)
		if (is_first_load(order_load(source_nth(i))))
			return true;
	return false;
}

/* Whether the source's orders are being taken out of the ledger, whoever reads them. */
bool
load_empties(Source *source)
{
	Load	   *load = order_load(source);

	return load && load->phase == 'e';
}

/* ---- phases ---- */

/* Keys cannot be had, or chunk after chunk fails. */
void
load_break_source(Source *source, const ErrorData *error, TimestampTz now)
{
	if (load_empties(source) || !mapping_failed(source, now))
		mapping_break(source, error, error->message, false, now);
}

/* Clients of the lines of changes, before or after, ascending. */
static int
clients_of(const LedgerChange *changes, int n_changes, int64 **clients)
{
	int			n = 0;

	for (int i = 0; i < n_changes; i++)
		n += changes[i].n_before + changes[i].n_after;
	*clients = palloc_extended(sizeof(int64) * Max(n, 1), MCXT_ALLOC_HUGE);
	n = 0;
	for (int i = 0; i < n_changes; i++)
	{
		for (int k = 0; k < changes[i].n_before; k++)
			(*clients)[n++] = changes[i].before[k].client_id;
		for (int k = 0; k < changes[i].n_after; k++)
			(*clients)[n++] = changes[i].after[k].client_id;
	}
	return distinct_ids(*clients, n);
}

/* Some orders are not counted into the product profiles yet. */
static bool
any_first_load(void)
{
	for (int i = 0; i < n_loads; i++)
	{
		Source	   *source = loads[i].first ? source_get(loads[i].source_id) : NULL;
		SourcePart *part = source ? source_part(source, loads[i].part) : NULL;

		if (part && part->kind == PART_ORDER)
			return true;
	}
	return false;
}

/*
 * Profiles follow what was found.  They do so step by step only if they were
 * those of the ledger as it stood: where somebody has changed the ledger by
 * hand, its clients are folded and the products counted from scratch.
 */
static int
apply_found(Source *source, LedgerChange *changes, int n_changes, TimestampTz now, int64 **clients)
{
	int			n_clients = clients_of(changes, n_changes, clients);

	/* what the diff wrote is not visible yet */
	if (n_changes == 0 || source->state == SOURCE_LOADING || any_first_load() || verify_profiles(*clients, n_clients))
		return step_apply(source, changes, n_changes, now, clients);
	store_sync();
	execute_answer(changes, n_changes, now);
	profile_refold(*clients, n_clients, 0);
	store_sync();
	profile_recount();
	return n_clients;
}

/* Whether a key that comes alone is set aside, because it crashed the server. */
bool
load_key_is_blamed(Source *source, SourcePart *part, const char *key, TimestampTz now)
{
	QueueEvent	event = {.source_id = source->source_id, .part = part->part, .key = key};

	queue_count_attempts(&event, 1);
	note_key(source->source_id, part->part, key);
	return recover_blames(&event, now);
}

/* Read one chunk of keys through the live path. */
void
load_read_keys(Source *source, SourcePart *part, Load *load, const char **keys, int n, TimestampTz now)
{
	QueueEvent *events = palloc0(sizeof(QueueEvent) * Max(n, 1));
	FeedFound	found = {0};
	int64	   *clients = NULL;
	int			n_clients;

	for (int i = 0; i < n; i++)
		events[i] = (QueueEvent)
	{
		.source_id = source->source_id, .part = part->part, .key = keys[i]
	};
	if (n == 0)
		return;
	queue_count_attempts(events, n);
	if (n == 1 && load_key_is_blamed(source, part, keys[0], now))
		return;
	if (part->kind == PART_FEED)
	{
		n_clients = step_read_feed(source, part, events, n, now, &found, &clients);
		findings_add_feed(load, &found);
	}
	else
	{
		LedgerChange *changes;
		int			n_changes = step_read_keys(source, part, events, n, now, &changes);

		findings_add_orders(load, changes, n_changes);
		n_clients = apply_found(source, changes, n_changes, now, &clients);
	}
	if (source->state != SOURCE_LOADING && n_clients > 0)
		step_assess(clients, n_clients, true, "order", now);
}

static int64
count_rows(const char *sql, int32 number)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(number)};
	bool		isnull;
	int64		count;

	SPI_connect();
	SPI_execute_with_args(sql, 1, types, values, NULL, true, 0);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return count;
}

static int64
count_clients(Source *source)
{
	return count_rows("SELECT count(*) FROM agentcrm.client WHERE namespace = $1", source->namespace);
}

/* The ledger holds all of the source: what its state is from here on. */
static void
leave_loading(Source *source)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(source->source_id)};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.source SET state = CASE WHEN deliver THEN 'live' ELSE 'shadow' END"
						  " WHERE source_id = $1 AND state = 'loading'", 1, types, values, NULL, false, 0);
	SPI_finish();
}

/* When this database was adopted; DT_NOBEGIN: never. */
static TimestampTz
adopted_at(void)
{
	TimestampTz at = DT_NOBEGIN;
	bool		isnull = true;
	Datum		value = 0;

	SPI_connect();
	SPI_execute("SELECT adopted_at FROM agentcrm.installation", true, 1);
	if (SPI_processed > 0)
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		at = DatumGetTimestampTz(value);
	SPI_finish();
	return at;
}

/* The load is done; but clients looked at before the source went live, or the copy was adopted, are looked at again. */
static void
finish(Source *source, Load *load)
{
	bool		orders = source_part(source, load->part)->kind == PART_ORDER;

	if (orders && source->state == SOURCE_LOADING)
		leave_loading(source);
	if (orders && source->deliver &&
		Max(source->live_at, adopted_at()) > (load->phase == 'a' ? load->started_at : load->begun_at))
		load_begin_phase(load, 'a', count_clients(source));
	else
		load->phase = 'd';
}

/* All is read: tell what was found. */
void
load_end(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	bool		poll = strcmp(load->cause, LOAD_POLL) == 0;

	/* polls are many: a row of the log only where there was something */
	if (!poll || load->missing + load->changed + load->surplus > 0)
		findings_write(load, source, part, now);
	if (poll)
		poll_end(load, now);
	finish(source, load);
}

static int
chunk_size(Load *load)
{
	return load->reconcile ? KEYS_PER_RECONCILE : KEYS_PER_CHUNK;
}

/*
 * Whether a reconcile that begins goes by months (months.c): not where one
 * order may be asked for by several spellings, in chunks that know nothing of
 * each other.  The part has been read before.
 */
static bool
goes_by_months(SourcePart *part, Load *load)
{
	return load->reconcile && part->kind == PART_ORDER && !part->loose && !load->first &&
		load->position == NULL && load->done == 0;
}

static void
phase_read(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	const char **keys;
	const char *last;
	int			limit = note_limit(NOTE_LOAD, chunk_size(load));
	int			n;
	int			n_looked;
	LinesRead	before = source_lines_read;
	ErrorData  *error = NULL;

	if (part->watermark && strcmp(load->cause, LOAD_POLL) == 0 && load->position == NULL && load->done == 0)
	{
		load_begin_phase(load, 'w', 0);
		return;
	}
	if (load->total == 0)
		error = source_count_keys(source, part, &load->total);
	if (error == NULL)
		error = source_list_keys(source, part, load->position, NULL, limit, &keys, &n);
	if (error)
	{
		load_break_source(source, error, now);
		return;
	}
	if (goes_by_months(part, load))
	{
		months_begin(source, part, load);
		return;
	}
	last = n > 0 ? keys[n - 1] : NULL;
	n_looked = n;
	if (load->reconcile && !reconcile_leave_out_waiting(source, part, keys, &n_looked))
		return;
	note_work(NOTE_LOAD, load->load_no, n);
	load_read_keys(source, part, load, keys, n_looked, now);
	if (source->state == SOURCE_BROKEN)
		return;
	load->done += n;
	load->looked += n;
	findings_add_lines(load, &before);
	if (n == limit)
		load->position = pstrdup(last);
	else if (part->kind == PART_ORDER && source->state == SOURCE_LOADING)
	{
		findings_write(load, source, part, now);
		load_begin_phase(load, 'f', count_clients(source));
	}
	else if (load->first)
		load_end(source, part, load, now);
	else
		load_begin_phase(load, 's', load->done);
}

/* Ids of a table beyond a bound, in order. */
static int
next_ids(const char *sql, int32 number, int64 bound, int limit, int64 *ids)
{
	Oid			types[3] = {INT4OID, INT8OID, INT4OID};
	Datum		values[3] = {Int32GetDatum(number),
	Int64GetDatum(bound), Int32GetDatum(limit)};
	int			n;

	SPI_connect();
	SPI_execute_with_args(sql, 3, types, values, NULL, true, 0);
	n = SPI_processed;
	for (int i = 0; i < n; i++)
	{
		bool		isnull;

		ids[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_finish();
	return n;
}

/* Keys of what is stored of a part, after the load's position and in order of its ids; the last id. */
static int
next_stored(Source *source, SourcePart *part, Load *load, int limit, int64 *last, const char **keys)
{
	int64		after = load->position ? pg_strtoint64(load->position) : PG_INT64_MIN;

	if (part->kind == PART_ORDER)
		return ledger_list_orders(source->source_id, after, limit, keys, last);
	return ledger_list_feed(source->source_id, part->name, after, limit, keys, last);
}

/* Which of some keys exist, each on its own: one that cannot be read as the part's key does not. */
static void
find_existing_singly(Source *source, SourcePart *part, const char **keys, int n, bool *exists)
{
	if (n == 0 || source_existing_keys(source, part, keys, n, true, exists) == NULL)
		return;
	if (n == 1)
	{
		*exists = false;
		return;
	}
	find_existing_singly(source, part, keys, n / 2, exists);
	find_existing_singly(source, part, keys + n / 2, n - n / 2, exists + n / 2);
}

/* Retract what is stored and whose key is gone. */
static void
phase_sweep(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	const char *keys[KEYS_PER_CHUNK];
	bool		exists[KEYS_PER_CHUNK];
	int			gone = 0;
	int			limit = note_limit(NOTE_LOAD, chunk_size(load));
	int64		last = 0;
	int			n = next_stored(source, part, load, limit, &last, keys);
	ErrorData  *error = source_existing_keys(source, part, keys, n, true, exists);

	if (error && mapping_failed(source, now))
		return;
	if (error)
		find_existing_singly(source, part, keys, n, exists);
	for (int i = 0; i < n; i++)
		if (!exists[i])
			keys[gone++] = keys[i];
	if (load->reconcile && gone > 0 && !reconcile_leave_out_waiting(source, part, keys, &gone))
		return;
	note_work(NOTE_LOAD, load->load_no, n);
	load_read_keys(source, part, load, keys, gone, now);
	if (source->state == SOURCE_BROKEN)
		return;
	load->done += n;
	if (n == limit)
	{
		load->position = psprintf("%lld", (long long) last);
		return;
	}
	load_end(source, part, load, now);
}

static int
next_clients(Source *source, const char *position, int limit, int64 *ids)
{
	return next_ids("SELECT client_id FROM agentcrm.client WHERE namespace = $1 AND client_id > $2"
					" ORDER BY client_id LIMIT $3", source->namespace, position ? pg_strtoint64(position) : PG_INT64_MIN, limit, ids);
}

static void
phase_fold(Source *source, Load *load, TimestampTz now)
{
	int64		ids[CLIENTS_PER_FOLD];
	int			limit = note_limit(NOTE_LOAD, CLIENTS_PER_FOLD);
	int			n = next_clients(source, load->position, limit, ids);

	note_work(NOTE_LOAD, load->load_no, n);
	profile_refold(ids, n, source->source_id);
	load->done += n;
	if (n == limit)
		load->position = psprintf("%lld", (long long) ids[n - 1]);
	else
	{
		leave_loading(source);
		load_begin_phase(load, 'a', count_clients(source));
		store_sync();
		(void) profile_fit(now);
	}
}

static void
phase_assess(Source *source, Load *load, TimestampTz now)
{
	int64		ids[CLIENTS_PER_ASSESSMENT];
	int			limit = note_limit(NOTE_LOAD, CLIENTS_PER_ASSESSMENT);
	int			n = next_clients(source, load->position, limit, ids);

	note_work(NOTE_LOAD, load->load_no, n);
	step_assess(ids, n, false, load->first ? "backfill" : "time", now);
	load->done += n;
	if (n == limit)
		load->position = psprintf("%lld", (long long) ids[n - 1]);
	else
		finish(source, load);
}

/* ---- emptying ---- */

/* Statements about a source, one after the other. */
static void
execute_for(Source *source, const char *const *sql, int n)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(source->source_id)};

	SPI_connect();
	for (int i = 0; i < n; i++)
		SPI_execute_with_args(sql[i], 1, types, values, NULL, false, 0);
	SPI_finish();
}

/* The keys of orders whose id is a hash. */
static void
forget_orders(Source *source, const LedgerChange *changes, int n)
{
	Oid			types[2] = {INT4OID, INT8ARRAYOID};
	Datum	   *orders = palloc(sizeof(Datum) * Max(n, 1));
	Datum		values[2] = {Int32GetDatum(source->source_id)};

	for (int i = 0; i < n; i++)
		orders[i] = Int64GetDatum(changes[i].order_id);
	values[1] = PointerGetDatum(construct_array(orders, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	SPI_connect();
	SPI_execute_with_args("DELETE FROM agentcrm.order_ref WHERE source_id = $1 AND order_id = ANY ($2)",
						  2, types, values, NULL, false, 0);
	SPI_finish();
}

/* No line is left: the source goes, with what its feeds gave, or is read under its new key. */
static void
end_emptying(Source *source, Load *load)
{
	static const char *const empty[] = {"DELETE FROM agentcrm.order_ref WHERE source_id = $1"};
	static const char *const gone[] = {
		/* what this source's feeds gave is theirs who give it, too */
		"SELECT agentcrm.start_load(o, p.name, NULL, 'detach', true) FROM agentcrm.source s"
		" JOIN agentcrm.source o ON o.namespace = s.namespace AND o.source_id <> s.source_id AND o.state <> 'detaching'"
		" JOIN agentcrm.source_part p ON p.source_id = o.source_id AND p.kind = 'feed'"
		" WHERE s.source_id = $1 AND CASE p.name"
		"  WHEN 'client' THEN EXISTS (SELECT FROM agentcrm.client WHERE feed_source_id = $1)"
		"  WHEN 'product' THEN EXISTS (SELECT FROM agentcrm.product WHERE feed_source_id = $1)"
		"  ELSE EXISTS (SELECT FROM agentcrm.rep WHERE feed_source_id = $1) END",
		"UPDATE agentcrm.client SET feed_source_id = NULL WHERE feed_source_id = $1",
		"UPDATE agentcrm.product SET feed_source_id = NULL WHERE feed_source_id = $1",
		"UPDATE agentcrm.rep SET feed_source_id = NULL WHERE feed_source_id = $1",
	"DELETE FROM agentcrm.source WHERE source_id = $1"};

	if (source->state == SOURCE_DETACHING && ledger_delete_feeds(source->source_id, FACTS_PER_EMPTYING) > 0)
		return;					/* and perhaps more of them in the next step */
	execute_for(source, empty, lengthof(empty));
	if (source->state == SOURCE_DETACHING)
		execute_for(source, gone, lengthof(gone));
	load_begin_phase(load, source->state == SOURCE_DETACHING ? 'd' : 'r', 0);
}

/*
 * Take the lines of some clients out of the ledger.  All lines of a client go
 * at once, so that it is folded and judged once: first of those whose profiles
 * hold them, from the highest id down to leave behind those that a first load
 * which goes up has not reached; these come last and are only folded.
 */
static void
phase_empty(Source *source, Load *load, TimestampTz now)
{
	int64		ids[CLIENTS_PER_FOLD];
	int64	   *clients = ids;
	int			limit = note_limit(NOTE_LOAD, CLIENTS_PER_FOLD);
	int			n = next_ids("SELECT client_id FROM agentcrm.client WHERE namespace = $1 AND client_id < $2"
							 " ORDER BY client_id DESC LIMIT $3", source->namespace,
							 load->position ? pg_strtoint64(load->position) : PG_INT64_MAX, limit, ids);
	bool		counted = n > 0;
	LedgerChange *changes;
	int			n_changes;

	if (load->total == 0)
		load->total = count_rows("SELECT count(*) FROM agentcrm.ledger WHERE source_id = $1", source->source_id);
	if (!counted)
		n = distinct_ids(ids, ledger_list_clients(source->source_id, limit, ids));
	if (n == 0)
	{
		end_emptying(source, load);
		return;
	}
	note_work(NOTE_LOAD, load->load_no, n);
	n_changes = ledger_retract(source->source_id, ids, &n, LINES_PER_EMPTYING, now, &changes);
	for (int i = 0; i < n_changes; i++)
		load->done += changes[i].n_before;
	forget_orders(source, changes, n_changes);
	if (counted)
	{
		int64		lowest = ids[n - 1];

		n = step_apply(source, changes, n_changes, now, &clients);
		load->position = psprintf("%lld", (long long) lowest);
	}
	else
	{
		store_sync();
		profile_refold(ids, n, 0);
	}
	/* one whose orders will be read anew is judged after that */
	if (source->state == SOURCE_DETACHING)
		step_assess(clients, n, true, "order", now);
}

/* It was asked for again while it was under way: once more, from the first key. */
static void
begin_again(Load *load)
{
	load->again = false;
	load->reconcile = true;
	load->cause = "again";
	load->begun_at = GetCurrentTimestamp();
	load->looked = load->missing = load->changed = load->surplus = 0;
	load->read = (LinesRead) {0};
	load_begin_phase(load, 'r', 0);
}

/* Chunks that failed one after the other, and why; three break the source, so that it hinders nobody else. */
#define MAX_LOAD_FAILURES 3
static int	load_failures = 0;
static ErrorData load_error;

/* The step failed in a load. */
void
load_failed(const ErrorData *error)
{
	if (load_error.message)
		pfree(load_error.message);
	load_error.sqlerrcode = error->sqlerrcode;
	load_error.message = MemoryContextStrdup(TopMemoryContext, error->message ? error->message : "unknown error");
	load_failures++;
}

/* Do a chunk of a pending load; false when there is none that can go on. */
bool
load_step(TimestampTz now, bool drained)
{
	store_sync();
	load_refresh();				/* events may have asked for one */
	for (int i = 0; i < n_loads; i++)
	{
		Load	   *load = &loads[i];
		Source	   *source = source_get(load->source_id);
		SourcePart *part = source ? source_part(source, load->part) : NULL;

		if (part == NULL || source->state == SOURCE_BROKEN || source->state == SOURCE_PAUSED)
			continue;
		if (load->reconcile && !drained && strchr("rsmlcgwk", load->phase))
			continue;
		if (load_failures >= MAX_LOAD_FAILURES)
		{
			load_break_source(source, &load_error, now);
			load_failures = 0;
			return true;
		}
		switch (load->phase)
		{
			case 'r':
				phase_read(source, part, load, now);
				break;
			case 's':
				phase_sweep(source, part, load, now);
				break;
			case 'k':
				phase_keys(source, part, load, now);
				break;
			case 'm':
				phase_months(source, part, load, now);
				break;
			case 'l':
				phase_ledger(source, part, load, now);
				break;
			case 'c':
				phase_compare(source, part, load, now);
				break;
			case 'g':
				phase_gaps(source, part, load, now);
				break;
			case 'w':
				phase_watermark(source, part, load, now);
				break;
			case 'f':
				phase_fold(source, load, now);
				break;
			case 'a':
				phase_assess(source, load, now);
				break;
			case 'e':
				phase_empty(source, load, now);
				break;
			case 'd':
				begin_again(load);
				break;
		}
		if (source->state != SOURCE_DETACHING || load->phase != 'd')
			save(load, now);
		load_failures = 0;
		return true;
	}
	return false;
}
