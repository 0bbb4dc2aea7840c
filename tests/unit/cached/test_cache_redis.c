/* Records, events and the index against a real Redis, with two links, as two nodes have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/unit/cached/cache_redis_desk.h"

/* --- records ---------------------------------------------------------------------------------- */

static void
test_what_is_put_is_got(void **state)
{
    struct desk *d = *state;

    desk_get(d);
    assert_false(d->there || d->refused);
    desk_put(d, 0, RECORD_POLICY, 1000);
    assert_true(d->written);
    assert_int_equal(d->seq, 1000);
    desk_get(d);
    assert_true(d->there);
    assert_int_equal(d->there_seq, 1000);
    assert_int_equal(atoi(ASK("TTL", desk_record_key)) > DESK_LIFE_S - 10, 1);
    assert_string_equal(ASK("XLEN", "t:e"), "1");
    assert_string_equal(ASK("ZCARD", "t:index"), "1");
}

static void
test_the_newer_one_stays(void **state)
{
    struct desk *d = *state;

    desk_put(d, 0, RECORD_POLICY, 1000);
    desk_put(d, 1, RECORD_POLICY, 1000);
    assert_false(d->written);
    desk_put(d, 1, RECORD_FAILURE, 2000);
    assert_false(d->written);
    desk_put(d, 1, RECORD_TOMBSTONE, 2000);
    assert_true(d->written);
    desk_put(d, 0, RECORD_POLICY, 1500);
    assert_false(d->written);
    desk_get(d);
    assert_int_equal(d->there_kind, RECORD_TOMBSTONE);
    desk_put(d, 0, RECORD_POLICY, UINT64_C(99999999999999999)); /* the year 5138 */
    assert_true(d->written);
    assert_true(d->seq < cache_redis_now_us(d->nodes[0].cr) + 1000000);
}

static void
test_two_write_at_once(void **state)
{
    struct desk *d = *state;
    struct record older = desk_sample(RECORD_POLICY, 1000);
    struct record newer = desk_sample(RECORD_POLICY, 2000);

    for (int node = 0; node < DESK_NODES; node++) {
        d->called = 0;
        ASK("DEL", desk_record_key);
        cache_redis_put(d->nodes[node].cr, &newer, DESK_LIFE_S, desk_on_put, d);
        cache_redis_put(d->nodes[!node].cr, &older, DESK_LIFE_S, desk_on_put, d);
        desk_run_ms(d, 200);
        assert_int_equal(d->called, 2);
        desk_get(d);
        assert_int_equal(d->there_seq, 2000);
    }
}

static void
test_what_is_not_the_farms_is_refused(void **state)
{
    struct desk *d = *state;
    char text[2000];

    desk_put(d, 0, RECORD_POLICY, 1000);
    snprintf(text, sizeof text, "%s", ASK("GET", desk_record_key));
    ASK("SET", "t:r:example.net", text);
    ASK("SETRANGE", desk_record_key, "30", "x");
    desk_get(d);
    assert_true(d->refused && !d->there);
    assert_int_equal(d->stats.redis_refused, 1);
    snprintf(text + strlen(text) - 5, 5, "%s", "\n");
    ASK("SET", desk_record_key, text);
    desk_get(d);
    assert_true(d->refused);
    ASK("RENAME", "t:r:example.net", "t:r:example.org");
    d->called = 0;
    cache_redis_get(d->nodes[0].cr, "example.org", desk_on_found, d);
    desk_run_until(d, desk_was_called);
    assert_true(d->refused && !d->there);
    desk_put(d, 0, RECORD_POLICY, 1); /* over what is none of ours, whatever its seq */
    assert_true(d->written);
}

/* A value that no reply may hold would end the connection, again and again. */
static void
test_many_are_got_at_once(void **state)
{
    static const char *const domains[] = {"absent.example", desk_domain, "long.example"};
    struct desk *d = *state;

    desk_put(d, 0, RECORD_POLICY, 1000);
    ASK("SETRANGE", "t:r:long.example", "5000000", "x");
    d->called = 0;
    cache_redis_get_many(d->nodes[0].cr, domains, 3, desk_on_each, desk_on_done, d);
    desk_run_until(d, desk_was_called);
    assert_int_equal(d->status, CACHE_REDIS_DONE);
    assert_int_equal(d->each, 3);
    assert_int_equal(d->there_seq, 1000);
    assert_true(desk_are_up(d));
}

static void
test_events_are_capped(void **state)
{
    struct desk *d = *state;

    ASK("EVAL", "for i = 1, 12000 do redis.call('XADD', KEYS[1], '*', 'd', 'x') end return 'done'",
        "1", "t:e");
    desk_put(d, 0, RECORD_POLICY, 1000);
    assert_in_range(atoi(ASK("XLEN", "t:e")), CACHE_REDIS_EVENTS_KEPT, 10200);
}

