/* thread - the threads beside the one that answers questions.
 * Signals are the answer thread's, but for those of a crash: blocked, they would kill the process
 * past the handler of store_guard. */
#ifndef STS_CACHED_THREAD_H
#define STS_CACHED_THREAD_H

#include <pthread.h>

#include "common/alloc.h"

/* Starts `run(arg)` as `name` (at most 15 bytes, shown by ps -L); `arg` stays the caller's. Returns
 * 0, or an errno value. */
MUST_CHECK int thread_start(pthread_t *, const char *name, void *(*run)(void *), void *arg);

#endif
