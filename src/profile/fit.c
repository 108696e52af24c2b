/*
 * fit.c
 *		New generations of the population's parameters: which are made and in
 *		what order, class limits, popularity of products; and how one is written.
 *
 * One scan of client_profile and one of product_month; results are rows of
 * agentcrm.model, switched in one step.  For a past as_of later orders are
 * taken off again, from the ledger.  For a replay one pass over the ledger as a
 * view shows it, and nothing is stored.  Other kinds have files of their own
 * (repurchase_generate.c, fit_season.c, fit_gap.c, fit_spend.c, fit_inclusion.c).
 * Changes no profile.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "profile/assess.h"
#include "profile/delta.h"
#include "profile/fit.h"
#include "profile/fold_at.h"
#include "profile/population.h"
#include "profile/rows.h"

#define HALF_LIFE_MONTHS 6.0
#define POPULARITY_MONTHS 120	/* older orders weigh less than one in a million */
#define ROWS_AT_ONCE 1000
#define ABC_SHARE_A 0.80
#define ABC_SHARE_B 0.95

#define CLIENTS_AT_ONCE 1000

/* Generations that can be fitted. */
#define FIT_GAP 1
#define FIT_CLASS 2
#define FIT_POPULARITY 4
#define FIT_REPURCHASE 8
#define FIT_SPEND 16
#define FIT_INCLUSION 32
#define FIT_SEASON 64
#define FIT_ALL 127

/* What is counted on the firm's clock: a new season makes it anew. */
#define FIT_BY_CLOCK (FIT_GAP | FIT_REPURCHASE)

/* What is judged on the last closed window, each by fit_window.c. */
#define FIT_JUDGED (FIT_GAP | FIT_SPEND | FIT_INCLUSION)

/* The calendar changes slowly and is read from the ledger: not every day. */
#define SEASON_LASTS (28 * USECS_PER_DAY)

static const struct
{
	const char *name;
	int			kind;
}			all_kinds[] = {
	{"season", FIT_SEASON}, {"gap", FIT_GAP}, {"class", FIT_CLASS}, {"popularity", FIT_POPULARITY},
	{"repurchase", FIT_REPURCHASE}, {"spend", FIT_SPEND}, {"inclusion", FIT_INCLUSION}
};

typedef struct Sample
{
	Season		season;			/* on which gaps are counted */
	GapMoments	gaps;
	int64		n_clients;		/* with orders */
	int64		max_clients;
	double	   *recency;		/* days since the last order */
	double	   *frequency;		/* orders of 12 months */
	double	   *monetary;		/* net amount of 12 months */
	int64		orders[POPULARITY_MONTHS];	/* of all clients, by age in months */
	ClientSample clients;
	ArrayBuildState *late;		/* clients with orders after as_of; NULL: none */
	Datum		late_ids;		/* the same, when all are read */
	int64		sales;			/* orders x products, as the next: of a view only */
	ProductDeltas *products;	/* orders by product and month */
} Sample;

static TimestampTz fit_clock;	/* when the fit under way is made, which may be of a past as_of */

static int
month_age(DateADT month, DateADT now)
{
	/* both are first days: whole months apart, each 28 to 31 days long */
	return (int) rint((now - month) / 30.436875);
}

static void
sample_client(Sample *sample, const ClientProfile *profile, DateADT today)
{
	GapStats	gaps = profile_gaps(profile, &sample->season);
	PeriodSums	year = period_year(profile, today);
	DateADT		month = fold_month(today);
	int64		i = sample->n_clients++;
	SampledClient client = {.client_id = profile->client_id};

	client.orders = order_values(profile, &year, &client.order_value);
	if (sample->n_clients > sample->max_clients)
	{
		sample->max_clients *= 2;
		sample->recency = repalloc_huge(sample->recency, sample->max_clients * sizeof(double));
		sample->frequency = repalloc_huge(sample->frequency, sample->max_clients * sizeof(double));
		sample->monetary = repalloc_huge(sample->monetary, sample->max_clients * sizeof(double));
	}
	if (gaps.n > 0)
		gap_moments_add(&sample->gaps, &gaps);
	sample->recency[i] = Max(today - profile->last_order_on, 0);
	sample->frequency[i] = year.orders;
	sample->monetary[i] = year.amount;
	sample_add(&sample->clients, &client);
	for (int m = 0; m < profile->n_months; m++)
	{
		int			age = month_age(profile->months[m].month, month);

		if (age >= 0 && age < POPULARITY_MONTHS)
			sample->orders[age] += profile->months[m].orders;
	}
}

