/*
 * fit.c
 *		New generations of the population's parameters: season, gap prior, class
 *		limits, popularity of products.
 *
 * One scan of client_profile and one of product_month; results are rows of
 * agentcrm.model, switched in one step.  Changes no profile.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "profile/assess.h"
#include "profile/fold.h"
#include "profile/population.h"
#include "profile/rows.h"

#define HALF_LIFE_MONTHS 6.0
#define POPULARITY_MONTHS 120	/* older orders weigh less than one in a million */
#define ROWS_AT_ONCE 1000
#define ABC_SHARE_A 0.80
#define ABC_SHARE_B 0.95

/* Generations that can be fitted. */
#define FIT_GAP 1
#define FIT_CLASS 2
#define FIT_POPULARITY 4
#define FIT_SEASON 8
#define FIT_ALL 15

/* The calendar changes slowly and is read from the ledger: not every day. */
#define SEASON_LASTS (28 * USECS_PER_DAY)

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
} Sample;

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
	for (int m = 0; m < profile->n_months; m++)
	{
		int			age = month_age(profile->months[m].month, month);

		if (age >= 0 && age < POPULARITY_MONTHS)
			sample->orders[age] += profile->months[m].orders;
	}
}

/* Read all profiles once. */
static Sample *
read_sample(DateADT today, const Season *season)
{
	Sample	   *sample = palloc0(sizeof(Sample));
	Store	   *store = store_open("client_profile", AccessShareLock);
	Relation	rel = store_relation(store);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm fit", ALLOCSET_DEFAULT_SIZES);

	sample->season = *season;
	sample->max_clients = 1024;
	sample->recency = palloc(sample->max_clients * sizeof(double));
	sample->frequency = palloc(sample->max_clients * sizeof(double));
	sample->monetary = palloc(sample->max_clients * sizeof(double));
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);
		ClientProfile profile;
		bool		free_row;

		profile_from_row(ExecFetchSlotHeapTuple(slot, false, &free_row), store_desc(store), &profile);
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
	return sample;
}

static int
compare_doubles(const void *a, const void *b)
{
	return float8_cmp_internal(*(const double *) a, *(const double *) b);
}

/* The value that a share of the clients does not exceed; values are sorted. */
static double
quantile(const double *values, int64 n, double share)
{
	return n == 0 ? 0 : values[Min(n - 1, (int64) floor(share * n))];
}

static void
append_number(StringInfo json, const char *before, double value)
{
	char	   *digits = float8out_internal(isfinite(value) ? value : 0);

	appendStringInfo(json, "%s%s", before, digits);
	pfree(digits);
}

/* Four limits between five classes of equal size, best class first. */
static void
append_limits(StringInfo json, const char *name, double *values, int64 n, bool more_is_better)
{
	qsort(values, n, sizeof(double), compare_doubles);
	appendStringInfo(json, ", \"%s\": [", name);
	for (int i = 1; i <= 4; i++)
		append_number(json, i == 1 ? "" : ", ", quantile(values, n, (more_is_better ? 5 - i : i) / 5.0));
	appendStringInfoChar(json, ']');
}

/* The least amount of those clients that make up the first share of the total; amounts ascend. */
static double
pareto_limit(const double *amounts, int64 n, double share)
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
	for (int64 i = 0; i < n; i++)
	{
		orders += sample->frequency[i];
		amount += sample->monetary[i];
	}
	append_number(&json, "{\"mean_order_value\": ", orders > 0 ? Max(amount / orders, 0) : 0);
	append_limits(&json, "recency", sample->recency, n, false);
	append_limits(&json, "frequency", sample->frequency, n, true);
	append_limits(&json, "monetary", sample->monetary, n, true);
	append_number(&json, ", \"abc\": [", pareto_limit(sample->monetary, n, ABC_SHARE_A));
	append_number(&json, ", ", pareto_limit(sample->monetary, n, ABC_SHARE_B));
	appendStringInfoString(&json, "]}");
	return json.data;
}

static char *
gap_params(Sample *sample, GapPrior *prior)
{
	StringInfoData json;
	bool		fitted = gap_prior_estimate(&sample->gaps, prior);

	if (!fitted)
		*prior = *population_weak_gap_prior();
	initStringInfo(&json);
	append_number(&json, "{\"k\": ", prior->k);
	append_number(&json, ", \"r\": ", prior->r);
	append_number(&json, ", \"alpha\": ", prior->alpha);
	append_number(&json, ", \"clients\": ", prior->n_clients);
	append_number(&json, ", \"fitted\": ", fitted);
	for (int c = 0; c < GAP_SHAPES; c++)
		append_number(&json, c == 0 ? ", \"shape\": [" : ", ", prior->shape_weight[c]);
	appendStringInfoString(&json, "]}");
	return json.data;
}

