/*
 * inclusion_fit.c
 *		The population's BG/BB parameters from pairs grouped by their statistics.
 *
 * Likelihood and gradient need gamma functions at a, b, a + b, d and c + d plus
 * an integer only: five tables per evaluation, then sums and products.
 */
#include <math.h>
#include <string.h>

#include "model.h"

/* What a term of a pair's likelihood is worth, and its derivatives by a, b, c, d. */
typedef struct Term
{
	double		log;
	double		gradient[INCLUSION_PARAMETERS];
} Term;

static void
fill_table(double *logs, double *inverses, double base, int most)
{
	logs[0] = inverses[0] = 0.0;
	for (int k = 0; k < most; k++)
	{
		logs[k + 1] = logs[k] + log(base + k);
		inverses[k + 1] = inverses[k] + 1.0 / (base + k);
	}
}

static void
fill_tables(InclusionWorkspace *w, const InclusionModel *m, int most)
{
	fill_table(w->a.logs, w->a.inverses, m->a, most);
	fill_table(w->b.logs, w->b.inverses, m->b, most);
	fill_table(w->ab.logs, w->ab.inverses, m->a + m->b, most);
	fill_table(w->d.logs, w->d.inverses, m->d, most);
	fill_table(w->cd.logs, w->cd.inverses, m->c + m->d, most + 1);
}

/* Alive for n orders, x of which held the product; then, if it died, before one more (eq 5). */
static Term
term_of(const InclusionWorkspace *w, const InclusionModel *m, int x, int n, bool died)
{
	int			ages = died ? n + 1 : n;
	Term		t = {
		w->a.logs[x] + w->b.logs[n - x] - w->ab.logs[n] + w->d.logs[n] - w->cd.logs[ages],
		{
			w->a.inverses[x] - w->ab.inverses[n],
			w->b.inverses[n - x] - w->ab.inverses[n],
			-w->cd.inverses[ages],
			w->d.inverses[n] - w->cd.inverses[ages]
		}
	};

	if (died)
	{
		t.log += log(m->c);
		t.gradient[2] += 1.0 / m->c;
	}
	return t;
}

/* ln likelihood of a pair; adds weight times its derivatives to the gradient. */
static double
add_pair(const InclusionWorkspace *w, const InclusionModel *m, const PairStats *p, double weight,
		 double gradient[INCLUSION_PARAMETERS])
{
	Term		alive = term_of(w, m, p->x, p->n, false);
	Term		died;
	double		first,
				total,
				term,
				sums[INCLUSION_PARAMETERS] = {0.0};

	if (p->n == p->last)
	{
		for (int j = 0; j < INCLUSION_PARAMETERS; j++)
			gradient[j] += weight * alive.gradient[j];
		return alive.log;
	}
	died = term_of(w, m, p->x, p->last, true);
	/* the larger of the two stands for 1 */
	first = fmax(alive.log, died.log);
	term = exp(died.log - first);
	total = exp(alive.log - first);
	for (int j = 0; j < INCLUSION_PARAMETERS; j++)
		sums[j] = total * alive.gradient[j];
	for (int n = p->last; n < p->n; n++)
	{
		total += term;
		sums[0] += term * (w->a.inverses[p->x] - w->ab.inverses[n]);
		sums[1] += term * (w->b.inverses[n - p->x] - w->ab.inverses[n]);
		sums[2] += term * (1.0 / m->c - w->cd.inverses[n + 1]);
		sums[3] += term * (w->d.inverses[n] - w->cd.inverses[n + 1]);
		term *= (m->b + (n - p->x)) * (m->d + n) / ((m->a + m->b + n) * (m->c + m->d + n + 1));
	}
	for (int j = 0; j < INCLUSION_PARAMETERS; j++)
		gradient[j] += weight * sums[j] / total;
	return first + log(total);
}

#define CHECK_GROUPS 64			/* of up to a thousand terms each */

/* Pairs a fit can learn from: a later order, and not too many. */
static bool
usable(const PairGroup *group)
{
	return pair_valid(&group->pair) && group->pair.n > 0 && group->pair.n <= INCLUSION_FIT_ORDERS
		&& group->n_pairs > 0.0 && isfinite(group->n_pairs);
}

