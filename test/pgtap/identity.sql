-- Clients over time: merged and unmerged, keys renamed, exchanged and given again, parents, roles.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(70);

-- what the application knows of it
ALTER TABLE trade.client ADD replaced_by int REFERENCES trade.client ON UPDATE CASCADE ON DELETE SET NULL, ADD parent_id int REFERENCES trade.client ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE trade.orders DROP CONSTRAINT orders_client_id_fkey, ADD FOREIGN KEY (client_id) REFERENCES trade.client ON UPDATE CASCADE;
SELECT count(*) FROM agentcrm.alter_source('trade', client_replaced_by => 'c.replaced_by', client_parent => 'c.parent_id') \g /dev/null
CALL agentcrm.run();
CREATE FUNCTION pg_temp.clean() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT d::text FROM agentcrm.verify() d UNION ALL SELECT c::text FROM agentcrm.compare('trade') c WHERE difference <> 0 $$;
CREATE TEMP TABLE before AS SELECT * FROM agentcrm.client_profile WHERE client_id IN (1, 7);
CREATE TEMP TABLE stages AS SELECT * FROM agentcrm.stage_change;
CREATE FUNCTION pg_temp.hour(n int) RETURNS text LANGUAGE sql AS $$SELECT set_config('agentcrm.debug_now', (timestamptz '2026-03-02 12:00+00' + n * interval '1 hour')::text, false)$$;
SELECT is_empty('SELECT pg_temp.clean()', 'all is in order before');

-- merged
SELECT pg_temp.hour(1) \g /dev/null
SELECT recommendation_id AS r1 FROM agentcrm.recommendation WHERE client_id = 1 AND status = 'open' \gset
UPDATE trade.client SET replaced_by = 7 WHERE client_id = 1;
CALL agentcrm.run();
SELECT is((SELECT n_orders FROM agentcrm.client_profile WHERE client_id = 7), (SELECT sum(n_orders)::int FROM before), 'merged: the survivor has the orders of both');
SELECT is_empty('SELECT FROM agentcrm.client_profile WHERE client_id = 1 UNION ALL SELECT FROM agentcrm.client_state WHERE client_id = 1 UNION ALL SELECT FROM agentcrm.client_360 WHERE client_id = 1',
	'the other one has neither profile nor state');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger WHERE client_id = 7 AND named_client_id = 1), (SELECT count(*)::int FROM trade.line JOIN trade.orders USING (order_id) WHERE client_id = 1),
	'the ledger tells whom the orders name');
SELECT is((SELECT status || ': ' || status_reason FROM agentcrm.recommendation WHERE recommendation_id = :r1), 'withdrawn: client merged into client 7', 'what was recommended for it is withdrawn');
SELECT is(agentcrm.client_id_of('1'), 7::bigint, 'its key leads to the survivor');
SELECT set_eq('SELECT agentcrm.same_client(1)', 'SELECT unnest(ARRAY[1, 7]::bigint[])', 'same_client: by the one');
SELECT set_eq('SELECT agentcrm.same_client(7)', 'SELECT unnest(ARRAY[1, 7]::bigint[])', 'and by the other');
SELECT is_empty('SELECT agentcrm.same_client(NULL) UNION SELECT agentcrm.same_client(-1)', 'none for NULL or an unknown one');
SELECT is((SELECT root_client_id FROM agentcrm.client WHERE client_id = 1), 7::bigint, 'its root is the survivor''s');
SELECT is_empty('SELECT pg_temp.clean()', 'and all is in order');
INSERT INTO trade.orders VALUES (8001, 1, 1, '2026-03-02');
INSERT INTO trade.line VALUES (8001, 1, 1, 6, 420);
CALL agentcrm.run();
SELECT is((SELECT client_id || ' ' || named_client_id FROM agentcrm.ledger WHERE order_id = 8001), '7 1', 'a new order of the old key counts for the survivor');
DELETE FROM trade.line WHERE order_id = 8001;
DELETE FROM trade.orders WHERE order_id = 8001;
UPDATE agentcrm.ledger SET client_id = 1, named_client_id = NULL WHERE client_id = 7 AND named_client_id = 1 AND order_id = (SELECT min(order_id) FROM agentcrm.ledger WHERE named_client_id = 1);
CALL agentcrm.run();
SELECT isnt_empty('SELECT FROM agentcrm.verify()', 'verify sees a line that is not where it counts');
SELECT agentcrm.reconcile('trade') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT pg_temp.clean()', 'and a reconcile mends it');

