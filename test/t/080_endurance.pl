# Days of the demo's shop in accelerated time, with faults at random: its orders
# come in day by day, agentcrm's clock goes with them, and every other day something
# breaks.  All along: state equals recompute, no source is broken, the worker
# catches up and stays small, and recommendations live and end as they may.  At the
# end an idle worker holds and writes nothing.
# DAYS=365 CLIENTS=500 IDLE=60 make it long (make bench-reliability does).  SEED
# repeats the choice of faults.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use List::Util qw(max min shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $days = $ENV{DAYS} // 28;
my $clients = $ENV{CLIENTS} // 100;
my $idle = $ENV{IDLE} // 2;
my $every = $ENV{EVERY} // 4;
my $seed = defined $ENV{SEED} ? $ENV{SEED} : time() % 1_000_000_000;
diag "  progress: endurance: SEED=$seed, $days days, $clients clients";
srand($seed);

my $begun = time();
my $db = 'shop';
my $end = '2026-06-30';
my $node = new_node('endurance', "shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_exit = 1h', 'agentcrm.idle_poll = 1s',
	'agentcrm.reconcile_interval = 0', 'autovacuum_naptime = 5s', 'log_statement = none');

sub sql { return $node->safe_psql($db, $_[0]); }
sub date { return sql("SELECT date '$end' - $days + $_[0]"); }    # 0: the eve of the first day
sub set_clock { my ($date, $time) = (@_, '19:00'); sql("ALTER SYSTEM SET agentcrm.debug_now = '$date $time+00'; SELECT pg_reload_conf()"); return; }
sub chance { return rand() < $_[0]; }

# ---- the shop, and what is to come ----

# The demo's shop is filled to the last day; what lies ahead is put aside and entered when its day has come.
sub fill_shop
{
	my $years = int(($days + 299) / 365) + 1;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($db), '-v', 'seed=' . $seed % 1000, '-v', "clients=$clients", '-v', "years=$years", '-v', "ref=$end",
			'-f', 'demo/shop.sql' ], 'the shop is filled');
	sql(qq{
		CREATE SCHEMA coming;
		CREATE TABLE coming.documents AS
			SELECT *, ordered_at::date AS day, false AS held, false AS done FROM shop.orders WHERE ordered_at >= date '$end' - $days;
		ALTER TABLE coming.documents ADD PRIMARY KEY (order_id);
		CREATE TABLE coming.lines AS SELECT l.* FROM shop.order_lines l JOIN coming.documents USING (order_id);
		CREATE INDEX ON coming.lines (order_id);
		DELETE FROM shop.orders WHERE order_id IN (SELECT order_id FROM coming.documents);
		GRANT USAGE ON SCHEMA coming TO shop_app;
		GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA coming TO shop_app});
	# The application: an order as its screens enter it; what else happens to orders, clients and products; a day.
	sql(q{
		CREATE FUNCTION coming.enter(id bigint) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO shop.orders (order_id, client_id, rep_id, ordered_at, is_return, original_order_id)
			SELECT order_id, client_id, rep_id, ordered_at, is_return, (SELECT o.order_id FROM shop.orders o WHERE o.order_id = d.original_order_id)
			FROM coming.documents d WHERE order_id = id;
			INSERT INTO shop.order_lines SELECT * FROM coming.lines WHERE order_id = id;
			UPDATE shop.orders o SET status = d.status FROM coming.documents d WHERE d.order_id = id AND o.order_id = id;
			UPDATE coming.documents SET done = true WHERE order_id = id;
		END $$;
		CREATE FUNCTION coming.change(id bigint, kind int) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			other bigint := (SELECT order_id FROM shop.orders WHERE order_id < id ORDER BY hashint8extended(order_id, id) LIMIT 1);
		BEGIN
			CASE kind
				WHEN 0, 1 THEN UPDATE shop.order_lines SET quantity = quantity * 2 WHERE order_id = id;
				WHEN 2 THEN UPDATE shop.orders SET status = 'cancelled' WHERE order_id = id;
				WHEN 3 THEN UPDATE shop.orders SET status = CASE status WHEN 'cancelled' THEN 'confirmed' ELSE 'cancelled' END WHERE order_id = other;
				WHEN 4 THEN DELETE FROM shop.orders o WHERE order_id = other AND NOT EXISTS (SELECT FROM shop.orders r WHERE r.original_order_id = o.order_id);
				WHEN 5 THEN UPDATE shop.orders SET client_id = (SELECT client_id FROM shop.clients ORDER BY hashint8extended(client_id, id) LIMIT 1) WHERE order_id = other;
				WHEN 6 THEN UPDATE shop.orders SET ordered_at = ordered_at - interval '3 days' WHERE order_id = other;
				WHEN 7 THEN DELETE FROM shop.order_lines WHERE line_id = (SELECT min(line_id) FROM shop.order_lines WHERE order_id = other);
				WHEN 8 THEN UPDATE shop.clients SET name = name || '.', rep_id = (SELECT rep_id FROM shop.reps ORDER BY hashint8extended(rep_id, id) LIMIT 1), active = NOT active
					WHERE client_id = (SELECT client_id FROM shop.orders WHERE order_id = other);
				WHEN 9 THEN UPDATE shop.products SET pack_qty = pack_qty + 1, active = NOT active WHERE product_id = (SELECT min(product_id) FROM shop.order_lines WHERE order_id = other);
				WHEN 10 THEN
					BEGIN
						UPDATE shop.orders SET status = 'draft' WHERE order_id IN (id, other);
						RAISE EXCEPTION 'the clerk thinks better of it';
					EXCEPTION WHEN raise_exception THEN NULL;
					END;
				ELSE NULL;
			END CASE;
		END $$;
		CREATE PROCEDURE coming.day(until date) LANGUAGE plpgsql AS $$
		DECLARE
			id bigint;
		BEGIN
			FOR id IN SELECT order_id FROM coming.documents WHERE day <= until AND NOT done AND NOT held ORDER BY ordered_at, order_id LOOP
				PERFORM coming.enter(id);
				COMMIT;
				PERFORM coming.change(id, (hashint8extended(id, 0) & 31)::int);
				COMMIT;
			END LOOP;
		END $$});
	return;
}

