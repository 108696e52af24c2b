-- Profiles of a small order book, with figures checked by hand.
CREATE EXTENSION agentcrm;
SELECT agentcrm.pause();
SET timezone = 'UTC';
SET datestyle = ISO;
SET agentcrm.debug_now = '2024-07-01';
CREATE ROLE regress_agentcrm_book;
CREATE SCHEMA book AUTHORIZATION regress_agentcrm_book;
CREATE TABLE book.line (
	line_id int PRIMARY KEY, order_id int NOT NULL, client_id int NOT NULL, product_id int, rep_id int,
	at timestamptz NOT NULL, kind text NOT NULL DEFAULT 'sale', quantity numeric NOT NULL, amount numeric NOT NULL, margin numeric);
CREATE INDEX ON book.line (order_id);
ALTER TABLE book.line OWNER TO regress_agentcrm_book;
DO $$ BEGIN
	PERFORM agentcrm.attach_query('book',
		'SELECT client_id AS client_key, order_id AS order_key, line_id AS line_key, product_id AS product_key,
			rep_id AS rep_key, at AS ordered_at, kind, quantity, amount, margin
		 FROM book.line WHERE order_id = ANY($1)',
		key => '{book.line.order_id}', watch => '{"book.line": ["order_id"]}', time_zone => 'UTC');
END $$;
CALL agentcrm.run();

-- Client 1: two orders on one day open no gap, a return is no order, lines of one product in one order count together.
INSERT INTO book.line VALUES
	(1, 100, 1, 11, 7,    '2024-01-10 09:00', 'sale', 2, 10.00, NULL),
	(2, 100, 1, 11, 7,    '2024-01-10 09:00', 'sale', 1, 5.50, NULL),
	(3, 100, 1, 12, 7,    '2024-01-10 09:00', 'sale', 4, 8.0, NULL),
	(4, 101, 1, 11, NULL, '2024-01-20 09:00', 'sale', 3, 15.00, 3),
	(5, 102, 1, 12, NULL, '2024-01-20 16:00', 'sale', 0, 0.000, NULL),
	(6, 103, 1, 11, 8,    '2024-02-09 09:00', 'return', -1, -5.00, NULL),
	(7, 104, 1, 11, NULL, '2024-02-29 09:00', 'sale', 5, 26.25, NULL),
	(8, 104, 1, NULL, NULL, '2024-02-29 09:00', 'sale', 1, 1, NULL),
-- Client 2: one order.  Client 3: a return only.  Client 4: back after two years.
	(20, 200, 2, 11, 7, '2024-01-01 12:00', 'sale', 1, 5, NULL),
	(30, 300, 3, 13, 7, '2024-01-01 12:00', 'return', -2, -9.90, -1.5),
	(40, 400, 4, 11, 7, '2021-12-01', 'sale', 1, 4, NULL),
	(41, 401, 4, 11, 7, '2022-01-01', 'sale', 1, 4, NULL),
	(42, 402, 4, 11, 7, '2024-01-01', 'sale', 1, 4, NULL);
-- Client 5: an order every three days of 2023, then one in a month.  Client 6: the other way round.
INSERT INTO book.line
	SELECT 1000 + i, 1000 + i, 5, 11, 7, timestamptz '2023-01-01' + i * interval '3 days', 'sale', 1, 10, NULL::numeric
	FROM generate_series(0, 90) i
	UNION ALL
	SELECT 1200 + i, 1200 + i, 5, 11, 7, timestamptz '2023-10-15' + i * interval '1 month', 'sale', 1, 10, NULL::numeric
	FROM generate_series(0, 2) i
	UNION ALL
	SELECT 1300 + i, 1300 + i, 6, 11, 7, timestamptz '2023-01-15' + i * interval '1 month', 'sale', 1, 10, NULL::numeric
	FROM generate_series(0, 8) i
	UNION ALL
	SELECT 1400 + i, 1400 + i, 6, 11, 7, timestamptz '2023-10-01' + i * interval '3 days', 'sale', 1, 10, NULL::numeric
	FROM generate_series(0, 30) i;
