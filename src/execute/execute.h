/*
 * execute.h
 *		The face of execution: the life cycle of recommendations.
 *
 * Does not rank again what was awarded.
 */
#ifndef AGENTCRM_EXECUTE_H
#define AGENTCRM_EXECUTE_H

#include "agent/agent.h"

/* A recommendation as the plan must know it: still standing, or recent enough to count as a contact. */
typedef struct Standing
{
	int			client_index;	/* into the ids asked for */
	int64		client_id;		/* may be one that was merged into the client asked for */
	int64		holder_id;		/* the client asked for */
	int64		recommendation_id;	/* the id of its bid */
	const char *agent;
	const char *action;
	const char *channel;		/* NULL: no contact */
	const char *category;		/* demand */
	DateADT		from;
	DateADT		to;
	DateADT		due_on;
	TimestampTz expires_at;
	bool		has_rep;
	int64		rep_id;
	double		value;			/* net of cost, as awarded */
	TimestampTz as_of;
	bool		standing;		/* open, shown, agreed or snoozed */
	bool		declined;
	bool		ignored;		/* declined, or its time passed */
	bool		communicated;	/* anything but open */
	bool		obligation;		/* stands as if communicated */
	bool		contested;		/* competes anew in this round */
} Standing;

/* Standing recommendations of the clients and of those merged into them, and ended contacts due after since or for a demand after it; in the order of the ids. */
extern int	execute_standing(const int64 *client_ids, int n_clients, DateADT since, Standing **standings);

/* An accepted bid, already a row of agentcrm.bid, on its way to become a recommendation. */
typedef struct Award
{
	int64		client_id;
	int64		bid_id;
} Award;

/* Awards of the round at as_of become recommendations and are notified. */
extern void execute_accept(const Award *awards, int n_awards, TimestampTz as_of);

/* Recommendations that are still open give way to better ones, each with its reason. */
typedef struct Displaced
{
	int64		client_id;
	int64		recommendation_id;
	const char *reason;
} Displaced;

extern void execute_displace(const Displaced *displaced, int n, TimestampTz as_of);

/* Withdraw recommendations that are still open and not yet communicated, with the reason. */
extern void execute_withdraw(const Standing *const *standings, int n, const char *reason, TimestampTz as_of);

/* Withdraw open recommendations that a new sale answers: "answered by order N". */
extern void execute_answer(const LedgerChange *changes, int n_changes, TimestampTz as_of);

/* A client is merged into another one: what nobody has acted upon is withdrawn, the rest counts there. */
extern void execute_merge(int64 client_id, int64 survivor_id, TimestampTz as_of);

/* A client goes on under another id: recommendations, bids, feedback and minutes go there. */
extern void execute_rename(int64 old_id, int64 new_id);

/* Expire open recommendations whose time has passed; at most limit of them; returns how many. */
extern int	execute_expire(TimestampTz as_of, int limit);

/* The earliest expires_at of an open recommendation, or DT_NOEND. */
extern TimestampTz execute_next_due(void);

#endif
