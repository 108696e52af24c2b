# What several TAP tests need: clusters set up alike, psql in the background, and
# the two questions asked at the end of every test that writes: is everything
# consumed, and does state equal recompute.
package Agentcrm;
use strict;
use warnings;

use Exporter 'import';
use POSIX ':sys_wait_h';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'usleep';

our @EXPORT = qw(new_node start_psql psql_runs finish_psql wait_until consumed clean worker_pid strike_worker make_shop held_mapping hold let_go open_psql say_psql close_psql);

# A cluster of its own; settings as "name = value".
sub new_node
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n", 'fsync = off', 'full_page_writes = off', "timezone = 'UTC'",
			'max_prepared_transactions = 40', 'restart_after_crash = on', @settings) . "\n");
	$node->start;
	return $node;
}

# A shop of 60 clients who order every 10 to 39 days until 2026-02-28, owned by
# role app and attached as "shop".
sub make_shop
{
	my ($node, $database) = @_;

	$node->safe_psql($database, q{
		DO $$ BEGIN CREATE ROLE app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
		CREATE SCHEMA shop AUTHORIZATION app;
		SET ROLE app;
		CREATE TABLE shop.clients (client_id int PRIMARY KEY, name text);
		CREATE TABLE shop.orders (order_id bigint PRIMARY KEY, client_id int REFERENCES shop.clients, ordered_at timestamptz);
		CREATE TABLE shop.lines (order_id bigint REFERENCES shop.orders ON DELETE CASCADE, line_no int, product_id int, quantity int, price numeric, PRIMARY KEY (order_id, line_no));
		INSERT INTO shop.clients SELECT g, 'client ' || g FROM generate_series(1, 60) g;
		INSERT INTO shop.orders SELECT row_number() OVER (ORDER BY n, c), c, timestamptz '2026-02-28 10:00+00' - make_interval(days => n * (10 + c % 30) + c % 10)
			FROM generate_series(1, 60) c, generate_series(0, 9) n;
		INSERT INTO shop.lines SELECT o, l, 1 + (o * l) % 12, 1 + o % 5, 10.5 * l FROM generate_series(1, 600) o, generate_series(1, 2) l;
		RESET ROLE});
	$node->safe_psql($database, q{
		CREATE EXTENSION IF NOT EXISTS agentcrm});
	$node->safe_psql($database, q{
		SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', clients => 'shop.clients', product => 'l.product_id',
			at => 'o.ordered_at', quantity => 'l.quantity', amount => 'l.quantity * l.price', client_name => 'c.name', time_zone => 'UTC')});
	return;
}

# For steps that last until the test lets them end: shop.held(x) is x, but is not found
# while shop.hold has a row.  It computes meanwhile, as a slow mapping would.
sub held_mapping
{
	return q{
		CREATE TABLE shop.hold ();
		CREATE FUNCTION shop.held(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN WHILE EXISTS (SELECT FROM shop.hold) LOOP NULL; END LOOP; RETURN $1; END $$;};
}

sub hold
{
	my ($node, $database) = @_;

	$node->safe_psql($database, 'INSERT INTO shop.hold DEFAULT VALUES');
	return;
}

sub let_go
{
	my ($node, $database) = @_;

	$node->safe_psql($database, 'DELETE FROM shop.hold');
	return;
}

# While a server comes back, a psql that finds no connection may be gone before its query is
# written to it: IPC::Run dies of that, where polling means to try again.
{
	no warnings 'redefine';
	my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;

	*PostgreSQL::Test::Cluster::poll_query_until = sub {
		my @arguments = @_;

		for (1 .. 1000)
		{
			my $reached = eval { $poll->(@arguments) };
			return $reached if $@ eq '';
			die $@ unless $@ =~ /Broken pipe/;
			usleep(10_000);
		}
		die $@;
	};
}

# psql in the background on a file of statements, errors allowed; what it prints
# goes beside the file, and finish_psql gives it.
sub start_psql
{
	my ($node, $database, $role, $file) = @_;
	my @command = ('psql', '-X', '-A', '-t', '-d', $node->connstr($database) . " user=$role", '-f', $file);
	my $pid = fork();

	die "cannot fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null') and open(STDOUT, '>', "$file.out") and open(STDERR, '>', "$file.err") and exec @command;
		POSIX::_exit(127);
	}
	return { pid => $pid, file => $file };
}

