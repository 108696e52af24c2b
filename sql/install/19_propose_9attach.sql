-- source/: attach without tables: the best proposal taken whole, or the call that answers what is open

-- An attach call in full, which does the same whatever is proposed later.
CREATE FUNCTION agentcrm.attach_call(source_name text, options jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $call$
	SELECT format('SELECT * FROM agentcrm.attach(%L', source_name) || string_agg(format(', %s => %s', a.argument, CASE WHEN v.given ~ '''' AND v.given !~ '\$(\$|$)' THEN '$$' || v.given || '$$' ELSE quote_literal(v.given) END), '' ORDER BY a.i) || ')'
	FROM unnest('{orders,lines,clients,products,reps,order_key,line_order_key,line_key,client,client_link,client_key,product,product_key,rep,at,quantity,amount,margin,kind,is_sale,line_ok,client_name,client_parent,client_active,client_replaced_by,channel,territory,product_name,category,product_active,pack_qty,watch,namespace,time_zone,run_as,on_delete,archive_before}'::text[])
		WITH ORDINALITY AS a(argument, i), LATERAL (SELECT CASE WHEN jsonb_typeof(options -> a.argument) = 'array' THEN agentcrm.part_array(options, a.argument)::text ELSE options ->> a.argument END AS given) AS v
	WHERE v.given IS NOT NULL AND NOT (a.argument = 'on_delete' AND v.given = 'retract')
$call$;
COMMENT ON FUNCTION agentcrm.attach_call(text, jsonb) IS 'Internal: the SQL of an attach call';

-- What is given replaces what is proposed, and takes along what hangs on it.
CREATE FUNCTION agentcrm.attach_override(best jsonb, given jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	proposed jsonb := best -> 'options';
BEGIN
	IF given ? 'clients' AND given ->> 'clients' IS DISTINCT FROM proposed ->> 'clients' THEN
		proposed := proposed - '{client_link,client_key,client_name,client_parent,client_active,client_replaced_by,channel,territory}'::text[];
		IF NOT given ? 'client' THEN
			proposed := proposed || jsonb_build_object('client', coalesce(best -> 'guests' ->> 'without', best ->> 'client_link', proposed ->> 'client'));
		END IF;
	ELSIF given ? 'client' AND NOT given ? 'clients' AND given ->> 'client' = best -> 'guests' ->> 'without' THEN
		proposed := proposed || jsonb_build_object('clients', best -> 'guests' -> 'clients');
	END IF;
	IF given ? 'client' AND NOT given ? 'client_link' AND NOT agentcrm.uses_alias(given ->> 'client', 'c') THEN
		proposed := proposed - 'client_link';
	END IF;
	IF given ? 'products' AND given ->> 'products' IS DISTINCT FROM proposed ->> 'products' THEN
		proposed := proposed - '{product_key,product_name,category,product_active,pack_qty}'::text[];
	END IF;
	IF given ? 'rep' AND NOT given ? 'reps' THEN
		proposed := proposed - 'reps';
	ELSIF given ? 'reps' AND NOT given ? 'rep' AND given ->> 'reps' IS DISTINCT FROM proposed ->> 'reps' THEN
		proposed := proposed - 'rep';
	END IF;
	RETURN proposed || (given - 'schemas');
END $$;
COMMENT ON FUNCTION agentcrm.attach_override(jsonb, jsonb) IS 'Internal: a proposal with the arguments given in its place';

-- Two applications in reach, or two tables that look alike: which one is meant is not ours to say.
CREATE FUNCTION agentcrm.attach_rival(mappings jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r FROM jsonb_array_elements(mappings - 0) r, LATERAL (SELECT mappings -> 0 AS best) AS b
	WHERE r -> 'near' = best -> 'near' AND r -> 'kind' = best -> 'kind' AND (r ->> 'score')::numeric >= (best ->> 'score')::numeric - CASE
		WHEN split_part(coalesce(r -> 'options' ->> 'orders', r -> 'options' ->> 'lines'), '.', 1) <> split_part(coalesce(best -> 'options' ->> 'orders', best -> 'options' ->> 'lines'), '.', 1) THEN 5 ELSE 0.7 END
	AND NOT ((best ->> 'ordered')::boolean AND NOT (r ->> 'ordered')::boolean)	-- invoices are an alternative to orders, no rival
	AND coalesce(r -> 'options' ->> 'orders', r -> 'options' ->> 'lines') <> coalesce(best -> 'options' ->> 'orders', best -> 'options' ->> 'lines') AND (r -> 'facts' ->> 'lines')::bigint > 0
	LIMIT 1
$$;
COMMENT ON FUNCTION agentcrm.attach_rival(jsonb) IS 'Internal: another mapping about as good as the best';

/*
 * A source called like a schema is in it, with what its foreign keys reach, and may look up clients
 * and products in schemas without orders; one that has orders is another application.
 */
CREATE FUNCTION agentcrm.propose_reach(named name, given oid[]) RETURNS name[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE reached AS (
		SELECT oid AS space FROM pg_namespace WHERE nspname = named
		UNION
		SELECT t.relnamespace FROM reached r JOIN pg_class c ON c.relnamespace = r.space JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' JOIN pg_class t ON t.oid = k.confrelid)
	SELECT array_agg(schema) FROM (SELECT t.schema FROM unnest(agentcrm.propose_tables(NULL, ARRAY[named])) t GROUP BY t.schema
		HAVING t.schema IN (SELECT n.nspname FROM reached r JOIN pg_namespace n ON n.oid = r.space) OR bool_or(t.rel = ANY (given))
			OR NOT bool_or(t.words && '{order,invoice}' AND NOT t.words && '{other}' AND t.barred IS NULL OR starts_with(t.barred, 'schema ') IS TRUE)) AS s
$$;
COMMENT ON FUNCTION agentcrm.propose_reach(name, oid[]) IS 'Internal: schemas in which a source called like one of them is looked for';

CREATE FUNCTION agentcrm.attach_best(source_name text, given jsonb, path name[], dry_run boolean) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	schemas name[] := agentcrm.part_array(given, 'schemas')::name[];
	named name[] := (SELECT ARRAY[source_name::name] WHERE schemas IS NULL AND to_regnamespace(quote_ident(source_name)) IS NOT NULL);
	wanted jsonb := jsonb_strip_nulls(jsonb_build_object('only_near', true, 'clients', agentcrm.option_table(given, 'clients')::oid, 'products', agentcrm.option_table(given, 'products')::oid, 'reps', agentcrm.option_table(given, 'reps')::oid));
	mappings jsonb;
	best jsonb;
	rival jsonb;
	options jsonb;
	asked jsonb;
	call text;
BEGIN
	IF named IS NOT NULL THEN
		wanted := wanted || '{"only_named": true}';
		schemas := agentcrm.propose_reach(source_name, ARRAY(SELECT value::oid FROM jsonb_each_text(wanted) WHERE value ~ '^\d+$'));
	END IF;
	mappings := agentcrm.propose_mappings(schemas, coalesce(named, path), wanted);
	best := mappings -> 0;
	IF best IS NULL THEN
		PERFORM agentcrm.attach_refuse(format('no table that you may read looks like orders%s', ' in ' || agentcrm.path_text(coalesce(named, schemas))),
			CASE WHEN named IS NOT NULL THEN 'A source called like a schema is looked for there: schemas => ''{...}'' looks elsewhere. ' ELSE '' END || 'Pass orders, lines or both, and the expressions at, quantity and amount; or use attach_query.', '42P01');
	END IF;
	options := agentcrm.attach_override(best, given);
	call := agentcrm.attach_call(source_name, CASE WHEN best ? 'run_as' AND NOT options ? 'run_as' THEN options || jsonb_build_object('run_as', best -> 'run_as') ELSE options END);
	rival := agentcrm.attach_rival(mappings);
	SELECT coalesce(jsonb_agg(q ORDER BY i), '[]') INTO asked FROM jsonb_array_elements(best -> 'questions') WITH ORDINALITY AS a(q, i) WHERE (q ->> 'open')::boolean AND NOT given ? (q ->> 'argument');
	IF rival IS NOT NULL THEN
		asked := asked || jsonb_build_array(jsonb_build_object('question', 'which orders?', 'argument', 'orders', 'subject', coalesce(options ->> 'orders', options ->> 'lines'), 'remark', 'as likely: ' || coalesce(rival -> 'options' ->> 'orders', rival -> 'options' ->> 'lines'),
			'alternatives', jsonb_build_array(agentcrm.attach_call(source_name, (rival -> 'options') || (given - 'schemas')))));
	END IF;
	IF asked <> '[]' AND NOT dry_run THEN
		PERFORM agentcrm.refuse(format('attach: %s open: %s', CASE (SELECT count(DISTINCT q ->> 'argument') FROM jsonb_array_elements(asked) q) WHEN 1 THEN 'a question is' ELSE (SELECT count(DISTINCT q ->> 'argument') FROM jsonb_array_elements(asked) q) || ' questions are' END,
				(SELECT string_agg(format('%s (%s: %s)', q ->> 'question', q ->> 'subject', q ->> 'remark'), '; ' ORDER BY i) FROM jsonb_array_elements(asked) WITH ORDINALITY AS a(q, i))),
			call, detail => agentcrm.attach_answers(asked));
	END IF;
	RETURN jsonb_build_object('options', options, 'report', (SELECT coalesce(jsonb_agg(jsonb_build_object('item', 'open', 'detail', agentcrm.filled(format('%s %s: %s', q ->> 'question', q ->> 'subject', q ->> 'remark'), ' ')) ORDER BY i), '[]') FROM jsonb_array_elements(asked) WITH ORDINALITY AS a(q, i))
		|| jsonb_build_array(jsonb_build_object('item', 'call', 'detail', agentcrm.filled(call, '(?<=,) (?=[a-z_]+ => )', '    '))));
END $$;
COMMENT ON FUNCTION agentcrm.attach_best(text, jsonb, name[], boolean) IS 'Internal: arguments of the best proposal; refuses, with the call to make, while a question is open';

-- What an attach call with some arguments would be in full, if the tables it names are proposed at all and the result fits.
CREATE FUNCTION agentcrm.attach_completed(source_name text, given jsonb, path name[], OUT call text, OUT answers text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	best jsonb;
	options jsonb;
BEGIN
	best := agentcrm.propose_mappings(NULL, path, (SELECT jsonb_strip_nulls(jsonb_object_agg(a, agentcrm.option_table(given, a)::oid)) FROM unnest('{orders,lines,clients,products,reps}'::text[]) a)) -> 0;
	options := agentcrm.attach_override(best, given);
	IF given ? 'orders' AND NOT given ? 'lines' AND options ? 'lines' AND given ?| '{quantity,amount}' THEN	-- what is said of headers would be counted with each line
		IF NOT given ? 'amount' THEN
			RETURN;
		END IF;
		options := (options - '{lines,line_order_key,line_key,line_ok,product,products,product_key,product_name,category,product_active,pack_qty,watch,quantity}'::text[]) || '{"quantity": "1"}' || given;
	END IF;
	options := jsonb_strip_nulls(jsonb_build_object('run_as', best -> 'run_as')) || options;
	PERFORM agentcrm.options_spec(options, path);
	call := agentcrm.attach_call(source_name, options);
	SELECT agentcrm.attach_answers(jsonb_agg(q ORDER BY i)) INTO answers FROM jsonb_array_elements(best -> 'questions') WITH ORDINALITY AS a(q, i) WHERE (q ->> 'open')::boolean AND NOT given ? (q ->> 'argument');
EXCEPTION WHEN OTHERS THEN
	call := NULL;
END $$;
COMMENT ON FUNCTION agentcrm.attach_completed(text, jsonb, name[]) IS 'Internal: an attach call completed by what is proposed for its tables; NULL where nothing fits';

-- Per question: what was found, what the call in the hint answers, and what else could be answered.
CREATE FUNCTION agentcrm.attach_answers(asked jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(concat_ws(E'\n  ', q ->> 'question',
		(SELECT string_agg(format('%s: %s orders, amount %s, %s to %s: %s', coalesce(v ->> 'label', v ->> 'value', 'NULL'), v ->> 'orders', round((v ->> 'amount')::numeric, 2), left(v ->> 'first', 10), left(v ->> 'last', 10),
			CASE WHEN v ->> 'reading' IN ('sale', 'open', 'unknown') THEN 'counts' ELSE 'left out' END || ' (' || (v ->> 'reading') || ')' || coalesce('; ' || round(100 * (v ->> 'done')::numeric) || ' % carried out', '')), E'\n  ' ORDER BY k) FROM jsonb_array_elements(q -> 'values') WITH ORDINALITY AS c(v, k) WHERE v ->> 'orders' IS NOT NULL),
		'in the call: ' || (q ->> 'argument') || coalesce(' => ' || quote_literal(q ->> 'answer'), ' is not given'),
		(SELECT string_agg('or: ' || CASE WHEN e ~ '^SELECT' THEN e ELSE (q ->> 'argument') || ' => ' || quote_literal(e) END, E'\n  ') FROM jsonb_array_elements_text(q -> 'alternatives') e)), E'\n' ORDER BY i)
	FROM jsonb_array_elements(asked) WITH ORDINALITY AS a(q, i)
$$;
COMMENT ON FUNCTION agentcrm.attach_answers(jsonb) IS 'Internal: open questions with their possible answers';
