/*
 * means.c
 *		The means of a round: capacities less what is committed, by owner and
 *		period; and the ways in which a bid could be done with them.
 *
 * A mean is looked up when a bid first asks for it.  Decides nothing about value.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "columns.h"
#include "plan/award.h"

typedef enum Period
{
	PERIOD_DAY, PERIOD_WEEK, PERIOD_MONTH, PERIOD_QUARTER, PERIOD_YEAR
} Period;

/* A row of agentcrm.resource or a budget of a programme, or a floor or ceiling of an objective. */
typedef struct Capacity
{
	char	   *name;
	bool		has_owner;
	int64		owner_id;
	Period		period;
	double		amount;
	double		worth;			/* above 0: a floor */
	DateADT		from;			/* the days it is there for */
	DateADT		until;
} Capacity;

typedef struct MeanKey
{
	uint64		name;			/* hash */
	int64		owner_id;
	int64		day;			/* first of the period */
} MeanKey;

typedef struct Mean
{
	MeanKey		key;
	int			number;			/* -1: not limited */
} Mean;

/* A numbered mean. */
typedef struct Numbered
{
	const char *name;
	int64		owner_id;
	DateADT		day;
	double		left;
	double		worth;
} Numbered;

struct Means
{
	DateADT		today;
	int			n_days;
	MemoryContext cxt;
	Owners	   *owners;
	int			n_capacities;
	Capacity   *capacities;
	bool		has_stock;		/* the feed is attached */
	HTAB	   *numbers;		/* of Mean */
	int			n;
	int			max;
	Numbered   *means;
};

/* ---- what there is ---- */

static const char capacity_select[] =
"SELECT r.resource, r.owner_id, r.period, r.capacity::float8, 0::float8, NULL::date, NULL::date FROM agentcrm.resource r "
"UNION ALL SELECT 'budget', p.programme_id, 'whole', p.budget::float8, 0, p.starts_on, p.ends_on FROM agentcrm.programme p WHERE p.budget IS NOT NULL "
"AND NOT EXISTS (SELECT FROM agentcrm.resource r WHERE r.resource OPERATOR(pg_catalog.=) 'budget' AND r.owner_id OPERATOR(pg_catalog.=) p.programme_id) "
"UNION ALL SELECT pg_catalog.concat('ceiling:', o.objective, ':', o.means), 0, o.period, o.ceiling::float8, 0, NULL, NULL FROM agentcrm.objective_policy o WHERE o.ceiling IS NOT NULL "
"UNION ALL SELECT pg_catalog.concat('floor:', o.objective, ':', o.means), 0, o.period, o.floor::float8, o.worth::float8, NULL, NULL FROM agentcrm.objective_policy o WHERE o.floor IS NOT NULL";

static Period
period_of(const char *name)
{
	static const char *const names[] = {"day", "week", "month", "quarter", "year"};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
			return (Period) i;
	return PERIOD_YEAR;			/* 'whole': its own days say which */
}

static void
fill_capacity(Capacity *c, HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Datum		v;

	c->name = SPI_getvalue(row, desc, 1);
	v = SPI_getbinval(row, desc, 2, &isnull);
	c->has_owner = !isnull;
	c->owner_id = isnull ? 0 : DatumGetInt64(v);
	c->period = period_of(SPI_getvalue(row, desc, 3));
	c->amount = DatumGetFloat8(SPI_getbinval(row, desc, 4, &isnull));
	c->worth = DatumGetFloat8(SPI_getbinval(row, desc, 5, &isnull));
	v = SPI_getbinval(row, desc, 6, &isnull);
	c->from = isnull ? DATEVAL_NOBEGIN : DatumGetDateADT(v);
	v = SPI_getbinval(row, desc, 7, &isnull);
	c->until = isnull ? DATEVAL_NOEND : DatumGetDateADT(v) + 1;
}

