/*
 * score.h
 *		How good a forecast was, once it is known what happened.
 *
 * Sums of fixed size, so that any number of cases may be added in any order;
 * start as all zero bytes.  Without cases a score is NaN: the caller says what
 * is lacking.  Plain C, as model.h.
 */
#ifndef AGENTCRM_SCORE_H
#define AGENTCRM_SCORE_H

#include <stdbool.h>
#include <stdint.h>

/* ---- probabilities ---- */

#define SCORE_BINS 10

/* No forecast is taken to be surer than this in the log loss, else one surprise would be infinite. */
#define SCORE_CLIP 0.001

typedef struct ScoreBin
{
	double		n;
	double		p;				/* sum of forecasts */
	double		happened;
} ScoreBin;

typedef struct Scores
{
	double		n;
	double		log_loss;
	double		brier;
	ScoreBin	bin[SCORE_BINS];	/* of equal width; p = 1 lies in the last */
} Scores;

extern double score_loss(double p, bool happened);
extern void scores_add(Scores *s, double p, bool happened);
extern double scores_log_loss(const Scores *s);
extern double scores_brier(const Scores *s);
extern double scores_ece(const Scores *s);

/* ---- rankings ---- */

#define RANKS 4096

typedef struct Ranks
{
	double		n[2];			/* cases in which it did not happen, and did */
	uint32_t	at[2][RANKS];
} Ranks;

extern int	rank_of_probability(double p);
extern int	rank_of_days(double days);	/* fewer days rank higher */
extern void ranks_add(Ranks *r, int rank, bool happened);
extern double ranks_auc(const Ranks *r);

/* ---- counts ---- */

extern double score_count_median(double p, double mean);

/* ---- dates ---- */

extern double score_crps(const double *cdf, int n, double width, double day);

#endif							/* AGENTCRM_SCORE_H */
