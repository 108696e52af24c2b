/*
 * stop.h
 *		The durable mark of a clean stop, inside the engine.
 */
#ifndef AGENTCRM_STOP_H
#define AGENTCRM_STOP_H

extern void stop_begin_life(void);

#endif
