-- source/: propose: from a candidate to a whole mapping with its questions; the calls that show them, and the one that attaches the best

-- What names an order: in a flat table the column that repeats from line to line.
CREATE FUNCTION agentcrm.propose_keys(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o oid := (m ->> 'o')::oid;
	l oid := (m ->> 'l')::oid;
	c record;
	key text[];
	options jsonb := '{}';
BEGIN
	IF o IS NOT NULL AND l IS NOT NULL THEN
		key := agentcrm.part_array(m, 'target_cols');
		IF m ->> 'how' <> 'foreign key' OR (SELECT count(*) FROM agentcrm.foreign_keys(l, o)) <> 1 THEN
			options := jsonb_build_object('line_order_key', m -> 'cols', 'order_key', CASE WHEN agentcrm.primary_key(o) IS DISTINCT FROM key THEN to_jsonb(key) END);
		END IF;
		m := m || jsonb_build_object('okey', to_jsonb(key), 'lkey', m -> 'cols');
		RETURN agentcrm.propose_add(m, options || jsonb_build_object('orders', agentcrm.relation_name(o), 'lines', agentcrm.relation_name(l)),
			agentcrm.propose_role('orders', o, NULL, (m ->> 'score')::numeric, format('name; about %s rows', (SELECT n_rows FROM unnest(tables) WHERE rel = o)))
			|| agentcrm.propose_role('lines', l, NULL, (m ->> 'score')::numeric, format('%s to %s; about %s rows', CASE m ->> 'how' WHEN 'foreign key' THEN 'foreign key' ELSE 'no foreign key; name leads' END, agentcrm.relation_name(o), (SELECT n_rows FROM unnest(tables) WHERE rel = l)))
			|| agentcrm.propose_role('order_key', o, agentcrm.sql_key('o', key), 3, 'what lines refer to')
			|| agentcrm.propose_role('line_order_key', l, agentcrm.sql_key('l', agentcrm.part_array(m, 'lkey')), 3, m ->> 'how'));
	ELSIF o IS NOT NULL THEN
		key := agentcrm.propose_key(o);
		IF key IS NULL THEN
			RETURN NULL;
		END IF;
		RETURN agentcrm.propose_add(m || jsonb_build_object('okey', to_jsonb(key)), jsonb_build_object('orders', agentcrm.relation_name(o), 'order_key', CASE WHEN agentcrm.primary_key(o) IS DISTINCT FROM key THEN to_jsonb(key) END),
			agentcrm.propose_role('orders', o, NULL, (m ->> 'score')::numeric, format('name; about %s rows; no table of lines refers to it', (SELECT n_rows FROM unnest(tables) WHERE rel = o))) || agentcrm.propose_role('order_key', o, agentcrm.sql_key('o', key), 3, 'unique'));
	END IF;
	SELECT a.col, p.n / p.d AS per, p.n, p.d INTO c FROM unnest(columns) a, LATERAL (SELECT (m -> 'profiles' -> 'l' ->> 'n')::numeric AS n, nullif((m -> 'profiles' -> 'l' -> a.col ->> 'distinct')::numeric, 0) AS d) AS p
	WHERE a.rel = l AND a.words && '{order}' AND NOT a.is_key AND a.family IN ('int', 'text', 'uuid') AND NOT a.words && '{status,qty,price,total,client,type,ordered,late,created}' AND a.plain !~ 'line|pos|item|seq|desc|name|country|source|channel|po_|purchase'
		AND (p.n IS NULL OR p.n = 0 OR p.n / p.d BETWEEN 1.02 AND 80)
	ORDER BY a.plain ~ '(id|no|nr|num|number|nummer|numero|key|ref|code)$' DESC, a.plain ~ 'order|invoice|auftrag|bestell|pedido|commande|zakaz|rechnung|factura' DESC, p.d DESC, a.attnum LIMIT 1;
	IF c.col IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN agentcrm.propose_add(m || jsonb_build_object('okey', ARRAY[c.col]), jsonb_build_object('lines', agentcrm.relation_name(l), 'order_key', ARRAY[c.col]),
		agentcrm.propose_role('lines', l, NULL, (m ->> 'score')::numeric, format('flat table of order lines; about %s rows', (SELECT n_rows FROM unnest(tables) WHERE rel = l)))
		|| agentcrm.propose_role('order_key', l, format('l.%I', c.col), 3, format('name; %s lines each over %s sampled rows', round(c.per, 1), c.n), m -> 'profiles' -> 'l' -> c.col ->> 'sample'));
END $$;
COMMENT ON FUNCTION agentcrm.propose_keys(jsonb, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: the key of a mapping''s orders';

-- Whether what was put together behaves as orders do.
CREATE FUNCTION agentcrm.propose_facts(m jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	facts jsonb;
	lines numeric;
	points numeric;
BEGIN
	facts := agentcrm.propose_ask(format('SELECT jsonb_build_object(''lines'', count(*), ''orders'', %1$s, ''clients'', count(DISTINCT %2$s), ''days'', count(DISTINCT (%3$s)::date), ''negative'', count(*) FILTER (WHERE (%4$s) < 0), ''amount'', sum(%5$s), ''first'', min(%3$s), ''last'', max(%3$s)) FROM %6$s WHERE %7$s',
		agentcrm.propose_order_count(m), coalesce(nullif(m ->> 'client_link', ''), m ->> 'client_expression'), m ->> 'at', m ->> 'quantity', m ->> 'amount', m ->> 'source', coalesce(m -> 'options' ->> 'is_sale', 'true')));
	lines := (facts ->> 'lines')::numeric / nullif((facts ->> 'orders')::numeric, 0);
	points := (m ->> 'score')::numeric + CASE WHEN (m ->> 'ordered')::boolean AND lines > 0 THEN 2.5 ELSE 0 END + least(coalesce((m ->> 'amount_score')::numeric, 0), 8) / 2 + least(coalesce((m ->> 'client_score')::numeric, 0), 8) / 4 + least(coalesce((m ->> 'at_score')::numeric, 0), 6) / 2 + least(coalesce((m ->> 'product_score')::numeric, 0), 6) / 4
		+ CASE WHEN lines IS NULL THEN -2 - CASE WHEN facts IS NOT NULL AND (m -> 'profiles' -> coalesce(m ->> 'base', 'o') ->> 'n')::numeric > 20 THEN 5 ELSE 0 END WHEN lines > 60 THEN -3 ELSE 1 END + CASE WHEN (facts ->> 'days')::numeric > 3 THEN 0.5 ELSE 0 END
		+ CASE WHEN (facts ->> 'clients')::numeric >= 2 THEN 0.5 ELSE 0 END - CASE WHEN (facts ->> 'clients')::numeric = 0 AND (facts ->> 'lines')::numeric > 0 THEN 5 ELSE 0 END;
	RETURN m || jsonb_build_object('facts', facts, 'score', round(points, 2), 'roles', agentcrm.propose_role('mapping', coalesce(m ->> 'o', m ->> 'l')::oid, NULL, points, CASE WHEN facts IS NULL THEN 'could not be tried on data'
		WHEN lines IS NULL THEN 'no data that counts' ELSE format('%s orders of %s clients with %s lines each, %s to %s, in a sample', facts ->> 'orders', facts ->> 'clients', round(lines, 1), left(facts ->> 'first', 10), left(facts ->> 'last', 10)) END) || (m -> 'roles'));
END $$;
COMMENT ON FUNCTION agentcrm.propose_facts(jsonb) IS 'Internal: tries a mapping on its sample';

-- What else a person should know before it is attached.
CREATE FUNCTION agentcrm.propose_warn(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
	r record;
	owner text := agentcrm.owner_of(coalesce(m ->> 'o', m ->> 'l')::oid);
	seen jsonb;
BEGIN
	IF m ? 'guests' THEN
		m := agentcrm.propose_ask_question(m, 'do guests count as clients, by e-mail?', 'client', true, m -> 'guests' ->> 'without', format('%s %% of sampled orders name no client but an e-mail address; counted, all clients are known by text and %s brings no names', round(100 * (m -> 'guests' ->> 'share')::numeric, 1), m -> 'guests' ->> 'clients'),
			m -> 'guests' ->> 'with', ARRAY[m -> 'guests' ->> 'without']);
	ELSIF m ? 'no_client' AND m ->> 'no_client' IS NOT NULL THEN
		m := agentcrm.propose_ask_question(m, 'rows without a client', 'client', false, m ->> 'client_expression', format('%s %% of sampled rows name none: they are not counted', round(100 * (m ->> 'no_client')::numeric, 1)));
	END IF;
	IF m ? 'cents' THEN
		m := agentcrm.propose_ask_question(m, 'are amounts cents?', 'amount', (m -> 'cents' ->> 'certain')::boolean IS NOT TRUE, m -> 'cents' ->> 'whole', 'whole numbers in an integer column', m -> 'options' ->> 'amount', ARRAY[m -> 'cents' ->> 'whole']);
	END IF;
	IF m ? 'currency' THEN
		m := agentcrm.propose_ask_question(m, 'which amount is in base currency?', 'amount', true, m -> 'currency' ->> 'column', format('%s currencies in the sample', m -> 'currency' ->> 'n') || CASE WHEN m -> 'currency' ? 'others' THEN coalesce('; ' || (m -> 'currency' ->> 'how'), '') ELSE ', and no rate was found' END,
			m -> 'options' ->> 'amount', coalesce(agentcrm.part_array(m -> 'currency', 'others'), '{}'));
	END IF;
	IF m ? 'units' THEN
		m := agentcrm.propose_ask_question(m, 'in which unit are quantities?', 'quantity', true, m -> 'units' ->> 'column', format('lines in units of %s sizes, which %s gives', m -> 'units' ->> 'n', m -> 'units' ->> 'table'),
			m -> 'options' ->> 'quantity', agentcrm.part_array(m -> 'units', 'others'));
	END IF;
	IF m ? 'gross' THEN
		m := agentcrm.propose_ask_question(m, 'is the amount net of tax?', 'amount', true, m ->> 'gross', m ->> 'gross_why', m -> 'options' ->> 'amount', ARRAY[m ->> 'gross']);
	END IF;
	IF (m ->> 'float')::boolean THEN
		m := agentcrm.propose_ask_question(m, 'money in floating point', 'amount', false, m ->> 'amount', 'cast to numeric; the application''s own sums may differ in the last digit');
	END IF;
	FOR c IN SELECT a.*, (m -> 'profiles' -> (m ->> 'base') -> a.col ->> 'distinct')::int AS n FROM unnest(columns) a
		WHERE a.rel = CASE m ->> 'base' WHEN 'o' THEN (m ->> 'o')::oid ELSE (m ->> 'l')::oid END AND a.plain ~ '^(fk_)?(company|tenant|entity|org|organi[sz]ation|client|mandant|shop|store|site|branch|ad_client|ad_org|firma|filial[ei]?|legal_entity|business_unit|workspace|account)(_?(id|no|nr|code|key))?$'
			AND NOT a.is_key AND a.family IN ('int', 'text', 'uuid') AND strpos(coalesce(m ->> 'client_expression', '') || coalesce(m ->> 'client_link', ''), format('%s.%I', m ->> 'base', a.col)) = 0
	LOOP
		CONTINUE WHEN coalesce(c.n, 0) < 2 OR c.n > 200;
		seen := agentcrm.propose_values(m, (SELECT a FROM unnest(columns) a WHERE a.rel = c.rel AND a.col = c.col), NULL);
		SELECT jsonb_agg(v || '{"reading": "sale"}') INTO seen FROM jsonb_array_elements(seen) v;
		m := agentcrm.propose_ask_question(m, 'whose orders are these?', 'is_sale', c.plain ~ 'tenant|mandant|ad_client|workspace', format('%s.%I', m ->> 'base', c.col), format('%s different: tenants, companies or shops; all of them count', c.n), m -> 'options' ->> 'is_sale',
			ARRAY(SELECT concat_ws(' AND ', m -> 'options' ->> 'is_sale', agentcrm.propose_in(format('%s.%I', m ->> 'base', c.col), (SELECT a FROM unnest(columns) a WHERE a.rel = c.rel AND a.col = c.col), ARRAY[v ->> 'value'])) FROM jsonb_array_elements(seen) WITH ORDINALITY AS x(v, i) WHERE v ->> 'value' IS NOT NULL ORDER BY i LIMIT 5), seen);
	END LOOP;
	FOR r IN SELECT t.* FROM unnest(tables) t WHERE t.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid, (m ->> 'c')::oid, (m ->> 'p')::oid) LOOP
		IF (SELECT relrowsecurity FROM pg_class WHERE oid = r.rel) THEN
			m := agentcrm.propose_ask_question(m, 'row-level security', 'run_as', NOT (SELECT rolsuper OR rolbypassrls OR NOT k.relforcerowsecurity FROM pg_class k JOIN pg_roles x ON x.oid = k.relowner WHERE k.oid = r.rel), r.named, 'it must be read by a role that sees all rows', agentcrm.all_seeing_role(array_remove(ARRAY[(m ->> 'o')::oid, (m ->> 'l')::oid, (m ->> 'c')::oid, (m ->> 'p')::oid], NULL)));
			m := m || jsonb_strip_nulls(jsonb_build_object('run_as', CASE WHEN m -> 'questions' -> -1 ->> 'open' = 'true' THEN m -> 'questions' -> -1 -> 'answer' END));
		END IF;
		IF agentcrm.primary_key(r.rel) IS NULL THEN
			m := agentcrm.propose_ask_question(m, 'no primary key', NULL, false, r.named, CASE WHEN r.rel = (m ->> 'l')::oid THEN 'lines are told apart by what they hold' ELSE 'a key that stands there twice would count twice' END);
		END IF;
		IF r.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND NOT agentcrm.has_index(r.rel, CASE WHEN r.rel = (m ->> 'l')::oid AND m ->> 'o' IS NOT NULL THEN agentcrm.part_array(m, 'lkey') ELSE agentcrm.part_array(m, 'okey') END, false) THEN
			m := agentcrm.propose_ask_question(m, 'no index on the order''s key', NULL, false, r.named, format('each changed order scans the table; CREATE INDEX ON %s (%s)', r.named,
				(SELECT string_agg(quote_ident(k), ', ') FROM unnest(CASE WHEN r.rel = (m ->> 'l')::oid AND m ->> 'o' IS NOT NULL THEN agentcrm.part_array(m, 'lkey') ELSE agentcrm.part_array(m, 'okey') END) k)));
		END IF;
		IF EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = r.rel AND NOT g.tgisinternal AND g.tgfoid <> 'agentcrm.capture'::regproc) THEN
			m := agentcrm.propose_ask_question(m, 'the application''s own triggers', NULL, false, r.named, (SELECT string_agg(quote_ident(g.tgname), ', ' ORDER BY g.tgname) FROM pg_trigger g WHERE g.tgrelid = r.rel AND NOT g.tgisinternal AND g.tgfoid <> 'agentcrm.capture'::regproc));
		END IF;
	END LOOP;
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = owner) THEN
		m := agentcrm.propose_ask_question(m, 'as whom are the tables read?', 'run_as', true, owner, 'they belong to a superuser, under whose rights nothing is read unless you say so', owner);
		m := m || jsonb_build_object('run_as', owner);
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_warn(jsonb, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: questions and remarks that need no look at statuses';

CREATE FUNCTION agentcrm.propose_build(candidate jsonb, wanted jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m jsonb := candidate || jsonb_build_object('options', '{}'::jsonb, 'roles', '[]'::jsonb, 'questions', '[]'::jsonb, 'wanted', wanted, 'base', CASE WHEN candidate ->> 'o' IS NULL THEN 'l' ELSE 'o' END);
	o oid := (candidate ->> 'o')::oid;
	l oid := (candidate ->> 'l')::oid;
	seen record;
	joined record;
BEGIN
	m := m || jsonb_strip_nulls(jsonb_build_object('kind_of_line', CASE WHEN candidate ->> 'how' = 'name' AND jsonb_array_length(candidate -> 'cols') = 1 THEN agentcrm.propose_kind_of_line(tables, columns, l, candidate -> 'cols' ->> 0, o, candidate -> 'target_cols' ->> 0) END));
	IF candidate ->> 'how' = 'name' AND NOT m ? 'kind_of_line' THEN
		SELECT * INTO seen FROM agentcrm.propose_overlap(tables, (l, agentcrm.part_array(m, 'cols'), o, agentcrm.part_array(m, 'target_cols'), 'name', 0)::agentcrm.propose_link);
		IF seen.hits < 0.7 * seen.asked THEN
			RETURN NULL;
		END IF;
	END IF;
	columns := agentcrm.propose_texts(tables, columns, ARRAY[o, l]);
	m := m || jsonb_build_object('profiles', jsonb_strip_nulls(jsonb_build_object('o', CASE WHEN o IS NOT NULL THEN agentcrm.propose_profile(tables, columns, o) END, 'l', CASE WHEN l IS NOT NULL THEN agentcrm.propose_profile(tables, columns, l) END)));
	IF candidate ->> 'how' = 'name' AND jsonb_array_length(candidate -> 'target_cols') = 1 AND (m -> 'profiles' -> 'o' -> (candidate -> 'target_cols' ->> 0) ->> 'distinct')::bigint < 0.98 * (m -> 'profiles' -> 'o' ->> 'n')::bigint THEN
		RETURN NULL;	-- what lines refer to does not tell orders apart
	END IF;
	m := agentcrm.propose_keys(m, tables, columns);
	IF m IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT * INTO joined FROM agentcrm.propose_joined(tables, o, l, agentcrm.part_array(m, 'okey'), agentcrm.part_array(m, 'lkey'), m ->> 'kind_of_line');
	IF m ? 'kind_of_line' THEN
		m := agentcrm.propose_add(agentcrm.propose_and(m, m ->> 'kind_of_line', 'line_ok'), '{}', agentcrm.propose_role('line_ok', l, m ->> 'kind_of_line', 3, 'lines of several kinds of documents in one table'));
	END IF;
	m := m || jsonb_build_object('ordered', (SELECT t.words && '{order}' AND NOT t.words && '{invoice}' FROM unnest(tables) t WHERE t.rel = coalesce(o, l)), 'source', joined.source, 'whole', joined.whole);
	m := agentcrm.propose_client(m, tables, columns, links);
	m := agentcrm.propose_product(m, tables, columns, links);
	m := agentcrm.propose_at(m, tables, columns, links);
	IF m ->> 'client_expression' IS NULL OR m ->> 'at' IS NULL OR l IS NOT NULL AND m ->> 'product_column' IS NULL THEN
		RETURN NULL;
	END IF;
	m := agentcrm.propose_rep(m, tables, columns, links);
	m := agentcrm.propose_quantity(m, columns);
	m := agentcrm.propose_amount(m, columns);
	m := agentcrm.propose_units(agentcrm.propose_currency(m, tables, columns), tables, columns, links);
	m := agentcrm.propose_header_version(agentcrm.propose_version(agentcrm.propose_flags(m, columns), tables, columns), columns);
	m := agentcrm.propose_types(agentcrm.propose_marks(m, tables, columns, links), tables, columns, links);
	m := agentcrm.propose_status(m, tables, columns, links);
	m := agentcrm.propose_line_ok(m, tables, columns, links);
	m := agentcrm.propose_facts(m);
	RETURN agentcrm.propose_warn(m, tables, columns);
END $$;
COMMENT ON FUNCTION agentcrm.propose_build(jsonb, jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: a candidate as a whole mapping, NULL when it cannot be one';

-- Returns in tables of their own are another source of the same clients.
/*
 * A name that bars is refuted by what the table is to others: a summary or report
 * that lines refer to is a document; lines whose kind of document stands beside
 * their reference are not only of what they are called after (quotes).
 */
CREATE FUNCTION agentcrm.propose_cleared(tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS agentcrm.propose_table[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
	WITH f AS MATERIALIZED (
		SELECT c.rel FROM unnest(columns) c WHERE c.family IN ('int', 'num', 'float', 'money') GROUP BY c.rel HAVING bool_or(c.words && '{qty}') AND bool_or(c.words && '{price,total}')),
	documents AS (
		SELECT DISTINCT k.target AS rel FROM unnest(links) k JOIN f ON f.rel = k.rel JOIN unnest(tables) l ON l.rel = k.rel AND l.barred IS NULL JOIN unnest(tables) t ON t.rel = k.target
		WHERE t.words && '{order,invoice}' AND t.barred = 'archive, log or staging' AND t.plain ~ '(^|_)(summary|report)$' AND k.score >= 0.6 AND k.target NOT IN (SELECT rel FROM f)),
	lines AS (
		SELECT f.rel FROM f JOIN unnest(tables) t ON t.rel = f.rel AND t.barred = 'quote or cart' AND NOT t.words && '{archive,vendor}'
		WHERE EXISTS (SELECT FROM unnest(columns) i JOIN unnest(columns) k ON k.rel = i.rel AND k.family IN ('text', 'enum') AND k.plain = regexp_replace(i.plain, '_id$', '_type') WHERE i.rel = f.rel AND i.plain ~ '_id$' AND NOT i.words && '{product}'))
	SELECT array_agg(CASE WHEN t.rel IN (SELECT rel FROM documents) THEN (t.rel, t.named, t.schema, t.plain, array_remove(t.words, 'archive'), t.n_rows, t.pages, t.key, NULL)::agentcrm.propose_table
		WHEN t.rel IN (SELECT rel FROM lines) THEN (t.rel, t.named, t.schema, t.plain, array_remove(t.words, 'quote') || '{line}'::text[], t.n_rows, t.pages, t.key, NULL)::agentcrm.propose_table ELSE t END ORDER BY t.rel)
	FROM unnest(tables) t
$$;
COMMENT ON FUNCTION agentcrm.propose_cleared(agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: tables, without the bars that references to and from them refute';

CREATE FUNCTION agentcrm.propose_returns(m jsonb, tables agentcrm.propose_table[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	named text;
BEGIN
	SELECT t.named INTO named FROM unnest(tables) t JOIN unnest(links) k ON k.rel = t.rel AND k.target IN ((m ->> 'o')::oid, (m ->> 'c')::oid)
	WHERE t.barred IS NULL AND t.n_rows > 0 AND t.plain ~ '(^|_)(returns?|refunds?|rmas?|retour(en)?|rucksendung(en)?|gutschrift(en)?|credit_?(notes?|memos?)|avoirs?|devoluciones|devolucion|resi|vozvrat)(_|$)' AND NOT t.words && '{line}' AND t.rel NOT IN (coalesce((m ->> 'o')::oid, 0), coalesce((m ->> 'l')::oid, 0))
	ORDER BY k.target = (m ->> 'o')::oid DESC, t.rel LIMIT 1;
	IF named IS NULL THEN
		RETURN m;
	END IF;
	RETURN agentcrm.propose_ask_question(m, 'returns in tables of their own', NULL, false, named, 'not part of this mapping; attach them beside it, with kind => ''''''return'''''', negative quantity and amount, and the first source as namespace');
END $$;
COMMENT ON FUNCTION agentcrm.propose_returns(jsonb, agentcrm.propose_table[], agentcrm.propose_link[]) IS 'Internal: points to tables of returns';

-- Mappings over some schemas, best first.  near: schemas whose mappings come first.
CREATE FUNCTION agentcrm.propose_mappings(schemas name[], near name[] DEFAULT '{}', wanted jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	tables agentcrm.propose_table[] := agentcrm.propose_tables(schemas, near);
	columns agentcrm.propose_column[];
	cleared agentcrm.propose_table[];
	links agentcrm.propose_link[];
	candidates jsonb;
	candidate jsonb;
	reach oid[];
	m jsonb;
	result jsonb := '[]';
BEGIN
	IF tables IS NULL THEN
		RETURN result;
	END IF;
	columns := agentcrm.propose_columns(tables);
	tables := agentcrm.propose_found_keys(agentcrm.propose_parties(tables, columns), columns);
	columns := ARRAY(SELECT (c.rel, c.attnum, c.col, c.plain, c.stem, c.family, c.type, c.words, c.required, coalesce(c.col = ANY (t.key), false), coalesce(t.key = ARRAY[c.col], false), c.preset)::agentcrm.propose_column FROM unnest(columns) c JOIN unnest(tables) t ON t.rel = c.rel ORDER BY c.rel, c.attnum);
	links := agentcrm.propose_links(tables, columns);
	cleared := agentcrm.propose_cleared(tables, columns, links);
	IF cleared <> tables THEN
		tables := cleared;
		links := agentcrm.propose_links(tables, columns);
	END IF;
	links := links || agentcrm.propose_unnamed(tables, columns, links) || agentcrm.propose_subtypes(tables, columns, links);
	candidates := agentcrm.propose_candidates(tables, columns, links, wanted || jsonb_build_object('near', near));
	IF candidates = '[]' AND EXISTS (SELECT FROM unnest(tables) t WHERE starts_with(t.barred, 'schema ')) THEN	-- nothing but a schema called history or the like
		tables := ARRAY(SELECT (t.rel, t.named, t.schema, t.plain, t.words, t.n_rows, t.pages, t.key, CASE WHEN NOT starts_with(t.barred, 'schema ') THEN t.barred END)::agentcrm.propose_table FROM unnest(tables) t);
		links := agentcrm.propose_links(tables, columns);
		candidates := agentcrm.propose_candidates(tables, columns, links, wanted || jsonb_build_object('near', near));
	END IF;
	IF candidates = '[]' THEN	-- purchases that no supplier is named in are the clients' own
		tables := ARRAY(SELECT (t.rel, t.named, t.schema, t.plain, t.words, t.n_rows, t.pages, t.key, CASE WHEN t.barred = 'purchase' AND t.plain !~ 'supplier|vendor|lieferant|fournisseur|proveed|fornec|fornit|_po_|^po_|head'
			AND NOT EXISTS (SELECT FROM unnest(columns) c WHERE c.rel = t.rel AND c.plain ~ 'supplier|vendor|lieferant|fournisseur|proveed|fornec|fornit|kreditor') THEN NULL ELSE t.barred END)::agentcrm.propose_table FROM unnest(tables) t);
		links := agentcrm.propose_links(tables, columns);
		candidates := agentcrm.propose_candidates(tables, columns, links, wanted || jsonb_build_object('near', near));
	END IF;
	LOOP
		FOR candidate IN SELECT c FROM jsonb_array_elements(candidates) c LOOP
			-- two references away from orders and lines at most: that is all a mapping needs to see
			WITH RECURSIVE near AS (
				SELECT r AS rel, 0 AS hops FROM unnest(ARRAY[(candidate ->> 'o')::oid, (candidate ->> 'l')::oid]) r WHERE r IS NOT NULL
				UNION
				SELECT CASE WHEN k.rel = n.rel THEN k.target ELSE k.rel END, n.hops + 1 FROM near n JOIN unnest(links) k ON k.rel = n.rel
					OR k.target = n.rel AND n.hops = 0 AND k.rel IN (SELECT t.rel FROM unnest(tables) t WHERE t.plain ~ 'role|party|parties|partner|contact|involve|customer|client' AND NOT t.words && '{line}')
					OR k.target = n.rel AND n.hops = 0 AND n.rel = (candidate ->> 'o')::oid AND k.rel IN (SELECT t.rel FROM unnest(tables) t WHERE t.words && '{invoice}' OR t.plain ~ 'ship|deliver|fulfil|payment|liefer|livr')
					OR k.target = n.rel AND n.hops = 1 AND k.rel IN (SELECT t.rel FROM unnest(tables) t WHERE t.plain ~ 'lang$|transl|trl$|i18n') WHERE n.hops < 2)
			SELECT array_agg(DISTINCT rel) INTO reach FROM (SELECT rel FROM near
				UNION ALL	-- rates are looked up without a reference
				(SELECT t.rel FROM unnest(tables) t WHERE t.plain ~ 'rate|kurs|taux|cambio|currenc|exchange|tasso|valut' AND NOT t.words && '{order,invoice,line}' AND t.n_rows > 0
					AND t.schema = (SELECT x.schema FROM unnest(tables) x WHERE x.rel = coalesce(candidate ->> 'o', candidate ->> 'l')::oid) ORDER BY length(t.plain), t.rel LIMIT 6)
				UNION ALL	-- so are what codes of statuses are called
				(SELECT t.rel FROM unnest(tables) t WHERE agentcrm.propose_is_lookup(t) AND t.schema = (SELECT x.schema FROM unnest(tables) x WHERE x.rel = coalesce(candidate ->> 'o', candidate ->> 'l')::oid)
					ORDER BY t.plain ~ 'order|sale|invoice|doc' DESC, length(t.plain), t.rel LIMIT 8)
				UNION ALL	-- and what may be clients or products, though no name leads there
				(SELECT t.rel FROM unnest(tables) t WHERE t.words && '{client,product}' AND NOT t.words && '{other,order,invoice}' AND t.barred IS NULL AND cardinality(t.key) = 1
					AND t.schema = (SELECT x.schema FROM unnest(tables) x WHERE x.rel = coalesce(candidate ->> 'o', candidate ->> 'l')::oid) ORDER BY length(t.plain), t.rel LIMIT 12)) AS r;
			m := agentcrm.propose_build(candidate, wanted, ARRAY(SELECT t FROM unnest(tables) t WHERE t.rel = ANY (reach)), ARRAY(SELECT c FROM unnest(columns) c WHERE c.rel = ANY (reach)),
				ARRAY(SELECT k FROM unnest(links) k WHERE k.rel = ANY (reach) AND k.target = ANY (reach)));
			IF m IS NOT NULL THEN
				m := agentcrm.propose_returns(m, tables, links);
				result := result || jsonb_build_array((m - 'profiles' - 'amounts') || jsonb_build_object('near', (SELECT t.schema = ANY (near) FROM unnest(tables) t WHERE t.rel = coalesce(m ->> 'o', m ->> 'l')::oid)));
			END IF;
		END LOOP;
		EXIT WHEN result <> '[]' OR wanted ? 'only_heads' OR wanted ? 'lines';
		wanted := wanted || '{"only_heads": true}';	-- lines that do not map (in JSON, or of products that nothing names): orders alone
		candidates := agentcrm.propose_candidates(tables, columns, links, wanted || jsonb_build_object('near', near));
	END LOOP;
	RETURN (SELECT coalesce(jsonb_agg(e ORDER BY (e ->> 'near')::boolean DESC, (e ->> 'score')::numeric DESC), '[]') FROM jsonb_array_elements(result) e);
END $$;
COMMENT ON FUNCTION agentcrm.propose_mappings(name[], name[], jsonb) IS 'Internal: whole mappings, best first';

CREATE FUNCTION agentcrm.propose_rows(mappings jsonb) RETURNS TABLE (mapping int, role text, rank int, relation text, expression text, score numeric, evidence text, sample text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH r AS (
		SELECT a.i::int AS mapping, b.role, b.relation, b.expression, max(b.score) AS score, (array_agg(b.evidence ORDER BY b.score DESC))[1] AS evidence, max(b.sample) AS sample, min(x.no) AS no,
			b.expression IS NOT DISTINCT FROM a.m -> 'options' ->> b.role AS taken
		FROM jsonb_array_elements(mappings) WITH ORDINALITY AS a(m, i), LATERAL jsonb_array_elements(a.m -> 'roles') WITH ORDINALITY AS x(row, no),
			jsonb_to_record(x.row) AS b(role text, relation text, expression text, score numeric, evidence text, sample text)
		GROUP BY 1, 2, 3, 4, a.m)
	SELECT r.mapping, r.role, row_number() OVER (PARTITION BY r.mapping, r.role ORDER BY r.taken DESC, r.score DESC, r.no)::int, r.relation, r.expression, r.score, r.evidence, r.sample
	FROM r ORDER BY r.mapping, min(r.no) OVER (PARTITION BY r.mapping, r.role), 3
$$;
COMMENT ON FUNCTION agentcrm.propose_rows(jsonb) IS 'Internal: mappings as rows';

CREATE FUNCTION agentcrm.propose(schemas name[] DEFAULT NULL) RETURNS TABLE (mapping int, role text, rank int, relation text, expression text, score numeric, evidence text, sample text)
LANGUAGE sql STABLE AS $$
	SELECT * FROM agentcrm.propose_rows(agentcrm.propose_mappings(schemas, agentcrm.caller_path()))
$$;
COMMENT ON FUNCTION agentcrm.propose(name[]) IS
'Reads schemas it has never seen (all, if none are named) and proposes how to attach them: per mapping, best first, the table or expression for each role, its score and the evidence; rank 1 is what attach takes. Reads catalogs and samples only';

CREATE FUNCTION agentcrm.propose_question_rows(mappings jsonb)
RETURNS TABLE (mapping int, question text, argument text, open boolean, subject text, value text, reading text, counts boolean, orders bigint, amount numeric, first_at timestamptz, last_at timestamptz, answer text, alternatives text[], remark text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.i::int, q ->> 'question', q ->> 'argument', (q ->> 'open')::boolean, q ->> 'subject', coalesce(v ->> 'label' || ' (' || (v ->> 'value') || ')', v ->> 'value'), v ->> 'reading', v ->> 'reading' IN ('sale', 'open') OR v ->> 'reading' = 'unknown' AND v ->> 'orders' IS NOT NULL OR v ->> 'reading' = 'return' AND q ->> 'question' ~ 'documents',
		(v ->> 'orders')::bigint, (v ->> 'amount')::numeric, (v ->> 'first')::timestamptz, (v ->> 'last')::timestamptz, q ->> 'answer', ARRAY(SELECT jsonb_array_elements_text(q -> 'alternatives')), q ->> 'remark'
	FROM jsonb_array_elements(mappings) WITH ORDINALITY AS a(m, i), jsonb_array_elements(a.m -> 'questions') WITH ORDINALITY AS b(q, j)
		LEFT JOIN LATERAL jsonb_array_elements(q -> 'values') WITH ORDINALITY AS c(v, k) ON true
	ORDER BY a.i, (q ->> 'open')::boolean DESC, b.j, c.k
$$;
COMMENT ON FUNCTION agentcrm.propose_question_rows(jsonb) IS 'Internal: questions as rows';

CREATE FUNCTION agentcrm.propose_questions(schemas name[] DEFAULT NULL)
RETURNS TABLE (mapping int, question text, argument text, open boolean, subject text, value text, reading text, counts boolean, orders bigint, amount numeric, first_at timestamptz, last_at timestamptz, answer text, alternatives text[], remark text)
LANGUAGE sql STABLE AS $$
	SELECT * FROM agentcrm.propose_question_rows(agentcrm.propose_mappings(schemas, agentcrm.caller_path()))
$$;
COMMENT ON FUNCTION agentcrm.propose_questions(name[]) IS
'What only a person decides about the mappings of propose: each status and document type with its orders, amount and dates in a sample, guests, currencies, cents, tenants, rights; open: attach asks for the argument. Amounts in the application''s currency';
