/*
 * basket.c
 *		The usual basket of a client: products by level 0, with quantities.
 *
 * Counts only what the client has bought; what else might be offered is
 * another agent's business.
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "agent/speak.h"
#include "json.h"

/* Weight of a quantity per purchase that came after it. */
#define QUANTITY_DECAY 0.8

static int
compare_numeric(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static bool
is_positive(Numeric n)
{
	return n != NULL && !numeric_is_nan(n) && compare_numeric(n, int64_to_numeric(0)) > 0;
}

/* The recency-weighted mode; of equal weights the more recent quantity. NULL when none is positive. */
static Numeric
usual_quantity(const ClientProduct *product)
{
	Numeric		best = NULL;
	double		best_weight = 0;

	for (int i = product->n_quantities - 1; i >= 0; i--)
	{
		double		weight = 0;

		if (!is_positive(product->quantities[i]))
			continue;
		for (int j = 0; j < product->n_quantities; j++)
			if (compare_numeric(product->quantities[i], product->quantities[j]) == 0)
				weight += decay_pow(QUANTITY_DECAY, product->n_quantities - 1 - j);
		if (weight > best_weight)
		{
			best = product->quantities[i];
			best_weight = weight;
		}
	}
	return best;
}

/* The usual quantity, at least the minimum, in whole packs; NULL when there is none. */
Numeric
basket_quantity(const ClientProduct *product, const ProductInfo *info)
{
	Numeric		q = usual_quantity(product);

	if (q == NULL || info == NULL)
		return q;
	if (is_positive(info->min_order_qty) && compare_numeric(q, info->min_order_qty) < 0)
		q = info->min_order_qty;
	if (is_positive(info->pack_qty))
	{
		Datum		pack = NumericGetDatum(info->pack_qty);
		Datum		rest = DirectFunctionCall2(numeric_mod, NumericGetDatum(q), pack);

		if (is_positive(DatumGetNumeric(rest)))
			q = DatumGetNumeric(DirectFunctionCall2(numeric_add,
													DirectFunctionCall2(numeric_sub, NumericGetDatum(q), rest),
													pack));
	}
	return q;
}

/* More probable first, ties by product. */
static bool
line_before(const BasketLine *a, const BasketLine *b)
{
	if (a->p != b->p)
		return a->p > b->p;
	return a->product->product_id < b->product->product_id;
}

/* The most probable active products of the next order, probability above floor; lines has room for "most". */
int
basket_usual(const ClientSnapshot *client, int most, double floor, BasketLine *lines)
{
	int			n = 0;

	for (int i = 0; i < client->n_products; i++)
	{
		BasketLine	line = {.product = &client->products[i]};
		int			at;

		line.info = profile_product(line.product->product_id);
		if (line.info == NULL || !line.info->active)
			continue;
		line.p = profile_inclusion(client, line.product);
		if (line.p < floor || (n == most && !line_before(&line, &lines[n - 1])))
			continue;
		line.quantity = basket_quantity(line.product, line.info);
		if (line.quantity == NULL)
			continue;
		at = n < most ? n++ : n - 1;
		for (; at > 0 && line_before(&line, &lines[at - 1]); at--)
			lines[at] = lines[at - 1];
		lines[at] = line;
	}
	return n;
}

/* See agent.h. */
int
agent_due_items(const ClientSnapshot *client, int most, int64 *product_ids)
{
	BasketLine *lines = palloc(sizeof(BasketLine) * most);
	int			n = basket_usual(client, most, 0, lines);

	for (int i = 0; i < n; i++)
		product_ids[i] = lines[i].product->product_id;
	pfree(lines);
	return n;
}

/* Array of {product_id, name, quantity, p}. */
Jsonb *
basket_json(const BasketLine *lines, int n)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;

	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		json_numeric(&state, "product_id", int64_to_numeric(lines[i].product->product_id));
		json_text(&state, "name", lines[i].info->name);
		json_numeric(&state, "quantity", lines[i].quantity);
		json_number(&state, "p", rint(lines[i].p * 1000) / 1000);
		(void) pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	result = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(result);
}

/* "Chai x 10, Chang x 24 and 3 more" */
const char *
basket_words(const BasketLine *lines, int n)
{
	StringInfoData words;
	int			named = Min(n, 3);

	initStringInfo(&words);
	for (int i = 0; i < named; i++)
	{
		const char *quantity = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(lines[i].quantity)));

		if (lines[i].info->name != NULL)
			appendStringInfo(&words, "%s%s x %s", i > 0 ? ", " : "", lines[i].info->name, quantity);
		else
			appendStringInfo(&words, "%sproduct " INT64_FORMAT " x %s", i > 0 ? ", " : "",
							 lines[i].product->product_id, quantity);
	}
	if (n > named)
		appendStringInfo(&words, " and %d more", n - named);
	return words.data;
}
