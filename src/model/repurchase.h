/*
 * repurchase.h
 *		When, whether and how often a client buys again: the (M)BG/CNBD-k model
 *		and its finite mixture over k, from statistics to fit.
 *
 * Part of model.h.  Any unit of time will do, as long as the parameters and the
 * clients share it: alpha, tx, T and t are in that unit, sum_log is of gaps in it.
 *
 * One model serves all members: BG/NBD is m = 0, n_classes = 1, k = {1};
 * MBG/NBD the same with m = 1; (M)BG/CNBD-k has another k; the mixture several.
 */
#ifndef AGENTCRM_REPURCHASE_H
#define AGENTCRM_REPURCHASE_H

#include <stdbool.h>
#include <stddef.h>

/* Regularities of the full mixture: 1, 2, 3, 4, 6, 8, 12. */
#define REPURCHASE_CLASSES 7
#define REPURCHASE_K_MAX 12
#define REPURCHASE_PARAMETERS 4		/* r, alpha, a, b */

/* One client, first order at time 0, orders of one day merged. */
typedef struct BuyerStats
{
	int			x;				/* orders after the first */
	double		tx;				/* time of the last order; 0 where x = 0 */
	double		T;				/* age: time from the first order until now, >= tx */
	double		sum_log;		/* sum of the logarithms of the x gaps */
} BuyerStats;

/*
 * Orders of class k come every k-th event of a Poisson process of rate lambda_k;
 * lambda_k ~ Gamma(shape r, rate alpha / k), so that alpha / r is about the mean
 * gap whatever the class; after an order (m = 1: also after the first, m = 0:
 * only after repeat orders) the client leaves with probability p ~ Beta(a, b).
 * For a single class k the hidden process's own alpha is alpha / k.
 */
typedef struct RepurchaseModel
{
	int			m;
	double		r,
				alpha,
				a,
				b;
	int			n_classes;
	int			k[REPURCHASE_CLASSES];
	double		weight[REPURCHASE_CLASSES]; /* sum to 1 */
} RepurchaseModel;

/* ---- one client (repurchase.c, repurchase_expected.c) ---- */

/* x >= 0, 0 <= tx <= T < infinity, tx = 0 just where x = 0, sum_log finite. */
extern bool buyer_valid(const BuyerStats *buyer);
extern bool repurchase_model_valid(const RepurchaseModel *model);

/* Each of these is NaN for an invalid client or model, and for a NaN argument. */
extern double repurchase_log_likelihood(const RepurchaseModel *model, const BuyerStats *buyer);
extern double repurchase_alive(const RepurchaseModel *model, const BuyerStats *buyer);
extern double repurchase_expected(const RepurchaseModel *model, const BuyerStats *buyer, double t);
extern double repurchase_active(const RepurchaseModel *model, const BuyerStats *buyer, double t);
extern double repurchase_active_quantile(const RepurchaseModel *model, const BuyerStats *buyer, double p);
extern double repurchase_gap_survival(const RepurchaseModel *model, const BuyerStats *buyer, double elapsed);
extern double repurchase_gap_quantile(const RepurchaseModel *model, const BuyerStats *buyer, double p);

/* P(class | the client's history): false and all NaN for an invalid client or model. */
extern bool repurchase_classes(const RepurchaseModel *model, const BuyerStats *buyer,
							   double posterior[REPURCHASE_CLASSES]);

/* What the models say of one client over the next t, from one pass. */
typedef struct RepurchaseScore
{
	double		log_likelihood;
	double		alive;			/* P(not gone) at T */
	double		active;			/* P(at least one order in (T, T + t]) */
	double		expected;		/* orders expected in (T, T + t] */
	double		mean_k;			/* posterior mean of the regularity */
} RepurchaseScore;

extern bool repurchase_score(const RepurchaseModel *model, const BuyerStats *buyer,
							 double t, RepurchaseScore *score);

