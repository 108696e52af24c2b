-- CREATE EXTENSION makes the schema and owns it, DROP EXTENSION takes it along.
CREATE EXTENSION agentcrm;
SELECT e.extname, n.nspname, d.deptype
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
  JOIN pg_namespace n ON d.classid = 'pg_namespace'::regclass AND d.objid = n.oid
 WHERE e.extname = 'agentcrm';
SELECT obj_description('agentcrm'::regnamespace, 'pg_namespace') IS NOT NULL AS has_comment;
DROP SCHEMA agentcrm;
DROP EXTENSION agentcrm;
SELECT to_regnamespace('agentcrm') IS NULL AS gone;

-- A schema of that name made by somebody else is refused, and kept.
CREATE SCHEMA agentcrm;
CREATE EXTENSION agentcrm;
DROP SCHEMA agentcrm;

-- There is no choice of schema, then or later.
CREATE SCHEMA elsewhere;
CREATE EXTENSION agentcrm SCHEMA elsewhere;
CREATE EXTENSION agentcrm;
ALTER EXTENSION agentcrm SET SCHEMA elsewhere;
DROP EXTENSION agentcrm;
DROP SCHEMA elsewhere;

-- Only a superuser installs it.
CREATE ROLE regress_agentcrm_plain;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_agentcrm_plain', current_database()) \gexec
SET ROLE regress_agentcrm_plain;
CREATE EXTENSION agentcrm;
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_agentcrm_plain', current_database()) \gexec
DROP ROLE regress_agentcrm_plain;

-- Sourced by psql, the script stops before its first statement.
\setenv PGDATABASE :DBNAME
\! psql -X -q -f agentcrm--*.sql
SELECT to_regnamespace('agentcrm') IS NULL AS nothing_made;
