-- What propose must not conclude: schemas that look like what a rule of its was made for, and are not.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
SET client_min_messages = warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(28);

\ir include/propose.sql
CREATE FUNCTION pg_temp.orders(schema name) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(DISTINCT concat_ws(' ', m -> 'options' ->> 'orders', m -> 'options' ->> 'lines'), ', ') FROM jsonb_array_elements(agentcrm.propose_mappings(ARRAY[schema])) m
$$;

-- Keys from one sequence: lines of sales and of purchases refer to either.
CREATE SCHEMA one_sequence;
SET search_path = one_sequence, public;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE parts (id int PRIMARY KEY, partnumber text, description text);
CREATE TABLE ar (id int PRIMARY KEY, invnumber text, transdate date, customer_id int, amount numeric);
CREATE TABLE ap (id int PRIMARY KEY, invnumber text, transdate date, vendor_id int, amount numeric);
CREATE TABLE invoice (id int PRIMARY KEY, trans_id int, parts_id int, qty numeric, sellprice numeric);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 15) i;
INSERT INTO parts SELECT i, 'p' || i, 'part ' || i FROM generate_series(1, 20) i;
INSERT INTO ar SELECT i, 'S' || i, date '2024-01-01' + i, 1 + i % 15, 60 FROM generate_series(1, 119, 2) i;
INSERT INTO ap SELECT i, 'P' || i, date '2024-01-01' + i, 1 + i % 4, 60 FROM generate_series(2, 120, 2) i;
INSERT INTO invoice SELECT 2 * t + k, t, 1 + (t * k) % 20, k, 20 FROM generate_series(1, 120) t, generate_series(1, 2) k;
SELECT matches(pg_temp.orders('one_sequence'), 'one_sequence.ar one_sequence.invoice', 'keys from one sequence: lines of sales are told by the table they are in');
-- Each table counts by itself: the same numbers stand in both, and all lines are of purchases.
CREATE SCHEMA two_sequences;
SET search_path = two_sequences, public;
CREATE TABLE customer (LIKE one_sequence.customer INCLUDING ALL);
CREATE TABLE parts (LIKE one_sequence.parts INCLUDING ALL);
CREATE TABLE ar (LIKE one_sequence.ar INCLUDING ALL);
CREATE TABLE ap (LIKE one_sequence.ap INCLUDING ALL);
CREATE TABLE invoice (LIKE one_sequence.invoice INCLUDING ALL);
INSERT INTO customer SELECT * FROM one_sequence.customer;
INSERT INTO parts SELECT * FROM one_sequence.parts;
INSERT INTO ar SELECT i, 'S' || i, date '2024-01-01' + i, 1 + i % 15, 60 FROM generate_series(1, 60) i;
INSERT INTO ap SELECT i, 'P' || i, date '2024-01-01' + i, 1 + i % 4, 60 FROM generate_series(1, 80) i;
INSERT INTO invoice SELECT 2 * t + k, t, 1 + (t * k) % 20, k, 20 FROM generate_series(1, 80) t, generate_series(1, 2) k;
SELECT unalike(coalesce(pg_temp.orders('two_sequences'), 'none'), '%ar two_sequences.invoice%', 'keys of two sequences: the same numbers are no reference');
-- A tenth of the lines leads nowhere.
UPDATE one_sequence.invoice SET trans_id = trans_id + 1000 WHERE trans_id % 10 = 0;
SELECT unalike(coalesce(pg_temp.orders('one_sequence'), 'none'), '%ar one_sequence.invoice%', 'lines that lead nowhere: not from one sequence');

-- Entities of several kinds, one of which is the customer's row; and customers numbered by themselves.
CREATE SCHEMA kinds_of;
SET search_path = kinds_of, public;
CREATE TABLE entity (id int PRIMARY KEY, type text, altname text);
CREATE TABLE customer (id int PRIMARY KEY, companyname text);
CREATE TABLE item (id int PRIMARY KEY, displayname text);
CREATE TABLE sales_order (id int PRIMARY KEY, entity int, trandate date, total numeric);
CREATE TABLE sales_order_line (id int PRIMARY KEY, sales_order_id int, item int, quantity int, amount numeric);
INSERT INTO entity SELECT i, CASE WHEN i <= 20 THEN 'Vendor' ELSE 'Customer' END, 'e' || i FROM generate_series(1, 60) i;
INSERT INTO customer SELECT id, 'company ' || id FROM entity WHERE type = 'Customer';
INSERT INTO item SELECT i, 'i' || i FROM generate_series(1, 12) i;
INSERT INTO sales_order SELECT i, 21 + i % 40, date '2024-01-01' + i, 30 FROM generate_series(1, 100) i;
INSERT INTO sales_order_line SELECT 2 * o + k, o, 1 + (o + k) % 12, k, 10 * k FROM generate_series(1, 100) o, generate_series(1, 2) k;
SELECT is(pg_temp.best('kinds_of') ->> 'clients', 'kinds_of.customer', 'entities of several kinds: those of one are the customers');
UPDATE customer SET id = id - 5;
SELECT is(pg_temp.best('kinds_of') ->> 'clients', 'kinds_of.entity', 'customers with numbers of their own are not the entities');
TRUNCATE customer;
INSERT INTO customer SELECT id, 'company ' || id FROM entity WHERE type = 'Customer' AND id <= 50;
SELECT is(pg_temp.best('kinds_of') ->> 'clients', 'kinds_of.entity', 'nor where a quarter of a kind has no row there');

