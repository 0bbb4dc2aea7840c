#include "cached/cache_store.h"

#include <string.h>

#include "common/clock.h"

enum {
    AHEAD_MAX_S = 60 /* a fetch further in the future than this was noted by a wrong clock */
};

struct policy *
cache_store_read(struct store *store, const char *domain, struct record *record)
{
    struct policy *policy = NULL;
    struct buf bytes;

    buf_init(&bytes, RECORD_MAX);
    if (store_get(store, domain, &bytes, record)) {
        if (policy_parse(record->body.at, record->body.len, &policy, NULL, 0) == STS_OK)
            policy = policy_with_id(policy, record->id);
        else
            store_delete(store, domain);
    }
    record->body = (struct span){0};
    buf_done(&bytes);
    return policy;
}

bool
cache_store_is_running(const struct record *record, const struct policy *policy)
{
    return record->fetched_s + policy_life_s(policy) > clock_wall_s();
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
    if (refresh_s < 0 || refresh_s > life_s)
        refresh_s = life_s;
    e->fetched_s = (uint32_t)(ahead ? now_s : record->fetched_s);
    e->expires_ms = clock_boot_ms() + left_s * SECOND_MS;
    e->refresh_ms = e->expires_ms - (life_s - refresh_s) * SECOND_MS;
    return true;
}

/* To the nearest, so that a time written down again and again does not creep. */
static int64_t
to_seconds(int64_t ms)
{
    return (ms + (ms < 0 ? -SECOND_MS : SECOND_MS) / 2) / SECOND_MS;
}

static int64_t
not_negative(int64_t value)
{
    return value < 0 ? 0 : value;
}

/* The times are told from the boot clock anew each time: should the wall clock have been wrong at
 * the fetch and set since, the record comes right. */
void
cache_store_record(struct entry *e, struct record *record)
{
    int64_t now_s = clock_wall_s(), now_ms = clock_boot_ms();
    int64_t fetched_s =
        not_negative(now_s + to_seconds(e->expires_ms - now_ms) - policy_life_s(e->policy));
    const char *id = policy_id(e->policy);

    e->fetched_s = (uint32_t)fetched_s;
    *record = (struct record){
        .kind = RECORD_POLICY,
        .seq = e->seq,
        .fetched_s = fetched_s,
        .refresh_s = not_negative(now_s + to_seconds(e->refresh_ms - now_ms)),
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
