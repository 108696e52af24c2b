#!/bin/bash
# Faults planted between a changed row and its event, and an UPDATE of very many
# keys: the longest commit beside any of them.  KEYS=5000000.
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

export KEYS=${KEYS:-5000000}
tap_test test/t/060_flush_faults.pl
grep -E '^ok .*( ms \(at most| MB)' "$tap_log" | sed 's/^ok [0-9]* - /   /' || true
bar "longest commit beside a fault, ms" \
	"$(sed -n 's/^ok .*at most \([0-9.]*\)) against.*/\1/p' "$tap_log" | sort -g | tail -n 1)" at_most 20 5
finish
