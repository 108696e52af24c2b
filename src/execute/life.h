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
 * The end of a statement whose CTE "rows" holds client_id, recommendation_id
 * and status of ended recommendations: gives back the means that are still
 * ahead, and money and goods unless the thing was done.  With the placeholders
 * of the time and of today.
 */
#define RELEASE_MEANS(rows, at, today) \
	"INSERT INTO agentcrm.resource_use (client_id, recommendation_id, resource, owner_id, day, amount, at) " \
	"SELECT u.client_id, u.recommendation_id, u.resource, u.owner_id, u.day, OPERATOR(pg_catalog.-) pg_catalog.sum(u.amount), " at " " \
	"FROM " rows " e JOIN agentcrm.resource_use u ON u.client_id OPERATOR(pg_catalog.=) e.client_id " \
	"AND u.recommendation_id OPERATOR(pg_catalog.=) e.recommendation_id " \
	"WHERE CASE WHEN u.resource OPERATOR(pg_catalog.=) ANY ('{budget,stock}'::text[]) THEN e.status OPERATOR(pg_catalog.<>) 'done' " \
	"ELSE u.day OPERATOR(pg_catalog.>=) " today " END " \
	"GROUP BY u.client_id, u.recommendation_id, u.resource, u.owner_id, u.day HAVING pg_catalog.sum(u.amount) OPERATOR(pg_catalog.>) 0"

#endif
