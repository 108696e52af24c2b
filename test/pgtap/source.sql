-- The calls on sources: right use, and wrong arguments with what they answer.
\ir include/begin.sql
CREATE ROLE regress_source_app;
CREATE ROLE regress_source_other;
CREATE SCHEMA app AUTHORIZATION regress_source_app;
SET ROLE regress_source_app;
CREATE TABLE app.reps (rep_id int PRIMARY KEY, name text);
CREATE TABLE app.clients (client_id int PRIMARY KEY, name text, rep_id int REFERENCES app.reps);
CREATE TABLE app.products (product_id int PRIMARY KEY, name text);
CREATE TABLE app.orders (order_id int PRIMARY KEY, client_id int REFERENCES app.clients, day date, state text);
CREATE TABLE app.lines (order_id int REFERENCES app.orders, line_no int, product_id int REFERENCES app.products, qty int, price numeric, PRIMARY KEY (order_id, line_no));
CREATE VIEW app.open_orders AS SELECT * FROM app.orders;
INSERT INTO app.reps VALUES (1, 'Ann');
INSERT INTO app.clients SELECT g, 'client ' || g, 1 FROM generate_series(1, 5) g;
INSERT INTO app.products SELECT g, 'product ' || g FROM generate_series(1, 3) g;
INSERT INTO app.orders SELECT g, 1 + g % 5, '2025-01-01'::date + g, 'ok' FROM generate_series(1, 50) g;
INSERT INTO app.lines SELECT o, l, l, 2, 1.50 FROM generate_series(1, 50) o, generate_series(1, 3) l;
RESET ROLE;
SET search_path = app, public;
-- SQLSTATE and message of a call, for what has no error: none
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE call;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate || ': ' || sqlerrm;
END $$;
CREATE FUNCTION pg_temp.footprint() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', (SELECT count(*) FROM agentcrm.source), (SELECT count(*) FROM agentcrm.source_part), (SELECT count(*) FROM agentcrm.source_watch),
		(SELECT count(*) FROM agentcrm.source_load), (SELECT count(*) FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc)) $$;
SELECT plan(98);

-- attach_query
\set query '$$SELECT o.order_id AS order_key, o.client_id AS client_key, l.line_no AS line_key, l.product_id AS product_key, o.day AS ordered_at, l.qty AS quantity, l.qty * l.price AS amount FROM app.orders o JOIN app.lines l USING (order_id) WHERE o.order_id = ANY ($1)$$'
\set watch '$${"app.orders": ["order_id"], "app.lines": ["order_id"]}$$'
CREATE FUNCTION pg_temp.query(arguments text) RETURNS text LANGUAGE sql AS $$SELECT pg_temp.answer('SELECT * FROM agentcrm.attach_query(' || arguments || ')')$$;
SELECT matches(pg_temp.query($$NULL, 'SELECT 1', '{app.orders.order_id}', '{}'$$), '^22023: attach: pass name', 'attach_query: no name');
SELECT matches(pg_temp.query($$'q', NULL, '{app.orders.order_id}', '{"app.orders": ["order_id"]}'$$), '^22023: attach: pass query', 'no query');
SELECT matches(pg_temp.query(format('%L, %L, NULL, %L', 'q', :query, :watch)), '^22023: attach: pass key', 'no key');
SELECT matches(pg_temp.query(format('%L, %L, %L, NULL', 'q', :query, '{app.orders.order_id}')), '^22023: attach: pass watch', 'no watch list');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', 'SELEC 1', '{app.orders.order_id}', :watch)), '^42601: attach: query', 'query with a syntax error');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', 'DELETE FROM app.orders WHERE order_id = ANY ($1) RETURNING *', '{app.orders.order_id}', :watch)), '^[0-9A-Z]{5}: attach: query', 'query that writes');
SELECT is((SELECT count(*)::int FROM app.orders), 50, 'and writes nothing');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', 'SELECT order_id AS order_key FROM app.orders WHERE order_id = ANY ($1)', '{app.orders.order_id}', :watch)), '^42703: attach: query does not give', 'query without the columns');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', :query, '{order_id}', :watch)), 'argument key', 'key without its table');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', :query, '{app.orders.number}', :watch)), 'argument key: column number of app.orders does not exist', 'key column that is not there');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', :query, '{app.orders.order_id}', '{"app.nothing": ["order_id"]}')), 'argument watch: relation "?app.nothing"? does not exist', 'watched table that is not there');
SELECT is((SELECT string_agg(detail, '; ') FROM agentcrm.attach_query('q', :query, '{app.orders.order_id}', '{"app.open_orders": ["order_id"]}', dry_run => true) WHERE item = 'triggers'),
	'app.orders, rows and TRUNCATE; keys: order (order_id)', 'watched view: its table is watched');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L, on_delete => %L', 'q', :query, '{app.orders.order_id}', :watch, 'ignore')), '^22023: attach: argument on_delete', 'unknown on_delete');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L, run_as => %L', 'q', :query, '{app.orders.order_id}', :watch, 'regress_source_other')), '^42501: attach: role regress_source_other, as which the source is read, may not', 'run_as without privileges');
