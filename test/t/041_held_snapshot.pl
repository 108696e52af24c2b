# Somebody holds a snapshot over many batches, so that no version of a row goes:
# what every batch changes does not collect versions, and is still exact.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $batches = 300;
my $node = new_node('held', 'autovacuum = off', 'agentcrm.batch_size = 5');
my $db = 'postgres';

# 500 clients, and 100 products that all of them buy.
$node->safe_psql($db, q{
	CREATE EXTENSION agentcrm;
	CREATE ROLE app LOGIN;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.lines (order_id int, line_no int, client int, at timestamptz, product int, PRIMARY KEY (order_id, line_no))});
$node->safe_psql($db, q{
	SELECT count(*) FROM agentcrm.attach('shop', lines => 'shop.lines', order_key => '{order_id}', client => 'l.client', product => 'l.product',
		at => 'l.at', quantity => '1', amount => '10', time_zone => 'UTC')});

# Orders of 20 lines, one a client and round.
sub orders
{
	my ($from, $to) = @_;
	return "INSERT INTO shop.lines SELECT o, l, o % 500, timestamptz '2026-01-01' + o * interval '1 minute', (o * 7 + l * 5) % 100
		FROM generate_series($from, $to) o, generate_series(1, 20) l";
}

sub batches_so_far { return $node->safe_psql($db, 'SELECT coalesce(max(batch_no), 0) FROM agentcrm.batch'); }

# Versions that rows of each table were given.
sub updates
{
	return { map { split /\|/ } split /\n/, $node->safe_psql($db, q{SELECT relname, n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'agentcrm'}) };
}
sub kilobytes { my ($table) = @_; return $node->safe_psql($db, "SELECT pg_table_size('agentcrm.$table') / 1024"); }
sub counted { return $node->safe_psql($db, q{SELECT (SELECT sum(buyers) FROM agentcrm.product_profile), (SELECT sum(orders) FROM agentcrm.product_month)}); }

$node->safe_psql($db, orders(1, 500));
$node->safe_psql($db, q{CALL agentcrm.backfill('shop')});
$node->safe_psql($db, q{CALL agentcrm.run()});
my $buyers = $node->safe_psql($db, 'SELECT count(*) FROM agentcrm.client_product');
is(counted(), "$buyers|10000", 'products are counted');

my $reader = open_psql($node, $db);
say_psql($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
like(say_psql($reader, 'SELECT sum(orders) FROM agentcrm.product_profile'), qr/^10000$/, 'somebody holds a snapshot');
my $first = batches_so_far();
my $before = updates();
my $size = kilobytes('product_count');
$node->safe_psql($db, orders(501, 500 + 5 * $batches));
$node->safe_psql($db, 'CALL agentcrm.run()');
cmp_ok(batches_so_far() - $first, '>=', $batches, "$batches batches are done meanwhile");

my $after = updates();
my %rows = map { $_ => $node->safe_psql($db, "SELECT count(*) FROM agentcrm.$_") } grep { $after->{$_} > ($before->{$_} // 0) } keys %$after;
cmp_ok($node->safe_psql($db, 'SELECT count(*) FROM agentcrm.product_count'), '>=', 200, 'counters were added up on the way');
is(join(' ', sort grep { $after->{$_} - ($before->{$_} // 0) > 10 * $rows{$_} } keys %rows), '', 'no row was given more than ten versions, table by table');
cmp_ok(kilobytes('product_count'), '<=', 4 * $size + 64, "the products' counters do not grow");
cmp_ok(kilobytes('product_delta'), '<=', 4 * $batches, 'what waits to be added is a few kilobytes a batch');

like(say_psql($reader, 'SELECT sum(orders) FROM agentcrm.product_profile'), qr/^10000$/, 'the old snapshot sees the old counters');
my $sold = 10000 + 100 * $batches;
$buyers = $node->safe_psql($db, 'SELECT count(*) FROM agentcrm.client_product');
is(counted(), "$buyers|$sold", 'everybody else the new ones');
clean($node, $db, 'under a held snapshot');

# What waits comes with a restart and with what is taken back.
$node->restart;
$node->safe_psql($db, 'DELETE FROM shop.lines WHERE order_id > 1990; UPDATE shop.lines SET product = product + 100 WHERE order_id < 300');
$node->safe_psql($db, 'CALL agentcrm.run()');
is($node->safe_psql($db, 'SELECT sum(orders) FROM agentcrm.product_profile'), $sold - 200, 'orders that are gone are taken from the counters');
is($node->safe_psql($db, 'SELECT count(*) FROM agentcrm.product_profile WHERE product_id >= 100'), 100, 'and products sold for the first time are there');
clean($node, $db, 'after orders were taken back');

$node->stop;
done_testing();
