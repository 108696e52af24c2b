/*
 * period.c
 *		Days, months, and what a profile holds of them.
 *
 * Days are UTC days of as_of; months are those of the sources' order days.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"

#include "profile/assess.h"
#include "profile/fold.h"

/* The UTC day of a moment. */
DateADT
period_day(TimestampTz at)
{
	int64		days = at / USECS_PER_DAY;

	if (at % USECS_PER_DAY < 0)
		days--;
	return (DateADT) days;
}

/* The first day of the month so many months after (or before) the given first day. */
DateADT
period_month(DateADT month, int months)
{
	int			year,
				mon,
				mday;
	int			n;

	j2date(month + POSTGRES_EPOCH_JDATE, &year, &mon, &mday);
	n = year * 12 + mon - 1 + months;
	return date2j(n / 12, n % 12 + 1, 1) - POSTGRES_EPOCH_JDATE;
}

static Numeric
sum_of(Numeric sum, Numeric value)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(sum), NumericGetDatum(value)));
}

/* Net amount (sales and returns) of the months in [from, until); NULL when there is none. */
Numeric
period_amount(const ClientProfile *profile, DateADT from, DateADT until)
{
	Numeric		amount = NULL;

	for (int i = profile->n_months - 1; i >= 0 && profile->months[i].month >= from; i--)
	{
		const ClientMonth *month = &profile->months[i];

		if (month->month >= until)
			continue;
		amount = amount ? sum_of(amount, month->amount) : month->amount;
		amount = sum_of(amount, month->returned);
	}
	return amount;
}

/* Orders of the months in [from, until). */
int
period_orders(const ClientProfile *profile, DateADT from, DateADT until)
{
	int			orders = 0;

	for (int i = profile->n_months - 1; i >= 0 && profile->months[i].month >= from; i--)
		if (profile->months[i].month < until)
			orders += profile->months[i].orders;
	return orders;
}

/* Money to reckon with; what no order can be worth counts as the most that one can. */
double
profile_money(Numeric amount)
{
	double		value = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(amount)));

	return Max(-PROFILE_MOST_MONEY, Min(value, PROFILE_MOST_MONEY));
}

/* Both, the amount as a double. */
PeriodSums
period_sums(const ClientProfile *profile, DateADT from, DateADT until)
{
	PeriodSums	sums = {.orders = period_orders(profile, from, until)};
	Numeric		amount = period_amount(profile, from, until);

	if (amount)
		sums.amount = profile_money(amount);
	return sums;
}

/* The first day of the last 12 calendar months, the current one included. */
DateADT
period_year_start(DateADT today)
{
	return period_month(fold_month(today), -11);
}

/* Those 12 months. */
PeriodSums
period_year(const ClientProfile *profile, DateADT today)
{
	return period_sums(profile, period_year_start(today), period_month(fold_month(today), 1));
}
