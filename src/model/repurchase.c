/*
 * repurchase.c
 *		One client under the (M)BG/CNBD-k model and its mixture over k:
 *		likelihood, P(alive), P(an order within t) and the quantiles.
 *
 * After Reutterer, Platzer, Schroeder 2021 (Int. J. Research in Marketing 38,
 * 194-215), "RPS"; with k = 1 this is MBG/NBD (Batislam, Denizel, Filiztekin
 * 2007; Hoppe, Wagner 2007) and BG/NBD (Fader, Hardie, Lee 2005a, "FHL").  Owns
 * no estimation (repurchase_fit.c); the expected number of orders is in
 * repurchase_expected.c.
 *
 * Everything stands on one quantity, the silence of a living client: P(gap > e |
 * class k) = P(fewer than k events of the hidden process within e)
 * = (1 - z)^R sum_{j<k} (R)_j/j! z^j with z = e / (alpha/k + tx + e).
 */
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "repurchase_class.h"

#define EXACT_PRODUCT 16
#define TOLERANCE 1e-11
#define NEGLIGIBLE 1e-12
#define MAX_EXPONENT 700.0
#define LONGEST 1e15			/* times beyond are "never" */
#define MAX_STEPS 200
#define WEIGHT_TOLERANCE 1e-6

/* A client under each class of a model. */
typedef struct BuyerView
{
	int			n;
	BuyerClass	of[REPURCHASE_CLASSES];
	BuyerDropout dropout;
	double		log_likelihood;
} BuyerView;

static const double reciprocal[REPURCHASE_K_MAX + 1] = {
	0.0, 1.0, 1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5, 1.0 / 6, 1.0 / 7, 1.0 / 8, 1.0 / 9, 1.0 / 10, 1.0 / 11, 1.0 / 12
};

/* ln Gamma(k) */
static const double log_factorial[REPURCHASE_K_MAX + 1] = {
	0.0, 0.0, 0.0, 0.693147180559945309, 1.79175946922805500, 3.17805383034794562,
	4.78749174278204599, 6.57925121201010099, 8.52516136106541430, 10.6046029027452502,
	12.8018274800814696, 15.1044125730755153, 17.5023078458738858
};

/* Whether the statistics can be a client's: see repurchase.h. */
bool
buyer_valid(const BuyerStats *buyer)
{
	return buyer->x >= 0 && buyer->x <= INT_MAX / (2 * REPURCHASE_K_MAX)
		&& buyer->tx >= 0.0 && buyer->T >= buyer->tx && buyer->T <= LONGEST
		&& (buyer->x == 0) == (buyer->tx == 0.0) && isfinite(buyer->sum_log);
}

/* Positive finite parameters, m 0 or 1, k in 1 .. 12, weights that sum to 1. */
bool
repurchase_model_valid(const RepurchaseModel *model)
{
	double		sum = 0.0;

	if (!(model->r > 0.0 && model->alpha > 0.0 && model->a > 0.0 && model->b > 0.0)
		|| !isfinite(model->r + model->alpha + model->a + model->b)
		|| model->m < 0 || model->m > 1 || model->n_classes < 1 || model->n_classes > REPURCHASE_CLASSES)
		return false;
	for (int i = 0; i < model->n_classes; i++)
	{
		if (model->k[i] < 1 || model->k[i] > REPURCHASE_K_MAX || !(model->weight[i] >= 0.0))
			return false;
		sum += model->weight[i];
	}
	return fabs(sum - 1.0) <= WEIGHT_TOLERANCE;
}

/* sum_{j<k} (R)_j/j! z^j, S2 of RPS: the stages a silence may have come to. */
static double
class_stages(int k, double shape, double z)
{
	double		term = 1.0;
	double		sum = 1.0;

	for (int j = 1; j < k; j++)
	{
		term *= (shape + (j - 1)) * reciprocal[j] * z;
		sum += term;
	}
	return sum;
}

