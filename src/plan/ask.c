/*
 * ask.c
 *		What the plan would be, and why a bid is not in it: agentcrm.plan and
 *		agentcrm.why_not.
 *
 * The rounds here are the worker's own, without the writing.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "agentcrm.h"
#include "engine/engine.h"
#include "plan/award.h"

PG_FUNCTION_INFO_V1(agentcrm_plan);
PG_FUNCTION_INFO_V1(agentcrm_why_not);
PG_FUNCTION_INFO_V1(agentcrm_effect_posterior);
PG_FUNCTION_INFO_V1(agentcrm_trust_factor);

#define PLAN_COLUMNS 8

/* A row of the answer; NULLs where a value does not apply. */
typedef struct PlanRow
{
	const char *part;
	const char *item;
	bool		has_client;
	int64		client_id;
	bool		has_rep;
	int64		rep_id;
	bool		has_day;
	DateADT		day;
	double		value;
	bool		has_price;
	double		price;
	const char *detail;
} PlanRow;

static void
put_row(ReturnSetInfo *rsinfo, const PlanRow *row)
{
	Datum		v[PLAN_COLUMNS] = {CStringGetTextDatum(row->part), CStringGetTextDatum(row->item), Int64GetDatum(row->client_id),
		Int64GetDatum(row->rep_id), DateADTGetDatum(row->day), Float8GetDatum(row->value), Float8GetDatum(row->price),
	row->detail ? CStringGetTextDatum(row->detail) : (Datum) 0};
	bool		nulls[PLAN_COLUMNS] = {false, false, !row->has_client, !row->has_rep, !row->has_day, false, !row->has_price, row->detail == NULL};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, v, nulls);
}

static void
put_figure(ReturnSetInfo *rsinfo, const char *item, double value)
{
	PlanRow		row = {.part = "round", .item = item, .value = value};

	put_row(rsinfo, &row);
}

static void
put_prices(ReturnSetInfo *rsinfo, const Round *round)
{
	for (int r = 0; r < means_count(round->means); r++)
	{
		PlanRow		row = {.part = "price", .has_rep = true, .has_day = true, .has_price = true};

		means_label(round->means, r, &row.item, &row.rep_id, &row.day);
		row.value = round->used[r];
		row.price = round->prices[r];
		row.detail = psprintf("%.10g available", means_left(round->means, r));
		put_row(rsinfo, &row);
	}
}

static void
put_awards(ReturnSetInfo *rsinfo, const Round *round)
{
	for (int i = 0; i < round->n; i++)
	{
		const Candidate *c = &round->candidates[i];
		PlanRow		row = {.part = c->incumbent ? (c->accepted ? "kept" : "displaced") : "award", .item = c->action, .has_client = true,
			.client_id = c->client_id, .has_rep = c->has_rep, .rep_id = c->rep_id, .has_day = true, .day = c->due_on, .value = c->net,
		.has_price = true, .price = c->price};

		if (!c->accepted && !c->incumbent)
			continue;
		row.detail = psprintf("%s, demand %s", c->agent, c->category);
		put_row(rsinfo, &row);
	}
}

static void
put_certificate(ReturnSetInfo *rsinfo, const Round *round)
{
	int			n[3] = {0};		/* awarded, kept, displaced */

	for (int i = 0; i < round->n; i++)
		if (round->candidates[i].accepted)
			n[round->candidates[i].incumbent ? 1 : 0]++;
		else
			n[2] += round->candidates[i].incumbent;
	put_figure(rsinfo, "value", round->answer.value);
	put_figure(rsinfo, "bound", round->answer.bound);
	put_figure(rsinfo, "gap", round->answer.bound > 0 ? (round->answer.bound - round->answer.value) / round->answer.bound : 0);
	put_figure(rsinfo, "value of the first iteration", round->first.value);
	put_figure(rsinfo, "awarded", n[0]);
	put_figure(rsinfo, "kept", n[1]);
	put_figure(rsinfo, "displaced", n[2]);
}

static TimestampTz
asked_moment(FunctionCallInfo fcinfo, int number)
{
	TimestampTz now = engine_now();
	TimestampTz as_of = PG_ARGISNULL(number) ? now : PG_GETARG_TIMESTAMPTZ(number);

	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("as_of must be finite")));
	return as_of;
}

static Round *
ask_begin(TimestampTz as_of, RoundKind kind)
{
	Round	   *round = round_begin(kind, as_of, true);

	round->deliver = true;
	return round;
}

/* agentcrm.plan(as_of, dry_run) */
Datum
agentcrm_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext cxt = CurrentMemoryContext;
	TimestampTz as_of = asked_moment(fcinfo, 0);
	bool		dry = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	MemoryContext work;
	Round	   *round;

	if (!dry && as_of != engine_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only the present is planned for: as_of must be left out where dry_run is false"),
				 errhint("SELECT * FROM agentcrm.plan(%s) shows what the plan would be.",
						 quote_literal_cstr(timestamptz_to_str(as_of)))));
	if (!dry)
		PreventCommandDuringRecovery("agentcrm.plan()");
	InitMaterializedSRF(fcinfo, 0);
	work = AllocSetContextCreate(cxt, "agentcrm round", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work);
	round = plan_whole(as_of, dry, engine_adopted(as_of));
	put_certificate(rsinfo, round);
	put_prices(rsinfo, round);
	put_awards(rsinfo, round);
	MemoryContextSwitchTo(cxt);
	MemoryContextDelete(work);
	return (Datum) 0;
}

