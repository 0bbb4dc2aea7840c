#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "cached/cache_mem.h"

/* Room for about ten entries in each half. */
enum { TEN = 3000 };

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
    assert_int_equal(policy_parse((struct span){body, sizeof body - 1}, "", &e->policy, NULL, 0),
                     STS_OK);
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
    uint64_t bare;

    (void)state;
    cache_mem_stats(m, &stats);
    bare = stats.other_bytes;
    add(m, 2);
    give_policy(m, e);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.policies, 1);
    assert_int_equal(stats.others, 1);
    assert_int_equal(stats.other_bytes, bare);
    assert_true(stats.policy_bytes >= bare + policy_body(e->policy).len);
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

static void
test_clear_keeps_what_is_pinned(void **state)
{
    struct cache_mem *m = cache_mem_new(1 << 20);
    struct cache_stats stats;

    (void)state;
    for (int n = 0; n < 4; n++)
        add(m, n);
    for (int n = 4; n < 8; n++)
        give_policy(m, add(m, n));
    cache_mem_find(m, "d000.example")->pinned = 1;
    cache_mem_clear(m, false);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.others, 1);
    assert_int_equal(stats.policies, 4);
    cache_mem_clear(m, true);
    cache_mem_stats(m, &stats);
    assert_true(has(m, 0));
    assert_int_equal(stats.policies + stats.others, 1);
    cache_mem_free(m);
}

/* What the program has from malloc, and how much of a block that leaves out. `in_use` is 0 under
 * valgrind, whose malloc does not tell. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
size_t __sanitizer_get_current_allocated_bytes(void);
enum { UNTOLD = sizeof(size_t) };

static size_t
in_use(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
enum { UNTOLD = 0 };

static size_t
in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}
#endif

/* With all that an entry can have. */
static void
fill(struct cache_mem *m, int n)
{
    struct entry *e = add(m, n);

    give_policy(m, e);
    cache_mem_take(m, e);
    e->mx = alloc_zero(1, sizeof *e->mx + (size_t)(n % 100));
    e->failure = alloc_zero(1, sizeof *e->failure + (size_t)(n % 50));
    e->old_ids = alloc_zero(RECORD_OLD_IDS, sizeof *e->old_ids);
    cache_mem_settle(m, e);
}

static void
test_account_is_what_malloc_gave(void **state)
{
    enum { MANY = 10000, BLOCKS = MANY / 2 * (1 + 5) };
    struct cache_stats stats;
    struct cache_mem *m;
    size_t before = in_use();
    double given;

    (void)state;
    if (before == 0)
        skip();
    m = cache_mem_new(1 << 30);
    for (int n = 0; n < MANY; n++)
        n % 2 == 0 ? (void)add(m, n) : fill(m, n);
    given = (double)(in_use() - before + BLOCKS * UNTOLD);
    cache_mem_stats(m, &stats);
    assert_in_range(stats.policies, MANY / 2, MANY / 2);
    assert_true((double)(stats.policy_bytes + stats.other_bytes) > 0.98 * given);
    assert_true((double)(stats.policy_bytes + stats.other_bytes) < 1.02 * given);
    cache_mem_free(m);
}

/* What was taken from the account and what was given back are the same, whatever was done. */
static void
test_account_ends_at_nothing(void **state)
{
    struct cache_mem *m = cache_mem_new(1 << 20);
    struct cache_stats stats;

    (void)state;
    for (int n = 0; n < 20; n++)
        n % 2 == 0 ? (void)add(m, n) : fill(m, n);
    for (int n = 1; n < 20; n += 4) {
        struct entry *e = cache_mem_find(m, n < 10 ? "d001.example" : "d013.example");

        cache_mem_touch(m, e);
        cache_mem_drop_failure(m, e);
        assert_null(e->failure);
        assert_ptr_equal(cache_mem_find(m, e->domain), e);
    }
    cache_mem_set_limit(m, 0);
    cache_mem_stats(m, &stats);
    assert_int_equal(stats.policies + stats.others, 0);
    assert_int_equal(stats.policy_bytes + stats.other_bytes, 0);
    cache_mem_free(m);
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
        cmocka_unit_test(test_clear_keeps_what_is_pinned),
        cmocka_unit_test(test_account_is_what_malloc_gave),
        cmocka_unit_test(test_account_ends_at_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
