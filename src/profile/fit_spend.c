/*
 * fit_spend.c
 *		A new generation of kind spend: how order values differ between clients
 *		and between a client's orders.
 *
 * Takes what the assessment takes: orders and their mean net value of the last
 * 12 months, else of all.  Mean values beyond the 99 % quantile count as that,
 * lest one absurd amount makes up the tail.
 */
#include "postgres.h"

#include <math.h>

#include "profile/fit.h"
#include "profile/population.h"

#define TRIMMED_SHARE 0.99

/* The mean value that a share of the groups does not exceed. */
static double
value_quantile(const SpendGroup *groups, int n, double share)
{
	double	   *values = palloc(Max(n, 1) * sizeof(double));
	double		result;

	for (int i = 0; i < n; i++)
		values[i] = groups[i].mean;
	qsort(values, n, sizeof(double), fit_compare_doubles);
	result = n == 0 ? 0 : values[Min(n - 1, (int) floor(share * n))];
	pfree(values);
	return result;
}

void
fit_spend(const ClientSample *sample, const Population *before, TimestampTz as_of)
{
	SpendGroup *groups = palloc(Max(sample->n, 1) * sizeof(SpendGroup));
	double		most;
	SpendFit	fit;
	bool		fitted;
	StringInfoData json;
	int			n = 0;

	for (int i = 0; i < sample->n; i++)
		if (sample->clients[i].order_value > 0)
			groups[n++] = (SpendGroup) {sample->clients[i].orders, sample->clients[i].order_value, 1};
	most = value_quantile(groups, n, TRIMMED_SHARE);
	for (int i = 0; i < n; i++)
		groups[i].mean = Min(groups[i].mean, most);
	fitted = spend_fit(groups, n, before->spend_fitted ? &before->spend : NULL, fit_check_interrupts, &fit);
	initStringInfo(&json);
	fit_append_number(&json, "{\"p\": ", fit.model.p);
	fit_append_number(&json, ", \"q\": ", fit.model.q);
	fit_append_number(&json, ", \"gamma\": ", fit.model.gamma);
	fit_append_number(&json, ", \"trimmed_at\": ", most);
	fit_append_number(&json, ", \"evaluations\": ", fit.evaluations);
	fit_append_number(&json, ", \"converged\": ", fit.converged);
	fit_append_number(&json, ", \"fitted\": ", fitted);
	appendStringInfoChar(&json, '}');
	fit_write_generation("spend", json.data, (int64) fit.n, fitted ? fit.log_likelihood : NAN, as_of);
	pfree(groups);
}
