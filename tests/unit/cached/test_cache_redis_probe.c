/* What probes found, against a real Redis, with two links, as two nodes have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cached/cache_redis_desk.h"

#define HOST "mx1.example.com"
#define KEY "t:p:" HOST

struct got {
    struct desk *desk;
    bool there;
    enum sts_error error;
    char detail[RECORD_DETAIL_SIZE];
    int64_t left_s;
};

static void
on_probe(const struct record *record, int64_t left_s, void *arg)
{
    struct got *got = arg;

    got->desk->called++;
    got->there = record != NULL;
    got->left_s = left_s;
    if (record == NULL)
        return;
    got->error = record->error;
    strcpy(got->detail, record->detail);
}

static struct got
get(struct desk *d)
{
    struct got got = {.desk = d};

    d->called = 0;
    cache_redis_get_probe(d->nodes[1].cr, HOST, on_probe, &got);
    desk_run_until(d, desk_was_called);
    return got;
}

static void
put(struct desk *d, enum sts_error error, const char *detail, int64_t life_s)
{
    struct record record = {.domain = HOST, .error = error};

    strcpy(record.detail, detail);
    cache_redis_put_probe(d->nodes[0].cr, &record, life_s);
    desk_run_ms(d, 50);
}

static void
test_what_is_put_is_got(void **state)
{
    struct desk *d = *state;
    struct got got;

    assert_false(get(d).there);
    put(d, STS_TLS_NAME, "certificate is for x.test", 300);
    got = get(d);
    assert_true(got.there);
    assert_int_equal(got.error, STS_TLS_NAME);
    assert_string_equal(got.detail, "certificate is for x.test");
    assert_in_range(got.left_s, 295, 300);
    assert_in_range(atoi(ASK("TTL", KEY)), 295, 300);
    put(d, STS_OK, "", CACHE_REDIS_PROBE_S);
    got = get(d);
    assert_int_equal(got.error, STS_OK);
    assert_string_equal(got.detail, "");
    assert_in_range(got.left_s, 3595, 3600);
    assert_int_equal(d->stats.redis_refused, 0);
    assert_string_equal(ASK("XLEN", "t:e"), "0"); /* no event: nobody waits for it */
}

static void
test_what_is_not_the_farms_is_passed_over(void **state)
{
    struct desk *d = *state;
    char text[2000];

    put(d, STS_OK, "", 600);
    snprintf(text, sizeof text, "%s", ASK("GET", KEY));
    ASK("SET", "t:p:mx2.example.com", text);
    ASK("SETRANGE", KEY, "40", "x");
    assert_false(get(d).there);
    assert_int_equal(d->stats.redis_refused, 1);
    ASK("RENAME", "t:p:mx2.example.com", KEY);
    assert_true(get(d).there);
    ASK("SET", "t:p:mx3.example.com", text);
    d->called = 0;
    cache_redis_get_probe(d->nodes[1].cr, "mx3.example.com", on_probe, &(struct got){.desk = d});
    desk_run_until(d, desk_was_called);
    assert_int_equal(d->stats.redis_refused, 2); /* another host's */
    ASK("DEL", KEY);
    ASK("LPUSH", KEY, "x");
    assert_false(get(d).there);
    put(d, STS_OK, "", 600); /* over whatever stands there */
    assert_true(get(d).there);
}

/* Signed by the farm, and yet played again, or of another kind. */
static void
test_what_is_signed_must_be_one_of_today(void **state)
{
    struct desk *d = *state;
    int64_t now_s = (int64_t)(cache_redis_now_us(d->nodes[0].cr) / 1000000);
    const struct {
        enum record_kind kind;
        int64_t fetched_s, until_s;
        bool there;
    } rows[] = {
        {RECORD_PROBE, now_s - 60, now_s + 60, true},
        {RECORD_PROBE, now_s - 600, now_s - 1, false},
        {RECORD_PROBE, now_s - 60, now_s + 3600, false},
        {RECORD_PROBE, now_s + 600, now_s + 900, false},
        {RECORD_TOMBSTONE, now_s - 60, now_s + 60, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct record record = {.kind = rows[i].kind,
                                .domain = HOST,
                                .fetched_s = rows[i].fetched_s,
                                .until_s = rows[i].until_s,
                                .error = STS_TLS_NAME};
        struct buf bytes;

        buf_init(&bytes, RECORD_MAX);
        record_encode(&record, NULL, &bytes);
        ASK("SET", KEY, buf_string(&bytes));
        if (get(d).there != rows[i].there)
            fail_msg("row %zu", i);
        buf_done(&bytes);
    }
}

/* Nor does a probe's record say anything of a domain. */
static void
test_a_probe_is_no_record_of_a_domain(void **state)
{
    struct desk *d = *state;
    struct record record = {.kind = RECORD_PROBE, .fetched_s = 1, .until_s = 2};
    struct buf bytes;

    strcpy(record.domain, desk_domain);
    buf_init(&bytes, RECORD_MAX);
    record_encode(&record, NULL, &bytes);
    ASK("SET", desk_record_key, buf_string(&bytes));
    buf_done(&bytes);
    desk_get(d);
    assert_true(d->refused && !d->there);
}

static void
test_cancelled_and_unfinished_jobs_say_nothing(void **state)
{
    struct desk *d = *state;
    struct got got = {.desk = d};

    cache_redis_cancel(cache_redis_get_probe(d->nodes[0].cr, HOST, on_probe, &got));
    desk_run_ms(d, 100);
    assert_int_equal(d->called, 0);
    cache_redis_get_probe(d->nodes[0].cr, HOST, on_probe, &got); /* under way when all ends */
}

static void
test_a_hanging_redis_knows_nothing(void **state)
{
    struct desk *d = *state;

    put(d, STS_OK, "", 600);
    redis_lab_hang(d->lab);
    assert_false(get(d).there);
    redis_lab_wake(d->lab);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REDIS(test_what_is_put_is_got),
        WITH_REDIS(test_what_is_not_the_farms_is_passed_over),
        WITH_REDIS(test_what_is_signed_must_be_one_of_today),
        WITH_REDIS(test_a_probe_is_no_record_of_a_domain),
        WITH_REDIS(test_cancelled_and_unfinished_jobs_say_nothing),
        WITH_REDIS(test_a_hanging_redis_knows_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
