/*
 * population.c
 *		The generations in use and facts of products, kept in the backend.
 *
 * Generations are looked up once per transaction and read again when their ids
 * changed; product attributes are kept for a transaction, shares as long as
 * their generation.  Writes nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "profile/population.h"
#include "store.h"

/* Serves until there are enough clients: random buyers, one order in 30 days, very uncertain. */
static const GapPrior weak_gap_prior = {.k = 1, .r = 2, .alpha = 30, .n_clients = 0};

/* Look whether sales have grown by a tenth only after so many orders were folded: counting them reads all counters. */
#define GROWTH_LOOK_EVERY Max(1000, Min(fitted_sales / 200, INT_MAX / 2))

typedef struct ShareEntry
{
	int64		product_id;
	double		share;
} ShareEntry;

typedef struct ProductCacheEntry
{
	int64		product_id;
	bool		known;
	ProductInfo info;
} ProductCacheEntry;

static Population current;
static bool current_checked;	/* in this transaction */
static TimestampTz fitted_as_of = DT_NOBEGIN;
static int64 fitted_sales;		/* order x product pairs at the last fit */
static Oid	model_relid = InvalidOid;	/* numbers of generations begin anew with each CREATE EXTENSION */
static HTAB *shares;			/* of generation current.popularity_model_id */
static MemoryContext product_cxt;	/* this transaction's products */
static HTAB *products;
static int	orders_seen = INT_MAX / 2;	/* the first look is at once */
static bool callbacks_registered;

static void
forget_transaction(void)
{
	current_checked = false;
	if (product_cxt)
		MemoryContextDelete(product_cxt);
	product_cxt = NULL;
	products = NULL;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		forget_transaction();
}

/* A generation seen in a subtransaction that is rolled back was never there. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		population_forget();
}

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	callbacks_registered = true;
}

/* What serves until there are enough clients. */
const GapPrior *
population_weak_gap_prior(void)
{
	return &weak_gap_prior;
}

/* Read the generations again at the next use. */
void
population_forget(void)
{
	current_checked = false;
}

/* Count folded orders. */
void
population_orders_seen(int orders)
{
	if (orders_seen < GROWTH_LOOK_EVERY)
		orders_seen += orders;
}

/* A number of a json object, or of an array in it (index >= 0). */
static double
param(Jsonb *params, const char *name, int index)
{
	JsonbValue	value;
	JsonbValue *found = getKeyJsonValueFromContainer(&params->root, name, strlen(name), &value);

	if (found && index >= 0 && found->type == jbvBinary)
		found = getIthJsonbValueFromContainer(found->val.binary.data, index);
	if (found == NULL || found->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of agentcrm.model lacks parameter \"%s\"", name),
				 errhint("Call agentcrm.fit() for new generations.")));
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(found->val.numeric)));
}

static void
read_gap(Jsonb *params)
{
	current.gap.k = param(params, "k", -1);
	current.gap.r = param(params, "r", -1);
	current.gap.alpha = param(params, "alpha", -1);
	current.gap.n_clients = param(params, "clients", -1);
	for (int c = 0; c < GAP_SHAPES; c++)
		current.gap.shape_weight[c] = param(params, "shape", c);
	current.gap_fitted = param(params, "fitted", -1) != 0;
}

static void
read_season(Jsonb *params)
{
	double		weight[SEASON_DAYS];

	memset(&current.season, 0, sizeof(Season));
	if (param(params, "fitted", -1) == 0)
		return;
	for (int i = 0; i < SEASON_DAYS; i++)
		weight[i] = param(params, "weight", i);
	season_set(&current.season, weight);
}

static void
read_class(Jsonb *params)
{
	current.abc_a = param(params, "abc", 0);
	current.abc_b = param(params, "abc", 1);
	for (int i = 0; i < 4; i++)
	{
		current.recency[i] = param(params, "recency", i);
		current.frequency[i] = param(params, "frequency", i);
		current.monetary[i] = param(params, "monetary", i);
	}
	current.mean_order_value = param(params, "mean_order_value", -1);
}

static void
read_shares(int64 model_id)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(ShareEntry)};
	Store	   *store = store_open("product_popularity", AccessShareLock);
	Datum		key = Int64GetDatum(model_id);
	StoreScan  *scan = store_scan(store, "product_popularity_pkey", 1, &key);
	TupleDesc	desc = store_desc(store);
	HeapTuple	row;
	bool		isnull;

	if (shares)
		hash_destroy(shares);
	shares = hash_create("agentcrm popularity", 1024, &ctl, HASH_ELEM | HASH_BLOBS);
	while ((row = store_next(scan)) != NULL)
	{
		int64		product_id = DatumGetInt64(heap_getattr(row, 2, desc, &isnull));
		ShareEntry *entry = hash_search(shares, &product_id, HASH_ENTER, NULL);

		entry->share = DatumGetFloat8(heap_getattr(row, 3, desc, &isnull));
	}
	store_scan_end(scan);
	store_close(store);
}

