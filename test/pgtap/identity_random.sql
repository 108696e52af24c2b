-- Random merges, unmerges, renames, re-parentings, deletions and keys given again, mixed with orders: ledger, profiles and
-- history against the application's tables.  ROUNDS and WRITES make it longer, SEED repeats it: psql -v seed=.42
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\if :{?seed} \else
	SELECT round(random()::numeric, 6) AS seed \gset
\endif
\if :{?rounds} \else
	\set rounds 15
\endif
\if :{?writes} \else
	\set writes 200
\endif
SELECT plan(10);
SELECT diag('seed ' || :'seed');
SELECT setseed(:seed) \g /dev/null
SELECT agentcrm.pause() \g /dev/null
SET agentcrm.debug_now = '2026-03-02 12:00+00';

CREATE SCHEMA app;
CREATE TABLE app.client (key text PRIMARY KEY, born int GENERATED ALWAYS AS IDENTITY, replaced_by text REFERENCES app.client ON UPDATE CASCADE ON DELETE SET NULL,
	parent text REFERENCES app.client ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE app.role (order_id int PRIMARY KEY, payer text NOT NULL REFERENCES app.client ON UPDATE CASCADE);
-- orders name their client by a role, lines of a second source themselves: one document may hold several clients, at times of their own
CREATE TABLE app.orders (order_id int PRIMARY KEY, placed date NOT NULL, qty int NOT NULL);
CREATE TABLE app.flat (document int, line int, client text NOT NULL REFERENCES app.client ON UPDATE CASCADE, placed timestamptz NOT NULL, qty int NOT NULL, PRIMARY KEY (document, line));
CREATE INDEX ON app.role (payer);
CREATE INDEX ON app.flat (client);
INSERT INTO app.client (key) SELECT 'k' || i FROM generate_series(1, 60) i;
INSERT INTO app.orders SELECT i, date '2026-03-01' - (random() * 400)::int, 1 + (random() * 9)::int FROM generate_series(1, 400) i;
INSERT INTO app.role SELECT i, 'k' || 1 + (random() * 59)::int FROM generate_series(1, 400) i;
INSERT INTO app.flat SELECT 1 + i / 4, i % 4, 'k' || 1 + (random() * 59)::int, timestamptz '2026-03-01' - random() * interval '400 days', 1 FROM generate_series(1, 400) i;
SELECT count(*) FROM agentcrm.attach('roles', orders => 'app.orders', clients => 'app.client', client => '(SELECT r.payer FROM app.role r WHERE r.order_id = o.order_id)',
	at => 'o.placed', quantity => 'o.qty', amount => 'o.qty * 10', client_replaced_by => 'c.replaced_by', client_parent => 'c.parent', client_name => 'c.born',
	watch => '{"app.role": "order_id"}', time_zone => 'UTC', run_as => current_user) \g /dev/null
CALL agentcrm.run();
SELECT count(*) FROM agentcrm.attach('flat', lines => 'app.flat', order_key => '{document}', line_key => 'l.line', client => 'l.client', product => 'NULL::text', at => 'l.placed', quantity => 'l.qty',
	amount => 'l.qty * 7', namespace => 'roles', time_zone => 'UTC', run_as => current_user) \g /dev/null
CALL agentcrm.run();
SELECT agentcrm.go_live(name) FROM agentcrm.source \g /dev/null
CALL agentcrm.run();

-- each client's history bears the number it was born with
INSERT INTO agentcrm.feedback SELECT client_id, 0, '2026-01-01', 'test', 'shown', born::text FROM app.client JOIN agentcrm.client ON client_key = key;

CREATE FUNCTION pg_temp.any_client() RETURNS text LANGUAGE sql VOLATILE AS $$SELECT key FROM app.client ORDER BY random() LIMIT 1$$;
CREATE SEQUENCE pg_temp.fresh;
CREATE TABLE pg_temp.freed (key text PRIMARY KEY, ready boolean NOT NULL DEFAULT false);
CREATE TEMP TABLE done (what text, n int DEFAULT 1);

CREATE FUNCTION pg_temp.write() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a text := pg_temp.any_client();
	b text := pg_temp.any_client();
	what text := (ARRAY['order', 'order', 'order', 'payer', 'payer', 'qty', 'delete order', 'flat', 'flat', 'flat client', 'flat time', 'delete flat', 'merge', 'merge', 'unmerge', 'rename', 'rename twice',
		'rename back', 'parent', 'no parent', 'empty', 'delete', 'insert', 'again', 'merge and delete'])[1 + floor(random() * 25)];
	new_key text;
	id int;
BEGIN
	CASE what
		WHEN 'order' THEN
			id := (SELECT max(order_id) + 1 FROM app.orders);
			INSERT INTO app.orders VALUES (id, date '2026-03-02' - (random() * random() * 400)::int, 1 + (random() * 9)::int);
			INSERT INTO app.role VALUES (id, a);
		WHEN 'payer' THEN UPDATE app.role SET payer = a WHERE order_id = (SELECT order_id FROM app.role ORDER BY random() LIMIT 1);
		WHEN 'qty' THEN UPDATE app.orders SET qty = qty + 1 WHERE order_id = (SELECT order_id FROM app.role ORDER BY random() LIMIT 1);
		WHEN 'delete order' THEN
			DELETE FROM app.role WHERE order_id = (SELECT order_id FROM app.role ORDER BY random() LIMIT 1) RETURNING order_id INTO id;
			DELETE FROM app.orders WHERE order_id = id;
		WHEN 'flat' THEN INSERT INTO app.flat SELECT 1 + (random() * 100)::int, 10 + nextval('pg_temp.fresh'), a, timestamptz '2026-03-01' - random() * interval '400 days', 1;
		WHEN 'flat client' THEN UPDATE app.flat SET client = a WHERE (document, line) = (SELECT document, line FROM app.flat ORDER BY random() LIMIT 1);
		WHEN 'flat time' THEN UPDATE app.flat SET placed = placed - interval '1 day' WHERE (document, line) = (SELECT document, line FROM app.flat ORDER BY random() LIMIT 1);
		WHEN 'delete flat' THEN DELETE FROM app.flat WHERE (document, line) = (SELECT document, line FROM app.flat ORDER BY random() LIMIT 1);
		WHEN 'merge' THEN UPDATE app.client SET replaced_by = b WHERE key = a;
		WHEN 'unmerge' THEN UPDATE app.client SET replaced_by = NULL WHERE key IN (SELECT key FROM app.client WHERE replaced_by IS NOT NULL ORDER BY random() LIMIT 2);
		WHEN 'rename' THEN
			UPDATE app.client SET key = 'n' || nextval('pg_temp.fresh') WHERE key = a;
			INSERT INTO pg_temp.freed VALUES (a) ON CONFLICT DO NOTHING;
		WHEN 'rename twice' THEN
			new_key := 'n' || nextval('pg_temp.fresh');
			UPDATE app.client SET key = new_key WHERE key = a;
			UPDATE app.client SET key = new_key || 'x' WHERE key = new_key;
		WHEN 'rename back' THEN
			BEGIN
				UPDATE app.client SET key = 'never' WHERE key = a;
				RAISE EXCEPTION 'back';
			EXCEPTION WHEN raise_exception THEN
				UPDATE app.client SET parent = parent WHERE key = a;
			END;
		WHEN 'parent' THEN UPDATE app.client SET parent = b WHERE key = a;
		WHEN 'no parent' THEN UPDATE app.client SET parent = NULL WHERE key = a;
		WHEN 'empty' THEN
			UPDATE app.role SET payer = b WHERE payer = a;
			UPDATE app.flat SET client = b WHERE client = a;
		WHEN 'delete' THEN
			DELETE FROM app.client c WHERE key = (SELECT key FROM app.client c WHERE NOT EXISTS (SELECT FROM app.role WHERE payer = c.key)
				AND NOT EXISTS (SELECT FROM app.flat WHERE client = c.key) ORDER BY random() LIMIT 1) RETURNING key INTO new_key;
			INSERT INTO pg_temp.freed SELECT new_key WHERE new_key IS NOT NULL ON CONFLICT DO NOTHING;
		WHEN 'insert' THEN INSERT INTO app.client (key) VALUES ('i' || nextval('pg_temp.fresh'));
		WHEN 'again' THEN
			DELETE FROM pg_temp.freed WHERE key = (SELECT key FROM pg_temp.freed WHERE ready ORDER BY random() LIMIT 1) RETURNING key INTO new_key;
			INSERT INTO app.client (key) SELECT new_key WHERE new_key IS NOT NULL ON CONFLICT DO NOTHING;
		WHEN 'merge and delete' THEN
			IF a <> b THEN
				UPDATE app.client SET replaced_by = b WHERE key = a;
				UPDATE app.role SET payer = b WHERE payer = a;
				UPDATE app.flat SET client = b WHERE client = a;
				DELETE FROM app.client WHERE key = a;
			END IF;
	END CASE;
	INSERT INTO done (what) VALUES (what);
END $$;

-- rounds of writes in transactions of one to nine
CREATE PROCEDURE pg_temp.churn(n int) LANGUAGE plpgsql AS $$
BEGIN
	WHILE n > 0 LOOP
		FOR i IN 1 .. least(n, 1 + floor(random() * 9)) LOOP
			PERFORM pg_temp.write();
			n := n - 1;
		END LOOP;
		COMMIT;
	END LOOP;
END $$;
SELECT format('CALL pg_temp.churn(%s)', :writes), 'UPDATE pg_temp.freed SET ready = true',
	format('SET agentcrm.debug_now = %L', timestamptz '2026-03-02 12:00+00' + i * interval '1 hour'), 'CALL agentcrm.run()'
FROM generate_series(1, :rounds) i \gexec
-- the rounds may leave nobody merged
UPDATE app.client SET replaced_by = (SELECT max(key) FROM app.client WHERE replaced_by IS NULL) WHERE key = (SELECT min(key) FROM app.client WHERE replaced_by IS NULL);
CALL agentcrm.run();
SELECT diag(string_agg(what || ' ' || n, ', ' ORDER BY what)) FROM (SELECT what, count(*) AS n FROM done GROUP BY 1) AS d;

SELECT is_empty($$SELECT * FROM agentcrm.reconcile_log WHERE reconcile AND missing + changed + surplus > 0$$, 'nothing was mended by a reconcile');
SELECT is_empty($$SELECT place, message FROM agentcrm.error_log$$, 'no step failed');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'state equals recompute');
SELECT is_empty($$SELECT c.* FROM unnest('{roles,flat}'::text[]) s, agentcrm.compare(s) c WHERE difference <> 0$$, 'the ledger holds what the application has');

