# Random writes from four connections, with rollbacks, savepoints and prepared
# transactions, while the worker is killed now and then and the server crashes
# once, end in a state that equals recompute.  So do they without preload, with
# CALL agentcrm.run() beside them.  SEED repeats a run's statements.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $seed = defined $ENV{SEED} ? $ENV{SEED} : time() % 1_000_000_000;
note "SEED=$seed repeats these statements";
diag "workload: SEED=$seed";
srand($seed);

use constant { CLIENTS => 60, PRODUCTS => 40, ORDERS => 2500, CONNECTIONS => 4 };

# ---- the application ----

my $schema = q{
	CREATE ROLE app LOGIN;
	ALTER ROLE app SET agentcrm.capture_max_keys = 100;
	ALTER ROLE app SET lock_timeout = '200ms';
	ALTER ROLE app SET deadlock_timeout = '50ms';
};
my $tables = q{
	CREATE EXTENSION agentcrm;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.clients (client_id int PRIMARY KEY, name text, parent_id int REFERENCES shop.clients, active boolean DEFAULT true);
	CREATE TABLE shop.products (product_id int PRIMARY KEY, name text, category text);
	CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, client_id int NOT NULL REFERENCES shop.clients ON UPDATE CASCADE,
		state text NOT NULL DEFAULT 'ok', ordered_at timestamptz NOT NULL);
	CREATE TABLE shop.lines (order_id bigint NOT NULL REFERENCES shop.orders ON UPDATE CASCADE ON DELETE CASCADE, line_no int,
		product_id int NOT NULL REFERENCES shop.products, quantity int NOT NULL, price numeric(10,2) NOT NULL, PRIMARY KEY (order_id, line_no));
	INSERT INTO shop.clients SELECT g, 'client ' || g FROM generate_series(1, 60) g;
	INSERT INTO shop.products SELECT g, 'product ' || g, 'c' || g % 5 FROM generate_series(1, 40) g;
	INSERT INTO shop.orders SELECT g, 1 + g % 60, 'ok', '2024-01-01'::timestamptz + g * interval '5 hours' FROM generate_series(1, 500) g;
	INSERT INTO shop.lines SELECT o, l, 1 + (o * l) % 40, 1 + o % 7, 1.25 * l FROM generate_series(1, 500) o, generate_series(1, 3) l;
	RESET ROLE;
	SET search_path = shop;
	SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', lines => 'lines', clients => 'clients', products => 'products',
		at => 'o.ordered_at', quantity => 'l.quantity', amount => 'l.quantity * l.price', is_sale => $$o.state <> 'draft'$$,
		client_name => 'c.name', client_parent => 'c.parent_id', client_active => 'c.active', product_name => 'p.name', category => 'p.category');
};

# ---- random statements ----

sub any { my ($n) = @_; return 1 + int(rand($n)); }
sub chance { my ($p) = @_; return rand() < $p; }
sub at { return sprintf("'2024-01-01'::timestamptz + interval '%d minutes'", any(900_000)); }
sub lines_of
{
	my ($order, $n) = @_;
	return join(', ', map { sprintf('(%d, %d, %d, %d, %.2f)', $order, $_, any(PRODUCTS), chance(.08) ? -any(5) : any(30), any(900) / 100) } 1 .. $n);
}

my $next_order = ORDERS;	# keys above are of their own transactions

