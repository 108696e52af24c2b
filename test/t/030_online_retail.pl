# A year of a real wholesaler, invoice by invoice in the order of time, with the
# worker at work, ends in the same ledger and the same profiles as a backfill of
# the same rows; both have the figures known for this data.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use Cwd;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $data = getcwd() . '/../shared/data/online_retail';

plan skip_all => "no $data" unless -f "$data/load.sql";

use constant STREAMS => 4;

my $attach = q{
	SELECT count(*) FROM agentcrm.attach('retail', lines => 'online_retail', order_key => '{invoiceno}', client => 'l.customerid',
		product => $$CASE WHEN l.stockcode ~ '^[0-9]{5}' THEN l.stockcode END$$, at => 'l.invoicedate', quantity => 'l.quantity',
		amount => 'l.quantity * l.unitprice', kind => $$CASE WHEN l.invoiceno LIKE 'C%' THEN 'return' ELSE 'sale' END$$,
		line_ok => 'l.customerid IS NOT NULL AND l.unitprice > 0', time_zone => 'Europe/London')};
my $figures = "amount|8300065.814\nclients|4371\nlines|406789\norders|22186\nreturn amount|-611342.090\nreturn lines|8905\nreturn orders|3654";

my $node = new_node('retail', "shared_preload_libraries = 'agentcrm'", 'shared_buffers = 256MB', 'max_wal_size = 4GB', 'autovacuum_naptime = 5s');
$node->safe_psql('postgres', 'CREATE ROLE retail LOGIN; CREATE DATABASE loaded OWNER retail; CREATE DATABASE replayed OWNER retail');

sub as_owner { return "SET ROLE retail; $_[0]; RESET ROLE;"; }

sub figures_of
{
	my ($db) = @_;
	return $node->safe_psql($db, q{SELECT item, ledger FROM agentcrm.compare('retail') ORDER BY item COLLATE "C"});
}

# ---- backfill ----

$node->safe_psql($_, 'CREATE EXTENSION agentcrm; GRANT CREATE ON SCHEMA public TO retail') foreach qw(loaded replayed);
command_ok([ 'bash', '-c', "cd '$data' && psql -X -q -v ON_ERROR_STOP=1 -d '" . $node->connstr('loaded') . " user=retail' -f load.sql" ], 'the data loads');
my $started = time();
$node->safe_psql('loaded', $attach);
consumed($node, 'loaded', 'the backfill ends');
note sprintf('backfill of 541,909 rows: %.1f s', time() - $started);
is(figures_of('loaded'), $figures, 'backfill: figures to the last digit');
is($node->safe_psql('loaded', 'SELECT count(*) FROM agentcrm.ledger WHERE product_id IS NULL'), 1913, 'lines without product');
is($node->safe_psql('loaded', 'SELECT count(*) FROM (SELECT FROM agentcrm.ledger GROUP BY order_id HAVING count(DISTINCT ordered_at) > 1) x'), 0, 'an invoice has one time');
clean($node, 'loaded', 'backfill');

# ---- replay ----

# Each stream has its own invoices in the order of time, one transaction an invoice;
# a client's invoices are spread over the streams, so that they commit out of order.
my $dir = PostgreSQL::Test::Utils::tempdir();
my @out = map { my $file; open($file, '>', "$dir/stream_$_.sql") or die $!; print $file "SET synchronous_commit = off;\n"; $file } 1 .. STREAMS;
my ($stdout, $stderr) = ('', '');
my $invoices = 0;
$node->psql('loaded', q{
	SELECT 'BEGIN;INSERT INTO online_retail VALUES '
		|| string_agg(format('(%L,%L,%L,%s,%L,%s,%s,%L)', invoiceno, stockcode, description, quantity, invoicedate, unitprice, coalesce(customerid::text, 'NULL'), country), ',' ORDER BY ctid)
		|| ';COMMIT;'
	FROM online_retail WHERE customerid IS NOT NULL GROUP BY invoiceno ORDER BY min(invoicedate), invoiceno}, stdout => \$stdout, on_error_die => 1);
foreach my $invoice (split /\n(?=BEGIN;)/, $stdout)
{
	print { $out[ $invoices++ % STREAMS ] } $invoice, "\n";
}
close $_ foreach @out;
undef $stdout;
cmp_ok($invoices, '>=', 22_186, "$invoices invoices are replayed");

$node->safe_psql('replayed', as_owner(q{
	CREATE TABLE online_retail (invoiceno text NOT NULL, stockcode text NOT NULL, description text, quantity integer NOT NULL, invoicedate timestamp NOT NULL,
		unitprice numeric(12,3) NOT NULL, customerid integer, country text);
	CREATE INDEX ON online_retail (invoiceno)}));
