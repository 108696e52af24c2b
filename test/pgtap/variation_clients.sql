-- Whose order it is: each way in which applications say it in a schema of its own, attached by the name alone where propose
-- can know it, loaded, changed, and followed. Where nothing else is said: 12 orders with lines of 10 and 20.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT plan(27);
-- clients of a source with orders: key and amount
CREATE FUNCTION pg_temp.clients(name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(client_key || ' ' || amount, ', ' ORDER BY client_key COLLATE "C") FROM (
		SELECT c.client_key, trim_scale(sum(l.amount)) AS amount FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) JOIN agentcrm.client c USING (client_id) WHERE s.name = $1 GROUP BY 1) AS q $$;

-- guests by e-mail beside registered clients: one address, one client, however it is written
CREATE SCHEMA guests AUTHORIZATION :app;
SET ROLE :app;
SET search_path = guests, public;
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, email text, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 2) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, CASE WHEN o % 3 <> 0 THEN o % 3 END, CASE WHEN o % 3 = 0 THEN (ARRAY['ann@shop.example', 'Ann@Shop.Example'])[1 + o % 2] ELSE 'c@shop.example' END, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('guests'), 'client', 'guests by e-mail: attached by the hint''s call');
SELECT count(*) FROM agentcrm.attach('guests left out', schemas => '{guests}', client => 'o.customer_id') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('guests') || '; ' || pg_temp.clients('guests'), '3 12 24 360; 1 120, 2 120, ann@shop.example 120', 'guests by e-mail: a client by address');
SELECT is(pg_temp.ledger('guests left out'), '2 8 16 240', 'guests left out, by the other answer');
INSERT INTO orders VALUES (13, NULL, 'BOB@shop.example', '2024-02-01');
INSERT INTO order_lines VALUES (99, 13, 1, 5, 12.5);
UPDATE orders SET email = 'bob@shop.example' WHERE id = 3;
UPDATE orders SET customer_id = 2 WHERE id = 6;
UPDATE orders SET customer_id = NULL, email = NULL WHERE id = 1;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('guests') || '; ' || pg_temp.clients('guests'), '4 12 23 342.5; 1 90, 2 150, ann@shop.example 60, bob@shop.example 42.5', 'guests by e-mail: followed; who is nobody is not counted');
SELECT is(pg_temp.ledger('guests left out'), '2 8 16 240', 'guests left out: followed');

-- e-mail alone, no table of clients
CREATE SCHEMA addresses AUTHORIZATION :app;
SET ROLE :app;
SET search_path = addresses, public;
CREATE TABLE orders (id int PRIMARY KEY, email text NOT NULL, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, sku text, quantity int, amount numeric);
INSERT INTO orders SELECT o, CASE WHEN o % 2 = 0 THEN 'A' ELSE 'a' END || (o % 4) / 2 || '@x.example', '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 'S' || k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('addresses'), 'nothing', 'e-mail alone: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('addresses') || '; ' || pg_temp.clients('addresses'), '2 12 24 360; a0@x.example 180, a1@x.example 180', 'e-mail alone: loaded');
UPDATE orders SET email = 'A1@X.example' WHERE id = 4;
UPDATE orders SET email = upper(email) WHERE id > 8;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('addresses') || '; ' || pg_temp.clients('addresses'), '2 12 24 360; a0@x.example 150, a1@x.example 210', 'e-mail alone: followed');

