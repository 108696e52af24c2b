/*
 * repurchase_scores.c
 *		agentcrm.repurchase_scores(as_of, days): all clients with orders in one
 *		scan, for reports over the whole base.
 *
 * What p_alive and its like say of one client; a client whose profile holds
 * something after as_of is folded again up to it.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "profile/assess.h"
#include "profile/fold.h"
#include "profile/population.h"
#include "profile/rows.h"
#include "store.h"

#define SCORE_COLUMNS 4
#define CLIENTS_PER_FOLD 1000

typedef struct Scorer
{
	ReturnSetInfo *result;
	const Population *population;
	RepurchaseTable *tables;	/* one for each generation */
	Store	   *clients;		/* where segments have models of their own, else NULL */
	TimestampTz as_of;
	TimestampTz stored;			/* profiles that know no more are as they were at as_of */
	DateADT		today;
	double		days;			/* on the firm's clock, as all that follows */
	int			n_later;
	int			max_later;
	int64	   *later;			/* clients to be folded again */
} Scorer;

/* The generation for a client. */
static const Repurchase *
generation_of(const Scorer *scorer, int64 client_id)
{
	const Repurchase *found = scorer->population->n_repurchase > 0 ? &scorer->population->repurchase[0] : NULL;
	Datum		key = Int64GetDatum(client_id);
	StoreScan  *scan;
	HeapTuple	row;

	if (scorer->clients == NULL)
		return found;
	scan = store_scan(scorer->clients, "client_pkey", 1, &key);
	row = store_next(scan);
	if (row)
	{
		TupleDesc	desc = store_desc(scorer->clients);
		bool		no_channel;
		bool		no_territory;
		Datum		channel = heap_getattr(row, 7, desc, &no_channel);
		Datum		territory = heap_getattr(row, 8, desc, &no_territory);

		found = population_repurchase(scorer->population, no_channel ? NULL : TextDatumGetCString(channel),
									  no_territory ? NULL : TextDatumGetCString(territory));
	}
	store_scan_end(scan);
	return found;
}

static void
put_score(Scorer *scorer, int64 client_id, const GapStats *gaps, double waited)
{
	const Repurchase *repurchase = generation_of(scorer, client_id);
	Datum		values[SCORE_COLUMNS] = {Int64GetDatum(client_id)};
	bool		isnull[SCORE_COLUMNS] = {false};

	if (repurchase)
	{
		BuyerStats	buyer = outlook_buyer(gaps, waited);
		RepurchaseScore score;

		(void) repurchase_score_by_table(&scorer->tables[repurchase - scorer->population->repurchase], &buyer, scorer->days, &score);
		values[1] = Float8GetDatum(score.alive);
		values[2] = Float8GetDatum(calibration_apply(&repurchase->calibration, score.active));
		values[3] = Float8GetDatum(score.expected);
	}
	else
	{
		Outlook		outlook = {.prior = &scorer->population->gap, .gaps = *gaps, .elapsed = waited};

		values[1] = Float8GetDatum(outlook_alive(&outlook));
		values[2] = Float8GetDatum(outlook_order_within(&outlook, scorer->days));
		values[3] = Float8GetDatum(outlook_orders(&outlook, scorer->days));
	}
	tuplestore_putvalues(scorer->result->setResult, scorer->result->setDesc, values, isnull);
}

static void
score_profile(Scorer *scorer, const ClientProfile *profile)
{
	Outlook		outlook = outlook_of(profile, scorer->population, NULL, scorer->today);

	put_score(scorer, profile->client_id, &outlook.gaps, outlook_waited(&outlook));
}

