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

#define COUNTED \
	"(SELECT product_id, date_trunc('month', ordered_on::timestamp)::date AS month," \
	"	count(DISTINCT (client_id, source_id, order_id))::int AS n" \
	" FROM agentcrm.ledger WHERE kind = 'sale' AND product_id IS NOT NULL GROUP BY 1, 2" \
	" UNION ALL SELECT product_id, '-infinity', count(*)::int FROM agentcrm.client_product GROUP BY 1)"

static const char *const statements[] = {
	"DELETE FROM agentcrm.product_delta",

	"DELETE FROM agentcrm.product_count c WHERE (c.product_id, c.month) NOT IN"
	" (SELECT t.product_id, t.month FROM " COUNTED " AS t)",

	"INSERT INTO agentcrm.product_count AS c (product_id, month, n)"
	" SELECT t.product_id, t.month, t.n FROM " COUNTED " AS t"
	" ON CONFLICT (product_id, month) DO UPDATE SET n = excluded.n WHERE c.n <> excluded.n",
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
