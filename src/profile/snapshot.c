/*
 * snapshot.c
 *		What may be known of clients at a moment: attributes, fold, assessment.
 *
 * Writes nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "profile/assess.h"
#include "profile/fold_at.h"
#include "profile/population.h"
#include "profile/rows.h"
#include "store.h"

/* A row of agentcrm.source, as far as delivery goes. */
typedef struct LiveSource
{
	int32		source_id;
	int32		namespace;
} LiveSource;

typedef struct Reader
{
	Store	   *clients;
	Store	   *ledger;
	Store	   *recommendations;
	int			n_live;
	LiveSource *live;
	const Population *population;
	FoldReader	folds;
} Reader;

static void
read_live_sources(Reader *reader)
{
	Store	   *store = store_open("source", AccessShareLock);
	TupleDesc	desc = store_desc(store);
	StoreScan  *scan = store_scan(store, "source_pkey", 0, NULL);
	HeapTuple	row;
	bool		isnull;
	int			max = 8;

	reader->live = palloc(max * sizeof(LiveSource));
	while ((row = store_next(scan)) != NULL)
	{
		if (strcmp(TextDatumGetCString(heap_getattr(row, 9, desc, &isnull)), "live") != 0)
			continue;
		if (reader->n_live == max)
			reader->live = repalloc(reader->live, (max *= 2) * sizeof(LiveSource));
		reader->live[reader->n_live++] = (LiveSource)
		{
			.source_id = DatumGetInt32(heap_getattr(row, 1, desc, &isnull)),
			.namespace = DatumGetInt32(heap_getattr(row, 3, desc, &isnull))
		};
	}
	store_scan_end(scan);
	store_close(store);
}

/* Whether the ledger holds lines of this client from this source. */
static bool
has_lines(Reader *reader, int64 client_id, int32 source_id)
{
	Datum		key[2] = {Int64GetDatum(client_id), Int32GetDatum(source_id)};
	StoreScan  *scan = store_scan(reader->ledger, "ledger_pkey", 2, key);
	bool		found = store_next(scan) != NULL;

	store_scan_end(scan);
	return found;
}

/* A live source must hold the client; for a prospect any live source of its namespace will do. */
static bool
may_deliver(Reader *reader, const ClientSnapshot *client, int32 namespace)
{
	bool		prospect = client->profile.n_orders + client->profile.n_returns == 0;

	for (int i = 0; i < reader->n_live; i++)
		if (prospect ? reader->live[i].namespace == namespace :
			has_lines(reader, client->client_id, reader->live[i].source_id))
			return true;
	return false;
}

/* Whether one of the clients that were merged into this one wants no contact. */
static bool
any_merged_keeps_quiet(Reader *reader, int64 client_id)
{
	int64	   *merged;
	int			n = ledger_merged_into(client_id, &merged);
	bool		quiet = false;

	for (int i = 0; i < n && !quiet; i++)
	{
		Datum		key = Int64GetDatum(merged[i]);
		StoreScan  *scan = store_scan(reader->clients, "client_pkey", 1, &key);
		HeapTuple	row = store_next(scan);
		bool		isnull;

		quiet = row && DatumGetBool(heap_getattr(row, 11, store_desc(reader->clients), &isnull));
		store_scan_end(scan);
	}
	return quiet;
}

