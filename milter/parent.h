/* parent - the process that holds the listening socket and keeps its children alive.
 * It serves nobody itself. SIGHUP: reads the file again and hands the settings to the children;
 * SIGTERM, SIGINT: stops them and ends; a child that dies is replaced, quickly at first, more and
 * more slowly when it keeps dying. */
#ifndef STS_MILTER_PARENT_H
#define STS_MILTER_PARENT_H

#include "common/alloc.h"
#include "milter/settings.h"

struct parent;

/* Opens the milter socket (or takes the one that systemd handed over) and tells libmilter. To be
 * called with the privileges that this needs. NULL: `why` says what failed. `config` is where a
 * reload reads (borrowed); `settings` are taken also on failure. */
MUST_CHECK struct parent *parent_new(const char *config, struct settings *settings, char *why,
                                     size_t size);

/* Starts the children and watches over them until a signal ends it. Returns the exit code; in a
 * child it returns that child's. */
MUST_CHECK int parent_run(struct parent *);

/* Closes and, in the parent, removes the socket. NULL is fine. */
void parent_free(struct parent *);

#endif
