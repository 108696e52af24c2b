/*
 * row.h
 *		Ledger rows as structs, inside the ledger.
 */
#ifndef AGENTCRM_LEDGER_ROW_H
#define AGENTCRM_LEDGER_ROW_H

#include "access/htup.h"
#include "access/tupdesc.h"

#include "ledger/ledger.h"

#define LEDGER_COLUMNS 16

/* Numbers of columns. */
#define LEDGER_ORDER 2
#define LEDGER_RECORDED 4
#define LEDGER_SOURCE 7
#define LEDGER_NAMED 16

extern void ledger_row_read(HeapTuple tuple, TupleDesc desc, LedgerLine *line);
extern void ledger_row_form(const LedgerLine *line, TimestampTz recorded_at, Datum *values, bool *isnull);

#endif
