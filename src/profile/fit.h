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

/* Log loss a case by which parameters may be worse on a window than those in use. */
#define FIT_WORSE 1e-4

/* A client's gaps when a window began, and whether it ordered in it; on the firm's clock. */
typedef struct GapCase
{
	GapStats	gaps;
	double		waited;
	bool		ordered;
} GapCase;

/* What a client's orders were worth when it began, and those in it. */
typedef struct SpendCase
{
	double		x;
	double		mean;
	double		orders;
	double		value;			/* their mean net amount */
} SpendCase;

/* A pair of client and product when it began, and at its end. */
typedef struct PairCase
{
	PairStats	then;
	PairStats	now;
} PairCase;

/* fit_window.c: the last closed window */
typedef struct FitWindow
{
	double		span;			/* its length on the firm's clock */
	int			n_gaps;
	GapCase    *gaps;
	int			n_spend;
	SpendCase  *spend;
	int			n_pairs;
	PairCase   *pairs;
} FitWindow;

/* What a kind's parameters and a window make of each other. */
typedef struct FitTrial
{
	int			n;				/* of the window's cases of this kind */
	bool		(*loss) (const FitWindow *window, int i, const void *model, double *loss);	/* nats; false: the case does not count */
	const void *made;			/* the new parameters, NULL: none were found */
	const void *before;			/* those that did not see the window, NULL: none were found */
	const void *standing;		/* those in use, NULL: none are */
} FitTrial;

extern FitWindow *fit_window(const ClientSample *sample, const Season *season, bool products, TimestampTz as_of);
extern int64 fit_write_judged(const char *kind, const char *params, int64 n, double log_likelihood, TimestampTz as_of,
							  const FitTrial *trial, const FitWindow *window);	/* window: NULL in a replay */

/* fit_season.c, fit_gap.c, fit_spend.c, fit_inclusion.c */
extern char *fit_season(TimestampTz as_of, bool past, Season *season, int64 *n);
extern void fit_gap(const GapMoments *moments, const Population *before, const FitWindow *window, TimestampTz as_of);
extern void fit_spend(const ClientSample *sample, const Population *before, FitWindow *window, TimestampTz as_of);
extern void fit_inclusion(const ClientSample *sample, const Population *before, const FitWindow *window, TimestampTz as_of);
extern void fit_count_rates(const ClientSample *sample, const LedgerView *view);	/* the rates alone, for a past; see population.h */

#endif
