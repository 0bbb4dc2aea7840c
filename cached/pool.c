#include "cached/pool.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

struct pool_link {
    struct pool_link *next;
};

void
pool_init(struct pool *pool, size_t size)
{
    *pool = (struct pool){.size = size};
}

/* Under ASan nobody looks into an idle block, but for LeakSanitizer into its link. */
static struct pool_link *
take_idle(struct pool *pool)
{
    struct pool_link *block = pool->idle;

    if (block != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(block, pool->size);
        pool->idle = block->next;
    }
    return block;
}

void
pool_done(struct pool *pool)
{
    struct pool_link *block;

    while ((block = take_idle(pool)) != NULL)
        free(block);
}

void *
pool_take(struct pool *pool)
{
    struct pool_link *block = take_idle(pool);

    return block != NULL ? memset(block, 0, pool->size) : alloc_zero(1, pool->size);
}

void
pool_give(struct pool *pool, void *block)
{
    struct pool_link *link = block;

    link->next = pool->idle;
    pool->idle = link;
    ASAN_POISON_MEMORY_REGION(link + 1, pool->size - sizeof *link);
}
