/* pool - blocks of one size that come and go, kept for the next that is wanted.
 * What lives for a moment must not take turns with what lives for days: the second settles in the
 * gap that the first has left, and what remains of it is too small for anybody.
 * A pool holds as many blocks as ever were in use at once. For one thread. */
#ifndef STS_CACHED_POOL_H
#define STS_CACHED_POOL_H

#include <stddef.h>

#include "common/alloc.h"

struct pool {
    size_t size;            /* of a block, in bytes */
    struct pool_link *idle; /* given back last first */
};

/* `size` is that of a pointer or more. */
void pool_init(struct pool *, size_t size);
/* Frees the blocks, all of which must have been given back. */
void pool_done(struct pool *);

/* A block, all zero. Without memory the program ends, as alloc.h says. */
MUST_CHECK void *pool_take(struct pool *);
/* The block, one of this pool's, is in use no more. */
void pool_give(struct pool *, void *block);

#endif
