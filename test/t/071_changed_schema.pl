# The application's tables change under an attached source: what was merely renamed is
# followed, else the source is set aside with the call to make; the application goes on,
# its changes are kept, and all is caught up once the mapping fits again.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('changed_schema', "shared_preload_libraries = 'agentcrm'", 'agentcrm.idle_poll = 1', 'agentcrm.idle_exit = 1');
my $db = 'postgres';

sub sql { return $node->safe_psql($db, $_[0]); }
sub status { my ($source, $column) = @_; return sql("SELECT $column FROM agentcrm.status WHERE name = '$source'"); }

sql(q{
	CREATE EXTENSION agentcrm;
	CREATE ROLE app LOGIN;
	CREATE SCHEMA shop AUTHORIZATION app;
	SET ROLE app;
	CREATE TABLE shop.clients (client_id int PRIMARY KEY, name text, region text);
	CREATE TABLE shop.orders (gone int, order_id int PRIMARY KEY, client_id int REFERENCES shop.clients, ordered_at timestamptz, rate numeric DEFAULT 1, state text DEFAULT 'ok');
	ALTER TABLE shop.orders DROP gone;
	CREATE TABLE shop.lines (order_id int REFERENCES shop.orders, line_no int, product_id int, qty numeric, price numeric, PRIMARY KEY (order_id, line_no));
	INSERT INTO shop.clients SELECT g, 'client ' || g, 'north' FROM generate_series(1, 20) g;
	INSERT INTO shop.orders SELECT g, 1 + g % 20, timestamptz '2025-06-01' + g * interval '6 hours' FROM generate_series(1, 400) g;
	INSERT INTO shop.lines SELECT o, l, 1 + (o * l) % 9, 1 + o % 4, 2.5 FROM generate_series(1, 400) o, generate_series(1, 2) l;
	CREATE TABLE shop.extra (id int PRIMARY KEY, buyer int, day date, total numeric);
	INSERT INTO shop.extra SELECT g, 1 + g % 20, '2025-06-01', g FROM generate_series(1, 50) g});
sql(q{SELECT FROM agentcrm.attach('shop', orders => 'shop.orders', lines => 'shop.lines', clients => 'shop.clients', product => 'l.product_id', at => 'o.ordered_at', quantity => 'l.qty',
	amount => 'l.qty * l.price / o.rate', is_sale => $$o.state = 'ok'$$, client_name => 'c.name', territory => $$upper(c.region)$$, time_zone => 'UTC')});
sql(q{SELECT FROM agentcrm.attach_query('extra', $$SELECT buyer AS client_key, id AS order_key, NULL AS line_key, NULL AS product_key, day AS ordered_at, 1 AS quantity, total AS amount
	FROM shop.extra e WHERE e.id = ANY ($1)$$, key => '{shop.extra.id}', watch => '{"shop.extra": "id"}', namespace => 'shop', time_zone => 'UTC')});
sql(q{SELECT agentcrm.go_live('shop'), agentcrm.go_live('extra')});
consumed($node, $db, 'loaded');
clean($node, $db, 'loaded');

