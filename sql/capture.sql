-- What the triggers put into the queue: every committed change arrives, whatever way it took, and nothing harms the application
\set SHOW_CONTEXT never
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS agentcrm;
-- the worker keeps still: steps are taken by hand
SELECT agentcrm.pause();
CREATE ROLE capture_app;
CREATE SCHEMA capture AUTHORIZATION capture_app;
SET search_path = capture;
CREATE TABLE public.capture_mark (seen pg_snapshot);
INSERT INTO public.capture_mark VALUES (pg_current_snapshot());
-- events that became visible since the last look: one row a source and part
CREATE VIEW public.capture_new AS
	SELECT coalesce(s.name, 'all') AS source, coalesce(p.name, 'RESYNC') AS part, count(*) AS events, string_agg(left(e.key, 40), ' | ' ORDER BY e.key COLLATE "C") AS keys
	FROM public.capture_mark m CROSS JOIN agentcrm.event e LEFT JOIN agentcrm.source s USING (source_id) LEFT JOIN agentcrm.source_part p USING (source_id, part)
	WHERE NOT pg_visible_in_snapshot(e.xid, m.seen) GROUP BY 1, 2 ORDER BY 1, 2;
\set count 'SELECT source, part, events FROM public.capture_new; UPDATE public.capture_mark SET seen = pg_current_snapshot();'
\set new 'SELECT * FROM public.capture_new; UPDATE public.capture_mark SET seen = pg_current_snapshot();'
-- state equals recompute, after everything is consumed
CREATE VIEW public.capture_wrong AS
	SELECT 'waiting' AS what, agentcrm.queue_depth()::text AS detail WHERE agentcrm.queue_depth() > 0
	UNION ALL SELECT 'load', p::text FROM agentcrm.progress p WHERE phase <> 'done'
	UNION ALL SELECT 'verify', v::text FROM agentcrm.verify() v
	UNION ALL SELECT 'compare', s.name || c::text FROM agentcrm.source s, agentcrm.compare(s.name) c WHERE c.difference <> 0;
\set wrong 'CALL agentcrm.run(); SELECT * FROM public.capture_wrong;'

SET ROLE capture_app;
CREATE TABLE clients (client_id int PRIMARY KEY, name text);
CREATE TABLE orders (order_id int PRIMARY KEY, client_id int REFERENCES clients, day date, state text DEFAULT 'ok');
CREATE TABLE lines (order_id int REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE, line_no int, qty int, PRIMARY KEY (order_id, line_no));
INSERT INTO clients VALUES (1, 'A'), (2, 'B');
INSERT INTO orders VALUES (1, 1, '2024-01-01'), (2, 2, '2024-01-02');
INSERT INTO lines VALUES (1, 1, 5), (2, 1, 6);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('shop', orders => 'orders', lines => 'lines', clients => 'clients', at => 'o.day', quantity => 'l.qty', amount => 'l.qty * 2',
	is_sale => $$o.state = 'ok'$$, product => '1', client_name => 'c.name', time_zone => 'UTC');
:wrong

-- the application's role may do nothing with agentcrm, and needs nothing
SELECT has_schema_privilege('capture_app', 'agentcrm', 'USAGE') AS usage, bool_or(has_table_privilege('capture_app', c.oid, 'SELECT')) AS "select"
FROM pg_class c WHERE relnamespace = 'agentcrm'::regnamespace AND relkind = 'r';
SET ROLE capture_app;
INSERT INTO orders VALUES (3, 1, '2024-01-03');
INSERT INTO lines VALUES (3, 1, 1), (3, 2, 2);
SELECT count(*) FROM agentcrm.event;
RESET ROLE;
:new

-- one event for a key, however many changes; edits, late lines, a client's attribute
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id = 1;
UPDATE lines SET qty = qty + 1 WHERE order_id = 1;
UPDATE orders SET state = 'draft' WHERE order_id = 1;
INSERT INTO lines VALUES (2, 2, 4);
DELETE FROM lines WHERE order_id = 3 AND line_no = 2;
UPDATE clients SET name = 'AA' WHERE client_id = 1;
COMMIT;
:new
:wrong

-- what changes nothing fires nothing
UPDATE lines SET qty = 1 WHERE order_id = 99;
BEGIN;
COMMIT;
:new

