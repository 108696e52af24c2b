-- The means: whose work it is, days, travel, budgets, slots, stock, floors and ceilings, quiet days, suppression.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(41);

SET agentcrm.plan_hour = -1;
UPDATE agentcrm.agent SET mode = 'paused';
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
DELETE FROM agentcrm.contact_policy;

-- An agent that wants what a table says.
CREATE TABLE public.want (client_id bigint, proposal jsonb);
CREATE FUNCTION public.wanting(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE sql AS $$
	SELECT b.* FROM public.want w, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', w.client_id, 'kind', 'bid', 'action', 'call', 'channel', 'phone',
		'demand_category', '*', 'demand_from', as_of::date, 'demand_to', as_of::date + 14, 'p_claim', 0.99, 'margin', 1000 + w.client_id, 'cost', 1, 'uses', '{"rep_minutes": 6}'::jsonb,
		'valid_until', as_of + interval '2 days', 'reason_code', 'wanting', 'reason', 'It wants to', 'evidence', '{}'::jsonb) || w.proposal) b WHERE w.client_id = ANY (client_ids)
$$;
SELECT agentcrm.create_agent('wanting', 'grow', 'public.wanting') \g /dev/null
-- n clients of rep 2 want it; the plan that comes of it
CREATE PROCEDURE pg_temp.plan_for(n int, proposal jsonb) LANGUAGE plpgsql AS $$ BEGIN
	DELETE FROM agentcrm.recommendation;
	DELETE FROM agentcrm.resource_use;
	DELETE FROM public.want;
	INSERT INTO public.want SELECT client_id, plan_for.proposal FROM (SELECT client_id FROM trade.client WHERE rep_id = 2 AND client_id > 6 ORDER BY client_id LIMIT plan_for.n) c;
	PERFORM count(*) FROM agentcrm.plan(dry_run => false);
END $$;
CREATE FUNCTION pg_temp.days() RETURNS text LANGUAGE sql AS $$SELECT string_agg(due_on || ' ' || coalesce(rep_id::text, '-') || ' ' || n, ', ' ORDER BY due_on, rep_id) FROM (SELECT due_on, rep_id, count(*) AS n FROM agentcrm.recommendation GROUP BY 1, 2) d$$;
CREATE FUNCTION pg_temp.reasons() RETURNS text LANGUAGE sql AS $$SELECT string_agg(DISTINCT status_reason, ', ') FROM agentcrm.bid WHERE round_id = (SELECT max(round_id) FROM agentcrm.round) AND status = 'rejected'$$;

-- whose work it is
SELECT is(agentcrm.owner_of(1, NULL, '2026-03-02'), 1::bigint, 'a client''s own rep');
SELECT is(agentcrm.owner_of(NULL, 'north', '2026-03-02'), NULL, 'nobody');
INSERT INTO agentcrm.rep_territory VALUES ('north', 3);
SELECT is(agentcrm.owner_of(NULL, 'north', '2026-03-02'), 3::bigint, 'that of the territory');
SELECT is(agentcrm.owner_of(1, 'north', '2026-03-02'), 1::bigint, 'only where there is none of its own');
INSERT INTO agentcrm.hand_over VALUES (1, '2026-03-04', 2), (2, '2026-03-10', 3), (3, '2026-03-20', 1);
SELECT is((SELECT array_agg(agentcrm.owner_of(1, NULL, d)) FROM unnest('{2026-03-03,2026-03-04,2026-03-10}'::date[]) d), '{1,2,3}', 'hand-overs from their day on, one after the other');
SELECT isnt(agentcrm.owner_of(1, NULL, '2026-03-21'), NULL, 'a circle of them ends');
DELETE FROM agentcrm.hand_over;
INSERT INTO agentcrm.rep_absence VALUES (2, '2026-03-02', '2026-03-04', 1), (1, '2026-03-03', '2026-03-05', NULL);
SELECT is((SELECT array_agg(agentcrm.owner_of(2, NULL, d)) FROM unnest('{2026-03-02,2026-03-03,2026-03-04}'::date[]) d), '{1,NULL,2}', 'a substitute, one who is away himself, and back again');
SELECT throws_ok($$INSERT INTO agentcrm.rep_absence VALUES (5, '2026-03-02', '2026-03-02', NULL)$$, '23514', NULL, 'an absence has a length');

-- days
CALL pg_temp.plan_for(3, '{"uses": {"rep_minutes": 100}}');
SELECT is(pg_temp.days(), '2026-03-02 1 2', 'while he is away the substitute has minutes for two; on the next day nobody is there');
SELECT is(pg_temp.reasons(), 'capacity:rep_minutes', 'the third is told so');
DELETE FROM agentcrm.rep_absence;
INSERT INTO agentcrm.rep_absence VALUES (2, '2026-03-02', '2026-03-03', NULL);
CALL pg_temp.plan_for(3, '{"uses": {"rep_minutes": 100}}');
SELECT is(pg_temp.days(), '2026-03-03 2 2', 'without one the work waits');
DELETE FROM agentcrm.rep_absence;

