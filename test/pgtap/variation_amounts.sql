-- What counts, and for how much: each way in which applications say it in a schema of its own, attached by the name alone
-- where propose can know it, loaded, changed, and followed to the last digit.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT plan(56);

-- integer cents
CREATE SCHEMA cents AUTHORIZATION :app;
SET ROLE :app;
SET search_path = cents, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, placed_at timestamptz, total_cents bigint);
CREATE TABLE order_items (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount_cents int);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::timestamptz + o * interval '1 day', 2997 FROM generate_series(1, 12) o;
INSERT INTO order_items SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 999 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('cents'), 'nothing', 'integer cents: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('cents'), '4 12 24 359.64', 'integer cents: loaded');
INSERT INTO order_items VALUES (99, 1, 1, 1, 1);
UPDATE order_items SET amount_cents = amount_cents + 50 WHERE order_id = 2;
DELETE FROM orders WHERE id = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('cents'), '4 11 23 330.68', 'integer cents: followed');

-- double precision money: exact by the digits shown, where sums of floats are not
CREATE SCHEMA doubles AUTHORIZATION :app;
SET ROLE :app;
SET search_path = doubles, public;
CREATE TABLE client (client_id int PRIMARY KEY, client_name text);
CREATE TABLE article (article_id int PRIMARY KEY, article_name text);
CREATE TABLE invoice (invoice_id int PRIMARY KEY, client_id int REFERENCES client, invoice_date date);
CREATE TABLE invoice_line (invoice_id int REFERENCES invoice ON DELETE CASCADE, line_no int, article_id int REFERENCES article, quantity double precision, unit_price double precision, PRIMARY KEY (invoice_id, line_no));
INSERT INTO client SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO article SELECT a, 'a' FROM generate_series(1, 3) a;
INSERT INTO invoice SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO invoice_line SELECT o, k, 1 + (o + k) % 3, 0.1 * k, 0.7 FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('doubles'), 'nothing', 'double precision money: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('doubles'), '4 12 24 2.52', 'double precision money: loaded');
UPDATE invoice_line SET unit_price = 1.1 WHERE invoice_id = 1;
INSERT INTO invoice_line VALUES (2, 3, 1, 3, 1234567.89);
DELETE FROM invoice WHERE invoice_id = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('doubles'), '4 11 23 3703706.1', 'double precision money: followed, exact');

-- units of measure with ratios: quantities in the unit of stock; a changed ratio reads its orders again
CREATE SCHEMA units AUTHORIZATION :app;
SET ROLE :app;
SET search_path = units, public;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE product (id int PRIMARY KEY, name text, stock_uom int);
CREATE TABLE uom (id int PRIMARY KEY, name text, ratio numeric);
CREATE TABLE sale (id int PRIMARY KEY, customer_id int REFERENCES customer, sold_on date);
CREATE TABLE sale_line (sale_id int REFERENCES sale ON DELETE CASCADE, no int, product_id int REFERENCES product, uom_id int REFERENCES uom, qty numeric, total numeric, PRIMARY KEY (sale_id, no));
INSERT INTO customer SELECT c, 'c' FROM generate_series(1, 3) c;
INSERT INTO uom VALUES (1, 'piece', 1), (2, 'dozen', 12), (3, 'gram', 0.001);
INSERT INTO product VALUES (1, 'egg', 1), (2, 'tea', 1);
INSERT INTO sale SELECT o, o, '2024-01-01'::date + o FROM generate_series(1, 3) o;
INSERT INTO sale_line VALUES (1, 1, 1, 2, 2, 4), (1, 2, 2, 3, 250, 8), (2, 1, 1, 1, 5, 1), (3, 1, 1, 2, 1, 2);
RESET ROLE;
SELECT is(pg_temp.take('units'), 'quantity', 'units of measure: attached by the hint''s call');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('units') || '; ' || pg_temp.lines('units', '1'), '3 3 4 15; 1 24 4, 2 0.25 8', 'units of measure: loaded in units of stock');
UPDATE uom SET ratio = 10 WHERE id = 2;
INSERT INTO sale_line VALUES (2, 2, 2, 3, 500, 16);
UPDATE sale_line SET uom_id = 2 WHERE (sale_id, no) = (2, 1);
CALL agentcrm.run();
SELECT is(pg_temp.lines('units', '1') || '; ' || pg_temp.lines('units', '2') || '; ' || pg_temp.lines('units', '3'), '1 20 4, 2 0.25 8; 1 50 1, 2 0.5 16; 1 10 2', 'units of measure: a changed ratio reads its orders again');
SELECT is(pg_temp.ledger('units'), '3 3 5 31', 'units of measure: followed');

