/*
 * feedback.c
 *		What people and applications say of a recommendation.
 *
 * Appends the verdict and moves the recommendation along its legal
 * transitions; undoes nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "execute/life.h"

PG_FUNCTION_INFO_V1(agentcrm_feedback);

/* A row of recommendation, locked. */
typedef struct Subject
{
	int64		client_id;
	char	   *status;
	DateADT		due_on;
} Subject;

typedef struct Verdict
{
	const char *name;
	const char *from;			/* statuses it may follow */
} Verdict;

static const Verdict verdicts[] = {
	{"shown", "open shown snoozed"},
	{"agreed", "open shown snoozed"},
	{"snoozed", "open shown agreed snoozed"},
	{"declined", "open shown agreed snoozed"},
	{"done", "open shown agreed snoozed"},
};

static const Verdict *
find_verdict(const char *name)
{
	for (int i = 0; i < (int) lengthof(verdicts); i++)
		if (strcmp(verdicts[i].name, name) == 0)
			return &verdicts[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("verdict \"%s\" is not known", name),
			 errhint("Verdicts are shown, agreed, declined, snoozed and done.")));
}

static void
lock_subject(int64 id, Subject *s)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(id)};
	bool		isnull;

	if (SPI_execute_with_args("SELECT client_id, status, due_on FROM agentcrm.recommendation "
							  "WHERE recommendation_id OPERATOR(pg_catalog.=) $1 FOR UPDATE",
							  1, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.recommendation");
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("recommendation " INT64_FORMAT " does not exist", id)));
	s->client_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	s->status = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	s->due_on = DatumGetDateADT(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull));
}

static bool
is_word_of(const char *word, const char *words)
{
	const char *at = strstr(words, word);

	return at != NULL && (at == words || at[-1] == ' ') && (at[strlen(word)] == ' ' || at[strlen(word)] == '\0');
}

static void
check_transition(const Subject *s, const Verdict *verdict, int64 id)
{
	if (is_word_of(s->status, verdict->from))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("recommendation " INT64_FORMAT " is %s: verdict \"%s\" is not possible", id, s->status, verdict->name),
			 status_stands(s->status) ? 0 : errdetail("It has ended.")));
}

static void
append_feedback(const Subject *s, int64 id, const Verdict *verdict, Datum note, bool no_note, TimestampTz at)
{
	Oid			types[6] = {INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', no_note ? 'n' : ' '};

	values[0] = Int64GetDatum(s->client_id);
	values[1] = Int64GetDatum(id);
	values[2] = TimestampTzGetDatum(at);
	/* inside a definer's function this is the role that called it */
	values[3] = CStringGetTextDatum(GetUserNameFromId(GetOuterUserId(), false));
	values[4] = CStringGetTextDatum(verdict->name);
	values[5] = note;
	SPI_execute_with_args("INSERT INTO agentcrm.feedback (client_id, recommendation_id, at, given_by, verdict, note) "
						  "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
						  6, types, values, nulls, false, 0);
}

/*
 * The new status.  Declined gives back the rep's minutes of today and later,
 * done those of later days: today's were spent.
 */
static void
move_on(const Subject *s, int64 id, const Verdict *verdict, TimestampTz at)
{
	Oid			types[5] = {INT8OID, INT8OID, TIMESTAMPTZOID, DATEOID, TEXTOID};
	Datum		values[5];

	values[0] = Int64GetDatum(s->client_id);
	values[1] = Int64GetDatum(id);
	values[2] = TimestampTzGetDatum(at);
	values[3] = DateADTGetDatum(period_day(at));
	values[4] = CStringGetTextDatum(verdict->name);
	SPI_execute_with_args("WITH r AS (UPDATE agentcrm.recommendation t SET status = $5, updated_at = $3 "
						  "WHERE t.client_id OPERATOR(pg_catalog.=) $1 "
						  "AND t.recommendation_id OPERATOR(pg_catalog.=) $2 "
						  "RETURNING t.client_id, t.recommendation_id, t.status, t.due_on), "
						  "m AS (SELECT * FROM r WHERE $5 OPERATOR(pg_catalog.=) 'declined' "
						  "OR ($5 OPERATOR(pg_catalog.=) 'done' AND r.due_on OPERATOR(pg_catalog.>) $4)) "
						  RELEASE_MEANS("m", "$3", "$4"),
						  5, types, values, NULL, false, 0);
}

/* agentcrm.feedback(recommendation_id, verdict, note) */
Datum
agentcrm_feedback(PG_FUNCTION_ARGS)
{
	int64		id;
	const Verdict *verdict;
	Subject		s;
	TimestampTz at = engine_now();

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("recommendation_id and verdict must not be null")));
	id = PG_GETARG_INT64(0);
	verdict = find_verdict(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	lock_subject(id, &s);
	check_transition(&s, verdict, id);
	append_feedback(&s, id, verdict, PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2), PG_ARGISNULL(2), at);
	if (strcmp(s.status, verdict->name) != 0)
		move_on(&s, id, verdict, at);
	SPI_finish();
	PG_RETURN_VOID();
}
