-- Alarms of the retention agent, through an application's tables: a client that slows down, one that leaves a
-- category, answers to alarms, and what false_alarm_report makes of them.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
CREATE SCHEMA firm;
CREATE TABLE firm.client (client_id int PRIMARY KEY, name text);
CREATE TABLE firm.product (product_id int PRIMARY KEY, name text, category text);
CREATE TABLE firm.orders (order_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client_id int, placed date);
CREATE TABLE firm.line (order_id int REFERENCES firm.orders, product_id int, qty int, PRIMARY KEY (order_id, product_id));
INSERT INTO firm.client SELECT i, 'Client ' || i FROM generate_series(1, 50) i;
INSERT INTO firm.product VALUES (1, 'Tea', 'drinks'), (2, 'Coffee', 'drinks'), (3, 'Salt', 'spices'), (4, 'Pepper', 'spices');
-- An order with products.
CREATE PROCEDURE pg_temp.buy(client int, day date, products int[] DEFAULT '{1,2,3,4}') LANGUAGE sql AS $$
	WITH o AS (INSERT INTO firm.orders (client_id, placed) VALUES (client, day) RETURNING order_id)
	INSERT INTO firm.line SELECT order_id, p, 10 FROM o, unnest(products) p
$$;
-- To a day: what the applications' writes until then lead to.
CREATE PROCEDURE pg_temp.day(day date) LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('agentcrm.debug_now', day || ' 12:00+00', false); END $$;
-- 1 ordered every 10 days, and every 20 since the start of December; 2 left drinks while ordering every week;
-- 6 and 7 are like 2 but with two orders a week, 6 on one day, 7 on two; 3 buys at random, once a month; 5 is like 1 but goes on as ever;
-- the others are a population of rhythms from 8 to 16 days, too few for the repurchase model.
DO $$
DECLARE
	random_days int[] := '{1,4,64,70,71,118,133,139,140,201,205,230,232,299,301,360,362,365}';
	d int;
BEGIN
	FOR i IN 0 .. 29 LOOP
		CALL pg_temp.buy(1, date '2025-12-01' - 10 * i + (i * 7) % 5 - 2);
		CALL pg_temp.buy(5, date '2026-02-22' - 10 * i + (i * 7) % 5 - 2);
	END LOOP;
	FOR i IN 1 .. 4 LOOP
		CALL pg_temp.buy(1, date '2025-12-01' + 20 * i + (i * 7) % 3 - 1);
	END LOOP;
	FOR i IN 0 .. 39 LOOP
		CALL pg_temp.buy(2, date '2026-02-24' - 7 * i, CASE WHEN i < 7 THEN '{3,4}'::int[] WHEN i % 3 = 0 THEN '{1,3}' WHEN i % 3 = 1 THEN '{2,4}' ELSE '{1,2,3}' END);
	END LOOP;
	FOR i IN REVERSE 39 .. 0 LOOP
		CALL pg_temp.buy(6, date '2026-02-24' - 7 * (i / 2), CASE WHEN i < 7 THEN '{3,4}'::int[] ELSE '{1,2,3}' END);
		CALL pg_temp.buy(7, date '2026-03-01' - 7 * (i / 2) - 3 * (i % 2), CASE WHEN i < 7 THEN '{3,4}'::int[] ELSE '{1,2,3}' END);
	END LOOP;
	FOREACH d IN ARRAY random_days LOOP
		CALL pg_temp.buy(3, date '2025-02-20' + d);
	END LOOP;
	FOR c IN 10 .. 50 LOOP
		FOR i IN 0 .. 20 LOOP
			CALL pg_temp.buy(c, date '2026-03-01' - c % 5 - (8 + c % 9) * i + (c * i * 7) % 5);
		END LOOP;
	END LOOP;
END $$;
SELECT count(*) FROM agentcrm.attach('firm', orders => 'firm.orders', lines => 'firm.line', clients => 'firm.client', products => 'firm.product',
	client => 'o.client_id', product => 'l.product_id', at => 'o.placed', quantity => 'l.qty', amount => 'l.qty * 100', client_name => 'c.name', product_name => 'p.name',
	category => 'p.category', time_zone => 'UTC', run_as => current_user) \g /dev/null
