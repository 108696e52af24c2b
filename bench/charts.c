/*
 * charts.c
 *		The charts of silence and slow-down: false alarms in living clients, and
 *		how soon a client is found who slows down or stops.
 *
 * False alarms: the clients of false_alarms.c go on living for three years, looked
 * at every day, and each alarm that is raised counts; bars on populations of one
 * shape, and one of all mixed.  Evidence: how often the slow-down chart passes h
 * in a cycle of a steady client, times e^h, which ought to be 1 for every k: its
 * threshold is read off the budget without a table.  Detection: mean gaps of one to four weeks, 20
 * past gaps, looks once a week, the change at week 52; the budget is such that a
 * fifth of the stable clients ever alarm in 156 weeks; clients who alarm before
 * the change are left out.
 *
 * Usage: charts [clients] [seed].  Exit status 1 when a bar is missed.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/model/model.h"
#include "../test/unit/unit.h"

#define YEARLY_BUDGET (1.0 / 13)
#define N_SHAPES 4
#define YEARS 3
#define MAX_GAPS 3000
#define WEEKS 156
#define CHANGE 52
#define EVER 0.2

static const double shapes[N_SHAPES] = {1, 2, 4, 9};

/* What is known of a client, and of its alarms. */
typedef struct Client
{
	double		shape;
	double		mean;			/* days */
	double		clock;			/* time of the last order, days */
	int			orders;			/* since a time alarm was raised last, the first after it included */
	GapStats	gaps;
	double		recent[CHART_GAPS];
	int			n_recent;
} Client;

typedef struct Budget
{
	double		stop;			/* per-cycle probabilities */
	double		slow;
} Budget;

static void
add_gap(Client *client, double gap)
{
	client->gaps.n++;
	client->gaps.sum += gap;
	client->gaps.sum_log += log(gap);
	if (client->n_recent == CHART_GAPS)
		memmove(client->recent, client->recent + 1, --client->n_recent * sizeof(double));
	client->recent[client->n_recent++] = gap;
}

/* The time of the next order whose day is another one. */
static double
next_order(UnitRandom *random, const Client *client)
{
	double		at = client->clock;

	do
		at += fmax(unit_gamma(random, client->shape) * client->mean / client->shape, 1e-9);
	while (floor(at) <= floor(client->clock));
	return at;
}

static void
order(Client *client, double at)
{
	add_gap(client, floor(at) - floor(client->clock));
	client->clock = at;
	client->orders++;
}

static Client
draw_client(UnitRandom *random, double shape, double mean, int n)
{
	Client		client = {.shape = shape, .mean = mean, .orders = MAX_GAPS};

	client.clock = unit_uniform(random);
	for (int i = 0; i < n; i++)
		order(&client, next_order(random, &client));
	client.orders = MAX_GAPS;
	return client;
}

static void
start_chart(SlowChart *chart, const GapPrior *prior, const Client *client)
{
	int			n = client->orders - 1 < client->n_recent ? client->orders - 1 : client->n_recent;

	chart_slow_start(chart, prior, &client->gaps, client->recent + client->n_recent - (n > 0 ? n : 0), n,
					 client->orders > 0);
}

static Budget
budget_of(const GapPrior *prior, const Client *client, double yearly)
{
	return (Budget)
	{
		gap_alarm_probability(prior, &client->gaps, yearly * CHART_SHARE_STOP),
		gap_alarm_probability(prior, &client->gaps, yearly * CHART_SHARE_SLOW)
	};
}

static GapPrior
fit(const Client *clients, int n)
{
	GapMoments *moments = calloc(1, sizeof(GapMoments));
	GapPrior	prior;

	if (moments == NULL)
		exit(2);
	for (int i = 0; i < n; i++)
		gap_moments_add(moments, &clients[i].gaps);
	gap_prior_estimate(moments, &prior);
	free(moments);
	return prior;
}

static Client *
population(int n)
{
	Client	   *clients = calloc((size_t) n, sizeof(Client));

	if (clients == NULL)
		exit(2);
	return clients;
}

/* ---- false alarms ---- */

typedef struct Alarms
{
	double		stop;
	double		slow;
	double		years;
} Alarms;

static void
live(UnitRandom *random, Client client, const GapPrior *prior, Alarms *alarms)
{
	double		end = client.clock + YEARS * 365.25;

	alarms->years += YEARS;
	while (client.clock < end)
	{
		double		at = next_order(random, &client);
		double		gap = floor(fmin(at, end)) - floor(client.clock);
		Budget		budget = budget_of(prior, &client, YEARLY_BUDGET);
		SlowChart	chart;

		start_chart(&chart, prior, &client);
		if (exp(-chart_slow(&chart, gap)) < budget.slow)
		{
			alarms->slow++;
			client.orders = 0;
		}
		if (gap_survival(prior, &client.gaps, gap) < budget.stop)
		{
			/* passed both on the same day, or the stop first: one alarm */
			if (client.orders == 0)
			{
				double		stop_day = gap_quantile(prior, &client.gaps, 1.0 - budget.stop);

				if (exp(-chart_slow(&chart, floor(stop_day))) >= budget.slow)
					alarms->slow--;
			}
			alarms->stop++;
			client.orders = 0;
		}
		order(&client, at);
	}
}

