/*
 * plan.h
 *		The face of the coordinator: rounds, limits and awards.
 *
 * Does not know how a bid was computed.
 */
#ifndef AGENTCRM_PLAN_H
#define AGENTCRM_PLAN_H

#include "agent/agent.h"

/* A bid before the coordinator. */
typedef struct Candidate
{
	const Bid  *bid;
	const ClientSnapshot *client;
	int64		bid_id;
	double		p_baseline;
	double		p_used;
	double		value;			/* expected incremental margin */
	double		net;			/* value - cost */
	bool		accepted;
	const char *reason;			/* why it was rejected; NULL: not yet */
	DateADT		due_on;			/* when accepted */
	TimestampTz retry_at;		/* 0, or when the obstacle is gone */
} Candidate;

typedef enum RoundKind
{
	ROUND_EVENT,
	ROUND_DAILY
} RoundKind;

/*
 * One round for the given snapshots at as_of: calls the agents, adds the
 * shared baseline, awards under contact policy and rep minutes, writes round,
 * bids and recommendations (through execute), and folds the agents' wishes
 * into each snapshot's state.next_look_at, and what those without a bid said
 * into its state.answers.
 */
extern void plan_round(RoundKind kind, ClientSnapshot *clients, int n_clients, TimestampTz as_of);

/*
 * What rounds are made of, for a replay; none of it writes anything.
 */

/* The call for proposals under the settings in force. */
extern AgentCall plan_call(int64 round_id, TimestampTz as_of);

/* Bids with baseline and value, each once; in the current memory context. */
extern Candidate *plan_price(const BidSink *sink, const ClientSnapshot *clients, const Population *population,
							 int64 round_id, int *n);

/* P(the client orders within so many days, nothing being done), from the shared baseline. */
extern double plan_baseline(const ClientSnapshot *client, const Population *population, int days);

/* Bids as rows of agentcrm.bid, as record_bids would store them.  Needs SPI; the result is in SPI_tuptable. */
extern void plan_show_bids(const Candidate *candidates, int n, int64 round_id, TimestampTz as_of,
						   const Population *population);

/* Minutes a day of the clients' reps. */
typedef struct Limits Limits;

extern Limits *plan_capacities(void);	/* in the current memory context.  Needs SPI. */
extern double plan_minutes(Limits *limits, const ClientSnapshot *client, int64 *owner_id);	/* clients without a rep have owner 0 */

#endif
