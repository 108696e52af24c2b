-- ledger/: what feeds give beside clients, products and reps: facts about them, as the application holds them now.
-- Columns and src/source/feed_kind.c go together.  A row's own key is unique within its source, for one client (product) once;
-- clients and products need not be known yet: they will have the same ids.

CREATE TABLE agentcrm.interaction (
	client_id		bigint NOT NULL,
	interaction_id	bigint NOT NULL,
	at				timestamptz NOT NULL,
	recorded_at		timestamptz NOT NULL,
	rep_id			bigint,
	source_id		int NOT NULL,
	interaction_key	text NOT NULL,
	client_key		text NOT NULL,
	channel			text,
	kind			text,
	direction		text CHECK (direction IN ('in', 'out')),
	outcome			text,
	minutes			numeric,
	PRIMARY KEY (client_id, source_id, interaction_id)
);
CREATE INDEX interaction_source_id_interaction_id_idx ON agentcrm.interaction (source_id, interaction_id);
COMMENT ON TABLE agentcrm.interaction IS 'Contacts with clients that the application keeps: calls, visits, messages. From feeds interaction';
COMMENT ON COLUMN agentcrm.interaction.client_id IS 'Client; one that agentcrm does not know yet has this id when it comes';
COMMENT ON COLUMN agentcrm.interaction.interaction_id IS 'Interaction, unique within its source and client: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.interaction.at IS 'When it took place, or is planned for';
COMMENT ON COLUMN agentcrm.interaction.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.interaction.rep_id IS 'Rep';
COMMENT ON COLUMN agentcrm.interaction.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.interaction.interaction_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.interaction.client_key IS 'The client''s key in canonical text';
COMMENT ON COLUMN agentcrm.interaction.channel IS 'Channel, as in contact_policy: phone, visit, email and the like';
COMMENT ON COLUMN agentcrm.interaction.kind IS 'What it was about, in the application''s words';
COMMENT ON COLUMN agentcrm.interaction.direction IS 'in: the client came to us; out: we went to the client; NULL: not known';
COMMENT ON COLUMN agentcrm.interaction.outcome IS 'What came of it, in the application''s words';
COMMENT ON COLUMN agentcrm.interaction.minutes IS 'How long it took, minutes';

CREATE TABLE agentcrm.receivable (
	client_id		bigint NOT NULL,
	receivable_id	bigint NOT NULL,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	due_on			date NOT NULL,
	issued_on		date,
	paid_on			date,
	receivable_key	text NOT NULL,
	client_key		text NOT NULL,
	document		text,
	currency		text,
	amount			numeric NOT NULL,
	open_amount		numeric NOT NULL,
	PRIMARY KEY (client_id, source_id, receivable_id)
);
CREATE INDEX receivable_source_id_receivable_id_idx ON agentcrm.receivable (source_id, receivable_id);
COMMENT ON TABLE agentcrm.receivable IS 'What clients owe or owed: invoices and the like with their due dates. From feeds receivable';
COMMENT ON COLUMN agentcrm.receivable.client_id IS 'Client; one that agentcrm does not know yet has this id when it comes';
COMMENT ON COLUMN agentcrm.receivable.receivable_id IS 'Receivable, unique within its source and client: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.receivable.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.receivable.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.receivable.due_on IS 'Day by which it is to be paid, in the source''s time zone';
COMMENT ON COLUMN agentcrm.receivable.issued_on IS 'Day of the document';
COMMENT ON COLUMN agentcrm.receivable.paid_on IS 'Day on which it was paid in full; NULL: not yet, or not known';
COMMENT ON COLUMN agentcrm.receivable.receivable_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.receivable.client_key IS 'The client''s key in canonical text';
COMMENT ON COLUMN agentcrm.receivable.document IS 'Number of the document, as people call it';
COMMENT ON COLUMN agentcrm.receivable.currency IS 'Currency of the amounts, where the source gives one';
COMMENT ON COLUMN agentcrm.receivable.amount IS 'Amount owed at first, taxes included, in its currency; negative for a credit note';
COMMENT ON COLUMN agentcrm.receivable.open_amount IS 'Amount not paid yet, in its currency; 0: settled';

