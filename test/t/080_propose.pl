# Schemas that nobody described: propose finds tables and expressions, attach
# takes them or refuses with a call that works as it stands, and the ledger then
# has the known figures.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use Cwd;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $shared = getcwd() . '/../shared/data';
my $shapes = -f "$shared/shapes/shapes.sql";
my $node = new_node('propose');
my ($ahead, %expected);

sub load
{
	my ($database, $file, $path) = @_;
	my ($dir) = $file =~ m{^(.*)/};
	my $connect = $node->connstr($database) . ' user=app' . ($path ? " options='-c search_path=$path'" : '');

	command_ok([ 'bash', '-c', qq{cd "$dir" && psql -X -q -v ON_ERROR_STOP=1 -d "$connect" -f "$file"} ], "$file loads");
	return;
}

# Of a locale that knows no letters but the Latin ones: names are to be read all the same.
sub new_database
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER app TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION agentcrm; SELECT agentcrm.pause(); GRANT CREATE ON SCHEMA public TO app');
	return;
}

# Attaches by name alone; on refusal makes the call of the hint.  Gives the number of open questions, undef when it did not work.
sub attach_by_name
{
	my ($database, $name, $arguments) = @_;
	my $given = "'" . $name . "'" . ($arguments ? ", $arguments" : '');
	my ($status, $stdout, $stderr) = $node->psql($database, "SELECT * FROM agentcrm.attach($given)");

	return 0 if $status == 0;
	my $open = $stderr =~ /(\d+) questions are open/ ? $1 : $stderr =~ /a question is open/ ? 1 : undef;
	my ($call) = $stderr =~ /^HINT:  (SELECT .*)$/m;
	unless (defined $open && defined $call)
	{
		diag($stderr);
		return undef;
	}
	($status, $stdout, $stderr) = $node->psql($database, $call);
	diag("$call\n$stderr") if $status;
	return $status ? undef : $open;
}

sub of_ledger
{
	my ($name) = @_;
	return qq{SELECT string_agg(trim_scale(ledger)::text, '|' ORDER BY array_position('{clients,orders,lines,amount}', item))
		FROM agentcrm.compare('$name') WHERE item IN ('clients', 'orders', 'lines', 'amount')};
}

sub figures
{
	my ($database, $name) = @_;

	my ($status, $stdout) = $node->psql($database, "CALL agentcrm.backfill('$name');\n" . of_ledger($name) . ';');	# a statement each, in one session
	return (split /\n/, $stdout)[-1] // '';
}

# Compares the best mapping of each application with the right one, argument by argument.
sub judge
{
	my ($database) = @_;

	$node->poll_query_until($database, q{SELECT to_regclass('public.best') IS NOT NULL}) || diag(slurp_file("$ahead->{file}.err"));
	my $wrong = $node->safe_psql($database, q{
		CREATE TABLE judged AS
		SELECT e.app, w.key, w.value AS wanted, CASE WHEN w.value LIKE '[%' THEN (b.m -> 'options' -> w.key)::text ELSE b.m -> 'options' ->> w.key END AS got
		FROM expected.mapping e JOIN best b USING (app), jsonb_each_text(e.wanted) w;
		SELECT string_agg(format('%s.%s is %s, not %s', app, key, got, wanted), E'\n') FROM judged WHERE got IS DISTINCT FROM wanted});
	my ($tables, $columns, $whole, $all) = split /\|/, $node->safe_psql($database, q{
		SELECT round(100.0 * count(*) FILTER (WHERE key = ANY (tables) AND got = wanted) / count(*) FILTER (WHERE key = ANY (tables))),
			round(100.0 * count(*) FILTER (WHERE key <> ALL (tables) AND got = wanted) / count(*) FILTER (WHERE key <> ALL (tables))),
			(SELECT count(*) FROM (SELECT FROM judged GROUP BY app HAVING bool_and(got IS NOT DISTINCT FROM wanted)) AS w), count(DISTINCT app)
		FROM judged, (SELECT '{orders,lines,clients,products}'::text[] AS tables) AS t});
	note "$database: right tables $tables %, right columns $columns %, right whole mappings $whole of $all";
	is($wrong, '', "$database: every table and expression is the right one");
	return $all;
}

sub expected
{
	my ($database, $name) = @_;

	$expected{$database} //= { map { split /=/, $_, 2 } split /\n/, $node->safe_psql($database, "SELECT app || '=' || concat_ws('|', clients, orders, lines, trim_scale(net)) FROM expected.mapping") };
	return $expected{$database}{$name};
}

