-- Every public function of the extension is called by some file of this folder.
-- Public is what has a COMMENT that does not begin with "Internal".
\set QUIET 1
\pset format unaligned
\pset tuples_only true
SELECT plan(2);
\set tests `cat test/pgtap/*.sql test/pgtap/include/*.sql`
CREATE TEMP TABLE page AS SELECT :'tests'::text AS whole;
CREATE TEMP VIEW public_function AS
SELECT DISTINCT p.proname
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'agentcrm' AND obj_description(p.oid, 'pg_proc') !~ '^Internal' AND p.prorettype <> 'trigger'::regtype;
SELECT cmp_ok((SELECT count(*)::int FROM public_function), '>', 20, 'there are public functions');
SELECT is_empty($$SELECT proname FROM public_function, page WHERE whole !~ ('agentcrm\.' || proname || '\(')$$, 'each is called by a pgTAP test');
SELECT * FROM finish();
