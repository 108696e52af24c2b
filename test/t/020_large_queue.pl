# A queue larger than a quarter of shared_buffers, where scans of a table join
# each other in mid-table: batches still begin where the last one ended.  And a
# backlog in which status counts changes, for their keys would be too many.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('large_queue');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = '1MB'\nfsync = off");
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION agentcrm;
	CREATE ROLE shop;
	CREATE SCHEMA shop AUTHORIZATION shop;
	SET ROLE shop;
	CREATE TABLE shop.orders (id int PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, amount numeric NOT NULL)});
$node->safe_psql('postgres', q{
	SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client', at => 'o.at',
		quantity => '1', amount => 'o.amount')});
$node->safe_psql('postgres', q{CALL agentcrm.backfill('shop')});

$node->safe_psql('postgres', q{
	INSERT INTO shop.orders SELECT i, i % 50, timestamptz '2026-01-01' + i * interval '1 minute', 10 FROM generate_series(1, 20000) AS i});
cmp_ok(
	$node->safe_psql('postgres', q{
		SELECT max(pg_relation_size(inhrelid)) / (SELECT setting::int * 8192 FROM pg_settings WHERE name = 'shared_buffers')::float8
		FROM pg_inherits WHERE inhparent = 'agentcrm.event'::regclass}),
	'>', 0.25, 'the queue is large enough for scans to be synchronized');

# It stops half way, and a scan that joins in would begin there.
is( $node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT FROM agentcrm.event LIMIT 12000) AS e}),
	'12000', 'somebody has read half of the queue');
$node->safe_psql('postgres', q{CALL agentcrm.run()});
is($node->safe_psql('postgres', q{SELECT agentcrm.queue_depth()}), '0', 'all events are consumed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM agentcrm.ledger}), '20000', 'no event is lost');
is($node->safe_psql('postgres', q{SELECT count(*) FROM agentcrm.verify()}), '0', 'verify() finds nothing');

my $waiting = q{SELECT waiting, lag > '0' FROM agentcrm.status WHERE what = 'source'};
$node->safe_psql('postgres', 'UPDATE shop.orders SET amount = amount + 1') for 1 .. 5;
is($node->safe_psql('postgres', $waiting), '20000|t', 'up to 100,000 changes keys are told apart');
$node->safe_psql('postgres', 'UPDATE shop.orders SET amount = amount + 1');
is($node->safe_psql('postgres', $waiting), '120000|t', 'above, changes are counted');
$node->safe_psql('postgres', q{CALL agentcrm.run(4)});
is($node->safe_psql('postgres', $waiting), '112000|t', 'in the middle of a backlog what is left');
$node->safe_psql('postgres', 'UPDATE shop.orders SET amount = amount + 1 WHERE id <= 10');
is($node->safe_psql('postgres', $waiting), '112010|t', 'and what came after it');
$node->safe_psql('postgres', q{CALL agentcrm.run()});
is($node->safe_psql('postgres', $waiting), '0|f', 'until none is left');
is($node->safe_psql('postgres', q{SELECT count(*) FROM agentcrm.verify()}), '0', 'verify() finds nothing');

$node->stop;
done_testing();