CALL pg_temp.day('2026-03-02');
CALL agentcrm.run();
SELECT agentcrm.go_live('firm') \g /dev/null
DELETE FROM agentcrm.contact_policy;
-- no other agent's order takes the place of an alarm
UPDATE agentcrm.agent SET mode = 'paused' WHERE agent <> 'retention';
CALL agentcrm.run();
CREATE TEMP VIEW said AS SELECT * FROM agentcrm.retention_agent(ARRAY(SELECT client_id FROM agentcrm.client), agentcrm.clock());
CREATE FUNCTION pg_temp.codes(client int) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(coalesce(reason_code, kind), ' ' ORDER BY coalesce(reason_code, kind)) FROM said WHERE client_id = client $$;
SELECT plan(39);

-- what is seen
SELECT is(pg_temp.codes(1), 'slow_down', 'a client whose orders come half as often');
SELECT matches((SELECT reason FROM said WHERE client_id = 1), '^Orders come half as often since 2025-(11|12)-\d\d: one in (19|20|21) days, before that one in 10 days, and none for \d+ days? now; a steady client looks like that with a chance of ',
	'the reason says since when, how often now and before, and how likely that is');
SELECT is((SELECT demand_category || ' ' || action FROM said WHERE client_id = 1), '* call', 'a dear one is called');
SELECT ok((SELECT slow_chance < slow_p AND slow_on = '2026-03-02' AND silence > alarm_p AND slow_since BETWEEN '2025-11-20' AND '2025-12-05' FROM agentcrm.profile('{1}', agentcrm.clock())), 'the snapshot has the figures; the silence alone is no alarm');
SELECT is(pg_temp.codes(5), 'look', 'one who orders as ever: no alarm, a look');
SELECT is(pg_temp.codes(2), 'look lost_category', 'a client who leaves a category while ordering on; no item of it besides');
SELECT is((SELECT demand_category FROM said WHERE client_id = 2 AND kind = 'bid'), 'drinks', 'it is the demand');
SELECT matches((SELECT reason FROM said WHERE client_id = 2 AND kind = 'bid'), '^Nothing of drinks in the last 7 orders, since 2026-01-13: it was in \d+ % of this client''s orders before, and a steady client looks like that with a chance of ',
	'the reason says since when and how likely that is');
SELECT is(pg_temp.codes(3), 'look unseen', 'a random buyer''s slowing down cannot be seen');
SELECT matches((SELECT reason FROM said WHERE client_id = 3 AND kind = 'refuse'), '^cannot be seen yet: with gaps this irregular a halving of the orders would show after about \d+ days$', 'and the agent says so');
SELECT cmp_ok((SELECT count(*)::int FROM said WHERE client_id >= 10 AND kind = 'bid'), '<=', 2, 'steady clients raise next to none');
SELECT is((SELECT count(*)::int FROM said s, LATERAL agentcrm.profile(ARRAY[s.client_id], s.next_look_at - interval '1 day') p
	WHERE s.kind = 'look' AND s.next_look_at > agentcrm.clock() + interval '1 day' AND (p.silence < p.alarm_p OR p.slow_chance < p.slow_p)), 0, 'no alarm a day before the look asked for');
SELECT is((SELECT count(*)::int FROM said s, LATERAL agentcrm.profile(ARRAY[s.client_id], s.next_look_at) p
	WHERE s.kind = 'look' AND NOT (p.silence < p.alarm_p OR p.slow_chance < p.slow_p)), 0, 'and one on its day: it is solved for, not guessed');
SELECT is((SELECT count(*)::int FROM said WHERE kind = 'bid' AND NOT (evidence -> 'values' ?& '{alarm_since,expected_loss}')), 0, 'each alarm says what it may cost');
SELECT lives_ok(format($$SELECT * FROM (%s) q$$, (SELECT evidence ->> 'query' FROM said WHERE client_id = c AND kind = 'bid')), 'the evidence''s query runs') FROM unnest('{1,2}'::int[]) c;

