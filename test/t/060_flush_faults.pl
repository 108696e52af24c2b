# Faults planted at every place between a changed row and its event: whatever
# happens there, the application's transaction commits without waiting, and the
# worker brings state up to date by itself.  Cancel and shutdown end the
# transaction as they would have without us.  KEYS=50000000 makes the large
# transaction larger.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('faults', "shared_preload_libraries = 'agentcrm'", 'log_min_messages = warning');
my $db = 'shop';

# Keys of one table are rendered directly, those of the other by their type's output function.
$node->safe_psql('postgres', "CREATE DATABASE $db");
$node->safe_psql($db, q{
	CREATE EXTENSION agentcrm;
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id int PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, amount numeric NOT NULL);
	CREATE TABLE shop.tags (id macaddr PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, amount numeric NOT NULL);
	CREATE FUNCTION shop.tag(n int) RETURNS macaddr LANGUAGE sql IMMUTABLE AS $$SELECT lpad(to_hex(n), 12, '0')::macaddr$$;
	INSERT INTO shop.orders SELECT g, 1 + g % 20, '2026-01-01'::timestamptz + g * interval '1 hour', g FROM generate_series(1, 200) g;
	INSERT INTO shop.tags SELECT shop.tag(g), 1 + g % 20, '2026-01-01'::timestamptz + g * interval '1 hour', g FROM generate_series(1, 200) g});
$node->safe_psql($db, qq{SELECT count(*) FROM agentcrm.attach('$_', orders => 'shop.$_', client => 'o.client', at => 'o.at',
	quantity => '1', amount => 'o.amount', run_as => 'postgres')}) foreach qw(orders tags);
consumed($node, $db, 'the first load ends');

my $next = 200;

# What an application does, in each of the ways of committing; every way writes 60 new rows and edits old ones.
sub rows { my ($table, $from, $to) = @_;
	return sprintf(q{INSERT INTO shop.%s SELECT %s, 1 + g %% 20, '2026-02-01'::timestamptz + g * interval '1 minute', g FROM generate_series(%d, %d) g},
		$table, $table eq 'tags' ? 'shop.tag(g)' : 'g', $from, $to); }
sub copied { my ($table, $from, $to) = @_;
	return "COPY shop.$table FROM STDIN;\n" . join('', map { sprintf("%s\t%d\t2026-02-01 10:00+00\t%d\n", $table eq 'tags' ? sprintf('%012x', $_) : $_, 1 + $_ % 20, $_) } $from .. $to) . "\\.\n"; }

my @ways = (
	[ INSERT => sub { my ($t, $n) = @_; return rows($t, $n + 1, $n + 60) . ";\nUPDATE shop.$t SET amount = amount + 1 WHERE client = 7;"; } ],
	[ COPY => sub { my ($t, $n) = @_; return copied($t, $n + 1, $n + 60); } ],
	[ transaction => sub { my ($t, $n) = @_; return "BEGIN;\n" . rows($t, $n + 1, $n + 60) . ";\nDELETE FROM shop.$t WHERE amount = $n;\nCOMMIT;"; } ],
	[ savepoints => sub { my ($t, $n) = @_;    # and more keys than are kept in memory
		return "SET agentcrm.capture_max_keys = 100;\nBEGIN;\n" . rows($t, $n + 1, $n + 30) . ";\nSAVEPOINT a;\nUPDATE shop.$t SET amount = amount + 1;\nROLLBACK TO a;\n"
			. "SAVEPOINT b;\n" . rows($t, $n + 31, $n + 60) . ";\nUPDATE shop.$t SET amount = amount + 2;\nRELEASE b;\nCOMMIT;"; } ],
	[ PREPARE => sub { my ($t, $n) = @_; return "BEGIN;\n" . rows($t, $n + 1, $n + 60) . ";\nPREPARE TRANSACTION 'faulty';\nRESET agentcrm.debug_fault;\nCOMMIT PREPARED 'faulty';"; } ],
);

