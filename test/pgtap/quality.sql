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
INSERT INTO odd.orders VALUES (1, 1, '2026-01-01'), (2, 2, '2026-02-01'), (3, 1, '2026-03-04'), (4, 1, '1970-01-01'), (5, NULL, '2026-02-02'), (6, 1, '2026-02-03');
INSERT INTO odd.line VALUES (1, 1, 10, 1, 5), (1, 2, NULL, 1, 3), (1, 3, 11, 2, 0), (1, 4, 10, -1, -5),
	(2, 1, 10, 0, 0), (3, 1, 10, 1, 5), (4, 1, 10, 1, 5), (5, 1, 10, 1, 5), (1, 5, 10, 3, 15), (1, 6, 10, 3, 15);
SELECT count(*) FROM agentcrm.attach('odd', orders => 'odd.orders', lines => 'odd.line', clients => 'odd.client', products => 'odd.product',
	client => 'o.client', product => 'l.product', at => 'o.at', quantity => 'l.qty', amount => 'l.amount', client_name => 'c.name',
	product_name => 'p.name', time_zone => 'UTC', run_as => current_user) \g /dev/null
INSERT INTO odd.line VALUES (6, 1, 10, 1, NULL);
CALL agentcrm.run();

SELECT plan(6);
SELECT results_eq($$SELECT source, lines, returns_percent, no_product_percent, no_price_percent FROM agentcrm.data_quality$$,
	$$VALUES ('odd', 9::bigint, 11.11, 11.11, 11.11)$$, 'shares of returns, lines without product and without price');
SELECT results_eq('SELECT zero_quantity_lines, future_lines, ancient_lines FROM agentcrm.data_quality', 'VALUES (1::bigint, 1::bigint, 1::bigint)', 'zero quantities and odd dates');
SELECT results_eq('SELECT unmatched_clients, unmatched_products FROM agentcrm.data_quality', 'VALUES (1::bigint, 1::bigint)', 'what no feed gives');
SELECT results_eq('SELECT unread_keys FROM agentcrm.data_quality', 'VALUES (1::bigint)', 'keys that could not be counted');
SELECT is(agentcrm.reconcile('odd')::text, '', 'a reconcile');
CALL agentcrm.run();
SELECT results_eq('SELECT reconciled_at, reconcile_found FROM agentcrm.data_quality', $$VALUES ('2026-03-02 12:00+00'::timestamptz, 0::numeric)$$, 'is reported with what it found');
SELECT * FROM finish();
