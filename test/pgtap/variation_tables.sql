-- How the application keeps and changes its rows: each way in a schema of its own, attached by the name alone where propose
-- can know it, loaded, changed, and followed. Where nothing else is said: 12 orders of 4 clients with lines of 10 and 20.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT plan(30);

-- soft delete, of orders and of lines
CREATE SCHEMA soft AUTHORIZATION :app;
SET ROLE :app;
SET search_path = soft, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date, deleted_at timestamptz);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric, is_deleted boolean);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o, CASE WHEN o > 12 THEN '2024-05-01'::timestamptz END FROM generate_series(1, 14) o;
INSERT INTO order_lines SELECT 2 * o + k, o, k, k, 10 * k, CASE WHEN o = 1 THEN k = 1 END FROM generate_series(1, 14) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('soft'), 'nothing', 'soft delete: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('soft'), '4 12 23 350', 'soft delete: loaded');
UPDATE orders SET deleted_at = now() WHERE id = 2;
UPDATE orders SET deleted_at = NULL WHERE id = 13;
UPDATE order_lines SET is_deleted = NOT coalesce(is_deleted, false) WHERE id IN (3, 7);
DELETE FROM orders WHERE id = 14;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('soft'), '4 12 23 350', 'soft delete: followed, and undone');
UPDATE order_lines SET is_deleted = true;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('soft'), '0 0 0 0', 'soft delete: of everything');

-- generated columns: the amount, and the key
CREATE SCHEMA generated AUTHORIZATION :app;
SET ROLE :app;
SET search_path = generated, public;
CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE products (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE orders (branch int, number int, order_no int GENERATED ALWAYS AS (1000 * branch + number) STORED PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_no int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, price numeric, amount numeric GENERATED ALWAYS AS (quantity * price) STORED);
INSERT INTO customers (name) SELECT 'c' FROM generate_series(1, 4) c;
INSERT INTO products (name) SELECT 'p' FROM generate_series(1, 3) p;
INSERT INTO orders (branch, number, customer_id, order_date) SELECT 1, o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines (order_no, product_id, quantity, price) SELECT 1000 + o, k, k, 10 FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('generated'), 'nothing', 'generated columns: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('generated'), '4 12 24 360', 'generated columns: loaded');
INSERT INTO orders (branch, number, customer_id, order_date) VALUES (2, 1, 1, '2024-02-01');
INSERT INTO order_lines (order_no, product_id, quantity, price) VALUES (2001, 1, 5, 2.5);
UPDATE order_lines SET quantity = 3 WHERE order_no = 1001 AND quantity = 1;
DELETE FROM order_lines WHERE order_no = 1002 AND quantity = 2;
DELETE FROM orders WHERE order_no = 1003;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('generated'), '4 12 22 342.5', 'generated columns: followed');
-- the key changes with the columns it is made of
BEGIN;
CREATE TEMP TABLE moved AS SELECT id FROM order_lines WHERE order_no = 1004;
UPDATE order_lines SET order_no = NULL WHERE order_no = 1004;
UPDATE orders SET branch = 3 WHERE order_no = 1004;
UPDATE order_lines SET order_no = 3004 WHERE id IN (SELECT id FROM moved);
COMMIT;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('generated') || '; ' || coalesce(pg_temp.lines('generated', '1004'), 'gone') || '; ' || pg_temp.lines('generated', '3004'), '4 12 22 342.5; gone; 1 1 10, 2 2 20', 'generated columns: and so does a key made of others');

-- deferred foreign keys: lines come before their header, in one transaction and in several
CREATE SCHEMA deferred AUTHORIZATION :app;
SET ROLE :app;
SET search_path = deferred, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers DEFERRABLE INITIALLY DEFERRED, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders DEFERRABLE INITIALLY DEFERRED, product_id int REFERENCES products DEFERRABLE INITIALLY DEFERRED, quantity int, amount numeric);
BEGIN;
INSERT INTO order_lines SELECT 2 * o + k, o, k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
COMMIT;
RESET ROLE;
SELECT is(pg_temp.take('deferred'), 'nothing', 'deferred foreign keys: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('deferred'), '4 12 24 360', 'deferred foreign keys: loaded');
BEGIN;
INSERT INTO order_lines VALUES (99, 13, 1, 5, 12.5);
SAVEPOINT a;
INSERT INTO orders VALUES (13, 9, '2024-02-01');
ROLLBACK TO a;
INSERT INTO orders VALUES (13, 5, '2024-02-01');
INSERT INTO customers VALUES (5, 'late');
COMMIT;
BEGIN;
DELETE FROM orders WHERE id = 3;
DELETE FROM order_lines WHERE order_id = 3;
COMMIT;
BEGIN;
UPDATE orders SET id = 14 WHERE id = 4;
UPDATE order_lines SET order_id = 14 WHERE order_id = 4;
COMMIT;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('deferred'), '5 12 23 342.5', 'deferred foreign keys: followed');
-- and where no foreign key holds them together at all, lines wait for their header
ALTER TABLE order_lines DROP CONSTRAINT order_lines_order_id_fkey;
INSERT INTO order_lines VALUES (100, 20, 1, 1, 1), (101, 20, 2, 1, 2);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('deferred'), '5 12 23 342.5', 'lines without a header do not count');
INSERT INTO orders VALUES (20, 1, '2024-03-01');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('deferred'), '5 13 25 345.5', 'until it comes');

