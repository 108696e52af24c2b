/*
 * pareto.c
 *		The Pareto/NBD model, for comparison with what is in use (repurchase.c):
 *		one client under given parameters.
 *
 * Orders at rate lambda ~ Gamma(r, alpha), a lifetime of rate mu ~ Gamma(s, beta)
 * (Schmittlein, Morrison, Colombo 1987).  The closed forms of Fader and Hardie 2005,
 * A note on deriving the Pareto/NBD model, take differences of hypergeometric
 * functions, which lose their digits where tx is near T; the integral over the
 * moment of death that they stand for does not.
 */
#include <math.h>

#include "pareto.h"

#define PANEL_POINTS 16
#define MAX_PANELS 1000
#define WIDEST_PANEL 0.5
#define PANEL_FALL 4.0
#define LONGEST 1e15

/* ((alpha + start)/(alpha + start + u))^p ((beta + start)/(beta + start + u))^q. */
typedef struct Decay
{
	double		alpha,
				beta,
				p,
				q,
				start;
} Decay;

static double
decay_at(const Decay *d, double u)
{
	return exp(-d->p * log1p(u / (d->alpha + d->start))
			   - d->q * log1p(u / (d->beta + d->start)));
}

/*
 * The integral from 0 to length, in y = ln(min(alpha, beta) + start + u) by Gauss and
 * Legendre's rule on panels over which the integrand falls by a few e-folds.
 */
static double
integrate_decay(const Decay *d, double length)
{
	static const double node[PANEL_POINTS / 2] = {
		0.0950125098376374402, 0.281603550779258913, 0.458016777657227386, 0.617876244402643748,
		0.755404408355003034, 0.865631202387831744, 0.944575023073232576, 0.989400934991649933
	};
	static const double weight[PANEL_POINTS / 2] = {
		0.189450610455068496, 0.182603415044923589, 0.169156519395002538, 0.149595988816576732,
		0.124628971255533872, 0.0951585116824927848, 0.0622535239386478929, 0.0271524594117540949
	};
	double		base = fmin(d->alpha, d->beta) + d->start;
	double		last = log1p(length / base);
	double		y = 0.0;		/* ln of (min + u)/base */
	double		sum = 0.0;

	for (int panel = 0; panel < MAX_PANELS && y < last; panel++)
	{
		double		gone = base * expm1(y);
		double		scale = base + gone;
		double		slope = 1.0 + d->p * scale / (d->alpha + d->start + gone) + d->q * scale / (d->beta + d->start + gone);
		double		width = fmin(fmin(WIDEST_PANEL, PANEL_FALL / slope), last - y);
		double		part = 0.0;

		for (int i = 0; i < PANEL_POINTS; i++)
		{
			double		at = y + 0.5 * width * (1.0 + (i % 2 ? -1.0 : 1.0) * node[i / 2]);

			gone = base * expm1(at);
			part += weight[i / 2] * (base + gone) * decay_at(d, gone);
		}
		sum += 0.5 * width * part;
		y += width;
		if (0.5 * width * part < 1e-18 * sum)
			break;
	}
	return sum;
}

static bool
pareto_valid(const ParetoModel *model, const BuyerStats *buyer)
{
	return model->r > 0.0 && model->alpha > 0.0 && model->s > 0.0 && model->beta > 0.0
		&& isfinite(model->r + model->alpha + model->s + model->beta) && buyer_valid(buyer);
}

/* ln of the odds of having died in (tx, T] against being alive at T. */
static double
log_odds_dead(const ParetoModel *model, const BuyerStats *buyer)
{
	double		orders = model->r + buyer->x;
	Decay		d = {model->alpha, model->beta, orders, model->s + 1.0, buyer->tx};
	double		wait = buyer->T - buyer->tx;

	return log(model->s / (model->beta + buyer->tx) * integrate_decay(&d, wait))
		+ orders * log1p(wait / (model->alpha + buyer->tx)) + model->s * log1p(wait / (model->beta + buyer->tx));
}

/*
 * ln of the client's likelihood (Fader, Hardie 2005, eq. 18 with the integral for
 * A_0), per unit of time to the power x; sum_log does not matter.  NaN for an
 * invalid client or model.
 */
double
pareto_log_likelihood(const ParetoModel *model, const BuyerStats *buyer)
{
	double		dead;
	double		both;

	if (!pareto_valid(model, buyer))
		return NAN;
	dead = log_odds_dead(model, buyer);
	both = dead > 0.0 ? dead + log1p(exp(-dead)) : log1p(exp(dead));
	return (buyer->x > 0 ? model_log_gamma_ratio(model->r, buyer->x) - buyer->x * log(model->alpha + buyer->T) : 0.0)
		- model->r * log1p(buyer->T / model->alpha) - model->s * log1p(buyer->T / model->beta) + both;
}

/* P(the client's lifetime goes beyond T); NaN for an invalid client or model. */
double
pareto_alive(const ParetoModel *model, const BuyerStats *buyer)
{
	if (!pareto_valid(model, buyer))
		return NAN;
	return 1.0 / (1.0 + exp(log_odds_dead(model, buyer)));
}

/*
 * Orders expected in (T, T + t] (Fader, Hardie 2005, eq. 41), whole at s = 1 too.
 * t is taken into [0, 1e15]; NaN for an invalid client or model.
 */
double
pareto_expected(const ParetoModel *model, const BuyerStats *buyer, double t)
{
	double		lived = model->beta + buyer->T;
	double		years;

	if (isnan(t) || !pareto_valid(model, buyer))
		return NAN;
	years = log1p(fmax(0.0, fmin(LONGEST, t)) / lived);
	if (model->s != 1.0)
		years = -expm1((1.0 - model->s) * years) / (model->s - 1.0);
	return pareto_alive(model, buyer) * (model->r + buyer->x) * lived / (model->alpha + buyer->T) * years;
}

/*
 * P(at least one order in (T, T + t]): the next order's density E[lambda
 * exp(-lambda u)] E[exp(-mu u)] integrated.  t is taken into [0, 1e15]; NaN for an
 * invalid client or model.
 */
double
pareto_active(const ParetoModel *model, const BuyerStats *buyer, double t)
{
	double		orders = model->r + buyer->x;
	Decay		d = {model->alpha, model->beta, orders + 1.0, model->s, buyer->T};

	if (isnan(t) || !pareto_valid(model, buyer))
		return NAN;
	return pareto_alive(model, buyer) * orders / (model->alpha + buyer->T)
		* integrate_decay(&d, fmax(0.0, fmin(LONGEST, t)));
}