static Sample *
new_sample(const Season *season)
{
	Sample	   *sample = palloc0(sizeof(Sample));

	sample->season = *season;
	sample->max_clients = 1024;
	sample->recency = palloc(sample->max_clients * sizeof(double));
	sample->frequency = palloc(sample->max_clients * sizeof(double));
	sample->monetary = palloc(sample->max_clients * sizeof(double));
	return sample;
}

/* The profile of a client with later orders, as it was at as_of. */
static void
take_late(Sample *sample, FoldReader *folds, TimestampTz as_of, ClientProfile *profile)
{
	sample->late = accumArrayResult(sample->late, Int64GetDatum(profile->client_id), false, INT8OID, GetMemoryChunkContext(sample));
	fold_at(folds, profile->client_id, as_of, profile, NULL);
}

/* Read all profiles once. */
static Sample *
read_sample(TimestampTz as_of, const Season *season)
{
	DateADT		today = period_day(as_of);
	Sample	   *sample = new_sample(season);
	Store	   *store = store_open("client_profile", AccessShareLock);
	Relation	rel = store_relation(store);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm fit", ALLOCSET_DEFAULT_SIZES);
	FoldReader	folds;

	fold_at_begin(&folds);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		ClientProfile profile;
		bool		free_row;

		profile_from_row(ExecFetchSlotHeapTuple(slot, false, &free_row), store_desc(store), &profile);
		if (profile.fold_at > as_of)
			take_late(sample, &folds, as_of, &profile);
		if (profile.n_orders > 0)
		{
			MemoryContextSwitchTo(GetMemoryChunkContext(sample));
			sample_client(sample, &profile, today);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	store_close(store);
	fold_at_end(&folds);
	sample_sort(&sample->clients);
	if (sample->late)
		sample->late_ids = makeArrayResult(sample->late, CurrentMemoryContext);
	return sample;
}

/* A sample on its way, of the profiles that a view shows. */
typedef struct Viewed
{
	Sample	   *sample;
	MemoryContext cxt;
	DateADT		today;
} Viewed;

static void
view_order(Fold *fold)
{
	Viewed	   *viewed = fold->arg;

	for (int i = 0; i < fold->n_pending; i++)
		deltas_add_order(viewed->sample->products, fold->pending[i]->product.product_id, fold->ordered_on, 1);
	viewed->sample->sales += fold->n_pending;
}

static void
view_client(Fold *fold, bool has_lines, void *arg)
{
	Viewed	   *viewed = arg;
	MemoryContext old = MemoryContextSwitchTo(viewed->cxt);

	if (fold->profile.n_orders > 0)
		sample_client(viewed->sample, &fold->profile, viewed->today);
	MemoryContextSwitchTo(old);
}

/*
 * The same by folding the ledger, client by client, whatever a table's order is; also orders by product and month.
 * A client that is merged has no lines, for they count for the survivor, but in a view of before the merge, where it
 * was a client of its own.
 */
static Sample *
view_sample(const LedgerView *view, const Season *season)
{
	Viewed		viewed = {new_sample(season), CurrentMemoryContext, period_day(view->as_of)};
	Fold	   *fold = fold_create(NULL, view_order, &viewed);
	int64	   *ids = palloc(sizeof(int64) * CLIENTS_AT_ONCE);
	int64		after = PG_INT64_MIN;
	int			n;

	viewed.sample->products = deltas_create();
	while ((n = ledger_clients_after(after, CLIENTS_AT_ONCE, ids)) > 0)
	{
		after = ids[n - 1];
		fold_clients(fold, ids, n, view, view_client, &viewed);
	}
	MemoryContextDelete(fold->cxt);
	pfree(ids);
	sample_sort(&viewed.sample->clients);
	return viewed.sample;
}

/* What fits call now and then. */
void
fit_check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
}

/* Order of doubles for qsort. */
int
fit_compare_doubles(const void *a, const void *b)
{
	return float8_cmp_internal(*(const double *) a, *(const double *) b);
}

/* The value that a share of the clients does not exceed; values are sorted. */
static double
quantile(const double *values, int64 n, double share)
{
	return n == 0 ? 0 : values[Min(n - 1, (int64) floor(share * n))];
}

