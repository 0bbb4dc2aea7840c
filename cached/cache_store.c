#include "cached/cache_store.h"

#include <string.h>

#include "cached/store_room.h"
#include "common/clock.h"

enum {
    DAY_S = 86400,
    AHEAD_MAX_S = 60, /* a fetch further in the future than this was noted by a wrong clock */
    ROUNDED_S = 2,    /* seconds of two clocks, which do not begin together, told twice */
    OVER_KEPT_S = 400 * DAY_S, /* a clock may be wrong by a year, whose battery is empty */
    ASIDE_MIN_S = DAY_S,
    ASIDE_MAX_S = 30 * DAY_S
};

static int64_t
not_negative(int64_t value)
{
    return value < 0 ? 0 : value;
}

struct policy *
cache_store_read(struct store *store, const char *domain, struct record *record)
{
    struct policy *policy = NULL;
    struct buf bytes;

    buf_init(&bytes, RECORD_MAX);
    if (store_get(store, domain, &bytes, record)) {
        if (policy_parse(record->body, record->id, &policy, NULL, 0) != STS_OK)
            store_delete(store, domain);
    }
    record->body = (struct span){0};
    buf_done(&bytes);
    return policy;
}

int64_t
cache_store_end_s(const struct record *record, const struct policy *policy)
{
    return record->fetched_s + policy_life_s(policy);
}

bool
cache_store_is_running(const struct record *record, const struct policy *policy)
{
    return cache_store_end_s(record, policy) > clock_wall_s();
}

/* Looked at again after as long as it has been over: seldom, and soon after a small error of the
 * clock. */
static int64_t
next_look_s(int64_t over_s)
{
    return over_s < ASIDE_MIN_S ? ASIDE_MIN_S : over_s > ASIDE_MAX_S ? ASIDE_MAX_S : over_s;
}

void
cache_store_set_aside(struct store *store, const char *domain)
{
    int64_t now_s = clock_wall_s(), unused_day = now_s / DAY_S - STORE_KEEP_DAYS - 1, over_s;
    struct record record;
    struct policy *policy = cache_store_read(store, domain, &record);

    if (policy == NULL)
        return;
    over_s = now_s - cache_store_end_s(&record, policy);
    if (over_s > OVER_KEPT_S) {
        store_delete(store, domain);
    } else {
        record.body = policy_body(policy);
        record.refresh_s = now_s + next_look_s(over_s);
        if (record.asked_day > unused_day)
            record.asked_day = not_negative(unused_day);
        store_put(store, &record);
    }
    policy_free(policy);
}

bool
cache_store_start_term(struct entry *e, const struct record *record)
{
    int64_t now_s = clock_wall_s(), life_s = policy_life_s(e->policy);
    bool ahead = record->fetched_s > now_s + AHEAD_MAX_S;
    int64_t left_s = ahead ? life_s : record->fetched_s + life_s - now_s;
    int64_t refresh_s = record->refresh_s - record->fetched_s;

    if (left_s > life_s)
        left_s = life_s;
    if (left_s <= 0)
        return false;
    e->fetched_s = (uint32_t)(ahead ? now_s : record->fetched_s);
    e->expires_s = clock_second_of(clock_boot_ms() + left_s * SECOND_MS);
    e->refresh_s = (uint32_t)not_negative(e->expires_s - (life_s - refresh_s));
    if (refresh_s < 0 || refresh_s > life_s) /* the clock was set, or it was set aside: overdue */
        e->refresh_s = (uint32_t)(clock_boot_ms() / SECOND_MS);
    return true;
}

/* The times are told from the boot clock anew each time: should the wall clock have been behind at
 * the fetch and set since, the record comes right. When it was set back, nobody knows whether it
 * was wrong before or is now: the later end is the one that loses nothing. A difference that
 * rounding can make is none: a time written down again and again does not creep. */
void
cache_store_record(struct entry *e, struct record *record)
{
    int64_t fetched_s =
        not_negative(clock_wall_of(e->expires_s * SECOND_MS) - policy_life_s(e->policy));
    int64_t early_s = e->fetched_s - fetched_s;
    const char *id = policy_id(e->policy);

    if (early_s > AHEAD_MAX_S || (early_s >= -ROUNDED_S && early_s <= ROUNDED_S))
        fetched_s = e->fetched_s;
    e->fetched_s = (uint32_t)fetched_s;
    *record = (struct record){
        .kind = RECORD_POLICY,
        .seq = e->seq,
        .fetched_s = fetched_s,
        .refresh_s = not_negative(clock_wall_of(e->refresh_s * SECOND_MS)),
        .asked_day = e->asked_day,
        .body = policy_body(e->policy),
    };
    memcpy(record->domain, e->domain, strlen(e->domain) + 1);
    memcpy(record->id, id, strlen(id) + 1);
    if (e->old_ids != NULL)
        memcpy(record->old_ids, e->old_ids, sizeof record->old_ids);
}

void
cache_store_write(struct store *store, struct entry *e)
{
    struct record record;

    cache_store_record(e, &record);
    if (store != NULL)
        store_put(store, &record);
}
