/*
 * engine.h
 *		The face of the engine: the clock, waking the worker, and marks that a
 *		source has lost changes.
 *
 * Contains no business logic.
 */
#ifndef AGENTCRM_ENGINE_H
#define AGENTCRM_ENGINE_H

#include "agentcrm.h"

/* Find this database's slot in shared memory, before anything must not fail. */
extern void engine_attach(void);

extern bool engine_is_attached(void);

/* The worker has work: one flag and one latch, safe after commit. */
extern void engine_wake(void);
extern void engine_rouse(void);

/* An agent is about to be called, or has returned (NULL): whom to suspect after a crash. */
extern void engine_note_agent(const char *agent);

/* It cannot be cut, and this process is ended for it; for signal handlers. */
extern void engine_note_stuck(void);

/* Keys of a source were lost by the current transaction; 0 stands for all sources. */
extern void engine_mark_lost(int32 source_id);

/* The current transaction changed watched rows that were not captured, because agentcrm.capture is off. */
extern void engine_mark_missed(void);

/* An ERROR unless a procedure that commits as it goes may run here. */
extern void engine_check_call(FunctionCallInfo fcinfo, const char *name);

extern bool engine_adopted(TimestampTz now);

#endif
