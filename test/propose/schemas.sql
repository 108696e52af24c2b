-- Small order systems of many kinds, each in a schema of its own, with what a right
-- mapping is: tables and columns as attach takes them, and the figures it must give.
-- wanted holds only arguments that have one right answer.
CREATE SCHEMA expected;
CREATE TABLE expected.mapping (app text PRIMARY KEY, wanted jsonb NOT NULL, clients int, orders int, lines int, net numeric, schemas name[]);

-- uuid keys, timestamptz, soft delete, line total beside price, sessions and carts around it
CREATE SCHEMA uuids; SET search_path = uuids;
CREATE TABLE customers (id uuid PRIMARY KEY, full_name text, email text, is_active boolean DEFAULT true, created_at timestamptz DEFAULT now());
CREATE TABLE products (id uuid PRIMARY KEY, sku text UNIQUE, title text, category text, units_per_case int);
CREATE TABLE carts (id uuid PRIMARY KEY, customer_id uuid REFERENCES customers, created_at timestamptz);
CREATE TABLE cart_items (id uuid PRIMARY KEY, cart_id uuid REFERENCES carts, product_id uuid REFERENCES products, quantity int, price numeric);
CREATE TABLE orders (id uuid PRIMARY KEY, customer_id uuid NOT NULL REFERENCES customers, placed_at timestamptz NOT NULL, updated_at timestamptz, status text NOT NULL, subtotal numeric(12,2), tax numeric(12,2), total numeric(12,2), deleted_at timestamptz);
CREATE TABLE order_items (id uuid PRIMARY KEY, order_id uuid NOT NULL REFERENCES orders, product_id uuid NOT NULL REFERENCES products, quantity int NOT NULL, unit_price numeric(12,2) NOT NULL, tax_amount numeric(12,2), line_total numeric(12,2));
INSERT INTO customers SELECT md5('c' || i)::uuid, 'Customer ' || i, 'c' || i || '@example.com' FROM generate_series(1, 12) i;
INSERT INTO products SELECT md5('p' || i)::uuid, 'P-' || i, 'Product ' || i, 'cat', 6 FROM generate_series(1, 9) i;
INSERT INTO orders SELECT md5('o' || i)::uuid, md5('c' || 1 + i % 10)::uuid, '2024-01-01'::timestamptz + i * interval '1 day', now(), (ARRAY['pending','shipped','delivered','cancelled'])[1 + i % 4], 30, 6, 36, CASE WHEN i % 25 = 0 THEN now() END FROM generate_series(1, 100) i;
INSERT INTO order_items SELECT md5('l' || i || k)::uuid, md5('o' || i)::uuid, md5('p' || 1 + (i + k) % 9)::uuid, k, 10, 2 * k, 12 * k FROM generate_series(1, 100) i, generate_series(1, 2) k;
INSERT INTO cart_items SELECT md5('x' || i)::uuid, NULL, md5('p1')::uuid, 1, 10 FROM generate_series(1, 300) i;
INSERT INTO expected.mapping VALUES ('uuids', '{"orders": "uuids.orders", "lines": "uuids.order_items", "clients": "uuids.customers", "products": "uuids.products", "client": "o.customer_id", "product": "l.product_id", "at": "o.placed_at", "quantity": "l.quantity", "amount": "l.quantity * l.unit_price", "client_name": "c.full_name", "product_name": "p.title", "category": "p.category", "pack_qty": "p.units_per_case"}',
	10, 72, 144, 2160);

-- keys of two parts, by tenant and number
CREATE SCHEMA composite; SET search_path = composite;
CREATE TABLE tenant (tenant_no int PRIMARY KEY, name text);
CREATE TABLE customer (tenant_no int REFERENCES tenant, cust_no int, cust_name text, PRIMARY KEY (tenant_no, cust_no));
CREATE TABLE article (tenant_no int REFERENCES tenant, art_no varchar(10), description text, PRIMARY KEY (tenant_no, art_no));
CREATE TABLE sales_order (tenant_no int, order_no int, cust_no int NOT NULL, order_date date NOT NULL, PRIMARY KEY (tenant_no, order_no), FOREIGN KEY (tenant_no, cust_no) REFERENCES customer);
CREATE TABLE sales_order_pos (tenant_no int, order_no int, pos_no int, art_no varchar(10), qty numeric(10,3), net_amount numeric(12,2), PRIMARY KEY (tenant_no, order_no, pos_no), FOREIGN KEY (tenant_no, order_no) REFERENCES sales_order, FOREIGN KEY (tenant_no, art_no) REFERENCES article);
INSERT INTO tenant VALUES (1, 'A'), (2, 'B');
INSERT INTO customer SELECT t, c, 'cust ' || c FROM generate_series(1, 2) t, generate_series(1, 8) c;
INSERT INTO article SELECT t, 'A' || a, 'art ' || a FROM generate_series(1, 2) t, generate_series(1, 5) a;
INSERT INTO sales_order SELECT t, o, 1 + o % 8, '2023-01-01'::date + o FROM generate_series(1, 2) t, generate_series(1, 40) o;
INSERT INTO sales_order_pos SELECT t, o, p, 'A' || 1 + (o + p) % 5, p, 7.5 * p FROM generate_series(1, 2) t, generate_series(1, 40) o, generate_series(1, 3) p;
INSERT INTO expected.mapping VALUES ('composite', '{"orders": "composite.sales_order", "lines": "composite.sales_order_pos", "clients": "composite.customer", "products": "composite.article", "client": "ROW(o.tenant_no, o.cust_no)", "product": "ROW(l.tenant_no, l.art_no)", "at": "o.order_date", "quantity": "l.qty", "amount": "l.net_amount", "client_name": "c.cust_name", "product_name": "p.description"}',
	16, 80, 240, 3600);

