#!/bin/bash
# What agentcrm costs the application: order entry in attached tables against the
# same tables bare.  CPU time of a session; throughput of eight clients with
# synchronous_commit on and off; WAL of a transaction that touches one key.
#
# The worker is paused while the bars are measured, so that on few cores its work
# is not taken for the application's; a last pair shows it running.
source "$(dirname "$0")/lib/lib.sh"

quiet_server
for schema in bench_bare bench_attached; do
	make_shop $schema 2000 500 10
done
attach_shop bench_attached
wal_writer=$(process walwriter)

compile entry

# enter file synchronous_commit clients slice_ms slices: figures of the slices into a file
enter() {
	PGOPTIONS="-c synchronous_commit=$2" "$work/entry" "$3" "$4" "$5" "$wal_writer" "$(process 'agentcrm worker')" >"$work/$1" ||
		die "bench/lib/entry.c failed"
}

# others file: median CPU of the WAL writer and of the worker, bare and attached
others() {
	local column
	for column in 3 4; do
		awk -v c=$column 'NR % 2 { print $c }' "$work/$1" | median
		awk -v c=$column 'NR % 2 == 0 { print $c }' "$work/$1" | median
	done | paste -sd' '
}

# WAL bytes per transaction without full-page images, of which some are left even
# though each schema's pages are written to before counting begins.
wal_bytes() {
	local start end
	enter_orders "bench_$1" 1 off -t 2000
	start=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
	enter_orders "bench_$1" 1 off -t 10000
	end=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
	sql -c "SELECT pg_logical_emit_message(true, 'bench', 'a commit that flushes')" >/dev/null
	sql -c "SELECT round(('$end'::pg_lsn - '$start' - sum(fpi_length)) / 10000, 1), sum(fpi_length)
		FROM pg_get_wal_records_info('$start', '$end')" | tr '|' ' '
}

say "an order and five lines a transaction, prepared statements, worker paused; bare and attached by turns"
say "one client, synchronous_commit off, slices of 10 ms:"
round=600
enter cpu off 1 10 $((15 * round))
quartiles "$work/cpu" 2 low "CPU of the session" "us a transaction"
cpu=$figure

for sync in on off; do
	say "eight clients, synchronous_commit $sync, slices of 50 ms:"
	round=80
	enter $sync $sync 8 50 $((15 * round))
	quartiles "$work/$sync" 1 high "throughput" tps
	eval "tps_$sync=$figure"
	quartiles "$work/$sync" 2 low "CPU of the sessions, for information" "us a transaction"
	read -r bare attached _ <<<"$(others $sync)"
	say "CPU of the WAL writer, apart: $bare us a transaction bare, $attached attached"
done

sql -c CHECKPOINT -c 'CREATE EXTENSION pg_walinspect'
read -r bare_bytes bare_images <<<"$(wal_bytes bare)"
read -r attached_bytes attached_images <<<"$(wal_bytes attached)"
say "WAL, one client, 10,000 transactions after 2,000 following a checkpoint: bare $bare_bytes B each, attached $attached_bytes B" \
	"(without $bare_images B and $attached_images B of full-page images in all)"

sql -c 'SELECT agentcrm.resume()' >/dev/null
for ((tries = 0; tries < 200; tries++)); do
	[ -z "$(process 'agentcrm worker')" ] || break
	sleep 0.05
done
[ $tries -lt 200 ] || say "no worker came within 10 s"
say "for information, eight clients, synchronous_commit off, the worker running beside them on $(nproc) cores:"
round=80
enter running off 8 50 $((5 * round))
quartiles "$work/running" 1 high "throughput" tps
read -r _ _ bare attached <<<"$(others running)"
say "CPU of the worker meanwhile: $bare us a transaction bare, $attached attached"

bar "order entry, CPU per transaction" "$cpu" at_most 1.10 1.04
bar "order entry, TPS, 8 clients, sync commit on" "$tps_on" at_least .95 .98
bar "order entry, TPS, 8 clients, sync commit off" "$tps_off" at_least .90 .94
bar "WAL per transaction, bytes more" "$(calc "$attached_bytes - $bare_bytes")" at_most 250 157
finish
