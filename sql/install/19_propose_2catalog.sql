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

-- The first words of a comment, read as a name is: what a table or column is called by those who made it.
CREATE FUNCTION agentcrm.propose_said(comment text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT nullif(agentcrm.propose_plain(substring(comment FROM '^[^.,;:(/\n]{1,40}')), '')
$$;
COMMENT ON FUNCTION agentcrm.propose_said(text) IS 'Internal: a comment''s first words as a name';

-- Tables of the schemas that the caller may read; of a schema called history or the like only where it is asked for.  Partitions and children stand in their parent; what an extension brought is no application's.
CREATE FUNCTION agentcrm.propose_tables(schemas name[], near name[] DEFAULT '{}') RETURNS agentcrm.propose_table[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH found AS MATERIALIZED (
		SELECT c.oid, n.nspname, c.relname, c.relkind = 'p' OR c.relhassubclass AS divided, c.reltuples, c.relpages, agentcrm.propose_plain(c.relname) AS plain, n.space, agentcrm.propose_said(obj_description(c.oid, 'pg_class')) AS said
		FROM pg_class c JOIN (SELECT oid, nspname, agentcrm.propose_plain(nspname) AS space FROM pg_namespace OFFSET 0) AS n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
		AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'agentcrm') AND (schemas IS NULL OR n.nspname = ANY (schemas))
		AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
		AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')),
	marks AS MATERIALIZED (	-- CubeCart_order, CubeCart_customer, ...: an application's mark says nothing of its tables
		SELECT nspname, mark FROM (SELECT nspname, substring(relname FROM '^[^_]{3,}_') AS mark, count(*) AS n, bool_or(plain ~ '_(customer|client|kund|klient|partner|account|user|product|artik|article)') AS broad FROM found GROUP BY 1, 2) AS g
		WHERE n >= 8 AND broad AND n >= 0.8 * (SELECT count(*) FROM found x WHERE x.nspname = g.nspname) AND (SELECT words && '{client2}' OR words && '{quote,other}' AND m.name ~ '_' AND NOT words && '{archive}' FROM agentcrm.propose_meaning('table', ARRAY[agentcrm.propose_plain(mark)]) m)),	-- quote_, stg_, old_ do
	here AS MATERIALIZED (
		SELECT f.oid, f.nspname, f.relname, f.divided, f.reltuples, f.relpages, CASE WHEN starts_with(f.relname, m.mark) AND f.relname <> m.mark THEN agentcrm.propose_plain(substr(f.relname, length(m.mark) + 1)) ELSE f.plain END AS plain, f.space, f.said
		FROM found f LEFT JOIN marks m USING (nspname)),
	known AS MATERIALIZED (
		SELECT * FROM agentcrm.propose_meaning('table', ARRAY(SELECT plain FROM here UNION SELECT space FROM here UNION SELECT said FROM here WHERE said IS NOT NULL))),
	size AS (	-- a partitioned table is as large as its parts
		SELECT h.oid, CASE WHEN divided THEN agentcrm.estimated_rows(h.oid) WHEN h.reltuples < 0 THEN pg_relation_size(h.oid) / 100 ELSE h.reltuples::bigint END AS n_rows,
			CASE WHEN divided THEN (SELECT sum(pg_relation_size(t.member)) FROM agentcrm.relation_tree(h.oid) t) ELSE pg_relation_size(h.oid) END / current_setting('block_size')::int AS pages
		FROM here h)
	SELECT array_agg((h.oid, format('%I.%I', h.nspname, h.relname), h.nspname, h.plain, coalesce(k.words, d.words, '{}'), s.n_rows, s.pages, agentcrm.propose_key(h.oid),
		CASE WHEN k.words && '{archive}' THEN 'archive, log or staging' WHEN k.words && '{vendor}' AND NOT k.words && '{rep}' THEN 'purchase' WHEN k.words && '{quote}' THEN 'quote or cart'
			WHEN k.words IS NULL AND d.words && '{vendor,quote,archive}' AND NOT d.words && '{client}' THEN 'by its comment'
			WHEN schemas IS NULL AND h.nspname <> ALL (near) AND z.words && '{archive,vendor}' THEN 'schema ' || h.nspname END)::agentcrm.propose_table ORDER BY h.oid)
	FROM here h JOIN size s USING (oid) LEFT JOIN known k ON k.name = h.plain LEFT JOIN known d ON d.name = h.said LEFT JOIN known z ON z.name = h.space
$$;
COMMENT ON FUNCTION agentcrm.propose_tables(name[], name[]) IS 'Internal: tables of schemas, with what their names may mean';

CREATE FUNCTION agentcrm.propose_columns(tables agentcrm.propose_table[]) RETURNS agentcrm.propose_column[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
	WITH here AS MATERIALIZED (
		SELECT t.rel, t.key, a.attnum, a.attname::text AS col, a.attnotnull, a.atttypmod, a.atttypid,
			CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS preset, agentcrm.propose_said(col_description(a.attrelid, a.attnum)) AS said
		FROM unnest(tables) t JOIN pg_attribute a ON a.attrelid = t.rel AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE has_column_privilege(t.rel, a.attnum, 'SELECT')),
	marked AS (	-- l_orderkey, l_quantity, ...: letters that nearly all columns of a table begin with say nothing
		SELECT DISTINCT ON (rel) rel, mark FROM (
			SELECT rel, substring(lower(col) FROM '^([a-z]{1,3}_)..') AS mark, count(*) AS n FROM here GROUP BY 1, 2
			UNION ALL	-- nor do two or three that all begin with, and no more: oxid, oxorderdate, oxamount
			SELECT rel, left(first, (SELECT max(i) FROM generate_series(1, 5) i WHERE left(first, i) = left(last, i))), n FROM (SELECT rel, min(lower(col) COLLATE "C") AS first, max(lower(col) COLLATE "C") AS last, count(*) AS n FROM here GROUP BY rel HAVING count(*) >= 6 AND min(length(col)) >= 4) AS a
			WHERE left(first, 2) ~ '^[a-z]{2}$' AND left(first, 2) = left(last, 2) AND left(first, 4) <> left(last, 4)) AS m
		WHERE mark NOT IN ('id_', 'fk_', 'is_', 'no_', 'nr_', 'cod_', 'num_') AND n >= 3 AND n >= 0.8 * (SELECT count(*) FROM here h WHERE h.rel = m.rel) ORDER BY rel, mark),
	bare AS MATERIALIZED (
		SELECT h.rel, h.attnum, CASE WHEN m.mark IS NOT NULL AND starts_with(lower(h.col), m.mark) THEN substr(h.col, length(m.mark) + 1) ELSE h.col END AS bare FROM here h LEFT JOIN marked m USING (rel)),
	named AS MATERIALIZED (	-- each name and each type but once
		SELECT bare, plain, agentcrm.propose_stem(plain) AS stem FROM (SELECT bare, agentcrm.propose_plain(bare) AS plain FROM (SELECT DISTINCT bare FROM bare) AS d) AS p),
	typed AS MATERIALIZED (
		SELECT atttypid, agentcrm.base_type(atttypid) AS type FROM (SELECT DISTINCT atttypid FROM here) AS d),
	known AS MATERIALIZED (
		SELECT * FROM agentcrm.propose_meaning('column', ARRAY(SELECT plain FROM named UNION SELECT said FROM here WHERE said IS NOT NULL)))
	SELECT array_agg((h.rel, h.attnum, h.col, n.plain, n.stem,
		CASE WHEN y.oid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'int' WHEN y.oid IN ('float4'::regtype, 'float8'::regtype) THEN 'float'
			WHEN y.oid = 'numeric'::regtype THEN CASE WHEN h.atttypmod >= 4 AND (h.atttypmod - 4) & 2047 = 0 OR h.atttypmod = -1 AND NOT coalesce(k.words, x.words, '{}') && '{qty,price,total,net,gross,discount,tax,rate}' AND n.plain ~ '(^|_)(id|no|nr|num|number|code|key|an8|doco|doc|itm)[0-9]*$|id$' THEN 'int' ELSE 'num' END WHEN y.oid = 'money'::regtype THEN 'money'
			WHEN y.oid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN 'time' WHEN y.oid = 'bool'::regtype THEN 'bool' WHEN y.oid IN ('uuid'::regtype, 'bytea'::regtype) THEN 'uuid'
			WHEN y.oid IN ('json'::regtype, 'jsonb'::regtype) THEN 'json' WHEN y.typtype = 'e' THEN 'enum' WHEN y.typcategory = 'S' THEN 'text' ELSE 'other' END,
		format_type(y.oid, NULL), coalesce(k.words, x.words, '{}'), h.attnotnull, coalesce(h.col = ANY (h.key), false), coalesce(h.key = ARRAY[h.col], false),
		substring(h.preset FROM '^\(?''?([^'']*?)''?(?:\)|::.*)?$'))::agentcrm.propose_column ORDER BY h.rel, h.attnum)
	FROM here h JOIN bare r USING (rel, attnum) JOIN named n USING (bare) JOIN typed b USING (atttypid) JOIN pg_type y ON y.oid = b.type LEFT JOIN known k ON k.name = n.plain LEFT JOIN known x ON x.name = h.said
$$;
COMMENT ON FUNCTION agentcrm.propose_columns(agentcrm.propose_table[]) IS 'Internal: columns of tables, with what their names may mean';

/*
 * What a table is called may say nothing where what it holds does: a name and an
 * address, telephone or tax number are somebody's.
 */
CREATE FUNCTION agentcrm.propose_parties(tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS agentcrm.propose_table[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
	WITH known AS MATERIALIZED (
		SELECT rel, count(DISTINCT kind) AS kinds FROM (
			SELECT c.rel, (regexp_match(c.plain, '(street|strasse|address|addr|adresse|direccion|direc|indirizzo|endereco|jusho|rue$|ulica|city|town|ort$|ville|ciudad|citta|cidade|miasto|plz|zip|postal|postcode|cap$|yubin|phone|tel$|telefon|fono|mail|vat|tax_?(?:no|id|num)|ust_?id|piva|cnpj|nif$|nip$|inn$|siret|credit|kredit|fido|payment_?terms|country|land$)'))[1] AS kind
			FROM unnest(columns) c WHERE c.family IN ('text', 'int', 'num')) AS k WHERE kind IS NOT NULL GROUP BY rel HAVING count(DISTINCT kind) >= 2),
	named AS MATERIALIZED (
		SELECT DISTINCT c.rel FROM unnest(columns) c WHERE c.family = 'text' AND c.plain ~ 'name|nom|naam|nazwa|naimenov|mei$|firma|razao|razon|ragsoc|ragione|title')
	SELECT array_agg(CASE WHEN k.rel IS NOT NULL AND n.rel IS NOT NULL AND cardinality(t.key) BETWEEN 1 AND 2 AND NOT t.words && '{client,client2,user,rep,product,vendor,order,invoice,line,doc,quote}' AND t.plain !~ 'warehouse|store|shop|depot|lager|supplier|city|country|setting|carrier|shipp|tax|bank|school|branch'
			AND (NOT t.words && '{other}' OR t.plain ~ '^adress')
		THEN (t.rel, t.named, t.schema, t.plain, array_remove(t.words, 'other') || '{client2}'::text[], t.n_rows, t.pages, t.key, t.barred)::agentcrm.propose_table ELSE t END ORDER BY t.rel)
	FROM unnest(tables) t LEFT JOIN known k USING (rel) LEFT JOIN named n USING (rel)
$$;
COMMENT ON FUNCTION agentcrm.propose_parties(agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: tables, those of people or companies marked by what they hold';

/*
 * Foreign keys, and what could have been one: a column whose name is another
 * table's key (customer_id), names another table (fk_soc, "Kunde Nr"), or means
 * the same (buyer, customers).  Names alone are only a supposition: data decides.
 * Arrays have no statistics, so nested loops over thousands of columns would be
 * chosen; every join here is by equality of names.
 */
CREATE FUNCTION agentcrm.propose_links(tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS agentcrm.propose_link[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
	WITH t AS MATERIALIZED (
		SELECT * FROM unnest(tables)),
	c AS MATERIALIZED (
		SELECT * FROM unnest(columns)),
	declared AS MATERIALIZED (
		SELECT DISTINCT ON (k.conrelid, k.confrelid, k.conkey) k.conrelid AS rel,
			(SELECT array_agg(a.attname::text ORDER BY x.i) FROM unnest(k.conkey) WITH ORDINALITY AS x(n, i) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.n) AS cols, k.confrelid AS target,
			(SELECT array_agg(a.attname::text ORDER BY x.i) FROM unnest(k.confkey) WITH ORDINALITY AS x(n, i) JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = x.n) AS target_cols
		FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid IN (SELECT rel FROM t) AND k.confrelid IN (SELECT rel FROM t)),
	uniq AS MATERIALIZED (
		SELECT DISTINCT i.indrelid AS rel, u.cols FROM pg_index i JOIN t ON t.rel = i.indrelid,
			LATERAL (SELECT array_agg(a.attname::text ORDER BY k) AS cols FROM generate_series(0, i.indnkeyatts - 1) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k]) AS u
		WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts <= 3),
	scopes AS MATERIALIZED (	-- a company's number, by which the keys of many tables begin
		SELECT t.schema, c.col, c.family FROM uniq JOIN t USING (rel) JOIN c ON c.rel = uniq.rel AND c.col = uniq.cols[1] WHERE cardinality(uniq.cols) >= 2 GROUP BY 1, 2, 3 HAVING count(DISTINCT t.rel) >= 3),
	natural_keys AS MATERIALIZED (	-- a unique column beside the primary key, alone or within a company
		SELECT DISTINCT ON (n.rel, n.col) n.* FROM (
			SELECT uniq.rel, ARRAY(SELECT k FROM unnest(uniq.cols) k WHERE k IN (SELECT s.col FROM scopes s WHERE s.schema = t.schema)) AS scope,
				(SELECT min(k) FROM unnest(uniq.cols) k WHERE k NOT IN (SELECT s.col FROM scopes s WHERE s.schema = t.schema)) AS col, cardinality(uniq.cols) AS width
			FROM uniq JOIN t USING (rel)) AS n WHERE cardinality(n.scope) = n.width - 1 ORDER BY n.rel, n.col, n.width),
	keyed AS MATERIALIZED (	-- tables and a single column that could be referred to, and in whose company
		SELECT t.rel, t.schema, t.plain, t.words, c.col, c.plain AS key_plain, c.family, t.barred, c.is_key OR u.rel IS NOT NULL AS is_key, CASE WHEN NOT c.is_key THEN coalesce(u.scope, '{}') ELSE '{}' END AS scope
		FROM t JOIN c ON c.rel = t.rel LEFT JOIN natural_keys u ON u.rel = c.rel AND u.col = c.col AND c.family IN ('int', 'text', 'uuid') AND NOT c.words && '{qty,price,total}' AND c.plain !~ 'mail|phone|hash|token|slug|url'
		WHERE c.is_key OR u.rel IS NOT NULL OR c.in_key AND cardinality(t.key) = 2 AND c.plain ~ '(^|_)id$'
			OR t.key IS NULL AND (c.plain ~ '^(id|code|nr|no|rowid)$' OR c.attnum = 1 AND c.plain ~ '(id|no|nr|num|number|key|code|nummer)$' OR c.attnum <= 3 AND c.plain ~ '(id|no|nr|num|key|code)$' AND c.stem = agentcrm.propose_stem(t.plain))),
	names AS MATERIALIZED (	-- by what a column may call them
		SELECT rel, schema, col, family, plain, scope, name, max(weight) AS weight FROM (
			SELECT k.*, agentcrm.propose_root(n.name) AS name, n.weight
			FROM keyed k, LATERAL (VALUES (k.plain, 0.75), (regexp_replace(k.plain, '^[^_]+_', ''), 0.7), (regexp_replace(k.plain, '^.*_', ''), 0.65), (regexp_replace(k.plain, '^(t|tb|tbl|tab)_?', ''), 0.72),
				(CASE WHEN starts_with(k.plain, left(lower(k.col), -length(k.key_plain))) THEN substr(k.plain, 1 + length(k.col) - length(k.key_plain)) ELSE k.plain END, 0.74),	-- oxorder, whose key is oxid
				(regexp_replace(k.plain, '_?(header|head|master|data|base|info|entity|hdr|kopf|stamm|mst|mstr|dim|dimension)$', ''), 0.68), (regexp_replace(k.plain, '^[^_]+_|_(header|head|master|data|base|info|entity|hdr|kopf|stamm)$', '', 'g'), 0.66)) AS n(name, weight)
			UNION ALL
			SELECT k.*, 'key ' || agentcrm.propose_root(k.key_plain), 0.8 FROM keyed k WHERE k.key_plain !~ '^(id|code|name|no|nr|number|key|ref|rowid|uuid|guid|oid|pk|email|num|line_?no|line)$') AS n
		WHERE length(name) >= 3 GROUP BY 1, 2, 3, 4, 5, 6, 7),
	free AS MATERIALIZED (
		SELECT c.*, t.plain AS table_plain, t.schema FROM c JOIN t ON t.rel = c.rel
		WHERE c.family IN ('int', 'text', 'uuid') AND NOT c.is_key AND t.barred IS NULL AND length(c.stem) >= 2 AND NOT c.words && '{qty,price,total}' AND c.plain !~ '(^|_)(version|revision)(_|$)'
			AND NOT EXISTS (SELECT FROM (SELECT d.rel, unnest(d.cols) AS col FROM declared d) AS used WHERE used.rel = c.rel AND used.col = c.col)),
	called AS MATERIALIZED (
		SELECT DISTINCT plain, stem, 'key ' || agentcrm.propose_root(plain) AS whole, agentcrm.propose_stem(coalesce(substring(plain FROM '_([^_]+_(?:id|no|nr|key|num|code|uuid|sk))$'), substring(plain FROM '^(?:current|present|actual|last|main|primary)_(.+)$'))) AS tail FROM (SELECT DISTINCT plain, stem FROM free) AS f),
	asks AS MATERIALIZED (
		SELECT f.rel, f.col, f.schema, f.family, split_part(f.table_plain, '_', 1) AS prefix, a.name, a.penalty FROM free f JOIN called USING (plain, stem), LATERAL (VALUES (f.stem, 0.0), (whole, 0.0), (tail, 0.1)) AS a(name, penalty)
		WHERE a.name IS NOT NULL AND (a.penalty = 0 OR a.name <> f.stem)),
	meaning AS MATERIALIZED (
		SELECT f.rel, f.col, f.schema, f.family, w AS word FROM free f, unnest(f.words) w WHERE w IN ('client', 'product') AND (f.family <> 'text' OR f.plain !~ 'name|desc|mail|phone|note|comment|address|type|class|categ|group')),
	meant AS MATERIALIZED (
		SELECT k.rel, k.col, k.schema, k.family, k.scope, w AS word FROM keyed k, unnest(k.words) w WHERE w IN ('client', 'product') AND k.is_key AND k.barred IS NULL AND NOT k.words && '{other,order,invoice}'),
	found AS (
		SELECT a.rel, a.col AS from_col, n.rel AS target, n.col, n.scope, max(n.weight - a.penalty + CASE WHEN a.prefix = split_part(n.plain, '_', 1) THEN 0.08 ELSE 0 END - CASE WHEN a.schema <> n.schema THEN 0.3 ELSE 0 END) AS weight
		FROM asks a JOIN names n ON n.name = a.name AND n.family = a.family WHERE n.rel <> a.rel GROUP BY 1, 2, 3, 4, 5
		UNION ALL
		SELECT f.rel, f.col, k.rel, k.col, k.scope, 0.45 FROM meaning f JOIN meant k USING (word, family, schema)
		WHERE k.rel <> f.rel
		UNION ALL	-- "parent" of a table that is named after its header
		SELECT f.rel, f.col, k.rel, k.col, k.scope, 0.7 FROM free f JOIN keyed k ON k.family = f.family AND k.schema = f.schema
		WHERE k.rel <> f.rel AND f.plain ~ '^(parent|header|head|hdr|master|doc|document|kopf)(_?(id|no|name|key))?$' AND k.is_key AND starts_with(f.table_plain, regexp_replace(k.plain, '_?(header|head|hdr|kopf)$', '') || '_')
		UNION ALL	-- salesperson_id, seller: of users or employees
		SELECT f.rel, f.col, k.rel, k.col, k.scope, 0.4 FROM free f JOIN keyed k ON k.family = f.family AND k.schema = f.schema
		WHERE k.rel <> f.rel AND f.words && '{rep}' AND k.words && '{rep,user}' AND k.is_key AND k.barred IS NULL AND NOT k.words && '{other,invoice,line}' AND (k.words && '{rep}' OR NOT k.words && '{order}') AND f.plain ~ '(id|no|nr|key|code|user|rep|author)$'),
	ranked AS (
		SELECT *, row_number() OVER (PARTITION BY rel, from_col ORDER BY weight DESC, target) AS rank
		FROM (SELECT DISTINCT ON (f.rel, f.from_col, f.target) f.*, x.schema = y.schema AS at_home, bool_or(x.schema = y.schema) OVER (PARTITION BY f.rel, f.from_col) AS any_at_home
			FROM found f JOIN t x ON x.rel = f.rel JOIN t y ON y.rel = f.target ORDER BY f.rel, f.from_col, f.target, f.weight DESC, y.key[1] = f.col DESC, f.col) AS f
		WHERE at_home OR NOT any_at_home),	-- another application's tables have the same small numbers for keys
	holds AS MATERIALIZED (
		SELECT rel, array_agg(col) AS cols FROM c GROUP BY rel)
	SELECT array_agg(l) FROM (
		SELECT (rel, cols, target, target_cols, 'foreign key', 1)::agentcrm.propose_link AS l FROM declared
		UNION ALL
		SELECT (rel, scope || from_col, target, scope || col, 'name', weight)::agentcrm.propose_link FROM ranked JOIN holds USING (rel) WHERE rank <= 4 AND scope <@ holds.cols
		UNION ALL	-- part of a reference (to a branch) leads on to the company
		SELECT (k.rel, ARRAY[f.c], z.target, z.target_cols, 'name', 0.8)::agentcrm.propose_link
		FROM declared k JOIN declared z ON z.rel = k.target AND cardinality(z.cols) = 1 AND z.target NOT IN (k.rel, k.target) JOIN t ON t.rel = z.target AND t.words && '{client}' AND t.plain !~ '^ad_client$|tenant|mandant', LATERAL unnest(k.cols, k.target_cols) AS f(c, t)
		WHERE cardinality(k.cols) > 1 AND f.t = z.cols[1] AND NOT EXISTS (SELECT FROM declared d WHERE d.rel = k.rel AND d.cols = ARRAY[f.c])
		UNION ALL	-- a key of several columns that another table has by the same names
		SELECT (x.rel, y.key, y.rel, y.key, 'name', 0.75)::agentcrm.propose_link
		FROM (SELECT rel, schema, key, words, barred FROM t UNION SELECT t.rel, t.schema, u.cols, t.words, t.barred FROM t JOIN uniq u USING (rel) WHERE t.words && '{order,invoice,doc}' AND NOT u.cols && coalesce(t.key, '{}')) AS y
			JOIN t x ON x.schema = y.schema AND x.rel <> y.rel JOIN holds h ON h.rel = x.rel
		WHERE x.words && '{line,order,invoice}' AND x.barred IS NULL AND y.barred IS NULL AND cardinality(y.key) BETWEEN 2 AND 3 AND y.words && '{order,invoice,doc,client,product}' AND NOT y.words && '{other,line}' AND y.key <@ h.cols AND NOT y.key @> coalesce(x.key, '{}')
			AND NOT EXISTS (SELECT FROM declared d WHERE d.rel = x.rel AND d.target = y.rel)) AS all_links
$$;
COMMENT ON FUNCTION agentcrm.propose_links(agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: references between tables, declared or supposed';