-- the client by a table of roles; a changed role scores again
CREATE SCHEMA roles AUTHORIZATION :app;
SET ROLE :app;
SET search_path = roles, public;
CREATE TABLE party (party_id text PRIMARY KEY, name text);
CREATE TABLE product (product_id text PRIMARY KEY, product_name text);
CREATE TABLE order_header (order_id text PRIMARY KEY, order_date timestamptz, status_id text);
CREATE TABLE order_item (order_id text REFERENCES order_header ON DELETE CASCADE, order_item_seq_id text, product_id text REFERENCES product, quantity numeric, unit_price numeric, PRIMARY KEY (order_id, order_item_seq_id));
CREATE TABLE order_role (order_id text REFERENCES order_header ON DELETE CASCADE, party_id text REFERENCES party, role_type_id text, PRIMARY KEY (order_id, party_id, role_type_id));
INSERT INTO party SELECT 'P' || c, 'party ' || c FROM generate_series(1, 5) c;
INSERT INTO product SELECT 'G' || p, 'p' FROM generate_series(1, 3) p;
INSERT INTO order_header SELECT 'O' || o, '2024-01-01'::timestamptz + o * interval '1 day', 'ORDER_COMPLETED' FROM generate_series(1, 12) o;
INSERT INTO order_item SELECT 'O' || o, '0000' || k, 'G' || k, k, 10 FROM generate_series(1, 12) o, generate_series(1, 2) k;
INSERT INTO order_role SELECT 'O' || o, 'P' || 1 + o % 4, 'BILL_TO_CUSTOMER' FROM generate_series(1, 12) o;
INSERT INTO order_role SELECT 'O' || o, 'P5', 'BILL_FROM_VENDOR' FROM generate_series(1, 12) o;
RESET ROLE;
SELECT is(pg_temp.take('roles'), 'nothing', 'client by a table of roles: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('roles') || '; ' || pg_temp.clients('roles'), '4 12 24 360; P1 90, P2 90, P3 90, P4 90', 'client by a table of roles: the one who pays');
UPDATE order_role SET party_id = 'P3' WHERE order_id = 'O1' AND role_type_id = 'BILL_TO_CUSTOMER';
DELETE FROM order_role WHERE order_id = 'O2' AND role_type_id = 'BILL_TO_CUSTOMER';
INSERT INTO order_header VALUES ('O13', '2024-02-01', 'ORDER_COMPLETED');
INSERT INTO order_item VALUES ('O13', '00001', 'G1', 5, 2.5);
CALL agentcrm.run();
SELECT is(pg_temp.ledger('roles') || '; ' || pg_temp.clients('roles'), '4 11 22 330; P1 90, P2 60, P3 90, P4 90', 'a changed role moves its order; one without the role is nobody''s');
INSERT INTO order_role VALUES ('O13', 'P1', 'BILL_TO_CUSTOMER');
UPDATE order_role SET role_type_id = 'BILL_TO_CUSTOMER' WHERE order_id = 'O2';
CALL agentcrm.run();
SELECT is(pg_temp.ledger('roles') || '; ' || pg_temp.clients('roles'), '5 13 25 372.5; P1 102.5, P2 60, P3 90, P4 90, P5 30', 'until a role comes');

-- branches that name their head office roll up to it
CREATE SCHEMA branches AUTHORIZATION :app;
SET ROLE :app;
SET search_path = branches, public;
CREATE TABLE customers (id int PRIMARY KEY, name text, parent_id int REFERENCES customers, head_office_id int REFERENCES customers);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers VALUES (1, 'head', NULL, NULL), (2, 'branch', 1, 1), (3, 'branch of the branch', 2, 1), (4, 'alone', NULL, NULL);
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('branches'), 'nothing', 'branches: attached by its name');
CALL agentcrm.run();
SELECT is(pg_temp.ledger('branches') || '; ' || pg_temp.clients('branches'), '2 12 24 360; 1 270, 4 90', 'branches: their head office orders');
SELECT is((SELECT string_agg(c.client_key || ' ' || p.client_key || ' ' || r.client_key, ', ' ORDER BY c.client_key) FROM agentcrm.client c JOIN agentcrm.source s USING (namespace) JOIN agentcrm.client p ON p.client_id = c.parent_client_id
	JOIN agentcrm.client r ON r.client_id = c.root_client_id WHERE s.name = 'branches'), '2 1 1, 3 2 1', 'branches: each with its parent and its root');
UPDATE customers SET head_office_id = 4, parent_id = 4 WHERE id = 2;
UPDATE customers SET head_office_id = 4 WHERE id = 3;
UPDATE orders SET customer_id = 1 WHERE id = 1;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('branches') || '; ' || pg_temp.clients('branches'), '2 12 24 360; 1 120, 4 240', 'branches: sold, their orders go along');
SELECT is((SELECT string_agg(c.client_key || ' ' || r.client_key, ', ' ORDER BY c.client_key) FROM agentcrm.client c JOIN agentcrm.source s USING (namespace) JOIN agentcrm.client r ON r.client_id = c.root_client_id WHERE s.name = 'branches'),
	'1 1, 2 4, 3 4, 4 4', 'branches: and their roots');

