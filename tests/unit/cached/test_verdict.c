/* The decision, as a table: what is remembered of a domain, and what follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/verdict.h"
#include "common/clock.h"
#include "tests/unit/cached/verdict_samples.h"

static const struct row {
    const char *name;
    struct facts facts;
    bool want_mx, host_only;
    enum verdict_need need;
    enum verdict verdict; /* of FINAL and NEEDS_RECHECK */
    enum sts_error reason;
    const char *hosts;
} rows[] = {
    /* no policy */
    {"nothing known", {0}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"no record",
     {OUTCOME(STS_NO_RECORD, 1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_NO_RECORD,
     ""},
    {"no record, with MX asked",
     {OUTCOME(STS_NO_RECORD, 1)},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_NO_RECORD,
     ""},
    {"no record, over", {OUTCOME(STS_NO_RECORD, 0)}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"bad record",
     {OUTCOME(STS_BAD_RECORD, 1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_BAD_RECORD,
     ""},
    {"unknown",
     {UNKNOWN(1, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_UNKNOWN,
     STS_DNS_TIMEOUT,
     ""},
    {"unknown, asked again behind the scenes",
     {UNKNOWN(-29, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_UNKNOWN,
     STS_DNS_TIMEOUT,
     ""},
    {"unknown, over", {UNKNOWN(-30, 30)}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"failed fetch",
     {FAILED(DAY_MS - 1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_TLS_NAME,
     ""},
    {"failed fetch, a day ago", {FAILED(DAY_MS)}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"failed fetch, then no record",
     {FAILED(1), OUTCOME(STS_NO_RECORD, 1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_NO_RECORD,
     ""},
    {"failed fetch, then unknown",
     {FAILED(1), UNKNOWN(1, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_TLS_NAME,
     ""},
    /* a policy */
    {"mode none",
     {.mode = "none", .expires_in_s = 1},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_OK,
     ""},
    {"mode testing",
     {.mode = "testing", .expires_in_s = 1, .mx = "mx: x.test\n"},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_TESTING,
     STS_OK,
     ""},
    {"enforce", {ENFORCE, LISTED}, false, false, VERDICT_FINAL, VERDICT_SECURE, STS_OK, ""},
    {"enforce, whatever failed since",
     {ENFORCE, LISTED, FAILED(1), UNKNOWN(1, 30)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     ""},
    {"enforce, over", {.mode = "enforce", LISTED}, false, false, VERDICT_NEEDS_TXT, 0, 0, ""},
    {"enforce, over, failed",
     {.mode = "enforce", LISTED, FAILED(1)},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_NONE,
     STS_TLS_NAME,
     ""},
    /* its MX hosts */
    {"MX not looked up", {ENFORCE, LISTED}, true, false, VERDICT_NEEDS_MX, 0, 0, ""},
    {"MX set over",
     {ENFORCE, LISTED, .has_mx_set = true, .mx_hosts = {"mx1.a.test"}},
     true,
     false,
     VERDICT_NEEDS_MX,
     0,
     0,
     ""},
    {"all listed",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"x.b.test", "mx1.a.test"}},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     "x.b.test mx1.a.test"},
    {"one listed is enough",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test", "x.b.test", "y.x.b.test"}},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     "x.b.test"},
    {"none listed",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test", "b.test"}},
     true,
     false,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"none listed, TXT 10 s ago",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test"}, .checked_ago_ms = 10000},
     true,
     false,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"none listed, TXT fresh",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test"}, .checked_ago_ms = 9999},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"none listed, MX not asked about",
     {ENFORCE, LISTED, MX_SET, .mx_hosts = {"evil.test"}},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     ""},
    {"MX look-up failed",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_DNS_SERVFAIL},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_DNS_SERVFAIL,
     ""},
    {"no host",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_NO_HOST},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_NO_HOST,
     ""},
    {"null MX",
     {ENFORCE, LISTED, MX_SET, .mx_error = STS_NULL_MX},
     true,
     false,
     VERDICT_FINAL,
     VERDICT_REFUSE,
     STS_NULL_MX,
     ""},
    /* [host], asked about as "host.b.test" */
    {"[host] listed",
     {ENFORCE, .mx = "mx: *.b.test\n"},
     true,
     true,
     VERDICT_FINAL,
     VERDICT_SECURE,
     STS_OK,
     "host.b.test"},
    {"[host] not listed, whatever its MX",
     {ENFORCE, .mx = "mx: mx1.a.test\n", MX_SET, .mx_hosts = {"mx1.a.test"}},
     true,
     true,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    /* nothing in the list may be used */
    {"one label only",
     {ENFORCE, .mx = "mx: localhost\n"},
     false,
     false,
     VERDICT_NEEDS_RECHECK,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
    {"one label only, TXT fresh",
     {ENFORCE, .mx = "mx: localhost\n", .checked_ago_ms = 1},
     false,
     false,
     VERDICT_FINAL,
     VERDICT_REFUSE,
     STS_MX_NOT_LISTED,
     ""},
};

static void
judges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct entry *e = verdict_sample(&row->facts);
        struct judgement j;
        char hosts[200] = "";

        print_message("%s\n", row->name);
        assert_int_equal(verdict_judge(e, "host.b.test", row->want_mx, row->host_only, NOW_MS, &j),
                         row->need);
        if (row->need == VERDICT_FINAL || row->need == VERDICT_NEEDS_RECHECK) {
            assert_int_equal(j.verdict, row->verdict);
            assert_int_equal(j.reason, row->reason);
        }
        for (size_t k = 0; k < j.host_count; k++)
            strcat(strcat(hosts, k > 0 ? " " : ""), j.hosts[k]);
        assert_string_equal(hosts, row->hosts);
        assert_int_equal(j.policy != NULL, row->facts.expires_in_s > 0);
        assert_string_equal(j.detail, j.reason == STS_TLS_NAME ? "why" : "");
        assert_int_equal(j.http_status, j.reason == STS_TLS_NAME ? 503 : 0);
        verdict_sample_free(e);
    }
}

static void
knows_nothing_without_an_entry(void **state)
{
    struct judgement j;

    (void)state;
    assert_int_equal(verdict_judge(NULL, "a.test", true, false, NOW_MS, &j), VERDICT_NEEDS_TXT);
    assert_int_equal(j.source, SOURCE_NONE);
    assert_string_equal(j.domain, "a.test");
}

static void
tells_the_term_in_wall_time(void **state)
{
    struct facts facts = {.mode = "testing", .mx = "mx: a.test\n", .expires_in_s = 3600};
    struct entry *e = verdict_sample(&facts);
    struct judgement j;

    (void)state;
    assert_int_equal(verdict_judge(e, "a.test", false, false, NOW_MS, &j), VERDICT_FINAL);
    assert_int_equal(j.expires_s, (int64_t)WALL_S + 3600);
    verdict_sample_free(e);
}

static void
keeps_the_first_of_very_many_hosts(void **state)
{
    struct facts facts = {ENFORCE, .mx = "mx: *.b.test\n"};
    struct entry *e = verdict_sample(&facts);
    struct judgement j;
    char *at;

    (void)state;
    e->mx = calloc(1, sizeof *e->mx + 100 * sizeof "h00.b.test");
    e->mx->until_ms = NOW_MS + 1;
    e->mx->count = 100;
    at = e->mx->names;
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "h%02d.b.test", i) + 1;
    assert_int_equal(verdict_judge(e, "b.test", true, false, NOW_MS, &j), VERDICT_FINAL);
    assert_int_equal(j.host_count, SOURCE_MX_MAX);
    assert_string_equal(j.hosts[SOURCE_MX_MAX - 1], "h63.b.test");
    verdict_sample_free(e);
}

static const struct {
    enum verdict_need need;
    bool record_found;
    enum verdict verdict;
} in_doubt[] = {
    {VERDICT_NEEDS_TXT, false, VERDICT_UNKNOWN},    {VERDICT_NEEDS_TXT, true, VERDICT_PENDING},
    {VERDICT_NEEDS_MX, true, VERDICT_SECURE},       {VERDICT_NEEDS_PROBE, true, VERDICT_SECURE},
    {VERDICT_NEEDS_RECHECK, true, VERDICT_PENDING}, {VERDICT_FINAL, true, VERDICT_TESTING},
};

static void
says_in_doubt_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof in_doubt / sizeof *in_doubt; i++) {
        struct judgement j = {.verdict = VERDICT_TESTING};

        verdict_in_doubt(in_doubt[i].need, in_doubt[i].record_found, STS_DEADLINE, &j);
        assert_int_equal(j.verdict, in_doubt[i].verdict);
        assert_int_equal(j.reason, STS_DEADLINE);
    }
}

static const struct {
    const char *old_mode, *old_mx, *mode, *mx;
    bool weaker;
} changes[] = {
    {"enforce", "mx: a.test\n", "enforce", "mx: b.test\nmx: a.test\n", false},
    {"enforce", "mx: a.test\n", "enforce", "mx: b.test\n", true},
    {"enforce", "mx: *.a.test\n", "enforce", "mx: x.a.test\n", true},
    {"enforce", "mx: onelabel\n", "enforce", "mx: onelabel\n", false},
    {"enforce", "mx: a.test\n", "enforce", "mx: onelabel\n", true},
    {"enforce", "mx: onelabel\n", "testing", "mx: onelabel\n", true},
    {"enforce", "mx: a.test\n", "testing", "mx: a.test\n", true},
    {"enforce", "mx: a.test\n", "none", NULL, true},
    {"testing", "mx: a.test\n", "none", NULL, false},
    {"testing", "mx: a.test\n", "enforce", "mx: b.test\n", false},
    {"none", NULL, "enforce", "mx: b.test\n", false},
};

static void
tells_when_a_policy_becomes_weaker(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct policy *old = verdict_sample_policy(changes[i].old_mode, changes[i].old_mx);
        struct policy *next = verdict_sample_policy(changes[i].mode, changes[i].mx);

        print_message("%s to %s\n", changes[i].old_mode, changes[i].mode);
        assert_int_equal(verdict_is_weaker(old, next), changes[i].weaker);
        policy_free(old);
        policy_free(next);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges),
        cmocka_unit_test(knows_nothing_without_an_entry),
        cmocka_unit_test(tells_the_term_in_wall_time),
        cmocka_unit_test(keeps_the_first_of_very_many_hosts),
        cmocka_unit_test(says_in_doubt_what_is_known),
        cmocka_unit_test(tells_when_a_policy_becomes_weaker),
    };

    clock_fake(NOW_MS, WALL_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
