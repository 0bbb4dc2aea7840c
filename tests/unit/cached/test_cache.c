#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache.h"
#include "common/clock.h"
#include "tests/unit/cached/cache_samples.h"

/* --- terms --------------------------------------------------------------- */

static void
test_policy_lives_for_its_term(void **state)
{
    static const struct {
        uint32_t max_age_s;
        int64_t life_s;
    } cases[] = {{604800, 604800}, {3600, 3600}, {60, 60}, {59, 60}, {0, 60}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int restart = 0; restart <= 1; restart++) {
            struct store *store;
            struct cache *cache;

            open_all(&store, &cache);
            set_policy(cache, DOMAIN, cases[i].max_age_s);
            pass(cases[i].life_s - 1);
            if (restart)
                reopen(&store, &cache);
            assert_true(has_policy(cache, DOMAIN));
            pass(1);
            if (restart)
                reopen(&store, &cache);
            assert_false(has_policy(cache, DOMAIN));
            pass(-1); /* the wall clock's word for the end is not the last */
            reopen(&store, &cache);
            assert_int_equal(has_policy(cache, DOMAIN), restart);
            close_all(store, cache);
        }
    }
}

static void
test_expired_entry_keeps_what_else_it_knows(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e;

    (void)state;
    set_policy(cache, DOMAIN, 100);
    cache_note_fetch(cache_want(cache, DOMAIN), boot_ms);
    pass(100);
    e = cache_get(cache, DOMAIN, true);
    assert_non_null(e);
    assert_null(e->policy);
    assert_int_equal(cache_tried_ms(e, 0), boot_ms - 100000);
    cache_free(cache);
}

static void
test_a_failure_is_kept_for_a_day(void **state)
{
    const struct fetch_result failure = {.error = STS_TIMEOUT};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    cache_note_fetch(e, boot_ms);
    cache_note_failure(cache, e, "id1", 0, &failure);
    pass(DAY_S - 1);
    assert_non_null(cache_get(cache, DOMAIN, true)->failure);
    pass(1);
    assert_null(cache_get(cache, DOMAIN, true)->failure);
    cache_free(cache);
}

static void
test_refresh_is_spread(void **state)
{
    static const struct {
        uint32_t max_age_s;
        int64_t interval_s, from_s, to_s;
    } cases[] = {
        {604800, DAY_S, DAY_S / 2, DAY_S / 10 * 9},
        {3600, DAY_S, 1800, 3240},
        {604800, 7200, 3600, 6480},
        {400, DAY_S, 300, 360},
        {60, DAY_S, 300, 300},
        {0, DAY_S, 300, 300},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cache *cache = cache_new(NULL, MEMORY, cases[i].interval_s * 1000);
        int64_t least = INT64_MAX, most = 0;

        for (int n = 0; n < 200; n++) {
            int64_t after_s;

            set_policy(cache, DOMAIN, cases[i].max_age_s);
            after_s = (cache_get(cache, DOMAIN, false)->refresh_s * SECOND_MS - boot_ms) / 1000;
            least = after_s < least ? after_s : least;
            most = after_s > most ? after_s : most;
        }
        assert_in_range(least, cases[i].from_s, cases[i].to_s);
        assert_in_range(most, cases[i].from_s, cases[i].to_s);
        if (cases[i].to_s - cases[i].from_s > 1000)
            assert_true(most - least > (cases[i].to_s - cases[i].from_s) / 2);
        cache_free(cache);
    }
}

/* --- clocks -------------------------------------------------------------- */

static void
test_clock_steps_leave_memory_alone(void **state)
{
    static const int64_t steps[] = {DAY_S, -DAY_S, 400 * DAY_S, -400 * DAY_S};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);

        set_policy(cache, DOMAIN, HOUR_S);
        step_wall_clock(steps[i]);
        pass(HOUR_S - 1);
        assert_true(has_policy(cache, DOMAIN));
        pass(1);
        assert_false(has_policy(cache, DOMAIN));
        cache_free(cache);
    }
}