$node->safe_psql('replayed', $attach);
consumed($node, 'replayed', 'attached empty');
$started = time();
my @streams = map { start_psql($node, 'replayed', 'retail', "$dir/stream_$_.sql") } 1 .. STREAMS;
foreach my $stream (@streams)
{
	my ($printed, $errors) = finish_psql($stream);
	is($errors, '', 'a stream ends without errors');
}
my $written = time() - $started;
my $behind = $node->safe_psql('replayed', 'SELECT agentcrm.queue_depth()');
consumed($node, 'replayed', 'the replay is consumed');
note sprintf('replay: %d transactions in %.1f s, consumed after %.1f s (%d keys were waiting), %d batches', $invoices, $written, time() - $started, $behind,
	$node->safe_psql('replayed', 'SELECT max(batch_no) FROM agentcrm.batch'));
is(figures_of('replayed'), $figures, 'replay: figures to the last digit');
clean($node, 'replayed', 'replay');
is($node->safe_psql('replayed', 'SELECT count(*) FROM agentcrm.source_load'), 1, 'nothing was read anew');

# ---- the same? ----

# Rows of both, as text in an order of their own; floats are set apart and compared by size.
sub same
{
	my ($what, $exact, $floats, $from) = @_;
	my $query = "SELECT * FROM (SELECT concat_ws('|', $exact) AS exact, concat_ws('|', " . ($floats || 'NULL') . ") AS floats FROM $from) AS rows ORDER BY exact COLLATE \"C\", floats";
	my @rows;

	foreach my $db (qw(loaded replayed))
	{
		my $got;
		$node->psql($db, "\\pset fieldsep '\t'\n$query", stdout => \$got, on_error_die => 1);
		push @rows, [ split /\n/, $got ];
	}
	my ($loaded, $replayed) = @rows;
	my $different = @$loaded == @$replayed ? 0 : 1;
	my @shown = $different ? (scalar(@$loaded) . ' rows against ' . scalar(@$replayed)) : ();

	for my $i (0 .. (@$loaded < @$replayed ? $#$loaded : $#$replayed))
	{
		next if $loaded->[$i] eq $replayed->[$i];
		my ($x, $fx) = split /\t/, $loaded->[$i], 2;
		my ($y, $fy) = split /\t/, $replayed->[$i], 2;
		my @fx = split /\|/, $fx // '';
		my @fy = split /\|/, $fy // '';
		next if $x eq $y && @fx == @fy && !grep { abs($fx[$_] - $fy[$_]) > 1e-9 * (abs($fx[$_]) > abs($fy[$_]) ? abs($fx[$_]) : abs($fy[$_])) } 0 .. $#fx;
		$different++;
		push @shown, "$loaded->[$i]  /  $replayed->[$i]" if @shown < 5;
	}
	cmp_ok(scalar(@$loaded), '>', 100, "$what: " . scalar(@$loaded) . ' rows');
	is($different, 0, "$what: replayed is as loaded") or diag(join("\n", @shown));
	return;
}

# line numbers follow the order of arrival: the content of an order's lines counts
same('ledger', 'source_id, order_id, client_id, coalesce(product_id::text, $$-$$), ordered_at, ordered_on, kind, quantity, amount, margin, archived', '', 'agentcrm.ledger');
same('clients', 'client_id, client_key, namespace', '', 'agentcrm.client');
same('products', 'product_id, product_key, namespace', '', 'agentcrm.product');
same('orders', 'order_id, order_key', '', 'agentcrm.order_ref');
same('client_profile', 'client_id, n_orders, n_returns, first_order_at, last_order_at, first_order_on, last_order_on, n_gaps, gap_sum, gap_last, gap_before, gap_recent, rep_id,'
	. ' fold_at, fold_source_id, fold_order_id, amount, margin, returned, month, month_orders, month_amount, month_margin, month_returned', 'gap_sum_log', 'agentcrm.client_profile');
same('client_product', 'client_id, product_id, n, first_order_no, last_order_no, first_order_on, last_order_on, held, last_price, quantities', 'rate_slow, rate_fast', 'agentcrm.client_product');
same('product_profile', 'product_id, buyers, orders', '', 'agentcrm.product_profile');
same('product_month', 'product_id, month, orders', '', 'agentcrm.product_month');
is($node->safe_psql($_, q{SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'agentcrm' AND table_name = 'client_profile'}),
	'client_id n_orders n_returns first_order_at last_order_at first_order_on last_order_on n_gaps gap_sum gap_last gap_before gap_sum_log gap_recent rep_id fold_at fold_source_id fold_order_id'
	. ' amount margin returned month month_orders month_amount month_margin month_returned', "$_: no column was left out") foreach ('loaded');

$node->stop;
done_testing();
