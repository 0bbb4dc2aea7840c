/* held - walks the policies that this node holds, in order of domain, a bounded page at a time.
 * The store has nearly all of them. Those that memory alone may hold (there is no store, the store
 * is full, or the writer has not got to them yet) are noted once, when the walk begins, and merged
 * in; so a walk through a million policies goes through memory once. Used by list and flush. */
#ifndef STS_CACHED_HELD_H
#define STS_CACHED_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/cache.h"
#include "common/alloc.h"

struct held;
struct store;

enum { HELD_SCAN_MAX = 1000 }; /* records read a page: a few milliseconds of the answer thread */

/* One policy in force; everything borrowed, valid during the callback. */
struct held_policy {
    const char *domain, *id;
    const struct policy *policy;
    int64_t fetched_s, expires_s, refresh_s; /* wall time */
};

typedef void held_each_fn(const struct held_policy *, void *arg);

/* Begins a walk through the domains that match `glob` (copied; NULL: all) behind the domain `after`
 * (copied; NULL or "": from the start). `cache` and `store` (may be NULL) are borrowed. */
struct held *held_new(struct cache *, struct store *, const char *glob, const char *after);
void held_free(struct held *);

/* Calls `each` for the next policies, at most `max`; `each` must not change cache or store. Fewer
 * may come, even none, before the end is reached: a page reads at most HELD_SCAN_MAX records. False
 * at the end. Between pages anything may change. */
MUST_CHECK bool held_next(struct held *, size_t max, held_each_fn *, void *arg);
/* How far the walk has come: the next page begins behind this domain. */
const char *held_position(const struct held *);

/* The policy of one domain, from memory or store; false when none is in force. */
bool held_find(struct cache *, struct store *, const char *domain, held_each_fn *, void *arg);

/* True when something is remembered of a domain: a policy, an outcome, a failed fetch. `entry` may
 * be NULL. */
bool held_anything(const struct entry *);

#endif
