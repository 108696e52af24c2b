/*
 * stop.c
 *		The durable mark of a clean stop: a small file that says that the server
 *		stopped with nothing left in shared memory that has to be known.
 *
 * Written by the postmaster when it ends, read and removed when it starts; so
 * only with shared_preload_libraries.  It names the shutdown checkpoint: after
 * a run of the server without agentcrm, or on a copy, it no longer fits.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "engine/shmem.h"
#include "engine/stop.h"

#define STOP_FILE PGSTAT_STAT_PERMANENT_DIRECTORY "/agentcrm.stop"
#define STOP_MAGIC 0x41435201

typedef struct StopMark
{
	uint32		magic;
	uint32		padding;
	uint64		system_identifier;
	XLogRecPtr	checkpoint;		/* of the shutdown */
	TimestampTz life;			/* the run of the server that ended */
	pg_crc32c	crc;			/* last */
} StopMark;

static void
finish_crc(StopMark *mark)
{
	INIT_CRC32C(mark->crc);
	COMP_CRC32C(mark->crc, mark, offsetof(StopMark, crc));
	FIN_CRC32C(mark->crc);
}

/* The mark that fits the control file as it is; false when the server is not, or was not, shut down. */
static bool
make_mark(StopMark *mark, TimestampTz life)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		shut_down = crc_ok && control->state == DB_SHUTDOWNED;

	memset(mark, 0, sizeof(*mark));
	mark->magic = STOP_MAGIC;
	mark->system_identifier = control->system_identifier;
	mark->checkpoint = control->checkPoint;
	mark->life = life;
	finish_crc(mark);
	pfree(control);
	return shut_down;
}

static bool
read_file(StopMark *mark)
{
	FILE	   *file = AllocateFile(STOP_FILE, PG_BINARY_R);
	bool		whole;

	if (file == NULL)
		return false;
	whole = fread(mark, sizeof(*mark), 1, file) == 1;
	FreeFile(file);
	return whole;
}

/* The run of the server that this one continues, or the present one; the mark is used up. */
static TimestampTz
take_mark(void)
{
	StopMark	found;
	StopMark	fitting;
	TimestampTz life = GetCurrentTimestamp();

	if (!read_file(&found))
		return life;
	if (make_mark(&fitting, found.life) && memcmp(&found, &fitting, sizeof(found)) == 0)
		life = found.life;
	durable_unlink(STOP_FILE, LOG);
	return life;
}

/* Whether some database has lost or missed changes that no step has seen to. */
static bool
any_marks(void)
{
	for (int i = 0; i < ENGINE_SLOTS; i++)
	{
		EngineSlot *slot = &engine_shared->slots[i];

		if (slot->database != InvalidOid && (shmem_has_lost(slot) || slot->missed.set))
			return true;
	}
	return false;
}

/* The postmaster ends; a server that crashes or stops at once leaves no mark. */
static void
write_mark(int code, Datum arg)
{
	StopMark	mark;
	FILE	   *file;

	if (code != 0 || any_marks() || !make_mark(&mark, engine_shared->life))
		return;
	file = AllocateFile(STOP_FILE ".tmp", PG_BINARY_W);
	if (file == NULL || fwrite(&mark, sizeof(mark), 1, file) != 1)
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", STOP_FILE ".tmp")));
		if (file)
			FreeFile(file);
		unlink(STOP_FILE ".tmp");
		return;
	}
	if (FreeFile(file) != 0)
		unlink(STOP_FILE ".tmp");
	else
		durable_rename(STOP_FILE ".tmp", STOP_FILE, LOG);
}

/* Shared memory was made: which run of the server it belongs to. */
void
stop_begin_life(void)
{
	engine_shared->life = GetCurrentTimestamp();
	if (IsUnderPostmaster || IsBinaryUpgrade)
		return;
	engine_shared->life = take_mark();
	on_shmem_exit(write_mark, (Datum) 0);
}
