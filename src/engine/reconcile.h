/*
 * reconcile.h
 *		When sources are reconciled, inside the engine.  Each call asks for what
 *		is due, in the step's transaction; true when it did.
 */
#ifndef AGENTCRM_RECONCILE_H
#define AGENTCRM_RECONCILE_H

#include "postgres.h"

#include "utils/timestamp.h"

extern bool reconcile_on_schedule(TimestampTz now);
extern bool reconcile_at_start(TimestampTz now);
extern bool reconcile_missed(TimestampTz now);
extern bool reconcile_lost(TimestampTz now);
extern TimestampTz reconcile_next_due(void);

/* poll.c: the same for what is looked at more often. */
extern bool poll_on_schedule(TimestampTz now);
extern TimestampTz poll_next_due(void);

#endif
