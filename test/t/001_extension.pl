# The extension on a server without shared_preload_libraries: it installs, works,
# and DROP EXTENSION leaves nothing behind.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('plain');
$node->init;
$node->start;

# Everything that has an identity, but for the system's own and TOAST.
my $objects = q{
	SELECT string_agg(i.type || ' ' || i.identity, E'\n' ORDER BY i.type, i.identity COLLATE "C")
	  FROM (SELECT 'pg_class'::regclass AS class, oid FROM pg_class
	         WHERE relnamespace <> 'pg_toast'::regnamespace
	         UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
	         UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
	         WHERE typnamespace <> 'pg_toast'::regnamespace
	         UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace
	         UNION ALL SELECT 'pg_authid'::regclass, oid FROM pg_authid
	         UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger
	         UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger
	         UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
	         UNION ALL SELECT 'pg_extension'::regclass, oid FROM pg_extension) o,
	       pg_identify_object(o.class, o.oid, 0) i};

is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), '', 'nothing is preloaded');

my $before = $node->safe_psql('postgres', $objects);
$node->safe_psql('postgres', 'CREATE EXTENSION agentcrm');
isnt($node->safe_psql('postgres', $objects), $before, 'CREATE EXTENSION works without preload');

is( $node->safe_psql('postgres', "LOAD 'agentcrm'; SELECT 1"),
	'1', 'the library loads into a session');

$node->safe_psql('postgres', 'DROP EXTENSION agentcrm');
is($node->safe_psql('postgres', $objects), $before, 'DROP EXTENSION leaves nothing behind');

# The same again, preloaded.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'agentcrm'");
$node->restart;
$node->safe_psql('postgres', 'CREATE EXTENSION agentcrm; DROP EXTENSION agentcrm');
is($node->safe_psql('postgres', $objects), $before, 'nor on a server that preloads the library');

$node->stop;
done_testing();
