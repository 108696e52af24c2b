/*
 * store.c
 *		Rows in and out of agentcrm's own tables without an executor.
 *
 * Heap access, constraints and index maintenance as the executor does them,
 * for one row shape known beforehand.  What somebody added to a table and is
 * not served here is refused by store_open (store_shape.c).
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
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "agentcrm.h"
#include "compat.h"
#include "store.h"

/* Rows that go into one heap_multi_insert. */
#define STORE_BUFFERED_ROWS 500

struct Store
{
	Relation	rel;
	TupleDesc	desc;
	CatalogIndexState indexes;
	EState	   *estate;			/* only with partial or expression indexes, or somebody's CHECK */
	bool		check;			/* there is such a CHECK */
	TupleTableSlot *slot;		/* for a row that is not buffered */
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

static bool
needs_executor(Store *store)
{
	for (int i = 0; i < store->indexes->ri_NumIndices; i++)
	{
		IndexInfo  *info = store->indexes->ri_IndexRelationInfo[i];

		if (info->ii_Predicate != NIL || info->ii_Expressions != NIL)
			return true;
	}
	return store->check;
}

static void
open_for_writing(Store *store, const StoreShape *shape)
{
	TupleConstr *constr = RelationGetDescr(store->rel)->constr;

	store->indexes = CatalogOpenIndexes(store->rel);
	store->cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm store", ALLOCSET_DEFAULT_SIZES);
	store->check = constr != NULL && constr->num_check > shape->checks;
	if (needs_executor(store))
		store->estate = CreateExecutorState();
}

/* Open a table of schema agentcrm for reading and, with a write lock, for writing. */
Store *
store_open(const char *table, LOCKMODE lockmode)
{
	Store	   *store = palloc0(sizeof(Store));
	const StoreShape *shape = store_shape(table);

	store->rel = table_open(store_relid(table), lockmode);
	store->desc = store_known_desc(store->rel, shape->columns);
	if (lockmode >= RowExclusiveLock || store->desc->natts < shape->columns)
		store_check(store->rel, shape);
	if (lockmode >= RowExclusiveLock)
		open_for_writing(store, shape);
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
		if (store->slot)
			ExecDropSingleTupleTableSlot(store->slot);
		if (store->estate)
			FreeExecutorState(store->estate);
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

/* Its columns, as far as this library knows them. */
TupleDesc
store_desc(Store *store)
{
	return store->desc;
}

/* Form a row; NOT NULL is checked here, for it costs nothing. */
static HeapTuple
form_row(Store *store, Datum *values, bool *isnull)
{
	for (int i = 0; i < store->desc->natts; i++)
		if (isnull[i] && TupleDescAttr(RelationGetDescr(store->rel), i)->attnotnull)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
							NameStr(TupleDescAttr(RelationGetDescr(store->rel), i)->attname),
							RelationGetRelationName(store->rel)),
					 errtablecol(store->rel, i + 1)));
	return heap_form_tuple(store->desc, values, isnull);
}

/* Somebody's CHECK; our own hold by how rows are made. */
static void
check_row(Store *store, TupleTableSlot *slot)
{
	if (!store->check)
		return;
	ExecConstraints(store->indexes, slot, store->estate);
	ResetPerTupleExprContext(store->estate);
}

/* The slot for a row that is not buffered, with the row in it. */
static TupleTableSlot *
single_slot(Store *store, HeapTuple tuple)
{
	if (store->slot == NULL)
	{
		/* slots live as long as the store, whatever context the caller is in */
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(store));

		store->slot = MakeSingleTupleTableSlot(RelationGetDescr(store->rel), &TTSOpsHeapTuple);
		MemoryContextSwitchTo(old);
	}
	ExecStoreHeapTuple(tuple, store->slot, false);
	return store->slot;
}

/* Whether the row in the slot belongs into the index. */
static bool
belongs(Store *store, IndexInfo *info)
{
	if (info->ii_Predicate == NIL)
		return true;
	if (info->ii_PredicateState == NULL)
		info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, store->estate);
	return ExecQual(info->ii_PredicateState, GetPerTupleExprContext(store->estate));
}