-- cancelled quantities: what is left of a line counts, though its total is of all that was ordered; and nothing of one that is cancelled whole
CREATE SCHEMA cancelled AUTHORIZATION :app;
SET ROLE :app;
SET search_path = cancelled, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, qty_ordered int, qty_cancelled int DEFAULT 0, price numeric, row_total numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, 3, CASE WHEN k = 2 THEN 1 ELSE 0 END, 10, 30 FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('cancelled'), 'nothing', 'cancelled quantities: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('cancelled'), '4 12 24 600', 'cancelled quantities: loaded');
UPDATE order_lines SET qty_cancelled = 2 WHERE id = 3;
UPDATE order_lines SET qty_cancelled = qty_ordered WHERE order_id = 2;
UPDATE order_lines SET qty_cancelled = NULL WHERE id = 8;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('cancelled'), '4 11 22 540', 'cancelled quantities: followed; what is cancelled whole does not count');

-- the same where discounts are in the total: it is cut in proportion
CREATE SCHEMA discounted AUTHORIZATION :app;
SET ROLE :app;
SET search_path = discounted, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, qty_ordered int, qty_canceled int DEFAULT 0, price numeric, row_total numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, 3, CASE WHEN k = 2 AND o > 6 THEN 1 ELSE 0 END, 10, CASE WHEN k = 1 AND o < 7 THEN 24 ELSE 30 END FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('discounted'), 'nothing', 'cancelled quantities with discounts: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('discounted'), '4 12 24 624', 'cancelled quantities with discounts: loaded');
UPDATE order_lines SET qty_canceled = 1 WHERE id = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('discounted'), '4 12 24 616', 'cancelled quantities with discounts: followed');

-- statuses of orders and of lines
CREATE SCHEMA statuses AUTHORIZATION :app;
SET ROLE :app;
SET search_path = statuses, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date, status text);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric, line_status text);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o, (ARRAY['shipped', 'confirmed', 'cancelled'])[1 + o % 3] FROM generate_series(1, 18) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 10 * k, CASE WHEN o = 1 AND k = 2 THEN 'cancelled' ELSE 'active' END FROM generate_series(1, 18) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('statuses'), 'is_sale', 'statuses: attached by the hint''s call');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('statuses'), '4 12 23 340', 'statuses: loaded');
UPDATE orders SET status = 'confirmed' WHERE id = 2;
UPDATE orders SET status = 'cancelled' WHERE id = 3;
UPDATE order_lines SET line_status = 'active' WHERE id = 4;
UPDATE order_lines SET line_status = 'cancelled' WHERE order_id = 4;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('statuses'), '4 11 22 330', 'statuses: followed; an order whose lines are all cancelled is none');

-- a draft becomes a sale by one UPDATE of its header, long after its lines came; and falls back
CREATE SCHEMA drafts AUTHORIZATION :app;
SET ROLE :app;
SET search_path = drafts, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE sale_order (id int PRIMARY KEY, customer_id int REFERENCES customers, date_order timestamp, state text DEFAULT 'draft');
CREATE TABLE sale_order_line (id int PRIMARY KEY, order_id int REFERENCES sale_order ON DELETE CASCADE, product_id int REFERENCES products, product_uom_qty int, price_subtotal numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO sale_order SELECT o, 1 + o % 4, '2024-01-01'::date + o, CASE WHEN o > 12 THEN 'draft' ELSE 'sale' END FROM generate_series(1, 14) o;
INSERT INTO sale_order_line SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 14) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('drafts'), 'is_sale', 'draft to sale: attached by the hint''s call');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('drafts'), '4 12 24 360', 'draft to sale: drafts do not count');
INSERT INTO sale_order VALUES (15, 1, '2024-02-01');
INSERT INTO sale_order_line VALUES (98, 15, 1, 5, 12.5);
CALL agentcrm.run();
INSERT INTO sale_order_line VALUES (99, 15, 2, 1, 1.5);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('drafts'), '4 12 24 360', 'draft to sale: nor do new ones, nor late lines of theirs');
UPDATE sale_order SET state = 'sale' WHERE id IN (13, 15);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('drafts'), '4 14 28 404', 'draft to sale: an UPDATE of the header brings all lines');
UPDATE sale_order SET state = 'draft' WHERE id IN (1, 15);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('drafts'), '4 12 24 360', 'draft to sale: and takes them back');

