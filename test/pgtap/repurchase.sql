-- The repurchase model: generations fitted where the orders are, judged on the last closed window; the calls for analysts; bad input.
\ir include/begin.sql
SELECT no_plan();
SET timezone = 'UTC';
SET agentcrm.debug_now = '2025-01-01';

CREATE TABLE client (id int PRIMARY KEY, channel text, territory text);
CREATE TABLE sale (id serial PRIMARY KEY, client_id int NOT NULL, at timestamptz NOT NULL, amount numeric NOT NULL);
CREATE INDEX ON sale (client_id);
-- Ten clients with three orders each.
INSERT INTO client SELECT i FROM generate_series(1, 10) i;
INSERT INTO sale (client_id, at, amount) SELECT i, timestamptz '2024-11-01' - (i + 20 * k) * interval '1 day', 100 FROM generate_series(1, 10) i, generate_series(0, 2) k;
SELECT count(*) FROM agentcrm.attach('sales', lines => 'sale', order_key => '{id}', clients => 'client', client => 'l.client_id', product => '1',
	at => 'l.at', quantity => '1', amount => 'l.amount', channel => 'c.channel', territory => 'c.territory', run_as => current_user) \g /dev/null
CALL agentcrm.run();

-- too little data is an answer
SELECT is((SELECT array_agg(current || ' ' || params || ' ' || (metrics ->> 'reason')) FROM agentcrm.model WHERE kind = 'repurchase'),
	ARRAY['false {} insufficient: needs 50 clients with orders before the last 28 days and 30 of them with repeat orders, has 10 and 10'],
	'ten clients: insufficient, and it says what is needed');
SELECT is_empty($$SELECT FROM agentcrm.client_state WHERE repurchase_model_id IS NOT NULL OR value_class IS NOT NULL$$, 'no client is judged by it');
SELECT is_empty($$SELECT FROM agentcrm.client_state WHERE NOT (p_alive BETWEEN 0 AND 1 AND p_order BETWEEN 0 AND 1 AND due_early <= due_on AND due_on <= due_late)$$,
	'the gap model serves instead');
SELECT is_empty($$SELECT FROM agentcrm.client_state s WHERE (p_alive, p_order, expected_orders, due_on) IS DISTINCT FROM (agentcrm.p_alive(client_id, as_of),
	agentcrm.p_order_within(client_id, as_of, 28), agentcrm.expected_orders(client_id, as_of, 90), agentcrm.next_order_date(client_id, as_of))$$, 'also those who ask by call');

-- Clients of two channels: shops buy every three weeks and soon go, chains buy every six and stay.
CREATE FUNCTION pg_temp.erlang(k int) RETURNS float8 LANGUAGE sql AS 'SELECT sum(-ln(1 - random())) / k FROM generate_series(1, k)';
CREATE PROCEDURE pg_temp.trade(first int, last int) LANGUAGE plpgsql AS $$
DECLARE
	t float8;
	k int;
	mean float8;
	shop boolean;
BEGIN
	FOR i IN first..last LOOP
		shop := i % 2 = 0;
		INSERT INTO client VALUES (i, CASE WHEN shop THEN 'shop' ELSE 'chain' END, 'north');
		k := 1 + i % 4;
		mean := CASE WHEN shop THEN 20 ELSE 42 END * exp(random() - .5);
		t := random() * 480;
		WHILE t < 579 LOOP
			INSERT INTO sale (client_id, at, amount) VALUES (i, timestamptz '2023-06-01' + t * interval '1 day', 50 + i % 90);
			EXIT WHEN random() < CASE WHEN shop THEN .15 ELSE .02 END;
			t := t + 1 + mean * pg_temp.erlang(k);
		END LOOP;
	END LOOP;
