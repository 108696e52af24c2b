-- One refusal, case :n: it is provoked, says what it must, and the hint, followed literally, makes it work.
\o /dev/null
SELECT setup FROM refusal WHERE n = :n AND setup IS NOT NULL \gexec
\o
SELECT format('SET ROLE %I', caller) FROM refusal WHERE n = :n \gexec
SELECT pg_temp.provoke(call) FROM refusal WHERE n = :n \g /dev/null
SELECT matches(current_setting('refusal.message'), message, format('case %s is refused: %s', n, message)) FROM refusal WHERE n = :n;
\o /dev/null
SELECT unnest(pg_temp.steps(call, caller, current_setting('refusal.hint'))) FROM refusal WHERE n = :n \gexec
\o
RESET ROLE;
SELECT ok((SELECT count(*) = 1 FROM agentcrm.source WHERE name = 'case ' || :n AND state = 'loading'), format('case %s works by its hint: %s', :n, current_setting('refusal.hint')));
