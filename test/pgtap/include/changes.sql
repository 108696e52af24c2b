-- The application changes the tables of two attached sources, shop (orders, partitioned lines, clients) and till (a table with children).
-- :events says whether event triggers are there; the steps' own look must come to the same without them.
SET ROLE regress_changes_app;

-- partitions come
CREATE TABLE shop.line_3 PARTITION OF shop.line FOR VALUES FROM (200) TO (300);
INSERT INTO shop.orders VALUES (201, 1, '2025-03-01');
INSERT INTO shop.line VALUES (201, 1, 1, 2, 3);
RESET ROLE;
SELECT is(pg_temp.triggers('shop.line_3'), CASE WHEN :events THEN 2 ELSE 1 END, 'a new partition has its row trigger at once, and that for TRUNCATE by the event trigger');
SELECT max(reading) AS readings FROM agentcrm.reconcile_log WHERE source_id = 1 \gset
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'a partition is created');
SELECT is(pg_temp.triggers('shop.line_3'), 2, 'and has both triggers');
SELECT is((SELECT max(reading) = :readings FROM agentcrm.reconcile_log WHERE source_id = 1), :events, 'nothing need be read again where an event trigger was there first');
SET ROLE regress_changes_app;
TRUNCATE shop.line_3;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'that partition is truncated');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger WHERE source_id = 1 AND order_id = 201), 0, 'its lines are gone');

SET ROLE regress_changes_app;
CREATE TABLE shop.line_4 (LIKE shop.line);
INSERT INTO shop.orders VALUES (301, 2, '2025-03-01');
INSERT INTO shop.line_4 VALUES (301, 1, 1, 2, 3);
RESET ROLE;
CALL agentcrm.run();
SET ROLE regress_changes_app;
ALTER TABLE shop.line ATTACH PARTITION shop.line_4 FOR VALUES FROM (300) TO (400);
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'a partition with rows is attached');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger WHERE source_id = 1 AND order_id = 301), 1, 'its lines are counted');
SELECT matches(pg_temp.cause(), '^tables changed: tables without triggers in shop\.line$', 'the log of reconciles says why it was read again');
SELECT matches((SELECT reconcile_found FROM agentcrm.status WHERE name = 'shop'), 'order: 1 missing, .*tables without triggers in shop\.line', 'and status what was found');

-- and go
SET ROLE regress_changes_app;
ALTER TABLE shop.line DETACH PARTITION shop.line_4;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'a partition is detached');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger WHERE source_id = 1 AND order_id = 301), 0, 'its lines are gone');
SELECT is(pg_temp.triggers('shop.line_4'), 0, 'and so is its trigger');
SELECT matches(pg_temp.cause(), 'tables gone from shop\.line', 'the log says why');
SET ROLE regress_changes_app;
UPDATE shop.line_4 SET qty = 7;
ALTER TABLE shop.line ATTACH PARTITION shop.line_4 FOR VALUES FROM (300) TO (400);
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'it is changed and attached again');
SELECT is((SELECT quantity FROM agentcrm.ledger WHERE source_id = 1 AND order_id = 301), 7::numeric, 'with what was changed meanwhile');
SET ROLE regress_changes_app;
DROP TABLE shop.line_4;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'a partition is dropped');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger WHERE source_id = 1 AND order_id = 301), 0, 'its lines are gone');

-- children, which take nothing from their parent
SET ROLE regress_changes_app;
CREATE TABLE till.sale_2026 () INHERITS (till.sale);
INSERT INTO till.sale_2026 VALUES (101, 3, '2026-01-01', 10);
RESET ROLE;
SELECT is(pg_temp.triggers('till.sale_2026'), CASE WHEN :events THEN 2 ELSE 0 END, 'a new child has its triggers at once by the event trigger');
CALL agentcrm.run();
SELECT is(pg_temp.state('till'), '0 0 live', 'a child is created, and written to');
SET ROLE regress_changes_app;
UPDATE till.sale_2026 SET total = 11;
CREATE TABLE till.sale_old (LIKE till.sale);
INSERT INTO till.sale_old VALUES (102, 3, '2020-01-01', 10);
ALTER TABLE till.sale_old INHERIT till.sale;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('till'), '0 0 live', 'a table with rows becomes a child');
SELECT is((SELECT sum(amount) FROM agentcrm.ledger WHERE source_id = 2 AND order_id > 100), 21::numeric, 'its rows are counted');
SET ROLE regress_changes_app;
UPDATE till.sale_old SET total = 20;
RESET ROLE;
CALL agentcrm.run();
SELECT is((SELECT sum(amount) FROM agentcrm.ledger WHERE source_id = 2 AND order_id > 100), 31::numeric, 'and followed');
SET ROLE regress_changes_app;
ALTER TABLE till.sale_old NO INHERIT till.sale;
DROP TABLE till.sale_2026;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('till'), '0 0 live', 'children go');
SELECT is(pg_temp.triggers('till.sale_old'), 0, 'without triggers');
DROP TABLE till.sale_old;

