/*
 * history.c
 *		What happened: the orders of clients, as known in hindsight.
 *
 * An order is what the fold takes for one: a document with a sale line.  Knows
 * no forecast.
 */
#include "postgres.h"

#include "replay/replay.h"

/* A stop is known in hindsight by a silence of so many times the longest gap, after so many gaps, and so many days. */
#define STOP_GAPS 3
#define STOP_FACTOR 3
#define STOP_DAYS 60

typedef struct Reader
{
	const int64 *client_ids;
	int			n;
	int			at;
	History    *histories;
	/* the document being read */
	int32		source_id;
	int64		order_id;
	bool		counted;
} Reader;

static void
add_order(History *h, const LedgerLine *line)
{
	if (h->n_orders == h->max_orders)
	{
		h->max_orders = Max(8, h->max_orders * 2);
		h->orders = h->orders ? repalloc_huge(h->orders, sizeof(Purchase) * h->max_orders) :
			palloc(sizeof(Purchase) * h->max_orders);
	}
	h->orders[h->n_orders++] = (Purchase)
	{
		.at = line->ordered_at, .day = line->ordered_on, .first_product = h->n_products
	};
}

static void
add_product(History *h, int64 product_id)
{
	if (history_holds(h, h->n_orders - 1, product_id))
		return;
	if (h->n_products == h->max_products)
	{
		h->max_products = Max(32, h->max_products * 2);
		h->products = h->products ? repalloc_huge(h->products, sizeof(int64) * h->max_products) :
			palloc(sizeof(int64) * h->max_products);
	}
	h->products[h->n_products++] = product_id;
	h->orders[h->n_orders - 1].n_products++;
}

static void
take_line(const LedgerLine *line, void *arg)
{
	Reader	   *r = arg;
	History    *h;
	bool		same = r->client_ids[r->at] == line->client_id && r->source_id == line->source_id &&
		r->order_id == line->order_id;

	while (r->client_ids[r->at] != line->client_id)
		r->at++;
	h = &r->histories[r->at];
	r->source_id = line->source_id;
	r->order_id = line->order_id;
	r->counted = r->counted && same;
	if (line->is_return)
		return;
	if (!r->counted)
		add_order(h, line);
	r->counted = true;
	if (line->has_product)
		add_product(h, line->product_id);
}

/* The orders of some clients that a view shows, in the order given. */
History *
history_read(const int64 *client_ids, int n, const LedgerView *view)
{
	Reader		reader = {.client_ids = client_ids, .n = n};

	reader.histories = palloc0(sizeof(History) * Max(n, 1));
	if (n > 0)
		ledger_scan_clients(client_ids, n, view, take_line, &reader);
	return reader.histories;
}

/* The first order after a moment; n_orders when there is none. */
int
history_after(const History *history, TimestampTz at)
{
	int			i = history->n_orders;

	while (i > 0 && history->orders[i - 1].at > at)
		i--;
	return i;
}

/* Distinct days of the orders from one up to, not including, another. */
int
history_days(const History *history, int from, int to)
{
	int			days = 0;

	for (int i = from; i < to; i++)
		days += i == from || history->orders[i].day != history->orders[i - 1].day;
	return days;
}

/* Whether an order holds a product. */
bool
history_holds(const History *history, int order, int64 product_id)
{
	const Purchase *p = &history->orders[order];

	for (int i = 0; i < p->n_products; i++)
		if (history->products[p->first_product + i] == product_id)
			return true;
	return false;
}

/* Whether the client had plainly stopped by a day. */
bool
history_stopped(const History *history, DateADT end)
{
	int			gaps = 0;
	int			longest = 0;

	for (int i = 1; i < history->n_orders; i++)
	{
		int			gap = history->orders[i].day - history->orders[i - 1].day;

		gaps += gap > 0;
		longest = Max(longest, gap);
	}
	return gaps >= STOP_GAPS &&
		end - history->orders[history->n_orders - 1].day >= Max(STOP_DAYS, (int64) STOP_FACTOR * longest);
}
