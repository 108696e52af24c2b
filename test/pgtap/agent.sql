-- The registry and the built-in agents, on a trade whose past is known.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(70);
-- one round a look
SET agentcrm.plan_hour = -1;

CREATE TEMP VIEW reorder AS SELECT * FROM agentcrm.reorder_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());
CREATE TEMP VIEW retention AS SELECT * FROM agentcrm.retention_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());
CREATE TEMP VIEW portfolio AS SELECT * FROM agentcrm.portfolio_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());

-- reorder
SELECT is((SELECT kind FROM reorder WHERE client_id = 1), 'bid', 'an order that is due is bid for');
SELECT is((SELECT demand_category || ' ' || demand_from || ' ' || demand_to FROM reorder WHERE client_id = 1), '* 2026-03-02 2026-03-16',
	'the demand is any order of the next 14 days');
SELECT matches((SELECT reason FROM reorder WHERE client_id = 1), 'last was on 2026-02-22, 8 days ago; \d+ % chance of an order within 14 days, 80 % by 2026-03-\d\d; usually Tea x 6',
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

-- parameters
SELECT throws_ok($$UPDATE agentcrm.agent SET params = params || '{"treshold": 0.4}' WHERE agent = 'reorder'$$, '22023', 'reorder_agent has no parameter "treshold"', 'a misspelt parameter is refused');
SELECT throws_ok($$UPDATE agentcrm.agent SET params = params || '{"threshold": "high"}' WHERE agent = 'reorder'$$, '22023', 'parameter "threshold" of reorder_agent must be a number', 'so is one that is no number');
SELECT throws_ok($$INSERT INTO agentcrm.agent (agent, objective, function_schema, function_name, registrar, params) VALUES ('x', 'grow', 'agentcrm', 'portfolio_agent', current_user, '{"min_orders": 2}')$$,
	'22023', 'portfolio_agent has no parameter "min_orders"', 'in a new row, too');
SELECT throws_ok($$SELECT agentcrm.reorder_agent(ARRAY[1], agentcrm.clock(), '{"params": {"min_order": 99}}')$$, '22023', 'reorder_agent has no parameter "min_order"', 'and in a call');
SELECT throws_ok('SELECT agentcrm.check_params()', '39P01', NULL, 'check_params is a trigger');

-- the views say what the agents say, with their parameters
CREATE FUNCTION pg_temp.views_differ() RETURNS SETOF text LANGUAGE sql AS $$
	(SELECT format('basket of %s: %s %s %s', r.client_id, b.product_id, b.quantity, b.p) FROM reorder r, jsonb_to_recordset(r.basket) b(product_id bigint, quantity numeric, p numeric)
	EXCEPT SELECT format('basket of %s: %s %s %s', d.client_id, d.product_id, d.quantity, trim_scale(d.p_next_order)) FROM agentcrm.due_items d)
	UNION ALL (SELECT format('basket of %s: %s', d.client_id, d.product_id) FROM agentcrm.due_items d JOIN reorder r USING (client_id) WHERE r.kind = 'bid'
	EXCEPT SELECT format('basket of %s: %s', r.client_id, b.product_id) FROM reorder r, jsonb_to_recordset(r.basket) b(product_id bigint))
	UNION ALL (SELECT format('lost by %s: %s %s', r.client_id, r.product_id, round((r.evidence #>> '{values,p_chance}')::numeric, 4)) FROM retention r WHERE r.reason_code = 'lost_item'
	EXCEPT SELECT format('lost by %s: %s %s', l.client_id, l.product_id, l.p_missed) FROM agentcrm.lost_items l)
	UNION ALL (SELECT format('lost by %s', l.client_id) FROM agentcrm.lost_items l EXCEPT SELECT format('lost by %s', r.client_id) FROM retention r WHERE r.reason_code = 'lost_item')
	UNION ALL (SELECT format('suggested to %s, who is to order less', d.client_id) FROM agentcrm.due_items d JOIN reorder r USING (client_id) WHERE r.kind = 'refuse' AND r.reason_code IN ('insufficient', 'stage')) $$;
SELECT is_empty('SELECT pg_temp.views_differ()', 'due_items and lost_items are the agents'' own');
SELECT ok((SELECT count(*) FROM agentcrm.due_items) > 100 AND (SELECT count(*) FROM agentcrm.lost_items) = 1, 'and there are such items');
BEGIN;
UPDATE agentcrm.agent SET params = params || '{"basket_floor": 0.6, "min_orders": 15}' WHERE agent = 'reorder';
UPDATE agentcrm.agent SET params = params || '{"item_min_rate": 0.1, "item_min_orders": 2}' WHERE agent = 'retention';
SELECT is_empty('SELECT pg_temp.views_differ()', 'under other parameters, too');
SELECT is_empty($$SELECT FROM agentcrm.due_items WHERE p_next_order < .6 OR client_id IN (SELECT client_id FROM agentcrm.client_profile WHERE n_orders < 15)$$, 'which they keep');
ROLLBACK;
SELECT throws_ok($$SELECT agentcrm.usual_basket(NULL, agentcrm.clock())$$, '22004', NULL, 'usual_basket: a null client is an error');
SELECT throws_ok($$SELECT agentcrm.missed_items(1, 'infinity')$$, '22008', NULL, 'missed_items: an infinite as_of is an error');
SELECT is_empty($$SELECT agentcrm.usual_basket(999999, agentcrm.clock())$$, 'usual_basket: nothing of an unknown client');

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

-- why nothing is proposed: who did not bid said so, with the client's assessment
SELECT is_empty($$SELECT s.client_id, a.agent FROM agentcrm.client_state s, agentcrm.agent a
	WHERE NOT EXISTS (SELECT FROM agentcrm.bid b WHERE b.client_id = s.client_id AND b.as_of = s.as_of AND b.agent = a.agent)
	AND NOT EXISTS (SELECT FROM jsonb_array_elements(s.answers) x WHERE x ->> 'agent' = a.agent)$$, 'each agent bid for each client, or answered something else');
SELECT is_empty($$SELECT s.client_id, x FROM agentcrm.client_state s, jsonb_to_recordset(s.answers) x(agent text, code text, reason text, look_on date)
	WHERE CASE WHEN x.code IS NULL THEN coalesce(x.look_on < (s.as_of AT TIME ZONE 'UTC')::date, true) ELSE coalesce(x.reason, '') = '' END$$, 'a refusal has a reason, a look its day');
SELECT isnt_empty($$SELECT FROM agentcrm.client_state s WHERE s.answers @> '[{"code": "insufficient"}]'$$, 'too little data is an answer');

-- agents of one's own
CREATE FUNCTION public.birthday(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE sql AS $$
	SELECT id, 'bid', 'check', NULL, NULL::bigint, NULL::jsonb, NULL::numeric, NULL::bigint, 'birthday', as_of::date, as_of::date + 3, .9, 500, 1, '{}'::jsonb,
		as_of + interval '2 days', 'birthday', 'It is the birthday of ' || (call #>> '{params,who}'), '{"query": "SELECT 1", "values": {}}'::jsonb, NULL::timestamptz, NULL::boolean, NULL::boolean
	FROM unnest(client_ids) id WHERE id = 8 $$;
CREATE FUNCTION public.broken(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE plpgsql AS $$
BEGIN DELETE FROM agentcrm.agent; RETURN; END $$;
SELECT throws_ok($$SELECT agentcrm.create_agent('wrong', 'retain', 'pg_catalog.now()')$$, '42P13', NULL, 'another signature is refused');
SELECT throws_ok($$SELECT agentcrm.create_agent('wrong', 'retain', 'nofunc')$$, '42883', 'function nofunc(bigint[], timestamptz, jsonb) does not exist, nor one for a single client', 'a function that is not there is named with its signature');
SELECT throws_ok($$SELECT agentcrm.create_agent('wrong', 'retain', NULL)$$, '22004', 'function must not be NULL', 'NULL is refused');
SELECT throws_ok($$SELECT * FROM agentcrm.profile(NULL, agentcrm.clock())$$, '22004', 'client_ids must not be NULL', 'profile: NULL is refused');
SELECT throws_ok($$SELECT * FROM agentcrm.profile('{1}', NULL)$$, '22004', 'as_of must not be NULL', 'profile: so is no moment');
SELECT throws_ok($$SELECT agentcrm.create_agent('birthday', 'party', 'public.birthday(bigint[], timestamptz, jsonb)')$$, '23514', NULL, 'an unknown objective is refused');
SELECT throws_ok($$SELECT agentcrm.create_agent('birthday', NULL, 'public.birthday(bigint[], timestamptz, jsonb)')$$, '22004', NULL, 'a null objective is refused');
SELECT throws_ok($$SELECT agentcrm.create_agent('', 'retain', 'public.birthday(bigint[], timestamptz, jsonb)')$$, '22023', NULL, 'so is an empty name');
SELECT throws_ok($$SELECT agentcrm.create_agent('items', 'retain', 'public.birthday(bigint[], timestamptz, jsonb)')$$, '42939', 'an agent cannot be called "items"', 'nor a name under which backtests report');
SELECT throws_ok($$UPDATE agentcrm.agent SET agent = 'alarms' WHERE agent = 'retention'$$, '42939', 'an agent cannot be called "alarms"', 'nor may an agent be renamed to one');
SELECT lives_ok($$SELECT agentcrm.create_agent('birthday', 'retain', 'public.birthday(bigint[], timestamptz, jsonb)', '{"who": "the boss"}')$$, 'an agent is registered');
SELECT lives_ok($$SELECT agentcrm.create_agent('broken', 'retain', 'public.broken')$$, 'so is one that does what it must not');
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

-- answers that make no sense, or too much of it
UPDATE agentcrm.agent SET mode = 'paused' WHERE agent = 'broken';
CREATE FUNCTION public.stammer(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE sql AS $$
	SELECT id, 'bid', 'check', NULL, NULL::bigint, NULL::jsonb, NULL::numeric, NULL::bigint, 'stammer', as_of::date, as_of::date + 3, .9, 500, 1, '{}'::jsonb,
		as_of + interval '2 days', 'stammer', 'Again', '{}'::jsonb, NULL::timestamptz, NULL::boolean, NULL::boolean
	FROM unnest(client_ids || client_ids) id $$;
SELECT agentcrm.create_agent('stammer', 'retain', 'public.stammer(bigint[], timestamptz, jsonb)') \g /dev/null
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() WHERE client_id IN (10, 11, 12);
CALL agentcrm.run();
SELECT is((SELECT count(*)::int FROM agentcrm.bid WHERE agent = 'stammer'), 3, 'a bid that is repeated later in an answer counts once');
SELECT is((SELECT count(*)::int FROM agentcrm.error_log WHERE place <> 'agent broken'), 0, 'and makes no step fail');
DELETE FROM agentcrm.agent WHERE agent IN ('stammer', 'broken', 'birthday');

-- one bid for client 13, with what the parameters put in place
CREATE FUNCTION public.odd(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE sql AS $$
	SELECT p.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'kind', 'bid', 'action', 'check',
		'demand_category', 'odd', 'margin', 500, 'cost', 1, 'p_claim', .9, 'valid_until', as_of + interval '2 days', 'reason_code', 'odd', 'reason', 'Odd', 'evidence', '{}'::jsonb)
		|| (call -> 'params' -> 'put')) p WHERE id = 13 $$;
CREATE FUNCTION pg_temp.answer(put jsonb) RETURNS void LANGUAGE sql AS $$
	SELECT agentcrm.create_agent('odd', 'retain', 'public.odd(bigint[], timestamptz, jsonb)', jsonb_build_object('put', put));
	UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() WHERE client_id = 13 $$;
CREATE FUNCTION pg_temp.problem(agent text) RETURNS text LANGUAGE sql AS 'SELECT problem FROM agentcrm.agent a WHERE a.agent = $1';
SET client_min_messages = error;
SELECT pg_temp.answer('{"demand_from": "-infinity", "demand_to": "infinity"}') \g /dev/null
CALL agentcrm.run();
SELECT matches(pg_temp.problem('odd'), 'client 13 is invalid: demand_from', 'a demand without end is invalid');
SELECT pg_temp.answer('{"valid_until": "infinity"}') \g /dev/null
CALL agentcrm.run();
SELECT matches(pg_temp.problem('odd'), 'client 13 is invalid: valid_until', 'so is a bid that never lapses');
SELECT pg_temp.answer('{"quantity": "NaN"}') \g /dev/null
CALL agentcrm.run();
SELECT matches(pg_temp.problem('odd'), 'client 13 is invalid: quantity', 'and a quantity that is none');
SELECT pg_temp.answer('{"valid_until": "2026-03-01"}') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT status_reason FROM agentcrm.bid WHERE agent = 'odd'), 'late', 'one that has lapsed already is late');
SELECT pg_temp.answer('{"programme_id": 77, "next_look_at": "2026-03-02 12:00:00.000001+00"}') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT programme_id FROM agentcrm.bid WHERE agent = 'odd' AND status = 'accepted'), 77::bigint, 'a programme is kept with the bid');
SELECT is((SELECT next_look_at - agentcrm.clock() FROM agentcrm.client_state WHERE client_id = 13), interval '1 minute', 'no agent has a client looked at again at once');
SELECT recommendation_id AS odd, agentcrm.feedback(recommendation_id, 'declined') FROM agentcrm.recommendation WHERE agent = 'odd' \gset
DELETE FROM agentcrm.bid WHERE agent = 'odd';
SELECT pg_temp.answer('{}') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT status_reason FROM agentcrm.bid WHERE agent = 'odd'), 'excluded_by:' || :odd, 'what was declined is not recommended again');
SET agentcrm.debug_now = '2026-03-16 12:00+00';
DELETE FROM agentcrm.bid WHERE agent = 'odd';
SELECT pg_temp.answer('{"valid_until": "2026-03-20"}') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT status FROM agentcrm.bid WHERE agent = 'odd'), 'accepted', 'until the demand declined is over');
SET agentcrm.debug_now = '2026-03-02 12:00+00';
UPDATE agentcrm.agent SET params = params || '{"min_orders": 1e12, "call_cost": -100}' WHERE agent = 'reorder';
SELECT is((SELECT kind FROM reorder WHERE client_id = 1), 'refuse', 'a number larger than any count is no small one');
UPDATE agentcrm.agent SET params = params || '{"min_orders": 2}' WHERE agent = 'reorder';
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() WHERE client_id = 1;
CALL agentcrm.run();
SELECT matches(pg_temp.problem('reorder'), 'client 1 is invalid: cost', 'a built-in agent with a parameter that makes no sense fails, too');
RESET client_min_messages;
SELECT * FROM finish();
