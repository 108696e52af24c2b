/*
 * repurchase_fit_test.c
 *		Fits against reference vectors (see csv.h) from the orders themselves, the
 *		gradient against differences, and what a fit owes on data of any kind.
 */
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/model/model.h"
#include "buyers.h"
#include "csv.h"
#include "tap.h"

#define DAYS_PER_WEEK 7.0

static const RepurchaseFitOptions all_classes = {.m = 1, .n_classes = REPURCHASE_CLASSES, .k = {1, 2, 3, 4, 6, 8, 12}};

/* ---- orders -> clients ---- */

typedef struct Order
{
	long		client;
	long		day;
} Order;

typedef struct DataSet
{
	const char *name;
	const char *file;
	const char *until;			/* end of calibration, that day included */
} DataSet;

static const DataSet data_sets[] = {
	{"cdnow_sample", "cdnow_sample_orders.csv.gz", "1997-09-30"},
	{"grocery", "grocery_orders.csv.gz", "2006-12-31"},
	{"apparel", "apparel_orders.csv.gz", "2007-12-27"},
	{"online_retail", "../online_retail/online_retail.csv.gz", "2011-08-31"},
	{"cdnow_full", "cdnow_full_orders.csv.gz", "1997-09-30"},
};

typedef struct Clients
{
	int			n;
	BuyerGroup *groups;
} Clients;

