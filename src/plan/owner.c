/*
 * owner.c
 *		Who does the work for a client on a day, and where reps are: territories,
 *		hand-overs, absences, visit days.
 *
 * Read once a round.  Knows no bid.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"

#include "columns.h"
#include "plan/means.h"

PG_FUNCTION_INFO_V1(agentcrm_owner_of);

/* Hand-overs are followed so far: a circle of them ends. */
#define MOST_HAND_OVERS 16

typedef struct Territory
{
	char	   *name;
	int64		rep_id;
} Territory;

typedef struct Span
{
	int64		rep_id;
	DateADT		from;
	DateADT		until;			/* exclusive */
	bool		has_other;
	int64		other_id;		/* the substitute, or who takes over */
} Span;

typedef struct Visit
{
	int64		rep_id;
	int			weekday;
	char	   *zone;
	double		travel;
} Visit;

typedef struct Zone
{
	char	   *name;
	double		travel;
} Zone;

struct Owners
{
	int			n_territories;
	Territory  *territories;
	int			n_hand_overs;
	Span	   *hand_overs;
	int			n_absences;
	Span	   *absences;
	int			n_visits;
	Visit	   *visits;
	int			n_zones;
	Zone	   *zones;
};

static SPITupleTable *
read_rows(SPIPlanPtr *plan, const char *sql, MemoryContext cxt, int *n)
{
	if (plan_execute(plan, sql, 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read the owners of clients");
	MemoryContextSwitchTo(cxt);
	*n = (int) SPI_tuptable->numvals;
	return SPI_tuptable;
}

static int64
int8_of(const SPITupleTable *table, int row, int column, bool *isnull)
{
	return DatumGetInt64(SPI_getbinval(table->vals[row], table->tupdesc, column, isnull));
}

static DateADT
date_of(const SPITupleTable *table, int row, int column, DateADT otherwise)
{
	bool		isnull;
	Datum		v = SPI_getbinval(table->vals[row], table->tupdesc, column, &isnull);

	return isnull ? otherwise : DatumGetDateADT(v);
}

static double
float8_of(const SPITupleTable *table, int row, int column)
{
	bool		isnull;

	return DatumGetFloat8(SPI_getbinval(table->vals[row], table->tupdesc, column, &isnull));
}

static Span *
read_spans(SPIPlanPtr *plan, const char *sql, MemoryContext cxt, int *n)
{
	SPITupleTable *table = read_rows(plan, sql, cxt, n);
	Span	   *spans = palloc(sizeof(Span) * Max(*n, 1));

	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		spans[i].rep_id = int8_of(table, i, 1, &isnull);
		spans[i].from = date_of(table, i, 2, DATEVAL_NOBEGIN);
		spans[i].until = date_of(table, i, 3, DATEVAL_NOEND);
		spans[i].other_id = int8_of(table, i, 4, &isnull);
		spans[i].has_other = !isnull;
	}
	SPI_freetuptable(table);
	return spans;
}

static void
read_territories(Owners *owners, MemoryContext cxt)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table = read_rows(&plan, "SELECT t.territory, t.rep_id FROM agentcrm.rep_territory t ORDER BY t.territory COLLATE \"C\"", cxt, &owners->n_territories);

	owners->territories = palloc(sizeof(Territory) * Max(owners->n_territories, 1));
	for (int i = 0; i < owners->n_territories; i++)
	{
		bool		isnull;

		owners->territories[i].name = SPI_getvalue(table->vals[i], table->tupdesc, 1);
		owners->territories[i].rep_id = int8_of(table, i, 2, &isnull);
	}
	SPI_freetuptable(table);
}

static void
read_visits(Owners *owners, MemoryContext cxt)
{
	static SPIPlanPtr visit_plan = NULL;
	static SPIPlanPtr zone_plan = NULL;
	SPITupleTable *table = read_rows(&visit_plan, "SELECT v.rep_id, v.weekday::int8, v.zone, z.travel_minutes::float8 FROM agentcrm.visit_day v "
									 "JOIN agentcrm.zone z ON z.zone OPERATOR(pg_catalog.=) v.zone", cxt, &owners->n_visits);

	owners->visits = palloc(sizeof(Visit) * Max(owners->n_visits, 1));
	for (int i = 0; i < owners->n_visits; i++)
	{
		bool		isnull;

		owners->visits[i].rep_id = int8_of(table, i, 1, &isnull);
		owners->visits[i].weekday = (int) int8_of(table, i, 2, &isnull);
		owners->visits[i].zone = SPI_getvalue(table->vals[i], table->tupdesc, 3);
		owners->visits[i].travel = float8_of(table, i, 4);
	}
	SPI_freetuptable(table);
	table = read_rows(&zone_plan, "SELECT z.zone, z.travel_minutes::float8 FROM agentcrm.zone z", cxt, &owners->n_zones);
	owners->zones = palloc(sizeof(Zone) * Max(owners->n_zones, 1));
	for (int i = 0; i < owners->n_zones; i++)
	{
		owners->zones[i].name = SPI_getvalue(table->vals[i], table->tupdesc, 1);
		owners->zones[i].travel = float8_of(table, i, 2);
	}
	SPI_freetuptable(table);
}

