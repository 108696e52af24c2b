-- ledger/: agentcrm's own normalised copy of counted order lines, and the identities behind its ids

CREATE TABLE agentcrm.client (
	client_id			bigint PRIMARY KEY,
	namespace			int NOT NULL,
	client_key			text NOT NULL,
	name				text,
	parent_client_id	bigint,
	root_client_id		bigint NOT NULL,
	channel				text,
	territory			text,
	rep_id				bigint,
	active				boolean NOT NULL DEFAULT true,
	do_not_contact		boolean NOT NULL DEFAULT false,
	first_seen			timestamptz NOT NULL,
	replaced_by_client_id	bigint,
	survivor_client_id	bigint,
	gone_at				timestamptz,
	feed_source_id		int,
	UNIQUE (client_key, namespace)
);
CREATE INDEX client_replaced_by_client_id_idx ON agentcrm.client (replaced_by_client_id) WHERE replaced_by_client_id IS NOT NULL;
CREATE INDEX client_survivor_client_id_idx ON agentcrm.client (survivor_client_id) WHERE survivor_client_id IS NOT NULL;
CREATE INDEX client_parent_client_id_idx ON agentcrm.client (parent_client_id);
CREATE INDEX client_rep_id_idx ON agentcrm.client (rep_id);
COMMENT ON TABLE agentcrm.client IS 'Clients known from orders or from the client feed';
COMMENT ON COLUMN agentcrm.client.client_id IS 'Client: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.client.namespace IS 'Identity namespace';
COMMENT ON COLUMN agentcrm.client.client_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.client.name IS 'Name';
COMMENT ON COLUMN agentcrm.client.parent_client_id IS 'Parent company, if any';
COMMENT ON COLUMN agentcrm.client.root_client_id IS 'Topmost company above the client, or above the one it was merged into; the client itself where it has no parent';
COMMENT ON COLUMN agentcrm.client.channel IS 'Sales channel';
COMMENT ON COLUMN agentcrm.client.territory IS 'Sales territory';
COMMENT ON COLUMN agentcrm.client.rep_id IS 'Rep named by the client feed; else the rep of the last order serves';
COMMENT ON COLUMN agentcrm.client.active IS 'False: the application has closed the client';
COMMENT ON COLUMN agentcrm.client.do_not_contact IS 'True: no recommendation may contact the client';
COMMENT ON COLUMN agentcrm.client.first_seen IS 'When agentcrm first met the client; begins anew when a key comes back that was gone and has no orders';
COMMENT ON COLUMN agentcrm.client.replaced_by_client_id IS 'Client that replaces this one, as the application says, or under whose key it goes on since its key was renamed';
COMMENT ON COLUMN agentcrm.client.survivor_client_id IS 'Client that this one is merged into: the end of the chain of replacements; its orders and history count there. NULL: not merged';
COMMENT ON COLUMN agentcrm.client.gone_at IS 'When the client was found gone from the application; NULL: it is there, or is known from orders alone';
COMMENT ON COLUMN agentcrm.client.feed_source_id IS 'Source whose feed gives the row; NULL: known from orders alone';

CREATE TABLE agentcrm.product (
	product_id		bigint PRIMARY KEY,
	namespace		int NOT NULL,
	product_key		text NOT NULL,
	name			text,
	category		text,
	active			boolean NOT NULL DEFAULT true,
	successor_product_id	bigint,
	pack_qty		numeric,
	min_order_qty	numeric,
	feed_source_id	int,
	UNIQUE (product_key, namespace)
);
COMMENT ON TABLE agentcrm.product IS 'Products known from order lines or from the product feed';
COMMENT ON COLUMN agentcrm.product.product_id IS 'Product: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.product.namespace IS 'Identity namespace';
COMMENT ON COLUMN agentcrm.product.product_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.product.name IS 'Name';
COMMENT ON COLUMN agentcrm.product.category IS 'Category';
COMMENT ON COLUMN agentcrm.product.active IS 'False: no longer sold';
COMMENT ON COLUMN agentcrm.product.successor_product_id IS 'Product that replaces this one';
COMMENT ON COLUMN agentcrm.product.pack_qty IS 'Units in a pack; suggested quantities are multiples of it';
COMMENT ON COLUMN agentcrm.product.min_order_qty IS 'Smallest quantity that can be ordered';
COMMENT ON COLUMN agentcrm.product.feed_source_id IS 'Source whose feed gives the row; NULL: known from orders alone';

CREATE TABLE agentcrm.rep (
	rep_id		bigint PRIMARY KEY,
	namespace	int NOT NULL,
	rep_key		text NOT NULL,
	name		text,
	active		boolean NOT NULL DEFAULT true,
	feed_source_id	int,
	UNIQUE (rep_key, namespace)
);
COMMENT ON TABLE agentcrm.rep IS 'Sales reps known from orders, clients or the rep feed';
COMMENT ON COLUMN agentcrm.rep.rep_id IS 'Rep: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.rep.namespace IS 'Identity namespace';
COMMENT ON COLUMN agentcrm.rep.rep_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.rep.name IS 'Name';
COMMENT ON COLUMN agentcrm.rep.active IS 'False: has left';
COMMENT ON COLUMN agentcrm.rep.feed_source_id IS 'Source whose feed gives the row; NULL: known from orders alone';