SELECT is(pg_temp.footprint(), '0 0 0 0 0', 'refused calls change nothing');
SELECT is((SELECT detail FROM agentcrm.attach_query('q', :query, '{app.orders.order_id}', :watch, dry_run => true) WHERE item = 'orders'), '50', 'a dry run counts');
SELECT is(pg_temp.footprint(), '0 0 0 0 0', 'and changes nothing');
SELECT count(*) FROM agentcrm.attach_query('q', :query, '{app.orders.order_id}', :watch, time_zone => 'UTC') \g /dev/null
SELECT is((SELECT state || deliver FROM agentcrm.source WHERE name = 'q'), 'loadingfalse', 'attached, it loads');
SELECT matches(pg_temp.query(format('%L, %L, %L, %L', 'q', :query, '{app.orders.order_id}', :watch)), '^42710: attach: source "q" exists already', 'a name is given once');
BEGIN;
CREATE TABLE app.scratch (id int);
SELECT is(pg_temp.query(format('%L, %L, %L, %L', 'r', :query, '{app.orders.order_id}', :watch)), '25001: attach: this transaction has already written', 'not after writing');
ROLLBACK;

-- go_live, before and after loading
SELECT is(pg_temp.answer($$SELECT agentcrm.go_live('nothing')$$), '42704: source "nothing" does not exist', 'go_live: unknown source');
SELECT is(pg_temp.answer($$SELECT agentcrm.go_live(NULL)$$), '42704: source NULL does not exist', 'go_live: NULL');
CALL agentcrm.run();
SELECT is((SELECT state || deliver FROM agentcrm.source WHERE name = 'q'), 'shadowfalse', 'loaded, it is in shadow');
SELECT agentcrm.go_live('q') \g /dev/null
SELECT is((SELECT state || deliver FROM agentcrm.source WHERE name = 'q'), 'livetrue', 'go_live');
CALL agentcrm.run();

-- compare
SELECT is((SELECT string_agg(item || ' ' || trim_scale(application) || ' ' || trim_scale(ledger) || ' ' || trim_scale(difference), ', ' ORDER BY item COLLATE "C") FROM agentcrm.compare('q')),
	'amount 450 450 0, clients 5 5 0, lines 150 150 0, orders 50 50 0, return amount 0 0 0, return lines 0 0 0, return orders 0 0 0', 'compare');
UPDATE app.lines SET qty = 3 WHERE order_id = 1 AND line_no = 1;
SELECT is((SELECT trim_scale(difference) FROM agentcrm.compare('q') WHERE item = 'amount'), 1.5, 'shows what waits');
SELECT matches(pg_temp.answer($$SELECT * FROM agentcrm.compare('nothing')$$), '^42704: .*"nothing"', 'compare: unknown source');
SELECT is(pg_temp.answer($$SELECT * FROM agentcrm.compare(NULL)$$), '22004: source must not be NULL', 'compare: NULL');
CALL agentcrm.run();

