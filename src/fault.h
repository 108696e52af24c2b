/*
 * fault.h
 *		Faults planted on purpose, to prove that they do not reach the application.
 *
 * agentcrm.debug_fault names places and what happens there:
 * "place[:action][,...]"; empty, it costs one comparison a place.
 */
#ifndef AGENTCRM_FAULT_H
#define AGENTCRM_FAULT_H

#include "postgres.h"

extern char *agentcrm_debug_fault;	/* agentcrm.debug_fault */

extern void fault_strike(const char *place);
extern bool fault_is_planted(const char *place);
extern void fault_send_signal(const char *place);

/* Raise the fault planted at a place, if there is one. */
static inline void
fault_point(const char *place)
{
	if (unlikely(*agentcrm_debug_fault != '\0'))
		fault_strike(place);
}

/* Whether a fault is planted at a place that fails by its result. */
static inline bool
fault_here(const char *place)
{
	return unlikely(*agentcrm_debug_fault != '\0') && fault_is_planted(place);
}

/* Send the signal planted at a place where nothing may be raised: it must stay without effect there. */
static inline void
fault_signal(const char *place)
{
	if (unlikely(*agentcrm_debug_fault != '\0'))
		fault_send_signal(place);
}

#endif