/* ln Gamma(r + kx) - ln Gamma(r) - x ln Gamma(k): the orders' share of the likelihood. */
static double
log_orders(const RepurchaseModel *model, int i, int x)
{
	int			events = model->k[i] * x;
	double		product = 1.0;

	if (events > EXACT_PRODUCT)
		return lgamma(model->r + events) - lgamma(model->r) - x * log_factorial[model->k[i]];
	for (int j = 0; j < events; j++)
		product *= model->r + j;
	return log(product) - x * log_factorial[model->k[i]];
}

/* ln B(a, b + n) - ln B(a, b), n = x + m: nobody has left at n occasions. */
static double
log_stay(const RepurchaseModel *model, int x)
{
	int			n = x + model->m;
	double		product = 1.0;

	if (n > EXACT_PRODUCT)
		return model_log_gamma_ratio(model->b, model->a) - model_log_gamma_ratio(model->b + n, model->a);
	for (int j = 0; j < n; j++)
		product *= (model->b + j) / (model->a + model->b + j);
	return log(product);
}

/* What a client's likelihood takes from model and x alone, looked up or not. */
typedef struct ClassConstants
{
	double		alpha;			/* alpha / k */
	double		log_constant;	/* ln weight + r ln(alpha / k) */
	double		log_orders;
} ClassConstants;

static ClassConstants
class_constants(const RepurchaseModel *model, const RepurchaseTable *table, int i, int x)
{
	ClassConstants c;

	if (table)
	{
		c.alpha = table->alpha[i];
		c.log_constant = table->log_constant[i];
	}
	else
	{
		c.alpha = model->alpha / model->k[i];
		c.log_constant = (model->weight[i] == 1.0 ? 0.0 : log(model->weight[i])) + model->r * log(c.alpha);
	}
	c.log_orders = table && x < REPURCHASE_TABLE_X ? table->log_orders[x][i] : log_orders(model, i, x);
	return c;
}

/*
 * One class of the client: likelihood and P(alive) of RPS (at k = 1 FHL eq. 6).
 * log_odds is ln a/(b'-1), the odds of having left at the last order against not;
 * -infinity where that was impossible.
 */
static void
view_class(BuyerClass *c, const RepurchaseModel *model, const ClassConstants *constants, int i,
		   const BuyerStats *buyer, double log_stay, double log_odds)
{
	double		log_gone,
				log_both;

	c->k = model->k[i];
	c->shape = model->r + (double) c->k * buyer->x;
	c->now = constants->alpha + buyer->T;
	c->odds_past = (buyer->T - buyer->tx) / c->now;
	c->stages = class_stages(c->k, c->shape, c->odds_past);
	log_gone = log_odds + c->shape * log1p((buyer->T - buyer->tx) / (constants->alpha + buyer->tx));
	if (log_gone < MAX_EXPONENT)
	{
		double		gone = exp(log_gone);

		c->alive = c->stages / (c->stages + gone);
		log_both = log(c->stages + gone);
	}
	else
	{
		double		living = c->stages * exp(-log_gone);

		c->alive = living / (1.0 + living);
		log_both = log_gone + log1p(living);
	}
	c->log_joint = constants->log_constant + constants->log_orders + log_stay
		+ (c->k - 1) * buyer->sum_log - c->shape * log(c->now) + log_both;
}

/* Posterior of the classes and the client's likelihood, by Bayes' theorem. */
static void
weigh_classes(BuyerView *view)
{
	double		highest = -INFINITY;
	double		sum = 0.0;

	for (int i = 0; i < view->n; i++)
		highest = larger(highest, view->of[i].log_joint);
	for (int i = 0; i < view->n; i++)
	{
		double		below = view->of[i].log_joint - highest;

		view->of[i].posterior = below < -MAX_EXPONENT ? 0.0 : exp(below);
		sum += view->of[i].posterior;
	}
	for (int i = 0; i < view->n; i++)
		view->of[i].posterior /= sum;
	view->log_likelihood = highest + (view->n > 1 ? log(sum) : 0.0);
}

