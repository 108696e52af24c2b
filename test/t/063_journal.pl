# Four writers note in a journal of their own, in the same transactions, what each
# order has become, while snapshots are held, transactions stay prepared, the event
# tables rotate, and worker and server are killed.  In the end the ledger and the
# profiles hold what the journal's last entries say: nothing lost, nothing doubled.
# DURATION=600 RATE=400 (transactions a second) make it long (make bench-reliability
# does).  SEED repeats the choice of disturbances.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use List::Util 'shuffle';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $seconds = $ENV{DURATION} // 8;
my $rate = $ENV{RATE} // 200;
my $seed = defined $ENV{SEED} ? $ENV{SEED} : time() % 1_000_000_000;
diag "  progress: journal: SEED=$seed, $seconds s";
srand($seed);
$PostgreSQL::Test::Utils::timeout_default = 600 if $seconds > 60;

my $node = new_node('journal', "shared_preload_libraries = 'agentcrm'", 'agentcrm.batch_size = 300', 'log_statement = none');
my $db = 'shop';
sub sql { return $node->safe_psql($db, $_[0]); }

$node->safe_psql('postgres', "CREATE DATABASE $db");
sql(q{
	CREATE EXTENSION agentcrm;
	CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int NOT NULL, at timestamptz NOT NULL, version int NOT NULL DEFAULT 1);
	CREATE TABLE lines (order_id bigint, line_no int, product int NOT NULL, quantity int NOT NULL, PRIMARY KEY (order_id, line_no));
	CREATE TABLE journal (order_id bigint, version int, client int, at timestamptz, lines jsonb, PRIMARY KEY (order_id, version));
	CREATE FUNCTION note(id bigint) RETURNS void LANGUAGE sql AS $$
		INSERT INTO journal SELECT o.id, version, client, at, (SELECT jsonb_agg(jsonb_build_array(line_no, product, quantity)) FROM lines WHERE order_id = o.id)
		FROM orders o WHERE o.id = $1 $$;
	CREATE FUNCTION new_order(r int) RETURNS void LANGUAGE sql AS $$
		WITH o AS (INSERT INTO orders (client, at) VALUES (1 + r % 500, date_trunc('second', clock_timestamp()) - make_interval(mins => r % 5000)) RETURNING id)
		INSERT INTO lines SELECT id, l, 1 + (r + l) % 200, 1 + (r + l) % 7 FROM o, generate_series(1, 1 + r % 4) l;
		SELECT note(lastval()) $$;
	CREATE FUNCTION recent(r int) RETURNS bigint LANGUAGE sql AS $$ SELECT max(id) - r % 2000 FROM orders $$;
	-- an edit locks the order's row, so that versions follow each other
	CREATE FUNCTION change_order(o bigint, r int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE orders SET version = version + 1, client = CASE r % 10 WHEN 0 THEN 1 + r % 500 ELSE client END,
			at = CASE r % 10 WHEN 1 THEN at - interval '1 day' ELSE at END WHERE id = o;
		IF FOUND THEN
			CASE r % 4
				WHEN 0 THEN DELETE FROM lines WHERE order_id = o AND line_no = (SELECT max(line_no) FROM lines WHERE order_id = o);
				WHEN 1 THEN INSERT INTO lines SELECT o, coalesce(max(line_no), 0) + 1, 1 + r % 200, 3 FROM lines WHERE order_id = o;
				ELSE UPDATE lines SET quantity = quantity + 1 WHERE order_id = o;
			END CASE;
			PERFORM note(o);
		END IF;
	END $$;
	CREATE FUNCTION change_many(r int) RETURNS void LANGUAGE sql AS $$
		SELECT change_order(id, r + id::int) FROM (SELECT recent(r) + g AS id FROM generate_series(1, 200) g) o ORDER BY id $$;
	CREATE FUNCTION drop_order() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		o orders;
	BEGIN
		SELECT * INTO o FROM orders ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
		DELETE FROM lines WHERE order_id = o.id;
		DELETE FROM orders WHERE id = o.id;
		INSERT INTO journal VALUES (o.id, o.version + 1, NULL, NULL, NULL);
	END $$;
	SELECT new_order(g * 7919) FROM generate_series(1, 3000) g});
