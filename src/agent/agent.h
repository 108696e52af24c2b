/*
 * agent.h
 *		The face of the agents: each sees one client at one moment and bids.
 *
 * Agents write nothing and read nothing but the snapshot, the population and
 * product facts handed to them.
 */
#ifndef AGENTCRM_AGENT_H
#define AGENTCRM_AGENT_H

#include "nodes/pg_list.h"
#include "profile/profile.h"
#include "utils/jsonb.h"

typedef enum BidKind
{
	BID_BID,
	BID_REFUSE,
	BID_LOOK
} BidKind;

/* The C twin of agentcrm.bid_proposal. */
typedef struct Bid
{
	int64		client_id;
	int			client_index;	/* into the snapshots of the call */
	const char *agent;			/* filled by the registry */
	const char *objective;		/* filled by the registry */
	bool		shadow;			/* filled by the registry: recorded, never awarded */
	BidKind		kind;
	const char *action;
	const char *channel;
	bool		has_product;
	int64		product_id;
	Jsonb	   *basket;			/* NULL when none */
	Numeric		quantity;
	bool		has_programme;
	int64		programme_id;
	const char *demand_category;	/* "*" for any */
	DateADT		demand_from;
	DateADT		demand_to;		/* exclusive */
	double		p_claim;		/* negative: baseline and assumed effect serve */
	double		margin;
	double		cost;
	double		minutes;		/* of the client's rep */
	double		budget;			/* of its programme */
	bool		obligation;
	bool		explore;
	TimestampTz valid_until;
	const char *reason_code;
	const char *reason;
	Jsonb	   *evidence;
	TimestampTz next_look_at;	/* 0: no wish */
} Bid;

/* A numeric parameter of an agent, from agentcrm.agent.params. */
typedef struct AgentParam
{
	const char *name;
	double		value;
} AgentParam;

/* A bid of the first iteration that was rejected for want of means. */
typedef struct AgentRejected
{
	int			client_index;
	const char *agent;
	const char *action;
	const char *demand_category;
	const char *reason;
	double		price;			/* of the means it would have used */
} AgentRejected;

/* The call for proposals. */
typedef struct AgentCall
{
	const char *agent;			/* the one called: filled by the registry */
	int64		round_id;
	int			iteration;		/* 1, or 2: for something cheaper than what was rejected */
	int			n_rejected;
	const AgentRejected *rejected;
	int64		seed;
	TimestampTz as_of;
	double		horizon_days;	/* agentcrm.value_horizon */
	double		margin_rate;	/* share of amount where margin is missing */
	double		false_alarm_rate;	/* per living client and year */
	int			n_params;		/* of the agent called: filled by the registry */
	const AgentParam *params;
} AgentCall;

extern double agent_param(const AgentCall *call, const char *name, double otherwise);
extern int	agent_count(const AgentCall *call, const char *name, int otherwise);

typedef struct BidSink
{
	MemoryContext cxt;
	int			n;
	int			max;
	Bid		   *bids;
	List	   *answered;		/* names (char *) of the agents that answered without an error */
	List	   *failed;			/* "name: what went wrong" of the others */
} BidSink;

extern void bid_sink_init(BidSink *sink);	/* in the current memory context */

extern Bid *bid_new(BidSink *sink);

extern Jsonb *bid_uses(const Bid *bid); /* resource -> amount */

typedef void (*AgentFunction) (const ClientSnapshot *clients, int n_clients, const Population *population,
							   const AgentCall *call, BidSink *sink);

/* Call every registered agent that is not paused; refusals and looks come back as bids of their kind. */
extern void agent_call_all(const ClientSnapshot *clients, int n_clients, const Population *population,
						   const AgentCall *call, BidSink *sink);

/*
 * The alarms that the retention agent raises for a client, as its bids, among
 * them refusals and looks; none where it is paused.  Needs SPI.
 */
extern void agent_alarms(const ClientSnapshot *client, const Population *population, const AgentCall *call, BidSink *sink);

/* The products that the client's next order is likeliest to hold, as the reorder agent ranks them: at most so many. */
extern int	agent_due_items(const ClientSnapshot *client, int most, int64 *product_ids);

#endif
