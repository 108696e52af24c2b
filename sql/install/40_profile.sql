-- profile/: the timeless fold of the ledger, and the assessment of a client at a moment

CREATE TABLE agentcrm.client_profile (
	client_id		bigint PRIMARY KEY,
	n_orders		int NOT NULL,
	n_returns		int NOT NULL,
	first_order_at	timestamptz,
	last_order_at	timestamptz,
	first_order_on	date,
	last_order_on	date,
	n_gaps			int NOT NULL,
	gap_sum			int NOT NULL,
	gap_last		int,
	gap_before		int,
	gap_sum_log		double precision NOT NULL,
	rep_id			bigint,
	fold_at			timestamptz NOT NULL,
	fold_source_id	int NOT NULL,
	fold_order_id	bigint NOT NULL,
	amount			numeric NOT NULL,
	margin			numeric,
	returned		numeric NOT NULL,
	month			date[] NOT NULL,
	month_orders	int[] NOT NULL,
	month_amount	numeric[] NOT NULL,
	month_margin	numeric[] NOT NULL,
	month_returned	numeric[] NOT NULL
);
COMMENT ON TABLE agentcrm.client_profile IS 'Clients with counted lines: what their ledger rows add up to, whatever the time of asking';
COMMENT ON COLUMN agentcrm.client_profile.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.client_profile.n_orders IS 'Orders with at least one sale line';
COMMENT ON COLUMN agentcrm.client_profile.n_returns IS 'Documents with return lines only';
COMMENT ON COLUMN agentcrm.client_profile.first_order_at IS 'Time of the first order';
COMMENT ON COLUMN agentcrm.client_profile.last_order_at IS 'Time of the last order';
COMMENT ON COLUMN agentcrm.client_profile.first_order_on IS 'Day of the first order';
COMMENT ON COLUMN agentcrm.client_profile.last_order_on IS 'Day of the last order';
COMMENT ON COLUMN agentcrm.client_profile.n_gaps IS 'Gaps between consecutive order days';
COMMENT ON COLUMN agentcrm.client_profile.gap_sum IS 'Sum of those gaps, days';
COMMENT ON COLUMN agentcrm.client_profile.gap_last IS 'Last gap, days';
COMMENT ON COLUMN agentcrm.client_profile.gap_before IS 'Gap before the last one, days';
COMMENT ON COLUMN agentcrm.client_profile.gap_sum_log IS 'Sum of the natural logarithms of those gaps in days';
COMMENT ON COLUMN agentcrm.client_profile.rep_id IS 'Rep of the last order that names one';
COMMENT ON COLUMN agentcrm.client_profile.fold_at IS 'Time of the last document folded in (order or return)';
COMMENT ON COLUMN agentcrm.client_profile.fold_source_id IS 'Source of that document';
COMMENT ON COLUMN agentcrm.client_profile.fold_order_id IS 'That document';
COMMENT ON COLUMN agentcrm.client_profile.amount IS 'Net amount of all sale lines, source currency';
COMMENT ON COLUMN agentcrm.client_profile.margin IS 'Margin of all lines that name one, source currency';
COMMENT ON COLUMN agentcrm.client_profile.returned IS 'Net amount of all return lines, source currency, negative';
COMMENT ON COLUMN agentcrm.client_profile.month IS 'Months with any document, first days, ascending; the following arrays run parallel to it';
COMMENT ON COLUMN agentcrm.client_profile.month_orders IS 'Orders per month';
COMMENT ON COLUMN agentcrm.client_profile.month_amount IS 'Net amount of sale lines per month';
COMMENT ON COLUMN agentcrm.client_profile.month_margin IS 'Margin per month, NULL where no line names one';
COMMENT ON COLUMN agentcrm.client_profile.month_returned IS 'Net amount of return lines per month, negative';

