/*
 * json.c
 *		Members of jsonb objects in the making.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "json.h"

/* { */
void
json_begin(JsonbParseState **state)
{
	(void) pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
}

/* "name": */
void
json_key(JsonbParseState **state, const char *name)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, name);
	v.val.string.len = strlen(name);
	(void) pushJsonbValue(state, WJB_KEY, &v);
}

/* "name": "value", or null. */
void
json_text(JsonbParseState **state, const char *name, const char *value)
{
	JsonbValue	v;

	json_key(state, name);
	if (value == NULL)
		v.type = jbvNull;
	else
	{
		v.type = jbvString;
		v.val.string.val = pstrdup(value);
		v.val.string.len = strlen(value);
	}
	(void) pushJsonbValue(state, WJB_VALUE, &v);
}

/* "name": numeric */
void
json_numeric(JsonbParseState **state, const char *name, Numeric value)
{
	JsonbValue	v;

	json_key(state, name);
	v.type = jbvNumeric;
	v.val.numeric = value;
	(void) pushJsonbValue(state, WJB_VALUE, &v);
}

/* "name": value with six significant digits, which is more than any model here knows. */
void
json_number(JsonbParseState **state, const char *name, double value)
{
	char		text[64];

	if (!isfinite(value))
	{
		json_text(state, name, NULL);
		return;
	}
	if (value == rint(value) && fabs(value) < 1e9)
	{
		json_numeric(state, name, int64_to_numeric((int64) value));
		return;
	}
	snprintf(text, sizeof(text), "%.6g", value);
	json_numeric(state, name,
				 DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
													 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
}

/* A number as numeric, with all digits that tell it from its neighbours; infinities and NaN have no place in a jsonb. */
static Numeric
exact_numeric(double value)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(isfinite(value) ? value : 0, text);
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* "name": value, to be read back as it is. */
void
json_exact(JsonbParseState **state, const char *name, double value)
{
	json_numeric(state, name, exact_numeric(value));
}

/* "name": [values], to be read back as they are. */
void
json_numbers(JsonbParseState **state, const char *name, const double *values, int n)
{
	JsonbValue	v = {.type = jbvNumeric};

	json_key(state, name);
	(void) pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		v.val.numeric = exact_numeric(values[i]);
		(void) pushJsonbValue(state, WJB_ELEM, &v);
	}
	(void) pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* } of the outermost object. */
Jsonb *
json_end(JsonbParseState **state)
{
	return JsonbValueToJsonb(pushJsonbValue(state, WJB_END_OBJECT, NULL));
}