# ---- agentcrm, watched ----

# Every change of a recommendation's status, to be held against the picture of its life.
sub watch_lives
{
	sql(q{
		CREATE TABLE coming.life (recommendation_id bigint, was text, becomes text, at timestamptz);
		CREATE FUNCTION coming.note_life() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
		BEGIN
			IF TG_OP = 'INSERT' THEN
				INSERT INTO coming.life VALUES (NEW.recommendation_id, 'none', NEW.status, NEW.updated_at);
			ELSIF NEW.status <> OLD.status THEN
				INSERT INTO coming.life VALUES (NEW.recommendation_id, OLD.status, NEW.status, NEW.updated_at);
			END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER note_life AFTER INSERT OR UPDATE ON agentcrm.recommendation FOR EACH ROW EXECUTE FUNCTION coming.note_life();
		CREATE TABLE coming.legal (was text, becomes text[]);
		INSERT INTO coming.legal VALUES ('none', '{open}'), ('open', '{shown,agreed,snoozed,declined,done,expired,withdrawn,displaced}'),
			('shown', '{agreed,snoozed,declined,done,expired}'), ('agreed', '{snoozed,declined,done,failed}'),
			('snoozed', '{shown,agreed,declined,done,expired,withdrawn}')});
	return;
}

# An agent of somebody's own that fails when it is told to.
sub add_agent
{
	sql(q{
		CREATE TABLE coming.mood (bad boolean);
		INSERT INTO coming.mood VALUES (false);
		CREATE FUNCTION coming.moody(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE plpgsql STABLE AS $$
		BEGIN
			IF (SELECT bad FROM coming.mood) THEN
				RAISE EXCEPTION 'not today';
			END IF;
		END $$;
		SELECT agentcrm.create_agent('moody', 'retain', 'coming.moody(bigint[], timestamptz, jsonb)')});
	return;
}

fill_shop();
set_clock(date(0));
sql('CREATE EXTENSION agentcrm');
sql(q{SELECT count(*) FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.order_lines', clients => 'shop.clients', products => 'shop.products', reps => 'shop.reps',
	at => 'o.ordered_at', is_sale => $$o.status = 'confirmed'$$, kind => $$CASE WHEN o.is_return THEN 'return' ELSE 'sale' END$$, quantity => 'l.quantity',
	amount => 'l.quantity * l.unit_price * (1 - l.discount_pct / 100)', rep => 'o.rep_id', client_name => 'c.name', client_parent => 'c.parent_id', client_active => 'c.active',
	channel => 'c.channel', territory => 'c.territory', product_name => 'p.name', category => 'p.category', product_active => 'p.active', pack_qty => 'p.pack_qty')});
