/*
 * profile.h
 *		The face of the profile: the timeless fold of the ledger per client,
 *		client x product and product, and the assessment at an as_of.
 *
 * Must not ask what time it is: as_of is an argument everywhere.
 */
#ifndef AGENTCRM_PROFILE_H
#define AGENTCRM_PROFILE_H

#include "agentcrm.h"
#include "ledger/ledger.h"
#include "model/model.h"
#include "utils/jsonb.h"

#define PROFILE_QUANTITIES 8

/* No money is more: one absurd amount must not make the arithmetic of all clients overflow. */
#define PROFILE_MOST_MONEY 1e100

/* One product of one client; the columns of agentcrm.client_product. */
typedef struct ClientProduct
{
	int64		product_id;
	int32		n;
	int32		first_order_no;
	int32		last_order_no;
	DateADT		first_order_on;
	DateADT		last_order_on;
	double		rate_slow;
	double		rate_fast;
	uint64		held;			/* bit i: the order i before last_order_no held it */
	Numeric		last_price;		/* NULL when the last quantity was zero */
	int			n_quantities;
	Numeric		quantities[PROFILE_QUANTITIES]; /* oldest first */
} ClientProduct;

/* One month of one client. */
typedef struct ClientMonth
{
	DateADT		month;
	int32		orders;
	Numeric		amount;
	Numeric		margin;			/* NULL where no line names one */
	Numeric		returned;
} ClientMonth;

/* The fold of one client; the columns of agentcrm.client_profile. */
typedef struct ClientProfile
{
	int64		client_id;
	int32		n_orders;
	int32		n_returns;
	TimestampTz first_order_at;	/* valid when n_orders > 0, as the next three */
	TimestampTz last_order_at;
	DateADT		first_order_on;
	DateADT		last_order_on;
	int32		n_gaps;
	int32		gap_sum;		/* days */
	int32		gap_last;		/* 0 when there is none */
	int32		gap_before;		/* the one before it, 0 when there is none */
	double		gap_sum_log;
	int			n_recent;
	int32		recent[CHART_GAPS]; /* the last gaps, oldest first */
	bool		has_rep;
	int64		rep_id;
	TimestampTz fold_at;		/* last document folded in */
	int32		fold_source_id;
	int64		fold_order_id;
	Numeric		amount;
	Numeric		margin;
	Numeric		returned;
	int			n_months;
	ClientMonth *months;
} ClientProfile;

typedef enum Stage
{
	STAGE_PROSPECT,
	STAGE_NEW,
	STAGE_ONE_OFF,
	STAGE_REGULAR,
	STAGE_GROWING,
	STAGE_DECLINING,
	STAGE_AT_RISK,
	STAGE_DORMANT,
	STAGE_LOST,
	STAGE_WON_BACK
} Stage;

/* The assessment of one client at an as_of; the columns of agentcrm.client_state. */
typedef struct Assessment
{
	Stage		stage;
	int			recency_class;	/* 1..5, 0 without orders */
	int			frequency_class;
	int			monetary_class;
	char		abc;			/* 'A', 'B', 'C', or 0 */
	char		xyz;
	double		elapsed;		/* days since the last order day */
	double		waited;			/* the same on the firm's calendar */
	double		silence;		/* P(gap >= elapsed | alive) */
	double		alarm_p;		/* per-cycle alarm probability */
	DateADT		due_on;			/* median of the next order's day */
	DateADT		alarm_on;		/* day on which silence passes alarm_p */
	double		slow_chance;	/* chance that a steady client looks so much like one at half its rate */
	double		slow_p;			/* per-cycle probability below which that is an alarm */
	DateADT		slow_on;		/* day on which it is, if no order comes; none: the silence is an alarm before */
	DateADT		slow_since;		/* the order day since which, most likely */
	double		slow_delay;		/* days until a halving is likely to be seen */
	double		expected_orders;	/* within the value horizon */
	double		expected_value; /* net amount within the value horizon */
	double		order_value;	/* expected net amount of an order */
	double		p_alive;		/* not gone */
	double		p_order;		/* an order within P_ORDER_DAYS */
	DateADT		due_early;		/* the next order has come by then with probability .2 ... */
	DateADT		due_late;		/* ... and .8; DATEVAL_NOEND: never so probable, as due_on */
	double		lifetime_value; /* margin within the value horizon */
	char		value_class;	/* 'A', 'B', 'C' by lifetime_value, or 0 */
	TimestampTz next_look_at;	/* the stages' own wish: next boundary in time */
	Jsonb	   *answers;		/* of agents without a bid; NULL: none */
} Assessment;

