/*
 * forecast.c
 *		agentcrm.forecast and agentcrm.forecast_items: forecasts as rows.
 *
 * The same figures that agents and baseline get; computes nothing of its own.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

#include "profile/assess.h"

#define MOST_DAYS 3650

PG_FUNCTION_INFO_V1(agentcrm_forecast);
PG_FUNCTION_INFO_V1(agentcrm_forecast_items);

/* The third argument: days of the horizon. */
static int
days_argument(FunctionCallInfo fcinfo)
{
	int			days = PG_ARGISNULL(2) ? agentcrm_value_horizon : PG_GETARG_INT32(2);

	if (days < 1 || days > MOST_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("days must lie between 1 and %d", MOST_DAYS)));
	return days;
}

/* agentcrm.forecast(client_ids, as_of, days): orders, net amount and margin of each client. */
Datum
agentcrm_forecast(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Population *population = profile_population();
	int			days = days_argument(fcinfo);
	int			n;
	ClientSnapshot *clients = snapshot_arguments(fcinfo, &n);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		Datum		values[5];
		bool		isnull[5] = {false};
		double		orders,
					amount;

		if (clients[i].profile.n_orders == 0)
			continue;
		orders = profile_orders_expected(&clients[i], population, days);
		amount = orders * clients[i].state.order_value;
		values[0] = Int64GetDatum(clients[i].client_id);
		values[1] = Float8GetDatum(profile_order_within(&clients[i], population, days));
		values[2] = Float8GetDatum(orders);
		values[3] = Float8GetDatum(amount);
		values[4] = Float8GetDatum(amount * profile_margin_share(&clients[i].profile, agentcrm_margin_rate));
		tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
	}
	return (Datum) 0;
}

/* agentcrm.forecast_items(client_ids, as_of, days): products that a client has bought before. */
Datum
agentcrm_forecast_items(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Population *population = profile_population();
	int			days = days_argument(fcinfo);
	int			n;
	ClientSnapshot *clients = snapshot_arguments(fcinfo, &n);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < clients[i].n_products; j++)
		{
			double		inclusion = profile_inclusion(&clients[i], &clients[i].products[j]);
			Datum		values[4] = {
				Int64GetDatum(clients[i].client_id), Int64GetDatum(clients[i].products[j].product_id), Float8GetDatum(inclusion),
				Float8GetDatum(profile_item_within(&clients[i], population, inclusion, days))
			};
			bool		isnull[4] = {false};

			tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
		}
	return (Datum) 0;
}
