-- Anyone's agent: joins at run time, for one client or many; what it may not, and what becomes of it.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(34);
SET agentcrm.plan_hour = -1;
SET client_min_messages = error;

-- the README's own
CREATE SCHEMA crm;
\setenv README_AGENT ''
\set readme `sed -n '/^CREATE FUNCTION crm.anniversary/,/^SELECT agentcrm.create_agent/p' README.md`
:readme
SELECT is((SELECT called_for || ' ' || mode FROM agentcrm.agent WHERE agent = 'anniversary'), 'client active', 'the agent of the README is made');
SELECT cmp_ok(length(regexp_replace(:'readme', '[^\n]', '', 'g')) + 1, '<=', 10, 'in ten lines at most');
UPDATE agentcrm.client_profile SET first_order_on = '2025-03-01' WHERE client_id = 9;
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
DELETE FROM agentcrm.contact_policy;
SELECT count(*) > 0 FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT is((SELECT string_agg(client_id || ' ' || reason || ' ' || reason_code || ' ' || status, ', ') FROM agentcrm.bid WHERE agent = 'anniversary'), '9 A year as a client, on 2026-03-01 anniversary accepted', 'and bids');
SELECT is((SELECT demand_category || ' ' || demand_from || ' ' || demand_to || ' ' || valid_until || ' ' || evidence FROM agentcrm.bid WHERE agent = 'anniversary'),
	'* 2026-03-02 2026-03-16 2026-03-09 12:00:00+00 {}', 'with defaults for what it left out');

-- plugged in at run time, it leaves others' bids as they are
CREATE FUNCTION pg_temp.others() RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT to_jsonb(b) - '{bid_id,round_id,status,status_reason,due_on,rep_id,price}'::text[] FROM agentcrm.bid b WHERE agent <> 'wild' AND iteration = 1 AND round_id = (SELECT max(round_id) FROM agentcrm.round)
$$;
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
SELECT count(*) > 0 FROM agentcrm.plan(dry_run => false) \g /dev/null
CREATE TEMP TABLE alone AS SELECT * FROM pg_temp.others() AS bid;
CREATE TABLE public.wild_answer (answer jsonb);
INSERT INTO public.wild_answer VALUES ('{}');
CREATE FUNCTION public.wild(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE plpgsql AS $$
DECLARE
	a jsonb := (SELECT answer FROM public.wild_answer);
BEGIN
	IF a ? 'error' THEN RAISE EXCEPTION '%', a ->> 'error'; END IF;
	IF a ? 'stall' THEN PERFORM count(*) FROM generate_series(1, 1000000000) g; END IF;
	RETURN QUERY SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'kind', 'bid', 'action', 'call', 'channel', 'phone',
		'demand_category', 'spices', 'p_claim', 0.9, 'margin', 500, 'cost', 1, 'uses', '{"rep_minutes": 6}'::jsonb) || a) b;
END $$;
SELECT agentcrm.create_agent('wild', 'grow', 'public.wild') \g /dev/null
CREATE PROCEDURE pg_temp.round_with(answer jsonb) LANGUAGE plpgsql AS $$ BEGIN
	UPDATE public.wild_answer SET answer = round_with.answer;
	UPDATE agentcrm.agent SET mode = 'active', problem = NULL WHERE agent = 'wild';
	DELETE FROM agentcrm.recommendation;
	DELETE FROM agentcrm.resource_use;
	PERFORM count(*) FROM agentcrm.plan(dry_run => false);
