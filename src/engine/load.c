/*
 * load.c
 *		Reading all keys of a part: the first load, and resync.
 *
 * A load is the live path over every key, in chunks: each chunk is part of one
 * step and leaves a row that says where to go on.  While a source is loaded
 * for the first time its clients' profiles are built at the end, in one pass
 * (phase fold), instead of after every chunk.
 *
 *		feed:			read -> done
 *		first load:		read -> fold -> assess -> done
 *		resync:			read -> sweep -> done
 *		go_live:		assess -> done
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
#include "engine/step.h"
#include "profile/profile.h"
#include "store.h"

#define KEYS_PER_CHUNK 5000
#define CLIENTS_PER_FOLD 10000
#define CLIENTS_PER_ASSESSMENT 500

/* Where a load stands. */
typedef struct Load
{
	int32		source_id;
	int16		part;
	int64		load_no;
	char		phase;			/* first letter of its name */
	char	   *position;
	int64		done;
	int64		total;
	bool		again;
	bool		first;			/* the part was never loaded before */
	TimestampTz started_at;
} Load;

/* Pending loads, feeds first; read at the start of each step. */
static Load *loads = NULL;
static int	n_loads = 0;
static MemoryContext loads_cxt = NULL;

static const char *
phase_name(char phase)
{
	return phase == 'r' ? "read" : phase == 's' ? "sweep" : phase == 'f' ? "fold" : phase == 'a' ? "assess" : "done";
}

/* A row of source_load; position lives with the loads. */
static void
read_load(Load *load, HeapTuple tuple, TupleDesc desc)
{
	Datum		values[10];
	bool		isnull[10];

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

		read_load(&load, tuple, RelationGetDescr(store_relation(store)));
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
	Oid			types[9] = {INT4OID, INT2OID, INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, BOOLOID, TIMESTAMPTZOID};
	Datum		values[9] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part),
		Int64GetDatum(load->load_no + 1), CStringGetTextDatum(phase_name(load->phase)),
		load->position ? CStringGetTextDatum(load->position) : (Datum) 0,
		Int64GetDatum(load->done), Int64GetDatum(Max(load->total, load->done)), BoolGetDatum(load->again),
	TimestampTzGetDatum(load->started_at)};
	char		nulls[10] = "         ";

	if (load->position == NULL)
		nulls[4] = 'n';
	load->load_no++;
	SPI_connect();
	SPI_execute_with_args("INSERT INTO agentcrm.source_load"
						  " (source_id, part, load_no, phase, position, done, total, again, at, started_at)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), $9)",
						  9, types, values, nulls, false, 0);
	if (load->phase == 'd')
		SPI_execute_with_args("DELETE FROM agentcrm.source_load WHERE source_id = $1 AND part = $2 AND load_no < $3",
							  3, types, values, NULL, false, 0);
	SPI_finish();
}

static void
begin_phase(Load *load, char phase, int64 total)
{
	load->phase = phase;
	load->position = NULL;
	load->done = 0;
	load->total = total;
	load->started_at = GetCurrentTimestamp();
}

/*
 * Ask for a part, or all parts (0), of a source, or of all (0), to be read
 * again; one that is about to be read from its first key needs no asking.
 */
