#!/bin/bash
# Committed changes lost or doubled while four writers keep a journal of what they
# commit, and snapshots are held, tables rotate, worker and server are killed.
# DURATION=600 seconds, RATE=400 transactions a second, SEED=n.
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

export DURATION=${DURATION:-600} RATE=${RATE:-400}
tap_test test/t/063_journal.pl
sed -n 's/^# figures: /   /p' "$tap_log"
bar "committed changes lost or doubled" "$(awk '/^# figures: .* lost/ { gsub(",", ""); for (i = 1; i < NF; i++) if ($i == "lost" || $i == "doubled") n += $(i + 1); print n }' "$tap_log")" at_most 0 0
finish
