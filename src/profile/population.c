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
static TimestampTz fitted_as_of = DT_NOBEGIN;	/* the oldest in use of those that every fit renews */
static int64 fitted_sales;		/* order x product pairs at the last fit */
static Oid	model_relid = InvalidOid;	/* numbers of generations begin anew with each CREATE EXTENSION */
static MemoryContext repurchase_cxt;	/* holds current.repurchase */
static HTAB *shares;			/* of generation current.popularity_model_id */
static HTAB *rates;				/* of generation current.inclusion_model_id */
static MemoryContext product_cxt;	/* this transaction's products */
static HTAB *products;
static int	orders_seen = INT_MAX / 2;	/* the first look is at once */
static bool callbacks_registered;

/* The generations of another time, put in place of the current ones while a past is on. */
struct PastPopulation
{
	MemoryContext cxt;			/* holds all of it */
	Population	population;
	HTAB	   *shares;
	HTAB	   *rates;
	TimestampTz fitted_as_of;
	int64		fitted_sales;
};

static bool in_past;
static MemoryContext gathering; /* of the past whose generations are being gathered */
static Repurchase *past_repurchase;	/* of these */
static int	past_n_repurchase;
static LedgerView past_view;
static PastPopulation present;	/* what is current, while a past is on */

static void
drop_products(void)
{
	if (product_cxt)
		MemoryContextDelete(product_cxt);
	product_cxt = NULL;
	products = NULL;
}

/* Read products again, with the shares and rates in use; those given out stay until the transaction's end. */
static void
forget_products(void)
{
	products = NULL;
}

