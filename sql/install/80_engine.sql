-- engine/: installation, errors, status and progress

CREATE TABLE agentcrm.installation (
	only_row			boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	system_identifier	bigint NOT NULL,
	database			text NOT NULL,
	database_oid		oid NOT NULL,
	version				text NOT NULL,
	installed_at		timestamptz NOT NULL,
	adopted_at			timestamptz
);
COMMENT ON TABLE agentcrm.installation IS 'Where agentcrm was installed or last adopted: a copy of the database is recognised by a mismatch and does not act';
COMMENT ON COLUMN agentcrm.installation.only_row IS 'There is one row';
COMMENT ON COLUMN agentcrm.installation.system_identifier IS 'System identifier of the server';
COMMENT ON COLUMN agentcrm.installation.database IS 'Name of the database';
COMMENT ON COLUMN agentcrm.installation.database_oid IS 'Its oid, which a rename keeps and a copy or a restore does not have';
COMMENT ON COLUMN agentcrm.installation.version IS 'Version of agentcrm at installation or adoption';
COMMENT ON COLUMN agentcrm.installation.installed_at IS 'When it was first used: the first attach';
COMMENT ON COLUMN agentcrm.installation.adopted_at IS 'When adopt() was called last; clients are looked at anew from here on';

CREATE TABLE agentcrm.error_log (
	at			timestamptz NOT NULL,
	place		text NOT NULL,
	source_id	int,
	sqlstate	text NOT NULL,
	message		text NOT NULL,
	context		text
);
CREATE INDEX error_log_at_idx ON agentcrm.error_log (at);
COMMENT ON TABLE agentcrm.error_log IS 'Errors of worker, agents and reads, newest last';
COMMENT ON COLUMN agentcrm.error_log.at IS 'When';
COMMENT ON COLUMN agentcrm.error_log.place IS 'Where in agentcrm: a room, a source or an agent';
COMMENT ON COLUMN agentcrm.error_log.source_id IS 'Source, where one is concerned';
COMMENT ON COLUMN agentcrm.error_log.sqlstate IS 'SQLSTATE';
COMMENT ON COLUMN agentcrm.error_log.message IS 'Message';
COMMENT ON COLUMN agentcrm.error_log.context IS 'Context';

CREATE TYPE agentcrm.difference AS (
	source		text,
	what		text,
	key			text,
	column_name	text,
	expected	text,
	found		text
);
COMMENT ON TYPE agentcrm.difference IS 'A difference between stored state and its recomputation';
COMMENT ON COLUMN agentcrm.difference.source IS 'Source, for the ledger; NULL for profiles';
COMMENT ON COLUMN agentcrm.difference.what IS 'Kind of row that differs';
COMMENT ON COLUMN agentcrm.difference.key IS 'Its key';
COMMENT ON COLUMN agentcrm.difference.column_name IS 'Column that differs, where one does';
COMMENT ON COLUMN agentcrm.difference.expected IS 'What recomputation gives; NULL: no such row';
COMMENT ON COLUMN agentcrm.difference.found IS 'What is stored; NULL: no such row';

CREATE FUNCTION agentcrm.clock() RETURNS timestamptz
	LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'agentcrm_clock';
COMMENT ON FUNCTION agentcrm.clock() IS 'The engine''s time: the current time, or agentcrm.debug_now';

CREATE PROCEDURE agentcrm.run(max_steps int DEFAULT NULL)
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_run';
COMMENT ON PROCEDURE agentcrm.run(int) IS 'Take the worker''s steps in this session until there is nothing to do, or max_steps were taken; commits after each. Not inside a transaction block';

CREATE PROCEDURE agentcrm.backfill(source text)
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_backfill';
COMMENT ON PROCEDURE agentcrm.backfill(text) IS 'Load a source now, telling how far it is; may be cancelled and called again. Where the worker is at it, only tells. Not inside a transaction block';

