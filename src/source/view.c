/*
 * view.c
 *		The tables below a view, and their columns that hold what key columns of
 *		the view hold: where triggers can stand in for the view.
 *
 * A column is known when the view's key is that column, or an equality of a
 * join or of WHERE leads from the key to it.  An equality of an outer join holds
 * for rows of its inner side only, so it is followed in that direction alone.
 * What is not known is said to be so, and the view is polled.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "source/key.h"

PG_FUNCTION_INFO_V1(agentcrm_view_tables);

/* Two columns that are equal in the rows that count; from b nothing leads back to a where oneway. */
typedef struct Equality
{
	Var		   *a;
	Var		   *b;
	bool		oneway;
} Equality;

typedef struct ViewWalk
{
	Query	   *query;
	List	   *equalities;
} ViewWalk;

static void find_tables(ReturnSetInfo *result, Query *query, Oid view, const AttrNumber *key, int n_key);

static void
put_table(ReturnSetInfo *result, Oid relid, const AttrNumber *columns, int n)
{
	Datum		values[2] = {ObjectIdGetDatum(relid), 0};
	bool		isnull[2] = {false, columns == NULL};
	Datum		names[KEY_MAX_COLUMNS];

	for (int i = 0; columns && i < n; i++)
		names[i] = CStringGetTextDatum(get_attname(relid, columns[i], false));
	if (columns)
		values[1] = PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* The column that an expression is; NULL: it is more than a column. */
static Var *
as_column(Query *query, Node *node)
{
	node = compat_flatten_join_alias_vars(query, node);
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node == NULL || !IsA(node, Var) || ((Var *) node)->varlevelsup > 0 || ((Var *) node)->varattno <= 0)
		return NULL;
	return (Var *) node;
}

/* Note the equalities of a condition; those of an outer join lead to its inner side. */
static void
add_equalities(ViewWalk *walk, Node *condition, bool outer, Bitmapset *inner)
{
	OpExpr	   *op = (OpExpr *) condition;
	Equality   *equality;
	Var		   *a;
	Var		   *b;

	if (condition == NULL)
		return;
	if (IsA(condition, List) || is_andclause(condition))
	{
		List	   *list = IsA(condition, List) ? (List *) condition : ((BoolExpr *) condition)->args;
		ListCell   *cell;

		foreach(cell, list)
			add_equalities(walk, lfirst(cell), outer, inner);
		return;
	}
	if (!IsA(condition, OpExpr) || list_length(op->args) != 2 ||
		!op_mergejoinable(op->opno, exprType(linitial(op->args))))
		return;
	a = as_column(walk->query, linitial(op->args));
	b = as_column(walk->query, lsecond(op->args));
	if (a == NULL || b == NULL)
		return;
	if (outer && bms_is_member(a->varno, inner) == bms_is_member(b->varno, inner))
		return;
	equality = palloc(sizeof(Equality));
	equality->a = outer && bms_is_member(a->varno, inner) ? b : a;
	equality->b = equality->a == a ? b : a;
	equality->oneway = outer;
	walk->equalities = lappend(walk->equalities, equality);
}

/* Relations below a node of the join tree. */
static Bitmapset *
walk_joins(ViewWalk *walk, Node *node)
{
	Bitmapset  *relids = NULL;
	ListCell   *cell;

	check_stack_depth();
	if (IsA(node, RangeTblRef))
		return bms_make_singleton(((RangeTblRef *) node)->rtindex);
	if (IsA(node, FromExpr))
	{
		foreach(cell, ((FromExpr *) node)->fromlist)
			relids = bms_join(relids, walk_joins(walk, lfirst(cell)));
		add_equalities(walk, ((FromExpr *) node)->quals, false, NULL);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		Bitmapset  *left = walk_joins(walk, join->larg);
		Bitmapset  *right = walk_joins(walk, join->rarg);

		if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT || join->jointype == JOIN_RIGHT)
			add_equalities(walk, join->quals, join->jointype != JOIN_INNER, join->jointype == JOIN_RIGHT ? left : right);
		relids = bms_union(left, right);
	}
	return relids;
}

