/*
 * repurchase_sql.c
 *		The repurchase model for analysts: p_alive, p_order_within,
 *		expected_orders, next_order_date, next_order_interval,
 *		expected_value.
 *
 * Each by client and moment, answering what client_state would hold then, and
 * as a pure function of statistics and parameters.  Computes nothing of its own.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"

#include "profile/assess.h"
#include "profile/population.h"

#define MAX_DAYS 36500

PG_FUNCTION_INFO_V1(agentcrm_p_alive);
PG_FUNCTION_INFO_V1(agentcrm_p_alive_of);
PG_FUNCTION_INFO_V1(agentcrm_p_order_within);
PG_FUNCTION_INFO_V1(agentcrm_p_order_within_of);
PG_FUNCTION_INFO_V1(agentcrm_expected_orders);
PG_FUNCTION_INFO_V1(agentcrm_expected_orders_of);
PG_FUNCTION_INFO_V1(agentcrm_next_order_date);
PG_FUNCTION_INFO_V1(agentcrm_next_order_date_of);
PG_FUNCTION_INFO_V1(agentcrm_next_order_interval);
PG_FUNCTION_INFO_V1(agentcrm_next_order_interval_of);
PG_FUNCTION_INFO_V1(agentcrm_expected_value);
PG_FUNCTION_INFO_V1(agentcrm_expected_value_of);

static double
days_arg(FunctionCallInfo fcinfo, int number)
{
	double		days = PG_GETARG_FLOAT8(number);

	if (!(days >= 0 && isfinite(days)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("days must be finite and not negative")));
	return days;
}

static double
quantile_arg(FunctionCallInfo fcinfo, int number)
{
	double		p = PG_GETARG_FLOAT8(number);

	if (!(p > 0 && p < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantile must lie between 0 and 1, without these")));
	return p;
}

/* The outlook of the client at the moment that the first two arguments name; false: no answer. */
static bool
client_args(FunctionCallInfo fcinfo, ClientProfile *profile, Outlook *outlook)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(1);

	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("as_of must be finite")));
	return outlook_read(PG_GETARG_INT64(0), as_of, profile, outlook);
}

/* Parameters as they were given last, for calls over many rows. */
typedef struct LastParams
{
	Repurchase	repurchase;
	Size		size;
	char		params[FLEXIBLE_ARRAY_MEMBER];
} LastParams;

/* The model that a jsonb of parameters makes; valid until the next call. */
static const Repurchase *
model_arg(FunctionCallInfo fcinfo, int number)
{
	Jsonb	   *params = PG_GETARG_JSONB_P(number);
	LastParams *last = fcinfo->flinfo->fn_extra;
	Repurchase	repurchase;

	if (last && last->size == VARSIZE(params) && memcmp(last->params, params, last->size) == 0)
		return &last->repurchase;
	if (!repurchase_from_json(params, &repurchase))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("params make no repurchase model"),
				 errhint("They need positive numbers r, alpha, a, b and, unless k is 1, arrays k of whole numbers from 1 to %d and weight, which sums to 1: see agentcrm.model.",
						 REPURCHASE_K_MAX)));
	if (last)
		pfree(last);
	fcinfo->flinfo->fn_extra = NULL;
	last = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, offsetof(LastParams, params) + VARSIZE(params));
	last->repurchase = repurchase;
	last->size = VARSIZE(params);
	memcpy(last->params, params, last->size);
	fcinfo->flinfo->fn_extra = last;
	return &last->repurchase;
}

/* The outlook by the statistics and parameters that the first five arguments give. */
static Outlook
pure_args(FunctionCallInfo fcinfo)
{
	BuyerStats	buyer = {
		.x = PG_GETARG_INT32(0), .tx = PG_GETARG_FLOAT8(1), .T = PG_GETARG_FLOAT8(2), .sum_log = PG_GETARG_FLOAT8(3)
	};

	if (!buyer_valid(&buyer))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no client has such statistics"),
				 errdetail("%d repeat orders, the last %g days and today %g days after the first, logarithms of gaps %g.",
						   buyer.x, buyer.tx, buyer.T, buyer.sum_log),
				 errhint("It must be 0 <= last_order <= age, and last_order 0 just where repeat_orders is 0.")));
	return (Outlook)
	{
		.repurchase = model_arg(fcinfo, 4), .gaps = {buyer.x, buyer.tx, buyer.sum_log}, .elapsed = buyer.T - buyer.tx
	};
}

/* The day so many days after today; NULL where that is never, or beyond a hundred years. */
static Datum
date_after(DateADT today, double days, bool *isnull)
{
	*isnull = !(days < MAX_DAYS) || !IS_VALID_DATE((int64) today + (int64) ceil(days));
	return DateADTGetDatum(*isnull ? 0 : today + (int) ceil(days));
}

/* The day on which the next order has come with probability p. */
static Datum
date_until(FunctionCallInfo fcinfo, const Outlook *outlook, DateADT today, double p)
{
	return date_after(today, outlook_days_until(outlook, p), &fcinfo->isnull);
}

/* The days between which the next order comes. */
static Datum
date_interval(FunctionCallInfo fcinfo, const Outlook *outlook, DateADT today)
{
	DateInterval interval = outlook_interval(outlook);
	TupleDesc	desc;
	Datum		values[2];
	bool		isnull[2];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = date_after(today, interval.early, &isnull[0]);
	values[1] = date_after(today, interval.late, &isnull[1]);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, isnull));
}

