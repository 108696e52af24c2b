-- The negotiation: many clients, few minutes; the certificate, prices, limits, repairs, and the questions about it.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(51);

-- Means are short: three calls a rep and day; nothing recommended yet.
SET agentcrm.plan_hour = -1;
UPDATE agentcrm.resource SET capacity = 18 WHERE resource = 'rep_minutes';
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
-- An agent that wants a call for everybody, worth more for higher ids.
CREATE FUNCTION public.eager(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE sql AS $$
	SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'kind', 'bid', 'action', 'call', 'channel', 'phone',
		'demand_category', '*', 'demand_from', as_of::date, 'demand_to', as_of::date + 14, 'p_claim', 0.99, 'margin', 1000 + id, 'cost', 1, 'uses', '{"rep_minutes": 6}'::jsonb,
		'valid_until', as_of + interval '2 days', 'reason_code', 'eager', 'reason', 'It wants to', 'evidence', '{}'::jsonb)) b
$$;
SELECT agentcrm.create_agent('eager', 'grow', 'public.eager') \g /dev/null

CREATE TEMP TABLE seen AS SELECT * FROM agentcrm.plan();
CREATE FUNCTION pg_temp.figure(what text) RETURNS double precision LANGUAGE sql AS $$SELECT value FROM seen WHERE part = 'round' AND item = what$$;
SELECT cmp_ok(pg_temp.figure('awarded'), '>', 5::float8, 'a dry run awards');
SELECT is((SELECT count(*) FROM agentcrm.recommendation), 0::bigint, 'and writes nothing');
SELECT cmp_ok(pg_temp.figure('value'), '<=', pg_temp.figure('bound') + 1e-6, 'no plan is worth more than its bound');
SELECT cmp_ok(pg_temp.figure('gap'), '<', .2::float8, 'and it is near it, at three calls a day');
SELECT is_empty($$SELECT owner_id, day, value FROM seen WHERE part = 'price' AND item = 'rep_minutes' AND value > 18$$, 'no rep has more than his minutes');
SELECT isnt_empty($$SELECT FROM seen WHERE part = 'price' AND price > 0$$, 'scarce minutes have a price');
SELECT is_empty($$TABLE seen EXCEPT TABLE seen UNION ALL (SELECT * FROM agentcrm.plan() EXCEPT TABLE seen)$$, 'the same input, the same plan');

-- made
SELECT count(*) > 0 AS made FROM agentcrm.plan(dry_run => false) \gset
SELECT results_eq($$SELECT client_id, action, due_on FROM agentcrm.recommendation WHERE status = 'open' ORDER BY 1, 2$$, $$SELECT client_id, item, day FROM seen WHERE part = 'award' ORDER BY 1, 2$$, 'what was shown is what is made');
SELECT results_eq($$SELECT round(plan_value::numeric, 6), round(bound::numeric, 6) FROM agentcrm.round ORDER BY round_id DESC LIMIT 1$$,
	$$SELECT round(pg_temp.figure('value')::numeric, 6), round(pg_temp.figure('bound')::numeric, 6)$$, 'the round keeps its certificate');
SELECT is_empty($$SELECT owner_id, day FROM agentcrm.resource_use WHERE resource = 'rep_minutes' GROUP BY 1, 2 HAVING sum(amount) > 18$$, 'minutes are kept, by what is booked');
SELECT isnt_empty($$SELECT FROM agentcrm.bid WHERE status_reason LIKE 'capacity:rep_minutes'$$, 'others are told that minutes are short');
SELECT isnt_empty($$SELECT FROM agentcrm.resource_prices WHERE resource = 'rep_minutes' AND price > 0 AND used <= available$$, 'resource_prices');
SELECT cmp_ok((SELECT max(satisfaction) FROM agentcrm.satisfaction WHERE agent = 'eager' AND round_id = (SELECT max(round_id) FROM agentcrm.round)), '<', 1::float8, 'an agent that wants everything is not satisfied');
SELECT is((SELECT sum(planned)::int FROM agentcrm.plan_vs_actual), (SELECT count(*)::int FROM agentcrm.recommendation), 'plan_vs_actual counts every recommendation');
SELECT recommendation_id AS r FROM agentcrm.recommendation WHERE agent = 'eager' AND client_id IN (SELECT client_id FROM agentcrm.bid WHERE agent <> 'eager' AND status = 'rejected') LIMIT 1 \gset
SELECT is((SELECT action FROM agentcrm.negotiation(:r) WHERE place = 1), 'call', 'negotiation begins with the call for proposals');
SELECT is((SELECT status FROM agentcrm.negotiation(:r) WHERE place = 2), 'accepted', 'then the winner');
SELECT is_empty(format('SELECT FROM agentcrm.negotiation(%s) WHERE place > 1 AND status = %L AND status_reason IS NULL', :r, 'rejected'), 'every loser knows why');
SELECT is((SELECT count(*)::int FROM agentcrm.negotiation(:r) WHERE place > 1), (SELECT count(*)::int FROM agentcrm.bid b JOIN agentcrm.recommendation r USING (client_id, as_of, round_id) WHERE r.recommendation_id = :r), 'all bids for the client are there');
SELECT is_empty('SELECT FROM agentcrm.negotiation(1)', 'the negotiation of nothing is nothing');

