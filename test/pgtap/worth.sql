-- What a bid is worth: one baseline, effects assumed until measured, claims believed as far as they held, a client kept.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(28);
SET agentcrm.plan_hour = -1;
DELETE FROM agentcrm.contact_policy;

-- two agents that claim the same, one that claims nothing
CREATE FUNCTION public.claiming(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE sql AS $$
	SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'action', 'message', 'channel', 'email', 'margin', 1000, 'cost', 1) || (call -> 'params')) b
$$;
SELECT agentcrm.create_agent('honest', 'grow', 'public.claiming', '{"p_claim": 0.9}'), agentcrm.create_agent('liar', 'grow', 'public.claiming', '{"p_claim": 0.9}'), agentcrm.create_agent('modest', 'grow', 'public.claiming') \g /dev/null
CREATE FUNCTION pg_temp.bids(OUT client_id bigint, OUT honest agentcrm.bid, OUT liar agentcrm.bid, OUT modest agentcrm.bid) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT h.client_id, h, l, m FROM agentcrm.bid h JOIN agentcrm.bid l USING (client_id, round_id) JOIN agentcrm.bid m USING (client_id, round_id)
	WHERE h.agent = 'honest' AND l.agent = 'liar' AND m.agent = 'modest' AND h.iteration = 1 AND l.iteration = 1 AND m.iteration = 1 AND round_id = (SELECT max(round_id) FROM agentcrm.round)
$$;
CREATE PROCEDURE pg_temp.renew() LANGUAGE plpgsql AS $$ BEGIN
	DELETE FROM agentcrm.recommendation;
	DELETE FROM agentcrm.resource_use;
	PERFORM count(*) FROM agentcrm.plan(dry_run => false);
END $$;
CALL pg_temp.renew();
SELECT cmp_ok((SELECT count(*)::int FROM pg_temp.bids()), '>', 30, 'three bids a client');
SELECT is_empty($$SELECT FROM pg_temp.bids() WHERE (honest).p_baseline <> (liar).p_baseline OR (honest).p_baseline <> (modest).p_baseline$$, 'the baseline is the same whoever bids');
SELECT is_empty($$SELECT FROM pg_temp.bids() WHERE (honest).p_used <> (honest).p_claim$$, 'a claim is believed while nothing is known');
SELECT is_empty($$SELECT FROM pg_temp.bids() WHERE abs(ln((modest).p_used / (1 - (modest).p_used)) - ln((modest).p_baseline / (1 - (modest).p_baseline)) - 0.2) > 1e-9$$, 'without a claim the assumed effect serves');
SELECT is_empty($$SELECT FROM pg_temp.bids() WHERE (modest).effect <> 'assumed' OR (modest).effect_n <> 0$$, 'and is called so');
SELECT is_empty($$SELECT FROM pg_temp.bids() WHERE abs((honest).value - ((honest).p_used - (honest).p_baseline) * 1000) > 1e-9 OR abs((honest).net_value - ((honest).value + (honest).residual - 1)) > 1e-9$$, 'value, residual and cost, once each');
SELECT is_empty($$SELECT r.client_id FROM agentcrm.recommendation r JOIN agentcrm.recommendation o ON r.client_id = o.client_id AND r.recommendation_id < o.recommendation_id
	WHERE r.status = 'open' AND o.status = 'open' AND (r.demand_category = o.demand_category OR '*' IN (r.demand_category, o.demand_category)) AND r.demand_from < o.demand_to AND o.demand_from < r.demand_to$$, 'a demand is paid once');

-- beyond the horizon
SELECT isnt_empty($$SELECT FROM agentcrm.bid WHERE agent = 'retention' AND demand_category = '*' AND residual > 0$$, 'an action that keeps a client is worth something beyond the horizon');
SELECT is_empty($$SELECT FROM agentcrm.bid b JOIN agentcrm.agent a USING (agent) WHERE residual <> 0 AND (a.objective <> 'retain' OR demand_category <> '*')$$, 'others are not');

-- outcomes: messages gain, the liar's buyers are fewer than it claims
CREATE FUNCTION pg_temp.outcomes(agent text, claimed float8, treated_rate float8, withheld_rate float8, n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('agent', agent, 'action', 'message', 'stage', 'regular', 'segment', NULL, 'claim', claimed, 'gain', claimed - withheld_rate, 'treated', i % 5 > 0,
		'bought', (i / 5) % 100 < 100 * CASE WHEN i % 5 > 0 THEN treated_rate ELSE withheld_rate END)) FROM generate_series(0, n - 1) i
