-- The firm's own calendar: two and a half years of a shop with closed weeks, through its tables.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
CREATE SCHEMA shop;
CREATE TABLE shop.orders (order_id int PRIMARY KEY, client_id int, placed date);
CREATE TABLE shop.line (order_id int REFERENCES shop.orders, line_no int, product_id int, qty int, PRIMARY KEY (order_id, line_no));
-- Open days with the intensity passed before each: closed on Sundays, the first half of August and from Christmas on; a slow summer, a busy autumn.
CREATE TEMP TABLE open_day AS
SELECT d::date AS day, sum(1 + 0.4 * sin(2 * pi() * (extract(doy FROM d) - 230) / 365)) OVER (ORDER BY d) AS passed
FROM generate_series(date '2023-01-01', date '2025-12-31', '1 day') d
WHERE extract(dow FROM d) <> 0 AND NOT (to_char(d, 'MMDD') BETWEEN '0801' AND '0814' OR to_char(d, 'MMDD') >= '1224');
-- 150 clients with gaps of shape 3 on that clock; the later ones join over two years.
CREATE FUNCTION pg_temp.uniform(a int, b int) RETURNS float8 LANGUAGE sql AS $$ SELECT ((hashint8(a * 100003::bigint + b) & 65535) + 0.5) / 65536 $$;
CREATE TEMP TABLE future AS
SELECT c AS client_id, d.day AS placed FROM (
	SELECT c, CASE WHEN c > 75 THEN 600 * pg_temp.uniform(c, 0) ELSE 0 END
		+ sum(-ln(pg_temp.uniform(c, 3 * i) * pg_temp.uniform(c, 3 * i + 1) * pg_temp.uniform(c, 3 * i + 2)) / 3 * (8 + c % 17)) OVER (PARTITION BY c ORDER BY i) AS at
	FROM generate_series(1, 150) c, generate_series(1, 120) i) o
	CROSS JOIN LATERAL (SELECT day FROM open_day WHERE passed >= o.at ORDER BY passed LIMIT 1) d
GROUP BY 1, 2;
CREATE PROCEDURE pg_temp.until(d date) LANGUAGE sql AS $$
	WITH n AS (DELETE FROM future WHERE placed < d RETURNING *), o AS (
		INSERT INTO shop.orders SELECT coalesce((SELECT max(order_id) FROM shop.orders), 0) + row_number() OVER (ORDER BY placed, client_id), client_id, placed FROM n
		RETURNING order_id)
	INSERT INTO shop.line SELECT order_id, l, l, 3 FROM o, generate_series(1, 2) l
$$;
SELECT plan(13);

CALL pg_temp.until('2025-07-01');
SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.line', client => 'o.client_id', product => 'l.product_id',
	at => 'o.placed', quantity => 'l.qty', amount => 'l.qty * 10', time_zone => 'UTC', run_as => current_user) \g /dev/null
SET agentcrm.debug_now = '2025-07-01 06:00+00';
CALL agentcrm.run();

SELECT is((SELECT params ->> 'fitted' FROM agentcrm.model WHERE kind = 'season' AND current), '1', 'two and a half years of orders: a calendar');
SELECT is((SELECT count(*)::int FROM agentcrm.model, jsonb_array_elements_text(params -> 'weight') WITH ORDINALITY w(weight, slot)
	WHERE kind = 'season' AND current AND (slot BETWEEN 215 AND 226 OR slot BETWEEN 360 AND 365) AND weight::float8 < 0.2), 18, 'its closed weeks are seen');
SELECT cmp_ok((SELECT sum(weight::float8) FROM agentcrm.model, jsonb_array_elements_text(params -> 'weight') WITH ORDINALITY w(weight, slot)
	WHERE kind = 'season' AND current AND slot BETWEEN 290 AND 350), '>', 1.3 * (SELECT sum(weight::float8) FROM agentcrm.model, jsonb_array_elements_text(params -> 'weight') WITH ORDINALITY w(weight, slot)
	WHERE kind = 'season' AND current AND slot BETWEEN 110 AND 170), 'and the busy autumn');