void
load_request(int32 source_id, int16 part)
{
	Oid			types[2] = {INT4OID, INT2OID};
	Datum		values[2] = {Int32GetDatum(source_id), Int16GetDatum(part)};

	SPI_connect();
	SPI_execute_with_args("SELECT agentcrm.start_load(s, p.name, NULL)"
						  " FROM agentcrm.source s JOIN agentcrm.source_part p USING (source_id)"
						  " WHERE $1 IN (0, source_id) AND $2 IN (0, p.part)"
						  " AND (SELECT l.phase <> 'read' OR l.position IS NOT NULL FROM agentcrm.source_load l"
						  "  WHERE l.source_id = p.source_id AND l.part = p.part ORDER BY load_no DESC LIMIT 1)",
						  2, types, values, NULL, false, 0);
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

/* Whether a client's profile does not hold the source's orders yet, because its first load will build it. */
bool
load_defers(Source *source, int64 client_id)
{
	Load	   *load;

	if (source->state != SOURCE_LOADING)
		return false;
	load = order_load(source);
	if (load == NULL || load->phase == 'a' || load->phase == 'd')
		return false;
	return load->phase != 'f' || load->position == NULL || client_id > pg_strtoint64(load->position);
}

/* Whether some source is being loaded for the first time. */
bool
load_any(void)
{
	for (int i = 0; i < source_count(); i++)
		if (source_nth(i)->state == SOURCE_LOADING)
			return true;
	return false;
}

/* ---- phases ---- */

static void
source_is_broken(Source *source, const ErrorData *error, TimestampTz now)
{
	Oid			types[2] = {INT4OID, TEXTOID};
	Datum		values[2] = {Int32GetDatum(source->source_id), CStringGetTextDatum(error->message)};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.source SET state = 'broken', problem = $2 WHERE source_id = $1",
						  2, types, values, NULL, false, 0);
	SPI_finish();
	error_record(psprintf("source %s", source->name), source->source_id, error, now);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("source \"%s\" cannot be read: %s", source->name, error->message),
			 errhint("Mend the cause and call agentcrm.resync, or change the mapping with agentcrm.alter_source.")));
}

/* Read one chunk of keys through the live path. */
static void
read_keys(Source *source, SourcePart *part, const char **keys, int n, TimestampTz now)
{
	QueueEvent *events = palloc0(sizeof(QueueEvent) * Max(n, 1));
	int64	   *clients = NULL;
	int			n_clients;

	for (int i = 0; i < n; i++)
		events[i] = (QueueEvent)
	{
		.source_id = source->source_id, .part = part->part, .key = keys[i]
	};
	if (n == 0)
		return;
	if (part->kind == PART_FEED)
		n_clients = step_read_feed(source, part, events, n, now, &clients);
	else
	{
		LedgerChange *changes;
		int			n_changes = step_read_keys(source, part, events, n, now, &changes);

		n_clients = step_apply(source, changes, n_changes, now, &clients);
	}
	if (source->state != SOURCE_LOADING && n_clients > 0)
		step_assess(clients, n_clients, true, "order", now);
}

static int64
count_clients(Source *source)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(source->namespace)};
	bool		isnull;
	int64		count;

	SPI_connect();
	SPI_execute_with_args("SELECT count(*) FROM agentcrm.client WHERE namespace = $1", 1, types, values, NULL, true, 0);
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return count;
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
	if (orders && Max(source->live_at, adopted_at()) > load->started_at)
		begin_phase(load, 'a', count_clients(source));
	else
		load->phase = 'd';
}

static void
phase_read(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	const char **keys;
	int			n;
	ErrorData  *error = NULL;

	if (load->total == 0)
		error = source_count_keys(source, part, &load->total);
	if (error == NULL)
		error = source_list_keys(source, part, load->position, KEYS_PER_CHUNK, &keys, &n);
	if (error)
	{
		source_is_broken(source, error, now);
		return;
	}
	read_keys(source, part, keys, n, now);
	load->done += n;
	if (n == KEYS_PER_CHUNK)
		load->position = pstrdup(keys[n - 1]);
	else if (part->kind == PART_FEED)
		finish(source, load);
	else if (source->state == SOURCE_LOADING)
		begin_phase(load, 'f', count_clients(source));
	else
		begin_phase(load, 's', load->done);
}

