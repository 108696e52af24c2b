# DROP EXTENSION at any moment of the worker's work: no deadlock, no error, nobody
# crashes, and the application writes on at once.  And DROP and CREATE EXTENSION within
# the life of a session or a worker: nothing it remembers of the old one is taken for the new.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{ROUNDS} || 10;
my $attach = q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', clients => 'shop.clients', client => 'o.client', at => 'o.day',
	product => 'o.product', quantity => 'shop.slow(o.qty)', amount => 'o.qty * 10', client_name => 'c.name', time_zone => 'UTC')};

# 60 clients with rhythms and baskets that depend on $n, and a mapping that computes as much as shop.pace says.
sub shop
{
	my ($n) = @_;

	return qq{
		CREATE SCHEMA IF NOT EXISTS shop AUTHORIZATION app;
		SET ROLE app;
		CREATE TABLE IF NOT EXISTS shop.clients (id int PRIMARY KEY, name text);
		CREATE TABLE IF NOT EXISTS shop.orders (order_id int PRIMARY KEY, client int, day date, product int, qty int);
		CREATE TABLE IF NOT EXISTS shop.pace (rounds int);
		DELETE FROM shop.orders; DELETE FROM shop.clients;
		INSERT INTO shop.clients SELECT g, 'client ' || g * $n FROM generate_series(1, 60) g;
		INSERT INTO shop.orders SELECT c * 100 + n, c, '2025-12-20'::date - n * ($n * 4 + (c * n * $n) % 7) - c % 20, 1 + (c + n) % ($n * 5), 1 + (n * $n) % 4
			FROM generate_series(1, 60) c, generate_series(1, 12) n;
		CREATE OR REPLACE FUNCTION shop.slow(int) RETURNS int LANGUAGE plpgsql AS \$\$ BEGIN PERFORM count(*) FROM shop.pace, generate_series(1, rounds); RETURN \$1; END \$\$;
		RESET ROLE};
}

# ---- in the middle of a step ----

# Without preload: start_worker() starts one at once, and none comes by itself later.
my $node = new_node('extension', 'agentcrm.batch_size = 200', "agentcrm.debug_now = '2026-01-10 09:00:00+00'", 'deadlock_timeout = 100ms');
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE DATABASE shop');
$node->safe_psql('shop', shop(1));

# A session that goes on writing; the others come anew, for a session keeps the plans of functions that are gone.
my $writer = open_psql($node, 'shop', 'app');
my $write = 'UPDATE shop.orders SET qty = qty + 1 WHERE client <= 40';

# Returns as soon as the worker is in a step, or has done so many batches.
my $await = q{
	DO $$ BEGIN
		LOOP
			EXIT WHEN %s;
		END LOOP;
	END $$};
my @moments = (
	sprintf($await, q{EXISTS (SELECT FROM pg_locks WHERE relation = 'agentcrm.batch'::regclass AND mode = 'ShareUpdateExclusiveLock')}),
	'SELECT 1',
	sprintf($await, q{EXISTS (SELECT FROM agentcrm.source_load WHERE phase <> 'read')}),
	sprintf($await, q{(SELECT count(*) > 2 FROM agentcrm.batch)}),
	sprintf($await, q{EXISTS (SELECT FROM agentcrm.round)}) . '; SELECT agentcrm.resync($$shop$$)');

my $watch = q{SELECT 'in a step' FROM pg_locks WHERE relation = 'agentcrm.batch'::regclass AND mode = 'ShareUpdateExclusiveLock'};
say_psql($writer, 'SET lock_timeout = $$100ms$$');
my ($met, $broken, $last) = (0, 0, '');
foreach my $round (1 .. $rounds)
{
	my (undef, $made, $errors1) = $node->psql('shop', "CREATE EXTENSION agentcrm; $attach; INSERT INTO shop.pace VALUES (10000); SELECT agentcrm.start_worker()");
	my $before = say_psql($writer, $write);
	my (undef, $drop, $errors2) = $node->psql('shop', "SET lock_timeout = '10s'; $moments[$round % @moments]; $watch; DROP EXTENSION agentcrm; DELETE FROM shop.pace; $write");
	my $after = say_psql($writer, $write);

	$met++ if $drop =~ /in a step/;
	next if "$errors1$errors2" eq '' && $before eq "UPDATE 480\n" && $after eq $before;
	$broken++;
	$last = "round $round: $errors1$before$errors2$after";
}
is($broken, 0, "$rounds rounds of DROP EXTENSION: it succeeds, and the application's tables are writable at once") or diag($last);
cmp_ok($met, '>', $rounds / 4, "$met of them met a worker in the middle of a step");
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'agentcrm worker')}), 'no worker is left');
is($node->safe_psql('shop', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass}), '0', 'nor a trigger');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|FATAL|deadlock|ERROR:/, 'the server log shows no error');
close_psql($writer);

