/*
 * fault.c
 *		What a planted fault does: an error of some class, or a signal.
 *
 * For tests only; does nothing unless agentcrm.debug_fault, which is the
 * superuser's, names the place.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"

#include "fault.h"

char	   *agentcrm_debug_fault = NULL;

/* The action planted at a place, "" where only the place is named; its length. */
static const char *
find_action(const char *place, int *length)
{
	size_t		place_length = strlen(place);

	for (const char *item = agentcrm_debug_fault; *item != '\0';)
	{
		size_t		item_length = strcspn(item, ",");
		size_t		name_length = strcspn(item, ":,");

		if (name_length == place_length && strncmp(item, place, name_length) == 0)
		{
			*length = (int) (item_length - name_length);
			if (*length == 0)
				return "";
			(*length)--;
			return item + name_length + 1;
		}
		item += item_length + (item[item_length] == ',');
	}
	return NULL;
}

static bool
is_action(const char *action, int length, const char *name)
{
	return (int) strlen(name) == length && strncmp(action, name, length) == 0;
}

/* Act as planted: error, oom, disk, lock raise an error; cancel and terminate come by signal. */
void
fault_strike(const char *place)
{
	int			length;
	const char *action = find_action(place, &length);

	if (action == NULL)
		return;
	if (is_action(action, length, "cancel") || is_action(action, length, "terminate"))
	{
		kill(MyProcPid, action[0] == 'c' ? SIGINT : SIGTERM);
		CHECK_FOR_INTERRUPTS();
		return;
	}
	ereport(ERROR,
			(errcode(is_action(action, length, "oom") ? ERRCODE_OUT_OF_MEMORY :
					 is_action(action, length, "disk") ? ERRCODE_DISK_FULL :
					 is_action(action, length, "lock") ? ERRCODE_LOCK_NOT_AVAILABLE :
					 ERRCODE_INTERNAL_ERROR),
			 errmsg("fault planted at \"%s\"", place)));
}

/* Whether the setting names the place. */
bool
fault_is_planted(const char *place)
{
	int			length;

	return find_action(place, &length) != NULL;
}

/* Send this process the planted signal (cancel unless terminate is asked for) and go on. */
void
fault_send_signal(const char *place)
{
	int			length;
	const char *action = find_action(place, &length);

	if (action != NULL)
		kill(MyProcPid, is_action(action, length, "terminate") ? SIGTERM : SIGINT);
}
