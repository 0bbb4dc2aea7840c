/* cache_parts - what cache.c and cache_farm.c share; nobody else includes it. */
#ifndef STS_CACHED_CACHE_PARTS_H
#define STS_CACHED_CACHE_PARTS_H

#include "cached/cache.h"
#include "cached/cache_mem.h"

struct cache {
    struct cache_mem *mem;
    struct store *store;
    int64_t refresh_interval_s;
};

/* Each takes the new block and frees the old one, and keeps the account of memory. */
void cache_replace_policy(struct cache *, struct entry *, struct policy *);
void cache_replace_old_ids(struct cache *, struct entry *, const struct record_old_id *);

void cache_clear_outcome(struct entry *);
void cache_copy_id(char to[TXT_ID_SIZE], const char *id);

#endif
