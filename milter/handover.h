/* handover - settings on their way from the parent to a child that is at work.
 * The parent has read and checked the file; a child gets the values themselves, printed into a file
 * in memory, so that all of them work by the same ones whatever happens to the file meanwhile. */
#ifndef STS_MILTER_HANDOVER_H
#define STS_MILTER_HANDOVER_H

#include <stdbool.h>

#include "common/alloc.h"
#include "milter/settings.h"

enum handover { HANDOVER_SETTINGS, HANDOVER_FAILED, HANDOVER_CLOSED };

/* Makes the two ends of a channel, both close-on-exec; false and errno. */
MUST_CHECK bool handover_open(int *parent_end, int *child_end);

/* Sends settings without ever waiting; false when the child does not take them. */
MUST_CHECK bool handover_send(int parent_end, const struct settings *);

/* Waits for the next settings. FAILED: some came but could not be read, `error` says why; CLOSED:
 * the parent has closed the channel or is gone. */
MUST_CHECK enum handover handover_receive(int child_end, struct settings **out, char *error,
                                          size_t size);

#endif
