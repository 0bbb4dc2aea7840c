#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/cache_store.h"
#include "common/clock.h"
#include "tests/unit/cached/cache_samples.h"

static void
test_restart_keeps_the_rest_of_the_term(void **state)
{
    struct store *store;
    struct cache *cache;
    const struct entry *e;
    uint32_t refresh_s;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, 7 * DAY_S);
    refresh_s = cache_get(cache, DOMAIN, false)->refresh_s;
    pass(2 * HOUR_S);
    reopen(&store, &cache);
    assert_null(cache_get(cache, DOMAIN, false));
    e = cache_get(cache, DOMAIN, true);
    assert_int_equal(e->expires_s * SECOND_MS, BOOT_MS + INT64_C(7000) * DAY_S);
    assert_int_equal(e->refresh_s, refresh_s);
    assert_int_equal(e->fetched_s, WALL_S);
    assert_int_equal(e->source, SOURCE_LMDB);
    assert_int_equal(cache_checked_ago_ms(e, boot_ms), UINT32_MAX);
    assert_int_equal(e->recheck_s, 0);
    assert_string_equal(policy_id(e->policy), "id1");
    assert_int_equal(policy_mode(e->policy), POLICY_MODE_ENFORCE);
    boot_ms = 5000; /* the machine was started anew: another boot clock */
    pass(HOUR_S);
    reopen(&store, &cache);
    e = cache_get(cache, DOMAIN, true);
    assert_int_equal(e->expires_s * SECOND_MS - boot_ms, INT64_C(1000) * (7 * DAY_S - 3 * HOUR_S));
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
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_s * SECOND_MS,
                     boot_ms + HOUR_S * 1000);
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

/* The clock is wrong when the machine starts, and set some questions later. */
static void
test_policy_outlives_a_start_with_the_clock_ahead(void **state)
{
    static const int64_t ahead_s[] = {DAY_S, 366 * DAY_S};

    for (size_t i = 0; i < 2 * sizeof ahead_s / sizeof ahead_s[0]; i++) {
        bool restarted = i % 2 == 1;
        struct store *store;
        struct cache *cache;
        const struct entry *e;

        setup(state);
        open_all(&store, &cache);
        set_policy(cache, DOMAIN, HOUR_S);
        step_wall_clock(ahead_s[i / 2]);
        reopen(&store, &cache);
        assert_null(cache_get(cache, DOMAIN, true));
        cache_set_none(cache, cache_want(cache, DOMAIN), STS_NO_RECORD, HOUR_S);
        assert_false(has_policy(cache, DOMAIN));
        cache_store_set_aside(store, DOMAIN); /* its refresh was due */
        step_wall_clock(-ahead_s[i / 2]);
        pass(60);
        if (restarted)
            reopen(&store, &cache);
        assert_true(has_policy(cache, DOMAIN));
        e = cache_get(cache, DOMAIN, true);
        assert_int_equal(e->expires_s * SECOND_MS, boot_ms + (HOUR_S - 60) * 1000);
        assert_int_equal(e->outcome, STS_OK);
        assert_int_equal(e->refresh_s * SECOND_MS, boot_ms);
        assert_int_equal(stored(store).refresh_s, wall_s);
        close_all(store, cache);
        teardown(state);
    }
    setup(state);
}

/* Read while the clock was ahead, so that it ended too early in memory; not so on disk. */
static void
test_early_end_in_memory_is_none_on_disk(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, 2 * DAY_S);
    step_wall_clock(DAY_S);
    reopen(&store, &cache);
    assert_true(has_policy(cache, DOMAIN));
    step_wall_clock(-DAY_S);
    pass(DAY_S);
    assert_false(has_policy(cache, DOMAIN));
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_s * SECOND_MS, boot_ms + DAY_S * 1000);
    close_all(store, cache);
}

