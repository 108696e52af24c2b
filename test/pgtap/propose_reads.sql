-- What propose reads: statuses in many shapes, marks of tests, taxes inside amounts, and names that say little.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
SET client_min_messages = warning;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
SELECT plan(49);

\ir include/propose.sql

-- Words.
SELECT is(agentcrm.propose_reading(v), r, v || ' reads as ' || r) FROM (VALUES ('Awaiting check payment', 'unpaid'), ('pending_payment', 'unpaid'), ('Wartet auf Zahlung', 'unpaid'), ('En attente de paiement', 'unpaid'), ('Pendiente de pago', 'unpaid'), ('not_paid', 'unpaid'),
	('NOT_FINISHED', 'draft'), ('In Vorbereitung', 'sale'), ('En préparation', 'sale'), ('Rechazado', 'cancelled'), ('Zrušeno', 'cancelled'), ('Makulert', 'cancelled'), ('Odesláno', 'sale'), ('Toimitettu', 'sale'), ('Remboursé', 'return'), ('Pro forma', 'quote'),
	('partially_refunded', 'sale'), ('overdue', 'open'), ('test order', 'draft'), ('Awaiting shipment', 'sale')) AS x(v, r);
SELECT CASE WHEN getdatabaseencoding() = 'UTF8' THEN is(agentcrm.propose_reading(v), r, v || ' reads as ' || r) ELSE skip('needs UTF8') END
FROM (VALUES (E'\u5df2\u53d6\u6d88', 'cancelled'), (E'\u5f85\u4ed8\u6b3e', 'unpaid'), (E'\u51fa\u8377\u6e08', 'sale'), (E'\u041e\u0436\u0438\u0434\u0430\u0435\u0442 \u043e\u043f\u043b\u0430\u0442\u044b', 'unpaid')) AS x(v, r);

-- Orders wait for their payment, invoices are sales before it.
SELECT pg_temp.shop('unpaid', '{paid,unpaid,cancelled}') \g /dev/null
SELECT is(pg_temp.best('unpaid') ->> 'is_sale', 'o.status = ''paid''', 'orders that nobody paid for do not count');
ALTER TABLE sales_order RENAME TO invoice;
ALTER TABLE sales_order_line RENAME TO invoice_line;
SELECT is(pg_temp.best('unpaid') ->> 'is_sale', 'o.status IN (''paid'', ''unpaid'')', 'invoices do');

-- Codes: by a table that no reference leads to, alone or among those of other columns; by a comment.
SELECT pg_temp.shop('looked_up', '{A,B,C}') \g /dev/null
CREATE TABLE order_states (position int PRIMARY KEY, code char(1), title text);
INSERT INTO order_states VALUES (1, 'B', 'Draft'), (2, 'A', 'Delivered'), (3, 'C', 'Cancelled'), (4, 'D', 'New');
SELECT is(pg_temp.best('looked_up') ->> 'is_sale', 'o.status IN (''A'', ''D'')', 'codes are looked up by their values');
DROP TABLE order_states;
CREATE TABLE lookup_value (kind text, code text, meaning text, PRIMARY KEY (kind, code));
INSERT INTO lookup_value VALUES ('customer_class', 'A', 'Cancelled'), ('customer_class', 'B', 'Large'), ('customer_class', 'C', 'Small'), ('order_status', 'A', 'Cancelled'), ('order_status', 'B', 'Delivered'), ('order_status', 'C', 'Draft');
SELECT is(pg_temp.best('looked_up') ->> 'is_sale', 'o.status = ''B''', 'and by the kind that is named after the column');
DROP TABLE lookup_value;
COMMENT ON COLUMN sales_order.status IS 'A - brouillon, B - annulee, C - livree';
SELECT is(pg_temp.best('looked_up') ->> 'is_sale', 'o.status = ''C''', 'and by a comment');

-- Letters in the language of their column, numbers after a gap, and what a payment says.
SELECT pg_temp.shop('letters', '{F,B,A,V}') \g /dev/null
ALTER TABLE sales_order RENAME status TO etat;
SELECT is(pg_temp.best('letters') ->> 'is_sale', 'o.etat IN (''F'', ''V'')', 'French letters');
SELECT pg_temp.shop('numbers', '{20,10,30,90}') \g /dev/null
ALTER TABLE sales_order ALTER status TYPE int USING status::int;
SELECT is(pg_temp.best('numbers') ->> 'is_sale', 'o.status IN (20, 10, 30)', 'a number after a gap is of the cancelled');
SELECT pg_temp.shop('refunded', '{completed,processing,closed}') \g /dev/null
ALTER TABLE sales_order ADD payment_status text;
UPDATE sales_order SET payment_status = CASE status WHEN 'closed' THEN 'refunded' WHEN 'completed' THEN 'paid' ELSE 'authorized' END;
SELECT is(pg_temp.best('refunded') ->> 'is_sale', 'o.status IN (''completed'', ''processing'')', 'what was paid back whole does not count, whatever its status says');
SELECT pg_temp.shop('prepaid', '{p,n,e}') \g /dev/null
CREATE TABLE payment (id int PRIMARY KEY, order_id int REFERENCES sales_order, amount numeric, state text);
INSERT INTO payment SELECT id, id, 10, CASE status WHEN 'p' THEN 'confirmed' ELSE 'pending' END FROM sales_order;
SELECT is(pg_temp.best('prepaid') ->> 'is_sale', 'o.status = ''p''', 'where orders are paid first, codes that nobody paid for do not count');

