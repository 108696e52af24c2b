/*
 * delta.h
 *		Changes of the products' counters, gathered and written once.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_DELTA_H
#define AGENTCRM_PROFILE_DELTA_H

#include "profile/profile.h"

typedef struct ProductDeltas ProductDeltas;

extern ProductDeltas *deltas_create(void);
extern void deltas_add_order(ProductDeltas *deltas, int64 product_id, DateADT day, int orders);
extern void deltas_add_buyer(ProductDeltas *deltas, int64 product_id, int buyers);
extern void deltas_add_lines(ProductDeltas *deltas, const LedgerLine *lines, int n, int sign);
extern void deltas_write(ProductDeltas *deltas);

/* A row of agentcrm.product_count, or what is to be added to one: orders of a month, or buyers. */
typedef struct Counter
{
	int64		product_id;
	DateADT		month;			/* DATEVAL_NOBEGIN: buyers */
	int32		n;
} Counter;

extern Counter *deltas_gathered(ProductDeltas *deltas, int *n);

/* pending.c */
typedef void (*PendingTake) (const Counter *counter, void *arg);
extern bool pending_append(const Counter *counters, int n);
extern void pending_take(PendingTake take, void *arg);

#endif
