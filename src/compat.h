/*
 * compat.h
 *		The only place that looks at PG_VERSION_NUM.
 *
 * The code is written against PostgreSQL 15; what later releases renamed or
 * changed is bridged here.  Nothing but version differences belongs here.
 */
#ifndef AGENTCRM_COMPAT_H
#define AGENTCRM_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "agentcrm needs PostgreSQL 15 or later"
#endif

/* DecodeDateTime got an argument for details of errors, GUC extras an allocator of their own. */
#if PG_VERSION_NUM < 160000
#define compat_decode_datetime(fields, types, n, kind, tm, fsec, tz) \
	DecodeDateTime(fields, types, n, kind, tm, fsec, tz)
#define compat_guc_malloc(size) malloc(size)
#define compat_guc_free(pointer) free(pointer)
#else
#define compat_decode_datetime(fields, types, n, kind, tm, fsec, tz) \
	DecodeDateTime(fields, types, n, kind, tm, fsec, tz, &(DateTimeErrorExtra) {0})
#define compat_guc_malloc(size) guc_malloc(LOG, size)
#define compat_guc_free(pointer) guc_free(pointer)
#endif

#if PG_VERSION_NUM < 160000
#define RelationSetNewRelfilenumber RelationSetNewRelfilenode
#endif

/* What a name of a join stands for; the planner's state, which a view's query has none of, came first in 16. */
#if PG_VERSION_NUM >= 160000
#define compat_flatten_join_alias_vars(query, node) flatten_join_alias_vars(NULL, query, node)
#else
#define compat_flatten_join_alias_vars(query, node) flatten_join_alias_vars(query, node)
#endif

/* May the role execute the function? */
#if PG_VERSION_NUM >= 160000
#define compat_function_aclcheck(function, role) object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE)
#else
#define compat_function_aclcheck(function, role) pg_proc_aclcheck(function, role, ACL_EXECUTE)
#endif

/* May the role connect to the database? */
#if PG_VERSION_NUM >= 160000
#define compat_database_aclcheck(database, role) object_aclcheck(DatabaseRelationId, database, role, ACL_CONNECT)
#else
#define compat_database_aclcheck(database, role) pg_database_aclcheck(database, role, ACL_CONNECT)
#endif

/* Soft errors came with 16. */
#if PG_VERSION_NUM >= 160000
#define compat_qualified_name(text) stringToQualifiedNameList(text, NULL)
#else
#define compat_qualified_name(text) stringToQualifiedNameList(text)
#endif

/* May a role SET ROLE to another?  Membership stopped implying it in 16. */
#if PG_VERSION_NUM >= 160000
#define compat_may_become(member, role) member_can_set_role(member, role)
#else
#define compat_may_become(member, role) is_member_of_role(member, role)
#endif

/* Take a lock without waiting, and say where it is; whether to log a refusal came with 18. */
#if PG_VERSION_NUM >= 180000
#define compat_lock_if_free(tag, mode, local) LockAcquireExtended(tag, mode, false, true, true, local, false)
#else
#define compat_lock_if_free(tag, mode, local) LockAcquireExtended(tag, mode, false, true, true, local)
#endif

/* An update says which indexes it asks for since 16, when summarizing ones stopped forbidding heap-only updates. */
#if PG_VERSION_NUM >= 160000
#define compat_heap_update(rel, tid, tuple, which) simple_heap_update(rel, tid, tuple, which)
#define compat_is_left_out(info, which) ((which) == TU_Summarizing && !(info)->ii_Summarizing)
#else
typedef enum TU_UpdateIndexes
{
	TU_None,
	TU_All
} TU_UpdateIndexes;
#define compat_heap_update(rel, tid, tuple, which) \
	(simple_heap_update(rel, tid, tuple), *(which) = HeapTupleIsHeapOnly(tuple) ? TU_None : TU_All)
#define compat_is_left_out(info, which) false
#endif

#endif							/* AGENTCRM_COMPAT_H */
