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
	gap_recent		int[] NOT NULL,
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
) WITH (fillfactor = 80);
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
COMMENT ON COLUMN agentcrm.client_profile.gap_recent IS 'The last gaps, days, oldest first, at most 24';
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
	held			bigint NOT NULL,
	last_price		numeric,
	quantities		numeric[] NOT NULL,
	PRIMARY KEY (client_id, product_id)
) WITH (fillfactor = 80);
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
COMMENT ON COLUMN agentcrm.client_product.held IS 'Which of the client''s orders held it, as bits: bit i stands for the order i before last_order_no, up to 64 orders';
COMMENT ON COLUMN agentcrm.client_product.last_price IS 'Net amount per unit in the last such order, source currency';
COMMENT ON COLUMN agentcrm.client_product.quantities IS 'Quantities of the last eight such orders, oldest first';

-- All clients buy the same products, so each batch changes many of these counters. Changes are appended and added up now and
-- then: rows updated by every batch would collect dead versions while anybody holds a snapshot.
CREATE TABLE agentcrm.product_count (
	product_id	bigint NOT NULL,
	month		date NOT NULL,
	n			int NOT NULL,
	PRIMARY KEY (product_id, month)
) WITH (fillfactor = 50);
COMMENT ON TABLE agentcrm.product_count IS 'What product_profile and product_month are made of, together with product_delta';
COMMENT ON COLUMN agentcrm.product_count.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.product_count.month IS 'First day of the month; -infinity: buyers are counted, not orders';
COMMENT ON COLUMN agentcrm.product_count.n IS 'Client orders of that month that hold the product; with -infinity, clients that have bought it';

CREATE TABLE agentcrm.product_delta (
	delta_no	bigint PRIMARY KEY,
	first_no	bigint NOT NULL,
	counters	int NOT NULL,
	product_id	bigint[] NOT NULL,
	month		date[] NOT NULL,
	n			int[] NOT NULL
);
COMMENT ON TABLE agentcrm.product_delta IS 'Changes of product_count not yet added to it, a row for each batch; appended, and added up when some thousand have gathered';
COMMENT ON COLUMN agentcrm.product_delta.delta_no IS 'Number of the row; grows';
COMMENT ON COLUMN agentcrm.product_delta.first_no IS 'The first row that was not added up when this one was written';
COMMENT ON COLUMN agentcrm.product_delta.counters IS 'Changed counters in the rows from that one to this one';
COMMENT ON COLUMN agentcrm.product_delta.product_id IS 'Products; the following arrays run parallel';
COMMENT ON COLUMN agentcrm.product_delta.month IS 'Months, as in product_count';
COMMENT ON COLUMN agentcrm.product_delta.n IS 'What is to be added to their counters';

CREATE VIEW agentcrm.product_profile AS
SELECT product_id, coalesce(sum(n) FILTER (WHERE month = '-infinity'), 0)::int AS buyers,
	coalesce(sum(n) FILTER (WHERE month > '-infinity'), 0) AS orders
FROM (SELECT product_id, month, n FROM agentcrm.product_count
	UNION ALL
	SELECT u.product_id, u.month, u.n FROM agentcrm.product_delta d, unnest(d.product_id, d.month, d.n) AS u(product_id, month, n)) c
GROUP BY product_id
HAVING sum(n) FILTER (WHERE month = '-infinity') <> 0 OR sum(n) FILTER (WHERE month > '-infinity') <> 0;
COMMENT ON VIEW agentcrm.product_profile IS 'Products sold: buyers and orders';
COMMENT ON COLUMN agentcrm.product_profile.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.product_profile.buyers IS 'Clients that have bought the product';
COMMENT ON COLUMN agentcrm.product_profile.orders IS 'Client orders that hold the product';

