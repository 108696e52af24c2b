/*
 * repurchase_fit.c
 *		Fits the (M)BG/CNBD-k model and its mixture over k to many clients by
 *		maximum likelihood, with the analytic gradient.
 *
 * The variables are ln r, ln(alpha / mean T), ln a, ln b and, for a mixture, the
 * weights w themselves: log(sum_k w_k f_k) - sum_k w_k needs no constraint but w >=
 * 0, its maximum has weights that sum to 1, and a class that is not there gets to
 * 0 in a step, which a logit never does.  What depends on x or on a time alone is tabulated once per
 * evaluation; a group of clients then costs one exponential per class, one more
 * to mix them, and one logarithm.  Memory is the caller's.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "repurchase_class.h"

#define BASE REPURCHASE_PARAMETERS	/* variables besides the weights */
#define MAX_X 1024				/* distinct x with a place in the table */
#define MAX_TIMES 16384			/* distinct times */
#define LOG_BOX 12.0
#define LEAST_WEIGHT 1e-13
#define MOST_WEIGHT 2.0
#define FAR_LOG 8.0
#define FEW_CLIENTS 200
#define WEAK_PRECISION 0.25		/* LogN(0, 2) */
#define NO_DEFECTION 1e-3
#define TOLERANCE 1e-9			/* of a derivative per client */
#define MIXTURE_TOLERANCE 1e-7
#define MAX_EVALUATIONS 300
#define CHECK_ROWS 2048
#define SAMPLE_FROM 4096		/* groups worth a fit to a sample first */
#define SAMPLE_STRIDE 8
#define LARGE 8.0				/* times the mean of clients a group */
#define SAMPLE_TOLERANCE 3e-5

/* What x and a class say under the current parameters. */
typedef struct OrdersClass
{
	double		shape;			/* R = r + k x */
	double		log_orders;		/* ln Gamma(R)/Gamma(r) + r ln(alpha/k) - x ln Gamma(k) */
	double		digamma;		/* psi(R) - psi(r) + ln(alpha/k) */
	double		stage[REPURCHASE_K_MAX];	/* (R)_j / j! */
	double		stage_r[REPURCHASE_K_MAX];	/* its derivative by r */
} OrdersClass;

/* What x says. */
typedef struct Orders
{
	double		log_stay;		/* ln B(a, b + n)/B(a, b), n = x + m */
	double		stay_a;			/* its derivative by ln a */
	double		stay_b;			/* by ln b */
	double		log_odds;		/* ln a/(b'-1), or -infinity */
	double		odds_b;			/* b/(b'-1) */
	OrdersClass of[REPURCHASE_CLASSES];
} Orders;

/* What a time says, class by class. */
typedef struct Times
{
	struct
	{
		double		log_scale;	/* ln(alpha/k + t) */
		double		per_scale;	/* 1/(alpha/k + t) */
	}			of[REPURCHASE_CLASSES];
} Times;

/* Distinct values and their places; a value beyond the room has none. */
typedef struct Distinct
{
	int			n;
	int			room;
	int			mask;
	double	   *value;
	int32_t    *slot;
} Distinct;

/* A group, and where it finds its table rows: -1 where there is no room for it. */
typedef struct Row
{
	double		n;				/* 0: invalid */
	double		sum_log;
	int32_t		x;
	int32_t		tx;
	int32_t		T;
} Row;

typedef struct Fit
{
	const BuyerGroup *groups;
	int			n_groups;
	const RepurchaseFitOptions *options;
	int			n_variables;
	double		n;
	double		n_invalid;
	double		mean_T;
	double		start_rate;		/* orders per time, roughly */
	Row		   *rows;
	Distinct	xs;
	Distinct	times;
	Orders	   *orders_table;
	Times	   *times_table;
	RepurchaseModel model;		/* of the evaluation under way */
	int			stride;			/* 1: all groups; else large ones and every so many */
	double		large;			/* clients that make a group a large one */
	double		precision;		/* of the prior on each log parameter */
	double		center[BASE + REPURCHASE_CLASSES];
} Fit;

