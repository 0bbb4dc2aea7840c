#include "cached/cache_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/cache_store.h"
#include "common/chance.h"
#include "common/clock.h"

enum {
    DAY_S = 86400,
    REFRESH_MIN_S = 300,
    NONE_TTL_MIN_S = 60,
    NONE_TTL_MAX_S = 3600,
    NONE_TTL_S = 300, /* without a SOA record */
    RECHECK_MIN_S = 60,
    RECHECK_MAX_S = 300,
    UNKNOWN_FIRST_S = 30,
    UNKNOWN_MAX_S = 300,
    MX_MIN_S = 60,
    MX_MAX_S = 600,
    FAILURE_KEPT_S = DAY_S
};

struct cache *
cache_new(struct store *store, int64_t memory_size, int64_t refresh_interval_ms)
{
    struct cache *c = alloc_zero(1, sizeof *c);

    c->mem = cache_mem_new(memory_size);
    c->store = store;
    c->refresh_interval_s = refresh_interval_ms / SECOND_MS;
    return c;
}

void
cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    cache_mem_free(c->mem);
    free(c);
}

void
cache_set_limits(struct cache *c, int64_t memory_size, int64_t refresh_interval_ms)
{
    c->refresh_interval_s = refresh_interval_ms / SECOND_MS;
    cache_mem_set_limit(c->mem, memory_size);
}

static int64_t
clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

static int64_t
in_seconds(int64_t seconds)
{
    return clock_boot_ms() + seconds * SECOND_MS;
}

static uint32_t
second_in(int64_t seconds)
{
    return clock_second_of(in_seconds(seconds));
}

static int64_t
today(void)
{
    return clock_wall_s() / DAY_S;
}

/* --- the store ----------------------------------------------------------- */

static void
drop_from_store(struct cache *c, const char *domain)
{
    if (c->store != NULL)
        store_delete(c->store, domain);
}

/* Puts the stored policy (taken) in force. False: its term is over by the wall clock. That may be
 * wrong, so the policy stays on disk, and the entry notes until when it would be in force. */
static bool
take_stored(struct cache *c, struct entry *e, struct policy *policy, const struct record *record)
{
    int64_t end_s = cache_store_end_s(record, policy);

    cache_replace_policy(c, e, policy);
    if (!cache_store_start_term(e, record)) {
        cache_replace_policy(c, e, NULL);
        e->stored_end_s = (uint32_t)end_s;
        return false;
    }
    e->source = SOURCE_LMDB;
    e->asked_day = (uint32_t)record->asked_day;
    e->seq = record->seq;
    cache_clear_outcome(e);
    cache_replace_old_ids(c, e, record->old_ids);
    /* Else each start would give it a whole new term, or it would stay set aside. */
    if (e->fetched_s != record->fetched_s || record->refresh_s > end_s)
        cache_store_write(c->store, e);
    return true;
}

/* Brings the stored policy of a new entry to memory. NULL: there is none, or none in force unless
 * `over_too`. */
static struct entry *
load(struct cache *c, const char *domain, bool over_too)
{
    struct record record;
    struct policy *policy = cache_store_read(c->store, domain, &record);
    struct entry *e;

    if (policy == NULL)
        return NULL;
    e = cache_mem_add(c->mem, domain);
    if (take_stored(c, e, policy, &record) || over_too)
        return e;
    cache_mem_remove(c->mem, e);
    return NULL;
}

/* The wall clock was set back, and the stored policy is in force after all. */
static void
load_again(struct cache *c, struct entry *e)
{
    struct record record;
    struct policy *policy = cache_store_read(c->store, e->domain, &record);

    e->stored_end_s = 0;
    if (policy != NULL)
        (void)take_stored(c, e, policy, &record);
}

/* --- finding ------------------------------------------------------------- */

void
cache_replace_policy(struct cache *c, struct entry *e, struct policy *policy)
{
    cache_mem_take(c->mem, e);
    policy_free(e->policy);
    e->policy = policy;
    e->stored_end_s = 0; /* or fetched_s: the caller knows */
    e->told_here = 0;
    cache_mem_settle(c->mem, e);
}

void
cache_replace_old_ids(struct cache *c, struct entry *e, const struct record_old_id *ids)
{
    struct record_old_id *copy = NULL;

    if (ids != NULL && ids[0].id[0] != '\0') {
        copy = alloc_zero(RECORD_OLD_IDS, sizeof *copy);
        memcpy(copy, ids, RECORD_OLD_IDS * sizeof *copy);
    }
    cache_mem_take(c->mem, e);
    free(e->old_ids);
    e->old_ids = copy;
    cache_mem_settle(c->mem, e);
}

bool
cache_policy_in_force(const struct entry *e, int64_t now_ms)
{
    return e != NULL && e->policy != NULL && now_ms < e->expires_s * SECOND_MS;
}