/* --- outcomes ------------------------------------------------------------ */

static void
test_no_policy_is_remembered_within_bounds(void **state)
{
    static const struct {
        uint32_t ttl_s;
        int64_t kept_s, recheck_s;
    } cases[] = {{0, 300, 300},   {1, 60, 60},       {60, 60, 60},           {200, 200, 200},
                 {301, 301, 300}, {3600, 3600, 300}, {UINT32_MAX, 3600, 300}};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct entry *e = cache_want(cache, DOMAIN);

        cache_set_none(cache, e, STS_NO_RECORD, cases[i].ttl_s);
        assert_int_equal(e->outcome, STS_NO_RECORD);
        assert_false(e->outcome_unknown);
        assert_int_equal(e->outcome_until_s * INT64_C(1000) - boot_ms, cases[i].kept_s * 1000);
        assert_int_equal(e->recheck_s * INT64_C(1000) - boot_ms, cases[i].recheck_s * 1000);
        assert_int_equal(cache_checked_ago_ms(e, boot_ms), 0);
    }
    cache_free(cache);
}

static void
test_unknown_backs_off(void **state)
{
    static const int64_t waits_s[] = {30, 60, 120, 240, 300, 300};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    for (size_t i = 0; i < sizeof waits_s / sizeof waits_s[0]; i++) {
        cache_set_unknown(cache, e, STS_DNS_TIMEOUT);
        assert_int_equal(e->outcome, STS_DNS_TIMEOUT);
        assert_true(e->outcome_unknown);
        assert_int_equal(e->outcome_until_s * INT64_C(1000) - boot_ms, waits_s[i] * 1000);
    }
    cache_set_none(cache, e, STS_NO_RECORD, 60);
    cache_set_unknown(cache, e, STS_DNS_SERVFAIL);
    assert_int_equal(e->outcome_until_s * INT64_C(1000) - boot_ms, 30000);
    cache_set_checked(cache, e, 60);
    assert_int_equal(e->outcome, STS_OK);
    assert_int_equal(e->backoff_s, 0);
    cache_free(cache);
}

static void
test_good_record_keeps_a_fetch_failure(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    cache_set_none(cache, e, STS_HTTP_STATUS, 300);
    cache_set_checked(cache, e, 100);
    assert_int_equal(e->outcome, STS_HTTP_STATUS);
    cache_set_none(cache, e, STS_BAD_RECORD, 300);
    cache_set_checked(cache, e, 100);
    assert_int_equal(e->outcome, STS_OK);
    cache_free(cache);
}

static void
test_recheck_within_bounds(void **state)
{
    static const struct {
        uint32_t ttl_s;
        int64_t wait_s;
    } cases[] = {{0, 60}, {60, 60}, {61, 61}, {299, 299}, {86400, 300}, {UINT32_MAX, 300}};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cache_set_checked(cache, e, cases[i].ttl_s);
        assert_int_equal(e->recheck_s * INT64_C(1000) - boot_ms, cases[i].wait_s * 1000);
        assert_int_equal(cache_checked_ago_ms(e, boot_ms), 0);
        assert_int_equal(cache_checked_ago_ms(e, boot_ms + DAY_S * 1000), DAY_S * 1000);
    }
    cache_forget(cache, DOMAIN);
    assert_int_equal(cache_checked_ago_ms(cache_want(cache, DOMAIN), boot_ms), UINT32_MAX);
    cache_free(cache);
}

/* Times that are kept in seconds: nothing ends before it should, or more than a second after. */
static void
test_nothing_ends_early(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    clock_fake(boot_ms += 1, wall_s);
    cache_set_checked(cache, e, 60);
    assert_int_equal(cache_checked_ago_ms(e, boot_ms), 0);
    assert_in_range(e->recheck_s * INT64_C(1000), boot_ms + 60000, boot_ms + 60999);
    cache_set_none(cache, e, STS_NO_RECORD, 60);
    assert_in_range(e->outcome_until_s * INT64_C(1000), boot_ms + 60000, boot_ms + 60999);
    cache_set_unknown(cache, e, STS_DNS_TIMEOUT);
    assert_in_range(e->outcome_until_s * INT64_C(1000), boot_ms + 30000, boot_ms + 30999);
    cache_free(cache);
}