END $$;
SELECT setseed(.25) \g /dev/null
CALL pg_temp.trade(11, 900);
CALL agentcrm.run();
SELECT agentcrm.fit('repurchase') \g /dev/null
SET agentcrm.debug_now = '2025-01-01 00:00:01';	-- a moment of its own for what is judged by this generation
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock();
CALL agentcrm.run();
CREATE TEMP VIEW pool AS SELECT * FROM agentcrm.model WHERE kind = 'repurchase' AND current AND segment = '*';
CREATE TEMP VIEW state AS SELECT s.*, p.n_gaps, p.gap_sum, p.gap_sum_log, greatest(s.as_of::date - p.last_order_on, 0) AS silent, m.params, m.segment
	FROM agentcrm.client_state s JOIN agentcrm.client_profile p USING (client_id) LEFT JOIN agentcrm.model m ON m.model_id = s.repurchase_model_id;

-- the generation
SELECT is((SELECT n FROM pool), 900::bigint, 'a generation is fitted to all clients');
SELECT ok((SELECT log_likelihood < 0 AND as_of = '2025-01-01' AND (metrics ->> 'converged') = 'yes' AND (metrics ->> 'evaluations')::int BETWEEN 1 AND 100
	AND (metrics ->> 'prior') = 'none' AND (metrics ->> 'stand_for')::int = 900 FROM pool), 'its row says how the fit went');
SELECT ok((SELECT (metrics ->> 'window_days')::int BETWEEN 28 AND 90 AND (metrics ->> 'window_clients')::int BETWEEN 500 AND 900
	AND (metrics ->> 'window_buyers')::int > 100 AND (metrics ->> 'brier')::float8 BETWEEN .01 AND .25 AND (metrics ->> 'ece')::float8 < .06
	AND (metrics ->> 'mae_orders')::float8 BETWEEN .05 AND 1 FROM pool), 'and how it foresaw the last closed window');
SELECT ok((SELECT (metrics ->> 'log_loss')::float8 < (metrics ->> 'log_loss_in_use')::float8 FROM agentcrm.model WHERE kind = 'repurchase' AND segment = '*' AND params <> '{}'
	ORDER BY model_id LIMIT 1), 'the first was better than the gap model, which served before');
SELECT ok((SELECT abs((SELECT sum(w::float8) FROM jsonb_array_elements_text(params -> 'weight') w) - 1) < 1e-9 AND params ->> 'k' = '[1, 2, 3, 4, 6, 8, 12]' FROM pool),
	'its classes are weighed');
SELECT ok((SELECT array_agg(segment) @> '{*,channel:shop}' AND array_agg(segment) <@ '{*,channel:chain,channel:shop}' FROM agentcrm.model WHERE kind = 'repurchase' AND current),
	'a channel that differs has a model of its own; the territory of all has none');
SELECT is((SELECT count(*)::int FROM state s JOIN client c ON c.id = s.client_id WHERE s.segment IS DISTINCT FROM
	coalesce((SELECT segment FROM agentcrm.model WHERE kind = 'repurchase' AND current AND segment = 'channel:' || c.channel), '*')), 0,
	'each client is judged by its channel''s, who has none by that of all');
SELECT ok((SELECT avg(p_alive) FILTER (WHERE channel = 'chain') > .6 AND avg(p_alive) FILTER (WHERE channel = 'shop') < .4
	FROM state s JOIN client c ON c.id = s.client_id), 'chains stay, shops go');

-- the assessment and the calls say the same
SELECT is_empty($$SELECT FROM state WHERE NOT (p_alive BETWEEN 0 AND 1 AND p_order BETWEEN 0 AND 1 AND expected_orders >= 0 AND lifetime_value >= 0)
	OR due_early > due_on OR due_on > due_late OR (due_on IS NULL AND due_late IS NOT NULL) OR value_class IS NULL$$, 'assessments lie in their bounds');
SELECT is_empty($$SELECT FROM state WHERE (p_alive, p_order, expected_orders, due_early, due_on, due_late) IS DISTINCT FROM (agentcrm.p_alive(client_id, as_of),
	agentcrm.p_order_within(client_id, as_of, 28), agentcrm.expected_orders(client_id, as_of, 90), agentcrm.next_order_date(client_id, as_of, .2),
	agentcrm.next_order_date(client_id, as_of), agentcrm.next_order_date(client_id, as_of, .8))$$, 'the calls by client and moment give what is stored');