CALL agentcrm.run();

SELECT client_id, n_orders, n_returns, n_gaps, gap_sum, gap_last, gap_before, CASE WHEN n_gaps < 3 THEN round(exp(gap_sum_log)) END AS gap_product,
	last_order_on, rep_id, amount, margin, returned
FROM agentcrm.client_profile ORDER BY 1;
SELECT client_id, month, month_orders, month_amount, month_margin, month_returned
FROM agentcrm.client_profile WHERE client_id < 5 ORDER BY 1;
-- rates: ((1 x .9) + 1) x .81 + 1 = 2.539, ((1 x .6) + 1) x .36 + 1 = 1.576; 1 x .81 + 1, 1 x .36 + 1
SELECT product_id, n, first_order_no, last_order_no, first_order_on, last_order_on, round(rate_slow::numeric, 9) AS slow,
	round(rate_fast::numeric, 9) AS fast, last_price, quantities
FROM agentcrm.client_product WHERE client_id = 1 ORDER BY 1;
SELECT * FROM agentcrm.product_profile ORDER BY 1;
SELECT product_id, min(month), max(month), sum(orders) FROM agentcrm.product_month GROUP BY 1 ORDER BY 1;

-- Snapshots: from tables, and refolded when there are later orders.
SELECT client_id, stage, n_orders, n_returns, mean_gap, gap_last, amount, returned, amount_12m, rep_id, deliver, cardinality(products)
FROM agentcrm.profile('{4,1,3,2,99}', '2024-03-01');
DO $$ BEGIN PERFORM agentcrm.go_live('book'); END $$;
SELECT client_id, deliver FROM agentcrm.profile('{1,3}', '2024-03-01');
SELECT as_of::date, n_orders, n_returns, n_gaps, amount, returned, last_order_on, elapsed, cardinality(products)
FROM unnest('{2024-01-09,2024-01-10 12:00,2024-01-20 12:00,2024-02-15}'::timestamptz[]) d, agentcrm.profile('{1}', d)
ORDER BY as_of;
-- Too few clients for a fit: random buyers (k = 1, r = 2, alpha = 30 days), for whom after n gaps of sum S
-- P(gap >= u) = (1 + u / (30 + S)) ^ -(2 + n), so with n = 2 and S = 50 the median right after an order is 15.1 days.
SELECT as_of::date, elapsed, abs(silence / (1 + elapsed / 80) ^ -4 - 1) < 1e-9 AS silence_right, due_on,
	abs(alarm_p / (0.55 * 80 / (13 * 365.25 * 4)) - 1) < 1e-9 AS alarm_right,
	alarm_on, (1 + (alarm_on - last_order_on) / 80.0) ^ -4 < alarm_p AS alarmed,
	(1 + (alarm_on - last_order_on - 1) / 80.0) ^ -4 < alarm_p AS alarmed_before, next_look_at::date AS next_look
FROM unnest('{2024-02-29 12:00,2024-03-10,2024-09-30,2024-11-30}'::timestamptz[]) d, agentcrm.profile('{1}', d)
ORDER BY as_of;

-- Stages over time: each line is a stage and the first day of it.
WITH day AS (
	SELECT client_id, as_of::date AS day, stage, lag(stage) OVER (PARTITION BY client_id ORDER BY as_of) AS before
	FROM generate_series(timestamptz '2021-11-30 12:00', '2026-12-31', '1 day') d, agentcrm.profile('{1,2,3,4,5,6}', d))
SELECT client_id, day, stage FROM day WHERE stage IS DISTINCT FROM before ORDER BY 1, 2;
-- A look is never in the past, and no stage changes by time alone before it.
WITH look AS (
	SELECT client_id, as_of, stage, last_order_at, next_look_at,
		lead(stage) OVER w AS then_stage, lead(as_of) OVER w AS then_as_of, lead(last_order_at) OVER w AS then_order
	FROM generate_series(timestamptz '2021-11-30', '2026-12-31', '1 day') d, agentcrm.profile('{1,2,3,4,5,6}', d)
	WINDOW w AS (PARTITION BY client_id ORDER BY as_of))
