/*
 * json.c
 *		Members of jsonb objects in the making.
 */
#include "postgres.h"

#include <math.h>

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

/* } of the outermost object. */
Jsonb *
json_end(JsonbParseState **state)
{
	return JsonbValueToJsonb(pushJsonbValue(state, WJB_END_OBJECT, NULL));
}
