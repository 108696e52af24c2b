# Launcher and worker: started by hand and by themselves, on a commit and at a due
# time, paused, ended, out of the way of whoever wants the database, and idle at
# no cost.
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
	SET ROLE app;
	CREATE TABLE shop.orders (order_id int PRIMARY KEY, client int, day date, qty int);
	INSERT INTO shop.orders SELECT c * 100 + n, c, '2025-01-01'::date + n * 14 + c, n FROM generate_series(1, 20) c, generate_series(1, 25) n;
	RESET ROLE;
	SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client', at => 'o.day', quantity => 'o.qty', amount => 'o.qty', time_zone => 'UTC');
};

sub state_of
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, q{SELECT state FROM agentcrm.status WHERE what = 'worker'});
}

sub remark_of
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, q{SELECT remark FROM agentcrm.status WHERE what = 'worker'});
}

# Poll the clock until some looks of an idle worker (one every 250 ms) have passed.
sub looks_pass
{
	my ($node, $seconds) = @_;
	my $from = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
	return $node->poll_query_until('postgres', "SELECT clock_timestamp() > '$from'::timestamptz + interval '$seconds s'");
}

# ---- without preload ----

my $plain = new_node('plain');
$plain->safe_psql('postgres', 'CREATE ROLE app; CREATE DATABASE shop');
$plain->safe_psql('shop', $shop);
is(state_of($plain, 'shop'), 'stopped', 'without preload no worker runs');
like(remark_of($plain, 'shop'), qr/not in shared_preload_libraries.*start_worker.*agentcrm\.run/, 'and status says what to do');
my $pid = $plain->safe_psql('shop', 'SELECT agentcrm.start_worker()');
is($plain->safe_psql('postgres', "SELECT backend_type, datname FROM pg_stat_activity WHERE pid = $pid"), 'agentcrm worker|shop', 'start_worker() starts it');
$plain->poll_query_until('shop', "SELECT worker_pid = $pid FROM agentcrm.worker_state()");
is($plain->safe_psql('shop', 'SELECT agentcrm.start_worker()'), $pid, 'and gives the one that runs');
is(state_of($plain, 'shop'), 'running', 'status: running');
is(remark_of($plain, 'shop'), '', 'without a remark');
consumed($plain, 'shop', 'it loads the source');
$plain->safe_psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 101');
consumed($plain, 'shop', 'and consumes a commit');
clean($plain, 'shop', 'without preload');
$plain->safe_psql('shop', 'SELECT agentcrm.pause()');
is(state_of($plain, 'shop'), 'paused', 'pause()');
like(remark_of($plain, 'shop'), qr/^paused: SELECT agentcrm\.resume\(\)/, 'and status says how to go on');
$plain->safe_psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 102');
looks_pass($plain, 1);
is($plain->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), 1, 'a paused worker consumes nothing');
$plain->safe_psql('shop', 'CALL agentcrm.run()');
is($plain->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), 0, 'run() does');
$plain->safe_psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 103');
$plain->safe_psql('shop', 'SELECT agentcrm.resume()');
consumed($plain, 'shop', 'resume()');
is(worker_pid($plain, 'shop'), $pid, 'it is the same worker: without a launcher it stays');
$plain->safe_psql('shop', 'SET lock_timeout = 5000; DROP EXTENSION agentcrm CASCADE');
ok($plain->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)"), 'DROP EXTENSION ends it');
$plain->stop;

# ---- with the launcher, which does not look by itself in the time of this test ----

my $node = new_node('preloaded', "shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_exit = 1s', 'agentcrm.idle_poll = 1h', 'agentcrm.batch_size = 20',
	"agentcrm.debug_now = '2026-01-10 09:00:00+00'", 'agentcrm.plan_hour = -1', 'autovacuum = off', 'log_min_messages = debug1');
$node->safe_psql('postgres', 'CREATE ROLE app; CREATE DATABASE shop');
$node->safe_psql('shop', $shop);
consumed($node, 'shop', 'attach wakes the worker');
wait_until($node, 'shop', 'SELECT worker_pid IS NULL FROM agentcrm.worker_state()', 'the worker ends when it is idle');
is(state_of($node, 'shop'), 'resting', 'status: resting');
like(remark_of($node, 'shop'), qr/^nothing to do; next at 2026-0/, 'until the next due time');

