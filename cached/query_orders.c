/* Work that nobody's answer waits for: what a question showed to be due, the daily refresh, the
 * operator's flush and refresh, and the look at TXT when a host is refused. */
#include "cached/query_engine.h"

#include <string.h>

#include "cached/stats.h"
#include "common/clock.h"

enum {
    FETCH_BACKOFF_MS = 5 * 60 * 1000, /* RFC 8461 s3.3: between two fetches of one id */
    FETCH_WINDOW_MS = 5 * 60 * 1000 /* at most three fetches of a domain in it, whatever the ids */
};

bool
query_may_fetch(const struct entry *e, const char *id, int64_t now_ms)
{
    int64_t third_last_ms = cache_tried_ms(e, CACHE_TRIES - 1);

    if (third_last_ms != 0 && now_ms - third_last_ms < FETCH_WINDOW_MS)
        return false;
    return e->failure == NULL || strcmp(e->failure->id, id) != 0 ||
           now_ms - cache_tried_ms(e, 0) >= FETCH_BACKOFF_MS;
}

void
query_keep_fresh(struct query_engine *q, struct entry *e, int64_t now)
{
    bool fetch = false, look;

    if (cache_policy_in_force(e, now)) {
        fetch = now >= e->refresh_s * SECOND_MS && query_may_fetch(e, policy_id(e->policy), now);
        look = now >= e->recheck_s * SECOND_MS;
    } else if (now < e->outcome_until_s * SECOND_MS) {
        look = false;
    } else if (verdict_failure_stands(e, now)) {
        look = now >= e->recheck_s * SECOND_MS || now - cache_tried_ms(e, 0) >= FETCH_BACKOFF_MS;
    } else {
        look = e->outcome_unknown;
    }
    if (fetch || look)
        (void)query_begin_background(q, e, fetch);
}

bool
query_refresh(struct query_engine *q, const char *domain)
{
    struct entry *e = cache_get(q->cache, domain, true);
    int64_t now = clock_boot_ms();

    if (!cache_policy_in_force(e, now) || !query_may_fetch(e, policy_id(e->policy), now) ||
        !query_begin_background(q, e, true))
        return false;
    q->stats->refreshes++;
    return true;
}

void
query_recheck(struct query_engine *q, const char *domain)
{
    struct entry *e = cache_get(q->cache, domain, false);
    int64_t now = clock_boot_ms();

    if (cache_policy_in_force(e, now) && cache_checked_ago_ms(e, now) >= VERDICT_RECHECK_MS)
        (void)query_begin_background(q, e, false);
}

/* From the first step again, whatever was under way: its result would be older than the order. */
static void
restart(struct resolution *r, bool force_fetch)
{
    inflight_stop_work(r);
    query_unlock(r);
    r->step = STEP_TXT;
    r->force_fetch = force_fetch;
    r->record_found = r->fetched = r->rechecked = false;
    r->error = STS_OK;
    r->id[0] = r->detail[0] = '\0';
    query_set_off(r);
}

void
query_refetch(struct query_engine *q, const char *domain, query_refetch_fn *done, void *arg)
{
    struct entry *e = cache_want(q->cache, domain);
    struct resolution *r = inflight_find(q->inflight, domain);
    struct refetch_waiter *w = alloc_zero(1, sizeof *w);

    w->done = done;
    w->arg = arg;
    cache_forget_outcome(q->cache, e);
    if (r == NULL) {
        r = query_begin(q, e, STEP_TXT);
        r->force_fetch = true;
        query_set_off(r);
    } else {
        restart(r, true);
    }
    STAILQ_INSERT_TAIL(&r->refetchers, w, link);
}

void
query_forget(struct query_engine *q, const char *domain)
{
    struct resolution *r = inflight_find(q->inflight, domain);

    cache_forget(q->cache, domain);
    if (r != NULL)
        restart(r, r->force_fetch);
}

bool
query_bury(struct query_engine *q, const char *domain, farm_done_fn *done, void *arg)
{
    if (q->farm != NULL)
        (void)farm_bury(q->farm, domain, done, arg); /* reads what is held before it returns */
    query_forget(q, domain);
    return q->farm != NULL;
}
