-- source/: from a candidate to a mapping: quantity and net amount, settled by what agrees in the data

-- Arithmetic on money is numeric; real is cast first, so that it says what was typed, and so is a number kept as text.
CREATE FUNCTION agentcrm.propose_number(alias text, c agentcrm.propose_column) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('%s.%I%s', alias, c.col, CASE WHEN c.family IN ('float', 'money') OR c.family = 'num' AND c.type <> 'numeric' THEN '::numeric' ELSE '' END)
$$;
COMMENT ON FUNCTION agentcrm.propose_number(text, agentcrm.propose_column) IS 'Internal: a number column as an exact expression';

-- What was cancelled of a line stands beside its quantity; a line cancelled whole does not count.
CREATE FUNCTION agentcrm.propose_cancelled(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c agentcrm.propose_column;
	ordered text := m ->> 'quantity';
	cancelled text;
	rest text;
BEGIN
	SELECT a.* INTO c FROM unnest(columns) a
	WHERE a.rel = (m ->> 'l')::oid AND a.words && '{qty}' AND a.plain ~ 'cancel|storn|annul|(^|_)anul|void' AND a.family IN ('int', 'num', 'float') AND a.col IS DISTINCT FROM m ->> 'quantity_column' AND NOT a.words && '{price,total}'
	ORDER BY a.attnum LIMIT 1;
	IF c.col IS NULL OR NOT m ? 'quantity_column' THEN
		RETURN m;
	END IF;
	cancelled := format('coalesce(%s, 0)', agentcrm.propose_number('l', c));
	IF agentcrm.propose_ask(format('SELECT to_jsonb(bool_or(%s > %s)) FROM %s', cancelled, ordered, m ->> 'source')) = 'true' THEN	-- what is left, not what was ordered
		RETURN m;
	END IF;
	rest := format('(%s - %s)', ordered, cancelled);
	RETURN agentcrm.propose_add(agentcrm.propose_and(m || jsonb_build_object('quantity', rest, 'ordered_quantity', ordered, 'cancelled', cancelled), format('(%s <> 0 AND %s = %1$s) IS NOT TRUE', cancelled, ordered), 'line_ok'),
		jsonb_build_object('quantity', rest), agentcrm.propose_role('quantity', c.rel, rest, 4.5, format('name; %I is what was cancelled of it', c.col)));
END $$;
COMMENT ON FUNCTION agentcrm.propose_cancelled(jsonb, agentcrm.propose_column[]) IS 'Internal: the quantity of a mapping less what was cancelled';

CREATE FUNCTION agentcrm.propose_quantity(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	alias text := CASE WHEN m ->> 'l' IS NULL THEN 'o' ELSE 'l' END;
	q record;
	n int := 0;
	numbers agentcrm.propose_column[];
	which int;
BEGIN
	IF alias = 'l' THEN
		FOR q IN
			SELECT c AS col, c.col AS named, c.type, m -> 'profiles' -> alias -> c.col AS profile, 4 - CASE WHEN c.words && '{qty_bad}' THEN 2.5 ELSE 0 END - CASE WHEN c.words && '{price,total,discount,tax}' THEN 2 ELSE 0 END
				+ CASE WHEN c.plain ~ 'order|bestellt|^(qty|quantity|menge|cantidad|quantite|quantita|quantidade|kolichestvo|units)$' THEN 1 ELSE 0 END
				- CASE WHEN (m -> 'profiles' -> alias -> c.col ->> 'filled')::numeric < 0.5 * (m -> 'profiles' -> alias ->> 'n')::numeric THEN 2 ELSE 0 END AS points
			FROM unnest(columns) c
			WHERE c.rel = (m ->> 'l')::oid AND c.words && '{qty}' AND c.family IN ('int', 'num', 'float') AND c.col <> ALL (coalesce(agentcrm.part_array(m, 'lkey'), '{}')) AND c.plain !~ '(^|_)id$|_id$|(line|row|seq|pos|doc|page)_?num$' ORDER BY points DESC, c.attnum LIMIT 3
		LOOP
			n := n + 1;
			m := agentcrm.propose_add(m || CASE WHEN n = 1 THEN jsonb_build_object('quantity', agentcrm.propose_number(alias, q.col), 'quantity_column', q.named) ELSE '{}' END,
				CASE WHEN n = 1 THEN jsonb_build_object('quantity', agentcrm.propose_number(alias, q.col)) ELSE '{}' END,
				agentcrm.propose_role('quantity', (m ->> 'l')::oid, agentcrm.propose_number(alias, q.col), q.points, format('name; type %s; %s to %s', q.type, q.profile ->> 'min', q.profile ->> 'max'), q.profile ->> 'max', n));
		END LOOP;
	END IF;
	IF n = 0 AND alias = 'l' THEN
		-- nothing is called a quantity: what times a price is an amount
		SELECT array_agg(c ORDER BY c.attnum) INTO numbers FROM unnest(columns) c WHERE c.rel = (m ->> 'l')::oid AND c.family IN ('int', 'num', 'float') AND NOT c.in_key AND c.plain !~ '(^|_)id$|_id$|id$|status|weight|percent|pct' AND c.col <> ALL (coalesce(agentcrm.part_array(m, 'lkey'), '{}')) AND (m -> 'profiles' -> 'l' -> c.col ->> 'distinct')::int > 1;
		IF cardinality(numbers) BETWEEN 3 AND 14 THEN
			which := (agentcrm.propose_ask(format('SELECT to_jsonb(q) FROM (SELECT q, p, t, avg((abs(v[q] * v[p] - v[t]) <= 0.011 + 0.0005 * abs(v[t]))::int) AS agrees FROM (SELECT ARRAY[%s] AS v FROM %s LIMIT 200) AS s, generate_series(1, %s) q, generate_series(1, %3$s) p, generate_series(1, %3$s) t WHERE q <> p AND q <> t AND p <> t AND v[t] <> 0 AND v[q] <> 1 AND v[p] <> 1 GROUP BY 1, 2, 3 HAVING count(*) >= 10) AS g WHERE agrees >= 0.9 AND %s ORDER BY agrees DESC, q LIMIT 1',
				(SELECT string_agg(format('(%s)::numeric', agentcrm.propose_number('l', c)), ', ' ORDER BY i) FROM unnest(numbers) WITH ORDINALITY AS x(rel, attnum, col, plain, stem, family, type, words, required, in_key, is_key, preset, i), LATERAL (SELECT (x.rel, x.attnum, x.col, x.plain, x.stem, x.family, x.type, x.words, x.required, x.in_key, x.is_key, x.preset)::agentcrm.propose_column AS c) AS y),
				m ->> 'source', cardinality(numbers), format('q = ANY (%L::int[]) AND p = ANY (%L::int[])',
					(SELECT array_agg(i) FROM generate_series(1, cardinality(numbers)) i WHERE NOT numbers[i].words && '{price,tax,discount,net,gross}' AND (m -> 'profiles' -> 'l' -> numbers[i].col ->> 'whole')::boolean), (SELECT array_agg(i) FROM generate_series(1, cardinality(numbers)) i WHERE numbers[i].words && '{price}')))) #>> '{}')::int;
			IF which IS NOT NULL THEN
				n := 1;
				m := agentcrm.propose_add(m || jsonb_build_object('quantity', agentcrm.propose_number(alias, numbers[which]), 'quantity_column', numbers[which].col), jsonb_build_object('quantity', agentcrm.propose_number(alias, numbers[which])),
					agentcrm.propose_role('quantity', (m ->> 'l')::oid, agentcrm.propose_number(alias, numbers[which]), 3, 'times a price of the line it is an amount of the line'));
			END IF;
		END IF;
	END IF;
	IF n = 0 THEN
		m := agentcrm.propose_add(m || '{"quantity": "1"}', '{"quantity": "1"}', agentcrm.propose_role('quantity', coalesce(m ->> 'l', m ->> 'o')::oid, '1', 0.5, 'no column looks like a quantity'));
	END IF;
	RETURN agentcrm.propose_cancelled(m, columns);
END $$;
COMMENT ON FUNCTION agentcrm.propose_quantity(jsonb, agentcrm.propose_column[]) IS 'Internal: the quantity of a mapping';

/*
 * What could be a line's net amount: columns named so, and quantity x price less
 * discount.  prior says what the name is worth; kind total is a column, product
 * is computed.
 */
CREATE FUNCTION agentcrm.propose_amounts(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH c AS (
		SELECT k.*, agentcrm.propose_number(alias, k) AS expression, m -> 'profiles' -> alias -> k.col AS profile, (m -> 'profiles' -> alias ->> 'n')::numeric AS n,
			k.words && '{price}' AND (NOT k.words && '{total,net}' OR k.plain ~ 'unit|einzel|stuck|^price_|^pu_|disc[a-z]*_price') AND NOT k.plain ~ 'sub_?tot|price_(total|tax|amount)'
				OR k.plain ~ '^((unit|item)_)?(cost|rate)$' AND NOT EXISTS (SELECT FROM unnest(columns) z WHERE z.rel = k.rel AND z.words && '{price,total}' AND NOT z.words && '{discount,tax}' AND z.family IN ('int', 'num', 'float', 'money') AND NOT z.in_key) AS is_price	-- nothing else says what it costs
		FROM (SELECT CASE WHEN m ->> 'l' IS NULL THEN 'o' ELSE 'l' END AS alias) AS a, unnest(columns) k
		WHERE k.rel = coalesce(m ->> 'l', m ->> 'o')::oid AND k.family IN ('int', 'num', 'float', 'money') AND NOT k.in_key AND k.plain !~ '(^|_)id$|_id$|percent|pct' AND k.col <> ALL (coalesce(agentcrm.part_array(m, 'lkey'), '{}'))
			AND k.col IS DISTINCT FROM m ->> 'quantity_column'),
	total AS (
		SELECT 'total' AS kind, expression, col, CASE WHEN is_price THEN 0 ELSE 3.5 END + CASE WHEN words && '{net}' THEN 1.5 WHEN words && '{gross}' THEN -2.5 ELSE 0 END + CASE WHEN words && '{base}' AND NOT words && '{price}' THEN 0.5 ELSE 0 END
				+ CASE WHEN plain ~ '^(line_?)?(total|amount|net|subtotal|sum|summa|betrag|importe|montant)$' THEN 0.3 ELSE 0 END + CASE WHEN plain ~ '(with|after|less)_?disc' THEN CASE WHEN words && '{gross}' THEN 0 ELSE 2 END WHEN words && '{discount}' THEN -1.5 ELSE 0 END AS prior, words, family, plain, is_price, attnum
		FROM c WHERE (words && '{total}' AND NOT is_price OR words @> '{price,net}' AND plain !~ 'unit|einzel|stuck') AND (NOT words && '{money_bad}' OR plain ~ '^(line|item|row|sub)_?(total|amount)_(with|after|less)_?disc') AND NOT (words && '{tax}' AND NOT words && '{net,gross}') AND NOT (words && '{discount}' AND plain !~ 'after|net|less|with_?disc')
			AND coalesce((profile ->> 'filled')::numeric, 1) > 0.5 * coalesce(n, 0) ORDER BY prior DESC, attnum LIMIT 5),
	price AS (
		SELECT * FROM (
			SELECT expression, col, words, family, plain, is_price, attnum::int, 0 - CASE WHEN words && '{price_bad}' THEN 1.5 ELSE 0 END - CASE WHEN plain ~ 'initial|original' THEN 0.3 ELSE 0 END + CASE WHEN plain ~ 'discounted_?price|price_(after|less|with)_disc' THEN 2.2 WHEN plain ~ 'final|actual|sold|sell|effective|agreed|charged' THEN 0.3 ELSE 0 END - CASE WHEN words && '{gross}' THEN 1 ELSE 0 END AS worth FROM c WHERE is_price AND NOT words && '{qty,tax,discount}' OR is_price AND words && '{net}'
			UNION ALL	-- what the line refers to holds the price
			SELECT format('(SELECT x.%I FROM %s AS x WHERE x.%I = l.%I)', k.col, agentcrm.relation_name(k.rel), m ->> 'twin_key', m ->> 'twin_column'), k.col, k.words, k.family, k.plain, true, 1000 + k.attnum, 0.2 - CASE WHEN k.words && '{price_bad}' THEN 1.5 ELSE 0 END
			FROM unnest(columns) k WHERE k.rel = (m ->> 'twin')::oid AND k.family IN ('int', 'num', 'float', 'money') AND k.words && '{price}' AND NOT k.words && '{qty,tax,discount}') AS p
		ORDER BY worth DESC, words && '{net}' DESC, attnum LIMIT 2 + (m ? 'twin')::int),
	rebate AS (
		SELECT d.*, agentcrm.propose_number(a.alias, d) AS expression, (m -> 'profiles' -> a.alias -> d.col ->> 'max')::numeric AS most
		FROM (SELECT CASE WHEN m ->> 'l' IS NULL THEN 'o' ELSE 'l' END AS alias) AS a, unnest(columns) d
		WHERE d.rel = coalesce(m ->> 'l', m ->> 'o')::oid AND d.words && '{discount}' AND NOT (d.words && '{price}' AND d.plain !~ 'disc|rabat|pct|percent') AND d.plain !~ 'discounted|after|less|net' AND d.family IN ('int', 'num', 'float', 'money') AND d.plain !~ '(_id|type|tax|code)$' AND ((m -> 'profiles' -> a.alias -> d.col ->> 'max')::numeric > 0 OR (m -> 'profiles' -> a.alias -> d.col ->> 'min')::numeric < 0) ORDER BY d.attnum LIMIT 2),
	computed AS (
		SELECT 'product' AS kind, CASE WHEN m ->> 'quantity' = '1' THEN p.expression ELSE format('%s * %s', m ->> 'quantity', p.expression) END AS expression, p.col, 2.2 + p.worth AS prior, p.words, p.family, p.plain, p.is_price, p.attnum FROM price p
		UNION ALL
		SELECT 'product', CASE WHEN r.most <= 0 THEN format('%s * %s + coalesce(%s, 0)', m ->> 'quantity', p.expression, r.expression)	-- stands there as what is added
				WHEN r.most <= 1 AND r.family <> 'int' AND r.plain !~ 'amount|amt|value|betrag|montant|total' THEN format('%s * %s * (1 - coalesce(%s, 0))', m ->> 'quantity', p.expression, r.expression)
				WHEN r.plain ~ 'amount|amt|value|betrag|montant|total|importe' OR r.most > 100 THEN format('%s * %s - coalesce(%s, 0)', m ->> 'quantity', p.expression, r.expression)
				ELSE format('%s * %s * (1 - coalesce(%s, 0) / 100.0)', m ->> 'quantity', p.expression, r.expression) END, p.col, 2.5 + p.worth, p.words, p.family, p.plain, p.is_price, p.attnum
		FROM price p, rebate r WHERE p.plain !~ 'discounted_?price|price_(after|less|with)_disc'
		UNION ALL	-- a price that holds while a mark says so
		SELECT 'product', format('%s * CASE WHEN %s THEN %s ELSE %s END', m ->> 'quantity', CASE f.family WHEN 'bool' THEN format('l.%I', f.col) ELSE format('l.%I = 1', f.col) END, agentcrm.propose_number('l', q), p.expression), p.col, 3 + p.worth, p.words, p.family, p.plain, p.is_price, p.attnum
		FROM price p JOIN unnest(columns) q ON q.rel = (m ->> 'l')::oid AND q.plain ~ '(promo|special|sale|offer)_?price' AND q.family IN ('int', 'num', 'float') AND q.col <> p.col JOIN unnest(columns) f ON f.rel = q.rel AND f.plain ~ '(promo|special|(^|_)sale|offer)' AND f.col <> q.col
			AND (f.family = 'bool' OR f.family = 'int' AND (m -> 'profiles' -> 'l' -> f.col ->> 'max')::numeric = 1) WHERE p.plain !~ 'promo|special'
		UNION ALL	-- nothing is called a price or a total: any number may be one
		SELECT k.kind, CASE k.kind WHEN 'total' THEN c.expression ELSE format('%s * %s', m ->> 'quantity', c.expression) END, c.col, CASE k.kind WHEN 'total' THEN 0.5 ELSE 0.6 END, c.words, c.family, c.plain, true, c.attnum FROM c, (VALUES ('total'), ('product')) AS k(kind)
		WHERE NOT EXISTS (SELECT FROM price) AND NOT EXISTS (SELECT FROM total) AND c.family IN ('num', 'float', 'money') AND NOT c.words && '{qty,tax,discount}' AND c.plain !~ 'weight|rate|percent|cost|margin|width|height|length|volume' AND (c.profile ->> 'distinct')::bigint > 2 AND m ->> 'quantity' <> '1'
		UNION ALL	-- no column is called a price: one of two totals may be one
		SELECT 'product', format('%s * %s', m ->> 'quantity', t.expression), t.col, 1, t.words, t.family, t.plain, true, t.attnum FROM total t WHERE m ->> 'quantity' <> '1' AND NOT EXISTS (SELECT FROM price)),
	reduced AS (	-- a total that its own discount comes off
		SELECT 'reduced' AS kind, format(CASE WHEN r.most <= 1 THEN '%s * (1 - coalesce(%s, 0))' ELSE '%s * (1 - coalesce(%s, 0) / 100.0)' END, t.expression, r.expression) AS expression, t.col, t.prior - 0.7 AS prior, t.words, t.family, t.plain, t.is_price, t.attnum
		FROM total t, rebate r WHERE NOT t.words && '{net,discount}' AND r.most > 0 AND r.most <= 100 AND r.family <> 'int' AND r.plain !~ 'amount|amt|value|betrag|montant|total' LIMIT 2),
	heads AS (
		SELECT h.col, agentcrm.propose_number('o', h) AS expression, CASE WHEN h.words && '{net}' THEN 2 WHEN h.words && '{gross}' THEN 0.5 ELSE 1 END AS weight
		FROM unnest(columns) h WHERE m ->> 'l' IS NOT NULL AND h.rel = (m ->> 'o')::oid AND h.family IN ('int', 'num', 'float', 'money') AND h.words && '{total,net}' AND NOT h.words && '{money_bad,qty}' AND NOT (h.words && '{tax}' AND NOT h.words && '{net,gross}') AND NOT (h.words && '{discount}')
			AND h.plain !~ '(^|_)id$' ORDER BY weight DESC, h.attnum LIMIT 4),
	tax AS (
		SELECT t.expression FROM c t WHERE t.words && '{tax}' AND NOT t.words && '{net,gross,money_bad,rate}' AND t.plain !~ 'code|class|percent' AND (t.words && '{total,price}' OR t.plain ~ '^((item|line)_)?(tax|vat|mwst|iva|tva|ust)(_?(value|sum))?$' AND (t.profile ->> 'distinct')::int > 8) ORDER BY t.attnum LIMIT 1)
	SELECT jsonb_build_object('amounts', coalesce((SELECT jsonb_agg(jsonb_build_object('kind', kind, 'expression', expression, 'col', col, 'prior', prior, 'family', family, 'type', (SELECT k.type FROM unnest(columns) k WHERE k.rel = coalesce(m ->> 'l', m ->> 'o')::oid AND k.col = e.col LIMIT 1), 'net', words && '{net}', 'gross', words && '{gross}', 'base', words && '{base}', 'plain', plain) ORDER BY prior DESC, attnum)
			FROM (SELECT * FROM total UNION ALL SELECT * FROM computed UNION ALL SELECT * FROM reduced) AS e), '[]'),
		'heads', coalesce((SELECT jsonb_agg(jsonb_build_object('expression', expression, 'col', col, 'weight', weight)) FROM heads), '[]'), 'tax', (SELECT expression FROM tax),
		'taxed', (SELECT format(CASE WHEN (profile ->> 'max')::numeric <= 1 THEN '(1 + coalesce(%s, 0))' ELSE '(1 + coalesce(%s, 0) / 100.0)' END, expression) FROM c
			WHERE words && '{tax}' AND NOT words && '{net,gross,total,price}' AND family IN ('num', 'float') AND (profile ->> 'max')::numeric BETWEEN 0.001 AND 100 AND (plain ~ 'rate|pct|perc|proz|satz' OR (profile ->> 'distinct')::int <= 8) ORDER BY attnum LIMIT 1))
$$;
COMMENT ON FUNCTION agentcrm.propose_amounts(jsonb, agentcrm.propose_column[]) IS 'Internal: expressions that could be the net amount, totals of the header, and the tax of a line';

/*
 * Whether an amount holds the tax, which its name need not say: a tax beside it
 * that is that share of what is left without it, not of the whole; lines whose
 * sum is the order's total while the order has tax and no total on top; or a mark
 * that says so.  Gives the amount without it and why, NULL where nothing tells.
 */
CREATE FUNCTION agentcrm.propose_untaxed(m jsonb, columns agentcrm.propose_column[], chosen jsonb, given jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	e text := chosen ->> 'expression';
	bare text := CASE WHEN e ~ '^[a-z]\.("[^"]*"|\w+)(::numeric)?$' THEN e ELSE '(' || e || ')' END;
	tax text := given ->> 'tax';
	rate text := given ->> 'taxed';
	heads jsonb := given -> 'heads';
	near text := 'abs((%s)::numeric - (%s)::numeric) <= 0.011 + 0.0005 * abs((%2$s)::numeric)';
	mark record;
	seen jsonb;
	prices text;
	whole text;
	head_tax text;
	head_net text;
	head_gross text;
	less text;
BEGIN
	IF m ->> 'source' IS NULL OR chosen ->> 'net' = 'true' AND chosen ->> 'gross' = 'false' THEN
		RETURN NULL;
	END IF;
	-- what the document says itself
	SELECT x.alias, c.col, c.family, CASE WHEN c.family = 'bool' THEN format('%s.%I', x.alias, c.col) ELSE format('%s.%I = 1', x.alias, c.col) END AS yes INTO mark
	FROM unnest(columns) c, LATERAL (SELECT CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END AS alias) AS x
	WHERE c.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND (c.family = 'bool' OR c.family = 'int' AND (m -> 'profiles' -> x.alias -> c.col ->> 'max')::numeric <= 1)
		AND c.plain ~ '(incl(ud(e|es|ed|ing))?|inkl)_?(tax|vat|mwst|ust|iva|tva)|(tax|vat|mwst|ust|iva|tva)(es)?_?(is_?)?incl|brutto_?preis|(is|price|prices|amounts?)_(gross|brutto|ttc)|prices?_incl' ORDER BY x.alias, c.attnum LIMIT 1;
	IF mark.col IS NOT NULL THEN
		seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''yes'', bool_or(%1$s), ''all'', bool_and(%1$s)) FROM %2$s', mark.yes, m ->> 'source'));
		IF seen ->> 'yes' = 'false' THEN
			RETURN NULL;
		END IF;
	END IF;
	SELECT n ->> 'expression', g ->> 'expression' INTO head_net, head_gross FROM jsonb_array_elements(heads) n, jsonb_array_elements(heads) g
	WHERE (n ->> 'weight')::numeric = 2 AND (g ->> 'weight')::numeric < 2 AND mark.col IS NOT NULL AND agentcrm.propose_ask(format('SELECT to_jsonb(count(*) > 0 AND bool_and(%1$s <= %2$s)) FROM %3$s WHERE %1$s > 0', n ->> 'expression', g ->> 'expression', m ->> 'source')) = 'true' LIMIT 1;
	less := CASE WHEN tax IS NOT NULL THEN format('%s - coalesce(%s, 0)', e, tax) WHEN rate IS NOT NULL THEN format('%s / %s', bare, rate) WHEN head_net IS NOT NULL THEN format('%s * coalesce(%s / nullif(%s, 0), 1)', bare, head_net, head_gross) END;
	IF chosen ->> 'gross' = 'true' AND less IS NOT NULL THEN
		RETURN jsonb_build_object('expression', less, 'why', 'its name says that tax is included');
	ELSIF seen ->> 'yes' = 'true' AND less IS NOT NULL THEN
		RETURN jsonb_build_object('expression', CASE WHEN seen ->> 'all' = 'true' THEN less ELSE format('CASE WHEN %s THEN %s ELSE %s END', mark.yes, less, e) END, 'why', format('%s says that tax is included', mark.yes));
	END IF;
	IF tax IS NOT NULL THEN
		-- quantity x price, and the tax on top of it
		SELECT string_agg(format('(%s)::numeric', a ->> 'expression'), ', ') INTO prices FROM jsonb_array_elements(given -> 'amounts') a WHERE a ->> 'kind' = 'product' AND a -> 'col' <> chosen -> 'col' AND a ->> 'gross' = 'false';
		seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''more'', avg((SELECT bool_or(%s) FROM unnest(p) x)::int), ''same'', avg((SELECT bool_or(%s) FROM unnest(p) x)::int)) FROM (SELECT (%s)::numeric AS e, (%s)::numeric AS t, ARRAY[%s] AS p FROM %s LIMIT 20000) AS s WHERE t > 0',
			format(near, 'e - t', 'x'), format(near, 'e', 'x'), e, tax, prices, m ->> 'source'));
		IF (seen ->> 'more')::numeric >= 0.8 AND (seen ->> 'same')::numeric <= 0.3 THEN
			RETURN jsonb_build_object('expression', less, 'why', format('it exceeds quantity x price by %s in %s %% of lines', tax, round(100 * (seen ->> 'more')::numeric)));
		END IF;
		seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*), ''inside'', avg(inside::int), ''on_top'', avg(on_top::int)) FROM (SELECT %s AS inside, %s AS on_top FROM (SELECT (%s)::numeric AS e, (%s)::numeric AS t, %s AS f, 0.0111 * CASE WHEN bool_and((%3$s) = trunc(%3$s) AND (%4$s) = trunc(%4$s)) OVER () THEN 46 ELSE 1 END AS near FROM %6$s LIMIT 20000) AS s WHERE t > 0 AND e > t AND 0.004 * e > near) AS s',
			CASE WHEN rate IS NOT NULL THEN 'abs(t - (e - e / f)) <= near' ELSE 'abs(t - (e - t) * round(200 * t / (e - t)) / 200) <= near' END, CASE WHEN rate IS NOT NULL THEN 'abs(t - e * (f - 1)) <= near' ELSE 'abs(t - e * round(200 * t / e) / 200) <= near' END, e, tax, coalesce(rate, '1'), m ->> 'source'));
		IF (seen ->> 'n')::int >= 5 AND (seen ->> 'inside')::numeric >= 0.9 AND (seen ->> 'on_top')::numeric <= 0.6 THEN
			RETURN jsonb_build_object('expression', less, 'why', format('%s is the tax in it, not on top of it, in %s %% of lines', tax, round(100 * (seen ->> 'inside')::numeric)));
		ELSIF (seen ->> 'n')::int >= 5 AND (seen ->> 'on_top')::numeric >= 0.9 THEN
			RETURN NULL;
		END IF;
	END IF;
	-- no tax stands beside it, but most lines exceed quantity x price by the same round rate
	IF tax IS NULL AND rate IS NULL AND chosen ->> 'kind' = 'total' THEN
		SELECT a ->> 'expression' INTO prices FROM jsonb_array_elements(given -> 'amounts') a WHERE a ->> 'kind' = 'product' AND a -> 'col' <> chosen -> 'col' AND a ->> 'gross' = 'false' ORDER BY (a ->> 'prior')::numeric DESC LIMIT 1;
		seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''rate'', r, ''n'', n, ''all'', every) FROM (SELECT round(e / p, 3) AS r, count(*) AS n, sum(count(*)) OVER () AS every FROM (SELECT (%s)::numeric AS e, (%s)::numeric AS p FROM %s LIMIT 20000) AS s WHERE e > 0 AND p >= 5 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1) AS t', e, prices, m ->> 'source'));
		IF (seen ->> 'n')::numeric >= greatest(10, 0.7 * (seen ->> 'all')::numeric) AND (seen ->> 'rate')::numeric BETWEEN 1.03 AND 1.3 AND (seen ->> 'rate')::numeric * 200 % 1 = 0 THEN
			RETURN jsonb_build_object('expression', format('%s / %s', bare, trim_scale((seen ->> 'rate')::numeric)), 'why', format('it is %s times quantity x price in %s %% of lines', trim_scale((seen ->> 'rate')::numeric), round(100 * (seen ->> 'n')::numeric / (seen ->> 'all')::numeric)));
		END IF;
	END IF;
	IF jsonb_array_length(heads) = 0 OR (m ->> 'whole')::boolean IS NOT TRUE OR m ->> 'o' IS NULL OR m ->> 'l' IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT agentcrm.propose_number('o', c) INTO head_tax FROM unnest(columns) c WHERE c.rel = (m ->> 'o')::oid AND c.words && '{tax}' AND NOT c.words && '{net,gross,rate,qty}' AND c.family IN ('int', 'num', 'float', 'money') AND c.plain !~ 'code|class|percent|pct|rate|(^|_)id$|_id$|number|exempt|type|ship|freight|discount|before|incl|versand|porto'
		AND (m -> 'profiles' -> 'o' -> c.col ->> 'max')::numeric > 0 ORDER BY c.words && '{total}' DESC, c.attnum LIMIT 1;
	seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*), ''taxed'', count(*) FILTER (WHERE t > 0)) || %s FROM (SELECT sum((%s)::numeric) AS e, sum((%s)::numeric) AS x, min((%s)::numeric) AS t, %s FROM %s GROUP BY %s) AS s',
		(SELECT string_agg(format('jsonb_build_object(''e%1$s'', count(*) FILTER (WHERE %2$s), ''top%1$s'', count(*) FILTER (WHERE t > 0 AND (%3$s)), ''x%1$s'', count(*) FILTER (WHERE x < e AND (%4$s)), ''xt%1$s'', count(*) FILTER (WHERE x < e AND (%5$s)))', j, format(near, 'e', 'h' || j), format(near, 'e + t', 'h' || j), format(near, 'x', 'h' || j), format(near, 'x + t', 'h' || j)), ' || ') FROM generate_series(1, jsonb_array_length(heads)) j),
		e, CASE WHEN rate IS NOT NULL THEN format('%s / %s', bare, rate) ELSE e END, coalesce(head_tax, 'NULL'), (SELECT string_agg(format('min((%s)::numeric) AS h%s', h ->> 'expression', j), ', ') FROM jsonb_array_elements(heads) WITH ORDINALITY AS x(h, j)),
		m ->> 'source', agentcrm.sql_columns('o', agentcrm.part_array(m, 'okey'))));
	IF (seen ->> 'n')::int < 5 OR (SELECT bool_or((seen ->> ('e' || j))::numeric >= 0.3 * (seen ->> 'n')::numeric) FROM jsonb_array_elements(heads) WITH ORDINALITY AS x(h, j) WHERE (h ->> 'weight')::numeric = 2) THEN
		RETURN NULL;	-- it is the order's net total
	END IF;
	SELECT h ->> 'expression' INTO whole FROM jsonb_array_elements(heads) WITH ORDINALITY AS x(h, j) WHERE (seen ->> ('e' || j))::numeric >= 0.7 * (seen ->> 'n')::numeric ORDER BY (seen ->> ('e' || j))::numeric DESC, j LIMIT 1;
	IF rate IS NOT NULL AND (SELECT bool_or((seen ->> ('x' || j))::numeric >= 0.7 * (seen ->> 'n')::numeric AND (h ->> 'weight')::numeric = 2 OR (seen ->> ('xt' || j))::numeric >= 0.7 * (seen ->> 'n')::numeric) FROM jsonb_array_elements(heads) WITH ORDINALITY AS x(h, j)) THEN
		RETURN jsonb_build_object('expression', coalesce(less, format('%s / %s', bare, rate)), 'why', 'the order''s totals have the tax in it');
	END IF;
	-- the order has tax, and no total that this tax is on top of
	IF whole IS NOT NULL AND (seen ->> 'taxed')::numeric >= 0.5 * (seen ->> 'n')::numeric AND (SELECT bool_and((seen ->> ('top' || j))::numeric <= 0.1 * (seen ->> 'n')::numeric) FROM generate_series(1, jsonb_array_length(heads)) j) THEN
		RETURN jsonb_build_object('expression', coalesce(less, format('%s * (1 - coalesce(%s, 0) / nullif(%s, 0))', bare, head_tax, whole)), 'why', format('%s is the sum of the lines, and %s is in it', whole, head_tax));
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.propose_untaxed(jsonb, agentcrm.propose_column[], jsonb, jsonb) IS 'Internal: an amount without the tax that is in it, and how that is known';