/* ---- places ---- */

static uint64_t
hash_double(double value)
{
	uint64_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	bits ^= bits >> 32;
	bits *= UINT64_C(0x9E3779B97F4A7C15);
	return bits ^ (bits >> 29);
}

static int
power_above(int n)
{
	int			p = 16;

	while (p < n && p < (1 << 30))
		p *= 2;
	return p;
}

static int32_t
place_of(Distinct *set, double value)
{
	int			slot = (int) (hash_double(value) & (uint64_t) set->mask);

	for (; set->slot[slot] >= 0; slot = (slot + 1) & set->mask)
		if (set->value[set->slot[slot]] == value)
			return set->slot[slot];
	if (set->n >= set->room)
		return -1;
	set->value[set->n] = value;
	set->slot[slot] = set->n;
	return set->n++;
}

static size_t
aligned(size_t size)
{
	return (size + 15) & ~(size_t) 15;
}

static size_t
distinct_size(int room)
{
	return aligned(sizeof(double) * room) + aligned(sizeof(int32_t) * power_above(2 * room));
}

static char *
make_distinct(Distinct *set, int room, char *memory)
{
	set->n = 0;
	set->room = room;
	set->mask = power_above(2 * room) - 1;
	set->value = (double *) memory;
	set->slot = (int32_t *) (memory + aligned(sizeof(double) * room));
	for (int i = 0; i <= set->mask; i++)
		set->slot[i] = -1;
	return memory + distinct_size(room);
}

static int
at_most(int n, int limit)
{
	return n < limit ? (n > 0 ? n : 1) : limit;
}

static int
rooms_for_times(int n_groups)
{
	return n_groups >= MAX_TIMES / 2 ? MAX_TIMES : at_most(2 * n_groups, MAX_TIMES);
}

/* Bytes repurchase_fit needs: 32 a group and at most 4.1 MB. */
size_t
repurchase_fit_workspace(int n_groups)
{
	int			xs = at_most(n_groups, MAX_X);
	int			times = rooms_for_times(n_groups);

	return aligned(sizeof(Row) * (size_t) n_groups)
		+ distinct_size(xs) + distinct_size(times)
		+ aligned(sizeof(Orders) * xs) + aligned(sizeof(Times) * times);
}

/* Lays out the workspace and gives each valid group its places. */
static void
place_groups(Fit *fit, char *memory)
{
	int			n = fit->n_groups;
	double		orders = 0.0;
	double		time = 0.0;

	fit->rows = (Row *) memory;
	memory += aligned(sizeof(Row) * (size_t) n);
	memory = make_distinct(&fit->xs, at_most(n, MAX_X), memory);
	memory = make_distinct(&fit->times, rooms_for_times(n), memory);
	fit->orders_table = (Orders *) memory;
	fit->times_table = (Times *) (memory + aligned(sizeof(Orders) * fit->xs.room));
	for (int i = 0; i < n; i++)
	{
		const BuyerGroup *g = &fit->groups[i];

		if (!buyer_valid(&g->buyer) || !(g->n > 0.0) || !isfinite(g->n))
		{
			fit->n_invalid += g->n > 0.0 && isfinite(g->n) ? g->n : 0.0;
			fit->rows[i].n = 0.0;
			continue;
		}
		fit->rows[i] = (Row) {
			g->n, g->buyer.sum_log, place_of(&fit->xs, g->buyer.x), place_of(&fit->times, g->buyer.tx), place_of(&fit->times, g->buyer.T)
		};
		fit->n += g->n;
		orders += g->n * g->buyer.x;
		time += g->n * g->buyer.T;
	}
	fit->large = LARGE * fit->n / n;
	fit->mean_T = time > 0.0 ? time / fit->n : 1.0;
	fit->start_rate = fmax(orders, 0.5) / fmax(time, DBL_MIN);
}

/* ---- tables ---- */

