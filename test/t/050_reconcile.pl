# Changes that no trigger sees are found and mended: by agentcrm.reconcile(), on
# the schedule, after agentcrm.capture was off, and at a start of the server that
# follows no clean stop.  What was found is reported, and what an event explains
# is not.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $node = new_node('reconcile', "shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_exit = 1',
	'agentcrm.idle_poll = 10000', 'agentcrm.batch_size = 50');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
	CREATE EXTENSION agentcrm;
	CREATE ROLE app;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.clients (id int PRIMARY KEY, name text, parent int, vip boolean DEFAULT false);
	CREATE TABLE shop.products (id int PRIMARY KEY, name text);
	CREATE TABLE shop.reps (id int PRIMARY KEY, name text);
	CREATE TABLE shop.orders (id int PRIMARY KEY, client int NOT NULL REFERENCES shop.clients, rep int REFERENCES shop.reps, at timestamptz NOT NULL);
	CREATE TABLE shop.lines (order_id int REFERENCES shop.orders, line int, product int REFERENCES shop.products, qty int, price numeric,
		PRIMARY KEY (order_id, line)) PARTITION BY RANGE (order_id);
	CREATE TABLE shop.lines_1 PARTITION OF shop.lines FOR VALUES FROM (1) TO (2000);
	CREATE TABLE shop.lines_2 PARTITION OF shop.lines FOR VALUES FROM (2000) TO (1000000);
	CREATE TABLE shop.flat (doc text, line int, client text, item text, day date, qty int, PRIMARY KEY (doc, line));
	INSERT INTO shop.clients SELECT i, 'client ' || i FROM generate_series(1, 100) i;
	INSERT INTO shop.products SELECT i, 'product ' || i FROM generate_series(1, 20) i;
	INSERT INTO shop.reps SELECT i, 'rep ' || i FROM generate_series(1, 3) i;
	INSERT INTO shop.orders SELECT i, 1 + i % 100, 1 + i % 3, timestamptz '2024-01-01' + i * interval '3 hours' FROM generate_series(1, 2500) i;
	INSERT INTO shop.lines SELECT i, l, 1 + (i * l) % 20, 1 + i % 7, 1.25 * l FROM generate_series(1, 2500) i, generate_series(1, 2) l;
	INSERT INTO shop.flat SELECT 'doc ' || i, l, 'c' || i % 30, 'i' || (i + l) % 9, date '2025-01-01' + i, l FROM generate_series(1, 300) i, generate_series(1, 2) l;
});
sql(q{SELECT FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', clients => 'shop.clients', products => 'shop.products',
	reps => 'shop.reps', at => 'o.at', quantity => 'l.qty', amount => 'l.qty * l.price', is_sale => 'c.vip IS NOT NULL', client_name => 'c.name',
	client_parent => 'c.parent', product_name => 'p.name')});
sql(q{SELECT FROM agentcrm.attach('flat', lines => 'shop.flat', order_key => '{doc}', client => 'l.client', product => 'l.item', at => 'l.day',
	quantity => 'l.qty', amount => 'l.qty')});
sql(q{
	CREATE FUNCTION triggers(relation regclass, action text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE t record;
	BEGIN
		FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = relation AND tgparentid = 0 AND NOT tgisinternal LOOP
			EXECUTE format('ALTER TABLE %s %s TRIGGER %I', relation, action, t.tgname);
		END LOOP;
	END $$});
consumed($node, 'postgres', 'both sources are loaded');
clean($node, 'postgres', 'loaded');
is(sql(q{SELECT count(*) FROM agentcrm.reconcile_log WHERE reconcile}), '0', 'a first load is no reconcile');

# ---- what was found, and that all is well again ----

sub readings { return sql(qq{SELECT count(*) FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id) WHERE s.name = '$_[0]' AND cause = '$_[1]'}); }
sub parts { return sql(qq{SELECT count(*) FROM agentcrm.source_part p JOIN agentcrm.source s USING (source_id) WHERE s.name = '$_[0]' AND kind <> 'touch'}); }

