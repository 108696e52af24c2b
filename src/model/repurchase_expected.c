/*
 * repurchase_expected.c
 *		The number of orders a living client of one class places within t.
 *
 * Reutterer, Platzer, Schroeder 2021 give E[X(T, T + t)] as a sum over orders n
 * and stages j of B(a, b'+n-1)/B(a, b') I_q(nk - j, R + j).  Counting the hidden
 * events since the last order instead, N = j + i of which j < k before T and i
 * after it, the terms collect into one sum over N:
 *
 *   E S2 = (1-q)^R sum_N (R)_N/N! (q + w)^N P(Bin(N, w/(q+w)) < k) C(floor(N/k)),
 *   w = z (1-q),  C(c) = sum_{n<=c} B(a, b'+n-1)/B(a, b').
 */
#include <math.h>

#include "repurchase_class.h"

#define DIRECT_TERMS 20000
#define TOLERANCE 1e-14
#define CANCELLING -9.0			/* ln of a silence too rare for one sum */
#define LOG_FLOOR -600.0
#define RESCALE 1e100
#define LOG_RESCALE 230.25850929940457
#define PANEL_POINTS 10
#define MAX_PANELS 400

/* Orders so far and what staying on adds: C(c), and C(c + 1) - C(c). */
typedef struct OrderCount
{
	double		count;
	double		next;
	double		stay;			/* b' + c */
	double		both;			/* a + b' + c */
} OrderCount;

static OrderCount
no_orders(const BuyerDropout *dropout)
{
	return (OrderCount) {0.0, 1.0, dropout->stay, dropout->a + dropout->stay};
}

static void
count_order(OrderCount *c)
{
	c->count += c->next;
	c->next *= c->stay / c->both;
	c->stay += 1.0;
	c->both += 1.0;
}

/* A sum whose terms start at exp(log_scale): kept within a double's range. */
typedef struct ScaledSum
{
	double		term;
	double		sum;
	double		log_scale;
} ScaledSum;

static ScaledSum
start_sum(double log_first)
{
	if (log_first > LOG_FLOOR)
		return (ScaledSum) {exp(log_first), 0.0, 0.0};
	return (ScaledSum) {1.0, 0.0, log_first};
}

static void
keep_range(ScaledSum *s)
{
	if (s->log_scale < 0.0 && s->term > RESCALE)
	{
		s->term /= RESCALE;
		s->sum /= RESCALE;
		s->log_scale += LOG_RESCALE;
	}
}

static double
sum_value(const ScaledSum *s)
{
	return s->log_scale == 0.0 ? s->sum : s->sum * exp(s->log_scale);
}

/* Whether what follows a term, growing by the factor rho at most, is nothing. */
static bool
negligible(double term, double rho, double sum)
{
	return rho < 1.0 && term <= TOLERANCE * (1.0 - rho) * sum;
}

/*
 * The sum over N of the head of this file.  P(Bin(N) < k) falls by its own
 * recurrence, whose rounding errors stay below the silence's probability times
 * 1e-12: the caller sees to that.  False where DIRECT_TERMS do not suffice.
 */
static bool
sum_events(const BuyerClass *c, const BuyerDropout *dropout, double q, double log_growth, double *value)
{
	double		w = c->k == 1 ? 0.0 : c->odds_past * (1.0 - q);
	double		s = q + w;
	double		past = w / s;
	double		below = 1.0;	/* P(Bin(N, past) < k) */
	double		edge = 1.0;		/* past P(Bin(N, past) = k - 1) */
	ScaledSum	events = start_sum(-c->shape * log_growth);
	OrderCount	orders = no_orders(dropout);
	int			n = 0;

	for (; n < c->k - 1; n++)
	{
		events.term *= (c->shape + n) * s / (n + 1);
		edge *= past;
	}
	edge *= past;
	while (n < DIRECT_TERMS)
	{
		double		block = 0.0;

		/* from N = ck - 1 to (c + 1) k - 1 */
		count_order(&orders);
		for (int j = 0; j < c->k; j++, n++)
		{
			events.term *= (c->shape + n) * s / (n + 1);
			below -= edge;
			edge *= (1.0 - past) * (n + 1) / (n + 2 - c->k);
			block += events.term * fmax(below, 0.0);
		}
		events.sum += block * orders.count;
		if (negligible(block * orders.count, (c->shape + n) * s / (n + 1), events.sum))
		{
			*value = sum_value(&events) / c->stages;
			return true;
		}
		keep_range(&events);
	}
	return false;
}

/* The events of one stage's future: N ~ NB(shape, q), orders at (N + j)/k. */
typedef struct StageFuture
{
	int			k;
	int			j;
	double		shape;			/* R + j */
	double		log_q;
	double		log_growth;		/* -ln(1 - q) */
} StageFuture;

