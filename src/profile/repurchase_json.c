/*
 * repurchase_json.c
 *		Parameters of the repurchase model as jsonb and back, to the last bit.
 *
 * Days are the unit of alpha.
 */
#include "postgres.h"

#include <math.h>

#include "json.h"
#include "profile/population.h"

#define LOG_MOST 50.0			/* parameters within e^-50 and e^50 */

/* {"r", "alpha", "a", "b", "k": [...], "weight": [...], "calibration": [intercept, slope], "interval": scale, "value_class": [A, B]} */
Jsonb *
repurchase_to_json(const Repurchase *repurchase)
{
	const RepurchaseModel *m = &repurchase->model;
	const double calibration[2] = {repurchase->calibration.intercept, repurchase->calibration.slope};
	const double value_class[2] = {repurchase->value_a, repurchase->value_b};
	double		k[REPURCHASE_CLASSES];
	JsonbParseState *state = NULL;

	for (int i = 0; i < m->n_classes; i++)
		k[i] = m->k[i];
	json_begin(&state);
	json_exact(&state, "r", m->r);
	json_exact(&state, "alpha", m->alpha);
	json_exact(&state, "a", m->a);
	json_exact(&state, "b", m->b);
	json_numbers(&state, "k", k, m->n_classes);
	json_numbers(&state, "weight", m->weight, m->n_classes);
	json_numbers(&state, "calibration", calibration, 2);
	json_exact(&state, "interval", repurchase->interval);
	json_numbers(&state, "value_class", value_class, 2);
	return json_end(&state);
}

/* Classes and their weights; without any, k = 1. */
static bool
read_classes(Jsonb *params, RepurchaseModel *model)
{
	double		k;
	double		none;

	while (population_number(params, "k", model->n_classes, &k))
	{
		if (model->n_classes == REPURCHASE_CLASSES || k != rint(k) || fabs(k) > REPURCHASE_K_MAX ||
			!population_number(params, "weight", model->n_classes, &model->weight[model->n_classes]))
			return false;
		model->k[model->n_classes++] = (int) k;
	}
	if (model->n_classes == 0)
	{
		model->n_classes = 1;
		model->k[0] = 1;
		model->weight[0] = 1;
		return !population_number(params, "weight", 0, &none);
	}
	return !population_number(params, "weight", model->n_classes, &none);
}

/* Far beyond any model, and near enough for no formula to leave the numbers there are. */
static bool
read_positive(Jsonb *params, const char *name, double *value)
{
	return population_number(params, name, -1, value) && *value > 0 && fabs(log(*value)) <= LOG_MOST;
}

/* False where the parameters make no model: something is missing, or out of its domain. */
bool
repurchase_from_json(Jsonb *params, Repurchase *repurchase)
{
	RepurchaseModel *model = &repurchase->model;
	Calibration *calibration = &repurchase->calibration;
	double		m = 1;

	memset(repurchase, 0, sizeof(Repurchase));
	calibration->slope = 1;
	repurchase->interval = 1;
	(void) population_number(params, "m", -1, &m);
	model->m = m == 1;
	if ((m != 0 && m != 1) ||
		!read_positive(params, "r", &model->r) ||
		!read_positive(params, "alpha", &model->alpha) ||
		!read_positive(params, "a", &model->a) ||
		!read_positive(params, "b", &model->b) ||
		!read_classes(params, model))
		return false;
	(void) population_number(params, "calibration", 0, &calibration->intercept);
	(void) population_number(params, "calibration", 1, &calibration->slope);
	(void) population_number(params, "interval", -1, &repurchase->interval);
	return repurchase_model_valid(model) && isfinite(calibration->intercept) && calibration->slope > 0 &&
		isfinite(calibration->slope) && repurchase->interval > 0 && isfinite(repurchase->interval);
}
