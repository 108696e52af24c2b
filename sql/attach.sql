-- attach, attach_query and attach_feed: shapes, keys, checks and refusals, what is created, and how it goes away
\pset format unaligned
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS agentcrm;
-- loads stay as they were begun
SELECT agentcrm.pause();
CREATE ROLE attach_app;
CREATE ROLE attach_dba;
CREATE ROLE attach_other;
GRANT attach_app TO attach_dba;
SELECT agentcrm.grant_operator('attach_dba');
CREATE SCHEMA shop AUTHORIZATION attach_app;
CREATE SCHEMA odd AUTHORIZATION attach_app;
GRANT USAGE ON SCHEMA shop, odd TO attach_dba, attach_other;
-- what is there: sources, parts, watches, loads, triggers
CREATE FUNCTION public.attach_footprint() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', (SELECT count(*) FROM agentcrm.source), (SELECT count(*) FROM agentcrm.source_part), (SELECT count(*) FROM agentcrm.source_watch),
		(SELECT count(*) FROM agentcrm.source_load), (SELECT count(*) FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc)) $$;
CREATE VIEW public.attach_trigger AS
	SELECT tgrelid::regclass AS relation, regexp_replace(tgname, '_\d+_(\d+)_\d+', '_S_\1_OID') AS name, tgenabled AS enabled, tgparentid <> 0 AS from_parent,
		regexp_replace(pg_get_triggerdef(oid), '^.* (AFTER .*) ON .*(FOR EACH \w+).*$', '\1 \2') AS fires,
		(SELECT count(*) FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'x') AS with_extension
	FROM pg_trigger t WHERE tgfoid = 'agentcrm.capture'::regproc ORDER BY tgrelid::regclass::text COLLATE "C", regexp_replace(tgname, '_\d+_(\d+)_\d+', '_\1_') COLLATE "C";
GRANT SELECT ON public.attach_trigger TO attach_dba;

SET ROLE attach_app;
CREATE TABLE shop.reps (rep_id int PRIMARY KEY, name text, active boolean);
CREATE TABLE shop.clients (client_id int PRIMARY KEY, name text, parent_id int REFERENCES shop.clients, rep_id int REFERENCES shop.reps, vip boolean, code text UNIQUE);
CREATE TABLE shop.products (product_id text PRIMARY KEY, name text, pack int);
CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, client_id int REFERENCES shop.clients, ordered_on date, state text, payer_id int);
CREATE TABLE shop.lines (order_id bigint REFERENCES shop.orders, line_no int, product_id text REFERENCES shop.products, qty int, price real, note text, PRIMARY KEY (order_id, line_no));
INSERT INTO shop.reps VALUES (1, 'Ann', true);
INSERT INTO shop.clients VALUES (1, 'A', NULL, 1, true, 'a'), (2, 'B', 1, 1, false, 'b'), (3, 'C', NULL, NULL, false, 'c');
INSERT INTO shop.products VALUES ('x', 'X', 6), ('y', 'Y', 1);
INSERT INTO shop.orders VALUES (10, 1, '2024-01-01', 'ok'), (11, 2, '2024-01-02', 'ok'), (12, 1, '2024-01-03', 'draft');
INSERT INTO shop.lines VALUES (10, 1, 'x', 2, 1.5, '3'), (10, 2, 'y', -1, 2, '-2'), (11, 1, 'x', 1, 1.5, '1.5'), (12, 1, 'x', 1, 1.5, 'none');
RESET ROLE;

-- header and lines, dry: everything is said and nothing done
SELECT public.attach_footprint() AS before \gset
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', clients => 'shop.clients', products => 'shop.products', reps => 'shop.reps',
	at => 'o.ordered_on', quantity => 'l.qty', amount => 'l.qty * l.price::numeric', is_sale => $$o.state = 'ok' -- drafts do not count$$,
	client_name => 'c.name', client_parent => 'c.parent_id', product_name => 'p.name', pack_qty => 'p.pack', time_zone => 'UTC', dry_run => true);
SELECT public.attach_footprint() = :'before' AS unchanged;

-- a client's attribute in an order's condition: the client's row touches its orders
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', clients => 'shop.clients', products => 'shop.products',
	at => 'o.ordered_on', quantity => 'l.qty', amount => 'l.qty * l.price::numeric', is_sale => 'c.vip', line_ok => $$p.name <> 'Y'$$, time_zone => 'UTC', dry_run => true);

