/*
 * clock.h
 *		Hooks of the setting agentcrm.debug_now.
 */
#ifndef AGENTCRM_CLOCK_H
#define AGENTCRM_CLOCK_H

#include "postgres.h"

#include "utils/guc.h"

extern char *engine_debug_now;
extern bool engine_check_debug_now(char **newval, void **extra, GucSource source);
extern void engine_assign_debug_now(const char *newval, void *extra);

#endif