-- quoted mixed-case names with spaces, reserved words, no foreign keys
CREATE SCHEMA "Mixed Case"; SET search_path = "Mixed Case";
CREATE TABLE "Customers" ("Customer ID" serial PRIMARY KEY, "Company Name" varchar(80));
CREATE TABLE "Items" ("Item No" varchar(20) PRIMARY KEY, "Description" text, "Unit Cost" money);
CREATE TABLE "Sales Orders" ("Order No" serial PRIMARY KEY, "Customer ID" int, "Order Date" date, "Ship Date" date, "User" text, "Comment" text);
CREATE TABLE "Sales Order Lines" ("Line No" serial PRIMARY KEY, "Order No" int, "Item No" varchar(20), "Quantity" int, "Unit Price" numeric, "Line Amount" numeric);
CREATE TABLE "Purchase Orders" ("Order No" serial PRIMARY KEY, "Vendor No" int, "Order Date" date);
CREATE TABLE "Purchase Order Lines" ("Line No" serial PRIMARY KEY, "Order No" int, "Item No" varchar(20), "Quantity" int, "Direct Cost" numeric, "Line Amount" numeric);
INSERT INTO "Customers" ("Company Name") SELECT 'Company ' || i FROM generate_series(1, 15) i;
INSERT INTO "Items" SELECT 'I' || i, 'Item ' || i FROM generate_series(1, 10) i;
INSERT INTO "Sales Orders" ("Customer ID", "Order Date") SELECT 1 + i % 15, '2024-02-01'::date + i FROM generate_series(1, 60) i;
INSERT INTO "Sales Order Lines" ("Order No", "Item No", "Quantity", "Unit Price", "Line Amount") SELECT i, 'I' || 1 + (i + k) % 10, k, 4, 4 * k FROM generate_series(1, 60) i, generate_series(1, 3) k;
INSERT INTO "Purchase Orders" ("Vendor No", "Order Date") SELECT 1 + i % 5, '2024-02-01'::date + i FROM generate_series(1, 60) i;
INSERT INTO "Purchase Order Lines" ("Order No", "Item No", "Quantity", "Direct Cost", "Line Amount") SELECT i, 'I1', 100, 1, 100 FROM generate_series(1, 60) i;
INSERT INTO expected.mapping VALUES ('Mixed Case', '{"orders": "\"Mixed Case\".\"Sales Orders\"", "lines": "\"Mixed Case\".\"Sales Order Lines\"", "clients": "\"Mixed Case\".\"Customers\"", "products": "\"Mixed Case\".\"Items\"", "client": "o.\"Customer ID\"", "product": "l.\"Item No\"", "at": "o.\"Order Date\"", "quantity": "l.\"Quantity\"", "amount": "l.\"Line Amount\"", "client_name": "c.\"Company Name\"", "product_name": "p.\"Description\""}',
	15, 60, 180, 1440);

-- German, no foreign keys, no indexes but primary keys; statuses as words; quotes in tables of their own
CREATE SCHEMA deutsch; SET search_path = deutsch;
CREATE TABLE kunden (kundennr int PRIMARY KEY, firma varchar(60), strasse text, plz char(5), vertreternr int);
CREATE TABLE artikel (artikelnr char(8) PRIMARY KEY, bezeichnung text, warengruppe int, vk_preis numeric(10,2), ve_menge int);
CREATE TABLE vertreter (vertreternr int PRIMARY KEY, name text);
CREATE TABLE auftraege (auftragsnr int PRIMARY KEY, kundennr int NOT NULL, auftragsdatum date, lieferdatum date, status varchar(20), vertreternr int, nettobetrag numeric(12,2), bruttobetrag numeric(12,2));
CREATE TABLE auftragspositionen (auftragsnr int, posnr int, artikelnr char(8), menge numeric(10,2), einzelpreis numeric(10,2), rabatt numeric(5,2), PRIMARY KEY (auftragsnr, posnr));
CREATE TABLE angebote (angebotsnr int PRIMARY KEY, kundennr int, datum date, status varchar(20));
CREATE TABLE angebotspositionen (angebotsnr int, posnr int, artikelnr char(8), menge numeric, einzelpreis numeric, PRIMARY KEY (angebotsnr, posnr));
CREATE TABLE bestellungen (bestellnr int PRIMARY KEY, lieferantennr int, datum date);
INSERT INTO vertreter VALUES (1, 'Meier'), (2, 'Huber');
INSERT INTO kunden SELECT i, 'Firma ' || i, 'Weg 1', '12345', 1 + i % 2 FROM generate_series(100, 119) i;
INSERT INTO artikel SELECT 'A' || lpad(i::text, 7, '0'), 'Artikel ' || i, 1, 5, 12 FROM generate_series(1, 12) i;
INSERT INTO auftraege SELECT i, 100 + i % 20, '2023-05-01'::date + i, '2023-05-03'::date + i, (ARRAY['offen','geliefert','berechnet','storniert'])[1 + i % 4], 1 + i % 2, 27, 32.13 FROM generate_series(1, 80) i;
INSERT INTO auftragspositionen SELECT i, k, 'A' || lpad((1 + (i + k) % 12)::text, 7, '0'), k, 10, 10 FROM generate_series(1, 80) i, generate_series(1, 2) k;
INSERT INTO angebotspositionen SELECT i, k, 'A0000001', k, 10 FROM generate_series(1, 200) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('deutsch', '{"orders": "deutsch.auftraege", "lines": "deutsch.auftragspositionen", "clients": "deutsch.kunden", "products": "deutsch.artikel", "client": "o.kundennr", "product": "l.artikelnr", "at": "o.auftragsdatum", "quantity": "l.menge", "amount": "l.menge * l.einzelpreis * (1 - coalesce(l.rabatt, 0) / 100.0)", "rep": "o.vertreternr", "client_name": "c.firma", "product_name": "p.bezeichnung", "category": "p.warengruppe", "pack_qty": "p.ve_menge"}',
	15, 60, 120, 1620);

