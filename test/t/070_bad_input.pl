# Bad input: the application goes on, the source says what is wrong, and when the
# cause is gone everything is caught up.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('bad_input', "shared_preload_libraries = 'agentcrm'", "agentcrm.debug_now = '2026-03-01 08:00+00'", 'agentcrm.idle_poll = 1');
my $db = 'postgres';

sub sql { return $node->safe_psql($db, $_[0]); }

sql(q{
	CREATE EXTENSION agentcrm;
	CREATE ROLE app LOGIN;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.clients (client_id int PRIMARY KEY, name text);
	CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, client_id int, ordered_at timestamptz, rate numeric DEFAULT 1);
	CREATE TABLE shop.lines (order_id bigint, line_no int, product_id int, quantity numeric, price float8, PRIMARY KEY (order_id, line_no));
	INSERT INTO shop.clients SELECT g, 'client ' || g FROM generate_series(1, 40) g;
	INSERT INTO shop.orders SELECT g, 1 + g % 40, timestamptz '2025-06-01' + g * interval '6 hours' FROM generate_series(1, 1000) g;
	INSERT INTO shop.lines SELECT o, l, 1 + (o * l) % 9, 1 + o % 4, 2.5 FROM generate_series(1, 1000) o, generate_series(1, 2) l});
sql(q{SELECT FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', line_order_key => '{order_id}', clients => 'shop.clients', client => 'o.client_id', product => 'l.product_id',
	at => 'o.ordered_at', quantity => 'l.quantity', amount => 'l.quantity * l.price::numeric / o.rate', client_name => 'c.name', time_zone => 'UTC')});
sql(q{SELECT agentcrm.go_live('shop')});
consumed($node, $db, 'loaded');
clean($node, $db, 'loaded');

my $next = 5000;
# The application writes something good after something bad; the good arrives.
sub goes_on
{
	my ($what) = @_;
	my $order = ++$next;

	sql("SET ROLE app; INSERT INTO shop.orders VALUES ($order, 3, '2026-02-20'); INSERT INTO shop.lines VALUES ($order, 1, 1, 1, 2)");
	return ok($node->poll_query_until($db, "SELECT count(*) = 1 FROM agentcrm.ledger WHERE order_id = $order"), "$what: other orders go on");
}
sub failed { return sql(q{SELECT failed FROM agentcrm.status WHERE name = 'shop'}); }

# One bad thing: said in status, other orders go on, caught up after it is mended.
sub bad
{
	my ($what, $n, $spoil, $message, $mend) = @_;

	sql("SET ROLE app; $spoil");
	ok($node->poll_query_until($db, "SELECT failed = $n FROM agentcrm.status WHERE name = 'shop'"), "$what: $n keys fail") or diag(sql('SELECT * FROM agentcrm.status'));
	like(sql(q{SELECT last_error FROM agentcrm.status WHERE name = 'shop'}), $message, "$what: status says why");
	is(sql(q{SELECT state FROM agentcrm.status WHERE name = 'shop'}), 'live', "$what: the source stays live");
	goes_on($what);
	is(sql('SELECT * FROM agentcrm.verify() LIMIT 5'), '', "$what: no more than the failed keys differ");
	sql("SET ROLE app; $mend");
	consumed($node, $db, "$what: caught up by itself");
	is(failed(), '0', "$what: no key fails any more");
	clean($node, $db, $what);
	return;
}

bad('NaN', 1, q{UPDATE shop.lines SET price = 'NaN' WHERE order_id = 10 AND line_no = 1}, qr/amount is not a finite number/, q{UPDATE shop.lines SET price = 3 WHERE order_id = 10});
bad('infinity', 1, q{UPDATE shop.lines SET quantity = 'Infinity' WHERE order_id = 11}, qr/is not a finite number/, q{UPDATE shop.lines SET quantity = 3 WHERE order_id = 11});
bad('infinite time', 1, q{UPDATE shop.orders SET ordered_at = 'infinity' WHERE order_id = 12}, qr/ordered_at is not a finite time/, q{UPDATE shop.orders SET ordered_at = '2025-07-01' WHERE order_id = 12});
bad('NULL amount', 1, q{UPDATE shop.lines SET price = NULL WHERE order_id = 13 AND line_no = 1}, qr/amount is NULL/, q{DELETE FROM shop.lines WHERE order_id = 13 AND line_no = 1});
bad('a failing order in a thousand', 1, q{UPDATE shop.orders SET rate = CASE WHEN order_id = 500 THEN 0 ELSE 2 END WHERE order_id <= 1000}, qr/division by zero/, q{UPDATE shop.orders SET rate = 1 WHERE order_id = 500});