/* The attributes of a client; false when it is unknown, or merged into another one. */
static bool
read_attributes(Reader *reader, ClientSnapshot *client, int32 *namespace)
{
	Datum		key = Int64GetDatum(client->client_id);
	TupleDesc	desc = store_desc(reader->clients);
	StoreScan  *scan = store_scan(reader->clients, "client_pkey", 1, &key);
	HeapTuple	row = store_next(scan);
	Datum		values[16];
	bool		isnull[16];
	bool		known = false;

	Assert(desc->natts <= lengthof(values));
	if (row)
	{
		heap_deform_tuple(row, desc, values, isnull);
		*namespace = DatumGetInt32(values[1]);
		client->name = isnull[3] ? NULL : TextDatumGetCString(values[3]);
		client->has_rep = !isnull[8];
		client->rep_id = isnull[8] ? 0 : DatumGetInt64(values[8]);
		/* who is gone by now was there before; what else has changed of a client is not known */
		client->active = DatumGetBool(values[9]) ||
			(population_past_view() != NULL && !isnull[14] && DatumGetTimestampTz(values[14]) > client->as_of);
		client->channel = isnull[6] ? NULL : TextDatumGetCString(values[6]);
		client->territory = isnull[7] ? NULL : TextDatumGetCString(values[7]);
		client->do_not_contact = DatumGetBool(values[10]) || any_merged_keeps_quiet(reader, client->client_id);
		client->first_seen = DatumGetTimestampTz(values[11]);
		known = isnull[13];
		client->repurchase = population_repurchase(reader->population,
												   isnull[6] ? NULL : TextDatumGetCString(values[6]),
												   isnull[7] ? NULL : TextDatumGetCString(values[7]));
	}
	store_scan_end(scan);
	return known;
}

/* Fill in everything of a client; false when it is unknown. */
static bool
read_client(Reader *reader, ClientSnapshot *client, int64 client_id, TimestampTz as_of)
{
	int32		namespace;

	memset(client, 0, sizeof(ClientSnapshot));
	client->client_id = client_id;
	client->as_of = as_of;
	client->today = period_day(as_of);
	if (!read_attributes(reader, client, &namespace))
		return false;
	client->n_products = fold_at(&reader->folds, client_id, as_of, &client->profile, &client->products);
	client->deliver = may_deliver(reader, client, namespace);
	client->gaps = profile_gaps(&client->profile, &reader->population->season);
	settled_read(reader->recommendations, client);
	if (!client->has_rep && client->profile.has_rep)
	{
		client->has_rep = true;
		client->rep_id = client->profile.rep_id;
	}
	assess(&client->profile, reader->population, client->repurchase, as_of, client->settled_on, &client->state);
	return true;
}

/* See profile.h. */
void
profile_wait(ClientSnapshot *client, const Population *population, TimestampTz as_of, const SettledAlarm *settled)
{
	if (settled)
		settled_add(client, settled);
	client->as_of = as_of;
	client->today = period_day(as_of);
	assess(&client->profile, population, client->repurchase, as_of, client->settled_on, &client->state);
}

/* See outlook.h. */
bool
outlook_read(int64 client_id, TimestampTz as_of, ClientProfile *profile, Outlook *outlook)
{
	Reader		reader = {.population = profile_population()};
	ClientSnapshot client = {.client_id = client_id, .as_of = as_of};
	int32		namespace;
	bool		known;

	reader.clients = store_open("client", AccessShareLock);
	fold_at_begin(&reader.folds);
	known = read_attributes(&reader, &client, &namespace);
	if (known)
		fold_at(&reader.folds, client_id, as_of, &client.profile, NULL);
	fold_at_end(&reader.folds);
	store_close(reader.clients);
	if (!known || client.profile.n_orders == 0)
		return false;
	*profile = client.profile;
	*outlook = outlook_of(profile, reader.population, client.repurchase, period_day(as_of));
	return true;
}

/* See profile.h. */
ClientSnapshot *
profile_read(const int64 *client_ids, int n_clients, TimestampTz as_of, int *n)
{
	Reader		reader = {.population = profile_population()};
	ClientSnapshot *clients = palloc_extended(Max(n_clients, 1) * sizeof(ClientSnapshot), MCXT_ALLOC_HUGE);

	reader.clients = store_open("client", AccessShareLock);
	fold_at_begin(&reader.folds);
	reader.ledger = store_open("ledger", AccessShareLock);
	reader.recommendations = store_open("recommendation", AccessShareLock);
	read_live_sources(&reader);
	*n = 0;
	for (int i = 0; i < n_clients; i++)
	{
		if (read_client(&reader, &clients[*n], client_ids[i], as_of))
			(*n)++;
		CHECK_FOR_INTERRUPTS();
	}
	store_close(reader.recommendations);
	store_close(reader.ledger);
	fold_at_end(&reader.folds);
	store_close(reader.clients);
	return clients;
}