-- Spanish, status table, supplier orders beside
CREATE SCHEMA espanol; SET search_path = espanol;
CREATE TABLE clientes (id_cliente serial PRIMARY KEY, razon_social text, nif text);
CREATE TABLE productos (id_producto serial PRIMARY KEY, nombre text, id_categoria int);
CREATE TABLE estados_pedido (id_estado int PRIMARY KEY, descripcion text);
CREATE TABLE pedidos (id_pedido serial PRIMARY KEY, id_cliente int, fecha_pedido timestamp, fecha_entrega timestamp, id_estado int);
CREATE TABLE pedidos_detalle (id_detalle serial PRIMARY KEY, id_pedido int, id_producto int, cantidad int, precio_unitario numeric(10,2), importe numeric(10,2));
CREATE TABLE proveedores (id_proveedor serial PRIMARY KEY, razon_social text);
CREATE TABLE compras (id_compra serial PRIMARY KEY, id_proveedor int, fecha timestamp, total numeric);
CREATE TABLE compras_detalle (id serial PRIMARY KEY, id_compra int, id_producto int, cantidad int, precio numeric);
INSERT INTO clientes (razon_social) SELECT 'Cliente ' || i FROM generate_series(1, 10) i;
INSERT INTO productos (nombre, id_categoria) SELECT 'Producto ' || i, 1 FROM generate_series(1, 10) i;
INSERT INTO estados_pedido VALUES (1, 'Borrador'), (2, 'Confirmado'), (3, 'Entregado'), (4, 'Anulado');
INSERT INTO pedidos (id_cliente, fecha_pedido, id_estado) SELECT 1 + i % 10, '2024-03-01'::timestamp + i * interval '6 hours', 1 + i % 4 FROM generate_series(1, 100) i;
INSERT INTO pedidos_detalle (id_pedido, id_producto, cantidad, precio_unitario, importe) SELECT i, 1 + (i + k) % 10, 2, 3.5, 7 FROM generate_series(1, 100) i, generate_series(1, 2) k;
INSERT INTO compras (id_proveedor, fecha, total) SELECT 1, '2024-01-01', 10 FROM generate_series(1, 100);
INSERT INTO compras_detalle (id_compra, id_producto, cantidad, precio) SELECT i, 1, 1, 1 FROM generate_series(1, 100) i;
INSERT INTO expected.mapping VALUES ('espanol', '{"orders": "espanol.pedidos", "lines": "espanol.pedidos_detalle", "clients": "espanol.clientes", "products": "espanol.productos", "client": "o.id_cliente", "product": "l.id_producto", "at": "o.fecha_pedido", "quantity": "l.cantidad", "amount": "l.importe", "is_sale": "o.id_estado IN (2, 3)", "client_name": "c.razon_social", "product_name": "p.nombre", "category": "p.id_categoria"}',
	10, 50, 100, 700);

-- one flat table, dates as text, no key
CREATE SCHEMA flat; SET search_path = flat;
CREATE TABLE sales_export_lines_2 (x int);
CREATE TABLE sales (invoice_no text, invoice_date text, customer_code text, customer_name text, item_code text, item_description text, qty int, unit_price numeric, net_amount numeric);
INSERT INTO sales SELECT 'R' || i, to_char('2024-01-01'::date + i, 'YYYY-MM-DD'), 'K' || i % 9, 'Name', 'T' || (i + k) % 7, 'Thing', k, 5, 5 * k FROM generate_series(1, 50) i, generate_series(1, 3) k;
INSERT INTO expected.mapping VALUES ('flat', '{"lines": "flat.sales", "order_key": ["invoice_no"], "client": "l.customer_code", "product": "l.item_code", "quantity": "l.qty", "amount": "l.net_amount"}', 9, 50, 150, 1500);

-- headers alone
CREATE SCHEMA heads; SET search_path = heads;
CREATE TABLE account (id serial PRIMARY KEY, account_name text, parent_account_id int REFERENCES account);
CREATE TABLE sales_order_header (id serial PRIMARY KEY, account_id int REFERENCES account, booked_on date, net_total numeric, gross_total numeric, status text);
INSERT INTO account (account_name) SELECT 'acc ' || i FROM generate_series(1, 6) i;
INSERT INTO sales_order_header (account_id, booked_on, net_total, gross_total, status) SELECT 1 + i % 6, '2024-01-01'::date + i, 100, 119, 'booked' FROM generate_series(1, 30) i;
INSERT INTO expected.mapping VALUES ('heads', '{"orders": "heads.sales_order_header", "clients": "heads.account", "client": "o.account_id", "at": "o.booked_on", "quantity": "1", "amount": "o.net_total", "client_name": "c.account_name", "client_parent": "c.parent_account_id"}', 6, 30, 30, 3000);

