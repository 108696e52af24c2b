/*
 * beta_test.c
 *		The special functions against reference values and themselves.
 *
 * The references were summed with 80 digits (DLMF 8.17.8, mpmath) and agree with
 * scipy 1.10 where scipy keeps ten digits; it does not at b >= 300,000.
 */
#include "../../src/model/model.h"
#include "unit.h"

typedef struct Reference
{
	double		a,
				b,
				x,
				lower,
				upper;
} Reference;

static const Reference references[] = {
	{0.5, 0.5, 0.1, 0.20483276469913345, 0.79516723530086653},
	{0.5, 0.5, 0.9, 0.79516723530086653, 0.20483276469913342},
	{1, 1, 0.37, 0.37, 0.63},
	{2, 3, 0.5, 0.6875, 0.3125},
	{2, 3, 0.01, 0.00059203000000000001, 0.99940797000000003},
	{3, 2, 0.99, 0.99940797000000003, 0.00059203000000000109},
	{0.25, 0.3, 1e-08, 0.0059601150948599361, 0.99403988490514006},
	{0.25, 100, 1e-06, 0.11022061458728769, 0.88977938541271229},
	{1, 1, 1e-12, 9.9999999999999998e-13, 0.99999999999900002},
	{1, 5, 0.2, 0.67232000000000003, 0.32767999999999997},
	{5, 1, 0.2, 0.00032000000000000008, 0.99968000000000001},
	{9, 2.5, 0.4, 0.003314744490184378, 0.99668525550981557},
	{4, 12.3, 0.05, 0.0059019558993840641, 0.99409804410061597},
	{4, 12.3, 0.9, 0.99999999981829291, 1.8170713333281861e-10},
	{30, 0.3, 0.5, 4.5602445173574144e-11, 0.99999999995439759},
	{30, 0.3, 0.999999, 0.9511808915395602, 0.048819108460439797},
	{30, 4000, 0.001, 1.0171668692133679e-16, 0.99999999999999989},
	{30, 4000, 0.0075, 0.54035039074178659, 0.45964960925821341},
	{30, 4000, 0.02, 0.99999999997597133, 2.4028652890846152e-11},
	{2, 300000.0, 1e-06, 0.036936457573405274, 0.96306354242659475},
	{2, 300000.0, 6.7e-06, 0.59669680491023414, 0.40330319508976586},
	{2, 300000.0, 5e-05, 0.9999951073980029, 4.8926019970434764e-06},
	{2.2, 900000.5, 3e-06, 0.70449160709048986, 0.29550839290951014},
	{1.5, 20.7, 0.6, 0.99999997620812353, 2.3791876500653014e-08},
	{10, 10, 0.5, 0.5, 0.5},
	{10, 10, 0.05, 5.9393390596643821e-09, 0.99999999406066098},
	{10.5, 9.5, 0.5, 0.4096721873132525, 0.5903278126867475},
	{100, 100, 0.5, 0.5, 0.5},
	{100, 100, 0.3, 1.8411141115800529e-09, 0.99999999815888585},
	{1000, 1000, 0.45, 3.6831988690075782e-06, 0.99999631680113099},
	{1000, 1000, 0.5, 0.5, 0.5},
	{50, 5000, 0.02, 0.99999999463795652, 5.3620434382509732e-09},
	{12, 3000000.0, 4e-06, 0.53840792786101599, 0.46159207213898396},
	{12, 3000000.0, 1.2e-05, 0.99999891608587677, 1.0839141232549412e-06},
	{10000.0, 10000.0, 0.49, 0.0023370593301101496, 0.99766294066988981},
	{100000.0, 200000.0, 0.334, 0.78076181383213306, 0.21923818616786697},
	{100000.0, 3000000.0, 0.0322, 0.28164812063896844, 0.71835187936103151},
	{0.01, 0.01, 0.3, 0.49582361360238203, 0.50417638639761797},
	{0.01, 5, 0.001, 0.95279588000707727, 0.047204119992922768},
	{7, 0.5, 0.001, 2.0956436167915943e-22, 1},
	{7, 0.5, 0.9999, 0.97067969247967523, 0.029320307520324759},
	{3.7, 8.1, 1e-20, 2.576830364585518e-72, 1},
	{200, 2, 0.9, 1.4815666128176268e-08, 0.99999998518433386},
	{2000, 1.5, 0.9999, 0.94022803446649517, 0.059771965533504827},
};