consumed($node, $db, 'the first load ends');
watch_lives();
add_agent();
sql(q{SELECT agentcrm.go_live('shop')});

# Nothing is left to do: no key waits, no mark, no reading, nobody is due, nothing stands past its time.
my $settled = q{SELECT agentcrm.queue_depth() = 0 AND NOT (SELECT lost FROM agentcrm.worker_state()) AND NOT EXISTS (SELECT FROM agentcrm.progress WHERE phase <> 'done')
	AND NOT EXISTS (SELECT FROM agentcrm.client_state WHERE next_look_at <= agentcrm.clock())
	AND NOT EXISTS (SELECT FROM agentcrm.recommendation WHERE status IN ('open', 'shown', 'agreed', 'snoozed') AND expires_at <= agentcrm.clock())};

# A key that a killed worker had in hand is set aside, and tried again half a minute later: the clock moves on to that.
sub settle
{
	my ($date) = @_;
	my $later = 'EXISTS (SELECT FROM agentcrm.event_failed WHERE retry_at > agentcrm.clock())';

	$node->poll_query_until($db, "SELECT $later OR ($settled)");
	set_clock($date, '19:01') if sql("SELECT $later") eq 't';
	return $node->poll_query_until($db, $settled);
}

# ---- faults ----

my %open;    # what lasts for days: held, prepared, paused => [ day when it ends, what it needs ]
my $locker;
my @strange = ('epoch');    # days on which a reading after a crash may find something: a mark went with the server

sub open_transaction
{
	my ($day, $rest) = @_;
	my $session = open_psql($node, $db);

	say_psql($session, $rest);
	return [ $day + 1 + int(rand(5)), $session ];
}

