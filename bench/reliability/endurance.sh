#!/bin/bash
# A year of the demo's shop in accelerated time, with faults at random, and then an
# idle worker for a minute.  DAYS=365, CLIENTS=500, IDLE=60 seconds, SEED=n.
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

export DAYS=${DAYS:-365} CLIENTS=${CLIENTS:-500} IDLE=${IDLE:-60} EVERY=${EVERY:-5}
tap_test test/t/080_endurance.pl
sed -n 's/^# figures: /   /p' "$tap_log"

# figure name: from the line of figures
figure() {
	sed -n "s/^# figures: .*\b$1 \(-\?[0-9.]*[0-9]\).*/\1/p" "$tap_log"
}
bar "checks failed in $DAYS days with faults" "$(grep -c '^not ok' "$tap_log" || true)" at_most 0 0
bar "orders committed until settled, longest, s" "$(figure lag)" at_most 60 5
bar "last worker's growth, MB" "$(figure growth)" at_most 1 0
bar "idle worker: WAL, bytes" "$(figure 'idle WAL')" at_most 0 0
bar "idle worker: transaction numbers used" "$(figure 'idle XIDs')" at_most 0 0
bar "idle worker: seen holding xmin twice in a row" "$(figure held)" at_most 0 0
finish