$node->safe_psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 101');
consumed($node, 'shop', 'it comes back on a commit');
wait_until($node, 'shop', 'SELECT worker_pid IS NULL FROM agentcrm.worker_state()', 'and ends again');

is($node->safe_psql('shop', q{SELECT max(as_of) <= '2026-01-10 09:00:00+00' FROM agentcrm.client_state}), 't', 'all was looked at by the clock');
my $due = $node->safe_psql('shop', q{SELECT due + interval '1 minute' FROM agentcrm.worker_state()});
$node->safe_psql('postgres', "ALTER SYSTEM SET agentcrm.debug_now = '$due'; SELECT pg_reload_conf()");
wait_until($node, 'shop', "SELECT max(as_of) = '$due' FROM agentcrm.client_state", 'it comes back when a client is due');
wait_until($node, 'shop', "SELECT worker_pid IS NULL AND due > '$due' FROM agentcrm.worker_state()", 'looks, and leaves the next due time');
clean($node, 'shop', 'after the due time');

# under steady load there is no idle step, and yet clients are looked at when they are due
$node->safe_psql('shop', 'SELECT agentcrm.pause()');
$due = $node->safe_psql('shop', q{SELECT due + interval '1 minute' FROM agentcrm.worker_state()});
$node->safe_psql('shop', "SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 101");
$node->safe_psql('shop', "SET agentcrm.debug_now = '$due'; CALL agentcrm.run(1)");
is($node->safe_psql('shop', "SELECT agentcrm.queue_depth(), count(DISTINCT client_id) > 1 FROM agentcrm.client_state WHERE as_of = '$due'"), '0|t', 'a step with an event looks at due clients, too');
$node->safe_psql('shop', 'SELECT agentcrm.resume()');
clean($node, 'shop', 'after a step of both kinds');

# paused while resting
$node->safe_psql('shop', 'SELECT agentcrm.pause(); SET ROLE app; UPDATE shop.orders SET qty = qty + 1');
looks_pass($node, 2);
is($node->safe_psql('shop', 'SELECT agentcrm.queue_depth() FROM agentcrm.worker_state() WHERE worker_pid IS NULL'), 500, 'no worker is started while paused');
is(state_of($node, 'shop'), 'paused', 'status: paused');
$node->safe_psql('shop', 'SELECT agentcrm.resume()');
consumed($node, 'shop', 'resume() starts it');

# keys that could not be written wake it as well
wait_until($node, 'shop', 'SELECT worker_pid IS NULL FROM agentcrm.worker_state()', 'it rests');
my $loads = $node->safe_psql('shop', 'SELECT max(load_no) FROM agentcrm.source_load');
$node->safe_psql('shop', 'BEGIN; LOCK TABLE ' . join(', ', map { "agentcrm.event_$_" } 1 .. 8) . ' IN EXCLUSIVE MODE; PREPARE TRANSACTION $$lock$$');
my ($status, $out, $err) = $node->psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 102');
like($err, qr/WARNING:  agentcrm could not write its queue/, 'the queue cannot be written');
is($status, 0, 'and the application goes on');
$node->safe_psql('shop', 'COMMIT PREPARED $$lock$$');
wait_until($node, 'shop', "SELECT max(load_no) > $loads FROM agentcrm.source_load", 'the source is to be read again, without another commit');
consumed($node, 'shop', 'and is');
is($node->safe_psql('shop', 'SELECT lost FROM agentcrm.worker_state()'), 'f', 'no mark is left');
clean($node, 'shop', 'after lost keys');

# A backlog, and a worker in the middle of it, that would stay for long after it.
$node->safe_psql('postgres', 'ALTER SYSTEM SET agentcrm.idle_exit = $$1h$$');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');