# Wait for a reconcile of a source, of which there were $before readings; its findings must be these.
sub found
{
	my ($source, $cause, $before, $expected, $what) = @_;
	my $t0 = time();
	my $after = $before + parts($source);

	wait_until($node, 'postgres', qq{SELECT count(*) = $after AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')
		FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id) WHERE s.name = '$source' AND cause = '$cause'}, "$what: reconciled");
	note sprintf("%.1f s until %s was reconciled", time() - $t0, $what);
	is(sql(qq{SELECT string_agg(format('%s %s %s %s', p.name, missing, changed, surplus), ', ' ORDER BY p.name)
		FROM (SELECT DISTINCT ON (f.part) f.* FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id)
			WHERE s.name = '$source' AND cause = '$cause' ORDER BY f.part, reading DESC) AS f JOIN agentcrm.source_part p USING (source_id, part)
		WHERE missing + changed + surplus > 0}), $expected, "$what: found what was missed (missing, changed, surplus)");
	clean($node, 'postgres', $what);
	return;
}

# Make changes, see that nobody noticed, reconcile by hand.  In one transaction: the worker would see triggers that are off.
sub missed
{
	my ($source, $what, $changes, $expected) = @_;
	my $before = readings($source, 'reconcile');

	sql("BEGIN; $changes; COMMIT");
	consumed($node, 'postgres', "$what: the queue is empty");
	isnt(sql('SELECT count(*) FROM agentcrm.verify()'), '0', "$what: not seen by a trigger") if $expected =~ /order/;
	sql("SELECT agentcrm.reconcile('$source')");
	found($source, 'reconcile', $before, $expected, $what);
	return;
}

# What is missed with a change of tables is looked for by itself.
sub followed
{
	my ($source, $what, $changes, $reason, $expected) = @_;

	sql($changes);
	wait_until($node, 'postgres', qq{SELECT string_agg(format('%s %s %s %s', p.name, missing, changed, surplus), ', ') = '$expected'
		FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id) JOIN agentcrm.source_part p USING (source_id, part)
		WHERE s.name = '$source' AND cause ~ '^tables changed: .*$reason'}, "$what: found by itself (missing, changed, surplus)");
	consumed($node, 'postgres', "$what: consumed");
	clean($node, 'postgres', $what);
	return;
}

# ---- by hand ----

missed('shop', 'disabled triggers', q{
	SELECT triggers('shop.orders', 'DISABLE');
	SELECT triggers('shop.lines', 'DISABLE');
	INSERT INTO shop.orders VALUES (3001, 5, 1, '2025-03-01'), (3002, 6, 1, '2024-01-01');
	INSERT INTO shop.lines VALUES (3001, 1, 3, 4, 5), (3001, 2, 4, 4, 5), (3002, 1, 1, 1, 1);
	UPDATE shop.lines SET qty = qty + 1 WHERE order_id IN (10, 11, 12);
	UPDATE shop.orders SET client = 99 WHERE id = 13;
	DELETE FROM shop.lines WHERE order_id IN (20, 21);
	DELETE FROM shop.orders WHERE id = 21;
	SELECT triggers('shop.lines', 'ENABLE ALWAYS');
	SELECT triggers('shop.orders', 'ENABLE ALWAYS');
}, 'order 2 4 2');
like(slurp_file($node->logfile), qr/LOG:  agentcrm: reconcile of source "shop", part order, found 2 missing, 4 changed and 2 surplus keys among 2501/,
	'the server\'s log tells it');
is(sql(q{SELECT reconcile_found FROM agentcrm.status WHERE name = 'shop'}), 'order: 2 missing, 4 changed, 2 surplus of 2501 (reconcile)', 'so does status');