-- What tables begin with: an application's mark, or a word that says what they hold.
CREATE FUNCTION pg_temp.marked(mark text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	space text := lower(mark) || 'space';
	t text;
BEGIN
	EXECUTE format('CREATE SCHEMA %I', space);
	PERFORM set_config('search_path', space || ', public', true);
	EXECUTE format('CREATE TABLE %1$I (id int PRIMARY KEY, name text); CREATE TABLE %2$I (id int PRIMARY KEY, name text); CREATE TABLE %3$I (id int PRIMARY KEY, customer_id int, order_date date, total numeric);
		CREATE TABLE %4$I (id int PRIMARY KEY, order_id int, product_id int, quantity int, price numeric)', mark || 'customer', mark || 'product', mark || 'order', mark || 'order_line');
	FOREACH t IN ARRAY '{setting,message,page,language,country}'::text[] LOOP
		EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, name text)', mark || t);
	END LOOP;
	EXECUTE format('INSERT INTO %1$I SELECT i, ''c'' FROM generate_series(1, 9) i; INSERT INTO %2$I SELECT i, ''p'' FROM generate_series(1, 9) i; INSERT INTO %3$I SELECT i, 1 + i %% 9, date ''2024-01-01'' + i, 30 FROM generate_series(1, 90) i;
		INSERT INTO %4$I SELECT 2 * o + k, o, 1 + (o + k) %% 9, k, 10 FROM generate_series(1, 90) o, generate_series(1, 2) k', mark || 'customer', mark || 'product', mark || 'order', mark || 'order_line');
END $$;
SELECT pg_temp.marked(m) FROM unnest('{BasketWorld_,quote_,stg_,old_}'::text[]) m \g /dev/null
SELECT is(pg_temp.orders('basketworld_space'), 'basketworld_space."BasketWorld_order" basketworld_space."BasketWorld_order_line"', 'an application''s mark says nothing of its tables');
SELECT is(pg_temp.orders('quote_space'), NULL, 'tables that are all quotes have no mark');
SELECT is(pg_temp.orders('stg_space'), NULL, 'nor have staging tables');
SELECT is(pg_temp.orders('old_space'), NULL, 'nor have old ones');

-- A summary is a document only where lines refer to it.
CREATE SCHEMA summed;
SET search_path = summed, public;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE sales_order_summary (id int PRIMARY KEY, customer_id int, order_date date, total numeric);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 20) i;
INSERT INTO sales_order_summary SELECT i, 1 + i % 20, date '2024-01-01' + i, 30 FROM generate_series(1, 100) i;
SELECT is(pg_temp.orders('summed'), NULL, 'a summary that no line refers to is none of the orders');

-- A rate beside amounts that are the same at every rate: base currency where clients buy in several, else each client's own.
CREATE SCHEMA rated;
SET search_path = rated, public;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE product (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customer, order_date date, currency text, exchange_rate numeric);
CREATE TABLE order_line (id int PRIMARY KEY, order_id int REFERENCES orders, product_id int REFERENCES product, quantity int, amount numeric);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 16) i;
INSERT INTO product SELECT i, 'p' || i FROM generate_series(1, 10) i;
INSERT INTO orders SELECT i, 1 + i % 16, date '2024-01-01' + i, CASE WHEN i % 5 = 0 THEN 'EUR' ELSE 'USD' END, CASE WHEN i % 5 = 0 THEN 1.25 ELSE 1 END FROM generate_series(1, 160) i;
INSERT INTO order_line SELECT 2 * o + k, o, 1 + (o / 5 + k) % 10, k, k * (7 + (o / 5 + k) % 10) FROM generate_series(1, 160) o, generate_series(1, 2) k;
SELECT is(pg_temp.best('rated') ->> 'amount', 'l.amount', 'the same prices at every rate, for clients of several currencies: base currency');
UPDATE orders SET currency = CASE WHEN customer_id % 4 = 0 THEN 'EUR' ELSE 'USD' END, exchange_rate = CASE WHEN customer_id % 4 = 0 THEN 1.25 ELSE 1 END;
SELECT is(pg_temp.best('rated') ->> 'amount', 'l.amount * coalesce(o.exchange_rate, 1)', 'where each client has one currency, they are in it');

