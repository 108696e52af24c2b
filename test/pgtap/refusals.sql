-- Every refusal of attach whose hint holds a call, a statement or an argument: the hint is followed as it stands, and it works.
-- That attach by a name alone does so is also part of each test of a mapping (variation_*.sql).
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT :'app' || '_dba' AS dba, :'app' || '_other' AS other, :'app' || '_all' AS all_rows \gset
CREATE ROLE :dba;
CREATE ROLE :other;
CREATE ROLE :all_rows BYPASSRLS;
GRANT :app TO :dba;
SELECT agentcrm.grant_operator(:'dba') \g /dev/null
SELECT plan(56);
CREATE FUNCTION pg_temp.provoke(call text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	message text := 'no error';
	hint text := '';
BEGIN
	BEGIN
		EXECUTE call;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		message := SQLSTATE || ': ' || message;
	END;
	PERFORM set_config('refusal.message', message, false), set_config('refusal.hint', hint, false);
END $$;
-- What somebody who does just what the hint says would type.
CREATE FUNCTION pg_temp.steps(call text, caller text, hint text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	m text[];
BEGIN
	IF hint ~ '^SELECT agentcrm.detach' THEN
		RETURN string_to_array(substring(hint FROM '^(.*); then attach again'), '; ') || call;
	ELSIF hint ~ '^SELECT ' THEN
		RETURN ARRAY[hint];
	ELSIF hint ~ '^(As its owner: )?(GRANT|ALTER ROLE)' THEN
		RETURN ARRAY['RESET ROLE', regexp_replace(regexp_replace(hint, '^As its owner: ', ''), '(, or .*|\.)$', ''), format('SET ROLE %I', caller), call];
	ELSIF hint ~ 'AS order_key' THEN
		RETURN ARRAY[regexp_replace(call, '[a-z.]+ AS order_key', substring(hint FROM 'ROW.* AS order_key'))];
	ELSIF hint ~ 'NULL AS ' THEN
		RETURN ARRAY[regexp_replace(call, 'SELECT (?=h\.)', format('SELECT %s, ', substring(hint FROM 'NULL AS \w+')))];
	END IF;
	m := regexp_match(hint, $r$(\w+) => '((?:''|[^'])*)'$r$);
	IF m IS NULL THEN
		RETURN NULL;
	ELSIF call ~ format($r$ %s => '$r$, m[1]) THEN
		RETURN ARRAY[regexp_replace(call, format($r$%s => '(?:''|[^'])*'$r$, m[1]), format('%s => ''%s''', m[1], m[2]))];
	END IF;
	RETURN ARRAY[regexp_replace(call, '\)$', format(', %s => ''%s'')', m[1], m[2]))];
END $$;

-- An ordinary shop, and one that leaves much open
CREATE SCHEMA shop AUTHORIZATION :app;
SET ROLE :app;
SET search_path = shop, public;
CREATE TABLE customers (id int PRIMARY KEY, name text, parent_id int REFERENCES customers);
CREATE TABLE products (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, order_date date, created bigint, status text, paid int);
CREATE TABLE order_lines (id int PRIMARY KEY, order_id int REFERENCES orders, product_id int REFERENCES products, quantity int, packs text, amount numeric);
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO products SELECT p, 'p' FROM generate_series(1, 3) p;
INSERT INTO orders SELECT o, 1 + o % 4, '2024-01-01'::date + o, 1700000000 + o, (ARRAY['shipped', 'cancelled'])[1 + o % 2], 1 FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT 2 * o + k, o, k, k, k::text, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
RESET ROLE;
CREATE SCHEMA loose AUTHORIZATION :app;
SET ROLE :app;
SET search_path = loose, public;
CREATE TABLE customers (id int PRIMARY KEY, name text, parent_id int);
CREATE TABLE orders (no int, tenant int, buyer int REFERENCES customers, payer int REFERENCES customers, order_date date, total numeric);
CREATE TABLE order_lines (order_no int, line_no int, sku text, quantity int, amount numeric);
CREATE TABLE pair (tenant int, no int, client int, day date, net numeric, PRIMARY KEY (tenant, no));
INSERT INTO customers SELECT c, 'c' FROM generate_series(1, 4) c;
INSERT INTO orders SELECT o, 1, 1 + o % 4, 1 + o % 3, '2024-01-01'::date + o, 30 FROM generate_series(1, 12) o;
INSERT INTO order_lines SELECT o, k, 'S' || k, k, 10 * k FROM generate_series(1, 12) o, generate_series(1, 2) k;
INSERT INTO pair SELECT 1, o, o, '2024-01-01', 5 FROM generate_series(1, 3) o;
RESET ROLE;
SET search_path = public;

CREATE TABLE refusal (n serial PRIMARY KEY, caller text NOT NULL, call text NOT NULL, message text NOT NULL, setup text);
GRANT SELECT ON refusal TO PUBLIC;
INSERT INTO refusal (caller, call, message, setup)
SELECT CASE v.caller WHEN 'postgres' THEN current_user WHEN 'dba' THEN :'dba' ELSE :'other' END, replace(v.call, 'OTHER', :'other'), v.message, replace(replace(v.setup, 'OTHER', :'other'), 'APP', :'app') FROM (VALUES
	-- 1 to 4: nothing named but a schema: what is open is answered by the call
	(1, 'dba', $$SELECT agentcrm.attach('case', schemas => '{shop}')$$, '^22023: attach: a question is open: which statuses are sales', NULL),
	(2, 'dba', $$SELECT agentcrm.attach('case', schemas => '{cents}')$$, '^22023: attach: a question is open: are amounts cents', $$CREATE SCHEMA cents AUTHORIZATION "APP"; CREATE TABLE cents.customers AS SELECT * FROM shop.customers; CREATE TABLE cents.orders AS SELECT id, customer_id, order_date FROM shop.orders;
		CREATE TABLE cents.order_lines AS SELECT id, order_id, product_id, quantity, (amount * 100)::int AS amount FROM shop.order_lines; ALTER TABLE cents.customers ADD PRIMARY KEY (id); ALTER TABLE cents.orders ADD PRIMARY KEY (id); ALTER TABLE cents.customers OWNER TO "APP"; ALTER TABLE cents.orders OWNER TO "APP"; ALTER TABLE cents.order_lines OWNER TO "APP"$$),
	(3, 'dba', $$SELECT agentcrm.attach('case', schemas => '{gross}')$$, '^22023: attach: a question is open: is the amount net of tax', $$CREATE SCHEMA gross AUTHORIZATION "APP"; CREATE TABLE gross.customers AS SELECT * FROM shop.customers; CREATE TABLE gross.orders AS SELECT id, customer_id, order_date FROM shop.orders;
		CREATE TABLE gross.order_lines AS SELECT id, order_id, product_id, quantity, amount * 1.2 AS total_incl_vat, amount * 0.2 AS vat_amount FROM shop.order_lines; ALTER TABLE gross.customers ADD PRIMARY KEY (id); ALTER TABLE gross.orders ADD PRIMARY KEY (id); ALTER TABLE gross.customers OWNER TO "APP"; ALTER TABLE gross.orders OWNER TO "APP"; ALTER TABLE gross.order_lines OWNER TO "APP"$$),
	(4, 'postgres', $$SELECT agentcrm.attach('case', schemas => '{mine}')$$, '^22023: attach: a question is open: as whom are the tables read', $$CREATE SCHEMA mine; CREATE TABLE mine.customers AS SELECT * FROM shop.customers; CREATE TABLE mine.orders AS SELECT id, customer_id, order_date FROM shop.orders;
		CREATE TABLE mine.order_lines AS SELECT id, order_id, product_id, quantity, amount FROM shop.order_lines; ALTER TABLE mine.customers ADD PRIMARY KEY (id); ALTER TABLE mine.orders ADD PRIMARY KEY (id)$$),
	-- 5: two applications alike
	(5, 'dba', $$SELECT agentcrm.attach('case', schemas => '{cents,gross,shop}', is_sale => 'true', amount => 'l.quantity')$$, '^22023: attach: a question is open: which orders', NULL),
	-- 6 to 13: tables named, and something missing or doubtful
	(6, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders')$$, '^22023: attach: pass at', NULL),
	(7, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', lines => 'shop.order_lines', at => 'o.order_date')$$, '^22023: attach: pass quantity', NULL),
	(8, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', at => 'o.order_date', amount => '30')$$, '^22023: attach: pass quantity', NULL),
	(9, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', lines => 'shop.order_lines', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount')$$, '^22023: attach: pass client', NULL),
	(10, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', lines => 'shop.order_lines', client => 'o.customer_id', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount')$$, '^22023: attach: pass product', NULL),
	(11, 'dba', $$SELECT agentcrm.attach('case', lines => 'loose.order_lines', client => '1', product => 'l.sku', at => 'current_date', quantity => 'l.quantity', amount => 'l.amount')$$, '^42P17: attach: pass order_key', NULL),
	(12, 'dba', $$SELECT agentcrm.attach('case', orders => 'loose.orders', lines => 'loose.order_lines', client => 'o.buyer', product => 'l.sku', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount')$$, '^42P17: attach: cannot tell which column of loose.order_lines names the order', NULL),
	(13, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', client => 'o.customer_id', client_name => 'c.name', at => 'o.order_date', quantity => '1', amount => '30')$$, '^22023: attach: argument client_name needs argument clients', NULL),
	-- 14 and 15: two ways to the client
	(14, 'dba', $$SELECT agentcrm.attach('case', orders => 'loose.orders', order_key => '{no}', clients => 'loose.customers', at => 'o.order_date', quantity => '1', amount => 'o.total')$$, '^42P17: attach: cannot tell which column of loose.orders names the client', NULL),
	(15, 'dba', $$SELECT agentcrm.attach('case', orders => 'loose.orders', order_key => '{no}', clients => 'loose.customers', client => 'coalesce(c.parent_id, c.id)', at => 'o.order_date', quantity => '1', amount => 'o.total')$$, '^42P17: attach: cannot tell which column of loose.orders names the client', NULL),
	-- 16 to 18: expressions of a wrong type
	(16, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', lines => 'shop.order_lines', clients => 'shop.customers', product => 'l.product_id', at => 'o.created', quantity => 'l.quantity', amount => 'l.amount')$$, '^42804: attach: argument at: type bigint', NULL),
	(17, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', lines => 'shop.order_lines', clients => 'shop.customers', product => 'l.product_id', at => 'o.order_date', quantity => 'l.packs', amount => 'l.amount')$$, '^42804: attach: argument quantity: type text', NULL),
	(18, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', lines => 'shop.order_lines', clients => 'shop.customers', product => 'l.product_id', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.amount', is_sale => 'o.paid')$$, '^42804: attach: argument is_sale: type integer', NULL),
	-- 19 to 22: rights
	(19, 'postgres', $$SELECT agentcrm.attach_query('case', $q$SELECT h.id AS order_key, h.customer_id AS client_key, NULL AS line_key, NULL AS product_key, h.order_date AS ordered_at, 1 AS quantity, 30 AS amount FROM mine.orders h WHERE h.id = ANY ($1)$q$, '{mine.orders.id}', '{"mine.orders": "id"}')$$, '^42501: attach: the tables belong to', NULL),
	(20, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', client => 'o.customer_id', at => 'o.order_date', quantity => '1', amount => '30', run_as => 'OTHER')$$, '^42501: attach: argument run_as: you are not a member', $$SELECT agentcrm.grant_operator('OTHER'); GRANT USAGE ON SCHEMA shop TO "OTHER"; GRANT SELECT ON shop.orders TO "OTHER"$$),
	(21, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', client => 'o.customer_id', at => 'o.order_date', quantity => '1', amount => '30', run_as => 'OTHER')$$, '^42501: attach: role .*may not read shop.orders', $$REVOKE SELECT ON shop.orders FROM "OTHER"$$),
	(22, 'dba', $$SELECT agentcrm.attach('case', orders => 'shop.orders', client => 'o.customer_id', at => 'o.order_date', quantity => '1', amount => '30', run_as => 'OTHER')$$, '^42501: attach: role .*may not use schema shop', $$REVOKE USAGE ON SCHEMA shop FROM "OTHER"$$),
	-- 23: a name that is taken
	(23, 'postgres', $$SELECT agentcrm.attach('case', orders => 'shop.orders', client => 'o.customer_id', at => 'o.order_date', quantity => '1', amount => '30')$$, '^42710: attach: source "case 23" exists already', $$SELECT agentcrm.attach('case 23', orders => 'loose.orders', order_key => '{no}', client => 'o.buyer', at => 'o.order_date', quantity => '1', amount => '30')$$),
	-- 24 and 25: the general form
	(24, 'dba', $$SELECT agentcrm.attach_query('case', $q$SELECT h.no AS order_key, h.client AS client_key, NULL AS line_key, NULL AS product_key, h.day AS ordered_at, 1 AS quantity, h.net AS amount FROM loose.pair h JOIN unnest($1, $2) AS k (t, n) ON (h.tenant, h.no) = (k.t, k.n)$q$, '{loose.pair.tenant,loose.pair.no}', '{"loose.pair": ["tenant", "no"]}')$$,
		'^42804: attach: query: order_key is of type integer', NULL),
	(25, 'dba', $$SELECT agentcrm.attach_query('case', $q$SELECT h.id AS order_key, h.customer_id AS client_key, NULL AS product_key, h.order_date AS ordered_at, 1 AS quantity, 30 AS amount FROM shop.orders h WHERE h.id = ANY ($1)$q$, '{shop.orders.id}', '{"shop.orders": "id"}')$$,
		'^42703: attach: query does not give line_key', NULL),
	-- 26 and 27: row-level security, with a role in reach that sees all rows, and without
	(26, 'dba', $$SELECT agentcrm.attach('case', orders => 'loose.orders', order_key => '{no}', client => 'o.buyer', at => 'o.order_date', quantity => '1', amount => '30', run_as => 'OTHER')$$, '^42501: attach: row-level security of loose.orders', $$GRANT "APP_all" TO "APP_dba"; GRANT USAGE ON SCHEMA loose TO "APP_all", "OTHER"; GRANT SELECT ON loose.orders TO "APP_all", "OTHER"; ALTER TABLE loose.orders ENABLE ROW LEVEL SECURITY$$),
	(27, 'dba', $$SELECT agentcrm.attach('case', orders => 'loose.orders', order_key => '{no}', client => 'o.buyer', at => 'o.order_date', quantity => '1', amount => '30', run_as => 'OTHER')$$, '^42501: attach: row-level security of loose.orders', $$REVOKE "APP_all" FROM "APP_dba"$$)
) AS v(i, caller, call, message, setup) ORDER BY v.i;
UPDATE refusal SET call = replace(call, '''case''', format('''case %s''', n));
SELECT format(E'\\set n %s\n\\i test/pgtap/include/followed.sql', n) FROM refusal ORDER BY n \g build/log/refusals.sql
\i build/log/refusals.sql
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify() over all of them');
SELECT is_empty($$SELECT s.name, s.problem FROM agentcrm.source s WHERE s.state <> 'shadow'$$, 'all of them were read');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app, :dba, :other, :all_rows CASCADE;
DROP ROLE :app, :dba, :other, :all_rows;
