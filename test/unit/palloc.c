/*
 * palloc.c
 *		What plain C of the server's asks of it: memory, and sorting with an argument.
 *
 * Memory is never given back by context; a test is over soon.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "postgres.h"

#include "utils/memutils.h"

#undef qsort_arg

MemoryContext CurrentMemoryContext = NULL;

static void *
checked(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

void *
palloc(Size size)
{
	return checked(malloc(Max(size, 1)));
}

void *
palloc0(Size size)
{
	return checked(calloc(1, Max(size, 1)));
}

void *
palloc_extended(Size size, int flags)
{
	return palloc(size);
}

void *
MemoryContextAllocHuge(MemoryContext context, Size size)
{
	return palloc(size);
}

void *
repalloc_huge(void *pointer, Size size)
{
	return checked(realloc(pointer, size));
}

void
pfree(void *pointer)
{
	free(pointer);
}

void
qsort_arg(void *base, size_t n, size_t size, qsort_arg_comparator compare, void *arg)
{
	qsort_r(base, n, size, compare, arg);
}

void
pg_qsort(void *base, size_t n, size_t size, int (*compare) (const void *, const void *))
{
#undef qsort
	qsort(base, n, size, compare);
}
