-- source/: a mapping that no longer fits the application's tables: what was renamed is followed or named, and the call that mends it is written out

-- By the catalog alone: to_regclass refuses a caller who may not use the schema.
CREATE FUNCTION agentcrm.relation_named(schema_name text, table_name text) RETURNS oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.oid FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid WHERE n.nspname = schema_name AND c.relname = table_name
$$;
COMMENT ON FUNCTION agentcrm.relation_named(text, text) IS 'Internal: a relation by its name; NULL when there is none';

-- What watched tables and their columns are called now that are no longer called as at attach.  Column numbers and the trigger's
-- place are good only in the database of the attach, where the trigger's name still has its table's oid.
CREATE FUNCTION agentcrm.watched_tables(source int) RETURNS TABLE (relation oid, schema_name text, table_name text, columns text[], column_types text[], named oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT DISTINCT c.oid, w.schema_name, w.table_name, w.columns, w.column_types, agentcrm.relation_named(w.schema_name, w.table_name)
	FROM agentcrm.source_watch w JOIN pg_trigger t ON t.tgname = format('agentcrm_%s_%s_%s', w.source_id, w.watch, t.tgrelid) AND t.tgfoid = 'agentcrm.capture'::regproc
	JOIN pg_class c ON c.oid = t.tgrelid
	-- its partitions have such triggers, too
	WHERE w.source_id = source AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_trigger p ON p.tgrelid = i.inhparent WHERE i.inhrelid = c.oid
		AND p.tgname = format('agentcrm_%s_%s_%s', w.source_id, w.watch, p.tgrelid))
$$;
COMMENT ON FUNCTION agentcrm.watched_tables(int) IS 'Internal: tables of a source wherever they are now, and which one has their name';

CREATE FUNCTION agentcrm.renamed(source int) RETURNS TABLE (relation regclass, schema_name text, table_name text, was text, becomes text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT w.relation::regclass, w.schema_name, w.table_name, k.name, a.attname::text
	FROM agentcrm.watched_tables(source) w CROSS JOIN unnest(w.columns) WITH ORDINALITY AS k(name, number) JOIN pg_attribute a ON a.attrelid = w.relation AND a.attnum = k.number
	WHERE k.name <> a.attname AND NOT a.attisdropped AND coalesce(w.named, w.relation) = w.relation
	AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = w.relation AND o.attname = k.name)
	UNION ALL
	SELECT w.relation::regclass, w.schema_name, w.table_name, NULL, agentcrm.relation_name(w.relation) FROM agentcrm.watched_tables(source) w WHERE w.named IS NULL
$$;
COMMENT ON FUNCTION agentcrm.renamed(int) IS 'Internal: columns (was) and tables (was is NULL) of a source that have another name than at attach, and that name';

CREATE FUNCTION agentcrm.renamed_column(source int, relation_named text, name text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT r.becomes FROM agentcrm.renamed(source) r WHERE format('%I.%I', r.schema_name, r.table_name) = relation_named AND r.was = name), name)
$$;
COMMENT ON FUNCTION agentcrm.renamed_column(int, text, text) IS 'Internal: what a column is called now';