/*
 * The same for many clients of one model: what depends on the model and x alone
 * is looked up, and clients of one order are remembered by their age.  About 70
 * kB, in the caller's memory; holds no pointers.
 */
#define REPURCHASE_TABLE_X 128
#define REPURCHASE_TABLE_AGES 1024	/* a power of 2 */

typedef struct RepurchaseTable
{
	RepurchaseModel model;
	double		log_orders[REPURCHASE_TABLE_X][REPURCHASE_CLASSES];
	double		log_stay[REPURCHASE_TABLE_X];
	double		log_constant[REPURCHASE_CLASSES];
	double		alpha[REPURCHASE_CLASSES];
	struct
	{
		double		T;
		double		t;			/* < 0: nothing here yet */
		RepurchaseScore score;
	}			once[REPURCHASE_TABLE_AGES];
} RepurchaseTable;

extern bool repurchase_table(const RepurchaseModel *model, RepurchaseTable *table);
extern bool repurchase_score_by_table(RepurchaseTable *table, const BuyerStats *buyer,
									  double t, RepurchaseScore *score);

/* ---- many clients (repurchase_fit.c) ---- */

/* n clients with equal statistics. */
typedef struct BuyerGroup
{
	BuyerStats	buyer;
	double		n;
} BuyerGroup;

/*
 * Merges equal groups in place (their n adds up) and returns how many are left,
 * in order of first appearance.  With a single k gaps do not matter to the fit
 * but for a constant: by_gaps = false then adds up n * sum_log per (x, tx, T)
 * and leaves each group its mean, which leaves every k's fit and likelihood
 * unchanged.  workspace: buyers_group_workspace(n_groups) bytes.
 */
extern size_t buyers_group_workspace(int n_groups);
extern int	buyers_group(BuyerGroup *groups, int n_groups, bool by_gaps, void *workspace);

/* Options start as zero bytes, but for the classes. */
typedef struct RepurchaseFitOptions
{
	int			m;				/* 1: MBG, 0: BG */
	int			n_classes;
	int			k[REPURCHASE_CLASSES];
	const RepurchaseModel *start;	/* warm start, or NULL */
	const RepurchaseModel *pool;	/* shrink towards this one, or NULL */
	double		pool_weight;	/* precision of each log parameter about the
								 * pool's; and as many clients with its classes */
	bool		no_weak_prior;	/* maximum likelihood, whatever the data */
	int			max_evaluations;	/* 0: 300 */
	double		tolerance;		/* largest derivative of the log-likelihood per
								 * client; 0: 1e-9, for a mixture 1e-6 */
	void		(*check) (void *arg);	/* called every few milliseconds; may
										 * leave by longjmp */
	void	   *check_arg;
} RepurchaseFitOptions;

typedef struct RepurchaseFit
{
	RepurchaseModel model;
	double		n;				/* valid clients */
	double		n_invalid;		/* left out */
	double		log_likelihood; /* of the data alone */
	int			evaluations;	/* of likelihood and gradient */
	int			evaluations_sample; /* on a sample before, an eighth of the work */
	bool		converged;
	bool		no_defection;	/* at the boundary: no defection visible */
	bool		weak_prior;		/* LogN(0, 2) on each parameter was used */
} RepurchaseFit;

extern size_t repurchase_fit_workspace(int n_groups);
extern bool repurchase_fit(const BuyerGroup *groups, int n_groups,
						   const RepurchaseFitOptions *options, void *workspace,
						   RepurchaseFit *fit);

/* gradient: by ln r, ln alpha, ln a, ln b, then the weights */
extern double repurchase_log_likelihood_of(const RepurchaseModel *model,
										   const BuyerGroup *groups, int n_groups, void *workspace,
										   double gradient[REPURCHASE_PARAMETERS + REPURCHASE_CLASSES]);

#endif							/* AGENTCRM_REPURCHASE_H */
