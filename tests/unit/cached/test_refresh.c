/* What the clock starts: policies whose refresh is due in a real store, a source that is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "cached/refresh.h"
#include "cached/settings.h"
#include "cached/stats.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/fake/fake_source.h"
#include "tests/unit/cached/store_samples.h"

enum { BOOT_MS = 500 * 1000 * 1000, WALL_S = 1790000000, DAY_S = 86400, TODAY = WALL_S / DAY_S };

static const char domain[] = "example.com";
static const char body[] = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";

struct desk {
    struct event_base *base;
    struct settings settings;
    struct stats stats;
    struct source source;
    struct store *store;
    struct cache *cache;
    struct query_engine *engine;
    struct refresh *refresh;
};

static int
set_up(void **state)
{
    struct desk *d = alloc_zero(1, sizeof *d);

    clock_fake(BOOT_MS, WALL_S);
    d->base = event_base_new();
    sample_directory_make();
    d->store = sample_open();
    d->cache = cache_new(d->store, 1 << 20, DAY_S * INT64_C(1000));
    d->engine = query_engine_new(d->base, &d->settings, d->cache, &d->source, &d->stats);
    d->refresh = refresh_new(d->base, d->engine, d->cache, d->store);
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    refresh_free(d->refresh);
    query_engine_free(d->engine);
    cache_free(d->cache);
    store_close(d->store);
    sample_directory_remove();
    event_base_free(d->base);
    free(d);
    return 0;
}

/* A policy in the store that was fetched `age_s` ago. */
static void
store_aged(struct desk *d, int64_t age_s, int64_t due_in_s, int64_t asked_day)
{
    struct record record = {.id = "id1",
                            .seq = 1,
                            .fetched_s = WALL_S - age_s,
                            .refresh_s = WALL_S + due_in_s,
                            .asked_day = asked_day,
                            .body = {body, sizeof body - 1}};

    strcpy(record.domain, domain);
    store_put(d->store, &record);
    store_flush(d->store);
}

static void
store_policy(struct desk *d, int64_t due_in_s, int64_t asked_day)
{
    store_aged(d, DAY_S, due_in_s, asked_day);
}

/* Lets the clock tick once; real time. */
static void
tick(struct desk *d)
{
    struct timeval while_it_ticks = {.tv_sec = 1, .tv_usec = 300000};

    event_base_loopexit(d->base, &while_it_ticks);
    event_base_dispatch(d->base);
}

static int64_t
refresh_due_in_s(struct desk *d)
{
    struct record record;
    struct buf bytes;
    int64_t due_in_s;

    store_flush(d->store);
    buf_init(&bytes, RECORD_MAX);
    assert_true(store_get(d->store, domain, &bytes, &record));
    due_in_s = record.refresh_s - WALL_S;
    buf_done(&bytes);
    return due_in_s;
}

static void
what_is_due_is_fetched(void **state)
{
    static const struct txt_result no_record = {.error = STS_NO_RECORD};
    static const struct fetch_result file = {.body = body, .len = sizeof body - 1};
    struct desk *d = *state;

    store_policy(d, 0, TODAY - REFRESH_UNASKED_DAYS);
    tick(d);
    fake_source_end_txt(&d->source, domain, &no_record); /* regardless: RFC 8461 s10.2 */
    fake_source_end_fetch(&d->source, domain, &file);
    assert_int_equal(d->stats.refreshes, 1);
    assert_in_range(refresh_due_in_s(d), DAY_S / 2, DAY_S);
}

static void
what_is_not_due_is_left(void **state)
{
    struct desk *d = *state;

    store_policy(d, 1, TODAY);
    tick(d);
    assert_int_equal(d->source.txt_started, 0);
    assert_int_equal(refresh_due_in_s(d), 1);
}

static void
what_nobody_asks_for_is_put_off(void **state)
{
    struct desk *d = *state;

    store_policy(d, 0, TODAY - REFRESH_UNASKED_DAYS - 1);
    tick(d);
    assert_int_equal(d->source.txt_started, 0);
    assert_int_equal(refresh_due_in_s(d), DAY_S);
}

static void
ask(struct desk *d)
{
    struct question question = {
        .domain = domain, .arrived_ms = clock_boot_ms(), .now_ms = clock_boot_ms()};
    struct query_token *token;
    struct judgement now;

    assert_true(query_ask(d->engine, &question, &now, &token));
    assert_int_equal(now.verdict, VERDICT_SECURE);
}

/* The question comes before the refresh is due, and is all that it says of being in use. */
static void
what_is_asked_for_again_is_fetched_again(void **state)
{
    static const struct txt_result no_record = {.error = STS_NO_RECORD};
    struct desk *d = *state;

    store_policy(d, DAY_S / 2, TODAY - REFRESH_UNASKED_DAYS - 1);
    ask(d);
    fake_source_end_txt(&d->source, domain, &no_record);
    clock_fake(BOOT_MS + DAY_S / 2 * INT64_C(1000), WALL_S + DAY_S / 2);
    tick(d);
    assert_int_equal(fake_source_running(&d->source, domain), FAKE_TXT);
    assert_int_equal(d->stats.refreshes, 1);
}

/* The clock may be wrong, so it stays; but it must not be due for ever. */
static void
what_is_over_is_set_aside(void **state)
{
    struct desk *d = *state;

    store_aged(d, 9 * DAY_S, -2 * DAY_S, TODAY);
    tick(d);
    assert_int_equal(d->source.txt_started, 0);
    assert_int_equal(refresh_due_in_s(d), 2 * DAY_S);
}

/* A look at TXT that fetches nothing must not cost the refresh. */
static void
what_is_busy_is_put_off_shortly(void **state)
{
    struct desk *d = *state;

    store_policy(d, 0, TODAY);
    query_recheck(d->engine, domain); /* not in memory yet: nothing to look at */
    assert_non_null(cache_get(d->cache, domain, true));
    query_recheck(d->engine, domain);
    assert_int_equal(fake_source_running(&d->source, domain), FAKE_TXT);
    tick(d);
    assert_int_equal(d->source.txt_started, 1);
    assert_in_range(refresh_due_in_s(d), 1, 600);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_is_due_is_fetched),          TEST(what_is_not_due_is_left),
        TEST(what_nobody_asks_for_is_put_off), TEST(what_is_over_is_set_aside),
        TEST(what_is_busy_is_put_off_shortly), TEST(what_is_asked_for_again_is_fetched_again),
    };

    log_open("test_refresh", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