sql(q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'orders', lines => 'lines', line_order_key => '{order_id}', client => 'o.client', product => 'l.product',
	at => 'o.at', quantity => 'l.quantity', amount => 'l.quantity * 2.5', run_as => 'postgres')});
consumed($node, $db, 'the first load ends');

# ---- the writers ----

my $dir = PostgreSQL::Test::Utils::tempdir();
my @scripts;
foreach my $script (
	[ 40, 'SELECT new_order(:r);' ],
	[ 30, 'SELECT drop_order();' ],
	[ 30, 'SELECT change_order(recent(:r), :r);' ],
	[ 1, 'SELECT change_many(:r);' ],
	[ 5, 'BEGIN; SELECT new_order(:r); SAVEPOINT a; SELECT new_order(:r + 1); ROLLBACK TO a; SAVEPOINT b; SELECT new_order(:r + 2); RELEASE b; COMMIT;' ],
	[ 3, 'BEGIN; SELECT new_order(:r); SELECT change_order(recent(:r), :r); ROLLBACK;' ])
{
	my $file = "$dir/writer_" . @scripts . '.sql';

	append_to_file($file, "\\set r random(1, 1000000)\n" . $script->[1] =~ s/; /;\n/gr . "\n");
	push @scripts, '-f', "$file\@$script->[0]";
}

# pgbench ends when the server goes: its errors are then the server's.
my $writers;
sub start_writers
{
	my ($time) = @_;

	$writers = { file => "$dir/pgbench", pid => fork() };
	die "cannot fork: $!" unless defined $writers->{pid};
	if ($writers->{pid} == 0)
	{
		open(STDOUT, '>', "$dir/pgbench.out") and open(STDERR, '>', "$dir/pgbench.err")
			and exec 'pgbench', '-n', '-c', '4', '-j', '2', '-R', $rate, '-T', $time, @scripts, $node->connstr($db);
		POSIX::_exit(127);
	}
	return;
}

# ---- the disturbances ----

# The worker gives up when it is killed, or the server stopped, three times before it has done, one by one, what it had in hand:
# so kills keep apart, and where chance has it nevertheless somebody calls resume(), as its remark says.
my %did;
my $killed_at = -1;
my @deck;
my ($holder, $prepared);
my $gid = 0;

