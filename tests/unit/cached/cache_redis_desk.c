#include "tests/unit/cached/cache_redis_desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

enum { PATIENCE_MS = 8000 };

const char desk_domain[] = "example.com", desk_record_key[] = "t:r:example.com";
const char desk_lock_key[] = "t:l:example.com";
static const char body[] = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";

void
desk_run_until(struct desk *d, bool (*is)(const struct desk *))
{
    int64_t end_ms = clock_boot_ms() + PATIENCE_MS;

    while (!is(d)) {
        assert_true(clock_boot_ms() < end_ms);
        event_base_loopexit(d->base, &(struct timeval){.tv_usec = 5000});
        event_base_dispatch(d->base);
    }
}

void
desk_run_ms(struct desk *d, int64_t ms)
{
    for (int64_t end_ms = clock_boot_ms() + ms; clock_boot_ms() < end_ms;) {
        event_base_loopexit(d->base, &(struct timeval){.tv_usec = 5000});
        event_base_dispatch(d->base);
    }
}

bool
desk_are_up(const struct desk *d)
{
    return redis_link_is_up(d->nodes[0].link) && redis_link_is_up(d->nodes[1].link);
}

bool
desk_was_called(const struct desk *d)
{
    return d->called > 0;
}

static void
ignore_up(void *arg)
{
    (void)arg;
}

static void
ignore_down(const char *why, void *arg)
{
    (void)why, (void)arg;
}

int
desk_set_up(void **state)
{
    static const struct redis_link_events events = {.up = ignore_up, .down = ignore_down};
    struct desk *d = alloc_zero(1, sizeof *d);
    char why[200] = "";

    log_open("test", true, LOG_LEVEL_ERROR);
    d->lab = redis_lab_new();
    d->base = event_base_new();
    d->settings.redis.server = (char *)(uintptr_t)redis_lab_socket(d->lab);
    d->settings.redis.timeout_ms = 300;
    for (int i = 0; i < DESK_NODES; i++) {
        struct node *node = &d->nodes[i];

        node->link = redis_link_new(d->base, &d->settings, &events, NULL, why, sizeof why);
        if (node->link == NULL)
            fail_msg("%s", why);
        node->cr = cache_redis_new(d->base, node->link, NULL, "t:", &d->stats);
    }
    desk_run_until(d, desk_are_up);
    *state = d;
    return 0;
}

int
desk_tear_down(void **state)
{
    struct desk *d = *state;

    for (int i = 0; i < DESK_NODES; i++) {
        redis_link_free(d->nodes[i].link);
        cache_redis_free(d->nodes[i].cr);
    }
    event_base_free(d->base);
    redis_lab_free(d->lab);
    free(d);
    return 0;
}

/* --- questions -------------------------------------------------------------------------------- */

static void
note_found(struct desk *d, const struct cache_redis_found *found)
{
    d->there = found->record != NULL;
    d->refused = found->refused;
    d->there_seq = d->there ? found->record->seq : 0;
    d->there_kind = d->there ? found->record->kind : RECORD_POLICY;
}

void
desk_on_found(const struct cache_redis_found *found, void *arg)
{
    struct desk *d = arg;

    d->called++;
    d->status = found->status;
    note_found(d, found);
}

void
desk_get(struct desk *d)
{
    d->called = 0;
    cache_redis_get(d->nodes[0].cr, desk_domain, desk_on_found, d);
    assert_int_equal(d->called, 0);
    desk_run_until(d, desk_was_called);
    assert_int_equal(d->called, 1);
}

void
desk_on_each(const char *name, const struct cache_redis_found *found, void *arg)
{
    struct desk *d = arg;

    d->each++;
    if (strcmp(name, desk_domain) == 0)
        note_found(d, found);
    else
        assert_true(found->record == NULL && found->refused == (strcmp(name, "long.example") == 0));
}

void
desk_on_done(enum cache_redis_status status, void *arg)
{
    struct desk *d = arg;

    d->called++;
    d->status = status;
}

void
desk_on_put(const struct cache_redis_put_result *result, void *arg)
{
    struct desk *d = arg;

    d->called++;
    d->status = result->status;
    d->written = result->written;
    d->seq = result->seq;
    assert_true(!result->written || result->event[0] != '\0');
    assert_int_equal(result->status == CACHE_REDIS_DONE && !result->written, result->newer != NULL);
}

struct record
desk_sample(enum record_kind kind, uint64_t seq)
{
    struct record r = {.kind = kind, .seq = seq, .fetched_s = 1790000000, .asked_day = 20650};

    snprintf(r.domain, sizeof r.domain, "%s", desk_domain);
    snprintf(r.id, sizeof r.id, "20260801");
    if (kind == RECORD_POLICY) {
        r.refresh_s = 1790050000;
        r.body = (struct span){body, sizeof body - 1};
    }
    if (kind == RECORD_FAILURE)
        r.error = STS_TIMEOUT;
    if (kind == RECORD_TOMBSTONE)
        r.until_s = 1790600000;
    return r;
}

void
desk_put(struct desk *d, int node, enum record_kind kind, uint64_t seq)
{
    struct record r = desk_sample(kind, seq);

    d->called = 0;
    cache_redis_put(d->nodes[node].cr, &r, DESK_LIFE_S, desk_on_put, d);
    desk_run_until(d, desk_was_called);
}

void
desk_on_locked(const struct cache_redis_locked *result, void *arg)
{
    struct desk *d = arg;

    d->called++;
    d->status = result->status;
    d->locked = result->locked;
    d->seq = result->seq;
    d->again_ms = result->again_ms;
    note_found(d, &result->found);
}

void
desk_lock(struct desk *d, int node, bool force)
{
    d->called = 0;
    cache_redis_lock(d->nodes[node].cr, desk_domain, force, desk_on_locked, d);
    desk_run_until(d, desk_was_called);
    assert_int_equal(d->status, CACHE_REDIS_DONE);
}

void
desk_on_page(enum cache_redis_status status, const char *const *domains, const double *scores,
             size_t count, void *arg)
{
    struct desk *d = arg;

    (void)scores;
    d->called++;
    d->status = status;
    d->names = count;
    if (count > 0)
        snprintf(d->name, sizeof d->name, "%s", domains[0]);
}

void
desk_page(struct desk *d, double from, size_t max)
{
    d->called = 0;
    cache_redis_index(d->nodes[0].cr, from, max, desk_on_page, d);
    desk_run_until(d, desk_was_called);
}
