#include "cached/inflight.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "cached/organisation.h"
#include "cached/pool.h"
#include "common/clock.h"

/* How many run below one registrable domain. */
struct inflight_share {
    struct table_link link;
    size_t running, with_policy; /* these are among those */
    char organisation[DOMAIN_SIZE];
};

struct inflight {
    struct table *table;
    struct table *shares; /* of those organisations that have something under way */
    LIST_HEAD(, resolution) all;
    struct pool resolution_pool, share_pool;
};

static const char *
domain_of(const struct table_link *link)
{
    const char *at = (const char *)link - offsetof(struct resolution, link);

    return ((const struct resolution *)(const void *)at)->entry->domain;
}

static const char *
organisation_of_share(const struct table_link *link)
{
    return ((const struct inflight_share *)link)->organisation;
}

struct inflight *
inflight_new(void)
{
    struct inflight *inflight = alloc_zero(1, sizeof *inflight);

    inflight->table = table_new(domain_of);
    inflight->shares = table_new(organisation_of_share);
    LIST_INIT(&inflight->all);
    pool_init(&inflight->resolution_pool, sizeof(struct resolution));
    pool_init(&inflight->share_pool, sizeof(struct inflight_share));
    return inflight;
}

void
inflight_free(struct inflight *inflight, struct cache *cache)
{
    struct resolution *r;

    if (inflight == NULL)
        return;
    while ((r = LIST_FIRST(&inflight->all)) != NULL)
        inflight_remove(inflight, r, cache);
    table_free(inflight->table);
    table_free(inflight->shares);
    pool_done(&inflight->resolution_pool);
    pool_done(&inflight->share_pool);
    free(inflight);
}

struct resolution *
inflight_find(const struct inflight *inflight, const char *domain)
{
    struct table_link *link =
        table_count(inflight->table) > 0 ? table_find(inflight->table, domain) : NULL;

    return link != NULL ? (void *)((char *)link - offsetof(struct resolution, link)) : NULL;
}

static struct inflight_share *
find_share(const struct inflight *inflight, const char *organisation)
{
    return (struct inflight_share *)table_find(inflight->shares, organisation);
}

static struct inflight_share *
take_share(struct inflight *inflight, const char *domain, bool has_policy)
{
    const char *organisation = organisation_of(domain);
    struct inflight_share *share = find_share(inflight, organisation);

    if (share == NULL) {
        share = pool_take(&inflight->share_pool);
        memcpy(share->organisation, organisation, strlen(organisation) + 1);
        table_add(inflight->shares, &share->link);
    }
    share->running++;
    share->with_policy += has_policy;
    return share;
}

static void
give_share_back(struct inflight *inflight, struct inflight_share *share, bool has_policy)
{
    share->with_policy -= has_policy;
    if (--share->running > 0)
        return;
    table_remove(inflight->shares, &share->link);
    pool_give(&inflight->share_pool, share);
}

/* One organisation alone may have 3,072 and then 512 more of the other kind, with a policy or
 * without: so 512 are left to newcomers. The list of public suffixes is asked only when it matters.
 */
bool
inflight_has_room(const struct inflight *inflight, const char *domain, bool has_policy)
{
    size_t running = inflight_count(inflight);
    const struct inflight_share *share;

    if (running < QUERY_RUNNING_MAX - 2 * QUERY_SHARE_MAX)
        return true;
    if (running >= QUERY_RUNNING_MAX)
        return false;
    share = find_share(inflight, organisation_of(domain));
    if (share == NULL)
        return true;
    return (has_policy ? share->with_policy : share->running - share->with_policy) <
           QUERY_SHARE_MAX;
}

struct resolution *
inflight_add(struct inflight *inflight, struct query_engine *engine, struct entry *entry,
             int64_t now_ms)
{
    struct resolution *r = pool_take(&inflight->resolution_pool);

    r->engine = engine;
    r->entry = entry;
    r->has_policy = cache_policy_in_force(entry, now_ms);
    r->share = take_share(inflight, entry->domain, r->has_policy);
    r->started_ms = now_ms;
    LIST_INIT(&r->waiters);
    STAILQ_INIT(&r->refetchers);
    cache_pin(entry);
    table_add(inflight->table, &r->link);
    LIST_INSERT_HEAD(&inflight->all, r, all);
    return r;
}

void
inflight_stop_work(struct resolution *r)
{
    source_cancel(r->job);
    farm_cancel(r->farm_job);
    probes_cancel(r->probes_wait);
    if (r->again != NULL)
        event_free(r->again);
    r->job = NULL;
    r->farm_job = NULL;
    r->probes_wait = NULL;
    r->again = NULL;
}

void
inflight_remove(struct inflight *inflight, struct resolution *r, struct cache *cache)
{
    struct query_token *token;
    struct refetch_waiter *refetcher;

    inflight_stop_work(r);
    while ((token = LIST_FIRST(&r->waiters)) != NULL)
        inflight_stop_waiting(token);
    while ((refetcher = STAILQ_FIRST(&r->refetchers)) != NULL) {
        STAILQ_REMOVE_HEAD(&r->refetchers, link);
        free(refetcher);
    }
    table_remove(inflight->table, &r->link);
    LIST_REMOVE(r, all);
    give_share_back(inflight, r->share, r->has_policy);
    cache_unpin(cache, r->entry);
    pool_give(&inflight->resolution_pool, r);
}

size_t
inflight_count(const struct inflight *inflight)
{
    return table_count(inflight->table);
}

struct query_token *
inflight_wait(struct resolution *r, struct event_base *base, int64_t wait_ms,
              void (*on_deadline)(int, short, void *))
{
    struct query_token *token = alloc_zero(1, sizeof *token);
    struct timeval wait = clock_timeval(wait_ms);

    token->resolution = r;
    token->timer = evtimer_new(base, on_deadline, token);
    evtimer_add(token->timer, &wait);
    LIST_INSERT_HEAD(&r->waiters, token, link);
    return token;
}

void
inflight_stop_waiting(struct query_token *token)
{
    LIST_REMOVE(token, link);
    event_free(token->timer);
    free(token);
}