-- rolled back: nothing
BEGIN;
INSERT INTO orders VALUES (4, 1, '2024-01-04');
ROLLBACK;
INSERT INTO orders VALUES (1, 1, '2024-01-04');
:new
-- a rolled-back savepoint may leave a surplus event, and takes none along
BEGIN;
UPDATE lines SET qty = 10 WHERE order_id = 2;
SAVEPOINT a;
INSERT INTO orders VALUES (5, 1, '2024-01-04');
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO orders VALUES (6, 1, '2024-01-04');
RELEASE b;
COMMIT;
:new
-- the same within a function's exception block
DO $$
BEGIN
	UPDATE capture.lines SET qty = 11 WHERE order_id = 2;
	BEGIN
		INSERT INTO capture.lines VALUES (6, 1, 1);
		PERFORM 1 / 0;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO capture.lines VALUES (6, 2, 2);
	END;
END $$;
:new
:wrong

-- COPY, upsert, MERGE, a writing CTE, a deferred constraint's cascade
COPY lines FROM STDIN;
6	3	7
3	3	7
\.
:new
INSERT INTO lines VALUES (6, 3, 8), (6, 4, 8) ON CONFLICT (order_id, line_no) DO UPDATE SET qty = excluded.qty + 1;
INSERT INTO lines VALUES (2, 1, 8) ON CONFLICT DO NOTHING;
:new
MERGE INTO lines l USING (VALUES (1, 1, 3), (2, 1, 0), (3, 9, 4)) AS v(o, n, q) ON l.order_id = v.o AND l.line_no = v.n
	WHEN MATCHED AND v.q = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET qty = v.q WHEN NOT MATCHED THEN INSERT VALUES (v.o, v.n, v.q);
:new
WITH gone AS (DELETE FROM lines WHERE order_id = 3 RETURNING *) INSERT INTO lines SELECT 1, line_no + 10, qty FROM gone;
:new
:wrong

-- an order's key changes, and its lines with it; an order is deleted, and its lines with it
UPDATE orders SET order_id = 33 WHERE order_id = 3;
UPDATE orders SET order_id = 11 WHERE order_id = 1;
DELETE FROM orders WHERE order_id = 2;
:new
:wrong
SELECT order_id, line_no, client_id, quantity FROM agentcrm.ledger JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop' ORDER BY 1, 4;

-- prepared transactions: the event comes with the commit
BEGIN;
UPDATE lines SET qty = 20 WHERE order_id = 6 AND line_no = 2;
PREPARE TRANSACTION 'capture_1';
BEGIN;
UPDATE lines SET qty = 21 WHERE order_id = 6 AND line_no = 3;
PREPARE TRANSACTION 'capture_2';
:new
:wrong
ROLLBACK PREPARED 'capture_2';
COMMIT PREPARED 'capture_1';
:new
:wrong

-- TRUNCATE of a part: it is read again
TRUNCATE lines;
:new
:wrong
SELECT count(*) FROM agentcrm.ledger JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop';
TRUNCATE orders CASCADE;
:new
:wrong
INSERT INTO orders SELECT g, 1 + g % 2, '2024-02-01' FROM generate_series(1, 400) g;
INSERT INTO lines SELECT g, 1, g FROM generate_series(1, 400) g;
:wrong

-- more keys than are kept in memory: written in between
SET agentcrm.capture_max_keys = 100;
UPDATE public.capture_mark SET seen = pg_current_snapshot();
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id <= 250;
COMMIT;
:count
-- rolled back as a whole: nothing
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id <= 250;
ROLLBACK;
:new
-- in a savepoint that is kept
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id = 400;
SAVEPOINT a;
UPDATE lines SET qty = qty + 1 WHERE order_id <= 150;
RELEASE a;
COMMIT;
:count
:wrong
-- in one that is rolled back, with an earlier change among those written: the source is to be read again
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id = 400;
SAVEPOINT a;
UPDATE lines SET qty = qty + 1 WHERE order_id <= 150;
ROLLBACK TO a;
COMMIT;
:count
:wrong
-- written in an inner savepoint that is kept, inside an outer one that is not
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id = 400;
SAVEPOINT a;
SAVEPOINT b;
UPDATE lines SET qty = qty + 1 WHERE order_id <= 101;
RELEASE b;
ROLLBACK TO a;
UPDATE lines SET qty = qty + 1 WHERE order_id = 399;
COMMIT;
:new
:wrong
-- a mark made by one rolled-back savepoint and written in another, of another source
SET ROLE capture_app;
CREATE TABLE other (order_id int PRIMARY KEY, client int, day date, qty int);
INSERT INTO other SELECT g, 1, '2024-01-01', g FROM generate_series(1, 150) g;
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('other', orders => 'other', client => 'o.client', at => 'o.day', quantity => 'o.qty', amount => 'o.qty', time_zone => 'UTC');
:wrong
UPDATE public.capture_mark SET seen = pg_current_snapshot();
BEGIN;
UPDATE lines SET qty = qty + 1 WHERE order_id = 400;
SAVEPOINT a;
UPDATE lines SET qty = qty + 1 WHERE order_id <= 101;
ROLLBACK TO a;
UPDATE other SET qty = qty + 1 WHERE order_id <= 101;
ROLLBACK TO a;
COMMIT;
:new
:wrong
RESET agentcrm.capture_max_keys;

