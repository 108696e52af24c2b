/*
 * spend.c
 *		What an order of a client is worth: the Gamma-Gamma model of spend.
 *
 * Fader, Hardie, Lee 2005b (J. Marketing Research 42, 415-430, section on
 * monetary value) and Fader, Hardie 2013 ("The Gamma-Gamma Model of Monetary
 * Value", note).  Speaks of clients with at least one order of positive value;
 * extreme values are the caller's to trim.
 */
#include <math.h>

#include "model.h"

/* Whether the parameters are positive and finite, and the population has a mean (q > 1). */
bool
spend_model_valid(const SpendModel *model)
{
	return model->p > 0.0 && isfinite(model->p) && model->q > 1.0 && isfinite(model->q)
		&& model->gamma > 0.0 && isfinite(model->gamma);
}

static bool
valid(const SpendModel *model, double x, double mean)
{
	return spend_model_valid(model) && x >= 1.0 && isfinite(x) && mean > 0.0 && isfinite(mean);
}

/* ln of gamma / (gamma + total) and of total / (gamma + total), either to full precision. */
static double
log_share(double part, double rest)
{
	return -log1p(rest / part);
}

/*
 * ln f(mean | x orders) (note, eq 1a): lnGamma(px + q) - lnGamma(px) - lnGamma(q)
 * + q ln gamma + (px - 1) ln mean + px ln x - (px + q) ln(gamma + x mean).
 * The terms that grow are paired, so that many orders do not cost digits.
 * NaN outside q > 1, x >= 1, mean > 0.
 */
double
spend_log_likelihood(const SpendModel *model, double x, double mean)
{
	double		px = model->p * x;
	double		total = x * mean;

	if (!valid(model, x, mean))
		return NAN;
	return model_log_gamma_ratio(px, model->q) - lgamma(model->q) - log(mean)
		+ model->q * log_share(model->gamma, total) + px * log_share(total, model->gamma);
}

/* Derivatives of spend_log_likelihood by ln p, ln q and ln gamma; false and NaN outside its domain. */
bool
spend_gradient(const SpendModel *model, double x, double mean, double gradient[SPEND_PARAMETERS])
{
	double		px = model->p * x;
	double		total = x * mean;
	double		psi;

	if (!valid(model, x, mean))
	{
		gradient[0] = gradient[1] = gradient[2] = NAN;
		return false;
	}
	psi = model_digamma(px + model->q);
	gradient[0] = px * (psi - model_digamma(px) + log_share(total, model->gamma));
	gradient[1] = model->q * (psi - model_digamma(model->q) + log_share(model->gamma, total));
	gradient[2] = (model->q * total - px * model->gamma) / (model->gamma + total);
	return true;
}

/* Mean value of an order of a client of whom nothing is known: p gamma / (q - 1). NaN for q <= 1. */
double
spend_population_mean(const SpendModel *model)
{
	return spend_model_valid(model) ? model->p * model->gamma / (model->q - 1.0) : NAN;
}

/*
 * E[mean value of an order | x orders of the mean value given] = p (gamma + x
 * mean) / (px + q - 1) (note, eq 5): the client's own mean and the population's,
 * weighted by px and q - 1.  Without a usable value of its own a client has the
 * population's.  NaN for an invalid model.
 */
double
spend_expected(const SpendModel *model, double x, double mean)
{
	if (!valid(model, x, mean))
		return spend_population_mean(model);
	return model->p * (model->gamma + x * mean) / (model->p * x + model->q - 1.0);
}

/* ---- fit ---- */

#define SCALED_START {2.0, 3.0, 1.0}	/* of values whose mean is 1 */
#define LOG_BOX 12.0
#define LEAST_ABOVE_1 0.01
#define MAX_EVALUATIONS 200
#define TOLERANCE 1e-9
#define CHECK_GROUPS 1024

typedef struct Data
{
	const SpendGroup *groups;
	int			n_groups;
	double		scale;			/* unit of money in which the mean value is 1 */
	double		n;
	void		(*check) (void);
} Data;

static bool
usable(const SpendGroup *g)
{
	return g->x >= 1.0 && isfinite(g->x) && g->mean > 0.0 && isfinite(g->mean) && g->n > 0.0 && isfinite(g->n);
}

/* Variables are ln p, ln(q - 1) and ln(gamma / scale), so that no step leaves the domain. */
static SpendModel
model_at(const double *at)
{
	return (SpendModel) {exp(at[0]), 1.0 + exp(at[1]), exp(at[2])};
}

/* Minus the log likelihood a client, values in units of scale. */
static double
objective(const double *at, double *gradient, void *arg)
{
	const Data *data = arg;
	SpendModel	model = model_at(at);
	double		sum = 0.0;

	gradient[0] = gradient[1] = gradient[2] = 0.0;
	for (int i = 0; i < data->n_groups; i++)
	{
		const SpendGroup *g = &data->groups[i];
		double		own[SPEND_PARAMETERS];

		if (i % CHECK_GROUPS == 0 && data->check)
			data->check();
		if (!usable(g))
			continue;
		spend_gradient(&model, g->x, g->mean / data->scale, own);
		sum -= g->n / data->n * spend_log_likelihood(&model, g->x, g->mean / data->scale);
		for (int j = 0; j < SPEND_PARAMETERS; j++)
			gradient[j] -= g->n / data->n * own[j];
	}
	gradient[1] *= (model.q - 1.0) / model.q;
	return sum;
}

/*
 * The maximum-likelihood model of the clients' (x, mean value), from start or,
 * if NULL, from values of little regularity.  q - 1 stays within [0.01, e^12], p
 * and gamma / mean value within e^-12 and e^12: where the likelihood has no inner
 * maximum the fit ends there.  False, and no model, below SPEND_MIN_CLIENTS
 * valid clients.
 */
bool
spend_fit(const SpendGroup *groups, int n_groups, const SpendModel *start, void (*check) (void), SpendFit *fit)
{
	Data		data = {groups, n_groups, 0.0, 0.0, check};
	SpendModel	from = SCALED_START;
	MinimiseMemory memory = {0};
	MinimiseResult result;
	double		at[SPEND_PARAMETERS];

	*fit = (SpendFit) {.log_likelihood = NAN};
	for (int i = 0; i < n_groups; i++)
	{
		if (!usable(&groups[i]))
		{
			fit->n_invalid += isfinite(groups[i].n) ? fmax(0.0, groups[i].n) : 0.0;
			continue;
		}
		data.n += groups[i].n;
		data.scale += groups[i].n * (groups[i].mean - data.scale) / data.n;
	}
	fit->n = data.n;
	if (data.n < SPEND_MIN_CLIENTS || !isfinite(data.scale))
		return false;
	if (start != NULL && spend_model_valid(start))
		from = (SpendModel) {start->p, start->q, start->gamma / data.scale};
	at[0] = log(from.p);
	at[1] = log(from.q - 1.0);
	at[2] = log(from.gamma);
	model_minimise(&(Minimise) {
		.function = objective, .arg = &data, .n = SPEND_PARAMETERS,
		.low = {-LOG_BOX, log(LEAST_ABOVE_1), -LOG_BOX}, .high = {LOG_BOX, LOG_BOX, LOG_BOX},
		.tolerance = TOLERANCE, .max_evaluations = MAX_EVALUATIONS
	}, at, &memory, &result);
	fit->evaluations = result.evaluations;
	fit->converged = result.converged;
	fit->model = model_at(at);
	fit->model.gamma *= data.scale;
	fit->log_likelihood = -data.n * (result.value + log(data.scale));
	return isfinite(fit->log_likelihood) && spend_model_valid(&fit->model);
}
