/*
 * repurchase.c
 *		How long the repurchase models take: a fit of a million customers, a fit of
 *		the mixture on a sample and the scores of all, one client re-scored.
 *
 * The customers are simulated by the recipe of the published timing of the
 * package lifetimes (BG/NBD with r .25, alpha 4, a .8, b 2.5 weeks, ages of 27 to 39
 * weeks, whole days), or read from the file that its script writes; those of the
 * mixture have the parameters of a grocery and ages of 26 to 104 weeks.  CPU
 * seconds of one core; the package's own figures, 20.2 s for the fit and .92 s for
 * prediction and P(alive), are from such a machine.
 *
 * Usage: repurchase [customers] [customers.csv with x,tx,T] [full: fits the mixture
 * to all as well].  Exit status 1 when a bar is missed.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/model/model.h"
#include "../test/unit/buyers.h"

#define LIFETIMES_FIT 20.2
#define LIFETIMES_PREDICT 0.92
#define WEEK 7.0
#define SAMPLE 100000
#define RESCORED 20000

static bool any_short = false;

static double
cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static void
bar(const char *name, double figure, double beat, double stretch, bool at_most)
{
	bool		met = at_most ? figure <= beat : figure >= beat;

	any_short |= !met;
	printf("%s %.4g %.4g %.4g %s\n", name, figure, beat, stretch, met ? "ok" : "short");
}

/* ---- customers ---- */

static BuyerGroup *
simulate_all(const RepurchaseModel *model, int n, int youngest, int oldest, uint64_t seed)
{
	UnitRandom	random = {seed, 0};
	BuyerGroup *all = malloc(sizeof(BuyerGroup) * n);

	for (int i = 0; i < n; i++)
	{
		int			days = youngest + (int) (unit_uniform(&random) * (oldest - youngest + 1));

		all[i] = (BuyerGroup) {simulate_buyer(&random, model, days, WEEK), 1.0};
	}
	return all;
}

/* x,tx,T a line, after a header. */
static BuyerGroup *
read_all(const char *path, int *n)
{
	FILE	   *file = fopen(path, "r");
	BuyerGroup *all = malloc(sizeof(BuyerGroup) * *n);
	char		line[200];
	int			kept = 0;

	if (!file || !fgets(line, sizeof(line), file))
	{
		fprintf(stderr, "repurchase: cannot read %s\n", path);
		exit(2);
	}
	while (kept < *n && fgets(line, sizeof(line), file))
	{
		char	   *at = line;
		BuyerStats	b = {0, 0.0, 0.0, 0.0};

		b.x = (int) strtol(at, &at, 10);
		b.tx = strtod(at + 1, &at);
		b.T = strtod(at + 1, &at);
		all[kept++] = (BuyerGroup) {b, 1.0};
	}
	fclose(file);
	*n = kept;
	return all;
}

/* ---- measured ---- */

typedef struct FitTime
{
	RepurchaseFit fit;
	int			groups;
	double		grouping;
	double		fitting;
} FitTime;

static FitTime
time_fit(BuyerGroup *groups, int n, bool merge, const RepurchaseFitOptions *options)
{
	FitTime		t = {.groups = n};
	double		start = cpu_seconds();
	void	   *workspace = malloc(buyers_group_workspace(n));

	if (merge)
		t.groups = buyers_group(groups, n, options->n_classes > 1, workspace);
	free(workspace);
	t.grouping = cpu_seconds() - start;
	start = cpu_seconds();
	workspace = malloc(repurchase_fit_workspace(t.groups));
	repurchase_fit(groups, t.groups, options, workspace, &t.fit);
	free(workspace);
	t.fitting = cpu_seconds() - start;
	return t;
}

static void
show_fit(const char *name, const FitTime *t)
{
	const RepurchaseModel *m = &t->fit.model;

	printf("%-22s %7d groups, grouping %.3f s, fit %.3f s, %d evaluations and %d on a sample (%.0f ns a group), LL %.3f%s\n", name, t->groups,
		   t->grouping, t->fitting, t->fit.evaluations, t->fit.evaluations_sample,
		   t->fitting / t->fit.evaluations / t->groups * 1e9, t->fit.log_likelihood,
		   t->fit.converged ? "" : ", not converged");
	printf("%22s r %.4f alpha %.4f a %.4f b %.4f weights", "", m->r, m->alpha, m->a, m->b);
	for (int i = 0; i < m->n_classes; i++)
		printf(" %.3f", m->weight[i]);
	printf("\n");
}

static double
time_scores(const RepurchaseModel *model, const BuyerGroup *all, int n, double horizon, double *expected)
{
	double		start = cpu_seconds();
	RepurchaseTable table;

	*expected = 0.0;
	if (!repurchase_table(model, &table))
		return NAN;
	for (int i = 0; i < n; i++)
	{
		RepurchaseScore score;

		repurchase_score_by_table(&table, &all[i].buyer, horizon, &score);
		*expected += score.expected;
	}
	return cpu_seconds() - start;
}