static double
false_alarms(UnitRandom *random, int n, int only, double *share)
{
	Client	   *clients = population(n);
	Alarms		alarms[N_SHAPES] = {0};
	GapPrior	prior;
	double		all = 0,
				years = 0;

	for (int i = 0; i < n; i++)
		clients[i] = draw_client(random, shapes[only < 0 ? i % N_SHAPES : only],
								 21.0 * exp(0.6 * unit_normal(random)), 4 + (int) (unit_uniform(random) * 9));
	prior = fit(clients, n);
	for (int i = 0; i < n; i++)
		live(random, clients[i], &prior, &alarms[only < 0 ? i % N_SHAPES : only]);
	for (int s = 0; s < N_SHAPES; s++)
		if (alarms[s].years > 0)
		{
			double		scale = alarms[s].years * YEARLY_BUDGET * (CHART_SHARE_TIME);

			printf("%-6s shape %g: false alarms over the setting %.2f (silence %.2f, slow-down %.2f)\n",
				   only < 0 ? "mixed" : "own", shapes[s], (alarms[s].stop + alarms[s].slow) / scale,
				   alarms[s].stop / scale, alarms[s].slow / scale);
			all += alarms[s].stop + alarms[s].slow;
			years += alarms[s].years;
		}
	free(clients);
	*share = all / years / (YEARLY_BUDGET * (CHART_SHARE_TIME));
	return *share;
}

/* ---- the threshold of the evidence ---- */

static void
evidence(UnitRandom *random, int n, double shape)
{
	static const double h[] = {3, 4, 5, 6};
	Client	   *clients = population(n);
	double		passed[4] = {0};
	double		cycles = 0;
	GapPrior	prior;

	for (int i = 0; i < n; i++)
		clients[i] = draw_client(random, shape, 30.0 * exp(0.6 * unit_normal(random)), 10);
	prior = fit(clients, n);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < 4; j++)
		{
			Client		client = clients[i];
			UnitRandom	own = {random->seed + (uint64_t) i, 0};

			for (int c = 0; c < 40; c++)
			{
				double		at = next_order(&own, &client);
				SlowChart	chart;

				start_chart(&chart, &prior, &client);
				cycles += j == 0;
				if (chart_slow(&chart, floor(at) - floor(client.clock)) > h[j])
				{
					passed[j]++;
					client.orders = 0;
				}
				order(&client, at);
			}
		}
	printf("evidence, k %-4g: cycles in which it passes h, times e^h:", shape);
	for (int j = 0; j < 4; j++)
		printf("  h %g: %.2f", h[j], passed[j] / cycles * exp(h[j]));
	printf("\n");
	free(clients);
}

/* ---- detection ---- */

typedef enum Fate
{
	STEADY, HALVED, STOPPED
} Fate;

/* For each yearly budget, ascending, the first weekly look that alarms; WEEKS + 1 when none does. */
static void
first_alarms(UnitRandom random, Client client, const GapPrior *prior, Fate fate, const double *yearly, int n, int *week)
{
	double		begin = client.clock;
	double		next = next_order(&random, &client);
	bool		changed = false;

	for (int j = 0; j < n; j++)
		week[j] = WEEKS + 1;
	for (int w = 1; w <= WEEKS; w++)
	{
		double		now = begin + 7.0 * w;
		double		silent;
		double		least;
		SlowChart	chart;

		if (fate != STEADY && !changed && w > CHANGE)
		{
			double		then = begin + 7.0 * CHANGE;

			changed = true;
			client.mean = fate == HALVED ? 2.0 * client.mean : 1e9;
			next = fate == HALVED ? then + 2.0 * (next - then) : 1e12;
		}
		while (next <= now)
		{
			order(&client, next);
			next = next_order(&random, &client);
		}
		silent = floor(now) - floor(client.clock);
		start_chart(&chart, prior, &client);
		/* the least yearly budget that alarms now */
		least = gap_cycles_per_year(prior, &client.gaps)
			* fmin(gap_survival(prior, &client.gaps, silent) / CHART_SHARE_STOP,
				   exp(-chart_slow(&chart, silent)) / CHART_SHARE_SLOW);
		for (int j = 0; j < n; j++)
			if (week[j] > WEEKS && least < yearly[j])
				week[j] = w;
		if (week[0] <= WEEKS)
			break;
	}
}

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* The share found within 26 weeks of the change, and the median weeks until then. */
static double
detect(uint64_t seed, const Client *clients, int n, const GapPrior *prior, Fate fate, double yearly, double *median)
{
	int		   *weeks = malloc(sizeof(int) * (size_t) n);
	int			kept = 0;
	int			found = 0;

	if (weeks == NULL)
		exit(2);
	for (int i = 0; i < n; i++)
	{
		int			week;

		first_alarms((UnitRandom) {seed + (uint64_t) i, 0}, clients[i], prior, fate, &yearly, 1, &week);
		if (week <= CHANGE)
			continue;
		found += week <= CHANGE + 26;
		weeks[kept++] = week - CHANGE;
	}
	qsort(weeks, (size_t) kept, sizeof(int), compare_ints);
	*median = weeks[kept / 2];
	free(weeks);
	return (double) found / kept;
}

