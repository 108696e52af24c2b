/*
 * entity.c
 *		Clients, products, reps and orders by their keys.
 *
 * Ids that were looked up are remembered in the backend with a hash of their
 * text, so that a known client costs nothing; the memory is dropped when a
 * transaction aborts or when rows of these tables are erased.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "ledger/entity.h"
#include "store.h"

#define MAX_REMEMBERED 2000000

typedef struct EntityTable
{
	const char *table;
	const char *pkey;
	const char *unique;
} EntityTable;

static const EntityTable tables[] = {
	[ENTITY_CLIENT] = {"client", "client_pkey", "client_client_key_namespace_key"},
	[ENTITY_PRODUCT] = {"product", "product_pkey", "product_product_key_namespace_key"},
	[ENTITY_REP] = {"rep", "rep_pkey", "rep_rep_key_namespace_key"},
};

#define N_TABLES ((int) lengthof(tables))
#define MAX_COLUMNS 16

typedef struct Known
{
	int64		id;
	int32		namespace;
	uint32		text_hash;
	char		status;
} Known;

#define SH_PREFIX known
#define SH_ELEMENT_TYPE Known
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(tb, key) (murmurhash32((uint32) (key) ^ (uint32) ((key) >> 32)))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

static known_hash *known[N_TABLES];
static Store *stores[N_TABLES]; /* open for the current transaction */
static Oid	relids[N_TABLES];

/* Clients inserted since they were last asked for. */
static int64 *new_clients = NULL;
static int	n_new_clients = 0;
static int	max_new_clients = 0;

static bool unsettled = false;	/* rows were looked for or inserted in this transaction */

static void
forget_all(void)
{
	memset(stores, 0, sizeof(stores));
	n_new_clients = 0;
	for (int kind = 0; kind < N_TABLES; kind++)
		if (known[kind])
			known_reset(known[kind]);
}

static void
forget_at_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		forget_all();
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
	{
		unsettled = false;
		n_new_clients = 0;
	}
}

/* run() takes its steps in subtransactions; one that fails takes its new rows along. */
static void
forget_at_subabort(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && unsettled)
		forget_all();
}

static void
forget_on_invalidation(Datum arg, Oid relid)
{
	for (int kind = 0; kind < N_TABLES; kind++)
		if (known[kind] && (relid == InvalidOid || relid == relids[kind]))
			known_reset(known[kind]);
}

static void
prepare(EntityKind kind)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(forget_at_abort, NULL);
		RegisterSubXactCallback(forget_at_subabort, NULL);
		CacheRegisterRelcacheCallback(forget_on_invalidation, (Datum) 0);
		registered = true;
	}
	if (known[kind] == NULL)
		known[kind] = known_create(TopMemoryContext, 1024, NULL);
	if (known[kind]->members > MAX_REMEMBERED)
		known_reset(known[kind]);
	if (stores[kind] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		unsettled = true;
		stores[kind] = store_open(tables[kind].table, RowExclusiveLock);
		relids[kind] = RelationGetRelid(store_relation(stores[kind]));
		MemoryContextSwitchTo(old);
	}
}

static void
note_new_client(int64 id)
{
	if (n_new_clients == max_new_clients)
	{
		max_new_clients = Max(64, max_new_clients * 2);
		new_clients = new_clients ? repalloc_huge(new_clients, sizeof(int64) * max_new_clients) :
			MemoryContextAllocHuge(TopMemoryContext, sizeof(int64) * max_new_clients);
	}
	new_clients[n_new_clients++] = id;
}

/* The clients that have become known since this was last asked, until the next one does. */
int
entity_take_new_clients(const int64 **clients)
{
	int			n = n_new_clients;

	*clients = new_clients;
	n_new_clients = 0;
	return n;
}

static void
insert_entity(EntityKind kind, int32 namespace, int64 id, const char *text, TimestampTz now)
{
	Datum		values[MAX_COLUMNS] = {0};
	bool		isnull[MAX_COLUMNS];

	memset(isnull, true, sizeof(isnull));
	values[0] = Int64GetDatum(id);
	values[1] = Int32GetDatum(namespace);
	values[2] = CStringGetTextDatum(text);
	isnull[0] = isnull[1] = isnull[2] = false;
	switch (kind)
	{
		case ENTITY_CLIENT:
			values[5] = Int64GetDatum(id);	/* its own root */
			values[9] = BoolGetDatum(true);
			values[10] = BoolGetDatum(false);
			values[11] = TimestampTzGetDatum(now);
			isnull[5] = isnull[9] = isnull[10] = isnull[11] = false;
			note_new_client(id);
			break;
		case ENTITY_PRODUCT:
			values[5] = BoolGetDatum(true);
			isnull[5] = false;
			break;
		case ENTITY_REP:
			values[4] = BoolGetDatum(true);
			isnull[4] = false;
			break;
	}
	store_insert(stores[kind], values, isnull);
}

