/*
 * entity.h
 *		Clients, products, reps and orders by their keys, inside the ledger.
 */
#ifndef AGENTCRM_ENTITY_H
#define AGENTCRM_ENTITY_H

#include "postgres.h"

#include "utils/timestamp.h"

typedef enum EntityKind
{
	ENTITY_CLIENT,
	ENTITY_PRODUCT,
	ENTITY_REP
} EntityKind;

/*
 * Make sure that an entity with this id and key text exists (NULL text: the id
 * is the key).  NULL when all is well, else a message: the id belongs to
 * another key.
 */
extern char *entity_ensure(EntityKind kind, int32 namespace, int64 id, const char *text, TimestampTz now);
/* The same message, without making the entity. */
extern char *entity_clash(EntityKind kind, int32 namespace, int64 id, const char *text);
extern char *entity_ensure_order(int32 source_id, int64 order_id, const char *key);

/* The error of a key whose entity clashes. */
extern ErrorData *entity_error(char *message);

/* Write the rows that entity_ensure has gathered. */
extern void entity_flush(void);

/* The clients that have become known since this was last asked. */
extern int	entity_take_new_clients(const int64 **clients);

#endif
