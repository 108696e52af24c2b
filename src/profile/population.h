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
	int64		model_id;		/* 0: still to be written */
	const char *kind;
	const char *segment;
	Jsonb	   *params;
	int64		n;
	bool		has_log_likelihood;
	double		log_likelihood;
	Jsonb	   *metrics;		/* NULL: {} */
	TimestampTz as_of;			/* orders up to here */
	TimestampTz fitted_at;
	bool		current;		/* takes the place of the one in use */
} Generation;

/* Begins a statement that takes generations out of use: replays ask which one was in use. */
#define GENERATION_RETIRE "UPDATE agentcrm.model SET current = false, retired_at = agentcrm.clock() WHERE current"

/* Takes up one generation of those being gathered for the past. */
typedef void (*PastSource) (void *arg);

/* Model number of generations that are fitted for a replay and not stored. */
#define REPLAY_MODEL_ID (-1)

extern PastPopulation *population_gather(const LedgerView *view, PastSource source, void *arg);	/* calls source, which calls the next three */
extern void population_take(const Generation *generation);
extern void population_take_share(int64 product_id, double share);
extern void population_take_rate(int64 product_id, int64 repeats, int64 orders);
extern bool population_gathering(void); /* what is fitted now is for a replay and not to be stored */
extern const LedgerView *population_past_view(void);	/* NULL: the present is on */
extern LedgerView population_view(TimestampTz as_of);	/* what may be seen of the ledger up to as_of */

/* fit.c: what is kept of the current generations alone, as it was when older ones were fitted. */
extern void fit_take_shares(const LedgerView *view);
extern void fit_take_rates(const LedgerView *view);

/* Segments by name, kind before it; at most so many of a kind have a model of their own. */
#define REPURCHASE_CHANNEL "channel:"
#define REPURCHASE_TERRITORY "territory:"
#define REPURCHASE_SEGMENTS 16

/* The generation for a client of a channel and territory (NULL: unknown), NULL when none is fitted. */
extern const Repurchase *population_repurchase(const Population *population, const char *channel, const char *territory);
extern bool population_number(Jsonb *params, const char *name, int index, double *number);

/* repurchase_json.c: a generation's parameters as jsonb and back */
extern Jsonb *repurchase_to_json(const Repurchase *repurchase);
extern bool repurchase_from_json(Jsonb *params, Repurchase *repurchase);

/* fit.c: rows of agentcrm.model; in a replay generations of it go to population_take, and none is retired */
extern void fit_check_interrupts(void);
extern int	fit_compare_doubles(const void *a, const void *b);
extern double fit_pareto_limit(const double *amounts, int64 n, double share);
extern int64 generation_write(const Generation *generation);
extern void generation_retire(const char *kind, const char *segment);

/* repurchase_generate.c: generations of kind repurchase from the orders up to as_of; needs SPI */
extern void repurchase_generate(TimestampTz as_of);

#endif
