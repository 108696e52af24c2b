-- source/: attaching: every check and count first, then the rows, one lock over all tables, the triggers, and the start of loading

-- When the whole query fails, its expressions are tried one by one, to name the argument at fault.
CREATE FUNCTION agentcrm.attach_blame(reader jsonb, spec jsonb, part jsonb, keys text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a jsonb;
BEGIN
	FOR a IN SELECT e FROM jsonb_array_elements(spec -> 'arguments') e WHERE e ->> 'part' = part ->> 'name' LOOP
		PERFORM agentcrm.attach_try(reader, 'argument ' || (a ->> 'argument'),
			format('SELECT pg_catalog.to_jsonb(pg_catalog.count(pg_catalog.to_json(v))) FROM (%s) AS s', a ->> 'trial'), agentcrm.part_array(part, 'types'), keys);
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.attach_blame(jsonb, jsonb, jsonb, text[]) IS 'Internal: tries the expressions of a part alone, on data';

CREATE FUNCTION agentcrm.attach_check_lines(counted jsonb, spec jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	by_argument boolean := spec -> 'arguments' <> '[]';
BEGIN
	IF counted ->> 'not_asked' IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('query gives order %s, which was not asked for', counted ->> 'not_asked'),
			'The query must give just the orders whose keys are in $1, and their keys as they are there.');
	ELSIF counted ->> 'bad_kind' IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('%s gives "%s"; it must be sale, return or NULL', CASE WHEN by_argument THEN 'argument kind' ELSE 'query, column kind' END,
			counted ->> 'bad_kind'));
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_lines(jsonb, jsonb) IS 'Internal: refuses values that cannot be counted';

CREATE FUNCTION agentcrm.attach_line_remarks(counted jsonb, most bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(concat('among ' || most || ' orders tried: ', format('%s lines without %s (%s %%): %s', counted ->> f, w, round(100 * (counted ->> f)::numeric / nullif((counted ->> 'read')::numeric, 0), 2), d))), '[]') FROM (VALUES
		('no_client', 'client', 'they are not counted'), ('no_product', 'product', 'counted as charges'), ('no_time', 'time', 'they are not counted'),
		('no_quantity', 'quantity', 'their orders cannot be read'), ('no_amount', 'amount', 'their orders cannot be read')) AS v(f, w, d)
	WHERE (counted ->> f)::bigint > 0
$$;
COMMENT ON FUNCTION agentcrm.attach_line_remarks(jsonb, bigint) IS 'Internal: remarks on incomplete lines';

CREATE FUNCTION agentcrm.attach_index_remarks(spec jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(DISTINCT format('%1$s has no index on (%2$s): each read by key scans the table. CREATE INDEX%3$s ON %1$s (%2$s)', agentcrm.relation_name(r),
		(SELECT string_agg(quote_ident(k), ', ' ORDER BY i) FROM unnest(key) WITH ORDINALITY AS a(k, i)),
		CASE WHEN (SELECT relkind FROM pg_class WHERE oid = r) = 'p' THEN '' ELSE ' CONCURRENTLY' END)), '[]')
	FROM (SELECT (w ->> 'relation')::oid::regclass AS r, agentcrm.part_array(w, 'key') AS key
		FROM jsonb_array_elements((spec -> 'watches') || (spec -> 'parts')) w) AS t
	WHERE NOT agentcrm.has_index(r, key, false) AND (SELECT relkind FROM pg_class WHERE oid = r) NOT IN ('v', 'f')
$$;
COMMENT ON FUNCTION agentcrm.attach_index_remarks(jsonb) IS 'Internal: remarks on keys without an index, with the statement that makes it (a partitioned table''s cannot be made concurrently)';

