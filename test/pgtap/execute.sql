-- The life of recommendations: answer, feedback, expiry, and the calls that show them.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(45);

SELECT recommendation_id AS r1 FROM agentcrm.recommendation WHERE client_id = 1 AND agent = 'reorder' \gset
SELECT recommendation_id AS r3 FROM agentcrm.recommendation WHERE client_id = 3 \gset
SELECT recommendation_id AS r6 FROM agentcrm.recommendation WHERE client_id = 6 AND agent = 'retention' \gset
SELECT recommendation_id AS r2 FROM agentcrm.recommendation WHERE client_id = 2 \gset
CREATE FUNCTION pg_temp.status(id bigint) RETURNS text LANGUAGE sql AS
	$$SELECT status || coalesce(': ' || status_reason, '') FROM agentcrm.recommendation WHERE recommendation_id = id$$;
CREATE FUNCTION pg_temp.minutes(id bigint) RETURNS numeric LANGUAGE sql AS
	$$SELECT sum(amount) FROM agentcrm.resource_use WHERE recommendation_id = id$$;

-- what is shown
SELECT is_empty($$SELECT b.bid_id FROM agentcrm.bid b FULL JOIN agentcrm.recommendation r ON r.recommendation_id = b.bid_id
	WHERE (b.status = 'accepted') <> (r.recommendation_id IS NOT NULL)$$, 'accepted bids and recommendations are the same');
SELECT is((SELECT rank || ' ' || action || ' ' || status FROM agentcrm.next_actions(1) WHERE recommendation_id = :r1), '1 call open', 'next_actions by client_id');
SELECT is((SELECT array_agg(recommendation_id) FROM agentcrm.next_actions('1'::text)), (SELECT array_agg(recommendation_id) FROM agentcrm.next_actions(1)), 'and by key');
SELECT is((SELECT count(*)::int FROM agentcrm.next_actions(1, 0)), 0, 'n limits the rows');
SELECT throws_ok($$SELECT agentcrm.next_actions(1, -1)$$, '2201W', NULL, 'a negative n is an error');
SELECT throws_ok($$SELECT agentcrm.next_actions('nobody'::text)$$, 'P0002', NULL, 'an unknown key is an error');
SELECT is((SELECT agentcrm.client_id_of('3')), 3::bigint, 'client_id_of');
INSERT INTO agentcrm.client (client_id, namespace, client_key, root_client_id, first_seen) VALUES (100003, 7, '3', 100003, agentcrm.clock());
SELECT throws_ok($$SELECT agentcrm.next_actions('3'::text)$$, '42P08', NULL, 'a key in two namespaces is an error');
DELETE FROM agentcrm.client WHERE client_id = 100003;
SELECT is((SELECT count(*)::int FROM agentcrm.next_actions(999999)), 0, 'an unknown client_id has no actions');
SELECT is((SELECT detail FROM agentcrm.why(:r1) WHERE item = 'client'), 'Client 1', 'why names the client');
SELECT ok((SELECT count(*) FROM agentcrm.why(:r1) WHERE item IN ('reason', 'value', 'effect', 'query', 'elapsed', 'demand')) = 6, 'and reason, value, effect and evidence');
SELECT is_empty($$SELECT 1 FROM agentcrm.why(1)$$, 'why of nothing is nothing');
SELECT results_eq($$SELECT rank FROM agentcrm.work_list WHERE rep_id = 2 AND day = '2026-03-02' ORDER BY value DESC, recommendation_id$$,
	$$SELECT generate_series(1, count(*)::int) FROM agentcrm.work_list WHERE rep_id = 2 AND day = '2026-03-02'$$, 'work_list ranks by value within rep and day');
SELECT is((SELECT rep_name || ', ' || client_name FROM agentcrm.work_list WHERE recommendation_id = :r1), 'Rep 2, Client 1', 'work_list names rep and client');

-- feedback
SELECT lives_ok(format('SELECT agentcrm.feedback(%s, %L, %L)', :r3, 'shown', 'on the phone'), 'shown');
SELECT is(pg_temp.status(:r3), 'shown', 'a verdict moves the recommendation');
SELECT lives_ok(format('SELECT agentcrm.feedback(%s, %L)', :r3, 'snoozed'), 'snoozed');
SELECT lives_ok(format('SELECT agentcrm.feedback(%s, %L)', :r3, 'agreed'), 'agreed');
SELECT throws_ok(format('SELECT agentcrm.feedback(%s, %L)', :r3, 'shown'), '55000', NULL, 'agreed cannot become shown');
SELECT is(pg_temp.minutes(:r3), 6.00, 'a call takes its minutes');
SELECT lives_ok(format('SELECT agentcrm.feedback(%s, %L)', :r3, 'declined'), 'declined');
SELECT is(pg_temp.minutes(:r3), 0.00, 'declined gives them back');
SELECT throws_ok(format('SELECT agentcrm.feedback(%s, %L)', :r3, 'done'), '55000', NULL, 'nothing follows an end');
SELECT throws_ok($$SELECT agentcrm.feedback(1, 'done')$$, 'P0002', NULL, 'an unknown recommendation is an error');
SELECT throws_ok(format('SELECT agentcrm.feedback(%s, %L)', :r1, 'liked'), '22023', NULL, 'an unknown verdict is an error');
SELECT throws_ok(format('SELECT agentcrm.feedback(%s, NULL)', :r1), '22004', NULL, 'a null verdict is an error');
SELECT results_eq(format('SELECT verdict, note FROM agentcrm.feedback WHERE recommendation_id = %s ORDER BY verdict', :r3),
	$$VALUES ('agreed', NULL), ('declined', NULL), ('shown', 'on the phone'), ('snoozed', NULL)$$, 'every verdict is kept');

