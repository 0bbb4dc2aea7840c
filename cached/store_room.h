/* store_room - who may put what into the store, and what goes to make room for it.
 * Full: what was unused longest goes, in good time, because a file without a free page can evict no
 * more; but nothing that was asked for in the last days. So that one organisation (organisation.h)
 * with any number of domains leaves room to others, it may fill no more than what is left free.
 * Of the writer's thread. */
#ifndef STS_CACHED_STORE_ROOM_H
#define STS_CACHED_STORE_ROOM_H

#include <stddef.h>
#include <stdint.h>

#include "common/alloc.h"

struct store_db;
struct store_room;

enum {
    STORE_KEEP_DAYS = 30,            /* a policy asked for since then is never evicted */
    STORE_ROOM_A_COMMIT = 16 * 4096, /* bytes: roots, the free list */
    STORE_ROOM_A_CHANGE = 6 * 4096,  /* one leaf of each database, and their parents in part */
    STORE_ROOM_EVICT_ROUNDS = 64     /* a batch; what is still missing then, the next one gets */
};

/* `db` is borrowed. */
struct store_room *store_room_new(struct store_db *db);
void store_room_free(struct store_room *);

/* The most that one transaction may cost. */
uint64_t store_room_batch_max(const struct store_room *);
/* Evicts until `cost` bytes more leave alone what must be free to evict and to move in. */
void store_room_make(struct store_room *, uint64_t cost);
/* Evicts a few. Returns how many: 0 when all are in use. */
MUST_CHECK uint64_t store_room_evict_some(struct store_room *);
/* How many were evicted so far. */
uint64_t store_room_evicted(const struct store_room *);

/* Asks for some records, between begin and end. */
void store_room_begin(struct store_room *);
void store_room_end(struct store_room *);
/* NULL: a record of `len` bytes may be written for the domain, and counts as written. Else why
 * not. May evict older ones of the same organisation's. */
MUST_CHECK const char *store_room_refuses(struct store_room *, const char *domain, size_t len);

#endif
