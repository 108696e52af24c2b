/*
 * note.c
 *		What a step is working on, kept where a crash leaves it.
 *
 * A file a database beside the server's other transient statistics: plain
 * writes, never synced, since it must survive a crash of the server and not of
 * the machine.  The step's transaction ends it, by commit or abort, hence also
 * a clean stop.  A process that the server ends because another one crashed, or
 * by an immediate stop, says so on its way out: that is no crash of this step.
 * So does one that faults or calls abort(); a death without a word (SIGKILL) may
 * be its own fault, for want of memory, or nobody's.
 * Nothing here raises an error: without the file work goes on unprotected.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xact.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "tcop/tcopprot.h"

#include "engine/engine.h"
#include "engine/note.h"
#include "engine/shmem.h"

#define NOTE_MAGIC 0x41434e31

typedef enum NoteState
{
	NOTED_IDLE,
	NOTED_WORKING,
	NOTED_ENDED,				/* from outside: no crash of the step */
	NOTED_DOWN,					/* after too many crashes */
	NOTED_FAULT,				/* by a signal of the process's own doing, such as SIGSEGV */
	NOTED_STUCK					/* by the guard: the agent went on when its time was up */
} NoteState;

static StepNote note = {.magic = NOTE_MAGIC};
static volatile int note_file = -1;
static volatile sig_atomic_t note_active = false;
static volatile sig_atomic_t note_stands = false;	/* as the guard left it: the process ends */

static void
note_path(Oid database, char *path)
{
	snprintf(path, MAXPGPATH, "%s/agentcrm_%u.step", PG_STAT_TMP_DIR, database);
}

static void
write_note(const StepNote *content)
{
	if (note_file >= 0 && pwrite(note_file, content, sizeof(StepNote), 0) != sizeof(StepNote))
		return;					/* the disk is full: go on unprotected */
}

/* ---- the end of a step ---- */

/* SIGQUIT: an immediate stop, or another process crashed. */
static void
handle_quit(SIGNAL_ARGS)
{
	static const uint32 ended = NOTED_ENDED;

	if (note_active && pwrite(note_file, &ended, sizeof(ended), offsetof(StepNote, state)) < 0)
		_exit(2);
	if (MyBackendType == B_BG_WORKER)
		SignalHandlerForCrashExit(postgres_signal_arg);
	else
		quickdie(postgres_signal_arg);
}

/* A fault: note it, and die of it. */
static void
handle_fault(SIGNAL_ARGS)
{
	static const uint32 fault = NOTED_FAULT;

	pqsignal(postgres_signal_arg, SIG_DFL);
	if (note_active && pwrite(note_file, &fault, sizeof(fault), offsetof(StepNote, state)) < 0)
		_exit(2);
	raise(postgres_signal_arg);
}

static void
end_note(XactEvent event, void *arg)
{
	EngineSlot *slot = engine_slot;

	if (note_stands || !note_active || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT))
		return;
	note_active = false;
	if (event == XACT_EVENT_COMMIT)
	{
		/* other work that goes well says nothing of the work that crashed */
		if (slot->careful > 0 && note.work == slot->crashed.work)
			slot->careful--;
		if (slot->careful == 0)
			slot->crashes = 0;
	}
	note.state = NOTED_IDLE;
	note.crashes = slot->crashes;
	note.careful = slot->careful;
	write_note(&note);
}

static void
open_file(void)
{
	char		path[MAXPGPATH];

	if (note_file >= 0)
		return;
	note_path(MyDatabaseId, path);
	note_file = BasicOpenFilePerm(path, O_RDWR | O_CREAT | PG_BINARY, pg_file_create_mode);
	if (note_file < 0)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errdetail("A step that crashes the server will not be recognised.")));
		return;
	}
	RegisterXactCallback(end_note, NULL);
	pqsignal(SIGQUIT, handle_quit);
	pqsignal(SIGABRT, handle_fault);
	pqsignal(SIGSEGV, handle_fault);
	pqsignal(SIGBUS, handle_fault);
	pqsignal(SIGILL, handle_fault);
}

/* ---- the beginning ---- */

/* What a step is about to do; it ends with its transaction. */
void
note_work(NoteWork work, int64 number, int units)
{
	if (engine_slot == NULL)
		return;
	open_file();
	note.state = NOTED_WORKING;
	note.crashes = engine_slot->crashes;
	note.careful = engine_slot->careful;
	note.work = work;
	note.units = units;
	note.number = number;
	note.source_id = note.part = 0;
	note.key[0] = note.agent[0] = '\0';
	note_active = true;
	write_note(&note);
}

/* The one unit in hand. */
void
note_key(int32 source_id, int part, const char *key)
{
	if (!note_active)
		return;
	note.source_id = source_id;
	note.part = part;
	strlcpy(note.key, key, sizeof(note.key));
	write_note(&note);
}

/* An agent is about to be called, or has returned (NULL). */
void
engine_note_agent(const char *agent)
{
	if (!note_active)
		return;
	strlcpy(note.agent, agent ? agent : "", sizeof(note.agent));
	if (note_file >= 0 && pwrite(note_file, note.agent, sizeof(note.agent), offsetof(StepNote, agent)) < 0)
		return;					/* as in write_note */
}

/* The agent being called cannot be cut, and the process is ended for it: the next one looks at the note.  For signal handlers. */
void
engine_note_stuck(void)
{
	static const uint32 stuck = NOTED_STUCK;

	if (!note_active || note_stands)
		return;
	note_stands = true;
	if (pwrite(note_file, &stuck, sizeof(stuck), offsetof(StepNote, state)) == sizeof(stuck))
		engine_slot->crash_looked = false;
}