-- orders without lines; rep named by expression; margin and kind
SELECT * FROM agentcrm.attach('heads', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_on::timestamp', quantity => '1', amount => '10',
	margin => '2.5', kind => $$CASE WHEN o.order_id = 11 THEN 'return' END$$, rep => 'o.payer_id', time_zone => 'Asia/Tokyo', dry_run => true);

-- one flat table, key of two columns, without primary key or index
RESET ROLE;
SET ROLE attach_app;
CREATE TABLE odd."Sales Lines" ("Tenant" uuid, "Order.No" text, "Client" char(4), item "char", "When" timestamptz, qty float8, net money);
INSERT INTO odd."Sales Lines" SELECT '00000000-0000-0000-0000-000000000001', 'A, ' || g % 3, 'c' || g % 2, 'i', '2024-05-01 12:00+00', g, g FROM generate_series(1, 9) g;
RESET ROLE;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('flat', lines => 'odd."Sales Lines"', order_key => '{Tenant,"\"Order.No\""}', client => 'l."Client"', product => 'l.item',
	at => 'l."When"', quantity => 'l.qty', amount => 'l.net', time_zone => 'UTC', dry_run => true);

-- wrong expressions name their argument, keep their SQLSTATE, change nothing
\set shop 'orders => ''shop.orders'', lines => ''shop.lines'', clients => ''shop.clients'', products => ''shop.products'', at => ''o.ordered_on'', time_zone => ''UTC'''
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.prise');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty +');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.product_id', amount => 'l.qty');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'sum(l.qty)', amount => 'l.qty');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty), (1', amount => 'l.qty');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.note::numeric');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', is_sale => 'o.state');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', kind => 'o.state');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', client_name => 'o.state');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', product_active => 'p.name');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', client => 'c.client_id', product => 'l.product_id', at => 'o.ordered_on', quantity => 'l.qty', amount => 'l.qty');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client_id', at => 'o.order_id', quantity => '1', amount => '1');
-- the same as before, with a filter that leaves the bad row out
SELECT count(*) FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.note::numeric', is_sale => $$o.state = 'ok'$$, dry_run => true) WHERE item = 'amount';

-- arguments that are missing or do not go together
SELECT * FROM agentcrm.attach('shop');
SELECT * FROM agentcrm.attach('', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_on', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', at => 'o.ordered_on', amount => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', at => 'o.ordered_on', quantity => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', at => 'o.ordered_on', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', client => 'o.client_id', at => 'o.ordered_on', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client_id', channel => 'o.state', at => 'o.ordered_on', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client_id', line_ok => 'true', at => 'o.ordered_on', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('shop', lines => 'shop.lines', client => '1', product => 'l.product_id', at => 'now()', quantity => 'l.qty', amount => 'l.qty');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', on_delete => 'forget');
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_on', quantity => '1', amount => '1', time_zone => 'Mars/Base');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', namespace => 'nobody');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', archive_before => '-1 day');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', line_order_key => '{order_id,line_no}');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', order_key => '{nr}');

