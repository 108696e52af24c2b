/*
 * mapping.h
 *		A mapping that no longer fits the application's tables, inside the engine.
 */
#ifndef AGENTCRM_MAPPING_H
#define AGENTCRM_MAPPING_H

#include "source/source.h"

/*
 * A read of the source has failed: whether its mapping is to blame, and no
 * row.  Then the source is broken for the rest of this step, and for longer
 * where its mapping could not be followed.
 */
extern bool mapping_failed(Source *source, TimestampTz now);

/* Set a source aside; unfit: until its mapping fits again. */
extern void mapping_break(Source *source, const ErrorData *error, const char *problem, bool unfit, TimestampTz now);

/* What is wrong with a mapping, and the call that mends it. */
extern char *mapping_problem(Source *source, const ErrorData *error);

/*
 * Where tables have changed: set sources aside whose mapping does not fit any
 * more, let those go on whose mapping fits again, put triggers right.  True
 * when something was written.
 */
extern bool mapping_step(TimestampTz now);
/* The next step looks at all sources, whatever the clock says. */
extern void mapping_look_again(void);

/* Tables have changed since the last look: a worker that rests now would not see how. */
extern bool mapping_look_is_due(void);

#endif
