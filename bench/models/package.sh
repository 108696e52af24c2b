#!/bin/bash
# A million customers as the published timing of the package lifetimes makes them,
# fitted by its own script where the package is installed; where it is not, its
# published figures (20.2 s for the fit, .92 s for prediction) stand for it.  Beside
# it the oracle of the reference vectors fits the same model to the same customers.
#
#   CUSTOMERS: how many (1,000,000); PYTHON: with numpy and scipy (/usr/bin/python3)
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

btyd=$(realpath "${BTYD_DATA:-$bench_dir/../../shared/data/btyd}")
python=${PYTHON:-/usr/bin/python3}
customers=${CUSTOMERS:-1000000}
export OMP_NUM_THREADS=1

[ -f "$btyd/timing_lifetimes.py" ] || { say "SKIPPED: no $btyd/timing_lifetimes.py"; exec "$bench_dir/../build/bench/repurchase" "$customers"; }
"$python" -c 'import numpy, scipy, pandas' 2>/dev/null || { say "SKIPPED: no numpy, scipy and pandas in $python"; exec "$bench_dir/../build/bench/repurchase" "$customers"; }

"$python" "$btyd/timing_lifetimes.py" "$customers" "$work/customers.csv" gen
if "$python" -c 'import lifetimes' 2>/dev/null; then
	"$python" "$btyd/timing_lifetimes.py" "$customers" | sed 's/^/   lifetimes, here: /'
else
	say "lifetimes is not installed: reference 20.2 s and .92 s CPU for a million"
fi
PYTHONPATH=$btyd PYTHONDONTWRITEBYTECODE=1 "$python" - "$work/customers.csv" <<-'PY'
	import sys, time, numpy as np, pandas as pd, oracle_btyd as oracle
	d = pd.read_csv(sys.argv[1])
	d['litt'] = 0.
	start = time.process_time()
	p, ll, n = oracle.fit_bg(d, polish=False, starts=[(.3, 5., .8, 2.4)])
	print('   oracle, grouped: %.2f s CPU, %d evaluations, LL %.3f, r %.4f alpha %.4f a %.4f b %.4f'
		% (time.process_time() - start, n, ll, *p))
PY
"$bench_dir/../build/bench/repurchase" "$customers" "$work/customers.csv"