-- A name as a word of its own, quoted or not, with what must stand before it.
CREATE FUNCTION agentcrm.replace_name(sql text, before text, was text, becomes text, after text DEFAULT '') RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT regexp_replace(sql, format('(?<![[:alnum:]_$"])(%s)(%s"%s"(?!")%s)', before, CASE WHEN was = lower(was) THEN p.name || '(?![[:alnum:]_$"])|' ELSE '' END, p.name, ''),
		'\1' || replace(quote_ident(becomes) || after, '\', '\\'), 'gi')
	FROM (SELECT regexp_replace(was, '([^[:alnum:]_])', '\\\1', 'g') AS name) AS p
$$;
COMMENT ON FUNCTION agentcrm.replace_name(text, text, text, text, text) IS 'Internal: replaces an identifier in a piece of SQL';

-- The new names in one expression of attach (after their alias), or anywhere in a query.
CREATE FUNCTION agentcrm.renamed_sql(source int, options jsonb, sql text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT n.*, a.alias FROM agentcrm.renamed(source) n LEFT JOIN (VALUES ('orders', 'o'), ('lines', 'l'), ('clients', 'c'), ('products', 'p'), ('reps', 'r')) AS a(argument, alias)
			ON options ->> a.argument = format('%I.%I', n.schema_name, n.table_name) ORDER BY n.was IS NULL LOOP
		IF r.was IS NOT NULL THEN
			sql := agentcrm.replace_name(sql, CASE WHEN r.alias IS NULL THEN '' ELSE r.alias || '\s*\.\s*' END, r.was, r.becomes);
		ELSIF r.alias IS NULL THEN
			sql := agentcrm.replace_name(agentcrm.replace_name(sql, '', r.table_name, (parse_ident(r.becomes))[2]), '', r.schema_name, (parse_ident(r.becomes))[1]);
		END IF;
	END LOOP;
	RETURN sql;
END $$;
COMMENT ON FUNCTION agentcrm.renamed_sql(int, jsonb, text) IS 'Internal: an expression or query under the names of now, as far as they can be told';

-- An expression of attach with columns that have another type now cast to the one they had.
CREATE FUNCTION agentcrm.cast_sql(source int, options jsonb, sql text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT t.alias, a.attname, w.column_types[a.attnum] AS was
			FROM (VALUES ('orders', 'o'), ('lines', 'l'), ('clients', 'c'), ('products', 'p'), ('reps', 'r')) AS t(argument, alias)
			JOIN agentcrm.watched_tables(source) w ON options ->> t.argument = agentcrm.relation_name(w.relation)
			JOIN pg_attribute a ON a.attrelid = w.relation AND a.attnum > 0 AND NOT a.attisdropped
			WHERE w.column_types[a.attnum] <> format_type(a.atttypid, a.atttypmod) LOOP
		sql := agentcrm.replace_name(sql, r.alias || '\s*\.\s*', r.attname, r.attname, '::' || r.was);
	END LOOP;
	RETURN sql;
END $$;
COMMENT ON FUNCTION agentcrm.cast_sql(int, jsonb, text) IS 'Internal: an expression under the types of attach';

CREATE FUNCTION agentcrm.renamed_table(source int, named text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT r.becomes FROM agentcrm.renamed(source) r WHERE r.was IS NULL AND named IN (format('%I.%I', r.schema_name, r.table_name), quote_ident(r.table_name)) LIMIT 1), named)
$$;
COMMENT ON FUNCTION agentcrm.renamed_table(int, text) IS 'Internal: what a table is called now';

-- Key columns of a watched table, as argument watch has them.
CREATE FUNCTION agentcrm.renamed_key(source int, relation text, given jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE jsonb_typeof(given)
		WHEN 'string' THEN to_jsonb(agentcrm.renamed_column(source, relation, given #>> '{}'))
		WHEN 'array' THEN (SELECT jsonb_agg(agentcrm.renamed_column(source, relation, e) ORDER BY i) FROM jsonb_array_elements_text(given) WITH ORDINALITY AS a(e, i))
		WHEN 'object' THEN (SELECT given || jsonb_build_object('key', agentcrm.renamed_key(source, relation, given -> 'key'),
			t.what, agentcrm.renamed_sql(source, '{}', given ->> t.what)) FROM (SELECT CASE WHEN given ? 'keys' THEN 'keys' ELSE 'orders' END AS what) AS t)
		ELSE given END;
END $$;
COMMENT ON FUNCTION agentcrm.renamed_key(int, text, jsonb) IS 'Internal: key columns under the names of now';

-- Table of a name as the options have it, qualified.
CREATE FUNCTION agentcrm.watched_name(source int, parts text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT format('%I.%I', w.schema_name, w.table_name) FROM agentcrm.source_watch w WHERE w.source_id = source
		AND w.table_name = parts[cardinality(parts)] AND (cardinality(parts) = 1 OR w.schema_name = parts[1]) LIMIT 1), array_to_string(parts, '.'))
$$;
COMMENT ON FUNCTION agentcrm.watched_name(int, text[]) IS 'Internal: qualified name of a watched table';

CREATE FUNCTION agentcrm.renamed_watch(source int, watch jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_object_agg(agentcrm.renamed_table(source, w.key), agentcrm.renamed_key(source, agentcrm.watched_name(source, parse_ident(w.key)), w.value)) FROM jsonb_each(watch) w
$$;
COMMENT ON FUNCTION agentcrm.renamed_watch(int, jsonb) IS 'Internal: argument watch under the names of now';

CREATE FUNCTION agentcrm.renamed_dotted(source int, key jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_agg(CASE WHEN p.now_column = p.column_name AND p.now_table = p.named THEN e ELSE p.now_table || '.' || quote_ident(p.now_column) END ORDER BY i)
	FROM jsonb_array_elements_text(key) WITH ORDINALITY AS a(e, i)
	CROSS JOIN LATERAL (SELECT parse_ident(e) AS parts) AS q
	CROSS JOIN LATERAL (SELECT agentcrm.watched_name(source, trim_array(q.parts, 1)) AS named, q.parts[cardinality(q.parts)] AS column_name) AS d
	CROSS JOIN LATERAL (SELECT d.*, agentcrm.renamed_table(source, d.named) AS now_table, agentcrm.renamed_column(source, d.named, d.column_name) AS now_column) AS p
$$;
COMMENT ON FUNCTION agentcrm.renamed_dotted(int, jsonb) IS 'Internal: argument key under the names of now';

-- plain_only: nothing but columns that stand alone, whose new name is certain.
CREATE FUNCTION agentcrm.renamed_options(source int, options jsonb, plain_only boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT jsonb_object_agg(o.key, CASE
		WHEN o.key IN ('orders', 'lines', 'clients', 'products', 'reps') THEN CASE WHEN plain_only THEN o.value ELSE to_jsonb(agentcrm.renamed_table(source, o.value #>> '{}')) END
		WHEN o.key IN ('order_key', 'line_order_key') THEN agentcrm.renamed_key(source, CASE o.key WHEN 'order_key' THEN coalesce(options ->> 'orders', options ->> 'lines') ELSE options ->> 'lines' END, o.value)
		WHEN o.key IN ('client_key', 'product_key') THEN agentcrm.renamed_key(source, options ->> CASE o.key WHEN 'client_key' THEN 'clients' ELSE 'products' END, o.value)
		WHEN o.key IN (SELECT argument FROM agentcrm.attach_arguments()) THEN CASE WHEN plain_only AND o.value #>> '{}' !~ '^\s*[a-z]\s*\.\s*("[^"]+"|[a-zA-Z_][a-zA-Z0-9_]*)\s*$' THEN o.value
			ELSE to_jsonb(agentcrm.renamed_sql(source, options, o.value #>> '{}')) END
		WHEN o.key = 'query' THEN CASE WHEN plain_only THEN o.value ELSE to_jsonb(agentcrm.renamed_sql(source, '{}', o.value #>> '{}')) END
		WHEN o.key = 'key' THEN agentcrm.renamed_dotted(source, o.value)
		WHEN o.key = 'watch' THEN agentcrm.renamed_watch(source, o.value)
		WHEN o.key = 'feeds' THEN (SELECT jsonb_object_agg(f.key, agentcrm.renamed_options(source, f.value, plain_only)) FROM jsonb_each(o.value) f)
		ELSE o.value END) FROM jsonb_each(options) o);
END $$;
COMMENT ON FUNCTION agentcrm.renamed_options(int, jsonb, boolean) IS 'Internal: options of a source under the names of now';

-- Arguments that do not fit, and what is wrong with the first of them.  What was blamed as a whole (a table, a key) is not looked into.
CREATE FUNCTION agentcrm.unfit_arguments(source agentcrm.source, options jsonb, OUT arguments text[], OUT message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reader jsonb := agentcrm.attach_reader(source);
	spec jsonb;
	e jsonb;
	argument text;
BEGIN
	arguments := '{}';
	BEGIN
		spec := agentcrm.options_spec(options, agentcrm.source_schemas(source));
	EXCEPTION WHEN OTHERS THEN
		message := regexp_replace(SQLERRM, '^attach: ', '');
		arguments := array_remove(ARRAY[coalesce(substring(message FROM '^argument (\w+)'), substring(message FROM 'pass (\w+)$'))], NULL);
		RETURN;
	END;
	FOR e, argument IN SELECT a, a ->> 'argument' FROM jsonb_array_elements(spec -> 'arguments') a LOOP
		BEGIN
			PERFORM agentcrm.attach_check_argument(reader, e);
		EXCEPTION WHEN OTHERS THEN
			arguments := arguments || argument;
			message := coalesce(message, regexp_replace(SQLERRM, '^attach: ', ''));
		END;
	END LOOP;
	FOR e IN SELECT p FROM jsonb_array_elements(spec -> 'parts') p WHERE arguments = '{}' LOOP
		BEGIN
			IF e ->> 'kind' = 'touch' THEN
				PERFORM agentcrm.attach_check_touch(reader, e, agentcrm.touched_part(spec, e));
			ELSE
				PERFORM agentcrm.attach_check_columns(reader, CASE e ->> 'kind' WHEN 'order' THEN 'query' ELSE 'query of feed ' || (e ->> 'name') END, e);
				PERFORM agentcrm.attach_check_watermark(reader, e);
			END IF;
		EXCEPTION WHEN OTHERS THEN
			message := coalesce(message, regexp_replace(SQLERRM, '^attach: ', ''));
			IF options -> 'feeds' ? coalesce(e ->> 'touches', e ->> 'name') THEN
				arguments := arguments || ('feed ' || coalesce(e ->> 'touches', e ->> 'name'));
			ELSIF options ? 'query' THEN
				arguments := arguments || CASE e ->> 'kind' WHEN 'order' THEN 'query' ELSE 'watch' END;
			END IF;
		END;
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.unfit_arguments(agentcrm.source, jsonb) IS 'Internal: arguments of a source that do not fit the application''s tables';

-- What a call must say for an argument: as it would fit, or three dots for the caller to fill in.
CREATE FUNCTION agentcrm.argument_text(argument text, given jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT argument || ' => ' || CASE jsonb_typeof(given) WHEN 'array' THEN quote_literal((SELECT array_agg(e ORDER BY i) FROM jsonb_array_elements_text(given) WITH ORDINALITY AS a(e, i))::text)
		WHEN 'string' THEN quote_literal(given #>> '{}') WHEN 'object' THEN quote_literal(given::text) ELSE '''...''' END
$$;
COMMENT ON FUNCTION agentcrm.argument_text(text, jsonb) IS 'Internal: an argument of a call, written out';

-- What merely describes clients and products can be done without; conditions and figures cannot.
CREATE FUNCTION agentcrm.mending_call(source agentcrm.source, suggested jsonb, unfit text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(c, '; ' ORDER BY i) FROM (
		SELECT 0 AS i, format('SELECT agentcrm.alter_source(%s)', concat_ws(', ', quote_literal(source.name),
			(SELECT string_agg(agentcrm.argument_text(a, CASE WHEN a <> ALL (unfit) THEN suggested -> a END), ', ' ORDER BY a)
			FROM (SELECT k AS a FROM jsonb_object_keys(suggested) k WHERE k <> 'feeds' AND suggested -> k <> source.options -> k
				UNION SELECT u FROM unnest(unfit) u WHERE u !~ '^feed ') AS s WHERE a <> ALL (d.lost)),
			CASE WHEN d.lost <> '{}' THEN 'reset => ' || quote_literal(d.lost::text) END)) AS c
		FROM (SELECT ARRAY(SELECT u FROM unnest(unfit) u WHERE source.options ? u AND u IN ('margin', 'rep', 'client_name', 'client_parent', 'client_active', 'channel', 'territory',
			'product_name', 'category', 'product_active', 'pack_qty') ORDER BY u) AS lost) AS d
		WHERE suggested - 'feeds' <> source.options - 'feeds' OR unfit = '{}' AND suggested = source.options OR EXISTS (SELECT FROM unnest(unfit) u WHERE u !~ '^feed ')
		UNION ALL
		SELECT 1, format('SELECT agentcrm.attach_feed(%L, %L, %s)', source.name, f.key, (SELECT string_agg(
			agentcrm.argument_text(g.key, CASE WHEN g.key <> 'query' OR 'feed ' || f.key <> ALL (unfit) THEN g.value END), ', ' ORDER BY g.key = 'key', g.key) FROM jsonb_each(f.value) g))
		FROM jsonb_each(suggested -> 'feeds') f WHERE f.value <> source.options -> 'feeds' -> f.key OR 'feed ' || f.key = ANY (unfit)) AS calls
$$;
COMMENT ON FUNCTION agentcrm.mending_call(agentcrm.source, jsonb, text[]) IS 'Internal: the call that makes a mapping fit again';

-- What keeps the reading role from reading, whatever the mapping says.
CREATE FUNCTION agentcrm.reader_problem(source agentcrm.source) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN r.oid IS NULL THEN format('role "%s" does not exist, as which the source is read: SELECT agentcrm.alter_source(%L, run_as => ''...'')', source.run_as, source.name)
		WHEN NOT pg_has_role(r.oid, 'MEMBER') THEN format('role "%s" may not read source "%s" as role "%s": GRANT %I TO %I', current_user, source.name, source.run_as, source.run_as, current_user)
		ELSE coalesce((SELECT format('row-level security of %s hides rows from role "%s": SELECT agentcrm.alter_source(%L, run_as => ''...''), a role that has BYPASSRLS', agentcrm.relation_name(c.oid), source.run_as, source.name)
			FROM agentcrm.source_watch w JOIN pg_class c ON c.oid = agentcrm.relation_named(w.schema_name, w.table_name)
			WHERE w.source_id = source.source_id AND w.via IS NULL AND c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
			ORDER BY w.watch LIMIT 1),
			(SELECT format('role "%s", as which the source is read, may not read %s: GRANT %s TO %I', source.run_as, agentcrm.relation_name(c.oid),
				CASE WHEN has_schema_privilege(r.oid, n.oid, 'USAGE') THEN 'SELECT ON ' || agentcrm.relation_name(c.oid) ELSE format('USAGE ON SCHEMA %I', n.nspname) END, source.run_as)
			FROM agentcrm.source_watch w JOIN pg_namespace n ON n.nspname = w.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name
			WHERE w.source_id = source.source_id AND w.via IS NULL AND NOT (has_schema_privilege(r.oid, n.oid, 'USAGE')
				AND (has_table_privilege(r.oid, c.oid, 'SELECT') OR has_any_column_privilege(r.oid, c.oid, 'SELECT'))) ORDER BY w.watch LIMIT 1)) END
	FROM (SELECT) AS one LEFT JOIN pg_roles r ON r.rolname = source.run_as
$$;
COMMENT ON FUNCTION agentcrm.reader_problem(agentcrm.source) IS 'Internal: what the reading role lacks';

CREATE FUNCTION agentcrm.class_problem(source agentcrm.source) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('the key (%s) of %I.%I is %s now and was %s: its rows would get other ids; to read them anew: SELECT agentcrm.alter_source(%L)', array_to_string(p.key_columns, ', '),
		p.key_schema, p.key_table, array_to_string(k.classes, ', '), array_to_string(p.key_classes, ', '), source.name)
	FROM agentcrm.source_part p CROSS JOIN LATERAL (SELECT agentcrm.part_classes(jsonb_build_object('relation', agentcrm.relation_named(p.key_schema, p.key_table), 'key', p.key_columns))) AS k(classes)
	WHERE p.source_id = source.source_id AND cardinality(k.classes) = cardinality(p.key_classes) AND k.classes <> p.key_classes ORDER BY p.part LIMIT 1
$$;
COMMENT ON FUNCTION agentcrm.class_problem(agentcrm.source) IS 'Internal: a key whose type is of another kind than at attach';

-- Why a mapping does not fit, with the call that mends it; error is what its reading says.
CREATE FUNCTION agentcrm.mapping_problem(source agentcrm.source, error text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	suggested jsonb := agentcrm.renamed_options(source.source_id, source.options, false);
	before record;
	after record;
	names text;
	a text;
	casted jsonb;
	problem text := coalesce(agentcrm.reader_problem(source), agentcrm.class_problem(source));
BEGIN
	IF problem IS NOT NULL THEN
		RETURN problem;
	END IF;
	before := agentcrm.unfit_arguments(source, source.options);
	after := CASE WHEN suggested = source.options THEN before ELSE agentcrm.unfit_arguments(source, suggested) END;
	FOREACH a IN ARRAY after.arguments LOOP
		CONTINUE WHEN jsonb_typeof(suggested -> a) IS DISTINCT FROM 'string';
		casted := suggested || jsonb_build_object(a, agentcrm.cast_sql(source.source_id, suggested, suggested ->> a));
		IF casted <> suggested AND a <> ALL ((agentcrm.unfit_arguments(source, casted)).arguments) THEN
			suggested := casted;
			after.arguments := array_remove(after.arguments, a);
		END IF;
	END LOOP;
	SELECT string_agg(format('%s is %s now', concat_ws('.', quote_ident(r.schema_name), quote_ident(r.table_name), quote_ident(r.was)), CASE WHEN r.was IS NULL THEN r.becomes ELSE quote_ident(r.becomes) END), ', ' ORDER BY r.was) INTO names
	FROM (SELECT DISTINCT schema_name, table_name, was, becomes FROM agentcrm.renamed(source.source_id)) r;
	RETURN coalesce(before.message, error) || coalesce(' (' || names || ')', '') || ': ' || agentcrm.mending_call(source, suggested, after.arguments);
END $$;
COMMENT ON FUNCTION agentcrm.mapping_problem(agentcrm.source, text) IS 'Internal: why a mapping does not fit, and the call that mends it';

-- The same mapping under other names; false when it would be another one, or is the one there is.
CREATE FUNCTION agentcrm.mapping_rewrite(source agentcrm.source, options jsonb, spec jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	same int;
	changed int;
BEGIN
	SELECT count(*), count(*) FILTER (WHERE s.query <> p ->> 'query' OR s.watermark <> p ->> 'watermark' OR s.key_columns <> agentcrm.part_array(p, 'key')) INTO same, changed
	FROM jsonb_array_elements(spec -> 'parts') p JOIN agentcrm.source_part s ON s.source_id = source.source_id AND s.name = p ->> 'name' AND s.kind = p ->> 'kind'
		AND format('%I.%I', s.key_schema, s.key_table) = agentcrm.relation_name((p ->> 'relation')::oid) AND s.key_classes = agentcrm.part_classes(p)
		AND ARRAY(SELECT agentcrm.renamed_column(source.source_id, format('%I.%I', s.key_schema, s.key_table), k) FROM unnest(s.key_columns) WITH ORDINALITY AS a(k, i) ORDER BY i)
			= agentcrm.part_array(p, 'key');
	IF changed = 0 OR same <> jsonb_array_length(spec -> 'parts') OR same <> (SELECT count(*) FROM agentcrm.source_part s WHERE s.source_id = source.source_id) THEN
		RETURN false;
	END IF;
	SELECT count(*) INTO same FROM jsonb_array_elements(spec -> 'watches') w JOIN agentcrm.source_part p ON p.source_id = source.source_id AND p.name = w ->> 'part'
	JOIN agentcrm.source_watch s ON s.source_id = p.source_id AND s.part = p.part AND format('%I.%I', s.schema_name, s.table_name) = agentcrm.relation_name((w ->> 'relation')::oid);
	IF same <> jsonb_array_length(spec -> 'watches') OR same <> (SELECT count(*) FROM agentcrm.source_watch s WHERE s.source_id = source.source_id) THEN
		RETURN false;
	END IF;
	UPDATE agentcrm.source_part s SET query = p ->> 'query', watermark = p ->> 'watermark', key_columns = agentcrm.part_array(p, 'key')
	FROM jsonb_array_elements(spec -> 'parts') p WHERE s.source_id = source.source_id AND s.name = p ->> 'name';
	UPDATE agentcrm.source_watch s SET key_columns = agentcrm.part_array(w, 'key'), columns = agentcrm.columns_by_number((w ->> 'relation')::oid),
		column_types = agentcrm.types_by_number((w ->> 'relation')::oid)
	FROM jsonb_array_elements(spec -> 'watches') w JOIN agentcrm.source_part p ON p.source_id = source.source_id AND p.name = w ->> 'part'
	WHERE s.source_id = p.source_id AND s.part = p.part AND format('%I.%I', s.schema_name, s.table_name) = agentcrm.relation_name((w ->> 'relation')::oid);
	UPDATE agentcrm.source s SET options = mapping_rewrite.options, version = greatest(s.version + 1, pg_current_xact_id()::text::bigint * 1024) WHERE s.source_id = source.source_id;
	RETURN true;
END $$;
COMMENT ON FUNCTION agentcrm.mapping_rewrite(agentcrm.source, jsonb, jsonb) IS 'Internal: writes a mapping in which only names of columns have changed';

CREATE FUNCTION agentcrm.mapping_mend(source_id int, error text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s agentcrm.source;
	followed jsonb;
BEGIN
	SELECT * INTO s FROM agentcrm.source x WHERE x.source_id = mapping_mend.source_id;
	followed := agentcrm.renamed_options(s.source_id, s.options, true);
	IF agentcrm.reader_problem(s) IS NULL AND agentcrm.class_problem(s) IS NULL AND (agentcrm.unfit_arguments(s, followed)).message IS NULL THEN
		IF agentcrm.mapping_rewrite(s, followed, agentcrm.options_spec(followed, agentcrm.source_schemas(s))) THEN
			RETURN NULL;
		END IF;
	END IF;
	RETURN agentcrm.mapping_problem(s, error);
EXCEPTION WHEN OTHERS THEN
	RETURN format('%s: SELECT agentcrm.alter_source(%L)', error, s.name);
END $$;
COMMENT ON FUNCTION agentcrm.mapping_mend(int, text) IS 'Internal: follows renamed columns, and gives NULL; where that is not enough, what is wrong and the call that mends it';

-- What was missed while the tables were away, or had no triggers, is looked for.
CREATE FUNCTION agentcrm.mapping_fits(source_id int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s agentcrm.source;
BEGIN
	UPDATE agentcrm.source x SET state = agentcrm.working_state(x), problem = NULL, unfit = false WHERE x.source_id = mapping_fits.source_id RETURNING * INTO s;
	UPDATE agentcrm.event_failed f SET retry_at = agentcrm.clock() WHERE f.source_id = s.source_id AND f.retry_at = 'infinity' AND f.sqlstate = '55000';
	PERFORM agentcrm.start_load(s, NULL, NULL, 'tables changed', true);
END $$;
COMMENT ON FUNCTION agentcrm.mapping_fits(int) IS 'Internal: lets a source go on whose mapping fits again';
