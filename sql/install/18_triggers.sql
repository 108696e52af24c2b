-- source/: the application's changes of its tables may take triggers away, switch them off, leave them behind, or bring tables
-- without any: what is watched stays watched, and what may have been missed is read again

/*
 * Why a watch must be read again, by its triggers as last seen and as found
 * now; NULL: nothing was missed.  The number in a trigger's name tells one
 * table of the tree from another, also after a rename, a dump or pg_upgrade.
 */
CREATE FUNCTION agentcrm.missed_by(seen text[], found text[], named text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH s AS (SELECT split_part(e, ' ', 1) AS number, split_part(e, ' ', 2) AS fires FROM unnest(seen) e),
	f AS (SELECT split_part(e, ' ', 1) AS number, split_part(e, ' ', 2) AS fires FROM unnest(found) e)
	SELECT string_agg(reason || named, ', ') FROM (
		SELECT 'tables without triggers in ' AS reason WHERE EXISTS (SELECT FROM f WHERE number = '?')
		UNION ALL SELECT 'tables gone from ' WHERE EXISTS (SELECT FROM s WHERE number <> '?' AND number NOT IN (SELECT number FROM f))
		UNION ALL SELECT 'triggers absent on ' WHERE EXISTS (SELECT FROM f LEFT JOIN s USING (number) WHERE number <> '?' AND f.fires ~ '-' AND s.fires IS DISTINCT FROM f.fires)
		-- one that is off now is still missing changes: they are read when it is on again
		UNION ALL SELECT 'triggers off on ' WHERE EXISTS (SELECT FROM f JOIN s USING (number), generate_series(1, 2) i
			WHERE substr(s.fires, i, 1) || substr(f.fires, i, 1) IN ('AO', 'AR', 'OR', 'DA', 'DO', 'DR', 'RA', 'RO', '-A', '-O', '-R'))) AS reasons
$$;
COMMENT ON FUNCTION agentcrm.missed_by(text[], text[], text) IS 'Internal: why triggers as found mean that changes were missed since they were last seen';

-- Triggers of a watch on tables that are its no longer.
CREATE FUNCTION agentcrm.left_triggers(source_id int, watch int) RETURNS TABLE (relation regclass, trigger_name name)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.relation, t.trigger_name FROM agentcrm.source_triggers(source_id) t
	WHERE starts_with(t.trigger_name::text, format('agentcrm_%s_%s_', source_id, watch))
	AND t.relation NOT IN (SELECT m.member FROM agentcrm.watched_triggers(source_id, watch) m) AND agentcrm.owns_relation(t.relation)
$$;
COMMENT ON FUNCTION agentcrm.left_triggers(int, int) IS 'Internal: triggers left behind on tables that were detached or replaced';

-- ALTER COLUMN ... TYPE writes all rows anew, and no trigger sees it.
CREATE FUNCTION agentcrm.is_retyped(w agentcrm.source_watch) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM unnest(w.column_types) WITH ORDINALITY AS k(type, number)
		JOIN unnest(agentcrm.types_by_number(agentcrm.relation_named(w.schema_name, w.table_name))) WITH ORDINALITY AS n(type, number) USING (number) WHERE k.type <> n.type)
$$;
COMMENT ON FUNCTION agentcrm.is_retyped(agentcrm.source_watch) IS 'Internal: whether a column of a watched table has another type than when it was last seen';

-- What is missing is made, what fires no longer as a replica does so again; what somebody has switched off stays off.
CREATE FUNCTION agentcrm.mend_triggers(source_id int, watch int) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
BEGIN
	FOR m IN SELECT * FROM agentcrm.watched_triggers(source_id, watch) LOOP
		IF m.entry LIKE '%-%' AND has_table_privilege(m.member, 'TRIGGER') THEN
			IF m.row_trigger IS NULL AND m.own_rows THEN
				PERFORM agentcrm.attach_row_trigger(m.member, source_id, watch);
			END IF;
			IF m.truncate_trigger IS NULL THEN
				PERFORM agentcrm.attach_truncate_trigger(m.member, source_id, watch);
			END IF;
		END IF;
	END LOOP;
	FOR m IN SELECT w.member, t.name FROM agentcrm.watched_triggers(source_id, watch) w CROSS JOIN LATERAL (VALUES (1, w.row_trigger), (2, w.truncate_trigger)) AS t(place, name)
			WHERE substr(split_part(w.entry, ' ', 2), t.place, 1) IN ('O', 'R') AND agentcrm.owns_relation(w.member) LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', agentcrm.relation_name(m.member), m.name);
	END LOOP;
	FOR m IN SELECT * FROM agentcrm.left_triggers(source_id, watch) LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', m.trigger_name, agentcrm.relation_name(m.relation));
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.mend_triggers(int, int) IS 'Internal: makes a watch''s triggers what they should be';

