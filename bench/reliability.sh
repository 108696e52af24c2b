#!/bin/bash
# What must hold whatever happens, at length: crashes under load, planted faults, a
# very large transaction, and the worker's memory over many batches.
# Run by make bench-reliability, not by make bench: about half an hour.
#
#   bench/reliability.sh          ROUNDS (200), KEYS (5000000), BATCHES (10000)
#
# Without a server of its own: the tests it lengthens make theirs, and the last
# part runs under test/with_cluster, where this script calls itself.
set -euo pipefail
cd "$(dirname "$0")/.."
pg_config=${PG_CONFIG:-pg_config}

# ---- under test/with_cluster ----

worker_kb() {
	awk '/^RssAnon/ { print $2 }' "/proc/$(sql -c 'SELECT worker_pid FROM agentcrm.worker_state()')/status"
}

# wait_batches n
wait_batches() {
	until [ "$(sql -c "SELECT coalesce(max(batch_no), 0) >= $1 FROM agentcrm.batch")" = t ]; do :; done
}

# Memory: a batch an order.  The first batches fill caches.
measure_memory() {
	local batches=$1 start first last
	sql -c 'ALTER SYSTEM SET agentcrm.batch_size = 1' -c 'SELECT pg_reload_conf()' -c 'SELECT agentcrm.resume()' >/dev/null
	start=$(sql -c 'SELECT coalesce(max(batch_no), 0) FROM agentcrm.batch')
	sql -c "UPDATE bench_attached.orders SET ordered_at = ordered_at + interval '1 second'
		WHERE order_id IN (SELECT order_id FROM bench_attached.orders ORDER BY order_id LIMIT $((batches + 1000)))" >/dev/null
	wait_batches $((start + 1000))
	first=$(worker_kb)
	wait_batches $((start + 1000 + batches - 50))
	last=$(worker_kb)
	say "memory of the worker: $first kB after 1,000 batches, $last kB after $batches more"
	bar "growth over $batches batches, MB" "$(calc "($last - $first) / 1024")" at_most 1 0
}

if [ "${1:-}" = --memory ]; then
	source bench/lib/lib.sh
	make_shop bench_attached 2000 500 10
	attach_shop bench_attached
	load_shop
	measure_memory "${BATCHES:-10000}"
	finish
fi

# ---- the tests, longer ----

status=0
test_part() {	# file
	echo "== $1"
	TAP=$1 PG_CONFIG=$pg_config test/run tap || status=1
	grep -E '^# .*(middle of a step)|^(not )?ok .*( ms \(at most| MB)' build/log/tap.log | sed 's/^/   /' || true
}

KEYS=${KEYS:-5000000} test_part test/t/060_flush_faults.pl
longest=$(sed -n 's/^ok .*at most \([0-9.]*\)) against.*/\1/p' build/log/tap.log | sort -g | tail -n 1)
test_part test/t/061_crashes.pl
ROUNDS=${ROUNDS:-200} test_part test/t/062_kills.pl
rounds=$(grep -Ec '^ok .*round [0-9]+, [a-z]+: verify\(\) is empty' build/log/tap.log || true)
echo "   longest commit beside a fault: $longest ms (bar 20, stretch 5)"
echo "   rounds of crash under load with verify() empty: $rounds of ${ROUNDS:-200}"

echo "== memory"
test/with_cluster -d bench -o shared_preload_libraries=agentcrm -o shared_buffers=256MB -- bash bench/reliability.sh --memory || status=1
exit $status
