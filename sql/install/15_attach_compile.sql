-- source/: attach's named tables and expressions, compiled to the general form: an order query, feeds and watches

CREATE FUNCTION agentcrm.primary_key(relation regclass) RETURNS text[]
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(a.attname::text ORDER BY k.i)
	FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY AS k(attnum, i), pg_attribute a
	WHERE c.conrelid = relation AND c.contype = 'p' AND a.attrelid = relation AND a.attnum = k.attnum
$$;
COMMENT ON FUNCTION agentcrm.primary_key(regclass) IS 'Internal: primary key columns';

CREATE FUNCTION agentcrm.foreign_keys(referencing regclass, referenced regclass) RETURNS TABLE (columns text[], target text[])
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT DISTINCT array_agg(a.attname::text ORDER BY k.i), array_agg(b.attname::text ORDER BY k.i)
	FROM pg_constraint c, unnest(c.conkey, c.confkey) WITH ORDINALITY AS k(here, there, i), pg_attribute a, pg_attribute b
	WHERE c.conrelid = referencing AND c.confrelid = referenced AND c.contype = 'f'
	AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.conrelid = referencing)
	AND a.attrelid = referencing AND a.attnum = k.here AND b.attrelid = referenced AND b.attnum = k.there
	GROUP BY c.oid
$$;
COMMENT ON FUNCTION agentcrm.foreign_keys(regclass, regclass) IS 'Internal: foreign keys from one table to another';

