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
	PRIMARY KEY (client_id, recommendation_id)
);
CREATE INDEX recommendation_recommendation_id_idx ON agentcrm.recommendation (recommendation_id);
CREATE UNIQUE INDEX recommendation_client_id_action_demand_idx ON agentcrm.recommendation (client_id, action, demand_category)
	WHERE status IN ('open', 'shown', 'agreed', 'snoozed');
CREATE INDEX recommendation_expires_at_idx ON agentcrm.recommendation (expires_at) WHERE status IN ('open', 'shown', 'agreed', 'snoozed');
CREATE INDEX recommendation_rep_id_due_on_idx ON agentcrm.recommendation (rep_id, due_on) WHERE status IN ('open', 'shown', 'agreed', 'snoozed');
COMMENT ON TABLE agentcrm.recommendation IS 'What agentcrm recommends to do for a client, and what became of it';
COMMENT ON COLUMN agentcrm.recommendation.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.recommendation.recommendation_id IS 'Hash of client, round, agent, action and demand: the id of its bid';
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