-- partitioned headers and lines, partitions of partitions: rows written through the parent and straight into partitions, moved by key
-- changes, truncated; partitions made, attached and detached later
CREATE SCHEMA divided AUTHORIZATION :app;
SET ROLE :app;
SET search_path = divided, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int, order_date date, customer_id int REFERENCES customers, PRIMARY KEY (id, order_date)) PARTITION BY RANGE (order_date);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY HASH (id);
CREATE TABLE orders_2a PARTITION OF orders_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE orders_2b PARTITION OF orders_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE order_lines (order_id int, order_date date, line_no int, product_id int REFERENCES products, quantity int, amount numeric, PRIMARY KEY (order_id, order_date, line_no),
	FOREIGN KEY (order_id, order_date) REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE) PARTITION BY RANGE (order_date);
CREATE TABLE order_lines_1 PARTITION OF order_lines FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE order_lines_2 PARTITION OF order_lines FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE order_lines_rest PARTITION OF order_lines DEFAULT;
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, '2024-01-01'::date + 4 * o, 1 + o % 4 FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT o, '2024-01-01'::date + 4 * o, k, k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('divided'), 'nothing', 'partitioned tables: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('divided'), '4 12 24 360', 'partitioned tables: loaded');
INSERT INTO orders_1 VALUES (13, '2024-01-31', 1);
INSERT INTO order_lines_1 VALUES (13, '2024-01-31', 1, 1, 5, 12.5);
UPDATE order_lines_1 SET quantity = 3, amount = 30 WHERE (order_id, line_no) = (1, 1);
DELETE FROM order_lines WHERE (order_id, line_no) = (2, 2);
DELETE FROM orders_1 WHERE id = 3;
UPDATE orders SET order_date = '2024-02-28' WHERE id = 4;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('divided'), '4 12 22 342.5', 'partitioned tables: followed, into partitions and from one to the other');
TRUNCATE order_lines_2;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('divided'), (SELECT format('%s %s %s %s', count(DISTINCT customer_id), count(DISTINCT o.id), count(*), trim_scale(sum(amount))) FROM orders o JOIN order_lines l ON l.order_id = o.id), 'partitioned tables: TRUNCATE of a partition');
SET ROLE :app;
CREATE TABLE orders_3 PARTITION OF orders FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
CREATE TABLE order_lines_3 PARTITION OF order_lines FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
INSERT INTO orders_3 VALUES (30, '2024-03-05', 2);
INSERT INTO order_lines_3 VALUES (30, '2024-03-05', 1, 1, 1, 100);
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.lines('divided', '30,2024-03-05'), '1 1 100', 'partitioned tables: a partition made later is followed');
ALTER TABLE order_lines DETACH PARTITION order_lines_3;
SELECT agentcrm.reconcile('divided') \g /dev/null
CALL agentcrm.run();
SELECT is(coalesce(pg_temp.lines('divided', '30,2024-03-05'), 'gone'), 'gone', 'partitioned tables: a detached one''s rows go with the next reconcile');
ALTER TABLE order_lines ATTACH PARTITION order_lines_3 FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
SELECT agentcrm.reconcile('divided') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.lines('divided', '30,2024-03-05'), '1 1 100', 'partitioned tables: and come back with it');
SELECT is(pg_temp.wrong('divided'), '', 'partitioned tables: with nothing wrong');

-- row-level security: never silently fewer rows
CREATE SCHEMA walled AUTHORIZATION :app;
SET ROLE :app;
SET search_path = walled, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON orders USING (customer_id = 1);
RESET ROLE;
SELECT :'app' || '_reader' AS reader \gset
CREATE ROLE :reader BYPASSRLS;
GRANT USAGE ON SCHEMA walled TO :reader;
GRANT SELECT ON ALL TABLES IN SCHEMA walled TO :reader;
SELECT is(pg_temp.take('walled'), 'run_as', 'row-level security: attached by the hint''s call');
SELECT is((SELECT run_as FROM agentcrm.source WHERE name = 'walled'), :'reader', 'row-level security: read by a role that sees all rows');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('walled'), '4 12 24 360', 'row-level security: loaded, all of it');
UPDATE order_lines SET amount = amount + 1 WHERE order_id = 1;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('walled'), '4 12 24 362', 'row-level security: followed');
-- when the reader no longer sees all, nothing is read; when it does again, what was missed is caught up
ALTER ROLE :reader NOBYPASSRLS;
DISCARD PLANS;	-- 15.18 keeps those that a role without the attribute may not run
UPDATE order_lines SET amount = amount + 1 WHERE order_id = 1;
CALL agentcrm.run();
SELECT matches((SELECT state || ': ' || problem FROM agentcrm.source WHERE name = 'walled'), '^broken: row-level security of walled.orders hides rows from role .*alter_source', 'row-level security: a reader who no longer sees all sets the source aside');
SELECT is((SELECT sum(amount) FROM agentcrm.ledger JOIN agentcrm.source s USING (source_id) WHERE s.name = 'walled'), 362::numeric, 'and no row is taken for gone');
ALTER ROLE :reader BYPASSRLS;
SELECT agentcrm.resync('walled') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('walled'), '4 12 24 364', 'row-level security: mended, what was missed is there');

SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify() over all of them');
SELECT is_empty($$SELECT s.name FROM agentcrm.source s WHERE s.state <> 'shadow'$$, 'no source was set aside');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app, :reader CASCADE;
DROP ROLE :app, :reader;
