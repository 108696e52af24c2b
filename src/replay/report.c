/*
 * report.c
 *		Results of a backtest as rows of backtest_calibration and backtest_metric.
 *
 * What the data cannot tell is a row all the same, without a value and with
 * what it would take; never a number that is none.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "columns.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "replay/replay.h"

/* Least cases for a figure to be told. */
#define NEEDS_CASES 30
#define NEEDS_OUTCOMES 5
#define NEEDS_STOPS 5
#define NEEDS_YEARS 10

typedef struct Figure
{
	const char *agent;
	const char *segment;
	const char *metric;
	const char *naive;			/* NULL: nothing to compare with */
	double		value;
	double		naive_value;
	double		n;				/* cases */
	double		needs;			/* at least so many of ... */
	double		has;
	const char *what;			/* ... these */
} Figure;

typedef struct Report
{
	int64		run_id;
	int			n_figures;
	int			max_figures;
	Figure	   *figures;
	Columns    *calibration;
} Report;

static void
add_figure(Report *report, Figure figure)
{
	if (report->n_figures == report->max_figures)
	{
		report->max_figures = Max(64, report->max_figures * 2);
		report->figures = report->figures ? repalloc(report->figures, sizeof(Figure) * report->max_figures) :
			palloc(sizeof(Figure) * report->max_figures);
	}
	report->figures[report->n_figures++] = figure;
}

static double
mean_of(const Mean *mean)
{
	return mean->n > 0 ? mean->sum / mean->n : NAN;
}

/* A figure over cases, told from thirty on; groups without any are passed over. */
static void
add_cases(Report *report, const char *agent, const char *segment, const char *metric, const char *naive, double value,
		  double naive_value, double n)
{
	if (n > 0 || strcmp(segment, "*") == 0)
		add_figure(report, (Figure) {agent, segment, metric, naive, value, naive_value, n, NEEDS_CASES, n, "cases"});
}

static void
add_calibration(Report *report, const char *agent, const char *segment, const Scores *scores)
{
	for (int i = 0; i < SCORE_BINS; i++)
	{
		const ScoreBin *bin = &scores->bin[i];

		if (bin->n == 0)
			continue;
		columns_row(report->calibration);
		columns_set_text(report->calibration, 1, agent);
		columns_set_text(report->calibration, 2, segment);
		columns_set(report->calibration, 3, Int32GetDatum(i + 1));
		columns_set(report->calibration, 4, Int64GetDatum((int64) bin->n));
		columns_set(report->calibration, 5, Float8GetDatum(bin->p / bin->n));
		columns_set(report->calibration, 6, Float8GetDatum(bin->happened / bin->n));
	}
}

/* ---- the models' forecasts ---- */

static void
report_chance(Report *report, const Forecasts *f)
{
	const Scores *model = &f->chance[RULE_MODEL];
	double		either = Min(f->ranks[RULE_MODEL]->n[0], f->ranks[RULE_MODEL]->n[1]);

	add_calibration(report, "model", f->segment, model);
	for (int r = 0; r < NAIVES; r++)
	{
		const Scores *naive = &f->chance[r];

		add_figure(report, (Figure) {"model", f->segment, "auc", rule_names[r], ranks_auc(f->ranks[RULE_MODEL]),
			ranks_auc(f->ranks[r]), model->n, NEEDS_OUTCOMES, either, "cases of either outcome"});
		if (r == NAIVE_RECENCY)
			continue;
		add_cases(report, "model", f->segment, "log_loss", rule_names[r], scores_log_loss(model), scores_log_loss(naive), model->n);
		add_cases(report, "model", f->segment, "brier", rule_names[r], scores_brier(model), scores_brier(naive), model->n);
		add_cases(report, "model", f->segment, "ece", rule_names[r], scores_ece(model), scores_ece(naive), model->n);
		add_cases(report, "model", f->segment, "orders_mae", rule_names[r], mean_of(&f->orders[RULE_MODEL]),
				  mean_of(&f->orders[r]), f->orders[r].n);
		add_cases(report, "model", f->segment, "orders_rmse", rule_names[r], sqrt(mean_of(&f->squares[RULE_MODEL])),
				  sqrt(mean_of(&f->squares[r])), f->squares[r].n);
	}
	add_cases(report, "model", f->segment, "crps_days", rule_names[NAIVE_RATE], mean_of(&f->date[RULE_MODEL]),
			  mean_of(&f->date[NAIVE_RATE]), f->date[RULE_MODEL].n);
}

