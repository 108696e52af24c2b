# ALTER EXTENSION agentcrm UPDATE while the application writes and the worker works:
# nobody deadlocks or fails, and the worker goes on.  The versions are made up, in an
# installation of the test's own.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use Cwd 'abs_path';
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();

# What pg_config says.
sub config
{
	my ($what) = @_;
	my ($path) = run_command([ 'pg_config', "--$what" ]);

	return abs_path($path);
}

# PostgreSQL finds its files relative to its programs: programs are copied, all else is linked to, and
# share/extension is a folder of links with room for more.
sub make_installation
{
	my ($bin, $share, $lib) = map { config($_) } qw(bindir sharedir pkglibdir);
	my ($common) = "$bin/\0$share/" =~ m{^(.*)/.*\0\1/};
	my ($new_bin, $new_share, $new_lib) = map { $dir . substr($_, length $common) } $bin, $share, $lib;
	system_or_bail('mkdir', '-p', $new_bin, "$new_share/extension", dirname($new_lib));
	system_or_bail('cp', (map { "$bin/$_" } qw(initdb pg_config pg_ctl postgres psql)), $new_bin);
	system_or_bail('ln', '-sfn', $lib, $new_lib);
	symlink($_, "$new_share/" . basename($_)) foreach grep { !m{/extension$} } glob("$share/*");
	symlink($_, "$new_share/extension/" . basename($_)) foreach glob("$share/extension/*");
	return (dirname($new_bin), "$new_share/extension");
}

my ($installation, $scripts) = make_installation();

# A script holds the steps first; what it does then takes every lock there is, in an order that is not the worker's.
my $tables = q{(SELECT relname FROM pg_class WHERE relnamespace = 'agentcrm'::regnamespace AND relkind = 'r' AND NOT relispartition AND relname !~ '^event' ORDER BY relname DESC)};
sub write_script
{
	my ($from, $to) = @_;

	append_to_file("$scripts/agentcrm--$from--$to.sql", qq{
		SELECT agentcrm.hold_steps();
		DO \$\$ DECLARE t name; BEGIN FOR t IN $tables LOOP EXECUTE format('ALTER TABLE agentcrm.%I REPLICA IDENTITY DEFAULT', t); END LOOP; END \$\$;
		CREATE OR REPLACE VIEW agentcrm.portfolio AS $::portfolio;
		CREATE OR REPLACE FUNCTION agentcrm.made_up() RETURNS text LANGUAGE sql AS \$\$ SELECT '$to'::text \$\$;});
	return;
}

my $node = PostgreSQL::Test::Cluster->new('update', install_path => $installation);
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nfull_page_writes = off\ntimezone = 'UTC'\nshared_preload_libraries = 'agentcrm'\nagentcrm.batch_size = 5\n"
	  . "agentcrm.idle_poll = 1\nagentcrm.debug_now = '2026-03-01 08:00+00'\ndeadlock_timeout = 100ms\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
make_shop($node, 'shop');
$node->safe_psql('shop', 'SET ROLE app; CREATE TABLE shop.stop (n int)');
$node->safe_psql('shop', q{SELECT agentcrm.go_live('shop')});
consumed($node, 'shop', 'the shop is loaded');

our $portfolio = $node->safe_psql('shop', q{SELECT rtrim(pg_get_viewdef('agentcrm.portfolio'::regclass), ';')});
write_script('0.1.0', '0.1.1test');
write_script('0.1.1test', '0.1.2test');
write_script('0.1.2test', '0.1.1test');

# Orders of the last days, changed again and again, until there is a row in shop.stop.
my @writers = map {
	my $file = "$dir/writer$_.sql";
	my $batch = join("\n", map { "UPDATE shop.lines SET quantity = quantity % 50 + 1 WHERE order_id = $_;" } map { 1 + ($_ * 7 + $_ % 5) % 600 } $_ * 20 .. $_ * 20 + 39);

	append_to_file($file, join("\n", '\set ON_ERROR_STOP off', ("$batch\nSELECT count(*) > 0 AS stop FROM shop.stop \\gset\n\\if :stop\n\\q\n\\endif") x 2000));
	start_psql($node, 'shop', $_ == 1 ? 'app' : 'postgres', $file)
} 1 .. 2;

sub version
{
	return $node->safe_psql('shop', q{SELECT extversion FROM pg_extension WHERE extname = 'agentcrm'});
}

# The worker is in the middle of the queue, the writers write.
sub update_to
{
	my ($version) = @_;
	my $last = $node->safe_psql('shop', 'SELECT max(batch_no) FROM agentcrm.batch');

	$node->poll_query_until('shop', "SELECT max(batch_no) > $last + 3 FROM agentcrm.batch");
	my ($status, $out, $err) = $node->psql('shop', "SET lock_timeout = '10s'; ALTER EXTENSION agentcrm UPDATE TO '$version'");
	$last = $node->safe_psql('shop', 'SELECT max(batch_no) FROM agentcrm.batch');
	my $goes_on = $node->poll_query_until('shop', "SELECT max(batch_no) > $last FROM agentcrm.batch");

	return $err . ($goes_on ? '' : 'the worker does not go on') . (version() eq $version ? '' : 'another version');
}

is(update_to('0.1.1test'), '', 'ALTER EXTENSION UPDATE with writers and a busy worker');
is($node->safe_psql('shop', 'SELECT agentcrm.made_up()'), '0.1.1test', 'its script ran');
is(join('', map { update_to($_) } ('0.1.2test', '0.1.1test') x 3), '', 'to and fro');
$node->safe_psql('shop', 'INSERT INTO shop.stop VALUES (1)');
foreach my $writer (@writers)
{
	my ($out, $err) = finish_psql($writer);
	unlike($err, qr/ERROR|FATAL/, 'a writer met no error') or diag(substr($err, 0, 500));
}
consumed($node, 'shop', 'the queue is worked off');
clean($node, 'shop', 'after updates');
is($node->safe_psql('shop', 'SELECT DISTINCT message FROM agentcrm.error_log'), '', 'no step failed');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|FATAL|deadlock|ERROR:|terminated by signal/, 'the server log shows no error');
$node->stop;
done_testing();
