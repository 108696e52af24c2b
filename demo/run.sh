#!/bin/bash
# The demo: fills a shop, attaches agentcrm, plays a day, shows what came of it.
# Needs PGHOST, PGPORT, PGUSER (a superuser) and PGDATABASE of an empty throw-away
# database whose server lets the role shop_app in without a password; "make demo"
# provides them.  SEED, CLIENTS and YEARS change the shop.  Ends with a non-zero
# status and a sentence as soon as something does not show what it should.
#
# The shop's books end some days ago, and agentcrm starts with its clock set to
# that day.  Then the clock is let go: the days pass in silence, and all that
# follows happens in real time, so that one can play on afterwards.
set -eu

cd "$(dirname "$0")" || exit 1
: "${PGHOST:?the demo needs PGHOST}" "${PGPORT:?the demo needs PGPORT}" "${PGUSER:?the demo needs PGUSER}" "${PGDATABASE:?the demo needs PGDATABASE}"
export PGAPPNAME=demo
width=118
books_end_days_ago=4
bold= plain=
[ ! -t 1 ] || { bold=$'\e[1m'; plain=$'\e[0m'; }
step_no=0
step=start

# ---------------------------------------------------------------------------
# Tools
# ---------------------------------------------------------------------------

step() {
	step=$1
	step_no=$((step_no + 1))
	printf '\n%s%d. %s%s\n' "$bold" $step_no "$1" "$plain"
	shift
	[ $# = 0 ] || fmt -w $width <<<"$*"
	echo
}

say() {
	fmt -w $width <<<"$*"
}

fail() {
	printf '\nThe demo stopped at step %d (%s): %s\n' $step_no "$step" "$*" >&2
	exit 1
}

# One value or row, unaligned, columns separated by |.
ask() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1" || fail "this query failed: $1"
}

# A table as wide as the screen at most; prints the statement first.  A column
# written {name:50} is broken between words at that width.
show() {
	sed -E 's/\{([a-z_.]+):[0-9]+\}/\1/g; s/^/    /' <<<"$1"
	echo
	show_quiet "$@"
}

show_quiet() {
	local statement
	statement=$(sed -E 's/\{([a-z_]+\.)?([a-z_]+):([0-9]+)\}/rtrim(regexp_replace(\1\2, $q$(.{1,\3})( +|$)$q$, $q$\\1$q$ || chr(10), $q$g$q$), chr(10)) AS \2/g' <<<"$1")
	shift
	psql -X -q -v ON_ERROR_STOP=1 -P pager=off -P footer=off -P format=wrapped -P columns=$width -P null=- "$@" -c "$statement" 2>&1 ||
		fail "the statement above failed"
}

# Waits until a query gives t: at most so many seconds, and says what for.
wait_for() {
	local what=$1 seconds=$2 query=$3 end=$((SECONDS + $2)) answer
	while answer=$(ask "$query") && [ "$answer" != t ]; do
		[ $SECONDS -lt $end ] || {
			show_quiet 'SELECT * FROM agentcrm.status' -x >&2
			fail "waited $seconds s in vain for this: $what"
		}
		if [ -z "$worker" ]; then
			psql -X -q -v ON_ERROR_STOP=1 -c 'CALL agentcrm.run()' || fail "CALL agentcrm.run() failed"
		else
			sleep 0.05
		fi
	done
	[ "$answer" = t ] || exit 1
}

# The clock agentcrm lives by: a moment, or nothing for the real time.
set_clock() {
	psql -X -q -v ON_ERROR_STOP=1 -c "LOAD 'agentcrm'" -c "ALTER SYSTEM SET agentcrm.debug_now = '$1'" -c 'SELECT pg_reload_conf()' >/dev/null ||
		fail "could not set agentcrm.debug_now"
}

open="('open', 'shown', 'agreed', 'snoozed')"

# ---------------------------------------------------------------------------

step "A shop" "A distributor with reps, clients, products, orders and returns: an ordinary schema that knows nothing" \
	"of agentcrm. It belongs to the role shop_owner; the application works as shop_app."
psql -X -q -v seed="${SEED:-1}" -v clients="${CLIENTS:-2000}" -v years="${YEARS:-2}" \
	-v ref="$(ask "SELECT current_date - $books_end_days_ago")" -f shop.sql ||
	fail "the shop could not be filled"
[ "$(ask "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'shop'::regnamespace AND attname ~ 'agent'")" = 0 ] ||
	fail "the shop's tables should hold nothing of agentcrm"

