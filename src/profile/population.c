/*
 * population.c
 *		The generations in use and facts of products, kept in the backend.
 *
 * Generations are looked up once per transaction and read again when their ids
 * changed; product attributes are kept for a transaction, shares and rates as
 * long as their generation.  Writes nothing.
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

/* Generations of the repurchase model in use: of all clients, and of segments. */
#define MAX_REPURCHASE (1 + 2 * REPURCHASE_SEGMENTS)

typedef struct ShareEntry
{
	int64		product_id;
	double		share;
} ShareEntry;

typedef struct RateEntry
{
	int64		product_id;
	double		repeats;
	double		orders;
} RateEntry;

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
static MemoryContext repurchase_cxt;	/* holds current.repurchase */
static HTAB *shares;			/* of generation current.popularity_model_id */
static HTAB *rates;				/* of generation current.inclusion_model_id */
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

/* A number of a json object, or of an array in it (index >= 0); false when it is not there. */
bool
population_number(Jsonb *params, const char *name, int index, double *number)
{
	JsonbValue	value;
	JsonbValue *found = JB_ROOT_IS_OBJECT(params) ?
		getKeyJsonValueFromContainer(&params->root, name, strlen(name), &value) : NULL;

	if (found && index >= 0)
		found = found->type == jbvBinary && JsonContainerIsArray(found->val.binary.data) ?
			getIthJsonbValueFromContainer(found->val.binary.data, index) : NULL;
	if (found == NULL || found->type != jbvNumeric)
		return false;
	*number = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(found->val.numeric)));
	return true;
}

static double
param(Jsonb *params, const char *name, int index)
{
	double		number;

	if (!population_number(params, name, index, &number))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of agentcrm.model lacks parameter \"%s\"", name),
				 errhint("Call agentcrm.fit() for new generations.")));
	return number;
}

static void
read_gap(Jsonb *params)
{
	current.gap.k = param(params, "k", -1);
	current.gap.r = param(params, "r", -1);
	current.gap.alpha = param(params, "alpha", -1);
	current.gap.n_clients = param(params, "clients", -1);
	current.gap_fitted = param(params, "fitted", -1) != 0;
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

/* Where no generation is current, none serves: that in use may have known more than is asked. */
static void
forget_spend_and_inclusion(bool spend_found, bool inclusion_found)
{
	if (!spend_found)
	{
		current.spend_model_id = 0;
		current.spend_fitted = false;
	}
	if (!inclusion_found)
	{
		current.inclusion_model_id = 0;
		current.inclusion_fitted = false;
	}
}

static void
take_spend(int64 model_id, Jsonb *params)
{
	if (model_id == current.spend_model_id)
		return;
	current.spend.p = param(params, "p", -1);
	current.spend.q = param(params, "q", -1);
	current.spend.gamma = param(params, "gamma", -1);
	current.spend_fitted = param(params, "fitted", -1) != 0 && spend_model_valid(&current.spend);
	current.spend_model_id = model_id;
}

static void
read_rates(int64 model_id)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(RateEntry)};
	Store	   *store = store_open("product_inclusion", AccessShareLock);
	Datum		key = Int64GetDatum(model_id);
	StoreScan  *scan = store_scan(store, "product_inclusion_pkey", 1, &key);
	TupleDesc	desc = store_desc(store);
	HeapTuple	row;
	bool		isnull;

	if (rates)
		hash_destroy(rates);
	rates = hash_create("agentcrm product rates", 1024, &ctl, HASH_ELEM | HASH_BLOBS);
	while ((row = store_next(scan)) != NULL)
	{
		int64		product_id = DatumGetInt64(heap_getattr(row, 2, desc, &isnull));
		RateEntry  *entry = hash_search(rates, &product_id, HASH_ENTER, NULL);

		entry->repeats = (double) DatumGetInt64(heap_getattr(row, 3, desc, &isnull));
		entry->orders = (double) DatumGetInt64(heap_getattr(row, 4, desc, &isnull));
	}
	store_scan_end(scan);
	store_close(store);
}

static void
take_inclusion(int64 model_id, Jsonb *params)
{
	if (model_id == current.inclusion_model_id)
		return;
	current.inclusion.a = param(params, "a", -1);
	current.inclusion.b = param(params, "b", -1);
	current.inclusion.c = param(params, "c", -1);
	current.inclusion.d = param(params, "d", -1);
	current.inclusion_rate = param(params, "rate", -1);
	current.inclusion_fitted = param(params, "fitted", -1) != 0 && inclusion_model_valid(&current.inclusion);
	read_rates(model_id);
	current.inclusion_model_id = model_id;
}

