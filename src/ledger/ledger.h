/*
 * ledger.h
 *		The face of the ledger: agentcrm's own copy of counted order lines.
 *
 * Owns identities (key text -> bigint) and the diff of a re-read document
 * against what is stored.  Holds no derived number.
 */
#ifndef AGENTCRM_LEDGER_H
#define AGENTCRM_LEDGER_H

#include "postgres.h"

#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* A counted order line, as stored in agentcrm.ledger. */
typedef struct LedgerLine
{
	int64		client_id;
	int64		order_id;
	int64		product_id;
	int64		rep_id;
	TimestampTz ordered_at;
	int32		source_id;
	int32		line_no;
	DateADT		ordered_on;
	bool		has_product;
	bool		has_rep;
	bool		is_return;
	bool		archived;
	Numeric		quantity;
	Numeric		amount;
	Numeric		margin;			/* NULL where the source gives none */
	char	   *line_key;		/* NULL where the source has none */
} LedgerLine;

/*
 * What one re-read document did to the ledger: the stored lines before and
 * after, in no particular order.  Documents without any difference are not
 * reported.
 */
typedef struct LedgerChange
{
	int32		source_id;
	int64		order_id;
	int			n_before;
	LedgerLine *before;
	int			n_after;
	LedgerLine *after;
} LedgerChange;

/* Lines of one client up to as_of, ordered by (ordered_at, source, order, line_no). */
typedef void (*LedgerLineCallback) (const LedgerLine *line, void *arg);
extern void ledger_scan_clients(const int64 *client_ids, int n_clients, TimestampTz as_of,
								LedgerLineCallback callback, void *arg);

#endif
