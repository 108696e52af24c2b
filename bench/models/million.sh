#!/bin/bash
# A million clients from table to table: agentcrm.fit('repurchase') on their
# profiles and ledger, then repurchase_scores of all of them into a table; once as
# a first fit, and once as the daily refit; CPU seconds of the sessions.  The clients buy as the mixture of a
# grocery says; their histories go straight into the ledger and the profiles, for
# what is measured begins there.  Two minutes of preparation.
#
#   CLIENTS: how many (1,000,000); fewer are faster, and the bars say little then; RUNS: of each (3)
cluster_options=(-o shared_buffers=1GB -o max_wal_size=8GB -o checkpoint_timeout=30min)
source "$(dirname "$0")/../lib/lib.sh"

clients=${CLIENTS:-1000000}
last=2025-06-30
at="'$last 23:59:59+00'"

quiet_server
sql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION agentcrm' -c 'SELECT agentcrm.pause()' >/dev/null
awk -v clients="$clients" -v last=$(($(date -ud $last +%s) / 86400)) -v seed=1 -v ledger="$work/ledger" -v profile="$work/profile" -f "$bench_dir/lib/buyers.awk"
sql <<-SQL
	SET client_min_messages = warning;
	SET synchronous_commit = off;
	INSERT INTO agentcrm.client (client_id, namespace, client_key, root_client_id, first_seen)
		SELECT i, 1, i, i, $at FROM generate_series(1, $clients) i;
	\\copy agentcrm.ledger (client_id, order_id, ordered_at, recorded_at, source_id, ordered_on, archived, kind, quantity, amount, line_no) from '$work/ledger'
	\\copy agentcrm.client_profile (client_id, n_orders, n_returns, first_order_at, last_order_at, first_order_on, last_order_on, n_gaps, gap_sum, gap_last, gap_before, gap_sum_log, gap_recent, fold_at, fold_source_id, fold_order_id, amount, returned, month, month_orders, month_amount, month_margin, month_returned) from '$work/profile'
SQL
rm "$work/ledger" "$work/profile"
sql -c 'VACUUM (FREEZE, ANALYZE) agentcrm.client, agentcrm.ledger, agentcrm.client_profile' -c CHECKPOINT
say "$(sql -c 'SELECT count(*) FROM agentcrm.client_profile') clients, $(sql -c 'SELECT count(*) FROM agentcrm.ledger') orders"
[ "$clients" -gt 20000 ] || [ "$(sql -c "SELECT count(*) FROM agentcrm.verify()")" = 0 ] || die "the profiles are not what the ledger adds up to"

# timed name sql: CPU seconds of a session that does it, into $name
timed() {
	measured sql -o /dev/null -c "$2"
	printf -v "$1" %s "$(calc "$cpu_ms / 1000")"
	wall=$(calc "${wall:-0} + $wall_ms / 1000")
}

# table_to_table what: fit and scores, three times; the sums go to $work/what
table_to_table() {
	local run fit scores reading wall
	for ((run = 1; run <= ${RUNS:-3}; run++)); do
		wall=0
		[ "$1" = again ] || sql -c "DELETE FROM agentcrm.model WHERE kind = 'repurchase'" -c 'SET client_min_messages = warning' -c 'DROP TABLE IF EXISTS score'
		[ "$1" = first ] || sql -c 'SET client_min_messages = warning' -c 'DROP TABLE IF EXISTS score'
		timed fit "SELECT agentcrm.fit('repurchase', $at)"
		timed scores "CREATE TABLE score AS SELECT * FROM agentcrm.repurchase_scores($at, 28)"
		timed reading "SELECT count(p_alive) FROM agentcrm.repurchase_scores($at, 28)"
		[ "$(sql -c 'SELECT count(*) FROM score WHERE p_alive BETWEEN 0 AND 1 AND p_order BETWEEN 0 AND 1 AND expected_orders >= 0')" = "$clients" ] ||
			die "not every client has scores"
		say "$1 fit $run: $fit s CPU, $(sql -c "SELECT metrics ->> 'evaluations' FROM agentcrm.model WHERE current AND kind = 'repurchase'") evaluations;" \
			"scores into a table $scores s, counted alone $reading s, $wall s passed for the three"
		calc "$fit + $scores" >>"$work/$1"
		echo >>"$work/$1"
	done
}

table_to_table first
table_to_table again
bar "fit and scores of a million, table to table, CPU s" "$(median <"$work/first")" at_most 5 2
bar "the same, as a refit, CPU s" "$(median <"$work/again")" at_most 5 2
finish
