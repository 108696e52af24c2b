/*
 * award.h
 *		What the files of the coordinator share.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_AWARD_H
#define AGENTCRM_AWARD_H

#include "access/tupdesc.h"
#include "utils/hsearch.h"
#include "utils/tuplestore.h"

#include "execute/execute.h"
#include "plan/market.h"
#include "plan/means.h"
#include "plan/plan.h"

/* A way to do what a candidate proposes: a day, a rep, and what it uses of the means. */
typedef struct Way
{
	DateADT		day;
	bool		has_rep;
	int64		rep_id;
	int			first_use;		/* into Round.uses */
	int			n_uses;
} Way;

/* What a bid can be spared when it is asked why it was not awarded. */
typedef enum Obstacle
{
	OBSTACLE_RESERVE,
	OBSTACLE_CLIENT,			/* do_not_contact, or closed */
	OBSTACLE_SHADOW,
	OBSTACLE_DEMAND,			/* something else is after the same demand */
	OBSTACLE_POLICY,			/* contact policy */
	OBSTACLE_MEANS,
	N_OBSTACLES
} Obstacle;

/* The bid that is asked about, and what it is spared. */
typedef struct Target
{
	const char *agent;			/* NULL: of any */
	const char *action;
	uint32		spared;			/* bits of Obstacle */
	int			found;			/* the candidate, or -1 */
} Target;

/* What becomes of a whole round, kept while its clients pass chunk by chunk. */
typedef struct Round
{
	RoundKind	kind;
	bool		dry;			/* nothing is written */
	bool		deliver;		/* this database may act */
	Target	   *target;			/* NULL: none */
	AgentCall	call;
	const Population *population;
	MemoryContext cxt;
	Means	   *means;
	int			n_clients;
	int			n_refusals;
	int			n_looks;
	List	   *failed;			/* what went wrong with others, each once */
	List	   *answered;		/* names of agents that answered the last chunk without an error */
	int			n;
	int			max;
	Candidate  *candidates;
	int			n_ways;
	int			max_ways;
	Way		   *ways;
	int			n_uses;
	int			max_uses;
	MarketUse  *uses;
	int			n_rooms;
	int			max_rooms;
	int		   *rooms;			/* contacts left, n_policies for each client */
	int			n_policies;
	Limits	   *policies;
	Tuplestorestate *rows;		/* the bids as rows without their fate, in the candidates' order */
	TupleDesc	row_desc;
	HTAB	   *heard;			/* the bids, by id */
	HTAB	   *words;			/* names said once */
	double	   *prices;			/* of the means, when settled */
	double	   *used;			/* of the means by what the round awards or keeps */
	MarketAnswer first;			/* after the first iteration */
	MarketAnswer answer;
	int			iterations;
} Round;

/* baseline.c */
extern double baseline_p0(const ClientSnapshot *client, const Population *population, const Bid *bid);

/* worth.c */
extern void worth_read(const Population *population);
extern void worth_price(const ClientSnapshot *client, const Population *population, Candidate *c);

/* limits.c */
extern Limits *limits_begin(void);
extern void limits_read(Limits *limits, const ClientSnapshot *clients, int n_clients, DateADT today);
extern List *limits_standings(Limits *limits, int client_index);	/* of Standing */
extern int64 limits_conflict(Limits *limits, const Candidate *c);
extern const char *limits_contact(Limits *limits, const Candidate *c, DateADT day, DateADT *free_on);
extern void limits_withdraw(Standing *standing);
extern int	limits_policies(const Limits *limits);
extern bool limits_counts(const Limits *limits, int policy, const char *channel);
extern int	limits_room(const Limits *limits, int client_index, int policy, DateADT today);
extern bool limits_too_close(const Limits *limits, const Candidate *a, const Candidate *b);

/* admit.c */
extern void round_add_way(Round *round, Candidate *c, const MeansOption *option);
extern void admit(Round *round, Candidate *c, Limits *limits);

/* incumbent.c */
extern void incumbents_enter(Round *round, const ClientSnapshot *clients, int n_clients, const Candidate *candidates, int n,
							 const BidSink *sink);
extern void incumbents_again(Round *round, int n_clients);
extern void incumbents_leave(const Round *round);

/* auction.c */
extern void auction_settle(Round *round);

/* prices.c */
extern double *prices_standing(const Round *round);
extern void prices_record(const Round *round);
extern void uses_record(const Round *round);

/* record.c */
extern int64 record_next_round(void);
extern void record_begin(Round *round);
extern void record_keep(Round *round, const Candidate *c);
extern void record_bids(Round *round);
extern void record_answers(ClientSnapshot *clients, int n_clients, const BidSink *sink, MemoryContext cxt);
extern void record_round(const Round *round, double seconds);

/* day.c */
extern int	day_clients(int64 after, int64 *ids, int max);

/* round.c */
extern Round *round_begin(RoundKind kind, TimestampTz as_of, bool dry);
extern void round_call_ids(Round *round, const int64 *ids, int n);
extern void round_call_all(Round *round);
extern Round *plan_whole(TimestampTz as_of, bool dry, bool deliver);
extern void round_settle(Round *round);
extern bool round_spares(const Round *round, const Candidate *c, Obstacle obstacle);
extern Candidate *round_add_candidate(Round *round, const Candidate *c);

#endif
