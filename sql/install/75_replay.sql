-- replay/: the past once more, by the live code, to see how good it would have been

CREATE FUNCTION agentcrm.replay_bids(client_ids bigint[], as_of timestamptz, mode text DEFAULT 'as_known', round_id bigint DEFAULT NULL)
	RETURNS SETOF agentcrm.bid LANGUAGE c
	AS 'MODULE_PATHNAME', 'agentcrm_replay_bids';
COMMENT ON FUNCTION agentcrm.replay_bids(bigint[], timestamptz, text, bigint) IS
'What the agents would have bid for some clients at a moment of the past, as rows of agentcrm.bid; nothing is stored, no award is made (status is proposed).
mode: as_known (the ledger as agentcrm held it then, and the generations then in use: the bids of that moment once more, bit for bit) or as_corrected (the ledger as it is now up to as_of, generations fitted on it for the purpose, whose model numbers are -1).
round_id: of a stored round, whose generations and number are then used. Settings, agents and their parameters, attributes of clients and products are those of now.
Errors: a NULL argument but round_id, an as_of that is not finite, an unknown mode, a round without stored bids.
Example: SELECT agent, action, p_baseline, reason FROM agentcrm.replay_bids(ARRAY[42], ''2026-01-15'')';
