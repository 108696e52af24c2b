/*
 * season.c
 *		A planted season: what the clock of the firm's own calendar forecasts, and
 *		what it alarms about in closed weeks.
 *
 * Clients of mean gaps from one to eight weeks and shape 1 to 4 live on a
 * calendar of their firm: summer at 60 % of the average, autumn at 140 %, closed for
 * two weeks in August and from Christmas to New Year, no orders on Sundays, a fifth more
 * clients every year.  The calendar is fitted on the first two years, and the third is forecast in windows of 28
 * days: the bias is the mean over the windows of |forecast / orders - 1|.  Alarms at 5 %
 * a cycle, in that year: of the cycles that begin within a fortnight before closed days the share
 * that alarms at all (chosen by their beginning, for those that overlap closed days are longer than
 * others), and of those open on closed days the share that alarms on one of them.
 * The flat clock stands beside it.
 *
 * Usage: season [clients] [seed].  Exit status 1 when a bar is missed.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/model/model.h"
#include "../test/unit/unit.h"

#define FIT_DAYS 731			/* 2022 and 2023, 0 being 2022-01-01 */
#define ALL_DAYS 1096
#define DAY_0 8036				/* 2022-01-01 counted from 2000-01-01 */
#define WINDOW 28
#define LEVEL 0.05

/* Intensity of a day, and its sum up to the start of each day. */
static double intensity[ALL_DAYS];
static double before[ALL_DAYS + 1];

static bool
is_closed(int day_of_year)
{
	return (day_of_year >= 216 && day_of_year < 230) || day_of_year >= 358;
}

static void
plant(void)
{
	for (int t = 0; t < ALL_DAYS; t++)
	{
		int			doy = t % 365;
		double		wave = 1.0 + 0.4 * sin(6.283185307179586 * (doy - 230) / 365.0);

		intensity[t] = is_closed(doy) || (t + 6) % 7 == 0 ? 0.0 : wave;
		before[t + 1] = before[t] + intensity[t];
	}
}

/* The moment when so much intensity has passed. */
static double
moment(double sum)
{
	int			low = 0;
	int			high = ALL_DAYS;

	if (sum >= before[ALL_DAYS])
		return ALL_DAYS + 1;
	while (high - low > 1)
	{
		int			middle = (low + high) / 2;

		if (before[middle] <= sum)
			low = middle;
		else
			high = middle;
	}
	return low + (sum - before[low]) / intensity[low];
}

typedef struct Client
{
	int			n;				/* order days */
	int			day[ALL_DAYS];
} Client;

static void
draw_client(UnitRandom *random, int i, int n, Client *client)
{
	static const double shapes[] = {1, 2, 3, 4};
	double		shape = shapes[i % 4];
	double		rate = before[ALL_DAYS] / ALL_DAYS;
	double		mean = (7.0 + 49.0 * unit_uniform(random)) * rate;
	double		sum = unit_uniform(random) * mean;
	double		at;

	/* the later half joins over the years */
	if (i > n / 2)
		sum += before[(int) (unit_uniform(random) * FIT_DAYS)];
	client->n = 0;
	while ((at = moment(sum)) < ALL_DAYS)
	{
		if (client->n == 0 || client->day[client->n - 1] != (int) at)
			client->day[client->n++] = (int) at;
		sum += unit_gamma(random, shape) * mean / shape;
	}
}

/* The gaps closed by a day, on a clock. */
static GapStats
gaps_until(const Client *client, int day, const Season *season, int *last)
{
	GapStats	s = {0, 0.0, 0.0};

	*last = -1;
	for (int i = 0; i < client->n && client->day[i] < day; i++)
	{
		if (*last >= 0)
		{
			double		gap = fmax(0.5, season_days(season, DAY_0 + *last, DAY_0 + client->day[i]));

			s.n++;
			s.sum += gap;
			s.sum_log += log(gap);
		}
		*last = client->day[i];
	}
	return s;
}

static GapPrior
fit_gaps(const Client *clients, int n, const Season *season)
{
	GapMoments *moments = calloc(1, sizeof(GapMoments));
	GapPrior	prior;
	int			last;

	if (moments == NULL)
		exit(2);
	for (int i = 0; i < n; i++)
	{
		GapStats	s = gaps_until(&clients[i], FIT_DAYS, season, &last);

		gap_moments_add(moments, &s);
	}
	gap_prior_estimate(moments, &prior);
	free(moments);
	return prior;
}

static double
forecast_bias(const Client *clients, int n, const Season *season, const GapPrior *prior)
{
	double		bias = 0;
	int			windows = 0;

	for (int from = FIT_DAYS; from + WINDOW <= ALL_DAYS; from += WINDOW)
	{
		double		forecast = 0;
		double		orders = 0;

		for (int i = 0; i < n; i++)
		{
			int			last;
			GapStats	s = gaps_until(&clients[i], from, season, &last);

			if (last < 0)
				continue;
			forecast += gap_orders_expected(prior, &s, season_days(season, DAY_0 + last, DAY_0 + from),
											season_days(season, DAY_0 + from, DAY_0 + from + WINDOW));
			for (int j = 0; j < clients[i].n; j++)
				orders += clients[i].day[j] >= from && clients[i].day[j] < from + WINDOW;
		}
		bias += fabs(forecast / orders - 1);
		windows++;
	}
	return bias / windows;
}

