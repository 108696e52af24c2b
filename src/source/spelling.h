/*
 * spelling.h
 *		Keys that are equal though their texts differ, inside the room.
 */
#ifndef AGENTCRM_SPELLING_H
#define AGENTCRM_SPELLING_H

#include "source/part.h"

/* Keys by number, each with the first of those it equals. */
typedef struct Spellings
{
	SourcePart *part;
	const char **keys;
	int			n;
	int			max;
	int		   *same;			/* number of the first key that equals it; NULL: equal keys have one text */
	KeyReader	reader;
	struct keymap_hash *numbers;
	struct same_hash *values;
} Spellings;

/* Whether keys of a type can be equal though their own texts differ. */
extern bool spelling_is_loose(const KeyColumn *column, Oid collation);

/* Keys as their columns' types write them, each once; n becomes their number. */
extern const char **spelling_own(SourcePart *part, const char **keys, int *n);

extern Spellings *spellings_make(SourcePart *part, const char **keys, int n, bool by_value);
extern const char **spellings_firsts(Spellings *s, int *n);
extern bool spellings_has(Spellings *s, const char *key);
extern int	spellings_find(Spellings *s, const char *key);	/* -1: neither it nor an equal one */

#endif
