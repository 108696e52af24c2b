#!/bin/bash
# What the assessment says of clients against what they then did, on public order
# histories: days with an order over the rest of each history (grocery, CDNOW,
# apparel); an order within 28 days, and a product within 28 days, at month ends of
# a wholesaler's year, and the day of the next order.  By the way a user's data go: rows of an application's tables,
# attached, backfilled, fitted as of each origin, forecast as of it.  Whatever lies
# after an origin is in the tables and must not be seen.
#
#   BTYD_DATA, RETAIL_DATA: folders of the histories; skipped, visibly, where missing
cluster_options=(-o shared_buffers=256MB -o max_wal_size=4GB)
source "$(dirname "$0")/../lib/lib.sh"

btyd=$(realpath "${BTYD_DATA:-$bench_dir/../../shared/data/btyd}")
retail=$(realpath "${RETAIL_DATA:-$bench_dir/../../shared/data/online_retail}")

sql -c 'CREATE ROLE shop LOGIN'

# new_database name: an application's, with the extension, its worker paused; later calls go there
new_database() {
	sql -d postgres -c "CREATE DATABASE $1 OWNER shop"
	export PGDATABASE=$1
	sql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION agentcrm' -c 'SELECT agentcrm.pause()' \
		-c 'GRANT CREATE ON SCHEMA public TO shop' >/dev/null
}

# The attached source to ledger and profiles, in shadow: agents bid once for nobody.
load_source() {
	sql -c "CALL agentcrm.backfill('history')" -c 'CALL agentcrm.run()' >/dev/null 2>"$work/progress" ||
		{ cat "$work/progress" >&2; die "backfill failed"; }
	sql -c 'ANALYZE'
}

# origin day: generations as of the end of that day
origin() {
	sql -c 'SET client_min_messages = warning' -c "SELECT agentcrm.fit(NULL, '$1 23:59:59+00')" >/dev/null
}

# clients_at day: those with an order until then, as an array
clients_at() {
	echo "(SELECT array_agg(client_id ORDER BY client_id) FROM agentcrm.client_profile WHERE first_order_on <= '$1')"
}

# ---- days with an order over the rest of a history ----

# holdout name columns client day amount until days beat stretch
holdout() {
	local name=$1 columns=$2 client=$3 day=$4 amount=$5 until=$6 days=$7 file=$btyd/$1_orders.csv.gz
	local names
	names=$(sed 's/ [a-z]*,/,/g; s/ [a-z]*$//' <<<"$columns")
	new_database "$name"
	sql -U shop <<-SQL
		CREATE TABLE history (order_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, $columns);
		\\copy history ($names) FROM PROGRAM 'gzip -dc "$file"' (FORMAT csv, HEADER)
	SQL
	sql -c 'SET client_min_messages = warning' -c "SELECT agentcrm.attach('history', orders => 'history', client => 'o.$client', at => 'o.$day',
		quantity => '1', amount => '$amount', time_zone => 'UTC')" >/dev/null
	load_source
	origin "$until"
	read -r clients actual expected mae < <(sql -F' ' -c "
		WITH f AS (SELECT f.* FROM agentcrm.forecast($(clients_at "$until"), '$until 23:59:59+00', $days) f),
		h AS (SELECT $client AS client_id, count(DISTINCT $day) AS days FROM history
			WHERE $day > '$until' AND $day <= '$until'::date + $days GROUP BY 1)
		SELECT count(*), sum(coalesce(h.days, 0)), round(sum(f.orders)::numeric), avg(abs(f.orders - coalesce(h.days, 0)))
		FROM f LEFT JOIN h USING (client_id)")
	say "$name: $clients clients, $actual days with an order within $days days of $until, $expected expected, model $(serving)"
	bar "orders per client, $name, MAE" "$mae" at_most "$8" "$9"
}

# The generations that were fitted.
serving() {
	sql -c "SELECT string_agg(kind, ' ' ORDER BY kind) FROM agentcrm.model WHERE current AND coalesce(params->>'fitted', '1') <> '0'"
}

# ---- within 28 days of the month ends of a wholesaler's year ----

