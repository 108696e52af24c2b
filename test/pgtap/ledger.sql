-- Identities and attributes: clients that several sources share.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\ir include/trade.sql
SELECT plan(4);

-- a second source of the same clients, which gives them other names
CREATE TABLE trade.bill (bill_id int PRIMARY KEY, client_id int REFERENCES trade.client, on_day date, amount numeric, kind text DEFAULT 'sale');
INSERT INTO trade.bill VALUES (1, 7, '2026-02-20', 100);
SELECT count(*) AS attached FROM agentcrm.attach('bills', orders => 'trade.bill', clients => 'trade.client', at => 'o.on_day', quantity => '1',
	amount => 'o.amount', kind => 'o.kind', client_name => $$'Bill to ' || c.name$$, namespace => 'trade', time_zone => 'UTC', run_as => current_user) \gset
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 7), 'Client 7', 'attributes are those of the first feed');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'and another feed of the namespace is no difference');
DELETE FROM trade.bill;
SELECT agentcrm.detach('trade') \g /dev/null
SELECT agentcrm.resync('bills') \g /dev/null
CALL agentcrm.run();
SELECT is((SELECT name FROM agentcrm.client WHERE client_id = 7), 'Bill to Client 7', 'with the first one detached the other''s count');
SELECT is((SELECT count(*)::int FROM agentcrm.verify()), 0, 'and all is in order');
SELECT * FROM finish();