static void
test_policy_in_force_is_not_weakened(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e;

    (void)state;
    set_policy(cache, DOMAIN, HOUR_S);
    e = cache_get(cache, DOMAIN, false);
    cache_set_none(cache, e, STS_NO_RECORD, 600);
    assert_int_equal(e->recheck_s * INT64_C(1000) - boot_ms, 300000);
    cache_set_unknown(cache, e, STS_DNS_TIMEOUT);
    assert_int_equal(e->recheck_s * INT64_C(1000) - boot_ms, 30000);
    assert_int_equal(e->outcome, STS_OK);
    assert_false(e->outcome_unknown);
    assert_non_null(e->policy);
    assert_int_equal(e->expires_s * SECOND_MS - boot_ms, HOUR_S * 1000);
    cache_free(cache);
}

static void
test_new_policy_forgets_the_outcome(void **state)
{
    const struct fetch_result failure = {.error = STS_HTTP_STATUS, .http_status = 503};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    cache_note_fetch(e, boot_ms);
    cache_note_failure(cache, e, "bad", 0, &failure);
    cache_set_unknown(cache, e, STS_DNS_TIMEOUT);
    set_policy(cache, DOMAIN, HOUR_S);
    assert_int_equal(e->outcome, STS_OK);
    assert_false(e->outcome_unknown);
    assert_string_equal(policy_id(e->policy), "id1");
    assert_null(e->failure);
    assert_int_equal(cache_tried_ms(e, 0), boot_ms); /* the rate limit counts it all the same */
    cache_free(cache);
}

/* --- fetches and hosts --------------------------------------------------- */

static void
test_fetches_are_remembered(void **state)
{
    struct fetch_result failure = {.error = STS_HTTP_STATUS, .http_status = 503};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    snprintf(failure.detail, sizeof failure.detail, "HTTP status 503");
    for (int i = 0; i < 4; i++) {
        pass(10);
        cache_note_fetch(e, boot_ms);
    }
    for (int i = 0; i < CACHE_TRIES; i++)
        assert_int_equal(cache_tried_ms(e, (size_t)i), boot_ms - i * 10000);
    cache_note_failure(cache, e, "newid", 77, &failure);
    assert_string_equal(e->failure->id, "newid");
    assert_string_equal(e->failure->detail, "HTTP status 503");
    assert_int_equal(e->failure->http_status, 503);
    assert_int_equal(e->failure->error, STS_HTTP_STATUS);
    assert_int_equal(e->failure->seq, 77);
    cache_free(cache);
}

static void
test_a_try_counts_for_no_less_than_it_should(void **state)
{
    static const struct {
        int64_t began_ms, noted_ms;
    } cases[] = {{1, 1000}, {1000, 1000}, {1001, 2000}, {0, 1000}, {-5000, 1000}};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    assert_int_equal(cache_tried_ms(e, 0), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cache_note_fetch(e, cases[i].began_ms);
        assert_int_equal(cache_tried_ms(e, 0), cases[i].noted_ms);
    }
    cache_free(cache);
}

static void
test_a_failure_whose_try_was_forgotten_counts_from_now(void **state)
{
    const struct fetch_result failure = {.error = STS_TIMEOUT};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    cache_note_fetch(e, boot_ms);
    cache_forget_outcome(cache, e);
    pass(10);
    cache_note_failure(cache, e, "id1", 0, &failure);
    assert_int_equal(cache_tried_ms(e, 0), boot_ms);
    assert_non_null(cache_get(cache, DOMAIN, true)->failure);
    cache_free(cache);
}