static void
read_capacities(Means *means)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table;

	if (plan_execute(&plan, capacity_select, 0, NULL, NULL) != SPI_OK_SELECT)
		elog(ERROR, "could not read the capacities");
	table = SPI_tuptable;
	MemoryContextSwitchTo(means->cxt);
	means->n_capacities = (int) table->numvals;
	means->capacities = palloc(sizeof(Capacity) * Max(means->n_capacities, 1));
	for (int i = 0; i < means->n_capacities; i++)
		fill_capacity(&means->capacities[i], table->vals[i], table->tupdesc);
	SPI_freetuptable(table);
}

/* One number of a statement, in SPI. */
static double
ask_number(SPIPlanPtr *plan, const char *sql, int n, const Oid *types, const Datum *values, MemoryContext cxt)
{
	bool		isnull;
	double		number;

	if (plan_execute(plan, sql, n, types, values) != SPI_OK_SELECT)
		elog(ERROR, "could not read the means");
	number = DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(cxt);
	return isnull ? NAN : number;
}

/* See means.h. */
Means *
means_read(DateADT today, int n_days)
{
	static SPIPlanPtr stock_plan = NULL;
	Means	   *means = palloc0(sizeof(Means));
	HASHCTL		ctl = {.keysize = sizeof(MeanKey), .entrysize = sizeof(Mean), .hcxt = CurrentMemoryContext};

	means->today = today;
	means->n_days = n_days;
	means->cxt = CurrentMemoryContext;
	means->numbers = hash_create("agentcrm means", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	means->max = 64;
	means->means = palloc(sizeof(Numbered) * means->max);
	means->owners = owners_read();
	read_capacities(means);
	means->has_stock = ask_number(&stock_plan, "SELECT count(*)::float8 FROM (SELECT FROM agentcrm.stock LIMIT 1) s", 0, NULL, NULL, means->cxt) > 0;
	return means;
}

/* ---- numbered means ---- */

/* See means.h. */
int
means_count(const Means *means)
{
	return means->n;
}

/* See means.h. */
bool
means_is_floor(const Means *means, int resource)
{
	return means->means[resource].worth > 0;
}

/* See means.h. */
double
means_left(const Means *means, int resource)
{
	return means->means[resource].left;
}

/* See means.h. */
double
means_worth(const Means *means, int resource)
{
	return means->means[resource].worth;
}

/* Name, owner (0: of all) and first day of the period. */
void
means_label(const Means *means, int resource, const char **name, int64 *owner_id, DateADT *day)
{
	*name = means->means[resource].name;
	*owner_id = means->means[resource].owner_id;
	*day = means->means[resource].day;
}

/* What a bid is told that lost for want of it. */
const char *
means_reason(const Means *means, int resource)
{
	const Numbered *mean = &means->means[resource];

	if (strcmp(mean->name, "stock") == 0)
		return "stock";
	if (strcmp(mean->name, "budget") == 0)
		return psprintf("budget:" INT64_FORMAT, mean->owner_id);
	return psprintf("capacity:%s", mean->name);
}

static DateADT
period_start(Period period, DateADT day)
{
	int			y, m, d;

	if (period == PERIOD_DAY)
		return day;
	if (period == PERIOD_WEEK)
		return day - (j2day(day + POSTGRES_EPOCH_JDATE) + 6) % 7;
	j2date(day + POSTGRES_EPOCH_JDATE, &y, &m, &d);
	if (period == PERIOD_QUARTER)
		m = (m - 1) / 3 * 3 + 1;
	return date2j(y, period == PERIOD_YEAR ? 1 : m, 1) - POSTGRES_EPOCH_JDATE;
}

/* The capacity of the owner's own row, else of everybody's; NULL: not limited, or not there on that day. */
static const Capacity *
find_capacity(const Means *means, const char *name, int64 owner_id, DateADT day)
{
	const Capacity *general = NULL;

	for (int i = 0; i < means->n_capacities; i++)
	{
		const Capacity *c = &means->capacities[i];

		if (strcmp(c->name, name) != 0)
			continue;
		if (c->has_owner && c->owner_id == owner_id)
			return c->from <= day && day < c->until ? c : NULL;
		if (!c->has_owner)
			general = c;
	}
	return general;
}

/* What recommendations use of it already. */
static double
committed(const Means *means, const char *name, int64 owner_id, DateADT day)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[3] = {TEXTOID, INT8OID, DATEOID};
	Datum		values[3] = {CStringGetTextDatum(name), Int64GetDatum(owner_id), DateADTGetDatum(day)};

	return ask_number(&plan, "SELECT coalesce(pg_catalog.sum(u.amount), 0)::float8 FROM agentcrm.resource_use u WHERE u.resource OPERATOR(pg_catalog.=) $1 "
					  "AND u.owner_id OPERATOR(pg_catalog.=) $2 AND u.day OPERATOR(pg_catalog.=) $3", 3, types, values, means->cxt);
}

