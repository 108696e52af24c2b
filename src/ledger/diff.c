/*
 * diff.c
 *		Re-read documents against what is stored: retract, add, keep.
 *
 * The lines of a document are a bag: two bags are compared by content, and
 * only what differs is written.  Superseded rows go to ledger_history.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger/entity.h"
#include "ledger/family.h"
#include "ledger/row.h"
#include "source/source.h"
#include "store.h"

/* A stored row with what is needed to supersede it. */
typedef struct StoredLine
{
	LedgerLine	line;			/* first: sorted as a LedgerLine */
	HeapTuple	tuple;
} StoredLine;

typedef struct DiffState
{
	Store	   *ledger;
	Store	   *history;
	TimestampTz now;
	LedgerLine **added;			/* to be written at the end */
	int			n_added;
	int			max_added;
	LedgerChange *changes;
	int			n_changes;
} DiffState;

static int
compare_lines(const void *a, const void *b)
{
	return ledger_line_compare(a, b);
}

/* The rows of a scan, which it ends. */
static int
read_rows(Store *ledger, StoreScan *scan, StoredLine **lines)
{
	HeapTuple	tuple;
	int			n = 0;
	int			max = 0;

	*lines = NULL;
	while ((tuple = store_next(scan)) != NULL)
	{
		if (n == max)
		{
			max = max ? max * 2 : 8;
			*lines = *lines ? repalloc(*lines, sizeof(StoredLine) * max) : palloc(sizeof(StoredLine) * max);
		}
		(*lines)[n].tuple = heap_copytuple(tuple);
		ledger_row_read((*lines)[n].tuple, store_desc(ledger), &(*lines)[n].line);
		n++;
	}
	store_scan_end(scan);
	return n;
}

static int
read_stored(Store *ledger, int32 source_id, int64 order_id, StoredLine **lines)
{
	Datum		keys[2] = {Int32GetDatum(source_id), Int64GetDatum(order_id)};

	return read_rows(ledger, store_scan(ledger, "ledger_source_id_order_id_idx", 2, keys), lines);
}

/* Stored lines of one document. */
int
ledger_read_order(int32 source_id, int64 order_id, LedgerLine **lines)
{
	Store	   *ledger = store_open("ledger", AccessShareLock);
	StoredLine *stored;
	int			n = read_stored(ledger, source_id, order_id, &stored);

	*lines = palloc(sizeof(LedgerLine) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*lines)[i] = stored[i].line;
	store_close(ledger);
	return n;
}

static void
supersede(DiffState *state, const StoredLine *stored)
{
	Datum		values[LEDGER_COLUMNS + 1];
	bool		isnull[LEDGER_COLUMNS + 1];

	heap_deform_tuple(stored->tuple, store_desc(state->ledger), values, isnull);
	values[LEDGER_COLUMNS] = TimestampTzGetDatum(state->now);
	isnull[LEDGER_COLUMNS] = false;
	store_insert(state->history, values, isnull);
	store_delete(state->ledger, &stored->tuple->t_self);
}

static void
add(DiffState *state, LedgerLine *line, int32 line_no)
{
	line->line_no = line_no;
	if (state->n_added == state->max_added)
	{
		state->max_added = Max(state->max_added * 2, 256);
		state->added = state->added ?
			repalloc_huge(state->added, sizeof(LedgerLine *) * state->max_added) :
			palloc(sizeof(LedgerLine *) * state->max_added);
	}
	state->added[state->n_added++] = line;
}

static int
compare_clients(const void *a, const void *b)
{
	const LedgerLine *x = *(const LedgerLine *const *) a;
	const LedgerLine *y = *(const LedgerLine *const *) b;

	if (x->client_id != y->client_id)
		return x->client_id < y->client_id ? -1 : 1;
	if (x->order_id != y->order_id)
		return x->order_id < y->order_id ? -1 : 1;
	return x->line_no - y->line_no;
}

/* Write the added lines by client: the primary key's leaves, and later a client's rows, are met one after the other. */
static void
write_added(DiffState *state)
{
	qsort(state->added, state->n_added, sizeof(LedgerLine *), compare_clients);
	for (int i = 0; i < state->n_added; i++)
	{
		Datum		values[LEDGER_COLUMNS];
		bool		isnull[LEDGER_COLUMNS];

		ledger_row_form(state->added[i], state->now, values, isnull);
		store_insert(state->ledger, values, isnull);
	}
}

