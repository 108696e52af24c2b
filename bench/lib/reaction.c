/*
 * reaction.c
 *		How long after an order's commit a recommendation is to be seen.
 *
 * Usage: reaction schema rate <clients.  Enters one order of five lines for each
 * client read from stdin, at a steady rate whatever the answers do, and prints a
 * line per answered order: the milliseconds from the return of COMMIT until a
 * second connection has read a recommendation of that client that is new or
 * changed.  That connection reads when a notification comes, and every 5 ms while
 * an order is unanswered, so that it does not depend on notifications.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libpq-fe.h"

#define POLL_MS 5
#define PATIENCE_MS 10000.0		/* after the last order */
#define MAX_CLIENTS 100000

typedef struct Order
{
	long		client_id;
	double		committed;		/* ms, when COMMIT returned */
	bool		answered;
} Order;

static Order orders[MAX_CLIENTS];
static int	n_orders;
static atomic_int n_committed;
static const char *schema;
static double rate;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void
sleep_until(double ms)
{
	struct timespec t = {.tv_sec = (time_t) (ms / 1e3)};

	t.tv_nsec = (long) ((ms - t.tv_sec * 1e3) * 1e6);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static PGconn *
connect_server(void)
{
	PGconn	   *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "reaction: %s", PQerrorMessage(conn));
		exit(1);
	}
	return conn;
}

static PGresult *
run(PGconn *conn, const char *statement)
{
	PGresult   *result = PQexec(conn, statement);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "reaction: %s", PQerrorMessage(conn));
		exit(1);
	}
	return result;
}

/* Enter the orders, each at its time, in one transaction and one round trip each. */
static void *
write_orders(void *arg)
{
	PGconn	   *conn = connect_server();
	char		statement[1024];
	double		start = now_ms() + 100;

	for (int i = 0; i < n_orders; i++)
	{
		snprintf(statement, sizeof(statement),
				 "BEGIN; WITH o AS (INSERT INTO %s.orders (client_id) VALUES (%ld) RETURNING order_id) "
				 "INSERT INTO %s.lines (order_id, product_id, quantity, unit_price) "
				 "SELECT order_id, l * 7, 10, 49.90 FROM o, generate_series(1, 5) l; COMMIT",
				 schema, orders[i].client_id, schema);
		sleep_until(start + i * 1e3 / rate);
		PQclear(run(conn, statement));
		orders[i].committed = now_ms();
		atomic_store(&n_committed, i + 1);
	}
	PQfinish(conn);
	return NULL;
}

/* The unanswered among the first n orders, as an array literal; how many there are. */
static int
list_unanswered(int first, int n, char *list)
{
	int			count = 0;
	char	   *end = list;

	*end++ = '{';
	for (int i = first; i < n; i++)
		if (!orders[i].answered)
			end += sprintf(end, "%s%ld", count++ ? "," : "", orders[i].client_id);
	strcpy(end, "}");
	return count;
}

static void
mark_answered(PGresult *result, int first, int n)
{
	double		now = now_ms();

	for (int row = 0; row < PQntuples(result); row++)
	{
		long		client_id = atol(PQgetvalue(result, row, 0));

		for (int i = first; i < n; i++)
			if (!orders[i].answered && orders[i].client_id == client_id)
			{
				orders[i].answered = true;
				printf("%.3f\n", now - orders[i].committed > 0 ? now - orders[i].committed : 0);
			}
	}
}

/* Wait for a notification, at most so long; throw away all that have come. */
static void
wait_notification(PGconn *conn, int timeout_ms)
{
	struct pollfd fd = {.fd = PQsocket(conn),.events = POLLIN};
	PGnotify   *notify;

	poll(&fd, 1, timeout_ms);
	PQconsumeInput(conn);
	while ((notify = PQnotifies(conn)) != NULL)
		PQfreemem(notify);
}

/* Read the recommendations of unanswered orders until all are answered or patience ends. */
static void
read_recommendations(PGconn *conn)
{
	char	   *list = malloc(24 * MAX_CLIENTS);
	const char *values[1] = {list};
	int			first = 0;
	double		give_up = 0;

	for (;;)
	{
		int			n = atomic_load(&n_committed);
		int			waiting;
		PGresult   *result;

		while (first < n && orders[first].answered)
			first++;
		if (first == n_orders)
			break;
		if (n == n_orders && give_up == 0)
			give_up = now_ms() + PATIENCE_MS;
		if (give_up > 0 && now_ms() > give_up)
			break;
		waiting = list_unanswered(first, n, list);
		if (waiting > 0)
		{
			result = PQexecPrepared(conn, "answers", 1, values, NULL, NULL, 0);
			if (PQresultStatus(result) != PGRES_TUPLES_OK)
			{
				fprintf(stderr, "reaction: %s", PQerrorMessage(conn));
				exit(1);
			}
			waiting -= PQntuples(result);
			mark_answered(result, first, n);
			PQclear(result);
		}
		if (n == atomic_load(&n_committed))
			wait_notification(conn, waiting > 0 ? POLL_MS : 1);
	}
	free(list);
}

int
main(int argc, char **argv)
{
	PGconn	   *conn;
	PGresult   *result;
	pthread_t	writer;
	char		statement[512];

	if (argc != 3)
	{
		fprintf(stderr, "usage: reaction schema rate <clients\n");
		return 2;
	}
	schema = argv[1];
	rate = atof(argv[2]);
	while (n_orders < MAX_CLIENTS && scanf("%ld", &orders[n_orders].client_id) == 1)
		n_orders++;

	conn = connect_server();
	PQclear(run(conn, "LISTEN agentcrm_recommendation"));
	/* rows written from here on; a fresh cluster's numbers do not wrap */
	result = run(conn, "SELECT pg_snapshot_xmax(pg_current_snapshot())");
	snprintf(statement, sizeof(statement),
			 "PREPARE answers(bigint[]) AS SELECT DISTINCT client_id FROM agentcrm.recommendation "
			 "WHERE client_id = ANY($1) AND xmin::text::bigint >= %s", PQgetvalue(result, 0, 0));
	PQclear(result);
	PQclear(run(conn, statement));
	if (pthread_create(&writer, NULL, write_orders, NULL) != 0)
		return 1;
	read_recommendations(conn);
	pthread_join(writer, NULL);
	PQfinish(conn);
	return 0;
}