-- Tables that the query of the orders, or of a feed, reads, by its plan; a partition stands for its root.
CREATE FUNCTION agentcrm.attach_unwatched(reader jsonb, spec jsonb, part jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	types text[] := agentcrm.part_array(part, 'types');
	plan jsonb;
	result jsonb;
BEGIN
	-- polling finds what changes the orders, wherever it happens
	IF EXISTS (SELECT FROM jsonb_array_elements(spec -> 'watches') w JOIN jsonb_array_elements(spec -> 'parts') p ON p ->> 'name' = w ->> 'part'
		WHERE w ? 'polled' AND p ->> 'kind' <> 'feed' AND NOT spec -> 'parts' -> 0 ? 'watermark') THEN
		RETURN '[]';
	END IF;
	plan := agentcrm.attach_try(reader, 'query', part ->> 'query', types, array_fill('{}'::text, ARRAY[cardinality(types)]), true);
	WITH RECURSIVE up AS (
		SELECT to_regclass(format('%I.%I', n ->> 'Schema', n ->> 'Relation Name'))::oid AS oid
		FROM jsonb_path_query(plan, 'strict $.**') AS n WHERE jsonb_typeof(n) = 'object' AND n ? 'Relation Name'
		UNION
		SELECT i.inhparent FROM up u JOIN pg_inherits i ON i.inhrelid = u.oid),
	top AS (
		SELECT DISTINCT u.oid FROM up u WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = u.oid))
	SELECT coalesce(jsonb_agg(format('%s is read by the %s but not watched: its changes are not seen', agentcrm.relation_name(t.oid),
		CASE part ->> 'kind' WHEN 'order' THEN 'query' ELSE 'query of feed ' || (part ->> 'name') END) ORDER BY t.oid), '[]')
	INTO result FROM top t
	WHERE t.oid NOT IN (SELECT (w ->> 'relation')::oid FROM jsonb_array_elements(spec -> 'watches') w JOIN jsonb_array_elements(spec -> 'parts') p
						ON p ->> 'name' = w ->> 'part' WHERE part ->> 'name' IN (p ->> 'name', coalesce(p ->> 'touches', 'order')));
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.attach_unwatched(jsonb, jsonb, jsonb) IS 'Internal: remarks on tables that are read but not watched';


