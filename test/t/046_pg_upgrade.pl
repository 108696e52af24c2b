# Binary upgrade mode, and pg_upgrade with live sources: nothing of agentcrm runs meanwhile,
# the new cluster takes its old cursor for what it is, reads all again, and delivers
# nothing before adopt().
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @settings = ("shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_poll = 1', "agentcrm.debug_now = '2026-03-01 08:00+00'");
my $delivered = q{SELECT count(*) FROM agentcrm.recommendation WHERE status IN ('open', 'shown', 'agreed', 'snoozed')};
my $old = new_node('old', @settings);

$old->safe_psql('postgres', 'CREATE DATABASE shop');
make_shop($old, 'shop');
$old->safe_psql('shop', q{SELECT agentcrm.go_live('shop')});
consumed($old, 'shop', 'the shop is loaded');
cmp_ok($old->safe_psql('shop', $delivered), '>', 0, 'and delivers');

# ---- binary upgrade mode ----

$old->safe_psql('shop', 'SELECT agentcrm.pause(); SET ROLE app; UPDATE shop.lines SET quantity = quantity + 1 WHERE order_id < 50');
$old->stop;
$old->append_conf('postgresql.conf', 'autovacuum = off');
system_or_bail('pg_ctl', '-s', '-w', '-D', $old->data_dir, '-l', $old->logfile, '-o', '-b', 'start');
is($old->safe_psql('shop', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'agentcrm%'}), '0', 'in binary upgrade mode neither launcher nor worker runs');
my ($status, $out, $err) = $old->psql('shop', 'SELECT agentcrm.start_worker()');
like($err, qr/ERROR:  no worker runs in binary upgrade mode/, 'start_worker() is refused');
($status, $out, $err) = $old->psql('shop', 'CALL agentcrm.run()');
like($err, qr/ERROR:  agentcrm.run cannot run in binary upgrade mode/, 'and so is run()');
cmp_ok($old->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), '>=', 49, 'the queue waits');
system_or_bail('pg_ctl', '-s', '-w', '-D', $old->data_dir, 'stop');

# ---- pg_upgrade, with changes that are not consumed ----

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf', join("\n", 'fsync = off', 'full_page_writes = off', "timezone = 'UTC'", @settings) . "\n");
my ($bindir) = run_command([ 'pg_config', '--bindir' ]);
my $dir = PostgreSQL::Test::Utils::tempdir();
chdir $dir;
command_ok([ 'pg_upgrade', '--no-sync', '--retain', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir, '-s', $new->host, '-p', $old->port, '-P', $new->port ],
	'pg_upgrade accepts the database');
chdir $ENV{TESTDIR};
my $said = join('', map { slurp_file($_) } glob($new->data_dir . '/pg_upgrade_output.d/*/log/*'));
unlike($said, qr/agentcrm (launcher|worker)|WARNING:  agentcrm/, 'nothing of agentcrm ran meanwhile');

# A change that nobody captures, before the worker may look: the old cursor must not be believed.
$new->append_conf('postgresql.conf', 'max_worker_processes = 0');
$new->start;
$new->safe_psql('shop', q{
	ALTER TABLE shop.lines DISABLE TRIGGER USER;
	UPDATE shop.lines SET quantity = 40 WHERE order_id = 300;
	DO $$ DECLARE t name; BEGIN
		FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgfoid = 'agentcrm.capture'::regproc LOOP
			EXECUTE format('ALTER TABLE shop.lines ENABLE ALWAYS TRIGGER %I', t);
		END LOOP;
	END $$});
$new->append_conf('postgresql.conf', 'max_worker_processes = 8');
my $before = $new->safe_psql('shop', $delivered);
$new->restart;
wait_until($new, 'shop', q{SELECT sum(quantity) = 80 FROM agentcrm.ledger WHERE order_id = 300}, 'all is read again');
consumed($new, 'shop', 'everything is consumed');
clean($new, 'shop', 'after pg_upgrade');
is($new->safe_psql('shop', 'SELECT agentcrm.adopted()'), 'f', 'the new cluster is not adopted');
like($new->safe_psql('shop', q{SELECT remark FROM agentcrm.status WHERE what = 'copy'}), qr/^a copy of database shop: .*agentcrm\.adopt/, 'status says so');
is($new->safe_psql('shop', q{SELECT state FROM agentcrm.status WHERE what = 'source'}), 'live', 'the source is live');
is($new->safe_psql('shop', q{SELECT count(*), string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc}), '6|A', 'the triggers are there');

# The application goes on, two months later.
$new->safe_psql('shop', q{SET ROLE app; INSERT INTO shop.orders VALUES (9001, 1, '2026-03-01 07:00+00'); INSERT INTO shop.lines VALUES (9001, 1, 3, 2, 8)});
wait_until($new, 'shop', 'SELECT n_orders = 11 FROM agentcrm.client_profile WHERE client_id = 1', 'a new order counts');
$new->safe_psql('postgres', q{ALTER SYSTEM SET agentcrm.debug_now = '2026-05-01 08:00+00'});
$new->safe_psql('postgres', 'SELECT pg_reload_conf()');
wait_until($new, 'shop', q{SELECT count(*) > 0 FROM agentcrm.bid WHERE as_of > '2026-03-02'}, 'the agents bid');
is($new->safe_psql('shop', q{SELECT count(*) FROM agentcrm.recommendation WHERE as_of > '2026-03-02' AND status <> 'withheld'}), '0', 'nothing is delivered');
cmp_ok($new->safe_psql('shop', $delivered), '<=', $before, 'nor is there more to do than before');
$new->safe_psql('shop', 'SELECT agentcrm.adopt()');
wait_until($new, 'shop', q{SELECT count(*) > 0 FROM agentcrm.recommendation WHERE as_of > '2026-03-02' AND status = 'open'}, 'it delivers once it is adopted');
consumed($new, 'shop', 'all is read once more');
clean($new, 'shop', 'adopted');
is($new->safe_psql('shop', 'SELECT DISTINCT message FROM agentcrm.error_log'), '', 'no step failed');
unlike(slurp_file($new->logfile), qr/PANIC|TRAP|terminated by signal/, 'the log shows no crash');

$new->stop;
done_testing();
