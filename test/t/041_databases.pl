# Whoever wants the database gets it at once, however long a step of the worker would
# still take: CREATE DATABASE ... TEMPLATE, SET TABLESPACE, RENAME and DROP DATABASE with
# a full queue, in the middle of a first load and of a reading; what is cut is taken
# again, and the worker goes on where it can.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

# An idle worker would stay for ever, and nobody looks by himself.
my $node = new_node('databases', "shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_exit = 1h', 'agentcrm.idle_poll = 1h', 'autovacuum = off',
	"agentcrm.debug_now = '2026-01-10 09:00:00+00'");
my $spare = PostgreSQL::Test::Utils::tempdir();
my $limit = 2;

# A call of attach, with a mapping that can be held.
sub attach
{
	my ($name, $namespace) = @_;

	return qq{SELECT count(*) FROM agentcrm.attach('$name', orders => 'shop.$name', client => 'o.client', at => 'o.day',
		quantity => 'shop.held(o.qty)', amount => 'o.qty', time_zone => 'UTC', namespace => $namespace)};
}

# A step that has begun and does not end by itself, and nobody else in the database.
sub in_a_step
{
	my ($db, $what) = @_;

	return wait_until($node, 'postgres', qq{SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE a.datname = '$db' AND backend_type = 'agentcrm worker' AND xact_start < clock_timestamp() - interval '.2 s' AND l.mode = 'ShareUpdateExclusiveLock')
		AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '$db' AND backend_type = 'client backend')}, "$db: a worker $what");
}

sub busy_with_events
{
	my ($db) = @_;

	hold($node, $db);
	$node->safe_psql($db, 'SET ROLE app; UPDATE shop.orders SET qty = qty + 1');
	return in_a_step($db, 'is busy with events');
}

sub busy_with_reading
{
	my ($db) = @_;

	consumed($node, $db, "$db: nothing waits");
	hold($node, $db);
	$node->safe_psql($db, q{SELECT agentcrm.resync('orders')});
	return in_a_step($db, 'is reading');
}

# The command succeeds within its time.
sub within
{
	my ($what, $sql) = @_;
	my $from = time();
	# a worker that makes no way would be waited for without end
	my ($status, $out, $err) = $node->psql('postgres', "SET statement_timeout = '10s'; $sql");
	my $took = time() - $from;

	is($err, '', "$what succeeds with a busy worker");
	cmp_ok($took, '<', $limit, sprintf('%s: within %.2f s', $what, $took));
	return;
}

sub right
{
	my ($db, $what) = @_;

	let_go($node, $db);
	consumed($node, $db, "$what: the worker goes on");
	clean($node, $db, $what);
	return;
}

$node->safe_psql('postgres', "CREATE ROLE app; CREATE TABLESPACE spare LOCATION '$spare'; CREATE DATABASE shop");
$node->safe_psql('shop', q{
	CREATE EXTENSION agentcrm;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;} . held_mapping() . q{
	CREATE TABLE shop.orders (order_id int PRIMARY KEY, client int, day date, qty int);
	INSERT INTO shop.orders SELECT g, 1 + g % 500, '2025-01-01'::date + g % 300, 1 FROM generate_series(1, 2500) g;
	CREATE TABLE shop.more (LIKE shop.orders INCLUDING ALL);
	INSERT INTO shop.more SELECT * FROM shop.orders});
$node->safe_psql('shop', attach('orders', 'NULL'));
consumed($node, 'shop', 'the shop is loaded');

busy_with_events('shop');
within('CREATE DATABASE ... TEMPLATE', 'CREATE DATABASE copy TEMPLATE shop');
cmp_ok($node->safe_psql('copy', 'SELECT agentcrm.queue_depth()'), '>', 0, 'the copy has the queue');
let_go($node, 'shop');
right('copy', 'in the copy');
busy_with_reading('shop');
within('CREATE DATABASE ... TEMPLATE while everything is read', 'CREATE DATABASE copy2 TEMPLATE shop');
let_go($node, $_) foreach 'copy2', 'shop';
busy_with_events('shop');
within('ALTER DATABASE ... SET TABLESPACE', 'ALTER DATABASE shop SET TABLESPACE spare');
right('shop', 'in the other tablespace');
$node->safe_psql('shop', 'BEGIN; ' . attach('more', q{'orders'}) . '; INSERT INTO shop.hold DEFAULT VALUES; COMMIT');
in_a_step('shop', 'is loading');
within('ALTER DATABASE ... RENAME in the middle of a load', 'ALTER DATABASE shop RENAME TO store');
let_go($node, 'store');
busy_with_events('store');
within('ALTER DATABASE ... RENAME', 'ALTER DATABASE store RENAME TO shop');
right('shop', 'after all that');

# A renamed database is the same: it goes on delivering.  Its copies are none of it.
$node->safe_psql('shop', q{SELECT agentcrm.go_live('orders')});
consumed($node, 'shop', 'the shop is live');
$node->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO store');
is($node->safe_psql('store', q{SELECT agentcrm.adopted()::text || (SELECT count(*) FROM agentcrm.status WHERE what = 'copy')}), 'true0', 'a renamed database goes on acting');
is($node->safe_psql('store', 'SELECT database FROM agentcrm.installation'), 'store', 'and is known by its new name');
is($node->safe_psql($_, q{SELECT agentcrm.adopted()::text || (SELECT remark FROM agentcrm.status WHERE what = 'copy')}) =~ s/:.*//r,
	'falsea copy of database shop', "$_ is a copy") foreach qw(copy copy2);
$node->safe_psql('postgres', 'ALTER DATABASE copy RENAME TO shop');
is($node->safe_psql('shop', 'SELECT agentcrm.adopted()'), 'f', 'a copy that takes the name of the original stays a copy');
$node->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO copy');
$node->safe_psql('postgres', 'ALTER DATABASE store RENAME TO shop');
wait_until($node, 'shop', 'SELECT worker_pid IS NOT NULL FROM agentcrm.worker_state()', 'its worker is back');

# A worker that does not work is in nobody's way either.
$node->safe_psql('shop', 'SELECT agentcrm.pause()');
is($node->safe_psql('shop', 'SELECT worker_pid IS NOT NULL FROM agentcrm.worker_state()'), 't', 'a worker stands still');
within('CREATE DATABASE ... TEMPLATE with a paused worker', 'CREATE DATABASE copy3 TEMPLATE shop');
$node->safe_psql('shop', 'SELECT agentcrm.resume()');
consumed($node, 'copy3', 'copy3: nothing waits');
$node->safe_psql('copy3', q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no round today'; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON agentcrm.round FOR EACH ROW EXECUTE FUNCTION refuse();
	UPDATE agentcrm.client_state SET next_look_at = '2020-01-01';
	SELECT agentcrm.wake()});
wait_until($node, 'copy3', q{SELECT count(*) >= 6 FROM agentcrm.error_log WHERE message = 'no round today'}, 'a worker waits for seconds after errors');
within('DROP DATABASE with a worker that waits after errors', 'DROP DATABASE copy3');

busy_with_events('copy');
within('DROP DATABASE', 'DROP DATABASE copy');
busy_with_reading('copy2');
within('DROP DATABASE while everything is read', 'DROP DATABASE copy2');
is($node->safe_psql('shop', 'SELECT DISTINCT message FROM agentcrm.error_log'), '', 'no step failed');
# A worker may be started for a database whose DROP is under way and lasts: it waits, and ends once the database is gone.
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|FATAL|deadlock|ERROR:  (?!no round today)/, 'nor does the log say so');

$node->stop;
done_testing();