static bool
view_client(BuyerView *view, const RepurchaseModel *model, const RepurchaseTable *table, const BuyerStats *buyer)
{
	double		stayed,
				log_odds;

	if (!buyer_valid(buyer) || !(table || repurchase_model_valid(model)))
		return false;
	stayed = table && buyer->x < REPURCHASE_TABLE_X ? table->log_stay[buyer->x] : log_stay(model, buyer->x);
	view->n = model->n_classes;
	view->dropout = (BuyerDropout) {model->a, model->b + buyer->x + model->m};
	log_odds = buyer->x + model->m == 0 ? -INFINITY : log(model->a / (model->b + (buyer->x + model->m - 1)));
	for (int i = 0; i < view->n; i++)
	{
		ClassConstants constants = class_constants(model, table, i, buyer->x);

		view_class(&view->of[i], model, &constants, i, buyer, stayed, log_odds);
	}
	weigh_classes(view);
	return true;
}

/*
 * ln of the client's likelihood, RPS's summed over the classes; per unit of
 * time to the power x.  NaN for an invalid client or model.
 */
double
repurchase_log_likelihood(const RepurchaseModel *model, const BuyerStats *buyer)
{
	BuyerView	view;

	return view_client(&view, model, NULL, buyer) ? view.log_likelihood : NAN;
}

static double
view_alive(const BuyerView *view)
{
	double		sum = 0.0;

	for (int i = 0; i < view->n; i++)
		sum += view->of[i].posterior * view->of[i].alive;
	return smaller(1.0, sum);
}

/*
 * P(the client has not left at T), RPS's weighted by the posterior of the
 * classes, in [0, 1]; with m = 0 it is 1 for every client of one order, which is
 * why BG/NBD's is not to be shown.  NaN for an invalid client or model.
 */
double
repurchase_alive(const RepurchaseModel *model, const BuyerStats *buyer)
{
	BuyerView	view;

	return view_client(&view, model, NULL, buyer) ? view_alive(&view) : NAN;
}

static LaterSilence
later_silence(const BuyerClass *c, double t)
{
	LaterSilence later;
	double		more = t / c->now;

	later.t = t;
	later.log_growth = log1p(more);
	later.none = exp(-c->shape * later.log_growth);
	later.odds = (c->odds_past + more) / (1.0 + more);
	later.ratio = smaller(1.0, later.none * class_stages(c->k, c->shape, later.odds) / c->stages);
	return later;
}

static double
clamp_time(double t)
{
	return fmax(0.0, fmin(LONGEST, t));
}

/* P(at least one order within t) and its derivative by ln t. */
static double
active_slope(const BuyerView *view, double t, double *slope)
{
	double		least = NEGLIGIBLE * view_alive(view);
	double		sum = 0.0;

	*slope = 0.0;
	for (int i = 0; i < view->n; i++)
	{
		const BuyerClass *c = &view->of[i];
		double		weight = c->posterior * c->alive;
		LaterSilence later;
		double		last;

		if (weight <= least)
			continue;
		later = later_silence(c, t);
		last = later.none;
		sum += weight * (1.0 - later.ratio);
		/* the order comes from stage k - 1, at rate Gamma(R + k - 1, now + t) */
		for (int j = 1; j < c->k; j++)
			last *= (c->shape + (j - 1)) * reciprocal[j] * later.odds;
		*slope += weight * last / c->stages * (c->shape + (c->k - 1)) * (t / (c->now + t));
	}
	return sum;
}

static double
view_active(const BuyerView *view, double t)
{
	double		slope;

	return active_slope(view, t, &slope);
}

/*
 * P(at least one order in (T, T + t]) = P(alive) sum_j s_j/S2 I_q(k - j, R + j),
 * q = t / (alpha/k + T + t) (RPS), as 1 less the ratio of two
 * silences.  t is taken into [0, 1e15]; NaN for an invalid client or model.
 */
