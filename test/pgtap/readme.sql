-- README.md tells the truth: its first example runs, and its reference names
-- every public relation, call and setting, and none that is not there.
-- Public is what has a COMMENT that does not begin with "Internal".
\set ON_ERROR_STOP 1
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
LOAD 'agentcrm';
DROP EXTENSION agentcrm;	-- the example makes it
SET client_min_messages = warning;

\set readme `cat README.md`
\set example `awk '/^...sql$/ { on = 1; next } on && /^...$/ { exit } on' README.md`

-- Tables as the example has them, and a little trade.
CREATE ROLE regress_readme_owner;
CREATE SCHEMA sales AUTHORIZATION regress_readme_owner;
SET ROLE regress_readme_owner;
CREATE TABLE sales.clients (id int PRIMARY KEY, name text);
CREATE TABLE sales.products (id int PRIMARY KEY, name text);
CREATE TABLE sales.orders (id int PRIMARY KEY, client_id int REFERENCES sales.clients, placed_at timestamptz, status text);
CREATE TABLE sales.order_lines (order_id int REFERENCES sales.orders, line int, product_id int REFERENCES sales.products,
	qty int, price numeric, PRIMARY KEY (order_id, line));
INSERT INTO sales.clients SELECT i, 'client ' || i FROM generate_series(1, 20) AS i;
INSERT INTO sales.products SELECT i, 'product ' || i FROM generate_series(1, 5) AS i;
INSERT INTO sales.orders SELECT c * 100 + k, c, now() - interval '1 day' * (k * (7 + c % 10) + c % 13), 'confirmed'
	FROM generate_series(1, 20) AS c, generate_series(0, 9) AS k;
INSERT INTO sales.order_lines SELECT id, l, 1 + (client_id + l) % 5, 6 * l, 10 FROM sales.orders, generate_series(1, 2) AS l;
RESET ROLE;

SELECT plan(8);

\o /dev/null
:example
\o
SELECT is((SELECT sum(difference) FROM agentcrm.compare('sales')), 0::numeric, 'the example ran: ledger and application agree');
SELECT is((SELECT count(*) FROM agentcrm.verify()), 0::bigint, 'and verify() finds nothing');

CREATE TEMP TABLE page AS SELECT :'readme'::text AS whole, substring(:'readme' FROM '## Reference: tables.*?\n## Limits') AS reference;

-- Arguments of a call as the reference writes it; NULL where it has no such call.
CREATE FUNCTION pg_temp.documented(call text, arguments text[]) RETURNS boolean LANGUAGE sql AS $$
	SELECT coalesce(bool_or(CASE WHEN given[array_upper(given, 1)] = '...' THEN given[:array_upper(given, 1) - 1] = arguments[:array_upper(given, 1) - 1]
		ELSE given = arguments END), false)
	FROM page, regexp_matches(reference, '`' || call || '\(([^)]*)\)`', 'g') AS m, string_to_array(m[1], ', ') AS given
$$;
CREATE TEMP VIEW public_call AS
	SELECT p.proname AS call, coalesce((SELECT array_agg(name ORDER BY i) FROM unnest(p.proargnames, p.proargmodes) WITH ORDINALITY AS a(name, mode, i)
		WHERE mode IS NULL OR mode IN ('i', 'b', 'v')), '{}') AS arguments
	FROM pg_proc p WHERE p.pronamespace = 'agentcrm'::regnamespace AND coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '^Internal';
CREATE TEMP VIEW public_relation AS
	SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'agentcrm'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'c')
		AND coalesce(obj_description(c.oid, 'pg_class'), obj_description(c.reltype, 'pg_type'), '') !~ '^Internal'
		AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid);

SELECT is((SELECT array_agg(name ORDER BY name) FROM public_relation, page WHERE strpos(reference, '`' || name || '`') = 0), NULL,
	'every table, view and type is in the reference');
SELECT is((SELECT array_agg(call ORDER BY call) FROM public_call WHERE NOT pg_temp.documented(call, arguments)), NULL,
	'every call is in the reference, with its arguments');
SELECT is((SELECT array_agg(name ORDER BY name) FROM pg_settings, page WHERE name ~ '^agentcrm\.' AND strpos(reference, '`' || name || '`') = 0), NULL,
	'every setting is in the reference');
SELECT cmp_ok((SELECT count(*) FROM pg_settings WHERE name ~ '^agentcrm\.'), '>', 0::bigint, 'there are settings to look for');

-- The other way: what README.md names is there.
SELECT is((SELECT array_agg(DISTINCT m[1] ORDER BY m[1]) FROM page, regexp_matches(whole, 'agentcrm\.([a-z_]+)', 'g') AS m
	WHERE m[1] NOT IN (SELECT name FROM public_relation UNION SELECT call FROM public_call)
		AND NOT EXISTS (SELECT FROM pg_settings WHERE name = 'agentcrm.' || m[1])), NULL,
	'every name after "agentcrm." exists');
SELECT is((SELECT array_agg(DISTINCT m[1] ORDER BY m[1]) FROM page, regexp_matches(reference, '`([a-z_]+)\(', 'g') AS m
	WHERE m[1] NOT IN (SELECT call FROM public_call)), NULL,
	'every call in the reference exists');

SELECT * FROM finish();
SELECT agentcrm.detach('sales') \g /dev/null
DROP SCHEMA sales CASCADE;
DROP ROLE regress_readme_owner;
