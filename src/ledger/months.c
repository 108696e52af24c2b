/*
 * months.c
 *		Documents summed by month: how many lines, and a digest of their content
 *		that does not depend on their order.
 *
 * A document counts as a whole in the month of its earliest line, in a slice of
 * it that its id tells: days of the month stand for them.  The digest
 * is over what ledger_line_compare() compares, so that equal sums mean that a
 * re-read would change nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

#include "ledger/row.h"
#include "store.h"

/* A month's documents are summed in so many slices, by their ids: what differs is looked for in one of them. */
#define SLICES 8

/* ---- sums ---- */

static uint64
add_bytes(uint64 hash, const void *bytes, int length)
{
	return hash_bytes_extended(bytes, length, hash);
}

static uint64
add_numeric(uint64 hash, Numeric number)
{
	return number ? add_bytes(hash, number, VARSIZE_ANY(number)) : hash_combine64(hash, 0);
}

/* A digest of a line and the document it is in. */
static uint64
digest_line(const LedgerLine *line)
{
	int64		fixed[7] = {line->order_id, line->client_id, line->named_id, line->product_id, line->rep_id, line->ordered_at,
	((int64) line->ordered_on << 3) | line->has_product << 2 | line->has_rep << 1 | line->is_return};
	uint64		hash = add_bytes(0, fixed, sizeof(fixed));

	hash = add_numeric(hash, line->quantity);
	hash = add_numeric(hash, line->amount);
	hash = add_numeric(hash, line->margin);
	return line->line_key ? add_bytes(hash, line->line_key, strlen(line->line_key)) : hash_combine64(hash, 0);
}

/* The first day of the month of a day. */
static DateADT
month_of(DateADT day)
{
	int			year;
	int			month;
	int			mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return day - (mday - 1);
}

/* See ledger.h. */
DateADT
months_document(const LedgerLine *lines, int n)
{
	DateADT		first = lines[0].ordered_on;

	for (int i = 1; i < n; i++)
		first = Min(first, lines[i].ordered_on);
	return month_of(first) + (uint64) lines[0].order_id % SLICES;
}

static MonthSum *
sum_of(MonthSums *sums, DateADT month)
{
	for (int i = sums->n - 1; i >= 0; i--)
		if (sums->sums[i].month == month)
			return &sums->sums[i];
	if (sums->n == sums->max)
	{
		sums->max = Max(sums->max * 2, 64);
		sums->sums = sums->sums ? repalloc(sums->sums, sizeof(MonthSum) * sums->max) : palloc(sizeof(MonthSum) * sums->max);
	}
	sums->sums[sums->n] = (MonthSum)
	{
		.month = month
	};
	return &sums->sums[sums->n++];
}

/* See ledger.h. */
void
months_add(MonthSums *sums, const LedgerLine *lines, int n)
{
	MonthSum   *sum;

	for (int i = 0; i < n; i++)
		if (lines[i].ordered_at < sums->from)
			return;
	if (n == 0)
		return;
	sum = sum_of(sums, months_document(lines, n));
	sum->lines += n;
	for (int i = 0; i < n; i++)
		sum->digest += digest_line(&lines[i]);
}

/* ---- stored documents, in order of their ids ---- */

typedef bool (*DocumentCallback) (const LedgerLine *lines, int n, void *arg);

/*
 * Call for each stored document of a source after an id, until it returns
 * false.  Lines are valid during the call only; the scan keeps memory of its
 * own in the caller's context.
 */
static void
walk_documents(int32 source_id, int64 after, DocumentCallback callback, void *arg)
{
	Store	   *store = store_open("ledger", AccessShareLock);
	Datum		bounds[2] = {Int32GetDatum(source_id), Int64GetDatum(after)};
	StoreScan  *scan = store_scan_after(store, "ledger_source_id_order_id_idx", 2, bounds);
	MemoryContext caller_cxt = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller_cxt, "agentcrm document", ALLOCSET_DEFAULT_SIZES);
	int			max = 64;
	LedgerLine *lines = palloc(sizeof(LedgerLine) * max);
	int			n = 0;
	bool		more = true;
	HeapTuple	tuple;

	while (more && (tuple = store_next(scan)) != NULL)
	{
		bool		isnull;
		int64		order_id = DatumGetInt64(heap_getattr(tuple, 2, store_desc(store), &isnull));

		if (n > 0 && order_id != lines[0].order_id)
		{
			CHECK_FOR_INTERRUPTS();
			more = callback(lines, n, arg);
			MemoryContextReset(cxt);
			n = 0;
		}
		if (n == max)
			lines = repalloc_huge(lines, sizeof(LedgerLine) * (max *= 2));
		MemoryContextSwitchTo(cxt);
		ledger_row_read(tuple, store_desc(store), &lines[n++]);
		MemoryContextSwitchTo(caller_cxt);
	}
	if (more && n > 0)
		callback(lines, n, arg);
	store_scan_end(scan);
	MemoryContextDelete(cxt);
	pfree(lines);
	store_close(store);
}

typedef struct SumWork
{
	MonthSums  *sums;
	int64		upto;
	int			limit;
	int			n;
	int64		last;
} SumWork;

static bool
sum_document(const LedgerLine *lines, int n, void *arg)
{
	SumWork    *work = arg;

	if (lines[0].order_id > work->upto)
		return false;
	months_add(work->sums, lines, n);
	work->last = lines[0].order_id;
	return ++work->n < work->limit;
}

/* See ledger.h. */
int
ledger_sum_months(int32 source_id, int64 after, int64 upto, int limit, MonthSums *sums, int64 *last)
{
	SumWork		work = {.sums = sums, .upto = upto, .limit = limit, .last = after};

	walk_documents(source_id, after, sum_document, &work);
	*last = work.last;
	return work.n;
}

/* See ledger.h. */
bool
months_equal(const MonthSums *a, const MonthSums *b)
{
	int			found = 0;

	for (int i = 0; i < a->n; i++)
		for (int j = 0; j < b->n; j++)
			found += a->sums[i].month == b->sums[j].month && a->sums[i].lines == b->sums[j].lines &&
				a->sums[i].digest == b->sums[j].digest;
	return found == a->n && a->n == b->n;
}

typedef struct ListWork
{
	const MonthSums *months;
	int64		upto;
	int			limit;
	int			n;
	int64	   *orders;
	int64		last;
} ListWork;

static bool
list_document(const LedgerLine *lines, int n, void *arg)
{
	ListWork   *work = arg;
	DateADT		month = months_document(lines, n);
	bool		wanted = work->months == NULL;

	if (lines[0].order_id > work->upto)
		return false;
	work->last = lines[0].order_id;
	for (int i = 0; !wanted && i < work->months->n; i++)
		wanted = work->months->sums[i].month == month;
	if (wanted)
		work->orders[work->n++] = lines[0].order_id;
	return work->n < work->limit;
}

/* See ledger.h. */
int
ledger_list_months(int32 source_id, const MonthSums *months, int64 after, int64 upto, int limit,
				   const char **keys, int64 *last)
{
	ListWork	work = {.months = months, .upto = upto, .limit = limit, .orders = palloc(sizeof(int64) * limit), .last = upto};

	walk_documents(source_id, after, list_document, &work);
	/* not at the limit: there is nothing else up to there */
	*last = work.n == limit ? work.last : upto;
	ledger_order_keys(source_id, work.orders, work.n, keys);
	return work.n;
}
