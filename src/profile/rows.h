/*
 * rows.h
 *		Stored rows of client_profile and client_product as structs and back.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_ROWS_H
#define AGENTCRM_PROFILE_ROWS_H

#include "profile/profile.h"
#include "store.h"

#define CLIENT_PROFILE_COLUMNS 25
#define CLIENT_PRODUCT_COLUMNS 12

extern void profile_from_row(HeapTuple row, TupleDesc desc, ClientProfile *profile);
extern void profile_to_row(const ClientProfile *profile, Datum *values, bool *isnull);
extern void product_from_row(HeapTuple row, TupleDesc desc, ClientProduct *product);
extern void product_to_row(int64 client_id, const ClientProduct *product, Datum *values, bool *isnull);
extern bool row_equals(HeapTuple row, TupleDesc desc, const Datum *values, const bool *isnull);
extern bool profile_find(Store *profiles, int64 client_id, ClientProfile *profile, ItemPointer tid);

#endif
