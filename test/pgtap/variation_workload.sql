-- More than ten thousand random writes of every kind, over tables that have many peculiarities at once: partitioned headers and lines
-- (one partition divided again), cascades, lines in versions, cancelled quantities, units with ratios, rates, drafts, soft
-- delete, returns as documents of their own, branches that roll up to their head office. SEED=n repeats a run.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\i test/pgtap/include/variation.sql
SELECT plan(12);
\getenv seed SEED
\if :{?seed}
\else
SELECT floor(extract(epoch FROM clock_timestamp()))::bigint % 1000000000 AS seed \gset
\endif
SELECT diag('workload: SEED=' || :seed);
CREATE SCHEMA busy AUTHORIZATION :app;
SET ROLE :app;
SET search_path = busy, public;
CREATE TABLE clients (id int PRIMARY KEY, name text, parent_id int REFERENCES clients ON UPDATE CASCADE ON DELETE SET NULL, head_id int REFERENCES clients ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE products (id int PRIMARY KEY, name text, category text);
CREATE TABLE uom (id int PRIMARY KEY, ratio numeric);
CREATE TABLE rate (currency text, month date, rate numeric NOT NULL, PRIMARY KEY (currency, month));
CREATE TABLE orders (id int, day date, client_id int REFERENCES clients ON UPDATE CASCADE, type text DEFAULT 'sale', state text DEFAULT 'sale', currency text DEFAULT 'EUR', deleted boolean DEFAULT false, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY HASH (id);
CREATE TABLE orders_2a PARTITION OF orders_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE orders_2b PARTITION OF orders_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE orders_3 PARTITION OF orders DEFAULT;
CREATE TABLE lines (order_id int, day date, no int, version int, product_id int REFERENCES products, uom_id int REFERENCES uom, qty int NOT NULL, cancelled int, price numeric(10,2) NOT NULL, PRIMARY KEY (order_id, day, no, version),
	FOREIGN KEY (order_id, day) REFERENCES orders ON UPDATE CASCADE ON DELETE CASCADE) PARTITION BY RANGE (day);
CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE lines_2 (price numeric(10,2) NOT NULL, gone int, order_id int NOT NULL, day date NOT NULL, no int NOT NULL, version int NOT NULL, product_id int, uom_id int, cancelled int, qty int NOT NULL);
ALTER TABLE lines_2 DROP gone;
ALTER TABLE lines ATTACH PARTITION lines_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE lines_3 PARTITION OF lines DEFAULT;
CREATE INDEX ON orders (client_id);
CREATE INDEX ON lines (uom_id);
INSERT INTO clients SELECT g, 'client ' || g, CASE WHEN g % 3 = 0 THEN g / 3 END, CASE WHEN g % 4 = 0 THEN g / 4 END FROM generate_series(1, 60) g;
INSERT INTO products SELECT g, 'product ' || g, 'c' || g % 5 FROM generate_series(1, 20) g;
INSERT INTO uom VALUES (1, 1), (2, 12), (3, 0.25);
INSERT INTO rate SELECT c, m, r FROM (VALUES ('EUR', 1.0), ('USD', 0.9), ('CHF', 1.05)) AS v(c, r), generate_series('2024-01-01'::date, '2024-12-01', interval '1 month') m;
INSERT INTO orders SELECT g, '2024-01-01'::date + g % 100, 1 + g % 60 FROM generate_series(1, 600) g;
INSERT INTO lines SELECT o.id, o.day, k, 1, 1 + (o.id * k) % 20, 1 + k % 3, k, 0, 1.25 * k FROM orders o, generate_series(1, 2) k;
RESET ROLE;
SELECT count(*) FROM agentcrm.attach('busy', orders => 'orders', lines => 'lines', clients => 'clients', products => 'products', at => 'o.day',
	quantity => $$CASE o.type WHEN 'return' THEN -1 ELSE 1 END * (l.qty - coalesce(l.cancelled, 0)) * (SELECT u.ratio FROM uom u WHERE u.id = l.uom_id)$$,
	amount => $$CASE o.type WHEN 'return' THEN -1 ELSE 1 END * (l.qty - coalesce(l.cancelled, 0)) * l.price * coalesce((SELECT r.rate FROM rate r WHERE r.currency = o.currency AND r.month = date_trunc('month', o.day)), 1)$$,
	kind => 'o.type', is_sale => $$o.state <> 'draft' AND NOT o.deleted$$, line_key => 'ROW(l.no, l.version)',
	line_ok => 'l.version = (SELECT max(v.version) FROM lines v WHERE (v.order_id, v.day, v.no) = (l.order_id, l.day, l.no)) AND l.qty <> coalesce(l.cancelled, 0)',
	client_link => 'o.client_id', client => 'coalesce(c.head_id, c.id)', client_name => 'c.name', client_parent => 'c.parent_id', product_name => 'p.name', category => 'p.category',
	watch => $${"uom": {"key": "id", "orders": "SELECT l.order_id, l.day FROM lines l WHERE l.uom_id = ANY ($1)"},
		"rate": {"key": ["currency", "month"], "orders": "SELECT o.id, o.day FROM orders o JOIN unnest($1, $2) AS k (currency, month) ON o.currency = k.currency AND date_trunc('month', o.day) = k.month"}}$$) \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.wrong('busy'), '', 'loaded');

-- One random write each: {o} {l} {x} stand for an order, a line of it, another order, {c} {b} for two clients, {p} for a product, {d} for a day,
-- {n} {m} for small numbers, the same throughout a write.
CREATE TABLE writes (kind text PRIMARY KEY, weight int, sql text, done bigint DEFAULT 0, rows bigint DEFAULT 0);
INSERT INTO writes VALUES
	('new order', 12, $$WITH o AS (INSERT INTO orders SELECT 1 + max(id), {d}, {c}, CASE WHEN {n} = 1 THEN 'return' ELSE 'sale' END, CASE WHEN {m} < 3 THEN 'draft' ELSE 'sale' END, (ARRAY['EUR', 'USD', 'CHF'])[1 + {p} % 3] FROM orders RETURNING *)
		INSERT INTO lines SELECT o.id, o.day, k, 1, 1 + ({p} + k) % 20, 1 + k % 3, {m}, 0, {n} * 1.1 FROM o, generate_series(1, 1 + {c} % 4) k$$),
	('new order, straight into partitions', 6, $$INSERT INTO orders_1 SELECT 1 + max(id), '2024-01-15', {c} FROM orders; INSERT INTO lines_1 SELECT max(id), '2024-01-15', 1, 1, {p}, 2, {n}, NULL, 3.3 FROM orders$$),
	('late line', 8, $$INSERT INTO lines SELECT id, day, (SELECT 1 + coalesce(max(no), 0) FROM lines WHERE order_id = {o}), 1, {p}, 1, {n}, 0, 2.5 FROM orders WHERE id = {o}$$),
	('line into a partition', 5, $$INSERT INTO lines_2 (order_id, day, no, version, product_id, uom_id, qty, price) SELECT id, day, 10 + {n}, 1, {p}, 1, {n}, 7.7 FROM orders_2 WHERE id >= {o} LIMIT 1$$),
	('new version', 8, $$INSERT INTO lines SELECT order_id, day, no, version + 1, product_id, uom_id, {n}, 0, price FROM lines WHERE (order_id, no) = ({o}, {l}) ORDER BY version DESC LIMIT 1$$),
	('version taken back', 3, $$DELETE FROM lines WHERE order_id = {o} AND version > 1$$),
	('line changed', 10, $$UPDATE lines SET qty = {n}, price = price + 0.01 WHERE (order_id, no) = ({o}, {l})$$),
	('line of a partition changed', 5, $$UPDATE lines_2 SET qty = qty + 1, product_id = {p} WHERE order_id BETWEEN {o} AND {o} + 2$$),
	('cancelled', 6, $$UPDATE lines SET cancelled = CASE WHEN {n} < 4 THEN qty ELSE {n} - 4 END WHERE (order_id, no) = ({o}, {l})$$),
	('other unit', 3, $$UPDATE lines SET uom_id = 1 + {n} % 3 WHERE order_id = {o}$$),
	('line gone', 5, $$DELETE FROM lines WHERE (order_id, no) = ({o}, {l})$$),
	('line of a partition gone', 3, $$DELETE FROM lines_1 WHERE order_id BETWEEN {o} AND {o} + 1 AND no = {l}$$),
	('order gone, cascading', 4, $$DELETE FROM orders WHERE id = {o}$$),
	('order of a partition gone', 2, $$DELETE FROM orders_2b WHERE id BETWEEN {o} AND {o} + 3$$),
	('draft to sale, or back', 6, $$UPDATE orders SET state = CASE state WHEN 'draft' THEN 'sale' ELSE 'draft' END WHERE id BETWEEN {o} AND {o} + 1$$),
	('deleted softly, or back', 4, $$UPDATE orders SET deleted = NOT deleted WHERE id = {o}$$),
	('return or sale', 2, $$UPDATE orders_3 SET type = CASE type WHEN 'sale' THEN 'return' ELSE 'sale' END WHERE id BETWEEN {o} AND {o} + 2$$),
	('order to another client', 6, $$UPDATE orders SET client_id = {c} WHERE id BETWEEN {o} AND {o} + 1$$),
	('order to another day, and partition', 4, $$UPDATE orders SET day = {d} WHERE id = {o}$$),
	('order''s key', 4, $$UPDATE orders SET id = CASE WHEN {n} < 5 THEN {x} ELSE (SELECT 1 + max(id) FROM orders) END WHERE id = {o}$$),
	('line to another order', 3, $$UPDATE lines SET (order_id, day) = (SELECT id, day FROM orders WHERE id = {x} ORDER BY day LIMIT 1), no = 20 + {n} WHERE (order_id, no) = ({o}, {l}) AND EXISTS (SELECT FROM orders WHERE id = {x})$$),
	('upsert', 5, $$INSERT INTO lines SELECT id, day, k, 1, {p}, 1, {n}, 0, 4.4 FROM orders, generate_series(1, 3) k WHERE id = {o} ON CONFLICT (order_id, day, no, version) DO UPDATE SET qty = excluded.qty, product_id = excluded.product_id$$),
	('MERGE', 5, $$MERGE INTO lines l USING (SELECT id, day, k, {n} + k AS q FROM orders, generate_series(1, 4) k WHERE id = {o}) AS v ON (l.order_id, l.day, l.no, l.version) = (v.id, v.day, v.k, 1)
		WHEN MATCHED AND v.q > 8 THEN DELETE WHEN MATCHED THEN UPDATE SET qty = v.q WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.day, v.k, 1, {p}, 1, v.q, 0, 5.5)$$),
	('MERGE into a partition', 3, $$MERGE INTO lines_1 l USING (SELECT id, day, {n} AS q FROM orders_1 WHERE id BETWEEN {o} AND {o} + 4) AS v ON (l.order_id, l.day, l.no, l.version) = (v.id, v.day, 1, 1)
		WHEN MATCHED AND v.q > 7 THEN DELETE WHEN MATCHED THEN UPDATE SET qty = v.q WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.day, 1, 1, {p}, 1, v.q, 0, 5.5)$$),
	('MERGE of orders', 2, $$MERGE INTO orders o USING (SELECT {o} AS id, {d} AS day UNION SELECT {o} + 5000, {d}) AS v ON o.id = v.id WHEN MATCHED AND {n} > 7 THEN DELETE WHEN MATCHED THEN UPDATE SET state = 'sale', client_id = {c} WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.day, {c})$$),
	('writing CTE', 2, $$WITH gone AS (DELETE FROM lines WHERE order_id = {o} AND version = 1 RETURNING *) INSERT INTO lines SELECT order_id, day, no + 100, 1, product_id, uom_id, qty, cancelled, price FROM gone$$),
	('client to another head office', 3, $$UPDATE clients SET head_id = CASE WHEN {n} > 3 THEN {b} END WHERE id = {c}$$),
	('client to another parent', 3, $$UPDATE clients c SET parent_id = (SELECT max(x.id) FROM clients x WHERE x.id < c.id AND x.id <= {b}) WHERE id = {c}$$),
	('client''s key, cascading', 2, $$UPDATE clients SET id = 100 + (SELECT max(id) FROM clients) WHERE id = {c}$$),
	('new client', 2, $$INSERT INTO clients SELECT min(g), 'new' FROM generate_series(1, 60) g WHERE g NOT IN (SELECT id FROM clients) HAVING min(g) IS NOT NULL$$),
	('client gone', 1, $$DELETE FROM clients c WHERE id > 60 AND NOT EXISTS (SELECT FROM orders o WHERE o.client_id = c.id)$$),
	('product renamed', 1, $$UPDATE products SET name = name || '*', category = 'c' || {n} WHERE id = {p}$$),
	('rate', 1, $$UPDATE rate SET rate = 0.5 + {n} * 0.1 WHERE currency = 'CHF' AND month = date_trunc('month', {d})$$),
	('rate gone, or back', 1, $$MERGE INTO rate r USING (SELECT 'USD' AS currency, date_trunc('month', {d})::date AS month) AS v ON r.currency = v.currency AND r.month = v.month WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.currency, v.month, 0.8)$$),
	('ratio', 1, $$UPDATE uom SET ratio = {n} * 0.5 WHERE id = 3$$),
	('TRUNCATE of a partition', 0, $$TRUNCATE lines_1$$);
