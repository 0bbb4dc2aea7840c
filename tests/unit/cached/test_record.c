#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/record.h"

static const char body[] =
    "version: STSv1\r\nmode: enforce\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

static struct record
sample(void)
{
    return (struct record){
        .domain = "example.com",
        .id = "20260801",
        .old_ids = {{"20260701", 1789990000}, {"1", 2}},
        .seq = 1790000000000000,
        .fetched_s = 1790000000,
        .refresh_s = 1790050000,
        .asked_day = 20650,
        .body = {body, sizeof body - 1},
    };
}

static void
test_is_written_as_documented(void **state)
{
    static const char want[] =
        "sts1 policy\ndomain: example.com\nseq: 1790000000000000\nid: 20260801\n"
        "old-ids: 20260701=1789990000 1=2\nfetched: 1790000000\nrefresh: 1790050000\nasked: "
        "20650\nbody: 67\n"
        "version: STSv1\r\nmode: enforce\r\nmx: *.example.net\r\nmax_age: 604800\r\n\n"
        "mac: 32fcc9f017371a2f5c6655ce78c75b8867504ea5bebbd784aaa1cea807b8752c\n";
    struct record r = sample();
    struct buf b;

    (void)state;
    buf_init(&b, RECORD_MAX);
    record_encode(&r, NULL, &b);
    assert_string_equal(buf_string(&b), want);
    buf_done(&b);
}

static void
test_is_appended(void **state)
{
    struct record r = sample(), got;
    struct buf b;

    (void)state;
    buf_init(&b, RECORD_MAX);
    buf_add_string(&b, "before"); /* is not summed */
    record_encode(&r, NULL, &b);
    assert_true(record_decode(b.data + 6, b.len - 6, NULL, &got));
    assert_string_equal(got.domain, r.domain);
    buf_done(&b);
}

static void
test_extremes_come_back(void **state)
{
    static char large[65536];
    struct record r = sample(), got;
    struct buf b;

    (void)state;
    memset(large, '\0', sizeof large);
    r.body = (struct span){large, sizeof large};
    r.id[0] = '\0';
    r.seq = 999999999999999999;
    r.fetched_s = 0;
    buf_init(&b, RECORD_MAX);
    record_encode(&r, NULL, &b);
    assert_false(buf_failed(&b));
    assert_true(record_decode(b.data, b.len, NULL, &got));
    assert_string_equal(got.id, "");
    assert_true(got.seq == r.seq);
    assert_int_equal(got.body.len, sizeof large);
    r.body.len = 0;
    buf_reset(&b);
    record_encode(&r, NULL, &b);
    assert_true(record_decode(b.data, b.len, NULL, &got));
    assert_int_equal(got.body.len, 0);
    buf_done(&b);
}

/* One of each kind. */
static struct record
sample_of(enum record_kind kind)
{
    struct record r = sample();

    r.kind = kind;
    if (kind == RECORD_POLICY)
        return r;
    r.refresh_s = r.asked_day = 0;
    r.body = (struct span){0};
    if (kind != RECORD_FAILURE)
        r.until_s = 1790604800;
    if (kind != RECORD_TOMBSTONE) {
        r.error = STS_HTTP_STATUS;
        r.http_status = 503;
        strcpy(r.detail, "HTTP status 503");
    }
    return r;
}

static void
encode(enum record_kind kind, struct buf *b)
{
    struct record r = sample_of(kind);

    buf_init(b, RECORD_MAX);
    record_encode(&r, NULL, b);
    assert_false(buf_failed(b));
}

static void
test_every_altered_bit_is_noticed(void **state)
{
    struct record got;
    struct buf b;

    (void)state;
    for (enum record_kind kind = RECORD_POLICY; kind <= RECORD_PROBE; kind++) {
        encode(kind, &b);
        for (size_t i = 0; i < b.len * 8; i++) {
            b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
            if (record_decode(b.data, b.len, NULL, &got))
                fail_msg("kind %d, bit %zu", (int)kind, i);
            b.data[i / 8] = (char)(b.data[i / 8] ^ (1 << (i % 8)));
        }
        assert_true(record_decode(b.data, b.len, NULL, &got));
        buf_done(&b);
    }
}

static void
test_every_cut_is_noticed(void **state)
{
    struct record got;
    struct buf b;

    (void)state;
    for (enum record_kind kind = RECORD_POLICY; kind <= RECORD_PROBE; kind++) {
        encode(kind, &b);
        for (size_t len = 0; len < b.len; len++) {
            char *exact = alloc_string_len(b.data, len);
            assert_false(record_decode(exact, len, NULL, &got));
            free(exact);
        }
        buf_add_char(&b, '\n');
        assert_false(record_decode(b.data, b.len, NULL, &got));
        buf_done(&b);
    }
}