static void
test_keys_of_wrong_types(void **state)
{
    static const char *const keys[] = {"t:r:example.com", "t:l:example.com", "t:index", "t:e"};
    struct desk *d = *state;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        ASK("HSET", keys[i], "a", "b");
    desk_get(d);
    assert_true(d->status == CACHE_REDIS_DONE && d->refused);
    desk_page(d, 0, 10);
    assert_true(d->status == CACHE_REDIS_DONE && d->names == 0);
    desk_lock(d, 0, false);
    assert_false(d->locked);
    desk_put(d, 0, RECORD_POLICY, 1000);
    assert_true(d->written);
    desk_get(d);
    assert_true(d->there);
    desk_page(d, 0, 10);
    assert_int_equal(d->names, 1);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void
test_a_stream_at_its_end_begins_anew(void **state)
{
    struct desk *d = *state;

    ASK("XADD", "t:e", "18446744073709551615-18446744073709551615", "d", "x");
    desk_put(d, 0, RECORD_POLICY, 1000);
    assert_true(d->written);
    assert_string_equal(ASK("XLEN", "t:e"), "1");
    cache_redis_tell(d->nodes[0].cr, "*.example.net");
    desk_run_ms(d, 50);
    assert_string_equal(ASK("XLEN", "t:e"), "2");
}

static void
test_index_has_domains_only(void **state)
{
    static const char *const none[] = {"a_1",  "a..b", "-a.b",    "a-.b", "a.-b",    "a.b-",
                                       "a.b.", ".a.b", "../x",    "A.b",  "a.b\xc3", "a b.c",
                                       "1.2",  "12",   "a.b.c\n", ""};
    struct desk *d = *state;
    char label[65] = "", at_most[80];

    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        ASK("ZADD", "t:index", "1", none[i]);
    memset(label, 'a', sizeof label - 1);
    snprintf(at_most, sizeof at_most, "%063d.example", 0);
    ASK("ZADD", "t:index", "1", label, "5", "xn--b-a.example", "7", at_most, "+inf", "d.example");
    desk_page(d, 0, 10);
    assert_int_equal(d->names, 2);
    assert_string_equal(d->name, "xn--b-a.example");
    desk_page(d, 6, 10);
    assert_int_equal(d->names, 1);
    assert_string_equal(d->name, at_most);
    for (size_t max = 1; max <= 2; max++) { /* what is none ends no page early */
        desk_page(d, 0, max);
        assert_int_equal(d->names, max);
    }
}

static void
test_a_full_redis_is_away_for_writers(void **state)
{
    struct desk *d = *state;

    desk_put(d, 0, RECORD_POLICY, 1000);
    ASK("CONFIG", "SET", "maxmemory", "1");
    desk_put(d, 0, RECORD_POLICY, 2000);
    assert_int_equal(d->status, CACHE_REDIS_AWAY);
    desk_get(d);
    assert_true(d->there);
    assert_int_equal(d->there_seq, 1000);
}

static void
test_a_hanging_redis_is_away(void **state)
{
    struct desk *d = *state;
    int64_t began_ms = clock_boot_ms();

    redis_lab_hang(d->lab);
    desk_get(d);
    assert_int_equal(d->status, CACHE_REDIS_AWAY);
    assert_in_range(clock_boot_ms() - began_ms, 200, 2000);
    redis_lab_wake(d->lab);
}

static void
test_cancelled_jobs_say_nothing(void **state)
{
    struct desk *d = *state;
    struct cache_redis *cr = d->nodes[0].cr;
    struct record r = desk_sample(RECORD_POLICY, 1000);

    cache_redis_cancel(cache_redis_get(cr, desk_domain, desk_on_found, d));
    cache_redis_cancel(cache_redis_lock(cr, desk_domain, false, desk_on_locked, d));
    cache_redis_cancel(cache_redis_put(cr, &r, DESK_LIFE_S, desk_on_put, d));
    cache_redis_cancel(cache_redis_index(cr, 0, 10, desk_on_page, d));
    cache_redis_cancel(cache_redis_get_many(cr, (const char *const[]){desk_domain}, 1, desk_on_each,
                                            desk_on_done, d));
    cache_redis_cancel(NULL);
    desk_run_ms(d, 200);
    assert_int_equal(d->called + d->each, 0);
    assert_string_equal(ASK("EXISTS", desk_lock_key), "0");
    cache_redis_get(cr, desk_domain, desk_on_found, d); /* under way when all ends */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_what_is_put_is_got),      WITH_REDIS(test_the_newer_one_stays),
        WITH_REDIS(test_two_write_at_once),       WITH_REDIS(test_what_is_not_the_farms_is_refused),
        WITH_REDIS(test_many_are_got_at_once),    WITH_REDIS(test_events_are_capped),
        WITH_REDIS(test_keys_of_wrong_types),     WITH_REDIS(test_a_stream_at_its_end_begins_anew),
        WITH_REDIS(test_index_has_domains_only),  WITH_REDIS(test_a_full_redis_is_away_for_writers),
        WITH_REDIS(test_a_hanging_redis_is_away), WITH_REDIS(test_cancelled_jobs_say_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