# Each gives statements, one write each.
my @writes = (
	[ 20, sub {    # a new order
		my $o = chance(.5) ? ++$next_order : any(ORDERS);
		return (sprintf("INSERT INTO shop.orders VALUES (%d, %d, '%s', %s) ON CONFLICT DO NOTHING", $o, any(CLIENTS), chance(.2) ? 'draft' : 'ok', at()),
			"INSERT INTO shop.lines VALUES " . lines_of($o, any(5)) . ' ON CONFLICT DO NOTHING');
	} ],
	[ 12, sub {    # a late line, or a return
		my $o = any(ORDERS);
		return sprintf('INSERT INTO shop.lines SELECT o.order_id, 1 + coalesce((SELECT max(line_no) FROM shop.lines l WHERE l.order_id = o.order_id), 0), %d, %d, 2.5'
			. ' FROM shop.orders o WHERE order_id = %d ON CONFLICT DO NOTHING', any(PRODUCTS), chance(.3) ? -any(4) : any(9), $o);
	} ],
	[ 12, sub { return sprintf('UPDATE shop.lines SET quantity = %d, price = price + .01 WHERE order_id = %d AND line_no = %d', any(50), any(ORDERS), any(3)); } ],
	[ 6, sub { return sprintf('UPDATE shop.lines SET product_id = %d WHERE order_id = %d', any(PRODUCTS), any(ORDERS)); } ],
	[ 8, sub { return sprintf("UPDATE shop.orders SET state = '%s' WHERE order_id = %d", (qw(ok draft shipped))[ rand 3 ], any(ORDERS)); } ],
	[ 6, sub { return sprintf('UPDATE shop.orders SET client_id = %d WHERE order_id = %d', any(CLIENTS), any(ORDERS)); } ],
	[ 4, sub { return sprintf('UPDATE shop.orders SET ordered_at = %s WHERE order_id = %d', at(), any(ORDERS)); } ],
	[ 6, sub { return sprintf('DELETE FROM shop.lines WHERE order_id = %d AND line_no = %d', any(ORDERS), any(4)); } ],
	[ 4, sub { return sprintf('DELETE FROM shop.orders WHERE order_id = %d', any(ORDERS)); } ],
	[ 4, sub { return sprintf('UPDATE shop.orders SET order_id = %d WHERE order_id = %d', chance(.5) ? any(ORDERS) : ++$next_order, any(ORDERS)); } ],
	[ 3, sub { return sprintf('UPDATE shop.lines SET order_id = %d, line_no = line_no + 10 WHERE order_id = %d AND line_no < 3', any(ORDERS), any(ORDERS)); } ],
	[ 5, sub {    # upsert of a line
		return 'INSERT INTO shop.lines VALUES ' . lines_of(any(ORDERS), 2)
			. ' ON CONFLICT (order_id, line_no) DO UPDATE SET quantity = excluded.quantity, product_id = excluded.product_id';
	} ],
	[ 5, sub {
		return 'MERGE INTO shop.lines l USING (VALUES ' . lines_of(any(ORDERS), 4) . ') AS v(o, n, p, q, price) ON l.order_id = v.o AND l.line_no = v.n'
			. ' WHEN MATCHED AND v.q > 20 THEN DELETE WHEN MATCHED THEN UPDATE SET quantity = v.q WHEN NOT MATCHED AND v.o IN (SELECT order_id FROM shop.orders)'
			. ' THEN INSERT VALUES (v.o, v.n, v.p, v.q, v.price)';
	} ],
	[ 3, sub {    # orders and their lines by COPY
		my $first = $next_order + 1;
		my $n = any(20);
		$next_order += $n;
		return ("COPY shop.orders FROM STDIN\n" . join('', map { sprintf("%d\t%d\tok\t2025-03-%02d 10:%02d+00\n", $_, any(CLIENTS), any(28), any(59)) } $first .. $next_order) . '\\.',
			"COPY shop.lines FROM STDIN\n" . join('', map { sprintf("%d\t1\t%d\t%d\t%.2f\n", $_, any(PRODUCTS), any(9), any(500) / 100) } $first .. $next_order) . '\\.');
	} ],
	[ 2, sub {    # more keys than are kept in memory
		my $first = $next_order + 1;
		$next_order += 150;
		return ("INSERT INTO shop.orders SELECT g, 1 + g % 60, 'ok', '2024-06-01'::timestamptz + g * interval '1 minute' FROM generate_series($first, $next_order) g",
			"INSERT INTO shop.lines SELECT g, 1, 1 + g % 40, 1, 9.99 FROM generate_series($first, $next_order) g");
	} ],
	[ 3, sub { return sprintf("UPDATE shop.clients SET name = 'client ' || %d, active = %s WHERE client_id = %d", any(9999), chance(.8) ? 'true' : 'false', any(CLIENTS)); } ],
	[ 1, sub { return sprintf('UPDATE shop.clients SET parent_id = %s WHERE client_id = %d', chance(.3) ? 'NULL' : any(20), 20 + any(40)); } ],
	[ 2, sub { return sprintf("UPDATE shop.products SET name = 'product ' || %d, category = 'c%d' WHERE product_id = %d", any(9999), any(5), any(PRODUCTS)); } ],
	[ 1, sub { return sprintf("INSERT INTO shop.products VALUES (%d, 'new', 'c1') ON CONFLICT (product_id) DO UPDATE SET name = excluded.name", any(PRODUCTS + 5)); } ],
);
my $weight = 0;
$weight += $_->[0] foreach @writes;

