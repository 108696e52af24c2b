/*
 * assess.h
 *		The assessment of a client at a moment: pure functions.
 *
 * Private to the room.  Everything follows from the fold, the population and
 * as_of; nothing from an earlier assessment.
 */
#ifndef AGENTCRM_PROFILE_ASSESS_H
#define AGENTCRM_PROFILE_ASSESS_H

#include "fmgr.h"

#include "profile/outlook.h"
#include "store.h"

/* Lengths of silence, in days, at which the stage changes; each the first day of it; those beyond the next are not worked out. */
typedef struct SilenceLimits
{
	int			alarm;
	int			dormant;
	int			lost;
} SilenceLimits;

/* Orders and net amount (sales and returns) of whole months. */
typedef struct PeriodSums
{
	int			orders;
	double		amount;
} PeriodSums;

/* Nothing is reckoned to be further off, in days. */
#define MAX_CALENDAR_DAYS 36500

extern void assess(const ClientProfile *profile, const Population *population, const Repurchase *repurchase,
				   TimestampTz as_of, DateADT settled_on, Assessment *assessment);
extern double assess_order_value(const ClientProfile *profile, const Population *population, DateADT today);
extern double order_values(const ClientProfile *profile, const PeriodSums *year, double *mean);

/* snapshot_sql.c: snapshots as a function's first two arguments, client_ids and as_of, ask for them */
extern ClientSnapshot *snapshot_arguments(FunctionCallInfo fcinfo, int *n);

/* rhythm.c */
extern int	profile_recent_gaps(const ClientProfile *profile, const Season *season, double gaps[CHART_GAPS]);

/* stage.c */
extern double stage_alarm_p(const Population *population, const GapStats *gaps);
extern SilenceLimits stage_limits(const Population *population, const Outlook *outlook);
extern Stage stage_of(const ClientProfile *profile, const Population *population, const Outlook *outlook,
					  const SilenceLimits *limits, DateADT today);
extern int	stage_trend(const ClientProfile *profile, const Population *population, DateADT month);
extern int	stage_new_days(const ClientProfile *profile, const Population *population);
extern bool stage_is_new(const ClientProfile *profile);

/* settled.c */
extern void settled_read(Store *recommendations, ClientSnapshot *client);
extern void settled_add(ClientSnapshot *client, const SettledAlarm *alarm);

/* period.c */
extern DateADT period_month(DateADT month, int months);
extern DateADT period_year_start(DateADT today);
extern Numeric period_amount(const ClientProfile *profile, DateADT from, DateADT until);
extern int	period_orders(const ClientProfile *profile, DateADT from, DateADT until);
extern PeriodSums period_sums(const ClientProfile *profile, DateADT from, DateADT until);
extern PeriodSums period_year(const ClientProfile *profile, DateADT today);

#endif
