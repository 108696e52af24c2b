-- Last part of the script: nothing here is for everybody.  agentcrm.grant_operator() gives a role what an operator needs;
-- the application's roles need nothing, for a trigger's function is not checked when it fires.

REVOKE ALL ON ALL ROUTINES IN SCHEMA agentcrm FROM PUBLIC;

-- But it is checked when a new partition copies its parent's triggers, against whoever makes the partition.
-- Nobody can name it without USAGE on the schema.
GRANT EXECUTE ON FUNCTION agentcrm.capture() TO PUBLIC;