-- unmerged
SELECT pg_temp.hour(2) \g /dev/null
UPDATE trade.client SET replaced_by = NULL WHERE client_id = 1;
CALL agentcrm.run();
SELECT set_eq('SELECT * FROM agentcrm.client_profile WHERE client_id IN (1, 7)', 'SELECT * FROM before', 'unmerged: the profiles are what they were');
SELECT set_eq('SELECT * FROM agentcrm.stage_change WHERE client_id = 1', 'SELECT * FROM stages WHERE client_id = 1', 'the history of stages goes on, nothing begins');
SELECT is((SELECT count(*)::int FROM agentcrm.client_state WHERE client_id = 1), 1, 'with a state again');
SELECT is_empty('SELECT pg_temp.clean()', 'and all is in order');

-- contacts of the merged count for the survivor
SELECT pg_temp.hour(3) \g /dev/null
INSERT INTO trade.client VALUES (50, 'Client 50', 3);
CALL agentcrm.run();
SELECT count(*) AS calls FROM agentcrm.recommendation WHERE client_id = 2 AND status = 'open' \gset
SELECT cmp_ok(:calls, '>', 0, 'somebody is to be called');
SELECT agentcrm.feedback(recommendation_id, 'done') FROM agentcrm.recommendation WHERE client_id = 2 AND status = 'open' \g /dev/null
UPDATE trade.client SET replaced_by = 50 WHERE client_id = 2;
CALL agentcrm.run();
SELECT is((SELECT stage FROM agentcrm.client_state WHERE client_id = 50), (SELECT to_stage FROM stages WHERE client_id = 2 ORDER BY at DESC LIMIT 1), 'a survivor without orders takes the stage of the merged');
SELECT is((SELECT reason_code FROM agentcrm.retention_agent('{50}', agentcrm.clock())), 'settled', 'the silence that was acted upon is its own, and not raised again');
SELECT is_empty($$SELECT FROM agentcrm.bid WHERE client_id = 50 AND status = 'accepted' AND channel IS NOT NULL$$, 'but who was called today is not called again');
UPDATE trade.client SET replaced_by = NULL WHERE client_id = 2;
CALL agentcrm.run();
SELECT is((SELECT stage FROM agentcrm.client_state WHERE client_id = 50), 'prospect', 'unmerged, it has no orders');

-- what a person has acted upon stands on, and the survivor's order answers it
SELECT pg_temp.hour(4) \g /dev/null
SELECT client_id AS c, recommendation_id AS r FROM agentcrm.recommendation WHERE status = 'open' AND channel IS NOT NULL AND demand_category = '*' AND client_id NOT IN (1, 2, 7) ORDER BY 1 LIMIT 1 \gset
SELECT agentcrm.feedback(:r, 'agreed') \g /dev/null
UPDATE trade.client SET replaced_by = 50 WHERE client_id = :c;
CALL agentcrm.run();
SELECT is((SELECT status FROM agentcrm.recommendation WHERE recommendation_id = :r), 'agreed', 'what was agreed stands');
SELECT is((SELECT recommendation_id FROM agentcrm.next_actions(50) WHERE status = 'agreed'), :r, 'for the survivor');
SELECT is((SELECT client_id FROM agentcrm.work_list WHERE recommendation_id = :r), 50::bigint, 'in the work list, too');
INSERT INTO trade.orders VALUES (8002, 50, 1, '2026-03-02');
INSERT INTO trade.line VALUES (8002, 1, 1, 6, 420);
CALL agentcrm.run();
SELECT is((SELECT status || ': ' || status_reason FROM agentcrm.recommendation WHERE recommendation_id = :r), 'done: answered by order 8002', 'whose order answers it');
UPDATE agentcrm.client SET do_not_contact = true WHERE client_id = :c;
SELECT ok((SELECT do_not_contact FROM agentcrm.profile(ARRAY[50], agentcrm.clock())), 'who was merged and wants no contact, gets none');
UPDATE agentcrm.client SET do_not_contact = false WHERE client_id = :c;