-- orders and invoices, both with lines; orders come first
CREATE SCHEMA twofold; SET search_path = twofold;
CREATE TABLE customer (customer_id serial PRIMARY KEY, name text);
CREATE TABLE item (item_id serial PRIMARY KEY, item_name text);
CREATE TABLE customer_order (order_id serial PRIMARY KEY, customer_id int REFERENCES customer, order_date date, order_status char(1));
CREATE TABLE customer_order_line (order_line_id serial PRIMARY KEY, order_id int REFERENCES customer_order, item_id int REFERENCES item, ordered_qty int, shipped_qty int, sales_price numeric, cost_price numeric);
CREATE TABLE invoice (invoice_id serial PRIMARY KEY, order_id int REFERENCES customer_order, customer_id int REFERENCES customer, invoice_date date, total numeric);
CREATE TABLE invoice_line (invoice_line_id serial PRIMARY KEY, invoice_id int REFERENCES invoice, item_id int REFERENCES item, quantity int, price numeric, amount numeric);
INSERT INTO customer (name) SELECT 'c' || i FROM generate_series(1, 7) i;
INSERT INTO item (item_name) SELECT 'i' || i FROM generate_series(1, 7) i;
INSERT INTO customer_order (customer_id, order_date, order_status) SELECT 1 + i % 7, '2024-01-01'::date + i, (ARRAY['O','C','X'])[1 + i % 3] FROM generate_series(1, 42) i;
INSERT INTO customer_order_line (order_id, item_id, ordered_qty, shipped_qty, sales_price, cost_price) SELECT i, 1 + (i + k) % 7, 2, 1, 6, 4 FROM generate_series(1, 42) i, generate_series(1, 2) k;
INSERT INTO invoice (order_id, customer_id, invoice_date, total) SELECT order_id, customer_id, order_date + 2, 12 FROM customer_order WHERE order_status = 'C';
INSERT INTO invoice_line (invoice_id, item_id, quantity, price, amount) SELECT i, 1, 2, 6, 12 FROM generate_series(1, 14) i;
INSERT INTO expected.mapping VALUES ('twofold', '{"orders": "twofold.customer_order", "lines": "twofold.customer_order_line", "clients": "twofold.customer", "products": "twofold.item", "client": "o.customer_id", "product": "l.item_id", "at": "o.order_date", "quantity": "l.ordered_qty", "amount": "l.ordered_qty * l.sales_price", "is_sale": "o.order_status IN (''C'', ''O'')", "client_name": "c.name", "product_name": "p.item_name"}', 7, 28, 56, 672);

-- partitioned headers and lines, copies in archive and staging tables, a log of the lines
CREATE SCHEMA parted; SET search_path = parted;
CREATE TABLE clients (client_id bigserial PRIMARY KEY, client_name text);
CREATE TABLE products (product_id bigserial PRIMARY KEY, product_name text);
CREATE TABLE orders (order_id bigint, ordered_at timestamptz, client_id bigint REFERENCES clients, state text, PRIMARY KEY (order_id, ordered_at)) PARTITION BY RANGE (ordered_at);
CREATE TABLE orders_2023 PARTITION OF orders FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE orders_2024 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE order_lines (order_id bigint, ordered_at timestamptz, line_no int, product_id bigint REFERENCES products, quantity int, amount numeric(12,2), PRIMARY KEY (order_id, ordered_at, line_no),
	FOREIGN KEY (order_id, ordered_at) REFERENCES orders) PARTITION BY RANGE (ordered_at);
CREATE TABLE order_lines_2023 PARTITION OF order_lines FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE order_lines_2024 PARTITION OF order_lines FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE orders_archive (order_id bigint PRIMARY KEY, ordered_at timestamptz, client_id bigint, state text);
CREATE TABLE order_lines_archive (order_id bigint, line_no int, product_id bigint, quantity int, amount numeric, PRIMARY KEY (order_id, line_no));
CREATE TABLE stg_order_lines (order_id bigint, line_no int, product_id bigint, quantity int, amount numeric);
CREATE TABLE order_lines_log (order_id bigint, line_no int, product_id bigint, quantity int, amount numeric, changed_at timestamptz);
CREATE VIEW order_totals AS SELECT order_id, sum(amount) AS amount FROM order_lines GROUP BY 1;
INSERT INTO clients (client_name) SELECT 'c' || i FROM generate_series(1, 20) i;
INSERT INTO products (product_name) SELECT 'p' || i FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i, '2023-01-01'::timestamptz + i * interval '5 days', 1 + i % 20, 'shipped' FROM generate_series(1, 120) i;
INSERT INTO order_lines SELECT i, '2023-01-01'::timestamptz + i * interval '5 days', k, 1 + (i + k) % 20, k, 9 * k FROM generate_series(1, 120) i, generate_series(1, 2) k;
INSERT INTO orders_archive SELECT i, '2020-01-01'::timestamptz + i * interval '1 hour', 1 + i % 20, 'shipped' FROM generate_series(1, 2000) i;
INSERT INTO order_lines_archive SELECT i, k, 1, 1, 9 FROM generate_series(1, 2000) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('parted', '{"orders": "parted.orders", "lines": "parted.order_lines", "clients": "parted.clients", "products": "parted.products", "client": "o.client_id", "product": "l.product_id", "at": "o.ordered_at", "quantity": "l.quantity", "amount": "l.amount", "client_name": "c.client_name", "product_name": "p.product_name"}', 20, 120, 240, 3240);