sub make_busy
{
	my ($db) = @_;
	my $last = $node->safe_psql($db, 'SELECT coalesce(max(batch_no), 0) FROM agentcrm.batch');

	$node->safe_psql($db, q{
		SET ROLE app;
		INSERT INTO shop.orders SELECT g, 1 + g % 500, '2025-06-01'::date + g % 200, 1
			FROM generate_series((SELECT max(order_id) + 1 FROM shop.orders), (SELECT max(order_id) + 4000 FROM shop.orders)) g});
	return wait_until($node, $db,
		"SELECT agentcrm.queue_depth() > 1000 AND worker_pid IS NOT NULL AND (SELECT max(batch_no) FROM agentcrm.batch) > $last FROM agentcrm.worker_state()",
		'a worker is busy');
}

make_busy('shop');
$node->safe_psql('shop', 'SELECT pg_terminate_backend(worker_pid) FROM agentcrm.worker_state()');
consumed($node, 'shop', 'a worker that was ended is started again without another commit');
clean($node, 'shop', 'after the end of the worker');

sub within
{
	my ($what, $sql) = @_;
	my $from = time();
	my ($status, $out, $err) = $node->psql('postgres', $sql);

	is($err, '', "$what succeeds with a busy worker");
	cmp_ok(time() - $from, '<', 5, sprintf('%s: within %.1f s', $what, time() - $from));
	return;
}

make_busy('shop');
within('CREATE DATABASE ... TEMPLATE', 'CREATE DATABASE copy TEMPLATE shop');
consumed($node, 'shop', 'the worker goes on after the copy');
clean($node, 'shop', 'after the copy');
is($node->safe_psql('shop', 'SELECT agentcrm.adopted()'), 't', 'the original acts');
is($node->safe_psql('copy', 'SELECT agentcrm.adopted()'), 'f', 'the copy does not');
consumed($node, 'copy', 'but takes up its backlog');
clean($node, 'copy', 'in the copy');
$node->safe_psql('copy', 'SELECT agentcrm.adopt()');
is($node->safe_psql('copy', 'SELECT agentcrm.adopted()'), 't', 'adopt()');

make_busy('copy');
within('ALTER DATABASE ... RENAME', 'ALTER DATABASE copy RENAME TO copied');
make_busy('copied');
within('DROP DATABASE', 'DROP DATABASE copied');

make_busy('shop');
my $from = time();
$node->safe_psql('shop', 'SET lock_timeout = 5000; DROP EXTENSION agentcrm CASCADE');
cmp_ok(time() - $from, '<', 5, sprintf('DROP EXTENSION with a busy worker: within %.1f s', time() - $from));
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'agentcrm worker')}), 'no worker is left');
$node->safe_psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1');
my $offset = -s $node->logfile;
looks_pass($node, 3);
my @starts = slurp_file($node->logfile, $offset) =~ /(starting background worker process "agentcrm worker)/g;
cmp_ok(scalar(@starts), '<=', 1, 'and none is started again and again');

# ---- idle ----

$node->append_conf('postgresql.conf', "agentcrm.debug_now = ''\n");
$node->safe_psql('postgres', 'ALTER SYSTEM RESET agentcrm.debug_now; SELECT pg_reload_conf()');
$node->safe_psql('shop', 'DROP SCHEMA shop CASCADE');
$node->safe_psql('shop', $shop);
consumed($node, 'shop', 'installed and attached anew');
my $still = 'SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())';
my ($was, $is);
# what my own questions prune is written once; a worker that writes does so four times a second
foreach my $attempt (1 .. 15)
{
	$was = $node->safe_psql('shop', $still);
	looks_pass($node, 1.5);
	$is = $node->safe_psql('shop', $still);
	last if $was eq $is;
}
is($is, $was, 'an idle worker writes no WAL and takes no transaction number');
my $held = 0;
for (1 .. 20)
{
	$held += $node->safe_psql('shop', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'agentcrm worker' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)});
}
cmp_ok($held, '<=', 3, "and holds no snapshot ($held of 20 looks met one of its own looks)");
is($node->safe_psql('shop', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'agentcrm worker'}), 1, 'while it is there');
$node->safe_psql('shop', 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1 WHERE order_id = 101');
consumed($node, 'shop', 'and works on a commit');
clean($node, 'shop', 'at the end');
is($node->safe_psql('shop', 'SELECT DISTINCT message FROM agentcrm.error_log'), '', 'no step failed');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|ERROR:  (?!canceling)[^\n]*agentcrm/, 'nor does the log say so');

$node->stop;
done_testing();
