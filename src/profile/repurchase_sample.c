/*
 * repurchase_sample.c
 *		The clients from whom the repurchase model is learnt: one scan of
 *		client_profile, and the ledger where a profile knows more than is asked.
 *
 * Nothing after as_of is seen: a client with later documents is folded again
 * up to it.  Above SAMPLE_CLIENTS the clients with the least hashes of their
 * ids are taken, each weighted so that every stratum of repeat orders counts as
 * in the whole; no random number, no order of rows decides.  In a replay not
 * even the number of later clients does: there all are of one stratum.
 */
#include "postgres.h"

#include <math.h>

#include "access/tableam.h"
#include "access/htup_details.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "profile/assess.h"
#include "profile/fold.h"
#include "profile/repurchase_sample.h"
#include "profile/rows.h"

#define SAMPLE_CLIENTS 100000
#define WINDOW_CLIENTS 10000
#define WINDOW_LEAST_DAYS 28
#define WINDOW_MOST_DAYS 90
#define LATER (STRATA - 1)		/* stratum of those whose profile knows more than may be seen, in a replay of all */

typedef struct Draw
{
	BuyerSample *sample;
	int			max;
	uint32		limit;			/* hashes above it are not drawn any more */
	double		totals[STRATA];
} Draw;

/* What decides who is taken. */
typedef struct DrawKey
{
	uint32		hash;
	int64		client_id;
} DrawKey;

static int
compare_keys(const void *a, const void *b)
{
	const DrawKey *l = a;
	const DrawKey *r = b;

	if (l->hash != r->hash)
		return l->hash < r->hash ? -1 : 1;
	return l->client_id < r->client_id ? -1 : l->client_id > r->client_id;
}

static DrawKey
key_of(const Drawn *drawn)
{
	return (DrawKey) {drawn->hash, drawn->client_id};
}

static int
compare_ids(const void *a, const void *b)
{
	const Drawn *l = a;
	const Drawn *r = b;

	return l->client_id < r->client_id ? -1 : l->client_id > r->client_id;
}

static int
stratum_of(int repeat_orders)
{
	int			stratum = 0;

	for (; repeat_orders > 0 && stratum < LATER - 1; repeat_orders /= 2)
		stratum++;
	return stratum;
}

/* The key of which so many are the least; sorts keys, which are small, not clients. */
static DrawKey
least_keys(DrawKey *keys, int n, int nth)
{
	DrawKey		key;

	qsort(keys, n, sizeof(DrawKey), compare_keys);
	key = keys[nth - 1];
	pfree(keys);
	return key;
}

/* Only those with the least hashes stay. */
static void
cut(Draw *draw)
{
	BuyerSample *sample = draw->sample;
	DrawKey    *keys;
	DrawKey		last;
	int			kept = 0;

	if (sample->n <= SAMPLE_CLIENTS)
		return;
	keys = palloc_extended(sample->n * sizeof(DrawKey), MCXT_ALLOC_HUGE);
	for (int i = 0; i < sample->n; i++)
		keys[i] = key_of(&sample->drawn[i]);
	last = least_keys(keys, sample->n, SAMPLE_CLIENTS);
	for (int i = 0; i < sample->n; i++)
	{
		DrawKey		key = key_of(&sample->drawn[i]);

		if (compare_keys(&key, &last) <= 0)
			sample->drawn[kept++] = sample->drawn[i];
	}
	sample->n = kept;
	draw->limit = last.hash;
}

/* A client on a day, on the firm's clock. */
static BuyerStats
buyer_of(const ClientProfile *profile, DateADT today)
{
	Outlook		outlook = outlook_of(profile, profile_population(), NULL, today);

	return outlook_buyer(&outlook.gaps, outlook_waited(&outlook));
}

/* The figures of a client from its fold. */
static void
set_figures(Drawn *drawn, const ClientProfile *profile, DateADT today)
{
	drawn->fold_at = profile->fold_at;
	drawn->first_on = profile->first_order_on;
	drawn->last_on = profile->last_order_on;
	drawn->buyer = buyer_of(profile, today);
	drawn->n_recent = profile->n_recent;
	for (int i = 0; i < profile->n_recent; i++)
		drawn->recent[i] = Min(profile->recent[i], PG_INT16_MAX);
	drawn->order_margin = assess_order_value(profile, profile_population(), today) * profile_margin_share(profile, agentcrm_margin_rate);
}

