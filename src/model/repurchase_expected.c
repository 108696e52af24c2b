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

#define STORED_TERMS 1024		/* of the sum over N */
#define DIRECT_TERMS 20000		/* of a stage's own sum, then an integral */
#define CHECK_EVERY 8
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
start_sum(double first, double log_first)
{
	if (log_first > LOG_FLOOR)
		return (ScaledSum) {first, 0.0, 0.0};
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
negligible(double term, double rho, double sum, double tolerance)
{
	return rho < 1.0 && term <= tolerance * (1.0 - rho) * sum;
}

#define FOUR(n) 1.0 / (n), 1.0 / ((n) + 1), 1.0 / ((n) + 2), 1.0 / ((n) + 3)
#define SIXTEEN(n) FOUR(n), FOUR((n) + 4), FOUR((n) + 8), FOUR((n) + 12)
#define SIXTY_FOUR(n) SIXTEEN(n), SIXTEEN((n) + 16), SIXTEEN((n) + 32), SIXTEEN((n) + 48)
#define MANY(n) SIXTY_FOUR(n), SIXTY_FOUR((n) + 64), SIXTY_FOUR((n) + 128), SIXTY_FOUR((n) + 192)

/* 1/(i + 1): a division costs more than all else in a term. */
static const double inverse[STORED_TERMS] = {MANY(1), MANY(257), MANY(513), MANY(769)};

/*
 * The sum at k = 1, where no silence has stages: FHL eq. 10 as a series in N.
 * False where STORED_TERMS do not suffice.
 */
static bool
sum_orders(const BuyerClass *c, const BuyerDropout *dropout, const LaterSilence *later,
		   double tolerance, double *value)
{
	double		q = later->t / (c->now + later->t);
	ScaledSum	events = start_sum(later->none, -c->shape * later->log_growth);
	OrderCount	orders = no_orders(dropout);

	for (int n = 0; n < STORED_TERMS;)
	{
		for (int upto = n + CHECK_EVERY; n < upto; n++)
		{
			events.term *= (c->shape + n) * q * inverse[n];
			count_order(&orders);
			events.sum += events.term * orders.count;
		}
		if (negligible(events.term * orders.count, (c->shape + n) * q * inverse[n - 1], events.sum, tolerance))
		{
			*value = sum_value(&events);
			return true;
		}
		keep_range(&events);
	}
	return false;
}

/* P(Bin(n, past) < k) from its largest term, edge = P(Bin(n, past) = k - 1). */
static double
binomial_below(int k, int n, double past, double edge)
{
	double		odds = (1.0 - past) / past;
	double		sum = edge;

	if (!(edge > 1e-290))
		return past * n < 0.5 ? 1.0 : 0.0;
	for (int j = k - 1; j > 0; j--)
	{
		edge *= odds * j / (n - j + 1);
		sum += edge;
	}
	return fmin(1.0, sum);
}

/*
 * The sum over N of the head of this file for k > 1.  P(Bin(N) < k) falls by
 * past P(Bin(N) = k - 1) from N to N + 1; summed upwards from N = k that loses
 * all digits where the silence is a rare one, so the terms are stored and the
 * probabilities summed from their small end.  False where STORED_TERMS do not
 * suffice or leave a double's range.
 */
static bool
sum_events(const BuyerClass *c, const BuyerDropout *dropout, const LaterSilence *later,
		   double tolerance, double *value)
{
	int			k = c->k;
	double		q = later->t / (c->now + later->t);
	double		w = c->odds_past * (1.0 - q);
	double		s = q + w;
	double		past = w / s;
	double		weight[STORED_TERMS];	/* NB(N) */
	double		edge[STORED_TERMS]; /* P(Bin(N) = k - 1) */
	double		adds[STORED_TERMS / 2]; /* C(c) - C(c - 1) */
	OrderCount	orders = no_orders(dropout);
	double		log_first = -c->shape * later->log_growth;
	double		scale = log_first > LOG_FLOOR ? 0.0 : log_first - LOG_FLOOR;
	double		u = scale == 0.0 ? later->none : exp(LOG_FLOOR);
	double		e = 1.0;
	double		peak = 0.0;
	double		below;
	double		tail = 0.0;
	double		sum = 0.0;
	int			block = 1;
	int			n = 0;
	int			next_check = CHECK_EVERY;
	bool		complete = false;

	if (!(s > 0.0))
	{
		*value = 0.0;			/* so short a time that nothing is in it */
		return true;
	}
	if (scale < LOG_FLOOR)
		return false;
	for (; n < k - 1; n++)
	{
		u *= (c->shape + n) * s * inverse[n];
		e *= past;
	}
	edge[n] = e;
	/* block c holds N = ck .. (c + 1) k - 1, e and u are of N = n */
	for (; !complete && n + k < STORED_TERMS - 1; block++)
	{
		adds[block] = orders.next;
		count_order(&orders);
		for (int upto = n + k; n < upto; n++)
		{
			u *= (c->shape + n) * s * inverse[n];
			e *= (1.0 - past) * (n + 1) * inverse[n + 1 - k];
			weight[n + 1] = u;
			edge[n + 1] = e;
		}
		if (n >= next_check)
		{
			double		fall = (1.0 - past) * (n + 1) * inverse[n + 1 - k];
			double		growth = (c->shape + n) * s * inverse[n] * smaller(1.0, fall);
			double		most = fall < 1.0 ? smaller(1.0, past * e / (1.0 - fall)) : 1.0;
			double		term = u * most * orders.count;

			peak = larger(peak, term);
			complete = growth < 1.0 && term <= tolerance * (1.0 - growth) * peak;
			next_check = n + CHECK_EVERY;
		}
	}
	if (!complete || !isfinite(peak))
		return false;
	below = binomial_below(k, n, past, e);
	for (block--; block > 0; block--)
	{
		for (int from = block * k; n >= from; n--)
		{
			tail += weight[n] * below;
			below += past * edge[n - 1];
		}
		sum += adds[block] * tail;
	}
	*value = sum / c->stages * (scale == 0.0 ? 1.0 : exp(scale));
	return true;
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
	double		q = exp(f->log_q);
	double		log_mean = log(f->shape) + f->log_q + f->log_growth;
	double		narrow = 1.0 / (f->shape * q);	/* squared relative width */
	double		high = log_mean + log1p(10.0 * sqrt(narrow) + 50.0 * narrow);
	double		low = fmax(log(first - 0.5), log_mean - 9.0 * sqrt(narrow) - 40.0 * narrow);
	int			panels = (int) fmin(MAX_PANELS, ceil((high - low) * fmax(1.0, 0.7 / sqrt(narrow))));
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
sum_stage(const StageFuture *f, const BuyerDropout *dropout, double tolerance)
{
	double		q = exp(f->log_q);
	double		log_first = -f->shape * f->log_growth;
	ScaledSum	events = start_sum(exp(log_first), log_first);
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
			&& negligible(block * orders.count, (f->shape + n) * q / (n + 1), events.sum, tolerance))
			return sum_value(&events);
		keep_range(&events);
		count_order(&orders);
		upto += f->k;
	}
	return sum_value(&events) + integrate_events(f, dropout, &orders, n);
}

/*
 * Orders expected within t > 0 from a client alive at T, class k.  Never more than
 * a few milliseconds of work; relative error about the tolerance, beyond 20,000
 * hidden events 1e-6.
 */
double
repurchase_class_expected(const BuyerClass *c, const BuyerDropout *dropout, const LaterSilence *later, double tolerance)
{
	double		total = 0.0;
	double		share = 1.0;
	double		value;

	if ((c->k == 1 ? sum_orders : sum_events) (c, dropout, later, tolerance, &value))
		return value;
	for (int j = 0; j < c->k; j++)
	{
		StageFuture f = {c->k, j, c->shape + j, -log1p(c->now / later->t), later->log_growth};

		if (share > 1e-18 * c->stages)
			total += share * sum_stage(&f, dropout, tolerance);
		share *= (c->shape + j) / (j + 1) * c->odds_past;
	}
	return total / c->stages;
}
