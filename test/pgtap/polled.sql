-- Relations on which no trigger can be: foreign tables, views, materialized views, tables of others; and watermarks.
-- Each is written by inserts, updates and deletes, looked at, and must end as a recompute.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
SET agentcrm.debug_now = '2025-06-01 12:00+00';
SELECT plan(58);

CREATE SCHEMA x;
CREATE TABLE x.head (id int PRIMARY KEY, client int, at timestamptz, changed timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE x.line (head_id int, no int, item int, qty int, price numeric, PRIMARY KEY (head_id, no));
CREATE TABLE x.item (id int PRIMARY KEY, name text);
INSERT INTO x.head SELECT g, 1 + g % 9, timestamptz '2025-01-01 12:00+00' + g * interval '1 day' FROM generate_series(1, 100) g;
INSERT INTO x.line SELECT g, l, 1 + g % 5, l, 2.5 FROM generate_series(1, 100) g, generate_series(1, 2) l;
INSERT INTO x.item SELECT g, 'item ' || g FROM generate_series(1, 5) g;

-- a look at a source after a minute: what was found, and whether all is well
CREATE PROCEDURE look(minutes int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('agentcrm.debug_now', (agentcrm.clock() + make_interval(mins => minutes))::text, false);
END $$;
CREATE FUNCTION wrong(source text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT string_agg(concat_ws(' ', d.what, d.key, d.expected, d.found), '; ') FROM agentcrm.verify() d), '')
		|| coalesce((SELECT string_agg(item || ' ' || difference, '; ') FROM agentcrm.compare(source) WHERE difference <> 0), '')
$$;
CREATE FUNCTION polled(source_name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s.%s %s', w.schema_name, w.table_name, coalesce(w.polled, 'by ' || array_to_string(w.key_columns, ','))), '; ' ORDER BY w.watch)
	FROM agentcrm.source s JOIN agentcrm.source_watch w USING (source_id) WHERE s.name = source_name
$$;
CREATE FUNCTION write() RETURNS void LANGUAGE sql AS $$
	INSERT INTO x.head VALUES (101, 3, '2025-05-01 12:00+00'), (102, 30, '2025-05-02 12:00+00');
	INSERT INTO x.line VALUES (101, 1, 1, 7, 1), (102, 1, 2, 8, 1), (5, 9, 3, 1, 10);
	UPDATE x.line SET qty = qty + 1 WHERE head_id IN (7, 8) AND no = 1;
	UPDATE x.head SET client = 8, changed = clock_timestamp() WHERE id = 9;
	DELETE FROM x.line WHERE head_id IN (11, 12);
	DELETE FROM x.head WHERE id = 11;
$$;
CREATE FUNCTION unwrite() RETURNS void LANGUAGE sql AS $$
	DELETE FROM x.head WHERE id > 100;
	DELETE FROM x.line WHERE head_id > 100 OR no = 9;
	UPDATE x.line SET qty = qty - 1 WHERE head_id IN (7, 8) AND no = 1;
	UPDATE x.head SET client = 1, changed = clock_timestamp() WHERE id = 9;
	INSERT INTO x.head VALUES (11, 2, '2025-02-01 12:00+00');
	INSERT INTO x.line SELECT i, l, 1, l, 2.5 FROM (VALUES (11), (12)) AS v(i), generate_series(1, 2) l;
$$;

-- a view over header and lines: triggers on both, by the join's equality
CREATE VIEW x.flat AS SELECT h.id AS doc, h.client, h.at, l.no, l.item, l.qty, l.price FROM x.head h JOIN x.line l ON l.head_id = h.id;
SELECT is((SELECT string_agg(detail, '; ' ORDER BY detail) FROM agentcrm.attach('flat', lines => 'x.flat', order_key => '{doc}', client => 'l.client', product => 'l.item',
	at => 'l.at', quantity => 'l.qty', amount => 'l.qty * l.price', run_as => current_user, time_zone => 'UTC') WHERE item IN ('triggers', 'polled')),
	'x.head, rows and TRUNCATE; keys: order (id); x.line, rows and TRUNCATE; keys: order (head_id)', 'a view: triggers on its tables');
CALL agentcrm.backfill('flat');
SELECT is(wrong('flat'), '', 'view: loaded');
SELECT write() \g /dev/null
SELECT is(agentcrm.queue_depth(), 8::bigint, 'view: its tables'' triggers saw what was written');
CALL agentcrm.run();
SELECT is(wrong('flat'), '', 'view: followed at once');
SELECT unwrite() \g /dev/null
CALL agentcrm.run();
SELECT is(wrong('flat'), '', 'view: and back');
SELECT is((SELECT count(*) FROM agentcrm.source_poll), 0::bigint, 'view: nothing is polled');
SELECT is((SELECT string_agg(relation::regclass || ' ' || coalesce(columns::text, 'unknown'), '; ' ORDER BY relation::regclass::text) FROM agentcrm.view_tables('x.flat'::regclass, '{item}')),
	'x.head unknown; x.line {item}', 'view_tables: what does not hold the key is said to be unknown');
SELECT throws_like($$SELECT * FROM agentcrm.view_tables('x.head'::regclass, '{id}')$$, 'relation % is no view%', 'view_tables: a table');
SELECT agentcrm.detach('flat') \g /dev/null
CALL agentcrm.run();

-- an outer join's equality leads to its inner side only; views of views; what is more than a column
CREATE VIEW x.outer AS SELECT h.id, l.head_id, l.no FROM x.head h LEFT JOIN x.line l ON l.head_id = h.id;
CREATE VIEW x.above AS SELECT f.doc AS d, i.name FROM x.flat f JOIN x.item i ON i.id = f.item;
CREATE VIEW x.sums AS SELECT h.id, sum(l.qty) AS qty FROM x.head h JOIN x.line l ON l.head_id = h.id GROUP BY h.id;
CREATE VIEW x.last AS SELECT id, client FROM x.head ORDER BY at DESC LIMIT 10;
CREATE VIEW x.united AS SELECT id FROM x.head UNION ALL SELECT id FROM x.item;
CREATE VIEW x.lookup AS SELECT h.id, (SELECT name FROM x.item i WHERE i.id = h.client) AS name FROM x.head h;
CREATE FUNCTION below(view text, key text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(relation::regclass || ' ' || coalesce(columns::text, '?'), ' ' ORDER BY relation::regclass::text, columns) FROM agentcrm.view_tables(view::regclass, key)
$$;
SELECT is(below('x.outer', '{id}'), 'x.head {id} x.line {head_id}', 'outer join: from the outer side');
SELECT is(below('x.outer', '{head_id}'), 'x.head ? x.line {head_id}', 'outer join: not back');
SELECT is(below('x.outer', '{id,no}'), 'x.head ? x.line {head_id,no}', 'a key of two columns');
SELECT is(below('x.above', '{d}'), 'x.head {id} x.item ? x.line {head_id}', 'a view of a view');
SELECT is(below('x.sums', '{id}'), 'x.head {id} x.line {head_id}', 'grouped by the key');
SELECT is(below('x.sums', '{qty}'), 'x.sums ?', 'a key that is computed');
SELECT is(below('x.last', '{id}'), 'x.last ?', 'LIMIT');
SELECT is(below('x.united', '{id}'), 'x.united ?', 'UNION');
SELECT is(below('x.lookup', '{id}'), 'x.head {id} x.lookup ?', 'a subquery elsewhere');

-- a view of which one table does not hold the key: polled for that one
CREATE VIEW x.rich AS SELECT h.id, h.client, h.at, l.no, l.item, l.qty, l.price * i.factor AS price FROM x.head h JOIN x.line l ON l.head_id = h.id
	JOIN (SELECT id, 1 + id % 2 AS factor FROM x.item) i ON i.id = l.item;
SELECT is((SELECT string_agg(detail, '; ' ORDER BY item, detail) FROM agentcrm.attach('rich', lines => 'x.rich', order_key => '{id}', client => 'l.client', product => 'l.item',
	at => 'l.at', quantity => 'l.qty', amount => 'l.qty * l.price', run_as => current_user, time_zone => 'UTC') WHERE item IN ('triggers', 'polled')),
	'x.rich, every 60 s: a view; x.head, rows and TRUNCATE; keys: order (id); x.line, rows and TRUNCATE; keys: order (head_id)', 'a view: polled for what triggers cannot see');
CALL agentcrm.backfill('rich');
SELECT matches((SELECT remark FROM agentcrm.status WHERE name = 'rich'), 'polled every [0-9]+ s: x.rich \(a view\)', 'status says what is polled and how often');
SELECT write() \g /dev/null
CALL agentcrm.run();
SELECT is(wrong('rich'), '', 'what triggers see is followed at once');
DELETE FROM x.item WHERE id = 5;
CALL agentcrm.run();
SELECT isnt(wrong('rich'), '', 'what they do not see waits');
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('rich'), '', 'for the next look');
SELECT is((SELECT string_agg(cause || ' ' || missing || ' ' || changed || ' ' || (surplus > 0), ', ') FROM agentcrm.reconcile_log WHERE reconcile), 'poll 0 0 true', 'which reconcile_log tells');
INSERT INTO x.item VALUES (5, 'again');
SELECT unwrite() \g /dev/null
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('rich'), '', 'and back');
CALL look(2);
CALL agentcrm.run();
SELECT is((SELECT count(*) FROM agentcrm.reconcile_log WHERE cause = 'poll'), 2::bigint, 'a look that finds nothing leaves no row');
SELECT is((SELECT at FROM agentcrm.source_poll), agentcrm.clock(), 'but its time');
SET agentcrm.debug_now = '2025-06-01 15:00+00';
SELECT agentcrm.detach('rich') \g /dev/null
CALL agentcrm.run();

-- a materialized view, and text keys, whose months are summed apart
CREATE MATERIALIZED VIEW x.kept AS SELECT 'doc ' || h.id AS doc, h.client, h.at, l.no, l.item, l.qty, l.price FROM x.head h JOIN x.line l ON l.head_id = h.id;
CREATE INDEX ON x.kept (doc);
SELECT count(*) FROM agentcrm.attach('kept', lines => 'x.kept', order_key => '{doc}', client => 'l.client', product => 'l.item',
	at => 'l.at', quantity => 'l.qty', amount => 'l.qty * l.price', run_as => current_user, time_zone => 'UTC') \g /dev/null
SELECT is(polled('kept'), 'x.kept a materialized view', 'a materialized view is polled');
CALL agentcrm.backfill('kept');
SELECT is(wrong('kept'), '', 'materialized view: loaded, though it has no trigger at all');
SELECT write() \g /dev/null
REFRESH MATERIALIZED VIEW x.kept;
CALL agentcrm.run();
SELECT isnt(wrong('kept'), '', 'materialized view: not looked at yet');
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('kept'), '', 'materialized view: looked at');
SELECT is((SELECT missing || ' ' || changed || ' ' || surplus FROM agentcrm.reconcile_log WHERE cause = 'poll'), '2 4 2', 'what it found');
SELECT is((SELECT count(*) FROM agentcrm.reconcile_month), 0::bigint, 'no sum is left');
SELECT agentcrm.reconcile('kept') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT missing + changed + surplus FROM agentcrm.reconcile_log WHERE cause = 'reconcile'), 0::bigint, 'months that agree: nothing is read again');
UPDATE agentcrm.ledger SET client_id = -5 WHERE order_id = (SELECT order_id FROM agentcrm.order_ref WHERE order_key = 'doc 70');
UPDATE agentcrm.ledger SET ordered_at = ordered_at - interval '70 days', ordered_on = ordered_on - 70 WHERE order_id = (SELECT order_id FROM agentcrm.order_ref WHERE order_key = 'doc 90');
DELETE FROM agentcrm.ledger WHERE order_id = (SELECT order_id FROM agentcrm.order_ref WHERE order_key = 'doc 50');
SELECT agentcrm.reconcile('kept') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT missing || ' ' || changed || ' ' || surplus FROM agentcrm.reconcile_log WHERE cause = 'reconcile' ORDER BY reading DESC LIMIT 1), '1 2 0', 'months that differ: their keys are');
SELECT is(wrong('kept'), '', 'and mended');
SELECT unwrite() \g /dev/null
SELECT agentcrm.detach('kept') \g /dev/null
CALL agentcrm.run();

