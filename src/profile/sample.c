/*
 * sample.c
 *		A bounded sample of clients, the same in whatever order they come.
 *
 * Keeps the clients of the smallest hashes; half of them go whenever the sample
 * is full.  In order of hash any first part of it is again a fair sample.
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

/* Take a client in, unless its hash is beyond the limit; the caller need not fill in the hash. */
void
sample_add(ClientSample *sample, const SampledClient *client)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) &client->client_id, sizeof(int64), 0);

	if (sample->limit != 0 && hash >= sample->limit)
		return;
	if (sample->n == SAMPLE_MOST)
	{
		sample_sort(sample);
		sample->n /= 2;
		sample->limit = sample->clients[sample->n].hash;
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
