/*
 * award.h
 *		What the files of the coordinator share.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_AWARD_H
#define AGENTCRM_AWARD_H

#include "execute/execute.h"
#include "plan/plan.h"

/* baseline.c */
extern double baseline_p0(const ClientSnapshot *client, const Population *population, const Bid *bid);
extern double baseline_theta(const char *action);

/* limits.c */
extern Limits *limits_read(const ClientSnapshot *clients, int n_clients, DateADT today);
extern void limits_read_minutes(Limits *limits, const ClientSnapshot *clients, int n_clients, DateADT today);
extern List *limits_standings(Limits *limits, int client_index);	/* of Standing */
extern int64 limits_conflict(Limits *limits, const Candidate *c);
extern const char *limits_contact(Limits *limits, const Candidate *c, DateADT day, DateADT *free_on);
extern bool limits_minutes_free(Limits *limits, const Candidate *c, DateADT day);
extern void limits_book(Limits *limits, const Candidate *c);
extern void limits_withdraw(Standing *standing);

/* award.c */
extern void award_candidates(Candidate *candidates, int n, Limits *limits);

/* record.c */
extern int64 record_next_round(void);
extern void record_bids(const Candidate *candidates, int n, int64 round_id, TimestampTz as_of,
						const Population *population);
extern void record_answers(ClientSnapshot *clients, int n_clients, const BidSink *sink, MemoryContext cxt);
extern void record_round(int64 round_id, RoundKind kind, const AgentCall *call, int n_clients,
						 const Candidate *candidates, int n, const BidSink *sink, double seconds);

#endif