GRANT ALL ON writes TO :app;
CREATE FUNCTION draw(most int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT (1 + floor(random() * most))::text $$;
-- Transactions of up to eight writes, each in a savepoint of its own; some savepoints and some transactions are rolled back.
CREATE PROCEDURE work(n int, truncates boolean) LANGUAGE plpgsql AS $$
DECLARE
	w writes;
	seen bigint;
	statement text;
	counts jsonb := '{}';
	this jsonb;
	in_transaction int := 0;
	most int := 4;
	kinds writes[] := ARRAY(SELECT c FROM writes c, generate_series(1, weight) ORDER BY c.kind COLLATE "C");	-- each as often as it weighs
	o int;
	l int;
	k text;
BEGIN
	FOR i IN 1..n LOOP
		w := kinds[draw(cardinality(kinds))::int];
		IF truncates AND i % 300 = 150 THEN
			SELECT * INTO w FROM writes WHERE kind = 'TRUNCATE of a partition';
		END IF;
		SELECT order_id, no INTO o, l FROM lines OFFSET floor(random() * 700) LIMIT 1;
		w.sql := replace(replace(replace(replace(replace(replace(replace(replace(w.sql, '{o}', o::text), '{l}', l::text), '{c}', draw(60)), '{b}', draw(60)), '{p}', draw(20)), '{n}', draw(9)), '{m}', draw(9)),
			'{d}', quote_literal('2024-01-01'::date + draw(100)::int) || '::date');
		IF w.sql LIKE '%{x}%' THEN
			w.sql := replace(w.sql, '{x}', (SELECT coalesce(min(id), 1)::text FROM orders WHERE id >= (SELECT draw(900)::int)));
		END IF;
		this := '{}';
		BEGIN
			FOREACH statement IN ARRAY string_to_array(w.sql, '; ') LOOP
				EXECUTE statement;
				GET DIAGNOSTICS seen = ROW_COUNT;
			END LOOP;
			this := jsonb_build_object(w.kind, (seen > 0 OR w.weight = 0)::int, w.kind || ' rows', seen, 'without effect', (seen = 0 AND w.weight > 0)::int);
			IF random() < 0.05 THEN
				RAISE EXCEPTION SQLSTATE 'UNDO1';
			END IF;
		EXCEPTION
			WHEN SQLSTATE 'UNDO1' THEN
				this := '{"savepoint undone": 1}';
			WHEN unique_violation OR foreign_key_violation OR not_null_violation OR cardinality_violation THEN
				this := '{"failed": 1}';
		END;
		FOR k IN SELECT jsonb_object_keys(this) LOOP
			counts := counts || jsonb_build_object(k, coalesce((counts ->> k)::bigint, 0) + (this ->> k)::bigint);
		END LOOP;
		in_transaction := in_transaction + 1;
		IF in_transaction >= most THEN
			in_transaction := 0;
			most := 1 + floor(random() * 8);
			IF random() < 0.04 THEN
				ROLLBACK;
				counts := counts || jsonb_build_object('transaction undone', coalesce((counts ->> 'transaction undone')::bigint, 0) + 1);
			ELSE
				COMMIT;
			END IF;
		END IF;
	END LOOP;
	COMMIT;
	INSERT INTO writes (kind, weight) SELECT c, 0 FROM unnest('{failed,without effect,savepoint undone,transaction undone}'::text[]) c ON CONFLICT DO NOTHING;
	UPDATE writes SET done = done + coalesce((counts ->> kind)::bigint, 0), rows = rows + coalesce((counts ->> (kind || ' rows'))::bigint, 0);
END $$;
SELECT setseed(:seed / 1000000000.0) \g /dev/null
-- TRUNCATE has everything read again, which would hide what was missed: in the last part only.
SELECT max(load_no) AS loads FROM agentcrm.source_load \gset
SELECT unnest(ARRAY[format('CALL work(1600, %L)', g = 8), 'CALL agentcrm.run()', format($$SELECT is(pg_temp.wrong('busy'), '', '%s writes, and nothing differs')$$, 1600 * g), CASE g WHEN 7 THEN format($$SELECT is((SELECT max(load_no) FROM agentcrm.source_load), %s::bigint, 'without reading anything again')$$, :loads) END]) FROM generate_series(1, 8) g \gexec
SELECT diag(string_agg(format('%s %s (%s rows)', kind, done, rows), ', ' ORDER BY kind)) FROM writes;
SELECT is_empty('SELECT kind FROM writes WHERE done = 0', 'each kind of write was done');
SELECT cmp_ok((SELECT sum(done) FROM writes WHERE sql IS NOT NULL), '>=', 10000::numeric, 'ten thousand writes with an effect');
SELECT * FROM finish();
SET client_min_messages = error;
DROP OWNED BY :app CASCADE;
DROP ROLE :app;
