/* What the source is asked for, over a fake resolver and a fake fetcher. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cached/source_lab.h"

/* --- TXT --------------------------------------------------------------------- */

static const struct fake_answer txt_answers[] = {
    {"_mta-sts.one.test", DNS_TXT, .ttl_s = 77, .records = {{0, "v=STSv1; id=1;"}}},
    {"_mta-sts.two.test", DNS_TXT, .ttl_s = 5, .records = {{0, "a"}, {0, ""}, {0, "c"}}},
    {"_mta-sts.none.test", DNS_TXT, .error = STS_NO_RECORD, .ttl_s = 300},
    {"_mta-sts.bad.test", DNS_TXT, .error = STS_DNS_SERVFAIL},
};

static const struct {
    const char *domain;
    enum sts_error want;
    uint32_t ttl_s;
    const char *text, *detail;
} txt_rows[] = {
    {"one.test", STS_OK, 77, "v=STSv1; id=1; ", ""},
    {"two.test", STS_OK, 5, "a  c ", ""},
    {"none.test", STS_NO_RECORD, 300, "", ""},
    {"bad.test", STS_DNS_SERVFAIL, 0, "", "as the test wants"},
};

static void
test_txt(void **state)
{
    (void)state;
    fake_dns_set(txt_answers, sizeof(txt_answers) / sizeof(*txt_answers));
    for (size_t i = 0; i < sizeof(txt_rows) / sizeof(*txt_rows); i++) {
        struct got got = {0};
        source_txt(lab.source, txt_rows[i].domain, lab_on_txt, &got);
        lab_wait_for(&got, 1);
        assert_int_equal(got.error, txt_rows[i].want);
        assert_int_equal(got.ttl_s, txt_rows[i].ttl_s);
        assert_string_equal(got.text, txt_rows[i].text);
        assert_string_equal(got.detail, txt_rows[i].detail);
    }
}

/* --- FETCH --------------------------------------------------------------------- */

#define A4 DNS_A, .ttl_s = 60, .records = {{0, "192.0.2.1"}}
#define A6 DNS_AAAA, .ttl_s = 60, .records = {{0, "2001:db8::1"}}

