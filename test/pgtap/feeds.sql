-- Feeds of facts: each kind attached, changed in the application, read again; what a wrong query answers; composite keys,
-- joins and views; rights; clients that come later; forgetting and detaching.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';	-- neither it nor DateStyle may matter
SET datestyle = 'SQL, DMY';
SELECT agentcrm.pause() \g /dev/null
CREATE ROLE regress_feeds_app;
CREATE ROLE regress_feeds_other;
CREATE SCHEMA app AUTHORIZATION regress_feeds_app;
SET ROLE regress_feeds_app;
CREATE TABLE app.reps (rep_id int PRIMARY KEY, name text);
CREATE TABLE app.clients (client_id int PRIMARY KEY, name text);
CREATE TABLE app.products (product_id int PRIMARY KEY, name text);
CREATE TABLE app.orders (order_id int PRIMARY KEY, client_id int, product_id int, day date, qty int);
INSERT INTO app.clients SELECT g, 'client ' || g FROM generate_series(1, 4) g;
INSERT INTO app.products SELECT g, 'product ' || g FROM generate_series(1, 3) g;
INSERT INTO app.orders SELECT g, 1 + g % 4, 1 + g % 3, '2025-01-01'::date + g, 2 FROM generate_series(1, 20) g;
CREATE TABLE app.call (id int PRIMARY KEY, client_id int, called timestamp, "via" text, incoming boolean, seconds int, result text, rep_id int);
CREATE TABLE app.invoice (tenant int, no varchar(10), client_id int, due date, total numeric(12,2), PRIMARY KEY (tenant, no));
CREATE TABLE app.receipt (id int PRIMARY KEY, tenant int, invoice varchar(10), at timestamptz, sum numeric(12,2));
CREATE TABLE app.bin (product_id int, shelf char(4), units double precision, PRIMARY KEY (product_id, shelf));
CREATE TABLE app.tariff (id uuid PRIMARY KEY, product_id int, list text, from_qty int, price numeric, since date, client_id int);
CREATE TABLE app.promo (id int PRIMARY KEY, title text, starts date, ends date, money numeric, percent numeric, groups text[], running boolean);
CREATE TABLE app.promo_product (promo int, product_id int, PRIMARY KEY (promo, product_id));
CREATE TABLE app.prospect (code text PRIMARY KEY, company text, mail text, status text, met timestamptz, became int, rep_id int);
CREATE TABLE app.issue (id bigint PRIMARY KEY, client_id int, opened timestamptz, closed timestamptz, prio int, subject text, product_id int);
CREATE TABLE app.issue_note (issue text, note text);
CREATE VIEW app.open_issue AS SELECT i.*, c.name FROM app.issue i LEFT JOIN app.clients c USING (client_id);
INSERT INTO app.call VALUES (1, 1, '2025-02-01 10:00', 'phone', false, 300, 'agreed', 7), (2, 2, '2025-02-02 11:00', 'mail', true, NULL, NULL, NULL),
	(3, NULL, '2025-02-03', 'phone', false, 60, NULL, NULL);