CREATE FUNCTION agentcrm.sql_columns(alias text, columns text[]) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(format('%s.%I', alias, c), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY AS a(c, i)
$$;
COMMENT ON FUNCTION agentcrm.sql_columns(text, text[]) IS 'Internal: list of columns';

CREATE FUNCTION agentcrm.sql_key(alias text, columns text[]) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN cardinality(columns) = 1 THEN agentcrm.sql_columns(alias, columns) ELSE format('ROW(%s)', agentcrm.sql_columns(alias, columns)) END
$$;
COMMENT ON FUNCTION agentcrm.sql_key(text, text[]) IS 'Internal: a key as one expression';

CREATE FUNCTION agentcrm.sql_match(left_alias text, left_columns text[], right_alias text, right_columns text[]) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(format('%s.%I = %s.%I', left_alias, l, right_alias, r), ' AND ' ORDER BY i)
	FROM unnest(left_columns, right_columns) WITH ORDINALITY AS a(l, r, i)
$$;
COMMENT ON FUNCTION agentcrm.sql_match(text, text[], text, text[]) IS 'Internal: a join condition';

-- The keys asked for come in on the native typed columns, so that indexes serve.
CREATE FUNCTION agentcrm.sql_by_key(tables text, alias text, columns text[], conditions text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN cardinality(columns) = 1 THEN format(E'FROM %s\nWHERE %s.%I = ANY ($1)%s', tables, alias, columns[1], conditions)
	ELSE format(E'FROM %s\nJOIN unnest(%s) AS agentcrm_key (%s) ON %s%s', tables,
		(SELECT string_agg('$' || i, ', ' ORDER BY i) FROM generate_subscripts(columns, 1) i),
		(SELECT string_agg('k' || i, ', ' ORDER BY i) FROM generate_subscripts(columns, 1) i),
		agentcrm.sql_match(alias, columns, 'agentcrm_key', ARRAY(SELECT 'k' || i FROM generate_subscripts(columns, 1) i ORDER BY i)),
		regexp_replace(conditions, E'^\n  AND', E'\nWHERE')) END
$$;
COMMENT ON FUNCTION agentcrm.sql_by_key(text, text, text[], text) IS 'Internal: FROM and WHERE of a query for keys $1, $2, ...';

CREATE FUNCTION agentcrm.sql_expression(expression text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN expression ~ '^\s*[a-z]\s*\.\s*("[^"]+"|[a-z_][a-z0-9_]*)\s*$' THEN btrim(expression)
	WHEN expression ~ '--' THEN format(E'(%s\n)', expression) ELSE format('(%s)', expression) END
$$;
COMMENT ON FUNCTION agentcrm.sql_expression(text) IS 'Internal: an argument''s expression, in parentheses where it needs them';

-- May say yes to an alias inside a string; the join is then made without need.
CREATE FUNCTION agentcrm.uses_alias(expression text, alias text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(expression ~* format('(^|[^[:alnum:]_$".])(%1$s|"%1$s")\s*\.', alias), false)
$$;
COMMENT ON FUNCTION agentcrm.uses_alias(text, text) IS 'Internal: whether an expression seems to use an alias';

CREATE FUNCTION agentcrm.option_table(options jsonb, argument text) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result regclass;
BEGIN
	IF options ? argument THEN
		result := agentcrm.attach_relation(argument, parse_ident(options ->> argument), '{}');
		PERFORM agentcrm.attach_check_relation(argument, result);
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.option_table(jsonb, text) IS 'Internal: a table argument';

-- Equal numbers, texts, uuids and dates read alike, unless a collation or a blank-padded type takes different texts for one.
CREATE FUNCTION agentcrm.spelled_alike(here regclass, here_columns text[], there regclass, there_columns text[]) RETURNS boolean
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT bool_and(CASE WHEN h.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
			THEN t.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
		WHEN h.type IN ('text'::regtype, 'varchar'::regtype) THEN t.type IN ('text'::regtype, 'varchar'::regtype) AND h.collisdeterministic AND t.collisdeterministic
		ELSE h.type = t.type AND (h.type IN ('uuid'::regtype, 'date'::regtype) OR h.type = 'bpchar'::regtype AND h.collisdeterministic AND t.collisdeterministic) END)
	FROM unnest(here_columns, there_columns) AS k(h, t)
	CROSS JOIN LATERAL (SELECT agentcrm.base_type(a.atttypid) AS type, c.collisdeterministic FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
		WHERE a.attrelid = here AND a.attname = k.h) AS h
	CROSS JOIN LATERAL (SELECT agentcrm.base_type(a.atttypid) AS type, c.collisdeterministic FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
		WHERE a.attrelid = there AND a.attname = k.t) AS t
$$;
COMMENT ON FUNCTION agentcrm.spelled_alike(regclass, text[], regclass, text[]) IS 'Internal: whether columns that hold equal keys hold the same texts';

-- Plain columns of an order or a line, as many as the key named: the way that a foreign key would be.
CREATE FUNCTION agentcrm.attach_named_way(argument text, expression text, target_key text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	column_pattern text := '([ol])\s*\.\s*("[^"]+"|[a-z_][a-z0-9_$]*)';
	way jsonb;
BEGIN
	IF regexp_replace(expression, column_pattern, '', 'g') ~ '^\s*(ROW\s*)?\(?[\s,]*\)?\s*$' THEN
		SELECT jsonb_build_object('alias', min(m[1]), 'columns', jsonb_agg((parse_ident(m[2]))[1] ORDER BY i), 'target', target_key) INTO way
		FROM regexp_matches(expression, column_pattern, 'g') WITH ORDINALITY AS a(m, i) HAVING count(DISTINCT m[1]) = 1 AND count(*) = cardinality(target_key);
	END IF;
	IF way IS NULL AND cardinality(target_key) > 1 THEN
		PERFORM agentcrm.attach_refuse(format('argument %s must name %s columns of the order or the line, as %1$s_key does: ROW(o.a, o.b)', argument, cardinality(target_key)));
	END IF;
	RETURN CASE WHEN way IS NULL THEN '[]' ELSE jsonb_build_array(way) END;
END $$;
COMMENT ON FUNCTION agentcrm.attach_named_way(text, text, text[]) IS 'Internal: the columns by which an expression names the key of another table';

/*
 * How an order reaches the row of another table (client, product, rep): by the
 * one foreign key from the order or the line, the nearer first; where several
 * lead there, the argument's plain column tells which; where none does, the
 * argument's expression is the key of that row.  Where a foreign key may
 * be spelled otherwise than the key it leads to, that row's own key is read.
 * target_key names other columns of that row than a foreign key or its
 * primary key would: then the expression is their value.
 */
CREATE FUNCTION agentcrm.attach_link(argument text, expression text, alias text, target regclass, near regclass, near_alias text, far regclass, far_alias text, target_key text[] DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ways jsonb;
	way jsonb;
	wanted text := regexp_replace(expression, '[\s"]', '', 'g');
	key text[];
BEGIN
	IF target_key IS NULL THEN
		SELECT jsonb_agg(jsonb_build_object('alias', v.a, 'columns', f.columns, 'target', f.target) ORDER BY v.i) INTO ways
		FROM (VALUES (1, near, near_alias), (2, far, far_alias)) AS v(i, r, a), agentcrm.foreign_keys(v.r, target) f;
	ELSE
		ways := agentcrm.attach_named_way(argument, expression, target_key);
	END IF;
	SELECT w INTO way FROM jsonb_array_elements(ways) w
	WHERE wanted = regexp_replace(agentcrm.sql_key(w ->> 'alias', agentcrm.part_array(w, 'columns')), '[\s"]', '', 'g') LIMIT 1;
	IF way IS NULL AND (expression IS NULL OR agentcrm.uses_alias(expression, alias)) THEN
		SELECT CASE WHEN count(*) = 1 THEN min(w::text)::jsonb END INTO way FROM jsonb_array_elements(ways) w
		WHERE w ->> 'alias' = ways -> 0 ->> 'alias';
		IF way IS NULL THEN
			PERFORM agentcrm.attach_refuse(format('cannot tell which column of %s names the %s', agentcrm.relation_name(coalesce(near, far)), argument)
				|| CASE WHEN expression IS NULL THEN format('; pass %s', argument) ELSE format(' row %s', alias) END,
				CASE WHEN ways IS NULL THEN format('No foreign key to %s.', agentcrm.relation_name(target))
				ELSE format('Foreign keys to %s: pass %s.', agentcrm.relation_name(target), (SELECT string_agg(format('%s%s => %L', argument, CASE WHEN expression IS NOT NULL THEN '_link' END,
						agentcrm.sql_key(w ->> 'alias', agentcrm.part_array(w, 'columns'))), ', or ' ORDER BY i) FROM jsonb_array_elements(ways) WITH ORDINALITY AS a(w, i))) END
				|| CASE WHEN expression IS NULL OR argument = 'client' THEN '' ELSE ' Use attach_query to write the join yourself.' END, '42P17');
		END IF;
	END IF;
	IF way IS NOT NULL THEN
		RETURN jsonb_build_object('key', way -> 'target', 'expression', CASE WHEN agentcrm.spelled_alike(CASE way ->> 'alias' WHEN near_alias THEN near ELSE far END,
				agentcrm.part_array(way, 'columns'), target, agentcrm.part_array(way, 'target'))
			THEN agentcrm.sql_key(way ->> 'alias', agentcrm.part_array(way, 'columns')) ELSE agentcrm.sql_key(alias, agentcrm.part_array(way, 'target')) END,
			'join', agentcrm.sql_match(alias, agentcrm.part_array(way, 'target'), way ->> 'alias', agentcrm.part_array(way, 'columns')),
			'alias', way -> 'alias', 'columns', way -> 'columns');
	END IF;
	key := coalesce(target_key, agentcrm.primary_key(target));
	IF cardinality(key) IS DISTINCT FROM 1 THEN
		PERFORM agentcrm.attach_refuse(format('%s has %s, so argument %s cannot name its rows', agentcrm.relation_name(target),
			CASE WHEN key IS NULL THEN 'no primary key' ELSE 'a primary key of several columns and no foreign key to it' END, argument),
			'Use attach_query and attach_feed.', '42P17');
	END IF;
	RETURN jsonb_build_object('key', key, 'expression', expression, 'join', format('%s.%I = %s', alias, key[1], agentcrm.sql_expression(expression)),
		'alias', CASE WHEN agentcrm.uses_alias(expression, 'l') OR near_alias = 'l' AND far IS NULL THEN 'l' ELSE 'o' END);
END $$;
COMMENT ON FUNCTION agentcrm.attach_link(text, text, text, regclass, regclass, text, regclass, text, text[]) IS 'Internal: how orders reach clients, products or reps';

CREATE FUNCTION agentcrm.attach_arguments() RETURNS TABLE (argument text, part text, col text, wanted text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	VALUES ('is_sale', 'order', NULL, 'condition'), ('line_ok', 'order', NULL, 'condition'), ('watermark', 'order', NULL, 'time'),
		('client', 'order', 'client_key', 'key'), ('line_key', 'order', 'line_key', 'key'), ('product', 'order', 'product_key', 'key'),
		('at', 'order', 'ordered_at', 'time'), ('quantity', 'order', 'quantity', 'number'), ('amount', 'order', 'amount', 'number'),
		('rep', 'order', 'rep_key', 'key'), ('kind', 'order', 'kind', 'text'), ('margin', 'order', 'margin', 'number'),
		('client_name', 'client', 'name', 'key'), ('client_parent', 'client', 'parent_key', 'key'), ('client_active', 'client', 'active', 'condition'),
		('client_replaced_by', 'client', 'replaced_by_key', 'key'),
		('channel', 'client', 'channel', 'key'), ('territory', 'client', 'territory', 'key'),
		('product_name', 'product', 'name', 'key'), ('category', 'product', 'category', 'key'), ('product_active', 'product', 'active', 'condition'),
		('pack_qty', 'product', 'pack_qty', 'number')
$$;
COMMENT ON FUNCTION agentcrm.attach_arguments() IS 'Internal: expression arguments of attach, the part and column they make, and the type they need';

-- What can be refused before catalogs are looked at.
CREATE FUNCTION agentcrm.attach_check_options(options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad text;
BEGIN
	IF NOT options ?| '{orders,lines}' THEN
		PERFORM agentcrm.attach_refuse('pass orders, lines or both: the tables that hold the orders');
	END IF;
	SELECT a.argument INTO bad FROM unnest('{at,quantity,amount}'::text[]) AS a(argument) WHERE NOT options ? a.argument LIMIT 1;
	IF bad IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse('pass ' || bad || CASE bad WHEN 'at' THEN ': when the order was made' WHEN 'quantity' THEN ': units ordered' ELSE ': net amount of the line' END,
			'An expression over o (order), l (line), c (client), p (product).');
	END IF;
	SELECT a.argument || ' needs argument ' || a.part || 's' INTO bad FROM agentcrm.attach_arguments() a
	WHERE a.part IN ('client', 'product') AND options ? a.argument AND NOT options ? (a.part || 's') LIMIT 1;
	IF bad IS NULL AND options ? 'line_ok' AND NOT options ? 'lines' THEN
		bad := 'line_ok needs argument lines';
	ELSIF bad IS NULL AND options ? 'client_link' AND NOT options ? 'clients' THEN
		bad := 'client_link needs argument clients';
	ELSIF bad IS NULL AND options ? 'client_key' AND NOT (options ? 'clients' AND options ?| '{client,client_link}') THEN
		bad := 'client_key needs arguments clients and client';
	ELSIF bad IS NULL AND options ? 'product_key' AND NOT options ?& '{products,product}' THEN
		bad := 'product_key needs arguments products and product';
	ELSIF bad IS NULL AND options ? 'line_order_key' AND NOT options ?& '{orders,lines}' THEN
		bad := 'line_order_key needs arguments orders and lines; for one table pass order_key';
	ELSIF bad IS NULL AND NOT options ?| '{client,clients}' THEN
		PERFORM agentcrm.attach_refuse('pass client, the expression that names the client, or clients, the table that a foreign key leads to');
	ELSIF bad IS NULL AND options ? 'lines' AND NOT options ?| '{product,products}' THEN
		PERFORM agentcrm.attach_refuse('pass product, the expression that names the product, or products, the table that a foreign key leads to');
	END IF;
	IF bad IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse('argument ' || bad);
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_options(jsonb) IS 'Internal: refuses arguments that do not go together';

CREATE FUNCTION agentcrm.attach_order_key(options jsonb, orders regclass, lines regclass, OUT order_key text[], OUT line_order_key text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	base regclass := coalesce(orders, lines);
	ways int;
	target text[];
BEGIN
	order_key := CASE WHEN options ? 'order_key' THEN agentcrm.attach_key_columns('order_key', base, options -> 'order_key')
				 WHEN orders IS NOT NULL THEN agentcrm.primary_key(orders) END;
	IF orders IS NOT NULL AND lines IS NOT NULL THEN
		IF options ? 'line_order_key' THEN
			line_order_key := agentcrm.attach_key_columns('line_order_key', lines, options -> 'line_order_key');
			IF cardinality(line_order_key) <> cardinality(order_key) THEN
				PERFORM agentcrm.attach_refuse(format('argument line_order_key names %s columns, but the order key has %s', cardinality(line_order_key), cardinality(order_key)));
			END IF;
		ELSE
			SELECT count(*) OVER (), f.columns, f.target INTO ways, line_order_key, target FROM agentcrm.foreign_keys(lines, orders) f LIMIT 1;
			IF ways IS DISTINCT FROM 1 THEN
				PERFORM agentcrm.attach_refuse(format('cannot tell which column of %s names the order; pass line_order_key', agentcrm.relation_name(lines)),
					format('%s foreign keys to %s.', coalesce(ways::text, 'No'), agentcrm.relation_name(orders)), '42P17');
			ELSIF NOT options ? 'order_key' THEN
				order_key := target;
			ELSIF NOT order_key <@ target OR NOT target <@ order_key THEN
				PERFORM agentcrm.attach_refuse(format('the foreign key of %s references other columns than order_key; pass line_order_key', agentcrm.relation_name(lines)), state => '42P17');
			ELSE
				line_order_key := ARRAY(SELECT line_order_key[array_position(target, k)] FROM unnest(order_key) WITH ORDINALITY AS a(k, i) ORDER BY i);
			END IF;
		END IF;
	END IF;
	IF order_key IS NULL THEN
		PERFORM agentcrm.attach_refuse(CASE WHEN orders IS NULL THEN format('pass order_key: the columns of %s that name the order', agentcrm.relation_name(base))
			ELSE format('%s has no primary key; pass order_key: the columns that name the order', agentcrm.relation_name(base)) END, state => '42P17');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_order_key(jsonb, regclass, regclass) IS 'Internal: columns that name an order, in orders and in lines';

CREATE FUNCTION agentcrm.default_line_key(lines regclass, line_order_key text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN cardinality(key) = 1 THEN agentcrm.sql_key('l', key)
		ELSE agentcrm.sql_key('l', (SELECT array_agg(k ORDER BY i) FROM unnest(key) WITH ORDINALITY AS a(k, i) WHERE k <> ALL (line_order_key))) END
	FROM agentcrm.primary_key(lines) AS key
$$;
COMMENT ON FUNCTION agentcrm.default_line_key(regclass, text[]) IS 'Internal: primary key of a line, or what of it is not the order''s';

CREATE FUNCTION agentcrm.attach_feed_part(feed text, relation regclass, alias text, key text[], columns jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_part(feed, 'feed', format(E'SELECT %s AS %s_key%s\n', agentcrm.sql_key(alias, key), feed,
		coalesce((SELECT string_agg(format(',%s%s AS %s', E'\n       ', agentcrm.sql_expression(c.value), c.key), '' ORDER BY w.i)
			FROM jsonb_each_text(columns) c JOIN (SELECT col, row_number() OVER () AS i FROM agentcrm.attach_wanted(feed)) w ON w.col = c.key), ''))
		|| agentcrm.sql_by_key(format('%s AS %s', agentcrm.relation_name(relation), alias), alias, key, ''), relation, key)
$$;
COMMENT ON FUNCTION agentcrm.attach_feed_part(text, regclass, text, text[], jsonb) IS 'Internal: a feed over one table';

CREATE FUNCTION agentcrm.attach_tables(options jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_object_agg(v.alias, agentcrm.option_table(options, v.argument)::oid)
	FROM (VALUES ('o', 'orders'), ('l', 'lines'), ('c', 'clients'), ('p', 'products'), ('r', 'reps')) AS v(alias, argument)
$$;
COMMENT ON FUNCTION agentcrm.attach_tables(jsonb) IS 'Internal: tables of attach by alias';

-- A rep that belongs to the client comes with the client feed and is no matter of orders.
CREATE FUNCTION agentcrm.attach_rep(options jsonb, t jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rep text := options ->> 'rep';
	o regclass := (t ->> 'o')::oid;
	l regclass := (t ->> 'l')::oid;
	c regclass := (t ->> 'c')::oid;
	r regclass := (t ->> 'r')::oid;
	of_client boolean;
	link jsonb;
BEGIN
	IF rep IS NULL THEN
		of_client := c IS NOT NULL AND NOT EXISTS (SELECT FROM agentcrm.foreign_keys(o, r)) AND NOT EXISTS (SELECT FROM agentcrm.foreign_keys(l, r))
			AND EXISTS (SELECT FROM agentcrm.foreign_keys(c, r));
	ELSE
		of_client := agentcrm.uses_alias(rep, 'c') AND NOT agentcrm.uses_alias(rep, 'o') AND NOT agentcrm.uses_alias(rep, 'l') AND NOT agentcrm.uses_alias(rep, 'p');
	END IF;
	IF r IS NOT NULL THEN
		link := CASE WHEN of_client THEN agentcrm.attach_link('rep', rep, 'r', r, c, 'c', NULL, NULL)
				ELSE agentcrm.attach_link('rep', rep, 'r', r, coalesce(o, l), CASE WHEN o IS NULL THEN 'l' ELSE 'o' END, CASE WHEN o IS NOT NULL THEN l END, 'l') END;
	END IF;
	RETURN coalesce(link, '{}') || jsonb_build_object('of_client', of_client, 'expression', coalesce(rep, link ->> 'expression'));
END $$;
COMMENT ON FUNCTION agentcrm.attach_rep(jsonb, jsonb) IS 'Internal: how reps are named, and by whom';

-- Expressions of the order query, by argument.
CREATE FUNCTION agentcrm.attach_expressions(options jsonb, line_order_key text[], t jsonb, client jsonb, product jsonb, rep jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'client', coalesce(options ->> 'client', client ->> 'expression'),
		'line_key', coalesce(options ->> 'line_key', agentcrm.default_line_key((t ->> 'l')::oid, line_order_key), 'NULL::text'),
		'product', coalesce(options ->> 'product', product ->> 'expression', 'NULL::text'),
		'at', options -> 'at', 'quantity', options -> 'quantity', 'amount', options -> 'amount',
		'rep', CASE WHEN NOT coalesce((rep ->> 'of_client')::boolean, false) THEN rep -> 'expression' END,
		'kind', options -> 'kind', 'margin', options -> 'margin', 'is_sale', options -> 'is_sale', 'line_ok', options -> 'line_ok'))
$$;
COMMENT ON FUNCTION agentcrm.attach_expressions(jsonb, text[], jsonb, jsonb, jsonb, jsonb) IS 'Internal: expressions of the order query';

CREATE FUNCTION agentcrm.attach_from(t jsonb, order_key text[], line_order_key text[], client jsonb, product jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT concat_ws(E'\n',
		CASE WHEN t ->> 'o' IS NULL THEN agentcrm.relation_name((t ->> 'l')::oid) || ' AS l' ELSE agentcrm.relation_name((t ->> 'o')::oid) || ' AS o' END,
		CASE WHEN line_order_key IS NOT NULL THEN format('JOIN %s AS l ON %s', agentcrm.relation_name((t ->> 'l')::oid), agentcrm.sql_match('l', line_order_key, 'o', order_key)) END,
		CASE WHEN client IS NOT NULL THEN format('LEFT JOIN %s AS c ON %s', agentcrm.relation_name((t ->> 'c')::oid), client ->> 'join') END,
		CASE WHEN product IS NOT NULL THEN format('LEFT JOIN %s AS p ON %s', agentcrm.relation_name((t ->> 'p')::oid), product ->> 'join') END)
$$;
COMMENT ON FUNCTION agentcrm.attach_from(jsonb, text[], text[], jsonb, jsonb) IS 'Internal: joined tables of the order query; a NULL link leaves its table out';

CREATE FUNCTION agentcrm.attach_order_query(expressions jsonb, order_key text, from_where text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format(E'SELECT %s\n%s', string_agg(format('%s AS %s', coalesce(CASE WHEN w.col = 'order_key' THEN order_key END,
		CASE WHEN expressions ->> a.argument ~ '^(ROW\(|NULL::text$)' THEN expressions ->> a.argument ELSE agentcrm.sql_expression(expressions ->> a.argument) END), w.col),
		E',\n       ' ORDER BY w.i), from_where)
	FROM (SELECT col, row_number() OVER () AS i FROM agentcrm.attach_wanted('order')) w
	LEFT JOIN agentcrm.attach_arguments() a ON a.part = 'order' AND a.col = w.col
	WHERE w.col = 'order_key' OR expressions ? a.argument
$$;
COMMENT ON FUNCTION agentcrm.attach_order_query(jsonb, text, text) IS 'Internal: the order query';

-- A row of a joined table touches the orders that refer to it.
CREATE FUNCTION agentcrm.attach_touch(relation regclass, link jsonb, from_tables text, order_alias text, order_key text[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_part(agentcrm.relation_name(relation), 'touch', format(E'SELECT DISTINCT %s\n%s', agentcrm.sql_columns(order_alias, order_key),
		CASE WHEN link ? 'columns' THEN agentcrm.sql_by_key(from_tables, link ->> 'alias', agentcrm.part_array(link, 'columns'), '')
		ELSE format(E'FROM %s\nWHERE %s = ANY ($1)', from_tables, agentcrm.sql_expression(link ->> 'expression')) END), relation, agentcrm.part_array(link, 'key'))
$$;
COMMENT ON FUNCTION agentcrm.attach_touch(regclass, jsonb, text, text, text[]) IS 'Internal: the part by which a client''s or product''s row touches orders';

-- Every given expression with the tables it may see and, for data, the query that gives it alone.
CREATE FUNCTION agentcrm.attach_trials(options jsonb, t jsonb, by_key jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(jsonb_build_object('argument', a.argument, 'part', a.part, 'expression', options ->> a.argument, 'wanted', a.wanted,
		'from', '(SELECT 1) AS two' || (SELECT string_agg(format(' CROSS JOIN %s AS %s', agentcrm.relation_name(e.value::oid), e.key), '' ORDER BY e.key)
			FROM jsonb_each_text(t) e WHERE e.value IS NOT NULL AND e.key = ANY (CASE a.part WHEN 'order' THEN '{o,l,c,p}'::text[] WHEN 'client' THEN '{c}' ELSE '{p}' END)),
		'trial', format(E'SELECT (%s\n) AS v\n%s', options ->> a.argument, by_key ->> CASE WHEN a.col IS NULL THEN a.argument ELSE a.part END)) ORDER BY a.i), '[]')
	FROM (SELECT *, row_number() OVER () AS i FROM agentcrm.attach_arguments()) a WHERE options ? a.argument
$$;
COMMENT ON FUNCTION agentcrm.attach_trials(jsonb, jsonb, jsonb) IS 'Internal: how each expression is tried alone';

CREATE FUNCTION agentcrm.attach_feeds(options jsonb, t jsonb, client jsonb, product jsonb, rep jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_agg(agentcrm.attach_feed_part(f.feed, f.relation::oid, f.alias, agentcrm.part_array(f.link, 'key'), f.columns) ORDER BY f.i), '[]')
	FROM (VALUES
		(1, 'client', t ->> 'c', 'c', client, jsonb_build_object('name', options ->> 'client_name', 'parent_key', options ->> 'client_parent',
			'active', options ->> 'client_active', 'replaced_by_key', options ->> 'client_replaced_by', 'channel', options ->> 'channel', 'territory', options ->> 'territory',
			'rep_key', CASE WHEN (rep ->> 'of_client')::boolean THEN rep ->> 'expression' END)),
		(2, 'product', t ->> 'p', 'p', product, jsonb_build_object('name', options ->> 'product_name', 'category', options ->> 'category',
			'active', options ->> 'product_active', 'pack_qty', options ->> 'pack_qty')),
		(3, 'rep', t ->> 'r', 'r', rep, (SELECT jsonb_object_agg(attname, 'r.' || attname) FROM pg_attribute
			WHERE attrelid = (t ->> 'r')::oid AND (attname = 'name' OR attname = 'active' AND atttypid = 'boolean'::regtype)))
	) AS f0(i, feed, relation, alias, link, given), LATERAL (SELECT f0.i, f0.feed, f0.relation, f0.alias, f0.link, jsonb_strip_nulls(coalesce(f0.given, '{}')) AS columns) AS f
	WHERE f.relation IS NOT NULL
$$;
COMMENT ON FUNCTION agentcrm.attach_feeds(jsonb, jsonb, jsonb, jsonb, jsonb) IS 'Internal: client, product and rep feeds of attach';

-- Further tables whose rows touch orders, as attach_query takes them: a role, a stock item, a rate that an expression looks up.
CREATE FUNCTION agentcrm.attach_more_watches(spec jsonb, options jsonb, n_key int, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	more jsonb;
	twice oid;
BEGIN
	IF options ? 'watch' THEN
		more := agentcrm.attach_watches('order', n_key, options -> 'watch', path);
		SELECT (m ->> 'relation')::oid INTO twice FROM jsonb_array_elements(more) m JOIN jsonb_array_elements(spec -> 'watches') w ON w -> 'relation' = m -> 'relation'
		JOIN jsonb_array_elements(spec -> 'parts') p ON p ->> 'name' = w ->> 'part' AND p ->> 'kind' <> 'feed' AND NOT (m ? 'touch' AND p ->> 'kind' = 'order') LIMIT 1;
		IF twice IS NOT NULL THEN
			PERFORM agentcrm.attach_refuse(format('argument watch: changes of %s are seen without it', agentcrm.relation_name(twice)));
		END IF;
		spec := jsonb_set(jsonb_set(spec, '{parts}', (spec -> 'parts') || coalesce((SELECT jsonb_agg(m -> 'touch') FROM jsonb_array_elements(more) m WHERE m ? 'touch'), '[]')), '{watches}', (spec -> 'watches') || more);
	END IF;
	RETURN spec;
END $$;
COMMENT ON FUNCTION agentcrm.attach_more_watches(jsonb, jsonb, int, name[]) IS 'Internal: adds the tables of argument watch';

CREATE FUNCTION agentcrm.attach_compile(options jsonb, path name[] DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t jsonb;
	o regclass;
	l regclass;
	base text;
	k record;
	client jsonb;
	product jsonb;
	rep jsonb;
	expressions jsonb;
	used text;
	conditions text;
	tables text;
	bare text;
	alone text;
	parts jsonb;
	watches jsonb;
	remarks jsonb := '[]';
BEGIN
	PERFORM agentcrm.attach_check_options(options);
	t := agentcrm.attach_tables(options);
	o := (t ->> 'o')::oid;
	l := (t ->> 'l')::oid;
	base := CASE WHEN o IS NULL THEN 'l' ELSE 'o' END;
	SELECT * INTO k FROM agentcrm.attach_order_key(options, o, l);
	IF t ->> 'c' IS NOT NULL THEN
		client := agentcrm.attach_link('client', coalesce(options ->> 'client_link', options ->> 'client'), 'c', (t ->> 'c')::oid, coalesce(o, l), base, CASE WHEN base = 'o' THEN l END, 'l',
			agentcrm.attach_key_columns('client_key', (t ->> 'c')::oid, options -> 'client_key'));
	END IF;
	IF t ->> 'p' IS NOT NULL THEN
		product := agentcrm.attach_link('product', options ->> 'product', 'p', (t ->> 'p')::oid, coalesce(l, o), CASE WHEN l IS NULL THEN 'o' ELSE 'l' END, CASE WHEN l IS NOT NULL THEN o END, 'o',
			agentcrm.attach_key_columns('product_key', (t ->> 'p')::oid, options -> 'product_key'));
	END IF;
	IF options ?| '{rep,reps}' THEN
		rep := agentcrm.attach_rep(options, t);
	END IF;
	expressions := agentcrm.attach_expressions(options, coalesce(k.line_order_key, k.order_key), t, client, product, rep);
	SELECT string_agg(value, ' ; ') INTO used FROM jsonb_each_text(expressions);
	conditions := concat(E'\n  AND ' || agentcrm.sql_expression(expressions ->> 'is_sale'), E'\n  AND ' || agentcrm.sql_expression(expressions ->> 'line_ok'));
	tables := agentcrm.attach_from(t, k.order_key, k.line_order_key, CASE WHEN agentcrm.uses_alias(used, 'c') THEN client END, CASE WHEN agentcrm.uses_alias(used, 'p') THEN product END);
	bare := agentcrm.attach_from(t, k.order_key, k.line_order_key, NULL, NULL);
	alone := format('%s AS %s', agentcrm.relation_name(coalesce(o, l)), base);

	parts := jsonb_build_array(agentcrm.attach_part('order', 'order', agentcrm.attach_order_query(expressions, agentcrm.sql_key(base, k.order_key),
		agentcrm.sql_by_key(tables, base, k.order_key, conditions)), coalesce(o, l), k.order_key)
			|| agentcrm.watermark_query(options ->> 'watermark', agentcrm.sql_columns(base, k.order_key),
				CASE WHEN base = 'o' AND agentcrm.uses_alias(options ->> 'watermark', 'l') THEN bare ELSE alone END))
		|| agentcrm.attach_feeds(options, t, client, product, rep);
	watches := jsonb_build_array(agentcrm.attach_watch('order', coalesce(o, l), k.order_key));
	IF o IS NOT NULL AND l IS NOT NULL THEN
		watches := watches || agentcrm.attach_watch('order', l, k.line_order_key);
	END IF;
	IF client IS NOT NULL AND agentcrm.uses_alias(used, 'c') THEN
		parts := parts || agentcrm.attach_touch((t ->> 'c')::oid, client, CASE WHEN client ->> 'alias' = base THEN alone ELSE bare END, base, k.order_key);
	END IF;
	IF product IS NOT NULL AND agentcrm.uses_alias(used, 'p') THEN
		parts := parts || agentcrm.attach_touch((t ->> 'p')::oid, product, CASE WHEN product ->> 'alias' = base THEN alone ELSE bare END, base, k.order_key);
	END IF;
	SELECT watches || coalesce(jsonb_agg(agentcrm.attach_watch(p ->> 'name', (p ->> 'relation')::oid, agentcrm.part_array(p, 'key'))), '[]') INTO watches
	FROM jsonb_array_elements(parts) p WHERE p ->> 'kind' <> 'order';
	IF o IS NOT NULL AND NOT agentcrm.has_index(o, k.order_key, true) THEN
		remarks := jsonb_build_array(format('%s has no unique index on (%s): an order that stands there twice has its lines counted twice', agentcrm.relation_name(o),
			(SELECT string_agg(quote_ident(c), ', ') FROM unnest(k.order_key) c)));
	END IF;
	SELECT remarks || coalesce(jsonb_agg(format('%s has no unique index on (%s): a %s that stands there twice has its lines counted twice', agentcrm.relation_name(r.oid), (SELECT string_agg(quote_ident(c), ', ') FROM unnest(r.key) c), r.what)), '[]') INTO remarks
	FROM (VALUES ((t ->> 'c')::oid, agentcrm.part_array(client, 'key'), 'client'), ((t ->> 'p')::oid, agentcrm.part_array(product, 'key'), 'product')) AS r(oid, key, what)
	WHERE options ? (r.what || '_key') AND agentcrm.uses_alias(used, left(r.what, 1)) AND NOT agentcrm.has_index(r.oid, r.key, true);
	RETURN agentcrm.attach_more_watches(agentcrm.attach_spec(parts, watches, agentcrm.attach_trials(options, t - 'r', jsonb_build_object(
		'is_sale', agentcrm.sql_by_key(tables, base, k.order_key, ''),
		'line_ok', agentcrm.sql_by_key(tables, base, k.order_key, concat(E'\n  AND ' || agentcrm.sql_expression(expressions ->> 'is_sale'))),
		'watermark', agentcrm.sql_by_key(bare, base, k.order_key, ''),
		'order', agentcrm.sql_by_key(tables, base, k.order_key, conditions),
		'client', agentcrm.sql_by_key(agentcrm.relation_name((t ->> 'c')::oid) || ' AS c', 'c', agentcrm.part_array(client, 'key'), ''),
		'product', agentcrm.sql_by_key(agentcrm.relation_name((t ->> 'p')::oid) || ' AS p', 'p', agentcrm.part_array(product, 'key'), ''))), remarks), options, cardinality(k.order_key), path);
END $$;
COMMENT ON FUNCTION agentcrm.attach_compile(jsonb, name[]) IS 'Internal: parts and watches of attach''s arguments';