-- versioned lines: the latest version of a line counts, also when an earlier one comes back
CREATE SCHEMA amended AUTHORIZATION :app;
SET ROLE :app;
SET search_path = amended, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (order_id int REFERENCES orders ON DELETE CASCADE, line_no int, version int, product_id int REFERENCES products, quantity int, amount numeric, PRIMARY KEY (order_id, line_no, version));
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT o, k, v, 1 + (o + k) % 3, k, 10 * k + v - 1 FROM generate_series(1, 12) o, generate_series(1, 2) k, generate_series(1, 1 + o % 2) v;
RESET ROLE;
SELECT is(pg_temp.take('amended'), 'nothing', 'versioned lines: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('amended'), '4 12 24 372', 'versioned lines: the latest of each counts');
INSERT INTO order_lines VALUES (1, 1, 3, 1, 4, 40), (2, 2, 2, 1, 1, 5);
DELETE FROM order_lines WHERE (order_id, line_no, version) = (3, 1, 2);
UPDATE order_lines SET version = 0 WHERE (order_id, line_no, version) = (5, 1, 2);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('amended'), '4 12 24 384', 'versioned lines: followed, one by one');

-- display lines (sections, notes): no product, nothing to count; an order of notes alone is none
CREATE SCHEMA display AUTHORIZATION :app;
SET ROLE :app;
SET search_path = display, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, display_type text, name text, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 13) o;
INSERT INTO order_lines SELECT 10 * o + k, o, NULL, 'p', 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
INSERT INTO order_lines SELECT 10 * o, o, (ARRAY['line_section', 'line_note'])[1 + o % 2], 'A title', NULL, 0, 0 FROM generate_series(1, 13) o;
RESET ROLE;
SELECT is(pg_temp.take('display'), 'nothing', 'display lines: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('display'), '4 12 24 360', 'display lines: left out');
UPDATE order_lines SET display_type = NULL, product_id = 1, quantity = 2, amount = 7 WHERE id IN (10, 130);
UPDATE order_lines SET display_type = 'line_note', product_id = NULL, quantity = NULL, amount = NULL WHERE id = 21;
INSERT INTO order_lines VALUES (29, 2, 'line_section', 'Another', NULL, NULL, NULL);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('display'), '4 13 25 364', 'display lines: followed, also without quantity and amount');

-- charge lines without a product (freight) count as charges if told so, and not otherwise
CREATE SCHEMA charges AUTHORIZATION :app;
SET ROLE :app;
SET search_path = charges, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, description text, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 10 * o + k, o, CASE WHEN k < 3 THEN 1 + (o + k) % 3 END, 'd', k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 3) k;
RESET ROLE;
SELECT is(pg_temp.take('charges'), 'line_ok', 'charge lines: attached by the hint''s call');
SELECT count(*) FROM agentcrm.attach('charges, counted', schemas => '{charges}', line_ok => 'true') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('charges') || '; ' || pg_temp.ledger('charges, counted'), '4 12 24 360; 4 12 36 720', 'charge lines: left out, and by the other answer counted');
SELECT is(pg_temp.lines('charges, counted', '1'), '1 2 20, 3 1 10, - 3 30', 'charge lines: have no product');
UPDATE order_lines SET product_id = 2 WHERE id = 13;
DELETE FROM order_lines WHERE id = 23;
INSERT INTO order_lines VALUES (14, 1, NULL, 'Insurance', 1, 2.5);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('charges') || '; ' || pg_temp.ledger('charges, counted'), '4 12 25 390; 4 12 36 692.5', 'charge lines: followed both ways');

