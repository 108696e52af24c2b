-- source/: from a candidate to a mapping, part by part: how orders reach clients and products, when they were made, what they are worth

CREATE FUNCTION agentcrm.propose_role(role text, relation oid, expression text, score numeric, evidence text, sample text DEFAULT NULL, rank int DEFAULT 1) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_array(jsonb_build_object('role', role, 'relation', agentcrm.relation_name(relation), 'expression', expression, 'score', round(score, 2), 'evidence', evidence, 'sample', sample, 'rank', rank))
$$;
COMMENT ON FUNCTION agentcrm.propose_role(text, oid, text, numeric, text, text, int) IS 'Internal: a row of propose';

CREATE FUNCTION agentcrm.propose_add(m jsonb, options jsonb, roles jsonb DEFAULT '[]') RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT m || jsonb_build_object('options', (m -> 'options') || jsonb_strip_nulls(options), 'roles', (m -> 'roles') || coalesce(roles, '[]'))
$$;
COMMENT ON FUNCTION agentcrm.propose_add(jsonb, jsonb, jsonb) IS 'Internal: adds arguments and rows to a mapping';

/*
 * References that could name the client, the product or the rep of an order,
 * best first; those supposed by name only stand when data bears them out.
 * near is the table whose reference counts first: the header for clients, the
 * line for products.
 */
