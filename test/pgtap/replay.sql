-- Bids of the past once more: what was lived through by the clock, with orders late, corrected and cancelled, fits
-- every day, is replayed as it was known, and every field of every bid is what was stored.
\ir include/begin.sql
\ir include/trade.sql
SELECT plan(18);
CREATE TABLE lived (client_id bigint, as_of timestamptz, PRIMARY KEY (client_id, as_of));

-- eleven days: orders of the day, one dated four days back, an old order made dearer, one cancelled, one given to another client
CREATE FUNCTION pg_temp.trade_of(d date, i int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO trade.orders SELECT 100000 + i * 100 + c, c, 1 + c % 3, d - CASE WHEN c % 11 = 0 THEN 4 ELSE 0 END FROM generate_series(1, 46) c WHERE (c * 7 + i) % 9 = 0 AND c <> 4;
	INSERT INTO trade.line SELECT order_id, p, p, 5, 10 * p + i FROM trade.orders, generate_series(1, 3) p WHERE order_id BETWEEN 100000 + i * 100 AND 100000 + i * 100 + 46;
	UPDATE trade.line SET amount = amount + 1000 WHERE order_id = (SELECT max(order_id) FROM trade.orders WHERE client_id = 7 + i AND order_id < 100000);
	DELETE FROM trade.line WHERE order_id = (SELECT max(order_id) FROM trade.orders WHERE client_id = 20 + i AND order_id < 100000);
	UPDATE trade.orders SET client_id = 46 WHERE order_id = (SELECT min(order_id) FROM trade.orders WHERE client_id = 30 + i);
$$;
SELECT unnest(ARRAY[
	format('SET agentcrm.debug_now = %L', d + time '11:00' || '+00'),
	format('SELECT pg_temp.trade_of(%L, %s)', d::date, d::date - '2026-03-02'),
	'CALL agentcrm.run()',
	'INSERT INTO lived SELECT client_id, as_of FROM agentcrm.client_state WHERE as_of = agentcrm.clock()'])
FROM generate_series(timestamp '2026-03-03', '2026-03-13', '1 day') d
\o /dev/null
\gexec
\o
SET agentcrm.debug_now = '2026-03-14 11:00+00';
UPDATE trade.line SET amount = 1e9 WHERE order_id IN (SELECT order_id FROM trade.orders WHERE ordered_on BETWEEN '2026-02-20' AND '2026-03-05');
CALL agentcrm.run();
SELECT is((SELECT count(*) FROM agentcrm.verify()), 0::bigint, 'the days were lived');
SELECT cmp_ok((SELECT count(*)::int FROM lived), '>', 100, 'with many looks at clients');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.bid JOIN lived USING (client_id, as_of)), '>', 20, 'and bids');
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.ledger_history), '>', 50, 'and corrections');
SELECT is((SELECT count(DISTINCT model_id) FROM agentcrm.product_popularity), 1::bigint, 'shares of products are kept of one generation only');

-- all fields but what the coordinator decided
CREATE VIEW stored AS SELECT to_jsonb(b) - '{status,status_reason}'::text[] AS bid FROM agentcrm.bid b JOIN lived USING (client_id, as_of);
CREATE VIEW replayed AS SELECT to_jsonb(r) - '{status,status_reason}'::text[] AS bid
	FROM (SELECT b.round_id, b.as_of, array_agg(DISTINCT b.client_id) AS clients FROM agentcrm.bid b JOIN lived USING (client_id, as_of) GROUP BY 1, 2) o,
	LATERAL agentcrm.replay_bids(o.clients, o.as_of, 'as_known', o.round_id) r;
SELECT is((SELECT count(*) FROM replayed), (SELECT count(*) FROM stored), 'each bid is made once more');
SELECT is_empty('SELECT bid FROM stored EXCEPT SELECT bid FROM replayed', 'each field of it is the same');
SELECT is_empty('SELECT bid FROM replayed EXCEPT SELECT bid FROM stored', 'and none is new');
-- the first day's apart: by a clock that stands still all steps of the load bear one time
SELECT is_empty($$SELECT bid - '{bid_id,round_id}'::text[] FROM stored WHERE bid ->> 'as_of' > '2026-03-03T12' EXCEPT SELECT to_jsonb(r) - '{status,status_reason,bid_id,round_id}'::text[]
	FROM (SELECT as_of, array_agg(client_id) AS clients FROM lived GROUP BY as_of) o, LATERAL agentcrm.replay_bids(o.clients, o.as_of) r$$, 'without a round named, too: the generations in use are known');