-- purchases, quotes and sales in the same table, told by a type; returns as positive documents
CREATE SCHEMA typed; SET search_path = typed;
CREATE TABLE party (party_id int PRIMARY KEY, party_name text, is_customer boolean, is_supplier boolean);
CREATE TABLE product (product_id int PRIMARY KEY, product_name text);
CREATE TABLE document (document_id int PRIMARY KEY, document_type text NOT NULL, party_id int REFERENCES party, document_date date, posted boolean);
CREATE TABLE document_line (document_id int REFERENCES document, line_no int, product_id int REFERENCES product, quantity numeric, price numeric, net_amount numeric, PRIMARY KEY (document_id, line_no));
INSERT INTO party SELECT i, 'party ' || i, i <= 8, i > 8 FROM generate_series(1, 10) i;
INSERT INTO product SELECT i, 'product ' || i FROM generate_series(1, 5) i;
INSERT INTO document SELECT i, (ARRAY['SALES_INVOICE','PURCHASE_INVOICE','QUOTE','SALES_RETURN','SALES_INVOICE'])[1 + i % 5], CASE WHEN i % 5 = 1 THEN 9 ELSE 1 + i % 8 END, '2024-01-01'::date + i, true FROM generate_series(1, 100) i;
INSERT INTO document_line SELECT i, k, k, 2, 5, 10 FROM generate_series(1, 100) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('typed', '{"orders": "typed.document", "lines": "typed.document_line", "clients": "typed.party", "products": "typed.product", "client": "o.party_id", "product": "l.product_id", "at": "o.document_date", "client_name": "c.party_name", "product_name": "p.product_name"}', 8, 60, 120, 400);

-- statuses with quotes, lines without product (texts, freight), cents, no foreign keys
CREATE SCHEMA cents; SET search_path = cents;
CREATE TABLE buyers (id bigserial PRIMARY KEY, name text NOT NULL, email text);
CREATE TABLE skus (id bigserial PRIMARY KEY, code text UNIQUE, name text, product_id bigint);
CREATE TABLE orders (id bigserial PRIMARY KEY, buyer_id bigint NOT NULL, state varchar(20) NOT NULL DEFAULT 'quote', confirmed_at timestamp, created_at timestamp DEFAULT now(), total_cents int, currency char(3) DEFAULT 'EUR');
CREATE TABLE order_lines (id bigserial PRIMARY KEY, order_id bigint NOT NULL, sku_id bigint, text text, quantity int NOT NULL DEFAULT 1, unit_price_cents int NOT NULL, amount_cents int NOT NULL);
INSERT INTO buyers (name) SELECT 'b' || i FROM generate_series(1, 10) i;
INSERT INTO skus (code, name) SELECT 'S' || i, 'sku ' || i FROM generate_series(1, 10) i;
INSERT INTO orders (buyer_id, state, confirmed_at, total_cents) SELECT 1 + i % 10, (ARRAY['quote','confirmed','invoiced','rejected'])[1 + i % 4], CASE WHEN i % 4 <> 0 THEN '2024-01-01'::timestamp + i * interval '1 day' END, 4490 FROM generate_series(1, 80) i;
INSERT INTO order_lines (order_id, sku_id, quantity, unit_price_cents, amount_cents) SELECT i, 1 + (i + k) % 10, 2, 1000, 2000 FROM generate_series(1, 80) i, generate_series(1, 2) k;
INSERT INTO order_lines (order_id, text, quantity, unit_price_cents, amount_cents) SELECT i, 'Freight', 1, 490, 490 FROM generate_series(1, 80) i;
INSERT INTO expected.mapping VALUES ('cents', '{"orders": "cents.orders", "lines": "cents.order_lines", "clients": "cents.buyers", "products": "cents.skus", "client": "o.buyer_id", "product": "l.sku_id", "at": "o.confirmed_at", "quantity": "l.quantity", "amount": "l.amount_cents * 0.01", "is_sale": "o.state IN (''confirmed'', ''invoiced'')", "line_ok": "l.sku_id IS NOT NULL", "client_name": "c.name", "product_name": "p.name"}', 10, 40, 80, 1600);

-- line -> stock item -> product; header total with tax; employees as reps; epoch
CREATE SCHEMA chained; SET search_path = chained;
CREATE TABLE custinfo (cust_id serial PRIMARY KEY, cust_number text, cust_name text, cust_active boolean);
CREATE TABLE item (item_id serial PRIMARY KEY, item_number text, item_descrip1 text, item_classcode_id int);
CREATE TABLE warehouse (warehous_id serial PRIMARY KEY, code text);
CREATE TABLE itemsite (itemsite_id serial PRIMARY KEY, itemsite_item_id int NOT NULL REFERENCES item (item_id), itemsite_warehous_id int REFERENCES warehouse);
CREATE TABLE salesrep (salesrep_id serial PRIMARY KEY, salesrep_name text);
CREATE TABLE cohead (cohead_id serial PRIMARY KEY, cohead_number text UNIQUE, cohead_cust_id int NOT NULL REFERENCES custinfo, cohead_orderdate date, cohead_salesrep_id int REFERENCES salesrep, cohead_status char(1), cohead_freight numeric);
CREATE TABLE coitem (coitem_id serial PRIMARY KEY, coitem_cohead_id int REFERENCES cohead, coitem_linenumber int, coitem_itemsite_id int REFERENCES itemsite, coitem_qtyord numeric, coitem_qtyshipped numeric, coitem_price numeric, coitem_unitcost numeric, coitem_status char(1));
CREATE TABLE pohead (pohead_id serial PRIMARY KEY, pohead_vend_id int, pohead_orderdate date);
CREATE TABLE poitem (poitem_id serial PRIMARY KEY, poitem_pohead_id int REFERENCES pohead, poitem_itemsite_id int REFERENCES itemsite, poitem_qty_ordered numeric, poitem_unitprice numeric);
INSERT INTO custinfo (cust_number, cust_name, cust_active) SELECT 'C' || i, 'cust ' || i, true FROM generate_series(1, 9) i;
INSERT INTO item (item_number, item_descrip1) SELECT 'IT' || i, 'item ' || i FROM generate_series(1, 6) i;
INSERT INTO warehouse (code) VALUES ('W1'), ('W2');
INSERT INTO itemsite (itemsite_item_id, itemsite_warehous_id) SELECT i, w FROM generate_series(1, 6) i, generate_series(1, 2) w;
INSERT INTO salesrep (salesrep_name) VALUES ('r1'), ('r2');
INSERT INTO cohead (cohead_number, cohead_cust_id, cohead_orderdate, cohead_salesrep_id, cohead_status) SELECT 'SO' || i, 1 + i % 9, '2024-01-01'::date + i, 1 + i % 2, (ARRAY['O','C','C'])[1 + i % 3] FROM generate_series(1, 45) i;
INSERT INTO coitem (coitem_cohead_id, coitem_linenumber, coitem_itemsite_id, coitem_qtyord, coitem_qtyshipped, coitem_price, coitem_unitcost, coitem_status) SELECT i, k, 1 + (i + k) % 12, 3, 3, 8, 5, CASE WHEN i % 15 = 0 AND k = 2 THEN 'X' ELSE 'C' END FROM generate_series(1, 45) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('chained', '{"orders": "chained.cohead", "lines": "chained.coitem", "clients": "chained.custinfo", "products": "chained.item", "client": "o.cohead_cust_id", "product": "(SELECT s.itemsite_item_id FROM chained.itemsite AS s WHERE s.itemsite_id = l.coitem_itemsite_id)", "at": "o.cohead_orderdate", "quantity": "l.coitem_qtyord", "amount": "l.coitem_qtyord * l.coitem_price", "rep": "o.cohead_salesrep_id", "client_name": "c.cust_name", "product_name": "p.item_descrip1"}', 9, 45, 87, 2088);

