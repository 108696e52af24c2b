-- The random merges, renames and keys given again of identity_random, read in batches that cut them anywhere.
\set QUIET 1
SET agentcrm.batch_size = 7;
\set rounds 4
\ir identity_random.sql
