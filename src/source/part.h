/*
 * part.h
 *		Executing a part's query for keys, inside the room.
 */
#ifndef AGENTCRM_PART_H
#define AGENTCRM_PART_H

#include "fmgr.h"

#include "source/source.h"

/* The input functions of a part's key columns. */
typedef struct KeyReader
{
	SourcePart *part;
	FmgrInfo	input[KEY_MAX_COLUMNS];
	Oid			ioparam[KEY_MAX_COLUMNS];
} KeyReader;

extern void part_resolve(Source *source, SourcePart *part);
extern void part_reader_init(KeyReader *reader, SourcePart *part);
extern void part_read_key(KeyReader *reader, const char *key, Datum *values);
extern void part_key_arrays(SourcePart *part, const char **keys, int n_keys, Datum *arrays);
extern void part_execute(Source *source, SourcePart *part, const char **keys, int n_keys);
extern bool part_key_is_integer(SourcePart *part);

#endif