/* Units on hand and not reserved by the application; NaN: nothing is known of the product. */
static double
on_hand(const Means *means, int64 product_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(product_id)};

	return ask_number(&plan, "SELECT pg_catalog.sum(s.on_hand OPERATOR(pg_catalog.-) coalesce(s.reserved, 0))::float8 FROM agentcrm.stock s "
					  "WHERE s.product_id OPERATOR(pg_catalog.=) $1", 1, types, values, means->cxt);
}

/* Stock is committed for all time until it is given back. */
#define STOCK_DAY 0

static int
add_mean(Means *means, const char *name, int64 owner_id, DateADT day, double capacity, double worth)
{
	Numbered   *mean;

	if (means->n == means->max)
	{
		means->max *= 2;
		means->means = repalloc_huge(means->means, sizeof(Numbered) * means->max);
	}
	mean = &means->means[means->n];
	mean->name = MemoryContextStrdup(means->cxt, name);
	mean->owner_id = owner_id;
	mean->day = day;
	mean->worth = worth;
	mean->left = capacity - committed(means, name, owner_id, day);
	return means->n++;
}

static int
number_mean(Means *means, const char *name, int64 owner_id, const Capacity *c, DateADT first)
{
	if (strcmp(name, "stock") == 0)
	{
		double		units = on_hand(means, owner_id);

		return isnan(units) ? -1 : add_mean(means, name, owner_id, first, units, 0);
	}
	return add_mean(means, name, owner_id, first,
					strcmp(name, "rep_minutes") == 0 ? c->amount - owners_route(means->owners, owner_id, first) : c->amount, c->worth);
}

/* See means.h. */
int
means_find(Means *means, const char *name, int64 owner_id, DateADT day)
{
	bool		stock = strcmp(name, "stock") == 0;
	const Capacity *c = stock ? NULL : find_capacity(means, name, owner_id, day);
	DateADT		first = stock ? STOCK_DAY : c != NULL && c->from != DATEVAL_NOBEGIN ? c->from : c != NULL ? period_start(c->period, day) : day;
	MeanKey		key = {hash_bytes_extended((const unsigned char *) name, strlen(name), 0), owner_id, first};
	bool		found;
	Mean	   *mean;

	/* of a day that is over nothing can be given back or taken */
	if ((!stock && c == NULL) || (c != NULL && c->period == PERIOD_DAY && day < means->today))
		return -1;
	mean = hash_search(means->numbers, &key, HASH_ENTER, &found);
	if (!found)
	{
		mean->number = -1;
		mean->number = number_mean(means, name, owner_id, c, first);
	}
	return mean->number;
}

/* What an incumbent has set aside competes anew. */
void
means_return(Means *means, int resource, double amount)
{
	means->means[resource].left += amount;
}

/* ---- ways ---- */

/* The option uses so much of the mean, if it is limited; what is missing of it otherwise. */
static double
use_mean(Means *means, MeansOption *option, const char *name, int64 owner_id, double amount)
{
	int			resource = amount > 0 ? means_find(means, name, owner_id, option->day) : -1;

	if (resource < 0 || option->n_uses == MEANS_MAX_USES)
		return 0;
	option->uses[option->n_uses++] = (MarketUse)
	{
		resource, amount
	};
	return means_is_floor(means, resource) ? 0 : amount - means->means[resource].left;
}

