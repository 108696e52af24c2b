-- queue/: durable events "key K of part P of source S changed", written by capture, read in snapshot order

CREATE TABLE agentcrm.event (
	xid			xid8 NOT NULL,
	at			timestamptz NOT NULL,
	source_id	int NOT NULL,
	part		smallint NOT NULL,
	key			text NOT NULL
) WITH (autovacuum_enabled = false);
ALTER TABLE agentcrm.event ALTER key SET STORAGE PLAIN;
COMMENT ON TABLE agentcrm.event IS 'Changed keys, one row per transaction and key; rows live in the rotated tables event_1 to event_8';
COMMENT ON COLUMN agentcrm.event.xid IS 'Top-level transaction that changed the key';
COMMENT ON COLUMN agentcrm.event.at IS 'When it was written: just before its transaction committed or was prepared, or in the middle of one of more than agentcrm.capture_max_keys keys';
COMMENT ON COLUMN agentcrm.event.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.event.part IS 'Part of the source the key belongs to';
COMMENT ON COLUMN agentcrm.event.key IS 'Key in canonical text; parts of a composite key are joined by commas, commas and backslashes inside are escaped';

DO $$
BEGIN
	FOR i IN 1..8 LOOP
		EXECUTE format('CREATE TABLE agentcrm.event_%s () INHERITS (agentcrm.event) WITH (autovacuum_enabled = false)', i);
		EXECUTE format('ALTER TABLE agentcrm.event_%s ALTER key SET STORAGE PLAIN', i);
		EXECUTE format('COMMENT ON TABLE agentcrm.event_%s IS %L', i, 'Rotated event table ' || i || ': insert-only, emptied by TRUNCATE when all its rows are consumed');
		EXECUTE format('COMMENT ON COLUMN agentcrm.event_%s.xid IS %L', i, 'Top-level transaction that changed the key');
		EXECUTE format('COMMENT ON COLUMN agentcrm.event_%s.at IS %L', i, 'When it was written');
		EXECUTE format('COMMENT ON COLUMN agentcrm.event_%s.source_id IS %L', i, 'Source');
		EXECUTE format('COMMENT ON COLUMN agentcrm.event_%s.part IS %L', i, 'Part of the source the key belongs to');
		EXECUTE format('COMMENT ON COLUMN agentcrm.event_%s.key IS %L', i, 'Key in canonical text');
	END LOOP;
END $$;

CREATE TABLE agentcrm.event_rename (
	xid			xid8 NOT NULL,
	at			timestamptz NOT NULL,
	source_id	int NOT NULL,
	part		smallint NOT NULL,
	key			text NOT NULL
);
ALTER TABLE agentcrm.event_rename ALTER key SET STORAGE PLAIN;
COMMENT ON TABLE agentcrm.event_rename IS 'Renamed keys whose events wait, so that they are found without reading the queue; rows go when the events are consumed';
COMMENT ON COLUMN agentcrm.event_rename.xid IS 'Top-level transaction that renamed the key';
COMMENT ON COLUMN agentcrm.event_rename.at IS 'When it was written';
COMMENT ON COLUMN agentcrm.event_rename.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.event_rename.part IS 'The part number of renames';
COMMENT ON COLUMN agentcrm.event_rename.key IS 'Old and new key in canonical text';

CREATE TABLE agentcrm.event_turn (
	turn_no		bigint PRIMARY KEY,
	event_table	smallint NOT NULL CHECK (event_table BETWEEN 1 AND 8),
	at			timestamptz NOT NULL
);
COMMENT ON TABLE agentcrm.event_turn IS 'Which event table capture should write to: the row with the highest turn_no; any other choice is harmless';
COMMENT ON COLUMN agentcrm.event_turn.turn_no IS 'Turn number; grows with each rotation';
COMMENT ON COLUMN agentcrm.event_turn.event_table IS 'Number of the event table written from this turn on';
COMMENT ON COLUMN agentcrm.event_turn.at IS 'When the turn began';

CREATE TABLE agentcrm.batch (
	batch_no		bigint PRIMARY KEY,
	seen			pg_snapshot NOT NULL,
	target			pg_snapshot,
	event_table		smallint,
	block			bigint,
	item			int,
	system_identifier	bigint NOT NULL,
	events			int NOT NULL,
	keys			int NOT NULL,
	clients			int NOT NULL,
	started_at		timestamptz NOT NULL,
	finished_at		timestamptz NOT NULL,
	ledger_ms		double precision NOT NULL
);
COMMENT ON TABLE agentcrm.batch IS 'Finished batches of events; the row with the highest batch_no is the cursor. Never dumped: it means nothing in another server';
COMMENT ON COLUMN agentcrm.batch.batch_no IS 'Number of the batch; grows';
COMMENT ON COLUMN agentcrm.batch.seen IS 'Snapshot all of whose events are consumed';
COMMENT ON COLUMN agentcrm.batch.target IS 'Snapshot being consumed in several batches, while it is not finished';
COMMENT ON COLUMN agentcrm.batch.event_table IS 'Event table reached within target';
COMMENT ON COLUMN agentcrm.batch.block IS 'Block reached within that table';
COMMENT ON COLUMN agentcrm.batch.item IS 'Item reached within that block';
COMMENT ON COLUMN agentcrm.batch.system_identifier IS 'Server whose transaction numbers the snapshots hold; a cursor of another server is discarded';
COMMENT ON COLUMN agentcrm.batch.events IS 'Events consumed';
COMMENT ON COLUMN agentcrm.batch.keys IS 'Distinct keys re-read';
COMMENT ON COLUMN agentcrm.batch.clients IS 'Distinct clients touched';
COMMENT ON COLUMN agentcrm.batch.started_at IS 'Start of the step';
COMMENT ON COLUMN agentcrm.batch.finished_at IS 'End of the step, just before its commit';
COMMENT ON COLUMN agentcrm.batch.ledger_ms IS 'Of the time between: reading the queue, reading its keys in the application''s tables, and bringing the ledger up to date, ms';

CREATE TABLE agentcrm.event_failed (
	source_id	int NOT NULL REFERENCES agentcrm.source ON DELETE CASCADE,
	part		smallint NOT NULL,
	key			text NOT NULL,
	attempts	int NOT NULL,
	sqlstate	text NOT NULL,
	message		text NOT NULL,
	context		text,
	first_at	timestamptz NOT NULL,
	last_at		timestamptz NOT NULL,
	retry_at	timestamptz NOT NULL,
	PRIMARY KEY (source_id, part, key)
);
CREATE INDEX event_failed_retry_at_idx ON agentcrm.event_failed (retry_at);
COMMENT ON TABLE agentcrm.event_failed IS 'Keys whose re-read failed; retried at growing intervals, at once by a new change of the key or by resync';
COMMENT ON COLUMN agentcrm.event_failed.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.event_failed.part IS 'Part of the source';
COMMENT ON COLUMN agentcrm.event_failed.key IS 'Key in canonical text';
COMMENT ON COLUMN agentcrm.event_failed.attempts IS 'Failed attempts so far';
COMMENT ON COLUMN agentcrm.event_failed.sqlstate IS 'SQLSTATE of the last failure';
COMMENT ON COLUMN agentcrm.event_failed.message IS 'Message of the last failure';
COMMENT ON COLUMN agentcrm.event_failed.context IS 'Where it happened';
COMMENT ON COLUMN agentcrm.event_failed.first_at IS 'First failure';
COMMENT ON COLUMN agentcrm.event_failed.last_at IS 'Last failure';
COMMENT ON COLUMN agentcrm.event_failed.retry_at IS 'When it is tried again';