-- what became of them
SELECT is((SELECT string_agg(chart || ' ' || outcome, ', ' ORDER BY chart) FROM agentcrm.alarm WHERE client_id IN (1, 2)), 'lost_category stands, slow_down stands', 'alarms stand');
SELECT ok((SELECT bool_and(expected_loss > 0) AND array_agg(expected_loss) = array_agg(expected_loss ORDER BY expected_loss DESC) FROM (SELECT expected_loss FROM agentcrm.alarm) a), 'the dearest first');
SELECT agentcrm.feedback(recommendation_id, 'done', 'moving house') FROM agentcrm.recommendation WHERE reason_code IN ('slow_down', 'lost_category') AND status = 'open' \g /dev/null
CALL pg_temp.day('2026-03-03');
SELECT is(pg_temp.codes(1), 'look', 'once acted upon the same evidence is no alarm again');
SELECT is(pg_temp.codes(2), 'look', 'nor that of a category');
SELECT is((SELECT count(*)::int FROM agentcrm.retention_agent('{1,2}', '2026-03-02 11:59+00') WHERE reason_code IN ('slow_down', 'lost_category')), 2, 'asked for a moment before the answer it still is');

-- a silence: once acted upon it waits for the next order; one that ends by itself was false
CALL pg_temp.day('2026-03-20');
CALL agentcrm.run();
SELECT is(pg_temp.codes(5), 'silence', 'a silence');
SELECT is((SELECT string_agg(DISTINCT reason_code, ' ') FROM generate_series(timestamptz '2026-03-21 12:00+00', '2026-04-20', '1 day') d, agentcrm.retention_agent('{1}', d) WHERE reason_code IN ('silence', 'settled')), 'silence', 'that of a client whose slowing down was answered in the same gap is one, too');
SELECT ok((SELECT count(*) > 20 FROM agentcrm.recommendation WHERE reason_code = 'silence'), 'the others fell silent, too');
SELECT agentcrm.feedback(recommendation_id, 'done') FROM agentcrm.recommendation WHERE client_id = 10 AND reason_code = 'silence' AND status = 'open' \g /dev/null
CALL pg_temp.day('2026-03-21');
CALL pg_temp.buy(5, '2026-03-21');
CALL agentcrm.run();
SELECT matches((SELECT reason FROM said WHERE client_id = 10 AND reason_code = 'settled'), '^the alarm of 2026-03-\d\d was answered; the next order arms it again$', 'a silence that was acted upon is not raised twice');
SELECT is((SELECT outcome FROM agentcrm.alarm WHERE client_id = 5 AND chart = 'silence'), 'came back by itself', 'an order ends it, and nobody had acted: a false alarm');
SELECT is((SELECT outcome FROM agentcrm.alarm WHERE client_id = 10 AND chart = 'silence'), 'acted on', 'the other was acted on');
SELECT is((SELECT came_back_by_itself || ' ' || acted_on || ' ' || (raised = stands + acted_on + declined + not_answered + came_back_after_action + came_back_by_itself) FROM agentcrm.false_alarm_report WHERE chart = 'silence'),
	'1 1 true', 'false_alarm_report counts them');
SELECT ok((SELECT client_years BETWEEN 1 AND 5 AND measured_rate BETWEEN 0.9 / client_years AND 1.1 / client_years AND verdict ~ '^insufficient: needs \d+ client-years, has \d+$' FROM agentcrm.false_alarm_report WHERE chart = 'silence'),
	'per living client and year, which are too few yet to say more');
SELECT is((SELECT round(sum(set_rate), 2) FROM agentcrm.false_alarm_report), round(1 / 13.0, 2), 'the charts share one budget');

-- new evidence after an answer
DO $$ BEGIN
	FOR i IN 1 .. 9 LOOP
		CALL pg_temp.buy(1, date '2026-03-03' + 24 * i);
	END LOOP;
	FOR i IN 1 .. 30 LOOP
		CALL pg_temp.buy(2, date '2026-03-03' + 7 * i, '{3,4}');
		CALL pg_temp.buy(6, date '2026-03-03' + 7 * ((i + 1) / 2), '{3,4}');
		CALL pg_temp.buy(7, date '2026-03-03' + 7 * ((i + 1) / 2) - 3 * (i % 2), '{3,4}');
	END LOOP;
