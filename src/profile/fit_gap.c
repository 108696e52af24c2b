/*
 * fit_gap.c
 *		A new generation of kind gap: the prior of the gaps between orders.
 *
 * Judged by P(an order within the window), as it stands for a client's fate
 * until a repurchase model is fitted.
 */
#include "postgres.h"

#include <math.h>

#include "model/score.h"
#include "profile/fit.h"
#include "profile/outlook.h"
#include "profile/population.h"

static bool
gap_loss(const FitWindow *window, int i, const void *model, double *loss)
{
	const GapCase *c = &window->gaps[i];
	Outlook		outlook = {.prior = model, .gaps = c->gaps, .elapsed = c->waited};

	*loss = score_loss(outlook_order_within(&outlook, window->span), c->ordered);
	return true;
}

/* The prior of what was known when the window began. */
static bool
estimate_before(const FitWindow *window, GapPrior *prior)
{
	GapMoments *moments = palloc0(sizeof(GapMoments));

	for (int i = 0; window && i < window->n_gaps; i++)
		if (window->gaps[i].gaps.n > 0)
			gap_moments_add(moments, &window->gaps[i].gaps);
	return gap_prior_estimate(moments, prior);
}

static char *
params_of(const GapPrior *prior, bool fitted)
{
	StringInfoData json;

	initStringInfo(&json);
	fit_append_number(&json, "{\"k\": ", prior->k);
	fit_append_number(&json, ", \"r\": ", prior->r);
	fit_append_number(&json, ", \"alpha\": ", prior->alpha);
	fit_append_number(&json, ", \"clients\": ", prior->n_clients);
	fit_append_number(&json, ", \"fitted\": ", fitted);
	for (int c = 0; c < GAP_SHAPES; c++)
		fit_append_number(&json, c == 0 ? ", \"shape\": [" : ", ", prior->shape_weight[c]);
	appendStringInfoString(&json, "]}");
	return json.data;
}

void
fit_gap(const GapMoments *moments, const Population *before, const FitWindow *window, TimestampTz as_of)
{
	GapPrior	prior;
	GapPrior	then;
	bool		fitted = gap_prior_estimate(moments, &prior);
	FitTrial	trial = {.n = window ? window->n_gaps : 0, .loss = gap_loss};

	if (!fitted)
		prior = *population_weak_gap_prior();
	trial.made = fitted ? &prior : NULL;
	trial.before = estimate_before(window, &then) ? &then : NULL;
	trial.standing = before->gap_fitted ? &before->gap : NULL;
	fit_write_judged("gap", params_of(&prior, fitted), (int64) prior.n_clients, NAN, as_of, &trial, window);
}
