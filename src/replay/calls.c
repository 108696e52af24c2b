/*
 * calls.c
 *		Whom reps have the time to call: the best of each rep's clients, by an
 *		agent's bids or by a rule, as far as a day's minutes go.
 *
 * Capacity is the plan's.  Contacts of earlier days do not count here: each
 * origin is a day of its own.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "replay/replay.h"

/* A rep calls no more in a day, whatever its minutes. */
#define MAX_CALLS 1000

typedef struct Call
{
	double		score;
	double		minutes;
	int64		client_id;
	bool		bought;
} Call;

typedef struct ListKey
{
	char		list[NAMEDATALEN];
	int64		owner_id;
} ListKey;

/* The calls of a rep by one list; twice as many as fit are held before the worst go. */
typedef struct CallList
{
	ListKey		key;
	double		capacity;
	int			most;
	int			n;
	Call	   *calls;
} CallList;

static int
compare_calls(const void *a, const void *b)
{
	const Call *x = a;
	const Call *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return x->client_id < y->client_id ? -1 : x->client_id > y->client_id;
}

/* Empty lists. */
void
calls_create(Measure *m)
{
	HASHCTL		ctl = {.keysize = sizeof(ListKey), .entrysize = sizeof(CallList), .hcxt = m->cxt};

	m->lists = hash_create("agentcrm lists of calls", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* A client who might be called; bought: what would have come of it without. */
void
calls_offer(Measure *m, const char *list, const ClientSnapshot *client, double score, double minutes, bool bought)
{
	ListKey		key;
	CallList   *calls;
	bool		found;
	double		capacity;

	memset(&key, 0, sizeof(key));
	capacity = m->sample * plan_minutes(m->capacities, client, &key.owner_id);
	memcpy(key.list, list, pg_mbcliplen(list, strlen(list), NAMEDATALEN - 1));
	calls = hash_search(m->lists, &key, HASH_ENTER, &found);
	if (!found)
	{
		calls->capacity = capacity;
		calls->most = (int) Max(1, Min(capacity / Min(minutes, m->call_minutes), MAX_CALLS));
		calls->n = 0;
		calls->calls = MemoryContextAlloc(m->cxt, sizeof(Call) * 2 * calls->most);
	}
	if (calls->n == 2 * calls->most)
	{
		qsort(calls->calls, calls->n, sizeof(Call), compare_calls);
		calls->n = calls->most;
	}
	calls->calls[calls->n++] = (Call) {score, minutes, client->client_id, bought};
}

static void
call_best(CallList *list, Mean *bought)
{
	double		left = list->capacity;

	qsort(list->calls, list->n, sizeof(Call), compare_calls);
	for (int i = 0; i < list->n; i++)
	{
		if (list->calls[i].minutes > left)
			continue;
		left -= list->calls[i].minutes;
		bought->n++;
		bought->sum += list->calls[i].bought;
	}
	list->n = 0;
}

/* The day is over: what fits is called, and the lists begin anew. */
void
calls_end_window(Measure *m)
{
	HASH_SEQ_STATUS scan;
	CallList   *list;

	hash_seq_init(&scan, m->lists);
	while ((list = hash_seq_search(&scan)) != NULL)
	{
		bool		found;
		Calls	   *calls = hash_search(m->calls, list->key.list, HASH_ENTER, &found);

		if (!found)
			memset(&calls->bought, 0, sizeof(Mean));
		call_best(list, &calls->bought);
	}
}