static void
draw_row(Draw *draw, TupleTableSlot *slot, TupleDesc desc)
{
	BuyerSample *sample = draw->sample;
	const Datum *values = slot->tts_values;
	int64		client_id;
	bool		later;
	int			stratum;
	uint32		hash;
	ClientProfile profile;
	Drawn	   *drawn;
	bool		free_row;

	slot_getsomeattrs(slot, P_FOLD_AT + 1);
	if (DatumGetInt32(values[P_N_ORDERS]) == 0 || DatumGetTimestampTz(values[P_FIRST_ORDER_AT]) > sample->as_of)
		return;
	client_id = DatumGetInt64(values[P_CLIENT_ID]);
	later = DatumGetTimestampTz(values[P_FOLD_AT]) > sample->as_of;
	stratum = later || population_gathering() ? LATER : stratum_of(DatumGetInt32(values[P_N_GAPS]));
	hash = hash_bytes((const unsigned char *) &client_id, sizeof(client_id));
	draw->totals[stratum]++;
	if (hash > draw->limit)
		return;
	if (sample->n == 2 * SAMPLE_CLIENTS)
		cut(draw);
	if (sample->n == draw->max)
	{
		draw->max *= 2;
		sample->drawn = repalloc_huge(sample->drawn, draw->max * sizeof(Drawn));
	}
	drawn = &sample->drawn[sample->n++];
	*drawn = (Drawn) {.client_id = client_id, .hash = hash, .stratum = stratum, .later = later, .channel = -1, .territory = -1};
	if (later)
		return;
	profile_from_row(ExecFetchSlotHeapTuple(slot, false, &free_row), desc, &profile);
	set_figures(drawn, &profile, sample->today);
}

static void
scan_profiles(Draw *draw)
{
	Store	   *store = store_open("client_profile", AccessShareLock);
	Relation	rel = store_relation(store);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm draw", ALLOCSET_DEFAULT_SIZES);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_cxt);

		draw_row(draw, slot, store_desc(store));
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_cxt);
		CHECK_FOR_INTERRUPTS();
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	store_close(store);
	MemoryContextDelete(row_cxt);
}

/* ---- clients folded again ---- */

typedef struct Refolds
{
	const BuyerSample *sample;
	Drawn	  **drawn;			/* parallel to the clients folded */
	WindowClient *clients;		/* the same, when folding to a window's beginning */
	int			at;
} Refolds;

static void
take_as_of(Fold *fold, bool has_lines, void *arg)
{
	Refolds    *refolds = arg;
	Drawn	   *drawn = refolds->drawn[refolds->at++];

	drawn->buyer.T = -1;		/* no order up to as_of */
	if (fold->profile.n_orders > 0)
		set_figures(drawn, &fold->profile, refolds->sample->today);
}

/* Fold those of the sample whose profiles know more than as_of again; who had no order by then is left out. */
static void
fold_later(BuyerSample *sample)
{
	int64	   *ids = palloc_extended(Max(sample->n, 1) * sizeof(int64), MCXT_ALLOC_HUGE);
	Refolds		refolds = {.sample = sample, .drawn = palloc_extended(Max(sample->n, 1) * sizeof(Drawn *), MCXT_ALLOC_HUGE)};
	int			n = 0;
	int			kept = 0;

	for (int i = 0; i < sample->n; i++)
		if (sample->drawn[i].later)
		{
			refolds.drawn[n] = &sample->drawn[i];
			ids[n++] = sample->drawn[i].client_id;
		}
	if (n > 0)
	{
		Fold	   *fold = fold_create(NULL, NULL, NULL);
		LedgerView	view = {sample->as_of, DT_NOEND};

		fold_clients(fold, ids, n, &view, take_as_of, &refolds);
		MemoryContextDelete(fold->cxt);
	}
	for (int i = 0; i < sample->n; i++)
		if (sample->drawn[i].buyer.T >= 0)
			sample->drawn[kept++] = sample->drawn[i];
	sample->n = kept;
	pfree(ids);
	pfree(refolds.drawn);
}

/* Draw clients with orders up to as_of. */
BuyerSample *
sample_draw(TimestampTz as_of)
{
	BuyerSample *sample = palloc0(sizeof(BuyerSample));
	Draw		draw = {.sample = sample, .max = 1024, .limit = PG_UINT32_MAX};
	double		drawn[STRATA] = {0};

	sample->as_of = as_of;
	sample->today = period_day(as_of);
	sample->drawn = palloc(draw.max * sizeof(Drawn));
	scan_profiles(&draw);
	cut(&draw);
	qsort(sample->drawn, sample->n, sizeof(Drawn), compare_ids);
	for (int i = 0; i < sample->n; i++)
		drawn[sample->drawn[i].stratum]++;
	for (int s = 0; s < STRATA; s++)
		sample->weight[s] = drawn[s] > 0 ? draw.totals[s] / drawn[s] : 0;
	fold_later(sample);
	for (int i = 0; i < sample->n; i++)
	{
		double		weight = sample->weight[sample->drawn[i].stratum];

		sample->clients += weight;
		if (sample->drawn[i].buyer.x > 0)
			sample->repeaters += weight;
	}
	return sample;
}

