/*
 * fit_window.c
 *		What the last closed window says of a new generation, and whether it takes
 *		the place of the one in use.
 *
 * A sample of clients as they were known when the window began, with what they
 * did in it, serves the kinds gap, spend and inclusion; each has a loss of its
 * own.  Parameters that did not see the window give the figures; the choice is
 * between the new ones and those in use, which have both seen it, but for the
 * last days.  A replay fits anew at each origin, and chooses nothing.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "json.h"
#include "profile/assess.h"
#include "profile/fit.h"
#include "profile/fold_at.h"
#include "profile/population.h"

#define WINDOW_DAYS 28
#define WINDOW_CLIENTS 2000
#define WINDOW_PAIRS 50000
#define NEED_CASES 100

/* A client as it was known when the window began, and at its end. */
typedef struct Seen
{
	ClientProfile then;
	ClientProfile now;
	ClientProduct *products_then;
	ClientProduct *products_now;
	int			n_then;
	int			n_now;
} Seen;

static void
add_gap(FitWindow *window, const Seen *seen, const Season *season, DateADT began)
{
	window->gaps[window->n_gaps++] = (GapCase) {
		.gaps = profile_gaps(&seen->then, season), .waited = season_days(season, seen->then.last_order_on, began),
		.ordered = seen->now.last_order_on > began
	};
}

/* Orders and net amount of the window are what it added to those of all time. */
static void
add_spend(FitWindow *window, const Seen *seen, DateADT began)
{
	PeriodSums	year = period_year(&seen->then, began);
	PeriodSums	then = period_sums(&seen->then, DATEVAL_NOBEGIN, DATEVAL_NOEND);
	PeriodSums	now = period_sums(&seen->now, DATEVAL_NOBEGIN, DATEVAL_NOEND);
	SpendCase	next = {.orders = seen->now.n_orders - seen->then.n_orders};

	next.x = order_values(&seen->then, &year, &next.mean);
	if (next.orders > 0)
		next.value = (now.amount - then.amount) / next.orders;
	if (next.mean > 0)
		window->spend[window->n_spend++] = next;
}

/* Products bought before the window are among those bought by its end, and both are ordered. */
static void
add_pairs(FitWindow *window, const Seen *seen)
{
	for (int i = 0, j = 0; i < seen->n_then && window->n_pairs < WINDOW_PAIRS; i++)
	{
		while (j < seen->n_now && seen->products_now[j].product_id < seen->products_then[i].product_id)
			j++;
		if (j == seen->n_now || seen->products_now[j].product_id != seen->products_then[i].product_id)
			continue;
		window->pairs[window->n_pairs++] = (PairCase) {
			.then = profile_pair(&seen->then, &seen->products_then[i]), .now = profile_pair(&seen->now, &seen->products_now[j])
		};
	}
}

static FitWindow *
new_window(const Season *season, DateADT today, int n)
{
	FitWindow  *window = palloc0(sizeof(FitWindow));

	window->span = season_days(season, today - WINDOW_DAYS, today);
	window->gaps = palloc(Max(n, 1) * sizeof(GapCase));
	window->spend = palloc(Max(n, 1) * sizeof(SpendCase));
	window->pairs = palloc(WINDOW_PAIRS * sizeof(PairCase));
	return window;
}

/* The window that closed at as_of, of the first clients of a sample in order of hash; their products, too, where asked for. */
FitWindow *
fit_window(const ClientSample *sample, const Season *season, bool products, TimestampTz as_of)
{
	int			n = Min(sample->n, WINDOW_CLIENTS);
	TimestampTz origin = as_of - WINDOW_DAYS * USECS_PER_DAY;
	DateADT		began = period_day(origin);
	FitWindow  *window = new_window(season, period_day(as_of), n);
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "agentcrm window", ALLOCSET_DEFAULT_SIZES);
	FoldReader	reader;

	fold_at_begin(&reader);
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);
		int64		client_id = sample->clients[i].client_id;
		Seen		seen = {0};

		CHECK_FOR_INTERRUPTS();
		seen.n_then = fold_at(&reader, client_id, origin, &seen.then, products ? &seen.products_then : NULL);
		if (seen.then.n_orders > 0)
		{
			seen.n_now = fold_at(&reader, client_id, as_of, &seen.now, products ? &seen.products_now : NULL);
			add_gap(window, &seen, season, began);
			add_spend(window, &seen, began);
			add_pairs(window, &seen);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(cxt);
	}
	fold_at_end(&reader);
	MemoryContextDelete(cxt);
	return window;
}

/* Mean loss of the cases that count under some parameters; NaN without any. */
static double
mean_loss(const FitTrial *trial, const FitWindow *window, const void *model, int *cases)
{
	double		sum = 0;

	*cases = 0;
	for (int i = 0; i < trial->n; i++)
	{
		double		loss;

		if (trial->loss(window, i, model, &loss))
		{
			sum += loss;
			++*cases;
		}
		CHECK_FOR_INTERRUPTS();
	}
	return *cases > 0 ? sum / *cases : NAN;
}

/* The figures of a generation as its metrics; *worse becomes why it is not put in use, or NULL. */
static Jsonb *
judge(const FitTrial *trial, const FitWindow *window, char **worse)
{
	JsonbParseState *state = NULL;
	int			cases;
	double		made = mean_loss(trial, window, trial->made, &cases);

	json_begin(&state);
	json_number(&state, "window_days", WINDOW_DAYS);
	json_number(&state, "window_cases", cases);
	if (cases < NEED_CASES)
		json_text(&state, "not_judged", psprintf("insufficient: needs %d cases in the window, has %d", NEED_CASES, cases));
	else
	{
		if (trial->before)
			json_number(&state, "log_loss", mean_loss(trial, window, trial->before, &cases));
		if (trial->standing)
		{
			double		standing = mean_loss(trial, window, trial->standing, &cases);

			json_number(&state, "log_loss_in_use", standing);
			if (made > standing + FIT_WORSE || isnan(made))
				*worse = psprintf("worse on the last closed window: log loss %.4f, %.4f of the generation in use", made, standing);
		}
		if (*worse)
			json_text(&state, "reason", *worse);
	}
	return json_end(&state);
}

/*
 * Write a generation: in use from now on, unless it foresaw the window worse
 * than the one in use.  Without parameters of its own it is in use all the same:
 * the data bear none any more.  Returns its id, 0 where it is not in use.
 */
int64
fit_write_judged(const char *kind, const char *params, int64 n, double log_likelihood, TimestampTz as_of,
				 const FitTrial *trial, const FitWindow *window)
{
	char	   *worse = NULL;
	Jsonb	   *metrics = window && trial->made ? judge(trial, window, &worse) : NULL;
	int64		model_id;

	if (worse)
		elog(DEBUG1, "generation of %s of %s is not put in use: %s", kind, timestamptz_to_str(as_of), worse);
	model_id = generation_write(&(Generation) {
		.kind = kind, .segment = "*", .params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(params))),
		.n = n, .has_log_likelihood = isfinite(log_likelihood), .log_likelihood = log_likelihood,
		.metrics = metrics, .as_of = as_of, .current = worse == NULL
	});
	return worse ? 0 : model_id;
}
