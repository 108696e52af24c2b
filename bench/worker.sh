#!/bin/bash
# How many orders a second one core carries from the queue through re-read,
# ledger, profile, agents and plan: 20,000 orders are committed one by one while
# the worker is paused, over 2,000 clients with two years of history, and then
# CALL agentcrm.run() works them off in one session.
source "$(dirname "$0")/lib/lib.sh"

orders=20000
runs=3

quiet_server
make_shop bench_attached 2000 500 40
attach_shop bench_attached
load_shop
say "history: $(sql -c 'SELECT count(*) FROM agentcrm.ledger') ledger lines of $(sql -c 'SELECT count(*) FROM agentcrm.client_profile') clients," \
	"$(sql -c "SELECT count(*) FROM agentcrm.recommendation WHERE status = 'open'") open recommendations"

ledger_orders() {
	sql -c 'SELECT count(DISTINCT order_id) FROM agentcrm.ledger'
}

for ((run = 1; run <= runs; run++)); do
	before=$(ledger_orders)
	enter_orders bench_attached 4 off -t $((orders / 4))
	measured sql -c "CALL agentcrm.run()"
	[ $(($(ledger_orders) - before)) = $orders ] || die "not all of $orders orders reached the ledger"
	say "run $run: $(calc "$wall_ms / 1000") s, CPU $(calc "$cpu_ms / 1000") s, $(calc "$cpu_ms * 1000 / $orders") us an order"
	calc "$orders * 1000 / $wall_ms" >>"$work/rates"
	echo >>"$work/rates"
done

bar "worker alone, orders/s on one core" "$(median <"$work/rates")" at_least 1000 5000
finish
