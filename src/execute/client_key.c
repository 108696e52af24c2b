/*
 * client_key.c
 *		The client behind an application's own key.
 *
 * Reads agentcrm.client only.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(agentcrm_client_id_of);

/* agentcrm.client_id_of(client_key) */
Datum
agentcrm_client_id_of(PG_FUNCTION_ARGS)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	bool		isnull;
	int64		id;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (SPI_execute_with_args("SELECT coalesce(survivor_client_id, client_id) FROM agentcrm.client WHERE client_key OPERATOR(pg_catalog.=) $1",
							  1, types, values, NULL, true, 2) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.client");
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no client has the key \"%s\"", text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	if (SPI_processed > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("client key \"%s\" is ambiguous: several namespaces hold it",
						text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("Use the client_id; SELECT client_id, namespace, name FROM agentcrm.client shows the candidates.")));
	id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	PG_RETURN_INT64(id);
}
