/*
 * alarms.c
 *		Silences called alarming: in vain where the client ordered again, late
 *		or not at all where it had stopped.
 *
 * Walks through each cycle that a client begins within a window, judging it
 * anew at each order as the worker would.
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "replay/replay.h"

#define DAYS_PER_YEAR 365.25

/* The rule to beat: silent for longer than so many mean gaps. */
#define NAIVE_GAPS 2.0

/* A silence: from an order to the next. */
typedef struct Cycle
{
	DateADT		alarm[ALARM_RULES]; /* DATEVAL_NOEND: never */
	DateADT		last;			/* the order's day */
	DateADT		next;			/* DATEVAL_NOEND: none is known */
} Cycle;

static Cycle
judge(const ClientSnapshot *client, DateADT next)
{
	const ClientProfile *p = &client->profile;
	Cycle		cycle = {.last = p->last_order_on, .next = next};

	cycle.alarm[ALARM_MODEL] = client->state.alarm_on;
	cycle.alarm[ALARM_NAIVE] = DATEVAL_NOEND;
	if (p->n_gaps > 0)
		cycle.alarm[ALARM_NAIVE] = p->last_order_on + (DateADT) floor(NAIVE_GAPS * p->gap_sum / p->n_gaps) + 1;
	return cycle;
}

/* Count an alarm that the cycle raises within the window. */
static void
count_alarm(Alarms *a, const Cycle *cycle, DateADT alarm, DateADT after, DateADT upto, bool stopped)
{
	if (alarm <= after || alarm > upto || alarm > cycle->next)
		return;
	a->raised++;
	if (cycle->next != DATEVAL_NOEND)
		a->in_vain++;
	else if (stopped)
	{
		a->delay.n++;
		a->delay.sum += alarm - cycle->last;
	}
}

/* Add one record to another. */
void
alarms_add(Alarms *sum, const Alarms *more)
{
	sum->years += more->years;
	sum->raised += more->raised;
	sum->in_vain += more->in_vain;
	sum->delay.n += more->delay.n;
	sum->delay.sum += more->delay.sum;
	sum->seen.n += more->seen.n;
	sum->seen.sum += more->seen.sum;
}

/* The record of one client in one window; view: the ledger in hindsight.  A past is on, and is left with another view. */
void
alarms_walk(Alarms *rules, const Window *w, const ClientSnapshot *client, const History *history, const LedgerView *view)
{
	DateADT		end = period_day(w->end);
	int			next = history_after(history, w->origin);
	int			n = 1;
	bool		stopped = history->n_orders > 0 && history_stopped(history, period_day(w->hindsight));
	DateADT		last = history->n_orders > 0 ? history->orders[history->n_orders - 1].day : client->today;
	Cycle		cycle = judge(client, next < history->n_orders ? history->orders[next].day : DATEVAL_NOEND);
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "agentcrm alarms", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	memset(rules, 0, sizeof(Alarms) * ALARM_RULES);
	for (int r = 0; r < ALARM_RULES; r++)
	{
		rules[r].years = Max(0, Min(end, last) - client->today) / DAYS_PER_YEAR;
		count_alarm(&rules[r], &cycle, cycle.alarm[r], client->today, end, stopped);
	}
	for (; next < history->n_orders && history->orders[next].at <= w->end; next++)
	{
		LedgerView	then = {history->orders[next].at, view->known_at};
		bool		final = next + 1 == history->n_orders;
		ClientSnapshot *again;

		if (!final && history->orders[next + 1].day == history->orders[next].day)
			continue;
		profile_move_past(&then);
		old = MemoryContextSwitchTo(work);
		again = profile_read(&client->client_id, 1, then.as_of, &n);
		if (n > 0)
			cycle = judge(again, final ? DATEVAL_NOEND : history->orders[next + 1].day);
		MemoryContextSwitchTo(old);
		MemoryContextReset(work);
		if (n == 0)
			break;
		for (int r = 0; r < ALARM_RULES; r++)
			count_alarm(&rules[r], &cycle, cycle.alarm[r], client->today, end, stopped);
	}
	MemoryContextDelete(work);
	for (int r = 0; r < ALARM_RULES && n > 0 && w->last && stopped && last > w->first; r++)
		rules[r].seen = (Mean) {1, cycle.alarm[r] <= end};
}
