/*
 * plan.h
 *		The face of the coordinator: rounds, limits and awards.
 *
 * Does not know how a bid was computed.
 */
#ifndef AGENTCRM_PLAN_H
#define AGENTCRM_PLAN_H

#include "agent/agent.h"

/* A bid before the coordinator; an incumbent is a recommendation that nobody has seen yet and that competes anew. */
typedef struct Candidate
{
	const Bid  *bid;			/* these two are there while the client's chunk is at hand */
	const ClientSnapshot *client;
	int			client_index;	/* into its chunk */
	int64		client_id;
	int64		holder_id;		/* of an incumbent: under whom it stands, perhaps merged into the client */
	int64		bid_id;			/* of an incumbent: its recommendation */
	const char *agent;
	const char *action;
	const char *channel;		/* NULL: no contact */
	const char *category;		/* of the demand */
	DateADT		demand_from;
	DateADT		demand_to;		/* exclusive */
	TimestampTz valid_until;
	int			iteration;
	bool		obligation;
	bool		explore;
	bool		incumbent;
	double		p_baseline;
	double		p_used;
	double		theta;			/* effect of the action, log odds */
	int			effect_n;		/* cases it was measured on; 0: assumed */
	double		trust_claim;	/* how far the agent's claim is believed, 1: wholly */
	double		trust_lift;
	double		value;			/* expected incremental margin within the horizon */
	double		residual;		/* and beyond it */
	double		net;			/* value + residual - cost */
	bool		accepted;
	const char *reason;			/* why it was rejected; NULL: not yet */
	bool		has_rep;		/* when accepted: who, and the day */
	int64		rep_id;
	DateADT		due_on;
	int			way;			/* the one accepted */
	double		price;			/* of the means that it uses, or would have used */
	TimestampTz retry_at;		/* 0, or when the obstacle is gone */
	double		missing;		/* of what rejected it, where that can be counted */
	int			first_way;		/* ways to do it */
	int			n_ways;
	int			room;			/* contacts left of its client: into the round's rooms */
	int			market;			/* its number in the market, or -1 */
} Candidate;

typedef enum RoundKind
{
	ROUND_EVENT,				/* clients touched by orders */
	ROUND_DUE,					/* clients whose time had come */
	ROUND_DAILY					/* all clients: prices are made here */
} RoundKind;

/*
 * One round for the given snapshots at as_of: calls the agents, adds the
 * shared baseline, lets the bids compete at the standing prices within what is
 * left of the means, writes round, bids and recommendations (through execute),
 * and folds the agents' wishes into each snapshot's state.next_look_at, and
 * what those without a bid said into its state.answers.
 */
extern void plan_round(RoundKind kind, ClientSnapshot *clients, int n_clients, TimestampTz as_of);

/* One round over all clients, with prices made anew.  Reads snapshots in chunks; their assessments are not stored. */
extern void plan_day(TimestampTz as_of, bool deliver);

/* Whether such a round is due, and when the next one is (DT_NOEND: never). */
extern bool plan_day_due(TimestampTz as_of);
extern TimestampTz plan_next_day(TimestampTz as_of);

/*
 * What rounds are made of, for a replay; none of it writes anything.
 */

/* The call for proposals under the settings in force. */
extern AgentCall plan_call(int64 round_id, TimestampTz as_of);

/* Bids with baseline and value, each once; in the current memory context.  Needs SPI. */
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
extern double plan_owner_minutes(Limits *limits, int64 owner_id);
extern double plan_minutes(Limits *limits, const ClientSnapshot *client, int64 *owner_id);	/* clients without a rep have owner 0 */

#endif
