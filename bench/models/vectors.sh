#!/bin/bash
# Fits and figures of single clients against the published vectors and hard cases:
# the largest error of each kind, as the unit tests of the models find it.
#
#   BTYD_VECTORS: folder of the vectors; skipped, visibly, where missing
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

units=$bench_dir/../build/unit
[ -d "${BTYD_VECTORS:-$bench_dir/../../shared/data/btyd}" ] || { say "SKIPPED: no vectors"; finish; }
cd "$bench_dir/.."
"$units/repurchase_fit_test" >"$work/fits" || die "repurchase_fit_test failed"
"$units/repurchase_test" >"$work/clients" || die "repurchase_test failed"

# worst file pattern: the largest number in parentheses of the checks so named
worst() {
	sed -En "/$2/s/.*\((off by -?)?([0-9.e+-]+)\).*/\2/p" "$work/$1" | sort -g | tail -n 1
}

bar "fits of (M)BG rows, log-likelihood" "$(worst fits 'k=[0-9]: log-likelihood')" at_most 1e-4 1e-6
bar "fits of (M)BG rows, parameters" "$(worst fits 'parameters within')" at_most 1e-4 1e-5
bar "fits of the mixture, log-likelihood" "$(worst fits 'mixture: log-likelihood')" at_most 1e-3 1e-6
bar "gradient against differences" "$(worst fits 'gradient of')" at_most 1e-5 1e-7
for kind in customer_vectors mix_customer_vectors; do
	bar "$kind, P(alive)" "$(worst clients " $kind.csv: P.alive")" at_most 1e-8 5e-10
	bar "$kind, orders expected" "$(worst clients " $kind.csv: orders")" at_most 1e-7 5e-9
	bar "$kind, P(order)" "$(worst clients " $kind.csv: P.order")" at_most 1e-8 2e-10
done
bar "77 hard cases, P(alive)" "$(worst clients ' hard_cases.csv: P.alive')" at_most 1e-9 1e-12
bar "77 hard cases, log-likelihood" "$(worst clients ' hard_cases.csv: log')" at_most 1e-9 1e-12
bar "77 hard cases, orders expected" "$(worst clients ' hard_cases.csv: orders')" at_most 1e-6 1e-9
finish
