# shellcheck shell=bash
# What the benches share: talking to the server, an order-entry schema, CPU time
# of the server's processes, interleaved pairs, medians, and the line per bar.
#
# Sourced by each bench, which thereby comes to run as a superuser on a throw-away
# cluster of its own.  Must not decide what is measured.  Set before sourcing:
#   cluster=none             the bench makes its clusters itself
#   cluster_options=(...)    other options of test/with_cluster than those below

set -euo pipefail
export LC_ALL=C

bench_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=$(basename "$0" .sh)
if [ "${cluster:-}" != none ] && [ -z "${WITH_CLUSTER:-}" ]; then
	[ -v cluster_options ] || cluster_options=(-D -o shared_buffers=256MB -o max_wal_size=4GB -o checkpoint_timeout=30min)
	exec "$bench_dir/../test/with_cluster" -d bench -o shared_preload_libraries=agentcrm "${cluster_options[@]}" -- bash "$0" "$@"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ticks=$(getconf CLK_TCK)
short=0

die() {
	echo "$name: $*" >&2
	exit 1
}

say() {
	echo "   $*"
}

# Values, unaligned, columns separated by |.
sql() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

calc() {
	awk "BEGIN { printf \"%.6g\", $1 }"
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# Autovacuum would start and end at its own time, and be counted as a session.
quiet_server() {
	sql -c 'ALTER SYSTEM SET autovacuum = off' -c 'SELECT pg_reload_conf()' >/dev/null
	postmaster=$(sql -c "SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)")
}

# ---- the order-entry schema and its source ----

# make_shop schema clients products orders_per_client
make_shop() {
	sql -v schema="$1" -v clients="$2" -v products="$3" -v orders="$4" -f "$bench_dir/lib/shop.sql" >/dev/null
}

# attach_shop schema [database]: the extension, its worker paused, and the schema's tables attached
attach_shop() {
	sql ${2:+-d "$2"} >/dev/null <<-SQL
		SET client_min_messages = warning;
		SELECT 'CREATE ROLE bench_owner' WHERE to_regrole('bench_owner') IS NULL \\gexec
		ALTER SCHEMA $1 OWNER TO bench_owner;
		ALTER TABLE $1.orders OWNER TO bench_owner;
		ALTER TABLE $1.lines OWNER TO bench_owner;
		ALTER TABLE $1.clients OWNER TO bench_owner;
		ALTER TABLE $1.products OWNER TO bench_owner;
		CREATE EXTENSION agentcrm;
		SELECT agentcrm.pause();
		SELECT agentcrm.attach('shop', orders => '$1.orders', lines => '$1.lines', clients => '$1.clients',
			products => '$1.products', line_order_key => '{order_id}', client => 'o.client_id', product => 'l.product_id',
			at => 'o.ordered_at', quantity => 'l.quantity', amount => 'l.quantity * l.unit_price',
			client_name => 'c.name', product_name => 'p.name', category => 'p.category');
	SQL
}

# load_shop: the history to the ledger, profiles and first bids, delivered, in one session
load_shop() {
	sql -c "SELECT agentcrm.go_live('shop')" -c "CALL agentcrm.backfill('shop')" -c 'CALL agentcrm.run()' \
		>/dev/null 2>"$work/progress" || { cat "$work/progress" >&2; die "backfill failed"; }
}

# enter_orders schema clients synchronous_commit pgbench-option...: orders of five lines, entered as screens do;
# leaves pgbench's report in $work/pgbench
enter_orders() {
	local schema=$1 clients=$2 sync=$3
	shift 3
	PGOPTIONS="-c search_path=$schema -c synchronous_commit=$sync" pgbench -n -M prepared -c "$clients" \
		-j "$((clients > 2 ? 2 : clients))" -f "$bench_dir/lib/order.pgbench" "$@" >"$work/pgbench" 2>&1 ||
		{ cat "$work/pgbench" >&2; die "pgbench failed"; }
}

# ---- clients and CPU time ----

# compile name: bench/lib/name.c, a client of libpq, to $work/name
compile() {
	local config=${PG_CONFIG:-pg_config}
	${CC:-cc} -O2 -o "$work/$1" -I"$($config --includedir)" "$bench_dir/lib/$1.c" -L"$($config --libdir)" -lpq -lpthread ||
		die "cannot compile bench/lib/$1.c"
}

# Whether a session, living or unburied, is left among the server's processes.
session_left() {
	local child line
	for child in $(<"/proc/$postmaster/task/$postmaster/children"); do
		line=$({ tr '\0' ' ' <"/proc/$child/cmdline"; } 2>/dev/null) || line=
		[[ $line != '' && $line != "postgres: $PGUSER "* ]] || return 0
	done
	return 1
}

# ended_ms: CPU time of the server's processes that have ended.  The kernel adds a
# process's time to its parent's account when the parent has waited for it; hence
# first wait until no session is left, seen thrice, for the list of children may
# miss one while another is taken from it.
ended_ms() {
	local line seen=0
	while ((seen < 3)); do
		if session_left; then seen=0; else ((++seen)); fi
		sleep 0.02
	done
	line=$(<"/proc/$postmaster/stat")
	set -- ${line##*) }
	echo $(((${14} + ${15}) * 1000 / ticks))
}

process() {
	sql -c "SELECT pid FROM pg_stat_activity WHERE backend_type = '$1' LIMIT 1"
}

# measured command...: sets wall_ms, and cpu_ms of the sessions that the command opened and closed
measured() {
	local cpu wall
	cpu=$(ended_ms)
	wall=$(now_ms)
	"$@"
	wall_ms=$(($(now_ms) - wall))
	cpu_ms=$(($(ended_ms) - cpu))
}

# ---- a test at length ----

# tap_test file: a TAP test with whatever makes it longer in the environment; shows what it tells of its progress
# while it runs, leaves its output in $tap_log, and makes the bench end with status 1 when it fails
tap_log=$bench_dir/../build/log/tap.log
tap_test() {
	local test_run
	mkdir -p "$(dirname "$tap_log")"
	: >"$tap_log"
	TAP=$1 "$bench_dir/../test/run" tap >"$work/summary" 2>&1 &
	test_run=$!
	tail -n +1 -f --pid=$test_run "$tap_log" | sed -un 's/^#   progress: /   /p'
	wait $test_run || {
		short=1
		cat "$work/summary"
	}
}

# passed pattern: how many checks of the last tap_test so named passed
passed() {
	grep -Ec "^ok .*$1" "$tap_log" || true
}

# ---- figures ----

median() {
	sort -g | awk '{ v[NR] = $1 } END { if (!NR) print "nan"; else printf "%.6g\n", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

# interleave file keep most column command...: runs "command bare" and "command attached" in turn, beginning and ending
# with bare, until so many pairs are worth keeping by that column, or so many have run; each run prints its figures
interleave() {
	local file=$1 keep=$2 most=$3 column=$4 pair
	shift 4
	"$@" bare >"$file"
	for ((pair = 1; pair <= most; pair++)); do
		"$@" attached >>"$file"
		"$@" bare >>"$file"
		[ "$(pairs "$file" "$column" | wc -l)" -lt "$keep" ] || break
	done
}

# pairs file column: "attached/bare bare attached" for each attached run whose two bare neighbours agree within 10 %
pairs() {
	awk -v c="$2" '
		{ v[NR] = $c }
		END {
			for (i = 2; i < NR; i += 2) {
				a = v[i - 1]; b = v[i + 1]; apart = a > b ? a - b : b - a
				if (apart <= .1 * (a < b ? a : b))
					print v[i] / ((a + b) / 2), (a + b) / 2, v[i]
			}
		}' "$1"
}

# ratio file column what unit: the median ratio into $figure, and a line that says what it rests on
ratio() {
	local ran kept
	pairs "$1" "$2" >"$work/pairs"
	ran=$(($(wc -l <"$1") / 2))
	kept=$(wc -l <"$work/pairs")
	figure=$(cut -d' ' -f1 "$work/pairs" | median)
	say "$3: bare $(cut -d' ' -f2 "$work/pairs" | median) $4, attached $(cut -d' ' -f3 "$work/pairs" | median) $4," \
		"ratio $figure ($(cut -d' ' -f1 "$work/pairs" | sort -g | sed -n '1p;$p' | xargs printf '%.3f ' | sed 's/ $//; s/ / to /'));" \
		"$kept of $ran pairs kept, the bare neighbours of $((ran - kept)) were over 10 % apart"
}

# quartiles file column low|high what unit: the median over the rounds of a file of the ratio attached/bare of the quartile
# nearest the undisturbed value (what else the machine does only adds time) into $figure, and a line that says so;
# the file has slices, bare and attached by turns, $round of them a round
quartiles() {
	awk -v c="$2" -v round="$round" -v high="$([ "$3" = high ] && echo 1)" '
		function quartile(v, n) { asort_n(v, n); return v[high ? int(n * .75) + 1 : int(n * .25) + 1] }
		function asort_n(v, n,   i, j, x, gap) {
			for (gap = int(n / 2); gap > 0; gap = int(gap / 2))
				for (i = gap + 1; i <= n; i++) {
					x = v[i]
					for (j = i; j > gap && v[j - gap] > x; j -= gap) v[j] = v[j - gap]
					v[j] = x
				}
		}
		NR % 2 { bare[++n] = $c + 0 }
		!(NR % 2) { attached[++m] = $c + 0 }
		NR % round == 0 { b = quartile(bare, n); a = quartile(attached, m); print a / b, b, a; n = m = 0 }' "$1" >"$work/rounds"
	figure=$(cut -d' ' -f1 "$work/rounds" | median)
	say "$4: bare $(cut -d' ' -f2 "$work/rounds" | median) $5, attached $(cut -d' ' -f3 "$work/rounds" | median) $5," \
		"ratio $figure ($(cut -d' ' -f1 "$work/rounds" | sort -g | sed -n '1p;$p' | xargs printf '%.3f ' | sed 's/ $//; s/ / to /');" \
		"quartiles of $((round / 2)) slices each, $(wc -l <"$work/rounds") rounds)"
}

# bar name figure at_most|at_least beat stretch: one line, and exit status 1 in the end when it is short
bar() {
	local verdict
	verdict=$(awk -v f="$2" -v b="$4" -v sense="$3" \
		'BEGIN { print (f ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ && (sense == "at_most" ? f + 0 <= b + 0 : f + 0 >= b + 0)) ? "ok" : "short" }')
	[ "$verdict" = ok ] || short=1
	printf '%-44s %10s  beat %7s  stretch %7s  %s\n' "$1" "$(awk -v f="$2" 'BEGIN { if (f !~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/) print "none"; else printf f != 0 && f * f < 1e-6 ? "%.1e" : f < 10 ? "%.3f" : f < 100 ? "%.1f" : "%.0f", f }')" \
		"$4" "$5" "$verdict"
}

finish() {
	exit "$short"
}
