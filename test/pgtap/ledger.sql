-- Identities and attributes: clients that several sources share.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(13);

-- what verify says of a line
UPDATE agentcrm.ledger SET rep_id = 3 WHERE client_id = 7 AND order_id = (SELECT max(order_id) FROM agentcrm.ledger WHERE client_id = 7) AND line_no = 1;
SELECT ok((SELECT count(DISTINCT coalesce(expected, found)) = 2 FROM agentcrm.verify() WHERE what = 'ledger line'), 'verify shows in what a line differs, the rep too');
SELECT agentcrm.resync('trade') \g /dev/null
CALL agentcrm.run();

-- documents that change hands
SELECT recommendation_id AS r1 FROM agentcrm.recommendation WHERE client_id = 1 AND status = 'open' \gset
SET agentcrm.debug_now = '2026-03-03 09:00+00';
INSERT INTO trade.orders VALUES (9001, 40, 2, '2026-03-03');
INSERT INTO trade.line VALUES (9001, 1, 1, 6, 420);
CALL agentcrm.run();
UPDATE trade.orders SET client_id = 1 WHERE order_id = 9001;
CALL agentcrm.run();
SELECT is((SELECT status || ': ' || status_reason FROM agentcrm.recommendation WHERE recommendation_id = :r1), 'withdrawn: answered by order 9001',
	'an order moved to another client answers there');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'and all is in order');

-- what failed of a client is erased with it
INSERT INTO agentcrm.event_failed SELECT source_id, part, '12', 1, 'XX000', 'could not read Client 12', NULL, now(), now(), now() FROM agentcrm.source_part WHERE name = 'client';
SELECT is((SELECT rows_erased FROM agentcrm.forget(12) WHERE table_name = 'event_failed'), 1::bigint, 'a failed read of the client''s attributes is forgotten, too');
SELECT agentcrm.resync('trade') \g /dev/null
CALL agentcrm.run();

-- families
UPDATE agentcrm.client SET parent_client_id = client_id - 1, root_client_id = 20 WHERE client_id BETWEEN 21 AND 23;
SELECT count(*) FROM agentcrm.forget(20) \g /dev/null
SELECT results_eq($$SELECT client_id, parent_client_id, root_client_id FROM agentcrm.client WHERE client_id BETWEEN 21 AND 23 ORDER BY 1$$,
	$$VALUES (21::bigint, NULL::bigint, 21::bigint), (22, 21, 21), (23, 22, 21)$$, 'what was below a forgotten client has a new root, the grandchildren too');
SELECT agentcrm.resync('trade') \g /dev/null
CALL agentcrm.run();

-- money: returns with their margin, and amounts beyond any
CREATE TABLE trade.sale (sale_id int PRIMARY KEY, client_id int, on_day date, kind text, amount numeric, margin numeric);
INSERT INTO trade.sale SELECT i, 60, date '2026-03-03' - 10 - 10 * i, 'sale', 100, 50 FROM generate_series(0, 19) i
	UNION ALL SELECT 100 + i, 60, date '2026-02-20' - 30 * i, 'return', -100, -50 FROM generate_series(0, 4) i
	UNION ALL SELECT 200 + i, 61, date '2026-03-03' - 10 - 10 * i, 'sale', 1e400, NULL FROM generate_series(0, 19) i;
SELECT count(*) AS attached FROM agentcrm.attach('sales', orders => 'trade.sale', client => 'o.client_id', at => 'o.on_day', quantity => '1', amount => 'o.amount',
	margin => 'o.margin', kind => 'o.kind', namespace => 'trade', time_zone => 'UTC', run_as => current_user) \gset
CALL agentcrm.run();
SELECT is((SELECT round(r.margin / p.order_value::numeric, 4) FROM agentcrm.reorder_agent(ARRAY[60], agentcrm.clock()) r, agentcrm.profile(ARRAY[60], agentcrm.clock()) p), 0.5,
	'returns are deducted from margin and from amount alike');
SELECT is((SELECT state || coalesce(': ' || problem, '') FROM agentcrm.source WHERE name = 'sales'), 'shadow', 'an absurd amount does not break the source');
SELECT is_empty($$SELECT agent, problem FROM agentcrm.agent WHERE problem IS NOT NULL$$, 'nor an agent');
SELECT agentcrm.detach('sales') \g /dev/null

-- a second source of the same clients, which gives them other names
CREATE TABLE trade.bill (bill_id int PRIMARY KEY, client_id int REFERENCES trade.client, on_day date, amount numeric, kind text DEFAULT 'sale');
INSERT INTO trade.bill VALUES (1, 7, '2026-02-20', 100);
SELECT count(*) AS attached FROM agentcrm.attach('bills', orders => 'trade.bill', clients => 'trade.client', at => 'o.on_day', quantity => '1',
	amount => 'o.amount', kind => 'o.kind', client_name => $$'Bill to ' || c.name$$, namespace => 'trade', time_zone => 'UTC', run_as => current_user) \gset
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 7), 'Client 7', 'attributes are those of the first feed');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'and another feed of the namespace is no difference');
DELETE FROM trade.bill;
SELECT agentcrm.detach('trade') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 7), 'Bill to Client 7', 'with the first one detached the other''s count');
SELECT is((SELECT string_agg(p.name || ' ' || r.changed, ', ') FROM agentcrm.reconcile_log r JOIN agentcrm.source_part p USING (source_id, part) WHERE r.cause = 'detach'), 'client 46',
	'they are read again for that, and nothing else is');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'and all is in order');
SELECT * FROM finish();
