/* metrics - the page for monitoring (http { listen }): GET /metrics in Prometheus' text format,
 * GET /status as the JSON of `stsctl stats`; 404 for all else. Anyone who reaches the socket may
 * read it; it changes nothing.
 * Bounded: METRICS_CONNECTIONS_MAX connections, one request each, METRICS_SECONDS_MAX seconds; more
 * wait in the kernel's queue. */
#ifndef STS_CACHED_METRICS_H
#define STS_CACHED_METRICS_H

#include <stddef.h>

#include "cached/stats.h"
#include "common/alloc.h"

struct event_base;
struct metrics;

enum { METRICS_CONNECTIONS_MAX = 16, METRICS_SECONDS_MAX = 10, METRICS_HEAD_MAX = 4096 };

/* Serves on `fd`, a non-blocking listening socket (taken). Stats, cache and store (may be NULL) are
 * borrowed. NULL: `why`, and the descriptor is closed. */
MUST_CHECK struct metrics *metrics_new(struct event_base *, int fd, const struct stats *,
                                       const struct cache *, struct store *, char *why,
                                       size_t size);
/* Closes the socket and every connection. Accepts NULL. */
void metrics_free(struct metrics *);

#endif
