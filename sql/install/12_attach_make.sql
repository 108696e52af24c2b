-- source/: the general form, attach_query: from arguments to parts and watches, their trial on data, the report, and the triggers

CREATE FUNCTION agentcrm.attach_spec(parts jsonb, watches jsonb, arguments jsonb DEFAULT '[]', remarks jsonb DEFAULT '[]') RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('parts', parts, 'watches', watches, 'arguments', arguments, 'remarks', remarks)
$$;
COMMENT ON FUNCTION agentcrm.attach_spec(jsonb, jsonb, jsonb, jsonb) IS 'Internal: what is to be attached: parts, watches, expressions to blame, remarks';

CREATE FUNCTION agentcrm.attach_watch(part text, relation oid, key text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('part', part, 'relation', relation, 'key', key)
$$;
COMMENT ON FUNCTION agentcrm.attach_watch(text, oid, text[]) IS 'Internal: a watched table and the part its key columns belong to';

-- All key columns must lie in one relation: it lists the keys when everything is read.
CREATE FUNCTION agentcrm.attach_key(given text[], path name[], OUT relation regclass, OUT key text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	element text;
	parts text[];
	this regclass;
BEGIN
	IF coalesce(cardinality(given), 0) = 0 THEN
		PERFORM agentcrm.attach_refuse('pass key: the columns that name an order', 'For example key => ''{sales.orders.order_id}''.');
	END IF;
	FOREACH element IN ARRAY given LOOP
		parts := agentcrm.attach_identifier('key', element);
		IF cardinality(parts) NOT IN (2, 3) THEN
			PERFORM agentcrm.attach_refuse(format('argument key: "%s" must be schema.table.column or table.column', element));
		END IF;
		this := agentcrm.attach_relation('key', trim_array(parts, 1), path);
		IF this <> relation THEN
			PERFORM agentcrm.attach_refuse(format('argument key: the columns lie in %s and %s; they must lie in one table',
				agentcrm.relation_name(relation), agentcrm.relation_name(this)));
		END IF;
		relation := this;
		key := key || agentcrm.attach_column('key', this, quote_ident(parts[cardinality(parts)]));
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.attach_key(text[], name[]) IS 'Internal: relation and columns of a key given as dotted names';

-- A row of a table that does not hold the part's key touches other rows: those whose keys a query gives.
CREATE FUNCTION agentcrm.attach_touch(part text, relation regclass, key text[], query text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := CASE WHEN part <> 'order' THEN part || ': ' ELSE '' END || agentcrm.relation_name(relation);
BEGIN
	RETURN agentcrm.attach_watch(name, relation, key) || jsonb_build_object('touch',
		agentcrm.attach_part(name, 'touch', query, relation, key) || jsonb_build_object('touches', part));
END $$;
COMMENT ON FUNCTION agentcrm.attach_touch(text, regclass, text[], text) IS 'Internal: a watched table whose rows touch other rows, and the query that tells which';

CREATE FUNCTION agentcrm.attach_watch_entry(part text, n_key int, table_name text, given jsonb, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation regclass := agentcrm.attach_relation('watch', agentcrm.attach_identifier('watch', table_name), path);
	named text := agentcrm.relation_name(relation);
	touches text := CASE WHEN jsonb_typeof(given) = 'object' THEN CASE part WHEN 'order' THEN 'orders' ELSE 'keys' END END;
	key text[];
	unknown text;
BEGIN
	IF touches IS NOT NULL THEN
		SELECT min(k) INTO unknown FROM jsonb_object_keys(given) k WHERE k NOT IN ('key', touches);
		IF unknown IS NOT NULL OR NOT given ? 'key' OR jsonb_typeof(given -> touches) IS DISTINCT FROM 'string' THEN
			PERFORM agentcrm.attach_refuse(format('argument watch: %s must be {"key": [columns], "%s": "SELECT key columns ..."}', named, touches),
				CASE WHEN part <> 'order' THEN format('"keys" gives the keys of the rows of feed %s that a row of %s touches.', part, named) END);
		END IF;
	END IF;
	key := agentcrm.attach_key_columns('watch', relation, CASE WHEN touches IS NOT NULL THEN given -> 'key' ELSE given END);
	IF touches IS NOT NULL THEN
		RETURN agentcrm.attach_touch(part, relation, key, given ->> touches);
	END IF;
	IF cardinality(key) <> n_key THEN
		PERFORM agentcrm.attach_refuse(format('argument watch: %s names %s columns, but the key has %s', named, cardinality(key), n_key));
	END IF;
	RETURN agentcrm.attach_watch(part, relation, key);
END $$;
COMMENT ON FUNCTION agentcrm.attach_watch_entry(text, int, text, jsonb, name[]) IS 'Internal: an entry of argument watch';

CREATE FUNCTION agentcrm.attach_watches(part text, n_key int, watch jsonb, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result jsonb;
	twice oid;
BEGIN
	IF jsonb_typeof(watch) IS DISTINCT FROM 'object' OR watch = '{}' THEN
		PERFORM agentcrm.attach_refuse('pass watch: the tables whose changes change the result, each with its key columns',
			'For example watch => ''{"sales.orders": "order_id", "sales.lines": "order_id"}''.');
	END IF;
	SELECT jsonb_agg(agentcrm.attach_watch_entry(part, n_key, w.key, w.value, path) ORDER BY w.key) INTO result FROM jsonb_each(watch) w;
	SELECT (w ->> 'relation')::oid INTO twice FROM jsonb_array_elements(result) w GROUP BY 1 HAVING count(*) > 1 LIMIT 1;
	IF twice IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('argument watch names %s twice', agentcrm.relation_name(twice)));
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.attach_watches(text, int, jsonb, name[]) IS 'Internal: watches of argument watch';

CREATE FUNCTION agentcrm.attach_query_spec(options jsonb, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
	watches jsonb;
	parts jsonb;
BEGIN
	IF coalesce(options ->> 'query', '') = '' THEN
		PERFORM agentcrm.attach_refuse('pass query: a SELECT over $1, the keys');
	END IF;
	SELECT * INTO k FROM agentcrm.attach_key(agentcrm.part_array(options, 'key'), path);
	watches := agentcrm.attach_watches('order', cardinality(k.key), options -> 'watch', path);
	SELECT jsonb_build_array(agentcrm.attach_part('order', 'order', options ->> 'query', k.relation, k.key)
			|| agentcrm.watermark_query(options ->> 'watermark', (SELECT string_agg(format('o.%I', c), ', ' ORDER BY i) FROM unnest(k.key) WITH ORDINALITY AS a(c, i)),
				agentcrm.relation_name(k.relation) || ' AS o'))
		|| coalesce(jsonb_agg(w -> 'touch') FILTER (WHERE w ? 'touch'), '[]') INTO parts FROM jsonb_array_elements(watches) w;
	RETURN agentcrm.attach_spec(parts, watches, remarks => CASE
		WHEN (SELECT bool_or(w ? 'polled' OR w ->> 'part' = 'order' AND (w ->> 'relation')::oid = k.relation) FROM jsonb_array_elements(watches) e, agentcrm.watch_settled(e) w) THEN '[]'
		ELSE jsonb_build_array(format('%s lists the keys but is not watched', agentcrm.relation_name(k.relation))) END);
END $$;
COMMENT ON FUNCTION agentcrm.attach_query_spec(jsonb, name[]) IS 'Internal: parts and watches of attach_query''s arguments';

CREATE FUNCTION agentcrm.attach_feed_spec(feed text, options jsonb, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
	plain text;
	watches jsonb;
BEGIN
	IF feed IS NULL OR NOT EXISTS (SELECT FROM agentcrm.feed_columns() f WHERE f.feed = attach_feed_spec.feed) THEN
		PERFORM agentcrm.attach_refuse(format('feed %s is not known in this version', coalesce(quote_literal(feed), 'NULL')),
			'Known feeds: ' || (SELECT string_agg(f.feed, ', ') FROM agentcrm.feed_columns() f WHERE f.target IS NULL) || '.', '0A000');
	ELSIF coalesce(options ->> 'query', '') = '' THEN
		PERFORM agentcrm.attach_refuse('pass query: a SELECT over $1, the keys',
			'It must give ' || (SELECT string_agg(w.col, ', ') FROM agentcrm.attach_wanted(feed) w WHERE w.required) || '.');
	ELSIF options ? 'key' THEN
		SELECT * INTO k FROM agentcrm.attach_key(agentcrm.part_array(options, 'key'), path);
	ELSIF jsonb_typeof(options -> 'watch') = 'object' AND (SELECT count(*) FROM jsonb_object_keys(options -> 'watch')) = 1 THEN
		SELECT jsonb_object_keys(options -> 'watch') INTO plain;
		SELECT r AS relation, agentcrm.attach_key_columns('watch', r, options -> 'watch' -> plain) AS key INTO k
		FROM agentcrm.attach_relation('watch', agentcrm.attach_identifier('watch', plain), path) r;
	ELSE
		PERFORM agentcrm.attach_refuse('pass key: which of the watched tables lists the keys of the feed', 'For example key => ''{sales.clients.client_id}''.');
	END IF;
	watches := agentcrm.attach_watches(feed, cardinality(k.key), options -> 'watch', path);
	RETURN agentcrm.attach_spec(jsonb_build_array(agentcrm.attach_part(feed, 'feed', options ->> 'query', k.relation, k.key))
		|| (SELECT coalesce(jsonb_agg(w -> 'touch') FILTER (WHERE w ? 'touch'), '[]') FROM jsonb_array_elements(watches) w), watches);
END $$;
COMMENT ON FUNCTION agentcrm.attach_feed_spec(text, jsonb, name[]) IS 'Internal: part and watches of attach_feed''s arguments';

CREATE FUNCTION agentcrm.spec_add(spec jsonb, more jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_spec(spec -> 'parts' || (more -> 'parts'), spec -> 'watches' || (more -> 'watches'),
		spec -> 'arguments' || (more -> 'arguments'), spec -> 'remarks' || (more -> 'remarks'))
$$;
COMMENT ON FUNCTION agentcrm.spec_add(jsonb, jsonb) IS 'Internal: joins two things to be attached';

/*
 * A view is watched by its tables, as far as these hold its key; whatever else
 * changes it is found by polling it.  Other relations that cannot have triggers
 * are polled.
 */
CREATE FUNCTION agentcrm.watch_settled(watch jsonb) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	this regclass := (watch ->> 'relation')::oid;
	key text[] := agentcrm.part_array(watch, 'key');
	reason text := agentcrm.polled_because(this);
	unseen text;
	t record;
BEGIN
	IF reason IS NULL OR (SELECT relkind FROM pg_class WHERE oid = this) <> 'v' THEN
		RETURN NEXT jsonb_strip_nulls(watch || jsonb_build_object('polled', reason));
		RETURN;
	END IF;
	FOR t IN SELECT DISTINCT v.relation, v.columns,
			v.columns IS NOT NULL AND agentcrm.polled_because(v.relation) IS NULL AND agentcrm.spelled_alike(this, key, v.relation, v.columns) AS seen
		FROM agentcrm.view_tables(this, key) v ORDER BY 1, 2 LOOP
		IF t.seen THEN
			RETURN NEXT agentcrm.attach_watch(watch ->> 'part', t.relation, t.columns) || jsonb_build_object('via', agentcrm.relation_name(this));
		ELSE
			unseen := concat_ws(', ', unseen, nullif(agentcrm.relation_name(t.relation), agentcrm.relation_name(this)));
		END IF;
	END LOOP;
	IF NOT FOUND OR unseen IS NOT NULL OR EXISTS (SELECT FROM agentcrm.view_tables(this, key) v WHERE v.relation = this) THEN
		RETURN NEXT watch || jsonb_build_object('polled', coalesce('a view, for ' || nullif(unseen, ''), reason));
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.watch_settled(jsonb) IS 'Internal: how a watched relation is watched: by triggers, by those of tables below it, or by polling';

CREATE FUNCTION agentcrm.spec_settled(spec jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_set(spec, '{watches}', coalesce((SELECT jsonb_agg(s.watch ORDER BY w.i, s.j)
		FROM jsonb_array_elements(spec -> 'watches') WITH ORDINALITY AS w(watch, i), agentcrm.watch_settled(w.watch) WITH ORDINALITY AS s(watch, j)), '[]'))
$$;
COMMENT ON FUNCTION agentcrm.spec_settled(jsonb) IS 'Internal: what is to be attached, with each watch as it can be';

CREATE FUNCTION agentcrm.watermark_query(expression text, key_list text, tables text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN expression IS NULL THEN '{}' ELSE jsonb_build_object('watermark', format(E'SELECT (%s\n), %s\nFROM %s', expression, key_list, tables)) END
$$;
COMMENT ON FUNCTION agentcrm.watermark_query(text, text, text) IS 'Internal: the query of watermarks and keys, as a field of a part';

-- Keys to try a query on: the lowest and the highest where an index gives them, else the first that come.
CREATE FUNCTION agentcrm.attach_sample(reader jsonb, part jsonb, most bigint) RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation regclass := (part ->> 'relation')::oid;
	named text := agentcrm.relation_name(relation);
	key text[] := agentcrm.part_array(part, 'key');
	list text := (SELECT string_agg(quote_ident(k), ', ' ORDER BY i) FROM unnest(key) WITH ORDINALITY AS a(k, i));
	down text := (SELECT string_agg(quote_ident(k) || ' DESC', ', ' ORDER BY i) FROM unnest(key) WITH ORDINALITY AS a(k, i));
	present text := (SELECT string_agg(quote_ident(k) || ' IS NOT NULL', ' AND ') FROM unnest(key) k);
	source text;
	result jsonb;
BEGIN
	IF most IS NULL THEN
		source := format('SELECT DISTINCT %s FROM %s WHERE %s', list, named, present);
	ELSIF agentcrm.has_index(relation, key, false) THEN
		source := format('(SELECT %1$s FROM %2$s WHERE %3$s ORDER BY %1$s LIMIT %5$s) UNION (SELECT %1$s FROM %2$s WHERE %3$s ORDER BY %4$s LIMIT %5$s)',
			list, named, present, down, most / 2);
	ELSE
		source := format('SELECT DISTINCT %1$s FROM (SELECT %1$s FROM %2$s WHERE %3$s LIMIT %4$s * 100) AS s ORDER BY %1$s LIMIT %4$s', list, named, present, most);
	END IF;
	result := agentcrm.attach_try(reader, format('key (%s) of %s', list, named), format('SELECT pg_catalog.to_jsonb(ARRAY[%s]) FROM (%s) AS k',
		(SELECT string_agg(format('COALESCE(pg_catalog.array_agg(%I), ''{}'')::pg_catalog.text', k), ', ' ORDER BY i) FROM unnest(key) WITH ORDINALITY AS a(k, i)), source),
		NULL, NULL);
	RETURN ARRAY(SELECT e FROM jsonb_array_elements_text(result) WITH ORDINALITY AS a(e, i) ORDER BY i);
END $$;
COMMENT ON FUNCTION agentcrm.attach_sample(jsonb, jsonb, bigint) IS 'Internal: keys of a part, one array literal per key column; NULL most gives all';

CREATE FUNCTION agentcrm.estimated_rows(relation regclass) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree AS (
		SELECT relation::oid AS oid UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid)
	SELECT coalesce(sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE pg_relation_size(c.oid) / 100 END), 0)::bigint
	FROM tree t JOIN pg_class c USING (oid) WHERE c.relkind = 'r'
$$;
COMMENT ON FUNCTION agentcrm.estimated_rows(regclass) IS 'Internal: rows of a relation with its partitions and children, by statistics';

CREATE FUNCTION agentcrm.attach_total(reader jsonb, part jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation regclass := (part ->> 'relation')::oid;
	key text[] := agentcrm.part_array(part, 'key');
	estimate bigint := agentcrm.estimated_rows(relation);
	list text := (SELECT string_agg(quote_ident(k), ', ') FROM unnest(key) k);
	present text := (SELECT string_agg(quote_ident(k) || ' IS NOT NULL', ' AND ') FROM unnest(key) k);
BEGIN
	IF estimate >= 10000000 THEN
		RETURN estimate;
	END IF;
	RETURN agentcrm.attach_try(reader, 'count of keys', format('SELECT pg_catalog.to_jsonb(pg_catalog.count(*)) FROM (SELECT %s %s FROM %s WHERE %s) AS k',
		CASE WHEN agentcrm.has_index(relation, key, true) THEN '' ELSE 'DISTINCT' END, list, agentcrm.relation_name(relation), present), NULL, NULL)::bigint;
END $$;
COMMENT ON FUNCTION agentcrm.attach_total(jsonb, jsonb) IS 'Internal: keys of a part: counted below ten million rows, else estimated';

-- As a join, for a subquery of many keys would not be hashed.
CREATE FUNCTION agentcrm.attach_count(reader jsonb, part jsonb, columns jsonb, keys text[]) RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_try(reader, 'query', format($q$
SELECT pg_catalog.jsonb_build_object('read', count(*), 'lines', count(*) FILTER (WHERE counts), 'orders', count(DISTINCT order_text) FILTER (WHERE counts), 'clients', count(DISTINCT client_text) FILTER (WHERE counts), 'amount', sum(amount) FILTER (WHERE counts),
	'first', min(ordered_at) FILTER (WHERE counts)::text, 'last', max(ordered_at) FILTER (WHERE counts)::text,
	'return_lines', count(*) FILTER (WHERE is_return), 'return_orders', count(DISTINCT order_text) FILTER (WHERE is_return), 'return_amount', sum(amount) FILTER (WHERE is_return),
	'no_client', count(*) FILTER (WHERE client_text IS NULL), 'no_product', count(*) FILTER (WHERE product_text IS NULL), 'no_time', count(*) FILTER (WHERE ordered_at IS NULL),
	'no_quantity', count(*) FILTER (WHERE quantity IS NULL), 'no_amount', count(*) FILTER (WHERE amount IS NULL),
	'bad_kind', min(kind) FILTER (WHERE kind NOT IN ('sale', 'return')),
	'not_asked', min(coalesce(order_text, 'NULL')) FILTER (WHERE asked_text IS NULL
		AND NOT EXISTS (SELECT FROM unnest(%3$s) AS k (%4$s) WHERE %5$s = order_key)))
FROM (SELECT q.*, client_text IS NOT NULL AND ordered_at IS NOT NULL AS counts, client_text IS NOT NULL AND ordered_at IS NOT NULL AND coalesce(kind = 'return', quantity < 0) AS is_return
	FROM (SELECT CASE WHEN client_key IS NOT NULL THEN client_key::text END AS client_text, order_key::text AS order_text, order_key,
			CASE WHEN product_key IS NOT NULL THEN product_key::text END AS product_text, ordered_at::timestamptz AS ordered_at,
			quantity::numeric AS quantity, amount::numeric AS amount, %1$s AS kind
		FROM (%2$s
) AS given) AS q) AS r
LEFT JOIN (SELECT (%5$s)::text AS asked_text FROM unnest(%3$s) AS k (%4$s)) AS asked ON asked_text = order_text$q$,
		CASE WHEN columns ? 'kind' THEN 'kind::text' ELSE 'NULL::text' END, part ->> 'query',
		string_agg('$' || i, ', ' ORDER BY i), string_agg('k' || i, ', ' ORDER BY i),
		CASE WHEN cardinality(keys) = 1 THEN 'k1' ELSE format('ROW(%s)', string_agg('k' || i, ', ' ORDER BY i)) END), agentcrm.part_array(part, 'types'), keys)
	FROM generate_subscripts(keys, 1) i
$$;
COMMENT ON FUNCTION agentcrm.attach_count(jsonb, jsonb, jsonb, text[]) IS 'Internal: what the order query gives for some keys';