INSERT INTO app.invoice VALUES (1, 'A,1', 1, '2025-03-01', 100), (1, 'A\2', 2, '2025-03-02', 50), (2, 'A,1', 3, '2025-03-03', 10);
INSERT INTO app.receipt VALUES (1, 1, 'A,1', '2025-02-20 12:00+00', 40), (2, 2, 'A,1', '2025-02-21 12:00+00', 10);
INSERT INTO app.bin VALUES (1, 'a', 5.5), (1, 'b', 2), (2, 'a', 0);
INSERT INTO app.tariff VALUES ('00000000-0000-0000-0000-000000000001', 1, 'retail', 1, 9.90, '2025-01-01', NULL), ('00000000-0000-0000-0000-000000000002', 1, 'retail', 10, 8.50, '2025-01-01', 3);
INSERT INTO app.promo VALUES (5, 'Spring', '2025-03-01', '2025-04-30', 1000, 10, '{tea,coffee}', true), (6, 'Old', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO app.promo_product VALUES (5, 1), (5, 3);
INSERT INTO app.prospect VALUES ('L1', 'Acme', 'a@acme.test', 'new', '2025-01-05 08:00+00', NULL, 7), ('L2', 'Best', NULL, 'won', '2025-01-06 08:00+00', 4, NULL);
INSERT INTO app.issue VALUES (1, 1, '2025-02-01 08:00+00', NULL, 2, 'broken', 1), (2, 99, '2025-02-02 08:00+00', '2025-02-03 08:00+00', 1, 'late', NULL);
RESET ROLE;
SET search_path = app, public;
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE call;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN sqlstate || ': ' || sqlerrm || ' | ' || hint;
END $$;
SELECT count(*) FROM agentcrm.attach('shop', lines => 'orders', order_key => '{order_id}', client => 'l.client_id', product => 'l.product_id', at => 'l.day', quantity => 'l.qty',
	amount => 'l.qty * 10', time_zone => 'Europe/Berlin') \g /dev/null
CALL agentcrm.run();
SELECT plan(107);

-- what each query says
CREATE TEMP TABLE feed (name text PRIMARY KEY, query text, watch jsonb, key text[]);
INSERT INTO feed VALUES
	('interaction', $$SELECT id AS interaction_key, client_id AS client_key, called AS at, via AS channel, CASE WHEN incoming THEN 'in' ELSE 'out' END AS direction,
		seconds / 60.0 AS minutes, result AS outcome, rep_id AS rep_key FROM app.call WHERE id = ANY ($1)$$, '{"app.call": "id"}', NULL),
	('receivable', $$SELECT ROW(i.tenant, i.no) AS receivable_key, i.client_id AS client_key, i.due AS due_on, i.total::money AS amount, i.no AS document,
		i.total - coalesce((SELECT sum(r.sum) FROM app.receipt r WHERE (r.tenant, r.invoice) = (i.tenant, i.no)), 0) AS open_amount
		FROM app.invoice i JOIN unnest($1, $2) AS k (tenant, no) ON (i.tenant, i.no) = (k.tenant, k.no)$$,
		'{"app.invoice": ["tenant", "no"], "app.receipt": ["tenant", "invoice"]}', '{app.invoice.tenant,app.invoice.no}'),
	('payment', $$SELECT r.id AS payment_key, i.client_id AS client_key, r.at AS paid_at, r.sum AS amount, ROW(i.tenant, i.no) AS receivable_key
		FROM app.receipt r JOIN app.invoice i ON (i.tenant, i.no) = (r.tenant, r.invoice) WHERE r.id = ANY ($1)$$,
		'{"app.receipt": "id", "app.invoice": {"key": ["tenant", "no"], "keys": "SELECT r.id FROM app.receipt r JOIN unnest($1, $2) AS k (tenant, no) ON (r.tenant, r.invoice) = (k.tenant, k.no)"}}', '{app.receipt.id}'),
	('stock', $$SELECT ROW(product_id, shelf) AS stock_key, product_id AS product_key, shelf AS warehouse, units AS on_hand
		FROM app.bin JOIN unnest($1, $2) AS k (product_id, shelf) USING (product_id, shelf)$$, '{"app.bin": ["product_id", "shelf"]}', NULL),
	('price', $$SELECT id AS price_key, product_id AS product_key, price AS amount, from_qty AS min_qty, since AS valid_from, list AS price_list, client_id AS client_key
		FROM app.tariff WHERE id = ANY ($1)$$, '{"app.tariff": "id"}', NULL),
	('programme', $$SELECT id AS programme_key, title AS name, starts AS starts_on, ends AS ends_on, money AS budget, percent / 100 AS discount, groups AS categories,
		(SELECT array_agg(product_id ORDER BY product_id) FROM app.promo_product WHERE promo = id) AS product_keys, running AS active FROM app.promo WHERE id = ANY ($1)$$,
		'{"app.promo": "id", "app.promo_product": "promo"}', '{app.promo.id}'),
	('lead', $$SELECT code AS lead_key, company AS name, mail AS email, status AS stage, met AS created_at, became AS client_key, rep_id AS rep_key FROM app.prospect WHERE code = ANY ($1)$$,
		'{"app.prospect": "code"}', NULL),
	('ticket', $$SELECT id AS ticket_key, client_id AS client_key, opened AS opened_at, closed AS closed_at, prio AS severity, subject || ' (' || coalesce(name, '?') || ')' AS subject,
		product_id AS product_key FROM app.open_issue WHERE id = ANY ($1)$$,
		'{"app.issue": "id", "app.issue_note": "issue", "app.clients": {"key": "client_id", "keys": "SELECT id FROM app.issue WHERE client_id = ANY ($1)"}}', '{app.issue.id}');

-- a query that differs from the right one answers with the column, the type and what to do; nothing is created
CREATE FUNCTION pg_temp.wrong(which text, is_now text, becomes text, given_key text[] DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.answer(format('SELECT * FROM agentcrm.attach_feed(%L, %L, %L, %L, %L)', 'shop', name, replace(query, is_now, becomes), watch, coalesce(given_key, key))) FROM feed WHERE name = which $$;
SELECT matches(pg_temp.wrong('interaction', 'client_id AS client_key,', ''), '^42703: attach: query of feed interaction does not give client_key . It must give interaction_key, client_key, at; it may give channel, kind', 'a missing column is named, with all there are');
SELECT matches(pg_temp.wrong('interaction', 'via AS channel', 'via AS chanel'), '42703: attach: query of feed interaction gives a column that is not known: chanel . Known: interaction_key, ', 'a misspelt one, too');
SELECT matches(pg_temp.wrong('interaction', 'called AS at', 'called::text AS at'), '42804: attach: query of feed interaction, column at: type text is not a date or time . Cast it to date', 'time of a wrong type');
SELECT matches(pg_temp.wrong('interaction', 'seconds / 60.0', 'via'), '42804: attach: query of feed interaction, column minutes: type text is not a number . Cast it', 'number of a wrong type');
SELECT matches(pg_temp.wrong('programme', 'running AS active', 'id AS active'), '42804: attach: query of feed programme, column active: type integer is not boolean', 'flag of a wrong type');
SELECT matches(pg_temp.wrong('programme', 'groups AS', 'title AS'), '42804: attach: query of feed programme, column categories: type text is not an array . Give an array', 'array of a wrong type');
SELECT matches(pg_temp.wrong('interaction', $$'in'$$, $$'inbound'$$), '22023: attach: query of feed interaction, column direction gives "inbound"; it must be in, out or NULL . For example CASE direction WHEN', 'word that is none of those known');
SELECT matches(pg_temp.wrong('interaction', 'called AS at', 'CASE id WHEN 1 THEN called END AS at'), '22004: attach: query of feed interaction, column at: it is NULL in 2 of 3 rows tried . Leave such rows out', 'NULL where a value is needed');
SELECT matches(pg_temp.wrong('interaction', 'WHERE id = ANY ($1)', 'WHERE id = ANY ($1) OR id = 1', NULL), 'no error', 'keys that were asked for are all right');
SELECT agentcrm.detach('shop') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.source), 0, 'detached');
SELECT is((SELECT count(*)::int FROM agentcrm.interaction), 0, 'and its feeds are gone');
SELECT count(*) FROM agentcrm.attach('shop', lines => 'orders', order_key => '{order_id}', client => 'l.client_id', product => 'l.product_id', at => 'l.day', quantity => 'l.qty',
	amount => 'l.qty * 10', time_zone => 'Europe/Berlin') \g /dev/null
