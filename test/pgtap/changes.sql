-- The application changes its tables under attached sources: with event triggers, and without them.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
CREATE ROLE regress_changes_app;
CREATE SCHEMA shop AUTHORIZATION regress_changes_app;
CREATE SCHEMA till AUTHORIZATION regress_changes_app;
SET ROLE regress_changes_app;
CREATE TABLE shop.client (client_id int PRIMARY KEY, name text, region text);
CREATE TABLE shop.orders (order_id int PRIMARY KEY, client_id int, day date);
CREATE TABLE shop.line (order_id int, line_no int, product int, qty int, price numeric, PRIMARY KEY (order_id, line_no)) PARTITION BY RANGE (order_id);
CREATE TABLE shop.line_1 PARTITION OF shop.line FOR VALUES FROM (0) TO (100);
CREATE TABLE shop.line_2 PARTITION OF shop.line FOR VALUES FROM (100) TO (200);
CREATE TABLE till.sale (id int PRIMARY KEY, buyer int, day date, total numeric);
CREATE TABLE till.sale_2024 () INHERITS (till.sale);
INSERT INTO shop.client SELECT g, 'client ' || g, 'north' FROM generate_series(1, 9) g;
INSERT INTO shop.orders SELECT g, 1 + g % 9, '2025-01-01'::date + g FROM generate_series(1, 60) g;
INSERT INTO shop.line SELECT o, l, 1 + (o + l) % 5, 1 + o % 3, 2.5 FROM generate_series(1, 60) o, generate_series(1, 2) l;
INSERT INTO till.sale SELECT g, 1 + g % 9, '2025-01-01'::date + g, g FROM generate_series(1, 20) g;
INSERT INTO till.sale_2024 SELECT g, 1 + g % 9, '2024-01-01'::date + g, g FROM generate_series(21, 30) g;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.line', line_order_key => '{order_id}', clients => 'shop.client', client => 'o.client_id', product => 'l.product',
	at => 'o.day', quantity => 'l.qty', amount => 'l.qty * l.price', client_name => 'c.name', territory => 'c.region', time_zone => 'UTC') \g /dev/null
SELECT count(*) FROM agentcrm.attach('till', orders => 'till.sale', client => 'o.buyer', at => 'o.day', quantity => '1', amount => 'o.total', namespace => 'shop', time_zone => 'UTC') \g /dev/null
SELECT agentcrm.go_live('shop'), agentcrm.go_live('till') \g /dev/null
CALL agentcrm.run();

-- Differences found by verify(), items that compare() finds unequal, state.
CREATE FUNCTION pg_temp.state(source_name text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', (SELECT count(*) FROM agentcrm.verify()), (SELECT count(*) FROM agentcrm.compare(source_name) WHERE difference <> 0), (SELECT state FROM agentcrm.source WHERE name = source_name)) $$;
CREATE FUNCTION pg_temp.triggers(relation regclass) RETURNS int LANGUAGE sql AS $$
	SELECT count(*)::int FROM pg_trigger WHERE tgrelid = relation AND tgfoid = 'agentcrm.capture'::regproc $$;
CREATE FUNCTION pg_temp.fires(relation regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgrelid = relation AND tgfoid = 'agentcrm.capture'::regproc $$;
CREATE FUNCTION pg_temp.cause() RETURNS text LANGUAGE sql AS $$
	SELECT cause FROM agentcrm.reconcile_log WHERE source_id = 1 AND part = 1 ORDER BY reading DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.remark(source_name text) RETURNS text LANGUAGE sql AS $$
	SELECT remark FROM agentcrm.status WHERE name = source_name $$;
CREATE FUNCTION pg_temp.call(source_name text) RETURNS text LANGUAGE sql AS $$
	SELECT substring(pg_temp.remark(source_name) FROM 'SELECT agentcrm\..*') $$;

SELECT plan(127);
SELECT is(pg_temp.state('shop') || pg_temp.state('till'), '0 0 live0 0 live', 'loaded');
\set events true
\ir include/changes.sql
ALTER EVENT TRIGGER agentcrm_ddl DISABLE;
ALTER EVENT TRIGGER agentcrm_drop DISABLE;
\set events false
\ir include/changes.sql

SELECT * FROM finish();
