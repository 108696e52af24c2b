/*
 * market.h
 *		The market of a round: clients' needs meet the firm's means at prices.
 *
 * Plain C on palloc: no rows, no clock, no random numbers.  Maximises the sum of
 * values of what is chosen; see market.c.
 */
#ifndef AGENTCRM_MARKET_H
#define AGENTCRM_MARKET_H

typedef struct Market Market;

/* So much of a resource. */
typedef struct MarketUse
{
	int			resource;
	double		amount;			/* positive */
} MarketUse;

typedef struct MarketAnswer
{
	double		value;			/* of what is chosen, less what missed floors cost */
	double		bound;			/* nothing feasible is worth more */
	int			passes;			/* over all clients, until the prices stood */
} MarketAnswer;

extern Market *market_new(void);	/* in the current memory context */

/* Returns its number: 0, 1, ...  price: to start from, 0 if none is known. */
extern int	market_resource(Market *m, double capacity, double price);

/* Of means that stand in for each other (a rep's days) those of lower rank are needed first. */
extern void market_rank(Market *m, int resource, int rank);

/* A floor: at least need of it shall be used; what is missing costs worth a unit, so its price lies in [0, worth]. */
extern int	market_floor(Market *m, double need, double worth);

extern void market_client(Market *m, int most); /* begins the next client: at most so many awards */
extern int	market_bid(Market *m, int64 id, bool incumbent);	/* of the last client; ids break ties; returns its number */
extern int	market_option(Market *m, double value, int n_uses, const MarketUse *uses);	/* a way to do the last bid */
extern void market_conflict(Market *m, int a, int b);	/* two bids of the last client exclude each other */
extern void market_cap(Market *m, const int *bids, int n, int most);	/* of these bids of the last client at most so many */

/* tick is called at least every few milliseconds. */
extern MarketAnswer market_solve(Market *m, void (*tick) (void));	/* makes prices, then a plan within the means */
extern MarketAnswer market_repair(Market *m, void (*tick) (void));	/* a plan within the means at the prices as they are */

extern int	market_chosen(const Market *m, int bid);	/* the option chosen, or -1 */
extern double market_price(const Market *m, int resource);
extern double market_used(const Market *m, int resource);

#endif
