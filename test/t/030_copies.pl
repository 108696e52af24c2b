# Copies of a database keep their state right and do not act: a dump restored on
# another server, in both formats and while a worker looks on, and a copy made by
# CREATE DATABASE ... TEMPLATE.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @settings = ("shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_poll = 1', "agentcrm.debug_now = '2026-03-01 08:00+00'");
my $origin = new_node('origin', @settings);

my $delivered = q{SELECT count(*) FROM agentcrm.recommendation WHERE status IN ('open', 'shown', 'agreed', 'snoozed')};
my $rows = q{
	SELECT 'policy', channel, max_contacts, per_days, cooldown_days FROM agentcrm.contact_policy
	UNION ALL SELECT 'resource', resource, owner_id, capacity, NULL FROM agentcrm.resource
	UNION ALL SELECT 'agent ' || mode, agent, NULL, NULL, NULL FROM agentcrm.agent
	UNION ALL SELECT 'source ' || state, name, source_id, namespace, version FROM agentcrm.source ORDER BY 1, 2, 3};
my $triggers = q{SELECT count(*), string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc};

# Runs steps in a session that listens; gives what it heard.
sub heard
{
	my ($node, $database) = @_;
	my ($code, $out) = $node->psql($database, "LISTEN agentcrm_recommendation;\nCALL agentcrm.run();\nSELECT 1;\n");

	return scalar(() = $out =~ /Asynchronous notification/g);
}

# What holds in a copy, before and after it is adopted.
sub check_copy
{
	my ($node, $database, $expected_rows) = @_;

	wait_until($node, $database, 'SELECT EXISTS (SELECT FROM agentcrm.batch)', "$database: the worker takes it up");
	consumed($node, $database, "$database: everything is read again");
	is($node->safe_psql($database, 'SELECT agentcrm.adopted()'), 'f', "$database: not adopted");
	like($node->safe_psql($database, q{SELECT remark FROM agentcrm.status WHERE what = 'copy'}), qr/^a copy of database shop: .*agentcrm\.adopt/,
		"$database: status says so");
	clean($node, $database, $database);
	is($node->safe_psql($database, 'SELECT count(*) FROM agentcrm.interaction'), '50', "$database: rows of feeds are there");
	is($node->safe_psql($database, $rows), $expected_rows, "$database: agents, limits and sources are as they were left");
	is($node->safe_psql($database, $triggers), '8|A', "$database: the application's tables have their triggers");
	is($node->safe_psql($database, 'SELECT count(*) > 0 FROM pg_depend d JOIN pg_trigger t ON d.objid = t.oid WHERE d.deptype = $$x$$ AND d.classid = $$pg_trigger$$::regclass'),
		't', "$database: they go with the extension");

	# The application goes on in the copy: state follows, nothing is delivered.
	my $before = $node->safe_psql($database, $delivered);
	$node->safe_psql($database, q{SELECT agentcrm.pause()});
	$node->safe_psql($database, q{INSERT INTO shop.orders VALUES (9001, 1, '2026-03-01 07:00+00'); INSERT INTO shop.lines VALUES (9001, 1, 3, 2, 8)});
	$node->safe_psql($database, "ALTER DATABASE $database SET agentcrm.debug_now = '2026-04-05 08:00+00'");
	is(heard($node, $database), 0, "$database: nobody is notified");
	is($node->safe_psql($database, 'SELECT n_orders FROM agentcrm.client_profile WHERE client_id = 1'), '11', "$database: a new order counts");
	is($node->safe_psql($database, "SELECT count(*) > 0 FROM agentcrm.bid WHERE as_of > '2026-03-02'"), 't', "$database: the agents bid");
	is($node->safe_psql($database, "SELECT count(*) FROM agentcrm.recommendation WHERE as_of > '2026-03-02' AND status <> 'withheld'"), '0',
		"$database: nothing is delivered");
	cmp_ok($node->safe_psql($database, $delivered), '<=', $before, "$database: nor is there more to do than before");
	clean($node, $database, "$database with a new order");

	$node->safe_psql($database, 'SELECT agentcrm.adopt()');
	is($node->safe_psql($database, 'SELECT agentcrm.adopted()'), 't', "$database: adopted");
	is($node->safe_psql($database, q{SELECT count(*) FROM agentcrm.status WHERE what = 'copy'}), '0', "$database: status no longer calls it a copy");
	cmp_ok(heard($node, $database), '>', 0, "$database: notified once it is adopted");
	cmp_ok($node->safe_psql($database, "SELECT count(*) FROM agentcrm.recommendation WHERE as_of > '2026-03-02' AND status = 'open'"), '>', 0,
		"$database: delivered once it is adopted");
	$node->safe_psql($database, q{SELECT agentcrm.resume()});
	clean($node, $database, "$database adopted");
	is($node->safe_psql($database, $rows), $expected_rows, "$database: adopting changes no limit and no agent");
	return;
}