-- commitments
CREATE TEMP TABLE first AS SELECT client_id, recommendation_id, status FROM agentcrm.recommendation;
SELECT count(*) > 0 AS made FROM agentcrm.plan(dry_run => false) \gset
SELECT is_empty($$SELECT recommendation_id, status FROM first EXCEPT SELECT recommendation_id, status FROM agentcrm.recommendation$$, 'planned again at once, nothing is displaced');
SELECT recommendation_id AS shown, client_id AS shown_client, due_on AS shown_day, rep_id AS shown_rep FROM agentcrm.recommendation WHERE status = 'open' AND agent = 'eager' ORDER BY value LIMIT 1 \gset
SELECT agentcrm.feedback(:shown, 'shown') \g /dev/null
CREATE OR REPLACE FUNCTION public.eager(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE sql AS $$
	SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'kind', 'bid', 'action', 'call', 'channel', 'phone',
		'demand_category', '*', 'demand_from', as_of::date, 'demand_to', as_of::date + 14, 'p_claim', 0.99, 'margin', 9000 - 150 * id, 'cost', 1, 'uses', '{"rep_minutes": 6}'::jsonb,
		'valid_until', as_of + interval '2 days', 'reason_code', 'eager', 'reason', 'It wants to', 'evidence', '{}'::jsonb)) b
$$;
SELECT count(*) > 0 AS made FROM agentcrm.plan(dry_run => false) \gset
SELECT isnt_empty($$SELECT FROM agentcrm.recommendation WHERE status = 'displaced' AND status_reason IS NOT NULL$$, 'when others become worth more, what nobody has seen gives way');
SELECT is((SELECT status FROM agentcrm.recommendation WHERE recommendation_id = :shown), 'shown', 'what was shown stands');
SELECT is_empty($$SELECT f.recommendation_id FROM first f LEFT JOIN agentcrm.recommendation r USING (recommendation_id) WHERE r.status IS NULL$$, 'commitments never vanish');
SELECT is_empty($$SELECT owner_id, day FROM agentcrm.resource_use WHERE resource = 'rep_minutes' GROUP BY 1, 2 HAVING sum(amount) > 18 OR sum(amount) < 0$$, 'what gave way gave its minutes back, once');
SELECT is((SELECT count(*) FROM agentcrm.verify()), 0::bigint, 'state equals recompute');

-- a local repair touches only what it must
CREATE TEMP TABLE before AS SELECT client_id, recommendation_id, status FROM agentcrm.recommendation;
INSERT INTO trade.orders VALUES (9001, :shown_client, 2, '2026-03-02');
INSERT INTO trade.line VALUES (9001, 1, 1, 6, 420);
CALL agentcrm.run();
SELECT is((SELECT kind FROM agentcrm.round ORDER BY round_id DESC LIMIT 1), 'event', 'an order makes an event round');
SELECT is_empty(format('SELECT client_id, recommendation_id, status FROM before WHERE client_id <> %s EXCEPT SELECT client_id, recommendation_id, status FROM agentcrm.recommendation', :shown_client), 'which leaves the other clients'' plans alone');
SELECT cmp_ok((SELECT clients FROM agentcrm.round ORDER BY round_id DESC LIMIT 1), '=', 1, 'and calls for that client only');