-- returns as negative lines
CREATE SCHEMA negative AUTHORIZATION :app;
SET ROLE :app;
SET search_path = negative, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, price numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 13) o;
INSERT INTO order_lines SELECT 10 * o + k, o, 1 + (o + k) % 3, CASE WHEN o = 13 THEN -k ELSE k END, 10 FROM generate_series(1, 13) o, generate_series(1, 2) k;
RESET ROLE;
CREATE FUNCTION pg_temp.returned(name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(trim_scale(ledger)::text, ' ' ORDER BY array_position('{return orders,return lines,return amount}', item)) FROM agentcrm.compare(name) WHERE item ~ 'return' $$;
SELECT is(pg_temp.take('negative'), 'nothing', 'returns as negative lines: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('negative') || '; ' || pg_temp.returned('negative'), '4 13 26 330; 1 2 -30', 'returns as negative lines: loaded');
INSERT INTO order_lines VALUES (14, 1, 2, -1, 10);
UPDATE order_lines SET quantity = -quantity WHERE id = 131;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('negative') || '; ' || pg_temp.returned('negative'), '4 13 27 340; 2 2 -30', 'returns as negative lines: followed; an order may hold both');

-- returns as documents of their own in the table of orders, with positive figures
CREATE SCHEMA documents AUTHORIZATION :app;
SET ROLE :app;
SET search_path = documents, public;
CREATE TABLE customer (customer_id int PRIMARY KEY, customer_name text);
CREATE TABLE product (product_id int PRIMARY KEY, product_name text);
CREATE TABLE document (document_id int PRIMARY KEY, document_type text NOT NULL, customer_id int REFERENCES customer, document_date date);
CREATE TABLE document_line (document_id int REFERENCES document ON DELETE CASCADE, line_no int, product_id int REFERENCES product, quantity int, net_amount numeric, PRIMARY KEY (document_id, line_no));
INSERT INTO customer SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO product SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO document SELECT o, CASE WHEN o > 12 THEN 'credit_note' WHEN o > 10 THEN 'quotation' ELSE 'invoice' END, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 14) o;
INSERT INTO document_line SELECT o, k, 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 14) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('documents'), 'is_sale', 'returns as own documents: attached by the hint''s call');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('documents') || '; ' || pg_temp.returned('documents'), '4 12 24 240; 2 4 -60', 'returns as own documents: loaded, negative');
UPDATE document SET document_type = 'invoice' WHERE document_id IN (11, 13);
UPDATE document_line SET net_amount = net_amount + 1 WHERE document_id = 14;
INSERT INTO document VALUES (15, 'credit_note', 1, '2024-02-01');
INSERT INTO document_line VALUES (15, 1, 1, 2, 5);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('documents') || '; ' || pg_temp.returned('documents'), '4 14 27 323; 2 3 -37', 'returns as own documents: followed');

-- returns in own tables, as a second source that shares the first one's clients and products
CREATE SCHEMA own_tables AUTHORIZATION :app;
SET ROLE :app;
SET search_path = own_tables, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
CREATE TABLE returns (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, customer_id int REFERENCES customers, returned_on date, accepted boolean);
CREATE TABLE return_lines (id int PRIMARY KEY, return_id int REFERENCES returns ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' || c FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
INSERT INTO returns SELECT r, r, 1 + r % 4, '2024-02-01'::date + r, r < 4 FROM generate_series(1, 4) r;
INSERT INTO return_lines SELECT r, r, 1, 1, 10 FROM generate_series(1, 4) r;
RESET ROLE;
SELECT is(pg_temp.take('own_tables'), 'nothing', 'returns in own tables: the orders are attached by name');
SELECT is((SELECT string_agg(subject, ' ') FROM agentcrm.propose_questions('{own_tables}') WHERE mapping = 1 AND NOT open AND question ~ '^returns'), 'own_tables.returns', 'returns in own tables: propose points to them');
SELECT count(*) FROM agentcrm.attach('own_tables returns', orders => 'returns', lines => 'return_lines', clients => 'customers', products => 'products', at => 'o.returned_on', quantity => '-l.quantity', amount => '-l.amount',
	kind => $$'return'$$, is_sale => 'o.accepted', namespace => 'own_tables') \g /dev/null
-- or in one, as further lines of the orders they belong to
SELECT count(*) FROM agentcrm.attach_query('own_tables at once', $$
	SELECT o.customer_id AS client_key, o.id AS order_key, l.id AS line_key, l.product_id AS product_key, o.order_date AS ordered_at, l.quantity, l.amount, 'sale' AS kind
	FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.id = ANY ($1)
	UNION ALL
	SELECT o.customer_id, o.id, -l.id, l.product_id, o.order_date, -l.quantity, -l.amount, 'return'
	FROM orders o JOIN returns r ON r.order_id = o.id AND r.accepted JOIN return_lines l ON l.return_id = r.id WHERE o.id = ANY ($1)$$,
	key => '{orders.id}', watch => '{"orders": "id", "order_lines": "order_id", "returns": "order_id", "return_lines": {"key": "return_id", "orders": "SELECT order_id FROM returns WHERE id = ANY ($1)"}}') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('own_tables') || '; ' || pg_temp.ledger('own_tables returns') || '; ' || pg_temp.returned('own_tables returns'), '4 12 24 360; 3 3 3 -30; 3 3 -30', 'returns in own tables: two sources');
