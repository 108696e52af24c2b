-- source/: from a candidate to a mapping: which rows are sales, by status, type and flags; and what only a person decides about them

CREATE FUNCTION agentcrm.propose_ask_question(m jsonb, question text, argument text, open boolean, subject text, remark text, answer text DEFAULT NULL, alternatives text[] DEFAULT '{}', seen jsonb DEFAULT '[]') RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT m || jsonb_build_object('questions', (m -> 'questions') || jsonb_build_array(jsonb_build_object('question', question, 'argument', argument, 'open', coalesce(open, false), 'subject', subject, 'remark', remark,
		'answer', answer, 'alternatives', to_jsonb(alternatives), 'values', coalesce(seen, '[]'))))
$$;
COMMENT ON FUNCTION agentcrm.propose_ask_question(jsonb, text, text, boolean, text, text, text, text[], jsonb) IS 'Internal: adds a question to a mapping; open: attach refuses until its argument is given';

CREATE FUNCTION agentcrm.propose_order_count(m jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('count(DISTINCT %s)', agentcrm.sql_key(m ->> 'base', agentcrm.part_array(m, 'okey')))
$$;
COMMENT ON FUNCTION agentcrm.propose_order_count(jsonb) IS 'Internal: orders in the sample of a mapping';

-- Small tables that say what codes mean, by their names.
CREATE FUNCTION agentcrm.propose_is_lookup(t agentcrm.propose_table) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.n_rows BETWEEN 2 AND 2000 AND t.pages <= 100 AND t.plain ~ 'status|state|statut|stato|stati|estado|zustand|situac|etats?(_|$)|stav(_|$|y)|durum|jotai|lookup|(^|_)(codes?|enum|dict|list_?(val|item|option)|param|type_?val|ref_?(data|list|val)|code_?(val|list|table)|dropdown|choice|option_?val|slownik|kubun|meisho|stammdaten)'
		AND t.plain !~ 'histor|log(_|$)|countr|region|province|stock|zip|post|tax|price'
$$;
COMMENT ON FUNCTION agentcrm.propose_is_lookup(agentcrm.propose_table) IS 'Internal: whether a table may hold the names of codes';

/*
 * The names of codes that no reference leads to: a small table whose codes
 * include all values of the column.  One that has the codes of several columns
 * tells them apart by a kind: of those that fit, the one named after the column.
 */
CREATE FUNCTION agentcrm.propose_lookup(m jsonb, c agentcrm.propose_column, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen jsonb;
	k record;
	found jsonb;
BEGIN
	IF c.family NOT IN ('text', 'int') OR (m -> 'profiles' -> CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END -> c.col ->> 'distinct')::int < 2 OR NOT EXISTS (SELECT FROM unnest(tables) t WHERE agentcrm.propose_is_lookup(t)) THEN
		RETURN NULL;
	END IF;
	seen := agentcrm.propose_ask(format('SELECT jsonb_agg(v) FROM (SELECT DISTINCT btrim(%I::text) AS v FROM %s LIMIT 41) AS s WHERE v <> ''''', c.col, agentcrm.propose_from(tables, c.rel, 's', 60)));
	IF seen IS NULL OR jsonb_array_length(seen) NOT BETWEEN 2 AND 40 THEN
		RETURN NULL;
	END IF;
	FOR k IN
		SELECT t.named, t.plain, code.col AS code, code.plain AS code_plain, kind.col AS kind,
			(SELECT a.col FROM unnest(columns) a WHERE a.rel = t.rel AND a.family IN ('text', 'json') AND a.col <> code.col AND a.col IS DISTINCT FROM kind.col AND a.plain ~ 'name|label|title|text|descr|desc$|nom|libel|bezeich|titel|nome|nazwa|naimen|value|meaning|caption|display|wert|valor|mei$'
				ORDER BY a.plain ~ 'colou?r|icon|css', a.plain ~ 'name|label|bezeich|libel|nom|meaning' DESC, a.attnum LIMIT 1) AS label
		FROM unnest(tables) t JOIN unnest(columns) code ON code.rel = t.rel AND (code.family = c.family OR code.family IN ('text', 'int') AND code.plain ~ 'code|value|val$|key|wert|kod')
			LEFT JOIN unnest(columns) kind ON kind.rel = t.rel AND kind.family = 'text' AND kind.col <> code.col AND (kind.plain ~ 'type|kind|group|categ|table|entity|domain|field|column|list|class|set_?name|art$|gruppe|(^|_)kbn|tipo|bereich' OR kind.in_key AND code.in_key)
		WHERE agentcrm.propose_is_lookup(t) AND (kind.col IS NOT NULL OR NOT c.words && '{type}' OR t.plain ~ 'type|kind|tipo|(^|_)typ|art(en)?$|lookup|enum|code')
			-- small numbers are in every table
			AND (c.family = 'text' AND code.family = 'text' OR kind.col IS NOT NULL OR t.plain ~ 'order|sale|invoice|doc|auftrag|bestell|beleg|command|pedido|ordin|zam|zakaz|faktur|factur|fattur' OR code.plain = c.plain OR agentcrm.propose_root(t.plain) IN (agentcrm.propose_root(c.plain), c.stem))
		ORDER BY code.plain = c.plain DESC, t.plain ~ 'order|sale|invoice|doc' DESC, kind.col IS NULL DESC, code.plain ~ 'code|key|value|kod' DESC, code.attnum LIMIT 24
	LOOP
		CONTINUE WHEN k.label IS NULL;
		found := agentcrm.propose_ask(format('SELECT jsonb_agg(g ORDER BY alike DESC, size) -> 0 FROM (SELECT %1$s AS alike, count(*) AS size, jsonb_object_agg(btrim(%2$I::text), left(%3$I::text, 80)) AS g FROM %4$s WHERE %2$I IS NOT NULL GROUP BY %5$s HAVING count(*) = count(DISTINCT %2$I) AND count(DISTINCT %3$I::text) > 1 AND jsonb_object_agg(btrim(%2$I::text), 0) ?& ARRAY(SELECT jsonb_array_elements_text(%6$L))) AS f%7$s',
			CASE WHEN k.kind IS NULL THEN '1' ELSE format('max((agentcrm.propose_plain(%1$I) LIKE ''%%'' || %2$L || ''%%'')::int + (agentcrm.propose_plain(%1$I) ~ ''order|sale|invoice|auftrag|pedido|command|zakaz'')::int)', k.kind, c.plain) END,
			k.code, k.label, k.named, CASE WHEN k.kind IS NULL THEN '()' ELSE quote_ident(k.kind) END, seen, CASE WHEN k.kind IS NULL OR c.family = 'text' THEN '' ELSE ' WHERE alike > 0' END));
		IF found IS NOT NULL THEN
			RETURN found;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION agentcrm.propose_lookup(jsonb, agentcrm.propose_column, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: names of a status column''s values by a table that no reference leads to';

-- What a status table says of the values, or an enum of those that no order has yet.
CREATE FUNCTION agentcrm.propose_labels(m jsonb, c agentcrm.propose_column, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
	label text;
	explained jsonb;
BEGIN
	IF c.family = 'enum' THEN
		RETURN (SELECT jsonb_object_agg(e.enumlabel, e.enumlabel) FROM pg_attribute a JOIN pg_enum e ON e.enumtypid = agentcrm.base_type(a.atttypid) WHERE a.attrelid = c.rel AND a.attname = c.col);
	END IF;
	-- a comment that explains the codes: A = open, B = done
	FOREACH label IN ARRAY ARRAY['([[:alnum:]_-]{1,12})\s*(?:=>?|:|->)\s*([^,;=:0-9(]+)', '(?:^|[,;:(\n]\s*)([[:alnum:]]{1,3})\s*(?:-|\s)\s*([^,;=:()\n]+)'] LOOP
		explained := (SELECT jsonb_object_agg(p[1], btrim(p[2])) FROM regexp_matches(col_description(c.rel, c.attnum), label, 'g') p HAVING count(*) >= 2);
		IF explained IS NOT NULL THEN
			RETURN explained;
		END IF;
	END LOOP;
	label := NULL;
	FOR k IN SELECT l.target, l.target_cols, t.named FROM unnest(links) l JOIN unnest(tables) t ON t.rel = l.target
		WHERE l.rel = c.rel AND l.cols = ARRAY[c.col] AND t.pages <= 100 AND t.n_rows <= 500 AND (l.how = 'foreign key' OR l.score >= 0.6 AND (t.plain !~ 'pay|tax|ship|deliver|addr|freq|discount|unit|price' OR c.plain ~ 'pay|tax|ship|deliver|addr')) ORDER BY l.score DESC LIMIT 2
	LOOP
		SELECT quote_ident(a.col) INTO label FROM unnest(columns) a WHERE a.rel = k.target AND a.family IN ('text', 'json') AND a.col <> ALL (k.target_cols)
			AND agentcrm.propose_ask(format('SELECT to_jsonb(count(DISTINCT %I::text) > 1 OR count(*) <= 1) FROM %s', a.col, k.named)) = 'true'
		ORDER BY a.plain ~ '(^|_)(code|name|key|slug|identifier|machine)' DESC, a.plain ~ 'name|label|title|nom|bezeich|descr' DESC, a.attnum LIMIT 1;
		IF label IS NULL OR label ~ 'colou?r|icon|css|style|template' THEN	-- what it is called stands in a table of translations
			SELECT format('(SELECT l.%I FROM %s AS l WHERE l.%I = s.%I ORDER BY 1 LIMIT 1)', a.col, t.named, l.cols[1], l.target_cols[1]) INTO label FROM unnest(links) l JOIN unnest(tables) t ON t.rel = l.rel JOIN unnest(columns) a ON a.rel = l.rel
			WHERE l.target = k.target AND l.target_cols = k.target_cols AND t.plain ~ 'lang|transl|trl$|i18n|local|label|text' AND a.family = 'text' AND a.col <> ALL (l.cols) AND a.plain ~ 'name|label|title|text|descr' ORDER BY a.attnum LIMIT 1;
		END IF;
		IF label IS NOT NULL THEN
			RETURN agentcrm.propose_ask(format('SELECT jsonb_object_agg(%I::text, left(%s::text, 80)) FROM %s AS s WHERE %1$I IS NOT NULL', k.target_cols[1], label, k.named));
		END IF;
	END LOOP;
	RETURN agentcrm.propose_lookup(m, c, tables, columns);
END $$;
COMMENT ON FUNCTION agentcrm.propose_labels(jsonb, agentcrm.propose_column, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: names of a status column''s values';

-- The condition that a status column of a table has, or has not, a value that reads as one of some readings; NULL where it has none such.
CREATE FUNCTION agentcrm.propose_read_as(alias text, relation oid, tables agentcrm.propose_table[], columns agentcrm.propose_column[], named text, readings text[], negated boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c agentcrm.propose_column;
	found text[];
BEGIN
	SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = relation AND a.words && '{status}' AND a.family IN ('text', 'enum') AND NOT a.is_key AND a.plain ~ named AND a.plain !~ 'date|(^|_)(at|by|on)$|note|message|country|address|region' ORDER BY a.attnum LIMIT 1;
	IF c.col IS NULL THEN
		RETURN NULL;
	END IF;
	SELECT array_agg(v ORDER BY v) INTO found FROM jsonb_array_elements_text(coalesce(agentcrm.propose_ask(format('SELECT jsonb_agg(v) FROM (SELECT %I::text AS v FROM %s WHERE %1$I IS NOT NULL GROUP BY 1 LIMIT 31) AS s HAVING count(*) <= 30', c.col, agentcrm.propose_from(tables, relation, 's', 60))), '[]')) v
	WHERE agentcrm.propose_reading(v) = ANY (readings);
	IF found IS NULL THEN
		RETURN NULL;
	END IF;
	RETURN format(CASE WHEN negated THEN '(%s) IS NOT TRUE' ELSE '%s' END, agentcrm.propose_in(format('%s.%I', alias, c.col), c, found));
END $$;
COMMENT ON FUNCTION agentcrm.propose_read_as(text, oid, agentcrm.propose_table[], agentcrm.propose_column[], text, text[], boolean) IS 'Internal: a condition on the status of a table, by what its values say';

/*
 * What else is filled in where an order was carried out, or was cancelled: dates
 * and references of the header, quantities of the line, documents that refer to
 * the order.  By these, statuses that only the program explains are told apart.
 */
CREATE FUNCTION agentcrm.propose_marks(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH c AS (
		SELECT k.*, x.alias, (m -> 'profiles' -> x.alias ->> 'n')::bigint AS n, m -> 'profiles' -> x.alias -> k.col AS p,
			k.plain ~ 'cancel|void|storn|annul|reject|(^|_)lost|otmen|odrzuc' AS gone,
			k.plain ~ 'ship|deliver|di?e?spatch|(^|_)sent(_|$)|served|invoic|fulfil|paid|(^|_)pay(ment|ed)|complet|clos|pick|(^|_)bill|liefer|rechnung|faktur|fatur|factur|fattur|livr|entreg|sped|wysl|otgruz|dostav|oplat|zaplat' AS done
		FROM unnest(columns) k, LATERAL (SELECT CASE WHEN k.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END AS alias) AS x
		WHERE k.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND NOT k.is_key AND k.col <> ALL (coalesce(agentcrm.part_array(m, 'okey'), '{}'))
			AND k.plain !~ 'due|request|require|promis|expect|plan|estimat|wunsch|status|state|address|addr|method|name|_to(_|$)|street|city|zip|country|phone|mail|cost|fee|via|terms|type|remain|open|balance|customer|client|cust|account|party|partner|freight|charge|tax|remind|dirty'),
	marks AS (
		SELECT gone, false AS paid, attnum, CASE WHEN family = 'bool' THEN format('%s.%I', alias, col) WHEN family = 'time' THEN format('%s.%I > ''1901-01-01''', alias, col)
				WHEN words && '{qty}' AND family IN ('int', 'num', 'float') THEN format('%s.%I > 0', alias, col) ELSE format('coalesce(%s.%I::text, '''') NOT IN ('''', ''0'')', alias, col) END AS mark
		FROM c WHERE (gone OR done) AND (family = 'bool' OR family = 'time' AND ((p ->> 'filled')::bigint BETWEEN 1 AND n - 1 OR p ->> 'min' < '1901-01-02')
				OR words && '{qty}' AND family IN ('int', 'num', 'float') AND (p ->> 'min')::numeric <= 0 AND (p ->> 'max')::numeric > 0
				OR family IN ('int', 'text', 'uuid') AND NOT words && '{qty,price,total}' AND alias = 'o' AND ((p ->> 'filled')::bigint BETWEEN 1 AND n - 1 OR p ->> 'min' = '0' OR p ->> 'sample' = '') AND (p ->> 'distinct')::bigint > 2)
		UNION ALL
		SELECT false, t.plain ~ 'payment|zahlung|pagos?(_|$)|transaction', 0, format('EXISTS (SELECT FROM %s AS x WHERE %s)', t.named, concat_ws(' AND ', agentcrm.sql_match('x', k.cols, m ->> 'base', k.target_cols),
			agentcrm.propose_read_as('x', t.rel, tables, columns, '.', '{cancelled,draft,quote,unpaid,open,return}', true)))
		FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.rel
		WHERE k.target = (m ->> 'o')::oid AND k.rel <> (m ->> 'l')::oid AND k.target_cols = agentcrm.part_array(m, 'okey') AND (t.words && '{invoice}' AND (m ->> 'ordered')::boolean OR t.plain ~ 'ship|deliver|fulfil|payment|zahlung|pagos?(_|$)|liefer|livr|^((order|sale|customer)s?_)?transactions?$') AND NOT t.words && '{line,archive,quote,vendor}'
			AND t.n_rows > 0 AND (t.pages <= 100 OR agentcrm.has_index(t.rel, k.cols, false))
		UNION ALL	-- what was paid for, or paid back
		SELECT r.gone, NOT r.gone, 0, r.mark FROM (VALUES (false, agentcrm.propose_read_as('o', (m ->> 'o')::oid, tables, columns, 'pay|financ|zahl|pag[ao]|oplat|platb|platn', '{sale}')),
			(true, agentcrm.propose_read_as('o', (m ->> 'o')::oid, tables, columns, 'pay|financ|zahl|pag[ao]|oplat|platb|platn', '{cancelled,return}'))) AS r (gone, mark) WHERE r.mark IS NOT NULL)
	SELECT m || jsonb_strip_nulls(jsonb_build_object('done', (SELECT string_agg(format('coalesce(%s, false)', mark), ' OR ' ORDER BY attnum) FROM (SELECT * FROM marks WHERE NOT gone ORDER BY attnum LIMIT 8) AS d),
		'gone', (SELECT string_agg(format('coalesce(%s, false)', mark), ' OR ' ORDER BY attnum) FROM (SELECT * FROM marks WHERE gone ORDER BY attnum LIMIT 4) AS g),
		'paid', (SELECT string_agg(format('coalesce(%s, false)', mark), ' OR ') FROM marks WHERE NOT gone AND paid)))
$$;
COMMENT ON FUNCTION agentcrm.propose_marks(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: conditions that an order was carried out, was cancelled, or was paid for';

-- A letter in the language of its column: B and A of a French etat are brouillon and annule, C of a Spanish estado beside F or E is cancelado.
CREATE FUNCTION agentcrm.propose_letter(value text, plain text, company text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN array_to_string(company, '') !~ '^[a-z]*$' OR length(array_to_string(company, '')) <> cardinality(array_remove(company, NULL)) THEN NULL
		WHEN plain ~ '(^|_)(etat|statut)(_|$)' THEN CASE lower(value) WHEN 'b' THEN 'draft' WHEN 'a' THEN 'cancelled' WHEN 'v' THEN 'sale' END
		WHEN plain ~ '(^|_)stato(_|$)' THEN CASE lower(value) WHEN 'b' THEN 'draft' WHEN 'a' THEN 'cancelled' END
		WHEN plain ~ '(^|_)(estado|situac[a-z]*)(_|$)' THEN CASE lower(value) WHEN 'b' THEN 'draft' WHEN 'c' THEN CASE WHEN company && '{f,e,t}' THEN 'cancelled' END END END
$$;
COMMENT ON FUNCTION agentcrm.propose_letter(text, text, text[]) IS 'Internal: what a status says that is a letter, by the language of its column';

-- A number that nothing explains, by what else its orders have: carried out, cancelled, or nothing of either though greater than all that were.
CREATE FUNCTION agentcrm.propose_number_reading(v jsonb, seen jsonb, preset text, drafted boolean) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN (v ->> 'gone')::numeric >= 0.5 OR v ->> 'value' ~ '^-' THEN 'cancelled' WHEN (v ->> 'done')::numeric >= 0.5 THEN 'sale'
		WHEN (v ->> 'value')::numeric >= s.apart THEN 'cancelled'
		WHEN (v ->> 'orders')::int > 0 AND (v ->> 'done')::numeric = 0 AND (v ->> 'value')::numeric > s.last_done THEN 'cancelled'
		WHEN s.several AND NOT drafted AND ((v ->> 'value')::numeric = 0 OR v ->> 'value' = preset) THEN 'draft'
		WHEN (v ->> 'orders')::int > 0 AND 0 IN ((v ->> 'dated')::int, (v ->> 'confirmed')::int) THEN 'draft' ELSE 'unknown' END
	FROM (SELECT max(n) FILTER (WHERE done >= 0.5) AS last_done, count(*) > 1 AS several,
			min(n) FILTER (WHERE n >= 8 AND later_orders < 0.3 * all_orders AND before >= 3 AND n - last > 2 * step) AS apart	-- 0 1 2 9, or 10 20 30 90: at the end of the counting, and after a gap
		FROM (SELECT n, done, last, max(n - last) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS step, count(*) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
				sum(orders) OVER (ORDER BY n DESC) AS later_orders, sum(orders) OVER () AS all_orders
			FROM (SELECT (s ->> 'value')::numeric AS n, (s ->> 'done')::numeric AS done, coalesce((s ->> 'orders')::numeric, 0) AS orders, lag((s ->> 'value')::numeric) OVER (ORDER BY (s ->> 'value')::numeric) AS last
				FROM jsonb_array_elements(seen) s WHERE s ->> 'value' ~ '^-?\d{1,18}$') AS x) AS y) AS s
$$;
COMMENT ON FUNCTION agentcrm.propose_number_reading(jsonb, jsonb, text, boolean) IS 'Internal: what a status says that is a number without a name';

-- Values of a column with orders, amount and dates; values the sample missed come from statistics, and from labels.
CREATE FUNCTION agentcrm.propose_values(m jsonb, c agentcrm.propose_column, labels jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen jsonb;
	company text[];
	told boolean;
	prepaid boolean;
BEGIN
	IF m ->> 'source' IS NULL THEN
		RETURN '[]';
	END IF;
	seen := coalesce(agentcrm.propose_ask(format('SELECT jsonb_agg(v ORDER BY orders DESC, value) FROM (SELECT %1$s::text AS value, %2$s AS orders, sum(%3$s)%10$s AS amount, min(%4$s) AS first, max(%4$s) AS last, count(%4$s) AS dated, count(%6$s) AS confirmed, round(avg((%8$s)::int), 3) AS done, round(avg((%9$s)::int), 3) AS gone, round(avg((%11$s)::int), 3) AS paid FROM %5$s WHERE %7$s GROUP BY 1 LIMIT 41) AS v',
		format('%s.%I', m ->> 'base', c.col), agentcrm.propose_order_count(m), m ->> 'amount', coalesce(m ->> 'at', 'NULL::date'), m ->> 'source', coalesce(m ->> 'confirmed', '1'), coalesce(m -> 'options' ->> 'is_sale', 'true'), coalesce(m ->> 'done', 'NULL::boolean'), coalesce(m ->> 'gone', 'NULL::boolean'), ' FILTER (WHERE ' || (m -> 'options' ->> 'line_ok') || ')', coalesce(m ->> 'paid', 'NULL::boolean'))), '[]');
	SELECT seen || coalesce(jsonb_agg(jsonb_build_object('value', u.value, 'orders', NULL)), '[]') INTO seen FROM (
		SELECT k AS value FROM jsonb_object_keys(labels) k	-- where all kinds of things have their statuses in one table, those of the same beginning
		WHERE c.family = 'enum' OR (SELECT count(*) FROM jsonb_object_keys(labels)) <= 12 OR split_part(k, '_', 1) IN (SELECT split_part(s ->> 'value', '_', 1) FROM jsonb_array_elements(seen) s WHERE s ->> 'value' ~ '^[A-Za-z]+_')
		UNION
		SELECT unnest(s.most_common_vals::text::text[]) FROM pg_stats s JOIN pg_class r ON r.relname = s.tablename JOIN pg_namespace n ON n.oid = r.relnamespace AND n.nspname = s.schemaname
		WHERE r.oid = c.rel AND s.attname = c.col AND s.n_distinct BETWEEN 1 AND 40) AS u
	WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(seen) s WHERE s ->> 'value' = u.value);
	SELECT array_agg(agentcrm.propose_plain(coalesce(labels ->> (v ->> 'value'), v ->> 'value'))) INTO company FROM jsonb_array_elements(seen) v;
	told := (SELECT bool_or((v ->> 'gone')::numeric < 0.2 AND (v ->> 'orders')::int > 0) FROM jsonb_array_elements(seen) v);
	prepaid := NOT c.words && '{type}' AND (SELECT (array_agg((v ->> 'paid')::numeric ORDER BY (v ->> 'orders')::int DESC NULLS LAST))[1] >= 0.95 FROM jsonb_array_elements(seen) v);
	RETURN (SELECT coalesce(jsonb_agg(v || jsonb_build_object('label', labels ->> (v ->> 'value'), 'reading', CASE
			WHEN v ->> 'value' IS NULL THEN 'unknown'
			WHEN told AND (v ->> 'gone')::numeric >= 0.95 AND NOT c.words && '{type}' THEN 'cancelled'	-- whatever it says: a closed order that was paid back whole
			WHEN labels IS NULL AND NOT c.words && '{type}' AND agentcrm.propose_letter(v ->> 'value', c.plain, company) IS NOT NULL AND coalesce((v ->> 'done')::numeric, 0) < 0.5 THEN agentcrm.propose_letter(v ->> 'value', c.plain, company)
			WHEN labels IS NULL AND c.plain ~ '^doc_?status$' AND v ->> 'value' ~ '^[012]$' THEN ('{draft,sale,cancelled}'::text[])[1 + (v ->> 'value')::int]
			WHEN labels IS NOT NULL AND v ->> 'value' = '0' AND NOT labels ? '0' THEN CASE WHEN c.words && '{type}' THEN 'unknown' ELSE 'draft' END	-- none yet
			WHEN prepaid AND (v ->> 'paid')::numeric = 0 AND (m ->> 'ordered')::boolean AND CASE WHEN labels IS NULL AND v ->> 'value' ~ '^-?\d{1,18}$' THEN agentcrm.propose_number_reading(v, seen, NULL, m ? 'drafted') = 'unknown'	-- where payment comes first, what waits for it
				ELSE agentcrm.propose_plain(coalesce(labels ->> (v ->> 'value'), v ->> 'value')) ~ '^.$|pending|wait|pend[ei]|attente|attesa|aguard|ozhid|oczek' AND agentcrm.propose_reading(coalesce(labels ->> (v ->> 'value'), v ->> 'value'), company) IN ('unknown', 'open') END THEN 'unpaid'
			WHEN labels IS NULL AND v ->> 'value' ~ '^-?\d{1,18}$' THEN agentcrm.propose_number_reading(v, seen, CASE WHEN NOT c.words && '{type}' THEN c.preset END, m ? 'drafted' OR c.words && '{type}')
			WHEN agentcrm.propose_reading(coalesce(labels ->> (v ->> 'value'), v ->> 'value'), company) IN ('unknown', 'open') AND 0 IN ((v ->> 'dated')::int, (v ->> 'confirmed')::int) AND (v ->> 'orders')::int > 0 THEN 'draft'
			WHEN agentcrm.propose_reading(coalesce(labels ->> (v ->> 'value'), v ->> 'value'), company) = 'unknown' AND (v ->> 'gone')::numeric >= 0.5 THEN 'cancelled'
			WHEN agentcrm.propose_reading(coalesce(labels ->> (v ->> 'value'), v ->> 'value'), company) = 'unknown' AND (v ->> 'done')::numeric >= 0.5 THEN 'sale'
			WHEN (m ->> 'ordered')::boolean IS NOT TRUE AND agentcrm.propose_reading(coalesce(labels ->> (v ->> 'value'), v ->> 'value'), company) = 'unpaid' THEN 'open'	-- an invoice is a sale before it is paid
			ELSE agentcrm.propose_reading(coalesce(labels ->> (v ->> 'value'), v ->> 'value'), company) END) ORDER BY i), '[]')
		FROM jsonb_array_elements(seen) WITH ORDINALITY AS x(v, i));
END $$;
COMMENT ON FUNCTION agentcrm.propose_values(jsonb, agentcrm.propose_column, jsonb) IS 'Internal: values of a status or type column, what they hold and how they read';

CREATE FUNCTION agentcrm.propose_in(expression text, c agentcrm.propose_column, given text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN cardinality(given) = 0 THEN 'false' WHEN cardinality(array_remove(given, NULL)) = 0 THEN expression || ' IS NULL' WHEN array_position(given, NULL) IS NOT NULL THEN format('(%s IS NULL OR %s)', expression, listed) ELSE listed END
	FROM (SELECT expression || CASE count(*) WHEN 1 THEN ' = ' || min(v) ELSE format(' IN (%s)', string_agg(v, ', ' ORDER BY i)) END AS listed
		FROM (SELECT CASE WHEN c.family = 'int' THEN u ELSE quote_literal(u) END AS v, i FROM unnest(given) WITH ORDINALITY AS a(u, i) WHERE u IS NOT NULL) AS q) AS one
$$;
COMMENT ON FUNCTION agentcrm.propose_in(text, agentcrm.propose_column, text[]) IS 'Internal: the condition that a column has one of some values';

CREATE FUNCTION agentcrm.propose_and(m jsonb, condition text, argument text DEFAULT 'is_sale') RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT m || jsonb_build_object('options', (m -> 'options') || jsonb_build_object(argument, coalesce((m -> 'options' ->> argument) || ' AND ', '') || condition))
$$;
COMMENT ON FUNCTION agentcrm.propose_and(jsonb, text, text) IS 'Internal: one more condition';

-- The status that says whether an order is a sale: among several, the one whose values read as such.
CREATE FUNCTION agentcrm.propose_status(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c agentcrm.propose_column;
	best agentcrm.propose_column;
	seen jsonb;
	best_seen jsonb;
	score numeric;
	best_score numeric := 0;
	labels jsonb;
	sale text[];
	everything text[];
	condition text;
	own text := CASE WHEN (m ->> 'ordered')::boolean THEN '^$' ELSE '^(invoice|bill|fa[ck]?t+u?r[a-z]*|rechnung[a-z]*)_?(status|state|statut|stato|estado)' END;	-- of invoices theirs is no other's
	base oid := (m ->> CASE m ->> 'base' WHEN 'o' THEN 'o' ELSE 'l' END)::oid;
BEGIN
	FOR c IN SELECT ((a.rel, a.attnum, a.col, a.plain, a.stem, a.family, a.type, CASE WHEN a.plain ~ own THEN array_remove(a.words, 'status_bad') ELSE a.words END, a.required, a.in_key, a.is_key, a.preset)::agentcrm.propose_column).* FROM unnest(columns) a
		WHERE a.rel = base AND a.words && '{status}' AND a.family IN ('text', 'enum', 'int', 'uuid') AND NOT a.words && '{total,qty,price,tax}' AND NOT a.is_key AND a.plain !~ 'date|(^|_)(at|by|on)$|name$|note|message'
			AND coalesce((m -> 'profiles' -> (m ->> 'base') -> a.col ->> 'distinct')::int, 1) <= 30
		ORDER BY a.words && '{status_bad}' AND a.plain !~ own, a.plain ~ '^(status|state|statut|estado|stato|status_id|state_id|fk_statut|doc_?status|order_status.*)$' DESC, a.attnum LIMIT 4
	LOOP
		labels := agentcrm.propose_labels(m, c, tables, columns, links);
		seen := agentcrm.propose_values(m, c, labels);
		CONTINUE WHEN jsonb_array_length(seen) = 0 OR jsonb_array_length(seen) > 40;
		SELECT 1 + avg(CASE WHEN v ->> 'reading' = 'unknown' THEN 0 ELSE 2 END) + CASE WHEN bool_or(v ->> 'reading' IN ('draft', 'quote', 'cancelled', 'purchase', 'unpaid')) THEN 1.5 ELSE 0 END + CASE WHEN count(*) >= 2 THEN 1 ELSE 0 END
			- CASE WHEN bool_and(v ->> 'value' IS NULL) THEN 4 ELSE 0 END INTO score FROM jsonb_array_elements(seen) v;
		score := score + CASE WHEN c.plain ~ '^(.*_)?(status|state|statut|estado|stato|status_id|state_id|fk_statut|docstatus|order_status|doc_status|order_state|zustand)$' AND NOT c.words && '{status_bad}' THEN 1.5 ELSE 0 END - CASE WHEN c.words && '{status_bad}' THEN 2.5 ELSE 0 END;
		IF score > best_score AND NOT (c.words && '{status_bad}' AND score < 2.5) THEN
			best := c;
			best_seen := seen;
			best_score := score;
		END IF;
	END LOOP;
	IF best.col IS NULL THEN
		SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = base AND a.words && '{status}' AND NOT a.words && '{status_bad}' AND a.family IN ('text', 'enum', 'int', 'uuid', 'bool') AND (m -> 'profiles' -> (m ->> 'base') ->> 'n')::bigint = 0 ORDER BY a.attnum LIMIT 1;
		IF c.col IS NOT NULL THEN
			m := agentcrm.propose_ask_question(m, 'which statuses are sales?', 'is_sale', true, format('%s.%I', m ->> 'base', c.col), 'there are no orders yet to tell by', 'true', ARRAY[format('%s.%I IN (...)', m ->> 'base', c.col)]);
		END IF;
		RETURN m;
	END IF;
	SELECT array_agg(v ->> 'value' ORDER BY i) FILTER (WHERE v ->> 'reading' IN ('sale', 'open') OR v ->> 'reading' = 'unknown' AND v ->> 'orders' IS NOT NULL), array_agg(v ->> 'reading') INTO sale, everything FROM jsonb_array_elements(best_seen) WITH ORDINALITY AS x(v, i);
	m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('status', best.rel, format('%s.%I', m ->> 'base', best.col), best_score, format('name; %s values: %s', jsonb_array_length(best_seen),
		(SELECT string_agg(format('%s (%s)', coalesce(v ->> 'label', v ->> 'value', 'NULL'), v ->> 'reading'), ', ' ORDER BY i) FROM jsonb_array_elements(best_seen) WITH ORDINALITY AS x(v, i))), best_seen -> 0 ->> 'value'));
	condition := agentcrm.propose_in(format('%s.%I', m ->> 'base', best.col), best, coalesce(sale, '{}'));
	IF everything && '{draft,quote,cancelled,purchase,return,unpaid}' OR everything && '{unknown,open}' AND cardinality(everything) > 1 THEN
		IF everything && '{draft,quote,cancelled,purchase,return,unpaid}' THEN
			m := agentcrm.propose_and(m, condition);
		ELSE
			condition := NULL;
		END IF;
		m := agentcrm.propose_ask_question(m, 'which statuses are sales?', 'is_sale', (SELECT bool_or(v ->> 'reading' <> 'sale' AND (v ->> 'orders')::int > 0) FROM jsonb_array_elements(best_seen) v),
			format('%s.%I', m ->> 'base', best.col), format('%s of %s values count', coalesce(cardinality(sale), 0), jsonb_array_length(best_seen)), condition, seen => best_seen);
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_status(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the status of a mapping';

/*
 * Two letters of a kind of document, in the language in which most of them are
 * known (three at least): AN AB LS RE GS are offer, order, delivery, invoice and
 * credit.  Where orders are among them, deliveries and invoices repeat them.
 */
CREATE FUNCTION agentcrm.propose_documents(seen jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH known AS (
		SELECT lang, code, reading FROM (VALUES
			('de', 'AN quote AG quote AB order AU order BE purchase LS later LI later RE later GS return GU return RK return ST cancelled'),
			('fr', 'DE quote DV quote PF quote BC order CC order CF purchase BL later FA later FC later AV return RT return'),
			('it', 'PR quote PF quote OC order OV order OF purchase DD later BO later FT later FA later FD later NC return RS return'),
			('es', 'PR quote OF quote PF quote PE order PD order PC purchase AL later FA later FC later FV later AB return NC return DV return'),
			('pt', 'OR quote PV order PE order PC purchase NE later GR later GT later NF later FT later FR later NC return DV return TR purchase'),
			('pl', 'OF quote ZA order ZO order ZK order ZD purchase WZ later PA later FV later FA later KO return KF return ZW return'),
			('en', 'QT quote QU quote SQ quote PF quote SO order OR order PO purchase DN later DO later IN later IV later SI later CN return CM return CR return RM return')) AS l (lang, codes),
			LATERAL (SELECT c[1] AS code, c[2] AS reading FROM regexp_matches(l.codes, '([A-Z]{2}) ([a-z]+)', 'g') c) AS x),
	best AS (
		SELECT k.lang FROM known k JOIN jsonb_array_elements(seen) v ON upper(btrim(v ->> 'value')) = k.code WHERE v ->> 'orders' IS NOT NULL
		GROUP BY k.lang HAVING count(*) >= 3 AND count(DISTINCT k.reading) >= 2 ORDER BY count(*) DESC, k.lang LIMIT 1),
	had AS (
		SELECT bool_or(k.reading = 'order') AS orders FROM known k JOIN best USING (lang) JOIN jsonb_array_elements(seen) v ON upper(btrim(v ->> 'value')) = k.code)
	SELECT coalesce((SELECT jsonb_agg(v || coalesce((SELECT jsonb_build_object('reading', CASE k.reading WHEN 'order' THEN 'sale' WHEN 'later' THEN CASE WHEN had.orders THEN 'repeats' ELSE 'sale' END ELSE k.reading END)
			FROM known k JOIN best USING (lang), had WHERE k.code = upper(btrim(v ->> 'value'))), '{}') ORDER BY i) FROM jsonb_array_elements(seen) WITH ORDINALITY AS x(v, i) WHERE EXISTS (SELECT FROM best)), seen)
$$;
COMMENT ON FUNCTION agentcrm.propose_documents(jsonb) IS 'Internal: what two letters say of a document, by the others beside them';

-- Purchases, quotes and returns that stand in the same table: told by a type, or by a flag.
CREATE FUNCTION agentcrm.propose_types(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c agentcrm.propose_column;
	seen jsonb;
	named text;
	counted text[];
	returned text[];
	sign numeric;
	sold numeric;
	condition text;
	base oid := (m ->> CASE m ->> 'base' WHEN 'o' THEN 'o' ELSE 'l' END)::oid;
BEGIN
	FOR c IN SELECT a.* FROM unnest(columns) a
		WHERE a.rel = base AND a.words && '{type}' AND a.family IN ('text', 'enum', 'int') AND NOT a.is_key AND a.plain !~ 'tax|pay|ship|deliver|discount|address|price|currency|date|product|item|client|customer|partner|addr'
			AND coalesce((m -> 'profiles' -> (m ->> 'base') -> a.col ->> 'distinct')::int, 1) BETWEEN 1 AND 30 ORDER BY a.attnum LIMIT 4
	LOOP
		named := format('%s.%I', m ->> 'base', c.col);
		seen := agentcrm.propose_values(m, c, agentcrm.propose_labels(m, c, tables, columns, links));
		IF jsonb_array_length(seen) > 12 OR m -> 'options' ? 'is_sale' THEN	-- what no order has need not be left out once more
			SELECT jsonb_agg(v) INTO seen FROM jsonb_array_elements(seen) v WHERE v ->> 'orders' IS NOT NULL;
		END IF;
		IF c.plain ~ 'so_?trx|is_?sale' THEN
			SELECT jsonb_agg(v || jsonb_build_object('reading', CASE WHEN lower(v ->> 'value') IN ('y', '1', 't', 'yes', 'true') THEN 'sale' ELSE 'purchase' END)) INTO seen FROM jsonb_array_elements(seen) v;
		ELSIF (SELECT bool_and(upper(v ->> 'value') IN ('S', 'P', 'R', 'Q', 'I', 'O', 'C', 'V', 'E', 'A')) AND bool_or(upper(v ->> 'value') IN ('S', 'V')) AND bool_or(upper(v ->> 'value') IN ('P', 'E', 'A', 'C')) FROM jsonb_array_elements(seen) v) THEN
			SELECT jsonb_agg(v || jsonb_build_object('reading', CASE upper(v ->> 'value') WHEN 'P' THEN 'purchase' WHEN 'E' THEN 'purchase' WHEN 'A' THEN 'purchase' WHEN 'C' THEN 'purchase' WHEN 'Q' THEN 'quote' WHEN 'R' THEN 'return' ELSE 'sale' END)) INTO seen FROM jsonb_array_elements(seen) v;
		END IF;
		IF (SELECT bool_and(v ->> 'reading' IN ('unknown', 'cancelled') AND v ->> 'label' IS NULL) FROM jsonb_array_elements(seen) v WHERE v ->> 'orders' IS NOT NULL) THEN
			seen := agentcrm.propose_documents(seen);
		END IF;
		-- a code none of whose documents was ever paid for, shipped or invoiced, where most of another's were, is a kind of offer
		SELECT jsonb_agg(v || CASE WHEN v ->> 'reading' = 'unknown' AND v ->> 'label' IS NULL AND (v ->> 'done')::numeric = 0 AND (v ->> 'orders')::int >= 10 AND most >= 0.5 THEN '{"reading": "quote"}'::jsonb ELSE '{}' END ORDER BY i) INTO seen
		FROM jsonb_array_elements(seen) WITH ORDINALITY AS x(v, i), (SELECT (array_agg((w ->> 'done')::numeric ORDER BY (w ->> 'orders')::int DESC NULLS LAST))[1] AS most FROM jsonb_array_elements(seen) w) AS y;
		-- codes of documents that nothing explains may be quotes and returns
		IF (SELECT count(*) FILTER (WHERE (v ->> 'orders')::int > 0) >= 2 AND bool_and(v ->> 'reading' = 'unknown' AND v ->> 'value' ~ '^[[:alnum:]]{1,3}$') FROM jsonb_array_elements(seen) v) AND c.plain ~ 'doc|beleg|vbtyp|trans|order|invoice|^(art|type|kind|tipo|typ)$|class|categor' THEN
			m := agentcrm.propose_ask_question(m, 'which documents are sales?', 'is_sale', true, named, 'codes that nothing explains: all count', coalesce(m -> 'options' ->> 'is_sale', 'true'),
				ARRAY(SELECT agentcrm.propose_in(named, c, ARRAY[v ->> 'value']) FROM jsonb_array_elements(seen) v WHERE (v ->> 'orders')::int > 0 LIMIT 4), seen);
			CONTINUE;
		END IF;
		-- a label alone that no order has is no reason to ask
		CONTINUE WHEN (SELECT bool_or(v ->> 'reading' IN ('purchase', 'quote', 'return', 'repeats') OR v ->> 'reading' IN ('draft', 'cancelled') AND (v ->> 'orders')::int > 0) FROM jsonb_array_elements(seen) v) IS NOT TRUE;
		SELECT array_agg(v ->> 'value' ORDER BY i) FILTER (WHERE v ->> 'reading' IN ('sale', 'open', 'unknown', 'return') AND coalesce(v ->> 'value', '') !~* 'payment|transfer|adjust|inventory|write.?off|opening'),
			array_agg(v ->> 'value' ORDER BY i) FILTER (WHERE v ->> 'reading' = 'return'), sum((v ->> 'amount')::numeric) FILTER (WHERE v ->> 'reading' = 'return'), sum((v ->> 'amount')::numeric) FILTER (WHERE v ->> 'reading' = 'sale') INTO counted, returned, sign, sold FROM jsonb_array_elements(seen) WITH ORDINALITY AS x(v, i);
		CONTINUE WHEN counted IS NULL;	-- then it says something else
		condition := agentcrm.propose_in(named, c, counted);
		IF cardinality(counted) IS DISTINCT FROM jsonb_array_length(seen) THEN
			m := agentcrm.propose_and(m, condition);
		END IF;
		m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('type', c.rel, named, 2, 'name; values: ' || (SELECT string_agg(format('%s (%s)', coalesce(v ->> 'value', 'NULL'), v ->> 'reading'), ', ' ORDER BY i) FROM jsonb_array_elements(seen) WITH ORDINALITY AS x(v, i))));
		m := agentcrm.propose_ask_question(m, 'which documents are sales?', 'is_sale', c.plain !~ 'so_?trx|is_?sale', named, CASE WHEN (SELECT bool_or(v ->> 'reading' = 'repeats') FROM jsonb_array_elements(seen) v) THEN 'orders, and the deliveries and invoices that repeat them, stand in one table' ELSE 'purchases, quotes or returns stand in the same table' END, condition, seen => seen);
		IF sold < 0 AND NOT m -> 'options' ? 'kind' THEN	-- what is sold stands on the other side of the books
			m := agentcrm.propose_add(m || jsonb_build_object('amount', format('-(%s)', m ->> 'amount'), 'quantity', format('-(%s)', m ->> 'quantity')),
				jsonb_build_object('amount', format('-(%s)', m ->> 'amount'), 'quantity', format('-(%s)', m ->> 'quantity')), agentcrm.propose_role('amount', c.rel, format('-(%s)', m ->> 'amount'), (m ->> 'amount_score')::numeric + 0.5, 'sales are negative'));
			sign := -sign;
		END IF;
		IF returned IS NOT NULL AND NOT m -> 'options' ? 'kind' THEN
			condition := agentcrm.propose_in(named, c, returned);
			m := agentcrm.propose_add(m, jsonb_build_object('kind', format('CASE WHEN %s THEN ''return'' ELSE ''sale'' END', condition)), agentcrm.propose_role('kind', c.rel, format('CASE WHEN %s THEN ''return'' ELSE ''sale'' END', condition), 2, 'values that read as returns'));
			IF sign > 0 THEN
				m := agentcrm.propose_add(m || jsonb_build_object('amount', format('CASE WHEN %s THEN -(%s) ELSE %2$s END', condition, m ->> 'amount')), jsonb_build_object(
					'amount', format('CASE WHEN %s THEN -(%s) ELSE %2$s END', condition, m ->> 'amount'), 'quantity', format('CASE WHEN %s THEN -(%s) ELSE %2$s END', condition, m ->> 'quantity')));
			END IF;
		END IF;
	END LOOP;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_types(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: document types of a mapping';

-- Flags and marks: deleted, cancelled, draft, template, posted; of the order and of the line.
CREATE FUNCTION agentcrm.propose_flags(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	named text;
	condition text;
	yes text;
	role text;
	fraction numeric;
BEGIN
	FOR f IN SELECT c.*, x.alias, m -> 'profiles' -> x.alias -> c.col AS profile, (m -> 'profiles' -> x.alias ->> 'n')::numeric AS n
		FROM unnest(columns) c, LATERAL (SELECT CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END AS alias) AS x
		WHERE c.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND c.family IN ('bool', 'time', 'int', 'text', 'uuid') AND (NOT c.words && '{total,qty,price,tax,discount}' OR c.plain ~ '^(is_?)?tax_?line$') AND NOT c.is_key
			AND (c.family = 'text' AND (m -> 'profiles' -> x.alias -> c.col ->> 'long')::int = 1 AND (m -> 'profiles' -> x.alias -> c.col ->> 'distinct')::int <= 2 AND m -> 'profiles' -> x.alias -> c.col ->> 'sample' ~* '^([ynft01]|\s*)$' OR c.family = 'int' AND (m -> 'profiles' -> x.alias -> c.col ->> 'max')::numeric <= 1 AND (m -> 'profiles' -> x.alias -> c.col ->> 'min')::numeric >= 0 OR c.family IN ('bool', 'time') OR c.plain ~ '(supersed|replac|succe)ed_by|^(next|newer)_(version|revision)')
	LOOP
		named := format('%s.%I', f.alias, f.col);
		role := CASE WHEN f.alias = m ->> 'base' THEN 'is_sale' ELSE 'line_ok' END;
		condition := NULL;
		yes := CASE WHEN f.family = 'text' AND f.profile ->> 'sample' ~ '^\s*$' THEN format('btrim(%s) <> ''''', named) WHEN f.family = 'text' THEN format('%s = %L', named, translate(f.profile ->> 'sample', 'NnFf0', 'YyTt1')) WHEN f.family = 'bool' THEN named ELSE format('%s = 1', named) END;
		IF f.plain ~ '(^|_)(is_)?(deleted?|del_fla?g|removed|cancell?ed|void(ed)?|storniert|storno|annule|anulado|annullato|cancelado|geloescht|geloscht|borrado|eliminado|supprime|otmenen|udalen|deletado|sakujo|torikeshi|marked|loevm|loekz|usuniet[ya]|anulowan[ya])(_?(at|on|date|flag|flg|kbn|ind|yn|time))?$|^date_(cancel|annul|delet|supp)' AND f.plain !~ 'return' THEN
			condition := CASE f.family WHEN 'time' THEN named || ' IS NULL' WHEN 'int' THEN format('coalesce(%s, 0) = 0', named) WHEN 'text' THEN format('(%s) IS NOT TRUE', yes) ELSE yes || ' IS NOT TRUE' END;
		ELSIF f.family <> 'time' AND f.plain ~ '(^|_)(is_)?(draft|quote|quotation|template|cart|purchase|incomplete|abandoned|test(ing)?(_?(mode|order|sale|data|transaction))?|sandbox(_?mode)?|demo(_?order)?|dummy|training(_?mode)?|entwurf|angebot|devis|brouillon|borrador|recurring_template|is_return_request)(_flag)?$' THEN
			condition := CASE f.family WHEN 'int' THEN format('coalesce(%s, 0) = 0', named) WHEN 'text' THEN format('(%s) IS NOT TRUE', yes) ELSE yes || ' IS NOT TRUE' END;
		ELSIF f.family <> 'time' AND f.alias = m ->> 'base' AND f.plain ~ '^(is_)?(live_?mode|posted|confirmed|validated|submitted|completed|finali[sz]ed|placed|booked|so_?trx|sales?|sold|confirme|valide|confirmado|bestatigt|gebucht|proveden|is_sales_order)(_flag|_transaction)?$' THEN
			condition := yes;
			fraction := (agentcrm.propose_ask(format('SELECT to_jsonb(avg(CASE WHEN %s THEN 1.0 ELSE 0 END)) FROM %s', condition, m ->> 'source')) #>> '{}')::numeric;
			IF fraction IS NULL OR fraction < 0.3 THEN
				condition := NULL;
			ELSIF fraction < 1 THEN
				m := agentcrm.propose_ask_question(m, 'which orders are sales?', 'is_sale', true, named, format('%s %% of sampled lines meet it', round(100 * fraction, 1)), condition);
			END IF;
		ELSIF f.plain ~ '^(is_)?(superseded|replaced|succeeded)(_by)?(_?(id|no|at|on|date|order|order_id|version|version_id|key))?$|^(next|newer)_(version|revision)(_id)?$' THEN
			condition := CASE WHEN f.family = 'bool' THEN yes || ' IS NOT TRUE' WHEN f.family = 'text' AND f.profile ->> 'sample' = '' THEN format('coalesce(%s, '''') = ''''', named) ELSE named || ' IS NULL' END;
		ELSIF f.family NOT IN ('time', 'uuid') AND f.plain ~ '^(is_?)?(current|latest|newest|active_?version|last_?version|aktuell)(_?(version|revision|flag|ind))?$' THEN
			condition := yes;
		ELSIF f.family <> 'time' AND f.alias = 'l' AND f.plain ~ '^(is_?)?(comment|text|note|section|header|title|subtotal|display_only|description)(_line|_only)?$' OR f.family IN ('bool', 'text') AND f.alias = 'l' AND f.plain ~ '^(is_?)?(main_?line|tax_?line|cogs(_?line)?)$' THEN
			condition := CASE f.family WHEN 'int' THEN format('coalesce(%s, 0) = 0', named) WHEN 'text' THEN format('(%s) IS NOT TRUE', yes) ELSE yes || ' IS NOT TRUE' END;
		ELSIF f.family IN ('bool', 'int') AND f.alias = 'l' AND f.plain ~ '^(is_?)?(optional|alternativ[ae]?|alternate)(_?(item|line|pos|position))?$' THEN	-- offered beside what was ordered
			condition := CASE f.family WHEN 'int' THEN format('coalesce(%s, 0) = 0', named) ELSE yes || ' IS NOT TRUE' END;
		ELSIF f.family <> 'time' AND f.alias = 'l' AND f.plain ~ '(assembly|component|kit|bundle|set)_?(item|line|part|member|component)$'	-- parts of what is sold, without a price
			AND agentcrm.propose_ask(format('SELECT to_jsonb(bool_and(%s = 0)) FROM %s WHERE %s', m ->> 'amount', m ->> 'source', yes)) = 'true' THEN
			condition := yes || ' IS NOT TRUE';
		END IF;
		IF condition IS NULL AND role = 'is_sale' AND f.family IN ('bool', 'int') AND f.plain ~ '^(is_)?(recurring|repeating|periodic)$' AND EXISTS (SELECT FROM unnest(columns) c WHERE c.rel = f.rel AND c.plain ~ '(recurring|repeat|template|periodic)[a-z_]*_id$') THEN
			condition := yes || ' IS NOT TRUE';	-- what others are made from by the calendar
		END IF;
		IF condition IS NOT NULL THEN
			m := agentcrm.propose_add(agentcrm.propose_and(m || CASE WHEN role = 'is_sale' AND f.plain ~ 'draft|entwurf|brouillon|borrador' THEN '{"drafted": true}'::jsonb ELSE '{}' END, condition, role), '{}', agentcrm.propose_role(role, f.rel, condition, 2, 'name and type ' || f.type));
		END IF;
	END LOOP;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_flags(jsonb, agentcrm.propose_column[]) IS 'Internal: flags of a mapping';

-- Lines kept in all their versions, the version in their key: the latest of each counts.
CREATE FUNCTION agentcrm.propose_version(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v record;
	condition text;
BEGIN
	SELECT c.col, t.named, array_remove(t.key, c.col) AS line INTO v FROM unnest(columns) c JOIN unnest(tables) t ON t.rel = c.rel
	WHERE t.rel = (m ->> 'l')::oid AND c.col = ANY (t.key) AND c.family IN ('int', 'num', 'time') AND c.plain ~ '^((line|row|item|pos)_)?(version|versie|versao|revision|rev|ver)(_?(no|nr|num|number|id|at))?$'
	AND array_remove(t.key, c.col) @> coalesce(agentcrm.part_array(m, 'lkey'), agentcrm.part_array(m, 'okey')) AND cardinality(t.key) > 1 + cardinality(agentcrm.part_array(m, 'okey'));
	IF v.col IS NULL THEN
		RETURN m;
	END IF;
	condition := format('l.%1$I = (SELECT max(v.%1$I) FROM %2$s AS v WHERE %3$s)', v.col, v.named, agentcrm.sql_match('v', v.line, 'l', v.line));
	RETURN agentcrm.propose_add(agentcrm.propose_and(m, condition, 'line_ok'), '{}', agentcrm.propose_role('line_ok', (m ->> 'l')::oid, condition, 2.5, format('%I is part of the key: the latest version of a line counts', v.col)));
END $$;
COMMENT ON FUNCTION agentcrm.propose_version(jsonb, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: which version of a line counts';

-- Orders kept in all their versions, each a row: the latest counts.  A new one has those before it read again.
CREATE FUNCTION agentcrm.propose_header_version(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o oid := (m ->> 'o')::oid;
	named text := agentcrm.relation_name(o);
	version agentcrm.propose_column;
	same text[];
	seen jsonb;
	condition text;
BEGIN
	SELECT c.* INTO version FROM unnest(columns) c WHERE c.rel = o AND c.family IN ('int', 'num') AND c.plain ~ '^((order|sales_?order|doc|document)_)?(version|revision|rev|ver|versie|versao|amendment)(_?(no|nr|num|number|id))?$' ORDER BY c.in_key DESC, c.attnum LIMIT 1;
	IF version.col IS NULL OR m -> 'options' ->> 'is_sale' ~* 'current|latest|supersed|replaced' THEN
		RETURN m;
	END IF;
	SELECT array_remove(u.cols, version.col) INTO same FROM pg_index i, LATERAL (SELECT array_agg(a.attname::text ORDER BY k) AS cols FROM generate_series(0, i.indnkeyatts - 1) k JOIN pg_attribute a ON a.attrelid = o AND a.attnum = i.indkey[k]) AS u
	WHERE i.indrelid = o AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND cardinality(u.cols) > 1 AND version.col = ANY (u.cols) ORDER BY i.indisprimary, i.indnkeyatts LIMIT 1;
	IF same IS NULL THEN
		SELECT ARRAY[c.col] INTO same FROM unnest(columns) c, LATERAL (SELECT m -> 'profiles' -> 'o' AS p) AS v WHERE c.rel = o AND c.words && '{order}' AND c.family IN ('int', 'text') AND NOT c.is_key AND c.plain ~ '(number|no|nr|num|ref|code|nummer|numero|id)$' AND NOT c.words && '{client,product,status,type}'
			AND (p -> c.col ->> 'distinct')::bigint < (p ->> 'n')::bigint AND (p -> c.col ->> 'filled')::bigint = (p ->> 'n')::bigint ORDER BY (p -> c.col ->> 'distinct')::bigint DESC, c.attnum LIMIT 1;
	END IF;
	seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''repeated'', count(*) > count(DISTINCT (%1$s)), ''told'', count(*) = count(DISTINCT (%1$s, %2$s))) FROM %3$s', agentcrm.sql_columns('o', same), agentcrm.sql_columns('o', ARRAY[version.col]), named || ' AS o'))
		WHERE same IS NOT NULL AND (SELECT relpages < 2000 FROM pg_class WHERE oid = o);
	IF seen ->> 'repeated' IS DISTINCT FROM 'true' OR seen ->> 'told' IS DISTINCT FROM 'true' THEN
		RETURN m;
	END IF;
	condition := format('o.%1$I = (SELECT max(v.%1$I) FROM %2$s AS v WHERE %3$s)', version.col, named, agentcrm.sql_match('v', same, 'o', same));
	RETURN agentcrm.propose_add(agentcrm.propose_and(m, condition), jsonb_build_object('watch', coalesce(m -> 'options' -> 'watch', '{}') || jsonb_build_object(named, jsonb_build_object('key', same,
		'orders', format('SELECT %s %s', agentcrm.sql_columns('o', agentcrm.part_array(m, 'okey')), agentcrm.sql_by_key(named || ' AS o', 'o', same, ''))))),
		agentcrm.propose_role('is_sale', o, condition, 2.5, format('%I counts the versions of an order, each a row: the latest counts', version.col)));
END $$;
COMMENT ON FUNCTION agentcrm.propose_header_version(jsonb, agentcrm.propose_column[]) IS 'Internal: which version of an order counts';

/*
 * Lines within lines: the parts of a set, the variant below what was put into the
 * cart.  Where the outer line has their money, or they have none, they would
 * count twice.
 */
CREATE FUNCTION agentcrm.propose_lines_within(m jsonb, columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text[] := agentcrm.propose_key((m ->> 'l')::oid);
	outer_line text;
	seen jsonb;
	condition text;
BEGIN
	SELECT c.col INTO outer_line FROM unnest(columns) c JOIN unnest(columns) k ON k.rel = c.rel AND k.col = key[1] AND k.family = c.family
	WHERE cardinality(key) = 1 AND c.rel = (m ->> 'l')::oid AND c.col <> key[1] AND c.plain ~ '(^|_)(parent|outer|bundle|master|kit|set)(_?(line|item|row|pos|position|detail))?(_?id)?$' AND c.col <> ALL (coalesce(agentcrm.part_array(m, 'lkey'), '{}'))
		AND (m -> 'profiles' -> 'l' -> c.col ->> 'filled')::bigint > 0 ORDER BY c.plain ~ 'parent' DESC, c.attnum LIMIT 1;
	IF outer_line IS NULL THEN
		RETURN m;
	END IF;
	seen := agentcrm.propose_ask(format('WITH s AS (SELECT l.%I AS k, l.%I AS p, %s AS a FROM %s WHERE %s LIMIT 20000) SELECT jsonb_build_object(''n'', count(*), ''doubled'', count(*) FILTER (WHERE i.a = 0 OR abs(i.a - s.a) <= 0.011)) FROM (SELECT p, sum(a) AS a FROM s WHERE p IS NOT NULL GROUP BY p) AS i JOIN s ON s.k = i.p',
		key[1], outer_line, m ->> 'amount', m ->> 'source', coalesce(m -> 'options' ->> 'is_sale', 'true')));
	IF (seen ->> 'n')::bigint > 0 AND (seen ->> 'doubled')::bigint >= 0.9 * (seen ->> 'n')::bigint THEN
		condition := format('l.%I IS NULL', outer_line);
		m := agentcrm.propose_add(agentcrm.propose_and(m, condition, 'line_ok'), '{}', agentcrm.propose_role('line_ok', (m ->> 'l')::oid, condition, 2, format('lines within lines: in %s of %s the outer line has the amount', seen ->> 'doubled', seen ->> 'n')));
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_lines_within(jsonb, agentcrm.propose_column[]) IS 'Internal: lines that are part of others';

-- Lines of older versions, within others, or cancelled by themselves.
CREATE FUNCTION agentcrm.propose_lines_left(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c agentcrm.propose_column;
	seen jsonb;
	out_values text[];
	condition text;
	sales text := coalesce(m -> 'options' ->> 'is_sale', 'true');
	versions record;
BEGIN
	m := agentcrm.propose_lines_within(m, columns);
	IF m ->> 'o' IS NULL THEN
		RETURN m;
	END IF;
	-- lines that are kept with each version of their order: those of the present one count
	SELECT x.col AS line, y.col AS head INTO versions FROM unnest(columns) x JOIN unnest(columns) y ON y.rel = (m ->> 'o')::oid AND y.plain = x.plain AND y.family = 'int'
	WHERE x.rel = (m ->> 'l')::oid AND x.family = 'int' AND x.plain ~ '^(order_?)?(version|revision|rev|ver)(_?(no|nr|num|number))?$' AND x.col <> ALL (agentcrm.part_array(m, 'lkey')) LIMIT 1;
	IF versions.line IS NOT NULL AND agentcrm.propose_ask(format('SELECT to_jsonb(bool_and(newest = present) AND bool_or(oldest < present)) FROM (SELECT max(l.%I) AS newest, min(l.%1$I) AS oldest, max(o.%I) AS present FROM %s GROUP BY %s) AS s',
			versions.line, versions.head, m ->> 'source', agentcrm.sql_columns('o', agentcrm.part_array(m, 'okey')))) = 'true' THEN
		condition := format('l.%I = o.%I', versions.line, versions.head);
		m := agentcrm.propose_add(agentcrm.propose_and(m, condition, 'line_ok'), '{}', agentcrm.propose_role('line_ok', (m ->> 'l')::oid, condition, 2, 'each order has lines of its own version, and some of older ones'));
	END IF;
	FOR c IN SELECT a.* FROM unnest(columns) a WHERE a.rel = (m ->> 'l')::oid AND a.words && '{status}' AND NOT a.words && '{status_bad,total,qty,price,tax}' AND a.family IN ('text', 'enum') AND (m -> 'profiles' -> 'l' -> a.col ->> 'distinct')::int BETWEEN 1 AND 20 ORDER BY a.attnum LIMIT 2 LOOP
		seen := agentcrm.propose_ask(format('SELECT jsonb_agg(v) FROM (SELECT l.%I::text AS value, count(*) AS lines FROM %s WHERE %s GROUP BY 1) AS v', c.col, m ->> 'source', sales));
		SELECT array_agg(v ->> 'value') INTO out_values FROM jsonb_array_elements(seen) v WHERE v ->> 'value' IS NOT NULL AND agentcrm.propose_reading(v ->> 'value') IN ('cancelled', 'draft', 'quote');
		IF out_values IS NOT NULL THEN
			condition := format('(%s) IS NOT TRUE', agentcrm.propose_in(format('l.%I', c.col), c, out_values));
			m := agentcrm.propose_add(agentcrm.propose_and(m, condition, 'line_ok'), '{}', agentcrm.propose_role('line_ok', c.rel, condition, 2, 'lines cancelled within orders that count'));
		END IF;
	END LOOP;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_lines_left(jsonb, agentcrm.propose_table[], agentcrm.propose_column[]) IS 'Internal: which lines count, of those that name a product';

-- Lines that are no sale of a product: without one (sections, freight), or cancelled by themselves.
CREATE FUNCTION agentcrm.propose_line_ok(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bare jsonb;
	c agentcrm.propose_column;
	condition text;
	described boolean;
	answers text[];
	sales text := coalesce(m -> 'options' ->> 'is_sale', 'true');
BEGIN
	IF m ->> 'l' IS NULL OR m ->> 'source' IS NULL THEN
		RETURN m;
	END IF;
	IF m ->> 'product_column' ~ '^(nullif\()?l\.' THEN
		bare := agentcrm.propose_ask(format('SELECT jsonb_build_object(''n'', count(*), ''bare'', count(*) FILTER (WHERE none), ''amount'', sum(amount) FILTER (WHERE none), ''total'', sum(abs(amount)), ''orders'', count(DISTINCT o)) FROM (SELECT %s IS NULL AS none, %s AS amount, %s AS o FROM %s WHERE %s) AS s', m ->> 'product_column', m ->> 'amount', agentcrm.sql_key(m ->> 'base', agentcrm.part_array(m, 'okey')), m ->> 'source', sales));
		IF (bare ->> 'bare')::bigint > 0 AND (bare ->> 'bare')::bigint < (bare ->> 'n')::bigint THEN
			condition := (m ->> 'product_column') || ' IS NOT NULL';
			-- a deleted product is still called by its number
			SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = (m ->> 'l')::oid AND a.family = 'text' AND (a.words && '{product}' AND a.plain !~ 'type|categ|group|class|unit|desc' OR a.plain ~ '^(upc|model|reference|article|name|title)$') AND strpos(m ->> 'product_column', format('l.%I', a.col)) = 0 AND (m -> 'profiles' -> 'l' -> a.col ->> 'filled')::bigint > 0
			ORDER BY a.plain ~ 'sku|ean|upc|(^|_)(no|nr|num|number|code|ref)(_|$)' DESC, a.attnum LIMIT 1;
			IF c.col IS NOT NULL AND agentcrm.propose_ask(format('SELECT to_jsonb(avg(CASE WHEN l.%1$I <> '''' AND EXISTS (SELECT FROM %2$s WHERE k.%1$I = l.%1$I AND %3$s IS NOT NULL LIMIT 1) THEN 1 ELSE 0 END) >= 0.8) FROM (SELECT l.* FROM %4$s WHERE %5$s IS NULL LIMIT 200) AS l',
					c.col, agentcrm.propose_from(tables, c.rel, 'k', 300), replace(m ->> 'product_column', 'l.', 'k.'), m ->> 'source', m ->> 'product_column')) = 'true' THEN
				RETURN agentcrm.propose_lines_left(agentcrm.propose_ask_question(m, 'do lines without a product count?', 'line_ok', false, m ->> 'product_column',
					format('%s of %s sampled lines name none, but %I names products of other lines: deleted ones', bare ->> 'bare', bare ->> 'n', c.col)), tables, columns);
			END IF;
			-- goods that are in no catalogue, only described: now and then, and unless that is freight, a fee, a deposit or a discount
			SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = (m ->> 'l')::oid AND a.family = 'text' AND a.plain ~ '(^|_)(name|desc|descr|description|descrizione|descripcion|descricao|designation|label|libelle|text|title|bezeichnung|opis|naimenovanie|nazwa|summary)(_|$)' AND a.plain !~ 'tax|unit|uom|type|currency' AND (m -> 'profiles' -> 'l' -> a.col ->> 'filled')::bigint > 0
			ORDER BY (m -> 'profiles' -> 'l' -> a.col ->> 'filled')::bigint DESC, a.attnum LIMIT 1;
			described := c.col IS NOT NULL AND abs(coalesce((bare ->> 'amount')::numeric, 0)) > 0 AND agentcrm.propose_ask(format('SELECT to_jsonb(count(*) > 0 AND avg((agentcrm.propose_plain(t) ~ %L)::int) < 0.1 AND count(DISTINCT o) < 0.5 * %s) FROM (SELECT l.%I::text AS t, %s AS o FROM %s WHERE %s IS NULL AND %s <> 0 AND %s) AS s',
				'freight|shipp|deliver|postage|carriage|handling|transport|fracht|versand|porto|(^|_)ports?(_|$)|livraison|expedition|frais|fee|charge|surcharge|zuschlag|gebuhr|deposit|pfand|leergut|caution|empties|discount|rabatt|remise|descuento|sconto|skonto|voucher|gift|coupon|envio|gastos|spese|spedizion|trasporto|frete|despesa|dostavk|dostawa|doprav|fragt|frakt|verzend|round|rundung|arrond|tip|insur|packag|verpack|emball|tax|vat|promo|credit|total|summe|itogo|consigne|palett?e',
				bare ->> 'orders', c.col, agentcrm.sql_key(m ->> 'base', agentcrm.part_array(m, 'okey')), m ->> 'source', m ->> 'product_column', m ->> 'amount', sales)) = 'true';
			answers := ARRAY[condition, 'true'];
			IF described THEN
				condition := format('(%s OR %s <> 0)', condition, m ->> 'amount');
			ELSE
				answers := ARRAY['true'];
			END IF;
			m := agentcrm.propose_and(m, condition, 'line_ok');
			m := agentcrm.propose_ask_question(m, 'do lines without a product count?', 'line_ok', abs(coalesce((bare ->> 'amount')::numeric, 0)) > 0.01 * coalesce((bare ->> 'total')::numeric, 0), m ->> 'product_column',
				format('%s of %s sampled lines name none, amount %s: ', bare ->> 'bare', bare ->> 'n', round((bare ->> 'amount')::numeric, 2)) || CASE WHEN described THEN format('described by %I, and not as freight or charges', c.col) ELSE 'texts, freight or charges' END, condition, answers);
		END IF;
	END IF;
	RETURN agentcrm.propose_lines_left(m, tables, columns);
END $$;
COMMENT ON FUNCTION agentcrm.propose_line_ok(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: which lines count';
