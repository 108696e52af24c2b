/*
 * outlook.h
 *		What is to come of a client, by the generation that serves it.
 *
 * Private to the room; its face for others is in profile.h.
 */
#ifndef AGENTCRM_PROFILE_OUTLOOK_H
#define AGENTCRM_PROFILE_OUTLOOK_H

#include "profile/profile.h"

/* A client's gaps and present silence under the models. */
typedef struct Outlook
{
	const GapPrior *prior;
	const Repurchase *repurchase;	/* NULL: the gap model serves */
	GapStats	gaps;
	double		elapsed;		/* days since the last order */
} Outlook;

extern Outlook outlook_of(const ClientProfile *profile, const Population *population,
						  const Repurchase *repurchase, DateADT today);
extern BuyerStats outlook_buyer(const GapStats *gaps, double elapsed);
extern double outlook_alive(const Outlook *o);
extern double outlook_order_within(const Outlook *o, double days);
extern double outlook_orders(const Outlook *o, double days);
extern double outlook_days_until(const Outlook *o, double p);
extern double outlook_gap_quantile(const Outlook *o, double p);

/* snapshot.c: the outlook of one client at a moment; false for one that is unknown or has no order by then */
extern bool outlook_read(int64 client_id, TimestampTz as_of, ClientProfile *profile, Outlook *outlook);

#endif