static double
event_density(const StageFuture *f, double n)
{
	return exp(model_log_gamma_ratio(n + 1.0, f->shape - 1.0) - lgamma(f->shape)
			   + n * f->log_q - f->shape * f->log_growth);
}

/*
 * C(c + v) - C(c) for real v: (a + B - 1)/(a - 1) [1 - (B)_v/(a + B - 1)_v] / (a + B - 1)
 * by the sum of a geometric-like series, B = b' + c (as in FHL eq. 10).
 */
static double
further_orders(const BuyerDropout *dropout, const OrderCount *c, double v)
{
	double		d = fabs(dropout->a - 1.0) < 1e-6 ? 1e-6 : dropout->a - 1.0;
	double		fall = model_log_gamma_ratio(c->stay, d) - model_log_gamma_ratio(c->stay + v, d);

	return c->next * (c->stay + d) * -expm1(fall) / d;
}

/*
 * The sum from N = first on as an integral in ln N, Gauss and Legendre's rule on
 * panels: for horizons of tens of thousands of events, where a block of k terms
 * is as good as its middle.
 */
static double
integrate_events(const StageFuture *f, const BuyerDropout *dropout, const OrderCount *c, double first)
{
	static const double node[PANEL_POINTS / 2] = {
		0.1488743389816312, 0.4333953941292472, 0.6794095682990244, 0.8650633666889845, 0.9739065285171717
	};
	static const double weight[PANEL_POINTS / 2] = {
		0.2955242247147529, 0.2692667193099963, 0.2190863625159820, 0.1494513491505806, 0.0666713443086881
	};
	double		root = sqrt(f->shape);
	double		high = log((f->shape + 10.0 * root + 45.0) / -f->log_q);
	double		low = fmax(log(first - 0.5), log(f->shape / -f->log_q) - 9.0 / root - 40.0 / f->shape);
	int			panels = (int) fmin(MAX_PANELS, ceil((high - low) * fmax(1.0, root / 1.5)));
	double		half = 0.5 * (high - low) / panels;
	double		sum = 0.0;

	if (!(high > low))
		return 0.0;
	for (int i = 0; i < panels; i++)
		for (int point = 0; point < PANEL_POINTS; point++)
		{
			double		side = point % 2 ? -1.0 : 1.0;
			double		n = exp(low + half * (2 * i + 1 + side * node[point / 2]));
			double		v = (n - first - 0.5 * (f->k - 1)) / f->k;

			sum += half * weight[point / 2] * n * event_density(f, n)
				* (c->count + further_orders(dropout, c, v));
		}
	return sum;
}

/* E[C(floor((N + j)/k))], N ~ NB(R + j, q): all terms positive. */
static double
sum_stage(const StageFuture *f, const BuyerDropout *dropout)
{
	double		q = exp(f->log_q);
	ScaledSum	events = start_sum(-f->shape * f->log_growth);
	OrderCount	orders = no_orders(dropout);
	int			n = 0;
	int			upto = f->k - f->j; /* the first order, then every k events */

	while (n < DIRECT_TERMS)
	{
		double		block = 0.0;

		for (; n < upto; n++)
		{
			block += events.term;
			events.term *= (f->shape + n) * q / (n + 1);
		}
		events.sum += block * orders.count;
		if (orders.count > 0.0
			&& negligible(block * orders.count, (f->shape + n) * q / (n + 1), events.sum))
			return sum_value(&events);
		keep_range(&events);
		count_order(&orders);
		upto += f->k;
	}
	return sum_value(&events) + integrate_events(f, dropout, &orders, n);
}

/*
 * Orders expected within t > 0 from a client alive at T, class k; log_growth is
 * ln[(alpha/k + T + t)/(alpha/k + T)].  Never more than a few milliseconds of
 * work, relative error 1e-12, beyond 20,000 hidden events 1e-6.
 */
double
class_expected(const BuyerClass *c, const BuyerDropout *dropout, double t, double log_growth)
{
	double		total = 0.0;
	double		share = 1.0;
	double		value;

	if (c->log_silence > CANCELLING
		&& sum_events(c, dropout, t / (c->now + t), log_growth, &value))
		return value;
	for (int j = 0; j < c->k; j++)
	{
		StageFuture f = {c->k, j, c->shape + j, -log1p(c->now / t), log_growth};

		if (share > 1e-18 * c->stages)
			total += share * sum_stage(&f, dropout);
		share *= (c->shape + j) / (j + 1) * c->odds_past;
	}
	return total / c->stages;
}
