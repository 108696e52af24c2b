/*
 * plan.h
 *		The face of the coordinator: rounds, limits and awards.
 *
 * Does not know how a bid was computed.
 */
#ifndef AGENTCRM_PLAN_H
#define AGENTCRM_PLAN_H

#include "agent/agent.h"

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

#endif
