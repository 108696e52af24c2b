/*
 * leftovers.h
 *		What code of others can leave behind in this session though its
 *		subtransaction is rolled back: session-level advisory locks.
 */
#ifndef AGENTCRM_LEFTOVERS_H
#define AGENTCRM_LEFTOVERS_H

#include "postgres.h"

/* Before such code runs: an ERROR when this session holds advisory locks of its own, which could not be told from those left. */
extern void leftovers_check(void);

/* After its subtransaction is gone: release what it left. */
extern void leftovers_drop(void);

#endif
