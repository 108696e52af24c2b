#!/bin/bash
# What agentcrm costs a bulk load: COPY of a million order lines (200,000 orders)
# into the attached lines table against the same table bare.  Counted from BEGIN
# to the end of COMMIT, when the keys are written.
source "$(dirname "$0")/lib/lib.sh"

keep=5
most=7

quiet_server
make_shop bench_bare 20000 2000 10
sql >/dev/null <<-SQL
	CREATE SCHEMA bench_attached;
	CREATE TABLE bench_attached.clients (LIKE bench_bare.clients INCLUDING ALL);
	CREATE TABLE bench_attached.products (LIKE bench_bare.products INCLUDING ALL);
	CREATE TABLE bench_attached.orders (LIKE bench_bare.orders INCLUDING ALL);
	CREATE TABLE bench_attached.lines (LIKE bench_bare.lines INCLUDING ALL);
SQL
attach_shop bench_attached
lines_file=$(sql -c 'SHOW data_directory')/bench_lines.copy
sql -c "COPY bench_bare.lines TO '$lines_file'"

# load bare|attached: wall and CPU time of the session, in seconds
load() {
	sql -c "TRUNCATE bench_$1.lines" -c CHECKPOINT
	measured sql -c BEGIN -c "COPY bench_$1.lines FROM '$lines_file'" -c COMMIT
	echo "$(calc "$wall_ms / 1000") $(calc "$cpu_ms / 1000")"
}

say "COPY of $(sql -c 'SELECT count(*) FROM bench_bare.lines') lines of $(sql -c 'SELECT count(*) FROM bench_bare.orders') orders," \
	"two indexes, each after TRUNCATE and CHECKPOINT, worker paused"
load bare >/dev/null
load attached >/dev/null
interleave "$work/copy" $keep $most 2 load
ratio "$work/copy" 1 "time" s
wall=$figure
ratio "$work/copy" 2 "CPU" s
say "time attached/bare: $wall; the bar stands on CPU, which a noisy machine moves less"

bar "COPY of 1M order lines, CPU" "$figure" at_most 1.25 1.11
finish