SELECT count(*) FILTER (WHERE next_look_at <= as_of) AS in_past,
	count(*) FILTER (WHERE then_stage <> stage AND then_order IS NOT DISTINCT FROM last_order_at
		AND date_trunc('day', next_look_at) <> then_as_of) AS missed
FROM look;

-- What was taken back is gone: an order moves to another client, one is deleted, a client loses all.
UPDATE book.line SET client_id = 2 WHERE order_id = 101;
DELETE FROM book.line WHERE order_id IN (102, 300);
CALL agentcrm.run();
SELECT client_id, n_orders, n_gaps, gap_sum, amount, margin FROM agentcrm.client_profile WHERE client_id < 4 ORDER BY 1;
SELECT client_id, product_id, n, last_order_no, rate_slow, quantities FROM agentcrm.client_product WHERE client_id < 4 ORDER BY 1, 2;
SELECT * FROM agentcrm.product_profile ORDER BY 1;
SELECT * FROM agentcrm.verify();

-- Anything stored that the ledger does not give is found.
BEGIN;
UPDATE agentcrm.client_profile SET amount = amount + 0.01, gap_sum_log = gap_sum_log * 1.00001 WHERE client_id = 1;
UPDATE agentcrm.client_profile SET margin = 3.0 WHERE client_id = 2;
DELETE FROM agentcrm.client_profile WHERE client_id = 4;
UPDATE agentcrm.client_product SET n = n + 1, rate_slow = rate_slow * (1 + 1e-12) WHERE client_id = 2;
DELETE FROM agentcrm.client_product WHERE (client_id, product_id) = (1, 12);
INSERT INTO agentcrm.client_product SELECT 77, product_id, n, 1, 1, first_order_on, last_order_on, 1, 1, 1, NULL, '{}' FROM agentcrm.client_product WHERE (client_id, product_id) = (1, 11);
INSERT INTO agentcrm.product_count AS c VALUES (11, '-infinity', 1) ON CONFLICT (product_id, month) DO UPDATE SET n = c.n + 1;
INSERT INTO agentcrm.product_delta SELECT 99, 99, 1, '{12}', '{2024-01-01}', '{1}';
SELECT * FROM agentcrm.verify() d ORDER BY d::text COLLATE "C";
ROLLBACK;

-- Errors
SELECT agentcrm.profile('{1,NULL}', '2024-01-01');
SELECT agentcrm.profile('{1}', 'infinity');
SELECT agentcrm.fit('weather');