-- A discount of the whole order, where the order's totals say that it comes off the sum of the lines.
CREATE FUNCTION agentcrm.propose_head_discount(m jsonb, columns agentcrm.propose_column[], e text, heads jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	off text;
	seen jsonb;
	bare text := CASE WHEN e ~ '^[a-z]\.("[^"]*"|\w+)(::numeric)?$' THEN e ELSE '(' || e || ')' END;
BEGIN
	IF m ->> 'source' IS NULL OR jsonb_array_length(heads) = 0 OR (m ->> 'whole')::boolean IS NOT TRUE OR m ->> 'o' IS NULL OR m ->> 'l' IS NULL THEN
		RETURN NULL;
	END IF;
	FOR d IN SELECT agentcrm.propose_number('o', c) AS expression, (m -> 'profiles' -> 'o' -> c.col ->> 'max')::numeric AS most FROM unnest(columns) c
		WHERE c.rel = (m ->> 'o')::oid AND c.words && '{discount}' AND NOT c.words && '{qty,tax}' AND c.family IN ('int', 'num', 'float') AND c.plain !~ '_id$|type|code|amount|amt|total|value|wert|betrag|montant|importe|after|net|ship'
			AND (m -> 'profiles' -> 'o' -> c.col ->> 'max')::numeric BETWEEN 0.001 AND 100 ORDER BY c.attnum LIMIT 2
	LOOP
		off := format(CASE WHEN d.most <= 1 THEN '(1 - coalesce(%s, 0))' ELSE '(1 - coalesce(%s, 0) / 100.0)' END, d.expression);
		seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*), ''off'', count(*) FILTER (WHERE %s), ''as_is'', count(*) FILTER (WHERE %s)) FROM (SELECT sum((%s)::numeric) AS e, min((%s)::numeric) AS f, ARRAY[%s] AS h FROM %s WHERE coalesce(%s, 0) > 0 GROUP BY %s) AS s',
			'(SELECT bool_or(abs(e * f - x) <= 0.011 + 0.0005 * abs(x)) FROM unnest(h) x)', '(SELECT bool_or(abs(e - x) <= 0.011 + 0.0005 * abs(x)) FROM unnest(h) x WHERE x <> e * f)', e, off,
			(SELECT string_agg(format('min((%s)::numeric)', h ->> 'expression'), ', ') FROM jsonb_array_elements(heads) h WHERE (h ->> 'weight')::numeric = 2 OR jsonb_array_length(heads) = 1), m ->> 'source', d.expression, agentcrm.sql_columns('o', agentcrm.part_array(m, 'okey'))));
		IF (seen ->> 'n')::int >= 5 AND (seen ->> 'off')::numeric >= 0.9 * (seen ->> 'n')::numeric THEN
			RETURN format('%s * %s', bare, off);
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.propose_head_discount(jsonb, agentcrm.propose_column[], text, jsonb) IS 'Internal: an amount less the percentage that comes off the whole order';