static void
fill_orders_class(OrdersClass *o, const RepurchaseModel *model, int i, int x)
{
	int			k = model->k[i];
	double		alpha = model->alpha / k;
	double		h = 0.0;
	double		events = (double) k * x;

	o->shape = model->r + events;
	o->log_orders = model->r * log(alpha) - x * lgamma(k);
	o->digamma = log(alpha);
	if (x > 0)
	{
		o->log_orders += model_log_gamma_ratio(model->r, events);
		o->digamma += model_digamma(o->shape) - model_digamma(model->r);
	}
	o->stage[0] = 1.0;
	o->stage_r[0] = 0.0;
	for (int j = 1; j < k; j++)
	{
		h += 1.0 / (o->shape + (j - 1));
		o->stage[j] = o->stage[j - 1] * (o->shape + (j - 1)) / j;
		o->stage_r[j] = o->stage[j] * h;
	}
}

static void
fill_orders(Orders *o, const RepurchaseModel *model, int x)
{
	double		a = model->a;
	double		b = model->b;
	double		n = x + model->m;
	double		both;

	o->log_stay = 0.0;
	o->stay_a = 0.0;
	o->stay_b = 0.0;
	o->log_odds = -INFINITY;
	o->odds_b = 0.0;
	if (n > 0.0)
	{
		both = model_digamma(a + b) - model_digamma(a + b + n);
		o->log_stay = model_log_gamma_ratio(b, a) - model_log_gamma_ratio(b + n, a);
		o->stay_a = a * both;
		o->stay_b = b * (both + model_digamma(b + n) - model_digamma(b));
		o->log_odds = log(a / (b + (n - 1.0)));
		o->odds_b = b / (b + (n - 1.0));
	}
	for (int i = 0; i < model->n_classes; i++)
		fill_orders_class(&o->of[i], model, i, x);
}

static void
fill_times(Times *t, const RepurchaseModel *model, double time)
{
	for (int i = 0; i < model->n_classes; i++)
	{
		double		scale = model->alpha / model->k[i] + time;

		t->of[i].log_scale = log(scale);
		t->of[i].per_scale = 1.0 / scale;
	}
}

static void
fill_tables(Fit *fit)
{
	for (int i = 0; i < fit->xs.n; i++)
		fill_orders(&fit->orders_table[i], &fit->model, (int) fit->xs.value[i]);
	for (int i = 0; i < fit->times.n; i++)
		fill_times(&fit->times_table[i], &fit->model, fit->times.value[i]);
}

/* ---- likelihood and gradient ---- */

/* A client under one class: scaled likelihood, and derivatives of its logarithm. */
typedef struct ClassPoint
{
	double		log_scale;
	double		value;			/* likelihood / exp(log_scale) */
	double		by_r;			/* d ln likelihood / d r */
	double		by_alpha;		/* / d ln alpha */
	double		left;			/* share of "left at the last order" */
} ClassPoint;

/*
 * The likelihood of Reutterer, Platzer, Schroeder 2021, and by hand its
 * derivatives: S1 = exp(log_left) and S2 = stages are the two ways to be silent.
 */
static void
class_point(ClassPoint *p, const OrdersClass *o, const Times *tx, const Times *T, int i, int k,
			double alpha, double silence, double sum_log, double log_odds)
{
	double		wait = T->of[i].log_scale - tx->of[i].log_scale;
	double		log_left = log_odds + o->shape * wait;
	double		z = silence * T->of[i].per_scale;
	double		stages = o->stage[k - 1];
	double		stages_r = o->stage_r[k - 1];
	double		stages_z = 0.0;	/* derivative by z */
	double		left,
				share,
				live;

	for (int j = k - 2; j >= 0; j--)
	{
		stages_z = stages_z * z + stages;
		stages = stages * z + o->stage[j];
		stages_r = stages_r * z + o->stage_r[j];
	}
	p->log_scale = o->log_orders + (k - 1) * sum_log - o->shape * T->of[i].log_scale;
	if (log_left > 0.0)
	{
		double		e = exp(-log_left);

		p->log_scale += log_left;
		left = 1.0;
		stages *= e;
		stages_r *= e;
		stages_z *= e;
	}
	else
		left = exp(log_left);
	p->value = left + stages;
	share = 1.0 / p->value;
	p->left = left * share;
	live = stages_z * z * share;
	p->by_r = o->digamma - T->of[i].log_scale + p->left * wait + stages_r * share;
	p->by_alpha = -alpha * (T->of[i].per_scale * (o->shape + live)
							- p->left * o->shape * (T->of[i].per_scale - tx->of[i].per_scale));
}

