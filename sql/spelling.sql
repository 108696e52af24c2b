-- Keys that are equal though their texts differ: an order is one order however its tables write its key, and none is lost
\set SHOW_CONTEXT never
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS agentcrm;
SELECT agentcrm.pause();
CREATE ROLE spelling_app;
CREATE SCHEMA spelling AUTHORIZATION spelling_app;
SET search_path = spelling;
SET ROLE spelling_app;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
RESET ROLE;
-- the ledger by the orders' own keys; what differs from a recompute is shown
CREATE VIEW public.counted AS SELECT s.name, coalesce(r.order_key, l.order_id::text) COLLATE "C" AS order_key, count(*) AS lines, sum(l.quantity) AS quantity
	FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) LEFT JOIN agentcrm.order_ref r USING (source_id, order_id) GROUP BY 1, 2 ORDER BY 1, 2;
CREATE VIEW public.wrong AS
	SELECT 'waiting' AS what, agentcrm.queue_depth()::text AS detail WHERE agentcrm.queue_depth() > 0
	UNION ALL SELECT 'failed', f::text FROM agentcrm.event_failed f
	UNION ALL SELECT 'load', p::text FROM agentcrm.progress p WHERE phase <> 'done'
	UNION ALL SELECT 'verify', v::text FROM agentcrm.verify() v
	UNION ALL SELECT 'compare', s.name || c::text FROM agentcrm.source s, agentcrm.compare(s.name) c WHERE c.difference <> 0;
\set counted 'SELECT count(*) AS hidden_from_verify FROM agentcrm.verify(); CALL agentcrm.run(); TABLE public.counted; TABLE public.wrong;'

-- a collation that takes "ab" and "AB" for one; the line's foreign key holds either
SET ROLE spelling_app;
CREATE TABLE orders (code text COLLATE any_case PRIMARY KEY, client int, day date);
CREATE TABLE lines (code text COLLATE any_case REFERENCES orders, line_no int, qty int, PRIMARY KEY (code, line_no));
INSERT INTO orders VALUES ('Ab', 1, '2024-01-01'), ('cd', 2, '2024-01-02');
INSERT INTO lines VALUES ('AB', 1, 1), ('ab', 2, 2), ('CD', 1, 4);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('case', orders => 'orders', lines => 'lines', client => 'o.client', product => '1', at => 'o.day', quantity => 'l.qty', amount => 'l.qty');
:counted
INSERT INTO lines VALUES ('aB', 3, 8);
UPDATE lines SET qty = 16 WHERE code = 'cd';
:counted
-- an order changes its spelling, and its lines only follow in part; then lines go, and orders
UPDATE orders SET code = 'AB' WHERE code = 'ab';
UPDATE lines SET code = 'aB' WHERE line_no = 2;
:counted
DELETE FROM lines WHERE line_no = 3;
:counted
DELETE FROM lines WHERE code = 'CD';
DELETE FROM orders WHERE code = 'cd';
:counted
-- a spelling that changed unseen is found by a reconcile
ALTER TABLE orders DISABLE TRIGGER USER;
UPDATE orders SET code = 'ab';
ALTER TABLE orders ENABLE TRIGGER USER;
SELECT agentcrm.reconcile('case');
:counted
SELECT agentcrm.detach('case');

-- one flat table of such keys: the rows of an order differ among themselves
CREATE TABLE flat (code text COLLATE any_case, line_no int, client int, day date, qty int);
CREATE INDEX ON flat (code);
ALTER TABLE flat OWNER TO spelling_app;
INSERT INTO flat VALUES ('b', 1, 1, '2024-01-01', 1), ('C', 1, 1, '2024-01-01', 2), ('c', 2, 1, '2024-01-01', 4);
SELECT count(*) > 0 AS attached FROM agentcrm.attach('flat', lines => 'flat', order_key => '{code}', client => 'l.client', product => '1', at => 'l.day', quantity => 'l.qty', amount => 'l.qty');
:counted
INSERT INTO flat VALUES ('B', 2, 1, '2024-01-01', 8);
:counted
DELETE FROM flat WHERE code = 'C' AND line_no = 1;
UPDATE flat SET qty = 16 WHERE code = 'b' AND line_no = 1;
:counted
DELETE FROM flat WHERE code = 'b' AND line_no = 2;
:counted
SELECT agentcrm.detach('flat');

-- composite: one column is such a key, the other a number that lines write otherwise
SET ROLE spelling_app;
CREATE TABLE heads (shop text COLLATE any_case, no int, client int, day date, PRIMARY KEY (shop, no));
CREATE TABLE items (shop text COLLATE any_case, no text, qty int);
INSERT INTO heads VALUES ('Main,1', 7, 1, '2024-01-01'), ('side', 7, 1, '2024-01-01');
INSERT INTO items VALUES ('MAIN,1', '007', 1), ('main,1', '7', 2), ('SIDE', ' 7', 4);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach_query('both', $$SELECT client AS client_key, ROW(h.shop, h.no) AS order_key, NULL AS line_key, NULL AS product_key, day AS ordered_at, qty AS quantity, qty AS amount
	FROM unnest($1, $2) AS k (s, n) JOIN heads h ON (h.shop, h.no) = (k.s, k.n) JOIN items i ON i.shop = h.shop AND i.no::int = h.no$$, key => '{heads.shop,heads.no}', watch => '{"heads": ["shop", "no"], "items": ["shop", "no"]}');