static void
test_failed_refresh_is_put_off(void **state)
{
    const struct fetch_result failure = {.error = STS_TIMEOUT};
    struct store *store;
    struct cache *cache;
    struct entry *e;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, 7 * DAY_S);
    pass(DAY_S);
    e = cache_get(cache, DOMAIN, true);
    cache_note_failure(cache, e, "id2", 0, &failure);
    cache_put_off_refresh(cache, e, 600);
    assert_int_equal(e->refresh_s * SECOND_MS, boot_ms + 600000);
    assert_string_equal(policy_id(e->policy), "id1");
    reopen(&store, &cache);
    e = cache_get(cache, DOMAIN, true);
    assert_int_equal(e->refresh_s * SECOND_MS, boot_ms + 600000);
    assert_int_equal(e->expires_s * SECOND_MS, boot_ms + INT64_C(6000) * DAY_S);
    close_all(store, cache);
}

static uint64_t
other_bytes(const struct cache *cache)
{
    struct cache_stats stats;

    cache_stats(cache, &stats);
    return stats.other_bytes;
}

static void
test_mx_sets(void **state)
{
    static const struct {
        uint32_t ttl_s;
        int64_t kept_s;
    } cases[] = {{0, 60}, {300, 300}, {86400, 600}};
    static const char *const hosts[] = {"mx1.example.com", "b.example.net"};
    static const enum dane_state states[] = {DANE_USABLE, DANE_FAILED};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);
    uint64_t bytes = other_bytes(cache);
    uint32_t size;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mx_result result = {.ttl_s = cases[i].ttl_s, .hosts = hosts, .count = 2};

        cache_set_mx(cache, e, &result);
        assert_int_equal(e->mx->until_ms - boot_ms, cases[i].kept_s * 1000);
    }
    assert_int_equal(e->mx->count, 2);
    assert_string_equal(e->mx->names, hosts[0]);
    assert_string_equal(e->mx->names + strlen(hosts[0]) + 1, hosts[1]);
    assert_true(other_bytes(cache) > bytes + e->mx->size);
    assert_false(e->mx->with_dane);
    assert_null(e->mx->dane);
    size = e->mx->size;
    cache_set_mx(cache, e,
                 &(struct mx_result){.hosts = hosts,
                                     .count = 2,
                                     .with_dane = true,
                                     .dane = states,
                                     .dane_error = STS_DNS_SERVFAIL});
    assert_true(e->mx->with_dane);
    assert_int_equal(e->mx->dane_error, STS_DNS_SERVFAIL);
    assert_int_equal(e->mx->size, size + 2);
    assert_string_equal(e->mx->names + strlen(hosts[0]) + 1, hosts[1]);
    assert_int_equal(e->mx->dane[0], DANE_USABLE);
    assert_int_equal(e->mx->dane[1], DANE_FAILED);
    cache_set_mx(cache, e, &(struct mx_result){.error = STS_NULL_MX, .ttl_s = 100});
    assert_int_equal(e->mx->error, STS_NULL_MX);
    assert_int_equal(e->mx->count, 0);
    cache_free(cache);
}

/* Look-ups that fail say nothing against DANE that was there; any other answer does. */
static void
test_dane_outlives_failed_lookups(void **state)
{
    static const char *const hosts[] = {"mx1.example.com", "b.example.net"};
    static const enum dane_state usable[] = {DANE_USABLE, DANE_NONE};
    static const enum dane_state failed[] = {DANE_FAILED, DANE_FAILED};
    static const enum dane_state gone[] = {DANE_NONE, DANE_FAILED};
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e = cache_want(cache, DOMAIN);
    struct mx_result had = {
        .ttl_s = 600, .hosts = hosts, .count = 2, .with_dane = true, .dane = usable};
    struct mx_result result = {.error = STS_DNS_SERVFAIL, .with_dane = true};

    (void)state;
    cache_set_mx(cache, e, &had);
    cache_set_mx(cache, e, &result);
    assert_int_equal(mx_set_count(e->mx, DANE_USABLE), 1);
    assert_int_equal(e->mx->until_ms - boot_ms, 60 * 1000);
    result = had;
    result.dane = failed;
    cache_set_mx(cache, e, &result);
    assert_int_equal(mx_set_count(e->mx, DANE_USABLE), 1);
    result.dane = gone;
    cache_set_mx(cache, e, &result);
    assert_int_equal(mx_set_count(e->mx, DANE_USABLE), 0);
    assert_int_equal(mx_set_count(e->mx, DANE_FAILED), 1);
    cache_set_mx(cache, e, &had);
    cache_set_mx(cache, e, &(struct mx_result){.error = STS_DNS_SERVFAIL}); /* dane is off now */
    assert_int_equal(e->mx->error, STS_DNS_SERVFAIL);
    cache_free(cache);
}

