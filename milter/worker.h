/* worker - one child process: libmilter in a thread of its own, and the main thread that waits for
 * what the parent has to say. */
#ifndef STS_MILTER_WORKER_H
#define STS_MILTER_WORKER_H

#include "milter/settings.h"

/* Serves until the parent closes the channel or SIGTERM comes. `settings` are taken. Returns the
 * exit code of the process. */
int worker_run(struct settings *settings, int channel);

#endif
