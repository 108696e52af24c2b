# Nothing runs with more rights than a source's run_as, and nothing that its
# functions do stays behind; the worker under a plain role; row-level security;
# same-named functions and operators put first in every search_path.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('rights', "shared_preload_libraries = 'agentcrm'", "agentcrm.debug_now = '2026-03-01 08:00+00'", 'agentcrm.idle_poll = 1');
my $db = 'shop';

sub log_since { my ($from) = @_; return substr(slurp_file($node->logfile), $from); }
sub log_end { return length(slurp_file($node->logfile)); }

# A role without any grant writes orders: a function of the owner does it for nobody else.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('postgres', 'CREATE ROLE clerk LOGIN');
make_shop($node, $db);
consumed($node, $db, 'the shop is loaded');
$node->safe_psql($db, q{GRANT USAGE ON SCHEMA shop TO clerk; GRANT INSERT ON shop.orders, shop.lines TO clerk; GRANT SELECT ON shop.orders TO clerk});
is($node->safe_psql($db, q{SELECT has_schema_privilege('clerk', 'agentcrm', 'USAGE')}), 'f', 'the clerk has no right on agentcrm');
$node->safe_psql($db, q{INSERT INTO shop.orders VALUES (8001, 1, '2026-02-27'); INSERT INTO shop.lines VALUES (8001, 1, 1, 1, 5)}, extra_params => [ '-U', 'clerk' ]);
ok($node->poll_query_until($db, q{SELECT count(*) = 1 FROM agentcrm.ledger WHERE order_id = 8001}), 'and the order arrives');

# ---- what functions in the mapping may try ----

# shop.price() runs every statement of shop.attack and writes into the log what came of it, and as whom it then is.
$node->safe_psql($db, q{
	SET ROLE app;
	CREATE TABLE shop.attack (n int GENERATED ALWAYS AS IDENTITY, statement text);
	CREATE TABLE shop.loot (x text);
	CREATE SEQUENCE shop.loot_seq;
	CREATE FUNCTION shop.price(p numeric) RETURNS numeric LANGUAGE plpgsql AS $$
	DECLARE a record;
	BEGIN
		FOR a IN SELECT * FROM shop.attack ORDER BY n LOOP
			BEGIN
				EXECUTE a.statement;
				RAISE LOG 'ATTACK % done as %', a.n, current_user;
			EXCEPTION WHEN OTHERS THEN
				RAISE LOG 'ATTACK % failed as %: %', a.n, current_user, SQLERRM;
			END;
		END LOOP;
		RETURN p;
	END $$});
my @refused = (
	'INSERT INTO shop.loot VALUES (1)', 'UPDATE agentcrm.source SET run_as = $$postgres$$', 'DELETE FROM agentcrm.ledger',
	'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres', 'RESET SESSION AUTHORIZATION', 'RESET ROLE', 'SET ROLE NONE',
	'CREATE TEMP TABLE loot (x int)', 'CREATE TABLE shop.loot2 (x int)', 'DROP TABLE shop.loot', 'PREPARE loot AS SELECT 1', 'DEALLOCATE ALL', 'DISCARD ALL',
	'LISTEN loot', 'UNLISTEN *', 'DECLARE loot CURSOR WITH HOLD FOR SELECT 1', 'SELECT pg_catalog.pg_read_file($$PG_VERSION$$)',
	'SELECT FROM pg_authid', 'COPY (SELECT 1) TO PROGRAM $$true$$', 'SELECT nextval($$shop.loot_seq$$)',
	'SET transaction_read_only = off', 'SELECT set_config($$transaction_read_only$$, $$off$$, true)', 'SET agentcrm.capture = off',
	'CREATE TRIGGER loot AFTER INSERT ON shop.orders EXECUTE FUNCTION agentcrm.capture(1, 1)', 'TRUNCATE shop.loot', 'SELECT agentcrm.pause()',
	'SELECT agentcrm.detach($$shop$$)', 'CALL agentcrm.run()');
