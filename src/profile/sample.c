/*
 * sample.c
 *		A bounded sample of clients, the same in whatever order they come.
 *
 * Keeps the clients of the smallest hashes; about half of them go whenever the
 * sample is full.  In order of hash any first part of it is again a fair sample.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "profile/sample.h"

static int
compare_clients(const void *a, const void *b)
{
	const SampledClient *l = a;
	const SampledClient *r = b;

	if (l->hash != r->hash)
		return l->hash < r->hash ? -1 : 1;
	return l->client_id < r->client_id ? -1 : l->client_id > r->client_id;
}

/* In order of hash. */
void
sample_sort(ClientSample *sample)
{
	qsort(sample->clients, sample->n, sizeof(SampledClient), compare_clients);
}

/* About half of the clients go.  The limit is a power of two, whoever was seen before. */
static void
lower_limit(ClientSample *sample)
{
	int			kept = 0;

	sample->limit = sample->limit == 0 ? UINT64CONST(1) << 63 : sample->limit / 2;
	for (int i = 0; i < sample->n; i++)
		if (sample->clients[i].hash < sample->limit)
			sample->clients[kept++] = sample->clients[i];
	sample->n = kept;
}

/* Take a client in, unless its hash is beyond the limit; the caller need not fill in the hash. */
void
sample_add(ClientSample *sample, const SampledClient *client)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) &client->client_id, sizeof(int64), 0);

	if (sample->limit != 0 && hash >= sample->limit)
		return;
	while (sample->n == SAMPLE_MOST)
	{
		lower_limit(sample);
		if (hash >= sample->limit)
			return;
	}
	if (sample->n == sample->max)
	{
		sample->max = sample->max == 0 ? 1024 : Min(sample->max * 2, SAMPLE_MOST);
		sample->clients = sample->clients ? repalloc(sample->clients, sample->max * sizeof(SampledClient)) :
			palloc(sample->max * sizeof(SampledClient));
	}
	sample->clients[sample->n] = *client;
	sample->clients[sample->n++].hash = hash;
}
