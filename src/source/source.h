/*
 * source.h
 *		The face of the sources: capture of changed keys, and re-reading what
 *		they name through the mapping.
 *
 * Does not interpret orders: it hands over mapped lines and attributes.
 */
#ifndef AGENTCRM_SOURCE_H
#define AGENTCRM_SOURCE_H

#include "postgres.h"

#include "executor/spi.h"
#include "pgtime.h"

#include "ledger/ledger.h"
#include "source/feed_kind.h"
#include "source/key.h"

typedef enum PartKind
{
	PART_ORDER,
	PART_FEED,
	PART_TOUCH
} PartKind;

typedef enum SourceState
{
	SOURCE_SHADOW,
	SOURCE_LOADING,
	SOURCE_LIVE,
	SOURCE_PAUSED,
	SOURCE_BROKEN,
	SOURCE_DETACHING
} SourceState;

/* A part of a source that is read by key. */
typedef struct SourcePart
{
	int16		part;
	char	   *name;
	PartKind	kind;
	char	   *query;
	char	   *touches;		/* name of the part whose keys the query of a touch part gives; else NULL */
	char	   *key_schema;
	char	   *key_table;
	int			n_columns;
	char	  **key_columns;
	char	  **key_classes;	/* as of attach: see key_class() */
	char	   *watermark;		/* query of marks and keys; NULL: none */
	Oid			relid;			/* of the key relation, once resolved */
	bool		resolved;		/* the following are known; reset when the relation changes */
	Oid			column_types[KEY_MAX_COLUMNS];	/* as declared */
	Oid			collations[KEY_MAX_COLUMNS];
	KeyColumn	columns[KEY_MAX_COLUMNS];
	bool		loose;			/* keys may be equal though their texts differ */
	SPIPlanPtr	plan;
} SourcePart;

/* An attached source, as cached by this backend. */
typedef struct Source
{
	int32		source_id;
	int64		version;
	char	   *name;
	int32		namespace;
	char	   *run_as;
	char	   *search_path;
	char	   *time_zone;
	pg_tz	   *tz;
	Datum		zone;			/* time_zone as text, for conversions */
	bool		keep_deleted;
	Interval   *archive_before; /* NULL: never */
	SourceState state;
	bool		deliver;
	TimestampTz live_at;		/* DT_NOBEGIN: never */
	bool		unfit;			/* broken until its mapping fits again */
	bool		followed;		/* the stored mapping is newer than this one */
	int			n_parts;
	SourcePart *parts;
	MemoryContext cxt;
} Source;

/* An order line as the mapping gives it; texts are NULL where the id is the key itself. */
typedef struct MappedLine
{
	int			key_no;			/* which of the keys asked for */
	LedgerLine	line;
	const char *client_text;
	const char *product_text;
	const char *rep_text;
} MappedLine;

/* A row as a feed gives it; values, in texts that every setting reads alike, and keys by column of its kind. */
typedef struct FeedRow
{
	int64		id;
	int64		owner;			/* whom it is about; 0 where its kind has none */
	const char *key;
	const char **values;		/* NULL: none */
	const char **keys;			/* texts of the keys that ids were made of */
} FeedRow;

typedef struct FeedRows
{
	const FeedKind *kind;
	FeedRow    *rows;
	int			n;
	bool	   *given;			/* by column: whether the query has it */
} FeedRows;

/* Refresh the cache from agentcrm.source; called at the start of a step. */
extern void source_refresh(void);
extern int	source_count(void);
extern Source *source_nth(int i);
extern Source *source_get(int32 source_id); /* NULL when there is none */
extern SourcePart *source_part(Source *source, int16 part);	/* NULL when there is none */
extern SourcePart *source_order_part(Source *source);
extern SourcePart *source_part_named(Source *source, const char *name);
/* Whether rows of one part's table touch those of another. */
extern bool source_part_touches(const SourcePart *part, const SourcePart *other);

/*
 * Reads under the source's role, rolled back whatever they did.  An error in
 * the query or in a row comes back as ErrorData, NULL when all went well;
 * results live in the caller's memory context.
 */
/* The keys come back as the orders write them; those under which there is no order now have no line. */
extern ErrorData *source_read_orders(Source *source, SourcePart *part, const char ***keys, int *n_keys,
									 MappedLine **lines, int *n_lines);
/* Lines of orders that this backend has read, and those of them left out for want of a client; who counts takes differences. */
typedef struct LinesRead
{
	int64		all;
	int64		clientless;
} LinesRead;

extern LinesRead source_lines_read;
/* The keys come back with those that equal them and were given instead. */
extern ErrorData *source_read_feed(Source *source, SourcePart *part, const char ***keys, int *n_keys, FeedRows *rows);
extern ErrorData *source_read_touched(Source *source, SourcePart *part, const char **keys, int n_keys,
									  const char ***order_keys, int *n_orders);
/* The error of reading no keys at all, which is the mapping's; NULL when it fits. */
extern ErrorData *source_try(Source *source);
/* An ERROR when the current role may not act as the source's role. */
extern void source_check_reader(Source *source);
/* Up to limit keys of a part after a key (NULL: from the first) and up to another (NULL: the last), in key order. */
extern ErrorData *source_list_keys(Source *source, SourcePart *part, const char *after, const char *upto, int limit,
								   const char ***keys, int *n_keys);
/* The last watermark of a part with one, at most now; *mark stays where there is no row. */
extern ErrorData *source_last_mark(Source *source, SourcePart *part, TimestampTz *mark);
/* Up to limit keys of rows marked since a time, in order of marks and keys, after a place (NULL: the first); *last is the place reached. */
extern ErrorData *source_list_marked(Source *source, SourcePart *part, TimestampTz since, const char *after, int limit,
									 const char ***keys, int *n_keys, const char **last);
extern ErrorData *source_count_keys(Source *source, SourcePart *part, int64 *count);
/* Which of the keys exist in the part's key relation, exactly so or as one that equals them. */
extern ErrorData *source_existing_keys(Source *source, SourcePart *part, const char **keys, int n_keys,
									   bool exactly, bool *exists);
/* The keys and all in the key relation that equal one of them. */
extern void source_add_spellings(Source *source, SourcePart *part, const char ***keys, int *n_keys);
/* The id of a key given in canonical text. */
extern int64 source_key_identity(Source *source, SourcePart *part, const char *key);
/* Whether the part's ids are the keys themselves. */
extern bool source_keys_are_ids(Source *source, SourcePart *part);

extern void source_capture_init(void);
extern void source_wake_at_commit(void);

#endif
