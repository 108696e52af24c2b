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
	cost			numeric NOT NULL,
	net_value		double precision NOT NULL,
	uses			jsonb NOT NULL,
	effect			text NOT NULL CHECK (effect IN ('assumed', 'measured')),
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
COMMENT ON COLUMN agentcrm.bid.value IS 'Expected incremental margin: (p_used - p_baseline) x margin, source currency';
COMMENT ON COLUMN agentcrm.bid.cost IS 'Cost of the action, source currency';
COMMENT ON COLUMN agentcrm.bid.net_value IS 'value - cost, source currency: the ranking';
COMMENT ON COLUMN agentcrm.bid.uses IS 'Means used: resource -> amount';
COMMENT ON COLUMN agentcrm.bid.effect IS 'Whether the effect of the action is assumed or measured';
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