-- attach_feed
\set feed '$$SELECT client_id AS client_key, name FROM app.clients WHERE client_id = ANY ($1)$$'
CREATE FUNCTION pg_temp.feed(arguments text) RETURNS text LANGUAGE sql AS $$SELECT pg_temp.answer('SELECT * FROM agentcrm.attach_feed(' || arguments || ')')$$;
SELECT is(pg_temp.feed(format('%L, %L, %L, %L', 'nothing', 'client', :feed, '{"app.clients": ["client_id"]}')), '42704: source "nothing" does not exist', 'attach_feed: unknown source');
SELECT matches(pg_temp.feed(format('%L, %L, %L, %L', 'q', 'weather', :feed, '{"app.clients": ["client_id"]}')), 'feed .weather. is not known', 'unknown feed');
SELECT matches(pg_temp.feed(format('%L, NULL, %L, %L', 'q', :feed, '{"app.clients": ["client_id"]}')), 'feed NULL is not known', 'NULL feed');
SELECT matches(pg_temp.feed(format('%L, %L, %L, %L', 'q', 'client', 'SELECT 1', '{"app.clients": ["client_id"]}')), 'attach: query of feed client', 'query of another shape');
SELECT matches(pg_temp.feed(format('%L, %L, %L, NULL, %L', 'q', 'client', :feed, '{app.clients.client_id}')), 'attach: pass watch', 'attach_feed: no watch list');
SELECT is((SELECT count(*)::int FROM agentcrm.client WHERE name IS NOT NULL), 0, 'no name so far');
SELECT count(*) FROM agentcrm.attach_feed('q', 'client', :feed, '{"app.clients": ["client_id"]}') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT string_agg(name, ', ' ORDER BY client_id) FROM agentcrm.client), 'client 1, client 2, client 3, client 4, client 5', 'attach_feed: clients have their names');
UPDATE app.clients SET name = 'Eve' WHERE client_id = 5;
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 5), 'Eve', 'and their new ones');
SELECT count(*) FROM agentcrm.attach_feed('q', 'client', replace(:feed, 'name FROM', 'upper(name) AS name FROM'), '{"app.clients": ["client_id"]}') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 5), 'EVE', 'a feed given again replaces the first');

-- resync
SELECT is(pg_temp.answer($$SELECT agentcrm.resync('nothing')$$), '42704: source "nothing" does not exist', 'resync: unknown source');
SELECT is(pg_temp.answer($$SELECT agentcrm.resync('q', 'weather')$$), '42704: source "q" has no part ''weather''', 'resync: unknown part');
SELECT name AS named FROM agentcrm.client WHERE client_id = 1 \gset
UPDATE agentcrm.client SET name = 'Adam' WHERE client_id = 1;
UPDATE agentcrm.ledger SET quantity = quantity + 1 WHERE order_id = 2 AND ctid = (SELECT min(ctid) FROM agentcrm.ledger WHERE order_id = 2);
SELECT agentcrm.resync('q', 'client') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 1), :'named', 'resync of a part reads it again');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 2, 'and no other: an order''s line differs (verify shows both sides)');
SELECT agentcrm.resync('q') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'resync of the source reads all');

-- reconcile
SELECT is(pg_temp.answer($$SELECT agentcrm.reconcile('nothing')$$), '42704: source "nothing" does not exist', 'reconcile: unknown source');
UPDATE agentcrm.ledger SET quantity = quantity + 1 WHERE order_id = 2 AND ctid = (SELECT min(ctid) FROM agentcrm.ledger WHERE order_id = 2);
SELECT agentcrm.reconcile('q') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'reconcile mends what it finds');
SELECT is((SELECT sum(changed) FROM agentcrm.reconcile_log WHERE cause = 'reconcile'), 1::numeric, 'and tells of it');

-- pause and resume of a source
SELECT matches(pg_temp.answer($$SELECT agentcrm.pause('nothing')$$), '^42704: there is no source or agent "nothing"', 'pause: unknown name');
SELECT matches(pg_temp.answer($$SELECT agentcrm.resume('nothing')$$), '^42704: there is no source or agent "nothing"', 'resume: unknown name');
SELECT agentcrm.pause('q') \g /dev/null
SELECT is((SELECT state FROM agentcrm.status WHERE what = 'source'), 'paused', 'pause of a source');
SELECT matches((SELECT remark FROM agentcrm.status WHERE what = 'source'), 'paused by .*agentcrm.resume\(''q''\)', 'says by whom, and how it goes on');
UPDATE app.lines SET qty = 5 WHERE order_id = 3 AND line_no = 1;
CALL agentcrm.run();
SELECT is((SELECT quantity FROM agentcrm.ledger WHERE order_id = 3 AND product_id = 1), 2::numeric, 'a paused source is not read');
SELECT is((SELECT agentcrm.queue_depth()), 1::bigint, 'its change waits');
SELECT agentcrm.resume('q') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT quantity FROM agentcrm.ledger WHERE order_id = 3 AND product_id = 1), 5::numeric, 'and is read after resume');
SELECT is((SELECT state FROM agentcrm.source), 'live', 'which is live again');
SELECT agentcrm.pause('reorder') \g /dev/null
SELECT is((SELECT state FROM agentcrm.status WHERE what = 'agent' AND name = 'reorder'), 'paused', 'an agent is paused');
SELECT agentcrm.resume('reorder') \g /dev/null
SELECT is((SELECT mode FROM agentcrm.agent WHERE agent = 'reorder'), 'active', 'and goes on');