CREATE FUNCTION agentcrm.start_worker() RETURNS int
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_start_worker';
COMMENT ON FUNCTION agentcrm.start_worker() IS 'Start this database''s worker and return its process id; for servers without shared_preload_libraries, where it runs until the server stops';

CREATE FUNCTION agentcrm.wake() RETURNS void
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_wake';
COMMENT ON FUNCTION agentcrm.wake() IS 'Wake the worker when this transaction commits';

CREATE FUNCTION agentcrm.worker_paused(paused boolean) RETURNS void
	LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'agentcrm_pause';
COMMENT ON FUNCTION agentcrm.worker_paused(boolean) IS 'Stop this database''s worker from taking steps, or let it go on, until the server stops; pause and resume are the calls for it';

CREATE FUNCTION agentcrm.worker_state(OUT launcher_pid int, OUT worker_pid int, OUT paused boolean,
	OUT no_worker_slot boolean, OUT due timestamptz, OUT lost boolean, OUT down text, OUT preloaded boolean, OUT role_problem text)
	LANGUAGE C AS 'MODULE_PATHNAME', 'agentcrm_worker_state';
COMMENT ON FUNCTION agentcrm.worker_state() IS 'What shared memory says of launcher and worker: process ids, whether paused, whether the last start found no free worker slot, when the next work is due, whether changes were lost and wait for a reconcile, why the worker stays down after crashes, whether agentcrm is in shared_preload_libraries, why nobody can connect as agentcrm.worker_role';

CREATE FUNCTION agentcrm.queue_waiting(OUT source_id int, OUT waiting bigint, OUT since timestamptz,
	OUT failed bigint, OUT parked_since timestamptz, OUT last_error text, OUT last_error_at timestamptz) RETURNS SETOF record
	LANGUAGE C ROWS 5 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'agentcrm_queue_waiting';
COMMENT ON FUNCTION agentcrm.queue_waiting() IS 'What waits for the worker now, by source: distinct changed keys, or, above 100,000 changes, changes, and since when the oldest has waited; keys that failed, since when changes are kept for a paused or broken source, and the last error. Counting ends at 1,000,000 changes, told by an empty row. Takes no predicate lock on the queue, and sees what is committed now also in a transaction with an older snapshot';

CREATE FUNCTION agentcrm.queue_depth() RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(sum(q.waiting + q.failed), 0)::bigint FROM agentcrm.queue_waiting() q
$$;
COMMENT ON FUNCTION agentcrm.queue_depth() IS 'Changed keys that wait for the worker, counted as by queue_waiting(), and failed keys';

CREATE FUNCTION agentcrm.obstacle() RETURNS text
	LANGUAGE C SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'agentcrm_obstacle';
COMMENT ON FUNCTION agentcrm.obstacle() IS 'What somebody added to agentcrm''s tables that keeps the worker from writing them (a trigger, a rule, a column ...), and what to do; else NULL';

/*
 * Not in the script itself: these rows are the user's to change, so they are
 * dumped, and a restore would find them there already.  They come with the
 * first attach, once: what was changed or deleted since stays so in a restored
 * database too, whose installation row says that they have been there.
 */
CREATE FUNCTION agentcrm.install_defaults() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO agentcrm.agent (agent, objective, function_schema, function_name, registrar, params) VALUES
		('portfolio', 'grow', 'agentcrm', 'portfolio_agent', (SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'agentcrm'),
		 '{"call_cost": 1.50, "call_minutes": 6, "visit_cost": 10, "visit_minutes": 30, "message_cost": 0.05, "suggestion_cost": 0.02, "call_factor": 2, "valid_days": 7, "welcome_days": 4, "win_back_every": 90, "win_back_days": 7, "win_back_until": 730}'),
		('reorder', 'serve', 'agentcrm', 'reorder_agent', (SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'agentcrm'),
		 '{"call_cost": 1.50, "call_minutes": 6, "suggestion_cost": 0.02, "call_factor": 2, "valid_days": 7, "threshold": 0.5, "basket_floor": 0.10, "min_orders": 2}'),
		('retention', 'retain', 'agentcrm', 'retention_agent', (SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'agentcrm'),
		 '{"call_cost": 1.50, "call_minutes": 6, "message_cost": 0.05, "valid_days": 7, "min_orders": 3, "item_min_orders": 4, "item_min_rate": 0.5}')
	ON CONFLICT DO NOTHING;
	INSERT INTO agentcrm.contact_policy (channel, max_contacts, per_days, cooldown_days)
	VALUES ('*', 2, 30, 14), ('phone', 2, 30, 14), ('visit', 1, 30, 14), ('email', 4, 30, 5), ('app', 8, 30, 1)
	ON CONFLICT DO NOTHING;
	INSERT INTO agentcrm.resource (resource, owner_id, period, capacity) VALUES ('rep_minutes', NULL, 'day', 240)
	ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION agentcrm.install_defaults() IS 'Internal: the built-in agents, contact caps and capacities, where they are absent; called when agentcrm is first used';