/* A number of a json object, 0 where it is not finite. */
void
fit_append_number(StringInfo json, const char *before, double value)
{
	char	   *digits = float8out_internal(isfinite(value) ? value : 0);

	appendStringInfo(json, "%s%s", before, digits);
	pfree(digits);
}

/* Four limits between five classes of equal size, best class first. */
static void
append_limits(StringInfo json, const char *before, double *values, int64 n, bool more_is_better)
{
	qsort(values, n, sizeof(double), fit_compare_doubles);
	appendStringInfo(json, "%s: [", before);
	for (int i = 1; i <= 4; i++)
		fit_append_number(json, i == 1 ? "" : ", ", quantile(values, n, (more_is_better ? 5 - i : i) / 5.0));
	appendStringInfoChar(json, ']');
}

/* The least amount of those clients that make up the first share of the total; amounts ascend. */
double
fit_pareto_limit(const double *amounts, int64 n, double share)
{
	double		total = 0,
				sum = 0;
	int64		i;

	for (i = 0; i < n; i++)
		total += Max(amounts[i], 0);
	for (i = n; i > 0 && sum < share * total; i--)
		sum += Max(amounts[i - 1], 0);
	return i < n ? amounts[i] : 0;
}

static char *
class_params(Sample *sample)
{
	StringInfoData json;
	double		orders = 0,
				amount = 0;
	int64		n = sample->n_clients;

	initStringInfo(&json);
	append_limits(&json, "{\"recency\"", sample->recency, n, false);
	append_limits(&json, ", \"frequency\"", sample->frequency, n, true);
	append_limits(&json, ", \"monetary\"", sample->monetary, n, true);
	/* sorted by now: equal data give equal sums, in whatever order they were read */
	for (int64 i = 0; i < n; i++)
	{
		orders += sample->frequency[i];
		amount += sample->monetary[i];
	}
	fit_append_number(&json, ", \"mean_order_value\": ", orders > 0 ? Max(amount / orders, 0) : 0);
	fit_append_number(&json, ", \"abc\": [", fit_pareto_limit(sample->monetary, n, ABC_SHARE_A));
	fit_append_number(&json, ", ", fit_pareto_limit(sample->monetary, n, ABC_SHARE_B));
	appendStringInfoString(&json, "]}");
	return json.data;
}

/* The generation in use is in use no more. */
void
generation_retire(const char *kind, const char *segment)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2] = {CStringGetTextDatum(kind), CStringGetTextDatum(segment)};

	if (SPI_execute_with_args(GENERATION_RETIRE
							  " AND kind OPERATOR(pg_catalog.=) $1 AND segment OPERATOR(pg_catalog.=) $2",
							  2, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not retire the generation of \"%s\"", kind);
}

/* A generation made for a replay: in use there at once, and stored nowhere. */
static int64
generation_hand_over(const Generation *g)
{
	Generation	made = *g;

	made.model_id = REPLAY_MODEL_ID;
	if (g->current)
		population_take(&made);
	return REPLAY_MODEL_ID;
}

/* Write a generation, a current one in place of that in use; returns its id.  Needs SPI. */
int64
generation_write(const Generation *g)
{
	Oid			types[9] = {TEXTOID, TEXTOID, JSONBOID, INT8OID, FLOAT8OID, JSONBOID, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID};
	Datum		values[9] = {
		CStringGetTextDatum(g->kind), CStringGetTextDatum(g->segment), JsonbPGetDatum(g->params), Int64GetDatum(g->n),
		Float8GetDatum(g->log_likelihood), PointerGetDatum(g->metrics), TimestampTzGetDatum(g->as_of), BoolGetDatum(g->current),
		TimestampTzGetDatum(fit_clock)
	};
	char		nulls[10] = "         ";
	bool		isnull;

	if (population_gathering())
		return generation_hand_over(g);
	if (!g->has_log_likelihood)
		nulls[4] = 'n';
	if (g->metrics == NULL)
		nulls[5] = 'n';
	if (g->current)
		generation_retire(g->kind, g->segment);
	if (SPI_execute_with_args("INSERT INTO agentcrm.model (kind, segment, params, n, log_likelihood, metrics, as_of, fitted_at, current) "
							  "VALUES ($1, $2, $3, $4, $5, coalesce($6, '{}'), $7, $9, $8) RETURNING model_id",
							  9, types, values, nulls, false, 0) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write a generation of \"%s\"", g->kind);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* A generation for all clients, in use from now on; log_likelihood may be NaN. */
int64
fit_write_generation(const char *kind, const char *params, int64 n, double log_likelihood, TimestampTz as_of)
{
	return generation_write(&(Generation) {
		.kind = kind, .segment = "*", .params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(params))),
		.n = n, .has_log_likelihood = isfinite(log_likelihood), .log_likelihood = log_likelihood, .as_of = as_of, .current = true
	});
}