/* Adds n clients of one group to the log-likelihood and its gradient. */
static double
add_group(const Fit *fit, int at, double n, double *gradient)
{
	const BuyerStats *buyer = &fit->groups[at].buyer;
	const RepurchaseModel *model = &fit->model;
	Row			row = fit->rows[at];
	double		silence = 0.0;
	Orders		own_orders;
	Times		own_tx,
				own_T;
	const Orders *orders = row.x >= 0 ? &fit->orders_table[row.x] : &own_orders;
	const Times *tx = row.tx >= 0 ? &fit->times_table[row.tx] : &own_tx;
	const Times *T = row.T >= 0 ? &fit->times_table[row.T] : &own_T;
	ClassPoint	point[REPURCHASE_CLASSES];
	double		highest = -INFINITY;
	double		sum = 0.0;

	if (row.x < 0)
		fill_orders(&own_orders, model, buyer->x);
	if (row.tx < 0)
		fill_times(&own_tx, model, buyer->tx);
	if (row.T < 0)
		fill_times(&own_T, model, buyer->T);
	if (model->n_classes > 1 || model->k[0] > 1)
		silence = (row.T >= 0 ? fit->times.value[row.T] : buyer->T) - (row.tx >= 0 ? fit->times.value[row.tx] : buyer->tx);
	for (int i = 0; i < model->n_classes; i++)
	{
		class_point(&point[i], &orders->of[i], tx, T, i, model->k[i], model->alpha / model->k[i],
					silence, row.sum_log, orders->log_odds);
		if (point[i].log_scale > highest)
			highest = point[i].log_scale;
	}
	for (int i = 0; i < model->n_classes; i++)
	{
		if (point[i].log_scale < highest)
			point[i].value *= exp(point[i].log_scale - highest);
		sum += model->weight[i] * point[i].value;
	}
	for (int i = 0; i < model->n_classes; i++)
	{
		double		lift = n * point[i].value / sum;
		double		share = lift * model->weight[i];

		gradient[0] += share * point[i].by_r;
		gradient[1] += share * point[i].by_alpha;
		gradient[2] += share * point[i].left;
		gradient[3] -= share * point[i].left * orders->odds_b;
		gradient[BASE + i] += lift;
	}
	gradient[2] += n * orders->stay_a;
	gradient[3] += n * orders->stay_b;
	return n * (highest + log(sum) + orders->log_stay);
}

/* The clients a group stands for in the sample, 0 for one that is not in it. */
static double
sampled(const Fit *fit, int at)
{
	double		n = fit->rows[at].n;

	if (fit->stride == 1 || n >= fit->large)
		return n;
	return at % fit->stride == 0 ? n * fit->stride : 0.0;
}

/* The data's log-likelihood and its gradient; *n is the clients behind it. */
static double
sum_groups(Fit *fit, double *gradient, double *n)
{
	double		total = 0.0;

	*n = 0.0;
	for (int from = 0; from < fit->n_groups; from += CHECK_ROWS)
	{
		double		part[BASE + REPURCHASE_CLASSES] = {0};
		double		value = 0.0;

		for (int i = from; i < fit->n_groups && i < from + CHECK_ROWS; i++)
		{
			double		clients = sampled(fit, i);

			if (clients > 0.0)
				value += add_group(fit, i, clients, part);
			*n += clients;
		}
		total += value;
		for (int i = 0; i < BASE + REPURCHASE_CLASSES; i++)
			gradient[i] += part[i];
		if (fit->options->check)
			fit->options->check(fit->options->check_arg);
	}
	gradient[0] *= fit->model.r;
	gradient[1] += *n * fit->model.r;
	return total;
}