# Whether it still runs.
sub psql_runs
{
	my ($run) = @_;

	if (!defined $run->{status} && waitpid($run->{pid}, WNOHANG) == $run->{pid})
	{
		$run->{status} = $?;
	}
	return !defined $run->{status};
}

sub finish_psql
{
	my ($run) = @_;

	if (psql_runs($run))
	{
		waitpid($run->{pid}, 0);
		$run->{status} = $?;
	}
	return (slurp_file("$run->{file}.out"), slurp_file("$run->{file}.err"));
}

# A session that stays open: statements are said to it one by one, errors allowed.
sub open_psql
{
	my ($node, $database, $role) = @_;
	my $out = PostgreSQL::Test::Utils::tempdir() . '/session';
	my $connection = $node->connstr($database) . ($role ? " user=$role" : '');
	my $pid = open(my $in, '|-', qq{exec psql -X -A -t -d "$connection" >$out 2>&1});

	die "cannot start psql: $!" unless $pid;
	$in->autoflush(1);
	return { in => $in, out => $out, n => 0 };
}

# Says statements and waits for their end; gives what was printed.
sub say_psql
{
	my ($session, $sql) = @_;
	my $mark = 'said ' . ++$session->{n};
	my $before = -e $session->{out} ? length(slurp_file($session->{out})) : 0;

	print { $session->{in} } "$sql;\n\\echo $mark\n";
	for (1 .. 18000)
	{
		my $text = -e $session->{out} ? substr(slurp_file($session->{out}), $before) : '';

		return $text if $text =~ s/^$mark\n//m;
		usleep(10_000);
	}
	die "no answer to: $sql";
}

sub close_psql
{
	my ($session) = @_;

	close $session->{in};
	return;
}

# Poll a query until it gives true; says what was asked when it does not.
sub wait_until
{
	my ($node, $database, $query, $what) = @_;
	my $reached = $node->poll_query_until($database, $query);

	ok($reached, $what) or diag($node->safe_psql($database, 'SELECT * FROM agentcrm.status'));
	return $reached;
}

# Everything is consumed: no key waits, none failed, no load is under way.
sub consumed
{
	my ($node, $database, $what) = @_;

	return wait_until($node, $database,
		q{SELECT agentcrm.queue_depth() = 0 AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')},
		$what)
	  || diag($node->safe_psql($database, 'SELECT * FROM agentcrm.event_failed LIMIT 10'));
}

# State equals recompute, and each source's totals are those of the application.
sub clean
{
	my ($node, $database, $what) = @_;

	# a reading that has just been asked for is let end: verify() leaves out what is being read
	wait_until($node, $database, q{SELECT NOT EXISTS (SELECT FROM agentcrm.source s, agentcrm.compare(s.name) c WHERE c.difference <> 0)},
		"$what: compare() shows no difference");
	is($node->safe_psql($database, 'SELECT * FROM agentcrm.verify() LIMIT 20'), '', "$what: verify() is empty");
	return;
}

sub worker_pid
{
	my ($node, $database) = @_;

	return $node->safe_psql($database, 'SELECT worker_pid FROM agentcrm.worker_state()');
}

# Ends the worker, if there is one, by a signal; after KILL waits until the server
# has seen it, ended all sessions and is up again.
sub strike_worker
{
	my ($node, $database, $signal) = @_;
	my $pid = worker_pid($node, $database);
	my $seen = -s $node->logfile;

	return if !$pid || !kill($signal, $pid) || $signal ne 'KILL';
	for (1 .. 1000)
	{
		last if slurp_file($node->logfile, $seen) =~ /all server processes terminated; reinitializing/;
		last if $_ > 100 && !kill(0, $pid);    # it was about to end by itself
		usleep(20_000);
	}
	$node->poll_query_until($database, 'SELECT true');
	return;
}

1;
