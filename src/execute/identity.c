/*
 * identity.c
 *		Recommendations of clients that are merged or renamed.
 *
 * A merge moves no row, so that it can be taken back: what is read for a client
 * is read for those merged into it, too (standing.c).
 */
#include "postgres.h"


#include "execute/life.h"

/* See execute.h. */
void
execute_merge(int64 client_id, int64 survivor_id, TimestampTz as_of)
{
	Standing   *standings;
	int			n = standing_only(&client_id, 1, &standings);
	const Standing **open = palloc(sizeof(Standing *) * Max(n, 1));
	int			n_open = 0;

	for (int i = 0; i < n; i++)
		if (!standings[i].communicated)
			open[n_open++] = &standings[i];
	execute_withdraw(open, n_open, psprintf("client merged into client %lld", (long long) survivor_id), as_of);
}

/* See execute.h. */
void
execute_rename(int64 old_id, int64 new_id)
{
	static const char *const sql[] = {
		/* the same demand cannot stand twice; what stays behind is read with the rest */
		"UPDATE agentcrm.recommendation o SET client_id = $2 WHERE o.client_id = $1 AND NOT EXISTS (SELECT FROM agentcrm.recommendation n"
		" WHERE n.client_id = $2 AND n.action = o.action AND n.demand_category = o.demand_category"
		" AND n.status = ANY ('{open,shown,agreed,snoozed}') AND o.status = ANY ('{open,shown,agreed,snoozed}'))",
		"UPDATE agentcrm.bid b SET client_id = $2 WHERE b.client_id = $1 AND NOT EXISTS (SELECT FROM agentcrm.recommendation r"
		" WHERE r.client_id = $1 AND r.as_of = b.as_of)",
		"UPDATE agentcrm.feedback f SET client_id = $2 WHERE f.client_id = $1 AND NOT EXISTS (SELECT FROM agentcrm.recommendation r"
		" WHERE r.client_id = $1 AND r.recommendation_id = f.recommendation_id)",
		"UPDATE agentcrm.resource_use SET client_id = $2 WHERE client_id = $1"
	};
	ledger_rename_rows(sql, lengthof(sql), old_id, new_id);
}
