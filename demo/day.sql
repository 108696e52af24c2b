-- A day at the shop, played as the application's role: repeat orders, an edit, two cancellations, a return, a draft
-- and three orders given up before commit. Uses the shop's tables only; whoever listens must find out by itself.

DO $day$
DECLARE
	buyer		record;
	new_id		bigint;
	old_id		bigint;
	given_up	integer := 0;
	done		integer := 0;
BEGIN
	FOR buyer IN
		SELECT client_id, rep_id, row_number() OVER (ORDER BY hashint4(client_id)) AS i,
			   (SELECT max(order_id) FROM shop.orders o
				WHERE o.client_id = c.client_id AND o.status = 'confirmed' AND NOT o.is_return
				  AND o.ordered_at > now() - interval '70 days') AS last_id
		FROM shop.clients c
		WHERE active
		  AND EXISTS (SELECT FROM shop.orders o WHERE o.client_id = c.client_id AND o.status = 'confirmed'
					  AND NOT o.is_return AND o.ordered_at > now() - interval '70 days')
		ORDER BY hashint4(client_id)
		LIMIT 48
	LOOP
		-- As an order-entry screen does it: a draft, its lines, then the confirmation.
		INSERT INTO shop.orders (client_id, rep_id) VALUES (buyer.client_id, buyer.rep_id) RETURNING order_id INTO new_id;
		INSERT INTO shop.order_lines (order_id, product_id, quantity, unit_price, unit_cost, discount_pct)
		SELECT new_id, product_id, quantity, unit_price, unit_cost, discount_pct
		FROM shop.order_lines WHERE order_id = buyer.last_id;
		IF buyer.i % 16 = 5 THEN
			ROLLBACK;									-- the client hung up
			given_up := given_up + 1;
			CONTINUE;
		END IF;
		IF buyer.i <> 48 THEN							-- the last one stays a draft
			UPDATE shop.orders SET status = 'confirmed' WHERE order_id = new_id;
		END IF;
		COMMIT;
		done := done + 1;
		CASE buyer.i
			WHEN 12 THEN								-- the client wants twice as much of one thing
				UPDATE shop.order_lines SET quantity = quantity * 2
				WHERE line_id = (SELECT min(line_id) FROM shop.order_lines WHERE order_id = new_id);
				COMMIT;
				RAISE NOTICE 'order % was changed', new_id;
			WHEN 24 THEN
				UPDATE shop.orders SET status = 'cancelled' WHERE order_id = new_id;
				COMMIT;
				RAISE NOTICE 'order % was cancelled an instant later', new_id;
			WHEN 30 THEN								-- an order of the last days is cancelled too
				SELECT max(order_id) INTO old_id FROM shop.orders
				WHERE status = 'confirmed' AND NOT is_return AND ordered_at < current_date;
				UPDATE shop.orders SET status = 'cancelled' WHERE order_id = old_id;
				COMMIT;
				RAISE NOTICE 'order % of % was cancelled', old_id, (SELECT ordered_at::date FROM shop.orders WHERE order_id = old_id);
			WHEN 36 THEN								-- goods of the order repeated just now come back
				INSERT INTO shop.orders (client_id, rep_id, status, is_return, original_order_id)
				VALUES (buyer.client_id, buyer.rep_id, 'confirmed', true, buyer.last_id) RETURNING order_id INTO new_id;
				INSERT INTO shop.order_lines (order_id, product_id, quantity, unit_price, unit_cost, discount_pct)
				SELECT new_id, product_id, -quantity, unit_price, unit_cost, discount_pct
				FROM shop.order_lines WHERE order_id = buyer.last_id ORDER BY line_id LIMIT 1;
				COMMIT;
				RAISE NOTICE 'return % came in for order %', new_id, buyer.last_id;
			ELSE
				NULL;
		END CASE;
	END LOOP;
	RAISE NOTICE '% orders committed, % given up before commit', done, given_up;
END
$day$;
