/*
 * fold.c
 *		The timeless fold of one client's ledger lines.
 *
 * A pure function over lines in (ordered_at, source, order, line_no) order:
 * the same lines give the same bits, whether folded at once or added to a
 * stored fold.  Must not know what time it is, nor where its lines come from.
 */
#include "postgres.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "profile/fold.h"

typedef struct ProductEntry
{
	int64		product_id;
	FoldProduct *product;
	char		status;
} ProductEntry;

#define SH_PREFIX product
#define SH_ELEMENT_TYPE ProductEntry
#define SH_KEY_TYPE int64
#define SH_KEY product_id
#define SH_HASH_KEY(tb, key) ((uint32) (((uint64) (key) * UINT64CONST(0x9E3779B97F4A7C15)) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The first day of the month of a day. */
DateADT
fold_month(DateADT day)
{
	int			year,
				month,
				mday;

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	return day - (mday - 1);
}

/* A workspace for folding one client after the other. */
Fold *
fold_create(FoldLoad load, FoldOrder order, void *arg)
{
	Fold	   *fold = palloc0(sizeof(Fold));

	fold->cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm fold", ALLOCSET_DEFAULT_SIZES);
	fold->load = load;
	fold->order = order;
	fold->arg = arg;
	return fold;
}

/* Start a client from nothing; a stored profile may be put in place of fold->profile after it. */
void
fold_begin(Fold *fold, int64 client_id)
{
	Fold		clean = {.cxt = fold->cxt, .load = fold->load, .order = fold->order, .arg = fold->arg};

	MemoryContextReset(fold->cxt);
	*fold = clean;
	fold->profile.client_id = client_id;
	fold->profile.fold_at = DT_NOBEGIN;
	fold->index = product_create(fold->cxt, 16, NULL);
}

/* Append to an array that doubles. */
static FoldProduct **
append_product(FoldProduct **array, int *n, int *max, FoldProduct *product)
{
	if (*n == *max)
	{
		*max = *max ? *max * 2 : 16;
		array = array ? repalloc(array, *max * sizeof(FoldProduct *)) : palloc(*max * sizeof(FoldProduct *));
	}
	array[(*n)++] = product;
	return array;
}

/* sum() as SQL does it: NULL until the first value; a value without own copy is copied. */
static Numeric
add_to_sum(Numeric sum, Numeric value)
{
	Datum		next;

	if (sum == NULL)
		return DatumGetNumericCopy(NumericGetDatum(value));
	next = DirectFunctionCall2(numeric_add, NumericGetDatum(sum), NumericGetDatum(value));
	return DatumGetNumeric(next);
}

/* The same for sums that are the fold's own allocations. */
static Numeric
add_to_own_sum(Numeric sum, Numeric value)
{
	Numeric		next = add_to_sum(sum, value);

	if (sum)
		pfree(sum);
	return next;
}

/* The client's state of a product, from memory, from its row, or fresh. */
static FoldProduct *
touch_product(Fold *fold, int64 product_id)
{
	bool		found;
	ProductEntry *entry = product_insert(fold->index, product_id, &found);
	FoldProduct *product;

	if (found)
		return entry->product;
	product = palloc0(sizeof(FoldProduct));
	entry->product = product;
	if (fold->load && fold->load(fold, product_id, product))
		product->stored = true;
	product->product.product_id = product_id;
	fold->products = append_product(fold->products, &fold->n_products, &fold->max_products, product);
	return product;
}

/* A sale line with a product: lines of one product in one order count together. */
static void
add_product_line(Fold *fold, const LedgerLine *line)
{
	FoldProduct *product = touch_product(fold, line->product_id);

	if (!product->pending)
	{
		product->pending = true;
		product->quantity = NULL;
		product->amount = NULL;
		fold->pending = append_product(fold->pending, &fold->n_pending, &fold->max_pending, product);
	}
	product->quantity = add_to_sum(product->quantity, line->quantity);
	product->amount = add_to_own_sum(product->amount, line->amount);
}

