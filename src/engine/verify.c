/*
 * verify.c
 *		State equals recompute: the ledger against the application's tables, the
 *		profiles against the ledger.
 *
 * Everything is read under one snapshot, taken after the event tables are
 * locked (their TRUNCATE is not MVCC-safe).  Keys with an event that is not
 * consumed, and failed keys, are left out: they are known to differ.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "agentcrm.h"
#include "engine/mapping.h"
#include "engine/step.h"
#include "profile/profile.h"
#include "store.h"

PG_FUNCTION_INFO_V1(agentcrm_verify);
PG_FUNCTION_INFO_V1(agentcrm_compare);

#define KEYS_AT_ONCE 2000

struct DifferenceSink
{
	ReturnSetInfo *result;		/* NULL: differences are only counted */
	const char *source;
	int64		n;
};

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* Report a difference. */
void
difference_add(DifferenceSink *sink, const char *what, const char *key, const char *column,
			   const char *expected, const char *found)
{
	Datum		values[6];
	bool		isnull[6];

	sink->n++;
	if (sink->result == NULL)
		return;
	values[0] = text_or_null(sink->source, &isnull[0]);
	values[1] = text_or_null(what, &isnull[1]);
	values[2] = text_or_null(key, &isnull[2]);
	values[3] = text_or_null(column, &isnull[3]);
	values[4] = text_or_null(expected, &isnull[4]);
	values[5] = text_or_null(found, &isnull[5]);
	tuplestore_putvalues(sink->result->setResult, sink->result->setDesc, values, isnull);
}

/* ---- which keys are left out ---- */

typedef struct Excluded
{
	QueueEvent *events;			/* in the order of queue_compare_events */
	int			n;
} Excluded;

static bool
is_excluded(const Excluded *excluded, int32 source_id, int16 part, const char *key)
{
	QueueEvent	event = {.source_id = source_id, .part = part, .key = key};

	return bsearch(&event, excluded->events, excluded->n, sizeof(QueueEvent), queue_compare_events) != NULL;
}

/* A whole source, or its orders, waits to be read again. */
static bool
awaits_resync(const Excluded *excluded, Source *source, SourcePart *part)
{
	char		number[12];

	pg_ltoa(part->part, number);
	return is_excluded(excluded, source->source_id, QUEUE_PART_RESYNC, "") ||
		is_excluded(excluded, source->source_id, QUEUE_PART_RESYNC, number) ||
		is_excluded(excluded, 0, QUEUE_PART_RESYNC, "");
}

/* The waiting keys of a part. */
static const char **
waiting_keys(const Excluded *excluded, Source *source, SourcePart *part, int *n)
{
	const char **keys = palloc_extended(sizeof(char *) * Max(excluded->n, 1), MCXT_ALLOC_HUGE);

	*n = 0;
	for (int i = 0; i < excluded->n; i++)
		if (excluded->events[i].source_id == source->source_id && excluded->events[i].part == part->part)
			keys[(*n)++] = excluded->events[i].key;
	return keys;
}

static void
exclude(Excluded *excluded, Source *source, SourcePart *part, const char **keys, int n)
{
	excluded->events = repalloc_huge(excluded->events, sizeof(QueueEvent) * Max(excluded->n + n, 1));
	for (int i = 0; i < n; i++)
		excluded->events[excluded->n++] = (QueueEvent)
	{
		.source_id = source->source_id, .part = part->part, .key = keys[i]
	};
	qsort(excluded->events, excluded->n, sizeof(QueueEvent), queue_compare_events);
}

/* What a watched table spells otherwise than the part does waits all the same. */
static void
exclude_spellings(Excluded *excluded, Source *source, SourcePart *part)
{
	int			n;
	const char **keys = waiting_keys(excluded, source, part, &n);

	source_add_spellings(source, part, &keys, &n);
	exclude(excluded, source, part, keys, n);
}

/* Waiting keys of rows that touch a part leave out those that they touch, too; false when all may be touched. */
static bool
exclude_touched(Excluded *excluded, Source *source, SourcePart *of)
{
	for (int p = 0; p < source->n_parts; p++)
	{
		SourcePart *part = &source->parts[p];
		const char **keys;
		const char **touched;
		int			n;
		int			n_touched;

		if (!source_part_touches(part, of))
			continue;
		if (awaits_resync(excluded, source, part))
			return false;
		keys = waiting_keys(excluded, source, part, &n);
		if (n == 0)
			continue;
		if (source_read_touched(source, part, keys, n, &touched, &n_touched))
			return false;
		exclude(excluded, source, of, touched, n_touched);
	}
	return true;
}