CALL agentcrm.run();
SELECT matches(pg_temp.wrong('interaction', 'id AS interaction_key', '1000 + id AS interaction_key'), '22023: attach: query of feed interaction gives interaction_key 1001, which was not asked for . The query must give', 'keys that were not');
SELECT matches(pg_temp.wrong('interaction', 'id AS interaction_key', 'id::text AS interaction_key'), '42804: attach: query of feed interaction: interaction_key is of type text, but the key column is of type integer . Give the key column', 'key of another type');
SELECT matches(pg_temp.wrong('stock', 'ROW(product_id, shelf) AS', 'product_id AS'), '42804: attach: query of feed stock: stock_key is of type integer, but the key has 2 columns . Give ROW\(product_id, shelf\) AS stock_key', 'key of fewer columns');
SELECT matches(pg_temp.wrong('ticket', 'FROM app.open_issue', 'FROM app.open_issue, generate_series(1, 2)'), '21000: attach: query of feed ticket gives ticket_key 1 more than once for one client_key . Aggregate', 'rows given twice');
SELECT matches(pg_temp.wrong('interaction', 'client_id AS client_key', 'client_id::text AS client_key'), '42804: attach: query of feed interaction, column client_key: type text is not that by which orders name clients . Orders give client_key as integer', 'clients by a key of another type');
SELECT matches(pg_temp.wrong('stock', 'product_id AS product_key', 'product_id::text AS product_key'), '42804: attach: query of feed stock, column product_key: type text is not that by which orders name products', 'so with products');
SELECT matches(pg_temp.wrong('interaction', 'FROM app.call', 'FROM app.cal'), '42P01: attach: query of feed interaction: relation "app.cal" does not exist', 'a table that is not there');
SELECT matches(pg_temp.answer(format('SELECT * FROM agentcrm.attach_feed(%L, %L, NULL, %L)', 'shop', 'lead', '{"app.prospect": "code"}')), '22023: attach: pass query: a SELECT over .1, the keys . It must give lead_key, created_at.', 'no query');
SELECT matches(pg_temp.answer(format('SELECT * FROM agentcrm.attach_feed(%L, %L, %L, %L)', 'shop', 'weather', 'SELECT 1', '{}')), '0A000: attach: feed .weather. is not known in this version . Known feeds: client, product, rep, interaction, receivable, payment, stock, price, programme, lead, ticket.', 'a feed that is not known');
SELECT matches(pg_temp.answer((SELECT format('SELECT * FROM agentcrm.attach_feed(%L, %L, %L, %L, %L)', 'shop', name, query, '{"app.receipt": "id", "app.invoice": {"key": ["tenant", "no"], "keys": "SELECT no FROM app.invoice WHERE no = ANY ($2)"}}', key) FROM feed WHERE name = 'payment')),
	'42804: attach: argument watch, keys of app.invoice does not give the key', 'a touch query of the wrong type');
SELECT is((SELECT count(*)::int FROM agentcrm.source_part WHERE kind = 'feed'), 0, 'refused calls create nothing');
SELECT is((SELECT string_agg(item, ' ' ORDER BY item) FROM agentcrm.attach_feed('shop', 'lead', (SELECT query FROM feed WHERE name = 'lead'), '{"app.prospect": "code"}', dry_run => true) WHERE item ~ 'feed|triggers|next'),
	'feed lead next triggers', 'a dry run reports');
SELECT is((SELECT count(*)::int FROM agentcrm.source_part WHERE kind = 'feed'), 0, 'and creates nothing');
SELECT matches((SELECT string_agg(detail, ' ') FROM agentcrm.attach_feed('shop', 'ticket', (SELECT query FROM feed WHERE name = 'ticket'), '{"app.issue": "id"}', dry_run => true) WHERE item = 'remark'),
	'app.clients is read by the query of feed ticket but not watched', 'a table below a view that is not watched is remarked upon');

-- all of them
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'lead', f.query, f.watch, f.key) WHERE f.name = 'lead' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'interaction', f.query, f.watch, f.key) WHERE f.name = 'interaction' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'receivable', f.query, f.watch, f.key) WHERE f.name = 'receivable' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'payment', f.query, f.watch, f.key) WHERE f.name = 'payment' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'stock', f.query, f.watch, f.key) WHERE f.name = 'stock' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'price', f.query, f.watch, f.key) WHERE f.name = 'price' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'programme', f.query, f.watch, f.key) WHERE f.name = 'programme' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'ticket', f.query, f.watch, f.key) WHERE f.name = 'ticket' \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.progress WHERE source = 'shop' AND part IN (SELECT name FROM feed)), 8, 'progress has them');
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'all is read');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify: stored as given');

