#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/cache_mem.h"

/* Room for about ten entries in each half. */
enum { TEN = 4000 };

static struct entry *
add(struct cache_mem *m, int n)
{
    char domain[32];

    snprintf(domain, sizeof domain, "d%03d.example", n);
    return cache_mem_add(m, domain);
}

static bool
has(const struct cache_mem *m, int n)
{
    char domain[32];

    snprintf(domain, sizeof domain, "d%03d.example", n);
    return cache_mem_find(m, domain) != NULL;
}

static void
give_policy(struct cache_mem *m, struct entry *e)
{
    static const char body[] = "version: STSv1\nmode: none\nmax_age: 86400\n";

    cache_mem_take(m, e);
    assert_int_equal(policy_parse(body, sizeof body - 1, &e->policy, NULL, 0), STS_OK);
    cache_mem_settle(m, e);
}

static void
test_least_recently_used_goes(void **state)
{
    struct cache_mem *m = cache_mem_new(TEN);
    struct cache_stats stats;
    struct entry *first = add(m, 0);

    (void)state;
    for (int n = 1; n < 50; n++) {
        add(m, n);
        cache_mem_touch(m, first);
    }
    cache_mem_stats(m, &stats);
    assert_true(stats.others >= 5 && stats.others <= 10);
    assert_int_equal(stats.others + stats.other_evictions, 50);
    assert_true(stats.other_bytes <= TEN / 2);
    assert_true(has(m, 0));
    assert_false(has(m, 1));
    assert_true(has(m, 49));
    assert_false(has(m, 50 - (int)stats.others));
    assert_true(has(m, 51 - (int)stats.others));
    cache_mem_free(m);
}

static void
test_halves_do_not_crowd_each_other(void **state)
{
    struct cache_mem *m = cache_mem_new(TEN);
    struct cache_stats stats;

    (void)state;
    for (int n = 0; n < 3; n++)
        give_policy(m, add(m, n));
    for (int n = 100; n < 200; n++)
        add(m, n);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.policies, 3);
    assert_int_equal(stats.policy_evictions, 0);
    for (int n = 0; n < 3; n++)
        assert_true(has(m, n));
    for (int n = 3; n < 50; n++)
        give_policy(m, add(m, n));
    cache_mem_stats(m, &stats);
    assert_true(stats.policy_evictions > 0);
    assert_false(has(m, 0));
    assert_true(has(m, 199));
    cache_mem_free(m);
}

static void
test_entry_moves_to_the_half_it_belongs_to(void **state)
{
    struct cache_mem *m = cache_mem_new(1 << 20);
    struct cache_stats stats;
    struct entry *e = add(m, 1);
    uint32_t bare = e->bytes;

    (void)state;
    add(m, 2);
    give_policy(m, e);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.policies, 1);
    assert_int_equal(stats.others, 1);
    assert_int_equal(stats.policy_bytes, e->bytes);
    assert_true(e->bytes >= bare + policy_size(e->policy));
    cache_mem_take(m, e);
    policy_free(e->policy);
    e->policy = NULL;
    cache_mem_settle(m, e);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.policies, 0);
    assert_int_equal(stats.policy_bytes, 0);
    assert_int_equal(stats.others, 2);
    assert_int_equal(stats.other_bytes, 2 * bare);
    cache_mem_free(m);
}

static void
test_pinned_stays(void **state)
{
    struct cache_mem *m = cache_mem_new(TEN);
    struct entry *e = add(m, 0);

    (void)state;
    e->pinned = 1;
    for (int n = 1; n < 100; n++)
        add(m, n);
    assert_true(has(m, 0));
    e->pinned = 0;
    add(m, 100);
    assert_false(has(m, 0));
    cache_mem_free(m);
}

static void
test_newest_stays_however_large(void **state)
{
    struct cache_mem *m = cache_mem_new(10);
    struct cache_stats stats;

    (void)state;
    add(m, 0);
    assert_true(has(m, 0));
    give_policy(m, add(m, 1));
    assert_true(has(m, 1));
    add(m, 2);
    assert_false(has(m, 0));
    assert_true(has(m, 2));
    cache_mem_shrink(m);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.policies + stats.others, 0);
    cache_mem_free(m);
}

static void
test_lower_limit_takes_effect(void **state)
{
    struct cache_mem *m = cache_mem_new(1 << 20);
    struct cache_stats stats;

    (void)state;
    for (int n = 0; n < 100; n++)
        add(m, n);
    cache_mem_set_limit(m, TEN);
    cache_mem_stats(m, &stats);
    assert_true(stats.other_bytes <= TEN / 2);
    assert_true(has(m, 99));
    cache_mem_free(m);
}

static void
count(struct entry *e, void *arg)
{
    assert_non_null(strstr(e->domain, ".example"));
    ++*(int *)arg;
}

static void
test_walk_sees_all(void **state)
{
    struct cache_mem *m = cache_mem_new(1 << 20);
    int seen = 0;

    (void)state;
    for (int n = 0; n < 10; n++)
        add(m, n);
    give_policy(m, add(m, 10));
    cache_mem_walk(m, count, &seen);
    assert_int_equal(seen, 11);
    cache_mem_free(m);
    cache_mem_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_halves_do_not_crowd_each_other),
        cmocka_unit_test(test_entry_moves_to_the_half_it_belongs_to),
        cmocka_unit_test(test_pinned_stays),
        cmocka_unit_test(test_newest_stays_however_large),
        cmocka_unit_test(test_lower_limit_takes_effect),
        cmocka_unit_test(test_walk_sees_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
