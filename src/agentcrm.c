/*
 * agentcrm.c
 *		Entry point of the library: the magic block and _PG_init.
 *
 * _PG_init calls each room's own initialisation and does nothing else.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"

PG_MODULE_MAGIC;

/* Called once when the server or a session loads the library. */
PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
}
