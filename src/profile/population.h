/*
 * population.h
 *		What the population cache owes to the rest of the room.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_POPULATION_H
#define AGENTCRM_PROFILE_POPULATION_H

#include "profile/profile.h"

extern void population_forget(void);	/* a new generation was written */
extern void population_orders_seen(int orders); /* orders folded since: a hint when to look whether a fit is due */
extern int64 population_count_sales(void);	/* orders x products, from the product profiles */
extern const GapPrior *population_weak_gap_prior(void);	/* serves until there are enough clients */

/* A generation, as a row of agentcrm.model has it. */
typedef struct Generation
{
	int64		model_id;
	const char *kind;
	Jsonb	   *params;
	int64		n;
	TimestampTz as_of;			/* orders up to here */
	TimestampTz fitted_at;
} Generation;

/* Takes up one generation of those being gathered for the past. */
typedef void (*PastSource) (void *arg);

/* Model number of generations that are fitted for a replay and not stored. */
#define REPLAY_MODEL_ID (-1)

extern PastPopulation *population_gather(PastSource source, void *arg);	/* calls source, which calls the next two */
extern void population_take(const Generation *generation);
extern void population_take_share(int64 product_id, double share);
extern const LedgerView *population_past_view(void);	/* NULL: the present is on */

/* fit.c: the shares of products as they were when a generation of popularity was fitted. */
extern void fit_take_shares(const LedgerView *view, TimestampTz as_of);

#endif