-- a table of somebody else, with SELECT alone
CREATE ROLE polled_owner;
CREATE ROLE polled_reader;
GRANT ALL ON SCHEMA x TO polled_owner;
GRANT USAGE ON SCHEMA x TO polled_reader;
ALTER TABLE x.head OWNER TO polled_owner;
ALTER TABLE x.line OWNER TO polled_owner;
GRANT SELECT ON x.head, x.line TO polled_reader;
SELECT agentcrm.grant_operator('polled_reader') \g /dev/null
SET ROLE polled_reader;
SELECT is((SELECT detail FROM agentcrm.attach('others', orders => 'x.head', lines => 'x.line', line_order_key => '{head_id}', client => 'o.client', product => 'l.item', at => 'o.at',
	quantity => 'l.qty', amount => 'l.qty * l.price', run_as => 'polled_reader', time_zone => 'UTC') WHERE item = 'remark' AND detail ~ '^x.line'),
	'x.line is a table on which polled_reader may not create triggers: it is looked at every 60 s, or as seldom as keeps that under a twentieth of the time; '
	'GRANT TRIGGER ON x.line TO polled_reader, then alter_source, lets triggers do it at once', 'no right to create triggers: a remark, not an error');
RESET ROLE;
CALL agentcrm.backfill('others');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('x.head'::regclass, 'x.line'::regclass)), 0::bigint, 'it has none');
SELECT is(wrong('others'), '', 'a table of others: loaded');
SELECT write() \g /dev/null
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('others'), '', 'a table of others: looked at');
SELECT unwrite() \g /dev/null
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('others'), '', 'and back');
GRANT TRIGGER ON x.head, x.line TO polled_reader;
SET ROLE polled_reader;
SELECT count(*) FROM agentcrm.alter_source('others') \g /dev/null
RESET ROLE;
SELECT is(polled('others') || (SELECT count(*) FROM agentcrm.source_poll), 'x.head by id; x.line by head_id0', 'with the right, alter_source makes triggers');
CALL agentcrm.run();
ALTER TABLE x.head OWNER TO CURRENT_USER;
ALTER TABLE x.line OWNER TO CURRENT_USER;
SELECT agentcrm.detach('others') \g /dev/null
CALL agentcrm.run();

