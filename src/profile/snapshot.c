/*
 * snapshot.c
 *		What may be known of clients at a moment: attributes, fold, assessment.
 *
 * Reads stored rows when they hold nothing after as_of, else refolds the
 * ledger up to it.  Writes nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "profile/assess.h"
#include "profile/fold.h"
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
	Store	   *profiles;
	Store	   *products;
	Store	   *ledger;
	Store	   *recommendations;
	int			n_live;
	LiveSource *live;
	const Population *population;
	Fold	   *fold;			/* made when first needed */
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
		client->active = DatumGetBool(values[9]);
		client->do_not_contact = DatumGetBool(values[10]) || any_merged_keeps_quiet(reader, client->client_id);
		client->first_seen = DatumGetTimestampTz(values[11]);
		known = isnull[13];
	}
	store_scan_end(scan);
	return known;
}

static void
read_products(Reader *reader, ClientSnapshot *client)
{
	Datum		key = Int64GetDatum(client->client_id);
	TupleDesc	desc = store_desc(reader->products);
	StoreScan  *scan = store_scan(reader->products, "client_product_pkey", 1, &key);
	HeapTuple	row;
	int			max = 32;

	client->products = palloc(max * sizeof(ClientProduct));
	while ((row = store_next(scan)) != NULL)
	{
		if (client->n_products == max)
			client->products = repalloc_huge(client->products, (Size) (max *= 2) * sizeof(ClientProduct));
		product_from_row(row, desc, &client->products[client->n_products++]);
	}
	store_scan_end(scan);
}

static void
add_line(const LedgerLine *line, void *arg)
{
	fold_add((Fold *) arg, line);
}

static Numeric
copy_numeric(Numeric value)
{
	return value ? DatumGetNumericCopy(NumericGetDatum(value)) : NULL;
}

/* Copy a finished fold into the caller's memory. */
static void
copy_fold(const Fold *fold, ClientSnapshot *client)
{
	ClientProfile *profile = &client->profile;

	*profile = fold->profile;
	profile->amount = copy_numeric(profile->amount);
	profile->margin = copy_numeric(profile->margin);
	profile->returned = copy_numeric(profile->returned);
	profile->months = palloc(Max(profile->n_months, 1) * sizeof(ClientMonth));
	for (int i = 0; i < profile->n_months; i++)
	{
		profile->months[i] = fold->profile.months[i];
		profile->months[i].amount = copy_numeric(profile->months[i].amount);
		profile->months[i].margin = copy_numeric(profile->months[i].margin);
		profile->months[i].returned = copy_numeric(profile->months[i].returned);
	}
	client->n_products = fold->n_products;
	client->products = palloc(Max(fold->n_products, 1) * sizeof(ClientProduct));
	for (int i = 0; i < fold->n_products; i++)
	{
		ClientProduct *product = &client->products[i];

		*product = fold->products[i]->product;
		product->last_price = copy_numeric(product->last_price);
		for (int q = 0; q < product->n_quantities; q++)
			product->quantities[q] = copy_numeric(product->quantities[q]);
	}
}

/* The fold as it was at as_of, from the ledger. */
static void
refold(Reader *reader, ClientSnapshot *client)
{
	if (reader->fold == NULL)
		reader->fold = fold_create(NULL, NULL, NULL);
	fold_begin(reader->fold, client->client_id);
	ledger_scan_clients(&client->client_id, 1, client->as_of, add_line, reader->fold);
	fold_finish(reader->fold);
	fold_sort_products(reader->fold);
	copy_fold(reader->fold, client);
}

static void
read_fold(Reader *reader, ClientSnapshot *client)
{
	if (!profile_find(reader->profiles, client->client_id, &client->profile, NULL))
	{
		client->profile.client_id = client->client_id;
		client->profile.fold_at = DT_NOBEGIN;
		client->profile.amount = int64_to_numeric(0);
		client->profile.returned = int64_to_numeric(0);
	}
	else if (client->profile.fold_at <= client->as_of)
		read_products(reader, client);
	else
		refold(reader, client);
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
	read_fold(reader, client);
	client->deliver = may_deliver(reader, client, namespace);
	client->gaps = profile_gaps(&client->profile, &reader->population->season);
	settled_read(reader->recommendations, client);
	if (!client->has_rep && client->profile.has_rep)
	{
		client->has_rep = true;
		client->rep_id = client->profile.rep_id;
	}
	assess(&client->profile, reader->population, as_of, client->settled_on, &client->state);
	return true;
}

/* See profile.h. */
ClientSnapshot *
profile_read(const int64 *client_ids, int n_clients, TimestampTz as_of, int *n)
{
	Reader		reader = {.population = profile_population()};
	ClientSnapshot *clients = palloc_extended(Max(n_clients, 1) * sizeof(ClientSnapshot), MCXT_ALLOC_HUGE);

	reader.clients = store_open("client", AccessShareLock);
	reader.profiles = store_open("client_profile", AccessShareLock);
	reader.products = store_open("client_product", AccessShareLock);
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
	store_close(reader.products);
	store_close(reader.profiles);
	store_close(reader.clients);
	if (reader.fold)
		MemoryContextDelete(reader.fold->cxt);
	return clients;
}