/* ---- after a crash ---- */

static bool
read_note(StepNote *found)
{
	char		path[MAXPGPATH];
	int			file;
	bool		whole;

	note_path(MyDatabaseId, path);
	file = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (file < 0)
		return false;
	whole = read(file, found, sizeof(StepNote)) == sizeof(StepNote) && found->magic == NOTE_MAGIC;
	close(file);
	found->key[NOTE_KEY_LENGTH - 1] = found->agent[NAMEDATALEN - 1] = '\0';
	return whole;
}

/* Keep for later starts of the server that the worker stays down, or no longer does. */
static void
write_state(NoteState state)
{
	StepNote	content = engine_slot->crashed;

	open_file();
	content.magic = NOTE_MAGIC;
	content.state = state;
	content.crashes = engine_slot->crashes;
	write_note(&content);
}

static void
judge(EngineSlot *slot, const StepNote *found)
{
	bool		cut = found->state == NOTED_WORKING || found->state == NOTED_FAULT || found->state == NOTED_STUCK;

	slot->crashes = found->crashes + cut;
	slot->careful = found->careful;
	if (!cut && found->state != NOTED_DOWN)
		return;
	slot->crashed = *found;
	slot->crash_unserved = true;
	slot->down = slot->crashes >= NOTE_MAX_CRASHES;
	if (slot->down && cut)
		write_state(NOTED_DOWN);
	ereport(LOG,
			(errmsg("agentcrm: %s, %d in a row", note_event(found), slot->crashes),
			 slot->down ? errhint("Mend the cause, then SELECT agentcrm.resume().") : 0));
}

/*
 * Look once, after a start of the server, whether a step was cut by a crash.
 * Whoever takes a step has looked before, so an unfinished note found by the
 * first look is of an earlier life.  False when the worker is to stay down.
 */
bool
note_look(void)
{
	EngineSlot *slot = engine_slot;

	if (slot == NULL)
		return true;
	LWLockAcquire(&engine_shared->lock, LW_EXCLUSIVE);
	if (!slot->crash_looked)
	{
		StepNote	found;

		slot->crash_looked = true;
		if (read_note(&found))
			judge(slot, &found);
	}
	LWLockRelease(&engine_shared->lock);
	return !slot->down;
}

/* The step that a crash cut and that nothing was done about yet. */
const StepNote *
note_unserved(void)
{
	return engine_slot && engine_slot->crash_unserved ? &engine_slot->crashed : NULL;
}

/* Whether a step that was cut may be innocent: its process died without a word. */
bool
note_doubtful(const StepNote *crashed)
{
	return crashed->state == NOTED_WORKING;
}

/* Whether the process was ended because the agent in hand could not be cut. */
bool
note_was_stuck(const StepNote *crashed)
{
	return crashed->state == NOTED_STUCK;
}

/* What happened, for people. */
char *
note_event(const StepNote *crashed)
{
	return psprintf(note_was_stuck(crashed) ? "the worker had to be ended in %s, which went on when its time was up" :
					"the server or the worker crashed in %s", note_in_words(crashed));
}

/* Something was done about it; so many units are to be taken one at a time. */
void
note_serve(int careful)
{
	engine_slot->crash_unserved = false;
	engine_slot->careful = Max(engine_slot->careful, careful);
}

/* Crashes in the present work. */
int
note_crashes(void)
{
	return engine_slot ? engine_slot->crashes : 0;
}

/* How many units of a kind of work to take at once where this many are usual. */
int
note_limit(NoteWork work, int units)
{
	return engine_slot && engine_slot->careful > 0 && engine_slot->crashed.work == (int32) work ? 1 : units;
}

/* There is nothing left to do: what crashed is behind us. */
void
note_idle(void)
{
	if (engine_slot == NULL || (engine_slot->crashes == 0 && engine_slot->careful == 0))
		return;
	engine_slot->crashes = engine_slot->careful = 0;
	write_state(NOTED_IDLE);
}

/* The worker goes on; what was in hand at the last crash is still dealt with. */
void
note_resume(void)
{
	if (engine_slot == NULL || !engine_slot->down)
		return;
	engine_slot->crashes = 0;
	engine_slot->down = false;
	write_state(NOTED_IDLE);
}

/* What a step was doing, for people. */
char *
note_in_words(const StepNote *crashed)
{
	static const char *const works[] = {"a step", "a batch of events", "a load", "a look at clients that are due", "a fit", "upkeep"};
	StringInfoData words;

	initStringInfo(&words);
	appendStringInfoString(&words, works[crashed->work >= 0 && crashed->work < (int) lengthof(works) ? crashed->work : 0]);
	if (crashed->work == NOTE_EVENTS)
		appendStringInfo(&words, " (batch " INT64_FORMAT ")", crashed->number);
	if (crashed->key[0])
		appendStringInfo(&words, ", key \"%s\" of source %d", crashed->key, crashed->source_id);
	if (crashed->agent[0])
		appendStringInfo(&words, ", in agent \"%s\"", crashed->agent);
	return words.data;
}

/* Why the worker stays down; NULL: it does not. */
char *
note_reason(void)
{
	if (engine_slot == NULL || !engine_slot->down)
		return NULL;
	return psprintf("crashed %d times in the same work, at last in %s", engine_slot->crashes, note_in_words(&engine_slot->crashed));
}

/* A database is gone, and so is its file. */
void
note_forget(Oid database)
{
	char		path[MAXPGPATH];

	note_path(database, path);
	unlink(path);
}
