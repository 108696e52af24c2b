#!/bin/bash
# What agentcrm costs the application: order entry in attached tables against the
# same tables bare.  CPU time of the sessions and throughput with eight clients,
# synchronous_commit on and off; WAL of a transaction that touches one key.
#
# The worker is paused while the bars are measured, so that on few cores its work
# is not taken for the application's; a last pair shows it running.
source "$(dirname "$0")/lib/lib.sh"

seconds=2
keep=8
most=16

quiet_server
for schema in bench_bare bench_attached; do
	make_shop $schema 2000 500 10
done
attach_shop bench_attached
wal_writer=$(process walwriter)

# start_ms schema: what it costs eight sessions to begin and to plan their statements
start_ms() {
	for run in 1 2 3 4 5; do
		measured enter_orders "$1" 8 off -t 1
		echo $cpu_ms
	done | median
}

# enter synchronous_commit bare|attached: tps, CPU of the sessions and of the WAL writer in us per transaction
enter() {
	local writer transactions start
	writer=$(living_us "$wal_writer")
	measured enter_orders "bench_$2" 8 "$1" -T $seconds
	writer=$(($(living_us "$wal_writer") - writer))
	transactions=$(sed -n 's/^number of transactions actually processed: //p' "$work/pgbench")
	start=start_$2
	echo "$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench") $(calc "($cpu_ms - ${!start}) * 1000 / $transactions")" \
		"$(calc "$writer / $transactions")"
}

# WAL bytes per transaction without full-page images, of which some are left even
# though each schema's pages are written to before counting begins.
wal_bytes() {
	local start end
	enter_orders "bench_$1" 1 off -t 2000
	start=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
	enter_orders "bench_$1" 1 off -t 10000
	end=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
	sql -c CHECKPOINT
	sql -c "SELECT round(('$end'::pg_lsn - '$start' - sum(fpi_length)) / 10000, 1), sum(fpi_length)
		FROM pg_get_wal_records_info('$start', '$end')" | tr '|' ' '
}

say "8 clients, runs of $seconds s, order of 1 + 5 rows, pgbench -M prepared, worker paused"
for schema in bench_bare bench_attached; do
	enter_orders $schema 8 off -T 2
done
start_bare=$(start_ms bench_bare)
start_attached=$(start_ms bench_attached)
say "the start of 8 sessions takes $start_bare ms of CPU bare, $start_attached ms attached: not counted"
for sync in on off; do
	interleave "$work/$sync" $keep $most 1 enter $sync
	ratio "$work/$sync" 1 "synchronous_commit $sync, throughput" tps
	eval "tps_$sync=$figure"
	ratio "$work/$sync" 2 "synchronous_commit $sync, CPU of the sessions per transaction" us
	eval "cpu_$sync=$figure"
	say "WAL writer, not counted above: $(awk '{ print $3 }' "$work/$sync" | awk 'NR % 2' | median) us a transaction bare," \
		"$(awk '{ print $3 }' "$work/$sync" | awk 'NR % 2 == 0' | median) us attached"
done

sql -c CHECKPOINT -c 'CREATE EXTENSION pg_walinspect'
read -r bare_bytes bare_images <<<"$(wal_bytes bare)"
read -r attached_bytes attached_images <<<"$(wal_bytes attached)"
say "WAL, one client, 10,000 transactions after 2,000 following a checkpoint: bare $bare_bytes B each, attached $attached_bytes B" \
	"(without $bare_images B and $attached_images B of full-page images in all)"

sql -c 'SELECT agentcrm.resume()' >/dev/null
worker_pid() {
	process 'agentcrm worker'
}
interleave "$work/running" 2 2 1 enter off
say "for information, the worker running: tps attached/bare $(awk '{ print $1 }' "$work/running" | paste -sd' ')" \
	"(bare and attached in turn), on $(nproc) cores"

bar "order entry, CPU, sync commit on" "$cpu_on" at_most 1.10 1.04
bar "order entry, CPU, sync commit off" "$cpu_off" at_most 1.10 1.04
bar "order entry, TPS, 8 clients, sync commit on" "$tps_on" at_least .95 .98
bar "order entry, TPS, 8 clients, sync commit off" "$tps_off" at_least .90 .94
bar "WAL per transaction, bytes more" "$(calc "$attached_bytes - $bare_bytes")" at_most 250 157
finish