/* The stored entity of an id: its namespace and key; false when there is none. */
static bool
look_up(EntityKind kind, const char *index, int nkeys, Datum *keys, int64 *id, int32 *namespace, char **key)
{
	StoreScan  *scan = store_scan(stores[kind], index, nkeys, keys);
	HeapTuple	tuple = store_next(scan);

	if (tuple)
	{
		TupleDesc	desc = store_desc(stores[kind]);
		bool		isnull;

		*id = DatumGetInt64(heap_getattr(tuple, 1, desc, &isnull));
		*namespace = DatumGetInt32(heap_getattr(tuple, 2, desc, &isnull));
		*key = TextDatumGetCString(heap_getattr(tuple, 3, desc, &isnull));
	}
	store_scan_end(scan);
	return tuple != NULL;
}

/* Look in the table: whether the entity is there, or a message when its id or its key belongs to another. */
static char *
find_stored(EntityKind kind, int32 namespace, int64 id, const char *text, bool *found)
{
	Datum		id_key = Int64GetDatum(id);
	Datum		text_keys[2] = {CStringGetTextDatum(text), Int32GetDatum(namespace)};
	int64		found_id;
	int32		found_namespace;
	char	   *found_text;

	*found = look_up(kind, tables[kind].pkey, 1, &id_key, &found_id, &found_namespace, &found_text);
	if (*found)
	{
		if (found_namespace == namespace && strcmp(found_text, text) == 0)
			return NULL;
		return psprintf("%s key \"%s\" has id %lld, which belongs to key \"%s\"",
						tables[kind].table, text, (long long) id, found_text);
	}
	if (look_up(kind, tables[kind].unique, 2, text_keys, &found_id, &found_namespace, &found_text))
		return psprintf("%s key \"%s\" already has id %lld: its type differs among the sources of a namespace",
						tables[kind].table, text, (long long) found_id);
	return NULL;
}

/* Find an entity, or make it if it may be made. */
static char *
settle(EntityKind kind, int32 namespace, int64 id, const char *text, bool make, TimestampTz now)
{
	Known	   *entry;
	uint32		text_hash;
	char		digits[21 + 1];
	char	   *message;
	bool		found;

	prepare(kind);
	if (text == NULL)
	{
		pg_lltoa(id, digits);
		text = digits;
	}
	text_hash = hash_bytes((const unsigned char *) text, strlen(text));
	entry = known_lookup(known[kind], id);
	if (entry && entry->text_hash == text_hash && entry->namespace == namespace)
		return NULL;
	unsettled = true;
	message = find_stored(kind, namespace, id, text, &found);
	if (message || !(found || make))
		return message;
	if (!found)
		insert_entity(kind, namespace, id, text, now);
	entry = known_insert(known[kind], id, &found);
	entry->namespace = namespace;
	entry->text_hash = text_hash;
	return NULL;
}

/* Make sure that an entity exists; a message when its id belongs to another key. */
char *
entity_ensure(EntityKind kind, int32 namespace, int64 id, const char *text, TimestampTz now)
{
	return settle(kind, namespace, id, text, true, now);
}

/* The message that entity_ensure would give; makes nothing. */
char *
entity_clash(EntityKind kind, int32 namespace, int64 id, const char *text)
{
	return settle(kind, namespace, id, text, false, 0);
}

/* The error of a key whose entity clashes. */
ErrorData *
entity_error(char *message)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_UNIQUE_VIOLATION;
	error->message = message;
	return error;
}

/* Write what has gathered and close the tables. */
void
entity_flush(void)
{
	for (int kind = 0; kind < N_TABLES; kind++)
		if (stores[kind])
		{
			store_close(stores[kind]);
			stores[kind] = NULL;
		}
}

/* Make sure that an order with a hashed id has its reference; a message when the id belongs to another key. */
char *
entity_ensure_order(int32 source_id, int64 order_id, const char *key)
{
	Store	   *store = store_open("order_ref", RowExclusiveLock);
	Datum		keys[2] = {Int32GetDatum(source_id), Int64GetDatum(order_id)};
	StoreScan  *scan = store_scan(store, "order_ref_pkey", 2, keys);
	HeapTuple	tuple = store_next(scan);
	char	   *message = NULL;

	if (tuple)
	{
		bool		isnull;
		char	   *found = TextDatumGetCString(heap_getattr(tuple, 3, store_desc(store), &isnull));

		if (strcmp(found, key) != 0)
			message = psprintf("order key \"%s\" has id %lld, which belongs to key \"%s\"",
							   key, (long long) order_id, found);
	}
	else
	{
		Datum		values[3] = {Int64GetDatum(order_id), Int32GetDatum(source_id), CStringGetTextDatum(key)};
		bool		isnull[3] = {false, false, false};

		store_insert(store, values, isnull);
	}
	store_scan_end(scan);
	store_close(store);
	return message;
}