CREATE TABLE agentcrm.payment (
	client_id		bigint NOT NULL,
	payment_id		bigint NOT NULL,
	receivable_id	bigint,
	paid_at			timestamptz NOT NULL,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	payment_key		text NOT NULL,
	client_key		text NOT NULL,
	receivable_key	text,
	method			text,
	currency		text,
	amount			numeric NOT NULL,
	PRIMARY KEY (client_id, source_id, payment_id)
);
CREATE INDEX payment_source_id_payment_id_idx ON agentcrm.payment (source_id, payment_id);
COMMENT ON TABLE agentcrm.payment IS 'Money received from clients. From feeds payment';
COMMENT ON COLUMN agentcrm.payment.client_id IS 'Client; one that agentcrm does not know yet has this id when it comes';
COMMENT ON COLUMN agentcrm.payment.payment_id IS 'Payment, unique within its source and client: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.payment.receivable_id IS 'Receivable of the same source that it settles, where one is named';
COMMENT ON COLUMN agentcrm.payment.paid_at IS 'When it was received';
COMMENT ON COLUMN agentcrm.payment.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.payment.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.payment.payment_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.payment.client_key IS 'The client''s key in canonical text';
COMMENT ON COLUMN agentcrm.payment.receivable_key IS 'The receivable''s key in canonical text';
COMMENT ON COLUMN agentcrm.payment.method IS 'How it was paid, in the application''s words';
COMMENT ON COLUMN agentcrm.payment.currency IS 'Currency of the amount, where the source gives one';
COMMENT ON COLUMN agentcrm.payment.amount IS 'Amount received, in its currency; negative for a refund';

CREATE TABLE agentcrm.ticket (
	client_id		bigint NOT NULL,
	ticket_id		bigint NOT NULL,
	product_id		bigint,
	rep_id			bigint,
	opened_at		timestamptz NOT NULL,
	closed_at		timestamptz,
	due_at			timestamptz,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	ticket_key		text NOT NULL,
	client_key		text NOT NULL,
	product_key		text,
	kind			text,
	subject			text,
	severity		numeric,
	PRIMARY KEY (client_id, source_id, ticket_id)
);
CREATE INDEX ticket_source_id_ticket_id_idx ON agentcrm.ticket (source_id, ticket_id);
COMMENT ON TABLE agentcrm.ticket IS 'Complaints and requests of clients. From feeds ticket';
COMMENT ON COLUMN agentcrm.ticket.client_id IS 'Client; one that agentcrm does not know yet has this id when it comes';
COMMENT ON COLUMN agentcrm.ticket.ticket_id IS 'Ticket, unique within its source and client: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.ticket.product_id IS 'Product concerned, where one is named';
COMMENT ON COLUMN agentcrm.ticket.rep_id IS 'Who is in charge of it';
COMMENT ON COLUMN agentcrm.ticket.opened_at IS 'When it was opened';
COMMENT ON COLUMN agentcrm.ticket.closed_at IS 'When it was closed; NULL: open';
COMMENT ON COLUMN agentcrm.ticket.due_at IS 'By when it was promised to be answered';
COMMENT ON COLUMN agentcrm.ticket.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.ticket.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.ticket.ticket_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.ticket.client_key IS 'The client''s key in canonical text';
COMMENT ON COLUMN agentcrm.ticket.product_key IS 'The product''s key in canonical text';
COMMENT ON COLUMN agentcrm.ticket.kind IS 'complaint, question and the like, in the application''s words';
COMMENT ON COLUMN agentcrm.ticket.subject IS 'What it is about, in a few words';
COMMENT ON COLUMN agentcrm.ticket.severity IS 'How bad it is; larger is worse, on the scale that the query gives';