/* ---- walking over the orders of a source, as the mapping gives them now ---- */

typedef void (*OrderCallback) (Source *source, const char *key, int64 order_id, LedgerLine *lines, int n, void *arg);

static int
compare_key_no(const void *a, const void *b)
{
	return ((const MappedLine *) a)->key_no - ((const MappedLine *) b)->key_no;
}

static void
walk_chunk(Source *source, SourcePart *part, const char **keys, int n_keys, OrderCallback callback, void *arg)
{
	MappedLine *mapped;
	int			n_mapped;
	int			next = 0;
	ErrorData  *error = source_read_orders(source, part, &keys, &n_keys, &mapped, &n_mapped);

	/* keys are now as the orders write them */
	if (error)
	{
		/* a key that cannot be read is either known to have failed, or an error */
		if (n_keys == 1)
		{
			callback(source, keys[0], source_key_identity(source, part, keys[0]), NULL, -1, arg);
			return;
		}
		walk_chunk(source, part, keys, n_keys / 2, callback, arg);
		walk_chunk(source, part, keys + n_keys / 2, n_keys - n_keys / 2, callback, arg);
		return;
	}
	qsort(mapped, n_mapped, sizeof(MappedLine), compare_key_no);
	for (int k = 0; k < n_keys; k++)
	{
		int			first = next;
		LedgerLine *lines;

		while (next < n_mapped && mapped[next].key_no == k)
			next++;
		lines = palloc(sizeof(LedgerLine) * Max(next - first, 1));
		for (int i = first; i < next; i++)
			lines[i - first] = mapped[i].line;
		ledger_resolve(lines, next - first);
		ledger_settle_times(lines, next - first);
		callback(source, keys[k], source_key_identity(source, part, keys[k]), lines, next - first, arg);
	}
}

static void
walk_orders(Source *source, SourcePart *part, OrderCallback callback, void *arg)
{
	char	   *position = NULL;
	MemoryContext chunk_cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm verify", ALLOCSET_DEFAULT_SIZES);
	int			n;

	do
	{
		MemoryContext old = MemoryContextSwitchTo(chunk_cxt);
		const char **keys;
		ErrorData  *error = source_list_keys(source, part, position, NULL, KEYS_AT_ONCE, &keys, &n);

		CHECK_FOR_INTERRUPTS();
		if (error)
			ReThrowError(error);
		if (n > 0)
			walk_chunk(source, part, keys, n, callback, arg);
		MemoryContextSwitchTo(old);
		if (n > 0)
			position = pstrdup(keys[n - 1]);
		MemoryContextReset(chunk_cxt);
	} while (n == KEYS_AT_ONCE);
	MemoryContextDelete(chunk_cxt);
}

/* ---- verify ---- */

typedef struct SeenOrder
{
	int64		order_id;
	char		status;
} SeenOrder;

#define SH_PREFIX seen
#define SH_ELEMENT_TYPE SeenOrder
#define SH_KEY_TYPE int64
#define SH_KEY order_id
#define SH_HASH_KEY(tb, key) (murmurhash32((uint32) (key) ^ (uint32) ((key) >> 32)))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

typedef struct VerifyState
{
	DifferenceSink *sink;
	Excluded   *excluded;
	SourcePart *part;
	seen_hash  *seen;
} VerifyState;

static int
compare_content(const void *a, const void *b)
{
	return ledger_line_compare(a, b);
}