SELECT is_empty($$SELECT r.client_id, r.as_of FROM (SELECT as_of, array_agg(client_id) AS clients FROM lived GROUP BY as_of) o, LATERAL agentcrm.replay_bids(o.clients, o.as_of) r
	EXCEPT SELECT client_id, as_of FROM agentcrm.bid$$, 'who was not bid for then is not now');
SELECT isnt_empty('SELECT status FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), ''2026-03-10 11:00+00'', ''as_corrected'') WHERE (models ->> ''gap'')::int = -1',
	'as_corrected: generations fitted for the purpose');
SELECT is_empty('SELECT FROM agentcrm.model WHERE model_id < 0', 'which are not stored');

-- an agent that would replay within a replay, fit, or ask parallel workers
CREATE FUNCTION public.nested(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE plpgsql AS $$
DECLARE
	refused text[] := '{}';
	attempt text;
BEGIN
	FOREACH attempt IN ARRAY ARRAY['replay_bids(''{1}'', agentcrm.clock())', 'fit()'] LOOP
		BEGIN
			EXECUTE 'SELECT count(*) FROM agentcrm.' || attempt;
		EXCEPTION WHEN OTHERS THEN
			refused := refused || SQLSTATE::text;
		END;
	END LOOP;
	RETURN QUERY SELECT b.* FROM unnest(client_ids) id, jsonb_populate_record(NULL::agentcrm.bid_proposal, jsonb_build_object('client_id', id, 'kind', 'bid', 'action', 'check',
		'demand_category', 'nested', 'demand_from', nested.as_of::date, 'demand_to', nested.as_of::date + 3, 'p_claim', .9, 'margin', 500, 'cost', 1, 'uses', '{}'::jsonb, 'valid_until', nested.as_of + interval '2 days',
		'reason_code', 'nested', 'reason', 'It tried', 'evidence', jsonb_build_object('query', 'SELECT 1', 'values', jsonb_build_object('refused', refused,
			'workers', current_setting('max_parallel_workers_per_gather'))))) b;
END $$;
BEGIN;
SET LOCAL max_parallel_workers_per_gather = 2;
SELECT agentcrm.register_agent('nested', 'retain', 'public.nested(bigint[], timestamptz, jsonb)') \g /dev/null
CREATE TEMP TABLE beside AS SELECT * FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), '2026-03-10 11:00+00');
SELECT is((SELECT array_agg(DISTINCT evidence -> 'values' ->> 'refused') FROM beside WHERE agent = 'nested'), ARRAY['["55006", "55006"]'], 'an agent can neither replay nor fit within a replay');
SELECT is((SELECT array_agg(DISTINCT evidence -> 'values' ->> 'workers') FROM beside WHERE agent = 'nested'), '{0}', 'nor is it asked in parallel workers');
ROLLBACK;

-- a fit as of a past moment was not in use then
SELECT agentcrm.fit(NULL, '2026-03-04') \g /dev/null
SELECT is_empty($$SELECT bid - '{bid_id,round_id}'::text[] FROM stored WHERE bid ->> 'as_of' > '2026-03-03T12' EXCEPT SELECT to_jsonb(r) - '{status,status_reason,bid_id,round_id}'::text[]
	FROM (SELECT as_of, array_agg(client_id) AS clients FROM lived GROUP BY as_of) o, LATERAL agentcrm.replay_bids(o.clients, o.as_of) r$$, 'what a later fit as of the past made was not in use then');

SELECT throws_ok($$SELECT agentcrm.replay_bids(ARRAY[1], agentcrm.clock(), 'as_wished')$$, '22023', 'unknown mode of replay: "as_wished"', 'replay_bids: an unknown mode');
SELECT throws_ok($$SELECT agentcrm.replay_bids(ARRAY[1], 'infinity')$$, '22008', NULL, 'an infinite moment');
SELECT throws_ok($$SELECT agentcrm.replay_bids(ARRAY[1], agentcrm.clock(), round_id => 999999)$$, 'P0002', 'no bids of round 999999 are stored', 'a round without bids');
SELECT * FROM finish();