-- orders answer
SET agentcrm.debug_now = '2026-03-03 09:00+00';
SELECT agentcrm.feedback(:r2, 'agreed') \g /dev/null
INSERT INTO trade.orders VALUES (9001, 1, 2, '2026-03-03'), (9002, 2, 3, '2026-03-03'), (9006, 6, 1, '2026-03-03');
INSERT INTO trade.line VALUES (9001, 1, 1, 6, 420), (9002, 1, 2, 4, 360), (9006, 1, 1, 6, 420);
CALL agentcrm.run();
SELECT is(pg_temp.status(:r1), 'withdrawn: answered by order 9001', 'an order withdraws the open call');
SELECT is(pg_temp.status(:r2), 'done: answered by order 9002', 'one that was agreed is done');
SELECT ok(pg_temp.status(:r6) !~ 'answered', 'an order of another category does not answer');
SELECT is_empty($$SELECT recommendation_id FROM agentcrm.recommendation WHERE status = 'withdrawn' AND status_reason !~ '^(answered by order \d+|no longer supported)$'$$,
	'withdrawals say why');

-- time passes
SET agentcrm.debug_now = '2026-03-04 09:00+00';
SELECT recommendation_id AS r7 FROM agentcrm.recommendation WHERE status = 'open' ORDER BY recommendation_id LIMIT 1 \gset
SELECT recommendation_id AS r8 FROM agentcrm.recommendation WHERE status = 'open' ORDER BY recommendation_id OFFSET 1 LIMIT 1 \gset
SELECT agentcrm.feedback(:r7, 'agreed') \g /dev/null
SELECT agentcrm.feedback(:r8, 'shown') \g /dev/null
SET agentcrm.debug_now = '2026-03-20 09:00+00';
CALL agentcrm.run();
SELECT is(pg_temp.status(:r7), 'failed: agreed, but not reported done in time', 'an agreement not kept has failed');
SELECT is(pg_temp.status(:r8), 'expired: its time passed', 'others expire');
SELECT is_empty($$SELECT 1 FROM agentcrm.recommendation WHERE status IN ('open', 'shown', 'agreed', 'snoozed') AND expires_at <= agentcrm.clock()$$, 'none stands beyond its time');
SELECT isnt_empty($$SELECT 1 FROM agentcrm.round WHERE kind = 'daily' AND as_of = agentcrm.clock() AND awards > 0$$, 'and time alone brings new ones');

-- rights
CREATE ROLE crm_app;
SET ROLE crm_app;
SELECT throws_ok(format('SELECT agentcrm.feedback(%s, %L)', :r1, 'done'), '42501', NULL, 'feedback is granted to nobody at first');
RESET ROLE;
SELECT ok((SELECT bool_and(proconfig @> '{"search_path=pg_catalog, pg_temp"}') FROM pg_proc
	WHERE pronamespace = 'agentcrm'::regnamespace AND prosecdef), 'definer functions pin search_path');

-- forget
SELECT ok((SELECT count(*) > 0 FROM agentcrm.ledger WHERE client_id = 6), 'client 6 is known');
SELECT ok((SELECT sum(rows_erased) > 100 FROM agentcrm.forget(6)), 'forget counts what it erased');
SELECT is_empty($$SELECT a.attrelid::regclass FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relkind = 'r' AND a.attname = 'client_id'
	AND (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s WHERE client_id = 6', a.attrelid::regclass), false, true, '')))[1]::text::int > 0$$,
	'no table with a client_id still knows the client');
SELECT is((SELECT sum(rows_erased) FROM agentcrm.forget(6)), 0::numeric, 'a second time there is nothing');
SELECT throws_ok('SELECT * FROM agentcrm.forget(NULL)', '22004', 'client_id must not be NULL', 'forget: NULL is refused');
SELECT is_empty('SELECT 1 FROM agentcrm.next_actions(NULL::bigint) UNION ALL SELECT 1 FROM agentcrm.why(NULL)', 'what may be joined to rows without a client says nothing');
DELETE FROM trade.line WHERE order_id IN (SELECT order_id FROM trade.orders WHERE client_id = 6);
DELETE FROM trade.orders WHERE client_id = 6;
DELETE FROM trade.client WHERE client_id = 6;
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'with the client gone from the application too, all is in order, product totals as well');
SELECT count(*) FROM agentcrm.forget(9) \g /dev/null
INSERT INTO trade.orders VALUES (9609, 9, 1, '2026-03-20');
INSERT INTO trade.line VALUES (9609, 1, 1, 6, 420);
CALL agentcrm.run();
SELECT is((SELECT client_key || ' ' || stage FROM agentcrm.client JOIN agentcrm.client_state USING (client_id) WHERE client_id = 9), '9 new',
	'a forgotten client that orders again is a new one');
DROP ROLE crm_app;
SELECT * FROM finish();