-- visits travel: Monday elsewhere, Tuesday in the north
UPDATE agentcrm.client SET territory = 'north';
INSERT INTO agentcrm.zone VALUES ('north', 20), ('south', 50);
INSERT INTO agentcrm.visit_day VALUES (2, 2, 'north');
UPDATE agentcrm.resource SET capacity = 100;
CALL pg_temp.plan_for(8, '{"action": "visit", "channel": "visit", "uses": {"rep_minutes": 20}}');
SELECT is(pg_temp.days(), '2026-03-02 2 2, 2026-03-03 2 4', 'off the route the way is added, on it it is taken off the day once');
SELECT is((SELECT array_agg(DISTINCT amount ORDER BY amount) FROM agentcrm.resource_use WHERE resource = 'rep_minutes'), '{20,40}'::numeric[], 'as is booked');
CALL pg_temp.plan_for(8, '{"uses": {"rep_minutes": 20}}');
SELECT is(pg_temp.days(), '2026-03-02 2 5, 2026-03-03 2 3', 'calls do not travel; the route does');
DELETE FROM agentcrm.visit_day;
UPDATE agentcrm.resource SET capacity = 240;

-- slots of a channel
INSERT INTO agentcrm.resource (resource, capacity) VALUES ('channel:email', 3);
CALL pg_temp.plan_for(8, '{"action": "message", "channel": "email", "uses": {}}');
SELECT is(pg_temp.days(), '2026-03-02 2 3, 2026-03-03 2 3', 'three messages a day over all clients');
SELECT is(pg_temp.reasons(), 'capacity:channel:email', 'the others are told so');
SELECT cmp_ok((SELECT max(net_value) FROM agentcrm.bid WHERE status = 'rejected' AND round_id = (SELECT max(round_id) FROM agentcrm.round)), '<=',
	(SELECT min(net_value) FROM agentcrm.bid WHERE status = 'accepted' AND round_id = (SELECT max(round_id) FROM agentcrm.round)), 'those worth least');
UPDATE agentcrm.resource SET period = 'week', capacity = 4 WHERE resource = 'channel:email';
CALL pg_temp.plan_for(8, '{"action": "message", "channel": "email", "uses": {}}');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation), 4, 'four a week');
SELECT is((SELECT array_agg(DISTINCT day) FROM agentcrm.resource_use), '{2026-03-02}'::date[], 'counted in the week that begins on Monday');
DELETE FROM agentcrm.resource WHERE resource = 'channel:email';

-- budgets
INSERT INTO agentcrm.resource (resource, owner_id, period, capacity) VALUES ('budget', 7, 'month', 100);
CALL pg_temp.plan_for(8, '{"action": "programme", "channel": "email", "programme_id": 7, "uses": {"budget": 30}}');
SELECT is((SELECT count(*)::int || ' ' || (SELECT sum(amount) FROM agentcrm.resource_use WHERE resource = 'budget') FROM agentcrm.recommendation), '3 90.0000', 'a programme''s budget is kept');
SELECT is(pg_temp.reasons(), 'budget:7', 'and named');
SELECT agentcrm.feedback(recommendation_id, 'declined') FROM agentcrm.recommendation LIMIT 1 \g /dev/null
SELECT is((SELECT sum(amount) FROM agentcrm.resource_use WHERE resource = 'budget'), 60.0000, 'what is declined gives its money back');
SELECT agentcrm.feedback(recommendation_id, 'done') FROM agentcrm.recommendation WHERE status = 'open' LIMIT 1 \g /dev/null
SELECT is((SELECT sum(amount) FROM agentcrm.resource_use WHERE resource = 'budget'), 60.0000, 'what is done has spent it');
UPDATE agentcrm.resource SET capacity = 20 WHERE resource = 'budget';
SELECT is((SELECT count(*)::int FROM agentcrm.plan() WHERE part = 'award'), 0, 'cut below what is committed nothing more is given');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation WHERE status IN ('open', 'done')), 2, 'and what is committed stands');
DELETE FROM agentcrm.resource WHERE resource = 'budget';

-- stock
CALL pg_temp.plan_for(8, '{"action": "order_suggestion", "channel": null, "product_id": 5, "quantity": 4, "uses": {}}');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation), 8, 'without a stock feed nothing is short');
INSERT INTO agentcrm.stock (product_id, stock_id, recorded_at, source_id, stock_key, product_key, on_hand, reserved) VALUES (5, 1, agentcrm.clock(), 1, '1', '5', 14, 4), (5, 2, agentcrm.clock(), 1, '2', '5', 1, NULL);
CALL pg_temp.plan_for(8, '{"action": "order_suggestion", "channel": null, "product_id": 5, "quantity": 4, "uses": {}}');
SELECT is((SELECT count(*)::int || ' ' || pg_temp.reasons() FROM agentcrm.recommendation), '2 stock', 'what is there and not reserved, over all warehouses');
CALL pg_temp.plan_for(8, '{"action": "order_suggestion", "channel": null, "product_id": 1, "quantity": 4, "uses": {}}');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation), 8, 'of a product without a row nothing is known, which is not nothing');
DELETE FROM agentcrm.stock;

