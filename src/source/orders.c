/*
 * orders.c
 *		Re-reading orders by their keys: each row of the mapping becomes a
 *		ledger line with its ids, numeric money and one time.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "source/part.h"
#include "source/restricted.h"
#include "source/result.h"
#include "source/spelling.h"

typedef struct OrderColumns
{
	ResultColumn		client,
				order,
				line,
				product,
				rep,
				at,
				quantity,
				amount,
				margin,
				kind;
} OrderColumns;

typedef struct OrderWork
{
	SourcePart *part;
	const char **keys;			/* as asked for, then as found */
	int			n_keys;
	MappedLine *lines;
	int			n_lines;
	int			n_clientless;
} OrderWork;

LinesRead	source_lines_read;

static OrderColumns
find_order_columns(void)
{
	OrderColumns c = {
		.client = result_column("client_key", true, WANTED_ANY),
		.order = result_column("order_key", true, WANTED_ANY),
		.line = result_column("line_key", false, WANTED_ANY),
		.product = result_column("product_key", false, WANTED_ANY),
		.rep = result_column("rep_key", false, WANTED_ANY),
		.at = result_column("ordered_at", true, WANTED_TIME),
		.quantity = result_column("quantity", true, WANTED_NUMBER),
		.amount = result_column("amount", true, WANTED_NUMBER),
		.margin = result_column("margin", false, WANTED_NUMBER),
		.kind = result_column("kind", false, WANTED_ANY)
	};

	return c;
}

static bool
is_return(const ResultRow *row, const ResultColumn *column, Numeric quantity)
{
	char	   *kind;

	if (result_is_null(row, column))
		return DatumGetBool(DirectFunctionCall2(numeric_lt, NumericGetDatum(quantity),
												NumericGetDatum(int64_to_numeric(0))));
	kind = result_text(row, column);
	if (strcmp(kind, "sale") == 0)
		return false;
	if (strcmp(kind, "return") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("kind is \"%s\", \"sale\" or \"return\" is expected", kind)));
}

/* The id of a key, and its text where the id does not tell it. */
static int64
identify(Source *source, KeyText *key, const char **text)
{
	if (source->namespace == 0 && key->is_integer)
	{
		*text = NULL;
		return key->integer;
	}
	*text = key_text(key);
	return key_identity(source->namespace, key);
}

/* Map one row; false when it is no counted line (no client). */
static bool
map_line(Source *source, const OrderColumns *c, const ResultRow *row, MappedLine *mapped)
{
	LedgerLine *line = &mapped->line;
	KeyText		key;

	memset(mapped, 0, sizeof(*mapped));
	if (!result_key(row, &c->client, &key))
		return false;
	line->client_id = line->named_id = identify(source, &key, &mapped->client_text);
	line->source_id = source->source_id;
	line->has_product = result_key(row, &c->product, &key);
	if (line->has_product)
		line->product_id = identify(source, &key, &mapped->product_text);
	line->has_rep = result_key(row, &c->rep, &key);
	if (line->has_rep)
		line->rep_id = identify(source, &key, &mapped->rep_text);
	line->ordered_at = result_time(source, row, &c->at, "ordered_at");
	line->quantity = result_numeric(row, &c->quantity, "quantity");
	line->amount = result_numeric(row, &c->amount, "amount");
	line->margin = result_numeric(row, &c->margin, "margin");
	if (line->quantity == NULL || line->amount == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s is NULL", line->quantity ? "amount" : "quantity"),
				 errhint("Leave such lines out of the mapping, or use coalesce.")));
	line->is_return = is_return(row, &c->kind, line->quantity);
	line->line_key = result_text(row, &c->line);
	return true;
}

/*
 * An order that the query gave under several keys is one, under the least of
 * them: the others have no lines, so that what is stored under them goes.
 */