# ---- nothing remembered is taken for new ----

# What is known of the clients and what is proposed; ids of generations and rounds begin anew with each extension.
my $state = q{
	SELECT 'state', (to_jsonb(s) - 'model_id')::text FROM agentcrm.client_state s
	UNION ALL SELECT 'client', to_jsonb(c)::text FROM agentcrm.client c
	UNION ALL SELECT 'bid', (to_jsonb(b) - ARRAY['bid_id', 'round_id', 'models'])::text FROM agentcrm.bid b
	UNION ALL SELECT 'model', kind || params::text FROM agentcrm.model WHERE current
	UNION ALL SELECT 'popularity', to_jsonb(p)::text FROM agentcrm.product_popularity p
	UNION ALL SELECT 'inclusion', (to_jsonb(i) - 'model_id')::text FROM agentcrm.product_inclusion i
	ORDER BY 1, 2};

# Told by the lines that only one of them has.
sub same_state
{
	my ($got, $expected, $what) = @_;
	my (%got, %expected);

	@got{ split /\n/, $got } = ();
	@expected{ split /\n/, $expected } = ();
	my @got = grep { !exists $expected{$_} } sort keys %got;
	my @expected = grep { !exists $got{$_} } sort keys %expected;

	ok(!@got && !@expected, $what) or diag(@got . ' rows it should not have, ' . @expected . " it should, the first of them:\n", join("\n", map { substr($_ || '', 0, 1000) } $got[0], $expected[0]));
	return;
}

# What a session gives that has known no other extension; with another rule for reorder from the second on.
my $configure = q{UPDATE agentcrm.agent SET params = jsonb_set(params, '{threshold}', '0.2') WHERE agent = 'reorder'};
my @fresh;
foreach my $n (1, 2)
{
	$node->safe_psql('postgres', "CREATE DATABASE fresh$n");
	$node->safe_psql("fresh$n", shop($n));
	$node->safe_psql("fresh$n", "CREATE EXTENSION agentcrm; $attach; " . ($n > 1 ? "$configure;" : '') . q{SELECT agentcrm.go_live('shop')});
	$node->safe_psql("fresh$n", 'CALL agentcrm.run()');
	clean($node, "fresh$n", "fresh$n");
	$fresh[$n] = $node->safe_psql("fresh$n", $state);
	like($fresh[$n], qr/^bid\|/m, "fresh$n: there are bids");
}
ok($fresh[1] ne $fresh[2], 'one shop is not like another');

my $dba = open_psql($node, 'shop');
say_psql($dba, 'SET client_min_messages = warning');
foreach my $n (1, 2, 1)
{
	my $out = say_psql($dba, shop($n) . ';CREATE EXTENSION agentcrm') . say_psql($dba, "$attach; " . ($n > 1 ? "$configure;" : '') . q{SELECT agentcrm.go_live('shop')})
	  . say_psql($dba, 'CALL agentcrm.run()');

	unlike($out, qr/ERROR|WARNING/, "shop $n in a session that dropped others");
	same_state($node->safe_psql('shop', $state), $fresh[$n], 'its state is that of a fresh session');
	is($node->safe_psql('shop', 'SELECT * FROM agentcrm.verify()'), '', 'verify() is empty');
	is(say_psql($dba, 'SELECT * FROM agentcrm.verify()'), '', 'in the session too');
	say_psql($dba, 'DROP EXTENSION agentcrm');
}

# A worker that looks every 250 ms does not notice, unless it is in a step.
$node->safe_psql('shop', shop(1));
say_psql($dba, "CREATE EXTENSION agentcrm; $attach; SELECT agentcrm.start_worker()");
consumed($node, 'shop', 'a worker has known one extension');
say_psql($dba, 'BEGIN; DROP EXTENSION agentcrm; CREATE EXTENSION agentcrm; COMMIT');
say_psql($dba, shop(2));
unlike(say_psql($dba, "$attach; $configure; SELECT agentcrm.go_live('shop'); SELECT agentcrm.start_worker()"), qr/ERROR/, 'shop 2 is attached to the next one');
consumed($node, 'shop', 'and loaded');
same_state($node->safe_psql('shop', $state), $fresh[2], 'its state is that of a fresh session');
clean($node, 'shop', 'shop 2 by the worker');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|FATAL|deadlock|ERROR:/, 'the server log shows no error');

close_psql($dba);
$node->stop;
done_testing();