# The application writes an order, in whatever columns its tables have now; nothing fails.
my $next = 5000;
sub order_written
{
	my ($what, $orders, $lines) = @_;
	my $id = ++$next;
	my (undef, undef, $err) = $node->psql($db, sprintf('INSERT INTO %s; INSERT INTO %s', $orders // "shop.orders (order_id, client_id, ordered_at) VALUES ($id, 3, '2026-02-20')",
			($lines // 'shop.lines VALUES (%d, 1, 1, 2, 3)') =~ s/%d/$id/r), extra_params => [ '-U', 'app' ]);

	unlike($err, qr/ERROR|WARNING/, "$what: the application goes on");
	return $id;
}
sub counted { my ($id) = @_; return $node->poll_query_until($db, "SELECT count(*) = 1 FROM agentcrm.ledger WHERE order_id = $id"); }

sub broken
{
	my ($what, $source, $problem) = @_;

	wait_until($node, $db, "SELECT state = 'broken' FROM agentcrm.status WHERE name = '$source'", "$what: the source is set aside");
	like(status($source, 'remark'), $problem, "$what: the remark says what is wrong and what to call");
	return;
}

# What the remark says to call, as it stands.
sub call { my ($source) = @_; my ($call) = status($source, 'remark') =~ /(SELECT agentcrm\..*)/s; return $call // ''; }

sub well
{
	my ($what, $source) = @_;

	consumed($node, $db, "$what: caught up");
	like(status($source, 'state || failed'), qr/^live0$/, "$what: all is well");
	clean($node, $db, $what);
	return;
}

# ---- followed ----

sql('ALTER TABLE shop.orders RENAME ordered_at TO placed_at');
my $id = order_written('a plain column is renamed', "shop.orders (order_id, client_id, placed_at) VALUES (5001, 3, '2026-02-20')");
ok(counted($id), 'a plain column is renamed: followed');
is(sql(q{SELECT options ->> 'at' FROM agentcrm.source WHERE name = 'shop'}), 'o.placed_at', 'a plain column is renamed: as the source says');
well('a plain column is renamed', 'shop');

sql('ALTER TABLE shop.orders RENAME order_id TO "Order No"; ALTER TABLE shop.lines RENAME order_id TO order_no; ALTER TABLE shop.clients RENAME name TO full_name');
sql(q{UPDATE shop.clients SET full_name = 'another' WHERE client_id = 3});
$id = order_written('key columns are renamed', q{shop.orders ("Order No", client_id, placed_at) VALUES (5002, 3, '2026-02-20')});
ok(counted($id), 'key columns are renamed: followed');
is(sql(q{SELECT string_agg(DISTINCT key_columns::text, ' ' ORDER BY key_columns::text) FROM agentcrm.source_watch JOIN agentcrm.source USING (source_id) WHERE name = 'shop'}),
	'{"Order No"} {client_id} {order_no}', 'and watched');
well('key columns are renamed', 'shop');
is(sql('SELECT name FROM agentcrm.client WHERE client_id = 3'), 'another', 'a feed has its new column');
sql(q{ALTER TABLE shop.orders RENAME "Order No" TO order_id; ALTER TABLE shop.lines RENAME order_no TO order_id; ALTER TABLE shop.orders RENAME placed_at TO ordered_at});
ok(counted(order_written('and back')), 'renamed back: followed');
well('and back', 'shop');

# ---- set aside, with the call ----

sql('ALTER TABLE shop.orders RENAME rate TO "Pace"');
$id = order_written('a column inside an expression is renamed');
broken('a column inside an expression is renamed', 'shop', qr{^argument amount: column o\.rate does not exist \(shop\.orders\.rate is "Pace" now\): SELECT agentcrm\.alter_source\('shop', amount => 'l\.qty \* l\.price / o\."Pace"'\)$});
is(sql(q{SELECT expected || '|' || found FROM agentcrm.verify() WHERE source = 'shop' AND what = 'source'}), "a mapping that fits the application's tables|column o.rate does not exist", 'verify() says it in a row');
is(sql('SELECT count(*) FROM agentcrm.verify()'), '1', 'and goes on with others');
my (undef, undef, $err) = $node->psql($db, q{SELECT * FROM agentcrm.compare('shop')});
like($err, qr/ERROR:  source "shop" cannot be read: column o\.rate does not exist.*HINT:.*alter_source\('shop', amount => /s, 'compare() fails with the call as its hint');
sql("UPDATE shop.extra SET total = 7 WHERE id = 7");
ok($node->poll_query_until($db, q{SELECT sum(amount) = 7 FROM agentcrm.ledger WHERE source_id = 2 AND order_id = 7}), 'the other source goes on');
sql(call('shop'));
ok(counted($id), 'the call, as it was given: the order is counted');
well('a column inside an expression is renamed', 'shop');

# put back: by itself
sql('ALTER TABLE shop.lines RENAME price TO cost');
$id = order_written('put back');
broken('put back', 'shop', qr/amount => 'l\.qty \* l\.cost/);
sql('ALTER TABLE shop.lines RENAME cost TO price');
ok(counted($id), 'the column is put back: the source goes on by itself');
well('put back', 'shop');

# two arguments at once, one of them without a new name
sql('ALTER TABLE shop.orders DROP state; ALTER TABLE shop.clients RENAME region TO zone');
$id = order_written('two arguments');
broken('two arguments', 'shop', qr/argument is_sale: column o\.state does not exist.*: SELECT agentcrm\.alter_source\('shop', is_sale => '\.\.\.', territory => 'upper\(c\.zone\)'\)$/);
sql(q{SELECT FROM agentcrm.alter_source('shop', territory => 'upper(c.zone)', reset => '{is_sale}')});
ok(counted($id), 'two arguments: caught up');
well('two arguments', 'shop');

# a column of another type: an expression that no longer parses, and a plain one of the wrong kind
sql('ALTER TABLE shop.lines ALTER price TYPE text');
$id = order_written('a retyped column in an expression');
broken('a retyped column in an expression', 'shop', qr/argument amount: operator does not exist: numeric \* text.*amount => 'l\.qty \* l\.price::numeric \/ o\."Pace"'\)$/);
sql(call('shop'));
well('a retyped column in an expression', 'shop');
sql('ALTER TABLE shop.orders ALTER ordered_at TYPE text');
$id = order_written('a retyped plain column');
broken('a retyped plain column', 'shop', qr/argument at: type text is not a date or time.*at => 'o\.ordered_at::timestamp with time zone'\)$/);
sql(call('shop'));
well('a retyped plain column', 'shop');

# wider keys keep their ids; keys of another kind would not
sql('ALTER TABLE shop.lines DROP CONSTRAINT lines_order_id_fkey; ALTER TABLE shop.orders ALTER order_id TYPE bigint; ALTER TABLE shop.lines ALTER order_id TYPE bigint;
	ALTER TABLE shop.lines ADD FOREIGN KEY (order_id) REFERENCES shop.orders');
ok(counted(order_written('wider keys')), 'wider keys: nothing to do');
well('wider keys', 'shop');
sql('ALTER TABLE shop.lines DROP CONSTRAINT lines_order_id_fkey; ALTER TABLE shop.orders ALTER order_id TYPE text; ALTER TABLE shop.lines ALTER order_id TYPE text;
	ALTER TABLE shop.lines ADD FOREIGN KEY (order_id) REFERENCES shop.orders');
order_written('keys of another kind');
broken('keys of another kind', 'shop', qr/key \(order_id\) of shop\.orders is text now and was number: its rows would get other ids; .*SELECT agentcrm\.alter_source\('shop'\)$/);
sql(call('shop'));
consumed($node, $db, 'keys of another kind: read anew');
is(sql('SELECT count(DISTINCT order_id) = (SELECT count(DISTINCT order_id) FROM shop.lines) FROM agentcrm.ledger WHERE source_id = 1'), 't', 'each order once');
well('keys of another kind', 'shop');

# ---- tables ----

sql('ALTER TABLE shop.lines RENAME TO items; CREATE SCHEMA elsewhere AUTHORIZATION app; ALTER TABLE shop.items SET SCHEMA elsewhere');
order_written('a table is moved', undef, q{elsewhere.items VALUES ('%d', 1, 1, 2, '3')});
broken('a table is moved', 'shop', qr/argument lines: relation shop\.lines does not exist \(shop\.lines is elsewhere\.items now\): SELECT agentcrm\.alter_source\('shop', lines => 'elsewhere\.items'\)$/);
sql(call('shop'));
well('a table is moved', 'shop');
sql('ALTER TABLE elsewhere.items SET SCHEMA shop; ALTER TABLE shop.items RENAME TO lines');
order_written('moved back');
broken('moved back', 'shop', qr/lines => 'shop\.lines'\)$/);
sql(call('shop'));
well('moved back', 'shop');

# dropped: what the application does meanwhile is kept; made again it gets its triggers
sql('CREATE TABLE shop.copy (LIKE shop.lines INCLUDING ALL); INSERT INTO shop.copy SELECT * FROM shop.lines; DROP TABLE shop.lines');
my (undef, undef, $dropped) = $node->psql($db, q{INSERT INTO shop.orders (order_id, client_id, ordered_at) VALUES ('7001', 3, '2026-02-20')}, extra_params => [ '-U', 'app' ]);
unlike($dropped, qr/ERROR/, 'a table is dropped: the application goes on');
broken('a table is dropped', 'shop', qr/argument lines: relation shop\.lines does not exist: SELECT agentcrm\.alter_source\('shop', lines => '\.\.\.'\)$/);
is(sql(q{SELECT count(*) FROM agentcrm.verify() WHERE what <> 'source'}), '0', 'a table is dropped: verify() does not fail');
sql(q{ALTER TABLE shop.copy RENAME TO lines; ALTER TABLE shop.lines OWNER TO app, ADD FOREIGN KEY (order_id) REFERENCES shop.orders NOT VALID});
sql(q{INSERT INTO shop.lines VALUES ('7001', 1, 1, 1, '1')});
wait_until($node, $db, q{SELECT count(*) = 2 FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgenabled = 'A' AND tgfoid = 'agentcrm.capture'::regproc}, 'a table made again: gets its triggers');
sql(q{UPDATE shop.lines SET qty = 50 WHERE order_id = '7'});
well('a table made again', 'shop');
is(status('shop', 'remark'), '', 'and status is content');
order_written('with its triggers', "shop.orders (order_id, client_id, ordered_at) VALUES ('7002', 3, '2026-02-20')", q{shop.lines VALUES ('7002', 1, 1, 2, '3')});
well('with its triggers', 'shop');

# ---- the general form, a feed of its own, rights ----

sql('ALTER TABLE shop.extra RENAME id TO "No."; ALTER TABLE shop.extra RENAME total TO net');
sql(q{INSERT INTO shop.extra VALUES (51, 1, '2026-01-01', 51)});
broken('a query', 'extra', qr/argument key: column id of shop\.extra does not exist .*SELECT agentcrm\.alter_source\('extra', key => .*, query => .* e\."No\." = ANY .*, watch => /s);
sql(call('extra'));
well('a query: the call, as it was given', 'extra');
is(sql('SELECT sum(amount) FROM agentcrm.ledger WHERE source_id = 2'), sql('SELECT sum(net) FROM shop.extra'), 'a query: all is counted');
sql(q{CREATE TABLE shop.goods (id int PRIMARY KEY, title text); INSERT INTO shop.goods SELECT g, 'product ' || g FROM generate_series(1, 9) g; ALTER TABLE shop.goods OWNER TO app});
sql(q{SELECT FROM agentcrm.attach_feed('extra', 'product', 'SELECT id AS product_key, title AS name FROM shop.goods WHERE id = ANY ($1)', '{"shop.goods": "id"}')});
consumed($node, $db, 'a feed is added');
sql(q{ALTER TABLE shop.goods RENAME title TO label; UPDATE shop.goods SET label = 'changed' WHERE id = 1});
broken('a feed', 'extra', qr/column "title" does not exist/);
like(call('extra'), qr/^SELECT agentcrm\.attach_feed\('extra', 'product', query => 'SELECT id AS product_key, label AS name/, 'a feed: the call is attach_feed');
sql(call('extra'));
well('a feed', 'extra');
is(sql('SELECT name FROM agentcrm.product WHERE product_id = 1'), 'changed', 'a feed: has its new column');

sql(q{CREATE ROLE reader; GRANT USAGE ON SCHEMA shop TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO reader; SELECT FROM agentcrm.alter_source('extra', run_as => 'reader')});
well('read by a role with a grant', 'extra');
sql('REVOKE SELECT ON shop.extra FROM reader; UPDATE shop.extra SET net = 8 WHERE "No." = 8');
broken('a revoked grant', 'extra', qr/role "reader", as which the source is read, may not read shop\.extra: GRANT SELECT ON shop\.extra TO reader/);
sql('GRANT SELECT ON shop.extra TO reader');
well('a grant comes back: by itself', 'extra');

# one order in a thousand is still that order's own affair
sql(q{UPDATE shop.orders SET "Pace" = 0 WHERE order_id = '9'});
wait_until($node, $db, q{SELECT failed = 1 AND state = 'live' FROM agentcrm.status WHERE name = 'shop'}, 'division by zero: a failed key, and the source stays live');
sql(q{UPDATE shop.orders SET "Pace" = 1 WHERE order_id = '9'});
well('division by zero', 'shop');

# ---- nobody waits ----

# A trigger to be put back on a table that is written to all the time: the application's next writer passes.
my $open = open_psql($node, $db, 'app');
say_psql($open, q{BEGIN; UPDATE shop.lines SET qty = qty WHERE order_id = '1'});
my $gone = sql(q{SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.clients'::regclass AND tgname ~ '^agentcrm.*[0-9]$'});
sql(qq{DROP TRIGGER "$gone" ON shop.clients; UPDATE shop.clients SET full_name = 'unseen' WHERE client_id = 4});
wait_until($node, $db, q{SELECT name = 'unseen' FROM agentcrm.client WHERE client_id = 4}, 'a trigger of another table is put back beside an open transaction');
say_psql($open, q{ROLLBACK; BEGIN; UPDATE shop.clients SET full_name = full_name WHERE client_id = 5});
$gone = sql(q{SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgname ~ '^agentcrm.*[0-9]$'});
sql(qq{DROP TRIGGER "$gone" ON shop.lines});
wait_until($node, $db, q{SELECT count(*) = 2 FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgname ~ '^agentcrm'}, 'and one of a table that is free');
say_psql($open, q{ROLLBACK; BEGIN; UPDATE shop.lines SET qty = qty WHERE order_id = '1'});
sql(q{SET session_replication_role = replica; UPDATE pg_trigger SET tgenabled = 'O' WHERE tgrelid = 'shop.lines'::regclass AND tgname ~ '^agentcrm';
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'agentcrm worker'});
sql(q{SET statement_timeout = '5s'; UPDATE shop.lines SET qty = qty + 1 WHERE order_id = '2'}) for 1 .. 40;
pass('writers pass while a trigger cannot be put right');
is(sql(q{SELECT string_agg(tgenabled::text, '') FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgname ~ '^agentcrm'}), 'OO', 'for the table is locked');
say_psql($open, 'COMMIT');
wait_until($node, $db, q{SELECT bool_and(tgenabled = 'A') FROM pg_trigger WHERE tgrelid = 'shop.lines'::regclass AND tgname ~ '^agentcrm'}, 'it is when the table is free');
well('triggers beside open transactions', 'shop');

# The application's DDL neither waits nor fails, whatever is the matter with agentcrm's tables.
say_psql($open, 'ROLLBACK');
close_psql($open);
$open = open_psql($node, $db, sql('SELECT current_user'));
say_psql($open, 'BEGIN; LOCK TABLE agentcrm.source_watch');
my (undef, undef, $ddl) = $node->psql($db, q{SET statement_timeout = '5s'; CREATE TABLE shop.lines_child () INHERITS (shop.lines); ALTER TABLE shop.lines ADD remark text}, extra_params => [ '-U', 'app' ]);
is($ddl, '', 'DDL passes');
say_psql($open, 'ROLLBACK');
close_psql($open);
sql(q{INSERT INTO shop.lines_child (order_id, line_no, product_id, qty, price) VALUES ('3', 77, 1, 1, '1')});
well('a child made meanwhile', 'shop');

# A table that is locked for long keeps the other sources' orders waiting no more than the application's.
$open = open_psql($node, $db, sql('SELECT current_user'));
say_psql($open, 'BEGIN; LOCK TABLE shop.extra');
is(sql(q{SELECT count(*) FROM pg_locks WHERE relation = 'shop.extra'::regclass AND mode = 'AccessExclusiveLock' AND granted}), '1', 'a table is locked');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'agentcrm worker'});	# a new worker looks at all tables first
order_written('a locked table', "shop.orders (order_id, client_id, ordered_at) VALUES ('7003', 3, '2026-02-20')", q{shop.lines (order_id, line_no, product_id, qty, price) VALUES ('7003', 1, 1, 2, '3')});
wait_until($node, $db, q{SELECT count(*) = 1 FROM agentcrm.ledger l JOIN agentcrm.order_ref r USING (source_id, order_id) WHERE r.order_key = '7003'}, 'a locked table: the other source goes on');
say_psql($open, 'ROLLBACK');
close_psql($open);
well('a locked table', 'extra');

# renamed again and again: followed, or broken and back, but never lost
sql(q{ALTER TABLE shop.orders RENAME client_id TO c_1; UPDATE shop.orders SET c_1 = 4 WHERE order_id = '10'});
sql(q{ALTER TABLE shop.orders RENAME c_1 TO c_2; UPDATE shop.orders SET c_2 = 5 WHERE order_id = '11'});
well('renamed again and again', 'shop');
is(sql(q{SELECT count(*) FROM agentcrm.status WHERE what = 'worker' AND state IN ('running', 'resting')}), '1', 'the worker is well');

$node->stop;
done_testing();