static void
report(DiffState *state, int32 source_id, int64 order_id, StoredLine *before, int n_before,
	   LedgerLine *after, int n_after)
{
	LedgerChange *change = &state->changes[state->n_changes++];

	change->source_id = source_id;
	change->order_id = order_id;
	change->n_before = n_before;
	change->before = palloc(sizeof(LedgerLine) * Max(n_before, 1));
	for (int i = 0; i < n_before; i++)
		change->before[i] = before[i].line;
	change->n_after = n_after;
	change->after = after;
}

/* Make the stored lines of a document those given. */
static void
diff_document(DiffState *state, int32 source_id, int64 order_id, LedgerLine *lines, int n_lines)
{
	StoredLine *stored;
	int			n_stored = read_stored(state->ledger, source_id, order_id, &stored);
	int			i = 0,
				j = 0;
	int32		line_no = 0;
	bool		changed = false;

	for (int k = 0; k < n_stored; k++)
		line_no = Max(line_no, stored[k].line.line_no);
	if (n_stored > 1)
		qsort(stored, n_stored, sizeof(StoredLine), compare_lines);
	if (n_stored > 0 && n_lines > 1)
		qsort(lines, n_lines, sizeof(LedgerLine), compare_lines);
	while (i < n_stored || j < n_lines)
	{
		int			c = i == n_stored ? 1 : j == n_lines ? -1 : ledger_line_compare(&stored[i].line, &lines[j]);

		if (c == 0)
			lines[j].line_no = stored[i].line.line_no;
		else if (c < 0)
			supersede(state, &stored[i]);
		else
			add(state, &lines[j], ++line_no);
		changed |= (c != 0);
		i += (c <= 0);
		j += (c >= 0);
	}
	if (changed)
		report(state, source_id, order_id, stored, n_stored, lines, n_lines);
}

static int
compare_client_and_time(const void *a, const void *b)
{
	const LedgerLine *x = a;
	const LedgerLine *y = b;

	if (x->client_id != y->client_id)
		return x->client_id < y->client_id ? -1 : 1;
	return (x->ordered_at > y->ordered_at) - (x->ordered_at < y->ordered_at);
}

/* The earliest time of a client's lines in a document is the time of all of them. */
void
ledger_settle_times(LedgerLine *lines, int n)
{
	bool		differ = false;

	for (int i = 1; i < n && !differ; i++)
		differ = lines[i].ordered_at != lines[0].ordered_at;
	if (!differ)
		return;
	qsort(lines, n, sizeof(LedgerLine), compare_client_and_time);
	for (int i = 1; i < n; i++)
		if (lines[i].client_id == lines[i - 1].client_id)
		{
			lines[i].ordered_at = lines[i - 1].ordered_at;
			lines[i].ordered_on = lines[i - 1].ordered_on;
		}
}

/* Make sure that everything a document names is known; a message when an id clashes. */
static char *
ensure_entities(Source *source, const char *key, int64 order_id, bool is_id,
				MappedLine *lines, int n, TimestampTz now)
{
	char	   *message = NULL;

	if (n > 0 && !is_id)
		message = entity_ensure_order(source->source_id, order_id, key);
	for (int i = 0; i < n && message == NULL; i++)
	{
		LedgerLine *line = &lines[i].line;

		message = entity_ensure(ENTITY_CLIENT, source->namespace, line->named_id, lines[i].client_text, now);
		if (message == NULL && line->has_product)
			message = entity_ensure(ENTITY_PRODUCT, source->namespace, line->product_id, lines[i].product_text, now);
		if (message == NULL && line->has_rep)
			message = entity_ensure(ENTITY_REP, source->namespace, line->rep_id, lines[i].rep_text, now);
	}
	return message;
}

static int
compare_mapped(const void *a, const void *b)
{
	const MappedLine *x = a;
	const MappedLine *y = b;

	return x->key_no - y->key_no;
}