-- a foreign table, and its watermark: changes often, deletions by reconcile
CREATE EXTENSION postgres_fdw;
SELECT format('CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)', current_setting('unix_socket_directories'), current_setting('port'), current_database()) \gexec
SELECT format('CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user %L)', current_user) \gexec
CREATE FOREIGN TABLE x.far (id int, client int, at timestamptz, changed timestamptz) SERVER here OPTIONS (schema_name 'x', table_name 'head');
CREATE FOREIGN TABLE x.far_item (id int, name text) SERVER here OPTIONS (schema_name 'x', table_name 'item');
SELECT throws_ok($$SELECT agentcrm.attach('far', orders => 'x.far', order_key => '{id}', client => 'o.client', at => 'o.at', quantity => '1', amount => '1', run_as => current_user, watermark => 'o.client')$$,
	'42804', 'attach: argument watermark: type integer is not a date or time', 'watermark: must be a time');
SELECT throws_ok($$SELECT agentcrm.attach('far', orders => 'x.far', order_key => '{id}', client => 'o.client', at => 'o.at', quantity => '1', amount => '1', run_as => current_user, watermark => 'o.nothing')$$,
	'42703', 'attach: argument watermark: column o.nothing does not exist', 'watermark: must be there');
UPDATE x.head SET changed = now() - interval '1 hour';
SELECT is((SELECT string_agg(item || ' ' || detail, '; ' ORDER BY item, detail) FROM agentcrm.attach('far', orders => 'x.far', order_key => '{id}', client => 'o.client', at => 'o.at',
	quantity => 'o.client', amount => '10 * o.client', run_as => current_user, time_zone => 'UTC', watermark => 'o.changed') WHERE item IN ('polled', 'triggers', 'watermark')),
	E'polled x.far, every 60 s: a foreign table; watermark SELECT (o.changed\n), o.id\nFROM x.far AS o', 'a foreign table with a watermark');
