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

/* ln f(mean value of the window's orders | those before): these make the population's gamma distribution the client's own. */
static bool
spend_loss(const FitWindow *window, int i, const void *model, double *loss)
{
	const SpendCase *c = &window->spend[i];
	const SpendModel *m = model;
	SpendModel	own = {.p = m->p, .q = m->q + m->p * c->x, .gamma = m->gamma + c->x * c->mean};

	*loss = -spend_log_likelihood(&own, c->orders, c->value);
	return c->orders > 0 && c->value > 0;
}

/* Values beyond the limit count as that, in the window, too. */
static bool
fit_before(FitWindow *window, double most, const SpendModel *start, SpendFit *fit)
{
	SpendGroup *groups = palloc(Max(window->n_spend, 1) * sizeof(SpendGroup));
	bool		fitted;

	for (int i = 0; i < window->n_spend; i++)
	{
		SpendCase  *c = &window->spend[i];

		c->mean = Min(c->mean, most);
		c->value = Min(c->value, most);
		groups[i] = (SpendGroup) {c->x, c->mean, 1};
	}
	fitted = spend_fit(groups, window->n_spend, start, fit_check_interrupts, fit);
	pfree(groups);
	return fitted;
}

static char *
params_of(const SpendFit *fit, bool fitted, double most)
{
	StringInfoData json;

	initStringInfo(&json);
	fit_append_number(&json, "{\"p\": ", fit->model.p);
	fit_append_number(&json, ", \"q\": ", fit->model.q);
	fit_append_number(&json, ", \"gamma\": ", fit->model.gamma);
	fit_append_number(&json, ", \"trimmed_at\": ", most);
	fit_append_number(&json, ", \"evaluations\": ", fit->evaluations);
	fit_append_number(&json, ", \"converged\": ", fit->converged);
	fit_append_number(&json, ", \"fitted\": ", fitted);
	appendStringInfoChar(&json, '}');
	return json.data;
}

void
fit_spend(const ClientSample *sample, const Population *before, FitWindow *window, TimestampTz as_of)
{
	SpendGroup *groups = palloc(Max(sample->n, 1) * sizeof(SpendGroup));
	const SpendModel *standing = before->spend_fitted ? &before->spend : NULL;
	FitTrial	trial = {.n = window ? window->n_spend : 0, .loss = spend_loss, .standing = standing};
	double		most;
	SpendFit	fit;
	SpendFit	then;
	bool		fitted;
	int			n = 0;

	for (int i = 0; i < sample->n; i++)
		if (sample->clients[i].order_value > 0)
			groups[n++] = (SpendGroup) {sample->clients[i].orders, sample->clients[i].order_value, 1};
	most = value_quantile(groups, n, TRIMMED_SHARE);
	for (int i = 0; i < n; i++)
		groups[i].mean = Min(groups[i].mean, most);
	fitted = spend_fit(groups, n, standing, fit_check_interrupts, &fit);
	trial.made = fitted ? &fit.model : NULL;
	if (fitted && window && fit_before(window, most, &fit.model, &then))
		trial.before = &then.model;
	fit_write_judged("spend", params_of(&fit, fitted, most), (int64) fit.n, fitted ? fit.log_likelihood : NAN, as_of, &trial, window);
	pfree(groups);
}
