/*
 * means.h
 *		The means of a round: what is left of them, and what a bid would use.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_MEANS_H
#define AGENTCRM_MEANS_H

#include "agent/agent.h"
#include "plan/market.h"

#define MEANS_MAX_USES 8

typedef struct Means Means;

/* A day and a rep to do a bid, with what it uses: resources by their number within Means. */
typedef struct MeansOption
{
	DateADT		day;
	bool		has_rep;
	int64		rep_id;
	int			n_uses;
	MarketUse	uses[MEANS_MAX_USES];
} MeansOption;

extern Means *means_read(DateADT today, int n_days);
extern int	means_count(const Means *means);
extern bool means_is_floor(const Means *means, int resource);
extern double means_left(const Means *means, int resource);
extern double means_need(const Means *means, int resource);
extern double means_worth(const Means *means, int resource);
extern void means_label(const Means *means, int resource, const char **name, int64 *owner_id, DateADT *day);
extern const char *means_reason(const Means *means, int resource);
extern int	means_find(Means *means, const char *name, int64 owner_id, DateADT day);
extern void means_return(Means *means, int resource, double amount);
extern int	means_options(Means *means, const ClientSnapshot *client, const Bid *bid, MeansOption *options, int max,
						  const char **reason, double *missing);

#endif
