#!/bin/bash
# A reconcile of a million order lines (20,000 clients, 200,000 orders) after ten
# orders were changed behind the triggers' back, by turns with a resync, which
# reads and compares key by key: by ranges of keys that are ids, by months where
# keys are texts, and a look by watermark.  Each finds and mends ten orders.
source "$(dirname "$0")/lib/lib.sh"

runs=${RUNS:-3}

quiet_server
make_shop shop 20000 2000 10
sql -c "ALTER TABLE shop.lines ADD changed timestamptz NOT NULL DEFAULT now() - interval '1 year'" -c 'CREATE INDEX ON shop.lines (changed)' -c 'VACUUM ANALYZE'
attach_shop shop
load_shop

# hide: ten orders of ten months differ
hide() {
	sql -c 'ALTER TABLE shop.lines DISABLE TRIGGER ALL' -c "UPDATE shop.lines SET quantity = quantity + 1, changed = now() WHERE line_id IN
		(SELECT min(line_id) FROM shop.lines WHERE order_id IN (SELECT 1 + i * 19999 FROM generate_series(0, 9) i) GROUP BY order_id)" -c 'ALTER TABLE shop.lines ENABLE TRIGGER ALL'
}

# read_again call cause: the call and the steps it asks for, which find ten orders
read_again() {
	hide
	measured sql -c "$1" -c 'CALL agentcrm.run()' >/dev/null
	found=$(sql -c "SELECT changed FROM agentcrm.reconcile_log l WHERE part = 1 AND cause = '$2' ORDER BY reading DESC LIMIT 1")
	[ "$found" = 10 ] || die "$2 found $found orders instead of 10"
	echo "$wall_ms $cpu_ms" >>"$work/$3"
	say "$3: $wall_ms ms (CPU $cpu_ms ms)"
}

column() {
	cut -d' ' -f"$2" "$work/$1" | median
}

# compared name: a way of reconciling against a resync, by turns
compared() {
	local run
	for ((run = 1; run <= runs; run++)); do
		read_again "SELECT agentcrm.resync('shop')" resync "resync_$1"
		read_again "SELECT agentcrm.reconcile('shop')" reconcile "$1"
	done
	say "medians of $runs: resync $(column "resync_$1" 1) ms (CPU $(column "resync_$1" 2)), $1 $(column "$1" 1) ms (CPU $(column "$1" 2))"
}

compared ranges

sql -c "SELECT agentcrm.alter_source('shop', watermark => 'l.changed')" -c 'CALL agentcrm.run()' >/dev/null
for ((run = 1; run <= runs; run++)); do
	sql -c "UPDATE agentcrm.source_poll SET at = '2000-01-01', since = now(), next_since = now()"
	read_again 'SELECT 1' poll watermark
done

sql -c 'ALTER TABLE shop.orders ADD doc text' -c "UPDATE shop.orders SET doc = 'D' || order_id" -c 'CREATE UNIQUE INDEX ON shop.orders (doc)' -c 'ALTER TABLE shop.orders ALTER doc SET NOT NULL' \
	-c 'ALTER TABLE shop.lines ADD doc text' -c "UPDATE shop.lines SET doc = 'D' || order_id" -c 'CREATE INDEX ON shop.lines (doc)' -c 'VACUUM ANALYZE' 2>"$work/errors" || { cat "$work/errors" >&2; die 'no text keys'; }
sql -c "SELECT agentcrm.alter_source('shop', order_key => '{doc}', line_order_key => '{doc}', reset => '{watermark}')" -c 'CALL agentcrm.run()' >/dev/null
compared months

bar "reconcile by ranges / key by key, CPU" "$(calc "$(column ranges 2) / $(column resync_ranges 2)")" at_most 0.7 0.5
bar "reconcile by months / key by key, CPU" "$(calc "$(column months 2) / $(column resync_months 2)")" at_most 0.9 0.7
bar "look by watermark / key by key, CPU" "$(calc "$(column watermark 2) / $(column resync_ranges 2)")" at_most 0.1 0.02
finish