/* Its end was told by the boot clock, which nobody sets back; whoever asked meanwhile. */
static void
test_term_that_began_here_ends_on_disk_too(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, HOUR_S);
    cache_get(cache, DOMAIN, true)->source = SOURCE_MEMORY; /* as it was answered */
    step_wall_clock(-2 * HOUR_S);
    pass(HOUR_S + 1);
    assert_false(has_policy(cache, DOMAIN));
    reopen(&store, &cache);
    assert_false(has_policy(cache, DOMAIN));
    close_all(store, cache);
}

static void
note_due(const char *domain, void *arg)
{
    assert_string_equal(domain, DOMAIN);
    ++*(int *)arg;
}

/* What is over is looked at less and less often, gives way to others, and goes after a year. */
static void
test_policy_over_is_set_aside(void **state)
{
    struct store *store;
    struct cache *cache;
    int looks = 0;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, HOUR_S);
    reopen(&store, &cache);
    for (int day = 0; day < 400; day++) {
        int64_t seq = (int64_t)stored(store).seq, due_before = looks;

        assert_int_equal(seq, WALL_S * 1000000);
        pass(DAY_S);
        store_due(store, wall_s, 1, note_due, &looks);
        if (looks == due_before)
            continue;
        cache_store_set_aside(store, DOMAIN);
        assert_true(stored(store).refresh_s > wall_s);
        assert_true(stored(store).asked_day <= wall_s / DAY_S - 31);
        assert_int_equal(store_due(store, wall_s, 1, note_due, &looks), 0);
    }
    assert_in_range(looks, 10, 30);
    assert_false(has_policy(cache, DOMAIN));
    pass(30 * DAY_S);
    cache_store_set_aside(store, DOMAIN);
    assert_string_equal(stored(store).domain, "");
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
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_s * SECOND_MS,
                     boot_ms + HOUR_S * 1000);
    close_all(store, cache);
}

/* More than a minute ahead is a wrong clock's time: from now on the fetch counts as done now, or
 * each start until then would give the policy its whole term. */
static void
test_more_than_a_minute_ahead_is_wrong(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, DAY_S);
    step_wall_clock(-60);
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->fetched_s, WALL_S);
    assert_int_equal(stored(store).fetched_s, WALL_S);
    step_wall_clock(-1);
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->fetched_s, wall_s);
    assert_int_equal(stored(store).fetched_s, wall_s);
    close_all(store, cache);
}

/* Written while the clock was set back by two days, and read when it is right again: the refresh
 * seems due before the fetch. It is done, and not only when the policy is over (RFC 8461 s3.3). */
static void
test_refresh_due_before_the_fetch_is_due_now(void **state)
{
    struct store *store;
    struct cache *cache;
    const struct entry *e;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, 7 * DAY_S);
    step_wall_clock(-2 * DAY_S);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    assert_true(stored(store).refresh_s < stored(store).fetched_s);
    step_wall_clock(2 * DAY_S);
    reopen(&store, &cache);
    e = cache_get(cache, DOMAIN, true);
    assert_int_equal(e->refresh_s * SECOND_MS, boot_ms);
    assert_int_equal(e->expires_s * SECOND_MS, boot_ms + INT64_C(7000) * DAY_S);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    assert_true(stored(store).refresh_s <= wall_s);
    close_all(store, cache);
}

/* Set back by a day, and right again: what was written meanwhile has not ended. */
static void
test_writing_with_the_clock_behind_ends_nothing(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, HOUR_S);
    step_wall_clock(-DAY_S);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    assert_int_equal(stored(store).asked_day, wall_s / DAY_S);
    step_wall_clock(DAY_S);
    pass(60);
    reopen(&store, &cache);
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_s * SECOND_MS,
                     boot_ms + (HOUR_S - 60) * 1000);
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
    assert_int_equal(cache_get(cache, DOMAIN, true)->expires_s * SECOND_MS,
                     boot_ms + INT64_C(1000) * (DAY_S - HOUR_S));
    close_all(store, cache);
}

/* The wall clock's seconds begin between those of the boot clock, and each reading and writing
 * falls where rounding adds most. */
