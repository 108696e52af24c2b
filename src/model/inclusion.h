/*
 * inclusion.h
 *		Whether a client's next order holds a product bought before: BG/BB on
 *		the clock of the client's orders, from statistics to fit.
 *
 * Part of model.h.  A pair is a client and a product it has bought; its clock
 * starts at the first order with the product and ticks with each later order.
 */
#ifndef AGENTCRM_INCLUSION_H
#define AGENTCRM_INCLUSION_H

#include <stdbool.h>

/*
 * While a pair is alive each order holds the product with probability P ~
 * Beta(a, b); before each order the pair dies with probability theta ~ Beta(c, d).
 */
typedef struct InclusionModel
{
	double		a,
				b,
				c,
				d;
} InclusionModel;

#define INCLUSION_PARAMETERS 4

/* What is known of a pair, in orders of the client since the first with the product. */
typedef struct PairStats
{
	int			x;				/* those that held it */
	int			last;			/* number of the last of them; 0 where x = 0 */
	int			n;				/* all of them, n >= last >= x */
} PairStats;

/* n_pairs pairs with equal statistics. */
typedef struct PairGroup
{
	PairStats	pair;
	double		n_pairs;
} PairGroup;

/* Pairs of longer histories are left out of a fit. */
#define INCLUSION_FIT_ORDERS 1000

/* Lookup tables of a fit, in the caller's memory (about 80 kB): for each k the sums over j < k of ... */
typedef struct InclusionWorkspace
{
	struct
	{
		double		logs[INCLUSION_FIT_ORDERS + 2]; /* ln(base + j) */
		double		inverses[INCLUSION_FIT_ORDERS + 2]; /* 1 / (base + j) */
	}			a, b, ab, d, cd;
} InclusionWorkspace;

typedef struct InclusionFit
{
	InclusionModel model;
	double		n;				/* pairs used, with at least one order after the first */
	double		n_invalid;		/* left out, those of too long a history among them */
	double		log_likelihood;
	int			evaluations;	/* of likelihood and gradient */
	bool		converged;
} InclusionFit;

/* A fit needs this many pairs with a later order. */
#define INCLUSION_MIN_PAIRS 100

/* Orders that the population's rate counts for against a product's own. */
#define INCLUSION_PRODUCT_WEIGHT 60.0

extern bool inclusion_model_valid(const InclusionModel *model);
extern bool pair_valid(const PairStats *pair);
extern double inclusion_log_likelihood(const InclusionModel *model, const PairStats *pair);
extern double inclusion_alive(const InclusionModel *model, const PairStats *pair);
extern double inclusion_next(const InclusionModel *model, const PairStats *pair, double otherwise);
extern InclusionModel inclusion_tilt(const InclusionModel *model, double rate, double repeats, double orders);
extern double inclusion_within(double orders_expected, double inclusion);
extern double inclusion_evaluate(const PairGroup *groups, int n_groups, const InclusionModel *model,
								 InclusionWorkspace *workspace, double gradient[INCLUSION_PARAMETERS]);
extern bool inclusion_fit(const PairGroup *groups, int n_groups, const InclusionModel *start,
						  InclusionWorkspace *workspace, void (*check) (void), InclusionFit *fit);	/* check: called now and then, may leave by longjmp; or NULL */

#endif							/* AGENTCRM_INCLUSION_H */