# These may succeed, and must not last.
my @undone = (
	'SET work_mem = $$77MB$$', 'SELECT set_config($$search_path$$, $$shop$$, false)', 'SELECT set_config($$shop.mark$$, $$planted$$, false)',
	'SELECT pg_advisory_lock(4242)', 'SELECT pg_advisory_lock_shared(4243)', 'SELECT pg_try_advisory_lock(42, 44)', 'NOTIFY loot', 'SELECT pg_notify($$loot$$, $$x$$)',
	'SELECT lo_create(0)', 'DECLARE loot2 CURSOR FOR SELECT 1', 'SELECT pg_advisory_unlock_all()', 'SELECT pg_advisory_lock(4245)', 'SET row_security = on', 'SET statement_timeout = 1');
$node->safe_psql($db, 'SET ROLE app; ' . join('; ', map { "INSERT INTO shop.attack (statement) VALUES (\$q\$$_\$q\$)" } @refused, @undone));

my $left = q{SELECT current_user, session_user, current_setting('work_mem'), current_setting('search_path'), coalesce(current_setting('shop.mark', true), ''),
	current_setting('statement_timeout'), current_setting('row_security'), current_setting('transaction_read_only'),
	(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors WHERE is_holdable),
	(SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()), (SELECT count(*) FROM shop.loot), (SELECT count(*) FROM pg_largeobject_metadata)};

# What the log says of the attacks: as whom they ran, and which of those that must fail did not.
sub judge
{
	my ($from, $what) = @_;
	my $log = log_since($from);
	my (%done, %user, %tried);

	while ($log =~ /ATTACK (\d+) (done|failed) as (\S+?):?\s/g)
	{
		$done{$1} = 1 if $2 eq 'done';
		$tried{$1} = 1;
		$user{$3} = 1;
	}
	is(scalar(keys %tried), @refused + @undone, "$what: everything was tried");
	is(join(' ', keys %user), 'app', "$what: always as run_as");
	# RESET ROLE and SET ROLE NONE are allowed to do nothing
	is(join('; ', map { $refused[ $_ - 1 ] } grep { $_ <= @refused && $refused[ $_ - 1 ] !~ /ROLE/ } sort { $a <=> $b } keys %done), '', "$what: what must fail fails");
	return;
}

# A session that calls; nothing may differ in it afterwards, nor be heard.
sub attacked
{
	my ($call, $what) = @_;
	my $from = log_end();
	my $session = open_psql($node, $db);
	my $before;

	say_psql($session, 'LISTEN loot');
	$before = say_psql($session, $left);
	unlike(say_psql($session, $call), qr/ERROR|WARNING|FATAL/, "$what works");
	is(say_psql($session, $left), $before, "$what: nothing is left in the session");
	unlike(say_psql($session, 'SELECT 1'), qr/Asynchronous/, "$what: nobody was notified");
	close_psql($session);
	judge($from, $what);
	return;
}

$node->safe_psql($db, q{SELECT agentcrm.pause()});
attacked(q{SELECT * FROM agentcrm.alter_source('shop', amount => 'l.quantity * shop.price(l.price)')}, 'attach');
attacked('CALL agentcrm.run()', 'run()');
attacked('SELECT * FROM agentcrm.verify()', 'verify()');
attacked(q{SELECT * FROM agentcrm.compare('shop') WHERE difference <> 0}, 'compare()');
$node->safe_psql($db, q{SELECT agentcrm.resync('shop')});
attacked(q{CALL agentcrm.backfill('shop')}, 'backfill()');

my $from = log_end();
$node->safe_psql($db, q{UPDATE shop.lines SET quantity = quantity + 1 WHERE order_id = 8001; SELECT agentcrm.resume()});
ok($node->poll_query_until($db, q{SELECT count(*) = 1 FROM agentcrm.ledger WHERE order_id = 8001 AND quantity = 2}), 'the worker reads through the planted function');
judge($from, 'worker');
is($node->safe_psql($db, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), '0', 'worker: no advisory lock is left');

# A session that holds advisory locks: they could not be kept from the planted function, so nothing of it runs.
my $holder = open_psql($node, $db);
my $held = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()};
say_psql($holder, 'SELECT pg_advisory_lock(1)');
$from = log_end();
foreach my $call ('CALL agentcrm.run()', 'SELECT * FROM agentcrm.verify()', q{SELECT * FROM agentcrm.compare('shop')}, q{CALL agentcrm.backfill('shop')}, q{SELECT * FROM agentcrm.alter_source('shop')})
{
	like(say_psql($holder, $call), qr/holds advisory locks/, "$call is refused while the session holds an advisory lock");
}
is(say_psql($holder, $held), "1\n", 'which it still holds');
unlike(log_since($from), qr/ATTACK/, 'nothing of others ran');
close_psql($holder);
$node->safe_psql($db, q{SET ROLE app; DELETE FROM shop.attack});