CREATE FUNCTION agentcrm.adopted() RETURNS boolean
	LANGUAGE C SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'agentcrm_adopted';
COMMENT ON FUNCTION agentcrm.adopted() IS 'Whether this database is the one agentcrm was installed into; in a copy nothing is delivered until adopt() is called';

CREATE FUNCTION agentcrm.copy_of() RETURNS text
	LANGUAGE C STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'agentcrm_copy_of';
COMMENT ON FUNCTION agentcrm.copy_of() IS 'The database this one is a copy of, where it is one that was not adopted; else NULL';

CREATE FUNCTION agentcrm.adopt() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM agentcrm.adopted(), agentcrm.hold_steps();
	INSERT INTO agentcrm.server_start (life) VALUES ('-infinity') ON CONFLICT DO NOTHING;	-- no restore is under way, see untriggered()
	UPDATE agentcrm.installation SET system_identifier = (SELECT c.system_identifier FROM pg_control_system() c), database = current_database(),
		database_oid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), version = (SELECT extversion FROM pg_extension WHERE extname = 'agentcrm'), adopted_at = clock_timestamp();
	PERFORM agentcrm.start_load(s, NULL, NULL, 'adopt', true) FROM agentcrm.source s WHERE s.state <> 'loading';
	PERFORM agentcrm.wake();
END $$;
COMMENT ON FUNCTION agentcrm.adopt() IS 'Make this copy of a database the one that acts: all sources are reconciled and all clients looked at anew, and recommendations are delivered from here';

-- A dump brings triggers back last.  Until all are there a restore is under way, and nothing may be read or written beside it;
-- sources being detached have none, so where nothing else is attached adopt() must say that it is over.
CREATE FUNCTION agentcrm.untriggered() RETURNS TABLE (source text, relation text)
LANGUAGE sql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.name, format('%I.%I', n.nspname, c.relname)
	FROM agentcrm.source s JOIN agentcrm.source_watch w USING (source_id)
	JOIN pg_namespace n ON n.nspname = w.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.table_name
	WHERE w.polled IS NULL AND (NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname ~ format('^agentcrm_%s_%s_[0-9]+$', w.source_id, w.watch))
	OR NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname ~ format('^agentcrm_%s_%s_[0-9]+_truncate$', w.source_id, w.watch))
	-- partitions and children that had triggers
	OR EXISTS (SELECT FROM unnest(w.triggers) e WHERE e !~ '-$'
		AND format('agentcrm_%s_%s_%s_truncate', w.source_id, w.watch, split_part(e, ' ', 1))::name NOT IN (SELECT t.tgname FROM pg_trigger t)))
	ORDER BY s.source_id, w.watch
$$;
COMMENT ON FUNCTION agentcrm.untriggered() IS 'Internal: watched tables that lack a trigger they had: a restore is not finished';

CREATE FUNCTION agentcrm.verify() RETURNS SETOF agentcrm.difference
	LANGUAGE C SET search_path = pg_catalog, pg_temp SET jit = off AS 'MODULE_PATHNAME', 'agentcrm_verify';