static bool
in_key_order(const MappedLine *lines, int n)
{
	for (int i = 1; i < n; i++)
		if (lines[i].key_no < lines[i - 1].key_no)
			return false;
	return true;
}

static DiffState
begin_diff(TimestampTz now, int n_documents)
{
	DiffState	state = {.now = now};

	state.ledger = store_open("ledger", RowExclusiveLock);
	state.history = store_open("ledger_history", RowExclusiveLock);
	state.changes = palloc(sizeof(LedgerChange) * Max(n_documents, 1));
	return state;
}

static int
end_diff(DiffState *state, LedgerChange **changes)
{
	write_added(state);
	store_close(state->ledger);
	store_close(state->history);
	*changes = state->changes;
	return state->n_changes;
}

/* Documents that are gone while the source keeps deleted ones, or whose lines are archived, stay as they are. */
static void
find_kept(Source *source, SourcePart *part, const char **keys, int n_keys, const int *n_lines, bool *keep)
{
	const char **empty = palloc(sizeof(char *) * n_keys);
	int		   *numbers = palloc(sizeof(int) * n_keys);
	bool	   *exists = palloc(sizeof(bool) * n_keys);
	int			n = 0;
	ErrorData  *error;

	memset(keep, 0, sizeof(bool) * n_keys);
	for (int i = 0; i < n_keys; i++)
		if (n_lines[i] == 0)
		{
			numbers[n] = i;
			empty[n++] = keys[i];
		}
	if (n == 0 || (!source->keep_deleted && source->archive_before == NULL))
		return;
	error = source_existing_keys(source, part, empty, n, false, exists);
	if (error)
		ReThrowError(error);
	for (int i = 0; i < n; i++)
	{
		LedgerLine *stored;
		int			n_stored;

		if (exists[i])
			continue;
		n_stored = ledger_read_order(source->source_id, source_key_identity(source, part, empty[i]), &stored);
		keep[numbers[i]] = source->keep_deleted || (n_stored > 0 && stored[0].archived);
	}
}

/* Bring the ledger up to date with re-read documents. */
int
ledger_apply(Source *source, SourcePart *part, const char **keys, int n_keys,
			 MappedLine *lines, int n_lines, TimestampTz now,
			 LedgerChange **changes, ErrorData **errors)
{
	DiffState	state = begin_diff(now, n_keys);
	bool		is_id = source_keys_are_ids(source, part);
	TimestampTz archive_limit = DT_NOBEGIN;
	int		   *counts = palloc0(sizeof(int) * n_keys);
	bool	   *keep = palloc(sizeof(bool) * n_keys);
	int			next = 0;
	const int64 *new_clients;
	int			n_new;
	int			n_changes;

	if (source->archive_before)
		archive_limit = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(now),
																IntervalPGetDatum(source->archive_before)));
	if (!in_key_order(lines, n_lines))
		qsort(lines, n_lines, sizeof(MappedLine), compare_mapped);
	for (int i = 0; i < n_lines; i++)
		counts[lines[i].key_no]++;
	find_kept(source, part, keys, n_keys, counts, keep);

	for (int k = 0; k < n_keys; k++)
	{
		int			n = counts[k];
		MappedLine *mapped = &lines[next];
		LedgerLine *document;
		int64		order_id = n ? mapped[0].line.order_id : source_key_identity(source, part, keys[k]);
		char	   *message = ensure_entities(source, keys[k], order_id, is_id, mapped, n, now);

		next += n;
		errors[k] = message ? entity_error(message) : NULL;
		if (message || keep[k])
			continue;
		if (k % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		document = palloc(sizeof(LedgerLine) * Max(n, 1));
		for (int i = 0; i < n; i++)
			document[i] = mapped[i].line;
		ledger_resolve(document, n);
		ledger_settle_times(document, n);
		for (int i = 0; i < n; i++)
			document[i].archived = document[i].ordered_at < archive_limit;
		diff_document(&state, source->source_id, order_id, document, n);
	}
	entity_flush();
	n_changes = end_diff(&state, changes);
	n_new = entity_take_new_clients(&new_clients);
	family_welcome(new_clients, n_new);
	return n_changes;
}

