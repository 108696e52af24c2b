-- replay/: the past once more, by the live code, to see how good it would have been

CREATE FUNCTION agentcrm.replay_bids(client_ids bigint[], as_of timestamptz, mode text DEFAULT 'as_known', round_id bigint DEFAULT NULL)
	RETURNS SETOF agentcrm.bid LANGUAGE c
	AS 'MODULE_PATHNAME', 'agentcrm_replay_bids';
COMMENT ON FUNCTION agentcrm.replay_bids(bigint[], timestamptz, text, bigint) IS
'What the agents would have bid for some clients at a moment of the past, as rows of agentcrm.bid; nothing is stored, no award is made (status is proposed).
mode: as_known (the ledger as agentcrm held it then, and the generations then in use: the bids of that moment once more, bit for bit) or as_corrected (the ledger as it is now up to as_of, generations fitted on it for the purpose, whose model numbers are -1).
round_id: of a stored round, whose generations and number are then used. Settings, agents and their parameters, attributes of clients and products are those of now.
Errors: a NULL argument but round_id, an as_of that is not finite, an unknown mode, a round without stored bids.
Example: SELECT agent, action, p_baseline, reason FROM agentcrm.replay_bids(ARRAY[42], ''2026-01-15'')';

CREATE TABLE agentcrm.backtest (
	run_id			bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	mode			text NOT NULL CHECK (mode IN ('as_known', 'as_corrected')),
	first_origin	timestamptz NOT NULL,
	last_origin		timestamptz NOT NULL,
	step			interval NOT NULL,
	horizon			interval NOT NULL,
	refit_every		int NOT NULL,
	sample			double precision NOT NULL,
	settings		jsonb NOT NULL,
	origins			int NOT NULL,
	cases			bigint,
	bids			bigint,
	phase			text NOT NULL,
	done			bigint NOT NULL,
	total			bigint NOT NULL,
	started_at		timestamptz NOT NULL,
	updated_at		timestamptz NOT NULL,
	finished_at		timestamptz,
	pid				int
);
COMMENT ON TABLE agentcrm.backtest IS 'Runs of agentcrm.backtest(): arguments, and how far each came; one without finished_at runs, or was broken off';
COMMENT ON COLUMN agentcrm.backtest.run_id IS 'Run';
COMMENT ON COLUMN agentcrm.backtest.mode IS 'as_known: the ledger as it was held at each origin, and the generations then in use; as_corrected: the ledger as it is now, up to each origin, and generations fitted on that';
COMMENT ON COLUMN agentcrm.backtest.first_origin IS 'First moment at which was judged';
COMMENT ON COLUMN agentcrm.backtest.last_origin IS 'No origin is later';
COMMENT ON COLUMN agentcrm.backtest.step IS 'From one origin to the next';
COMMENT ON COLUMN agentcrm.backtest.horizon IS 'How far forecasts reach; whole days are counted';
COMMENT ON COLUMN agentcrm.backtest.refit_every IS 'Generations were fitted at each so many-th origin (as_corrected)';
COMMENT ON COLUMN agentcrm.backtest.sample IS 'Share of the clients that were judged';
COMMENT ON COLUMN agentcrm.backtest.settings IS 'Settings in force that bear on the result';
COMMENT ON COLUMN agentcrm.backtest.origins IS 'Origins';
COMMENT ON COLUMN agentcrm.backtest.cases IS 'Clients judged, once for each origin before which they had ordered; NULL: not finished';
COMMENT ON COLUMN agentcrm.backtest.bids IS 'Bids that the agents made; NULL: not finished';
COMMENT ON COLUMN agentcrm.backtest.phase IS 'fit, generations, replay or done';
COMMENT ON COLUMN agentcrm.backtest.done IS 'Clients times origins so far';
COMMENT ON COLUMN agentcrm.backtest.total IS 'Clients times origins';
COMMENT ON COLUMN agentcrm.backtest.started_at IS 'Start';
COMMENT ON COLUMN agentcrm.backtest.updated_at IS 'When progress was last noted';
COMMENT ON COLUMN agentcrm.backtest.finished_at IS 'End; NULL: it runs, or was broken off';
COMMENT ON COLUMN agentcrm.backtest.pid IS 'Process that is at it; NULL when finished';