# Cleaned as for the published figures: an order is a client's day.
load_retail() {
	new_database online_retail
	(cd "$retail" && sql -U shop -f load.sql >/dev/null)
	sql -U shop <<-'SQL'
		CREATE TABLE sale AS SELECT customerid, invoicedate::date AS day, stockcode, quantity, unitprice FROM online_retail
			WHERE customerid IS NOT NULL AND quantity > 0 AND unitprice > 0 AND invoiceno NOT LIKE 'C%';
		CREATE INDEX ON sale (customerid, day);
		ANALYZE sale;
	SQL
	sql -c 'SET client_min_messages = warning' -c "SELECT agentcrm.attach('history', lines => 'sale', order_key => '{customerid,day}',
		client => 'l.customerid', product => 'l.stockcode', at => 'l.day', quantity => 'l.quantity', amount => 'l.quantity * l.unitprice',
		time_zone => 'UTC')" >/dev/null
	load_source
	sql <<-'SQL'
		CREATE TABLE day AS SELECT DISTINCT client_id, ordered_on FROM agentcrm.ledger;
		CREATE TABLE bought AS SELECT DISTINCT client_id, product_id, ordered_on FROM agentcrm.ledger;
		CREATE TABLE client_28 (origin date, client_id bigint, x int, p float8, y boolean);
		CREATE TABLE item_28 (origin date, client_id bigint, product_id bigint, p float8, y boolean);
	SQL
}

score_clients() {
	sql -c "INSERT INTO client_28
		SELECT '$1', f.client_id, s.n_gaps, f.p_order,
			EXISTS (SELECT FROM day d WHERE d.client_id = f.client_id AND d.ordered_on > '$1' AND d.ordered_on <= '$1'::date + 28)
		FROM agentcrm.forecast($(clients_at "$1"), '$1 23:59:59+00', 28) f
			JOIN agentcrm.profile($(clients_at "$1"), '$1 23:59:59+00') s USING (client_id)"
}

score_items() {
	sql -c "INSERT INTO item_28
		SELECT '$1', f.client_id, f.product_id, f.p_within, b.client_id IS NOT NULL
		FROM agentcrm.forecast_items($(clients_at "$1"), '$1 23:59:59+00', 28) f LEFT JOIN (SELECT DISTINCT client_id, product_id FROM bought
			WHERE ordered_on > '$1' AND ordered_on <= '$1'::date + 28) b USING (client_id, product_id)"
}

# next_interval origin: the day of the next order, foreseen on the day of an order, by the generation of an origin; by the published
# protocol: days cut at 42, chances of whole days at their noon, clients with four gaps, orders of which all 42 days are known
next_interval() {
	sql <<-SQL
		CREATE TABLE interval_42 AS
		SELECT g.*, c.p, c.raw, i.early - g.ordered_on AS early, i.late - g.ordered_on AS late, q.early - g.ordered_on AS q_early, q.late - g.ordered_on AS q_late
		FROM (SELECT client_id, ordered_on, row_number() OVER w::int - 1 AS x, (ordered_on - first_value(ordered_on) OVER w)::float8 AS tx,
				sum(ln(gap)) OVER w AS logs, coalesce(lead(ordered_on) OVER w - ordered_on, 1000000) AS gap
			FROM (SELECT *, ordered_on - lag(ordered_on) OVER (PARTITION BY client_id ORDER BY ordered_on) AS gap FROM day) d
			WINDOW w AS (PARTITION BY client_id ORDER BY ordered_on)) g
			JOIN agentcrm.model m ON m.current AND m.kind = 'repurchase' AND m.segment = '*',
			LATERAL agentcrm.next_order_interval(x, tx, tx, logs, params, ordered_on) i,
			LATERAL agentcrm.next_order_interval(x, tx, tx, logs, params - 'interval', ordered_on) q,
			LATERAL (SELECT array_agg(agentcrm.p_order_within(x, tx, tx, logs, params, t + .5) ORDER BY t) AS p,
				array_agg(agentcrm.p_order_within(x, tx, tx, logs, params - 'calibration', t + .5) ORDER BY t) AS raw FROM generate_series(0, 42) t) c
		WHERE x >= 4 AND ordered_on > '$1' AND ordered_on <= (SELECT max(ordered_on) FROM day) - 42;
	SQL
	[ "$(sql -c 'SELECT count(*) FROM interval_42')" = 2031 ] || die "not the 2,031 orders of the published figure"
	say "next order: the interval's scale is $(sql -c "SELECT round((params ->> 'interval')::numeric, 3) FROM agentcrm.model WHERE current AND kind = 'repurchase'");" \
		"held $(held q_early q_late 42) before it is scaled; days not cut, $(held q_early q_late 1000000) before and $(held early late 1000000) after"
	say "CRPS of the model as it is, not recalibrated: $(crps raw)"
	bar "next order, CRPS within 42 days" "$(crps p)" at_most 6.34 6.12
	bar "next order, 80 % interval, share held" "$(held early late 42)" at_least .78 .78
	bar "the same, from above" "$(held early late 42)" at_most .85 .85
}