-- objectives
INSERT INTO agentcrm.objective_policy (objective, means, ceiling) VALUES ('grow', 'rep_minutes', 40);
CALL pg_temp.plan_for(8, '{"uses": {"rep_minutes": 20}}');
SELECT is(pg_temp.days() || ' ' || pg_temp.reasons(), '2026-03-02 2 2, 2026-03-03 2 2 capacity:ceiling:grow:rep_minutes', 'a ceiling a day');
DELETE FROM agentcrm.objective_policy;
CALL pg_temp.plan_for(3, '{"uses": {"rep_minutes": 20}, "p_claim": 0.0, "cost": 5}');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation), 0, 'what costs more than it brings is not done');
SELECT throws_ok($$INSERT INTO agentcrm.objective_policy (objective, means, floor, ceiling) VALUES ('grow', 'rep_minutes', 50, 40)$$, '23514', NULL, 'a floor lies below the ceiling');
UPDATE agentcrm.agent SET mode = 'active' WHERE agent = 'reorder';
UPDATE agentcrm.resource SET capacity = 12;
INSERT INTO agentcrm.objective_policy (objective, means, floor, worth) VALUES ('serve', 'rep_minutes', 12, 10000);
CALL pg_temp.plan_for(8, '{}');
SELECT cmp_ok((SELECT sum(r.minutes) FROM agentcrm.recommendation r WHERE agent = 'reorder' AND due_on = '2026-03-02'), '>=', 12.0, 'a floor lets the smaller ones through');
DELETE FROM agentcrm.objective_policy;
CALL pg_temp.plan_for(8, '{}');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation WHERE agent = 'reorder' AND rep_id = 2 AND due_on = '2026-03-02'), 0, 'which else the greater ones push out');
UPDATE agentcrm.agent SET mode = 'paused' WHERE agent = 'reorder';
UPDATE agentcrm.resource SET capacity = 240;

-- quiet days
INSERT INTO agentcrm.quiet_day VALUES ('2026-03-02', 'phone');
CALL pg_temp.plan_for(2, '{}');
SELECT is(pg_temp.days(), '2026-03-03 2 2', 'nobody is called on a quiet day');
CALL pg_temp.plan_for(2, '{"channel": "email", "action": "message", "uses": {}}');
SELECT is(pg_temp.days(), '2026-03-02 2 2', 'by that channel');
INSERT INTO agentcrm.contact_policy (channel, max_contacts, per_days, cooldown_days, quiet_weekdays) VALUES ('*', 9, 30, 0, '{2}');
CALL pg_temp.plan_for(2, '{}');
SELECT is(pg_temp.reasons(), 'quiet_day', 'nor on a quiet weekday after it');
DELETE FROM agentcrm.quiet_day;
SELECT throws_ok($$UPDATE agentcrm.contact_policy SET quiet_weekdays = '{0}'$$, '23514', NULL, 'weekdays go from 1 to 7');

-- suppression
UPDATE agentcrm.contact_policy SET quiet_weekdays = '{}', suppress_after = 2, suppress_days = 30;
CALL pg_temp.plan_for(1, '{"demand_to": "2026-03-03"}');
SELECT client_id AS ignoring FROM agentcrm.recommendation \gset
UPDATE agentcrm.recommendation SET status = 'expired', status_reason = 'its time passed';
SELECT is((SELECT count(*)::int FROM agentcrm.plan() WHERE part = 'award'), 1, 'one ignored contact is no reason');
INSERT INTO agentcrm.recommendation SELECT (jsonb_populate_record(NULL::agentcrm.recommendation, to_jsonb(r) || '{"recommendation_id": 77, "due_on": "2026-03-01"}')).* FROM agentcrm.recommendation r;
SELECT is((SELECT string_agg(obstacle || ' ' || reason || ' ' || (until AT TIME ZONE 'UTC')::date, ', ') FROM agentcrm.why_not(:ignoring, 'call', 'wanting')), 'contact_policy suppressed 2026-04-01', 'two in a row are');
INSERT INTO agentcrm.recommendation SELECT (jsonb_populate_record(NULL::agentcrm.recommendation, to_jsonb(r) || '{"recommendation_id": 78, "due_on": "2026-03-02", "status": "done"}')).* FROM agentcrm.recommendation r WHERE recommendation_id = 77;
DELETE FROM agentcrm.recommendation WHERE recommendation_id NOT IN (77, 78);
SELECT throws_ok($$UPDATE agentcrm.recommendation SET status = 'open' WHERE recommendation_id = 78$$, '23514', NULL, 'what has ended stays ended');
SELECT is((SELECT count(*)::int FROM agentcrm.plan() WHERE part = 'award'), 1, 'not when the last one was taken up');
SELECT * FROM finish();