static bool
was_tried_lately(const struct entry *e, int64_t now_ms)
{
    return e->tried_s[0] != 0 && now_ms - cache_tried_ms(e, 0) < FAILURE_KEPT_S * SECOND_MS;
}

static bool
is_empty(const struct entry *e, int64_t now_ms)
{
    return e->policy == NULL && e->mx == NULL && e->outcome == STS_OK &&
           !was_tried_lately(e, now_ms);
}

/* Drops what is over. Returns NULL when nothing is left and nobody holds the entry. On disk stays
 * what was read there or came from another node: its end was told from the wall clock. */
static struct entry *
drop_old(struct cache *c, struct entry *e, int64_t now_ms)
{
    bool told_here = e->told_here;

    if (e->policy == NULL && e->failure == NULL)
        return e;
    if (!was_tried_lately(e, now_ms))
        cache_mem_drop_failure(c->mem, e);
    if (e->policy == NULL || cache_policy_in_force(e, now_ms))
        return e;
    cache_replace_policy(c, e, NULL);
    e->source = SOURCE_NONE;
    if (told_here)
        drop_from_store(c, e->domain);
    if (e->pinned || !is_empty(e, now_ms))
        return e;
    cache_mem_remove(c->mem, e);
    return NULL;
}

/* An entry in memory knows what LMDB knows: it was made by looking there. So domains without a
 * policy, nearly all, cost no read. */
struct entry *
cache_get_at(struct cache *c, const char *domain, bool store_too, int64_t now_ms)
{
    struct entry *e = cache_mem_find(c->mem, domain);

    if (e != NULL) {
        cache_mem_touch(c->mem, e);
        if (e->policy == NULL && e->stored_end_s != 0 && store_too &&
            clock_wall_s() < e->stored_end_s)
            load_again(c, e);
        return drop_old(c, e, now_ms);
    }
    return store_too && c->store != NULL ? load(c, domain, false) : NULL;
}

struct entry *
cache_get(struct cache *c, const char *domain, bool store_too)
{
    return cache_get_at(c, domain, store_too, clock_boot_ms());
}

struct entry *
cache_want(struct cache *c, const char *domain)
{
    bool is_new = cache_mem_find(c->mem, domain) == NULL;
    struct entry *e = is_new && c->store != NULL ? load(c, domain, true) : NULL;

    if (!is_new)
        e = cache_get(c, domain, true);
    return e != NULL ? e : cache_mem_add(c->mem, domain);
}

void
cache_pin(struct entry *e)
{
    assert(e->pinned < UINT8_MAX);
    e->pinned++;
}

void
cache_unpin(struct cache *c, struct entry *e)
{
    assert(e->pinned > 0);
    if (--e->pinned == 0)
        cache_mem_shrink(c->mem);
}

/* --- learning ------------------------------------------------------------ */

/* Somewhere in 50 to 90 % of the shorter of term and interval: domains that were fetched together
 * drift apart, and a failure is noticed long before the end (RFC 8461 s10.2). */
static int64_t
refresh_after_s(const struct cache *c, const struct policy *policy)
{
    int64_t span_s = policy_max_age_s(policy), after_s;

    if (span_s > c->refresh_interval_s)
        span_s = c->refresh_interval_s;
    after_s = span_s / 2 + (int64_t)chance_below((uint64_t)span_s * 2 / 5 + 1);
    return after_s < REFRESH_MIN_S ? REFRESH_MIN_S : after_s;
}

void
cache_clear_outcome(struct entry *e)
{
    e->outcome = STS_OK;
    e->outcome_unknown = 0;
    e->outcome_until_s = 0;
    e->backoff_s = 0;
}

void
cache_copy_id(char to[TXT_ID_SIZE], const char *id)
{
    size_t len = strnlen(id, TXT_ID_SIZE - 1);

    memcpy(to, id, len);
    to[len] = '\0';
}

/* What was just learnt comes after what was held. */
static void
raise_seq(struct entry *e, uint64_t seq)
{
    if (seq == 0)
        seq = (uint64_t)clock_wall_s() * 1000000;
    e->seq = seq > e->seq ? seq : e->seq + 1;
}

/* The id of the policy that is being replaced is remembered, and the new one no longer old. */
static void
note_old_id(struct cache *c, struct entry *e, const char *id)
{
    struct record_old_id ids[RECORD_OLD_IDS] = {0};
    const char *held = e->policy != NULL ? policy_id(e->policy) : "";
    size_t count = 1;

    if (held[0] == '\0' || strcmp(held, id) == 0)
        return;
    cache_copy_id(ids[0].id, held);
    ids[0].superseded_s = clock_wall_s();
    for (size_t i = 0; e->old_ids != NULL && i < RECORD_OLD_IDS && count < RECORD_OLD_IDS; i++) {
        if (e->old_ids[i].id[0] != '\0' && strcmp(e->old_ids[i].id, id) != 0 &&
            strcmp(e->old_ids[i].id, held) != 0)
            ids[count++] = e->old_ids[i];
    }
    cache_replace_old_ids(c, e, ids);
}