/* The day from which a pure function counts. */
static DateADT
today_arg(FunctionCallInfo fcinfo, int number)
{
	DateADT		today = PG_GETARG_DATEADT(number);

	if (DATE_NOT_FINITE(today))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("today must be finite")));
	return today;
}

/* What is expected of a client, where there are numbers for it. */
static Datum
number_of(double value, const char *what)
{
	if (!isfinite(value))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s out of range", what)));
	PG_RETURN_FLOAT8(value);
}

/* agentcrm.p_alive(client_id, as_of) */
Datum
agentcrm_p_alive(PG_FUNCTION_ARGS)
{
	ClientProfile profile;
	Outlook		outlook;

	if (!client_args(fcinfo, &profile, &outlook))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(outlook_alive(&outlook));
}

/* agentcrm.p_alive(repeat_orders, last_order, age, sum_log_gaps, params) */
Datum
agentcrm_p_alive_of(PG_FUNCTION_ARGS)
{
	Outlook		outlook = pure_args(fcinfo);

	PG_RETURN_FLOAT8(outlook_alive(&outlook));
}

/* agentcrm.p_order_within(client_id, as_of, days) */
Datum
agentcrm_p_order_within(PG_FUNCTION_ARGS)
{
	double		days = days_arg(fcinfo, 2);
	ClientProfile profile;
	Outlook		outlook;

	if (!client_args(fcinfo, &profile, &outlook))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(outlook_order_within(&outlook, days));
}

/* agentcrm.p_order_within(repeat_orders, last_order, age, sum_log_gaps, params, days) */
Datum
agentcrm_p_order_within_of(PG_FUNCTION_ARGS)
{
	Outlook		outlook = pure_args(fcinfo);

	PG_RETURN_FLOAT8(outlook_order_within(&outlook, days_arg(fcinfo, 5)));
}

/* agentcrm.expected_orders(client_id, as_of, days) */
Datum
agentcrm_expected_orders(PG_FUNCTION_ARGS)
{
	double		days = days_arg(fcinfo, 2);
	ClientProfile profile;
	Outlook		outlook;

	if (!client_args(fcinfo, &profile, &outlook))
		PG_RETURN_NULL();
	return number_of(outlook_orders(&outlook, days), "expected orders");
}

/* agentcrm.expected_orders(repeat_orders, last_order, age, sum_log_gaps, params, days) */
Datum
agentcrm_expected_orders_of(PG_FUNCTION_ARGS)
{
	Outlook		outlook = pure_args(fcinfo);

	return number_of(outlook_orders(&outlook, days_arg(fcinfo, 5)), "expected orders");
}

/* agentcrm.next_order_date(client_id, as_of, quantile) */
Datum
agentcrm_next_order_date(PG_FUNCTION_ARGS)
{
	double		p = quantile_arg(fcinfo, 2);
	ClientProfile profile;
	Outlook		outlook;

	if (!client_args(fcinfo, &profile, &outlook))
		PG_RETURN_NULL();
	return date_until(fcinfo, &outlook, period_day(PG_GETARG_TIMESTAMPTZ(1)), p);
}

/* agentcrm.next_order_date(repeat_orders, last_order, age, sum_log_gaps, params, today, quantile) */
Datum
agentcrm_next_order_date_of(PG_FUNCTION_ARGS)
{
	Outlook		outlook = pure_args(fcinfo);
	double		p = quantile_arg(fcinfo, 6);

	return date_until(fcinfo, &outlook, today_arg(fcinfo, 5), p);
}

/* agentcrm.next_order_interval(client_id, as_of) */
Datum
agentcrm_next_order_interval(PG_FUNCTION_ARGS)
{
	ClientProfile profile;
	Outlook		outlook;

	if (!client_args(fcinfo, &profile, &outlook))
		PG_RETURN_NULL();
	return date_interval(fcinfo, &outlook, period_day(PG_GETARG_TIMESTAMPTZ(1)));
}

/* agentcrm.next_order_interval(repeat_orders, last_order, age, sum_log_gaps, params, today) */
Datum
agentcrm_next_order_interval_of(PG_FUNCTION_ARGS)
{
	Outlook		outlook = pure_args(fcinfo);

	return date_interval(fcinfo, &outlook, today_arg(fcinfo, 5));
}

/* agentcrm.expected_value(client_id, as_of, days) */
Datum
agentcrm_expected_value(PG_FUNCTION_ARGS)
{
	double		days = days_arg(fcinfo, 2);
	ClientProfile profile;
	Outlook		outlook;

	if (!client_args(fcinfo, &profile, &outlook))
		PG_RETURN_NULL();
	return number_of(outlook_orders(&outlook, days) *
					 assess_order_value(&profile, profile_population(), period_day(PG_GETARG_TIMESTAMPTZ(1))), "expected value");
}

/* agentcrm.expected_value(repeat_orders, last_order, age, sum_log_gaps, params, days, order_value) */
Datum
agentcrm_expected_value_of(PG_FUNCTION_ARGS)
{
	Outlook		outlook = pure_args(fcinfo);
	double		value = PG_GETARG_FLOAT8(6);

	if (!isfinite(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("order_value must be finite")));
	return number_of(outlook_orders(&outlook, days_arg(fcinfo, 5)) * value, "expected value");
}