static void
test_writing_again_and_again_does_not_creep(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, HOUR_S);
    boot_ms++;
    for (int second = 1; second <= 60; second++) {
        pass(0);
        reopen(&store, &cache);
        assert_true(has_policy(cache, DOMAIN));
        boot_ms++;
        step_wall_clock(1);
        cache_put_off_refresh(cache, cache_get(cache, DOMAIN, true), HOUR_S);
        assert_int_equal(stored(store).fetched_s, WALL_S);
        boot_ms += 999;
    }
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

static void
test_day_of_question_is_written_once_a_day(void **state)
{
    struct store *store;
    struct cache *cache;
    struct store_stats before, after;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, 7 * DAY_S);
    assert_int_equal(stored(store).asked_day, WALL_S / DAY_S);
    store_stats(store, &before);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    store_flush(store);
    store_stats(store, &after);
    assert_int_equal(after.written, before.written);
    pass(DAY_S);
    cache_note_asked(cache, cache_get(cache, DOMAIN, true));
    assert_int_equal(stored(store).asked_day, WALL_S / DAY_S + 1);
    close_all(store, cache);
}

static void
test_evicted_policy_comes_back(void **state)
{
    struct store *store;
    struct cache *cache;
    struct cache_stats stats;
    char domain[SAMPLE_DOMAIN_SIZE];

    (void)state;
    open_all(&store, &cache);
    for (int n = 0; n < 3000; n++) {
        sample_domain(n, domain);
        set_policy(cache, domain, DAY_S);
    }
    cache_stats(cache, &stats);
    assert_true(stats.policy_evictions > 0);
    assert_int_equal(stats.policies + stats.policy_evictions, 3000);
    assert_true(stats.policy_bytes <= MEMORY / 2);
    sample_domain(0, domain);
    assert_null(cache_get(cache, domain, false));
    assert_true(has_policy(cache, domain));
    close_all(store, cache);
}

static void
test_failed_look_in_the_store_is_not_repeated(void **state)
{
    struct record record = sample_record(1, 1);
    struct store *store;
    struct cache *cache;

    (void)state;
    open_all(&store, &cache);
    cache_want(cache, record.domain);
    record.fetched_s = WALL_S;
    record.refresh_s = WALL_S + HOUR_S;
    record.body = (struct span){"version: STSv1\nmode: none\nmax_age: 86400\n", 41};
    store_put(store, &record); /* behind the back of the cache: nobody else does */
    assert_false(has_policy(cache, record.domain));
    reopen(&store, &cache);
    assert_true(has_policy(cache, record.domain));
    close_all(store, cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_restart_keeps_the_rest_of_the_term),
        IN_DIRECTORY(test_fetch_in_the_future_counts_as_now_once),
        IN_DIRECTORY(test_policy_outlives_a_start_with_the_clock_ahead),
        IN_DIRECTORY(test_early_end_in_memory_is_none_on_disk),
        IN_DIRECTORY(test_term_that_began_here_ends_on_disk_too),
        IN_DIRECTORY(test_policy_over_is_set_aside),
        IN_DIRECTORY(test_small_step_back_does_not_lengthen),
        IN_DIRECTORY(test_more_than_a_minute_ahead_is_wrong),
        IN_DIRECTORY(test_refresh_due_before_the_fetch_is_due_now),
        IN_DIRECTORY(test_writing_with_the_clock_behind_ends_nothing),
        IN_DIRECTORY(test_writing_corrects_the_time_of_fetch),
        IN_DIRECTORY(test_writing_again_and_again_does_not_creep),
        IN_DIRECTORY(test_seq_rises_with_each_policy),
        IN_DIRECTORY(test_unusable_stored_body_is_deleted),
        IN_DIRECTORY(test_day_of_question_is_written_once_a_day),
        IN_DIRECTORY(test_evicted_policy_comes_back),
        IN_DIRECTORY(test_failed_look_in_the_store_is_not_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