-- what is forecast for the 90 days that hold the closed fortnight, against what came
SELECT is((SELECT count(*)::int FROM agentcrm.client_state s JOIN agentcrm.client_profile p USING (client_id) WHERE n_orders > 0 AND s.repurchase_model_id IS NULL), 0, 'by the repurchase model, which serves all clients');
CREATE TEMP VIEW living AS SELECT p.* FROM agentcrm.profile(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock()) p WHERE n_gaps >= 4;
SELECT sum(expected_orders) AS forecast FROM living \gset
SELECT count(*) AS orders FROM future WHERE placed < date '2025-07-01' + 90 AND client_id IN (SELECT client_id FROM living) \gset
SELECT diag(format('90 days from July on: %s orders expected, %s came', round(:forecast), :orders));
SELECT cmp_ok(abs(:forecast / :orders - 1)::numeric, '<=', 0.10, 'forecast within 10 % of the orders that came');

-- the last of the closed days: silence of those who go on, on the firm's clock and on a flat one
CALL pg_temp.until('2025-08-15');
SET agentcrm.debug_now = '2025-08-15 06:00+00';
CALL agentcrm.run();
SELECT avg((silence < 0.05)::int) AS own, avg(silence) AS quiet FROM living \gset
SELECT count(*) AS raised FROM agentcrm.bid WHERE reason_code = 'silence' AND as_of BETWEEN '2025-08-01' AND '2025-08-15' \gset
SELECT cmp_ok(:own::numeric, '<=', 0.10, 'after the closed fortnight at most a tenth is below 5 %');
SELECT cmp_ok(:raised::int, '<=', 1, 'and hardly an alarm was raised in it');
-- a closed fortnight is hardly time: what the model puts into it is little, on a flat clock it would be as much as into any other
SELECT cmp_ok((SELECT sum(agentcrm.expected_orders(client_id, '2025-07-31 12:00+00', 14)) FROM living)::numeric, '<',
	0.25 * (SELECT sum(agentcrm.expected_orders(client_id, '2025-07-14 12:00+00', 14)) FROM living)::numeric, 'the repurchase model expects little of closed days');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.profile(ARRAY(SELECT client_id FROM agentcrm.client), '2025-07-25') WHERE due_on BETWEEN '2025-08-02' AND '2025-08-13'), '<=', 10,
	'hardly anybody is due within closed days');
BEGIN;
UPDATE agentcrm.model SET current = false WHERE kind = 'season';
INSERT INTO agentcrm.model (kind, params, n, as_of, fitted_at, current) VALUES ('season', '{"fitted": 0}', 0, agentcrm.clock(), agentcrm.clock(), true);
SELECT agentcrm.fit('gap') \g /dev/null
SELECT avg((silence < 0.05)::int) AS flat FROM living \gset
SELECT diag(format('below 5 %% after the closed fortnight: %s on the own clock, %s on a flat one', round(:own::numeric, 3), round(:flat::numeric, 3)));
SELECT cmp_ok(:flat::numeric, '>', 2 * :own::numeric, 'on a flat clock far more are');
ROLLBACK;

-- a fit when there is less than a year, and later
DELETE FROM shop.line WHERE order_id IN (SELECT order_id FROM shop.orders WHERE placed < '2024-12-01');
DELETE FROM shop.orders WHERE placed < '2024-12-01';
CALL agentcrm.run();
SELECT agentcrm.fit('season') \g /dev/null
SELECT is((SELECT params ->> 'fitted' FROM agentcrm.model WHERE kind = 'season' AND current), '0', 'less than a year: flat');
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE kind = 'season'), 3, 'one more generation; the daily fit of August made one, as four weeks had passed');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'and profiles are what the ledger gives');
SELECT * FROM finish();
