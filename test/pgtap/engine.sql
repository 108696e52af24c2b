-- The engine's calls: right use, and wrong places and arguments with what they answer.
\ir include/begin.sql
CREATE TABLE orders (order_id int PRIMARY KEY, client int, day date, qty int);
INSERT INTO orders SELECT g, 1 + g % 7, '2025-01-01'::date + g, 1 FROM generate_series(1, 70) g;
SELECT plan(59);

-- clock
SET agentcrm.debug_now = '2025-06-01 12:00+00';
SELECT is(agentcrm.clock(), '2025-06-01 12:00+00'::timestamptz, 'clock: the time that is set');
SELECT throws_ok($$SET agentcrm.debug_now = 'noon'$$, '22023', 'invalid value for parameter "agentcrm.debug_now": "noon"', 'which must be a time');
SET agentcrm.debug_now = '2025-06-01T12:00:00Z';
SELECT is(current_setting('agentcrm.debug_now'), '2025-06-01 12:00:00+00', 'which is kept in digits');
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT count(*) AS found FROM pg_class \gset
SELECT ok(:found > 0, 'so that parallel workers can read it before they know of time zones');
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
SET agentcrm.debug_now = '';
SELECT ok(agentcrm.clock() BETWEEN now() AND clock_timestamp(), 'clock: else the time');
SET agentcrm.debug_now = '2025-06-01 12:00+00';

-- run and backfill commit, and belong to themselves
SELECT throws_ok('CALL agentcrm.run()', '2D000', 'agentcrm.run commits after every step and cannot be called inside a transaction block', 'run: not inside a function');
SELECT throws_ok($$CALL agentcrm.backfill('shop')$$, '2D000', 'agentcrm.backfill commits after every step and cannot be called inside a transaction block', 'backfill: not inside a function');
SET default_transaction_isolation = 'repeatable read';
\set ON_ERROR_STOP 0
\o /dev/null
\set VERBOSITY sqlstate
CALL agentcrm.run();
\o
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '25001', 'run: not in isolation level repeatable read');
RESET default_transaction_isolation;
CALL agentcrm.backfill('nothing');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '42704', 'backfill: unknown source');
SELECT matches(:'LAST_ERROR_MESSAGE'::text, 'there is no source "nothing"', 'which is named');
CALL agentcrm.backfill(NULL);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22004', 'backfill: NULL');
\set VERBOSITY default
\set ON_ERROR_STOP 1

-- a first load by steps
SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', client => 'o.client', at => 'o.day', quantity => 'o.qty', amount => 'o.qty', run_as => current_user, time_zone => 'UTC') \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.ledger), 0, 'a paused worker does not load');
SELECT is((SELECT string_agg(part || ' ' || phase || ' ' || done || '/' || total, ', ') FROM agentcrm.progress), 'order read 0/70', 'progress: nothing yet');
SELECT matches((SELECT remark FROM agentcrm.status WHERE what = 'source'), '^order read: 0(\.0)? %$', 'status says how far the load is');
CALL agentcrm.run(0);
SELECT is((SELECT count(*)::int FROM agentcrm.ledger), 0, 'run(0) takes no step');
CALL agentcrm.run(1);
SELECT is((SELECT count(*)::int FROM agentcrm.ledger), 70, 'run(1) takes one');
SELECT is((SELECT state FROM agentcrm.source), 'loading', 'the load is not over');
CALL agentcrm.backfill('shop');
SELECT is((SELECT state FROM agentcrm.source), 'shadow', 'backfill goes on with it to its end');
SELECT is((SELECT string_agg(phase, ' ') FROM agentcrm.progress), 'done', 'progress: done');
CALL agentcrm.backfill('shop');
SELECT pass('backfill of what is loaded does nothing');
SELECT is((SELECT max(as_of) FROM agentcrm.client_state), '2025-06-01 12:00+00'::timestamptz, 'assessed by the clock');

-- queue_depth
SELECT is(agentcrm.queue_depth(), 0::bigint, 'queue_depth: nothing waits');
UPDATE orders SET qty = 2 WHERE order_id <= 10;
UPDATE orders SET qty = 3 WHERE order_id <= 5;
SELECT is(agentcrm.queue_depth(), 10::bigint, 'queue_depth: distinct keys');
SELECT is((SELECT waiting FROM agentcrm.status WHERE what = 'worker'), 10::bigint, 'status has it as well');
SELECT results_eq('SELECT waiting, failed FROM agentcrm.queue_waiting()', 'VALUES (10::bigint, 0::bigint)', 'queue_waiting has it by source');
SELECT ok(since BETWEEN xact AND clock_timestamp(), 'since the first of the two commits') FROM agentcrm.queue_waiting(), (SELECT min(at) AS xact FROM agentcrm.event e WHERE e.key = '7') x;
SELECT ok((SELECT bool_and(lag BETWEEN '1 us' AND clock_timestamp() - (SELECT min(since) FROM agentcrm.queue_waiting())) FROM agentcrm.status WHERE what IN ('worker', 'source')), 'lag: the time since then');
SELECT is((SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'agentcrm.status'::regclass AND attnum <= 7), '{what,name,state,waiting,lag,failed,remark}'::name[], 'status begins with what fits a screen');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify leaves out what waits');
CALL agentcrm.run();
SELECT is(agentcrm.queue_depth(), 0::bigint, 'queue_depth: consumed');
SELECT is((SELECT array_agg(DISTINCT lag) FROM agentcrm.status WHERE what IN ('worker', 'source')), '{0}'::interval[], 'no lag when nothing waits');

