/*
 * worth.c
 *		What a bid is worth: baseline, effect, trust, and what is left beyond the
 *		horizon.
 *
 * Effects and trust are generations of agentcrm.model (kinds effect and trust,
 * see agentcrm.learn); without one the effects are assumed and agents believed.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "columns.h"
#include "plan/award.h"

/* A client kept counts for so many days beyond the horizon. */
#define RESIDUAL_DAYS 365

/* Bins of claimed probabilities. */
#define CLAIM_BINS 5

/* NULL: of all. */
typedef struct EffectRow
{
	char	   *action;
	char	   *stage;
	char	   *segment;
	double		mean;
	int			n;
} EffectRow;

typedef struct TrustRow
{
	char	   *agent;
	char	   *action;			/* of a factor for lift; NULL: for claims */
	int			bin;			/* of a factor for claims */
	double		kappa;
} TrustRow;

/* Kept between rounds, by generation. */
static MemoryContext cache_cxt = NULL;
static int64 effect_id = -1;
static int64 trust_id = -1;
static int	n_effects;
static EffectRow *effects;
static int	n_trusts;
static TrustRow *trusts;

static SPITupleTable *
read_generation(SPIPlanPtr *plan, const char *sql, int64 model_id)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(model_id)};

	if (plan_execute(plan, sql, 1, types, values) != SPI_OK_SELECT)
		elog(ERROR, "could not read agentcrm.model");
	MemoryContextSwitchTo(cache_cxt);
	return SPI_tuptable;
}

static double
float8_of(const SPITupleTable *table, int row, int column, double otherwise)
{
	bool		isnull;
	Datum		v = SPI_getbinval(table->vals[row], table->tupdesc, column, &isnull);

	return isnull ? otherwise : DatumGetFloat8(v);
}

static void
read_effects(int64 model_id)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table = read_generation(&plan, "SELECT e.action, e.stage, e.segment, e.mean, e.n::float8 FROM agentcrm.model m, "
										   "pg_catalog.jsonb_to_recordset(m.params OPERATOR(pg_catalog.->) 'effects') "
										   "AS e(action text, stage text, segment text, mean float8, n int8) WHERE m.model_id OPERATOR(pg_catalog.=) $1", model_id);

	n_effects = (int) table->numvals;
	effects = palloc(sizeof(EffectRow) * Max(n_effects, 1));
	for (int i = 0; i < n_effects; i++)
		effects[i] = (EffectRow)
	{
		SPI_getvalue(table->vals[i], table->tupdesc, 1), SPI_getvalue(table->vals[i], table->tupdesc, 2),
			SPI_getvalue(table->vals[i], table->tupdesc, 3), float8_of(table, i, 4, 0), (int) float8_of(table, i, 5, 0)
	};
	SPI_freetuptable(table);
}

static void
read_trusts(int64 model_id)
{
	static SPIPlanPtr plan = NULL;
	SPITupleTable *table = read_generation(&plan, "SELECT t.agent, t.action, t.bin::float8, t.kappa FROM agentcrm.model m, "
										   "pg_catalog.jsonb_to_recordset(m.params OPERATOR(pg_catalog.->) 'factors') "
										   "AS t(agent text, action text, bin int4, kappa float8) WHERE m.model_id OPERATOR(pg_catalog.=) $1", model_id);

	n_trusts = (int) table->numvals;
	trusts = palloc(sizeof(TrustRow) * Max(n_trusts, 1));
	for (int i = 0; i < n_trusts; i++)
		trusts[i] = (TrustRow)
	{
		SPI_getvalue(table->vals[i], table->tupdesc, 1), SPI_getvalue(table->vals[i], table->tupdesc, 2),
			(int) float8_of(table, i, 3, -1), float8_of(table, i, 4, 1)
	};
	SPI_freetuptable(table);
}