step "Install agentcrm" "One command. Everything it makes lives in the schema agentcrm; DROP EXTENSION takes all of it away."
show 'CREATE EXTENSION agentcrm'
worker=$(ask "SELECT 'yes' WHERE current_setting('shared_preload_libraries') ~ 'agentcrm'")
if [ -n "$worker" ]; then
	say "The library is preloaded, so a background worker does what follows after each commit."
else
	say "The library is not in shared_preload_libraries, so this script does the background worker's steps by CALL agentcrm.run()."
fi

attach() {
	cat <<-SQL
		SELECT * FROM agentcrm.attach('shop',
		    orders => 'shop.orders', lines => 'shop.order_lines', clients => 'shop.clients',
		    products => 'shop.products', reps => 'shop.reps',
		    at => 'o.ordered_at', is_sale => \$\$o.status = 'confirmed'\$\$,
		    kind => \$\$CASE WHEN o.is_return THEN 'return' ELSE 'sale' END\$\$,
		    quantity => 'l.quantity', amount => 'l.quantity * l.unit_price * (1 - l.discount_pct / 100)',
		    margin => 'l.quantity * (l.unit_price * (1 - l.discount_pct / 100) - l.unit_cost)',
		    rep => 'o.rep_id', client_name => 'c.name', client_parent => 'c.parent_id', client_active => 'c.active',
		    channel => 'c.channel', territory => 'c.territory', product_name => 'p.name', category => 'p.category',
		    product_active => 'p.active', pack_qty => 'p.pack_qty'$1)
	SQL
}

clock=$(ask "SELECT (current_date - $books_end_days_ago + time '09:00')::timestamptz")
set_clock "$clock"

step "Attach the shop: a rehearsal" "Which tables hold orders, lines and clients, and what counts as a sale. With dry_run nothing is" \
	"created; the report says what would be read, how many orders that is, and which triggers would be made."
show "$(attach ', dry_run => true')"
[ "$(ask "SELECT count(*) FROM agentcrm.source")" = 0 ] || fail "a dry run should not leave a source behind"

step "Attach the shop" "The same call in earnest. The triggers it makes note only the key of what changed; the application" \
	"needs no right on agentcrm and is never made to wait or fail."
show_quiet "SELECT count(*) AS report_lines FROM ($(attach '')) r"
[ "$(ask "SELECT count(*) FROM agentcrm.source WHERE name = 'shop'")" = 1 ] || fail "the source is not there"

step "Read the history" "Every order goes the way that a new order will go: read, kept in the ledger, folded into the client's" \
	"profile. The worker would do it by itself; called by hand, the progress is to be seen."
show "CALL agentcrm.backfill('shop')"
wait_for "the history is read" 60 "SELECT state IN ('shadow', 'live') FROM agentcrm.source WHERE name = 'shop'"
totals="SELECT 'application' AS place, count(DISTINCT order_id) AS orders, count(*) AS lines,
       sum(l.quantity * l.unit_price * (1 - l.discount_pct / 100)) AS amount
FROM shop.orders o JOIN shop.order_lines l USING (order_id) WHERE o.status = 'confirmed'
UNION ALL
SELECT 'agentcrm.ledger', count(DISTINCT order_id), count(*), sum(amount) FROM agentcrm.ledger"
say "Confirmed orders and returns in the application, and what agentcrm has of them:"
echo
show_quiet "$totals"
[ "$(ask "SELECT count(DISTINCT (orders, lines, amount)) FROM ($totals) t")" = 1 ] ||
	fail "the ledger and the application do not agree"

step "Go live" "Until now agentcrm only watched. From here on it recommends: agents bid for each client, and the coordinator" \
	"awards within the reps' minutes and the contact limits. agentcrm's clock stands at the day the books end, $clock."
show "SELECT agentcrm.go_live('shop')" -t
wait_for "every client that is due has been looked at, and there is something to do" 60 \
	"SELECT EXISTS (SELECT FROM agentcrm.recommendation WHERE status IN $open)
	    AND NOT EXISTS (SELECT FROM agentcrm.client_state WHERE next_look_at <= '$clock')"
show "SELECT agent, action, status, count(*) AS recommendations, round(sum(value)::numeric) AS expected_margin
FROM agentcrm.recommendation GROUP BY agent, action, status ORDER BY agent, action, status"