-- partitions: direct changes, rows that move, columns in another order
SET ROLE capture_app;
CREATE TABLE sales (no text, client int, day date, qty int) PARTITION BY RANGE (day);
CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE sales_2 (qty int, dropped int, day date, no text, client int);
ALTER TABLE sales_2 DROP dropped;
ALTER TABLE sales ATTACH PARTITION sales_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE sales_3 PARTITION OF sales DEFAULT PARTITION BY LIST (client);
CREATE TABLE sales_3_1 PARTITION OF sales_3 DEFAULT;
INSERT INTO sales VALUES ('a', 1, '2024-01-05', 1), ('b', 2, '2024-02-05', 2), ('c', 1, '2024-05-05', 3), ('d', 1, '2024-01-06', 4);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('sales', lines => 'sales', order_key => '{no}', client => 'l.client', at => 'l.day', product => '1', quantity => 'l.qty', amount => 'l.qty', time_zone => 'UTC');
:wrong
INSERT INTO sales_2 VALUES (5, '2024-02-07', 'e', 1);
UPDATE sales_1 SET qty = 9 WHERE no = 'a';
DELETE FROM sales_3_1 WHERE no = 'c';
COPY sales_3_1 FROM STDIN;
f	2	2025-01-01	6
\.
:new
:wrong
UPDATE sales SET day = '2024-02-20' WHERE no = 'a';
UPDATE sales SET day = '2024-07-20', no = 'bb' WHERE no = 'b';
UPDATE sales_3 SET no = 'ff' WHERE no = 'f';
:new
:wrong
-- a partition made later has its triggers
SET ROLE capture_app;
CREATE TABLE sales_4 PARTITION OF sales FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
INSERT INTO sales_4 VALUES ('g', 1, '2024-03-07', 1);
RESET ROLE;
:new
:wrong
TRUNCATE sales_2;
:new
:wrong
SELECT o.order_key, l.quantity FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) JOIN agentcrm.order_ref o USING (source_id, order_id) WHERE s.name = 'sales' ORDER BY 1;

-- inheritance: each child has its own triggers
SET ROLE capture_app;
CREATE TABLE base (no int, client int, day date, qty int);
CREATE TABLE child (extra text) INHERITS (base);
CREATE TABLE grandchild () INHERITS (child);
INSERT INTO base VALUES (1, 1, '2024-01-01', 1);
INSERT INTO child VALUES (2, 1, '2024-01-01', 2, 'x');
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('base', lines => 'base', order_key => '{no}', client => 'l.client', at => 'l.day', product => '1', quantity => 'l.qty', amount => 'l.qty', time_zone => 'UTC');
:wrong
INSERT INTO grandchild VALUES (3, 1, '2024-01-01', 3, 'y');
UPDATE base SET qty = 7 WHERE no = 2;
DELETE FROM ONLY base;
:new
:wrong

