/* The lock, among two nodes and strangers, in a real Redis. */
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

static void
test_a_lock_is_held_renewed_and_given_up(void **state)
{
    struct desk *d = *state;

    desk_lock(d, 0, false);
    assert_true(d->locked);
    desk_lock(d, 1, false);
    assert_false(d->locked);
    assert_in_range(d->again_ms, 4000, 5070);
    ASK("PEXPIRE", desk_lock_key, "2600");
    desk_run_ms(d, 3000);
    assert_true(atoi(ASK("PTTL", desk_lock_key)) > 2600);
    cache_redis_unlock(d->nodes[1].cr, desk_domain, true); /* not its own */
    desk_run_ms(d, 50);
    assert_string_equal(ASK("EXISTS", desk_lock_key), "1");
    cache_redis_unlock(d->nodes[0].cr, desk_domain, true);
    desk_run_ms(d, 50);
    assert_string_equal(ASK("EXISTS", desk_lock_key), "0");
    assert_string_equal(ASK("XLEN", "t:e"), "1");
    desk_lock(d, 1, false);
    assert_true(d->locked);
    desk_lock(d, 0, true);
    assert_true(d->locked);
    desk_put(d, 0, RECORD_POLICY, d->seq);
    assert_string_equal(ASK("EXISTS", desk_lock_key), "0");
}

static void
test_a_forged_lock_delays_five_seconds(void **state)
{
    struct desk *d = *state;

    ASK("SET", desk_lock_key, "1790000000000000.0123456789abcdef.00");
    desk_lock(d, 0, false);
    assert_false(d->locked);
    assert_in_range(d->again_ms, 1, 5070);
    ASK("SET", desk_lock_key, "another", "PX", "900000");
    desk_run_ms(d, 5050);
    desk_lock(d, 0, false);
    assert_true(d->locked);
}

static void
test_an_old_lock_is_not_respected(void **state)
{
    struct desk *d = *state;
    char token[200];

    desk_lock(d, 0, false);
    snprintf(token, sizeof token, "%s", ASK("GET", desk_lock_key));
    cache_redis_unlock(d->nodes[0].cr, desk_domain, false);
    desk_run_ms(d, 1100);
    ASK("SET", desk_lock_key, token, "PX", "5000"); /* by somebody who kept it */
    desk_lock(d, 1, false);
    assert_in_range(d->again_ms, 4000, 5070);
    cache_redis_set_held_max(d->nodes[1].cr, 1000);
    desk_lock(d, 1, false); /* first seen too old */
    assert_false(d->locked);
    desk_run_ms(d, 2000);
    ASK("SET", desk_lock_key, token, "PX", "5000");
    desk_lock(d, 1, false);
    assert_in_range(d->again_ms, 1, 3070);
    ASK("DEL", desk_lock_key);
    desk_lock(d, 1, false);
    assert_true(d->locked);
}

static void
test_a_lock_that_was_taken_away_is_not_renewed(void **state)
{
    struct desk *d = *state;

    desk_lock(d, 0, false);
    desk_lock(d, 1, true);
    assert_true(d->locked);
    cache_redis_unlock(d->nodes[1].cr, desk_domain, false);
    ASK("SET", desk_lock_key, "another", "PX", "60000");
    desk_run_ms(d, 2300);
    assert_true(atoi(ASK("PTTL", desk_lock_key)) > 50000);
    cache_redis_unlock(d->nodes[0].cr, desk_domain, true); /* forgotten at the renewal: no event */
    desk_run_ms(d, 50);
    assert_string_equal(ASK("XLEN", "t:e"), "0");
}

/* A master whose clock is behind must not make a new fetch older than what is there. */
static void
test_a_lock_comes_after_the_record(void **state)
{
    struct desk *d = *state;
    uint64_t ahead = cache_redis_now_us(d->nodes[0].cr) + UINT64_C(3600000000);
    struct record there = desk_sample(RECORD_POLICY, ahead);
    struct buf bytes;

    buf_init(&bytes, RECORD_MAX);
    record_encode(&there, NULL, &bytes);
    ASK("SET", desk_record_key, buf_string(&bytes));
    buf_done(&bytes);
    desk_lock(d, 1, false);
    assert_true(d->there && d->seq > ahead);
    desk_put(d, 1, RECORD_POLICY, d->seq);
    assert_true(d->written && d->seq > ahead);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_a_lock_is_held_renewed_and_given_up),
        WITH_REDIS(test_a_forged_lock_delays_five_seconds),
        WITH_REDIS(test_an_old_lock_is_not_respected),
        WITH_REDIS(test_a_lock_that_was_taken_away_is_not_renewed),
        WITH_REDIS(test_a_lock_comes_after_the_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
