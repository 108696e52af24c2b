-- The registry and the built-in agents, on a trade whose past is known.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(39);

CREATE TEMP VIEW reorder AS SELECT * FROM agentcrm.reorder_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());
CREATE TEMP VIEW retention AS SELECT * FROM agentcrm.retention_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());
CREATE TEMP VIEW portfolio AS SELECT * FROM agentcrm.portfolio_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());

-- reorder
SELECT is((SELECT kind FROM reorder WHERE client_id = 1), 'bid', 'an order that is due is bid for');
SELECT is((SELECT demand_category || ' ' || demand_from || ' ' || demand_to FROM reorder WHERE client_id = 1), '* 2026-03-02 2026-03-16',
	'the demand is any order of the next 14 days');
SELECT matches((SELECT reason FROM reorder WHERE client_id = 1), 'last was on 2026-02-22, 8 days ago; \d+ % chance of an order within 14 days; usually Tea x 6',
	'the reason names dates, days, probability and products');
SELECT is((SELECT kind || ' ' || reason FROM reorder WHERE client_id = 3), 'refuse insufficient: needs 2 orders, has 1', 'one order is not enough');
SELECT is_empty($$SELECT 1 FROM reorder r, jsonb_to_recordset(r.basket) b(product_id bigint, quantity numeric, p float8)
	WHERE b.product_id = 4$$, 'inactive products are left out');
SELECT is_empty($$SELECT 1 FROM reorder r, jsonb_to_recordset(r.basket) b(product_id bigint, quantity numeric, p float8)
	WHERE b.product_id = 1 AND b.quantity % 6 <> 0$$, 'quantities are whole packs');
SELECT is_empty($$SELECT 1 FROM reorder r, jsonb_to_recordset(r.basket) b(product_id bigint, quantity numeric, p float8)
	WHERE p NOT BETWEEN .1 AND 1$$, 'basket probabilities lie above the floor');
SELECT is((SELECT kind FROM reorder WHERE client_id = 8), 'look', 'just after an order there is only a look');
SELECT is((SELECT count(*)::int FROM reorder, LATERAL agentcrm.reorder_agent(ARRAY[reorder.client_id], reorder.next_look_at) r
	WHERE reorder.kind = 'look' AND r.kind = 'look'), 0, 'at the time an agent asks for it has more to say than another look');
SELECT is((SELECT count(*)::int FROM reorder, LATERAL agentcrm.reorder_agent(ARRAY[reorder.client_id], reorder.next_look_at - interval '1 day') r
	WHERE reorder.kind = 'look' AND reorder.next_look_at > agentcrm.clock() + interval '1 day' AND r.kind = 'bid'), 0, 'and not a day before');
SELECT is((SELECT kind FROM agentcrm.reorder_agent(ARRAY[1], agentcrm.clock(), '{"params": {"min_orders": 99}}')), 'refuse', 'parameters of the call count');

-- retention
SELECT is((SELECT reason_code FROM retention WHERE client_id = 2), 'silence', 'a silence beyond the rhythm is noticed');
SELECT is_empty($$SELECT r.client_id FROM retention r JOIN agentcrm.profile(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock()) p USING (client_id)
	WHERE r.reason_code = 'silence' AND p.silence >= p.alarm_p$$, 'and only then');
SELECT is((SELECT product_id || ' ' || demand_category FROM retention WHERE client_id = 6 AND kind = 'bid'), '5 baking', 'an item that dropped out is bid for, in its category');
SELECT is_empty($$SELECT client_id FROM retention WHERE reason_code = 'lost_item' AND client_id <> 6$$, 'no other item is missed');
SELECT is((SELECT reason_code FROM retention WHERE client_id = 4), 'stage', 'lost clients are not retention''s case');

-- portfolio
SELECT is((SELECT reason_code FROM portfolio WHERE client_id = 3), 'welcome', 'a new client is welcomed');
SELECT is((SELECT reason_code FROM portfolio WHERE client_id = 4), 'win_back_lost', 'a lost one is won back');
SELECT is((SELECT reason_code FROM agentcrm.portfolio_agent(ARRAY[3], '2026-03-06 12:00+00')), 'welcomed', 'the welcome ends');