# Attaches all applications of a database that have figures, in a process of its own; gives what to wait for.
sub attach_ahead
{
	my ($database) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$database.attached";
	my $pid = fork();

	die "cannot fork: $!" unless defined $pid;
	return { pid => $pid, file => $file } if $pid;
	eval {
		foreach my $app (split /\n/, $node->safe_psql($database, 'SELECT app FROM expected.mapping WHERE clients IS NOT NULL ORDER BY app COLLATE "C"'))
		{
			append_to_file($file, join('=', $app, attach_by_name($database, $app) // 'not', figures($database, $app)) . "\n");
		}
		1;
	} or diag($@);
	POSIX::_exit(0);	# without the server's end, which is its parent's
}

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

# ---- what takes long is computed by a second session, ahead of where it is looked at ----

foreach my $database (qw(kinds applications strangers))
{
	new_database($database);
	load($database, getcwd() . '/test/propose/' . ($database eq 'kinds' ? 'schemas' : $database) . '.sql');
}
if ($shapes)
{
	new_database('retail');
	load('retail', "$shared/online_retail/load.sql");
	cmp_ok(attach_by_name('retail', 'retail') // 9, '<=', 2, 'Online Retail attaches by its name');
}
my $script = PostgreSQL::Test::Utils::tempdir() . '/ahead.sql';
append_to_file($script, join("\n", (map { "\\connect $_\nCREATE TABLE best AS SELECT e.app, agentcrm.propose_mappings(coalesce(e.schemas, ARRAY[e.app::name])) -> 0 AS m FROM expected.mapping e;" } qw(kinds applications strangers)),
		$shapes ? ('\connect retail', "CALL agentcrm.backfill('retail');", of_ledger('retail') . ';') : (), ''));
$ahead = start_psql($node, 'kinds', scalar getpwuid($<), $script);
my $strangers = attach_ahead('strangers');

# ---- small schemas of many kinds ----

my $all = judge('kinds');
cmp_ok($all, '>=', 19, "$all schemas");
foreach my $app (split /\n/, $node->safe_psql('kinds', 'SELECT app FROM expected.mapping ORDER BY app COLLATE "C"'))
{
	my $open = attach_by_name('kinds', $app);
	ok(defined $open, "$app attaches by its name" . (defined $open ? ", $open questions" : ''));
	is(figures('kinds', $app), expected('kinds', $app), "$app: figures");
}
# a stock item that lines look their product up by is followed
$node->safe_psql('kinds', q{UPDATE chained.itemsite SET itemsite_item_id = 6 WHERE itemsite_id = 1; CALL agentcrm.run()});
# so are rates (of USD 10 orders lie in the week from 2024-02-05 on), contacts that change their company, and new versions of orders
$node->safe_psql('kinds', q{
	UPDATE daily.exchange_rate SET rate = 2 WHERE currency = 'USD' AND valid_from = '2024-02-05';
	DELETE FROM daily.exchange_rate WHERE currency = 'GBP' AND valid_from = '2024-02-12';
	INSERT INTO daily.exchange_rate VALUES ('USD', '2024-02-17', 3);
	UPDATE daily.contact SET company_id = 4 WHERE id = 16;
	INSERT INTO versioned.sales_order VALUES (1, 3, 1, '2024-01-02', 'confirmed');
	INSERT INTO versioned.sales_order_line VALUES (1, 3, 1, 1, 1, 1000);
	INSERT INTO revised.sales_order (id, order_number, revision, customer_id, order_date) VALUES (900, 'SO2', 9, 3, '2024-01-03');
	INSERT INTO revised.sales_order_item VALUES (900, 900, 1, 1, 2000);
	UPDATE replaced.sales_order SET superseded_by = 3 WHERE id = 4});
$node->safe_psql('kinds', 'CALL agentcrm.run()');
is($node->safe_psql('kinds', q{SELECT string_agg(concat_ws(' ', name, (SELECT trim_scale(ledger) FROM agentcrm.compare(name) WHERE item = 'amount'), (SELECT trim_scale(difference) FROM agentcrm.compare(name) WHERE item = 'amount')), ', ' ORDER BY name)
		FROM unnest('{daily,versioned,revised,replaced}'::text[]) name}),
	$node->safe_psql('kinds', q{SELECT concat_ws(', ', 'daily ' || (SELECT trim_scale(sum(l.amount * CASE o.currency WHEN 'EUR' THEN 1 ELSE (SELECT r.rate FROM daily.exchange_rate r WHERE r.currency = o.currency AND r.valid_from <= o.order_date ORDER BY r.valid_from DESC LIMIT 1) END))
			FROM daily.orders o JOIN daily.order_line l ON l.order_id = o.id) || ' 0', 'replaced 945 0',
		'revised ' || (SELECT sum(l.net_amount) FROM revised.sales_order_item l JOIN revised.sales_order o ON o.id = l.sales_order_id WHERE o.revision = (SELECT max(revision) FROM revised.sales_order v WHERE v.order_number = o.order_number)) || ' 0',
		'versioned ' || (SELECT sum(l.amount) FROM versioned.sales_order_line l WHERE l.version_no = (SELECT max(version_no) FROM versioned.sales_order v WHERE v.order_no = l.order_no)) || ' 0')}),
	'changed rates, new versions and replaced orders are followed');
is($node->safe_psql('kinds', q{SELECT string_agg(c.name || ' under ' || r.name, ', ' ORDER BY c.name) FROM agentcrm.client c JOIN agentcrm.client r ON r.client_id = c.root_client_id JOIN agentcrm.source s ON s.namespace = c.namespace AND s.name = 'daily' WHERE c.name IN ('co 2', 'co 4')}),
	'co 2 under co 1, co 4 under co 1', 'the parent of a parent is the root');
clean($node, 'kinds', 'all of them');
foreach my $call (q{SELECT * FROM agentcrm.attach('screen', schemas => '{uuids}', dry_run => true)},
	q{SELECT * FROM agentcrm.attach('screen', orders => 'uuids.orders', lines => 'uuids.order_items', clients => 'uuids.customers', products => 'uuids.products', at => 'o.placed_at', quantity => 'l.quantity',
		amount => 'l.line_total', is_sale => $$o.status <> 'cancelled'$$, client_name => 'c.full_name', product_name => 'p.title', dry_run => true)})
{
	my ($shown) = run_command([ 'psql', '-X', '-d', $node->connstr('kinds'), '-c', $call ]);
	my $lines = 0;
	$lines += 1 + int((length($_) - 1) / 100) foreach grep { length } split /\n/, $shown;
	cmp_ok($lines, '<=', 24, "a dry run's report fits a screen of 24 lines of 100 columns");
	like($shown, qr/^ amount +\| 2160(\.0+)? *$/m, 'and has the figures') if $call =~ /schemas/;
}

# what was left out, and what is asked
is($node->safe_psql('kinds', q{SELECT count(*) FROM agentcrm.propose() WHERE relation ~* 'archive|purchase|angebot|compras|cart|poitem|pohead|fournisseur|stg_|_log|_20(23|24)$' AND role IN ('orders', 'lines')}), 0,
	'no archive, purchase, quote, cart, staging table, log or partition is proposed');
is($node->safe_psql('kinds', q{SELECT string_agg(value || ' ' || reading || ' ' || counts || ' ' || orders || ' ' || first_at::date, ', ' ORDER BY value) FROM agentcrm.propose_questions('{espanol}') WHERE mapping = 1 AND argument = 'is_sale' AND open}),
	'Anulado (4) cancelled false 25 2024-03-01, Borrador (1) draft false 25 2024-03-02, Confirmado (2) sale true 25 2024-03-01, Entregado (3) sale true 25 2024-03-01',
	'statuses by the names of the status table, with orders and dates');
is($node->safe_psql('kinds', q{SELECT string_agg(DISTINCT mapping || ' ' || relation, ', ') FROM agentcrm.propose('{twofold}') WHERE role = 'orders' AND rank = 1}),
	'1 twofold.customer_order, 2 twofold.invoice', 'orders and invoices are alternatives');
my ($status, $stdout, $stderr) = $node->psql('kinds', q{SELECT * FROM agentcrm.attach('any')});
like($stderr, qr/which orders\?/, 'several applications: which one is asked');
($status, $stdout, $stderr) = $node->psql('kinds', q{SELECT item FROM agentcrm.attach('again', schemas => '{espanol}', dry_run => true) WHERE item IN ('open', 'call') ORDER BY 1});
is($stdout, "call\nopen", 'a dry run tells the question and the call');
($status, $stdout, $stderr) = $node->psql('kinds', q{SELECT * FROM agentcrm.attach('again', schemas => '{espanol}', is_sale => 'o.id_estado = 3')});
is($status, 0, 'a question is answered by its argument') or diag($stderr);
is(figures('kinds', 'again'), '5|25|50|350', 'and the answer counts');

# ---- the tables of known applications: by propose alone, and as the document says ----

cmp_ok($all = judge('applications'), '>=', 34, "$all applications");
is($node->safe_psql('applications', q{SELECT string_agg(app, ', ') FROM best
	WHERE (SELECT count(DISTINCT q ->> 'argument') FROM jsonb_array_elements(m -> 'questions') q WHERE (q ->> 'open')::boolean) > 2}), '', 'none asks more than two questions');
my $document = slurp_file('doc/attach.md');
my ($gallery) = $document =~ /^## Gallery\n(.*?)^## /ms;
my %shown;
load('applications', "$shared/shapes/shapes.sql") if $shapes;
while ($gallery =~ /```sql\n(SELECT \* FROM agentcrm\.attach(?:_query)?\('(\w+)'.*?)```\nWatched: (.*?)\./sg)
{
	my ($call, $name, $watched) = ($1, $2, join(', ', sort split /,\s+/, $3));
	(my $app = $name) =~ s/_meta$//;
	my $figures = expected('applications', $app);
	$figures = $node->safe_psql('applications', "SELECT concat_ws('|', clients, orders, lines, trim_scale(net)) FROM shapes.expect WHERE app = '$app'") if !$figures && $shapes;
	next unless $figures;
	$shown{$name} = 1;
	my ($status, $stdout, $stderr) = $node->psql('applications', $call);
	is($status, 0, "$name attaches as the document says") or diag($stderr);
	is(figures('applications', $name), $figures, "$name: figures");
	is($node->safe_psql('applications', qq{SELECT string_agg(DISTINCT table_name, ', ' ORDER BY table_name) FROM agentcrm.source_watch JOIN agentcrm.source USING (source_id) WHERE name = '$name'}), $watched, "$name: what is watched");
}
cmp_ok(scalar keys %shown, '>=', $shapes ? 13 : 9, 'calls of the document were run: ' . join(', ', sort keys %shown));
# whom the document does not show is tried by the call that answers the questions
foreach my $row (split /\n/, $node->safe_psql('applications', q{SELECT app || '|' || agentcrm.attach_call(app, m -> 'options') FROM best JOIN expected.mapping USING (app) WHERE clients IS NOT NULL ORDER BY app COLLATE "C"}))
{
	my ($app, $call) = split /\|/, $row, 2;
	next if $shown{$app};
	$call =~ s/^SELECT \* FROM (.*)\)$/$1, dry_run => true)/s;
	is($node->safe_psql('applications', qq{SELECT string_agg(trim_scale(detail::numeric)::text, '|' ORDER BY array_position('{clients,orders,lines,amount}', item)) FROM $call
		WHERE item IN ('clients', 'orders', 'lines', 'amount')}), expected('applications', $app), "$app: figures of a dry run");
}
clean($node, 'applications', 'the gallery');

# ---- schemas written by people who had not seen how it works ----

cmp_ok($all = judge('strangers'), '>=', 16, "$all schemas of strangers");
waitpid($strangers->{pid}, 0);
my %attached = map { (split /=/, $_, 2) } split /\n/, slurp_file($strangers->{file});
expected('strangers', '');
foreach my $app (grep { $expected{strangers}{$_} } sort keys %{ $expected{strangers} })
{
	my ($open, $figures) = split /=/, $attached{$app} // 'not=';
	ok($open ne 'not' && $open <= 3, "$app attaches by its name, $open open questions");
	is($figures, expected('strangers', $app), "$app: figures");
}
is($node->safe_psql('strangers', q{SELECT string_agg(app, ', ') FROM expected.mapping, (SELECT '{pharma,hanbai,hurtownia,rails_b2b,wawi,cubecart,b1,suitecrm,legado}'::name[] AS s) AS several WHERE app = ANY (s) AND app NOT IN (SELECT split_part(relation, '.', 1) FROM agentcrm.propose(s) WHERE role IN ('orders', 'lines'))}), '',
	'none of many applications hides another');
($status, $stdout, $stderr) = $node->psql('strangers', q{SELECT * FROM agentcrm.attach('expected')});
like($stderr, qr/no table that you may read looks like orders in expected/, 'a schema without orders is not attached with those of another');
clean($node, 'strangers', 'strangers');

# ---- a database of 500 tables, one of them large ----

new_database('large');
$node->safe_psql('large', q{
	SET ROLE app;
	CREATE SCHEMA erp;
	DO $$
	DECLARE
		names text[] := '{customer,product,supplier,purchase_order,purchase_order_line,payment,shipment,employee,account,journal,location,stock_move,project,task,contract,ticket,lead,email,setting,invoice,invoice_line,quote,quote_line,delivery,delivery_line}';
	BEGIN
		FOR i IN 0 .. 497 LOOP
			EXECUTE format('CREATE TABLE erp.%I (id bigserial PRIMARY KEY, code text, name text, customer_id bigint, product_id bigint, order_id bigint, invoice_id bigint, user_id bigint, status text, type text, quantity numeric, unit_price numeric,
				amount numeric, tax_amount numeric, currency text, order_date date, due_date date, created_at timestamp, %I text)', names[1 + i % 25] || CASE WHEN i < 25 THEN '' ELSE '_' || chr(97 + i / 25) || 'x' END, 'extra_' || i);
			IF i % 100 = 99 THEN
				COMMIT;
				SET ROLE app;
			END IF;
		END LOOP;
	END $$;
	CREATE TABLE erp.sales_order (id bigserial PRIMARY KEY, customer_id bigint, order_date date, status text);
	CREATE TABLE erp.sales_order_line (id bigserial PRIMARY KEY, order_id bigint, product_id bigint, qty int, price numeric, line_total numeric);
	INSERT INTO erp.customer (name) SELECT 'c' || i FROM generate_series(1, 2000) i;
	INSERT INTO erp.product (name) SELECT 'p' || i FROM generate_series(1, 2000) i;
	INSERT INTO erp.sales_order (customer_id, order_date, status) SELECT 1 + i % 2000, '2020-01-01'::date + i % 1500, 'done' FROM generate_series(1, 100000) i;
	INSERT INTO erp.sales_order_line (order_id, product_id, qty, price, line_total) SELECT 1 + i / 3, 1 + i % 2000, 2, 5, 10 FROM generate_series(0, 299999) i;
	CREATE INDEX ON erp.sales_order_line (order_id)});
my $started = time();
my $found = $node->safe_psql('large', q{
	BEGIN;
	SELECT string_agg(relation, ' ' ORDER BY role DESC) FROM agentcrm.propose() WHERE mapping = 1 AND rank = 1 AND role IN ('orders', 'lines', 'clients', 'products');
	SELECT max(seq_tup_read + coalesce(idx_tup_fetch, 0)) < 100000 FROM pg_stat_xact_user_tables WHERE relname ~ 'sales_order';
	COMMIT});
my $took = time() - $started;
note sprintf('propose() over 500 tables: %.1f s', $took);
cmp_ok($took, '<', 15, 'propose() over 500 tables: seconds, of which 2 on an idle machine');
is($found, "erp.products erp.orders erp.lines erp.clients\nt" =~ s/erp\.(\w+)/{ products => 'erp.product', orders => 'erp.sales_order', lines => 'erp.sales_order_line', clients => 'erp.customer' }->{$1}/ger, 'the right four of 500 tables, from a part of the rows');
($status, $stdout, $stderr) = $node->psql('large', q{SET statement_timeout = '50ms'; SELECT count(*) FROM agentcrm.propose()}, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($stderr, qr/57014/, 'statement_timeout ends it');

# ---- schemas of known systems, and two real data sets ----

SKIP:
{
	skip "no $shared", 1 unless $shapes;

	$node->safe_psql('postgres', 'CREATE DATABASE shapes');
	$node->safe_psql('shapes', 'CREATE EXTENSION agentcrm; SELECT agentcrm.pause()');
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('shapes'), '-f', "$shared/shapes/shapes.sql" ], 'shapes load, as a superuser');
	foreach my $app (qw(odoo dolibarr spree sylius))
	{
		my $open = attach_by_name('shapes', $app);
		ok(defined $open && $open <= 3, "$app attaches by its name" . (defined $open ? ", $open questions" : ''));
		is(figures('shapes', $app), $node->safe_psql('shapes', "SELECT concat_ws('|', clients, orders, lines, trim_scale(net)) FROM shapes.expect WHERE app = '$app'"), "$app: figures");
	}
	clean($node, 'shapes', 'shapes');

	new_database('northwind');
	load('northwind', "$shared/northwind/load.sql");
	is(attach_by_name('northwind', 'northwind'), 0, 'Northwind attaches by its name, without a question');
	is(figures('northwind', 'northwind'), '89|830|2155|1265793.0395', 'Northwind: figures to the last digit');

	my ($figures, $errors) = finish_psql($ahead);
	like($figures, qr/^\Q4372|22190|406829|8300065.814\E$/m, 'Online Retail: figures to the last digit') or diag($errors);
}

$node->stop;
done_testing();
