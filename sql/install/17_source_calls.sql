-- source/: the life of an attached source: altered, given feeds, made live, read again, detached; and what an operator needs

CREATE FUNCTION agentcrm.get_source(source_name text) RETURNS agentcrm.source
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result agentcrm.source;
BEGIN
	SELECT * INTO result FROM agentcrm.source s WHERE s.name = source_name;
	IF result.name IS NULL THEN
		PERFORM agentcrm.refuse(format('source %s does not exist', coalesce('"' || source_name || '"', 'NULL')),
			coalesce('Attached: ' || (SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM agentcrm.source s WHERE s.state <> 'detaching') || '.', 'No source is attached.'), '42704');
	ELSIF agentcrm.working_state(result) = 'detaching' THEN
		PERFORM agentcrm.refuse(format('source "%s" is being detached', source_name),
			coalesce('Now ' || result.state || ', ' || result.problem, 'The worker or CALL agentcrm.run() brings it to its end; agentcrm.progress shows how far it is.'), '55000');
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.get_source(text) IS 'Internal: a source by name, but none that is being detached';

CREATE FUNCTION agentcrm.source_schemas(source agentcrm.source) RETURNS name[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(((parse_ident(s, false))[1])::name ORDER BY i) FROM regexp_split_to_table(source.search_path, ', (?=([^"]*"[^"]*")*[^"]*$)') WITH ORDINALITY AS a(s, i)
$$;
COMMENT ON FUNCTION agentcrm.source_schemas(agentcrm.source) IS 'Internal: schemas of a source''s search_path';

-- No step of the worker, nor of run(), meets what changes here; those under way end first.  Taken before the application's
-- tables, so that its writers do not wait for a step.
CREATE FUNCTION agentcrm.hold_steps() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	LOCK TABLE agentcrm.batch IN SHARE UPDATE EXCLUSIVE MODE;
END $$;
COMMENT ON FUNCTION agentcrm.hold_steps() IS 'Internal: waits for the step under way and keeps others from being taken until this transaction ends; update scripts of the extension begin with it';

-- Orders under another key are other orders: the old ones go, step by step, and loading begins anew.
CREATE FUNCTION agentcrm.alter_key(source agentcrm.source, spec jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_part jsonb := spec -> 'parts' -> 0;
BEGIN
	IF EXISTS (SELECT FROM agentcrm.source_part p JOIN pg_class c ON c.oid = (now_part ->> 'relation')::oid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE p.source_id = source.source_id AND p.kind = 'order'
		AND (p.key_schema, p.key_table, p.key_columns, p.key_classes)
			= (n.nspname, c.relname, agentcrm.part_array(now_part, 'key'), agentcrm.part_classes(now_part))) THEN
		RETURN;
	END IF;
	PERFORM agentcrm.start_emptying(source, 'alter_source');
	DELETE FROM agentcrm.source_load l USING agentcrm.source_part p
	WHERE p.source_id = source.source_id AND p.kind = 'order' AND l.source_id = p.source_id AND l.part = p.part AND l.phase <> 'empty';
END $$;
COMMENT ON FUNCTION agentcrm.alter_key(agentcrm.source, jsonb) IS 'Internal: empties a source whose orders get another key';

/*
 * New mapping of an attached source: everything was checked as at attach; now
 * triggers and watches are swapped under the lock, and all is read again.
 * A paused source stays paused.
 */
CREATE FUNCTION agentcrm.alter_install(source agentcrm.source, spec jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before text := current_setting('lock_timeout');
	totals jsonb := agentcrm.part_totals(source, spec -> 'parts');
	names text[] := ARRAY(SELECT p ->> 'name' FROM jsonb_array_elements(spec -> 'parts') p);
BEGIN
	PERFORM agentcrm.check_triggers_owned(source.source_id), agentcrm.hold_steps();
	PERFORM set_config('lock_timeout', agentcrm.attach_lock_timeout(), true);
	PERFORM agentcrm.attach_lock('alter_source', ARRAY(SELECT r FROM agentcrm.attach_relations(spec) r
		UNION SELECT relation FROM agentcrm.source_triggers(source.source_id) ORDER BY 1), 'ACCESS EXCLUSIVE');
	PERFORM agentcrm.drop_triggers(source.source_id);
	PERFORM agentcrm.alter_key(source, spec);
	DELETE FROM agentcrm.source_watch w WHERE w.source_id = source.source_id;
	-- no reading tells of a rename that waits (part 32767)
	DELETE FROM agentcrm.event_failed f WHERE f.source_id = source.source_id AND f.part <> 32767;
	UPDATE agentcrm.event_failed f SET retry_at = agentcrm.clock() WHERE f.source_id = source.source_id;
	DELETE FROM agentcrm.source_load l USING agentcrm.source_part p
	WHERE p.source_id = source.source_id AND p.name <> ALL (names) AND l.source_id = p.source_id AND l.part = p.part;
	DELETE FROM agentcrm.source_part p WHERE p.source_id = source.source_id AND p.name <> ALL (names);
	UPDATE agentcrm.source s SET run_as = source.run_as, time_zone = source.time_zone, on_delete = source.on_delete, archive_before = source.archive_before,
		options = source.options, version = greatest(s.version + 1, pg_current_xact_id()::text::bigint * 1024) WHERE s.source_id = source.source_id;
	PERFORM agentcrm.attach_rows(source.source_id, spec);
	PERFORM agentcrm.attach_triggers(source.source_id);
	PERFORM agentcrm.source_works(source.name), agentcrm.start_load(source, NULL, totals, 'alter_source');
	PERFORM set_config('lock_timeout', before, true);
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.alter_install(agentcrm.source, jsonb) IS 'Internal: swaps the mapping of a source';

CREATE FUNCTION agentcrm.source_works(source_name text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE agentcrm.source s SET state = agentcrm.working_state(s), problem = NULL, unfit = false WHERE s.name = source_name AND s.state <> 'paused'
$$;
COMMENT ON FUNCTION agentcrm.source_works(text) IS 'Internal: lifts a source''s problem, unless somebody has paused it';

CREATE FUNCTION agentcrm.alter_check_given(old jsonb, given jsonb, reset text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	general boolean := old ->> 'call' = 'attach_query';
	bad text;
BEGIN
	SELECT k INTO bad FROM jsonb_object_keys(given) k WHERE k NOT IN ('time_zone', 'run_as', 'on_delete', 'archive_before', 'feeds', 'watermark')
		AND k <> 'watch' AND (k IN ('query', 'key')) <> general LIMIT 1;
	IF bad IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('argument %s does not belong to a source made by %s', bad, old ->> 'call'), call => 'alter_source');
	END IF;
	SELECT k INTO bad FROM unnest(reset) k WHERE NOT old ? k OR k IN ('call', 'feeds', 'namespace') LIMIT 1;
	IF bad IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse(format('argument reset: %s was not given at attach, or cannot be taken back', quote_ident(bad)), call => 'alter_source');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.alter_check_given(jsonb, jsonb, text[]) IS 'Internal: refuses arguments that do not belong to the source';

CREATE FUNCTION agentcrm.alter_run(source_name text, given jsonb, reset text[], dry_run boolean) RETURNS SETOF agentcrm.attach_report
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old agentcrm.source := agentcrm.get_source(source_name);
	source agentcrm.source;
	options jsonb;
	spec jsonb;
	counted jsonb;
BEGIN
	IF NOT dry_run THEN
		PERFORM agentcrm.attach_check_unwritten();
	END IF;
	PERFORM agentcrm.alter_check_given(old.options, given, reset);
	options := (old.options - coalesce(reset, '{}')) || given;
	source := agentcrm.attach_source(source_name, options - 'namespace', old.search_path);
	source.options := options;
	source.source_id := old.source_id;
	source.namespace := old.namespace;
	source.deliver := old.deliver;
	source.time_zone := coalesce(options ->> 'time_zone', old.time_zone);
	spec := agentcrm.options_spec(options, agentcrm.source_schemas(old));
	source.run_as := coalesce(options ->> 'run_as', CASE WHEN 'run_as' = ANY (reset) THEN agentcrm.owner_of((spec -> 'parts' -> 0 ->> 'relation')::oid) ELSE old.run_as END);
	counted := agentcrm.attach_checked(source, spec, dry_run);
	RETURN QUERY SELECT * FROM agentcrm.attach_describe(source, spec, counted);
	IF dry_run THEN
		RETURN QUERY SELECT 'next', ('dry run: nothing was changed')::text;
		RETURN;
	END IF;
	PERFORM agentcrm.alter_install(source, spec);
	RETURN QUERY SELECT 'next', ('everything is being read again, see agentcrm.progress')::text;
END $$;
COMMENT ON FUNCTION agentcrm.alter_run(text, jsonb, text[], boolean) IS 'Internal: alters a source';

CREATE FUNCTION agentcrm.alter_source(source text,
	orders regclass DEFAULT NULL, lines regclass DEFAULT NULL, clients regclass DEFAULT NULL, products regclass DEFAULT NULL, reps regclass DEFAULT NULL,
	order_key text[] DEFAULT NULL, line_order_key text[] DEFAULT NULL, line_key text DEFAULT NULL, client text DEFAULT NULL, product text DEFAULT NULL,
	rep text DEFAULT NULL, at text DEFAULT NULL, quantity text DEFAULT NULL, amount text DEFAULT NULL, margin text DEFAULT NULL, kind text DEFAULT NULL,
	is_sale text DEFAULT NULL, line_ok text DEFAULT NULL, client_name text DEFAULT NULL, client_parent text DEFAULT NULL, client_active text DEFAULT NULL,
	channel text DEFAULT NULL, territory text DEFAULT NULL, product_name text DEFAULT NULL, category text DEFAULT NULL, product_active text DEFAULT NULL,
	pack_qty text DEFAULT NULL, query text DEFAULT NULL, key text[] DEFAULT NULL, watch jsonb DEFAULT NULL, time_zone text DEFAULT NULL,
	run_as name DEFAULT NULL, on_delete text DEFAULT NULL, archive_before interval DEFAULT NULL, reset text[] DEFAULT NULL, dry_run boolean DEFAULT false, client_link text DEFAULT NULL,
	client_replaced_by text DEFAULT NULL, watermark text DEFAULT NULL, client_key text[] DEFAULT NULL, product_key text[] DEFAULT NULL)
RETURNS SETOF agentcrm.attach_report
LANGUAGE sql AS $$
	SELECT * FROM agentcrm.alter_run(source, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('client_link', client_link, 'client_key', client_key, 'product_key', product_key, 'watermark', watermark,
		'orders', agentcrm.relation_name(orders), 'lines', agentcrm.relation_name(lines), 'clients', agentcrm.relation_name(clients),
		'products', agentcrm.relation_name(products), 'reps', agentcrm.relation_name(reps), 'order_key', order_key, 'line_order_key', line_order_key,
		'line_key', line_key, 'client', client, 'product', product, 'rep', rep, 'at', at, 'quantity', quantity, 'amount', amount, 'margin', margin,
		'kind', kind, 'is_sale', is_sale, 'line_ok', line_ok, 'client_name', client_name, 'client_parent', client_parent, 'client_active', client_active, 'client_replaced_by', client_replaced_by,
		'channel', channel, 'territory', territory, 'product_name', product_name, 'category', category, 'product_active', product_active,
		'pack_qty', pack_qty, 'query', query, 'key', key, 'watch', watch, 'time_zone', time_zone, 'run_as', run_as, 'on_delete', on_delete,
		'archive_before', agentcrm.interval_text(archive_before))), reset, dry_run)
$$;
COMMENT ON FUNCTION agentcrm.alter_source(text, regclass, regclass, regclass, regclass, regclass, text[], text[], text, text, text, text, text, text, text, text, text,
	text, text, text, text, text, text, text, text, text, text, text, text, text[], jsonb, text, name, text, interval, text[], boolean, text, text, text, text[], text[]) IS
'Changes a source: arguments given replace those of attach, those named in reset return to their default; everything is checked and read again';

CREATE FUNCTION agentcrm.feed_run(source_name text, feed text, given jsonb, dry_run boolean) RETURNS SETOF agentcrm.attach_report
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source agentcrm.source := agentcrm.get_source(source_name);
	before text := current_setting('lock_timeout');
	spec jsonb;
	counted jsonb;
	totals jsonb;
BEGIN
	IF NOT dry_run THEN
		PERFORM agentcrm.attach_check_unwritten();
	END IF;
	IF source.options -> 'feeds' ? feed THEN
		RETURN QUERY SELECT * FROM agentcrm.alter_run(source_name, jsonb_build_object('feeds', source.options -> 'feeds' || jsonb_build_object(feed, given)), NULL, dry_run);
		RETURN;
	END IF;
	IF EXISTS (SELECT FROM agentcrm.source_part p WHERE p.source_id = source.source_id AND p.name = feed) THEN
		PERFORM agentcrm.attach_refuse(format('source "%s" has a %s feed already', source_name, feed), state => '42710', call => 'attach_feed');
	END IF;
	spec := agentcrm.spec_settled(agentcrm.attach_feed_spec(feed, given, agentcrm.source_schemas(source)));
	counted := agentcrm.attach_check(source, spec, 1000);
	totals := agentcrm.part_totals(source, spec -> 'parts');
	RETURN QUERY SELECT * FROM agentcrm.attach_describe(source, spec, counted);
	IF dry_run THEN
		RETURN QUERY SELECT 'next', ('dry run: nothing was changed')::text;
		RETURN;
	END IF;
	PERFORM agentcrm.hold_steps();
	PERFORM set_config('lock_timeout', agentcrm.attach_lock_timeout(), true);
	PERFORM agentcrm.attach_lock('attach_feed', ARRAY(SELECT agentcrm.attach_relations(spec)));
	PERFORM agentcrm.attach_triggers(source.source_id, agentcrm.attach_rows(source.source_id, spec));
	UPDATE agentcrm.source s SET version = greatest(s.version + 1, pg_current_xact_id()::text::bigint * 1024), options = jsonb_set(s.options, '{feeds}', coalesce(s.options -> 'feeds', '{}') || jsonb_build_object(feed, given))
	WHERE s.source_id = source.source_id;
	PERFORM agentcrm.start_load(source, feed, totals, 'attach');
	PERFORM set_config('lock_timeout', before, true);
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.feed_run(text, text, jsonb, boolean) IS 'Internal: adds a feed to a source';

CREATE FUNCTION agentcrm.attach_feed(source text, feed text, query text, watch jsonb, key text[] DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS SETOF agentcrm.attach_report
LANGUAGE sql AS $$
	SELECT * FROM agentcrm.feed_run(source, feed, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('query', query, 'watch', watch, 'key', key)), dry_run)
$$;
COMMENT ON FUNCTION agentcrm.attach_feed(text, text, text, jsonb, text[], boolean) IS
'Adds a feed to a source, or replaces one that was added so: attributes (client, product, rep) or facts (interaction, receivable, payment, stock, price, programme, lead, ticket), which go into the table of that name. query gives the feed''s columns for keys, watch the tables whose changes change its result; key names the table that lists all keys, where several are watched; dry_run only reports';

-- What the agents bid so far was withheld: all clients are looked at again.  A load that is under way does it itself.
CREATE FUNCTION agentcrm.start_assessment(source agentcrm.source) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO agentcrm.source_load (source_id, part, load_no, phase, position, done, total, at, started_at)
	SELECT l.source_id, l.part, l.load_no + 1, 'assess', NULL, 0, (SELECT count(*) FROM agentcrm.client c WHERE c.namespace = source.namespace), now(), now()
	FROM agentcrm.source_part p
	CROSS JOIN LATERAL (SELECT * FROM agentcrm.source_load x WHERE x.source_id = p.source_id AND x.part = p.part ORDER BY x.load_no DESC LIMIT 1) AS l
	WHERE p.source_id = source.source_id AND p.kind = 'order' AND l.phase = 'done'
$$;
COMMENT ON FUNCTION agentcrm.start_assessment(agentcrm.source) IS 'Internal: starts a look at all clients of a source';

CREATE FUNCTION agentcrm.go_live(source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s agentcrm.source := agentcrm.get_source(source);
BEGIN
	IF s.state = 'broken' THEN
		PERFORM agentcrm.refuse(format('source "%s" is broken: %s', source, s.problem), 'Mend it with alter_source first.', '55000');
	END IF;
	PERFORM agentcrm.hold_steps();
	UPDATE agentcrm.source u SET deliver = true, live_at = coalesce(u.live_at, clock_timestamp()), state = CASE u.state WHEN 'shadow' THEN 'live' ELSE u.state END
	WHERE u.source_id = s.source_id;
	IF NOT s.deliver THEN
		PERFORM agentcrm.start_assessment(s);
	END IF;
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.go_live(text) IS 'Lets a source''s recommendations be delivered, as soon as its loading is over';

CREATE FUNCTION agentcrm.stored_parts(source agentcrm.source) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_agg(agentcrm.attach_part(p.name, p.kind, p.query, agentcrm.attach_relation('part ' || p.name, ARRAY[p.key_schema, p.key_table], '{}'), p.key_columns) ORDER BY p.part)
	FROM agentcrm.source_part p WHERE p.source_id = source.source_id
$$;
COMMENT ON FUNCTION agentcrm.stored_parts(agentcrm.source) IS 'Internal: parts of an attached source';

CREATE FUNCTION agentcrm.resync(source text, part text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s agentcrm.source := agentcrm.get_source(source);
	wanted jsonb;
BEGIN
	SELECT jsonb_agg(p) INTO wanted FROM jsonb_array_elements(agentcrm.stored_parts(s)) p WHERE p ->> 'kind' <> 'touch' AND (part IS NULL OR p ->> 'name' = part);
	IF wanted IS NULL THEN
		PERFORM agentcrm.refuse(format('source "%s" has no part %s', source, quote_literal(part)),
			'Parts: ' || (SELECT string_agg(p.name, ', ' ORDER BY p.part) FROM agentcrm.source_part p WHERE p.source_id = s.source_id AND p.kind <> 'touch') || '.', '42704');
	END IF;
	PERFORM agentcrm.hold_steps();
	DELETE FROM agentcrm.event_failed f WHERE f.source_id = s.source_id AND (resync.part IS NULL AND f.part <> 32767
		OR f.part = (SELECT p.part FROM agentcrm.source_part p WHERE p.source_id = s.source_id AND p.name = resync.part));
	PERFORM agentcrm.source_works(source), agentcrm.start_load(s, part, agentcrm.part_totals(s, wanted), 'resync'), agentcrm.wake();
	UPDATE agentcrm.event_failed f SET retry_at = agentcrm.clock() WHERE f.source_id = s.source_id AND f.part = 32767;
END $$;
COMMENT ON FUNCTION agentcrm.resync(text, text) IS 'Reads all keys of a source, or of one of its parts, again; failed keys are tried again';

-- What is being loaded for the first time holds nothing yet that could have been missed, but for what was missed since it began: it is read again.
CREATE FUNCTION agentcrm.reconcile(source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM agentcrm.hold_steps();
	PERFORM agentcrm.start_load(agentcrm.get_source(source), NULL, NULL, 'reconcile', true), agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.reconcile(text) IS 'Finds what no trigger saw (disabled triggers, attached partitions, direct changes of the ledger) and mends it, a chunk at a time between events; what it found is in reconcile_log and status. The worker does it by itself every agentcrm.reconcile_interval and after a crash. Error: unknown source';

-- Only the triggers go at once, so that the tables are free again when the caller commits; the rest is the steps' work.
-- What they need of the mapping is that part 1 holds orders; keys still in the queue are of no part, or of orders being retracted.
CREATE FUNCTION agentcrm.detach(source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s agentcrm.source := agentcrm.get_source(source);
	before text := current_setting('lock_timeout');
BEGIN
	PERFORM agentcrm.check_triggers_owned(s.source_id), agentcrm.hold_steps();
	PERFORM set_config('lock_timeout', agentcrm.attach_lock_timeout(), true);
	PERFORM agentcrm.attach_lock('detach', ARRAY(SELECT DISTINCT relation FROM agentcrm.source_triggers(s.source_id) ORDER BY 1), 'ACCESS EXCLUSIVE');
	PERFORM agentcrm.drop_triggers(s.source_id);
	PERFORM set_config('lock_timeout', before, true);
	INSERT INTO agentcrm.server_start (life) VALUES ('-infinity') ON CONFLICT DO NOTHING;	-- no restore is under way, see untriggered()
	PERFORM agentcrm.start_emptying(s, 'detach');
	DELETE FROM agentcrm.source_load l USING agentcrm.source_part p
	WHERE p.source_id = s.source_id AND p.kind <> 'order' AND l.source_id = p.source_id AND l.part = p.part;
	DELETE FROM agentcrm.source_part p WHERE p.source_id = s.source_id AND p.kind <> 'order';
	DELETE FROM agentcrm.source_watch w WHERE w.source_id = s.source_id;
	DELETE FROM agentcrm.event_failed f WHERE f.source_id = s.source_id;
	UPDATE agentcrm.source u SET state = 'detaching', deliver = false, problem = NULL, version = greatest(u.version + 1, pg_current_xact_id()::text::bigint * 1024)
	WHERE u.source_id = s.source_id;
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.detach(text) IS 'Takes a source away: its triggers and its mapping at once, its lines by the worker or run() in steps, from ledger and profiles; the ledger keeps their history. Then its name is free. Errors: unknown source, one that is being detached already, a table that could not be locked within agentcrm.attach_lock_timeout';

CREATE FUNCTION agentcrm.grant_operator(role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
		PERFORM agentcrm.refuse(format('role %s does not exist', coalesce('"' || role || '"', 'NULL')), state => '42704');
	END IF;
	EXECUTE format('GRANT USAGE ON SCHEMA agentcrm TO %I', role);
	EXECUTE format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA agentcrm TO %I', role);
	EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA agentcrm TO %I', role);
	EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA agentcrm TO %I', role);
END $$;
COMMENT ON FUNCTION agentcrm.grant_operator(name) IS 'Grants a role what it needs to attach sources, run steps by hand and read everything';

-- The worker reads a source as its run_as: membership is what lets it, and what bounds it.
CREATE FUNCTION agentcrm.grant_worker(role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reader text;
BEGIN
	PERFORM agentcrm.grant_operator(role);
	IF NOT (SELECT rolcanlogin FROM pg_roles WHERE rolname = role) THEN
		PERFORM agentcrm.refuse(format('role "%s" may not log in', role), format('ALTER ROLE %I LOGIN', role));
	END IF;
	EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
	FOR reader IN SELECT DISTINCT s.run_as FROM agentcrm.source s JOIN pg_roles r ON r.rolname = s.run_as WHERE NOT pg_has_role(role, r.oid, 'MEMBER') LOOP
		IF (SELECT rolsuper FROM pg_roles WHERE rolname = reader) THEN
			RAISE WARNING 'sources read as superuser "%" cannot be read by role "%"', reader, role
				USING HINT = 'Name a plain role: agentcrm.alter_source(..., run_as => ...).';
		ELSE
			EXECUTE format('GRANT %I TO %I', reader, role);
		END IF;
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.grant_worker(name) IS 'Grants a role what agentcrm.worker_role needs: what an operator needs, and membership in the roles that the attached sources are read as';