# What is odd and not wrong: counted, or left out as the mapping says.
sql(q{
	SET ROLE app;
	UPDATE shop.orders SET client_id = NULL WHERE order_id = 20;
	UPDATE shop.orders SET ordered_at = NULL WHERE order_id = 21;
	UPDATE shop.lines SET product_id = NULL WHERE order_id = 22;
	UPDATE shop.lines SET quantity = 0 WHERE order_id = 23;
	UPDATE shop.orders SET ordered_at = '1970-01-01' WHERE order_id = 24;
	UPDATE shop.orders SET ordered_at = '2200-01-01' WHERE order_id = 25;
	UPDATE shop.orders SET ordered_at = '0044-03-15 BC' WHERE order_id = 26;
	UPDATE shop.orders SET client_id = 40 WHERE order_id = 27;
	UPDATE shop.lines SET price = 1e15, quantity = 1e9 WHERE order_id = 28;
	UPDATE shop.lines SET quantity = -3 WHERE order_id = 29;
	UPDATE shop.orders SET client_id = 999 WHERE order_id = 30});
goes_on('odd values');
consumed($node, $db, 'odd values are consumed');
is(failed(), '0', 'and do not fail');
clean($node, $db, 'odd values');
is(sql('SELECT string_agg(DISTINCT order_id::text, $$ $$) FROM agentcrm.ledger WHERE order_id BETWEEN 20 AND 21'), '', 'orders without client or time are not counted');
is(sql('SELECT client_id FROM agentcrm.ledger WHERE order_id = 27 LIMIT 1'), '40', 'an order may move to another client');
is(sql(q{SELECT count(*) FROM agentcrm.client_state WHERE stage IS NULL OR NOT (next_look_at < '2300-01-01')}), '0', 'every client is assessed');
sql(q{SET ROLE app; UPDATE shop.orders SET client_id = 1, ordered_at = '2025-08-01' WHERE order_id BETWEEN 20 AND 30; UPDATE shop.lines SET price = 1, quantity = 1, product_id = 1 WHERE order_id BETWEEN 20 AND 30});
consumed($node, $db, 'and back');
clean($node, $db, 'odd values mended');

# A client that goes and whose number is given to another.
sql(q{SET ROLE app; DELETE FROM shop.lines l USING shop.orders o WHERE o.order_id = l.order_id AND o.client_id = 7; DELETE FROM shop.orders WHERE client_id = 7; DELETE FROM shop.clients WHERE client_id = 7});
consumed($node, $db, 'a client goes');
sql(q{SET ROLE app; INSERT INTO shop.clients VALUES (7, 'another'); INSERT INTO shop.orders VALUES (4001, 7, '2026-02-01'); INSERT INTO shop.lines VALUES (4001, 1, 1, 1, 1)});
consumed($node, $db, 'its number comes back');
is(sql('SELECT c.name, p.n_orders FROM agentcrm.client c JOIN agentcrm.client_profile p USING (client_id) WHERE client_id = 7'), 'another|1', 'as another client');
clean($node, $db, 'a client used again');

# ---- the application's tables change ----

sql('ALTER TABLE shop.orders RENAME rate TO pace');
my ($code, $out, $err) = $node->psql($db, q{INSERT INTO shop.orders (order_id, client_id, ordered_at) VALUES (4100, 3, '2026-02-21'); INSERT INTO shop.lines VALUES (4100, 1, 1, 1, 1)}, extra_params => [ '-U', 'app' ]);
unlike($err, qr/ERROR/, 'a mapped column is renamed: the application goes on');
ok($node->poll_query_until($db, q{SELECT (failed > 0 OR state = 'broken') FROM agentcrm.status WHERE name = 'shop'}), 'a mapped column is renamed: status shows it');
like(sql(q{SELECT concat_ws(' ', last_error, remark) FROM agentcrm.status WHERE name = 'shop'}), qr/rate/, 'and says which');
sql(q{SELECT FROM agentcrm.alter_source('shop', amount => 'l.quantity * l.price::numeric / o.pace')});
consumed($node, $db, 'caught up under the new name');
is(sql(q{SELECT state || failed FROM agentcrm.status WHERE name = 'shop'}), 'live0', 'all is well');
clean($node, $db, 'a mapped column is renamed');
sql(q{ALTER TABLE shop.orders RENAME pace TO rate; SELECT FROM agentcrm.alter_source('shop', amount => 'l.quantity * l.price::numeric / o.rate')});
consumed($node, $db, 'and back');

