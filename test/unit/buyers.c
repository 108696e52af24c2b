/*
 * buyers.c
 *		Draws clients from a repurchase model, event by event as it is told in
 *		words, sharing no formula with src/model.
 */
#include "buyers.h"

static double
draw_beta(UnitRandom *random, double a, double b)
{
	double		u = unit_gamma(random, a);

	return u / (u + unit_gamma(random, b));
}

static int
draw_class(UnitRandom *random, const RepurchaseModel *model)
{
	double		u = unit_uniform(random);
	int			i = 0;

	while (i < model->n_classes - 1 && u >= model->weight[i])
		u -= model->weight[i++];
	return model->k[i];
}

BuyerStats
simulate_buyer(UnitRandom *random, const RepurchaseModel *model, int days, double unit)
{
	int			k = draw_class(random, model);
	double		rate = k * unit_gamma(random, model->r) / (model->alpha * unit);
	double		leave = draw_beta(random, model->a, model->b);
	double		clock = 0.0;
	BuyerStats	buyer = {0, 0.0, days / unit, 0.0};

	if (model->m == 1 && unit_uniform(random) < leave)
		return buyer;
	for (;;)
	{
		double		gap = fmax(1.0, ceil(fmin(unit_gamma(random, k) / rate, 1e6)));

		clock += gap;
		if (clock > days)
			return buyer;
		buyer.x++;
		buyer.sum_log += log(gap / unit);
		buyer.tx = clock / unit;
		if (unit_uniform(random) < leave)
			return buyer;
	}
}
