/*
 * feed_sql.h
 *		Rows of a feed as arguments of statements, inside the room.
 */
#ifndef AGENTCRM_FEED_SQL_H
#define AGENTCRM_FEED_SQL_H

#include "source/source.h"

/* Arguments of a statement over the rows of a feed; more may be appended. */
typedef struct FeedArguments
{
	int			n;
	Oid		   *types;
	Datum	   *values;
} FeedArguments;

/* Makes $1 the source, $2 the ids of the keys asked for, $3 and further the rows. */
extern FeedArguments feed_arguments(Source *source, SourcePart *part, const char **keys, int n_keys, const FeedRows *rows);
extern int	feed_add_argument(FeedArguments *arguments, Oid type, Datum value);

/* The rows as a relation whose columns are called as those of the table. */
extern char *feed_relation(const FeedKind *kind);

/* Columns of the table that a feed gives, each after a prefix; without those it leaves as they are. */
extern char *feed_column_list(const FeedRows *rows, const char *prefix);

#endif
