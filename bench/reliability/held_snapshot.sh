#!/bin/bash
# What an open transaction costs the worker: 20,000 clients, 1,000 orders a second,
# and a REPEATABLE READ transaction that holds its snapshot, so that no dead row
# version goes.  A second database like it, where nobody holds one, is driven in
# turn with it; what the machine does meanwhile meets both.  The worker rests while
# five seconds' orders come in and then works them off, ten a batch: beside them it
# would find more in each batch the slower it is.
# SECONDS_HELD=300 of load for each of the two, besides 40 before.
cluster_options=(-D -o shared_buffers=512MB -o max_wal_size=4GB -o checkpoint_timeout=30min)
source "$(dirname "$0")/../lib/lib.sh"

clients=20000
rate=1000
batch=10
slice=5
before=8
held=$((${SECONDS_HELD:-300} / slice))
[ $held -ge 6 ] || die "SECONDS_HELD: at least $((6 * slice))"

# An order of five lines, of the products its client buys, in one statement.
cat >"$work/order.pgbench" <<SQL
\set client random(1, $clients)
\set first random(0, 20)
WITH o AS (INSERT INTO bench_attached.orders (client_id) VALUES (:client) RETURNING order_id)
INSERT INTO bench_attached.lines (order_id, product_id, quantity, unit_price)
SELECT order_id, 1 + floor(500 * ((pg_catalog.hashint8extended(:client * 32::bigint + k, 5) & 1048575) / 1048576.0))::int, 6, 12.50
FROM o, generate_series(:first, :first + 4) k;
SQL

make_database() {
	createdb "$1"
	PGDATABASE=$1 make_shop bench_attached "$clients" 500 10
	PGDATABASE=$1 attach_shop bench_attached
	PGDATABASE=$1 load_shop
	sql -d "$1" -c 'UPDATE agentcrm.resource SET capacity = 1e9' -c 'VACUUM ANALYZE' -c 'SELECT agentcrm.resume()' >/dev/null
	until sql -d "$1" -c 'SELECT worker_pid FROM agentcrm.worker_state()' | grep -q .; do
		sleep 0.1
	done
}

# CPU time of the database's worker so far, ns
worker_ns() {
	cut -d' ' -f1 "/proc/$(sql -d "$1" -c 'SELECT worker_pid FROM agentcrm.worker_state()')/schedstat"
}

# drive database phase: a slice of load; adds a line to $work/slices: database, phase, batches, ms until the ledger is up
# to date and ms of the whole step (lower quartiles, for what else the machine does only adds time), ms of CPU a batch
drive() {
	local from ns
	from=$(sql -d "$1" -c 'SELECT coalesce(max(batch_no), 0) FROM agentcrm.batch')
	sql -d "$1" -c 'SELECT agentcrm.pause()' >/dev/null
	PGOPTIONS='-c synchronous_commit=off' pgbench -n -M prepared -c 4 -R $rate -T $slice -f "$work/order.pgbench" "$1" \
		>"$work/pgbench" 2>&1 || { cat "$work/pgbench" >&2; die "pgbench failed"; }
	ns=$(worker_ns "$1")
	sql -d "$1" -c 'SELECT agentcrm.resume()' >/dev/null
	until [ "$(sql -d "$1" -c 'SELECT agentcrm.queue_depth()')" = 0 ]; do
		sleep 0.1
	done
	ns=$(($(worker_ns "$1") - ns))
	sql -d "$1" -F ' ' >>"$work/slices" <<-SQL
		SELECT '$1', '$2', count(*), percentile_cont(.25) WITHIN GROUP (ORDER BY ledger_ms),
			percentile_cont(.25) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at) * 1000),
			$ns / 1e6 / count(*)
		FROM agentcrm.batch WHERE batch_no > $from AND events = $batch
	SQL
}

# slices database phase column: the column's figures, of the last third of the phase
slices() {
	awk -v d="$1" -v phase="$2" -v c="$3" '
		$1 == d && $2 == phase { v[++n] = $c }
		END { for (i = phase == "held" ? int(n * 2 / 3) + 1 : 1; i <= n; i++) print v[i] }' "$work/slices"
}

# against phase column: the median of open/control over neighbouring slices
against() {
	paste <(slices open "$1" "$2") <(slices control "$1" "$2") | awk '{ print $1 / $2 }' | median
}

report() {	# column what; the figure is how much the ratio of the two databases has grown
	local phase
	for phase in before held; do
		say "$2, $phase: with the open transaction $(slices open $phase "$1" | median) ms, control $(slices control $phase "$1" | median) ms," \
			"ratio $(against $phase "$1"); $(slices open $phase 3 | median) and $(slices control $phase 3 | median) batches a slice"
	done
	figure=$(calc "$(against held "$1") / $(against before "$1")")
	say "$2, held against before: $figure"
}

# sizes database: kilobytes of each table of agentcrm, and of its indexes
sizes() {
	sql -d "$1" -F ' ' -c "
		SELECT relname, pg_relation_size(oid) / 1024, pg_indexes_size(oid) / 1024
		FROM pg_class WHERE relnamespace = 'agentcrm'::regnamespace AND relkind = 'r' ORDER BY 1"
}

sql -c "ALTER SYSTEM SET agentcrm.batch_size = $batch" -c "ALTER SYSTEM SET agentcrm.idle_exit = '1h'" -c 'SELECT pg_reload_conf()' >/dev/null
for database in open control; do
	make_database $database
done
for ((i = 0; i < before; i++)); do
	drive open before
	drive control before
done
sizes open >"$work/before"

coproc holder { psql -X -q -A -t -d open; }
echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agentcrm.source;' >&"${holder[1]}"
read -r _ <&"${holder[0]}"
for ((i = 0; i < held; i++)); do
	drive open held
	drive control held
done
[ "$(sql -d open -c "SELECT count(*) FROM pg_stat_activity WHERE datname = 'open' AND backend_xmin IS NOT NULL
	AND state = 'idle in transaction'")" = 1 ] || die "the snapshot was not held to the end"

say "kilobytes of heap, indexes: before, after $((held * slice)) s of load under a held snapshot, without one"
join "$work/before" <(sizes open) | join - <(sizes control) | awk '$4 + $5 > 1.1 * ($2 + $3) + 100' |
	while read -r table a b c d e f; do
		say "$(printf '%-22s %8d, %d -> %d, %d; %d, %d' "$table" "$a" "$b" "$c" "$d" "$e" "$f")"
	done
report 5 "the whole batch"
report 6 "CPU of the whole batch"
report 4 "queue read and ledger"
bar "held xmin, ms per batch against before" "$figure" at_most 1.5 1.1
finish
