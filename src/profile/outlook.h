/*
 * outlook.h
 *		What is to come of a client, by the generation that serves it.
 *
 * Private to the room; its face for others is in profile.h.
 */
#ifndef AGENTCRM_PROFILE_OUTLOOK_H
#define AGENTCRM_PROFILE_OUTLOOK_H

#include "profile/profile.h"

/*
 * A client's gaps and present silence under the models.  These know days of the
 * firm's clock; the functions below take and give calendar days.
 */
typedef struct Outlook
{
	const GapPrior *prior;
	const Repurchase *repurchase;	/* NULL: the gap model serves */
	const Season *season;		/* NULL: flat */
	GapStats	gaps;			/* on the clock */
	DateADT		last;			/* day of the last order */
	double		elapsed;		/* calendar days since */
} Outlook;

extern Outlook outlook_of(const ClientProfile *profile, const Population *population,
						  const Repurchase *repurchase, DateADT today);
extern BuyerStats outlook_buyer(const GapStats *gaps, double waited);
extern double outlook_clock(const Season *season, DateADT from, double days);
extern double outlook_waited(const Outlook *o);
extern double outlook_calendar(const Outlook *o, double days);
extern double outlook_alive(const Outlook *o);
extern double outlook_order_within(const Outlook *o, double days);
extern double outlook_orders(const Outlook *o, double days);
extern double outlook_days_until(const Outlook *o, double p);
extern DateInterval outlook_interval_raw(const Outlook *o);
extern DateInterval outlook_interval(const Outlook *o);
extern double outlook_gap_quantile(const Outlook *o, double p);

/* snapshot.c: the outlook of one client at a moment; false for one that is unknown or has no order by then */
extern bool outlook_read(int64 client_id, TimestampTz as_of, ClientProfile *profile, Outlook *outlook);

#endif
