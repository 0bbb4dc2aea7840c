/* store_queue - changes that wait for the store: at most one a domain, the newest.
 * What a change leaves behind counts from when it is added. A write that the store could not make
 * is dropped: memory has the policy, and its next renewal writes it. A removal that it could not
 * make is owed: it counts as made, waits apart and is tried again, or what was forgotten by order
 * would be in force again. Knows nothing of threads: whoever uses it holds a mutex. */
#ifndef STS_CACHED_STORE_QUEUE_H
#define STS_CACHED_STORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "cached/record.h"
#include "cached/table.h"
#include "common/alloc.h"

struct store_queue;

enum {
    STORE_BATCH_MAX = 256,
    STORE_QUEUE_BYTES_MAX = 64 << 20, /* a disk that hangs must not eat the memory */
    STORE_OWED_BYTES_MAX = 64 << 20   /* nor a full one: removals of half a million domains */
};

enum store_change_place { STORE_CHANGE_WAITS, STORE_CHANGE_TAKEN, STORE_CHANGE_OWED };

/* One change. Of those taken the writer reads all but link and place, and sets given_up. */
struct store_change {
    struct table_link link;
    TAILQ_ENTRY(store_change) entry;
    uint64_t number;
    enum store_change_place place;
    bool removes, sweeps;
    bool buries;           /* writes in place of a removal that was not made */
    bool retried;          /* was owed */
    bool given_up;         /* could not be made */
    struct record *record; /* NULL: removes; its body is not kept here */
    size_t len;
    char *bytes;
    char domain[];
};

MUST_CHECK struct store_queue *store_queue_new(void);
/* With all that waits. */
void store_queue_free(struct store_queue *);

/* `record` NULL: removes. Both are copied. */
MUST_CHECK struct store_change *store_change_new(const char *domain, const struct record *record);
void store_change_free(struct store_change *);

/* Takes the change, in place of an older one of the domain. False: too much waits; it is the
 * caller's still. Never of a removal. */
MUST_CHECK bool store_queue_add(struct store_queue *, struct store_change *);
/* The newest change of the domain that is not made; NULL: none. */
const struct store_change *store_queue_find(const struct store_queue *, const char *domain);
/* How many wait to be taken. */
size_t store_queue_count(const struct store_queue *);

/* Takes STORE_BATCH_MAX changes out, or fewer whose cost by `cost_of` is within `limit`, and one at
 * least; adds their cost to `*cost`. Returns the first; TAILQ_NEXT leads on. One batch at a time.
 */
struct store_change *store_queue_take(struct store_queue *, uint64_t limit,
                                      uint64_t (*cost_of)(const struct store_change *),
                                      uint64_t *cost);

struct store_queue_finished {
    bool pays;   /* something owed could be made */
    size_t lost; /* removals for which there was no room among what is owed */
};
/* The batch was made, but for what was given up. */
struct store_queue_finished store_queue_finish(struct store_queue *);

bool store_queue_owes(const struct store_queue *);
/* Lets up to `max` of the removals owed wait to be taken again, those tried longest ago first. */
void store_queue_retry(struct store_queue *, size_t max);

/* The numbers of the last change that was added, and of the last one of which nothing more is to be
 * waited for. */
uint64_t store_queue_last(const struct store_queue *);
uint64_t store_queue_done(const struct store_queue *);

#endif