missed('shop', 'attributes', q{
	SELECT triggers('shop.clients', 'DISABLE');
	SELECT triggers('shop.products', 'DISABLE');
	SELECT triggers('shop.reps', 'DISABLE');
	INSERT INTO shop.clients VALUES (101, 'new');
	UPDATE shop.clients SET name = 'renamed', parent = 1 WHERE id IN (7, 8);
	INSERT INTO shop.products VALUES (21, 'new');
	UPDATE shop.products SET name = 'renamed' WHERE id = 7;
	UPDATE shop.reps SET name = 'renamed' WHERE id = 1;
	SELECT triggers('shop.clients', 'ENABLE ALWAYS');
	SELECT triggers('shop.products', 'ENABLE ALWAYS');
	SELECT triggers('shop.reps', 'ENABLE ALWAYS');
}, 'client 1 2 0, product 1 1 0, rep 0 1 0');
missed('shop', 'attributes that are gone', q{
	SELECT triggers('shop.clients', 'DISABLE');
	SELECT triggers('shop.products', 'DISABLE');
	DELETE FROM shop.clients WHERE id = 101;
	DELETE FROM shop.products WHERE id = 21;
	SELECT triggers('shop.clients', 'ENABLE ALWAYS');
	SELECT triggers('shop.products', 'ENABLE ALWAYS');
}, 'client 0 0 1, product 0 0 1');
is(sql(q{SELECT (SELECT string_agg(client_id::text, ',') FROM agentcrm.client WHERE NOT active), (SELECT string_agg(product_id::text, ',') FROM agentcrm.product WHERE NOT active),
	(SELECT string_agg(name || root_client_id, ',') FROM agentcrm.client WHERE client_id = 7), (SELECT name FROM agentcrm.product WHERE product_id = 7),
	(SELECT name FROM agentcrm.rep WHERE rep_id = 1), (SELECT bool_and(active) FROM agentcrm.client WHERE feed_source_id IS NULL)}),
	'101|21|renamed1|renamed|renamed|t', 'attributes are those of the application; clients that no feed gave stay active');

sql(q{SET session_replication_role = replica; INSERT INTO shop.orders VALUES (3010, 5, 1, '2025-04-01'); INSERT INTO shop.lines VALUES (3010, 1, 3, 4, 5)});
consumed($node, 'postgres', 'replica mode: the queue is empty');
clean($node, 'postgres', 'replica mode is seen by triggers that are ENABLE ALWAYS');
missed('shop', 'replica mode with triggers that are not', q{
	SELECT triggers('shop.orders', 'ENABLE');
	SELECT triggers('shop.lines', 'ENABLE');
	SET session_replication_role = replica;
	INSERT INTO shop.orders SELECT i, 5, 1, '2025-04-01' FROM generate_series(4001, 5500) i;
	INSERT INTO shop.lines SELECT i, 1, 3, 4, 5 FROM generate_series(4001, 5500) i;
	SELECT triggers('shop.orders', 'ENABLE ALWAYS');
	SELECT triggers('shop.lines', 'ENABLE ALWAYS');
}, 'order 1500 0 0');

my $in_2 = sql('SELECT count(DISTINCT order_id) FROM shop.lines_2');
followed('shop', 'DETACH PARTITION', 'ALTER TABLE shop.lines DETACH PARTITION shop.lines_2', 'tables gone', "order 0 0 $in_2");
followed('shop', 'ATTACH PARTITION', 'ALTER TABLE shop.lines ATTACH PARTITION shop.lines_2 FOR VALUES FROM (2000) TO (1000000)', 'tables without triggers', "order $in_2 0 0");

missed('flat', 'TRUNCATE with its trigger disabled', q{
	CREATE TABLE shop.kept AS TABLE shop.flat;
	SELECT triggers('shop.flat', 'DISABLE');
	TRUNCATE shop.flat;
	SELECT triggers('shop.flat', 'ENABLE ALWAYS');
}, 'order 0 0 300');
followed('flat', 'triggers dropped', q{
	BEGIN;
	DO $$
	DECLARE t record;
	BEGIN
		FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.flat'::regclass AND tgname LIKE 'agentcrm%' LOOP
			EXECUTE format('DROP TRIGGER %I ON shop.flat', t.tgname);
		END LOOP;
	END $$;
	INSERT INTO shop.flat TABLE shop.kept;
	COMMIT;
}, 'tables without triggers', 'order 300 0 0');

# The ledger changed by hand: rows, products never sold, times, clients nobody knows, an order nobody made.
missed('shop', 'ledger changed', q{
	UPDATE agentcrm.ledger SET amount = amount + 1 WHERE order_id IN (30, 31);
	UPDATE agentcrm.ledger SET product_id = 777 WHERE order_id = 32;
	UPDATE agentcrm.ledger SET ordered_at = ordered_at - interval '90 days', ordered_on = ordered_on - 90 WHERE order_id = 33;
	UPDATE agentcrm.ledger SET client_id = 88888 WHERE order_id = 34;
	UPDATE agentcrm.ledger SET kind = 'return' WHERE order_id = 35;
	DELETE FROM agentcrm.ledger WHERE order_id IN (40, 2500);
	INSERT INTO agentcrm.ledger SELECT (jsonb_populate_record(l, '{"order_id": 900000}')).* FROM agentcrm.ledger l WHERE order_id = 41;
}, 'order 2 6 1');
missed('flat', 'ledger of hashed keys changed', q{
	UPDATE agentcrm.ledger SET quantity = 100 WHERE order_id = (SELECT order_id FROM agentcrm.order_ref WHERE order_key = 'doc 7');
	DELETE FROM agentcrm.ledger WHERE order_id = (SELECT order_id FROM agentcrm.order_ref WHERE order_key = 'doc 9');
}, 'order 1 1 0');

