# The event tables wrap around many times; transactions that stay open across
# rotations lose nothing and double nothing; who blocks rotation is named.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('rotation');
my $db = 'postgres';

$node->safe_psql($db, q{
	CREATE EXTENSION agentcrm;
	CREATE ROLE app LOGIN;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.orders (id int PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, amount numeric NOT NULL);
	INSERT INTO shop.orders SELECT i, i % 20, timestamptz '2026-01-01' + i * interval '1 hour', 10 FROM generate_series(1, 410) i});
$node->safe_psql($db, q{SELECT * FROM agentcrm.attach('shop', orders => 'shop.orders', client => 'o.client', at => 'o.at', quantity => '1', amount => 'o.amount')});
$node->safe_psql($db, q{CALL agentcrm.run()});

# Ten transactions of 410 keys are more rows than a turn lasts; then all of them are consumed.
sub turn
{
	$node->safe_psql($db, 'UPDATE shop.orders SET amount = amount + 1 WHERE id <= 410;' x 10 =~ s/;/;\n/gr);
	$node->safe_psql($db, 'CALL agentcrm.run()');
	return;
}
sub turns_so_far { return $node->safe_psql($db, 'SELECT coalesce(max(turn_no), 0) FROM agentcrm.event_turn'); }
sub events { my ($where) = @_; return $node->safe_psql($db, "SELECT count(*) FROM agentcrm.event WHERE $where"); }
sub remark { return $node->safe_psql($db, q{SELECT remark FROM agentcrm.status WHERE what = 'worker'}); }

# ---- open transactions ----

my $writer = open_psql($node, $db);
my $spiller = open_psql($node, $db);
my $preparer = open_psql($node, $db);

# One writes its events at commit under a snapshot older than every turn to come, one has written some into the table of this
# turn, and one is prepared.
say_psql($writer, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop.orders');
say_psql($writer, q{INSERT INTO shop.orders SELECT i, 1, '2026-02-01', 7 FROM generate_series(1001, 1100) i; UPDATE shop.orders SET amount = 0 WHERE id = 1100});
say_psql($spiller, q{SET agentcrm.capture_max_keys = 100; BEGIN; INSERT INTO shop.orders SELECT i, 2, '2026-02-01', 7 FROM generate_series(2001, 2350) i});
say_psql($preparer, q{BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO shop.orders SELECT i, 3, '2026-02-01', 7 FROM generate_series(3001, 3100) i; SAVEPOINT s;
	INSERT INTO shop.orders VALUES (3999, 3, '2026-02-01', 7); ROLLBACK TO s; PREPARE TRANSACTION 'kept'});
my $first = turns_so_far();
turn() for 1 .. 3;
cmp_ok(turns_so_far(), '>=', $first + 2, 'at least two rotations while they are open');
is($node->safe_psql($db, 'SELECT count(*) FROM agentcrm.ledger'), '410', 'nothing of them is counted');
unlike(remark(), qr/cannot be emptied/, 'one table held by a writer and one by a prepared transaction are no matter');
say_psql($writer, 'COMMIT');
say_psql($spiller, 'COMMIT');
turn();
is($node->safe_psql($db, 'SELECT count(*), sum(amount) FROM agentcrm.ledger WHERE order_id BETWEEN 1001 AND 2999'), '450|3143', 'the late commits are counted once');
turn();
$node->safe_psql($db, q{COMMIT PREPARED 'kept'});
turn();
is($node->safe_psql($db, 'SELECT count(*), sum(amount) FROM agentcrm.ledger WHERE order_id > 3000'), '100|700', 'so is the prepared transaction');
is($node->safe_psql($db, 'SELECT count(*), sum(n_orders) FROM agentcrm.client_profile'), '20|960', 'and each in the profiles');
clean($node, $db, 'after open transactions');

# ---- many turns ----

$first = turns_so_far();
my %seen;
for (1 .. 20)
{
	turn();
	$seen{ $node->safe_psql($db, 'SELECT event_table FROM agentcrm.event_turn ORDER BY turn_no DESC LIMIT 1') } = 1;
}
cmp_ok(turns_so_far(), '>=', $first + 17, 'the tables wrap around');
is(join(' ', sort keys %seen), '1 2 3 4 5 6 7 8', 'every table had its turn');
cmp_ok(events('true'), '<', 9000, 'consumed tables are emptied');
clean($node, $db, 'after many turns');

# Steps that always find work rotate too.
$first = turns_so_far();
for (1 .. 30)
{
	$node->safe_psql($db, 'UPDATE shop.orders SET amount = amount + 1 WHERE id <= 410');
	$node->safe_psql($db, 'CALL agentcrm.run(1)');
}
cmp_ok(turns_so_far(), '>=', $first + 2, 'turns end under steady load');
cmp_ok(events('true'), '<', 9000, 'and tables are emptied');
$node->safe_psql($db, 'CALL agentcrm.run()');
clean($node, $db, 'after steady load');

# ---- somebody holds the tables ----

say_psql($writer, 'BEGIN; SELECT count(*) FROM agentcrm.event');
my $pid = $node->safe_psql($db, q{SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'});
turn();
unlike(remark(), qr/cannot be emptied/, 'a reader is no matter at first');
turn() for 1 .. 5;
like(remark(), qr/[5-8] of 8 event tables cannot be emptied, held by process $pid$/, 'status names the process that blocks rotation');
my $held = turns_so_far();
turn() for 1 .. 4;
cmp_ok(turns_so_far(), '<=', $held + 4, 'turns end when all tables are held');
is($node->safe_psql($db, 'SELECT agentcrm.queue_depth()'), '0', 'and all is consumed nevertheless');
say_psql($writer, q{PREPARE TRANSACTION 'reader''s'});
like(remark(), qr/of 8 event tables cannot be emptied, held by prepared transaction 'reader''s'$/, 'status names the prepared transaction');
cmp_ok(events('true'), '>', 30_000, 'rows pile up');
$node->safe_psql($db, q{ROLLBACK PREPARED 'reader''s'});
turn() for 1 .. 2;
unlike(remark(), qr/cannot be emptied/, 'the remark goes');
cmp_ok(events('true'), '<', 9000, 'and so do the rows');
clean($node, $db, 'after tables were held');

close_psql($_) foreach ($writer, $spiller, $preparer);
$node->stop;
done_testing();