-- Whether a line's discount is in its total already: then the same product costs less where there is one.
CREATE FUNCTION agentcrm.propose_discounted(m jsonb, columns agentcrm.propose_column[], chosen jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d agentcrm.propose_column;
	seen jsonb;
BEGIN
	SELECT c.* INTO d FROM unnest(columns) c WHERE c.rel = (m ->> 'l')::oid AND c.words && '{discount}' AND NOT c.words && '{net,gross,qty,tax}' AND c.family IN ('int', 'num', 'float') AND c.plain !~ 'percent|pct|prozent|rate|type|code|_id$|unit|discounted|after|before|less'
		AND (m -> 'profiles' -> 'l' -> c.col ->> 'max')::numeric > 0 AND (c.words && '{base}') = (chosen ->> 'base')::boolean ORDER BY c.attnum LIMIT 1;
	IF d.col IS NULL OR chosen ->> 'kind' <> 'total' OR m ->> 'quantity' = '1' OR m ->> 'product_column' IS NULL OR m ->> 'source' IS NULL THEN
		RETURN NULL;
	END IF;
	seen := agentcrm.propose_ask(format('WITH s AS (SELECT %s AS p, (%s)::numeric AS a, (%s)::numeric AS q, coalesce(%s, 0) AS d FROM %s LIMIT 20000), f AS (SELECT p, avg(a / q) AS u FROM s WHERE d = 0 AND q > 0 AND a > 0 GROUP BY p), r AS (SELECT a / q / u AS ratio, (a - d) / a AS rest FROM s JOIN f USING (p) WHERE d > 0 AND q > 0 AND a > d)
		SELECT jsonb_build_object(''n'', count(*), ''ratio'', percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio), ''rest'', percentile_cont(0.5) WITHIN GROUP (ORDER BY rest)) FROM r', m ->> 'product_column', chosen ->> 'expression', m ->> 'quantity', agentcrm.propose_number('l', d), m ->> 'source'));
	IF (seen ->> 'n')::int >= 5 AND abs((seen ->> 'ratio')::numeric - 1) < 0.3 * (1 - (seen ->> 'rest')::numeric) THEN
		RETURN format('%s - coalesce(%s, 0)', chosen ->> 'expression', agentcrm.propose_number('l', d));
	END IF;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.propose_discounted(jsonb, agentcrm.propose_column[], jsonb) IS 'Internal: a total less its discount, where that is still in it';

/*
 * What the rate does to amounts, by the prices of the same products at another
 * rate: nothing (they are in base currency), or they are to be divided or
 * multiplied by it.  Where each client has one currency and all the same figures,
 * these may be a price list read in either: theirs.  NULL where too little tells.
 */
CREATE FUNCTION agentcrm.propose_rate_use(m jsonb, rate text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen jsonb;
BEGIN
	IF m ->> 'source' IS NULL OR m ->> 'product_column' IS NULL THEN
		RETURN NULL;
	END IF;
	seen := agentcrm.propose_ask(format('WITH s AS (SELECT %s AS p, (%s)::numeric AS a, (%s)::numeric AS q, (%s)::numeric AS r, %s AS c FROM %s LIMIT 20000), f AS (SELECT p, percentile_cont(0.5) WITHIN GROUP (ORDER BY a / q) AS u FROM s WHERE r = 1 AND q > 0 AND a > 0 GROUP BY p), d AS (SELECT ln(a / q / f.u::numeric) AS x, ln(r) AS r FROM s JOIN f USING (p) WHERE s.r <> 1 AND s.r > 0 AND q > 0 AND a > 0)
		SELECT jsonb_build_object(''theirs'', (SELECT count(*) FILTER (WHERE b) >= 3 AND NOT bool_or(a AND b) FROM (SELECT bool_or(r = 1) AS a, bool_or(r <> 1) AS b FROM s WHERE c IS NOT NULL GROUP BY c) AS y), ''n'', CASE WHEN (SELECT count(DISTINCT round(u::numeric, 4)) FROM f) >= 3 THEN count(*) ELSE 0 END, ''size'', percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(r)), ''as_is'', percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(x)), ''divide'', percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(x - r)), ''multiply'', percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(x + r))) FROM d',
		m ->> 'product_column', m ->> 'amount', m ->> 'quantity', rate, coalesce(nullif(m ->> 'client_link', ''), m ->> 'client_expression', 'NULL'), m ->> 'source'));
	RETURN (SELECT CASE WHEN (seen ->> 'n')::int >= 5 AND (seen ->> 'size')::numeric > 0.02 AND (array_agg(d ORDER BY d))[1] < 0.4 * (seen ->> 'size')::numeric THEN CASE WHEN (array_agg(k ORDER BY d))[1] = 'as_is' AND (seen ->> 'theirs')::boolean THEN 'theirs' ELSE (array_agg(k ORDER BY d))[1] END END
		FROM (SELECT k, (seen ->> k)::numeric AS d FROM unnest('{as_is,divide,multiply}'::text[]) k) AS u);