/* Put a new generation in place of the current one; returns its id. */
static int64
write_generation(const char *kind, char *params, int64 n, TimestampTz as_of)
{
	Oid			types[4] = {TEXTOID, JSONBOID, INT8OID, TIMESTAMPTZOID};
	Datum		values[4] = {
		CStringGetTextDatum(kind), DirectFunctionCall1(jsonb_in, CStringGetDatum(params)),
		Int64GetDatum(n), TimestampTzGetDatum(as_of)
	};
	bool		isnull;
	int64		model_id;

	if (SPI_execute_with_args("UPDATE agentcrm.model SET current = false "
							  "WHERE current AND kind OPERATOR(pg_catalog.=) $1 AND segment OPERATOR(pg_catalog.=) '*'",
							  1, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not retire the generation of \"%s\"", kind);
	if (SPI_execute_with_args("INSERT INTO agentcrm.model (kind, params, n, as_of, fitted_at, current) "
							  "VALUES ($1, $2, $3, $4, $4, true) RETURNING model_id",
							  4, types, values, NULL, false, 0) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write a generation of \"%s\"", kind);
	model_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	return model_id;
}

/* Shares of older generations are not read any more. */
static void
delete_shares(void)
{
	if (SPI_execute("DELETE FROM agentcrm.product_popularity", false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete old shares of products");
}

static void
insert_share(Store *store, int64 model_id, int64 product_id, double weight, double total)
{
	Datum		values[3] = {
		Int64GetDatum(model_id), Int64GetDatum(product_id), Float8GetDatum(Min(weight / total, 1))
	};
	bool		isnull[3] = {false, false, false};

	if (weight > 0)
		store_insert(store, values, isnull);
}

/* Shares of products in all orders, an order weighing half as much every six months. */
static void
write_shares(const Sample *sample, int64 model_id, DateADT month)
{
	Portal		portal = SPI_cursor_open_with_args(NULL, "SELECT product_id, month, orders FROM agentcrm.product_month ORDER BY 1, 2",
												   0, NULL, NULL, NULL, true, 0);
	Store	   *store = store_open("product_popularity", RowExclusiveLock);
	double		weights[POPULARITY_MONTHS];
	double		total = 0,
				weight = 0;
	int64		product_id = 0;
	bool		isnull;

	for (int age = 0; age < POPULARITY_MONTHS; age++)
	{
		weights[age] = exp2(-age / HALF_LIFE_MONTHS);
		total += weights[age] * sample->orders[age];
	}
	while (SPI_cursor_fetch(portal, true, ROWS_AT_ONCE), SPI_processed > 0)
	{
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			int64		next = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
			int			age = month_age(DatumGetDateADT(SPI_getbinval(row, desc, 2, &isnull)), month);

			if (next != product_id)
			{
				insert_share(store, model_id, product_id, weight, total);
				product_id = next;
				weight = 0;
			}
			if (age >= 0 && age < POPULARITY_MONTHS)
				weight += weights[age] * DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull));
		}
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	insert_share(store, model_id, product_id, weight, total);
	SPI_cursor_close(portal);
	store_close(store);
}

static void
fit(int kinds, TimestampTz as_of)
{
	DateADT		today = period_day(as_of);
	Sample	   *sample;
	GapPrior	prior;
	Season		season = profile_population()->season;

	SPI_connect();
	if (kinds & FIT_SEASON)
	{
		int64		n;
		char	   *params = fit_season(today, &season, &n);

		write_generation("season", params, n, as_of);
	}
	sample = read_sample(today, &season);
	if (kinds & FIT_GAP)
	{
		char	   *params = gap_params(sample, &prior);

		write_generation("gap", params, (int64) prior.n_clients, as_of);
	}
	if (kinds & FIT_CLASS)
		write_generation("class", class_params(sample), sample->n_clients, as_of);
	if (kinds & FIT_POPULARITY)
	{
		int64		model_id = write_generation("popularity", "{\"half_life_months\": 6}",
												population_count_sales(), as_of);

		delete_shares();
		write_shares(sample, model_id, fold_month(today));
	}
	SPI_finish();
	population_forget();
}

/* See profile.h. */
void
profile_fit(TimestampTz as_of)
{
	const Population *population = profile_population();
	bool		season_due = population->season_model_id == 0 || as_of >= population->season_as_of + SEASON_LASTS ||
		as_of < population->season_as_of;

	fit(season_due ? FIT_ALL : FIT_ALL & ~FIT_SEASON, as_of);
}

PG_FUNCTION_INFO_V1(agentcrm_profile_fit);

/* agentcrm.fit(kind text DEFAULT NULL): new generations of one kind, or of all. */
Datum
agentcrm_profile_fit(PG_FUNCTION_ARGS)
{
	int			kinds = FIT_ALL;

	if (!PG_ARGISNULL(0))
	{
		char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));

		kinds = strcmp(kind, "gap") == 0 ? FIT_GAP :
			strcmp(kind, "class") == 0 ? FIT_CLASS :
			strcmp(kind, "season") == 0 ? FIT_SEASON | FIT_GAP :
			strcmp(kind, "popularity") == 0 ? FIT_POPULARITY : 0;
		if (kinds == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown kind of model: \"%s\"", kind),
					 errhint("Kinds are season (and with it gap), gap, class and popularity.")));
	}
	fit(kinds, engine_now());
	PG_RETURN_VOID();
}