$$;
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE kind IN ('effect', 'trust')), 0, 'nothing was learnt yet');
SELECT agentcrm.learn(pg_temp.outcomes('honest', 0.9, 0.9, 0.6, 2500) || pg_temp.outcomes('liar', 0.9, 0.3, 0.28, 2500), agentcrm.clock()) \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE kind IN ('effect', 'trust') AND current), 2, 'two generations');
SELECT cmp_ok((SELECT (f ->> 'kappa')::float8 FROM agentcrm.model, jsonb_array_elements(params -> 'factors') f WHERE kind = 'trust' AND current AND f ->> 'agent' = 'honest' AND f ->> 'bin' = '4'), '>', 0.97::float8, 'who says what is true is believed');
SELECT cmp_ok((SELECT (f ->> 'kappa')::float8 FROM agentcrm.model, jsonb_array_elements(params -> 'factors') f WHERE kind = 'trust' AND current AND f ->> 'agent' = 'liar' AND f ->> 'bin' = '4'), '<', 0.36::float8, 'who claims three times as much is not');
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.bids();
CALL pg_temp.renew();
SELECT is_empty($$SELECT FROM pg_temp.bids() n JOIN before b USING (client_id) WHERE (n.liar).p_claim <> (b.liar).p_claim OR (n.liar).p_baseline <> (b.liar).p_baseline$$, 'claim and baseline stay as they were');
SELECT is_empty($$SELECT FROM pg_temp.bids() n JOIN before b USING (client_id) WHERE (b.liar).p_claim > (b.liar).p_baseline AND (n.liar).p_used >= (b.liar).p_used$$, 'what is used of the liar''s falls');
SELECT is_empty($$SELECT FROM pg_temp.bids() WHERE (liar).p_claim > (liar).p_baseline AND (liar).p_used >= (honest).p_used$$, 'below the honest one''s, who claims the same');
SELECT is((SELECT count(*)::int FROM agentcrm.recommendation WHERE agent = 'liar'), 0, 'it wins nothing any more');
SELECT is((SELECT string_agg(DISTINCT (liar).effect || ' ' || ((liar).models ? 'trust')::text, ', ') FROM pg_temp.bids()), 'measured true', 'effects are measured now, and bids name the generation');
SELECT isnt_empty($$SELECT FROM agentcrm.recommendation WHERE effect LIKE 'measured, n = %'$$, 'recommendations say so, with the number of cases');
SELECT alike((SELECT detail FROM agentcrm.why((SELECT recommendation_id FROM agentcrm.recommendation WHERE agent = 'honest' ORDER BY 1 LIMIT 1)) WHERE item = 'effect'), 'measured, n = %, claimed 0.9000, believed x %, gain x %', 'why shows claim and trust');
SELECT cmp_ok((SELECT (modest).theta FROM pg_temp.bids() LIMIT 1), '>', 0.5::float8, 'the effect of a message is what was measured');
SELECT is((SELECT string_agg(DISTINCT theta::text, ', ') FROM agentcrm.bid WHERE action = 'call' AND round_id = (SELECT max(round_id) FROM agentcrm.round)), '0.2', 'that of a call is still assumed');

-- closer cells
SELECT agentcrm.learn((SELECT jsonb_agg(o || jsonb_build_object('stage', CASE WHEN row % 2 = 0 THEN 'regular' ELSE 'at_risk' END, 'bought', CASE WHEN row % 2 = 0 THEN o -> 'bought' ELSE 'false' END))
	FROM jsonb_array_elements(pg_temp.outcomes('honest', 0.9, 0.9, 0.6, 4000)) WITH ORDINALITY x(o, row)), agentcrm.clock()) \g /dev/null
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE kind = 'effect' AND current), 1, 'one generation is in use');
SELECT is((SELECT count(*)::int FROM agentcrm.model WHERE kind = 'effect' AND retired_at IS NOT NULL), 1, 'the one before is kept');
SELECT cmp_ok((SELECT (e ->> 'mean')::float8 FROM agentcrm.model, jsonb_array_elements(params -> 'effects') e WHERE kind = 'effect' AND current AND e ->> 'stage' = 'regular'), '>',
	(SELECT (e ->> 'mean')::float8 FROM agentcrm.model, jsonb_array_elements(params -> 'effects') e WHERE kind = 'effect' AND current AND e ->> 'stage' = 'at_risk') + 0.5, 'a stage has its own effect');
SELECT agentcrm.learn('[]', agentcrm.clock()) \g /dev/null
CALL pg_temp.renew();
SELECT is((SELECT string_agg(DISTINCT (modest).effect || ' ' || (modest).theta, ', ') FROM pg_temp.bids()), 'assumed 0.2', 'nothing learnt, nothing measured');
SELECT throws_ok($$SELECT agentcrm.effect_posterior(0.2, 0.3, 10, 11, 5, 1)$$, '22023', NULL, 'nobody buys who is not counted');
SELECT throws_ok($$SELECT agentcrm.trust_factor(1, -1)$$, '22023', NULL, 'nothing negative is claimed');
SELECT * FROM finish();
