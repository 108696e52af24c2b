-- Generations on trial: each carries figures of the last closed window, and one that foresaw it worse than the one in use does not take its place.
\ir include/begin.sql
SELECT plan(14);
SET timezone = 'UTC';
SET agentcrm.debug_now = '2025-01-01';

-- 150 clients of uneven rhythms, values and baskets, until the last four weeks: then each orders weekly, all products, for 100;
-- the last order before is of the day on which these weeks begin.
CREATE TABLE sale (order_id int, line int, client_id int NOT NULL, at timestamptz NOT NULL, product int NOT NULL, amount numeric NOT NULL, PRIMARY KEY (order_id, line));
CREATE FUNCTION pg_temp.uniform(a bigint) RETURNS float8 LANGUAGE sql AS $$ SELECT ((hashint8(a) & 65535) + 0.5) / 65536 $$;
INSERT INTO sale
SELECT c * 1000 + k, p, c, date '2024-12-01' - ceil(sum(1 - 35 * ln(pg_temp.uniform(c * 1000 + k))) OVER (PARTITION BY c, p ORDER BY k))::int, p, (10 + c % 40) * (0.2 + 2 * pg_temp.uniform(c * 7777 + k))
FROM generate_series(1, 150) c, generate_series(1, 12) k, generate_series(1, 5) p;
DELETE FROM sale WHERE line > 1 AND pg_temp.uniform(order_id * 10 + line) > 0.6 / line;
INSERT INTO sale SELECT c * 1000 + 100 + k, p, c, date '2025-01-01' - 7 * k, p, 20 FROM generate_series(1, 150) c, generate_series(1, 3) k, generate_series(1, 5) p;
INSERT INTO sale SELECT c * 1000 + 200, 1, c, '2024-12-03', 1, 10 + c % 40 FROM generate_series(1, 150) c;
SELECT count(*) FROM agentcrm.attach('sales', lines => 'sale', order_key => '{order_id}', line_key => 'l.line', client => 'l.client_id', product => 'l.product',
	at => 'l.at', quantity => '1', amount => 'l.amount', run_as => current_user) \g /dev/null
CALL agentcrm.run();
CREATE TEMP VIEW judged AS SELECT kind, (metrics ->> 'log_loss')::float8 AS loss, (metrics ->> 'log_loss_in_use')::float8 AS in_use, metrics FROM agentcrm.model
	WHERE kind IN ('gap', 'spend', 'inclusion') AND as_of = agentcrm.clock();
CREATE PROCEDURE pg_temp.serve(kind text, params jsonb) LANGUAGE sql AS $$
	UPDATE agentcrm.model SET current = false WHERE current AND model.kind = serve.kind;
	INSERT INTO agentcrm.model (kind, params, n, as_of, fitted_at, current) VALUES (kind, params, 150, '2024-12-20', '2024-12-20', true)
$$;

SELECT agentcrm.fit() \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE current AND kind IN ('gap', 'spend', 'inclusion') AND (params ->> 'fitted') = '1'), 3, 'gap, spend and inclusion are fitted');
SELECT ok((SELECT bool_and(loss IS NOT NULL AND (metrics ->> 'window_days')::int = 28 AND (metrics ->> 'window_cases')::int >= 150 AND metrics ->> 'reason' IS NULL) FROM judged), 'each with its log loss on the last closed window');
SELECT is((SELECT (metrics ->> 'window_cases')::int FROM judged WHERE kind = 'gap' LIMIT 1), 150, 'of gap all clients');
-- what serves foresaw these weeks by chance, or by art
CALL pg_temp.serve('gap', '{"k": 1, "r": 10000, "alpha": 30000, "clients": 150, "fitted": 1}');
CALL pg_temp.serve('spend', '{"p": 100, "q": 1000001, "gamma": 1000000, "trimmed_at": 100, "fitted": 1}');
CALL pg_temp.serve('inclusion', '{"a": 900, "b": 100, "c": 1e-6, "d": 1e6, "rate": 0.9, "fitted": 1}');
SELECT lives_ok('SELECT * FROM agentcrm.profile(ARRAY[1], agentcrm.clock())', 'a gap generation of before, without shapes, serves');
SELECT count(*) AS rates FROM agentcrm.product_inclusion \gset
SELECT max(model_id) AS before FROM agentcrm.model \gset
SELECT agentcrm.fit() \g /dev/null
SELECT is((SELECT string_agg(kind, ' ' ORDER BY kind) FROM agentcrm.model WHERE current AND as_of = '2024-12-20'), 'gap inclusion spend', 'what foresaw them better stays in use');
SELECT is((SELECT string_agg(kind, ' ' ORDER BY kind) FROM agentcrm.model WHERE model_id > :before AND NOT current AND metrics ->> 'reason' ~ '^worse on the last closed window: log loss -?[\d.]+, -?[\d.]+ of the generation in use$'), 'gap inclusion spend',
	'the new ones say why they are not');
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE model_id > :before AND current AND kind IN ('class', 'popularity')), 2, 'limits and shares are counts, and always new');
SELECT is((SELECT count(*)::int FROM agentcrm.product_inclusion), :rates, 'rates of products are not thrown away for a generation that does not serve');
SELECT max(model_id) AS before FROM agentcrm.model \gset
SET statement_timeout = '60s';	-- steps that always fit would have no end
CALL agentcrm.run();
RESET statement_timeout;
SELECT is((SELECT max(model_id) FROM agentcrm.model), :before::bigint, 'and no step tries it again at once');

-- what serves is worse than chance
CALL pg_temp.serve('gap', '{"k": 1, "r": 10000, "alpha": 30000000, "clients": 150, "fitted": 1}');
CALL pg_temp.serve('spend', '{"p": 100, "q": 1000001, "gamma": 1000, "trimmed_at": 100, "fitted": 1}');
CALL pg_temp.serve('inclusion', '{"a": 1, "b": 1000, "c": 1, "d": 10, "rate": 0.9, "fitted": 1}');
SELECT agentcrm.fit() \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE current AND as_of = agentcrm.clock() AND kind IN ('gap', 'spend', 'inclusion')), 3, 'what foresaw them worse goes');
SELECT ok((SELECT bool_and((metrics ->> 'log_loss')::float8 < (metrics ->> 'log_loss_in_use')::float8) FROM agentcrm.model WHERE current AND kind IN ('gap', 'spend', 'inclusion')), 'by their log losses');

-- as of the past what knows more is neither a standard nor in use
CALL pg_temp.serve('gap', '{"k": 1, "r": 10000, "alpha": 30000, "clients": 150, "fitted": 1}');
SELECT agentcrm.fit('gap', '2024-12-15') \g /dev/null
SELECT is((SELECT as_of FROM agentcrm.model WHERE current AND kind = 'gap'), '2024-12-15', 'a fit of the past replaces what knows more, however good');
SELECT is((SELECT metrics ->> 'log_loss_in_use' FROM agentcrm.model WHERE current AND kind = 'gap'), NULL, 'and is not measured by it');

-- shares count the orders up to their moment
SELECT agentcrm.fit('popularity', '2024-12-01') \g /dev/null
SELECT is((SELECT n FROM agentcrm.model WHERE current AND kind = 'popularity'), (SELECT count(DISTINCT (order_id, product)) FROM sale WHERE at <= '2024-12-01'), 'popularity of a past moment: its n are the sales until then');
SELECT * FROM finish();