double
repurchase_active(const RepurchaseModel *model, const BuyerStats *buyer, double t)
{
	BuyerView	view;

	if (isnan(t) || !view_client(&view, model, NULL, buyer))
		return NAN;
	return view_active(&view, clamp_time(t));
}

/*
 * The t at which view_active reaches p: Newton's method on the logarithm of the
 * probability in ln t, kept inside a bracket, which is halved where the step
 * would leave it.
 */
static double
solve_active(const BuyerView *view, double p)
{
	double		low = -MAX_EXPONENT;
	double		high = log(LONGEST);
	double		at = log(view->of[0].now / view->of[0].shape);

	if (!(p > 0.0))
		return 0.0;
	if (view_active(view, LONGEST) <= p)
		return INFINITY;
	for (int i = 0; i < MAX_STEPS && high - low > 1e-14 * fmax(1.0, fabs(at)); i++)
	{
		double		slope;
		double		value;
		double		step;

		value = active_slope(view, exp(at), &slope);
		if (value < p)
			low = at;
		else
			high = at;
		step = value > 0.0 && slope > 0.0 ? log(p / value) * value / slope : INFINITY;
		if (fabs(step) < 1e-13 * fmax(1.0, fabs(at)))
			break;
		at += step;
		if (!(at > low && at < high))
			at = 0.5 * (low + high);
	}
	return exp(at);
}

/*
 * The t with P(at least one order in (T, T + t]) = p: the date quantile of the
 * next order.  0 for p <= 0; infinite where that probability is never reached,
 * the client having perhaps left, or not within 1e15; NaN for an invalid client
 * or model.
 */
double
repurchase_active_quantile(const RepurchaseModel *model, const BuyerStats *buyer, double p)
{
	BuyerView	view;

	if (isnan(p) || !view_client(&view, model, NULL, buyer))
		return NAN;
	return solve_active(&view, p);
}

/* The client at the moment of the last order, known to have stayed. */
static bool
view_last_order(BuyerView *view, const RepurchaseModel *model, const BuyerStats *buyer)
{
	BuyerStats	then = *buyer;

	if (!buyer_valid(buyer))
		return false;
	then.T = then.tx;
	if (!view_client(view, model, NULL, &then))
		return false;
	for (int i = 0; i < view->n; i++)
		view->of[i].alive = 1.0;
	return true;
}

/*
 * P(the gap after the last order exceeds `elapsed` | alive, the x gaps before):
 * sum over the classes' posterior at tx of 1 - I_{e/(e + alpha/k + tx)}(k, R);
 * T does not matter.  elapsed is taken into [0, 1e15]; NaN for an invalid client
 * or model.
 */
double
repurchase_gap_survival(const RepurchaseModel *model, const BuyerStats *buyer, double elapsed)
{
	BuyerView	view;
	double		sum = 0.0;

	if (isnan(elapsed) || !view_last_order(&view, model, buyer))
		return NAN;
	for (int i = 0; i < view.n; i++)
		sum += view.of[i].posterior * later_silence(&view.of[i], clamp_time(elapsed)).ratio;
	return sum;
}

/*
 * The gap that a living client does not exceed with probability p, counted from
 * the last order: the inverse of 1 - repurchase_gap_survival.  0 for p <= 0,
 * infinite for p >= 1 or beyond 1e15; NaN for an invalid client or model.
 */
double
repurchase_gap_quantile(const RepurchaseModel *model, const BuyerStats *buyer, double p)
{
	BuyerView	view;

	if (isnan(p) || !view_last_order(&view, model, buyer))
		return NAN;
	return solve_active(&view, p);
}

/*
 * P(class | x, tx, T, gaps) by Bayes' theorem; entries beyond the
 * model's classes are 0.  False and NaN for an invalid client or model.
 */
bool
repurchase_classes(const RepurchaseModel *model, const BuyerStats *buyer, double posterior[REPURCHASE_CLASSES])
{
	BuyerView	view;
	bool		valid = view_client(&view, model, NULL, buyer);

	for (int i = 0; i < REPURCHASE_CLASSES; i++)
		posterior[i] = !valid ? NAN : i < view.n ? view.of[i].posterior : 0.0;
	return valid;
}

