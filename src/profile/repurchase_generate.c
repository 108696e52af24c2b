/*
 * repurchase_generate.c
 *		New generations of the repurchase model: fitted, judged on the last
 *		closed window, and put in use where they are better.
 *
 * The window judges by parameters that did not see it: the model is fitted once
 * to all orders, for use, and once to what was known when the window began, for
 * the figures, the recalibration, and whether a segment deserves a model of its
 * own.  Whether the new parameters replace those in use is judged on the new
 * ones themselves, since those in use have seen most of the window, too.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "json.h"
#include "model/score.h"
#include "profile/fit.h"
#include "profile/outlook.h"
#include "profile/repurchase_sample.h"

#define NEED_CLIENTS 50 		/* known before the window; see doc/decisions.md */
#define NEED_REPEATERS 30		/* of them with orders on two days */
#define SEGMENT_CLIENTS 300		/* a segment's, to be looked at, and at most all but as many */
#define SEGMENT_WEIGHT 25		/* precision of a segment's log parameters about the pool's */
#define SEGMENT_EVIDENCE 1.64	/* standard errors by which a segment's own model must be better */
#define MAX_EVALUATIONS 100
#define VALUE_SHARE_A 0.80
#define VALUE_SHARE_B 0.95

static const int all_classes[REPURCHASE_CLASSES] = {1, 2, 3, 4, 6, 8, 12};

/* A part of the clients with a model of their own, or all. */
typedef struct Segment
{
	Repurchase	made;
	int			clients;
	RepurchaseFit fit;			/* to all orders */
	RepurchaseFit before;		/* to what was known when the window began */
	int			window_clients;
	ForecastScore shown;		/* recalibrated */
	ForecastScore raw;
	double		mae;			/* of the number of orders in the window */
	double		standing;		/* log loss of what is in use for its clients, on the window */
	char	   *kept;			/* why the parameters in use stay; NULL: they do not */
	int			intervals;		/* orders whose next one lay in the window's reach */
	double		interval_share; /* of them in the interval, before it is scaled */
	bool		used;
} Segment;

typedef struct Segments
{
	int			n;
	Segment		of[2 * REPURCHASE_SEGMENTS];
} Segments;

/* Forecasts for the clients of a window, and what they did. */
typedef struct Forecasts
{
	int			n;
	double	   *p;
	double	   *orders;
	bool	   *happened;
	int		   *did;
} Forecasts;

typedef struct Generator
{
	BuyerSample *sample;
	BuyerWindow *window;
	const Population *population;
	Segment		pool;
	Segments	segments;
	const char *reason;			/* why the new one is not put in use; NULL: it is */
} Generator;

static void
check_interrupts(void *arg)
{
	CHECK_FOR_INTERRUPTS();
}

/* ---- fits ---- */

/* Fit a model to groups of clients (which are merged), from a start, perhaps towards a pool. */
static bool
fit_groups(BuyerGroup *groups, int n, const RepurchaseModel *start, const RepurchaseModel *pool, RepurchaseFit *fit)
{
	RepurchaseFitOptions options = {
		.m = 1, .n_classes = REPURCHASE_CLASSES, .start = start, .pool = pool, .pool_weight = pool ? SEGMENT_WEIGHT : 0,
		.max_evaluations = MAX_EVALUATIONS, .check = check_interrupts
	};
	void	   *workspace = palloc_extended(Max(buyers_group_workspace(n), 1), MCXT_ALLOC_HUGE);
	bool		fitted;

	memcpy(options.k, all_classes, sizeof(all_classes));
	n = buyers_group(groups, n, true, workspace);
	pfree(workspace);
	workspace = palloc_extended(Max(repurchase_fit_workspace(n), 1), MCXT_ALLOC_HUGE);
	fitted = n > 0 && repurchase_fit(groups, n, &options, workspace, fit) && repurchase_model_valid(&fit->model);
	pfree(workspace);
	return fitted;
}

