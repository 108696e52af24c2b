-- plan/: rounds of negotiation, contact policy, resources and awards

CREATE TABLE agentcrm.round (
	round_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind		text NOT NULL CHECK (kind IN ('event', 'due', 'daily')),
	as_of		timestamptz NOT NULL,
	seed		bigint NOT NULL,
	clients		int NOT NULL,
	bids		int NOT NULL,
	awards		int NOT NULL,
	value		double precision NOT NULL,
	limits		jsonb NOT NULL DEFAULT '{}',
	duration	interval NOT NULL,
	iterations	int NOT NULL DEFAULT 1 CHECK (iterations IN (1, 2)),
	first_value	double precision NOT NULL DEFAULT 0,
	plan_value	double precision NOT NULL DEFAULT 0,
	bound		double precision NOT NULL DEFAULT 0,
	gap			double precision GENERATED ALWAYS AS (CASE WHEN bound > 0 THEN (bound - plan_value) / bound ELSE 0 END) STORED,
	passes		int NOT NULL DEFAULT 0
);
CREATE INDEX round_daily_idx ON agentcrm.round (round_id) WHERE kind = 'daily';
COMMENT ON TABLE agentcrm.round IS 'Rounds of negotiation: a call to the agents for some clients, and what came of it';
COMMENT ON COLUMN agentcrm.round.round_id IS 'Round';
COMMENT ON COLUMN agentcrm.round.kind IS 'event: clients touched by orders; due: clients whose time to be looked at had come; daily: all clients, with prices made anew';
COMMENT ON COLUMN agentcrm.round.as_of IS 'Moment for which the agents judged';
COMMENT ON COLUMN agentcrm.round.seed IS 'Seed of the round''s random numbers';
COMMENT ON COLUMN agentcrm.round.clients IS 'Clients called for';
COMMENT ON COLUMN agentcrm.round.bids IS 'Bids received';
COMMENT ON COLUMN agentcrm.round.awards IS 'Bids accepted';
COMMENT ON COLUMN agentcrm.round.value IS 'Expected incremental value of the awards, net of cost, source currency';
COMMENT ON COLUMN agentcrm.round.limits IS 'Settings in force, the agents that answered, and how many refusals and looks they gave';
COMMENT ON COLUMN agentcrm.round.duration IS 'How long the round took';
COMMENT ON COLUMN agentcrm.round.iterations IS 'Calls made: 2 when bids that lacked means were asked for something cheaper';
COMMENT ON COLUMN agentcrm.round.first_value IS 'Value of the plan after the first iteration, source currency';
COMMENT ON COLUMN agentcrm.round.plan_value IS 'Value of the plan in the market: bids won and unseen recommendations kept (these with the displacement penalty on top), source currency';
COMMENT ON COLUMN agentcrm.round.bound IS 'No plan for these bids within these limits is worth more (Lagrangian bound at the prices), source currency';
COMMENT ON COLUMN agentcrm.round.gap IS 'Share of the bound that the plan may miss at most: (bound - plan_value) / bound';
COMMENT ON COLUMN agentcrm.round.passes IS 'Passes over all clients until the prices stood';

CREATE TABLE agentcrm.round_price (
	round_id	bigint NOT NULL,
	resource	text NOT NULL,
	owner_id	bigint NOT NULL,
	day			date NOT NULL,
	price		double precision NOT NULL,
	available	double precision NOT NULL,
	used		double precision NOT NULL,
	PRIMARY KEY (round_id, resource, owner_id, day)
);
COMMENT ON TABLE agentcrm.round_price IS 'Prices of the means that a daily round made: the worth of one more minute, slot or rouble';
COMMENT ON COLUMN agentcrm.round_price.round_id IS 'Round';
COMMENT ON COLUMN agentcrm.round_price.resource IS 'Resource';
COMMENT ON COLUMN agentcrm.round_price.owner_id IS 'Rep, programme or product whose it is; 0: of all';
COMMENT ON COLUMN agentcrm.round_price.day IS 'First day of the period';
COMMENT ON COLUMN agentcrm.round_price.price IS 'Worth of one more unit, source currency';
COMMENT ON COLUMN agentcrm.round_price.available IS 'What the round could award, in the resource''s unit; of a floor what was still missing';
COMMENT ON COLUMN agentcrm.round_price.used IS 'What its awards and the recommendations it kept use';