END $$;
COMMENT ON FUNCTION agentcrm.propose_rate_use(jsonb, text) IS 'Internal: as_is, divide, multiply, or theirs (as it is, in each client''s one currency), by the prices of the same products';

/*
 * One read of the sample settles it: an amount that agrees with quantity x price
 * on the lines, and whose sum agrees with the header's net total, is right; one
 * that exceeds quantity x price by the tax is not net.
 */
CREATE FUNCTION agentcrm.propose_amount(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- a subtotal that says it holds the tax is not net
	found jsonb := agentcrm.propose_amounts(m, ARRAY(SELECT (c.rel, c.attnum, c.col, c.plain, c.stem, c.family, c.type, CASE WHEN c.words @> '{net,gross}' AND c.plain !~ '(^|_)(net|netto|ht|excl|untax|hors|sin|ohne)(_|$)' THEN array_remove(c.words, 'net') ELSE c.words END, c.required, c.in_key, c.is_key, c.preset)::agentcrm.propose_column FROM unnest(columns) c ORDER BY c.rel, c.attnum));
	amounts jsonb := found -> 'amounts';
	heads jsonb := found -> 'heads';
	n int := jsonb_array_length(found -> 'amounts');
	near text := 'abs(%1$s - %2$s) <= 0.011 + 0.0005 * abs(%2$s)';
	seen jsonb := '{}';
	sums jsonb := '{}';
	e record;
	rank int := 0;
	evidence text;
	chosen jsonb;
	whole jsonb;
	kept numeric;
	expression text;
	less jsonb;
BEGIN
	IF n = 0 THEN
		RETURN agentcrm.propose_add(m || '{"amount_score": -5, "amount": "0"}', '{"amount": "0"}', agentcrm.propose_role('amount', coalesce(m ->> 'l', m ->> 'o')::oid, '0', -5, 'no column looks like an amount'));
	END IF;
	IF m ->> 'source' IS NOT NULL THEN
		seen := coalesce(agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*)) || %s FROM (SELECT %s FROM %s LIMIT 20000) AS s',
			(SELECT string_agg(format('jsonb_build_object(''e%1$s'', jsonb_build_object(''some'', count(*) FILTER (WHERE e%1$s <> 0), ''size'', avg(abs(e%1$s)), ''least'', min(abs(e%1$s)) FILTER (WHERE e%1$s <> 0), ''whole'', bool_and(e%1$s = trunc(e%1$s)) %2$s))', i,
					(SELECT string_agg(format(', ''as%s'', count(*) FILTER (WHERE %s), ''over%1$s'', count(*) FILTER (WHERE %3$s > e%1$s * 1.01)', j, format(near, 'e' || i, 'e' || j), 'e' || i), '') FROM generate_series(1, n) j
						WHERE j <> i AND amounts -> (j - 1) ->> 'kind' = 'product' AND amounts -> (j - 1) -> 'col' <> amounts -> (i - 1) -> 'col')), ' || ') FROM generate_series(1, n) i),
			(SELECT string_agg(format('(%s)::numeric AS e%s', a ->> 'expression', i), ', ') FROM jsonb_array_elements(amounts) WITH ORDINALITY AS x(a, i)), m ->> 'source')), '{}');
		IF (m ->> 'whole')::boolean AND jsonb_array_length(heads) > 0 THEN
			sums := coalesce(agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*)) || %s FROM (SELECT %s, %s FROM %s GROUP BY %s) AS s',
				(SELECT string_agg(format('jsonb_build_object(''h%1$s_%2$s'', count(*) FILTER (WHERE %3$s))', j, i, concat_ws(' OR ', format(near, 'e' || i, 'h' || j), CASE WHEN found ->> 'taxed' IS NOT NULL THEN format(near, 'g' || i, 'h' || j) END)), ' || ') FROM generate_series(1, n) i, generate_series(1, jsonb_array_length(heads)) j),
				(SELECT string_agg(format('sum((%s)::numeric) AS e%s', a ->> 'expression', i) || CASE WHEN found ->> 'taxed' IS NOT NULL THEN format(', sum((%s) * %s) AS g%s', a ->> 'expression', found ->> 'taxed', i) ELSE '' END, ', ') FROM jsonb_array_elements(amounts) WITH ORDINALITY AS x(a, i)),
				(SELECT string_agg(format('min((%s)::numeric) AS h%s', h ->> 'expression', j), ', ') FROM jsonb_array_elements(heads) WITH ORDINALITY AS x(h, j)), m ->> 'source', agentcrm.sql_columns('o', agentcrm.part_array(m, 'okey')))), '{}');
		END IF;
	END IF;
	FOR e IN
		SELECT a, i, fit.head, fit.share, line.agrees, line.exceeds, (a ->> 'prior')::numeric + coalesce(fit.points, 0) + CASE WHEN a ->> 'kind' = 'total' THEN 1.2 * coalesce(line.agrees, 0) + 0.4 * coalesce(line.agrees_less, 0) - CASE WHEN line.exceeds > 0.5 AND a ->> 'net' = 'false' AND coalesce(fit.points, 0) < 1.5 AND found ->> 'tax' IS NOT NULL THEN 2 ELSE 0 END ELSE 0 END
			- CASE WHEN a ->> 'kind' = 'total' AND coalesce(line.agrees, 0) < 0.2 AND fit.share < 0.1 AND (SELECT max(value::numeric) FROM jsonb_each_text(sums) WHERE key ~ '^h') > 0.9 * (sums ->> 'n')::numeric THEN 2 ELSE 0 END	-- the order's total is of another
			- CASE WHEN (seen ->> 'n')::numeric > 0 AND coalesce((seen -> ('e' || i) ->> 'some')::numeric, 0) < 0.5 * (SELECT max((seen -> ('e' || j) ->> 'some')::numeric) FROM generate_series(1, n) j) THEN 4 ELSE 0 END AS points
		FROM jsonb_array_elements(amounts) WITH ORDINALITY AS x(a, i)
		LEFT JOIN LATERAL (SELECT heads -> (j - 1) ->> 'col' AS head, s.share, s.share * (heads -> (j - 1) ->> 'weight')::numeric AS points
			FROM generate_series(1, jsonb_array_length(heads)) j, LATERAL (SELECT (sums ->> format('h%s_%s', j, i))::numeric / nullif((sums ->> 'n')::numeric, 0) AS share) AS s ORDER BY points DESC NULLS LAST LIMIT 1) AS fit ON true
		LEFT JOIN LATERAL (SELECT max((seen -> ('e' || i) ->> ('as' || j))::numeric) / nullif((seen ->> 'n')::numeric, 0) AS agrees, max((seen -> ('e' || i) ->> ('as' || j))::numeric) FILTER (WHERE amounts -> (j - 1) ->> 'expression' ~ '- coalesce') / nullif((seen ->> 'n')::numeric, 0) AS agrees_less, min((seen -> ('e' || i) ->> ('over' || j))::numeric) / nullif((seen ->> 'n')::numeric, 0) AS exceeds FROM generate_series(1, n) j) AS line ON true
		ORDER BY points DESC, i
	LOOP
		rank := rank + 1;
		evidence := concat_ws('; ', CASE WHEN e.a ->> 'kind' = 'total' THEN 'name' WHEN e.a ->> 'kind' = 'reduced' THEN 'name, less its discount' ELSE 'quantity x price' END || CASE WHEN e.a ->> 'net' = 'true' THEN ' (net)' WHEN e.a ->> 'gross' = 'true' THEN ' (gross)' ELSE '' END,
			CASE WHEN e.a ->> 'kind' = 'total' THEN round(100 * e.agrees) || ' % of lines agree with quantity x price' END, 'its sum is ' || e.head || ' of the order in ' || round(100 * e.share) || ' %');
		IF rank = 1 THEN
			chosen := e.a || jsonb_build_object('i', e.i);
		END IF;
		m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('amount', coalesce(m ->> 'l', m ->> 'o')::oid, e.a ->> 'expression', e.points, evidence, round((seen -> ('e' || e.i) ->> 'size')::numeric, 2)::text, rank));
		IF rank = 1 THEN
			m := m || jsonb_build_object('amount_score', e.points);
		END IF;
		EXIT WHEN rank = 4;
	END LOOP;
	-- a total that agrees with all that was ordered also where some of it was cancelled is not what is left; where discounts
	-- keep it from agreeing elsewhere, it is cut in proportion
	IF m ? 'cancelled' AND chosen ->> 'kind' = 'total' THEN
		SELECT a INTO whole FROM jsonb_array_elements(amounts) WITH ORDINALITY AS x(a, i) WHERE a ->> 'kind' = 'product' ORDER BY (a ->> 'prior')::numeric DESC, i LIMIT 1;
		kept := agentcrm.propose_ask(format('SELECT to_jsonb(avg(CASE WHEN agrees THEN 1 ELSE 0 END)) FROM (SELECT %s AS agrees, %s <> 0 AS less FROM %s) AS s HAVING avg(CASE WHEN agrees THEN 1 ELSE 0 END) FILTER (WHERE less) > 0.5',
			format(near, '(' || (chosen ->> 'expression') || ')::numeric', format('(%s)::numeric', replace(whole ->> 'expression', m ->> 'quantity', m ->> 'ordered_quantity'))), m ->> 'cancelled', m ->> 'source')) #>> '{}';
		IF kept IS NOT NULL THEN
			IF kept < 0.98 THEN
				whole := chosen || jsonb_build_object('expression', format('CASE %1$s WHEN 0 THEN %2$s ELSE %2$s * %3$s / %1$s END', m ->> 'ordered_quantity', chosen ->> 'expression', m ->> 'quantity'));
			END IF;
			chosen := whole || jsonb_build_object('i', chosen -> 'i');
			m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('amount', (m ->> 'l')::oid, whole ->> 'expression', (m ->> 'amount_score')::numeric + 0.5, 'without what was cancelled, which the total holds, too'));
		END IF;
	END IF;
	expression := agentcrm.propose_discounted(m, columns, chosen);
	IF expression IS NOT NULL THEN
		chosen := chosen || jsonb_build_object('expression', expression);
		m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('amount', (m ->> 'l')::oid, expression, (m ->> 'amount_score')::numeric + 0.5, 'its discount comes off: discounted lines have the price that the same products have without'));
	END IF;
	expression := chosen ->> 'expression';
	less := agentcrm.propose_untaxed(m, columns, chosen, found);
	IF less IS NOT NULL OR chosen ->> 'gross' = 'true' THEN
		expression := coalesce(less ->> 'expression', expression);
		m := agentcrm.propose_add(m || jsonb_build_object('gross', chosen ->> 'expression', 'gross_why', coalesce(less ->> 'why', 'its name says that tax is included')), '{}',
			CASE WHEN less IS NULL THEN '[]' ELSE agentcrm.propose_role('amount', coalesce(m ->> 'l', m ->> 'o')::oid, expression, (m ->> 'amount_score')::numeric + 0.5, 'without tax: ' || (less ->> 'why')) END);
	ELSE
		less := to_jsonb(agentcrm.propose_head_discount(m, columns, expression, heads));
		IF less IS NOT NULL THEN
			expression := less #>> '{}';
			m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('amount', (m ->> 'l')::oid, expression, (m ->> 'amount_score')::numeric + 0.5, 'what comes off the whole order is off its net total'));
		END IF;
	END IF;
	-- whole numbers in an integer column, and large ones: cents
	IF chosen ->> 'family' = 'int' AND (chosen ->> 'type' <> 'numeric' OR chosen ->> 'plain' ~ 'cent|minor|kopek') AND (chosen ->> 'plain' ~ 'cent|minor|kopek|ore(_|$)' OR (seen -> ('e' || (chosen ->> 'i')) ->> 'size')::numeric >= 400 AND (seen -> ('e' || (chosen ->> 'i')) ->> 'least')::numeric >= 25) THEN
		m := m || jsonb_build_object('cents', jsonb_build_object('certain', chosen ->> 'plain' ~ 'cent|minor|kopek', 'whole', expression));
		expression := CASE WHEN expression ~ '^[a-z]\.[^ ]+$' THEN expression ELSE '(' || expression || ')' END || ' * 0.01';
		m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('amount', coalesce(m ->> 'l', m ->> 'o')::oid, expression, (m ->> 'amount_score')::numeric, format('cents: whole numbers, %s on average', round((seen -> ('e' || (chosen ->> 'i')) ->> 'size')::numeric))));
	END IF;
	m := m || jsonb_build_object('float', chosen ->> 'family' = 'float', 'amount_base', chosen -> 'base');
	RETURN agentcrm.propose_add(m || jsonb_build_object('amount', expression, 'amounts', amounts, 'lines_seen', seen -> 'n', 'orders_seen', sums -> 'n'), jsonb_build_object('amount', expression));
