/*
 * trial.c
 *		The rights under which attach tries queries.
 *
 * attach is PL/pgSQL, which can change its role only by SET ROLE, and what
 * runs after that may set it back.  A query that is tried may call functions
 * of the tables' owner: it runs as the reading role in a security-restricted
 * operation, as the worker's reads do.  And how the calls refuse.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "compat.h"
#include "leftovers.h"

PG_FUNCTION_INFO_V1(agentcrm_attach_as);
PG_FUNCTION_INFO_V1(agentcrm_attach_over);
PG_FUNCTION_INFO_V1(agentcrm_attach_one);
PG_FUNCTION_INFO_V1(agentcrm_refuse);

/* A trial has passed its checks and not ended yet. */
static bool trial_began = false;

/*
 * agentcrm.attach_as(role): from here to the end of the subtransaction act as
 * the role, restricted.  Only the abort of the subtransaction brings the
 * caller's rights back, which is what a trial ends with.
 */
Datum
agentcrm_attach_as(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			role = get_role_oid(name, false);
	Oid			caller;
	int			context;

	if (!IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("agentcrm.attach_as can only be used in a subtransaction")));
	GetUserIdAndSecContext(&caller, &context);
	if (!compat_may_become(caller, role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be member of role \"%s\"", name)));
	leftovers_check();
	trial_began = true;
	SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	PG_RETURN_VOID();
}

/* agentcrm.attach_over(): the trial's subtransaction is gone; so is what it left besides. */
Datum
agentcrm_attach_over(PG_FUNCTION_ARGS)
{
	if (trial_began)
		leftovers_drop();
	trial_began = false;
	PG_RETURN_VOID();
}

/*
 * agentcrm.attach_one(statement): the statement, or an error where the text
 * holds several: what is prepared for a trial must not run anything yet.
 */
Datum
agentcrm_attach_one(PG_FUNCTION_ARGS)
{
	if (list_length(pg_parse_query(text_to_cstring(PG_GETARG_TEXT_PP(0)))) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("more than one statement")));
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/*
 * agentcrm.refuse(message, hint, state): an ERROR without context.  What found
 * it is a stack of functions the caller never heard of; the error's end, or
 * whoever catches it, sets the stack of callbacks anew.
 */
Datum
agentcrm_refuse(PG_FUNCTION_ARGS)
{
	const char *message = PG_ARGISNULL(0) ? "NULL" : text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *hint = PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *state = PG_ARGISNULL(2) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(2));
	const char *detail = PG_ARGISNULL(3) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(3));

	error_context_stack = NULL;
	ereport(ERROR,
			(errcode(strlen(state) == 5 ? MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]) : ERRCODE_INTERNAL_ERROR),
			 errmsg_internal("%s", message),
			 *detail ? errdetail_internal("%s", detail) : 0,
			 *hint ? errhint("%s", hint) : 0));
}
