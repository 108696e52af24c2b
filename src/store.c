/*
 * store.c
 *		Rows in and out of agentcrm's own tables without an executor.
 *
 * The catalog's own insert and update routines do what is wanted here: heap
 * access plus plain btree maintenance.  They know no partial or expression
 * index and no trigger, so tables that have such are written through SPI;
 * store_open refuses them.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/heaptoast.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "agentcrm.h"
#include "store.h"

/* Rows that go into one heap_multi_insert. */
#define STORE_BUFFERED_ROWS 500

struct Store
{
	Relation	rel;
	CatalogIndexState indexes;
	MemoryContext cxt;			/* holds the buffered rows */
	int			n_slots;		/* slots made so far */
	int			n_buffered;
	TupleTableSlot *slots[STORE_BUFFERED_ROWS];
};

struct StoreScan
{
	Relation	index;
	SysScanDesc desc;
};

/* The oid of a relation of schema agentcrm; an ERROR when it is missing. */
Oid
store_relid(const char *name)
{
	Oid			nspid = get_namespace_oid(AGENTCRM_SCHEMA, false);
	Oid			relid = get_relname_relid(name, nspid);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", AGENTCRM_SCHEMA, name),
				 errhint("The extension is damaged: drop it and create it again.")));
	return relid;
}

/* Every index must be one that the catalog routines maintain rightly. */
static void
check_indexes(Store *store)
{
	for (int i = 0; i < store->indexes->ri_NumIndices; i++)
	{
		IndexInfo  *info = store->indexes->ri_IndexRelationInfo[i];

		if (info->ii_Predicate != NIL || info->ii_Expressions != NIL)
			elog(ERROR, "table \"%s\" has a partial or expression index",
				 RelationGetRelationName(store->rel));
	}
}

/* Open a table of schema agentcrm for reading and, with a write lock, for writing. */
Store *
store_open(const char *table, LOCKMODE lockmode)
{
	Store	   *store = palloc0(sizeof(Store));

	store->rel = table_open(store_relid(table), lockmode);
	if (lockmode >= RowExclusiveLock)
	{
		store->indexes = CatalogOpenIndexes(store->rel);
		check_indexes(store);
		store->cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm store",
										   ALLOCSET_DEFAULT_SIZES);
	}
	return store;
}

/* Flush buffered rows and close; the lock is kept to the transaction's end. */
void
store_close(Store *store)
{
	if (store->indexes)
	{
		store_flush(store);
		for (int i = 0; i < store->n_slots; i++)
			ExecDropSingleTupleTableSlot(store->slots[i]);
		CatalogCloseIndexes(store->indexes);
		MemoryContextDelete(store->cxt);
	}
	table_close(store->rel, NoLock);
	pfree(store);
}

/* The open relation. */
Relation
store_relation(Store *store)
{
	return store->rel;
}

/* Enter a row just written into all indexes, from the slot it was written from. */
static void
insert_index_entries(Store *store, TupleTableSlot *slot)
{
	for (int i = 0; i < store->indexes->ri_NumIndices; i++)
	{
		Relation	index = store->indexes->ri_IndexRelationDescs[i];
		IndexInfo  *info = store->indexes->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		FormIndexDatum(info, slot, NULL, values, isnull);
		index_insert(index, values, isnull, &slot->tts_tid, store->rel,
					 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
	}
}

/* Write the buffered rows; the catalog's own routine for many rows would make a slot for each. */
void
store_flush(Store *store)
{
	MemoryContext old;

	if (store->n_buffered == 0)
		return;
	old = MemoryContextSwitchTo(store->cxt);
	heap_multi_insert(store->rel, store->slots, store->n_buffered, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < store->n_buffered; i++)
		insert_index_entries(store, store->slots[i]);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < store->n_buffered; i++)
		ExecClearTuple(store->slots[i]);
	store->n_buffered = 0;
	MemoryContextReset(store->cxt);
}

/* The first n columns of a row. */
void
store_deform(HeapTuple tuple, TupleDesc desc, Datum *values, bool *isnull, int n)
{
	if (desc->natts <= n)
		heap_deform_tuple(tuple, desc, values, isnull);
	else
		for (int i = 0; i < n; i++)
			values[i] = heap_getattr(tuple, i + 1, desc, &isnull[i]);
}

/* A row from the values of its first n columns. */
HeapTuple
store_form(TupleDesc desc, const Datum *values, const bool *isnull, int n)
{
	Datum		all[MaxTupleAttributeNumber];
	bool		all_null[MaxTupleAttributeNumber];

	if (desc->natts <= n)
		return heap_form_tuple(desc, unconstify(Datum *, values), unconstify(bool *, isnull));
	memcpy(all, values, sizeof(Datum) * n);
	memcpy(all_null, isnull, sizeof(bool) * n);
	memset(all_null + n, true, sizeof(bool) * (desc->natts - n));
	return heap_form_tuple(desc, all, all_null);
}