/* Where the calendar is flat a few columns tell all. */
static void
score_row(Scorer *scorer, TupleTableSlot *slot, TupleDesc desc)
{
	const Datum *values = slot->tts_values;
	int64		client_id;
	GapStats	gaps;
	ClientProfile profile;
	bool		free_row;

	slot_getsomeattrs(slot, P_FOLD_AT + 1);
	client_id = DatumGetInt64(values[P_CLIENT_ID]);
	if (DatumGetInt32(values[P_N_ORDERS]) == 0)
		return;
	if (DatumGetTimestampTz(values[P_FOLD_AT]) > scorer->stored)
	{
		if (scorer->n_later == scorer->max_later)
			scorer->later = repalloc_huge(scorer->later, (Size) (scorer->max_later *= 2) * sizeof(int64));
		scorer->later[scorer->n_later++] = client_id;
		return;
	}
	if (scorer->population->season.fitted)
	{
		profile_from_row(ExecFetchSlotHeapTuple(slot, false, &free_row), desc, &profile);
		score_profile(scorer, &profile);
		return;
	}
	gaps = (GapStats) {
		.n = DatumGetInt32(values[P_N_GAPS]), .sum = DatumGetInt32(values[P_GAP_SUM]), .sum_log = DatumGetFloat8(values[P_GAP_SUM_LOG])
	};
	put_score(scorer, client_id, &gaps, Max(scorer->today - DatumGetDateADT(values[P_LAST_ORDER_ON]), 0));
}

static void
scan_profiles(Scorer *scorer)
{
	Store	   *store = store_open("client_profile", AccessShareLock);
	Relation	rel = store_relation(store);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm scores", ALLOCSET_DEFAULT_SIZES);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);

		score_row(scorer, slot, store_desc(store));
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	store_close(store);
	MemoryContextDelete(row_cxt);
}

static void
score_fold(Fold *fold, bool has_lines, void *arg)
{
	if (fold->profile.n_orders > 0)
		score_profile(arg, &fold->profile);
}

static int
compare_ids(const void *a, const void *b)
{
	int64		l = *(const int64 *) a;
	int64		r = *(const int64 *) b;

	return l < r ? -1 : l > r;
}

static void
fold_later(Scorer *scorer)
{
	Fold	   *fold = fold_create(NULL, NULL, NULL);
	LedgerView	view = population_view(scorer->as_of);

	qsort(scorer->later, scorer->n_later, sizeof(int64), compare_ids);
	for (int i = 0; i < scorer->n_later; i += CLIENTS_PER_FOLD)
		fold_clients(fold, scorer->later + i, Min(CLIENTS_PER_FOLD, scorer->n_later - i), &view, score_fold, scorer);
	MemoryContextDelete(fold->cxt);
}

PG_FUNCTION_INFO_V1(agentcrm_repurchase_scores);

/* agentcrm.repurchase_scores(as_of timestamptz, days float8) RETURNS TABLE (client_id, p_alive, p_order, expected_orders) */
Datum
agentcrm_repurchase_scores(PG_FUNCTION_ARGS)
{
	Scorer		scorer = {.result = (ReturnSetInfo *) fcinfo->resultinfo, .max_later = 1024};
	LedgerView	view;

	agentcrm_check_argument(fcinfo, 0, "as_of");
	agentcrm_check_argument(fcinfo, 1, "days");
	scorer.as_of = PG_GETARG_TIMESTAMPTZ(0);
	scorer.days = PG_GETARG_FLOAT8(1);
	view = population_view(scorer.as_of);
	scorer.stored = view.known_at == DT_NOEND ? view.as_of : DT_NOBEGIN;
	if (TIMESTAMP_NOT_FINITE(scorer.as_of) || !(scorer.days >= 0 && isfinite(scorer.days)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of and days must be finite, and days not negative")));
	InitMaterializedSRF(fcinfo, 0);
	scorer.today = period_day(scorer.as_of);
	scorer.population = profile_population();
	scorer.days = outlook_clock(&scorer.population->season, scorer.today, scorer.days);
	scorer.later = palloc(scorer.max_later * sizeof(int64));
	scorer.tables = palloc_extended(Max(scorer.population->n_repurchase, 1) * sizeof(RepurchaseTable), MCXT_ALLOC_HUGE);
	for (int i = 0; i < scorer.population->n_repurchase; i++)
		(void) repurchase_table(&scorer.population->repurchase[i].model, &scorer.tables[i]);
	if (scorer.population->n_repurchase > 1)
		scorer.clients = store_open("client", AccessShareLock);
	scan_profiles(&scorer);
	fold_later(&scorer);
	if (scorer.clients)
		store_close(scorer.clients);
	return (Datum) 0;
}