-- chains and circles
SELECT pg_temp.hour(5) \g /dev/null
UPDATE trade.client SET replaced_by = client_id + 1 WHERE client_id IN (11, 12, 13);
CALL agentcrm.run();
SELECT results_eq('SELECT client_id FROM agentcrm.client WHERE survivor_client_id = 14 ORDER BY 1', 'SELECT generate_series(11, 13)::bigint', 'a chain ends at its end');
UPDATE trade.client SET replaced_by = NULL WHERE client_id = 12;
CALL agentcrm.run();
SELECT results_eq('SELECT client_id, survivor_client_id FROM agentcrm.client WHERE client_id BETWEEN 11 AND 13 ORDER BY 1', 'VALUES (11::bigint, 12::bigint), (12, NULL), (13, 14)', 'and where it is cut');
UPDATE trade.client SET replaced_by = 11 WHERE client_id = 12;
CALL agentcrm.run();
SELECT is_empty('SELECT FROM agentcrm.client WHERE client_id IN (11, 12) AND survivor_client_id IS NOT NULL', 'in a circle nobody is merged');
SELECT is((SELECT message FROM agentcrm.event_failed WHERE key = '12'), 'clients "11", "12" replace each other in a circle: none of them is merged', 'and it is said');
SELECT is_empty('SELECT pg_temp.clean()', 'all is in order all the same');
UPDATE trade.client SET replaced_by = NULL WHERE client_id = 11;
CALL agentcrm.run();
SELECT is((SELECT survivor_client_id FROM agentcrm.client WHERE client_id = 12), 11::bigint, 'broken, the rest holds');
SELECT is_empty('SELECT FROM agentcrm.event_failed', 'and nothing is complained of any more');
UPDATE trade.client SET replaced_by = 999 WHERE false;
UPDATE trade.client SET replaced_by = client_id WHERE client_id = 15;
CALL agentcrm.run();
SELECT is_empty('SELECT FROM agentcrm.client WHERE client_id = 15 AND replaced_by_client_id IS NOT NULL', 'who replaces himself is not replaced');

-- renamed
SELECT pg_temp.hour(6) \g /dev/null
SELECT client_id AS c, recommendation_id AS r FROM agentcrm.recommendation JOIN agentcrm.client_state USING (client_id) WHERE status = 'open' AND client_id > 15 AND client_id < 50 ORDER BY 1 LIMIT 1 \gset
SELECT agentcrm.feedback(:r, 'agreed', 'on Friday') \g /dev/null
CREATE TEMP TABLE was AS SELECT * FROM agentcrm.stage_change WHERE client_id = :c;
SELECT first_seen AS seen, stage, stage_since FROM agentcrm.client JOIN agentcrm.client_state USING (client_id) WHERE client_id = :c \gset
BEGIN;
UPDATE trade.client SET client_id = 3000 WHERE client_id = :c;
UPDATE trade.client SET client_id = 3001 WHERE client_id = 3000;
COMMIT;
CALL agentcrm.run();
SELECT is((SELECT status || ' ' || note FROM agentcrm.recommendation JOIN agentcrm.feedback USING (client_id, recommendation_id) WHERE client_id = 3001 AND recommendation_id = :r), 'agreed on Friday',
	'renamed, by way of a third key: recommendation and feedback go along');