static void
settle_spellings(Source *source, OrderWork *work, const Spellings *s)
{
	int		   *chosen = palloc(sizeof(int) * Max(s->n, 1));

	memset(chosen, -1, sizeof(int) * s->n);
	for (int i = 0; i < work->n_lines; i++)
	{
		int			k = work->lines[i].key_no;
		int		   *best = &chosen[s->same[k]];

		if (*best < 0 || strcmp(s->keys[k], s->keys[*best]) < 0)
			*best = k;
	}
	for (int i = 0; i < work->n_lines; i++)
	{
		int			best = chosen[s->same[work->lines[i].key_no]];

		if (best != work->lines[i].key_no)
		{
			work->lines[i].key_no = best;
			work->lines[i].line.order_id = key_identity(source->namespace, &(KeyText) {.text = s->keys[best]});
		}
	}
}

static int
key_number(Spellings *s, const char *key)
{
	int			number = spellings_find(s, key);

	if (number < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("the mapping's query returned key \"%s\", which was not asked for", key),
				 errhint("The query must filter on its key parameters.")));
	return number;
}

static void
read_orders(Source *source, void *arg, MemoryContext result_cxt)
{
	OrderWork  *work = arg;
	OrderColumns columns;
	Spellings  *spellings;
	MemoryContext spi_cxt;
	const char **asked;
	int			n_asked;
	ResultRow	row;
	int64		last_order = 0;
	bool		last_is_integer = false;
	TimestampTz last_at = DT_NOBEGIN;
	DateADT		last_day = 0;

	part_resolve(source, work->part);
	spi_cxt = MemoryContextSwitchTo(result_cxt);
	work->keys = spelling_own(work->part, work->keys, &work->n_keys);
	spellings = spellings_make(work->part, work->keys, work->n_keys, false);
	MemoryContextSwitchTo(spi_cxt);
	/* equal keys are asked for once: a query that joins them would give their lines twice */
	asked = spellings_firsts(spellings, &n_asked);
	part_execute(source, work->part, asked, n_asked);
	columns = find_order_columns();
	row = result_new_row();
	key_fix_settings();			/* the query is over: keys are rendered alike everywhere */
	MemoryContextSwitchTo(result_cxt);
	work->lines = MemoryContextAllocHuge(result_cxt, sizeof(MappedLine) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MappedLine *mapped = &work->lines[work->n_lines];
		KeyText		order;

		if (i % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		result_row(&row, i);
		/* without a time it is no sale yet */
		if (!result_key(&row, &columns.order, &order) || result_is_null(&row, &columns.at))
			continue;
		if (!map_line(source, &columns, &row, mapped))
		{
			work->n_clientless++;
			continue;
		}
		/* the lines of an order mostly come together */
		if (last_is_integer && order.is_integer && order.integer == last_order)
		{
			mapped->key_no = mapped[-1].key_no;
			mapped->line.order_id = mapped[-1].line.order_id;
		}
		else
		{
			mapped->key_no = key_number(spellings, key_text(&order));
			mapped->line.order_id = key_identity(source->namespace, &order);
			last_order = order.integer;
			last_is_integer = order.is_integer;
		}
		if (mapped->line.ordered_at != last_at)
		{
			last_at = mapped->line.ordered_at;
			last_day = result_day(source, last_at, "ordered_at");
		}
		mapped->line.ordered_on = last_day;
		work->n_lines++;
	}
	if (spellings->same)
		settle_spellings(source, work, spellings);
	work->keys = spellings->keys;
	work->n_keys = spellings->n;
}

/* The lines of the orders of some keys; the keys become the orders' own. */
ErrorData *
source_read_orders(Source *source, SourcePart *part, const char ***keys, int *n_keys,
				   MappedLine **lines, int *n_lines)
{
	OrderWork	work = {.part = part, .keys = *keys, .n_keys = *n_keys};
	ErrorData  *error = restricted_run(source, read_orders, &work);

	if (error == NULL)
	{
		*keys = work.keys;
		*n_keys = work.n_keys;
		source_lines_read.all += work.n_lines + work.n_clientless;
		source_lines_read.clientless += work.n_clientless;
	}
	*lines = work.lines;
	*n_lines = work.n_lines;
	return error;
}

