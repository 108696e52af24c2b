/*
 * market_parts.h
 *		What the files of the market share.
 *
 * Private to them; others see market.h.
 */
#ifndef AGENTCRM_MARKET_PARTS_H
#define AGENTCRM_MARKET_PARTS_H

#include "plan/market.h"

/* A price is found by so many halvings. */
#define HALVINGS 14

#define EPSILON 1e-9
#define TRIFLE 1e-3

typedef struct Resource
{
	double		capacity;		/* of a floor: what is needed */
	double		worth;			/* of a floor: what a missing unit costs; 0: no floor */
	double		price;
	double		used;
	double		elasticity;		/* of demand by price, as seen */
	double		last_price;
	double		last_used;
	double		mean;			/* what a unit brings, of what wants it */
	int			rank;			/* among means that stand in for each other */
} Resource;

typedef struct Option
{
	double		value;
	int			first_use;
	int			n_uses;
} Option;

typedef struct MarketBid
{
	int64		id;
	int			client;
	int			first_option;
	int			n_options;
	int			chosen;			/* option, from 0 on within the bid, or -1 */
	uint32		conflicts;		/* of the client's first 32 bids */
} MarketBid;

typedef struct Cap
{
	uint32		members;		/* of the client's first 32 bids */
	int			most;
} Cap;

typedef struct Client
{
	int			first_bid;
	int			n_bids;
	int			first_cap;
	int			n_caps;
	int			most;
} Client;

#define ARRAY(type, name) type *name; int n_##name; int max_##name

struct Market
{
	ARRAY(Resource, resources);
	ARRAY(Client, clients);
	ARRAY(MarketBid, bids);
	ARRAY(Option, options);
	ARRAY(MarketUse, uses);
	ARRAY(Cap, caps);
	MemoryContext cxt;
};
/* The clients who could use each resource, resource by resource. */
typedef struct Users
{
	int		   *first;
	int		   *clients;
} Users;

typedef struct Pick
{
	int			bid;
	int			option;
	double		surplus;
} Pick;

/* An option that may be done. */
typedef struct Offer
{
	int			bid;
	int			option;
	double		ratio;			/* value over price */
} Offer;

/* market_choice.c: what a client would choose at the prices */
extern uint32 market_bit(const Market *m, int bid);
extern double market_amount(const Market *m, const Option *option, int resource);
extern double market_option_price(const Market *m, const Option *option);
extern bool market_allows(const Market *m, const Client *client, uint32 set, int bid);
extern int	market_picks(const Market *m, const Client *client, Pick *picks, double *bound);
extern Pick *market_pick_space(const Market *m);
extern void market_add_uses(Market *m, int bid, int o, double sign);
extern double market_demand(Market *m, Pick *picks, void (*tick) (void));

/* market_price.c */
extern Users market_users(const Market *m);
extern bool market_few_users(const Market *m, const Users *users, int resource);
extern int	market_make_prices(Market *m, const Users *users, Pick *picks, double *bound, void (*tick) (void));

/* market_group.c: means that stand in for each other */
extern int *market_groups(const Market *m);
extern void market_move_groups(Market *m, const Users *users, const int *roots, Pick *picks, void (*tick) (void));

/* market_plan.c: a plan within the means */
extern int	market_compare_offers(const void *a, const void *b, void *arg);
extern Offer market_offer(const Market *m, int bid, int option);
extern uint32 market_set(const Market *m, const Client *client);
extern bool market_fits(const Market *m, const Option *option);
extern void market_choose(Market *m, int bid, int option);
extern void market_drop(Market *m, int bid);
extern bool market_may_choose(const Market *m, const Offer *offer);
extern void market_plan(Market *m, const Users *users, Pick *picks, void (*tick) (void));
extern double market_value(const Market *m);

/* market_pack.c: each resource by itself */
extern void market_repack(Market *m, const Users *users, Offer *before, void (*tick) (void));

#endif
