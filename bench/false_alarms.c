/*
 * false_alarms.c
 *		How often a living client's silence raises an alarm at 5 % per cycle.
 *
 * Clients with gamma gaps of shape 1, 2, 4, 9, lognormal mean gaps (median 21
 * days, sigma .6: not the model's own distribution) and 4 to 12 past gaps, whose
 * prior is estimated from that same population; then one more cycle each.  Four
 * populations of one shape and one of all four mixed.  The bars stand on orders
 * dated to whole days, same-day orders merged, as a database sees them.
 *
 * Usage: false_alarms [clients per population] [seed].  Exit status 1 when a bar
 * is missed.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/model/model.h"
#include "../test/unit/unit.h"

#define ALARM_LEVEL 0.05
#define YEARLY_BUDGET (1.0 / 13)
#define BEAT 0.07
#define STRETCH 0.06
#define N_SHAPES 4

static const double shapes[N_SHAPES] = {1, 2, 4, 9};

typedef struct Client
{
	int			shape;
	GapStats	past;
	double		next;			/* the gap after the past ones, days */
} Client;

/* Cycles of one shape and the alarms they raised. */
typedef struct Count
{
	double		cycles;
	double		alarms;
	double		yearly_alarms;
	double		years;
} Count;

static double
draw_gap(UnitRandom *random, double shape, double mean)
{
	return fmax(unit_gamma(random, shape) * mean / shape, 1e-9);
}

/* The next gap as recorded: whole days and at least one, or the time itself. */
static double
record_gap(UnitRandom *random, double shape, double mean, bool whole_days, double *clock)
{
	double		from = floor(*clock);
	double		gap;

	if (!whole_days)
		return fmax(1.0, draw_gap(random, shape, mean));
	do
	{
		*clock += draw_gap(random, shape, mean);
		gap = floor(*clock) - from;
	} while (gap < 1.0);
	return gap;
}

static void
draw_client(UnitRandom *random, int shape, bool whole_days, Client *client)
{
	double		mean = 21.0 * exp(0.6 * unit_normal(random));
	int			n = 4 + (int) (unit_uniform(random) * 9);
	double		clock = unit_uniform(random);

	memset(client, 0, sizeof(*client));
	client->shape = shape;
	for (int i = 0; i < n; i++)
	{
		double		gap = record_gap(random, shapes[shape], mean, whole_days, &clock);

		client->past.n++;
		client->past.sum += gap;
		client->past.sum_log += log(gap);
	}
	client->next = record_gap(random, shapes[shape], mean, whole_days, &clock);
}

static void
count_alarms(const GapPrior *prior, const Client *client, Count *count)
{
	double		yearly = gap_alarm_probability(prior, &client->past, YEARLY_BUDGET);

	count->cycles += 1.0;
	count->years += client->next / 365.25;
	if (gap_survival(prior, &client->past, client->next) < ALARM_LEVEL)
		count->alarms += 1.0;
	if (gap_survival(prior, &client->past, client->next) < yearly)
		count->yearly_alarms += 1.0;
}

/* One population; only < 0 mixes all shapes. */
static void
run_population(UnitRandom *random, int clients, int only, bool whole_days, Count counts[N_SHAPES])
{
	Client	   *population = malloc(sizeof(Client) * (size_t) clients);
	GapMoments	moments = {0};
	GapPrior	prior;

	if (population == NULL)
		exit(2);
	memset(counts, 0, sizeof(Count) * N_SHAPES);
	for (int i = 0; i < clients; i++)
	{
		draw_client(random, only < 0 ? i % N_SHAPES : only, whole_days, &population[i]);
		gap_moments_add(&moments, &population[i].past);
	}
	gap_prior_estimate(&moments, &prior);
	for (int i = 0; i < clients; i++)
		count_alarms(&prior, &population[i], &counts[population[i].shape]);
	for (int i = 0; i < N_SHAPES; i++)
		if (counts[i].cycles > 0)
			printf("%-6s %-6s shape %g  k %6.3f  r %5.2f  alpha %6.1f   %7.4f   %8.2f\n",
				   only < 0 ? "mixed" : "own", whole_days ? "days" : "times", shapes[i],
				   prior.k, prior.r, prior.alpha, counts[i].alarms / counts[i].cycles,
				   counts[i].yearly_alarms / counts[i].years / YEARLY_BUDGET);
	free(population);
}

static bool
print_bar(double shape, double figure)
{
	printf("false_alarms_shape_%g %.4f %.2f %.2f %s\n", shape, figure, BEAT, STRETCH,
		   figure <= BEAT ? "ok" : "short");
	return figure <= BEAT;
}

int
main(int argc, char **argv)
{
	int			clients = argc > 1 ? atoi(argv[1]) : 100000;
	UnitRandom	random = {argc > 2 ? strtoull(argv[2], NULL, 10) : 1, 0};
	double		figures[N_SHAPES];
	Count		counts[N_SHAPES];
	bool		passed = true;

	if (clients < 1000)
	{
		fprintf(stderr, "usage: false_alarms [clients >= 1000] [seed]\n");
		return 2;
	}
	printf("seed %llu, %d clients a population; share of cycles with a false alarm at %g,\n"
		   "and false alarms a client-year over the setting of 1/13\n\n",
		   (unsigned long long) random.seed, clients, ALARM_LEVEL);
	for (int days = 0; days <= 1; days++)
	{
		for (int i = 0; i < N_SHAPES; i++)
		{
			run_population(&random, clients, i, days, counts);
			figures[i] = counts[i].alarms / counts[i].cycles;
		}
		run_population(&random, clients, -1, days, counts);
	}
	printf("\n");
	for (int i = 0; i < N_SHAPES; i++)
		passed &= print_bar(shapes[i], figures[i]);
	return passed ? 0 : 1;
}