-- triggers off
SET ROLE regress_changes_app;
ALTER TABLE shop.line DISABLE TRIGGER ALL;
UPDATE shop.line SET qty = qty + 1 WHERE order_id = 1;
ALTER TABLE shop.line ENABLE TRIGGER ALL;
RESET ROLE;
SELECT isnt(pg_temp.fires('shop.line'), 'A', 'DISABLE and ENABLE TRIGGER ALL lose ENABLE ALWAYS');
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'triggers were off for a moment');
SELECT is(pg_temp.fires('shop.line') || pg_temp.fires('shop.line_1'), 'AA', 'they fire always again');
SELECT matches(pg_temp.cause(), 'triggers off on shop\.line', 'the log says why it was read again');
SET session_replication_role = replica;
UPDATE shop.line SET qty = qty + 1 WHERE order_id = 2;
RESET session_replication_role;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'what is written as a replica is seen');
SET ROLE regress_changes_app;
ALTER TABLE shop.orders DISABLE TRIGGER ALL;
RESET ROLE;
CALL agentcrm.run();
UPDATE shop.orders SET client_id = client_id % 9 + 1 WHERE order_id = 3;
CALL agentcrm.run();
SELECT isnt((SELECT count(*) FROM agentcrm.verify()), 0::bigint, 'what somebody has switched off stays off');
SELECT matches(pg_temp.remark('shop'), '^triggers are off on shop\.orders: changes there are not seen; ALTER TABLE shop\.orders ENABLE ALWAYS TRIGGER agentcrm_1_1_\d+, ENABLE ALWAYS', 'status says so, and how to mend it');
SELECT substring(pg_temp.remark('shop') FROM 'ALTER TABLE.*') AS call \gset
:call;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'switched on again as status says: read again');
SELECT is(pg_temp.remark('shop'), NULL, 'and status is content');
SET ROLE regress_changes_app;
ALTER TABLE shop.line_1 DISABLE TRIGGER ALL;
RESET ROLE;
CALL agentcrm.run();
SET ROLE regress_changes_app;
UPDATE shop.line SET qty = qty + 1 WHERE order_id = 4;
ALTER TABLE shop.line_1 ENABLE TRIGGER ALL;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop') || pg_temp.fires('shop.line_1'), '0 0 liveA', 'of a single partition');

-- a trigger is dropped
SELECT format('DROP TRIGGER %I ON shop.orders; UPDATE shop.orders SET client_id = 6 WHERE order_id = 5; DROP TRIGGER %I ON shop.client; UPDATE shop.client SET name = name || ''+'' WHERE client_id = 6',
	(SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass AND tgname ~ '^agentcrm.*\d$' LIMIT 1),
	(SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.client'::regclass AND tgname ~ '^agentcrm.*\d$' LIMIT 1)) AS call \gset
SET ROLE regress_changes_app;
:call;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'triggers are dropped: put back');
SELECT is(pg_temp.triggers('shop.orders') || pg_temp.fires('shop.orders'), '2A', 'as they were');
SELECT matches((SELECT name FROM agentcrm.client WHERE client_id = 6), '\+$', 'a feed is read again as well');
UPDATE shop.orders SET client_id = 7 WHERE order_id = 5;
CALL agentcrm.run();
SELECT is((SELECT DISTINCT client_id FROM agentcrm.ledger WHERE source_id = 1 AND order_id = 5), 7::bigint, 'and followed');

-- tables made again
SET ROLE regress_changes_app;
CREATE TABLE shop.copy AS SELECT * FROM shop.orders WHERE order_id <> 6;
DROP TABLE shop.orders;
ALTER TABLE shop.copy RENAME TO orders;
ALTER TABLE shop.orders ADD PRIMARY KEY (order_id);
INSERT INTO shop.orders VALUES (61, 2, '2025-04-01');
INSERT INTO shop.line VALUES (61, 1, 1, 2, 3);
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'a table is dropped and made again');
SELECT is(pg_temp.triggers('shop.orders') || pg_temp.fires('shop.orders'), '2A', 'with its triggers');
SELECT is((SELECT string_agg(DISTINCT order_id::text, ' ') FROM agentcrm.ledger WHERE source_id = 1 AND order_id IN (6, 61)), '61', 'it is read again');
SET ROLE regress_changes_app;
BEGIN;
CREATE TABLE shop.new_orders (client_id int, note text, order_id int PRIMARY KEY, day date);
INSERT INTO shop.new_orders SELECT client_id % 5 + 1, 'new', order_id, day FROM shop.orders;
ALTER TABLE shop.orders RENAME TO old_orders;
ALTER TABLE shop.new_orders RENAME TO orders;
COMMIT;
UPDATE shop.orders SET day = '2025-05-05' WHERE order_id = 7;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'tables are swapped');
SELECT is(pg_temp.triggers('shop.old_orders') || ' ' || pg_temp.triggers('shop.orders'), '0 2', 'the one that is old is let go');
SET ROLE regress_changes_app;
ALTER TABLE shop.orders RENAME day TO placed;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop') || (SELECT options ->> 'at' FROM agentcrm.source WHERE name = 'shop'), '0 0 liveo.placed', 'a column of the new one is renamed: followed without a row being written');
SET ROLE regress_changes_app;
DROP TABLE shop.orders;
RESET ROLE;
CALL agentcrm.run();
SELECT matches(pg_temp.remark('shop'), '^argument orders: relation shop\.orders does not exist: SELECT agentcrm\.alter_source\(''shop'', orders => ''\.\.\.''\)', 'a table is dropped: broken, before anything is written');
SET ROLE regress_changes_app;
ALTER TABLE shop.old_orders RENAME client_id TO buyer;
ALTER TABLE shop.old_orders RENAME TO orders;
RESET ROLE;
CALL agentcrm.run();
SELECT matches(pg_temp.remark('shop'), 'client_id', 'made again without a column that is needed: status says which');
SELECT is((SELECT state FROM agentcrm.source WHERE name = 'shop'), 'broken', 'still broken');
SET ROLE regress_changes_app;
ALTER TABLE shop.orders RENAME buyer TO client_id;
ALTER TABLE shop.orders RENAME day TO placed;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop') || pg_temp.triggers('shop.orders'), '0 0 live2', 'with all columns: taken up again, triggers set, read');
VACUUM FULL shop.orders;
SET ROLE regress_changes_app;
CLUSTER shop.client USING client_pkey;
RESET ROLE;
UPDATE shop.orders SET client_id = 8 WHERE order_id = 8;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'tables are rewritten');

