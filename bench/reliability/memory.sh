#!/bin/bash
# The worker's memory over many batches of one order each: what it holds after the
# first thousand and a rest, which fill its caches, and at the end.  BATCHES=10000.
cluster_options=(-o shared_buffers=256MB)
source "$(dirname "$0")/../lib/lib.sh"

batches=${BATCHES:-10000}

worker_kb() {
	awk '/^RssAnon/ { print $2 }' "/proc/$(sql -c 'SELECT worker_pid FROM agentcrm.worker_state()')/status"
}

batches_done() {
	sql -c "SELECT coalesce(max(batch_no), 0) - $start FROM agentcrm.batch"
}

# wait_batches n
wait_batches() {
	until [ "$(batches_done)" -ge "$1" ]; do
		sleep 0.1
	done
}

make_shop bench_attached 2000 500 10
attach_shop bench_attached
load_shop
sql -c 'ALTER SYSTEM SET agentcrm.batch_size = 1' -c 'SELECT pg_reload_conf()' -c 'SELECT agentcrm.resume()' >/dev/null

# move offset n: a batch for each of these orders
move() {
	sql -c "UPDATE bench_attached.orders SET ordered_at = ordered_at + interval '1 second'
		WHERE order_id IN (SELECT order_id FROM bench_attached.orders ORDER BY order_id OFFSET $1 LIMIT $2)" >/dev/null
}

move 0 1000
until [ "$(sql -c "SELECT agentcrm.queue_depth() = 0 AND due IS NOT NULL FROM agentcrm.worker_state()")" = t ]; do sleep 0.1; done
start=0
start=$(batches_done)
first=$(worker_kb)
move 1000 "$batches"
for ((tenth = 1; tenth <= 10; tenth++)); do
	wait_batches $((batches * tenth / 10))
	last=$(worker_kb)
	say "$(batches_done) batches: $last kB, $first kB at first"
done
bar "worker's growth over $batches batches, MB" "$(calc "($last - $first) / 1024")" at_most 1 0
finish