/* Shares of older generations are not read any more. */
static void
delete_shares(void)
{
	if (SPI_execute("DELETE FROM agentcrm.product_popularity", false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete old shares of products");
}

/* Shares of products in all orders, in the making: orders come by product and month. */
typedef struct Shares
{
	Store	   *store;			/* where they go; NULL: population_take_share */
	int64		model_id;
	DateADT		month;			/* the present one */
	double		weights[POPULARITY_MONTHS];
	double		total;
	int64		product_id;
	double		weight;
} Shares;

/* An order weighs half as much every six months. */
static void
begin_shares(Shares *shares, const Sample *sample, DateADT month)
{
	memset(shares, 0, sizeof(Shares));
	shares->month = month;
	for (int age = 0; age < POPULARITY_MONTHS; age++)
	{
		shares->weights[age] = exp2(-age / HALF_LIFE_MONTHS);
		shares->total += shares->weights[age] * sample->orders[age];
	}
}

static void
end_product(Shares *shares)
{
	Datum		values[3] = {
		Int64GetDatum(shares->model_id), Int64GetDatum(shares->product_id),
		Float8GetDatum(Min(shares->weight / shares->total, 1))
	};
	bool		isnull[3] = {false, false, false};

	if (shares->weight > 0 && shares->store)
		store_insert(shares->store, values, isnull);
	else if (shares->weight > 0)
		population_take_share(shares->product_id, DatumGetFloat8(values[2]));
	shares->weight = 0;
}

static void
add_month(void *arg, int64 product_id, DateADT month, int32 orders)
{
	Shares	   *shares = arg;
	int			age = month_age(month, shares->month);

	if (product_id != shares->product_id)
		end_product(shares);
	shares->product_id = product_id;
	if (age >= 0 && age < POPULARITY_MONTHS)
		shares->weight += shares->weights[age] * orders;
}

/* Orders that held a product, per month, without those after as_of. */
static Portal
open_months(const Sample *sample, TimestampTz as_of)
{
	Oid			types[2] = {INT8ARRAYOID, TIMESTAMPTZOID};
	Datum		values[2] = {sample->late_ids, TimestampTzGetDatum(as_of)};

	if (sample->late == NULL)
		return SPI_cursor_open_with_args(NULL, "SELECT product_id, month, orders FROM agentcrm.product_month ORDER BY 1, 2",
										 0, NULL, NULL, NULL, true, 0);
	return SPI_cursor_open_with_args(NULL, "SELECT product_id, month, pg_catalog.sum(orders)::pg_catalog.int4 "
									 "FROM (SELECT product_id, month, orders FROM agentcrm.product_month UNION ALL "
									 "SELECT product_id, pg_catalog.date_trunc('month', ordered_on)::pg_catalog.date, "
									 "(0 OPERATOR(pg_catalog.-) pg_catalog.count(DISTINCT ROW(client_id, source_id, order_id)))::pg_catalog.int4 "
									 "FROM agentcrm.ledger WHERE client_id OPERATOR(pg_catalog.=) ANY ($1) AND ordered_at OPERATOR(pg_catalog.>) $2 "
									 "AND kind OPERATOR(pg_catalog.=) 'sale' AND product_id IS NOT NULL GROUP BY 1, 2) m "
									 "GROUP BY 1, 2 ORDER BY 1, 2",
									 2, types, values, NULL, true, 0);
}

/* Have all of them taken in turn. */
static void
each_month(const Sample *sample, TimestampTz as_of, void (*take) (void *arg, int64 product_id, DateADT month, int32 orders), void *arg)
{
	Portal		portal = open_months(sample, as_of);
	bool		isnull;

	while (SPI_cursor_fetch(portal, true, ROWS_AT_ONCE), SPI_processed > 0)
	{
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;

			take(arg, DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull)), DatumGetDateADT(SPI_getbinval(row, desc, 2, &isnull)),
				 DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull)));
		}
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
}