/* Insert a row; it is written when enough have gathered, or at store_flush. */
void
store_insert(Store *store, Datum *values, bool *isnull, int n)
{
	MemoryContext old = MemoryContextSwitchTo(store->cxt);
	HeapTuple	tuple = store_form(RelationGetDescr(store->rel), values, isnull, n);

	MemoryContextSwitchTo(old);
	/* heap_multi_insert would not tell the index where a toasted row went */
	if (tuple->t_len - tuple->t_data->t_hoff > TOAST_TUPLE_THRESHOLD - 128)
	{
		CatalogTupleInsertWithInfo(store->rel, tuple, store->indexes);
		heap_freetuple(tuple);
		return;
	}

	/* slots live as long as the store, whatever context the caller is in */
	old = MemoryContextSwitchTo(GetMemoryChunkContext(store));
	if (store->n_buffered == store->n_slots)
		store->slots[store->n_slots++] =
			MakeSingleTupleTableSlot(RelationGetDescr(store->rel), &TTSOpsHeapTuple);

	ExecStoreHeapTuple(tuple, store->slots[store->n_buffered++], false);
	MemoryContextSwitchTo(old);

	if (store->n_buffered == STORE_BUFFERED_ROWS)
		store_flush(store);
}

/* The row at tid with other values in its first n columns. */
static HeapTuple
form_from(Store *store, ItemPointer tid, const Datum *values, const bool *isnull, int n)
{
	TupleDesc	desc = RelationGetDescr(store->rel);
	HeapTupleData old = {.t_self = *tid};
	Buffer		buffer;
	Datum		all[MaxTupleAttributeNumber];
	bool		all_null[MaxTupleAttributeNumber];
	HeapTuple	tuple;

	if (!heap_fetch(store->rel, SnapshotAny, &old, &buffer, false))
		elog(ERROR, "a row of \"%s\" is gone", RelationGetRelationName(store->rel));
	heap_deform_tuple(&old, desc, all, all_null);
	memcpy(all, values, sizeof(Datum) * n);
	memcpy(all_null, isnull, sizeof(bool) * n);
	tuple = heap_form_tuple(desc, all, all_null);
	ReleaseBuffer(buffer);
	return tuple;
}

/* Replace the row at tid. */
void
store_update(Store *store, ItemPointer tid, Datum *values, bool *isnull, int n)
{
	TupleDesc	desc = RelationGetDescr(store->rel);
	HeapTuple	tuple = desc->natts <= n ? heap_form_tuple(desc, values, isnull) : form_from(store, tid, values, isnull, n);
	ItemPointerData otid = *tid;

	CatalogTupleUpdateWithInfo(store->rel, &otid, tuple, store->indexes);
	heap_freetuple(tuple);
}

/* Delete the row at tid. */
void
store_delete(Store *store, ItemPointer tid)
{
	ItemPointerData otid = *tid;

	CatalogTupleDelete(store->rel, &otid);
}

static StoreScan *
begin_scan(Store *store, const char *index, int nkeys, const Datum *keys, bool after)
{
	StoreScan  *scan = palloc(sizeof(StoreScan));
	ScanKeyData skeys[INDEX_MAX_KEYS];

	scan->index = index_open(store_relid(index), AccessShareLock);
	for (int i = 0; i < nkeys; i++)
	{
		AttrNumber	attno = scan->index->rd_index->indkey.values[i];
		Oid			type = TupleDescAttr(RelationGetDescr(store->rel), attno - 1)->atttypid;
		TypeCacheEntry *typcache = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO | TYPECACHE_GT_OPR);

		if (after && i == nkeys - 1)
			ScanKeyEntryInitialize(&skeys[i], 0, attno, BTGreaterStrategyNumber, InvalidOid,
								   scan->index->rd_indcollation[i], get_opcode(typcache->gt_opr), keys[i]);
		else
			ScanKeyEntryInitializeWithInfo(&skeys[i], 0, attno, BTEqualStrategyNumber, InvalidOid,
										   scan->index->rd_indcollation[i],
										   &typcache->eq_opr_finfo, keys[i]);
	}
	scan->desc = systable_beginscan_ordered(store->rel, scan->index, GetActiveSnapshot(), nkeys, skeys);
	return scan;
}

/* Begin a scan by equality on the leading columns of an index, under the active snapshot. */
StoreScan *
store_scan(Store *store, const char *index, int nkeys, const Datum *keys)
{
	return begin_scan(store, index, nkeys, keys, false);
}

/* Begin a scan by equality on the leading columns but the last, and by what is greater than that. */
StoreScan *
store_scan_after(Store *store, const char *index, int nkeys, const Datum *keys)
{
	return begin_scan(store, index, nkeys, keys, true);
}

/* The next row of the scan, NULL at the end; valid until the next call. */
HeapTuple
store_next(StoreScan *scan)
{
	return systable_getnext_ordered(scan->desc, ForwardScanDirection);
}

/* The next row backward: called first, the last row of the scan. */
HeapTuple
store_prev(StoreScan *scan)
{
	return systable_getnext_ordered(scan->desc, BackwardScanDirection);
}

/* End the scan. */
void
store_scan_end(StoreScan *scan)
{
	systable_endscan_ordered(scan->desc);
	index_close(scan->index, AccessShareLock);
	pfree(scan);
}

/* Make what this transaction wrote visible to what it reads next; for the engine's step, which owns the active snapshot. */
void
store_sync(void)
{
	CommandCounterIncrement();
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
}
