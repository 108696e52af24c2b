-- What a DBA may add to agentcrm's own tables, which are written without an executor: indexes of any kind, CHECK and
-- NOT NULL are kept; what only an executor serves stops the worker, which says what to do, and goes on once it was done.
\ir include/begin.sql
CREATE TABLE orders (order_id int PRIMARY KEY, client int, day date, qty int);
INSERT INTO orders SELECT g, 1 + g % 7, '2025-01-01'::date + g, 1 + g % 5 FROM generate_series(1, 70) g;
SET agentcrm.debug_now = '2025-06-01 12:00+00';
SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', client => 'o.client', at => 'o.day', quantity => 'o.qty', amount => 'o.qty', run_as => current_user, time_zone => 'UTC') \g /dev/null
CALL agentcrm.run();
SELECT plan(40);

-- The shapes that the C code knows are those of the install script.
\set shapes `sed -n 's/^\t{"\([a-z_0-9]*\)", \([0-9]*\), \([0-9]*\), STORE_[A-Z]*},/\1 \2 \3/p' src/store_shape.c`
CREATE TEMP TABLE shape AS SELECT m[1] AS name, m[2]::int AS columns, m[3]::int AS checks FROM regexp_matches(:'shapes', '(\w+) (\d+) (\d+)', 'g') m;
SELECT set_eq('SELECT name, columns, checks FROM shape',
	$$SELECT c.relname::text, c.relnatts::int, (SELECT count(*)::int FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')
	FROM pg_class c WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relname IN (SELECT name FROM shape)$$,
	'store_shape.c knows columns and CHECKs of the tables');
SELECT is(agentcrm.obstacle(), NULL, 'obstacle: none');

-- indexes: what is read through each of them is what is in the table
CREATE FUNCTION wday(date) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT extract(isodow FROM $1)::int';
CREATE INDEX ledger_large ON agentcrm.ledger (client_id) WHERE quantity > 3;
CREATE INDEX ledger_wday ON agentcrm.ledger (wday(ordered_on), client_id);
CREATE INDEX ledger_both ON agentcrm.ledger (abs(quantity)) WHERE wday(ordered_on) < 6;
CREATE INDEX ledger_brin ON agentcrm.ledger USING brin (ordered_at);
CREATE INDEX CONCURRENTLY state_rising ON agentcrm.client_state ((upper(stage))) WHERE silence < .5;
CREATE INDEX profile_many ON agentcrm.client_profile ((n_orders * 2)) WHERE n_orders > 5;
CREATE UNIQUE INDEX ledger_one ON agentcrm.ledger (source_id, order_id, coalesce(line_key, ''));
SELECT is(agentcrm.obstacle(), NULL, 'indexes are no obstacle');
INSERT INTO orders SELECT g, 1 + g % 7, '2025-01-01'::date + g, 1 + g % 5 FROM generate_series(71, 140) g;
UPDATE orders SET qty = 6 - qty WHERE order_id % 3 = 0;
DELETE FROM orders WHERE order_id % 10 = 0;
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.ledger), 126, 'all was read');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'rightly');
CREATE FUNCTION through(query text, index text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	uses boolean := false;
	by_index bigint;
	by_table bigint;
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
		uses := uses OR line ~ index;
	END LOOP;
	EXECUTE query INTO by_index;
	SET LOCAL enable_seqscan = on;
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_bitmapscan = off;
	SET LOCAL enable_indexonlyscan = off;
	EXECUTE query INTO by_table;
	RETURN format('%s %s %s', CASE WHEN uses THEN 'used' ELSE 'not used' END, by_index > 0, by_index = by_table);
END $$;
SELECT is(through($$SELECT count(*) FROM agentcrm.ledger WHERE quantity > 3 AND client_id = 2$$, 'ledger_large'), 'used t t', 'partial index');
SELECT is(through($$SELECT count(*) FROM agentcrm.ledger WHERE wday(ordered_on) = 3$$, 'ledger_wday'), 'used t t', 'expression index');
SELECT is(through($$SELECT count(*) FROM agentcrm.ledger WHERE abs(quantity) > 2 AND wday(ordered_on) < 6$$, 'ledger_both'), 'used t t', 'both in one');
SELECT is(through($$SELECT count(*) FROM agentcrm.ledger WHERE ordered_at > '2025-04-01'$$, 'ledger_brin'), 'used t t', 'BRIN index');
SELECT is(through($$SELECT count(*) FROM agentcrm.client_profile WHERE n_orders * 2 > 14 AND n_orders > 5$$, 'profile_many'), 'used t t', 'index on a table of updated rows');
SELECT is((SELECT count(*)::int FROM pg_index WHERE indrelid::regclass::text ~ '^agentcrm' AND NOT indisvalid), 0, 'all are valid');

-- a unique index and a CHECK are kept: the key that breaks them is set aside, with the reason
CREATE UNIQUE INDEX ledger_day ON agentcrm.ledger (client_id, ordered_on) WHERE quantity < 100;
UPDATE orders SET qty = 50, day = '2025-01-02' WHERE order_id IN (8, 15, 22);
ALTER TABLE agentcrm.ledger ADD CONSTRAINT few CHECK (quantity < 1000);
UPDATE orders SET qty = 1001 WHERE order_id = 9;
CALL agentcrm.run();
SELECT is(agentcrm.obstacle(), NULL, 'neither is an obstacle');
SELECT is((SELECT string_agg(key || ' ' || sqlstate, ', ' ORDER BY key) FROM agentcrm.event_failed), '15 23505, 22 23505, 8 23505, 9 23514', 'what breaks them is set aside');
SELECT matches((SELECT message FROM agentcrm.event_failed WHERE key = '8'), 'ledger_day', 'the index is named');
SELECT matches((SELECT message FROM agentcrm.event_failed WHERE key = '9'), 'few', 'so is the constraint');
DROP INDEX agentcrm.ledger_day;
ALTER TABLE agentcrm.ledger DROP CONSTRAINT few;
ALTER TABLE agentcrm.order_ref ALTER order_key SET NOT NULL;
SET agentcrm.debug_now = '2025-06-01 14:00+00';
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'and read once they are gone');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'rightly');

