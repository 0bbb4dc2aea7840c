/* control - the operator's socket: one command a request, "OK JSON" or "ERR code text" a reply.
 * `code` is the exit status that stsctl ends with. Frames are read and written by conn.c; this module
 * knows the commands. */
#ifndef STS_CACHED_CONTROL_H
#define STS_CACHED_CONTROL_H

#include <stddef.h>

#include "cached/query.h"
#include "cached/stats.h"

struct store;

/* What the commands work on; borrowed. */
struct control {
    struct query_engine *engine;
    struct cache *cache;
    struct store *store;
    struct stats *stats;
    const struct settings *settings;
};

/* The reply's payload; called once, at once or later from the loop; borrowed. */
typedef void control_reply_fn(const char *payload, size_t len, void *arg);

/* Runs one command (`len` bytes, borrowed). The reply may come before this returns. */
void control_run(struct control *, const char *command, size_t len, control_reply_fn *, void *arg);

#endif
