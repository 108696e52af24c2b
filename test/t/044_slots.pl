# No free worker slot: status says so, and the worker comes by itself when there is one.
# And a server that stops does not wait for a busy worker.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $shop = q{
	CREATE EXTENSION agentcrm;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;} . held_mapping() . q{
	CREATE TABLE shop.orders (order_id int PRIMARY KEY, client int, day date, qty int);
	INSERT INTO shop.orders SELECT g, 1 + g % 100, '2025-01-01'::date + g % 300, 1 FROM generate_series(1, 1500) g;
	RESET ROLE;
	SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client', at => 'o.day', quantity => 'shop.held(o.qty)', amount => 'o.qty', time_zone => 'UTC')};

sub worker
{
	my ($node, $db, $column) = @_;
	return $node->safe_psql($db, "SELECT $column FROM agentcrm.status WHERE what = 'worker'");
}

# ---- worker slots: the launcher's, and one that a parallel query has ----

my $node = new_node('slots', "shared_preload_libraries = 'agentcrm'", 'max_logical_replication_workers = 0', 'max_worker_processes = 2', 'autovacuum = off', 'log_min_messages = debug1',
	'agentcrm.idle_exit = 1h', 'agentcrm.idle_poll = 1h', "agentcrm.debug_now = '2026-01-10 09:00:00+00'");
$node->safe_psql('postgres', 'CREATE ROLE app; CREATE DATABASE one; CREATE DATABASE two');
my $other = open_psql($node, 'one');
say_psql($other, q{SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
say_psql($other, 'CREATE TABLE gate (); CREATE FUNCTION pass() RETURNS void LANGUAGE plpgsql PARALLEL SAFE AS $$BEGIN PERFORM FROM gate; END$$');
my $keeper = open_psql($node, 'one');
say_psql($keeper, 'BEGIN; LOCK TABLE gate');
print { $other->{in} } "SELECT pass();\n";
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'parallel worker')});
$node->safe_psql('two', $shop);
wait_until($node, 'two', 'SELECT no_worker_slot FROM agentcrm.worker_state()', 'there is none for the worker');
is(worker($node, 'two', 'state'), 'stopped', 'status: stopped');
like(worker($node, 'two', 'remark'), qr/^no free worker slot: raise max_worker_processes/, 'and why');
my ($status, $out, $err) = $node->psql('two', 'SELECT agentcrm.start_worker()');
like($err, qr/ERROR:  could not start a worker\nHINT:  Raise max_worker_processes/, 'start_worker() says so too');
my $two = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'two'});
my $from = time();
$node->wait_for_log(qr/\A(?>.*?no free worker slot for database $two\b){8}/s);
cmp_ok(time() - $from, '<', 30, 'the launcher tries again, though nobody wakes it');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = 'one'});
$from = time();
wait_until($node, 'two', 'SELECT worker_pid IS NOT NULL FROM agentcrm.worker_state()', 'when a slot is free, the worker comes by itself');
cmp_ok(time() - $from, '<', 20, sprintf('after %.1f s', time() - $from));
is(worker($node, 'two', 'remark'), '', 'nothing is to be remarked any longer');
consumed($node, 'two', 'and works');
my $told = () = slurp_file($node->logfile) =~ /LOG:  agentcrm: no free worker slot for database $two\b/g;
cmp_ok($told, '<=', 2, "the log said so $told times, once by the launcher and once by start_worker()");

# ---- stops ----

# A worker whose step does not end by itself, and clients gone.
sub busy
{
	hold($node, 'two');
	$node->safe_psql('two', 'UPDATE shop.orders SET qty = qty + 1');
	return wait_until($node, 'postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE backend_type = 'agentcrm worker' AND xact_start < clock_timestamp() - interval '.2 s' AND l.mode = 'ShareUpdateExclusiveLock')}, 'a worker is busy');
}

foreach my $mode (qw(smart fast immediate))
{
	busy();
	my $from = time();
	$node->stop($mode);
	my $took = time() - $from;
	cmp_ok($took, '<', 2, sprintf('%s shutdown with a busy worker: %.2f s', $mode, $took));
	$node->start;
	let_go($node, 'two');
	consumed($node, 'two', "after it the worker goes on");
	clean($node, 'two', "after a $mode shutdown");
}
is($node->safe_psql('two', 'SELECT DISTINCT message FROM agentcrm.error_log'), '', 'no step failed');

# ---- not even the launcher has one ----

$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
is(worker($node, 'two', 'state'), 'stopped', 'without any worker process: stopped');
like(worker($node, 'two', 'remark'), qr/^the launcher does not run: raise max_worker_processes/, 'and why');
$node->safe_psql('two', 'UPDATE shop.orders SET qty = qty + 1 WHERE order_id < 10; CALL agentcrm.run()');
is($node->safe_psql('two', 'SELECT agentcrm.queue_depth()'), 0, 'run() works');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|deadlock/, 'the log shows no crash');

$node->stop;
done_testing();
