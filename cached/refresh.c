#include "cached/refresh.h"

#include <event2/event.h>
#include <stdlib.h>

#include "cached/cache_lmdb.h"
#include "cached/cache_store.h"
#include "common/clock.h"

struct refresh {
    struct event *timer;
    struct query_engine *engine;
    struct cache *cache;
    struct store *store;
};

enum { DAY_S = 86400, BUSY_S = 300 /* being looked at already, or fetched just now */ };

static void
refresh_one(const char *domain, void *arg)
{
    struct refresh *refresh = arg;
    struct entry *e = cache_get(refresh->cache, domain, true);

    if (e == NULL || e->policy == NULL)
        cache_store_set_aside(refresh->store, domain);
    else if (clock_wall_s() / DAY_S - e->asked_day > REFRESH_UNASKED_DAYS)
        cache_put_off_refresh(refresh->cache, e, DAY_S);
    else if (!query_refresh(refresh->engine, domain))
        cache_put_off_refresh(refresh->cache, e, BUSY_S);
}

static void
on_tick(int fd, short what, void *arg)
{
    struct refresh *refresh = arg;
    size_t running = query_running(refresh->engine);

    (void)fd, (void)what;
    if (running < REFRESH_AT_ONCE)
        store_due(refresh->store, clock_wall_s(), REFRESH_AT_ONCE - running, refresh_one, refresh);
}

struct refresh *
refresh_new(struct event_base *base, struct query_engine *engine, struct cache *cache,
            struct store *store)
{
    struct refresh *refresh = alloc_zero(1, sizeof *refresh);
    struct timeval second = {.tv_sec = 1};

    refresh->engine = engine;
    refresh->cache = cache;
    refresh->store = store;
    refresh->timer = event_new(base, -1, EV_PERSIST, on_tick, refresh);
    event_add(refresh->timer, &second);
    return refresh;
}

void
refresh_free(struct refresh *refresh)
{
    if (refresh == NULL)
        return;
    event_free(refresh->timer);
    free(refresh);
}
