-- What a client will buy and spend: generations of inclusion and spend, forecasts of orders and items, fits as of a past moment.
\ir include/begin.sql
SELECT plan(38);
SET timezone = 'UTC';
SET agentcrm.debug_now = '2025-01-01';

CREATE TABLE sale (order_id int, line int, client_id int NOT NULL, at timestamptz NOT NULL, product int NOT NULL, amount numeric NOT NULL, PRIMARY KEY (order_id, line));
CREATE INDEX ON sale (client_id);
-- Three clients, two orders each, one product.
INSERT INTO sale SELECT c * 100 + k, 1, c, timestamptz '2024-11-01' + (c + 20 * k) * interval '1 day', 1, 100 * c FROM generate_series(1, 3) c, generate_series(0, 1) k;
SELECT count(*) FROM agentcrm.attach('sales', lines => 'sale', order_key => '{order_id}', line_key => 'l.line', client => 'l.client_id', product => 'l.product',
	at => 'l.at', quantity => '1', amount => 'l.amount', run_as => current_user) \g /dev/null
CALL agentcrm.run();

-- too little data is an answer
SELECT is((SELECT array_agg(kind || ' ' || n || ' ' || (params ->> 'fitted') ORDER BY kind) FROM agentcrm.model WHERE current AND kind IN ('spend', 'inclusion')),
	'{inclusion 3 0,spend 3 0}', 'three clients: neither is fitted');
SELECT is_empty($$SELECT FROM agentcrm.profile('{1,2,3}', '2025-01-01') WHERE order_value <> 100 * client_id$$, 'a client''s own mean serves');
SELECT is_empty($$SELECT FROM agentcrm.forecast_items('{1,2,3}', '2025-01-01') WHERE abs(p_next_order - (1.9 + .5) / (1.9 + .5)) > 1e-12$$, 'and counts serve for products');

-- 200 clients at rhythms of their own; each takes product p of 20 to more orders the smaller p is, gives some up, and spends about as much as it does.
INSERT INTO sale
SELECT c * 100 + k, p, c, timestamptz '2024-12-30' - ((c % 11) + k * (10 + c % 17)) * interval '1 day', p, (5 + (c % 40) ^ 2 / 10) * (1 + ((c * 7 + k * 13 + p * 29) % 50) / 25.0)
FROM generate_series(4, 203) c, generate_series(0, 13) k, generate_series(1, 20) p
WHERE k < 3 + c % 12 AND (hashint8(c * 100000::bigint + k * 100 + p) & 1023) < 700 / p AND NOT (k < 4 AND (c + p) % 5 = 0);
CALL agentcrm.run();
SELECT agentcrm.fit() \g /dev/null
CREATE TEMP VIEW fitted AS SELECT kind, n, log_likelihood, params, (params ->> 'fitted')::int AS fitted FROM agentcrm.model WHERE current;

-- the generations
SELECT ok((SELECT fitted = 1 AND log_likelihood < 0 AND params ->> 'converged' = '1' AND (params ->> 'evaluations')::int BETWEEN 1 AND 200 AND n > 200
	AND (params ->> 'clients')::int = 203 FROM fitted WHERE kind = 'inclusion'), 'inclusion is fitted to all clients');
SELECT ok((SELECT fitted = 1 AND log_likelihood < 0 AND params ->> 'converged' = '1' AND (params ->> 'q')::float8 > 1 AND n > 190 FROM fitted WHERE kind = 'spend'), 'so is spend');
SELECT is((SELECT n FROM fitted WHERE kind = 'inclusion'), (SELECT count(*) FROM agentcrm.client_product JOIN agentcrm.client_profile USING (client_id)
	WHERE n_orders > first_order_no), 'its pairs are those with a later order');
