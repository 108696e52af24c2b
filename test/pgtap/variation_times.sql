-- When an order was made: each type that applications keep it in, in a schema of its own, attached by the name alone.
-- Where the application says 11:30 at night, the day is that of the source's zone.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT plan(33);
-- The same small system over a column of a given type: nine orders of three clients on nine days, at 23:30 in New York.
CREATE FUNCTION pg_temp.make(named text, col text, type text, expression text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($f$
		CREATE SCHEMA %1$I AUTHORIZATION %4$I;
		SET LOCAL ROLE %4$I;
		CREATE TABLE %1$I.customers (id int PRIMARY KEY, name text);
		CREATE TABLE %1$I.products (id int PRIMARY KEY, name text);
		CREATE TABLE %1$I.orders (id int PRIMARY KEY, customer_id int REFERENCES %1$I.customers, %2$I %3$s);
		CREATE TABLE %1$I.order_lines (id int PRIMARY KEY, order_id int REFERENCES %1$I.orders ON DELETE CASCADE, product_id int REFERENCES %1$I.products, quantity int, amount numeric);
		CREATE INDEX ON %1$I.order_lines (order_id);
		CREATE FUNCTION %1$I.moment(at timestamp) RETURNS %3$s LANGUAGE sql SET timezone = 'America/New_York' AS %5$L;
		INSERT INTO %1$I.customers SELECT c, 'c' FROM generate_series(1, 3) c;
		INSERT INTO %1$I.products SELECT p, 'p' FROM generate_series(1, 3) p;
		INSERT INTO %1$I.orders SELECT o, 1 + o %% 3, %1$I.moment('2024-03-01 23:30'::timestamp + o * interval '1 day') FROM generate_series(1, 9) o;
		INSERT INTO %1$I.order_lines SELECT 2 * o + k, o, k, k, 10 * k FROM generate_series(1, 9) o, generate_series(1, 2) k;
		RESET ROLE$f$, named, col, type, 'regress_' || current_database(), 'SELECT ' || expression);
END $$;
CREATE FUNCTION pg_temp.change(named text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($f$
		INSERT INTO %1$I.orders SELECT 10, 1, %1$I.moment('2024-04-01 23:30');
		INSERT INTO %1$I.order_lines VALUES (99, 10, 1, 5, 12.5);
		UPDATE %1$I.orders SET %2$I = %1$I.moment('2024-01-31 23:30') WHERE id = 1;
		DELETE FROM %1$I.orders WHERE id = 2$f$, named, (SELECT attname FROM pg_attribute WHERE attrelid = format('%I.orders', named)::regclass AND attnum = 3));
END $$;
-- first and last time and day in the ledger, in the zone of New York
CREATE FUNCTION pg_temp.days(name text) RETURNS text LANGUAGE sql SET timezone = 'America/New_York' AS $$
	SELECT format('%s %s to %s %s', min(ordered_on), min(ordered_at)::time, max(ordered_on), max(ordered_at)::time) FROM agentcrm.ledger JOIN agentcrm.source s USING (source_id) WHERE s.name = $1 $$;
CREATE TEMP TABLE kind (named text, col text, type text, expression text, midnight boolean);
INSERT INTO kind VALUES ('dates', 'order_date', 'date', 'at::date', true), ('without_zone', 'placed_at', 'timestamp', 'at', false), ('with_zone', 'placed_at', 'timestamptz', 'at::timestamptz', false),
	('seconds', 'created', 'bigint', 'extract(epoch FROM at::timestamptz)::bigint', false), ('milliseconds', 'created_at', 'bigint', '(1000 * extract(epoch FROM at::timestamptz))::bigint', false),
	('digits', 'order_date', 'int', 'to_char(at, ''YYYYMMDD'')::int', true), ('words', 'order_date', 'text', 'to_char(at, ''YYYY-MM-DD HH24:MI'')', false);
SELECT pg_temp.make(named, col, type, expression) FROM kind \g /dev/null
-- by the hint's call or without one; the zone is an argument
SET timezone = 'Asia/Tokyo';
SELECT format($$SELECT is((SELECT count(*) > 0 FROM agentcrm.attach('%1$s', time_zone => 'America/New_York')), true, '%1$s: attached by its name')$$, named) FROM kind \gexec
RESET timezone;
CALL agentcrm.run();
SELECT is(pg_temp.ledger(named), '3 9 18 270', named || ': loaded') FROM kind;
SELECT is(pg_temp.days(named), CASE WHEN midnight THEN '2024-03-02 00:00:00 to 2024-03-10 00:00:00' ELSE '2024-03-02 23:30:00 to 2024-03-10 23:30:00' END, named || ': in the source''s zone') FROM kind;
SELECT pg_temp.change(named) FROM kind \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger(named) || '; ' || pg_temp.days(named), '3 9 17 252.5; ' || CASE WHEN midnight THEN '2024-01-31 00:00:00 to 2024-04-01 00:00:00' ELSE '2024-01-31 23:30:00 to 2024-04-01 23:30:00' END, named || ': followed') FROM kind;

-- null until confirmed: an order without its time is none yet
CREATE SCHEMA confirmed AUTHORIZATION :app;
SET ROLE :app;
SET search_path = confirmed, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, confirmed_at timestamptz, updated_at timestamptz);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, CASE WHEN o <= 12 THEN '2024-01-01'::timestamptz + o * interval '1 day' END, '2024-06-01' FROM generate_series(1, 15) o;
INSERT INTO order_lines SELECT 2 * o + k, o, k, k, 10 * k FROM generate_series(1, 15) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('confirmed'), 'nothing', 'null until confirmed: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('confirmed'), '4 12 24 360', 'null until confirmed: what is not does not count');
UPDATE orders SET confirmed_at = '2024-02-01' WHERE id IN (13, 14);
UPDATE orders SET confirmed_at = NULL WHERE id = 1;
UPDATE order_lines SET amount = amount + 1 WHERE order_id = 15;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('confirmed'), '4 13 26 390', 'null until confirmed: followed');

SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify() over all of them');
SELECT is_empty($$SELECT s.name FROM agentcrm.source s WHERE s.state <> 'shadow'$$, 'no source was set aside');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app CASCADE;
DROP ROLE :app;
