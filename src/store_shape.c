/*
 * store_shape.c
 *		The tables that are written without an executor, as the install script
 *		makes them, against what somebody made of them since.
 *
 * Indexes of any kind, CHECK and NOT NULL are served by store.c; row-level
 * security is for whoever reads by SQL.  What only an executor serves
 * (triggers, rules, further columns and their defaults, constraints that are
 * checked later) is refused by name, where ignoring it would be silently wrong.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "agentcrm.h"
#include "store.h"

PG_FUNCTION_INFO_V1(agentcrm_obstacle);

/* Columns and CHECK constraints of each table; tables that are only read here may get what they like. */
static const StoreShape shapes[] = {
	{"batch", 13, 0, STORE_WRITTEN},
	{"client", 16, 0, STORE_KEPT},
	{"client_product", 12, 0, STORE_WRITTEN},
	{"client_profile", 25, 0, STORE_WRITTEN},
	{"client_state", 25, 4, STORE_WRITTEN},
	{"error_log", 6, 0, STORE_WRITTEN},
	{"event_1", 5, 0, STORE_WRITTEN},
	{"event_2", 5, 0, STORE_WRITTEN},
	{"event_3", 5, 0, STORE_WRITTEN},
	{"event_4", 5, 0, STORE_WRITTEN},
	{"event_5", 5, 0, STORE_WRITTEN},
	{"event_6", 5, 0, STORE_WRITTEN},
	{"event_7", 5, 0, STORE_WRITTEN},
	{"event_8", 5, 0, STORE_WRITTEN},
	{"event_failed", 10, 0, STORE_WRITTEN},
	{"event_rename", 5, 0, STORE_WRITTEN},
	{"event_turn", 3, 1, STORE_WRITTEN},
	{"installation", 7, 1, STORE_READ},
	{"ledger", 16, 1, STORE_WRITTEN},
	{"ledger_history", 17, 0, STORE_WRITTEN},
	{"model", 11, 0, STORE_READ},
	{"order_ref", 3, 0, STORE_KEPT},
	{"product", 10, 0, STORE_KEPT},
	{"product_count", 3, 0, STORE_WRITTEN},
	{"product_delta", 6, 0, STORE_WRITTEN},
	{"product_inclusion", 4, 0, STORE_WRITTEN},
	{"product_popularity", 3, 0, STORE_WRITTEN},
	{"recommendation", 27, 1, STORE_READ},
	{"rep", 6, 0, STORE_KEPT},
	{"source", 16, 2, STORE_READ},
	{"source_load", 19, 1, STORE_READ},
	{"source_part", 11, 1, STORE_READ},
	{"source_watch", 11, 0, STORE_READ},
	{"stage_change", 5, 1, STORE_WRITTEN},
};

/* The shape of a table; one that is not listed above is a mistake of ours. */
const StoreShape *
store_shape(const char *table)
{
	for (int i = 0; i < (int) lengthof(shapes); i++)
		if (strcmp(shapes[i].table, table) == 0)
			return &shapes[i];
	elog(ERROR, "table \"%s\" is not listed in store_shape.c", table);
}

/* The first columns of a relation, while it is open; what was added behind them, and perhaps dropped again, is not looked at. */
TupleDesc
store_known_desc(Relation rel, int columns)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TupleDesc	known;
	Form_pg_attribute *attributes;

	if (desc->natts <= columns)
		return desc;
	attributes = palloc(sizeof(Form_pg_attribute) * columns);
	for (int i = 0; i < columns; i++)
		attributes[i] = TupleDescAttr(desc, i);
	known = CreateTupleDesc(columns, attributes);
	known->constr = desc->constr;	/* values of columns that came after the rows */
	return known;
}

/* ---- what was added ---- */

typedef struct Obstacle
{
	char	   *message;
	char	   *hint;
} Obstacle;

static const char *
table_name(Relation rel)
{
	return quote_qualified_identifier(AGENTCRM_SCHEMA, RelationGetRelationName(rel));
}

static bool
lacks_columns(Relation rel, const StoreShape *shape, Obstacle *found)
{
	if (RelationGetDescr(rel)->natts >= shape->columns)
		return false;
	found->message = psprintf("table %s has %d columns, not %d: it is of an earlier version", table_name(rel),
							  RelationGetDescr(rel)->natts, shape->columns);
	found->hint = pstrdup("ALTER EXTENSION agentcrm UPDATE");
	return true;
}

static bool
altered_columns(Relation rel, const StoreShape *shape, Obstacle *found)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = shape->columns; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
		{
			const char *column = quote_identifier(NameStr(TupleDescAttr(desc, i)->attname));

			found->message = psprintf("column %s was added to %s, which agentcrm would leave empty", column, table_name(rel));
			found->hint = psprintf("keep such data in a table of your own, and ALTER TABLE %s DROP COLUMN %s",
								   table_name(rel), column);
			return true;
		}
	return false;
}

/*
 * A trigger that ought to fire.  Foreign keys within agentcrm are right by how
 * its rows are written, and so are somebody's to rows that are never deleted.
 */