# What an event explains was not missed: reconciles give way to events.
my $before = readings('shop', 'reconcile');
sql('SELECT agentcrm.pause()');
sql(q{UPDATE shop.lines SET qty = qty + 1 WHERE order_id < 1500; DELETE FROM shop.lines WHERE order_id = 50;
	UPDATE shop.clients SET vip = NULL WHERE id = 60; SELECT agentcrm.reconcile('shop')});
sql('SELECT agentcrm.resume()');
found('shop', 'reconcile', $before, '', 'waiting events');
is(sql(q{SELECT count(*) FROM agentcrm.ledger WHERE client_id = 60}), '0', 'an order touched by another table\'s row is read');

# Nor are changes that are committed while it runs, where the worker keeps up.
sql('ALTER SYSTEM SET agentcrm.batch_size = 1000');
$node->reload;
my $file = PostgreSQL::Test::Utils::tempdir() . '/writer.sql';
append_to_file($file, join('', map {
	my $order = 1 + $_ * 7 % 1900;
	my $client = 1 + $_ % 40;
	$_ % 9 ? "UPDATE shop.lines SET qty = qty + 1 WHERE order_id = $order;\n" : "UPDATE shop.clients SET vip = nullif(coalesce(vip, true), vip IS NOT NULL) WHERE id = $client;\n"
} 1 .. 12000));
my $sum = sql('SELECT sum(missing + changed + surplus) FROM agentcrm.reconcile_log');
my $rounds = 0;
my $writer = start_psql($node, 'postgres', sql('SELECT current_user'), $file);
while (psql_runs($writer))
{
	sql("SELECT agentcrm.reconcile('shop')");
	$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')});
	$rounds++;
}
is((finish_psql($writer))[1], '', 'the writer met no error');
cmp_ok($rounds, '>=', 1, "$rounds reconciles beside a writer");
is(sql(q{SELECT sum(missing + changed + surplus) FROM agentcrm.reconcile_log}), $sum, 'find nothing that was missed');
consumed($node, 'postgres', 'beside a writer: the queue is empty');
clean($node, 'postgres', 'beside a writer');

# Keys that are texts are summed by month, each side under other snapshots: what differs all the while is found beside a writer.
sql(q{
	SELECT triggers('shop.flat', 'ENABLE ALWAYS');
	SELECT FROM agentcrm.alter_source('flat');
});
consumed($node, 'postgres', 'flat has its triggers again');
sql(q{
	SELECT triggers('shop.flat', 'DISABLE');
	UPDATE shop.flat SET qty = qty + 1 WHERE doc IN ('doc 5', 'doc 200') AND line = 1;
	UPDATE shop.flat SET day = day - 60 WHERE doc = 'doc 90';
	DELETE FROM shop.flat WHERE doc = 'doc 120';
	INSERT INTO shop.flat VALUES ('doc 999', 1, 'c1', 'i1', '2025-02-02', 3);
	SELECT triggers('shop.flat', 'ENABLE ALWAYS');
});
my $flat_file = PostgreSQL::Test::Utils::tempdir() . '/flat.sql';
append_to_file($flat_file, join('', map { sprintf("UPDATE shop.flat SET qty = qty + 1 WHERE doc = 'doc %d';\n", 121 + $_ * 7 % 70) } 1 .. 4000));
$before = sql(q{SELECT count(*) FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id) WHERE s.name = 'flat' AND reconcile});
$writer = start_psql($node, 'postgres', sql('SELECT current_user'), $flat_file);
$rounds = 0;
while (psql_runs($writer) || $rounds == 0)
{
	sql("SELECT agentcrm.reconcile('flat')");
	$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')});
	$rounds++;
}
finish_psql($writer);
is(sql(qq{SELECT string_agg(concat_ws(' ', missing, changed, surplus), ', ' ORDER BY reading) FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id)
	WHERE s.name = 'flat' AND reconcile AND reading > (SELECT max(reading) - $rounds FROM agentcrm.reconcile_log r WHERE r.source_id = f.source_id) AND missing + changed + surplus > 0}),
	'1 3 1', "months: the first of $rounds reconciles beside a writer finds what was missed, the others nothing");
