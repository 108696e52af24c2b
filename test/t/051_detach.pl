# The end of a source's life, and its other order key: the application's tables
# are free at once, the orders leave the ledger in steps, state equals recompute
# after each of them, and a crash, a pause, an error or a dump in between only
# delay the end.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('detach', "shared_preload_libraries = 'agentcrm'", "agentcrm.debug_now = '2026-03-01 08:00+00'", 'agentcrm.reconcile_interval = 0');
my $db = 'shop';

sub sql { return $node->safe_psql($db, $_[0]); }
sub lines_of { return sql("SELECT count(*) FROM agentcrm.ledger JOIN agentcrm.source USING (source_id) WHERE name = '$_[0]'"); }
sub refusal { return ($node->psql($db, $_[0]))[2]; }

sub holds
{
	my ($what) = @_;
	is(sql('SELECT * FROM agentcrm.verify() LIMIT 5'), '', "verify(): $what");
	return;
}

# Steps to the end, verified on the way; how often the ledger had become smaller.
sub step_through
{
	my ($source, $end, $what) = @_;
	my ($steps, $wrong, $n) = (0, '', lines_of($source));

	while (sql("SELECT $end") eq 'f' && $steps < 200)
	{
		sql('CALL agentcrm.run(1)');
		$wrong .= sql('SELECT * FROM agentcrm.verify() LIMIT 5');
		my $left = lines_of($source);
		$steps++ if $left < $n;
		$n = $left;
	}
	is($wrong, '', "$what: verify() is empty after each step");
	is(sql("SELECT $end"), 't', "$what: comes to its end");
	return $steps;
}

# 600 clients, 9,600 orders in two tables whose clients are the same: shop by id, small by its text.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
make_shop($node, $db);
sql(q{SELECT agentcrm.pause();
	SET ROLE app;
	INSERT INTO shop.clients SELECT g, 'client ' || g FROM generate_series(61, 600) g;
	INSERT INTO shop.orders SELECT 1000 + g, 1 + g % 600, timestamptz '2026-02-20 10:00+00' - make_interval(days => g / 20) FROM generate_series(1, 9000) g;
	INSERT INTO shop.lines SELECT 1000 + g, l, 1 + (g * l) % 12, 1 + g % 5, 10.5 * l FROM generate_series(1, 9000) g, generate_series(1, 2) l;
	CREATE TABLE shop.small (code text PRIMARY KEY, number int UNIQUE NOT NULL, client_id int, ordered_at timestamptz);
	INSERT INTO shop.small SELECT 'S' || g, g, 1 + g % 600, timestamptz '2026-02-25 10:00+00' - make_interval(days => g / 10) FROM generate_series(1, 6000) g});
my $small = q{SELECT client_id AS client_key, %s AS order_key, NULL AS line_key, 1 + number %% 3 AS product_key, ordered_at, 1 AS quantity, 2 AS amount FROM shop.small WHERE %s = ANY ($1)};
my $attach_small = sprintf(q{SELECT count(*) FROM agentcrm.attach_query('small', $q$%s$q$, '{shop.small.code}', '{"shop.small": "code"}', namespace => 'shop', time_zone => 'UTC')}, sprintf($small, 'code', 'code'));
sql($attach_small);
sql(q{SELECT agentcrm.go_live('shop'), agentcrm.go_live('small')});
sql('CALL agentcrm.run()');
clean($node, $db, 'two sources');

# ---- another order key ----

sql(q{UPDATE shop.small SET client_id = 7 WHERE number <= 10});
sql(sprintf(q{SELECT count(*) FROM agentcrm.alter_source('small', query => $q$%s$q$, key => '{shop.small.number}', watch => '{"shop.small": "number"}')}, sprintf($small, 'number', 'number')));
is(lines_of('small'), 6000, 'another order key: the old orders are still there when the call returns');
sql(q{UPDATE shop.small SET client_id = 8 WHERE number <= 20; UPDATE shop.orders SET client_id = 9 WHERE order_id <= 20});
cmp_ok(step_through('small', q{state = 'live' FROM agentcrm.source WHERE name = 'small'}, 'another order key'), '>', 1, 'they go in several steps');
consumed($node, $db, 'read by the new key') if sql('CALL agentcrm.run()') eq '';
clean($node, $db, 'by the new key');
is(sql(q{SELECT count(*) FROM agentcrm.order_ref JOIN agentcrm.source USING (source_id) WHERE name = 'small' AND order_key ~ '^S'}), 0, 'no old key is left');

# ---- detach ----

