#!/bin/bash
# What a server's other users notice of a busy worker: how long DROP DATABASE and CREATE
# DATABASE ... TEMPLATE wait for it, and how soon after a start of the server, clean or
# not, it is at work.
# The server is stopped and started, by its owner, who made $PGHOST.
# LINES=1000000 of history, RUNS=5.
cluster_options=(-D -o shared_buffers=256MB -o max_wal_size=4GB)
source "$(dirname "$0")/../lib/lib.sh"

lines=${LINES:-1000000}
runs=${RUNS:-5}
shop=$PGDATABASE
orders=$((lines / 5))

as_owner() {
	if [ "$(id -u)" = 0 ]; then
		(cd / && runuser -u "$(stat -c %U "$PGHOST")" -- env PATH="$PATH" "$@")
	else
		"$@"
	fi
}

server() {	# pg_ctl's arguments
	as_owner pg_ctl -s -w -t 600 -D "$PGHOST/data" -l "$PGHOST/server.log" "$@"
}

# Commands about the shop are given from another database.
admin() {
	sql -d postgres "$@"
}

# until_true query [database]: polls until it says t
until_true() {
	until [ "$(sql -d "${2:-$shop}" -c "$1" 2>/dev/null)" = t ]; do :; done
}

# Nothing waits and nothing is being read.
at_rest() {
	until_true "SELECT agentcrm.queue_depth() = 0 AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')"
}

# ---- kinds of work, each in the middle of a step when this returns ----

in_a_step() {	# database
	until_true "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '$1' AND backend_type = 'agentcrm worker' AND xact_start < clock_timestamp() - interval '20 ms')
		AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '$1' AND backend_type = 'client backend')" postgres
}

begin_events() {
	sql -d "$1" -c "UPDATE bench_attached.orders SET ordered_at = ordered_at + interval '1 second' WHERE order_id <= 20000"
}

begin_reading() {
	sql -d "$1" -c "SELECT agentcrm.resync('shop')" >/dev/null
}

# ---- commands about the database ----

# timed statement: milliseconds
timed() {
	local from
	from=$(now_ms)
	admin -c "$1" >/dev/null || die "failed: $1"
	echo $(($(now_ms) - from))
}

# Copying itself takes its time, worker or not: what the worker adds is the difference to copies made while it was away.
measure_databases() {
	local run kind alone
	at_rest
	until_true "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '$shop')" postgres
	for ((run = 0; run < 3; run++)); do
		timed "CREATE DATABASE copy TEMPLATE $shop STRATEGY file_copy"
		admin -c 'DROP DATABASE copy'
	done >"$work/alone"
	alone=$(median <"$work/alone")
	say "CREATE DATABASE ... TEMPLATE without a worker: $(paste -sd' ' "$work/alone") ms"
	for ((run = 0; run < runs; run++)); do
		for kind in events reading; do
			at_rest
			"begin_$kind" "$shop"
			in_a_step "$shop"
			echo "$(timed "CREATE DATABASE copy TEMPLATE $shop STRATEGY file_copy") $kind" >>"$work/template"
			# the copy's worker comes with its first session
			sql -d copy -c 'SELECT agentcrm.wake()' >/dev/null
			in_a_step copy
			echo "$(timed 'DROP DATABASE copy') $kind" >>"$work/drop"
		done
	done
	say "with a busy worker, ms: $(paste -sd, "$work/template"); DROP DATABASE: $(paste -sd, "$work/drop")"
	bar "DROP DATABASE s" "$(calc "$(sort -g "$work/drop" | tail -n 1 | cut -d' ' -f1) / 1000")" at_most 2 .5
	bar "CREATE DATABASE TEMPLATE s" "$(calc "($(sort -g "$work/template" | tail -n 1 | cut -d' ' -f1) - $alone) / 1000")" at_most 2 .5
}

# ---- restarts ----

# Milliseconds from the first connection that is let in to the arrival, in the ledger, of an order committed by it.
until_at_work() {
	local from
	from=$(now_ms)
	sql -c "UPDATE bench_attached.lines SET quantity = quantity + 1 WHERE line_id = 1"
	until_true "SELECT l.quantity = o.quantity FROM agentcrm.ledger l JOIN bench_attached.lines o ON l.line_key = o.line_id::text AND l.order_id = o.order_id WHERE o.line_id = 1"
	echo $(($(now_ms) - from))
}

measure_restart() {	# name mode bar stretch
	local run
	for ((run = 0; run < runs; run++)); do
		at_rest
		server stop -m "$2"
		server start
		until_at_work
	done >"$work/restart"
	say "start after a stop in mode $2, ms until a change committed at once is in the ledger: $(paste -sd' ' "$work/restart")"
	bar "$1" "$(calc "$(sort -g "$work/restart" | tail -n 1) / 1000")" at_most "$3" "$4"
}

make_shop bench_attached 2000 500 $((orders / 2000))
attach_shop bench_attached
load_shop
sql -c 'SELECT agentcrm.resume()' -c 'ALTER SYSTEM SET agentcrm.idle_exit = 1' -c 'SELECT pg_reload_conf()' >/dev/null
say "history: $(sql -c 'SELECT count(*) FROM agentcrm.ledger') ledger lines"
measure_databases
measure_restart "restart clean s" fast 1 .2
measure_restart "restart after crash s" immediate 10 2
finish
