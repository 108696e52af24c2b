/*
 * row.c
 *		Ledger rows as structs: from tuples, to tuples, in order, as text.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

#include "ledger/row.h"

/* Read a row of the ledger, or of its history, which has one more column; varlena values are copied into the current context. */
void
ledger_row_read(HeapTuple tuple, TupleDesc desc, LedgerLine *line)
{
	Datum		values[LEDGER_COLUMNS + 1];
	bool		isnull[LEDGER_COLUMNS + 1];

	heap_deform_tuple(tuple, desc, values, isnull);
	memset(line, 0, sizeof(*line));
	line->client_id = DatumGetInt64(values[0]);
	line->order_id = DatumGetInt64(values[1]);
	line->ordered_at = DatumGetTimestampTz(values[2]);
	line->has_product = !isnull[4];
	if (!isnull[4])
		line->product_id = DatumGetInt64(values[4]);
	line->has_rep = !isnull[5];
	if (!isnull[5])
		line->rep_id = DatumGetInt64(values[5]);
	line->source_id = DatumGetInt32(values[6]);
	line->line_no = DatumGetInt32(values[7]);
	line->ordered_on = DatumGetDateADT(values[8]);
	line->archived = DatumGetBool(values[9]);
	line->is_return = VARDATA_ANY(DatumGetPointer(values[10]))[0] == 'r';
	line->quantity = DatumGetNumericCopy(values[11]);
	line->amount = DatumGetNumericCopy(values[12]);
	line->margin = isnull[13] ? NULL : DatumGetNumericCopy(values[13]);
	line->line_key = isnull[14] ? NULL : TextDatumGetCString(values[14]);
	line->named_id = isnull[15] ? line->client_id : DatumGetInt64(values[15]);
}

/* The columns of a ledger row. */
void
ledger_row_form(const LedgerLine *line, TimestampTz recorded_at, Datum *values, bool *isnull)
{
	memset(isnull, 0, sizeof(bool) * LEDGER_COLUMNS);
	values[0] = Int64GetDatum(line->client_id);
	values[1] = Int64GetDatum(line->order_id);
	values[2] = TimestampTzGetDatum(line->ordered_at);
	values[3] = TimestampTzGetDatum(recorded_at);
	values[4] = Int64GetDatum(line->product_id);
	isnull[4] = !line->has_product;
	values[5] = Int64GetDatum(line->rep_id);
	isnull[5] = !line->has_rep;
	values[6] = Int32GetDatum(line->source_id);
	values[7] = Int32GetDatum(line->line_no);
	values[8] = DateADTGetDatum(line->ordered_on);
	values[9] = BoolGetDatum(line->archived);
	values[10] = CStringGetTextDatum(line->is_return ? "return" : "sale");
	values[11] = NumericGetDatum(line->quantity);
	values[12] = NumericGetDatum(line->amount);
	values[13] = line->margin ? NumericGetDatum(line->margin) : (Datum) 0;
	isnull[13] = line->margin == NULL;
	values[14] = line->line_key ? CStringGetTextDatum(line->line_key) : (Datum) 0;
	isnull[14] = line->line_key == NULL;
	values[15] = Int64GetDatum(line->named_id);
	isnull[15] = line->named_id == line->client_id;
}

static int
compare_int64(int64 a, int64 b)
{
	return (a > b) - (a < b);
}

/* Numerics by their image: a change of scale is a change. */
static int
compare_numeric(Numeric a, Numeric b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	if (VARSIZE_ANY(a) != VARSIZE_ANY(b))
		return VARSIZE_ANY(a) < VARSIZE_ANY(b) ? -1 : 1;
	return memcmp(a, b, VARSIZE_ANY(a));
}

/* Order lines of one document by content; 0 when a re-read would not replace the one by the other. */
int
ledger_line_compare(const LedgerLine *a, const LedgerLine *b)
{
	int			c;

	if ((c = compare_int64(a->client_id, b->client_id)) != 0 ||
		(c = compare_int64(a->named_id, b->named_id)) != 0 ||
		(c = compare_int64(a->ordered_at, b->ordered_at)) != 0 ||
		(c = a->ordered_on - b->ordered_on) != 0 ||
		(c = a->has_product - b->has_product) != 0 ||
		(c = compare_int64(a->product_id, b->product_id)) != 0 ||
		(c = a->has_rep - b->has_rep) != 0 ||
		(c = compare_int64(a->rep_id, b->rep_id)) != 0 ||
		(c = a->is_return - b->is_return) != 0 ||
		(c = compare_numeric(a->quantity, b->quantity)) != 0 ||
		(c = compare_numeric(a->amount, b->amount)) != 0 ||
		(c = compare_numeric(a->margin, b->margin)) != 0)
		return c;
	if (a->line_key == NULL || b->line_key == NULL)
		return (a->line_key != NULL) - (b->line_key != NULL);
	return strcmp(a->line_key, b->line_key);
}

static char *
numeric_text(Numeric number)
{
	return number ? DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))) : "NULL";
}

static char *
id_text(bool has, int64 id)
{
	return has ? psprintf("%lld", (long long) id) : "NULL";
}

/* A line's content in words. */
char *
ledger_line_text(const LedgerLine *line)
{
	const char *named = line->named_id == line->client_id ? "" : psprintf(" for %lld", (long long) line->named_id);

	return psprintf("client %lld%s, product %s, rep %s, %s (day %s), %s, quantity %s, amount %s, margin %s, line %s",
					(long long) line->client_id, named, id_text(line->has_product, line->product_id),
					id_text(line->has_rep, line->rep_id), timestamptz_to_str(line->ordered_at),
					DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(line->ordered_on))),
					line->is_return ? "return" : "sale",
					numeric_text(line->quantity), numeric_text(line->amount), numeric_text(line->margin),
					line->line_key ? line->line_key : "NULL");
}
