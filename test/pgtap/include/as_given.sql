-- The call that a broken source gives, followed literally, makes it live again.
SELECT pg_temp.call('shop') AS call \gset
:call \g /dev/null
CALL agentcrm.run();
SELECT is(pg_temp.state('shop'), '0 0 live', 'the call as it was given');
