/*
 * clock.c
 *		The one place that asks what time it is.
 *
 * agentcrm.debug_now stands in for the time in tests and demonstrations.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "agentcrm.h"
#include "compat.h"
#include "engine/clock.h"

PG_FUNCTION_INFO_V1(agentcrm_clock);

char	   *engine_debug_now = NULL;

static TimestampTz debug_time = 0;
static bool debug_time_set = false;

/*
 * Check hook of agentcrm.debug_now: empty, or a time.  Runs in the postmaster
 * too, so it must not raise errors.  The value becomes the time in digits, with
 * its offset: a parallel worker restores its settings one by one, and reads it
 * before it has the time zone and its abbreviations, which in words and "T" would
 * be looked up in freed memory.
 */
bool
engine_check_debug_now(char **newval, void **extra, GucSource source)
{
	char		work[MAXDATELEN + MAXDATEFIELDS];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			n;
	int			kind;
	int			tz;
	struct pg_tm tm;
	fsec_t		fsec;
	TimestampTz time;
	char	   *digits;

	if (*newval == NULL || **newval == '\0')
		return true;
	if (ParseDateTime(*newval, work, sizeof(work), fields, types, MAXDATEFIELDS, &n) != 0 ||
		compat_decode_datetime(fields, types, n, &kind, &tm, &fsec, &tz) != 0 ||
		kind != DTK_DATE || tm.tm_year <= 0 || tm2timestamp(&tm, fsec, &tz, &time) != 0)
	{
		GUC_check_errdetail("\"%s\" is not a time such as \"2026-01-31 09:00+00\".", *newval);
		return false;
	}
	digits = compat_guc_malloc(MAXDATELEN + 1);
	*extra = compat_guc_malloc(sizeof(TimestampTz));
	if (digits == NULL || *extra == NULL)
		return false;
	EncodeDateTime(&tm, fsec, true, tz, NULL, USE_ISO_DATES, digits);
	compat_guc_free(*newval);
	*newval = digits;
	*(TimestampTz *) *extra = time;
	return true;
}

/* Assign hook of agentcrm.debug_now. */
void
engine_assign_debug_now(const char *newval, void *extra)
{
	debug_time_set = extra != NULL;
	if (extra)
		debug_time = *(TimestampTz *) extra;
}

/* The current time, or the one that stands in for it. */
TimestampTz
engine_now(void)
{
	return debug_time_set ? debug_time : GetCurrentTimestamp();
}

/* agentcrm.clock(): the engine's time. */
Datum
agentcrm_clock(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(engine_now());
}