step "A silence that is heard" "Now the clock is let go: $books_end_days_ago days pass at once in which no client writes and no trigger fires. agentcrm knows" \
	"for each client when silence stops being normal, and wakes up then."
latest=$(ask "SELECT max(as_of) FROM agentcrm.recommendation")
clock=$(ask "SELECT now()")
set_clock ''
wait_for "the clients that fell due in these days have been looked at" 30 \
	"SELECT NOT EXISTS (SELECT FROM agentcrm.client_state WHERE next_look_at <= '$clock')"
silent=$(ask "SELECT r.recommendation_id FROM agentcrm.recommendation r
	WHERE r.agent = 'retention' AND r.status IN $open AND r.as_of > '$latest'
	ORDER BY EXISTS (SELECT FROM agentcrm.recommendation e WHERE e.client_id = r.client_id AND e.as_of <= '$latest'),
	    r.value DESC, r.recommendation_id LIMIT 1")
[ -n "$silent" ] || fail "$books_end_days_ago days without an order, and no client's silence was noticed"
show "SELECT {c.name:24}, p.n_orders AS orders, p.last_order_on AS last_order,
       round(p.gap_sum::numeric / nullif(p.n_gaps, 0), 1) AS usual_gap,
       r.as_of::date - p.last_order_on AS silent_days, r.action, {r.reason:38}
FROM agentcrm.recommendation r
JOIN agentcrm.client c USING (client_id) JOIN agentcrm.client_profile p USING (client_id)
WHERE r.recommendation_id = $silent"
say "So many such recommendations came up in these days: $(ask "SELECT count(*) FROM agentcrm.recommendation
	WHERE agent = 'retention' AND as_of > '$latest'"). How this one came about:"
echo
show "SELECT * FROM agentcrm.why($silent)" -x

# ---------------------------------------------------------------------------

step "A day of orders" "The application, connected as shop_app, takes some dozens of orders; one is changed, two are cancelled, one is" \
	"sent back, three are given up before commit. The ledger follows by itself."
withdrawn=$(ask "SELECT count(*) FROM agentcrm.recommendation WHERE status = 'withdrawn'")
psql -X -q -v ON_ERROR_STOP=1 -U shop_app -c "$(cat day.sql)" 2>&1 || fail "the application's day failed"
recent="date_trunc('day', now()) - interval '30 days'"
wait_for "the ledger holds what the application committed, and nothing else" 30 \
	"SELECT NOT EXISTS (
	    (SELECT order_id, line_id::text, quantity::numeric, l.quantity * l.unit_price * (1 - l.discount_pct / 100)
	     FROM shop.orders o JOIN shop.order_lines l USING (order_id) WHERE o.status = 'confirmed' AND ordered_at >= $recent
	     EXCEPT SELECT order_id, line_key, quantity, amount FROM agentcrm.ledger WHERE ordered_at >= $recent)
	    UNION ALL
	    (SELECT order_id, line_key, quantity, amount FROM agentcrm.ledger WHERE ordered_at >= $recent
	     EXCEPT SELECT order_id, line_id::text, quantity::numeric, l.quantity * l.unit_price * (1 - l.discount_pct / 100)
	     FROM shop.orders o JOIN shop.order_lines l USING (order_id) WHERE o.status = 'confirmed' AND ordered_at >= $recent))"
echo
say "The ledger agrees, line by line, for the last 30 days. $(ask "SELECT count(*) - $withdrawn FROM agentcrm.recommendation WHERE status = 'withdrawn'")" \
	"recommendations were withdrawn because their client ordered."

step "What a rep does today" "The work list of the rep with most to do, best first. Value is the margin expected from acting rather than" \
	"waiting; whether the effect behind it is assumed or measured is said in the reason."