# Nobody reads as a role that he may not become, whatever agentcrm.source says.
$node->safe_psql($db, q{CREATE ROLE operator LOGIN; SELECT agentcrm.grant_operator('operator'); SELECT agentcrm.pause()});
my @as_operator = (extra_params => [ '-U', 'operator' ]);
my ($code, $out, $err);
foreach my $call ('CALL agentcrm.run()', 'SELECT * FROM agentcrm.verify()', q{SELECT * FROM agentcrm.compare('shop')}, q{CALL agentcrm.backfill('shop')})
{
	($code, $out, $err) = $node->psql($db, $call, @as_operator);
	like($err, qr/role "operator" may not read source "shop" as role "app"/, "$call: not by an operator who is no member of run_as");
}
is($node->safe_psql($db, 'SELECT count(*) FROM agentcrm.event_failed'), '0', 'and no key counts as failed for it');
# Nor can he write rows by which others would read, or act, as a role that he may not become.
$node->safe_psql($db, q{CREATE TABLE public.mine (id int PRIMARY KEY); ALTER TABLE public.mine OWNER TO operator; GRANT CREATE ON SCHEMA public TO operator});
my $source = q{SELECT source_id FROM agentcrm.source WHERE name = 'shop'};
my $columns = q{(name, namespace, run_as, search_path, time_zone, state, attached_at)};
foreach my $write (
	"INSERT INTO agentcrm.source $columns SELECT 'mine', 9, 'app', 'public', 'UTC', 'loading', now()",
	"INSERT INTO agentcrm.source $columns SELECT 'mine', 9, 'postgres', 'public', 'UTC', 'loading', now()",
	"INSERT INTO agentcrm.source $columns SELECT 'mine', 9, 'no such role', 'public', 'UTC', 'loading', now()",
	"UPDATE agentcrm.source SET search_path = 'public' WHERE name = 'shop'",
	"UPDATE agentcrm.source SET run_as = 'postgres' WHERE name = 'shop'",
	"WITH own AS (INSERT INTO agentcrm.source $columns SELECT 'mine', 9, 'operator', 'public', 'UTC', 'loading', now()) SELECT; UPDATE agentcrm.source s SET source_id = -s.source_id WHERE name = 'shop'",
	"UPDATE agentcrm.source_part SET query = 'SELECT 1' WHERE part = 1",
	"INSERT INTO agentcrm.source_part SELECT ($source), 99, 'mine', 'feed', 'SELECT 1', 'public', 'mine', '{id}', '{number}'",
	"BEGIN; INSERT INTO agentcrm.source $columns SELECT 'mine', 9, 'operator', 'public', 'UTC', 'loading', now();
		INSERT INTO agentcrm.source_part SELECT source_id, 99, 'mine', 'feed', 'SELECT 1', 'public', 'mine', '{id}', '{number}' FROM agentcrm.source WHERE name = 'mine'; UPDATE agentcrm.source_part SET source_id = ($source) WHERE part = 99; COMMIT",
	"UPDATE agentcrm.agent SET registrar = 'postgres', function_schema = 'public', function_name = 'f' WHERE agent = 'reorder'",
	"UPDATE agentcrm.agent SET function_schema = 'public' WHERE agent = 'reorder'",
	"INSERT INTO agentcrm.agent (agent, objective, function_schema, function_name, registrar) VALUES ('mine', 'retain', 'public', 'f', 'app')")
{
	($code, $out, $err) = $node->psql($db, $write, @as_operator, on_error_stop => 1);
	like($err, qr/role "operator" may not write a row of agentcrm\.\w+ that lends the rights of role/, 'not by an operator: ' . substr($write, 0, 90));
	$node->safe_psql($db, q{DELETE FROM agentcrm.source WHERE name = 'mine'});
}
# What lends no rights he may write: his own function as an agent, the state of sources and agents.
$node->safe_psql($db, q{
	CREATE FUNCTION public.idle(client_ids bigint[], as_of timestamptz, call jsonb) RETURNS SETOF agentcrm.bid_proposal LANGUAGE sql AS 'SELECT NULL::agentcrm.bid_proposal WHERE false';
	SELECT agentcrm.create_agent('idle', 'retain', 'idle');
	SELECT agentcrm.pause('shop'); SELECT agentcrm.resume('shop'); SELECT agentcrm.pause('reorder'); SELECT agentcrm.resume('reorder');
	SELECT agentcrm.reconcile('shop')}, @as_operator);