sub random_write
{
	my $at = rand($weight);

	foreach my $write (@writes)
	{
		return $write->[1]->() if ($at -= $write->[0]) < 0;
	}
	return;
}

# The statements of one connection; transactions of one to eight writes.
sub script
{
	my ($name, $n_writes) = @_;
	my @sql;
	my @prepared;
	my $done = 0;
	my $number = 0;

	while ($done < $n_writes)
	{
		my $depth = 0;

		push @sql, 'BEGIN';
		for (1 .. any(4))
		{
			if (chance(.15)) { push @sql, 'SAVEPOINT s'; $depth++; }
			my @new = random_write();
			push @sql, @new;
			$done += @new;
			if ($depth && chance(.4)) { push @sql, 'ROLLBACK TO s', 'RELEASE s'; $depth--; }
			elsif ($depth && chance(.3)) { push @sql, 'RELEASE s'; $depth--; }
		}
		my $end = rand();
		if ($end < .06)
		{
			my $gid = "${name}_" . ++$number;
			push @sql, "PREPARE TRANSACTION '$gid'";
			push @prepared, $gid;
		}
		else { push @sql, $end < .16 ? 'ROLLBACK' : 'COMMIT'; }
		push @sql, (chance(.7) ? 'COMMIT' : 'ROLLBACK') . " PREPARED '" . shift(@prepared) . "'" if @prepared && chance(.5);
	}
	# statements that end in data carry their own end
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";
	open my $out, '>', $file or die $!;
	foreach my $statement (@sql)
	{
		print $out $statement =~ s/^(COPY[^\n]*)\n/$1;\n/ ? $statement : "$statement;", "\n";
	}
	close $out;
	return $file;
}

my %count;
my $failed = 0;

