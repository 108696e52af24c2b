# Replicas: a physical standby does no work, says so, and takes up the backlog when it is
# promoted; and a logical subscriber, whose tables are filled by copies and apply workers,
# is followed as any other database.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $settings = "fsync = off\nfull_page_writes = off\ntimezone = 'UTC'\nshared_preload_libraries = 'agentcrm'\nagentcrm.idle_poll = 1\nagentcrm.debug_now = '2026-03-01 08:00+00'\n";

sub new_primary
{
	my ($name, $level) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => $level);
	$node->append_conf('postgresql.conf', $settings);
	$node->start;
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	return $node;
}

# ---- a physical standby ----

my $primary = new_primary('primary', 1);
make_shop($primary, 'shop');
$primary->safe_psql('shop', q{SELECT agentcrm.go_live('shop')});
consumed($primary, 'shop', 'the shop is loaded');
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;

# A backlog that only the standby will ever see to.
$primary->safe_psql('shop', 'SELECT agentcrm.pause()');
$primary->safe_psql('shop', q{SET ROLE app;
	INSERT INTO shop.orders VALUES (9001, 1, '2026-02-28 12:00+00');
	INSERT INTO shop.lines VALUES (9001, 1, 4, 2, 3);
	DELETE FROM shop.orders WHERE order_id = 7;
	UPDATE shop.lines SET quantity = quantity + 1 WHERE order_id % 3 = 0});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));

is($standby->safe_psql('shop', q{SELECT state, remark FROM agentcrm.status WHERE what = 'worker'}),
	'standby|a standby does no work; after promotion it takes up the backlog', 'status tells the standby');
is($standby->safe_psql('shop', q{SELECT name, state FROM agentcrm.status WHERE what = 'source'}), 'shop|live', 'and the source');
cmp_ok($standby->safe_psql('shop', q{SELECT waiting FROM agentcrm.status WHERE what = 'worker'}), '>', 200, 'and the backlog');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'agentcrm%'}), '0', 'neither launcher nor worker runs');
is($standby->safe_psql('shop', 'SELECT count(*) FROM agentcrm.client_360'), '60', 'views can be read');
is($standby->safe_psql('shop', 'SELECT * FROM agentcrm.verify()'), '', 'verify() works, and leaves the backlog out');
is($standby->safe_psql('shop', 'SELECT count(*) > 0 FROM agentcrm.work_list'), 't', 'the work list can be read');
is($standby->safe_psql('shop', q{SELECT count(*) FROM agentcrm.profile(ARRAY[1, 2], '2026-02-01')}), '2', 'profile() works');
is($standby->safe_psql('shop', q{SELECT count(*) > 0 FROM agentcrm.compare('shop')}), 't', 'compare() works');
is($standby->safe_psql('shop', q{SELECT count(*) > 0 FROM agentcrm.next_actions((SELECT client_id FROM agentcrm.recommendation WHERE status = 'open' LIMIT 1))}), 't', 'next_actions() works');

