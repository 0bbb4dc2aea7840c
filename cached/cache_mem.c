#include "cached/cache_mem.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    HALVES = 2,
    HEAP_COST = sizeof(size_t), /* what malloc keeps of a block for itself */
    SLOT_COST = 12              /* of the table, which is filled to between a half and the whole */
};

/* Entries with a policy, or all others; linked from the one used last to the one used least. */
struct half {
    struct entry *newest, *oldest;
    uint64_t bytes, count, evictions;
};

struct cache_mem {
    struct table *table;
    struct half with_policy, others;
    uint64_t half_limit;
};

static const char *
domain_of(const struct table_link *link)
{
    return ((const struct entry *)link)->domain; /* the link comes first in an entry */
}

struct cache_mem *
cache_mem_new(int64_t limit)
{
    struct cache_mem *m = alloc_zero(1, sizeof *m);

    m->table = table_new(domain_of);
    m->half_limit = (uint64_t)limit / HALVES;
    return m;
}

static struct half *
half_of(struct cache_mem *m, const struct entry *e)
{
    return e->policy != NULL ? &m->with_policy : &m->others;
}

/* malloc knows best: it rounds up. */
static size_t
weigh_block(void *block)
{
    return block != NULL ? malloc_usable_size(block) + HEAP_COST : 0;
}

static size_t
weigh(struct entry *e)
{
    return weigh_block(e) + SLOT_COST + weigh_block(e->policy) + weigh_block(e->mx) +
           weigh_block(e->failure) + weigh_block(e->old_ids);
}

static void
unlink_entry(struct half *half, struct entry *e)
{
    *(e->newer ? &e->newer->older : &half->newest) = e->older;
    *(e->older ? &e->older->newer : &half->oldest) = e->newer;
}

static void
link_newest(struct half *half, struct entry *e)
{
    e->newer = NULL;
    e->older = half->newest;
    *(half->newest ? &half->newest->newer : &half->oldest) = e;
    half->newest = e;
}

static void
free_entry(struct entry *e)
{
    policy_free(e->policy);
    free(e->mx);
    free(e->failure);
    free(e->old_ids);
    free(e);
}

/* Evicts from the end of the half, but never `keep`. */
static void
shrink_half(struct cache_mem *m, struct half *half, const struct entry *keep)
{
    for (struct entry *e = half->oldest, *newer; e != NULL && half->bytes > m->half_limit;
         e = newer) {
        newer = e->newer;
        if (e->pinned || e == keep)
            continue;
        cache_mem_remove(m, e);
        half->evictions++;
    }
}

void
cache_mem_take(struct cache_mem *m, struct entry *e)
{
    struct half *half = half_of(m, e);

    unlink_entry(half, e);
    half->bytes -= weigh(e);
    half->count--;
}

void
cache_mem_settle(struct cache_mem *m, struct entry *e)
{
    struct half *half = half_of(m, e);

    link_newest(half, e);
    half->bytes += weigh(e);
    half->count++;
    shrink_half(m, half, e);
}

void
cache_mem_drop_failure(struct cache_mem *m, struct entry *e)
{
    half_of(m, e)->bytes -= weigh_block(e->failure);
    free(e->failure);
    e->failure = NULL;
}

void
cache_mem_shrink(struct cache_mem *m)
{
    shrink_half(m, &m->with_policy, NULL);
    shrink_half(m, &m->others, NULL);
}

static void
clear_half(struct cache_mem *m, struct half *half)
{
    for (struct entry *e = half->oldest, *newer; e != NULL; e = newer) {
        newer = e->newer;
        if (!e->pinned)
            cache_mem_remove(m, e);
    }
}

void
cache_mem_clear(struct cache_mem *m, bool policies_too)
{
    clear_half(m, &m->others);
    if (policies_too)
        clear_half(m, &m->with_policy);
}

void
cache_mem_set_limit(struct cache_mem *m, int64_t limit)
{
    m->half_limit = (uint64_t)limit / HALVES;
    cache_mem_shrink(m);
}

struct entry *
cache_mem_find(const struct cache_mem *m, const char *domain)
{
    return (struct entry *)table_find(m->table, domain);
}

void
cache_mem_touch(struct cache_mem *m, struct entry *e)
{
    struct half *half = half_of(m, e);

    if (half->newest == e)
        return;
    unlink_entry(half, e);
    link_newest(half, e);
}

struct entry *
cache_mem_add(struct cache_mem *m, const char *domain)
{
    size_t len = strlen(domain);
    struct entry *e = alloc_zero(1, offsetof(struct entry, domain) + len + 1);

    memcpy(e->domain, domain, len + 1);
    table_add(m->table, &e->link);
    cache_mem_settle(m, e);
    return e;
}

void
cache_mem_remove(struct cache_mem *m, struct entry *e)
{
    cache_mem_take(m, e);
    table_remove(m->table, &e->link);
    free_entry(e);
}

static void
free_half(struct half *half)
{
    for (struct entry *e = half->newest, *older; e != NULL; e = older) {
        older = e->older;
        free_entry(e);
    }
}

void
cache_mem_free(struct cache_mem *m)
{
    if (m == NULL)
        return;
    free_half(&m->with_policy);
    free_half(&m->others);
    table_free(m->table);
    free(m);
}

void
cache_mem_stats(const struct cache_mem *m, struct cache_stats *stats)
{
    *stats = (struct cache_stats){
        .policies = m->with_policy.count,
        .policy_bytes = m->with_policy.bytes,
        .policy_evictions = m->with_policy.evictions,
        .others = m->others.count,
        .other_bytes = m->others.bytes,
        .other_evictions = m->others.evictions,
    };
}

void
cache_mem_walk(struct cache_mem *m, void (*each)(struct entry *, void *arg), void *arg)
{
    for (struct entry *e = m->with_policy.newest; e != NULL; e = e->older)
        each(e, arg);
    for (struct entry *e = m->others.newest; e != NULL; e = e->older)
        each(e, arg);
}
