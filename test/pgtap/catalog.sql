-- What must hold for every object of the extension, whatever room it belongs to.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
BEGIN;
SELECT plan(8);

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid
  FROM pg_depend d
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname = 'agentcrm' AND d.deptype = 'e';

-- Sequences that belong to a column, row types and array types explain themselves.
SELECT is_empty($$
	SELECT pg_describe_object(m.classid, m.objid, 0)
	  FROM member m
	 WHERE CASE m.classid
	       WHEN 'pg_namespace'::regclass THEN obj_description(m.objid, 'pg_namespace') IS NULL
	       WHEN 'pg_proc'::regclass THEN obj_description(m.objid, 'pg_proc') IS NULL
	       WHEN 'pg_class'::regclass THEN obj_description(m.objid, 'pg_class') IS NULL AND NOT EXISTS (
	            SELECT FROM pg_class c WHERE c.oid = m.objid AND (c.relkind = 'i' OR c.relkind = 'S' AND EXISTS (
	                   SELECT FROM pg_depend d
	                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))))
	       WHEN 'pg_type'::regclass THEN obj_description(m.objid, 'pg_type') IS NULL AND NOT EXISTS (
	            SELECT FROM pg_type t WHERE t.oid = m.objid AND (t.typrelid <> 0 OR t.typelem <> 0))
	       ELSE false END
	 ORDER BY 1$$, 'every schema, function, relation and type of the extension has a COMMENT');

SELECT is_empty($$
	SELECT m.objid::regclass || '.' || a.attname
	  FROM member m
	  JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
	  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'c') AND NOT c.relispartition
	   AND col_description(c.oid, a.attnum) IS NULL
	 ORDER BY 1$$, 'every column of its tables, views and composite types has a COMMENT');

-- Partitions and rotated tables are made later, and are not members.
SELECT is_empty($$
	SELECT pg_describe_object('pg_class'::regclass, c.oid, 0)
	  FROM pg_class c
	 WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
	   AND NOT c.relispartition
	   AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
	   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
	                      AND d.deptype IN ('a', 'i'))
	 ORDER BY 1$$, 'nothing in the schema is outside the extension');

SELECT is_empty($$
	SELECT m.objid::regprocedure
	  FROM member m
	  JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
	 WHERE p.prosecdef
	   AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
	 ORDER BY 1$$, 'every SECURITY DEFINER function pins search_path = pg_catalog, pg_temp');

SELECT is_empty($$
	SELECT pg_describe_object(m.classid, m.objid, 0)
	  FROM member m
	 WHERE pg_identify_object(m.classid, m.objid, 0) IS NOT NULL
	   AND (pg_identify_object(m.classid, m.objid, 0)).schema IS DISTINCT FROM 'agentcrm'
	   AND m.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
	 ORDER BY 1$$, 'no relation, function or type of the extension is outside its schema');

-- Cursor and queue mean nothing in another server; all else is state.
SELECT is_empty($$
	SELECT m.objid::regclass
	  FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
	 WHERE c.relkind IN ('r', 'S') AND c.relname !~ '^(event(_.*)?|batch|server_start)$'
	   AND m.objid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'agentcrm')::oid[])
	 ORDER BY 1$$, 'every table and sequence with state is dumped');
SELECT is_empty($$
	SELECT c::regclass FROM pg_extension, unnest(extconfig) c
	 WHERE extname = 'agentcrm' AND c::regclass::text ~ '^agentcrm\.(event(_.*)?|batch|server_start)$'$$, 'queue and cursor are not');

-- The types whose values are numbers of another server's objects, which pg_upgrade refuses.
SELECT is_empty($$
	SELECT a.attrelid::regclass || '.' || a.attname
	  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	  JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
	 WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'i', 'c')
	   AND coalesce(e.oid, t.oid) = ANY ('{regcollation,regconfig,regdictionary,regnamespace,regoper,regoperator,regproc,regprocedure,
		aclitem,unknown,information_schema.sql_identifier}'::regtype[])
	 ORDER BY 1$$, 'no column is of a type that pg_upgrade refuses');

SELECT * FROM finish();
ROLLBACK;