/* Number of a column of agentcrm.client_state. */
#define STATE_NEXT_LOOK_AT 24

/* Days that p_order looks ahead. */
#define P_ORDER_DAYS 28

/* A generation of the repurchase model: of all clients, or of those of a segment. */
typedef struct Repurchase
{
	int64		model_id;
	char		segment[64];	/* "*", "channel:..." or "territory:..." */
	RepurchaseModel model;
	Calibration calibration;	/* of P(an order within some days) */
	double		interval;		/* scale of the next order's 80 % interval */
	double		value_a, value_b;	/* least margin within the value horizon of classes A and B */
} Repurchase;

/* An alarm that was recommended and has been answered, so that it is not raised again for the same evidence. */
typedef struct SettledAlarm
{
	const char *code;			/* of the reason: silence, slow_down, lost_category, lost_item */
	DateADT		on;				/* the day it was raised for */
	int			n_orders;		/* orders up to that day; of a category only */
	const char *category;
	int64		product_id;		/* 0: none */
} SettledAlarm;

/* All that an agent may know of a client at an as_of. */
typedef struct ClientSnapshot
{
	int64		client_id;
	TimestampTz as_of;
	DateADT		today;			/* as_of's day */
	char	   *name;			/* NULL when unknown */
	char	   *channel;		/* NULL when unknown */
	char	   *territory;		/* NULL when unknown */
	TimestampTz first_seen;
	bool		active;
	bool		do_not_contact;
	bool		deliver;		/* some live source holds this client */
	bool		has_rep;
	int64		rep_id;			/* the feed's, else the last order's */
	ClientProfile profile;
	GapStats	gaps;			/* on the firm's calendar */
	const Repurchase *repurchase;	/* that of its segment, else of all; NULL: none is fitted, the gap model serves */
	int			n_settled;
	SettledAlarm *settled;		/* alarms of before that somebody or an order answered */
	DateADT		settled_on;		/* the last day with one of silence or slowing down */
	DateADT		silence_settled_on; /* with one of silence: a slowing down that was answered does not answer a stop */
	int			n_products;
	ClientProduct *products;	/* ordered by product_id */
	Assessment	state;
} ClientSnapshot;

/* Population generations in use, loaded once and kept until they change. */
typedef struct Population
{
	int64		gap_model_id;
	int64		class_model_id;
	int64		popularity_model_id;
	int64		spend_model_id;
	int64		inclusion_model_id;
	int64		effect_model_id;	/* what actions change, and how far agents are believed: read by the plan */
	int64		trust_model_id;
	int64		season_model_id;
	TimestampTz season_as_of;
	Season		season;			/* flat until there is a year of orders */
	GapPrior	gap;
	bool		gap_fitted;		/* false: too little data, a weak default serves */
	int			n_repurchase;	/* 0: too little data, the gap model serves */
	const Repurchase *repurchase;	/* the first is that of all clients */
	double		abc_a, abc_b;	/* least 12-month net amount of classes A and B */
	double		recency[4];		/* days: upper limits of classes 5, 4, 3, 2 */
	double		frequency[4];	/* orders in 12 months: least of classes 5, 4, 3, 2 */
	double		monetary[4];	/* 12-month net amount: least of classes 5, 4, 3, 2 */
	double		mean_order_value;
	SpendModel	spend;
	bool		spend_fitted;	/* false: too little data, a client's own mean serves */
	InclusionModel inclusion;
	double		inclusion_rate; /* share of orders after a client's first with a product that held it again */
	bool		inclusion_fitted;	/* false: too little data, level 0 serves */
} Population;

/* What agents need of a product. */
typedef struct ProductInfo
{
	int64		product_id;
	char	   *name;
	char	   *category;		/* NULL when unknown */
	bool		active;
	Numeric		pack_qty;		/* NULL when unknown */
	Numeric		min_order_qty;
	double		share;			/* share of recent orders holding it: generation popularity */
	InclusionModel inclusion;	/* generation inclusion, tilted to the product's rate */
} ProductInfo;

/*
 * Bring profiles up to date with ledger changes.  Clients are folded
 * incrementally where the change only adds documents that sort last, else
 * from scratch.  Reports the distinct clients touched (palloc'd, ascending).
 */
extern int	profile_apply(const LedgerChange *changes, int n_changes, bool refold_all, int64 **clients);

/*
 * Fold clients from scratch (initial load); documents of loading_source are
 * counted into the product profiles here, because profile_apply never saw them.
 */