consumed($node, 'postgres', 'months: the queue is empty');
clean($node, 'postgres', 'months: beside a writer');
is(sql('SELECT count(*) FROM agentcrm.reconcile_month'), '0', 'months: no sum is left');

# A relation without triggers is looked at by itself, though the worker has gone to rest.
sql('ALTER SYSTEM SET agentcrm.poll_interval = 4');
$node->reload;
sql(q{SET ROLE app; CREATE VIEW shop.twice AS SELECT doc, line, client, item, day, qty FROM shop.flat UNION ALL SELECT 'x' || doc, line, client, item, day, qty FROM shop.flat});
sql(q{SELECT FROM agentcrm.attach('twice', lines => 'shop.twice', order_key => '{doc}', client => 'l.client', product => 'l.item', at => 'l.day', quantity => 'l.qty', amount => 'l.qty')});
consumed($node, 'postgres', 'a polled source is loaded');
like(sql(q{SELECT remark FROM agentcrm.status WHERE name = 'twice'}), qr/polled every \d+ s: shop\.twice \(a view\)/, 'status says that it is polled');
wait_until($node, 'postgres', 'SELECT worker_pid IS NULL FROM agentcrm.worker_state()', 'the worker rests between looks');
sql(q{BEGIN; INSERT INTO shop.flat VALUES ('doc 1001', 1, 'c1', 'i1', '2025-02-02', 3); DELETE FROM shop.flat WHERE doc = 'doc 60'; COMMIT});
clean($node, 'postgres', 'polled');
is(sql(q{SELECT string_agg(concat_ws(' ', cause, missing, changed, surplus), ', ') FROM agentcrm.reconcile_log f JOIN agentcrm.source s USING (source_id) WHERE s.name = 'twice' AND reconcile}),
	'poll 2 0 2', 'polled: what the looks found');
unlike(slurp_file($node->logfile), qr/reconcile of source "twice"/, 'polled: the server\'s log does not call it missed');
sql(q{SELECT agentcrm.detach('twice')});
sql('ALTER SYSTEM RESET agentcrm.poll_interval');
$node->reload;
consumed($node, 'postgres', 'the polled source is gone');

# ---- on the schedule ----

sub set_clock
{
	my ($time) = @_;

	sql("ALTER SYSTEM SET agentcrm.debug_now = '$time'");
	$node->reload;
	wait_until($node, 'postgres', "SELECT agentcrm.clock() = '$time'::timestamptz", "the clock says $time");
	return;
}

my $hidden = q{
	BEGIN;
	SELECT triggers('shop.lines', 'DISABLE');
	UPDATE shop.lines SET qty = qty + 1 WHERE order_id = 70;
	SELECT triggers('shop.lines', 'ENABLE ALWAYS');
	COMMIT;
};

# The worker has taken a step since: a row of the log does not come late.
sub worker_looked
{
	sql('UPDATE shop.lines SET qty = qty + 1 WHERE order_id = 71');
	return consumed($node, 'postgres', $_[0]);
}

my $last = sql(q{SELECT max(at) FROM agentcrm.reconcile_log});
sql($hidden);
set_clock(sql("SELECT '$last'::timestamptz + interval '23 hours'"));
worker_looked('23 hours later the worker takes a step');
is(readings('shop', 'schedule'), '0', 'the schedule does not ask before a day has gone by');
wait_until($node, 'postgres', 'SELECT worker_pid IS NULL FROM agentcrm.worker_state()', 'the worker rests');
set_clock(sql("SELECT '$last'::timestamptz + interval '25 hours'"));
found('shop', 'schedule', 0, 'order 0 1 0', 'schedule');
sql(q{ALTER SYSTEM SET agentcrm.reconcile_interval = 0});
set_clock(sql("SELECT '$last'::timestamptz + interval '75 hours'"));
worker_looked('days later the worker takes a step');
is(readings('shop', 'schedule'), parts('shop'), 'with interval 0 the schedule never asks');
sql(q{ALTER SYSTEM RESET agentcrm.debug_now; ALTER SYSTEM RESET agentcrm.reconcile_interval});
$node->reload;

