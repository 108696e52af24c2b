/*
 * feed_kind.h
 *		What feeds there are: one description of each serves attach's checks,
 *		the re-read, the writing, verify and forget.
 */
#ifndef AGENTCRM_FEED_KIND_H
#define AGENTCRM_FEED_KIND_H

#include "postgres.h"

/* How a value is read, and stored. */
typedef enum FeedType
{
	FEED_ID,					/* a key: the id made of it */
	FEED_SELF,					/* the same, of a row of the same feed; NULL where it is the row itself */
	FEED_REP,					/* the same, of a rep, who is made known */
	FEED_KEY,					/* a key: its canonical text */
	FEED_TEXT,
	FEED_NUMBER,
	FEED_TIME,
	FEED_DAY,
	FEED_FLAG,
	FEED_IDS,					/* an array of keys: their ids */
	FEED_TEXTS
} FeedType;

typedef enum FeedNeed
{
	FEED_OPTIONAL,
	FEED_REQUIRED,
	FEED_OWNER,					/* whom the row is about: without one it is left out */
	FEED_TRUE,					/* true where the query does not say */
	FEED_KEPT					/* a flag: false where it is NULL; what is stored stays where the query has no such column */
} FeedNeed;

typedef struct FeedColumn
{
	const char *name;			/* in the query; the same name may fill two columns */
	const char *column;			/* in the table */
	FeedType	type;
	FeedNeed	need;
	const char *words;			/* the texts that are possible, with spaces between; NULL: any */
} FeedColumn;

/*
 * The table has the feed's name, and the row's own key as <name>_id and
 * <name>_key.  Entities are what other rows refer to: a row belongs to the
 * first source that gives it, and is made inactive, not deleted, when it is
 * gone.  All others are facts: rows of (source_id, id, owner), at most one of
 * each, and deleted when the query gives them no longer.
 */
typedef struct FeedKind
{
	const char *name;
	bool		entity;
	int			n_columns;
	const FeedColumn *columns;
} FeedKind;

extern const FeedKind *feed_kind(const char *name); /* an ERROR when there is none */
extern int	feed_kind_count(void);
extern const FeedKind *feed_kind_nth(int i);
extern const char *feed_sql_type(FeedType type);
extern int	feed_owner(const FeedKind *kind);	/* number of the column that names the owner; -1: none */
extern int	feed_column(const FeedKind *kind, const char *column);	/* number of a column of the table; -1: none */

#endif
