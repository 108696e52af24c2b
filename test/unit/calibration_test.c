/*
 * calibration_test.c
 *		Scores of forecasts on cases done by hand; recalibration on forecasts
 *		that are wrong in a known way.
 */
#include "../../src/model/model.h"
#include "unit.h"

#define N 20000

static double p[N];
static bool happened[N];

/* Forecasts p whose truth has logit a + b logit p. */
static void
simulate(double a, double b, int n)
{
	UnitRandom	random = {7, 0};

	for (int i = 0; i < n; i++)
	{
		double		z = 2.0 * unit_normal(&random);

		p[i] = 1.0 / (1.0 + exp(-z));
		happened[i] = unit_uniform(&random) < 1.0 / (1.0 + exp(-(a + b * z)));
	}
}

int
main(void)
{
	const double forecasts[4] = {0.2, 0.4, 0.9, 0.95};
	const bool	came[4] = {false, true, true, false};
	const double sure[2] = {0.0, 1.0};
	const bool	wrong[2] = {true, false};
	ForecastScore score;
	ForecastScore before;
	Calibration c;
	const Calibration odd = {-0.5, 0.7};

	forecast_score(forecasts, came, 4, &score);
	ok(score.n == 4 && score.events == 2, "forecasts and what came true are counted");
	ok_close(score.log_loss, -(log(0.8) + log(0.4) + log(0.9) + log(0.05)) / 4, 1e-14, "log loss by hand");
	ok_close(score.brier, (0.04 + 0.36 + 0.01 + 0.9025) / 4, 1e-14, "Brier score by hand");
	ok_close(score.ece, (0.2 + 0.6 + 0.85) / 4, 1e-14, "calibration error by hand: the last two share a bin");
	forecast_score(sure, wrong, 2, &score);
	ok(isfinite(score.log_loss) && score.log_loss > 6, "certainty that fails costs much, but not everything");
	forecast_score(sure, wrong, 0, &score);
	ok(isnan(score.log_loss), "no forecasts: no score");

	ok_close(calibration_invert(&odd, calibration_apply(&odd, 0.37)), 0.37, 1e-12, "invert undoes apply");
	ok(calibration_apply(&odd, 0.0) == 0.0 && calibration_apply(&odd, 1.0) == 1.0, "certainty stays");
	ok(isnan(calibration_apply(&odd, NAN)), "NaN stays");
	ok(calibration_apply(&odd, 0.2) < calibration_apply(&odd, 0.3), "order is kept");

	simulate(-0.5, 0.7, N);
	ok(calibration_fit(p, happened, N, &c), "enough forecasts");
	ok(fabs(c.intercept + 0.5) < 0.06 && fabs(c.slope - 0.7) < 0.04, "what is wrong in a known way is found");
	forecast_score(p, happened, N, &before);
	for (int i = 0; i < N; i++)
		p[i] = calibration_apply(&c, p[i]);
	forecast_score(p, happened, N, &score);
	ok(before.ece > 0.05 && score.ece < 0.015, "and put right: calibration error");
	ok(score.log_loss < before.log_loss, "and log loss");

	simulate(0, 1, N);
	calibration_fit(p, happened, N, &c);
	ok(fabs(c.intercept) < 0.06 && fabs(c.slope - 1) < 0.05, "right forecasts stay about as they are");
	simulate(1, 1, 90);
	ok(!calibration_fit(p, happened, 90, &c) && c.intercept == 0 && c.slope == 1, "too few: the identity");
	simulate(0, -1, N);
	ok(!calibration_fit(p, happened, N, &c) && c.slope == 1, "forecasts that mislead are not turned round");
	for (int i = 0; i < N; i++)
	{
		p[i] = i % 2;
		happened[i] = i % 2;
	}
	ok(calibration_fit(p, happened, N, &c) && isfinite(c.intercept) && isfinite(c.slope), "sure and right: finite");
	return done();
}