-- every kind of key
SET ROLE capture_app;
CREATE TYPE mood AS ENUM ('good, so', 'bad\');
CREATE DOMAIN docno AS varchar(20) CHECK (value <> '');
CREATE DOMAIN serialno AS docno;
CREATE TABLE kinds (kind text, type text, key_1 text, key_2 text, row_no serial);
INSERT INTO kinds (kind, type, key_1, key_2) VALUES
	('int2', 'int2', '-3', '32767'), ('int4', 'int4', '-2147483648', '7'), ('int8', 'int8', '-9223372036854775808', '9223372036854775807'),
	('numeric', 'numeric', '1.500', '12345678901234567890123.10'), ('text', 'text', ' a b'',"\,%', ''), ('varchar', 'varchar(30)', 'été, 雪  ', '1'),
	('char', 'char(6)', 'ab', 'a b  '), ('uuid', 'uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '00000000-0000-0000-0000-000000000000'),
	('date', 'date', '2024-02-29', '0044-03-15 BC'), ('enum', 'capture.mood', 'good, so', 'bad\'), ('domain', 'capture.serialno', 'S-1', 'S,2'),
	('timestamptz', 'timestamptz', '2024-06-01 12:00:00.000001+02', '1901-01-01 00:00:00+00'), ('float8', 'float8', '0.1', '1e300'),
	('interval', 'interval', '1 day 02:00:00', '-1 year'), ('bytea', 'bytea', '\x0001ff', '\x'), ('bool', 'bool', 'true', 'false');
\set ECHO none
SELECT format('CREATE TABLE capture.key_%s (k %s, client int, day date, qty int)', kind, type) FROM kinds ORDER BY row_no \gexec
SELECT format('INSERT INTO capture.key_%s VALUES (%L, 1, %L, 1), (%L, 1, %L, 2)', kind, key_1, '2024-01-01', key_2, '2024-01-01') FROM kinds ORDER BY row_no \gexec
RESET ROLE;
SELECT format($$SELECT count(*) > 0 AS %1$s FROM agentcrm.attach('%1$s', lines => 'capture.key_%1$s', order_key => '{k}', client => 'l.client', at => 'l.day',
	product => '1', quantity => 'l.qty', amount => 'l.qty', time_zone => 'UTC')$$, kind) FROM kinds ORDER BY row_no \gexec
\set ECHO all
:wrong
UPDATE public.capture_mark SET seen = pg_current_snapshot();
SET ROLE capture_app;
-- the session's settings do not matter
SET datestyle = 'German';
SET timezone = 'Asia/Tokyo';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
\set ECHO none
SELECT format('UPDATE capture.key_%s SET qty = qty + 5', kind) FROM kinds ORDER BY row_no \gexec
SELECT format('INSERT INTO capture.key_%s VALUES (NULL, 1, %L, 9)', kind, '2024-01-01') FROM kinds ORDER BY row_no \gexec
\set ECHO all
RESET ROLE;
RESET datestyle;
RESET timezone;
RESET intervalstyle;
RESET extra_float_digits;
RESET bytea_output;
:new
:wrong
-- each key found its order: 6 and 7 everywhere
SELECT s.name, string_agg(l.quantity::text, ' ' ORDER BY l.quantity) AS quantities FROM kinds k JOIN agentcrm.source s ON s.name = k.kind JOIN agentcrm.ledger l USING (source_id)
GROUP BY s.name HAVING string_agg(l.quantity::text, ' ' ORDER BY l.quantity) <> '6 7';
DELETE FROM key_text;
DELETE FROM key_numeric WHERE k = 1.5;
UPDATE key_char SET k = 'cd';
INSERT INTO key_numeric VALUES (1.50000, 1, '2024-01-01', 4), (1.5, 1, '2024-01-01', 4);
:new
:wrong

-- composite keys, with what separates and escapes them
SET ROLE capture_app;
CREATE TABLE pairs (tenant char(5), no text, at_hour numeric, client int, day date, qty int);
INSERT INTO pairs VALUES ('a', 'b,c', 1.0, 1, '2024-01-01', 1), ('a,b', 'c', 1, 1, '2024-01-01', 2), ('a\', ',b', 1, 1, '2024-01-01', 3), ('a', '\,b', 1, 1, '2024-01-01', 4),
	('', '', 0, 1, '2024-01-01', 5), ('\\', ',,', 10.50, 1, '2024-01-01', 6);
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('pairs', lines => 'pairs', order_key => '{tenant,no,at_hour}', client => 'l.client', at => 'l.day', product => '1', quantity => 'l.qty', amount => 'l.qty', time_zone => 'UTC');
:wrong
UPDATE pairs SET qty = qty + 10;
INSERT INTO pairs VALUES ('a', NULL, 1, 1, '2024-01-01', 1), (NULL, 'x', 1, 1, '2024-01-01', 1);
:new
:wrong
SELECT o.order_key, l.quantity FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) JOIN agentcrm.order_ref o USING (source_id, order_id) WHERE s.name = 'pairs' ORDER BY 2;
UPDATE pairs SET tenant = 'z', no = 'z,' WHERE qty = 13;
DELETE FROM pairs WHERE qty = 12;
:new
:wrong

-- keys that are too long, or compressed
SET ROLE capture_app;
CREATE TABLE long (no text, client int, day date, qty int, filler text);
ALTER TABLE long ALTER filler SET STORAGE PLAIN;
INSERT INTO long SELECT repeat(c, 1000), 1, '2024-01-01', 1, repeat('f', 1500) FROM unnest('{p,q}'::text[]) c;
INSERT INTO long SELECT repeat('r', 3000), 1, '2024-01-01', 1;
RESET ROLE;
SELECT count(*) > 0 AS attached FROM agentcrm.attach('long', lines => 'long', order_key => '{no}', client => 'l.client', at => 'l.day', product => '1', quantity => 'l.qty', amount => 'l.qty', time_zone => 'UTC');
:wrong
UPDATE long SET qty = 2 WHERE no LIKE 'p%';
:new
UPDATE long SET qty = 3 WHERE no LIKE 'r%';
:new
:wrong

-- the queue cannot be written: another table is taken; with none free the order commits with a warning, and the source is read again
SET client_min_messages = warning;
BEGIN;
LOCK TABLE agentcrm.event_1, agentcrm.event_2, agentcrm.event_3, agentcrm.event_4, agentcrm.event_5, agentcrm.event_6, agentcrm.event_8 IN ACCESS EXCLUSIVE MODE;
PREPARE TRANSACTION 'capture_lock';
UPDATE lines SET qty = qty + 1 WHERE order_id = 5;
BEGIN;
LOCK TABLE agentcrm.event_7 IN ACCESS EXCLUSIVE MODE;
PREPARE TRANSACTION 'capture_lock_7';
UPDATE lines SET qty = qty + 1 WHERE order_id = 6;
BEGIN;
UPDATE other SET qty = qty + 1 WHERE order_id = 6;
PREPARE TRANSACTION 'capture_lost';
COMMIT PREPARED 'capture_lock';
COMMIT PREPARED 'capture_lock_7';
:new
SELECT remark FROM agentcrm.status WHERE what = 'worker';
-- not before every transaction that lost keys is over
CALL agentcrm.run();
SELECT remark FROM agentcrm.status WHERE what = 'worker';
COMMIT PREPARED 'capture_lost';
-- and not forgotten when the step that would see to it fails
ALTER TABLE agentcrm.source_load ADD CONSTRAINT capture_fails CHECK (false) NOT VALID;
\set VERBOSITY terse
CALL agentcrm.run();
\set VERBOSITY default
ALTER TABLE agentcrm.source_load DROP CONSTRAINT capture_fails;
SELECT remark FROM agentcrm.status WHERE what = 'worker';
:wrong
SELECT remark FROM agentcrm.status WHERE what = 'worker';

-- a watched column renamed away: the application goes on, the source is to be read again
SET ROLE capture_app;
ALTER TABLE other RENAME order_id TO number;
UPDATE other SET qty = 1000 WHERE number = 1;
RESET ROLE;
:new
ALTER TABLE other RENAME number TO order_id;
:wrong

-- agentcrm.capture = off stops it at once, for a superuser only
SET ROLE capture_app;
SET agentcrm.capture = off;
RESET ROLE;
SET agentcrm.capture = off;
UPDATE lines SET qty = qty + 1 WHERE order_id = 7;
CALL agentcrm.run();
SELECT source, what, key FROM agentcrm.verify() ORDER BY 2, 3;
RESET agentcrm.capture;
:new
-- on again, what was missed is looked for
:wrong

-- leftovers: a trigger without its source does nothing
CREATE TABLE loose (id int);
CREATE TRIGGER loose AFTER INSERT ON loose FOR EACH ROW EXECUTE FUNCTION agentcrm.capture('12345', '1');
CREATE TRIGGER bare AFTER INSERT ON loose FOR EACH ROW EXECUTE FUNCTION agentcrm.capture();
INSERT INTO loose VALUES (1);
:new
SELECT agentcrm.capture();

-- all of it goes away
SELECT count(agentcrm.detach(name)::text) AS detached FROM (SELECT name FROM agentcrm.source ORDER BY source_id) s;
SELECT count(*) FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc AND tgrelid <> 'loose'::regclass;
CALL agentcrm.run();
SELECT count(*) FROM agentcrm.ledger;
SELECT agentcrm.resume();
DROP VIEW public.capture_new, public.capture_wrong;
DROP TABLE public.capture_mark;
SET client_min_messages = error;
DROP SCHEMA capture CASCADE;
DROP ROLE capture_app;
DROP EXTENSION agentcrm;
