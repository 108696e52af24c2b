/*
 * worker.h
 *		Background processes of the engine.
 */
#ifndef AGENTCRM_WORKER_H
#define AGENTCRM_WORKER_H

#include "postgres.h"

#include "postmaster/bgworker.h"

extern void launcher_register(void);	/* from _PG_init, with shared_preload_libraries */
extern char *worker_role_problem(Oid database); /* why no worker can connect; needs a transaction */
extern bool worker_start(Oid database, pid_t notify, BackgroundWorkerHandle **handle, int elevel);

extern PGDLLEXPORT void agentcrm_launcher_main(Datum arg);
extern PGDLLEXPORT void agentcrm_worker_main(Datum arg);

#endif