/* The budget at which a fifth of the stable clients ever alarm. */
static double
budget_for(uint64_t seed, const Client *clients, int n, const GapPrior *prior)
{
	enum
	{
		STEPS = 161
	};
	double		yearly[STEPS];
	int			ever[STEPS] = {0};
	int			j;

	for (j = 0; j < STEPS; j++)
		yearly[j] = 0.03 * exp2(j / 53.0);
	for (int i = 0; i < n; i++)
	{
		int			week[STEPS];

		first_alarms((UnitRandom) {seed + (uint64_t) i, 0}, clients[i], prior, STEADY, yearly, STEPS, week);
		for (j = 0; j < STEPS; j++)
			ever[j] += week[j] <= WEEKS;
	}
	for (j = STEPS - 1; j > 0 && ever[j] > EVER * n; j--)
		;
	return yearly[j];
}

static bool
print_bar(const char *name, double figure, double beat, double stretch, bool less)
{
	bool		passed = less ? figure <= beat : figure >= beat;

	printf("%s %.4g %g %g %s\n", name, figure, beat, stretch, passed ? "ok" : "short");
	return passed;
}

static bool
detection(UnitRandom *random, int n, double shape, const double beat[4])
{
	Client	   *clients = population(n);
	GapPrior	prior;
	double		yearly,
				half,
				stop,
				median;
	char		name[40];
	bool		passed;

	for (int i = 0; i < n; i++)
		clients[i] = draw_client(random, shape, 7.0 + 21.0 * unit_uniform(random), 20);
	prior = fit(clients, n);
	yearly = budget_for(random->seed * 1000003, clients, n, &prior);
	half = detect(random->seed * 2000003, clients, n, &prior, HALVED, yearly, &median);
	detect(random->seed * 3000017, clients, n, &prior, STOPPED, yearly, &stop);
	printf("k %g: budget %.4f a year for a fifth ever; halved: %.3f within 26 weeks, median %g; stop: median %g\n",
		   shape, yearly, half, median, stop);
	free(clients);
	snprintf(name, sizeof(name), "halved_k%g_within_26_weeks", shape);
	passed = print_bar(name, half, beat[0], beat[1], false);
	snprintf(name, sizeof(name), "stop_k%g_median_weeks", shape);
	return print_bar(name, stop, beat[2], beat[3], true) && passed;
}

int
main(int argc, char **argv)
{
	static const double bars[2][4] = {{0.60, 0.69, 8, 6}, {0.90, 0.96, 5, 4}};
	static const double evidence_shapes[] = {1, 2, 4, 8, 16};
	int			clients = argc > 1 ? atoi(argv[1]) : 3000;
	UnitRandom	random = {argc > 2 ? strtoull(argv[2], NULL, 10) : 1, 0};
	double		figures[N_SHAPES];
	double		mixed;
	bool		passed = true;

	if (clients < 500)
	{
		fprintf(stderr, "usage: charts [clients >= 500] [seed]\n");
		return 2;
	}
	printf("seed %llu, %d clients a population\n", (unsigned long long) random.seed, clients);
	for (int i = 0; i < 5; i++)
		evidence(&random, clients / 4, evidence_shapes[i]);
	for (int i = 0; i < N_SHAPES; i++)
		false_alarms(&random, clients, i, &figures[i]);
	false_alarms(&random, clients, -1, &mixed);
	for (int i = 0; i < N_SHAPES; i++)
	{
		char		name[40];

		snprintf(name, sizeof(name), "alarms_a_year_off_shape_%g", shapes[i]);
		passed &= print_bar(name, fabs(figures[i] - 1), 0.30, 0.15, true);
	}
	passed &= print_bar("alarms_a_year_off_mixed", fabs(mixed - 1), 0.30, 0.15, true);
	passed &= detection(&random, clients, 3, bars[0]);
	passed &= detection(&random, clients, 8, bars[1]);
	return passed ? 0 : 1;
}
