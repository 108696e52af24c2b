/*
 * rows.h
 *		Stored rows of client_profile and client_product as structs and back; the
 *		one place that knows the order of client_profile's columns.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_ROWS_H
#define AGENTCRM_PROFILE_ROWS_H

#include "profile/profile.h"
#include "store.h"

#define CLIENT_PROFILE_COLUMNS 25
#define CLIENT_PRODUCT_COLUMNS 12

/* Columns of agentcrm.client_profile, from 0. */
enum
{
	P_CLIENT_ID, P_N_ORDERS, P_N_RETURNS, P_FIRST_ORDER_AT, P_LAST_ORDER_AT, P_FIRST_ORDER_ON,
	P_LAST_ORDER_ON, P_N_GAPS, P_GAP_SUM, P_GAP_LAST, P_GAP_BEFORE, P_GAP_SUM_LOG, P_GAP_RECENT, P_REP_ID, P_FOLD_AT,
	P_FOLD_SOURCE_ID, P_FOLD_ORDER_ID, P_AMOUNT, P_MARGIN, P_RETURNED, P_MONTH, P_MONTH_ORDERS,
	P_MONTH_AMOUNT, P_MONTH_MARGIN, P_MONTH_RETURNED, P_COLUMNS
};

StaticAssertDecl(P_COLUMNS == CLIENT_PROFILE_COLUMNS, "columns of client_profile");

extern void profile_from_row(HeapTuple row, TupleDesc desc, ClientProfile *profile);
extern void profile_to_row(const ClientProfile *profile, Datum *values, bool *isnull);
extern void product_from_row(HeapTuple row, TupleDesc desc, ClientProduct *product);
extern void product_to_row(int64 client_id, const ClientProduct *product, Datum *values, bool *isnull);
extern bool row_equals(HeapTuple row, TupleDesc desc, const Datum *values, const bool *isnull);
extern bool profile_find(Store *profiles, int64 client_id, ClientProfile *profile, ItemPointer tid);

#endif