/* ---- variables ---- */

static void
take_variables(Fit *fit, const double *at)
{
	RepurchaseModel *model = &fit->model;

	model->r = exp(at[0]);
	model->alpha = exp(at[1]) * fit->mean_T;
	model->a = exp(at[2]);
	model->b = exp(at[3]);
	for (int i = BASE; i < fit->n_variables; i++)
		model->weight[i - BASE] = at[i];
}

/* The log of the priors' density, up to a constant, added to the gradient. */
static double
add_priors(const Fit *fit, const double *at, double *gradient)
{
	const RepurchaseFitOptions *options = fit->options;
	double		value = 0.0;

	for (int i = 0; i < BASE && fit->precision > 0.0; i++)
	{
		double		off = at[i] - fit->center[i];

		value -= 0.5 * fit->precision * off * off;
		gradient[i] -= fit->precision * off;
	}
	if (!options->pool)
		return value;
	for (int i = 0; i < fit->n_variables - BASE; i++)
	{
		double		clients = options->pool_weight * options->pool->weight[i];

		value += clients * log(at[BASE + i]) - options->pool_weight * at[BASE + i];
		gradient[BASE + i] += clients / at[BASE + i] - options->pool_weight;
	}
	return value;
}

/* The minimiser's function: minus the log posterior per client. */
static double
objective(const double *at, double *gradient, void *arg)
{
	Fit		   *fit = arg;
	double		sum[BASE + REPURCHASE_CLASSES] = {0};
	double		value;
	double		n;

	take_variables(fit, at);
	fill_tables(fit);
	value = sum_groups(fit, sum, &n);
	value += add_priors(fit, at, sum);
	for (int i = BASE; i < fit->n_variables; i++)
	{
		value -= n * at[i];
		sum[i] -= n;
	}
	for (int i = 0; i < fit->n_variables; i++)
		gradient[i] = -sum[i] / n;
	return -value / n;
}

static void
give_variables(const Fit *fit, const RepurchaseModel *model, double *at)
{
	at[0] = log(model->r);
	at[1] = log(model->alpha / fit->mean_T);
	at[2] = log(model->a);
	at[3] = log(model->b);
	for (int i = BASE; i < fit->n_variables; i++)
		at[i] = model->weight[i - BASE];
}

/* A warm start must have the same classes. */
static bool
same_classes(const RepurchaseModel *model, const RepurchaseFitOptions *options)
{
	if (!repurchase_model_valid(model) || model->n_classes != options->n_classes)
		return false;
	for (int i = 0; i < options->n_classes; i++)
		if (model->k[i] != options->k[i])
			return false;
	return true;
}

static void
start_variables(const Fit *fit, double *at)
{
	const RepurchaseFitOptions *options = fit->options;
	RepurchaseModel cold = {options->m, 0.8, 0.4 / fit->start_rate, 0.8, 2.4, options->n_classes, {0}, {0}};

	for (int i = 0; i < options->n_classes; i++)
		cold.weight[i] = 1.0 / options->n_classes;
	if (options->start && same_classes(options->start, options))
		give_variables(fit, options->start, at);
	else if (options->pool)
		give_variables(fit, options->pool, at);
	else
		give_variables(fit, &cold, at);
}

/* ---- the fit ---- */

/*
 * Many groups are fitted to a sample first, which leaves a start nearby and a
 * memory of the curvature: 23 evaluations of all then become 8.
 */
