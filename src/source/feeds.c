/*
 * feeds.c
 *		Re-reading attributes of clients, products and reps by their keys.
 */
#include "postgres.h"

#include "executor/spi.h"

#include "source/part.h"
#include "source/restricted.h"
#include "source/result.h"

typedef struct FeedWork
{
	SourcePart *part;
	const char **keys;
	int			n_keys;
	FeedRow    *rows;
	int			n_rows;
} FeedWork;

static int64
key_id(Source *source, const ResultRow *row, const ResultColumn *column, bool *has)
{
	KeyText		key;

	*has = result_key(row, column, &key);
	return *has ? key_identity(source->namespace, &key) : 0;
}

static void
read_feed(Source *source, void *arg, MemoryContext result_cxt)
{
	FeedWork   *work = arg;
	char		key_name[NAMEDATALEN];
	ResultColumn		key,
				parent,
				replaced_by,
				rep,
				successor,
				name,
				channel,
				territory,
				category,
				active,
				do_not_contact,
				pack_qty,
				min_order_qty;
	ResultRow			row;

	part_execute(source, work->part, work->keys, work->n_keys);
	snprintf(key_name, sizeof(key_name), "%s_key", work->part->name);
	key = result_column(key_name, true, WANTED_ANY);
	parent = result_column("parent_key", false, WANTED_ANY);
	replaced_by = result_column("replaced_by_key", false, WANTED_ANY);
	rep = result_column("rep_key", false, WANTED_ANY);
	successor = result_column("successor_key", false, WANTED_ANY);
	name = result_column("name", false, WANTED_ANY);
	channel = result_column("channel", false, WANTED_ANY);
	territory = result_column("territory", false, WANTED_ANY);
	category = result_column("category", false, WANTED_ANY);
	active = result_column("active", false, WANTED_BOOLEAN);
	do_not_contact = result_column("do_not_contact", false, WANTED_BOOLEAN);
	pack_qty = result_column("pack_qty", false, WANTED_NUMBER);
	min_order_qty = result_column("min_order_qty", false, WANTED_NUMBER);
	row = result_new_row();
	key_fix_settings();
	MemoryContextSwitchTo(result_cxt);
	work->rows = palloc0(sizeof(FeedRow) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		FeedRow    *out = &work->rows[work->n_rows];
		KeyText		text;

		result_row(&row, i);
		if (!result_key(&row, &key, &text))
			continue;
		out->id = key_identity(source->namespace, &text);
		out->key = key_text(&text);
		out->name = result_text(&row, &name);
		out->active = result_bool(&row, &active, true);
		out->parent_id = key_id(source, &row, &parent, &out->has_parent);
		out->has_replaced_by = result_key(&row, &replaced_by, &text);
		if (out->has_replaced_by)
		{
			out->replaced_by_id = key_identity(source->namespace, &text);
			out->replaced_by_key = key_text(&text);
		}
		/* a feed named rep has its own key in that column */
		if (strcmp(work->part->name, "rep") != 0)
		{
			out->rep_id = key_id(source, &row, &rep, &out->has_rep);
			out->rep_key = out->has_rep ? result_text(&row, &rep) : NULL;
		}
		out->channel = result_text(&row, &channel);
		out->territory = result_text(&row, &territory);
		out->has_do_not_contact = !result_is_null(&row, &do_not_contact);
		out->do_not_contact = result_bool(&row, &do_not_contact, false);
		out->category = result_text(&row, &category);
		out->successor_id = key_id(source, &row, &successor, &out->has_successor);
		out->pack_qty = result_numeric(&row, &pack_qty, "pack_qty");
		out->min_order_qty = result_numeric(&row, &min_order_qty, "min_order_qty");
		work->n_rows++;
	}
}

/* The attributes of some clients, products or reps. */
ErrorData *
source_read_feed(Source *source, SourcePart *part, const char **keys, int n_keys,
				 FeedRow **rows, int *n_rows)
{
	FeedWork	work = {.part = part, .keys = keys, .n_keys = n_keys};
	ErrorData  *error = restricted_run(source, read_feed, &work);

	*rows = work.rows;
	*n_rows = work.n_rows;
	return error;
}

