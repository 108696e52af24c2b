-- agent/: alarms that were raised, what became of them, and how often they were raised in vain

CREATE VIEW agentcrm.alarm AS
WITH raised AS (
	SELECT b.client_id, b.agent, b.reason_code AS chart, b.demand_category AS category, b.product_id,
		b.evidence #>> '{values,alarm_since}' AS alarm_since, min(b.as_of) AS raised_at, max(b.as_of) AS last_at,
		(array_agg(CASE WHEN jsonb_typeof(b.evidence #> '{values,expected_loss}') = 'number' THEN (b.evidence #>> '{values,expected_loss}')::numeric END ORDER BY b.as_of DESC))[1] AS expected_loss,
		(array_agg(CASE WHEN jsonb_typeof(b.evidence #> '{values,usual_gap}') = 'number' THEN (b.evidence #>> '{values,usual_gap}')::numeric END ORDER BY b.as_of))[1] AS usual_gap,
		(array_agg(b.reason ORDER BY b.as_of DESC))[1] AS reason, array_agg(b.bid_id) AS bids
	FROM agentcrm.bid b
	WHERE b.reason_code IN ('silence', 'slow_down', 'lost_category', 'lost_item')
	GROUP BY 1, 2, 3, 4, 5, 6
), told AS (
	SELECT r.*, a.status, a.acted,
		CASE r.chart
			WHEN 'slow_down' THEN (SELECT count(DISTINCT l.ordered_on) FILTER (WHERE l.ordered_at <= r.raised_at + r.usual_gap * interval '4 days') >= 3
				FROM agentcrm.ledger l WHERE l.client_id = r.client_id AND l.kind = 'sale' AND l.ordered_at > r.raised_at)
			ELSE EXISTS (SELECT FROM agentcrm.ledger l LEFT JOIN agentcrm.product p ON p.product_id = l.product_id
				WHERE l.client_id = r.client_id AND l.kind = 'sale' AND l.ordered_at > r.raised_at AND l.ordered_at <= r.raised_at + interval '90 days'
					AND (r.chart = 'silence' OR l.product_id = r.product_id OR (r.product_id IS NULL AND p.category = r.category)))
		END AS came_back
	FROM raised r
	LEFT JOIN LATERAL (
		SELECT (array_agg(t.status ORDER BY t.as_of DESC))[1] AS status, bool_or(t.status IN ('agreed', 'done', 'failed')) AS acted
		FROM agentcrm.recommendation t
		WHERE t.client_id = r.client_id AND t.bid_id = ANY (r.bids)
	) a ON true
)
SELECT t.client_id, coalesce(c.name, c.client_key) AS client, t.agent, t.chart, nullif(t.category, '*') AS category, t.product_id,
	t.raised_at, t.last_at, round(t.expected_loss, 2) AS expected_loss, t.reason, t.status,
	CASE WHEN t.came_back AND t.acted THEN 'came back after an action'
		WHEN t.came_back THEN 'came back by itself'
		WHEN t.status IN ('open', 'shown', 'agreed', 'snoozed') THEN 'stands'
		WHEN t.acted THEN 'acted on'
		WHEN t.status = 'declined' THEN 'declined'
		WHEN t.status IS NULL THEN 'not awarded'
		ELSE 'not answered' END AS outcome
FROM told t LEFT JOIN agentcrm.client c USING (client_id)
ORDER BY t.expected_loss DESC NULLS LAST, t.client_id, t.raised_at;
COMMENT ON VIEW agentcrm.alarm IS 'Alarms that agents raised, with what became of them, the dearest first: a silence, a slowing down, a category or an item that a client left. One row however often the agent bid for it';
COMMENT ON COLUMN agentcrm.alarm.client_id IS 'Client';
COMMENT ON COLUMN agentcrm.alarm.client IS 'Name of the client, or its key';
COMMENT ON COLUMN agentcrm.alarm.agent IS 'Agent that raised it';
COMMENT ON COLUMN agentcrm.alarm.chart IS 'silence, slow_down, lost_category or lost_item';
COMMENT ON COLUMN agentcrm.alarm.category IS 'Category of the demand, where the alarm is about one';
COMMENT ON COLUMN agentcrm.alarm.product_id IS 'Product, where it is about one';
COMMENT ON COLUMN agentcrm.alarm.raised_at IS 'Moment of the first bid because of it';
COMMENT ON COLUMN agentcrm.alarm.last_at IS 'Moment of the last one';
COMMENT ON COLUMN agentcrm.alarm.expected_loss IS 'Margin of agentcrm.value_horizon that is lost if the alarm is right, times the chance that it is, source currency';
COMMENT ON COLUMN agentcrm.alarm.reason IS 'The reason in a sentence, as last given';
COMMENT ON COLUMN agentcrm.alarm.status IS 'Status of its recommendation; NULL when none was made';
COMMENT ON COLUMN agentcrm.alarm.outcome IS 'came back by itself (a false alarm: an order, or one with the item, within 90 days with nobody acting; after a slowing down three order days within four usual gaps), came back after an action, stands, acted on, declined, not answered, or not awarded';

CREATE VIEW agentcrm.false_alarm_report AS
WITH watched AS (
	SELECT min(r.as_of) AS since FROM agentcrm.round r
), interval_of AS (
	SELECT s.to_stage, greatest(s.at, w.since) AS begins,
		coalesce(lead(s.at) OVER (PARTITION BY s.client_id ORDER BY s.at), agentcrm.clock()) AS ends
	FROM agentcrm.stage_change s, watched w
), life AS (
	SELECT coalesce(sum(extract(epoch FROM i.ends - i.begins)) FILTER (WHERE i.ends > i.begins), 0)::double precision / (365.25 * 86400) AS years
	FROM interval_of i WHERE i.to_stage NOT IN ('prospect', 'dormant', 'lost')
), chart(chart, share) AS (
	VALUES ('silence', 0.44), ('slow_down', 0.30), ('lost_category', 0.13), ('lost_item', 0.13)
), counted AS (
	SELECT a.agent, a.chart, count(*) AS raised,
		count(*) FILTER (WHERE a.outcome = 'came back by itself') AS came_back_by_itself,
		count(*) FILTER (WHERE a.outcome = 'came back after an action') AS came_back_after_action,
		count(*) FILTER (WHERE a.outcome = 'stands') AS stands, count(*) FILTER (WHERE a.outcome = 'acted on') AS acted_on,
		count(*) FILTER (WHERE a.outcome = 'declined') AS declined,
		count(*) FILTER (WHERE a.outcome IN ('not answered', 'not awarded')) AS not_answered
	FROM agentcrm.alarm a GROUP BY 1, 2
)
SELECT coalesce(c.agent, 'retention') AS agent, h.chart, coalesce(c.raised, 0) AS raised, coalesce(c.stands, 0) AS stands,
	coalesce(c.acted_on, 0) AS acted_on, coalesce(c.declined, 0) AS declined, coalesce(c.not_answered, 0) AS not_answered,
	coalesce(c.came_back_after_action, 0) AS came_back_after_action, coalesce(c.came_back_by_itself, 0) AS came_back_by_itself,
	round(l.years::numeric, 2) AS client_years,
	CASE WHEN l.years > 0 THEN round((coalesce(c.came_back_by_itself, 0) / l.years)::numeric, 4) END AS measured_rate,
	round((h.share * s.rate)::numeric, 4) AS set_rate,
	CASE WHEN l.years * h.share * s.rate < 5 THEN 'insufficient: needs ' || ceil(5 / (h.share * s.rate)) || ' client-years, has ' || round(l.years::numeric)
		WHEN coalesce(c.came_back_by_itself, 0) > l.years * h.share * s.rate + 2 * sqrt(l.years * h.share * s.rate) THEN 'more than set'
		WHEN coalesce(c.came_back_by_itself, 0) < l.years * h.share * s.rate - 2 * sqrt(l.years * h.share * s.rate) THEN 'less than set'
		ELSE 'as set' END AS verdict
FROM chart h
	CROSS JOIN life l
	CROSS JOIN (SELECT coalesce(current_setting('agentcrm.false_alarm_rate', true)::double precision, 1 / 13.0) AS rate) s
	LEFT JOIN counted c ON c.chart = h.chart
ORDER BY array_position('{silence,slow_down,lost_category,lost_item}', h.chart), 1;
COMMENT ON VIEW agentcrm.false_alarm_report IS 'Alarms per agent and chart: how many were raised, what became of them, and how many in vain per living client and year, against the chart''s share of agentcrm.false_alarm_rate. A client that came back by itself counts as a false alarm; whom somebody acted upon is left out, so that acting lowers the figure';
COMMENT ON COLUMN agentcrm.false_alarm_report.agent IS 'Agent';
COMMENT ON COLUMN agentcrm.false_alarm_report.chart IS 'silence, slow_down, lost_category or lost_item';
COMMENT ON COLUMN agentcrm.false_alarm_report.raised IS 'Alarms raised';
COMMENT ON COLUMN agentcrm.false_alarm_report.stands IS 'Recommended, and neither answered nor over';
COMMENT ON COLUMN agentcrm.false_alarm_report.acted_on IS 'Acted on, and the client has not come back';
COMMENT ON COLUMN agentcrm.false_alarm_report.declined IS 'Declined by a person or an application';
COMMENT ON COLUMN agentcrm.false_alarm_report.not_answered IS 'Time passed, withdrawn, or never awarded';
COMMENT ON COLUMN agentcrm.false_alarm_report.came_back_after_action IS 'The client came back within 90 days and somebody had acted';
COMMENT ON COLUMN agentcrm.false_alarm_report.came_back_by_itself IS 'The client came back within 90 days and nobody had: false alarms';
COMMENT ON COLUMN agentcrm.false_alarm_report.client_years IS 'Years that clients have lived under watch: since the first round, while neither prospect, dormant nor lost';
COMMENT ON COLUMN agentcrm.false_alarm_report.measured_rate IS 'False alarms per client and year';
COMMENT ON COLUMN agentcrm.false_alarm_report.set_rate IS 'The chart''s share of agentcrm.false_alarm_rate';
COMMENT ON COLUMN agentcrm.false_alarm_report.verdict IS 'as set, more or less than set (beyond two standard deviations), or insufficient, with the client-years it needs to expect five';