static double
time_rescore(const RepurchaseModel *model, const BuyerGroup *all, int n, double horizon, double *quantile)
{
	double		start = cpu_seconds();
	volatile double sink = 0.0;

	for (int i = 0; i < n; i++)
	{
		RepurchaseScore score;

		repurchase_score(model, &all[i].buyer, horizon, &score);
		sink += score.expected;
	}
	start = cpu_seconds() - start;
	*quantile = cpu_seconds();
	for (int i = 0; i < n; i++)
		sink += repurchase_active_quantile(model, &all[i].buyer, 0.5 * repurchase_alive(model, &all[i].buyer));
	*quantile = (cpu_seconds() - *quantile) / n * 1e6;
	return start / n * 1e6;
}

static void
bench_lifetimes(int n, const char *path)
{
	static const RepurchaseModel truth = {0, 0.25, 4.0, 0.8, 2.5, 1, {1}, {1.0}};
	RepurchaseFitOptions options = {.m = 0, .n_classes = 1, .k = {1}};
	BuyerGroup *all = path ? read_all(path, &n) : simulate_all(&truth, n, 189, 273, 42);
	BuyerGroup *copy = malloc(sizeof(BuyerGroup) * n);
	double		share = n / 1e6;
	FitTime		plain,
				merged,
				warm;
	RepurchaseModel start;
	double		expected;
	double		scoring;

	memcpy(copy, all, sizeof(BuyerGroup) * n);
	plain = time_fit(copy, n, false, &options);
	show_fit("BG/NBD, not grouped", &plain);
	merged = time_fit(copy, n, true, &options);
	show_fit("BG/NBD, grouped", &merged);
	start = merged.fit.model;
	start.r *= 1.03;
	start.alpha *= 1.03;
	start.a *= 1.03;
	start.b *= 1.03;
	options.start = &start;
	warm = time_fit(copy, merged.groups, false, &options);
	show_fit("warm, 3 % off", &warm);
	scoring = time_scores(&merged.fit.model, all, n, 39.0, &expected);
	printf("%22s scores %.3f s, %.0f orders in 39 weeks\n\n", "", scoring, expected);
	bar("bg_group_and_fit_against_package", LIFETIMES_FIT * share / (merged.grouping + merged.fitting), 25, 100, false);
	bar("bg_scores_against_package", LIFETIMES_PREDICT * share / scoring, 1, 3, false);
	free(all);
	free(copy);
}

static void
bench_mixture(int n, bool full)
{
	static const RepurchaseModel truth = {
		1, 1.244, 5.129, 0.4311, 0.8154, 7, {1, 2, 3, 4, 6, 8, 12}, {0.2284, 0.2583, 0.0831, 0.1948, 0.0342, 0.0166, 0.1846}
	};
	RepurchaseFitOptions options = {.m = 1, .n_classes = 7, .k = {1, 2, 3, 4, 6, 8, 12}, .tolerance = 1e-5};
	BuyerGroup *all = simulate_all(&truth, n, 26 * 7, 104 * 7, 7);
	BuyerGroup *sample = malloc(sizeof(BuyerGroup) * n);
	int			n_sample = 0;
	int			step = n > SAMPLE ? n / SAMPLE : 1;
	FitTime		fitted;
	double		expected;
	double		scoring;
	double		one;
	double		quantile;
	RepurchaseModel single = {1, 1.329, 5.625, 0.4247, 0.7900, 1, {2}, {1.0}};

	for (int i = 0; i < n; i += step)
		sample[n_sample++] = all[i];
	fitted = time_fit(sample, n_sample, true, &options);
	printf("\n");
	show_fit("mixture, sample", &fitted);
	scoring = time_scores(&fitted.fit.model, all, n, 13.0, &expected);
	printf("%22s scores %.3f s, %.0f orders in 13 weeks\n", "", scoring, expected);
	if (full)
	{
		double		by_sample = 0.0;
		FitTime		t;

		for (int i = 0; i < n; i++)
			by_sample += repurchase_log_likelihood(&fitted.fit.model, &all[i].buyer);
		memcpy(sample, all, sizeof(BuyerGroup) * n);
		t = time_fit(sample, n, true, &options);
		show_fit("mixture, all", &t);
		bar("sample_log_likelihood_per_client", (t.fit.log_likelihood - by_sample) / n, 1e-4, 5e-5, true);
	}
	printf("\n");
	bar("mixture_fit_and_scores_s_per_million", fitted.grouping + fitted.fitting + scoring * 1e6 / n, 5, 2, true);
	n = n < RESCORED ? n : RESCORED;
	one = time_rescore(&single, all, n, 13.0, &quantile);
	printf("\none client, single k: median date %.2f us more\n", quantile);
	bar("rescore_single_us", one, 20, 2, true);
	one = time_rescore(&fitted.fit.model, all, n, 13.0, &quantile);
	printf("one client, mixture: median date %.2f us more\n", quantile);
	bar("rescore_mixture_us", one, 60, 15, true);
	free(all);
	free(sample);
}

int
main(int argc, char **argv)
{
	int			n = argc > 1 ? atoi(argv[1]) : 1000000;

	if (n < 1000)
	{
		fprintf(stderr, "usage: repurchase [customers >= 1000] [customers.csv] [full]\n");
		return 2;
	}
	printf("name figure beat stretch\n\n");
	bench_lifetimes(n, argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL);
	bench_mixture(n, argc > 3);
	return any_short;
}