my @disturbances = (
	[ killed => sub { strike_worker($node, $db, 'KILL'); } ],
	[ stopped => sub { $node->stop('immediate'); finish_psql($writers); $node->start; } ],
	[ ended => sub { strike_worker($node, $db, 'TERM'); } ],
	[ held => sub {
		close_psql($holder) if $holder;
		$holder = open_psql($node, $db);
		say_psql($holder, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders' . ($gid % 2 ? '; SELECT new_order(1)' : ''));
	} ],
	[ prepared => sub {
		sql((rand() < .7 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$prepared'") if $prepared;
		$prepared = 'kept ' . ++$gid;
		sql("BEGIN; SELECT new_order($gid); SAVEPOINT s; SELECT new_order(7 * $gid); PREPARE TRANSACTION '$prepared'");
	} ]);

my $batch = 'SELECT coalesce(max(batch_no), 0) FROM agentcrm.batch';
my $turn = 'SELECT max(turn_no) FROM agentcrm.event_turn';
my $started = time();
my $told = $started;
my $odd = '';
start_writers($seconds);
$SIG{PIPE} = 'IGNORE';
while ((my $left = $seconds - (time() - $started)) > 1)
{
	my $wanted = sql($batch) + 3 + int(rand(8));
	my $gone = 0;

	# a crash takes the writers along
	unless (psql_runs($writers))
	{
		$odd .= join "\n", grep { /ERROR/ && !/terminat|connection|recovery|shut|starting up/i } split /\n/, slurp_file("$dir/pgbench.err");
		start_writers(int($left) || 1);
	}
	$node->poll_query_until($db, "SELECT ($batch) >= $wanted OR clock_timestamp() > to_timestamp(" . (time() + 10) . ')');
	@deck = shuffle(@disturbances) unless @deck;
	my $what = shift @deck;
	next if $what->[0] eq 'killed' && sql("SELECT EXISTS (SELECT FROM agentcrm.batch WHERE batch_no > $killed_at AND keys > 1)") eq 'f';
	$what->[1]->();
	$did{ $what->[0] }++;
	$node->poll_query_until($db, 'SELECT true');
	$killed_at = sql($batch) if $what->[0] eq 'killed';
	if (sql('SELECT down IS NOT NULL FROM agentcrm.worker_state()') eq 't')
	{
		sql('SELECT agentcrm.resume()');
		$did{resumed}++;
	}
	if (time() - $told > 30)
	{
		diag sprintf('  progress: %.0f s, %s changes committed, %s wait; %s', time() - $started, split(/\|/, sql('SELECT count(*), agentcrm.queue_depth() FROM journal')),
			join(', ', map { "$did{$_} $_" } sort keys %did));
		$told = time();
	}
}
finish_psql($writers);
close_psql($holder) if $holder;
sql("COMMIT PREPARED '$prepared'") if $prepared;
is($odd, '', 'no error but those of a server that goes');
unless (consumed($node, $db, 'everything is consumed'))
{
	done_testing();
	exit 1;
}

# ---- the ledger against the journal ----

sql(q{
	CREATE TABLE final AS SELECT DISTINCT ON (order_id) * FROM journal ORDER BY order_id, version DESC;
	CREATE VIEW want AS SELECT client::bigint, order_id, l->>0 AS line, (l->>1)::bigint AS product, at, (l->>2)::numeric AS quantity FROM final, jsonb_array_elements(lines) l;
	CREATE VIEW have AS SELECT client_id, order_id, line_key, product_id, ordered_at, quantity FROM agentcrm.ledger;
	CREATE VIEW want_profile AS SELECT client, count(DISTINCT order_id), sum(quantity) * 2.5 FROM want GROUP BY client;
	CREATE VIEW have_profile AS SELECT client_id, n_orders, amount FROM agentcrm.client_profile WHERE n_orders > 0});
is(sql('SELECT count(*) FROM final f FULL JOIN orders o ON o.id = f.order_id WHERE (f.client IS NULL) <> (o.id IS NULL)'), '0', 'the journal knows the orders that there are');
my $lost = sql('SELECT count(*) FROM (SELECT * FROM want EXCEPT ALL SELECT * FROM have) x');
my $doubled = sql('SELECT count(*) FROM (SELECT * FROM have EXCEPT ALL SELECT * FROM want) x');
is($lost, 0, 'no line of the journal is missing in the ledger') or diag(sql('SELECT * FROM want EXCEPT ALL SELECT * FROM have LIMIT 10'));
is($doubled, 0, 'no line of the ledger is not in the journal') or diag(sql('SELECT * FROM have EXCEPT ALL SELECT * FROM want LIMIT 10'));
is(sql('(SELECT * FROM want_profile EXCEPT ALL SELECT * FROM have_profile) UNION ALL (SELECT * FROM have_profile EXCEPT ALL SELECT * FROM want_profile) LIMIT 10'), '',
	'the profiles count what the journal counts');
is(sql(q{SELECT cause, at, missing, changed, surplus FROM agentcrm.reconcile_log WHERE reconcile AND missing + changed + surplus > 0}), '', 'no reading after a crash found anything missed');
clean($node, $db, 'against the journal');
is(sql('SELECT count(*) FROM agentcrm.event_failed'), '0', 'no key is blamed');
cmp_ok(3 * ($did{resumed} // 0), '<=', ($did{killed} // 0) + ($did{stopped} // 0), 'it gave up after three crashes, not before');
note sprintf('figures: %s changes of %s orders in %.0f s, lost %d, doubled %d, %s batches, %s turns; %s', split(/\|/, sql('SELECT (SELECT count(*) FROM journal), count(*) FROM final')),
	time() - $started, $lost, $doubled, sql($batch), sql($turn), join(', ', map { "$did{$_} $_" } sort keys %did));
$node->stop;
done_testing();
