-- How a test begins that takes its steps by hand: nothing is printed but results, and the worker keeps still.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