-- parents of any depth: the root is looked up, and a re-parented company takes all below it along
CREATE SCHEMA pyramids AUTHORIZATION :app;
SET ROLE :app;
SET search_path = pyramids, public;
CREATE TABLE company (id int PRIMARY KEY, name text, parent_id int REFERENCES company);
CREATE TABLE orders (id int PRIMARY KEY, company_id int REFERENCES company, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product text, quantity int, amount numeric);
INSERT INTO company VALUES (1, 'a', NULL), (2, 'a.b', 1), (3, 'a.b.c', 2), (4, 'a.b.c.d', 3), (5, 'e', NULL);
INSERT INTO orders SELECT o, 1 + o % 5, '2024-01-01'::date + o FROM generate_series(1, 15) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 'p' || k, k, 10 * k FROM generate_series(1, 15) o, generate_series(1, 2) k;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('pyramids', orders => 'orders', lines => 'order_lines', clients => 'company', client_link => 'o.company_id', client_name => 'c.name', client_parent => 'c.parent_id',
	client => $$(WITH RECURSIVE up AS (SELECT x.id, x.parent_id FROM company x WHERE x.id = o.company_id UNION SELECT x.id, x.parent_id FROM up JOIN company x ON x.id = up.parent_id) SELECT up.id FROM up WHERE up.parent_id IS NULL)$$,
	product => 'l.product', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount',
	watch => '{"company": {"key": "id", "orders": "WITH RECURSIVE down AS (SELECT unnest($1) AS id UNION SELECT x.id FROM down JOIN company x ON x.parent_id = down.id) SELECT o.id FROM down JOIN orders o ON o.company_id = down.id"}}') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('pyramids') || '; ' || pg_temp.clients('pyramids'), '2 15 30 450; 1 360, 5 90', 'parents of any depth: loaded');
UPDATE company SET parent_id = 5 WHERE id = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('pyramids') || '; ' || pg_temp.clients('pyramids'), '2 15 30 450; 1 180, 5 270', 'parents of any depth: a re-parented company takes those below along');
SELECT is((SELECT string_agg(c.client_key || ' ' || r.client_key, ', ' ORDER BY c.client_key) FROM agentcrm.client c JOIN agentcrm.source s USING (namespace) JOIN agentcrm.client r ON r.client_id = c.root_client_id WHERE s.name = 'pyramids'),
	'1 1, 2 1, 3 5, 4 5, 5 5', 'parents of any depth: their roots, too');
UPDATE company SET parent_id = NULL WHERE id = 4;
DELETE FROM orders WHERE id = 1;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('pyramids') || '; ' || pg_temp.clients('pyramids'), '3 14 28 420; 1 150, 4 90, 5 180', 'parents of any depth: and one that becomes its own root');

-- a tenant column: the orders of one tenant, by the alternative of the hint; an order that changes hands
CREATE SCHEMA tenants AUTHORIZATION :app;
SET ROLE :app;
SET search_path = tenants, public;
CREATE TABLE customers (id int PRIMARY KEY, tenant_id int, name text);
CREATE TABLE products (id int PRIMARY KEY, tenant_id int, name text);
CREATE TABLE orders (id int PRIMARY KEY, tenant_id int, customer_id int REFERENCES customers, order_date date);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, product_id int REFERENCES products, quantity int, amount numeric);
INSERT INTO customers SELECT c, 1 + c % 2, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 1, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + (1 + o % 4) % 2, 1 + o % 4, '2024-01-01'::date + o FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, 1 + (o + k) % 3, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
SELECT is(pg_temp.take('tenants'), 'is_sale', 'tenants: attached by the hint''s call');
SELECT is((SELECT min(alternatives::text) FROM agentcrm.propose_questions('{tenants}') WHERE question ~ '^whose'), '{"o.tenant_id = 1","o.tenant_id = 2"}', 'tenants: each is an alternative');
SELECT count(*) FROM agentcrm.attach('one tenant', schemas => '{tenants}', is_sale => 'o.tenant_id = 1') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.ledger('tenants') || '; ' || pg_temp.ledger('one tenant'), '4 12 24 360; 2 6 12 180', 'tenants: all of them, or one');
UPDATE orders SET tenant_id = 1, customer_id = 2 WHERE id = 2;
UPDATE orders SET tenant_id = 2 WHERE id = 1;
UPDATE order_lines SET amount = amount + 1 WHERE order_id = 3;
CALL agentcrm.run();
SELECT is(pg_temp.ledger('tenants') || '; ' || pg_temp.ledger('one tenant'), '4 12 24 362; 2 6 12 182', 'tenants: followed, also from one to the other');

SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify() over all of them');
SELECT is_empty($$SELECT s.name FROM agentcrm.source s WHERE s.state <> 'shadow'$$, 'no source was set aside');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app CASCADE;
DROP ROLE :app;
