-- A small trade with a known past, attached and live, at noon of 2026-03-02.
-- Client 1 orders every 10 days and was last here 8 days ago; 2 fell silent after a monthly rhythm;
-- 3 placed its first order yesterday; 4 was lost a year ago; 5 wants no contact; 6 dropped one of its items;
-- 7 and later ones are a population of steady rhythms.
SELECT agentcrm.pause() \g /dev/null
CREATE SCHEMA trade;
CREATE TABLE trade.rep (rep_id int PRIMARY KEY, name text);
CREATE TABLE trade.client (client_id int PRIMARY KEY, name text, rep_id int REFERENCES trade.rep);
CREATE TABLE trade.product (product_id int PRIMARY KEY, name text, category text, active boolean NOT NULL, pack numeric);
CREATE TABLE trade.orders (order_id int PRIMARY KEY, client_id int REFERENCES trade.client, rep_id int REFERENCES trade.rep, ordered_on date);
CREATE TABLE trade.line (order_id int REFERENCES trade.orders, line_no int, product_id int REFERENCES trade.product,
	quantity numeric, amount numeric, PRIMARY KEY (order_id, line_no));
INSERT INTO trade.rep SELECT i, 'Rep ' || i FROM generate_series(1, 3) i;
INSERT INTO trade.client SELECT i, 'Client ' || i, 1 + i % 3 FROM generate_series(1, 46) i;
INSERT INTO trade.product VALUES (1, 'Tea', 'drinks', true, 6), (2, 'Coffee', 'drinks', true, NULL),
	(3, 'Salt', 'spices', true, NULL), (4, 'Pepper', 'spices', false, NULL), (5, 'Flour', 'baking', true, NULL);
INSERT INTO trade.orders
SELECT row_number() OVER (ORDER BY d, c)::int, c, 1 + c % 3, d FROM (
	SELECT 1 AS c, date '2026-02-22' - 10 * i AS d FROM generate_series(0, 40) i
	UNION ALL SELECT 2, date '2025-12-20' - 30 * i - i % 3 FROM generate_series(0, 20) i
	UNION ALL SELECT 3, date '2026-03-01'
	UNION ALL SELECT 4, date '2025-03-05' - 20 * i FROM generate_series(0, 10) i
	UNION ALL SELECT 5, date '2026-01-01' - 14 * i FROM generate_series(0, 20) i
	UNION ALL SELECT 6, date '2026-02-26' - 7 * i FROM generate_series(0, 50) i
	UNION ALL SELECT c, date '2026-03-01' - (c * 5) % (12 + c % 9) - (12 + c % 9) * i - (c * i) % 3
		FROM generate_series(7, 46) c, generate_series(0, 15) i
) o;
INSERT INTO trade.line
SELECT o.order_id, p, p, 4 + o.client_id % 3, (4 + o.client_id % 3) * (50 + 20 * p)
FROM trade.orders o, generate_series(1, 5) p
WHERE (o.client_id + p) % 3 <> 0 AND NOT (o.client_id = 6 AND p = 5 AND o.ordered_on > '2025-12-20');
SELECT count(*) AS attached FROM agentcrm.attach('trade', orders => 'trade.orders', lines => 'trade.line', clients => 'trade.client',
	products => 'trade.product', reps => 'trade.rep', at => 'o.ordered_on', quantity => 'l.quantity', amount => 'l.amount',
	client_name => 'c.name', product_name => 'p.name', category => 'p.category', product_active => 'p.active', pack_qty => 'p.pack',
	time_zone => 'UTC', run_as => current_user) \gset

SET agentcrm.debug_now = '2026-03-02 12:00+00';
CALL agentcrm.run();
SELECT agentcrm.go_live('trade') \g /dev/null
UPDATE agentcrm.client_state SET next_look_at = agentcrm.clock();
CALL agentcrm.run();