# ---- agentcrm.capture = off ----

sql('ALTER SYSTEM SET agentcrm.capture = off');
$node->reload;
wait_until($node, 'postgres', q{SELECT NOT current_setting('agentcrm.capture')::boolean}, 'capture is off');
sql('UPDATE shop.lines SET qty = qty + 1 WHERE order_id IN (80, 81, 82)');
isnt(sql('SELECT count(*) FROM agentcrm.verify()'), '0', 'capture off: changes are not seen');
is(readings('shop', 'capture off'), '0', 'capture off: nothing is read meanwhile');
sql('ALTER SYSTEM RESET agentcrm.capture');
$node->reload;
found('shop', 'capture off', 0, 'order 0 3 0', 'capture on again');
$before = readings('shop', 'capture off');
sql('SET agentcrm.capture = off; UPDATE shop.lines SET qty = qty + 1 WHERE order_id = 83');
sql('SELECT agentcrm.wake()');
found('shop', 'capture off', $before, 'order 0 1 0', 'capture off in one session');

# ---- starts of the server ----

# A mark of lost keys in shared memory, while the worker is paused.
sub lose_keys
{
	my ($order) = @_;
	my $tables = join ', ', map { "agentcrm.event_$_" } 1 .. 8;

	sql('SELECT agentcrm.pause()');
	sql("BEGIN; LOCK TABLE $tables IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'locked'");
	sql("UPDATE shop.lines SET qty = qty + 1 WHERE order_id = $order");
	sql("ROLLBACK PREPARED 'locked'");
	is(sql('SELECT lost FROM agentcrm.worker_state()'), 't', "the change of order $order is lost but for a mark in shared memory");
	return;
}

my $life = sql('SELECT life FROM agentcrm.server_start');
my $readings = sql('SELECT count(*) FROM agentcrm.reconcile_log');
$node->restart;
worker_looked('after a clean restart the worker takes a step');
is(sql('SELECT life FROM agentcrm.server_start'), $life, 'a clean restart continues the same run');
is(sql('SELECT count(*) FROM agentcrm.reconcile_log'), $readings, 'and nothing is read for it');

lose_keys(90);
$node->restart;
found('shop', 'server start', 0, 'order 0 1 0', 'a clean stop with a mark');

lose_keys(91);
$before = readings('shop', 'server start');
$node->stop('immediate');
$node->start;
found('shop', 'server start', $before, 'order 0 1 0', 'an immediate stop with a mark');

# While a backend is killed the server restarts by itself.
lose_keys(92);
$before = readings('shop', 'server start');
my $victim = open_psql($node, 'postgres');
my $seen = -s $node->logfile;
kill 'KILL', say_psql($victim, 'SELECT pg_backend_pid()') =~ /(\d+)/;
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $seen);
close_psql($victim);
$node->poll_query_until('postgres', 'SELECT true');
found('shop', 'server start', $before, 'order 0 1 0', 'a crash with a mark');

# A run without preload leaves no mark, and uses up that of the run before.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
sql($hidden);
$before = readings('shop', 'server start');
sql('CALL agentcrm.run()');
found('shop', 'server start', $before, 'order 0 1 0', 'the first run() without preload');
$readings = sql('SELECT count(*) FROM agentcrm.reconcile_log');
sql('CALL agentcrm.run()');
is(sql('SELECT count(*) FROM agentcrm.reconcile_log'), $readings, 'the next run() reads nothing');
sql($hidden);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'agentcrm'");
$before = readings('shop', 'server start');
$node->restart;
found('shop', 'server start', $before, 'order 0 1 0', 'preload again');

# ---- adopt ----

$before = readings('shop', 'adopt');
sql($hidden);
sql('SELECT agentcrm.adopt()');
found('shop', 'adopt', $before, 'order 0 1 0', 'adopt');

# ---- detach while a reconcile is under way ----

sql(q{SELECT agentcrm.reconcile('shop'); SELECT agentcrm.detach('shop')});
consumed($node, 'postgres', 'nothing is left of a detached source');
clean($node, 'postgres', 'detached');
is(sql('SELECT count(*) FROM agentcrm.client WHERE feed_source_id IS NOT NULL'), '0', 'no row names a detached source');
is(sql(q{SELECT string_agg(DISTINCT message, '; ') FROM agentcrm.error_log}), '', 'no step failed');

$node->stop;
done_testing();
