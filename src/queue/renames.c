/*
 * renames.c
 *		Renamed keys that wait in the queue, to be met before their turn.
 *
 * Where a client is now is told by a rename together with those that followed
 * it, which may stand anywhere behind it in the queue.  To look for them among
 * all events would cost a backlog at each batch, so renames are written to
 * agentcrm.event_rename, too, and go when their events are consumed.  A row is
 * a hint: left out where the table is locked, there for some time after its
 * event was read.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "queue/event_table.h"
#include "store.h"

/* Note the renames among events that the current transaction writes. */
void
renames_write(Datum xid, TimestampTz at, const QueueEvent *events, int n)
{
	Relation	rel = NULL;

	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple;

		if (events[i].part != QUEUE_PART_RENAME)
			continue;
		if (rel == NULL)
		{
			Oid			relid = store_relid("event_rename");

			if (!ConditionalLockRelationOid(relid, RowExclusiveLock))
				return;
			rel = table_open(relid, NoLock);
		}
		tuple = event_form(store_known_desc(rel, EVENT_COLUMNS), xid, at, &events[i]);
		heap_insert(rel, tuple, GetCurrentCommandId(true), 0, NULL);
		heap_freetuple(tuple);
	}
	if (rel)
		table_close(rel, NoLock);
}

/* Renames of a source that wait under the active snapshot, or failed and are tried again; distinct, with those given. */
QueueEvent *
queue_renames(int32 source_id, const QueueEvent *given, int n_given, int *n)
{
	int			n_failed;
	QueueEvent *failed = failed_of_part(source_id, QUEUE_PART_RENAME, &n_failed);
	Relation	rel = table_open(store_relid("event_rename"), AccessShareLock);
	TupleDesc	desc = store_known_desc(rel, EVENT_COLUMNS);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	int			max = n_failed + n_given + 64;
	QueueEvent *events = palloc(sizeof(QueueEvent) * max);
	HeapTuple	tuple;

	memcpy(events, failed, sizeof(QueueEvent) * n_failed);
	if (n_given > 0)
		memcpy(events + n_failed, given, sizeof(QueueEvent) * n_given);
	*n = n_failed + n_given;
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Datum		values[EVENT_COLUMNS];
		bool		isnull[EVENT_COLUMNS];

		heap_deform_tuple(tuple, desc, values, isnull);
		if (DatumGetInt32(values[EVENT_SOURCE_ID]) != source_id)
			continue;
		if (*n == max)
			events = repalloc(events, sizeof(QueueEvent) * (max *= 2));
		events[(*n)++] = (QueueEvent)
		{
			.source_id = source_id, .part = QUEUE_PART_RENAME, .key = TextDatumGetCString(values[EVENT_KEY])
		};
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	*n = events_make_distinct(events, *n);
	return events;
}

/* Delete those whose events are consumed: all that a snapshot sees. */
void
renames_prune(Datum seen)
{
	Relation	rel = table_open(store_relid("event_rename"), RowExclusiveLock);
	TupleDesc	desc = store_known_desc(rel, EVENT_COLUMNS);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		if (event_visible_in(heap_getattr(tuple, EVENT_XID + 1, desc, &isnull), seen))
			CatalogTupleDelete(rel, &tuple->t_self);
	}
	table_endscan(scan);
	table_close(rel, NoLock);
}