/* The generations that the population names are at hand.  Needs SPI. */
void
worth_read(const Population *population)
{
	MemoryContext old = CurrentMemoryContext;

	if (population->effect_model_id == effect_id && population->trust_model_id == trust_id)
		return;
	if (cache_cxt == NULL)
		cache_cxt = AllocSetContextCreate(TopMemoryContext, "agentcrm worth", ALLOCSET_SMALL_SIZES);
	effect_id = trust_id = -1;
	n_effects = n_trusts = 0;
	MemoryContextReset(cache_cxt);
	if (population->effect_model_id != 0)
		read_effects(population->effect_model_id);
	if (population->trust_model_id != 0)
		read_trusts(population->trust_model_id);
	MemoryContextSwitchTo(old);
	effect_id = population->effect_model_id;
	trust_id = population->trust_model_id;
}

/* How closely a row of effects speaks of the client; -1: not at all. */
static int
speaks_of(const EffectRow *row, const char *action, const char *stage, const char *segment)
{
	if (strcmp(row->action, action) != 0 || (row->stage != NULL && strcmp(row->stage, stage) != 0) ||
		(row->segment != NULL && (segment == NULL || strcmp(row->segment, segment) != 0)))
		return -1;
	return (row->stage != NULL) + (row->segment != NULL);
}

/* theta[action, stage, segment]: the closest that was measured, else what is assumed. */
static double
effect_of(const char *action, const ClientSnapshot *client, int *n)
{
	const EffectRow *best = NULL;
	int			closest = -1;

	for (int i = 0; i < n_effects; i++)
	{
		int			close = speaks_of(&effects[i], action, profile_stage_name(client->state.stage), client->channel);

		if (close > closest)
		{
			closest = close;
			best = &effects[i];
		}
	}
	*n = best ? best->n : 0;
	return best ? best->mean : effect_prior(strcmp(action, "programme") == 0).mean;
}

static double
trust_in(const char *agent, const char *action, int bin)
{
	for (int i = 0; i < n_trusts; i++)
		if (strcmp(trusts[i].agent, agent) == 0 && (action == NULL ? trusts[i].action == NULL && trusts[i].bin == bin :
													trusts[i].action != NULL && strcmp(trusts[i].action, action) == 0))
			return trusts[i].kappa;
	return 1;
}

/* p1 as it is used: the agent's claim as far as it is believed, else baseline and effect. */
static double
p_used(Candidate *c)
{
	double		claim = c->bid->p_claim;
	double		believed;

	if (claim < 0)
		return effect_apply(c->p_baseline, c->theta);
	c->trust_claim = trust_in(c->agent, NULL, Min((int) (claim * CLAIM_BINS), CLAIM_BINS - 1));
	c->trust_lift = trust_in(c->agent, c->action, -1);
	believed = fmin(1, claim * c->trust_claim);
	return c->p_baseline + (believed - c->p_baseline) * c->trust_lift;
}

/*
 * What a client that is kept brings beyond the horizon: only an action to
 * retain a client, for any order, is reckoned to keep it, by its effect on the
 * odds that it is alive.
 */
static double
residual_value(const Candidate *c, const ClientSnapshot *client, const Population *population)
{
	double		alive = client->state.p_alive;
	double		later;

	if (c->bid->objective == NULL || strcmp(c->bid->objective, "retain") != 0 || strcmp(c->category, "*") != 0 || !(alive > 0 && alive < 1))
		return 0;
	later = profile_orders_expected(client, population, agentcrm_value_horizon + RESIDUAL_DAYS) -
		profile_orders_expected(client, population, agentcrm_value_horizon);
	return fmax(0, (effect_apply(alive, c->theta) - alive) / alive * later * client->state.order_value *
				profile_margin_share(&client->profile, agentcrm_margin_rate));
}

/* Fill in what the bid is worth. */
void
worth_price(const ClientSnapshot *client, const Population *population, Candidate *c)
{
	c->trust_claim = c->trust_lift = 1;
	c->p_baseline = baseline_p0(client, population, c->bid);
	c->theta = effect_of(c->action, client, &c->effect_n);
	c->p_used = p_used(c);
	c->value = (c->p_used - c->p_baseline) * c->bid->margin;
	c->residual = residual_value(c, client, population);
	c->net = c->value + c->residual - c->bid->cost;
}