/* To all orders of the sample. */
static bool
fit_now(const Generator *g, int segment, const RepurchaseModel *start, const RepurchaseModel *pool, RepurchaseFit *fit)
{
	BuyerGroup *groups = palloc_extended(Max(g->sample->n, 1) * sizeof(BuyerGroup), MCXT_ALLOC_HUGE);
	int			n = 0;
	bool		fitted;

	for (int i = 0; i < g->sample->n; i++)
	{
		const Drawn *drawn = &g->sample->drawn[i];

		if (drawn_belongs(drawn, segment))
			groups[n++] = (BuyerGroup) {.buyer = drawn->buyer, .n = g->sample->weight[drawn->stratum]};
	}
	fitted = fit_groups(groups, n, start, pool, fit);
	pfree(groups);
	return fitted;
}

/* To what was known of the window's clients when it began. */
static bool
fit_before(const Generator *g, int segment, const RepurchaseModel *start, const RepurchaseModel *pool, RepurchaseFit *fit)
{
	BuyerGroup *groups = palloc_extended(Max(g->window->n, 1) * sizeof(BuyerGroup), MCXT_ALLOC_HUGE);
	int			n = 0;
	bool		fitted;

	for (int i = 0; i < g->window->n; i++)
		if (drawn_belongs(g->window->clients[i].client, segment))
			groups[n++] = (BuyerGroup) {.buyer = g->window->clients[i].then, .n = 1};
	fitted = fit_groups(groups, n, start, pool, fit);
	pfree(groups);
	return fitted;
}

/* ---- the window's judgement ---- */

/* What a model foresaw of the window for the clients of a segment. */
static Forecasts
foresee(const Generator *g, int segment, const RepurchaseModel *model)
{
	int			max = Max(g->window->n, 1);
	Forecasts	f = {
		.p = palloc(max * sizeof(double)), .orders = palloc(max * sizeof(double)),
		.happened = palloc(max * sizeof(bool)), .did = palloc(max * sizeof(int))
	};

	for (int i = 0; i < g->window->n; i++)
	{
		const WindowClient *c = &g->window->clients[i];
		RepurchaseScore score;

		if (!drawn_belongs(c->client, segment))
			continue;
		(void) repurchase_score(model, &c->then, g->window->span, &score);
		f.p[f.n] = score.active;
		f.orders[f.n] = score.expected;
		f.happened[f.n] = c->orders > 0;
		f.did[f.n++] = c->orders;
		CHECK_FOR_INTERRUPTS();
	}
	return f;
}

static void
recalibrate(Forecasts *f, const Calibration *calibration)
{
	for (int i = 0; i < f->n; i++)
		f->p[i] = calibration_apply(calibration, f->p[i]);
}

/* The figures of a segment, from forecasts by parameters that did not see the window; *calibration puts them right. */
static void
judge(const Generator *g, int segment, Segment *s, Calibration otherwise)
{
	Forecasts	f = foresee(g, segment, &s->before.model);
	double		errors = 0;

	s->window_clients = f.n;
	forecast_score(f.p, f.happened, f.n, &s->raw);
	for (int i = 0; i < f.n; i++)
		errors += fabs(f.orders[i] - f.did[i]);
	s->mae = f.n > 0 ? errors / f.n : 0;
	if (!calibration_fit(f.p, f.happened, f.n, &s->made.calibration))
		s->made.calibration = otherwise;
	recalibrate(&f, &s->made.calibration);
	forecast_score(f.p, f.happened, f.n, &s->shown);
}

/* The interval of the next order, by what it would have been right after the orders before the window. */
static void
scale_interval(const Generator *g, int segment, Segment *s, double otherwise)
{
	IntervalCase *cases;
	int			n = interval_cases(g->sample, g->window, segment, &cases);
	double	   *scores = palloc(Max(n, 1) * sizeof(double));
	Repurchase	before = {.model = s->before.model, .calibration = s->made.calibration};
	int			held = 0;

	for (int i = 0; i < n; i++)
	{
		Outlook		outlook = {.repurchase = &before, .gaps = {cases[i].then.x, cases[i].then.tx, cases[i].then.sum_log}};
		DateInterval interval = outlook_interval_raw(&outlook);

		scores[i] = conformal_score(&interval, cases[i].gap, g->window->span);
		held += scores[i] <= 1;
		CHECK_FOR_INTERRUPTS();
	}
	s->intervals = n;
	s->interval_share = n > 0 ? (double) held / n : 0;
	s->made.interval = n < INTERVAL_MIN_CASES ? otherwise : conformal_scale(scores, n, INTERVAL_SHARE);
	pfree(scores);
	pfree(cases);
}