CREATE TABLE agentcrm.backtest_calibration (
	run_id		bigint NOT NULL REFERENCES agentcrm.backtest ON DELETE CASCADE,
	agent		text NOT NULL,
	segment		text NOT NULL,
	bin			int NOT NULL CHECK (bin BETWEEN 1 AND 10),
	n			bigint NOT NULL,
	p			double precision NOT NULL,
	happened	double precision NOT NULL,
	PRIMARY KEY (run_id, agent, segment, bin)
);
COMMENT ON TABLE agentcrm.backtest_calibration IS 'Probabilities of the shared baseline against what happened, in ten bins of equal width: where all is well, happened is near p';
COMMENT ON COLUMN agentcrm.backtest_calibration.run_id IS 'Run';
COMMENT ON COLUMN agentcrm.backtest_calibration.agent IS 'model: an order within the horizon, of each client; else the agent whose bids'' demands are meant';
COMMENT ON COLUMN agentcrm.backtest_calibration.segment IS 'Group of clients: * (all), or stage, class (A, B, C) or channel with its name';
COMMENT ON COLUMN agentcrm.backtest_calibration.bin IS '1: up to .1, ... 10: from .9 on; bins without cases have no row';
COMMENT ON COLUMN agentcrm.backtest_calibration.n IS 'Cases';
COMMENT ON COLUMN agentcrm.backtest_calibration.p IS 'Mean probability given';
COMMENT ON COLUMN agentcrm.backtest_calibration.happened IS 'Share in which it happened';

CREATE TABLE agentcrm.backtest_metric (
	run_id		bigint NOT NULL REFERENCES agentcrm.backtest ON DELETE CASCADE,
	agent		text NOT NULL,
	segment		text NOT NULL,
	metric		text NOT NULL,
	naive		text NOT NULL,
	value		double precision,
	naive_value	double precision,
	n			bigint NOT NULL,
	remark		text,
	PRIMARY KEY (run_id, agent, segment, metric, naive)
);
COMMENT ON TABLE agentcrm.backtest_metric IS 'What a backtest measured, each figure beside the same of a naive rule on the same cases';
COMMENT ON COLUMN agentcrm.backtest_metric.run_id IS 'Run';
COMMENT ON COLUMN agentcrm.backtest_metric.agent IS 'model (when and how often clients order), items (what they order next), alarms (silences), or the agent whose bids are meant';
COMMENT ON COLUMN agentcrm.backtest_metric.segment IS 'Group of clients at the origin: * (all), or stage, class (A, B, C) or channel with its name';
COMMENT ON COLUMN agentcrm.backtest_metric.metric IS
'Of the probability of an order within the horizon: auc (higher is better), log_loss (probabilities clipped to .001-.999), brier, ece (lower is better). Of the number of order days: orders_mae, absolute error of the median number (none for every client that is likelier not to order); orders_rmse, root of the mean square of the error of the expected number. crps_days: continuous ranked probability score of the next order''s day, cut at the horizon, days.
recall_at_10: share of the next order''s products among the ten likeliest, for clients with two orders or more. calls_bought: of the calls that the reps'' minutes of a day allow, best first, the share whose demand was bought.
bought, item_bought: share of bids whose demand for any order, or for a product or category, was bought, nobody acting; log_loss, brier, ece of p_baseline of these demands; stopped: share of clients bid for that had stopped for good, where it can be known.
false_alarms_per_year: alarms that an order followed, per year of clients that went on ordering; alarm_delay_days: days from the last order to the alarm where the client had stopped; stops_seen: share of such clients with an alarm before the end of the run. A stop: silent to the end for three times the longest of three gaps or more, and at least 60 days';
COMMENT ON COLUMN agentcrm.backtest_metric.naive IS 'The rule compared with: own rate (orders a day so far), last window (as in the horizon before), recency (last order), last basket, twice the mean gap, any client (neither dormant nor lost); -: none';
COMMENT ON COLUMN agentcrm.backtest_metric.value IS 'What was measured; NULL: the data cannot tell, see remark';
COMMENT ON COLUMN agentcrm.backtest_metric.naive_value IS 'The same of the naive rule';
COMMENT ON COLUMN agentcrm.backtest_metric.n IS 'Cases, bids, calls or alarms behind it';
COMMENT ON COLUMN agentcrm.backtest_metric.remark IS 'insufficient: needs X, has Y; NULL where there is a value';

CREATE PROCEDURE agentcrm.backtest("from" timestamptz, "to" timestamptz, step interval DEFAULT '28 days', horizon interval DEFAULT '28 days',
	mode text DEFAULT 'as_corrected', refit_every int DEFAULT 1, sample double precision DEFAULT 1)
	LANGUAGE c AS 'MODULE_PATHNAME', 'agentcrm_backtest';
COMMENT ON PROCEDURE agentcrm.backtest(timestamptz, timestamptz, interval, interval, text, int, double precision) IS
'Goes back to each origin (from, from + step, ... up to to), lets the live code judge every client by what was there, and compares with what came within the horizon after it, and with naive rules. Results are rows of backtest_metric and backtest_calibration; backtest_report has them in words.
mode: as_corrected (the ledger as it is now, generations fitted at each refit_every-th origin on what lies before it, and not kept) or as_known (the ledger as agentcrm held it then, what was recorded later left out, and the generations then in use: only for times since the attach).
sample: share of the clients that are judged, always the same ones; generations are fitted on all, and reps'' minutes reckoned for that share.
Nothing after the end of the last window is looked at. Attributes of clients and products, agents, parameters and settings are those of now. Tells how far it is, as does agentcrm.progress; may be cancelled; commits after each 200 clients, so not inside a transaction block. Writes nothing but its results.
Errors: a NULL argument, from after to, a step that does not lead forward, more than 1000 origins, a horizon below a day or above 366, a window that ends in the future, an unknown mode, a sample that is not above 0 and at most 1.
Example: CALL agentcrm.backtest(''2025-07-01'', ''2025-12-01'', ''1 month'', ''28 days'')';

