/*
 * note.h
 *		What a step is working on, kept where a crash leaves it: inside the engine.
 */
#ifndef AGENTCRM_NOTE_H
#define AGENTCRM_NOTE_H

#include "postgres.h"

#define NOTE_KEY_LENGTH 128

/* After this many crashes in the same work the worker stays down. */
#define NOTE_MAX_CRASHES 3

typedef enum NoteWork
{
	NOTE_NOTHING,
	NOTE_EVENTS,				/* units are events */
	NOTE_LOAD,					/* units are keys or clients */
	NOTE_DUE,					/* units are clients */
	NOTE_FIT,
	NOTE_UPKEEP
} NoteWork;

/* The file's content; a copy of what a crash left is in the database's slot. */
typedef struct StepNote
{
	uint32		magic;
	uint32		state;			/* a NoteState */
	int32		crashes;		/* in this work, before this step */
	int32		careful;		/* units still to be taken one at a time */
	int32		work;			/* a NoteWork */
	int32		units;			/* in hand */
	int64		number;			/* of the batch, or of the load's row */
	int32		source_id;
	int32		part;
	char		key[NOTE_KEY_LENGTH];	/* of the unit in hand, when it is alone */
	char		agent[NAMEDATALEN]; /* being called; empty: none */
} StepNote;

/* Look once, after a start of the server, whether a step was cut by a crash; false when the worker is to stay down. */
extern bool note_look(void);

/* What a step is about to do; it ends with its transaction. */
extern void note_work(NoteWork work, int64 number, int units);
extern void note_key(int32 source_id, int part, const char *key);

/* After a crash units are taken one at a time until those in hand then are done. */
extern int	note_limit(NoteWork work, int units);
extern void note_idle(void);	/* there is nothing left to do */

/* The step that a crash cut and that nothing was done about yet; NULL: none. */
extern const StepNote *note_unserved(void);
extern bool note_doubtful(const StepNote *crashed);
extern bool note_was_stuck(const StepNote *crashed);
extern char *note_event(const StepNote *crashed);
extern void note_serve(int careful);
extern int	note_crashes(void);

/* The worker goes on although it crashed. */
extern void note_resume(void);
extern char *note_in_words(const StepNote *note);
extern char *note_reason(void); /* why the worker stays down; NULL: it does not */

/* A database is gone, and so is its file. */
extern void note_forget(Oid database);

#endif
