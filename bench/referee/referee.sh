#!/bin/bash
# agentcrm's plans in the frozen simulated distributor (../shared/eval), beside
# its rival policies on the same random numbers: the trade rules, doing nothing,
# the informed policy and the oracle.  SEEDS=n (2), FIRST_SEED (1000: not those
# that anything was tuned on).  Needs apt's python3-numpy and python3-scipy.
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
sim=$bench_dir/../../shared/eval/sim_distributor.py
[ -r "$sim" ] || {
	echo "referee SKIPPED: no ../shared/eval"
	exit 0
}
/usr/bin/python3 -c 'import numpy, scipy' 2>/dev/null || {
	echo "referee SKIPPED: apt-get install python3-numpy python3-scipy"
	exit 0
}

rivals() {	# rivals SEED: margin and clients alive of each policy
	/usr/bin/python3 - "$sim" "$1" <<-'PY'
	import importlib.util, sys
	spec = importlib.util.spec_from_file_location("sim", sys.argv[1]); sim = importlib.util.module_from_spec(spec); spec.loader.exec_module(sim)
	for policy in "none rules precedence_nolearn_cap informed_cap oracle_cap".split():
	    hist, _, alive = sim.run(int(sys.argv[2]), policy)
	    print(policy, round(hist[12:].sum()), alive, flush=True)
	PY
}

play() {	# play SEED cap|nocap|first:AGENTS
	"$bench_dir/../test/with_cluster" -d shop -o shared_preload_libraries=agentcrm -o agentcrm.plan_hour=3 -- \
		/usr/bin/python3 "$here/connect.py" "$sim" "$1" "$2"
}

: >"$work/table"
for ((seed = ${FIRST_SEED:-1000}; seed < ${FIRST_SEED:-1000} + ${SEEDS:-2}; seed++)); do
	rivals $seed >"$work/rivals"
	play $seed cap >"$work/ours"
	play $seed nocap >"$work/free"
	play $seed first:retention,portfolio,reorder >"$work/first"
	play $seed first:reorder,portfolio,retention >"$work/last"
	awk -v seed=$seed '
		FILENAME ~ /rivals$/ { margin[$1] = $2; alive[$1] = $3 }
		FILENAME ~ /ours$/ && $1 == "margin" { ours = $2; living = $4; actions = $6 }
		FILENAME ~ /free$/ && $1 == "margin" { free = $2 }
		FILENAME ~ /(first|last)$/ && $1 == "margin" && $2 > turn { turn = $2 }
		END {
			none = margin["none"]
			printf "%d %.4f %.4f %.4f %.4f %.4f %d %d %.4f\n", seed, ours / none - 1, margin["rules"] / none - 1, (ours - none) / (margin["informed_cap"] - none),
				(ours - none) / (margin["oracle_cap"] - none), free / none - 1, living, alive["none"], turn / none - 1
			printf "   seed %d: over nothing agentcrm %+.1f %%, rules %+.1f %%, its caps off %+.1f %%, in a fixed order %+.1f %%; %.0f %% of the informed, %.0f %% of the oracle; alive %d, nothing done %d; actions %s\n", seed,
				100 * (ours / none - 1), 100 * (margin["rules"] / none - 1), 100 * (free / none - 1), 100 * (turn / none - 1), 100 * (ours - none) / (margin["informed_cap"] - none),
				100 * (ours - none) / (margin["oracle_cap"] - none), living, alive["none"], actions > "/dev/stderr"
		}' "$work/rivals" "$work/ours" "$work/free" "$work/first" "$work/last" >>"$work/table"
done

figure() {	# figure AWK: over all seeds
	awk "$1" "$work/table"
}
bar "uplift over nothing against the trade rules'" "$(figure '{ a += $2; b += $3 } END { print a / b }')" at_least 2 3.5
bar "worst seed: above the trade rules by" "$(figure 'NR == 1 || $2 - $3 < m { m = $2 - $3 } END { print m }')" at_least 0 0
bar "share of the informed policy's uplift" "$(figure '{ a += $4 } END { print a / NR }')" at_least 0.5 0.65
bar "against the best fixed precedence of the same agents" "$(figure '{ a += $2; b += $9 } END { print a / b }')" at_least 1.4 1.8
bar "worst seed: above doing nothing by" "$(figure 'NR == 1 || $2 < m { m = $2 } END { print m }')" at_least 0 0
bar "worst seed: clients kept alive against nothing" "$(figure 'NR == 1 || $7 / $8 < m { m = $7 / $8 } END { print m }')" at_least 1 1
say "contact caps on against off: $(figure '{ a += $2; b += $6 } END { print a / b }') times the uplift"
finish
