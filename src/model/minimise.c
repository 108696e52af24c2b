/*
 * minimise.c
 *		Minimises a smooth function of a few variables in a box, from values and
 *		gradients: L-BFGS (Nocedal, Wright 2006, Numerical Optimization,
 *		algorithms 7.4 and 7.5).
 *
 * Owns no memory but the stack.  Variables that sit at a bound and push outwards
 * rest until their gradient turns round.
 */
#include <math.h>
#include <string.h>

#include "model.h"

#define MEMORY MINIMISE_MEMORY
#define LONGEST_STEP 2.0
#define FIRST_STEP 0.5
#define FIRST_SCALE 5.0			/* guess of an inverse second derivative */
#define ARMIJO 1e-4
#define WOLFE 0.9
#define NOISE 1e-14
#define LEAST_CURVATURE 1e-12
#define MAX_TRIALS 25

/* The run of one minimisation. */
typedef struct Run
{
	const Minimise *problem;
	MinimiseResult *result;
	double		gradient[MINIMISE_MAX];
	MinimiseMemory *memory;
} Run;

static double
dot(int n, const double *u, const double *v)
{
	double		sum = 0.0;

	for (int i = 0; i < n; i++)
		sum += u[i] * v[i];
	return sum;
}

static double
evaluate(Run *run, const double *at, double *gradient)
{
	const Minimise *p = run->problem;
	double		value = p->function(at, gradient, p->arg);

	run->result->evaluations++;
	for (int i = 0; i < p->n; i++)
		if (!isfinite(gradient[i]))
			value = INFINITY;
	return isnan(value) ? INFINITY : value;
}

/* A variable at a bound whose descent leads out of the box. */
static bool
at_rest(const Run *run, const double *at, int i)
{
	return (at[i] <= run->problem->low[i] && run->gradient[i] >= 0.0)
		|| (at[i] >= run->problem->high[i] && run->gradient[i] <= 0.0);
}

static double
largest_gradient(const Run *run, const double *at)
{
	double		largest = 0.0;

	for (int i = 0; i < run->problem->n; i++)
		if (!at_rest(run, at, i))
			largest = fmax(largest, fabs(run->gradient[i]));
	return largest;
}

/*
 * Algorithm 7.4 among the variables that are free: minus the approximate inverse
 * Hessian times the gradient, d being minus the gradient and 0 elsewhere.
 */
static void
two_loops(const Run *run, const bool *is_free, double *d)
{
	int			n = run->problem->n;
	double		turn[MEMORY][MINIMISE_MAX];
	double		curvature[MEMORY];
	double		share[MEMORY];
	double		scale = 0.0;

	for (int i = 0; i < run->memory->kept; i++)
	{
		int			at = (run->memory->newest - i + MEMORY) % MEMORY;

		for (int j = 0; j < n; j++)
			turn[i][j] = is_free[j] ? run->memory->turn[at][j] : 0.0;
		curvature[i] = dot(n, turn[i], run->memory->step[at]);
		if (!(curvature[i] > LEAST_CURVATURE * dot(n, turn[i], turn[i])))
			continue;
		if (scale == 0.0)
			scale = curvature[i] / dot(n, turn[i], turn[i]);
		share[i] = dot(n, run->memory->step[at], d) / curvature[i];
		for (int j = 0; j < n; j++)
			d[j] -= share[i] * turn[i][j];
	}
	for (int j = 0; scale > 0.0 && j < n; j++)
		d[j] *= scale;
	for (int i = run->memory->kept - 1; i >= 0; i--)
	{
		int			at = (run->memory->newest - i + MEMORY) % MEMORY;
		double		back;

		if (!(curvature[i] > LEAST_CURVATURE * dot(n, turn[i], turn[i])))
			continue;
		back = dot(n, turn[i], d) / curvature[i];
		for (int j = 0; j < n; j++)
			if (is_free[j])
				d[j] += (share[i] - back) * run->memory->step[at][j];
	}
}

/* Where to go from here, not longer than LONGEST_STEP in any variable. */
static void
choose_direction(Run *run, const double *at, double *d)
{
	int			n = run->problem->n;
	bool		is_free[MINIMISE_MAX];
	double		longest = 0.0;
	double		limit;

	for (int attempt = 0; attempt < 2; attempt++)
	{
		for (int i = 0; i < n; i++)
		{
			is_free[i] = !at_rest(run, at, i);
			d[i] = is_free[i] ? -run->gradient[i] : 0.0;
		}
		two_loops(run, is_free, d);
		if (dot(n, d, run->gradient) < 0.0)
			break;
		run->memory->kept = 0;
	}
	for (int i = 0; i < n; i++)
		longest = fmax(longest, fabs(d[i]));
	if (run->memory->kept == 0)
		limit = fmin(FIRST_STEP, FIRST_SCALE * longest);
	else
		limit = fmin(LONGEST_STEP, longest);
	for (int i = 0; i < n && longest > 0.0; i++)
		d[i] *= limit / longest;
}

/* at + t d, as far as the box allows; true where it stopped a variable. */
static bool
move(const Run *run, const double *at, const double *d, double t, double *point)
{
	const Minimise *p = run->problem;
	bool		stopped = false;

	for (int i = 0; i < p->n; i++)
	{
		double		to = at[i] + t * d[i];

		point[i] = fmax(p->low[i], fmin(p->high[i], to));
		stopped |= point[i] != to;
	}
	return stopped;
}