-- transliterated Russian, no foreign keys, double precision, currency with a rate, epoch times
CREATE SCHEMA sklad; SET search_path = sklad;
CREATE TABLE kontragenty (id int PRIMARY KEY, naimenovanie text, roditel_id int);
CREATE TABLE nomenklatura (id int PRIMARY KEY, naimenovanie text, gruppa_id int);
CREATE TABLE zakazy (id int PRIMARY KEY, nomer text, data_zakaza bigint, kontragent_id int, valuta char(3), kurs numeric, summa double precision, proveden boolean, udalen boolean);
CREATE TABLE zakazy_tovary (id int PRIMARY KEY, zakaz_id int, tovar_id int, kolichestvo double precision, tsena double precision, summa double precision);
INSERT INTO kontragenty SELECT i, 'OOO ' || i FROM generate_series(1, 11) i;
INSERT INTO nomenklatura SELECT i, 'tovar ' || i, 1 FROM generate_series(1, 11) i;
INSERT INTO zakazy SELECT i, 'Z' || i, 1704067200 + i * 86400, 1 + i % 11, 'RUB', 1, 20, i % 5 <> 0, i % 11 = 0 FROM generate_series(1, 55) i;
INSERT INTO zakazy_tovary SELECT 10 * i + k, i, 1 + (i + k) % 11, 2, 5, 10 FROM generate_series(1, 55) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('sklad', '{"orders": "sklad.zakazy", "lines": "sklad.zakazy_tovary", "clients": "sklad.kontragenty", "products": "sklad.nomenklatura", "client": "o.kontragent_id", "product": "l.tovar_id", "at": "to_timestamp(o.data_zakaza)", "quantity": "l.kolichestvo::numeric", "amount": "l.summa::numeric", "client_name": "c.naimenovanie", "client_parent": "c.roditel_id", "product_name": "p.naimenovanie"}', 10, 40, 80, 800);

-- French, gross totals beside net, invoices only; credit notes negative
CREATE SCHEMA factures; SET search_path = factures;
CREATE TABLE client (id_client int PRIMARY KEY, raison_sociale text);
CREATE TABLE article (ref_article varchar(12) PRIMARY KEY, libelle text, famille text);
CREATE TABLE facture (num_facture int PRIMARY KEY, id_client int REFERENCES client, date_facture date, date_echeance date, total_ht numeric, total_tva numeric, total_ttc numeric, statut text);
CREATE TABLE facture_ligne (id int PRIMARY KEY, num_facture int REFERENCES facture, ref_article varchar(12) REFERENCES article, quantite numeric, pu_ht numeric, montant_ht numeric, montant_ttc numeric);
CREATE TABLE facture_fournisseur (id int PRIMARY KEY, id_fournisseur int, date_facture date, total_ht numeric);
INSERT INTO client SELECT i, 'SARL ' || i FROM generate_series(1, 5) i;
INSERT INTO article SELECT 'R' || i, 'article ' || i, 'f' FROM generate_series(1, 5) i;
INSERT INTO facture SELECT i, 1 + i % 5, '2024-01-01'::date + i, '2024-02-01'::date + i, 40, 8, 48, (ARRAY['brouillon','validée','payée'])[1 + i % 3] FROM generate_series(1, 60) i;
INSERT INTO facture_ligne SELECT 10 * i + k, i, 'R' || 1 + (i + k) % 5, 2, 10, 20, 24 FROM generate_series(1, 60) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('factures', '{"orders": "factures.facture", "lines": "factures.facture_ligne", "clients": "factures.client", "products": "factures.article", "client": "o.id_client", "product": "l.ref_article", "at": "o.date_facture", "quantity": "l.quantite", "amount": "l.montant_ht", "client_name": "c.raison_sociale", "product_name": "p.libelle", "category": "p.famille"}', 5, 40, 80, 1600);