static void
minimise(Fit *fit, double *at, RepurchaseFit *result)
{
	const RepurchaseFitOptions *options = fit->options;
	int			allowed = options->max_evaluations > 0 ? options->max_evaluations : MAX_EVALUATIONS;
	double		tolerance = options->tolerance > 0.0 ? options->tolerance
		: options->n_classes > 1 ? MIXTURE_TOLERANCE : TOLERANCE;
	Minimise	problem = {objective, fit, fit->n_variables, {0}, {0}, SAMPLE_TOLERANCE, allowed};
	MinimiseMemory memory = {0};
	MinimiseResult found;

	for (int i = 0; i < fit->n_variables; i++)
	{
		problem.low[i] = i < BASE ? -LOG_BOX : LEAST_WEIGHT;
		problem.high[i] = i < BASE ? LOG_BOX : MOST_WEIGHT;
	}
	if (fit->n_groups >= SAMPLE_FROM)
	{
		fit->stride = SAMPLE_STRIDE;
		model_minimise(&problem, at, &memory, &found);
		result->evaluations_sample += found.evaluations;
		fit->stride = 1;
	}
	problem.tolerance = tolerance;
	result->converged = model_minimise(&problem, at, &memory, &found);
	result->evaluations += found.evaluations;
	take_variables(fit, at);
}

/* Weights that sum to 1 exactly, none of them a mere bound; the likelihood there. */
static void
finish(Fit *fit, RepurchaseFit *result)
{
	RepurchaseModel *model = &fit->model;
	double		gradient[BASE + REPURCHASE_CLASSES] = {0};
	double		sum = 0.0;
	double		n;

	for (int i = 0; i < model->n_classes; i++)
		sum += model->weight[i] = model->weight[i] > 2.0 * LEAST_WEIGHT ? model->weight[i] : 0.0;
	for (int i = 0; i < model->n_classes; i++)
		model->weight[i] /= sum;
	fill_tables(fit);
	result->log_likelihood = sum_groups(fit, gradient, &n);
	result->evaluations++;
	result->model = *model;
	result->no_defection = model->a < NO_DEFECTION * (model->a + model->b);
}

static bool
far_out(const double *at)
{
	for (int i = 0; i < BASE; i++)
		if (fabs(at[i]) > FAR_LOG)
			return true;
	return false;
}

static bool
options_valid(const RepurchaseFitOptions *options)
{
	if (options->m < 0 || options->m > 1 || options->n_classes < 1 || options->n_classes > REPURCHASE_CLASSES)
		return false;
	for (int i = 0; i < options->n_classes; i++)
		if (options->k[i] < 1 || options->k[i] > REPURCHASE_K_MAX)
			return false;
	return !options->pool || (same_classes(options->pool, options) && options->pool_weight >= 0.0
							  && isfinite(options->pool_weight));
}

static void
use_weak_prior(Fit *fit, RepurchaseFit *result)
{
	memset(fit->center, 0, sizeof(fit->center));
	fit->precision = WEAK_PRECISION;
	result->weak_prior = true;
}

static void
set_classes(RepurchaseModel *model, const RepurchaseFitOptions *options)
{
	memset(model, 0, sizeof(*model));
	model->m = options->m;
	model->n_classes = options->n_classes;
	for (int i = 0; i < options->n_classes; i++)
	{
		model->k[i] = options->k[i];
		model->weight[i] = 1.0;
	}
}

/*
 * Fits r, alpha, a, b and the weights of the classes to groups of clients, whose
 * order matters to rounding only; invalid groups are left out and counted.  The
 * parameters stay within exp(+-12), alpha in units of the mean T.  Where data do
 * not hold them (fewer than 200 clients, or a logarithm beyond 8) each gets a
 * LogN(0, 2) prior, unless there is a pool or no_weak_prior says otherwise.
 * False, and nothing else changed, where options are invalid or no client is
 * valid; not having converged is in the result.
 */