static void
forget_transaction(void)
{
	current_checked = false;
	profile_leave_past();
	drop_products();
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
	/* generations of before have no shapes: one for all clients */
	for (int c = 0; c < GAP_SHAPES; c++)
		if (!population_number(params, "shape", c, &current.gap.shape_weight[c]))
			current.gap.shape_weight[c] = 0;
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

/* Tables of the present outlive the transaction. */
static MemoryContext
table_context(void)
{
	return gathering ? gathering : TopMemoryContext;
}

static void
renew_shares(void)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(ShareEntry), .hcxt = table_context()};

	if (shares)
		hash_destroy(shares);
	shares = NULL;
	shares = hash_create("agentcrm popularity", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The share of a product in the generation being read. */
void
population_take_share(int64 product_id, double share)
{
	((ShareEntry *) hash_search(shares, &product_id, HASH_ENTER, NULL))->share = share;
}

static void
read_shares(int64 model_id)
{
	Store	   *store = store_open("product_popularity", AccessShareLock);
	Datum		key = Int64GetDatum(model_id);
	StoreScan  *scan = store_scan(store, "product_popularity_pkey", 1, &key);
	TupleDesc	desc = store_desc(store);
	HeapTuple	row;
	bool		isnull;

	renew_shares();
	while ((row = store_next(scan)) != NULL)
		population_take_share(DatumGetInt64(heap_getattr(row, 2, desc, &isnull)),
							  DatumGetFloat8(heap_getattr(row, 3, desc, &isnull)));
	store_scan_end(scan);
	store_close(store);
}

static void
renew_rates(void)
{
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(RateEntry), .hcxt = table_context()};

	if (rates)
		hash_destroy(rates);
	rates = NULL;
	rates = hash_create("agentcrm product rates", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* How often a product was bought again, in the generation being read. */
void
population_take_rate(int64 product_id, int64 repeats, int64 orders)
{
	RateEntry  *entry = hash_search(rates, &product_id, HASH_ENTER, NULL);

	entry->repeats = (double) repeats;
	entry->orders = (double) orders;
}

static void
read_rates(int64 model_id)
{
	Store	   *store = store_open("product_inclusion", AccessShareLock);
	Datum		key = Int64GetDatum(model_id);
	StoreScan  *scan = store_scan(store, "product_inclusion_pkey", 1, &key);
	TupleDesc	desc = store_desc(store);
	HeapTuple	row;
	bool		isnull;

	renew_rates();
	while ((row = store_next(scan)) != NULL)
		population_take_rate(DatumGetInt64(heap_getattr(row, 2, desc, &isnull)),
							 DatumGetInt64(heap_getattr(row, 3, desc, &isnull)),
							 DatumGetInt64(heap_getattr(row, 4, desc, &isnull)));
	store_scan_end(scan);
	store_close(store);
}

/*
 * Shares and rates of products are stored of the current generations alone.
 * Those of an older one are counted again from the ledger as it was known when
 * that was fitted: by the fit's own code they are the same to the bit.  Those of
 * a fit for a replay follow from it (population_take_share).
 */
static void
take_products(const Generation *generation, void (*renew) (void), void (*read) (int64), HTAB **table,
			  void (*count) (const LedgerView *))
{
	LedgerView	then = {generation->as_of, generation->fitted_at};

	if (generation->model_id == REPLAY_MODEL_ID)
	{
		renew();
		return;
	}
	read(generation->model_id);
	if (in_past && hash_get_num_entries(*table) == 0)
		count(&then);
}

/* Where no generation is current, none serves: that in use may have known more than is asked. */
static void
forget_missing(bool gap_found, bool season_found, bool spend_found, bool inclusion_found)
{
	if (!gap_found)
	{
		current.gap_model_id = 0;
		current.gap = weak_gap_prior;
		current.gap_fitted = false;
	}
	if (!season_found)
	{
		current.season_model_id = 0;
		current.season_as_of = DT_NOBEGIN;
		memset(&current.season, 0, sizeof(Season));
	}
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
	current.spend_model_id = 0;
	current.spend.p = param(params, "p", -1);
	current.spend.q = param(params, "q", -1);
	current.spend.gamma = param(params, "gamma", -1);
	current.spend_fitted = param(params, "fitted", -1) != 0 && spend_model_valid(&current.spend);
	current.spend_model_id = model_id;
}

static void
take_inclusion(const Generation *generation)
{
	Jsonb	   *params = generation->params;

	if (generation->model_id == current.inclusion_model_id)
		return;
	current.inclusion_model_id = 0;
	current.inclusion.a = param(params, "a", -1);
	current.inclusion.b = param(params, "b", -1);
	current.inclusion.c = param(params, "c", -1);
	current.inclusion.d = param(params, "d", -1);
	current.inclusion_rate = param(params, "rate", -1);
	current.inclusion_fitted = param(params, "fitted", -1) != 0 && inclusion_model_valid(&current.inclusion);
	take_products(generation, renew_rates, read_rates, &rates, fit_take_rates);
	current.inclusion_model_id = generation->model_id;
}

/* A generation of the repurchase model from its row; false when the row makes no sense. */
static bool
read_repurchase(Repurchase *repurchase, int64 model_id, const char *segment, Jsonb *params)
{
	if (strlen(segment) >= sizeof(repurchase->segment) ||
		!repurchase_from_json(params, repurchase) ||
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
put_repurchase(const Repurchase *found, int n)
{
	bool		same = n == current.n_repurchase;

	for (int i = 0; i < n && same; i++)
		same = found[i].model_id == current.repurchase[i].model_id;
	if (same)
		return;
	current.n_repurchase = 0;
	if (repurchase_cxt)
		MemoryContextDelete(repurchase_cxt);
	repurchase_cxt = NULL;
	repurchase_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm repurchase models", ALLOCSET_SMALL_SIZES);
	current.repurchase = memcpy(MemoryContextAlloc(repurchase_cxt, Max(n, 1) * sizeof(Repurchase)), found, n * sizeof(Repurchase));
	current.n_repurchase = n;
}

/* That of all clients comes first: without it none counts. */
static void
add_repurchase(Repurchase *found, int *n, const Generation *generation)
{
	Repurchase	next;

	if (*n == MAX_REPURCHASE ||
		!read_repurchase(&next, generation->model_id, generation->segment, generation->params))
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

/*
 * Take up a generation, if it is another one than before; those of the
 * repurchase model only where a past is gathered.  Its number comes last: what an
 * error leaves half read is read again.
 */
void
population_take(const Generation *generation)
{
	const char *kind = generation->kind;
	int64		model_id = generation->model_id;

	if (strcmp(kind, "repurchase") == 0)
		add_repurchase(past_repurchase, &past_n_repurchase, generation);
	else if (strcmp(generation->segment, "*") != 0)
		return;
	else if (strcmp(kind, "gap") == 0 && model_id != current.gap_model_id)
	{
		current.gap_model_id = 0;
		read_gap(generation->params);
		current.gap_model_id = model_id;
	}
	else if (strcmp(kind, "season") == 0 && model_id != current.season_model_id)
	{
		current.season_model_id = 0;
		read_season(generation->params);
		current.season_as_of = generation->as_of;
		current.season_model_id = model_id;
	}
	else if (strcmp(kind, "class") == 0 && model_id != current.class_model_id)
	{
		current.class_model_id = 0;
		read_class(generation->params);
		current.class_model_id = model_id;
	}
	else if (strcmp(kind, "popularity") == 0 && model_id != current.popularity_model_id)
	{
		current.popularity_model_id = 0;
		take_products(generation, renew_shares, read_shares, &shares, fit_take_shares);
		fitted_sales = generation->n;
		current.popularity_model_id = model_id;
	}
	else if (strcmp(kind, "spend") == 0)
		take_spend(model_id, generation->params);
	else if (strcmp(kind, "inclusion") == 0)
		take_inclusion(generation);
	else if (strcmp(kind, "effect") == 0)
		current.effect_model_id = model_id;
	else if (strcmp(kind, "trust") == 0)
		current.trust_model_id = model_id;
}

/* A row of agentcrm.model. */
static Generation
read_generation(HeapTuple row, TupleDesc desc)
{
	bool		isnull;

	return (Generation)
	{
		.model_id = DatumGetInt64(heap_getattr(row, 1, desc, &isnull)),
		.kind = TextDatumGetCString(heap_getattr(row, 2, desc, &isnull)),
		.segment = TextDatumGetCString(heap_getattr(row, 3, desc, &isnull)),
		.params = DatumGetJsonbPCopy(heap_getattr(row, 4, desc, &isnull)),
		.n = DatumGetInt64(heap_getattr(row, 5, desc, &isnull)),
		.as_of = DatumGetTimestampTz(heap_getattr(row, 8, desc, &isnull)),
		.fitted_at = DatumGetTimestampTz(heap_getattr(row, 9, desc, &isnull))
	};
}

/* Nothing fitted yet. */
static void
begin_generations(void)
{
	forget_products();
	memset(&current, 0, sizeof(current));
	current.gap = weak_gap_prior;
	current.season_as_of = DT_NOBEGIN;
	fitted_as_of = DT_NOBEGIN;
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
	bool		gap = false;
	bool		season = false;
	bool		spend = false;
	bool		inclusion = false;
	int64		popularity_before;
	int64		inclusion_before;
	TimestampTz oldest = DT_NOEND;

	if (row == NULL || RelationGetRelid(store_relation(store)) != model_relid)
	{
		begin_generations();
		model_relid = RelationGetRelid(store_relation(store));
	}
	current.effect_model_id = current.trust_model_id = 0;
	popularity_before = current.popularity_model_id;
	inclusion_before = current.inclusion_model_id;
	for (; row != NULL; row = store_next(scan))
	{
		Generation	generation = read_generation(row, store_desc(store));

		gap = gap || strcmp(generation.kind, "gap") == 0;
		season = season || strcmp(generation.kind, "season") == 0;
		spend = spend || strcmp(generation.kind, "spend") == 0;
		inclusion = inclusion || strcmp(generation.kind, "inclusion") == 0;
		/* every fit renews these two; the others stay where the new ones are worse */
		if (strcmp(generation.kind, "class") == 0 || strcmp(generation.kind, "popularity") == 0)
			oldest = Min(oldest, generation.as_of);
		if (strcmp(generation.kind, "repurchase") == 0)
			add_repurchase(found, &n_found, &generation);
		else
			population_take(&generation);
	}
	fitted_as_of = oldest == DT_NOEND ? DT_NOBEGIN : oldest;
	forget_missing(gap, season, spend, inclusion);
	if (current.popularity_model_id != popularity_before || current.inclusion_model_id != inclusion_before)
		forget_products();
	put_repurchase(found, n_found > 0 && strcmp(found[0].segment, "*") == 0 ? n_found : 0);
	store_scan_end(scan);
	store_close(store);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}

/* The generations in use; valid for the transaction, or until a past begins or ends. */
const Population *
profile_population(void)
{
	if (!current_checked && !in_past)
	{
		register_callbacks();
		read_generations();
		current_checked = true;
	}
	return &current;
}

/* ---- the past ---- */

static PastPopulation
generations_in_place(void)
{
	return (PastPopulation)
	{
		.population = current, .shares = shares, .rates = rates, .fitted_as_of = fitted_as_of, .fitted_sales = fitted_sales
	};
}

static void
put_in_place(const PastPopulation *generations)
{
	current = generations->population;
	shares = generations->shares;
	rates = generations->rates;
	fitted_as_of = generations->fitted_as_of;
	fitted_sales = generations->fitted_sales;
	drop_products();
}

/* See profile.h. */
void
profile_enter_past(const PastPopulation *past, const LedgerView *view)
{
	if (in_past)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a replay is on in this session"),
				 errhint("An agent must not replay, backtest or fit.")));
	register_callbacks();
	present = generations_in_place();
	in_past = true;
	past_view = *view;
	put_in_place(past);
}

/* See profile.h. */
void
profile_move_past(const LedgerView *view)
{
	Assert(in_past);
	past_view = *view;
}

/* See profile.h; nothing where no past is on. */
void
profile_leave_past(void)
{
	if (!in_past)
		return;
	put_in_place(&present);
	in_past = false;
	current_checked = false;
}

/* What of the ledger may be seen; NULL: all of it, the present is on. */
const LedgerView *
population_past_view(void)
{
	return in_past ? &past_view : NULL;
}

/* See population.h. */
LedgerView
population_view(TimestampTz as_of)
{
	if (!in_past)
		return (LedgerView) {as_of, DT_NOEND};
	return (LedgerView) {Min(as_of, past_view.as_of), past_view.known_at};
}

/* Whether generations are being made for a replay: they are taken up, and nothing is stored. */
bool
population_gathering(void)
{
	return gathering != NULL;
}

/* Those of the repurchase model that were taken up. */
static void
end_repurchase(PastPopulation *past)
{
	if (past_n_repurchase == 0 || strcmp(past_repurchase[0].segment, "*") != 0)
		return;
	past->population.repurchase = past_repurchase;
	past->population.n_repurchase = past_n_repurchase;
}

/* Generations that a source hands to population_take, in the current memory context; meanwhile a view is on. */
PastPopulation *
population_gather(const LedgerView *view, PastSource source, void *arg)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm past population", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	PastPopulation *past = palloc0(sizeof(PastPopulation));

	profile_enter_past(past, view);
	gathering = cxt;
	past_repurchase = palloc(MAX_REPURCHASE * sizeof(Repurchase));
	past_n_repurchase = 0;
	PG_TRY();
	{
		begin_generations();
		source(arg);
		*past = generations_in_place();
		end_repurchase(past);
		past->cxt = cxt;
	}
	PG_FINALLY();
	{
		gathering = NULL;
		profile_leave_past();
		MemoryContextSwitchTo(old);
	}
	PG_END_TRY();
	return past;
}

/* Give back its memory. */
void
profile_free_past(PastPopulation *past)
{
	MemoryContextDelete(past->cxt);
}

/* Rows of agentcrm.model that a query finds. */
typedef struct StoredGenerations
{
	const char *sql;
	Oid			type;
	Datum		value;
} StoredGenerations;

static void
take_stored(void *arg)
{
	StoredGenerations *stored = arg;

	SPI_connect();
	if (SPI_execute_with_args(stored->sql, 1, &stored->type, &stored->value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.model");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Generation	generation = read_generation(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);

		population_take(&generation);
	}
	SPI_finish();
}

/* A step fits when all else in it is done: what it fitted serves the next one. */
PastPopulation *
profile_population_at(TimestampTz at)
{
	StoredGenerations stored = {
		"SELECT DISTINCT ON (kind, segment) * FROM agentcrm.model "
		"WHERE fitted_at OPERATOR(pg_catalog.<) $1 AND (current OR retired_at OPERATOR(pg_catalog.>=) $1) "
		"ORDER BY kind, segment, model_id DESC", TIMESTAMPTZOID, TimestampTzGetDatum(at)
	};

	return population_gather(&ledger_whole, take_stored, &stored);
}

/* See profile.h. */
PastPopulation *
profile_population_of(Jsonb *models)
{
	StoredGenerations stored = {
		"SELECT m.* FROM agentcrm.model m JOIN pg_catalog.jsonb_each_text($1) j "
		"ON j.key OPERATOR(pg_catalog.=) m.kind AND (j.value::int8 OPERATOR(pg_catalog.=) m.model_id"
		/* segments are written after the generation of all clients that they belong to */
		" OR (m.segment OPERATOR(pg_catalog.<>) '*' AND (SELECT pg_catalog.max(a.model_id) FROM agentcrm.model a"
		" WHERE a.kind OPERATOR(pg_catalog.=) m.kind AND a.segment OPERATOR(pg_catalog.=) '*'"
		" AND a.model_id OPERATOR(pg_catalog.<) m.model_id) OPERATOR(pg_catalog.=) j.value::int8))",
		JSONBOID, JsonbPGetDatum(models)
	};

	return population_gather(&ledger_whole, take_stored, &stored);
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

	if (product_cxt == NULL)
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
