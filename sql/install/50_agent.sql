-- agent/: the registry of agents; agents write nothing but bids

CREATE TABLE agentcrm.agent (
	agent			text PRIMARY KEY,
	objective		text NOT NULL CHECK (objective IN ('acquire', 'grow', 'retain', 'serve', 'protect')),
	function_schema	text NOT NULL,
	function_name	text NOT NULL,
	registrar		text NOT NULL,
	mode			text NOT NULL DEFAULT 'active' CHECK (mode IN ('active', 'shadow', 'paused')),
	params			jsonb NOT NULL DEFAULT '{}',
	min_data		jsonb NOT NULL DEFAULT '{}',
	problem			text
);
COMMENT ON TABLE agentcrm.agent IS 'Agents: functions (client_ids bigint[], as_of timestamptz, call jsonb) that bid for actions';
COMMENT ON COLUMN agentcrm.agent.agent IS 'Name of the agent';
COMMENT ON COLUMN agentcrm.agent.objective IS 'What it is for: acquire, grow, retain, serve or protect';
COMMENT ON COLUMN agentcrm.agent.function_schema IS 'Schema of its function';
COMMENT ON COLUMN agentcrm.agent.function_name IS 'Name of its function';
COMMENT ON COLUMN agentcrm.agent.registrar IS 'Role that registered it and under whose rights it runs';
COMMENT ON COLUMN agentcrm.agent.mode IS 'active, shadow (bids are recorded, never awarded) or paused';
COMMENT ON COLUMN agentcrm.agent.params IS 'Parameters by name';
COMMENT ON COLUMN agentcrm.agent.min_data IS 'Least data it needs, by name; below it refuses';
COMMENT ON COLUMN agentcrm.agent.problem IS 'Why it was paused, if it failed';

CREATE TYPE agentcrm.bid_proposal AS (
	client_id		bigint,
	kind			text,
	action			text,
	channel			text,
	product_id		bigint,
	basket			jsonb,
	quantity		numeric,
	programme_id	bigint,
	demand_category	text,
	demand_from		date,
	demand_to		date,
	p_claim			double precision,
	margin			numeric,
	cost			numeric,
	uses			jsonb,
	valid_until		timestamptz,
	reason_code		text,
	reason			text,
	evidence		jsonb,
	next_look_at	timestamptz
);
COMMENT ON TYPE agentcrm.bid_proposal IS 'What an agent answers for one client: a bid, a refusal with its reason, or only when to look again';
COMMENT ON COLUMN agentcrm.bid_proposal.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.bid_proposal.kind IS 'bid, refuse or look';
COMMENT ON COLUMN agentcrm.bid_proposal.action IS 'call, visit, message, order_suggestion, programme or check';
COMMENT ON COLUMN agentcrm.bid_proposal.channel IS 'Channel: phone, visit, email or app';
COMMENT ON COLUMN agentcrm.bid_proposal.product_id IS 'Product, where the action is about one';
COMMENT ON COLUMN agentcrm.bid_proposal.basket IS 'Suggested lines: array of {product_id, name, quantity, p}';
COMMENT ON COLUMN agentcrm.bid_proposal.quantity IS 'Suggested quantity of product_id';
COMMENT ON COLUMN agentcrm.bid_proposal.programme_id IS 'Programme, where the action is one';
COMMENT ON COLUMN agentcrm.bid_proposal.demand_category IS 'Category of the demand the action is after, * for any';
COMMENT ON COLUMN agentcrm.bid_proposal.demand_from IS 'First day of the demand window';
COMMENT ON COLUMN agentcrm.bid_proposal.demand_to IS 'Day after the last of the demand window';
COMMENT ON COLUMN agentcrm.bid_proposal.p_claim IS 'Probability that the demand is bought given the action; NULL: baseline and assumed effect serve';
COMMENT ON COLUMN agentcrm.bid_proposal.margin IS 'Margin when the demand is bought, source currency';
COMMENT ON COLUMN agentcrm.bid_proposal.cost IS 'Cost of the action, source currency';
COMMENT ON COLUMN agentcrm.bid_proposal.uses IS 'Means used: resource -> amount, e.g. {"rep_minutes": 6}';
COMMENT ON COLUMN agentcrm.bid_proposal.valid_until IS 'When the bid lapses';
COMMENT ON COLUMN agentcrm.bid_proposal.reason_code IS 'Code of the reason';
COMMENT ON COLUMN agentcrm.bid_proposal.reason IS 'The reason in a sentence';
COMMENT ON COLUMN agentcrm.bid_proposal.evidence IS 'query, parameters and values that re-derive the reason';
COMMENT ON COLUMN agentcrm.bid_proposal.next_look_at IS 'When the agent wants to look at the client again';
