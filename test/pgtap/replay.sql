-- Bids of the past once more: what was lived through by the clock, with orders late, corrected and cancelled, fits
-- every day, is replayed as it was known, and every field of every bid is what was stored.
\ir include/begin.sql
\ir include/trade.sql
SELECT plan(26);
-- enough clients for all models, in two channels that buy in different ways: by the clock, and at random until they leave
ALTER TABLE trade.client ADD channel text;
INSERT INTO trade.client SELECT 1000 + i, 'Client ' || 1000 + i, 1 + i % 3, CASE WHEN i <= 320 THEN 'shop' ELSE 'web' END FROM generate_series(1, 640) i;
INSERT INTO trade.orders SELECT 10000 + row_number() OVER (ORDER BY c, d), c, 1 + c % 3, d FROM (
	SELECT 1000 + i AS c, date '2026-03-01' - i % 11 - (9 + i % 5) * k - (i * k) % 3 AS d FROM generate_series(1, 320) i, generate_series(0, 9 + i % 7) k
	UNION SELECT 1000 + i, date '2025-05-01' + i % 60 + (SELECT coalesce(sum(1 + -ln((1 + (hashint8(i * 1000 + j)::bigint & 1023)) / 1025.0) * 30), 0)::int FROM generate_series(1, k) j)
		FROM generate_series(321, 640) i, generate_series(0, (hashint8(i) & 7)) k
) o WHERE d < '2026-03-02';
INSERT INTO trade.line SELECT order_id, p, p, 4, (3 + client_id % 7) * p FROM trade.orders, generate_series(1, 3) p WHERE order_id > 10000 AND (client_id + p + order_id) % 4 <> 0;
SELECT count(*) FROM agentcrm.alter_source('trade', channel => 'c.channel') \g /dev/null
CALL agentcrm.run();
CREATE TABLE lived (client_id bigint, as_of timestamptz, PRIMARY KEY (client_id, as_of));

