-- plan/: what the plan would be, what it paid, what became of it

CREATE FUNCTION agentcrm.plan(as_of timestamptz DEFAULT NULL, dry_run boolean DEFAULT true,
	OUT part text, OUT item text, OUT client_id bigint, OUT owner_id bigint, OUT day date, OUT value double precision,
	OUT price double precision, OUT detail text)
	RETURNS SETOF record LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_plan';
COMMENT ON FUNCTION agentcrm.plan(timestamptz, boolean) IS
'The plan of the day over all clients, as the worker makes it once a day. as_of: moment to plan for, NULL: now. dry_run: true shows it and writes nothing; false makes it the plan (only for now), waiting for a round that is under way.
part: round (item value, bound, gap and counts: the certificate), price (item a resource, owner_id its rep, programme or product, value what is used of it, price the worth of one more unit, detail what there is), award (item an action, value net of cost, price what its means cost), kept (a recommendation that nobody has seen yet and that stays) or displaced (one that gives way). Money in source currency.
Errors: an infinite as_of; another moment than now where dry_run is false. Not granted to PUBLIC.
Example: SELECT item, value FROM agentcrm.plan() WHERE part = ''round''';
REVOKE ALL ON FUNCTION agentcrm.plan(timestamptz, boolean) FROM PUBLIC;

CREATE FUNCTION agentcrm.why_not(client bigint, action text, agent text DEFAULT NULL, as_of timestamptz DEFAULT NULL,
	OUT obstacle text, OUT reason text, OUT missing double precision, OUT unit text, OUT until timestamptz)
	RETURNS SETOF record LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_why_not';
COMMENT ON FUNCTION agentcrm.why_not(bigint, text, text, timestamptz) IS
'Why an action is not awarded for a client: a set of obstacles that must all go for its bid to win now, at the standing prices within what is left, and of which none can be left out. No rows: it would win.
client, action, agent (NULL: the first that bids the action), as_of (NULL: now). obstacle: reserve (the bid is worth less than it costs), client (no contact wanted, or closed), shadow (agent or source), demand (something else is after it), contact_policy or means. reason: as in bid.status_reason. missing: by how much, in unit, where that can be counted. until: when the obstacle is gone by itself, where that is known.
Errors: NULL client or action; no agent bids the action for the client. Not granted to PUBLIC.
Example: SELECT * FROM agentcrm.why_not(42, ''visit'')';
REVOKE ALL ON FUNCTION agentcrm.why_not(bigint, text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION agentcrm.negotiation(recommendation_id bigint,
	OUT place int, OUT iteration int, OUT agent text, OUT action text, OUT demand text, OUT claimed double precision, OUT used double precision,
	OUT baseline double precision, OUT net_value numeric, OUT price numeric, OUT status text, OUT status_reason text)
	RETURNS SETOF record STABLE LANGUAGE sql
BEGIN ATOMIC
	WITH r AS (
		SELECT t.client_id, t.as_of, t.round_id FROM agentcrm.recommendation t WHERE t.recommendation_id = negotiation.recommendation_id
	), rows AS (
		SELECT 0 AS part, NULL::int AS iteration, NULL AS agent, 'call' AS action, format('round %s, %s, as of %s', n.round_id, n.kind, n.as_of) AS demand,
			NULL::double precision AS claimed, NULL::double precision AS used, NULL::double precision AS baseline, round(n.plan_value::numeric, 2) AS net_value,
			NULL::numeric AS price, 'gap ' || round(100 * n.gap::numeric, 3) || ' %' AS status,
			format('bound %s, %s of 2 iterations', round(n.bound::numeric, 2), n.iterations) AS status_reason, 0::bigint AS id
		FROM r JOIN agentcrm.round n ON n.round_id = r.round_id
		UNION ALL
		SELECT 1, b.iteration, b.agent, b.action, format('%s, %s to %s', b.demand_category, b.demand_from, b.demand_to - 1),
			b.p_claim, b.p_used, b.p_baseline, round(b.net_value::numeric, 2), round(b.price::numeric, 2), b.status, b.status_reason, b.bid_id
		FROM r JOIN agentcrm.bid b ON b.client_id = r.client_id AND b.as_of = r.as_of AND b.round_id = r.round_id
	)
	SELECT (row_number() OVER w)::int, rows.iteration, rows.agent, rows.action, rows.demand, rows.claimed, rows.used, rows.baseline,
		rows.net_value, rows.price, rows.status, rows.status_reason
	FROM rows WINDOW w AS (ORDER BY rows.part, rows.iteration, rows.status <> 'accepted', rows.net_value - rows.price DESC, rows.id)
	ORDER BY 1;
END;
COMMENT ON FUNCTION agentcrm.negotiation(bigint) IS
'The negotiation that a recommendation comes from: the call (its round, the value and bound of the plan), then all bids for the client in both iterations, with what was claimed, the probability that was used, the shared baseline, value net of cost, price of the means, and why each loser lost. Money in source currency. No rows for an unknown recommendation, nor for NULL.
Example: SELECT * FROM agentcrm.negotiation(7812345678901234)';

CREATE FUNCTION agentcrm.what_if(changes jsonb, as_of timestamptz DEFAULT NULL,
	OUT item text, OUT client_id bigint, OUT before text, OUT after text)
	RETURNS SETOF record LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known CONSTANT jsonb := '{"resource": ["resource", "owner_id"], "contact_policy": ["channel"], "agent": ["agent"], "objective_policy": ["objective", "means"],
		"quiet_day": ["day", "channel"], "zone": ["zone"], "visit_day": ["rep_id", "weekday", "zone"], "rep_absence": ["rep_id", "from_day"], "rep_territory": ["territory"], "hand_over": ["from_rep_id", "from_day"]}';
	plan_before jsonb;
	plan_after jsonb;
	name text;
	change jsonb;
	columns text[];
	n_changed bigint;
BEGIN
	IF jsonb_typeof(changes) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'changes must be a jsonb object of arrays of rows' USING ERRCODE = '22023', HINT = 'For example {"resource": [{"resource": "rep_minutes", "owner_id": 3, "capacity": 480}]}.';
	END IF;
	plan_before := (SELECT jsonb_agg(to_jsonb(p)) FROM agentcrm.plan(as_of) p);
	BEGIN
		FOR name, change IN SELECT e.key, r.value FROM jsonb_each(changes) e, LATERAL jsonb_array_elements(CASE jsonb_typeof(e.value) WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END) r LOOP
			IF NOT known ? name THEN
				RAISE EXCEPTION 'there is nothing to change in %', quote_literal(name) USING ERRCODE = '22023', HINT = 'Changes may be of: ' || (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(known) k) || '.';
			END IF;
			columns := ARRAY(SELECT k FROM jsonb_object_keys(change) k WHERE NOT known -> name ? k ORDER BY k);
			n_changed := 0;
			IF columns <> '{}' THEN
				EXECUTE format('UPDATE agentcrm.%1$I t SET (%2$s) = ROW(%3$s) FROM jsonb_populate_record(NULL::agentcrm.%1$I, $1) c WHERE %4$s', name,
					(SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) c), (SELECT string_agg('c.' || quote_ident(c), ', ') FROM unnest(columns) c),
					(SELECT string_agg(format('t.%1$I IS NOT DISTINCT FROM c.%1$I', k), ' AND ') FROM jsonb_array_elements_text(known -> name) k)) USING change;
				GET DIAGNOSTICS n_changed = ROW_COUNT;
			END IF;
			IF n_changed = 0 THEN
				columns := columns || ARRAY(SELECT k FROM jsonb_array_elements_text(known -> name) k);
				EXECUTE format('INSERT INTO agentcrm.%1$I (%2$s) SELECT %2$s FROM jsonb_populate_record(NULL::agentcrm.%1$I, $1) ON CONFLICT DO NOTHING', name,
					(SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) c)) USING change;
			END IF;
		END LOOP;
		plan_after := (SELECT jsonb_agg(to_jsonb(p)) FROM agentcrm.plan(as_of) p);
		-- the changes go, the answer stays
		RAISE EXCEPTION USING ERRCODE = 'AC001';
	EXCEPTION WHEN SQLSTATE 'AC001' THEN
		NULL;
	END;
	RETURN QUERY
	WITH sides AS (
		SELECT s.side, r.part, r.item, r.client_id, r.owner_id, r.day, r.value, r.price, r.detail
		FROM (VALUES (1, plan_before), (2, plan_after)) s(side, rows), LATERAL jsonb_to_recordset(s.rows) r(part text, item text, client_id bigint, owner_id bigint, day date, value float8, price float8, detail text)
	), figures AS (
		SELECT 1 AS place, s.item, NULL::bigint AS client_id, min(round(s.value::numeric, 4)) FILTER (WHERE s.side = 1)::text AS before, min(round(s.value::numeric, 4)) FILTER (WHERE s.side = 2)::text AS after
		FROM sides s WHERE s.part = 'round' GROUP BY s.item
	), prices AS (
		SELECT 2 AS place, format('price of %s, owner %s, %s', s.item, s.owner_id, s.day) AS item, NULL::bigint AS client_id, min(round(s.price::numeric, 4)) FILTER (WHERE s.side = 1)::text AS before, min(round(s.price::numeric, 4)) FILTER (WHERE s.side = 2)::text AS after
		FROM sides s WHERE s.part = 'price' GROUP BY s.item, s.owner_id, s.day
	), clients AS (
		SELECT 3 AS place, 'client' AS item, s.client_id, string_agg(s.line, '; ' ORDER BY s.line) FILTER (WHERE s.side = 1) AS before, string_agg(s.line, '; ' ORDER BY s.line) FILTER (WHERE s.side = 2) AS after
		FROM (SELECT a.side, a.client_id, format('%s on %s (%s)', a.item, a.day, a.detail) AS line FROM sides a WHERE a.part IN ('award', 'kept')) s GROUP BY s.client_id
	), everything AS (
		SELECT * FROM figures UNION ALL SELECT * FROM prices p WHERE p.before IS DISTINCT FROM p.after UNION ALL SELECT * FROM clients c WHERE c.before IS DISTINCT FROM c.after
	)
	SELECT e.item, e.client_id, e.before, e.after FROM everything e ORDER BY e.place, e.client_id, e.item;
END $$;
COMMENT ON FUNCTION agentcrm.what_if(jsonb, timestamptz) IS
'The same plan under other limits: nothing stays changed. changes: rows by table, of resource, contact_policy, agent, objective_policy, quiet_day, zone, visit_day, rep_absence, rep_territory and hand_over, with their key and what is to be otherwise; a row that is not there is added. as_of: NULL: now.
Returns the certificate (value, bound, gap, counts), prices and clients that change, before and after. Money in source currency.
Errors: changes that are no object of rows, another table, what the table itself refuses. Not granted to PUBLIC; needs the right to change the tables. Rows are locked while it runs.
Example: SELECT * FROM agentcrm.what_if(''{"resource": [{"resource": "rep_minutes", "owner_id": 3, "capacity": 480}]}'')';
REVOKE ALL ON FUNCTION agentcrm.what_if(jsonb, timestamptz) FROM PUBLIC;

CREATE VIEW agentcrm.resource_prices AS
SELECT p.resource, p.owner_id, p.day, p.price, p.available, p.used, n.round_id, n.as_of
FROM agentcrm.round_price p JOIN agentcrm.round n ON n.round_id = p.round_id
WHERE p.round_id = (SELECT max(r.round_id) FROM agentcrm.round r WHERE r.kind = 'daily');
COMMENT ON VIEW agentcrm.resource_prices IS 'Prices in force. A price is the worth of one more unit: what the plan would gain by one more minute of a rep, slot of a channel or rouble of a budget. 0: there is more than is asked for';
COMMENT ON COLUMN agentcrm.resource_prices.resource IS 'Resource';
COMMENT ON COLUMN agentcrm.resource_prices.owner_id IS 'Rep, programme or product whose it is; 0: of all, or of clients without a rep';
COMMENT ON COLUMN agentcrm.resource_prices.day IS 'First day of the period';
COMMENT ON COLUMN agentcrm.resource_prices.price IS 'Worth of one more unit, source currency';
COMMENT ON COLUMN agentcrm.resource_prices.available IS 'What the round could award, in the resource''s unit';
COMMENT ON COLUMN agentcrm.resource_prices.used IS 'What its awards and the recommendations it kept use';
COMMENT ON COLUMN agentcrm.resource_prices.round_id IS 'Round that made them';
COMMENT ON COLUMN agentcrm.resource_prices.as_of IS 'Moment of that round';

CREATE VIEW agentcrm.plan_vs_actual AS
SELECT r.due_on AS day, r.rep_id, p.name AS rep_name, r.action, count(*)::int AS planned,
	count(*) FILTER (WHERE r.status = 'done')::int AS done, count(*) FILTER (WHERE r.status = 'declined')::int AS declined,
	count(*) FILTER (WHERE r.status IN ('expired', 'failed'))::int AS missed, count(*) FILTER (WHERE r.status IN ('withdrawn', 'displaced'))::int AS taken_back,
	count(*) FILTER (WHERE r.status IN ('open', 'shown', 'agreed', 'snoozed'))::int AS standing,
	sum(r.minutes) AS minutes_planned, coalesce(sum(r.minutes) FILTER (WHERE r.status = 'done'), 0) AS minutes_done,
	round(sum(r.value)::numeric, 2) AS value_planned, coalesce(round(sum(r.value) FILTER (WHERE r.status = 'done')::numeric, 2), 0) AS value_done
FROM agentcrm.recommendation r LEFT JOIN agentcrm.rep p ON p.rep_id = r.rep_id
GROUP BY r.due_on, r.rep_id, p.name, r.action;
COMMENT ON VIEW agentcrm.plan_vs_actual IS 'What was planned for a rep, day and action, and what became of it';
COMMENT ON COLUMN agentcrm.plan_vs_actual.day IS 'Day on which it was to be done';
COMMENT ON COLUMN agentcrm.plan_vs_actual.rep_id IS 'Rep; NULL for clients without one';
COMMENT ON COLUMN agentcrm.plan_vs_actual.rep_name IS 'Name of the rep';
COMMENT ON COLUMN agentcrm.plan_vs_actual.action IS 'call, visit, message, order_suggestion, programme or check';
COMMENT ON COLUMN agentcrm.plan_vs_actual.planned IS 'Recommendations, whatever became of them';
COMMENT ON COLUMN agentcrm.plan_vs_actual.done IS 'Of these done, or answered by an order after somebody had taken them up';
COMMENT ON COLUMN agentcrm.plan_vs_actual.declined IS 'Of these declined';
COMMENT ON COLUMN agentcrm.plan_vs_actual.missed IS 'Of these expired, or agreed and not done';
COMMENT ON COLUMN agentcrm.plan_vs_actual.taken_back IS 'Of these withdrawn or displaced before anybody saw them';
COMMENT ON COLUMN agentcrm.plan_vs_actual.standing IS 'Of these still standing';
COMMENT ON COLUMN agentcrm.plan_vs_actual.minutes_planned IS 'Minutes of the rep that all would take';
COMMENT ON COLUMN agentcrm.plan_vs_actual.minutes_done IS 'Minutes of those done';
COMMENT ON COLUMN agentcrm.plan_vs_actual.value_planned IS 'Expected incremental margin net of cost, source currency';
COMMENT ON COLUMN agentcrm.plan_vs_actual.value_done IS 'Of those done';

CREATE VIEW agentcrm.satisfaction AS
SELECT b.agent, b.round_id, b.as_of, count(*)::int AS clients, round(sum(b.best)::numeric, 2) AS best_value, round(sum(b.won)::numeric, 2) AS value_won,
	CASE WHEN sum(b.best) > 0 THEN sum(b.won) / sum(b.best) END AS satisfaction
FROM (SELECT t.agent, t.round_id, t.as_of, t.client_id, max(t.net_value) AS best, coalesce(sum(t.net_value) FILTER (WHERE t.status = 'accepted'), 0) AS won
	FROM agentcrm.bid t WHERE t.net_value > 0 AND NOT t.obligation AND coalesce(t.status_reason, '') NOT IN ('shadow', 'late', 'do_not_contact', 'suppressed', 'quiet_day')
	GROUP BY t.agent, t.round_id, t.as_of, t.client_id) b
GROUP BY b.agent, b.round_id, b.as_of;
COMMENT ON VIEW agentcrm.satisfaction IS 'How an agent came off in a round: the value that it won, against its best bids that could have been awarded';
COMMENT ON COLUMN agentcrm.satisfaction.agent IS 'Agent';
COMMENT ON COLUMN agentcrm.satisfaction.round_id IS 'Round';
COMMENT ON COLUMN agentcrm.satisfaction.as_of IS 'Moment of the round';
COMMENT ON COLUMN agentcrm.satisfaction.clients IS 'Clients for which it bid something worth more than it costs';
COMMENT ON COLUMN agentcrm.satisfaction.best_value IS 'Value net of cost of its best bid for each, source currency';
COMMENT ON COLUMN agentcrm.satisfaction.value_won IS 'Value net of cost of its accepted bids, source currency';
COMMENT ON COLUMN agentcrm.satisfaction.satisfaction IS 'value_won / best_value; may exceed 1 where several bids for a client were accepted';
