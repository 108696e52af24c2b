/*
 * feed_kind.c
 *		What feeds there are.
 *
 * A feed is added here, by its table in sql/install/31_feed.sql, and nowhere
 * else.  Holds no behaviour: see source/feeds.c (reading), ledger/feed.c
 * (writing), ledger/feed_check.c (verify).
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "source/feed_kind.h"

PG_FUNCTION_INFO_V1(agentcrm_feed_columns);

#define OF_CLIENT \
	{"client_key", "client_id", FEED_ID, FEED_OWNER, NULL}, \
	{"client_key", "client_key", FEED_KEY, FEED_OPTIONAL, NULL}
#define OF_PRODUCT \
	{"product_key", "product_id", FEED_ID, FEED_OWNER, NULL}, \
	{"product_key", "product_key", FEED_KEY, FEED_OPTIONAL, NULL}

static const FeedColumn client[] = {
	{"name", "name", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"parent_key", "parent_client_id", FEED_SELF, FEED_OPTIONAL, NULL},
	{"replaced_by_key", "replaced_by_client_id", FEED_SELF, FEED_OPTIONAL, NULL},
	{"active", "active", FEED_FLAG, FEED_TRUE, NULL},
	{"channel", "channel", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"territory", "territory", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"rep_key", "rep_id", FEED_REP, FEED_OPTIONAL, NULL},
	{"do_not_contact", "do_not_contact", FEED_FLAG, FEED_KEPT, NULL},
};

static const FeedColumn product[] = {
	{"name", "name", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"category", "category", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"active", "active", FEED_FLAG, FEED_TRUE, NULL},
	{"pack_qty", "pack_qty", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"successor_key", "successor_product_id", FEED_SELF, FEED_OPTIONAL, NULL},
	{"min_order_qty", "min_order_qty", FEED_NUMBER, FEED_OPTIONAL, NULL},
};

static const FeedColumn rep[] = {
	{"name", "name", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"active", "active", FEED_FLAG, FEED_TRUE, NULL},
};

static const FeedColumn interaction[] = {
	OF_CLIENT,
	{"at", "at", FEED_TIME, FEED_REQUIRED, NULL},
	{"channel", "channel", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"kind", "kind", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"direction", "direction", FEED_TEXT, FEED_OPTIONAL, "in out"},
	{"outcome", "outcome", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"minutes", "minutes", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"rep_key", "rep_id", FEED_REP, FEED_OPTIONAL, NULL},
};

static const FeedColumn receivable[] = {
	OF_CLIENT,
	{"due_on", "due_on", FEED_DAY, FEED_REQUIRED, NULL},
	{"amount", "amount", FEED_NUMBER, FEED_REQUIRED, NULL},
	{"open_amount", "open_amount", FEED_NUMBER, FEED_REQUIRED, NULL},
	{"issued_on", "issued_on", FEED_DAY, FEED_OPTIONAL, NULL},
	{"paid_on", "paid_on", FEED_DAY, FEED_OPTIONAL, NULL},
	{"document", "document", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"currency", "currency", FEED_TEXT, FEED_OPTIONAL, NULL},
};

static const FeedColumn payment[] = {
	OF_CLIENT,
	{"paid_at", "paid_at", FEED_TIME, FEED_REQUIRED, NULL},
	{"amount", "amount", FEED_NUMBER, FEED_REQUIRED, NULL},
	{"receivable_key", "receivable_id", FEED_ID, FEED_OPTIONAL, NULL},
	{"receivable_key", "receivable_key", FEED_KEY, FEED_OPTIONAL, NULL},
	{"method", "method", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"currency", "currency", FEED_TEXT, FEED_OPTIONAL, NULL},
};

static const FeedColumn stock[] = {
	OF_PRODUCT,
	{"on_hand", "on_hand", FEED_NUMBER, FEED_REQUIRED, NULL},
	{"warehouse", "warehouse", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"reserved", "reserved", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"expected_on", "expected_on", FEED_DAY, FEED_OPTIONAL, NULL},
	{"expected_qty", "expected_qty", FEED_NUMBER, FEED_OPTIONAL, NULL},
};

static const FeedColumn price[] = {
	OF_PRODUCT,
	{"amount", "amount", FEED_NUMBER, FEED_REQUIRED, NULL},
	{"min_qty", "min_qty", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"valid_from", "valid_from", FEED_DAY, FEED_OPTIONAL, NULL},
	{"valid_to", "valid_to", FEED_DAY, FEED_OPTIONAL, NULL},
	{"price_list", "price_list", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"channel", "channel", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"client_key", "client_id", FEED_ID, FEED_OPTIONAL, NULL},
	{"client_key", "client_key", FEED_KEY, FEED_OPTIONAL, NULL},
	{"currency", "currency", FEED_TEXT, FEED_OPTIONAL, NULL},
};

static const FeedColumn programme[] = {
	{"name", "name", FEED_TEXT, FEED_REQUIRED, NULL},
	{"kind", "kind", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"starts_on", "starts_on", FEED_DAY, FEED_OPTIONAL, NULL},
	{"ends_on", "ends_on", FEED_DAY, FEED_OPTIONAL, NULL},
	{"budget", "budget", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"discount", "discount", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"channel", "channel", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"categories", "categories", FEED_TEXTS, FEED_OPTIONAL, NULL},
	{"product_keys", "product_ids", FEED_IDS, FEED_OPTIONAL, NULL},
	{"active", "active", FEED_FLAG, FEED_TRUE, NULL},
};

static const FeedColumn lead[] = {
	{"created_at", "created_at", FEED_TIME, FEED_REQUIRED, NULL},
	{"name", "name", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"email", "email", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"phone", "phone", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"origin", "origin", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"stage", "stage", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"value", "value", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"channel", "channel", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"territory", "territory", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"rep_key", "rep_id", FEED_REP, FEED_OPTIONAL, NULL},
	{"client_key", "client_id", FEED_ID, FEED_OPTIONAL, NULL},
	{"client_key", "client_key", FEED_KEY, FEED_OPTIONAL, NULL},
	{"converted_at", "converted_at", FEED_TIME, FEED_OPTIONAL, NULL},
};

static const FeedColumn ticket[] = {
	OF_CLIENT,
	{"opened_at", "opened_at", FEED_TIME, FEED_REQUIRED, NULL},
	{"closed_at", "closed_at", FEED_TIME, FEED_OPTIONAL, NULL},
	{"due_at", "due_at", FEED_TIME, FEED_OPTIONAL, NULL},
	{"kind", "kind", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"severity", "severity", FEED_NUMBER, FEED_OPTIONAL, NULL},
	{"subject", "subject", FEED_TEXT, FEED_OPTIONAL, NULL},
	{"product_key", "product_id", FEED_ID, FEED_OPTIONAL, NULL},
	{"product_key", "product_key", FEED_KEY, FEED_OPTIONAL, NULL},
	{"rep_key", "rep_id", FEED_REP, FEED_OPTIONAL, NULL},
};

#define KIND(name, entity) {#name, entity, lengthof(name), name}

static const FeedKind kinds[] = {
	KIND(client, true), KIND(product, true), KIND(rep, true),
	KIND(interaction, false), KIND(receivable, false), KIND(payment, false), KIND(stock, false), KIND(price, false),
	KIND(programme, false), KIND(lead, false), KIND(ticket, false),
};

int
feed_kind_count(void)
{
	return lengthof(kinds);
}

const FeedKind *
feed_kind_nth(int i)
{
	return &kinds[i];
}

/* The feed of a name; an ERROR when this library knows none. */
const FeedKind *
feed_kind(const char *name)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no feed \"%s\"", name)));
}