bool
cache_id_is_old(const struct entry *e, const char *id)
{
    int64_t now_s = clock_wall_s();

    for (size_t i = 0; e->old_ids != NULL && i < RECORD_OLD_IDS; i++) {
        if (strcmp(e->old_ids[i].id, id) == 0 && e->old_ids[i].superseded_s <= now_s &&
            now_s - e->old_ids[i].superseded_s < DAY_S)
            return true;
    }
    return false;
}

void
cache_set_policy(struct cache *c, struct entry *e, struct policy *policy, uint64_t seq)
{
    note_old_id(c, e, policy_id(policy));
    cache_replace_policy(c, e, policy);
    e->expires_s = second_in(policy_life_s(policy));
    e->refresh_s = second_in(refresh_after_s(c, policy));
    e->fetched_s = (uint32_t)clock_wall_s();
    e->source = SOURCE_FETCH;
    e->told_here = 1;
    raise_seq(e, seq);
    if (e->asked_day == 0)
        e->asked_day = (uint32_t)today();
    cache_clear_outcome(e);
    cache_mem_drop_failure(c->mem, e);
    cache_store_write(c->store, e);
}

static void
note_checked(struct entry *e, int64_t again_s)
{
    e->checked_ms = (uint32_t)clock_boot_ms();
    e->recheck_s = second_in(clamp(again_s, RECHECK_MIN_S, RECHECK_MAX_S));
}

void
cache_set_none(struct cache *c, struct entry *e, enum sts_error outcome, uint32_t ttl_s)
{
    int64_t kept_s = ttl_s == 0 ? NONE_TTL_S : clamp(ttl_s, NONE_TTL_MIN_S, NONE_TTL_MAX_S);

    (void)c;
    note_checked(e, kept_s);
    cache_clear_outcome(e);
    if (cache_policy_in_force(e, clock_boot_ms()))
        return;
    e->outcome = (uint8_t)outcome;
    e->outcome_until_s = second_in(kept_s);
}

void
cache_set_unknown(struct cache *c, struct entry *e, enum sts_error outcome)
{
    uint16_t wait_s = e->backoff_s == 0 ? UNKNOWN_FIRST_S : (uint16_t)(e->backoff_s * 2);

    (void)c;
    if (wait_s > UNKNOWN_MAX_S)
        wait_s = UNKNOWN_MAX_S;
    cache_clear_outcome(e);
    e->backoff_s = wait_s;
    e->recheck_s = second_in(wait_s);
    if (cache_policy_in_force(e, clock_boot_ms()))
        return;
    e->outcome = (uint8_t)outcome;
    e->outcome_unknown = 1;
    e->outcome_until_s = second_in(wait_s);
}

void
cache_set_checked(struct cache *c, struct entry *e, uint32_t ttl_s)
{
    (void)c;
    note_checked(e, ttl_s);
    if (e->outcome_unknown || e->outcome == STS_NO_RECORD || e->outcome == STS_SEVERAL_RECORDS ||
        e->outcome == STS_BAD_RECORD)
        cache_clear_outcome(e);
    e->backoff_s = 0;
}

uint32_t
cache_checked_ago_ms(const struct entry *e, int64_t now_ms)
{
    return e->checked_ms != 0 ? (uint32_t)now_ms - e->checked_ms : UINT32_MAX;
}

void
cache_note_fetch(struct entry *e, int64_t began_ms)
{
    memmove(&e->tried_s[1], &e->tried_s[0], (CACHE_TRIES - 1) * sizeof e->tried_s[0]);
    e->tried_s[0] = began_ms > 0 ? clock_second_of(began_ms) : 1; /* before this host started */
}

int64_t
cache_tried_ms(const struct entry *e, size_t which)
{
    return (int64_t)e->tried_s[which] * SECOND_MS;
}

static struct fetch_failure *
make_failure(const char *id, uint64_t seq, const struct fetch_result *result)
{
    size_t detail_size = strlen(result->detail) + 1;
    struct fetch_failure *f = alloc_bytes(sizeof *f + detail_size);

    f->seq = seq;
    f->error = result->error;
    f->http_status = result->http_status;
    cache_copy_id(f->id, id);
    memcpy(f->detail, result->detail, detail_size);
    return f;
}