CREATE FUNCTION agentcrm.attach_check_argument(reader jsonb, a jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what text := 'argument ' || (a ->> 'argument');
BEGIN
	PERFORM agentcrm.attach_check_type(what, a ->> 'wanted',
		(agentcrm.attach_try(reader, what, format(E'SELECT pg_catalog.to_jsonb(pg_catalog.pg_typeof((%1$s\n))::oid) FROM (SELECT 1) AS one LEFT JOIN (%2$s) ON false AND (%1$s\n) IS NOT NULL',
			a ->> 'expression', a ->> 'from'), NULL, NULL) #>> '{}')::oid, a ->> 'argument', a ->> 'expression');
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_argument(jsonb, jsonb) IS 'Internal: parses an expression alone and checks its type';

CREATE FUNCTION agentcrm.attach_check_watermark(reader jsonb, part jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF part ? 'watermark' THEN
		PERFORM agentcrm.attach_check_type('argument watermark', 'time', (agentcrm.attach_try(reader, 'argument watermark',
			format('SELECT pg_catalog.to_jsonb(pg_catalog.pg_typeof(m.mark)::oid) FROM (SELECT 1) AS one LEFT JOIN (%s) AS m (mark) ON false', part ->> 'watermark'), NULL, NULL) #>> '{}')::oid);
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_watermark(jsonb, jsonb) IS 'Internal: refuses a watermark that cannot be read or is no time';

CREATE FUNCTION agentcrm.attach_check_arguments(reader jsonb, spec jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_check_argument(reader, a) FROM jsonb_array_elements(spec -> 'arguments') a
$$;
COMMENT ON FUNCTION agentcrm.attach_check_arguments(jsonb, jsonb) IS 'Internal: parses each expression alone and checks its type';

CREATE FUNCTION agentcrm.attach_check_part(reader jsonb, spec jsonb, part jsonb, most bigint) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what text := CASE part ->> 'kind' WHEN 'order' THEN 'query' ELSE format('query of feed %s', part ->> 'name') END;
	columns jsonb;
	keys text[];
	counted jsonb := '{}';
BEGIN
	IF part ->> 'kind' = 'touch' THEN
		PERFORM agentcrm.attach_check_touch(reader, part, agentcrm.touched_part(spec, part));
		RETURN counted;
	END IF;
	keys := agentcrm.attach_sample(reader, part, most);
	columns := agentcrm.attach_check_columns(reader, what, part);
	IF part ->> 'kind' = 'order' THEN
		PERFORM agentcrm.attach_check_watermark(reader, part);
		PERFORM agentcrm.attach_check_own_key(what, part, (columns ->> 'order_key')::oid);
		BEGIN
			counted := agentcrm.attach_count(reader, part, columns, keys);
		EXCEPTION WHEN OTHERS THEN
			PERFORM agentcrm.attach_blame(reader, spec, part, keys);
			RAISE;
		END;
		PERFORM agentcrm.attach_check_lines(counted, spec);
	ELSE
		BEGIN
			counted := agentcrm.attach_try(reader, what, format(E'SELECT pg_catalog.to_jsonb(pg_catalog.count(pg_catalog.to_json(q))) FROM (%s\n) AS q', part ->> 'query'),
				agentcrm.part_array(part, 'types'), keys);
		EXCEPTION WHEN OTHERS THEN
			PERFORM agentcrm.attach_blame(reader, spec, part, keys);
			RAISE;
		END;
		IF agentcrm.feed_of_facts(part ->> 'name') THEN
			PERFORM agentcrm.attach_check_facts(reader, what, part, columns, keys);
		END IF;
	END IF;
	RETURN counted;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_part(jsonb, jsonb, jsonb, bigint) IS 'Internal: tries a part''s query: its columns, then its data for some keys; gives what was counted';

CREATE FUNCTION agentcrm.attach_relations(spec jsonb, named_only boolean DEFAULT false) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT DISTINCT (e ->> 'relation')::oid::regclass FROM jsonb_array_elements((spec -> 'parts') || (spec -> 'watches')) e
	WHERE named_only IS NOT TRUE OR NOT e ? 'via' ORDER BY 1
$$;
COMMENT ON FUNCTION agentcrm.attach_relations(jsonb, boolean) IS 'Internal: relations that keys are read from or that are watched, in oid order; named_only: without tables below views, which the reading role need not read';

CREATE FUNCTION agentcrm.attach_reader(source agentcrm.source) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('run_as', source.run_as, 'search_path', source.search_path || ', pg_temp', 'time_zone', source.time_zone)
$$;
COMMENT ON FUNCTION agentcrm.attach_reader(agentcrm.source) IS 'Internal: role and settings under which a source is read';

-- Gives what was counted and remarked; the caller's rights come before anything is read.
CREATE FUNCTION agentcrm.attach_check(source agentcrm.source, spec jsonb, most bigint) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reader jsonb := agentcrm.attach_reader(source);
	r regclass;
	part jsonb;
	counted jsonb := '{}';
	remarks jsonb := spec -> 'remarks';
BEGIN
	PERFORM agentcrm.attach_check_reader(source);
	FOR r IN SELECT agentcrm.attach_relations(spec, true) LOOP
		PERFORM agentcrm.attach_check_relation('watch', r), agentcrm.attach_check_rights(source, r);
	END LOOP;
	PERFORM agentcrm.attach_check_arguments(reader, spec);
	FOR part IN SELECT e FROM jsonb_array_elements(spec -> 'parts') e LOOP
		IF part ->> 'kind' = 'order' THEN
			counted := agentcrm.attach_check_part(reader, spec, part, most);
			remarks := remarks || agentcrm.attach_line_remarks(counted, most) || agentcrm.attach_unwatched(reader, spec, part);
		ELSE
			PERFORM agentcrm.attach_check_part(reader, spec, part, 1000), agentcrm.attach_check_names(source, spec, part);
			IF part ->> 'kind' = 'feed' THEN
				remarks := remarks || agentcrm.attach_unwatched(reader, spec, part);
			END IF;
		END IF;
	END LOOP;
	IF EXISTS (SELECT FROM pg_roles WHERE rolname = source.run_as AND rolsuper) THEN
		remarks := remarks || jsonb_build_array(format('the source is read with the rights of superuser %s', source.run_as));
	END IF;
	SELECT remarks || coalesce(jsonb_agg(DISTINCT format('%s is %s: it is looked at every %s, or as seldom as keeps that under a twentieth of the time%s',
			agentcrm.relation_name((w ->> 'relation')::oid), w ->> 'polled', agentcrm.poll_text(),
			CASE WHEN w ->> 'polled' ~ 'may not create triggers' THEN format('; GRANT TRIGGER ON %s TO %I, then alter_source, lets triggers do it at once',
				agentcrm.relation_name((w ->> 'relation')::oid), current_user)
			WHEN spec -> 'parts' -> 0 ? 'watermark' THEN ' for rows marked since; deletions every agentcrm.reconcile_interval' ELSE '' END)), '[]') INTO remarks
	FROM jsonb_array_elements(spec -> 'watches') w WHERE w ? 'polled';
	RETURN counted || jsonb_build_object('remarks', remarks || agentcrm.attach_index_remarks(spec));
END $$;
COMMENT ON FUNCTION agentcrm.attach_check(agentcrm.source, jsonb, bigint) IS 'Internal: all checks before anything is created';

CREATE FUNCTION agentcrm.attach_lock_timeout() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(nullif(current_setting('agentcrm.attach_lock_timeout', true), ''), '2s')
$$;
COMMENT ON FUNCTION agentcrm.attach_lock_timeout() IS 'Internal: how long attach waits for its locks';

-- Lines of SQL put side by side as far as a screen is wide.
CREATE FUNCTION agentcrm.filled(given text, separator text DEFAULT E'\n *', indent text DEFAULT '', width int DEFAULT 82) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	part text;
	result text;
	current text;
BEGIN
	IF given ~ '--' THEN
		RETURN given;
	END IF;
	FOREACH part IN ARRAY regexp_split_to_array(given, separator || '| (?=AND \(?[olcp]\.)') LOOP
		IF current IS NULL THEN
			current := part;
		ELSIF length(current) + length(part) < width THEN
			current := current || ' ' || part;
		ELSE
			result := concat_ws(E'\n', result, current);
			current := indent || part;
		END IF;
	END LOOP;
	RETURN concat_ws(E'\n', result, current);
END $$;
COMMENT ON FUNCTION agentcrm.filled(text, text, text, int) IS 'Internal: joins the lines of a query, or the arguments of a call, to lines of a screen''s width';

CREATE FUNCTION agentcrm.attach_describe(source agentcrm.source, spec jsonb, counted jsonb) RETURNS SETOF agentcrm.attach_report
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT v.item, v.detail FROM (
		SELECT 1, 0::bigint, 'source', format('%s, read as role %s, time zone %s, namespace %s', source.name, source.run_as, source.time_zone,
			coalesce(source.namespace::text, 'of its own'))
		UNION ALL
		SELECT 2, i, CASE p ->> 'kind' WHEN 'order' THEN 'query' WHEN 'feed' THEN 'feed ' || (p ->> 'name') ELSE 'touch ' || (p ->> 'name') END, agentcrm.filled(CASE p ->> 'kind' WHEN 'feed' THEN regexp_replace(p ->> 'query', E'\nWHERE [a-z]\\.\\S+ = ANY \\(\\$1\\)$', '') ELSE p ->> 'query' END)
		FROM jsonb_array_elements(spec -> 'parts') WITH ORDINALITY AS a(p, i) WHERE NOT counted ? 'proposed'
		UNION ALL
		SELECT 3, row_number() OVER (ORDER BY r::oid), 'triggers', format('%s, rows and TRUNCATE; keys: %s%s', agentcrm.relation_name(r), keys,
			(SELECT format('; with %s partitions or children', count(*)) FROM pg_inherits WHERE inhparent = r HAVING count(*) > 0))
		FROM (SELECT (w ->> 'relation')::oid::regclass AS r, string_agg(format('%s (%s)', w ->> 'part',
				(SELECT string_agg(quote_ident(k), ', ') FROM unnest(agentcrm.part_array(w, 'key')) k)), ', ' ORDER BY i) AS keys
			FROM jsonb_array_elements(spec -> 'watches') WITH ORDINALITY AS a(w, i) WHERE NOT w ? 'polled' GROUP BY 1) AS t WHERE NOT counted ? 'proposed'
		UNION ALL
		SELECT 3, 0, 'triggers', 'rows and TRUNCATE of ' || agentcrm.filled(string_agg(DISTINCT agentcrm.relation_name((w ->> 'relation')::oid::regclass), ', '), '(?<=,) ') FROM jsonb_array_elements(spec -> 'watches') w
		WHERE counted ? 'proposed' AND NOT w ? 'polled' HAVING count(*) > 0
		UNION ALL
		SELECT 3, 1000 + i, 'polled', format('%s, every %s: %s', agentcrm.relation_name((w ->> 'relation')::oid),
			agentcrm.poll_text(), w ->> 'polled')
		FROM jsonb_array_elements(spec -> 'watches') WITH ORDINALITY AS a(w, i) WHERE w ? 'polled'
		UNION ALL
		SELECT 3, 2000, 'watermark', spec -> 'parts' -> 0 ->> 'watermark' WHERE spec -> 'parts' -> 0 ? 'watermark'
		UNION ALL
		SELECT 4, 0, 'locks', format('SHARE ROW EXCLUSIVE on each of these tables until commit; waits %s at most', agentcrm.attach_lock_timeout()) WHERE NOT counted ? 'proposed'
		UNION ALL
		SELECT 5, i, k, v FROM (VALUES
			(1, 'clients', counted ->> 'clients'), (2, 'orders', counted ->> 'orders'), (3, 'lines', counted ->> 'lines'), (4, 'amount', counted ->> 'amount'),
			(5, 'returns', format('%s orders, %s lines, %s', counted ->> 'return_orders', counted ->> 'return_lines', coalesce(counted ->> 'return_amount', '0'))),
			(6, 'dates', format('%s to %s', counted ->> 'first', counted ->> 'last'))) AS c(i, k, v)
		WHERE counted ? 'report' AND (k <> 'returns' OR (counted ->> 'return_lines')::bigint > 0)
		UNION ALL
		SELECT 6, i, 'remark', CASE WHEN counted ? 'report' THEN concat_ws(E'\n', agentcrm.filled(regexp_replace(r, ' CREATE INDEX .*', ''), ' '), substring(r FROM 'CREATE INDEX .*')) ELSE r END FROM jsonb_array_elements_text(counted -> 'remarks') WITH ORDINALITY AS a(r, i)
	) AS v(section, no, item, detail)
	ORDER BY v.section, v.no
$$;
COMMENT ON FUNCTION agentcrm.attach_describe(agentcrm.source, jsonb, jsonb) IS 'Internal: the report of attach';