CREATE TABLE agentcrm.bid (
	client_id		bigint NOT NULL,
	as_of			timestamptz NOT NULL,
	bid_id			bigint NOT NULL,
	round_id		bigint NOT NULL,
	iteration		int NOT NULL DEFAULT 1 CHECK (iteration IN (1, 2)),
	agent			text NOT NULL,
	action			text NOT NULL,
	channel			text,
	product_id		bigint,
	basket			jsonb,
	quantity		numeric,
	programme_id	bigint,
	demand_category	text NOT NULL,
	demand_from		date NOT NULL,
	demand_to		date NOT NULL,
	obligation		boolean NOT NULL DEFAULT false,
	explore			boolean NOT NULL DEFAULT false,
	p_claim			double precision,
	p_baseline		double precision NOT NULL,
	p_used			double precision NOT NULL,
	margin			numeric NOT NULL,
	value			double precision NOT NULL,
	residual		double precision NOT NULL DEFAULT 0,
	cost			numeric NOT NULL,
	net_value		double precision NOT NULL,
	uses			jsonb NOT NULL,
	effect			text NOT NULL CHECK (effect IN ('assumed', 'measured')),
	effect_n		int NOT NULL DEFAULT 0,
	theta			double precision NOT NULL DEFAULT 0,
	trust_claim		double precision NOT NULL DEFAULT 1,
	trust_lift		double precision NOT NULL DEFAULT 1,
	valid_until		timestamptz NOT NULL,
	status			text NOT NULL CHECK (status IN ('proposed', 'accepted', 'rejected', 'withheld', 'withdrawn', 'late', 'invalid')),
	status_reason	text CHECK (status_reason ~ '^(outbid|capacity:.+|budget:-?\d+|contact_cap|cooldown|excluded_by:-?\d+|holdout|below_reserve|stock|credit_hold|do_not_contact|quiet_day|suppressed|shadow|paused|late|invalid|error|timeout|trust)$'),
	due_on			date,
	rep_id			bigint,
	price			double precision NOT NULL DEFAULT 0,
	reason_code		text NOT NULL,
	reason			text NOT NULL,
	evidence		jsonb NOT NULL,
	models			jsonb NOT NULL DEFAULT '{}',
	CHECK ((status = 'rejected') = (status_reason IS NOT NULL)),
	CHECK ((status IN ('accepted', 'withheld')) = (due_on IS NOT NULL)),
	PRIMARY KEY (client_id, as_of, bid_id)
) PARTITION BY RANGE (as_of);
CREATE TABLE agentcrm.bid_rest PARTITION OF agentcrm.bid DEFAULT;
CREATE INDEX bid_round_id_idx ON agentcrm.bid (round_id);
COMMENT ON TABLE agentcrm.bid IS 'Bids of the agents, awarded or not, with the reason';
COMMENT ON TABLE agentcrm.bid_rest IS 'Bids of all times that have no partition of their own';
COMMENT ON COLUMN agentcrm.bid.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.bid.as_of IS 'Moment of the round';
COMMENT ON COLUMN agentcrm.bid.bid_id IS 'Hash of client, round, agent, action, product and demand';
COMMENT ON COLUMN agentcrm.bid.round_id IS 'Round';
COMMENT ON COLUMN agentcrm.bid.iteration IS '1: answer to the call; 2: something cheaper, after a bid was rejected for want of means';
COMMENT ON COLUMN agentcrm.bid.agent IS 'Agent';
COMMENT ON COLUMN agentcrm.bid.action IS 'call, visit, message, order_suggestion, programme or check';
COMMENT ON COLUMN agentcrm.bid.channel IS 'Channel';
COMMENT ON COLUMN agentcrm.bid.product_id IS 'Product, where the action is about one';
COMMENT ON COLUMN agentcrm.bid.basket IS 'Suggested lines: array of {product_id, name, quantity, p}';
COMMENT ON COLUMN agentcrm.bid.quantity IS 'Suggested quantity of product_id';
COMMENT ON COLUMN agentcrm.bid.programme_id IS 'Programme';
COMMENT ON COLUMN agentcrm.bid.demand_category IS 'Category of the demand, * for any';
COMMENT ON COLUMN agentcrm.bid.demand_from IS 'First day of the demand window';
COMMENT ON COLUMN agentcrm.bid.demand_to IS 'Day after the last of the demand window';
COMMENT ON COLUMN agentcrm.bid.obligation IS 'Awarded by rule, before the market and never counted as lift: a complaint, a request with a deadline';
COMMENT ON COLUMN agentcrm.bid.explore IS 'Bid to learn from: paid from the exploration share';
COMMENT ON COLUMN agentcrm.bid.p_claim IS 'Probability the agent claims, if it claims its own';
COMMENT ON COLUMN agentcrm.bid.p_baseline IS 'Probability that the demand is bought if nothing is done, from the shared baseline';
COMMENT ON COLUMN agentcrm.bid.p_used IS 'Probability with the action that the coordinator reckons with';
COMMENT ON COLUMN agentcrm.bid.margin IS 'Margin when the demand is bought, source currency';
COMMENT ON COLUMN agentcrm.bid.value IS 'Expected incremental margin within the horizon: (p_used - p_baseline) x margin, source currency';
COMMENT ON COLUMN agentcrm.bid.residual IS 'Expected incremental margin of the year beyond the horizon, of an action that keeps a client: what it changes of P(alive) x what a living client brings then, source currency';
COMMENT ON COLUMN agentcrm.bid.cost IS 'Cost of the action, source currency';
COMMENT ON COLUMN agentcrm.bid.net_value IS 'value + residual - cost, source currency: the ranking';
COMMENT ON COLUMN agentcrm.bid.uses IS 'Means used: resource -> amount';
COMMENT ON COLUMN agentcrm.bid.effect IS 'Whether the effect of the action is assumed or measured';
COMMENT ON COLUMN agentcrm.bid.effect_n IS 'Cases that the effect was measured on';
COMMENT ON COLUMN agentcrm.bid.theta IS 'Effect of the action on the log odds of the demand, for clients of this stage and channel as far as known';
COMMENT ON COLUMN agentcrm.bid.trust_claim IS 'Share of what such claims of the agent came to; 1 where nothing is known. p_claim is believed so far';
COMMENT ON COLUMN agentcrm.bid.trust_lift IS 'Share of the gain that the agent claimed of such actions that treated clients had over withheld ones; 1 where nothing is known';
COMMENT ON COLUMN agentcrm.bid.valid_until IS 'When the bid lapses';
COMMENT ON COLUMN agentcrm.bid.status IS 'What became of the bid';
COMMENT ON COLUMN agentcrm.bid.status_reason IS 'Why it was not accepted: below_reserve, do_not_contact, suppressed (the client is closed, or ignored the last ones), quiet_day, shadow, late, excluded_by:<bid or recommendation that has the same demand>, contact_cap, cooldown, capacity:<resource> or budget:<resource> (others are worth more at its price), stock, outbid';
COMMENT ON COLUMN agentcrm.bid.due_on IS 'Day on which it is to be done, when accepted';
COMMENT ON COLUMN agentcrm.bid.rep_id IS 'Rep who is to do it, when accepted';
COMMENT ON COLUMN agentcrm.bid.price IS 'What the means that it uses cost at the round''s prices, or would have cost, source currency';
COMMENT ON COLUMN agentcrm.bid.reason_code IS 'Code of the agent''s reason';
COMMENT ON COLUMN agentcrm.bid.reason IS 'The agent''s reason in a sentence';
COMMENT ON COLUMN agentcrm.bid.evidence IS 'query, parameters and values that re-derive the reason';
COMMENT ON COLUMN agentcrm.bid.models IS 'Model generations used: kind -> model_id';

