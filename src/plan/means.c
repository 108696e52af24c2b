/*
 * means.c
 *		The means of a round: capacities less what is committed, by owner and day.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/numeric.h"

#include "columns.h"
#include "plan/award.h"

typedef struct Key
{
	int64		owner_id;
	int64		day;
} Key;

typedef struct Mean
{
	Key			key;
	int			number;
} Mean;

struct Means
{
	DateADT		today;
	int			n_days;
	MemoryContext cxt;
	Limits	   *capacities;
	HTAB	   *numbers;
	int			n;
	int			max;
	Key		   *keys;
	double	   *left;
};

/* See means.h. */
Means *
means_read(DateADT today, int n_days)
{
	Means	   *means = palloc0(sizeof(Means));
	HASHCTL		ctl = {.keysize = sizeof(Key), .entrysize = sizeof(Mean), .hcxt = CurrentMemoryContext};

	means->today = today;
	means->n_days = n_days;
	means->cxt = CurrentMemoryContext;
	means->capacities = plan_capacities();
	MemoryContextSwitchTo(means->cxt);	/* SPI leaves its own */
	means->numbers = hash_create("agentcrm means", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	means->max = 64;
	means->keys = palloc(sizeof(Key) * means->max);
	means->left = palloc(sizeof(double) * means->max);
	return means;
}

int
means_count(const Means *means)
{
	return means->n;
}

bool
means_is_floor(const Means *means, int resource)
{
	return false;
}

double
means_left(const Means *means, int resource)
{
	return means->left[resource];
}

double
means_need(const Means *means, int resource)
{
	return 0;
}

double
means_worth(const Means *means, int resource)
{
	return 0;
}

void
means_label(const Means *means, int resource, const char **name, int64 *owner_id, DateADT *day)
{
	*name = "rep_minutes";
	*owner_id = means->keys[resource].owner_id;
	*day = (DateADT) means->keys[resource].day;
}

const char *
means_reason(const Means *means, int resource)
{
	return "capacity:rep_minutes";
}

static double
committed(int64 owner_id, DateADT day)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {INT8OID, DATEOID};
	Datum		values[2] = {Int64GetDatum(owner_id), DateADTGetDatum(day)};
	MemoryContext cxt = CurrentMemoryContext;
	bool		isnull;
	double		sum;

	if (plan_execute(&plan, "SELECT coalesce(pg_catalog.sum(u.amount), 0)::float8 FROM agentcrm.resource_use u WHERE u.resource OPERATOR(pg_catalog.=) 'rep_minutes' "
					 "AND u.owner_id OPERATOR(pg_catalog.=) $1 AND u.day OPERATOR(pg_catalog.=) $2", 2, types, values) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.resource_use");
	sum = DatumGetFloat8(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(cxt);
	return sum;
}

int
means_find(Means *means, const char *name, int64 owner_id, DateADT day)
{
	Key			key = {owner_id, day};
	bool		found;
	Mean	   *mean;

	if (day < means->today)
		return -1;
	mean = hash_search(means->numbers, &key, HASH_ENTER, &found);
	if (found)
		return mean->number;
	if (means->n == means->max)
	{
		means->max *= 2;
		means->keys = repalloc_huge(means->keys, sizeof(Key) * means->max);
		means->left = repalloc_huge(means->left, sizeof(double) * means->max);
	}
	mean->number = means->n++;
	means->keys[mean->number] = key;
	means->left[mean->number] = plan_owner_minutes(means->capacities, owner_id) - committed(owner_id, day);
	return mean->number;
}

void
means_return(Means *means, int resource, double amount)
{
	means->left[resource] += amount;
}

int
means_options(Means *means, const ClientSnapshot *client, const Bid *bid, MeansOption *options, int max, const char **reason,
			  double *missing)
{
	int64		days = (bid->valid_until - client->as_of) / USECS_PER_DAY;
	int			last = Max(0, Min(days, Min(max, means->n_days)) - 1);
	int64		owner_id = client->has_rep ? client->rep_id : 0;
	double		least = INFINITY;
	int			n = 0;

	for (int d = 0; d <= last; d++)
	{
		MeansOption *option = &options[n];

		memset(option, 0, sizeof(MeansOption));
		option->day = client->today + d;
		option->has_rep = client->has_rep;
		option->rep_id = client->rep_id;
		if (bid->minutes > 0)
		{
			int			resource = means_find(means, "rep_minutes", owner_id, option->day);

			if (means->left[resource] + 1e-9 < bid->minutes)
			{
				least = Min(least, bid->minutes - means->left[resource]);
				continue;
			}
			option->uses[option->n_uses++] = (MarketUse)
			{
				resource, bid->minutes
			};
		}
		n++;
		if (bid->minutes <= 0)
			break;
	}
	if (n == 0)
	{
		*reason = "capacity:rep_minutes";
		*missing = least;
	}
	return n;
}
