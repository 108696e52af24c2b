/*
 * fit_inclusion.c
 *		A new generation of kind inclusion: how pairs of client and product stay
 *		alive in the client's orders, and each product's own rate.
 *
 * Reads the products of the sampled clients in order of their hash.  Pairs are
 * grouped by their statistics in a table of bounded size; once it is full, the
 * clients read so far are the sample of the fit, and the rest count for the
 * products' rates only.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "executor/spi.h"

#include "profile/fit.h"
#include "profile/fold_at.h"
#include "profile/population.h"

#define MOST_GROUPS 20000

/* A product's rate: orders after a client's first with it, and those of them that held it. */
typedef struct ProductRate
{
	int64		product_id;
	int64		repeats;
	int64		orders;
} ProductRate;

typedef struct Pairs
{
	HTAB	   *groups;			/* of PairGroup, by PairStats */
	bool		full;
	int			clients;		/* behind the groups */
	HTAB	   *products;		/* of ProductRate */
	int64		repeats;
	int64		orders;
} Pairs;

static void
add_pair(Pairs *pairs, const PairStats *pair)
{
	bool		found;
	PairGroup  *group = hash_search(pairs->groups, pair, HASH_ENTER, &found);

	if (!found)
		group->n_pairs = 0;
	group->n_pairs++;
}

static void
add_rate(Pairs *pairs, int64 product_id, const PairStats *pair)
{
	bool		found;
	ProductRate *rate = hash_search(pairs->products, &product_id, HASH_ENTER, &found);

	if (!found)
		rate->repeats = rate->orders = 0;
	rate->repeats += pair->x;
	rate->orders += pair->n;
	pairs->repeats += pair->x;
	pairs->orders += pair->n;
}

static void
add_client(Pairs *pairs, const ClientProfile *profile, const ClientProduct *products, int n)
{
	for (int i = 0; i < n; i++)
	{
		PairStats	pair = profile_pair(profile, &products[i]);

		if (pair.n == 0)
			continue;
		add_rate(pairs, products[i].product_id, &pair);
		if (!pairs->full)
			add_pair(pairs, &pair);
	}
	pairs->clients += !pairs->full;
	if (hash_get_num_entries(pairs->groups) >= MOST_GROUPS)
		pairs->full = true;
}

static HTAB *
make_table(const char *name, Size key, Size entry)
{
	HASHCTL		ctl = {.keysize = key, .entrysize = entry, .hcxt = CurrentMemoryContext};

	return hash_create(name, 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
read_pairs(Pairs *pairs, const ClientSample *sample, TimestampTz as_of)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm pairs", ALLOCSET_DEFAULT_SIZES);
	FoldReader	reader;

	fold_at_begin(&reader);
	for (int i = 0; i < sample->n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);
		ClientProfile profile;
		ClientProduct *products;
		int			n = fold_at(&reader, sample->clients[i].client_id, as_of, &profile, &products);

		MemoryContextSwitchTo(old);
		add_client(pairs, &profile, products, n);
		MemoryContextReset(cxt);
		CHECK_FOR_INTERRUPTS();
	}
	fold_at_end(&reader);
	MemoryContextDelete(cxt);
}

static int
compare_groups(const void *a, const void *b)
{
	return memcmp(&((const PairGroup *) a)->pair, &((const PairGroup *) b)->pair, sizeof(PairStats));
}

/* The groups in one order, so that equal data give equal sums. */
static PairGroup *
list_groups(const Pairs *pairs, int *n)
{
	PairGroup  *groups = palloc(Max(hash_get_num_entries(pairs->groups), 1) * sizeof(PairGroup));
	HASH_SEQ_STATUS seq;
	PairGroup  *group;

	*n = 0;
	hash_seq_init(&seq, pairs->groups);
	while ((group = hash_seq_search(&seq)) != NULL)
		groups[(*n)++] = *group;
	qsort(groups, *n, sizeof(PairGroup), compare_groups);
	return groups;
}

static int
compare_rates(const void *a, const void *b)
{
	const ProductRate *l = a;
	const ProductRate *r = b;

	return l->product_id < r->product_id ? -1 : l->product_id > r->product_id;
}

/* The products' rates go to the past that is being gathered. */
static void
take_rates(const Pairs *pairs)
{
	HASH_SEQ_STATUS seq;
	ProductRate *rate;

	hash_seq_init(&seq, pairs->products);
	while ((rate = hash_seq_search(&seq)) != NULL)
		population_take_rate(rate->product_id, rate->repeats, rate->orders);
}