-- Statuses.
SELECT pg_temp.shop('deadline', '{confirmed,shipped}') \g /dev/null
ALTER TABLE sales_order ADD cancel_by date;
UPDATE sales_order SET cancel_by = order_date + 30 WHERE id > 1;
SELECT is(pg_temp.best('deadline') ->> 'is_sale', NULL, 'a day to cancel by that nearly all orders have cancels none');
SELECT pg_temp.shop('gap', '{90,10,20,30}') \g /dev/null
ALTER TABLE sales_order ALTER status TYPE int USING status::int;
SELECT matches(coalesce(pg_temp.best('gap') ->> 'is_sale', '90'), '90', 'the number after a gap that most orders have is not of the cancelled');
SELECT pg_temp.shop('others_codes', '{1,2,3}') \g /dev/null
ALTER TABLE sales_order ALTER status TYPE int USING status::int;
CREATE TABLE payment_states (id int PRIMARY KEY, name text);
INSERT INTO payment_states VALUES (1, 'Cancelled'), (2, 'Paid'), (3, 'Draft');
SELECT isnt(pg_temp.best('others_codes') ->> 'is_sale', 'o.status = 2', 'small numbers are in every table: the states of payments are not those of orders');
SELECT pg_temp.shop('some_codes', '{A,B,C}') \g /dev/null
CREATE TABLE reason_codes (code text PRIMARY KEY, title text);
INSERT INTO reason_codes VALUES ('A', 'Cancelled'), ('B', 'Delivered');
SELECT is(coalesce(pg_temp.best('some_codes') ->> 'is_sale', 'all'), 'all', 'a table that lacks one of the codes is of other codes');
SELECT pg_temp.shop('delivered_later', '{p,n}') \g /dev/null
CREATE TABLE payment (id int PRIMARY KEY, order_id int REFERENCES sales_order, amount numeric);
INSERT INTO payment SELECT id, id, 10 FROM sales_order WHERE status = 'p' AND id % 3 > 0;
SELECT is(coalesce(pg_temp.best('delivered_later') ->> 'is_sale', 'all'), 'all', 'where payments come when they come, what nobody paid for yet counts');
SELECT pg_temp.shop('subscribed') \g /dev/null
ALTER TABLE sales_order ADD is_recurring boolean NOT NULL DEFAULT false, ADD latest_delivery date;
SELECT is(pg_temp.best('subscribed') ->> 'is_sale', NULL, 'recurring orders that nothing is made from are orders');

-- Kinds of documents.
SELECT pg_temp.shop('channels') \g /dev/null
ALTER TABLE sales_order ADD order_type text;
UPDATE sales_order SET order_type = (ARRAY['AN','KA','TE'])[1 + id % 3];
SELECT is(pg_temp.best('channels') ->> 'is_sale', NULL, 'two letters that agree with no language''s documents are not left out');

-- Money.
SELECT pg_temp.shop('on_top') \g /dev/null
ALTER TABLE sales_order_line ADD tax_amount numeric(12,2), ADD line_total numeric(12,2);
UPDATE sales_order_line SET line_total = quantity * price, tax_amount = round(quantity * price * 0.2, 2);
SELECT is(pg_temp.best('on_top') ->> 'amount', 'l.line_total', 'a fifth of the whole, or a quarter of the rest: on top of it');
ALTER TABLE sales_order ADD order_amount numeric, ADD tax_total numeric, ADD order_total numeric;
ALTER TABLE sales_order_line DROP tax_amount;
UPDATE sales_order o SET order_amount = s.t, tax_total = s.t * 0.19, order_total = s.t * 1.19 FROM (SELECT order_id, sum(line_total) AS t FROM sales_order_line GROUP BY 1) s WHERE s.order_id = o.id;
SELECT is(pg_temp.best('on_top') ->> 'amount', 'l.line_total', 'so is the order''s, where a total has it on top');
ALTER TABLE sales_order ADD prices_include_tax boolean NOT NULL DEFAULT false;
SELECT is(pg_temp.best('on_top') ->> 'amount', 'l.line_total', 'a mark that no order has says nothing');
SELECT pg_temp.shop('marked_up') \g /dev/null
ALTER TABLE sales_order_line ADD line_total numeric(12,2);
UPDATE sales_order_line SET line_total = quantity * price * (1 + product_id * 0.02);
SELECT is(pg_temp.best('marked_up') ->> 'amount', 'l.line_total', 'what exceeds quantity x price by rates of all kinds is no tax');
UPDATE sales_order_line SET line_total = quantity * price * 1.333;
SELECT is(pg_temp.best('marked_up') ->> 'amount', 'l.line_total', 'nor is what exceeds it by a rate that no tax has');
SELECT pg_temp.shop('freight') \g /dev/null
ALTER TABLE sales_order_line ADD description text DEFAULT 'article';
INSERT INTO sales_order_line (id, order_id, quantity, price, description) SELECT 1000 + id, id, 1, 6, 'Freight' FROM sales_order;
SELECT is(pg_temp.best('freight') ->> 'line_ok', 'l.product_id IS NOT NULL', 'lines of no product that are freight do not count');
UPDATE sales_order_line SET description = 'Cut to measure' WHERE product_id IS NULL;
SELECT is(pg_temp.best('freight') ->> 'line_ok', 'l.product_id IS NOT NULL', 'nor do those that every order has');
DELETE FROM sales_order_line WHERE product_id IS NULL AND order_id % 4 > 0;
SELECT is(pg_temp.best('freight') ->> 'line_ok', '(l.product_id IS NOT NULL OR l.quantity * l.price <> 0)', 'others do, now and then');

SELECT * FROM finish();
ROLLBACK;
