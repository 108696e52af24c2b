-- source/: what propose knows before it looks at data: tables, columns and references, declared or to be supposed

CREATE TYPE agentcrm.propose_table AS (rel oid, named text, schema name, plain text, words text[], n_rows bigint, pages bigint, key text[], barred text);
COMMENT ON TYPE agentcrm.propose_table IS 'Internal: a table as propose sees it; barred says why it cannot hold orders';
CREATE TYPE agentcrm.propose_column AS (rel oid, attnum int, col text, plain text, stem text, family text, type text, words text[], required boolean, in_key boolean, is_key boolean, preset text);
COMMENT ON TYPE agentcrm.propose_column IS 'Internal: a column as propose sees it';
CREATE TYPE agentcrm.propose_link AS (rel oid, cols text[], target oid, target_cols text[], how text, score float8);
COMMENT ON TYPE agentcrm.propose_link IS 'Internal: a reference from table to table: a foreign key, or a column whose name says so';

-- A table's key: its primary key, else its narrowest unique index over columns that are never null.
CREATE FUNCTION agentcrm.propose_key(relation oid) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(a.attname::text ORDER BY k.i)
	FROM (SELECT x.indexrelid, x.indrelid, x.indkey, x.indnkeyatts FROM pg_index x WHERE x.indrelid = relation AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
			AND (x.indisprimary OR NOT EXISTS (SELECT FROM pg_attribute n WHERE n.attrelid = relation AND n.attnum = ANY (x.indkey) AND NOT n.attnotnull))
		ORDER BY x.indisprimary DESC, x.indnkeyatts, x.indexrelid LIMIT 1) AS best,
		generate_series(0, best.indnkeyatts - 1) AS k(i), pg_attribute a
	WHERE a.attrelid = relation AND a.attnum = best.indkey[k.i]
$$;
COMMENT ON FUNCTION agentcrm.propose_key(oid) IS 'Internal: columns that identify a row, by index';

