/*
 * entry.c
 *		Order entry in two schemas by turns, with the CPU time it costs the server.
 *
 * Usage: entry clients slice_ms slices [pid ...], with the database from PG*
 * variables.  Each client holds one connection to schema bench_bare and one to
 * bench_attached; all clients enter orders in bench_bare for a slice of time,
 * then in bench_attached, and so on, ending with bench_bare.  Prints a line per
 * slice: transactions per second, CPU of the serving sessions in us per
 * transaction, and CPU of each of the given processes likewise.  Slices are short
 * so that what else the machine does weighs on both sides alike; connections
 * stay, so that their start is not counted.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libpq-fe.h"

#define MAX_CLIENTS 64
#define MAX_PROCESSES 8
#define N_SIDES 2
#define LINES_PER_ORDER 5
#define N_CLIENTS 2000			/* of the schemas */
#define N_PRODUCTS 500

static const char *schemas[N_SIDES] = {"bench_bare", "bench_attached"};

typedef struct Client
{
	pthread_t	thread;
	PGconn	   *conns[N_SIDES];
	unsigned	seed;
} Client;

static Client clients[MAX_CLIENTS];
static int	n_clients;
static int	slice_ms;
static int	n_slices;
static atomic_int transactions;
static double slice_end;
static pthread_barrier_t slice_begins,
			slice_ended;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void
check(PGconn *conn, PGresult *result)
{
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "entry: %s", PQerrorMessage(conn));
		exit(1);
	}
}

static void
run(PGconn *conn, const char *statement)
{
	PGresult   *result = PQexec(conn, statement);

	check(conn, result);
	PQclear(result);
}

static PGconn *
connect_side(int side)
{
	static const char *const statements[][2] = {
		{"begin", "BEGIN"},
		{"order", "INSERT INTO orders (client_id) VALUES ($1) RETURNING order_id"},
		{"line", "INSERT INTO lines (order_id, product_id, quantity, unit_price) VALUES ($1, $2, $3, 12.50)"},
		{"commit", "COMMIT"}
	};
	PGconn	   *conn = PQconnectdb("");
	char		path[64];

	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "entry: %s", PQerrorMessage(conn));
		exit(1);
	}
	snprintf(path, sizeof(path), "SET search_path = %s", schemas[side]);
	run(conn, path);
	for (int i = 0; i < 4; i++)
	{
		PGresult   *result = PQprepare(conn, statements[i][0], statements[i][1], 0, NULL);

		check(conn, result);
		PQclear(result);
	}
	return conn;
}

static PGresult *
execute(PGconn *conn, const char *name, int n, const char *const *values)
{
	PGresult   *result = PQexecPrepared(conn, name, n, values, NULL, NULL, 0);

	check(conn, result);
	return result;
}

static void
enter_order(PGconn *conn, unsigned *seed)
{
	char		client[12],
				product[12],
				quantity[12];
	const char *order_values[] = {client};
	PGresult   *order;

	snprintf(client, sizeof(client), "%d", 1 + rand_r(seed) % N_CLIENTS);
	PQclear(execute(conn, "begin", 0, NULL));
	order = execute(conn, "order", 1, order_values);
	for (int i = 0; i < LINES_PER_ORDER; i++)
	{
		const char *line_values[] = {PQgetvalue(order, 0, 0), product, quantity};

		snprintf(product, sizeof(product), "%d", 1 + rand_r(seed) % N_PRODUCTS);
		snprintf(quantity, sizeof(quantity), "%d", 1 + rand_r(seed) % 20);
		PQclear(execute(conn, "line", 3, line_values));
	}
	PQclear(execute(conn, "commit", 0, NULL));
	PQclear(order);
}

static void *
enter_orders(void *arg)
{
	Client	   *client = arg;

	for (int slice = 0; slice < n_slices; slice++)
	{
		pthread_barrier_wait(&slice_begins);
		do
		{
			enter_order(client->conns[slice % N_SIDES], &client->seed);
			atomic_fetch_add(&transactions, 1);
		} while (now_ms() < slice_end);
		pthread_barrier_wait(&slice_ended);
	}
	return NULL;
}

/* CPU time of a process, us. */
static double
cpu_us(int pid)
{
	char		path[64];
	FILE	   *file;
	double		ns = 0;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (file)
	{
		if (fscanf(file, "%lf", &ns) != 1)
			ns = 0;
		fclose(file);
	}
	return ns / 1e3;
}

static double
sessions_us(int side)
{
	double		sum = 0;

	for (int i = 0; i < n_clients; i++)
		sum += cpu_us(PQbackendPID(clients[i].conns[side]));
	return sum;
}

static void
run_slice(int side, const int *pids, int n_pids)
{
	double		start,
				sessions = sessions_us(side),
				others[MAX_PROCESSES];

	for (int i = 0; i < n_pids; i++)
		others[i] = cpu_us(pids[i]);
	atomic_store(&transactions, 0);
	start = now_ms();
	slice_end = start + slice_ms;
	pthread_barrier_wait(&slice_begins);
	pthread_barrier_wait(&slice_ended);
	printf("%.1f", transactions * 1e3 / (now_ms() - start));
	printf(" %.3f", (sessions_us(side) - sessions) / transactions);
	for (int i = 0; i < n_pids; i++)
		printf(" %.3f", (cpu_us(pids[i]) - others[i]) / transactions);
	printf("\n");
}

int
main(int argc, char **argv)
{
	int			pids[MAX_PROCESSES];
	int			n_pids = argc - 4;

	if (argc < 4 || n_pids > MAX_PROCESSES || atoi(argv[1]) < 1 || atoi(argv[1]) > MAX_CLIENTS)
	{
		fprintf(stderr, "usage: entry clients slice_ms slices [pid ...]\n");
		return 2;
	}
	n_clients = atoi(argv[1]);
	slice_ms = atoi(argv[2]);
	n_slices = atoi(argv[3]) | 1;	/* odd: from bare to bare */
	for (int i = 0; i < n_pids; i++)
		pids[i] = atoi(argv[4 + i]);

	pthread_barrier_init(&slice_begins, NULL, n_clients + 1);
	pthread_barrier_init(&slice_ended, NULL, n_clients + 1);
	for (int i = 0; i < n_clients; i++)
	{
		clients[i].seed = i + 1;
		for (int side = 0; side < N_SIDES; side++)
		{
			clients[i].conns[side] = connect_side(side);
			for (int k = 0; k < 20; k++)
				enter_order(clients[i].conns[side], &clients[i].seed);
		}
		if (pthread_create(&clients[i].thread, NULL, enter_orders, &clients[i]) != 0)
			return 1;
	}
	for (int slice = 0; slice < n_slices; slice++)
		run_slice(slice % N_SIDES, pids, n_pids);
	for (int i = 0; i < n_clients; i++)
		pthread_join(clients[i].thread, NULL);
	return 0;
}