/* The products' rates of this generation, in place of those of others, which are not read any more. */
static void
write_rates(const Pairs *pairs, int64 model_id)
{
	Store	   *store;
	int			n = 0;
	ProductRate *rates = palloc_extended(Max(hash_get_num_entries(pairs->products), 1) * sizeof(ProductRate), MCXT_ALLOC_HUGE);
	HASH_SEQ_STATUS seq;
	ProductRate *rate;

	if (population_gathering())
	{
		take_rates(pairs);
		return;
	}
	if (SPI_execute("DELETE FROM agentcrm.product_inclusion", false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not delete old rates of products");
	hash_seq_init(&seq, pairs->products);
	while ((rate = hash_seq_search(&seq)) != NULL)
		rates[n++] = *rate;
	qsort(rates, n, sizeof(ProductRate), compare_rates);
	store = store_open("product_inclusion", RowExclusiveLock);
	for (int i = 0; i < n; i++)
	{
		Datum		values[4] = {
			Int64GetDatum(model_id), Int64GetDatum(rates[i].product_id), Int64GetDatum(rates[i].repeats), Int64GetDatum(rates[i].orders)
		};
		bool		isnull[4] = {false};

		store_insert(store, values, isnull);
	}
	store_close(store);
	pfree(rates);
}

static char *
params_of(const Pairs *pairs, const InclusionFit *fit, bool fitted, int n_groups)
{
	StringInfoData json;

	initStringInfo(&json);
	fit_append_number(&json, "{\"a\": ", fit->model.a);
	fit_append_number(&json, ", \"b\": ", fit->model.b);
	fit_append_number(&json, ", \"c\": ", fit->model.c);
	fit_append_number(&json, ", \"d\": ", fit->model.d);
	fit_append_number(&json, ", \"rate\": ", pairs->orders > 0 ? (double) pairs->repeats / pairs->orders : 0);
	fit_append_number(&json, ", \"clients\": ", pairs->clients);
	fit_append_number(&json, ", \"groups\": ", n_groups);
	fit_append_number(&json, ", \"left_out\": ", fit->n_invalid);
	fit_append_number(&json, ", \"evaluations\": ", fit->evaluations);
	fit_append_number(&json, ", \"converged\": ", fit->converged);
	fit_append_number(&json, ", \"fitted\": ", fitted);
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
begin_pairs(Pairs *pairs)
{
	pairs->groups = make_table("agentcrm pair groups", sizeof(PairStats), sizeof(PairGroup));
	pairs->products = make_table("agentcrm product rates", sizeof(int64), sizeof(ProductRate));
}

static void
end_pairs(Pairs *pairs)
{
	hash_destroy(pairs->products);
	hash_destroy(pairs->groups);
}

/* See fit.h. */
void
fit_count_rates(const ClientSample *sample, const LedgerView *view)
{
	Pairs		pairs = {.full = true};
	LedgerView	before = *population_past_view();

	begin_pairs(&pairs);
	profile_move_past(view);
	read_pairs(&pairs, sample, view->as_of);
	profile_move_past(&before);
	take_rates(&pairs);
	end_pairs(&pairs);
}

/* What the window's orders add to a pair's ln likelihood. */
static bool
pair_loss(const FitWindow *window, int i, const void *model, double *loss)
{
	const PairCase *c = &window->pairs[i];

	if (c->now.n == c->then.n)
		return false;
	*loss = inclusion_log_likelihood(model, &c->then) - inclusion_log_likelihood(model, &c->now);
	return true;
}

/* To what was known when the window began. */
static bool
fit_before(const FitWindow *window, const InclusionModel *start, InclusionWorkspace *workspace, InclusionFit *fit)
{
	Pairs		pairs = {0};
	PairGroup  *groups;
	int			n;
	bool		fitted;

	begin_pairs(&pairs);
	for (int i = 0; i < window->n_pairs; i++)
		if (window->pairs[i].then.n > 0)
			add_pair(&pairs, &window->pairs[i].then);
	groups = list_groups(&pairs, &n);
	fitted = inclusion_fit(groups, n, start, workspace, fit_check_interrupts, fit);
	pfree(groups);
	end_pairs(&pairs);
	return fitted;
}

void
fit_inclusion(const ClientSample *sample, const Population *before, const FitWindow *window, TimestampTz as_of)
{
	Pairs		pairs = {0};
	InclusionWorkspace *workspace = palloc(sizeof(InclusionWorkspace));
	const InclusionModel *standing = before->inclusion_fitted ? &before->inclusion : NULL;
	FitTrial	trial = {.n = window ? window->n_pairs : 0, .loss = pair_loss, .standing = standing};
	InclusionFit fit;
	InclusionFit then;
	PairGroup  *groups;
	int64		model_id;
	int			n_groups;
	bool		fitted;

	begin_pairs(&pairs);
	read_pairs(&pairs, sample, as_of);
	groups = list_groups(&pairs, &n_groups);
	fitted = inclusion_fit(groups, n_groups, standing, workspace, fit_check_interrupts, &fit);
	trial.made = fitted ? &fit.model : NULL;
	if (fitted && window && fit_before(window, &fit.model, workspace, &then))
		trial.before = &then.model;
	model_id = fit_write_judged("inclusion", params_of(&pairs, &fit, fitted, n_groups), (int64) fit.n,
								fitted ? fit.log_likelihood : NAN, as_of, &trial, window);
	if (model_id != 0)
		write_rates(&pairs, model_id);
	pfree(groups);
	pfree(workspace);
	end_pairs(&pairs);
}
