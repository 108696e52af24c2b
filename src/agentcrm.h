/*
 * agentcrm.h
 *		Settings shared by all rooms.
 */
#ifndef AGENTCRM_H
#define AGENTCRM_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#define AGENTCRM_SCHEMA "agentcrm"

extern bool agentcrm_capture_enabled;	/* agentcrm.capture */
extern int	agentcrm_capture_max_keys;	/* agentcrm.capture_max_keys */
extern int	agentcrm_batch_size;		/* agentcrm.batch_size: keys per batch */
extern int	agentcrm_idle_poll;			/* agentcrm.idle_poll, s */
extern int	agentcrm_idle_exit;			/* agentcrm.idle_exit, s */
extern int	agentcrm_reconcile_interval;	/* agentcrm.reconcile_interval, s; 0: never */
extern int	agentcrm_poll_interval; /* agentcrm.poll_interval, s; 0: never */
extern int	agentcrm_watermark_margin;	/* agentcrm.watermark_margin, s */
extern double agentcrm_false_alarm_rate;	/* agentcrm.false_alarm_rate, per living client and year */
extern int	agentcrm_value_horizon;		/* agentcrm.value_horizon, days */
extern double agentcrm_displacement_penalty;	/* agentcrm.displacement_penalty, share of value */
extern int	agentcrm_agent_timeout;		/* agentcrm.agent_timeout, ms */
extern int	agentcrm_plan_hour;			/* agentcrm.plan_hour, hour of the UTC day; -1: never */
extern double agentcrm_reprice_share;	/* agentcrm.reprice_share, share of the clients */
extern double agentcrm_margin_rate;		/* agentcrm.margin_rate: margin as a share of amount, where a source gives none */

/* Rows of agentcrm.verify(): what differs, where, what it should be and what is stored. */
typedef struct DifferenceSink DifferenceSink;
extern void difference_add(DifferenceSink *sink, const char *what, const char *key, const char *column,
						   const char *expected, const char *found);

/* An ERROR when an argument is NULL that can only be so by mistake. */
extern void agentcrm_check_argument(FunctionCallInfo fcinfo, int number, const char *name);

/* The engine's clock: the current time, or agentcrm.debug_now. */
extern TimestampTz engine_now(void);

#endif
