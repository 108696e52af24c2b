/*
 * fold.h
 *		The fold in the making: lines go in, profile and products come out.
 *
 * Private to the room.  Knows no table: the caller hands in what was stored
 * before and takes out what changed.
 */
#ifndef AGENTCRM_PROFILE_FOLD_H
#define AGENTCRM_PROFILE_FOLD_H

#include "profile/profile.h"

#include "storage/itemptr.h"

/* A product of the client being folded. */
typedef struct FoldProduct
{
	ClientProduct product;
	bool		stored;			/* has a row at tid, as it was before the fold */
	ItemPointerData tid;
	bool		pending;		/* in the document being read */
	Numeric		quantity;		/* its sums in the last document */
	Numeric		amount;
} FoldProduct;

typedef struct Fold Fold;

/* Fill in the stored state of a product; false when there is none. */
typedef bool (*FoldLoad) (Fold *fold, int64 product_id, FoldProduct *product);

/* An order (a document with a sale line) was closed; its products are fold->pending. */
typedef void (*FoldOrder) (Fold *fold);

struct Fold
{
	MemoryContext cxt;			/* everything of this client; reset by fold_begin */
	ClientProfile profile;
	int			max_months;
	struct product_hash *index;
	int			n_products;
	int			max_products;
	FoldProduct **products;		/* touched, in order of first touch */

	/* the document being read */
	bool		open;
	int32		source_id;
	int64		order_id;
	TimestampTz ordered_at;
	DateADT		ordered_on;
	bool		has_sale;
	bool		has_return;
	bool		has_rep;
	int64		rep_id;
	Numeric		amount;
	Numeric		margin;
	Numeric		returned;
	int			n_pending;
	int			max_pending;
	FoldProduct **pending;

	FoldLoad	load;			/* NULL: nothing is stored */
	FoldOrder	order;			/* NULL: nobody asks */
	void	   *arg;
};

extern Fold *fold_create(FoldLoad load, FoldOrder order, void *arg);
extern void fold_begin(Fold *fold, int64 client_id);
extern void fold_add(Fold *fold, const LedgerLine *line);
extern void fold_finish(Fold *fold);
extern void fold_sort_products(Fold *fold);
extern DateADT fold_month(DateADT day);

/* A client's fold is finished, products sorted; without lines it is empty. */
typedef void (*FoldDone) (Fold *fold, bool has_lines, void *arg);

extern void fold_clients(Fold *fold, const int64 *client_ids, int n_clients, const LedgerView *view,
						 FoldDone done, void *arg);

#endif
