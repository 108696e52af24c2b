/*
 * pareto.h
 *		Another model of repurchase, which tests compare with the one in use.
 */
#ifndef AGENTCRM_TEST_PARETO_H
#define AGENTCRM_TEST_PARETO_H

#include "../../src/model/model.h"

typedef struct ParetoModel
{
	double		r,
				alpha,
				s,
				beta;
} ParetoModel;

extern double pareto_log_likelihood(const ParetoModel *model, const BuyerStats *buyer);
extern double pareto_alive(const ParetoModel *model, const BuyerStats *buyer);
extern double pareto_expected(const ParetoModel *model, const BuyerStats *buyer, double t);
extern double pareto_active(const ParetoModel *model, const BuyerStats *buyer, double t);

#endif							/* AGENTCRM_TEST_PARETO_H */
