/*
 * fold_at.h
 *		The fold of a client at a moment, stored or worked out anew.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_FOLD_AT_H
#define AGENTCRM_PROFILE_FOLD_AT_H

#include "profile/fold.h"
#include "store.h"

typedef struct FoldReader
{
	Store	   *profiles;
	Store	   *products;		/* opened when first needed */
	MemoryContext cxt;			/* that lives as long as the reader */
	Fold	   *fold;			/* made when first needed */
} FoldReader;

extern void fold_at_begin(FoldReader *reader);
extern int	fold_at(FoldReader *reader, int64 client_id, TimestampTz as_of, ClientProfile *profile, ClientProduct **products);
extern void fold_at_end(FoldReader *reader);

#endif