void
cache_note_failure(struct cache *c, struct entry *e, const char *id, uint64_t seq,
                   const struct fetch_result *result)
{
    struct fetch_failure *failure = make_failure(id, seq, result);

    if (e->tried_s[0] == 0) /* forgotten meanwhile */
        cache_note_fetch(e, clock_boot_ms());
    cache_mem_take(c->mem, e);
    free(e->failure);
    e->failure = failure;
    cache_mem_settle(c->mem, e);
    if (e->policy != NULL)
        raise_seq(e, seq);
}

void
cache_put_off_refresh(struct cache *c, struct entry *e, uint32_t wait_s)
{
    e->refresh_s = second_in(wait_s);
    cache_store_write(c->store, e);
}

/* The names, then one byte of each host's state. */
static void
fill_mx_hosts(struct mx_set *mx, const struct mx_result *result)
{
    char *at = mx->names;

    for (size_t i = 0; i < mx->count; i++)
        at = stpcpy(at, result->hosts[i]) + 1;
    if (result->dane == NULL)
        return;
    mx->dane = (const uint8_t *)at;
    for (size_t i = 0; i < mx->count; i++)
        *at++ = (char)result->dane[i];
}

size_t
mx_set_count(const struct mx_set *mx, enum dane_state state)
{
    size_t count = 0;

    if (mx == NULL || mx->dane == NULL)
        return 0;
    for (unsigned i = 0; i < mx->count; i++)
        count += mx->dane[i] == state;
    return count;
}

/* True when nothing could be looked up: neither the set nor, of a single host, DANE. */
static bool
says_nothing_of_dane(const struct mx_result *result)
{
    size_t failed = 0;

    if (sts_error_is_dns(result->error))
        return true;
    for (size_t i = 0; result->dane != NULL && i < result->count; i++)
        failed += result->dane[i] == DANE_FAILED;
    return failed > 0 && failed == result->count;
}

/* A set whose hosts have DANE outlives look-ups that fail: whoever suppresses answers must not turn
 * DANE into MTA-STS (RFC 8461 s2). */
void
cache_set_mx(struct cache *c, struct entry *e, const struct mx_result *result)
{
    size_t count = result->count < SOURCE_MX_MAX ? result->count : SOURCE_MX_MAX;
    size_t size = sizeof(struct mx_set) + (result->dane != NULL ? count : 0);
    struct mx_set *mx;

    if (result->with_dane && mx_set_count(e->mx, DANE_USABLE) > 0 && says_nothing_of_dane(result)) {
        e->mx->until_ms = in_seconds(MX_MIN_S);
        return;
    }
    for (size_t i = 0; i < count; i++)
        size += strlen(result->hosts[i]) + 1;
    mx = alloc_zero(1, size);
    mx->until_ms = in_seconds(clamp(result->ttl_s, MX_MIN_S, MX_MAX_S));
    mx->error = result->error;
    mx->count = (uint16_t)count;
    mx->with_dane = result->with_dane;
    mx->dane_error = result->dane_error;
    mx->size = (uint32_t)size;
    fill_mx_hosts(mx, result);
    cache_mem_take(c->mem, e);
    free(e->mx);
    e->mx = mx;
    cache_mem_settle(c->mem, e);
}

/* --- forgetting ---------------------------------------------------------- */

static void
make_empty(struct cache *c, struct entry *e)
{
    cache_mem_take(c->mem, e);
    policy_free(e->policy);
    free(e->mx);
    free(e->failure);
    free(e->old_ids);
    e->policy = NULL;
    e->mx = NULL;
    e->failure = NULL;
    e->old_ids = NULL;
    cache_mem_settle(c->mem, e);
    cache_clear_outcome(e);
    e->checked_ms = 0;
    e->recheck_s = 0;
    e->stored_end_s = 0;
    memset(e->tried_s, 0, sizeof e->tried_s);
    e->source = SOURCE_NONE;
}

void
cache_forget(struct cache *c, const char *domain)
{
    struct entry *e = cache_mem_find(c->mem, domain);

    drop_from_store(c, domain);
    if (e == NULL)
        return;
    if (e->pinned)
        make_empty(c, e);
    else
        cache_mem_remove(c->mem, e);
}

void
cache_forget_outcome(struct cache *c, struct entry *e)
{
    cache_clear_outcome(e);
    cache_mem_drop_failure(c->mem, e);
    memset(e->tried_s, 0, sizeof e->tried_s);
}

void
cache_note_asked(struct cache *c, struct entry *e)
{
    if (e->policy == NULL || e->asked_day == (uint32_t)today())
        return;
    e->asked_day = (uint32_t)today();
    cache_store_write(c->store, e);
}

/* --- looking on ---------------------------------------------------------- */

void
cache_stats(const struct cache *c, struct cache_stats *stats)
{
    cache_mem_stats(c->mem, stats);
}

void
cache_walk(struct cache *c, void (*each)(struct entry *, void *arg), void *arg)
{
    cache_mem_walk(c->mem, each, arg);
}
