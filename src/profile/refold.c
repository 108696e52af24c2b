/*
 * refold.c
 *		Many clients folded from the ledger in one ordered scan.
 *
 * Hands each finished fold on; keeps nothing.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "profile/fold.h"

typedef struct Refold
{
	Fold	   *fold;
	const int64 *client_ids;
	int			n_clients;
	int			at;
	bool		open;			/* the client at `at` has lines in the fold */
	FoldDone	done;
	void	   *arg;
} Refold;

/* End the client the scan was at, and those without lines before `to`. */
static void
advance_to(Refold *refold, int to)
{
	while (refold->at < to)
	{
		MemoryContext old;

		if (!refold->open)
			fold_begin(refold->fold, refold->client_ids[refold->at]);
		fold_finish(refold->fold);
		fold_sort_products(refold->fold);
		old = MemoryContextSwitchTo(refold->fold->cxt);
		refold->done(refold->fold, refold->open, refold->arg);
		MemoryContextSwitchTo(old);
		refold->open = false;
		refold->at++;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
add_line(const LedgerLine *line, void *arg)
{
	Refold	   *refold = arg;
	int			to = refold->at;

	while (to < refold->n_clients && refold->client_ids[to] != line->client_id)
		to++;
	if (to == refold->n_clients)
		elog(ERROR, "ledger lines of client " INT64_FORMAT " come out of order", line->client_id);
	advance_to(refold, to);
	if (!refold->open)
	{
		fold_begin(refold->fold, line->client_id);
		refold->open = true;
	}
	fold_add(refold->fold, line);
}

/* Fold distinct clients from scratch, by the lines that a view shows; done is called in their order, in the fold's memory context. */
void
fold_clients(Fold *fold, const int64 *client_ids, int n_clients, const LedgerView *view,
			 FoldDone done, void *arg)
{
	Refold		refold = {
		.fold = fold, .client_ids = client_ids, .n_clients = n_clients, .done = done, .arg = arg
	};

	if (n_clients == 0)
		return;
	ledger_scan_clients(client_ids, n_clients, view, add_line, &refold);
	advance_to(&refold, n_clients);
}
