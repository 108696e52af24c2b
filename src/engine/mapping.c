/*
 * mapping.c
 *		A mapping that no longer fits the application's tables: a renamed,
 *		retyped or dropped column, a table that is gone, a right that was
 *		revoked.
 *
 * An error is the mapping's when reading no keys gives it, too.  Columns that
 * were merely renamed are followed; else the source is set aside, broken, with
 * the call that mends it, and its changes are kept.  It goes on by itself once
 * the mapping fits again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "agentcrm.h"
#include "engine/mapping.h"
#include "engine/step.h"

/* Broken sources are looked at when a table has changed, and as often as this, for rights and functions. */
#define LOOK_SECONDS 30

static bool tables_changed = true;

static void
note_change(Datum arg, Oid relid)
{
	tables_changed = true;
}

static void
watch_tables(void)
{
	static bool watching = false;

	if (!watching)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	watching = true;
}

/* Call an SQL function of source and text; its text, or NULL. */
static char *
call_for_source(const char *sql, int32 source_id, const char *text)
{
	MemoryContext cxt = CurrentMemoryContext;
	Oid			types[2] = {INT4OID, TEXTOID};
	Datum		values[2] = {Int32GetDatum(source_id), CStringGetTextDatum(text)};
	char	   *result;

	SPI_connect();
	SPI_execute_with_args(sql, 2, types, values, NULL, false, 0);
	result = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (result)
		result = MemoryContextStrdup(cxt, result);
	SPI_finish();
	return result;
}

/* Follow what was renamed; why that was not enough and what to call, NULL when it was. */
static char *
mend(Source *source, const ErrorData *error)
{
	return call_for_source("SELECT agentcrm.mapping_mend($1, $2)", source->source_id, error->message);
}

/* See mapping.h. */
char *
mapping_problem(Source *source, const ErrorData *error)
{
	return call_for_source("SELECT agentcrm.mapping_problem(s, $2) FROM agentcrm.source s WHERE source_id = $1",
						   source->source_id, error->message);
}

static void
write_problem(Source *source, const char *problem, bool unfit)
{
	Oid			types[3] = {INT4OID, TEXTOID, BOOLOID};
	Datum		values[3] = {Int32GetDatum(source->source_id), CStringGetTextDatum(problem), BoolGetDatum(unfit)};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.source SET state = 'broken', problem = $2, unfit = $3"
						  " WHERE source_id = $1 AND (state, problem, unfit) IS DISTINCT FROM ('broken', $2, $3)",
						  3, types, values, NULL, false, 0);
	SPI_finish();
}

/* See mapping.h. */
void
mapping_break(Source *source, const ErrorData *error, const char *problem, bool unfit, TimestampTz now)
{
	write_problem(source, problem, unfit);
	source->state = SOURCE_BROKEN;
	error_record(psprintf("source %s", source->name), source->source_id, error, now);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("source \"%s\" cannot be read: %s", source->name, problem),
			 unfit ? errhint("It goes on by itself when the mapping fits again; its changes are kept meanwhile.") :
			 errhint("Mend the cause and call agentcrm.resync, or change the mapping with agentcrm.alter_source.")));
}

/* See mapping.h. */
bool
mapping_failed(Source *source, TimestampTz now)
{
	ErrorData  *error = source_try(source);
	char	   *problem;

	watch_tables();
	if (error == NULL)
		return false;
	problem = mend(source, error);
	if (problem)
		mapping_break(source, error, problem, true, now);
	else
	{
		ereport(LOG, (errmsg("agentcrm: source \"%s\" follows renamed columns", source->name)));
		source->state = SOURCE_BROKEN;	/* as this step knows it: the next one has the new mapping */
		source->followed = true;
	}
	return true;
}

/* See mapping.h. */
void
mapping_look_again(void)
{
	tables_changed = true;
}

/* See mapping.h. */
bool
mapping_step(TimestampTz now)
{
	static TimestampTz looked_at = DT_NOBEGIN;
	bool		look = tables_changed || now < looked_at || now - looked_at >= LOOK_SECONDS * USECS_PER_SEC;
	bool		any = false;

	for (int i = 0; i < source_count(); i++)
	{
		Source	   *source = source_nth(i);
		ErrorData  *error;
		char	   *problem = NULL;

		if (!source->unfit || source->state != SOURCE_BROKEN || !look)
			continue;
		watch_tables();
		looked_at = now;
		tables_changed = false;
		error = source_try(source);
		if (error)
			problem = mend(source, error);
		if (problem)
			write_problem(source, problem, true);
		else
		{
			call_for_source("SELECT agentcrm.mapping_fits($1) WHERE $2 IS NOT NULL", source->source_id, "");
			ereport(LOG, (errmsg("agentcrm: source \"%s\" goes on", source->name)));
			any = true;
		}
	}
	return any;
}