-- A table's rows as text, without what is the same everywhere; times in UTC.
CREATE FUNCTION pg_temp.rows(feed text) RETURNS text LANGUAGE plpgsql SET timezone = 'UTC' SET datestyle = 'ISO' AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format($q$SELECT string_agg((SELECT string_agg(key || '=' || value, ' ' ORDER BY key COLLATE "C") FROM jsonb_each_text(to_jsonb(t) - '{source_id,recorded_at}'::text[]) WHERE value IS NOT NULL
		AND NOT (key ~ '_id$' AND abs(length(value)) > 6)), '; ' ORDER BY t.%I COLLATE "C", t::text) FROM agentcrm.%I t$q$, feed || '_key', feed) INTO result;
	RETURN result;
END $$;
SELECT is(pg_temp.rows('interaction'), 'at=2025-02-01T09:00:00+00:00 channel=phone client_id=1 client_key=1 direction=out interaction_id=1 interaction_key=1 minutes=5.0000000000000000 outcome=agreed rep_id=7; '
	'at=2025-02-02T10:00:00+00:00 channel=mail client_id=2 client_key=2 direction=in interaction_id=2 interaction_key=2', 'interaction: local times; a call of nobody is left out');
SELECT is((SELECT rep_key FROM agentcrm.rep WHERE rep_id = 7), '7', 'its rep is known');
SELECT is(pg_temp.rows('receivable'), 'amount=100.00 client_id=1 client_key=1 document=A,1 due_on=2025-03-01 open_amount=60.00 receivable_key=1,A\,1; '
	'amount=50.00 client_id=2 client_key=2 document=A\2 due_on=2025-03-02 open_amount=50.00 receivable_key=1,A\\2; '
	'amount=10.00 client_id=3 client_key=3 document=A,1 due_on=2025-03-03 open_amount=0.00 receivable_key=2,A\,1', 'receivable: composite keys, and a sum over another table');
SELECT is(pg_temp.rows('payment'), 'amount=40.00 client_id=1 client_key=1 paid_at=2025-02-20T12:00:00+00:00 payment_id=1 payment_key=1 receivable_key=1,A\,1; '
	'amount=10.00 client_id=3 client_key=3 paid_at=2025-02-21T12:00:00+00:00 payment_id=2 payment_key=2 receivable_key=2,A\,1', 'payment: from a join');
SELECT is((SELECT count(*)::int FROM agentcrm.payment JOIN agentcrm.receivable USING (client_id, source_id, receivable_id)), 2, 'which finds its receivable');
SELECT is(pg_temp.rows('stock'), 'on_hand=5.5 product_id=1 product_key=1 stock_key=1,a warehouse=a; on_hand=2 product_id=1 product_key=1 stock_key=1,b warehouse=b; on_hand=0 product_id=2 product_key=2 stock_key=2,a warehouse=a', 'stock');
SELECT is(pg_temp.rows('price'), 'amount=9.90 min_qty=1 price_key=00000000-0000-0000-0000-000000000001 price_list=retail product_id=1 product_key=1 valid_from=2025-01-01; '
	'amount=8.50 client_id=3 client_key=3 min_qty=10 price_key=00000000-0000-0000-0000-000000000002 price_list=retail product_id=1 product_key=1 valid_from=2025-01-01', 'price');
SELECT is(pg_temp.rows('programme'), 'active=true budget=1000 categories=["tea", "coffee"] discount=0.10000000000000000000 ends_on=2025-04-30 name=Spring product_ids=[1, 3] programme_id=5 programme_key=5 starts_on=2025-03-01; '
	'active=true name=Old programme_id=6 programme_key=6', 'programme: arrays, and true by default');
SELECT is(pg_temp.rows('lead'), 'created_at=2025-01-05T08:00:00+00:00 email=a@acme.test lead_key=L1 name=Acme rep_id=7 stage=new; '
	'client_id=4 client_key=4 created_at=2025-01-06T08:00:00+00:00 lead_key=L2 name=Best stage=won', 'lead');
SELECT is(pg_temp.rows('ticket'), 'client_id=1 client_key=1 opened_at=2025-02-01T08:00:00+00:00 product_id=1 product_key=1 severity=2 subject=broken (client 1) ticket_id=1 ticket_key=1; '
	'client_id=99 client_key=99 closed_at=2025-02-03T08:00:00+00:00 opened_at=2025-02-02T08:00:00+00:00 severity=1 subject=late (?) ticket_id=2 ticket_key=2', 'ticket: from a view; of a client nobody knows yet');
SELECT is((SELECT count(*)::int FROM agentcrm.client WHERE client_id = 99), 0, 'who is not made a client by that');