/* Every field of every kind, and nothing of another kind. */
static void
test_every_field_comes_back(void **state)
{
    struct record want, got;
    struct buf b;

    (void)state;
    for (enum record_kind kind = RECORD_POLICY; kind <= RECORD_PROBE; kind++) {
        want = sample_of(kind);
        encode(kind, &b);
        assert_true(record_decode(b.data, b.len, NULL, &got));
        assert_int_equal(got.kind, kind);
        assert_string_equal(got.domain, want.domain);
        assert_string_equal(got.id, want.id);
        assert_true(got.seq == want.seq);
        for (size_t i = 0; i < RECORD_OLD_IDS; i++) {
            assert_string_equal(got.old_ids[i].id, want.old_ids[i].id);
            assert_int_equal(got.old_ids[i].superseded_s, want.old_ids[i].superseded_s);
        }
        assert_int_equal(got.fetched_s, want.fetched_s);
        assert_int_equal(got.refresh_s, want.refresh_s);
        assert_int_equal(got.asked_day, want.asked_day);
        assert_int_equal(got.body.len, want.body.len);
        assert_memory_equal(got.body.at, body, want.body.len);
        assert_int_equal(got.error, want.error);
        assert_int_equal(got.http_status, want.http_status);
        assert_string_equal(got.detail, want.detail);
        assert_int_equal(got.until_s, want.until_s);
        buf_done(&b);
    }
}

/* Decodes `fields` with a right sum behind it. */
static bool
decodes(const char *fields)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    struct record got;
    struct buf b;
    bool ok;

    EVP_Digest(fields, strlen(fields), sum, NULL, EVP_sha256(), NULL);
    buf_init(&b, 2 * RECORD_MAX);
    buf_printf(&b, "%smac: ", fields);
    for (int i = 0; i < 32; i++)
        buf_printf(&b, "%02x", sum[i]);
    buf_add_char(&b, '\n');
    ok = record_decode(b.data, b.len, NULL, &got);
    buf_done(&b);
    return ok;
}

#define OLD "old-ids: -\n"
#define TIMES "fetched: 1\nrefresh: 2\nasked: 3\n"

#define FAILURE "sts1 failure\ndomain: a.b\nseq: 1\nid: x\n" OLD "fetched: 1\n"
#define TOMBSTONE "sts1 tombstone\ndomain: a.b\nseq: 1\nid: x\n" OLD "fetched: 1\n"