static void
report_alarms(Report *report, const Forecasts *f)
{
	const char *rule = "twice the mean gap";
	const Alarms *model = &f->alarms[ALARM_MODEL];
	const Alarms *naive = &f->alarms[ALARM_NAIVE];
	bool		all = strcmp(f->segment, "*") == 0;

	if (all || model->years > 0)
		add_figure(report, (Figure) {"alarms", f->segment, "false_alarms_per_year", rule, model->in_vain / model->years,
			naive->in_vain / naive->years, model->raised, NEEDS_YEARS, model->years, "client-years"});
	if (all || model->delay.n + naive->delay.n > 0)
		add_figure(report, (Figure) {"alarms", f->segment, "alarm_delay_days", rule, mean_of(&model->delay),
			mean_of(&naive->delay), model->delay.n, NEEDS_STOPS, model->delay.n, "stops with an alarm"});
	if (all || model->seen.n > 0)
		add_figure(report, (Figure) {"alarms", f->segment, "stops_seen", rule, mean_of(&model->seen), mean_of(&naive->seen),
			model->seen.n, NEEDS_STOPS, model->seen.n, "stops known in hindsight"});
}

/* ---- the agents' bids ---- */

/* The share of all living clients of the group who bought within windows as long as the demands. */
static double
any_bought(const Bids *b, const Forecasts *f)
{
	double		bought = 0;
	double		share = 0;

	for (int day = 0; day <= MAX_HORIZON; day++)
	{
		bought += f->by_day[day];
		share += b->windows[day] * bought;
	}
	return share / (f->living * b->any.n);
}

static void
report_bids(Report *report, const Bids *b, const Forecasts *f)
{
	const char *agent = b->key.agent;
	const char *segment = b->key.segment;

	add_calibration(report, agent, segment, &b->chance);
	if (b->any.n + b->item.n == 0)
	{
		add_figure(report, (Figure) {agent, segment, "bought", "any client", NAN, NAN, b->n, NEEDS_CASES, 0,
			"bids within the horizon"});
		return;
	}
	if (b->any.n > 0)
		add_cases(report, agent, segment, "bought", "any client", mean_of(&b->any), any_bought(b, f), b->any.n);
	if (b->item.n > 0)
		add_cases(report, agent, segment, "item_bought", NULL, mean_of(&b->item), NAN, b->item.n);
	add_cases(report, agent, segment, "log_loss", NULL, scores_log_loss(&b->chance), NAN, b->chance.n);
	add_cases(report, agent, segment, "brier", NULL, scores_brier(&b->chance), NAN, b->chance.n);
	add_cases(report, agent, segment, "ece", NULL, scores_ece(&b->chance), NAN, b->chance.n);
	if (b->stopped.n > 0)
		add_cases(report, agent, segment, "stopped", "any client", mean_of(&b->stopped), mean_of(&f->stopped), b->stopped.n);
}

static Mean
calls_of(const Measure *m, const char *list)
{
	Calls	   *calls = hash_search(m->calls, list, HASH_FIND, NULL);

	return calls ? calls->bought : (Mean) {0};
}

static void
report_calls(Report *report, const Measure *m)
{
	HASH_SEQ_STATUS scan;
	Calls	   *calls;
	Mean		model = calls_of(m, rule_lists[RULE_MODEL]);
	Mean		rate = calls_of(m, rule_lists[NAIVE_RATE]);
	Mean		recency = calls_of(m, rule_lists[NAIVE_RECENCY]);

	add_cases(report, "model", "*", "calls_bought", rule_names[NAIVE_RATE], mean_of(&model), mean_of(&rate), model.n);
	add_cases(report, "model", "*", "calls_bought", rule_names[NAIVE_RECENCY], mean_of(&model), mean_of(&recency), model.n);
	hash_seq_init(&scan, m->calls);
	while ((calls = hash_seq_search(&scan)) != NULL)
		if (calls->list[0] != '=')
			add_cases(report, calls->list, "*", "calls_bought", NULL, mean_of(&calls->bought), NAN, calls->bought.n);
}

