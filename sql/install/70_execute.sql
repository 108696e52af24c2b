-- execute/: recommendations, their life, and what people say of them

CREATE TABLE agentcrm.recommendation (
	client_id			bigint NOT NULL,
	recommendation_id	bigint NOT NULL,
	rep_id				bigint,
	agent				text NOT NULL,
	action				text NOT NULL,
	channel				text,
	product_id			bigint,
	basket				jsonb,
	quantity			numeric,
	demand_category		text NOT NULL,
	demand_from			date NOT NULL,
	demand_to			date NOT NULL,
	due_on				date NOT NULL,
	expires_at			timestamptz NOT NULL,
	value				double precision NOT NULL,
	cost				numeric NOT NULL,
	minutes				numeric NOT NULL,
	status				text NOT NULL CHECK (status IN ('open', 'shown', 'agreed', 'declined', 'snoozed', 'done', 'failed', 'expired', 'withdrawn', 'displaced', 'withheld')),
	status_reason		text,
	reason_code			text NOT NULL,
	reason				text NOT NULL,
	effect				text NOT NULL,
	as_of				timestamptz NOT NULL,
	round_id			bigint NOT NULL,
	bid_id				bigint NOT NULL,
	updated_at			timestamptz NOT NULL,
	obligation			boolean NOT NULL DEFAULT false,
	PRIMARY KEY (client_id, recommendation_id)
);
CREATE INDEX recommendation_recommendation_id_idx ON agentcrm.recommendation (recommendation_id);
CREATE UNIQUE INDEX recommendation_client_id_action_demand_idx ON agentcrm.recommendation (client_id, action, demand_category)
	WHERE status IN ('open', 'shown', 'agreed', 'snoozed');
CREATE INDEX recommendation_expires_at_idx ON agentcrm.recommendation (expires_at) WHERE status IN ('open', 'shown', 'agreed', 'snoozed');
CREATE INDEX recommendation_rep_id_due_on_idx ON agentcrm.recommendation (rep_id, due_on) WHERE status IN ('open', 'shown', 'agreed', 'snoozed');
COMMENT ON TABLE agentcrm.recommendation IS 'What agentcrm recommends to do for a client, and what became of it';
COMMENT ON COLUMN agentcrm.recommendation.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.recommendation.recommendation_id IS 'Hash of client, round, agent, action, product and demand: the id of its bid';
COMMENT ON COLUMN agentcrm.recommendation.rep_id IS 'Rep who is to do it; NULL where none is known';
COMMENT ON COLUMN agentcrm.recommendation.agent IS 'Agent whose bid was accepted';
COMMENT ON COLUMN agentcrm.recommendation.action IS 'call, visit, message, order_suggestion, programme or check';
COMMENT ON COLUMN agentcrm.recommendation.channel IS 'Channel';
COMMENT ON COLUMN agentcrm.recommendation.product_id IS 'Product, where the action is about one';
COMMENT ON COLUMN agentcrm.recommendation.basket IS 'Suggested lines: array of {product_id, name, quantity, p}';
COMMENT ON COLUMN agentcrm.recommendation.quantity IS 'Suggested quantity of product_id';
COMMENT ON COLUMN agentcrm.recommendation.demand_category IS 'Category of the demand, * for any';
COMMENT ON COLUMN agentcrm.recommendation.demand_from IS 'First day of the demand window';
COMMENT ON COLUMN agentcrm.recommendation.demand_to IS 'Day after the last of the demand window';
COMMENT ON COLUMN agentcrm.recommendation.due_on IS 'Day on which to do it';
COMMENT ON COLUMN agentcrm.recommendation.expires_at IS 'When it lapses';
COMMENT ON COLUMN agentcrm.recommendation.value IS 'Expected incremental margin net of cost, source currency: the ranking';
COMMENT ON COLUMN agentcrm.recommendation.cost IS 'Cost of the action, source currency';
COMMENT ON COLUMN agentcrm.recommendation.minutes IS 'Minutes of the rep it takes';
COMMENT ON COLUMN agentcrm.recommendation.status IS 'open, shown, agreed, snoozed; or ended: declined, done, failed, expired, withdrawn, displaced, withheld';
COMMENT ON COLUMN agentcrm.recommendation.status_reason IS 'Why it ended, e.g. answered by order 11078';
COMMENT ON COLUMN agentcrm.recommendation.reason_code IS 'Code of the reason';
COMMENT ON COLUMN agentcrm.recommendation.reason IS 'The reason in a sentence';
COMMENT ON COLUMN agentcrm.recommendation.effect IS 'Whether the effect of the action is assumed or measured';
COMMENT ON COLUMN agentcrm.recommendation.as_of IS 'Moment for which the agents judged';
COMMENT ON COLUMN agentcrm.recommendation.round_id IS 'Round in which it was awarded';
COMMENT ON COLUMN agentcrm.recommendation.bid_id IS 'The accepted bid';
COMMENT ON COLUMN agentcrm.recommendation.updated_at IS 'Last change of status';
COMMENT ON COLUMN agentcrm.recommendation.obligation IS 'Awarded by rule and never counted as lift: a complaint, a request with a deadline';