static void
test_form_is_strict(void **state)
{
    static const struct {
        const char *name, *fields;
        bool ok;
    } cases[] = {
        {"good", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n", true},
        {"empty id", "sts1 policy\ndomain: a.b\nseq: 1\nid: -\n" OLD TIMES "body: 1\nX\n", true},
        {"zero", "sts1 policy\ndomain: a.b\nseq: 0\nid: x\n" OLD TIMES "body: 0\n\n", true},
        {"other kind", "sts1 failure\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n",
         false},
        {"other version", "sts2 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n",
         false},
        {"order", "sts1 policy\nseq: 1\ndomain: a.b\nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"leading zero", "sts1 policy\ndomain: a.b\nseq: 01\nid: x\n" OLD TIMES "body: 1\nX\n",
         false},
        {"sign", "sts1 policy\ndomain: a.b\nseq: -1\nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"no number", "sts1 policy\ndomain: a.b\nseq: \nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"19 digits",
         "sts1 policy\ndomain: a.b\nseq: 1000000000000000000\nid: x\n" OLD TIMES "body: 1\nX\n",
         false},
        {"two blanks", "sts1 policy\ndomain: a.b\nseq:  1\nid: x\n" OLD TIMES "body: 1\nX\n",
         false},
        {"trailing blank", "sts1 policy\ndomain: a.b\nseq: 1 \nid: x\n" OLD TIMES "body: 1\nX\n",
         false},
        {"CR", "sts1 policy\r\ndomain: a.b\r\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"upper case", "sts1 policy\ndomain: A.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"final dot", "sts1 policy\ndomain: a.b.\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"no domain", "sts1 policy\ndomain: \nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\n", false},
        {"id of nothing", "sts1 policy\ndomain: a.b\nseq: 1\nid: \n" OLD TIMES "body: 1\nX\n",
         false},
        {"id with sign", "sts1 policy\ndomain: a.b\nseq: 1\nid: a-b\n" OLD TIMES "body: 1\nX\n",
         false},
        {"id of 32",
         "sts1 policy\ndomain: a.b\nseq: 1\nid: 12345678901234567890123456789012\n" OLD TIMES
         "body: 1\nX\n",
         true},
        {"id of 33",
         "sts1 policy\ndomain: a.b\nseq: 1\nid: 123456789012345678901234567890123\n" OLD TIMES
         "body: 1\nX\n",
         false},
        {"body longer", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nXY\n",
         false},
        {"bytes behind it", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX\nY",
         false},
        {"body shorter", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 2\nX\n",
         false},
        {"no line end", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES "body: 1\nX", false},
        {"no body", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" OLD TIMES, false},
        {"nothing", "", false},
        {"no old ids", "sts1 policy\ndomain: a.b\nseq: 1\nid: x\n" TIMES "body: 1\nX\n", false},
        {"three old ids",
         "sts1 policy\ndomain: a.b\nseq: 1\nid: x\nold-ids: a=1 b=2 c=3\n" TIMES "body: 1\nX\n",
         true},
        {"four old ids",
         "sts1 policy\ndomain: a.b\nseq: 1\nid: x\nold-ids: a=1 b=2 c=3 d=4\n" TIMES "body: 1\nX\n",
         false},
        {"an old id without time",
         "sts1 policy\ndomain: a.b\nseq: 1\nid: x\nold-ids: a\n" TIMES "body: 1\nX\n", false},
        {"a blank behind the old ids",
         "sts1 policy\ndomain: a.b\nseq: 1\nid: x\nold-ids: a=1 \n" TIMES "body: 1\nX\n", false},
        {"failure", FAILURE "error: http-status 503 HTTP status 503\n", true},
        {"failure without detail", FAILURE "error: timeout 0 \n", true},
        {"failure without status", FAILURE "error: timeout\n", false},
        {"failure that is none", FAILURE "error: ok 0 \n", false},
        {"failure of another word", FAILURE "error: bad-luck 0 \n", false},
        {"failure with four digits", FAILURE "error: http-status 1000 \n", false},
        {"failure with control byte", FAILURE "error: timeout 0 a\tb\n", false},
        {"failure with a body", FAILURE "error: timeout 0 \nbody: 1\nX\n", false},
        {"tombstone", TOMBSTONE "until: 5\n", true},
        {"tombstone without end", TOMBSTONE, false},
        {"tombstone and more", TOMBSTONE "until: 5\n\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (decodes(cases[i].fields) != cases[i].ok)
            fail_msg("%s", cases[i].name);
    }
}

static void
test_other_kinds_come_back(void **state)
{
    struct record failure = {.kind = RECORD_FAILURE,
                             .domain = "a.b",
                             .id = "1",
                             .seq = 7,
                             .fetched_s = 8,
                             .error = STS_HTTP_STATUS,
                             .http_status = 503,
                             .detail = "HTTP\nstatus \xff"};
    struct record tombstone = {
        .kind = RECORD_TOMBSTONE, .domain = "a.b", .seq = 7, .fetched_s = 8, .until_s = 9};
    struct record probe = {.kind = RECORD_PROBE, .domain = "mx.b", .fetched_s = 8, .until_s = 9};
    struct record got;
    struct buf b;

    (void)state;
    buf_init(&b, RECORD_MAX);
    record_encode(&failure, NULL, &b);
    assert_true(record_decode(b.data, b.len, NULL, &got));
    assert_int_equal(got.kind, RECORD_FAILURE);
    assert_int_equal(got.error, STS_HTTP_STATUS);
    assert_int_equal(got.http_status, 503);
    assert_string_equal(got.detail, "HTTP?status ?");
    buf_reset(&b);
    record_encode(&tombstone, NULL, &b);
    assert_true(record_decode(b.data, b.len, NULL, &got));
    assert_int_equal(got.kind, RECORD_TOMBSTONE);
    assert_int_equal(got.until_s, 9);
    buf_reset(&b);
    record_encode(&probe, NULL, &b);
    assert_non_null(strstr(b.data, "\nerror: ok 0 \nuntil: 9\nmac: ")); /* only here may it be ok */
    assert_true(record_decode(b.data, b.len, NULL, &got));
    assert_int_equal(got.kind, RECORD_PROBE);
    assert_int_equal(got.error, STS_OK);
    assert_int_equal(got.until_s, 9);
    buf_done(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_written_as_documented),
        cmocka_unit_test(test_is_appended),
        cmocka_unit_test(test_extremes_come_back),
        cmocka_unit_test(test_every_field_comes_back),
        cmocka_unit_test(test_every_altered_bit_is_noticed),
        cmocka_unit_test(test_every_cut_is_noticed),
        cmocka_unit_test(test_form_is_strict),
        cmocka_unit_test(test_other_kinds_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
