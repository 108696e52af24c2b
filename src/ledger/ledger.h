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

#include "agentcrm.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* A counted order line, as stored in agentcrm.ledger. */
typedef struct LedgerLine
{
	int64		client_id;
	int64		named_id;		/* the client that the order names; another one where that was merged into client_id */
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

/* A re-read document: its key, its lines as mapped (none: no order any more). */
struct Source;
struct SourcePart;
struct MappedLine;
struct FeedRows;

/*
 * Bring the ledger up to date with re-read documents of one source.
 * lines[i].key_no refers to keys.  A key is left out of the changes and its
 * error set when its ids clash with other texts.  keep[i] (may be NULL): what
 * is stored stays, though the document is gone.
 */
extern int	ledger_apply(struct Source *source, struct SourcePart *part, const char **keys, int n_keys,
						 struct MappedLine *lines, int n_lines, TimestampTz now,
						 LedgerChange **changes, ErrorData **errors);

/*
 * Delete a source's rows of some clients: client by client, until enough rows
 * are gone; *n_clients becomes how many are done.
 * The changes as above, by client: a document of two clients is two of them.
 */
extern int	ledger_retract(int32 source_id, const int64 *client_ids, int *n_clients, int enough, TimestampTz now,
						   LedgerChange **changes);

/* A client whose lines count for another one from now on; from and to are the client itself where it is not merged. */
typedef struct ClientMove
{
	int64		client_id;
	const char *key;
	int64		from;
	int64		to;
} ClientMove;

/* A client that replaces itself by a detour, and what is wrong in words. */
typedef struct ClientCircle
{
	const char *key;
	const char *message;
} ClientCircle;

typedef struct ClientMoves
{
	int			n;
	ClientMove *moves;
	int			n_circles;
	ClientCircle *circles;
	int			n_restarted;	/* clients that were gone without orders, and whose keys are given again */
	int64	   *restarted;
} ClientMoves;

/* What the feed rows of some keys changed: rows added, changed, and gone (entities: made inactive). */
typedef struct FeedFound
{
	int64		added;
	int64		changed;
	int64		gone;
	ClientMoves moves;
} FeedFound;

/* Bring stored rows up to date with what a feed gives for some keys; report the clients whose attributes changed (palloc'd). */
extern int	ledger_store_feed(struct Source *source, struct SourcePart *part, const char **keys, int n_keys,
							  const struct FeedRows *rows, TimestampTz now, FeedFound *found, int64 **clients);

/* Why rows may not be stored: a key they name is known under another id; NULL when they may. */
extern ErrorData *ledger_feed_clash(struct Source *source, const struct FeedRows *rows);

/* Stored keys of a feed of a source, by ids after one; the last id. */
extern int	ledger_list_feed(int32 source_id, const char *feed, int64 after, int limit, const char **keys, int64 *last);

/* Delete some rows of a source that the feeds of facts gave; how many. */
extern int64 ledger_delete_feeds(int32 source_id, int limit);

/* Find the roots of clients whose parents changed, and of all below them. */
extern void ledger_update_roots(const int64 *clients, int n);
/* Report survivors and roots that do not follow from replacements and parents. */
extern void ledger_verify_families(DifferenceSink *sink);

/* Report where the stored rows of some keys are not what their feed gives. */
extern void ledger_check_feed(struct Source *source, struct SourcePart *part, const char **keys, int n_keys,
							  const struct FeedRows *rows, DifferenceSink *sink);

/* The key of a document: in order_ref where its id is a hash. */
extern const char *ledger_order_key(int32 source_id, int64 order_id);

/* The client that this one is merged into, at last; itself where it is not. */
extern int64 ledger_survivor(int64 client_id);
/* The clients that are merged into this one. */
extern int	ledger_merged_into(int64 client_id, int64 **clients);
/* Lines count for the survivors of the clients that their orders name. */
extern void ledger_resolve(LedgerLine *lines, int n);
/* Look again who is merged: under another snapshot. */
extern void ledger_forget_merges(void);
/*
 * A client goes on under another key: the old one is replaced by the new one or,
 * where it is taken by somebody else already, begins anew.  False when nothing
 * is to be moved: the old one was not known, or both were and are there.
 */
extern bool ledger_rename(int64 old_id, int64 new_id, bool taken, TimestampTz now, ClientMoves *moves);

/* What another room holds of a renamed client follows it: statements with $1 for the old id and $2 for the new one, in their order. */
extern void ledger_rename_rows(const char *const *sql, int n, int64 old_id, int64 new_id);
/* Put the stored lines of some clients where they count; the changes as above, of all sources. */
extern int	ledger_move(const int64 *clients, int n, TimestampTz now, LedgerChange **changes);

/* Stored lines of one document, palloc'd. */
extern int	ledger_read_order(int32 source_id, int64 order_id, LedgerLine **lines);

/* The next stored documents of a source after an id, at most limit: their keys in order of their ids, and the last id. */
extern int	ledger_list_orders(int32 source_id, int64 after, int limit, const char **keys, int64 *last);

/* Keys of stored documents. */
extern void ledger_order_keys(int32 source_id, const int64 *order_ids, int n, const char **keys);

/* Whether documents have stored lines. */
extern void ledger_find_orders(int32 source_id, const int64 *order_ids, int n, bool *stored);

/* Documents summed by the month of their earliest line: lines, and a digest that tells their content whatever its order. */
typedef struct MonthSum
{
	DateADT		month;			/* its first day, and a day more for each slice */
	int64		lines;
	uint64		digest;
} MonthSum;

typedef struct MonthSums
{
	TimestampTz from;			/* documents with an earlier line are left out */
	int			n;
	int			max;
	MonthSum   *sums;
} MonthSums;

/* The month of a document's lines, and its slice. */
extern DateADT months_document(const LedgerLine *lines, int n);
/* Add a document whose times are settled. */
extern void months_add(MonthSums *sums, const LedgerLine *lines, int n);
extern bool months_equal(const MonthSums *a, const MonthSums *b);
/* Sum stored documents of a source after an id and up to another, at most limit; how many, and the last id. */
extern int	ledger_sum_months(int32 source_id, int64 after, int64 upto, int limit, MonthSums *sums, int64 *last);
/* Keys of stored documents of some months (NULL: all) after an id and up to another, at most limit; all up to *last were looked at. */
extern int	ledger_list_months(int32 source_id, const MonthSums *months, int64 after, int64 upto, int limit,
							   const char **keys, int64 *last);

/* Clients of a source's first so many rows, a client once for each. */
extern int	ledger_list_clients(int32 source_id, int limit, int64 *client_ids);

/* The earliest time of a client's lines in a document is the time of all of them. */
extern void ledger_settle_times(LedgerLine *lines, int n);

/* Text of a line's content, for messages and comparison: everything but line_no, archived and recorded_at. */
extern char *ledger_line_text(const LedgerLine *line);
extern int	ledger_line_compare(const LedgerLine *a, const LedgerLine *b);

/* Which lines a reader sees: ordered up to as_of, as the ledger held them at known_at. */
typedef struct LedgerView
{
	TimestampTz as_of;
	TimestampTz known_at;		/* DT_NOEND: as it holds them now */
} LedgerView;

extern const LedgerView ledger_whole;	/* all lines as they are now */

/* Lines of some clients, ordered by (ordered_at, source, order, line_no). */
typedef void (*LedgerLineCallback) (const LedgerLine *line, void *arg);
extern void ledger_scan_clients(const int64 *client_ids, int n_clients, const LedgerView *view,
								LedgerLineCallback callback, void *arg);

/* The next clients after an id, whether or not they have lines or are merged. */
extern int	ledger_clients_after(int64 after, int limit, int64 *client_ids);

#endif