COMMENT ON FUNCTION agentcrm.verify() IS 'Compare ledger with application and profiles with ledger, under one snapshot: no row means that state equals recompute. Keys waiting in the queue and failed keys are left out. Reads everything: minutes on large databases';

CREATE FUNCTION agentcrm.compare(source text, OUT item text, OUT application numeric, OUT ledger numeric, OUT difference numeric)
	RETURNS SETOF record
	LANGUAGE C SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'agentcrm_compare';
COMMENT ON FUNCTION agentcrm.compare(text) IS 'Counts and sums of a source: as its mapping gives them now, and as the ledger holds them. Orders and lines include returns. Errors: NULL, unknown source, one that is being detached';

CREATE FUNCTION agentcrm.pause(what text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF what IS NULL THEN
		PERFORM agentcrm.worker_paused(true);
		RETURN;
	END IF;
	UPDATE agentcrm.source SET state = 'paused', problem = 'paused by ' || session_user || '; agentcrm.resume(' || quote_literal(what) || ') goes on'
		WHERE name = what AND state <> 'paused';
	IF FOUND THEN RETURN; END IF;
	UPDATE agentcrm.agent SET mode = 'paused', problem = 'paused by ' || session_user WHERE agent = what;
	IF FOUND OR EXISTS (SELECT FROM agentcrm.source WHERE name = what) THEN RETURN; END IF;
	PERFORM agentcrm.refuse(format('there is no source or agent "%s"', what), 'Without an argument the worker itself is paused.', '42704');
END $$;
COMMENT ON FUNCTION agentcrm.pause(text) IS 'Pause the worker (no argument), a source or an agent, by name. Changes of a paused source are kept and read when it is resumed. Error: no such source or agent';

CREATE FUNCTION agentcrm.resume(what text DEFAULT NULL) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF what IS NULL THEN
		PERFORM agentcrm.worker_paused(false);
		RETURN;
	END IF;
	UPDATE agentcrm.source s SET problem = NULL, unfit = false, state = agentcrm.working_state(s)
		WHERE name = what AND state IN ('paused', 'broken');
	IF FOUND THEN
		PERFORM agentcrm.hold_steps();
		UPDATE agentcrm.event_failed f SET retry_at = agentcrm.clock() FROM agentcrm.source s
			WHERE s.name = what AND f.source_id = s.source_id AND f.retry_at = 'infinity';
		PERFORM agentcrm.wake();
		RETURN;
	END IF;
	UPDATE agentcrm.agent SET mode = 'active', problem = NULL WHERE agent = what AND mode = 'paused';
	IF FOUND OR EXISTS (SELECT FROM agentcrm.source WHERE name = what) OR EXISTS (SELECT FROM agentcrm.agent WHERE agent = what) THEN
		RETURN;
	END IF;
	PERFORM agentcrm.refuse(format('there is no source or agent "%s"', what), 'Without an argument the worker itself goes on.', '42704');
END $$;
COMMENT ON FUNCTION agentcrm.resume(text) IS 'Let the worker (no argument; also one that stays down after crashes), a paused or broken source, or a paused agent go on, by name. Error: no such source or agent';

-- A prepared transaction has no process: it is known by the lock on its own number, which it holds too.
CREATE FUNCTION agentcrm.queue_held() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('%s of 8 event tables cannot be emptied, held by %s', count(DISTINCT l.relation), string_agg(DISTINCT
		coalesce('process ' || l.pid, 'prepared transaction ' || quote_literal(x.gid), 'a prepared transaction'), ', '))
	FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = 'agentcrm'::regnamespace AND c.relname ~ '^event_[1-8]$'
	LEFT JOIN (pg_locks o JOIN pg_prepared_xacts x ON o.locktype = 'transactionid' AND o.granted AND o.mode = 'ExclusiveLock' AND o.transactionid = x.transaction)
		ON l.pid IS NULL AND o.pid IS NULL AND o.virtualtransaction = l.virtualtransaction
	WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND coalesce(l.pid, 0) NOT IN (SELECT pg_backend_pid() UNION ALL SELECT coalesce(worker_pid, -1) FROM agentcrm.worker_state())
	AND pg_relation_size(c.oid) > 0
	HAVING count(DISTINCT l.relation) > 4
$$;
COMMENT ON FUNCTION agentcrm.queue_held() IS 'Who keeps more than half of the event tables from being emptied, by process or prepared transaction; else NULL';

CREATE VIEW agentcrm.progress AS
	SELECT s.name AS source, p.name AS part, l.phase, l.done, l.total,
		CASE WHEN l.phase = 'done' THEN 100 WHEN l.total > 0 THEN round(100.0 * l.done / l.total, 1) ELSE 0 END AS percent,
		l.started_at, l.at AS updated_at,
		CASE WHEN l.phase <> 'done' AND l.done > 0
			THEN (l.at - l.started_at) * ((l.total - l.done)::float8 / l.done) END AS remaining,
		CASE WHEN l.phase <> 'done' AND l.done > 0
			THEN l.at + (l.at - l.started_at) * ((l.total - l.done)::float8 / l.done) END AS estimated_end
	FROM (SELECT DISTINCT ON (source_id, part) * FROM agentcrm.source_load ORDER BY source_id, part, load_no DESC) AS l
	JOIN agentcrm.source AS s USING (source_id)
	JOIN agentcrm.source_part AS p USING (source_id, part)
	UNION ALL
	SELECT NULL, 'backtest ' || b.run_id, b.phase, b.done, b.total, CASE WHEN b.total > 0 THEN round(100.0 * b.done / b.total, 1) ELSE 0 END,
		b.started_at, b.updated_at,
		CASE WHEN b.done > 0 THEN (b.updated_at - b.started_at) * ((b.total - b.done)::float8 / b.done) END,
		CASE WHEN b.done > 0 THEN b.updated_at + (b.updated_at - b.started_at) * ((b.total - b.done)::float8 / b.done) END
	FROM agentcrm.backtest AS b
	WHERE b.finished_at IS NULL	-- and was not broken off; the rest is NULL for those who may not see it
		AND EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = b.pid AND coalesce(a.state = 'active' AND a.query_start <= b.started_at, true));