sub finish_writers
{
	foreach my $writer (@_)
	{
		my ($out, $err) = finish_psql($writer);

		$count{$1}++ while $out =~ /^(INSERT|UPDATE|DELETE|MERGE|COPY|COMMIT PREPARED|PREPARE TRANSACTION|ROLLBACK PREPARED|ROLLBACK)\b/mg;
		$failed++ while $err =~ /ERROR:/g;
		# What the workload itself may run into; all else is a fault.  The data of
		# a COPY that is refused are statements to psql 15.18.
		my @odd = grep { /\b(ERROR|WARNING|FATAL|PANIC):/ && !/already exists|violates (unique|foreign key)|lock timeout|deadlock detected|transaction is aborted|does not exist|cannot affect row|there is (no|already a) transaction|at or near "\d+"|connection|terminating|shared memory|RELEASE SAVEPOINT/i }
			split /\n/, $err;
		is(join("\n", @odd[ 0 .. ($#odd > 9 ? 9 : $#odd) ]), '', 'no error but the workload\'s own');
	}
	return;
}

sub finish_prepared
{
	my ($node, $db) = @_;

	foreach my $gid (split /\n/, $node->safe_psql($db, "SELECT gid FROM pg_prepared_xacts WHERE database = '$db' ORDER BY gid"))
	{
		$node->safe_psql($db, (chance(.7) ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
	return;
}

sub running { return grep { psql_runs($_) } @_; }

my $started = time();

# ---- with the worker ----

my $node = new_node('workload', "shared_preload_libraries = 'agentcrm'", 'agentcrm.batch_size = 37');
$node->safe_psql('postgres', $schema);
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', $tables);
consumed($node, 'shop', 'the first load ends');
clean($node, 'shop', 'after the first load');

# The server crashes in the middle of the first writers.
my @files = map { script("crash_$_", 2000) } 1 .. CONNECTIONS;
my @writers = map { start_psql($node, 'shop', 'app', $_) } @files;
$node->poll_query_until('shop', 'SELECT max(batch_no) > 20 FROM agentcrm.batch');
my $victim = worker_pid($node, 'shop');
ok($victim, 'a worker runs while there is work');
is(kill('KILL', $victim), 1, 'the worker is killed by SIGKILL');
finish_writers(@writers);
ok($node->poll_query_until('shop', 'SELECT true'), 'the server comes back by itself');
my $before_crash = 0;
$before_crash += $count{$_} // 0 foreach qw(INSERT UPDATE DELETE MERGE COPY);
%count = ();
note "$before_crash writes before the crash";
finish_prepared($node, 'shop');
consumed($node, 'shop', 'everything written before the crash is consumed');
clean($node, 'shop', 'after the crash');

# Then ten thousand writes, and a worker that is ended again and again.  Keys are
# not lost to savepoints here, so that no resync mends what the cursor missed.
$node->safe_psql('postgres', 'ALTER ROLE app RESET agentcrm.capture_max_keys');
my $loads = $node->safe_psql('shop', 'SELECT max(load_no) FROM agentcrm.source_load');
my $kills = 0;
@files = map { script("main_$_", 2750) } 1 .. CONNECTIONS;
@writers = map { start_psql($node, 'shop', 'app', $_) } @files;
my $last = 0;
while (running(@writers))
{
	my ($pid, $batches) = split /\|/, $node->safe_psql('shop', 'SELECT worker_pid, (SELECT max(batch_no) FROM agentcrm.batch) FROM agentcrm.worker_state()');

	# writers may be faster than the worker: what it did not see yet is part of the test
	is($node->safe_psql('shop', 'SELECT * FROM agentcrm.verify() LIMIT 5'), '', 'verify() is empty in the middle of it') if $kills == 2 && $pid && $pid ne $last;
	next if !$pid || $pid eq $last;
	if ($kills % 2) { kill 'TERM', $pid; }
	else { $node->safe_psql('shop', "SELECT pg_terminate_backend($pid)"); }
	$last = $pid;
	$kills++;
}
finish_writers(@writers);
my $written = 0;
$written += $count{$_} // 0 foreach qw(INSERT UPDATE DELETE MERGE COPY);
note join(', ', map { "$_ $count{$_}" } sort keys %count), ", $failed statements failed, worker ended $kills times";
cmp_ok($written, '>=', 10_000, "$written writes were done");
cmp_ok($kills, '>=', 2, "the worker was ended $kills times");
cmp_ok($count{$_} // 0, '>', 0, "there was $_") foreach ('MERGE', 'COPY', 'DELETE', 'ROLLBACK', 'PREPARE TRANSACTION', 'COMMIT PREPARED', 'ROLLBACK PREPARED');
finish_prepared($node, 'shop');
consumed($node, 'shop', 'everything is consumed');
clean($node, 'shop', 'after the workload');
cmp_ok($node->safe_psql('shop', 'SELECT count(*) FROM agentcrm.ledger_history'), '>', 100, 'ledger rows were superseded');
is($node->safe_psql('shop', 'SELECT max(load_no) FROM agentcrm.source_load'), $loads, 'without any resync');
is($node->safe_psql('shop', q{SELECT DISTINCT message FROM agentcrm.error_log WHERE message !~ '^the server or the worker crashed'}), '', 'no step failed but by the crashes');
note sprintf('%.1f s so far', time() - $started);

# ---- without preload ----

$node->safe_psql('postgres', 'ALTER ROLE app SET agentcrm.capture_max_keys = 100');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->safe_psql('plain', $tables);
@files = map { script("plain_$_", 500) } 1 .. CONNECTIONS;
%count = ();
@writers = map { start_psql($node, 'plain', 'app', $_) } @files;
my $runs = 0;
while (running(@writers))
{
	$node->safe_psql('plain', 'CALL agentcrm.run(5)');
	$runs++;
}
finish_writers(@writers);
finish_prepared($node, 'plain');
$node->safe_psql('plain', 'CALL agentcrm.run()');
is($node->safe_psql('plain', 'SELECT agentcrm.queue_depth(), state FROM agentcrm.status WHERE what = $$worker$$'), '0|stopped', "without preload, $runs calls of run() beside the writers and one after consume everything");
clean($node, 'plain', 'without preload');
note sprintf('%.1f s in all', time() - $started);

$node->stop;
done_testing();