CREATE VIEW agentcrm.product_month AS
SELECT product_id, month, sum(n)::int AS orders
FROM (SELECT product_id, month, n FROM agentcrm.product_count
	UNION ALL
	SELECT u.product_id, u.month, u.n FROM agentcrm.product_delta d, unnest(d.product_id, d.month, d.n) AS u(product_id, month, n)) c
WHERE month > '-infinity'
GROUP BY product_id, month
HAVING sum(n) <> 0;
COMMENT ON VIEW agentcrm.product_month IS 'Orders that hold a product, per month';
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
	current			boolean NOT NULL,
	retired_at		timestamptz
);
CREATE UNIQUE INDEX model_kind_segment_idx ON agentcrm.model (kind, segment) WHERE current;
COMMENT ON TABLE agentcrm.model IS 'Fitted generations of models: one current row per kind and segment, older ones kept';
COMMENT ON COLUMN agentcrm.model.model_id IS 'Generation';
COMMENT ON COLUMN agentcrm.model.kind IS 'season: the firm''s own calendar, intensity of the 366 days of a year; gap: population of inter-purchase gaps; class: limits of ABC, recency, frequency and monetary classes; popularity: shares of products in recent orders; repurchase: when clients buy again and when they are gone (MBG/CNBD-k, a mixture over the regularity k); spend: order values between and within clients (Gamma-Gamma); inclusion: products bought again (BG/BB); effect: what actions change, log odds, by stage and channel; trust: how far agents are believed';
COMMENT ON COLUMN agentcrm.model.segment IS 'Segment: * for all clients; channel:NAME and territory:NAME where a segment''s own parameters foresaw its last closed window better';
COMMENT ON COLUMN agentcrm.model.params IS 'Parameters by name';
COMMENT ON COLUMN agentcrm.model.n IS 'Clients (or orders) the fit is based on';
COMMENT ON COLUMN agentcrm.model.log_likelihood IS 'Log-likelihood, where the fit has one';
COMMENT ON COLUMN agentcrm.model.metrics IS 'How the fit went and how good it is, by name. Of kinds repurchase, gap, spend and inclusion: log_loss on the last closed window (window_days, window_cases) by parameters that did not see it, log_loss_in_use of what served until then, and the reason why a generation is not put in use; not_judged: why not, where the cases are too few. log_loss is, per case, of P(an order within the window) for repurchase and gap, of the mean value of a client''s orders in it for spend (its natural logarithm has the unit of the source currency), of which of a client''s orders held a product for inclusion. Of kind repurchase also brier and ece of that P and mae_orders (_raw: before recalibration), interval_share of the dates that the 80 % interval held before it was scaled, of interval_cases orders, and kept: why a segment keeps the parameters it had';
COMMENT ON COLUMN agentcrm.model.as_of IS 'Moment up to which data were used';
COMMENT ON COLUMN agentcrm.model.fitted_at IS 'When the fit was made';
COMMENT ON COLUMN agentcrm.model.current IS 'True for the generation in use';
COMMENT ON COLUMN agentcrm.model.retired_at IS 'When it went out of use; NULL: in use, or never was';

CREATE TABLE agentcrm.product_popularity (
	model_id	bigint NOT NULL,
	product_id	bigint NOT NULL,
	share		double precision NOT NULL,
	PRIMARY KEY (model_id, product_id)
);
COMMENT ON TABLE agentcrm.product_popularity IS 'Shares of products in recent orders: the current generation of kind popularity';
COMMENT ON COLUMN agentcrm.product_popularity.model_id IS 'Generation';
COMMENT ON COLUMN agentcrm.product_popularity.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.product_popularity.share IS 'Share of orders that hold the product, an order weighing half as much every six months';