END $$;
CALL pg_temp.round_with('{}');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.bid WHERE agent = 'wild'), '>', 20, 'one more agent bids');
SELECT cmp_ok((SELECT count(*)::int FROM alone), '>', 10, 'others do, too');
SELECT is_empty('(SELECT bid FROM alone EXCEPT ALL SELECT * FROM pg_temp.others()) UNION ALL (SELECT * FROM pg_temp.others() EXCEPT ALL SELECT bid FROM alone)', 'and bid what they bid without it, to the letter');
SELECT is_empty($$SELECT client_id FROM agentcrm.bid WHERE agent = 'wild' AND p_claim IS DISTINCT FROM 0.9$$, 'what it claims is kept');
SELECT is((SELECT count(DISTINCT p_baseline)::int > 1 FROM agentcrm.bid WHERE agent = 'wild' AND round_id = (SELECT max(round_id) FROM agentcrm.round)), true, 'beside the baseline, which is nobody''s claim');

-- what is refused, with the reason; the round closes with the others
CREATE FUNCTION pg_temp.refused() RETURNS text LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM agentcrm.bid WHERE agent = 'wild' AND round_id = r.round_id) || ' ' || (r.limits -> 'failed' ->> 0) || CASE WHEN r.bids > 10 THEN ', others go on' END FROM agentcrm.round r ORDER BY round_id DESC LIMIT 1
$$;
CALL pg_temp.round_with('{"error": "no idea"}');
SELECT is(pg_temp.refused(), '0 wild: no idea, others go on', 'an error');
SET agentcrm.agent_timeout = '50ms';
CALL pg_temp.round_with('{"stall": 1}');
SELECT is(pg_temp.refused(), '0 wild: time limit passed (agentcrm.agent_timeout, or parameter time_limit_ms), others go on', 'stalling');
RESET agentcrm.agent_timeout;
CALL pg_temp.round_with('{"p_claim": "NaN"}');
SELECT alike(pg_temp.refused(), '0 wild: proposal for client % is invalid: p_claim must lie between 0 and 1, others go on', 'NaN');
CALL pg_temp.round_with('{"margin": "NaN"}');
SELECT alike(pg_temp.refused(), '0 wild: % margin is missing or not finite, others go on', 'a margin that is no number');
CALL pg_temp.round_with('{"margin": null}');
SELECT alike(pg_temp.refused(), '0 wild: % margin is missing or not finite, others go on', 'no margin');
CALL pg_temp.round_with('{"client_id": 424242}');
SELECT is(pg_temp.refused(), '0 wild: proposal for client 424242 is invalid: the client was not in the call, others go on', 'a foreign client');
CALL pg_temp.round_with('{"uses": {"rep_minutes": -5}}');
SELECT alike(pg_temp.refused(), '0 wild: % rep_minutes in uses must be finite and not negative, others go on', 'negative minutes');
CALL pg_temp.round_with('{"cost": -1}');
SELECT alike(pg_temp.refused(), '0 wild: % cost must be finite and not negative, others go on', 'a negative cost');
CALL pg_temp.round_with('{"action": "fax"}');
SELECT alike(pg_temp.refused(), '0 wild: % action must be %', 'an unknown action');
CALL pg_temp.round_with('{"demand_from": "2026-03-05", "demand_to": "2026-03-05"}');
SELECT alike(pg_temp.refused(), '0 wild: % demand_from must lie before demand_to%', 'a demand without a day');
UPDATE public.wild_answer SET answer = '{"error": "again"}';
SELECT count(*) FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT count(*) FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT is((SELECT mode || ': ' || problem FROM agentcrm.agent WHERE agent = 'wild'), 'paused: failed 3 times in a row: again', 'after three failures in a row it is paused');

-- modes
CALL pg_temp.round_with('{}');
UPDATE agentcrm.agent SET mode = 'shadow' WHERE agent = 'wild';
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
SELECT count(*) FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT is((SELECT string_agg(DISTINCT status || ' ' || status_reason, ', ') FROM agentcrm.bid WHERE agent = 'wild' AND net_value > 0 AND round_id = (SELECT max(round_id) FROM agentcrm.round)), 'rejected shadow', 'a shadow bids and never wins');
SELECT lives_ok($$SELECT agentcrm.create_agent('wild', 'grow', 'public.wild', mode => 'paused')$$, 'paused from the start');
SELECT throws_ok($$SELECT agentcrm.create_agent('wild', 'grow', 'public.wild', mode => 'asleep')$$, '23514', NULL, 'an unknown mode');
SELECT throws_ok($$SELECT agentcrm.create_agent('wild', 'grow', 'public.nothing')$$, '42883', NULL, 'an unknown function');
CREATE FUNCTION public.wrong(client_ids bigint, as_of timestamptz, call jsonb) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
SELECT throws_ok($$SELECT agentcrm.create_agent('wild', 'grow', 'public.wrong')$$, '42P13', NULL, 'one that returns no proposal');

