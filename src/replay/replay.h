/*
 * replay.h
 *		What the files of the replay share.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_REPLAY_H
#define AGENTCRM_REPLAY_H

#include "model/score.h"
#include "plan/plan.h"
#include "utils/hsearch.h"

typedef enum ReplayMode
{
	REPLAY_AS_KNOWN,			/* what agentcrm knew then, and the generations in use */
	REPLAY_AS_CORRECTED			/* the ledger as it is now, and generations fitted anew */
} ReplayMode;

/* call.c */
extern ReplayMode replay_mode(const char *name);
extern const char *replay_mode_name(ReplayMode mode);
extern LedgerView replay_view(ReplayMode mode, TimestampTz as_of);
extern int	replay_pin(void);	/* the settings that the worker runs under; the level is for AtEOXact_GUC */
extern Candidate *replay_bids(const ClientSnapshot *clients, int n_clients, const AgentCall *call, BidSink *sink, int *n);

/* ---- history.c: what happened ---- */

/* An order of a client. */
typedef struct Purchase
{
	TimestampTz at;
	DateADT		day;
	int			first_product;	/* into History.products */
	int			n_products;
} Purchase;

/* A client's orders by time, as known in hindsight. */
typedef struct History
{
	int			n_orders;
	int			max_orders;
	Purchase   *orders;
	int			n_products;
	int			max_products;
	int64	   *products;		/* of each order once */
} History;

extern History *history_read(const int64 *client_ids, int n, const LedgerView *view);
extern int	history_after(const History *history, TimestampTz at);
extern int	history_days(const History *history, int from, int to);
extern bool history_holds(const History *history, int order, int64 product_id);
extern bool history_stopped(const History *history, DateADT end);

/* ---- measure.c: forecasts and bids against it ---- */

#define MAX_HORIZON 366

/* The window after an origin. */
typedef struct Window
{
	TimestampTz origin;
	TimestampTz end;
	int			days;
	TimestampTz hindsight;		/* end of the last window of the run: nothing later is looked at */
	DateADT		first;			/* day of the run's first origin */
	bool		last;			/* of the run */
} Window;

typedef struct Mean
{
	double		n;
	double		sum;
} Mean;

/* ---- alarms.c: silences called too early, and stops seen ---- */

/* An alarm rule's record. */
typedef struct Alarms
{
	double		years;			/* of clients that went on ordering */
	double		raised;
	double		in_vain;		/* an order followed */
	Mean		delay;			/* days from the last order to the alarm, where no order followed */
	Mean		seen;			/* of the stops within the run, those with an alarm before its end */
} Alarms;

enum
{
	ALARM_MODEL, ALARM_NAIVE, ALARM_RULES
};

extern void alarms_add(Alarms *sum, const Alarms *more);
extern void alarms_walk(Alarms *rules, const Window *w, const ClientSnapshot *client, const History *history,
						const LedgerView *view);

/* ---- measure.c: forecasts and bids against what happened ---- */

/* The rules to beat. */
typedef enum Naive
{
	NAIVE_RATE,					/* the client's own mean rate since its first order, as a Poisson process */
	NAIVE_WINDOW,				/* whoever ordered within the last so many days will again, as often */
	NAIVE_RECENCY,				/* the later the last order, the likelier the next */
	NAIVES
} Naive;

#define RULES (NAIVES + 1)
#define RULE_MODEL NAIVES

/* What is told of a group of clients: cases are clients at an origin. */
typedef struct Forecasts
{
	char		segment[NAMEDATALEN];	/* hash key */
	Scores		chance[RULES];	/* P(order within the horizon); none by recency */
	Ranks	   *ranks[RULES];
	Mean		orders[RULES];	/* absolute error of the number of order days; none by recency */
	Mean		squares[RULES]; /* its square */
	Mean		date[RULES];	/* CRPS of the next order's day; of model and own rate only */
	Mean		due[2];			/* recall of the next order's products: by last basket, by the list of due items */
	Alarms		alarms[ALARM_RULES];
	double		living;			/* neither dormant nor lost */
	double		by_day[MAX_HORIZON + 1];	/* of these, first order on that day of the window */
	Mean		stopped;		/* of these, who has stopped */
} Forecasts;

/* What is told of the bids of an agent for a group of clients. */
typedef struct BidsKey
{
	char		agent[NAMEDATALEN];
	char		segment[NAMEDATALEN];
} BidsKey;

typedef struct Bids
{
	BidsKey		key;
	double		n;
	double		beyond;			/* demand windows that end after the horizon */
	Scores		chance;			/* p_baseline against the demand bought */
	Mean		any;			/* demand for any order: bought */
	Mean		item;			/* demand for a product or category: bought */
	double		windows[MAX_HORIZON + 1];	/* demands for any order, by length in days */
	Mean		stopped;		/* of clients bid for whose fate is known: stopped */
} Bids;

/* Calls that reps had time for, best first by some rule: the share after which the demand was bought. */
typedef struct Calls
{
	char		list[NAMEDATALEN];	/* an agent, or the name of a rule */
	Mean		bought;
} Calls;

typedef struct Measure
{
	MemoryContext cxt;
	HTAB	   *forecasts;		/* segment -> Forecasts */
	HTAB	   *bids;			/* agent, segment -> Bids */
	HTAB	   *calls;			/* list -> Calls */
	HTAB	   *lists;			/* list, owner -> calls of the window under way; see calls.c */
	int			n_channels;
	Limits	   *capacities;
	double		call_minutes;	/* of the least call that an agent offers */
	double		sample;			/* share of clients judged, and of minutes that they are due */
	int64		cases;
	int64		n_bids;
} Measure;

extern const char *const rule_names[RULES];
extern const char *const rule_lists[RULES]; /* of calls */

extern Measure *measure_create(double sample);	/* in the current memory context.  Needs SPI. */
extern void measure_client(Measure *m, const Window *w, const ClientSnapshot *client, const History *history,
						   const Alarms *alarms);
extern void measure_bid(Measure *m, const Window *w, const Candidate *bid, const History *history);

/* ---- calls.c: whom reps have the time to call ---- */

extern void calls_create(Measure *m);
extern void calls_offer(Measure *m, const char *list, const ClientSnapshot *client, double score, double minutes,
						bool bought);
extern void calls_end_window(Measure *m);

/* ---- report.c: results as rows ---- */

extern void report_write(const Measure *m, int64 run_id);	/* needs SPI */

#endif