-- Tables of the schemas that the caller may read.  Partitions and children stand in their parent; what an extension brought is no application's.
CREATE FUNCTION agentcrm.propose_tables(schemas name[]) RETURNS agentcrm.propose_table[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH here AS MATERIALIZED (
		SELECT c.oid, n.nspname, c.relname, agentcrm.propose_plain(c.relname) AS plain, agentcrm.propose_plain(n.nspname) AS space
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
		AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'agentcrm') AND (schemas IS NULL OR n.nspname = ANY (schemas))
		AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
		AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
	known AS MATERIALIZED (
		SELECT * FROM agentcrm.propose_meaning('table', ARRAY(SELECT plain FROM here UNION SELECT space FROM here))),
	size AS (
		SELECT h.oid, agentcrm.estimated_rows(h.oid) AS n_rows, (SELECT sum(pg_relation_size(t.member)) / current_setting('block_size')::int FROM agentcrm.relation_tree(h.oid) t) AS pages
		FROM here h)
	SELECT array_agg((h.oid, format('%I.%I', h.nspname, h.relname), h.nspname, h.plain, coalesce(k.words, '{}'), s.n_rows, s.pages, agentcrm.propose_key(h.oid),
		CASE WHEN k.words && '{archive}' THEN 'archive, log or staging' WHEN k.words && '{vendor}' THEN 'purchase' WHEN k.words && '{quote}' THEN 'quote or cart'
			WHEN schemas IS NULL AND z.words && '{archive,vendor}' THEN 'schema ' || h.nspname END)::agentcrm.propose_table ORDER BY h.oid)
	FROM here h JOIN size s USING (oid) LEFT JOIN known k ON k.name = h.plain LEFT JOIN known z ON z.name = h.space
$$;
COMMENT ON FUNCTION agentcrm.propose_tables(name[]) IS 'Internal: tables of schemas, with what their names may mean';

CREATE FUNCTION agentcrm.propose_columns(tables agentcrm.propose_table[]) RETURNS agentcrm.propose_column[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH here AS MATERIALIZED (
		SELECT t.rel, t.key, a.attnum, a.attname::text AS col, agentcrm.propose_plain(a.attname) AS plain, a.attnotnull, a.atttypmod, agentcrm.base_type(a.atttypid) AS type,
			CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS preset
		FROM unnest(tables) t JOIN pg_attribute a ON a.attrelid = t.rel AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE has_column_privilege(t.rel, a.attnum, 'SELECT')),
	known AS MATERIALIZED (
		SELECT * FROM agentcrm.propose_meaning('column', ARRAY(SELECT DISTINCT plain FROM here)))
	SELECT array_agg((h.rel, h.attnum, h.col, h.plain, agentcrm.propose_stem(h.plain),
		CASE WHEN y.oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'int' WHEN y.oid IN ('float4'::regtype, 'float8'::regtype) THEN 'float'
			WHEN y.oid = 'numeric'::regtype THEN CASE WHEN h.atttypmod >= 4 AND (h.atttypmod - 4) & 2047 = 0 THEN 'int' ELSE 'num' END WHEN y.oid = 'money'::regtype THEN 'money'
			WHEN y.oid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN 'time' WHEN y.oid = 'bool'::regtype THEN 'bool' WHEN y.oid = 'uuid'::regtype THEN 'uuid'
			WHEN y.oid IN ('json'::regtype, 'jsonb'::regtype) THEN 'json' WHEN y.typtype = 'e' THEN 'enum' WHEN y.typcategory = 'S' THEN 'text' ELSE 'other' END,
		format_type(h.type, NULL), coalesce(k.words, '{}'), h.attnotnull, coalesce(h.col = ANY (h.key), false), coalesce(h.key = ARRAY[h.col], false),
		substring(h.preset FROM '^\(?''?([^'']*?)''?(?:\)|::.*)?$'))::agentcrm.propose_column ORDER BY h.rel, h.attnum)
	FROM here h JOIN pg_type y ON y.oid = h.type LEFT JOIN known k ON k.name = h.plain
$$;
COMMENT ON FUNCTION agentcrm.propose_columns(agentcrm.propose_table[]) IS 'Internal: columns of tables, with what their names may mean';

/*
 * Foreign keys, and what could have been one: a column whose name is another
 * table's key (customer_id), names another table (fk_soc, "Kunde Nr"), or means
 * the same (buyer, customers).  Names alone are only a supposition: data decides.
 */
CREATE FUNCTION agentcrm.propose_links(tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS agentcrm.propose_link[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH declared AS MATERIALIZED (
		SELECT DISTINCT ON (c.conrelid, c.confrelid, c.conkey) c.conrelid AS rel,
			(SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(c.conkey) WITH ORDINALITY AS k(n, i) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n) AS cols, c.confrelid AS target,
			(SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(c.confkey) WITH ORDINALITY AS k(n, i) JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n) AS target_cols
		FROM pg_constraint c WHERE c.contype = 'f' AND c.conrelid = ANY (SELECT rel FROM unnest(tables)) AND c.confrelid = ANY (SELECT rel FROM unnest(tables))),
	keyed AS MATERIALIZED (	-- tables and a single column that could be referred to
		SELECT t.rel, t.schema, t.plain, t.words, k.col, k.plain AS key_plain, k.family, t.barred, k.is_key
		FROM unnest(tables) t JOIN unnest(columns) k ON k.rel = t.rel
		WHERE k.is_key OR k.in_key AND cardinality(t.key) = 2 AND k.plain ~ '(^|_)id$'
			OR t.key IS NULL AND (k.plain ~ '^(id|code|nr|no|rowid)$' OR k.stem = agentcrm.propose_stem(t.plain) AND k.plain ~ '(id|no|nr|num|key|code)$' AND k.attnum <= 3)
			OR NOT k.is_key AND k.required AND k.plain ~ '(id|no|nr|num|number|code|key|ref|sku|cod|numero|nummer)$' AND agentcrm.has_index(t.rel, ARRAY[k.col], true)),
	names AS MATERIALIZED (
		SELECT DISTINCT rel, schema, col, key_plain, family, plain, name, weight FROM (
			SELECT k.*, agentcrm.propose_root(n.name) AS name, n.weight
			FROM keyed k, LATERAL (VALUES (k.plain, 0.75), (regexp_replace(k.plain, '^[^_]+_', ''), 0.7), (regexp_replace(k.plain, '^.*_', ''), 0.65), (regexp_replace(k.plain, '^(t|tb|tbl|tab)_?', ''), 0.72),
				(regexp_replace(k.plain, '_?(header|head|master|data|base|info|entity|hdr|kopf|stamm)$', ''), 0.68)) AS n(name, weight)
			UNION ALL
			SELECT k.*, agentcrm.propose_root(k.key_plain), 0.8 FROM keyed k WHERE k.key_plain !~ '^(id|code|name|no|nr|number|key|ref|rowid|uuid|guid|oid|pk|email|num|line_?no|line)$') AS n WHERE length(name) >= 3),
	free AS MATERIALIZED (
		SELECT c.*, t.plain AS table_plain, t.schema FROM unnest(columns) c JOIN unnest(tables) t ON t.rel = c.rel
		WHERE c.family IN ('int', 'text', 'uuid') AND NOT c.is_key AND t.barred IS NULL AND length(c.stem) >= 3
			AND NOT EXISTS (SELECT FROM declared d WHERE d.rel = c.rel AND c.col = ANY (d.cols))),
	holds AS MATERIALIZED (
		SELECT rel, array_agg(col) AS cols FROM unnest(columns) GROUP BY rel),
	found AS (
		SELECT f.rel, f.col AS from_col, n.rel AS target, n.col, max(n.weight + CASE WHEN split_part(f.table_plain, '_', 1) = split_part(n.plain, '_', 1) THEN 0.08 ELSE 0 END - CASE WHEN f.schema <> n.schema THEN 0.3 ELSE 0 END) AS weight
		FROM free f JOIN names n ON n.family = f.family AND n.rel <> f.rel AND (n.name = f.stem OR n.weight = 0.8 AND n.name = agentcrm.propose_root(f.plain) OR n.weight > 0.7 AND f.plain ~ '(id|_no|nr)$' AND n.name = regexp_replace(f.stem, '^.*_', ''))
		GROUP BY 1, 2, 3, 4
		UNION ALL
		SELECT f.rel, f.col, k.rel, k.col, CASE WHEN f.schema <> k.schema THEN 0.2 ELSE 0.45 END FROM free f JOIN keyed k ON k.family = f.family AND k.rel <> f.rel AND k.is_key AND k.barred IS NULL
		WHERE f.words && '{client,product}' AND NOT k.words && '{other,order,invoice,line}' AND (f.words && k.words AND (SELECT count(*) FROM unnest(f.words) w WHERE w = ANY (k.words) AND w IN ('client', 'product')) > 0)
			AND (f.family <> 'text' OR f.plain ~ '(id|no|nr|key|code|num|ref|cod)$' OR f.stem = f.plain)
		UNION ALL	-- salesperson_id, seller: of users or employees
		SELECT f.rel, f.col, k.rel, k.col, CASE WHEN f.schema <> k.schema THEN 0.2 ELSE 0.4 END FROM free f JOIN keyed k ON k.family = f.family AND k.rel <> f.rel AND k.is_key AND k.barred IS NULL
		WHERE f.words && '{rep}' AND k.words && '{rep,user}' AND NOT k.words && '{other,order,invoice,line}' AND f.plain ~ '(id|no|nr|key|code|user|rep|author)$'),
	ranked AS (
		SELECT *, row_number() OVER (PARTITION BY rel, from_col ORDER BY weight DESC, target) AS rank
		FROM (SELECT DISTINCT ON (f.rel, f.from_col, f.target) f.* FROM found f ORDER BY f.rel, f.from_col, f.target, f.weight DESC) AS f)
	SELECT array_agg(l) FROM (
		SELECT (rel, cols, target, target_cols, 'foreign key', 1)::agentcrm.propose_link AS l FROM declared
		UNION ALL
		SELECT (rel, ARRAY[from_col], target, ARRAY[col], 'name', weight)::agentcrm.propose_link FROM ranked WHERE rank <= 4
		UNION ALL	-- a key of several columns that another table has by the same names
		SELECT (t.rel, t2.key, t2.rel, t2.key, 'name', 0.75)::agentcrm.propose_link
		FROM unnest(tables) t2 JOIN unnest(tables) t ON t.rel <> t2.rel AND t.words && '{line,order,invoice}' JOIN holds h ON h.rel = t.rel
		WHERE t.barred IS NULL AND t2.barred IS NULL AND cardinality(t2.key) BETWEEN 2 AND 3 AND t2.key <@ h.cols AND NOT t2.key @> coalesce(t.key, '{}')
			AND t2.words && '{order,invoice,doc}' AND NOT EXISTS (SELECT FROM declared d WHERE d.rel = t.rel AND d.target = t2.rel)) AS all_links
$$;
COMMENT ON FUNCTION agentcrm.propose_links(agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: references between tables, declared or supposed';