/* ---- why not ---- */

static const char *const obstacle_names[N_OBSTACLES] = {"reserve", "client", "shadow", "demand", "contact_policy", "means"};
static const char *const obstacle_units[N_OBSTACLES] = {"source currency", NULL, NULL, "source currency", "contacts", "units of the resource"};

#define ALL_OBSTACLES (((uint32) 1 << N_OBSTACLES) - 1)

/* The round of one client at the standing prices with some obstacles away: the candidate asked about, or NULL. */
static const Candidate *
try_without(int64 client_id, TimestampTz as_of, Target *target, uint32 spared)
{
	Round	   *round;

	target->spared = spared;
	target->found = -1;
	round = ask_begin(as_of, ROUND_EVENT);
	round->target = target;
	round_call_ids(round, &client_id, 1);
	round_settle(round);
	return target->found >= 0 ? &round->candidates[target->found] : NULL;
}

/*
 * A set of obstacles that must all go, none of which can be left out: one after
 * the other is taken back from all of them (deletion filter; Chinneck and
 * Dravnieks 1991).
 */
static uint32
minimal_set(int64 client_id, TimestampTz as_of, Target *target)
{
	uint32		set = ALL_OBSTACLES;

	for (int o = 0; o < N_OBSTACLES; o++)
	{
		uint32		without = set & ~((uint32) 1 << o);
		const Candidate *c = try_without(client_id, as_of, target, without);

		if (c != NULL && c->accepted)
			set = without;
	}
	return set;
}

static void
put_obstacle(ReturnSetInfo *rsinfo, int64 client_id, TimestampTz as_of, Target *target, uint32 set, int obstacle)
{
	const Candidate *c = try_without(client_id, as_of, target, set & ~((uint32) 1 << obstacle));
	bool		counts = obstacle_units[obstacle] != NULL && c->missing > 0;
	Datum		v[5] = {CStringGetTextDatum(obstacle_names[obstacle]), CStringGetTextDatum(c->reason ? c->reason : "outbid"),
		Float8GetDatum(c->missing), counts ? CStringGetTextDatum(obstacle_units[obstacle]) : (Datum) 0,
	TimestampTzGetDatum(c->retry_at)};
	bool		nulls[5] = {false, false, !counts, !counts, c->retry_at == 0};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, v, nulls);
}

/* agentcrm.why_not(client, action, agent, as_of) */
Datum
agentcrm_why_not(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt;
	TimestampTz as_of = asked_moment(fcinfo, 3);
	Target		target = {0};
	const Candidate *c;
	int64		client_id;
	uint32		set;

	agentcrm_check_argument(fcinfo, 0, "client");
	agentcrm_check_argument(fcinfo, 1, "action");
	client_id = PG_GETARG_INT64(0);
	target.action = text_to_cstring(PG_GETARG_TEXT_PP(1));
	target.agent = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	InitMaterializedSRF(fcinfo, 0);
	cxt = AllocSetContextCreate(caller, "agentcrm why not", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cxt);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	c = try_without(client_id, as_of, &target, 0);
	if (c == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no agent bids %s for client " INT64_FORMAT, quote_literal_cstr(target.action), client_id),
				 errhint("client_state.answers holds what agents without a bid said; agentcrm.plan() shows who is bid for.")));
	if (!c->accepted)
	{
		set = minimal_set(client_id, as_of, &target);
		for (int o = 0; o < N_OBSTACLES; o++)
			if ((set >> o & 1) != 0)
				put_obstacle(rsinfo, client_id, as_of, &target, set, o);
	}
	SPI_finish();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(cxt);
	return (Datum) 0;
}

/* ---- the mathematics, for analysts ---- */

/* agentcrm.effect_posterior(prior_mean, prior_sd, treated, treated_bought, withheld, withheld_bought) */
Datum
agentcrm_effect_posterior(PG_FUNCTION_ARGS)
{
	double		a[6];
	TupleDesc	desc;
	Effect		effect;
	Datum		values[2];
	bool		nulls[2] = {false};

	for (int i = 0; i < 6; i++)
		a[i] = PG_GETARG_FLOAT8(i);
	if (!(isfinite(a[0]) && a[1] > 0 && isfinite(a[1]) && a[3] >= 0 && a[3] <= a[2] && isfinite(a[2]) && a[5] >= 0 && a[5] <= a[4] && isfinite(a[4])))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no such evidence of an effect"),
				 errdetail("prior_sd must be above 0, counts finite and not negative, and nobody buys who is not counted.")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	effect = effect_update((Effect) {a[0], a[1]}, a[2], a[3], a[4], a[5]);
	values[0] = Float8GetDatum(effect.mean);
	values[1] = Float8GetDatum(effect.sd);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* agentcrm.trust_factor(got, claimed, pool) */
Datum
agentcrm_trust_factor(PG_FUNCTION_ARGS)
{
	double		got = PG_GETARG_FLOAT8(0);
	double		claimed = PG_GETARG_FLOAT8(1);
	double		pool = PG_GETARG_FLOAT8(2);

	if (!(isfinite(got) && isfinite(claimed) && claimed >= 0 && isfinite(pool)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("got, claimed and pool must be finite, and claimed not negative")));
	PG_RETURN_FLOAT8(trust_factor(got, claimed, pool));
}