/* The type of the column that values of a type are stored in. */
const char *
feed_sql_type(FeedType type)
{
	static const char *const types[] = {
		[FEED_ID] = "bigint",[FEED_SELF] = "bigint",[FEED_REP] = "bigint",[FEED_KEY] = "text",[FEED_TEXT] = "text",
		[FEED_NUMBER] = "numeric",[FEED_TIME] = "timestamptz",[FEED_DAY] = "date",[FEED_FLAG] = "boolean",
		[FEED_IDS] = "bigint[]",[FEED_TEXTS] = "text[]",
	};

	return types[type];
}

/* The number of the column that says whom a row is about; -1: none does. */
int
feed_owner(const FeedKind *kind)
{
	for (int i = 0; i < kind->n_columns; i++)
		if (kind->columns[i].need == FEED_OWNER)
			return i;
	return -1;
}

/* The number of a column of the table; -1: it has none of that name. */
int
feed_column(const FeedKind *kind, const char *column)
{
	for (int i = 0; i < kind->n_columns; i++)
		if (strcmp(kind->columns[i].column, column) == 0)
			return i;
	return -1;
}

/* What attach calls a type of values. */
static const char *
wanted(FeedType type)
{
	switch (type)
	{
		case FEED_NUMBER:
			return "number";
		case FEED_TIME:
		case FEED_DAY:
			return "time";
		case FEED_FLAG:
			return "condition";
		case FEED_IDS:
		case FEED_TEXTS:
			return "array";
		default:
			return "key";		/* anything that can be written as text */
	}
}

static void
tell_column(ReturnSetInfo *result, const FeedKind *kind, const char *name, const FeedColumn *column, const char *need)
{
	Datum		values[7] = {CStringGetTextDatum(kind->name), BoolGetDatum(!kind->entity), CStringGetTextDatum(name),
	CStringGetTextDatum(column ? wanted(column->type) : "key"), CStringGetTextDatum(need)};
	bool		isnull[7] = {false, false, false, false, false, true, true};

	if (column && column->words)
	{
		values[5] = CStringGetTextDatum(column->words);
		isnull[5] = false;
	}
	if (column)
	{
		values[6] = CStringGetTextDatum(column->column);
		isnull[6] = false;
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* agentcrm.feed_columns(): the columns that the queries of feeds may or must give, each once. */
Datum
agentcrm_feed_columns(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int k = 0; k < (int) lengthof(kinds); k++)
	{
		tell_column((ReturnSetInfo *) fcinfo->resultinfo, &kinds[k], psprintf("%s_key", kinds[k].name), NULL, "required");
		for (int i = 0; i < kinds[k].n_columns; i++)
		{
			const FeedColumn *column = &kinds[k].columns[i];

			if (i == 0 || strcmp(column->name, column[-1].name) != 0)
				tell_column((ReturnSetInfo *) fcinfo->resultinfo, &kinds[k], column->name, column,
							column->need == FEED_OWNER ? "owner" : column->need == FEED_REQUIRED ? "required" : "optional");
		}
	}
	return (Datum) 0;
}