/* Floors and ceilings of the bid's objective. */
static double
use_objective(Means *means, MeansOption *option, const char *objective, double minutes, double cost, const char **short_of)
{
	static const char *const kinds[] = {"ceiling", "floor"};
	double		missing = 0;

	for (int k = 0; k < 2; k++)
		for (int money = 0; money < 2; money++)
		{
			char	   *name = psprintf("%s:%s:%s", kinds[k], objective, money ? "cost" : "rep_minutes");
			double		lacks = use_mean(means, option, name, 0, money ? cost : minutes);

			if (lacks > 1e-9)
			{
				*short_of = psprintf("capacity:%s", name);
				missing = lacks;
			}
		}
	return missing;
}

static double
note_missing(double lacks, const char *reason, const char **short_of, double before)
{
	if (lacks <= 1e-9)
		return before;
	*short_of = reason;
	return lacks;
}

/* What doing the bid on the option's day uses; what is missing most of what, or 0. */
static double
fill_uses(Means *means, const ClientSnapshot *client, const Bid *bid, MeansOption *option, const char **short_of)
{
	bool		visit = strcmp(bid->action, "visit") == 0;
	double		minutes = bid->minutes + (visit && option->has_rep ? owners_travel(means->owners, option->rep_id, client->territory, option->day) : 0);
	double		missing = 0;

	missing = note_missing(use_mean(means, option, "rep_minutes", option->has_rep ? option->rep_id : 0, minutes), "capacity:rep_minutes", short_of, missing);
	if (bid->channel != NULL)
	{
		char	   *name = psprintf("channel:%s", bid->channel);

		missing = note_missing(use_mean(means, option, name, 0, 1), psprintf("capacity:%s", name), short_of, missing);
	}
	if (bid->has_programme)
		missing = note_missing(use_mean(means, option, "budget", bid->programme_id, bid->budget > 0 ? bid->budget : bid->cost),
							   psprintf("budget:" INT64_FORMAT, bid->programme_id), short_of, missing);
	if (means->has_stock && bid->has_product && bid->quantity != NULL)
		missing = note_missing(use_mean(means, option, "stock", bid->product_id, profile_money(bid->quantity)), "stock", short_of, missing);
	missing += bid->objective ? use_objective(means, option, bid->objective, minutes, bid->cost, short_of) : 0;
	missing += bid->explore ? use_objective(means, option, "explore", minutes, bid->cost, short_of) : 0;
	return missing;
}

/*
 * The days until the bid lapses on which it could be done, each with its rep
 * and what it uses; 0 with the reason, and what is missing least, where there
 * is none.  What uses nothing that is scarce is done at once.
 */
int
means_options(Means *means, const ClientSnapshot *client, const Bid *bid, MeansOption *options, int max, const char **reason, double *missing)
{
	int64		days = (bid->valid_until - client->as_of) / USECS_PER_DAY;
	int			last = Max(0, Min(days, means->n_days) - 1);
	double		least = INFINITY;
	int			n = 0;

	for (int d = 0; d <= last && n < max; d++)
	{
		MeansOption *option = &options[n];
		const char *short_of = "capacity:rep_minutes";
		double		lacks;

		memset(option, 0, sizeof(MeansOption));
		option->day = client->today + d;
		option->has_rep = owners_of(means->owners, client->has_rep, client->rep_id, client->territory, option->day, &option->rep_id);
		if (bid->minutes > 0 && owners_away(means->owners, client->has_rep, client->rep_id, client->territory, option->day))
			lacks = bid->minutes;
		else
			lacks = fill_uses(means, client, bid, option, &short_of);
		if (lacks > 1e-9)
		{
			if (lacks < least)
			{
				least = lacks;
				*reason = short_of;
			}
			continue;
		}
		n++;
		if (option->n_uses == 0)
			break;
	}
	if (n == 0)
		*missing = least;
	return n;
}
