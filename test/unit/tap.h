/*
 * tap.h
 *		Test Anything Protocol for the plain C tests: ok, near, skip and done.
 *
 * A test file calls these from main and ends in "return tap_done();".
 */
#ifndef AGENTCRM_TEST_TAP_H
#define AGENTCRM_TEST_TAP_H

/* One test: passes where the condition holds; the rest is a printf format. */
extern int	tap_ok(int condition, const char *name,...) __attribute__((format(printf, 2, 3)));

/* Passes where got is within tolerance of want: absolute below 1, else relative. */
extern int	tap_near(double got, double want, double tolerance, const char *name,...) __attribute__((format(printf, 4, 5)));

/* One test that cannot run here, with the reason. */
extern void tap_skip(const char *reason,...) __attribute__((format(printf, 1, 2)));

/* Prints the plan; the value is main's exit status. */
extern int	tap_done(void);

#endif							/* AGENTCRM_TEST_TAP_H */