-- Bounded: a lock that is waited for keeps the application's writers waiting.
CREATE FUNCTION agentcrm.follow_watch(w agentcrm.source_watch) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms' AS $$
DECLARE
	found text[] := agentcrm.trigger_entries(w.source_id, w.watch);
	named text := format('%I.%I', w.schema_name, w.table_name);
	retyped boolean := agentcrm.is_retyped(w);
	reason text := nullif(concat_ws(', ', agentcrm.missed_by(w.triggers, found, named), CASE WHEN retyped THEN 'columns of another type in ' || named END), '');
	relation regclass := agentcrm.relation_named(w.schema_name, w.table_name);
	another boolean := EXISTS (SELECT FROM agentcrm.watched_triggers(w.source_id, w.watch) m WHERE m.member = relation AND m.row_trigger IS NULL);
BEGIN
	PERFORM agentcrm.mend_triggers(w.source_id, w.watch);
	UPDATE agentcrm.source_watch u SET triggers = agentcrm.trigger_entries(w.source_id, w.watch),
		columns = CASE WHEN another THEN agentcrm.columns_by_number(relation) ELSE u.columns END,
		column_types = CASE WHEN another OR retyped THEN agentcrm.types_by_number(relation) ELSE u.column_types END
	WHERE u.source_id = w.source_id AND u.watch = w.watch;
	IF reason IS NOT NULL THEN
		PERFORM agentcrm.start_load(s, p.name, NULL, 'tables changed: ' || reason, true)
		FROM agentcrm.source s JOIN agentcrm.source_part p USING (source_id)
		WHERE s.source_id = w.source_id AND (p.part = w.part OR EXISTS (SELECT FROM agentcrm.source_part t
			WHERE t.source_id = w.source_id AND t.part = w.part AND t.touches = p.name));
		RAISE LOG 'agentcrm: source "%": %', (SELECT s.name FROM agentcrm.source s WHERE s.source_id = w.source_id), reason
			USING DETAIL = 'Triggers are put back as far as rights and locks allow, and the rows are read again.';
	END IF;
	RETURN 'followed';
EXCEPTION WHEN lock_not_available THEN
	RETURN 'busy';
WHEN OTHERS THEN
	RAISE LOG 'agentcrm: triggers on %.% could not be put back: %', w.schema_name, w.table_name, SQLERRM;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.follow_watch(agentcrm.source_watch) IS 'Internal: puts the triggers of a watch right and has what was missed read again; busy: a table was locked';

/*
 * Of sources whose mapping fits: what is wrong with a table is told, and
 * mended, there first.  A table that is away keeps its triggers, wherever it is.
 */
CREATE FUNCTION agentcrm.follow_triggers() RETURNS text
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH changed AS MATERIALIZED (
		SELECT w FROM agentcrm.source_watch w JOIN agentcrm.source s USING (source_id) CROSS JOIN LATERAL (
			SELECT coalesce(array_agg(m.entry ORDER BY m.entry), '{}') AS found,
				bool_or(CASE WHEN m.entry ~ CASE WHEN m.own_rows THEN '-' ELSE '-$' END THEN has_table_privilege(m.member, 'TRIGGER')
					WHEN m.entry ~ '[OR]' THEN agentcrm.owns_relation(m.member) END) AS mendable
			FROM agentcrm.watched_triggers(w.source_id, w.watch) m) AS t
		WHERE s.state <> 'detaching' AND NOT s.unfit AND agentcrm.relation_named(w.schema_name, w.table_name) IS NOT NULL
		AND (t.found <> w.triggers OR t.mendable OR agentcrm.is_retyped(w) OR EXISTS (SELECT FROM agentcrm.left_triggers(w.source_id, w.watch))))
	SELECT max(agentcrm.follow_watch(w)) FROM changed