-- the second call: something cheaper for what lost for want of means
CREATE OR REPLACE FUNCTION public.wild(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE sql AS $$
	SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'action', 'call', 'channel', 'phone', 'demand_category', 'spices', 'p_claim', 0.9, 'margin', 500, 'cost', 1, 'uses', '{"rep_minutes": 60}'::jsonb, 'valid_until', as_of + interval '1 day')
		|| CASE WHEN (call ->> 'iteration')::int = 2 THEN '{"action": "message", "channel": "email", "margin": 400, "uses": {}}' ELSE '{}' END::jsonb) b
	WHERE (call ->> 'iteration')::int = 1 OR EXISTS (SELECT FROM jsonb_array_elements(call -> 'rejected') r WHERE (r ->> 'client_id')::bigint = id AND r ->> 'action' = 'call' AND r ->> 'reason' LIKE 'capacity:rep_minutes')
$$;
SELECT agentcrm.create_agent('wild', 'grow', 'public.wild') \g /dev/null
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
SELECT count(*) FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT is((SELECT iterations || ' ' || (first_value < plan_value) FROM agentcrm.round ORDER BY round_id DESC LIMIT 1), '2 true', 'a second iteration, and the plan is worth more');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.bid WHERE agent = 'wild' AND iteration = 2 AND action = 'message' AND status = 'accepted'), '>', 2, 'messages take the place of calls that found no minutes');
SELECT is_empty($$SELECT b.client_id FROM agentcrm.bid b JOIN agentcrm.bid o USING (round_id, client_id) WHERE b.agent = 'wild' AND b.iteration = 2 AND o.agent = 'wild' AND o.iteration = 1 AND o.status = 'accepted'$$, 'only for those who were told so');

-- it leaves
SELECT recommendation_id AS seen FROM agentcrm.recommendation WHERE agent = 'wild' AND minutes > 0 ORDER BY 1 LIMIT 1 \gset
SELECT agentcrm.feedback(:seen, 'shown') \g /dev/null
CREATE TEMP TABLE of_wild AS SELECT count(*) AS bids FROM agentcrm.bid WHERE agent = 'wild';
SELECT lives_ok($$SELECT agentcrm.drop_agent('wild')$$, 'drop_agent');
SELECT is((SELECT string_agg(DISTINCT status || coalesce(' ' || status_reason, ''), ', ') FROM agentcrm.recommendation WHERE agent = 'wild'), 'shown, withdrawn agent dropped', 'what nobody has seen goes with it');
SELECT is((SELECT sum(u.amount) FROM agentcrm.resource_use u JOIN agentcrm.recommendation r USING (client_id, recommendation_id) WHERE r.agent = 'wild' AND r.status = 'withdrawn'), 0.0000, 'and gives its means back');
SELECT is((SELECT count(*) FROM agentcrm.bid WHERE agent = 'wild'), (SELECT bids FROM of_wild), 'its bids stay');
SELECT throws_ok($$SELECT agentcrm.drop_agent('wild')$$, '42704', NULL, 'nobody leaves twice');
SELECT lives_ok($$SELECT agentcrm.drop_agent('reorder'), agentcrm.create_agent('reorder', 'serve', 'agentcrm.reorder_agent')$$, 'a built-in one may leave and come back');
SELECT * FROM finish();