/* Delete a source's rows of some clients, client by client, until enough are gone. */
int
ledger_retract(int32 source_id, const int64 *client_ids, int *n_clients, int enough, TimestampTz now,
			   LedgerChange **changes)
{
	DiffState	state = begin_diff(now, 0);
	int			n_lines = 0;
	int			done = 0;

	for (; done < *n_clients && n_lines < enough; done++)
	{
		Datum		keys[2] = {Int64GetDatum(client_ids[done]), Int32GetDatum(source_id)};
		StoredLine *stored;
		int			n = read_rows(state.ledger, store_scan(state.ledger, "ledger_pkey", 2, keys), &stored);

		CHECK_FOR_INTERRUPTS();
		state.changes = repalloc_huge(state.changes, sizeof(LedgerChange) * (state.n_changes + n + 1));
		for (int i = 0, next; i < n; i = next)
		{
			for (next = i; next < n && stored[next].line.order_id == stored[i].line.order_id; next++)
				supersede(&state, &stored[next]);
			report(&state, source_id, stored[i].line.order_id, &stored[i], next - i, NULL, 0);
		}
		n_lines += n;
	}
	*n_clients = done;
	return end_diff(&state, changes);
}

/* A document. */
typedef struct DocumentId
{
	int32		source_id;
	int64		order_id;
} DocumentId;

typedef struct Documents
{
	DocumentId *ids;
	int			n;
	int			max;
} Documents;

static int
compare_documents(const void *a, const void *b)
{
	const DocumentId *x = a;
	const DocumentId *y = b;

	if (x->source_id != y->source_id)
		return x->source_id < y->source_id ? -1 : 1;
	return (x->order_id > y->order_id) - (x->order_id < y->order_id);
}

/* Gather the documents of a client that hold a line which counts elsewhere. */
static void
gather_misplaced(Store *ledger, int64 client_id, Documents *documents)
{
	Datum		key = Int64GetDatum(client_id);
	StoreScan  *scan = store_scan(ledger, "ledger_pkey", 1, &key);
	TupleDesc	desc = store_desc(ledger);
	HeapTuple	tuple;

	while ((tuple = store_next(scan)) != NULL)
	{
		bool		same;
		bool		isnull;
		int64		named = DatumGetInt64(heap_getattr(tuple, LEDGER_NAMED, desc, &same));

		if (ledger_survivor(same ? client_id : named) == client_id)
			continue;
		if (documents->n == documents->max)
		{
			documents->max = Max(64, documents->max * 2);
			documents->ids = documents->ids ? repalloc_huge(documents->ids, sizeof(DocumentId) * documents->max) :
				palloc(sizeof(DocumentId) * documents->max);
		}
		documents->ids[documents->n++] = (DocumentId)
		{
			.source_id = DatumGetInt32(heap_getattr(tuple, LEDGER_SOURCE, desc, &isnull)),
				.order_id = DatumGetInt64(heap_getattr(tuple, LEDGER_ORDER, desc, &isnull))
		};
	}
	store_scan_end(scan);
}

/* Put the stored lines of some clients where they count. */
int
ledger_move(const int64 *clients, int n, TimestampTz now, LedgerChange **changes)
{
	Store	   *ledger = store_open("ledger", AccessShareLock);
	Documents	documents = {0};
	DiffState	state;

	for (int c = 0; c < n; c++)
		gather_misplaced(ledger, clients[c], &documents);
	store_close(ledger);
	if (documents.n > 1)
		qsort(documents.ids, documents.n, sizeof(DocumentId), compare_documents);
	state = begin_diff(now, documents.n);
	for (int d = 0; d < documents.n; d++)
	{
		LedgerLine *lines;
		int			n_lines;

		if (d > 0 && compare_documents(&documents.ids[d], &documents.ids[d - 1]) == 0)
			continue;
		if (d % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		n_lines = ledger_read_order(documents.ids[d].source_id, documents.ids[d].order_id, &lines);
		ledger_resolve(lines, n_lines);
		ledger_settle_times(lines, n_lines);
		diff_document(&state, documents.ids[d].source_id, documents.ids[d].order_id, lines, n_lines);
	}
	return end_diff(&state, changes);
}
