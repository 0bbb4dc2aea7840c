#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/cache_store.h"
#include "tests/unit/cached/cache_samples.h"

static void
test_restart_keeps_the_rest_of_the_term(void **state)
{
    struct store *store;
    struct cache *cache;
    const struct entry *e;
    int64_t refresh_ms;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, 7 * DAY_S);
    refresh_ms = cache_get(cache, DOMAIN, false)->refresh_ms;
    pass(2 * HOUR_S);
    reopen(&store, &cache);
    assert_null(cache_get(cache, DOMAIN, false));
    e = cache_get(cache, DOMAIN, true);
    assert_int_equal(e->expires_ms, BOOT_MS + INT64_C(7000) * DAY_S);
    assert_int_equal(e->refresh_ms, refresh_ms / 1000 * 1000);
    assert_int_equal(e->fetched_s, WALL_S);
    assert_int_equal(e->source, SOURCE_LMDB);
    assert_int_equal(e->checked_ms, 0);
    assert_int_equal(e->recheck_s, 0);
    assert_string_equal(policy_id(e->policy), "id1");
    assert_int_equal(policy_mode(e->policy), POLICY_MODE_ENFORCE);
    boot_ms = 5000; /* the machine was started anew: another boot clock */
    pass(HOUR_S);
    reopen(&store, &cache);
    e = cache_get(cache, DOMAIN, true);
    assert_int_equal(e->expires_ms - boot_ms, INT64_C(1000) * (7 * DAY_S - 3 * HOUR_S));
    close_all(store, cache);
}

/* The clock was a day ahead at the fetch, and is right now. */
static void
test_fetch_in_the_future_counts_as_now_once(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, HOUR_S);
    step_wall_clock(-DAY_S);
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_ms, boot_ms + HOUR_S * 1000);
    for (int i = 0; i < 5; i++) { /* a restart is no new fetch */
        pass(HOUR_S / 6);
        reopen(&store, &cache);
        assert_true(has_policy(cache, DOMAIN));
    }
    pass(HOUR_S / 6);
    reopen(&store, &cache);
    assert_false(has_policy(cache, DOMAIN));
    close_all(store, cache);
}

static void
test_small_step_back_does_not_lengthen(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, HOUR_S);
    step_wall_clock(-50);
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_ms, boot_ms + HOUR_S * 1000);
    close_all(store, cache);
}

/* The clock was years behind at the fetch; it was set; the next writing tells the right times. */
static void
test_writing_corrects_the_time_of_fetch(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    wall_s = 1000;
    pass(0);
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, DAY_S);
    wall_s = WALL_S;
    pass(HOUR_S);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->fetched_s, WALL_S);
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_ms,
                     boot_ms + INT64_C(1000) * (DAY_S - HOUR_S));
    close_all(store, cache);
}

static void
test_seq_rises_with_each_policy(void **state)
{
    struct store *store;
    struct cache *cache;
    uint64_t first, second;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, DAY_S);
    first = stored(store).seq;
    assert_true(first == (uint64_t)WALL_S * 1000000);
    set_policy(cache, DOMAIN, DAY_S);
    second = stored(store).seq;
    assert_true(second > first);
    step_wall_clock(-HOUR_S);
    set_policy(cache, DOMAIN, DAY_S);
    assert_true(stored(store).seq > second);
    second = stored(store).seq;
    pass(DAY_S - 1);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    assert_true(stored(store).seq == second);
    close_all(store, cache);
}

static void
test_unusable_stored_body_is_deleted(void **state)
{
    struct record record = sample_record(1, 1); /* its body has no max_age: no policy */
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    record.body = (struct span){"mode: none\n", 11};
    record.fetched_s = WALL_S;
    store_put(store, &record);
    assert_null(cache_get(cache, record.domain, true));
    assert_string_equal(stored(store).domain, "");
    close_all(store, cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_restart_keeps_the_rest_of_the_term),
        IN_DIRECTORY(test_fetch_in_the_future_counts_as_now_once),
        IN_DIRECTORY(test_small_step_back_does_not_lengthen),
        IN_DIRECTORY(test_writing_corrects_the_time_of_fetch),
        IN_DIRECTORY(test_seq_rises_with_each_policy),
        IN_DIRECTORY(test_unusable_stored_body_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
