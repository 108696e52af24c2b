/*
 * sample.h
 *		Clients that a fit looks at more closely, when there are very many.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_PROFILE_SAMPLE_H
#define AGENTCRM_PROFILE_SAMPLE_H

#include "profile/profile.h"

#define SAMPLE_MOST 100000

typedef struct SampledClient
{
	uint64		hash;
	int64		client_id;
	double		orders;			/* that its mean value is of */
	double		order_value;	/* mean net amount of an order, may be negative */
} SampledClient;

/* Starts as zero bytes. */
typedef struct ClientSample
{
	int			n;
	int			max;
	SampledClient *clients;
	uint64		limit;			/* 0: none; else hashes from here on are left out */
} ClientSample;

extern void sample_add(ClientSample *sample, const SampledClient *client);
extern void sample_sort(ClientSample *sample);

#endif
