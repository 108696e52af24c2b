-- What cannot be taken is refused key by key, and the rest goes on.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(14);

-- a source of the same clients whose keys are texts: 7 has an id already
CREATE TABLE trade.account (code text PRIMARY KEY, name text, agent text);
CREATE TABLE trade.sku (sku text PRIMARY KEY, name text);
CREATE TABLE trade.web_order (web_id int PRIMARY KEY, code text, sku text, on_day date, amount numeric);
INSERT INTO trade.account SELECT 'w' || i, 'Account ' || i, 'bot' FROM generate_series(1, 9) i UNION ALL VALUES ('7', 'Account 7', 'bot'), ('w10', 'Account 10', '2');
INSERT INTO trade.sku SELECT 's' || i, 'Sku ' || i FROM generate_series(1, 3) i UNION ALL VALUES ('1', 'Sku 1');
INSERT INTO trade.web_order SELECT i, 'w' || 1 + i % 9, 's' || 1 + i % 3, date '2026-02-20', 100 FROM generate_series(1, 20) i UNION ALL VALUES (21, '7', 's1', date '2026-02-21', 100);
SELECT count(*) AS attached FROM agentcrm.attach('web', orders => 'trade.web_order', clients => 'trade.account', client => 'o.code', client_link => 'o.code', product => 'o.sku', at => 'o.on_day', quantity => '1',
	amount => 'o.amount', client_name => 'c.name', rep => 'c.agent', namespace => 'trade', time_zone => 'UTC', run_as => current_user) \gset
SELECT count(*) AS attached FROM agentcrm.attach_feed('web', 'product', 'SELECT sku AS product_key, name FROM trade.sku WHERE sku = ANY ($1)', '{"trade.sku": ["sku"]}') \gset
CALL agentcrm.run();
SELECT is((SELECT state || coalesce(': ' || problem, '') FROM agentcrm.source WHERE name = 'web'), 'shadow', 'keys of another type do not break their source');
SELECT is((SELECT string_agg(name, ', ' ORDER BY name COLLATE "C") FROM agentcrm.client WHERE client_key ~ '^w'), 'Account 1, Account 2, Account 3, Account 4, Account 5, Account 6, Account 7, Account 8, Account 9',
	'the feed''s other clients have their names');
SELECT is((SELECT string_agg(name, ', ' ORDER BY name) FROM agentcrm.product WHERE product_key ~ '^s'), 'Sku 1, Sku 2, Sku 3', 'the other products, too');
SELECT results_eq($$SELECT p.name, f.key, f.message FROM agentcrm.event_failed f JOIN agentcrm.source_part p USING (source_id, part) ORDER BY 1, 2$$,
	$$VALUES ('client', '7', 'client key "7" already has id 7: its type differs among the sources of a namespace'),
		('client', 'w10', 'rep key "2" already has id 2: its type differs among the sources of a namespace'),
		('order', '21', 'client key "7" already has id 7: its type differs among the sources of a namespace'),
		('product', '1', 'product key "1" already has id 1: its type differs among the sources of a namespace')$$, 'each that clashes says so');
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 7), 'Client 7', 'who has the id keeps it');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'and no more than these differ');

-- a feed that gives other keys than those it is read by
CREATE TABLE trade.shop (shop_id int PRIMARY KEY, code text, name text);
INSERT INTO trade.shop SELECT i, CASE i WHEN 3 THEN '3' ELSE 'w' || i END, 'Shop ' || i FROM generate_series(1, 9) i;
SELECT agentcrm.detach('web') \g /dev/null
CALL agentcrm.run();
SELECT count(*) AS attached FROM agentcrm.attach('web', orders => 'trade.web_order', client => 'o.code', product => 'o.sku', at => 'o.on_day', quantity => '1',
	amount => 'o.amount', time_zone => 'UTC', run_as => current_user) \gset
SELECT count(*) AS attached FROM agentcrm.attach_feed('web', 'client', 'SELECT code AS client_key, name FROM trade.shop WHERE shop_id = ANY ($1)', '{"trade.shop": ["shop_id"]}') \gset
CALL agentcrm.run();
SELECT agentcrm.resync('web') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT state || coalesce(': ' || problem, '') FROM agentcrm.source WHERE name = 'web'), 'shadow', 'keys that cannot be read as the feed''s do not break the source');
SELECT is((SELECT count(*)::int FROM agentcrm.client WHERE name ~ '^Shop'), 9, 'what it gives is stored');
SELECT is((SELECT count(*) || ' ' || min(message) FROM agentcrm.event_failed WHERE key <> '21'), '8 invalid input syntax for type integer: "w1"', 'each key says why it is not looked for');

-- one order of a batch that cannot be read, between orders of the same new clients
CREATE TABLE trade.till (till_id int PRIMARY KEY, code text, on_day date, amount numeric, rate numeric);
SELECT count(*) AS attached FROM agentcrm.attach('till', orders => 'trade.till', client => 'o.code', at => 'o.on_day', quantity => '1', amount => 'o.amount / o.rate', time_zone => 'UTC', run_as => current_user) \gset
CALL agentcrm.run();
INSERT INTO trade.till SELECT i, 'n' || i % 3, date '2026-02-20', 100, (i <> 13)::int FROM generate_series(1, 40) i;
CALL agentcrm.run();
SELECT is((SELECT count(*) || ' ' || count(DISTINCT client_id) FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) WHERE s.name = 'till'), '39 3', 'the others are counted');
SELECT is_empty('SELECT at, message FROM agentcrm.error_log', 'and no step fails');

-- numbers too large to count with
INSERT INTO trade.till VALUES (50, 'n0', '2026-02-21', 1e100, 1), (51, 'n0', '2026-02-22', 1e101, 1), (52, 'n1', '2026-02-23', -1e400, 1), (53, 'n1', '2026-02-23', 100, 1);
CALL agentcrm.run();
SELECT results_eq($$SELECT key, message FROM agentcrm.event_failed WHERE key IN ('50', '51', '52', '53') ORDER BY 1$$, $$VALUES ('51', 'amount is beyond 1e100'), ('52', 'amount is beyond 1e100')$$,
	'numbers beyond 1e100 fail by themselves');
SELECT is((SELECT string_agg(amount::float8::text, ', ' ORDER BY amount) FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) WHERE s.name = 'till' AND ordered_on > '2026-02-20'), '100, 1e+100', 'the others are counted');
SELECT is_empty($$SELECT client_id FROM agentcrm.client_profile p WHERE to_jsonb(p)::text ~ '(NaN|Infinity)'$$, 'and no profile holds what is no number');
SELECT * FROM finish();