COMMENT ON VIEW agentcrm.progress IS 'How far the loading of each part of each source is; or, of one that is being detached, the emptying; and how far each backtest that runs';
COMMENT ON COLUMN agentcrm.progress.source IS 'Source; NULL for a backtest';
COMMENT ON COLUMN agentcrm.progress.part IS 'Part of the source; or backtest with the number of its run';
COMMENT ON COLUMN agentcrm.progress.phase IS 'read, sweep, keys, months, ledger, compare, gaps, fold, assess, empty or done: see source_load; of a backtest fit, generations or replay';
COMMENT ON COLUMN agentcrm.progress.done IS 'Keys, clients, chunks or lines finished in this phase; of a backtest, clients at all origins so far';
COMMENT ON COLUMN agentcrm.progress.total IS 'Keys, clients, chunks or lines to do in this phase; of a backtest, clients times origins';
COMMENT ON COLUMN agentcrm.progress.percent IS 'Share done of this phase, per cent';
COMMENT ON COLUMN agentcrm.progress.started_at IS 'Start of the phase';
COMMENT ON COLUMN agentcrm.progress.updated_at IS 'Last chunk';
COMMENT ON COLUMN agentcrm.progress.remaining IS 'Time this phase still takes at the pace so far';
COMMENT ON COLUMN agentcrm.progress.estimated_end IS 'When this phase ends at the pace so far';

