-- source/: which tables could be orders and lines, by names and structure alone; the best few are then looked at

/*
 * What counts is what an order is: a document of a client at a time, whose
 * lines have product, quantity and money.  A name alone is worth less than that
 * structure, and what is barred (archive, purchase, quote) never comes in.
 * Points are a prior; data adds to them or takes away later.
 */
CREATE FUNCTION agentcrm.propose_candidates(tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[], wanted jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
	WITH t AS MATERIALIZED (
		SELECT * FROM unnest(tables) WHERE barred IS NULL OR rel IN ((wanted ->> 'orders')::oid, (wanted ->> 'lines')::oid)),
	k AS MATERIALIZED (
		SELECT l.*, p.words && '{client}' AS to_client, p.words && '{client2,user}' AS to_client2, p.words && '{product}' AND NOT p.words && '{other}' AS to_product, p.words && '{vendor}' AS to_vendor
		FROM unnest(links) l JOIN unnest(tables) p ON p.rel = l.target),
	roles AS MATERIALIZED (	-- a table between order and client: who plays which part
		SELECT DISTINCT a.target AS rel FROM k a JOIN k b ON b.rel = a.rel AND b.target <> a.target JOIN unnest(tables) x ON x.rel = a.rel
		WHERE b.to_client AND x.plain ~ 'role|party|parties|partner|contact|involve|customer|client|address' AND NOT x.words && '{line}'
		UNION	-- or a table on the way from order to client
		SELECT a.rel FROM k a JOIN k b ON b.rel = a.target AND b.target <> a.rel JOIN unnest(tables) x ON x.rel = a.target
		WHERE (b.to_client OR b.to_client2 AND b.how = 'foreign key') AND x.plain ~ 'contact|address|adress|location|(^|_)sites?(_|$)|branch|ship_?to|bill_?to|store|user|account|member|person|outlet|standort|filial|deliver' AND NOT x.words && '{line,order,invoice}'),
	f AS MATERIALIZED (
		SELECT c.rel,
			bool_or(c.words && '{qty}' AND (c.family IN ('int', 'num', 'float') OR c.family = 'text' AND c.plain ~ '^(qty|quantity|menge|quantite|cantidad|quantita|quantidade)$')) AS has_qty,
			bool_or(c.words && '{price,total}' AND NOT c.words && '{qty,discount}' AND c.family IN ('int', 'num', 'float', 'money') AND c.plain !~ '_id$') AS has_money,
			bool_or(c.words && '{price}' AND c.family IN ('int', 'num', 'float', 'money')) AS has_price,
			bool_or((c.family = 'time' OR c.family IN ('int', 'text', 'num', 'float') AND (c.words && '{ordered,created}' AND NOT c.words && '{total,qty,price}' OR c.plain ~ 'date|datum|fecha|time|(_|created|updated)at$')) AND NOT (c.words && '{late}' AND NOT c.words && '{ordered,created}')) AS has_date,
			bool_or(c.words && '{ordered}' AND c.family = 'time') AS has_order_date,
			bool_or(c.words && '{client}' AND c.family IN ('int', 'text', 'uuid') AND c.plain !~ 'name|mail|phone|note|comment'
				OR c.family = 'text' AND c.plain ~ '^((customer|client|buyer|guest|billing|contact)_)?e?_?mail(_address)?$') AS names_client,
			bool_or(c.words && '{product}' AND c.family IN ('int', 'text', 'uuid') AND c.plain !~ 'name|desc|count|type|qty') AS names_product,
			bool_or(c.words && '{order}' AND NOT c.is_key AND c.family IN ('int', 'text', 'uuid') AND c.plain ~ '(id|no|nr|num|number|nummer|numero|ref|code|key|cislo|folio)$|^(order|invoice|document|bon|beleg|doc|receipt|factura|pedido|zakaz|zamowienie)$') AS names_order
		FROM unnest(columns) c GROUP BY c.rel),
	o AS MATERIALIZED (
		SELECT t.*, f.has_date OR t.rel IN (SELECT a.rel FROM k a JOIN t b ON b.rel = a.rel AND b.key = a.cols JOIN f y ON y.rel = a.target WHERE a.how = 'foreign key' AND y.has_date AND NOT a.to_client) AS has_date, f.has_order_date,	-- its own, or that of the row whose key it shares
			 f.has_money, f.names_client, coalesce(k.to_client, false) AS to_client, coalesce(k.to_client2, false) AS to_client2, t.rel IN (SELECT rel FROM roles) AS by_role,
			CASE WHEN t.words && '{order}' THEN 4 WHEN t.words && '{invoice}' THEN 3 WHEN t.words && '{doc}' THEN 1.5 ELSE 0 END - CASE WHEN t.words && '{other}' THEN 3 ELSE 0 END
				- CASE WHEN t.words && '{client,product}' AND NOT t.words && '{order,invoice}' THEN 2 ELSE 0 END AS named_order
		FROM t JOIN f USING (rel) LEFT JOIN (SELECT rel, bool_or(to_client) AS to_client, bool_or(to_client2) AS to_client2 FROM k GROUP BY rel) AS k USING (rel)),
	pair AS (
		SELECT DISTINCT ON (l.rel, o.rel) o.rel AS o, l.rel AS l, k.cols, k.target_cols, k.how,
			CASE WHEN l.words @> '{order,line}' AND k.how = 'foreign key' AND o.words = '{}' THEN 2.5 ELSE o.named_order END	-- what order lines refer to is an order, whatever it is called
			- CASE WHEN o.plain ~ 'deliver|shipment|dispatch|despatch|liefersch|livraison|albaran' THEN 2 ELSE 0 END
			- CASE WHEN o.words && '{line}' AND NOT o.plain ~ 'document' THEN 3 ELSE 0 END
			+ CASE WHEN l.words && '{line}' THEN 3 ELSE 0 END + CASE WHEN l.words && '{order,invoice}' THEN 1.5 ELSE 0 END - CASE WHEN l.words && '{other}' THEN 4 ELSE 0 END
			+ CASE WHEN starts_with(l.plain, regexp_replace(o.plain, '(_?(header|head|hdr|kopf|es|s|n|en))$', '')) THEN 2 ELSE 0 END
			+ CASE WHEN regexp_replace(l.plain, '[0-9_]', '', 'g') <> '' AND length(regexp_replace(l.plain, '[0-9_]', '', 'g')) >= 3 AND strpos(regexp_replace(o.plain, '[0-9_]', '', 'g'), regexp_replace(l.plain, '[0-9_]', '', 'g')) > 1 THEN 1.5 ELSE 0 END	-- ordr, rdr1
			+ CASE WHEN lf.has_qty THEN 2 ELSE 0 END + CASE WHEN lf.has_money THEN 2 ELSE 0 END
			+ CASE WHEN lk.to_product THEN 2.5 WHEN lf.names_product THEN 1.5 ELSE 0 END
			+ CASE WHEN o.to_client THEN 3 WHEN o.names_client THEN 2 WHEN o.to_client2 THEN 1.5 WHEN lk.to_client OR o.by_role THEN 1 ELSE 0 END
			- CASE WHEN o.named_order <= 0 AND NOT (o.to_client OR o.names_client OR o.to_client2 OR o.by_role) THEN 4 ELSE 0 END	-- a calendar, a shop
			+ CASE WHEN o.has_order_date THEN 2 WHEN o.has_date THEN 1.5 ELSE 0 END
			+ CASE k.how WHEN 'foreign key' THEN 1 ELSE 3 * (k.score - 0.75) END
			+ CASE WHEN l.n_rows > 0 AND o.n_rows > 0 THEN 1 ELSE 0 END + CASE WHEN l.n_rows > 0 AND o.n_rows > 0 AND l.n_rows >= 0.7 * o.n_rows AND l.n_rows <= 60 * o.n_rows THEN 0.5 ELSE 0 END
			+ least(ln(1 + o.n_rows) / 10, 1) AS score
		FROM k JOIN unnest(columns) kc ON kc.rel = k.rel AND kc.col = k.cols[1] JOIN t l ON l.rel = k.rel JOIN o ON o.rel = k.target AND o.rel <> l.rel JOIN f lf ON lf.rel = l.rel
		LEFT JOIN (SELECT rel, bool_or(to_product) AS to_product, bool_or(to_client) AS to_client FROM k GROUP BY rel) AS lk ON lk.rel = l.rel
		WHERE (k.how = 'foreign key' OR l.schema = o.schema) AND (lf.has_qty OR lf.has_money) AND o.has_date AND (o.to_client OR o.to_client2 OR o.names_client OR o.by_role OR lk.to_client OR lf.names_client)
			AND (NOT o.words && '{client,product,user}' OR o.words && '{order,invoice,doc}')
		ORDER BY l.rel, o.rel, (k.how = 'foreign key') DESC, k.score DESC, kc.plain ~ 'old|orig|prev|copy|copied|source|link|relat|return|refund|against|replac|merge|parent', kc.required DESC, kc.attnum),
	flat AS (
		SELECT t.rel, 5 + CASE WHEN t.words && '{order,invoice}' THEN 3 WHEN t.words && '{doc}' THEN 1.5 ELSE 0 END + CASE WHEN t.words && '{line}' THEN 1 ELSE 0 END - CASE WHEN t.words && '{other}' THEN 3 ELSE 0 END
			+ CASE WHEN f.has_price THEN 1 ELSE 0 END + CASE WHEN t.n_rows > 0 THEN 1 ELSE 0 END + CASE WHEN f.has_order_date THEN 1 ELSE 0 END + least(ln(1 + t.n_rows) / 10, 1) AS score
		FROM t JOIN f USING (rel) WHERE f.has_qty AND f.has_money AND f.has_date AND f.names_client AND f.names_product AND f.names_order),
	heads AS (
		SELECT o.rel, o.named_order + CASE WHEN o.to_client THEN 3 WHEN o.names_client THEN 2 ELSE 0.5 END + CASE WHEN o.has_order_date THEN 2 ELSE 1 END + CASE WHEN o.n_rows > 0 THEN 1 ELSE 0 END + least(ln(1 + o.n_rows) / 10, 1) AS score
		FROM o WHERE o.named_order >= 1 AND o.has_date AND o.has_money AND (o.to_client OR o.names_client OR o.to_client2 AND o.words && '{order}') AND NOT o.words && '{line}'
			AND (wanted ? 'only_heads' OR NOT EXISTS (SELECT FROM pair p WHERE p.o = o.rel AND p.score >= 9)) AND NOT EXISTS (SELECT FROM flat WHERE flat.rel = o.rel)),
	everything AS (
		SELECT jsonb_build_object('kind', 'pair', 'o', o, 'l', l, 'cols', cols, 'target_cols', target_cols, 'how', how) AS found, score, l AS first FROM pair WHERE score >= 9 AND NOT wanted ? 'only_heads'
		UNION ALL
		SELECT jsonb_build_object('kind', 'flat', 'l', rel), score, rel FROM flat
		WHERE NOT EXISTS (SELECT FROM pair p WHERE p.l = flat.rel AND p.score >= flat.score)
		UNION ALL
		SELECT jsonb_build_object('kind', 'heads', 'o', rel), score, rel FROM heads WHERE score >= 6)
	SELECT coalesce(jsonb_agg(found || jsonb_build_object('score', round(score::numeric, 2)) ORDER BY score DESC, first), '[]')
	FROM (SELECT *, row_number() OVER (ORDER BY is_near DESC, score DESC, first) AS place FROM (
			SELECT e.*, s.is_near, row_number() OVER (PARTITION BY e.found -> 'o' ORDER BY e.score DESC, e.first) AS of_order, row_number() OVER (PARTITION BY e.found -> 'l' ORDER BY e.score DESC, e.first) AS of_lines,
				row_number() OVER (PARTITION BY s.schema ORDER BY e.score DESC, e.first) AS of_schema, max(e.score) OVER (PARTITION BY s.schema) AS best, bool_or(s.is_near) OVER () AS any_near
			FROM everything e JOIN (SELECT rel, schema, coalesce(wanted -> 'near' ? schema::text, false) AS is_near FROM t) AS s ON s.rel = coalesce((e.found ->> 'o')::oid, e.first)) AS e
		WHERE (NOT wanted ? 'orders' OR e.found ->> 'o' = wanted ->> 'orders') AND (NOT wanted ? 'lines' OR e.found ->> 'l' = wanted ->> 'lines')
			AND (e.found ->> 'o' IS NULL OR e.of_order <= 2) AND (e.found ->> 'l' IS NULL OR e.of_lines <= 2) AND e.of_schema <= 4 AND e.score >= e.best - 12
			AND (is_near OR NOT wanted ? 'only_named' AND (NOT any_near OR NOT wanted ? 'only_near'))) AS best
	WHERE place <= 6 OR of_schema <= 2 AND place <= 30 AND NOT wanted ? 'only_near'	-- a schema with many must not hide another
$$;
COMMENT ON FUNCTION agentcrm.propose_candidates(agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[], jsonb) IS 'Internal: pairs of header and lines, flat tables and lone headers, best first';
