-- The schema that everything lives in.  First part of the script;
-- all names in it are qualified, for search_path is pg_catalog alone.
\echo Use "CREATE EXTENSION agentcrm" to load this file. \quit

CREATE SCHEMA agentcrm;

COMMENT ON SCHEMA agentcrm IS
'agentcrm: watches an order system and recommends what to do for each client';