/* See means.h. */
Owners *
owners_read(void)
{
	static SPIPlanPtr hand_over_plan = NULL;
	static SPIPlanPtr absence_plan = NULL;
	MemoryContext cxt = CurrentMemoryContext;
	Owners	   *owners = palloc0(sizeof(Owners));

	read_territories(owners, cxt);
	owners->hand_overs = read_spans(&hand_over_plan, "SELECT h.from_rep_id, h.from_day, NULL::date, h.to_rep_id FROM agentcrm.hand_over h ORDER BY h.from_day DESC, h.from_rep_id",
									cxt, &owners->n_hand_overs);
	owners->absences = read_spans(&absence_plan, "SELECT a.rep_id, a.from_day, a.until_day, a.substitute_rep_id FROM agentcrm.rep_absence a ORDER BY a.rep_id, a.from_day",
								  cxt, &owners->n_absences);
	read_visits(owners, cxt);
	return owners;
}

static const Span *
find_span(const Span *spans, int n, int64 rep_id, DateADT day)
{
	for (int i = 0; i < n; i++)
		if (spans[i].rep_id == rep_id && spans[i].from <= day && day < spans[i].until)
			return &spans[i];
	return NULL;
}

/* Whose client it is on that day, whether he is there or not. */
static bool
holder_of(const Owners *owners, bool has_rep, int64 own_rep, const char *territory, DateADT day, int64 *rep_id)
{
	const Span *span;

	*rep_id = own_rep;
	for (int i = 0; !has_rep && territory != NULL && i < owners->n_territories; i++)
		if (strcmp(owners->territories[i].name, territory) == 0)
		{
			*rep_id = owners->territories[i].rep_id;
			has_rep = true;
		}
	for (int i = 0; has_rep && i < MOST_HAND_OVERS && (span = find_span(owners->hand_overs, owners->n_hand_overs, *rep_id, day)) != NULL; i++)
		*rep_id = span->other_id;
	return has_rep;
}

/* Who does the work on that day; false where nobody is named, or nobody is there. */
bool
owners_of(const Owners *owners, bool has_rep, int64 own_rep, const char *territory, DateADT day, int64 *rep_id)
{
	const Span *away;

	if (!holder_of(owners, has_rep, own_rep, territory, day, rep_id))
		return false;
	away = find_span(owners->absences, owners->n_absences, *rep_id, day);
	if (away == NULL)
		return true;
	*rep_id = away->other_id;
	/* a substitute who is away himself stands in for nobody */
	return away->has_other && find_span(owners->absences, owners->n_absences, *rep_id, day) == NULL;
}

/* Is there a rep, but neither he nor a substitute there on that day? */
bool
owners_away(const Owners *owners, bool has_rep, int64 own_rep, const char *territory, DateADT day)
{
	int64		rep_id;

	return holder_of(owners, has_rep, own_rep, territory, day, &rep_id) && !owners_of(owners, has_rep, own_rep, territory, day, &rep_id);
}

static int
weekday_of(DateADT day)
{
	return (j2day(day + POSTGRES_EPOCH_JDATE) + 6) % 7 + 1;
}

/* See means.h.  Reps without visit days go where they like. */
double
owners_travel(const Owners *owners, int64 rep_id, const char *zone, DateADT day)
{
	bool		has_days = false;

	if (zone == NULL)
		return 0;
	for (int i = 0; i < owners->n_visits; i++)
	{
		const Visit *v = &owners->visits[i];

		if (v->rep_id != rep_id)
			continue;
		has_days = true;
		if (v->weekday == weekday_of(day) && strcmp(v->zone, zone) == 0)
			return 0;
	}
	for (int i = 0; has_days && i < owners->n_zones; i++)
		if (strcmp(owners->zones[i].name, zone) == 0)
			return owners->zones[i].travel;
	return 0;
}

/* See means.h. */
double
owners_route(const Owners *owners, int64 rep_id, DateADT day)
{
	double		minutes = 0;

	for (int i = 0; i < owners->n_visits; i++)
		if (owners->visits[i].rep_id == rep_id && owners->visits[i].weekday == weekday_of(day))
			minutes += owners->visits[i].travel;
	return minutes;
}

/* agentcrm.owner_of(rep_id, territory, day) */
Datum
agentcrm_owner_of(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = CurrentMemoryContext;
	int64		rep_id;
	bool		found;

	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	MemoryContextSwitchTo(cxt);
	found = owners_of(owners_read(), !PG_ARGISNULL(0), PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0),
					  PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_DATEADT(2), &rep_id);
	SPI_finish();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(rep_id);
}