/* P(an order within the window) as a generation (NULL: the gap model) shows it. */
static double
shown(const Generator *g, const WindowClient *c, const Repurchase *generation)
{
	Outlook		outlook = {
		.prior = &g->population->gap, .repurchase = generation, .gaps = {c->then.x, c->then.tx, c->then.sum_log},
		.elapsed = c->then.T - c->then.tx
	};

	return outlook_order_within(&outlook, g->window->span);
}

static const Repurchase *
standing_of(const Generator *g, const Drawn *drawn)
{
	return drawn->standing;
}

/* The segment whose new model speaks for a client: its channel's, its territory's; -1: that of all. */
static int
speaker_of(const Generator *g, const Drawn *drawn)
{
	if (drawn->channel >= 0 && g->segments.of[drawn->channel].used)
		return drawn->channel;
	if (drawn->territory >= 0 && g->segments.of[drawn->territory].used)
		return drawn->territory;
	return -1;
}

static const Repurchase *
made_of(const Generator *g, const Drawn *drawn)
{
	int			speaker = speaker_of(g, drawn);

	return speaker < 0 ? &g->pool.made : &g->segments.of[speaker].made;
}

/* Log loss of what the clients of a segment are shown, each by the generation that is its own. */
static double
shown_loss(const Generator *g, int segment, const Repurchase *(*own) (const Generator *, const Drawn *))
{
	double		sum = 0;
	int			n = 0;

	for (int i = 0; i < g->window->n; i++)
	{
		const WindowClient *c = &g->window->clients[i];

		if (!drawn_belongs(c->client, segment))
			continue;
		sum += score_loss(shown(g, c, own(g, c->client)), c->orders > 0);
		n++;
		CHECK_FOR_INTERRUPTS();
	}
	return n > 0 ? sum / n : NAN;
}

/* Whether the segment's own parameters foresaw its window better than the pool's, beyond chance. */
static bool
deserves_own(const Generator *g, int segment, const Segment *s)
{
	Forecasts	own = foresee(g, segment, &s->before.model);
	Forecasts	pooled = foresee(g, segment, &g->pool.before.model);
	double		sum = 0;
	double		squares = 0;
	double		mean;

	for (int i = 0; i < own.n; i++)
	{
		double		gain = score_loss(pooled.p[i], own.happened[i]) - score_loss(own.p[i], own.happened[i]);

		sum += gain;
		squares += gain * gain;
	}
	if (own.n < SEGMENT_CLIENTS / 3)
		return false;
	mean = sum / own.n;
	return mean > SEGMENT_EVIDENCE * sqrt(Max(squares / own.n - mean * mean, 0) / own.n);
}

/* ---- segments ---- */