/* --- forgetting ---------------------------------------------------------- */

static void
test_forget(void **state)
{
    struct store *store;
    struct cache *cache;
    struct entry *e;

    (void)state;
    open_all(&store, &cache);
    set_policy(cache, DOMAIN, DAY_S);
    cache_forget(cache, DOMAIN);
    assert_null(cache_get(cache, DOMAIN, true));
    set_policy(cache, DOMAIN, DAY_S);
    e = cache_get(cache, DOMAIN, false);
    cache_note_fetch(e, boot_ms);
    cache_set_checked(cache, e, 300);
    cache_pin(e);
    cache_forget(cache, DOMAIN);
    assert_ptr_equal(cache_get(cache, DOMAIN, true), e);
    assert_null(e->policy);
    assert_int_equal(cache_tried_ms(e, 0), 0);
    assert_int_equal(cache_checked_ago_ms(e, boot_ms), UINT32_MAX);
    assert_int_equal(e->recheck_s, 0);
    cache_unpin(cache, e);
    reopen(&store, &cache);
    assert_null(cache_get(cache, DOMAIN, true));
    set_policy(cache, DOMAIN, DAY_S);
    reopen(&store, &cache);
    cache_forget(cache, DOMAIN); /* in LMDB only */
    assert_null(cache_get(cache, DOMAIN, true));
    cache_forget(cache, "never.seen");
    close_all(store, cache);
}

static void
test_forget_outcome_keeps_the_policy(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct entry *e;

    (void)state;
    set_policy(cache, DOMAIN, DAY_S);
    e = cache_get(cache, DOMAIN, false);
    cache_note_fetch(e, boot_ms);
    cache_note_failure(cache, e, "id2", 0, &(struct fetch_result){.error = STS_TIMEOUT});
    cache_set_unknown(cache, e, STS_DNS_TIMEOUT);
    cache_forget_outcome(cache, e);
    assert_non_null(e->policy);
    assert_null(e->failure);
    assert_int_equal(cache_tried_ms(e, 0), 0);
    assert_int_equal(e->backoff_s, 0);
    cache_free(cache);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_policy_lives_for_its_term),
        IN_DIRECTORY(test_expired_entry_keeps_what_else_it_knows),
        IN_DIRECTORY(test_refresh_is_spread),
        IN_DIRECTORY(test_clock_steps_leave_memory_alone),
        IN_DIRECTORY(test_no_policy_is_remembered_within_bounds),
        IN_DIRECTORY(test_unknown_backs_off),
        IN_DIRECTORY(test_good_record_keeps_a_fetch_failure),
        IN_DIRECTORY(test_recheck_within_bounds),
        IN_DIRECTORY(test_nothing_ends_early),
        IN_DIRECTORY(test_policy_in_force_is_not_weakened),
        IN_DIRECTORY(test_new_policy_forgets_the_outcome),
        IN_DIRECTORY(test_a_failure_is_kept_for_a_day),
        IN_DIRECTORY(test_fetches_are_remembered),
        IN_DIRECTORY(test_a_try_counts_for_no_less_than_it_should),
        IN_DIRECTORY(test_a_failure_whose_try_was_forgotten_counts_from_now),
        IN_DIRECTORY(test_failed_refresh_is_put_off),
        IN_DIRECTORY(test_mx_sets),
        IN_DIRECTORY(test_dane_outlives_failed_lookups),
        IN_DIRECTORY(test_forget),
        IN_DIRECTORY(test_forget_outcome_keeps_the_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