-- columns, and calls as they are given
SET ROLE regress_changes_app;
ALTER TABLE shop.line RENAME price TO "Unit Price";
RESET ROLE;
CALL agentcrm.run();
SELECT matches(pg_temp.remark('shop'), 'amount => ''l\.qty \* l\."Unit Price"''\)$', 'a column in an expression is renamed: broken, with the call');
\i test/pgtap/include/as_given.sql
SET ROLE regress_changes_app;
ALTER TABLE shop.line ALTER "Unit Price" TYPE text;
UPDATE shop.line SET "Unit Price" = '5.50' WHERE order_id = 9;
RESET ROLE;
CALL agentcrm.run();
SELECT matches(pg_temp.remark('shop'), 'operator does not exist: integer \* text: SELECT agentcrm\.alter_source\(''shop'', amount => ''l\.qty \* l\."Unit Price"::numeric''\)$', 'a column has another type: broken, with the cast');
\i test/pgtap/include/as_given.sql
SET ROLE regress_changes_app;
ALTER TABLE shop.line ALTER qty TYPE bigint USING qty + 1;
RESET ROLE;
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'a column has another type, under which the mapping fits: read again');
SELECT is(pg_temp.cause(), 'tables changed: columns of another type in shop.line', 'as the log says');
SET ROLE regress_changes_app;
ALTER TABLE shop.line ALTER qty TYPE int;
ALTER TABLE shop.client DROP region;
ALTER TABLE shop.client ADD note text;
RESET ROLE;
CALL agentcrm.run();
SELECT matches(pg_temp.remark('shop'), 'SELECT agentcrm\.alter_source\(''shop'', reset => ''\{territory\}''\)$', 'a column that merely describes is dropped: broken, with the call that does without');
\i test/pgtap/include/as_given.sql
SET ROLE regress_changes_app;
ALTER TABLE till.sale RENAME TO receipt;
ALTER TABLE till.receipt SET SCHEMA shop;
INSERT INTO shop.receipt VALUES (200, 4, '2026-01-01', 40);
RESET ROLE;
CALL agentcrm.run();
SELECT matches(pg_temp.remark('till'), '\(till\.sale is shop\.receipt now\): SELECT agentcrm\.alter_source\(''till'', orders => ''shop\.receipt''\)$', 'a table is moved: broken, with the call');
SELECT pg_temp.call('till') AS call \gset
:call \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.state('till'), '0 0 live', 'the call as it was given');
SELECT is((SELECT amount FROM agentcrm.ledger WHERE source_id = 2 AND order_id = 200), 40::numeric, 'what was written meanwhile counts');
SELECT is((SELECT count(*)::int FROM agentcrm.event_failed), 0, 'no key is blamed');

-- back to where it began
SET ROLE regress_changes_app;
ALTER TABLE shop.receipt SET SCHEMA till;
ALTER TABLE till.receipt RENAME TO sale;
DELETE FROM till.sale WHERE id = 200;
ALTER TABLE shop.client ADD region text;
ALTER TABLE shop.client DROP note;
ALTER TABLE shop.line ALTER "Unit Price" TYPE numeric USING "Unit Price"::numeric;
ALTER TABLE shop.line RENAME "Unit Price" TO price;
ALTER TABLE shop.orders RENAME placed TO day;
DROP TABLE shop.line_3;
DELETE FROM shop.orders WHERE order_id > 60;
DELETE FROM shop.line WHERE order_id > 60;
RESET ROLE;
SELECT count(*) FROM agentcrm.alter_source('till', orders => 'till.sale') \g /dev/null
SELECT count(*) FROM agentcrm.alter_source('shop', at => 'o.day', amount => 'l.qty * l.price', territory => 'c.region') \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.state('shop') || pg_temp.state('till'), '0 0 live0 0 live', 'and back');
