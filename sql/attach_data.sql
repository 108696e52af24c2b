-- attach on two real data sets, as they are: a dry run's figures, to the last digit
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set have `test -f ../shared/data/northwind/load.sql -a -f ../shared/data/online_retail/load.sql && echo true || echo false`
\if :have
\else
\echo SKIPPED: no ../shared/data
\quit
\endif
CREATE EXTENSION IF NOT EXISTS agentcrm;
-- loads stay as they were begun
SELECT agentcrm.pause();
CREATE ROLE attach_data;
CREATE SCHEMA attach_data AUTHORIZATION attach_data;
SET ROLE attach_data;
SET search_path = attach_data;
\set ECHO none
\cd ../shared/data/northwind
\i load.sql
\cd ../online_retail
\i load.sql
\set ECHO all
RESET ROLE;
SELECT * FROM agentcrm.attach('northwind', orders => 'orders', lines => 'order_details', clients => 'customers', products => 'products',
	at => 'o.order_date', quantity => 'l.quantity', amount => 'l.unit_price::numeric * l.quantity * (1 - l.discount::numeric)', rep => 'o.employee_id',
	client_name => 'c.company_name', product_name => 'p.product_name', category => 'p.category_id', time_zone => 'UTC', dry_run => true);
SELECT * FROM agentcrm.attach('retail', lines => 'online_retail', order_key => '{invoiceno}', client => 'l.customerid',
	product => $$CASE WHEN l.stockcode ~ '^[0-9]{5}' THEN l.stockcode END$$, at => 'l.invoicedate', quantity => 'l.quantity', amount => 'l.quantity * l.unitprice',
	kind => $$CASE WHEN l.invoiceno LIKE 'C%' THEN 'return' ELSE 'sale' END$$, line_ok => 'l.customerid IS NOT NULL AND l.unitprice > 0',
	time_zone => 'Europe/London', dry_run => true);
-- attached for good, the loads know how many keys there are
SELECT item, detail FROM agentcrm.attach('northwind', orders => 'orders', lines => 'order_details', clients => 'customers', products => 'products', reps => 'employees',
	at => 'o.order_date', quantity => 'l.quantity', amount => 'l.unit_price::numeric * l.quantity * (1 - l.discount::numeric)',
	client_name => 'c.company_name', product_name => 'p.product_name', category => 'p.category_id') WHERE item IN ('remark', 'next');
SELECT p.name, l.phase, l.done, l.total FROM agentcrm.source_load l JOIN agentcrm.source_part p USING (source_id, part) JOIN agentcrm.source s USING (source_id)
WHERE s.name = 'northwind' ORDER BY l.load_no;
SELECT agentcrm.detach('northwind');
DROP SCHEMA attach_data CASCADE;
DROP ROLE attach_data;
SELECT agentcrm.resume();
DROP EXTENSION agentcrm;