-- surrogate keys everywhere, references by natural keys that are unique within a company; statuses are numbers that only the program explains
CREATE SCHEMA axlike; SET search_path = axlike;
CREATE TABLE dataarea (recid bigint PRIMARY KEY, id varchar(4) UNIQUE, name text);
CREATE TABLE custtable (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, accountnum varchar(20) NOT NULL, name varchar(60), custgroup varchar(10), UNIQUE (dataareaid, accountnum));
CREATE TABLE inventtable (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, itemid varchar(20) NOT NULL, itemname varchar(60), itemgroupid varchar(10), UNIQUE (dataareaid, itemid));
CREATE TABLE salestable (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, salesid varchar(20) NOT NULL, custaccount varchar(20) NOT NULL, invoiceaccount varchar(20) NOT NULL, salesname varchar(60), salesstatus int NOT NULL DEFAULT 0, salestype int NOT NULL DEFAULT 3, documentstatus int NOT NULL DEFAULT 0,
	currencycode varchar(3), createddatetime timestamp NOT NULL, deliverydate date, receiptdaterequested date, modifieddatetime timestamp, UNIQUE (dataareaid, salesid));
CREATE TABLE salesline (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, salesid varchar(20) NOT NULL, linenum numeric(32,16) NOT NULL, itemid varchar(20) NOT NULL, name varchar(60), salesqty numeric(32,16), remainsalesphysical numeric(32,16), salesprice numeric(32,16), linedisc numeric(32,16), linepercent numeric(32,16), lineamount numeric(32,16), costprice numeric(32,16), salesstatus int, salesunit varchar(10));
CREATE INDEX ON salesline (dataareaid, salesid);
CREATE TABLE vendtable (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, accountnum varchar(20) NOT NULL, name varchar(60), UNIQUE (dataareaid, accountnum));
CREATE TABLE purchtable (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, purchid varchar(20) NOT NULL, orderaccount varchar(20), purchstatus int, createddatetime timestamp, UNIQUE (dataareaid, purchid));
CREATE TABLE purchline (recid bigint PRIMARY KEY, dataareaid varchar(4) NOT NULL, purchid varchar(20), itemid varchar(20), purchqty numeric, purchprice numeric, lineamount numeric);
INSERT INTO dataarea VALUES (1, 'ceu', 'Europe');
INSERT INTO custtable SELECT 1000 + i, 'ceu', 'C-' || lpad(i::text, 5, '0'), 'Customer ' || i, 'DOM' FROM generate_series(1, 12) i;
INSERT INTO inventtable SELECT 2000 + i, 'ceu', 'I' || lpad(i::text, 4, '0'), 'Item ' || i, 'GRP' FROM generate_series(1, 9) i;
INSERT INTO vendtable SELECT 3000 + i, 'ceu', 'V-' || lpad(i::text, 5, '0'), 'Vendor ' || i FROM generate_series(1, 4) i;
-- 1 open, 2 delivered, 3 invoiced, 4 cancelled: what was cancelled has nothing delivered and no amount left
INSERT INTO salestable SELECT 5000 + i, 'ceu', 'SO-' || lpad(i::text, 6, '0'), 'C-' || lpad((1 + i % 12)::text, 5, '0'), 'C-' || lpad((1 + i % 12)::text, 5, '0'), 'n', 1 + i % 4, 3, 0, 'EUR', '2024-01-01'::timestamp + i * interval '1 day', '2024-01-05', '2024-01-05', now() FROM generate_series(1, 120) i;
INSERT INTO salesline SELECT 10 * i + k, 'ceu', 'SO-' || lpad(i::text, 6, '0'), k, 'I' || lpad((1 + (i + k) % 9)::text, 4, '0'), 'n', 2 * k, CASE WHEN i % 4 = 0 THEN 2 * k ELSE 0 END, 7.5, 0, 0, 15 * k, 4, 1 + i % 4, 'pcs' FROM generate_series(1, 120) i, generate_series(1, 3) k;
INSERT INTO purchtable SELECT i, 'ceu', 'PO-' || i, 'V-00001', 3, '2024-01-01' FROM generate_series(1, 60) i;
INSERT INTO purchline SELECT i, 'ceu', 'PO-' || i, 'I0001', 100, 3, 300 FROM generate_series(1, 60) i;
INSERT INTO expected.mapping VALUES ('axlike', '{"orders": "axlike.salestable", "lines": "axlike.salesline", "clients": "axlike.custtable", "products": "axlike.inventtable", "at": "o.createddatetime", "quantity": "l.salesqty", "amount": "l.lineamount", "client_name": "c.name", "product_name": "p.itemname", "category": "p.itemgroupid"}', 12, 120, 360, 10800);

-- rates per day in a table of their own; the parent's parent is the root
CREATE SCHEMA daily; SET search_path = daily;
CREATE TABLE company (id serial PRIMARY KEY, name text, parent_id int REFERENCES company);
CREATE TABLE contact (id serial PRIMARY KEY, company_id int NOT NULL REFERENCES company, first_name text, last_name text);
CREATE TABLE product (id serial PRIMARY KEY, name text, category text);
CREATE TABLE exchange_rate (currency char(3), valid_from date, rate numeric NOT NULL, PRIMARY KEY (currency, valid_from));
CREATE TABLE orders (id serial PRIMARY KEY, contact_id int NOT NULL REFERENCES contact, currency char(3) NOT NULL, order_date date NOT NULL, status text);
CREATE TABLE order_line (id serial PRIMARY KEY, order_id int NOT NULL REFERENCES orders, product_id int NOT NULL REFERENCES product, qty int, price numeric, amount numeric);
INSERT INTO company (name, parent_id) SELECT 'co ' || i, CASE WHEN i > 1 AND i <= 4 THEN i - 1 END FROM generate_series(1, 8) i;
INSERT INTO contact (company_id, first_name, last_name) SELECT 1 + i % 8, 'f' || i, 'l' || i FROM generate_series(1, 16) i;
INSERT INTO product (name, category) SELECT 'p ' || i, 'c' FROM generate_series(1, 7) i;
INSERT INTO exchange_rate SELECT c, '2024-01-01'::date + 7 * w, CASE c WHEN 'USD' THEN 0.9 ELSE 1.2 END FROM unnest('{USD,GBP}'::text[]) c, generate_series(0, 12) w;
INSERT INTO orders (contact_id, currency, order_date, status) SELECT 1 + i % 16, (ARRAY['EUR','USD','GBP'])[1 + i % 3], '2024-01-02'::date + i, 'shipped' FROM generate_series(1, 60) i;
INSERT INTO order_line (order_id, product_id, qty, price, amount) SELECT i, 1 + (i + k) % 7, k, 10, 10 * k FROM generate_series(1, 60) i, generate_series(1, 2) k;
INSERT INTO expected.mapping VALUES ('daily', '{"orders": "daily.orders", "lines": "daily.order_line", "clients": "daily.company", "products": "daily.product", "client": "(SELECT s.company_id FROM daily.contact AS s WHERE s.id = o.contact_id)", "product": "l.product_id", "at": "o.order_date", "client_parent": "c.parent_id", "client_name": "c.name"}', 8, 60, 120, 1860);

