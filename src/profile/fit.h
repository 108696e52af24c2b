/*
 * fit.h
 *		What the makers of generations share.
 *
 * Private to the room.  Each is called with an SPI connection open and the
 * sample in its order, so that equal data give equal sums.
 */
#ifndef AGENTCRM_PROFILE_FIT_H
#define AGENTCRM_PROFILE_FIT_H

#include "lib/stringinfo.h"

#include "profile/profile.h"
#include "profile/sample.h"

/* fit.c; see generation_write in population.h for more */
extern void fit_append_number(StringInfo json, const char *before, double value);
extern int64 fit_write_generation(const char *kind, const char *params, int64 n, double log_likelihood, TimestampTz as_of);

/* fit_season.c, fit_spend.c, fit_inclusion.c */
extern char *fit_season(TimestampTz as_of, bool past, Season *season, int64 *n);
extern void fit_spend(const ClientSample *sample, const Population *before, TimestampTz as_of);
extern void fit_inclusion(const ClientSample *sample, const Population *before, TimestampTz as_of);
extern void fit_count_rates(const ClientSample *sample, const LedgerView *view);	/* the rates alone, for a past; see population.h */

#endif