SELECT set_eq('SELECT product_id, repeats, orders FROM agentcrm.product_inclusion',
	'SELECT product_id, sum(n - 1)::bigint AS repeats, sum(n_orders - first_order_no)::bigint AS orders FROM agentcrm.client_product JOIN agentcrm.client_profile USING (client_id)
	WHERE n_orders > first_order_no GROUP BY 1', 'products have their own rates');
SELECT ok((SELECT abs((params ->> 'rate')::float8 - sum(repeats) / sum(orders)) < 1e-12 FROM agentcrm.product_inclusion, fitted WHERE kind = 'inclusion' GROUP BY params), 'and the population its rate');

-- a client's order value lies between its own and that of all, as the paper says
CREATE TEMP VIEW value AS
SELECT s.client_id, s.order_value, m.x, m.mean, p * (gamma + m.x * m.mean) / (p * m.x + q - 1) AS expected
FROM agentcrm.profile(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock()) s,
	LATERAL (SELECT s.orders_12m::float8 AS x, s.amount_12m::float8 / s.orders_12m AS mean) m,
	(SELECT (params ->> 'p')::float8 AS p, (params ->> 'q')::float8 AS q, (params ->> 'gamma')::float8 AS gamma FROM fitted WHERE kind = 'spend') g;
SELECT is_empty('SELECT FROM value WHERE abs(order_value - expected) > 1e-9 * expected', 'order_value is Gamma-Gamma''s expectation');
SELECT cmp_ok((SELECT count(*)::int FROM value WHERE order_value <> mean), '>', 190, 'which is not the mean');

-- forecasts
CREATE TEMP VIEW ids AS SELECT array_agg(client_id) AS ids FROM agentcrm.client;
SELECT is_empty($$SELECT FROM ids, LATERAL agentcrm.forecast(ids, agentcrm.clock()) f, LATERAL agentcrm.profile(ARRAY[f.client_id], agentcrm.clock()) s
	WHERE (f.orders, f.amount, f.lifetime_value) IS DISTINCT FROM (s.expected_orders, s.expected_value, s.lifetime_value)$$, 'over the value horizon the forecast is the assessment');
SELECT is_empty($$SELECT FROM ids, LATERAL agentcrm.forecast(ids, agentcrm.clock(), 28) f
	WHERE (f.p_order, f.orders) IS DISTINCT FROM (agentcrm.p_order_within(f.client_id, agentcrm.clock(), 28), agentcrm.expected_orders(f.client_id, agentcrm.clock(), 28))$$,
	'and what the calls for one client say');
SELECT is((SELECT count(*) FROM ids, LATERAL agentcrm.forecast(ids, agentcrm.clock(), 28)), 203::bigint, 'a row for each client');
CREATE TEMP VIEW item AS SELECT i.*, p.n, p.first_order_no, p.last_order_no, c.n_orders
	FROM ids, LATERAL agentcrm.forecast_items(ids, agentcrm.clock(), 14) i JOIN agentcrm.client_product p USING (client_id, product_id) JOIN agentcrm.client_profile c USING (client_id);
SELECT is((SELECT count(*) FROM item), (SELECT count(*) FROM agentcrm.client_product), 'a row for each product of each client');
SELECT is_empty('SELECT FROM item WHERE NOT (p_next_order > 0 AND p_next_order < 1 AND p_within >= 0 AND p_within < 1)', 'of probabilities');
SELECT is_empty($$SELECT FROM ids, LATERAL agentcrm.forecast_items(ids, agentcrm.clock(), 28) l JOIN item i USING (client_id, product_id)
	WHERE l.p_next_order <> i.p_next_order OR l.p_within < i.p_within$$, 'that grow with the days');
SELECT cmp_ok((SELECT avg(p_next_order) FROM item WHERE last_order_no = n_orders), '>', (SELECT 2 * avg(p_next_order) FROM item WHERE last_order_no < n_orders - 4),
	'what was in the last order is likelier than what was not in the last five');
SELECT cmp_ok((SELECT avg(p_next_order) FROM item WHERE product_id = 1 AND n_orders - first_order_no < 3), '>',
	(SELECT avg(p_next_order) FROM item WHERE product_id > 10 AND n_orders - first_order_no < 3), 'a product that all buy again is likelier than one that few do');
SELECT is_empty($$SELECT FROM agentcrm.due_items d LEFT JOIN item i USING (client_id, product_id)
	WHERE (d.p_next_order, d.p_within) IS DISTINCT FROM (round(i.p_next_order::numeric, 3), round(i.p_within::numeric, 3))$$, 'due_items says the same');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.due_items WHERE quantity > 0 AND p_within > .1), '>', 100, 'of many items');

-- A fit as of a moment, and what is forecast with it, knows nothing of what came later.
CREATE TEMP TABLE then_known AS SELECT 1 AS try, now() AS model_as_of, ''::text AS kind, ''::text AS what LIMIT 0;
CREATE PROCEDURE pg_temp.look(try int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM agentcrm.fit(NULL, '2024-10-15');
	INSERT INTO then_known
	SELECT look.try, as_of, kind || segment,	-- gaps are summed in the order of the rows; the way to the parameters depends on the start
		regexp_replace((params - 'evaluations')::text, CASE kind WHEN 'gap' THEN '(\.\d{10})\d+' ELSE '^$' END, '\1', 'g') || coalesce(log_likelihood::text, '') FROM agentcrm.model WHERE current
	UNION ALL SELECT look.try, '2024-10-15', 'share of ' || product_id, share::text FROM agentcrm.product_popularity
	UNION ALL SELECT look.try, '2024-10-15', 'rate of ' || product_id, repeats || '/' || orders FROM agentcrm.product_inclusion
	UNION ALL SELECT look.try, '2024-10-15', 'client ' || f.client_id, f::text FROM ids, LATERAL agentcrm.forecast(ids, '2024-10-15', 28) f
	UNION ALL SELECT look.try, '2024-10-15', 'item ' || f.client_id || ' ' || f.product_id, f::text FROM ids, LATERAL agentcrm.forecast_items(ids, '2024-10-15', 28) f;
END $$;
CALL pg_temp.look(1);
SELECT cmp_ok((SELECT count(*)::int FROM then_known WHERE kind LIKE 'item%'), '>', 500, 'there is a past');
SELECT is((SELECT array_agg(DISTINCT model_as_of) FROM then_known), '{2024-10-15}', 'all generations in use are of that moment');
INSERT INTO sale SELECT 1000000 + c * 10 + p, 1, c, timestamptz '2024-10-15 00:00:01' + c * interval '1 minute', 21 + p % 3, 1e9 FROM generate_series(1, 203) c, generate_series(1, 9) p;
DELETE FROM sale WHERE at > '2024-11-01' AND product > 1;
CALL agentcrm.run();
CALL pg_temp.look(2);
SELECT is_empty('SELECT kind, what FROM then_known WHERE try = 1 EXCEPT SELECT kind, what FROM then_known WHERE try = 2', 'a wild future changes no parameter, rate or forecast');
SELECT is_empty('SELECT kind, what FROM then_known WHERE try = 2 EXCEPT SELECT kind, what FROM then_known WHERE try = 1', 'and adds none');
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE current AND as_of > '2024-10-15'), 0, 'generations that know it are in use no more');