CREATE TABLE agentcrm.client_product (
	client_id		bigint NOT NULL,
	product_id		bigint NOT NULL,
	n				int NOT NULL,
	first_order_no	int NOT NULL,
	last_order_no	int NOT NULL,
	first_order_on	date NOT NULL,
	last_order_on	date NOT NULL,
	rate_slow		double precision NOT NULL,
	rate_fast		double precision NOT NULL,
	last_price		numeric,
	quantities		numeric[] NOT NULL,
	PRIMARY KEY (client_id, product_id)
);
COMMENT ON TABLE agentcrm.client_product IS 'Products a client has bought: counts, decayed rates and last quantities on the clock of the client''s orders';
COMMENT ON COLUMN agentcrm.client_product.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.client_product.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.client_product.n IS 'Orders that hold the product';
COMMENT ON COLUMN agentcrm.client_product.first_order_no IS 'Number of the client''s first such order';
COMMENT ON COLUMN agentcrm.client_product.last_order_no IS 'Number of the client''s last such order';
COMMENT ON COLUMN agentcrm.client_product.first_order_on IS 'Day of the first such order';
COMMENT ON COLUMN agentcrm.client_product.last_order_on IS 'Day of the last such order';
COMMENT ON COLUMN agentcrm.client_product.rate_slow IS 'Count decayed by .9 per client order, as of last_order_no';
COMMENT ON COLUMN agentcrm.client_product.rate_fast IS 'Count decayed by .6 per client order, as of last_order_no';
COMMENT ON COLUMN agentcrm.client_product.last_price IS 'Net amount per unit in the last such order, source currency';
COMMENT ON COLUMN agentcrm.client_product.quantities IS 'Quantities of the last eight such orders, oldest first';

CREATE TABLE agentcrm.product_profile (
	product_id	bigint PRIMARY KEY,
	buyers		int NOT NULL,
	orders		bigint NOT NULL
);
COMMENT ON TABLE agentcrm.product_profile IS 'Products sold: buyers and orders';
COMMENT ON COLUMN agentcrm.product_profile.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.product_profile.buyers IS 'Clients that have bought the product';
COMMENT ON COLUMN agentcrm.product_profile.orders IS 'Client orders that hold the product';

CREATE TABLE agentcrm.product_month (
	product_id	bigint NOT NULL,
	month		date NOT NULL,
	orders		int NOT NULL,
	PRIMARY KEY (product_id, month)
);
COMMENT ON TABLE agentcrm.product_month IS 'Orders that hold a product, per month';
COMMENT ON COLUMN agentcrm.product_month.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.product_month.month IS 'First day of the month';
COMMENT ON COLUMN agentcrm.product_month.orders IS 'Client orders of that month that hold the product';

CREATE TABLE agentcrm.model (
	model_id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind			text NOT NULL,
	segment			text NOT NULL DEFAULT '*',
	params			jsonb NOT NULL,
	n				bigint NOT NULL,
	log_likelihood	double precision,
	metrics			jsonb NOT NULL DEFAULT '{}',
	as_of			timestamptz NOT NULL,
	fitted_at		timestamptz NOT NULL,
	current			boolean NOT NULL
);
CREATE UNIQUE INDEX model_kind_segment_idx ON agentcrm.model (kind, segment) WHERE current;
COMMENT ON TABLE agentcrm.model IS 'Fitted generations of models: one current row per kind and segment, older ones kept';
COMMENT ON COLUMN agentcrm.model.model_id IS 'Generation';
COMMENT ON COLUMN agentcrm.model.kind IS 'gap: population of inter-purchase gaps; class: limits of ABC, recency, frequency and monetary classes; popularity: shares of products in recent orders';
COMMENT ON COLUMN agentcrm.model.segment IS 'Segment, * for all';
COMMENT ON COLUMN agentcrm.model.params IS 'Parameters by name';
COMMENT ON COLUMN agentcrm.model.n IS 'Clients (or orders) the fit is based on';
COMMENT ON COLUMN agentcrm.model.log_likelihood IS 'Log-likelihood, where the fit has one';
COMMENT ON COLUMN agentcrm.model.metrics IS 'Quality measures by name';
COMMENT ON COLUMN agentcrm.model.as_of IS 'Moment up to which data were used';
COMMENT ON COLUMN agentcrm.model.fitted_at IS 'When the fit was made';
COMMENT ON COLUMN agentcrm.model.current IS 'True for the generation in use';