$origin->safe_psql('postgres', 'CREATE DATABASE shop');
make_shop($origin, 'shop');
$origin->safe_psql('shop', q{SET ROLE app; CREATE TABLE shop.calls (id int PRIMARY KEY, client_id int, at timestamptz);
	INSERT INTO shop.calls SELECT g, g, '2026-01-01' FROM generate_series(1, 50) g});
$origin->safe_psql('shop', q{SELECT count(*) FROM agentcrm.attach_feed('shop', 'interaction',
	'SELECT id AS interaction_key, client_id AS client_key, at FROM shop.calls WHERE id = ANY ($1)', '{"shop.calls": "id"}')});
$origin->safe_psql('shop', q{SELECT agentcrm.go_live('shop')});
consumed($origin, 'shop', 'the shop is loaded');
cmp_ok($origin->safe_psql('shop', $delivered), '>', 0, 'the original delivers');
is($origin->safe_psql('shop', 'SELECT agentcrm.adopted()'), 't', 'the original is adopted');

# What a user may do with the rows that come with the extension: change, delete, add.
$origin->safe_psql('shop', q{
	UPDATE agentcrm.contact_policy SET max_contacts = 7 WHERE channel = 'phone';
	DELETE FROM agentcrm.contact_policy WHERE channel = 'app';
	INSERT INTO agentcrm.contact_policy VALUES ('fax', 1, 365, 30);
	UPDATE agentcrm.resource SET capacity = 500;
	INSERT INTO agentcrm.resource VALUES ('rep_minutes', 7, 'day', 30);
	DELETE FROM agentcrm.agent WHERE agent = 'reorder';
	SELECT agentcrm.pause('portfolio')});
my $expected = $origin->safe_psql('shop', $rows);

# A template copy: its cursor is still good, and it does not act either.
ok($origin->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'shop'}), 'the worker rests');
$origin->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE shop');
my $batches = $origin->safe_psql('twin', 'SELECT max(batch_no) FROM agentcrm.batch');
my $loads = $origin->safe_psql('twin', 'SELECT max(load_no) FROM agentcrm.source_load');
check_copy($origin, 'twin', $expected);
cmp_ok($origin->safe_psql('twin', 'SELECT max(batch_no) FROM agentcrm.batch'), '>', $batches, 'twin: batches go on from the cursor');
is($origin->safe_psql('twin', q{SELECT count(*) FROM agentcrm.source_load WHERE phase = 'read'}), '0', 'twin: nothing had to be read again');

# A change that is not consumed when the dump is taken.
$origin->safe_psql('shop', q{SELECT agentcrm.pause()});
$origin->safe_psql('shop', q{
	UPDATE shop.lines SET quantity = 99 WHERE order_id = 5;
	DELETE FROM shop.orders WHERE order_id = 6;
	INSERT INTO shop.orders VALUES (7001, 2, '2026-02-28 12:00+00'); INSERT INTO shop.lines VALUES (7001, 1, 4, 2, 3)});