typedef struct Rate
{
	double		cycles;
	double		alarms;
} Rate;

/* Third year: cycles that begin shortly before closed days, those open on them, all others. */
typedef struct Rates
{
	Rate		before;
	Rate		during;
	Rate		other;
} Rates;

static void
count(Rate *rate, bool alarm)
{
	rate->cycles++;
	rate->alarms += alarm;
}

/* The first day of a gap's silence that is below LEVEL; beyond `to` when there is none. */
static int
alarm_day(const GapPrior *prior, const GapStats *s, const Season *season, int from, int to)
{
	for (int day = from + 1; day <= to; day++)
		if (gap_survival(prior, s, season_days(season, DAY_0 + from, DAY_0 + day)) < LEVEL)
			return day;
	return to + 1;
}

static Rates
count_alarms(const Client *clients, int n, const Season *season, const GapPrior *prior)
{
	Rates		rates = {0};

	for (int i = 0; i < n; i++)
		for (int j = 5; j < clients[i].n; j++)
		{
			int			from = clients[i].day[j - 1];
			int			to = clients[i].day[j];
			bool		shortly = false;
			bool		open = false;
			int			last;
			int			alarm;
			GapStats	s;

			if (from < FIT_DAYS)
				continue;
			for (int t = from; t < from + 14; t++)
				shortly |= is_closed(t % 365);
			for (int t = from + 1; t < to; t++)
				open |= is_closed(t % 365);
			s = gaps_until(&clients[i], from + 1, season, &last);
			alarm = alarm_day(prior, &s, season, from, to);
			count(shortly ? &rates.before : &rates.other, alarm <= to);
			if (open)
				count(&rates.during, alarm <= to && is_closed(alarm % 365));
		}
	return rates;
}

static double
share(const Rate *rate)
{
	return rate->alarms / rate->cycles;
}

static void
print_clock(const char *name, double bias, const Rates *r)
{
	printf("%s clock: bias %.3f; alarms in cycles begun before closed days %.3f, on closed days %.3f, in other cycles %.3f\n",
		   name, bias, share(&r->before), share(&r->during), share(&r->other));
}

/* A client's orders of the first two years but the first, and its mean rate between first and last. */
static void
count_days(const Client *client, double *orders, double *expected)
{
	int			n = 0;

	while (n < client->n && client->day[n] < FIT_DAYS)
		n++;
	for (int j = 1; j < n; j++)
	{
		orders[client->day[j]]++;
		for (int t = client->day[j - 1] + 1; t <= client->day[j]; t++)
			expected[t] += (n - 1.0) / (client->day[n - 1] - client->day[0]);
	}
}

static bool
print_bar(const char *name, double figure, double beat, double stretch)
{
	printf("%s %.4f %g %g %s\n", name, figure, beat, stretch, figure <= beat ? "ok" : "short");
	return figure <= beat;
}

int
main(int argc, char **argv)
{
	int			n = argc > 1 ? atoi(argv[1]) : 2000;
	UnitRandom	random = {argc > 2 ? strtoull(argv[2], NULL, 10) : 1, 0};
	Client	   *clients = calloc((size_t) (n > 0 ? n : 1), sizeof(Client));
	double		orders[FIT_DAYS] = {0};
	double		expected[FIT_DAYS] = {0};
	Season		season;
	Season		flat = {0};
	GapPrior	prior;
	double		bias;
	Rates		rates;
	bool		passed;

	if (n < 50 || clients == NULL)
	{
		fprintf(stderr, "usage: season [clients >= 50] [seed]\n");
		return 2;
	}
	plant();
	for (int i = 0; i < n; i++)
	{
		draw_client(&random, i, n, &clients[i]);
		count_days(&clients[i], orders, expected);
	}
	prior = fit_gaps(clients, n, &flat);
	rates = count_alarms(clients, n, &flat, &prior);
	printf("seed %llu, %d clients\n", (unsigned long long) random.seed, n);
	print_clock("flat", forecast_bias(clients, n, &flat, &prior), &rates);
	season_fit(&season, orders, expected, DAY_0, FIT_DAYS);
	prior = fit_gaps(clients, n, &season);
	bias = forecast_bias(clients, n, &season, &prior);
	rates = count_alarms(clients, n, &season, &prior);
	print_clock("own", bias, &rates);
	passed = print_bar("season_forecast_bias", bias, 0.10, 0.05);
	passed &= print_bar("alarms_of_cycles_before_closed_weeks", share(&rates.before), 0.10, 0.07);
	return print_bar("alarms_on_closed_days", share(&rates.during), 0.10, 0.07) && passed ? 0 : 1;
}