my $recommendation = $standby->safe_psql('shop', q{SELECT recommendation_id FROM agentcrm.recommendation WHERE status = 'open' LIMIT 1});
foreach my $call ("CALL agentcrm.run()", "CALL agentcrm.backfill('shop')", 'SELECT agentcrm.start_worker()', q{SELECT agentcrm.pause('shop')}, q{SELECT agentcrm.resume('reorder')},
	q{SELECT agentcrm.go_live('shop')}, q{SELECT agentcrm.resync('shop')}, q{SELECT agentcrm.reconcile('shop')}, q{SELECT agentcrm.detach('shop')}, q{SELECT agentcrm.alter_source('shop')},
	'SELECT agentcrm.adopt()', 'SELECT agentcrm.fit()', 'SELECT agentcrm.forget(1)', "SELECT agentcrm.feedback($recommendation, 'shown')",
	q{SELECT * FROM agentcrm.attach('more', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_at', quantity => '1', amount => '1')},
	q{SELECT agentcrm.create_agent('more', 'grow', 'agentcrm.reorder_agent(bigint[], timestamptz, jsonb)')}, q{SELECT agentcrm.grant_operator('app')}, 'DROP EXTENSION agentcrm')
{
	my ($status, $out, $err) = $standby->psql('shop', $call);

	like($err, qr/ERROR:  (cannot .* (in a read-only transaction|during recovery)|.* on a standby)$/m, "$call: a clear error");
}

$primary->stop('immediate');
$standby->promote;
wait_until($standby, 'shop', 'SELECT worker_pid IS NOT NULL OR agentcrm.queue_depth() = 0 FROM agentcrm.worker_state()', 'after promotion a worker comes');
consumed($standby, 'shop', 'and takes up the backlog');
wait_until($standby, 'shop', q{SELECT n_orders = 11 FROM agentcrm.client_profile WHERE client_id = 1}, 'the order of the backlog counts');
clean($standby, 'shop', 'after promotion');
is($standby->safe_psql('shop', 'SELECT agentcrm.adopted()'), 't', 'it acts in the place of the primary');
wait_until($standby, 'shop', q{SELECT cause = 'server start' FROM agentcrm.reconcile_log WHERE reconcile ORDER BY at DESC LIMIT 1}, 'and has reconciled, for nobody kept marks of lost keys');
is($standby->safe_psql('shop', q{SELECT sum(missing + changed + surplus) FROM agentcrm.reconcile_log WHERE cause = 'server start'}), '0', 'which found nothing');
unlike(slurp_file($standby->logfile), qr/PANIC|TRAP|terminated by signal/, 'the log shows no crash');
$standby->stop;

# ---- a logical subscriber ----

my $publisher = new_primary('publisher', 'logical');
my $subscriber = new_primary('subscriber', 'logical');
my $schema = q{
	CREATE ROLE app LOGIN;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, client int, ordered_at timestamptz);
	CREATE TABLE shop.lines (order_id bigint, line_no int, product int, quantity int, PRIMARY KEY (order_id, line_no))};
$_->safe_psql('shop', $schema) foreach $publisher, $subscriber;
$publisher->safe_psql('shop', q{
	INSERT INTO shop.orders SELECT g, g % 40, '2026-02-28'::date - g % 200 FROM generate_series(1, 1000) g;
	INSERT INTO shop.lines SELECT o, l, (o + l) % 7, 1 + o % 5 FROM generate_series(1, 1000) o, generate_series(1, 2) l;
	CREATE PUBLICATION all_tables FOR ALL TABLES});
$subscriber->safe_psql('shop', 'CREATE EXTENSION agentcrm');
$subscriber->safe_psql('shop', q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', line_order_key => '{order_id}', client => 'o.client',
	product => 'l.product', at => 'o.ordered_at', quantity => 'l.quantity', amount => 'l.quantity * 3', time_zone => 'UTC')});
consumed($subscriber, 'shop', 'the subscriber is attached while it is empty');
is($subscriber->safe_psql('shop', q{SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass AND NOT tgisinternal}), 'A', 'its triggers fire always');

# Everything is caught up when the subscriber has applied and the worker consumed it.
sub followed
{
	my ($what) = @_;
	my $totals = q{SELECT count(*), sum(quantity), count(DISTINCT order_id) FROM shop.lines JOIN shop.orders USING (order_id)};
	my $there = $publisher->safe_psql('shop', $totals);

	$publisher->wait_for_catchup('sub');
	ok($subscriber->poll_query_until('shop', $totals, $there), "$what: applied");
	consumed($subscriber, 'shop', "$what: consumed");
	clean($subscriber, 'shop', $what);
	is($subscriber->safe_psql('shop', 'SELECT count(*), sum(quantity), count(DISTINCT order_id) FROM agentcrm.ledger'), $there, "$what: the ledger has it");
	return;
}