IFS='|' read -r rep day < <(ask "SELECT rep_id, day FROM agentcrm.work_list WHERE day = (SELECT min(day) FROM agentcrm.work_list WHERE day >= current_date)
	GROUP BY rep_id, day, rep_name ORDER BY count(*) DESC, rep_id LIMIT 1")
[ -n "${rep:-}" ] || fail "no rep has anything on the work list"
show "SELECT rank, {client_name:24}, action, channel, round(value::numeric, 2) AS value, minutes AS min, {reason:40}
FROM agentcrm.work_list WHERE rep_id = $rep AND day = '$day' ORDER BY rank LIMIT 10"
say "$(ask "SELECT format('%s has %s entries for %s, %s minutes in all; the first ten are shown.', max(rep_name), count(*), max(day), sum(minutes))
	FROM agentcrm.work_list WHERE rep_id = $rep AND day = '$day'")"

step "One client in full" "The first client of that list: what is known, what is recommended, and why."
client=$(ask "SELECT client_id FROM agentcrm.work_list WHERE rep_id = $rep AND day = '$day' ORDER BY rank LIMIT 1")
show "SELECT * FROM agentcrm.client_360 WHERE client_id = $client" -x
[ "$(ask "SELECT count(*) FROM agentcrm.client_360 WHERE client_id = $client")" = 1 ] || fail "client $client is not in client_360"
show "SELECT * FROM agentcrm.next_actions($client::bigint, 3)" -x
recommendation=$(ask "SELECT recommendation_id FROM agentcrm.work_list WHERE rep_id = $rep AND day = '$day' ORDER BY rank LIMIT 1")
show "SELECT * FROM agentcrm.why($recommendation)" -x

# ---------------------------------------------------------------------------

step "An order that makes a call needless" "A call is recommended. Before anyone makes it, the client orders by itself."
call=$(ask "SELECT recommendation_id FROM agentcrm.recommendation WHERE status = 'open' AND action = 'call'
	ORDER BY demand_category <> '*', demand_from > current_date, rep_id IS DISTINCT FROM $rep, value DESC, recommendation_id LIMIT 1")
[ -n "$call" ] || fail "there is no open call to withdraw"
client=$(ask "SELECT client_id FROM agentcrm.recommendation WHERE recommendation_id = $call")
the_call="SELECT {c.name:24}, r.action, r.status, r.status_reason, {r.reason:36}
FROM agentcrm.recommendation r JOIN agentcrm.client c USING (client_id) WHERE r.recommendation_id = $call"
say "Before:"
show_quiet "$the_call"
order=$(psql -X -q -A -t -v ON_ERROR_STOP=1 -U shop_app <<-SQL
	BEGIN;
	INSERT INTO shop.orders (client_id, rep_id, status) SELECT client_id, rep_id, 'confirmed' FROM shop.clients WHERE client_id = $client
	RETURNING order_id AS id \gset
	INSERT INTO shop.order_lines (order_id, product_id, quantity, unit_price, unit_cost)
	SELECT DISTINCT ON (product_id) :id, product_id, quantity, unit_price, unit_cost
	FROM shop.orders JOIN shop.order_lines USING (order_id)
	WHERE client_id = $client AND status = 'confirmed' AND NOT is_return
	ORDER BY product_id, order_id DESC LIMIT 8;
	COMMIT;
	\echo :id
	SQL
) || fail "the application could not enter the order"
since=$(date +%s%N)
wait_for "recommendation $call is withdrawn" 10 "SELECT status = 'withdrawn' FROM agentcrm.recommendation WHERE recommendation_id = $call"
say "Order $order was committed by shop_app; looked again $((($(date +%s%N) - since) / 1000000)) ms later:"
show_quiet "$the_call"
[ "$(ask "SELECT status_reason LIKE '%answered by order $order%' FROM agentcrm.recommendation WHERE recommendation_id = $call")" = t ] ||
	fail "the call should say: answered by order $order"

step "Is all of it right?" "verify() recomputes ledger and profiles from the application's tables and lists every difference."
differences=$(ask "SELECT count(*) FROM agentcrm.verify()")
[ "$differences" = 0 ] || {
	show_quiet 'SELECT * FROM agentcrm.verify() LIMIT 20'
	fail "verify() finds $differences differences"
}
say "SELECT * FROM agentcrm.verify() gives no row: the state equals a recompute, to the last digit."
echo
show 'SELECT * FROM agentcrm.status' -x

step "Play on" "The demo took $SECONDS seconds."
if [ -n "${KEEP:-}" ]; then
	cat <<-TEXT
		The server stays. Connect as the administrator, or as the application to enter orders of your own:

		    $(command -v psql) -h $PGHOST -p $PGPORT -U $PGUSER -d $PGDATABASE
		    $(command -v psql) -h $PGHOST -p $PGPORT -U shop_app -d $PGDATABASE

		Try:
		    LISTEN agentcrm_recommendation;
		    UPDATE shop.orders SET status = 'cancelled' WHERE order_id = $order;
		    SELECT * FROM agentcrm.next_actions($client::bigint);
		    SELECT * FROM agentcrm.at_risk LIMIT 10;
	TEXT
else
	say "make demo KEEP=1 leaves the server running for you to play on."
fi