-- the application's own answer to who counts for whom
CREATE FUNCTION pg_temp.survivor(key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	passed text[] := ARRAY[key];
	following text;
BEGIN
	LOOP
		following := (SELECT replaced_by FROM app.client c WHERE c.key = passed[cardinality(passed)]);
		IF following IS NULL THEN
			RETURN passed[cardinality(passed)];
		ELSIF following = ANY (passed) THEN
			RETURN following;
		END IF;
		passed := passed || following;
	END LOOP;
END $$;
SELECT is_empty($$
	WITH expected AS (SELECT pg_temp.survivor(key) AS key, sum(amount) AS amount FROM (
			SELECT payer AS key, qty * 10 AS amount FROM app.role JOIN app.orders USING (order_id) UNION ALL SELECT client, qty * 7 FROM app.flat) o GROUP BY 1),
		found AS (SELECT client_key AS key, sum(amount) AS amount FROM agentcrm.ledger JOIN agentcrm.client USING (client_id) GROUP BY 1)
	SELECT * FROM expected FULL JOIN found USING (key) WHERE expected.amount IS DISTINCT FROM found.amount$$, 'each amount counts for the survivor');
SELECT is_empty($$SELECT client_id, 'state of a merged client' FROM agentcrm.client_state JOIN agentcrm.client USING (client_id) WHERE survivor_client_id IS NOT NULL
	UNION ALL SELECT client_id, 'no state' FROM app.client a JOIN agentcrm.client ON client_key = key LEFT JOIN agentcrm.client_state s USING (client_id) WHERE survivor_client_id IS NULL AND s.client_id IS NULL$$,
	'who is not merged, and nobody else, has a state');
SELECT is_empty('SELECT c.client_key, a.key FROM agentcrm.feedback f JOIN app.client a ON a.born::text = f.note JOIN agentcrm.client c USING (client_id) WHERE c.client_key <> a.key', 'history is under the key that its client has now');
SELECT is_empty($$SELECT * FROM (SELECT s.*, lag(to_stage) OVER (PARTITION BY client_id ORDER BY at) AS before FROM agentcrm.stage_change s JOIN agentcrm.client c USING (client_id) WHERE at >= first_seen) s
	WHERE from_stage IS DISTINCT FROM before$$, 'and each stage follows from the one before');
SELECT set_eq('SELECT key, pg_temp.survivor(key) AS survivor FROM app.client WHERE pg_temp.survivor(key) <> key',
	'SELECT c.client_key, s.client_key AS survivor FROM agentcrm.client c JOIN agentcrm.client s ON s.client_id = c.survivor_client_id WHERE c.gone_at IS NULL', 'each is merged into whom the application says');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.client WHERE survivor_client_id IS NOT NULL AND gone_at IS NULL), '>', 0, 'some are merged at the end');
SELECT * FROM finish();
