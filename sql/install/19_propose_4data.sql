-- source/: looking at data without reading much of it: samples of blocks, profiles of columns, overlap of references

/*
 * Reads as the caller, with row_security off: rows that would be hidden make the
 * question fail, and a failed question has no answer.  Cancel and timeout are
 * not caught here, for OTHERS does not mean them.
 */
CREATE FUNCTION agentcrm.propose_ask(query text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET row_security = off SET jit = off SET datestyle = 'ISO, YMD' AS $$
DECLARE
	result jsonb;
BEGIN
	EXECUTE query INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.propose_ask(text) IS 'Internal: answer of a query over the application''s data, NULL when it fails';

-- Some blocks of a large table, always the same ones, or all of a small one.
CREATE FUNCTION agentcrm.propose_sample(tables agentcrm.propose_table[], relation oid, most int) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT named || CASE WHEN pages > 2 * most THEN format(' TABLESAMPLE SYSTEM (%s) REPEATABLE (1)', round(100.0 * most / pages, 6)) ELSE '' END FROM unnest(tables) WHERE rel = relation
$$;
COMMENT ON FUNCTION agentcrm.propose_sample(agentcrm.propose_table[], oid, int) IS 'Internal: FROM item over at most about so many blocks';

-- The sample of a table named as alias, at most 20,000 rows of it.
CREATE FUNCTION agentcrm.propose_from(tables agentcrm.propose_table[], relation oid, alias text, most int DEFAULT 300) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('(SELECT * FROM %s LIMIT %s) AS %s', agentcrm.propose_sample(tables, relation, most), most * 70, alias)
$$;
COMMENT ON FUNCTION agentcrm.propose_from(agentcrm.propose_table[], oid, text, int) IS 'Internal: a sample of a table as an aliased FROM item';

-- Orders of the sample with all their lines where an index finds these, else lines of the sample with their orders.
CREATE FUNCTION agentcrm.propose_joined(tables agentcrm.propose_table[], orders oid, lines oid, order_key text[], line_order_key text[], also text, OUT source text, OUT whole boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o agentcrm.propose_table := (SELECT t FROM unnest(tables) t WHERE rel = orders);
	l agentcrm.propose_table := (SELECT t FROM unnest(tables) t WHERE rel = lines);
	match text := agentcrm.sql_match('l', line_order_key, 'o', order_key) || coalesce(' AND ' || also, '');
BEGIN
	whole := true;
	IF lines IS NULL OR orders IS NULL THEN
		source := agentcrm.propose_from(tables, coalesce(orders, lines), CASE WHEN lines IS NULL THEN 'o' ELSE 'l' END);
	ELSIF l.pages <= 600 AND o.pages <= 600 THEN
		source := format('%s AS o JOIN %s AS l ON %s', o.named, l.named, match);
	ELSIF agentcrm.has_index(lines, line_order_key, false) THEN
		source := format('(SELECT * FROM %s LIMIT 3000) AS o JOIN LATERAL (SELECT * FROM %s AS l WHERE %s LIMIT 200) AS l ON true', agentcrm.propose_sample(tables, orders, 60), l.named, match);
	ELSE
		whole := false;
		source := format('(SELECT * FROM %s LIMIT 3000) AS l JOIN LATERAL (SELECT * FROM %s AS o WHERE %s LIMIT 1) AS o ON true', agentcrm.propose_sample(tables, lines, 60), o.named, match);
		IF o.pages > 600 AND NOT agentcrm.has_index(orders, order_key, false) THEN
			source := NULL;
		END IF;
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.propose_joined(agentcrm.propose_table[], oid, oid, text[], text[], text) IS 'Internal: FROM of a sample of orders and lines; whole says whether orders come with all their lines';

-- Columns, those that are texts but hold numbers as numbers: connectors and old systems keep quantities and money so.
CREATE FUNCTION agentcrm.propose_texts(tables agentcrm.propose_table[], columns agentcrm.propose_column[], relations oid[]) RETURNS agentcrm.propose_column[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation oid;
	seen jsonb;
BEGIN
	FOREACH relation IN ARRAY array_remove(relations, NULL) LOOP
		seen := agentcrm.propose_ask((SELECT format('SELECT %s FROM %s', string_agg(format('jsonb_build_object(%1$L, bool_and(%2$I ~ ''^\s*-?\d+(\.\d+)?\s*$''))', c.attnum, c.col), ' || '), agentcrm.propose_from(tables, relation, 's', 30))
			FROM unnest(columns) c WHERE c.rel = relation AND c.family = 'text' AND c.words && '{qty,price,total,net,gross,discount,tax}' AND NOT c.is_key AND c.plain !~ 'currency|code|type|name|desc|note|text|status|unit$|uom|(^|_)(id|no|nr|num|number|class|key|ref|by)$'));
		IF seen IS NOT NULL THEN
			columns := ARRAY(SELECT CASE WHEN c.rel = relation AND seen ->> c.attnum::text = 'true' THEN (c.rel, c.attnum, c.col, c.plain, c.stem, 'num', c.type, c.words, c.required, c.in_key, c.is_key, c.preset)::agentcrm.propose_column ELSE c END FROM unnest(columns) c ORDER BY c.rel, c.attnum);
		END IF;
	END LOOP;
	RETURN columns;
END $$;
COMMENT ON FUNCTION agentcrm.propose_texts(agentcrm.propose_table[], agentcrm.propose_column[], oid[]) IS 'Internal: columns, texts that hold numbers as numbers';

CREATE FUNCTION agentcrm.propose_profile(tables agentcrm.propose_table[], columns agentcrm.propose_column[], relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(agentcrm.propose_ask((
		SELECT format('SELECT jsonb_build_object(''n'', count(*))%s FROM %s', string_agg(format(' || jsonb_build_object(%L, jsonb_build_object(''filled'', count(%2$I), ''distinct'', count(DISTINCT %2$I)%3$s)', c.col, c.col,
			CASE WHEN c.family IN ('int', 'num', 'float') THEN format(', ''min'', min(%1$s), ''max'', max(%1$s), ''size'', avg(abs(%1$s)), ''whole'', bool_and((%1$s)::numeric = trunc((%1$s)::numeric)), ''one'', count(*) FILTER (WHERE %1$s = 1)', quote_ident(c.col) || CASE WHEN c.family = 'num' AND c.type <> 'numeric' THEN '::numeric' ELSE '' END)
				WHEN c.family = 'time' THEN format(', ''min'', min(%1$I)::text, ''max'', max(%1$I)::text', c.col)
				WHEN c.family = 'text' THEN format(', ''sample'', left(min(%1$I), 60), ''top'', left(max(%1$I), 60), ''long'', max(length(%1$I))', c.col) ELSE '' END) || ')', '' ORDER BY c.attnum),
			agentcrm.propose_from(tables, relation, 's', 60))
		FROM unnest(columns) c WHERE c.rel = relation AND c.family IN ('int', 'num', 'float', 'time', 'text', 'enum', 'bool', 'uuid'))), '{"n": 0}');
END $$;
COMMENT ON FUNCTION agentcrm.propose_profile(agentcrm.propose_table[], agentcrm.propose_column[], oid) IS 'Internal: per column of a sample: values, distinct values, lowest, highest';

-- Tables that declare no key: what tells their rows apart, if that is one of the first columns, or the first few together.
CREATE FUNCTION agentcrm.propose_found_keys(tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS agentcrm.propose_table[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t agentcrm.propose_table;
	names text[];
	found text[];
	seen jsonb;
	large name[] := ARRAY(SELECT schema FROM unnest(tables) GROUP BY schema HAVING count(*) > 300);
BEGIN
	FOR i IN 1 .. cardinality(tables) LOOP
		t := tables[i];
		CONTINUE WHEN t.key IS NOT NULL OR t.barred IS NOT NULL OR t.pages NOT BETWEEN 1 AND 1000 OR t.words = '{}' OR t.schema = ANY (large);
		SELECT array_agg(c.col ORDER BY c.attnum) INTO names FROM (SELECT * FROM unnest(columns) k WHERE k.rel = t.rel AND k.family IN ('int', 'text', 'uuid') AND NOT k.words && '{qty,price,total}' ORDER BY k.attnum LIMIT 5) AS c;
		CONTINUE WHEN names IS NULL;
		seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*))%s%s FROM %s', (SELECT string_agg(format(' || jsonb_build_object(%L, count(DISTINCT %I))', 'one' || j, names[j]), '') FROM generate_series(1, cardinality(names)) j),
			(SELECT coalesce(string_agg(format(' || jsonb_build_object(%L, count(DISTINCT (%s)))', 'all' || j, (SELECT string_agg(quote_ident(names[x]), ', ') FROM generate_series(1, j) x)), ''), '') FROM generate_series(2, least(cardinality(names), 4)) j), t.named));
		CONTINUE WHEN (seen ->> 'n')::bigint < 2;
		SELECT ARRAY[names[j]] INTO found FROM generate_series(1, cardinality(names)) j WHERE seen -> ('one' || j) = seen -> 'n' ORDER BY j LIMIT 1;
		IF found IS NULL THEN
			SELECT names[1:j] INTO found FROM generate_series(2, least(cardinality(names), 4)) j WHERE seen -> ('all' || j) = seen -> 'n' ORDER BY j LIMIT 1;
		END IF;
		tables[i].key := found;
	END LOOP;
	RETURN tables;
END $$;
COMMENT ON FUNCTION agentcrm.propose_found_keys(agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: tables, those without a key with what is one by their rows';

/*
 * Lines of several kinds of documents in one table, the kind in a column beside
 * the reference (itemable_type, itemable_id): whose rows lead to a table.
 */
CREATE FUNCTION agentcrm.propose_kind_of_line(tables agentcrm.propose_table[], columns agentcrm.propose_column[], lines oid, reference text, target oid, key text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := (SELECT t.col FROM unnest(columns) c JOIN unnest(columns) t ON t.rel = c.rel AND t.family IN ('text', 'enum') AND t.plain = regexp_replace(c.plain, '_id$', '_type') WHERE c.rel = lines AND c.col = reference AND c.plain ~ '_id$');
	value text;
BEGIN
	IF kind IS NULL THEN
		RETURN NULL;
	END IF;
	value := agentcrm.propose_ask(format('SELECT to_jsonb(min(v)) FROM (SELECT l.%1$I::text AS v FROM %2$s GROUP BY 1 HAVING avg(CASE WHEN EXISTS (SELECT FROM %3$s AS o WHERE o.%4$I = l.%5$I) THEN 1 ELSE 0 END) >= 0.9 ORDER BY agentcrm.propose_root(agentcrm.propose_plain(l.%1$I::text)) = %6$L DESC LIMIT 1) AS s',
		kind, agentcrm.propose_from(tables, lines, 'l', 60), agentcrm.relation_name(target), key, reference, (SELECT agentcrm.propose_root(t.plain) FROM unnest(tables) t WHERE t.rel = target))) #>> '{}';
	RETURN format('l.%I = %L', kind, value);
END $$;
COMMENT ON FUNCTION agentcrm.propose_kind_of_line(agentcrm.propose_table[], agentcrm.propose_column[], oid, text, oid, text) IS 'Internal: the condition that a line belongs to documents of a table';

/*
 * Lines of several kinds of documents whose keys come from one sequence: what a
 * line refers to is in one table of documents, or in one of the others, never in two.
 */
CREATE FUNCTION agentcrm.propose_shared(tables agentcrm.propose_table[], columns agentcrm.propose_column[], lines text, reference text, target oid, key text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	others text[];
	taken text;
	seen jsonb;
BEGIN
	SELECT array_agg(format('EXISTS (SELECT FROM %s AS d WHERE d.%I = v.v)', t.named, t.key[1]) ORDER BY t.rel), string_agg(format('(SELECT count(*) FROM %s)', t.named), ', ' ORDER BY t.rel) INTO others, taken
	FROM (SELECT t.* FROM unnest(tables) t JOIN unnest(tables) o ON o.rel = target AND o.schema = t.schema JOIN unnest(columns) f ON f.rel = t.rel AND f.is_key JOIN unnest(columns) g ON g.rel = o.rel AND g.is_key AND g.family = f.family
		WHERE t.rel <> target AND t.n_rows > 0 AND t.pages <= 3000 AND t.named <> lines AND NOT t.words && '{client,client2,user,rep,product,line,archive}' AND t.rel IN (SELECT c.rel FROM unnest(columns) c WHERE c.family = 'time') ORDER BY cardinality(t.words) DESC, t.rel LIMIT 12) AS t;
	IF others IS NULL THEN
		RETURN false;
	END IF;
	seen := agentcrm.propose_ask(format('WITH v AS MATERIALIZED (SELECT DISTINCT %1$I AS v FROM %2$s WHERE %1$I IS NOT NULL), h AS MATERIALIZED (SELECT EXISTS (SELECT FROM %3$s AS o WHERE o.%4$I = v.v) AS o, ARRAY[%5$s] AS d FROM v),
			k AS (SELECT array_agg(i) AS kept FROM (SELECT i FROM h, unnest(h.d) WITH ORDINALITY AS u(there, i) GROUP BY i HAVING count(*) FILTER (WHERE there AND o) = 0 AND count(*) FILTER (WHERE there) >= 0.7 * (ARRAY[%6$s])[i] AND bool_or(there)) AS s)
		SELECT to_jsonb(count(*) FILTER (WHERE o) >= 0.7 * (SELECT count(*) FROM %3$s) AND count(*) FILTER (WHERE NOT o AND NOT EXISTS (SELECT FROM unnest(k.kept) i WHERE h.d[i])) <= 0.02 * count(*)) FROM h, k GROUP BY kept',
		reference, lines, agentcrm.relation_name(target), key, array_to_string(others, ', '), taken));
	RETURN coalesce(seen = 'true', false);
END $$;
COMMENT ON FUNCTION agentcrm.propose_shared(agentcrm.propose_table[], agentcrm.propose_column[], text, text, oid, text) IS 'Internal: whether lines belong to documents of several tables with keys from one sequence';

/*
 * An order names an entity of whatever kind; those of one kind are the rows of the
 * table of clients, key by key: then it leads there.
 */
CREATE FUNCTION agentcrm.propose_subtypes(tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS agentcrm.propose_link[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found agentcrm.propose_link[] := '{}';
	x record;
BEGIN
	FOR x IN
		SELECT * FROM (SELECT d.*, row_number() OVER (PARTITION BY d.schema ORDER BY d.super, d.rel, d.kind) AS of_schema FROM (
		SELECT DISTINCT s.schema, s.rel AS super, s.named, s.key[1] AS key, y.col AS kind, c.rel, c.named AS clients, c.key[1] AS client_key
		FROM unnest(tables) s JOIN unnest(columns) y ON y.rel = s.rel AND y.words && '{type}' AND y.family IN ('text', 'enum', 'int') JOIN unnest(tables) c ON c.schema = s.schema AND c.rel <> s.rel AND c.words && '{client}' AND NOT c.words && '{other,order,invoice,line,rep}' AND c.barred IS NULL AND cardinality(c.key) = 1 AND c.n_rows > 0
			JOIN unnest(columns) f ON f.rel = s.rel AND f.is_key JOIN unnest(columns) g ON g.rel = c.rel AND g.is_key AND g.family = f.family
		WHERE s.words && '{client2}' AND NOT s.words && '{client,order,invoice,line,product}' AND cardinality(s.key) = 1 AND s.pages <= 3000 AND c.pages <= 3000
			AND EXISTS (SELECT FROM unnest(links) k JOIN unnest(tables) o ON o.rel = k.rel WHERE k.target = s.rel AND k.how <> 'foreign key' AND o.words && '{order,invoice,doc}' AND o.barred IS NULL)) AS d) AS p WHERE of_schema <= 6 ORDER BY super, rel, kind
	LOOP
		CONTINUE WHEN agentcrm.propose_ask(format('SELECT to_jsonb(count(*) >= 2 AND bool_or(n = there AND n = (SELECT count(*) FROM %3$s))) FROM (SELECT count(*) AS n, count(*) FILTER (WHERE EXISTS (SELECT FROM %3$s AS c WHERE c.%4$I = s.%2$I)) AS there FROM %1$s AS s GROUP BY s.%5$I) AS k',
			x.named, x.key, x.clients, x.client_key, x.kind)) IS DISTINCT FROM 'true';
		found := found || ARRAY(SELECT (k.rel, k.cols, x.rel, ARRAY[x.client_key], 'name', 0.85)::agentcrm.propose_link FROM unnest(links) k JOIN unnest(tables) o ON o.rel = k.rel
			WHERE k.target = x.super AND k.how <> 'foreign key' AND o.words && '{order,invoice,doc,line}' AND o.barred IS NULL AND NOT EXISTS (SELECT FROM unnest(links) y WHERE y.rel = k.rel AND y.cols = k.cols AND y.target = x.rel));
	END LOOP;
	RETURN found;
END $$;
COMMENT ON FUNCTION agentcrm.propose_subtypes(agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: references to clients by way of a table of entities of several kinds';

/*
 * Lines whose header no name leads to (trans_id, parent): a table of documents of
 * clients, each of whose rows has lines, and no line is without.
 */
CREATE FUNCTION agentcrm.propose_unnamed(tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS agentcrm.propose_link[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found agentcrm.propose_link[] := '{}';
	x record;
	seen record;
BEGIN
	FOR x IN
		WITH client AS MATERIALIZED (	-- documents: of a client, at a time
			SELECT t.*, f.family FROM unnest(tables) t JOIN unnest(columns) f ON f.rel = t.rel AND f.is_key AND f.col = t.key[1] WHERE t.barred IS NULL AND cardinality(t.key) = 1 AND t.n_rows > 0 AND NOT t.words && '{client,product,other,line}'
				AND (t.rel IN (SELECT k.rel FROM unnest(links) k JOIN unnest(tables) p ON p.rel = k.target WHERE p.words && '{client,client2}') OR t.rel IN (SELECT c.rel FROM unnest(columns) c WHERE c.words && '{client}'))
				AND t.rel IN (SELECT c.rel FROM unnest(columns) c WHERE c.family = 'time')),
		line AS MATERIALIZED (
			SELECT t.* FROM unnest(tables) t WHERE t.barred IS NULL AND t.n_rows > 0 AND t.pages <= 3000
				AND (t.words && '{line}' AND NOT t.words && '{other}' OR NOT t.words && '{client,client2,user}' AND t.rel IN (SELECT k.rel FROM unnest(links) k JOIN unnest(tables) p ON p.rel = k.target AND p.rel <> k.rel WHERE p.words && '{product}' AND NOT p.words && '{other}'))
				AND t.rel IN (SELECT c.rel FROM unnest(columns) c WHERE c.words && '{qty}') AND t.rel IN (SELECT c.rel FROM unnest(columns) c WHERE c.words && '{price,total}')
				AND NOT EXISTS (SELECT FROM unnest(links) k WHERE k.rel = t.rel AND k.target IN (SELECT rel FROM client WHERE words && '{order,invoice,doc}') AND (k.how = 'foreign key' OR k.score >= 0.65)))
		SELECT * FROM (SELECT l.rel, c.col, c.attnum, o.rel AS target, o.key, l.named, row_number() OVER (PARTITION BY l.schema ORDER BY l.rel, c.attnum, o.rel) AS of_schema FROM line l JOIN unnest(columns) c ON c.rel = l.rel AND c.family IN ('int', 'text', 'uuid') AND NOT c.is_key AND c.plain ~ '(id|no|nr|num|key|ref|number|parent|code)$' AND (NOT c.words && '{qty,price,total,product,client,type,status}' OR EXISTS (SELECT FROM unnest(columns) k WHERE k.rel = c.rel AND k.plain = regexp_replace(c.plain, '_id$', '_type')))
			JOIN client o ON o.schema = l.schema AND o.family = c.family AND o.rel <> l.rel AND o.n_rows BETWEEN l.n_rows / 100 AND l.n_rows * 4 AND o.pages <= 3000 AND (o.words && '{order,invoice,doc}' OR l.words && '{order,invoice,doc}')
		WHERE NOT EXISTS (SELECT FROM unnest(links) k WHERE k.rel = l.rel AND k.cols = ARRAY[c.col] AND (k.target = o.rel OR k.how = 'foreign key'))) AS p
		WHERE of_schema <= 12 ORDER BY rel, attnum, target	-- of each schema, for one must not use up what is another's
	LOOP
		IF agentcrm.propose_kind_of_line(tables, columns, x.rel, x.col, x.target, x.key[1]) IS NOT NULL THEN
			found := found || (x.rel, ARRAY[x.col], x.target, x.key, 'name', 0.9)::agentcrm.propose_link;
			CONTINUE;
		END IF;
		SELECT * INTO seen FROM agentcrm.propose_overlap(tables, (x.rel, ARRAY[x.col], x.target, x.key, 'name', 0)::agentcrm.propose_link);
		IF seen.hits < seen.asked AND seen.hits >= 3 AND agentcrm.propose_shared(tables, columns, x.named, x.col, x.target, x.key[1]) THEN
			found := found || (x.rel, ARRAY[x.col], x.target, x.key, 'shared keys', 0.8)::agentcrm.propose_link;
		END IF;
		CONTINUE WHEN seen.hits < seen.asked OR coalesce(seen.asked, 0) < 3;
		IF agentcrm.propose_ask(format('SELECT to_jsonb(count(DISTINCT %I) >= 0.7 * (SELECT count(*) FROM %s)) FROM %s', x.col, agentcrm.relation_name(x.target), x.named)) = 'true' THEN
			found := found || (x.rel, ARRAY[x.col], x.target, x.key, 'name', 0.7)::agentcrm.propose_link;
		END IF;
	END LOOP;
	RETURN found;
END $$;
COMMENT ON FUNCTION agentcrm.propose_unnamed(agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: references of lines to headers that values alone tell';

-- Of up to 200 values that a reference takes, how many are there.  NULL where that would need a scan of a large table.
CREATE FUNCTION agentcrm.propose_overlap(tables agentcrm.propose_table[], link agentcrm.propose_link, OUT asked bigint, OUT hits bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target agentcrm.propose_table := (SELECT t FROM unnest(tables) t WHERE t.rel = link.target);
	answer jsonb;
BEGIN
	IF target.pages > 300 AND NOT agentcrm.has_index(link.target, link.target_cols, false) THEN
		RETURN;
	END IF;
	answer := agentcrm.propose_ask(format('SELECT jsonb_build_array(count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM %s AS t WHERE %s))) FROM (SELECT DISTINCT %s FROM %s WHERE %s LIMIT 200) AS s',
		target.named, (SELECT string_agg(format('t.%I = s.%I::%s', k.t, k.c, (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = link.target AND a.attname = k.t)), ' AND ') FROM unnest(link.cols, link.target_cols) AS k(c, t)),
		(SELECT string_agg(quote_ident(c), ', ') FROM unnest(link.cols) c), agentcrm.propose_from(tables, link.rel, 'f', 40),
		(SELECT string_agg(quote_ident(c) || ' IS NOT NULL', ' AND ') FROM unnest(link.cols) c)));
	asked := (answer ->> 0)::bigint;
	hits := (answer ->> 1)::bigint;
END $$;
COMMENT ON FUNCTION agentcrm.propose_overlap(agentcrm.propose_table[], agentcrm.propose_link) IS 'Internal: how many values of a reference exist where it leads';
