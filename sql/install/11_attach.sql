-- source/: what attach and attach_query share: names, trials under the reading role, and every check made before anything is created

CREATE TYPE agentcrm.attach_report AS (item text, detail text);
COMMENT ON TYPE agentcrm.attach_report IS 'A row of what attach did or would do: item names the matter, detail says it';

CREATE FUNCTION agentcrm.refuse(message text, hint text DEFAULT NULL, state text DEFAULT '22023', detail text DEFAULT NULL) RETURNS void
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_refuse';
COMMENT ON FUNCTION agentcrm.refuse(text, text, text, text) IS 'Internal: ends a call with an error, without the stack of functions that found it';

CREATE FUNCTION agentcrm.attach_refuse(message text, hint text DEFAULT NULL, state text DEFAULT '22023', call text DEFAULT 'attach') RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.refuse(call || ': ' || message, hint, state)
$$;
COMMENT ON FUNCTION agentcrm.attach_refuse(text, text, text, text) IS 'Internal: ends attach, or another call, with an error';

CREATE FUNCTION agentcrm.relation_name(relation regclass) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('%I.%I', n.nspname, c.relname)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;
COMMENT ON FUNCTION agentcrm.relation_name(regclass) IS 'Internal: qualified and quoted name of a relation';

-- Names given as text are looked up in the schemas of the caller's path, not under the path of these functions.
CREATE FUNCTION agentcrm.attach_relation(argument text, parts text[], path name[]) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found regclass;
	schema name;
BEGIN
	IF cardinality(parts) = 2 THEN
		found := to_regclass(format('%I.%I', parts[1], parts[2]));
	ELSIF cardinality(parts) = 1 THEN
		FOREACH schema IN ARRAY path LOOP
			found := to_regclass(format('%I.%I', schema, parts[1]));
			EXIT WHEN found IS NOT NULL;
		END LOOP;
	END IF;
	IF found IS NULL THEN
		PERFORM agentcrm.attach_refuse(format('argument %s: relation %s does not exist', argument,
			(SELECT string_agg(quote_ident(p), '.') FROM unnest(parts) p)), state => '42P01');
	END IF;
	RETURN found;
END $$;
COMMENT ON FUNCTION agentcrm.attach_relation(text, text[], name[]) IS 'Internal: relation of a name, looked up in the caller''s schemas';

CREATE FUNCTION agentcrm.attach_identifier(argument text, name text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN parse_ident(name);
EXCEPTION WHEN invalid_parameter_value THEN
	PERFORM agentcrm.attach_refuse(format('argument %s: "%s" is not a name', argument, name),
		'Quote names with spaces, dots or capital letters: "Order Lines"."Order No".', '42602');
END $$;
COMMENT ON FUNCTION agentcrm.attach_identifier(text, text) IS 'Internal: parts of a dotted name';

-- A column may be given as it is stored or as it would be written in SQL.
CREATE FUNCTION agentcrm.attach_column(argument text, relation regclass, name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parts text[];
BEGIN
	IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = name AND attnum > 0 AND NOT attisdropped) THEN
		parts := agentcrm.attach_identifier(argument, name);
		IF cardinality(parts) <> 1 OR NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = relation AND attname = parts[1]
												  AND attnum > 0 AND NOT attisdropped) THEN
			PERFORM agentcrm.attach_refuse(format('argument %s: column %s of %s does not exist', argument, name,
				agentcrm.relation_name(relation)), state => '42703');
		END IF;
		RETURN parts[1];
	END IF;
	RETURN name;
END $$;
COMMENT ON FUNCTION agentcrm.attach_column(text, regclass, text) IS 'Internal: column of a relation by name';

