#!/bin/bash
# Rounds of crash under load: the worker killed, the server stopped at once, the
# worker ended, in turn, while others write.  ROUNDS=200, SEED=n.
cluster=none
source "$(dirname "$0")/../lib/lib.sh"

export ROUNDS=${ROUNDS:-200}
tap_test test/t/061_crashes.pl
tap_test test/t/062_kills.pl
sed -n 's/^# \(.*in the middle of a step.*\)/   \1/p' "$tap_log"
bar "rounds of crash under load, verify() empty" "$(passed 'round [0-9]+, [a-z]+: verify\(\) is empty')" at_least "$ROUNDS" 1000
finish