-- changes of a paused source are set aside, and keep counting
SELECT agentcrm.pause('shop') \g /dev/null
UPDATE orders SET qty = 4 WHERE order_id BETWEEN 31 AND 36;
CALL agentcrm.run();
UPDATE orders SET qty = 5 WHERE order_id BETWEEN 35 AND 38;
SET agentcrm.debug_now = '2025-06-01 12:10+00';
CALL agentcrm.run();
SELECT is((SELECT string_agg(key || ':' || attempts, ' ' ORDER BY key) FROM agentcrm.event_failed WHERE retry_at = 'infinity'), '31:1 32:1 33:1 34:1 35:2 36:2 37:1 38:1', 'keys of a paused source are kept, once each');
SELECT is((SELECT waiting || ' ' || lag || ' ' || failed FROM agentcrm.status WHERE what = 'source'), '0 00:10:00 8', 'status: since when');
SELECT agentcrm.resume('shop') \g /dev/null
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'resumed, all are read');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'rightly');
SET agentcrm.debug_now = '2025-06-01 12:00+00';

-- verify finds what is wrong
UPDATE agentcrm.ledger SET quantity = 99 WHERE order_id = 1;
SELECT results_eq($$SELECT what, key, expected IS NULL, found ~ 'quantity 99' FROM agentcrm.verify() WHERE source = 'shop' ORDER BY 3$$,
	$$VALUES ('ledger line', '1', false, NULL), ('ledger line', '1', true, true)$$, 'verify: ledger against application');
UPDATE agentcrm.ledger SET quantity = 3 WHERE order_id = 1;
UPDATE agentcrm.client_profile SET n_orders = n_orders + 1 WHERE client_id = 3;
SELECT isnt_empty($$SELECT * FROM agentcrm.verify() WHERE source IS NULL AND key ~ '3'$$, 'verify: profile against ledger');
UPDATE agentcrm.client_profile SET n_orders = n_orders - 1 WHERE client_id = 3;
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify: nothing else');

-- a key that cannot be read
CREATE FUNCTION strange(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN IF $1 = 13 THEN RAISE EXCEPTION 'thirteen'; END IF; RETURN $1; END $$;
SELECT count(*) FROM agentcrm.alter_source('shop', quantity => 'strange(o.qty)') \g /dev/null
CALL agentcrm.run();
UPDATE orders SET qty = CASE order_id WHEN 20 THEN 13 ELSE 12 END WHERE order_id BETWEEN 15 AND 25;
CALL agentcrm.run();
SELECT is((SELECT string_agg(key || ' ' || sqlstate || ' ' || message || ' ' || attempts, ',') FROM agentcrm.event_failed), '20 P0001 thirteen 1', 'a key that fails is set aside, alone');
SELECT is((SELECT count(*)::int FROM agentcrm.ledger WHERE quantity = 12), 10, 'the others of its batch are read');
SELECT is((SELECT failed || ' ' || last_error FROM agentcrm.status WHERE what = 'source'), '1 thirteen', 'status: failed keys and last error');
CALL agentcrm.run();
SELECT is((SELECT attempts FROM agentcrm.event_failed), 1, 'it is not tried again at once');
SET agentcrm.debug_now = '2025-06-01 12:01+00';
CALL agentcrm.run();
SELECT is((SELECT attempts FROM agentcrm.event_failed), 2, 'but later');
UPDATE orders SET qty = 14 WHERE order_id = 20;
CALL agentcrm.run();
SELECT is_empty('SELECT * FROM agentcrm.event_failed', 'and forgotten when it can be read');
SELECT is_empty('SELECT * FROM agentcrm.verify()', 'verify after that');

-- fit
SELECT agentcrm.fit() \g /dev/null
SELECT throws_ok($$SELECT agentcrm.fit('weather')$$, '22023', NULL, 'fit: unknown kind of model');

-- who acts
SELECT is(agentcrm.adopted(), true, 'adopted');
UPDATE agentcrm.installation SET database_oid = 1;
SELECT is(agentcrm.adopted(), false, 'a copy is not');
SELECT agentcrm.adopt() \g /dev/null
SELECT is(agentcrm.adopted(), true, 'adopt');
SELECT is(agentcrm.copy_of(), NULL, 'copy_of: no copy');
UPDATE agentcrm.installation SET system_identifier = 1;
SELECT is(agentcrm.copy_of(), current_database()::text, 'copy_of: on another server');
SELECT agentcrm.adopt() \g /dev/null
SELECT is(agentcrm.queue_held(), NULL, 'queue_held: nobody');
SELECT throws_ok($$SELECT agentcrm.grant_worker('nobody_here')$$, '42704', NULL, 'grant_worker: no such role');
SELECT throws_ok($$SELECT agentcrm.grant_worker('pg_monitor')$$, '22023', NULL, 'grant_worker: a role that may not log in');

-- the worker: paused, it is there and does nothing; it can be woken and asked for
SELECT agentcrm.wake() \g /dev/null
SELECT is((SELECT paused FROM agentcrm.worker_state()), true, 'worker_state: paused');
SELECT is((SELECT state FROM agentcrm.status WHERE what = 'worker'), 'paused', 'status: paused');
SELECT agentcrm.worker_paused(false) \g /dev/null
SELECT is((SELECT paused FROM agentcrm.worker_state()), false, 'worker_paused(false)');
SELECT agentcrm.worker_paused(true) \g /dev/null
SELECT ok(agentcrm.start_worker() > 0, 'start_worker gives a process');
SELECT agentcrm.resume() \g /dev/null
SELECT is((SELECT paused FROM agentcrm.worker_state()), false, 'resume');
SELECT * FROM finish();