static void
verify_order(Source *source, const char *key, int64 order_id, LedgerLine *lines, int n, void *arg)
{
	VerifyState *state = arg;
	LedgerLine *stored;
	int			n_stored;
	int			i = 0,
				j = 0;
	bool		found;

	seen_insert(state->seen, order_id, &found);
	if (is_excluded(state->excluded, source->source_id, state->part->part, key))
		return;
	if (n < 0)
	{
		difference_add(state->sink, "order", key, NULL, "a readable order", "an error, not recorded");
		return;
	}
	n_stored = ledger_read_order(source->source_id, order_id, &stored);
	if (n_stored > 0 && stored[0].archived)
		return;
	qsort(stored, n_stored, sizeof(LedgerLine), compare_content);
	qsort(lines, n, sizeof(LedgerLine), compare_content);
	while (i < n_stored || j < n)
	{
		int			c = i == n_stored ? 1 : j == n ? -1 : ledger_line_compare(&stored[i], &lines[j]);

		if (c != 0)
			difference_add(state->sink, "ledger line", key, NULL,
						   c > 0 ? ledger_line_text(&lines[j]) : NULL,
						   c < 0 ? ledger_line_text(&stored[i]) : NULL);
		i += (c <= 0);
		j += (c >= 0);
	}
}

/* Stored orders that the application no longer has. */
static void
verify_surplus(Source *source, VerifyState *state)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(source->source_id)};

	if (source->keep_deleted)
		return;
	SPI_connect();
	SPI_execute_with_args("SELECT DISTINCT l.order_id, coalesce(r.order_key, l.order_id::text)"
						  " FROM agentcrm.ledger l LEFT JOIN agentcrm.order_ref r USING (source_id, order_id)"
						  " WHERE l.source_id = $1 AND NOT l.archived", 1, types, values, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int64		order_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
		char	   *key = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);

		if (seen_lookup(state->seen, order_id) == NULL &&
			!is_excluded(state->excluded, source->source_id, state->part->part, key))
			difference_add(state->sink, "order", key, NULL, NULL, "stored, but gone from the application");
	}
	SPI_finish();
}

static bool
client_is_loading(int64 client_id, void *arg)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(client_id)};
	bool		loading = false;

	SPI_connect();
	SPI_execute_with_args("SELECT DISTINCT source_id FROM agentcrm.ledger WHERE client_id = $1",
						  1, types, values, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed && !loading; i++)
	{
		bool		isnull;
		Source	   *source = source_get(DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)));

		loading = source && load_defers(source, client_id);
	}
	SPI_finish();
	return loading;
}

/* Whether a part of a source is read, or emptied, as a whole at the moment. */
static bool
source_is_reading(Source *source, SourcePart *part)
{
	Oid			types[2] = {INT4OID, INT2OID};
	Datum		values[2] = {Int32GetDatum(source->source_id), Int16GetDatum(part->part)};
	bool		reading;

	SPI_connect();
	SPI_execute_with_args("SELECT FROM (SELECT phase, again FROM agentcrm.source_load WHERE source_id = $1 AND part = $2"
						  " ORDER BY load_no DESC LIMIT 1) AS l WHERE phase NOT IN ('fold', 'assess', 'done') OR again",
						  2, types, values, NULL, true, 0);
	reading = SPI_processed > 0;
	SPI_finish();
	return reading;
}

/* Lock the event tables, then take the one snapshot of all that follows. */
static void
begin_verify(void)
{
	for (int i = 1; i <= QUEUE_TABLES; i++)
		LockRelationOid(store_relid(psprintf("event_%d", i)), AccessShareLock);
	PushActiveSnapshot(GetLatestSnapshot());
	source_refresh();
	load_refresh();
	ledger_forget_merges();
}

/* See step.h. */
bool
verify_profiles(const int64 *clients, int n)
{
	DifferenceSink sink = {0};

	profile_verify_clients(&sink, clients, n);
	return sink.n == 0;
}

/* The rows of some keys, but for those left out; halved down to a key that cannot be read. */
static void
verify_feed_keys(Source *source, SourcePart *part, const char **keys, int n, const Excluded *excluded, DifferenceSink *sink)
{
	const char **checked = palloc(sizeof(char *) * Max(n, 1));
	int			n_checked = 0;
	FeedRows	rows;
	ErrorData  *error;

	for (int i = 0; i < n; i++)
		if (!is_excluded(excluded, source->source_id, part->part, keys[i]))
			checked[n_checked++] = keys[i];
	if (n_checked == 0)
		return;
	error = source_read_feed(source, part, &checked, &n_checked, &rows);
	if (error == NULL)
		ledger_check_feed(source, part, checked, n_checked, &rows, sink);
	else if (n > 1)
	{
		verify_feed_keys(source, part, keys, n / 2, excluded, sink);
		verify_feed_keys(source, part, keys + n / 2, n - n / 2, excluded, sink);
	}
	else
		difference_add(sink, part->name, keys[0], NULL, "a readable row", error->message);
}