# A session of its own: what it resolves, it resolves under the fault.
sub application
{
	my ($sql, $fault) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql($db, "SET statement_timeout = '60s';\nSET lock_timeout = '1ms';\nSET agentcrm.debug_fault = '$fault';\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 1);
	return ($status, $out, $err);
}

sub lost { return $node->safe_psql($db, 'SELECT lost FROM agentcrm.worker_state()'); }
sub resyncs { return $node->safe_psql($db, 'SELECT count(*) FROM agentcrm.event WHERE part = 0 AND NOT EXISTS (SELECT FROM agentcrm.batch b WHERE pg_visible_in_snapshot(event.xid, b.seen))'); }

sub repaired
{
	my ($what) = @_;

	wait_until($node, $db, q{SELECT agentcrm.queue_depth() = 0 AND NOT (SELECT lost FROM agentcrm.worker_state())
		AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')}, "$what: repaired by the worker alone");
	clean($node, $db, $what);
	return;
}

# ---- every place, every way ----

# Where the event cannot be written the mark is in shared memory; where only the key was lost, it travels as an event.
my %in_memory = map { $_ => 1 } ('turn', 'open', 'open:lock', 'insert', 'insert:disk', 'insert:oom,report', 'inserted', 'inserted:oom');

foreach my $fault (qw(attach watch render allocate), sort keys %in_memory)
{
	my $failed = 0;
	my $rows = 0;
	my $warnings = 0;
	my $messages = '';

	$node->safe_psql($db, 'SELECT agentcrm.pause()');
	foreach my $way (@ways)
	{
		foreach my $table (qw(orders tags))
		{
			my ($status, $out, $err) = application($way->[1]->($table, $next), $fault);
			my $from = $table eq 'tags' ? 'shop.tag(' : '(';

			$failed++ if $status != 0 || $err =~ /ERROR|FATAL|PANIC/;
			$messages .= "$way->[0]: $err" if $status != 0;
			$warnings++ if $err =~ /WARNING:  agentcrm could not/;
			$rows += $node->safe_psql($db, "SELECT count(*) FROM shop.$table WHERE id BETWEEN $from" . ($next + 1) . ") AND $from" . ($next + 60) . ')');
			$next += 60;
		}
	}
	is($failed, 0, "$fault: every transaction commits") or diag($messages);
	is($rows, 60 * 2 * @ways, "$fault: with all its rows");
	if ($in_memory{$fault}) { is(lost(), 't', "$fault: the source is marked in shared memory"); }
	else { cmp_ok(resyncs(), '>', 0, "$fault: the mark is in the queue"); }
	cmp_ok($warnings, '>=', @ways, "$fault: warnings say so, $warnings") unless $fault eq 'allocate';
	$node->safe_psql($db, 'SELECT agentcrm.resume()');
	repaired($fault);
}

# A fault of the trigger's own is told once a transaction, not once a row.
my ($status, $out, $err) = application('UPDATE shop.tags SET amount = amount + 1', 'render');
is(scalar(() = $err =~ /WARNING/g), 1, 'a thousand keys that cannot be rendered give one warning');

# A mark is served when its transaction is over, not before.
application("BEGIN;\n" . rows('orders', $next + 1, $next + 5) . ";\nPREPARE TRANSACTION 'open';", 'insert');
my $done = $node->safe_psql($db, 'SELECT max(batch_no) FROM agentcrm.batch');
$node->safe_psql($db, 'UPDATE shop.tags SET amount = amount + 1 WHERE client = 3');
wait_until($node, $db, "SELECT max(batch_no) > $done FROM agentcrm.batch", 'the worker is at work');
is(lost(), 't', 'the mark of a prepared transaction stays');
$node->safe_psql($db, q{COMMIT PREPARED 'open'});
$next += 5;
repaired('after COMMIT PREPARED');

# An open transaction that lost nothing keeps no mark waiting, not even where more have lost keys than are
# noted one by one. One among those may be one of them, and is looked after when it ends.
sub settled { my ($what) = @_;
	wait_until($node, $db, q{SELECT agentcrm.queue_depth() = 0 AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')}, "$what: all is read");
	clean($node, $db, $what);
	return; }
my $edit = 'UPDATE shop.orders SET amount = amount + 1 WHERE client = 4';

application("BEGIN;\nCREATE TABLE shop.beside ();\nPREPARE TRANSACTION 'beside';", '');
application($edit, 'insert');
repaired('beside an older transaction that stays open');
$node->safe_psql($db, 'SELECT agentcrm.pause()');
application(join(";\n", ($edit) x 40), 'insert');
$node->safe_psql($db, 'SELECT agentcrm.resume()');
repaired('forty such transactions');
$node->safe_psql($db, 'SELECT agentcrm.pause()');
application(join(";\n", ($edit) x 36), 'insert');
application("BEGIN;\nCREATE TABLE shop.among ();\nPREPARE TRANSACTION 'among';", '');
application($edit, 'insert');
$node->safe_psql($db, 'SELECT agentcrm.resume()');
settled('forty such transactions, one of them open');
is(lost(), 't', 'the open transaction may have lost keys');
$node->safe_psql($db, $_) foreach (q{ROLLBACK PREPARED 'beside'}, q{ROLLBACK PREPARED 'among'});
repaired('after ROLLBACK PREPARED');

# ---- cancel and shutdown ----

my $events = q{SELECT count(*) FROM agentcrm.event};
foreach my $place (qw(watch turn open insert inserted))
{
	foreach my $way (@ways)
	{
		$node->safe_psql($db, 'SELECT agentcrm.pause()') if $way == $ways[0];
		my $before = $node->safe_psql($db, $events);
		my $count = $node->safe_psql($db, 'SELECT count(*) FROM shop.orders');
		my $sql = $way->[1]->('orders', $next);

		$sql =~ s/UPDATE[^\n]*\n?//g if $way->[0] eq 'INSERT';
		($status, $out, $err) = application("\\set VERBOSITY verbose\n$sql", "$place:cancel");
		like($err, qr/ERROR:  57014: canceling statement due to user request/, "$place, $way->[0]: cancel is a cancel");
		is($node->safe_psql($db, "SELECT count(*) FROM shop.orders"), $count, "$place, $way->[0]: nothing half done");
		is($node->safe_psql($db, $events), $before, "$place, $way->[0]: no event");
		is($node->safe_psql($db, 'SELECT count(*) FROM pg_prepared_xacts'), '0', "$place: nothing prepared") if $way->[0] eq 'PREPARE';
	}
	($status, $out, $err) = application(rows('orders', $next + 1, $next + 9), "$place:terminate");
	like($err, qr/FATAL:  terminating connection/, "$place: shutdown is a shutdown");
	is($node->safe_psql($db, "SELECT count(*) FROM shop.orders WHERE id > $next"), '0', "$place: nothing half done");
}
is(lost(), 'f', 'a transaction that did not commit marks nothing');
$node->safe_psql($db, 'SELECT agentcrm.resume()');

# Caught by the application, it leaves a transaction that can go on.
($status, $out, $err) = application(rows('orders', $next + 1, $next + 1) . qq{;
	DO \$\$ BEGIN
		SET LOCAL agentcrm.debug_fault = 'render:cancel';
		INSERT INTO shop.tags VALUES (shop.tag($next + 2), 1, '2026-02-01', 1);
	EXCEPTION WHEN query_canceled THEN
		SET LOCAL agentcrm.debug_fault = '';
		INSERT INTO shop.orders VALUES ($next + 2, 1, '2026-02-01', 1);
	END \$\$}, '');
is("$status$err", '0', 'a cancel in the trigger may be caught');
is($node->safe_psql($db, "SELECT count(*) FROM shop.orders WHERE id IN ($next + 1, $next + 2)"), '2', 'and what follows commits');
$next += 2;

# Once the guard is left nothing looks for signals any more, and nothing raises.
my $started = $node->safe_psql($db, 'SELECT pg_postmaster_start_time()');
foreach my $place (qw(guarded commit))
{
	($status, $out, $err) = application(rows('orders', $next + 1, $next + 9), "$place:cancel");
	is($node->safe_psql($db, "SELECT count(*) FROM shop.orders WHERE id > $next"), '9', "$place: a cancel comes too late, the transaction commits");
	$next += 9;
}
is($node->safe_psql($db, 'SELECT pg_postmaster_start_time()'), $started, 'and the server runs on');
repaired('after cancel and shutdown');

# ---- locks held by others ----

# Median and maximum of forty commits, ms; psql prints them.
sub commit_times
{
	my $sql = qq{
		CREATE TEMP TABLE took (ms float8);
		DO \$\$ DECLARE t timestamptz; BEGIN
			FOR i IN 1 .. 40 LOOP
				UPDATE shop.orders SET amount = amount + 1 WHERE id = 1 + i;
				t := clock_timestamp();
				COMMIT;
				INSERT INTO took SELECT extract(epoch FROM clock_timestamp() - t) * 1000;
			END LOOP;
		END \$\$;
		SELECT percentile_cont(.5) WITHIN GROUP (ORDER BY ms), max(ms) FROM took};
	my ($rc, $result, $messages) = application($sql, '');

	is($rc, 0, 'all transactions commit') or diag($messages);
	return (split(/\|/, $result), scalar(() = $messages =~ /WARNING/g));
}

my $locker = $node->background_psql($db);
my ($free) = commit_times();
foreach my $case (
	[ 'the event table of the turn', 'LOCK TABLE ' . $node->safe_psql($db, q{SELECT 'agentcrm.event_' || coalesce((SELECT event_table FROM agentcrm.event_turn ORDER BY turn_no DESC LIMIT 1), 1)}), 0 ],
	[ 'all eight event tables', join(';', map { "LOCK TABLE agentcrm.event_$_" } 1 .. 8), 40 ],
	[ 'the turn', 'LOCK TABLE agentcrm.event_turn', 0 ],
	[ 'the index of the turn', 'REINDEX INDEX agentcrm.event_turn_pkey', 0 ],
	[ 'the watch list', 'LOCK TABLE agentcrm.source_watch', 40 ],
	[ 'the index of the watch list', 'REINDEX INDEX agentcrm.source_watch_pkey', 40 ])
{
	$locker->query_safe("BEGIN; $case->[1]");
	my ($median, $max, $warned) = commit_times();
	cmp_ok($median - $free, '<', 20, sprintf('%s locked: a commit takes %.2f ms (at most %.2f) against %.2f', $case->[0], $median, $max, $free));
	is($warned, $case->[2], "$case->[0] locked: $warned warnings");
	$locker->query_safe('ROLLBACK');
	repaired("$case->[0] was locked");
}

# ---- agentcrm.capture ----

my $session = $node->background_psql($db);
application("BEGIN;\nCREATE TABLE shop.beside ();\nPREPARE TRANSACTION 'beside';", '');
$session->query_safe("UPDATE shop.orders SET amount = amount + 1 WHERE id = 3");
repaired('before capture is off');
my $batches = $node->safe_psql($db, 'SELECT max(batch_no) FROM agentcrm.batch');
$node->append_conf('postgresql.conf', 'agentcrm.capture = off');
$node->reload;
ok($node->poll_query_until($db, q{SELECT NOT current_setting('agentcrm.capture')::boolean}), 'capture is off');
$session->query_safe('SELECT 1');
$session->query_safe("UPDATE shop.orders SET amount = amount + 1 WHERE id = 3");
is($node->safe_psql($db, 'SELECT agentcrm.queue_depth(), max(batch_no) FROM agentcrm.batch'), "0|$batches", 'an open session captures nothing any more');
$node->append_conf('postgresql.conf', 'agentcrm.capture = on');
$node->reload;
ok($node->poll_query_until($db, q{SELECT current_setting('agentcrm.capture')::boolean}), 'capture is on again');
$session->quit;
repaired('capture on again');
$node->safe_psql($db, q{ROLLBACK PREPARED 'beside'});
$locker->quit;
$node->stop;

# ---- a full disk ----

# Files of one session may not grow beyond 2 MB: the event table is that large
# already, the application's table is not.
SKIP:
{
	skip 'no prlimit on this machine', 6 if system('prlimit --version >/dev/null 2>&1') != 0;
	my $small = PostgreSQL::Test::Cluster->new('small');

	$small->init(extra => ['--wal-segsize=1']);
	$small->append_conf('postgresql.conf', "fsync = off\nmin_wal_size = 2MB\nshared_preload_libraries = 'agentcrm'");
	$small->start;
	$small->safe_psql('postgres', q{
		CREATE EXTENSION agentcrm;
		CREATE TABLE orders (id int PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, amount int NOT NULL);
		INSERT INTO orders SELECT g, 1 + g % 50, '2026-01-01'::timestamptz + g * interval '1 minute', g FROM generate_series(1, 6000) g});
	$small->safe_psql('postgres', q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', client => 'o.client', at => 'o.at',
		quantity => '1', amount => 'o.amount', run_as => 'postgres')});
	consumed($small, 'postgres', 'the first load ends');
	$small->safe_psql('postgres', 'SELECT agentcrm.pause()');
	$small->safe_psql('postgres', q{
		INSERT INTO agentcrm.event_1 (xid, at, source_id, part, key)
		SELECT pg_current_xact_id(), now(), source_id, 1, g::text FROM agentcrm.source, generate_series(1, 32500) g});
	cmp_ok($small->safe_psql('postgres', q{SELECT pg_relation_size('agentcrm.event_1')}), '>=', 1900000, 'the event table is nearly full');
	my $writer = $small->background_psql('postgres', on_error_stop => 0);
	my $pid = $writer->query_safe('SELECT pg_backend_pid()');
	is(system("prlimit --pid $pid --fsize=2097152:2097152"), 0, 'files may not grow any more');
	$writer->query('UPDATE orders SET amount = amount + 1');
	like($writer->{stderr}, qr/WARNING:  agentcrm could not write its queue: could not extend file/, 'the event table cannot be extended');
	unlike($writer->{stderr}, qr/ERROR/, 'the transaction commits nevertheless');
	is($small->safe_psql('postgres', 'SELECT sum(amount - id), (SELECT lost FROM agentcrm.worker_state()) FROM orders'), '6000|t', 'with all its rows, and the source is marked');
	$small->safe_psql('postgres', 'SELECT agentcrm.resume()');
	wait_until($small, 'postgres', q{SELECT agentcrm.queue_depth() = 0 AND NOT (SELECT lost FROM agentcrm.worker_state())
		AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')}, 'repaired by the worker alone');
	clean($small, 'postgres', 'after a full disk');
	$writer->quit;
	$small->stop;
}

# ---- a very large transaction ----

# The keys of one UPDATE are written as they come: the session grows no larger
# than with capture off, but for the keys it may keep.
my $keys = $ENV{KEYS} // 1_000_000;
my $large = new_node('large', 'shared_buffers = 16MB', 'max_wal_size = 4GB', 'wal_level = minimal', 'max_wal_senders = 0', 'autovacuum = off');
$large->safe_psql('postgres', qq{
	CREATE EXTENSION agentcrm;
	CREATE TABLE orders (id int PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, amount int NOT NULL);
	INSERT INTO orders SELECT g, 1 + g % 50, '2026-01-01', g FROM generate_series(1, $keys) g});
$large->safe_psql('postgres', q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', client => 'o.client', at => 'o.at',
	quantity => '1', amount => 'o.amount', run_as => 'postgres')});
my %peak;
foreach my $capture (qw(off on))
{
	my ($vm) = $large->safe_psql('postgres', qq{SET agentcrm.capture = $capture;
		UPDATE orders SET amount = amount + 1;
		SELECT pg_read_file('/proc/self/status')}) =~ /VmHWM:\s+(\d+) kB/;
	$peak{$capture} = $vm / 1024;
}
cmp_ok($peak{on} - $peak{off}, '<', 32, sprintf('%d keys in one UPDATE: %.0f MB at most, %.0f MB with capture off', $keys, $peak{on}, $peak{off}));
is($large->safe_psql('postgres', 'SELECT count(*), count(DISTINCT key) FROM agentcrm.event'), "$keys|$keys", 'every key arrived');
$large->stop;

done_testing();
