/* The whole copy: first what Redis has and we do not, by the pages of its index; then what we have
 * and Redis does not, by a walk through our store. One small step at a time. */
#include <event2/event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/farm_parts.h"
#include "common/clock.h"
#include "common/log.h"

enum { PAGE = 64, PAUSE_MS = 5000, SHARED_AT_ONCE = 512 };
_Static_assert((int)PAGE <= (int)CACHE_REDIS_MANY, "read at once");

enum phase { IDLE, BRING, GIVE };

struct farm_copy {
    struct farm *farm;
    enum phase phase;
    struct cache_redis_job *job;
    struct event *step; /* begins, or goes on after a pause */
    int64_t begun_ms;   /* boot time; 0: never */
    double from;        /* BRING: where the next page begins */
    bool last_page, broken_off;
    char after[DOMAIN_SIZE]; /* GIVE: the last domain looked at */
    char names[PAGE][DOMAIN_SIZE];
    size_t count;
    uint64_t brought;
};

static void go_on(struct farm_copy *);

static void
go_on_after(struct farm_copy *c, int64_t ms)
{
    struct timeval wait = clock_timeval(ms);

    event_add(c->step, &wait);
}

/* A page that could not be read: the beat finds out whether the link is. */
static void
stumble(struct farm_copy *c)
{
    go_on_after(c, FARM_BEAT_MS);
}

static size_t
names_of(struct farm_copy *c, const char *names[PAGE])
{
    for (size_t i = 0; i < c->count; i++)
        names[i] = c->names[i];
    return c->count;
}

/* --- bring ------------------------------------------------------------------------------------ */

static void
bring(const char *domain, const struct cache_redis_found *found, void *arg)
{
    struct farm_copy *c = arg;

    c->brought += found->record != NULL && found->record->kind == RECORD_POLICY;
    farm_take(c->farm, domain, found, false);
    farm_tell_changed(c->farm, domain);
}

static void
on_brought(enum cache_redis_status status, void *arg)
{
    struct farm_copy *c = arg;

    c->job = NULL;
    if (status == CACHE_REDIS_AWAY) {
        stumble(c);
        return;
    }
    if (c->last_page) {
        if (!c->farm->copied)
            log_info("farm: copied %llu policies from Redis", (unsigned long long)c->brought);
        c->farm->copied = true;
        c->phase = GIVE;
        c->after[0] = '\0';
        farm_beat(c->farm); /* who waits for us sees it at once */
    }
    go_on(c);
}

static void
on_page(enum cache_redis_status status, const char *const *domains, const double *scores,
        size_t count, void *arg)
{
    struct farm_copy *c = arg;
    const char *names[PAGE];

    c->job = NULL;
    if (status == CACHE_REDIS_AWAY) {
        stumble(c);
        return;
    }
    c->last_page = count < PAGE;
    for (c->count = 0; c->count < count && c->count < PAGE; c->count++)
        snprintf(c->names[c->count], DOMAIN_SIZE, "%s", domains[c->count]);
    if (c->count == 0) {
        on_brought(CACHE_REDIS_DONE, c);
        return;
    }
    c->from = scores[count - 1] > c->from ? scores[count - 1] : nextafter(c->from, HUGE_VAL);
    c->job = cache_redis_get_many(c->farm->redis, names, names_of(c, names), bring, on_brought, c);
}

/* --- give ------------------------------------------------------------------------------------- */

static bool
note_stored(const struct record *record, void *arg)
{
    struct farm_copy *c = arg;

    snprintf(c->names[c->count++], DOMAIN_SIZE, "%s", record->domain);
    return c->count < PAGE;
}

/* What is older there farm_take notes. */
static void
give(const char *domain, const struct cache_redis_found *found, void *arg)
{
    struct farm_copy *c = arg;

    if (found->record == NULL)
        farm_dirty_add(c->farm, domain, NULL, 0);
    else
        farm_take(c->farm, domain, found, false);
}

static void
on_given(enum cache_redis_status status, void *arg)
{
    struct farm_copy *c = arg;

    c->job = NULL;
    if (status == CACHE_REDIS_AWAY) {
        stumble(c);
        return;
    }
    strcpy(c->after, c->names[c->count - 1]);
    go_on(c);
}

static void
give_page(struct farm_copy *c)
{
    const char *names[PAGE];

    farm_write_back(c->farm);
    if (table_count(c->farm->dirty) > SHARED_AT_ONCE) { /* first write what was found missing */
        go_on_after(c, 5);
        return;
    }
    c->count = 0;
    if (c->farm->store != NULL)
        store_walk(c->farm->store, c->after[0] != '\0' ? c->after : NULL, note_stored, c);
    if (c->count == 0) {
        c->phase = IDLE;
        c->broken_off = false;
        return;
    }
    c->job = cache_redis_get_many(c->farm->redis, names, names_of(c, names), give, on_given, c);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void
go_on(struct farm_copy *c)
{
    switch (c->phase) {
    case IDLE:
        break;
    case BRING:
        c->job = cache_redis_index(c->farm->redis, c->from, PAGE, on_page, c);
        break;
    case GIVE:
        give_page(c);
        break;
    }
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
    struct farm_copy *c = arg;

    (void)fd, (void)what;
    if (c->phase == IDLE) {
        c->phase = BRING;
        c->begun_ms = clock_boot_ms();
        c->from = 0;
        c->brought = 0;
        c->farm->stats->redis_copies++;
    }
    go_on(c);
}

bool
farm_copy_is_whole(const struct farm_copy *c)
{
    return !c->broken_off || event_pending(c->step, EV_TIMEOUT, NULL) || c->phase != IDLE;
}

bool
farm_copy_is_behind(const struct farm_copy *c)
{
    return c->broken_off && c->phase != GIVE;
}

void
farm_copy_begin(struct farm_copy *c)
{
    int64_t since_ms = clock_boot_ms() - c->begun_ms;

    farm_copy_stop(c);
    c->broken_off = true; /* until it is whole */
    go_on_after(c, c->begun_ms == 0 || since_ms >= PAUSE_MS ? 0 : PAUSE_MS - since_ms);
}

void
farm_copy_stop(struct farm_copy *c)
{
    cache_redis_cancel(c->job);
    c->job = NULL;
    event_del(c->step);
    c->phase = IDLE;
}

struct farm_copy *
farm_copy_new(struct farm *farm)
{
    struct farm_copy *c = alloc_zero(1, sizeof *c);

    c->farm = farm;
    c->step = evtimer_new(farm->base, on_step, c);
    return c;
}

void
farm_copy_free(struct farm_copy *c)
{
    farm_copy_stop(c);
    event_free(c->step);
    free(c);
}