/* Facts under keys that the application no longer has; entities stay. */
static void
verify_surplus_facts(Source *source, SourcePart *part, const Excluded *excluded, DifferenceSink *sink)
{
	const char *keys[KEYS_AT_ONCE];
	bool		exists[KEYS_AT_ONCE];
	int64		last = PG_INT64_MIN;
	int			n;

	do
	{
		ErrorData  *error;

		n = ledger_list_feed(source->source_id, part->name, last, KEYS_AT_ONCE, keys, &last);
		error = source_existing_keys(source, part, keys, n, true, exists);
		if (error)
		{
			difference_add(sink, part->name, NULL, NULL, "readable keys", error->message);
			return;
		}
		for (int i = 0; i < n; i++)
			if (!exists[i] && !is_excluded(excluded, source->source_id, part->part, keys[i]))
				difference_add(sink, part->name, keys[i], NULL, NULL, "stored, but gone from the application");
	} while (n == KEYS_AT_ONCE);
}

/* What is stored of a feed against what it gives now. */
static void
verify_feed(Source *source, SourcePart *part, const Excluded *excluded, DifferenceSink *sink)
{
	char	   *position = NULL;
	MemoryContext chunk_cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm verify", ALLOCSET_DEFAULT_SIZES);
	int			n;

	do
	{
		MemoryContext old = MemoryContextSwitchTo(chunk_cxt);
		const char **keys;
		ErrorData  *error = source_list_keys(source, part, position, NULL, KEYS_AT_ONCE, &keys, &n);

		CHECK_FOR_INTERRUPTS();
		if (error)
		{
			difference_add(sink, part->name, NULL, NULL, "a readable feed", error->message);
			n = 0;
		}
		verify_feed_keys(source, part, keys, n, excluded, sink);
		MemoryContextSwitchTo(old);
		if (n > 0)
			position = pstrdup(keys[n - 1]);
		MemoryContextReset(chunk_cxt);
	} while (n == KEYS_AT_ONCE);
	MemoryContextDelete(chunk_cxt);
	if (!feed_kind(part->name)->entity)
		verify_surplus_facts(source, part, excluded, sink);
}

/* Why the application's tables cannot be read through the mapping, NULL when they can; an ERROR when only the caller may not. */
static ErrorData *
try_source(Source *source)
{
	if (OidIsValid(get_role_oid(source->run_as, true)))
		source_check_reader(source);
	return source_try(source);
}

/* agentcrm.verify(): every difference between state and recompute. */
Datum
agentcrm_verify(PG_FUNCTION_ARGS)
{
	DifferenceSink sink = {0};
	Excluded	excluded;

	InitMaterializedSRF(fcinfo, 0);
	sink.result = (ReturnSetInfo *) fcinfo->resultinfo;
	begin_verify();
	excluded.events = queue_pending(&excluded.n);
	for (int i = 0; i < source_count(); i++)
	{
		Source	   *source = source_nth(i);
		ErrorData  *error = try_source(source);

		sink.source = source->name;
		if (error)
			difference_add(&sink, "source", NULL, NULL, "a mapping that fits the application's tables", error->message);
		for (int p = 0; p < source->n_parts && error == NULL; p++)
		{
			SourcePart *part = &source->parts[p];
			VerifyState state = {.sink = &sink, .excluded = &excluded, .part = part};

			if (awaits_resync(&excluded, source, part) || source_is_reading(source, part))
				continue;
			if (!exclude_touched(&excluded, source, part))
				continue;
			exclude_spellings(&excluded, source, part);
			if (part->kind == PART_FEED)
				verify_feed(source, part, &excluded, &sink);
			if (part->kind != PART_ORDER)
				continue;
			state.seen = seen_create(CurrentMemoryContext, 1024, NULL);
			walk_orders(source, part, verify_order, &state);
			verify_surplus(source, &state);
			seen_destroy(state.seen);
		}
	}
	sink.source = NULL;
	ledger_verify_families(&sink);
	profile_verify(&sink, load_any() ? client_is_loading : NULL, NULL);
	PopActiveSnapshot();
	return (Datum) 0;
}