CREATE FUNCTION agentcrm.check_transition() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'agentcrm_check_transition';
COMMENT ON FUNCTION agentcrm.check_transition() IS 'Internal: refuses a status that cannot follow the one before; what has ended stays ended';
CREATE TRIGGER check_transition BEFORE UPDATE OF status ON agentcrm.recommendation
	FOR EACH ROW EXECUTE FUNCTION agentcrm.check_transition();

CREATE TABLE agentcrm.feedback (
	client_id			bigint NOT NULL,
	recommendation_id	bigint NOT NULL,
	at					timestamptz NOT NULL,
	given_by			text NOT NULL,
	verdict				text NOT NULL CHECK (verdict IN ('shown', 'agreed', 'declined', 'snoozed', 'done')),
	note				text,
	PRIMARY KEY (client_id, recommendation_id, at, verdict)
);
COMMENT ON TABLE agentcrm.feedback IS 'Verdicts of people and applications on recommendations; append only';
COMMENT ON COLUMN agentcrm.feedback.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.feedback.recommendation_id IS 'Recommendation';
COMMENT ON COLUMN agentcrm.feedback.at IS 'When';
COMMENT ON COLUMN agentcrm.feedback.given_by IS 'Role that gave it';
COMMENT ON COLUMN agentcrm.feedback.verdict IS 'shown, agreed, declined, snoozed or done';
COMMENT ON COLUMN agentcrm.feedback.note IS 'Free text';

CREATE FUNCTION agentcrm.feedback(recommendation_id bigint, verdict text, note text DEFAULT NULL)
	RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_feedback';
COMMENT ON FUNCTION agentcrm.feedback(bigint, text, text) IS
'Says what became of a recommendation. verdict: shown (a rep or client has seen it), agreed (somebody will do it), snoozed (not now; it stands until it expires), declined, done. note: free text.
shown and agreed may follow open, shown and snoozed; snoozed, declined and done may follow any of open, shown, agreed, snoozed; nothing may follow an end. declined gives the rep''s minutes of today and later back, done those of later days.
Kept in agentcrm.feedback with the calling role. Errors: an unknown recommendation or verdict, a verdict that cannot follow. Not granted to PUBLIC: grant EXECUTE to the roles of applications.
Example: SELECT agentcrm.feedback(7812345678901234, ''done'', ''ordered by phone'')';
REVOKE ALL ON FUNCTION agentcrm.feedback(bigint, text, text) FROM PUBLIC;

CREATE FUNCTION agentcrm.drop_agent(name text) RETURNS void LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_drop_agent';
COMMENT ON FUNCTION agentcrm.drop_agent(text) IS
'Takes an agent away. Its recommendations that nobody has seen yet are withdrawn (agent dropped) and give their means back; what was communicated, its bids and their outcomes stay. Its function is not touched. Errors: NULL, an unknown agent. Not granted to PUBLIC.
Example: SELECT agentcrm.drop_agent(''birthday'')';
REVOKE ALL ON FUNCTION agentcrm.drop_agent(text) FROM PUBLIC;

CREATE FUNCTION agentcrm.forget(client_id bigint, OUT table_name text, OUT rows_erased bigint)
	RETURNS SETOF record LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_forget';
COMMENT ON FUNCTION agentcrm.forget(bigint) IS
'Erases a client, and all that were merged into it or it into, from all that agentcrm keeps: ledger and its history, profile, state, bids, recommendations, feedback, identity. Totals per product are corrected.
client_id: client. Returns the rows erased per table; zeros for an unknown client; NULL is an error. Waits for the running step of the worker.
The application''s own tables are not touched: as long as the application still holds the client, a change of one of its rows or a resync brings it back, so erase it there first. Fitted models keep what they learnt in sums over all clients. Not granted to PUBLIC.
Example: SELECT * FROM agentcrm.forget(42)';
REVOKE ALL ON FUNCTION agentcrm.forget(bigint) FROM PUBLIC;