-- insert, update, delete
INSERT INTO app.call VALUES (4, 1, '2025-02-05 10:00', 'visit', false, NULL, NULL, 8);
UPDATE app.call SET client_id = 4 WHERE id = 3;
UPDATE app.call SET client_id = 3, result = 'called again' WHERE id = 1;
DELETE FROM app.call WHERE id = 2;
INSERT INTO app.invoice VALUES (3, 'N', 4, '2025-05-01', 7);
INSERT INTO app.receipt VALUES (3, 1, 'A\2', '2025-03-01 00:00+00', 50);
UPDATE app.invoice SET client_id = 4 WHERE (tenant, no) = (2, 'A,1');
UPDATE app.invoice SET no = 'B' WHERE (tenant, no) = (1, 'A,1');
DELETE FROM app.receipt WHERE id = 1;
UPDATE app.bin SET units = units + 1 WHERE product_id = 1 AND shelf = 'a';
DELETE FROM app.bin WHERE shelf = 'b';
INSERT INTO app.bin VALUES (3, 'c', 9);
UPDATE app.tariff SET price = 8.40, product_id = 2 WHERE from_qty = 10;
DELETE FROM app.tariff WHERE from_qty = 1;
DELETE FROM app.promo_product WHERE product_id = 3;
UPDATE app.promo SET running = false WHERE id = 6;
INSERT INTO app.promo (id, title) VALUES (7, 'New');
UPDATE app.prospect SET became = 2, status = 'won' WHERE code = 'L1';
DELETE FROM app.prospect WHERE code = 'L2';
INSERT INTO app.prospect VALUES ('L3', NULL, NULL, NULL, '2025-06-01 00:00+00', NULL, NULL);
UPDATE app.clients SET name = 'One' WHERE client_id = 1;
UPDATE app.issue SET prio = 5 WHERE id = 2;
INSERT INTO app.issue VALUES (3, 2, '2025-02-09 00:00+00', NULL, NULL, 'wrong', 3);
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'changes are read');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'and nothing differs');
SELECT is((SELECT string_agg(concat_ws(' ', interaction_key, client_id, outcome), ', ' ORDER BY interaction_key) FROM agentcrm.interaction), '1 3 called again, 3 4, 4 1', 'interaction: moved to another client, no longer of nobody, deleted, inserted');
SELECT is((SELECT string_agg(concat_ws(' ', receivable_key, client_id, open_amount), '; ' ORDER BY receivable_key COLLATE "C") FROM agentcrm.receivable), '1,A\\2 2 0.00; 1,B 1 100.00; 2,A\,1 4 0.00; 3,N 4 7.00', 'receivable: another key, paid, unpaid');
SELECT is((SELECT string_agg(concat_ws(' ', payment_key, client_id, receivable_key), '; ' ORDER BY payment_key) FROM agentcrm.payment), '2 4 2,A\,1; 3 2 1,A\\2', 'payment: follows the invoice it was joined with');
SELECT is((SELECT string_agg(concat_ws(' ', product_id, warehouse, on_hand), '; ' ORDER BY product_id) FROM agentcrm.stock), '1 a 6.5; 2 a 0; 3 c 9', 'stock');
SELECT is((SELECT string_agg(concat_ws(' ', product_id, min_qty, amount), '; ') FROM agentcrm.price), '2 10 8.40', 'price');
SELECT is((SELECT string_agg(concat_ws(' ', programme_key, active, product_ids::text), '; ' ORDER BY programme_key) FROM agentcrm.programme), '5 t {1}; 6 f; 7 t', 'programme');
SELECT is((SELECT string_agg(concat_ws(' ', lead_key, stage, client_id), '; ' ORDER BY lead_key) FROM agentcrm.lead), 'L1 won 2; L3', 'lead');
SELECT is((SELECT string_agg(concat_ws(' ', ticket_key, severity, subject), '; ' ORDER BY ticket_key) FROM agentcrm.ticket), '1 2 broken (One); 2 5 late (?); 3 wrong (client 2)', 'ticket: follows the table below the view');

-- nothing is written where nothing changes
SELECT xmin::text AS before FROM agentcrm.ticket WHERE ticket_id = 1 \gset
UPDATE app.issue SET closed = NULL;
CALL agentcrm.run();
SELECT is((SELECT xmin::text FROM agentcrm.ticket WHERE ticket_id = 1), :'before', 'a change of nothing writes nothing');

-- an unknown client comes later
INSERT INTO app.clients VALUES (99, 'late comer');
INSERT INTO app.orders VALUES (100, 99, 1, '2025-03-01', 1);
CALL agentcrm.run();
SELECT is((SELECT c.client_key || ' ' || t.subject FROM agentcrm.ticket t JOIN agentcrm.client c USING (client_id) WHERE ticket_id = 2), '99 late (late comer)', 'a ticket joins the client that comes later');

-- a client whose key changes takes his rows along
UPDATE app.call SET client_id = 1004 WHERE client_id = 4;
UPDATE app.invoice SET client_id = 1004 WHERE client_id = 4;
UPDATE app.orders SET client_id = 1004 WHERE client_id = 4;
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.interaction WHERE client_id IN (4, 1004)) || ' ' || (SELECT count(*)::int FROM agentcrm.receivable WHERE client_id = 1004), '1 2', 'rows follow a changed client key');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');

