-- agent/: the registry of agents; agents write nothing but bids

CREATE TABLE agentcrm.agent (
	agent			text PRIMARY KEY,
	objective		text NOT NULL CHECK (objective IN ('acquire', 'grow', 'retain', 'serve', 'protect')),
	function_schema	text NOT NULL,
	function_name	text NOT NULL,
	registrar		text NOT NULL,
	mode			text NOT NULL DEFAULT 'active' CHECK (mode IN ('active', 'shadow', 'paused')),
	params			jsonb NOT NULL DEFAULT '{}',
	problem			text,
	called_for		text NOT NULL DEFAULT 'batch' CHECK (called_for IN ('batch', 'client'))
);
COMMENT ON TABLE agentcrm.agent IS 'Agents: functions (client_ids bigint[], as_of timestamptz, call jsonb) that bid for actions';
COMMENT ON COLUMN agentcrm.agent.agent IS 'Name of the agent';
COMMENT ON COLUMN agentcrm.agent.objective IS 'What it is for: acquire, grow, retain, serve or protect';
COMMENT ON COLUMN agentcrm.agent.function_schema IS 'Schema of its function';
COMMENT ON COLUMN agentcrm.agent.function_name IS 'Name of its function';
COMMENT ON COLUMN agentcrm.agent.registrar IS 'Role that registered it and under whose rights it runs';
COMMENT ON COLUMN agentcrm.agent.mode IS 'active, shadow (bids are recorded, never awarded) or paused';
COMMENT ON COLUMN agentcrm.agent.params IS 'Parameters by name; of a built-in agent only those that it knows, all numbers. The least data it needs is among them (min_orders ...)';
COMMENT ON COLUMN agentcrm.agent.problem IS 'Why it was paused, if it failed';
COMMENT ON COLUMN agentcrm.agent.called_for IS 'batch: its function takes many clients at once; client: one';

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
	next_look_at	timestamptz,
	obligation		boolean,
	explore			boolean
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
COMMENT ON COLUMN agentcrm.bid_proposal.obligation IS 'Owed to the client: awarded by rule before all others, by deadline (valid_until), within the means. NULL: no';
COMMENT ON COLUMN agentcrm.bid_proposal.explore IS 'Bid to learn from: counts for the floor of objective explore. NULL: no';

CREATE FUNCTION agentcrm.agent_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'agentcrm_agent_changed';
COMMENT ON FUNCTION agentcrm.agent_changed() IS 'Trigger of agentcrm.agent: tells every session to read the registry anew';
CREATE TRIGGER agent_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON agentcrm.agent
	FOR EACH STATEMENT EXECUTE FUNCTION agentcrm.agent_changed();
CREATE TRIGGER check_lent_rights BEFORE INSERT OR UPDATE OF agent, function_schema, function_name, registrar ON agentcrm.agent
	FOR EACH ROW EXECUTE FUNCTION agentcrm.check_lent_rights();
CREATE FUNCTION agentcrm.check_params() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'agentcrm_check_params';
COMMENT ON FUNCTION agentcrm.check_params() IS 'Internal: refuses names of agents that are reserved, and parameters that a built-in agent does not know';
CREATE TRIGGER check_params BEFORE INSERT OR UPDATE OF agent, function_schema, function_name, params ON agentcrm.agent
	FOR EACH ROW EXECUTE FUNCTION agentcrm.check_params();

CREATE FUNCTION agentcrm.portfolio_agent(client_ids bigint[], as_of timestamptz, call jsonb DEFAULT '{}')
	RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_portfolio_agent';
COMMENT ON FUNCTION agentcrm.portfolio_agent(bigint[], timestamptz, jsonb) IS
'The portfolio agent: welcomes new clients, calls or visits growing ones, tries to win back dormant and lost ones in the first days of every quarter of silence.
client_ids: clients to judge, unknown ones are left out. as_of: moment to judge for. call: {"round", "seed", "horizon_days", "margin_rate", "false_alarm_rate", "params": {...}}, all optional: settings and agentcrm.agent.params serve.
Returns at most one proposal per client: bid, refuse or look. Writes nothing. Errors: a null argument or id, a call that is no object.
Example: SELECT kind, action, reason FROM agentcrm.portfolio_agent(ARRAY[42], ''2026-03-01'')';

CREATE FUNCTION agentcrm.reorder_agent(client_ids bigint[], as_of timestamptz, call jsonb DEFAULT '{}')
	RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_reorder_agent';
COMMENT ON FUNCTION agentcrm.reorder_agent(bigint[], timestamptz, jsonb) IS
'The reorder agent: bids a call or an order suggestion, with the usual basket, once the next order is due: an order within 14 days is more likely than params.threshold (.5), or half of the client''s gaps are over. Before that it says when it wants to look again.
Arguments and errors as agentcrm.portfolio_agent. Quantities are in whole packs and at least the minimum; inactive products are left out.
Example: SELECT kind, basket, next_look_at FROM agentcrm.reorder_agent(ARRAY[42], ''2026-03-01'')';

CREATE FUNCTION agentcrm.retention_agent(client_ids bigint[], as_of timestamptz, call jsonb DEFAULT '{}')
	RETURNS SETOF agentcrm.bid_proposal STABLE LANGUAGE c SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'agentcrm_retention_agent';
COMMENT ON FUNCTION agentcrm.retention_agent(bigint[], timestamptz, jsonb) IS
'The retention agent: bids when a client is silent beyond the quantile of its own gaps that agentcrm.false_alarm_rate allows, or orders half as often as it did (a call for clients of class A or B, a message for others), and for categories and items that dropped out of the client''s orders, judged by the same budget. What was acted upon, declined or answered by an order waits for new evidence; where a halving would take two years to show it says so (unseen).
Arguments and errors as agentcrm.portfolio_agent.
Example: SELECT kind, action, reason FROM agentcrm.retention_agent(ARRAY[42], ''2026-03-01'')';

CREATE FUNCTION agentcrm.create_agent(name text, objective text, function text, params jsonb DEFAULT '{}', mode text DEFAULT 'active')
	RETURNS void LANGUAGE c
	AS 'MODULE_PATHNAME', 'agentcrm_create_agent';
COMMENT ON FUNCTION agentcrm.create_agent(text, text, text, jsonb, text) IS
'Makes a function an agent, or makes it anew under the same name, without its old problem; it joins the next round. The caller becomes the registrar: the agent runs under the registrar''s rights, read-only, with search_path pg_catalog, and within agentcrm.agent_timeout (or params.time_limit_ms) and params.memory_limit_mb (256), which also bounds its temporary files.
name: name of the agent. objective: acquire, grow, retain, serve or protect. function: its name, as the caller''s search_path finds it, declared (client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal, or for one client (client_id bigint, as_of timestamptz, call jsonb) RETURNS agentcrm.bid_proposal (or SETOF it). params: handed to it as call -> ''params''. mode: active, shadow (bids are recorded, never awarded) or paused.
A bid needs an action and a margin; client (of the form for one), demand (any order of the next 14 days), validity (7 days), reason and evidence have defaults. What is left out of p_claim is filled by the shared baseline and the effect of the action.
Nobody may write a row of agentcrm.agent whose registrar is a role that he is no member of. Errors: a NULL argument, an empty name or one of model, items and alarms (backtest_report has the models'' figures under these), no such function or one of another signature, params that are no object, an unknown objective or mode.
Example: SELECT agentcrm.create_agent(''birthday'', ''retain'', ''crm.birthday_agent'')';
REVOKE ALL ON FUNCTION agentcrm.create_agent(text, text, text, jsonb, text) FROM PUBLIC;
