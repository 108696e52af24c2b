-- backtest(): figures against those done by hand, nothing of the future, nothing written but results.
\ir include/begin.sql
CREATE TABLE orders (order_id int PRIMARY KEY, client int, day date);
CREATE TABLE lines (order_id int REFERENCES orders, product int, qty int, amount numeric, PRIMARY KEY (order_id, product));
-- 80 clients order every ten days, from New Year's Day 2025 to 1 April, products 1 and 2 or 1 and 3 by turns
INSERT INTO orders SELECT c * 100 + k, c, date '2025-01-01' + 10 * k FROM generate_series(1, 80) c, generate_series(0, 9) k;
INSERT INTO lines SELECT order_id, p, 2, 50 FROM orders, LATERAL unnest(ARRAY[1, 2 + order_id % 2]) p;
SET agentcrm.debug_now = '2025-04-10 10:00+00';
SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', lines => 'lines', client => 'o.client', product => 'l.product', at => 'o.day', quantity => 'l.qty',
	amount => 'l.amount', channel => NULL, run_as => current_user, time_zone => 'UTC') \g /dev/null
CALL agentcrm.run();
-- the first forty order again, twice: on the 15th and the 25th of April; the others never
INSERT INTO orders SELECT c * 100 + 10 + k, c, date '2025-04-15' + 10 * k FROM generate_series(1, 40) c, generate_series(0, 1) k;
INSERT INTO lines SELECT order_id, p, 2, 50 FROM orders, unnest(ARRAY[1, 2]) p WHERE day >= '2025-04-15';
SET agentcrm.debug_now = '2025-04-26 10:00+00';
CALL agentcrm.run();
SELECT plan(65);

CREATE VIEW results AS SELECT run_id, md5(string_agg(r, '|' ORDER BY r)) AS result FROM (
	SELECT run_id, (to_jsonb(m) - 'run_id')::text AS r FROM agentcrm.backtest_metric m UNION ALL SELECT run_id, (to_jsonb(c) - 'run_id')::text FROM agentcrm.backtest_calibration c) x GROUP BY run_id;
CREATE FUNCTION figure(run bigint, of_agent text, of_metric text, of_naive text) RETURNS agentcrm.backtest_metric LANGUAGE sql AS
	$$ SELECT m FROM agentcrm.backtest_metric m WHERE run_id = run AND agent = of_agent AND metric = of_metric AND naive = of_naive AND segment = '*' $$;
CREATE FUNCTION near(got float8, want float8, what text) RETURNS text LANGUAGE sql AS
	$$ SELECT ok(coalesce(abs(got - want) < 1e-9, false), format('%s: %s', what, got)) $$;
-- all that agentcrm keeps but the results
CREATE FUNCTION everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t regclass;
	rows text;
	sum text := '';
BEGIN
	FOR t IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relkind = 'r' AND c.relname !~ '^backtest' ORDER BY c.relname LOOP
		EXECUTE format('SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM %s t', t) INTO rows;
		sum := md5(sum || coalesce(rows, '-'));
	END LOOP;
	RETURN sum;
END $$;

-- refusals
SELECT throws_ok($$CALL agentcrm.backtest('2025-04-11', '2025-04-11')$$, '2D000', NULL, 'not inside a function');
\set ON_ERROR_STOP 0
\o /dev/null
\set VERBOSITY terse
CALL agentcrm.backtest(NULL, '2025-04-11');
\o
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22004', 'NULL');
\o /dev/null
CALL agentcrm.backtest('2025-04-12', '2025-04-11');
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'from must not be after to, and both must be finite', 'from after to');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-03-11', '0 days');
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'step must lead forward', 'a step of nothing');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-03-11', '1 min');
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'there are more than 1000 origins', 'too many origins');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-03-11', horizon => '23 hours');
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'horizon must be between 1 and 366 days', 'a horizon of less than a day');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-04-11', '1 week');
\o
SELECT matches(:'LAST_ERROR_MESSAGE'::text, '^the last window ends on 2025-05-03 00:00:00\+00, which is still to come$', 'a window that is not over');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-03-11', mode => 'as_wished');
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'unknown mode of replay: "as_wished"', 'an unknown mode');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-03-11', refit_every => 0);
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'refit_every must be at least 1', 'no refit');
\o /dev/null
CALL agentcrm.backtest('2025-03-01', '2025-03-11', sample => 0);
\o
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'sample must be above 0 and at most 1', 'a sample of nobody');
\set VERBOSITY default
\set ON_ERROR_STOP 1
SELECT is((SELECT count(*) FROM agentcrm.backtest), 0::bigint, 'none of these has begun');

