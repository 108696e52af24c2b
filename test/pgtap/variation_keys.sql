-- Keys of every kind, each in a schema of its own: attached by the name alone where propose can know it,
-- loaded, changed by inserts, updates, deletes and new keys, and followed to the last digit.
-- Where nothing else is said: 4 clients, 12 orders, each with lines of 1 and 2 units at 10: 360 in all.  Then order 13 comes
-- with one line of 12.50, 20 are added to a line of order 1, order 2 loses its second line (20), order 3 goes (30): 342.50.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT plan(33);

-- key of two parts: company and number; lines and clients refer to it as a pair; cascades
CREATE SCHEMA pairs AUTHORIZATION :app;
SET ROLE :app;
SET search_path = pairs, public;
CREATE TABLE customer (company int, customer_no int, name text, PRIMARY KEY (company, customer_no));
CREATE TABLE item (company int, item_no text, description text, PRIMARY KEY (company, item_no));
CREATE TABLE sales_order (company int, order_no int, customer_no int NOT NULL, order_date date NOT NULL, PRIMARY KEY (company, order_no), FOREIGN KEY (company, customer_no) REFERENCES customer);
CREATE TABLE sales_order_line (company int, order_no int, line_no int, item_no text, quantity int, net_amount numeric(12,2), PRIMARY KEY (company, order_no, line_no),
	FOREIGN KEY (company, order_no) REFERENCES sales_order ON UPDATE CASCADE ON DELETE CASCADE, FOREIGN KEY (company, item_no) REFERENCES item);
INSERT INTO customer SELECT g, c, 'c' FROM generate_series(1, 2) g, generate_series(1, 2) c;
INSERT INTO item SELECT g, 'I' || i, 'i' FROM generate_series(1, 2) g, generate_series(1, 3) i;
INSERT INTO sales_order SELECT g, o, 1 + o % 2, '2024-01-01'::date + o FROM generate_series(1, 2) g, generate_series(1, 6) o;
INSERT INTO sales_order_line SELECT g, o, k, 'I' || 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 2) g, generate_series(1, 6) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('pairs'), 'nothing', 'key of two parts: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('pairs'), '4 12 24 360', 'key of two parts: loaded');
INSERT INTO sales_order VALUES (2, 13, 1, '2024-02-01');
INSERT INTO sales_order_line VALUES (2, 13, 1, 'I1', 5, 12.50);
UPDATE sales_order_line SET quantity = 3, net_amount = 30 WHERE (company, order_no, line_no) = (1, 1, 1);
DELETE FROM sales_order_line WHERE (company, order_no, line_no) = (1, 2, 2);
DELETE FROM sales_order WHERE (company, order_no) = (1, 3);
UPDATE sales_order SET order_no = 14 WHERE (company, order_no) = (2, 6);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('pairs'), '4 12 22 342.5', 'key of two parts: followed, with cascades');
SELECT is(pg_temp.lines('pairs', '2,14') || '; ' || coalesce(pg_temp.lines('pairs', '2,6'), 'gone'), '2,I2 1 10, 2,I3 2 20; gone', 'a new number is a new order');

-- key of three parts, without declared foreign keys
CREATE SCHEMA triples AUTHORIZATION :app;
SET ROLE :app;
SET search_path = triples, public;
CREATE TABLE clients (client_id int PRIMARY KEY, client_name text);
CREATE TABLE products (product_id int PRIMARY KEY, product_name text);
CREATE TABLE orders (branch char(2), fiscal_year smallint, order_no int, client_id int, order_date date, PRIMARY KEY (branch, fiscal_year, order_no));
CREATE TABLE order_lines (branch char(2), fiscal_year smallint, order_no int, line_no int, product_id int, quantity int, unit_price numeric, PRIMARY KEY (branch, fiscal_year, order_no, line_no));
INSERT INTO clients SELECT c, 'c' || c FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' || p FROM generate_series(1, 3) p;
INSERT INTO orders SELECT CASE WHEN o % 2 = 0 THEN 'N' ELSE 'SW' END, 2023 + o % 2, 1 + o / 2, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT branch, fiscal_year, order_no, k, 1 + (order_no + k) % 3, k, 10 FROM orders, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('triples'), 'nothing', 'key of three parts: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('triples'), '4 12 24 360', 'key of three parts: loaded');
INSERT INTO orders VALUES ('N', 2025, 1, 1, '2025-02-01');
INSERT INTO order_lines VALUES ('N', 2025, 1, 1, 1, 5, 2.50);
UPDATE order_lines SET quantity = 3 WHERE (branch, fiscal_year, order_no, line_no) = ('SW', 2024, 1, 1);
DELETE FROM order_lines WHERE (branch, fiscal_year, order_no, line_no) = ('N', 2023, 2, 2);
DELETE FROM orders WHERE (branch, fiscal_year, order_no) = ('SW', 2024, 2);
DELETE FROM order_lines WHERE (branch, fiscal_year, order_no) = ('SW', 2024, 2);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('triples'), '4 12 22 342.5', 'key of three parts: followed');

