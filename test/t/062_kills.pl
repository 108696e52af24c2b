# The worker killed by SIGKILL in mid-batch, the server stopped at once, and the
# worker ended cleanly, in turn, while pgbench writes: after each round everything
# that was committed is consumed and state equals recompute.
# ROUNDS=200 makes it long (make bench-reliability does).  SEED repeats the times.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $rounds = $ENV{ROUNDS} // 6;
my $seed = defined $ENV{SEED} ? $ENV{SEED} : time() % 1_000_000_000;
diag "  progress: kills: SEED=$seed, $rounds rounds";
srand($seed);

my $node = new_node('kills', "shared_preload_libraries = 'agentcrm'", 'agentcrm.batch_size = 50', 'restart_after_crash = on');
my $db = 'shop';
$node->safe_psql('postgres', "CREATE DATABASE $db");
$node->safe_psql($db, q{
	CREATE EXTENSION agentcrm;
	CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL);
	CREATE TABLE lines (order_id bigint REFERENCES orders ON DELETE CASCADE, line_no int, product int NOT NULL, quantity int NOT NULL, PRIMARY KEY (order_id, line_no));
	INSERT INTO orders (client, at) SELECT 1 + g % 40, '2026-01-01'::timestamptz + g * interval '3 hours' FROM generate_series(1, 400) g;
	INSERT INTO lines SELECT o, l, 1 + (o + l) % 30, 1 + l FROM generate_series(1, 400) o, generate_series(1, 2) l});
$node->safe_psql($db, q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', lines => 'lines', client => 'o.client', product => 'l.product',
	at => 'o.at', quantity => 'l.quantity', amount => 'l.quantity * 2.5', run_as => 'postgres')});
consumed($node, $db, 'the first load ends');

# The shop keeps its last 2,000 orders, so that a late round costs what an early one does.
my $script = PostgreSQL::Test::Utils::tempdir() . '/orders.sql';
open my $out, '>', $script or die $!;
print $out <<'SQL';
\set client random(1, 40)
\set old random(1, 600)
\set product random(1, 30)
BEGIN;
INSERT INTO orders (client, at) VALUES (:client, '2026-06-01'::timestamptz + :old * interval '1 hour') RETURNING id \gset
INSERT INTO lines SELECT :id, g, :product, g FROM generate_series(1, 3) g;
UPDATE lines SET quantity = quantity + 1 WHERE order_id = :id - :old;
COMMIT;
DELETE FROM lines WHERE order_id = :id - 600 - :old AND line_no = 3;
DELETE FROM orders WHERE id < :id - 2000;
SQL
close $out;

# Errors are expected when the server goes: pgbench says so and ends.
sub start_pgbench
{
	my ($transactions) = @_;
	my $pid = fork();

	die "cannot fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDOUT, '>', "$script.out") and open(STDERR, '>&', \*STDOUT)
			and exec 'pgbench', '-n', '-c', '3', '-t', $transactions, '-f', $script, $node->connstr($db);
		POSIX::_exit(127);
	}
	return $pid;
}

my %did;
my $hit = 0;
my $slowest = 0;
my $begun = time();

sub batch_no { return $node->safe_psql($db, 'SELECT coalesce(max(batch_no), 0) FROM agentcrm.batch'); }

foreach my $round (1 .. $rounds)
{
	my $how = (qw(kill stop term))[ $round % 3 ];
	my $before = batch_no();
	my $wanted = $before + 1 + int(rand(8));
	my $bench = start_pgbench($rounds > 50 ? 120 : 400);

	$node->poll_query_until($db, "SELECT max(batch_no) >= $wanted AND (SELECT worker_pid IS NOT NULL FROM agentcrm.worker_state()) FROM agentcrm.batch");
	my $pid = worker_pid($node, $db);
	my $busy = $pid && $node->safe_psql($db, "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid");

	$hit++ if $busy && $busy eq 't';
	if ($how eq 'kill') { kill 'KILL', $pid; }
	elsif ($how eq 'term') { kill 'TERM', $pid; }
	else { $node->stop('immediate'); }
	$did{$how}++;
	waitpid $bench, 0;
	$node->start if $how eq 'stop';
	my $started = time();
	$node->poll_query_until($db, 'SELECT true');
	$node->poll_query_until($db, q{SELECT worker_pid IS NOT NULL OR agentcrm.queue_depth() = 0 FROM agentcrm.worker_state()});
	$slowest = time() - $started if time() - $started > $slowest;
	consumed($node, $db, "round $round, $how: everything is consumed");
	clean($node, $db, "round $round, $how");
	diag sprintf('  progress: %d rounds, %.0f s', $round, time() - $begun) if $round % 10 == 0;
	is($node->safe_psql($db, 'SELECT down FROM agentcrm.worker_state()'), '', "round $round, $how: the worker is not down") or last;
}
is($node->safe_psql($db, 'SELECT count(*) FROM agentcrm.event_failed'), '0', 'no key is blamed');
is($node->safe_psql($db, q{SELECT count(*) FROM agentcrm.agent WHERE mode = 'paused'}), '0', 'no agent is blamed');
note join(', ', map { "$_ $did{$_}" } sort keys %did), sprintf(', %d in the middle of a step; worker at work %.1f s after the server at the latest; %s orders in %s batches', $hit, $slowest,
	$node->safe_psql($db, 'SELECT max(id) FROM orders'), batch_no());
$node->stop;
done_testing();
