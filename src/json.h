/*
 * json.h
 *		Members of jsonb objects in the making.
 */
#ifndef AGENTCRM_JSON_H
#define AGENTCRM_JSON_H

#include "utils/jsonb.h"
#include "utils/numeric.h"

extern void json_begin(JsonbParseState **state);
extern void json_key(JsonbParseState **state, const char *name);
extern void json_text(JsonbParseState **state, const char *name, const char *value);
extern void json_number(JsonbParseState **state, const char *name, double value);
extern void json_exact(JsonbParseState **state, const char *name, double value);
extern void json_numbers(JsonbParseState **state, const char *name, const double *values, int n);
extern void json_numeric(JsonbParseState **state, const char *name, Numeric value);
extern Jsonb *json_end(JsonbParseState **state);

#endif