CREATE TABLE agentcrm.client_state (
	client_id		bigint PRIMARY KEY,
	as_of			timestamptz NOT NULL,
	stage			text NOT NULL CHECK (stage IN ('prospect', 'new', 'one_off', 'regular', 'growing', 'declining', 'at_risk', 'dormant', 'lost', 'won_back')),
	stage_since		timestamptz NOT NULL,
	recency_class	smallint,
	frequency_class	smallint,
	monetary_class	smallint,
	abc				text CHECK (abc IN ('A', 'B', 'C')),
	xyz				text CHECK (xyz IN ('X', 'Y', 'Z')),
	silence			double precision,
	alarm_p			double precision,
	due_on			date,
	alarm_on		date,
	expected_orders	double precision,
	expected_value	double precision,
	model_id		bigint,
	next_look_at	timestamptz NOT NULL
);
CREATE INDEX client_state_next_look_at_idx ON agentcrm.client_state (next_look_at);
COMMENT ON TABLE agentcrm.client_state IS 'The last assessment of each client, valid at its as_of';
COMMENT ON COLUMN agentcrm.client_state.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.client_state.as_of IS 'Moment of the assessment';
COMMENT ON COLUMN agentcrm.client_state.stage IS 'Lifecycle stage';
COMMENT ON COLUMN agentcrm.client_state.stage_since IS 'Assessment at which the stage was entered';
COMMENT ON COLUMN agentcrm.client_state.recency_class IS 'Recency class, 5 = most recent fifth of clients';
COMMENT ON COLUMN agentcrm.client_state.frequency_class IS 'Frequency class, 5 = most frequent fifth';
COMMENT ON COLUMN agentcrm.client_state.monetary_class IS 'Monetary class, 5 = highest fifth by net amount of 12 months';
COMMENT ON COLUMN agentcrm.client_state.abc IS 'A: first 80 % of 12 months'' net amount, B: next 15 %, C: the rest';
COMMENT ON COLUMN agentcrm.client_state.xyz IS 'X, Y, Z: steady, variable, erratic order gaps';
COMMENT ON COLUMN agentcrm.client_state.silence IS 'Probability that a living client of this rhythm stays silent for as long as this one has';
COMMENT ON COLUMN agentcrm.client_state.alarm_p IS 'Silence below which an alarm is raised';
COMMENT ON COLUMN agentcrm.client_state.due_on IS 'Day by which the next order has come with probability one half';
COMMENT ON COLUMN agentcrm.client_state.alarm_on IS 'Day on which silence passes its alarm limit';
COMMENT ON COLUMN agentcrm.client_state.expected_orders IS 'Orders expected within the value horizon, given the client is alive';
COMMENT ON COLUMN agentcrm.client_state.expected_value IS 'Net amount expected within the value horizon, source currency';
COMMENT ON COLUMN agentcrm.client_state.model_id IS 'Generation of the gap model used';
COMMENT ON COLUMN agentcrm.client_state.next_look_at IS 'When the client is looked at again, if nothing happens before';

CREATE TABLE agentcrm.stage_change (
	client_id	bigint NOT NULL,
	at			timestamptz NOT NULL,
	from_stage	text,
	to_stage	text NOT NULL,
	cause		text NOT NULL CHECK (cause IN ('backfill', 'order', 'time')),
	PRIMARY KEY (client_id, at, to_stage)
);
COMMENT ON TABLE agentcrm.stage_change IS 'History of the relation with each client: transitions between lifecycle stages';
COMMENT ON COLUMN agentcrm.stage_change.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.stage_change.at IS 'Moment of the assessment that saw the change';
COMMENT ON COLUMN agentcrm.stage_change.from_stage IS 'Stage before; NULL at the first assessment';
COMMENT ON COLUMN agentcrm.stage_change.to_stage IS 'Stage after';
COMMENT ON COLUMN agentcrm.stage_change.cause IS 'backfill, order (a change of orders) or time (silence)';