-- alter_source
CREATE FUNCTION pg_temp.alter(arguments text) RETURNS text LANGUAGE sql AS $$SELECT pg_temp.answer('SELECT * FROM agentcrm.alter_source(' || arguments || ')')$$;
SELECT is(pg_temp.alter($$'nothing', time_zone => 'UTC'$$), '42704: source "nothing" does not exist', 'alter_source: unknown source');
SELECT matches(pg_temp.alter($$'q', client => 'o.client_id'$$), '^22023: alter_source: argument client does not belong to a source made by attach_query', 'argument of another kind of source');
SELECT matches(pg_temp.alter($$'q', time_zone => 'Mars/Base'$$), '^22023: attach: argument time_zone', 'unknown time zone');
SELECT matches(pg_temp.alter($$'q', reset => '{client_name}'$$), '^22023: alter_source: argument reset', 'reset of what was not given');
SELECT matches(pg_temp.alter($$'q', query => 'SELECT 1'$$), 'attach: query', 'query of another shape');
SELECT count(*) FROM agentcrm.alter_source('q', query => replace(:query, 'l.qty * l.price', '10 * l.qty')) \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT amount FROM agentcrm.ledger WHERE order_id = 4 AND product_id = 1), 20::numeric, 'alter_source: all is read with the new query');
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 5), 'EVE', 'the feed stays');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify after alter_source');

-- attach, in an identity namespace of its own
SELECT count(*) FROM agentcrm.attach('t', orders => 'orders', lines => 'lines', clients => 'clients', products => 'products', at => 'o.day', quantity => 'l.qty',
	amount => 'l.qty * l.price', is_sale => $$o.state = 'ok'$$, client_name => 'c.name', product_name => 'p.name') \g /dev/null
CALL agentcrm.backfill('t');
SELECT is((SELECT count(DISTINCT namespace)::int FROM agentcrm.client), 2, 'attach: clients of two sources stay apart');
SELECT is((SELECT string_agg(ledger::text, ' ' ORDER BY item COLLATE "C") FROM agentcrm.compare('t') WHERE item IN ('clients', 'orders', 'lines')), '5 150 50', 'attach: all is there');
SELECT matches(pg_temp.answer($$SELECT * FROM agentcrm.attach('u', orders => 'orders', at => 'o.day', quantity => '1', amount => 'o.price')$$), 'attach: (pass client|argument)', 'attach: what is missing is named');
SELECT is(pg_temp.answer($$SELECT * FROM agentcrm.attach('u', orders => 'orders', client => 'o.client_id', at => 'o.day', quantity => '1', amount => 'o.price')$$), '42703: attach: argument amount: column o.price does not exist', 'attach: a wrong expression names its argument');

-- propose, and attach without tables
SELECT is((SELECT string_agg(role || ' ' || coalesce(expression, relation), ', ' ORDER BY role COLLATE "C") FROM agentcrm.propose('{app}') WHERE mapping = 1 AND rank = 1 AND role NOT IN ('mapping', 'order_key', 'line_order_key')),
	'amount l.qty * l.price, at o.day, client o.client_id, client_name c.name, clients app.clients, lines app.lines, orders app.orders, product l.product_id, product_name p.name, products app.products, quantity l.qty, rep c.rep_id, status o.state',
	'propose: tables and expressions');
