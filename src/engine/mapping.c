/*
 * mapping.c
 *		The application changes its tables.  A mapping that no longer fits: a
 *		renamed, retyped or dropped column, a table that is gone, a right that
 *		was revoked.  Triggers that are gone, off, or on tables that are not
 *		watched any more.
 *
 * An error is the mapping's when reading no keys gives it, too.  Columns that
 * were merely renamed are followed; else the source is set aside, broken, with
 * the call that mends it, and its changes are kept.  It goes on by itself once
 * the mapping fits again.  What is done about triggers: 18_triggers.sql.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"

#include "agentcrm.h"
#include "engine/mapping.h"
#include "engine/step.h"

/* Sources are looked at when any table has changed, but no sooner than this after the last time, nor for more of the time than this ... */
#define LOOK_AGAIN_MS 250
#define LOOK_SHARE 0.05
/* ... and as often as this, for rights and functions. */
#define LOOK_MS 30000

static bool tables_changed = false;
static TimestampTz looked_at = DT_NOBEGIN;
static int	look_again_ms = LOOK_AGAIN_MS;

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
	looked_at = DT_NOBEGIN;
}

/* See mapping.h. */
bool
mapping_look_is_due(void)
{
	return tables_changed && source_count() > 0;
}

/* By the real time: the engine's may be standing still. */
static bool
is_time_to_look(void)
{
	TimestampTz clock = GetCurrentTimestamp();

	watch_tables();
	if (looked_at != DT_NOBEGIN && clock >= looked_at &&
		!TimestampDifferenceExceeds(looked_at, clock, tables_changed ? look_again_ms : LOOK_MS))
		return false;
	looked_at = clock;
	tables_changed = false;
	return true;
}

/* An error that comes and goes is left to the reads that meet it. */
static bool
will_pass(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
	}
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* Let a source go on that fits again, or can be followed now. */
static bool
look_at_broken(Source *source)
{
	ErrorData  *error = source_try(source);
	char	   *problem = NULL;

	if (error && will_pass(error))
		return false;
	if (error)
		problem = mend(source, error);
	if (problem)
	{
		write_problem(source, problem, true);
		return false;
	}
	call_for_source("SELECT agentcrm.mapping_fits($1) WHERE $2 IS NOT NULL", source->source_id, "");
	ereport(LOG, (errmsg("agentcrm: source \"%s\" goes on", source->name)));
	return true;
}

/* A mapping that fits no longer is found before a changed row meets it. */
static bool
look_at_working(Source *source, TimestampTz now)
{
	ErrorData  *error = source_try(source);

	return error && !will_pass(error) && mapping_failed(source, now);
}

/* Put triggers back where they are missing. */
static bool
look_at_triggers(void)
{
	char	   *done = call_for_source("SELECT agentcrm.follow_triggers() WHERE $1 = 0 AND $2 = ''", 0, "");

	if (done && strcmp(done, "busy") == 0)
		tables_changed = true;
	return done && strcmp(done, "followed") == 0;
}

/* See mapping.h. */
bool
mapping_step(TimestampTz now)
{
	bool		any = false;
	int			level;

	if (source_count() == 0 || !is_time_to_look())
		return false;
	/* a table that is locked for long must not keep all sources waiting */
	level = NewGUCNestLevel();
	set_config_option("lock_timeout", "10ms", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	for (int i = 0; i < source_count(); i++)
	{
		Source	   *source = source_nth(i);

		if (source->state == SOURCE_BROKEN && source->unfit)
			any |= look_at_broken(source);
		else if (source->state == SOURCE_LOADING || source->state == SOURCE_SHADOW || source->state == SOURCE_LIVE)
			any |= look_at_working(source, now);
	}
	any |= look_at_triggers();
	AtEOXact_GUC(true, level);
	look_again_ms = Max(LOOK_AGAIN_MS, TimestampDifferenceMilliseconds(looked_at, GetCurrentTimestamp()) / LOOK_SHARE);
	return any;
}