static Datum
drawn_ids(const BuyerSample *sample)
{
	Datum	   *ids = palloc_extended(Max(sample->n, 1) * sizeof(Datum), MCXT_ALLOC_HUGE);
	Datum		array;

	for (int i = 0; i < sample->n; i++)
		ids[i] = Int64GetDatum(sample->drawn[i].client_id);
	array = PointerGetDatum(construct_array(ids, sample->n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	pfree(ids);
	return array;
}

/* Segments with clients enough, the largest of each kind. */
static void
find_segments(Generator *g, Datum ids)
{
	Oid			types[4] = {INT8ARRAYOID, INT4OID, INT4OID, INT4OID};
	Datum		values[4] = {
		ids, Int32GetDatum(SEGMENT_CLIENTS), Int32GetDatum(g->sample->n - SEGMENT_CLIENTS), Int32GetDatum(REPURCHASE_SEGMENTS)
	};
	static const char *const sql =
		"WITH drawn AS MATERIALIZED (SELECT c.channel, c.territory FROM agentcrm.client c JOIN pg_catalog.unnest($1) AS d(client_id)"
		" USING (client_id))"
		" (SELECT '" REPURCHASE_CHANNEL "' OPERATOR(pg_catalog.||) channel, pg_catalog.count(*) FROM drawn WHERE channel OPERATOR(pg_catalog.<>) ''"
		" GROUP BY channel HAVING pg_catalog.count(*) BETWEEN $2 AND $3 ORDER BY 2 DESC, 1 LIMIT $4)"
		" UNION ALL (SELECT '" REPURCHASE_TERRITORY "' OPERATOR(pg_catalog.||) territory, pg_catalog.count(*) FROM drawn WHERE territory OPERATOR(pg_catalog.<>) ''"
		" GROUP BY territory HAVING pg_catalog.count(*) BETWEEN $2 AND $3 ORDER BY 2 DESC, 1 LIMIT $4)";
	bool		isnull;

	if (SPI_execute_with_args(sql, 4, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list segments of clients");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = TextDatumGetCString(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));

		/* a name too long to be kept has no model of its own */
		if (strlen(name) < sizeof(g->pool.made.segment))
			strcpy(g->segments.of[g->segments.n++].made.segment, name);
	}
	SPI_freetuptable(SPI_tuptable);
}

static int
segment_index(const Segments *segments, const char *kind, const char *name)
{
	for (int i = 0; name != NULL && i < segments->n; i++)
	{
		const char *segment = segments->of[i].made.segment;

		if (strncmp(segment, kind, strlen(kind)) == 0 && strcmp(segment + strlen(kind), name) == 0)
			return i;
	}
	return -1;
}

/* Put the drawn clients into their segments, new and in use; both are ordered by client. */
static void
place_clients(Generator *g, Datum ids)
{
	Oid			types[1] = {INT8ARRAYOID};
	Portal		portal = SPI_cursor_open_with_args(NULL, "SELECT client_id, channel, territory FROM agentcrm.client"
												   " JOIN pg_catalog.unnest($1) AS d(client_id) USING (client_id)"
												   " ORDER BY client_id", 1, types, &ids, NULL, true, 0);
	int			at = 0;
	bool		isnull;

	while (SPI_cursor_fetch(portal, true, 1000), SPI_processed > 0)
	{
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	row = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			int64		client_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
			const char *channel = SPI_getvalue(row, desc, 2);
			const char *territory = SPI_getvalue(row, desc, 3);

			while (at < g->sample->n && g->sample->drawn[at].client_id < client_id)
				at++;
			if (at == g->sample->n || g->sample->drawn[at].client_id != client_id)
				continue;
			g->sample->drawn[at].channel = segment_index(&g->segments, REPURCHASE_CHANNEL, channel);
			g->sample->drawn[at].territory = segment_index(&g->segments, REPURCHASE_TERRITORY, territory);
			g->sample->drawn[at].standing = population_repurchase(g->population, channel, territory);
		}
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
}

/* A client's channel, where it has its own model, speaks for it, not its territory. */
static void
leave_territories(Generator *g, int channel)
{
	for (int i = 0; i < g->sample->n; i++)
		if (g->sample->drawn[i].channel == channel)
			g->sample->drawn[i].territory = -1;
}

/* The generation in use of a segment; NULL: it has none of its own. */
static const Repurchase *
segment_standing(const Generator *g, const char *segment)
{
	for (int i = 1; i < g->population->n_repurchase; i++)
		if (strcmp(g->population->repurchase[i].segment, segment) == 0)
			return &g->population->repurchase[i];
	return NULL;
}

/* Where a segment's parameters in use foresaw its window better than the new ones, they stay. */
static void
keep_better(Generator *g, int segment, Segment *s, const Repurchase *standing)
{
	double		loss;

	s->standing = shown_loss(g, segment, standing_of);
	loss = shown_loss(g, segment, made_of);
	if (standing == NULL || loss <= s->standing + FIT_WORSE)
		return;
	s->kept = MemoryContextStrdup(GetMemoryChunkContext(g),
								  psprintf("parameters of before stay: log loss %.4f of the new ones, %.4f of theirs", loss, s->standing));
	s->made.model = standing->model;
	s->made.calibration = standing->calibration;
	s->made.interval = standing->interval;
}

/* Which segments there are, and who belongs to which. */
static void
place_segments(Generator *g)
{
	Datum		ids = drawn_ids(g->sample);

	for (int i = 0; i < g->sample->n; i++)
		g->sample->drawn[i].standing = population_repurchase(g->population, NULL, NULL);
	find_segments(g, ids);
	if (g->segments.n > 0 || g->population->n_repurchase > 1)
		place_clients(g, ids);
}

/* Fit a segment, where it deserves a model of its own. */
static void
fit_segment(Generator *g, int segment, Segment *s)
{
	const Repurchase *standing = segment_standing(g, s->made.segment);
	const RepurchaseModel *start = standing ? &standing->model : &g->pool.fit.model;

	for (int i = 0; i < g->sample->n; i++)
		s->clients += drawn_belongs(&g->sample->drawn[i], segment);
	if (!fit_before(g, segment, start, &g->pool.before.model, &s->before) || !deserves_own(g, segment, s) ||
		!fit_now(g, segment, start, &g->pool.fit.model, &s->fit))
		return;
	s->used = true;
	s->made.model = s->fit.model;
	judge(g, segment, s, g->pool.made.calibration);
	scale_interval(g, segment, s, g->pool.made.interval);
	keep_better(g, segment, s, standing);
	if (strncmp(s->made.segment, REPURCHASE_CHANNEL, strlen(REPURCHASE_CHANNEL)) == 0)
		leave_territories(g, segment);
}

/* Channels before territories. */
static void
fit_segments(Generator *g)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "agentcrm segments", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < g->segments.n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(work);

		fit_segment(g, i, &g->segments.of[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(work);
	}
	MemoryContextDelete(work);
}

/* ---- value classes ---- */

/* Tables of the new models: of all, then of each segment that has one. */
static RepurchaseTable *
make_tables(const Generator *g)
{
	RepurchaseTable *tables = palloc_extended((g->segments.n + 1) * sizeof(RepurchaseTable), MCXT_ALLOC_HUGE);

	(void) repurchase_table(&g->pool.made.model, &tables[0]);
	for (int i = 0; i < g->segments.n; i++)
		if (g->segments.of[i].used)
			(void) repurchase_table(&g->segments.of[i].made.model, &tables[i + 1]);
	return tables;
}

/* Limits of the value classes: the clients that bring the first 80 and 95 % of the margin expected. */
static void
class_values(Generator *g)
{
	int			n = g->sample->n;
	double	   *values = palloc_extended(Max(n, 1) * sizeof(double), MCXT_ALLOC_HUGE);
	RepurchaseTable *tables = make_tables(g);
	double		horizon = season_days(&g->population->season, g->sample->today, g->sample->today + agentcrm_value_horizon);
	double		a,
				b;

	for (int i = 0; i < n; i++)
	{
		const Drawn *drawn = &g->sample->drawn[i];
		RepurchaseScore score;

		(void) repurchase_score_by_table(&tables[speaker_of(g, drawn) + 1], &drawn->buyer, horizon, &score);
		values[i] = drawn->order_margin * score.expected;
		CHECK_FOR_INTERRUPTS();
	}
	qsort(values, n, sizeof(double), fit_compare_doubles);
	a = fit_pareto_limit(values, n, VALUE_SHARE_A);
	b = fit_pareto_limit(values, n, VALUE_SHARE_B);
	g->pool.made.value_a = a;
	g->pool.made.value_b = b;
	for (int i = 0; i < g->segments.n; i++)
	{
		g->segments.of[i].made.value_a = a;
		g->segments.of[i].made.value_b = b;
	}
	pfree(values);
	pfree(tables);
}

/* ---- rows ---- */

static void
put_fit(JsonbParseState **state, const Generator *g, const Segment *s)
{
	json_number(state, "clients", s->clients);
	json_number(state, "stand_for", rint(s->fit.n));
	json_number(state, "evaluations", s->fit.evaluations);
	json_text(state, "converged", s->fit.converged ? "yes" : "no");
	json_text(state, "defection", s->fit.no_defection ? "not visible" : "visible");
	json_text(state, "prior", s != &g->pool ? "of all clients" : s->fit.weak_prior ? "weak" : "none");
	json_number(state, "window_days", g->window->days);
	json_number(state, "window_clients", s->window_clients);
	json_number(state, "window_buyers", s->raw.events);
	json_number(state, "log_loss", s->shown.log_loss);
	json_number(state, "log_loss_raw", s->raw.log_loss);
	json_number(state, "brier", s->shown.brier);
	json_number(state, "ece", s->shown.ece);
	json_number(state, "ece_raw", s->raw.ece);
	json_number(state, "mae_orders", s->mae);
	json_number(state, "interval_cases", s->intervals);
	json_number(state, "interval_share", s->interval_share);
}

static void
write_segment(const Generator *g, const Segment *s)
{
	JsonbParseState *state = NULL;
	bool		fitted = s->fit.n > 0;

	json_begin(&state);
	if (fitted)
		put_fit(&state, g, s);
	if (fitted)
		json_number(&state, "log_loss_in_use", s->standing);
	if (s->kept)
		json_text(&state, "kept", s->kept);
	if (g->reason)
		json_text(&state, "reason", g->reason);
	generation_write(&(Generation) {
		.kind = "repurchase", .segment = s->made.segment,
		.params = fitted ? repurchase_to_json(&s->made) : DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))),
		.n = s->clients, .has_log_likelihood = fitted, .log_likelihood = s->fit.log_likelihood,
		.metrics = json_end(&state), .as_of = g->sample->as_of, .current = g->reason == NULL
	});
}

