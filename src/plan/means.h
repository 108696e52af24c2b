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

/* means.c.  A mean is numbered when it is first asked for; needs SPI. */
extern Means *means_read(DateADT today, int n_days);	/* in the current memory context */
extern int	means_count(const Means *means);
extern bool means_is_floor(const Means *means, int resource);
extern double means_left(const Means *means, int resource); /* of a floor: what is still missing; may be negative */
extern double means_worth(const Means *means, int resource);	/* of a floor: what a missing unit costs */
extern void means_label(const Means *means, int resource, const char **name, int64 *owner_id, DateADT *day);
extern const char *means_reason(const Means *means, int resource);
extern int	means_find(Means *means, const char *name, int64 owner_id, DateADT day);	/* -1: not limited, or over */
extern void means_return(Means *means, int resource, double amount);
extern int	means_options(Means *means, const ClientSnapshot *client, const Bid *bid, MeansOption *options, int max,
						  const char **reason, double *missing);

/* owner.c: who does the work, and where reps are */
typedef struct Owners Owners;

extern Owners *owners_read(void);	/* in the current memory context.  Needs SPI. */
extern bool owners_of(const Owners *owners, bool has_rep, int64 own_rep, const char *territory, DateADT day, int64 *rep_id);
extern bool owners_away(const Owners *owners, bool has_rep, int64 own_rep, const char *territory, DateADT day);	/* nobody stands in */
extern double owners_travel(const Owners *owners, int64 rep_id, const char *zone, DateADT day);	/* minutes that a visit adds */
extern double owners_route(const Owners *owners, int64 rep_id, DateADT day);	/* minutes that the day's own way takes */

#endif
