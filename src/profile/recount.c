/*
 * recount.c
 *		Product counters counted anew, when the ledger was found to have been
 *		changed behind the profiles' back.
 *
 * One pass over the ledger; rows that agree are not written.
 */
#include "postgres.h"

#include "executor/spi.h"

#include "profile/profile.h"

static const char *const statements[] = {
	"DELETE FROM agentcrm.product_month m WHERE NOT EXISTS (SELECT FROM agentcrm.ledger l WHERE l.product_id = m.product_id"
	" AND l.kind = 'sale' AND date_trunc('month', l.ordered_on::timestamp)::date = m.month)",

	"INSERT INTO agentcrm.product_month AS m (product_id, month, orders)"
	" SELECT product_id, date_trunc('month', ordered_on::timestamp)::date, count(DISTINCT (client_id, source_id, order_id))"
	" FROM agentcrm.ledger WHERE kind = 'sale' AND product_id IS NOT NULL GROUP BY 1, 2"
	" ON CONFLICT (product_id, month) DO UPDATE SET orders = excluded.orders WHERE m.orders <> excluded.orders",

	"DELETE FROM agentcrm.product_profile p WHERE NOT EXISTS (SELECT FROM agentcrm.product_month m WHERE m.product_id = p.product_id)",

	"INSERT INTO agentcrm.product_profile AS p (product_id, buyers, orders)"
	" SELECT product_id, coalesce(buyers, 0), orders"
	" FROM (SELECT product_id, sum(orders)::bigint AS orders FROM agentcrm.product_month GROUP BY 1) AS m"
	" LEFT JOIN (SELECT product_id, count(*) AS buyers FROM agentcrm.client_product GROUP BY 1) AS b USING (product_id)"
	" ON CONFLICT (product_id) DO UPDATE SET buyers = excluded.buyers, orders = excluded.orders"
	" WHERE (p.buyers, p.orders) IS DISTINCT FROM (excluded.buyers, excluded.orders)",
};

/* See profile.h. */
void
profile_recount(void)
{
	SPI_connect();
	for (int i = 0; i < (int) lengthof(statements); i++)
		SPI_execute(statements[i], false, 0);
	SPI_finish();
}