-- ---- what was learnt of actions and agents ----

CREATE FUNCTION agentcrm.effect_posterior(prior_mean double precision, prior_sd double precision, treated double precision, treated_bought double precision,
	withheld double precision, withheld_bought double precision, OUT mean double precision, OUT sd double precision)
	IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_effect_posterior';
COMMENT ON FUNCTION agentcrm.effect_posterior(double precision, double precision, double precision, double precision, double precision, double precision) IS
'What is believed of an effect (log odds) after treated and withheld cases: normal prior, log odds ratio with Woolf''s variance, half a case added to each cell. NULL for a NULL. Errors: more bought than there are, negative counts, a prior without spread.
Example: SELECT * FROM agentcrm.effect_posterior(0.2, 0.3, 900, 360, 100, 30)';
CREATE FUNCTION agentcrm.trust_factor(got double precision, claimed double precision, pool double precision DEFAULT 1) RETURNS double precision
	IMMUTABLE STRICT PARALLEL SAFE LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_trust_factor';
COMMENT ON FUNCTION agentcrm.trust_factor(double precision, double precision, double precision) IS
'How far an agent is believed: (12 pool + got) / (12 + claimed), between 0 and 2; sums over cases, in probability units. NULL for a NULL. Errors: a number that is not finite, a negative claimed.
Example: SELECT agentcrm.trust_factor(24, 48)';