-- by hand: at the origin of 11 April each has 9 gaps in 100 days, silent for 10; in 28 days .09 x 28 = 2.52 orders
SET agentcrm.debug_now = '2025-06-01 10:00+00';
SELECT everything() AS before \gset
CALL agentcrm.backtest('2025-04-11', '2025-04-11');
SELECT is(everything(), :'before', 'a backtest writes nothing but its results');
SELECT is((SELECT format('%s %s %s %s %s', run_id, mode, origins, cases, phase) FROM agentcrm.backtest), '1 as_corrected 1 80 done', 'the run is there, with what it judged');
SELECT near((figure(1, 'model', 'log_loss', 'own rate')).naive_value, -(ln(1 - exp(-2.52)) + -2.52) / 2, 'own rate: log loss');
SELECT near((figure(1, 'model', 'brier', 'own rate')).naive_value, (exp(-2.52) ^ 2 + (1 - exp(-2.52)) ^ 2) / 2, 'own rate: Brier');
SELECT near((figure(1, 'model', 'ece', 'own rate')).naive_value, 1 - exp(-2.52) - .5, 'own rate: calibration');
SELECT near((figure(1, 'model', 'auc', 'own rate')).naive_value, .5, 'own rate: all alike');
SELECT near((figure(1, 'model', 'orders_mae', 'own rate')).naive_value, 1, 'own rate: a median of two order days, which came, or none');
SELECT near((figure(1, 'model', 'orders_rmse', 'own rate')).naive_value, sqrt((.52 ^ 2 + 2.52 ^ 2) / 2), 'own rate: 2.52 expected, squared');
SELECT near((figure(1, 'model', 'orders_mae', 'last window')).naive_value, 1, 'last window: two as in the 28 days before (22 March, 1 April), or none');
SELECT near((figure(1, 'model', 'brier', 'last window')).naive_value, .5, 'last window: right in half of the cases');
SELECT near((figure(1, 'model', 'crps_days', 'own rate')).naive_value, (SELECT (sum((1 - exp(-.09 * t) - (t >= 4)::int) ^ 2) + sum((1 - exp(-.09 * t)) ^ 2)) / 2 FROM generate_series(1, 28) t),
	'own rate: the day of the next order, the fourth or none');
