/*
 * part.h
 *		Executing a part's query for keys, inside the room.
 */
#ifndef AGENTCRM_PART_H
#define AGENTCRM_PART_H

#include "source/source.h"

extern void part_resolve(Source *source, SourcePart *part);
extern void part_key_arrays(SourcePart *part, const char **keys, int n_keys, Datum *arrays);
extern void part_execute(Source *source, SourcePart *part, const char **keys, int n_keys);
extern bool part_key_is_integer(SourcePart *part);

/* Which of the keys asked for a row belongs to. */
struct keymap_hash;
extern struct keymap_hash *keymap_make(const char **keys, int n_keys);
extern int	keymap_number(struct keymap_hash *map, const char *key);

#endif