/* Ids of a column of the ledger after a position, in order. */
static int
next_ids(const char *sql, int32 number, const char *position, int limit, int64 *ids)
{
	Oid			types[3] = {INT4OID, INT8OID, INT4OID};
	Datum		values[3] = {Int32GetDatum(number),
		Int64GetDatum(position ? pg_strtoint64(position) : PG_INT64_MIN),
	Int32GetDatum(limit)};
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

/* The canonical key of a stored order. */
static const char *
order_key(int32 source_id, int64 order_id)
{
	Oid			types[2] = {INT4OID, INT8OID};
	Datum		values[2] = {Int32GetDatum(source_id), Int64GetDatum(order_id)};
	MemoryContext cxt = CurrentMemoryContext;
	char	   *key = NULL;

	SPI_connect();
	SPI_execute_with_args("SELECT order_key FROM agentcrm.order_ref WHERE source_id = $1 AND order_id = $2",
						  2, types, values, NULL, true, 1);
	if (SPI_processed > 0)
		key = MemoryContextStrdup(cxt, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	SPI_finish();
	return key ? key : psprintf("%lld", (long long) order_id);
}

/* Retract stored orders whose keys are gone. */
static void
phase_sweep(Source *source, SourcePart *part, Load *load, TimestampTz now)
{
	int64		ids[KEYS_PER_CHUNK];
	const char *keys[KEYS_PER_CHUNK];
	bool		exists[KEYS_PER_CHUNK];
	int			gone = 0;
	int			n = next_ids("SELECT DISTINCT order_id FROM agentcrm.ledger WHERE source_id = $1 AND order_id > $2"
							 " ORDER BY order_id LIMIT $3", source->source_id, load->position, KEYS_PER_CHUNK, ids);
	ErrorData  *error;

	for (int i = 0; i < n; i++)
		keys[i] = order_key(source->source_id, ids[i]);
	error = source_existing_keys(source, part, keys, n, exists);
	if (error)
	{
		source_is_broken(source, error, now);
		return;
	}
	for (int i = 0; i < n; i++)
		if (!exists[i])
			keys[gone++] = keys[i];
	read_keys(source, part, keys, gone, now);
	load->done += n;
	if (n == KEYS_PER_CHUNK)
		load->position = psprintf("%lld", (long long) ids[n - 1]);
	else
		finish(source, load);
}

static int
next_clients(Source *source, const char *position, int limit, int64 *ids)
{
	return next_ids("SELECT client_id FROM agentcrm.client WHERE namespace = $1 AND client_id > $2"
					" ORDER BY client_id LIMIT $3", source->namespace, position, limit, ids);
}

static void
phase_fold(Source *source, Load *load, TimestampTz now)
{
	int64		ids[CLIENTS_PER_FOLD];
	int			n = next_clients(source, load->position, CLIENTS_PER_FOLD, ids);

	profile_refold(ids, n, source->source_id);
	load->done += n;
	if (n == CLIENTS_PER_FOLD)
		load->position = psprintf("%lld", (long long) ids[n - 1]);
	else
	{
		leave_loading(source);
		begin_phase(load, 'a', count_clients(source));
		store_sync();
		profile_fit(now);
	}
}

static void
phase_assess(Source *source, Load *load, TimestampTz now)
{
	int64		ids[CLIENTS_PER_ASSESSMENT];
	int			n = next_clients(source, load->position, CLIENTS_PER_ASSESSMENT, ids);

	step_assess(ids, n, false, load->first ? "backfill" : "time", now);
	load->done += n;
	if (n == CLIENTS_PER_ASSESSMENT)
		load->position = psprintf("%lld", (long long) ids[n - 1]);
	else
		finish(source, load);
}

/* Do a chunk of a pending load; false when there is none. */
bool
load_step(TimestampTz now)
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
		switch (load->phase)
		{
			case 'r':
				phase_read(source, part, load, now);
				break;
			case 's':
				phase_sweep(source, part, load, now);
				break;
			case 'f':
				phase_fold(source, load, now);
				break;
			case 'a':
				phase_assess(source, load, now);
				break;
			case 'd':			/* asked for again */
				load->again = false;
				begin_phase(load, 'r', 0);
				break;
		}
		save(load, now);
		return true;
	}
	return false;
}
