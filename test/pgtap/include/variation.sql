-- What the tests of mappings share: a plain owner of the tables, :app, and four calls.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
SELECT agentcrm.pause() \g /dev/null
SELECT 'regress_' || current_database() AS app \gset
CREATE ROLE :app;
-- Attaches by the name alone; if that asks something, makes the call of its hint as it stands.  Gives the arguments asked for.
CREATE FUNCTION pg_temp.take(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
	answers text;
BEGIN
	EXECUTE format('SELECT FROM agentcrm.attach(%L)', name);
	RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, answers = PG_EXCEPTION_DETAIL;
	IF hint !~ '^SELECT ' THEN
		RAISE;
	END IF;
	EXECUTE hint;
	RETURN (SELECT string_agg(m[1], ' ') FROM regexp_matches(answers, 'in the call: (\w+)', 'g') m);
END $$;
-- Clients, orders, lines and amount of a source in the ledger; after them all that is wrong.
CREATE FUNCTION pg_temp.ledger(name text) RETURNS text LANGUAGE sql AS $$
	WITH c AS MATERIALIZED (SELECT * FROM agentcrm.compare(name))
	SELECT concat_ws(' ', (SELECT string_agg(trim_scale(ledger)::text, ' ' ORDER BY array_position('{clients,orders,lines,amount}', item)) FROM c WHERE item IN ('clients', 'orders', 'lines', 'amount')),
		(SELECT 'differs: ' || string_agg(format('%s by %s', item, difference), ', ') FROM c WHERE difference <> 0),
		(SELECT 'verify: ' || string_agg(v::text, ', ') FROM (SELECT * FROM agentcrm.verify() LIMIT 5) AS v),
		(SELECT 'failed: ' || string_agg(f.key || ' ' || f.message, ', ') FROM agentcrm.event_failed f),
		(SELECT s.state || ': ' || s.problem FROM agentcrm.source s WHERE s.name = $1 AND s.state <> 'shadow'))
$$;
-- What is wrong alone.
CREATE FUNCTION pg_temp.wrong(name text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace(pg_temp.ledger(name), '^(\d\S*( |$)){4}', '') $$;
-- The lines of an order, by product key.
CREATE FUNCTION pg_temp.lines(name text, key text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', coalesce(p.product_key, '-'), trim_scale(l.quantity), trim_scale(l.amount), nullif(l.kind::text, 'sale')), ', ' ORDER BY p.product_key, l.quantity)
	FROM agentcrm.ledger l JOIN agentcrm.source s USING (source_id) LEFT JOIN agentcrm.product p USING (product_id) LEFT JOIN agentcrm.order_ref r USING (source_id, order_id)
	WHERE s.name = $1 AND coalesce(r.order_key, l.order_id::text) = key
$$;
