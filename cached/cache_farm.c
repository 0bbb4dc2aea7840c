/* What the cache takes from the farm and gives to it. The order of things is their seq alone. */
#include "cached/cache_parts.h"

#include <stdlib.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/cache_store.h"
#include "common/clock.h"
#include "common/glob.h"

enum {
    FAILURE_S = 300, /* a failure of the farm counts that long */
    SKEW_S = 60      /* clocks of nodes may differ so much */
};

/* What the store has of it; the body lies in `bytes`. */
static bool
find_stored(struct cache *c, const char *domain, struct buf *bytes, struct record *record)
{
    return c->store != NULL && store_get(c->store, domain, bytes, record);
}

static enum cache_taken
compare(uint64_t seq, uint64_t held)
{
    return seq > held ? CACHE_TAKEN : seq == held ? CACHE_SAME : CACHE_OLDER;
}

/* --- taking: a policy ------------------------------------------------------------------------- */

/* Into memory and LMDB. `policy` is taken. */
static enum cache_taken
put_in_force(struct cache *c, struct entry *e, const struct record *record, struct policy *policy)
{
    cache_replace_policy(c, e, policy);
    if (!cache_store_start_term(e, record)) /* in this very second */
        e->expires_s = e->refresh_s = (uint32_t)(clock_boot_ms() / SECOND_MS);
    e->seq = record->seq;
    e->source = SOURCE_REDIS;
    if (e->asked_day < (uint32_t)record->asked_day)
        e->asked_day = (uint32_t)record->asked_day;
    cache_replace_old_ids(c, e, record->old_ids);
    cache_clear_outcome(e);
    cache_mem_drop_failure(c->mem, e);
    cache_store_write(c->store, e);
    return CACHE_TAKEN;
}

/* Into LMDB alone. */
static enum cache_taken
put_on_disk(struct cache *c, const struct record *record)
{
    struct record held, next = *record;
    struct buf bytes;
    enum cache_taken taken = CACHE_TAKEN;

    buf_init(&bytes, RECORD_MAX);
    if (find_stored(c, record->domain, &bytes, &held)) {
        taken = compare(record->seq, held.seq);
        if (next.asked_day < held.asked_day)
            next.asked_day = held.asked_day;
    }
    if (taken == CACHE_TAKEN && c->store != NULL)
        store_put(c->store, &next);
    buf_done(&bytes);
    return taken;
}

static enum cache_taken
take_policy(struct cache *c, const struct record *record, bool to_memory)
{
    struct entry *e =
        to_memory ? cache_want(c, record->domain) : cache_get(c, record->domain, false);
    struct policy *policy;

    if (e != NULL && e->seq == record->seq && e->source == SOURCE_LMDB)
        e->source = SOURCE_REDIS; /* which says the same */
    if (e != NULL && e->seq >= record->seq)
        return compare(record->seq, e->seq);
    if (policy_parse(record->body, record->id, &policy, NULL, 0) != STS_OK)
        return CACHE_USELESS;
    if (!cache_store_is_running(record, policy)) {
        policy_free(policy);
        return CACHE_USELESS;
    }
    if (e != NULL)
        return put_in_force(c, e, record, policy);
    policy_free(policy);
    return put_on_disk(c, record);
}

/* --- taking: a failure, a tombstone ----------------------------------------------------------- */

static enum cache_taken
take_failure(struct cache *c, const struct record *record, bool to_memory)
{
    int64_t age_s = clock_wall_s() - record->fetched_s;
    struct fetch_result result = {.error = record->error, .http_status = record->http_status};
    struct entry *e;

    if (age_s < -SKEW_S || age_s > FAILURE_S + SKEW_S)
        return CACHE_USELESS; /* over, or somebody played it again */
    e = to_memory ? cache_want(c, record->domain) : cache_get(c, record->domain, false);
    if (e == NULL || cache_policy_in_force(e, clock_boot_ms()))
        return CACHE_SAME;
    if (e->seq >= record->seq)
        return compare(record->seq, e->seq);
    memcpy(result.detail, record->detail, sizeof result.detail);
    cache_note_fetch(e, clock_boot_ms() - (age_s > 0 ? age_s * SECOND_MS : 0));
    cache_note_failure(c, e, record->id, record->seq, &result);
    return CACHE_TAKEN;
}

static enum cache_taken
bury_stored(struct cache *c, const struct record *record)
{
    struct record held;
    struct buf bytes;
    enum cache_taken taken = CACHE_SAME;

    buf_init(&bytes, RECORD_MAX);
    if (find_stored(c, record->domain, &bytes, &held)) {
        taken = compare(record->seq, held.seq);
        if (taken == CACHE_TAKEN)
            store_delete(c->store, record->domain);
    }
    buf_done(&bytes);
    return taken;
}

static enum cache_taken
take_tombstone(struct cache *c, const struct record *record)
{
    struct entry *e = cache_get(c, record->domain, false);

    if (record->until_s < clock_wall_s() - SKEW_S)
        return CACHE_USELESS;
    if (e == NULL)
        return bury_stored(c, record);
    if (e->seq >= record->seq)
        return compare(record->seq, e->seq);
    cache_forget(c, record->domain);
    e = cache_get(c, record->domain, false);
    if (e != NULL) /* it was pinned: what is under way must not bring the old policy back */
        e->seq = record->seq;
    return CACHE_TAKEN;
}