SELECT set_eq('SELECT at, from_stage, to_stage FROM agentcrm.stage_change WHERE client_id = 3001', 'SELECT at, from_stage, to_stage FROM was', 'the history of stages, too');
SELECT is((SELECT (first_seen = :'seen', stage = :'stage', stage_since = :'stage_since')::text FROM agentcrm.client JOIN agentcrm.client_state USING (client_id) WHERE client_id = 3001), '(t,t,t)', 'state and first sight are the same');
SELECT isnt_empty(format('SELECT FROM agentcrm.why(%s) WHERE item = %L', :r, 'value'), 'and the recommendation has its reasons');
SELECT is(agentcrm.client_id_of(:c::text), 3001::bigint, 'who asks by the old key is led to the new one');
SELECT is_empty('SELECT pg_temp.clean()', 'all is in order');

-- renamed, and the old key given to somebody else before anybody looked
UPDATE trade.client SET client_id = 3002 WHERE client_id = 3001;
INSERT INTO trade.client VALUES (3001, 'Somebody else', 1);
SELECT pg_temp.hour(7) \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.feedback WHERE client_id = 3002), 1, 'renamed, and the key given away at once: the history goes with the client');
SELECT is((SELECT string_agg(coalesce(from_stage, 'none') || ' ' || to_stage, ', ') FROM agentcrm.stage_change WHERE client_id = 3001), 'none prospect', 'and somebody else''s begins');

-- renamed and no longer merged, after the new key was judged: the state that is there is not that of the history which comes
SELECT pg_temp.hour(8) \g /dev/null
CREATE TEMP TABLE was_24 AS SELECT * FROM agentcrm.stage_change WHERE client_id = 24;
UPDATE trade.client SET replaced_by = 25 WHERE client_id = 24;
INSERT INTO trade.client VALUES (5000, 'Known too early', 1), (5001, 'Known before', 1);
CALL agentcrm.run();
SELECT pg_temp.hour(9) \g /dev/null
INSERT INTO trade.client VALUES (5002, 'Known after', 1);
CALL agentcrm.run();
SELECT pg_temp.hour(10) \g /dev/null
DELETE FROM trade.client WHERE client_id IN (5000, 5001);
UPDATE trade.client SET client_id = 5000, replaced_by = NULL WHERE client_id = 24;
UPDATE trade.client SET client_id = 5001 WHERE client_id = 5002;
CALL agentcrm.run();
SELECT set_eq('SELECT at, from_stage, to_stage FROM agentcrm.stage_change WHERE client_id = 5000', 'SELECT at, from_stage, to_stage FROM was_24', 'renamed after the new key was judged: the history goes on where the old key''s ended');
SELECT is((SELECT string_agg(coalesce(from_stage, 'none') || ' ' || to_stage, ', ') FROM agentcrm.stage_change WHERE client_id = 5001), 'none prospect', 'renamed to a key with a longer history: it begins once');
SELECT is_empty('SELECT pg_temp.clean()', 'and all is in order');

-- renamed while nobody may look
SELECT agentcrm.pause('trade') \g /dev/null
UPDATE trade.client SET client_id = 3003 WHERE client_id = 3002;
CALL agentcrm.run();
SELECT agentcrm.resync('trade') \g /dev/null
SELECT agentcrm.resume('trade') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.feedback WHERE client_id = 3003), 1, 'renamed while the source is paused, and read anew: the history goes along');
UPDATE trade.client SET client_id = 3002 WHERE client_id = 3003;
CALL agentcrm.run();
SELECT results_eq('SELECT client_id, survivor_client_id FROM agentcrm.client WHERE client_id IN (3002, 3003) ORDER BY 1', 'VALUES (3002::bigint, NULL::bigint), (3003, 3002)', 'and back');

