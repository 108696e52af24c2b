/*
 * model.h
 *		The face of src/model: the mathematics other rooms call.
 *
 * Plain C11 and libm; no PostgreSQL header, no allocation, no clock, no random
 * number.  Times are days, rates are per day, probabilities lie in [0, 1];
 * repurchase.h, which belongs to it, takes any unit.
 * Owns formulas only: it must not know where its numbers come from.
 */
#ifndef AGENTCRM_MODEL_H
#define AGENTCRM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inclusion.h"
#include "repurchase.h"
#include "spend.h"

/* ---- special functions (special.c, beta.c) ---- */

extern double model_digamma(double x);
extern double model_trigamma(double x);
extern double model_stirling_rest(double x);
extern double model_log_gamma_ratio(double x, double d);

extern double beta_inc(double a, double b, double x);
extern double beta_inc_upper(double a, double b, double x);
extern double beta_inc_inverse(double a, double b, double p);
extern double beta_inc_log_odds(double a, double b, double odds);
extern double beta_inc_upper_log_odds(double a, double b, double odds);
extern double beta_inc_inverse_odds(double a, double b, double p);

/* ---- minimisation (minimise.c) ---- */

#define MINIMISE_MAX 16
#define MINIMISE_MEMORY 12

/* The value at a point, and the gradient there. */
typedef double (*MinimiseFunction) (const double *at, double *gradient, void *arg);

/* low[i] <= at[i] <= high[i]; tolerance is of the largest derivative. */
typedef struct Minimise
{
	MinimiseFunction function;
	void	   *arg;
	int			n;
	double		low[MINIMISE_MAX];
	double		high[MINIMISE_MAX];
	double		tolerance;
	int			max_evaluations;
} Minimise;

typedef struct MinimiseResult
{
	double		value;
	int			evaluations;
	bool		converged;
} MinimiseResult;

/* The last steps, and how the gradient changed over each. */
typedef struct MinimiseMemory
{
	double		step[MINIMISE_MEMORY][MINIMISE_MAX];
	double		turn[MINIMISE_MEMORY][MINIMISE_MAX];
	int			kept;
	int			newest;
} MinimiseMemory;

extern bool model_minimise(const Minimise *problem, double *at, MinimiseMemory *memory,
						   MinimiseResult *result);

/* ---- gaps between a client's orders (gap_prior.c, gap_shape.c, gap.c) ---- */

/* Closed inter-purchase gaps of one client, in days, each >= 1. */
typedef struct GapStats
{
	int			n;
	double		sum;
	double		sum_log;
} GapStats;

/* Regularities are told apart in classes a factor sqrt(2) apart, from 1/2 to 32. */
#define GAP_SHAPES 13

/*
 * gap ~ Gamma(shape k, rate lambda), lambda ~ Gamma(shape r, rate alpha) over
 * the population.  n_clients says how many clients it was estimated from.
 * shape_weight is the share of clients of each regularity; all zero: not
 * known, and a client's own k is taken at its estimate.
 */
typedef struct GapPrior
{
	double		k;
	double		r;
	double		alpha;
	double		n_clients;
	double		shape_weight[GAP_SHAPES];
} GapPrior;

/* Sums over the clients whose number of gaps falls into one bucket. */
typedef struct GapBucket
{
	double		clients;
	double		gaps;			/* sum of n */
	double		log_mean;		/* sum of z = ln(sum / n) */
	double		log_mean_sq;	/* sum of z^2 */
	double		dispersion;		/* sum of n z - sum_log */
} GapBucket;

#define GAP_EXACT_BUCKETS 15	/* n = 1 .. 15 have a bucket each */
#define GAP_BUCKETS 33			/* then one per doubling, up to n = 2^22 */

/* Clients of a bucket whose dispersion is alike. */
typedef struct GapCell
{
	double		clients;
	double		gaps;			/* sum of n */
	double		dispersion;		/* sum of z - sum_log / n */
} GapCell;

#define GAP_CELLS 24

/* What the population estimate needs; starts as all zero bytes. */
typedef struct GapMoments
{
	GapBucket	bucket[GAP_BUCKETS];
	GapCell		cell[GAP_BUCKETS][GAP_CELLS];
} GapMoments;

/* A prior needs this many clients with this many gaps each. */
#define GAP_MIN_CLIENTS 10
#define GAP_MIN_GAPS 3

extern void gap_moments_add(GapMoments *m, const GapStats *client);
extern bool gap_prior_estimate(const GapMoments *m, GapPrior *prior);

extern double gap_shape_class(int c);
extern void gap_shape_weights(const GapMoments *m, double weight[GAP_SHAPES]);
extern int	gap_shapes(const GapPrior *prior, const GapStats *client,
					   double k[GAP_SHAPES], double weight[GAP_SHAPES]);
extern double gap_shape(const GapPrior *prior, const GapStats *client);
extern double gap_cdf(const GapPrior *prior, const GapStats *client, double u);
extern double gap_survival(const GapPrior *prior, const GapStats *client, double u);
extern double gap_quantile(const GapPrior *prior, const GapStats *client, double p);
extern double gap_order_within(const GapPrior *prior, const GapStats *client,
							   double elapsed, double horizon);
extern double gap_orders_expected(const GapPrior *prior, const GapStats *client,
								  double elapsed, double horizon);
extern double gap_cycles_per_year(const GapPrior *prior, const GapStats *client);
extern double gap_alarm_probability(const GapPrior *prior, const GapStats *client,
									double false_alarms_per_year);

/* ---- clients who have slowed down, or left a category (chart.c, chart_part.c) ---- */