-- row-level security is for those who read
ALTER TABLE agentcrm.ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentcrm.ledger FORCE ROW LEVEL SECURITY;
UPDATE orders SET qty = 7 WHERE order_id = 2;
CALL agentcrm.run();
SELECT is((SELECT quantity::int FROM agentcrm.ledger WHERE order_id = 2), 7, 'row-level security does not keep the worker from writing');
ALTER TABLE agentcrm.ledger NO FORCE ROW LEVEL SECURITY;
ALTER TABLE agentcrm.ledger DISABLE ROW LEVEL SECURITY;
CLUSTER agentcrm.ledger USING ledger_pkey;
CREATE TABLE remarks (client_id bigint REFERENCES agentcrm.client, remark text);
INSERT INTO remarks VALUES (2, 'pays late');
SELECT is(agentcrm.obstacle(), NULL, 'a table of one''s own may refer to clients');

-- what is refused: the step does nothing, says what, and nothing is lost or blamed
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE refused (n int, make text, message text, undo text);
INSERT INTO refused VALUES
	(1, 'CREATE TRIGGER audit AFTER INSERT ON agentcrm.ledger FOR EACH ROW EXECUTE FUNCTION nothing()', 'trigger audit is on agentcrm.ledger', 'DROP TRIGGER audit ON agentcrm.ledger'),
	(2, 'ALTER TABLE agentcrm.client ADD COLUMN "Our no" text; UPDATE agentcrm.client SET "Our no" = client_key', 'column "Our no" was added to agentcrm.client', 'ALTER TABLE agentcrm.client DROP COLUMN "Our no"'),
	(3, 'CREATE RULE also AS ON INSERT TO agentcrm.ledger DO ALSO NOTHING', 'table agentcrm.ledger has a rule', 'DROP RULE also ON agentcrm.ledger'),
	(4, 'ALTER TABLE agentcrm.rep ADD CONSTRAINT later UNIQUE (rep_id) DEFERRABLE', 'index agentcrm.later on agentcrm.rep is of an exclusion constraint or a deferrable one', 'ALTER TABLE agentcrm.rep DROP CONSTRAINT later'),
	(5, 'ALTER TABLE agentcrm.ledger ADD CONSTRAINT known FOREIGN KEY (order_id) REFERENCES orders', 'a foreign key ties agentcrm.ledger to public.orders', 'ALTER TABLE agentcrm.ledger DROP CONSTRAINT known'),
	(6, 'CREATE INDEX my_event ON agentcrm.event_3 (key)', 'index agentcrm.my_event is on an event table', 'DROP INDEX agentcrm.my_event'),
	(7, 'ALTER TABLE agentcrm.event ADD COLUMN who text DEFAULT current_user', 'column who was added to agentcrm.event_1', 'ALTER TABLE agentcrm.event DROP COLUMN who');
CREATE PROCEDURE alter_table(which int, back boolean) LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE (SELECT CASE WHEN back THEN undo ELSE make END FROM refused WHERE n = which);
END $$;
\set which 1
\ir include/refused.sql
\set which 2
\ir include/refused.sql
\set which 3
\ir include/refused.sql
\set which 4
\ir include/refused.sql
\set which 5
\ir include/refused.sql
\set which 6
\ir include/refused.sql
\set which 7
\ir include/refused.sql
SELECT * FROM finish();