SELECT is_empty($$SELECT FROM state WHERE abs(expected_value - agentcrm.expected_value(client_id, as_of, 90)) > 1e-9 * expected_value$$, 'so does expected_value');
SELECT is_empty($$SELECT FROM state WHERE (p_alive, p_order, expected_orders, due_on) IS DISTINCT FROM (
	agentcrm.p_alive(n_gaps, gap_sum, gap_sum + silent, gap_sum_log, params), agentcrm.p_order_within(n_gaps, gap_sum, gap_sum + silent, gap_sum_log, params, 28),
	agentcrm.expected_orders(n_gaps, gap_sum, gap_sum + silent, gap_sum_log, params, 90),
	agentcrm.next_order_date(n_gaps, gap_sum, gap_sum + silent, gap_sum_log, params, as_of::date, .5))$$, 'and the pure functions');
SELECT is_empty($$SELECT FROM state WHERE due_on IS NOT NULL AND NOT (agentcrm.p_order_within(client_id, as_of, due_on - as_of::date) >= .5 - 1e-9
	AND agentcrm.p_order_within(client_id, as_of, greatest(due_on - as_of::date - 1, 0)) < .5)$$, 'the due day is the first with one half');
SELECT is_empty($$SELECT FROM state WHERE due_on IS NULL AND agentcrm.p_order_within(client_id, as_of, 36500) > .5$$, 'and NULL only where it never comes so far');
SELECT ok((SELECT (params ->> 'interval')::float8 BETWEEN .4 AND 1.2 AND (metrics ->> 'interval_cases')::int > 100
	AND (metrics ->> 'interval_share')::float8 BETWEEN .75 AND .95 FROM pool), 'the interval of the next order is scaled by what the last closed window shows');
SELECT is_empty($$SELECT FROM state s, agentcrm.next_order_interval(client_id, as_of) i, agentcrm.next_order_interval(n_gaps, gap_sum, gap_sum + silent, gap_sum_log, params, as_of::date) p,
	agentcrm.next_order_interval(n_gaps, gap_sum, gap_sum + silent, gap_sum_log, params - 'interval', as_of::date) q
	WHERE i IS DISTINCT FROM p OR (q.early, q.late) IS DISTINCT FROM (agentcrm.next_order_date(client_id, as_of, .1), agentcrm.next_order_date(client_id, as_of, .9))
	OR i.early > due_on OR due_on > i.late OR (params ->> 'interval')::float8 < 1 AND (i.early < q.early OR i.late > q.late)$$,
	'it lies about the due day; not scaled it is from the 10 to the 90 % quantile');
SELECT is((SELECT agentcrm.next_order_interval(-1, '2025-01-01')), NULL, 'no interval of an unknown client');
SELECT ok((SELECT every(agentcrm.p_order_within(client_id, as_of, 0) = 0 AND agentcrm.p_order_within(client_id, as_of, 7) <= p_order
	AND agentcrm.expected_orders(client_id, as_of, 0) = 0 AND agentcrm.expected_orders(client_id, as_of, 45) <= expected_orders) FROM state), 'more time, more orders');
SELECT ok((SELECT sum(lifetime_value) FILTER (WHERE value_class = 'A') / sum(lifetime_value) BETWEEN .75 AND .85
	AND sum(lifetime_value) FILTER (WHERE value_class <> 'C') / sum(lifetime_value) BETWEEN .92 AND .98 FROM state), 'value classes part the margin expected');
SELECT ok((SELECT abs(agentcrm.p_alive(0, 0, 0, 0, '{"r": 1, "alpha": 10, "a": 0.3, "b": 0.9}') - .75) < 1e-12), 'by hand: a client of today is alive with b / (a + b)');
SELECT ok((SELECT abs(agentcrm.p_order_within(0, 0, 0, 0, '{"r": 2, "alpha": 10, "a": 0.3, "b": 0.9}', 10) - .75 * (1 - .25)) < 1e-12),
	'by hand: and buys within alpha days with that times 1 - (1/2)^r');