-- all bids
CREATE TEMP VIEW answer AS SELECT * FROM reorder UNION ALL SELECT * FROM retention UNION ALL SELECT * FROM portfolio;
SELECT is_empty($$SELECT 1 FROM answer WHERE kind = 'bid' AND (action IS NULL OR cost IS NULL OR margin IS NULL OR reason IS NULL
	OR evidence -> 'query' IS NULL OR evidence -> 'values' IS NULL OR evidence #>> '{parameters,effect}' <> 'assumed')$$,
	'every bid is complete and says that its effect is assumed');
CREATE FUNCTION pg_temp.runs(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE n int; BEGIN EXECUTE 'SELECT count(*) FROM (' || query || ') q' INTO n; RETURN n = 1; END $$;
SELECT ok((SELECT bool_and(pg_temp.runs(evidence ->> 'query')) FROM answer WHERE kind = 'bid'), 'every evidence query runs and gives the client''s row');
SELECT is_empty($$SELECT client_id FROM answer WHERE kind = 'bid' GROUP BY client_id, action, demand_category, reason_code HAVING count(*) > 1$$, 'no bid is made twice');
SELECT is((SELECT count(*)::int FROM agentcrm.reorder_agent(ARRAY[999999], agentcrm.clock())), 0, 'unknown clients are left out');
SELECT throws_ok($$SELECT agentcrm.reorder_agent(NULL, agentcrm.clock())$$, '22004', NULL, 'null client_ids are an error');
SELECT throws_ok($$SELECT agentcrm.portfolio_agent(ARRAY[1, NULL], agentcrm.clock())$$, '22004', NULL, 'a null id is an error');
SELECT throws_ok($$SELECT agentcrm.retention_agent(ARRAY[1], 'infinity')$$, '22008', NULL, 'an infinite as_of is an error');
SELECT throws_ok($$SELECT agentcrm.retention_agent(ARRAY[1], agentcrm.clock(), '[]')$$, '22023', NULL, 'a call that is no object is an error');

-- agents of one's own
CREATE FUNCTION public.birthday(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE sql AS $$
	SELECT id, 'bid', 'check', NULL, NULL::bigint, NULL::jsonb, NULL::numeric, NULL::bigint, 'birthday', as_of::date, as_of::date + 3, .9, 500, 1, '{}'::jsonb,
		as_of + interval '2 days', 'birthday', 'It is the birthday of ' || (call #>> '{params,who}'), '{"query": "SELECT 1", "values": {}}'::jsonb, NULL::timestamptz
	FROM unnest(client_ids) id WHERE id = 8 $$;
CREATE FUNCTION public.broken(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE plpgsql AS $$
BEGIN DELETE FROM agentcrm.agent; RETURN; END $$;
SELECT throws_ok($$SELECT agentcrm.register_agent('wrong', 'retain', 'pg_catalog.now()')$$, '42P13', NULL, 'another signature is refused');
SELECT throws_ok($$SELECT agentcrm.register_agent('wrong', 'retain', 'nofunc')$$, '42883', 'function nofunc(bigint[], timestamptz, jsonb) does not exist', 'a function that is not there is named with its signature');
SELECT throws_ok($$SELECT agentcrm.register_agent('wrong', 'retain', NULL)$$, '22004', 'function must not be NULL', 'NULL is refused');
SELECT throws_ok($$SELECT * FROM agentcrm.profile(NULL, agentcrm.clock())$$, '22004', 'client_ids must not be NULL', 'profile: NULL is refused');
SELECT throws_ok($$SELECT * FROM agentcrm.profile('{1}', NULL)$$, '22004', 'as_of must not be NULL', 'profile: so is no moment');
SELECT throws_ok($$SELECT agentcrm.register_agent('birthday', 'party', 'public.birthday(bigint[], timestamptz, jsonb)')$$, '23514', NULL, 'an unknown objective is refused');
SELECT lives_ok($$SELECT agentcrm.register_agent('birthday', 'retain', 'public.birthday(bigint[], timestamptz, jsonb)', '{"who": "the boss"}')$$, 'an agent is registered');
SELECT lives_ok($$SELECT agentcrm.register_agent('broken', 'retain', 'public.broken')$$, 'so is one that does what it must not');
SET client_min_messages = error;
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() WHERE client_id = 8;
CALL agentcrm.run();
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() WHERE client_id = 8;
CALL agentcrm.run();
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() WHERE client_id = 8;
CALL agentcrm.run();
RESET client_min_messages;
SELECT is((SELECT reason || ', ' || status FROM agentcrm.recommendation WHERE agent = 'birthday'), 'It is the birthday of the boss, open', 'the registered agent''s bid became a recommendation');
SELECT matches((SELECT mode || ': ' || problem FROM agentcrm.agent WHERE agent = 'broken'), '^paused: failed 3 times in a row: cannot execute DELETE in a read-only transaction',
	'the failing one is paused after three failures');
SELECT is((SELECT count(*)::int FROM agentcrm.error_log WHERE place = 'agent broken'), 3, 'its errors are recorded');
SELECT is((SELECT count(*)::int FROM agentcrm.agent WHERE mode = 'active'), 4, 'and the others go on');
SELECT * FROM finish();
