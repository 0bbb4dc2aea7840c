/* cache_mem - the entries in memory: found by domain, bounded in bytes, the least recently used
 * goes. Knows what an entry weighs and which half it belongs to, nothing of times or LMDB. */
#ifndef STS_CACHED_CACHE_MEM_H
#define STS_CACHED_CACHE_MEM_H

#include <stdint.h>

#include "cached/cache.h"
#include "common/alloc.h"

struct cache_mem;

MUST_CHECK struct cache_mem *cache_mem_new(int64_t limit);
/* Frees all entries too. Accepts NULL. */
void cache_mem_free(struct cache_mem *);
void cache_mem_set_limit(struct cache_mem *, int64_t limit);

/* NULL: not in memory. No use is counted. */
struct entry *cache_mem_find(const struct cache_mem *, const char *domain);
/* Counts as a use. */
void cache_mem_touch(struct cache_mem *, struct entry *);
/* Makes an empty entry, in use now; the domain must not be there. Others may be evicted. */
struct entry *cache_mem_add(struct cache_mem *, const char *domain);
/* Frees the entry and all that it holds. */
void cache_mem_remove(struct cache_mem *, struct entry *);

/* Around every change of `policy`, `mx`, `failure` or `old_ids`: takes the entry out of the
 * account, and puts it back with its new weight, in the half where it then belongs, as the one used
 * last. The second one evicts others until the half is within its limit again. */
void cache_mem_take(struct cache_mem *, struct entry *);
void cache_mem_settle(struct cache_mem *, struct entry *);
/* The failure, if there is one, is forgotten; the entry keeps its place in the order of use, so
 * that a walk may do it. */
void cache_mem_drop_failure(struct cache_mem *, struct entry *);
/* Evicts what is too much, if anything is. */
void cache_mem_shrink(struct cache_mem *);

/* Removes all that is not pinned, with a policy only when `policies_too`. */
void cache_mem_clear(struct cache_mem *, bool policies_too);

void cache_mem_stats(const struct cache_mem *, struct cache_stats *);
void cache_mem_walk(struct cache_mem *, void (*each)(struct entry *, void *arg), void *arg);

#endif