CREATE FUNCTION agentcrm.propose_ways(m jsonb, role text, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[])
RETURNS TABLE (alias text, rel oid, cols text[], target oid, target_cols text[], how text, score numeric, evidence text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o oid := (m ->> 'o')::oid;
	l oid := (m ->> 'l')::oid;
	asked oid := (m -> 'wanted' ->> (role || 's'))::oid;
	w record;
	seen record;
	found boolean := false;
BEGIN
	FOR w IN
		SELECT CASE WHEN k.rel = o THEN 'o' ELSE 'l' END AS at, k AS link, k.how AS means, t.named AS leads_to, c.col,
			CASE WHEN k.target = asked THEN 20 ELSE 0 END + CASE k.how WHEN 'foreign key' THEN 1 ELSE 2 * (k.score - 0.5) END
			+ CASE role
				WHEN 'client' THEN CASE WHEN t.words && '{client}' THEN 3 WHEN t.words && '{client2}' THEN 1.5 WHEN t.words && '{user}' THEN 1 ELSE -3 END
					+ CASE WHEN c.words && '{client}' THEN 2 ELSE 0 END + CASE WHEN c.required THEN 0.3 ELSE 0 END + CASE WHEN k.rel = o OR o IS NULL THEN 1 ELSE 0 END
					- CASE WHEN c.plain ~ 'invoic|bill|ship|deliver|payer|payee|facturation|livraison|liefer|rechnung|end_user|consignee|agent|broker|carrier|forward|parent' AND c.plain !~ 'bill_to|billing_(account|customer|client|partner|company)' THEN 2.5 WHEN c.plain ~ 'bill_to|billing_' THEN 0.5 ELSE 0 END
					- CASE WHEN c.plain ~ 'creat|author|updat|modif|assign|sales|(^|_)rep(_|$)|employ|manager|approv|owner|operator|write_uid|responsib' AND NOT c.plain ~ 'sales?_(customer|client|partner)' THEN 4 ELSE 0 END
					- CASE WHEN c.plain ~ '^(company|store|shop|org|organi[sz]ation|tenant|entity|site|branch|warehouse|team|channel)(_?id|_key|_no)?$' AND NOT t.words && '{client}' AND NOT (c.plain ~ '^(company|account|branch|org)' AND p.different > 8) THEN 2 ELSE 0 END
					- CASE WHEN t.words && '{other}' THEN 3 ELSE 0 END - CASE WHEN t.words && '{rep}' THEN 3 ELSE 0 END - CASE WHEN t.words && '{order,invoice,line}' THEN 3 ELSE 0 END - CASE WHEN t.plain ~ 'location|address|(^|_)site' OR t.plain ~ 'contact' AND v.on_the_way THEN 1.5 ELSE 0 END - CASE WHEN c.plain ~ 'contact' AND v.on_the_way THEN 4 ELSE 0 END - CASE WHEN k.how = 'name' AND k.target_cols <> coalesce(t.key, k.target_cols) THEN 0.6 ELSE 0 END - CASE WHEN t.plain ~ '^ad_client$|tenant|mandant' THEN 3 ELSE 0 END
					- CASE WHEN p.n >= 10 AND p.different <= 1 THEN 3 WHEN p.n >= 10 AND p.filled = 0 THEN 3 ELSE 0 END
					- CASE WHEN b.is_branch THEN 4 ELSE 0 END
				WHEN 'product' THEN CASE WHEN t.words && '{product}' THEN 3 WHEN t.words && '{client,client2,user,rep,vendor,order,invoice}' THEN -3 ELSE -0.5 END + CASE WHEN c.words && '{product}' THEN 1.5 ELSE 0 END - CASE WHEN k.how = 'name' AND k.target_cols <> coalesce(t.key, k.target_cols) THEN 0.6 ELSE 0 END + CASE WHEN k.rel = l OR l IS NULL THEN 1 ELSE -2 END
					- CASE WHEN t.words && '{other,order,invoice}' AND NOT t.plain ~ 'variant|template' THEN 3 ELSE 0 END - CASE WHEN t.plain ~ 'categor|group|uom|pack|bundle|kit|price' THEN 2 ELSE 0 END
				ELSE CASE WHEN t.words && '{rep}' THEN 3 WHEN t.words && '{user}' THEN 2 WHEN t.plain ~ 'person|people|contact|part(y|ner)$' AND c.words && '{rep}' THEN 1 WHEN t.words = '{}' AND c.words && '{rep}' THEN 0.5 ELSE -3 END + CASE WHEN c.words && '{rep}' THEN 2 ELSE -1 END + CASE WHEN k.rel = o THEN 1 ELSE 0 END
					+ CASE WHEN c.plain ~ 'sales|rep|seller|verkauf|vertret|vend|commerc|agent' THEN 1 ELSE 0 END - CASE WHEN c.plain ~ 'creat|author|updat|modif|write|approv|cancel|valid|pack|pick|driver|cashier|cloture' THEN 2.5 ELSE 0 END
			END AS points
		FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.target JOIN unnest(columns) c ON c.rel = k.rel AND c.col = k.cols[cardinality(k.cols)],
			LATERAL (SELECT EXISTS (SELECT FROM unnest(links) y JOIN unnest(tables) z ON z.rel = y.target WHERE y.rel = k.target AND y.target <> k.target AND z.words && '{client,client2}' AND NOT z.words && '{other}'
				AND coalesce((m -> 'profiles' -> CASE WHEN k.rel = o THEN 'o' ELSE 'l' END -> y.cols[1] ->> 'distinct')::numeric * 3 >= (m -> 'profiles' -> CASE WHEN k.rel = o THEN 'o' ELSE 'l' END -> c.col ->> 'distinct')::numeric, true)) AS on_the_way) AS v,	-- not its tenant, which the order has, too
			LATERAL (SELECT (v ->> 'n')::numeric AS n, (v -> c.col ->> 'distinct')::numeric AS different, (v -> c.col ->> 'filled')::numeric AS filled FROM (SELECT m -> 'profiles' -> CASE WHEN k.rel = o THEN 'o' ELSE 'l' END AS v) AS y) AS p,
			LATERAL (SELECT cardinality(k.cols) > 1 AND EXISTS (SELECT FROM unnest(links) y JOIN unnest(links) z ON z.rel = k.target AND z.target = y.target JOIN unnest(tables) x ON x.rel = y.target
				WHERE y.rel = k.rel AND y.cols <@ k.cols AND cardinality(y.cols) < cardinality(k.cols) AND x.words && '{client}') AS is_branch) AS b	-- part of its key is the client's
		WHERE k.rel IN (o, l) AND k.target NOT IN (coalesce(o, 0), coalesce(l, 0)) AND (t.barred IS NULL OR k.target = asked OR role <> 'client' AND t.barred <> 'purchase') ORDER BY points DESC, k.how = 'foreign key' DESC, c.attnum, k.target LIMIT 6
	LOOP
		CONTINUE WHEN w.points < CASE role WHEN 'client' THEN 1 WHEN 'product' THEN 1.5 ELSE 2.5 END;
		-- an order has one client
		CONTINUE WHEN role = 'client' AND w.at = 'l' AND o IS NOT NULL AND agentcrm.propose_ask(format('SELECT to_jsonb(max(n) > 1) FROM (SELECT count(DISTINCT %s) AS n FROM %s GROUP BY %s) AS s',
			agentcrm.sql_key('l', (w.link).cols), m ->> 'source', agentcrm.sql_columns('o', agentcrm.part_array(m, 'okey')))) = 'true';
		alias := w.at;
		rel := (w.link).rel;
		cols := (w.link).cols;
		target := (w.link).target;
		target_cols := (w.link).target_cols;
		how := w.means;
		score := w.points;
		evidence := 'foreign key to ' || w.leads_to;
		IF w.means <> 'foreign key' THEN
			SELECT * INTO seen FROM agentcrm.propose_overlap(tables, w.link);
			CONTINUE WHEN seen.hits < 0.6 * seen.asked OR role = 'rep' AND coalesce(seen.asked, 0) = 0;
			evidence := format('no foreign key; name leads to %s', w.leads_to) || CASE WHEN seen.asked > 0 THEN format(', where %s of %s values are found', seen.hits, seen.asked) ELSE '' END;
			score := score + CASE WHEN seen.hits < seen.asked THEN -1 WHEN seen.asked > 0 THEN 0.5 ELSE 0 END;
		END IF;
		RETURN NEXT;
		found := true;
	END LOOP;
	IF found OR role = 'rep' THEN
		RETURN;
	END IF;
	-- no name leads there: values may, where they are too long to agree by chance
	FOR w IN
		SELECT CASE WHEN k.rel = o THEN 'o' ELSE 'l' END AS at, (k.rel, ARRAY[k.col], t.rel, t.key, 'name', 0)::agentcrm.propose_link AS link, t.named AS leads_to, k.col
		FROM unnest(columns) k JOIN unnest(tables) t ON cardinality(t.key) = 1 AND t.rel <> k.rel JOIN unnest(columns) f ON f.rel = t.rel AND f.is_key AND f.family = k.family,
			LATERAL (SELECT m -> 'profiles' -> CASE WHEN k.rel = o THEN 'o' ELSE 'l' END AS v) AS p
		WHERE k.rel = CASE WHEN role = 'client' AND o IS NOT NULL OR l IS NULL THEN o ELSE l END AND NOT k.is_key
			AND (k.family IN ('text', 'uuid') OR k.family = 'int' AND k.plain ~ '_id$' AND EXISTS (SELECT FROM unnest(columns) y WHERE y.rel = k.rel AND y.plain = regexp_replace(k.plain, '_id$', '_type') AND y.family IN ('text', 'enum')	-- or whose kind stands beside them
				AND (strpos(replace(t.plain, '_', ''), agentcrm.propose_root(agentcrm.propose_plain(regexp_replace(v -> y.col ->> 'top', '^.*[\\.:/]', '')))) > 0
				OR strpos(replace(t.plain, '_', ''), agentcrm.propose_root(agentcrm.propose_plain(regexp_replace(v -> y.col ->> 'sample', '^.*[\\.:/]', '')))) > 0))) AND k.col <> ALL (coalesce(agentcrm.part_array(m, 'lkey'), '{}')) AND (v -> k.col ->> 'distinct')::int > 2
			AND role::text = ANY (t.words) AND NOT t.words && '{other,order,invoice}' AND t.barred IS NULL ORDER BY length(t.plain), k.attnum LIMIT 20
	LOOP
		SELECT * INTO seen FROM agentcrm.propose_overlap(tables, w.link);
		CONTINUE WHEN seen.asked IS NULL OR seen.hits < 0.6 * seen.asked OR seen.hits < 3;
		alias := w.at;
		rel := (w.link).rel;
		cols := (w.link).cols;
		target := (w.link).target;
		target_cols := (w.link).target_cols;
		how := 'name';
		score := 2;
		evidence := format('%s of %s values are keys of %s', seen.hits, seen.asked, w.leads_to);
		RETURN NEXT;
	END LOOP;
END $$;
COMMENT ON FUNCTION agentcrm.propose_ways(jsonb, text, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: references from orders or lines to clients, products or reps';

-- The column of a table that people would call its name.
CREATE FUNCTION agentcrm.propose_name(columns agentcrm.propose_column[], relation oid, alias text, tables agentcrm.propose_table[]) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c agentcrm.propose_column;
	last text;
	language text;
	filled jsonb;
BEGIN
	filled := agentcrm.propose_ask((SELECT format('SELECT jsonb_build_object(''n'', count(*))%s FROM %s', string_agg(format(' || jsonb_build_object(%L, count(%I))', a.col, a.col), ''), agentcrm.propose_from(tables, relation, 's', 10))
		FROM unnest(columns) a WHERE a.rel = relation AND a.family IN ('text', 'json')));
	SELECT a.* INTO c FROM unnest(columns) a
	WHERE coalesce((filled ->> a.col)::numeric >= 0.5 * (filled ->> 'n')::numeric, true) AND a.rel = relation AND a.family IN ('text', 'json') AND NOT a.plain ~ 'file|user_?name|login|nick|host|contact|short|search|sort|vor_?name|first|last|middle|sur_?name|maiden|path|image|lang'
		AND a.plain ~ '(^|_)(name|nom|nombre|nome|naam|nazwa|naimenovanie|nazvanie|title|titel|titulo|label|libelle|company|firma|razon_social|raison_sociale|ragione_sociale|description|descripcion|bezeichnung|descrip|designation|descr|opis|denominazione|descricao|email|e_mail|mail|number|code|sku|ref|reference|codigo)[0-9]?(_|$)|name[0-9]?$|(^|_)nm[0-9]?$|(^|_)mei$|_mei$|rag_?soc|razao|alph$|dsc1$|maktx|(^|_)desc[0-9]?$'
	ORDER BY CASE WHEN a.plain ~ 'display_?name' THEN 0 WHEN a.plain ~ 'company_?name|firma|razon|razao|rag_?soc|raison|ragione|full_?name|(customer|client|product|item|partner|kunden|artikel|customer)_?name' THEN 1
		WHEN a.plain ~ '(^|_)(name|nom|nombre|nome|naam|nazwa|naimenovanie|nazvanie)[0-9]?(_(cached|full|1|line_?1))?$|name[0-9]?$|(^|_)mei$|_mei$' THEN 2 WHEN a.plain ~ 'company|label|libelle|bezeichnung|titel|title|titulo|denominaz|designation' THEN 3
		WHEN a.plain ~ '(^|_)(descr|opis)' THEN 4 WHEN a.plain ~ 'mail' THEN 5 ELSE 6 END, a.attnum LIMIT 1;
	IF c.col IS NULL OR c.plain ~ 'mail|number|code|sku|ref|codigo' THEN
		SELECT string_agg(format('%s.%I', alias, a.col), ', ' ORDER BY a.plain ~ 'last|sur|nach' , a.attnum) INTO last FROM unnest(columns) a
		WHERE a.rel = relation AND a.family = 'text' AND a.plain ~ '^(.*_)?(first_?name|last_?name|sur_?name|vor_?name|nach_?name|given_name|family_name|prenom)$';
		IF last IS NOT NULL THEN
			RETURN format('concat_ws('' '', %s)', last);
		END IF;
	END IF;
	IF c.col IS NULL THEN
		RETURN NULL;
	ELSIF c.family = 'json' THEN
		language := agentcrm.propose_ask(format('SELECT to_jsonb(min(k)) FROM (SELECT %I AS v FROM %s) AS s, LATERAL jsonb_object_keys(CASE jsonb_typeof(v::jsonb) WHEN ''object'' THEN v::jsonb ELSE ''{}'' END) k WHERE k ~ ''^en''', c.col,
			agentcrm.propose_from(tables, relation, 's', 4))) #>> '{}';
		RETURN format('%s.%I ->> %L', alias, c.col, coalesce(language, 'en_US'));
	END IF;
	RETURN format('%s.%I', alias, c.col);
END $$;
COMMENT ON FUNCTION agentcrm.propose_name(agentcrm.propose_column[], oid, text, agentcrm.propose_table[]) IS 'Internal: the expression of a row''s name';

CREATE FUNCTION agentcrm.propose_joins(relation oid, columns text[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT agentcrm.primary_key(relation) = columns OR agentcrm.has_index(relation, columns, true)
$$;
COMMENT ON FUNCTION agentcrm.propose_joins(oid, text[]) IS 'Internal: whether columns are a key by which rows of a table can be joined';

CREATE FUNCTION agentcrm.propose_join_key(how text, relation oid, columns text[]) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN how <> 'foreign key' AND (cardinality(columns) > 1 OR agentcrm.primary_key(relation) IS DISTINCT FROM columns) THEN to_jsonb(columns) END
$$;
COMMENT ON FUNCTION agentcrm.propose_join_key(text, oid, text[]) IS 'Internal: argument client_key or product_key, where attach would not know the key by itself';

-- Attributes of clients and products that need no decision.
CREATE FUNCTION agentcrm.propose_attributes(m jsonb, what text, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	alias text := CASE what WHEN 'client' THEN 'c' ELSE 'p' END;
	relation oid := (m ->> alias)::oid;
	key text := (m ->> (alias || 'key'));
	named text := agentcrm.propose_name(columns, relation, alias, tables);
	key_family text := (SELECT c.family FROM unnest(columns) c WHERE c.rel = relation AND c.col = key);
	template record;
	translated text;
	c agentcrm.propose_column;
BEGIN
	IF what = 'product' THEN	-- a variant is named and grouped by its template
		SELECT t.rel, t.named AS tab, k.cols[1] AS col, k.target_cols[1] AS target INTO template FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.target
		WHERE k.rel = relation AND cardinality(k.cols) = 1 AND t.words && '{product}' AND NOT t.words && '{other,order}' AND k.target <> relation AND (k.how = 'foreign key' OR k.score >= 0.6) ORDER BY k.score DESC LIMIT 1;
		IF template.rel IS NOT NULL AND (named IS NULL OR named ~ 'code|sku|ref|number|desc' OR (SELECT t.plain ~ 'variant' FROM unnest(tables) t WHERE t.rel = relation)) AND agentcrm.propose_name(columns, template.rel, 't', tables) IS NOT NULL THEN
			named := format('(SELECT %s FROM %s AS t WHERE t.%I = p.%I)', agentcrm.propose_name(columns, template.rel, 't', tables), template.tab, template.target, template.col);
		END IF;
	END IF;
	IF named IS NULL OR named ~ 'code|sku|ref|number|mail' THEN	-- the name stands in a table of translations
		SELECT format('(SELECT min(t.%I) FROM %s AS t WHERE t.%I = %s.%I)', a.col, t.named, k.cols[1], alias, propose_attributes.m ->> (alias || 'key')) INTO translated FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.rel JOIN unnest(columns) a ON a.rel = k.rel
		WHERE k.target = relation AND k.target_cols = ARRAY[propose_attributes.m ->> (alias || 'key')] AND t.plain ~ 'lang$|transl|trl$|i18n' AND a.family = 'text' AND a.plain ~ '^(name|title|label|nom|nombre|bezeichnung)$' ORDER BY a.attnum LIMIT 1;
		named := coalesce(translated, named);
	END IF;
	m := agentcrm.propose_add(m, jsonb_build_object(what || '_name', named), CASE WHEN named IS NOT NULL THEN agentcrm.propose_role(what || '_name', relation, named, 2, 'name') END);
	SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = relation AND (a.family = 'bool' AND a.plain ~ '^(is_)?(active|enabled|aktiv|activo|actif)$' OR a.family IN ('bool', 'int') AND a.plain ~ '^(is_)?(discontinued|obsolete|inactive|blocked|gesperrt|disabled|baja)$'
		OR a.family = 'time' AND a.plain ~ '^(deleted|discontinued|archived)_(at|on|date)$') ORDER BY a.attnum LIMIT 1;
	IF c.col IS NOT NULL THEN
		named := CASE WHEN c.family = 'time' THEN format('%s.%I IS NULL', alias, c.col) WHEN c.plain ~ '^(is_)?(active|enabled|aktiv|activo|actif)' THEN format('%s.%I', alias, c.col)
			WHEN c.family = 'bool' THEN format('NOT %s.%I', alias, c.col) ELSE format('%s.%I = 0', alias, c.col) END;
		m := agentcrm.propose_add(m, jsonb_build_object(what || '_active', named), agentcrm.propose_role(what || '_active', relation, named, 2, 'name and type ' || c.type));
	END IF;
	IF what = 'client' THEN
		SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = relation AND a.family = key_family AND a.col <> key AND a.plain ~ '(^|_)(parent|mother|mutter|mere|padre|roditel|superior|belongs_to|headquarters?)(_|$|id)' ORDER BY a.attnum LIMIT 1;
		IF c.col IS NOT NULL THEN
			m := agentcrm.propose_add(m, jsonb_build_object('client_parent', 'c.' || quote_ident(c.col)), agentcrm.propose_role('client_parent', relation, 'c.' || quote_ident(c.col), 2, 'name, and of the key''s type'));
		END IF;
	ELSE
		SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = relation AND a.family IN ('int', 'text', 'uuid', 'enum') AND a.plain ~ 'categ|group|grup|famil|(^|_)class|warengr|gamme|rubr|kategor|segment|bunrui|(^|_)wgr|(^|_)grp(_|$)|matkl|catmerc|codcat|(^|_)dept|department|rayon|(^|_)atc_|grps?_?cod|rubro|linea_' ORDER BY a.plain ~ 'categ|kategor' DESC, a.attnum LIMIT 1;
		IF c.col IS NOT NULL THEN
			m := agentcrm.propose_add(m, jsonb_build_object('category', 'p.' || quote_ident(c.col)), agentcrm.propose_role('category', relation, 'p.' || quote_ident(c.col), 2, 'name'));
		ELSIF template.rel IS NOT NULL THEN
			SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = template.rel AND a.family IN ('int', 'text', 'uuid', 'enum') AND a.plain ~ 'categ|group|famil' ORDER BY a.plain ~ 'categ' DESC, a.attnum LIMIT 1;
			IF c.col IS NOT NULL THEN
				named := format('(SELECT t.%I FROM %s AS t WHERE t.%I = p.%I)', c.col, template.tab, template.target, template.col);
				m := agentcrm.propose_add(m, jsonb_build_object('category', named), agentcrm.propose_role('category', template.rel, named, 1.5, 'of the product''s template'));
			END IF;
		END IF;
		SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = relation AND a.family IN ('int', 'num', 'float') AND a.plain ~ '(^|_)(pack|case|carton|ve|vpe|colisage|box|karton)(_?(qty|quantity|size|units?|menge|count))?$|(qty|quantity|units|pieces|stk)_per_(pack|case|unit|box|carton)|pack_?size|order_multiple|units_per|pcs_per' ORDER BY a.attnum LIMIT 1;
		IF c.col IS NOT NULL THEN
			m := agentcrm.propose_add(m, jsonb_build_object('pack_qty', 'p.' || quote_ident(c.col)), agentcrm.propose_role('pack_qty', relation, 'p.' || quote_ident(c.col), 1.5, 'name and type ' || c.type));
		END IF;
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_attributes(jsonb, text, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: name, activity, parent, category and pack size';

-- Clients that a table of roles ties to orders: of several roles, the one that pays.
CREATE FUNCTION agentcrm.propose_client_role(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x record;
	role agentcrm.propose_column;
	played text;
	expression text;
BEGIN
	SELECT a.rel, a.cols, a.target_cols AS order_cols, b.cols[1] AS col, b.target, b.target_cols, t.named, c.named AS clients INTO x
	FROM unnest(links) a JOIN unnest(links) b ON b.rel = a.rel AND b.target <> a.target JOIN unnest(tables) t ON t.rel = a.rel JOIN unnest(tables) c ON c.rel = b.target
	WHERE a.target = (m ->> 'o')::oid AND a.target_cols = agentcrm.part_array(m, 'okey') AND cardinality(b.cols) = 1 AND c.words && '{client}' AND t.plain ~ 'role|party|parties|partner|contact|involve|customer|client|address' AND NOT t.words && '{line}'
	ORDER BY a.how = 'foreign key' DESC, b.how = 'foreign key' DESC, b.score DESC LIMIT 1;
	IF x.rel IS NULL THEN
		RETURN m;
	END IF;
	SELECT k.* INTO role FROM unnest(columns) k WHERE k.rel = x.rel AND k.family IN ('text', 'enum') AND k.plain ~ 'role|type|function|kind' AND k.col <> x.col ORDER BY k.plain ~ 'role' DESC, k.attnum LIMIT 1;
	IF role.col IS NOT NULL THEN
		played := agentcrm.propose_ask(format('SELECT to_jsonb(v) FROM (SELECT %I::text AS v, count(*) AS n FROM %s GROUP BY 1) AS s WHERE v ~* ''customer|client|buyer|sold.?to|bill.?to|payer|kund'' AND v !~* ''vendor|supplier|bill.?from|end.?user|ship'' ORDER BY v ~* ''bill.?to|sold.?to'' DESC, n DESC LIMIT 1', role.col, agentcrm.propose_from(tables, x.rel, 's', 60))) #>> '{}';
	END IF;
	expression := format('(SELECT x.%I FROM %s AS x WHERE %s%s ORDER BY 1 LIMIT 1)', x.col, x.named, agentcrm.sql_match('x', x.cols, 'o', x.order_cols), ' AND x.' || quote_ident(role.col) || ' = ' || quote_literal(played));
	m := agentcrm.propose_add(m || jsonb_build_object('client_score', 4, 'client_expression', expression), jsonb_build_object('client', expression, 'watch', jsonb_build_object(x.named, to_jsonb(x.cols))),
		agentcrm.propose_role('client', x.rel, expression, 4, format('the order names no client; %s ties them to %s', x.named, x.clients) || coalesce(' in role ' || played, '')));
	IF agentcrm.primary_key(x.target) = x.target_cols THEN
		m := agentcrm.propose_add(m || jsonb_build_object('c', x.target, 'ckey', x.target_cols[1]), jsonb_build_object('clients', x.clients), agentcrm.propose_role('clients', x.target, NULL, 4, 'by way of ' || x.named));
		m := agentcrm.propose_attributes(m, 'client', tables, columns, links);
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_client_role(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the client of a mapping by way of a table of roles';

-- Orders that name a contact, a site or an address, which names the client.
CREATE FUNCTION agentcrm.propose_client_chain(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x record;
	seen record;
	expression text;
BEGIN
	FOR x IN
		SELECT a AS first, b AS second, s.named AS via, t.named AS clients, (a.how = 'foreign key') AND (b.how = 'foreign key') AS certain
		FROM unnest(links) a JOIN unnest(links) b ON b.rel = a.target JOIN unnest(tables) s ON s.rel = a.target JOIN unnest(tables) t ON t.rel = b.target
			JOIN unnest(columns) c ON c.rel = a.rel AND c.col = a.cols[1] JOIN unnest(columns) d ON d.rel = b.rel AND d.col = b.cols[1]
		WHERE a.rel = (m ->> (m ->> 'base'))::oid AND cardinality(a.cols) = 1 AND cardinality(b.cols) = 1 AND b.target NOT IN (a.target, a.rel, coalesce((m ->> 'l')::oid, 0)) AND s.barred IS NULL AND t.barred IS NULL
			AND s.plain ~ 'contact|address|adress|location|(^|_)sites?(_|$)|branch|ship_?to|bill_?to|store|user|account|member|person|outlet|standort|filial|deliver' AND NOT s.words && '{line,order,invoice}'
			AND (t.words && '{client}' OR t.words && '{client2}' AND b.how = 'foreign key') AND NOT t.words && '{other,order,invoice,product}' AND agentcrm.propose_joins(b.target, b.target_cols)
			AND c.plain !~ 'creat|author|updat|modif|assign|sales|(^|_)rep(_|$)|employ|manager|approv|owner|operator|write|responsib' AND d.plain !~ 'parent|creat|updat|assign|owner|employer'
		ORDER BY t.words && '{client}' DESC, c.plain ~ 'bill|sold|customer|client|buyer' DESC, c.plain ~ 'ship|deliver|liefer|livr' , a.how = 'foreign key' DESC, b.how = 'foreign key' DESC, a.score + b.score DESC, c.attnum LIMIT 3
	LOOP
		IF NOT x.certain THEN
			SELECT * INTO seen FROM agentcrm.propose_overlap(tables, CASE WHEN (x.first).how = 'foreign key' THEN x.second ELSE x.first END);
			CONTINUE WHEN coalesce(seen.hits, 0) < 0.6 * coalesce(seen.asked, 0) OR coalesce(seen.hits, 0) = 0;
		END IF;
		expression := format('(SELECT s.%I FROM %s AS s WHERE s.%I = %s)', (x.second).cols[1], x.via, (x.first).target_cols[1], agentcrm.sql_key(m ->> 'base', (x.first).cols));
		m := agentcrm.propose_add(m || jsonb_build_object('client_score', 4, 'client_expression', expression, 'c', (x.second).target, 'ckey', (x.second).target_cols[1]),
			jsonb_build_object('client', expression, 'clients', x.clients, 'client_key', agentcrm.propose_join_key('name', (x.second).target, (x.second).target_cols),
				'watch', coalesce(m -> 'options' -> 'watch', '{}') || jsonb_build_object(x.via, jsonb_build_object('key', (x.first).target_cols, 'orders', format('SELECT %s FROM %s WHERE %I = ANY ($1)',
					(SELECT string_agg(quote_ident(k), ', ') FROM unnest(agentcrm.part_array(m, 'okey')) k), agentcrm.relation_name((x.first).rel), (x.first).cols[1])))),
			agentcrm.propose_role('client', (x.first).rel, expression, 4, format('chain: the order names %s, which names %s', x.via, x.clients)) || agentcrm.propose_role('clients', (x.second).target, NULL, 4, 'by way of ' || x.via));
		RETURN agentcrm.propose_attributes(m, 'client', tables, columns, links);
	END LOOP;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_client_chain(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the client of a mapping by way of a table that the order names';

CREATE FUNCTION agentcrm.propose_client(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	base text := m ->> 'base';
	profile jsonb := m -> 'profiles' -> base;
	w record;
	n int := 0;
	expression text;
	guest agentcrm.propose_column;
	root agentcrm.propose_column;
	c agentcrm.propose_column;
	empty numeric;
	nobody text;
	bare text;
	seen jsonb;
BEGIN
	FOR w IN SELECT * FROM agentcrm.propose_ways(m, 'client', tables, columns, links) ORDER BY score DESC LOOP
		n := n + 1;
		expression := agentcrm.sql_key(w.alias, w.cols);
		m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('client', w.rel, expression, w.score, w.evidence, m -> 'profiles' -> w.alias -> w.cols[1] ->> 'sample', n));
		CONTINUE WHEN n > 1;
		m := agentcrm.propose_add(m || jsonb_build_object('client_score', w.score, 'client_expression', expression), jsonb_build_object('client', expression));
		IF cardinality(w.cols) = 1 THEN
			empty := 1 - (m -> 'profiles' -> w.alias -> w.cols[1] ->> 'filled')::numeric / nullif((m -> 'profiles' -> w.alias ->> 'n')::numeric, 0);
			-- 0 or an empty text that leads nowhere stands for nobody
			nobody := CASE WHEN m -> 'profiles' -> w.alias -> w.cols[1] ->> 'min' = '0' THEN '0' WHEN m -> 'profiles' -> w.alias -> w.cols[1] ->> 'sample' = '' THEN '''''' END;
			IF w.how <> 'foreign key' AND nobody IS NOT NULL THEN
				seen := agentcrm.propose_ask(format('SELECT jsonb_build_object(''known'', EXISTS (SELECT FROM %1$s WHERE %2$I = %3$s), ''share'', (SELECT avg((%4$I = %3$s)::int) FROM %5$s))',
					agentcrm.relation_name(w.target), w.target_cols[1], nobody, w.cols[1], agentcrm.propose_from(tables, w.rel, 's', 60)));
				IF seen ->> 'known' = 'false' THEN
					empty := empty + (seen ->> 'share')::numeric;
					expression := format('nullif(%s, %s)', expression, nobody);
					m := agentcrm.propose_add(m || jsonb_build_object('client_expression', expression), jsonb_build_object('client', expression),
						agentcrm.propose_role('client', w.rel, expression, w.score + 0.3, format('%s stands for nobody in %s %% of rows', nobody, round(100 * (seen ->> 'share')::numeric, 1))));
				END IF;
			END IF;
			SELECT a.* INTO guest FROM unnest(columns) a WHERE a.rel = w.rel AND a.family = 'text' AND a.plain ~ '(^|_)e?_?mail(_address)?$' ORDER BY a.plain ~ 'customer|buyer|guest|client' DESC, a.attnum LIMIT 1;
			IF empty > 0 AND guest.col IS NOT NULL THEN
				bare := expression;
				expression := format(CASE WHEN guest.required AND guest.preset = '' THEN 'coalesce(%s::text, nullif(lower(%s.%I), ''''))' ELSE 'coalesce(%s::text, lower(%s.%I))' END, bare, w.alias, guest.col);
				m := agentcrm.propose_add(m || jsonb_build_object('client_expression', expression), jsonb_build_object('client', expression),
					agentcrm.propose_role('client', w.rel, expression, w.score + 0.5, format('%s %% of orders have no client but an e-mail address: guests', round(100 * empty, 1)), NULL, 1));
				m := m || jsonb_build_object('guests', jsonb_build_object('share', empty, 'with', expression, 'without', bare, 'clients', agentcrm.relation_name(w.target)));
				CONTINUE;
			ELSIF empty > 0 THEN
				m := m || jsonb_build_object('no_client', empty);
			END IF;
		END IF;
		-- the row of clients is joined by its foreign key, or by a key of its own
		IF w.how = 'foreign key' OR agentcrm.propose_joins(w.target, w.target_cols) OR (SELECT t.key = w.target_cols FROM unnest(tables) t WHERE t.rel = w.target) THEN
			m := agentcrm.propose_add(m || jsonb_build_object('c', w.target, 'ckey', w.target_cols[cardinality(w.target_cols)]),
				jsonb_build_object('clients', agentcrm.relation_name(w.target), 'client_key', agentcrm.propose_join_key(w.how, w.target, w.target_cols)),
				agentcrm.propose_role('clients', w.target, NULL, w.score, w.evidence || format('; about %s rows', (SELECT t.n_rows FROM unnest(tables) t WHERE t.rel = w.target))));
			SELECT a.* INTO root FROM unnest(columns) a JOIN unnest(columns) k ON k.rel = w.target AND k.col = w.target_cols[1] AND k.family = a.family
			WHERE cardinality(w.cols) = 1 AND a.rel = w.target AND a.col <> w.target_cols[1] AND a.plain ~ '(^|_)(commercial|root|top|ultimate|head_?office|headquarters?|konzern|master|main|corporate|top_level)(_|$)'
				AND (EXISTS (SELECT FROM unnest(links) k2 WHERE k2.rel = w.target AND k2.target = w.target AND k2.cols = ARRAY[a.col]) OR a.words && '{client}' OR a.plain ~ '(^|_)(id|account|company|parent)(_|$)')
			ORDER BY a.attnum LIMIT 1;
			IF root.col IS NOT NULL AND w.alias = base THEN
				m := agentcrm.propose_add(m || jsonb_build_object('client_expression', format('coalesce(c.%I, %s)', root.col, expression), 'client_link', expression),
					jsonb_build_object('client', format('coalesce(c.%I, %s)', root.col, expression), 'client_link', expression),
					agentcrm.propose_role('client', w.target, format('coalesce(c.%I, %s)', root.col, expression), w.score + 0.5, format('%I names the company that a branch belongs to: branches roll up to it', root.col)));
			END IF;
			m := agentcrm.propose_attributes(m, 'client', tables, columns, links);
		END IF;
	END LOOP;
	IF n = 0 THEN
		m := agentcrm.propose_client_role(m, tables, columns, links);
		IF m ->> 'client_expression' IS NULL THEN
			m := agentcrm.propose_client_chain(m, tables, columns, links);
		END IF;
	END IF;
	IF n = 0 AND m ->> 'client_expression' IS NULL THEN	-- no table of clients: what names them on the document
		SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND a.words && '{client}' AND a.family IN ('int', 'text', 'uuid') AND NOT a.is_key AND a.plain !~ 'phone|note|comment|address|group|type|po_|order|ref|tax|vat|price|class|discount|categ'
			AND coalesce((m -> 'profiles' -> CASE WHEN a.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END -> a.col ->> 'distinct')::numeric, 2) > 1
		ORDER BY a.rel = (m ->> 'o')::oid DESC, a.plain ~ '(id|no|nr|num|number|nummer|code|key|cod)$' DESC, a.plain ~ 'mail' DESC, a.plain !~ 'ship|bill|deliver|parent' DESC, a.attnum LIMIT 1;
		IF c.col IS NULL THEN
			SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = coalesce(m ->> 'o', m ->> 'l')::oid AND a.family = 'text' AND a.plain ~ '^((customer|client|buyer|guest|billing|contact)_)?e?_?mail(_address)?$' ORDER BY a.plain ~ 'customer|client|buyer' DESC, a.attnum LIMIT 1;
		END IF;
		IF c.col IS NOT NULL THEN
			expression := format(CASE WHEN c.plain ~ 'mail' THEN 'lower(%s.%I)' ELSE '%s.%I' END, CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END, c.col);
			empty := 1 - (profile -> c.col ->> 'filled')::numeric / nullif((profile ->> 'n')::numeric, 0);
			m := agentcrm.propose_add(m || jsonb_build_object('client_score', 2, 'client_expression', expression, 'no_client', nullif(empty, 0)), jsonb_build_object('client', expression),
				agentcrm.propose_role('client', c.rel, expression, 2, format('name; no table of clients found; %s different in %s sampled rows', profile -> c.col ->> 'distinct', profile ->> 'n'), coalesce(profile -> c.col ->> 'sample', profile -> c.col ->> 'min')));
		END IF;
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_client(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the client of a mapping';

CREATE FUNCTION agentcrm.propose_product(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	profile jsonb := m -> 'profiles' -> CASE WHEN m ->> 'l' IS NULL THEN 'o' ELSE 'l' END;
	w record;
	n int := 0;
	expression text;
	next record;
	c agentcrm.propose_column;
BEGIN
	FOR w IN SELECT * FROM agentcrm.propose_ways(m, 'product', tables, columns, links) ORDER BY score DESC LOOP
		n := n + 1;
		expression := agentcrm.sql_key(w.alias, w.cols);
		m := agentcrm.propose_add(m, '{}', agentcrm.propose_role('product', w.rel, expression, w.score, w.evidence, m -> 'profiles' -> w.alias -> w.cols[1] ->> 'min', n));
		CONTINUE WHEN n > 1;
		IF cardinality(w.cols) = 1 AND w.how <> 'foreign key' AND m -> 'profiles' -> w.alias -> w.cols[1] ->> 'sample' = '' THEN
			expression := format('nullif(%s, '''')', expression);
		END IF;
		m := m || jsonb_build_object('product_column', expression, 'product_score', w.score);
		-- line -> stock item -> product: what stands at a place is not what is sold
		SELECT k.*, t.named AS tab, array_position(w.target_cols, k.cols[1]) AS shared INTO next FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.target JOIN unnest(tables) s ON s.rel = k.rel
		WHERE k.rel = w.target AND cardinality(k.cols) = 1 AND (cardinality(w.cols) = 1 OR k.cols <@ w.target_cols) AND t.words && '{product}' AND NOT t.words && '{other,order}' AND t.barred IS NULL AND k.target <> w.target
			AND (s.plain ~ 'stock|site|inventor|warehouse|store_item|lot|batch|location|listing|offer|lager|magas' OR s.words && '{line}' AND s.words && '{order,invoice,doc}')
		ORDER BY k.how = 'foreign key' DESC, k.score DESC LIMIT 1;
		IF next.shared IS NOT NULL AND m -> 'wanted' ->> 'products' IS NULL THEN	-- the line holds the product's key itself, as part of the other
			expression := agentcrm.sql_key(w.alias, ARRAY[w.cols[next.shared]]);
			m := agentcrm.propose_add(m || jsonb_build_object('product_column', expression), jsonb_build_object('product', expression), agentcrm.propose_role('product', w.rel, expression, w.score + 0.5, format('part of a reference to %s, and there to %s', agentcrm.relation_name(w.target), next.tab)));
			w.cols := ARRAY[w.cols[next.shared]];
			w.target := next.target;
			w.target_cols := next.target_cols;
			w.how := 'name';
		ELSIF next.rel IS NOT NULL AND m -> 'wanted' ->> 'products' IS NULL THEN
			IF w.alias = 'l' AND (SELECT s.words && '{line}' FROM unnest(tables) s WHERE s.rel = w.target) THEN
				m := m || jsonb_build_object('twin', w.target, 'twin_key', w.target_cols[1], 'twin_column', w.cols[1]);
			END IF;
			expression := format('(SELECT s.%I FROM %s AS s WHERE s.%I = %s)', next.cols[1], agentcrm.relation_name(w.target), w.target_cols[1], expression);
			IF m ->> 'o' IS NOT NULL AND NOT m -> 'options' ? 'watch' THEN
				m := agentcrm.propose_add(m, jsonb_build_object('watch', jsonb_build_object(agentcrm.relation_name(w.target), jsonb_build_object('key', w.target_cols, 'orders', format('SELECT %s FROM %s WHERE %I = ANY ($1)',
					(SELECT string_agg(quote_ident(k), ', ') FROM unnest(agentcrm.part_array(m, 'lkey')) k), agentcrm.relation_name(w.rel), w.cols[1])))));
			END IF;
			m := agentcrm.propose_add(m, jsonb_build_object('product', expression), agentcrm.propose_role('product', w.target, expression, w.score + 0.5, format('chain: the line names %s, which names %s', agentcrm.relation_name(w.target), next.tab)));
			w.target := next.target;
			w.target_cols := next.target_cols;
			w.how := 'name';
		ELSE
			m := agentcrm.propose_add(m, jsonb_build_object('product', expression));
		END IF;
		IF w.how = 'foreign key' OR agentcrm.propose_joins(w.target, w.target_cols) OR (SELECT t.key = w.target_cols FROM unnest(tables) t WHERE t.rel = w.target) THEN
			m := agentcrm.propose_add(m || jsonb_build_object('p', w.target, 'pkey', w.target_cols[cardinality(w.target_cols)]),
				jsonb_build_object('products', agentcrm.relation_name(w.target), 'product_key', agentcrm.propose_join_key(w.how, w.target, w.target_cols)),
				agentcrm.propose_role('products', w.target, NULL, w.score, format('%s; about %s rows', w.evidence, (SELECT t.n_rows FROM unnest(tables) t WHERE t.rel = w.target))));
			m := agentcrm.propose_attributes(m, 'product', tables, columns, links);
		END IF;
	END LOOP;
	IF n = 0 AND m ->> 'l' IS NOT NULL THEN
		SELECT a.* INTO c FROM unnest(columns) a WHERE a.rel = (m ->> 'l')::oid AND a.words && '{product}' AND a.family IN ('int', 'text', 'uuid') AND NOT a.is_key AND a.col <> ALL (coalesce(agentcrm.part_array(m, 'lkey'), '{}'))
			AND a.plain !~ 'count|type|qty|total|price|status|line|seq|categ|group|description|desc$|unit|weight|serial|pos$|order|tax|class' AND NOT a.words && '{qty,price,total}'
			AND coalesce((profile -> a.col ->> 'filled')::numeric, 1) > 0
		ORDER BY a.plain ~ '(id|no|nr|num|number|nummer|code|key|sku|cod|ean)$' DESC, a.plain !~ 'name' DESC, a.attnum LIMIT 1;
		IF c.col IS NOT NULL THEN
			expression := format('l.%I', c.col);
			m := agentcrm.propose_add(m || jsonb_build_object('product_column', expression, 'product_score', 2), jsonb_build_object('product', expression),
				agentcrm.propose_role('product', c.rel, expression, 2, format('name; no table of products found; %s different in %s sampled lines', profile -> c.col ->> 'distinct', profile ->> 'n'), coalesce(profile -> c.col ->> 'sample', profile -> c.col ->> 'min')));
		END IF;
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_product(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the product of a mapping';

CREATE FUNCTION agentcrm.propose_rep(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w record;
	n int := 0;
BEGIN
	FOR w IN SELECT * FROM agentcrm.propose_ways(m, 'rep', tables, columns, links) WHERE alias = m ->> 'base' AND cardinality(cols) = 1 AND agentcrm.sql_key(alias, cols) <> ALL (ARRAY[coalesce(m ->> 'client_link', m ->> 'client_expression', '')])
			AND target IS DISTINCT FROM (m ->> 'c')::oid AND strpos(coalesce(m ->> 'client_expression', ''), agentcrm.sql_key(alias, cols)) = 0 ORDER BY score DESC LOOP
		n := n + 1;
		m := agentcrm.propose_add(m, CASE WHEN n = 1 THEN jsonb_build_object('rep', agentcrm.sql_key(w.alias, w.cols), 'reps', CASE WHEN w.how = 'foreign key' OR agentcrm.primary_key(w.target) = w.target_cols THEN agentcrm.relation_name(w.target) END) ELSE '{}' END,
			agentcrm.propose_role('rep', w.rel, agentcrm.sql_key(w.alias, w.cols), w.score, w.evidence, NULL, n));
	END LOOP;
	IF n = 0 AND m ->> 'c' IS NOT NULL THEN	-- a client's own rep
		SELECT k.cols[1] AS col, t.named, t.rel INTO w FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.target JOIN unnest(columns) c ON c.rel = k.rel AND c.col = k.cols[1]
		WHERE k.rel = (m ->> 'c')::oid AND k.how = 'foreign key' AND cardinality(k.cols) = 1 AND t.words && '{rep,user}' AND c.words && '{rep}' AND c.plain !~ 'creat|author|updat|modif|write' ORDER BY t.words && '{rep}' DESC, c.attnum LIMIT 1;
		IF w.col IS NOT NULL THEN
			m := agentcrm.propose_add(m, jsonb_build_object('rep', 'c.' || quote_ident(w.col), 'reps', w.named), agentcrm.propose_role('rep', (m ->> 'c')::oid, 'c.' || quote_ident(w.col), 3, 'of the client; foreign key to ' || w.named));
		END IF;
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_rep(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the rep of a mapping';

-- When an order was made: the name says most; a column that updates move, or that few rows have, is not it.
CREATE FUNCTION agentcrm.propose_at(m jsonb, tables agentcrm.propose_table[], columns agentcrm.propose_column[], links agentcrm.propose_link[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	day record;
	n int := 0;
	expression text;
BEGIN
	SELECT format('%s.%I', m ->> 'base', c.col) INTO expression FROM unnest(columns) c, LATERAL (SELECT m -> 'profiles' -> (m ->> 'base') AS p) AS v
	WHERE c.rel = CASE m ->> 'base' WHEN 'o' THEN (m ->> 'o')::oid ELSE (m ->> 'l')::oid END AND c.family = 'time' AND c.plain ~ 'confirm|valida|complet|placed|submitted|bestatig|approv|posted' AND (p -> c.col ->> 'filled')::bigint BETWEEN 1 AND (p ->> 'n')::bigint - 1 ORDER BY c.attnum LIMIT 1;
	m := m || jsonb_build_object('confirmed', expression);
	-- a key of a table of days, as stars of facts have, or the key of a receipt that is the order's own
	SELECT k.rel, k.cols[1] AS col, t.named, k.target_cols[1] AS key, c.col AS day, f.is_key AS shared INTO day FROM unnest(links) k JOIN unnest(tables) t ON t.rel = k.target JOIN unnest(columns) c ON c.rel = k.target AND c.family = 'time' JOIN unnest(columns) f ON f.rel = k.rel AND f.col = k.cols[1]
	WHERE k.rel = coalesce(m ->> 'o', m ->> 'l')::oid AND cardinality(k.cols) = 1 AND t.plain ~ '(^|_)(date|calendar|day|dates|days|kalender|fecha|datum|zeit)(_|$)' AND NOT t.words && '{order,invoice,client,product}'
		OR k.rel = (m ->> 'o')::oid AND k.how = 'foreign key' AND f.is_key AND k.target_cols = t.key AND NOT t.words && '{client,client2,product}' AND NOT c.words && '{late}'
	ORDER BY f.is_key, f.words && '{late}', f.plain ~ 'sold|sale|order|invoice|purchase' DESC, f.attnum, c.plain ~ '(^|_)date$' DESC, c.attnum LIMIT 1;
	FOR d IN
		SELECT c.*, v.profile, v.filled, v.alias,
			CASE WHEN c.words && '{ordered}' AND c.plain !~ '^creat(ed|ion)_' AND NOT (c.words && '{late}' AND c.plain !~ 'order_?date|date_?order|complet|placed|effective') THEN CASE WHEN c.plain ~ 'confirm|valid|approv|submitted|booked' THEN 3.5 WHEN (m ->> 'ordered')::boolean AND c.plain ~ 'invoice|facture|rechnung' THEN 2 WHEN c.plain ~ 'order_?dat|date_?order|placed|bestell|auftrag|pedido|commande|zakaz|complet|ordered|invoice_?dat|sale_?dat|date_?(facture|invoice)|rechnungs' THEN 5 ELSE 4 END
				WHEN c.words && '{created}' AND NOT c.words && '{late}' THEN 2.5 WHEN c.words && '{late}' THEN -3 ELSE 1 END
			+ CASE WHEN c.family = 'time' THEN 1 ELSE 0 END + CASE WHEN v.filled > 0.9 THEN 1 WHEN v.filled > 0.3 THEN 0.3 WHEN v.n > 0 THEN -3 ELSE 0 END
			+ CASE WHEN v.n > 20 AND (v.profile ->> 'distinct')::numeric <= 1 THEN -3 ELSE 0 END + CASE WHEN c.plain ~ 'created|time$' AND c.type = 'date' THEN 0.2 ELSE 0 END + CASE WHEN v.alias = m ->> 'base' THEN 0.5 ELSE -1 END AS points
		FROM unnest(columns) c, LATERAL (SELECT CASE WHEN c.rel = (m ->> 'o')::oid THEN 'o' ELSE 'l' END AS alias) AS x,
			LATERAL (SELECT x.alias, m -> 'profiles' -> x.alias -> c.col AS profile, (m -> 'profiles' -> x.alias ->> 'n')::numeric AS n,
				(m -> 'profiles' -> x.alias -> c.col ->> 'filled')::numeric / nullif((m -> 'profiles' -> x.alias ->> 'n')::numeric, 0) AS filled) AS v
		WHERE c.rel IN ((m ->> 'o')::oid, (m ->> 'l')::oid) AND (c.family = 'time'
			OR c.family IN ('int', 'num', 'float') AND (c.words && '{ordered,created}' OR c.plain ~ 'date|time') AND ((v.profile ->> 'min')::numeric >= 1e8 AND (v.profile ->> 'max')::numeric < 5e12
				OR ((v.profile ->> 'min')::numeric = 0 OR (v.profile ->> 'min')::numeric >= 19000101) AND (v.profile ->> 'max')::numeric BETWEEN 19000101 AND 21001231)
			OR c.family = 'text' AND (c.words && '{ordered,created}' OR c.plain ~ 'dat|dt|fecha|(^|_)bi$' OR (v.profile ->> 'long')::int = 8) AND v.profile ->> 'top' ~ '^\s*(19|20)\d\d-?[01]\d-?[0-3]\d')
		ORDER BY points DESC, c.attnum LIMIT 5
	LOOP
		EXIT WHEN n = 0 AND d.points < 5 AND day.rel IS NOT NULL;
		n := n + 1;
		expression := format('%s.%I', d.alias, d.col);
		expression := CASE WHEN d.family = 'time' THEN expression WHEN d.family = 'text' THEN format('nullif(%s, %L)::timestamp', expression, CASE WHEN d.profile ->> 'sample' ~ '^0+$' THEN d.profile ->> 'sample' ELSE '' END)
			WHEN (d.profile ->> 'max')::numeric BETWEEN 19000101 AND 21001231 THEN format('to_date(nullif(%s, 0)::text, ''YYYYMMDD'')', expression)
			WHEN (d.profile ->> 'max')::numeric > 1e11 THEN format('to_timestamp(%s / 1000.0)', expression) ELSE format('to_timestamp(%s)', expression) END;
		m := agentcrm.propose_add(m || CASE WHEN n = 1 THEN jsonb_build_object('at', expression, 'at_score', d.points) ELSE '{}' END, CASE WHEN n = 1 THEN jsonb_build_object('at', expression) ELSE '{}' END,
			agentcrm.propose_role('at', d.rel, expression, d.points, format('name; type %s; filled in %s %% of sampled rows; %s to %s', d.type, round(100 * coalesce(d.filled, 0)), d.profile ->> 'min', d.profile ->> 'max'), d.profile ->> 'max', n));
	END LOOP;
	IF n = 0 AND day.rel IS NOT NULL THEN
		expression := format('(SELECT d.%I FROM %s AS d WHERE d.%I = %s.%I)', day.day, day.named, day.key, m ->> 'base', day.col);
		m := agentcrm.propose_add(m || jsonb_build_object('at', expression, 'at_score', 5), jsonb_build_object('at', expression, 'watch', CASE WHEN day.shared THEN coalesce(m -> 'options' -> 'watch', '{}') || jsonb_build_object(day.named, ARRAY[day.key]) END),
			agentcrm.propose_role('at', day.rel, expression, 5, format(CASE WHEN day.shared THEN '%I is also the key of %s' ELSE '%I leads to the calendar %s' END, day.col, day.named)));
	END IF;
	RETURN m;
END $$;
COMMENT ON FUNCTION agentcrm.propose_at(jsonb, agentcrm.propose_table[], agentcrm.propose_column[], agentcrm.propose_link[]) IS 'Internal: the time of a mapping';
