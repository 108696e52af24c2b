-- One addition to agentcrm's tables that is refused: row :which of the table refused.
CALL alter_table(:which, false);
UPDATE orders SET qty = qty + 1 WHERE order_id IN (:which, 11);
\set ON_ERROR_STOP 0
\o /dev/null
CALL agentcrm.run();
\o
\set ON_ERROR_STOP 1
SELECT is(:'LAST_ERROR_SQLSTATE' || ' ' || (strpos(:'LAST_ERROR_MESSAGE', message) > 0), '0A000 true', 'refused: ' || message) FROM refused WHERE n = :which;
SELECT ok(strpos(remark, message) > 0 AND waiting = 2 AND failed = 0, 'status says so, and nothing is blamed or lost') FROM refused, agentcrm.status WHERE n = :which AND what = 'worker';
CALL alter_table(:which, true);
CALL agentcrm.run();
SELECT is((SELECT count(*) FROM agentcrm.verify()) || ' ' || agentcrm.queue_depth() || coalesce(agentcrm.obstacle(), ''), '0 0', 'undone, and caught up');