-- what cannot be stored is set aside, key by key, and comes when it can
UPDATE app.issue SET prio = 1 WHERE id = 1;
INSERT INTO app.call VALUES (5, 1, NULL, 'phone', false, 1, NULL, NULL), (6, 1, '2025-02-07', 'phone', false, 1, NULL, NULL);
CALL agentcrm.run();
SELECT is((SELECT string_agg(key || ' ' || sqlstate || ' ' || message, ', ') FROM agentcrm.event_failed), '5 22004 column "at" of feed "interaction" is NULL', 'a row without a time is set aside');
SELECT is((SELECT count(*)::int FROM agentcrm.interaction WHERE interaction_id IN (5, 6)), 1, 'the others are not');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'and verify knows');
UPDATE app.call SET called = '2025-02-06' WHERE id = 5;
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'it is read when it has one');

INSERT INTO agentcrm.rep (rep_id, namespace, rep_key) VALUES (70, 0, 'seventy');
UPDATE app.call SET rep_id = 70 WHERE id = 5;
CALL agentcrm.run();
SELECT is((SELECT string_agg(key || ' ' || message, ', ') FROM agentcrm.event_failed), '5 rep key "70" has id 70, which belongs to key "seventy"', 'a key whose id is another''s is not mixed up with it');
DELETE FROM agentcrm.rep WHERE rep_id = 70;
UPDATE app.call SET rep_id = 71 WHERE id = 5;
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'read');

INSERT INTO app.issue_note VALUES ('003', 'a key spelt in another way'), ('4711', 'of no issue');
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'a watched table may spell keys in another way');

-- verify sees what was changed behind; resync and reconcile mend it
UPDATE agentcrm.interaction SET outcome = 'forged' WHERE interaction_id = 1;
DELETE FROM agentcrm.lead WHERE lead_key = 'L3';
INSERT INTO agentcrm.ticket (client_id, ticket_id, opened_at, recorded_at, source_id, ticket_key, client_key) SELECT 1, 77, now(), now(), source_id, '77', '1' FROM agentcrm.source;
SELECT results_eq('SELECT what, key, column_name, expected, found FROM agentcrm.verify() ORDER BY what',
	$$VALUES ('interaction', '1', 'outcome', 'called again', 'forged'), ('lead', 'L3', NULL, 'a row', NULL), ('ticket', '77', NULL, NULL, 'stored, but gone from the application')$$, 'verify: changed, surplus, missing');
SELECT agentcrm.resync('shop', 'interaction') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT outcome FROM agentcrm.interaction WHERE interaction_id = 1), 'called again', 'resync of a feed');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 2, 'and of no other');
SELECT agentcrm.reconcile('shop') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'reconcile mends the rest');
SELECT results_eq($$SELECT p.name, l.missing, l.changed, l.surplus FROM agentcrm.reconcile_log l JOIN agentcrm.source_part p USING (source_id, part)
	WHERE l.cause = 'reconcile' AND l.missing + l.changed + l.surplus > 0 ORDER BY p.name$$, $$VALUES ('lead', 1::bigint, 0::bigint, 0::bigint), ('ticket', 0, 0, 1)$$, 'and tells of it');
ALTER TABLE app.call DISABLE TRIGGER ALL;
UPDATE app.call SET result = 'unseen' WHERE id = 4;
DELETE FROM app.call WHERE id = 3;
ALTER TABLE app.call ENABLE TRIGGER ALL;
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 2, 'what no trigger saw differs');
SELECT agentcrm.reconcile('shop') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'until a reconcile');
TRUNCATE app.bin;
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.stock), 0, 'TRUNCATE');

-- replaced, and broken by a change of the table
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'lead', replace(f.query, 'mail AS email', 'upper(mail) AS email'), f.watch, f.key) WHERE f.name = 'lead' \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT email FROM agentcrm.lead WHERE lead_key = 'L1'), 'A@ACME.TEST', 'a feed given again replaces the first');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');
ALTER TABLE app.prospect RENAME mail TO e_mail;
UPDATE app.prospect SET status = 'lost' WHERE code = 'L1';
CALL agentcrm.run();
SELECT matches((SELECT problem FROM agentcrm.source), 'query of feed lead: column "?mail"? does not exist .*agentcrm.attach_feed\(''shop'', ''lead''', 'a renamed column: the call that mends it');
SELECT substring(problem FROM 'SELECT agentcrm\.attach_feed.*$') AS mend FROM agentcrm.source \gset
SELECT is(pg_temp.answer(replace(:'mend', 'SELECT agentcrm', 'SELECT * FROM agentcrm')), 'no error', 'which works');
CALL agentcrm.run();
SELECT is((SELECT stage FROM agentcrm.lead WHERE lead_key = 'L1'), 'lost', 'and all goes on');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');
SELECT count(*) FROM agentcrm.alter_source('shop', amount => 'l.qty * 11') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.source_part WHERE kind = 'feed'), 8, 'alter_source keeps the feeds');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');