-- eleven days: orders of the day, one dated four days back, an old order made dearer, one cancelled, one given to another client
CREATE FUNCTION pg_temp.trade_of(d date, i int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO trade.orders SELECT 100000 + i * 100 + c, c, 1 + c % 3, d - CASE WHEN c % 11 = 0 THEN 4 ELSE 0 END FROM generate_series(1, 46) c WHERE (c * 7 + i) % 9 = 0 AND c <> 4;
	INSERT INTO trade.orders SELECT 200000 + i * 1000 + c, 1000 + c, 1 + c % 3, d FROM generate_series(1, 640) c WHERE (hashint8(c * 100 + i) & 31) = 0;
	INSERT INTO trade.line SELECT order_id, p, p, 5, 10 * p + i FROM trade.orders, generate_series(1, 2) p WHERE order_id BETWEEN 200000 + i * 1000 AND 200640 + i * 1000;
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
SELECT cmp_ok((SELECT count(*)::int FROM agentcrm.bid JOIN lived USING (client_id, as_of) WHERE (models ->> 'repurchase')::int > 0 AND (models ->> 'season')::int > 0 AND (models ->> 'inclusion')::int > 0), '>', 20, 'by all models');
SELECT cmp_ok((SELECT count(DISTINCT segment)::int FROM agentcrm.model WHERE kind = 'repurchase' AND current), '>', 1, 'a channel has parameters of its own');
SELECT cmp_ok((SELECT count(DISTINCT models ->> 'repurchase')::int FROM agentcrm.bid JOIN lived USING (client_id, as_of)), '>', 3, 'of several generations');
SELECT is((SELECT count(DISTINCT model_id) FROM agentcrm.product_inclusion), 1::bigint, 'rates of products are kept of one generation only');
SELECT is((SELECT count(DISTINCT model_id) FROM agentcrm.product_popularity), 1::bigint, 'shares of products are kept of one generation only');

-- all fields but what the coordinator decided
CREATE TEMP TABLE stored AS SELECT to_jsonb(b) - '{status,status_reason,due_on,rep_id,price}'::text[] AS bid FROM agentcrm.bid b JOIN lived USING (client_id, as_of) WHERE b.iteration = 1;
CREATE TEMP TABLE replayed AS SELECT to_jsonb(r) - '{status,status_reason,due_on,rep_id,price}'::text[] AS bid
	FROM (SELECT b.round_id, b.as_of, array_agg(DISTINCT b.client_id) AS clients FROM agentcrm.bid b JOIN lived USING (client_id, as_of) GROUP BY 1, 2) o,
	LATERAL agentcrm.replay_bids(o.clients, o.as_of, 'as_known', o.round_id) r;
SELECT is((SELECT count(*) FROM replayed), (SELECT count(*) FROM stored), 'each bid is made once more');
SELECT is_empty('SELECT bid FROM stored EXCEPT SELECT bid FROM replayed', 'each field of it is the same');
SELECT is_empty('SELECT bid FROM replayed EXCEPT SELECT bid FROM stored', 'and none is new');
-- but those of a step that fits, and of later ones of the same moment by a clock that stands still
CREATE TEMP TABLE unnamed AS SELECT to_jsonb(r) - '{status,status_reason,due_on,rep_id,price,bid_id,round_id}'::text[] AS bid, r.client_id, r.as_of
	FROM (SELECT as_of, array_agg(client_id) AS clients FROM lived GROUP BY as_of) o, LATERAL agentcrm.replay_bids(o.clients, o.as_of) r;
CREATE TEMP TABLE named AS SELECT bid - '{bid_id,round_id}'::text[] AS bid FROM stored s
	WHERE NOT EXISTS (SELECT FROM agentcrm.model m WHERE m.model_id IN (SELECT v::bigint FROM jsonb_each_text(s.bid -> 'models') x(k, v)) AND m.fitted_at >= (s.bid ->> 'as_of')::timestamptz);
SELECT cmp_ok((SELECT count(*)::int FROM named), '>', 20, 'bids by generations of before');
SELECT is_empty('SELECT bid FROM named EXCEPT SELECT bid FROM unnamed', 'without a round named, too: the generations in use are known');
SELECT is_empty($$SELECT client_id, as_of FROM unnamed EXCEPT SELECT client_id, as_of FROM agentcrm.bid$$, 'who was not bid for then is not now');
SELECT md5(string_agg(m::text, chr(10) ORDER BY model_id)) AS models FROM agentcrm.model m \gset
CREATE TEMP TABLE corrected AS SELECT to_jsonb(r) AS bid FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), '2026-03-02 11:00+00', 'as_corrected') r;
SELECT cmp_ok((SELECT count(*)::int FROM corrected), '>', 20, 'as_corrected: bids');
SELECT is((SELECT string_agg(DISTINCT kind || ' ' || number, ', ') FROM corrected, jsonb_each_text(bid -> 'models') m(kind, number)), 'class -1, gap -1, inclusion -1, popularity -1, repurchase -1, season -1, spend -1', 'by generations of all kinds fitted for the purpose');
SELECT is((SELECT md5(string_agg(m::text, chr(10) ORDER BY model_id)) FROM agentcrm.model m), :'models', 'which are not stored, nor take the place of others');
-- a wild future: nothing of it is in the fits
INSERT INTO trade.client SELECT 5000 + i, 'Client ' || 5000 + i, 1, 'web' FROM generate_series(1, 200) i;
INSERT INTO trade.orders SELECT 900000 + client_id, client_id, 1, '2026-03-12' FROM trade.client WHERE client_id % 2 = 0 OR client_id > 5000;
INSERT INTO trade.line SELECT order_id, 1, 1, 1, 1e9 FROM trade.orders WHERE order_id > 900000;
CALL agentcrm.run();
SELECT is_empty($$SELECT bid FROM corrected EXCEPT SELECT to_jsonb(r) FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), '2026-03-02 11:00+00', 'as_corrected') r$$, 'a wild future changes none of them');

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
SELECT agentcrm.create_agent('nested', 'retain', 'public.nested(bigint[], timestamptz, jsonb)') \g /dev/null
CREATE TEMP TABLE beside AS SELECT * FROM agentcrm.replay_bids(ARRAY(SELECT client_id FROM agentcrm.client), '2026-03-10 11:00+00');
SELECT is((SELECT array_agg(DISTINCT evidence -> 'values' ->> 'refused') FROM beside WHERE agent = 'nested'), ARRAY['["55006", "55006"]'], 'an agent can neither replay nor fit within a replay');
SELECT is((SELECT array_agg(DISTINCT evidence -> 'values' ->> 'workers') FROM beside WHERE agent = 'nested'), '{0}', 'nor is it asked in parallel workers');
ROLLBACK;

-- a fit as of a past moment was not in use then
SELECT agentcrm.fit(NULL, '2026-03-04') \g /dev/null
SELECT is_empty($$SELECT bid FROM named EXCEPT SELECT to_jsonb(r) - '{status,status_reason,due_on,rep_id,price,bid_id,round_id}'::text[]
	FROM (SELECT as_of, array_agg(client_id) AS clients FROM lived GROUP BY as_of) o, LATERAL agentcrm.replay_bids(o.clients, o.as_of) r$$, 'what a later fit as of the past made was not in use then');

SELECT throws_ok($$SELECT agentcrm.replay_bids(ARRAY[1], agentcrm.clock(), 'as_wished')$$, '22023', 'unknown mode of replay: "as_wished"', 'replay_bids: an unknown mode');
SELECT throws_ok($$SELECT agentcrm.replay_bids(ARRAY[1], 'infinity')$$, '22008', NULL, 'an infinite moment');
SELECT throws_ok($$SELECT agentcrm.replay_bids(ARRAY[1], agentcrm.clock(), round_id => 999999)$$, 'P0002', 'no bids of round 999999 are stored', 'a round without bids');
SELECT lives_ok($$SELECT agentcrm.replay_bids(ARRAY[1], agentcrm.clock())$$, 'left out, as the hint says, the generations in use serve');
SELECT * FROM finish();