is($node->safe_psql($db, q{DELETE FROM agentcrm.agent WHERE agent = 'idle' RETURNING registrar || ' ' || function_schema}), 'operator public', 'his own function he may register');
$node->safe_psql($db, 'DROP FUNCTION public.idle; DROP TABLE public.mine; REVOKE CREATE ON SCHEMA public FROM operator; GRANT app TO operator');
$node->safe_psql($db, 'CALL agentcrm.run(); SELECT * FROM agentcrm.verify()', @as_operator);
pass('a member may');
# Temporary tables of the session that runs the steps do not stand in for the application's.
$node->safe_psql($db, q{
	SET search_path = shop;
	SELECT * FROM agentcrm.attach_query('bare', 'SELECT client_id AS client_key, order_id AS order_key, NULL AS line_key, NULL AS product_key, ordered_at, 1 AS quantity, 2 AS amount FROM bare WHERE order_id = ANY($1)',
		'{shop.orders.order_id}', '{"shop.orders": ["order_id"]}', namespace => 'shop')}) if $node->safe_psql($db, q{
	SET ROLE app; CREATE TABLE shop.bare AS SELECT * FROM shop.orders; RESET ROLE; SELECT 1});
$node->safe_psql($db, 'SET search_path = pg_catalog; CREATE TEMP TABLE bare (order_id bigint, client_id int, ordered_at timestamptz); GRANT ALL ON bare TO PUBLIC; CALL agentcrm.run()');
is($node->safe_psql($db, q{SELECT count(*) > 600 FROM agentcrm.ledger JOIN agentcrm.source USING (source_id) WHERE name = 'bare'}), 't', 'a temporary table does not hide the application\'s');
$node->safe_psql($db, q{SELECT agentcrm.detach('bare')});
$node->safe_psql($db, q{SELECT agentcrm.resume()});
wait_until($node, $db, q{SELECT count(*) = 1 FROM agentcrm.source}, 'bare is gone');
consumed($node, $db, 'all is consumed');
clean($node, $db, 'after the attacks');

# ---- row-level security ----

$node->safe_psql($db, q{
	CREATE ROLE reader;
	GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader;
	SELECT * FROM agentcrm.alter_source('shop', run_as => 'reader')});
consumed($node, $db, 'read as another role');
$node->safe_psql($db, q{
	ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
	CREATE POLICY few ON shop.orders USING (client_id < 30);
	UPDATE shop.lines SET quantity = quantity + 1 WHERE order_id = 10});
ok($node->poll_query_until($db, q{SELECT failed = 1 FROM agentcrm.status WHERE name = 'shop'}), 'row-level security: an order that cannot be read whole is not read at all');
like($node->safe_psql($db, q{SELECT remark FROM agentcrm.status WHERE name = 'shop' AND state = 'broken'}), qr/row-level security of shop\.orders hides rows from role "reader"/, 'status says why');
($code, $out, $err) = $node->psql($db, q{SELECT * FROM agentcrm.alter_source('shop')});
like($err, qr/row.level security/i, 'nor could it be attached so');
$node->safe_psql($db, q{ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY; SELECT agentcrm.resync('shop')});
consumed($node, $db, 'caught up without it');
clean($node, $db, 'after row-level security');
$node->safe_psql($db, q{SELECT * FROM agentcrm.alter_source('shop', run_as => 'app')});
consumed($node, $db, 'read as the owner again');

# ---- the worker under a plain role ----

$node->safe_psql($db, q{CREATE ROLE crm_worker LOGIN; SELECT agentcrm.grant_worker('crm_worker')});
is($node->safe_psql($db, q{SELECT rolsuper FROM pg_roles WHERE rolname = 'crm_worker'}), 'f', 'the worker\'s role is a plain one');
$node->append_conf('postgresql.conf', "agentcrm.worker_role = 'crm_worker'");
$node->restart;
$node->safe_psql($db, q{SELECT agentcrm.go_live('shop')});
ok($node->poll_query_until($db, q{SELECT count(*) > 0 FROM agentcrm.recommendation WHERE status = 'open'}), 'recommendations come');
is($node->safe_psql($db, q{SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity WHERE backend_type = 'agentcrm worker' AND datname = current_database()}),
	'crm_worker', 'from a worker with the plain role');
