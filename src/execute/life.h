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
extern bool status_stands(const char *status);
extern int	standing_only(const int64 *client_ids, int n_clients, Standing **standings);

/*
 * The end of a statement whose CTE "rows" holds client_id, recommendation_id,
 * rep_id, due_on and minutes of ended recommendations: gives back minutes that
 * are still ahead.  With the placeholders of the time and of today.
 */
#define RELEASE_MINUTES(rows, at, today) \
	"INSERT INTO agentcrm.resource_use (client_id, recommendation_id, resource, owner_id, day, amount, at) " \
	"SELECT e.client_id, e.recommendation_id, 'rep_minutes', coalesce(e.rep_id, 0), e.due_on, " \
	"OPERATOR(pg_catalog.-) e.minutes, " at " FROM " rows " e " \
	"WHERE e.minutes OPERATOR(pg_catalog.>) 0 AND e.due_on OPERATOR(pg_catalog.>=) " today

#endif