SELECT is_empty($$SELECT FROM agentcrm.propose('{app}') WHERE evidence IS NULL OR score IS NULL$$, 'propose: each with its evidence');
SELECT is_empty($$SELECT FROM agentcrm.propose('{no_such_schema}')$$, 'propose: nothing in an unknown schema');
BEGIN;
UPDATE app.orders SET state = 'cancelled' WHERE order_id = (SELECT min(order_id) FROM app.orders);
SELECT string_agg(argument || ' ' || subject || ' ' || value || ' ' || counts, ', ' ORDER BY value) AS asked FROM agentcrm.propose_questions('{app}') WHERE open AND value IN ('ok', 'cancelled') \gset
ROLLBACK;
SELECT is(:'asked'::text, 'is_sale o.state cancelled false, is_sale o.state ok true', 'propose_questions: what only a person decides');
SELECT is_empty($$SELECT FROM agentcrm.propose_questions('{no_such_schema}')$$, 'propose_questions: nothing in an unknown schema');
SELECT matches(pg_temp.answer($$SELECT * FROM agentcrm.attach('u', schemas => '{no_such_schema}')$$), '^42P01: attach: no table', 'attach: nothing to propose');
SELECT is((SELECT count(*)::int FROM agentcrm.attach('u', schemas => '{app}', is_sale => $$o.state = 'ok'$$, dry_run => true) WHERE item = 'call' AND detail LIKE '%orders => ''app.orders''%'), 1, 'attach: a dry run shows the call');
SELECT is(pg_temp.answer($$SELECT * FROM agentcrm.attach('u', orders => 'orders', client => 'o.client_id', client_link => 'o.client_id', at => 'o.day', quantity => '1', amount => '1')$$),
	'22023: attach: argument client_link needs argument clients', 'attach: client_link alone');
SELECT is(pg_temp.answer($$SELECT * FROM agentcrm.attach('u', orders => 'orders', client => 'o.client_id', at => 'o.day', quantity => '1', amount => '1', watch => '{"orders": "order_id"}')$$),
	'22023: attach: argument watch: changes of app.orders are seen without it', 'attach: watch of what is watched');

-- detach
SELECT is(pg_temp.answer($$SELECT agentcrm.detach('nothing')$$), '42704: source "nothing" does not exist', 'detach: unknown source');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger), 300, 'the lines of two sources');
SELECT agentcrm.detach('t') \g /dev/null
SELECT is((SELECT count(*)::int FROM pg_trigger WHERE tgname ~ format('^agentcrm_%s_', (SELECT source_id FROM agentcrm.source WHERE name = 't'))), 0, 'detach drops the triggers at once');
SELECT is((SELECT remark FROM agentcrm.status WHERE name = 't'), 'detaching: 0 %', 'status shows what is left to do');
SELECT is((SELECT string_agg(part || ' ' || phase, ', ') FROM agentcrm.progress WHERE source = 't'), 'order empty', 'so does progress');
SELECT is(pg_temp.answer(c), '55000: source "t" is being detached', c) FROM unnest(ARRAY[$$SELECT agentcrm.detach('t')$$, $$SELECT agentcrm.go_live('t')$$, $$SELECT agentcrm.resync('t')$$,
	$$SELECT agentcrm.reconcile('t')$$, $$SELECT * FROM agentcrm.compare('t')$$, $$SELECT * FROM agentcrm.alter_source('t')$$,
	$$SELECT * FROM agentcrm.attach_feed('t', 'rep', 'SELECT 1', '{}')$$]) c;
SELECT is(pg_temp.answer($$SELECT * FROM agentcrm.attach('t', orders => 'orders')$$), '55000: source "t" is being detached', 'its name is not free yet');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify while it is detached');
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.ledger l JOIN agentcrm.client c USING (client_id) WHERE c.namespace <> 0), 0, 'detach takes the lines along');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger), 150, 'and no others');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger_history h JOIN agentcrm.client c USING (client_id) WHERE c.namespace <> 0), 150, 'their history stays');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify after detach');
SELECT agentcrm.detach('q') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.footprint(), '0 0 0 0 0', 'after the last detach nothing is left');

-- grant_operator
SELECT is(pg_temp.answer($$SELECT agentcrm.grant_operator('regress_source_nobody')$$), '42704: role "regress_source_nobody" does not exist', 'grant_operator: unknown role');
SELECT agentcrm.grant_operator('regress_source_other') \g /dev/null
SET ROLE regress_source_other;
CALL agentcrm.run();
RESET ROLE;
SELECT pass('an operator may run steps');
-- only as a trigger
SELECT matches(pg_temp.answer('SELECT agentcrm.capture()'), 'can only be called as a trigger', 'capture is a trigger');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY regress_source_other, regress_source_app;
DROP ROLE regress_source_other, regress_source_app;