-- renamed twice, and a batch ends between: the first rename is read when its new key is gone already
INSERT INTO agentcrm.feedback VALUES (26, 0, '2026-01-01', 'test', 'shown', '26');
UPDATE trade.client SET client_id = 6000 WHERE client_id = 26;
INSERT INTO trade.product SELECT 10000 + i, NULL, NULL, true FROM generate_series(1, current_setting('agentcrm.batch_size')::int) i;
UPDATE trade.client SET client_id = 6001 WHERE client_id = 6000;
CALL agentcrm.run();
SELECT is((SELECT client_id FROM agentcrm.feedback WHERE note = '26'), 6001::bigint, 'renamed twice in two batches: the history goes all the way');
SELECT is_empty('SELECT pg_temp.clean()', 'and all is in order');

-- renamed, and an order read under the new key in a batch before
INSERT INTO agentcrm.feedback SELECT i, 0, '2026-01-01', 'test', 'shown', i::text FROM generate_series(27, 28) i;
CREATE TEMP TABLE was_28 AS SELECT * FROM agentcrm.stage_change WHERE client_id = 28;
UPDATE trade.orders SET rep_id = rep_id WHERE client_id IN (27, 28);
INSERT INTO trade.product SELECT 20000 + i, NULL, NULL, true FROM generate_series(1, current_setting('agentcrm.batch_size')::int) i;
UPDATE trade.client SET client_id = 6027 WHERE client_id = 27;
INSERT INTO trade.client VALUES (27, 'Somebody else', 1);
UPDATE trade.client SET client_id = 6028 WHERE client_id = 28;
CALL agentcrm.run(1);
SELECT isnt_empty($$SELECT FROM agentcrm.ledger WHERE client_id = 6028$$, 'renamed, and orders are read before the rename is');
SELECT pg_temp.hour(11) \g /dev/null
CALL agentcrm.run();
SELECT set_eq('SELECT at, from_stage, to_stage FROM agentcrm.stage_change WHERE client_id = 6028', 'SELECT at, from_stage, to_stage FROM was_28', 'nobody was judged meanwhile');
SELECT set_eq($$SELECT client_id, note FROM agentcrm.feedback WHERE note IN ('27', '28')$$, $$VALUES (6027::bigint, '27'), (6028, '28')$$, 'nor is the new key somebody else''s when the old one was given away');
SELECT is_empty('SELECT pg_temp.clean()', 'and all is in order');

-- not renamed: rolled back, exchanged
SELECT pg_temp.hour(12) \g /dev/null
BEGIN;
SAVEPOINT s;
UPDATE trade.client SET client_id = 3003 WHERE client_id = 3002;
ROLLBACK TO s;
UPDATE trade.client SET name = 'Still here' WHERE client_id = 3002;
COMMIT;
INSERT INTO agentcrm.feedback SELECT i, i, '2026-01-01', 'test', 'shown', i::text FROM generate_series(20, 21) i;
BEGIN;
UPDATE trade.client SET client_id = 4000 WHERE client_id = 20;
UPDATE trade.client SET client_id = 20 WHERE client_id = 21;
UPDATE trade.client SET client_id = 21 WHERE client_id = 4000;
COMMIT;
CALL agentcrm.run();
SELECT is_empty('SELECT FROM agentcrm.client WHERE client_id IN (3002, 20, 21) AND survivor_client_id IS NOT NULL', 'a change rolled back is no rename');
SELECT results_eq('SELECT client_id, note FROM agentcrm.feedback WHERE client_id IN (20, 21) ORDER BY 1', $$VALUES (20::bigint, '20'), (21, '21')$$, 'nor is an exchange of keys');
SELECT is_empty('SELECT pg_temp.clean()', 'and all is in order');

