-- source/: what attach creates: rows of the mapping, one lock, triggers, and the start of loading; and how it is taken back

CREATE FUNCTION agentcrm.attach_check_unwritten() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
		PERFORM agentcrm.attach_refuse('this transaction has already written', 'Attach in a transaction of its own: its locks could deadlock with writers.', '25001');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_check_unwritten() IS 'Internal: refuses a transaction that has written';

CREATE FUNCTION agentcrm.relation_tree(relation regclass) RETURNS TABLE (member regclass, own_rows boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree AS (
		SELECT relation::oid AS oid UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid)
	SELECT c.oid::regclass, c.oid = relation OR NOT c.relispartition FROM tree t JOIN pg_class c USING (oid) WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' ORDER BY c.oid
$$;
COMMENT ON FUNCTION agentcrm.relation_tree(regclass) IS 'Internal: a table with its partitions and children; own_rows: needs a row trigger of its own (a partition gets its parent''s)';

CREATE FUNCTION agentcrm.owns_relation(relation regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = relation
$$;
COMMENT ON FUNCTION agentcrm.owns_relation(regclass) IS 'Internal: whether the caller owns a relation';

-- All tables in oid order, so that two attaches cannot deadlock.  A caller without write privileges locks by CREATE TRIGGER, in the same order.
CREATE FUNCTION agentcrm.attach_lock(call text, relations regclass[], lock_mode text DEFAULT 'SHARE ROW EXCLUSIVE') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r regclass;
	holders text;
BEGIN
	FOREACH r IN ARRAY relations LOOP
		IF has_table_privilege(current_user, r, 'UPDATE, DELETE, TRUNCATE') AND (SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = r) THEN
			EXECUTE format('LOCK TABLE %s IN %s MODE', agentcrm.relation_name(r), lock_mode);
		END IF;
	END LOOP;
EXCEPTION WHEN lock_not_available THEN
	SELECT string_agg(DISTINCT coalesce('process ' || l.pid, 'a prepared transaction'), ', ') INTO holders FROM pg_locks l
	WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND l.relation IN (SELECT member FROM agentcrm.relation_tree(r)) AND (lock_mode = 'ACCESS EXCLUSIVE' OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')) AND l.pid IS DISTINCT FROM pg_backend_pid();
	PERFORM agentcrm.attach_refuse(format('%s could not be locked within %s%s', agentcrm.relation_name(r), agentcrm.attach_lock_timeout(), ': held by ' || holders),
		'Nothing was changed. Try again when the transaction holding it has ended, or raise agentcrm.attach_lock_timeout.', '55P03', call);
END $$;
COMMENT ON FUNCTION agentcrm.attach_lock(text, regclass[], text) IS 'Internal: locks tables against writers, or against all where triggers will be dropped';

CREATE FUNCTION agentcrm.attach_trigger(relation regclass, trigger_name text, timing text, source_id int, watch int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	named text := agentcrm.relation_name(relation);
BEGIN
	EXECUTE format('CREATE TRIGGER %I AFTER %s EXECUTE FUNCTION agentcrm.capture(%L, %L)', trigger_name, format(timing, named), source_id, watch);
	IF agentcrm.owns_relation(relation) THEN
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', named, trigger_name);
		EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION agentcrm', trigger_name, named);
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_trigger(regclass, text, text, int, int) IS 'Internal: makes a trigger that also fires on a subscriber and goes with the extension';

CREATE FUNCTION agentcrm.attach_row_trigger(relation regclass, source_id int, watch int) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_trigger(relation, format('agentcrm_%s_%s_%s', source_id, watch, relation::oid), 'INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW', source_id, watch)
$$;
COMMENT ON FUNCTION agentcrm.attach_row_trigger(regclass, int, int) IS 'Internal: makes a trigger for changed rows';

CREATE FUNCTION agentcrm.attach_truncate_trigger(relation regclass, source_id int, watch int) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.attach_trigger(relation, format('agentcrm_%s_%s_%s_truncate', source_id, watch, relation::oid), 'TRUNCATE ON %s FOR EACH STATEMENT', source_id, watch)
$$;
COMMENT ON FUNCTION agentcrm.attach_truncate_trigger(regclass, int, int) IS 'Internal: makes a trigger for TRUNCATE';

-- The tables of a watch and what triggers they have now; entry is as source_watch.triggers has it.
CREATE FUNCTION agentcrm.watched_triggers(source_id int, watch int) RETURNS TABLE (member regclass, own_rows boolean, row_trigger name, truncate_trigger name, entry text)
LANGUAGE sql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
	SELECT m.member, m.own_rows, g.rows, g.truncates,
		format('%s %s%s', coalesce(split_part(g.truncates, '_', 4), CASE WHEN m.own_rows THEN split_part(g.rows, '_', 4) END, '?'), coalesce(g.rows_fire, '-'), coalesce(g.truncates_fire, '-'))
	FROM agentcrm.source_watch w JOIN pg_namespace n ON n.nspname = w.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name
	CROSS JOIN LATERAL agentcrm.relation_tree(c.oid) m
	-- all at once, and without patterns: a table may have a thousand partitions; bit 5 of the type is TRUNCATE
	LEFT JOIN (SELECT t.tgrelid, min(t.tgname::text) FILTER (WHERE t.tgtype & 32 = 0)::name AS rows, min(t.tgname::text) FILTER (WHERE t.tgtype & 32 <> 0)::name AS truncates,
			min(t.tgenabled::text) FILTER (WHERE t.tgtype & 32 = 0) AS rows_fire, min(t.tgenabled::text) FILTER (WHERE t.tgtype & 32 <> 0) AS truncates_fire
		FROM pg_trigger t WHERE t.tgfoid = 'agentcrm.capture'::regproc AND starts_with(t.tgname::text, format('agentcrm_%s_%s_', $1, $2)) GROUP BY t.tgrelid) AS g ON g.tgrelid = m.member
	WHERE w.source_id = $1 AND w.watch = $2 AND w.polled IS NULL
$$;
COMMENT ON FUNCTION agentcrm.watched_triggers(int, int) IS 'Internal: tables of a watch with their triggers; none where it is polled';

CREATE FUNCTION agentcrm.trigger_entries(source_id int, watch int) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(array_agg(t.entry ORDER BY t.entry), '{}') FROM agentcrm.watched_triggers(source_id, watch) t
$$;
COMMENT ON FUNCTION agentcrm.trigger_entries(int, int) IS 'Internal: what source_watch.triggers should say now';

CREATE FUNCTION agentcrm.attach_triggers(source int, after_watch int DEFAULT 0) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT w.watch, m.member, m.own_rows
		FROM agentcrm.source_watch w, to_regclass(format('%I.%I', w.schema_name, w.table_name)) r, agentcrm.relation_tree(r) m
		WHERE w.source_id = source AND w.watch > after_watch AND w.polled IS NULL ORDER BY r::oid, m.member::oid, w.watch
	LOOP
		IF t.own_rows THEN
			PERFORM agentcrm.attach_row_trigger(t.member, source, t.watch);
		END IF;
		PERFORM agentcrm.attach_truncate_trigger(t.member, source, t.watch);
	END LOOP;
	UPDATE agentcrm.source_watch w SET triggers = agentcrm.trigger_entries(w.source_id, w.watch) WHERE w.source_id = source AND w.watch > after_watch;
END $$;
COMMENT ON FUNCTION agentcrm.attach_triggers(int, int) IS 'Internal: makes the triggers of a source';

-- A partition's copies of row triggers go with the original.
CREATE FUNCTION agentcrm.source_triggers(source int) RETURNS TABLE (relation regclass, trigger_name name)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.tgrelid::regclass, t.tgname FROM pg_trigger t
	WHERE t.tgfoid = 'agentcrm.capture'::regproc AND t.tgparentid = 0 AND starts_with(t.tgname::text, format('agentcrm_%s_', source))
	ORDER BY t.tgrelid, t.tgname
$$;
COMMENT ON FUNCTION agentcrm.source_triggers(int) IS 'Internal: triggers of a source';

CREATE FUNCTION agentcrm.drop_triggers(source int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM agentcrm.source_triggers(source) LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', t.trigger_name, agentcrm.relation_name(t.relation));
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.drop_triggers(int) IS 'Internal: drops the triggers of a source';

CREATE FUNCTION agentcrm.check_triggers_owned(source int) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	foreign_table regclass;
BEGIN
	SELECT relation INTO foreign_table FROM agentcrm.source_triggers(source) WHERE NOT agentcrm.owns_relation(relation) LIMIT 1;
	IF foreign_table IS NOT NULL THEN
		PERFORM agentcrm.refuse(format('only the owner of %s may drop its triggers', agentcrm.relation_name(foreign_table)),
			format('Let a member of role %I do it.', (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = foreign_table)), '42501');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.check_triggers_owned(int) IS 'Internal: refuses a caller who could not drop the triggers';

CREATE FUNCTION agentcrm.part_classes(part jsonb) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(agentcrm.key_class(t) ORDER BY i)
	FROM unnest(agentcrm.column_types((part ->> 'relation')::oid, agentcrm.part_array(part, 'key'))) WITH ORDINALITY AS a(t, i)
$$;
COMMENT ON FUNCTION agentcrm.part_classes(jsonb) IS 'Internal: what kind of keys a part has';

CREATE FUNCTION agentcrm.columns_by_number(relation regclass) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(CASE WHEN NOT attisdropped THEN attname::text END ORDER BY attnum) FROM pg_attribute WHERE attrelid = relation AND attnum > 0
$$;
COMMENT ON FUNCTION agentcrm.columns_by_number(regclass) IS 'Internal: columns of a table by their numbers; NULL for dropped ones';

CREATE FUNCTION agentcrm.types_by_number(relation regclass) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(CASE WHEN NOT attisdropped THEN format_type(atttypid, atttypmod) END ORDER BY attnum) FROM pg_attribute WHERE attrelid = relation AND attnum > 0
$$;
COMMENT ON FUNCTION agentcrm.types_by_number(regclass) IS 'Internal: types of the columns of a table by their numbers';

-- A source without any trigger would look like one whose restore is not finished, see untriggered().
CREATE FUNCTION agentcrm.attach_polls(source int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	polled smallint[] := ARRAY(SELECT p.part FROM agentcrm.source_part p WHERE p.source_id = source AND p.kind <> 'touch' AND (p.watermark IS NOT NULL
		OR EXISTS (SELECT FROM agentcrm.source_watch w JOIN agentcrm.source_part t USING (source_id, part) WHERE w.source_id = source AND w.polled IS NOT NULL
			AND (w.part = p.part OR t.touches = p.name))));
BEGIN
	DELETE FROM agentcrm.source_poll q WHERE q.source_id = source AND q.part <> ALL (polled);
	INSERT INTO agentcrm.source_poll AS q (source_id, part, at, since, next_since)
	SELECT source, p.part, agentcrm.clock(), t.now, t.now FROM agentcrm.source_part p
	CROSS JOIN LATERAL (SELECT CASE WHEN p.watermark IS NOT NULL THEN now() END) AS t(now) WHERE p.source_id = source AND p.part = ANY (polled)
	ON CONFLICT (source_id, part) DO UPDATE SET since = CASE WHEN excluded.since IS NOT NULL THEN coalesce(q.since, excluded.since) END,
		next_since = CASE WHEN excluded.since IS NOT NULL THEN coalesce(q.since, excluded.since) END;
	IF polled <> '{}' AND NOT EXISTS (SELECT FROM agentcrm.source_watch w WHERE w.polled IS NULL) THEN
		INSERT INTO agentcrm.server_start (life) VALUES ('-infinity') ON CONFLICT DO NOTHING;
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.attach_polls(int) IS 'Internal: writes which parts of a source are polled';

-- The part numbers of an altered source stay with their names: unread events hold them.  Gives the last watch before the new ones.
CREATE FUNCTION agentcrm.attach_rows(source int, spec jsonb) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last_part int := (SELECT coalesce(max(part), 0) FROM agentcrm.source_part p WHERE p.source_id = source);
	last_watch int := (SELECT coalesce(max(watch), 0) FROM agentcrm.source_watch w WHERE w.source_id = source);
BEGIN
	INSERT INTO agentcrm.source_part AS old (source_id, part, name, kind, query, key_schema, key_table, key_columns, key_classes, touches, watermark)
	SELECT source, last_part + row_number() OVER (ORDER BY i), p ->> 'name', p ->> 'kind', p ->> 'query', n.nspname, c.relname, agentcrm.part_array(p, 'key'), agentcrm.part_classes(p),
		CASE p ->> 'kind' WHEN 'touch' THEN coalesce(p ->> 'touches', 'order') END, p ->> 'watermark'
	FROM jsonb_array_elements(spec -> 'parts') WITH ORDINALITY AS a(p, i)
	JOIN pg_class c ON c.oid = (p ->> 'relation')::oid JOIN pg_namespace n ON n.oid = c.relnamespace
	ON CONFLICT (source_id, name) DO UPDATE SET kind = excluded.kind, query = excluded.query,
		key_schema = excluded.key_schema, key_table = excluded.key_table, key_columns = excluded.key_columns, key_classes = excluded.key_classes, touches = excluded.touches, watermark = excluded.watermark;

	INSERT INTO agentcrm.source_watch (source_id, watch, part, schema_name, table_name, key_columns, columns, column_types, polled, via)
	SELECT source, last_watch + row_number() OVER (ORDER BY i), p.part, n.nspname, c.relname, agentcrm.part_array(w, 'key'), agentcrm.columns_by_number(c.oid),
		agentcrm.types_by_number(c.oid), w ->> 'polled', w ->> 'via'
	FROM jsonb_array_elements(spec -> 'watches') WITH ORDINALITY AS a(w, i)
	JOIN agentcrm.source_part p ON p.source_id = source AND p.name = w ->> 'part'
	JOIN pg_class c ON c.oid = (w ->> 'relation')::oid JOIN pg_namespace n ON n.oid = c.relnamespace;
	PERFORM agentcrm.attach_polls(source);
	RETURN last_watch;
END $$;
COMMENT ON FUNCTION agentcrm.attach_rows(int, jsonb) IS 'Internal: writes parts and watches';

-- The state of a source that is neither paused nor broken: detaching when it watches nothing any more, loading until its orders were read through once.
CREATE FUNCTION agentcrm.working_state(source agentcrm.source) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN NOT EXISTS (SELECT FROM agentcrm.source_watch w WHERE w.source_id = source.source_id) THEN 'detaching'
		WHEN NOT EXISTS (SELECT FROM agentcrm.source_load l JOIN agentcrm.source_part p USING (source_id, part)
			WHERE l.source_id = source.source_id AND p.kind = 'order' AND l.phase = 'done') THEN 'loading'
		WHEN source.deliver THEN 'live' ELSE 'shadow' END
$$;
COMMENT ON FUNCTION agentcrm.working_state(agentcrm.source) IS 'Internal: state of a source when nothing hinders it';

/*
 * Feeds come first, so that clients have names and parents when their orders
 * arrive.  A first load that is past reading is let finish, and all is read
 * again after it: half-built profiles must not meet changed lines.  What is
 * being emptied is read from the first key when that is over, if ever.
 */
CREATE FUNCTION agentcrm.start_load(source agentcrm.source, only_part text, totals jsonb, cause text, reconcile boolean DEFAULT false) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO agentcrm.source_load (source_id, part, load_no, phase, position, done, total, again, at, started_at, reconcile, cause, begun_at,
		looked, missing, changed, surplus, lines, clientless)
	SELECT p.source_id, p.part, (SELECT coalesce(max(m.load_no), 0) FROM agentcrm.source_load m WHERE m.source_id = source.source_id)
		+ row_number() OVER (ORDER BY p.kind = 'order', p.name = 'client', p.part),
		CASE WHEN w.waits THEN l.phase ELSE 'read' END, CASE WHEN w.waits THEN l.position END, CASE WHEN w.waits THEN l.done ELSE 0 END,
		CASE WHEN w.waits THEN l.total ELSE coalesce((totals ->> p.name)::bigint, f.looked, 0) END, w.waits, now(), CASE WHEN w.waits THEN l.started_at ELSE now() END,
		CASE WHEN w.waits THEN l.reconcile ELSE start_load.reconcile END, CASE WHEN w.waits THEN l.cause ELSE start_load.cause END,
		CASE WHEN w.waits THEN l.begun_at ELSE now() END, CASE WHEN w.waits THEN l.looked ELSE 0 END,
		CASE WHEN u.unfinished THEN l.missing ELSE 0 END, CASE WHEN u.unfinished THEN l.changed ELSE 0 END, CASE WHEN u.unfinished THEN l.surplus ELSE 0 END,
		CASE WHEN w.waits THEN l.lines ELSE 0 END, CASE WHEN w.waits THEN l.clientless ELSE 0 END
	FROM agentcrm.source_part p
	LEFT JOIN LATERAL (SELECT * FROM agentcrm.source_load x WHERE x.source_id = p.source_id AND x.part = p.part ORDER BY x.load_no DESC LIMIT 1) AS l ON true
	LEFT JOIN LATERAL (SELECT x.looked FROM agentcrm.reconcile_log x WHERE x.source_id = p.source_id AND x.part = p.part ORDER BY x.reading DESC LIMIT 1) AS f ON true
	CROSS JOIN LATERAL (SELECT coalesce(l.phase <> 'done', false) AS unfinished) AS u
	CROSS JOIN LATERAL (SELECT u.unfinished AND (start_load.reconcile
		OR p.kind = 'order' AND agentcrm.working_state(source) = 'loading' AND l.phase IN ('fold', 'assess')) AS waits) AS w
	WHERE p.source_id = source.source_id AND p.kind IN ('order', 'feed') AND (totals IS NULL OR totals ? p.name) AND (only_part IS NULL OR p.name = only_part)
	AND coalesce(l.phase <> 'empty', true) AND NOT (start_load.reconcile AND u.unfinished AND (l.again OR l.phase = 'read' AND l.position IS NULL AND l.done = 0))
$$;
COMMENT ON FUNCTION agentcrm.start_load(agentcrm.source, text, jsonb, text, boolean) IS 'Internal: starts reading all keys of parts; a reconcile lets a load that is under way end first';

/*
 * The stored orders leave the ledger in steps, client by client, from the
 * highest id down to those below position; from position up, profiles do not
 * hold them: a first load was not through.
 */
CREATE FUNCTION agentcrm.start_emptying(source agentcrm.source, cause text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO agentcrm.source_load (source_id, part, load_no, phase, position, done, total, at, started_at, cause)
	SELECT l.source_id, l.part, l.load_no + 1, 'empty', CASE WHEN l.phase IN ('read', 'fold') AND NOT EXISTS (
			SELECT FROM agentcrm.source_load x WHERE x.source_id = l.source_id AND x.part = l.part AND x.phase = 'done')
		THEN coalesce(CASE l.phase WHEN 'fold' THEN l.position::bigint + 1 END, -9223372036854775808)::text END, 0, 0, now(), now(), start_emptying.cause
	FROM agentcrm.source_part p
	CROSS JOIN LATERAL (SELECT * FROM agentcrm.source_load x WHERE x.source_id = p.source_id AND x.part = p.part ORDER BY x.load_no DESC LIMIT 1) AS l
	WHERE p.source_id = source.source_id AND p.kind = 'order' AND l.phase <> 'empty'
$$;
COMMENT ON FUNCTION agentcrm.start_emptying(agentcrm.source, text) IS 'Internal: starts taking the orders of a source out of the ledger';

CREATE FUNCTION agentcrm.part_totals(source agentcrm.source, parts jsonb) RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_object_agg(p ->> 'name', agentcrm.attach_total(agentcrm.attach_reader(source), p)) FROM jsonb_array_elements(parts) p WHERE p ->> 'kind' <> 'touch'
$$;
COMMENT ON FUNCTION agentcrm.part_totals(agentcrm.source, jsonb) IS 'Internal: number of keys of each part';

CREATE FUNCTION agentcrm.attach_namespace(given text) RETURNS int
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result int;
BEGIN
	IF given IS NOT NULL THEN
		SELECT s.namespace INTO result FROM agentcrm.source s WHERE s.name = given;
		IF result IS NULL THEN
			PERFORM agentcrm.attach_refuse(format('argument namespace: there is no source "%s"', given), 'Name the source whose clients and products this one shares.', '42704');
		END IF;
	END IF;
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.attach_namespace(text) IS 'Internal: identity namespace of a named source';

-- Namespaces of detached sources are not used again while another source is attached: their clients may still be there.
CREATE FUNCTION agentcrm.next_namespace() RETURNS int
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN NOT EXISTS (SELECT FROM agentcrm.source) THEN 0 ELSE greatest((SELECT max(namespace) FROM agentcrm.source),
		(SELECT max(namespace) FROM agentcrm.client), (SELECT max(namespace) FROM agentcrm.product), (SELECT max(namespace) FROM agentcrm.rep)) + 1 END
$$;
COMMENT ON FUNCTION agentcrm.next_namespace() IS 'Internal: next free identity namespace';

CREATE FUNCTION agentcrm.attach_insert(source agentcrm.source) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result int;
BEGIN
	PERFORM agentcrm.adopted();
	LOCK TABLE agentcrm.source IN SHARE ROW EXCLUSIVE MODE;
	INSERT INTO agentcrm.source (name, namespace, run_as, search_path, time_zone, on_delete, archive_before, state, options, attached_at)
	VALUES (source.name, coalesce(source.namespace, agentcrm.next_namespace()), source.run_as, source.search_path, source.time_zone, source.on_delete,
		source.archive_before, 'loading', source.options, now())
	RETURNING source_id INTO result;
	RETURN result;
END $$;
COMMENT ON FUNCTION agentcrm.attach_insert(agentcrm.source) IS 'Internal: writes the source';

-- lock_timeout holds for all locks taken here and is put back; an error puts it back by itself.
CREATE FUNCTION agentcrm.attach_install(source agentcrm.source, spec jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before text := current_setting('lock_timeout');
	totals jsonb := agentcrm.part_totals(source, spec -> 'parts');
	id int;
BEGIN
	PERFORM agentcrm.hold_steps();
	PERFORM set_config('lock_timeout', agentcrm.attach_lock_timeout(), true);
	id := agentcrm.attach_insert(source);
	PERFORM agentcrm.attach_rows(id, spec);
	PERFORM agentcrm.attach_lock('attach', ARRAY(SELECT agentcrm.attach_relations(spec)));
	PERFORM agentcrm.attach_triggers(id);
	source.source_id := id;
	PERFORM agentcrm.start_load(source, NULL, totals, 'attach');
	PERFORM set_config('lock_timeout', before, true);
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.attach_install(agentcrm.source, jsonb) IS 'Internal: creates a source';
