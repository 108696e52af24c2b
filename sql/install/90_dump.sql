-- What pg_dump carries to another server: all state.  Not the queue and its cursor, which mean nothing there: sources are read
-- again after a restore, and keys that failed fail again.  Members without data (views, partitioned roots) are none.

DO $$
DECLARE
	member regclass;
BEGIN
	FOR member IN
		SELECT c.oid FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		WHERE e.extname = 'agentcrm' AND c.relkind IN ('r', 'S')
		AND c.relname !~ '^event(_[0-9]+)?$' AND c.relname NOT IN ('event_turn', 'event_rename', 'event_failed', 'batch', 'server_start') ORDER BY c.oid
	LOOP
		PERFORM pg_extension_config_dump(member, '');
	END LOOP;
END $$;

-- A database that is restored is looked at from here on, without waiting for an attach.
SELECT agentcrm.wake();
