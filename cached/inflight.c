#include "cached/inflight.h"
#include "common/clock.h"

#include <event2/event.h>
#include <stdlib.h>

struct inflight {
    struct table *table;
    LIST_HEAD(, resolution) all;
};

static const char *
domain_of(const struct table_link *link)
{
    const char *at = (const char *)link - offsetof(struct resolution, link);

    return ((const struct resolution *)(const void *)at)->entry->domain;
}

struct inflight *
inflight_new(void)
{
    struct inflight *inflight = alloc_zero(1, sizeof *inflight);

    inflight->table = table_new(domain_of);
    LIST_INIT(&inflight->all);
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
    free(inflight);
}

struct resolution *
inflight_find(const struct inflight *inflight, const char *domain)
{
    struct table_link *link =
        table_count(inflight->table) > 0 ? table_find(inflight->table, domain) : NULL;

    return link != NULL ? (void *)((char *)link - offsetof(struct resolution, link)) : NULL;
}

struct resolution *
inflight_add(struct inflight *inflight, struct query_engine *engine, struct entry *entry,
             int64_t now_ms)
{
    struct resolution *r = alloc_zero(1, sizeof *r);

    r->engine = engine;
    r->entry = entry;
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
    cache_unpin(cache, r->entry);
    free(r);
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