-- gone, and given again
SELECT pg_temp.hour(13) \g /dev/null
DELETE FROM trade.line USING trade.orders o WHERE o.order_id = line.order_id AND o.client_id = 22;
DELETE FROM trade.orders WHERE client_id = 22;
DELETE FROM trade.client WHERE client_id = 22;
CALL agentcrm.run();
SELECT ok((SELECT gone_at = agentcrm.clock() AND NOT active FROM agentcrm.client WHERE client_id = 22), 'a client that is gone');
SELECT pg_temp.hour(14) \g /dev/null
INSERT INTO trade.client VALUES (22, 'Another one', 1);
CALL agentcrm.run();
SELECT ok((SELECT gone_at IS NULL AND active AND first_seen = agentcrm.clock() FROM agentcrm.client WHERE client_id = 22), 'its key given again: somebody new');
SELECT is((SELECT coalesce(from_stage, 'none') || ' ' || to_stage FROM agentcrm.stage_change WHERE client_id = 22 AND at = agentcrm.clock()), 'none prospect', 'whose history begins');

-- parents
UPDATE trade.client SET parent_id = client_id - 1 WHERE client_id BETWEEN 31 AND 33;
CALL agentcrm.run();
SELECT results_eq('SELECT root_client_id FROM agentcrm.client WHERE client_id BETWEEN 30 AND 33 ORDER BY client_id', 'SELECT 30::bigint FROM generate_series(1, 4)', 'branches have the topmost company as root');
UPDATE trade.client SET parent_id = 34 WHERE client_id = 32;
CALL agentcrm.run();
SELECT results_eq('SELECT root_client_id FROM agentcrm.client WHERE client_id BETWEEN 30 AND 33 ORDER BY client_id', 'VALUES (30::bigint), (30), (34), (34)', 'also when a branch changes hands');
UPDATE trade.client SET replaced_by = 35 WHERE client_id = 34;
CALL agentcrm.run();
SELECT results_eq('SELECT root_client_id FROM agentcrm.client WHERE client_id BETWEEN 32 AND 35 ORDER BY client_id', 'SELECT 35::bigint FROM generate_series(1, 4)', 'or its parent is merged');
UPDATE trade.client SET parent_id = 32 WHERE client_id = 35;
CALL agentcrm.run();
SELECT is((SELECT count(DISTINCT root_client_id)::int FROM agentcrm.client WHERE client_id BETWEEN 32 AND 35), 1, 'a circle has one root');
UPDATE agentcrm.client SET root_client_id = 33 WHERE client_id = 33;
SELECT is((SELECT string_agg(concat_ws(' ', what, key, column_name), ', ') FROM agentcrm.verify()), 'client 33 root_client_id', 'verify sees a wrong root');
SELECT agentcrm.resync('trade', 'client') \g /dev/null
UPDATE trade.client SET parent_id = NULL WHERE client_id = 35;
CALL agentcrm.run();

-- a document of two clients, at a time of its own for each
CREATE TABLE trade.doc (doc int, line int, client_id int, at timestamptz, PRIMARY KEY (doc, line));
INSERT INTO trade.doc VALUES (1, 1, 40, '2026-01-10 00:00+00'), (1, 2, 41, '2026-01-05 00:00+00');
SELECT count(*) FROM agentcrm.attach('docs', lines => 'trade.doc', order_key => '{doc}', client => 'l.client_id', product => 'NULL::text', at => 'l.at', quantity => '1', amount => '1',
	namespace => 'trade', time_zone => 'UTC', run_as => current_user) \g /dev/null
CALL agentcrm.run();
UPDATE trade.client SET replaced_by = 41 WHERE client_id = 40;
CALL agentcrm.run();
SELECT is((SELECT count(DISTINCT ordered_at)::int FROM agentcrm.ledger JOIN agentcrm.source USING (source_id) WHERE name = 'docs'), 1, 'merged, their lines in a document have one time');
UPDATE trade.client SET replaced_by = NULL WHERE client_id = 40;
CALL agentcrm.run();
SELECT is_empty('SELECT pg_temp.clean()', 'unmerged, each its own');

-- forgotten together
SELECT is((SELECT rows_erased FROM agentcrm.forget(13) WHERE table_name = 'client'), 2::bigint, 'forget erases who was merged, and the survivor');
SELECT agentcrm.resync('trade') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT pg_temp.clean()', 'all is in order');
SELECT * FROM finish();
