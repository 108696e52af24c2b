/*
 * category.c
 *		Categories that a client leaves while it goes on ordering.
 *
 * Which of the client's last 64 orders held a category follows from its products'
 * bits; the chart and its thresholds are the model's.  Bids nothing.
 */
#include "postgres.h"

#include <math.h>

#include "agent/speak.h"

/* Sets the bits of a product in its category, which is added when new. */
static void
add_product(LostCategory *list, int *n, const ClientProduct *product, const ProductInfo *info, int n_orders)
{
	int			ago = n_orders - product->last_order_no;
	int			i = 0;

	while (i < *n && strcmp(list[i].category, info->category) != 0)
		i++;
	if (i == *n)
		list[(*n)++] = (LostCategory) {.category = info->category};
	if (ago < CHART_ORDERS)
		list[i].held |= product->held << ago;
	list[i].active |= info->active;
	list[i].products++;
}

/* Orders since the client's alarm about the category was settled last; all, if none was. */
static int
orders_armed(const ClientSnapshot *client, const char *category)
{
	int			orders = CHART_ORDERS;

	for (int i = 0; i < client->n_settled; i++)
		if (strcmp(client->settled[i].code, "lost_category") == 0 && strcmp(client->settled[i].category, category) == 0)
			orders = Min(orders, client->profile.n_orders - client->settled[i].n_orders);
	return orders;
}

/* Whether the category was in enough of the orders, and is more than one item; if the last order lacks it, how far that is chance. */
static bool
watch(const ClientSnapshot *client, const AgentCall *call, LostCategory *c)
{
	int			known = Min(client->profile.n_orders, CHART_ORDERS);
	int			bought = 0;

	for (uint64 held = c->held; held != 0; held &= held - 1)
		bought++;
	if (c->held == 0 || !c->active || c->products < 2 || bought < agent_count(call, "item_min_orders", 4))
		return false;
	while ((c->held >> c->missed & 1) == 0)
		c->missed++;
	c->usual = chart_part_share(c->held, known, c->missed);
	if (c->usual < agent_param(call, "category_min_rate", 0.25))
		return false;
	c->p = c->missed == 0 ? 1 : exp(-fmax(0, chart_part(c->held, known, orders_armed(client, c->category))));
	return true;
}

static int
compare_categories(const void *a, const void *b)
{
	const LostCategory *x = a;
	const LostCategory *y = b;

	if (x->p != y->p)
		return x->p < y->p ? -1 : 1;
	return strcmp(x->category, y->category);
}

/* What an order's part of the category came to: its active products in their usual quantities, at their last prices. */
static double
usual_value(const ClientSnapshot *client, const char *category)
{
	double		value = 0;

	for (int i = 0; i < client->n_products; i++)
	{
		const ClientProduct *product = &client->products[i];
		const ProductInfo *info = profile_product(product->product_id);
		Numeric		quantity;

		if (info == NULL || !info->active || info->category == NULL || strcmp(info->category, category) != 0 ||
			product->last_price == NULL || (quantity = basket_quantity(product, info)) == NULL)
			continue;
		value += repeat_rate(product->rate_slow, 0, product->last_order_no) *
			profile_money(product->last_price) * profile_money(quantity);
	}
	return value;
}

/* The categories that the client has left, least likely by chance first; of those watched as many as the list bears. */
int
retention_lost_categories(const ClientSnapshot *client, const AgentCall *call, double level, LostCategory **found)
{
	LostCategory *list = palloc(sizeof(LostCategory) * Max(client->n_products, 1));
	double	   *p;
	int			n = 0;
	int			watched = 0;

	for (int i = 0; i < client->n_products; i++)
	{
		const ProductInfo *info = profile_product(client->products[i].product_id);

		if (info != NULL && info->category != NULL)
			add_product(list, &n, &client->products[i], info, client->profile.n_orders);
	}
	for (int i = 0; i < n; i++)
		if (watch(client, call, &list[i]))
			list[watched++] = list[i];
	qsort(list, watched, sizeof(LostCategory), compare_categories);
	p = palloc(sizeof(double) * Max(watched, 1));
	for (int i = 0; i < watched; i++)
		p[i] = list[i].p;
	*found = list;
	n = chart_discoveries(p, watched, watched, level);
	for (int i = 0; i < n; i++)
		list[i].value = usual_value(client, list[i].category);
	return n;
}