/* ---- compare ---- */

typedef struct Totals
{
	int64		orders[2];		/* all, with a return line */
	int64		lines[2];
	Datum		amount[2];
	seen_hash  *clients;
	MemoryContext cxt;			/* where the sums live */
} Totals;

static void
add_amount(Totals *totals, int kind, Numeric amount)
{
	MemoryContext old = MemoryContextSwitchTo(totals->cxt);
	Datum		sum = DirectFunctionCall2(numeric_add, totals->amount[kind], NumericGetDatum(amount));

	pfree(DatumGetPointer(totals->amount[kind]));
	totals->amount[kind] = sum;
	MemoryContextSwitchTo(old);
}

static void
add_order(Source *source, const char *key, int64 order_id, LedgerLine *lines, int n, void *arg)
{
	Totals	   *totals = arg;
	bool		any_return = false;

	if (n <= 0)
		return;
	for (int i = 0; i < n; i++)
	{
		int			kind = lines[i].is_return;
		bool		found;

		any_return |= kind;
		totals->lines[kind]++;
		add_amount(totals, kind, lines[i].amount);
		seen_insert(totals->clients, lines[i].client_id, &found);
	}
	totals->orders[0]++;
	totals->orders[1] += any_return;
}

static void
compare_row(ReturnSetInfo *result, const char *item, Datum application, Datum ledger)
{
	Datum		values[4] = {CStringGetTextDatum(item), application, ledger,
	DirectFunctionCall2(numeric_sub, application, ledger)};
	bool		isnull[4] = {false, false, false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

static Datum
number(int64 value)
{
	return NumericGetDatum(int64_to_numeric(value));
}

/* A row for each figure, of the mapping and of the ledger. */
static void
compare_totals(Source *source, const Totals *totals, ReturnSetInfo *result)
{
	static const char *const items[7] = {"clients", "orders", "lines", "amount",
	"return orders", "return lines", "return amount"};
	Datum		application[7] = {number(totals->clients->members),
		number(totals->orders[0]), number(totals->lines[0] + totals->lines[1]),
		DirectFunctionCall2(numeric_add, totals->amount[0], totals->amount[1]),
	number(totals->orders[1]), number(totals->lines[1]), totals->amount[1]};
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(source->source_id)};

	SPI_connect();
	SPI_execute_with_args("SELECT count(DISTINCT client_id)::numeric, count(DISTINCT order_id)::numeric, count(*)::numeric,"
						  " coalesce(sum(amount), 0),"
						  " count(DISTINCT order_id) FILTER (WHERE kind = 'return')::numeric,"
						  " count(*) FILTER (WHERE kind = 'return')::numeric,"
						  " coalesce(sum(amount) FILTER (WHERE kind = 'return'), 0)"
						  " FROM agentcrm.ledger WHERE source_id = $1", 1, types, values, NULL, true, 0);
	for (int i = 0; i < 7; i++)
	{
		bool		isnull;

		compare_row(result, items[i], application[i],
					SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull));
	}
	SPI_finish();
}

static Source *
source_by_name(const char *name)
{
	for (int i = 0; i < source_count(); i++)
		if (strcmp(source_nth(i)->name, name) == 0)
			return source_nth(i);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no source \"%s\"", name),
			 errhint("SELECT name FROM agentcrm.source lists the attached sources.")));
}

/* agentcrm.compare(source): counts and sums of the application against the ledger. */
Datum
agentcrm_compare(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Totals		totals = {.amount = {number(0), number(0)}, .cxt = CurrentMemoryContext};
	Source	   *source;
	ErrorData  *error;

	agentcrm_check_argument(fcinfo, 0, "source");
	InitMaterializedSRF(fcinfo, 0);
	begin_verify();
	source = source_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (source->state == SOURCE_DETACHING)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("source \"%s\" is being detached", source->name)));
	error = try_source(source);
	if (error)
	{
		char	   *problem = mapping_problem(source, error);

		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("source \"%s\" cannot be read: %s", source->name, error->message),
				 errhint("%s", problem)));
	}
	totals.clients = seen_create(CurrentMemoryContext, 1024, NULL);
	walk_orders(source, source_order_part(source), add_order, &totals);
	compare_totals(source, &totals, result);
	PopActiveSnapshot();
	return (Datum) 0;
}
