/*
 * compat.h
 *		The only place that looks at PG_VERSION_NUM.
 *
 * The code is written against PostgreSQL 15; what later releases renamed or
 * changed is bridged here.  Nothing but version differences belongs here.
 */
#ifndef AGENTCRM_COMPAT_H
#define AGENTCRM_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "agentcrm needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM < 160000
#define RelationSetNewRelfilenumber RelationSetNewRelfilenode
#endif

#endif							/* AGENTCRM_COMPAT_H */