-- uuid, text, char(n), numeric(10): the same system under four key types, all keys of one type
CREATE FUNCTION pg_temp.make(named text, type text, key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k text := format('(%s)::%s', key, type);	-- a key as an expression over kind (a letter) and n
BEGIN
	EXECUTE replace(replace(format($f$
		CREATE SCHEMA %1$I AUTHORIZATION %2$I;
		SET LOCAL ROLE %2$I;
		CREATE TABLE %1$I.customer (id KTYPE PRIMARY KEY, name text);
		CREATE TABLE %1$I.product (id KTYPE PRIMARY KEY, name text);
		CREATE TABLE %1$I.orders (id KTYPE PRIMARY KEY, customer_id KTYPE NOT NULL REFERENCES %1$I.customer, ordered_at timestamptz NOT NULL);
		CREATE TABLE %1$I.order_item (id KTYPE PRIMARY KEY, order_id KTYPE NOT NULL REFERENCES %1$I.orders ON UPDATE CASCADE ON DELETE CASCADE, product_id KTYPE REFERENCES %1$I.product, quantity int, price numeric(10,2));
		CREATE INDEX ON %1$I.order_item (order_id);
		CREATE FUNCTION %1$I.k(kind text, n int) RETURNS KTYPE LANGUAGE sql AS 'SELECT BODY';
		INSERT INTO %1$I.customer SELECT %1$I.k('c', n), 'c' || n FROM generate_series(1, 4) n;
		INSERT INTO %1$I.product SELECT %1$I.k('p', n), 'p' || n FROM generate_series(1, 3) n;
		INSERT INTO %1$I.orders SELECT %1$I.k('o', n), %1$I.k('c', 1 + n %% 4), '2024-01-01 12:00+00'::timestamptz + n * interval '1 day' FROM generate_series(1, 12) n;
		INSERT INTO %1$I.order_item SELECT %1$I.k('i', 2 * n + k), %1$I.k('o', n), %1$I.k('p', 1 + (n + k) %% 3), k, 10 FROM generate_series(1, 12) n, generate_series(1, 2) k;
		RESET ROLE$f$, named, 'regress_' || current_database()), 'BODY', replace(k, '''', '''''')), 'KTYPE', type);
END $$;
CREATE FUNCTION pg_temp.change(named text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($f$
		INSERT INTO %1$I.orders VALUES (%1$I.k('o', 13), %1$I.k('c', 1), '2024-02-01 12:00+00');
		INSERT INTO %1$I.order_item VALUES (%1$I.k('i', 99), %1$I.k('o', 13), %1$I.k('p', 1), 5, 2.50);
		UPDATE %1$I.order_item SET quantity = 3 WHERE id = %1$I.k('i', 3);
		DELETE FROM %1$I.order_item WHERE id = %1$I.k('i', 6);
		DELETE FROM %1$I.orders WHERE id = %1$I.k('o', 3);
		UPDATE %1$I.orders SET id = %1$I.k('o', 14) WHERE id = %1$I.k('o', 4)$f$, named);
END $$;
SELECT pg_temp.make('uuids', 'uuid', 'md5(kind || n)') \g /dev/null
SELECT pg_temp.make('texts', 'text', $$upper(kind) || '-' || n || ', é\'$$) \g /dev/null
SELECT pg_temp.make('padded', 'char(8)', 'kind || n') \g /dev/null
SELECT pg_temp.make('numerics', 'numeric(10)', '1000000000::bigint * strpos(''copi'', kind) + n') \g /dev/null
SELECT format($$SELECT is(pg_temp.take('%1$s'), 'nothing', '%1$s: attached by its name')$$, named) FROM unnest('{uuids,texts,padded,numerics}'::text[]) named \gexec
CALL agentcrm.run();
SELECT is(pg_temp.ledger(named), '4 12 24 360', named || ': loaded') FROM unnest('{uuids,texts,padded,numerics}'::text[]) named;
SELECT pg_temp.change(named) FROM unnest('{uuids,texts,padded,numerics}'::text[]) named \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger(named), '4 12 22 342.5', named || ': followed, with cascades') FROM unnest('{uuids,texts,padded,numerics}'::text[]) named;
SELECT is((SELECT string_agg(client_key, ' ' ORDER BY client_key) FROM agentcrm.client c JOIN agentcrm.source s USING (namespace) WHERE s.name = 'padded'), 'c1 c2 c3 c4', 'char(n): keys without their padding');

-- char(n) keys that lines hold as text, with and without the padding
CREATE SCHEMA unequal AUTHORIZATION :app;
SET ROLE :app;
SET search_path = unequal, public;
CREATE TABLE customer (customer_no char(6) PRIMARY KEY, name text);
CREATE TABLE orders (order_no char(6) PRIMARY KEY, customer_no varchar(10), order_date date);
CREATE TABLE order_line (order_no varchar(10), line_no int, product_code text, quantity int, amount numeric, PRIMARY KEY (order_no, line_no));
INSERT INTO customer SELECT 'K' || c, 'c' FROM generate_series(1, 4) c;
INSERT INTO orders SELECT 'A' || o, 'K' || 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_line SELECT 'A' || o, k, 'P' || k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('unequal', orders => 'orders', lines => 'order_line', line_order_key => '{order_no}', clients => 'customer', client => 'o.customer_no', product => 'l.product_code',
	at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('unequal'), '4 12 24 360', 'char(n) against varchar: loaded');
INSERT INTO orders VALUES ('A13', 'K1', '2024-02-01');
INSERT INTO order_line VALUES ('A13   ', 1, 'P1', 5, 12.5);
UPDATE order_line SET quantity = 3, amount = 30 WHERE (order_no, line_no) = ('A1', 1);
DELETE FROM order_line WHERE (order_no, line_no) = ('A2', 2);
DELETE FROM orders WHERE order_no = 'A3';
CALL agentcrm.run();
SELECT is(pg_temp.ledger('unequal'), (SELECT format('4 %s %s %s', count(DISTINCT o.order_no), count(*), trim_scale(sum(amount))) FROM orders o JOIN order_line l ON l.order_no = o.order_no), 'char(n) against varchar: followed as SQL joins them');

-- quoted names with capitals, spaces and dots
CREATE SCHEMA "Mixed Names" AUTHORIZATION :app;
SET ROLE :app;
SET search_path = "Mixed Names", public;
CREATE TABLE "Customers" ("Customer ID" int PRIMARY KEY, "Company Name" text);
CREATE TABLE "Items" ("Item No." varchar(10) PRIMARY KEY, "Description" text);
CREATE TABLE "Sales Orders" ("Order No." int PRIMARY KEY, "Customer ID" int REFERENCES "Customers", "Order Date" date);
CREATE TABLE "Sales Order Lines" ("Line ""No""" int PRIMARY KEY, "Order No." int REFERENCES "Sales Orders" ON DELETE CASCADE, "Item No." varchar(10) REFERENCES "Items", "Quantity" int, "Line Amount" numeric);
INSERT INTO "Customers" SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO "Items" SELECT 'I' || i, 'i' FROM generate_series(1, 3) i;
INSERT INTO "Sales Orders" SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO "Sales Order Lines" SELECT 2 * o + k, o, 'I' || 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('Mixed Names'), 'nothing', 'quoted mixed-case names: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('Mixed Names'), '4 12 24 360', 'quoted mixed-case names: loaded');
INSERT INTO "Sales Orders" VALUES (13, 1, '2024-02-01');
INSERT INTO "Sales Order Lines" VALUES (99, 13, 'I1', 5, 12.50);
UPDATE "Sales Order Lines" SET "Quantity" = 3, "Line Amount" = 30 WHERE "Line ""No""" = 3;
DELETE FROM "Sales Order Lines" WHERE "Line ""No""" = 6;
DELETE FROM "Sales Orders" WHERE "Order No." = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('Mixed Names'), '4 12 22 342.5', 'quoted mixed-case names: followed');

-- reserved words for schema, tables and columns
CREATE SCHEMA "select" AUTHORIZATION :app;
SET ROLE :app;
SET search_path = "select", public;
CREATE TABLE "user" ("primary" int PRIMARY KEY, "column" text);
CREATE TABLE "order" ("unique" int PRIMARY KEY, "user" int REFERENCES "user", "when" date, "end" text);
CREATE TABLE "table" ("order" int REFERENCES "order" ON DELETE CASCADE, "row" int, "all" int, "limit" int, "from" numeric, PRIMARY KEY ("order", "row"));
INSERT INTO "user" SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO "order" SELECT o, 1 + o % 4, '2024-01-01'::date + o, 'ok' FROM generate_series(1, 12) o;
INSERT INTO "table" SELECT o, k, k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('select', orders => '"order"', lines => '"table"', clients => '"user"', product => 'l."all"', at => 'o."when"', quantity => 'l."limit"', amount => 'l."from"',
	is_sale => $$o."end" = 'ok'$$, client_name => 'c."column"') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('select'), '4 12 24 360', 'reserved words: loaded');
INSERT INTO "order" VALUES (13, 1, '2024-02-01', 'ok');
INSERT INTO "table" VALUES (13, 1, 1, 5, 12.5);
UPDATE "table" SET "limit" = 3, "from" = 30 WHERE ("order", "row") = (1, 1);
DELETE FROM "table" WHERE ("order", "row") = (2, 2);
UPDATE "order" SET "end" = 'no' WHERE "unique" = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('select'), '4 12 22 342.5', 'reserved words: followed');

-- domains over the keys, and over domains; enums; a key that is an enum
CREATE SCHEMA typed AUTHORIZATION :app;
SET ROLE :app;
SET search_path = typed, public;
CREATE DOMAIN number AS int CHECK (value > 0);
CREATE DOMAIN order_number AS number;
CREATE DOMAIN net AS numeric(12,2);
CREATE TYPE sort AS ENUM ('tea', 'coffee', 'salt');
CREATE TYPE stage AS ENUM ('draft', 'confirmed', 'cancelled');
CREATE TABLE customer (customer_id number PRIMARY KEY, name text);
CREATE TABLE orders (order_id order_number PRIMARY KEY, customer_id number REFERENCES customer, order_date date, status stage);
CREATE TABLE order_line (order_id order_number REFERENCES orders ON DELETE CASCADE, line_no number, sort sort, quantity number, amount net, PRIMARY KEY (order_id, line_no));
INSERT INTO customer SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o, CASE WHEN o > 12 THEN 'draft' ELSE 'confirmed' END::stage FROM generate_series(1, 14) o;
INSERT INTO order_line SELECT o, k, (enum_range(NULL::sort))[1 + (o + k) % 3], k, 10 * k FROM generate_series(1, 14) o, generate_series(1, 2) k;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('typed', orders => 'orders', lines => 'order_line', clients => 'customer', product => 'l.sort', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount',
	is_sale => $$o.status = 'confirmed'$$) \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('typed'), '4 12 24 360', 'domains and enums: loaded');
UPDATE orders SET status = 'confirmed' WHERE order_id = 13;
UPDATE orders SET status = 'cancelled' WHERE order_id = 1;
UPDATE order_line SET sort = 'salt', amount = amount + 0.5 WHERE order_id = 2;
DELETE FROM orders WHERE order_id = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('typed'), '4 11 22 331', 'domains and enums: followed');
SELECT is(pg_temp.lines('typed', '2'), 'salt 1 10.5, salt 2 20.5', 'an enum as a product''s key');
-- a value added to the enum later
ALTER TYPE typed.sort ADD VALUE 'sugar';
UPDATE order_line SET sort = 'sugar' WHERE (order_id, line_no) = (2, 1);
CALL agentcrm.run();
SELECT is(pg_temp.lines('typed', '2'), 'salt 2 20.5, sugar 1 10.5', 'and a new value of it');

SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify() over all of them');
SELECT is_empty($$SELECT s.name FROM agentcrm.source s WHERE s.state <> 'shadow'$$, 'no source was set aside');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app CASCADE;
DROP ROLE :app;