CREATE TABLE agentcrm.lead (
	lead_id			bigint NOT NULL,
	client_id		bigint,
	rep_id			bigint,
	created_at		timestamptz NOT NULL,
	converted_at	timestamptz,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	lead_key		text NOT NULL,
	client_key		text,
	name			text,
	email			text,
	phone			text,
	origin			text,
	stage			text,
	channel			text,
	territory		text,
	value			numeric,
	PRIMARY KEY (source_id, lead_id)
);
CREATE INDEX lead_client_id_idx ON agentcrm.lead (client_id);
COMMENT ON TABLE agentcrm.lead IS 'People and companies who may become clients, or have. From feeds lead';
COMMENT ON COLUMN agentcrm.lead.lead_id IS 'Lead, unique within its source: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.lead.client_id IS 'Client that the lead has become; NULL: none yet';
COMMENT ON COLUMN agentcrm.lead.rep_id IS 'Who is in charge of it';
COMMENT ON COLUMN agentcrm.lead.created_at IS 'When it was first heard of';
COMMENT ON COLUMN agentcrm.lead.converted_at IS 'When it became a client';
COMMENT ON COLUMN agentcrm.lead.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.lead.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.lead.lead_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.lead.client_key IS 'The client''s key in canonical text';
COMMENT ON COLUMN agentcrm.lead.name IS 'Name';
COMMENT ON COLUMN agentcrm.lead.email IS 'E-mail address';
COMMENT ON COLUMN agentcrm.lead.phone IS 'Telephone number';
COMMENT ON COLUMN agentcrm.lead.origin IS 'Where it came from: fair, website, referral, in the application''s words';
COMMENT ON COLUMN agentcrm.lead.stage IS 'How far it is, in the application''s words';
COMMENT ON COLUMN agentcrm.lead.channel IS 'Sales channel';
COMMENT ON COLUMN agentcrm.lead.territory IS 'Sales territory';
COMMENT ON COLUMN agentcrm.lead.value IS 'Net amount that the application expects of it, in the source''s currency';

CREATE TABLE agentcrm.stock (
	product_id		bigint NOT NULL,
	stock_id		bigint NOT NULL,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	expected_on		date,
	stock_key		text NOT NULL,
	product_key		text NOT NULL,
	warehouse		text,
	on_hand			numeric NOT NULL,
	reserved		numeric,
	expected_qty	numeric,
	PRIMARY KEY (product_id, source_id, stock_id)
);
CREATE INDEX stock_source_id_stock_id_idx ON agentcrm.stock (source_id, stock_id);
COMMENT ON TABLE agentcrm.stock IS 'What is in stock, by product and, where the source tells them apart, warehouse. From feeds stock';
COMMENT ON COLUMN agentcrm.stock.product_id IS 'Product; one that agentcrm does not know yet has this id when it comes';
COMMENT ON COLUMN agentcrm.stock.stock_id IS 'Row of stock, unique within its source and product: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.stock.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.stock.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.stock.expected_on IS 'Day of the next delivery to the warehouse';
COMMENT ON COLUMN agentcrm.stock.stock_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.stock.product_key IS 'The product''s key in canonical text';
COMMENT ON COLUMN agentcrm.stock.warehouse IS 'Warehouse';
COMMENT ON COLUMN agentcrm.stock.on_hand IS 'Quantity in the warehouse, in the unit of order lines';
COMMENT ON COLUMN agentcrm.stock.reserved IS 'Quantity of it that is promised already, in the unit of order lines';
COMMENT ON COLUMN agentcrm.stock.expected_qty IS 'Quantity of the next delivery, in the unit of order lines';

