/*
 * check.c
 *		What the plan relies on in a bid, whoever made it.
 *
 * A bid that makes no sense is an error of its agent; the guard drops all that
 * the agent bid in this call.
 */
#include "postgres.h"

#include <math.h>

#include "utils/numeric.h"

#include "agent/registry.h"

/* Errors out, in the name of the agent being called, unless ok. */
void
bid_require(bool ok, int64 client_id, const char *what)
{
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("proposal for client " INT64_FORMAT " is invalid: %s", client_id, what)));
}

static bool
known_action(const char *action)
{
	static const char *const actions[] = {"call", "visit", "message", "programme", "order_suggestion", "check"};

	for (int i = 0; action != NULL && i < (int) lengthof(actions); i++)
		if (strcmp(actions[i], action) == 0)
			return true;
	return false;
}

static bool
is_finite(Numeric number)
{
	return !numeric_is_nan(number) && !numeric_is_inf(number);
}

/* Refuse a bid that the plan could not reckon with. */
void
bid_check(const Bid *bid)
{
	int64		id = bid->client_id;

	if (bid->kind != BID_BID)
		return;
	bid_require(known_action(bid->action), id, "action must be call, visit, message, programme, order_suggestion or check");
	bid_require(!DATE_NOT_FINITE(bid->demand_from) && !DATE_NOT_FINITE(bid->demand_to) && bid->demand_from < bid->demand_to,
				id, "demand_from must lie before demand_to, and neither be infinite");
	bid_require(isfinite(bid->margin), id, "margin is missing or not finite");
	bid_require(isfinite(bid->cost) && bid->cost >= 0, id, "cost must be finite and not negative");
	bid_require(isfinite(bid->minutes) && bid->minutes >= 0, id, "rep_minutes in uses must be finite and not negative");
	bid_require(isfinite(bid->budget) && bid->budget >= 0, id, "budget in uses must be finite and not negative");
	bid_require(!(bid->p_claim > 1) && !isnan(bid->p_claim), id, "p_claim must lie between 0 and 1");
	bid_require(bid->quantity == NULL || is_finite(bid->quantity), id, "quantity is not finite");
	bid_require(!TIMESTAMP_NOT_FINITE(bid->valid_until), id, "valid_until must be finite");
	bid_require(bid->reason_code != NULL && bid->reason != NULL, id, "reason_code or reason is missing");
	bid_require(bid->evidence != NULL && JB_ROOT_IS_OBJECT(bid->evidence), id, "evidence must be a jsonb object");
}