CREATE TABLE agentcrm.order_ref (
	order_id	bigint NOT NULL,
	source_id	int NOT NULL REFERENCES agentcrm.source ON DELETE CASCADE,
	order_key	text NOT NULL,
	PRIMARY KEY (source_id, order_id)
);
COMMENT ON TABLE agentcrm.order_ref IS 'Orders whose id is a hash, with their key; an order with an integer key in namespace 0 is its own reference and has no row';
COMMENT ON COLUMN agentcrm.order_ref.order_id IS 'Order, unique within its source';
COMMENT ON COLUMN agentcrm.order_ref.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.order_ref.order_key IS 'The application''s key in canonical text';

CREATE TABLE agentcrm.ledger (
	client_id	bigint NOT NULL,
	order_id	bigint NOT NULL,
	ordered_at	timestamptz NOT NULL,
	recorded_at	timestamptz NOT NULL,
	product_id	bigint,
	rep_id		bigint,
	source_id	int NOT NULL,
	line_no		int NOT NULL,
	ordered_on	date NOT NULL,
	archived	boolean NOT NULL,
	kind		text NOT NULL CHECK (kind IN ('sale', 'return')),
	quantity	numeric NOT NULL,
	amount		numeric NOT NULL,
	margin		numeric,
	line_key	text,
	named_client_id	bigint,
	PRIMARY KEY (client_id, source_id, order_id, line_no)
);
CREATE INDEX ledger_source_id_order_id_idx ON agentcrm.ledger (source_id, order_id);
COMMENT ON TABLE agentcrm.ledger IS 'Counted order lines: the fact table. One row per order line, as the application holds it now';
COMMENT ON COLUMN agentcrm.ledger.client_id IS 'Client of the line: the survivor where clients were merged';
COMMENT ON COLUMN agentcrm.ledger.order_id IS 'Order, unique within its source';
COMMENT ON COLUMN agentcrm.ledger.ordered_at IS 'Time of the order: the earliest of its lines';
COMMENT ON COLUMN agentcrm.ledger.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.ledger.product_id IS 'Product; NULL for charges and the like';
COMMENT ON COLUMN agentcrm.ledger.rep_id IS 'Rep of the order, where the source names one';
COMMENT ON COLUMN agentcrm.ledger.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.ledger.line_no IS 'Ordinal within order and client; carries no meaning';
COMMENT ON COLUMN agentcrm.ledger.ordered_on IS 'Day of the order in the source''s time zone';
COMMENT ON COLUMN agentcrm.ledger.archived IS 'True: older than the source''s archive_before; left out of compare and verify';
COMMENT ON COLUMN agentcrm.ledger.kind IS 'sale or return';
COMMENT ON COLUMN agentcrm.ledger.quantity IS 'Quantity in the source''s unit; negative for returns';
COMMENT ON COLUMN agentcrm.ledger.amount IS 'Net amount in the source''s currency, unrounded; negative for returns';
COMMENT ON COLUMN agentcrm.ledger.margin IS 'Margin in the source''s currency, where the source gives it';
COMMENT ON COLUMN agentcrm.ledger.line_key IS 'The application''s line key in canonical text, where there is one';
COMMENT ON COLUMN agentcrm.ledger.named_client_id IS 'Client that the order names, where that one was merged into client_id; NULL: it names client_id';

CREATE TABLE agentcrm.ledger_history (
	LIKE agentcrm.ledger,
	recorded_to	timestamptz NOT NULL
);
ALTER TABLE agentcrm.ledger_history RENAME recorded_at TO recorded_from;
CREATE INDEX ledger_history_client_id_idx ON agentcrm.ledger_history (client_id, recorded_to);
COMMENT ON TABLE agentcrm.ledger_history IS 'Superseded ledger rows, with the time during which they stood: what was known then';
COMMENT ON COLUMN agentcrm.ledger_history.client_id IS 'Client of the line';
COMMENT ON COLUMN agentcrm.ledger_history.order_id IS 'Order, unique within its source';
COMMENT ON COLUMN agentcrm.ledger_history.ordered_at IS 'Time of the order';
COMMENT ON COLUMN agentcrm.ledger_history.recorded_from IS 'When the row was written to the ledger';
COMMENT ON COLUMN agentcrm.ledger_history.product_id IS 'Product';
COMMENT ON COLUMN agentcrm.ledger_history.rep_id IS 'Rep of the order';
COMMENT ON COLUMN agentcrm.ledger_history.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.ledger_history.line_no IS 'Ordinal within order and client';
COMMENT ON COLUMN agentcrm.ledger_history.ordered_on IS 'Day of the order';
COMMENT ON COLUMN agentcrm.ledger_history.archived IS 'Whether the row was archived';
COMMENT ON COLUMN agentcrm.ledger_history.kind IS 'sale or return';
COMMENT ON COLUMN agentcrm.ledger_history.quantity IS 'Quantity';
COMMENT ON COLUMN agentcrm.ledger_history.amount IS 'Net amount';
COMMENT ON COLUMN agentcrm.ledger_history.margin IS 'Margin';
COMMENT ON COLUMN agentcrm.ledger_history.line_key IS 'The application''s line key';
COMMENT ON COLUMN agentcrm.ledger_history.named_client_id IS 'Client that the order named, where it was merged into client_id';
COMMENT ON COLUMN agentcrm.ledger_history.recorded_to IS 'When the row was superseded';