static void
count_month(void *sales, int64 product_id, DateADT month, int32 orders)
{
	*(int64 *) sales += orders;
}

/* Orders x products up to as_of. */
static int64
count_sales(const Sample *sample, TimestampTz as_of)
{
	int64		sales = 0;

	if (population_gathering())
		return sample->sales;
	if (sample->late == NULL)
		return population_count_sales();
	each_month(sample, as_of, count_month, &sales);
	return sales;
}

static void
write_shares(const Sample *sample, int64 model_id, TimestampTz as_of)
{
	Shares		shares;

	begin_shares(&shares, sample, fold_month(period_day(as_of)));
	shares.store = store_open("product_popularity", RowExclusiveLock);
	shares.model_id = model_id;
	each_month(sample, as_of, add_month, &shares);
	end_product(&shares);
	store_close(shares.store);
}

/*
 * Generations that know orders after as_of are in use no more: neither a start
 * nor a standard for those of as_of.
 */
static void
retire_later(int kinds, TimestampTz as_of)
{
	for (int i = 0; i < (int) lengthof(all_kinds); i++)
	{
		Oid			types[2] = {TEXTOID, TIMESTAMPTZOID};
		Datum		values[2] = {CStringGetTextDatum(all_kinds[i].name), TimestampTzGetDatum(as_of)};

		if ((kinds & all_kinds[i].kind) &&
			SPI_execute_with_args(GENERATION_RETIRE
								  " AND kind OPERATOR(pg_catalog.=) $1 AND as_of OPERATOR(pg_catalog.>) $2",
								  2, types, values, NULL, false, 0) != SPI_OK_UPDATE)
			elog(ERROR, "could not retire generations of \"%s\"", all_kinds[i].name);
	}
	store_sync();
	population_forget();
}

/* Shares of products from the orders of a view. */
static void
take_shares(const Sample *sample, DateADT month)
{
	Shares		shares;
	int			n;
	Counter    *counters = deltas_gathered(sample->products, &n);

	begin_shares(&shares, sample, month);
	for (int i = 0; i < n; i++)
		add_month(&shares, counters[i].product_id, counters[i].month, counters[i].n);
	end_product(&shares);
	pfree(counters);
}

static void
fit_popularity(const Sample *sample, TimestampTz as_of)
{
	int64		model_id = fit_write_generation("popularity", "{\"half_life_months\": 6}", count_sales(sample, as_of), NAN, as_of);

	if (population_gathering())
	{
		take_shares(sample, fold_month(period_day(as_of)));
		return;
	}
	delete_shares();
	write_shares(sample, model_id, as_of);
}

/* With a kind what it is counted on, or what is counted on it. */
static int
kinds_with(int kinds, TimestampTz as_of)
{
	if ((kinds & FIT_BY_CLOCK) && profile_population()->season_as_of > as_of)
		kinds |= FIT_SEASON;
	if (kinds & FIT_SEASON)
		kinds |= FIT_BY_CLOCK;
	/* a past: what values and judges the model must know no more, and class says that new ones are due */
	if (as_of < fit_clock)
		kinds |= (kinds & FIT_REPURCHASE) ? FIT_GAP | FIT_SPEND | FIT_CLASS : FIT_CLASS;
	return kinds;
}

/* A new calendar, which is in *season then. */
static void
fit_write_season(TimestampTz as_of, Season *season)
{
	int64		n;
	char	   *params = fit_season(as_of, as_of < fit_clock || population_gathering(), season, &n);

	fit_write_generation("season", params, n, NAN, as_of);
}

/*
 * Fits follow one another: each begins at the generations that the one before
 * left in use.  False, without waiting, where another is under way.
 */
static bool
fit_alone(bool wait)
{
	Oid			relid = store_relid("model");

	if (wait)
		LockRelationOid(relid, ShareRowExclusiveLock);
	else if (!ConditionalLockRelationOid(relid, ShareRowExclusiveLock))
		return false;
	store_sync();
	population_forget();
	return true;
}

