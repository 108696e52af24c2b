-- Rounds under limits: nothing that the coordinator awards may break a contact cap, a cool-down, a demand's
-- exclusivity or a rep's minutes, checked here by SQL that knows nothing of the coordinator's code.
SET client_min_messages = warning;
CREATE EXTENSION agentcrm;
SELECT agentcrm.pause();
CREATE SCHEMA mill;
CREATE TABLE mill.client (client_id int PRIMARY KEY, name text, rep_id int);
CREATE TABLE mill.product (product_id int PRIMARY KEY, name text, category text);
CREATE TABLE mill.orders (order_id int PRIMARY KEY, client_id int REFERENCES mill.client, rep_id int, ordered_on date);
CREATE TABLE mill.line (order_id int REFERENCES mill.orders, line_no int, product_id int REFERENCES mill.product,
	quantity numeric, amount numeric, PRIMARY KEY (order_id, line_no));
INSERT INTO mill.client SELECT i, 'Mill ' || i, 1 + i % 2 FROM generate_series(1, 300) i;
INSERT INTO mill.product SELECT i, 'Grist ' || i, 'kind ' || i % 4 FROM generate_series(1, 20) i;
INSERT INTO mill.orders
SELECT row_number() OVER (ORDER BY d, c)::int, c, 1 + c % 2, d FROM (
	SELECT c, date '2026-02-28' - (c * 7) % 40 - (9 + c % 23) * i - (c * i) % 4 AS d
	FROM generate_series(1, 300) c, generate_series(0, 3 + c % 15) i) o;
INSERT INTO mill.line SELECT order_id, k, 1 + (client_id * 3 + k * k) % 20, 1 + client_id % 4, (1 + client_id % 4) * (40 + 10 * k) * (1 + client_id % 9)
FROM mill.orders, generate_series(1, 4) k WHERE (order_id + k) % 5 <> 0 AND NOT (client_id % 10 = 0 AND k = 2 AND ordered_on > '2025-12-01');
SELECT count(*) > 0 AS attached FROM agentcrm.attach('mill', orders => 'mill.orders', lines => 'mill.line', clients => 'mill.client',
	products => 'mill.product', rep => 'o.rep_id', at => 'o.ordered_on', quantity => 'l.quantity', amount => 'l.amount', client_name => 'c.name',
	product_name => 'p.name', category => 'p.category', time_zone => 'UTC', run_as => current_user);
SET agentcrm.debug_now = '2026-03-01 08:00+00';
CALL agentcrm.run();
-- in shadow nothing is awarded
SELECT count(*) > 50 AS bids, count(*) FILTER (WHERE status = 'accepted') AS awards, min(status_reason), max(status_reason) FROM agentcrm.bid;
SELECT agentcrm.go_live('mill');
UPDATE agentcrm.resource SET capacity = 60 WHERE resource = 'rep_minutes';
INSERT INTO agentcrm.resource VALUES ('rep_minutes', 2, 'day', 30);

-- the same round twice: the first one is undone
CREATE TABLE mill.first_time (client_id bigint, agent text, action text, demand_category text, due_on date, value double precision);
CREATE PROCEDURE mill.look_again() LANGUAGE sql AS
	$$UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock() - client_id * interval '1 second'$$;
CALL agentcrm.run();
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
CALL mill.look_again();
CALL agentcrm.run();
INSERT INTO mill.first_time SELECT client_id, agent, action, demand_category, due_on, value FROM agentcrm.recommendation;
DELETE FROM agentcrm.recommendation;
DELETE FROM agentcrm.resource_use;
CALL mill.look_again();
CALL agentcrm.run();
SELECT count(*) > 50 AS awarded FROM agentcrm.recommendation;
(TABLE mill.first_time EXCEPT ALL SELECT client_id, agent, action, demand_category, due_on, value FROM agentcrm.recommendation)
UNION ALL
(SELECT client_id, agent, action, demand_category, due_on, value FROM agentcrm.recommendation EXCEPT ALL TABLE mill.first_time);

-- forty days, with orders and verdicts in between
CREATE PROCEDURE mill.day(day date) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('agentcrm.debug_now', to_char(day, 'YYYY-MM-DD') || ' 08:00+00', false);
	INSERT INTO mill.orders SELECT 100000 + (day - date '2026-03-01') * 1000 + c, c, 1 + c % 2, day
		FROM generate_series(1, 300) c WHERE (c * 31 + (day - date '2026-03-01') * 17) % 29 = 0;
	INSERT INTO mill.line SELECT order_id, 1, 1 + client_id % 20, 2, 200 FROM mill.orders WHERE ordered_on = day AND order_id > 100000;
	PERFORM agentcrm.feedback(recommendation_id, (ARRAY['shown', 'agreed', 'declined', 'done', 'snoozed'])[1 + recommendation_id % 5])
		FROM agentcrm.recommendation WHERE status = 'open' AND recommendation_id % 3 = 0;