SELECT is(pg_temp.ledger('own_tables at once') || '; ' || pg_temp.returned('own_tables at once'), '4 12 27 330; 3 3 -30', 'returns in own tables: one source');
SELECT is((SELECT string_agg(c.name || ' ' || n, ', ' ORDER BY c.name) FROM (SELECT client_id, trim_scale(sum(amount)) AS n FROM agentcrm.ledger JOIN agentcrm.source s USING (source_id) WHERE s.name IN ('own_tables', 'own_tables returns') GROUP BY 1) AS l
	JOIN agentcrm.client c USING (client_id)), 'c1 90, c2 80, c3 80, c4 80', 'returns in own tables: both sources'' lines are their clients''');
UPDATE returns SET accepted = NOT accepted WHERE id IN (3, 4);
INSERT INTO returns VALUES (5, 5, 2, '2024-03-01', true);
INSERT INTO return_lines VALUES (5, 5, 2, 2, 20), (6, 1, 2, 1, 10);
UPDATE return_lines SET amount = 9.5 WHERE id = 2;
DELETE FROM orders WHERE id = 2;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('own_tables') || '; ' || pg_temp.ledger('own_tables returns') || '; ' || pg_temp.returned('own_tables returns'), '4 11 22 330; 2 3 4 -50; 3 4 -50', 'returns in own tables: two sources followed, with a cascade');
SELECT is(pg_temp.ledger('own_tables at once') || '; ' || pg_temp.returned('own_tables at once'), '4 11 26 280; 3 4 -50', 'returns in own tables: one source followed, too');

-- base currency by the order's own rate
CREATE SCHEMA rated AUTHORIZATION :app;
SET ROLE :app;
SET search_path = rated, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date, currency char(3), exchange_rate numeric);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o, CASE WHEN o % 3 = 0 THEN 'USD' ELSE 'EUR' END, CASE WHEN o % 3 = 0 THEN 0.5 ELSE 1 END FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('rated'), 'amount', 'base currency by the order''s rate: attached by the hint''s call');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('rated'), '4 12 24 300', 'base currency by the order''s rate: loaded');
UPDATE orders SET exchange_rate = 0.6 WHERE id = 3;
UPDATE orders SET currency = 'USD', exchange_rate = 0.5 WHERE id = 1;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('rated'), '4 12 24 288', 'base currency by the order''s rate: a changed rate reads its order again');

-- base currency by a table of rates per month: a changed rate reads the orders it touches, and no others
CREATE SCHEMA rates AUTHORIZATION :app;
SET ROLE :app;
SET search_path = rates, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, ordered_on date, currency text);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product text, quantity int, amount numeric);
CREATE TABLE rate (currency text, month date, rate numeric, PRIMARY KEY (currency, month));
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + 10 * o, CASE WHEN o % 3 = 0 THEN 'USD' ELSE 'EUR' END FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 'p' || k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
INSERT INTO rate SELECT c, '2024-01-01'::date + m * interval '1 month', CASE c WHEN 'EUR' THEN 1 ELSE 0.5 END FROM unnest('{EUR,USD}'::text[]) c, generate_series(0, 5) m;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('rates', orders => 'orders', lines => 'order_lines', clients => 'customers', product => 'l.product', at => 'o.ordered_on', quantity => 'l.quantity',
	amount => $$l.amount * (SELECT r.rate FROM rate r WHERE r.currency = o.currency AND r.month = date_trunc('month', o.ordered_on))$$,
	watch => $${"rate": {"key": ["currency", "month"], "orders": "SELECT o.id FROM orders o JOIN unnest($1, $2) AS k (currency, month) ON o.currency = k.currency AND date_trunc('month', o.ordered_on) = k.month"}}$$) \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('rates'), '4 12 24 300', 'base currency by a table of rates: loaded');
SELECT agentcrm.clock() AS before \gset
UPDATE rate SET rate = 0.6 WHERE currency = 'USD' AND month = '2024-03-01';
CALL agentcrm.run();
SELECT is(pg_temp.ledger('rates'), '4 12 24 306', 'base currency by a table of rates: a changed rate counts at once');
SELECT is((SELECT string_agg(DISTINCT r.order_key, ' ') FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) JOIN agentcrm.order_ref r USING (source_id, order_id) WHERE s.name = 'rates' AND l.recorded_at > :'before'),
	'6 9', 'in the orders it touches, and no others');
UPDATE orders SET ordered_on = '2024-03-15' WHERE id = 3;
UPDATE orders SET currency = 'USD' WHERE id = 1;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('rates'), '4 12 24 294', 'base currency by a table of rates: followed');

SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify() over all of them');
SELECT is_empty($$SELECT s.name FROM agentcrm.source s WHERE s.state <> 'shadow'$$, 'no source was set aside');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app CASCADE;
DROP ROLE :app;