/* The slope along d of what still moves at a point. */
static double
slope_along(const Run *run, const double *d, const double *point, const double *gradient)
{
	const Minimise *p = run->problem;
	double		slope = 0.0;

	for (int i = 0; i < p->n; i++)
		if (!(d[i] > 0.0 && point[i] >= p->high[i]) && !(d[i] < 0.0 && point[i] <= p->low[i]))
			slope += d[i] * gradient[i];
	return slope;
}

/* One end of the line search's bracket. */
typedef struct Trial
{
	double		t;
	double		value;
	double		slope;
} Trial;

/* The minimum of the cubic through both ends, kept off them. */
static double
between(Trial low, Trial high)
{
	double		width = high.t - low.t;
	double		d1 = low.slope + high.slope - 3.0 * (high.value - low.value) / width;
	double		root = d1 * d1 - low.slope * high.slope;
	double		t = 0.5 * (low.t + high.t);

	if (isfinite(high.value) && root >= 0.0)
	{
		double		d2 = copysign(sqrt(root), width);
		double		share = (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);

		if (isfinite(share))
			t = high.t - width * fmax(0.1, fmin(0.9, share));
	}
	return t;
}

/*
 * A step along d, bent at the box, that meets the Wolfe conditions or, once
 * values differ by rounding only, their form in slopes (Hager, Zhang 2005, eq.
 * 4.1); where the box stops a variable on the way, a sufficient decrease will do.
 * Leaves point, gradient and value there; false where none was found.
 */
static bool
search_line(Run *run, double *at, const double *d)
{
	const Minimise *p = run->problem;
	int			n = p->n;
	Trial		start = {0.0, run->result->value, dot(n, d, run->gradient)};
	Trial		low = start;
	Trial		high = {INFINITY, INFINITY, 0.0};
	double		t = 1.0;

	for (int trial = 0; trial < MAX_TRIALS && run->result->evaluations < p->max_evaluations; trial++)
	{
		double		point[MINIMISE_MAX];
		double		gradient[MINIMISE_MAX];
		Trial		now = {t, 0.0, 0.0};
		bool		stopped = move(run, at, d, t, point);
		bool		level;
		bool		lower;
		double		promise = 0.0;

		now.value = evaluate(run, point, gradient);
		now.slope = slope_along(run, d, point, gradient);
		for (int i = 0; i < n; i++)
			promise += run->gradient[i] * (point[i] - at[i]);
		level = fabs(now.value - start.value) <= NOISE * fabs(start.value)
			&& now.slope <= (2.0 * ARMIJO - 1.0) * start.slope;
		lower = now.value <= start.value + ARMIJO * promise;
		if ((lower && stopped) || ((lower || level) && fabs(now.slope) <= -WOLFE * start.slope))
		{
			memcpy(at, point, sizeof(double) * n);
			memcpy(run->gradient, gradient, sizeof(double) * n);
			run->result->value = now.value;
			return true;
		}
		if (!(lower || level) || now.value > low.value + NOISE * fabs(low.value) || now.slope >= 0.0)
			high = now;
		else
			low = now;
		t = isinf(high.t) ? 2.0 * t : between(low, high);
	}
	return false;
}

/* Remembers a step where it saw positive curvature. */
static void
remember(Run *run, const double *from, const double *old_gradient, const double *at)
{
	int			n = run->problem->n;
	int			slot = (run->memory->newest + 1) % MEMORY;
	double		curvature;

	for (int i = 0; i < n; i++)
	{
		run->memory->step[slot][i] = at[i] - from[i];
		run->memory->turn[slot][i] = run->gradient[i] - old_gradient[i];
	}
	curvature = dot(n, run->memory->step[slot], run->memory->turn[slot]);
	if (!(curvature > LEAST_CURVATURE * dot(n, run->memory->turn[slot], run->memory->turn[slot])))
		return;
	run->memory->newest = slot;
	if (run->memory->kept < MEMORY)
		run->memory->kept++;
}

/*
 * Moves `at` to a local minimum of the problem; true once no free variable's
 * derivative exceeds the tolerance.  memory starts as zero bytes, or is that of a
 * problem much like this one, whose curvature it then begins with.  Never takes more than max_evaluations of
 * the function, whose infinite or NaN values count as walls; false at once for
 * more than MINIMISE_MAX variables or a start that is not finite.
 */
bool
model_minimise(const Minimise *problem, double *at, MinimiseMemory *memory, MinimiseResult *result)
{
	Run			run = {problem, result, {0}, memory};
	int			n = problem->n;
	bool		fresh = true;

	*result = (MinimiseResult) {INFINITY, 0, false};
	if (n < 1 || n > MINIMISE_MAX)
		return false;
	for (int i = 0; i < n; i++)
		at[i] = fmax(problem->low[i], fmin(problem->high[i], at[i]));
	result->value = evaluate(&run, at, run.gradient);
	if (!isfinite(result->value))
		return false;
	while (!(result->converged = largest_gradient(&run, at) <= problem->tolerance)
		   && result->evaluations < problem->max_evaluations)
	{
		double		from[MINIMISE_MAX];
		double		gradient[MINIMISE_MAX];
		double		d[MINIMISE_MAX];

		memcpy(from, at, sizeof(double) * n);
		memcpy(gradient, run.gradient, sizeof(double) * n);
		choose_direction(&run, at, d);
		fresh = memory->kept == 0;
		if (search_line(&run, at, d))
			remember(&run, from, gradient, at);
		else if (fresh)
			break;
		else
			memory->kept = 0;
	}
	return result->converged;
}