static double
evaluate(const PairGroup *groups, int n_groups, const InclusionModel *model, InclusionWorkspace *workspace,
		 void (*check) (void), double gradient[INCLUSION_PARAMETERS])
{
	double		sum = 0.0;
	int			most = 0;

	memset(gradient, 0, INCLUSION_PARAMETERS * sizeof(double));
	if (!inclusion_model_valid(model))
		return NAN;
	for (int i = 0; i < n_groups; i++)
		if (usable(&groups[i]) && groups[i].pair.n > most)
			most = groups[i].pair.n;
	fill_tables(workspace, model, most);
	for (int i = 0; i < n_groups; i++)
	{
		if (i % CHECK_GROUPS == 0 && check)
			check();
		if (usable(&groups[i]))
			sum += groups[i].n_pairs * add_pair(workspace, model, &groups[i].pair, groups[i].n_pairs, gradient);
	}
	gradient[0] *= model->a;
	gradient[1] *= model->b;
	gradient[2] *= model->c;
	gradient[3] *= model->d;
	return sum;
}

/*
 * ln likelihood of all usable pairs (eq 5) and its derivatives by ln a, ln b, ln
 * c and ln d.  NaN for an invalid model.
 */
double
inclusion_evaluate(const PairGroup *groups, int n_groups, const InclusionModel *model,
				   InclusionWorkspace *workspace, double gradient[INCLUSION_PARAMETERS])
{
	return evaluate(groups, n_groups, model, workspace, NULL, gradient);
}

#define LOG_BOX 12.0
#define MAX_EVALUATIONS 200
#define TOLERANCE 1e-9

/* Of a population of which nothing is known: a + b, c and d. */
#define START_AB 4.0
#define START_C 0.2
#define START_D 4.0

typedef struct Data
{
	const PairGroup *groups;
	int			n_groups;
	double		n;
	InclusionWorkspace *workspace;
	void		(*check) (void);
} Data;

static double
objective(const double *at, double *gradient, void *arg)
{
	Data	   *data = arg;
	InclusionModel model = {exp(at[0]), exp(at[1]), exp(at[2]), exp(at[3])};
	double		value = evaluate(data->groups, data->n_groups, &model, data->workspace, data->check, gradient);

	for (int j = 0; j < INCLUSION_PARAMETERS; j++)
		gradient[j] /= -data->n;
	return value / -data->n;
}

/*
 * The maximum-likelihood model of grouped pairs, from start or, if NULL, from
 * the share of orders with the product.  Parameters stay within e^-12 and e^12:
 * where the likelihood has no inner maximum (no pair ever dies, all products are
 * alike) the fit ends there.  False, and no model, below INCLUSION_MIN_PAIRS
 * pairs with a later order.
 */
bool
inclusion_fit(const PairGroup *groups, int n_groups, const InclusionModel *start,
			  InclusionWorkspace *workspace, void (*check) (void), InclusionFit *fit)
{
	Data		data = {groups, n_groups, 0.0, workspace, check};
	InclusionModel from;
	MinimiseMemory memory = {0};
	MinimiseResult result;
	double		repeats = 0.0;
	double		orders = 0.0;
	double		at[INCLUSION_PARAMETERS];

	*fit = (InclusionFit) {.log_likelihood = NAN};
	for (int i = 0; i < n_groups; i++)
	{
		if (!usable(&groups[i]))
		{
			fit->n_invalid += isfinite(groups[i].n_pairs) ? fmax(0.0, groups[i].n_pairs) : 0.0;
			continue;
		}
		fit->n += groups[i].n_pairs;
		repeats += groups[i].n_pairs * groups[i].pair.x;
		orders += groups[i].n_pairs * groups[i].pair.n;
	}
	if (fit->n < INCLUSION_MIN_PAIRS)
		return false;
	from.a = START_AB * fmax(0.01, fmin(0.99, repeats / orders));
	from.b = START_AB - from.a;
	from.c = START_C;
	from.d = START_D;
	if (start != NULL && inclusion_model_valid(start))
		from = *start;
	at[0] = log(from.a);
	at[1] = log(from.b);
	at[2] = log(from.c);
	at[3] = log(from.d);
	data.n = fit->n;
	model_minimise(&(Minimise) {
		.function = objective, .arg = &data, .n = INCLUSION_PARAMETERS,
		.low = {-LOG_BOX, -LOG_BOX, -LOG_BOX, -LOG_BOX}, .high = {LOG_BOX, LOG_BOX, LOG_BOX, LOG_BOX},
		.tolerance = TOLERANCE, .max_evaluations = MAX_EVALUATIONS
	}, at, &memory, &result);
	fit->evaluations = result.evaluations;
	fit->converged = result.converged;
	fit->model = (InclusionModel) {exp(at[0]), exp(at[1]), exp(at[2]), exp(at[3])};
	fit->log_likelihood = -fit->n * result.value;
	return isfinite(fit->log_likelihood) && inclusion_model_valid(&fit->model);
}
