#!/bin/bash
# The allocator on the instances of the referee ../shared/eval/alloc.c, beside
# greedy, the referee's own bound, and an LP solver where there is one: gap to
# the plan's own bound, time, memory, value against greedy, repair after a change.
# SIZES="1k 10k" makes it short.  Needs gcc; coinor-libclp-dev for the LP.
cluster=none
. "$(dirname "$0")/../lib/lib.sh"

eval_dir=$bench_dir/../../shared/eval
[ -r "$eval_dir/alloc.c" ] || {
	echo "market SKIPPED: no ../shared/eval"
	exit 0
}
market=$bench_dir/../build/bench/plan/market
with_lp=
if gcc -O2 -w -DCLP "$eval_dir/alloc.c" -o "$work/alloc" -lm -lClp -lCoinUtils 2>/dev/null; then
	with_lp=1
else
	gcc -O2 -w "$eval_dir/alloc.c" -o "$work/alloc" -lm
	say "no coinor-libclp-dev: no LP solver beside"
fi

figure() {	# figure NAME: of the last run
	awk -v name="$1" '$1 == name { print $2 }' "$work/figures"
}

# The medians of five runs of figures that vary: only time does.
run_market() {
	for _ in 1 2 3 4 5; do
		"$market" "$1" >"$work/figures"
		figure cpu >>"$work/cpu"
		[ "$2" != 1m ] || break
	done
	cpu=$(sort -g "$work/cpu" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
	rm "$work/cpu"
	say "$2: $(figure rows) bids, $(figure passes) passes, $(figure rss_mb) MB in all, $(figure repair_us_per_client) us a client repaired"
}

bars_of() {	# bars_of SIZE: gap beat, gap stretch, value against greedy
	case $1 in
	1k) echo 0.8 0.6 1.07 ;;
	10k) echo 0.3 0.12 1.12 ;;
	100k) echo 0.1 0.06 1.15 ;;
	1m) echo 0.05 0.03 1.14 ;;
	esac
}

one_size() {	# one_size NAME N R B
	local beat stretch greedy_beat

	read -r beat stretch greedy_beat < <(bars_of "$1")
	timeout 900 "$work/alloc" "$2" "$3" "$4" 1 "$work/$1.tsv" - ${with_lp:+0 ${LP_LIMIT:-60}} >"$work/referee"
	run_market "$work/$1.tsv" "$1"
	sed -n 's/^CLP.* obj \([0-9.]*\) status \([0-9]*\).* s \([0-9.]*\) .*/\1 \2 \3/p' "$work/referee" >"$work/lp"
	if [ -s "$work/lp" ]; then
		read -r lp_value lp_status lp_cpu <"$work/lp"
		say "$1: LP $lp_value (status $lp_status) in $lp_cpu s, ours in $cpu s: $(calc "$lp_cpu / $cpu") times"
		[ "$lp_status" != 0 ] || bar "$1: bound above the LP, %" "$(calc "100 * ($(figure bound) - $lp_value) / $lp_value")" at_most 0.01 0.001
	fi
	bar "$1: gap to its own bound, %" "$(figure gap)" at_most "$beat" "$stretch"
	bar "$1: value against greedy" "$(calc "$(figure value) / $(figure greedy)")" at_least "$greedy_beat" "$greedy_beat"
	bar "$1: limits violated" "$(figure violated)" at_most 0 0
	[ "$1" != 100k ] || bar "$1: CPU, s" "$cpu" at_most 1 0.6
	[ "$1" != 1m ] || bar "$1: CPU, s" "$cpu" at_most 10 7
	[ "$1" != 100k ] || bar "$1: 1 % changed, repaired, gap %" "$(figure repair_gap)" at_most 0.6 0.4
	[ "$1" != 100k ] || bar "$1: 1 % changed, priced anew, gap %" "$(figure reprice_gap)" at_most 0.2 0.1
	[ "$1" != 1k ] || bar "$1: a price is a marginal value, off %" "$(calc "100 * $(figure marginal)")" at_most 5 2
	rm -f "$work/$1.tsv" "$work/$1.tsv.cap"
}

gunzip -c "$eval_dir/inst_1k_seed1.tsv.gz" >"$work/lp1k.tsv"
cp "$eval_dir/inst_1k_seed1.tsv.cap" "$work/lp1k.tsv.cap"
"$market" "$work/lp1k.tsv" >"$work/figures"
bar "known LP 19420.5028: bound above it, %" "$(calc "100 * ($(figure bound) - 19420.5028) / 19420.5028")" at_most 0.01 0.001
for size in ${SIZES:-1k 10k 100k 1m}; do
	case $size in
	1k) one_size 1k 1000 20 5 ;;
	10k) one_size 10k 10000 50 10 ;;
	100k) one_size 100k 100000 200 20 ;;
	1m) one_size 1m 1000000 500 50 ;;
	esac
done
finish
