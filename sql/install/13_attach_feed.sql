-- source/: what attach looks at in a feed of facts (source/feed_kind.c) beside its columns: the rows that it gives for some keys

CREATE FUNCTION agentcrm.feed_of_facts(feed text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM agentcrm.feed_columns() f WHERE f.feed = feed_of_facts.feed AND f.facts)
$$;
COMMENT ON FUNCTION agentcrm.feed_of_facts(text) IS 'Internal: whether a feed gives facts, and not clients, products or reps';

-- How often what cannot be stored occurs, or an example of it; NULL: nowhere.
CREATE FUNCTION agentcrm.attach_try_facts(reader jsonb, what text, part jsonb, columns jsonb, keys text[]) RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_try(reader, what, format(E'WITH q AS MATERIALIZED (%s\n) SELECT pg_catalog.jsonb_build_object(''rows'', count(*), %s, '
		'''not_asked'', min(%s::text) FILTER (WHERE NOT EXISTS (SELECT FROM unnest(%s) AS k (%s) WHERE %s = %s)), '
		'''twice'', (SELECT min(k) FROM (SELECT %s::text FROM q %s GROUP BY %s HAVING count(*) > 1) AS d (k))) FROM q',
		part ->> 'query', f.counts, f.own, a.parameters, a.names, CASE WHEN cardinality(keys) = 1 THEN 'k1' ELSE format('ROW(%s)', a.names) END, f.own,
		f.own, 'WHERE ' || f.owner || ' IS NOT NULL', concat_ws(', ', f.own || '::text', f.owner || '::text')), agentcrm.part_array(part, 'types'), keys)
	FROM (SELECT string_agg('$' || i, ', ' ORDER BY i) AS parameters, string_agg('k' || i, ', ' ORDER BY i) AS names FROM generate_subscripts(keys, 1) i) AS a,
		(SELECT (part ->> 'name') || '_key' AS own, min(c.col) FILTER (WHERE c.need = 'owner') AS owner,
			string_agg(format('%L, count(*) FILTER (WHERE %I IS NULL)', c.col, c.col)
				|| coalesce(format(', %L, min(%I::text) FILTER (WHERE %I::text <> ALL (%L))', 'other ' || c.col, c.col, c.col, string_to_array(c.words, ' ')), ''), ', ') AS counts
		FROM agentcrm.feed_columns() c WHERE c.feed = part ->> 'name' AND columns ? c.col AND (c.need <> 'optional' OR c.words IS NOT NULL)) AS f
$$;
COMMENT ON FUNCTION agentcrm.attach_try_facts(jsonb, text, jsonb, jsonb, text[]) IS 'Internal: counts what a feed of facts gives for some keys';

CREATE FUNCTION agentcrm.attach_check_facts(reader jsonb, what text, part jsonb, columns jsonb, keys text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own text := (part ->> 'name') || '_key';
	counted jsonb;
	c record;
BEGIN
	PERFORM agentcrm.attach_check_own_key(what, part, (columns ->> own)::oid);
	counted := agentcrm.attach_try_facts(reader, what, part, columns, keys);
	IF counted ->> 'not_asked' IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('%s gives %s %s, which was not asked for', what, own, counted ->> 'not_asked'),
			'The query must give just the rows whose keys are in $1, and their keys as they are there.');
	ELSIF counted ->> 'twice' IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('%s gives %s %s more than once%s', what, own, counted ->> 'twice',
			(SELECT ' for one ' || f.col FROM agentcrm.feed_columns() f WHERE f.feed = part ->> 'name' AND f.need = 'owner')),
			'Aggregate the rows, or let the key have more columns.', '21000');
	END IF;
	FOR c IN SELECT * FROM agentcrm.feed_columns() f WHERE f.feed = part ->> 'name' AND columns ? f.col LOOP
		IF c.need = 'required' AND c.target IS NOT NULL AND (counted ->> c.col)::bigint > 0 THEN
			PERFORM agentcrm.attach_refuse(format('%s, column %s: it is NULL in %s of %s rows tried', what, c.col, counted ->> c.col, counted ->> 'rows'),
				'Leave such rows out of the query, or use coalesce.', '22004');
		ELSIF counted ->> ('other ' || c.col) IS NOT NULL THEN
			PERFORM agentcrm.attach_refuse(format('%s, column %s gives "%s"; it must be %s or NULL', what, c.col, counted ->> ('other ' || c.col), replace(c.words, ' ', ', ')),
				format('For example CASE %I WHEN %L THEN %L END AS %I.', c.col, counted ->> ('other ' || c.col), split_part(c.words, ' ', 1), c.col));
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_facts(jsonb, text, jsonb, jsonb, text[]) IS 'Internal: refuses a feed of facts whose rows could not be stored';

-- In namespace 0 a number and its text are different keys: what a feed names would never meet what the orders name.
-- Orders without products give a NULL, whose type is text.
CREATE FUNCTION agentcrm.attach_check_names(source agentcrm.source, spec jsonb, part jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reader jsonb := agentcrm.attach_reader(source);
	orders jsonb := CASE spec -> 'parts' -> 0 ->> 'kind' WHEN 'order' THEN spec -> 'parts' -> 0 ELSE agentcrm.stored_parts(source) -> 0 END;
	what text := format('query of feed %s', part ->> 'name');
	c record;
BEGIN
	IF source.namespace <> 0 OR NOT agentcrm.feed_of_facts(part ->> 'name') THEN
		RETURN;
	END IF;
	SELECT n.col, n.given::oid AS given, n.wanted::oid AS wanted INTO c
	FROM agentcrm.attach_columns(reader, what, part) f, agentcrm.attach_columns(reader, 'query', orders) o,
		LATERAL (SELECT k.col, f ->> k.col AS given, o ->> k.col AS wanted FROM unnest('{client_key,product_key}'::text[]) AS k(col)) AS n
	WHERE (agentcrm.key_class(n.given::oid) = 'number') <> (agentcrm.key_class(n.wanted::oid) = 'number')
		AND (n.col = 'client_key' OR agentcrm.key_class(n.wanted::oid) = 'number') ORDER BY n.col LIMIT 1;
	IF c.col IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('%s, column %s: type %s is not that by which orders name %ss', what, c.col, format_type(c.given, NULL), split_part(c.col, '_', 1)),
			format('Orders give %s as %s; give the same key, or cast it.', c.col, format_type(c.wanted, NULL)), '42804');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_names(agentcrm.source, jsonb, jsonb) IS 'Internal: refuses a feed that names clients or products by keys of another type than the orders do';
