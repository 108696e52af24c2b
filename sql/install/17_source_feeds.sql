-- source/: how a feed that was added to a source is taken away again

CREATE FUNCTION agentcrm.check_feed_added(source agentcrm.source, feed text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM agentcrm.source_part p WHERE p.source_id = source.source_id AND p.kind = 'feed' AND p.name = feed) THEN
		PERFORM agentcrm.attach_refuse(format('source "%s" has no feed %s', source.name, coalesce(quote_literal(feed), 'NULL')),
			coalesce('Feeds: ' || (SELECT string_agg(p.name, ', ' ORDER BY p.part) FROM agentcrm.source_part p WHERE p.source_id = source.source_id AND p.kind = 'feed') || '.', 'It has none.'), '42704', 'detach_feed');
	ELSIF NOT coalesce(source.options -> 'feeds' ? feed, false) THEN
		PERFORM agentcrm.attach_refuse(format('feed %s of source "%s" was made by attach', feed, source.name),
			'Only what attach_feed has added can be taken away alone.', '55000', 'detach_feed');
	END IF;
END $$;
COMMENT ON FUNCTION agentcrm.check_feed_added(agentcrm.source, text) IS 'Internal: refuses a feed that attach_feed has not added';

CREATE FUNCTION agentcrm.feed_triggers(source int, feed text) RETURNS TABLE (relation regclass, trigger_name name)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.relation, t.trigger_name FROM agentcrm.source_triggers(source) t
	JOIN agentcrm.source_watch w ON w.source_id = source AND w.watch = split_part(t.trigger_name, '_', 3)::int
	JOIN agentcrm.source_part p ON p.source_id = source AND p.part = w.part AND feed IN (p.name, p.touches)
	ORDER BY t.relation, t.trigger_name
$$;
COMMENT ON FUNCTION agentcrm.feed_triggers(int, text) IS 'Internal: triggers of a feed';

-- What it gave goes first, and the application's tables are locked last, for as short as can be.
CREATE FUNCTION agentcrm.detach_feed(source text, feed text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s agentcrm.source := agentcrm.get_source(source);
	before text := current_setting('lock_timeout');
	parts smallint[];
	t record;
BEGIN
	PERFORM agentcrm.check_feed_added(s, feed), agentcrm.check_triggers_owned(s.source_id), agentcrm.hold_steps();
	EXECUTE format(CASE WHEN agentcrm.feed_of_facts(feed) THEN 'DELETE FROM agentcrm.%I WHERE source_id = $1'
		ELSE 'UPDATE agentcrm.%I SET feed_source_id = NULL WHERE feed_source_id = $1' END, feed) USING s.source_id;
	PERFORM set_config('lock_timeout', agentcrm.attach_lock_timeout(), true);
	PERFORM agentcrm.attach_lock('detach_feed', ARRAY(SELECT DISTINCT relation FROM agentcrm.feed_triggers(s.source_id, feed) ORDER BY 1), 'ACCESS EXCLUSIVE');
	FOR t IN SELECT * FROM agentcrm.feed_triggers(s.source_id, feed) LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', t.trigger_name, agentcrm.relation_name(t.relation));
	END LOOP;
	PERFORM set_config('lock_timeout', before, true);
	parts := ARRAY(SELECT p.part FROM agentcrm.source_part p WHERE p.source_id = s.source_id AND feed IN (p.name, p.touches));
	DELETE FROM agentcrm.event_failed f WHERE f.source_id = s.source_id AND f.part = ANY (parts);
	DELETE FROM agentcrm.source_load l WHERE l.source_id = s.source_id AND l.part = ANY (parts);
	DELETE FROM agentcrm.source_part p WHERE p.source_id = s.source_id AND p.part = ANY (parts);
	UPDATE agentcrm.source u SET options = u.options #- ARRAY['feeds', feed], version = greatest(u.version + 1, pg_current_xact_id()::text::bigint * 1024)
	WHERE u.source_id = s.source_id;
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.detach_feed(text, text) IS 'Takes away a feed that attach_feed has added, with its triggers and the rows it gave; clients, products and reps stay as they are. Errors: unknown source or feed, a feed made by attach, a table that could not be locked within agentcrm.attach_lock_timeout';