CREATE VIEW agentcrm.backtest_report AS
WITH figure AS (
	SELECT m.run_id, m.agent, m.metric, m.naive, m.n, m.remark, m.value, m.naive_value
	FROM agentcrm.backtest_metric m WHERE m.segment = '*'
), best AS (	-- of several naive rules the one that does best
	SELECT DISTINCT ON (f.run_id, f.agent, f.metric) f.*,
		CASE WHEN f.value IS NULL OR f.naive_value IS NULL THEN 'cannot say'
			WHEN f.metric IN ('auc', 'recall_at_10', 'bought', 'stopped') AND f.value > f.naive_value
				OR f.metric IN ('log_loss', 'false_alarms_per_year') AND f.value < f.naive_value THEN 'better' ELSE 'no better' END AS verdict
	FROM figure f
	ORDER BY f.run_id, f.agent, f.metric, CASE WHEN f.metric IN ('auc', 'recall_at_10', 'bought') THEN -f.naive_value ELSE f.naive_value END NULLS LAST
)
SELECT a.run_id, a.agent, main.n AS cases, main.verdict,
	coalesce(main.remark, CASE
		WHEN a.agent = 'model' THEN format('%s of 100 pairs ranked right (naive %s)%s', round(100 * main.value), round(100 * main.naive_value),
			coalesce(', off by ' || round((100 * ece.value)::numeric, 1) || ' points', ''))
		WHEN a.agent = 'items' THEN format('%s %% of the next order is among ten listed (naive %s %%)', round(100 * main.value), round(100 * main.naive_value))
		WHEN a.agent = 'alarms' THEN format('%s false alarms a year (naive %s)%s', round(main.value::numeric, 2), round(main.naive_value::numeric, 2),
			coalesce(', stops seen in ' || round(delay.value) || ' d', ''))
		ELSE concat_ws(', ', format(CASE main.metric WHEN 'stopped' THEN '%s %% had stopped' ELSE '%s %% bought anyway' END, round(100 * main.value)) || coalesce(format(' (any client %s %%)', round(100 * main.naive_value)), ''),
			'off by ' || round((100 * ece.value)::numeric, 1) || ' points') END) AS finding
FROM (SELECT DISTINCT f.run_id, f.agent FROM figure f) a
	LEFT JOIN agentcrm.agent o ON o.agent = a.agent
	JOIN LATERAL (SELECT b.* FROM best b WHERE b.run_id = a.run_id AND b.agent = a.agent
		AND b.metric = ANY (CASE a.agent WHEN 'model' THEN '{auc}' WHEN 'items' THEN '{recall_at_10}' WHEN 'alarms' THEN '{false_alarms_per_year}'
			ELSE CASE WHEN o.objective IN ('retain', 'protect') THEN '{stopped}'::text[] END || '{bought,item_bought}'::text[] END)
		ORDER BY b.metric = 'stopped' DESC, b.metric LIMIT 1) main ON true
	LEFT JOIN best ece ON ece.run_id = a.run_id AND ece.agent = a.agent AND ece.metric = 'ece'
	LEFT JOIN best delay ON delay.run_id = a.run_id AND delay.agent = a.agent AND delay.metric = 'alarm_delay_days'
ORDER BY a.run_id, array_position('{model,items,alarms}', a.agent), a.agent;
COMMENT ON VIEW agentcrm.backtest_report IS 'Each backtest in words, a line for the models, for what clients order next, for alarms, and for each agent';
COMMENT ON COLUMN agentcrm.backtest_report.run_id IS 'Run';
COMMENT ON COLUMN agentcrm.backtest_report.agent IS 'model: when clients order; items: what they order next; alarms: silences; else an agent''s bids';
COMMENT ON COLUMN agentcrm.backtest_report.cases IS 'Cases, bids or alarms behind it';
COMMENT ON COLUMN agentcrm.backtest_report.verdict IS 'better or no better than the best naive rule; cannot say';
COMMENT ON COLUMN agentcrm.backtest_report.finding IS 'In words. model: of 100 pairs of clients of which one ordered within the horizon and one did not, how often the former had been given the greater chance, and by how much chances differ from shares, in points of a hundred; items: share of the next order''s products; alarms: false ones per client and year, and days from the last order to the alarm; an agent: how often the demand of its bids was bought though nobody acted, or, where it is there to retain, how many of its clients whose fate is known had stopped';
