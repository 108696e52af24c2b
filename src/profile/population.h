/*
 * population.h
 *		What the population cache owes to the rest of the room.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_POPULATION_H
#define AGENTCRM_PROFILE_POPULATION_H

#include "profile/profile.h"

extern void population_forget(void);	/* a new generation was written */
extern void population_orders_seen(int orders); /* orders folded since: a hint when to look whether a fit is due */
extern int64 population_count_sales(void);	/* orders x products, from the product profiles */
extern char *fit_season(DateADT today, Season *season, int64 *n);	/* fit_season.c */
extern const GapPrior *population_weak_gap_prior(void);	/* serves until there are enough clients */

#endif
