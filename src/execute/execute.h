/*
 * execute.h
 *		The face of execution: the life cycle of recommendations.
 *
 * Does not rank again what was awarded.
 */
#ifndef AGENTCRM_EXECUTE_H
#define AGENTCRM_EXECUTE_H

#include "agent/agent.h"

/* Withdraw open recommendations that a new sale answers: "answered by order N". */
extern void execute_answer(const LedgerChange *changes, int n_changes, TimestampTz as_of);

/* Expire open recommendations whose time has passed; at most limit of them; returns how many. */
extern int	execute_expire(TimestampTz as_of, int limit);

/* The earliest expires_at of an open recommendation, or DT_NOEND. */
extern TimestampTz execute_next_due(void);

#endif