END $$;
CALL pg_temp.day('2026-10-06');
CALL agentcrm.run();
SELECT is((SELECT reason_code FROM said WHERE client_id = 2 AND kind = 'bid'), 'lost_category', 'new evidence arms it again: the category stays away');
CREATE TEMP VIEW since AS SELECT client_id, d, (evidence #>> '{values,p_chance}')::float8 AS p FROM generate_series(timestamptz '2026-03-04 12:00+00', '2026-10-06', '7 days') d, agentcrm.retention_agent('{6,7}', d) WHERE reason_code = 'lost_category';
SELECT ok(count(*) > 10 AND array_agg(d) FILTER (WHERE client_id = 6) = array_agg(d) FILTER (WHERE client_id = 7) AND max(abs(s.p - o.p)) < 1e-12, 'orders since the answer count as orders, two of a day as those of two days')
	FROM since s LEFT JOIN (SELECT client_id AS other, d, p FROM since) o USING (d) WHERE o.other <> s.client_id;
SELECT is((SELECT string_agg(DISTINCT reason_code, ' ') FROM generate_series(timestamptz '2026-03-20 12:00+00', '2026-09-20', '7 days') d, agentcrm.retention_agent('{1}', d) WHERE kind = 'bid' AND reason_code = 'slow_down'), 'slow_down',
	'and so it is when the pace goes on falling');
SELECT is((SELECT count(*) || ' ' || count(DISTINCT evidence #>> '{values,alarm_since}') FROM generate_series(timestamptz '2026-09-09 12:00+00', '2026-10-06', '7 days') d, agentcrm.retention_agent('{2}', d) WHERE reason_code = 'lost_category'), '4 1',
	'a category that stays away is one alarm, however many orders go on without it');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'profiles are what the ledger gives');
SELECT is((SELECT count(*)::int FROM agentcrm.client_profile WHERE gap_recent <> ARRAY(SELECT g FROM (SELECT ordered_on - lag(ordered_on) OVER (ORDER BY ordered_on) AS g, ordered_on
	FROM (SELECT DISTINCT ordered_on FROM agentcrm.ledger l WHERE l.client_id = client_profile.client_id) d) s WHERE g IS NOT NULL ORDER BY ordered_on OFFSET greatest(client_profile.n_gaps - 24, 0))), 0, 'the last gaps are those of the ledger');
SELECT is((SELECT count(*)::int FROM agentcrm.client_product cp JOIN agentcrm.client_profile p USING (client_id), generate_series(0, least(cp.last_order_no, 64) - 1) i
	WHERE (cp.held >> i & 1 = 1) <> EXISTS (SELECT FROM (SELECT order_id, dense_rank() OVER (ORDER BY ordered_at, order_id) AS no FROM agentcrm.ledger l WHERE l.client_id = cp.client_id) o
		JOIN agentcrm.ledger l ON l.client_id = cp.client_id AND l.order_id = o.order_id AND l.product_id = cp.product_id WHERE o.no = cp.last_order_no - i)), 0, 'and the bits of a product the orders that held it');

-- odd parameters, odd evidence
DO $$ BEGIN
	FOR i IN 1 .. 30 LOOP
		CALL pg_temp.buy(2, date '2026-10-06' + i, '{3,4}');
	END LOOP;
END $$;
CALL pg_temp.day('2026-11-07');
CALL agentcrm.run();
SELECT lives_ok($$SELECT * FROM agentcrm.retention_agent('{2}', '2026-11-07', '{"params": {"item_min_orders": 0}}')$$, 'a category none of the known orders held, with no least number of orders');
UPDATE agentcrm.bid SET evidence = '{"values": {"expected_loss": "high", "usual_gap": [1], "alarm_since": 7}}' WHERE bid_id = (SELECT min(bid_id) FROM agentcrm.bid WHERE reason_code = 'slow_down');
SELECT lives_ok('SELECT * FROM agentcrm.alarm, agentcrm.false_alarm_report', 'evidence in words of another agent breaks no view');
SELECT * FROM finish();
