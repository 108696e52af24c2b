/*
 * load.h
 *		Where the reading of all keys of a part stands, inside the engine.
 */
#ifndef AGENTCRM_LOAD_H
#define AGENTCRM_LOAD_H

#include "ledger/ledger.h"
#include "source/source.h"

/* The newest row of agentcrm.source_load of a part. */
typedef struct Load
{
	int32		source_id;
	int16		part;
	int64		load_no;
	char		phase;			/* first letter of its name */
	char	   *position;
	int64		done;
	int64		total;
	bool		again;
	bool		first;			/* the part was never loaded before */
	TimestampTz started_at;		/* of the phase */
	bool		reconcile;
	const char *cause;
	TimestampTz begun_at;
	int64		looked;			/* keys of the application */
	int64		missing;		/* and what was found */
	int64		changed;
	int64		surplus;
	LinesRead	read;			/* lines of the application, where all are read */
} Load;

/* A reconcile is in no hurry: events wait for one chunk at most. */
#define KEYS_PER_RECONCILE 1000

/* What the phases of a load are made of. */
extern MemoryContext load_context(void);	/* of positions */
extern void load_begin_phase(Load *load, char phase, int64 total);
extern void load_read_keys(Source *source, SourcePart *part, Load *load, const char **keys, int n, TimestampTz now);
extern bool load_key_is_blamed(Source *source, SourcePart *part, const char *key, TimestampTz now);
extern void load_break_source(Source *source, const ErrorData *error, TimestampTz now);
extern void load_end(Source *source, SourcePart *part, Load *load, TimestampTz now);

/* months.c: a reconcile of orders by sums, a chunk of each phase */
extern void months_begin(Source *source, SourcePart *part, Load *load);
extern void phase_keys(Source *source, SourcePart *part, Load *load, TimestampTz now);
extern void phase_months(Source *source, SourcePart *part, Load *load, TimestampTz now);
extern void phase_ledger(Source *source, SourcePart *part, Load *load, TimestampTz now);
extern void phase_compare(Source *source, SourcePart *part, Load *load, TimestampTz now);
extern void phase_gaps(Source *source, SourcePart *part, Load *load, TimestampTz now);

/* The cause of a look at what no trigger watches, or that has a watermark. */
#define LOAD_POLL "poll"

/* poll.c: a chunk of rows read by their watermark; and the end of a look */
extern void phase_watermark(Source *source, SourcePart *part, Load *load, TimestampTz now);
extern void poll_end(Load *load, TimestampTz now);

/* Count what a chunk found. */
extern void findings_add_orders(Load *load, const LedgerChange *changes, int n);
extern void findings_add_feed(Load *load, const FeedFound *found);
/* The lines that were read since, each key once. */
extern void findings_add_lines(Load *load, const LinesRead *since);

/* All keys are read: keep what was found, and tell it where it had been missed. */
extern void findings_write(Load *load, Source *source, SourcePart *part, TimestampTz now);

/*
 * Keep only keys that no waiting event explains; false when the chunk has to
 * wait, because the whole part is to be read again.
 */
extern bool reconcile_leave_out_waiting(Source *source, SourcePart *part, const char **keys, int *n);

#endif
