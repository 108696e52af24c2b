-- backtest() with all kinds of models: two channels that buy in different ways, baskets and amounts of all sizes, a year
-- and more.  A wild future, and corrections made later, change nothing of what was.
\ir include/begin.sql
CREATE TABLE client (client_id int PRIMARY KEY, channel text);
CREATE TABLE orders (order_id int PRIMARY KEY, client_id int REFERENCES client, day date);
CREATE TABLE line (order_id int REFERENCES orders, product int, amount numeric, PRIMARY KEY (order_id, product));
INSERT INTO client SELECT i, CASE WHEN i <= 160 THEN 'shop' ELSE 'web' END FROM generate_series(1, 320) i;
-- shops order by the clock, all by their own; the web at random, until it leaves
INSERT INTO orders SELECT row_number() OVER (ORDER BY c, d), c, d FROM (
	SELECT i AS c, date '2026-04-20' - i % 11 - (9 + i % 17) * k - (i * k) % 3 AS d FROM generate_series(1, 160) i, generate_series(0, 20 + i % 30) k
	UNION SELECT i, date '2025-02-01' + i % 330 + (SELECT coalesce(sum(1 + -ln((1 + (hashint8(i * 1000 + j)::bigint & 1023)) / 1025.0) * 30), 0)::int FROM generate_series(1, k) j)
		FROM generate_series(161, 320) i, generate_series(0, (hashint8(i) & 7)) k) o
	WHERE d BETWEEN '2025-02-01' AND '2026-03-28';
INSERT INTO line SELECT order_id, p, (3 + client_id % 7) * p * (1 + (hashint8(order_id) & 3)) FROM orders, generate_series(1, 12) p
	WHERE p % 4 = client_id % 4 OR (hashint8(order_id * 100 + p) & 7) = 0;
-- the last four weeks are entered when they are over
CREATE TABLE later AS SELECT * FROM orders WHERE day > '2026-03-02';
CREATE TABLE later_line AS SELECT l.* FROM line l JOIN later USING (order_id);
DELETE FROM line WHERE order_id IN (SELECT order_id FROM later);
DELETE FROM orders WHERE day > '2026-03-02';
SET agentcrm.debug_now = '2026-03-02 10:00+00';
SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', lines => 'line', clients => 'client', client => 'o.client_id', product => 'l.product', at => 'o.day', quantity => '1',
	amount => 'l.amount', channel => 'c.channel', run_as => current_user, time_zone => 'UTC') \g /dev/null
CALL agentcrm.run();
SET agentcrm.debug_now = '2026-03-29 10:00+00';
INSERT INTO orders TABLE later;
INSERT INTO line TABLE later_line;
CALL agentcrm.run();
SET agentcrm.debug_now = '2026-06-01 10:00+00';
SELECT plan(17);

CREATE VIEW results AS SELECT run_id, md5(string_agg(r, '|' ORDER BY r)) AS result FROM (
	SELECT run_id, (to_jsonb(m) - 'run_id')::text AS r FROM agentcrm.backtest_metric m UNION ALL SELECT run_id, (to_jsonb(c) - 'run_id')::text FROM agentcrm.backtest_calibration c) x GROUP BY run_id;
CREATE FUNCTION figure(run bigint, of_metric text, of_naive text, of_segment text DEFAULT '*') RETURNS agentcrm.backtest_metric LANGUAGE sql AS
	$$ SELECT m FROM agentcrm.backtest_metric m WHERE run_id = run AND agent = 'model' AND metric = of_metric AND naive = of_naive AND segment = of_segment $$;

CALL agentcrm.backtest('2026-03-02 11:00', '2026-03-02 11:00');
CALL agentcrm.backtest('2026-03-02 11:00', '2026-03-02 11:00', mode => 'as_known');
SELECT is((SELECT string_agg(format('%s %s', mode, cases), ', ' ORDER BY run_id) FROM agentcrm.backtest), (SELECT format('as_corrected %s, as_known %s', n, n) FROM (SELECT count(DISTINCT client_id) AS n FROM agentcrm.ledger WHERE ordered_on <= '2026-03-02') x),
	'every client who had ordered is judged');