/* The generations in use up to now, of all segments, are in use no more. */
static void
retire_all(TimestampTz as_of)
{
	Oid			types[1] = {TIMESTAMPTZOID};
	Datum		values[1] = {TimestampTzGetDatum(as_of)};

	if (!population_gathering() &&
		SPI_execute_with_args(GENERATION_RETIRE " AND kind OPERATOR(pg_catalog.=) 'repurchase' AND as_of OPERATOR(pg_catalog.<=) $1",
							  1, types, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not retire generations of the repurchase model");
}

/* ---- the whole ---- */

/* Too few clients, known too short: NULL when it is enough. */
static const char *
insufficient(const Generator *g)
{
	if (g->window->n >= NEED_CLIENTS && g->window->repeaters >= NEED_REPEATERS)
		return NULL;
	return psprintf("insufficient: needs %d clients with orders before the last %d days and %d of them with repeat orders, has %d and %.0f",
					NEED_CLIENTS, g->window->days, NEED_REPEATERS, g->window->n, g->window->repeaters);
}

/* Fit the model of all clients; sets g->reason where there is none. */
static void
fit_pool(Generator *g)
{
	const Repurchase *standing = g->population->n_repurchase > 0 ? &g->population->repurchase[0] : NULL;
	Segment    *pool = &g->pool;

	if (!fit_now(g, -1, standing ? &standing->model : NULL, NULL, &pool->fit) ||
		!fit_before(g, -1, &pool->fit.model, NULL, &pool->before))
	{
		g->reason = "no parameters were found";
		pool->fit.n = 0;
		return;
	}
	pool->made.model = pool->fit.model;
	judge(g, -1, pool, (Calibration) {0, 1});
	scale_interval(g, -1, pool, 1);
}

/* New generations, with their segments, against those in use; sets g->reason where they are not to be used. */
static void
compare(Generator *g)
{
	double		loss = shown_loss(g, -1, made_of);

	g->pool.standing = shown_loss(g, -1, standing_of);
	if (!(loss <= g->pool.standing + FIT_WORSE))
		g->reason = psprintf("worse on the last closed window: log loss %.4f, %.4f of %s", loss, g->pool.standing,
							 g->population->n_repurchase > 0 ? "the generation in use" : "the gap model");
}

/* See population.h. */
void
repurchase_generate(TimestampTz as_of)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "agentcrm repurchase fit", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	Generator  *g = palloc0(sizeof(Generator));

	g->population = profile_population();
	g->sample = sample_draw(as_of);
	g->window = sample_window(g->sample);
	strcpy(g->pool.made.segment, "*");
	g->pool.made.calibration.slope = 1;
	g->pool.made.interval = 1;
	g->pool.clients = g->sample->n;
	g->reason = insufficient(g);
	if (g->reason)
		retire_all(as_of);
	else
		fit_pool(g);
	if (g->reason == NULL)
	{
		place_segments(g);
		fit_segments(g);
		compare(g);
	}
	if (g->reason == NULL)
	{
		class_values(g);
		retire_all(DT_NOEND);
	}
	if (g->reason)
		elog(DEBUG1, "repurchase model of %s is not put in use: %s", timestamptz_to_str(as_of), g->reason);
	write_segment(g, &g->pool);
	for (int i = 0; i < g->segments.n; i++)
		if (g->segments.of[i].used)
			write_segment(g, &g->segments.of[i]);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}