SELECT near((figure(1, 'items', 'recall_at_10', 'last basket')).naive_value, .5, 'last basket: 1 and 3, when 1 and 2 came');
SELECT near((figure(1, 'items', 'recall_at_10', 'last basket')).value, 1, 'the ten likeliest hold both');
SELECT near((figure(1, 'model', 'calls_bought', 'recency')).naive_value, 1, 'the reps have the time to call 40 of 80: of equals the first');
SELECT is((figure(1, 'model', 'calls_bought', 'recency')).n, 40::bigint, '240 minutes, six each');
SELECT is((SELECT sum(n) FROM agentcrm.backtest_calibration WHERE run_id = 1 AND agent = 'model' AND segment = '*'), 80::numeric, 'calibration: each case is in a bin');
SELECT is((figure(1, 'alarms', 'false_alarms_per_year', 'twice the mean gap')).remark, 'insufficient: needs 10 client-years, has 1', 'what the data cannot tell is said');
SELECT is((figure(1, 'alarms', 'false_alarms_per_year', 'twice the mean gap')).value, NULL, 'and has no value');
SELECT is_empty($$SELECT * FROM agentcrm.backtest_metric WHERE value IS NULL AND remark IS NULL OR value = 'NaN' OR naive_value = 'NaN' OR value = 'Infinity'$$, 'no value is not a number');
SELECT is((SELECT string_agg(DISTINCT segment, ',' ORDER BY segment) FROM agentcrm.backtest_metric), '*,class A,stage regular', 'groups of clients');
-- a window of half a year: silences are known for what they were.  19 of 20 gaps are ten days: the naive alarm comes on day 21
SET agentcrm.debug_now = '2026-01-01 10:00+00';
CALL agentcrm.backtest('2025-03-25', '2025-04-11', '17 days', '140 days');
SELECT near((figure(2, 'alarms', 'alarm_delay_days', 'twice the mean gap')).naive_value, 21, 'naive alarms on the 21st day, where the client had stopped') WHERE (figure(2, 'alarms', 'alarm_delay_days', 'twice the mean gap')).value IS NOT NULL;
SELECT near((figure(2, 'alarms', 'stops_seen', 'twice the mean gap')).naive_value, 1, 'all stops are seen by it');
SELECT is((figure(2, 'alarms', 'stops_seen', 'twice the mean gap')).n, 80::bigint, 'and all stopped in the end');
SELECT cmp_ok((figure(2, 'alarms', 'alarm_delay_days', 'twice the mean gap')).value, '>=', 11::float8, 'agentcrm''s own alarms come, too');

-- the report
SELECT is((SELECT string_agg(agent, ',') FROM agentcrm.backtest_report WHERE run_id = 1), 'model,items,alarms', 'report: a line each');
SELECT is((SELECT finding FROM agentcrm.backtest_report WHERE run_id = 1 AND agent = 'alarms'), 'insufficient: needs 10 client-years, has 1', 'report: what cannot be said');
SELECT matches((SELECT verdict || ': ' || finding FROM agentcrm.backtest_report WHERE run_id = 1 AND agent = 'items'), '^better: 100 % of the next order is among ten listed \(naive 50 %\)$', 'report: what can');
SELECT is((SELECT max(length(format(' %3s | %-9s | %5s | %-10s | %s', run_id, agent, cases, verdict, finding))) <= 100 FROM agentcrm.backtest_report), true, 'report: 100 columns hold it');

-- nothing of the future: an order of a milliard after the last window, and another before it that is known only later
SELECT result AS corrected FROM results WHERE run_id = 1 \gset
SET agentcrm.debug_now = '2025-06-01 10:00+00';
CALL agentcrm.backtest('2025-04-11', '2025-04-11', mode => 'as_known');
SELECT result AS known FROM results WHERE run_id = 3 \gset
SELECT isnt(:'known'::text, NULL, 'as it was known: a result');
SELECT is((SELECT cases FROM agentcrm.backtest WHERE run_id = 3), 80::bigint, 'of the same clients');
SET agentcrm.debug_now = '2025-06-02 10:00+00';
INSERT INTO orders SELECT 90000 + c, c, '2025-05-20' FROM generate_series(1, 80) c;
INSERT INTO lines SELECT order_id, 1, 1, 1e9 FROM orders WHERE order_id > 90000;
CALL agentcrm.run();
CALL agentcrm.backtest('2025-04-11', '2025-04-11');
SELECT is((SELECT result FROM results WHERE run_id = 4), :'corrected', 'a wild order after the last window changes nothing');
CALL agentcrm.backtest('2025-04-11', '2025-04-11', mode => 'as_known');
SELECT is((SELECT result FROM results WHERE run_id = 5), :'known', 'nor as it was known');
UPDATE lines SET amount = 1e9 WHERE order_id % 100 = 8 AND order_id < 2000;
DELETE FROM lines WHERE order_id % 100 IN (3, 10) AND order_id < 1000;
UPDATE orders SET day = day + 3 WHERE order_id % 100 = 7;
INSERT INTO orders SELECT 95000 + c, c, '2025-04-12' FROM generate_series(41, 80) c;
INSERT INTO lines SELECT order_id, 9, 1, 1e9 FROM orders WHERE order_id > 95000;
CALL agentcrm.run();
CALL agentcrm.backtest('2025-04-11', '2025-04-11', mode => 'as_known');
SELECT is((SELECT result FROM results WHERE run_id = 6), :'known', 'corrections and late orders change nothing of what was known');
CALL agentcrm.backtest('2025-04-11', '2025-04-11');
SELECT isnt((SELECT result FROM results WHERE run_id = 7), :'corrected', 'but as_corrected takes them in');
SELECT is((SELECT cases FROM agentcrm.backtest WHERE run_id = 7), 80::bigint, 'for the same clients');
CALL agentcrm.backtest('2025-03-01', '2025-04-11', '1 week', '1 week', 'as_known');
SELECT is((SELECT cases FROM agentcrm.backtest WHERE run_id = 8), 0::bigint + 80 * (SELECT count(*) FROM generate_series(timestamptz '2025-03-01', '2025-04-11', '1 week') o WHERE o > '2025-04-10 10:00+00'),
	'before the attach nothing was known');
