/*
 * store.h
 *		Rows in and out of agentcrm's own tables without an executor.
 *
 * Serves the rooms that write by the thousand: insert, update and delete with
 * index maintenance, and scans by index prefix under the active snapshot.
 * Checks no privilege and fires no trigger: only for tables of this extension,
 * as the install script makes them.  What somebody added to them is served
 * (indexes, CHECK, NOT NULL) or refused by name (see store_shape.c).
 */
#ifndef AGENTCRM_STORE_H
#define AGENTCRM_STORE_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "utils/rel.h"

typedef struct Store Store;

extern Oid	store_relid(const char *name);	/* oid of a relation of schema agentcrm */
extern Store *store_open(const char *table, LOCKMODE lockmode);	/* "ledger": a table of schema agentcrm */
extern void store_close(Store *store);		/* flushes buffered inserts; keeps the lock */
extern Relation store_relation(Store *store);
extern TupleDesc store_desc(Store *store);	/* of the columns this library knows: rows are formed and taken apart by it */
extern void store_insert(Store *store, Datum *values, bool *isnull); /* buffered: heap_multi_insert, then indexes */
extern void store_flush(Store *store);
extern void store_update(Store *store, ItemPointer tid, Datum *values, bool *isnull);
extern void store_delete(Store *store, ItemPointer tid);

/* Scan by equality on the first nkeys columns of the index, in index order, under the active snapshot. */
typedef struct StoreScan StoreScan;
extern StoreScan *store_scan(Store *store, const char *index, int nkeys, const Datum *keys);
/* The same, but greater than the last of the keys, which is a bound. */
extern StoreScan *store_scan_after(Store *store, const char *index, int nkeys, const Datum *keys);
/* All up to a bound on the first column; dead versions beyond it, which a held snapshot may keep in numbers, are not passed over. */
extern StoreScan *store_scan_until(Store *store, const char *index, Datum bound);
extern HeapTuple store_next(StoreScan *scan);	/* NULL at the end; valid until the next call; t_self is its tid */
/* The same backward; the first call for a unique key meets the newest version first, not all that a held snapshot keeps. */
extern HeapTuple store_prev(StoreScan *scan);
extern void store_scan_end(StoreScan *scan);

/* store_shape.c: the tables as they are against the tables as they were made */
typedef enum StoreUse
{
	STORE_READ,					/* here; written by SQL, so that anything may be added */
	STORE_WRITTEN,				/* through here, or by the flush */
	STORE_KEPT					/* the same, and rows are never deleted nor their keys changed */
} StoreUse;

typedef struct StoreShape
{
	const char *table;
	int			columns;
	int			checks;			/* CHECK constraints */
	StoreUse	use;
} StoreShape;

extern const StoreShape *store_shape(const char *table);
extern TupleDesc store_known_desc(Relation rel, int columns);	/* the relation's own where it has no more columns */
extern void store_check(Relation rel, const StoreShape *shape);	/* an ERROR when somebody added what is not served */
extern void store_check_tables(void);	/* the same for all, again only after one was altered */

extern void store_sync(void);	/* what was written becomes visible to later scans; only where the active snapshot is the step's own */

#endif
