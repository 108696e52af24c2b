/*
 * recover.c
 *		What is done about a step that crashed the server.
 *
 * First its units are taken one at a time; then the agent that was being
 * called is switched off, or the key that crashed alone is set aside.  Who
 * crashes on stays down (note.c).  A first death by SIGKILL proves nothing: the
 * agent goes on, and the key is tried again by itself.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "agentcrm.h"
#include "engine/note.h"
#include "engine/step.h"

/* The key to set aside when it comes by. */
static StepNote blamed = {.work = NOTE_NOTHING};

static void
pause_agent(const StepNote *crashed)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2] = {CStringGetTextDatum(crashed->agent),
		CStringGetTextDatum(psprintf(note_was_stuck(crashed) ? "went on when its time was up, in %s; agentcrm.resume('%s') lets it try again" :
									 "crashed the server in %s; agentcrm.resume('%s') lets it try again",
									 note_in_words(crashed), crashed->agent))};

	SPI_connect();
	SPI_execute_with_args("UPDATE agentcrm.agent SET mode = 'paused', problem = $2 WHERE agent = $1",
						  2, types, values, NULL, false, 0);
	SPI_finish();
}

static ErrorData *
crash_error(const StepNote *crashed)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = ERRCODE_CRASH_SHUTDOWN;
	error->message = note_event(crashed);
	return error;
}

/* Do what is to be done about the step that crashed; true when there was one. */
bool
recover_step(TimestampTz now)
{
	const StepNote *crashed = note_unserved();

	if (crashed == NULL)
		return false;
	error_record("worker", crashed->source_id, crash_error(crashed), now);
	if (crashed->agent[0] && (note_was_stuck(crashed) || (crashed->units <= 1 && !note_doubtful(crashed)) || note_crashes() >= 2))
		pause_agent(crashed);
	else if (crashed->units <= 1 && crashed->key[0] && !crashed->agent[0])
		blamed = *crashed;
	note_serve(crashed->units > 1 ? crashed->units : 1);
	return true;
}

/*
 * Whether a key that came alone is the one that crashed alone; it goes to
 * event_failed, until it changes or is read again, or for a while if in doubt.
 */
bool
recover_blames(const QueueEvent *event, TimestampTz now)
{
	if (blamed.work == NOTE_NOTHING || event->source_id != blamed.source_id || event->part != blamed.part ||
		strncmp(event->key, blamed.key, NOTE_KEY_LENGTH - 1) != 0)
		return false;
	if (note_doubtful(&blamed) && event->attempts == 0)
		queue_fail(event, 1, crash_error(&blamed), now);
	else
		queue_fail_for_good(event, crash_error(&blamed), now);
	blamed.work = NOTE_NOTHING;
	return true;
}