extern void profile_refold(const int64 *client_ids, int n_clients, int32 loading_source);

/* Snapshots in the order of client_ids (unknown clients are left out); from tables, or refolded when orders after as_of exist. */
extern ClientSnapshot *profile_read(const int64 *client_ids, int n_clients, TimestampTz as_of, int *n);

/* The same client at a later moment, nothing having happened but that an alarm (NULL: none) was answered. */
extern void profile_wait(ClientSnapshot *client, const Population *population, TimestampTz as_of, const SettledAlarm *settled);

/* Whether a bid's reason is an alarm: its code, else NULL. */
extern const char *profile_alarm_code(const char *reason_code);

/* Store the assessments of the snapshots as client_state with stage history; next_look_at and answers are what the agents made of it. */
extern void profile_store_state(const ClientSnapshot *clients, int n_clients, const char *cause);

/* These clients are not assessed any more, or anew: their states go. */
extern void profile_end_state(const int64 *client_ids, int n_clients);

/* A client goes on under another id: its state and the history of its stages go there. */
extern void profile_rename(int64 old_id, int64 new_id);

/*
 * Compare all stored profiles with a refold of the ledger, under the active
 * snapshot.  Clients for which skip says so (being loaded) are left out; with
 * a skip, product profiles are left out too.
 */
extern void profile_verify(DifferenceSink *sink, bool (*skip) (int64 client_id, void *arg), void *arg);

/* The same for some distinct clients, ascending, product profiles left out. */
extern void profile_verify_clients(DifferenceSink *sink, const int64 *client_ids, int n_clients);

/* Count product_profile and product_month anew from ledger and client_product; only where no source is being loaded for the first time. */
extern void profile_recount(void);

extern const Population *profile_population(void);
extern GapStats profile_gaps(const ClientProfile *profile, const Season *season);
extern double profile_calendar(const Population *population, DateADT from, double days);	/* days of the clock as calendar days */
extern int	profile_order_days_after(const ClientProfile *profile, DateADT after);
extern const ProductInfo *profile_product(int64 product_id);	/* NULL when unknown; valid until the next transaction */
extern bool profile_fit(TimestampTz as_of); /* new generations of all kinds; false where another session is at it */
extern bool profile_fit_due(TimestampTz as_of); /* none yet, orders grown by a tenth, or a day gone by */

/* outlook.c: what is to come, at the snapshot's moment, by the repurchase model where it is fitted, else by the gap model */
extern double profile_order_within(const ClientSnapshot *client, const Population *population, double days);	/* P(an order) */
extern double profile_order_within_after(const ClientSnapshot *client, const Population *population,
										 double elapsed, double days);	/* the same once the silence has lasted so long */
extern double profile_orders_expected(const ClientSnapshot *client, const Population *population, double days);
extern double profile_days_until(const ClientSnapshot *client, const Population *population, double p);	/* P(an order within them) = p; may be infinite */
extern double profile_gap_quantile(const ClientSnapshot *client, const Population *population, double p);	/* of a living client's gap, days */
extern double profile_margin_share(const ClientProfile *profile, double otherwise);	/* margin / net amount, returns deducted */
extern double profile_money(Numeric amount);	/* to reckon with */

extern double profile_inclusion(const ClientSnapshot *client, const ClientProduct *product);	/* P(the next order holds it) */
extern double profile_item_within(const ClientSnapshot *client, const Population *population, double inclusion, double days);	/* P(an order with a product of that inclusion) */
extern PairStats profile_pair(const ClientProfile *profile, const ClientProduct *product);

/*
 * Replay.  Between enter and leave this process sees a past: profile_read shows
 * no line that the view does not, and population and products are of the
 * generations handed in, whoever asks.  leave belongs into PG_FINALLY; the end
 * of the transaction leaves, too.  What is made here is never stored.
 */
typedef struct PastPopulation PastPopulation;

extern PastPopulation *profile_population_at(TimestampTz at);	/* the generations in use then */
extern PastPopulation *profile_population_of(Jsonb *models);	/* those named: kind -> model_id */
extern PastPopulation *profile_population_fit(const LedgerView *view);	/* fitted on what a view shows, up to its as_of */
extern void profile_free_past(PastPopulation *past);
extern void profile_enter_past(const PastPopulation *past, const LedgerView *view);
extern void profile_move_past(const LedgerView *view);	/* another view, the same generations */
extern void profile_leave_past(void);
extern const char *profile_stage_name(Stage stage);
extern DateADT period_day(TimestampTz at);	/* the UTC day of a moment */

#endif
