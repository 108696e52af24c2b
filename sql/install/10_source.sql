-- source/: the mapping of the application's tables onto orders, clients, products and reps

CREATE TABLE agentcrm.source (
	source_id		int PRIMARY KEY,
	name			text NOT NULL UNIQUE,
	namespace		int NOT NULL,
	run_as			text NOT NULL,
	search_path		text NOT NULL,
	time_zone		text NOT NULL,
	on_delete		text NOT NULL DEFAULT 'retract' CHECK (on_delete IN ('retract', 'keep')),
	archive_before	interval,
	state			text NOT NULL CHECK (state IN ('shadow', 'loading', 'live', 'paused', 'broken')),
	deliver			boolean NOT NULL DEFAULT false,
	problem			text,
	version			bigint NOT NULL DEFAULT 1,
	options			jsonb NOT NULL DEFAULT '{}',
	attached_at		timestamptz NOT NULL,
	live_at			timestamptz
);
COMMENT ON TABLE agentcrm.source IS 'Attached sources: one row per application order system read by agentcrm';
COMMENT ON COLUMN agentcrm.source.source_id IS 'Number of the source; part of every order''s identity';
COMMENT ON COLUMN agentcrm.source.name IS 'Name given at attach';
COMMENT ON COLUMN agentcrm.source.namespace IS 'Identity namespace: sources of one namespace share clients, products and reps; in namespace 0 integer keys are ids themselves';
COMMENT ON COLUMN agentcrm.source.run_as IS 'Role under whose rights the application''s tables are read';
COMMENT ON COLUMN agentcrm.source.search_path IS 'search_path under which the source''s queries run, as of attach';
COMMENT ON COLUMN agentcrm.source.time_zone IS 'Zone in which dates and times without zone are read, and in which order days are counted';
COMMENT ON COLUMN agentcrm.source.on_delete IS 'What becomes of counted lines whose order was deleted: retract or keep';
COMMENT ON COLUMN agentcrm.source.archive_before IS 'Orders older than this stay counted but are left out of compare and verify';
COMMENT ON COLUMN agentcrm.source.state IS 'loading, shadow (state and bids, no delivery), live, paused or broken';
COMMENT ON COLUMN agentcrm.source.deliver IS 'True once go_live was called: recommendations are delivered when loading is over';
COMMENT ON COLUMN agentcrm.source.problem IS 'Why the source is paused or broken, with the call that mends it';
COMMENT ON COLUMN agentcrm.source.version IS 'Grows with every alteration; cached plans of older versions are dropped';
COMMENT ON COLUMN agentcrm.source.options IS 'Arguments of attach as given, for alter_source';
COMMENT ON COLUMN agentcrm.source.attached_at IS 'When the source was attached';
COMMENT ON COLUMN agentcrm.source.live_at IS 'When go_live was called';

CREATE TABLE agentcrm.source_part (
	source_id		int NOT NULL REFERENCES agentcrm.source ON DELETE CASCADE,
	part			smallint NOT NULL,
	name			text NOT NULL,
	kind			text NOT NULL CHECK (kind IN ('order', 'feed', 'touch')),
	query			text NOT NULL,
	key_schema		text NOT NULL,
	key_table		text NOT NULL,
	key_columns		text[] NOT NULL,
	PRIMARY KEY (source_id, part),
	UNIQUE (source_id, name)
);
COMMENT ON TABLE agentcrm.source_part IS 'Parts of a source that are read by key: its orders, its feeds, and tables whose rows touch orders';
COMMENT ON COLUMN agentcrm.source_part.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.source_part.part IS 'Number of the part within the source; part 1 is the orders';
COMMENT ON COLUMN agentcrm.source_part.name IS 'order, client, product, rep or another feed; touch parts are named after their table';
COMMENT ON COLUMN agentcrm.source_part.kind IS 'order: query gives order lines; feed: query gives attributes; touch: query gives the order keys that a row touches';
COMMENT ON COLUMN agentcrm.source_part.query IS 'Query over one typed array per key column: $1, $2, ...';
COMMENT ON COLUMN agentcrm.source_part.key_schema IS 'Schema of the relation that lists all keys';
COMMENT ON COLUMN agentcrm.source_part.key_table IS 'Relation that lists all keys';
COMMENT ON COLUMN agentcrm.source_part.key_columns IS 'Key columns in that relation';

CREATE TABLE agentcrm.source_watch (
	source_id		int NOT NULL,
	watch			smallint NOT NULL,
	part			smallint NOT NULL,
	schema_name		text NOT NULL,
	table_name		text NOT NULL,
	key_columns		text[] NOT NULL,
	PRIMARY KEY (source_id, watch),
	FOREIGN KEY (source_id, part) REFERENCES agentcrm.source_part ON DELETE CASCADE
);
COMMENT ON TABLE agentcrm.source_watch IS 'Watched tables: a change of a row puts its key columns into the queue for the part';
COMMENT ON COLUMN agentcrm.source_watch.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.source_watch.watch IS 'Number of the watch within the source: an argument of its triggers';
COMMENT ON COLUMN agentcrm.source_watch.part IS 'Part whose keys the watched columns are';
COMMENT ON COLUMN agentcrm.source_watch.schema_name IS 'Schema of the watched table';
COMMENT ON COLUMN agentcrm.source_watch.table_name IS 'Watched table';
COMMENT ON COLUMN agentcrm.source_watch.key_columns IS 'Columns of the watched table that hold the key, in the order of the part''s key columns';

CREATE TABLE agentcrm.source_load (
	source_id		int NOT NULL REFERENCES agentcrm.source ON DELETE CASCADE,
	part			smallint NOT NULL,
	load_no			bigint NOT NULL,
	phase			text NOT NULL CHECK (phase IN ('read', 'sweep', 'fold', 'assess', 'done')),
	position		text,
	done			bigint NOT NULL,
	total			bigint NOT NULL,
	again			boolean NOT NULL DEFAULT false,
	at				timestamptz NOT NULL,
	started_at		timestamptz NOT NULL,
	PRIMARY KEY (source_id, part, load_no)
);
COMMENT ON TABLE agentcrm.source_load IS 'Steps of loading all keys of a part (attach, resync); the row with the highest load_no is where the load stands';
COMMENT ON COLUMN agentcrm.source_load.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.source_load.part IS 'Part being loaded';
COMMENT ON COLUMN agentcrm.source_load.load_no IS 'Step number; grows';
COMMENT ON COLUMN agentcrm.source_load.phase IS 'read: keys are read into the ledger; sweep: stored orders that are gone are retracted; fold: profiles are built; assess: clients are judged; done';
COMMENT ON COLUMN agentcrm.source_load.position IS 'Last key (read) or client (fold) finished; the load goes on after it';
COMMENT ON COLUMN agentcrm.source_load.done IS 'Keys or clients finished in this phase';
COMMENT ON COLUMN agentcrm.source_load.total IS 'Keys or clients to do in this phase, as counted or estimated at its start';
COMMENT ON COLUMN agentcrm.source_load.again IS 'True: asked for again meanwhile; starts anew when it is done';
COMMENT ON COLUMN agentcrm.source_load.at IS 'When this step ended';
COMMENT ON COLUMN agentcrm.source_load.started_at IS 'When the phase began';