# events that wait when it is called
sql(q{UPDATE shop.orders SET client_id = 10 WHERE order_id BETWEEN 100 AND 200; UPDATE shop.clients SET name = 'x' WHERE client_id = 1; UPDATE shop.small SET client_id = 11 WHERE number <= 30});
my $reader = open_psql($node, $db);
say_psql($reader, 'BEGIN; SELECT count(*) FROM shop.orders');
my $refused = refusal(q{SET agentcrm.attach_lock_timeout = '100ms'; SELECT agentcrm.detach('shop')});
like($refused, qr/ERROR:  detach: shop\.orders could not be locked within 100ms: held by process \d+\nHINT:  Nothing was changed\./, 'a lock that is not free refuses detach, by its name');
unlike($refused, qr/CONTEXT/, 'without the stack of functions that found it');
close_psql($reader);
is(sql(q{SELECT state FROM agentcrm.source WHERE name = 'shop'}), 'live', 'and nothing is changed');

my $before = lines_of('shop');
sql(q{SELECT agentcrm.detach('shop')});
is(lines_of('shop'), $before, 'detach leaves the lines to the steps');
is(sql(q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass AND tgname ~ '^agentcrm'}), 0, 'the triggers are gone');
# The tables may be locked, changed and dropped: nothing of them is read any more.
my $holder = open_psql($node, $db);
say_psql($holder, 'BEGIN; LOCK TABLE shop.orders, shop.lines, shop.clients IN ACCESS EXCLUSIVE MODE');
sql('SET lock_timeout = 1000; SET statement_timeout = 60000; CALL agentcrm.run(2)');
close_psql($holder);
like(sql(q{SELECT remark FROM agentcrm.status WHERE name = 'shop'}), qr/^detaching: [1-9]\d? %$/, 'steps go on beside a locked table; status shows how far');
is(sql(q{SELECT part || ' ' || phase || ' ' || (done > 0 AND done < total) FROM agentcrm.progress WHERE source = 'shop'}), 'order empty true', 'so does progress');
holds('between two steps');
sql(q{SET lock_timeout = 1000; UPDATE shop.orders SET client_id = 12 WHERE order_id = 300; DELETE FROM shop.lines WHERE order_id = 301; UPDATE shop.small SET client_id = 13 WHERE number = 31});
is(sql('SELECT count(*) FROM agentcrm.event_failed'), 0, 'events of the source that were waiting are no trouble');
foreach my $call (q{SELECT agentcrm.detach('shop')}, q{SELECT agentcrm.resync('shop')}, q{SELECT agentcrm.go_live('shop')}, q{SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders')})
{
	like(refusal($call), qr/source "shop" is being detached\nHINT:  /, "refused meanwhile: $call");
}
is(sql(q{SELECT count(*) FROM agentcrm.recommendation r WHERE status = 'open' AND NOT EXISTS (SELECT FROM agentcrm.ledger l JOIN agentcrm.source USING (source_id) WHERE name = 'small' AND l.client_id = r.client_id)
	AND NOT EXISTS (SELECT FROM agentcrm.ledger l JOIN agentcrm.source USING (source_id) WHERE name = 'shop' AND l.client_id = r.client_id)}), 0, 'nothing is recommended to clients whose last line is gone');

# a crash of the server, a pause, an error
# (no worker comes before it is paused)
sql(q{ALTER SYSTEM SET agentcrm.worker_role = 'nobody'});
$node->stop('immediate');
$node->start;
sql('SELECT agentcrm.pause(); CALL agentcrm.run(1)');
sql('ALTER SYSTEM RESET agentcrm.worker_role');
sql('SELECT pg_reload_conf()');
holds('after a crash in the middle');
sql(q{SELECT agentcrm.pause('shop')});
$before = lines_of('shop');
sql('CALL agentcrm.run()');
cmp_ok($before, '>', 0, 'the crash was in the middle');
is(lines_of('shop'), $before, 'paused, it rests');
holds('paused');
sql(q{SELECT agentcrm.resume('shop');
	CREATE FUNCTION public.trouble() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'disk full'; END$$;
	CREATE TRIGGER trouble BEFORE UPDATE ON agentcrm.recommendation FOR EACH STATEMENT EXECUTE FUNCTION public.trouble()});
is(sql(q{SELECT state FROM agentcrm.source WHERE name = 'shop'}), 'detaching', 'resumed, it is being detached again');
sql('CALL agentcrm.run()');
is(sql(q{SELECT state || ': ' || remark FROM agentcrm.status WHERE name = 'shop'}), 'broken: disk full', 'an error that stays breaks it, so that it hinders nobody');
holds('broken');
like(refusal(q{SELECT agentcrm.resync('shop')}), qr/source "shop" is being detached\nHINT:  .*disk full/, 'a broken one is no source either');
is(sql(q{SELECT count(*) FROM agentcrm.ledger WHERE client_id = 13 AND order_id = 31}), 1, 'the other source goes on');
sql(q{DROP TRIGGER trouble ON agentcrm.recommendation; SELECT agentcrm.resume('shop')});

# a dump taken in the middle
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr($db) ], 'dumped in the middle');
sub restore
{
	my ($copy) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $copy");
	$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr($copy) ], "$copy: restored");
	return;
}
restore('copy');
wait_until($node, 'copy', q{SELECT string_agg(name, ' ') = 'small' FROM agentcrm.source}, 'copy: the source goes there, too');
consumed($node, 'copy', 'copy: all is read');
clean($node, 'copy', 'copy');

