-- engine/: installation, errors, status and progress

CREATE TABLE agentcrm.installation (
	only_row			boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	system_identifier	bigint NOT NULL,
	database			text NOT NULL,
	version				text NOT NULL,
	installed_at		timestamptz NOT NULL
);
COMMENT ON TABLE agentcrm.installation IS 'Where agentcrm was installed or last adopted: a copy of the database is recognised by a mismatch and does not act';
COMMENT ON COLUMN agentcrm.installation.only_row IS 'There is one row';
COMMENT ON COLUMN agentcrm.installation.system_identifier IS 'System identifier of the server';
COMMENT ON COLUMN agentcrm.installation.database IS 'Name of the database';
COMMENT ON COLUMN agentcrm.installation.version IS 'Version of agentcrm at installation or adoption';
COMMENT ON COLUMN agentcrm.installation.installed_at IS 'When';

CREATE TABLE agentcrm.error_log (
	at			timestamptz NOT NULL,
	place		text NOT NULL,
	source_id	int,
	sqlstate	text NOT NULL,
	message		text NOT NULL,
	context		text
);
CREATE INDEX error_log_at_idx ON agentcrm.error_log (at);
COMMENT ON TABLE agentcrm.error_log IS 'Errors of worker, agents and reads, newest last';
COMMENT ON COLUMN agentcrm.error_log.at IS 'When';
COMMENT ON COLUMN agentcrm.error_log.place IS 'Where in agentcrm: a room, a source or an agent';
COMMENT ON COLUMN agentcrm.error_log.source_id IS 'Source, where one is concerned';
COMMENT ON COLUMN agentcrm.error_log.sqlstate IS 'SQLSTATE';
COMMENT ON COLUMN agentcrm.error_log.message IS 'Message';
COMMENT ON COLUMN agentcrm.error_log.context IS 'Context';
