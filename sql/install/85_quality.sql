-- engine/: what is odd about the data that sources give

CREATE VIEW agentcrm.data_quality AS
	WITH lines AS (
		SELECT l.source_id, count(*) AS lines,
			count(*) FILTER (WHERE l.kind = 'return') AS returned,
			count(*) FILTER (WHERE l.product_id IS NULL) AS productless,
			count(*) FILTER (WHERE l.amount = 0 AND l.quantity <> 0) AS priceless,
			count(*) FILTER (WHERE l.quantity = 0) AS empty,
			count(*) FILTER (WHERE l.ordered_at > agentcrm.clock() + interval '1 day') AS future,
			count(*) FILTER (WHERE l.ordered_at < agentcrm.clock() - interval '30 years') AS ancient,
			min(l.ordered_at) AS first_order_at, max(l.ordered_at) AS last_order_at, max(l.recorded_at) AS last_change_at
		FROM agentcrm.ledger l GROUP BY l.source_id
	), strangers AS (
		SELECT s.source_id,
			CASE WHEN bool_or(p.name = 'client') THEN (SELECT count(*) FROM agentcrm.client c WHERE c.namespace = s.namespace AND c.feed_source_id IS NULL) END AS clients,
			CASE WHEN bool_or(p.name = 'product') THEN (SELECT count(*) FROM agentcrm.product q WHERE q.namespace = s.namespace AND q.feed_source_id IS NULL) END AS products
		FROM agentcrm.source s JOIN agentcrm.source_part p USING (source_id) GROUP BY s.source_id
	), failed AS (
		SELECT f.source_id, count(*) AS keys FROM agentcrm.event_failed f GROUP BY f.source_id
	), reconciled AS (
		SELECT l.source_id, max(l.at) AS at, sum(l.missing + l.changed + l.surplus) AS found FROM (
			SELECT DISTINCT ON (source_id, part) * FROM agentcrm.reconcile_log WHERE reconcile ORDER BY source_id, part, reading DESC) l
		GROUP BY l.source_id
	), counted AS (
		SELECT DISTINCT ON (source_id) * FROM agentcrm.reconcile_log WHERE lines IS NOT NULL ORDER BY source_id, reading DESC
	)
	SELECT s.name AS source, coalesce(l.lines, 0) AS lines,
		round(100.0 * l.returned / l.lines, 2) AS returns_percent,
		round(100.0 * l.productless / l.lines, 2) AS no_product_percent,
		round(100.0 * l.priceless / l.lines, 2) AS no_price_percent,
		c.clientless AS no_client_lines, round(100.0 * c.clientless / nullif(c.lines, 0), 2) AS no_client_percent,
		coalesce(l.empty, 0) AS zero_quantity_lines, coalesce(l.future, 0) AS future_lines, coalesce(l.ancient, 0) AS ancient_lines,
		t.clients AS unmatched_clients, t.products AS unmatched_products, coalesce(f.keys, 0) AS unread_keys,
		l.first_order_at, l.last_order_at, l.last_change_at, r.at AS reconciled_at, r.found AS reconcile_found, agentcrm.clock() AS as_of
	FROM agentcrm.source s LEFT JOIN lines l USING (source_id) LEFT JOIN strangers t USING (source_id)
	LEFT JOIN failed f USING (source_id) LEFT JOIN reconciled r USING (source_id) LEFT JOIN counted c USING (source_id);
COMMENT ON VIEW agentcrm.data_quality IS 'What is odd about the data of each source, one row each; reads the whole ledger. Lines that the mapping leaves out (conditions of attach) are not in it; those without a client are not in the ledger, and as the last complete reading of the orders counted them';
COMMENT ON COLUMN agentcrm.data_quality.source IS 'Source';
COMMENT ON COLUMN agentcrm.data_quality.lines IS 'Counted order lines, returns included';
COMMENT ON COLUMN agentcrm.data_quality.returns_percent IS 'Lines that are returns, per cent';
COMMENT ON COLUMN agentcrm.data_quality.no_product_percent IS 'Lines without a product, per cent: charges, texts, or a product expression that misses';
COMMENT ON COLUMN agentcrm.data_quality.no_price_percent IS 'Lines with a quantity and an amount of zero, per cent: gifts, or an amount expression that misses';
COMMENT ON COLUMN agentcrm.data_quality.no_client_lines IS 'Lines of the application that name no client and are not counted, at the last complete reading of the orders (first load, resync, reconcile); NULL: none yet';
COMMENT ON COLUMN agentcrm.data_quality.no_client_percent IS 'The same, per cent of all lines read then; NULL: none yet, or no line';
COMMENT ON COLUMN agentcrm.data_quality.zero_quantity_lines IS 'Lines of quantity zero';
COMMENT ON COLUMN agentcrm.data_quality.future_lines IS 'Lines dated more than a day ahead';
COMMENT ON COLUMN agentcrm.data_quality.ancient_lines IS 'Lines dated more than 30 years ago';
COMMENT ON COLUMN agentcrm.data_quality.unmatched_clients IS 'Clients that orders name and no client feed gives; NULL: the source has none';
COMMENT ON COLUMN agentcrm.data_quality.unmatched_products IS 'Products that lines name and no product feed gives; NULL: the source has none';
COMMENT ON COLUMN agentcrm.data_quality.unread_keys IS 'Keys that could not be read or counted (no client, no time, not a number ...): event_failed says why';
COMMENT ON COLUMN agentcrm.data_quality.first_order_at IS 'Earliest order';
COMMENT ON COLUMN agentcrm.data_quality.last_order_at IS 'Latest order';
COMMENT ON COLUMN agentcrm.data_quality.last_change_at IS 'When a line of the source was last written to the ledger';
COMMENT ON COLUMN agentcrm.data_quality.reconciled_at IS 'When the source was last reconciled';
COMMENT ON COLUMN agentcrm.data_quality.reconcile_found IS 'Keys that the last reconcile of each part found to differ, and mended';
COMMENT ON COLUMN agentcrm.data_quality.as_of IS 'The moment that "future" and "ancient" are counted from';
