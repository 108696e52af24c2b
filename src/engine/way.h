/*
 * way.h
 *		The locks by which a step learns that somebody wants its database or its
 *		extension, and the end of a step that is in the way.
 */
#ifndef AGENTCRM_WAY_H
#define AGENTCRM_WAY_H

#include "postgres.h"

#include "storage/lockdefs.h"

/* The locks of a step, only if they are free. */
extern bool way_lock_database(void);
extern bool way_lock_extension(Oid extension);

/* From here to the end of the transaction the worker's step is cut when somebody waits for one of them. */
extern void way_watch(void);

/* Whether the error that ended the transaction was such a cut. */
extern bool way_was_made(void);

#endif