/* Orders within t, classes that can hardly matter left out. */
static void
score_view(const BuyerView *view, double t, RepurchaseScore *score)
{
	*score = (RepurchaseScore) {view->log_likelihood, view_alive(view), 0.0, 0.0, 0.0};
	for (int i = 0; i < view->n; i++)
	{
		const BuyerClass *c = &view->of[i];
		double		weight = c->posterior * c->alive;
		LaterSilence later;

		score->mean_k += c->posterior * c->k;
		if (t == 0.0 || weight <= score->alive * NEGLIGIBLE)
			continue;
		later = later_silence(c, t);
		score->active += weight * (1.0 - later.ratio);
		score->expected += weight * repurchase_class_expected(c, &view->dropout, &later, TOLERANCE * score->alive / weight);
	}
}

static bool
score_client(const RepurchaseModel *model, const RepurchaseTable *table, const BuyerStats *buyer,
			 double t, RepurchaseScore *score)
{
	BuyerView	view;

	*score = (RepurchaseScore) {NAN, NAN, NAN, NAN, NAN};
	if (isnan(t) || !view_client(&view, model, table, buyer))
		return false;
	score_view(&view, clamp_time(t), score);
	return true;
}

/*
 * Orders expected in (T, T + t] (RPS; FHL eq. 10 at k = 1): see
 * repurchase_expected.c.  t is taken into [0, 1e15]; NaN for an invalid client or
 * model.
 */
double
repurchase_expected(const RepurchaseModel *model, const BuyerStats *buyer, double t)
{
	RepurchaseScore score;

	score_client(model, NULL, buyer, t, &score);
	return score.expected;
}

/*
 * All of the above in one pass, over a horizon t taken into [0, 1e15]; false and
 * all NaN for an invalid client or model or a t that is NaN.
 */
bool
repurchase_score(const RepurchaseModel *model, const BuyerStats *buyer, double t, RepurchaseScore *score)
{
	return score_client(model, NULL, buyer, t, score);
}

/* Prepares repurchase_score_by_table; false for an invalid model. */
bool
repurchase_table(const RepurchaseModel *model, RepurchaseTable *table)
{
	if (!repurchase_model_valid(model))
		return false;
	memset(table, 0, sizeof(*table));
	table->model = *model;
	for (int i = 0; i < model->n_classes; i++)
	{
		table->alpha[i] = model->alpha / model->k[i];
		table->log_constant[i] = log(model->weight[i]) + model->r * log(table->alpha[i]);
	}
	for (int x = 0; x < REPURCHASE_TABLE_X; x++)
	{
		table->log_stay[x] = log_stay(model, x);
		for (int i = 0; i < model->n_classes; i++)
			table->log_orders[x][i] = log_orders(model, i, x);
	}
	for (int i = 0; i < REPURCHASE_TABLE_AGES; i++)
		table->once[i].t = -1.0;
	return true;
}

/* Where a table keeps the clients of one order of this age. */
static int
place_of_age(double T)
{
	uint64_t	bits;

	memcpy(&bits, &T, sizeof(bits));
	return (int) ((bits * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (REPURCHASE_TABLE_AGES - 1));
}

/* repurchase_score with what a table knows looked up: the same to rounding. */
bool
repurchase_score_by_table(RepurchaseTable *table, const BuyerStats *buyer, double t, RepurchaseScore *score)
{
	int			place = place_of_age(buyer->T);

	if (buyer->x > 0 || !buyer_valid(buyer) || !(t >= 0.0))
		return score_client(&table->model, table, buyer, t, score);
	if (table->once[place].t != t || table->once[place].T != buyer->T)
	{
		BuyerStats	once = {0, 0.0, buyer->T, 0.0};

		table->once[place].T = buyer->T;
		table->once[place].t = t;
		score_client(&table->model, table, &once, t, &table->once[place].score);
	}
	*score = table->once[place].score;
	return true;
}
