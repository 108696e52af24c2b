/*
 * spend.h
 *		What an order of a client is worth: the Gamma-Gamma model of spend, from
 *		statistics to fit.
 *
 * Part of model.h.  Any unit of money will do; gamma is in that unit, p and q
 * are bare numbers.
 */
#ifndef AGENTCRM_SPEND_H
#define AGENTCRM_SPEND_H

#include <stdbool.h>

/*
 * The value of an order ~ Gamma(shape p, rate nu), nu ~ Gamma(shape q, rate
 * gamma) over the population.  q > 1, so that the population has a mean.
 */
typedef struct SpendModel
{
	double		p,
				q,
				gamma;
} SpendModel;

#define SPEND_PARAMETERS 3

/* n clients with x >= 1 orders of mean value mean > 0 each. */
typedef struct SpendGroup
{
	double		x;
	double		mean;
	double		n;
} SpendGroup;

typedef struct SpendFit
{
	SpendModel	model;
	double		n;				/* valid clients */
	double		n_invalid;		/* left out */
	double		log_likelihood;
	int			evaluations;	/* of likelihood and gradient */
	bool		converged;
} SpendFit;

/* A fit needs this many clients. */
#define SPEND_MIN_CLIENTS 20

extern bool spend_model_valid(const SpendModel *model);
extern double spend_log_likelihood(const SpendModel *model, double x, double mean);
extern bool spend_gradient(const SpendModel *model, double x, double mean, double gradient[SPEND_PARAMETERS]);
extern double spend_population_mean(const SpendModel *model);
extern double spend_expected(const SpendModel *model, double x, double mean);
extern bool spend_fit(const SpendGroup *groups, int n_groups, const SpendModel *start,
					  void (*check) (void), SpendFit *fit);	/* check: called now and then, may leave by longjmp; or NULL */

#endif							/* AGENTCRM_SPEND_H */
