/*
 * restricted.h
 *		Running reads of the application's tables under the source's role,
 *		inside the room.
 */
#ifndef AGENTCRM_RESTRICTED_H
#define AGENTCRM_RESTRICTED_H

#include "source/source.h"

/*
 * Work to do as the source's role.  It may call SPI (connected already) and
 * must allocate its results in the context given.
 */
typedef void (*RestrictedWork) (Source *source, void *arg, MemoryContext result_cxt);

extern ErrorData *restricted_run(Source *source, RestrictedWork work, void *arg);

#endif
