-- plan/: what came in and waits for an answer

CREATE VIEW agentcrm.inbox AS
SELECT i.kind, i.id, i.client_id, i.name, i.received_at, i.due_at, i.due_at < agentcrm.clock() AS overdue, agentcrm.owner_of(i.rep_id, i.territory, (agentcrm.clock() AT TIME ZONE 'UTC')::date) AS owner_id
FROM (
	SELECT 'ticket' AS kind, t.ticket_id AS id, t.client_id, c.name, t.opened_at AS received_at, coalesce(t.due_at, t.opened_at + interval '1 day') AS due_at,
		coalesce(t.rep_id, c.rep_id) AS rep_id, c.territory
	FROM agentcrm.ticket t LEFT JOIN agentcrm.client c ON c.client_id = t.client_id WHERE t.closed_at IS NULL
	UNION ALL
	SELECT 'request', r.interaction_id, r.client_id, c.name, r.at, r.at + interval '1 day', coalesce(r.rep_id, c.rep_id), c.territory
	FROM agentcrm.interaction r LEFT JOIN agentcrm.client c ON c.client_id = r.client_id
	WHERE r.direction = 'in' AND r.at <= agentcrm.clock() AND r.at > agentcrm.clock() - interval '90 days'
	AND NOT EXISTS (SELECT FROM agentcrm.interaction o WHERE o.client_id = r.client_id AND o.direction = 'out' AND o.at >= r.at AND o.at <= agentcrm.clock())
	UNION ALL
	SELECT 'lead', l.lead_id, l.client_id, coalesce(l.name, l.lead_key), l.created_at, l.created_at + interval '2 days', coalesce(l.rep_id, c.rep_id), c.territory
	FROM agentcrm.lead l LEFT JOIN agentcrm.client c ON c.client_id = l.client_id WHERE l.converted_at IS NULL
) i;
COMMENT ON VIEW agentcrm.inbox IS 'What came in and waits for an answer: open tickets, requests of clients that nobody answered since (90 days back), leads not converted; each with who is to answer it and until when';
COMMENT ON COLUMN agentcrm.inbox.kind IS 'ticket, request or lead';
COMMENT ON COLUMN agentcrm.inbox.id IS 'ticket_id, interaction_id or lead_id';
COMMENT ON COLUMN agentcrm.inbox.client_id IS 'Client; NULL: not one yet';
COMMENT ON COLUMN agentcrm.inbox.name IS 'Name of the client or lead';
COMMENT ON COLUMN agentcrm.inbox.received_at IS 'When it came';
COMMENT ON COLUMN agentcrm.inbox.due_at IS 'Until when it is to be answered: the ticket''s own date, else a day after it came; leads two days';
COMMENT ON COLUMN agentcrm.inbox.overdue IS 'That moment has passed';
COMMENT ON COLUMN agentcrm.inbox.owner_id IS 'Rep who is to answer today, after hand-over and absence; NULL: nobody';