sub hold_snapshot
{
	my ($day) = @_;

	close_psql($open{held}[1]) if $open{held};
	$open{held} = open_transaction($day, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM shop.orders');
	return;
}

# Some of the day's orders are entered in a transaction that is prepared, and ended days later.
sub prepare
{
	my ($day, $date) = @_;
	my $ids = sql("SELECT string_agg(order_id::text, ',') FROM (SELECT order_id FROM coming.documents WHERE day <= '$date' AND NOT done AND NOT held LIMIT 3) d");

	return if $open{prepared} || !$ids;
	sql("UPDATE coming.documents SET held = true WHERE order_id IN ($ids)");
	sql("BEGIN; SELECT coming.enter(id) FROM unnest('{$ids}'::bigint[]) id; PREPARE TRANSACTION 'kept'");
	$open{prepared} = [ $day + 1 + int(rand(5)), $ids ];
	return;
}

sub end_prepared
{
	sql((chance(.7) ? 'COMMIT' : 'ROLLBACK') . q{ PREPARED 'kept'});
	sql("UPDATE coming.documents SET held = false WHERE order_id IN ($open{prepared}[1])");
	return;
}

my %ending = (
	held => sub { close_psql($open{held}[1]); },
	prepared => \&end_prepared,
	paused => sub { my ($day) = @_; sql('SELECT agentcrm.resume()'); settle(date($day - 1)); });    # or marks would go with a crash

# Ends what has lasted long enough; all of it at the end.
sub end_lasting
{
	my ($day) = @_;

	foreach my $what (sort keys %open)
	{
		next if $open{$what}[0] > $day;
		$ending{$what}->(min($day, $days + 1));
		delete $open{$what};
	}
	return;
}

# What takes a table away from everybody waits for a prepared transaction, too.
sub end_prepared_now
{
	return unless $open{prepared};
	end_prepared();
	delete $open{prepared};
	return;
}

sub application_setting
{
	my ($setting) = @_;

	sql("ALTER ROLE shop_app IN DATABASE $db " . ($setting ? "SET $setting" : 'RESET ALL'));
	return;
}

# Where the key is lost a mark travels in the queue; where the queue cannot be written it is in shared memory.
my @key_lost = qw(attach watch render allocate);
my @queue_lost = ('turn', 'open', 'open:lock', 'insert', 'insert:disk', 'insert:oom,report', 'inserted', 'inserted:oom');

sub plant_fault { my (@places) = @_; application_setting("agentcrm.debug_fault = '$places[rand @places]'"); return; }

sub lock_queue
{
	my @all = map { "agentcrm.event_$_" } 1 .. 8;
	my $what = chance(.5) ? join(', ', @all) : (@all, 'agentcrm.event_turn', 'agentcrm.source_watch')[ rand 10 ];

	end_prepared_now();
	$locker = open_psql($node, $db);
	say_psql($locker, "BEGIN; LOCK TABLE $what");
	return;
}

sub set_triggers
{
	my ($how) = @_;

	sql("DO \$\$ DECLARE t record; BEGIN FOR t IN SELECT tgrelid::regclass AS r, tgname FROM pg_trigger WHERE tgname LIKE 'agentcrm%' LOOP
		EXECUTE format('ALTER TABLE %s $how TRIGGER %I', t.r, t.tgname); END LOOP; END \$\$");
	return;
}

sub set_capture
{
	my ($capture) = @_;

	sql("ALTER SYSTEM SET agentcrm.capture = $capture; SELECT pg_reload_conf()");
	$node->poll_query_until($db, "SELECT current_setting('agentcrm.capture') = '$capture'");
	return;
}

sub restart { my ($mode) = @_; $node->stop($mode); $node->start; return; }

# before the day's orders, in the middle of them, after them; hard: ends the worker
my %faults = (
	'worker killed' => { hard => 1, middle => sub { strike_worker($node, $db, 'KILL'); } },
	'worker ended' => { hard => 1, middle => sub { strike_worker($node, $db, 'TERM'); } },
	'server stopped at once' => { hard => 1, middle => sub { restart('immediate'); } },
	'server restarted' => { hard => 1, after => sub { restart('fast'); } },
	'keys lost' => { before => sub { plant_fault(@key_lost); }, after => sub { application_setting(); } },
	'queue lost' => { before => sub { plant_fault(@queue_lost); }, after => sub { application_setting(); } },
	'queue lost, server stopped at once' => { hard => 1, strange => 1, before => sub { plant_fault(@queue_lost); }, middle => sub { restart('immediate'); }, after => sub { application_setting(); } },
	'queue locked' => { before => \&lock_queue, after => sub { close_psql($locker); } },
	'snapshot held' => { before => \&hold_snapshot },
	'transaction prepared' => { before => \&prepare },
	'triggers disabled' => { before => sub { end_prepared_now(); set_triggers('DISABLE'); }, after => sub { set_triggers('ENABLE ALWAYS'); sql(q{SELECT agentcrm.reconcile('shop')}); } },
	'load as a replica' => { before => sub { application_setting('session_replication_role = replica'); }, after => sub { application_setting(); } },
	'capture off' => { before => sub { set_capture('off'); }, after => sub { set_capture('on'); } },
	'agent fails' => { before => sub { sql('UPDATE coming.mood SET bad = true'); },
		end => sub { sql(q{UPDATE coming.mood SET bad = false; SELECT agentcrm.resume('moody')}); } },
	'worker paused' => { before => sub { $open{paused} = [ $_[0] + 1 + int(rand(2)) ]; sql('SELECT agentcrm.pause()'); } });
my @deck;
my %met;

# Every kind comes before one comes again; none that ends the worker while it rests or is watched.
sub draw_fault
{
	my ($gentle) = @_;

	@deck = shuffle(sort keys %faults) unless @deck;
	my ($at) = grep { !($gentle && ($faults{ $deck[$_] }{hard} || $deck[$_] eq 'worker paused')) } 0 .. $#deck;
	return unless defined $at;
	my $name = splice(@deck, $at, 1);
	$met{$name}++;
	return $name;
}

# ---- a day ----

my $file = PostgreSQL::Test::Utils::tempdir() . '/day.sql';
my $entered = 0;

sub left { my ($date) = @_; return sql("SELECT count(*) FROM coming.documents WHERE day <= '$date' AND NOT done AND NOT held"); }

# The application enters the day's orders; when the server goes, it comes back and enters the rest.
sub enter_orders
{
	my ($day, $date, $fault) = @_;
	my $todo = left($date);
	my $middle = $fault->{middle};

	$entered += $todo;
	PostgreSQL::Test::Utils::append_to_file("$file.$day", "CALL coming.day('$date');\n");
	for (1 .. 5)
	{
		my $writer = start_psql($node, $db, 'shop_app', "$file.$day");

		if ($middle)
		{
			usleep(10_000) while psql_runs($writer) && left($date) > $todo / 2;
			$middle->();
			undef $middle;
		}
		my ($out, $err) = finish_psql($writer);
		$node->poll_query_until($db, 'SELECT true');
		return if left($date) == 0;
		fail("day $day: $err"), return unless $fault->{hard};
	}
	fail("day $day: the application could not enter its orders");
	return;
}

# Reps say what became of what they were asked to do.
sub give_feedback
{
	sql(q{SELECT agentcrm.feedback(recommendation_id, verdict)
		FROM (SELECT recommendation_id, status, ('{shown,agreed,snoozed,declined,done}'::text[])[1 + (hashint8extended(recommendation_id, extract(day FROM agentcrm.clock())::int) & 1023) % 5] AS verdict
			FROM agentcrm.recommendation WHERE status IN ('open', 'shown', 'agreed', 'snoozed') AND due_on <= agentcrm.clock()::date
			ORDER BY hashint8extended(recommendation_id, 1) LIMIT 8) r
		WHERE NOT (status IN ('shown', 'agreed') AND verdict IN ('shown', 'agreed'))});
	return;
}

my $longest = 0;
my $peak = 0;        # of any worker, kB
my @allocated;       # [ pid, bytes ] of the worker when its caches are filled, and at the end

sub worker_kb
{
	my ($pid) = @_;
	my $kb = -e "/proc/$pid/status" && slurp_file("/proc/$pid/status") =~ /RssAnon:\s+(\d+)/ ? $1 : 0;

	$peak = max($peak, $kb);
	return $kb;
}

# What the idle worker holds after it has read everything, by its own account: the process keeps or gives back pages as malloc likes.
sub watch_allocation
{
	my $pid;
	my $seen = -s $node->logfile;
	my $total = qr/Grand total: (\d+) bytes/;

	sql(q{SELECT agentcrm.reconcile('shop')});
	$node->poll_query_until($db, $settled);
	$pid = worker_pid($node, $db);
	sql("SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log($total, $seen);
	push @allocated, [ $pid, slurp_file($node->logfile, $seen) =~ $total ? $1 : 0 ];
	return;
}

# ---- what must hold ----

my $standing = q{status IN ('open', 'shown', 'agreed', 'snoozed')};
my $contact = q{channel IS NOT NULL AND status NOT IN ('withdrawn', 'displaced', 'withheld')};
my %rules = (
	'no source is broken' => q{SELECT name, state FROM agentcrm.source WHERE state <> 'live'},
	'the worker is neither down nor blamed for a key' => q{SELECT down FROM agentcrm.worker_state() WHERE down IS NOT NULL UNION ALL SELECT key FROM agentcrm.event_failed},
	'no agent is paused' => q{SELECT agent, problem FROM agentcrm.agent WHERE mode <> 'active' AND agent <> 'moody'},
	'recommendations change as they may' => q{SELECT DISTINCT l.was, l.becomes FROM coming.life l LEFT JOIN coming.legal g USING (was) WHERE l.becomes = ANY (g.becomes) IS NOT TRUE},
	'what was recommended began once and ended once' => q{SELECT recommendation_id FROM coming.life GROUP BY 1
		HAVING count(*) FILTER (WHERE was = 'none') <> 1 OR count(*) FILTER (WHERE becomes IN ('declined', 'done', 'failed', 'expired', 'withdrawn', 'displaced')) > 1},
	'contact caps are kept' => qq{SELECT r.client_id, p.channel, r.due_on FROM agentcrm.recommendation r JOIN agentcrm.contact_policy p ON p.channel IN ('*', r.channel)
		WHERE r.$contact AND (SELECT count(*) FROM (SELECT * FROM agentcrm.recommendation WHERE $contact) o
			WHERE o.client_id = r.client_id AND p.channel IN ('*', o.channel) AND o.due_on >= r.due_on AND o.due_on < r.due_on + p.per_days) > p.max_contacts},
	'cool-downs are kept' => qq{SELECT r.client_id, p.channel, r.due_on, o.due_on FROM (SELECT * FROM agentcrm.recommendation WHERE $contact) r
		JOIN (SELECT * FROM agentcrm.recommendation WHERE $contact) o ON o.client_id = r.client_id AND o.recommendation_id > r.recommendation_id
		JOIN agentcrm.contact_policy p ON p.channel = '*' OR p.channel = r.channel AND r.channel = o.channel AND r.action = o.action
		WHERE abs(o.due_on - r.due_on) < p.cooldown_days},
	'minutes of reps are kept' => q{SELECT owner_id, day, sum(amount) FROM agentcrm.resource_use GROUP BY owner_id, day HAVING sum(amount) > 240 OR sum(amount) < 0},
	'a demand is sought once' => qq{SELECT a.client_id, a.recommendation_id, b.recommendation_id FROM (SELECT * FROM agentcrm.recommendation WHERE $standing) a
		JOIN (SELECT * FROM agentcrm.recommendation WHERE $standing) b ON a.client_id = b.client_id AND a.recommendation_id < b.recommendation_id
		WHERE (a.demand_category = b.demand_category OR '*' IN (a.demand_category, b.demand_category)) AND a.demand_from < b.demand_to AND b.demand_from < a.demand_to},
	'after a crash nothing was missed' => q{SELECT part, at, missing, changed, surplus FROM agentcrm.reconcile_log
		WHERE cause = 'server start' AND missing + changed + surplus > 0 AND at::date <> ALL ('{STRANGE}')});

sub check
{
	my ($what) = @_;

	clean($node, $db, $what);
	my $broken = sql(join("\nUNION ALL\n", map { "(SELECT '$_', x::text FROM (" . $rules{$_} =~ s/STRANGE/join ',', @strange/er . ') x LIMIT 5)' } sort keys %rules));
	is($broken, '', "$what: " . join(', ', sort keys %rules));
	return;
}

my $last = int(max(4, $days / 6));    # days through which one worker lives

foreach my $day (1 .. $days)
{
	my $date = date($day);
	my $watched = $day > $days - $last;

	end_lasting($day);
	set_clock($date);
	# nothing breaks on a day without orders
	my $name = left($date) > 2 && chance(.8) && draw_fault($watched || $open{paused});
	my $fault = $name ? $faults{$name} : {};
	push @strange, $date if $fault->{strange};
	$fault->{before}->($day, $date) if $fault->{before};
	enter_orders($day, $date, $fault);
	$fault->{after}->() if $fault->{after};
	next if $open{paused};
	my $started = time();
	unless (settle($date))
	{
		fail("day $day, " . ($name || 'no fault') . ': settled');
		diag(sql('SELECT * FROM agentcrm.status'), "\n", sql('SELECT * FROM agentcrm.event_failed LIMIT 3'));
		last;
	}
	$longest = max($longest, time() - $started);
	$fault->{end}->() if $fault->{end};
	watch_allocation() if $day > $days - $last * 2 / 3 && !@allocated;    # its caches are filled by now
	give_feedback();
	worker_kb(worker_pid($node, $db) || 'none');
	note sprintf('day %d, %s: settled after %.1f s', $day, $name || 'no fault', time() - $started);
	check("day $day") if $day % $every == 0;
	diag sprintf('  progress: day %d of %d, %d orders, %.0f s', $day, $days, $entered, time() - $begun) if $day % max(30, $every) == 0;
}

# ---- at the end ----

end_lasting(1e9);
ok(settle(date($days)), 'the last day is settled');
check('at the end');
cmp_ok(sql('SELECT count(*) FROM coming.documents WHERE NOT done'), '<=', 3, 'all documents were entered');
watch_allocation();
consumed($node, $db, 'a last reconcile ends');
is(sql(q{SELECT part, missing, changed, surplus FROM agentcrm.reconcile_log WHERE cause = 'reconcile' AND missing + changed + surplus > 0
	AND reading = (SELECT max(reading) FROM agentcrm.reconcile_log l WHERE l.source_id = reconcile_log.source_id AND l.part = reconcile_log.part)}), '', 'and finds nothing');
cmp_ok($longest, '<', 60, sprintf('lag: settled after %.1f s at most', $longest));
my $growth = ($allocated[-1][1] - $allocated[0][1]) / 1024 / 1024;
is($allocated[-1][0], $allocated[0][0], 'one worker lived through the last days');
cmp_ok($growth, '<', 1, sprintf('and holds %.2f MB, %.2f MB more than before them', $allocated[-1][1] / 1024 / 1024, $growth));
cmp_ok($peak / 1024, '<', 64, sprintf('none ever held more than %.1f MB', $peak / 1024));

# ---- idle ----

sub traces { return sql(q{SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_snapshot_xmax(pg_current_snapshot())}); }

sql('ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf()');
ok($node->poll_query_until($db, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker')}), 'nothing else is at work');
sql('CHECKPOINT');
my ($seen, $rested) = ('', time() + 60);
while ($seen ne traces() && time() < $rested)
{
	$seen = traces();
	usleep(1_000_000);
}
cmp_ok(time(), '<', $rested, 'the worker comes to rest');
my @before = split /\|/, traces();
my $idle_from = time();
my ($looks, $held, $holding) = (0, 0, 0);
# it looks for work four times a second, under a snapshot of a moment: only one seen twice in a row is held
while (time() - $idle_from < $idle)
{
	my $now = sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'agentcrm%' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)});

	$held++ if $now && $holding;
	$holding = $now;
	$looks++;
	usleep(50_000);
}
my @after = split /\|/, traces();
ok(worker_pid($node, $db), "the worker is there, idle for $idle s");
is($held, 0, "and holds no xmin, seen $looks times");
is($after[0] - $before[0], 0, 'writes no WAL');
is($after[1] - $before[1], 0, 'uses no transaction number');

note join(', ', map { "$_: $met{$_}" } sort keys %met);
note sprintf('figures: days %d, orders %d, faults %d, lag %.1f s, growth %.3f MB, peak %.1f MB, idle WAL %d, idle XIDs %d, held %d', $days, $entered, eval { my $n = 0; $n += $_ foreach values %met; $n },
	$longest, $growth, $peak / 1024, $after[0] - $before[0], $after[1] - $before[1], $held);
note sql(q{SELECT string_agg(status || ' ' || n, ', ') FROM (SELECT status, count(*) AS n FROM agentcrm.recommendation GROUP BY status ORDER BY status) s}) . sprintf('; %.0f s', time() - $begun);
$node->stop;
done_testing();