-- all versions of an order are kept: key of number and version
CREATE SCHEMA versioned; SET search_path = versioned;
CREATE TABLE customer (customer_id int PRIMARY KEY, customer_name text);
CREATE TABLE product (product_id int PRIMARY KEY, product_name text);
CREATE TABLE sales_order (order_no int, version_no int, customer_id int NOT NULL REFERENCES customer, order_date date, status text, PRIMARY KEY (order_no, version_no));
CREATE TABLE sales_order_line (order_no int, version_no int, line_no int, product_id int REFERENCES product, quantity int, amount numeric, PRIMARY KEY (order_no, version_no, line_no), FOREIGN KEY (order_no, version_no) REFERENCES sales_order);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 9) i;
INSERT INTO product SELECT i, 'p' || i FROM generate_series(1, 6) i;
INSERT INTO sales_order SELECT i, v, 1 + i % 9, '2024-01-01'::date + i, 'confirmed' FROM generate_series(1, 50) i, generate_series(1, 1 + i % 3) v;
INSERT INTO sales_order_line SELECT i, v, k, 1 + (i + k) % 6, k * v, 5 * k * v FROM generate_series(1, 50) i, generate_series(1, 1 + i % 3) v, generate_series(1, 2) k;
INSERT INTO expected.mapping SELECT 'versioned', '{"orders": "versioned.sales_order", "lines": "versioned.sales_order_line", "clients": "versioned.customer", "products": "versioned.product", "client": "o.customer_id"}', 9, 50, 100, sum(amount) FROM sales_order_line l WHERE version_no = (SELECT max(version_no) FROM sales_order o WHERE o.order_no = l.order_no);

-- an offer's or order's new version is a row of its own with a key of its own
CREATE SCHEMA revised; SET search_path = revised;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE product (id int PRIMARY KEY, name text);
CREATE TABLE sales_order (id serial PRIMARY KEY, order_number text NOT NULL, revision int NOT NULL, customer_id int NOT NULL REFERENCES customer, order_date date, total_net numeric, UNIQUE (order_number, revision));
CREATE TABLE sales_order_item (id serial PRIMARY KEY, sales_order_id int REFERENCES sales_order, product_id int REFERENCES product, quantity int, net_amount numeric);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 9) i;
INSERT INTO product SELECT i, 'p' || i FROM generate_series(1, 6) i;
INSERT INTO sales_order (order_number, revision, customer_id, order_date) SELECT 'SO' || i, v, 1 + i % 9, '2024-01-01'::date + i FROM generate_series(1, 50) i, generate_series(1, 1 + i % 3) v;
INSERT INTO sales_order_item (sales_order_id, product_id, quantity, net_amount) SELECT o.id, 1 + (o.id + k) % 6, k * revision, 5 * k * revision FROM sales_order o, generate_series(1, 2) k;
INSERT INTO expected.mapping SELECT 'revised', '{"orders": "revised.sales_order", "lines": "revised.sales_order_item", "clients": "revised.customer", "products": "revised.product", "client": "o.customer_id"}', 9, 50, 100, sum(net_amount) FROM sales_order_item l JOIN sales_order s ON s.id = l.sales_order_id WHERE revision = (SELECT max(revision) FROM sales_order o WHERE o.order_number = s.order_number);

-- replaced by
CREATE SCHEMA replaced; SET search_path = replaced;
CREATE TABLE customer (id int PRIMARY KEY, name text);
CREATE TABLE product (id int PRIMARY KEY, name text);
CREATE TABLE sales_order (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, order_date date, superseded_by int REFERENCES sales_order);
CREATE TABLE sales_order_item (id serial PRIMARY KEY, sales_order_id int REFERENCES sales_order, product_id int REFERENCES product, quantity int, net_amount numeric);
INSERT INTO customer SELECT i, 'c' || i FROM generate_series(1, 9) i;
INSERT INTO product SELECT i, 'p' || i FROM generate_series(1, 6) i;
INSERT INTO sales_order (customer_id, order_date) SELECT 1 + i % 9, '2024-01-01'::date + i FROM generate_series(1, 80) i;
UPDATE sales_order SET superseded_by = id + 1 WHERE id % 5 = 1;
INSERT INTO sales_order_item (sales_order_id, product_id, quantity, net_amount) SELECT o.id, 1 + (o.id + k) % 6, k, 5 * k FROM sales_order o, generate_series(1, 2) k;
INSERT INTO expected.mapping SELECT 'replaced', '{"orders": "replaced.sales_order", "lines": "replaced.sales_order_item", "clients": "replaced.customer", "products": "replaced.product", "client": "o.customer_id", "is_sale": "o.superseded_by IS NULL"}', 9, 64, 128, 960;
RESET search_path;