/* A generation of the repurchase model from its row; false when the row makes no sense. */
static bool
read_repurchase(Repurchase *repurchase, int64 model_id, const char *segment, Jsonb *params)
{
	memset(repurchase, 0, sizeof(Repurchase));
	if (strlen(segment) >= sizeof(repurchase->segment) ||
		!repurchase_from_json(params, &repurchase->model, &repurchase->calibration) ||
		!population_number(params, "value_class", 0, &repurchase->value_a) ||
		!population_number(params, "value_class", 1, &repurchase->value_b))
		return false;
	repurchase->model_id = model_id;
	strcpy(repurchase->segment, segment);
	return true;
}

/*
 * Take up the current generations of the repurchase model, unless they are
 * those that are here already: snapshots point to them.
 */
static void
take_repurchase(const Repurchase *found, int n)
{
	bool		same = n == current.n_repurchase;

	for (int i = 0; i < n && same; i++)
		same = found[i].model_id == current.repurchase[i].model_id;
	if (same)
		return;
	if (repurchase_cxt)
		MemoryContextDelete(repurchase_cxt);
	repurchase_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm repurchase models", ALLOCSET_SMALL_SIZES);
	current.repurchase = memcpy(MemoryContextAlloc(repurchase_cxt, Max(n, 1) * sizeof(Repurchase)), found, n * sizeof(Repurchase));
	current.n_repurchase = n;
}

/* That of all clients comes first: without it none counts. */
static void
add_repurchase(Repurchase *found, int *n, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Repurchase	next;

	if (*n == MAX_REPURCHASE ||
		!read_repurchase(&next, DatumGetInt64(heap_getattr(row, 1, desc, &isnull)),
						 TextDatumGetCString(heap_getattr(row, 3, desc, &isnull)),
						 DatumGetJsonbP(heap_getattr(row, 4, desc, &isnull))))
		return;
	found[(*n)++] = next;
	if (strcmp(next.segment, "*") == 0)
	{
		found[*n - 1] = found[0];
		found[0] = next;
	}
}

/* See profile.h. */
const Repurchase *
population_repurchase(const Population *population, const char *channel, const char *territory)
{
	const char *names[2] = {channel, territory};
	const char *const kinds[2] = {REPURCHASE_CHANNEL, REPURCHASE_TERRITORY};

	if (population->n_repurchase == 0)
		return NULL;
	for (int k = 0; k < 2; k++)
		for (int i = 1; names[k] != NULL && i < population->n_repurchase; i++)
		{
			const char *segment = population->repurchase[i].segment;

			if (strncmp(segment, kinds[k], strlen(kinds[k])) == 0 && strcmp(segment + strlen(kinds[k]), names[k]) == 0)
				return &population->repurchase[i];
		}
	return &population->repurchase[0];
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
	else if (strcmp(kind, "spend") == 0)
		take_spend(model_id, params);
	else if (strcmp(kind, "inclusion") == 0)
		take_inclusion(model_id, params);
}

static void
read_generations(void)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "agentcrm model", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	Store	   *store = store_open("model", AccessShareLock);
	StoreScan  *scan = store_scan(store, "model_kind_segment_idx", 0, NULL);
	HeapTuple	row = store_next(scan);
	Repurchase *found = palloc(MAX_REPURCHASE * sizeof(Repurchase));
	int			n_found = 0;
	bool		spend = false;
	bool		inclusion = false;
	bool		isnull;

	if (row == NULL || RelationGetRelid(store_relation(store)) != model_relid)
	{
		memset(&current, 0, sizeof(current));
		current.gap = weak_gap_prior;
		fitted_as_of = DT_NOBEGIN;
		model_relid = RelationGetRelid(store_relation(store));
	}
	for (; row != NULL; row = store_next(scan))
	{
		const char *kind = TextDatumGetCString(heap_getattr(row, 2, store_desc(store), &isnull));

		spend = spend || strcmp(kind, "spend") == 0;
		inclusion = inclusion || strcmp(kind, "inclusion") == 0;
		if (strcmp(kind, "repurchase") == 0)
			add_repurchase(found, &n_found, row, store_desc(store));
		else
			read_generation(row, store_desc(store));
	}
	forget_spend_and_inclusion(spend, inclusion);
	take_repurchase(found, n_found > 0 && strcmp(found[0].segment, "*") == 0 ? n_found : 0);
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
	RateEntry  *rate = rates ? hash_search(rates, &product_id, HASH_FIND, NULL) : NULL;

	memset(info, 0, sizeof(ProductInfo));
	info->product_id = product_id;
	info->share = share && current.popularity_model_id != 0 ? share->share : 0;
	info->inclusion = rate && current.inclusion_model_id != 0 ?
		inclusion_tilt(&current.inclusion, current.inclusion_rate, rate->repeats, rate->orders) : current.inclusion;
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
