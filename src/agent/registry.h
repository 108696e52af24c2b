/*
 * registry.h
 *		What the files of the registry share.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_REGISTRY_H
#define AGENTCRM_REGISTRY_H

#include "agent/agent.h"

/* A row of agentcrm.agent, and how it is called. */
typedef struct Agent
{
	char	   *name;
	char	   *objective;
	char	   *schema;
	char	   *function;
	char	   *registrar;
	bool		shadow;
	bool		each_client;	/* its function takes one client */
	bool		troubled;		/* agent.problem is set */
	AgentFunction native;		/* NULL: called by SQL */
	Jsonb	   *params;
	int			n_numbers;
	AgentParam *numbers;		/* the numeric ones of params */
} Agent;

/* registry.c */
extern AgentFunction agent_builtin(const char *name);
extern const Agent *registry_agents(int *n);
extern void builtin_check_params(const char *function, Jsonb *params);
extern int	params_numbers(Jsonb *params, AgentParam **numbers);

/* guard.c */
extern void agent_call_guarded(const Agent *agent, const ClientSnapshot *clients, int n_clients,
							   const Population *population, const AgentCall *call, BidSink *sink);

/* check.c */
extern void bid_require(bool ok, int64 client_id, const char *what);
extern void bid_check(const Bid *bid);

/* foreign.c: an agent written in SQL or any other language */
extern void foreign_bid(const Agent *agent, const ClientSnapshot *clients, int n_clients, const AgentCall *call,
						BidSink *sink);

#endif