-- Incremental against refold and against SQL: random documents in any order, edits, deletions, moves between clients.
CREATE PROCEDURE book.play(rounds int, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	o int;
BEGIN
	RAISE NOTICE 'seed %', seed;
	PERFORM setseed(seed);
	FOR round IN 1..rounds LOOP
		FOR i IN 1..1 + floor(random() * 4) LOOP
			o := 5000 + CASE WHEN random() < .6 THEN round * 4 + i ELSE 1 + floor(random() * round * 4) END;
			DELETE FROM book.line WHERE order_id = o;
			INSERT INTO book.line
			SELECT o * 10 + l, o, CASE WHEN random() < .9 THEN c ELSE 20 + floor(random() * 8) END,
				CASE WHEN random() < .9 THEN floor(random() * 12) END, CASE WHEN random() < .7 THEN floor(random() * 3) END,
				timestamptz '2024-01-01' + (CASE WHEN random() < .7 THEN o ELSE round * 4 END - 5000) * interval '7 hours' + first * interval '1 s',
				CASE WHEN random() < returns THEN 'return' ELSE 'sale' END, q,
				round((q * random() * 20)::numeric, (random() * 3)::int), CASE WHEN random() < .5 THEN round((q * random())::numeric, 2) END
			FROM (SELECT 20 + floor(random() * 8) AS c, random() AS first, (array[0, 0, 0, 1, .3])[1 + floor(random() * 5)::int] AS returns) d,
				LATERAL (SELECT l, floor(random() * 5)::numeric(10, 1) AS q FROM generate_series(1, floor(random() * 6)::int) l) ls;
		END LOOP;
		COMMIT;
		CALL agentcrm.run();
	END LOOP;
END $$;
CALL book.play(150, 0.42);
SELECT * FROM agentcrm.verify() LIMIT 10;

-- The fold said again in SQL.
CREATE VIEW book.document AS
	SELECT client_id, source_id, order_id, ordered_at AS at, ordered_on AS day, bool_or(kind = 'sale') AS sale,
		sum(amount) FILTER (WHERE kind = 'sale') AS amount, sum(amount) FILTER (WHERE kind = 'return') AS returned, sum(margin) AS margin,
		(array_agg(rep_id ORDER BY line_no) FILTER (WHERE rep_id IS NOT NULL))[1] AS rep
	FROM agentcrm.ledger GROUP BY 1, 2, 3, 4, 5;
CREATE VIEW book.client AS
	WITH total AS (
		SELECT client_id, (count(*) FILTER (WHERE sale))::int AS n_orders, (count(*) FILTER (WHERE NOT sale))::int AS n_returns,
			min(at) FILTER (WHERE sale) AS first_at, max(at) FILTER (WHERE sale) AS last_at,
			(array_agg(rep ORDER BY at DESC, source_id DESC, order_id DESC) FILTER (WHERE sale AND rep IS NOT NULL))[1] AS rep,
			coalesce(sum(amount), 0) AS amount, sum(margin) AS margin, coalesce(sum(returned), 0) AS returned
		FROM book.document GROUP BY 1),
	gap AS (
		SELECT client_id, day, day - lag(day) OVER (PARTITION BY client_id ORDER BY day) AS gap
		FROM (SELECT DISTINCT client_id, day FROM book.document WHERE sale) d),
	rhythm AS (
		SELECT client_id, min(day) AS first_on, max(day) AS last_on, count(gap)::int AS n_gaps, coalesce(sum(gap), 0)::int AS gap_sum,
			array_agg(gap ORDER BY day DESC) FILTER (WHERE gap IS NOT NULL) AS gaps, round(coalesce(sum(ln(gap::float8)), 0)::numeric, 9) AS gap_log
		FROM gap GROUP BY 1),
	month AS (
		SELECT client_id, date_trunc('month', day::timestamp)::date AS month, (count(*) FILTER (WHERE sale))::int AS orders,
			coalesce(sum(amount), 0) AS amount, sum(margin) AS margin, coalesce(sum(returned), 0) AS returned
		FROM book.document GROUP BY 1, 2),
	months AS (
		SELECT client_id, array_agg(month ORDER BY month) AS m, array_agg(orders ORDER BY month) AS mo, array_agg(amount ORDER BY month) AS ma,
			array_agg(margin ORDER BY month) AS mm, array_agg(returned ORDER BY month) AS mr
		FROM month GROUP BY 1)
	SELECT client_id, n_orders, n_returns, first_at, last_at, first_on, last_on, coalesce(n_gaps, 0) AS n_gaps, coalesce(gap_sum, 0) AS gap_sum,
		gaps[1] AS gap_last, gaps[2] AS gap_before, coalesce(gap_log, round(0, 9)) AS gap_log, rep, amount, margin, returned, m, mo, ma, mm, mr
	FROM total JOIN months USING (client_id) LEFT JOIN rhythm USING (client_id);
CREATE VIEW book.product AS
	WITH numbered AS (
		SELECT client_id, source_id, order_id, day, row_number() OVER (PARTITION BY client_id ORDER BY at, source_id, order_id) AS no
		FROM book.document WHERE sale),
	held AS (
		SELECT client_id, product_id, no, day, sum(quantity) AS q, sum(amount) AS a
		FROM agentcrm.ledger JOIN numbered USING (client_id, source_id, order_id)
		WHERE kind = 'sale' AND product_id IS NOT NULL GROUP BY 1, 2, 3, 4),
	last AS (
		SELECT *, max(no) OVER w AS last, row_number() OVER (PARTITION BY client_id, product_id ORDER BY no DESC) AS back
		FROM held WINDOW w AS (PARTITION BY client_id, product_id))
	SELECT client_id, product_id, count(*)::int AS n, min(no)::int AS first_no, max(no)::int AS last_no, min(day) AS first_on, max(day) AS last_on,
		round(sum(.9::float8 ^ (last - no))::numeric, 9) AS slow, round(sum(.6::float8 ^ (last - no))::numeric, 9) AS fast,
		(array_agg(CASE WHEN q <> 0 THEN a / q END ORDER BY no DESC))[1] AS price, array_agg(q ORDER BY no) FILTER (WHERE back <= 8) AS quantities
	FROM last GROUP BY 1, 2;
-- compared as text: a stored sum has the digits of sum(), trailing zeros included
SELECT count(*) AS clients, sum((e::text IS DISTINCT FROM s::text)::int) AS different
FROM book.client e FULL JOIN (
	SELECT client_id, n_orders, n_returns, first_order_at, last_order_at, first_order_on, last_order_on, n_gaps, gap_sum, gap_last, gap_before,
		round(gap_sum_log::numeric, 9), rep_id, amount, margin, returned, month, month_orders, month_amount, month_margin, month_returned
	FROM agentcrm.client_profile) s USING (client_id);
SELECT count(*) > 80 AS enough, sum((e::text IS DISTINCT FROM s::text)::int) AS different
FROM book.product e FULL JOIN (
	SELECT client_id, product_id, n, first_order_no, last_order_no, first_order_on, last_order_on, round(rate_slow::numeric, 9),
		round(rate_fast::numeric, 9), last_price, quantities
	FROM agentcrm.client_product) s USING (client_id, product_id);

-- Generations and views
SELECT agentcrm.fit();
SELECT kind, params->>'fitted' AS fitted, current FROM agentcrm.model WHERE current ORDER BY 1;
SELECT abs(share - expected) < 1e-12 AS share_right
FROM agentcrm.product_popularity, LATERAL (
	SELECT (SELECT sum(orders * 2 ^ -(age / 6.0::float8)) FROM (SELECT orders, (extract(year FROM d) * 12 + extract(month FROM d))::float8 AS age
			FROM agentcrm.product_month, LATERAL (SELECT age(date_trunc('month', m.as_of), month::timestamptz) AS d) a WHERE product_id = 11) p)
		/ (SELECT sum(orders * 2 ^ -(age / 6.0::float8)) FROM (SELECT u.orders, (extract(year FROM d) * 12 + extract(month FROM d))::float8 AS age
			FROM agentcrm.client_profile, unnest(month, month_orders) u(month, orders),
				LATERAL (SELECT age(date_trunc('month', m.as_of), u.month::timestamptz) AS d) a) t) AS expected
	FROM agentcrm.model m WHERE kind = 'popularity' AND current) e
WHERE product_id = 11;
SELECT count(*) = (SELECT count(*) FROM agentcrm.client) AS every_client, sum(amount_12m) IS NOT NULL AS amounts FROM agentcrm.client_360;
SELECT sum(clients) = (SELECT count(*) FROM agentcrm.client) AS all_in_stages FROM agentcrm.portfolio;
SELECT p_next_order BETWEEN .1 AND 1 AS probable, count(*) > 0 AS some FROM agentcrm.due_items GROUP BY 1;
SELECT count(*) AS lost_by_chance FROM agentcrm.lost_items WHERE p_missed >= .05;
SELECT count(*) = (SELECT count(*) FROM agentcrm.client_state WHERE stage = 'at_risk') AS all_at_risk FROM agentcrm.at_risk;

SELECT agentcrm.resume();
DO $$ BEGIN PERFORM agentcrm.detach('book'); END $$;
SET client_min_messages = warning;
DROP SCHEMA book CASCADE;
DROP ROLE regress_agentcrm_book;
DROP EXTENSION agentcrm;
