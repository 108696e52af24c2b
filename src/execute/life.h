/*
 * life.h
 *		What the files of execution share.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_LIFE_H
#define AGENTCRM_LIFE_H

#include "execute/execute.h"

/* standing.c */
extern DateADT day_of(TimestampTz at);
extern bool status_stands(const char *status);
extern int	standing_only(const int64 *client_ids, int n_clients, Standing **standings);

/*
 * The end of an UPDATE of agentcrm.recommendation in a CTE "r" that returns
 * client_id, recommendation_id, rep_id, due_on, minutes: gives back minutes
 * that are still ahead; with the placeholders of the time and of today.
 */
#define RELEASE_MINUTES(at, today) \
	"INSERT INTO agentcrm.resource_use (client_id, recommendation_id, resource, owner_id, day, amount, at) " \
	"SELECT r.client_id, r.recommendation_id, 'rep_minutes', coalesce(r.rep_id, 0), r.due_on, " \
	"OPERATOR(pg_catalog.-) r.minutes, " at " FROM r " \
	"WHERE r.minutes OPERATOR(pg_catalog.>) 0 AND r.due_on OPERATOR(pg_catalog.>=) " today

#endif