-- Several fits in one transaction: each moment has the shares and rates of its own.
CREATE TEMP TABLE origin_known AS SELECT 1 AS try, f.* FROM agentcrm.forecast_items('{4}', '2025-01-01', 28) f LIMIT 0;
CREATE PROCEDURE pg_temp.origin(try int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM agentcrm.fit(NULL, '2024-10-15');
	INSERT INTO origin_known SELECT origin.try, f.* FROM ids, LATERAL agentcrm.forecast_items(ids, '2024-10-15', 28) f;
END $$;
CALL pg_temp.origin(1);
DO $$
BEGIN
	PERFORM agentcrm.fit(NULL, '2024-12-31');
	PERFORM count(*) FROM ids, LATERAL agentcrm.forecast_items(ids, '2024-12-31', 28);
	CALL pg_temp.origin(2);
END $$;
SELECT is_empty($$SELECT client_id, product_id, p_next_order FROM origin_known WHERE try = 2 EXCEPT SELECT client_id, product_id, p_next_order FROM origin_known WHERE try = 1$$,
	'a second fit in a transaction serves with its own rates of products');
SELECT is((SELECT array_agg(DISTINCT fitted_at) FROM agentcrm.model WHERE as_of = '2024-10-15'), ARRAY[agentcrm.clock()], 'a fit as of a past moment is made when it is made');

-- One kind alone: repurchase is valued by spend and judged by gap, which must not know more either.
SELECT agentcrm.fit() \g /dev/null
SELECT agentcrm.fit('repurchase', '2024-10-15') \g /dev/null
SELECT is((SELECT array_agg(DISTINCT kind || ' ' || as_of::date ORDER BY kind || ' ' || as_of::date) FROM agentcrm.model WHERE current AND kind IN ('repurchase', 'gap', 'spend', 'class')),
	'{class 2024-10-15,gap 2024-10-15,repurchase 2024-10-15,spend 2024-10-15}', 'fit(repurchase, past): what values and judges it is of that moment');
-- Any kind of the past has the worker fit at its next step.
SELECT agentcrm.fit() \g /dev/null
SELECT agentcrm.fit('spend', '2024-10-15') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT as_of FROM agentcrm.model WHERE current AND kind = 'spend'), agentcrm.clock(), 'a generation of the past is followed by a new one at the next step');
SELECT throws_ok($$SELECT agentcrm.p_alive(3, 20, 30, 5, '{"r": 1e307, "alpha": 10, "a": 1, "b": 2}')$$, '22023', NULL, 'a parameter beyond all measure is refused');
SELECT ok((SELECT value >= 0 AND value < 1e-300 FROM agentcrm.expected_orders(3, 20, 20, 5, '{"r": 1, "alpha": 10, "a": 1, "b": 2, "k": [2], "weight": [1]}', 5e-324) value), 'no time, no orders');

-- errors
SELECT throws_ok($$SELECT agentcrm.fit('gap', 'infinity')$$, '22023', NULL, 'fit: as_of must be finite');
SELECT throws_ok($$SELECT agentcrm.fit('gap', agentcrm.clock() + interval '1 s')$$, '22023', NULL, 'nor may it lie in the future');
SELECT throws_ok($$SELECT agentcrm.forecast('{1}', '2025-01-01', 0)$$, '22023', NULL, 'forecast: days begin with 1');
SELECT throws_ok($$SELECT agentcrm.forecast_items('{1}', '2025-01-01', 4000)$$, '22023', NULL, 'and end with 3650');
SELECT throws_ok($$SELECT agentcrm.forecast('{1,NULL}', '2025-01-01')$$, '22004', NULL, 'no id may be NULL');
SELECT throws_ok($$SELECT agentcrm.forecast_items('{1}', NULL)$$, '22004', NULL, 'nor as_of');
SELECT is_empty($$SELECT agentcrm.forecast_items('{999999}', '2025-01-01')$$, 'nothing of an unknown client');
SELECT * FROM finish();
