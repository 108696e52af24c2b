/*
 * transition.c
 *		The life of a recommendation as its table enforces it, whoever writes.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"

#include "execute/execute.h"

PG_FUNCTION_INFO_V1(agentcrm_check_transition);

/* What may follow each status; what is not named has ended. */
static const struct
{
	const char *from;
	const char *to[9];
}			legal[] =
{
	{"open", {"shown", "agreed", "snoozed", "declined", "done", "expired", "withdrawn", "displaced"}},
	{"shown", {"agreed", "snoozed", "declined", "done", "expired"}},
	{"snoozed", {"shown", "agreed", "declined", "done", "expired", "withdrawn"}},
	{"agreed", {"snoozed", "declined", "done", "failed"}},
};

static bool
may_follow(const char *from, const char *to)
{
	for (int i = 0; i < (int) lengthof(legal); i++)
		for (int j = 0; strcmp(legal[i].from, from) == 0 && legal[i].to[j] != NULL; j++)
			if (strcmp(legal[i].to[j], to) == 0)
				return true;
	return strcmp(from, to) == 0;
}

/* Row trigger on agentcrm.recommendation: a commitment ends in one way, once. */
Datum
agentcrm_check_transition(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	char	   *from;
	char	   *to;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("agentcrm.check_transition must be called as a trigger for updates")));
	desc = data->tg_relation->rd_att;
	from = SPI_getvalue(data->tg_trigtuple, desc, SPI_fnumber(desc, "status"));
	to = SPI_getvalue(data->tg_newtuple, desc, SPI_fnumber(desc, "status"));
	if (to != NULL && !may_follow(from, to))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("recommendation %s is %s and cannot become %s",
						SPI_getvalue(data->tg_trigtuple, desc, SPI_fnumber(desc, "recommendation_id")), from, to)));
	return PointerGetDatum(data->tg_newtuple);
}
