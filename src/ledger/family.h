/*
 * family.h
 *		Who stands for whom, inside the ledger: replacements and parents.
 */
#ifndef AGENTCRM_FAMILY_H
#define AGENTCRM_FAMILY_H

#include "ledger/ledger.h"

/*
 * CTEs of a recursive statement; "ends" has client_id, survivor (NULL: not
 * merged), path and circular.  From the clients that "start" selects down to
 * all who lead to them, and from each of these up to the end of its chain.
 * Who replaces himself by a detour is not merged; who leads into such a circle
 * is merged into the first of it that he meets.  So the result follows from the
 * replacements alone, whatever the order in which they came.
 */
#define FAMILY_SURVIVORS(start) \
"down(client_id) AS (" start \
"  UNION SELECT c.client_id FROM down d JOIN agentcrm.client c ON c.replaced_by_client_id = d.client_id)," \
" up(client_id, top, path, circle) AS (" \
"  SELECT client_id, client_id, ARRAY[client_id], false FROM down" \
"  UNION ALL SELECT u.client_id, c.replaced_by_client_id, u.path || c.replaced_by_client_id, c.replaced_by_client_id = ANY (u.path)" \
"   FROM up u JOIN agentcrm.client c ON c.client_id = u.top WHERE NOT u.circle AND c.replaced_by_client_id IS NOT NULL)," \
" ends AS (SELECT DISTINCT ON (client_id) client_id, nullif(top, client_id) AS survivor, path, circle AND top = client_id AS circular" \
"   FROM up ORDER BY client_id, cardinality(path) DESC)"

/* Find the survivors of clients whose replacement may have changed, and of all who lead to them; adds who moves. */
extern void family_update_survivors(const int64 *clients, int n, ClientMoves *moves);

/* Clients that orders have made known may be the parents of others. */
extern void family_welcome(const int64 *clients, int n);

#endif