$node->safe_psql($db, q{INSERT INTO shop.orders VALUES (9500, 5, '2026-02-28'); INSERT INTO shop.lines SELECT 9500, g, g, 1, 3 FROM generate_series(1, 4) g});
ok($node->poll_query_until($db, q{SELECT count(*) = 4 FROM agentcrm.ledger WHERE order_id = 9500}), 'orders arrive');
$node->safe_psql($db, q{
	DO $$ BEGIN FOR i IN 1 .. 12 LOOP INSERT INTO shop.orders SELECT 10000 + i * 400 + g, 1 + g % 60, '2026-02-28' FROM generate_series(1, 400) g;
		INSERT INTO shop.lines SELECT 10000 + i * 400 + g, 1, 1, 1, 1 FROM generate_series(1, 400) g; COMMIT; END LOOP; END $$});
consumed($node, $db, 'a plain worker consumes');
wait_until($node, $db, 'SELECT count(*) > 0 FROM agentcrm.event_turn', 'a plain worker rotates');
$node->safe_psql($db, q{SELECT agentcrm.resync('shop')});
consumed($node, $db, 'a plain worker reads all again');
is($node->safe_psql($db, q{SELECT DISTINCT message FROM agentcrm.error_log WHERE place !~ '^source'}), '', 'no step failed');
clean($node, $db, 'under a plain role');
$node->safe_psql($db, q{REVOKE app FROM crm_worker; UPDATE shop.lines SET quantity = 7 WHERE order_id = 9500});
ok($node->poll_query_until($db, q{SELECT failed = 1 FROM agentcrm.status WHERE name = 'shop'}), 'without membership it does not read');
like($node->safe_psql($db, q{SELECT remark FROM agentcrm.status WHERE name = 'shop'}), qr/role "crm_worker" may not read source "shop" as role "app": GRANT app TO crm_worker/, 'status says so');
$node->safe_psql($db, q{SELECT agentcrm.grant_worker('crm_worker'); SELECT agentcrm.resync('shop')});
consumed($node, $db, 'caught up with it');
clean($node, $db, 'after the membership came back');

# A role that cannot be connected as: status says so, and the worker comes back by itself.
sub no_worker_as
{
	my ($spoil, $problem, $mend) = @_;

	$node->safe_psql($db, $_) foreach @$spoil, 'SELECT pg_terminate_backend(worker_pid) FROM agentcrm.worker_state() WHERE worker_pid IS NOT NULL';
	wait_until($node, $db, q{SELECT state = 'stopped' FROM agentcrm.status WHERE what = 'worker'}, "@$spoil: no worker");
	like($node->safe_psql($db, q{SELECT remark FROM agentcrm.status WHERE what = 'worker'}), qr/^$problem/, 'status says why');
	like(($node->psql($db, 'SELECT agentcrm.start_worker()'))[2], qr/could not start a worker: $problem/, 'so does start_worker()');
	$node->safe_psql($db, $_) foreach @$mend;
	wait_until($node, $db, 'SELECT worker_pid IS NOT NULL FROM agentcrm.worker_state()', "@$mend: the worker is back");
	return;
}
no_worker_as([ 'ALTER ROLE crm_worker NOLOGIN' ], 'role "crm_worker" of agentcrm\.worker_role may not log in: ALTER ROLE crm_worker LOGIN', [ 'ALTER ROLE crm_worker LOGIN' ]);
no_worker_as([ "REVOKE CONNECT ON DATABASE $db FROM PUBLIC, crm_worker" ], qq{role "crm_worker" of agentcrm\\.worker_role may not connect: GRANT CONNECT ON DATABASE $db TO crm_worker},
	[ "GRANT CONNECT ON DATABASE $db TO PUBLIC, crm_worker" ]);
no_worker_as([ q{ALTER SYSTEM SET agentcrm.worker_role = 'nobody here'}, 'SELECT pg_reload_conf()' ], 'role "nobody here" of agentcrm\.worker_role does not exist',
	[ 'ALTER SYSTEM RESET agentcrm.worker_role', 'SELECT pg_reload_conf()' ]);
consumed($node, $db, 'all is consumed');

