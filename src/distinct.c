/*
 * distinct.c
 *		Ids and keys in order, each once.
 *
 * Steps collect clients and keys as they come by, and work on each once.
 */
#include "postgres.h"

#include "distinct.h"

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Sort ids and drop repetitions; how many are left. */
int
distinct_ids(int64 *ids, int n)
{
	int			kept = 0;

	qsort(ids, n, sizeof(int64), compare_ids);
	for (int i = 0; i < n; i++)
		if (kept == 0 || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	return kept;
}

/* Sort keys and drop repetitions; how many are left. */
int
distinct_keys(const char **keys, int n)
{
	int			kept = 0;

	qsort(keys, n, sizeof(char *), compare_keys);
	for (int i = 0; i < n; i++)
		if (kept == 0 || strcmp(keys[kept - 1], keys[i]) != 0)
			keys[kept++] = keys[i];
	return kept;
}

/* Whether an id is among distinct ones. */
bool
distinct_has_id(const int64 *ids, int n, int64 id)
{
	return bsearch(&id, ids, n, sizeof(int64), compare_ids) != NULL;
}

/* Whether a key is among distinct ones. */
bool
distinct_has_key(const char *const *keys, int n, const char *key)
{
	return bsearch(&key, keys, n, sizeof(char *), compare_keys) != NULL;
}