/* Columns that hold what a column does, itself among them. */
static List *
equal_columns(ViewWalk *walk, Var *column)
{
	List	   *found = list_make1(column);
	ListCell   *cell;

	foreach(cell, found)
	{
		Var		   *known = lfirst(cell);
		ListCell   *e;

		foreach(e, walk->equalities)
		{
			Equality   *equality = lfirst(e);
			Var		   *other = NULL;
			ListCell   *f;

			if (equality->a->varno == known->varno && equality->a->varattno == known->varattno)
				other = equality->b;
			else if (!equality->oneway && equality->b->varno == known->varno && equality->b->varattno == known->varattno)
				other = equality->a;
			foreach(f, found)
				if (other && ((Var *) lfirst(f))->varno == other->varno && ((Var *) lfirst(f))->varattno == other->varattno)
					other = NULL;
			if (other)
				found = lappend(found, other);
		}
	}
	return found;
}

/* Rows of such a query depend on other rows than those they come from. */
static bool
is_too_much(Query *query)
{
	return query->commandType != CMD_SELECT || query->hasWindowFuncs || query->hasTargetSRFs || query->setOperations ||
		query->cteList || query->limitCount || query->limitOffset || query->groupingSets || query->distinctClause;
}

/* The key's columns in one relation of the join; false when one is not known. */
static bool
key_in_relation(List *const *columns, int n_key, int rtindex, AttrNumber *key)
{
	for (int i = 0; i < n_key; i++)
	{
		ListCell   *cell;

		key[i] = InvalidAttrNumber;
		foreach(cell, columns[i])
			if (((Var *) lfirst(cell))->varno == rtindex)
			{
				key[i] = ((Var *) lfirst(cell))->varattno;
				break;
			}
		if (key[i] == InvalidAttrNumber)
			return false;
	}
	return true;
}

static void
find_in_view(ReturnSetInfo *result, Oid view, const AttrNumber *key, int n_key)
{
	Relation	rel = table_open(view, AccessShareLock);

	find_tables(result, copyObject(get_view_query(rel)), view, key, n_key);
	table_close(rel, AccessShareLock);
}

/* Report the tables of a query, with their columns of the key where these are known. */
static void
find_tables(ReturnSetInfo *result, Query *query, Oid view, const AttrNumber *key, int n_key)
{
	ViewWalk	walk = {.query = query};
	List	   *columns[KEY_MAX_COLUMNS];
	bool		known = !is_too_much(query);
	int			rtindex = 0;
	ListCell   *cell;

	check_stack_depth();
	for (int i = 0; known && i < n_key; i++)
	{
		TargetEntry *entry = get_tle_by_resno(query->targetList, key[i]);
		Var		   *column = entry ? as_column(query, (Node *) entry->expr) : NULL;

		if (i == 0)
			walk_joins(&walk, (Node *) query->jointree);
		known = column != NULL;
		columns[i] = known ? equal_columns(&walk, column) : NIL;
	}
	if (!known || query->hasSubLinks)
		put_table(result, view, NULL, 0);
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);
		AttrNumber	here[KEY_MAX_COLUMNS];
		bool		has_key;

		rtindex++;
		/* what the view itself and its rules are called is no table of it */
		if (!known || !rte->inFromCl || rte->rtekind == RTE_JOIN)
			continue;
		has_key = key_in_relation(columns, n_key, rtindex, here);
		if (rte->rtekind == RTE_SUBQUERY && has_key)
			find_tables(result, copyObject(rte->subquery), view, here, n_key);
		else if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW && has_key)
			find_in_view(result, rte->relid, here, n_key);
		else if (rte->rtekind == RTE_RELATION)
			put_table(result, rte->relid, has_key ? here : NULL, n_key);
		else if (rte->rtekind != RTE_VALUES && rte->rtekind != RTE_RESULT)
			put_table(result, view, NULL, 0);
	}
}

/* agentcrm.view_tables(view, key): tables below a view, and their columns that hold its key; NULL: not known. */
Datum
agentcrm_view_tables(PG_FUNCTION_ARGS)
{
	Oid			view = PG_GETARG_OID(0);
	ArrayType  *names = PG_GETARG_ARRAYTYPE_P(1);
	AttrNumber	key[KEY_MAX_COLUMNS];
	Datum	   *elems;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &elems, NULL, &n);
	if (n < 1 || n > KEY_MAX_COLUMNS || get_rel_relkind(view) != RELKIND_VIEW)
		elog(ERROR, "relation %u is no view, or its key has %d columns", view, n);
	for (int i = 0; i < n; i++)
		key[i] = get_attnum(view, TextDatumGetCString(elems[i]));
	find_in_view((ReturnSetInfo *) fcinfo->resultinfo, view, key, n);
	return (Datum) 0;
}