CREATE FUNCTION agentcrm.client_id_of(client_key text) RETURNS bigint STABLE STRICT LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_client_id_of';
COMMENT ON FUNCTION agentcrm.client_id_of(text) IS
'The client_id of a client, by the application''s own key; of the one it was merged into, if any. Errors: an unknown key; a key that several namespaces hold (ask agentcrm.client for its client_id then). NULL for a NULL key, so that it may be asked of rows without one.
Example: SELECT agentcrm.client_id_of(''ALFKI'')';

CREATE FUNCTION agentcrm.same_client(client bigint) RETURNS SETOF bigint STABLE STRICT ROWS 2 LANGUAGE sql
BEGIN ATOMIC
	SELECT c.client_id FROM agentcrm.client c
	WHERE c.client_id = coalesce((SELECT o.survivor_client_id FROM agentcrm.client o WHERE o.client_id = same_client.client), same_client.client)
	UNION ALL SELECT c.client_id FROM agentcrm.client c
	WHERE c.survivor_client_id = coalesce((SELECT o.survivor_client_id FROM agentcrm.client o WHERE o.client_id = same_client.client), same_client.client);
END;
COMMENT ON FUNCTION agentcrm.same_client(bigint) IS
'All ids of a client: the one it counts under, then those merged into it, whichever of them is given. Recommendations, feedback and stage history of a merge lie under each, as they came about. No rows for an unknown client, nor for NULL.
Example: SELECT * FROM agentcrm.stage_change WHERE client_id IN (SELECT agentcrm.same_client(42))';

CREATE FUNCTION agentcrm.next_actions(client bigint, n int DEFAULT 5,
	OUT rank int, OUT due_on date, OUT action text, OUT channel text, OUT reason text, OUT value numeric,
	OUT basket jsonb, OUT status text, OUT recommendation_id bigint)
	RETURNS SETOF record STABLE LANGUAGE sql
BEGIN ATOMIC
	SELECT (row_number() OVER (ORDER BY r.value DESC, r.recommendation_id))::int, r.due_on, r.action, r.channel, r.reason,
		round(r.value::numeric, 2), r.basket, r.status, r.recommendation_id
	FROM agentcrm.recommendation r
	WHERE r.client_id IN (SELECT i FROM agentcrm.same_client(next_actions.client) i) AND r.status IN ('open', 'shown', 'agreed', 'snoozed')
	ORDER BY 1
	LIMIT next_actions.n;
END;
COMMENT ON FUNCTION agentcrm.next_actions(bigint, int) IS
'What is recommended for a client now: at most n standing recommendations, best first. value: expected incremental margin net of cost, source currency. No rows when nothing is, nor for a NULL client, so that it may be joined to rows without one; all for a NULL n.
Example: SELECT rank, due_on, action, reason FROM agentcrm.next_actions(42)';

CREATE FUNCTION agentcrm.next_actions(client_key text, n int DEFAULT 5,
	OUT rank int, OUT due_on date, OUT action text, OUT channel text, OUT reason text, OUT value numeric,
	OUT basket jsonb, OUT status text, OUT recommendation_id bigint)
	RETURNS SETOF record STABLE LANGUAGE sql
BEGIN ATOMIC
	SELECT a.rank, a.due_on, a.action, a.channel, a.reason, a.value, a.basket, a.status, a.recommendation_id
	FROM agentcrm.next_actions(agentcrm.client_id_of(next_actions.client_key), next_actions.n) a;
END;
COMMENT ON FUNCTION agentcrm.next_actions(text, int) IS
'The same by the application''s own client key. Errors, and NULL, as agentcrm.client_id_of.
Example: SELECT rank, due_on, action, reason FROM agentcrm.next_actions(''ALFKI'')';

CREATE FUNCTION agentcrm.why(recommendation_id bigint, OUT item text, OUT detail text)
	RETURNS SETOF record STABLE LANGUAGE sql