CREATE TABLE agentcrm.product_inclusion (
	model_id	bigint NOT NULL,
	product_id	bigint NOT NULL,
	repeats		bigint NOT NULL,
	orders		bigint NOT NULL,
	PRIMARY KEY (model_id, product_id)
);
COMMENT ON TABLE agentcrm.product_inclusion IS 'How often clients that have bought a product buy it again: the current generation of kind inclusion';
COMMENT ON COLUMN agentcrm.product_inclusion.model_id IS 'Generation';
COMMENT ON COLUMN agentcrm.product_inclusion.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.product_inclusion.repeats IS 'Orders, after a client''s first with the product, that held it again; of the clients that were looked at';
COMMENT ON COLUMN agentcrm.product_inclusion.orders IS 'All orders of those clients after their first with the product';

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
	p_alive			double precision,
	p_order			double precision,
	due_early		date,
	due_late		date,
	lifetime_value	double precision,
	value_class		text CHECK (value_class IN ('A', 'B', 'C')),
	model_id		bigint,
	repurchase_model_id	bigint,
	next_look_at	timestamptz NOT NULL,
	answers			jsonb
) WITH (fillfactor = 70);
CREATE INDEX client_state_next_look_at_idx ON agentcrm.client_state (next_look_at, client_id);
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
COMMENT ON COLUMN agentcrm.client_state.due_on IS 'Day by which the next order has come with probability one half; NULL: it is never so probable, the client may have gone';
COMMENT ON COLUMN agentcrm.client_state.alarm_on IS 'Day on which silence passes its alarm limit';
COMMENT ON COLUMN agentcrm.client_state.expected_orders IS 'Orders expected within agentcrm.value_horizon, allowing for the client having gone';
COMMENT ON COLUMN agentcrm.client_state.expected_value IS 'Net amount expected within agentcrm.value_horizon, source currency';
COMMENT ON COLUMN agentcrm.client_state.p_alive IS 'Probability that the client has not gone';
COMMENT ON COLUMN agentcrm.client_state.p_order IS 'Probability of an order within 28 days if nothing is done';
COMMENT ON COLUMN agentcrm.client_state.due_early IS 'Day by which the next order has come with probability 20 %; NULL: it is never so probable';
COMMENT ON COLUMN agentcrm.client_state.due_late IS 'Day by which the next order has come with probability 80 %; NULL: it is never so probable';
COMMENT ON COLUMN agentcrm.client_state.lifetime_value IS 'Margin expected within agentcrm.value_horizon, source currency: expected_value times the client''s margin share, or agentcrm.margin_rate';
COMMENT ON COLUMN agentcrm.client_state.value_class IS 'A: clients that bring the first 80 % of the margin expected, B: next 15 %, C: the rest; NULL while no repurchase model is fitted';
COMMENT ON COLUMN agentcrm.client_state.model_id IS 'Generation of the gap model used';
COMMENT ON COLUMN agentcrm.client_state.repurchase_model_id IS 'Generation of the repurchase model used, of all clients or of the client''s segment; NULL: too little data for one, the gap model serves';
COMMENT ON COLUMN agentcrm.client_state.next_look_at IS 'When the client is looked at again, if nothing happens before';
COMMENT ON COLUMN agentcrm.client_state.answers IS 'What agents that did not bid answered at this assessment: array of {agent, code, reason} for a refusal, {agent, look_on} where an agent only wants to look again, on that day; at most 16. NULL: all bid, or none was called';

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