bool
repurchase_fit(const BuyerGroup *groups, int n_groups, const RepurchaseFitOptions *options,
			   void *workspace, RepurchaseFit *result)
{
	Fit			fit = {.groups = groups, .n_groups = n_groups, .options = options, .stride = 1};
	double		at[BASE + REPURCHASE_CLASSES];

	if (n_groups < 1 || !options_valid(options))
		return false;
	place_groups(&fit, workspace);
	if (!(fit.n > 0.0))
		return false;
	memset(result, 0, sizeof(*result));
	result->n = fit.n;
	result->n_invalid = fit.n_invalid;
	fit.n_variables = BASE + (options->n_classes > 1 ? options->n_classes : 0);
	set_classes(&fit.model, options);
	start_variables(&fit, at);
	if (options->pool)
	{
		give_variables(&fit, options->pool, fit.center);
		fit.precision = options->pool_weight;
	}
	else if (fit.n < FEW_CLIENTS && !options->no_weak_prior)
		use_weak_prior(&fit, result);
	minimise(&fit, at, result);
	if (far_out(at) && fit.precision == 0.0 && !options->no_weak_prior)
	{
		use_weak_prior(&fit, result);
		minimise(&fit, at, result);
	}
	finish(&fit, result);
	return true;
}

/*
 * The log-likelihood of all valid groups together under a model, as
 * repurchase_log_likelihood client by client, and its derivatives by ln r, ln
 * alpha, ln a, ln b and, without the constraint on their sum, the weights.
 * workspace as for repurchase_fit.  NaN for an invalid model or no valid client.
 */
double
repurchase_log_likelihood_of(const RepurchaseModel *model, const BuyerGroup *groups, int n_groups,
							 void *workspace, double gradient[BASE + REPURCHASE_CLASSES])
{
	static const RepurchaseFitOptions none = {0};
	Fit			fit = {.groups = groups, .n_groups = n_groups, .options = &none, .stride = 1, .model = *model};
	double		n;

	memset(gradient, 0, sizeof(double) * (BASE + REPURCHASE_CLASSES));
	if (n_groups < 1 || !repurchase_model_valid(model))
		return NAN;
	place_groups(&fit, workspace);
	if (!(fit.n > 0.0))
		return NAN;
	fill_tables(&fit);
	return sum_groups(&fit, gradient, &n);
}

/* ---- grouping ---- */

static uint64_t
hash_buyer(const BuyerStats *buyer, bool by_gaps)
{
	uint64_t	h = hash_double(buyer->tx) * UINT64_C(0xD1342543DE82EF95) + hash_double(buyer->T) + (uint64_t) buyer->x;

	h ^= h >> 31;
	if (by_gaps)
		h = h * UINT64_C(0xBF58476D1CE4E5B9) + hash_double(buyer->sum_log);
	h *= UINT64_C(0x94D049BB133111EB);
	return h ^ (h >> 30);
}

static bool
same_buyer(const BuyerStats *u, const BuyerStats *v, bool by_gaps)
{
	return u->x == v->x && u->tx == v->tx && u->T == v->T && (!by_gaps || u->sum_log == v->sum_log);
}

/* Bytes buyers_group needs. */
size_t
buyers_group_workspace(int n_groups)
{
	return sizeof(int32_t) * (size_t) power_above(at_most(n_groups, 1 << 29) * 2);
}

/*
 * Merges groups of equal statistics in place and returns how many are left: see
 * repurchase.h.  A group with a NaN equals none.
 */
int
buyers_group(BuyerGroup *groups, int n_groups, bool by_gaps, void *workspace)
{
	int32_t    *slots = workspace;
	int			mask = power_above(at_most(n_groups, 1 << 29) * 2) - 1;
	int			kept = 0;

	memset(slots, -1, sizeof(int32_t) * ((size_t) mask + 1));
	for (int i = 0; i < n_groups; i++)
	{
		const BuyerGroup *g = &groups[i];
		int			slot = (int) (hash_buyer(&g->buyer, by_gaps) & (uint64_t) mask);
		BuyerGroup *first;

		while (slots[slot] >= 0 && !same_buyer(&groups[slots[slot]].buyer, &g->buyer, by_gaps))
			slot = (slot + 1) & mask;
		if (slots[slot] < 0)
		{
			slots[slot] = kept;
			groups[kept++] = *g;
			continue;
		}
		first = &groups[slots[slot]];
		first->n += g->n;
		if (!by_gaps)
			first->buyer.sum_log += (g->buyer.sum_log - first->buyer.sum_log) * (g->n / first->n);
	}
	return kept;
}