:counted
INSERT INTO items VALUES ('mAIN,1', '+07', 8);
UPDATE heads SET shop = 'SIDE' WHERE shop = 'side';
:counted
DELETE FROM items WHERE no <> '7';
:counted
SELECT agentcrm.detach('both');

-- char(n) and text, numeric and text, numeric of other scales, int and text
SET ROLE spelling_app;
CREATE TABLE fixed (code char(6) PRIMARY KEY, client int, day date);
CREATE TABLE fixed_lines (code text, qty int);
INSERT INTO fixed VALUES ('AB', 1, '2024-01-01'), ('X Y', 1, '2024-01-01');
INSERT INTO fixed_lines VALUES ('AB', 1), ('X Y', 2);
CREATE TABLE amounts (no numeric PRIMARY KEY, client int, day date);
CREATE TABLE amount_lines (no numeric(10,2), other text, qty int);
INSERT INTO amounts VALUES (1.0, 1, '2024-01-01'), (2.50, 1, '2024-01-01'), (1e3, 1, '2024-01-01');
INSERT INTO amount_lines VALUES (1, '1.000', 1), (2.5, '2.5', 2), (1000, '01000.0', 4);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('fixed', orders => 'fixed', lines => 'fixed_lines', line_order_key => '{code}', client => 'o.client', product => '1', at => 'o.day', quantity => 'l.qty', amount => 'l.qty');
SELECT count(*) > 0 AS attached FROM agentcrm.attach('scales', orders => 'amounts', lines => 'amount_lines', line_order_key => '{no}', client => 'o.client', product => '1', at => 'o.day', quantity => 'l.qty', amount => 'l.qty');
SELECT count(*) > 0 AS attached FROM agentcrm.attach_query('texts', $$SELECT client AS client_key, a.no AS order_key, NULL AS line_key, NULL AS product_key, day AS ordered_at, qty AS quantity, qty AS amount
	FROM amounts a JOIN amount_lines l ON l.other::numeric = a.no WHERE a.no = ANY ($1)$$, key => '{amounts.no}', watch => '{"amounts": "no", "amount_lines": "other"}');
:counted
INSERT INTO fixed_lines VALUES ('AB   ', 4), ('X Y', 8);
UPDATE amount_lines SET qty = 16 WHERE no = 1;
INSERT INTO amount_lines VALUES (1000.00, '1000', 32);
UPDATE amounts SET no = 2.500 WHERE no = 2.5;
:counted
DELETE FROM amount_lines WHERE other = '01000.0';
DELETE FROM amounts WHERE no = 2.5;
DELETE FROM fixed_lines WHERE code = 'AB';
:counted
SELECT agentcrm.detach(name) FROM agentcrm.source ORDER BY name;

-- a case-insensitive type; the client's key is the client's own, however an order writes it
CREATE EXTENSION citext SCHEMA spelling;
SET ROLE spelling_app;
CREATE TABLE buyers (code citext PRIMARY KEY, name text);
CREATE TABLE sales (no citext PRIMARY KEY, buyer citext REFERENCES buyers, day date, qty int);
INSERT INTO buyers VALUES ('Smith', 'S'), ('jones', 'J');
INSERT INTO sales VALUES ('a', 'smith', '2024-01-01', 1), ('B', 'SMITH', '2024-01-02', 2), ('c', 'Jones', '2024-01-03', 4);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('sales', orders => 'sales', clients => 'buyers', client_name => 'c.name', at => 'o.day', quantity => 'o.qty', amount => 'o.qty');
:counted
SELECT client_key, name, active, (SELECT count(*) FROM agentcrm.ledger l WHERE l.client_id = c.client_id) AS lines FROM agentcrm.client c WHERE name IS NOT NULL ORDER BY client_key COLLATE "C";
UPDATE sales SET no = 'A', buyer = 'JONES' WHERE no = 'a';
UPDATE buyers SET code = 'Jones' WHERE code = 'jones';
:counted
SELECT client_key, name, active, (SELECT count(*) FROM agentcrm.ledger l WHERE l.client_id = c.client_id) AS lines FROM agentcrm.client c WHERE name IS NOT NULL ORDER BY client_key COLLATE "C";
SELECT agentcrm.detach('sales');

-- a key that is not written in its index: the remark's statement mends it
CREATE TABLE slow (code text, qty int, day date);
ALTER TABLE slow OWNER TO spelling_app;
SELECT detail FROM agentcrm.attach('slow', lines => 'slow', order_key => '{code}', client => '1', product => '1', at => 'l.day', quantity => 'l.qty', amount => 'l.qty', dry_run => true) WHERE item = 'remark'
\gset
\echo :detail
SELECT substring(:'detail' FROM 'CREATE INDEX.*') AS statement
\gset
:statement ;
SELECT count(*) AS remarks FROM agentcrm.attach('slow', lines => 'slow', order_key => '{code}', client => '1', product => '1', at => 'l.day', quantity => 'l.qty', amount => 'l.qty', dry_run => true) WHERE item = 'remark';
SET search_path = public;
DROP VIEW counted, wrong;
DROP SCHEMA spelling CASCADE;
DROP ROLE spelling_app;
SELECT agentcrm.resume();
DROP EXTENSION agentcrm;