/* Days since 1970-01-01 (Hinnant, chrono-compatible date algorithms). */
static long
day_of(const char *date)
{
	long		y = strtol(date, NULL, 10);
	long		m = strtol(date + 5, NULL, 10);
	long		d = strtol(date + 8, NULL, 10);
	long		era,
				year_of_era;

	y -= m <= 2;
	era = y / 400;
	year_of_era = y - era * 400;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
		+ (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1 - 719468;
}

static int
compare_orders(const void *u, const void *v)
{
	const Order *a = u;
	const Order *b = v;

	if (a->client != b->client)
		return a->client < b->client ? -1 : 1;
	return (a->day > b->day) - (a->day < b->day);
}

/* False for a line that is no order: the rules of the vectors' README. */
static bool
read_order(const Csv *csv, Order *order)
{
	const char *date = csv_text(csv, "date");
	const char *client = csv->field[0];

	if (!*date)
		date = csv_text(csv, "Date");
	if (!*date)
	{
		date = csv_text(csv, "invoicedate");
		client = csv_text(csv, "customerid");
		if (!*client || csv_text(csv, "invoiceno")[0] == 'C'
			|| !(csv_number(csv, "quantity") > 0 && csv_number(csv, "unitprice") > 0))
			return false;
	}
	order->client = strtol(client, NULL, 10);
	order->day = day_of(date);
	return true;
}

static int
read_orders(const DataSet *set, Order **orders)
{
	int			n = 0;
	int			room = 1 << 12;
	Csv			csv;

	if (!csv_open(&csv, set->file))
		return 0;
	*orders = malloc(sizeof(Order) * room);
	while (csv_next(&csv))
	{
		if (n == room)
			*orders = realloc(*orders, sizeof(Order) * (room *= 2));
		n += read_order(&csv, &(*orders)[n]);
	}
	csv_close(&csv);
	qsort(*orders, n, sizeof(Order), compare_orders);
	return n;
}

static Clients
read_clients(const DataSet *set)
{
	Order	   *orders = NULL;
	int			n = read_orders(set, &orders);
	long		until = day_of(set->until);
	Clients		clients = {0, malloc(sizeof(BuyerGroup) * (n > 0 ? n : 1))};
	long		first = 0;

	for (int i = 0; i < n; i++)
	{
		BuyerStats *b = &clients.groups[clients.n - 1].buyer;
		bool		same = i > 0 && orders[i].client == orders[i - 1].client;

		if (orders[i].day > until || (same && orders[i].day == orders[i - 1].day))
			continue;
		if (!same)
		{
			first = orders[i].day;
			clients.groups[clients.n++] = (BuyerGroup) {{0, 0.0, (until - first) / DAYS_PER_WEEK, 0.0}, 1.0};
			continue;
		}
		b->x++;
		b->tx = (orders[i].day - first) / DAYS_PER_WEEK;
		b->sum_log += log((orders[i].day - orders[i - 1].day) / DAYS_PER_WEEK);
	}
	free(orders);
	return clients;
}

/* ---- calls with memory ---- */

static int
group(BuyerGroup *groups, int n, bool by_gaps)
{
	void	   *workspace = malloc(buyers_group_workspace(n));
	int			kept = buyers_group(groups, n, by_gaps, workspace);

	free(workspace);
	return kept;
}

static bool
fit(const BuyerGroup *groups, int n, const RepurchaseFitOptions *options, RepurchaseFit *result)
{
	void	   *workspace = malloc(repurchase_fit_workspace(n));
	bool		done = repurchase_fit(groups, n, options, workspace, result);

	free(workspace);
	return done;
}

static Clients
copy_grouped(const Clients *all, bool by_gaps)
{
	Clients		copy = {0, malloc(sizeof(BuyerGroup) * all->n)};

	memcpy(copy.groups, all->groups, sizeof(BuyerGroup) * all->n);
	copy.n = group(copy.groups, all->n, by_gaps);
	return copy;
}

/* ---- vectors ---- */

static double
relative(double got, double want)
{
	return fabs(got - want) / fabs(want);
}

static void
compare_fit(const Csv *csv, const Clients *all)
{
	const char *name = csv_text(csv, "model");
	int			k = (int) csv_number(csv, "k");
	RepurchaseFitOptions options = {.m = name[0] == 'M', .n_classes = 1, .k = {k}, .no_weak_prior = true};
	Clients		clients = copy_grouped(all, false);
	RepurchaseFit result;
	double		want = csv_number(csv, "LL");
	bool		boundary = strcmp(csv_text(csv, "dataset"), "online_retail") == 0 && k == 1;
	double		off;
	char		label[100];

	snprintf(label, sizeof(label), "%s %s k=%d", csv_text(csv, "dataset"), name, k);
	fit(clients.groups, clients.n, &options, &result);
	free(clients.groups);
	printf("# %s: %d groups, %d evaluations and %d on a sample%s\n", label, clients.n, result.evaluations, result.evaluations_sample,
		   result.converged ? "" : ", not converged");
	tap_ok(result.n == csv_number(csv, "n"), "%s: %.0f clients", label, result.n);
	tap_ok(fabs(result.log_likelihood - want) <= (boundary ? 1e-3 : 1e-6), "%s: log-likelihood %.6f (off by %.1e)", label,
		   result.log_likelihood, result.log_likelihood - want);
	if (boundary)
	{
		tap_ok(result.no_defection, "%s: no defection visible", label);
		return;
	}
	off = fmax(fmax(relative(result.model.r, csv_number(csv, "p1")), relative(result.model.alpha / k, csv_number(csv, "p2"))),
			   fmax(relative(result.model.a, csv_number(csv, "p3")), relative(result.model.b, csv_number(csv, "p4"))));
	tap_ok(off <= 1e-5 && result.converged && !result.no_defection, "%s: parameters within 1e-5 (%.1e)", label, off);
}

static void
compare_mixture(const Csv *csv, const Clients *all)
{
	Clients		clients = copy_grouped(all, true);
	RepurchaseFitOptions options = all_classes;
	const char *label = csv_text(csv, "dataset");
	RepurchaseFit result;
	double		want = csv_number(csv, "LL");

	options.no_weak_prior = true;
	fit(clients.groups, clients.n, &options, &result);
	free(clients.groups);
	printf("# %s mixture: %d groups, %d evaluations and %d on a sample%s\n", label, clients.n, result.evaluations,
		   result.evaluations_sample, result.converged ? "" : ", not converged");
	tap_ok(fabs(result.log_likelihood - want) <= 1e-3, "%s mixture: log-likelihood %.6f (off by %.1e)", label,
		   result.log_likelihood, result.log_likelihood - want);
}

static void
test_vectors(const DataSet *set)
{
	Clients		clients = read_clients(set);
	Csv			csv;

	if (clients.n == 0)
		tap_skip("the orders of %s are not here", set->name);
	if (clients.n > 0 && csv_open(&csv, "fit_vectors.csv"))
	{
		while (csv_next(&csv))
			if (strcmp(csv_text(&csv, "dataset"), set->name) == 0 && *csv_text(&csv, "k"))
				compare_fit(&csv, &clients);
		csv_close(&csv);
	}
	if (clients.n > 0 && csv_open(&csv, "mix_fit_vectors.csv"))
	{
		while (csv_next(&csv))
			if (strcmp(csv_text(&csv, "dataset"), set->name) == 0)
				compare_mixture(&csv, &clients);
		csv_close(&csv);
	}
	free(clients.groups);
}

/* ---- simulated clients ---- */

static const RepurchaseModel truth = {
	1, 1.24, 36.0, 0.6, 2.0, REPURCHASE_CLASSES, {1, 2, 3, 4, 6, 8, 12}, {0.2, 0.3, 0.0, 0.3, 0.0, 0.0, 0.2}
};

/* In days; seed and number choose them. */
static Clients
simulated(const RepurchaseModel *model, int n, uint64_t seed)
{
	UnitRandom	random = {seed, 0};
	Clients		clients = {n, malloc(sizeof(BuyerGroup) * n)};

	for (int i = 0; i < n; i++)
	{
		int			days = 100 + (int) (unit_uniform(&random) * 600);

		clients.groups[i] = (BuyerGroup) {simulate_buyer(&random, model, days, 1.0), 1.0};
	}
	return clients;
}

/* By the code for one client, which shares no table with the fit. */
static double
one_by_one(const RepurchaseModel *model, const Clients *clients)
{
	double		sum = 0.0;

	for (int i = 0; i < clients->n; i++)
		sum += clients->groups[i].n * repurchase_log_likelihood(model, &clients->groups[i].buyer);
	return sum;
}

static double
together(const RepurchaseModel *model, const Clients *clients, double *gradient)
{
	void	   *workspace = malloc(repurchase_fit_workspace(clients->n));
	double		sum = repurchase_log_likelihood_of(model, clients->groups, clients->n, workspace, gradient);

	free(workspace);
	return sum;
}

/* ---- gradient ---- */

static double *
parameter(RepurchaseModel *model, int i)
{
	double	   *of[] = {&model->r, &model->alpha, &model->a, &model->b};

	return of[i];
}

/* Central differences of five points in ln of a parameter. */
static double
difference(const RepurchaseModel *model, const Clients *clients, int i)
{
	static const double at[4] = {-2, -1, 1, 2};
	static const double weight[4] = {1, -8, 8, -1};
	double		h = 2e-3;
	double		sum = 0.0;

	for (int j = 0; j < 4; j++)
	{
		RepurchaseModel moved = *model;

		*parameter(&moved, i) *= exp(at[j] * h);
		sum += weight[j] * one_by_one(&moved, clients);
	}
	return sum / (12.0 * h);
}

/* Likelihood is linear in the weights: lift of class i = sum of f_i / f. */
static double
lift(const RepurchaseModel *model, const Clients *clients, int i)
{
	RepurchaseModel alone = *model;
	double		sum = 0.0;

	alone.n_classes = 1;
	alone.k[0] = model->k[i];
	alone.weight[0] = 1.0;
	for (int j = 0; j < clients->n; j++)
		sum += clients->groups[j].n * exp(repurchase_log_likelihood(&alone, &clients->groups[j].buyer)
										  - repurchase_log_likelihood(model, &clients->groups[j].buyer));
	return sum;
}

static double
gradient_error(const RepurchaseModel *model, const Clients *clients)
{
	double		gradient[REPURCHASE_PARAMETERS + REPURCHASE_CLASSES];
	double		error = relative(together(model, clients, gradient), one_by_one(model, clients));

	for (int i = 0; i < REPURCHASE_PARAMETERS; i++)
		error = fmax(error, relative(gradient[i], difference(model, clients, i)));
	for (int i = 0; model->n_classes > 1 && i < model->n_classes; i++)
		if (model->weight[i] > 0.0)
			error = fmax(error, relative(gradient[REPURCHASE_PARAMETERS + i], lift(model, clients, i)));
	return error;
}

static void
test_gradient(void)
{
	Clients		clients = simulated(&truth, 300, 3);
	RepurchaseModel off = truth;
	double		error = 0.0;

	off.r = 0.7;
	off.alpha = 50.0;
	off.a = 1.4;
	off.b = 0.8;
	for (int i = 0; i < 2 * REPURCHASE_CLASSES; i++)
	{
		RepurchaseModel model = {i % 2, 0.7, 50.0, 1.4, 0.8, 1, {truth.k[i / 2]}, {1.0}};

		error = fmax(error, gradient_error(&model, &clients));
	}
	tap_ok(error <= 1e-7, "gradient of single classes against differences (%.2g)", error);
	error = gradient_error(&off, &clients);
	off.m = 0;
	error = fmax(error, gradient_error(&off, &clients));
	tap_ok(error <= 1e-7, "gradient of the mixture (%.2g)", error);
	free(clients.groups);
}

/* More distinct times than the tables hold, and more distinct x. */
static void
test_no_room(void)
{
	UnitRandom	random = {5, 0};
	Clients		clients = simulated(&truth, 12000, 4);
	double		gradient[REPURCHASE_PARAMETERS + REPURCHASE_CLASSES];

	for (int i = 0; i < clients.n; i++)
	{
		BuyerStats *b = &clients.groups[i].buyer;

		b->T += unit_uniform(&random);
		if (i % 10 == 0)
			*b = (BuyerStats) {i + 1, 90.0 + unit_uniform(&random), b->T, -5.0 * i};
	}
	tap_near(together(&truth, &clients, gradient), one_by_one(&truth, &clients), 1e-11,
			 "clients beyond the tables' room are counted like the rest");
	free(clients.groups);
}

static void
test_grouping(void)
{
	Clients		clients = simulated(&truth, 5000, 6);
	Clients		by_gaps = copy_grouped(&clients, true);
	Clients		merged = copy_grouped(&clients, false);
	RepurchaseModel single = {1, 1.0, 30.0, 0.7, 2.0, 1, {3}, {1.0}};
	double		n = 0.0;

	for (int i = 0; i < merged.n; i++)
		n += merged.groups[i].n;
	tap_ok(n == 5000 && merged.n < by_gaps.n && by_gaps.n < 5000, "5,000 clients are %d groups, %d with their gaps", merged.n, by_gaps.n);
	tap_near(one_by_one(&single, &merged), one_by_one(&single, &clients), 1e-12, "and as likely under a single k");
	tap_near(one_by_one(&truth, &by_gaps), one_by_one(&truth, &clients), 1e-12, "with their gaps under the mixture");
	free(clients.groups);
	free(by_gaps.groups);
	free(merged.groups);
}

/* ---- what a fit owes ---- */

static void
test_recovery(void)
{
	Clients		clients = simulated(&truth, 20000, 7);
	RepurchaseFitOptions options = all_classes;
	RepurchaseFit cold,
				warm;
	double		at_truth = one_by_one(&truth, &clients);

	fit(clients.groups, clients.n, &options, &cold);
	tap_ok(cold.converged && cold.evaluations <= 40, "20,000 clients of four classes: %d evaluations and %d on a sample",
		   cold.evaluations, cold.evaluations_sample);
	/* twice the gain over the truth is chi-squared with ten degrees of freedom: 29.6 at one in a thousand */
	tap_ok(cold.log_likelihood > at_truth && cold.log_likelihood < at_truth + 200.0, "as likely as the truth and more (%.1f)",
		   cold.log_likelihood - at_truth);
	tap_near(cold.log_likelihood, one_by_one(&cold.model, &clients), 1e-11, "the likelihood reported is that of the model returned");
	/* gaps rounded up to days make the random look a little regular */
	tap_ok(fabs(cold.model.weight[0] - 0.2) < 0.08 && fabs(cold.model.weight[6] - 0.2) < 0.05, "the random and the rhythmic are told apart (%.3f, %.3f)", cold.model.weight[0], cold.model.weight[6]);
	options.start = &cold.model;
	fit(clients.groups, clients.n, &options, &warm);
	tap_ok(warm.converged && warm.evaluations <= cold.evaluations, "a warm start: %d evaluations and %d on a sample", warm.evaluations,
		   warm.evaluations_sample);
	tap_near(warm.log_likelihood, cold.log_likelihood, 1e-9, "ends in the same place");
	free(clients.groups);
}

static bool
finite_model(const RepurchaseFit *f)
{
	return repurchase_model_valid(&f->model) && isfinite(f->log_likelihood);
}

/* Steady buyers under k = 1: leaving cannot be seen, the likelihood is a ridge. */
static void
test_priors(void)
{
	RepurchaseModel steady = {1, 5.0, 100.0, 1e-3, 1e3, 1, {12}, {1.0}};
	Clients		clients = simulated(&steady, 2000, 8);
	RepurchaseFitOptions options = {.m = 1, .n_classes = 1, .k = {1}, .no_weak_prior = true};
	RepurchaseFitOptions shrunk = all_classes;
	RepurchaseFit f,
				few,
				pooled;

	fit(clients.groups, clients.n, &options, &f);
	tap_ok(f.no_defection && !f.weak_prior && finite_model(&f), "at the boundary: no defection visible (%d evaluations)", f.evaluations);
	options.no_weak_prior = false;
	fit(clients.groups, clients.n, &options, &f);
	tap_ok(f.weak_prior && f.converged && fabs(log(f.model.a)) < 8 && fabs(log(f.model.b)) < 8, "where data hold nothing a weak prior does");
	fit(clients.groups, 50, &options, &few);
	tap_ok(few.weak_prior && few.n == 50 && few.converged, "50 clients have one");
	free(clients.groups);

	clients = simulated(&truth, 3000, 9);
	shrunk.no_weak_prior = true;
	fit(clients.groups, clients.n, &shrunk, &f);
	shrunk.pool = &f.model;
	shrunk.pool_weight = 1e7;
	fit(clients.groups, 100, &shrunk, &pooled);
	tap_ok(fabs(pooled.model.r / f.model.r - 1) < 1e-3 && fabs(pooled.model.b / f.model.b - 1) < 1e-3
		   && fabs(pooled.model.weight[1] - f.model.weight[1]) < 1e-3 && !pooled.weak_prior, "a segment under a heavy pool is the pool");
	shrunk.pool_weight = 20.0;
	fit(clients.groups, 100, &shrunk, &pooled);
	shrunk.pool = NULL;
	fit(clients.groups, 100, &shrunk, &few);
	tap_ok(fabs(log(pooled.model.r / f.model.r)) < fabs(log(few.model.r / f.model.r))
		   && pooled.log_likelihood <= few.log_likelihood && pooled.log_likelihood >= one_by_one(&f.model, &(Clients) {100, clients.groups}),
		   "under a light one it lies between");
	free(clients.groups);
}

static void
test_odd_data(void)
{
	static const BuyerGroup data[][3] = {
		{{{0, 0.0, 0.0, 0.0}, 1.0}, {{0, 0.0, 0.0, 0.0}, 5.0}, {{0, 0.0, 0.0, 0.0}, 1.0}},	/* all of today */
		{{{0, 0.0, 100.0, 0.0}, 1000.0}, {{0, 0.0, 30.0, 0.0}, 1.0}, {{0, 0.0, 1.0, 0.0}, 1.0}},	/* nobody came back */
		{{{1, 3650.0, 3650.0, 8.2}, 1.0}, {{0, 0.0, 1.0, 0.0}, 1.0}, {{9, 9.0, 9.0, 0.0}, 1.0}},	/* a gap of ten years */
		{{{1000000, 1e6, 1e6, 0.0}, 1.0}, {{1, 1.0, 1e9, 0.0}, 1.0}, {{1, 1e-9, 1e9, -20.7}, 1e6}},
		{{{2, 4.0, 3.0, 0.0}, 1.0}, {{1, 1.0, 2.0, 0.0}, 1.0}, {{0, 0.0, NAN, 0.0}, 4.0}},	/* two of them none */
	};
	RepurchaseFit f;
	bool		sane = true;

	for (int i = 0; i < (int) (sizeof(data) / sizeof(data[0])); i++)
		for (int prior = 0; prior < 2; prior++)
			for (int k = 0; k < 3; k++)
			{
				RepurchaseFitOptions options = {.m = 1, .n_classes = 1, .k = {k == 0 ? 1 : 12}};

				if (k == 2)
					options = all_classes;
				options.no_weak_prior = prior;
				if (fit(data[i], 3, &options, &f) && finite_model(&f) && f.evaluations <= 602 && !(prior && f.weak_prior))
					continue;
				sane = false;
				printf("# data %d prior %d k %d: LL %g after %d; r %g alpha %g a %g b %g\n", i, prior, k, f.log_likelihood, f.evaluations,
					   f.model.r, f.model.alpha, f.model.a, f.model.b);
			}
	tap_ok(sane, "whatever the data, a model and a bounded number of evaluations");
	tap_ok(f.n == 1 && f.n_invalid == 5, "clients that cannot be are left out and counted");
	tap_ok(!fit(&data[4][2], 1, &all_classes, &f) && !fit(data[0], 0, &all_classes, &f), "no client, no fit");
	tap_ok(!fit(data[0], 3, &(RepurchaseFitOptions) {.m = 1}, &f)
		   && !fit(data[0], 3, &(RepurchaseFitOptions) {.n_classes = 1, .k = {13}}, &f)
		   && !fit(data[0], 3, &(RepurchaseFitOptions) {.n_classes = 1, .k = {1}, .pool = &truth, .pool_weight = 1.0}, &f),
		   "nor with options that are none");
}

static jmp_buf way_out;

static void
leave(void *arg)
{
	if (++*(int *) arg == 7)
		longjmp(way_out, 1);
}

static void
test_interrupt(void)
{
	Clients		clients = simulated(&truth, 6000, 10);
	void	   *workspace = malloc(repurchase_fit_workspace(clients.n));
	static int	calls = 0;
	RepurchaseFitOptions options = all_classes;
	RepurchaseFit f;

	options.check = leave;
	options.check_arg = &calls;
	if (setjmp(way_out) == 0)
		repurchase_fit(clients.groups, clients.n, &options, workspace, &f);
	tap_ok(calls == 7, "a fit can be left in the middle");
	options.check = NULL;
	options.max_evaluations = 5;
	repurchase_fit(clients.groups, clients.n, &options, workspace, &f);
	tap_ok(f.evaluations <= 6 && f.evaluations_sample <= 5 && !f.converged && finite_model(&f), "and stops where it is told to");
	free(workspace);
	free(clients.groups);
}

/* Rosenbrock's valley, free and with its minimum walled off. */
static double
valley(const double *at, double *gradient, void *arg)
{
	double		across = at[1] - at[0] * at[0];

	gradient[0] = -400.0 * at[0] * across - 2.0 * (1.0 - at[0]);
	gradient[1] = 200.0 * across;
	return 100.0 * across * across + (1.0 - at[0]) * (1.0 - at[0]);
}

static void
test_minimise(void)
{
	Minimise	problem = {valley, NULL, 2, {-5, -5}, {5, 5}, 1e-10, 200};
	MinimiseMemory memory = {0};
	MinimiseResult found;
	double		at[2] = {-1.2, 1.0};

	model_minimise(&problem, at, &memory, &found);
	tap_ok(found.converged && fabs(at[0] - 1.0) < 1e-8 && fabs(at[1] - 1.0) < 1e-8, "the end of a curved valley (%d evaluations)", found.evaluations);
	/* on x <= 1/2 the minimum is x = 1/2, y = 1/4 */
	problem.high[0] = 0.5;
	at[0] = -1.2;
	at[1] = 1.0;
	memory = (MinimiseMemory) {0};
	model_minimise(&problem, at, &memory, &found);
	tap_ok(found.converged && at[0] == 0.5 && fabs(at[1] - 0.25) < 1e-8, "and against a wall (%d evaluations)", found.evaluations);
}

int
main(void)
{
	for (int i = 0; i < (int) (sizeof(data_sets) / sizeof(data_sets[0])); i++)
		test_vectors(&data_sets[i]);
	test_minimise();
	test_gradient();
	test_no_room();
	test_grouping();
	test_recovery();
	test_priors();
	test_odd_data();
	test_interrupt();
	return tap_done();
}
