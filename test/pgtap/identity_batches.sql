-- The random merges, renames and keys given again of identity_random, read in batches that cut them anywhere.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
ALTER SYSTEM SET agentcrm.batch_size = 7;
SELECT pg_reload_conf() \g /dev/null
SELECT format('SELECT pg_sleep(0.05) WHERE current_setting(%L) <> %L', 'agentcrm.batch_size', '7') FROM generate_series(1, 600) \gexec
\set rounds 4
\ir identity_random.sql
ALTER SYSTEM RESET agentcrm.batch_size;
SELECT pg_reload_conf() \g /dev/null
