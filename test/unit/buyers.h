/*
 * buyers.h
 *		Simulated clients of the repurchase models, for tests and benches.
 */
#ifndef AGENTCRM_TEST_BUYERS_H
#define AGENTCRM_TEST_BUYERS_H

#include "../../src/model/model.h"
#include "unit.h"

/*
 * A client of so many days' age, in units of unit days, the model's: orders on
 * whole days, each gap rounded up, until age or departure.
 */
extern BuyerStats simulate_buyer(UnitRandom *random, const RepurchaseModel *model, int days, double unit);

#endif							/* AGENTCRM_TEST_BUYERS_H */