#define CHART_GAPS 24			/* gaps that a change may lie back */
#define CHART_SLOW_RATE 0.5		/* the change looked for: orders at half their rate */

/*
 * Shares of the budget of false alarms.  Silence and slow-down raise some
 * alarms together, so that their shares add up to more than they spend.
 */
#define CHART_SHARE_STOP 0.55
#define CHART_SHARE_SLOW 0.37
#define CHART_SHARE_TIME 0.74	/* what these two spend */
#define CHART_SHARE_PART 0.26	/* categories and items */

/* The closed gaps of a client as evidence of a change, for one k. */
typedef struct SlowPart
{
	double		k;
	double		log_weight;
	double		shape;
	double		scale;			/* days */
	double		closed;			/* ln of the evidence in closed gaps */
	double		slow_scale;		/* the scale if there was a change */
	int			gaps;			/* the likeliest number of closed gaps since */
} SlowPart;

typedef struct SlowChart
{
	bool		armed;			/* the open gap may be after the change */
	int			n;
	SlowPart	part[GAP_SHAPES];
} SlowChart;

extern void chart_slow_start(SlowChart *chart, const GapPrior *prior, const GapStats *client,
							 const double *recent, int n_recent, bool armed);
extern double chart_slow(const SlowChart *chart, double elapsed);
extern int	chart_slow_gaps(const SlowChart *chart);
extern double chart_threshold(double p);
extern double chart_slow_delay(double k, double mean_gap, double threshold);
extern int	chart_discoveries(const double *p, int n, int watched, double level);

#define CHART_ORDERS 64			/* orders of which is known what they held */

extern double chart_part(uint64_t held, int n, int since);
extern double chart_part_share(uint64_t held, int n, int without);

/* ---- clients who may have gone (alive.c) ---- */

#define ALIVE_DROPOUT 0.05		/* assumed: share of clients who go after an order */
#define ALIVE_RETURN 0.02		/* assumed: share of clients gone who order again ... */
#define ALIVE_RETURN_DAYS 14.0	/* ... within so many days */

extern double alive_given_silence(double survival, double dropout);
extern double alive_order_within(const GapPrior *prior, const GapStats *client,
								 double elapsed, double horizon);

/* ---- the firm's own calendar (season.c) ---- */

#define SEASON_DAYS 366			/* slots: the 29th of February has one */
#define SEASON_LEAST_DAYS 366	/* of history */
#define SEASON_LEAST_ORDERS 200

/* Equivalent days before each slot of a year; all zero bytes: flat. */
typedef struct Season
{
	bool		fitted;
	double		before[SEASON_DAYS + 1];
} Season;

extern double season_days(const Season *season, int from, int to);
extern double season_calendar(const Season *season, int from, double days);
extern void season_set(Season *season, const double weight[SEASON_DAYS]);
extern double season_weight(const Season *season, int slot);
extern bool season_fit(Season *season, const double *orders, const double *expected, int first_day, int n);

/* ---- what a client orders again (repeat.c) ---- */

#define REPEAT_DECAY_SLOW 0.9
#define REPEAT_DECAY_FAST 0.6
#define REPEAT_PRIOR_WEIGHT 0.5

extern double decay_pow(double b, double n);
extern double repeat_rate(double f1, double q, double n);

/* ---- forecast probabilities against what happened (calibration.c) ---- */

/* logit p' = intercept + slope logit p; the identity is {0, 1}. */
typedef struct Calibration
{
	double		intercept;
	double		slope;
} Calibration;

#define CALIBRATION_MIN_CASES 50	/* that came true, and that did not */

typedef struct ForecastScore
{
	double		n;
	double		events;
	double		log_loss;
	double		brier;
	double		ece;			/* expected calibration error, ten bins */
} ForecastScore;

extern double calibration_apply(const Calibration *c, double p);
extern double calibration_invert(const Calibration *c, double p);
extern bool calibration_fit(const double *p, const bool *happened, size_t n, Calibration *c);
extern void forecast_score(const double *p, const bool *happened, size_t n, ForecastScore *score);

/* ---- the interval of a date (conformal.c) ---- */

/* In days from now, by quantiles; the share is what lies between the edges. */
typedef struct DateInterval
{
	double		early;
	double		median;
	double		late;			/* infinite: perhaps never */
} DateInterval;

#define INTERVAL_EARLY 0.1
#define INTERVAL_LATE 0.9
#define INTERVAL_SHARE 0.8
#define INTERVAL_MIN_CASES 100
#define INTERVAL_LEAST 0.25		/* a scale is taken into these limits */
#define INTERVAL_MOST 4.0

extern double conformal_score(const DateInterval *interval, double day, double horizon);
extern double conformal_scale(double *scores, size_t n, double share);
extern DateInterval conformal_scaled(const DateInterval *interval, double scale);

/* ---- what an action changes (effect.c) ---- */

#define EFFECT_ASSUMED 0.20		/* prior mean of an action's effect, log odds */

/* What is believed of an effect: normal in log odds. */
typedef struct Effect
{
	double		mean;
	double		sd;
} Effect;

extern double effect_apply(double p0, double theta);
extern Effect effect_prior(int discount);
extern Effect effect_inherit(Effect parent, double spread);
extern Effect effect_update(Effect prior, double treated, double treated_bought, double withheld, double withheld_bought);

/* ---- how far an agent is believed (trust.c) ---- */

#define TRUST_PRIOR 12.0		/* cases that a factor of 1 weighs */
#define TRUST_MOST 2.0			/* no factor is greater */

extern double trust_factor(double got, double claimed, double pool);

#endif							/* AGENTCRM_MODEL_H */