-- taken away
SELECT matches(pg_temp.answer($$SELECT agentcrm.detach_feed('nothing', 'lead')$$), '42704: source "nothing" does not exist', 'detach_feed: unknown source');
SELECT matches(pg_temp.answer($$SELECT agentcrm.detach_feed('shop', 'rep')$$), '42704: detach_feed: source "shop" has no feed ''rep'' . Feeds: lead, interaction,', 'unknown feed');
SELECT matches(pg_temp.answer($$SELECT agentcrm.detach_feed('shop', NULL)$$), '42704: detach_feed: source "shop" has no feed NULL', 'NULL');
SELECT count(*) AS triggers FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc \gset
DROP TABLE app.promo_product;
UPDATE app.promo SET title = 'Newer' WHERE id = 7;
CALL agentcrm.run();
SELECT is((SELECT state FROM agentcrm.source), 'broken', 'a table of a feed is gone');
SELECT agentcrm.detach_feed('shop', 'programme'), agentcrm.detach_feed('shop', 'ticket') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT state FROM agentcrm.source), 'shadow', 'without the feed it goes on');
SELECT is((SELECT count(*)::int FROM agentcrm.programme) + (SELECT count(*)::int FROM agentcrm.ticket), 0, 'its rows are gone');
SELECT is((SELECT count(*)::int FROM agentcrm.source_part WHERE 'ticket' IN (name, touches)) || ' ' || (SELECT :triggers - count(*)::int FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc), '0 10', 'so are its parts and triggers');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');
SELECT count(*) FROM feed f, agentcrm.attach_feed('shop', 'ticket', f.query, f.watch, f.key) WHERE f.name = 'ticket' \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(*) FROM agentcrm.ticket), (SELECT count(*) FROM app.issue), 'attached again');

-- rights: read as the source's role, restricted
SET ROLE regress_feeds_app;
CREATE TABLE app.secret (id int PRIMARY KEY, client_id int, at timestamptz);
CREATE FUNCTION app.writes(int) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.clients; RETURN now(); END $$;
INSERT INTO app.secret VALUES (1, 1, '2025-01-01');
RESET ROLE;
ALTER TABLE app.secret OWNER TO regress_feeds_other;
SELECT matches(pg_temp.answer($$SELECT * FROM agentcrm.attach_feed('shop', 'interaction', 'SELECT id AS interaction_key, client_id AS client_key, at FROM app.secret WHERE id = ANY ($1)', '{"app.secret": "id"}')$$),
	'42501: attach: role regress_feeds_app, as which the source is read, may not read app.secret . GRANT SELECT', 'a table that the reading role may not read');
SELECT matches(pg_temp.answer($$SELECT * FROM agentcrm.attach_feed('shop', 'interaction', 'SELECT id AS interaction_key, client_id AS client_key, app.writes(id) AS at FROM app.call WHERE id = ANY ($1)', '{"app.call": "id"}')$$),
	'^25006: attach: query of feed interaction: cannot execute DELETE in a read-only transaction', 'a query that writes');
SELECT is((SELECT count(*)::int FROM app.clients), 5, 'and has not written');
SELECT ok(NOT has_table_privilege('regress_feeds_other', 'agentcrm.' || name, 'SELECT'), 'nobody else may read what is stored: ' || name) FROM feed WHERE name = 'ticket';

-- many rows, in more than one step
INSERT INTO app.issue SELECT g, 1 + g % 50, '2025-01-01'::timestamptz + g * interval '1 minute', NULL, g % 3, 'many', NULL FROM generate_series(1000, 8000) g;
CALL agentcrm.run();
DELETE FROM app.issue WHERE id % 2 = 1 AND id >= 1000;
UPDATE app.issue SET prio = 9 WHERE id % 3 = 1 AND id >= 1000;
CALL agentcrm.run();
SELECT is_empty($$SELECT id, client_id, prio FROM app.issue EXCEPT SELECT ticket_id, client_id, severity FROM agentcrm.ticket$$, 'many rows');
SELECT is((SELECT count(*) FROM agentcrm.ticket), (SELECT count(*) FROM app.issue), 'and no more');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');

TRUNCATE app.clients;
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.ticket WHERE subject !~ '\(\?\)$'), 0, 'TRUNCATE of a table whose rows touch a feed''s');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');

-- a second source, in a namespace of its own; a third that shares the first one's
SELECT count(*) FROM agentcrm.attach('second', lines => 'orders', order_key => '{order_id}', client => 'l.client_id', product => 'l.product_id', at => 'l.day', quantity => 'l.qty', amount => 'l.qty') \g /dev/null
SELECT count(*) FROM agentcrm.attach('third', lines => 'orders', order_key => '{order_id}', client => 'l.client_id', product => 'l.product_id', at => 'l.day', quantity => 'l.qty', amount => 'l.qty', namespace => 'shop') \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('second', 'interaction', f.query, f.watch, f.key) WHERE f.name = 'interaction' \g /dev/null
SELECT count(*) FROM feed f, agentcrm.attach_feed('third', 'interaction', f.query, f.watch, f.key) WHERE f.name = 'interaction' \g /dev/null
CALL agentcrm.run();
SELECT results_eq($$SELECT s.name, i.client_key = c.client_key, count(*) FROM agentcrm.interaction i JOIN agentcrm.source s USING (source_id) JOIN agentcrm.client c USING (client_id, namespace) GROUP BY 1, 2 ORDER BY 1$$,
	$$SELECT s, true, (SELECT count(*) FROM app.call WHERE client_id IN (SELECT client_id FROM app.orders)) FROM unnest('{second,shop,third}'::text[]) s$$, 'sources keep their rows apart, in two namespaces');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');
SELECT agentcrm.detach('third'), agentcrm.detach('second') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(DISTINCT source_id)::int FROM agentcrm.interaction), 1, 'and take only their own along');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify');