-- why not
SELECT throws_ok($$SELECT agentcrm.why_not(7, 'check')$$, 'P0002', NULL, 'why_not: nobody bids that');
SELECT throws_ok($$SELECT agentcrm.why_not(NULL, 'call')$$, '22004', NULL, 'why_not: of nobody');
SELECT client_id AS poor FROM agentcrm.bid b WHERE agent = 'eager' AND status_reason = 'capacity:rep_minutes' AND round_id = (SELECT max(round_id) FROM agentcrm.round WHERE kind = 'daily')
	AND NOT EXISTS (SELECT FROM agentcrm.recommendation r WHERE r.client_id = b.client_id AND r.status IN ('open', 'shown', 'agreed', 'snoozed')) ORDER BY client_id DESC LIMIT 1 \gset
SELECT is((SELECT string_agg(obstacle || ' ' || reason, ', ') FROM agentcrm.why_not(:poor, 'call', 'eager')), 'means capacity:rep_minutes', 'why_not: minutes are all that is missing');
SELECT missing FROM agentcrm.why_not(:poor, 'call', 'eager') \gset
BEGIN;
UPDATE agentcrm.resource SET capacity = 18 + :missing WHERE resource = 'rep_minutes';
SELECT is_empty(format('SELECT * FROM agentcrm.why_not(%s, %L, %L)', :poor, 'call', 'eager'), 'so many minutes more, and it wins');
UPDATE agentcrm.resource SET capacity = 18 + :missing - .01 WHERE resource = 'rep_minutes';
SELECT isnt_empty(format('SELECT * FROM agentcrm.why_not(%s, %L, %L)', :poor, 'call', 'eager'), 'a little less, and it does not');
UPDATE agentcrm.client SET do_not_contact = true WHERE client_id = :poor;
SELECT is((SELECT string_agg(obstacle, ', ' ORDER BY obstacle) FROM agentcrm.why_not(:poor, 'call', 'eager')), 'client, means', 'two obstacles are named, no third one');
SAVEPOINT two;
UPDATE agentcrm.resource SET capacity = 18 + :missing WHERE resource = 'rep_minutes';
SELECT is((SELECT string_agg(obstacle, ', ') FROM agentcrm.why_not(:poor, 'call', 'eager')), 'client', 'the minutes alone do not make it win');
UPDATE agentcrm.client SET do_not_contact = false WHERE client_id = :poor;
SELECT is_empty(format('SELECT * FROM agentcrm.why_not(%s, %L, %L)', :poor, 'call', 'eager'), 'both do');
ROLLBACK TO two;
ROLLBACK;

-- what if
SELECT is((SELECT count(*)::int FROM agentcrm.what_if('{}')), (SELECT count(*)::int FROM agentcrm.plan() WHERE part = 'round'), 'without changes only the certificate is shown');
SELECT cmp_ok((SELECT after::numeric - before::numeric FROM agentcrm.what_if('{"resource": [{"resource": "rep_minutes", "owner_id": null, "capacity": 200}]}') WHERE item = 'value'), '>', 0::numeric, 'more minutes, more value');
SELECT is((SELECT capacity FROM agentcrm.resource WHERE resource = 'rep_minutes' AND owner_id IS NULL), 18::numeric, 'and nothing stays changed');
SELECT throws_ok($$SELECT agentcrm.what_if('{"ledger": []}'::jsonb || '{"ledger": [{"amount": 1}]}')$$, '22023', NULL, 'what_if: other tables are not touched');
SELECT throws_ok($$SELECT agentcrm.plan('2026-03-01', false)$$, '22023', NULL, 'the past is not planned');
-- together
CREATE FUNCTION pg_temp.value_of(VARIADIC agents text[]) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	v double precision;
BEGIN
	UPDATE agentcrm.agent SET mode = CASE WHEN agent = ANY (agents) THEN 'active' ELSE 'paused' END;
	SELECT value INTO v FROM agentcrm.plan() WHERE item = 'value';
	RETURN v;
