#!/bin/bash
# agentcrm.backtest() on public order histories, attached as their owners would: a
# wholesaler's invoices with all their returns and oddities, and a distributor of
# 91 clients.  Each figure beside the best of the naive rules on the same cases.
#
#   RETAIL_DATA, NORTHWIND_DATA: folders of the histories; skipped, visibly, where missing
cluster_options=(-o shared_buffers=256MB -o max_wal_size=4GB)
source "$(dirname "$0")/../lib/lib.sh"

retail=$(realpath "${RETAIL_DATA:-$bench_dir/../../shared/data/online_retail}")
northwind=$(realpath "${NORTHWIND_DATA:-$bench_dir/../../shared/data/northwind}")

sql -c 'CREATE ROLE shop LOGIN'

# load_history database folder attach: the folder's load.sql by its owner, attached and loaded
load_history() {
	sql -d postgres -c "CREATE DATABASE $1 OWNER shop"
	export PGDATABASE=$1
	sql -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION agentcrm' -c 'SELECT agentcrm.pause()' \
		-c 'GRANT CREATE ON SCHEMA public TO shop' >/dev/null
	(cd "$2" && sql -U shop -f load.sql >/dev/null)
	sql -c 'SET client_min_messages = warning' -c "$3" >/dev/null
	sql -c "CALL agentcrm.backfill('history')" -c 'CALL agentcrm.run()' >/dev/null 2>"$work/progress" ||
		{ cat "$work/progress" >&2; die "backfill failed"; }
	sql -c ANALYZE
}

# backtest first last: origins a month apart, 28 days ahead
backtest() {
	local begun=$SECONDS
	sql -c "CALL agentcrm.backtest('$1', '$2', '1 month', '28 days')" 2>"$work/progress" || { cat "$work/progress" >&2; die "backtest failed"; }
	say "$PGDATABASE: $(sql -c "SELECT format('%s origins, %s cases, %s bids', origins, cases, bids) FROM agentcrm.backtest ORDER BY run_id DESC LIMIT 1")," \
		"$((SECONDS - begun)) s"
	psql -X -P footer=off -c "SELECT agent, cases, verdict, finding FROM agentcrm.backtest_report WHERE run_id = (SELECT max(run_id) FROM agentcrm.backtest)"
	psql -X -P footer=off -P null=- -c "
		SELECT agent, metric, round(value::numeric, 3) AS value, round(naive_value::numeric, 3) AS naive_value, naive, n, remark
		FROM agentcrm.backtest_metric WHERE run_id = (SELECT max(run_id) FROM agentcrm.backtest) AND segment = '*' ORDER BY agent, metric, naive"
}

if [ -f "$northwind/load.sql" ]; then
	load_history northwind "$northwind" "SELECT agentcrm.attach('history', orders => 'orders', lines => 'order_details', clients => 'customers',
		products => 'products', at => 'o.order_date', quantity => 'l.quantity', amount => 'l.unit_price::numeric * l.quantity * (1 - l.discount::numeric)',
		rep => 'o.employee_id', client_name => 'c.company_name', product_name => 'p.product_name', category => 'p.category_id', time_zone => 'UTC')"
	backtest 1997-07-01 1998-04-01
else
	say "SKIPPED: no distributor in $northwind"
fi
if [ -f "$retail/load.sql" ]; then
	load_history online_retail "$retail" "SELECT agentcrm.attach('history', lines => 'online_retail', order_key => '{invoiceno}', client => 'l.customerid',
		product => \$\$CASE WHEN l.stockcode ~ '^[0-9]{5}' THEN l.stockcode END\$\$, at => 'l.invoicedate', quantity => 'l.quantity', amount => 'l.quantity * l.unitprice',
		kind => \$\$CASE WHEN l.invoiceno LIKE 'C%' THEN 'return' ELSE 'sale' END\$\$, line_ok => 'l.customerid IS NOT NULL AND l.unitprice > 0',
		time_zone => 'UTC')"
	backtest 2011-07-01 2011-11-01
else
	say "SKIPPED: no wholesaler's year in $retail"
fi
finish
