-- data_quality: each oddity is planted once and counted.
\set ECHO none
\set QUIET 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
SET agentcrm.debug_now = '2026-03-02 12:00+00';
CREATE SCHEMA odd;
CREATE TABLE odd.client (id int PRIMARY KEY, name text);
CREATE TABLE odd.product (id int PRIMARY KEY, name text);
CREATE TABLE odd.orders (id int PRIMARY KEY, client int, at timestamptz);
CREATE TABLE odd.line (id int REFERENCES odd.orders, no int, product int, qty numeric, amount numeric, PRIMARY KEY (id, no));
INSERT INTO odd.client VALUES (1, 'one');
INSERT INTO odd.product VALUES (10, 'ten');
INSERT INTO odd.orders VALUES (1, 1, '2026-01-01'), (2, 2, '2026-02-01'), (3, 1, '2026-03-04'), (4, 1, '1970-01-01'), (5, NULL, '2026-02-02'), (6, 1, '2026-02-03'), (7, NULL, NULL);
INSERT INTO odd.line VALUES (1, 1, 10, 1, 5), (1, 2, NULL, 1, 3), (1, 3, 11, 2, 0), (1, 4, 10, -1, -5),
	(2, 1, 10, 0, 0), (3, 1, 10, 1, 5), (4, 1, 10, 1, 5), (5, 1, 10, 1, 5), (1, 5, 10, 3, 15), (1, 6, 10, 3, 15), (7, 1, 10, 1, 5);
SELECT count(*) FROM agentcrm.attach('odd', orders => 'odd.orders', lines => 'odd.line', clients => 'odd.client', products => 'odd.product',
	client => 'o.client', product => 'l.product', at => 'o.at', quantity => 'l.qty', amount => 'l.amount', client_name => 'c.name',
	product_name => 'p.name', time_zone => 'UTC', run_as => current_user) \g /dev/null
INSERT INTO odd.line VALUES (6, 1, 10, 1, NULL);
SELECT plan(13);
SELECT results_eq('SELECT no_client_lines, no_client_percent FROM agentcrm.data_quality', 'VALUES (NULL::bigint, NULL::numeric)', 'nothing has been read yet');
CALL agentcrm.run();
SELECT results_eq('SELECT no_client_lines, no_client_percent FROM agentcrm.data_quality', 'VALUES (1::bigint, 10.00)', 'the first load counts lines without a client, but none that is no sale yet');
SELECT results_eq($$SELECT source, lines, returns_percent, no_product_percent, no_price_percent FROM agentcrm.data_quality$$,
	$$VALUES ('odd', 9::bigint, 11.11, 11.11, 11.11)$$, 'shares of returns, lines without product and without price');
SELECT results_eq('SELECT zero_quantity_lines, future_lines, ancient_lines FROM agentcrm.data_quality', 'VALUES (1::bigint, 1::bigint, 1::bigint)', 'zero quantities and odd dates');
SELECT results_eq('SELECT unmatched_clients, unmatched_products FROM agentcrm.data_quality', 'VALUES (1::bigint, 1::bigint)', 'what no feed gives');
SELECT results_eq('SELECT unread_keys FROM agentcrm.data_quality', 'VALUES (1::bigint)', 'keys that could not be counted');
SELECT is(agentcrm.reconcile('odd')::text, '', 'a reconcile');
CALL agentcrm.run();
SELECT results_eq('SELECT reconciled_at, reconcile_found FROM agentcrm.data_quality', $$VALUES ('2026-03-02 12:00+00'::timestamptz, 0::numeric)$$, 'is reported with what it found');

-- lines without a client, each counted once, however they are read; unseen(): writes that no trigger sees
CREATE FUNCTION no_client(source_name text) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', no_client_lines, no_client_percent) FROM agentcrm.data_quality WHERE source = source_name $$;
CREATE FUNCTION unseen(relation regclass, writes text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t name;
BEGIN
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', relation);
	EXECUTE writes;
	FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = relation AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, t);
	END LOOP;
END $$;
SELECT unseen('odd.line', 'INSERT INTO odd.line VALUES (5, 2, 10, 1, 5), (1, 7, 10, 1, 5)'), agentcrm.reconcile('odd') \g /dev/null
CALL agentcrm.run();
SELECT is(no_client('odd'), '2 16.67', 'a range of keys that is read again counts once');
INSERT INTO odd.orders SELECT g, nullif(g % 10, 0), '2026-02-01' FROM generate_series(1001, 3000) g;
INSERT INTO odd.line SELECT g, 1, 10, 1, 5 FROM generate_series(1001, 3000) g;
CALL agentcrm.run();
SELECT unseen('odd.line', 'DELETE FROM odd.line WHERE id > 1000 AND id % 10 BETWEEN 1 AND 5') \g /dev/null
SELECT unseen('odd.orders', 'DELETE FROM odd.orders WHERE id > 1000 AND id % 10 BETWEEN 1 AND 5'), agentcrm.reconcile('odd') \g /dev/null
CALL agentcrm.run();
SELECT is(no_client('odd') || (SELECT ' ' || reconcile_found FROM agentcrm.data_quality), '202 19.96 1000', 'also where so much is stored in it that it is read in two');
CREATE TABLE odd.flat (doc text, no int, client text, at date, amount numeric, PRIMARY KEY (doc, no));
INSERT INTO odd.flat SELECT 'doc ' || g, l, 'c' || nullif(g % 10, 0), date '2026-01-01' + g, 5 FROM generate_series(1, 30) g, generate_series(1, 2) l;
SELECT count(*) FROM agentcrm.attach('flat', lines => 'odd.flat', order_key => '{doc}', client => 'l.client', product => 'l.no', at => 'l.at', quantity => '1', amount => 'l.amount',
	time_zone => 'UTC', run_as => current_user) \g /dev/null
CALL agentcrm.run();
SELECT is(no_client('flat'), '6 10.00', 'text keys: the first load');
SELECT unseen('odd.flat', $$INSERT INTO odd.flat VALUES ('doc 1', 3, 'c1', '2026-01-02', 5), ('doc 10', 3, NULL, '2026-01-11', 5)$$), agentcrm.reconcile('flat') \g /dev/null
CALL agentcrm.run();
SELECT is(no_client('flat'), '7 11.29', 'a reconcile by months');
SELECT agentcrm.resync('flat') \g /dev/null
CALL agentcrm.run();
SELECT is(no_client('flat'), '7 11.29', 'and a resync');
SELECT * FROM finish();