/* ---- rows ---- */

static void
set_number(Columns *c, int column, double value, bool told)
{
	if (told && isfinite(value))
		columns_set(c, column, Float8GetDatum(value));
}

static void
write_figures(const Report *report)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, FLOAT8OID, FLOAT8OID, INT8OID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	Columns    *c = columns_new(lengthof(types), types, report->n_figures);
	Oid			run_type = INT8OID;
	Datum		run_id = Int64GetDatum(report->run_id);

	for (int i = 0; i < report->n_figures; i++)
	{
		const Figure *f = &report->figures[i];
		bool		told = f->has >= f->needs && isfinite(f->value);

		columns_row(c);
		columns_set_text(c, 1, f->agent);
		columns_set_text(c, 2, f->segment);
		columns_set_text(c, 3, f->metric);
		columns_set_text(c, 4, f->naive ? f->naive : "-");
		set_number(c, 5, f->value, told);
		set_number(c, 6, f->naive_value, told);
		columns_set(c, 7, Int64GetDatum((int64) f->n));
		if (!told && f->has >= f->needs)
			columns_set_text(c, 8, "insufficient: a forecast was no number");
		else if (!told)
			columns_set_text(c, 8, psprintf("insufficient: needs %.0f %s, has %.0f", f->needs, f->what, floor(f->has)));
	}
	if (columns_execute(c, &plan, "INSERT INTO agentcrm.backtest_metric "
						"(run_id, agent, segment, metric, naive, value, naive_value, n, remark) "
						"SELECT $9, m.* FROM " COLUMNS " AS m(agent, segment, metric, naive, value, naive_value, n, remark)",
						1, &run_type, &run_id) != SPI_OK_INSERT)
		elog(ERROR, "could not write metrics");
}

static void
write_calibration(const Report *report)
{
	static SPIPlanPtr plan = NULL;
	Oid			run_type = INT8OID;
	Datum		run_id = Int64GetDatum(report->run_id);

	if (columns_execute(report->calibration, &plan, "INSERT INTO agentcrm.backtest_calibration "
						"(run_id, agent, segment, bin, n, p, happened) "
						"SELECT $7, c.* FROM " COLUMNS " AS c(agent, segment, bin, n, p, happened)",
						1, &run_type, &run_id) != SPI_OK_INSERT)
		elog(ERROR, "could not write the calibration");
}

/* See replay.h. */
void
report_write(const Measure *m, int64 run_id)
{
	static const Oid types[] = {TEXTOID, TEXTOID, INT4OID, INT8OID, FLOAT8OID, FLOAT8OID};
	long		groups = hash_get_num_entries(m->forecasts) + hash_get_num_entries(m->bids);
	Report		report = {.run_id = run_id, .calibration = columns_new(lengthof(types), types, groups * SCORE_BINS)};
	HASH_SEQ_STATUS scan;
	Forecasts  *f;
	Bids	   *b;

	hash_seq_init(&scan, m->forecasts);
	while ((f = hash_seq_search(&scan)) != NULL)
	{
		if (f->living == 0 && f->chance[RULE_MODEL].n == 0 && strcmp(f->segment, "*") != 0)
			continue;
		report_chance(&report, f);
		add_cases(&report, "items", f->segment, "recall_at_10", "last basket", mean_of(&f->due[1]), mean_of(&f->due[0]), f->due[1].n);
		report_alarms(&report, f);
	}
	hash_seq_init(&scan, m->bids);
	while ((b = hash_seq_search(&scan)) != NULL)
		report_bids(&report, b, hash_search(m->forecasts, b->key.segment, HASH_FIND, NULL));
	report_calls(&report, m);
	write_figures(&report);
	write_calibration(&report);
}
