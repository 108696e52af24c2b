/*
 * repurchase_sample.h
 *		Clients drawn for a fit of the repurchase model, and those whose last
 *		closed window judges it.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_REPURCHASE_SAMPLE_H
#define AGENTCRM_PROFILE_REPURCHASE_SAMPLE_H

#include "profile/population.h"

/* By repeat orders 0, 1, 2-3, 4-7, 8-15, 16-31 and more; and those folded again. */
#define STRATA 8

/* One client of the sample. */
typedef struct Drawn
{
	int64		client_id;
	uint32		hash;
	int			stratum;
	bool		later;			/* its profile knows more than may be seen */
	int			channel;		/* index of a segment, -1: of none */
	int			territory;
	const Repurchase *standing;	/* the generation that serves it; NULL: the gap model does */
	TimestampTz fold_at;		/* its last document up to the sample's as_of */
	DateADT		first_on;		/* days of its first and last order */
	DateADT		last_on;
	BuyerStats	buyer;
	int16		n_recent;
	int16		recent[CHART_GAPS]; /* its last gaps, oldest first, in calendar days; at most 32,767 */
	double		order_margin;	/* of a usual order */
} Drawn;

typedef struct BuyerSample
{
	TimestampTz as_of;
	DateADT		today;
	int			n;
	Drawn	   *drawn;			/* by client_id */
	double		weight[STRATA]; /* clients that one drawn client stands for */
	double		clients;		/* with orders */
	double		repeaters;		/* with orders on two days */
} BuyerSample;

extern BuyerSample *sample_draw(TimestampTz as_of);

/* Whether a client is of a segment, by its index; all are of that below 0. */
static inline bool
drawn_belongs(const Drawn *drawn, int segment)
{
	return segment < 0 || drawn->channel == segment || drawn->territory == segment;
}

/* A client as it was known at the window's beginning, and what it did within. */
typedef struct WindowClient
{
	const Drawn *client;
	BuyerStats	then;
	int			orders;			/* order days within the window */
} WindowClient;

typedef struct BuyerWindow
{
	int			days;
	double		span;			/* the same on the firm's clock */
	int			n;
	WindowClient *clients;
	double		repeaters;		/* with orders on two days at its beginning */
} BuyerWindow;

extern BuyerWindow *sample_window(const BuyerSample *sample);

/* An order whose next one the last closed window shows: a client's statistics on that day, and the gap. */
typedef struct IntervalCase
{
	BuyerStats	then;
	double		gap;			/* on the firm's clock; at least the window's span where no order came within */
} IntervalCase;

/* repurchase_interval.c: such orders of a segment's clients with some gaps before, not too many; returns how many */
extern int	interval_cases(const BuyerSample *sample, const BuyerWindow *window, int segment, IntervalCase **cases);

#endif