END $$;
SELECT format('CALL mill.day(%L)', to_char(d, 'YYYY-MM-DD')), 'CALL agentcrm.run()' FROM generate_series('2026-03-02'::date, '2026-04-10', '1 day') d \gexec

CREATE VIEW mill.contact AS SELECT client_id, recommendation_id, channel, action, due_on FROM agentcrm.recommendation
	WHERE channel IS NOT NULL AND status NOT IN ('withdrawn', 'displaced', 'withheld');
SELECT count(*) > 500 AS many FROM mill.contact;
-- contact caps: no window of per_days holds more
SELECT p.channel, a.client_id, a.due_on, count(*) FROM agentcrm.contact_policy p
JOIN mill.contact a ON p.channel IN ('*', a.channel)
JOIN mill.contact b ON b.client_id = a.client_id AND p.channel IN ('*', b.channel) AND b.due_on >= a.due_on AND b.due_on < a.due_on + p.per_days
GROUP BY p.channel, p.max_contacts, a.client_id, a.recommendation_id, a.due_on HAVING count(*) > p.max_contacts;
-- cool-downs
SELECT p.channel, a.client_id, a.action, a.due_on, b.due_on FROM agentcrm.contact_policy p
JOIN mill.contact a ON p.channel IN ('*', a.channel)
JOIN mill.contact b ON b.client_id = a.client_id AND p.channel IN ('*', b.channel) AND (p.channel = '*' OR b.action = a.action)
	AND b.recommendation_id <> a.recommendation_id AND b.due_on >= a.due_on
WHERE b.due_on - a.due_on < p.cooldown_days;
-- minutes of each rep and day
SELECT u.owner_id, u.day, sum(u.amount) FROM agentcrm.resource_use u
GROUP BY u.owner_id, u.day
HAVING sum(u.amount) > (SELECT r.capacity FROM agentcrm.resource r WHERE r.owner_id = u.owner_id OR r.owner_id IS NULL ORDER BY r.owner_id LIMIT 1);
-- minutes booked are those of the calls that stand or were made
SELECT r.recommendation_id, r.status, r.minutes, sum(u.amount) FROM agentcrm.recommendation r LEFT JOIN agentcrm.resource_use u USING (recommendation_id)
WHERE r.status IN ('open', 'shown', 'agreed', 'snoozed') GROUP BY 1, 2, 3 HAVING r.minutes <> coalesce(sum(u.amount), 0);
-- a demand is sought once
SELECT a.client_id, a.recommendation_id, b.recommendation_id FROM agentcrm.recommendation a JOIN agentcrm.recommendation b USING (client_id)
WHERE a.recommendation_id < b.recommendation_id AND a.status IN ('open', 'shown', 'agreed', 'snoozed') AND b.status IN ('open', 'shown', 'agreed', 'snoozed')
AND (a.demand_category = b.demand_category OR '*' IN (a.demand_category, b.demand_category)) AND a.demand_from < b.demand_to AND b.demand_from < a.demand_to;
-- values are what the baseline and the assumed effect make of them
SELECT count(*) AS wrong FROM agentcrm.bid WHERE p_baseline > 0 AND p_baseline < 1 AND p_claim IS NULL
AND (abs(p_used - 1 / (1 + exp(-(ln(p_baseline / (1 - p_baseline)) + .2)))) > 1e-9
	OR abs(value - (p_used - p_baseline) * margin::float8) > 1e-3 OR abs(net_value - (value + residual - cost::float8)) > 1e-6);
-- rejections come from the closed list; scarce minutes and policies were really met
SELECT DISTINCT regexp_replace(status_reason, ':\d+$', ':<bid>') AS reason FROM agentcrm.bid WHERE status = 'rejected' ORDER BY 1;
SELECT count(*) FROM agentcrm.bid WHERE status = 'accepted' AND net_value <= 0;
SELECT DISTINCT status FROM agentcrm.recommendation ORDER BY 1;
SELECT count(*) FROM agentcrm.verify();
DROP SCHEMA mill CASCADE;
DROP EXTENSION agentcrm;