# ---- same-named functions and operators ----

# A copy of everything in pg_catalog that can be named, each of which tells that it was called; first in the path of the database
# and of the role, and the same in public.
$node->safe_psql($db, q{
	CREATE SCHEMA evil;
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	DO $do$
	DECLARE
		f record;
		s text;
		made int := 0;
	BEGIN
		FOREACH s IN ARRAY ARRAY['evil', 'public'] LOOP
			FOR f IN SELECT p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) AS args, pg_catalog.format_type(p.prorettype, NULL) AS result, p.proretset
				FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
				AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typtype = 'p' AND t.typname NOT IN ('record', 'void', 'any', 'anyarray', 'anyelement', 'anycompatiblearray', 'anycompatible') AND (t.oid = p.prorettype OR t.oid = ANY (p.proargtypes)))
			LOOP
				BEGIN
					EXECUTE format($f$CREATE FUNCTION %I.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS $b$ BEGIN RAISE EXCEPTION 'HIJACKED %%', %L; END $b$ $f$,
						s, f.proname, f.args, CASE WHEN f.proretset THEN 'SETOF ' ELSE '' END, f.result, f.proname);
					made := made + 1;
				EXCEPTION WHEN OTHERS THEN NULL;
				END;
			END LOOP;
			FOR f IN SELECT o.oprname, o.oprleft, o.oprright, o.oprresult, pg_catalog.format_type(o.oprleft, NULL) AS l, pg_catalog.format_type(o.oprright, NULL) AS r, pg_catalog.format_type(o.oprresult, NULL) AS result
				FROM pg_catalog.pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0 AND o.oprright <> 0
			LOOP
				BEGIN
					EXECUTE format($f$CREATE FUNCTION %I.op_%s_%s_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $b$ BEGIN RAISE EXCEPTION 'HIJACKED operator %%', %L; END $b$ $f$,
						s, f.oprleft, f.oprright, pg_catalog.md5(f.oprname), f.l, f.r, f.result, f.oprname);
					EXECUTE format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %I.op_%s_%s_%s)', s, f.oprname, f.l, f.r, s, f.oprleft, f.oprright, pg_catalog.md5(f.oprname));
					made := made + 1;
				EXCEPTION WHEN OTHERS THEN NULL;
				END;
			END LOOP;
		END LOOP;
		IF made < 5000 THEN RAISE EXCEPTION 'only % made', made; END IF;
	END $do$;
	CREATE DOMAIN evil.text AS pg_catalog.int4;
	CREATE DOMAIN evil.name AS pg_catalog.int4;
	CREATE DOMAIN evil.jsonb AS pg_catalog.int4;
	CREATE DOMAIN evil.regclass AS pg_catalog.int4});