static bool
ought_to_fire(const Trigger *trigger, const StoreShape *shape)
{
	if (trigger->tgenabled == TRIGGER_DISABLED)
		return false;
	if (!trigger->tgisinternal)
		return true;
	if (!OidIsValid(trigger->tgconstrrelid) ||
		get_rel_namespace(trigger->tgconstrrelid) == get_namespace_oid(AGENTCRM_SCHEMA, false))
		return false;
	return shape->use != STORE_KEPT || RI_FKey_trigger_type(trigger->tgfoid) != RI_TRIGGER_PK;
}

static bool
altered_triggers(Relation rel, const StoreShape *shape, Obstacle *found)
{
	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (!ought_to_fire(trigger, shape))
			continue;
		if (trigger->tgisinternal)
		{
			Oid			other = trigger->tgconstrrelid;

			found->message = psprintf("a foreign key ties %s to %s, which agentcrm would not check", table_name(rel),
									  quote_qualified_identifier(get_namespace_name(get_rel_namespace(other)),
																 get_rel_name(other)));
			found->hint = pstrdup("drop that constraint");
			return true;
		}
		found->message = psprintf("trigger %s is on %s, which agentcrm would not fire",
								  quote_identifier(trigger->tgname), table_name(rel));
		found->hint = psprintf("DROP TRIGGER %s ON %s", quote_identifier(trigger->tgname), table_name(rel));
		return true;
	}
	return false;
}

/* An index that checks later, or what is not equality; and any on an event table, where the application's commits write. */
static bool
altered_index(Relation rel, Oid index, bool any, Obstacle *found)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	const char *name;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	if (!any && form->indimmediate && !form->indisexclusion)
	{
		ReleaseSysCache(tuple);
		return false;
	}
	name = quote_qualified_identifier(AGENTCRM_SCHEMA, get_rel_name(index));
	if (any)
	{
		found->message = psprintf("index %s is on an event table, and is not maintained", name);
		found->hint = psprintf("DROP INDEX %s", name);
	}
	else
	{
		found->message = psprintf("index %s on %s is of an exclusion constraint or a deferrable one, which agentcrm would not check",
								  name, table_name(rel));
		found->hint = psprintf("ALTER TABLE %s DROP CONSTRAINT %s", table_name(rel), quote_identifier(get_rel_name(index)));
	}
	ReleaseSysCache(tuple);
	return true;
}

static bool
altered_indexes(Relation rel, const StoreShape *shape, Obstacle *found)
{
	bool		event_table = strncmp(shape->table, "event_", 6) == 0 && isdigit((unsigned char) shape->table[6]);
	List	   *indexes = rel->rd_rel->relhasindex ? RelationGetIndexList(rel) : NIL;
	ListCell   *lc;

	foreach(lc, indexes)
		if (altered_index(rel, lfirst_oid(lc), event_table, found))
			return true;
	return false;
}

/* The first thing about a table that is not served. */
static bool
find_obstacle(Relation rel, const StoreShape *shape, Obstacle *found)
{
	if (lacks_columns(rel, shape, found))
		return true;
	if (shape->use == STORE_READ)
		return false;
	if (rel->rd_rel->relam != HEAP_TABLE_AM_OID)
	{
		found->message = psprintf("table %s is not of access method heap", table_name(rel));
		found->hint = psprintf("ALTER TABLE %s SET ACCESS METHOD heap", table_name(rel));
		return true;
	}
	if (rel->rd_rules != NULL)
	{
		found->message = psprintf("table %s has a rule, which agentcrm would not follow", table_name(rel));
		found->hint = psprintf("drop the rule that \\d %s shows", table_name(rel));
		return true;
	}
	return altered_columns(rel, shape, found) || altered_triggers(rel, shape, found) || altered_indexes(rel, shape, found);
}

/* An ERROR when somebody added to a table what is not served. */
void
store_check(Relation rel, const StoreShape *shape)
{
	Obstacle	found;

	if (find_obstacle(rel, shape, &found))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", found.message),
				 errhint("%s.", found.hint)));
}

/* ---- before a step ---- */

/* How often any table was altered, as far as is known here, and how often it was when all were looked at. */
static uint64 alterations = 1;
static uint64 alterations_checked = 0;

static void
count_alteration(Datum arg, Oid relid)
{
	alterations++;
}

/* Look at all tables, so that no event is blamed for what somebody did to one. */
void
store_check_tables(void)
{
	static bool registered = false;
	uint64		now = alterations;

	if (alterations_checked == now)
		return;
	if (!registered)
		CacheRegisterRelcacheCallback(count_alteration, (Datum) 0);
	registered = true;
	for (int i = 0; i < (int) lengthof(shapes); i++)
	{
		Relation	rel = table_open(store_relid(shapes[i].table), AccessShareLock);

		store_check(rel, &shapes[i]);
		table_close(rel, AccessShareLock);
	}
	alterations_checked = now;
}

/* agentcrm.obstacle(): what keeps the worker from writing, in words; tables that are locked are passed over. */
Datum
agentcrm_obstacle(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < (int) lengthof(shapes); i++)
	{
		Oid			relid = store_relid(shapes[i].table);
		Relation	rel;
		Obstacle	found;
		bool		obstructed;

		if (!ConditionalLockRelationOid(relid, AccessShareLock))
			continue;
		rel = table_open(relid, NoLock);
		obstructed = find_obstacle(rel, &shapes[i], &found);
		table_close(rel, AccessShareLock);
		if (obstructed)
			PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s: %s", found.message, found.hint)));
	}
	PG_RETURN_NULL();
}
