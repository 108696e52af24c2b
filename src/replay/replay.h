/*
 * replay.h
 *		What the files of the replay share.
 *
 * Private to the room.
 */
#ifndef AGENTCRM_REPLAY_H
#define AGENTCRM_REPLAY_H

#include "plan/plan.h"

typedef enum ReplayMode
{
	REPLAY_AS_KNOWN,			/* what agentcrm knew then, and the generations in use */
	REPLAY_AS_CORRECTED			/* the ledger as it is now, and generations fitted anew */
} ReplayMode;

/* call.c */
extern ReplayMode replay_mode(const char *name);
extern const char *replay_mode_name(ReplayMode mode);
extern LedgerView replay_view(ReplayMode mode, TimestampTz as_of);
extern int	replay_pin(void);	/* the settings that the worker runs under; the level is for AtEOXact_GUC */
extern Candidate *replay_bids(const ClientSnapshot *clients, int n_clients, const AgentCall *call, BidSink *sink, int *n);

#endif