static const struct fake_answer fetch_answers[] = {
    {"mta-sts.both.test", DNS_A, .delay_ms = 20,
     .records = {{0, "192.0.2.1"}, {0, "192.0.2.2"}, {0, "192.0.2.3"}}},
    {"mta-sts.both.test", DNS_AAAA, .records = {{0, "2001:db8::1"}, {0, "2001:db8::2"}}},
    {"mta-sts.v4.test", A4},
    {"mta-sts.v4.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"mta-sts.v6.test", DNS_A, .error = STS_NO_RECORD},
    {"mta-sts.v6.test", A6},
    {"mta-sts.half.test", A4},
    {"mta-sts.half.test", DNS_AAAA, .error = STS_DNS_TIMEOUT, .delay_ms = 20},
    {"mta-sts.none.test", DNS_A, .error = STS_NO_RECORD, .delay_ms = 20},
    {"mta-sts.none.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"mta-sts.maybe.test", DNS_A, .error = STS_NO_RECORD, .delay_ms = 20},
    {"mta-sts.maybe.test", DNS_AAAA, .error = STS_DNS_SERVFAIL},
    {"mta-sts.away.test", DNS_A, .error = STS_DNS_TIMEOUT},
    {"mta-sts.away.test", DNS_AAAA, .error = STS_DNS_TIMEOUT, .delay_ms = 20},
};

static const struct {
    const char *domain;
    enum sts_error want;
    const char *addresses; /* NULL: no fetch at all */
} fetch_rows[] = {
    {"both.test", STS_OK, "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 192.0.2.3"},
    {"v4.test", STS_OK, "192.0.2.1"},
    {"v6.test", STS_OK, "2001:db8::1"},
    {"half.test", STS_OK, "192.0.2.1"},
    {"none.test", STS_NO_HOST, NULL},
    {"maybe.test", STS_DNS_SERVFAIL, NULL},
    {"away.test", STS_DNS_TIMEOUT, NULL},
};

static void
test_fetch(void **state)
{
    (void)state;
    fake_dns_set(fetch_answers, sizeof(fetch_answers) / sizeof(*fetch_answers));
    fake_fetch.outcome =
        (struct fetch_result){.error = STS_OK, .http_status = 200, .body = "policy", .len = 6};
    for (size_t i = 0; i < sizeof(fetch_rows) / sizeof(*fetch_rows); i++) {
        struct got got = {0};
        int started = fake_fetch.started;
        source_fetch(lab.source, fetch_rows[i].domain, lab_on_fetch, &got);
        lab_wait_for(&got, 1);
        assert_int_equal(got.error, fetch_rows[i].want);
        assert_int_equal(fake_fetch.started - started, fetch_rows[i].addresses != NULL);
        assert_int_equal(got.detail[0] != '\0', fetch_rows[i].want != STS_OK);
        if (fetch_rows[i].addresses == NULL)
            continue;
        assert_string_equal(fake_fetch.domain, fetch_rows[i].domain);
        assert_string_equal(fake_fetch.addresses, fetch_rows[i].addresses);
        assert_string_equal(got.text, "policy ");
        assert_int_equal(got.ttl_s, 200);
    }
}

static void
test_fetch_failure(void **state)
{
    struct got got = {0};

    (void)state;
    fake_dns_set(fetch_answers, sizeof(fetch_answers) / sizeof(*fetch_answers));
    fake_fetch.outcome = (struct fetch_result){
        .error = STS_HTTP_STATUS, .detail = "HTTP status 503", .http_status = 503, .body = ""};
    source_fetch(lab.source, "v4.test", lab_on_fetch, &got);
    lab_wait_for(&got, 1);
    assert_int_equal(got.error, STS_HTTP_STATUS);
    assert_string_equal(got.detail, "HTTP status 503");
    assert_int_equal(got.ttl_s, 503);
}

#define FIFTY "a2345678901234567890123456789012345678901234567890"

/* A name that may be, of 249 bytes, but nothing can stand before it. */
static void
test_too_long_for_a_host(void **state)
{
    static const char domain[] =
        FIFTY "." FIFTY "." FIFTY "." FIFTY ".a23456789012345678901234567890123456789.test";
    struct got txt = {0}, fetch = {0};
    int asked = fake_dns_questions();

    (void)state;
    source_txt(lab.source, domain, lab_on_txt, &txt);
    source_fetch(lab.source, domain, lab_on_fetch, &fetch);
    lab_wait_for(&txt, 1);
    if (fetch.calls == 0)
        lab_wait_for(&fetch, 1);
    assert_int_equal(txt.error, STS_NO_RECORD);
    assert_int_equal(fetch.error, STS_NO_HOST);
    assert_int_equal(fake_dns_questions(), asked);
}

/* --- MX ------------------------------------------------------------------------ */

static const struct fake_answer mx_answers[] = {
    {"order.test", DNS_MX, .ttl_s = 90,
     .records = {{20, "c.test"}, {10, "b.test"}, {20, "a.test"}, {10, "d.test"}}},
    {"twice.test", DNS_MX, .ttl_s = 90,
     .records = {{30, "a.test"}, {10, "a.test"}, {20, "b.test"}}},
    {"null.test", DNS_MX, .ttl_s = 80, .records = {{0, ""}}},
    {"nullish.test", DNS_MX, .ttl_s = 80, .records = {{0, ""}, {10, "a.test"}}},
    {"junk.test", DNS_MX, .ttl_s = 70},
    {"implicit.test", DNS_MX, .error = STS_NO_RECORD, .ttl_s = 10},
    {"implicit.test", DNS_AAAA, .error = STS_NO_RECORD, .ttl_s = 20},
    {"implicit.test", A4},
    {"implicit6.test", DNS_MX, .error = STS_NO_RECORD},
    {"implicit6.test", A6},
    {"implicit6.test", DNS_A, .error = STS_DNS_TIMEOUT},
    {"alias.test", DNS_MX, .error = STS_NO_RECORD},
    {"alias.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"alias.test", A4, .end = "host.alias.test"},
    {"odd.test", DNS_MX, .error = STS_NO_RECORD},
    {"odd.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"odd.test", A4, .end = "a=b,c.test"},
    {"empty.test", DNS_MX, .error = STS_NO_RECORD, .ttl_s = 33},
    {"empty.test", DNS_A, .error = STS_NO_RECORD, .ttl_s = 22},
    {"empty.test", DNS_AAAA, .error = STS_NO_RECORD, .ttl_s = 11},
    {"maybe.test", DNS_MX, .error = STS_NO_RECORD},
    {"maybe.test", DNS_A, .error = STS_DNS_TIMEOUT},
    {"maybe.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"gone.test", DNS_MX, .error = STS_NO_RECORD, .nxdomain = true, .ttl_s = 44},
    {"bad.test", DNS_MX, .error = STS_DNS_SERVFAIL},
};

static const struct {
    const char *domain;
    enum sts_error want;
    uint32_t ttl_s;
    const char *text;
} mx_rows[] = {
    {"order.test", STS_OK, 90, "b.test d.test c.test a.test "},
    {"twice.test", STS_OK, 90, "a.test b.test "},
    {"null.test", STS_NULL_MX, 80, ""},
    {"nullish.test", STS_OK, 80, "a.test "},
    {"junk.test", STS_NO_HOST, 70, ""},
    {"implicit.test", STS_OK, 60, "implicit.test "},
    {"implicit6.test", STS_OK, 60, "implicit6.test "},
    {"alias.test", STS_OK, 60, "alias.test host.alias.test "},
    {"odd.test", STS_OK, 60, "odd.test "},
    {"empty.test", STS_NO_HOST, 11, ""},
    {"maybe.test", STS_DNS_TIMEOUT, 0, ""},
    {"gone.test", STS_NO_HOST, 44, ""},
    {"bad.test", STS_DNS_SERVFAIL, 0, ""},
};

static void
test_mx(void **state)
{
    (void)state;
    fake_dns_set(mx_answers, sizeof(mx_answers) / sizeof(*mx_answers));
    for (size_t i = 0; i < sizeof(mx_rows) / sizeof(*mx_rows); i++) {
        struct got got = {0};
        source_mx(lab.source, mx_rows[i].domain, 0, lab_on_mx, &got);
        lab_wait_for(&got, 1);
        assert_int_equal(got.error, mx_rows[i].want);
        assert_int_equal(got.ttl_s, mx_rows[i].ttl_s);
        assert_string_equal(got.text, mx_rows[i].text);
    }
}

static const struct fake_answer dane_answers[] = {
    {"signed.test", DNS_MX, .ttl_s = 90, .secure = true,
     .records = {{10, "a.test"}, {20, "b.test"}}},
    {"plain.test", DNS_MX, .ttl_s = 90, .records = {{10, "a.test"}}},
    {"implicit.test", DNS_MX, .error = STS_NO_RECORD, .secure = true},
    {"implicit.test", DNS_A, .ttl_s = 60, .secure = true, .records = {{0, "192.0.2.1"}}},
    {"implicit.test", DNS_AAAA, .error = STS_NO_RECORD, .ttl_s = 60, .secure = true},
    {"_25._tcp.implicit.test", DNS_TLSA, .ttl_s = 50, .secure = true, .records = {{0, "3 1 1 32"}}},
    {"a.test", DNS_A, .ttl_s = 60, .secure = true, .records = {{0, "192.0.2.1"}}},
    {"a.test", DNS_AAAA, .error = STS_NO_RECORD, .ttl_s = 60, .secure = true},
    {"_25._tcp.a.test", DNS_TLSA, .ttl_s = 40, .secure = true, .records = {{0, "3 1 1 32"}}},
    {"b.test", DNS_A, .error = STS_DNS_SERVFAIL},
    {"b.test", DNS_AAAA, .error = STS_DNS_SERVFAIL},
    {"null.test", DNS_MX, .ttl_s = 80, .secure = true, .records = {{0, ""}}},
};

static const struct {
    const char *domain;
    bool with_dane, secure;
    uint32_t ttl_s;
    const char *text, *detail;
} dane_rows[] = {
    {"signed.test", false, true, 90, "a.test b.test ", ""},
    {"signed.test", true, true, 0, "a.test usable b.test failed ",
     "DANE of b.test: as the test wants"},
    {"plain.test", true, false, 90, "a.test ", ""},
    {"implicit.test", true, true, 50, "implicit.test usable ", ""},
    {"null.test", true, true, 80, "", ""},
};

static void
test_mx_with_dane(void **state)
{
    (void)state;
    fake_dns_set(dane_answers, sizeof(dane_answers) / sizeof(*dane_answers));
    for (size_t i = 0; i < sizeof(dane_rows) / sizeof(*dane_rows); i++) {
        struct got got = {0};
        source_mx(lab.source, dane_rows[i].domain, dane_rows[i].with_dane ? LAB_GUARD_MS : 0,
                  lab_on_mx, &got);
        lab_wait_for(&got, 1);
        assert_string_equal(got.text, dane_rows[i].text);
        assert_int_equal(got.secure, dane_rows[i].secure);
        assert_int_equal(got.ttl_s, dane_rows[i].ttl_s);
        assert_string_equal(got.detail, dane_rows[i].detail);
    }
}

/* The resolver is exchanged while a job looks up DANE of its MX hosts, for one with these answers.
 */
static void
reload_while_dane(const struct fake_answer *answers, size_t count, struct got *got)
{
    static const struct fake_answer slow[] = {
        {"signed.test", DNS_MX, .secure = true, .records = {{10, "a.test"}}},
        {"a.test", DNS_A, .delay_ms = 60000},
        {"a.test", DNS_AAAA, .delay_ms = 60000},
    };
    char why[100] = "";
    int asked = fake_dns_questions();

    fake_dns_set(slow, sizeof(slow) / sizeof(*slow));
    source_mx(lab.source, "signed.test", LAB_GUARD_MS, lab_on_mx, got);
    while (fake_dns_questions() < asked + 3)
        lab_run_for(5);
    fake_dns_set(answers, count);
    assert_true(source_reload(lab.source, &lab.settings, why, sizeof(why)));
    if (got->calls == 0)
        lab_wait_for(got, 1);
}

/* A job that has come to its hosts' TLSA begins anew with the new resolver. */
static void
test_reload_while_dane(void **state)
{
    struct got got = {0};

    (void)state;
    reload_while_dane(dane_answers, sizeof(dane_answers) / sizeof(*dane_answers), &got);
    assert_string_equal(got.text, "a.test usable b.test failed ");
}

/* Nor does the old resolver's set show when the new one fails. */
static void
test_reload_to_a_resolver_that_fails(void **state)
{
    static const struct fake_answer fails[] = {
        {"signed.test", DNS_MX, .error = STS_DNS_SERVFAIL},
    };
    struct got got = {0};

    (void)state;
    reload_while_dane(fails, sizeof(fails) / sizeof(*fails), &got);
    assert_int_equal(got.error, STS_DNS_SERVFAIL);
    assert_string_equal(got.text, "");
}

/* --- PROBE --------------------------------------------------------------------- */

static void
on_probe(const struct probe_result *result, void *arg)
{
    lab_note(arg, result->error, result->detail);
}

static const struct fake_answer probe_answers[] = {
    {"gone.test", DNS_A, .error = STS_NO_RECORD},
    {"gone.test", DNS_AAAA, .error = STS_NO_RECORD},
    {"away.test", DNS_A, .error = STS_DNS_SERVFAIL},
    {"away.test", DNS_AAAA, .error = STS_NO_RECORD},
};

/* A host whose address cannot be had is not probed, and the result says why. */
static void
test_probe_without_address(void **state)
{
    struct got gone = {0}, away = {0};

    (void)state;
    fake_dns_set(probe_answers, sizeof(probe_answers) / sizeof(*probe_answers));
    source_probe(lab.source, "gone.test", on_probe, &gone);
    lab_wait_for(&gone, 1);
    assert_int_equal(gone.error, STS_NO_HOST);
    assert_string_equal(gone.detail, "it has no address");
    source_probe(lab.source, "away.test", on_probe, &away);
    lab_wait_for(&away, 1);
    assert_int_equal(away.error, STS_DNS_SERVFAIL);
    assert_string_equal(away.detail, "its address: as the test wants");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_txt),
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_fetch_failure),
        cmocka_unit_test(test_too_long_for_a_host),
        cmocka_unit_test(test_mx),
        cmocka_unit_test(test_mx_with_dane),
        cmocka_unit_test(test_reload_while_dane),
        cmocka_unit_test(test_reload_to_a_resolver_that_fails),
        cmocka_unit_test(test_probe_without_address),
    };
    return cmocka_run_group_tests(tests, source_lab_set_up, source_lab_tear_down);
}