$node->safe_psql('postgres', "ALTER DATABASE $db SET search_path = evil, public, pg_catalog");
$node->safe_psql('postgres', "ALTER ROLE $_ SET search_path = evil, public, pg_catalog") foreach ('app', 'crm_worker', scalar getpwuid($<));
like(($node->psql($db, q{SELECT 1 = 1}))[2], qr/HIJACKED operator =/, 'the trap is set');
like(($node->psql($db, q{SELECT lower('X')}))[2], qr/HIJACKED lower/, 'for functions too');
foreach my $role ('', 'crm_worker')
{
	my $what = $role ? 'plain' : 'superuser';
	$node->append_conf('postgresql.conf', "agentcrm.worker_role = '$role'");
	$node->restart;
	$from = log_end();
	my $order = $role ? 9602 : 9601;
	$node->safe_psql($db, "INSERT INTO shop.orders VALUES ($order, 6, '2026-02-28'); INSERT INTO shop.lines VALUES ($order, 1, 1, 1, 3), ($order, 2, 2, 1, 3)");
	ok($node->poll_query_until($db, "SELECT pg_catalog.count(*) OPERATOR(pg_catalog.=) 2 FROM agentcrm.ledger WHERE order_id OPERATOR(pg_catalog.=) $order"),
		"worker, $what: orders arrive");
	unlike(log_since($from), qr/HIJACKED/, "worker, $what: nothing is hijacked");
}
# Expressions of attach mean what they mean under the caller's path: it is called under one of his own.
my @calls = ('SELECT * FROM agentcrm.status', 'SELECT * FROM agentcrm.progress', 'SELECT * FROM agentcrm.work_list LIMIT 1', 'SELECT agentcrm.pause()', 'SELECT agentcrm.queue_depth()',
	'SELECT agentcrm.adopted()', 'SELECT agentcrm.adopt()', 'SELECT agentcrm.copy_of()', 'SELECT agentcrm.queue_held()', "SELECT agentcrm.grant_worker('crm_worker')",
	"SELECT agentcrm.resync('shop')", "SELECT agentcrm.reconcile('shop')", 'CALL agentcrm.run()', "SELECT agentcrm.resync('shop')", "CALL agentcrm.backfill('shop')", 'SELECT * FROM agentcrm.verify()',
	"SELECT * FROM agentcrm.compare('shop')", "SELECT agentcrm.go_live('shop')", 'CALL agentcrm.run()', 'SELECT agentcrm.fit()', "SELECT * FROM agentcrm.profile('{5}', '2026-03-01')",
	"SELECT * FROM agentcrm.portfolio_agent('{5}', '2026-03-01')", "SELECT * FROM agentcrm.reorder_agent('{5}', '2026-03-01')", "SELECT * FROM agentcrm.retention_agent('{5}', '2026-03-01')",
	"SELECT agentcrm.client_id_of('5')", "SELECT * FROM agentcrm.next_actions(5)", "SELECT agentcrm.pause('shop')", "SELECT agentcrm.resume('shop')", "SELECT agentcrm.pause('reorder')", "SELECT agentcrm.resume('reorder')",
	"SELECT * FROM agentcrm.forget(59)", "SELECT agentcrm.why((SELECT recommendation_id FROM agentcrm.recommendation LIMIT 1))",
	"SELECT agentcrm.feedback((SELECT recommendation_id FROM agentcrm.recommendation r WHERE status::pg_catalog.text OPERATOR(pg_catalog.=) 'open' LIMIT 1), 'shown')",
	"SELECT * FROM agentcrm.alter_source('shop', on_delete => 'keep')", "SELECT * FROM agentcrm.attach_feed('shop', 'product', 'SELECT line_no AS product_key FROM shop.lines WHERE line_no OPERATOR(pg_catalog.=) ANY (\$1)', '{\"shop.lines\": [\"line_no\"]}')",
	"SET search_path = shop; SELECT * FROM agentcrm.attach('heads', orders => 'shop.orders', client => 'o.client_id', at => 'o.ordered_at', quantity => '1', amount => '1', namespace => 'shop')",
	"SET search_path = shop; SELECT * FROM agentcrm.attach_query('all', 'SELECT client_id AS client_key, order_id AS order_key, NULL AS line_key, NULL AS product_key, ordered_at, 1 AS quantity, 2 AS amount FROM shop.orders WHERE order_id OPERATOR(pg_catalog.=) ANY (\$1)',
		'{shop.orders.order_id}', '{\"shop.orders\": [\"order_id\"]}')",
	"CALL agentcrm.run()", "SELECT agentcrm.detach('all')", "SELECT agentcrm.detach('heads')", "SELECT agentcrm.grant_operator('operator')", 'SELECT agentcrm.clock()', 'SELECT * FROM agentcrm.worker_state()', 'SELECT agentcrm.wake()', 'SELECT agentcrm.resume()');
foreach my $call (@calls)
{
	(undef, undef, $err) = $node->psql($db, $call);
	unlike($err, qr/HIJACKED|ERROR|FATAL/, substr($call, 0, 60) . ': nothing is hijacked');
}
$node->safe_psql('postgres', "ALTER DATABASE $db RESET search_path");
$node->safe_psql('postgres', "ALTER ROLE $_ RESET search_path") foreach ('app', 'crm_worker', scalar getpwuid($<));
$node->safe_psql($db, 'SET client_min_messages = error; DROP SCHEMA evil CASCADE');
# Every function of SQL or PL/pgSQL pins its path or was resolved when it was made, but those that need the caller's.
is( $node->safe_psql($db, q{
	SELECT pg_catalog.string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace = 'agentcrm'::regnamespace AND l.lanname <> 'c' AND p.prosqlbody IS NULL AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)}),
	'alter_source attach attach_feed attach_query caller_path propose propose_questions', 'only calls that need the caller\'s path do not pin it');
consumed($node, $db, 'all is consumed');
$node->stop;
done_testing();