BEGIN ATOMIC
	WITH r AS (
		SELECT t.* FROM agentcrm.recommendation t WHERE t.recommendation_id = why.recommendation_id
	), b AS (
		SELECT b.* FROM r JOIN agentcrm.bid b ON b.client_id = r.client_id AND b.as_of = r.as_of AND b.bid_id = r.bid_id
	), rows AS (
		SELECT 1 AS part, 0::double precision AS place, 'client' AS item, coalesce(c.name, c.client_key, r.client_id::text) AS detail
		FROM r LEFT JOIN agentcrm.client c ON c.client_id = r.client_id
		UNION ALL SELECT 2, 0, 'action', format('%s (%s) on %s, proposed by %s', r.action, coalesce(r.channel, 'no channel'), r.due_on, r.agent) FROM r
		UNION ALL SELECT 3, 0, 'status', r.status || coalesce(': ' || r.status_reason, '') FROM r
		UNION ALL SELECT 4, 0, 'reason', r.reason FROM r
		UNION ALL SELECT 5, 0, 'demand', format('%s, %s to %s', CASE r.demand_category WHEN '*' THEN 'any order' ELSE 'category ' || r.demand_category END, r.demand_from, r.demand_to - 1) FROM r
		UNION ALL SELECT 6, 0, 'value', format('(%s - %s) x margin %s = %s%s, cost %s, net %s', round(b.p_used::numeric, 4), round(b.p_baseline::numeric, 4), round(b.margin, 2), round(b.value::numeric, 2), CASE WHEN b.residual = 0 THEN '' ELSE ', beyond the horizon ' || round(b.residual::numeric, 2) END, round(b.cost, 2), round(b.net_value::numeric, 2)) FROM b
		UNION ALL SELECT 7, 0, 'effect', b.effect || CASE WHEN b.effect_n = 0 THEN '' ELSE ', n = ' || b.effect_n END || CASE WHEN b.p_claim IS NULL THEN ', theta ' || round(b.theta::numeric, 4) ELSE format(', claimed %s, believed x %s, gain x %s', round(b.p_claim::numeric, 4), round(b.trust_claim::numeric, 4), round(b.trust_lift::numeric, 4)) END FROM b
		UNION ALL SELECT 8, e.place, e.key, e.value FROM b, jsonb_each_text(b.evidence -> 'values') WITH ORDINALITY e(key, value, place)
		UNION ALL SELECT 9, 0, 'query', b.evidence ->> 'query' FROM b
		UNION ALL SELECT 10, -o.net_value, 'other bid', format('%s %s by %s, net %s: %s', o.action, o.demand_category, o.agent, round(o.net_value::numeric, 2), coalesce(o.status_reason, o.status))
		FROM b JOIN agentcrm.bid o ON o.client_id = b.client_id AND o.as_of = b.as_of AND o.round_id = b.round_id AND o.bid_id <> b.bid_id
	)
	SELECT rows.item, rows.detail FROM rows ORDER BY rows.part, rows.place, rows.detail;
END;
COMMENT ON FUNCTION agentcrm.why(bigint) IS
'Why a recommendation was made: client, action, reason, how its value is reckoned, the evidence with the query that derives it again, and the other bids of the round for this client. No rows for an unknown recommendation, nor for NULL.
Example: SELECT * FROM agentcrm.why(7812345678901234)';

CREATE VIEW agentcrm.work_list AS
SELECT r.rep_id, p.name AS rep_name, r.due_on AS day,
	(row_number() OVER (PARTITION BY r.rep_id, r.due_on ORDER BY r.value DESC, r.recommendation_id))::int AS rank,
	c.client_id, c.name AS client_name, r.action, r.channel, r.reason, round(r.value::numeric, 2) AS value, r.minutes,
	r.recommendation_id
FROM agentcrm.recommendation r
LEFT JOIN agentcrm.rep p ON p.rep_id = r.rep_id
LEFT JOIN agentcrm.client m ON m.client_id = r.client_id
LEFT JOIN agentcrm.client c ON c.client_id = coalesce(m.survivor_client_id, m.client_id)
WHERE r.status IN ('open', 'shown', 'agreed', 'snoozed');
COMMENT ON VIEW agentcrm.work_list IS 'What reps are to do: standing recommendations by rep and day, best first';
COMMENT ON COLUMN agentcrm.work_list.rep_id IS 'Rep; NULL for clients without one';
COMMENT ON COLUMN agentcrm.work_list.rep_name IS 'Name of the rep';
COMMENT ON COLUMN agentcrm.work_list.day IS 'Day on which to do it; past days are overdue';
COMMENT ON COLUMN agentcrm.work_list.rank IS 'Place within rep and day by value';
COMMENT ON COLUMN agentcrm.work_list.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.work_list.client_name IS 'Name of the client';
COMMENT ON COLUMN agentcrm.work_list.action IS 'call, visit, message, order_suggestion, programme or check';
COMMENT ON COLUMN agentcrm.work_list.channel IS 'Channel';
COMMENT ON COLUMN agentcrm.work_list.reason IS 'The reason in a sentence';
COMMENT ON COLUMN agentcrm.work_list.value IS 'Expected incremental margin net of cost, source currency';
COMMENT ON COLUMN agentcrm.work_list.minutes IS 'Minutes it takes';
COMMENT ON COLUMN agentcrm.work_list.recommendation_id IS 'Recommendation, for agentcrm.feedback and agentcrm.why';