/* ---- the last closed window ---- */

/* Four weeks or the median of the clients' mean gaps, whichever is longer, at most 90 days. */
static int
window_days(const BuyerSample *sample)
{
	double	   *gaps = palloc_extended(Max(sample->n, 1) * sizeof(double), MCXT_ALLOC_HUGE);
	int			n = 0;
	double		median;

	for (int i = 0; i < sample->n; i++)
		if (sample->drawn[i].buyer.x > 0)
			gaps[n++] = sample->drawn[i].buyer.tx / sample->drawn[i].buyer.x;
	qsort(gaps, n, sizeof(double), fit_compare_doubles);
	median = n > 0 ? gaps[n / 2] : 0;
	pfree(gaps);
	return (int) Max(WINDOW_LEAST_DAYS, Min(ceil(median), WINDOW_MOST_DAYS));
}

static void
take_origin(Fold *fold, bool has_lines, void *arg)
{
	Refolds    *refolds = arg;
	WindowClient *client = &refolds->clients[refolds->at++];

	client->then.T = -1;
	if (fold->profile.n_orders > 0)
		client->then = buyer_of(&fold->profile, refolds->sample->today);
}

/* Fold some clients, by ascending id, up to the window's beginning. */
static void
fold_to_origin(const BuyerSample *sample, WindowClient *clients, int n, TimestampTz origin)
{
	BuyerSample then = {.today = period_day(origin)};
	Refolds		refolds = {.sample = &then, .clients = clients};
	int64	   *ids = palloc(Max(n, 1) * sizeof(int64));
	Fold	   *fold = fold_create(NULL, NULL, NULL);
	LedgerView	view = {origin, DT_NOEND};

	for (int i = 0; i < n; i++)
		ids[i] = clients[i].client->client_id;
	fold_clients(fold, ids, n, &view, take_origin, &refolds);
	MemoryContextDelete(fold->cxt);
	pfree(ids);
}

/* The hash up to which clients are judged, so that they are not too many. */
static uint32
window_limit(const BuyerSample *sample, DateADT origin)
{
	DrawKey    *known = palloc_extended(Max(sample->n, 1) * sizeof(DrawKey), MCXT_ALLOC_HUGE);
	int			n = 0;

	for (int i = 0; i < sample->n; i++)
		if (sample->drawn[i].first_on <= origin)
			known[n++] = key_of(&sample->drawn[i]);
	return n > WINDOW_CLIENTS ? least_keys(known, n, WINDOW_CLIENTS).hash : PG_UINT32_MAX;
}

/*
 * The window that closed at the sample's as_of: clients known at its beginning
 * as they were known then.  Only those with a document since are folded again.
 */
BuyerWindow *
sample_window(const BuyerSample *sample)
{
	BuyerWindow *window = palloc0(sizeof(BuyerWindow));
	int			days = window_days(sample);
	TimestampTz origin = sample->as_of - days * USECS_PER_DAY;
	DateADT		day = sample->today - days;
	const Season *season = &profile_population()->season;
	uint32		limit = window_limit(sample, day);
	WindowClient *moved;
	int			n_moved = 0;

	window->days = days;
	window->span = season_days(season, day, sample->today);
	window->clients = palloc_extended(Max(Min(sample->n, 2 * WINDOW_CLIENTS), 1) * sizeof(WindowClient), MCXT_ALLOC_HUGE);
	moved = palloc_extended(Max(Min(sample->n, 2 * WINDOW_CLIENTS), 1) * sizeof(WindowClient), MCXT_ALLOC_HUGE);
	for (int i = 0; i < sample->n && window->n + n_moved < 2 * WINDOW_CLIENTS; i++)
	{
		const Drawn *drawn = &sample->drawn[i];
		WindowClient client = {.client = drawn, .then = drawn->buyer};

		if (drawn->first_on > day || drawn->hash > limit)
			continue;
		client.then.T = client.then.tx + season_days(season, drawn->last_on, day);
		if (drawn->fold_at > origin || drawn->last_on > day)
			moved[n_moved++] = client;
		else
			window->clients[window->n++] = client;
	}
	fold_to_origin(sample, moved, n_moved, origin);
	for (int i = 0; i < n_moved; i++)
		if (moved[i].then.T >= 0)
		{
			moved[i].orders = moved[i].client->buyer.x - moved[i].then.x;
			window->clients[window->n++] = moved[i];
		}
	for (int i = 0; i < window->n; i++)
		window->repeaters += window->clients[i].then.x > 0;
	pfree(moved);
	return window;
}