/* In a replay what the past shows, and nothing is stored. */
static void
fit(int kinds, TimestampTz as_of)
{
	const Population *before;
	Sample	   *sample = NULL;
	FitWindow  *window = NULL;
	Season		season;

	/* what one fit writes the next one reads, under a snapshot of our own */
	PushCopiedSnapshot(GetActiveSnapshot());
	SPI_connect();
	kinds = kinds_with(kinds, as_of);
	if (!population_gathering())
		retire_later(kinds, as_of);
	before = profile_population();
	season = before->season;
	if (kinds & FIT_SEASON)
		fit_write_season(as_of, &season);
	if (kinds != FIT_REPURCHASE)
		sample = population_gathering() ? view_sample(population_past_view(), &season) : read_sample(as_of, &season);
	if ((kinds & FIT_JUDGED) && !population_gathering())
		window = fit_window(&sample->clients, &season, kinds & FIT_INCLUSION, as_of);
	if (kinds & FIT_GAP)
		fit_gap(&sample->gaps, before, window, as_of);
	if (kinds & FIT_CLASS)
		fit_write_generation("class", class_params(sample), sample->n_clients, NAN, as_of);
	if (kinds & FIT_SPEND)
		fit_spend(&sample->clients, before, window, as_of);
	if (kinds & FIT_POPULARITY)
		fit_popularity(sample, as_of);
	if (kinds & FIT_INCLUSION)
		fit_inclusion(&sample->clients, before, window, as_of);
	store_sync();
	population_forget();
	if (kinds & FIT_REPURCHASE)
		repurchase_generate(as_of);
	SPI_finish();
	PopActiveSnapshot();
	population_forget();
}

/* See profile.h. */
bool
profile_fit(TimestampTz as_of)
{
	const Population *population;
	bool		season_due;

	if (!fit_alone(false))
		return false;
	population = profile_population();
	season_due = population->season_model_id == 0 || as_of >= population->season_as_of + SEASON_LASTS || as_of < population->season_as_of;
	fit_clock = as_of;
	fit(season_due ? FIT_ALL : FIT_ALL & ~FIT_SEASON, as_of);
	return true;
}

/* ---- for a replay ---- */

/* See population.h. */
void
fit_take_shares(const LedgerView *view)
{
	take_shares(view_sample(view, &profile_population()->season), fold_month(period_day(view->as_of)));
}

/* See population.h. */
void
fit_take_rates(const LedgerView *view)
{
	fit_count_rates(&view_sample(view, &profile_population()->season)->clients, view);
}

static void
take_fitted(void *arg)
{
	fit(FIT_ALL, *(TimestampTz *) arg);
}

/* See profile.h. */
PastPopulation *
profile_population_fit(const LedgerView *view)
{
	TimestampTz as_of = view->as_of;

	return population_gather(view, take_fitted, &as_of);
}

PG_FUNCTION_INFO_V1(agentcrm_profile_fit);

/* The kinds that a name stands for; all of them for NULL. */
static int
kinds_named(const char *name)
{
	if (name == NULL)
		return FIT_ALL;
	for (int i = 0; i < (int) lengthof(all_kinds); i++)
		if (strcmp(all_kinds[i].name, name) == 0)
			return all_kinds[i].kind;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown kind of model: \"%s\"", name),
			 errhint("Kinds are season, gap, class, popularity, repurchase, spend and inclusion.")));
}

/* agentcrm.fit(kind text DEFAULT NULL, as_of timestamptz DEFAULT NULL): new generations of one kind, or of all. */
Datum
agentcrm_profile_fit(PG_FUNCTION_ARGS)
{
	TimestampTz now = engine_now();
	TimestampTz as_of = PG_ARGISNULL(1) ? now : PG_GETARG_TIMESTAMPTZ(1);
	int			kinds;

	if (TIMESTAMP_NOT_FINITE(as_of) || as_of > now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of must be finite and not in the future")));
	if (population_past_view())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a replay is on in this session"),
				 errhint("An agent must not replay, backtest or fit.")));
	if (as_of < now - USECS_PER_DAY)
		ereport(NOTICE,
				(errmsg("the generations fitted as of %s take the place of those in use", timestamptz_to_str(as_of)),
				 errhint("SELECT agentcrm.fit() makes present ones, as the worker does at its next step. "
						 "To try the past and leave what serves alone, call agentcrm.backtest() or agentcrm.replay_bids().")));
	kinds = kinds_named(PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PreventCommandDuringRecovery("agentcrm.fit()");
	(void) fit_alone(true);
	/* what the fit before has left */
	PushActiveSnapshot(GetTransactionSnapshot());
	fit_clock = now;
	fit(kinds, as_of);
	PopActiveSnapshot();
	PG_RETURN_VOID();
}
