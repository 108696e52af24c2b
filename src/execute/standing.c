/*
 * standing.c
 *		Reading recommendations by client, by index scan.
 *
 * Reads only.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"

#include "execute/life.h"
#include "store.h"

enum
{
	ATT_CLIENT_ID = 1, ATT_ID = 2, ATT_REP_ID = 3, ATT_AGENT = 4, ATT_ACTION = 5, ATT_CHANNEL = 6,
	ATT_CATEGORY = 10, ATT_FROM = 11, ATT_TO = 12, ATT_DUE_ON = 13, ATT_EXPIRES_AT = 14,
	ATT_VALUE = 15, ATT_OBLIGATION = 27, ATT_STATUS = 18, ATT_AS_OF = 23
};

/* open, shown, agreed, snoozed: the client may still be approached for it */
bool
status_stands(const char *status)
{
	return strcmp(status, "open") == 0 || strcmp(status, "shown") == 0 || strcmp(status, "agreed") == 0 ||
		strcmp(status, "snoozed") == 0;
}

/* Ended ones that never reached the client, nor were meant to any more. */
static bool
status_no_contact(const char *status)
{
	return strcmp(status, "withdrawn") == 0 || strcmp(status, "displaced") == 0 || strcmp(status, "withheld") == 0;
}

static void
fill_standing(Standing *s, const Datum *v, const bool *nulls, const char *status)
{
	s->client_id = DatumGetInt64(v[ATT_CLIENT_ID - 1]);
	s->recommendation_id = DatumGetInt64(v[ATT_ID - 1]);
	s->agent = TextDatumGetCString(v[ATT_AGENT - 1]);
	s->action = TextDatumGetCString(v[ATT_ACTION - 1]);
	s->channel = nulls[ATT_CHANNEL - 1] ? NULL : TextDatumGetCString(v[ATT_CHANNEL - 1]);
	s->category = TextDatumGetCString(v[ATT_CATEGORY - 1]);
	s->from = DatumGetDateADT(v[ATT_FROM - 1]);
	s->to = DatumGetDateADT(v[ATT_TO - 1]);
	s->due_on = DatumGetDateADT(v[ATT_DUE_ON - 1]);
	s->expires_at = DatumGetTimestampTz(v[ATT_EXPIRES_AT - 1]);
	s->has_rep = !nulls[ATT_REP_ID - 1];
	s->rep_id = s->has_rep ? DatumGetInt64(v[ATT_REP_ID - 1]) : 0;
	s->value = DatumGetFloat8(v[ATT_VALUE - 1]);
	s->obligation = DatumGetBool(v[ATT_OBLIGATION - 1]);
	s->contested = false;
	s->as_of = DatumGetTimestampTz(v[ATT_AS_OF - 1]);
	s->standing = status_stands(status);
	s->declined = strcmp(status, "declined") == 0;
	s->ignored = s->declined || strcmp(status, "expired") == 0;
	s->communicated = strcmp(status, "open") != 0;
}

typedef struct Reader
{
	Store	   *store;
	const char *index;
	bool		contacts;		/* ended ones as well, due after since or with a window that reaches beyond it */
	DateADT		since;
	Standing   *rows;
	int			n;
	int			max;
} Reader;

static void
read_client(Reader *r, int64 client_id, int64 holder_id, int client_index)
{
	Datum		key = Int64GetDatum(client_id);
	StoreScan  *scan = store_scan(r->store, r->index, 1, &key);
	HeapTuple	tuple;
	TupleDesc	desc = store_desc(r->store);
	Datum	   *v = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);

	while ((tuple = store_next(scan)) != NULL)
	{
		char	   *status;

		heap_deform_tuple(tuple, desc, v, nulls);
		status = TextDatumGetCString(v[ATT_STATUS - 1]);
		if (!status_stands(status) &&
			(!r->contacts || status_no_contact(status) ||
			 Max(DatumGetDateADT(v[ATT_DUE_ON - 1]), DatumGetDateADT(v[ATT_TO - 1])) <= r->since))
			continue;
		if (r->n == r->max)
		{
			r->max *= 2;
			r->rows = repalloc_huge(r->rows, sizeof(Standing) * r->max);
		}
		fill_standing(&r->rows[r->n], v, nulls, status);
		r->rows[r->n].holder_id = holder_id;
		r->rows[r->n++].client_index = client_index;
	}
	store_scan_end(scan);
	pfree(v);
	pfree(nulls);
}

static int
read_clients(Reader *r, const int64 *client_ids, int n_clients, Standing **standings)
{
	r->store = store_open("recommendation", AccessShareLock);
	r->max = 64;
	r->rows = palloc(sizeof(Standing) * r->max);
	for (int i = 0; i < n_clients; i++)
	{
		int64	   *merged;
		int			n_merged = ledger_merged_into(client_ids[i], &merged);

		read_client(r, client_ids[i], client_ids[i], i);
		for (int m = 0; m < n_merged; m++)
			read_client(r, merged[m], client_ids[i], i);
	}
	store_close(r->store);
	*standings = r->rows;
	return r->n;
}

/* Standing recommendations of the clients, and ended contacts of the time after since; under the active snapshot. */
int
execute_standing(const int64 *client_ids, int n_clients, DateADT since, Standing **standings)
{
	Reader		r = {.index = "recommendation_pkey", .contacts = true, .since = since};

	return read_clients(&r, client_ids, n_clients, standings);
}

/* Only the standing ones, by the index that holds no others. */
int
standing_only(const int64 *client_ids, int n_clients, Standing **standings)
{
	Reader		r = {.index = "recommendation_client_id_action_demand_idx"};

	return read_clients(&r, client_ids, n_clients, standings);
}
