#include "cached/store_room.h"

#include <stdlib.h>

#include "cached/organisation.h"
#include "cached/store_crowd.h"
#include "cached/store_db.h"
#include "common/clock.h"

enum {
    RESERVE_PART = 8,       /* so much of the file is kept free to evict and to move in */
    SHARE_PART = 16,        /* so much an organisation may fill in any case */
    COUNT_PART = 16,        /* after so much is new, it is counted anew whose the store is; */
    COUNT_EVERY_MS = 60000, /* and before somebody is refused, if it was not a minute ago */
    EVICT_BATCH = 64,
    DAY_S = 86400
};

struct store_room {
    struct store_db *db;
    uint64_t size;  /* of the file at most */
    uint64_t limit; /* of what may be used */
    uint64_t used;
    uint64_t evicted;
    bool tight;              /* over the limit with nothing to evict: no new domains are written */
    bool asks;               /* a transaction is open */
    uint64_t evicted_asking; /* in it */

    struct store_crowd crowd;
    uint64_t counted_bytes;
    int64_t counted_ms; /* 0: never */
    struct store_db_place hand;
};

struct store_room *
store_room_new(struct store_db *db)
{
    struct store_room *room = alloc_zero(1, sizeof *room);
    struct store_db_usage usage;

    store_db_usage(db, &usage);
    room->db = db;
    room->size = usage.bytes_max;
    room->limit = room->size - room->size / RESERVE_PART;
    return room;
}

void
store_room_free(struct store_room *room)
{
    free(room);
}

uint64_t
store_room_batch_max(const struct store_room *room)
{
    return room->size / RESERVE_PART / 2;
}

uint64_t
store_room_evicted(const struct store_room *room)
{
    return room->evicted;
}

/* --- of all -------------------------------------------------------------- */

static int64_t
day_limit(void)
{
    return clock_wall_s() / DAY_S - STORE_KEEP_DAYS;
}

/* Evicts up to `max` records in a transaction of its own. Returns how many. */
static uint64_t
evict_batch(struct store_room *room, uint64_t max)
{
    enum store_db_status status = store_db_begin(room->db);
    uint64_t evicted = 0;

    for (uint64_t i = 0; i < max && status == STORE_DB_OK; i++)
        status = store_db_evict(room->db, day_limit(), &evicted);
    if (status == STORE_DB_OK || (status == STORE_DB_MISSING && evicted > 0))
        status = store_db_commit(room->db);
    else
        store_db_abort(room->db);
    if (status != STORE_DB_OK)
        return 0;
    room->evicted += evicted;
    return evicted;
}

/* As many at once as the reserve has pages for: a removal, too, writes its pages anew. */
uint64_t
store_room_evict_some(struct store_room *room)
{
    uint64_t max = store_room_batch_max(room) / STORE_ROOM_A_CHANGE;
    uint64_t evicted = evict_batch(room, max < EVICT_BATCH ? max : EVICT_BATCH);

    return evicted > 0 ? evicted : evict_batch(room, 1);
}

void
store_room_make(struct store_room *room, uint64_t cost)
{
    struct store_db_usage usage;

    room->tight = false;
    for (int round = 0; round < STORE_ROOM_EVICT_ROUNDS; round++) {
        store_db_usage(room->db, &usage);
        room->used = usage.bytes_used;
        if (usage.bytes_used + cost <= room->limit)
            return;
        if (store_room_evict_some(room) == 0) {
            room->tight = true;
            return;
        }
    }
}

/* --- of one organisation ------------------------------------------------- */

static void
count_record(const char *domain, size_t bytes, void *arg)
{
    store_crowd_add(arg, domain, bytes);
}

/* Counts whose the store is: a walk through the file. */
static void
count_all(struct store_room *room)
{
    static const struct store_crowd empty;

    room->crowd = empty;
    if (store_db_weigh(room->db, count_record, &room->crowd) != STORE_DB_OK)
        room->crowd = empty;
    room->counted_bytes = room->crowd.total;
    room->counted_ms = clock_boot_ms();
}

/* Each may fill as much as is left free: one alone a half, two a third each. What is known may grow
 * to twice that. */
static bool
is_over(const struct store_room *room, const char *domain, size_t more, bool is_known)
{
    uint64_t free_bytes = room->used < room->limit ? room->limit - room->used : 0;
    uint64_t max = is_known ? 2 * free_bytes : free_bytes;

    if (max < room->size / SHARE_PART)
        max = room->size / SHARE_PART;
    return store_crowd_part(&room->crowd, domain, more) * (double)room->used > (double)max;
}

/* Over its share by what was counted lately. */
static bool
is_crowd(struct store_room *room, const char *domain, size_t more, bool is_known)
{
    if (room->counted_ms == 0 || room->crowd.total > room->counted_bytes + room->size / COUNT_PART)
        count_all(room);
    if (is_over(room, domain, more, is_known) &&
        clock_boot_ms() - room->counted_ms >= COUNT_EVERY_MS)
        count_all(room);
    return is_over(room, domain, more, is_known);
}

/* Evicts one of the organisation's own. False: none is old enough, or none was found soon. */
static bool
evict_own(struct store_room *room, const char *domain)
{
    uint64_t bytes = 0;
    enum store_db_status status =
        store_db_evict_of(room->db, organisation_of(domain), day_limit(), &room->hand, &bytes);

    if (status != STORE_DB_OK && status != STORE_DB_MISSING) { /* nothing of it has happened */
        store_db_abort(room->db);
        room->asks = false;
        room->counted_ms = 0;
    }
    if (status != STORE_DB_OK)
        return false;
    room->evicted_asking += bytes > 0;
    store_crowd_take(&room->crowd, domain, bytes);
    return true;
}

/* Half of what may be used is left to whoever comes: nothing needs to be counted. */
void
store_room_begin(struct store_room *room)
{
    room->evicted_asking = 0;
    if (room->tight || room->used > room->limit / 2)
        room->asks = store_db_begin(room->db) == STORE_DB_OK;
}

void
store_room_end(struct store_room *room)
{
    if (!room->asks)
        return;
    room->asks = false;
    if (room->evicted_asking == 0)
        store_db_abort(room->db);
    else if (store_db_commit(room->db) == STORE_DB_OK)
        room->evicted += room->evicted_asking;
}

const char *
store_room_refuses(struct store_room *room, const char *domain, size_t len)
{
    size_t size, more;
    bool is_known;

    if (!room->asks)
        return NULL;
    is_known = store_db_holds(room->db, domain, &size);
    if (!is_known && room->tight)
        return "it is full, and all policies in it are in use";
    more = len > size ? len - size : 0;
    if (more == 0)
        return NULL;
    for (int i = 0; is_crowd(room, domain, more, is_known); i++) {
        if (i == EVICT_BATCH || !evict_own(room, domain))
            return "its registrable domain has its share, and all its policies there are in use";
    }
    store_crowd_add(&room->crowd, domain, more);
    return NULL;
}