/* The bucket of a month; months come nearly in order, so the search starts at the end. */
static ClientMonth *
touch_month(Fold *fold, DateADT month)
{
	ClientProfile *profile = &fold->profile;
	int			at = profile->n_months;

	while (at > 0 && profile->months[at - 1].month > month)
		at--;
	if (at > 0 && profile->months[at - 1].month == month)
		return &profile->months[at - 1];

	if (profile->n_months >= fold->max_months)
	{
		int			max = Max(8, profile->n_months * 2);
		ClientMonth *months = palloc(max * sizeof(ClientMonth));

		if (profile->n_months)
			memcpy(months, profile->months, profile->n_months * sizeof(ClientMonth));
		profile->months = months;
		fold->max_months = max;
	}
	memmove(&profile->months[at + 1], &profile->months[at], (profile->n_months - at) * sizeof(ClientMonth));
	profile->n_months++;
	profile->months[at] = (ClientMonth) {.month = month, .amount = int64_to_numeric(0), .returned = int64_to_numeric(0)};
	return &profile->months[at];
}

static void
add_money(Fold *fold)
{
	ClientProfile *profile = &fold->profile;
	ClientMonth *month = touch_month(fold, fold_month(fold->ordered_on));

	month->orders += fold->has_sale;
	if (fold->amount)
	{
		month->amount = add_to_sum(month->amount, fold->amount);
		profile->amount = add_to_sum(profile->amount, fold->amount);
	}
	if (fold->margin)
	{
		month->margin = add_to_sum(month->margin, fold->margin);
		profile->margin = add_to_sum(profile->margin, fold->margin);
	}
	if (fold->returned)
	{
		month->returned = add_to_sum(month->returned, fold->returned);
		profile->returned = add_to_sum(profile->returned, fold->returned);
	}
}

static void
add_recent_gap(ClientProfile *profile, int32 gap)
{
	if (profile->n_recent == CHART_GAPS)
		memmove(profile->recent, profile->recent + 1, --profile->n_recent * sizeof(int32));
	profile->recent[profile->n_recent++] = gap;
}

/*
 * The rhythm: whole days between distinct order days.  Days of sources in
 * different zones can run backwards by one; such an order opens no gap and
 * moves no day.
 */
static void
add_order_day(ClientProfile *profile, TimestampTz at, DateADT day)
{
	if (profile->n_orders++ == 0)
	{
		profile->first_order_at = at;
		profile->first_order_on = day;
		profile->last_order_on = day;
	}
	else if (day > profile->last_order_on)
	{
		profile->gap_before = profile->gap_last;
		profile->gap_last = day - profile->last_order_on;
		profile->gap_sum += profile->gap_last;
		profile->gap_sum_log += log(profile->gap_last);
		profile->n_gaps++;
		add_recent_gap(profile, profile->gap_last);
		profile->last_order_on = day;
	}
	profile->last_order_at = at;
}

/* One more order holds the product: counts, rates on the order clock, last quantities. */
static void
add_product_order(FoldProduct *held, int32 order_no, DateADT day)
{
	ClientProduct *product = &held->product;

	if (product->n++ == 0)
	{
		product->first_order_no = order_no;
		product->first_order_on = day;
		product->rate_slow = 1;
		product->rate_fast = 1;
		product->held = 1;
	}
	else
	{
		int32		orders = order_no - product->last_order_no;

		product->rate_slow = product->rate_slow * decay_pow(REPEAT_DECAY_SLOW, orders) + 1;
		product->rate_fast = product->rate_fast * decay_pow(REPEAT_DECAY_FAST, orders) + 1;
		product->held = (orders < CHART_ORDERS ? product->held << orders : 0) | 1;
	}
	product->last_order_no = order_no;
	product->last_order_on = day;

	if (product->n_quantities == PROFILE_QUANTITIES)
		memmove(product->quantities, product->quantities + 1, (PROFILE_QUANTITIES - 1) * sizeof(Numeric));
	else
		product->n_quantities++;
	product->quantities[product->n_quantities - 1] = held->quantity;
	held->pending = false;
}

