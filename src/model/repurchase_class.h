/*
 * repurchase_class.h
 *		One client seen as a member of one class k: shared by the files
 *		repurchase*.c and by nobody else.
 */
#ifndef AGENTCRM_REPURCHASE_CLASS_H
#define AGENTCRM_REPURCHASE_CLASS_H

#include "model.h"

/*
 * Times are counted in events of the hidden process, of which every k-th is an
 * order.  With lambda integrated over its posterior, the number of events in a
 * silence is negative binomial.
 */
typedef struct BuyerClass
{
	int			k;
	double		shape;			/* R = r + k x */
	double		now;			/* alpha / k + T */
	double		odds_past;		/* z = (T - tx) / now, share of the silence */
	double		stages;			/* S2, sum over the stage j the client may be at */
	double		log_joint;		/* ln(weight of the class x likelihood) */
	double		posterior;		/* of the class */
	double		alive;			/* P(alive at T | class) */
} BuyerClass;

/* Where a silence stands t later, now being alpha/k + T. */
typedef struct LaterSilence
{
	double		t;
	double		log_growth;		/* ln[(now + t)/now] */
	double		none;			/* ((now + t)/now)^-R, P(no event of the process) */
	double		odds;			/* z at T + t */
	double		ratio;			/* P(silent until T + t | alive, silent until T) */
} LaterSilence;

/* The client's chances of staying: after n more orders Beta(a, stay + n). */
typedef struct BuyerDropout
{
	double		a;
	double		stay;			/* b' = b + x + m */
} BuyerDropout;

extern double repurchase_class_expected(const BuyerClass *c, const BuyerDropout *dropout,
										const LaterSilence *later, double tolerance);

/* fmin and fmax of numbers, which the compiler can inline. */
static inline double
smaller(double u, double v)
{
	return u < v ? u : v;
}

static inline double
larger(double u, double v)
{
	return u > v ? u : v;
}

#endif							/* AGENTCRM_REPURCHASE_CLASS_H */