CREATE TYPE agentcrm.client_snapshot AS (
	client_id			bigint,
	as_of				timestamptz,
	name				text,
	active				boolean,
	do_not_contact		boolean,
	deliver				boolean,
	rep_id				bigint,
	stage				text,
	recency_class		smallint,
	frequency_class		smallint,
	monetary_class		smallint,
	abc					text,
	xyz					text,
	elapsed				double precision,
	silence				double precision,
	alarm_p				double precision,
	due_on				date,
	alarm_on			date,
	slow_chance			double precision,
	slow_p				double precision,
	slow_on				date,
	slow_since			date,
	expected_orders		double precision,
	expected_value		double precision,
	p_alive				double precision,
	p_order				double precision,
	due_early			date,
	due_late			date,
	lifetime_value		double precision,
	value_class			text,
	order_value			double precision,
	next_look_at		timestamptz,
	gap_model_id		bigint,
	repurchase_model_id	bigint,
	n_orders			int,
	n_returns			int,
	first_order_at		timestamptz,
	last_order_at		timestamptz,
	first_order_on		date,
	last_order_on		date,
	n_gaps				int,
	mean_gap			double precision,
	gap_last			int,
	amount				numeric,
	margin				numeric,
	returned			numeric,
	orders_12m			int,
	amount_12m			numeric,
	month				date[],
	month_orders		int[],
	month_amount		numeric[],
	month_margin		numeric[],
	month_returned		numeric[],
	products			agentcrm.client_product[]
);
COMMENT ON TYPE agentcrm.client_snapshot IS 'What may be known of a client at a moment: attributes, assessment, orders, products';
COMMENT ON COLUMN agentcrm.client_snapshot.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.client_snapshot.as_of IS 'Moment for which this is told';
COMMENT ON COLUMN agentcrm.client_snapshot.name IS 'Name';
COMMENT ON COLUMN agentcrm.client_snapshot.active IS 'False: the application has closed the client';
COMMENT ON COLUMN agentcrm.client_snapshot.do_not_contact IS 'True: no recommendation may contact the client';
COMMENT ON COLUMN agentcrm.client_snapshot.deliver IS 'True: a live source holds the client, so recommendations may be delivered';
COMMENT ON COLUMN agentcrm.client_snapshot.rep_id IS 'Rep named by the client feed, else by the last order';
COMMENT ON COLUMN agentcrm.client_snapshot.stage IS 'Lifecycle stage';
COMMENT ON COLUMN agentcrm.client_snapshot.recency_class IS 'Recency class, 5 = most recent fifth of clients';
COMMENT ON COLUMN agentcrm.client_snapshot.frequency_class IS 'Frequency class, 5 = most frequent fifth';
COMMENT ON COLUMN agentcrm.client_snapshot.monetary_class IS 'Monetary class, 5 = highest fifth by net amount of 12 months';
COMMENT ON COLUMN agentcrm.client_snapshot.abc IS 'A: first 80 % of 12 months'' net amount, B: next 15 %, C: the rest';
COMMENT ON COLUMN agentcrm.client_snapshot.xyz IS 'X, Y, Z: steady, variable, erratic order gaps';
COMMENT ON COLUMN agentcrm.client_snapshot.elapsed IS 'Days since the last order day';
COMMENT ON COLUMN agentcrm.client_snapshot.silence IS 'Probability that a living client of this rhythm stays silent for as long as this one has';
COMMENT ON COLUMN agentcrm.client_snapshot.alarm_p IS 'Silence below which an alarm is raised';
COMMENT ON COLUMN agentcrm.client_snapshot.due_on IS 'Day by which the next order has come with probability one half; NULL: it is never so probable, the client may have gone';
COMMENT ON COLUMN agentcrm.client_snapshot.alarm_on IS 'Day on which silence passes its alarm limit';
COMMENT ON COLUMN agentcrm.client_snapshot.slow_chance IS 'Probability that a steady client of this rhythm looks so much like one who orders half as often';
COMMENT ON COLUMN agentcrm.client_snapshot.slow_p IS 'Per-cycle probability below which that is an alarm, from agentcrm.false_alarm_rate';
COMMENT ON COLUMN agentcrm.client_snapshot.slow_on IS 'Day on which it is or becomes an alarm if no order comes; NULL: the silence is one before';
COMMENT ON COLUMN agentcrm.client_snapshot.slow_since IS 'Order day since which the client has most likely slowed down; NULL without alarm';
COMMENT ON COLUMN agentcrm.client_snapshot.expected_orders IS 'Orders expected within agentcrm.value_horizon, allowing for the client having gone';
COMMENT ON COLUMN agentcrm.client_snapshot.expected_value IS 'Net amount expected within agentcrm.value_horizon, source currency';
COMMENT ON COLUMN agentcrm.client_snapshot.p_alive IS 'Probability that the client has not gone';
COMMENT ON COLUMN agentcrm.client_snapshot.p_order IS 'Probability of an order within 28 days if nothing is done';
COMMENT ON COLUMN agentcrm.client_snapshot.due_early IS 'Day by which the next order has come with probability 20 %; NULL: it is never so probable';
COMMENT ON COLUMN agentcrm.client_snapshot.due_late IS 'Day by which the next order has come with probability 80 %; NULL: it is never so probable';
COMMENT ON COLUMN agentcrm.client_snapshot.lifetime_value IS 'Margin expected within agentcrm.value_horizon, source currency';
COMMENT ON COLUMN agentcrm.client_snapshot.value_class IS 'A: clients that bring the first 80 % of the margin expected, B: next 15 %, C: the rest; NULL while no repurchase model is fitted';
COMMENT ON COLUMN agentcrm.client_snapshot.order_value IS 'Expected net amount of an order: between the client''s mean in 12 months, else of all, and that of all clients, by the number of its orders; of all clients for a prospect';
COMMENT ON COLUMN agentcrm.client_snapshot.next_look_at IS 'Next moment at which time alone changes the assessment';
COMMENT ON COLUMN agentcrm.client_snapshot.gap_model_id IS 'Generation of the gap model used';
COMMENT ON COLUMN agentcrm.client_snapshot.repurchase_model_id IS 'Generation of the repurchase model used; NULL: the gap model serves';
COMMENT ON COLUMN agentcrm.client_snapshot.n_orders IS 'Orders up to as_of';
COMMENT ON COLUMN agentcrm.client_snapshot.n_returns IS 'Documents with return lines only';
COMMENT ON COLUMN agentcrm.client_snapshot.first_order_at IS 'Time of the first order';
COMMENT ON COLUMN agentcrm.client_snapshot.last_order_at IS 'Time of the last order';
COMMENT ON COLUMN agentcrm.client_snapshot.first_order_on IS 'Day of the first order';
COMMENT ON COLUMN agentcrm.client_snapshot.last_order_on IS 'Day of the last order';
COMMENT ON COLUMN agentcrm.client_snapshot.n_gaps IS 'Gaps between consecutive order days';
COMMENT ON COLUMN agentcrm.client_snapshot.mean_gap IS 'Mean gap, days';
COMMENT ON COLUMN agentcrm.client_snapshot.gap_last IS 'Last gap, days';
COMMENT ON COLUMN agentcrm.client_snapshot.amount IS 'Net amount of all sale lines, source currency';
COMMENT ON COLUMN agentcrm.client_snapshot.margin IS 'Margin of all lines that name one, source currency';
COMMENT ON COLUMN agentcrm.client_snapshot.returned IS 'Net amount of all return lines, source currency, negative';
COMMENT ON COLUMN agentcrm.client_snapshot.orders_12m IS 'Orders of the last 12 calendar months, the current one included';
COMMENT ON COLUMN agentcrm.client_snapshot.amount_12m IS 'Net amount of those months, returns deducted, source currency';
COMMENT ON COLUMN agentcrm.client_snapshot.month IS 'Months with any document, first days; the following arrays run parallel to it';
COMMENT ON COLUMN agentcrm.client_snapshot.month_orders IS 'Orders per month';
COMMENT ON COLUMN agentcrm.client_snapshot.month_amount IS 'Net amount of sale lines per month';
COMMENT ON COLUMN agentcrm.client_snapshot.month_margin IS 'Margin per month, NULL where no line names one';
COMMENT ON COLUMN agentcrm.client_snapshot.month_returned IS 'Net amount of return lines per month, negative';
COMMENT ON COLUMN agentcrm.client_snapshot.products IS 'Products bought, ascending by product_id';