CREATE TABLE agentcrm.price (
	product_id		bigint NOT NULL,
	price_id		bigint NOT NULL,
	client_id		bigint,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	valid_from		date,
	valid_to		date,
	price_key		text NOT NULL,
	product_key		text NOT NULL,
	client_key		text,
	price_list		text,
	channel			text,
	currency		text,
	min_qty			numeric,
	amount			numeric NOT NULL,
	PRIMARY KEY (product_id, source_id, price_id)
);
CREATE INDEX price_source_id_price_id_idx ON agentcrm.price (source_id, price_id);
CREATE INDEX price_client_id_idx ON agentcrm.price (client_id) WHERE client_id IS NOT NULL;
COMMENT ON TABLE agentcrm.price IS 'Prices of products: for all, a price list, a channel or one client, from a quantity on, for a time. From feeds price';
COMMENT ON COLUMN agentcrm.price.product_id IS 'Product; one that agentcrm does not know yet has this id when it comes';
COMMENT ON COLUMN agentcrm.price.price_id IS 'Price, unique within its source and product: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.price.client_id IS 'Client to whom alone it applies; NULL: not only to one';
COMMENT ON COLUMN agentcrm.price.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.price.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.price.valid_from IS 'First day on which it applies; NULL: always did';
COMMENT ON COLUMN agentcrm.price.valid_to IS 'Last day on which it applies; NULL: no end is known';
COMMENT ON COLUMN agentcrm.price.price_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.price.product_key IS 'The product''s key in canonical text';
COMMENT ON COLUMN agentcrm.price.client_key IS 'The client''s key in canonical text';
COMMENT ON COLUMN agentcrm.price.price_list IS 'Price list or group of clients that it belongs to';
COMMENT ON COLUMN agentcrm.price.channel IS 'Sales channel, as in client.channel';
COMMENT ON COLUMN agentcrm.price.currency IS 'Currency of the amount, where the source gives one';
COMMENT ON COLUMN agentcrm.price.min_qty IS 'Quantity from which on it applies, in the unit of order lines; NULL: any';
COMMENT ON COLUMN agentcrm.price.amount IS 'Net price of a unit, in its currency';

CREATE TABLE agentcrm.programme (
	programme_id	bigint NOT NULL,
	recorded_at		timestamptz NOT NULL,
	source_id		int NOT NULL,
	starts_on		date,
	ends_on			date,
	active			boolean NOT NULL,
	programme_key	text NOT NULL,
	name			text NOT NULL,
	kind			text,
	channel			text,
	budget			numeric,
	discount		numeric,
	categories		text[],
	product_ids		bigint[],
	PRIMARY KEY (source_id, programme_id)
);
CREATE INDEX programme_programme_id_idx ON agentcrm.programme (programme_id);
COMMENT ON TABLE agentcrm.programme IS 'Programmes that stimulate demand: promotions, discounts, bonuses. From feeds programme';
COMMENT ON COLUMN agentcrm.programme.programme_id IS 'Programme, as in bid.programme_id, unique within its source: the application''s own integer key in namespace 0, else a hash of namespace and key';
COMMENT ON COLUMN agentcrm.programme.recorded_at IS 'When this row was written';
COMMENT ON COLUMN agentcrm.programme.source_id IS 'Source';
COMMENT ON COLUMN agentcrm.programme.starts_on IS 'First day; NULL: has begun';
COMMENT ON COLUMN agentcrm.programme.ends_on IS 'Last day; NULL: no end is known';
COMMENT ON COLUMN agentcrm.programme.active IS 'False: the application has switched it off';
COMMENT ON COLUMN agentcrm.programme.programme_key IS 'The application''s key in canonical text';
COMMENT ON COLUMN agentcrm.programme.name IS 'Name';
COMMENT ON COLUMN agentcrm.programme.kind IS 'discount, bonus and the like, in the application''s words';
COMMENT ON COLUMN agentcrm.programme.channel IS 'Sales channel it is for, as in client.channel; NULL: all';
COMMENT ON COLUMN agentcrm.programme.budget IS 'Money it may cost over its whole time, in the source''s currency; NULL: no limit is known';
COMMENT ON COLUMN agentcrm.programme.discount IS 'Discount as a share of the net amount: 0.1 is ten per cent';
COMMENT ON COLUMN agentcrm.programme.categories IS 'Categories it is for, as in product.category; NULL: not told';
COMMENT ON COLUMN agentcrm.programme.product_ids IS 'Products it is for; NULL: not told';