CREATE FUNCTION agentcrm.attach_key_columns(argument text, relation regclass, given jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result text[];
BEGIN
	IF given IS NULL THEN
		RETURN NULL;
	ELSIF jsonb_typeof(given) = 'string' THEN
		RETURN ARRAY[agentcrm.attach_column(argument, relation, given #>> '{}')];
	ELSIF jsonb_typeof(given) = 'array' AND jsonb_array_length(given) > 0 THEN
		SELECT array_agg(agentcrm.attach_column(argument, relation, c) ORDER BY i) INTO result
		FROM jsonb_array_elements_text(given) WITH ORDINALITY AS e(c, i);
		RETURN result;
	END IF;
	PERFORM agentcrm.attach_refuse(format('argument %s: the key of %s must be a column or an array of columns', argument,
		agentcrm.relation_name(relation)));
END $$;
COMMENT ON FUNCTION agentcrm.attach_key_columns(text, regclass, jsonb) IS 'Internal: key columns of a relation from a name or an array of names';

CREATE FUNCTION agentcrm.base_type(type oid) RETURNS oid
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE base AS (
		SELECT oid, typtype, typbasetype FROM pg_type WHERE oid = type
		UNION ALL
		SELECT t.oid, t.typtype, t.typbasetype FROM base b JOIN pg_type t ON b.typtype = 'd' AND t.oid = b.typbasetype)
	SELECT oid FROM base WHERE typtype <> 'd'
$$;
COMMENT ON FUNCTION agentcrm.base_type(oid) IS 'Internal: type below a domain';

CREATE FUNCTION agentcrm.column_types(relation regclass, columns text[]) RETURNS oid[]
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(agentcrm.base_type(a.atttypid) ORDER BY k.i)
	FROM unnest(columns) WITH ORDINALITY AS k(name, i) JOIN pg_attribute a ON a.attrelid = relation AND a.attname = k.name AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION agentcrm.column_types(regclass, text[]) IS 'Internal: types of columns, domains resolved';

CREATE FUNCTION agentcrm.has_index(relation regclass, columns text[], only_unique boolean) RETURNS boolean
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM pg_index i
		WHERE i.indrelid = relation AND i.indisvalid AND i.indpred IS NULL
		AND (NOT only_unique OR i.indisunique AND i.indnkeyatts = cardinality(columns))
		AND i.indnkeyatts >= cardinality(columns)
		AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text)
			 FROM generate_series(0, cardinality(columns) - 1) AS k(i)
			 JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = i.indkey[k.i])
			= (SELECT array_agg(c ORDER BY c) FROM unnest(columns) c))
$$;
COMMENT ON FUNCTION agentcrm.has_index(regclass, text[], boolean) IS 'Internal: whether an index leads with these columns, or is unique on exactly them';

CREATE FUNCTION agentcrm.attach_part(name text, kind text, query text, relation regclass, key text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	types text[];
	bad text;
BEGIN
	IF cardinality(key) > 8 THEN
		PERFORM agentcrm.attach_refuse(format('the key of %s has %s columns; at most 8 are possible', agentcrm.relation_name(relation), cardinality(key)));
	END IF;
	SELECT array_agg(format_type(nullif(t.typarray, 0), NULL) ORDER BY k.i), min(k.col) FILTER (WHERE t.typarray = 0) INTO types, bad
	FROM unnest(agentcrm.column_types(relation, key), key) WITH ORDINALITY AS k(type, col, i) JOIN pg_type t ON t.oid = k.type;
	IF bad IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('column %I of %s cannot be a key: its type has no arrays', bad, agentcrm.relation_name(relation)), state => '42804');
	END IF;
	RETURN jsonb_build_object('name', name, 'kind', kind, 'query', rtrim(query, E' \t\r\n;'),
		'relation', relation::oid, 'key', key, 'types', types);
END $$;
COMMENT ON FUNCTION agentcrm.attach_part(text, text, text, regclass, text[]) IS 'Internal: a part to be attached';