END $$;
COMMENT ON FUNCTION agentcrm.propose_amount(jsonb, agentcrm.propose_column[]) IS 'Internal: the net amount of a mapping';

-- Lines in units of several sizes: quantities in the unit that the sizes are given in.  Amounts are of the line's own unit.
CREATE FUNCTION agentcrm.propose_units(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u record;
	sizes int;
	size text;
	answers text[];
BEGIN
	SELECT k.cols[1] AS col, k.target AS rel, k.target_cols[1] AS key, t.named, s.col AS size,
		s.plain = 'factor' AND EXISTS (SELECT FROM unnest(columns) x WHERE x.rel = k.target AND x.plain ~ 'uom_type') AS divides INTO u
	FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.target JOIN unnest(columns) s ON s.rel = k.target
	WHERE k.rel = (m ->> 'l')::oid AND cardinality(k.cols) = 1 AND (k.how = 'foreign key' OR k.score >= 0.6) AND t.plain ~ '(^|_)(uoms?|units?|measures?|(mengen)?einheit(en)?|unites?|unidad(es)?|unita|udm|ed_?izm|edinicy?)(_|$)'
		AND s.family IN ('int', 'num', 'float') AND s.plain ~ 'ratio|factor|conver|multipl|coef|koef|faktor|fattore|(base|per|content)_?(qty|quantity|units?)$|^(qty|quantity|units?)_(in|per)_'
	ORDER BY k.how = 'foreign key' DESC, s.plain ~ 'inv' DESC, s.attnum LIMIT 1;
	IF u.col IS NULL OR NOT m ? 'quantity_column' OR m ->> 'source' IS NULL THEN
		RETURN m;
	END IF;
	sizes := (agentcrm.propose_ask(format('SELECT to_jsonb(count(DISTINCT u.%I)) FROM %s JOIN %s AS u ON u.%I = l.%I', u.size, m ->> 'source', u.named, u.key, u.col)) #>> '{}')::int;
	IF sizes IS NULL OR sizes < 2 THEN
		RETURN m;
	END IF;
	size := format('coalesce((SELECT nullif(u.%I, 0)::numeric FROM %s AS u WHERE u.%I = l.%I), 1)', u.size, u.named, u.key, u.col);
	answers := ARRAY[format('%s * %s', m ->> 'quantity', size), format('%s / %s', m ->> 'quantity', size)];
	IF u.divides THEN
		answers := ARRAY[answers[2], answers[1]];
	END IF;
	RETURN agentcrm.propose_add(m || jsonb_build_object('quantity', answers[1], 'units', jsonb_build_object('column', format('l.%I', u.col), 'n', sizes, 'table', u.named, 'others', ARRAY[answers[2], m ->> 'quantity'])),
		jsonb_build_object('quantity', answers[1], 'watch', coalesce(m -> 'options' -> 'watch', '{}') || jsonb_build_object(u.named, jsonb_build_object('key', ARRAY[u.key],
			'orders', format('SELECT %s FROM %s WHERE %I = ANY ($1)', (SELECT string_agg(quote_ident(k), ', ') FROM unnest(coalesce(agentcrm.part_array(m, 'lkey'), agentcrm.part_array(m, 'okey'))) k), agentcrm.relation_name((m ->> 'l')::oid), u.col)))),
		agentcrm.propose_role('quantity', u.rel, answers[1], 4.6, format('lines in units of %s sizes, which %I of %s gives', sizes, u.size, u.named)));
END $$;
COMMENT ON FUNCTION agentcrm.propose_units(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the quantity of a mapping in one unit';

/*
 * A table of rates: a currency, a day or month, and a number.  The latest rate
 * of the order's currency that is not later than the order counts; a changed
 * rate touches the orders until the next one.
 */
CREATE FUNCTION agentcrm.propose_rates(m jsonb, currency_alias text, currency agentcrm.propose_column, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
	at text := CASE WHEN m ->> 'at' ~ '^[ol]\.' THEN m ->> 'at' END;
	day text := CASE WHEN strpos(m ->> 'at', currency_alias || '.') = 1 THEN 'd.' || substr(m ->> 'at', 3) END;
	owner oid := currency.rel;
	known jsonb;
	home text;
	rate text;
	list text;
BEGIN
	FOR r IN
		SELECT t.rel, t.named, c.col AS code, d.col AS day, n.col AS rate, x.col AS other, n.plain AS rate_plain
		FROM unnest(tables) t JOIN unnest(columns) c ON c.rel = t.rel AND c.family = currency.family JOIN unnest(columns) d ON d.rel = t.rel AND d.family = 'time' JOIN unnest(columns) n ON n.rel = t.rel AND n.family IN ('num', 'float')
			LEFT JOIN unnest(columns) x ON x.rel = t.rel AND x.family = c.family AND x.col <> c.col AND (x.words && '{currency}' OR x.plain ~ '^(from|to|base|target|source|quote)(_|$)')
		WHERE t.barred IS NULL AND t.plain ~ 'rate|kurs|taux|cambio|currenc|exchange|tasso|tipo_cambio|valut|fx' AND t.schema = (SELECT b.schema FROM unnest(tables) b WHERE b.rel = owner) AND t.n_rows > 0
			AND (c.words && '{currency}' OR c.plain ~ '^(from|to|base|target|source|code|iso|ccy)(_|$)') AND c.plain !~ 'type' AND d.plain !~ 'creat|updat|modif|_to$|until|end|expir|bis$' AND (n.words && '{rate,price,total}' OR n.plain ~ 'rate|kurs|factor|value|multipl') AND n.plain !~ 'inverse|buy|ask|high|low'
		ORDER BY d.plain ~ 'valid|from|date|day|month|effective' DESC, n.plain ~ 'rate|kurs' DESC, c.plain ~ 'from|source|ccy|code' DESC, c.attnum, d.attnum, n.attnum LIMIT 8
	LOOP
		EXIT WHEN at IS NULL OR day IS NULL;
		-- which currencies it has, and the one it has not, which is our own
		known := agentcrm.propose_ask(format('SELECT jsonb_build_object(''known'', count(*) FILTER (WHERE k), ''unknown'', count(*) FILTER (WHERE NOT k), ''home'', min(v) FILTER (WHERE NOT k)%s) FROM (SELECT v, EXISTS (SELECT FROM %s AS r WHERE r.%I::text = v%s) AS k FROM (SELECT DISTINCT o.%I::text AS v FROM %s) AS s WHERE v IS NOT NULL) AS u',
			CASE WHEN r.other IS NOT NULL THEN format(', ''pairs'', (SELECT count(DISTINCT %I) FROM %s)', r.other, r.named) ELSE '' END, r.named, r.code, '', currency.col, agentcrm.propose_from(tables, owner, 'o', 60)));
		CONTINUE WHEN known IS NULL OR (known ->> 'known')::int = 0 OR (known ->> 'unknown')::int > 1 OR (known ->> 'pairs')::int > 1;
		home := known ->> 'home';
		rate := format('(SELECT r.%I FROM %s AS r WHERE r.%I = %s.%I AND r.%I <= %s ORDER BY r.%6$I DESC LIMIT 1)', r.rate, r.named, r.code, currency_alias, currency.col, r.day, at);
		IF home IS NOT NULL THEN
			rate := format('CASE %s.%I WHEN %L THEN 1 ELSE %s END', currency_alias, currency.col, home, rate);
		END IF;
		list := (SELECT string_agg(format('d.%I', k), ', ') FROM unnest(coalesce(agentcrm.part_array(m, CASE WHEN currency_alias = 'l' AND m ->> 'o' IS NOT NULL THEN 'lkey' ELSE 'okey' END), '{}')) k);
		RETURN jsonb_build_object('rate', rate, 'table', r.named, 'rel', r.rel, 'watch', jsonb_build_object(r.named, jsonb_build_object('key', ARRAY[r.code, r.day], 'orders',
			format('SELECT %s FROM %s AS d JOIN unnest($1, $2) AS k (code, day) ON d.%I = k.code AND %s >= k.day WHERE NOT EXISTS (SELECT FROM %s AS n WHERE n.%I = k.code AND n.%I > k.day AND n.%7$I <= %4$s)',
				list, agentcrm.relation_name(owner), currency.col, day, r.named, r.code, r.day))));
	END LOOP;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.propose_rates(jsonb, text, agentcrm.propose_column, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: the rate of an order''s currency by a table of rates, and the watch that follows it';

-- Several currencies: divide or multiply by the rate, as its name says; a rate per unit of own currency divides.
CREATE FUNCTION agentcrm.propose_currency(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	currency record;
	rate record;
	amount text := m ->> 'amount';
	bare text := CASE WHEN amount ~ '^[a-z]\.("[^"]*"|\w+)(::numeric)?$' THEN amount ELSE '(' || amount || ')' END;
	by_rate text;
	factor text;
	use text;
	answers text[];
	rates jsonb;
BEGIN
	SELECT c.*, x.alias, m -> 'profiles' -> x.alias -> c.col AS profile INTO currency FROM unnest(columns) c, LATERAL (SELECT CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END AS alias) AS x
	WHERE c.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND c.words && '{currency}' AND NOT c.words && '{rate,total,price}' AND c.family IN ('int', 'text', 'enum', 'uuid') AND (m -> 'profiles' -> x.alias -> c.col ->> 'distinct')::int BETWEEN 2 AND 60 ORDER BY x.alias DESC, c.attnum LIMIT 1;
	-- beside an amount in foreign currency stands the one in our own
	IF currency.col IS NULL OR m ->> 'amount_base' = 'true' OR amount !~ '[*]' AND amount !~ 'frgn|foreign|for_?ex|_fc$|_fx$|_tc$' AND EXISTS (SELECT FROM unnest(columns) f WHERE f.rel = coalesce(m ->> 'l', m ->> 'o')::oid AND f.family IN ('num', 'float') AND f.words && '{total}' AND f.plain ~ 'frgn|foreign|for_?ex|_fc$|_fx$|_tc$|currency_amount|in_currency|multicurrency|devise|valuta') THEN
		RETURN m;
	END IF;
	SELECT c.*, x.alias, m -> 'profiles' -> x.alias -> c.col AS profile INTO rate FROM unnest(columns) c, LATERAL (SELECT CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END AS alias) AS x
	WHERE c.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND c.words && '{rate}' AND c.family IN ('num', 'float', 'int') AND c.plain ~ 'curr|exchang|conver|kurs|^tx$|_tx$|taux|cambio|fx|wahrung|^rate$' AND NOT c.words && '{tax,discount}'
		AND (m -> 'profiles' -> x.alias -> c.col ->> 'distinct')::int > 1 ORDER BY x.alias DESC, c.attnum LIMIT 1;
	m := m || jsonb_build_object('currency', jsonb_build_object('column', format('%s.%I', currency.alias, currency.col), 'n', currency.profile -> 'distinct'));
	IF rate.col IS NOT NULL THEN
		factor := agentcrm.propose_number(rate.alias, (SELECT c FROM unnest(columns) c WHERE c.rel = rate.rel AND c.col = rate.col));
		use := agentcrm.propose_rate_use(m, factor);
		answers := ARRAY[format('%s / coalesce(nullif(%s, 0), 1)', bare, factor), format('%s * coalesce(%s, 1)', bare, factor), amount];
		by_rate := answers[CASE coalesce(nullif(use, 'theirs'), CASE WHEN rate.plain ~ 'exchange|conver|kurs|cambio' THEN 'multiply' ELSE 'divide' END) WHEN 'divide' THEN 1 WHEN 'multiply' THEN 2 ELSE 3 END];
		m := agentcrm.propose_add(m || jsonb_build_object('amount', by_rate, 'currency', (m -> 'currency') || jsonb_build_object('others', array_remove(answers, by_rate), 'how', CASE WHEN use = 'theirs' THEN 'each client has one, and the figures of the others' WHEN use IS NOT NULL THEN 'by the prices of the same products' END)),
			jsonb_build_object('amount', by_rate), agentcrm.propose_role('amount', rate.rel, by_rate, (m ->> 'amount_score')::numeric + 0.5, format('%s different values in %s.%I; rates %s to %s in %I', currency.profile ->> 'distinct', currency.alias, currency.col, rate.profile ->> 'min', rate.profile ->> 'max', rate.col)
				|| CASE use WHEN 'as_is' THEN '; the same products have the same prices at every rate' WHEN 'divide' THEN '; prices of the same products rise with it' WHEN 'multiply' THEN '; prices of the same products fall with it' ELSE '' END));
	ELSE
		rates := agentcrm.propose_rates(m, currency.alias, (SELECT c FROM unnest(columns) c WHERE c.rel = currency.rel AND c.col = currency.col), tables, columns);
		IF rates IS NOT NULL THEN
			use := agentcrm.propose_rate_use(m, rates ->> 'rate');
			answers := ARRAY[format('%s / %s', bare, rates ->> 'rate'), format('%s * %s', bare, rates ->> 'rate'), amount];
			by_rate := answers[CASE use WHEN 'divide' THEN 1 WHEN 'as_is' THEN 3 WHEN 'theirs' THEN 3 ELSE 2 END];	-- it is the rate on the document that says whose figures they are
			m := agentcrm.propose_add(m || jsonb_build_object('amount', by_rate, 'currency', (m -> 'currency') || jsonb_build_object('others', array_remove(answers, by_rate), 'how', CASE WHEN use = 'theirs' THEN 'each client has one, and the figures of the others' WHEN use IS NOT NULL THEN 'by the prices of the same products' END)),
				jsonb_build_object('amount', by_rate, 'watch', coalesce(m -> 'options' -> 'watch', '{}') || (rates -> 'watch')), agentcrm.propose_role('amount', (rates ->> 'rel')::oid, by_rate, (m ->> 'amount_score')::numeric + 0.5,
				format('%s different values in %s.%I; the latest rate of %s by the order''s day', currency.profile ->> 'distinct', currency.alias, currency.col, rates ->> 'table')));
		END IF;
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_currency(jsonb, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: the amount in base currency';