CALL agentcrm.backtest('2025-02-01', '2025-03-29', '1 week', '1 week', refit_every => 3);
SELECT is((SELECT cases FROM agentcrm.backtest WHERE run_id = 9), 720::bigint, 'nine origins, generations for each third');

-- an agent that is not built in sees what the others see, asks as it may; its failure leaves no trace; and the present comes back
CREATE FUNCTION peeping(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE sql STABLE AS $$
	SELECT p.client_id, 'bid', 'call', 'phone', NULL::bigint, NULL::jsonb, NULL::numeric, NULL::bigint, '*', as_of::date, as_of::date + 14, NULL::float8, p.n_orders::numeric, 0::numeric,
		'{}'::jsonb, as_of + interval '7 days', 'peep', 'orders seen: ' || p.n_orders, '{}'::jsonb, NULL::timestamptz, NULL::boolean, NULL::boolean
	FROM agentcrm.profile(client_ids, as_of + interval '1 year') p $$;
CREATE FUNCTION failing(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION breaking(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE plpgsql AS
	$$ BEGIN IF (call ->> 'round')::int = 77 OR as_of = '2025-03-10' THEN RAISE EXCEPTION 'off' USING ERRCODE = '57014'; END IF; END $$;
SET client_min_messages = error;
SELECT agentcrm.create_agent('peeping', 'grow', 'peeping'), agentcrm.create_agent('failing', 'grow', 'failing'), agentcrm.create_agent('breaking', 'grow', 'breaking') \g /dev/null
SELECT is((SELECT array_agg(reason) FROM agentcrm.replay_bids(ARRAY[1], '2025-01-25', 'as_corrected') WHERE agent = 'peeping'), '{orders seen: 3}', 'an agent that asks for the future gets the past');
SELECT everything() AS before \gset
CALL agentcrm.backtest('2025-02-01', '2025-03-01');
SELECT is(everything(), :'before', 'an agent that fails is not paused, nor its error kept');
SELECT cmp_ok((figure(10, 'peeping', 'bought', 'any client')).n, '>=', 80::bigint, 'the others are measured');
INSERT INTO agentcrm.bid SELECT (jsonb_populate_record(NULL::agentcrm.bid, to_jsonb(b) || '{"round_id": 77}')).* FROM agentcrm.replay_bids(ARRAY[1], '2025-04-20') b LIMIT 1;
SELECT everything() AS before \gset
\set ON_ERROR_STOP 0
\set VERBOSITY terse
SELECT agentcrm.replay_bids(ARRAY[1], '2025-01-25', 'as_corrected', 77);
\set VERBOSITY default
\set ON_ERROR_STOP 1
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'off', 'a replay that is broken off');
SELECT is((SELECT n_orders FROM agentcrm.profile(ARRAY[1], '2025-07-01')), (SELECT n_orders FROM agentcrm.client_profile WHERE client_id = 1), 'leaves the present in place');
\set ON_ERROR_STOP 0
\set VERBOSITY terse
CALL agentcrm.backtest('2025-02-10', '2025-03-10');
\set VERBOSITY default
\set ON_ERROR_STOP 1
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'off', 'a backtest that is broken off at its second origin');
SELECT is((SELECT format('%s %s %s', phase, finished_at, (SELECT count(*) FROM agentcrm.backtest_metric m WHERE m.run_id = b.run_id)) FROM agentcrm.backtest b ORDER BY run_id DESC LIMIT 1), 'replay  0', 'is seen to be');
SELECT is(everything(), :'before', 'and leaves nothing else');
SELECT is((SELECT n_orders FROM agentcrm.profile(ARRAY[1], '2025-07-01')), (SELECT n_orders FROM agentcrm.client_profile WHERE client_id = 1), 'nor the past in place');

-- a trade of two years, an order every twenty days, but for one gap of sixty, of which twice the mean gap gives a false alarm
SET client_min_messages = warning;
DELETE FROM agentcrm.agent WHERE agent IN ('peeping', 'failing', 'breaking');
INSERT INTO orders SELECT 200000 + c * 100 + k, c, date '2023-01-01' + 20 * k + CASE WHEN k >= 30 THEN 40 ELSE 0 END FROM generate_series(101, 130) c, generate_series(0, 40) k;
INSERT INTO lines SELECT order_id, 1, 1, 10 FROM orders WHERE order_id > 200000;
CALL agentcrm.run();
CALL agentcrm.backtest('2024-07-01', '2024-07-01', horizon => '200 days');
SELECT max(run_id) AS run FROM agentcrm.backtest \gset
-- each went on for 193 days of the 200, until 10 January
SELECT near((figure(:run, 'alarms', 'false_alarms_per_year', 'twice the mean gap')).naive_value, 365.25 / 193, 'naive alarms: one each in vain');
SELECT near((figure(:run, 'alarms', 'false_alarms_per_year', 'twice the mean gap')).value * 30 * 193 / 365.25, (figure(:run, 'alarms', 'false_alarms_per_year', 'twice the mean gap')).n, 'all of agentcrm''s alarms were in vain here, too');
CALL agentcrm.backtest('2024-07-01', '2024-07-01', horizon => '200 days', sample => 0.5);
SELECT ok(cases BETWEEN 5 AND 25 AND sample = 0.5, 'a sample: ' || cases) FROM agentcrm.backtest WHERE run_id = :run + 1;

-- progress
SELECT is_empty($$SELECT FROM agentcrm.progress WHERE part ~ 'backtest'$$, 'progress: nothing runs');
INSERT INTO agentcrm.backtest (mode, first_origin, last_origin, step, horizon, refit_every, sample, settings, origins, phase, done, total, started_at, updated_at, pid)
	VALUES ('as_known', '2025-01-01', '2025-01-01', '1 day', '1 day', 1, 1, '{}', 1, 'replay', 10, 40, clock_timestamp(), clock_timestamp() + interval '1 minute', pg_backend_pid());
SELECT is((SELECT part || ' ' || phase || ' ' || percent FROM agentcrm.progress WHERE source IS NULL), NULL, 'progress: nor one that was broken off');
UPDATE agentcrm.backtest SET started_at = clock_timestamp() + interval '1 hour' WHERE settings = '{}';
SELECT is((SELECT regexp_replace(part, '\d+', 'N') || ' ' || phase || ' ' || percent FROM agentcrm.progress WHERE source IS NULL), 'backtest N replay 25.0', 'progress: one that runs');
-- a run that has nothing to judge, and the one that its hint names
CALL agentcrm.backtest('2025-03-01', '2025-03-01', mode => 'as_known');
SELECT is((SELECT format('%s %s', mode, cases) FROM agentcrm.backtest ORDER BY run_id DESC LIMIT 1), 'as_known 0', 'before the attach nothing was known');
CALL agentcrm.backtest('2025-03-01', '2025-03-01', mode => 'as_corrected');
SELECT is((SELECT format('%s %s', mode, cases > 0) FROM agentcrm.backtest ORDER BY run_id DESC LIMIT 1), 'as_corrected t', 'as_corrected goes further back, as the hint says');
SELECT * FROM finish();
