# Northwind as it is, on a server without preload: the known figures to the last
# digit, then a day's work of the kind such a shop has.
use strict;
use warnings;

use lib 'test/t/lib';
use Agentcrm;
use Cwd;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = getcwd() . '/../shared/data/northwind';

plan skip_all => "no $data" unless -f "$data/load.sql";

my $node = new_node('northwind');
$node->safe_psql('postgres', 'CREATE ROLE northwind LOGIN; CREATE DATABASE shop OWNER northwind');
$node->safe_psql('shop', 'CREATE EXTENSION agentcrm; GRANT CREATE ON SCHEMA public TO northwind');
command_ok([ 'bash', '-c', "cd '$data' && psql -X -q -v ON_ERROR_STOP=1 -d '" . $node->connstr('shop') . " user=northwind' -f load.sql" ], 'the data loads');
$node->safe_psql('shop', q{
	SELECT count(*) FROM agentcrm.attach('northwind', orders => 'orders', lines => 'order_details', clients => 'customers', products => 'products', at => 'o.order_date',
		quantity => 'l.quantity', amount => 'l.unit_price::numeric * l.quantity * (1 - l.discount::numeric)', rep => 'o.employee_id', client_name => 'c.company_name',
		product_name => 'p.product_name', category => 'p.category_id')});
my ($status, $stdout, $stderr) = $node->psql('shop', "CALL agentcrm.backfill('northwind')");
is($status, 0, 'backfill() loads it');
like($stderr, qr/NOTICE:  \w+ \w+: \d+ of \d+/, 'and tells how far it is');

sub figures
{
	return $node->safe_psql('shop', q{
		SELECT string_agg(item || ' ' || trim_scale(ledger), ', ' ORDER BY item COLLATE "C") FROM agentcrm.compare('northwind')});
}
is(figures(), 'amount 1265793.0395, clients 89, lines 2155, orders 830, return amount 0, return lines 0, return orders 0', 'figures to the last digit');
is($node->safe_psql('shop', 'SELECT count(*), count(*) FILTER (WHERE n_orders > 0), sum(n_orders), sum(amount) = (SELECT sum(amount) FROM agentcrm.ledger) FROM agentcrm.client c LEFT JOIN agentcrm.client_profile USING (client_id)'),
	'91|89|830|t', '91 clients, 89 with orders');
is($node->safe_psql('shop', q{SELECT name, (SELECT count(*) FROM agentcrm.ledger l WHERE l.client_id = c.client_id) FROM agentcrm.client c WHERE client_key IN ('ALFKI', 'PARIS') ORDER BY 1}),
	"Alfreds Futterkiste|12\nParis spécialités|0", 'clients have their names');
is($node->safe_psql('shop', 'SELECT count(*), count(category), count(DISTINCT category) FROM agentcrm.product'), '77|77|8', 'products have their categories');
is($node->safe_psql('shop', 'SELECT count(DISTINCT rep_id) FROM agentcrm.ledger'), 9, 'orders have their reps');
clean($node, 'shop', 'after the backfill');

# order 11078 of ALFKI, a line taken back, an order of another client, an order cancelled, a client and a product renamed
$node->safe_psql('shop', q{
	SET ROLE northwind;
	BEGIN;
	INSERT INTO orders (order_id, customer_id, employee_id, order_date) VALUES (11078, 'ALFKI', 1, '1998-05-07');
	INSERT INTO order_details VALUES (11078, 1, 18, 10, 0), (11078, 2, 19, 5, 0.1);
	COMMIT;
	DELETE FROM order_details WHERE order_id = 11077 AND product_id = 77;
	UPDATE orders SET customer_id = 'PARIS' WHERE order_id = 11076;
	BEGIN; DELETE FROM order_details WHERE order_id = 11075; DELETE FROM orders WHERE order_id = 11075; COMMIT;
	UPDATE customers SET company_name = 'Alfred' WHERE customer_id = 'ALFKI';
	UPDATE products SET category_id = 8 WHERE product_id = 1;
});
is($node->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), 6, 'four orders, a client and a product wait');
$node->safe_psql('shop', 'CALL agentcrm.run()');
is($node->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), 0, 'and are consumed');
is($node->safe_psql('shop', q{SELECT c.name, p.n_orders, p.last_order_on, p.n_gaps, p.gap_sum FROM agentcrm.client c JOIN agentcrm.client_profile p USING (client_id) WHERE client_key = 'ALFKI'}),
	'Alfred|7|1998-05-07|6|255', 'ALFKI: 7 orders within 255 days');
is($node->safe_psql('shop', q{SELECT p.n_orders FROM agentcrm.client c JOIN agentcrm.client_profile p USING (client_id) WHERE client_key = 'PARIS'}), 1, 'PARIS has its first order');
clean($node, 'shop', 'after the day');

# detached, nothing of it is left but its history
$node->safe_psql('shop', q{SELECT agentcrm.detach('northwind')});
$node->safe_psql('shop', 'CALL agentcrm.run()');
is($node->safe_psql('shop', q{SELECT (SELECT count(*) FROM agentcrm.ledger), (SELECT count(*) FROM agentcrm.client_profile WHERE n_orders > 0), (SELECT count(*) FROM agentcrm.order_ref),
	(SELECT count(*) FROM pg_trigger WHERE tgfoid = 'agentcrm.capture'::regproc)}), '0|0|0|0', 'detached');
is($node->safe_psql('shop', 'SELECT * FROM agentcrm.verify()'), '', 'detached: verify() is empty');
$node->safe_psql('shop', 'SET ROLE northwind; DELETE FROM order_details WHERE order_id = 11078');
is($node->safe_psql('shop', 'SELECT agentcrm.queue_depth()'), 0, 'a detached shop goes on by itself');

$node->stop;
done_testing();
