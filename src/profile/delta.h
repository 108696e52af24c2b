/*
 * delta.h
 *		Changes of product_profile and product_month, gathered and written once.
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

#endif