CREATE FUNCTION agentcrm.part_array(part jsonb, field text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(e ORDER BY i) FROM jsonb_array_elements_text(part -> field) WITH ORDINALITY AS a(e, i)
$$;
COMMENT ON FUNCTION agentcrm.part_array(jsonb, text) IS 'Internal: array field of a part';

/*
 * One statement is tried as the worker will read: as the reading role, under
 * the source's search_path and time zone, read-only, row_security off.  The
 * subtransaction is always rolled back, so that neither role nor setting stays.
 * Everything but the statement itself is computed before the path changes.
 * Placeholders get their types from PREPARE, which only parses and is not
 * allowed once the rights are restricted: arrays come as text.
 */
CREATE FUNCTION agentcrm.attach_as(role text) RETURNS void
	LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'agentcrm_attach_as';
CREATE FUNCTION agentcrm.attach_one(statement text) RETURNS text
	LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'agentcrm_attach_one';
COMMENT ON FUNCTION agentcrm.attach_one(text) IS 'Internal: refuses a text of several statements';
CREATE FUNCTION agentcrm.attach_over() RETURNS void
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_attach_over';
COMMENT ON FUNCTION agentcrm.attach_over() IS 'Internal: releases session-level locks that a trial left';
COMMENT ON FUNCTION agentcrm.attach_as(text) IS 'Internal: acts as a role, restricted, until the subtransaction ends';

CREATE FUNCTION agentcrm.attach_try(reader jsonb, what text, statement text, types text[], keys text[], plan_only boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run_as text := reader ->> 'run_as';
	path text := reader ->> 'search_path';
	zone text := reader ->> 'time_zone';
	prepare_it text := 'PREPARE agentcrm_attach_try (' || array_to_string(types, ', ') || ') AS ' || statement;
	execute_it text := CASE WHEN plan_only THEN 'EXPLAIN (VERBOSE, COSTS off, FORMAT json) ' ELSE '' END || 'EXECUTE agentcrm_attach_try (' || (SELECT string_agg(quote_literal(k), ', ' ORDER BY i)
														   FROM unnest(keys) WITH ORDINALITY AS a(k, i)) || ')';
	result jsonb;
	used int;
	error_state text;
	message text;
	more text;
	hint text;
BEGIN
	IF EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'agentcrm_attach_try') THEN
		DEALLOCATE agentcrm_attach_try;
	END IF;
	BEGIN
		PERFORM set_config('transaction_read_only', 'on', true), set_config('row_security', 'off', true), set_config('jit', 'off', true),
			set_config('timezone', zone, true), set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
			set_config('search_path', path, true);
		IF execute_it IS NULL THEN
			statement := agentcrm.attach_one(statement);
			PERFORM agentcrm.attach_as(run_as);
			EXECUTE statement INTO result;
		ELSE
			EXECUTE agentcrm.attach_one(prepare_it);
			PERFORM agentcrm.attach_as(run_as);
			EXECUTE execute_it INTO result;
		END IF;
		RAISE EXCEPTION SQLSTATE 'AGCRM';
	EXCEPTION
		WHEN SQLSTATE 'AGCRM' THEN
			NULL;
		WHEN query_canceled OR assert_failure THEN
			PERFORM agentcrm.attach_over();
			RAISE;
		WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS error_state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	END;
	PERFORM agentcrm.attach_over();
	SELECT cardinality(p.parameter_types) INTO used FROM pg_prepared_statements p WHERE p.name = 'agentcrm_attach_try';
	IF used IS NOT NULL THEN
		DEALLOCATE agentcrm_attach_try;
	END IF;
	IF used > cardinality(types) THEN
		PERFORM agentcrm.attach_refuse(format('%s uses $%s, but the key has %s columns', what, used, cardinality(types)), 'One placeholder stands for each key column: $1, $2 ...', '42P02');
	ELSIF error_state IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(what || ': ' || message || CASE WHEN more <> '' THEN ' (' || more || ')' ELSE '' END, hint, error_state);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.attach_try(jsonb, text, text, text[], text[], boolean) IS 'Internal: runs a statement as the reading role, read-only, and rolls back';

CREATE FUNCTION agentcrm.attach_columns(reader jsonb, what text, part jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	types text[] := agentcrm.part_array(part, 'types');
	nothing text[] := array_fill('{}'::text, ARRAY[cardinality(agentcrm.part_array(part, 'types'))]);
	empty_row text := format(E'(SELECT q.* FROM (SELECT 1) AS one LEFT JOIN (%s\n) AS q ON false) AS r', part ->> 'query');
	names jsonb;
	twice text;
BEGIN
	names := agentcrm.attach_try(reader, what, 'SELECT pg_catalog.to_jsonb(ARRAY(SELECT pg_catalog.json_object_keys(pg_catalog.row_to_json(r)))) FROM '
		|| empty_row, types, nothing);
	SELECT n INTO twice FROM jsonb_array_elements_text(names) AS n GROUP BY n HAVING count(*) > 1 LIMIT 1;
	IF twice IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('%s: column %I is given twice', what, twice), state => '42701');
	END IF;
	RETURN agentcrm.attach_try(reader, what, 'SELECT pg_catalog.jsonb_build_object(' || (
		SELECT string_agg(format('%L, pg_catalog.pg_typeof(r.%I)::oid', n, n), ', ') FROM jsonb_array_elements_text(names) AS n)
		|| ') FROM ' || empty_row, types, nothing);
END $$;
COMMENT ON FUNCTION agentcrm.attach_columns(jsonb, text, jsonb) IS 'Internal: columns of a part''s query with their types';

-- argument: the argument of attach whose expression is at fault; then the hint is that argument, cast.
CREATE FUNCTION agentcrm.attach_check_type(what text, wanted text, type oid, argument text DEFAULT NULL, expression text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	base oid := agentcrm.base_type(type);
	named text := format_type(type, NULL);
	is_number boolean := EXISTS (SELECT FROM pg_cast WHERE castsource = base AND casttarget = 'numeric'::regtype);
	pass text := 'Pass ' || argument || ' => %L.';
BEGIN
	IF wanted = 'time' AND base NOT IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN
		PERFORM agentcrm.attach_refuse(format('%s: type %s is not a date or time', what, named), coalesce(format(pass, format(CASE WHEN is_number THEN 'to_timestamp(%s)' ELSE '(%s)::timestamp' END, expression)),
			'Cast it to date, timestamp or timestamptz.'), '42804');
	ELSIF wanted = 'number' AND base <> 'numeric'::regtype AND NOT is_number THEN
		PERFORM agentcrm.attach_refuse(format('%s: type %s is not a number', what, named), coalesce(format(pass, format('(%s)::numeric', expression)), 'Cast it to numeric.'), '42804');
	ELSIF wanted = 'condition' AND base <> 'boolean'::regtype THEN
		PERFORM agentcrm.attach_refuse(format('%s: type %s is not boolean', what, named), CASE WHEN is_number THEN format(pass, format('(%s) <> 0', expression)) END, '42804');
	ELSIF wanted = 'text' AND base <> 'unknown'::regtype
		AND (SELECT typcategory FROM pg_type WHERE oid = base) NOT IN ('S', 'E') THEN
		PERFORM agentcrm.attach_refuse(format('%s: type %s is not text', what, named), coalesce(format(pass, format('(%s)::text', expression)), 'Cast it to text.'), '42804');
	ELSIF wanted = 'array' AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = base AND t.typsubscript = 'array_subscript_handler'::regproc) THEN
		PERFORM agentcrm.attach_refuse(format('%s: type %s is not an array', what, named), 'Give an array: ARRAY[...], or array_agg(...).', '42804');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_type(text, text, oid, text, text) IS 'Internal: refuses a type that does not serve';

CREATE FUNCTION agentcrm.feed_columns(OUT feed text, OUT facts boolean, OUT col text, OUT wanted text, OUT need text, OUT words text, OUT target text) RETURNS SETOF record
	LANGUAGE C IMMUTABLE AS 'MODULE_PATHNAME', 'agentcrm_feed_columns';
COMMENT ON FUNCTION agentcrm.feed_columns() IS 'Internal: columns that the queries of feeds may or must give; facts: rows that are deleted when they are given no longer; need: owner (whom a row is about), required or optional; words: texts that are possible; target: column of the feed''s table';

CREATE FUNCTION agentcrm.attach_wanted(part text) RETURNS TABLE (col text, wanted text, required boolean)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT w.col, w.wanted, w.required FROM (VALUES
		('order', 'client_key', 'key', true), ('order', 'order_key', 'key', true), ('order', 'line_key', 'key', true), ('order', 'product_key', 'key', true),
		('order', 'ordered_at', 'time', true), ('order', 'quantity', 'number', true), ('order', 'amount', 'number', true),
		('order', 'rep_key', 'key', false), ('order', 'kind', 'text', false), ('order', 'margin', 'number', false)
	) AS w(part, col, wanted, required) WHERE w.part = attach_wanted.part
	UNION ALL SELECT f.col, f.wanted, f.need <> 'optional' FROM agentcrm.feed_columns() f WHERE f.feed = attach_wanted.part
$$;
COMMENT ON FUNCTION agentcrm.attach_wanted(text) IS 'Internal: columns that a part''s query may or must give';

CREATE FUNCTION agentcrm.attach_check_columns(reader jsonb, what text, part jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	columns jsonb := agentcrm.attach_columns(reader, what, part);
	unknown text;
	c record;
BEGIN
	SELECT string_agg(quote_ident(n), ', ' ORDER BY n) INTO unknown FROM jsonb_object_keys(columns) AS n
	WHERE n NOT IN (SELECT w.col FROM agentcrm.attach_wanted(part ->> 'name') w);
	IF unknown IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('%s gives a column that is not known: %s', what, unknown),
			'Known: ' || (SELECT string_agg(w.col, ', ') FROM agentcrm.attach_wanted(part ->> 'name') w) || '.', '42703');
	END IF;
	FOR c IN SELECT * FROM agentcrm.attach_wanted(part ->> 'name') LOOP
		IF NOT columns ? c.col THEN
			IF c.required THEN
				PERFORM agentcrm.attach_refuse(format('%s does not give %s', what, c.col),
					CASE part ->> 'kind' WHEN 'feed' THEN (SELECT 'It must give ' || string_agg(w.col, ', ') FILTER (WHERE w.required)
						|| coalesce('; it may give ' || string_agg(w.col, ', ') FILTER (WHERE NOT w.required), '') || '.' FROM agentcrm.attach_wanted(part ->> 'name') w)
						ELSE 'Where there is none, give NULL AS ' || c.col || ' if a NULL makes sense.' END, '42703');
			END IF;
			CONTINUE;
		END IF;
		PERFORM agentcrm.attach_check_type(what || ', column ' || c.col, c.wanted, (columns ->> c.col)::oid);
	END LOOP;
	RETURN columns;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_columns(jsonb, text, jsonb) IS 'Internal: refuses a query whose columns are missing, unknown or of a wrong type';

-- The part's own key must be rendered as the watched columns are, or changed rows would not be found again.
CREATE FUNCTION agentcrm.attach_check_own_key(what text, part jsonb, given oid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key oid[] := agentcrm.column_types((part ->> 'relation')::oid, agentcrm.part_array(part, 'key'));
	base oid := agentcrm.base_type(given);
	named text := (part ->> 'name') || '_key';
BEGIN
	IF cardinality(key) > 1 THEN
		IF base <> 'record'::regtype THEN
			PERFORM agentcrm.attach_refuse(format('%s: %s is of type %s, but the key has %s columns', what, named, format_type(given, NULL), cardinality(key)),
				format('Give ROW(%s) AS %s.', (SELECT string_agg(quote_ident(k), ', ') FROM unnest(agentcrm.part_array(part, 'key')) k), named), '42804');
		END IF;
	ELSIF base <> key[1] AND NOT (SELECT bool_and(typcategory = 'S') FROM pg_type WHERE oid IN (base, key[1])) THEN
		PERFORM agentcrm.attach_refuse(format('%s: %s is of type %s, but the key column is of type %s', what, named, format_type(given, NULL), format_type(key[1], NULL)),
			'Give the key column itself.', '42804');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_own_key(text, jsonb, oid) IS 'Internal: refuses an order_key, or a feed''s own key, of another type than the key columns';

CREATE FUNCTION agentcrm.touched_part(spec jsonb, part jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT p FROM jsonb_array_elements(spec -> 'parts') p WHERE p ->> 'name' = coalesce(part ->> 'touches', 'order')
$$;
COMMENT ON FUNCTION agentcrm.touched_part(jsonb, jsonb) IS 'Internal: the part whose keys a touch part gives';

CREATE FUNCTION agentcrm.attach_check_touch(reader jsonb, part jsonb, touched jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	orders boolean := touched ->> 'kind' = 'order';
	what text := format('argument watch, %s of %s', CASE WHEN orders THEN 'orders' ELSE 'keys' END, agentcrm.relation_name((part ->> 'relation')::oid));
	named text := CASE WHEN orders THEN 'order key' ELSE 'key' END;
	wanted oid[] := agentcrm.column_types((touched ->> 'relation')::oid, agentcrm.part_array(touched, 'key'));
	given jsonb := agentcrm.attach_columns(reader, what, part);
BEGIN
	IF (SELECT count(*) FROM jsonb_object_keys(given)) <> cardinality(wanted) THEN
		PERFORM agentcrm.attach_refuse(format('%s gives %s columns, but the %s has %s', what,
			(SELECT count(*) FROM jsonb_object_keys(given)), named, cardinality(wanted)), state => '42804');
	END IF;
	IF cardinality(wanted) = 1 AND NOT EXISTS (
		SELECT FROM jsonb_each_text(given) g JOIN pg_type t ON t.oid = agentcrm.base_type(g.value::oid) JOIN pg_type w ON w.oid = wanted[1]
		WHERE t.oid = w.oid OR t.typcategory = w.typcategory) THEN
		PERFORM agentcrm.attach_refuse(format('%s does not give the %s''s type', what, named),
			CASE WHEN orders THEN 'Give the key columns of the orders it touches.' ELSE format('Give the key columns of the rows of feed %s that it touches, of type %s.', touched ->> 'name', format_type(wanted[1], NULL)) END, '42804');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_touch(jsonb, jsonb, jsonb) IS 'Internal: refuses a touch query that does not give keys of the part it touches';

CREATE FUNCTION agentcrm.attach_check_relation(argument text, relation regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c pg_class;
	named text := agentcrm.relation_name(relation);
BEGIN
	SELECT * INTO c FROM pg_class WHERE oid = relation;
	IF c.relnamespace = 'pg_catalog'::regnamespace OR c.relnamespace = 'agentcrm'::regnamespace THEN
		PERFORM agentcrm.attach_refuse(format('argument %s: %s is not an application''s table', argument, named), state => '42809');
	ELSIF c.relpersistence = 't' THEN
		PERFORM agentcrm.attach_refuse(format('argument %s: %s is a temporary table, which no other session can read', argument, named), state => '42809');
	ELSIF c.relkind NOT IN ('r', 'p', 'v', 'm', 'f') THEN
		PERFORM agentcrm.attach_refuse(format('argument %s: %s is not a table', argument, named), state => '42809');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_relation(text, regclass) IS 'Internal: refuses what no other session can read, and what is no table';

-- The call by which a source would be attached, or is altered, with another value of one argument.
CREATE FUNCTION agentcrm.call_with(source agentcrm.source, argument text, value text) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN source.source_id IS NOT NULL THEN format('SELECT * FROM agentcrm.alter_source(%L, %s => %L)', source.name, argument, value)
		WHEN options ->> 'call' = 'attach' THEN agentcrm.attach_call(source.name, options)
		ELSE format('SELECT * FROM agentcrm.attach_query(%L, %s)', source.name, (SELECT string_agg(agentcrm.argument_text(k, options -> k), ', ' ORDER BY i)
			FROM unnest('{query,key,watch,namespace,time_zone,run_as,on_delete,archive_before}'::text[]) WITH ORDINALITY AS a(k, i) WHERE options ? k)) END
	FROM (SELECT source.options || jsonb_build_object(argument, value) AS options) AS o
$$;
COMMENT ON FUNCTION agentcrm.call_with(agentcrm.source, text, text) IS 'Internal: the call that attaches or alters a source with one argument changed';

CREATE FUNCTION agentcrm.all_seeing_role(relations oid[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.rolname::text FROM pg_roles r WHERE (r.rolbypassrls OR r.rolsuper) AND pg_has_role(current_user, r.oid, 'MEMBER')
	AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = ANY (relations) AND NOT (has_schema_privilege(r.oid, c.relnamespace, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT')))
	ORDER BY r.rolsuper, r.oid LIMIT 1
$$;
COMMENT ON FUNCTION agentcrm.all_seeing_role(oid[]) IS 'Internal: a role the caller is a member of that may read tables, all rows of them; no superuser if another will do';

CREATE FUNCTION agentcrm.attach_check_reader(source agentcrm.source) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run_as text := source.run_as;
	r pg_roles;
BEGIN
	SELECT * INTO r FROM pg_roles WHERE rolname = run_as;
	IF r.rolname IS NULL THEN
		PERFORM agentcrm.attach_refuse(format('argument run_as: role "%s" does not exist', run_as), state => '42704');
	ELSIF r.rolsuper AND NOT source.options ? 'run_as' THEN
		PERFORM agentcrm.refuse(format('attach: the tables belong to %s, a superuser, under whose rights nothing is read unless you say so', run_as),
			agentcrm.call_with(source, 'run_as', run_as), '42501', 'Better name a plain role that may read the tables.');
	ELSIF NOT pg_has_role(current_user, r.oid, 'MEMBER') THEN
		PERFORM agentcrm.attach_refuse(format('argument run_as: you are not a member of role "%s"', run_as),
			format('GRANT %I TO %I, or pass run_as with a role you are a member of that may read the tables.', run_as, current_user), '42501');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_reader(agentcrm.source) IS 'Internal: refuses a reading role that the caller may not use';

CREATE FUNCTION agentcrm.attach_check_rights(source agentcrm.source, relation regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run_as text := source.run_as;
	c pg_class;
	r pg_roles;
	named text := agentcrm.relation_name(relation);
BEGIN
	SELECT * INTO c FROM pg_class WHERE oid = relation;
	SELECT * INTO r FROM pg_roles WHERE rolname = run_as;
	IF NOT has_table_privilege(r.oid, relation, 'SELECT') AND NOT has_any_column_privilege(r.oid, relation, 'SELECT') THEN
		PERFORM agentcrm.attach_refuse(format('role %I, as which the source is read, may not read %s', run_as, named),
			format('GRANT SELECT ON %s TO %I, or pass run_as.', named, run_as), '42501');
	ELSIF NOT has_schema_privilege(r.oid, c.relnamespace, 'USAGE') THEN
		PERFORM agentcrm.attach_refuse(format('role %I, as which the source is read, may not use schema %I', run_as, c.relnamespace::regnamespace::name),
			format('GRANT USAGE ON SCHEMA %I TO %I, or pass run_as.', c.relnamespace::regnamespace::name, run_as), '42501');
	ELSIF c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
		AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE')) THEN
		PERFORM agentcrm.attach_refuse(format('row-level security of %s hides rows from role %I, as which the source is read', named, run_as),
			coalesce(agentcrm.call_with(source, 'run_as', agentcrm.all_seeing_role(ARRAY[c.oid])), format('ALTER ROLE %I BYPASSRLS, or pass run_as with a role that has it.', run_as)), '42501');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_rights(agentcrm.source, regclass) IS 'Internal: refuses a table that the reading role cannot fully read';

-- A part of a tree that is no plain table takes the whole tree along: half of its changes would be seen.
CREATE FUNCTION agentcrm.polled_because(relation regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN c.relkind = 'v' THEN 'a view' WHEN c.relkind = 'm' THEN 'a materialized view' WHEN c.relkind = 'f' THEN 'a foreign table'
		WHEN EXISTS (WITH RECURSIVE tree AS (SELECT c.oid UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid)
			SELECT FROM tree t JOIN pg_class f ON f.oid = t.oid WHERE f.relkind = 'f') THEN 'a table with foreign parts'
		WHEN NOT has_table_privilege(current_user, c.oid, 'TRIGGER') THEN format('a table on which %I may not create triggers', current_user) END
	FROM pg_class c WHERE c.oid = relation
$$;
COMMENT ON FUNCTION agentcrm.polled_because(regclass) IS 'Internal: what a relation is that cannot have triggers; NULL where it can';

CREATE FUNCTION agentcrm.view_tables(view oid, key text[], OUT relation oid, OUT columns text[]) RETURNS SETOF record
	LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'agentcrm_view_tables';
COMMENT ON FUNCTION agentcrm.view_tables(oid, text[]) IS 'Internal: tables below a view, and their columns that hold what the view''s key holds; NULL: not known';

-- In words that are the same under every IntervalStyle; took: what a look takes, of which twenty times passes before the next.
CREATE FUNCTION agentcrm.poll_text(took interval DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT round(extract(epoch FROM greatest(coalesce(nullif(current_setting('agentcrm.poll_interval', true), ''), '60s')::interval, 20 * took))) || ' s'
$$;
COMMENT ON FUNCTION agentcrm.poll_text(interval) IS 'Internal: how often relations without triggers are looked at';
