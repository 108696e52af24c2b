/*
 * pending.h
 *		Keys that the current transaction has changed, inside the room.
 */
#ifndef AGENTCRM_PENDING_H
#define AGENTCRM_PENDING_H

#include "postgres.h"

extern void pending_init(void);
extern bool pending_is_lost(int32 source_id);
extern void pending_remember(int32 source_id, int16 part, const char *text, int length);
extern void pending_lose(int32 source_id);
extern void pending_bound(void);

/* Changes whenever keys remembered before may have been let go. */
extern uint64 pending_epoch;

/*
 * Run a piece of work in a subtransaction; an ERROR in it becomes false and a
 * WARNING.  Cancel and shutdown are passed on: they are not ours to swallow.
 */
extern bool capture_guarded(void (*work) (void *arg), void *arg, const char *what);

#endif