-- writes at random, in several transactions
SELECT setseed(.42) \g /dev/null
CREATE PROCEDURE pg_temp.writes(n int) LANGUAGE plpgsql AS $$
DECLARE
	k int;
	c int;
BEGIN
	FOR i IN 1..n LOOP
		k := 10000 + (random() * 60)::int;
		c := 1 + (random() * 6)::int;
		CASE (random() * 9)::int
			WHEN 0, 1 THEN INSERT INTO app.call VALUES (k, c, '2025-06-01'::timestamp + k * interval '1 minute', 'phone', c > 3, k) ON CONFLICT (id) DO UPDATE SET client_id = excluded.client_id;
			WHEN 2 THEN DELETE FROM app.call WHERE id = k;
			WHEN 3 THEN UPDATE app.call SET id = id + 1000, client_id = nullif(c, 2) WHERE id = k AND NOT EXISTS (SELECT FROM app.call x WHERE x.id = k + 1000);
			WHEN 4 THEN INSERT INTO app.invoice VALUES (9, k::text, c, '2025-07-01', k) ON CONFLICT DO NOTHING;
			WHEN 5 THEN INSERT INTO app.receipt VALUES (k, 9, (k + c - 3)::text, '2025-07-01', c) ON CONFLICT (id) DO UPDATE SET invoice = excluded.invoice;
			WHEN 6 THEN UPDATE app.invoice SET no = (k + 500)::text, client_id = c WHERE (tenant, no) = (9, k::text) AND NOT EXISTS (SELECT FROM app.invoice x WHERE (x.tenant, x.no) = (9, (k + 500)::text));
			WHEN 7 THEN DELETE FROM app.invoice WHERE (tenant, no) = (9, k::text);
			WHEN 8 THEN INSERT INTO app.clients VALUES (c, 'client ' || k) ON CONFLICT (client_id) DO UPDATE SET name = excluded.name;
			ELSE DELETE FROM app.receipt WHERE id = k;
		END CASE;
		IF i % 7 = 0 THEN
			ROLLBACK;
		ELSIF i % 5 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
CALL pg_temp.writes(1500);
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'random writes are read');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'and nothing differs');
SELECT ok((SELECT count(*) FROM agentcrm.interaction WHERE interaction_id > 10000) > 10 AND (SELECT count(*) FROM agentcrm.payment WHERE payment_id > 10000) > 5, 'there was something to read');

-- forget, detach
INSERT INTO app.call VALUES (9, 1, '2025-02-07', 'phone', false, 1, NULL, NULL);
CALL agentcrm.run();
INSERT INTO agentcrm.event_failed (source_id, part, key, attempts, sqlstate, message, first_at, last_at, retry_at) SELECT source_id, part, '9', 1, 'XX000', 'a test', now(), now(), 'infinity' FROM agentcrm.source_part WHERE name = 'interaction';
SELECT is((SELECT string_agg("table" || ' ' || rows, ', ' ORDER BY "table") FROM agentcrm.forget(1) AS f ("table", rows) WHERE "table" IN (SELECT name FROM feed UNION SELECT 'event_failed')),
	(SELECT format('event_failed 1, interaction %s, lead 0, payment %s, price 0, receivable %s, ticket %s', (SELECT count(*) FROM app.call WHERE client_id = 1),
	(SELECT count(*) FROM app.receipt r JOIN app.invoice i ON (i.tenant, i.no) = (r.tenant, r.invoice) WHERE i.client_id = 1), (SELECT count(*) FROM app.invoice WHERE client_id = 1),
	(SELECT count(*) FROM app.issue WHERE client_id = 1))), 'forget erases a person''s rows');
SELECT is_empty('SELECT client_id FROM agentcrm.interaction WHERE client_id = 1 UNION ALL SELECT client_id FROM agentcrm.ticket WHERE client_id = 1', 'all of them');
SELECT is((SELECT string_agg(c.relname, ', ') FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'client_id' WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relkind IN ('r', 'p')
	AND NOT c.relispartition AND c.relname NOT IN (SELECT table_name FROM agentcrm.forget(2))), NULL, 'forget knows every table that has clients');
SELECT agentcrm.detach('shop') \g /dev/null
CALL agentcrm.run();
SELECT is_empty($$SELECT name FROM feed f WHERE (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM agentcrm.' || f.name, true, true, '')))[1]::text <> '0'$$, 'detach leaves no row of a feed');
SELECT is((SELECT count(*)::int FROM agentcrm.source), 0, 'and no source');

-- The tables have the columns of their feeds, of their types.
SELECT set_eq($$SELECT f.feed, f.target FROM agentcrm.feed_columns() f WHERE f.facts AND f.target IS NOT NULL
	UNION SELECT f.feed, f.col FROM agentcrm.feed_columns() f WHERE f.facts AND (f.col = f.feed || '_key' OR f.col IN ('client_key', 'product_key', 'receivable_key'))$$,
	$$SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'agentcrm'::regnamespace
	AND c.relname IN (SELECT feed FROM agentcrm.feed_columns() WHERE facts) AND c.relkind = 'r' AND a.attname NOT IN ('source_id', 'recorded_at', c.relname || '_id')$$, 'tables and feeds have the same columns');

SELECT * FROM finish();
DROP SCHEMA app CASCADE;
DROP ROLE regress_feeds_app, regress_feeds_other;