/* The document has ended: count it. */
static void
close_document(Fold *fold)
{
	ClientProfile *profile = &fold->profile;

	if (!fold->open)
		return;
	if (fold->has_sale)
	{
		add_order_day(profile, fold->ordered_at, fold->ordered_on);
		if (fold->has_rep)
		{
			profile->has_rep = true;
			profile->rep_id = fold->rep_id;
		}
	}
	else
		profile->n_returns++;
	add_money(fold);
	if (fold->order && fold->has_sale)
		fold->order(fold);
	for (int i = 0; i < fold->n_pending; i++)
		add_product_order(fold->pending[i], profile->n_orders, fold->ordered_on);
	fold->n_pending = 0;

	profile->fold_at = fold->ordered_at;
	profile->fold_source_id = fold->source_id;
	profile->fold_order_id = fold->order_id;
	fold->open = false;
}

static void
open_document(Fold *fold, const LedgerLine *line)
{
	fold->open = true;
	fold->source_id = line->source_id;
	fold->order_id = line->order_id;
	fold->ordered_at = line->ordered_at;
	fold->ordered_on = line->ordered_on;
	fold->has_sale = false;
	fold->has_rep = false;
	fold->amount = NULL;
	fold->margin = NULL;
	fold->returned = NULL;
}

/* Add the next line; lines must come in fold order. */
void
fold_add(Fold *fold, const LedgerLine *line)
{
	MemoryContext old = MemoryContextSwitchTo(fold->cxt);

	if (!fold->open || fold->order_id != line->order_id || fold->source_id != line->source_id)
	{
		close_document(fold);
		open_document(fold, line);
	}
	if (line->has_rep && !fold->has_rep)
	{
		fold->has_rep = true;
		fold->rep_id = line->rep_id;
	}
	if (line->margin)
		fold->margin = add_to_own_sum(fold->margin, line->margin);
	if (line->is_return)
		fold->returned = add_to_own_sum(fold->returned, line->amount);
	else
	{
		fold->has_sale = true;
		fold->amount = add_to_own_sum(fold->amount, line->amount);
		if (line->has_product)
			add_product_line(fold, line);
	}
	MemoryContextSwitchTo(old);
}

/* The price per unit in the last order; NULL when nothing was delivered for it. */
static void
set_last_price(FoldProduct *product)
{
	Datum		zero = NumericGetDatum(int64_to_numeric(0));

	product->product.last_price = NULL;
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(product->quantity), zero)))
		product->product.last_price =
			DatumGetNumeric(DirectFunctionCall2(numeric_div, NumericGetDatum(product->amount),
												NumericGetDatum(product->quantity)));
}

/* End the client: the last document counts, sums that saw no value become zero. */
void
fold_finish(Fold *fold)
{
	MemoryContext old = MemoryContextSwitchTo(fold->cxt);
	ClientProfile *profile = &fold->profile;

	close_document(fold);
	for (int i = 0; i < fold->n_products; i++)
		set_last_price(fold->products[i]);
	if (profile->amount == NULL)
		profile->amount = int64_to_numeric(0);
	if (profile->returned == NULL)
		profile->returned = int64_to_numeric(0);
	MemoryContextSwitchTo(old);
}

static int
compare_products(const void *a, const void *b)
{
	int64		l = (*(FoldProduct *const *) a)->product.product_id;
	int64		r = (*(FoldProduct *const *) b)->product.product_id;

	return l < r ? -1 : l > r;
}

/* Put the touched products in order of product_id. */
void
fold_sort_products(Fold *fold)
{
	if (fold->n_products > 1)
		qsort(fold->products, fold->n_products, sizeof(FoldProduct *), compare_products);
}