-- joins that cannot be derived
RESET ROLE;
SET ROLE attach_app;
CREATE TABLE odd.two (id int PRIMARY KEY, buyer int REFERENCES shop.clients, payer int REFERENCES shop.clients, loose int);
CREATE TABLE odd.loose (two_id int, product_id text, qty int);
INSERT INTO odd.two VALUES (1, 1, 2, 3);
INSERT INTO odd.loose VALUES (1, 'x', 1);
CREATE VIEW odd.view AS SELECT * FROM shop.orders;
RESET ROLE;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('two', orders => 'odd.two', clients => 'shop.clients', at => 'current_date', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('two', orders => 'odd.two', clients => 'shop.clients', client => 'c.parent_id', at => 'current_date', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('two', orders => 'odd.two', lines => 'odd.loose', client => 'o.buyer', product => 'l.product_id', at => 'current_date', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('two', lines => 'odd.loose', products => 'shop.products', order_key => '{two_id}', client => '1', at => 'current_date', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('two', orders => 'odd.view', client => 'o.client_id', at => 'o.ordered_on', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach('two', orders => 'pg_catalog.pg_class', client => 'o.relname', at => 'now()', quantity => '1', amount => '1');
-- named, they serve: a foreign key among several, a join by expression, a line's key
SELECT detail FROM agentcrm.attach('two', orders => 'odd.two', lines => 'odd.loose', line_order_key => '{two_id}', clients => 'shop.clients', client => 'o.payer',
	products => 'shop.products', product => 'upper(lower(l.product_id))', at => 'current_date', quantity => '1', amount => 'p.pack', is_sale => 'c.vip IS NOT NULL',
	dry_run => true) WHERE item ~ '^(query|touch|remark)';

-- rights
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', run_as => 'attach_other');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', run_as => 'attach_nobody');
RESET ROLE;
GRANT attach_other TO attach_dba;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty', run_as => 'attach_other');
-- the trial reads as run_as, not as the caller: one column is not enough
RESET ROLE;
REVOKE USAGE ON SCHEMA shop FROM attach_other;
GRANT SELECT (order_id) ON shop.orders TO attach_other;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_on', quantity => '1', amount => '1', run_as => 'attach_other');
RESET ROLE;
GRANT USAGE ON SCHEMA shop TO attach_other;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_on', quantity => '1', amount => '1', run_as => 'attach_other');
RESET ROLE;
CREATE ROLE attach_super SUPERUSER;
CREATE TABLE public.attach_root (id int PRIMARY KEY, client int);
ALTER TABLE public.attach_root OWNER TO attach_super;
INSERT INTO public.attach_root VALUES (1, 1);
SELECT * FROM agentcrm.attach('root', orders => 'attach_root', client => 'o.client', at => 'current_date', quantity => '1', amount => '1', dry_run => true);
SELECT detail FROM agentcrm.attach('root', orders => 'attach_root', client => 'o.client', at => 'current_date', quantity => '1', amount => '1', run_as => 'attach_super', dry_run => true) WHERE item IN ('orders', 'remark') AND detail !~ 'superuser';
GRANT SELECT ON public.attach_root TO attach_other;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('root', orders => 'attach_root', client => 'o.client', at => 'current_date', quantity => '1', amount => '1', run_as => 'attach_other', dry_run => true) WHERE item IN ('polled', 'remark', 'triggers');
RESET ROLE;
GRANT TRIGGER ON public.attach_root TO attach_dba;
ALTER TABLE public.attach_root ENABLE ROW LEVEL SECURITY;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('root', orders => 'attach_root', client => 'o.client', at => 'current_date', quantity => '1', amount => '1', run_as => 'attach_other');
RESET ROLE;
SET ROLE attach_other;
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty');
RESET ROLE;
SELECT public.attach_footprint() = :'before' AS unchanged;
-- after trials the caller is who he was, may write, and has his settings
SELECT current_user = session_user AS still_me, current_setting('transaction_read_only') AS read_only, current_setting('row_security') AS row_security,
	(SELECT count(*) FROM pg_prepared_statements) AS prepared;

-- a transaction that has written
BEGIN;
CREATE TABLE shop.new ();
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty');
ROLLBACK;

-- attached
SET ROLE attach_dba;
SELECT item, detail FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty * l.price::numeric', is_sale => 'c.vip', on_delete => 'keep', archive_before => '2 years')
WHERE item IN ('source', 'triggers', 'next') AND detail !~ '^shop, ';
SELECT * FROM public.attach_trigger;
SELECT p.part, p.name, p.kind, p.key_schema, p.key_table, p.key_columns FROM agentcrm.source_part p JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop' ORDER BY 1;
SELECT w.watch, w.part, w.schema_name, w.table_name, w.key_columns FROM agentcrm.source_watch w JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop' ORDER BY 1;
SELECT l.part, l.phase, l.position, l.done, l.total FROM agentcrm.source_load l JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop' ORDER BY l.load_no;
SELECT run_as, search_path, time_zone, on_delete, archive_before = '2 years' AS archives, state, deliver, options FROM agentcrm.source WHERE name = 'shop';
SELECT current_setting('lock_timeout') AS lock_timeout;
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty');
-- a second source shares its clients; it has a number and, unless told, a namespace of its own
SELECT count(*) FROM agentcrm.attach('shop2', :shop, quantity => 'l.qty', amount => 'l.qty', namespace => 'shop');
SELECT count(*) FROM agentcrm.attach('shop3', :shop, quantity => 'l.qty', amount => 'l.qty');
SELECT s.name, s.namespace = f.namespace AS shares, s.source_id > f.source_id AS later FROM agentcrm.source s, agentcrm.source f WHERE f.name = 'shop' AND s.name IN ('shop2', 'shop3') ORDER BY 1;
SELECT agentcrm.detach('shop2'), agentcrm.detach('shop3');
SELECT name, state FROM agentcrm.source ORDER BY name;

-- altered, given a feed, made live, read again
SELECT item, detail FROM agentcrm.alter_source('shop', amount => 'l.qty', is_sale => $$o.state = 'ok'$$) WHERE item IN ('query', 'next');
SELECT p.part, p.name, s.state, s.options ->> 'amount' AS amount FROM agentcrm.source_part p JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop' ORDER BY 1;
SELECT item, detail FROM agentcrm.alter_source('shop', reset => '{is_sale}', dry_run => true) WHERE item IN ('query', 'next');
SELECT * FROM agentcrm.alter_source('shop', amount => 'l.prise');
SELECT * FROM agentcrm.alter_source('shop', query => 'SELECT 1');
SELECT * FROM agentcrm.alter_source('shop', reset => '{namespace}');
SELECT * FROM agentcrm.alter_source('shopp', amount => 'l.qty');
SELECT item, detail FROM agentcrm.attach_feed('shop', 'rep', 'SELECT rep_id AS rep_key, name FROM shop.reps WHERE rep_id = ANY ($1);', '{"shop.reps": "rep_id"}') WHERE item <> 'source';
-- attach's own feeds are alter_source's; an added one is replaced
SELECT * FROM agentcrm.attach_feed('shop', 'client', 'SELECT client_id AS client_key FROM shop.clients WHERE client_id = ANY ($1)', '{"shop.clients": "client_id"}');
SELECT detail FROM agentcrm.attach_feed('shop', 'rep', 'SELECT rep_id AS rep_key FROM shop.reps WHERE rep_id = ANY ($1)', '{"shop.reps": "rep_id"}') WHERE item = 'feed rep';
SELECT * FROM agentcrm.attach_feed('shop', 'stock', 'SELECT 1', '{"shop.reps": "rep_id"}');
SELECT name, part FROM agentcrm.source_part p WHERE kind = 'feed' ORDER BY part;
SELECT agentcrm.detach_feed('shop', 'client');
SELECT l.part, l.load_no, l.phase, l.total FROM agentcrm.source_load l JOIN agentcrm.source s USING (source_id) WHERE s.name = 'shop' ORDER BY l.load_no;
SELECT count(*) AS triggers FROM public.attach_trigger;
-- alter_source keeps the added feed
SELECT item FROM agentcrm.alter_source('shop', amount => 'l.qty * 2', dry_run => true) WHERE item ~ '^feed';
SELECT agentcrm.go_live('shop');
SELECT deliver, live_at IS NOT NULL AS dated, state FROM agentcrm.source WHERE name = 'shop';
SELECT agentcrm.go_live('shopp');
INSERT INTO agentcrm.event_failed SELECT source_id, part, '1', 5, '22012', 'division by zero', NULL, now(), now(), now() FROM agentcrm.source_part p JOIN agentcrm.source s USING (source_id)
WHERE s.name = 'shop' AND p.name IN ('order', 'client');
SELECT agentcrm.resync('shop', 'client');
SELECT p.name FROM agentcrm.event_failed f JOIN agentcrm.source_part p USING (source_id, part);
SELECT agentcrm.resync('shop', 'clients');
SELECT agentcrm.resync('shop');
SELECT count(*) AS failed FROM agentcrm.event_failed;

-- who does not own the tables cannot take the triggers away
RESET ROLE;
SELECT agentcrm.grant_operator('attach_other');
SELECT agentcrm.grant_operator('attach_nobody');
SET ROLE attach_other;
SELECT agentcrm.detach('shop');
RESET ROLE;
SET ROLE attach_dba;
SELECT agentcrm.detach('shop');
-- its name is free when it is gone
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty');
CALL agentcrm.run();
SELECT public.attach_footprint() = :'before' AS unchanged;

-- the general form: quoted names, key of two columns, partitions of partitions, a touch query
RESET ROLE;
SET ROLE attach_app;
CREATE TABLE odd."Order Head" ("Tenant Id" int, "Order.No" text, "Client" uuid, placed timestamp, PRIMARY KEY ("Tenant Id", "Order.No")) PARTITION BY LIST ("Tenant Id");
CREATE TABLE odd.head_1 PARTITION OF odd."Order Head" FOR VALUES IN (1);
CREATE TABLE odd.head_2 PARTITION OF odd."Order Head" FOR VALUES IN (2) PARTITION BY HASH ("Order.No");
CREATE TABLE odd.head_2a PARTITION OF odd.head_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE odd.line (tenant int, no text, item int, qty int, price numeric);
CREATE INDEX ON odd.line (no, tenant);
CREATE TABLE odd.old_line () INHERITS (odd.line);
CREATE TABLE odd.rate (item int PRIMARY KEY, rate numeric);
INSERT INTO odd."Order Head" VALUES (1, 'a,b', '00000000-0000-0000-0000-00000000000a', '2024-03-01 10:00'), (2, 'a,b', '00000000-0000-0000-0000-00000000000b', '2024-03-02 10:00');
INSERT INTO odd.line VALUES (1, 'a,b', 7, 2, 3), (2, 'a,b', 7, 1, 3);
INSERT INTO odd.old_line VALUES (1, 'a,b', 8, 5, 1);
INSERT INTO odd.rate VALUES (7, 2), (8, 1);
RESET ROLE;
SET ROLE attach_dba;
SET search_path = odd, public;
\set general 'SELECT h."Client" AS client_key, ROW(h."Tenant Id", h."Order.No") AS order_key, NULL AS line_key, l.item AS product_key, l.price * l.qty * r.rate AS amount, l.qty AS quantity, placed AS ordered_at FROM "Order Head" h JOIN unnest($1, $2) AS k(t, n) ON (h."Tenant Id", h."Order.No") = (k.t, k.n) JOIN line l ON (l.tenant, l.no) = (k.t, k.n) JOIN rate r USING (item)'
\set key 'ARRAY[''"Order Head"."Tenant Id"'', ''odd."Order Head"."Order.No"'']'
SELECT * FROM agentcrm.attach_query('general', :'general', :key, '{"\"Order Head\"": ["Tenant Id", "Order.No"], "odd.line": ["tenant", "no"]}', time_zone => 'Europe/Moscow', dry_run => true) WHERE item <> 'query';
SELECT item FROM agentcrm.attach_query('general', :'general', :key, '{"\"Order Head\"": ["Tenant Id", "Order.No"], "odd.line": ["tenant", "no"],
	"rate": {"key": "item", "orders": "SELECT tenant, no FROM line WHERE item = ANY ($1)"}}', time_zone => 'Europe/Moscow');
SELECT * FROM public.attach_trigger;
SELECT search_path FROM agentcrm.source WHERE name = 'general';
-- a new partition gets the row trigger from its parent, though its maker has no right on agentcrm
RESET ROLE;
SET ROLE attach_app;
CREATE TABLE odd.head_3 PARTITION OF odd."Order Head" FOR VALUES IN (3);
RESET ROLE;
SELECT relation, fires, enabled FROM public.attach_trigger WHERE relation = 'odd.head_3'::regclass;
-- names are looked up as at attach, whatever the path is now
SET search_path = public;
SET ROLE attach_dba;
SELECT item, detail FROM agentcrm.alter_source('general', key => ARRAY['"Order Head"."Tenant Id"', '"Order Head"."Order.No"'], dry_run => true) WHERE item IN ('triggers', 'amount', 'dates');
SELECT agentcrm.detach('general');
CALL agentcrm.run();
SELECT public.attach_footprint() = :'before' AS unchanged;

-- the general form refused
\set flat 'SELECT client_id AS client_key, order_id AS order_key, NULL AS line_key, NULL AS product_key, ordered_on AS ordered_at, 1 AS quantity, 1 AS amount FROM shop.orders WHERE order_id = ANY ($1)'
SELECT * FROM agentcrm.attach_query('q', NULL, '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.order.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id,shop.lines.line_no}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', NULL);
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '[]');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": 1}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": ["order_id", "state"]}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": "order_id", "\"shop\".orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": "order_id", "shop.clients": {"key": "client_id"}}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": "order_id", "shop.clients": {"key": "client_id", "orders": "SELECT ordered_on FROM shop.orders WHERE client_id = ANY ($1)"}}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": "order_id", "shop.clients": {"key": "client_id", "orders": "SELECT order_id, 1 FROM shop.orders WHERE client_id = ANY ($1)"}}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"odd.view": "order_id"}', dry_run => true);
SELECT * FROM agentcrm.attach_query('q', 'SELECT 1 AS amount FROM shop.orders WHERE order_id = ANY ($1)', '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', '1 AS quantity', '1 AS quantity, 1 AS price'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', '1 AS quantity', '1 AS quantity, 1 AS amount'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', 'order_id AS order_key', 'order_id::text AS order_key'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', 'order_id AS order_key', 'order_id + 1 AS order_key'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', 'order_id = ANY ($1)', 'order_id = ANY ($2)'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', '1 AS amount', '1 / (order_id - 11) AS amount'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM agentcrm.attach_query('q', 'DELETE FROM shop.lines RETURNING *', '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', :'flat', '{shop.orders.order_id}', '{"shop.orders": "order_id"}', run_as => NULL, on_delete => 'no');
RESET ROLE;
SET ROLE attach_app;
CREATE TABLE odd.json_key (k json, v int);
CREATE FUNCTION odd.writes() RETURNS int LANGUAGE sql AS 'INSERT INTO odd.rate VALUES (99, 1) RETURNING 1';
RESET ROLE;
SET ROLE attach_dba;
SELECT * FROM agentcrm.attach('json', lines => 'odd.json_key', order_key => '{k}', client => '1', product => '1', at => 'current_date', quantity => '1', amount => '1');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', '1 AS amount', 'odd.writes() AS amount'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
-- a function of the tables' owner cannot come back to the caller's rights
RESET ROLE;
SET ROLE attach_app;
CREATE FUNCTION odd.climbs() RETURNS int LANGUAGE plpgsql AS $$BEGIN RESET ROLE; RETURN length(pg_read_file('PG_VERSION')); END$$;
CREATE FUNCTION odd.reads() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN length(pg_read_file('PG_VERSION')); END$$;
RESET ROLE;
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', '1 AS amount', 'odd.climbs() AS amount'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach_query('q', replace(:'flat', '1 AS amount', 'odd.reads() AS amount'), '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT agentcrm.attach_as('attach_app');
SELECT * FROM agentcrm.attach_query('q', :'flat' || $$) AS q ON false) AS r; DROP TABLE shop.lines; SELECT * FROM (SELECT q.* FROM (SELECT 1) AS one LEFT JOIN ($$ || :'flat', '{shop.orders.order_id}', '{"shop.orders": "order_id"}');
SELECT * FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => $$1)) FROM shop.lines l; DROP TABLE shop.lines; SELECT ((1$$);
SET ROLE attach_dba;
SELECT public.attach_footprint() = :'before' AS unchanged;

-- DROP EXTENSION takes the triggers along; nobody else may call any of this
SELECT count(*) FROM agentcrm.attach('shop', :shop, quantity => 'l.qty', amount => 'l.qty');
RESET ROLE;
SELECT p.oid::regprocedure AS callable_by_all FROM pg_proc p WHERE p.proname IN ('attach', 'attach_query', 'attach_feed', 'alter_source', 'go_live', 'resync', 'detach', 'grant_operator', 'attach_run', 'attach_try')
AND p.pronamespace = 'agentcrm'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');
DROP VIEW public.attach_trigger;
DROP FUNCTION public.attach_footprint();
BEGIN;
DROP EXTENSION agentcrm;
SELECT count(*) AS triggers_left FROM pg_trigger WHERE tgname ~ '^agentcrm';
ROLLBACK;
SELECT agentcrm.detach('shop');
DROP TABLE public.attach_root;
DROP SCHEMA shop, odd CASCADE;
DROP OWNED BY attach_dba, attach_other, attach_app;
DROP ROLE attach_dba, attach_other, attach_app, attach_super;
SELECT agentcrm.resume();
DROP EXTENSION agentcrm;