enum cache_taken
cache_take(struct cache *c, const struct record *record, bool to_memory)
{
    switch (record->kind) {
    case RECORD_POLICY:
        return take_policy(c, record, to_memory);
    case RECORD_FAILURE:
        return take_failure(c, record, to_memory);
    case RECORD_PROBE: /* of a host, and nothing about a domain */
        return CACHE_USELESS;
    case RECORD_TOMBSTONE:
        break;
    }
    return take_tombstone(c, record);
}

/* --- giving ----------------------------------------------------------------------------------- */

static int64_t
at_least_one(int64_t seconds)
{
    return seconds < 1 ? 1 : seconds;
}

static void
give_policy(struct entry *e, struct buf *body, struct record *record, int64_t *life_s)
{
    cache_store_record(e, record);
    buf_add(body, record->body.at, record->body.len);
    record->body = (struct span){buf_string(body), body->len};
    *life_s = at_least_one((e->expires_s * SECOND_MS - clock_boot_ms()) / SECOND_MS);
}

static bool
give_failure(const struct entry *e, struct record *record, int64_t *life_s)
{
    const struct fetch_failure *f = e->failure;
    int64_t age_s;

    if (f == NULL)
        return false;
    age_s = (clock_boot_ms() - cache_tried_ms(e, 0)) / SECOND_MS;
    *record = (struct record){.kind = RECORD_FAILURE,
                              .seq = f->seq > e->seq ? f->seq : e->seq + 1,
                              .fetched_s = clock_wall_s() - age_s,
                              .error = f->error,
                              .http_status = f->http_status};
    memcpy(record->domain, e->domain, strlen(e->domain) + 1);
    memcpy(record->id, f->id, sizeof record->id);
    memcpy(record->detail, f->detail, strlen(f->detail) + 1);
    *life_s = FAILURE_S - age_s;
    return *life_s > 0;
}

static bool
give_stored(struct cache *c, const char *domain, struct buf *body, struct record *record,
            int64_t *life_s)
{
    struct policy *policy = NULL;
    struct entry term = {0};
    bool given;

    if (!find_stored(c, domain, body, record) ||
        policy_parse(record->body, record->id, &policy, NULL, 0) != STS_OK)
        return false;
    term.policy = policy;
    given = cache_store_start_term(&term, record);
    if (given) {
        record->fetched_s = term.fetched_s;
        *life_s = at_least_one((term.expires_s * SECOND_MS - clock_boot_ms()) / SECOND_MS);
    }
    policy_free(policy);
    return given;
}

bool
cache_give(struct cache *c, const char *domain, struct buf *body, struct record *record,
           int64_t *life_s)
{
    struct entry *e = cache_get(c, domain, false);

    buf_reset(body);
    if (e == NULL)
        return give_stored(c, domain, body, record, life_s);
    if (!cache_policy_in_force(e, clock_boot_ms()))
        return give_failure(e, record, life_s);
    give_policy(e, body, record, life_s);
    return true;
}

bool
cache_bury(struct cache *c, const char *domain, uint64_t seq, struct record *record,
           int64_t *life_s)
{
    struct record held;
    struct buf body;
    bool buried;

    buf_init(&body, RECORD_MAX);
    buried = cache_give(c, domain, &body, &held, life_s) && held.kind == RECORD_POLICY;
    if (buried) {
        *record = (struct record){.kind = RECORD_TOMBSTONE,
                                  .seq = seq > held.seq ? seq : held.seq + 1,
                                  .fetched_s = clock_wall_s(),
                                  .until_s = clock_wall_s() + *life_s};
        memcpy(record->domain, held.domain, sizeof record->domain);
        memcpy(record->id, held.id, sizeof record->id);
    }
    buf_done(&body);
    return buried;
}

void
cache_set_seq(struct cache *c, const char *domain, uint64_t seq)
{
    struct entry *e = cache_get(c, domain, false);
    struct record held;
    struct buf bytes;

    if (e != NULL) {
        if (e->seq == seq)
            return;
        e->seq = seq;
        if (e->policy != NULL)
            cache_store_write(c->store, e);
        return;
    }
    buf_init(&bytes, RECORD_MAX);
    if (find_stored(c, domain, &bytes, &held) && held.seq != seq) {
        held.seq = seq;
        store_put(c->store, &held);
    }
    buf_done(&bytes);
}

/* --- forgetting ------------------------------------------------------------------------------- */

struct forgetting {
    struct cache *cache;
    const char *glob; /* NULL: all */
};

static void
forget_outcome(struct entry *e, void *arg)
{
    const struct forgetting *f = arg;

    if (e->policy == NULL && (f->glob == NULL || glob_matches(f->glob, e->domain)))
        cache_forget_outcome(f->cache, e);
}

void
cache_forget_outcomes(struct cache *c, const char *glob)
{
    struct forgetting forgetting = {c, glob};

    cache_walk(c, forget_outcome, &forgetting);
}

void
cache_drop_memory(struct cache *c)
{
    struct store_stats kept = {0};

    if (c->store != NULL)
        store_stats(c->store, &kept);
    cache_mem_clear(c->mem, c->store != NULL && kept.write_errors == 0);
    cache_forget_outcomes(c, NULL);
}
