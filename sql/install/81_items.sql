-- agent/: what the reorder and retention agents say of products, for all clients; one rule for agents and views

CREATE FUNCTION agentcrm.usual_basket(client_id bigint, as_of timestamptz, OUT product_id bigint, OUT p double precision, OUT quantity numeric, OUT p_within double precision)
	RETURNS SETOF record STABLE ROWS 8 LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_usual_basket';
COMMENT ON FUNCTION agentcrm.usual_basket(bigint, timestamptz) IS
'The products that the reorder agent would suggest for a client''s next order, likeliest first, at most 8: probability p of being in it at least params.basket_floor (.10), quantity in whole packs, probability p_within of being ordered within the demand window of 14 days. None for dormant and lost clients, and those of less than params.min_orders (2) orders. Errors: a NULL argument, an as_of that is not finite.
Example: SELECT * FROM agentcrm.usual_basket(42, ''2026-03-01'')';

CREATE FUNCTION agentcrm.missed_items(client_id bigint, as_of timestamptz, OUT product_id bigint, OUT rate double precision, OUT orders_since int, OUT p_missed double precision)
	RETURNS SETOF record STABLE ROWS 1 LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_missed_items';
COMMENT ON FUNCTION agentcrm.missed_items(bigint, timestamptz) IS
'The products that the retention agent takes to have dropped out of a client''s orders, the least likely by chance first: bought in at least params.item_min_orders (4) orders and a share params.item_min_rate (.5) of them, then missing more often than agentcrm.false_alarm_rate allows. None for clients that are unusually silent, dormant or lost, and those of less than params.min_orders (3) orders. Errors: a NULL argument, an as_of that is not finite.
Example: SELECT * FROM agentcrm.missed_items(42, ''2026-03-01'')';

CREATE VIEW agentcrm.due_items AS
SELECT cp.client_id, coalesce(c.name, c.client_key) AS client, cp.product_id, coalesce(g.name, g.product_key) AS product,
	round(b.p::numeric, 3) AS p_next_order, round(b.p_within::numeric, 3) AS p_within, cp.n AS orders, p.n_orders - cp.last_order_no AS orders_since,
	cp.last_order_on, b.quantity, round(cp.last_price, 4) AS last_price, s.due_on
FROM agentcrm.client_profile p
	JOIN agentcrm.client_state s USING (client_id)
	JOIN agentcrm.client c USING (client_id)
	CROSS JOIN LATERAL agentcrm.usual_basket(p.client_id, agentcrm.clock()) b
	JOIN agentcrm.client_product cp ON cp.client_id = p.client_id AND cp.product_id = b.product_id
	JOIN agentcrm.product g ON g.product_id = b.product_id;
COMMENT ON VIEW agentcrm.due_items IS 'Products a client is likely to have in its next order, as the reorder agent would suggest them now (usual_basket): at most 8; clients that are dormant or lost are left out';
COMMENT ON COLUMN agentcrm.due_items.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.due_items.client IS 'Name of the client, or its key';
COMMENT ON COLUMN agentcrm.due_items.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.due_items.product IS 'Name of the product, or its key';
COMMENT ON COLUMN agentcrm.due_items.p_next_order IS 'Probability that the next order holds the product: by how often and how lately the client''s orders held it, and how often clients buy it again';
COMMENT ON COLUMN agentcrm.due_items.p_within IS 'Probability that an order within the demand window of 14 days holds it';
COMMENT ON COLUMN agentcrm.due_items.orders IS 'Orders of the client that held it';
COMMENT ON COLUMN agentcrm.due_items.orders_since IS 'Orders since the last of them';
COMMENT ON COLUMN agentcrm.due_items.last_order_on IS 'Day of the last of them';
COMMENT ON COLUMN agentcrm.due_items.quantity IS 'Usual quantity: recency-weighted mode of the last eight, in whole packs and at least the minimum';
COMMENT ON COLUMN agentcrm.due_items.last_price IS 'Net amount per unit in the last of them, source currency';
COMMENT ON COLUMN agentcrm.due_items.due_on IS 'Day by which the client''s next order has come with probability one half';

CREATE VIEW agentcrm.lost_items AS
SELECT cp.client_id, coalesce(c.name, c.client_key) AS client, cp.product_id, coalesce(g.name, g.product_key) AS product,
	cp.n AS orders, round(m.rate::numeric, 3) AS rate, m.orders_since, round(m.p_missed::numeric, 4) AS p_missed, cp.last_order_on, round(cp.last_price, 4) AS last_price
FROM agentcrm.client_profile p
	JOIN agentcrm.client c USING (client_id)
	CROSS JOIN LATERAL agentcrm.missed_items(p.client_id, agentcrm.clock()) m
	JOIN agentcrm.client_product cp ON cp.client_id = p.client_id AND cp.product_id = m.product_id
	JOIN agentcrm.product g ON g.product_id = m.product_id;
COMMENT ON VIEW agentcrm.lost_items IS 'Products that dropped out of a client''s orders while it goes on ordering, as the retention agent judges now (missed_items); it bids for the least likely of each category that was not left as a whole, from the day after the last order';
COMMENT ON COLUMN agentcrm.lost_items.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.lost_items.client IS 'Name of the client, or its key';
COMMENT ON COLUMN agentcrm.lost_items.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.lost_items.product IS 'Name of the product, or its key';
COMMENT ON COLUMN agentcrm.lost_items.orders IS 'Orders of the client that held it';
COMMENT ON COLUMN agentcrm.lost_items.rate IS 'Share of the client''s orders that held it until the last such order, recent ones counting more';
COMMENT ON COLUMN agentcrm.lost_items.orders_since IS 'Orders since, without it';
COMMENT ON COLUMN agentcrm.lost_items.p_missed IS 'Probability of leaving it out that often by chance';
COMMENT ON COLUMN agentcrm.lost_items.last_order_on IS 'Day of the last order with it';
COMMENT ON COLUMN agentcrm.lost_items.last_price IS 'Net amount per unit then, source currency';

