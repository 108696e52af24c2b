/*
 * findings.c
 *		What the reading of all keys found: counted chunk by chunk, kept in
 *		agentcrm.reconcile_log, told in the server's log.
 *
 * Mends nothing and decides nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "engine/load.h"

/* Orders whose stored lines were not those of the application. */
void
findings_add_orders(Load *load, const LedgerChange *changes, int n)
{
	for (int i = 0; i < n; i++)
		if (changes[i].n_before == 0)
			load->missing++;
		else if (changes[i].n_after == 0)
			load->surplus++;
		else
			load->changed++;
}

/* Clients, products or reps whose stored attributes were not the feed's. */
void
findings_add_feed(Load *load, const FeedFound *found)
{
	load->missing += found->added;
	load->changed += found->changed;
	load->surplus += found->gone;
}

/* See load.h. */
void
findings_add_lines(Load *load, const LinesRead *since)
{
	load->read.all += source_lines_read.all - since->all;
	load->read.clientless += source_lines_read.clientless - since->clientless;
}

static void
tell(const Load *load, Source *source, SourcePart *part)
{
	ereport(LOG,
			(errmsg("agentcrm: reconcile of source \"%s\", part %s, found %lld missing, %lld changed and %lld surplus keys among %lld",
					source->name, part->name, (long long) load->missing, (long long) load->changed,
					(long long) load->surplus, (long long) load->looked),
			 errdetail("Cause: %s. They are mended.", load->cause),
			 errhint("Changes were made that no trigger saw: disabled triggers, ATTACH or DETACH PARTITION, agentcrm.capture = off, a crash.")));
}

/* Keep what was found; rows older than 400 days go.  What a poll finds was not missed: nothing else looks for it. */
void
findings_write(Load *load, Source *source, SourcePart *part, TimestampTz now)
{
	Oid			types[12] = {INT4OID, INT2OID, TEXTOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID};
	Datum		values[12] = {Int32GetDatum(load->source_id), Int16GetDatum(load->part),
		CStringGetTextDatum(load->cause), BoolGetDatum(load->reconcile), TimestampTzGetDatum(now),
		TimestampTzGetDatum(load->begun_at), Int64GetDatum(load->looked), Int64GetDatum(load->missing),
		Int64GetDatum(load->changed), Int64GetDatum(load->surplus), Int64GetDatum(load->read.all),
	Int64GetDatum(load->read.clientless)};
	/* rows marked since the last look are not all */
	const char *nulls = part->kind != PART_ORDER || load->phase == 'w' ? "          nn" : NULL;

	SPI_connect();
	SPI_execute_with_args("INSERT INTO agentcrm.reconcile_log"
						  " (source_id, part, reading, cause, reconcile, at, took, looked, missing, changed, surplus, lines, clientless)"
						  " SELECT $1, $2, coalesce(max(reading), 0) + 1, $3, $4, $5, clock_timestamp() - $6, $7, $8, $9, $10, $11, $12"
						  " FROM agentcrm.reconcile_log WHERE source_id = $1 AND part = $2",
						  12, types, values, nulls, false, 0);
	SPI_execute_with_args("DELETE FROM agentcrm.reconcile_log WHERE source_id = $1 AND part = $2"
						  " AND at < $5 - interval '400 days'", 5, types, values, NULL, false, 0);
	SPI_finish();
	if (load->reconcile && strcmp(load->cause, LOAD_POLL) != 0 && load->missing + load->changed + load->surplus > 0)
		tell(load, source, part);
}
