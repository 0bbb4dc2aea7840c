#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "cached/held.h"
#include "common/clock.h"
#include "tests/unit/cached/store_samples.h"

enum { BOOT_MS = 500 * 1000 * 1000, WALL_S = 1790000000, LIST_MAX = 4096 };

static const char body[] = "version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 86400\n";

struct place {
    struct store *store;
    struct cache *cache;
};

static int
set_up(void **state)
{
    static struct place place;

    clock_fake(BOOT_MS, WALL_S);
    sample_directory_make();
    place.store = sample_open();
    place.cache = cache_new(place.store, 64 << 20, 86400 * 1000);
    *state = &place;
    return 0;
}

static int
tear_down(void **state)
{
    struct place *place = *state;

    cache_free(place->cache);
    store_close(place->store);
    sample_directory_remove();
    return 0;
}

static void
put_in_store(struct store *store, const char *domain, const char *id, int64_t fetched_s)
{
    struct record r = {.seq = 1,
                       .fetched_s = fetched_s,
                       .refresh_s = fetched_s + 1000,
                       .asked_day = 20000,
                       .body = {body, sizeof body - 1}};

    strcpy(r.domain, domain);
    strcpy(r.id, id);
    store_put(store, &r);
}

static void
put_in_cache(struct cache *cache, const char *domain, const char *id)
{
    struct policy *policy;

    assert_int_equal(policy_parse((struct span){body, sizeof body - 1}, id, &policy, NULL, 0),
                     STS_OK);
    cache_set_policy(cache, cache_want(cache, domain), policy, 0);
}

static void
note(const struct held_policy *p, void *arg)
{
    char *list = arg;

    snprintf(list + strlen(list), LIST_MAX - strlen(list), "%s=%s ", p->domain, p->id);
    assert_int_equal(p->expires_s, p->fetched_s + 86400);
    assert_int_equal(policy_mx_count(p->policy), 1);
}

/* Everything held, page by page, with `|` between two pages. */
static const char *
walk(struct place *place, struct store *store, const char *glob, const char *after, size_t max)
{
    static char list[LIST_MAX];
    struct held *held = held_new(place->cache, store, glob, after);

    list[0] = '\0';
    while (held_next(held, max, note, list))
        strcat(list, "|");
    held_free(held);
    return list;
}

static void
test_merges_memory_and_store(void **state)
{
    struct place *place = *state;

    put_in_store(place->store, "a.example", "s1", WALL_S - 100);
    put_in_store(place->store, "c.example", "s1", WALL_S - 100);
    put_in_store(place->store, "e.example", "s1", WALL_S - 100);
    put_in_store(place->store, "gone.example", "s1", WALL_S - 86401);
    store_flush(place->store);
    assert_string_equal(walk(place, place->store, NULL, NULL, 100),
                        "a.example=s1 c.example=s1 e.example=s1 ");

    put_in_cache(place->cache, "b.example", "m1");
    put_in_cache(place->cache, "c.example", "m2");
    put_in_cache(place->cache, "f.example", "m1");
    cache_set_none(place->cache, cache_want(place->cache, "none.example"), STS_NO_RECORD, 300);
    assert_string_equal(walk(place, place->store, NULL, NULL, 100),
                        "a.example=s1 b.example=m1 c.example=m2 e.example=s1 f.example=m1 ");
    assert_string_equal(walk(place, NULL, NULL, NULL, 100),
                        "b.example=m1 c.example=m2 f.example=m1 ");
}

static void
test_pages(void **state)
{
    struct place *place = *state;

    for (char c = 'a'; c <= 'e'; c += 2)
        put_in_store(place->store, (char[]){c, '.', 'x', 0}, "s", WALL_S);
    store_flush(place->store);
    put_in_cache(place->cache, "b.x", "m");
    put_in_cache(place->cache, "f.x", "m");
    assert_string_equal(walk(place, place->store, NULL, NULL, 2),
                        "a.x=s b.x=m |c.x=s e.x=s |f.x=m ");
    assert_string_equal(walk(place, place->store, NULL, "b.x", 2), "c.x=s e.x=s |f.x=m ");
    assert_string_equal(walk(place, place->store, NULL, "bb.x", 9), "c.x=s e.x=s f.x=m ");
    assert_string_equal(walk(place, place->store, "[a-c].x", NULL, 2), "");
    assert_string_equal(walk(place, place->store, "?.x", "e.x", 2), "f.x=m ");
}

/* A page ends after HELD_SCAN_MAX records even if nothing in them matches. */
static void
test_scan_is_bounded(void **state)
{
    struct place *place = *state;
    char domain[40];

    for (int i = 0; i < 2 * HELD_SCAN_MAX + 10; i++) {
        snprintf(domain, sizeof domain, "d%05d.example", i);
        put_in_store(place->store, domain, "s", WALL_S);
    }
    put_in_store(place->store, "last.example", "s", WALL_S);
    store_flush(place->store);
    assert_string_equal(walk(place, place->store, "last.*", NULL, 5), "||last.example=s ");
}

static void
test_find(void **state)
{
    struct place *place = *state;
    char list[LIST_MAX] = "";

    put_in_store(place->store, "a.example", "s1", WALL_S - 100);
    put_in_store(place->store, "gone.example", "s1", WALL_S - 86401);
    store_flush(place->store);
    put_in_cache(place->cache, "b.example", "m1");
    assert_true(held_find(place->cache, place->store, "a.example", note, list));
    assert_true(held_find(place->cache, place->store, "b.example", note, list));
    assert_false(held_find(place->cache, place->store, "gone.example", note, list));
    assert_false(held_find(place->cache, place->store, "x.example", note, list));
    assert_false(held_find(place->cache, NULL, "a.example", note, list));
    assert_string_equal(list, "a.example=s1 b.example=m1 ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_merges_memory_and_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_scan_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_find, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
