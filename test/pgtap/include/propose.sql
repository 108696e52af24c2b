-- A shop for propose to read: 60 orders with two lines each; the first status has the most of them.
CREATE FUNCTION pg_temp.best(schema name) RETURNS jsonb LANGUAGE sql AS $$ SELECT agentcrm.propose_mappings(ARRAY[schema]) -> 0 -> 'options' $$;
CREATE FUNCTION pg_temp.asked(schema name, asked text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(q ->> 'remark' || ' ' || (q ->> 'alternatives'), ', ') FROM jsonb_array_elements(agentcrm.propose_mappings(ARRAY[schema]) -> 0 -> 'questions') q WHERE q ->> 'question' = asked
$$;

CREATE FUNCTION pg_temp.shop(shop name, statuses text[] DEFAULT '{confirmed}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE SCHEMA %I', shop);
	PERFORM set_config('search_path', shop || ', public', true);
	CREATE TABLE customer (id int PRIMARY KEY, name text);
	CREATE TABLE product (id int PRIMARY KEY, name text);
	CREATE TABLE sales_order (id int PRIMARY KEY, customer_id int REFERENCES customer, order_date date, status text);
	CREATE TABLE sales_order_line (id int PRIMARY KEY, order_id int REFERENCES sales_order, product_id int REFERENCES product, quantity int, price numeric(12,2));
	INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 15) i;
	INSERT INTO product SELECT i, 'p' || i FROM generate_series(1, 12) i;
	INSERT INTO sales_order SELECT i, 1 + i % 15, date '2024-01-01' + i, statuses[greatest(1, i % (2 * cardinality(statuses)) - cardinality(statuses) + 1)] FROM generate_series(1, 60) i;
	INSERT INTO sales_order_line SELECT 2 * o + k, o, 1 + (o + k) % 12, 1 + (o + k) % 4, 10 + (o + k) % 12 * 7.3 FROM generate_series(1, 60) o, generate_series(0, 1) k;
END $$;