is(sql(q{SELECT count(*) > 0 FROM agentcrm.client WHERE feed_source_id IS NOT NULL}), 't', 'its feeds gave clients');
step_through('shop', q{count(*) = 1 FROM agentcrm.source}, 'detach');
sql('CALL agentcrm.run()');
is(sql(q{SELECT count(*) FROM agentcrm.client WHERE feed_source_id IS NOT NULL}), 0, 'no row names the source');
is(sql(q{SELECT count(*) FROM agentcrm.source_load WHERE source_id NOT IN (SELECT source_id FROM agentcrm.source)}), 0, 'nor a load');
clean($node, $db, 'detached');
is(sql(q{SELECT string_agg(DISTINCT message, '; ') FROM agentcrm.error_log}), 'disk full', 'no other step failed');

# ---- the last one, whoever brings it to its end ----

sql(q{SELECT agentcrm.detach('small'); CREATE ROLE operator LOGIN; SELECT agentcrm.grant_operator('operator'); CALL agentcrm.run(1)});
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr($db) ], 'dumped in the middle of the last one');
restore('last');
$node->safe_psql('last', 'CALL agentcrm.run()');
is($node->safe_psql('last', 'SELECT state FROM agentcrm.source'), 'detaching', 'last: who can tell whether the restore is over');
$node->safe_psql('last', 'SELECT agentcrm.adopt()');
wait_until($node, 'last', 'SELECT count(*) = 0 FROM agentcrm.source', 'last: adopt() says so');
is($node->safe_psql('last', 'SELECT * FROM agentcrm.verify()'), '', 'last: verify()');
$node->safe_psql($db, 'CALL agentcrm.run()', extra_params => [ '-U', 'operator' ]);
is(sql(q{SELECT (SELECT count(*) FROM agentcrm.source), (SELECT count(*) FROM agentcrm.ledger), (SELECT count(*) FROM agentcrm.order_ref), (SELECT count(*) FROM agentcrm.client_profile)}), '0|0|0|0',
	'an operator who may not read the tables brings it to its end');
holds('nothing is left');

# ---- a first load that is given up ----

# Feeds, orders of twelve thousand clients in chunks of five thousand, profiles of ten thousand at a time.
sql(q{INSERT INTO shop.clients SELECT g, 'client ' || g FROM generate_series(601, 12000) g;
	INSERT INTO shop.orders SELECT 20000 + g, g, '2026-02-01' FROM generate_series(1, 12000) g; INSERT INTO shop.lines SELECT 20000 + g, 1, 1 + g % 12, 2, 3 FROM generate_series(1, 12000) g});
my $attach = q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', clients => 'shop.clients', product => 'l.product_id',
	at => 'o.ordered_at', quantity => 'l.quantity', amount => 'l.quantity * l.price', client_name => 'c.name', time_zone => 'UTC')};
foreach my $phase ("phase = 'read' AND done > 0", "phase = 'fold' AND done > 0", "phase = 'assess'")
{
	sql($attach);
	sql($attach_small);
	sql('CALL agentcrm.run(1)') while sql("SELECT count(*) FROM agentcrm.progress WHERE source = 'shop' AND part = 'order' AND $phase") == 0;
	# the other source's orders of the same clients are folded meanwhile
	sql(q{UPDATE shop.small SET client_id = client_id % 600 + 1 WHERE number <= 50; CALL agentcrm.run(1); SELECT agentcrm.pause('shop')});
	holds("$phase, paused");
	sql(q{SELECT agentcrm.detach('shop')});
	holds("$phase, given up");
	step_through('shop', q{count(*) = 0 FROM agentcrm.source WHERE name = 'shop'}, "$phase, given up");
	sql('CALL agentcrm.run()');
	clean($node, $db, "$phase, given up");
	sql(q{SELECT agentcrm.detach('small'); CALL agentcrm.run()});
	holds("$phase, all gone");
}

# The extension goes in the middle.
sql($attach);
sql('CALL agentcrm.run()');
sql(q{SELECT agentcrm.detach('shop'); CALL agentcrm.run(1)});
sql('DROP EXTENSION agentcrm');
pass('DROP EXTENSION in the middle');
$node->stop;
done_testing();