CREATE FUNCTION agentcrm.learn(outcomes jsonb, as_of timestamptz) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH cases AS (
		SELECT o.agent, o.action, o.stage, o.segment, o.claim, o.gain, o.treated, o.bought::int AS bought
		FROM jsonb_to_recordset(outcomes) o(agent text, action text, stage text, segment text, claim float8, gain float8, treated boolean, bought boolean)
		WHERE o.action IS NOT NULL AND o.treated IS NOT NULL AND o.bought IS NOT NULL
	), sums AS (
		SELECT c.action, c.stage, c.segment, grouping(c.stage) AS all_stages, grouping(c.segment) AS all_segments, count(*) AS n,
			count(*) FILTER (WHERE c.treated) AS t, coalesce(sum(c.bought) FILTER (WHERE c.treated), 0) AS tb,
			count(*) FILTER (WHERE NOT c.treated) AS w, coalesce(sum(c.bought) FILTER (WHERE NOT c.treated), 0) AS wb
		FROM cases c GROUP BY GROUPING SETS ((c.action), (c.action, c.stage), (c.action, c.stage, c.segment))
	), whole AS (
		SELECT s.action, s.n, e.mean, e.sd
		FROM sums s, LATERAL agentcrm.effect_posterior(CASE s.action WHEN 'programme' THEN 0 ELSE 0.2 END, CASE s.action WHEN 'programme' THEN 0.2 ELSE 0.3 END, s.t, s.tb, s.w, s.wb) e
		WHERE s.all_stages = 1 AND s.t > 0 AND s.w > 0
	), by_stage AS (
		SELECT s.action, s.stage, s.n, e.mean, e.sd
		FROM sums s JOIN whole p ON p.action = s.action, LATERAL agentcrm.effect_posterior(p.mean, sqrt(p.sd ^ 2 + 0.15 ^ 2), s.t, s.tb, s.w, s.wb) e
		WHERE s.all_stages = 0 AND s.all_segments = 1 AND s.stage IS NOT NULL AND s.t > 0 AND s.w > 0
	), by_segment AS (
		SELECT s.action, s.stage, s.segment, s.n, e.mean, e.sd
		FROM sums s JOIN by_stage p ON (p.action, p.stage) = (s.action, s.stage), LATERAL agentcrm.effect_posterior(p.mean, sqrt(p.sd ^ 2 + 0.15 ^ 2), s.t, s.tb, s.w, s.wb) e
		WHERE s.all_segments = 0 AND s.segment IS NOT NULL AND s.t > 0 AND s.w > 0
	), effects AS (
		SELECT w.action, NULL AS stage, NULL AS segment, w.n, w.mean, w.sd FROM whole w
		UNION ALL SELECT s.action, s.stage, NULL, s.n, s.mean, s.sd FROM by_stage s
		UNION ALL SELECT * FROM (SELECT g.action, g.stage, g.segment, g.n, g.mean, g.sd FROM by_segment g) g
	), claims AS (
		SELECT c.agent, least(floor(c.claim * 5), 4)::int AS bin, agentcrm.trust_factor(sum(c.bought), sum(c.claim)) AS kappa, count(*) AS n
		FROM cases c WHERE c.treated AND c.agent IS NOT NULL AND c.claim BETWEEN 0 AND 1 GROUP BY 1, 2
	), gained AS (
		SELECT c.agent, c.action, count(*) AS n, coalesce(sum(c.gain) FILTER (WHERE c.treated), 0) AS claimed,
			count(*) FILTER (WHERE c.treated) * (avg(c.bought) FILTER (WHERE c.treated) - avg(c.bought) FILTER (WHERE NOT c.treated)) AS got
		FROM cases c WHERE c.agent IS NOT NULL AND c.gain IS NOT NULL GROUP BY 1, 2
	), pool AS (
		SELECT g.agent, agentcrm.trust_factor(sum(g.got), sum(greatest(g.claimed, 0))) AS kappa FROM gained g WHERE g.got IS NOT NULL GROUP BY 1
	), lifts AS (
		SELECT g.agent, g.action, agentcrm.trust_factor(g.got, greatest(g.claimed, 0), p.kappa) AS kappa, g.n FROM gained g JOIN pool p ON p.agent = g.agent WHERE g.got IS NOT NULL
	), factors AS (
		SELECT c.agent, NULL AS action, c.bin, c.kappa, c.n FROM claims c UNION ALL SELECT l.agent, l.action, NULL, l.kappa, l.n FROM lifts l
	), retired AS (
		UPDATE agentcrm.model m SET current = false, retired_at = learn.as_of WHERE m.kind IN ('effect', 'trust') AND m.current RETURNING 1
	)
	INSERT INTO agentcrm.model (kind, params, n, as_of, fitted_at, current)
	SELECT g.kind, g.params, (SELECT count(*) FROM cases), learn.as_of, learn.as_of, true
	FROM (SELECT 'effect' AS kind, jsonb_build_object('effects', coalesce((SELECT jsonb_agg(to_jsonb(e) ORDER BY e.action, e.stage NULLS FIRST, e.segment NULLS FIRST) FROM effects e), '[]')) AS params
		UNION ALL SELECT 'trust', jsonb_build_object('factors', coalesce((SELECT jsonb_agg(to_jsonb(f) ORDER BY f.agent, f.action NULLS FIRST, f.bin) FROM factors f), '[]'))) g
	WHERE (SELECT count(*) FROM retired) >= 0
$$;
COMMENT ON FUNCTION agentcrm.learn(jsonb, timestamptz) IS
'Makes new generations of kinds effect and trust from outcomes; the next round reckons with them. outcomes: array of {agent, action, stage, segment (channel), claim (p_claim), gain (p_used - p_baseline as claimed), treated, bought}, treated or withheld awards whose window is over. as_of: moment up to which they are known.
Effects are shrunk from action to stage to channel and learnt only from treated minus withheld; claims are held against what treated clients bought, gains against treated minus withheld. Errors: outcomes that are no array, NULL as_of. Not granted to PUBLIC.
Example: SELECT agentcrm.learn(''[]'', agentcrm.clock())';
REVOKE ALL ON FUNCTION agentcrm.learn(jsonb, timestamptz) FROM PUBLIC;
