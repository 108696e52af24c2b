-- profile/: the repurchase model for analysts, by client and moment, and as pure functions of statistics and parameters

CREATE FUNCTION agentcrm.p_alive(client_id bigint, as_of timestamptz)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_p_alive'
LANGUAGE C STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.p_alive(bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.p_alive(bigint, timestamptz) IS 'Probability that a client has not gone, as of a moment (no later order is seen), in [0, 1]. By the generation in use now of kind repurchase for the client''s segment, or while there is none by the gap model, as in client_state; it may have learnt from orders after as_of: to try the models on the past call backtest(). NULL for an argument that is NULL, an unknown client, one that is merged into another, and one without orders by then. Errors: an as_of that is not finite';

CREATE FUNCTION agentcrm.p_alive(repeat_orders int, last_order double precision, age double precision, sum_log_gaps double precision, params jsonb)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_p_alive_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION agentcrm.p_alive(int, double precision, double precision, double precision, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.p_alive(int, double precision, double precision, double precision, jsonb) IS 'The same as a pure function of statistics: repeat_orders order days after the first, the last of them last_order days and today age days after the first, sum_log_gaps the sum of the natural logarithms of the gaps in days; and params as in agentcrm.model (r, alpha in days, a, b, arrays k and weight; without them k = 1). MBG/CNBD-k with a mixture over k (Reutterer, Platzer, Schroeder 2021). NULL for an argument that is NULL. Errors: statistics that no client can have, params that make no model';

CREATE FUNCTION agentcrm.p_order_within(client_id bigint, as_of timestamptz, days double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_p_order_within'
LANGUAGE C STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.p_order_within(bigint, timestamptz, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.p_order_within(bigint, timestamptz, double precision) IS 'Probability that a client orders at least once within so many days after as_of if nothing is done, in [0, 1]: allowing for the client having gone, recalibrated on the last closed window. By the generation in use now of kind repurchase for the client''s segment, or while there is none by the gap model, as in client_state; it may have learnt from orders after as_of: to try the models on the past call backtest(). NULL for an argument that is NULL, an unknown client, one that is merged into another, and one without orders by then. Errors: an as_of that is not finite; days that are negative or not finite';

CREATE FUNCTION agentcrm.p_order_within(repeat_orders int, last_order double precision, age double precision, sum_log_gaps double precision, params jsonb, days double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_p_order_within_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION agentcrm.p_order_within(int, double precision, double precision, double precision, jsonb, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.p_order_within(int, double precision, double precision, double precision, jsonb, double precision) IS 'The same as a pure function of statistics: repeat_orders order days after the first, the last of them last_order days and today age days after the first, sum_log_gaps the sum of the natural logarithms of the gaps in days; and params as in agentcrm.model (r, alpha in days, a, b, arrays k and weight; without them k = 1). Recalibrated by params calibration ([intercept, slope] on the logit) where there is one. NULL for an argument that is NULL. Errors: statistics that no client can have, params that make no model; days that are negative or not finite';

CREATE FUNCTION agentcrm.expected_orders(client_id bigint, as_of timestamptz, days double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_expected_orders'
LANGUAGE C STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.expected_orders(bigint, timestamptz, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.expected_orders(bigint, timestamptz, double precision) IS 'Number of orders expected of a client within so many days after as_of, allowing for the client having gone. By the generation in use now of kind repurchase for the client''s segment, or while there is none by the gap model, as in client_state; it may have learnt from orders after as_of: to try the models on the past call backtest(). NULL for an argument that is NULL, an unknown client, one that is merged into another, and one without orders by then. Errors: an as_of that is not finite; days that are negative or not finite';

CREATE FUNCTION agentcrm.expected_orders(repeat_orders int, last_order double precision, age double precision, sum_log_gaps double precision, params jsonb, days double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_expected_orders_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION agentcrm.expected_orders(int, double precision, double precision, double precision, jsonb, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.expected_orders(int, double precision, double precision, double precision, jsonb, double precision) IS 'The same as a pure function of statistics: repeat_orders order days after the first, the last of them last_order days and today age days after the first, sum_log_gaps the sum of the natural logarithms of the gaps in days; and params as in agentcrm.model (r, alpha in days, a, b, arrays k and weight; without them k = 1). NULL for an argument that is NULL. Errors: statistics that no client can have, params that make no model; days that are negative or not finite; more than numbers can say';

CREATE FUNCTION agentcrm.next_order_date(client_id bigint, as_of timestamptz, quantile double precision DEFAULT 0.5)
RETURNS date
AS 'MODULE_PATHNAME', 'agentcrm_next_order_date'
LANGUAGE C STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.next_order_date(bigint, timestamptz, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.next_order_date(bigint, timestamptz, double precision) IS 'Day by which a client''s next order has come with the given probability, as of a moment; NULL where it is never so probable because the client may have gone. By the generation in use now of kind repurchase for the client''s segment, or while there is none by the gap model, as in client_state; it may have learnt from orders after as_of: to try the models on the past call backtest(). NULL for an argument that is NULL, an unknown client, one that is merged into another, and one without orders by then. Errors: an as_of that is not finite; a quantile outside (0, 1)';

CREATE FUNCTION agentcrm.next_order_date(repeat_orders int, last_order double precision, age double precision, sum_log_gaps double precision, params jsonb, today date, quantile double precision)
RETURNS date
AS 'MODULE_PATHNAME', 'agentcrm_next_order_date_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION agentcrm.next_order_date(int, double precision, double precision, double precision, jsonb, date, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.next_order_date(int, double precision, double precision, double precision, jsonb, date, double precision) IS 'The same as a pure function of statistics: repeat_orders order days after the first, the last of them last_order days and today age days after the first, sum_log_gaps the sum of the natural logarithms of the gaps in days; and params as in agentcrm.model (r, alpha in days, a, b, arrays k and weight; without them k = 1). Day counted from today. NULL where the order is never so probable, and for an argument that is NULL. Errors: statistics that no client can have, params that make no model; a quantile outside (0, 1); a day that is not finite';

CREATE FUNCTION agentcrm.next_order_interval(client_id bigint, as_of timestamptz, OUT early date, OUT late date)
AS 'MODULE_PATHNAME', 'agentcrm_next_order_interval'
LANGUAGE C STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.next_order_interval(bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.next_order_interval(bigint, timestamptz) IS 'Days from early to late that hold a clients next order with 80 %, when an order later than a window of window_days (metrics of the generation) counts as one on its last day: the 10 and 90 % quantiles, drawn towards the median as the last closed window showed, by the interval of the generation''s params. Longer than a window the quantiles of next_order_date say more. late is NULL where the client may have gone, early where it probably has. NULL for an argument that is NULL, an unknown client, one that is merged into another, and one without orders by then. Errors: an as_of that is not finite';

CREATE FUNCTION agentcrm.next_order_interval(repeat_orders int, last_order double precision, age double precision, sum_log_gaps double precision, params jsonb, today date, OUT early date, OUT late date)
AS 'MODULE_PATHNAME', 'agentcrm_next_order_interval_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION agentcrm.next_order_interval(int, double precision, double precision, double precision, jsonb, date) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.next_order_interval(int, double precision, double precision, double precision, jsonb, date) IS 'The same as a pure function of statistics: repeat_orders order days after the first, the last of them last_order days and today age days after the first, sum_log_gaps the sum of the natural logarithms of the gaps in days; and params as in agentcrm.model (r, alpha in days, a, b, arrays k and weight; without them k = 1; interval, without it 1). Days counted from today. NULL for an argument that is NULL. Errors: statistics that no client can have, params that make no model; a day that is not finite';

CREATE FUNCTION agentcrm.expected_value(client_id bigint, as_of timestamptz, days double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_expected_value'
LANGUAGE C STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.expected_value(bigint, timestamptz, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.expected_value(bigint, timestamptz, double precision) IS 'Net amount expected of a client within so many days after as_of, source currency: expected_orders times the net amount of an order, its own mean of 12 months (else of all) drawn towards other clients'' by the generation of kind spend; the margin in it is lifetime_value of forecast(). By the generations in use now, also for a past as_of. NULL for an argument that is NULL, an unknown client, one that is merged into another, and one without orders by then. Errors: an as_of that is not finite; days that are negative or not finite';

CREATE FUNCTION agentcrm.expected_value(repeat_orders int, last_order double precision, age double precision, sum_log_gaps double precision, params jsonb, days double precision, order_value double precision)
RETURNS double precision
AS 'MODULE_PATHNAME', 'agentcrm_expected_value_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION agentcrm.expected_value(int, double precision, double precision, double precision, jsonb, double precision, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.expected_value(int, double precision, double precision, double precision, jsonb, double precision, double precision) IS 'The same as a pure function of statistics: repeat_orders order days after the first, the last of them last_order days and today age days after the first, sum_log_gaps the sum of the natural logarithms of the gaps in days; and params as in agentcrm.model (r, alpha in days, a, b, arrays k and weight; without them k = 1). order_value is the net amount of an order. NULL for an argument that is NULL. Errors: statistics that no client can have, params that make no model; days that are negative or not finite; an order_value that is not finite, more than numbers can say';

CREATE FUNCTION agentcrm.repurchase_scores(as_of timestamptz, days double precision DEFAULT 28)
RETURNS TABLE (client_id bigint, p_alive double precision, p_order double precision, expected_orders double precision)
AS 'MODULE_PATHNAME', 'agentcrm_repurchase_scores'
LANGUAGE C STABLE PARALLEL SAFE ROWS 100000 SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION agentcrm.repurchase_scores(timestamptz, double precision) FROM PUBLIC;
COMMENT ON FUNCTION agentcrm.repurchase_scores(timestamptz, double precision) IS 'All clients with orders as of a moment, in one scan: what p_alive, p_order_within and expected_orders say of each for so many days, with the generations in use now. Errors: an argument that is NULL or not finite; days that are negative';