CREATE VIEW agentcrm.status AS
	WITH w AS (SELECT * FROM agentcrm.worker_state()),
	b AS (SELECT * FROM agentcrm.batch ORDER BY batch_no DESC LIMIT 1),
	e AS (SELECT * FROM agentcrm.error_log ORDER BY at DESC LIMIT 1),
	q AS MATERIALIZED (SELECT * FROM agentcrm.queue_waiting()),
	t AS (SELECT coalesce(sum(waiting), 0)::bigint AS waiting, greatest(clock_timestamp() - min(since), '0') AS lag,
		coalesce(sum(failed), 0)::bigint AS failed, coalesce(bool_or(source_id IS NULL), false) AS cut FROM q)
	SELECT 'copy' AS what, NULL::text AS name, 'not adopted' AS state, NULL::bigint AS waiting, NULL::interval AS lag, NULL::bigint AS failed,
		format('a copy of database %s: state is kept, nothing is delivered; to act from here and nowhere else: SELECT agentcrm.adopt()', c) AS remark,
		NULL::bigint AS batches, NULL::timestamptz AS last_batch_at, NULL::interval AS last_batch_took,
		NULL::text AS last_error, NULL::timestamptz AS last_error_at, NULL::timestamptz AS reconciled_at, NULL::text AS reconcile_found
	FROM agentcrm.copy_of() c WHERE c IS NOT NULL
	UNION ALL
	SELECT 'worker', NULL,
		CASE WHEN w.worker_pid IS NOT NULL AND w.paused THEN 'paused'
			WHEN w.worker_pid IS NOT NULL THEN 'running'
			WHEN pg_catalog.pg_is_in_recovery() THEN 'standby'
			WHEN w.paused THEN 'paused'
			WHEN w.down IS NOT NULL THEN 'down'
			WHEN w.launcher_pid IS NOT NULL AND NOT w.no_worker_slot AND w.role_problem IS NULL THEN 'resting'
			ELSE 'stopped' END,
		t.waiting, t.lag, t.failed,
		nullif(concat_ws('; ',
			CASE WHEN w.paused THEN 'paused: SELECT agentcrm.resume()'
				WHEN w.worker_pid IS NOT NULL THEN NULL
				WHEN pg_catalog.pg_is_in_recovery() THEN 'a standby does no work; after promotion it takes up the backlog'
				WHEN w.down IS NOT NULL THEN w.down || ': mend the cause, then SELECT agentcrm.resume()'
				WHEN w.role_problem IS NOT NULL THEN w.role_problem
				WHEN w.no_worker_slot THEN 'no free worker slot: raise max_worker_processes'
				WHEN w.launcher_pid IS NULL AND w.preloaded THEN 'the launcher does not run: raise max_worker_processes and restart the server; until then CALL agentcrm.run() from a scheduler'
				WHEN w.launcher_pid IS NULL THEN 'agentcrm is not in shared_preload_libraries: SELECT agentcrm.start_worker(), or CALL agentcrm.run() from a scheduler'
				ELSE concat_ws('; ', 'nothing to do', 'next at ' || w.due::timestamptz(0)::text) END,
			CASE WHEN t.cut THEN 'more waits than was counted' END,
			CASE WHEN w.lost THEN 'changes were lost, a reconcile is due' END,
			agentcrm.obstacle(), agentcrm.queue_held()), ''),
		b.batch_no, b.finished_at, b.finished_at - b.started_at,
		e.message, e.at, NULL, NULL
	FROM w CROSS JOIN t LEFT JOIN b ON true LEFT JOIN e ON true
	UNION ALL
	SELECT 'source', s.name, s.state,
		CASE WHEN q.since IS NOT NULL OR NOT t.cut THEN coalesce(q.waiting, 0) END,
		CASE WHEN q.since IS NOT NULL OR NOT t.cut THEN greatest(clock_timestamp() - q.since, agentcrm.clock() - q.parked_since, '0') END,
		coalesce(q.failed, 0),
		nullif(concat_ws('; ', coalesce(s.problem, agentcrm.trigger_problem(s), CASE s.state
			WHEN 'shadow' THEN 'nothing is delivered: SELECT agentcrm.go_live(' || quote_literal(s.name) || ')'
			WHEN 'detaching' THEN (SELECT format('detaching: %s %%', trunc(p.percent)) FROM agentcrm.progress p WHERE p.source = s.name)
			WHEN 'loading' THEN (SELECT format('%s %s: %s %%', p.part, p.phase, p.percent) FROM agentcrm.progress p
				WHERE p.source = s.name AND p.phase <> 'done' ORDER BY p.part = 'order', p.part LIMIT 1) END), (SELECT format('polled every %s: %s', agentcrm.poll_text((SELECT max(o.took) FROM agentcrm.source_poll o WHERE o.source_id = s.source_id)),
				string_agg(DISTINCT format('%I.%I (%s)', w.schema_name, w.table_name, w.polled), ', '))
			FROM agentcrm.source_watch w WHERE w.source_id = s.source_id AND w.polled IS NOT NULL HAVING count(*) > 0)), ''),
		NULL, NULL, NULL,
		q.last_error, q.last_error_at, r.at, r.found
	FROM agentcrm.source s CROSS JOIN t LEFT JOIN q USING (source_id) LEFT JOIN (
		SELECT l.source_id, min(l.at) AS at, coalesce(string_agg(format('%s: %s missing, %s changed, %s surplus of %s', p.name, l.missing, l.changed, l.surplus, l.looked),
				'; ' ORDER BY p.part) FILTER (WHERE l.missing + l.changed + l.surplus > 0), 'nothing')
			|| format(' (%s)', string_agg(DISTINCT l.cause, ', ')) AS found
		FROM (SELECT DISTINCT ON (source_id, part) * FROM agentcrm.reconcile_log WHERE reconcile ORDER BY source_id, part, reading DESC) AS l
		JOIN agentcrm.source_part p USING (source_id, part) GROUP BY l.source_id) AS r USING (source_id)
	UNION ALL
	SELECT 'agent', a.agent, a.mode, NULL, NULL, NULL, a.problem, NULL, NULL, NULL, NULL, NULL, NULL, NULL
	FROM agentcrm.agent a WHERE a.mode <> 'active';