CREATE FUNCTION agentcrm.profile(client_ids bigint[], as_of timestamptz)
RETURNS SETOF agentcrm.client_snapshot
AS 'MODULE_PATHNAME', 'agentcrm_profile_read'
LANGUAGE C STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.profile(bigint[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.profile(bigint[], timestamptz) IS 'Snapshots of the given clients at as_of, in the order given, unknown clients and those merged into others left out: from stored profiles, or from the ledger up to as_of when there are later orders. Errors: a NULL argument or id, an as_of that is not finite';

CREATE FUNCTION agentcrm.fit(kind text DEFAULT NULL, as_of timestamptz DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'agentcrm_profile_fit'
LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.fit(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.fit(text, timestamptz) IS 'New generation of one kind of model (season, gap, class, popularity, repurchase, spend, inclusion), or of all, from orders up to as_of, by default now; generations that know later orders are in use no more, so that a fit as of the past changes what serves all until the worker fits anew, as it says in a NOTICE; the worker calls it by itself when orders have grown by a tenth, and daily, season every four weeks. A new season makes gap and repurchase models anew; repurchase as of the past also gap, spend and class. Errors: an unknown kind, an as_of that is not finite or lies in the future';

CREATE FUNCTION agentcrm.forecast(client_ids bigint[], as_of timestamptz, days int DEFAULT NULL,
	OUT client_id bigint, OUT p_order double precision, OUT orders double precision, OUT amount double precision,
	OUT lifetime_value double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'agentcrm_forecast'
LANGUAGE C STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.forecast(bigint[], timestamptz, int) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.forecast(bigint[], timestamptz, int) IS 'What each client will do within so many days after as_of (default agentcrm.value_horizon) if nothing is done: probability of an order, expected days with an order, expected net amount, and the client''s lifetime value over that horizon: the margin in it by the client''s own share, or agentcrm.margin_rate, not discounted; both in source currency. Clients in the order given; unknown ones, those merged into others and those without orders by then left out; from stored profiles, or from the ledger up to as_of when there are later orders, but with the generations in use now, which may have learnt from those: to try the models on the past call backtest(). Errors: a NULL client_ids, id or as_of, an as_of that is not finite, days outside 1..3650';

CREATE FUNCTION agentcrm.forecast_items(client_ids bigint[], as_of timestamptz, days int DEFAULT NULL,
	OUT client_id bigint, OUT product_id bigint, OUT p_next_order double precision, OUT p_within double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'agentcrm_forecast_items'
LANGUAGE C STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.forecast_items(bigint[], timestamptz, int) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.forecast_items(bigint[], timestamptz, int) IS 'The products each client has bought before: probability that its next order holds the product, and that an order within so many days after as_of (default agentcrm.value_horizon) does. Otherwise as forecast(), also in what it knows of later orders';

CREATE VIEW agentcrm.client_360 AS
SELECT c.client_id, coalesce(c.name, c.client_key) AS client, coalesce(r.name, r.rep_key) AS rep,
	s.stage, s.stage_since::date AS since,
	s.recency_class::text || s.frequency_class || s.monetary_class AS rfm, s.abc, s.xyz,
	coalesce(p.n_orders, 0) AS orders,
	round(p.gap_sum / nullif(p.n_gaps, 0)::numeric, 1) AS mean_gap,
	p.last_order_on,
	CASE WHEN p.n_orders > 0 THEN greatest((s.as_of AT TIME ZONE 'UTC')::date - p.last_order_on, 0) END AS silent_days,
	round(s.silence::numeric, 4) AS silence,
	round(s.p_alive::numeric, 4) AS p_alive,
	round(s.p_order::numeric, 4) AS p_order,
	s.due_early, s.due_on, s.due_late, s.alarm_on,
	coalesce(y.amount, 0) AS amount_12m,
	round(s.expected_orders::numeric, 1) AS expected_orders,
	round(s.expected_value::numeric, 2) AS expected_value,
	round(s.lifetime_value::numeric, 2) AS lifetime_value,
	s.value_class,
	s.as_of, s.next_look_at
FROM agentcrm.client c
	LEFT JOIN agentcrm.client_state s USING (client_id)
	LEFT JOIN agentcrm.client_profile p USING (client_id)
	LEFT JOIN agentcrm.rep r ON r.rep_id = coalesce(c.rep_id, p.rep_id)
	LEFT JOIN LATERAL (
		SELECT sum(m.orders)::int AS orders, sum(m.amount + m.returned) AS amount
		FROM unnest(p.month, p.month_orders, p.month_amount, p.month_returned) AS m(month, orders, amount, returned)
		WHERE m.month >= date_trunc('month', s.as_of AT TIME ZONE 'UTC') - interval '11 months'
			AND m.month <= (s.as_of AT TIME ZONE 'UTC')::date
	) y ON true
WHERE c.survivor_client_id IS NULL;
COMMENT ON VIEW agentcrm.client_360 IS 'Each client in one row, those merged into others left out: who, which stage, rhythm, when due, worth. Figures of time are those of the last assessment (as_of)';
COMMENT ON COLUMN agentcrm.client_360.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.client_360.client IS 'Name of the client, or its key';
COMMENT ON COLUMN agentcrm.client_360.rep IS 'Rep of the client: name, or key';
COMMENT ON COLUMN agentcrm.client_360.stage IS 'Lifecycle stage; NULL before the first assessment';
COMMENT ON COLUMN agentcrm.client_360.since IS 'Day the stage was entered';
COMMENT ON COLUMN agentcrm.client_360.rfm IS 'Recency, frequency and monetary class, 5 = best fifth each';
COMMENT ON COLUMN agentcrm.client_360.abc IS 'A: first 80 % of 12 months'' net amount, B: next 15 %, C: the rest';
COMMENT ON COLUMN agentcrm.client_360.xyz IS 'X, Y, Z: steady, variable, erratic order gaps';
COMMENT ON COLUMN agentcrm.client_360.orders IS 'Orders';
COMMENT ON COLUMN agentcrm.client_360.mean_gap IS 'Mean gap between order days, days';
COMMENT ON COLUMN agentcrm.client_360.last_order_on IS 'Day of the last order';
COMMENT ON COLUMN agentcrm.client_360.silent_days IS 'Days since then';
COMMENT ON COLUMN agentcrm.client_360.silence IS 'Probability that a living client of this rhythm stays silent that long';
COMMENT ON COLUMN agentcrm.client_360.p_alive IS 'Probability that the client has not gone';
COMMENT ON COLUMN agentcrm.client_360.p_order IS 'Probability of an order within 28 days if nothing is done';
COMMENT ON COLUMN agentcrm.client_360.due_early IS 'Day by which the next order has come with probability 20 %';
COMMENT ON COLUMN agentcrm.client_360.due_on IS 'Day by which the next order has come with probability one half; NULL: it is never so probable';
COMMENT ON COLUMN agentcrm.client_360.due_late IS 'Day by which the next order has come with probability 80 %; NULL: it is never so probable';
COMMENT ON COLUMN agentcrm.client_360.alarm_on IS 'Day on which silence becomes an alarm';
COMMENT ON COLUMN agentcrm.client_360.amount_12m IS 'Net amount of the last 12 calendar months, returns deducted, source currency';
COMMENT ON COLUMN agentcrm.client_360.expected_orders IS 'Orders expected within agentcrm.value_horizon';
COMMENT ON COLUMN agentcrm.client_360.expected_value IS 'Net amount expected within agentcrm.value_horizon, source currency';
COMMENT ON COLUMN agentcrm.client_360.lifetime_value IS 'Margin expected within agentcrm.value_horizon, source currency';
COMMENT ON COLUMN agentcrm.client_360.value_class IS 'A: clients that bring the first 80 % of the margin expected, B: next 15 %, C: the rest; NULL while no repurchase model is fitted';
COMMENT ON COLUMN agentcrm.client_360.as_of IS 'Moment of the assessment';
COMMENT ON COLUMN agentcrm.client_360.next_look_at IS 'When the client is looked at again, if nothing happens before';

CREATE VIEW agentcrm.at_risk AS
SELECT v.client_id, v.client, v.rep, v.since, v.orders, v.mean_gap, v.last_order_on, v.silent_days, v.silence, v.p_alive, v.alarm_on, v.abc, v.amount_12m
FROM agentcrm.client_360 v
WHERE v.stage = 'at_risk'
ORDER BY v.amount_12m DESC, v.client_id;
COMMENT ON VIEW agentcrm.at_risk IS 'Clients whose silence has become an alarm, the most valuable first';
COMMENT ON COLUMN agentcrm.at_risk.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.at_risk.client IS 'Name of the client, or its key';
COMMENT ON COLUMN agentcrm.at_risk.rep IS 'Rep of the client';
COMMENT ON COLUMN agentcrm.at_risk.since IS 'Day the alarm was seen';
COMMENT ON COLUMN agentcrm.at_risk.orders IS 'Orders';
COMMENT ON COLUMN agentcrm.at_risk.mean_gap IS 'Mean gap between order days, days';
COMMENT ON COLUMN agentcrm.at_risk.last_order_on IS 'Day of the last order';
COMMENT ON COLUMN agentcrm.at_risk.silent_days IS 'Days since then, at the last assessment';
COMMENT ON COLUMN agentcrm.at_risk.silence IS 'Probability that a living client of this rhythm stays silent that long';
COMMENT ON COLUMN agentcrm.at_risk.p_alive IS 'Probability that the client has not gone';
COMMENT ON COLUMN agentcrm.at_risk.alarm_on IS 'Day on which silence became an alarm';
COMMENT ON COLUMN agentcrm.at_risk.abc IS 'Class by net amount of 12 months';
COMMENT ON COLUMN agentcrm.at_risk.amount_12m IS 'Net amount of the last 12 calendar months, returns deducted, source currency';

CREATE VIEW agentcrm.portfolio AS
SELECT v.stage, count(*) AS clients, round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS clients_pct,
	sum(v.amount_12m) AS amount_12m, round(100 * sum(v.amount_12m) / nullif(sum(sum(v.amount_12m)) OVER (), 0), 1) AS amount_pct,
	round(sum(v.expected_value), 2) AS expected_value, round(sum(v.lifetime_value), 2) AS lifetime_value
FROM agentcrm.client_360 v
GROUP BY v.stage
ORDER BY array_position('{prospect,new,one_off,growing,regular,won_back,declining,at_risk,dormant,lost}', v.stage);
COMMENT ON VIEW agentcrm.portfolio IS 'Clients, net amount and expected amount by lifecycle stage';
COMMENT ON COLUMN agentcrm.portfolio.stage IS 'Lifecycle stage; NULL before the first assessment';
COMMENT ON COLUMN agentcrm.portfolio.clients IS 'Clients';
COMMENT ON COLUMN agentcrm.portfolio.clients_pct IS 'Share of all clients, %';
COMMENT ON COLUMN agentcrm.portfolio.amount_12m IS 'Net amount of the last 12 calendar months, returns deducted, source currency';
COMMENT ON COLUMN agentcrm.portfolio.amount_pct IS 'Share of it, %';
COMMENT ON COLUMN agentcrm.portfolio.expected_value IS 'Net amount expected within agentcrm.value_horizon, source currency';
COMMENT ON COLUMN agentcrm.portfolio.lifetime_value IS 'Margin expected within agentcrm.value_horizon, source currency';