# crps column: of the chances in it
crps() {
	sql -c "SELECT round((sum(($1[t + 1] - (gap <= t)::int) ^ 2) / (SELECT count(*) FROM interval_42))::numeric, 4) FROM interval_42, generate_series(0, 42) t"
}

# held early late horizon: the share of next orders in an interval
held() {
	sql -c "SELECT round(avg((least(coalesce($1, $3), $3) <= least(gap, $3) AND least(gap, $3) <= least(coalesce($2, $3), $3))::int), 4) FROM interval_42"
}

log_loss="avg(-ln(greatest(CASE WHEN y THEN p ELSE 1 - p END, 1e-12)))"

wholesaler() {
	local day
	load_retail
	for day in 2011-07-31 2011-08-31 2011-09-30 2011-10-31; do
		origin $day
		score_clients $day
		if [ $day = 2011-07-31 ]; then next_interval $day; else score_items $day; fi
	done
	say "online_retail: $(sql -c "SELECT format('%s clients, %s with an order, %s expected', count(*), count(*) FILTER (WHERE y), round(sum(p))) FROM client_28")," \
		"$(sql -c "SELECT format('%s pairs, %s bought, %s expected', count(*), count(*) FILTER (WHERE y), round(sum(p))) FROM item_28"), model $(serving)"
	bar "order within 28 days, log loss" "$(sql -c "SELECT $log_loss FROM client_28")" at_most .5092 .5056
	bar "order within 28 days, 3 repeats, log loss" "$(sql -c "SELECT $log_loss FROM client_28 WHERE x >= 3")" at_most .628 .613
	[ "$(sql -c 'SELECT count(*) FROM item_28')" = 573052 ] || die "not the 573,052 pairs of the published figures"
	bar "product within 28 days, log loss" "$(sql -c "SELECT $log_loss FROM item_28")" at_most .2141 .2135
	bar "product within 28 days, AUC" "$(sql -c "
		SELECT (sum(r) FILTER (WHERE y) - count(*) FILTER (WHERE y) * (count(*) FILTER (WHERE y) + 1) / 2.0)
			/ (count(*) FILTER (WHERE y) * count(*) FILTER (WHERE NOT y)::float8)
		FROM (SELECT y, rank() OVER (ORDER BY p) + (count(*) OVER (PARTITION BY p) - 1) / 2.0 AS r FROM item_28) x")" at_least .756 .761
	bar "product within 28 days, top 5,000" "$(sql -c "
		SELECT avg(y::int) FROM (SELECT y, row_number() OVER (PARTITION BY origin ORDER BY p DESC, client_id, product_id) AS n FROM item_28) x
		WHERE n <= 5000")" at_least .412 .427
}

if [ -d "$btyd" ]; then
	cdnow='cust bigint, date date, qty int, sales numeric'
	holdout grocery 'cust bigint, date date' cust date 1 2006-12-31 364 1.400 1.391
	holdout cdnow_sample "$cdnow" cust date o.sales 1997-09-30 273 .765 .761
	holdout cdnow_full "$cdnow" cust date o.sales 1997-09-30 273 .795 .790
	holdout apparel 'cust bigint, date date, price numeric' cust date o.price 2007-12-27 1089 1.156 1.153
else
	say "SKIPPED: no order histories in $btyd"
fi
if [ -f "$retail/load.sql" ]; then
	wholesaler
else
	say "SKIPPED: no wholesaler's year in $retail"
fi
finish