SELECT is((SELECT agentcrm.expected_value(3, 30, 40, 6, params, 90, 20) / agentcrm.expected_orders(3, 30, 40, 6, params, 90) FROM pool), 20::float8, 'expected_value is orders times value');
SELECT is_empty($$SELECT FROM state s FULL JOIN agentcrm.repurchase_scores('2025-01-01 00:00:01', 28) r USING (client_id)
	WHERE coalesce(abs(r.p_alive - s.p_alive) > 1e-9 OR abs(r.p_order - s.p_order) > 1e-9 OR abs(r.expected_orders - agentcrm.expected_orders(client_id, s.as_of, 28)) > 1e-9, true)$$,
	'all clients in one scan: the same');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT is((SELECT count(*) FROM agentcrm.client_profile p JOIN agentcrm.client_state s USING (client_id) WHERE agentcrm.p_alive(client_id, s.as_of) = s.p_alive), 900::bigint,
	'in parallel workers, too');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- stages follow from P(alive)
SELECT is_empty($$SELECT FROM state WHERE stage = 'dormant' AND p_alive >= .1 AND silent < 365 OR stage = 'lost' AND n_gaps > 0 AND p_alive >= .01 AND silent < 730$$,
	'dormant and lost are those who have probably gone, or are silent for very long');
SELECT isnt_empty($$SELECT FROM state WHERE stage = 'lost'$$, 'and there are such');
WITH day AS (
	SELECT client_id, as_of, stage, next_look_at, p_alive, lag(stage) OVER w AS before, lag(next_look_at) OVER w AS look, lag(p_alive) OVER w AS p_before
	FROM generate_series(timestamptz '2025-01-01 12:00', '2026-06-01', '1 day') d, agentcrm.profile(ARRAY(SELECT generate_series(11, 900, 40)), d)
	WINDOW w AS (PARTITION BY client_id ORDER BY as_of))
SELECT is(array[count(*) FILTER (WHERE p_alive > p_before + 1e-12), count(*) FILTER (WHERE next_look_at <= as_of),
	count(*) FILTER (WHERE stage <> before AND date_trunc('day', look) <> date_trunc('day', as_of)),
	count(*) FILTER (WHERE array_position('{regular,at_risk,dormant,lost}', stage) < array_position('{regular,at_risk,dormant,lost}', before))], '{0,0,0,0}'::bigint[],
	'in silence P(alive) falls, each change of stage is looked for on its day, and none is taken back') FROM day;

-- agents
SELECT agentcrm.go_live('sales') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.client c, agentcrm.reorder_agent(ARRAY[c.client_id], agentcrm.clock()) r,
	agentcrm.reorder_agent(ARRAY[c.client_id], r.next_look_at) l WHERE r.kind = 'look' AND l.kind = 'look'), 0, 'when the reorder agent looks again, it has more to say');