my $readings = $subscriber->safe_psql('shop', 'SELECT count(*) FROM agentcrm.reconcile_log');
$subscriber->safe_psql('shop', "CREATE SUBSCRIPTION sub CONNECTION \$\$" . $publisher->connstr('shop') . "\$\$ PUBLICATION all_tables");
$subscriber->wait_for_subscription_sync($publisher, 'sub', 'shop');
followed('the first copy of the tables');
$publisher->safe_psql('shop', q{
	INSERT INTO shop.orders SELECT g, g % 45, '2026-02-28'::date - g % 200 FROM generate_series(1001, 1200) g;
	INSERT INTO shop.lines SELECT o, 1, o % 7, 1 + o % 5 FROM generate_series(1001, 1200) o});
followed('inserts');
$publisher->safe_psql('shop', q{
	UPDATE shop.lines SET quantity = quantity + 1 WHERE order_id % 5 = 0;
	UPDATE shop.orders SET client = 3 WHERE order_id = 10;
	UPDATE shop.orders SET order_id = 5000 WHERE order_id = 1200; UPDATE shop.lines SET order_id = 5000 WHERE order_id = 1200;
	DELETE FROM shop.lines WHERE order_id BETWEEN 20 AND 30; DELETE FROM shop.orders WHERE order_id BETWEEN 20 AND 30});
followed('updates and deletes');
$publisher->safe_psql('shop', q{TRUNCATE shop.orders, shop.lines; INSERT INTO shop.orders VALUES (1, 1, '2026-02-01'); INSERT INTO shop.lines VALUES (1, 1, 1, 1)});
followed('TRUNCATE');
is($subscriber->safe_psql('shop', q{SELECT count(*) FROM agentcrm.reconcile_log WHERE missing + changed + surplus > 0 AND cause <> 'TRUNCATE'}), '0', 'nothing had to be found by a reconcile');

# Triggers that no longer fire always see nothing of what is applied, until the next step finds them so.
$subscriber->safe_psql('shop', 'SELECT agentcrm.pause()');
$subscriber->safe_psql('shop', 'ALTER TABLE shop.lines DISABLE TRIGGER ALL; ALTER TABLE shop.lines ENABLE TRIGGER ALL');
$publisher->safe_psql('shop', q{INSERT INTO shop.lines VALUES (1, 2, 2, 5)});
$publisher->wait_for_catchup('sub');
is($subscriber->safe_psql('shop', 'SELECT waiting FROM agentcrm.status WHERE what = $$source$$'), '0', 'after ENABLE TRIGGER ALL what is applied is not seen');
$subscriber->safe_psql('shop', 'SELECT agentcrm.resume()');
wait_until($subscriber, 'shop', q{SELECT changed = 1 FROM agentcrm.reconcile_log WHERE cause = 'tables changed: triggers off on shop.lines'}, 'the source is read again');
followed('ENABLE TRIGGER ALL');
$publisher->safe_psql('shop', q{UPDATE shop.lines SET quantity = 6 WHERE line_no = 2});
followed('triggers that fire always again');
# A table is made again.
$subscriber->safe_psql('shop', q{SET ROLE app; BEGIN; CREATE TABLE shop.new (LIKE shop.lines INCLUDING ALL); INSERT INTO shop.new SELECT * FROM shop.lines; DROP TABLE shop.lines; ALTER TABLE shop.new RENAME TO lines; COMMIT});
$subscriber->safe_psql('shop', 'ALTER SUBSCRIPTION sub REFRESH PUBLICATION WITH (copy_data = off)');
$publisher->safe_psql('shop', q{INSERT INTO shop.lines VALUES (1, 3, 2, 5)});
followed('a table made again');
is($subscriber->safe_psql('shop', q{SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass}), 'A', 'with its triggers');
unlike(slurp_file($subscriber->logfile), qr/PANIC|TRAP|terminated by signal|WARNING:  agentcrm/, 'the log shows no crash and no lost keys');

$subscriber->stop;
$publisher->stop;
done_testing();