CALL agentcrm.backfill('far');
SELECT is(wrong('far'), '', 'foreign table: loaded');
SELECT count(*) FROM agentcrm.attach_feed('far', 'product', 'SELECT id AS product_key, name FROM x.far_item WHERE id = ANY ($1)', '{"x.far_item": "id"}') \g /dev/null
CALL agentcrm.run();
INSERT INTO x.head VALUES (201, 3, '2025-05-01 12:00+00'), (202, 30, '2025-05-02 12:00+00');
UPDATE x.head SET client = 8, changed = clock_timestamp() WHERE id = 9;
UPDATE x.item SET name = 'renamed' WHERE id = 1;
UPDATE x.head SET client = 6 WHERE id = 10;
CALL look(2);
CALL agentcrm.run();
SELECT is((SELECT string_agg(p.name || ' ' || looked || ' ' || missing || ' ' || changed || ' ' || surplus, ', ' ORDER BY p.name) FROM agentcrm.reconcile_log JOIN agentcrm.source_part p USING (source_id, part)
	WHERE cause = 'poll'), 'order 3 2 1 0, product 5 0 1 0', 'a watermark: only what was marked since is read; a feed is read whole');
SELECT is((SELECT name FROM agentcrm.product WHERE product_id = 1), 'renamed', 'a polled feed');
SELECT ok((SELECT since = (SELECT max(changed) FROM x.head) FROM agentcrm.source_poll WHERE since IS NOT NULL), 'the last watermark is kept');
DELETE FROM x.head WHERE id IN (201, 12);
CALL look(2);
CALL agentcrm.run();
SELECT isnt(wrong('far'), '', 'a watermark shows no deletion, nor a change that is not marked');
CALL look(1500);
CALL agentcrm.run();
SELECT is(wrong('far'), '', 'the reconcile of the schedule does');
SELECT is((SELECT missing || ' ' || changed || ' ' || surplus FROM agentcrm.reconcile_log WHERE cause = 'schedule' AND part = 1), '0 1 2', 'as it tells');
INSERT INTO x.head VALUES (12, 3, '2025-05-03 12:00+00', clock_timestamp() - interval '5 minutes');
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('far'), '', 'a mark within the margin before the last one seen');
INSERT INTO x.head SELECT g, 1, '2025-05-04 12:00+00', '2026-01-01' FROM generate_series(1001, 3500) g;
UPDATE x.head SET changed = clock_timestamp() WHERE id > 1000;
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('far'), '', 'thousands of rows of one mark');
INSERT INTO x.head SELECT g, g % 50, '2025-05-04 12:00+00', clock_timestamp() FROM generate_series(4001, 14500) g;
CALL look(2);
CALL agentcrm.run();
SELECT is(wrong('far') || (SELECT missing || ' ' || (looked > 13000) FROM agentcrm.reconcile_log WHERE cause = 'poll' AND part = 1 ORDER BY reading DESC LIMIT 1), '10500 true', 'more rows than are read by their marks: found by sums');
SELECT is((SELECT string_agg(cause || ' ' || coalesce((lines = looked)::text, 'none'), ', ' ORDER BY reading) FROM agentcrm.reconcile_log WHERE part = 1 AND cause IN ('poll', 'schedule')),
	'poll none, schedule true, poll none, poll none, poll true', 'lines are counted where all are read, which is not by marks');
SELECT count(*) FROM agentcrm.alter_source('far', reset => '{watermark}') \g /dev/null
CALL agentcrm.run();
DELETE FROM x.head WHERE id > 1000;
CALL look(60);
CALL agentcrm.run();
SELECT is(wrong('far') || (SELECT string_agg(coalesce(since::text, 'none'), ' ') FROM agentcrm.source_poll), 'none none', 'without a watermark a look finds deletions, too');
SET client_min_messages = error;
ALTER FOREIGN TABLE x.far RENAME COLUMN at TO placed;
ALTER FOREIGN TABLE x.far ALTER COLUMN placed OPTIONS (column_name 'at');
CALL look(60);
CALL agentcrm.run();
SELECT is((SELECT state FROM agentcrm.source), 'broken', 'a renamed column of a foreign table sets the source aside');
ALTER FOREIGN TABLE x.far RENAME COLUMN placed TO at;
CALL look(60);
CALL agentcrm.run();
SELECT is((SELECT state FROM agentcrm.source) || wrong('far'), 'shadow', 'put back, it goes on');

SELECT finish();