/* Enter a row just written into its indexes, from the slot it was written from. */
static void
insert_index_entries(Store *store, TupleTableSlot *slot, TU_UpdateIndexes which)
{
	if (store->estate)
		GetPerTupleExprContext(store->estate)->ecxt_scantuple = slot;
	for (int i = 0; i < store->indexes->ri_NumIndices; i++)
	{
		Relation	index = store->indexes->ri_IndexRelationDescs[i];
		IndexInfo  *info = store->indexes->ri_IndexRelationInfo[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		/* not ready: CREATE INDEX CONCURRENTLY has not begun to build it */
		if (!info->ii_ReadyForInserts || compat_is_left_out(info, which) || !belongs(store, info))
			continue;
		FormIndexDatum(info, slot, store->estate, values, isnull);
		index_insert(index, values, isnull, &slot->tts_tid, store->rel,
					 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
	}
	if (store->estate)
		ResetPerTupleExprContext(store->estate);
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
		insert_index_entries(store, store->slots[i], TU_All);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < store->n_buffered; i++)
		ExecClearTuple(store->slots[i]);
	store->n_buffered = 0;
	MemoryContextReset(store->cxt);
}

/* Insert a row alone: heap_multi_insert would not tell the index where a toasted row went. */
static void
insert_large(Store *store, HeapTuple tuple)
{
	TupleTableSlot *slot = single_slot(store, tuple);

	check_row(store, slot);
	simple_heap_insert(store->rel, tuple);
	slot->tts_tid = tuple->t_self;
	insert_index_entries(store, slot, TU_All);
	ExecClearTuple(slot);
	heap_freetuple(tuple);
}

/* Insert a row; it is written when enough have gathered, or at store_flush. */
void
store_insert(Store *store, Datum *values, bool *isnull)
{
	MemoryContext old;
	TupleTableSlot *slot;

	if (heap_compute_data_size(store->desc, values, isnull) > TOAST_TUPLE_THRESHOLD - 128)
	{
		insert_large(store, form_row(store, values, isnull));
		return;
	}

	/* slots live as long as the store, whatever context the caller is in */
	old = MemoryContextSwitchTo(GetMemoryChunkContext(store));
	if (store->n_buffered == store->n_slots)
		store->slots[store->n_slots++] =
			MakeSingleTupleTableSlot(RelationGetDescr(store->rel), &TTSOpsHeapTuple);

	MemoryContextSwitchTo(store->cxt);
	slot = store->slots[store->n_buffered];
	ExecStoreHeapTuple(form_row(store, values, isnull), slot, false);
	check_row(store, slot);
	store->n_buffered++;
	MemoryContextSwitchTo(old);

	if (store->n_buffered == STORE_BUFFERED_ROWS)
		store_flush(store);
}

/* Replace the row at tid. */
void
store_update(Store *store, ItemPointer tid, Datum *values, bool *isnull)
{
	HeapTuple	tuple = form_row(store, values, isnull);
	TupleTableSlot *slot = single_slot(store, tuple);
	ItemPointerData otid = *tid;
	TU_UpdateIndexes which;

	check_row(store, slot);
	compat_heap_update(store->rel, &otid, tuple, &which);
	slot->tts_tid = tuple->t_self;
	if (which != TU_None)
		insert_index_entries(store, slot, which);
	ExecClearTuple(slot);
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
begin_scan(Store *store, const char *index, int nkeys, const Datum *keys, StrategyNumber last)
{
	StoreScan  *scan = palloc(sizeof(StoreScan));
	ScanKeyData skeys[INDEX_MAX_KEYS];

	scan->index = index_open(store_relid(index), AccessShareLock);
	for (int i = 0; i < nkeys; i++)
	{
		AttrNumber	attno = scan->index->rd_index->indkey.values[i];
		Oid			type = TupleDescAttr(store->desc, attno - 1)->atttypid;
		TypeCacheEntry *typcache = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO | TYPECACHE_BTREE_OPFAMILY);

		if (i == nkeys - 1 && last != BTEqualStrategyNumber)
			ScanKeyEntryInitialize(&skeys[i], 0, attno, last, InvalidOid, scan->index->rd_indcollation[i],
								   get_opcode(get_opfamily_member(typcache->btree_opf, type, type, last)), keys[i]);
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
	return begin_scan(store, index, nkeys, keys, BTEqualStrategyNumber);
}

/* Begin a scan by equality on the leading columns but the last, and by what is greater than that. */
StoreScan *
store_scan_after(Store *store, const char *index, int nkeys, const Datum *keys)
{
	return begin_scan(store, index, nkeys, keys, BTGreaterStrategyNumber);
}

/* Begin a scan of what is at most the bound in the index's first column. */
StoreScan *
store_scan_until(Store *store, const char *index, Datum bound)
{
	return begin_scan(store, index, 1, &bound, BTLessEqualStrategyNumber);
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