cmp_ok($origin->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), '>', 0, 'changes wait in the original');
my $dir = PostgreSQL::Test::Utils::tempdir();
$origin->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/shop.dump", $origin->connstr('shop') ], 'pg_dump, custom format');
$origin->command_ok([ 'pg_dump', '-f', "$dir/shop.sql", $origin->connstr('shop') ], 'pg_dump, plain');
unlike(slurp_file("$dir/shop.sql"), qr/^COPY agentcrm\.(event|batch)/m, 'neither queue nor cursor is dumped');

my $other = new_node('other', @settings);
$other->safe_psql('postgres', 'CREATE ROLE app LOGIN');

# Section by section, with steps in between as the worker might take them.
$other->safe_psql('postgres', 'CREATE DATABASE restored');
foreach my $section (qw(pre-data data post-data))
{
	$other->command_ok([ 'pg_restore', '--exit-on-error', "--section=$section", '-d', $other->connstr('restored'), "$dir/shop.dump" ], "pg_restore, $section");
	next if $section eq 'post-data';
	$other->safe_psql('restored', 'CALL agentcrm.run()');
	is($other->safe_psql('restored', 'SELECT count(*) FROM agentcrm.batch'), '0', "no step is taken after $section");
}
check_copy($other, 'restored', $expected);

$other->safe_psql('postgres', 'CREATE DATABASE plain');
$other->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/shop.sql", $other->connstr('plain') ], 'the plain dump is read by psql');
check_copy($other, 'plain', $expected);
$other->safe_psql('plain', q{
	CREATE TABLE shop.more (id int PRIMARY KEY, client int, at timestamptz);
	ALTER TABLE shop.more OWNER TO app});
$other->safe_psql('plain', q{SELECT count(*) FROM agentcrm.attach('more', orders => 'shop.more', client => 'o.client', at => 'o.at', quantity => '1', amount => '1')});
is($other->safe_psql('plain', 'SELECT max(source_id) FROM agentcrm.source'), '2', 'numbers of sources go on in the restored database');

# The cursor of another server, as pg_upgrade leaves it: the tables are the old ones, the server is not.
$other->safe_psql('plain', q{SELECT agentcrm.pause()});
$other->safe_psql('plain', q{
	UPDATE agentcrm.batch SET system_identifier = system_identifier + 1;
	ALTER TABLE shop.lines DISABLE TRIGGER USER;
	UPDATE shop.lines SET quantity = 50 WHERE order_id = 3;
	ALTER TABLE shop.lines ENABLE TRIGGER USER});
$other->safe_psql('plain', q{SELECT agentcrm.resume()});
ok($other->poll_query_until('plain', q{SELECT sum(quantity) = 100 FROM agentcrm.ledger WHERE order_id = 3}), 'a cursor of another server is discarded: all is read again');
consumed($other, 'plain', 'and consumed');
clean($other, 'plain', 'after a foreign cursor');

# A trigger that is gone is named, until it is put back.
$other->safe_psql('plain', q{SELECT agentcrm.pause()});
$other->safe_psql('plain', q{DO $$ BEGIN EXECUTE (SELECT format('DROP TRIGGER %I ON shop.lines', tgname) FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgname ~ '^agentcrm_.*_\d+$'); END $$});
like($other->safe_psql('plain', q{SELECT remark FROM agentcrm.status WHERE name = 'shop'}), qr/^a trigger is missing on shop\.lines/, 'status names a table without its trigger');
$other->safe_psql('plain', q{SELECT agentcrm.alter_source('shop')});
unlike($other->safe_psql('plain', q{SELECT remark FROM agentcrm.status WHERE name = 'shop'}), qr/trigger is missing/, 'alter_source makes it again');
$other->safe_psql('plain', q{SELECT agentcrm.resume()});

$origin->stop;
$other->stop;
done_testing();
