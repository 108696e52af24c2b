/*
 * alive.c
 *		The interim baseline: an order within a horizon from a client who may
 *		have gone.
 *
 * The gap model alone speaks of living clients: with a steady rhythm it puts
 * the chance of an order near 1 just when the silence says that there will be
 * none.  Until the repurchase models with their own defection are fitted, a
 * fixed defection per order and a fixed rate of return stand in.
 */
#include <math.h>

#include "model.h"

/*
 * P(alive | silent so long), the client having gone with probability dropout
 * right after the last order: (1-d) S / ((1-d) S + d), S the probability that a
 * living client's gap lasts so long (the modified BG idea of Batislam 2007,
 * defection possible after every order, with d known).
 */
double
alive_given_silence(double survival, double dropout)
{
	double		alive = (1.0 - dropout) * fmax(0.0, fmin(1.0, survival));

	if (dropout <= 0.0)
		return 1.0;
	return alive / (alive + dropout);
}

/*
 * P(at least one order within horizon days, nothing being done), elapsed days
 * after the last order: of a living client by its gaps, of one gone by the
 * constant rate of return ALIVE_RETURN per ALIVE_RETURN_DAYS.
 */
double
alive_order_within(const GapPrior *prior, const GapStats *client, double elapsed, double horizon)
{
	double		alive = alive_given_silence(gap_survival(prior, client, elapsed), ALIVE_DROPOUT);
	double		back = 1.0 - pow(1.0 - ALIVE_RETURN, fmax(0.0, horizon) / ALIVE_RETURN_DAYS);

	return alive * gap_order_within(prior, client, elapsed, horizon) + (1.0 - alive) * back;
}