$$;
COMMENT ON FUNCTION agentcrm.follow_triggers() IS 'Internal: puts triggers of all sources right; followed: something was done, busy: a table was locked, NULL: nothing to do';

-- What is wrong with a source's triggers now, and what to call.
CREATE FUNCTION agentcrm.trigger_problem(source agentcrm.source) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH t AS (SELECT m.* FROM agentcrm.source_watch w CROSS JOIN LATERAL agentcrm.watched_triggers(w.source_id, w.watch) m WHERE w.source_id = source.source_id)
	SELECT coalesce(
		(SELECT format('a trigger is missing on %s: changes there are not seen; SELECT agentcrm.alter_source(%L) makes it again', string_agg(DISTINCT agentcrm.relation_name(t.member), ', '), source.name)
			FROM t WHERE t.entry ~ CASE WHEN t.own_rows THEN '-' ELSE '-$' END HAVING count(*) > 0),
		(SELECT format('triggers are off on %s: changes there are not seen; ALTER TABLE %s %s', agentcrm.relation_name(t.member), agentcrm.relation_name(t.member),
				string_agg(format('ENABLE ALWAYS TRIGGER %I', g.name), ', ' ORDER BY g.name))
			FROM t CROSS JOIN LATERAL (VALUES (1, t.row_trigger), (2, t.truncate_trigger)) AS g(place, name)
			WHERE substr(split_part(t.entry, ' ', 2), g.place, 1) = 'D' GROUP BY t.member ORDER BY t.member LIMIT 1))
$$;
COMMENT ON FUNCTION agentcrm.trigger_problem(agentcrm.source) IS 'Internal: triggers of a source that are missing or off, and the call that mends it';

/*
 * Runs in the application's own DDL, which it neither fails nor keeps waiting:
 * what it cannot do is left to the next step, which looks at everything anyhow.
 * A child or partition that is made empty gets its triggers at once, so that
 * none of its rows is missed and nothing need be read again.
 */
CREATE FUNCTION agentcrm.follow_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10ms' AS $$
DECLARE
	c record;
	t record;
BEGIN
	IF TG_EVENT = 'sql_drop' THEN
		IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_type = 'trigger' AND object_identity ~ '^agentcrm_[0-9]') THEN
			PERFORM agentcrm.wake();
		END IF;
		RETURN;
	END IF;
	-- one by one, so that indexes serve
	FOR c IN SELECT d.objid, r.relname, n.nspname, r.relispartition, TG_TAG = 'CREATE TABLE' AND r.relkind IN ('r', 'p') AND r.relpersistence <> 't' AS made
			FROM pg_event_trigger_ddl_commands() d JOIN pg_class r ON r.oid = d.objid JOIN pg_namespace n ON n.oid = r.relnamespace
			WHERE d.classid = 'pg_class'::regclass LOOP
		IF c.made THEN
			FOR t IN SELECT DISTINCT split_part(g.tgname, '_', 2)::int AS source_id, split_part(g.tgname, '_', 3)::int AS watch
					FROM pg_inherits i JOIN pg_trigger g ON g.tgrelid = i.inhparent
					WHERE i.inhrelid = c.objid AND g.tgfoid = 'agentcrm.capture'::regproc AND g.tgname ~ '^agentcrm_[0-9]+_[0-9]+_[0-9]+$' LOOP
				IF NOT c.relispartition THEN
					PERFORM agentcrm.attach_row_trigger(c.objid, t.source_id, t.watch);
				END IF;
				PERFORM agentcrm.attach_truncate_trigger(c.objid, t.source_id, t.watch);
			END LOOP;
		END IF;
		IF EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.objid AND g.tgfoid = 'agentcrm.capture'::regproc)
			OR EXISTS (SELECT FROM agentcrm.source_watch w WHERE w.schema_name = c.nspname AND w.table_name = c.relname) THEN
			PERFORM agentcrm.wake();
		END IF;
	END LOOP;
EXCEPTION WHEN OTHERS THEN
	RAISE LOG 'agentcrm: % is followed later: %', TG_TAG, SQLERRM;
END $$;
COMMENT ON FUNCTION agentcrm.follow_ddl() IS 'Internal: event trigger; gives new children and partitions of watched tables their triggers, and has other changes of watched tables looked at when they commit';
