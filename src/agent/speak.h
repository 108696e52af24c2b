/*
 * speak.h
 *		What the built-in agents share: money, words and evidence.
 *
 * Private to the room.  Nothing here decides anything.
 */
#ifndef AGENTCRM_SPEAK_H
#define AGENTCRM_SPEAK_H

#include "agent/agent.h"
#include "lib/stringinfo.h"

/* Days of the demand window that every built-in agent bids for. */
#define DEMAND_DAYS 14

typedef struct Offer
{
	const char *action;
	const char *channel;
	double		cost;
	double		minutes;
} Offer;

extern Offer offer_call(const AgentCall *call);
extern Offer offer_visit(const AgentCall *call);
extern Offer offer_message(const AgentCall *call);
extern Offer offer_suggestion(const AgentCall *call);

extern double agent_margin_share(const ClientSnapshot *client, const AgentCall *call);
extern double agent_order_margin(const ClientSnapshot *client, const Population *population, const AgentCall *call);
extern double agent_gain(double p0, double margin);
extern bool agent_was_rejected(const AgentCall *call, int client_index, const char *action);
extern double agent_order_within(const ClientSnapshot *client, const Population *population, int days);
extern TimestampTz agent_days_later(const ClientSnapshot *client, double days);

extern Bid *agent_bid(BidSink *sink, const ClientSnapshot *client, int client_index, const AgentCall *call, Offer offer);
extern void agent_refuse(BidSink *sink, const ClientSnapshot *client, int client_index, const char *code,
						 const char *reason);
extern void agent_look(BidSink *sink, const ClientSnapshot *client, int client_index, TimestampTz at);
extern bool agent_contactable(BidSink *sink, const ClientSnapshot *client, int client_index);

extern const char *say_date(DateADT day);
extern const char *say_amount(double amount);
extern const char *say_percent(double p);
extern const char *say_days(double days);

/* Evidence: the query that re-derives the figures, its parameters, the values. */
typedef struct Evidence
{
	JsonbParseState *state;
} Evidence;

extern void evidence_begin(Evidence *e, const ClientSnapshot *client, const char *columns, const char *more);
extern void evidence_parameter(Evidence *e, const char *name, double value);
extern void evidence_values(Evidence *e);
extern void evidence_number(Evidence *e, const char *name, double value);
extern void evidence_text(Evidence *e, const char *name, const char *value);
extern Jsonb *evidence_end(Evidence *e);

/* basket.c */
typedef struct BasketLine
{
	const ClientProduct *product;
	const ProductInfo *info;
	double		p;
	Numeric		quantity;
} BasketLine;

/* retention.c: an item that dropped out of a client's orders */
typedef struct LostItem
{
	const ClientProduct *product;
	const ProductInfo *info;
	double		usual;			/* share of orders that held it, before it dropped out */
	int			missed;			/* orders since */
	double		p;				/* probability of missing so many by chance */
} LostItem;

/* category.c: a category that a client has left */
typedef struct LostCategory
{
	const char *category;
	uint64		held;			/* bit i: the order i before the last held it */
	bool		active;			/* some product of it is */
	int			products;
	double		value;			/* net amount of it in a usual order */
	double		usual;			/* share of orders that held it, before */
	int			missed;			/* orders since */
	double		p;				/* probability that a steady client shows as much */
} LostCategory;

extern int	retention_lost_categories(const ClientSnapshot *client, const AgentCall *call, double level, LostCategory **found);

/* What the retention and reorder agents would speak of, and what the views show. */
extern int	retention_lost_items(const ClientSnapshot *client, const AgentCall *call, LostItem **lost);
extern int	reorder_basket(const ClientSnapshot *client, const AgentCall *call, BasketLine **lines);

extern int	basket_usual(const ClientSnapshot *client, int most, double floor, BasketLine *lines);
extern Numeric basket_quantity(const ClientProduct *product, const ProductInfo *info);
extern Jsonb *basket_json(const BasketLine *lines, int n);
extern const char *basket_words(const BasketLine *lines, int n);

/* The built-in agents. */
extern void portfolio_bid(const ClientSnapshot *clients, int n_clients, const Population *population,
						  const AgentCall *call, BidSink *sink);
extern void reorder_bid(const ClientSnapshot *clients, int n_clients, const Population *population,
						const AgentCall *call, BidSink *sink);
extern void retention_bid(const ClientSnapshot *clients, int n_clients, const Population *population,
						  const AgentCall *call, BidSink *sink);

#endif
