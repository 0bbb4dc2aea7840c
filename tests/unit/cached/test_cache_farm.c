/* What the cache takes from the farm: records that are old, or that somebody plays again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "common/clock.h"
#include "tests/unit/cached/cache_samples.h"

#define LATER (UINT64_MAX / 2) /* than any seq of this host */

static struct record
failure_aged(int64_t age_s)
{
    return (struct record){.kind = RECORD_FAILURE,
                           .domain = DOMAIN,
                           .id = "id2",
                           .seq = LATER,
                           .fetched_s = WALL_S - age_s,
                           .error = STS_HTTP_STATUS,
                           .http_status = 404};
}

/* RFC 8461 s3.3: it counts for five minutes; the clocks of two nodes may differ by one. */
static void
test_failure_counts_while_it_is_new(void **state)
{
    static const struct {
        int64_t age_s, tried_ago_s;
        enum cache_taken taken;
    } rows[] = {
        {0, 0, CACHE_TAKEN},       {200, 200, CACHE_TAKEN},
        {360, 360, CACHE_TAKEN},   {361, 0, CACHE_USELESS},
        {86400, 0, CACHE_USELESS}, {-60, 0, CACHE_TAKEN}, /* no try of ours is in the future */
        {-61, 0, CACHE_USELESS},   {-86400, 0, CACHE_USELESS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
        struct record record = failure_aged(rows[i].age_s);
        const struct entry *e;

        print_message("%lld s old\n", (long long)rows[i].age_s);
        assert_int_equal(cache_take(cache, &record, true), rows[i].taken);
        e = cache_get(cache, DOMAIN, false);
        assert_int_equal(e != NULL && e->failure != NULL, rows[i].taken == CACHE_TAKEN);
        if (rows[i].taken == CACHE_TAKEN)
            assert_int_equal(cache_tried_ms(e, 0), boot_ms - rows[i].tried_ago_s * 1000);
        cache_free(cache);
    }
}

/* Played again it would make "none" of what nobody knows. */
static void
test_old_failure_says_nothing_of_a_known_domain(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct record record = failure_aged(DAY_S);
    struct entry *e = cache_want(cache, DOMAIN);

    (void)state;
    cache_set_unknown(cache, e, STS_DNS_SERVFAIL);
    assert_int_equal(cache_take(cache, &record, true), CACHE_USELESS);
    assert_null(e->failure);
    assert_int_equal(e->outcome, STS_DNS_SERVFAIL);
    assert_int_equal(cache_tried_ms(e, 0), 0);
    cache_free(cache);
}

static void
test_failure_ends_no_policy(void **state)
{
    struct cache *cache = cache_new(NULL, MEMORY, DAY_S * 1000);
    struct record record = failure_aged(0);

    (void)state;
    set_policy(cache, DOMAIN, DAY_S);
    assert_int_equal(cache_take(cache, &record, true), CACHE_SAME);
    assert_true(has_policy(cache, DOMAIN));
    assert_null(cache_get(cache, DOMAIN, false)->failure);
    cache_free(cache);
}

static enum cache_taken
bury(struct cache *cache, int64_t left_s)
{
    struct record record = {.kind = RECORD_TOMBSTONE,
                            .domain = DOMAIN,
                            .id = "id1",
                            .seq = LATER,
                            .fetched_s = WALL_S - DAY_S,
                            .until_s = WALL_S + left_s};

    return cache_take(cache, &record, false);
}

/* The policy that it forgot would have ended: there is nothing left that it could mean. */
static void
test_tombstone_counts_until_its_policy_would_have_ended(void **state)
{
    struct store *store;
    struct cache *cache;

    (void)state;
    for (int on_disk = 0; on_disk <= 1; on_disk++) {
        open_all(&store, &cache);
        set_policy(cache, DOMAIN, DAY_S);
        if (on_disk)
            reopen(&store, &cache);
        assert_int_equal(bury(cache, -61), CACHE_USELESS);
        assert_int_equal(bury(cache, -DAY_S), CACHE_USELESS);
        if (on_disk)
            reopen(&store, &cache);
        assert_true(has_policy(cache, DOMAIN));
        if (on_disk)
            reopen(&store, &cache);
        assert_int_equal(bury(cache, -60), CACHE_TAKEN);
        assert_false(has_policy(cache, DOMAIN));
        assert_string_equal(stored(store).domain, "");
        close_all(store, cache);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_failure_counts_while_it_is_new),
        IN_DIRECTORY(test_old_failure_says_nothing_of_a_known_domain),
        IN_DIRECTORY(test_failure_ends_no_policy),
        IN_DIRECTORY(test_tombstone_counts_until_its_policy_would_have_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