#define N_REFERENCES ((int) (sizeof(references) / sizeof(references[0])))

static void
test_references(void)
{
	for (int i = 0; i < N_REFERENCES; i++)
	{
		const Reference *c = &references[i];
		double		odds = c->x / (1.0 - c->x);
		char		name[120];

		snprintf(name, sizeof(name), "I_x(a,b) at a=%g b=%g x=%g", c->a, c->b, c->x);
		ok_close(beta_inc(c->a, c->b, c->x), c->lower, 1e-10, name);
		snprintf(name, sizeof(name), "upper at a=%g b=%g x=%g", c->a, c->b, c->x);
		ok_close(beta_inc_upper(c->a, c->b, c->x), c->upper, 1e-10, name);
		snprintf(name, sizeof(name), "log lower and upper at a=%g b=%g x=%g", c->a, c->b, c->x);
		ok(close_to(exp(beta_inc_log_odds(c->a, c->b, odds)), c->lower, 1e-10)
		   && close_to(exp(beta_inc_upper_log_odds(c->a, c->b, odds)), c->upper, 1e-10), name);
	}
}

static void
test_inverse(void)
{
	static const double shapes[] = {0.25, 0.5, 1.0, 2.5, 9.0, 30.0, 4000.0, 3e6};
	static const double ps[] = {1e-12, 1e-4, 0.05, 0.4, 0.5, 0.7, 0.95, 0.9999};
	double		worst = 0.0;

	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 8; j++)
			for (int l = 0; l < 8; l++)
			{
				double		odds = beta_inc_inverse_odds(shapes[i], shapes[j], ps[l]);
				double		p = exp(beta_inc_log_odds(shapes[i], shapes[j], odds));

				worst = fmax(worst, fabs(p / ps[l] - 1.0));
				if (!(fabs(p / ps[l] - 1.0) < 1e-9))
					printf("# a=%g b=%g p=%g odds=%g back=%.15g\n", shapes[i], shapes[j], ps[l], odds, p);
			}
	ok(worst < 1e-9, "inverse round trip over 512 points, relative 1e-9");
	ok_close(beta_inc_inverse(2, 3, 0.6875), 0.5, 1e-12, "inverse of I_.5(2,3)");
	ok(beta_inc_inverse(2, 3, 0) == 0.0 && beta_inc_inverse(2, 3, 1) == 1.0, "inverse at 0 and 1");
}

static void
test_edges(void)
{
	ok(beta_inc(2, 3, 0) == 0.0 && beta_inc(2, 3, 1) == 1.0 && beta_inc(2, 3, -1) == 0.0
	   && beta_inc(2, 3, 2) == 1.0, "x is taken into [0, 1]");
	ok(beta_inc_upper(2, 3, 0) == 1.0 && beta_inc_upper(2, 3, 1) == 0.0, "upper tail at 0 and 1");
	ok(isnan(beta_inc(0, 1, 0.5)) && isnan(beta_inc(1, -1, 0.5)) && isnan(beta_inc(1, NAN, 0.5))
	   && isnan(beta_inc(INFINITY, 1, 0.5)) && isnan(beta_inc(1, 1, NAN)), "outside the domain: NaN");
	ok_close(beta_inc_upper_log_odds(2, 1e6, 1e3), 1e6 * log(1.0 / 1001) + log1p(1e6 * 1000.0 / 1001),
			 1e-12, "log of a tail that underflows");
}

static void
test_gamma_derivatives(void)
{
	ok_close(model_digamma(1), -0.57721566490153286, 1e-14, "digamma(1)");
	ok_close(model_digamma(0.01), -100.56088545786867, 1e-14, "digamma(.01)");
	ok_close(model_digamma(7.3), 1.9178203356379861, 1e-14, "digamma(7.3)");
	ok_close(model_digamma(1e5), 11.512920464961896, 1e-14, "digamma(1e5)");
	ok_close(model_trigamma(1), 1.6449340668482264, 1e-14, "trigamma(1)");
	ok_close(model_trigamma(0.01), 10001.621213528313, 1e-14, "trigamma(.01)");
	ok_close(model_trigamma(7.3), 0.14679576813142710, 1e-14, "trigamma(7.3)");
	ok(isnan(model_digamma(0)) && isnan(model_trigamma(-1)), "outside the domain: NaN");
}

int
main(void)
{
	test_references();
	test_inverse();
	test_edges();
	test_gamma_derivatives();
	return done();
}