-- Tests of the shop itself, templates, positions offered beside others.
SELECT pg_temp.shop('tested') \g /dev/null
ALTER TABLE sales_order ADD testmode boolean NOT NULL DEFAULT false, ADD is_recurring boolean NOT NULL DEFAULT false, ADD recurring_order_id int;
ALTER TABLE sales_order_line ADD optional boolean NOT NULL DEFAULT false;
SELECT is(pg_temp.best('tested') ->> 'is_sale', 'o.testmode IS NOT TRUE AND o.is_recurring IS NOT TRUE', 'neither tests nor templates count');
SELECT is(pg_temp.best('tested') ->> 'line_ok', 'l.optional IS NOT TRUE', 'nor optional lines');

-- Documents of several kinds by two letters: deliveries and invoices repeat the orders.
SELECT pg_temp.shop('documents') \g /dev/null
ALTER TABLE sales_order ADD doc_type text;
UPDATE sales_order SET doc_type = (ARRAY['AN','AB','LS','RE'])[1 + id % 4];
SELECT is(pg_temp.best('documents') ->> 'is_sale', 'o.doc_type = ''AB''', 'orders among offers, deliveries and invoices');
DELETE FROM sales_order_line l USING sales_order o WHERE o.id = l.order_id AND o.doc_type = 'AB';
DELETE FROM sales_order WHERE doc_type = 'AB';
UPDATE sales_order SET doc_type = 'GS' WHERE doc_type = 'LS';
SELECT is(pg_temp.best('documents') ->> 'is_sale', 'o.doc_type IN (''GS'', ''RE'')', 'no orders: invoices, and credits as returns');

-- Taxes inside the amount.
SELECT pg_temp.shop('taxed') \g /dev/null
ALTER TABLE sales_order_line ADD tax_amount numeric(12,2);
UPDATE sales_order_line SET tax_amount = round(quantity * price * 0.19 / 1.19, 2);
ALTER TABLE sales_order_line ADD line_total numeric(12,2);
UPDATE sales_order_line SET line_total = quantity * price;
SELECT is(pg_temp.best('taxed') ->> 'amount', 'l.line_total - coalesce(l.tax_amount, 0)', 'a tax that is a share of the rest is in the amount');
SELECT matches(pg_temp.asked('taxed', 'is the amount net of tax?'), 'is the tax in it.*\["l.line_total"\]', 'and the question gives the other answer');
UPDATE sales_order_line SET tax_amount = round(quantity * price * 0.07, 2), line_total = quantity * price + round(quantity * price * 0.07, 2);
ALTER TABLE sales_order ADD net_total numeric;
UPDATE sales_order o SET net_total = (SELECT sum(line_total) FROM sales_order_line l WHERE l.order_id = o.id);
SELECT is(pg_temp.best('taxed') ->> 'amount', 'l.line_total - coalesce(l.tax_amount, 0)', 'so is one by which the total exceeds quantity x price');
ALTER TABLE sales_order_line DROP tax_amount;
ALTER TABLE sales_order DROP net_total;
ALTER TABLE sales_order ADD prices_include_tax boolean NOT NULL DEFAULT true, ADD total_net numeric, ADD grand_total numeric;
UPDATE sales_order o SET prices_include_tax = id % 2 = 0, grand_total = s.t, total_net = s.t / 1.07 FROM (SELECT order_id, sum(line_total) AS t FROM sales_order_line GROUP BY 1) s WHERE s.order_id = o.id;
UPDATE sales_order o SET total_net = grand_total WHERE NOT prices_include_tax;
SELECT is(pg_temp.best('taxed') ->> 'amount', 'CASE WHEN o.prices_include_tax THEN l.line_total * coalesce(o.total_net / nullif(o.grand_total, 0), 1) ELSE l.line_total END', 'or the order says so');

SELECT pg_temp.shop('inside') \g /dev/null
ALTER TABLE sales_order_line ADD line_total numeric(12,2);
UPDATE sales_order_line SET line_total = quantity * price * CASE WHEN id % 9 = 0 THEN 1.08 ELSE 1.2 END;
SELECT is(pg_temp.best('inside') ->> 'amount', 'l.line_total / 1.2', 'the same round rate above quantity x price in most lines is a tax');

