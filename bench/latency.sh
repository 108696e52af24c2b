#!/bin/bash
# From commit to recommendation: orders at 100 a second, synchronous_commit on,
# worker running.  They come from clients with an open recommendation, at most
# half of them, which the order answers, and from new clients, whom agentcrm
# welcomes at their first order.
source "$(dirname "$0")/lib/lib.sh"

rate=100
seconds=30

quiet_server
make_shop bench_attached 6000 500 20
attach_shop bench_attached
load_shop
sql >/dev/null <<-SQL
	UPDATE agentcrm.resource SET capacity = 1e9;
	INSERT INTO bench_attached.clients SELECT i, 'New client ' || i FROM generate_series(6001, 6000 + $rate * $seconds) i;
	CALL agentcrm.run();
	SELECT agentcrm.resume();
SQL
sql >"$work/clients" <<-SQL
	WITH waiting AS (SELECT DISTINCT client_id FROM agentcrm.recommendation
					 WHERE status = 'open' AND demand_category = '*' ORDER BY 1 LIMIT $rate * $seconds / 2)
	SELECT client_id
	FROM (SELECT client_id, row_number() OVER (ORDER BY client_id) / count(*) OVER ()::float8 AS n FROM waiting
		  UNION ALL SELECT client_id, (client_id - 6000) / ($rate * $seconds - (SELECT count(*) FROM waiting))::float8
		  FROM bench_attached.clients WHERE client_id BETWEEN 6001 AND 6000 + $rate * $seconds - (SELECT count(*) FROM waiting)) c
	ORDER BY n, client_id;
SQL
say "$(wc -l <"$work/clients") orders, $(awk '$1 > 6000' "$work/clients" | wc -l) of them first orders of new clients," \
	"from one connection at $rate/s; a second connection listens and reads the table"

compile reaction
PGOPTIONS='-c synchronous_commit=on' "$work/reaction" bench_attached $rate <"$work/clients" >"$work/latency" ||
	die "the measuring client failed"

percentile() {
	sort -g "$work/latency" | awk -v p="$1" '{ v[NR] = $1 } END { if (NR) print v[int(NR * p) < NR ? int(NR * p) + 1 : NR]; else print "nan" }'
}
say "$(wc -l <"$work/latency") answered; p50 $(percentile .5), p90 $(percentile .9), p99 $(percentile .99), longest $(percentile 1) ms"
[ "$(wc -l <"$work/latency")" = "$(wc -l <"$work/clients")" ] || { say "orders without an answer within 10 s: short"; short=1; }
bar "commit to recommendation, p50, ms" "$(percentile .5)" at_most 10 3
bar "commit to recommendation, p99, ms" "$(percentile .99)" at_most 60 20
finish
