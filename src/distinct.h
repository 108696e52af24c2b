/*
 * distinct.h
 *		Ids and keys in order, each once.
 */
#ifndef AGENTCRM_DISTINCT_H
#define AGENTCRM_DISTINCT_H

#include "postgres.h"

/* Sort and drop repetitions; how many are left. */
extern int	distinct_ids(int64 *ids, int n);
extern int	distinct_keys(const char **keys, int n);

/* Whether one is among those that were made distinct. */
extern bool distinct_has_id(const int64 *ids, int n, int64 id);
extern bool distinct_has_key(const char *const *keys, int n, const char *key);

#endif