SELECT is((SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), '2026-03-02 11:00', 'as_corrected'), jsonb_each_text(models) m(kind, number) WHERE number = '-1'),
	'class gap inclusion popularity repurchase season spend', 'by models of all kinds, fitted for the purpose');
SELECT is((SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), '2026-03-02 11:00'), jsonb_each_text(models) m(kind, number) WHERE number::int > 0),
	'class gap inclusion popularity repurchase season spend', 'and as they were known by those in use then');
SELECT cmp_ok((figure(1, 'auc', 'own rate')).value, '>', (figure(1, 'auc', 'own rate')).naive_value + .02, 'who orders is ranked better than by the own rate');
SELECT cmp_ok((figure(1, 'auc', 'recency')).value, '>', (figure(1, 'auc', 'recency')).naive_value + .02, 'and than by recency');
SELECT cmp_ok((figure(1, 'log_loss', 'own rate')).value, '<', (figure(1, 'log_loss', 'own rate')).naive_value - .02, 'its log loss is lower');
SELECT cmp_ok((figure(1, 'log_loss', 'own rate', 'channel web')).value, '<', (figure(1, 'log_loss', 'own rate', 'channel web')).naive_value, 'in a channel whose clients leave, too');
SELECT cmp_ok((figure(1, 'orders_rmse', 'own rate')).value, '<', (figure(1, 'orders_rmse', 'own rate')).naive_value, 'so is the error of the expected orders');
SELECT cmp_ok((figure(1, 'orders_mae', 'own rate')).value, '<=', (figure(1, 'orders_mae', 'own rate')).naive_value, 'and of the median');
SELECT cmp_ok((figure(1, 'ece', 'own rate')).value, '<', .08::float8, 'shares are near the probabilities');

-- a wild future: every second client orders for a milliard, so do new ones, a product of theirs is new; all after the last window
SELECT result AS corrected FROM results WHERE run_id = 1 \gset
SELECT result AS known FROM results WHERE run_id = 2 \gset
INSERT INTO client SELECT i, 'web' FROM generate_series(1001, 1200) i;
INSERT INTO orders SELECT 900000 + 10 * client_id + k, client_id, date '2026-03-31' + 3 * k FROM client, generate_series(0, 9) k WHERE client_id % 2 = 0 OR client_id > 1000;
INSERT INTO line SELECT order_id, p, 1e9 FROM orders, unnest(ARRAY[1, 99]) p WHERE order_id > 900000;
CALL agentcrm.run();
SELECT cmp_ok((SELECT max(amount_12m) FROM agentcrm.client_360), '>', 1e9, 'the wild orders are counted now');
CALL agentcrm.backtest('2026-03-02 11:00', '2026-03-02 11:00');
SELECT is((SELECT result FROM results WHERE run_id = 3), :'corrected', 'a wild future changes no figure');
CALL agentcrm.backtest('2026-03-02 11:00', '2026-03-02 11:00', mode => 'as_known');
SELECT is((SELECT result FROM results WHERE run_id = 4), :'known', 'nor as it was known');
-- corrections of what was then, made after it
UPDATE line SET amount = amount * 1000 WHERE order_id % 5 = 0 AND order_id < 900000;
DELETE FROM line WHERE order_id % 7 = 0 AND order_id < 900000;
UPDATE orders SET day = day - 9 WHERE order_id % 11 = 0 AND order_id < 900000;
UPDATE orders SET client_id = 320 WHERE order_id % 13 = 0 AND order_id < 900000;
CALL agentcrm.run();
CALL agentcrm.backtest('2026-03-02 11:00', '2026-03-02 11:00', mode => 'as_known');
SELECT is((SELECT result FROM results WHERE run_id = 5), :'known', 'corrections change nothing of what was known');
CALL agentcrm.backtest('2026-03-02 11:00', '2026-03-02 11:00');
SELECT isnt((SELECT result FROM results WHERE run_id = 6), :'corrected', 'but as_corrected takes them in');
SELECT is_empty($$SELECT * FROM agentcrm.backtest_metric WHERE value IS NULL AND remark IS NULL OR value = 'NaN' OR naive_value = 'NaN' OR value = 'Infinity'$$, 'no value is not a number');
SELECT is((SELECT count(*) FROM agentcrm.verify()), 0::bigint, 'profiles are what the ledger gives');
SELECT * FROM finish();