# A dropped column: the mapping has to do without it.
sql('ALTER TABLE shop.orders DROP rate');
goes_on_broken('a mapped column is dropped', qr/rate/);
sql(q{SELECT FROM agentcrm.alter_source('shop', amount => 'l.quantity * l.price::numeric')});
consumed($node, $db, 'caught up without it');
is(sql(q{SELECT state || failed FROM agentcrm.status WHERE name = 'shop'}), 'live0', 'all is well');
clean($node, $db, 'a mapped column is dropped');

sub goes_on_broken
{
	my ($what, $message) = @_;
	my $order = ++$next;
	my (undef, undef, $stderr) = $node->psql($db, "INSERT INTO shop.orders (order_id, client_id, ordered_at) VALUES ($order, 3, '2026-02-21'); INSERT INTO shop.lines VALUES ($order, 1, 1, 1, 1)",
		extra_params => [ '-U', 'app' ]);

	unlike($stderr, qr/ERROR/, "$what: the application goes on");
	ok($node->poll_query_until($db, q{SELECT (failed > 0 OR state = 'broken') FROM agentcrm.status WHERE name = 'shop'}), "$what: status shows it") or diag(sql('SELECT * FROM agentcrm.status'));
	like(sql(q{SELECT concat_ws(' ', last_error, remark) FROM agentcrm.status WHERE name = 'shop'}), $message, "$what: and says why");
	return;
}

# A revoked grant.
sql(q{CREATE ROLE reader; GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader; SELECT FROM agentcrm.alter_source('shop', run_as => 'reader')});
consumed($node, $db, 'read by a role with a grant');
sql('REVOKE SELECT ON shop.lines FROM reader');
goes_on_broken('a revoked grant', qr/role "reader", as which the source is read, may not read shop\.lines: GRANT SELECT ON shop\.lines TO reader/);
sql(q{GRANT SELECT ON shop.lines TO reader; SELECT agentcrm.resync('shop')});
consumed($node, $db, 'a grant comes back: caught up');
is(sql(q{SELECT state || failed FROM agentcrm.status WHERE name = 'shop'}), 'live0', 'all is well');
clean($node, $db, 'a revoked grant');

# The role itself goes.
sql('REVOKE ALL ON ALL TABLES IN SCHEMA shop FROM reader; REVOKE USAGE ON SCHEMA shop FROM reader; DROP ROLE reader');
goes_on_broken('the role it is read as is dropped', qr/role "reader" does not exist/);
sql(q{SELECT FROM agentcrm.alter_source('shop', run_as => 'app')});
consumed($node, $db, 'read as another role: caught up');
clean($node, $db, 'a dropped role');

# An attached table is dropped, and another takes its place.
sql('ALTER TABLE shop.lines RENAME TO lines_kept; CREATE TABLE shop.dropped AS SELECT 1; DROP TABLE shop.dropped');
goes_on_without('lines');
sql('ALTER TABLE shop.lines_kept RENAME TO lines');
sql(q{SELECT agentcrm.resync('shop')});
consumed($node, $db, 'the table has its name again: caught up');
clean($node, $db, 'a renamed table');
sql('CREATE TABLE shop.copy (LIKE shop.lines INCLUDING ALL); INSERT INTO shop.copy SELECT * FROM shop.lines; ALTER TABLE shop.copy OWNER TO app; DROP TABLE shop.lines');
goes_on_without('lines');
sql(q{ALTER TABLE shop.copy RENAME TO lines; SELECT FROM agentcrm.alter_source('shop')});
consumed($node, $db, 'another table in its place: caught up');
is(sql(q{SELECT state || failed FROM agentcrm.status WHERE name = 'shop'}), 'live0', 'all is well');
clean($node, $db, 'a dropped table');
goes_on('at the end');
clean($node, $db, 'at the end');

sub goes_on_without
{
	my ($table) = @_;
	my $order = ++$next;
	my (undef, undef, $stderr) = $node->psql($db, "INSERT INTO shop.orders (order_id, client_id, ordered_at) VALUES ($order, 3, '2026-02-21')", extra_params => [ '-U', 'app' ]);

	unlike($stderr, qr/ERROR/, "without $table: the application goes on");
	ok($node->poll_query_until($db, q{SELECT (failed > 0 OR state = 'broken') FROM agentcrm.status WHERE name = 'shop'}), "without $table: status shows it");
	like(sql(q{SELECT concat_ws(' ', last_error, remark) FROM agentcrm.status WHERE name = 'shop'}), qr/$table/, 'and says which');
	return;
}

$node->stop;
done_testing();