END $$;
CREATE FUNCTION pg_temp.bound() RETURNS double precision LANGUAGE sql AS $$SELECT value FROM agentcrm.plan() WHERE item = 'bound'$$;
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
SELECT pg_temp.value_of('eager', 'reorder', 'retention', 'portfolio') AS joint \gset
SELECT pg_temp.bound() AS with_all \gset
SELECT is_empty(format('SELECT a, pg_temp.value_of(a) FROM unnest(%L::text[]) a WHERE pg_temp.value_of(a) > %s + 1e-6', '{eager,reorder,retention,portfolio}', :joint), 'the joint plan is worth no less than any single agent''s');
SELECT pg_temp.value_of('eager', 'reorder', 'retention') IS NULL AS without \gset
SELECT cmp_ok(:with_all::float8, '>=', pg_temp.bound() * (1 - 1e-5), 'one more agent never lowers the bound');
-- a fixed precedence: each agent in turn takes what it wants of what is left
CREATE FUNCTION pg_temp.precedence(VARIADIC agents text[]) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	a text;
	v double precision := 0;
BEGIN
	FOREACH a IN ARRAY agents LOOP
		UPDATE agentcrm.agent SET mode = CASE WHEN agent = a THEN 'active' ELSE 'paused' END;
		v := v + (SELECT value FROM agentcrm.plan(dry_run => false) WHERE item = 'value');
		UPDATE agentcrm.recommendation SET status = 'shown' WHERE status = 'open';
	END LOOP;
	DELETE FROM agentcrm.recommendation;
	DELETE FROM agentcrm.resource_use;
	RETURN v;
END $$;
SELECT cmp_ok(:joint::float8, '>=', pg_temp.precedence('reorder', 'retention', 'portfolio', 'eager') - 1e-6, 'nor than a fixed precedence');
SELECT cmp_ok(:joint::float8, '>=', pg_temp.precedence('eager', 'portfolio', 'retention', 'reorder') - 1e-6, 'nor than another one');
-- a price is what one more unit brings
SELECT pg_temp.value_of('eager') IS NULL AS one \gset
CREATE TEMP TABLE price AS SELECT avg(price) AS price FROM agentcrm.plan() WHERE part = 'price' AND item = 'rep_minutes' AND day < '2026-03-04';
SELECT value AS bound_now FROM agentcrm.plan() WHERE item = 'bound' \gset
UPDATE agentcrm.resource SET capacity = 18.1 WHERE resource = 'rep_minutes';
SELECT cmp_ok(abs((SELECT value FROM agentcrm.plan() WHERE item = 'bound') - :bound_now::float8 - (0.1 * 2 * 3)::float8 * (SELECT price FROM price)), '<', (0.05 * 0.1 * 2 * 3)::float8 * (SELECT price FROM price), 'prices are the marginal values of the reps'' minutes');
UPDATE agentcrm.resource SET capacity = 18 WHERE resource = 'rep_minutes';

-- obligations come first, in the same means, and are flagged
CREATE FUNCTION public.owed(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE sql AS $$
	SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'action', 'call', 'channel', 'phone', 'demand_category', 'complaint', 'p_claim', 0, 'margin', 0,
		'cost', 1, 'uses', '{"rep_minutes": 6}'::jsonb, 'valid_until', as_of + (1 + id % 2) * interval '1 day', 'obligation', true)) b WHERE id BETWEEN 20 AND 29
$$;
SELECT agentcrm.create_agent('owed', 'serve', 'public.owed') \g /dev/null
SELECT count(*) FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT is((SELECT string_agg(DISTINCT status, ', ') FROM agentcrm.bid WHERE agent = 'owed' AND obligation), 'accepted', 'what is owed is awarded, whatever others are worth');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation WHERE obligation), 10, 'and flagged');
SELECT is_empty($$SELECT FROM agentcrm.recommendation WHERE obligation AND due_on >= (expires_at AT TIME ZONE 'UTC')::date + 1$$, 'before its deadline');
SELECT is_empty($$SELECT owner_id, day FROM agentcrm.resource_use WHERE resource = 'rep_minutes' GROUP BY 1, 2 HAVING sum(amount) > 18$$, 'within the same minutes');
SELECT count(*) FROM agentcrm.plan(dry_run => false) \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation WHERE obligation AND status = 'open'), 10, 'nothing displaces it');
SELECT * FROM finish();
