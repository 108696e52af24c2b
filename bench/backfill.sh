#!/bin/bash
# Backfill of a million order lines (20,000 clients, 200,000 orders, 2,000
# products) to ledger, profiles and first bids, against one CREATE TABLE AS that
# aggregates the same rows by client and product.  Each backfill runs in a fresh
# copy of the database, attached and then worked off in one session; the two are
# interleaved, and medians compared.
source "$(dirname "$0")/lib/lib.sh"

runs=5

quiet_server
make_shop shop 20000 2000 10
base=$PGDATABASE

aggregate() {
	sql -c 'SET client_min_messages = warning' -c 'DROP TABLE IF EXISTS shop.aggregate' -c CHECKPOINT
	measured sql -c "CREATE TABLE shop.aggregate AS
		SELECT client_id, product_id, count(*), sum(quantity) AS quantity, sum(quantity * unit_price) AS amount
		FROM shop.orders JOIN shop.lines USING (order_id) GROUP BY 1, 2"
	echo "$wall_ms $cpu_ms"
}

backfill() {
	sql -d postgres -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS bench_run' -c "CREATE DATABASE bench_run TEMPLATE $base STRATEGY file_copy"
	PGDATABASE=bench_run attach_shop shop
	sql -d postgres -c CHECKPOINT
	PGDATABASE=bench_run measured load_shop
	echo "$wall_ms $cpu_ms"
}

for ((run = 1; run <= runs; run++)); do
	aggregate >>"$work/aggregate"
	backfill >>"$work/backfill"
	say "run $run: CREATE TABLE AS $(tail -n 1 "$work/aggregate" | cut -d' ' -f1) ms," \
		"backfill $(tail -n 1 "$work/backfill" | cut -d' ' -f1) ms (CPU $(tail -n 1 "$work/backfill" | cut -d' ' -f2) ms)"
done

on() {
	sql -d bench_run -c "$1"
}
loaded=$(on 'SELECT count(*) FROM agentcrm.ledger')
[ "$loaded" = "$(sql -c 'SELECT count(*) FROM shop.lines')" ] || die "the ledger has $loaded lines"
[ "$(on 'SELECT count(*) FROM agentcrm.client_state')" = 20000 ] || die "not every client was assessed"
say "each backfill: $loaded ledger lines, $(on 'SELECT count(*) FROM agentcrm.client_product') rows of client x product," \
	"$(on 'SELECT count(*) FROM agentcrm.bid') bids, $(on 'SELECT count(*) FROM agentcrm.recommendation') recommendations"

column() {
	cut -d' ' -f"$2" "$work/$1" | median
}
cpu=$(calc "$(column backfill 2) / $(column aggregate 2)")
say "medians of $runs interleaved runs: CREATE TABLE AS $(column aggregate 1) ms (CPU $(column aggregate 2) ms, server defaults," \
	"no run thrown away), backfill $(column backfill 1) ms (CPU $(column backfill 2) ms, ratio $cpu)"
bar "backfill of 1M lines / CREATE TABLE AS, time" "$(calc "$(column backfill 1) / $(column aggregate 1)")" at_most 8 4
finish