/* Take up a current row of agentcrm.model, if it is another one than before. */
static void
read_generation(HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	int64		model_id = DatumGetInt64(heap_getattr(row, 1, desc, &isnull));
	char	   *kind = TextDatumGetCString(heap_getattr(row, 2, desc, &isnull));
	char	   *segment = TextDatumGetCString(heap_getattr(row, 3, desc, &isnull));
	Jsonb	   *params = DatumGetJsonbPCopy(heap_getattr(row, 4, desc, &isnull));

	if (strcmp(segment, "*") != 0)
		return;
	if (strcmp(kind, "gap") == 0 && model_id != current.gap_model_id)
	{
		read_gap(params);
		current.gap_model_id = model_id;
	}
	else if (strcmp(kind, "season") == 0 && model_id != current.season_model_id)
	{
		read_season(params);
		current.season_as_of = DatumGetTimestampTz(heap_getattr(row, 8, desc, &isnull));
		current.season_model_id = model_id;
	}
	else if (strcmp(kind, "class") == 0 && model_id != current.class_model_id)
	{
		read_class(params);
		fitted_as_of = DatumGetTimestampTz(heap_getattr(row, 8, desc, &isnull));
		current.class_model_id = model_id;
	}
	else if (strcmp(kind, "popularity") == 0 && model_id != current.popularity_model_id)
	{
		read_shares(model_id);
		fitted_sales = DatumGetInt64(heap_getattr(row, 5, desc, &isnull));
		current.popularity_model_id = model_id;
	}
}

static void
read_generations(void)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "agentcrm model", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	Store	   *store = store_open("model", AccessShareLock);
	StoreScan  *scan = store_scan(store, "model_kind_segment_idx", 0, NULL);
	HeapTuple	row = store_next(scan);

	if (row == NULL || RelationGetRelid(store_relation(store)) != model_relid)
	{
		memset(&current, 0, sizeof(current));
		current.gap = weak_gap_prior;
		fitted_as_of = DT_NOBEGIN;
		model_relid = RelationGetRelid(store_relation(store));
	}
	for (; row != NULL; row = store_next(scan))
		read_generation(row, store_desc(store));
	store_scan_end(scan);
	store_close(store);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/* The generations in use; valid for the transaction. */
const Population *
profile_population(void)
{
	if (!current_checked)
	{
		register_callbacks();
		read_generations();
		current_checked = true;
	}
	return &current;
}

static char *
text_or_null(HeapTuple row, int column, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static Numeric
numeric_or_null(HeapTuple row, int column, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(value);
}

static bool
read_product(ProductInfo *info, int64 product_id)
{
	Store	   *store = store_open("product", AccessShareLock);
	TupleDesc	desc = store_desc(store);
	Datum		key = Int64GetDatum(product_id);
	StoreScan  *scan = store_scan(store, "product_pkey", 1, &key);
	HeapTuple	row = store_next(scan);
	ShareEntry *share = shares ? hash_search(shares, &product_id, HASH_FIND, NULL) : NULL;
	bool		isnull;

	memset(info, 0, sizeof(ProductInfo));
	info->product_id = product_id;
	info->share = share && current.popularity_model_id != 0 ? share->share : 0;
	if (row)
	{
		info->name = text_or_null(row, 4, desc);
		info->category = text_or_null(row, 5, desc);
		info->active = DatumGetBool(heap_getattr(row, 6, desc, &isnull));
		info->pack_qty = numeric_or_null(row, 8, desc);
		info->min_order_qty = numeric_or_null(row, 9, desc);
	}
	store_scan_end(scan);
	store_close(store);
	return row != NULL;
}

static void
create_product_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(ProductCacheEntry)};

	product_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm products", ALLOCSET_DEFAULT_SIZES);
	ctl.hcxt = product_cxt;
	products = hash_create("agentcrm products", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* See profile.h. */
const ProductInfo *
profile_product(int64 product_id)
{
	ProductCacheEntry *entry;

	profile_population();
	if (products == NULL)
		create_product_cache();
	entry = hash_search(products, &product_id, HASH_FIND, NULL);
	if (entry == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(product_cxt);
		ProductInfo info;
		bool		known = read_product(&info, product_id);

		entry = hash_search(products, &product_id, HASH_ENTER, NULL);
		entry->known = known;
		entry->info = info;
		MemoryContextSwitchTo(old);
	}
	return entry->known ? &entry->info : NULL;
}

/* Orders x products of the ledger, from the product counters. */
int64
population_count_sales(void)
{
	bool		isnull;
	int64		sales;

	SPI_connect();
	if (SPI_execute("SELECT coalesce(pg_catalog.sum(orders), 0) FROM agentcrm.product_month", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not count sales");
	sales = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return sales;
}

/* See profile.h. */
bool
profile_fit_due(TimestampTz as_of)
{
	profile_population();
	if (current.class_model_id == 0 || as_of >= fitted_as_of + USECS_PER_DAY)
		return true;
	if (orders_seen < GROWTH_LOOK_EVERY)
		return false;
	orders_seen = 0;
	return population_count_sales() > fitted_sales + fitted_sales / 10;
}