-- A percentage off the whole order; numbers kept as text; a cost that is the price.
SELECT pg_temp.shop('reduced') \g /dev/null
ALTER TABLE sales_order ADD discount_percent numeric, ADD net_total numeric;
UPDATE sales_order o SET discount_percent = CASE WHEN id % 5 = 0 THEN 10 ELSE 0 END;
UPDATE sales_order o SET net_total = s.t * (1 - discount_percent / 100) FROM (SELECT order_id, sum(quantity * price) AS t FROM sales_order_line GROUP BY 1) s WHERE s.order_id = o.id;
SELECT is(pg_temp.best('reduced') ->> 'amount', '(l.quantity * l.price) * (1 - coalesce(o.discount_percent, 0) / 100.0)', 'what comes off the whole order');
SELECT pg_temp.shop('texts') \g /dev/null
ALTER TABLE sales_order_line ALTER quantity TYPE text USING quantity::text;
ALTER TABLE sales_order_line RENAME price TO cost;
SELECT is(pg_temp.best('texts') ->> 'amount', 'l.quantity::numeric * l.cost', 'numbers kept as text, and a cost where nothing else is a price');

-- Names that all begin alike, and say nothing of a quantity.
CREATE SCHEMA shop_ox;
SET search_path = shop_ox, public;
CREATE TABLE oxuser (oxid char(8) PRIMARY KEY, oxusername text, oxfname text, oxlname text, oxcity text, oxzip text);
CREATE TABLE oxarticles (oxid char(8) PRIMARY KEY, oxartnum text, oxtitle text, oxprice numeric, oxstock int, oxean text);
CREATE TABLE oxorder (oxid char(8) PRIMARY KEY, oxuserid char(8), oxorderdate timestamp, oxordernr int, oxtotalnetsum numeric, oxcurrency text, oxstorno smallint);
CREATE TABLE oxorderarticles (oxid char(8) PRIMARY KEY, oxorderid char(8), oxartid char(8), oxamount numeric, oxnetprice numeric, oxnprice numeric, oxtitle text);
INSERT INTO oxuser SELECT 'u' || i, 'u@x', 'f', 'l', 'c', 'z' FROM generate_series(1, 15) i;
INSERT INTO oxarticles SELECT 'a' || i, i, 'article ' || i, 10 + i, 1, i FROM generate_series(1, 12) i;
INSERT INTO oxorder SELECT 'o' || i, 'u' || (1 + i % 15), timestamp '2024-01-01' + i * interval '1 day', i, 0, 'EUR', 0 FROM generate_series(1, 60) i;
INSERT INTO oxorderarticles SELECT 'l' || (2 * o + k), 'o' || o, 'a' || (1 + (o + k) % 12), q, q * p, p, 't' FROM generate_series(1, 60) o, generate_series(0, 1) k, LATERAL (SELECT 1 + (o + k) % 4 AS q, 11 + (o + k) % 12 AS p) AS x;
SELECT is(pg_temp.best('shop_ox') - '{line_order_key,client_name,product_name}'::text[] ->> 'lines', 'shop_ox.oxorderarticles', 'two letters before every name');
SELECT is(pg_temp.best('shop_ox') ->> 'quantity', 'l.oxamount', 'a quantity is what times a price is an amount');

-- The date of the receipt whose key the ticket shares; orders whose lines do not map.
SELECT pg_temp.shop('shared') \g /dev/null
CREATE TABLE receipt (id int PRIMARY KEY, datenew timestamp);
INSERT INTO receipt SELECT id, order_date FROM sales_order;
ALTER TABLE sales_order DROP order_date, ADD FOREIGN KEY (id) REFERENCES receipt;
SELECT is(pg_temp.best('shared') ->> 'at', '(SELECT d.datenew FROM shared.receipt AS d WHERE d.id = o.id)', 'the date of the row whose key is the order''s');
SELECT is(pg_temp.best('shared') -> 'watch', '{"shared.receipt": ["id"]}', 'and it is watched');
SELECT pg_temp.shop('in_json') \g /dev/null
ALTER TABLE sales_order ADD total_amount numeric DEFAULT 10, ADD lines jsonb;
DROP TABLE sales_order_line;
CREATE TABLE sales_order_event (id int PRIMARY KEY, order_id int REFERENCES sales_order, at timestamp, amount numeric);
INSERT INTO sales_order_event SELECT id, id, order_date, 10 FROM sales_order;
SELECT is(pg_temp.best('in_json') ->> 'amount', 'o.total_amount', 'orders alone, where no lines map');

SELECT * FROM finish();
ROLLBACK;
