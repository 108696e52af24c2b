-- source/: the calls that attach, alter and detach sources; thin, so that relation arguments and the caller's search_path are taken as the caller means them

CREATE FUNCTION agentcrm.caller_path() RETURNS name[]
LANGUAGE sql STABLE AS $$
	SELECT coalesce(pg_catalog.array_agg(s ORDER BY i), '{pg_catalog}'::pg_catalog.name[])
	FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS a(s, i)
	WHERE NOT pg_catalog.starts_with(s::pg_catalog.text, 'pg_temp')
$$;
COMMENT ON FUNCTION agentcrm.caller_path() IS 'Internal: schemas of the caller''s search_path that exist, temporary ones left out';

CREATE FUNCTION agentcrm.interval_text(given interval) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
	SELECT given::text
$$;
COMMENT ON FUNCTION agentcrm.interval_text(interval) IS 'Internal: an interval in words that read the same under every IntervalStyle';

CREATE FUNCTION agentcrm.default_time_zone() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(
		(SELECT substr(c, 10) FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setrole = 0
			AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND c ~* '^timezone='),
		(SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'))
$$;
COMMENT ON FUNCTION agentcrm.default_time_zone() IS 'Internal: the database''s time zone';

-- A source as its options make it; the reading role waits for the tables to be known.
CREATE FUNCTION agentcrm.attach_source(source_name text, options jsonb, path text) RETURNS agentcrm.source
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source agentcrm.source;
BEGIN
	IF coalesce(source_name, '') = '' THEN
		PERFORM agentcrm.attach_refuse('pass name, by which the source will be called');
	END IF;
	source.name := source_name;
	source.options := options;
	source.search_path := path;
	source.namespace := agentcrm.attach_namespace(options ->> 'namespace');
	source.time_zone := coalesce(options ->> 'time_zone', agentcrm.default_time_zone());
	source.on_delete := coalesce(options ->> 'on_delete', 'retract');
	IF source.on_delete NOT IN ('retract', 'keep') THEN
		PERFORM agentcrm.attach_refuse(format('argument on_delete is "%s"; it must be retract or keep', source.on_delete));
	END IF;
	source.archive_before := (options ->> 'archive_before')::interval;
	IF source.archive_before <= '0'::interval THEN
		PERFORM agentcrm.attach_refuse('argument archive_before must be positive');
	END IF;
	BEGIN
		PERFORM 'epoch'::timestamptz AT TIME ZONE source.time_zone;
	EXCEPTION WHEN invalid_parameter_value THEN
		PERFORM agentcrm.attach_refuse(format('argument time_zone: time zone "%s" is not known', source.time_zone));
	END;
	RETURN source;
END $$;
COMMENT ON FUNCTION agentcrm.attach_source(text, jsonb, text) IS 'Internal: a source as its options make it';

CREATE FUNCTION agentcrm.path_text(path name[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(quote_ident(s), ', ' ORDER BY i) FROM unnest(path) WITH ORDINALITY AS a(s, i)
$$;
COMMENT ON FUNCTION agentcrm.path_text(name[]) IS 'Internal: a search_path setting';

-- Feeds added by attach_feed are kept among the options, so that alter_source finds them.
CREATE FUNCTION agentcrm.options_spec(options jsonb, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	spec jsonb := CASE WHEN options ? 'query' OR options ->> 'call' = 'attach_query' THEN agentcrm.attach_query_spec(options, path) ELSE agentcrm.attach_compile(options, path) END;
	f record;
BEGIN
	FOR f IN SELECT key, value FROM jsonb_each(options -> 'feeds') LOOP
		spec := agentcrm.spec_add(spec, agentcrm.attach_feed_spec(f.key, f.value, path));
	END LOOP;
	RETURN agentcrm.spec_settled(spec);
END $$;
COMMENT ON FUNCTION agentcrm.options_spec(jsonb, name[]) IS 'Internal: parts and watches of a source''s options';

CREATE FUNCTION agentcrm.owner_of(relation regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = relation
$$;
COMMENT ON FUNCTION agentcrm.owner_of(regclass) IS 'Internal: owner of a relation';

-- A dry run counts everything up to five million keys; the real call tries a thousand, and loading counts.
CREATE FUNCTION agentcrm.sample_size(spec jsonb, dry_run boolean) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN NOT dry_run THEN 1000
		WHEN agentcrm.estimated_rows((spec -> 'parts' -> 0 ->> 'relation')::oid) > 5000000 THEN 100000 END
$$;
COMMENT ON FUNCTION agentcrm.sample_size(jsonb, boolean) IS 'Internal: keys that are tried; NULL is all';

CREATE FUNCTION agentcrm.attach_checked(source agentcrm.source, spec jsonb, dry_run boolean) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most bigint := agentcrm.sample_size(spec, dry_run);
	counted jsonb := agentcrm.attach_check(source, spec, most);
BEGIN
	IF dry_run THEN
		counted := counted || '{"report": true}';
		IF most IS NOT NULL THEN
			counted := jsonb_set(counted, '{remarks}', counted -> 'remarks' || jsonb_build_array(format('counted over a sample of %s keys', most)));
		END IF;
	END IF;
	RETURN counted;
END $$;
COMMENT ON FUNCTION agentcrm.attach_checked(agentcrm.source, jsonb, boolean) IS 'Internal: checks, and counts for a dry run';

-- Where arguments are missing or leave a doubt, the refusal's hint is the whole call with what is proposed in their place.
CREATE FUNCTION agentcrm.attach_given(source_name text, options jsonb, path name[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	state text;
	message text;
	hint text;
	completed record;
BEGIN
	RETURN agentcrm.options_spec(options, path);
EXCEPTION WHEN invalid_parameter_value OR invalid_object_definition THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	SELECT * INTO completed FROM agentcrm.attach_completed(source_name, options, path) WHERE options ->> 'call' = 'attach';
	PERFORM agentcrm.refuse(message, coalesce(completed.call, hint), state, CASE WHEN completed.call IS NOT NULL THEN concat_ws(E'\n', nullif(hint, ''), completed.answers) END);
END $$;
COMMENT ON FUNCTION agentcrm.attach_given(text, jsonb, name[]) IS 'Internal: parts and watches of the arguments given, or a refusal whose hint completes them';

CREATE FUNCTION agentcrm.attach_run(source_name text, options jsonb, path name[], dry_run boolean) RETURNS SETOF agentcrm.attach_report
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source agentcrm.source;
	spec jsonb;
	counted jsonb;
	proposed jsonb;
BEGIN
	IF NOT dry_run THEN
		PERFORM agentcrm.attach_check_unwritten();
	END IF;
	IF EXISTS (SELECT FROM agentcrm.source s WHERE s.name = source_name) THEN
		PERFORM agentcrm.get_source(source_name);	-- refuses one that is being detached
		PERFORM agentcrm.attach_refuse(format('source "%s" exists already', source_name), format('SELECT agentcrm.detach(%L); CALL agentcrm.run(); then attach again. Single arguments are changed by alter_source.', source_name), '42710');
	END IF;
	IF source_name <> '' AND options ->> 'call' = 'attach' AND NOT options ?| '{orders,lines}' THEN
		proposed := agentcrm.attach_best(source_name, options, path, dry_run);
		options := proposed -> 'options';
		RETURN QUERY SELECT r ->> 'item', r ->> 'detail' FROM jsonb_array_elements(proposed -> 'report') r;
	END IF;
	options := options - 'schemas';
	source := agentcrm.attach_source(source_name, options, agentcrm.path_text(path));
	spec := agentcrm.attach_given(source_name, options, path);
	source.run_as := coalesce(options ->> 'run_as', agentcrm.owner_of((spec -> 'parts' -> 0 ->> 'relation')::oid));
	counted := agentcrm.attach_checked(source, spec, dry_run) || CASE WHEN dry_run AND proposed IS NOT NULL THEN '{"proposed": true}'::jsonb ELSE '{}' END;	-- its call says all
	RETURN QUERY SELECT * FROM agentcrm.attach_describe(source, spec, counted);
	IF dry_run THEN
		RETURN QUERY SELECT 'next', ('dry run: nothing was changed')::text;
		RETURN;
	END IF;
	PERFORM agentcrm.attach_install(source, spec);
	RETURN QUERY SELECT 'next', (format('loading has begun, see agentcrm.progress; then SELECT agentcrm.go_live(%L)', source_name))::text;
END $$;
COMMENT ON FUNCTION agentcrm.attach_run(text, jsonb, name[], boolean) IS 'Internal: attaches a source';

CREATE FUNCTION agentcrm.attach_query(name text, query text, key text[], watch jsonb, namespace text DEFAULT NULL, time_zone text DEFAULT NULL,
	run_as name DEFAULT NULL, on_delete text DEFAULT 'retract', archive_before interval DEFAULT NULL, dry_run boolean DEFAULT false, watermark text DEFAULT NULL)
RETURNS SETOF agentcrm.attach_report
LANGUAGE sql AS $$
	SELECT * FROM agentcrm.attach_run(name, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('call', 'attach_query', 'query', query, 'key', key,
		'watch', watch, 'namespace', namespace, 'time_zone', time_zone, 'run_as', run_as, 'on_delete', on_delete, 'archive_before', agentcrm.interval_text(archive_before),
		'watermark', watermark)), agentcrm.caller_path(), dry_run)
$$;
COMMENT ON FUNCTION agentcrm.attach_query(text, text, text[], jsonb, text, text, name, text, interval, boolean, text) IS
'Attaches a source by one query that gives order lines for order keys, and the tables whose changes change its result; dry_run only reports';

CREATE FUNCTION agentcrm.attach(name text,
	orders regclass DEFAULT NULL, lines regclass DEFAULT NULL, clients regclass DEFAULT NULL, products regclass DEFAULT NULL, reps regclass DEFAULT NULL,
	order_key text[] DEFAULT NULL, line_order_key text[] DEFAULT NULL, line_key text DEFAULT NULL, client text DEFAULT NULL, product text DEFAULT NULL,
	rep text DEFAULT NULL, at text DEFAULT NULL, quantity text DEFAULT NULL, amount text DEFAULT NULL, margin text DEFAULT NULL, kind text DEFAULT NULL,
	is_sale text DEFAULT NULL, line_ok text DEFAULT NULL, client_name text DEFAULT NULL, client_parent text DEFAULT NULL, client_active text DEFAULT NULL,
	channel text DEFAULT NULL, territory text DEFAULT NULL, product_name text DEFAULT NULL, category text DEFAULT NULL, product_active text DEFAULT NULL,
	pack_qty text DEFAULT NULL, namespace text DEFAULT NULL, time_zone text DEFAULT NULL, run_as name DEFAULT NULL, on_delete text DEFAULT 'retract',
	archive_before interval DEFAULT NULL, dry_run boolean DEFAULT false, client_link text DEFAULT NULL, watch jsonb DEFAULT NULL, schemas name[] DEFAULT NULL,
	client_replaced_by text DEFAULT NULL, watermark text DEFAULT NULL, client_key text[] DEFAULT NULL, product_key text[] DEFAULT NULL)
RETURNS SETOF agentcrm.attach_report
LANGUAGE sql AS $$
	SELECT * FROM agentcrm.attach_run(name, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('call', 'attach', 'client_link', client_link, 'client_key', client_key, 'product_key', product_key, 'watch', watch, 'schemas', schemas, 'watermark', watermark,
		'orders', agentcrm.relation_name(orders), 'lines', agentcrm.relation_name(lines), 'clients', agentcrm.relation_name(clients),
		'products', agentcrm.relation_name(products), 'reps', agentcrm.relation_name(reps), 'order_key', order_key, 'line_order_key', line_order_key,
		'line_key', line_key, 'client', client, 'product', product, 'rep', rep, 'at', at, 'quantity', quantity, 'amount', amount, 'margin', margin,
		'kind', kind, 'is_sale', is_sale, 'line_ok', line_ok, 'client_name', client_name, 'client_parent', client_parent, 'client_active', client_active, 'client_replaced_by', client_replaced_by,
		'channel', channel, 'territory', territory, 'product_name', product_name, 'category', category, 'product_active', product_active,
		'pack_qty', pack_qty, 'namespace', namespace, 'time_zone', time_zone, 'run_as', run_as, 'on_delete', on_delete, 'archive_before', agentcrm.interval_text(archive_before))),
		agentcrm.caller_path(), dry_run)
$$;
COMMENT ON FUNCTION agentcrm.attach(text, regclass, regclass, regclass, regclass, regclass, text[], text[], text, text, text, text, text, text, text, text, text,
	text, text, text, text, text, text, text, text, text, text, text, text, text, name, text, interval, boolean, text, jsonb, name[], text, text, text[], text[]) IS
'Attaches a source by its tables (orders with lines, one flat table, or orders alone) and expressions over o, l, c, p; without orders and lines takes the best proposal, or refuses with the call to make while a question is open; dry_run only reports';