SELECT is_empty($$SELECT FROM agentcrm.bid b JOIN agentcrm.client_state s USING (client_id, as_of) WHERE b.agent = 'reorder' AND
	(b.evidence #>> '{values,p_alive}')::numeric <> s.p_alive::numeric(12, 6) AND abs((b.evidence #>> '{values,p_alive}')::float8 / s.p_alive - 1) > 1e-5$$, 'its evidence is the assessment''s');
SELECT is_empty($$SELECT FROM agentcrm.bid b JOIN agentcrm.client_state s USING (client_id, as_of) WHERE demand_from = as_of::date AND demand_category = '*' AND product_id IS NULL
	AND abs(p_baseline - agentcrm.p_order_within(client_id, as_of, demand_to - demand_from)) > 1e-12$$, 'the baseline is the shared P(order)');
SELECT isnt_empty($$SELECT FROM agentcrm.bid WHERE models ? 'repurchase' AND agent = 'reorder'$$, 'bids name the generation');
SELECT isnt_empty($$SELECT FROM agentcrm.bid WHERE agent = 'portfolio' AND evidence -> 'values' ?& '{p_alive,lifetime_value,value_class}'$$, 'portfolio bids tell what the client is worth');

-- what a later moment knows is not seen
CREATE TEMP TABLE before AS SELECT model_id, log_likelihood, metrics ->> 'log_loss' AS loss FROM pool;
CREATE TEMP TABLE past AS SELECT client_id, agentcrm.p_alive(client_id, '2024-06-01') AS p, agentcrm.expected_orders(client_id, '2024-06-01', 90) AS orders FROM agentcrm.client_profile;
SELECT is((SELECT count(*)::int FROM past WHERE (p IS NULL) <> (client_id NOT IN (SELECT client_id FROM sale WHERE at < '2024-06-02'))), 0, 'a past moment: NULL before the first order');
INSERT INTO sale (client_id, at, amount) SELECT 11 + i % 500, timestamptz '2025-01-01 01:00' + i * interval '1 hour', 1e12 FROM generate_series(0, 2000) i;
CALL agentcrm.run();
SELECT agentcrm.fit('repurchase') \g /dev/null
SELECT ok((SELECT m.model_id > b.model_id AND abs(m.log_likelihood / b.log_likelihood - 1) < 1e-6 AND m.metrics ->> 'log_loss' = b.loss FROM pool m, before b),
	'orders after as_of change no fit');
SELECT is_empty($$SELECT FROM past p FULL JOIN agentcrm.repurchase_scores('2024-06-01', 90) r USING (client_id)
	WHERE (p.p IS NULL) <> (r.p_alive IS NULL) OR abs(r.expected_orders - agentcrm.expected_orders(client_id, '2024-06-01', 90)) > 1e-9$$, 'all clients in one scan, at a past moment');
SELECT is_empty($$SELECT FROM past WHERE abs(agentcrm.expected_orders(client_id, '2024-06-01', 90) - orders) > 1e-4 * orders$$, 'nor what a past moment says');
DELETE FROM sale WHERE amount = 1e12;
CALL agentcrm.run();

-- a fit may be cut
\set ON_ERROR_STOP 0
SET statement_timeout = '1ms';
SELECT agentcrm.fit('repurchase');
SET statement_timeout = 0;
\set ON_ERROR_STOP 1
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'a fit that takes too long is cut');

-- a fit that is worse on the closed window does not replace the one in use: the new clients' daily orders say nothing of the old ones
SELECT agentcrm.fit('repurchase') \g /dev/null
TRUNCATE before;
INSERT INTO before SELECT model_id FROM pool;
INSERT INTO client SELECT i FROM generate_series(2001, 5000) i;
INSERT INTO sale (client_id, at, amount) SELECT i, timestamptz '2025-01-01' - k * interval '1 day', 1 FROM generate_series(2001, 5000) i, generate_series(1, 5) k;
CALL agentcrm.run();
SELECT agentcrm.fit('repurchase') \g /dev/null
SELECT is((SELECT model_id FROM pool), (SELECT model_id FROM before), 'a fit that is worse on the last closed window does not replace the one in use');
SELECT matches((SELECT metrics ->> 'reason' FROM agentcrm.model WHERE kind = 'repurchase' ORDER BY model_id DESC LIMIT 1),
	'^worse on the last closed window: log loss 0\.\d+, 0\.\d+ of the generation in use$', 'and says so');
SELECT ok((SELECT count(*) > 1 FROM agentcrm.model WHERE kind = 'repurchase' AND current), 'segments stay with it');
DELETE FROM sale WHERE client_id > 2000;
CALL agentcrm.run();

-- what is in use is judged as it is shown: each client by its own generation
CREATE PROCEDURE pg_temp.spoil(of text) LANGUAGE sql AS $$	-- it expects no orders any more
	WITH gone AS (UPDATE agentcrm.model SET current = false WHERE current AND kind = 'repurchase' AND segment = of RETURNING *)
	INSERT INTO agentcrm.model (kind, segment, params, n, as_of, fitted_at, current) SELECT kind, segment, params || '{"calibration": [-8, 1]}', n, as_of, fitted_at, true FROM gone
$$;
CREATE TEMP VIEW shop AS SELECT * FROM agentcrm.model WHERE kind = 'repurchase' AND current AND segment = 'channel:shop';
SELECT agentcrm.fit('repurchase') \g /dev/null
CALL pg_temp.spoil('channel:shop');
SELECT agentcrm.fit('repurchase') \g /dev/null
SELECT ok((SELECT (metrics ->> 'log_loss_in_use')::float8 > (metrics ->> 'log_loss')::float8 + .1 FROM pool), 'a segment''s bad generation tells in the loss of what is in use');
SELECT ok((SELECT (metrics ->> 'log_loss_in_use')::float8 > (metrics ->> 'log_loss')::float8 + .2 AND NOT metrics ? 'kept' FROM shop), 'and more so in its own, which goes');
CALL pg_temp.spoil('*');
INSERT INTO client SELECT i, 'shop' FROM generate_series(5001, 5800) i;
INSERT INTO sale (client_id, at, amount) SELECT i, '2024-12-03', 1 FROM generate_series(5001, 5800) i;
CALL agentcrm.run();
CREATE TEMP TABLE good AS SELECT params - 'value_class' AS params FROM shop;
SELECT agentcrm.fit('repurchase') \g /dev/null
SELECT is((SELECT params - 'value_class' FROM shop), (SELECT params FROM good), 'a segment''s own fit that is worse on its window does not replace the parameters in use');
SELECT matches((SELECT metrics ->> 'kept' FROM shop), '^parameters of before stay: log loss \d\.\d+ of the new ones, \d\.\d+ of theirs$', 'and says so');
SELECT ok((SELECT params #>> '{calibration,0}' <> '-8' FROM pool), 'while the other clients have new ones');
DELETE FROM sale WHERE client_id > 2000;
CALL agentcrm.run();

-- bad input: an answer, never NaN, never an error in the worker
INSERT INTO client SELECT i FROM generate_series(1001, 1006) i;
INSERT INTO sale (client_id, at, amount) VALUES (1001, '2024-12-01', 10), (1002, '2024-12-05 08:00', 10), (1002, '2024-12-05 09:00', 10), (1002, '2024-12-05 10:00', 10),
	(1003, '2012-01-01', 10), (1003, '2012-02-01', 10), (1003, '2022-02-01', 10), (1004, '2098-01-01', 10), (1004, '2099-01-01', 10), (1005, '2024-01-01', -500), (1005, '2024-05-01', -1e15);
INSERT INTO sale (client_id, at, amount) SELECT 1006, timestamptz '2015-01-01' + i * interval '1 day', 1e15 FROM generate_series(0, 3652) i;
CALL agentcrm.run();
SELECT agentcrm.fit() \g /dev/null
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock();
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM state WHERE client_id > 1000), 6, 'odd clients are assessed');
SELECT is_empty($$SELECT client_id FROM agentcrm.client_state s WHERE to_jsonb(s)::text ~ 'NaN|[iI]nf' UNION ALL SELECT model_id FROM agentcrm.model m WHERE to_jsonb(m)::text ~ 'NaN|[iI]nf'$$, 'nothing is NaN or infinite');
SELECT ok((SELECT every(p_alive BETWEEN 0 AND 1 AND p_order BETWEEN 0 AND 1 AND expected_orders >= 0) FROM state WHERE client_id IN (1001, 1002, 1003, 1005, 1006)), 'all are probabilities');
SELECT is((SELECT p_alive FROM state WHERE client_id = 1004), NULL, 'who has ordered in the future only has not ordered yet');
SELECT ok((SELECT lifetime_value = 0 AND value_class = 'C' FROM state WHERE client_id = 1005), 'negative totals are worth nothing');
SELECT ok((SELECT expected_orders BETWEEN 70 AND 91 FROM state WHERE client_id = 1006), 'a buyer of every day for ten years');
SELECT is((SELECT count(*)::int FROM agentcrm.error_log), 0, 'and no error was met');

-- arguments
SELECT is(agentcrm.p_alive(999999, agentcrm.clock()), NULL, 'an unknown client: NULL');
SELECT is(agentcrm.p_alive(NULL, agentcrm.clock()), NULL, 'NULL: NULL');
SELECT throws_ok($$SELECT agentcrm.p_alive(11, 'infinity')$$, '22023', 'as_of must be finite');
SELECT throws_ok($$SELECT agentcrm.p_order_within(11, agentcrm.clock(), -1)$$, '22023', 'days must be finite and not negative');
SELECT throws_ok($$SELECT agentcrm.expected_orders(11, agentcrm.clock(), 'NaN')$$, '22023', 'days must be finite and not negative');
SELECT throws_ok($$SELECT agentcrm.expected_value(11, agentcrm.clock(), 'infinity')$$, '22023', 'days must be finite and not negative');
SELECT throws_ok($$SELECT agentcrm.next_order_date(11, agentcrm.clock(), 1)$$, '22023', 'quantile must lie between 0 and 1, without these');
SELECT throws_ok($$SELECT agentcrm.expected_value(3, 30, 40, 6, '{"r": 1, "alpha": 10, "a": 1, "b": 2}', 90, 1e308)$$, '22003', 'expected value out of range');
SELECT throws_ok(format($$SELECT agentcrm.expected_orders(0, 0, 0, 0, '{"r": 1e21, "alpha": 1e-21, "a": 1, "b": 2, "k": [12], "weight": [1]}', %s)$$, days), '22003', 'expected orders out of range')
FROM unnest('{1,1e300}'::float8[]) days;
SELECT is_empty($$SELECT * FROM agentcrm.repurchase_scores(agentcrm.clock(), 1.7e308) r WHERE to_jsonb(r)::text ~ 'NaN|[iI]nf'$$, 'all the time there is: no answer is NaN or infinite');
SELECT throws_ok($$SELECT * FROM agentcrm.repurchase_scores('infinity')$$, '22023', 'as_of and days must be finite, and days not negative');
SELECT throws_ok($$SELECT * FROM agentcrm.repurchase_scores(agentcrm.clock(), NULL)$$, '22004', 'days must not be NULL');
SELECT throws_ok(format('SELECT agentcrm.p_alive(%s, %L)', stats, params), '22023', message, stats || ' ' || params) FROM (VALUES
	('-1, 0, 0, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1}', 'no client has such statistics'),
	('2, 30, 20, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1}', 'no client has such statistics'),
	('0, 5, 20, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1}', 'no client has such statistics'),
	('2, ''NaN'', 20, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1}', 'no client has such statistics'),
	('2, 10, 20, 0', '{}', 'params make no repurchase model'),
	('2, 10, 20, 0', '[1]', 'params make no repurchase model'),
	('2, 10, 20, 0', '{"r": 1, "alpha": -1, "a": 1, "b": 1}', 'params make no repurchase model'),
	('2, 10, 20, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1, "k": [1, 2], "weight": [0.5]}', 'params make no repurchase model'),
	('2, 10, 20, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1, "k": [1.5], "weight": [1]}', 'params make no repurchase model'),
	('2, 10, 20, 0', '{"r": 1, "alpha": 1, "a": 1, "b": 1, "k": [1, 2], "weight": [0.5, 0.6]}', 'params make no repurchase model')) v(stats, params, message);
SELECT throws_ok($$SELECT agentcrm.next_order_date(0, 0, 0, 0, '{"r": 1, "alpha": 1, "a": 1, "b": 1}', 'infinity', .5)$$, '22023', 'today must be finite');
SELECT throws_ok($$SELECT agentcrm.next_order_interval(0, 0, 0, 0, '{"r": 1, "alpha": 1, "a": 1, "b": 1}', 'infinity')$$, '22023', 'today must be finite');
SELECT throws_ok($$SELECT agentcrm.next_order_interval(0, 0, 0, 0, '{"r": 1, "alpha": 1, "a": 1, "b": 1, "interval": 0}', '2024-01-01')$$, '22023', 'params make no repurchase model');
SELECT is(agentcrm.next_order_date(0, 0, 0, 0, '{"r": 1, "alpha": 1, "a": 1, "b": 1}', '2024-01-01', .6), NULL, 'more than P(alive) is never reached: NULL');

SELECT * FROM finish();
SELECT agentcrm.detach('sales') \g /dev/null
