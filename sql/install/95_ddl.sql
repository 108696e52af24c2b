-- engine/: the application's DDL, noticed when it is done

-- Only superusers may; without them steps find the same, at the latest after agentcrm.idle_poll.
DO $$
BEGIN
	CREATE EVENT TRIGGER agentcrm_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE') EXECUTE FUNCTION agentcrm.follow_ddl();
	CREATE EVENT TRIGGER agentcrm_drop ON sql_drop WHEN TAG IN ('DROP TABLE', 'DROP TRIGGER', 'DROP SCHEMA', 'DROP OWNED') EXECUTE FUNCTION agentcrm.follow_ddl();
	ALTER EVENT TRIGGER agentcrm_ddl ENABLE ALWAYS;
	ALTER EVENT TRIGGER agentcrm_drop ENABLE ALWAYS;
	COMMENT ON EVENT TRIGGER agentcrm_ddl IS 'Gives new children and partitions of watched tables their triggers, and wakes the worker when a watched table has changed';
	COMMENT ON EVENT TRIGGER agentcrm_drop IS 'Wakes the worker when a watched table, or a trigger of agentcrm, was dropped';
EXCEPTION WHEN insufficient_privilege THEN
	RAISE NOTICE 'no event triggers: changes of the application''s tables are noticed at the next step';
END $$;