COMMENT ON VIEW agentcrm.status IS 'How agentcrm is: one row for the worker, one per source, one per agent that is not active; before them one where this database is a copy';
COMMENT ON COLUMN agentcrm.status.what IS 'copy, worker, source or agent';
COMMENT ON COLUMN agentcrm.status.name IS 'Name of the source or agent';
COMMENT ON COLUMN agentcrm.status.state IS 'worker: running, resting (starts by itself when there is work), paused, stopped, down (after crashes) or standby; source and agent: their state';
COMMENT ON COLUMN agentcrm.status.waiting IS 'Changed keys that wait for the worker, as queue_waiting() counts them: above 100,000 changes, changes; NULL: not known, for 1,000,000 changes of other sources wait';
COMMENT ON COLUMN agentcrm.status.lag IS 'How long the oldest change that waits has waited; zero: none waits. Exact but for the moment between writing the event and the end of the commit; from PREPARE for a prepared transaction, from the write for one of more than agentcrm.capture_max_keys keys. Of the 1,000,000 changes counted; NULL: not known. Changes of a paused or broken source count from when the worker set them aside; keys that failed do not count';
COMMENT ON COLUMN agentcrm.status.failed IS 'Keys whose re-read failed, or that wait for a paused or broken source';
COMMENT ON COLUMN agentcrm.status.batches IS 'Batches finished so far';
COMMENT ON COLUMN agentcrm.status.last_batch_at IS 'End of the last batch';
COMMENT ON COLUMN agentcrm.status.last_batch_took IS 'How long it took';
COMMENT ON COLUMN agentcrm.status.last_error IS 'Last error';
COMMENT ON COLUMN agentcrm.status.last_error_at IS 'When it happened';
COMMENT ON COLUMN agentcrm.status.reconciled_at IS 'When the last reconcile of all parts of the source ended';
COMMENT ON COLUMN agentcrm.status.reconcile_found IS 'What each part''s last reconcile found and mended, and its cause';
COMMENT ON COLUMN agentcrm.status.remark IS 'In words: why no worker runs, what is wrong, what to call';
